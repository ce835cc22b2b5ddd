//! Dot products and cosines.

use crate::matrix::Matrix;
use crate::simd::{Isa, Vector};

/// Σ a b.
#[inline(always)]
pub(crate) fn dot<I: Isa>(isa: I, a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [isa.splat(0.0); 4];
    let (mut fours_a, mut fours_b) = (a.chunks_exact(4 * I::LANES), b.chunks_exact(4 * I::LANES));
    for (a, b) in (&mut fours_a).zip(&mut fours_b) {
        for (i, sum) in sums.iter_mut().enumerate() {
            let from = i * I::LANES;
            *sum = isa.load(&a[from..]).fma(isa.load(&b[from..]), *sum);
        }
    }
    let (a, b) = (fours_a.remainder(), fours_b.remainder());
    let (mut ones_a, mut ones_b) = (a.chunks_exact(I::LANES), b.chunks_exact(I::LANES));
    for ((a, b), sum) in (&mut ones_a).zip(&mut ones_b).zip(&mut sums) {
        *sum = isa.load(a).fma(isa.load(b), *sum);
    }
    let last = isa.load_part(ones_a.remainder()).fma(isa.load_part(ones_b.remainder()), sums[3]);
    ((sums[0] + sums[1]) + (sums[2] + last)).sum()
}

/// a · b / (|a| |b|), 0 where either is zero.
#[inline(always)]
pub(crate) fn cosine<I: Isa>(isa: I, a: &[f32], b: &[f32]) -> f32 {
    of_parts(dot(isa, a, b), dot(isa, a, a), dot(isa, b, b))
}

/// The cosine of `query` with each row.
#[inline(always)]
pub(crate) fn cosines<I: Isa>(isa: I, query: &[f32], rows: Matrix<'_>, out: &mut [f32]) {
    let square = dot(isa, query, query);
    for (r, out) in out.iter_mut().enumerate() {
        let row = rows.row(r);
        *out = of_parts(dot(isa, query, row), square, dot(isa, row, row));
    }
}

/// Each root by itself: the product of the squares may overflow where the cosine does not.
#[inline(always)]
fn of_parts(product: f32, a: f32, b: f32) -> f32 {
    let norm = a.sqrt() * b.sqrt();
    if norm == 0.0 { 0.0 } else { product / norm }
}

/// The oracles.
pub(crate) mod plain {
    use super::*;

    pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
        wide(a, b) as f32
    }

    pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f32 {
        let norm = wide(a, a).sqrt() * wide(b, b).sqrt();
        if norm == 0.0 { 0.0 } else { (wide(a, b) / norm) as f32 }
    }

    pub(crate) fn cosines(query: &[f32], rows: Matrix<'_>, out: &mut [f32]) {
        for (r, out) in out.iter_mut().enumerate() {
            *out = cosine(query, rows.row(r));
        }
    }

    fn wide(a: &[f32], b: &[f32]) -> f64 {
        let mut sum = 0.0;
        for (&a, &b) in a.iter().zip(b) {
            sum += f64::from(a) * f64::from(b);
        }
        sum
    }
}
