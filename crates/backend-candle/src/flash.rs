//! Attention over ragged rows, without padding, by FlashAttention 2 (Dao 2023, arXiv:2307.08691).

use backend::Batch;
use candle_core::{DType, Result, Tensor};
use candle_flash_attn::flash_attn_varlen_windowed;
use nn::{Attention, Mask};

use crate::CandleDevice;

/// The widest head of its kernels.
const WIDEST: usize = 256;

/// Whether its kernels know this: half precision, no bias, nothing hidden, heads of eights.
pub(crate) fn fits(dtype: DType, attention: &Attention<CandleDevice>, batch: &Batch) -> bool {
    let hides = batch.texts().zip(batch.seen()).any(|(text, &seen)| seen < text.len());
    let half = matches!(dtype, DType::F16 | DType::BF16);
    let head = attention.head_dim <= WIDEST && attention.head_dim.is_multiple_of(8);
    half && head && !hides && attention.bias.is_none()
}

/// `[tokens, heads · head_dim]` of queries, keys and values, one row a token each; queries are scaled.
pub(crate) fn attend(
    [queries, keys, values]: [&Tensor; 3],
    attention: &Attention<CandleDevice>,
    batch: &Batch,
) -> Result<Tensor> {
    let (left, right) = match attention.mask {
        Mask::Full => (None, None),
        Mask::Causal => (None, Some(0)),
        Mask::Window { left, right } => (Some(left), Some(right)),
    };
    let tokens = batch.tokens();
    // Windows wider than any text would not fit the kernel's numbers of 32 bits.
    let side = |reach: Option<usize>| reach.filter(|&reach| reach < tokens);
    let split = |x: &Tensor, heads| x.reshape((tokens, heads, attention.head_dim));
    let ends = std::iter::once(0).chain(batch.texts().map(|text| text.end as u32)).collect::<Vec<u32>>();
    let count = ends.len();
    let ends = Tensor::from_vec(ends, count, queries.device())?;
    let longest = batch.texts().map(|text| text.len()).max().unwrap_or(0);
    let attended = flash_attn_varlen_windowed(
        &split(queries, attention.heads)?,
        &split(keys, attention.kv_heads)?,
        &split(values, attention.kv_heads)?,
        &ends,
        &ends,
        longest,
        longest,
        1.0,
        side(left),
        side(right),
    )?;
    attended.reshape((tokens, attention.output_width()))
}
