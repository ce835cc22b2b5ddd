//! The multiply: rows of activations by packed weights, with what follows it done on each tile.
//!
//! A tile is a block of rows by one or more panels of outputs whose sums stay in registers. Panels are the outer
//! loop, so that a panel stays in the first or second cache while all rows pass. Rows are split evenly: 14 rows
//! are two tiles of 7, not 12 and 2. Whatever the tile, an element is one chain of fused multiply-adds over k in
//! ascending order, so its bits do not depend on its neighbours.
#![expect(unsafe_code, reason = "the tiles take pointers")]

use std::ops::Range;

use crate::matrix::{Matrix, MatrixMut};
use crate::op::activation::{Activation, UseLanewise};
use crate::pack::Packed;
use crate::simd::{Identity, Isa, Lanewise, Vector, load_any, store_any};

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

/// The register blocks of an instruction set; entry i of a list takes i + 1 rows.
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
pub(crate) type Tile = unsafe fn(&TileArgs);

/// `c[i][j] = sum over k of a[i][k] * b[j / panel][k][j % panel]`.
pub(crate) struct TileArgs {
    pub(crate) k: usize,
    pub(crate) a: *const f32,
    pub(crate) a_stride: usize,
    pub(crate) b: *const f32,
    /// From the weights of one k to those of the next.
    pub(crate) b_stride: usize,
    /// From one panel to the next.
    pub(crate) b_panel: usize,
    pub(crate) c: *mut f32,
    pub(crate) c_stride: usize,
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

/// c (+)= activation(a × bᵀ + bias). Shapes were checked by the caller.
#[inline(always)]
pub(crate) fn gemm<I: Isa>(isa: I, a: Matrix<'_>, b: &Packed, mut c: MatrixMut<'_>, epilogue: Epilogue<'_>) {
    let mut sums = Sums([0.0; 384]);
    let mut first = 0;
    while first < b.rows() {
        let strip = strip(isa, b, first, a.rows);
        first += strip.width;
        for rows in even_blocks(a.rows, strip.tiles.len()) {
            multiply(&a, b, &strip, rows.clone(), &mut sums);
            let columns = strip.first..b.rows().min(first);
            let block = Block { sums: &sums.0, rows, columns, width: strip.width };
            finish(isa, block, &mut c, epilogue);
        }
    }
}

/// The next panels, as many as the number of rows leaves registers for.
#[inline(always)]
fn strip<I: Isa>(isa: I, b: &Packed, first: usize, rows: usize) -> Strip {
    let tiles = isa.tiles();
    let full = (b.layout().padded(b.rows()) - first) / I::PANEL;
    let (panels, tiles) = match full {
        0 => return Strip { first, width: I::LANES, tiles: tiles.narrow },
        4.. if rows <= tiles.four.len() => (4, tiles.four),
        2.. if rows <= tiles.two.len() => (2, tiles.two),
        _ => (1, tiles.one),
    };
    Strip { first, width: panels * I::PANEL, tiles }
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

#[inline(always)]
fn multiply(a: &Matrix<'_>, b: &Packed, strip: &Strip, rows: Range<usize>, sums: &mut Sums) {
    let args = TileArgs {
        k: b.columns(),
        a: a.data[rows.start * a.stride..].as_ptr(),
        a_stride: a.stride,
        b: b.from_row(strip.first).as_ptr(),
        b_stride: strip.width.min(b.layout().panel),
        b_panel: b.layout().panel * b.columns(),
        c: sums.0.as_mut_ptr(),
        c_stride: strip.width,
    };
    // SAFETY: a's rows are k long (checked by `Kernels::gemm`), the strip's panels lie in b, the sums of the
    // largest tile fit, and `isa` gave the tiles.
    unsafe { strip.tiles[rows.len() - 1](&args) }
}

/// One tile: ROWS rows by PANELS panels of VECTORS registers.
///
/// # Safety
/// Valid are `a` for ROWS rows of k numbers `a_stride` apart, `b` for PANELS panels of k times VECTORS registers,
/// and `c` for ROWS rows of PANELS × VECTORS registers `c_stride` apart.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "iterators over these arrays do not stay in registers")]
pub(crate) unsafe fn tile<I: Isa, const ROWS: usize, const PANELS: usize, const VECTORS: usize>(
    isa: I,
    args: &TileArgs,
) {
    let mut sums = [[[isa.splat(0.0); VECTORS]; PANELS]; ROWS];
    let (mut a, mut b) = (args.a, args.b);
    for _ in 0..args.k {
        let mut weights = [[isa.splat(0.0); VECTORS]; PANELS];
        for panel in 0..PANELS {
            for vector in 0..VECTORS {
                // SAFETY: within the k-th row of this panel, valid by contract.
                weights[panel][vector] = unsafe { load_at(isa, b.add(panel * args.b_panel + vector * I::LANES)) };
            }
        }
        for row in 0..ROWS {
            // SAFETY: a[row][k], valid by contract.
            let x = isa.splat(unsafe { *a.add(row * args.a_stride) });
            for panel in 0..PANELS {
                for vector in 0..VECTORS {
                    sums[row][panel][vector] = x.fma(weights[panel][vector], sums[row][panel][vector]);
                }
            }
        }
        a = a.wrapping_add(1);
        b = b.wrapping_add(args.b_stride);
    }
    for row in 0..ROWS {
        for panel in 0..PANELS {
            for vector in 0..VECTORS {
                let at = row * args.c_stride + (panel * VECTORS + vector) * I::LANES;
                // SAFETY: within row `row` of c, valid by contract.
                unsafe { store_at(isa, args.c.add(at), sums[row][panel][vector]) };
            }
        }
    }
}

/// # Safety
/// `p` is valid for reads of a register.
#[inline(always)]
unsafe fn load_at<I: Isa>(isa: I, p: *const f32) -> I::V {
    // SAFETY: the caller upholds it.
    isa.load(unsafe { std::slice::from_raw_parts(p, I::LANES) })
}

/// # Safety
/// `p` is valid for writes of a register, and nobody else looks.
#[inline(always)]
unsafe fn store_at<I: Isa>(isa: I, p: *mut f32, v: I::V) {
    // SAFETY: the caller upholds it.
    isa.store(unsafe { std::slice::from_raw_parts_mut(p, I::LANES) }, v);
}

/// Stores a tile, which is still in the first cache, where it belongs.
#[inline(always)]
fn finish<I: Isa>(isa: I, block: Block<'_>, c: &mut MatrixMut<'_>, epilogue: Epilogue<'_>) {
    let finish = Finish { isa, block, c, epilogue };
    match epilogue.activation {
        None => finish.with(Identity),
        Some(activation) => activation.lanewise(finish),
    }
}

struct Finish<'f, 's, 'c, I> {
    isa: I,
    block: Block<'s>,
    c: &'f mut MatrixMut<'c>,
    epilogue: Epilogue<'f>,
}

impl<I: Isa> UseLanewise for Finish<'_, '_, '_, I> {
    #[inline(always)]
    fn with(self, activation: impl Lanewise) {
        let Self { isa, block, c, epilogue } = self;
        for start in block.columns.clone().step_by(I::LANES) {
            let columns = start..block.columns.end.min(start + I::LANES);
            let bias = epilogue.bias.map_or(isa.splat(0.0), |bias| load_any(isa, &bias[columns.clone()]));
            let sums = block.sums[start - block.columns.start..].chunks(block.width);
            for (row, sums) in block.rows.clone().zip(sums) {
                let target = &mut c.data[row * c.stride..][columns.clone()];
                let mut value = activation.apply(isa, isa.load(sums) + bias);
                if epilogue.accumulate {
                    value = value + load_any(isa, target);
                }
                store_any(isa, target, value);
            }
        }
    }
}

/// The same in plain loops and double precision.
pub(crate) fn plain(a: Matrix<'_>, b: &Packed, mut c: MatrixMut<'_>, epilogue: Epilogue<'_>) {
    for r in 0..a.rows {
        for n in 0..b.rows() {
            let mut sum = 0.0;
            for (&x, &weight) in a.row(r).iter().zip(b.from_row(n)) {
                sum += f64::from(x) * f64::from(weight);
            }
            if let Some(bias) = epilogue.bias {
                sum += f64::from(bias[n]);
            }
            if let Some(activation) = epilogue.activation {
                sum = activation.plain(sum);
            }
            let target = &mut c.row_mut(r)[n];
            *target = if epilogue.accumulate { (f64::from(*target) + sum) as f32 } else { sum as f32 };
        }
    }
}
