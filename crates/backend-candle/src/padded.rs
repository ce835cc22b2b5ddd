//! Attention of all texts of a batch at once, in padded groups. A padded token sees and is seen by nobody that counts:
//! as a key it is masked, as a query it is left behind.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use backend::{Batch, Pooling};
use candle_core::{Device, Result, Tensor};
use candle_nn::ops::softmax_last_dim;
use candle_nn::rotary_emb::{rope, rope_i};
use nn::{Attention, Mask, Norm, NormSpan, Rope, RopeStyle};

use crate::CandleDevice;
use crate::attention::{seen, terms};
use crate::elementwise::as_f32;
use crate::groups::{Layout, Padded};
use crate::layer::normalise;
use crate::pooling::weigh;

/// Scores of one block over all texts and heads, 256 MB in f32; as many bytes go to their softmax.
const BLOCK_SCORES: usize = 1 << 26;

/// What the layers of one pass share.
#[derive(Default)]
pub(crate) struct Shared {
    layout: Option<Arc<Layout>>,
    /// Cosines and sines of every token, `[tokens, dim/2]`, by rotation.
    angles: HashMap<usize, (Tensor, Tensor)>,
    terms: Terms,
}

/// What masks and biases add to the scores of blocks of queries and keys.
type Terms = HashMap<(Mask, usize, Range<usize>, Range<usize>), Option<Tensor>>;

impl Shared {
    fn layout(&mut self, batch: &Batch, device: &Device) -> Result<Arc<Layout>> {
        match &self.layout {
            Some(layout) => Ok(layout.clone()),
            None => Ok(self.layout.insert(Layout::of(batch, device)?.into()).clone()),
        }
    }
}

/// As [`crate::pooling::pool`], of poolings that weigh tokens: one multiply a group.
pub(crate) fn pool(x: &Tensor, pooling: &Pooling, batch: &Batch, shared: &mut Shared) -> Result<Tensor> {
    let layout = shared.layout(batch, x.device())?;
    let (columns, modes) = (x.dim(1)?, pooling.modes.len());
    let x32 = as_f32(x)?;
    let pooled = layout.groups.iter().map(|padded| {
        let Padded { rows, length, .. } = *padded;
        let mut weights = vec![0.0; rows * modes * length];
        for (row, (place, text)) in padded.group.texts.iter().enumerate() {
            let counted = pooling.counted(&batch.ids()[text.clone()], batch.prompt_tokens()[*place]);
            let (skipped, count) = (counted.start, counted.len());
            for (number, &mode) in pooling.modes.iter().enumerate() {
                let out = &mut weights[(row * modes + number) * length + skipped..][..count];
                weigh(mode, skipped, out);
            }
        }
        let weights = Tensor::from_vec(weights, (rows, modes, length), x.device())?;
        let tokens = x32.index_select(&padded.tokens, 0)?.reshape((rows, length, columns))?;
        weights.matmul(&tokens)?.reshape((rows, modes * columns))
    });
    let pooled = Tensor::cat(&pooled.collect::<Result<Vec<_>>>()?, 0)?;
    pooled.index_select(&layout.texts_back, 0)?.to_dtype(x.dtype())
}

/// Whether this attention can be padded: relative positions that meet contents are gathered text by text, and a query
/// whose window holds nothing but hidden keys would see none.
pub(crate) fn fits(attention: &Attention<CandleDevice>, batch: &Batch) -> bool {
    let hides = batch.texts().zip(batch.seen()).any(|(text, &seen)| seen < text.len());
    attention.positions.is_none() && !(hides && matches!(attention.mask, Mask::Window { .. }))
}

/// As [`crate::attention::attend`].
pub(crate) fn attend(
    projected: &Tensor,
    attention: &Attention<CandleDevice>,
    batch: &Batch,
    shared: &mut Shared,
) -> Result<Tensor> {
    let (heads, kv_heads) = (attention.heads, attention.kv_heads);
    let norms = attention.query_key_norm.as_ref();
    let queries = placed(projected, attention, 0..heads, (norms.map(|(query, _)| query), batch, shared))?;
    let queries = queries.affine(attention.scale.into(), 0.0)?;
    let key_heads = heads..heads + kv_heads;
    let keys = placed(projected, attention, key_heads, (norms.map(|(_, key)| key), batch, shared))?;
    let values = columns(projected, heads + kv_heads..heads + 2 * kv_heads, attention.head_dim)?;
    #[cfg(feature = "flash-attn")]
    if crate::flash::fits(queries.dtype(), attention, batch) {
        return crate::flash::attend([&queries, &keys, &values], attention, batch);
    }
    let layout = shared.layout(batch, projected.device())?;
    let terms = &mut shared.terms;
    let attended = layout.groups.iter().map(|group| {
        let split = |x: &Tensor, heads| split(&x.index_select(&group.tokens, 0)?, group, heads);
        let parts = [split(&queries, heads)?, split(&keys, kv_heads)?, split(&values, kv_heads)?];
        Parts { attention, group, parts }.attend(terms)
    });
    let attended = Tensor::cat(&attended.collect::<Result<Vec<_>>>()?, 0)?;
    attended.index_select(&layout.back, 0)
}

/// Queries, keys and values of a group, each `[rows, heads, length, head_dim]`.
struct Parts<'a> {
    attention: &'a Attention<CandleDevice>,
    group: &'a Padded,
    parts: [Tensor; 3],
}

impl Parts<'_> {
    /// `[rows · length, heads · head_dim]`.
    fn attend(&self, terms: &mut Terms) -> Result<Tensor> {
        let Padded { rows, length, .. } = *self.group;
        let scores = rows * self.attention.heads * length;
        let step = (BLOCK_SCORES / scores.max(1)).clamp(1, length);
        let blocks =
            (0..length).step_by(step).map(|start| self.block(start..length.min(start + step), terms));
        let attended = Tensor::cat(&blocks.collect::<Result<Vec<_>>>()?, 2)?;
        attended.transpose(1, 2)?.reshape((rows * length, self.attention.output_width()))
    }

    /// `[rows, heads, queries, head_dim]` of some queries.
    fn block(&self, queries: Range<usize>, terms: &mut Terms) -> Result<Tensor> {
        let Attention { heads, kv_heads, head_dim, mask, .. } = *self.attention;
        let Padded { rows, length, ref unseen, .. } = *self.group;
        let keys = seen(mask, queries.start, length).start..seen(mask, queries.end - 1, length).end;
        let of_keys = |x: &Tensor| x.narrow(2, keys.start, keys.len())?.contiguous();
        // The queries that share a key head, one below the other.
        let grouped = heads / kv_heads * queries.len();
        let asked = self.parts[0].narrow(2, queries.start, queries.len())?;
        let asked = asked.contiguous()?.reshape((rows, kv_heads, grouped, head_dim))?;
        let scores = asked.matmul(&of_keys(&self.parts[1])?.t()?)?;
        let mut scores = as_f32(&scores.reshape((rows, heads, queries.len(), keys.len()))?)?;
        if let Some(unseen) = unseen {
            let unseen = unseen.narrow(3, keys.start, keys.len())?.to_dtype(scores.dtype())?;
            scores = scores.broadcast_add(&unseen)?;
        }
        if let Some(terms) = self.terms((&queries, &keys), terms)? {
            scores = scores.broadcast_add(&terms.to_dtype(scores.dtype())?)?;
        }
        let weights = softmax_last_dim(&scores.contiguous()?)?.to_dtype(self.parts[2].dtype())?;
        let weights = weights.reshape((rows, kv_heads, grouped, keys.len()))?;
        weights.matmul(&of_keys(&self.parts[2])?)?.reshape((rows, heads, queries.len(), head_dim))
    }

    /// Mask and bias of a block, made once a pass.
    fn terms(
        &self,
        (queries, keys): (&Range<usize>, &Range<usize>),
        made: &mut Terms,
    ) -> Result<Option<Tensor>> {
        let bias = self.attention.bias.as_ref().map_or(0, |bias| Arc::as_ptr(bias).addr());
        let key = (self.attention.mask, bias, queries.clone(), keys.clone());
        if let Some(known) = made.get(&key) {
            return Ok(known.clone());
        }
        let new = terms(self.attention, self.group.length, (queries, keys), self.parts[0].device())?;
        made.insert(key, new.clone());
        Ok(new)
    }
}

/// `[tokens, heads · head_dim]` of some heads, normalised and rotated.
fn placed(
    projected: &Tensor,
    attention: &Attention<CandleDevice>,
    heads: Range<usize>,
    (norm, batch, shared): (Option<&Norm<CandleDevice>>, &Batch, &mut Shared),
) -> Result<Tensor> {
    let (count, head_dim) = (heads.len(), attention.head_dim);
    let mut x = columns(projected, heads, head_dim)?;
    x = match (norm, attention.norm_span) {
        (Some(norm), NormSpan::All) => normalise(&x, norm)?,
        (Some(norm), NormSpan::Head) => {
            let tokens = x.dim(0)?;
            let split = x.reshape((tokens * count, head_dim))?;
            normalise(&split, norm)?.reshape((tokens, count * head_dim))?
        }
        (None, _) => x,
    };
    match &attention.rope {
        Some(rope) => rotate(&x, (count, head_dim), rope, (batch, shared)),
        None => Ok(x),
    }
}

fn columns(projected: &Tensor, heads: Range<usize>, head_dim: usize) -> Result<Tensor> {
    projected.narrow(1, heads.start * head_dim, heads.len() * head_dim)?.contiguous()
}

/// `[rows, heads, length, head_dim]` of `[rows · length, heads · head_dim]`.
fn split(x: &Tensor, group: &Padded, heads: usize) -> Result<Tensor> {
    x.reshape((group.rows, group.length, heads, ()))?.transpose(1, 2)?.contiguous()
}

/// Rotates the first columns of each head by the token's place in its text, by angles of that text alone.
fn rotate(
    x: &Tensor,
    (heads, head_dim): (usize, usize),
    positions: &Arc<Rope>,
    (batch, shared): (&Batch, &mut Shared),
) -> Result<Tensor> {
    let (tokens, dim) = (x.dim(0)?, positions.dim);
    let key = Arc::as_ptr(positions).addr();
    let (cos, sin) = match shared.angles.get(&key) {
        Some(known) => known.clone(),
        None => {
            let made = angles(positions, batch, x)?;
            shared.angles.insert(key, made.clone());
            made
        }
    };
    // `[1, heads, tokens, head_dim]`: the tokens of all texts as one.
    let split = x.reshape((1, tokens, heads, head_dim))?.transpose(1, 2)?;
    let turned = split.narrow(3, 0, dim)?.contiguous()?;
    let turned = match positions.style {
        RopeStyle::Half => rope(&turned, &cos, &sin)?,
        RopeStyle::Interleaved => rope_i(&turned, &cos, &sin)?,
    };
    let whole = match head_dim - dim {
        0 => turned,
        rest => Tensor::cat(&[turned, split.narrow(3, dim, rest)?.contiguous()?], 3)?,
    };
    whole.transpose(1, 2)?.reshape((tokens, heads * head_dim))
}

fn angles(positions: &Rope, batch: &Batch, like: &Tensor) -> Result<(Tensor, Tensor)> {
    let (mut cos, mut sin) = (Vec::new(), Vec::new());
    for text in batch.texts() {
        let (table, numbers) = (positions.table(text.len()), text.len() * positions.dim / 2);
        cos.extend_from_slice(&table.cos[..numbers]);
        sin.extend_from_slice(&table.sin[..numbers]);
    }
    let there = |values: Vec<f32>| {
        Tensor::from_vec(values, (batch.tokens(), positions.dim / 2), like.device())?.to_dtype(like.dtype())
    };
    Ok((there(cos)?, there(sin)?))
}
