//! A whole model on a device: the architecture, and the head behind it.

use crate::{
    Checkpoint, Config, DenseSource, Device, Error, Head, Linear, Loader, Model, Source, Store, Weights,
};

/// Reads an architecture's weights.
pub type Architecture<D> = fn(&Config, Weights<'_, D>) -> Result<Box<dyn Model<D>>, Error>;

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
    /// Reads the weights, through the process's store; `architecture` reads those of the transformer.
    ///
    /// # Errors
    /// Files that are missing or broken, weights that do not fit their configs, what is not supported.
    pub fn open(source: &Source, device: &D, architecture: Architecture<D>) -> Result<Self, Error> {
        let checkpoint = Checkpoint::open(&source.folder)?;
        let loader = Loader::new(&checkpoint, device, Store::process());
        let model = architecture(&source.config, loader.weights())?;
        let mut hash = loader.hash();
        let mut width = model.width() * source.pooling.modes.len();
        let mut dense = Vec::new();
        for layer in &source.dense {
            let (linear, weights) = load_dense(layer, width, device)?;
            width = linear.outputs;
            hash = hash.rotate_left(7) ^ weights;
            dense.push(linear);
        }
        Ok(Self { model, head: Head { pooling: source.pooling.clone(), dense }, hash })
    }
}

fn load_dense<D: Device>(layer: &DenseSource, width: usize, device: &D) -> Result<(Linear<D>, u64), Error> {
    layer.config.check(layer.inputs == width, || {
        format!("in_features is {}, the module before makes {width} columns", layer.inputs)
    })?;
    let checkpoint = Checkpoint::open(&layer.folder)?;
    let loader = Loader::new(&checkpoint, device, Store::process());
    let linear = Linear::load(loader.weights().at("linear"), layer.inputs, layer.outputs, layer.bias)?;
    Ok((linear.activated(layer.activation), loader.hash()))
}
