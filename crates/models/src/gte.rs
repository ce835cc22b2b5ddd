//! GTE's encoder (Zhang et al. 2024, arXiv:2407.19669): post-norm, rotary positions, gated feed-forward blocks.
//!
//! References: <https://huggingface.co/Alibaba-NLP/new-impl/blob/main/modeling.py> for `model_type` "new"; for "gte", which
//! stores the same names, <https://github.com/huggingface/transformers/blob/v5.23.0/src/transformers/models/gte/modeling_gte.py>

use std::sync::Arc;

use nn::{
    Activation, Config, Device, Error, FeedForward, Head, Linear, Model, Norm, Part, Rope, RopeDefaults,
    RopeSettings, Weights,
};
use serde::Deserialize;

use crate::decoder::FULL;
use crate::post_norm::{self, Encoder, Layer, Shape, segments};

#[derive(Deserialize)]
struct GteConfig {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    head_dim: Option<usize>,
    intermediate_size: usize,
    #[serde(default = "gelu")]
    hidden_act: String,
    #[serde(default = "one")]
    type_vocab_size: usize,
    #[serde(default = "layer_norm_eps")]
    layer_norm_eps: f32,
    #[serde(default = "layer_norm")]
    layer_norm_type: String,
    #[serde(default = "rope")]
    position_embedding_type: String,
    #[serde(default)]
    logn_attention_scale: bool,
    #[serde(flatten)]
    rope: RopeSettings,
}

fn gelu() -> String {
    "gelu".into()
}

fn one() -> usize {
    1
}

fn layer_norm_eps() -> f32 {
    1e-12
}

fn layer_norm() -> String {
    "layer_norm".into()
}

fn rope() -> String {
    "rope".into()
}

/// Theta where the config names none, by `model_type`.
const THETA: f32 = 160_000.0;
const HUB_THETA: f32 = 10_000.0;
const POSITIONS: usize = 8192;
const PREFIXES: [&str; 2] = ["new", "gte"];

pub(crate) fn load<D: Device>(config: &Config, weights: Weights<'_, D>) -> Result<Box<dyn Model<D>>, Error> {
    let fields: GteConfig = config.read()?;
    let parts = Parts::new(config, &fields)?;
    let weights = weights.below(&PREFIXES, "embeddings.word_embeddings.weight");
    let embeddings = weights.at("embeddings");
    let hidden = fields.hidden_size;
    let layers = (0..fields.num_hidden_layers)
        .map(|i| parts.layer(&weights.at("encoder.layer").at(i)))
        .collect::<Result<_, _>>()?;
    Ok(Box::new(Encoder {
        words: embeddings.table("word_embeddings.weight", fields.vocab_size, hidden)?,
        segments: segments(&embeddings, fields.type_vocab_size, hidden)?,
        norm: parts.norm(embeddings.at("LayerNorm"))?,
        layers,
        hidden_size: hidden,
    }))
}

/// The head of `NewForSequenceClassification` and `GteForSequenceClassification`.
pub(crate) fn classifier<D: Device>(
    config: &Config,
    weights: Weights<'_, D>,
    labels: usize,
) -> Result<Head<D>, Error> {
    let hidden = config.read::<GteConfig>()?.hidden_size;
    let base = weights.below(&PREFIXES, "pooler.dense.weight");
    post_norm::classifier(&base, &weights, hidden, labels)
}

impl GteConfig {
    fn check(&self, config: &Config) -> Result<(), Error> {
        let position = &self.position_embedding_type;
        if position != "rope" {
            let message =
                format!("position_embedding_type \"{position}\" is not supported for gte; \"rope\" is");
            return Err(config.unsupported(message));
        }
        if self.logn_attention_scale {
            return Err(config.unsupported("logn_attention_scale true is not supported for gte"));
        }
        let norm = &self.layer_norm_type;
        if norm != "layer_norm" && norm != "rms_norm" {
            let message =
                format!("layer_norm_type \"{norm}\" is not known; known are layer_norm and rms_norm");
            return Err(config.unsupported(message));
        }
        Ok(())
    }
}

/// What all layers are made by.
struct Parts {
    shape: Shape,
    rope: Arc<Rope>,
    activation: Activation,
    epsilon: f32,
    rms: bool,
}

impl Parts {
    fn new(config: &Config, fields: &GteConfig) -> Result<Self, Error> {
        fields.check(config)?;
        let widths = (fields.hidden_size, fields.intermediate_size);
        let shape = Shape::new(config, widths, fields.num_attention_heads, fields.head_dim)?;
        let theta = if config.model_type()? == "new" { HUB_THETA } else { THETA };
        let defaults = RopeDefaults { dim: shape.head_dim, theta, positions: POSITIONS };
        Ok(Self {
            shape,
            rope: fields.rope.rope(config, FULL, defaults)?,
            activation: crate::activation(config, "hidden_act", &fields.hidden_act)?,
            epsilon: fields.layer_norm_eps,
            rms: fields.layer_norm_type == "rms_norm",
        })
    }

    fn norm<D: Device>(&self, weights: Weights<'_, D>) -> Result<Norm<D>, Error> {
        let columns = self.shape.hidden;
        if self.rms {
            Norm::rms(weights, columns, self.epsilon, 0.0)
        } else {
            Norm::layer(weights, columns, self.epsilon, true)
        }
    }

    /// `NewLayer`: the feed-forward block stores what is gated before its gate.
    fn layer<D: Device>(&self, weights: &Weights<'_, D>) -> Result<Layer<D>, Error> {
        let Shape { hidden, wide, .. } = self.shape;
        let attended = self.shape.attended();
        Ok(Layer {
            projection: self.projection(&weights.at("attention"))?,
            attention: self.shape.attention(&self.rope),
            attention_output: Linear::load(weights.at("attention.o_proj"), attended, hidden, true)?,
            attention_norm: self.norm(weights.at("attn_ln"))?,
            feed_forward: FeedForward::new(
                Linear::swapped(weights.at("mlp.up_gate_proj"), hidden, 2 * wide)?,
                Some(self.activation),
                Linear::load(weights.at("mlp.down_proj"), wide, hidden, true)?,
            ),
            output_norm: self.norm(weights.at("mlp_ln"))?,
        })
    }

    /// Queries, keys and values, packed or not (`pack_qkv`).
    fn projection<D: Device>(&self, weights: &Weights<'_, D>) -> Result<Linear<D>, Error> {
        let (hidden, attended) = (self.shape.hidden, self.shape.attended());
        if weights.has("q_proj.weight") {
            let parts = ["q_proj", "k_proj", "v_proj"]
                .map(|name| Part { weights: weights.at(name), outputs: attended });
            return Linear::joined(&parts, hidden, true);
        }
        Linear::load(weights.at("qkv_proj"), hidden, 3 * attended, true)
    }
}
