//! ModernBERT (Warner et al. 2024, arXiv:2412.13663): pre-norm encoder with rotary positions, gated
//! feed-forward blocks, and attention that is global in every n-th layer and local in the others.
//!
//! Reference: <https://github.com/huggingface/transformers/blob/v4.57.0/src/transformers/models/modernbert/modeling_modernbert.py>

use std::sync::Arc;

use backend::{Error as RunError, Pooling, PoolingMode};
use nn::{
    Activation, Attention, Config, Device, Error, FeedForward, Head, HeadLayer, Index, Linear, Lookup, Mask,
    Model, Norm, Pass, Rope, RopeDefaults, RopeSettings, Table, Weights,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct ModernBertConfig {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    #[serde(default = "crate::gelu")]
    hidden_activation: String,
    #[serde(default = "norm_eps")]
    norm_eps: f32,
    #[serde(default)]
    norm_bias: bool,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default = "every_third")]
    global_attn_every_n_layers: usize,
    #[serde(default = "local_attention")]
    local_attention: usize,
    #[serde(default = "global_rope_theta")]
    global_rope_theta: f32,
    #[serde(default = "local_rope_theta")]
    local_rope_theta: Option<f32>,
    layer_types: Option<Vec<String>>,
    #[serde(flatten)]
    rope: RopeSettings,
}

fn norm_eps() -> f32 {
    1e-5
}

fn every_third() -> usize {
    3
}

fn local_attention() -> usize {
    128
}

fn global_rope_theta() -> f32 {
    160_000.0
}

/// `null` means that of the global layers.
fn local_rope_theta() -> Option<f32> {
    Some(10_000.0)
}

const POSITIONS: usize = 8192;
const GLOBAL: &str = "full_attention";
const LOCAL: &str = "sliding_attention";

pub(crate) fn load<D: Device>(config: &Config, weights: Weights<'_, D>) -> Result<Box<dyn Model<D>>, Error> {
    let fields: ModernBertConfig = config.read()?;
    let weights = weights.below(&["model"], "embeddings.tok_embeddings.weight");
    Ok(Box::new(ModernBert::load(config, &fields, weights)?))
}

#[derive(Deserialize)]
struct ClassifierConfig {
    #[serde(default = "cls")]
    classifier_pooling: String,
    #[serde(default = "crate::gelu")]
    classifier_activation: String,
    #[serde(default)]
    classifier_bias: bool,
}

fn cls() -> String {
    "cls".into()
}

/// The head of `ModernBertForSequenceClassification`: pooling, `ModernBertPredictionHead`, one linear layer.
pub(crate) fn classifier<D: Device>(
    config: &Config,
    weights: Weights<'_, D>,
    labels: usize,
) -> Result<Head<D>, Error> {
    let base: ModernBertConfig = config.read()?;
    let fields: ClassifierConfig = config.read()?;
    let pooling = match fields.classifier_pooling.as_str() {
        "cls" => PoolingMode::Cls,
        "mean" => PoolingMode::Mean,
        other => {
            let message =
                format!("classifier_pooling \"{other}\" is not known; known are \"cls\" and \"mean\"");
            return Err(config.unsupported(message));
        }
    };
    let hidden = base.hidden_size;
    let activation = crate::activation(config, "classifier_activation", &fields.classifier_activation)?;
    let dense = Linear::load(weights.at("head.dense"), hidden, hidden, fields.classifier_bias)?;
    let norm = Norm::layer(weights.at("head.norm"), hidden, base.norm_eps, base.norm_bias)?;
    let logits = Linear::load(weights.at("classifier"), hidden, labels, true)?;
    let layers = vec![
        HeadLayer::Linear(dense.activated(activation)),
        HeadLayer::Norm(norm),
        HeadLayer::Linear(logits),
    ];
    Ok(Head::pooled(Pooling::of(pooling), layers))
}

/// `ModernBertModel`.
struct ModernBert<D: Device> {
    words: Table<D>,
    norm: Norm<D>,
    layers: Vec<Layer<D>>,
    final_norm: Norm<D>,
    hidden_size: usize,
}

impl<D: Device> ModernBert<D> {
    fn load(config: &Config, fields: &ModernBertConfig, weights: Weights<'_, D>) -> Result<Self, Error> {
        let hidden = fields.hidden_size;
        let norm = |weights| Norm::layer(weights, hidden, fields.norm_eps, fields.norm_bias);
        let kinds = LayerKinds::new(config, fields)?;
        let activation = crate::activation(config, "hidden_activation", &fields.hidden_activation)?;
        let layers = (0..fields.num_hidden_layers)
            .map(|i| {
                let place = Place { first: i == 0, attention: kinds.attention(i), activation };
                Layer::load(fields, place, weights.at("layers").at(i))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            words: weights.table("embeddings.tok_embeddings.weight", fields.vocab_size, hidden)?,
            norm: norm(weights.at("embeddings.norm"))?,
            layers,
            final_norm: norm(weights.at("final_norm"))?,
            hidden_size: hidden,
        })
    }
}

impl<D: Device> Model<D> for ModernBert<D> {
    fn width(&self) -> usize {
        self.hidden_size
    }

    fn positions(&self) -> Option<usize> {
        None
    }

    fn forward(&self, pass: &mut D::Pass<'_>) -> Result<D::Tensor, RunError> {
        let words = pass.embed(&[Lookup { table: &self.words, index: Index::Token }])?;
        let embedded = pass.norm(&words, &self.norm)?; // [tokens, hidden]
        let x = self.layers.iter().try_fold(embedded, |x, layer| layer.forward(pass, x))?;
        pass.norm(&x, &self.final_norm)
    }
}

/// Which layers see the whole text, and which a window; each kind has its own rotation.
struct LayerKinds {
    heads: usize,
    head_dim: usize,
    every: usize,
    named: Option<Vec<String>>,
    window: usize,
    global: Arc<Rope>,
    local: Arc<Rope>,
}

impl LayerKinds {
    fn new(config: &Config, fields: &ModernBertConfig) -> Result<Self, Error> {
        let head_dim = crate::head_dim(config, fields.hidden_size, fields.num_attention_heads)?;
        config.check_size("intermediate_size", fields.intermediate_size)?;
        let every = fields.global_attn_every_n_layers;
        config.check(every > 0, || "global_attn_every_n_layers is 0; it must be at least 1".into())?;
        for kind in fields.layer_types.iter().flatten() {
            let known = kind == GLOBAL || kind == LOCAL;
            config.check(known, || format!("layer_types has \"{kind}\"; known are {GLOBAL} and {LOCAL}"))?;
        }
        let local_theta = fields.local_rope_theta.unwrap_or(fields.global_rope_theta);
        let rope = |kind, theta| {
            fields.rope.rope(config, kind, RopeDefaults { dim: head_dim, theta, positions: POSITIONS })
        };
        Ok(Self {
            heads: fields.num_attention_heads,
            head_dim,
            every,
            named: fields.layer_types.clone(),
            window: fields.local_attention / 2,
            global: rope(GLOBAL, fields.global_rope_theta)?,
            local: rope(LOCAL, local_theta)?,
        })
    }

    fn attention<D: Device>(&self, layer: usize) -> Attention<D> {
        let plain = Attention::bidirectional(self.heads, self.head_dim);
        if self.is_global(layer) {
            return Attention { rope: Some(self.global.clone()), ..plain };
        }
        let mask = Mask::Window { left: self.window, right: self.window };
        Attention { mask, rope: Some(self.local.clone()), ..plain }
    }

    fn is_global(&self, layer: usize) -> bool {
        match self.named.as_ref().and_then(|named| named.get(layer)) {
            Some(kind) => kind == GLOBAL,
            None => layer.is_multiple_of(self.every),
        }
    }
}

/// What a layer is given besides its weights.
struct Place<D: Device> {
    first: bool,
    attention: Attention<D>,
    activation: Activation,
}

/// `ModernBertEncoderLayer`; the first layer's attention has no norm before it.
struct Layer<D: Device> {
    attention_norm: Option<Norm<D>>,
    projection: Linear<D>,
    attention: Attention<D>,
    attention_output: Linear<D>,
    feed_forward: FeedForward<D>,
}

impl<D: Device> Layer<D> {
    fn load(fields: &ModernBertConfig, place: Place<D>, weights: Weights<'_, D>) -> Result<Self, Error> {
        let (hidden, wide) = (fields.hidden_size, fields.intermediate_size);
        let (attention_bias, mlp_bias) = (fields.attention_bias, fields.mlp_bias);
        let norm = |name| Norm::layer(weights.at(name), hidden, fields.norm_eps, fields.norm_bias);
        Ok(Self {
            attention_norm: if place.first { None } else { Some(norm("attn_norm")?) },
            projection: Linear::load(weights.at("attn.Wqkv"), hidden, 3 * hidden, attention_bias)?,
            attention: place.attention,
            attention_output: Linear::load(weights.at("attn.Wo"), hidden, hidden, attention_bias)?,
            feed_forward: FeedForward {
                norm: Some(norm("mlp_norm")?),
                ..FeedForward::new(
                    Linear::load(weights.at("mlp.Wi"), hidden, 2 * wide, mlp_bias)?,
                    Some(place.activation),
                    Linear::load(weights.at("mlp.Wo"), wide, hidden, mlp_bias)?,
                )
            },
        })
    }

    fn forward(&self, pass: &mut D::Pass<'_>, x: D::Tensor) -> Result<D::Tensor, RunError> {
        let projected = match &self.attention_norm {
            Some(norm) => {
                let normed = pass.norm(&x, norm)?;
                pass.linear(&normed, &self.projection)?
            }
            None => pass.linear(&x, &self.projection)?,
        }; // [tokens, 3·hidden]
        let context = pass.attention(projected, &self.attention)?; // [tokens, hidden]
        let x = pass.linear_add(&context, &self.attention_output, x)?;
        pass.feed_forward(x, &self.feed_forward)
    }
}
