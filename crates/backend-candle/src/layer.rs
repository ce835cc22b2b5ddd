//! What stands between attentions: norms, linear layers, gates.

use backend::Batch;
use candle_core::{Result, Tensor};
use candle_nn::ops::{layer_norm, rms_norm};
use nn::{Activation, Linear, Norm, NormKind};

use crate::CandleDevice;
use crate::elementwise::{activate, add, as_f32, centred, multiply};

/// Normalises the last dimension. Half precision is as_f32 for it and comes back.
pub(crate) fn normalise(x: &Tensor, norm: &Norm<CandleDevice>) -> Result<Tensor> {
    let (x32, weight) = (as_f32(x)?, as_f32(norm.weight())?);
    in_f32(&x32, &weight, norm)?.to_dtype(x.dtype())
}

fn in_f32(x: &Tensor, weight: &Tensor, norm: &Norm<CandleDevice>) -> Result<Tensor> {
    match norm.kind {
        // candle takes the variance as E[x²] - E[x]²; with the mean gone before, nothing cancels.
        NormKind::Layer => {
            let bias = norm.bias().map_or_else(|| weight.zeros_like(), as_f32)?;
            layer_norm(&centred(x)?, weight, &bias, norm.epsilon)
        }
        NormKind::Rms { offset } => rms_norm(x, &weight.affine(1.0, offset.into())?, norm.epsilon),
    }
}

/// `activation(x·Wᵀ + b)`.
pub(crate) fn project(x: &Tensor, linear: &Linear<CandleDevice>) -> Result<Tensor> {
    let mut out = x.matmul(&linear.weight().t()?)?;
    if let Some(bias) = linear.bias() {
        out = add(out, bias)?;
    }
    match linear.activation {
        Some(activation) => activate(out, activation),
        None => Ok(out),
    }
}

/// `activation(a) · b` of columns `[a | b]`.
pub(crate) fn gate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    let half = x.dim(1)? / 2;
    // A copy always: `contiguous` would give the columns of a single row as they lie in `x`.
    let side = |first| x.narrow(1, first, half)?.force_contiguous();
    multiply(activate(side(0)?, activation)?, &side(half)?)
}

/// Each row among its neighbours in its text, side by side, with zeros beyond the ends.
pub(crate) fn neighbours(x: &Tensor, reach: usize, batch: &Batch) -> Result<Tensor> {
    let texts = batch.texts().map(|text| {
        let padded = x.narrow(0, text.start, text.len())?.pad_with_zeros(0, reach, reach)?;
        let places = (0..=2 * reach).map(|place| padded.narrow(0, place, text.len()));
        Tensor::cat(&places.collect::<Result<Vec<_>>>()?, 1)
    });
    // A copy always: nothing may share what a later operation writes into.
    Tensor::cat(&texts.collect::<Result<Vec<_>>>()?, 0)?.force_contiguous()
}
