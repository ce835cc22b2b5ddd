//! MPNet (Song et al. 2020, arXiv:2004.09297): BERT without segments, with learned positions and, in every
//! layer's attention, the same bias by distance.
//!
//! Reference: <https://github.com/huggingface/transformers/blob/v4.57.0/src/transformers/models/mpnet/modeling_mpnet.py>

use std::sync::Arc;

use backend::Error as RunError;
use nn::{
    Activation, Attention, Config, Device, DistanceBias, Error, FeedForward, Head, Index, Linear, Lookup,
    Model, Norm, Part, Pass, Table, Weights,
};
use serde::Deserialize;

use crate::post_norm::Layer;

#[derive(Deserialize)]
struct MpnetConfig {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    #[serde(default = "crate::gelu")]
    hidden_act: String,
    #[serde(default = "crate::bert::layer_norm_eps")]
    layer_norm_eps: f32,
    #[serde(default = "buckets")]
    relative_attention_num_buckets: usize,
}

fn buckets() -> usize {
    BUCKETS
}

/// Where positions are counted from; the reference does not ask `pad_token_id`.
const PAD: u32 = 1;
/// The buckets in use, however many rows their table has: the reference does not ask
/// `relative_attention_num_buckets` either.
const BUCKETS: usize = 32;
/// Beyond it the bucket stays the same.
const REACH: usize = 128;

pub(crate) fn load<D: Device>(config: &Config, weights: Weights<'_, D>) -> Result<Box<dyn Model<D>>, Error> {
    let fields: MpnetConfig = config.read()?;
    let rows = fields.max_position_embeddings;
    config.check(rows > PAD as usize + 1, || {
        format!("max_position_embeddings is {rows}; MPNet's positions begin at {}", PAD + 1)
    })?;
    let buckets = fields.relative_attention_num_buckets;
    config.check(buckets >= BUCKETS, || {
        format!("relative_attention_num_buckets is {buckets}; MPNet uses {BUCKETS}")
    })?;
    let weights = weights.below(&["mpnet"], "embeddings.word_embeddings.weight");
    Ok(Box::new(Mpnet::load(config, &fields, weights)?))
}

/// `MPNetClassificationHead`.
pub(crate) fn classifier<D: Device>(
    config: &Config,
    weights: Weights<'_, D>,
    labels: usize,
) -> Result<Head<D>, Error> {
    let hidden = config.read::<MpnetConfig>()?.hidden_size;
    crate::projected_head(weights.at("classifier"), hidden, labels, Activation::Tanh)
}

/// `MPNetModel` without its pooler.
struct Mpnet<D: Device> {
    words: Table<D>,
    places: Table<D>,
    norm: Norm<D>,
    layers: Vec<Layer<D>>,
    hidden_size: usize,
}

impl<D: Device> Mpnet<D> {
    fn load(config: &Config, fields: &MpnetConfig, weights: Weights<'_, D>) -> Result<Self, Error> {
        let hidden = fields.hidden_size;
        config.check_size("intermediate_size", fields.intermediate_size)?;
        let activation = crate::activation(config, "hidden_act", &fields.hidden_act)?;
        let head_dim = crate::head_dim(config, hidden, fields.num_attention_heads)?;
        let bias = Arc::new(distance_bias(fields, &weights)?);
        let layers = (0..fields.num_hidden_layers)
            .map(|i| {
                let plain = Attention::bidirectional(fields.num_attention_heads, head_dim);
                let place = Place { attention: Attention { bias: Some(bias.clone()), ..plain }, activation };
                layer(fields, place, weights.at("encoder.layer").at(i))
            })
            .collect::<Result<_, _>>()?;
        let embeddings = weights.at("embeddings");
        Ok(Self {
            words: embeddings.table("word_embeddings.weight", fields.vocab_size, hidden)?,
            places: embeddings.table("position_embeddings.weight", fields.max_position_embeddings, hidden)?,
            norm: Norm::layer(embeddings.at("LayerNorm"), hidden, fields.layer_norm_eps, true)?,
            layers,
            hidden_size: hidden,
        })
    }
}

/// `MPNetEncoder.compute_position_bias`: a row of the table for each distance.
fn distance_bias<D: Device>(fields: &MpnetConfig, weights: &Weights<'_, D>) -> Result<DistanceBias, Error> {
    let (rows, heads) = (fields.relative_attention_num_buckets, fields.num_attention_heads);
    let table = weights.values("encoder.relative_attention_bias.weight", &[rows, heads])?;
    let reach = REACH as isize;
    let of_head = |head| (-reach..=reach).map(move |distance| bucket(distance) * heads + head);
    let values = (0..heads).flat_map(of_head).map(|at| table[at]).collect();
    Ok(DistanceBias { reach: REACH, values })
}

/// `relative_position_bucket` of `key - query`: half of the buckets for keys before the query, half for those
/// behind; in each half one a distance up to 7, then two for each doubling. In whole numbers, where the
/// reference's logarithms round to the same.
fn bucket(distance: isize) -> usize {
    const HALF: usize = BUCKETS / 2;
    const EXACT: usize = HALF / 2;
    let far = distance.unsigned_abs();
    let near_or_far = match far {
        0..EXACT => far,
        _ => (EXACT + (far * far / (EXACT * EXACT)).ilog2() as usize).min(HALF - 1),
    };
    if distance > 0 { HALF + near_or_far } else { near_or_far }
}

impl<D: Device> Model<D> for Mpnet<D> {
    fn width(&self) -> usize {
        self.hidden_size
    }

    fn positions(&self) -> Option<usize> {
        Some(self.places.rows - PAD as usize - 1)
    }

    fn forward(&self, pass: &mut D::Pass<'_>) -> Result<D::Tensor, RunError> {
        let sum = pass.embed(&[
            Lookup { table: &self.words, index: Index::Token },
            Lookup { table: &self.places, index: Index::CountedPosition { pad: PAD } },
        ])?;
        let embedded = pass.norm(&sum, &self.norm)?; // [tokens, hidden]
        self.layers.iter().try_fold(embedded, |x, layer| layer.forward(pass, x))
    }
}

/// What a layer is given besides its weights.
struct Place<D: Device> {
    attention: Attention<D>,
    activation: Activation,
}

/// `MPNetLayer`: self-attention and a feed-forward block, each followed by its norm.
fn layer<D: Device>(
    fields: &MpnetConfig,
    place: Place<D>,
    weights: Weights<'_, D>,
) -> Result<Layer<D>, Error> {
    let (hidden, wide, epsilon) = (fields.hidden_size, fields.intermediate_size, fields.layer_norm_eps);
    let attended = weights.at("attention.attn");
    let projected = ["q", "k", "v"].map(|name| Part { weights: attended.at(name), outputs: hidden });
    Ok(Layer {
        projection: Linear::joined(&projected, hidden, true)?,
        attention: place.attention,
        attention_output: Linear::load(attended.at("o"), hidden, hidden, true)?,
        attention_norm: Norm::layer(weights.at("attention.LayerNorm"), hidden, epsilon, true)?,
        feed_forward: FeedForward::new(
            Linear::load(weights.at("intermediate.dense"), hidden, wide, true)?.activated(place.activation),
            None,
            Linear::load(weights.at("output.dense"), wide, hidden, true)?,
        ),
        output_norm: Norm::layer(weights.at("output.LayerNorm"), hidden, epsilon, true)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the reference's buckets change, by `relative_position_bucket(torch.arange(-140, 141))`.
    #[test]
    fn buckets_change_where_the_references_do() {
        let firsts = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91];
        for far in 0..=140 {
            let number = firsts.iter().filter(|&&first| first <= far).count() - 1;
            assert_eq!(bucket(-far), number, "{far} before");
            assert_eq!(bucket(far), if far == 0 { 0 } else { 16 + number }, "{far} behind");
        }
        assert_eq!((bucket(REACH as isize), bucket(isize::from(i16::MAX))), (31, 31));
    }
}
