//! Layer norm (Ba et al., arXiv 1607.06450) and root-mean-square norm (Zhang and Sennrich, arXiv 1910.07467).

use crate::matrix::{Matrix, MatrixMut};
use crate::op::rope::HeadColumns;
use crate::simd::{Identity, Isa, Lanewise, load_any, store_any, sum};

/// Parameters of a norm over rows of n numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Norm<'a> {
    /// n factors; none means 1.
    pub weight: Option<&'a [f32]>,
    /// n numbers added at the end.
    pub bias: Option<&'a [f32]>,
    /// Added to the variance or mean square, against division by zero.
    pub epsilon: f32,
    /// Added to each weight: 1 where a checkpoint stores the weight less one (Gemma), else 0.
    pub offset: f32,
}

/// What a row is brought to: `(x - mean) * scale`.
#[derive(Clone, Copy)]
struct Moments {
    mean: f32,
    scale: f32,
}

/// out = (x - mean) / √(variance + epsilon) * weight + bias, each row by itself.
#[inline(always)]
pub(crate) fn layer_norm<I: Isa>(isa: I, x: Matrix<'_>, norm: &Norm<'_>, mut out: MatrixMut<'_>) {
    for r in 0..x.rows {
        let moments = variance(isa, x.row(r), norm.epsilon);
        write(isa, x.row(r), moments, norm, out.row_mut(r));
    }
}

/// out = x / √(mean square + epsilon) * (offset + weight) + bias, each row by itself.
#[inline(always)]
pub(crate) fn rms_norm<I: Isa>(isa: I, x: Matrix<'_>, norm: &Norm<'_>, mut out: MatrixMut<'_>) {
    for r in 0..x.rows {
        let moments = mean_square(isa, x.row(r), norm.epsilon);
        write(isa, x.row(r), moments, norm, out.row_mut(r));
    }
}

/// As `rms_norm` for each head of each row, in place.
#[inline(always)]
pub(crate) fn rms_norm_heads<I: Isa>(isa: I, mut x: MatrixMut<'_>, heads: &HeadColumns, norm: &Norm<'_>) {
    for r in 0..x.rows {
        for head in heads.of(x.row_mut(r)) {
            let moments = mean_square(isa, head, norm.epsilon);
            write_in_place(isa, head, moments, norm);
        }
    }
}

#[inline(always)]
fn variance<I: Isa>(isa: I, x: &[f32], epsilon: f32) -> Moments {
    let mean = sum(isa, x, 0.0, Identity) / x.len() as f32;
    let squares = sum(isa, x, mean, SquareLess(mean));
    Moments { mean, scale: 1.0 / (squares / x.len() as f32 + epsilon).sqrt() }
}

#[inline(always)]
fn mean_square<I: Isa>(isa: I, x: &[f32], epsilon: f32) -> Moments {
    let squares = sum(isa, x, 0.0, SquareLess(0.0));
    Moments { mean: 0.0, scale: 1.0 / (squares / x.len() as f32 + epsilon).sqrt() }
}

/// (x - mean)²
#[derive(Clone, Copy)]
struct SquareLess(f32);

impl Lanewise for SquareLess {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, x: I::V) -> I::V {
        let x = x - isa.splat(self.0);
        x * x
    }
}

#[inline(always)]
fn write<I: Isa>(isa: I, x: &[f32], moments: Moments, norm: &Norm<'_>, out: &mut [f32]) {
    for (i, (x, out)) in x.chunks(I::LANES).zip(out.chunks_mut(I::LANES)).enumerate() {
        store_any(isa, out, normal(isa, x, moments, norm, i * I::LANES));
    }
}

#[inline(always)]
fn write_in_place<I: Isa>(isa: I, x: &mut [f32], moments: Moments, norm: &Norm<'_>) {
    for (i, x) in x.chunks_mut(I::LANES).enumerate() {
        let y = normal(isa, x, moments, norm, i * I::LANES);
        store_any(isa, x, y);
    }
}

#[inline(always)]
fn normal<I: Isa>(isa: I, x: &[f32], moments: Moments, norm: &Norm<'_>, first: usize) -> I::V {
    let mut y = (load_any(isa, x) - isa.splat(moments.mean)) * isa.splat(moments.scale);
    if let Some(weight) = norm.weight {
        y = y * (load_any(isa, &weight[first..][..x.len()]) + isa.splat(norm.offset));
    }
    if let Some(bias) = norm.bias {
        y = y + load_any(isa, &bias[first..][..x.len()]);
    }
    y
}

/// The oracles.
pub(crate) mod plain {
    use super::*;

    pub(crate) fn layer_norm(x: Matrix<'_>, norm: &Norm<'_>, mut out: MatrixMut<'_>) {
        for r in 0..x.rows {
            row(x.row(r), norm, true, out.row_mut(r));
        }
    }

    pub(crate) fn rms_norm(x: Matrix<'_>, norm: &Norm<'_>, mut out: MatrixMut<'_>) {
        for r in 0..x.rows {
            row(x.row(r), norm, false, out.row_mut(r));
        }
    }

    pub(crate) fn rms_norm_heads(mut x: MatrixMut<'_>, heads: &HeadColumns, norm: &Norm<'_>) {
        for r in 0..x.rows {
            for head in heads.of(x.row_mut(r)) {
                row(&head.to_vec(), norm, false, head);
            }
        }
    }

    fn row(x: &[f32], norm: &Norm<'_>, centre: bool, out: &mut [f32]) {
        let mean_of = |f: &dyn Fn(f64) -> f64| x.iter().map(|&x| f(f64::from(x))).sum::<f64>() / x.len() as f64;
        let mean = if centre { mean_of(&|x| x) } else { 0.0 };
        let variance = mean_of(&|x| (x - mean) * (x - mean));
        let scale = 1.0 / (variance + f64::from(norm.epsilon)).sqrt();
        for (i, out) in out.iter_mut().enumerate() {
            let weight = norm.weight.map_or(1.0, |weight| f64::from(weight[i]) + f64::from(norm.offset));
            let bias = norm.bias.map_or(0.0, |bias| f64::from(bias[i]));
            *out = ((f64::from(x[i]) - mean) * scale * weight + bias) as f32;
        }
    }
}
