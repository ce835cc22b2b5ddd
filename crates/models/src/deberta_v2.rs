//! DeBERTa-v2 and v3 (He et al. 2021, arXiv:2006.03654 and arXiv:2111.09543): post-norm encoder whose relative positions meet
//! queries and keys, with an optional convolution beside the first layer.
//!
//! Reference: <https://github.com/huggingface/transformers/blob/v4.57.0/src/transformers/models/deberta_v2/modeling_deberta_v2.py>

use backend::Error as RunError;
use nn::{
    Activation, Config, Convolution, Device, Error, FeedForward, Head, Index, Linear, Lookup, Model, Norm,
    Part, Pass, Table, Weights,
};
use serde::Deserialize;

use crate::disentangled::Relative;
use crate::post_norm::Layer;

/// Defaults: <https://github.com/huggingface/transformers/blob/v4.57.0/src/transformers/models/deberta_v2/configuration_deberta_v2.py>
/// and the `getattr`s of the reference.
#[derive(Deserialize)]
pub(crate) struct DebertaConfig {
    vocab_size: usize,
    pub(crate) hidden_size: usize,
    num_hidden_layers: usize,
    pub(crate) num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: String,
    pub(crate) max_position_embeddings: usize,
    #[serde(default)]
    type_vocab_size: usize,
    #[serde(default = "layer_norm_eps")]
    pub(crate) layer_norm_eps: f32,
    #[serde(default)]
    pub(crate) relative_attention: bool,
    pub(crate) max_relative_positions: Option<i64>,
    pub(crate) position_buckets: Option<i64>,
    position_biased_input: Option<bool>,
    pub(crate) pos_att_type: Option<Names>,
    #[serde(default)]
    pub(crate) share_att_key: bool,
    pub(crate) norm_rel_ebd: Option<String>,
    embedding_size: Option<usize>,
    attention_head_size: Option<usize>,
    pooler_hidden_act: Option<String>,
    pooler_hidden_size: Option<usize>,
    conv_kernel_size: Option<i64>,
    conv_groups: Option<usize>,
    conv_act: Option<String>,
}

fn layer_norm_eps() -> f32 {
    1e-7
}

/// Written as `"p2c|c2p"` or as a list.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Names {
    Joined(String),
    Listed(Vec<String>),
}

pub(crate) fn load<D: Device>(config: &Config, weights: Weights<'_, D>) -> Result<Box<dyn Model<D>>, Error> {
    let fields: DebertaConfig = config.read()?;
    let weights = weights.below(&["deberta"], "embeddings.word_embeddings.weight");
    Ok(Box::new(Deberta::load(config, &fields, weights)?))
}

/// The head of `DebertaV2ForSequenceClassification`: `ContextPooler`, then one linear layer.
pub(crate) fn classifier<D: Device>(
    config: &Config,
    weights: Weights<'_, D>,
    labels: usize,
) -> Result<Head<D>, Error> {
    let fields: DebertaConfig = config.read()?;
    let (hidden, pooled) = (fields.hidden_size, fields.pooler_hidden_size.unwrap_or(fields.hidden_size));
    config.check(pooled == hidden, || {
        format!("pooler_hidden_size is {pooled}, hidden_size {hidden}; they must agree")
    })?;
    let activation = crate::activation(
        config,
        "pooler_hidden_act",
        fields.pooler_hidden_act.as_deref().unwrap_or("gelu"),
    )?;
    let pooler = Linear::load(weights.at("pooler.dense"), hidden, hidden, true)?.activated(activation);
    let logits = Linear::load(weights.at("classifier"), hidden, labels, true)?;
    Ok(crate::first_token_head(pooler, logits))
}

/// `DebertaV2Model`.
struct Deberta<D: Device> {
    embeddings: Embeddings<D>,
    layers: Vec<Layer<D>>,
    convolution: Option<ConvolutionLayer<D>>,
    hidden_size: usize,
}

impl<D: Device> Deberta<D> {
    fn load(config: &Config, fields: &DebertaConfig, weights: Weights<'_, D>) -> Result<Self, Error> {
        config.check_size("intermediate_size", fields.intermediate_size)?;
        let head_dim = crate::head_dim(config, fields.hidden_size, fields.num_attention_heads)?;
        if let Some(asked) = fields.attention_head_size.filter(|&asked| asked != head_dim) {
            return Err(config
                .broken(format!("attention_head_size is {asked}, not hidden_size / num_attention_heads")));
        }
        let activation = crate::activation(config, "hidden_act", &fields.hidden_act)?;
        let encoder = weights.at("encoder");
        let relative = Relative::load(config, fields, &encoder)?;
        let layers = (0..fields.num_hidden_layers)
            .map(|i| layer(fields, &relative, activation, encoder.at("layer").at(i)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            embeddings: Embeddings::load(config, fields, weights.at("embeddings"))?,
            layers,
            convolution: ConvolutionLayer::load(config, fields, encoder.at("conv"))?,
            hidden_size: fields.hidden_size,
        })
    }
}

impl<D: Device> Model<D> for Deberta<D> {
    fn width(&self) -> usize {
        self.hidden_size
    }

    fn positions(&self) -> Option<usize> {
        self.embeddings.positions.as_ref().map(|table| table.rows)
    }

    fn forward(&self, pass: &mut D::Pass<'_>) -> Result<D::Tensor, RunError> {
        let mut x = self.embeddings.forward(pass)?;
        // It reads what the first layer reads, and is added to what that makes.
        let mut beside =
            self.convolution.as_ref().map(|layer| pass.neighbours(&x, layer.reach)).transpose()?;
        for layer in &self.layers {
            x = layer.forward(pass, x)?;
            if let (Some(layer), Some(beside)) = (&self.convolution, beside.take()) {
                x = layer.forward(pass, &beside, x)?;
            }
        }
        Ok(x)
    }
}

/// `DebertaV2Embeddings`: a sum, projected where it is of another width, and normalised.
struct Embeddings<D: Device> {
    words: Table<D>,
    positions: Option<Table<D>>,
    segments: Option<Table<D>>,
    projection: Option<Linear<D>>,
    norm: Norm<D>,
}

impl<D: Device> Embeddings<D> {
    fn load(config: &Config, fields: &DebertaConfig, weights: Weights<'_, D>) -> Result<Self, Error> {
        let hidden = fields.hidden_size;
        let width = fields.embedding_size.unwrap_or(hidden);
        config.check_size("embedding_size", width)?;
        let optional =
            |wanted: bool, name, rows| wanted.then(|| weights.table(name, rows, width)).transpose();
        let (places, types) = (fields.max_position_embeddings, fields.type_vocab_size);
        let projection = || Linear::load(weights.at("embed_proj"), width, hidden, false);
        Ok(Self {
            words: weights.table("word_embeddings.weight", fields.vocab_size, width)?,
            positions: optional(
                fields.position_biased_input != Some(false),
                "position_embeddings.weight",
                places,
            )?,
            segments: optional(types > 0, "token_type_embeddings.weight", types)?,
            projection: (width != hidden).then(projection).transpose()?,
            norm: Norm::layer(weights.at("LayerNorm"), hidden, fields.layer_norm_eps, true)?,
        })
    }

    fn forward(&self, pass: &mut D::Pass<'_>) -> Result<D::Tensor, RunError> {
        let words = Some(Lookup { table: &self.words, index: Index::Token });
        let position = Index::Position { offset: 0 };
        let positions = self.positions.as_ref().map(|table| Lookup { table, index: position });
        let segments = self.segments.as_ref().map(|table| Lookup { table, index: Index::Segment });
        let lookups: Vec<_> = [words, positions, segments].into_iter().flatten().collect();
        let mut sum = pass.embed(&lookups)?; // [tokens, embedding_size]
        if let Some(projection) = &self.projection {
            sum = pass.linear(&sum, projection)?;
        }
        pass.norm(&sum, &self.norm) // [tokens, hidden]
    }
}

/// `DebertaV2Layer`.
fn layer<D: Device>(
    fields: &DebertaConfig,
    relative: &Relative<D>,
    activation: Activation,
    weights: Weights<'_, D>,
) -> Result<Layer<D>, Error> {
    let (hidden, wide, epsilon) = (fields.hidden_size, fields.intermediate_size, fields.layer_norm_eps);
    let (own, attended) = (weights.at("attention.self"), weights.at("attention.output"));
    let projected =
        ["query_proj", "key_proj", "value_proj"].map(|name| Part { weights: own.at(name), outputs: hidden });
    let intermediate = Linear::load(weights.at("intermediate.dense"), hidden, wide, true)?;
    Ok(Layer {
        projection: Linear::joined(&projected, hidden, true)?,
        attention: relative.attention(fields, &own)?,
        attention_output: Linear::load(attended.at("dense"), hidden, hidden, true)?,
        attention_norm: Norm::layer(attended.at("LayerNorm"), hidden, epsilon, true)?,
        feed_forward: FeedForward::new(
            intermediate.activated(activation),
            None,
            Linear::load(weights.at("output.dense"), wide, hidden, true)?,
        ),
        output_norm: Norm::layer(weights.at("output.LayerNorm"), hidden, epsilon, true)?,
    })
}

/// `ConvLayer`: what the first layer makes, plus a convolution of what it was given, normalised.
struct ConvolutionLayer<D: Device> {
    reach: usize,
    convolution: Linear<D>,
    norm: Norm<D>,
}

impl<D: Device> ConvolutionLayer<D> {
    fn load(config: &Config, fields: &DebertaConfig, weights: Weights<'_, D>) -> Result<Option<Self>, Error> {
        let Ok(taps @ 1..) = usize::try_from(fields.conv_kernel_size.unwrap_or(0)) else { return Ok(None) };
        let (hidden, groups) = (fields.hidden_size, fields.conv_groups.unwrap_or(1));
        config.check_size("conv_kernel_size", taps)?;
        config.check(taps % 2 == 1 && groups > 0 && hidden.is_multiple_of(groups), || {
            format!("conv_kernel_size {taps} must be odd, and hidden_size {hidden} a multiple of conv_groups {groups}")
        })?;
        let activation = crate::activation(config, "conv_act", fields.conv_act.as_deref().unwrap_or("tanh"))?;
        let shape = Convolution { inputs: hidden, outputs: hidden, taps, groups };
        let convolution = Linear::convolution(&weights.at("conv"), &shape)?.activated(activation);
        let norm = Norm::layer(weights.at("LayerNorm"), hidden, fields.layer_norm_eps, true)?;
        Ok(Some(Self { reach: taps / 2, convolution, norm }))
    }

    fn forward(
        &self,
        pass: &mut D::Pass<'_>,
        beside: &D::Tensor,
        x: D::Tensor,
    ) -> Result<D::Tensor, RunError> {
        let x = pass.linear_add(beside, &self.convolution, x)?; // [tokens, hidden]
        pass.norm(&x, &self.norm)
    }
}
