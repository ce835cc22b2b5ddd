//! Jina's BERT of v2 (Günther et al. 2023, arXiv:2310.19923): BERT with linear biases by distance instead of
//! positions (ALiBi, Press et al. 2021, arXiv:2108.12409), symmetric, and gated feed-forward blocks (Shazeer
//! 2020, arXiv:2002.05202). Its `model_type` is `bert`, its `position_embedding_type` `alibi`.
//!
//! Reference: `modeling_bert.py` of jinaai/jina-bert-implementation (jina-embeddings-v2-base-en, -small-en and
//! most others) and of jinaai/jina-bert-v2-qk-post-norm (jina-embeddings-v2-base-code), which adds norms; the
//! weights tell which. Readable as
//! <https://github.com/huggingface/text-embeddings-inference/blob/09b8b2212cc57a33199205cfbecb973e9c2d6eff/backends/candle/src/models/jina_code.rs>
//! and `jina.rs` beside it.

use std::sync::Arc;

use backend::Error as RunError;
use nn::{
    Activation, Attention, Config, Device, DistanceBias, Error, FeedForward, Index, Linear, Lookup, Model,
    Norm, NormSpan, Part, Pass, Table, Weights,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct JinaBertConfig {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    feed_forward_type: String,
    #[serde(default = "crate::gelu")]
    hidden_act: String,
    #[serde(default = "crate::bert::layer_norm_eps")]
    layer_norm_eps: f32,
    #[serde(default)]
    is_decoder: bool,
}

/// More biases, one a head and distance, than any model has: 16 heads × 8192 positions are 2¹⁷.
const MOST_BIASES: usize = 1 << 24;

impl JinaBertConfig {
    fn check(&self, config: &Config) -> Result<(), Error> {
        if self.is_decoder {
            return Err(config.unsupported("is_decoder true is not supported: encoders only"));
        }
        let (heads, positions) = (self.num_attention_heads, self.max_position_embeddings);
        config.check_size("intermediate_size", self.intermediate_size)?;
        config.check_size("max_position_embeddings", positions)?;
        config.check_size("num_attention_heads", heads)?;
        config.check(heads * positions <= MOST_BIASES, || {
            format!(
                "{heads} num_attention_heads times {positions} max_position_embeddings are over {MOST_BIASES}"
            )
        })
    }

    /// The function that gates; none where the block is not gated.
    fn gate(&self, config: &Config) -> Result<Option<Activation>, Error> {
        match self.feed_forward_type.as_str() {
            "geglu" => Ok(Some(Activation::Gelu)),
            "reglu" => Ok(Some(Activation::Relu)),
            "original" => Ok(None),
            other => Err(config.unsupported(format!(
                "feed_forward_type \"{other}\" is not supported; \"geglu\", \"reglu\" and \"original\" are"
            ))),
        }
    }
}

/// Called by `bert`, whose `model_type` it has; the classification head is `bert`'s.
pub(crate) fn load<D: Device>(config: &Config, weights: Weights<'_, D>) -> Result<Box<dyn Model<D>>, Error> {
    let fields: JinaBertConfig = config.read()?;
    fields.check(config)?;
    let weights = weights.below(&["bert"], "embeddings.word_embeddings.weight");
    Ok(Box::new(JinaBert::load(config, &fields, weights)?))
}

/// `JinaBertModel` without its pooler.
struct JinaBert<D: Device> {
    words: Table<D>,
    segments: Table<D>,
    norm: Norm<D>,
    layers: Vec<Layer<D>>,
    hidden_size: usize,
    positions: usize,
}

impl<D: Device> JinaBert<D> {
    fn load(config: &Config, fields: &JinaBertConfig, weights: Weights<'_, D>) -> Result<Self, Error> {
        let (hidden, heads) = (fields.hidden_size, fields.num_attention_heads);
        let head_dim = crate::head_dim(config, hidden, heads)?;
        let bias = Arc::new(alibi(heads, fields.max_position_embeddings - 1));
        let activation = crate::activation(config, "hidden_act", &fields.hidden_act)?;
        let gate = fields.gate(config)?;
        let layers = (0..fields.num_hidden_layers)
            .map(|i| {
                let attention =
                    Attention { bias: Some(bias.clone()), ..Attention::bidirectional(heads, head_dim) };
                let place = Place { attention, activation, gate };
                Layer::load(fields, place, weights.at("encoder.layer").at(i))
            })
            .collect::<Result<_, _>>()?;
        let embeddings = weights.at("embeddings");
        Ok(Self {
            words: embeddings.table("word_embeddings.weight", fields.vocab_size, hidden)?,
            segments: embeddings.table("token_type_embeddings.weight", fields.type_vocab_size, hidden)?,
            norm: Norm::layer(embeddings.at("LayerNorm"), hidden, fields.layer_norm_eps, true)?,
            layers,
            hidden_size: hidden,
            positions: fields.max_position_embeddings,
        })
    }
}

/// `-slope·|distance|` (`JinaBertEncoder.rebuild_alibi_tensor`).
fn alibi(heads: usize, reach: usize) -> DistanceBias {
    let distances = || (1..=reach).rev().chain(0..=reach);
    let of_slope = |slope: f64| distances().map(move |distance| -(slope as f32) * distance as f32);
    DistanceBias { reach, values: slopes(heads).into_iter().flat_map(of_slope).collect() }
}

/// A geometric series from `2^(-8/heads)` down; where `heads` is no power of two, that of the power below, and
/// then every second slope of the power above.
fn slopes(heads: usize) -> Vec<f64> {
    let series = |heads: usize| (1..=heads).map(move |i| (-8.0 * i as f64 / heads as f64).exp2());
    let below = 1 << heads.ilog2();
    series(below).chain(series(2 * below).step_by(2)).take(heads).collect()
}

impl<D: Device> Model<D> for JinaBert<D> {
    fn width(&self) -> usize {
        self.hidden_size
    }

    fn positions(&self) -> Option<usize> {
        Some(self.positions)
    }

    fn forward(&self, pass: &mut D::Pass<'_>) -> Result<D::Tensor, RunError> {
        let sum = pass.embed(&[
            Lookup { table: &self.words, index: Index::Token },
            Lookup { table: &self.segments, index: Index::Segment },
        ])?;
        let embedded = pass.norm(&sum, &self.norm)?; // [tokens, hidden]
        self.layers.iter().try_fold(embedded, |x, layer| layer.forward(pass, x))
    }
}

/// What a layer is given besides its weights.
struct Place<D: Device> {
    attention: Attention<D>,
    activation: Activation,
    gate: Option<Activation>,
}

/// `JinaBertLayer`: self-attention and a feed-forward block, each followed by its norm.
struct Layer<D: Device> {
    projection: Linear<D>,
    attention: Attention<D>,
    attention_output: Linear<D>,
    attention_norm: Norm<D>,
    /// `layer_norm_1` of the second form: the input is added once more, and normalised again.
    second_norm: Option<Norm<D>>,
    feed_forward: FeedForward<D>,
    output_norm: Norm<D>,
}

impl<D: Device> Layer<D> {
    fn load(fields: &JinaBertConfig, place: Place<D>, weights: Weights<'_, D>) -> Result<Self, Error> {
        let (hidden, epsilon) = (fields.hidden_size, fields.layer_norm_eps);
        let norm = |name| Norm::layer(weights.at(name), hidden, epsilon, true);
        let attended = weights.at("attention.output");
        let projected = ["query", "key", "value"]
            .map(|name| Part { weights: weights.at("attention.self").at(name), outputs: hidden });
        let (names, gate) = (Names::of(&weights, place.gate.is_some()), place.gate);
        let mut attention = place.attention;
        if names.second_form {
            attention.norm_span = NormSpan::All;
            attention.query_key_norm =
                Some((norm("attention.self.layer_norm_q")?, norm("attention.self.layer_norm_k")?));
        }
        Ok(Self {
            projection: Linear::joined(&projected, hidden, true)?,
            attention,
            attention_output: Linear::load(attended.at("dense"), hidden, hidden, true)?,
            attention_norm: Norm::layer(attended.at("LayerNorm"), hidden, epsilon, true)?,
            second_norm: if names.second_form { Some(norm("layer_norm_1")?) } else { None },
            feed_forward: feed_forward(fields, &names, gate, place.activation, &weights)?,
            output_norm: norm(names.norm)?,
        })
    }

    fn forward(&self, pass: &mut D::Pass<'_>, x: D::Tensor) -> Result<D::Tensor, RunError> {
        let projected = pass.linear(&x, &self.projection)?; // [tokens, 3·hidden]
        let context = pass.attention(projected, &self.attention)?; // [tokens, hidden]
        let x = match &self.second_norm {
            None => {
                let x = pass.linear_add(&context, &self.attention_output, x)?;
                pass.norm(&x, &self.attention_norm)?
            }
            Some(second_norm) => {
                let attended = pass.linear(&context, &self.attention_output)?;
                let attended = pass.add(&x, attended)?;
                let attended = pass.norm(&attended, &self.attention_norm)?;
                let x = pass.add(&attended, x)?;
                pass.norm(&x, second_norm)?
            }
        };
        let x = pass.feed_forward(x, &self.feed_forward)?;
        pass.norm(&x, &self.output_norm)
    }
}

/// What the two forms call the parts of a feed-forward block.
struct Names {
    second_form: bool,
    up: &'static str,
    down: &'static str,
    norm: &'static str,
}

impl Names {
    fn of<D: Device>(layer: &Weights<'_, D>, gated: bool) -> Self {
        let second_form = layer.has("attention.self.layer_norm_q.weight");
        let (up, down, norm) = match (second_form, gated) {
            (false, true) => ("mlp.gated_layers", "mlp.wo", "mlp.layernorm"),
            (false, false) => ("intermediate.dense", "output.dense", "output.LayerNorm"),
            (true, true) => ("mlp.up_gated_layer", "mlp.down_layer", "layer_norm_2"),
            (true, false) => ("mlp.up_layer", "mlp.down_layer", "layer_norm_2"),
        };
        Self { second_form, up, down, norm }
    }
}

/// The feed-forward block, `JinaBertGLUMLP` where it is gated.
fn feed_forward<D: Device>(
    fields: &JinaBertConfig,
    names: &Names,
    gate: Option<Activation>,
    activation: Activation,
    weights: &Weights<'_, D>,
) -> Result<FeedForward<D>, Error> {
    let (hidden, wide) = (fields.hidden_size, fields.intermediate_size);
    let up = weights.at(names.up);
    let up = match (gate, names.second_form) {
        (None, second) => Linear::load(up, hidden, wide, !second)?.activated(activation),
        (Some(_), false) => Linear::load(up, hidden, 2 * wide, false)?,
        // Its second half is the one that gates.
        (Some(_), true) => Linear::swapped(up, hidden, 2 * wide)?,
    };
    Ok(FeedForward::new(up, gate, Linear::load(weights.at(names.down), wide, hidden, true)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_the_paper() {
        assert_eq!(slopes(8), [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625]);
        // Four heads, then the first and third of eight.
        assert_eq!(slopes(6), [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125]);
        assert_eq!(slopes(1), [0.00390625]);
        assert_eq!(slopes(3), [0.0625, 0.00390625, 0.25]);
    }

    #[test]
    fn biases_fall_on_both_sides() {
        let bias = alibi(2, 3);
        assert_eq!(bias.values[..7], [-0.1875, -0.125, -0.0625, 0.0, -0.0625, -0.125, -0.1875]);
        assert_eq!(bias.values.len(), 14);
    }
}
