//! Weights in the order the multiply reads them.

use crate::aligned::Aligned;
use crate::dtype::{Dtype, from_bf16, to_bf16};

/// How a multiply wants its weights: its number format and its register block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The multiply's family and its number format, in words.
    pub(crate) name: &'static str,
    /// The multiply's family.
    pub(crate) family: &'static str,
    /// Its number format.
    pub(crate) dtype: Dtype,
    /// Outputs in a register; the last panel may be as narrow.
    pub(crate) lanes: usize,
    /// Outputs in a full panel.
    pub(crate) panel: usize,
    /// Neighbouring words of an output that stand together.
    pub(crate) group: usize,
}

/// A weight matrix packed for one multiply: panels of `panel` outputs, in each of them the first word of all its
/// outputs, then the second, and so on. A word of 32 bits holds one, two or four neighbouring inputs, by the number
/// format. Outputs that only fill up the last panel have zero weights, and so have inputs that fill up a word.
#[derive(Debug)]
pub struct Packed {
    rows: usize,
    columns: usize,
    layout: Layout,
    data: Aligned<u32>,
    scales: Scales,
}

/// What `Int8` keeps of each output; empty for the other formats.
#[derive(Debug, Default)]
pub(crate) struct Scales {
    /// What a whole number of this output stands for.
    pub(crate) scale: Vec<f32>,
    /// The sum of its whole numbers.
    pub(crate) sum: Vec<f32>,
}

impl Packed {
    /// Packs `weights[rows][columns]`, checked by the caller.
    pub(crate) fn new(layout: Layout, rows: usize, columns: usize, weights: &[f32]) -> Self {
        let depth = layout.depth(columns);
        let length = layout.padded(rows) * depth;
        let mut packed =
            Self { rows, columns, layout, data: Aligned::zeroed(length), scales: Scales::default() };
        if layout.dtype == Dtype::Int8 {
            packed.scales = Scales::of(weights, rows, columns);
        }
        let mut rest = packed.data.first_mut(length);
        let mut first = 0;
        while first < rows && columns > 0 {
            let width = layout.width(rows - first);
            let (panel, after) = rest.split_at_mut(width * depth);
            let last = rows.min(first + width);
            let some = &weights[first * columns..last * columns];
            let size = (width, layout.group);
            match layout.dtype {
                Dtype::F32 => fill(panel, size, some, columns, |_| Single),
                Dtype::Bf16 => fill(panel, size, some, columns, |_| Halves),
                Dtype::Int8 => {
                    let scales = &packed.scales.scale[first..];
                    fill(panel, size, some, columns, |row| Bytes { inverse: inverse(scales[row]) });
                }
            }
            (first, rest) = (last, after);
        }
        packed
    }

    /// Outputs: columns of the product.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs: the length of a dot product.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Its number format.
    pub fn dtype(&self) -> Dtype {
        self.layout.dtype
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.data.bytes() + (self.scales.scale.len() + self.scales.sum.len()) * size_of::<f32>()
    }

    /// Words of an output.
    #[inline(always)]
    pub(crate) fn depth(&self) -> usize {
        self.layout.depth(self.columns)
    }

    /// Who packed it.
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// Of each output.
    #[inline(always)]
    pub(crate) fn scales(&self) -> &Scales {
        &self.scales
    }

    /// The panel that begins with output `first`, and all after it.
    pub(crate) fn panels_from(&self, first: usize) -> &[u32] {
        &self.data.as_slice()[first * self.depth()..]
    }
}

impl Layout {
    /// Outputs of the panel that begins where `left` outputs are left.
    #[inline(always)]
    pub(crate) fn width(self, left: usize) -> usize {
        if left > self.lanes { self.panel } else { self.lanes }
    }

    /// Words of an output of so many inputs.
    #[inline(always)]
    fn depth(self, columns: usize) -> usize {
        columns.div_ceil(self.dtype.per_word()).next_multiple_of(self.group)
    }

    /// Outputs, and those that fill up the last panel.
    #[inline(always)]
    pub(crate) fn padded(self, rows: usize) -> usize {
        let full = rows / self.panel * self.panel;
        if full == rows { rows } else { full + self.width(rows - full) }
    }
}

/// The largest weight of an output becomes this number.
const LARGEST: f32 = 127.0;
/// A scale below it would be lost to denormals; such weights count as zero.
const LEAST_SCALE: f32 = 1e-36;
/// What is added to a weight in a packed byte: some processors multiply signed bytes by unsigned ones only, and
/// take the unsigned ones from a register. The sums are put right by 128 times the sum of the activations.
const SHIFT: f32 = 128.0;

impl Scales {
    fn of(weights: &[f32], rows: usize, columns: usize) -> Self {
        let mut scales = Self::default();
        for r in 0..rows {
            let row = &weights[r * columns..][..columns];
            let scale = scale_of(row);
            // NaN where a weight is not a number: its output is to be none.
            let poison: f32 = row.iter().map(|x| x * 0.0).sum();
            let sum = row.iter().map(|x| whole(x * inverse(scale))).sum();
            scales.scale.push(scale + poison);
            scales.sum.push(sum);
        }
        scales
    }
}

fn scale_of(row: &[f32]) -> f32 {
    let scale = row.iter().fold(0.0, |most: f32, x| most.max(x.abs())) / LARGEST;
    if scale < LEAST_SCALE { 0.0 } else { scale }
}

/// The whole numbers that [`Dtype::Int8`] packs of an output's weights, and what one of them stands for; for who stores them.
/// The weights are finite.
pub fn whole_weights(row: &[f32]) -> (Vec<i8>, f32) {
    let scale = scale_of(row);
    (row.iter().map(|x| whole(x * inverse(scale)) as i8).collect(), scale)
}

/// The nearest whole number, ties to even, for numbers below 2^22: 1.5 · 2^23 leaves no room for a fraction. (The
/// method of `f32` is a call of the C library where no instruction set is asked for.)
fn whole(x: f32) -> f32 {
    const NO_FRACTION: f32 = 12_582_912.0;
    (x + NO_FRACTION) - NO_FRACTION
}

fn inverse(scale: f32) -> f32 {
    if scale > 0.0 { 1.0 / scale } else { 0.0 }
}

/// How neighbouring weights of an output make a word.
trait Word: Copy {
    const WEIGHTS: usize;
    /// At least one, and at most `WEIGHTS`.
    fn of(self, weights: &[f32]) -> u32;
}

/// An `f32`.
#[derive(Clone, Copy)]
struct Single;

impl Word for Single {
    const WEIGHTS: usize = 1;
    fn of(self, weights: &[f32]) -> u32 {
        weights[0].to_bits()
    }
}

/// Two bfloat16, the first in the low half.
#[derive(Clone, Copy)]
struct Halves;

impl Word for Halves {
    const WEIGHTS: usize = 2;
    fn of(self, weights: &[f32]) -> u32 {
        let half = |i| weights.get(i).map_or(0, |&weight| u32::from(to_bf16(weight)));
        half(0) | half(1) << 16
    }
}

/// Four shifted bytes, the first the lowest.
#[derive(Clone, Copy)]
struct Bytes {
    inverse: f32,
}

impl Word for Bytes {
    const WEIGHTS: usize = 4;
    fn of(self, weights: &[f32]) -> u32 {
        let byte = |i| {
            let weight: f32 = weights.get(i).copied().unwrap_or(0.0);
            (whole(weight * self.inverse) + SHIFT) as u8
        };
        u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)])
    }
}

/// Words packed at a time, so that the part of the panel that is written stays in the first cache.
const STEP: usize = 32;

/// One panel from the rows it is made of, at most `width` of them.
fn fill<W: Word>(
    panel: &mut [u32],
    (width, group): (usize, usize),
    rows: &[f32],
    columns: usize,
    word_of: impl Fn(usize) -> W,
) {
    match group {
        1 => fill_groups::<W, 1>(panel, width, rows, columns, word_of),
        2 => fill_groups::<W, 2>(panel, width, rows, columns, word_of),
        _ => unreachable!("groups of {group} words"),
    }
}

/// The same for a group that is known when this is compiled: two to three times as fast.
fn fill_groups<W: Word, const GROUP: usize>(
    panel: &mut [u32],
    width: usize,
    rows: &[f32],
    columns: usize,
    word_of: impl Fn(usize) -> W,
) {
    let weights = STEP * W::WEIGHTS;
    for (step, part) in panel.chunks_mut(STEP * width).enumerate() {
        for (j, row) in rows.chunks_exact(columns).enumerate() {
            let word = word_of(j);
            let mut put =
                |i: usize, weights| part[(i / GROUP * width + j) * GROUP + i % GROUP] = word.of(weights);
            // The last words of a row may be there for the group alone, and stay zero.
            let row = row.get(step * weights..).unwrap_or_default();
            let full = row[..row.len().min(weights)].chunks_exact(W::WEIGHTS);
            let (count, rest) = (full.len(), full.remainder());
            full.enumerate().for_each(|(i, weights)| put(i, weights));
            if !rest.is_empty() {
                put(count, rest);
            }
        }
    }
}

/// The `i`-th weight of a word of this format.
#[inline(always)]
pub(crate) fn weight_in(dtype: Dtype, word: u32, i: usize) -> f32 {
    match dtype {
        Dtype::F32 => f32::from_bits(word),
        Dtype::Bf16 => from_bf16((word >> (16 * i)) as u16),
        Dtype::Int8 => f32::from(word.to_le_bytes()[i]) - SHIFT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout =
        Layout { name: "test f32", family: "test", dtype: Dtype::F32, lanes: 2, panel: 4, group: 1 };

    fn numbers(packed: &Packed, first: usize) -> Vec<f32> {
        let dtype = packed.dtype();
        let words = packed.panels_from(first).iter();
        words.flat_map(|&word| (0..dtype.per_word()).map(move |i| weight_in(dtype, word, i))).collect()
    }

    #[test]
    fn panels_are_full_but_for_the_last() {
        for (rows, padded) in
            [(0, 0), (1, 2), (2, 2), (3, 4), (4, 4), (5, 6), (6, 6), (7, 8), (8, 8), (9, 10)]
        {
            assert_eq!(LAYOUT.padded(rows), padded, "{rows} rows");
        }
    }

    #[test]
    fn every_weight_has_its_place_and_the_rest_is_zero() {
        let weights: Vec<f32> = (1..=15).map(|i| i as f32).collect();
        let packed = Packed::new(LAYOUT, 5, 3, &weights);
        assert_eq!((packed.rows(), packed.columns()), (5, 3));
        assert_eq!(numbers(&packed, 0)[..12], [1., 4., 7., 10., 2., 5., 8., 11., 3., 6., 9., 12.]);
        assert_eq!(numbers(&packed, 4)[..6], [13., 0., 14., 0., 15., 0.]);
        assert!(packed.bytes() >= 18 * 4);
    }

    #[test]
    fn neighbouring_inputs_share_a_word() {
        let weights: Vec<f32> = (1..=15).map(|i| i as f32).collect();
        let packed = Packed::new(Layout { dtype: Dtype::Bf16, ..LAYOUT }, 5, 3, &weights);
        assert_eq!(packed.depth(), 2);
        let first = [1., 2., 4., 5., 7., 8., 10., 11., 3., 0., 6., 0., 9., 0., 12., 0.];
        assert_eq!(numbers(&packed, 0)[..16], first);
        assert_eq!(numbers(&packed, 4)[..8], [13., 14., 0., 0., 15., 0., 0., 0.]);
    }

    #[test]
    fn groups_of_words_stand_together() {
        let weights: Vec<f32> = (1..=15).map(|i| i as f32).collect();
        let packed = Packed::new(Layout { group: 2, ..LAYOUT }, 5, 3, &weights);
        assert_eq!(packed.depth(), 4);
        let first = [1., 2., 4., 5., 7., 8., 10., 11., 3., 0., 6., 0., 9., 0., 12., 0.];
        assert_eq!(numbers(&packed, 0)[..16], first);
        assert_eq!(numbers(&packed, 4)[..8], [13., 14., 0., 0., 15., 0., 0., 0.]);
    }

    #[test]
    fn the_largest_weight_of_an_output_sets_its_scale() {
        let weights = [0.5, -1.0, 0.25, 0.0, 0.0, 0.0, 254.0, 1.0, 3.0];
        let packed = Packed::new(Layout { dtype: Dtype::Int8, ..LAYOUT }, 3, 3, &weights);
        assert_eq!(packed.scales().scale, [1.0 / 127.0, 0.0, 2.0]);
        assert_eq!(packed.scales().sum, [64.0 - 127.0 + 32.0, 0.0, 127.0 + 0.0 + 2.0]);
        assert_eq!(numbers(&packed, 0)[..12], [64., -127., 32., 0., 0., 0., 0., 0., 127., 0., 2., 0.]);
    }

    #[test]
    fn a_weight_that_is_no_number_spoils_its_output_only() {
        for bad in [f32::NAN, f32::INFINITY] {
            let packed = Packed::new(Layout { dtype: Dtype::Int8, ..LAYOUT }, 2, 2, &[1.0, bad, 1.0, 2.0]);
            assert!(packed.scales().scale[0].is_nan());
            assert_eq!(packed.scales().scale[1], 2.0 / 127.0);
        }
    }
}
