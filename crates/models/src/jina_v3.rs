//! Jina v3 (Sturua et al. 2024, arXiv:2409.10173): XLM-RoBERTa with rotary positions. Its task adapters are not
//! applied: without a task the reference leaves them out too.
//!
//! References: <https://huggingface.co/jinaai/xlm-roberta-flash-implementation> (`modeling_xlm_roberta.py`,
//! `modeling_lora.py`), whose `model_type` is "xlm-roberta"; and, with the same names stored,
//! <https://github.com/huggingface/transformers/blob/v5.23.0/src/transformers/models/jina_embeddings_v3/modeling_jina_embeddings_v3.py>

use std::sync::Arc;

use nn::{
    Activation, Config, Device, Error, FeedForward, Head, Linear, Model, Norm, Rope, RopeDefaults,
    RopeSettings, Weights,
};
use serde::Deserialize;

use crate::decoder::FULL;
use crate::post_norm::{Encoder, Layer, Shape, segments};

#[derive(Deserialize)]
struct JinaV3Config {
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
    rotary_emb_base: Option<f32>,
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
    1e-5
}

const THETA: f32 = 20_000.0;
const HUB_THETA: f32 = 10_000.0;
const POSITIONS: usize = 8194;

/// Whether the config is the hub's, whose `model_type` belongs to another architecture and whose code is Jina's.
pub(crate) fn is_hub_form(config: &Config) -> bool {
    let code = config.value()["auto_map"]["AutoModel"].as_str();
    code.is_some_and(|code| code.starts_with("jinaai/xlm-roberta-flash-implementation"))
}

pub(crate) fn load<D: Device>(config: &Config, weights: Weights<'_, D>) -> Result<Box<dyn Model<D>>, Error> {
    let fields: JinaV3Config = config.read()?;
    let parts = Parts::new(config, &fields)?;
    let weights = weights.before_parametrization().below(&["roberta"], "embeddings.word_embeddings.weight");
    let embeddings = weights.at("embeddings");
    let hidden = fields.hidden_size;
    let layers = (0..fields.num_hidden_layers)
        .map(|i| parts.layer(&weights.at("encoder.layers").at(i)))
        .collect::<Result<_, _>>()?;
    Ok(Box::new(Encoder {
        words: embeddings.table("word_embeddings.weight", fields.vocab_size, hidden)?,
        segments: segments(&embeddings, fields.type_vocab_size, hidden)?,
        norm: parts.norm(weights.at("emb_ln"))?,
        layers,
        hidden_size: hidden,
    }))
}

pub(crate) fn classifier<D: Device>(config: &Config, _: Weights<'_, D>, _: usize) -> Result<Head<D>, Error> {
    crate::no_classifier(config)
}

/// What all layers are made by.
struct Parts {
    shape: Shape,
    rope: Arc<Rope>,
    activation: Activation,
    epsilon: f32,
}

impl Parts {
    fn new(config: &Config, fields: &JinaV3Config) -> Result<Self, Error> {
        let hub = is_hub_form(config);
        let position = config.value()["position_embedding_type"].as_str().unwrap_or("absolute");
        if hub && position != "rotary" {
            let message = format!(
                "position_embedding_type \"{position}\" is not supported for this code; \"rotary\" is"
            );
            return Err(config.unsupported(message));
        }
        let widths = (fields.hidden_size, fields.intermediate_size);
        let shape = Shape::new(config, widths, fields.num_attention_heads, fields.head_dim)?;
        let theta = fields.rotary_emb_base.filter(|_| hub).unwrap_or(if hub { HUB_THETA } else { THETA });
        let defaults = RopeDefaults { dim: shape.head_dim, theta, positions: POSITIONS };
        Ok(Self {
            shape,
            rope: fields.rope.rope(config, FULL, defaults)?,
            activation: crate::activation(config, "hidden_act", &fields.hidden_act)?,
            epsilon: fields.layer_norm_eps,
        })
    }

    fn norm<D: Device>(&self, weights: Weights<'_, D>) -> Result<Norm<D>, Error> {
        Norm::layer(weights, self.shape.hidden, self.epsilon, true)
    }

    /// `Block` of the hub, `JinaEmbeddingsV3Layer` of transformers.
    fn layer<D: Device>(&self, weights: &Weights<'_, D>) -> Result<Layer<D>, Error> {
        let Shape { hidden, wide, .. } = self.shape;
        let attended = self.shape.attended();
        Ok(Layer {
            projection: Linear::load(weights.at("mixer.Wqkv"), hidden, 3 * attended, true)?,
            attention: self.shape.attention(&self.rope),
            attention_output: Linear::load(weights.at("mixer.out_proj"), attended, hidden, true)?,
            attention_norm: self.norm(weights.at("norm1"))?,
            feed_forward: FeedForward::new(
                Linear::load(weights.at("mlp.fc1"), hidden, wide, true)?.activated(self.activation),
                None,
                Linear::load(weights.at("mlp.fc2"), wide, hidden, true)?,
            ),
            output_norm: self.norm(weights.at("norm2"))?,
        })
    }
}
