//! Scaled dot-product attention of one text (Vaswani et al., arXiv 1706.03762), with grouped queries (Ainslie
//! et al., arXiv 2305.13245), masks and biases by distance.
//!
//! For each key head the keys are packed as the multiply wants them (transposed and scaled) and so are the
//! values; then a block of queries at a time gets its scores, which stay in cache, their softmax, and its sums.
//! Keys that no query of a block can see are left out in steps of a panel.
#![expect(unsafe_code, reason = "calls the tiles of the multiply, which take pointers")]

use std::ops::Range;

use super::softmax::{exponentials, plain_weights};
use crate::aligned::Aligned;
use crate::gemm::{TileArgs, even_blocks};
use crate::matrix::{Matrix, MatrixMut};
use crate::pack::Layout;
use crate::simd::{Isa, Lanewise, Plus, load_any, map, map2, store_any};

/// How the columns of a text's queries, keys and values are to be attended.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Query heads, a multiple of `kv_heads`.
    pub heads: usize,
    /// Key and value heads; query head h uses number `h / (heads / kv_heads)`.
    pub kv_heads: usize,
    /// Columns of a head.
    pub head_dim: usize,
    /// What a score is multiplied with, usually 1 / √head_dim.
    pub scale: f32,
    /// Which keys a query sees.
    pub mask: Mask,
    /// What is added to the scaled scores.
    pub bias: Option<DistanceBias<'a>>,
}

/// Which keys a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// All.
    Full,
    /// Itself and those before it.
    Causal,
    /// Key j is visible to query i when `i - left <= j <= i + right`.
    Window {
        /// How many before it.
        left: usize,
        /// How many after it.
        right: usize,
    },
}

/// Numbers added to scaled scores by distance alone (T5, MPNet, ALiBi).
#[derive(Clone, Copy, Debug)]
pub struct DistanceBias<'a> {
    /// Distances beyond it count as it.
    pub reach: usize,
    /// `[heads][2 * reach + 1]`, at `clamp(j - i, -reach, reach) + reach` for key j and query i.
    pub values: &'a [f32],
}

/// Memory that attention needs while it runs. Keep one per thread: it grows to the longest text and stays.
#[derive(Debug, Default)]
pub struct Scratch {
    keys: Aligned,
    values: Aligned,
    scores: Aligned,
}

impl Scratch {
    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.keys.bytes() + self.values.bytes() + self.scores.bytes()
    }
}

impl Mask {
    /// The keys, of `tokens`, that query `i` sees: at least itself.
    pub fn visible(self, i: usize, tokens: usize) -> Range<usize> {
        match self {
            Self::Full => 0..tokens,
            Self::Causal => 0..i + 1,
            Self::Window { left, right } => i.saturating_sub(left)..tokens.min(i.saturating_add(right).saturating_add(1)),
        }
    }
}

impl DistanceBias<'_> {
    /// The numbers of one head.
    #[inline(always)]
    fn of(&self, head: usize) -> &[f32] {
        let width = 2 * self.reach + 1;
        &self.values[head * width..][..width]
    }
}

/// What all blocks of one text share.
#[derive(Clone, Copy)]
struct Text<'t> {
    qkv: Matrix<'t>,
    shape: &'t Attention<'t>,
    layout: Layout,
}

/// The packed keys and values of one head.
struct Packs<'t> {
    keys: &'t [f32],
    values: &'t [f32],
}

/// Queries of one head that are computed together, and the keys that any of them sees, from a panel's start on.
struct Block {
    head: usize,
    rows: Range<usize>,
    keys: Range<usize>,
    stride: usize,
}

/// out = softmax(q kᵀ scale + bias) v, for all heads. Shapes were checked by the caller.
#[inline(always)]
pub(crate) fn attention<I: Isa>(
    isa: I,
    qkv: Matrix<'_>,
    shape: &Attention<'_>,
    mut out: MatrixMut<'_>,
    scratch: &mut Scratch,
) {
    let text = Text { qkv, shape, layout: Layout { isa: "", lanes: I::LANES, panel: I::PANEL } };
    let most = isa.tiles().one.len();
    let stride = text.layout.padded(qkv.rows);
    let keys = scratch.keys.first_mut(stride * shape.head_dim);
    let values = scratch.values.first_mut(qkv.rows * text.layout.padded(shape.head_dim));
    let scores = scratch.scores.first_mut(most * (stride + I::PANEL));
    let group = shape.heads / shape.kv_heads.max(1);
    for kv in 0..shape.kv_heads {
        pack_keys(isa, &text, kv, keys);
        pack_values(isa, &text, kv, values);
        for head in kv * group..(kv + 1) * group {
            for rows in even_blocks(qkv.rows, most) {
                let block = block(&text, head, rows, stride);
                attend(isa, &text, &Packs { keys, values }, &block, &mut out, scores);
            }
        }
    }
}

#[inline(always)]
fn block(text: &Text<'_>, head: usize, rows: Range<usize>, stride: usize) -> Block {
    let tokens = text.qkv.rows;
    let (first, last) = (rows.start, rows.end - 1);
    let start = text.shape.mask.visible(first, tokens).start / text.layout.panel * text.layout.panel;
    let end = text.shape.mask.visible(last, tokens).end;
    Block { head, rows, keys: start..end, stride }
}

/// Panels of `[head_dim][keys]`: each key becomes a column, times the scale.
#[inline(always)]
fn pack_keys<I: Isa>(isa: I, text: &Text<'_>, kv: usize, packed: &mut [f32]) {
    let Text { qkv, shape, layout } = text;
    let column = (shape.heads + kv) * shape.head_dim;
    let mut first = 0;
    while first < qkv.rows {
        let width = layout.width(qkv.rows - first);
        let panel = &mut packed[first * shape.head_dim..][..width * shape.head_dim];
        for key in (0..width).step_by(I::LANES) {
            for dim in (0..shape.head_dim).step_by(I::LANES) {
                let length = I::LANES.min(shape.head_dim - dim);
                let turned = square(isa, qkv, first + key, column + dim..column + dim + length, shape.scale);
                for (i, &v) in turned.as_ref().iter().take(length).enumerate() {
                    isa.store(&mut panel[(dim + i) * width + key..], v);
                }
            }
        }
        first += width;
    }
}

/// Some columns of `LANES` rows, transposed. After the last row it repeats: those keys are never looked at.
#[inline(always)]
fn square<I: Isa>(isa: I, qkv: &Matrix<'_>, row: usize, columns: Range<usize>, scale: f32) -> I::Square {
    let mut square = isa.square();
    for (i, v) in square.as_mut().iter_mut().enumerate() {
        let key = qkv.row((row + i).min(qkv.rows - 1));
        *v = load_any(isa, &key[columns.clone()]) * isa.splat(scale);
    }
    isa.transpose(square)
}

/// Panels of `[keys][columns]`; columns beyond the head are zero.
#[inline(always)]
fn pack_values<I: Isa>(isa: I, text: &Text<'_>, kv: usize, packed: &mut [f32]) {
    let Text { qkv, shape, layout } = text;
    let column = (shape.heads + shape.kv_heads + kv) * shape.head_dim;
    let mut first = 0;
    while first < shape.head_dim {
        let width = layout.width(shape.head_dim - first);
        let length = width.min(shape.head_dim - first);
        let panel = packed[first * qkv.rows..].chunks_exact_mut(width);
        for (row, target) in panel.take(qkv.rows).enumerate() {
            let source = &qkv.row(row)[column + first..][..length];
            for at in (0..width).step_by(I::LANES) {
                let part = &source[at.min(length)..length.min(at + I::LANES)];
                isa.store(&mut target[at..], load_any(isa, part));
            }
        }
        first += width;
    }
}

#[inline(always)]
fn attend<I: Isa>(
    isa: I,
    text: &Text<'_>,
    packs: &Packs<'_>,
    block: &Block,
    out: &mut MatrixMut<'_>,
    scratch: &mut [f32],
) {
    let (sums, scores) = scratch.split_at_mut(isa.tiles().one.len() * I::PANEL);
    score(isa, text, packs.keys, block, scores);
    let mut inverse = [0.0; 16];
    for ((row, scores), inverse) in block.rows.clone().zip(scores.chunks_mut(block.stride)).zip(&mut inverse) {
        *inverse = 1.0 / weigh(isa, text, block, row, &mut scores[..block.keys.len()]);
    }
    let mut first = 0;
    while first < text.shape.head_dim {
        let width = text.layout.width(text.shape.head_dim - first);
        let values = &packs.values[first * text.qkv.rows + block.keys.start * width..];
        mix(isa, block, width, (scores, values), sums);
        let columns = block.head * text.shape.head_dim + first..(block.head + 1) * text.shape.head_dim;
        for ((row, sums), &inverse) in block.rows.clone().zip(sums.chunks(width)).zip(&inverse) {
            let target = &mut out.row_mut(row)[columns.clone()];
            for (target, sums) in target.chunks_mut(I::LANES).zip(sums.chunks_exact(I::LANES)) {
                store_any(isa, target, isa.load(sums) * isa.splat(inverse));
            }
        }
        first += width;
    }
}

/// Scores of a block, panel by panel of keys.
#[inline(always)]
fn score<I: Isa>(isa: I, text: &Text<'_>, keys: &[f32], block: &Block, scores: &mut [f32]) {
    let head_dim = text.shape.head_dim;
    let mut first = block.keys.start;
    while first < block.keys.end {
        let width = text.layout.width(text.qkv.rows - first);
        let tiles = if width == I::LANES { isa.tiles().narrow } else { isa.tiles().one };
        let args = TileArgs {
            k: head_dim,
            a: text.qkv.row(block.rows.start)[block.head * head_dim..].as_ptr(),
            a_stride: text.qkv.stride,
            b: keys[first * head_dim..][..width * head_dim].as_ptr(),
            b_stride: width,
            b_panel: 0,
            c: scores[first - block.keys.start..][..(block.rows.len() - 1) * block.stride + width].as_mut_ptr(),
            c_stride: block.stride,
        };
        // SAFETY: the query columns of the block's rows lie in qkv (checked by `Kernels::attention`); the slices
        // above are the panel and the block of scores; `isa` gave the tiles.
        unsafe { tiles[block.rows.len() - 1](&args) };
        first += width;
    }
}

/// The scores of one query become weights, zero for keys that it does not see; their sum.
#[inline(always)]
fn weigh<I: Isa>(isa: I, text: &Text<'_>, block: &Block, row: usize, scores: &mut [f32]) -> f32 {
    let seen = text.shape.mask.visible(row, text.qkv.rows);
    let start = block.keys.start;
    let (before, rest) = scores.split_at_mut(seen.start - start);
    let (scores, after) = rest.split_at_mut(seen.len());
    before.fill(0.0);
    after.fill(0.0);
    if let Some(bias) = text.shape.bias {
        add_bias(isa, scores, seen.start, row, bias.of(block.head));
    }
    exponentials(isa, scores)
}

/// Adds to the scores of keys `first..` for query `row`: the ends of `bias` go on for ever.
#[inline(always)]
fn add_bias<I: Isa>(isa: I, scores: &mut [f32], first: usize, row: usize, bias: &[f32]) {
    let reach = bias.len() / 2;
    let near = row.saturating_sub(reach).saturating_sub(first).min(scores.len());
    let (left, scores) = scores.split_at_mut(near);
    let skipped = (first + near + reach).saturating_sub(row).min(bias.len());
    let (middle, right) = scores.split_at_mut((bias.len() - skipped).min(scores.len()));
    map(isa, left, PlusNumber(bias[0]));
    map2(isa, middle, &bias[skipped..], Plus);
    map(isa, right, PlusNumber(bias[2 * reach]));
}

/// x plus a number.
#[derive(Clone, Copy)]
struct PlusNumber(f32);

impl Lanewise for PlusNumber {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, x: I::V) -> I::V {
        x + isa.splat(self.0)
    }
}

/// sums = weights × values, for one panel of a head's columns.
#[inline(always)]
fn mix<I: Isa>(isa: I, block: &Block, width: usize, (weights, values): (&[f32], &[f32]), sums: &mut [f32]) {
    let tiles = if width == I::LANES { isa.tiles().narrow } else { isa.tiles().one };
    let args = TileArgs {
        k: block.keys.len(),
        a: weights[..(block.rows.len() - 1) * block.stride + block.keys.len()].as_ptr(),
        a_stride: block.stride,
        b: values[..block.keys.len() * width].as_ptr(),
        b_stride: width,
        b_panel: 0,
        c: sums[..block.rows.len() * width].as_mut_ptr(),
        c_stride: width,
    };
    // SAFETY: the slices above are the block of weights, the panel of values and the sums; `isa` gave the tiles.
    unsafe { tiles[block.rows.len() - 1](&args) };
}

/// The oracle.
pub(crate) fn plain(qkv: Matrix<'_>, shape: &Attention<'_>, mut out: MatrixMut<'_>, _: &mut Scratch) {
    let (tokens, dim) = (qkv.rows, shape.head_dim);
    let at = |row: usize, head: usize, i: usize| f64::from(qkv.row(row)[head * dim + i]);
    for head in 0..shape.heads {
        let key_head = shape.heads + head / (shape.heads / shape.kv_heads);
        let value_head = key_head + shape.kv_heads;
        for i in 0..tokens {
            let seen = shape.mask.visible(i, tokens);
            let mut scores = Vec::new();
            for j in seen.clone() {
                let product: f64 = (0..dim).map(|c| at(i, head, c) * at(j, key_head, c)).sum();
                scores.push(product * f64::from(shape.scale) + plain_bias(shape, head, i, j));
            }
            let weights = plain_weights(&scores);
            for c in 0..dim {
                let sum: f64 = seen.clone().zip(&weights).map(|(j, weight)| weight * at(j, value_head, c)).sum();
                out.row_mut(i)[head * dim + c] = sum as f32;
            }
        }
    }
}

fn plain_bias(shape: &Attention<'_>, head: usize, i: usize, j: usize) -> f64 {
    shape.bias.map_or(0.0, |bias| {
        let reach = bias.reach as isize;
        let distance = (j as isize - i as isize).clamp(-reach, reach);
        f64::from(bias.of(head)[(distance + reach) as usize])
    })
}
