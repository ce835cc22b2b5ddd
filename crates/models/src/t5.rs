//! The encoder of T5 (Raffel et al. 2020, arXiv:1910.10683), as Sentence-T5 uses it: pre-norm, relative positions as a
//! bias by distance that all layers share, unscaled scores.
//!
//! Reference: <https://github.com/huggingface/transformers/blob/v4.57.0/src/transformers/models/t5/modeling_t5.py>

use std::sync::Arc;

use backend::Error as RunError;
use nn::{
    Activation, Attention, Config, Device, DistanceBias, Error, FeedForward, Head, Index, Linear, Lookup,
    Model, Norm, Part, Pass, Table, Weights,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct T5Config {
    vocab_size: usize,
    d_model: usize,
    d_kv: usize,
    d_ff: usize,
    num_layers: usize,
    num_heads: usize,
    #[serde(default = "buckets")]
    relative_attention_num_buckets: usize,
    #[serde(default = "max_distance")]
    relative_attention_max_distance: usize,
    #[serde(default = "layer_norm_epsilon")]
    layer_norm_epsilon: f32,
    #[serde(default = "relu")]
    feed_forward_proj: String,
}

fn buckets() -> usize {
    32
}

fn max_distance() -> usize {
    128
}

fn layer_norm_epsilon() -> f32 {
    1e-6
}

fn relu() -> String {
    "relu".into()
}

pub(crate) fn load<D: Device>(config: &Config, weights: Weights<'_, D>) -> Result<Box<dyn Model<D>>, Error> {
    let fields: T5Config = config.read()?;
    fields.check(config)?;
    Ok(Box::new(T5::load(config, &fields, &weights)?))
}

pub(crate) fn classifier<D: Device>(config: &Config, _: Weights<'_, D>, _: usize) -> Result<Head<D>, Error> {
    crate::no_classifier(config)
}

impl T5Config {
    fn check(&self, config: &Config) -> Result<(), Error> {
        config.check_size("d_model", self.d_model)?;
        config.check_size("d_kv", self.d_kv)?;
        config.check_size("d_ff", self.d_ff)?;
        config.check_size("num_heads", self.num_heads)?;
        config.check_size("relative_attention_num_buckets", self.relative_attention_num_buckets)?;
        config.check_size("relative_attention_max_distance", self.relative_attention_max_distance)?;
        let (buckets, far) = (self.relative_attention_num_buckets, self.relative_attention_max_distance);
        config.check(buckets >= 4 && far > buckets / 4, || {
            format!(
                "relative_attention_num_buckets {buckets} and relative_attention_max_distance {far} make no buckets: \
                 at least 4, and a distance above a quarter of them"
            )
        })
    }

    /// `[gated-]<activation>`; of "gated-gelu" the tanh form is meant.
    fn feed_forward(&self, config: &Config) -> Result<(bool, Activation), Error> {
        let named = self.feed_forward_proj.as_str();
        if named == "gated-gelu" {
            return Ok((true, Activation::GeluTanh));
        }
        let gated = named.strip_prefix("gated-");
        Ok((gated.is_some(), crate::activation(config, "feed_forward_proj", gated.unwrap_or(named))?))
    }

    /// The bucket of a key `distance` tokens to the right of a query: half of the buckets for either side, of these
    /// half for single distances and half for ranges that grow as the logarithm does.
    fn bucket(&self, distance: isize) -> usize {
        let side = self.relative_attention_num_buckets / 2;
        let (single, apart) = (side / 2, distance.unsigned_abs());
        let far = if apart < single {
            apart
        } else {
            let span = (self.relative_attention_max_distance as f32 / single as f32).ln();
            let share = (apart as f32 / single as f32).ln() / span;
            (single + (share * (side - single) as f32) as usize).min(side - 1)
        };
        if distance > 0 { side + far } else { far }
    }

    /// The bias of all layers, from the table `[buckets, heads]` of the first.
    fn bias<D: Device>(&self, weights: &Weights<'_, D>) -> Result<DistanceBias, Error> {
        let (heads, reach) = (self.num_heads, self.relative_attention_max_distance);
        let table = weights.values("weight", &[self.relative_attention_num_buckets, heads])?;
        let far = reach as isize;
        let values = (0..heads).flat_map(|head| (-far..=far).map(move |distance| (head, distance)));
        let values = values.map(|(head, distance)| table[self.bucket(distance) * heads + head]).collect();
        Ok(DistanceBias { reach, values }) // [heads, 2·reach + 1]
    }
}

/// `T5EncoderModel`.
struct T5<D: Device> {
    words: Table<D>,
    layers: Vec<Layer<D>>,
    norm: Norm<D>,
    d_model: usize,
}

impl<D: Device> T5<D> {
    fn load(config: &Config, fields: &T5Config, weights: &Weights<'_, D>) -> Result<Self, Error> {
        let blocks = weights.at("encoder.block");
        let words =
            if weights.has("shared.weight") { "shared.weight" } else { "encoder.embed_tokens.weight" };
        let bias = fields.bias(&blocks.at("0.layer.0.SelfAttention.relative_attention_bias"))?;
        let parts = Parts { fields, bias: Arc::new(bias), feed_forward: fields.feed_forward(config)? };
        let layers = (0..fields.num_layers)
            .map(|i| parts.layer(&blocks.at(i).at("layer")))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            words: weights.table(words, fields.vocab_size, fields.d_model)?,
            layers,
            norm: parts.norm(weights.at("encoder.final_layer_norm"))?,
            d_model: fields.d_model,
        })
    }
}

impl<D: Device> Model<D> for T5<D> {
    fn width(&self) -> usize {
        self.d_model
    }

    fn positions(&self) -> Option<usize> {
        None
    }

    fn forward(&self, pass: &mut D::Pass<'_>) -> Result<D::Tensor, RunError> {
        let words = pass.embed(&[Lookup { table: &self.words, index: Index::Token }])?; // [tokens, d_model]
        let x = self.layers.iter().try_fold(words, |x, layer| layer.forward(pass, x))?;
        pass.norm(&x, &self.norm)
    }
}

/// `T5Block` of an encoder.
struct Layer<D: Device> {
    attention_norm: Norm<D>,
    projection: Linear<D>,
    attention: Attention<D>,
    attention_output: Linear<D>,
    feed_forward: FeedForward<D>,
}

impl<D: Device> Layer<D> {
    fn forward(&self, pass: &mut D::Pass<'_>, x: D::Tensor) -> Result<D::Tensor, RunError> {
        let normed = pass.norm(&x, &self.attention_norm)?;
        let projected = pass.linear(&normed, &self.projection)?; // [tokens, 3·heads·d_kv]
        let context = pass.attention(projected, &self.attention)?; // [tokens, heads·d_kv]
        let x = pass.linear_add(&context, &self.attention_output, x)?;
        pass.feed_forward(x, &self.feed_forward)
    }
}

/// What all layers are made by.
struct Parts<'a> {
    fields: &'a T5Config,
    bias: Arc<DistanceBias>,
    feed_forward: (bool, Activation),
}

impl Parts<'_> {
    fn norm<D: Device>(&self, weights: Weights<'_, D>) -> Result<Norm<D>, Error> {
        Norm::rms(weights, self.fields.d_model, self.fields.layer_norm_epsilon, 0.0)
    }

    fn layer<D: Device>(&self, weights: &Weights<'_, D>) -> Result<Layer<D>, Error> {
        let (model, heads, d_kv) = (self.fields.d_model, self.fields.num_heads, self.fields.d_kv);
        let (attended, dense) = (weights.at("0.SelfAttention"), weights.at("1.DenseReluDense"));
        let projected =
            ["q", "k", "v"].map(|name| Part { weights: attended.at(name), outputs: heads * d_kv });
        let (gated, activation) = self.feed_forward;
        let plain = Attention::bidirectional(heads, d_kv);
        Ok(Layer {
            attention_norm: self.norm(weights.at("0.layer_norm"))?,
            projection: Linear::joined(&projected, model, false)?,
            attention: Attention { scale: 1.0, bias: Some(self.bias.clone()), ..plain },
            attention_output: Linear::load(attended.at("o"), heads * d_kv, model, false)?,
            feed_forward: FeedForward {
                norm: Some(self.norm(weights.at("1.layer_norm"))?),
                ..FeedForward::new(
                    self.wide(&dense)?,
                    gated.then_some(activation),
                    Linear::load(dense.at("wo"), self.fields.d_ff, model, false)?,
                )
            },
        })
    }

    /// The first layer of the feed-forward block; of a gated one `wi_0` is the gate.
    fn wide<D: Device>(&self, weights: &Weights<'_, D>) -> Result<Linear<D>, Error> {
        let (model, wide) = (self.fields.d_model, self.fields.d_ff);
        let (gated, activation) = self.feed_forward;
        if gated {
            let parts = ["wi_0", "wi_1"].map(|name| Part { weights: weights.at(name), outputs: wide });
            return Linear::joined(&parts, model, false);
        }
        Ok(Linear::load(weights.at("wi"), model, wide, false)?.activated(activation))
    }
}
