//! Many rows into one: weighted sum and maximum. A mean is a sum with weights 1 / rows.

use crate::matrix::Matrix;
use crate::simd::{Isa, Lanewise2, Vector, map2};

/// out = Σ weight · row, weights 1 where there are none.
#[inline(always)]
pub(crate) fn sum_rows<I: Isa>(isa: I, x: Matrix<'_>, weights: Option<&[f32]>, out: &mut [f32]) {
    out.fill(0.0);
    for r in 0..x.rows {
        let weight = weights.map_or(1.0, |weights| weights[r]);
        map2(isa, out, x.row(r), PlusTimes(weight));
    }
}

/// out = the largest of each column.
#[inline(always)]
pub(crate) fn max_rows<I: Isa>(isa: I, x: Matrix<'_>, out: &mut [f32]) {
    out.fill(f32::NEG_INFINITY);
    for r in 0..x.rows {
        map2(isa, out, x.row(r), Larger);
    }
}

/// x + weight y
#[derive(Clone, Copy)]
struct PlusTimes(f32);

impl Lanewise2 for PlusTimes {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, x: I::V, y: I::V) -> I::V {
        y.fma(isa.splat(self.0), x)
    }
}

#[derive(Clone, Copy)]
struct Larger;

impl Lanewise2 for Larger {
    #[inline(always)]
    fn apply<I: Isa>(self, _: I, x: I::V, y: I::V) -> I::V {
        y.larger(x)
    }
}

/// The oracles.
pub(crate) mod plain {
    use super::*;

    pub(crate) fn sum_rows(x: Matrix<'_>, weights: Option<&[f32]>, out: &mut [f32]) {
        for (c, out) in out.iter_mut().enumerate() {
            let mut sum = 0.0;
            for r in 0..x.rows {
                sum += f64::from(x.row(r)[c]) * weights.map_or(1.0, |weights| f64::from(weights[r]));
            }
            *out = sum as f32;
        }
    }

    pub(crate) fn max_rows(x: Matrix<'_>, out: &mut [f32]) {
        for (c, out) in out.iter_mut().enumerate() {
            *out = (0..x.rows).map(|r| x.row(r)[c]).fold(f32::NEG_INFINITY, f32::max);
        }
    }
}
