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
