//! BERT (Devlin et al. 2018, arXiv:1810.04805): post-norm encoder with learned positions. RoBERTa and ELECTRA
//! are this model with another place of positions or width of embeddings, and ALBERT has its embeddings.
//!
//! Reference: <https://github.com/huggingface/transformers/blob/v4.57.0/src/transformers/models/bert/modeling_bert.py>

use backend::Error as RunError;
use nn::{
    Activation, Attention, Config, Device, Error, FeedForward, Head, Index, Linear, Lookup, Model, Norm,
    Part, Pass, Table, Weights,
};
use serde::Deserialize;

use crate::post_norm::Layer;

/// The fields of `BertEmbeddings`.
#[derive(Deserialize)]
pub(crate) struct EmbeddingsConfig {
    vocab_size: usize,
    pub(crate) max_position_embeddings: usize,
    #[serde(default = "two_segments")]
    type_vocab_size: usize,
    #[serde(default = "layer_norm_eps")]
    layer_norm_eps: f32,
    #[serde(default = "crate::absolute")]
    position_embedding_type: String,
}

/// The fields of `BertEncoder`.
#[derive(Deserialize)]
pub(crate) struct EncoderConfig {
    pub(crate) hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    #[serde(default = "crate::gelu")]
    hidden_act: String,
    #[serde(default = "layer_norm_eps")]
    layer_norm_eps: f32,
    #[serde(default)]
    is_decoder: bool,
}

fn two_segments() -> usize {
    2
}

pub(crate) fn layer_norm_eps() -> f32 {
    1e-12
}

pub(crate) fn load<D: Device>(config: &Config, weights: Weights<'_, D>) -> Result<Box<dyn Model<D>>, Error> {
    let embeddings: EmbeddingsConfig = config.read()?;
    if embeddings.position_embedding_type == "alibi" {
        return crate::jina_bert::load(config, weights);
    }
    let hidden = config.read::<EncoderConfig>()?.hidden_size;
    let weights = weights.below(&["bert"], "embeddings.word_embeddings.weight");
    encoder_model(config, &weights, Index::Position { offset: 0 }, hidden)
}

/// The whole model over the tensors below `weights`: `place` says how positions are counted, and `narrow` how wide the
/// embeddings are, which a linear layer widens where the encoder is wider.
pub(crate) fn encoder_model<D: Device>(
    config: &Config,
    weights: &Weights<'_, D>,
    place: Index,
    narrow: usize,
) -> Result<Box<dyn Model<D>>, Error> {
    let fields: EncoderConfig = config.read()?;
    let hidden_size = fields.hidden_size;
    let projection = || Linear::load(weights.at("embeddings_project"), narrow, hidden_size, true);
    Ok(Box::new(Bert {
        embeddings: Embeddings::load(config, narrow, place, weights.at("embeddings"))?,
        projection: if narrow == hidden_size { None } else { Some(projection()?) },
        encoder: Encoder::load(config, &fields, weights.at("encoder"))?,
        hidden_size,
    }))
}

/// The head of `BertForSequenceClassification`: the pooler of `BertModel`, then one linear layer.
pub(crate) fn classifier<D: Device>(
    config: &Config,
    weights: Weights<'_, D>,
    labels: usize,
) -> Result<Head<D>, Error> {
    let hidden = config.read::<EncoderConfig>()?.hidden_size;
    let base = weights.below(&["bert"], "pooler.dense.weight");
    let pooler = Linear::load(base.at("pooler.dense"), hidden, hidden, true)?.activated(Activation::Tanh);
    let logits = Linear::load(weights.at("classifier"), hidden, labels, true)?;
    Ok(crate::first_token_head(pooler, logits))
}

/// `BertModel` without its pooler.
struct Bert<D: Device> {
    embeddings: Embeddings<D>,
    projection: Option<Linear<D>>,
    encoder: Encoder<D>,
    hidden_size: usize,
}

impl<D: Device> Model<D> for Bert<D> {
    fn width(&self) -> usize {
        self.hidden_size
    }

    fn positions(&self) -> Option<usize> {
        Some(self.embeddings.positions())
    }

    fn forward(&self, pass: &mut D::Pass<'_>) -> Result<D::Tensor, RunError> {
        let embedded = self.embeddings.forward(pass)?; // [tokens, embedding]
        let x = match &self.projection {
            Some(projection) => pass.linear(&embedded, projection)?, // [tokens, hidden]
            None => embedded,
        };
        self.encoder.forward(pass, x)
    }
}

/// `BertEmbeddings`: token + segment + position, normalised.
pub(crate) struct Embeddings<D: Device> {
    words: Table<D>,
    segments: Table<D>,
    places: Table<D>,
    place: Index,
    norm: Norm<D>,
}

impl<D: Device> Embeddings<D> {
    /// Tables of `width` columns; `place` says how positions are counted.
    pub(crate) fn load(
        config: &Config,
        width: usize,
        place: Index,
        weights: Weights<'_, D>,
    ) -> Result<Self, Error> {
        let fields: EmbeddingsConfig = config.read()?;
        crate::check_absolute(config, &fields.position_embedding_type)?;
        Ok(Self {
            words: weights.table("word_embeddings.weight", fields.vocab_size, width)?,
            segments: weights.table("token_type_embeddings.weight", fields.type_vocab_size, width)?,
            places: weights.table("position_embeddings.weight", fields.max_position_embeddings, width)?,
            place,
            norm: Norm::layer(weights.at("LayerNorm"), width, fields.layer_norm_eps, true)?,
        })
    }

    /// Most tokens a text may have.
    pub(crate) fn positions(&self) -> usize {
        let unused = match self.place {
            Index::CountedPosition { pad } => pad as usize + 1,
            _ => 0,
        };
        self.places.rows.saturating_sub(unused)
    }

    /// `[tokens, width]`.
    pub(crate) fn forward(&self, pass: &mut D::Pass<'_>) -> Result<D::Tensor, RunError> {
        let sum = pass.embed(&[
            Lookup { table: &self.words, index: Index::Token },
            Lookup { table: &self.segments, index: Index::Segment },
            Lookup { table: &self.places, index: self.place },
        ])?;
        pass.norm(&sum, &self.norm)
    }
}

/// `BertEncoder`.
pub(crate) struct Encoder<D: Device> {
    layers: Vec<Layer<D>>,
}

impl<D: Device> Encoder<D> {
    pub(crate) fn load(
        config: &Config,
        fields: &EncoderConfig,
        weights: Weights<'_, D>,
    ) -> Result<Self, Error> {
        if fields.is_decoder {
            return Err(config.unsupported("is_decoder true is not supported: encoders only"));
        }
        config.check_size("intermediate_size", fields.intermediate_size)?;
        let activation = crate::activation(config, "hidden_act", &fields.hidden_act)?;
        let head_dim = crate::head_dim(config, fields.hidden_size, fields.num_attention_heads)?;
        let layers = (0..fields.num_hidden_layers)
            .map(|i| layer(fields, head_dim, activation, weights.at("layer").at(i)))
            .collect::<Result<_, _>>()?;
        Ok(Self { layers })
    }

    /// `[tokens, hidden]` from `[tokens, hidden]`.
    pub(crate) fn forward(&self, pass: &mut D::Pass<'_>, x: D::Tensor) -> Result<D::Tensor, RunError> {
        self.layers.iter().try_fold(x, |x, layer| layer.forward(pass, x))
    }
}

/// `BertLayer`: self-attention and a feed-forward block, each followed by its norm.
fn layer<D: Device>(
    fields: &EncoderConfig,
    head_dim: usize,
    activation: Activation,
    weights: Weights<'_, D>,
) -> Result<Layer<D>, Error> {
    let (hidden, wide, epsilon) = (fields.hidden_size, fields.intermediate_size, fields.layer_norm_eps);
    let projected = ["query", "key", "value"]
        .map(|name| Part { weights: weights.at("attention.self").at(name), outputs: hidden });
    let attended = weights.at("attention.output");
    Ok(Layer {
        projection: Linear::joined(&projected, hidden, true)?,
        attention: Attention::bidirectional(fields.num_attention_heads, head_dim),
        attention_output: Linear::load(attended.at("dense"), hidden, hidden, true)?,
        attention_norm: Norm::layer(attended.at("LayerNorm"), hidden, epsilon, true)?,
        feed_forward: FeedForward::new(
            Linear::load(weights.at("intermediate.dense"), hidden, wide, true)?.activated(activation),
            None,
            Linear::load(weights.at("output.dense"), wide, hidden, true)?,
        ),
        output_norm: Norm::layer(weights.at("output.LayerNorm"), hidden, epsilon, true)?,
    })
}
