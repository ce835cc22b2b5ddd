//! ALBERT (Lan et al. 2019, arXiv:1909.11942): BERT with embeddings of their own width and layers that share
//! their weights.
//!
//! Reference: <https://github.com/huggingface/transformers/blob/v4.57.0/src/transformers/models/albert/modeling_albert.py>

use backend::Error as RunError;
use nn::{
    Activation, Attention, Config, Device, Error, FeedForward, Head, Index, Linear, Model, Norm, Part, Pass,
    Weights,
};
use serde::Deserialize;

use crate::bert::{Embeddings, layer_norm_eps};
use crate::post_norm::Layer;

#[derive(Deserialize)]
struct AlbertConfig {
    #[serde(default = "embedding_size")]
    embedding_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    #[serde(default = "one")]
    num_hidden_groups: usize,
    #[serde(default = "one")]
    inner_group_num: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    #[serde(default = "gelu_new")]
    hidden_act: String,
    #[serde(default = "layer_norm_eps")]
    layer_norm_eps: f32,
}

fn embedding_size() -> usize {
    128
}

fn one() -> usize {
    1
}

fn gelu_new() -> String {
    "gelu_new".into()
}

/// The weights set no limit, as layers share them; the published models have 12 or 24.
const MOST_LAYERS: usize = 1024;

pub(crate) fn load<D: Device>(config: &Config, weights: Weights<'_, D>) -> Result<Box<dyn Model<D>>, Error> {
    let fields: AlbertConfig = config.read()?;
    config.check(fields.num_hidden_layers <= MOST_LAYERS, || {
        format!("num_hidden_layers is {}; at most {MOST_LAYERS} are run", fields.num_hidden_layers)
    })?;
    config.check_size("embedding_size", fields.embedding_size)?;
    config.check_size("num_hidden_groups", fields.num_hidden_groups)?;
    config.check_size("intermediate_size", fields.intermediate_size)?;
    let weights = weights.below(&["albert"], "embeddings.word_embeddings.weight");
    Ok(Box::new(Albert::load(config, &fields, weights)?))
}

/// The head of `AlbertForSequenceClassification`: the pooler of `AlbertModel`, then one linear layer.
pub(crate) fn classifier<D: Device>(
    config: &Config,
    weights: Weights<'_, D>,
    labels: usize,
) -> Result<Head<D>, Error> {
    let hidden = config.read::<AlbertConfig>()?.hidden_size;
    let base = weights.below(&["albert"], "pooler.weight");
    let pooler = Linear::load(base.at("pooler"), hidden, hidden, true)?.activated(Activation::Tanh);
    let logits = Linear::load(weights.at("classifier"), hidden, labels, true)?;
    Ok(crate::first_token_head(pooler, logits))
}

/// `AlbertModel` without its pooler.
struct Albert<D: Device> {
    embeddings: Embeddings<D>,
    projection: Linear<D>,
    groups: Vec<Vec<Layer<D>>>,
    /// The group of each layer.
    order: Vec<usize>,
    hidden_size: usize,
}

impl<D: Device> Albert<D> {
    fn load(config: &Config, fields: &AlbertConfig, weights: Weights<'_, D>) -> Result<Self, Error> {
        let activation = crate::activation(config, "hidden_act", &fields.hidden_act)?;
        let head_dim = crate::head_dim(config, fields.hidden_size, fields.num_attention_heads)?;
        let (narrow, hidden) = (fields.embedding_size, fields.hidden_size);
        let place = Index::Position { offset: 0 };
        let encoder = weights.at("encoder");
        let group = |group: usize| {
            let layers = encoder.at("albert_layer_groups").at(group).at("albert_layers");
            (0..fields.inner_group_num).map(|i| layer(fields, head_dim, activation, layers.at(i))).collect()
        };
        Ok(Self {
            embeddings: Embeddings::load(config, narrow, place, weights.at("embeddings"))?,
            projection: Linear::load(encoder.at("embedding_hidden_mapping_in"), narrow, hidden, true)?,
            groups: (0..fields.num_hidden_groups).map(group).collect::<Result<_, _>>()?,
            order: order(fields.num_hidden_layers, fields.num_hidden_groups),
            hidden_size: hidden,
        })
    }
}

/// The group of each layer, divided as the reference divides.
fn order(layers: usize, groups: usize) -> Vec<usize> {
    let a_group = layers as f64 / groups as f64;
    (0..layers).map(|layer| ((layer as f64 / a_group) as usize).min(groups - 1)).collect()
}

impl<D: Device> Model<D> for Albert<D> {
    fn width(&self) -> usize {
        self.hidden_size
    }

    fn positions(&self) -> Option<usize> {
        Some(self.embeddings.positions())
    }

    fn forward(&self, pass: &mut D::Pass<'_>) -> Result<D::Tensor, RunError> {
        let embedded = self.embeddings.forward(pass)?; // [tokens, embedding]
        let x = pass.linear(&embedded, &self.projection)?; // [tokens, hidden]
        let layers = self.order.iter().flat_map(|&group| &self.groups[group]);
        layers.into_iter().try_fold(x, |x, layer| layer.forward(pass, x))
    }
}

/// `AlbertLayer`: self-attention and a feed-forward block, each followed by its norm.
fn layer<D: Device>(
    fields: &AlbertConfig,
    head_dim: usize,
    activation: Activation,
    weights: Weights<'_, D>,
) -> Result<Layer<D>, Error> {
    let (hidden, wide, epsilon) = (fields.hidden_size, fields.intermediate_size, fields.layer_norm_eps);
    let attended = weights.at("attention");
    let projected =
        ["query", "key", "value"].map(|name| Part { weights: attended.at(name), outputs: hidden });
    Ok(Layer {
        projection: Linear::joined(&projected, hidden, true)?,
        attention: Attention::bidirectional(fields.num_attention_heads, head_dim),
        attention_output: Linear::load(attended.at("dense"), hidden, hidden, true)?,
        attention_norm: Norm::layer(attended.at("LayerNorm"), hidden, epsilon, true)?,
        feed_forward: FeedForward::new(
            Linear::load(weights.at("ffn"), hidden, wide, true)?.activated(activation),
            None,
            Linear::load(weights.at("ffn_output"), wide, hidden, true)?,
        ),
        output_norm: Norm::layer(weights.at("full_layer_layer_norm"), hidden, epsilon, true)?,
    })
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn layers_are_dealt_to_groups_as_the_reference_deals_them() {
        // int(i / (layers / groups)) in Python
        assert_eq!(order(12, 1), [0; 12]);
        assert_eq!(order(4, 2), [0, 0, 1, 1]);
        assert_eq!(order(5, 2), [0, 0, 0, 1, 1]);
        assert_eq!(order(7, 3), [0, 0, 0, 1, 1, 2, 2]);
        assert_eq!(order(2, 4), [0, 2]);
        assert_eq!(order(0, 3), [0; 0]);
    }
}
