//! Normalisation of rows.

use std::sync::Arc;

use crate::weights::Stored;
use crate::{Device, Error, Weights};

/// Which norm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NormKind {
    /// `(x - mean) / √(variance + ε) · weight + bias` (Ba et al. 2016, arXiv:1607.06450).
    Layer,
    /// `x / √(mean(x²) + ε) · (offset + weight)` (Zhang and Sennrich 2019, arXiv:1910.07467); Gemma's offset
    /// is 1.
    Rms {
        /// Added to the weight.
        offset: f32,
    },
}

/// A norm with its weights.
pub struct Norm<D: Device> {
    /// Which norm.
    pub kind: NormKind,
    /// Added under the root.
    pub epsilon: f32,
    weight: Arc<Stored<D::Vector>>,
    bias: Option<Arc<Stored<D::Vector>>>,
}

impl<D: Device> Norm<D> {
    /// A layer norm over `columns`; without `bias` its bias is zero.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn layer(weights: Weights<'_, D>, columns: usize, epsilon: f32, bias: bool) -> Result<Self, Error> {
        let bias = if bias { Some(weights.vector("bias", columns)?) } else { None };
        Ok(Self { kind: NormKind::Layer, epsilon, weight: weights.vector("weight", columns)?, bias })
    }

    /// A root-mean-square norm over `columns`.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn rms(weights: Weights<'_, D>, columns: usize, epsilon: f32, offset: f32) -> Result<Self, Error> {
        let weight = weights.vector("weight", columns)?;
        Ok(Self { kind: NormKind::Rms { offset }, epsilon, weight, bias: None })
    }

    /// The weight in the device's layout.
    pub fn weight(&self) -> &D::Vector {
        &self.weight.value
    }

    /// The bias in the device's layout.
    pub fn bias(&self) -> Option<&D::Vector> {
        self.bias.as_ref().map(|bias| &bias.value)
    }
}
