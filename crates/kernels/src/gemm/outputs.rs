//! What becomes of the sums of a tile, output by output.
#![expect(unsafe_code, reason = "the header of a row is read through a pointer")]

use std::ops::Range;

use crate::dtype::Dtype;
use crate::gemm::{Dot, QUANTISED_HEADER};
use crate::pack::{Packed, Scales};
use crate::simd::{Isa, Vector};

/// Outputs of the widest tile: four panels of two registers of sixteen.
const WIDEST: usize = 128;

/// A number for each output of the widest tile.
type Row = [f32; WIDEST];

static ZEROS: Row = [0.0; WIDEST];

/// The bias of a tile's outputs, and what `Int8` keeps of them; zeros where there is none.
pub(crate) struct Outputs<'o> {
    pub(crate) bias: &'o Row,
    scale: &'o Row,
    sum: &'o Row,
}

/// For products that stay as they are.
pub(crate) static NO_OUTPUTS: Outputs<'static> = Outputs { bias: &ZEROS, scale: &ZEROS, sum: &ZEROS };

/// Room for outputs near the end, where fewer than the widest tile has are left.
pub(crate) struct Room([Row; 3]);

impl Room {
    pub(crate) fn new() -> Self {
        Self([ZEROS; 3])
    }
}

impl<'o> Outputs<'o> {
    /// Of these outputs of `b`, no more than the widest tile has.
    #[inline(always)]
    pub(crate) fn of(
        b: &'o Packed,
        bias: Option<&'o [f32]>,
        columns: Range<usize>,
        room: &'o mut Room,
    ) -> Self {
        let [first, second, third] = &mut room.0;
        let bias = bias.map_or(&ZEROS, |bias| row(bias, columns.clone(), first));
        if b.dtype() != Dtype::Int8 {
            return Self { bias, ..NO_OUTPUTS };
        }
        let Scales { scale, sum } = b.scales();
        Self { bias, scale: row(scale, columns.clone(), second), sum: row(sum, columns, third) }
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

/// The numbers from `columns` on: where they are, or a copy of these where too few follow.
#[inline(always)]
fn row<'o>(all: &'o [f32], columns: Range<usize>, room: &'o mut Row) -> &'o Row {
    if let Some(row) = all[columns.start..].first_chunk() {
        return row;
    }
    room[..columns.len()].copy_from_slice(&all[columns]);
    room
}
