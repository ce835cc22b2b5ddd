//! Every multiply of every table against the oracle.

use super::*;
use crate::dtype::Dtype;
use crate::isa::{CHUNK, Kernels};
use crate::matrix::MatrixMut;
use crate::op::attention::Scratch;
use crate::testing::{LENGTHS, Noise, assert_close, assert_same, oracle};

/// k roundings to 2^-24 of partial sums of numbers below 1, which walk at random; four times that. The rest is for
/// bias, activation and residual. Products of bfloat16 are exact; sums of whole numbers too.
fn tolerance(k: usize) -> f32 {
    2.4e-7 * k as f32 + 6e-7
}

/// The coarse function of the smaller formats: 1.2e-5 |x|, and sums here are below 5.
const COARSE_GELU: f32 = 6e-5;

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

    fn run(&self, kernels: &Kernels, dtype: Dtype, epilogue: Epilogue<'_>) -> Vec<f32> {
        let mut c = self.c.clone();
        let packed = kernels.pack(dtype, self.n, self.k, &self.w);
        let out = MatrixMut::strided(&mut c, self.m, self.n, self.n + 3);
        let a = Matrix::strided(&self.a, self.m, self.k, self.k + 3);
        kernels.gemm(a, &packed, out, epilogue, &mut Scratch::default());
        c
    }

    fn check(&self, epilogue: Epilogue<'_>) {
        for dtype in Dtype::ALL {
            let coarse = dtype != Dtype::F32 && epilogue.activation == Some(Activation::Gelu);
            let tolerance = tolerance(self.k) + if coarse { COARSE_GELU } else { 0.0 };
            let want = self.run(oracle(), dtype, epilogue);
            for kernels in Kernels::supported() {
                let case =
                    format!("{kernels:?}, {dtype:?}: {} × {} × {}, {epilogue:?}", self.m, self.k, self.n);
                let got = self.run(kernels, dtype, epilogue);
                assert_close(&got, &want, |_| tolerance, &case);
                let between = |c: &[f32]| {
                    c.chunks(self.n + 3).flat_map(|row| row[self.n..].to_vec()).collect::<Vec<_>>()
                };
                assert_same(&between(&got), &between(&self.c), &case);
            }
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
    for m in [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 1] {
        Case::new(m, 9, 17).check(Epilogue { accumulate: true, ..Default::default() });
    }
}

#[test]
fn products_of_ten_thousand_random_shapes_are_right() {
    let mut noise = Noise::new(1);
    let upto = |most: usize| (0..=most).collect::<Vec<_>>();
    let (rows, inputs, outputs) = (upto(7), upto(40), upto(36));
    for _ in 0..10_000 {
        Case::new(noise.pick(&rows), noise.pick(&inputs), noise.pick(&outputs)).check(Epilogue::default());
    }
}

#[test]
fn whole_numbers_give_the_same_bits_everywhere() {
    for (m, k, n) in [(1, 7, 40), (5, 384, 33), (13, 66, 100), (26, 1000, 17), (3, 3001, 5)] {
        let case = Case::new(m, k, n);
        let want = case.run(oracle(), Dtype::Int8, Epilogue::default());
        for kernels in Kernels::supported() {
            let got = case.run(kernels, Dtype::Int8, Epilogue::default());
            assert_same(&got, &want, &format!("{kernels:?}: {m} × {k} × {n}"));
        }
    }
}

/// Of the largest numbers, as many as may be: sums of 32 bits just hold them.
#[test]
fn the_longest_sum_of_whole_numbers_is_exact() {
    let k = Dtype::Int8.most_inputs();
    let mut case = Case::new(1, k, 2);
    case.a.fill(-1.0);
    case.a[0] = 1.0;
    case.w.fill(1.0);
    let want = case.run(oracle(), Dtype::Int8, Epilogue::default());
    assert!((want[0] - (2.0 - k as f32)).abs() < 1.0, "{}", want[0]);
    for kernels in Kernels::supported() {
        assert_same(&case.run(kernels, Dtype::Int8, Epilogue::default()), &want, kernels.name());
    }
}

/// The formats are near `f32`, each as near as its numbers are fine.
#[test]
fn smaller_formats_are_near_the_largest() {
    let case = Case::new(9, 384, 40);
    let want = case.run(oracle(), Dtype::F32, Epilogue::default());
    let far = |dtype| {
        let got = case.run(oracle(), dtype, Epilogue::default());
        got.iter().zip(&want).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max)
    };
    // 384 products below 1, each off by some 2^-9 (bf16) or half a step of 1/127 (int8), walking at random.
    let (halves, bytes) = (far(Dtype::Bf16), far(Dtype::Int8));
    assert!(halves > 0.0 && halves < 0.06, "{halves}");
    assert!(bytes > 0.0 && bytes < 0.25, "{bytes}");
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

/// Of numbers that bfloat16 holds, times one.
#[test]
fn the_coarse_gelu_errs_by_a_hundredth_of_a_bfloat16() {
    let x: Vec<f32> = (-160..=160).map(|i| i as f32 / 16.0).collect();
    let epilogue = Epilogue { activation: Some(Activation::Gelu), ..Epilogue::default() };
    for kernels in Kernels::supported() {
        let (one, mut y) = (kernels.pack(Dtype::Bf16, 1, 1, &[1.0]), vec![0.0; x.len()]);
        let (a, out) = (Matrix::new(&x, x.len(), 1), MatrixMut::new(&mut y, x.len(), 1));
        kernels.gemm(a, &one, out, epilogue, &mut Scratch::default());
        for (x, y) in x.iter().zip(y) {
            let error = (f64::from(y) - Activation::Gelu.plain(f64::from(*x))).abs();
            assert!(error <= 1.2e-5 * f64::from(x.abs().max(1.0)), "{kernels:?}: {x} is {error:e} off");
        }
    }
}

#[test]
fn a_row_has_the_same_bits_alone_and_in_any_company() {
    for (kernels, dtype) in all() {
        for (m, n) in
            [(2, 64), (3, 130), (4, 256), (6, 33), (7, 33), (13, 100), (24, 144), (27, 16), (CHUNK + 44, 33)]
        {
            let (k, mut noise) = (77, Noise::new(m * n));
            let (a, w, bias) = (noise.numbers(m * k), noise.numbers(n * k), noise.numbers(n));
            let packed = kernels.pack(dtype, n, k, &w);
            let epilogue =
                Epilogue { bias: Some(&bias), activation: Some(Activation::Gelu), accumulate: false };
            let product = |a: &[f32]| {
                let mut c = vec![0.0; a.len() / k * n];
                let rows = a.len() / k;
                let (a, out) = (Matrix::new(a, rows, k), MatrixMut::new(&mut c, rows, n));
                kernels.gemm(a, &packed, out, epilogue, &mut Scratch::default());
                c
            };
            let alone: Vec<f32> = a.chunks(k).flat_map(product).collect();
            assert_same(&product(&a), &alone, &format!("{kernels:?}, {dtype:?}: {m} × {n}"));
        }
    }
}

#[test]
fn a_bad_number_stays_in_its_row() {
    for (kernels, dtype) in all() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut case = Case::new(9, 40, 37);
            let good = case.run(kernels, dtype, Epilogue::default());
            case.a[4 * 43 + 5] = bad;
            let got = case.run(kernels, dtype, Epilogue::default());
            assert_same(&got[..4 * 40], &good[..4 * 40], "rows before");
            assert_same(&got[5 * 40..], &good[5 * 40..], "rows after");
            let row = &got[4 * 40..4 * 40 + 37];
            assert!(row.iter().all(|x| !x.is_finite()), "{kernels:?}, {dtype:?}");
        }
    }
}

#[test]
fn a_bad_weight_stays_in_its_output() {
    for (kernels, dtype) in all() {
        let mut case = Case::new(3, 40, 37);
        let good = case.run(kernels, dtype, Epilogue::default());
        case.w[5 * 40 + 7] = f32::NAN;
        let got = case.run(kernels, dtype, Epilogue::default());
        for (i, (got, good)) in got.iter().zip(&good).enumerate() {
            assert!(if i % 40 == 5 { got.is_nan() } else { got == good }, "{kernels:?}, {dtype:?}: {i}");
        }
    }
}

/// What earlier calls left in the scratch must not be seen.
#[test]
fn scratch_that_was_used_changes_nothing() {
    for (kernels, dtype) in all() {
        let (mut noise, mut scratch) = (Noise::new(3), Scratch::default());
        for k in [64, 63, 31, 30, 29, 5, 1] {
            let (a, w) = (noise.numbers(3 * k), noise.numbers(2 * k));
            let packed = kernels.pack(dtype, 2, k, &w);
            let product = |scratch: &mut Scratch| {
                let mut c = [0.0; 6];
                let out = MatrixMut::new(&mut c, 3, 2);
                kernels.gemm(Matrix::new(&a, 3, k), &packed, out, Epilogue::default(), scratch);
                c
            };
            let fresh = product(&mut Scratch::default());
            assert_same(&product(&mut scratch), &fresh, &format!("{kernels:?}, {dtype:?}: {k}"));
        }
    }
}

/// All multiplies there are here.
fn all() -> impl Iterator<Item = (&'static Kernels, Dtype)> {
    Kernels::supported().into_iter().flat_map(|kernels| Dtype::ALL.map(|dtype| (kernels, dtype)))
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
    for (kernels, dtype) in all().filter(|(kernels, _)| kernels.name() != "generic") {
        let packed = oracle().pack(dtype, 1, 1, &[1.0]);
        let (a, mut c) = ([1.0], [0.0]);
        let run = || {
            let (a, out) = (Matrix::new(&a, 1, 1), MatrixMut::new(&mut c, 1, 1));
            kernels.gemm(a, &packed, out, Epilogue::default(), &mut Scratch::default());
        };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err(), "{kernels:?}");
    }
}

#[test]
#[should_panic(expected = "a has 3 columns, the weights 2 inputs")]
fn shapes_that_disagree_are_refused() {
    let packed = oracle().pack(Dtype::F32, 1, 2, &[1.0; 2]);
    let (a, out) = ([0.0; 3], &mut [0.0]);
    let (a, out) = (Matrix::new(&a, 1, 3), MatrixMut::new(out, 1, 1));
    oracle().gemm(a, &packed, out, Epilogue::default(), &mut Scratch::default());
}
