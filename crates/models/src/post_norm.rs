//! The layer that BERT began with: attention and a feed-forward block, each followed by the norm of its residual sum.
//! BERT and its kin name its tensors in their files, and this one computes. For Nomic BERT, GTE and Jina v3, which have
//! rotary positions in the place of learned ones, it has the encoder around the layers too.

use std::sync::Arc;

use backend::Error as RunError;
use nn::{
    Activation, Attention, Config, Device, Error, FeedForward, Head, Index, Linear, Lookup, Model, Norm,
    Pass, Rope, Table, Weights,
};

/// Token and segment embeddings, their norm, and the layers.
pub(crate) struct Encoder<D: Device> {
    pub(crate) words: Table<D>,
    pub(crate) segments: Option<Table<D>>,
    pub(crate) norm: Norm<D>,
    pub(crate) layers: Vec<Layer<D>>,
    pub(crate) hidden_size: usize,
}

impl<D: Device> Model<D> for Encoder<D> {
    fn width(&self) -> usize {
        self.hidden_size
    }

    fn positions(&self) -> Option<usize> {
        None
    }

    fn forward(&self, pass: &mut D::Pass<'_>) -> Result<D::Tensor, RunError> {
        let words = Lookup { table: &self.words, index: Index::Token };
        let sum = match &self.segments {
            Some(table) => pass.embed(&[words, Lookup { table, index: Index::Segment }])?,
            None => pass.embed(&[words])?,
        };
        let embedded = pass.norm(&sum, &self.norm)?; // [tokens, hidden]
        self.layers.iter().try_fold(embedded, |x, layer| layer.forward(pass, x))
    }
}

/// Attention and a feed-forward block, each followed by the norm of its residual sum.
pub(crate) struct Layer<D: Device> {
    pub(crate) projection: Linear<D>,
    pub(crate) attention: Attention<D>,
    pub(crate) attention_output: Linear<D>,
    pub(crate) attention_norm: Norm<D>,
    pub(crate) feed_forward: FeedForward<D>,
    pub(crate) output_norm: Norm<D>,
}

impl<D: Device> Layer<D> {
    pub(crate) fn forward(&self, pass: &mut D::Pass<'_>, x: D::Tensor) -> Result<D::Tensor, RunError> {
        let projected = pass.linear(&x, &self.projection)?; // [tokens, 3·heads·head_dim]
        let context = pass.attention(projected, &self.attention)?; // [tokens, heads·head_dim]
        let x = pass.linear_add(&context, &self.attention_output, x)?;
        let x = pass.norm(&x, &self.attention_norm)?;
        let x = pass.feed_forward(x, &self.feed_forward)?;
        pass.norm(&x, &self.output_norm)
    }
}

/// Widths of such an encoder.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) hidden: usize,
    pub(crate) wide: usize,
    pub(crate) heads: usize,
    pub(crate) head_dim: usize,
}

impl Shape {
    /// Checks the widths; heads without a size of their own divide `hidden`.
    pub(crate) fn new(
        config: &Config,
        (hidden, wide): (usize, usize),
        heads: usize,
        head_dim: Option<usize>,
    ) -> Result<Self, Error> {
        config.check_size("hidden_size", hidden)?;
        config.check_size("intermediate_size", wide)?;
        config.check_size("num_attention_heads", heads)?;
        let head_dim = head_dim.map_or_else(|| crate::head_dim(config, hidden, heads), Ok)?;
        config.check_size("head_dim", head_dim)?;
        Ok(Self { hidden, wide, heads, head_dim })
    }

    /// Columns of all heads.
    pub(crate) fn attended(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Attention to the whole text.
    pub(crate) fn attention<D: Device>(&self, rope: &Arc<Rope>) -> Attention<D> {
        Attention { rope: Some(rope.clone()), ..Attention::bidirectional(self.heads, self.head_dim) }
    }
}

/// A table of segments where there are any.
pub(crate) fn segments<D: Device>(
    weights: &Weights<'_, D>,
    count: usize,
    hidden: usize,
) -> Result<Option<Table<D>>, Error> {
    (count > 0).then(|| weights.table("token_type_embeddings.weight", count, hidden)).transpose()
}

/// BERT's head: the pooler of the base model, then one linear layer.
pub(crate) fn classifier<D: Device>(
    base: &Weights<'_, D>,
    weights: &Weights<'_, D>,
    hidden: usize,
    labels: usize,
) -> Result<Head<D>, Error> {
    let pooler = Linear::load(base.at("pooler.dense"), hidden, hidden, true)?.activated(Activation::Tanh);
    let logits = Linear::load(weights.at("classifier"), hidden, labels, true)?;
    Ok(crate::first_token_head(pooler, logits))
}
