//! What follows the encoder: layers on tokens, a pooling, layers on texts.

use backend::Pooling;

use crate::uses::Taken;
use crate::{Config, DenseSource, Device, Error, Linear, Loader, Norm, Pass, Store, Weights};

/// From one row a token to one vector a text, or a token; normalisation is the engine's, since calls may change it.
pub struct Head<D: Device> {
    /// Layers on tokens, in order.
    pub token_layers: Vec<HeadLayer<D>>,
    /// How tokens become one vector; `None`: each token keeps its own.
    pub pooling: Option<Pooling>,
    /// Layers behind the pooling, in order: the `N_Dense` folders, or those of a classifier.
    pub layers: Vec<HeadLayer<D>>,
}

/// A layer of a head.
pub enum HeadLayer<D: Device> {
    /// Multiplies each row.
    Linear(Linear<D>),
    /// Normalises each row.
    Norm(Norm<D>),
}

impl<D: Device> HeadLayer<D> {
    fn forward(&self, pass: &mut D::Pass<'_>, x: &D::Tensor) -> Result<D::Tensor, backend::Error> {
        match self {
            Self::Linear(linear) => pass.linear(x, linear),
            Self::Norm(norm) => pass.norm(x, norm),
        }
    }

    fn outputs(&self) -> Option<usize> {
        match self {
            Self::Linear(linear) => Some(linear.outputs),
            Self::Norm(_) => None,
        }
    }
}

impl<D: Device> Head<D> {
    /// A pooling, and layers behind it.
    pub fn pooled(pooling: Pooling, layers: Vec<HeadLayer<D>>) -> Self {
        Self { token_layers: Vec::new(), pooling: Some(pooling), layers }
    }

    /// A pooling behind an encoder of `width` columns, and the dense layers behind it; and what was taken for them.
    ///
    /// # Errors
    /// Files that are missing or broken, layers that do not fit one another.
    pub fn load(
        pooling: Pooling,
        dense: &[DenseSource],
        width: usize,
        device: &D,
    ) -> Result<(Self, Taken), Error> {
        let (layers, taken) = dense_layers(dense, width * pooling.modes.len(), device)?;
        Ok((Self::pooled(pooling, layers), taken))
    }

    /// Dense layers on each token behind an encoder of `width` columns; and what was taken for them.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn of_tokens(dense: &[DenseSource], width: usize, device: &D) -> Result<(Self, Taken), Error> {
        let (token_layers, taken) = dense_layers(dense, width, device)?;
        Ok((Self { token_layers, pooling: None, layers: Vec::new() }, taken))
    }

    /// The logits of a few tokens of the vocabulary behind the last token of each text: what a causal language model
    /// says next, without the rest of its vocabulary. The output layer is the embedding table where config.json ties
    /// them (`tie_word_embeddings`).
    ///
    /// # Errors
    /// As [`Linear::load`].
    pub fn answers(
        config: &Config,
        weights: &Weights<'_, D>,
        tokens: &[u32],
        width: usize,
    ) -> Result<Self, Error> {
        let fields = config.value();
        let tied = fields["tie_word_embeddings"].as_bool().unwrap_or(false);
        let table = if tied {
            weights.below(&["model"], "embed_tokens.weight").at("embed_tokens")
        } else {
            weights.at("lm_head")
        };
        let rows = fields["vocab_size"].as_u64().unwrap_or(0) as usize;
        let linear = Linear::rows(&table, tokens, [rows, width])?;
        let pooling = Pooling::of(backend::PoolingMode::LastToken);
        Ok(Self::pooled(pooling, vec![HeadLayer::Linear(linear)]))
    }

    /// `[texts, dims]` from `[tokens, width]`; `[tokens, dims]` without a pooling.
    pub fn forward(&self, pass: &mut D::Pass<'_>, hidden: D::Tensor) -> Result<D::Tensor, backend::Error> {
        let hidden = through(&self.token_layers, pass, hidden)?;
        let Some(pooling) = &self.pooling else { return Ok(hidden) };
        let pooled = pass.pool(&hidden, pooling)?;
        through(&self.layers, pass, pooled)
    }

    /// Width of the vectors, behind an encoder of `width` columns.
    pub fn dims(&self, width: usize) -> usize {
        let last = |layers: &[HeadLayer<D>]| layers.iter().rev().find_map(HeadLayer::outputs);
        let width = last(&self.token_layers).unwrap_or(width);
        last(&self.layers).unwrap_or(width * self.pooling.as_ref().map_or(1, |pooling| pooling.modes.len()))
    }
}

/// Layers one after the other.
fn through<D: Device>(
    layers: &[HeadLayer<D>],
    pass: &mut D::Pass<'_>,
    x: D::Tensor,
) -> Result<D::Tensor, backend::Error> {
    layers.iter().try_fold(x, |x, layer| layer.forward(pass, &x))
}

fn dense_layers<D: Device>(
    dense: &[DenseSource],
    mut width: usize,
    device: &D,
) -> Result<(Vec<HeadLayer<D>>, Taken), Error> {
    let (mut layers, mut all) = (Vec::new(), Taken::default());
    for layer in dense {
        layer.config.check(layer.inputs == width, || {
            format!("in_features is {}, the module before makes {width} columns", layer.inputs)
        })?;
        let checkpoint = layer.open()?;
        let loader = Loader::new(&checkpoint, device, Store::process());
        let weights = if layer.file.is_some() { loader.weights() } else { loader.weights().at("linear") };
        let linear = Linear::load(weights, layer.inputs, layer.outputs, layer.bias)?;
        width = linear.outputs;
        layers.push(HeadLayer::Linear(linear.activated(layer.activation)));
        let Taken { hash, uses } = loader.taken();
        all.hash = all.hash.rotate_left(7) ^ hash;
        all.uses.join(uses);
    }
    all.hash = all.hash.rotate_left(7);
    Ok((layers, all))
}
