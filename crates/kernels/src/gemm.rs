//! The multiply: rows of activations by packed weights, with what follows it done on each tile.
//!
//! A tile is a block of rows by one or more panels of outputs whose sums stay in registers; they begin with the bias,
//! and with no activation to follow they go from there into the result. Panels are the outer
//! loop, so that a panel stays in the first or second cache while all rows pass. Rows are split evenly: 14 rows
//! are two tiles of 7, not 12 and 2. Whatever the tile, an element is one chain of additions over k in ascending
//! order, so its bits do not depend on its neighbours.
//!
//! Number formats differ in what a word of 32 bits holds and in the instruction that takes it ([`Dot`]); the rest
//! is written once. Rows of activations are brought into the format once a call, each by itself.
#![expect(unsafe_code, reason = "the tiles take pointers")]

use std::ops::Range;

use crate::aligned::Aligned;
use crate::matrix::Matrix;
use crate::op::activation::{Activation, UseLanewise};
use crate::pack::Packed;
use crate::shared::Shared;
use crate::simd::{Identity, Isa, Lanewise, load_any, store_any};

pub(crate) use dot::{Dot, PlainDot, Single, Widened};
pub(crate) use inputs::{Inputs, QUANTISED_HEADER};
pub(crate) use outputs::{NO_OUTPUTS, Outputs, Room};
#[cfg(target_arch = "aarch64")]
pub(crate) use pairs::Pairs;
pub(crate) use plain::plain;

mod dot;
mod inputs;
mod outputs;
#[cfg(target_arch = "aarch64")]
pub(crate) mod pairs;
pub(crate) mod peak;
mod plain;
#[cfg(target_arch = "x86_64")]
pub(crate) mod tile_unit;

/// What is done to a sum before it is stored: `c (+)= activation(sum + bias)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// One number for each output.
    pub bias: Option<&'a [f32]>,
    /// Applied after the bias.
    pub activation: Option<Activation>,
    /// Adds to what `c` holds (a residual, say) instead of replacing it.
    pub accumulate: bool,
}

/// The register blocks of a multiply; entry i of a list takes i + 1 rows.
pub(crate) struct Tiles {
    /// One panel that is one register wide.
    pub(crate) narrow: &'static [Tile],
    /// One panel.
    pub(crate) one: &'static [Tile],
    /// Two panels, for few rows.
    pub(crate) two: &'static [Tile],
    /// Four panels, for very few.
    pub(crate) four: &'static [Tile],
}

/// A function that computes one tile. Unsafe as [`tile`], of which it is an instance.
pub(crate) type Tile = unsafe fn(&TileArgs<'_>);

/// `c[i][j] (+)= bias[j] + sum over k of a[i][k] * b[j / panel][k][j % panel]`, in words.
pub(crate) struct TileArgs<'t> {
    /// Words of weights of an output.
    pub(crate) depth: usize,
    pub(crate) a: *const u32,
    pub(crate) a_stride: usize,
    pub(crate) b: *const u32,
    /// From the weights of one k to those of the next.
    pub(crate) b_stride: usize,
    /// From one panel to the next.
    pub(crate) b_panel: usize,
    pub(crate) outputs: &'t Outputs<'t>,
    pub(crate) c: *mut f32,
    pub(crate) c_stride: usize,
    /// Adds to what `c` holds.
    pub(crate) accumulate: bool,
    /// What will be needed soon, and how many words of it are asked for with each k. Need not be valid.
    pub(crate) ahead: *const u32,
    pub(crate) ahead_step: usize,
}

/// Room for the largest tile: 12 × 2, 6 × 4 or 3 × 8 registers of 16.
#[repr(align(64))]
struct Sums([f32; 384]);

/// Panels that are computed together, and the tiles that do it.
struct Strip {
    first: usize,
    width: usize,
    tiles: &'static [Tile],
}

/// A computed tile and where it goes.
struct Block<'s> {
    sums: &'s [f32],
    rows: Range<usize>,
    columns: Range<usize>,
    width: usize,
}

/// A multiply that is asked for, or a part of one.
pub(crate) struct Product<'p> {
    pub(crate) a: Matrix<'p>,
    pub(crate) b: &'p Packed,
    pub(crate) c: Shared<'p>,
    /// The outputs that are wanted: from a panel's start to another's, or to the end. Nobody else touches these
    /// columns of `c` meanwhile.
    pub(crate) outputs: Range<usize>,
    pub(crate) epilogue: Epilogue<'p>,
    /// For the activations in the number format of `b`.
    pub(crate) scratch: &'p mut Aligned<u32>,
}

/// c (+)= activation(a × bᵀ + bias). Shapes were checked by the caller.
#[inline(always)]
pub(crate) fn gemm<D: Dot>(dot: D, product: Product<'_>) {
    let Product { a, b, c, outputs: wanted, epilogue, scratch } = product;
    let inputs = Inputs::prepare(dot, a, b.depth(), scratch);
    let mut sums = Sums([0.0; 384]);
    let mut room = Room::new();
    let mut first = wanted.start;
    while first < wanted.end {
        let strip = strip(dot, b, first..wanted.end, a.rows);
        first += strip.width;
        let columns = strip.first..wanted.end.min(first);
        let outputs = Outputs::of(b, epilogue.bias, columns.clone(), &mut room);
        let at_once = epilogue.activation.is_none() && columns.len() == strip.width;
        for rows in even_blocks(a.rows, strip.tiles.len()) {
            let work = Work { inputs: &inputs, b, strip: &strip, outputs: &outputs, rows: rows.clone() };
            if at_once {
                multiply(&work, (c.block(rows, columns.clone()), c.stride()), epilogue.accumulate);
                continue;
            }
            multiply(&work, (sums.0[..rows.len() * strip.width].as_mut_ptr(), strip.width), false);
            let block = Block { sums: &sums.0, rows, columns: columns.clone(), width: strip.width };
            let finish = Finish { isa: dot.isa(), block, c, accumulate: epilogue.accumulate };
            match epilogue.activation {
                None => finish.with(Identity),
                Some(activation) => activation.lanewise_for(D::DTYPE, finish),
            }
        }
    }
}

/// The first panels of these outputs, as many as the number of rows leaves registers for.
#[inline(always)]
fn strip<D: Dot>(dot: D, b: &Packed, outputs: Range<usize>, rows: usize) -> Strip {
    let (tiles, first) = (dot.tiles(), outputs.start);
    let full = (b.layout().padded(outputs.end) - first) / D::Isa::PANEL;
    let (panels, tiles) = match full {
        0 => return Strip { first, width: D::Isa::LANES, tiles: tiles.narrow },
        4.. if rows <= tiles.four.len() => (4, tiles.four),
        2.. if rows <= tiles.two.len() => (2, tiles.two),
        _ => (1, tiles.one),
    };
    Strip { first, width: panels * D::Isa::PANEL, tiles }
}

/// `0..rows` in blocks of at most `most`, as few and as even as can be.
#[inline(always)]
pub(crate) fn even_blocks(rows: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let blocks = rows.div_ceil(most);
    let (short, longer) = (rows / blocks.max(1), rows % blocks.max(1));
    (0..blocks).map(move |i| {
        let start = i * short + i.min(longer);
        start..start + short + usize::from(i < longer)
    })
}

/// A tile that is to be computed.
struct Work<'w> {
    inputs: &'w Inputs<'w>,
    b: &'w Packed,
    strip: &'w Strip,
    outputs: &'w Outputs<'w>,
    rows: Range<usize>,
}

/// `c`: where the tile goes, its rows `c_stride` apart and as wide as the strip.
#[inline(always)]
fn multiply(work: &Work<'_>, (c, c_stride): (*mut f32, usize), accumulate: bool) {
    let Work { inputs, b, strip, outputs, rows } = work;
    let depth = b.depth();
    // Row by row of a, the tiles of this strip ask for all of the next one.
    let ahead_step = strip.width.div_ceil(inputs.rows.div_ceil(strip.tiles.len()));
    let block = rows.start / strip.tiles.len();
    let weights = b.panels_from(strip.first).as_ptr();
    let args = TileArgs {
        depth,
        a: inputs.row(rows.start).as_ptr(),
        a_stride: inputs.stride,
        b: weights,
        b_stride: strip.width.min(b.layout().panel),
        b_panel: b.layout().panel * depth,
        outputs,
        c,
        c_stride,
        accumulate,
        ahead: weights.wrapping_add((strip.width + block * ahead_step) * depth),
        ahead_step,
    };
    // SAFETY: rows of a are as deep as b (checked by `Kernels::gemm`, prepared for b's depth), the strip's panels
    // lie in b, the callers' c is a tile's, a block of the result that is theirs or room enough, and the multiply that
    // packed b gave the tiles.
    unsafe { strip.tiles[rows.len() - 1](&args) }
}

/// One tile: ROWS rows by PANELS panels of VECTORS registers.
///
/// # Safety
/// Valid are `a` for ROWS prepared rows of `depth` words of weights `a_stride` apart, `b` for PANELS panels of
/// `depth` times VECTORS registers, and `c` for ROWS rows of PANELS × VECTORS registers `c_stride` apart.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "iterators over these arrays do not stay in registers")]
pub(crate) unsafe fn tile<D: Dot, const ROWS: usize, const PANELS: usize, const VECTORS: usize>(
    dot: D,
    args: &TileArgs<'_>,
) {
    let isa = dot.isa();
    let (mut a, mut b, mut ahead) = (args.a, args.b, args.ahead);
    // SAFETY: the first row, valid by contract.
    let mut sums = [[[unsafe { dot.start(a, isa.splat(0.0)) }; VECTORS]; PANELS]; ROWS];
    for row in 0..ROWS {
        for panel in 0..PANELS {
            for vector in 0..VECTORS {
                let bias = isa.load(&args.outputs.bias[(panel * VECTORS + vector) * D::Isa::LANES..]);
                // SAFETY: the rows are valid by contract.
                sums[row][panel][vector] = unsafe { dot.start(a.add(row * args.a_stride), bias) };
            }
        }
    }
    for _ in 0..args.depth {
        if PANELS == 1 {
            isa.prefetch(ahead);
            isa.prefetch(ahead.wrapping_add(args.ahead_step / 2));
            ahead = ahead.wrapping_add(args.ahead_step);
        }
        // SAFETY: the first register of weights of this k, valid by contract.
        let mut weights = [[unsafe { dot.weights(b) }; VECTORS]; PANELS];
        for panel in 0..PANELS {
            for vector in 0..VECTORS {
                // SAFETY: within the k-th row of this panel, valid by contract.
                weights[panel][vector] =
                    unsafe { dot.weights(b.add(panel * args.b_panel + vector * D::Isa::LANES)) };
            }
        }
        for row in 0..ROWS {
            // SAFETY: the words of a[row] that meet the k-th word, valid by contract.
            let x = unsafe { dot.inputs(a.add(row * args.a_stride)) };
            for panel in 0..PANELS {
                for vector in 0..VECTORS {
                    sums[row][panel][vector] = dot.add(sums[row][panel][vector], x, weights[panel][vector]);
                }
            }
        }
        a = a.wrapping_add(D::WORDS);
        b = b.wrapping_add(args.b_stride);
    }
    // SAFETY: passed on to the caller.
    unsafe {
        if args.accumulate {
            store::<D, ROWS, PANELS, VECTORS, true>(dot, args, &sums);
        } else {
            store::<D, ROWS, PANELS, VECTORS, false>(dot, args, &sums);
        }
    }
}

/// From the registers of a tile to `c`. The sums become numbers in a loop of their own, which is so short that it is unrolled in any
/// case: were they looked up in a loop that is not, the compiler would keep them in memory while they are added to.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "iterators over these arrays do not stay in registers")]
unsafe fn store<D: Dot, const ROWS: usize, const PANELS: usize, const VECTORS: usize, const ADD: bool>(
    dot: D,
    args: &TileArgs<'_>,
    sums: &[[[D::Sum; VECTORS]; PANELS]; ROWS],
) {
    let isa = dot.isa();
    let mut numbers = [[[isa.splat(0.0); VECTORS]; PANELS]; ROWS];
    for row in 0..ROWS {
        for panel in 0..PANELS {
            for vector in 0..VECTORS {
                numbers[row][panel][vector] = dot.numbers(sums[row][panel][vector]);
            }
        }
    }
    for panel in 0..PANELS {
        for vector in 0..VECTORS {
            let at = (panel * VECTORS + vector) * D::Isa::LANES;
            for row in 0..ROWS {
                // SAFETY: the rows are valid by contract.
                let prepared = unsafe { args.a.add(row * args.a_stride) };
                // SAFETY: the same.
                let mut value = unsafe { args.outputs.value(dot, numbers[row][panel][vector], at, prepared) };
                // SAFETY: within row `row` of c, valid by contract; nobody else looks.
                let target = unsafe {
                    std::slice::from_raw_parts_mut(args.c.add(row * args.c_stride + at), D::Isa::LANES)
                };
                if ADD {
                    value = value + isa.load(target);
                }
                isa.store(target, value);
            }
        }
    }
}

/// Stores a tile, which is still in the first cache, where it belongs.
struct Finish<'f, I> {
    isa: I,
    block: Block<'f>,
    /// These columns are this call's.
    c: Shared<'f>,
    accumulate: bool,
}

impl<I: Isa> UseLanewise for Finish<'_, I> {
    #[inline(always)]
    fn with(self, activation: impl Lanewise) {
        let Self { isa, block: Block { sums, rows, columns, width }, c, accumulate } = self;
        for (row, sums) in rows.zip(sums.chunks_exact(width)) {
            // SAFETY: the call has these columns to itself.
            let target = unsafe { c.row(row, columns.clone()) };
            for (target, sums) in target.chunks_mut(I::LANES).zip(sums.chunks_exact(I::LANES)) {
                let mut value = activation.apply(isa, isa.load(sums));
                if accumulate {
                    value = value + load_any(isa, target);
                }
                store_any(isa, target, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
