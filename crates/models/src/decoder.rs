//! What the decoders have in common: pre-norm layers of grouped attention with rotary positions, and gated
//! feed-forward blocks. Llama, Mistral, Qwen, EuroBERT and Gemma are settings of it, each in a file of its own.
//!
//! Reference: <https://github.com/huggingface/transformers/blob/v4.57.0/src/transformers/models/llama/modeling_llama.py>

use std::sync::Arc;

use backend::{Error as RunError, Pooling, PoolingMode};
use nn::{
    Activation, Attention, Config, Device, Error, FeedForward, Head, HeadLayer, Index, Linear, Lookup, Mask,
    Model, Norm, Part, Pass, Rope, RopeDefaults, RopeSettings, Table, Weights,
};
use serde::Deserialize;

/// The fields that all of them have.
#[derive(Deserialize)]
pub(crate) struct DecoderConfig {
    vocab_size: usize,
    pub(crate) hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    pub(crate) head_dim: Option<usize>,
    intermediate_size: usize,
    #[serde(default = "silu", alias = "hidden_activation")]
    hidden_act: String,
    rms_norm_eps: Option<f32>,
    #[serde(default = "yes")]
    pub(crate) is_causal: bool,
    #[serde(flatten)]
    pub(crate) rope: RopeSettings,
}

fn silu() -> String {
    "silu".into()
}

fn yes() -> bool {
    true
}

/// What an architecture decides beyond the common fields.
pub(crate) struct Settings {
    /// Of the query, key and value projections.
    pub(crate) projection_bias: bool,
    /// Of the projection behind attention.
    pub(crate) output_bias: bool,
    /// Of the feed-forward block.
    pub(crate) feed_forward_bias: bool,
    /// Whether query and key heads are normalised.
    pub(crate) query_key_norm: bool,
    /// Factor on the scores, else `1/√head_dim`.
    pub(crate) scale: Option<f32>,
    /// Factor on the embeddings.
    pub(crate) embedding_scale: Option<f32>,
    /// Added to the weights of the norms.
    pub(crate) norm_offset: f32,
    /// Whether what a block makes is normalised too, before the residual sum.
    pub(crate) norms_around: bool,
    /// ε of the norms where the config has none.
    pub(crate) epsilon: f32,
    /// What each layer sees, and how it rotates.
    pub(crate) layers: Vec<Place>,
}

impl Settings {
    /// Those of Llama without any bias.
    pub(crate) fn plain(layers: Vec<Place>) -> Self {
        Self {
            projection_bias: false,
            output_bias: false,
            feed_forward_bias: false,
            query_key_norm: false,
            scale: None,
            embedding_scale: None,
            norm_offset: 0.0,
            norms_around: false,
            epsilon: 1e-6,
            layers,
        }
    }
}

/// What a layer sees, and how it rotates.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) mask: Mask,
    pub(crate) rope: Arc<Rope>,
}

impl DecoderConfig {
    /// Columns of a head.
    pub(crate) fn head_dim(&self, config: &Config) -> Result<usize, Error> {
        match self.head_dim {
            Some(given) => config.check_size("head_dim", given).map(|()| given),
            None => crate::head_dim(config, self.hidden_size, self.num_attention_heads),
        }
    }

    /// How many layers there are.
    pub(crate) fn layers(&self, config: &Config) -> Result<usize, Error> {
        config.check_size("num_hidden_layers", self.num_hidden_layers)?;
        Ok(self.num_hidden_layers)
    }

    /// The rotation that all layers share.
    pub(crate) fn rope(&self, config: &Config, theta: f32, positions: usize) -> Result<Arc<Rope>, Error> {
        let defaults = RopeDefaults { dim: self.head_dim(config)?, theta, positions };
        self.rope.rope(config, FULL, defaults)
    }

    /// The keys that layers with a window of so many tokens see: as many before a query and itself; without
    /// causality also after it, and one more on either side
    /// (<https://github.com/huggingface/transformers/blob/v5.23.0/src/transformers/masking_utils.py>).
    pub(crate) fn mask(&self, config: &Config, window: Option<usize>) -> Result<Mask, Error> {
        match window {
            Some(0) => Err(config.broken("sliding_window is 0; it must be at least 1, or null")),
            Some(width) if self.is_causal => Ok(Mask::Window { left: width - 1, right: 0 }),
            Some(width) => Ok(Mask::Window { left: width, right: width }),
            None if self.is_causal => Ok(Mask::Causal),
            None => Ok(Mask::Full),
        }
    }

    fn shape(&self, config: &Config) -> Result<Shape, Error> {
        let (heads, kv_heads) =
            (self.num_attention_heads, self.num_key_value_heads.unwrap_or(self.num_attention_heads));
        config.check_size("hidden_size", self.hidden_size)?;
        config.check_size("intermediate_size", self.intermediate_size)?;
        config.check_size("num_attention_heads", heads)?;
        config.check_size("num_key_value_heads", kv_heads)?;
        config.check(heads.is_multiple_of(kv_heads), || {
            format!("num_attention_heads {heads} is not a multiple of num_key_value_heads {kv_heads}")
        })?;
        let head_dim = self.head_dim(config)?;
        Ok(Shape { hidden: self.hidden_size, wide: self.intermediate_size, heads, kv_heads, head_dim })
    }
}

/// Names of the types of layers.
pub(crate) const FULL: &str = "full_attention";
pub(crate) const SLIDING: &str = "sliding_attention";

/// Which layers have a window: by `layer_types` where the config has them, else as `otherwise` says.
pub(crate) fn sliding_layers(
    config: &Config,
    named: Option<&[String]>,
    layers: usize,
    otherwise: impl Fn(usize) -> bool,
) -> Result<Vec<bool>, Error> {
    let Some(named) = named else { return Ok((0..layers).map(otherwise).collect()) };
    config.check(named.len() >= layers, || {
        format!("layer_types names {} layers, num_hidden_layers is {layers}", named.len())
    })?;
    let sliding = |kind: &String| match kind.as_str() {
        FULL => Ok(false),
        SLIDING => Ok(true),
        other => {
            Err(config.unsupported(format!("layer_types has \"{other}\"; known are {FULL} and {SLIDING}")))
        }
    };
    named.iter().take(layers).map(sliding).collect()
}

/// `<Name>ForSequenceClassification`: `score`, without a bias, of the last token that is not `pad_token_id`.
pub(crate) fn classifier<D: Device>(
    config: &Config,
    weights: Weights<'_, D>,
    labels: usize,
) -> Result<Head<D>, Error> {
    let DecoderConfig { hidden_size, .. } = config.read()?;
    let score = HeadLayer::Linear(Linear::load(weights.at("score"), hidden_size, labels, false)?);
    let padding = config.value()["pad_token_id"].as_u64().map(|id| id as u32);
    Ok(Head::pooled(Pooling { padding, ..Pooling::of(PoolingMode::LastToken) }, vec![score]))
}

/// `LlamaModel` and its kin.
pub(crate) struct Decoder<D: Device> {
    words: Table<D>,
    embedding_scale: Option<f32>,
    layers: Vec<Layer<D>>,
    norm: Norm<D>,
    hidden_size: usize,
}

impl<D: Device> Decoder<D> {
    /// Reads the weights.
    pub(crate) fn load(
        config: &Config,
        fields: &DecoderConfig,
        settings: &Settings,
        weights: &Weights<'_, D>,
    ) -> Result<Self, Error> {
        let weights = weights.below(&["model"], "embed_tokens.weight");
        let shape = fields.shape(config)?;
        let norms =
            Norms { epsilon: fields.rms_norm_eps.unwrap_or(settings.epsilon), offset: settings.norm_offset };
        let activation = crate::activation(config, "hidden_act", &fields.hidden_act)?;
        let made = Parts { shape, norms, activation, settings };
        let places = settings.layers.iter().enumerate();
        let layers = places
            .map(|(i, place)| made.layer(place, &weights.at("layers").at(i)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            words: weights.table("embed_tokens.weight", fields.vocab_size, shape.hidden)?,
            embedding_scale: settings.embedding_scale,
            layers,
            norm: norms.load(weights.at("norm"), shape.hidden)?,
            hidden_size: shape.hidden,
        })
    }
}

impl<D: Device> Model<D> for Decoder<D> {
    fn width(&self) -> usize {
        self.hidden_size
    }

    fn positions(&self) -> Option<usize> {
        None
    }

    fn forward(&self, pass: &mut D::Pass<'_>) -> Result<D::Tensor, RunError> {
        let mut x = pass.embed(&[Lookup { table: &self.words, index: Index::Token }])?; // [tokens, hidden]
        if let Some(factor) = self.embedding_scale {
            x = pass.scale(x, factor)?;
        }
        let x = self.layers.iter().try_fold(x, |x, layer| layer.forward(pass, x))?;
        pass.norm(&x, &self.norm)
    }
}

#[derive(Clone, Copy)]
struct Shape {
    hidden: usize,
    wide: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

#[derive(Clone, Copy)]
struct Norms {
    epsilon: f32,
    offset: f32,
}

impl Norms {
    fn load<D: Device>(self, weights: Weights<'_, D>, columns: usize) -> Result<Norm<D>, Error> {
        Norm::rms(weights, columns, self.epsilon, self.offset)
    }
}

/// `LlamaDecoderLayer` and its kin.
struct Layer<D: Device> {
    attention_norm: Norm<D>,
    projection: Linear<D>,
    attention: Attention<D>,
    attention_output: Linear<D>,
    /// Of what attention's last layer makes, before the sum.
    attended_norm: Option<Norm<D>>,
    feed_forward: FeedForward<D>,
}

impl<D: Device> Layer<D> {
    fn forward(&self, pass: &mut D::Pass<'_>, x: D::Tensor) -> Result<D::Tensor, RunError> {
        let normed = pass.norm(&x, &self.attention_norm)?;
        let projected = pass.linear(&normed, &self.projection)?; // [tokens, (heads + 2·kv_heads)·head_dim]
        let context = pass.attention(projected, &self.attention)?; // [tokens, heads·head_dim]
        let x = match &self.attended_norm {
            Some(norm) => {
                let attended = pass.linear(&context, &self.attention_output)?; // [tokens, hidden]
                let attended = pass.norm(&attended, norm)?;
                pass.add(&attended, x)?
            }
            None => pass.linear_add(&context, &self.attention_output, x)?,
        };
        pass.feed_forward(x, &self.feed_forward)
    }
}

/// What all layers are made by.
struct Parts<'a> {
    shape: Shape,
    norms: Norms,
    activation: Activation,
    settings: &'a Settings,
}

impl Parts<'_> {
    fn layer<D: Device>(&self, place: &Place, weights: &Weights<'_, D>) -> Result<Layer<D>, Error> {
        let Shape { hidden, wide, heads, kv_heads, head_dim } = self.shape;
        let norm = |name| self.norms.load(weights.at(name), hidden);
        let around = |name| self.settings.norms_around.then(|| norm(name)).transpose();
        let part = |name: &str, outputs| Part { weights: weights.at(name), outputs };
        let (queries, keys) = (heads * head_dim, kv_heads * head_dim);
        let projected = [
            part("self_attn.q_proj", queries),
            part("self_attn.k_proj", keys),
            part("self_attn.v_proj", keys),
        ];
        let gated = [part("mlp.gate_proj", wide), part("mlp.up_proj", wide)];
        let (attended, bias) = (weights.at("self_attn.o_proj"), self.settings.feed_forward_bias);
        let before =
            if self.settings.norms_around { "pre_feedforward_layernorm" } else { "post_attention_layernorm" };
        Ok(Layer {
            attention_norm: norm("input_layernorm")?,
            projection: Linear::joined(&projected, hidden, self.settings.projection_bias)?,
            attention: self.attention(place, &weights.at("self_attn"))?,
            attention_output: Linear::load(attended, queries, hidden, self.settings.output_bias)?,
            attended_norm: around("post_attention_layernorm")?,
            feed_forward: FeedForward {
                norm: Some(norm(before)?),
                wide: Linear::joined(&gated, hidden, bias)?,
                gate: Some(self.activation),
                narrow: Linear::load(weights.at("mlp.down_proj"), wide, hidden, bias)?,
                narrow_norm: around("post_feedforward_layernorm")?,
            },
        })
    }

    fn attention<D: Device>(&self, place: &Place, weights: &Weights<'_, D>) -> Result<Attention<D>, Error> {
        let Shape { heads, kv_heads, head_dim, .. } = self.shape;
        let plain = Attention::bidirectional(heads, head_dim);
        let norm = |name| self.norms.load(weights.at(name), head_dim);
        let norms = || Ok::<_, Error>((norm("q_norm")?, norm("k_norm")?));
        Ok(Attention {
            kv_heads,
            scale: self.settings.scale.unwrap_or(plain.scale),
            mask: place.mask,
            rope: Some(place.rope.clone()),
            query_key_norm: self.settings.query_key_norm.then(norms).transpose()?,
            ..plain
        })
    }
}
