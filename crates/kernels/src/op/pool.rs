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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Kernels;
    use crate::testing::{LENGTHS, Noise, assert_close, assert_same, oracle};

    /// Up to nine roundings of sums below 9.
    const TOLERANCE: f32 = 3e-6;

    #[test]
    fn columns_are_pooled() {
        for columns in LENGTHS {
            for rows in [0, 1, 2, 9] {
                let mut noise = Noise::new(columns + rows);
                let (x, weights) = (noise.numbers(rows * (columns + 3)), noise.numbers(rows));
                let x = Matrix::strided(&x, rows, columns, columns + 3);
                let run = |f: &dyn Fn(&mut [f32])| {
                    let mut out = vec![7.0; columns];
                    f(&mut out);
                    out
                };
                for kernels in Kernels::supported() {
                    let case = format!("{kernels:?}: {rows} × {columns}");
                    for weights in [None, Some(&weights[..])] {
                        let sum = |kernels: &Kernels| run(&|out| kernels.sum_rows(x, weights, out));
                        assert_close(&sum(kernels), &sum(oracle()), |_| TOLERANCE, &case);
                    }
                    let max = |kernels: &Kernels| run(&|out| kernels.max_rows(x, out));
                    assert_same(&max(kernels), &max(oracle()), &case);
                }
            }
        }
    }

    #[test]
    fn the_maximum_passes_nan_over() {
        for kernels in Kernels::supported() {
            let mut out = [0.0];
            kernels.max_rows(Matrix::new(&[f32::NAN, 2.0, f32::NAN, 1.0], 4, 1), &mut out);
            assert_eq!(out, [2.0], "{kernels:?}");
        }
    }
}
