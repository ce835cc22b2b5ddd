//! The oracle of the multiply, for each number format.
#![expect(unsafe_code, reason = "rows are lent to several threads at once")]

use crate::dtype::{Dtype, from_bf16, to_bf16};
use crate::gemm::{Epilogue, Product};
use crate::op::quantise;
use crate::pack::{Packed, weight_in};

/// The same in plain loops: sums in double precision, or exact.
pub(crate) fn plain(product: Product<'_>) {
    let Product { a, b, c, outputs, epilogue, .. } = product;
    for r in 0..a.rows {
        let row = Row::of(b.dtype(), a.row(r));
        // SAFETY: the call has these columns to itself.
        let targets = unsafe { c.row(r, outputs.clone()) };
        for (n, target) in outputs.clone().zip(targets) {
            finish(row.times(b, n), n, &epilogue, target);
        }
    }
}

/// A row of activations in the number format.
struct Row {
    numbers: Vec<f32>,
    quantised: Option<quantise::Quantised>,
}

impl Row {
    fn of(dtype: Dtype, x: &[f32]) -> Self {
        let rounded = |x: &f32| from_bf16(to_bf16(*x));
        match dtype {
            Dtype::F32 => Self { numbers: x.to_vec(), quantised: None },
            Dtype::Bf16 => Self { numbers: x.iter().map(rounded).collect(), quantised: None },
            Dtype::Int8 => {
                let mut whole = vec![0; x.len()];
                let quantised = quantise::plain(x, &mut whole);
                let numbers = whole.into_iter().map(f32::from).collect();
                Self { numbers, quantised: Some(quantised) }
            }
        }
    }

    /// The dot product with the weights of output `n`. For `Int8` the sum is exact and the four roundings after it
    /// are those of every other table.
    fn times(&self, b: &Packed, n: usize) -> f64 {
        let words = b.panels_from(n);
        let per_word = b.dtype().per_word();
        let weight = |k: usize| f64::from(weight_in(b.dtype(), words[k / per_word], k % per_word));
        let sum: f64 = self.numbers.iter().enumerate().map(|(k, &x)| f64::from(x) * weight(k)).sum();
        let Some(row) = &self.quantised else { return sum };
        let whole = (-row.zero).mul_add(b.scales().sum[n], sum as f32);
        f64::from(whole * row.scale) * f64::from(b.scales().scale[n])
    }
}

fn finish(mut sum: f64, n: usize, epilogue: &Epilogue<'_>, target: &mut f32) {
    if let Some(bias) = epilogue.bias {
        sum += f64::from(bias[n]);
    }
    if let Some(activation) = epilogue.activation {
        sum = activation.plain(sum);
    }
    *target = if epilogue.accumulate { (f64::from(*target) + sum) as f32 } else { sum as f32 };
}
