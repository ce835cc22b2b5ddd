//! From tokens to texts.

use backend::{Batch, Pooling, PoolingMode};
use candle_core::{Result, Tensor};

use crate::elementwise::as_f32;

/// `[texts, modes·columns]` of `[tokens, columns]`. Half precision is as_f32 for it and comes back.
pub(crate) fn pool(x: &Tensor, pooling: &Pooling, batch: &Batch) -> Result<Tensor> {
    in_f32(&as_f32(x)?, pooling, batch)?.to_dtype(x.dtype())
}

fn in_f32(x: &Tensor, pooling: &Pooling, batch: &Batch) -> Result<Tensor> {
    let texts = batch.texts().zip(batch.prompt_tokens()).map(|(text, &prompt)| {
        let counted = pooling.counted(&batch.ids()[text.clone()], prompt);
        let skipped = counted.start;
        let tokens = x.narrow(0, text.start + skipped, counted.len())?;
        let vectors = pooling.modes.iter().map(|&mode| pool_text(&tokens, skipped, mode));
        Tensor::cat(&vectors.collect::<Result<Vec<_>>>()?, 1)
    });
    Tensor::cat(&texts.collect::<Result<Vec<_>>>()?, 0)
}

/// `[1, columns]` of `[tokens, columns]`, no part of it; `skipped` tokens of the text stand before them.
fn pool_text(x: &Tensor, skipped: usize, mode: PoolingMode) -> Result<Tensor> {
    let tokens = x.dim(0)?;
    let sum = || x.sum_keepdim(0);
    match mode {
        PoolingMode::Cls => x.narrow(0, 0, 1)?.force_contiguous(),
        PoolingMode::LastToken => x.narrow(0, tokens - 1, 1)?.force_contiguous(),
        PoolingMode::Max => x.max_keepdim(0),
        PoolingMode::Mean => sum()?.affine(1.0 / tokens as f64, 0.0),
        PoolingMode::MeanSqrtLen => sum()?.affine(1.0 / (tokens as f64).sqrt(), 0.0),
        PoolingMode::WeightedMean => {
            let weights: Vec<f32> = (1..=tokens).map(|place| (skipped + place) as f32).collect();
            let total: f64 = weights.iter().copied().map(f64::from).sum();
            let weights = Tensor::from_vec(weights, (1, tokens), x.device())?.to_dtype(x.dtype())?;
            weights.matmul(x)?.affine(1.0 / total, 0.0)
        }
    }
}

/// Whether every mode weighs tokens, as all but the largest do.
pub(crate) fn weighs(pooling: &Pooling) -> bool {
    pooling.modes.iter().all(|mode| *mode != PoolingMode::Max)
}

/// The weights of counted tokens, behind `skipped` others of their text.
pub(crate) fn weigh(mode: PoolingMode, skipped: usize, weights: &mut [f32]) {
    let tokens = weights.len();
    match mode {
        PoolingMode::Cls => weights[..1].fill(1.0),
        PoolingMode::LastToken => weights[tokens - 1..].fill(1.0),
        PoolingMode::Mean => weights.fill((1.0 / tokens as f64) as f32),
        PoolingMode::MeanSqrtLen => weights.fill((1.0 / (tokens as f64).sqrt()) as f32),
        PoolingMode::WeightedMean => {
            let total: f64 = (1..=tokens).map(|place| (skipped + place) as f64).sum();
            let weight = |place: usize| ((skipped + place + 1) as f64 / total) as f32;
            weights.iter_mut().enumerate().for_each(|(place, out)| *out = weight(place));
        }
        PoolingMode::Max => {}
    }
}
