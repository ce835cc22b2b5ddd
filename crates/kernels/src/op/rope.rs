//! Rotary position embedding (Su et al., arXiv 2104.09864), and where heads stand in a row.

use crate::matrix::MatrixMut;
use crate::simd::{Isa, Vector, load_any, store_any};

/// Columns `first..first + heads * head_dim` of a row, seen as heads side by side.
#[derive(Clone, Copy, Debug)]
pub struct HeadColumns {
    /// The first column of the first head.
    pub first: usize,
    /// How many heads.
    pub heads: usize,
    /// Columns of a head.
    pub head_dim: usize,
}

/// Which two numbers of a head are turned together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopeStyle {
    /// i and i + dim / 2 (`rotate_half`: Llama, Qwen, ModernBERT).
    Half,
    /// 2 i and 2 i + 1 (GPT-J, the paper).
    Interleaved,
}

/// How rows are turned: row r by the angles of position r.
#[derive(Clone, Copy, Debug)]
pub struct RopeArgs<'a> {
    /// The heads.
    pub columns: HeadColumns,
    /// How many of the first numbers of each head are turned: even, at most `head_dim`.
    pub dim: usize,
    /// Which belong together.
    pub style: RopeStyle,
    /// Cosines, `[positions][dim / 2]`.
    pub cos: &'a [f32],
    /// Sines, likewise.
    pub sin: &'a [f32],
}

impl HeadColumns {
    /// The heads of a row.
    #[inline(always)]
    pub(crate) fn of<'r>(&self, row: &'r mut [f32]) -> impl Iterator<Item = &'r mut [f32]> {
        row[self.first..][..self.heads * self.head_dim].chunks_exact_mut(self.head_dim.max(1))
    }
}

/// Turns pairs of numbers, in place.
#[inline(always)]
pub(crate) fn rope<I: Isa>(isa: I, mut x: MatrixMut<'_>, rope: &RopeArgs<'_>) {
    let half = rope.dim / 2;
    for r in 0..x.rows {
        let (cos, sin) = (&rope.cos[r * half..][..half], &rope.sin[r * half..][..half]);
        for head in rope.columns.of(x.row_mut(r)) {
            let head = &mut head[..2 * half];
            match rope.style {
                RopeStyle::Half => turn_halves(isa, head, cos, sin),
                RopeStyle::Interleaved => turn_pairs(head, cos, sin),
            }
        }
    }
}

#[inline(always)]
fn turn_halves<I: Isa>(isa: I, head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (low, high) = head.split_at_mut(cos.len());
    let angles = cos.chunks(I::LANES).zip(sin.chunks(I::LANES));
    for ((low, high), (cos, sin)) in low.chunks_mut(I::LANES).zip(high.chunks_mut(I::LANES)).zip(angles) {
        let (x, y) = (load_any(isa, low), load_any(isa, high));
        let (cos, sin) = (load_any(isa, cos), load_any(isa, sin));
        store_any(isa, low, x * cos - y * sin);
        store_any(isa, high, y.fma(cos, x * sin));
    }
}

/// Left to the compiler: few models need it.
#[inline(always)]
fn turn_pairs(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    for (pair, (cos, sin)) in head.chunks_exact_mut(2).zip(cos.iter().zip(sin)) {
        let (x, y) = (pair[0], pair[1]);
        pair[0] = x * cos - y * sin;
        pair[1] = y * cos + x * sin;
    }
}

/// The oracle.
pub(crate) fn plain(mut x: MatrixMut<'_>, rope: &RopeArgs<'_>) {
    let half = rope.dim / 2;
    for r in 0..x.rows {
        for head in rope.columns.of(x.row_mut(r)) {
            for i in 0..half {
                let (a, b) = match rope.style {
                    RopeStyle::Half => (i, i + half),
                    RopeStyle::Interleaved => (2 * i, 2 * i + 1),
                };
                let (x, y) = (f64::from(head[a]), f64::from(head[b]));
                let (cos, sin) = (f64::from(rope.cos[r * half + i]), f64::from(rope.sin[r * half + i]));
                head[a] = (x * cos - y * sin) as f32;
                head[b] = (y * cos + x * sin) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Kernels;
    use crate::testing::{Noise, assert_close, oracle};

    /// Three roundings of numbers below 2.
    const TOLERANCE: f32 = 3e-7;

    #[test]
    fn heads_are_turned_where_they_stand() {
        let cases = [
            (8, 8),
            (12, 12),
            (16, 8),
            (24, 24),
            (32, 32),
            (64, 64),
            (64, 32),
            (80, 80),
            (128, 128),
            (34, 34),
            (9, 0),
        ];
        for (head_dim, dim) in cases {
            for style in [RopeStyle::Half, RopeStyle::Interleaved] {
                let (rows, heads, first) = (5, 3, 2);
                let columns = first + heads * head_dim + 4;
                let mut noise = Noise::new(head_dim);
                let [x, cos, sin] =
                    [rows * columns, rows * dim / 2, rows * dim / 2 + 1].map(|n| noise.numbers(n));
                let columns_of = HeadColumns { first, heads, head_dim };
                let rope = RopeArgs { columns: columns_of, dim, style, cos: &cos, sin: &sin };
                let run = |kernels: &Kernels| {
                    let mut x = x.clone();
                    kernels.rope(MatrixMut::new(&mut x, rows, columns), &rope);
                    x
                };
                let want = run(oracle());
                for kernels in Kernels::supported() {
                    assert_close(
                        &run(kernels),
                        &want,
                        |_| TOLERANCE,
                        &format!("{kernels:?}: {head_dim}, {dim}, {style:?}"),
                    );
                }
            }
        }
    }

    #[test]
    fn a_quarter_turn_moves_the_first_to_the_second() {
        let columns = HeadColumns { first: 0, heads: 1, head_dim: 4 };
        for kernels in Kernels::supported() {
            for (style, want) in
                [(RopeStyle::Half, [0.0, 0.0, 1.0, 0.0]), (RopeStyle::Interleaved, [0.0, 1.0, 0.0, 0.0])]
            {
                let mut x = [1.0, 0.0, 0.0, 0.0];
                let rope = RopeArgs { columns, dim: 4, style, cos: &[0.0; 2], sin: &[1.0; 2] };
                kernels.rope(MatrixMut::new(&mut x, 1, 4), &rope);
                assert_eq!(x, want, "{kernels:?}, {style:?}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "2 heads of 4 from column 1 leave a row of 8")]
    fn heads_that_leave_the_row_are_refused() {
        let columns = HeadColumns { first: 1, heads: 2, head_dim: 4 };
        let rope = RopeArgs { columns, dim: 4, style: RopeStyle::Half, cos: &[0.0; 2], sin: &[0.0; 2] };
        oracle().rope(MatrixMut::new(&mut [0.0; 8], 1, 8), &rope);
    }
}
