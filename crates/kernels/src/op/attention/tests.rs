use super::*;
use crate::dtype::Dtype;
use crate::isa::Kernels;
use crate::matrix::MatrixMut;
use crate::testing::{Noise, assert_close, assert_same, oracle};

/// A weighted mean of numbers below 1; scores of size 8 err by some 2^-21, and so do their weights.
const TOLERANCE: f32 = 2e-6;
/// The same with bfloat16: scores err by some 2^-8, their weights and the values by 2^-9 each.
const TOLERANCE_OF_HALVES: f32 = 0.025;
const DIMS: [usize; 8] = [8, 12, 16, 24, 32, 64, 80, 128];
const TEXTS: [usize; 15] = [1, 2, 5, 7, 8, 12, 13, 15, 16, 17, 31, 33, 47, 65, 70];
const HEADS: [(usize, usize); 5] = [(1, 1), (2, 2), (4, 2), (3, 1), (6, 3)];
const MASKS: [Mask; 6] = [
    Mask::Full,
    Mask::Causal,
    Mask::Window { left: 0, right: 0 },
    Mask::Window { left: 5, right: 2 },
    Mask::Window { left: 0, right: 40 },
    Mask::Window { left: usize::MAX, right: 1 },
];

/// Rows are `gap` further apart than they are long.
fn run(kernels: &Kernels, dtype: Dtype, qkv: &[f32], shape: &Attention<'_>, gap: usize) -> Vec<f32> {
    let columns = (shape.heads + 2 * shape.kv_heads) * shape.head_dim;
    let (tokens, width) = (qkv.len() / (columns + gap), shape.heads * shape.head_dim);
    let mut out = vec![3.0; tokens * (width + gap)];
    let view = Matrix::strided(qkv, tokens, columns, columns + gap);
    let mut scratch = Scratch::default();
    kernels.attention(
        dtype,
        view,
        shape,
        MatrixMut::strided(&mut out, tokens, width, width + gap),
        &mut scratch,
    );
    assert!(kernels.name() == "generic" || scratch.bytes() > 0);
    out
}

fn check(tokens: usize, shape: &Attention<'_>) {
    check_in(Dtype::F32, TOLERANCE, tokens, shape);
    check_in(Dtype::Bf16, TOLERANCE_OF_HALVES, tokens, shape);
    check_in(Dtype::Int8, TOLERANCE_OF_HALVES, tokens, shape);
}

fn check_in(dtype: Dtype, tolerance: f32, tokens: usize, shape: &Attention<'_>) {
    let columns = (shape.heads + 2 * shape.kv_heads) * shape.head_dim;
    let qkv = Noise::new(tokens * columns).numbers(tokens * (columns + 3));
    let want = run(oracle(), dtype, &qkv, shape, 3);
    for kernels in Kernels::supported() {
        let case = format!("{kernels:?}, {dtype:?}: {tokens} tokens, {shape:?}");
        assert_close(&run(kernels, dtype, &qkv, shape, 3), &want, |_| tolerance, &case);
    }
}

fn all() -> impl Iterator<Item = (&'static Kernels, Dtype)> {
    Kernels::supported().into_iter().flat_map(|kernels| Dtype::ALL.map(|dtype| (kernels, dtype)))
}

fn shape((heads, kv_heads): (usize, usize), head_dim: usize, mask: Mask) -> Attention<'static> {
    Attention {
        heads,
        kv_heads,
        head_dim,
        scale: 1.7 / (head_dim as f32).sqrt(),
        mask,
        seen: usize::MAX,
        bias: None,
        positions: None,
    }
}

#[test]
fn keys_that_no_query_sees() {
    for mask in MASKS {
        for (tokens, seen) in [(5, 1), (32, 7), (33, 32), (70, 33)] {
            check(tokens, &Attention { seen, ..shape((2, 2), 16, mask) });
        }
    }
}

#[test]
fn every_head_size_and_text_length() {
    let mut noise = Noise::new(2);
    for head_dim in DIMS {
        for tokens in TEXTS {
            check(tokens, &shape(noise.pick(&HEADS), head_dim, noise.pick(&MASKS)));
        }
    }
}

#[test]
fn every_mask_and_grouping() {
    for mask in MASKS {
        for heads in HEADS {
            check(37, &shape(heads, 16, mask));
            check(50, &shape(heads, 20, mask));
        }
    }
}

#[test]
fn a_long_text() {
    check(513, &shape((2, 1), 32, Mask::Full));
    check(513, &shape((1, 1), 24, Mask::Window { left: 64, right: 64 }));
}

#[test]
fn biases_go_by_distance() {
    for reach in [0, 1, 4, 15, 40, 100] {
        let values = Noise::new(reach).numbers(4 * (2 * reach + 1));
        for mask in MASKS {
            for tokens in [1, 14, 37] {
                let bias = Some(DistanceBias { reach, values: &values });
                check(tokens, &Attention { bias, ..shape((4, 2), 16, mask) });
            }
        }
    }
}

#[test]
fn scores_may_be_huge() {
    for scale in [1e4, -1e4, 1e30, 0.0] {
        check_in(Dtype::F32, TOLERANCE, 20, &Attention { scale, ..shape((2, 2), 16, Mask::Full) });
    }
}

#[test]
fn stride_and_used_scratch_change_no_bit() {
    for (kernels, dtype) in all() {
        let shape = shape((4, 2), 24, Mask::Causal);
        let dense = Noise::new(9).numbers(29 * 192);
        let spread: Vec<f32> = dense.chunks(192).flat_map(|row| [row, &[f32::NAN; 5]].concat()).collect();
        let want = run(kernels, dtype, &dense, &shape, 0);
        let got: Vec<f32> =
            run(kernels, dtype, &spread, &shape, 5).chunks(101).flat_map(|row| row[..96].to_vec()).collect();
        assert_same(&got, &want, kernels.name());

        let (mut scratch, mut out) = (Scratch::default(), vec![0.0; 29 * 96]);
        for _ in 0..2 {
            let mut rubbish = vec![0.0; 70 * 96];
            let qkv = vec![f32::NAN; 70 * 192];
            let other = MatrixMut::new(&mut rubbish, 70, 96);
            kernels.attention(dtype, Matrix::new(&qkv, 70, 192), &shape, other, &mut scratch);
            let out = MatrixMut::new(&mut out, 29, 96);
            kernels.attention(dtype, Matrix::new(&dense, 29, 192), &shape, out, &mut scratch);
        }
        assert_same(&out, &want, kernels.name());
    }
}

#[test]
fn bad_numbers_do_no_harm_to_other_heads() {
    for (kernels, dtype) in all() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let shape = shape((2, 2), 16, Mask::Full);
            let mut qkv = Noise::new(3).numbers(20 * 96);
            let want = run(kernels, dtype, &qkv, &shape, 0);
            for column in [0, 32, 64] {
                qkv[7 * 96 + column] = bad;
            }
            let got = run(kernels, dtype, &qkv, &shape, 0);
            for (got, want) in got.chunks(32).zip(want.chunks(32)) {
                assert_same(&got[16..], &want[16..], kernels.name());
            }
        }
    }
}

#[test]
fn nothing_to_attend() {
    for (kernels, dtype) in all() {
        for (heads, head_dim, tokens) in [(2, 8, 0), (0, 8, 3), (2, 0, 3)] {
            let shape = shape((heads, heads), head_dim, Mask::Full);
            let qkv = vec![0.0; tokens * 3 * heads * head_dim];
            let mut out = vec![0.0; tokens * heads * head_dim];
            let out = MatrixMut::new(&mut out, tokens, heads * head_dim);
            let qkv = Matrix::new(&qkv, tokens, 3 * heads * head_dim);
            kernels.attention(dtype, qkv, &shape, out, &mut Scratch::default());
        }
    }
}
