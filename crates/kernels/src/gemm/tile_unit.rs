//! The multiply on a unit of tiles: registers that are matrices of 16 rows by 16 words (Intel 64 and IA-32 Architectures
//! Software Developer's Manual, volume 1, chapter 18, "Programming with Intel AMX").
//!
//! Weights as they are packed for registers of 16 lanes are tiles already: a row of a tile is one word of 16 outputs.
//! So are prepared rows of activations: a row of a tile is 16 words of a text's row. Rows are split evenly, so that
//! one configuration serves a whole call; where they do not come out, the last tile begins earlier, and what it has
//! computed again is left out. A depth that is no multiple of 16 words ends with a copy of the weights and zeros.
//!
//! Written against a trait, so that the same loop runs on the processor and on a model of it, which tests it on
//! machines that have no such unit.
#![expect(unsafe_code, reason = "tiles are read through pointers")]

use std::ops::Range;

use crate::dtype::Dtype;
use crate::gemm::{Block, Dot, Epilogue, Finish, Inputs, Outputs, Product, Room};
use crate::op::activation::UseLanewise;
use crate::pack::Packed;
use crate::shared::Shared;
use crate::simd::{Identity, Isa};

#[cfg(test)]
pub(crate) mod model;

/// Rows of a tile, and words of one of its rows.
pub(crate) const SIDE: usize = 16;
/// Words of a panel of weights for each word of depth: two tiles side by side.
const PANEL: usize = 2 * SIDE;

/// Eight tiles: 0 to 3 hold sums, 4 and 5 activations, 6 and 7 weights. Strides are in words.
pub(crate) trait TileUnit {
    /// # Safety
    /// The processor has the unit, and the process may use it.
    unsafe fn new() -> Self;
    /// Before all else: sums and activations of `rows` rows, at most 16; weights of 16.
    fn configure(&mut self, rows: usize);
    /// After all else.
    fn release(&mut self);
    /// Zeros into a tile.
    fn zero<const TILE: usize>(&mut self);
    /// Reads a tile; `once` where it will not be needed again soon.
    ///
    /// # Safety
    /// `p` is valid for the tile's rows of 16 words, `stride` apart.
    unsafe fn load<const TILE: usize>(&mut self, p: *const u32, stride: usize, once: bool);
    /// Writes a tile.
    ///
    /// # Safety
    /// `p` is valid for the tile's rows of 16 words, `stride` apart, and nobody else looks.
    unsafe fn store<const TILE: usize>(&mut self, p: *mut u32, stride: usize);
    /// `sums += activations × weights`, words of two bfloat16; sums in `f32`.
    fn add_halves<const SUMS: usize, const ACTIVATIONS: usize, const WEIGHTS: usize>(&mut self);
    /// `sums += activations × weights`, words of four bytes, signed by unsigned; sums of 32 bits.
    fn add_bytes<const SUMS: usize, const ACTIVATIONS: usize, const WEIGHTS: usize>(&mut self);
}

/// Room for four tiles of sums.
#[repr(align(64))]
struct Sums([u32; 4 * SIDE * SIDE]);

/// The end of two panels, whose depth is no multiple of 16, with zeros after it.
#[repr(align(64))]
struct Tail([[u32; SIDE * PANEL]; 2]);

/// Outputs that are computed together: one panel, or two where all rows are one tile.
struct Strip {
    columns: Range<usize>,
    /// Of the first panel: 32, or 16 at the end.
    width: usize,
    two: bool,
}

/// Rows of a tile, which begins at `start`; those before `rows` another tile has.
struct RowTile {
    start: usize,
    rows: Range<usize>,
}

/// What stands beside the first tile of rows and the first panel.
#[derive(Clone, Copy)]
enum Second {
    Nothing,
    /// A second tile of rows, by its first word.
    Rows(*const u32),
    /// A second panel, by its first word.
    Panel(*const u32),
}

/// c (+)= activation(a × bᵀ + bias). Shapes were checked by the caller. `D` prepares rows and finishes tiles; its
/// register is as wide as a tile.
#[inline(always)]
pub(crate) fn gemm<U: TileUnit, D: Dot>(unit: U, dot: D, product: Product<'_>) {
    const { assert!(D::Isa::LANES == SIDE && D::Isa::PANEL == PANEL && D::WORDS == 1 && D::GROUP == 1) };
    let Product { a, b, c, outputs, epilogue, scratch } = product;
    let inputs = Inputs::prepare(dot, a, b.depth(), scratch);
    if inputs.rows == 0 {
        return;
    }
    let height = inputs.rows.div_ceil(inputs.rows.div_ceil(SIDE));
    let mut work = Work { unit, dot, inputs: &inputs, b, height, sums: Sums([0; 4 * SIDE * SIDE]) };
    let finished = Finished { c, epilogue };
    let mut tail = Tail([[0; SIDE * PANEL]; 2]);
    work.unit.configure(height);
    let mut first = outputs.start;
    while first < outputs.end {
        let strip = work.strip(first..outputs.end);
        first = strip.columns.end;
        work.fill_tail(&strip, &mut tail);
        for tile in (0..work.row_tiles()).step_by(2) {
            work.block(&strip, tile, &tail);
            work.finish(&strip, tile, &finished);
        }
    }
    work.unit.release();
}

/// All that a call keeps.
struct Work<'w, U, D> {
    unit: U,
    dot: D,
    inputs: &'w Inputs<'w>,
    b: &'w Packed,
    /// Rows of each tile.
    height: usize,
    sums: Sums,
}

/// Where results go.
struct Finished<'f> {
    c: Shared<'f>,
    epilogue: Epilogue<'f>,
}

impl<U: TileUnit, D: Dot> Work<'_, U, D> {
    fn row_tiles(&self) -> usize {
        self.inputs.rows.div_ceil(self.height)
    }

    fn row_tile(&self, i: usize) -> RowTile {
        let rows = i * self.height..self.inputs.rows.min((i + 1) * self.height);
        RowTile { start: rows.end - self.height, rows }
    }

    /// The first of these outputs.
    #[inline(always)]
    fn strip(&self, outputs: Range<usize>) -> Strip {
        let (first, left) = (outputs.start, outputs.len());
        let width = self.b.layout().width(left);
        let two = self.row_tiles() == 1 && left >= 2 * PANEL;
        let end = outputs.end.min(first + if two { 2 * PANEL } else { width });
        Strip { columns: first..end, width, two }
    }

    /// Full tiles of depth.
    fn full(&self) -> usize {
        self.b.depth() / SIDE
    }

    /// Copies the weights of the last, short tile of depth of each panel.
    #[inline(always)]
    fn fill_tail(&self, strip: &Strip, tail: &mut Tail) {
        let (depth, done) = (self.b.depth(), self.full() * SIDE);
        for (i, tail) in tail.0.iter_mut().take(1 + usize::from(strip.two)).enumerate() {
            let panel = self.b.panels_from(strip.columns.start + i * PANEL);
            let words = &panel[done * strip.width..depth * strip.width];
            tail[..words.len()].copy_from_slice(words);
            tail[words.len()..].fill(0);
        }
    }

    /// The sums of one or two tiles of rows.
    #[inline(always)]
    fn block(&mut self, strip: &Strip, tile: usize, tail: &Tail) {
        let (inputs, weights) = (self.inputs, self.b);
        let (width, full) = (strip.width, self.full());
        let panel = weights.panels_from(strip.columns.start);
        let rows = inputs.row(self.row_tile(tile).start);
        let second_rows = (tile + 1 < self.row_tiles()).then(|| inputs.row(self.row_tile(tile + 1).start));
        let second_panel = strip.two.then(|| weights.panels_from(strip.columns.start + PANEL));
        let second = |words: usize, tail: Option<&Tail>| match (second_rows, second_panel, tail) {
            (Some(rows), _, _) => Second::Rows(rows[words..].as_ptr()),
            (None, Some(_), Some(tail)) => Second::Panel(tail.0[1].as_ptr()),
            (None, Some(panel), None) => Second::Panel(panel[words * width..].as_ptr()),
            (None, None, _) => Second::Nothing,
        };
        // Over all tiles of rows, the next panels are asked for once.
        let lines = (PANEL * (1 + usize::from(strip.two))).div_ceil(self.row_tiles().div_ceil(2));
        let lines_at = |k: usize| (tile / 2 * full + k) * lines * SIDE;
        let next =
            panel.as_ptr().wrapping_add((strip.columns.len().next_multiple_of(SIDE)) * weights.depth());
        self.zero();
        for k in 0..full {
            for line in 0..lines {
                self.dot.isa().prefetch(next.wrapping_add(lines_at(k) + line * SIDE));
            }
            let (a, b) = (rows[k * SIDE..].as_ptr(), panel[k * SIDE * width..].as_ptr());
            // SAFETY: 16 words of each row, and as many of all outputs, are left.
            unsafe { self.step(a, b, second(k * SIDE, None), width) };
        }
        if !weights.depth().is_multiple_of(SIDE) {
            let (a, b) = (rows[full * SIDE..].as_ptr(), tail.0[0].as_ptr());
            // SAFETY: a row has room for whole tiles, and the tail is whole ones.
            unsafe { self.step(a, b, second(full * SIDE, Some(tail)), width) };
        }
        self.store(strip);
    }

    #[inline(always)]
    fn zero(&mut self) {
        self.unit.zero::<0>();
        self.unit.zero::<1>();
        self.unit.zero::<2>();
        self.unit.zero::<3>();
    }

    /// One tile of depth. Whatever will be needed again, weights by many rows or few rows by many weights, is not
    /// read in passing.
    ///
    /// # Safety
    /// Valid are `a`, and `second` if rows, for `height` rows of 16 words; `b`, and `second` if a panel, for 16 words
    /// of `width` outputs.
    #[inline(always)]
    unsafe fn step(&mut self, a: *const u32, b: *const u32, second: Second, width: usize) {
        let (stride, few) = (self.inputs.stride, self.row_tiles() == 1);
        // SAFETY: passed on to the caller.
        unsafe {
            self.unit.load::<6>(b, width, few);
            self.unit.load::<4>(a, stride, !few);
            self.add::<0, 4, 6>();
            if width == PANEL {
                self.unit.load::<7>(b.add(SIDE), width, few);
                self.add::<1, 4, 7>();
            }
            match second {
                Second::Nothing => {}
                Second::Rows(a) => {
                    self.unit.load::<5>(a, stride, !few);
                    self.add::<2, 5, 6>();
                    if width == PANEL {
                        self.add::<3, 5, 7>();
                    }
                }
                Second::Panel(b) => {
                    self.unit.load::<6>(b, width, few);
                    self.add::<2, 4, 6>();
                    self.unit.load::<7>(b.add(SIDE), width, few);
                    self.add::<3, 4, 7>();
                }
            }
        }
    }

    #[inline(always)]
    fn add<const SUMS: usize, const ACTIVATIONS: usize, const WEIGHTS: usize>(&mut self) {
        match D::DTYPE {
            Dtype::Bf16 => self.unit.add_halves::<SUMS, ACTIVATIONS, WEIGHTS>(),
            Dtype::Int8 => self.unit.add_bytes::<SUMS, ACTIVATIONS, WEIGHTS>(),
            Dtype::F32 => unreachable!("tiles hold no f32"),
        }
    }

    /// The sums into memory: rows of the strip's width, those of a second tile of rows after those of the first.
    #[inline(always)]
    fn store(&mut self, strip: &Strip) {
        let width = strip.sums_width();
        let second = if strip.two { PANEL } else { self.height * width };
        let sums = self.sums.0.as_mut_ptr();
        // SAFETY: four tiles of at most 16 rows of 16 words have room.
        unsafe {
            self.unit.store::<0>(sums, width);
            if strip.width == PANEL {
                self.unit.store::<1>(sums.add(SIDE), width);
                self.unit.store::<3>(sums.add(second + SIDE), width);
            }
            self.unit.store::<2>(sums.add(second), width);
        }
    }

    /// What follows the sums, for one or two tiles of rows.
    #[inline(always)]
    fn finish(&mut self, strip: &Strip, tile: usize, finished: &Finished<'_>) {
        let width = strip.sums_width();
        let &Finished { c, epilogue } = finished;
        let mut room = Room::new();
        let outputs = Outputs::of(self.b, epilogue.bias, strip.columns.clone(), &mut room);
        for i in tile..self.row_tiles().min(tile + 2) {
            let RowTile { start, rows } = self.row_tile(i);
            let first = ((i - tile) * self.height + rows.start - start) * width;
            for (row, from) in rows.clone().zip((first..).step_by(width)) {
                self.make_numbers(row, from..from + width, &outputs);
            }
            let sums = floats(&mut self.sums.0[first..][..rows.len() * width]);
            let block = Block { sums, rows, columns: strip.columns.clone(), width };
            let finish = Finish { isa: self.dot.isa(), block, c, accumulate: epilogue.accumulate };
            match epilogue.activation {
                None => finish.with(Identity),
                Some(activation) => activation.lanewise_for(D::DTYPE, finish),
            }
        }
    }

    /// The sums of a row, which lie there, become numbers with their bias.
    #[inline(always)]
    fn make_numbers(&mut self, row: usize, place: Range<usize>, outputs: &Outputs<'_>) {
        let sums = &mut self.sums.0[place];
        if D::DTYPE == Dtype::Int8 {
            let begin = self.inputs.begin(row);
            for sum in &mut *sums {
                *sum = (sum.wrapping_add(begin).cast_signed() as f32).to_bits();
            }
        }
        let (isa, prepared) = (self.dot.isa(), self.inputs.row(row).as_ptr());
        for (i, sums) in floats(sums).chunks_exact_mut(D::Isa::LANES).enumerate() {
            // SAFETY: a prepared row.
            let numbers = unsafe { outputs.biased(self.dot, isa.load(sums), i * D::Isa::LANES, prepared) };
            isa.store(sums, numbers);
        }
    }
}

/// The same bytes: any word is an `f32`.
fn floats(words: &mut [u32]) -> &mut [f32] {
    // SAFETY: of the same size and alignment, for as long.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len()) }
}

impl Strip {
    /// From the sums of a row to those of the next.
    fn sums_width(&self) -> usize {
        if self.two { 2 * PANEL } else { self.width }
    }
}

/// Nothing but multiply-adds: how many operations they were, and a number that depends on them all.
#[inline(always)]
pub(crate) fn peak<U: TileUnit, D: Dot>(mut unit: U, rounds: usize) -> (usize, f32) {
    let words = std::hint::black_box(Sums([0x3f80_3f80; 4 * SIDE * SIDE]));
    let mut sums = Sums([0; 4 * SIDE * SIDE]);
    unit.configure(SIDE);
    unit.zero::<0>();
    unit.zero::<1>();
    unit.zero::<2>();
    unit.zero::<3>();
    // SAFETY: sixteen rows of sixteen words.
    unsafe {
        unit.load::<4>(words.0.as_ptr(), SIDE, false);
        unit.load::<6>(words.0.as_ptr(), SIDE, false);
    }
    for _ in 0..rounds {
        match D::DTYPE {
            Dtype::Bf16 => {
                unit.add_halves::<0, 4, 6>();
                unit.add_halves::<1, 4, 6>();
                unit.add_halves::<2, 4, 6>();
                unit.add_halves::<3, 4, 6>();
            }
            Dtype::Int8 => {
                unit.add_bytes::<0, 4, 6>();
                unit.add_bytes::<1, 4, 6>();
                unit.add_bytes::<2, 4, 6>();
                unit.add_bytes::<3, 4, 6>();
            }
            Dtype::F32 => unreachable!("tiles hold no f32"),
        }
    }
    // SAFETY: room for a tile.
    unsafe { unit.store::<0>(sums.0.as_mut_ptr(), SIDE) };
    unit.release();
    (2 * 4 * rounds * SIDE * SIDE * SIDE * D::DTYPE.per_word(), sums.0[0] as f32)
}
