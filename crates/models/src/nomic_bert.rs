//! Nomic BERT (Nussbaum et al. 2024, arXiv:2402.01613): BERT with rotary positions and gated feed-forward blocks.
//!
//! References: <https://huggingface.co/nomic-ai/nomic-bert-2048/blob/main/modeling_hf_nomic_bert.py>, whose config has
//! the names of GPT-2; and, with the same tensors under a config of BERT's names,
//! <https://github.com/huggingface/transformers/blob/v5.23.0/src/transformers/models/nomic_bert/modeling_nomic_bert.py>

use std::sync::Arc;

use nn::{
    Activation, Config, Device, Error, FeedForward, Frequencies, Head, Linear, Model, Norm, Part, Rope,
    RopeDefaults, RopeSettings, RopeStyle, Weights,
};
use serde::Deserialize;

use crate::decoder::FULL;
use crate::post_norm::{self, Encoder, Layer, Shape, segments};

/// The config of transformers: no biases, always gated.
#[derive(Deserialize)]
struct NomicBertConfig {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    head_dim: Option<usize>,
    intermediate_size: usize,
    #[serde(default = "silu")]
    hidden_act: String,
    #[serde(default = "two")]
    type_vocab_size: usize,
    #[serde(default = "layer_norm_eps")]
    layer_norm_eps: f32,
    #[serde(flatten)]
    rope: RopeSettings,
}

/// The config of the hub's own code.
#[derive(Deserialize)]
struct HubConfig {
    vocab_size: usize,
    n_embd: usize,
    n_layer: usize,
    n_head: usize,
    n_inner: usize,
    activation_function: String,
    #[serde(default = "two")]
    type_vocab_size: usize,
    #[serde(default = "layer_norm_epsilon")]
    layer_norm_epsilon: f32,
    #[serde(default = "yes")]
    qkv_proj_bias: bool,
    #[serde(default = "yes")]
    mlp_fc1_bias: bool,
    #[serde(default = "yes")]
    mlp_fc2_bias: bool,
    #[serde(default)]
    rotary_emb_fraction: f32,
    #[serde(default = "rotary_emb_base")]
    rotary_emb_base: f32,
    #[serde(default)]
    rotary_emb_interleaved: bool,
    rotary_scaling_factor: Option<f32>,
    #[serde(default = "max_trained_positions")]
    max_trained_positions: usize,
}

fn silu() -> String {
    "silu".into()
}

fn two() -> usize {
    2
}

fn layer_norm_eps() -> f32 {
    1e-12
}

fn layer_norm_epsilon() -> f32 {
    1e-5
}

fn yes() -> bool {
    true
}

fn rotary_emb_base() -> f32 {
    10_000.0
}

fn max_trained_positions() -> usize {
    2048
}

/// Fields of the hub's config that would change the result, and the values that leave it as it is.
const PLAIN: [(&str, &[&str]); 12] = [
    ("prenorm", &["false"]),
    ("use_rms_norm", &["false"]),
    ("causal", &["false"]),
    ("parallel_block", &["false"]),
    ("norm_mlp", &["false"]),
    ("rotary_head_dim", &["false"]),
    ("rotary_emb_scale_base", &[]),
    ("num_heads_kv", &[]),
    ("num_experts", &["0"]),
    ("moe_every_n_layers", &["0"]),
    ("scale_attn_by_inverse_layer_idx", &["false"]),
    ("scale_attn_weights", &["true"]),
];

const THETA: f32 = 1000.0;
const POSITIONS: usize = 2048;
const PREFIXES: [&str; 2] = ["nomic_bert", "bert"];

pub(crate) fn load<D: Device>(config: &Config, weights: Weights<'_, D>) -> Result<Box<dyn Model<D>>, Error> {
    let parts = Parts::new(config)?;
    let weights = weights.below(&PREFIXES, "embeddings.word_embeddings.weight");
    let embeddings = weights.at("embeddings");
    let hidden = parts.shape.hidden;
    let layers = (0..parts.layers)
        .map(|i| parts.layer(&weights.at("encoder.layers").at(i)))
        .collect::<Result<_, _>>()?;
    Ok(Box::new(Encoder {
        words: embeddings.table("word_embeddings.weight", parts.words, hidden)?,
        segments: segments(&embeddings, parts.segments, hidden)?,
        norm: parts.norm(weights.at("emb_ln"))?,
        layers,
        hidden_size: hidden,
    }))
}

/// The head of `NomicBertForSequenceClassification`.
pub(crate) fn classifier<D: Device>(
    config: &Config,
    weights: Weights<'_, D>,
    labels: usize,
) -> Result<Head<D>, Error> {
    let hidden = Parts::new(config)?.shape.hidden;
    let base = weights.below(&PREFIXES, "pooler.dense.weight");
    post_norm::classifier(&base, &weights, hidden, labels)
}

/// What either config says.
struct Parts {
    words: usize,
    segments: usize,
    layers: usize,
    shape: Shape,
    rope: Arc<Rope>,
    epsilon: f32,
    projection_bias: bool,
    wide_bias: bool,
    output_bias: bool,
    gated: bool,
    activation: Activation,
}

impl Parts {
    fn new(config: &Config) -> Result<Self, Error> {
        if config.value()["n_embd"].is_null() { Self::of_transformers(config) } else { Self::of_hub(config) }
    }

    fn of_transformers(config: &Config) -> Result<Self, Error> {
        let fields: NomicBertConfig = config.read()?;
        let widths = (fields.hidden_size, fields.intermediate_size);
        let shape = Shape::new(config, widths, fields.num_attention_heads, fields.head_dim)?;
        let defaults = RopeDefaults { dim: shape.head_dim, theta: THETA, positions: POSITIONS };
        Ok(Self {
            words: fields.vocab_size,
            segments: fields.type_vocab_size,
            layers: fields.num_hidden_layers,
            shape,
            rope: fields.rope.rope(config, FULL, defaults)?,
            epsilon: fields.layer_norm_eps,
            projection_bias: false,
            wide_bias: false,
            output_bias: false,
            gated: true,
            activation: crate::activation(config, "hidden_act", &fields.hidden_act)?,
        })
    }

    fn of_hub(config: &Config) -> Result<Self, Error> {
        for (name, plain) in PLAIN {
            let value = &config.value()[name];
            if !value.is_null() && !plain.contains(&value.to_string().as_str()) {
                return Err(config.unsupported(format!("{name} {value} is not supported for nomic_bert")));
            }
        }
        let fields: HubConfig = config.read()?;
        let shape = Shape::new(config, (fields.n_embd, fields.n_inner), fields.n_head, None)?;
        let (gated, activation) = fields.feed_forward(config)?;
        Ok(Self {
            words: fields.vocab_size,
            segments: fields.type_vocab_size,
            layers: fields.n_layer,
            shape,
            rope: fields.rope(config, shape.head_dim)?,
            epsilon: fields.layer_norm_epsilon,
            projection_bias: fields.qkv_proj_bias,
            wide_bias: fields.mlp_fc1_bias,
            output_bias: fields.mlp_fc2_bias,
            gated,
            activation,
        })
    }

    fn norm<D: Device>(&self, weights: Weights<'_, D>) -> Result<Norm<D>, Error> {
        Norm::layer(weights, self.shape.hidden, self.epsilon, true)
    }

    /// `NomicBertBlock`.
    fn layer<D: Device>(&self, weights: &Weights<'_, D>) -> Result<Layer<D>, Error> {
        let Shape { hidden, wide, .. } = self.shape;
        let (attended, bias) = (self.shape.attended(), self.projection_bias);
        Ok(Layer {
            projection: Linear::load(weights.at("attn.Wqkv"), hidden, 3 * attended, bias)?,
            attention: self.shape.attention(&self.rope),
            attention_output: Linear::load(weights.at("attn.out_proj"), attended, hidden, bias)?,
            attention_norm: self.norm(weights.at("norm1"))?,
            feed_forward: FeedForward::new(
                self.wide(&weights.at("mlp"))?,
                self.gated.then_some(self.activation),
                Linear::load(weights.at("mlp.fc2"), wide, hidden, self.output_bias)?,
            ),
            output_norm: self.norm(weights.at("norm2"))?,
        })
    }

    /// The first layer of the feed-forward block; of a gated one `fc12` is the gate.
    fn wide<D: Device>(&self, weights: &Weights<'_, D>) -> Result<Linear<D>, Error> {
        let Shape { hidden, wide, .. } = self.shape;
        if self.gated {
            let parts = ["fc12", "fc11"].map(|name| Part { weights: weights.at(name), outputs: wide });
            return Linear::joined(&parts, hidden, self.wide_bias);
        }
        Ok(Linear::load(weights.at("fc1"), hidden, wide, self.wide_bias)?.activated(self.activation))
    }
}

impl HubConfig {
    /// Whether the block is gated, and its activation.
    fn feed_forward(&self, config: &Config) -> Result<(bool, Activation), Error> {
        match self.activation_function.as_str() {
            "swiglu" => Ok((true, Activation::Silu)),
            "geglu" => Ok((true, Activation::Gelu)),
            "glu" => Ok((true, Activation::Sigmoid)),
            "gelu" => Ok((false, Activation::Gelu)),
            other => Err(config.unsupported(format!(
                "activation_function \"{other}\" is not supported for nomic_bert; supported are swiglu, geglu, glu and gelu"
            ))),
        }
    }

    /// With `rotary_scaling_factor` theta grows with texts longer than those of the training.
    fn rope(&self, config: &Config, head_dim: usize) -> Result<Arc<Rope>, Error> {
        let (theta, fraction, trained) =
            (self.rotary_emb_base, self.rotary_emb_fraction, self.max_trained_positions);
        let dim = (head_dim as f32 * fraction) as usize;
        if fraction == 0.0 {
            return Err(config
                .unsupported("rotary_emb_fraction 0 is not supported for nomic_bert: learned positions"));
        }
        config.check((2..=head_dim).contains(&dim) && dim.is_multiple_of(2), || {
            format!("rotary_emb_fraction {fraction} of {head_dim} columns is {dim}; it must be even, from 2 to {head_dim}")
        })?;
        config.check(theta.is_finite() && theta > 0.0, || {
            format!("rotary_emb_base is {theta}; it must be above 0")
        })?;
        let style = if self.rotary_emb_interleaved { RopeStyle::Interleaved } else { RopeStyle::Half };
        let Some(factor) = self.rotary_scaling_factor.filter(|&factor| factor != 0.0) else {
            return Ok(Arc::new(Rope::new(theta, dim, style)));
        };
        config.check(factor > 0.0 && trained > 0 && dim > 2, || {
            format!(
                "rotary_scaling_factor {factor} needs max_trained_positions and more than 2 rotated columns"
            )
        })?;
        let frequencies = Frequencies::Dynamic { theta, factor, trained };
        Ok(Arc::new(Rope::scaled(dim, style, frequencies, 1.0)))
    }
}
