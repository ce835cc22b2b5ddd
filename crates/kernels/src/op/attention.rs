//! Scaled dot-product attention of one text (Vaswani et al., arXiv 1706.03762), with grouped queries (Ainslie
//! et al., arXiv 2305.13245), masks and biases by distance.
//!
//! For each key head the keys are packed as the multiply wants them (transposed and scaled) and so are the
//! values; then a block of queries at a time gets its scores, which stay in cache, their softmax, and its sums.
//! Keys that no query of a block can see are left out in steps of a panel.
#![expect(unsafe_code, reason = "calls the tiles of the multiply, which take pointers")]

use std::ops::Range;

use super::positions::{self, Positions};
use super::softmax::{HIDDEN, exponentials, plain_weights};
use crate::aligned::Aligned;
use crate::gemm::{Inputs, NO_OUTPUTS, PlainDot, Tile, TileArgs, even_blocks};
use crate::matrix::Matrix;
use crate::pack::Layout;
use crate::shared::Shared;
use crate::simd::{Isa, Lanewise, Plus, load_any, map, map2, store_any};

/// Numbers in a cache line.
const LINE: usize = 16;

/// Bytes that [`Scratch::shrink`] lets it keep.
const KEPT_BYTES: usize = 16 << 20;

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
    /// Keys from here on are seen by no query: a text's length, or more, hides none. At least 1.
    pub seen: usize,
    /// What is added to the scaled scores.
    pub bias: Option<DistanceBias<'a>>,
    /// Relative positions that meet queries and keys; `kv_heads` is `heads` then.
    pub positions: Option<Positions<'a>>,
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

/// Memory that attention and the multiply need while they run. Keep one per thread: it grows to the longest text
/// and the largest batch, and stays.
#[derive(Debug, Default)]
pub struct Scratch {
    keys: Aligned<f32>,
    values: Aligned<f32>,
    scores: Aligned<f32>,
    /// Activations of the multiply, and queries.
    pub(crate) inputs: Aligned<u32>,
    positions: positions::Room,
}

impl Scratch {
    /// Gives back to the system what exceeds the bound: a long text may need far more than what follows it.
    pub fn shrink(&mut self) {
        if self.bytes() > KEPT_BYTES {
            *self = Self::default();
        }
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        let floats = self.keys.bytes() + self.values.bytes() + self.scores.bytes();
        floats + self.inputs.bytes() + self.positions.bytes()
    }
}

impl Mask {
    /// The keys, of `tokens`, that query `i` sees: at least one, the nearest.
    pub fn visible(self, i: usize, tokens: usize) -> Range<usize> {
        let (start, end) = match self {
            Self::Full => (0, tokens),
            Self::Causal => (0, i + 1),
            Self::Window { left, right } => {
                (i.saturating_sub(left), i.saturating_add(right).saturating_add(1))
            }
        };
        let end = end.min(tokens);
        start.min(end.saturating_sub(1))..end
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

/// Attention that is asked for, or a part of it.
pub(crate) struct Attend<'w> {
    pub(crate) qkv: Matrix<'w>,
    pub(crate) shape: &'w Attention<'w>,
    /// The key heads that are wanted. Nobody else touches the columns of `out` that belong to them meanwhile.
    pub(crate) kv_heads: Range<usize>,
    pub(crate) out: Shared<'w>,
    pub(crate) scratch: &'w mut Scratch,
}

/// What all blocks of one text share.
struct Text<'t, D> {
    dot: D,
    qkv: Matrix<'t>,
    shape: &'t Attention<'t>,
    layout: Layout,
    queries: Inputs<'t>,
}

/// Where blocks put what they need while they are computed.
struct Room<'s> {
    /// Then the weights made of them, as words of the multiply.
    scores: &'s mut [f32],
    sums: &'s mut [f32],
}

/// Queries of one head that are computed together, and the keys that any of them sees, from a panel's start on.
pub(super) struct Block {
    pub(super) head: usize,
    pub(super) rows: Range<usize>,
    pub(super) keys: Range<usize>,
    /// From the scores of one query to those of the next.
    pub(super) stride: usize,
}

/// out = softmax(q kᵀ scale + bias) v, for all heads. Shapes were checked by the caller. Scores and weights are `f32`
/// whatever the multiply's format, and so are positions.
#[inline(always)]
pub(crate) fn attention<D: PlainDot>(dot: D, work: Attend<'_>) {
    let Attend { qkv, shape, kv_heads, out, scratch } = work;
    let (lanes, panel) = (D::Isa::LANES, D::Isa::PANEL);
    let layout = Layout { name: "", family: "", dtype: D::DTYPE, lanes, panel, group: 1 };
    let most = dot.tiles().one.len();
    let stride = layout.padded(qkv.rows);
    let keys = scratch.keys.first_mut(stride * shape.head_dim.div_ceil(D::DTYPE.per_word()));
    let mixed = qkv.rows.div_ceil(D::DTYPE.per_word());
    let values = scratch.values.first_mut(mixed * layout.padded(shape.head_dim));
    let (sums, scores) = scratch.scores.first_mut(most * (stride + panel)).split_at_mut(most * panel);
    let mut room = Room { scores, sums };
    let mut positions = positions::Packed::new(dot.isa(), qkv, shape, &mut scratch.positions);
    let columns = shape.heads * shape.head_dim;
    let queries = Matrix { columns, ..qkv };
    let queries = Inputs::prepare(dot, queries, columns.div_ceil(D::DTYPE.per_word()), &mut scratch.inputs);
    let text = Text { dot, qkv, shape, layout, queries };
    let group = shape.heads / shape.kv_heads.max(1);
    for kv in kv_heads {
        text.ask_for(kv + 1);
        text.pack_keys(kv, keys);
        text.pack_values(kv, values);
        for head in kv * group..(kv + 1) * group {
            if let Some(positions) = &mut positions {
                positions.take_head(head);
            }
            for rows in even_blocks(qkv.rows, most) {
                let block = text.block(head, rows, stride);
                text.score(keys, &block, room.scores);
                if let Some(positions) = &mut positions {
                    positions.add(&block, room.scores);
                }
                text.attend(values, &block, out, &mut room);
            }
        }
    }
}

impl<D: PlainDot> Text<'_, D> {
    const LANES: usize = D::Isa::LANES;
    const PER_WORD: usize = D::DTYPE.per_word();

    /// Asks for the keys and values of a head, should there be one: a head's are short pieces of long rows, which no
    /// processor foresees.
    #[inline(always)]
    fn ask_for(&self, kv: usize) {
        let Self { dot, qkv, shape, .. } = self;
        if kv >= shape.kv_heads {
            return;
        }
        for first in [shape.heads + kv, shape.heads + shape.kv_heads + kv] {
            for row in 0..qkv.rows {
                let columns = &qkv.row(row)[first * shape.head_dim..][..shape.head_dim];
                columns.chunks(LINE).for_each(|line| dot.isa().prefetch(line.as_ptr().cast()));
            }
        }
    }

    /// Panels of `[head_dim][keys]`, in words: each key becomes a column, times the scale.
    #[inline(always)]
    fn pack_keys(&self, kv: usize, packed: &mut [f32]) {
        let Self { dot, qkv, shape, layout, .. } = self;
        let column = (shape.heads + kv) * shape.head_dim;
        let depth = shape.head_dim.div_ceil(Self::PER_WORD);
        let mut first = 0;
        while first < qkv.rows {
            let width = layout.width(qkv.rows - first);
            let panel = &mut packed[first * depth..][..width * depth];
            let step = Self::LANES * Self::PER_WORD;
            for key in (0..width).step_by(Self::LANES) {
                for dim in (0..shape.head_dim).step_by(step) {
                    let length = step.min(shape.head_dim - dim);
                    let turned = self.square(first + key, column + dim..column + dim + length);
                    let words = length.div_ceil(Self::PER_WORD);
                    for (i, &v) in turned.as_ref().iter().take(words).enumerate() {
                        dot.isa().store(&mut panel[(dim / Self::PER_WORD + i) * width + key..], v);
                    }
                }
            }
            first += width;
        }
    }

    /// Some columns of `LANES` rows, scaled, in words and transposed. After the last row it repeats: those keys are
    /// never looked at.
    #[inline(always)]
    fn square(&self, row: usize, columns: Range<usize>) -> <D::Isa as Isa>::Square {
        let (isa, qkv) = (self.dot.isa(), self.qkv);
        let (scale, lanes) = (isa.splat(self.shape.scale), Self::LANES.min(columns.len()));
        let mut square = isa.square();
        // One row after the other: sixteen places computed at once take longer than what is loaded from them.
        let mut at = row.min(qkv.rows - 1) * qkv.stride + columns.start;
        for (i, v) in square.as_mut().iter_mut().enumerate() {
            let key = &qkv.data[at..at + columns.len()];
            let second = load_any(isa, &key[lanes..]) * scale;
            *v = self.dot.joined(load_any(isa, &key[..lanes]) * scale, second);
            if row + i + 1 < qkv.rows {
                at += qkv.stride;
            }
        }
        isa.transpose(square)
    }

    /// Panels of `[keys][columns]`, in words; columns beyond the head are zero.
    #[inline(always)]
    fn pack_values(&self, kv: usize, packed: &mut [f32]) {
        let Self { dot, qkv, shape, layout, .. } = self;
        let isa = dot.isa();
        let column = (shape.heads + shape.kv_heads + kv) * shape.head_dim;
        let depth = qkv.rows.div_ceil(Self::PER_WORD);
        let mut first = 0;
        while first < shape.head_dim {
            let width = layout.width(shape.head_dim - first);
            let length = width.min(shape.head_dim - first);
            let panel = packed[first * depth..].chunks_exact_mut(width);
            for (word, target) in panel.take(depth).enumerate() {
                let source = |row: usize| &qkv.row(row)[column + first..][..length];
                let low = source(word * Self::PER_WORD);
                let row = (word + 1) * Self::PER_WORD - 1;
                let high = if row < qkv.rows { source(row) } else { &[] };
                for at in (0..width).step_by(Self::LANES) {
                    let part =
                        |row: &[f32]| load_any(isa, &row[at.min(row.len())..row.len().min(at + Self::LANES)]);
                    isa.store(&mut target[at..], dot.paired(part(low), part(high)));
                }
            }
            first += width;
        }
    }

    #[inline(always)]
    fn block(&self, head: usize, rows: Range<usize>, stride: usize) -> Block {
        let (mask, tokens, panel) = (self.shape.mask, self.shape.seen.min(self.qkv.rows), self.layout.panel);
        let start = mask.visible(rows.start, tokens).start / panel * panel;
        let end = mask.visible(rows.end - 1, tokens).end;
        Block { head, rows, keys: start..end, stride }
    }

    /// One block: from scores to weights to weighted sums of values.
    #[inline(always)]
    fn attend(&self, values: &[f32], block: &Block, out: Shared<'_>, room: &mut Room<'_>) {
        let isa = self.dot.isa();
        let head_dim = self.shape.head_dim;
        let mut inverse = [0.0; 16];
        for ((row, scores), inverse) in
            block.rows.clone().zip(room.scores.chunks_mut(block.stride)).zip(&mut inverse)
        {
            *inverse = 1.0 / self.weigh(block, row, scores);
        }
        let depth = block.keys.len().div_ceil(Self::PER_WORD);
        let weights = &room.scores[..(block.rows.len() - 1) * block.stride + depth];
        let mut first = 0;
        while first < head_dim {
            let width = self.layout.width(head_dim - first);
            let before = first * self.qkv.rows.div_ceil(Self::PER_WORD);
            let values = &values[before + block.keys.start / Self::PER_WORD * width..];
            self.mix(block, width, (weights, &values[..depth * width]), room.sums);
            let columns = block.head * head_dim + first..(block.head + 1) * head_dim;
            for ((row, sums), &inverse) in block.rows.clone().zip(room.sums.chunks(width)).zip(&inverse) {
                // SAFETY: the call has the columns of this head to itself.
                let target = unsafe { out.row(row, columns.clone()) };
                for (target, sums) in target.chunks_mut(Self::LANES).zip(sums.chunks_exact(Self::LANES)) {
                    store_any(isa, target, isa.load(sums) * isa.splat(inverse));
                }
            }
            first += width;
        }
    }

    /// Scores of a block.
    #[inline(always)]
    fn score(&self, keys: &[f32], block: &Block, scores: &mut [f32]) {
        let depth = self.shape.head_dim.div_ceil(Self::PER_WORD);
        let words = &self.queries.row(block.rows.start)[block.head * depth..];
        let rows = Rows { words, count: block.rows.len(), depth, stride: self.queries.stride };
        let columns = Columns { packed: keys, wanted: block.keys.clone(), count: self.qkv.rows };
        multiply(self.dot, self.layout, &rows, &columns, (scores, block.stride));
    }

    /// The scores of one query become weights, zero for keys that it does not see; their sum.
    #[inline(always)]
    fn weigh(&self, block: &Block, row: usize, scores: &mut [f32]) -> f32 {
        let seen = self.shape.mask.visible(row, self.shape.seen.min(self.qkv.rows));
        let seen = seen.start - block.keys.start..seen.end - block.keys.start;
        let isa = self.dot.isa();
        scores[..seen.start].fill(HIDDEN);
        scores[seen.end..block.keys.len()].fill(HIDDEN);
        if let Some(bias) = self.shape.bias {
            let first = block.keys.start + seen.start;
            add_bias(isa, &mut scores[seen], row as isize - first as isize, bias.of(block.head));
        }
        exponentials(self.dot, scores, block.keys.len())
    }

    /// sums = weights × values, for one panel of a head's columns.
    #[inline(always)]
    fn mix(&self, block: &Block, width: usize, (weights, values): (&[f32], &[f32]), sums: &mut [f32]) {
        let args = TileArgs {
            depth: values.len() / width,
            a: weights.as_ptr().cast(),
            a_stride: block.stride,
            b: values.as_ptr().cast(),
            b_stride: width,
            b_panel: 0,
            outputs: &NO_OUTPUTS,
            c: sums[..block.rows.len() * width].as_mut_ptr(),
            c_stride: width,
            accumulate: false,
            ahead: values.as_ptr().cast(),
            ahead_step: 0,
        };
        // SAFETY: the weights are as many rows as the block, `stride` apart and as deep as the panel of values; the slices above are
        // that panel and the sums; `dot` gave the tiles.
        unsafe { tiles(self.dot, width)[block.rows.len() - 1](&args) };
    }
}

/// Rows in the form that the multiply reads, `stride` words apart.
pub(super) struct Rows<'r> {
    pub(super) words: &'r [u32],
    pub(super) count: usize,
    /// Words of weights that a row meets.
    pub(super) depth: usize,
    pub(super) stride: usize,
}

/// `count` columns, packed as the multiply wants them, and those of them that are wanted: from a panel's start on.
pub(super) struct Columns<'c> {
    pub(super) packed: &'c [f32],
    pub(super) wanted: Range<usize>,
    pub(super) count: usize,
}

/// Products of rows, as many as a tile takes, with the columns that are wanted, panel by panel.
#[inline(always)]
pub(super) fn multiply<D: PlainDot>(
    dot: D,
    layout: Layout,
    rows: &Rows<'_>,
    columns: &Columns<'_>,
    (out, stride): (&mut [f32], usize),
) {
    let before = rows.count - 1;
    let words = &rows.words[..before * rows.stride + rows.depth * D::WORDS];
    let mut first = columns.wanted.start;
    while first < columns.wanted.end {
        let width = layout.width(columns.count - first);
        let panel = &columns.packed[first * rows.depth..][..width * rows.depth];
        let args = TileArgs {
            depth: rows.depth,
            a: words.as_ptr(),
            a_stride: rows.stride,
            b: panel.as_ptr().cast(),
            b_stride: width,
            b_panel: 0,
            outputs: &NO_OUTPUTS,
            c: out[first - columns.wanted.start..][..before * stride + width].as_mut_ptr(),
            c_stride: stride,
            accumulate: false,
            ahead: panel.as_ptr().cast(),
            ahead_step: 0,
        };
        // SAFETY: the slices above are the rows, the panel and the block of products; `dot` gave the tiles.
        unsafe { tiles(dot, width)[before](&args) };
        first += width;
    }
}

#[inline(always)]
fn tiles<D: PlainDot>(dot: D, width: usize) -> &'static [Tile] {
    if width == D::Isa::LANES { dot.tiles().narrow } else { dot.tiles().one }
}

/// Adds to scores by their distance from number `query` of them: the ends of `bias` go on for ever.
#[inline(always)]
fn add_bias<I: Isa>(isa: I, scores: &mut [f32], query: isize, bias: &[f32]) {
    let reach = (bias.len() / 2) as isize;
    let near = (query - reach).clamp(0, scores.len() as isize);
    let skipped = (near + reach - query).clamp(0, bias.len() as isize) as usize;
    let (left, scores) = scores.split_at_mut(near as usize);
    let (middle, right) = scores.split_at_mut((bias.len() - skipped).min(scores.len()));
    map(isa, left, PlusNumber(bias[0]));
    map2(isa, middle, &bias[skipped..], Plus);
    map(isa, right, PlusNumber(bias[bias.len() - 1]));
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

/// The oracle.
pub(crate) fn plain(work: Attend<'_>) {
    let Attend { qkv, shape, kv_heads, out, .. } = work;
    let (tokens, dim) = (qkv.rows, shape.head_dim);
    let at = |row: usize, head: usize, i: usize| f64::from(qkv.row(row)[head * dim + i]);
    let group = shape.heads / shape.kv_heads.max(1);
    for head in kv_heads.start * group..kv_heads.end * group {
        let key_head = shape.heads + head / group;
        let value_head = key_head + shape.kv_heads;
        for i in 0..tokens {
            let seen = shape.mask.visible(i, shape.seen.min(tokens));
            let mut scores = Vec::new();
            for j in seen.clone() {
                let product: f64 = (0..dim).map(|c| at(i, head, c) * at(j, key_head, c)).sum();
                let met = shape
                    .positions
                    .map_or(0.0, |some| positions::plain(&some, qkv, shape.heads, head, [i, j]));
                scores.push((product + met) * f64::from(shape.scale) + plain_bias(shape, head, i, j));
            }
            let weights = plain_weights(&scores);
            for c in 0..dim {
                let sum: f64 =
                    seen.clone().zip(&weights).map(|(j, weight)| weight * at(j, value_head, c)).sum();
                // SAFETY: the call has the columns of this head to itself.
                unsafe { out.row(i, head * dim + c..head * dim + c + 1)[0] = sum as f32 };
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

#[cfg(test)]
mod tests;
