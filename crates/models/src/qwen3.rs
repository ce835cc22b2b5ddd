//! Qwen3 (Qwen team 2025, arXiv:2505.09388) as an embedding model: pre-norm decoder with grouped queries,
//! normalised query and key heads, rotary positions and SwiGLU.
//!
//! Reference: <https://github.com/huggingface/transformers/blob/v4.57.0/src/transformers/models/qwen3/modeling_qwen3.py>

use std::sync::Arc;

use backend::Error as RunError;
use nn::{
    Activation, Attention, Config, Device, Error, Head, Index, Linear, Lookup, Mask, Model, Norm, Part, Pass, Rope,
    RopeSettings, RopeStyle, Table, Weights,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Qwen3Config {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    #[serde(default = "head_dim")]
    head_dim: usize,
    intermediate_size: usize,
    hidden_act: String,
    rms_norm_eps: f32,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    use_sliding_window: bool,
    sliding_window: Option<usize>,
    #[serde(default)]
    max_window_layers: usize,
    #[serde(default = "yes")]
    is_causal: bool,
    #[serde(flatten)]
    rope: RopeSettings,
}

fn head_dim() -> usize {
    128
}

fn yes() -> bool {
    true
}

pub(crate) fn load<D: Device>(config: &Config, weights: Weights<'_, D>) -> Result<Box<dyn Model<D>>, Error> {
    let fields: Qwen3Config = config.read()?;
    let weights = weights.below(&["model"], "embed_tokens.weight");
    Ok(Box::new(Qwen3::load(config, &fields, weights)?))
}

pub(crate) fn classifier<D: Device>(
    config: &Config,
    _: Weights<'_, D>,
    _: usize,
) -> Result<Head<D>, Error> {
    crate::no_classifier(config)
}

impl Qwen3Config {
    /// The keys a query of this layer sees.
    fn mask(&self, layer: usize) -> Mask {
        match self.sliding_window {
            _ if !self.is_causal => Mask::Full,
            Some(width) if self.use_sliding_window && layer >= self.max_window_layers => {
                Mask::Window { left: width.saturating_sub(1), right: 0 }
            }
            _ => Mask::Causal,
        }
    }

    fn check(&self, config: &Config) -> Result<(), Error> {
        let (heads, shared) = (self.num_attention_heads, self.num_key_value_heads);
        config.check_size("hidden_size", self.hidden_size)?;
        config.check_size("intermediate_size", self.intermediate_size)?;
        config.check_size("num_attention_heads", heads)?;
        config.check_size("num_key_value_heads", shared)?;
        config.check_size("head_dim", self.head_dim)?;
        config.check(heads.is_multiple_of(shared), || {
            format!("num_attention_heads {heads} is not a multiple of num_key_value_heads {shared}")
        })?;
        config.check(self.head_dim.is_multiple_of(2), || {
            format!("head_dim {} must be even", self.head_dim)
        })
    }
}

/// `Qwen3Model`.
struct Qwen3<D: Device> {
    words: Table<D>,
    layers: Vec<Layer<D>>,
    norm: Norm<D>,
    hidden_size: usize,
}

impl<D: Device> Qwen3<D> {
    fn load(config: &Config, fields: &Qwen3Config, weights: Weights<'_, D>) -> Result<Self, Error> {
        fields.check(config)?;
        let hidden = fields.hidden_size;
        let theta = fields.rope.theta(config, "full_attention", 10_000.0)?;
        let rope = Arc::new(Rope::new(theta, fields.head_dim, RopeStyle::Half));
        let activation = crate::activation(config, "hidden_act", &fields.hidden_act)?;
        let layers = (0..fields.num_hidden_layers)
            .map(|i| {
                let place = Place { mask: fields.mask(i), rope: rope.clone(), activation };
                Layer::load(fields, place, weights.at("layers").at(i))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            words: weights.table("embed_tokens.weight", fields.vocab_size, hidden)?,
            layers,
            norm: Norm::rms(weights.at("norm"), hidden, fields.rms_norm_eps, 0.0)?,
            hidden_size: hidden,
        })
    }
}

impl<D: Device> Model<D> for Qwen3<D> {
    fn width(&self) -> usize {
        self.hidden_size
    }

    fn positions(&self) -> Option<usize> {
        None
    }

    fn forward(&self, pass: &mut D::Pass<'_>) -> Result<D::Tensor, RunError> {
        let words = pass.embed(&[Lookup { table: &self.words, index: Index::Token }])?; // [tokens, hidden]
        let x = self.layers.iter().try_fold(words, |x, layer| layer.forward(pass, x))?;
        pass.norm(&x, &self.norm)
    }
}

/// What a layer is given besides its weights.
struct Place {
    mask: Mask,
    rope: Arc<Rope>,
    activation: Activation,
}

/// `Qwen3DecoderLayer`.
struct Layer<D: Device> {
    attention_norm: Norm<D>,
    projection: Linear<D>,
    attention: Attention<D>,
    attention_output: Linear<D>,
    gated_norm: Norm<D>,
    gated: Linear<D>,
    activation: Activation,
    output: Linear<D>,
}

impl<D: Device> Layer<D> {
    fn load(fields: &Qwen3Config, place: Place, weights: Weights<'_, D>) -> Result<Self, Error> {
        let (hidden, wide) = (fields.hidden_size, fields.intermediate_size);
        let norm = |name| Norm::rms(weights.at(name), hidden, fields.rms_norm_eps, 0.0);
        let part = |place: &str, outputs| Part { weights: weights.at(place), outputs };
        let queries = fields.num_attention_heads * fields.head_dim;
        let keys = fields.num_key_value_heads * fields.head_dim;
        let projected =
            [part("self_attn.q_proj", queries), part("self_attn.k_proj", keys), part("self_attn.v_proj", keys)];
        let gated = [part("mlp.gate_proj", wide), part("mlp.up_proj", wide)];
        let bias = fields.attention_bias;
        Ok(Self {
            attention_norm: norm("input_layernorm")?,
            projection: Linear::joined(&projected, hidden, bias)?,
            attention: attention(fields, place.mask, place.rope, weights.at("self_attn"))?,
            attention_output: Linear::load(weights.at("self_attn.o_proj"), queries, hidden, bias)?,
            gated_norm: norm("post_attention_layernorm")?,
            gated: Linear::joined(&gated, hidden, false)?,
            activation: place.activation,
            output: Linear::load(weights.at("mlp.down_proj"), wide, hidden, false)?,
        })
    }

    fn forward(&self, pass: &mut D::Pass<'_>, x: D::Tensor) -> Result<D::Tensor, RunError> {
        let normed = pass.norm(&x, &self.attention_norm)?;
        let projected = pass.linear(&normed, &self.projection)?; // [tokens, (heads + 2·kv_heads)·head_dim]
        let context = pass.attention(projected, &self.attention)?; // [tokens, heads·head_dim]
        let x = pass.linear_add(&context, &self.attention_output, x)?;
        let normed = pass.norm(&x, &self.gated_norm)?;
        let both = pass.linear(&normed, &self.gated)?; // [tokens, 2·intermediate]
        let gated = pass.gate(&both, self.activation)?; // [tokens, intermediate]
        pass.linear_add(&gated, &self.output, x)
    }
}

/// `Qwen3Attention`: grouped queries, each head normalised before its rotation.
fn attention<D: Device>(
    fields: &Qwen3Config,
    mask: Mask,
    rope: Arc<Rope>,
    weights: Weights<'_, D>,
) -> Result<Attention<D>, Error> {
    let norm = |name| Norm::rms(weights.at(name), fields.head_dim, fields.rms_norm_eps, 0.0);
    let plain = Attention::bidirectional(fields.num_attention_heads, fields.head_dim);
    Ok(Attention {
        kv_heads: fields.num_key_value_heads,
        mask,
        rope: Some(rope),
        query_key_norm: Some((norm("q_norm")?, norm("k_norm")?)),
        ..plain
    })
}
