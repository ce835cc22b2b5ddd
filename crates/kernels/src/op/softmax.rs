//! e^(x - max) / sum, row by row.

use super::exp::exp2_not_positive;
use crate::matrix::MatrixMut;
use crate::simd::{Isa, Lanewise, Vector, map};

/// Each row of x becomes its softmax.
#[inline(always)]
pub(crate) fn softmax<I: Isa>(isa: I, mut x: MatrixMut<'_>) {
    for r in 0..x.rows {
        let row = x.row_mut(r);
        let sum = exponentials(isa, row);
        map(isa, row, Times(1.0 / sum));
    }
}

/// Each x becomes e^(x - max); the sum of them. Very negative ones become zero.
#[inline(always)]
pub(crate) fn exponentials<I: Isa>(isa: I, x: &mut [f32]) -> f32 {
    let least = isa.splat(f32::NEG_INFINITY);
    let mut chunks = x.chunks_exact(I::LANES);
    let mut largest = least;
    for chunk in &mut chunks {
        largest = largest.larger(isa.load(chunk));
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        largest = largest.larger(isa.load_part_or(rest, least));
    }
    let largest = isa.splat(largest.largest());

    let mut sum = isa.splat(0.0);
    let mut chunks = x.chunks_exact_mut(I::LANES);
    for chunk in &mut chunks {
        let e = exponential(isa, isa.load(chunk) - largest);
        sum = sum + e;
        isa.store(chunk, e);
    }
    let rest = chunks.into_remainder();
    if !rest.is_empty() {
        let e = exponential(isa, isa.load_part_or(rest, least) - largest);
        sum = sum + e;
        isa.store_part(rest, e);
    }
    sum.sum()
}

#[inline(always)]
fn exponential<I: Isa>(isa: I, x: I::V) -> I::V {
    exp2_not_positive(isa, x * isa.splat(std::f32::consts::LOG2_E))
}

/// x times a number.
#[derive(Clone, Copy)]
pub(crate) struct Times(pub(crate) f32);

impl Lanewise for Times {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, x: I::V) -> I::V {
        x * isa.splat(self.0)
    }
}

/// The oracle.
pub(crate) fn plain(mut x: MatrixMut<'_>) {
    for r in 0..x.rows {
        let row = x.row_mut(r);
        let wide: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
        for (x, weight) in row.iter_mut().zip(plain_weights(&wide)) {
            *x = weight as f32;
        }
    }
}

/// The oracle of one row.
pub(crate) fn plain_weights(x: &[f64]) -> Vec<f64> {
    let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let e: Vec<f64> = x.iter().map(|x| (x - largest).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.iter().map(|e| e / sum).collect()
}
