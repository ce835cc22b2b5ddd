//! act(a) * b, the gated unit of GLU layers (Shazeer, arXiv 2002.05202).

use super::activation::{Activation, UseLanewise};
use crate::matrix::{Matrix, MatrixMut};
use crate::simd::{Isa, Lanewise, Lanewise2, map2};

/// out = activation(a) * b for columns [a | b] of x.
#[inline(always)]
pub(crate) fn gate<I: Isa>(isa: I, x: Matrix<'_>, activation: Activation, out: MatrixMut<'_>) {
    activation.lanewise(Gate { isa, x, out });
}

struct Gate<'g, I> {
    isa: I,
    x: Matrix<'g>,
    out: MatrixMut<'g>,
}

impl<I: Isa> UseLanewise for Gate<'_, I> {
    #[inline(always)]
    fn with(mut self, f: impl Lanewise) {
        for r in 0..self.x.rows {
            let (a, b) = self.x.row(r).split_at(self.out.columns);
            let out = self.out.row_mut(r);
            out.copy_from_slice(b);
            map2(self.isa, out, a, TimesOf(f));
        }
    }
}

/// x f(y)
#[derive(Clone, Copy)]
struct TimesOf<F>(F);

impl<F: Lanewise> Lanewise2 for TimesOf<F> {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, x: I::V, y: I::V) -> I::V {
        x * self.0.apply(isa, y)
    }
}

/// The oracle.
pub(crate) fn plain(x: Matrix<'_>, activation: Activation, mut out: MatrixMut<'_>) {
    for r in 0..x.rows {
        let (a, b) = x.row(r).split_at(out.columns);
        for (i, out) in out.row_mut(r).iter_mut().enumerate() {
            *out = (activation.plain(f64::from(a[i])) * f64::from(b[i])) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Kernels;
    use crate::testing::{LENGTHS, Noise, assert_close, oracle};

    /// That of the activations, times a number below 1.
    const TOLERANCE: f32 = 4e-7;

    #[test]
    fn one_half_gates_the_other() {
        for width in LENGTHS {
            let x = Noise::new(width).numbers(3 * (2 * width + 1));
            for activation in Activation::ALL {
                let run = |kernels: &Kernels| {
                    let mut out = vec![5.0; 3 * (width + 2)];
                    let x = Matrix::strided(&x, 3, 2 * width, 2 * width + 1);
                    kernels.gate(x, activation, MatrixMut::strided(&mut out, 3, width, width + 2));
                    out
                };
                let want = run(oracle());
                for kernels in Kernels::supported() {
                    assert_close(
                        &run(kernels),
                        &want,
                        |_| TOLERANCE,
                        &format!("{kernels:?}: {width}, {activation:?}"),
                    );
                }
            }
        }
    }
}
