//! What follows the encoder: pooling and dense layers.

use backend::Pooling;

use crate::{Device, Linear, Pass};

/// From one row a token to one vector a text; normalisation is the engine's, since calls may change it.
pub struct Head<D: Device> {
    /// How tokens become one vector.
    pub pooling: Pooling,
    /// Layers behind it, in order: the `N_Dense` folders, or those of a classifier.
    pub dense: Vec<Linear<D>>,
}

impl<D: Device> Head<D> {
    /// `[texts, dims]` from `[tokens, width]`.
    pub fn forward(&self, pass: &mut D::Pass<'_>, hidden: &D::Tensor) -> Result<D::Tensor, backend::Error> {
        let pooled = pass.pool(hidden, &self.pooling)?;
        self.dense.iter().try_fold(pooled, |x, dense| pass.linear(&x, dense))
    }

    /// Width of the vectors, behind an encoder of `width` columns.
    pub fn dims(&self, width: usize) -> usize {
        self.dense.last().map_or(width * self.pooling.modes.len(), |dense| dense.outputs)
    }
}
