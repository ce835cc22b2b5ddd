//! A whole model on a device: the architecture, and the head behind it.

use backend::Pooling;

use crate::adapter::Adapter;
use crate::{
    Checkpoint, Config, DenseSource, Device, Error, Head, HeadSource, Linear, Loader, Model, Source, Store,
    Weights,
};

type ReadModel<D> = fn(&Config, Weights<'_, D>) -> Result<Box<dyn Model<D>>, Error>;
type ReadClassifier<D> = fn(&Config, Weights<'_, D>, usize) -> Result<Head<D>, Error>;

/// How architectures are read: those of a crate above this one.
pub struct Architectures<D: Device> {
    /// Reads the encoder that `config.json` names.
    pub model: ReadModel<D>,
    /// Reads its classification head for so many labels.
    pub classifier: ReadClassifier<D>,
}

/// A model with its head.
pub struct Loaded<D: Device> {
    /// The architecture.
    pub model: Box<dyn Model<D>>,
    /// What follows it.
    pub head: Head<D>,
    /// A hash over the bytes of every weight in use.
    pub hash: u64,
}

impl<D: Device> Loaded<D> {
    /// Reads the weights, through the process's store.
    ///
    /// # Errors
    /// Files that are missing or broken, weights that do not fit their configs, what is not supported.
    pub fn open(source: &Source, device: &D, architectures: &Architectures<D>) -> Result<Self, Error> {
        let checkpoint = Checkpoint::open(&source.folder)?;
        let adapter = source.adapter.as_ref().map(|folder| Adapter::open(folder, &checkpoint)).transpose()?;
        let loader = Loader::new(&checkpoint, device, Store::process()).with_adapter(adapter.as_ref());
        let model = (architectures.model)(&source.config, loader.weights())?;
        let (head, dense_hash) = match &source.head {
            HeadSource::Embedding { pooling, dense } => {
                load_dense(pooling.clone(), dense, model.width(), device)?
            }
            HeadSource::Classifier { labels } => {
                ((architectures.classifier)(&source.config, loader.weights(), *labels)?, 0)
            }
        };
        Ok(Self { model, head, hash: loader.hash() ^ dense_hash })
    }
}

/// The dense layers behind a pooling, and a hash over their weights.
fn load_dense<D: Device>(
    pooling: Pooling,
    layers: &[DenseSource],
    width: usize,
    device: &D,
) -> Result<(Head<D>, u64), Error> {
    let (mut width, mut hash) = (width * pooling.modes.len(), 0_u64);
    let mut dense = Vec::new();
    for layer in layers {
        layer.config.check(layer.inputs == width, || {
            format!("in_features is {}, the module before makes {width} columns", layer.inputs)
        })?;
        let checkpoint = Checkpoint::open(&layer.folder)?;
        let loader = Loader::new(&checkpoint, device, Store::process());
        let linear = Linear::load(loader.weights().at("linear"), layer.inputs, layer.outputs, layer.bias)?;
        width = linear.outputs;
        dense.push(linear.activated(layer.activation));
        hash = hash.rotate_left(7) ^ loader.hash();
    }
    Ok((Head { pooling, dense }, hash.rotate_left(7)))
}
