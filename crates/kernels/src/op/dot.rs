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
    of_parts(dot(isa, a, b), dot(isa, a, a), dot(isa, b, b)).unwrap_or_else(|| plain::cosine(a, b))
}

/// The cosine of `query` with each row.
#[inline(always)]
pub(crate) fn cosines<I: Isa>(isa: I, query: &[f32], rows: Matrix<'_>, out: &mut [f32]) {
    let square = dot(isa, query, query);
    for (r, out) in out.iter_mut().enumerate() {
        let row = rows.row(r);
        let (product, own) = both(isa, query, row);
        *out = of_parts(product, square, own).unwrap_or_else(|| plain::cosine(query, row));
    }
}

/// Numbers ahead of which rows are asked for: what memory takes to answer.
const AHEAD: usize = 8192;

/// Σ a b and Σ b b in one reading of `b`, which lies in a long row of others: the bits of `dot`.
#[inline(always)]
fn both<I: Isa>(isa: I, a: &[f32], b: &[f32]) -> (f32, f32) {
    let mut products = [isa.splat(0.0); 4];
    let mut squares = products;
    let (mut fours_a, mut fours_b) = (a.chunks_exact(4 * I::LANES), b.chunks_exact(4 * I::LANES));
    for (a, b) in (&mut fours_a).zip(&mut fours_b) {
        for i in 0..4 {
            let from = i * I::LANES;
            isa.prefetch(b[from..].as_ptr().wrapping_add(AHEAD).cast());
            let x = isa.load(&b[from..]);
            products[i] = isa.load(&a[from..]).fma(x, products[i]);
            squares[i] = x.fma(x, squares[i]);
        }
    }
    let (a, b) = (fours_a.remainder(), fours_b.remainder());
    let (mut ones_a, mut ones_b) = (a.chunks_exact(I::LANES), b.chunks_exact(I::LANES));
    for (i, (a, b)) in (&mut ones_a).zip(&mut ones_b).enumerate() {
        let x = isa.load(b);
        products[i] = isa.load(a).fma(x, products[i]);
        squares[i] = x.fma(x, squares[i]);
    }
    let x = isa.load_part(ones_b.remainder());
    products[3] = isa.load_part(ones_a.remainder()).fma(x, products[3]);
    squares[3] = x.fma(x, squares[3]);
    let total = |[a, b, c, d]: [I::V; 4]| ((a + b) + (c + d)).sum();
    (total(products), total(squares))
}

/// The cosine by a product and two squares; `None` where a square is so large or small that single precision has lost
/// digits of it, or all.
#[inline(always)]
fn of_parts(product: f32, a: f32, b: f32) -> Option<f32> {
    let kept = |square: f32| (1e-30..=1e30).contains(&square);
    // Rounding may carry parallel vectors past 1.
    (kept(a) && kept(b)).then(|| (product / (a.sqrt() * b.sqrt())).clamp(-1.0, 1.0))
}

/// In double precision: the oracles, and what is left of the range of single precision.
pub(crate) mod plain {
    use super::*;

    pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
        wide(a, b) as f32
    }

    pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f32 {
        let norm = wide(a, a).sqrt() * wide(b, b).sqrt();
        if norm == 0.0 { 0.0 } else { (wide(a, b) / norm).clamp(-1.0, 1.0) as f32 }
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

#[cfg(test)]
mod tests {
    use crate::isa::Kernels;
    use crate::matrix::Matrix;
    use crate::testing::{LENGTHS, Noise, assert_close, oracle};

    /// n roundings of partial sums, at random.
    const TOLERANCE: f32 = 2e-6;

    #[test]
    fn products_of_all_lengths_are_right() {
        for length in LENGTHS.into_iter().chain([384, 1000]) {
            let mut noise = Noise::new(length);
            let (a, b) = (noise.numbers(length), noise.numbers(length));
            let want = [oracle().dot(&a, &b), oracle().cosine(&a, &b)];
            for kernels in Kernels::supported() {
                let got = [kernels.dot(&a, &b), kernels.cosine(&a, &b)];
                assert_close(
                    &got,
                    &want,
                    |want| TOLERANCE * want.abs().max(1.0),
                    &format!("{kernels:?}: {length}"),
                );
            }
        }
    }

    #[test]
    fn ends_of_the_range() {
        for kernels in Kernels::supported() {
            assert_eq!(kernels.cosine(&[0.0; 20], &[1.0; 20]), 0.0, "{kernels:?}");
            assert_eq!(kernels.cosine(&[], &[]), 0.0, "{kernels:?}");
            assert!(kernels.cosine(&[f32::NAN, 1.0], &[1.0, 1.0]).is_nan(), "{kernels:?}");
            for (large, small) in [(3e18, 1e18), (f32::MAX, 1e-30), (1e-38, 1e-45), (f32::MAX, f32::MAX)] {
                let (a, b) = ([large, large, 0.0], [small, 0.0, small]);
                let cosines = kernels.top_k(&a, Matrix::new(&b, 1, 3), 1);
                for cosine in [kernels.cosine(&a, &b), cosines[0].1] {
                    assert!((cosine - 0.5).abs() < 1e-6, "{kernels:?}: {large:e} {small:e}: {cosine}");
                }
            }
        }
    }
}
