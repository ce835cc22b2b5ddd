//! What follows the encoder: layers on tokens, a pooling, layers on texts.

use backend::{Form, Pooling};

use crate::uses::Taken;
use crate::{Config, DenseSource, Device, Error, LayerSource, Linear, Loader, Norm, Pass, Store, Weights};

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

    /// A pooling behind an encoder of `width` columns, and the layers behind it; and what was taken for them.
    ///
    /// # Errors
    /// Files that are missing or broken, layers that do not fit one another.
    pub fn load(
        pooling: Pooling,
        layers: &[LayerSource],
        width: usize,
        device: &D,
    ) -> Result<(Self, Taken), Error> {
        let (layers, taken) = read_layers(layers, width * pooling.modes.len(), device)?;
        Ok((Self::pooled(pooling, layers), taken))
    }

    /// Layers on each token behind an encoder of `width` columns; and what was taken for them.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn of_tokens(layers: &[LayerSource], width: usize, device: &D) -> Result<(Self, Taken), Error> {
        let (token_layers, taken) = read_layers(layers, width, device)?;
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

    /// Writes `[texts, dims]` of `[tokens, width]`; `[tokens, dims]` without a pooling.
    ///
    /// # Errors
    /// As [`backend::Backend::embed`].
    pub fn write(
        &self,
        pass: &mut D::Pass<'_>,
        hidden: &D::Tensor,
        out: &mut [f32],
    ) -> Result<(), backend::Error> {
        let made = through(&self.token_layers, pass, hidden)?;
        let tokens = made.as_ref().unwrap_or(hidden);
        let Some(pooling) = &self.pooling else { return pass.read(tokens, out) };
        let pooled = pass.pool(tokens, pooling)?;
        let made = through(&self.layers, pass, &pooled)?;
        pass.read(made.as_ref().unwrap_or(&pooled), out)
    }

    /// What it makes, behind an encoder of `width` columns.
    pub fn form(&self, width: usize) -> Form {
        let last = |layers: &[HeadLayer<D>]| layers.iter().rev().find_map(HeadLayer::outputs);
        let width = last(&self.token_layers).unwrap_or(width);
        let pooled = width * self.pooling.as_ref().map_or(1, |pooling| pooling.modes.len());
        Form { dims: last(&self.layers).unwrap_or(pooled), per_token: self.pooling.is_none() }
    }
}

/// Layers one after the other; `None` of none.
fn through<D: Device>(
    layers: &[HeadLayer<D>],
    pass: &mut D::Pass<'_>,
    x: &D::Tensor,
) -> Result<Option<D::Tensor>, backend::Error> {
    let Some((first, others)) = layers.split_first() else { return Ok(None) };
    let first = first.forward(pass, x)?;
    others.iter().try_fold(first, |x, layer| layer.forward(pass, &x)).map(Some)
}

/// Of torch's `LayerNorm`; no config names it.
const NORM_EPSILON: f32 = 1e-5;

fn read_layers<D: Device>(
    sources: &[LayerSource],
    mut width: usize,
    device: &D,
) -> Result<(Vec<HeadLayer<D>>, Taken), Error> {
    let (mut layers, mut all) = (Vec::new(), Taken::default());
    for source in sources {
        source.check(width)?;
        let checkpoint = source.open()?;
        let loader = Loader::new(&checkpoint, device, Store::process());
        layers.push(match source {
            LayerSource::Dense(dense) => {
                let DenseSource { file, inputs, outputs, bias, activation, .. } = dense;
                let weights = loader.weights();
                let weights = if file.is_some() { weights } else { weights.at("linear") };
                width = *outputs;
                let linear = Linear::load(weights, *inputs, *outputs, *bias)?;
                HeadLayer::Linear(linear.activated(*activation))
            }
            LayerSource::Norm(norm) => {
                let weights = loader.weights().at("norm");
                HeadLayer::Norm(Norm::layer(weights, norm.columns, NORM_EPSILON, true)?)
            }
        });
        let Taken { hash, uses } = loader.taken();
        all.hash = all.hash.rotate_left(7) ^ hash;
        all.uses.join(uses);
    }
    all.hash = all.hash.rotate_left(7);
    Ok((layers, all))
}
