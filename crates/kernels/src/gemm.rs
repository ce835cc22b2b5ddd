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
    /// What will be needed soon, and how much of it (in numbers) is asked for with each k. Need not be valid.
    pub(crate) ahead: *const f32,
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

/// A multiply that is asked for.
pub(crate) struct Product<'p> {
    pub(crate) a: Matrix<'p>,
    pub(crate) b: &'p Packed,
    pub(crate) c: MatrixMut<'p>,
    pub(crate) epilogue: Epilogue<'p>,
}

/// c (+)= activation(a × bᵀ + bias). Shapes were checked by the caller.
#[inline(always)]
pub(crate) fn gemm<I: Isa>(isa: I, product: Product<'_>) {
    let Product { a, b, mut c, epilogue } = product;
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
    let k = b.columns();
    // Row by row of a, the tiles of this strip ask for all of the next one.
    let ahead_step = strip.width.div_ceil(a.rows.div_ceil(strip.tiles.len()));
    let block = rows.start / strip.tiles.len();
    let weights = b.panels_from(strip.first).as_ptr();
    let args = TileArgs {
        k,
        a: a.data[rows.start * a.stride..].as_ptr(),
        a_stride: a.stride,
        b: weights,
        b_stride: strip.width.min(b.layout().panel),
        b_panel: b.layout().panel * k,
        c: sums.0.as_mut_ptr(),
        c_stride: strip.width,
        ahead: weights.wrapping_add((strip.width + block * ahead_step) * k),
        ahead_step,
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
    let (mut a, mut b, mut ahead) = (args.a, args.b, args.ahead);
    for _ in 0..args.k {
        if PANELS == 1 {
            isa.prefetch(ahead);
            isa.prefetch(ahead.wrapping_add(args.ahead_step / 2));
            ahead = ahead.wrapping_add(args.ahead_step);
        }
        let mut weights = [[isa.splat(0.0); VECTORS]; PANELS];
        for panel in 0..PANELS {
            for vector in 0..VECTORS {
                // SAFETY: within the k-th row of this panel, valid by contract.
                weights[panel][vector] =
                    unsafe { load_at(isa, b.add(panel * args.b_panel + vector * I::LANES)) };
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
pub(crate) fn plain(product: Product<'_>) {
    let Product { a, b, mut c, epilogue } = product;
    for r in 0..a.rows {
        for n in 0..b.rows() {
            let mut sum = 0.0;
            for (&x, &weight) in a.row(r).iter().zip(b.panels_from(n)) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Kernels;
    use crate::testing::{LENGTHS, Noise, assert_close, assert_same, oracle};

    /// k roundings to 2^-24 of partial sums of numbers below 1, which walk at random; four times that. The rest is
    /// for bias, activation and residual.
    fn tolerance(k: usize) -> f32 {
        2.4e-7 * k as f32 + 6e-7
    }

    struct Case {
        m: usize,
        k: usize,
        n: usize,
        a: Vec<f32>,
        w: Vec<f32>,
        bias: Vec<f32>,
        c: Vec<f32>,
    }

    impl Case {
        /// Rows are three numbers further apart than they are long.
        fn new(m: usize, k: usize, n: usize) -> Self {
            let mut noise = Noise::new(m * 7919 + k * 131 + n);
            let [a, w, bias, c] = [m * (k + 3), n * k, n, m * (n + 3)].map(|count| noise.numbers(count));
            Self { m, k, n, a, w, bias, c }
        }

        fn run(&self, kernels: &Kernels, epilogue: Epilogue<'_>) -> Vec<f32> {
            let mut c = self.c.clone();
            let packed = kernels.pack(self.n, self.k, &self.w);
            let out = MatrixMut::strided(&mut c, self.m, self.n, self.n + 3);
            kernels.gemm(Matrix::strided(&self.a, self.m, self.k, self.k + 3), &packed, out, epilogue);
            c
        }

        fn check(&self, epilogue: Epilogue<'_>) {
            let want = self.run(oracle(), epilogue);
            for kernels in Kernels::supported() {
                let case = format!("{kernels:?}: {} × {} × {}, {epilogue:?}", self.m, self.k, self.n);
                let got = self.run(kernels, epilogue);
                assert_close(&got, &want, |_| tolerance(self.k), &case);
                let between = |c: &[f32]| {
                    c.chunks(self.n + 3).flat_map(|row| row[self.n..].to_vec()).collect::<Vec<_>>()
                };
                assert_same(&between(&got), &between(&self.c), &case);
            }
        }
    }

    #[test]
    fn products_of_all_shapes_are_right() {
        for m in [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 25] {
            for n in LENGTHS {
                let case = Case::new(m, n % 19, n);
                case.check(Epilogue::default());
            }
            for k in LENGTHS {
                Case::new(m, k, 33).check(Epilogue::default());
            }
        }
    }

    #[test]
    fn every_epilogue_is_right() {
        for (m, n) in [(1, 5), (3, 70), (7, 33), (14, 48), (30, 130)] {
            let case = Case::new(m, 20, n);
            for accumulate in [false, true] {
                for bias in [None, Some(&case.bias[..])] {
                    case.check(Epilogue { bias, activation: None, accumulate });
                    for activation in Activation::ALL {
                        case.check(Epilogue { bias, activation: Some(activation), accumulate });
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_alone_and_in_any_company() {
        for kernels in Kernels::supported() {
            for (m, n) in [(2, 64), (3, 130), (4, 256), (6, 33), (7, 33), (13, 100), (24, 144), (27, 16)] {
                let (k, mut noise) = (77, Noise::new(m * n));
                let (a, w, bias) = (noise.numbers(m * k), noise.numbers(n * k), noise.numbers(n));
                let packed = kernels.pack(n, k, &w);
                let epilogue =
                    Epilogue { bias: Some(&bias), activation: Some(Activation::Gelu), accumulate: false };
                let product = |a: &[f32]| {
                    let mut c = vec![0.0; a.len() / k * n];
                    let rows = a.len() / k;
                    kernels.gemm(Matrix::new(a, rows, k), &packed, MatrixMut::new(&mut c, rows, n), epilogue);
                    c
                };
                let alone: Vec<f32> = a.chunks(k).flat_map(product).collect();
                assert_same(&product(&a), &alone, &format!("{kernels:?}: {m} × {n}"));
            }
        }
    }

    #[test]
    fn a_bad_number_stays_in_its_row() {
        for kernels in Kernels::supported() {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut case = Case::new(9, 40, 37);
                let good = case.run(kernels, Epilogue::default());
                case.a[4 * 43 + 5] = bad;
                let got = case.run(kernels, Epilogue::default());
                assert_same(&got[..4 * 40], &good[..4 * 40], "rows before");
                assert_same(&got[5 * 40..], &good[5 * 40..], "rows after");
                assert!(got[4 * 40..4 * 40 + 37].iter().all(|x| !x.is_finite()), "{kernels:?}");
            }
        }
    }

    #[test]
    fn blocks_are_few_and_even() {
        let blocks = |rows, most| even_blocks(rows, most).map(|block| block.len()).collect::<Vec<_>>();
        assert_eq!(blocks(0, 12), [0; 0]);
        assert_eq!(blocks(14, 12), [7, 7]);
        assert_eq!(blocks(25, 12), [9, 8, 8]);
        assert_eq!(blocks(24, 12), [12, 12]);
    }

    #[test]
    fn another_tables_weights_are_refused() {
        for kernels in Kernels::supported().into_iter().filter(|kernels| kernels.name() != "generic") {
            let packed = oracle().pack(1, 1, &[1.0]);
            let (a, mut c) = ([1.0], [0.0]);
            let run = || {
                let out = MatrixMut::new(&mut c, 1, 1);
                kernels.gemm(Matrix::new(&a, 1, 1), &packed, out, Epilogue::default());
            };
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err(), "{kernels:?}");
        }
    }

    #[test]
    #[should_panic(expected = "a has 3 columns, the weights 2 inputs")]
    fn shapes_that_disagree_are_refused() {
        let packed = oracle().pack(1, 2, &[1.0; 2]);
        let out = &mut [0.0];
        oracle().gemm(Matrix::new(&[0.0; 3], 1, 3), &packed, MatrixMut::new(out, 1, 1), Epilogue::default());
    }
}
