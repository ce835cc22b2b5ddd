//! What becomes of the sums of a tile, output by output.
#![expect(unsafe_code, reason = "the header of a row is read through a pointer")]

use std::ops::Range;

use crate::dtype::Dtype;
use crate::gemm::{Dot, QUANTISED_HEADER};
use crate::pack::Packed;
use crate::simd::{Isa, Vector};

/// Outputs of the widest tile: four panels of two registers of sixteen.
const WIDEST: usize = 128;

/// The bias of a tile's outputs, and what `Int8` keeps of them; zeros where there is none.
#[repr(align(64))]
pub(crate) struct Outputs {
    pub(crate) bias: [f32; WIDEST],
    scale: [f32; WIDEST],
    sum: [f32; WIDEST],
}

/// For products that stay as they are.
pub(crate) static NO_OUTPUTS: Outputs =
    Outputs { bias: [0.0; WIDEST], scale: [0.0; WIDEST], sum: [0.0; WIDEST] };

impl Outputs {
    /// Of these outputs of `b`, no more than the widest tile has.
    #[inline(always)]
    pub(crate) fn of(b: &Packed, bias: Option<&[f32]>, columns: Range<usize>) -> Self {
        let mut outputs = Self { ..NO_OUTPUTS };
        if let Some(bias) = bias {
            outputs.bias[..columns.len()].copy_from_slice(&bias[columns.clone()]);
        }
        if b.dtype() == Dtype::Int8 {
            outputs.scale[..columns.len()].copy_from_slice(&b.scales().scale[columns.clone()]);
            outputs.sum[..columns.len()].copy_from_slice(&b.scales().sum[columns]);
        }
        outputs
    }

    /// A register of sums, that of the outputs from `at` on, bias and all.
    ///
    /// # Safety
    /// `row` is the first word of a prepared row.
    #[inline(always)]
    pub(crate) unsafe fn value<D: Dot>(
        &self,
        dot: D,
        numbers: <D::Isa as Isa>::V,
        at: usize,
        row: *const u32,
    ) -> <D::Isa as Isa>::V {
        if D::DTYPE != Dtype::Int8 {
            return numbers; // they began with the bias
        }
        // SAFETY: passed on to the caller.
        unsafe { self.biased(dot, numbers, at, row) }
    }

    /// The same of sums that began with nothing. For `Int8`, Σ (q - zero) w = Σ q w - zero Σ w, times both
    /// scales, and only then the bias: its sums are whole.
    ///
    /// # Safety
    /// As [`Outputs::value`].
    #[inline(always)]
    pub(crate) unsafe fn biased<D: Dot>(
        &self,
        dot: D,
        sums: <D::Isa as Isa>::V,
        at: usize,
        row: *const u32,
    ) -> <D::Isa as Isa>::V {
        let (isa, bias) = (dot.isa(), dot.isa().load(&self.bias[at..]));
        if D::DTYPE != Dtype::Int8 {
            return sums + bias;
        }
        // SAFETY: a row has its header in front.
        let [scale, less_zero] =
            unsafe { [1, 2].map(|i| isa.splat(f32::from_bits(*row.sub(QUANTISED_HEADER).add(i)))) };
        let whole = less_zero.fma(isa.load(&self.sum[at..]), sums);
        (whole * scale).fma(isa.load(&self.scale[at..]), bias)
    }
}
