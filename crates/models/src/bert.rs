//! BERT (Devlin et al. 2018, arXiv:1810.04805): post-norm encoder with learned positions.
//!
//! Reference: <https://github.com/huggingface/transformers/blob/v4.57.0/src/transformers/models/bert/modeling_bert.py>

use backend::{Error as RunError, Pooling, PoolingMode};
use nn::{Activation, Attention, Config, Device, Error, Head, Index, Linear, Lookup, Model, Norm, Part, Pass, Table, Weights};
use serde::Deserialize;

#[derive(Deserialize)]
struct BertConfig {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    hidden_act: String,
    #[serde(default = "layer_norm_eps")]
    layer_norm_eps: f32,
    #[serde(default = "absolute")]
    position_embedding_type: String,
    #[serde(default)]
    is_decoder: bool,
}

fn layer_norm_eps() -> f32 {
    1e-12
}

fn absolute() -> String {
    "absolute".into()
}

pub(crate) fn load<D: Device>(config: &Config, weights: Weights<'_, D>) -> Result<Box<dyn Model<D>>, Error> {
    let fields: BertConfig = config.read()?;
    let positions = &fields.position_embedding_type;
    if positions != "absolute" {
        return Err(config.unsupported(format!("position_embedding_type \"{positions}\" is not supported for bert")));
    }
    if fields.is_decoder {
        return Err(config.unsupported("is_decoder true is not supported for bert: encoders only"));
    }
    let weights = weights.below(&["bert"], "embeddings.word_embeddings.weight");
    Ok(Box::new(Bert::load(config, &fields, weights)?))
}

/// The head of `BertForSequenceClassification`: the pooler of `BertModel`, then one linear layer.
pub(crate) fn classifier<D: Device>(
    config: &Config,
    weights: Weights<'_, D>,
    labels: usize,
) -> Result<Head<D>, Error> {
    let hidden = config.read::<BertConfig>()?.hidden_size;
    let base = weights.below(&["bert"], "pooler.dense.weight");
    let pooler = Linear::load(base.at("pooler.dense"), hidden, hidden, true)?.activated(Activation::Tanh);
    let logits = Linear::load(weights.at("classifier"), hidden, labels, true)?;
    Ok(Head { pooling: Pooling::of(PoolingMode::Cls), dense: vec![pooler, logits] })
}

/// `BertModel` without its pooler.
struct Bert<D: Device> {
    embeddings: Embeddings<D>,
    layers: Vec<Layer<D>>,
    hidden_size: usize,
}

impl<D: Device> Bert<D> {
    fn load(config: &Config, fields: &BertConfig, weights: Weights<'_, D>) -> Result<Self, Error> {
        config.check_size("intermediate_size", fields.intermediate_size)?;
        let activation = crate::activation(config, "hidden_act", &fields.hidden_act)?;
        let head_dim = crate::head_dim(config, fields.hidden_size, fields.num_attention_heads)?;
        let embeddings = Embeddings::load(fields, weights.at("embeddings"))?;
        let layers = (0..fields.num_hidden_layers)
            .map(|i| Layer::load(fields, head_dim, activation, weights.at("encoder.layer").at(i)))
            .collect::<Result<_, _>>()?;
        Ok(Self { embeddings, layers, hidden_size: fields.hidden_size })
    }
}

impl<D: Device> Model<D> for Bert<D> {
    fn width(&self) -> usize {
        self.hidden_size
    }

    fn positions(&self) -> Option<usize> {
        Some(self.embeddings.positions.rows)
    }

    fn forward(&self, pass: &mut D::Pass<'_>) -> Result<D::Tensor, RunError> {
        let embedded = self.embeddings.forward(pass)?;
        self.layers.iter().try_fold(embedded, |x, layer| layer.forward(pass, x))
    }
}

/// `BertEmbeddings`: token + position + segment, normalised.
struct Embeddings<D: Device> {
    words: Table<D>,
    positions: Table<D>,
    segments: Table<D>,
    norm: Norm<D>,
}

impl<D: Device> Embeddings<D> {
    fn load(fields: &BertConfig, weights: Weights<'_, D>) -> Result<Self, Error> {
        let hidden = fields.hidden_size;
        let positions = fields.max_position_embeddings;
        Ok(Self {
            words: weights.table("word_embeddings.weight", fields.vocab_size, hidden)?,
            positions: weights.table("position_embeddings.weight", positions, hidden)?,
            segments: weights.table("token_type_embeddings.weight", fields.type_vocab_size, hidden)?,
            norm: Norm::layer(weights.at("LayerNorm"), hidden, fields.layer_norm_eps, true)?,
        })
    }

    fn forward(&self, pass: &mut D::Pass<'_>) -> Result<D::Tensor, RunError> {
        let sum = pass.embed(&[
            Lookup { table: &self.words, index: Index::Token },
            Lookup { table: &self.segments, index: Index::Segment },
            Lookup { table: &self.positions, index: Index::Position { offset: 0 } },
        ])?;
        pass.norm(&sum, &self.norm) // [tokens, hidden]
    }
}

/// `BertLayer`: self-attention and a feed-forward block, each followed by its norm.
struct Layer<D: Device> {
    projection: Linear<D>,
    attention: Attention<D>,
    attention_output: Linear<D>,
    attention_norm: Norm<D>,
    intermediate: Linear<D>,
    output: Linear<D>,
    output_norm: Norm<D>,
}

impl<D: Device> Layer<D> {
    fn load(
        fields: &BertConfig,
        head_dim: usize,
        activation: Activation,
        weights: Weights<'_, D>,
    ) -> Result<Self, Error> {
        let (hidden, wide, epsilon) = (fields.hidden_size, fields.intermediate_size, fields.layer_norm_eps);
        let projected = ["query", "key", "value"]
            .map(|name| Part { weights: weights.at("attention.self").at(name), outputs: hidden });
        let attended = weights.at("attention.output");
        Ok(Self {
            projection: Linear::joined(&projected, hidden, true)?,
            attention: Attention::bidirectional(fields.num_attention_heads, head_dim),
            attention_output: Linear::load(attended.at("dense"), hidden, hidden, true)?,
            attention_norm: Norm::layer(attended.at("LayerNorm"), hidden, epsilon, true)?,
            intermediate: Linear::load(weights.at("intermediate.dense"), hidden, wide, true)?
                .activated(activation),
            output: Linear::load(weights.at("output.dense"), wide, hidden, true)?,
            output_norm: Norm::layer(weights.at("output.LayerNorm"), hidden, epsilon, true)?,
        })
    }

    fn forward(&self, pass: &mut D::Pass<'_>, x: D::Tensor) -> Result<D::Tensor, RunError> {
        let projected = pass.linear(&x, &self.projection)?; // [tokens, 3·hidden]
        let context = pass.attention(projected, &self.attention)?; // [tokens, hidden]
        let x = pass.linear_add(&context, &self.attention_output, x)?;
        let x = pass.norm(&x, &self.attention_norm)?;
        let wide = pass.linear(&x, &self.intermediate)?; // [tokens, intermediate]
        let x = pass.linear_add(&wide, &self.output, x)?;
        pass.norm(&x, &self.output_norm)
    }
}
