//! Where a model's parts lie, as its files claim it: what an executor is asked to load.

use std::path::PathBuf;

use backend::Pooling;

use crate::{Activation, Config};

/// A transformer and what follows it.
#[derive(Debug, Clone)]
pub struct Source {
    /// Holds the transformer's weights.
    pub folder: PathBuf,
    /// Its config.json.
    pub config: Config,
    /// How tokens become one vector.
    pub pooling: Pooling,
    /// Dense layers behind the pooling, in order.
    pub dense: Vec<DenseSource>,
}

/// A dense layer's config and shape.
#[derive(Debug, Clone)]
pub struct DenseSource {
    /// Holds its weights.
    pub folder: PathBuf,
    /// Its config.json.
    pub config: Config,
    /// Columns in.
    pub inputs: usize,
    /// Columns out.
    pub outputs: usize,
    /// Whether there is a bias.
    pub bias: bool,
    /// Applied to the sum.
    pub activation: Option<Activation>,
}
