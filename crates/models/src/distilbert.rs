//! DistilBERT (Sanh et al. 2019, arXiv:1910.01108): BERT without segments.
//!
//! Reference: <https://github.com/huggingface/transformers/blob/v4.57.0/src/transformers/models/distilbert/modeling_distilbert.py>

use backend::Error as RunError;
use nn::{
    Activation, Attention, Config, Device, Error, FeedForward, Head, Index, Linear, Lookup, Model, Norm,
    Part, Pass, Table, Weights,
};
use serde::Deserialize;

use crate::post_norm::Layer;

/// `sinusoidal_pos_embds` is no field here: it sets first values, and the file has the last.
#[derive(Deserialize)]
struct DistilBertConfig {
    vocab_size: usize,
    max_position_embeddings: usize,
    dim: usize,
    n_layers: usize,
    n_heads: usize,
    hidden_dim: usize,
    #[serde(default = "crate::gelu")]
    activation: String,
}

/// Fixed in the reference.
const EPSILON: f32 = 1e-12;

pub(crate) fn load<D: Device>(config: &Config, weights: Weights<'_, D>) -> Result<Box<dyn Model<D>>, Error> {
    let fields: DistilBertConfig = config.read()?;
    let weights = weights.below(&["distilbert"], "embeddings.word_embeddings.weight");
    Ok(Box::new(DistilBert::load(config, &fields, weights)?))
}

/// The head of `DistilBertForSequenceClassification`.
pub(crate) fn classifier<D: Device>(
    config: &Config,
    weights: Weights<'_, D>,
    labels: usize,
) -> Result<Head<D>, Error> {
    let dim = config.read::<DistilBertConfig>()?.dim;
    let first = Linear::load(weights.at("pre_classifier"), dim, dim, true)?.activated(Activation::Relu);
    let logits = Linear::load(weights.at("classifier"), dim, labels, true)?;
    Ok(crate::first_token_head(first, logits))
}

/// `DistilBertModel`.
struct DistilBert<D: Device> {
    words: Table<D>,
    places: Table<D>,
    norm: Norm<D>,
    layers: Vec<Layer<D>>,
    dim: usize,
}

impl<D: Device> DistilBert<D> {
    fn load(config: &Config, fields: &DistilBertConfig, weights: Weights<'_, D>) -> Result<Self, Error> {
        let dim = fields.dim;
        config.check_size("hidden_dim", fields.hidden_dim)?;
        let activation = crate::activation(config, "activation", &fields.activation)?;
        let head_dim = crate::divided(config, ("dim", dim), ("n_heads", fields.n_heads))?;
        let embeddings = weights.at("embeddings");
        let layers = (0..fields.n_layers)
            .map(|i| layer(fields, head_dim, activation, weights.at("transformer.layer").at(i)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            words: embeddings.table("word_embeddings.weight", fields.vocab_size, dim)?,
            places: embeddings.table("position_embeddings.weight", fields.max_position_embeddings, dim)?,
            norm: Norm::layer(embeddings.at("LayerNorm"), dim, EPSILON, true)?,
            layers,
            dim,
        })
    }
}

impl<D: Device> Model<D> for DistilBert<D> {
    fn width(&self) -> usize {
        self.dim
    }

    fn positions(&self) -> Option<usize> {
        Some(self.places.rows)
    }

    fn forward(&self, pass: &mut D::Pass<'_>) -> Result<D::Tensor, RunError> {
        let sum = pass.embed(&[
            Lookup { table: &self.words, index: Index::Token },
            Lookup { table: &self.places, index: Index::Position { offset: 0 } },
        ])?;
        let embedded = pass.norm(&sum, &self.norm)?; // [tokens, dim]
        self.layers.iter().try_fold(embedded, |x, layer| layer.forward(pass, x))
    }
}

/// `TransformerBlock`: self-attention and a feed-forward block, each followed by its norm.
fn layer<D: Device>(
    fields: &DistilBertConfig,
    head_dim: usize,
    activation: Activation,
    weights: Weights<'_, D>,
) -> Result<Layer<D>, Error> {
    let (dim, wide) = (fields.dim, fields.hidden_dim);
    let attended = weights.at("attention");
    let projected = ["q_lin", "k_lin", "v_lin"].map(|name| Part { weights: attended.at(name), outputs: dim });
    Ok(Layer {
        projection: Linear::joined(&projected, dim, true)?,
        attention: Attention::bidirectional(fields.n_heads, head_dim),
        attention_output: Linear::load(attended.at("out_lin"), dim, dim, true)?,
        attention_norm: Norm::layer(weights.at("sa_layer_norm"), dim, EPSILON, true)?,
        feed_forward: FeedForward::new(
            Linear::load(weights.at("ffn.lin1"), dim, wide, true)?.activated(activation),
            None,
            Linear::load(weights.at("ffn.lin2"), wide, dim, true)?,
        ),
        output_norm: Norm::layer(weights.at("output_layer_norm"), dim, EPSILON, true)?,
    })
}
