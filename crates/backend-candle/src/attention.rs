//! Attention of one text: blocks of queries against the keys that they see.

use std::ops::Range;

use backend::Batch;
use candle_core::{Device, Result, Tensor};
use candle_nn::ops::softmax_last_dim;
use candle_nn::rotary_emb::{rope, rope_i};
use nn::{Attention, DistanceBias, Mask, Norm, NormSpan, Rope, RopeStyle};

use crate::CandleDevice;
use crate::elementwise::{add, as_f32};
use crate::layer::normalise;
use crate::positions::{Contents, add_positions};

/// Scores of one block over all heads, 16 MB. As many bytes again go to their softmax and to a mask or bias.
pub(crate) const BLOCK_SCORES: usize = 1 << 22;

/// The heads of one text, placed and scaled.
struct Heads<'a> {
    attention: &'a Attention<CandleDevice>,
    /// `[heads, tokens, head_dim]`.
    queries: Tensor,
    /// `[kv_heads, tokens, head_dim]`.
    keys: Tensor,
    /// `[kv_heads, tokens, head_dim]`.
    values: Tensor,
    tokens: usize,
    /// Tokens that any query sees: the first ones.
    seen: usize,
}

/// `[tokens, heads·head_dim]` from `projected` `[tokens, queries | keys | values]`, text by text, with at most
/// `block_scores` scores at a time as long as one query needs fewer.
pub(crate) fn attend(
    projected: &Tensor,
    attention: &Attention<CandleDevice>,
    batch: &Batch,
    block_scores: usize,
) -> Result<Tensor> {
    let attended = batch.texts().zip(batch.seen()).map(|(text, &seen)| {
        attend_text(&projected.narrow(0, text.start, text.len())?, attention, seen, block_scores)
    });
    Tensor::cat(&attended.collect::<Result<Vec<_>>>()?, 0)
}

fn attend_text(
    projected: &Tensor,
    attention: &Attention<CandleDevice>,
    seen: usize,
    block_scores: usize,
) -> Result<Tensor> {
    let heads = Heads::of(projected, attention, seen)?;
    let tokens = heads.tokens;
    let rows = (block_scores / (attention.heads * tokens).max(1)).clamp(1, tokens);
    let blocks = (0..tokens).step_by(rows).map(|start| heads.block(start..tokens.min(start + rows)));
    let attended = Tensor::cat(&blocks.collect::<Result<Vec<_>>>()?, 1)?;
    attended.transpose(0, 1)?.reshape((tokens, attention.output_width()))
}

impl<'a> Heads<'a> {
    fn of(projected: &Tensor, attention: &'a Attention<CandleDevice>, seen: usize) -> Result<Self> {
        let (heads, kv_heads) = (attention.heads, attention.kv_heads);
        let tokens = projected.dim(0)?;
        let norms = attention.query_key_norm.as_ref();
        let queries = placed(projected, attention, 0..heads, norms.map(|(query, _)| query))?;
        let keys = placed(projected, attention, heads..heads + kv_heads, norms.map(|(_, key)| key))?;
        let values = heads_of(projected, heads + kv_heads..heads + 2 * kv_heads, attention.head_dim)?;
        let queries = queries.affine(attention.scale.into(), 0.0)?;
        Ok(Self { attention, queries, keys, values: split(&values, attention.head_dim)?, tokens, seen })
    }

    /// `[heads, rows, head_dim]` of the queries `rows`.
    fn block(&self, rows: Range<usize>) -> Result<Tensor> {
        let Attention { heads, kv_heads, head_dim, .. } = *self.attention;
        // The queries that share a key head, one below the other.
        let grouped = heads / kv_heads * rows.len();
        let keys = self.seen_by(&rows);
        let of_keys = |x: &Tensor| x.narrow(1, keys.start, keys.len());
        let queries = self.queries.narrow(1, rows.start, rows.len())?;
        let scores =
            queries.reshape((kv_heads, grouped, head_dim))?.matmul(&of_keys(&self.keys)?.transpose(1, 2)?)?;
        let mut scores = scores.reshape((heads, rows.len(), keys.len()))?;
        if let Some(positions) = &self.attention.positions {
            let contents =
                Contents { queries: &queries, keys: &of_keys(&self.keys)?, scale: self.attention.scale };
            scores = add_positions(scores, positions, &contents, (&rows, &keys))?;
        }
        scores = as_f32(&scores)?;
        if let Some(terms) = terms(self.attention, self.seen, (&rows, &keys), scores.device())? {
            let terms = terms.to_dtype(scores.dtype())?;
            scores = add(scores, &terms)?;
        }
        let weights = softmax_last_dim(&scores)?.to_dtype(queries.dtype())?;
        let weights = weights.reshape((kv_heads, grouped, keys.len()))?;
        weights.matmul(&of_keys(&self.values)?)?.reshape((heads, rows.len(), head_dim))
    }

    /// The keys that any of `rows` sees.
    fn seen_by(&self, rows: &Range<usize>) -> Range<usize> {
        let mask = self.attention.mask;
        seen(mask, rows.start, self.seen).start..seen(mask, rows.end - 1, self.seen).end
    }
}

/// What is added to the scores of a block of a text of `tokens`: mask `[rows, keys]`, or with a bias `[heads, rows, keys]`.
pub(crate) fn terms(
    attention: &Attention<CandleDevice>,
    tokens: usize,
    (rows, keys): (&Range<usize>, &Range<usize>),
    device: &Device,
) -> Result<Option<Tensor>> {
    let sees_all = |row| seen(attention.mask, row, tokens) == *keys;
    let bias = attention.bias.as_deref();
    if bias.is_none() && rows.clone().all(sees_all) {
        return Ok(None);
    }
    let heads = if bias.is_some() { attention.heads } else { 1 };
    let mut terms = Vec::with_capacity(heads * rows.len() * keys.len());
    for head in 0..heads {
        for row in rows.clone() {
            let seen = seen(attention.mask, row, tokens);
            terms.extend(keys.clone().map(|key| match bias {
                _ if !seen.contains(&key) => f32::NEG_INFINITY,
                Some(bias) => at_distance(bias, head, row, key),
                None => 0.0,
            }));
        }
    }
    let shape: &[usize] =
        if bias.is_some() { &[heads, rows.len(), keys.len()] } else { &[rows.len(), keys.len()] };
    Tensor::from_vec(terms, shape, device).map(Some)
}

/// `[heads, tokens, head_dim]` of some heads, normalised and rotated.
fn placed(
    projected: &Tensor,
    attention: &Attention<CandleDevice>,
    heads: Range<usize>,
    norm: Option<&Norm<CandleDevice>>,
) -> Result<Tensor> {
    let columns = heads_of(projected, heads, attention.head_dim)?;
    let placed = match (norm, attention.norm_span) {
        (Some(norm), NormSpan::All) => split(&normalise(&columns, norm)?, attention.head_dim)?,
        (Some(norm), NormSpan::Head) => normalise(&split(&columns, attention.head_dim)?, norm)?,
        (None, _) => split(&columns, attention.head_dim)?,
    };
    attention.rope.as_ref().map_or(Ok(placed.clone()), |rope| rotate(&placed, rope))
}

/// `[tokens, heads·head_dim]`: some heads' columns.
fn heads_of(projected: &Tensor, heads: Range<usize>, head_dim: usize) -> Result<Tensor> {
    projected.narrow(1, heads.start * head_dim, heads.len() * head_dim)?.contiguous()
}

/// `[heads, tokens, head_dim]`.
fn split(columns: &Tensor, head_dim: usize) -> Result<Tensor> {
    let (tokens, width) = columns.dims2()?;
    columns.reshape((tokens, width / head_dim, head_dim))?.transpose(0, 1)?.contiguous()
}

/// The keys, of `tokens`, that a query sees: at least one, the nearest.
pub(crate) fn seen(mask: Mask, query: usize, tokens: usize) -> Range<usize> {
    let (start, end) = match mask {
        Mask::Full => (0, tokens),
        Mask::Causal => (0, query + 1),
        Mask::Window { left, right } => {
            (query.saturating_sub(left), query.saturating_add(right).saturating_add(1))
        }
    };
    let end = end.min(tokens);
    start.min(end.saturating_sub(1))..end
}

fn at_distance(bias: &DistanceBias, head: usize, query: usize, key: usize) -> f32 {
    let middle = head * (2 * bias.reach + 1) + bias.reach;
    let distance = query.abs_diff(key).min(bias.reach);
    bias.values[if key < query { middle - distance } else { middle + distance }]
}

/// Rotates the first columns of each head of `[heads, tokens, head_dim]` by the token's place.
fn rotate(x: &Tensor, positions: &Rope) -> Result<Tensor> {
    let (_, tokens, head_dim) = x.dims3()?;
    let half = positions.dim / 2;
    let table = positions.table(tokens);
    let angles = |values: &[f32]| {
        Tensor::from_slice(&values[..tokens * half], (tokens, half), x.device())?.to_dtype(x.dtype())
    };
    let (cos, sin) = (angles(&table.cos)?, angles(&table.sin)?);
    let turned = x.narrow(2, 0, 2 * half)?.contiguous()?.unsqueeze(0)?;
    let turned = match positions.style {
        RopeStyle::Half => rope(&turned, &cos, &sin)?,
        RopeStyle::Interleaved => rope_i(&turned, &cos, &sin)?,
    };
    let rest = x.narrow(2, 2 * half, head_dim - 2 * half)?;
    if 2 * half == head_dim { turned.squeeze(0) } else { Tensor::cat(&[turned.squeeze(0)?, rest], 2) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use backend::Text;

    /// Numbers in -1..1 that look like chance.
    fn noise(count: usize) -> Vec<f32> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// The largest difference that blocks of `block_scores` make.
    fn difference(attention: &Attention<CandleDevice>, tokens: usize, block_scores: usize) -> f32 {
        let width = attention.input_width();
        let x = Tensor::from_vec(noise(tokens * width), (tokens, width), &Device::Cpu).unwrap();
        let mut batch = Batch::default();
        batch.push(Text { ids: &vec![0; tokens], types: &[], prompt_tokens: 0 });
        let values = |block_scores| {
            let attended = attend(&x, attention, &batch, block_scores).unwrap();
            attended.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        let (whole, blocks) = (values(usize::MAX), values(block_scores));
        assert_eq!(whole.len(), tokens * attention.output_width());
        whole.iter().zip(&blocks).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    fn masks() -> [Mask; 4] {
        [
            Mask::Full,
            Mask::Causal,
            Mask::Window { left: 3, right: 5 },
            Mask::Window { left: usize::MAX, right: 0 },
        ]
    }

    #[test]
    fn blocks_change_nothing() {
        for mask in masks() {
            for (tokens, block_scores) in
                [(1, 1), (2, 1), (19, 1), (19, 200), (40, 40 * 4 * 7), (64, 1 << 20)]
            {
                let mut attention = Attention { mask, kv_heads: 2, ..Attention::bidirectional(4, 8) };
                let far = difference(&attention, tokens, block_scores);
                assert!(far < 1e-6, "{mask:?} {tokens} {block_scores}: {far}");
                let values = noise(4 * 9);
                attention.bias = Some(Arc::new(DistanceBias { reach: 4, values }));
                let far = difference(&attention, tokens, block_scores);
                assert!(far < 1e-6, "bias {mask:?} {tokens} {block_scores}: {far}");
            }
        }
    }

    #[test]
    fn a_long_text_is_cut_into_blocks_that_change_nothing() {
        for mask in [Mask::Full, Mask::Window { left: 64, right: 64 }] {
            let attention = Attention { mask, ..Attention::bidirectional(2, 8) };
            let tokens = 4_097;
            assert!(attention.heads * tokens * tokens > BLOCK_SCORES);
            let far = difference(&attention, tokens, BLOCK_SCORES);
            assert!(far < 1e-6, "{mask:?}: {far}");
        }
    }
}
