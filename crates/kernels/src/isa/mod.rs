//! One table of kernels for each instruction set, and which of them run here.
//!
//! A new instruction set is one file with a `table()`, one `mod` line and one word in [`TABLES`].
#![expect(unsafe_code, reason = "the tables' functions need their instruction set and checked shapes")]

use std::fmt;

use crate::dtype::Dtype;
use crate::gemm::{Epilogue, Product, even_blocks};
use crate::matrix::{Matrix, MatrixMut};
use crate::op::activation::Activation;
use crate::op::attention::{Attend, Attention, Scratch};
use crate::op::norm::Norm;
use crate::op::rope::{HeadColumns, RopeArgs};
use crate::op::top_k::{best, count_rows};
use crate::pack::{Layout, Packed};
use crate::shapes::{check_attention, check_heads, check_lengths, check_norm, check_optional};
use crate::shared::Shared;
use crate::team::{in_parts, range_of};
use crate::unknown::UnknownIsa;
use macros::layout_name;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use macros::{multiply, table, tiles};

mod generic;
mod macros;

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512_bf16;
#[cfg(target_arch = "x86_64")]
mod avx512_vnni;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
mod neon_bf16;
#[cfg(target_arch = "aarch64")]
mod neon_dotprod;
#[cfg(target_arch = "aarch64")]
mod neon_i8mm;

/// All there are, slowest first. Each says whether it runs here.
const TABLES: &[fn() -> Option<&'static Kernels>] = &[
    generic::table,
    #[cfg(all(target_arch = "x86_64", test))]
    amx::model_table,
    #[cfg(target_arch = "x86_64")]
    avx2::table,
    #[cfg(target_arch = "x86_64")]
    avx_vnni::table,
    #[cfg(target_arch = "x86_64")]
    avx512::table,
    #[cfg(target_arch = "x86_64")]
    avx512_vnni::table,
    #[cfg(target_arch = "x86_64")]
    avx512_bf16::table,
    #[cfg(target_arch = "x86_64")]
    amx::table,
    #[cfg(target_arch = "aarch64")]
    neon::table,
    #[cfg(target_arch = "aarch64")]
    neon_dotprod::table,
    #[cfg(target_arch = "aarch64")]
    neon_i8mm::table,
    #[cfg(target_arch = "aarch64")]
    neon_bf16::table,
];

/// The environment variable that names the table [`Kernels::best`] takes.
const CHOICE: &str = "EMBED_NATIVE_ISA";

/// The arithmetic of one instruction set.
///
/// There is no other way to one than [`Kernels::supported`], [`Kernels::best`] and [`Kernels::named`], so whoever
/// holds one may use it. Nothing here starts a thread; a multiply and attention are shared with the calling thread's
/// [`Team`](crate::Team), where it leads one.
pub struct Kernels {
    name: &'static str,
    f32: Multiply,
    bf16: Multiply,
    int8: Multiply,
    preferred: fn() -> (Dtype, &'static str),
    softmax: unsafe fn(MatrixMut<'_>),
    layer_norm: unsafe fn(Matrix<'_>, &Norm<'_>, MatrixMut<'_>),
    rms_norm: unsafe fn(Matrix<'_>, &Norm<'_>, MatrixMut<'_>),
    rms_norm_heads: unsafe fn(MatrixMut<'_>, &HeadColumns, &Norm<'_>),
    rope: unsafe fn(MatrixMut<'_>, &RopeArgs<'_>),
    activate: unsafe fn(&mut [f32], Activation),
    gate: unsafe fn(Matrix<'_>, Activation, MatrixMut<'_>),
    add: unsafe fn(&mut [f32], &[f32]),
    dot: unsafe fn(&[f32], &[f32]) -> f32,
    cosine: unsafe fn(&[f32], &[f32]) -> f32,
    cosines: unsafe fn(&[f32], Matrix<'_>, &mut [f32]),
    int8_cosines: unsafe fn(&[i8], &[i8], &mut [f32]),
    binary_cosines: unsafe fn(&[u8], &[u8], &mut [f32]),
    sum_rows: unsafe fn(Matrix<'_>, Option<&[f32]>, &mut [f32]),
    max_rows: unsafe fn(Matrix<'_>, &mut [f32]),
}

/// The multiply of one number format. A table takes those of the table below where it has none of its own.
#[derive(Clone, Copy)]
struct Multiply {
    layout: Layout,
    gemm: unsafe fn(Product<'_>),
    attention: unsafe fn(Attend<'_>),
    peak: unsafe fn(usize) -> (usize, f32),
}

impl fmt::Debug for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernels({})", self.name())
    }
}

/// Which table.
impl Kernels {
    /// All tables that run on this processor, slowest (`generic`) first.
    pub fn supported() -> Vec<&'static Kernels> {
        TABLES.iter().filter_map(|table| table()).collect()
    }

    /// The fastest, or the one that the environment variable `EMBED_NATIVE_ISA` names.
    ///
    /// # Errors
    /// When the variable names none of [`Kernels::supported`].
    pub fn best() -> Result<&'static Kernels, UnknownIsa> {
        Self::chosen(std::env::var(CHOICE).ok().as_deref())
    }

    /// The table of this name.
    ///
    /// # Errors
    /// When none of [`Kernels::supported`] has it.
    pub fn named(name: &str) -> Result<&'static Kernels, UnknownIsa> {
        let supported = Self::supported();
        supported.iter().copied().find(|kernels| kernels.name() == name).ok_or_else(|| UnknownIsa {
            asked: name.to_owned(),
            supported: supported.iter().map(|kernels| kernels.name()).collect(),
        })
    }

    /// What `best` makes of the variable; empty counts as unset.
    fn chosen(choice: Option<&str>) -> Result<&'static Kernels, UnknownIsa> {
        match choice {
            Some(name) if !name.is_empty() => Self::named(name),
            _ => Ok(Self::supported().pop().expect("generic runs everywhere")),
        }
    }

    /// The table's name, e.g. `avx512-bf16`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The family of instructions that multiplies numbers of this format: the table's own, or that of a table
    /// below it.
    pub fn family(&self, dtype: Dtype) -> &'static str {
        self.multiply(dtype).layout.family
    }

    /// Names the layout of weights that are packed for a number format; tables that pack alike share it.
    pub fn layout(&self, dtype: Dtype) -> &'static str {
        self.multiply(dtype).layout.name
    }

    /// The fastest number format that is as good as `f32` for most uses, and why. Never found by timing, so that it
    /// is the same in each process of a machine.
    pub fn preferred(&self) -> (Dtype, &'static str) {
        (self.preferred)()
    }

    fn multiply(&self, dtype: Dtype) -> &Multiply {
        match dtype {
            Dtype::F32 => &self.f32,
            Dtype::Bf16 => &self.bf16,
            Dtype::Int8 => &self.int8,
        }
    }
}

/// The most rows that are multiplied at a time: few enough that they stay in the second cache while all weights pass by.
pub const CHUNK: usize = 256;

/// The multiply.
impl Kernels {
    /// Packs `weights[rows][columns]` (outputs by inputs, as checkpoints store them) for this table's multiply of
    /// that number format.
    ///
    /// # Panics
    /// When `weights` is not `rows * columns` long, or `columns` exceeds [`Dtype::most_inputs`].
    pub fn pack(&self, dtype: Dtype, rows: usize, columns: usize, weights: &[f32]) -> Packed {
        let length = weights.len();
        assert!(
            rows.checked_mul(columns) == Some(length),
            "{length} weights for {rows} outputs × {columns} inputs"
        );
        let most = dtype.most_inputs();
        assert!(columns <= most, "{columns} inputs are too many for {}: {most}", dtype.name());
        Packed::new(self.multiply(dtype).layout, rows, columns, weights)
    }

    /// `c[m][n] (+)= activation(Σₖ a[m][k] w[n][k] + bias[n])`, in the number format that `b` is packed in.
    ///
    /// An element's bits depend only on its row of `a` and its output of `b`, not on the other rows.
    ///
    /// # Panics
    /// When shapes disagree, or another table packed `b`.
    pub fn gemm(
        &self,
        a: Matrix<'_>,
        b: &Packed,
        c: MatrixMut<'_>,
        epilogue: Epilogue<'_>,
        scratch: &mut Scratch,
    ) {
        a.check("a");
        c.check("c");
        let multiply = self.multiply(b.dtype());
        let packer = b.layout().family;
        assert!(
            b.layout() == multiply.layout,
            "weights packed for {packer} are of no use to {}",
            multiply.layout.family
        );
        assert!(a.columns == b.columns(), "a has {} columns, the weights {} inputs", a.columns, b.columns());
        assert!(c.columns == b.rows(), "c has {} columns, the weights {} outputs", c.columns, b.rows());
        assert!(a.rows == c.rows, "a has {} rows, c {}", a.rows, c.rows);
        check_optional("bias", epilogue.bias, b.rows());
        let c = Shared::from(c);
        let panel = b.layout().panel;
        let panels = b.rows().div_ceil(panel);
        let work = a.rows.saturating_mul(b.rows()).saturating_mul(b.columns());
        in_parts(work, panels, scratch, |i, of, scratch| {
            let part = range_of(i, of, panels);
            let outputs = part.start * panel..b.rows().min(part.end * panel);
            for rows in even_blocks(a.rows, CHUNK) {
                let (a, c, scratch) = (a.part(rows.clone()), c.part(rows), &mut scratch.inputs);
                let product = Product { a, b, c, outputs: outputs.clone(), epilogue, scratch };
                // SAFETY: a table is only lent where it runs; shapes were checked; each part has outputs of its own.
                unsafe { (multiply.gemm)(product) }
            }
        });
    }
}

/// What a multiply-add of attention costs, in those of a multiply: short products, and a softmax between them.
const ATTENTION_COST: usize = 8;

/// Attention and what belongs to it.
impl Kernels {
    /// Attention within one text. `qkv`: one row for each token, columns
    /// `[heads * head_dim | kv_heads * head_dim | kv_heads * head_dim]` of queries, keys and values.
    /// `out`: as many rows, `heads * head_dim` columns. In a number format smaller than `f32`, both products are of
    /// bfloat16 where the table has an instruction for it; the softmax is `f32` in any case.
    ///
    /// # Panics
    /// When shapes disagree.
    pub fn attention(
        &self,
        dtype: Dtype,
        qkv: Matrix<'_>,
        shape: &Attention<'_>,
        out: MatrixMut<'_>,
        scratch: &mut Scratch,
    ) {
        check_attention(&qkv, shape, &out);
        // Heads of odd width would share words.
        let dtype = if shape.head_dim.is_multiple_of(2) { dtype } else { Dtype::F32 };
        let (multiply, out) = (self.multiply(dtype), Shared::from(out));
        let products = qkv.rows.saturating_mul(qkv.rows).saturating_mul(2 * shape.heads * shape.head_dim);
        let work = products.saturating_mul(ATTENTION_COST);
        in_parts(work, shape.kv_heads, scratch, |i, of, scratch| {
            let kv_heads = range_of(i, of, shape.kv_heads);
            let work = Attend { qkv, shape, kv_heads, out, scratch };
            // SAFETY: a table is only lent where it runs; shapes were checked; each part has heads of its own.
            unsafe { (multiply.attention)(work) }
        });
    }

    /// Each row becomes e^(x - max) / sum.
    ///
    /// # Panics
    /// When `x` does not fit its buffer.
    pub fn softmax(&self, x: MatrixMut<'_>) {
        x.check("x");
        // SAFETY: a table is only lent where it runs; the shape was checked.
        unsafe { (self.softmax)(x) }
    }

    /// Turns heads by their rows' positions, in place: row r by the angles of position r.
    ///
    /// # Panics
    /// When the heads leave the row, `dim` is odd or exceeds a head, or the tables are shorter than the rows need.
    pub fn rope(&self, x: MatrixMut<'_>, rope: &RopeArgs<'_>) {
        x.check("x");
        check_heads(&rope.columns, x.columns);
        let (dim, head_dim) = (rope.dim, rope.columns.head_dim);
        assert!(
            dim.is_multiple_of(2) && dim <= head_dim,
            "cannot turn {dim} numbers of a head of {head_dim}"
        );
        let (cos, sin, rows) = (rope.cos.len(), rope.sin.len(), x.rows);
        let enough = x.rows.checked_mul(dim / 2).is_some_and(|length| length <= cos.min(sin));
        assert!(enough, "{cos} cosines and {sin} sines for {rows} positions of {} angles", dim / 2);
        // SAFETY: a table is only lent where it runs; shapes were checked.
        unsafe { (self.rope)(x, rope) }
    }
}

/// Norms.
impl Kernels {
    /// `out = (x - mean) / √(variance + epsilon) * (offset + weight) + bias`, each row by itself. Mean and variance
    /// take a pass each.
    ///
    /// # Panics
    /// When shapes disagree.
    pub fn layer_norm(&self, x: Matrix<'_>, norm: &Norm<'_>, out: MatrixMut<'_>) {
        check_norm(&x, norm, &out);
        // SAFETY: a table is only lent where it runs; shapes were checked.
        unsafe { (self.layer_norm)(x, norm, out) }
    }

    /// `out = x / √(mean square + epsilon) * (offset + weight) + bias`, each row by itself.
    ///
    /// # Panics
    /// When shapes disagree.
    pub fn rms_norm(&self, x: Matrix<'_>, norm: &Norm<'_>, out: MatrixMut<'_>) {
        check_norm(&x, norm, &out);
        // SAFETY: a table is only lent where it runs; shapes were checked.
        unsafe { (self.rms_norm)(x, norm, out) }
    }

    /// As [`Kernels::rms_norm`] for each head of each row by itself, in place (Qwen3's norms of queries and keys).
    /// Weight and bias are `head_dim` long.
    ///
    /// # Panics
    /// When the heads leave the row, or lengths disagree.
    pub fn rms_norm_heads(&self, x: MatrixMut<'_>, heads: &HeadColumns, norm: &Norm<'_>) {
        x.check("x");
        check_heads(heads, x.columns);
        check_optional("weight", norm.weight, heads.head_dim);
        check_optional("bias", norm.bias, heads.head_dim);
        // SAFETY: a table is only lent where it runs; shapes were checked.
        unsafe { (self.rms_norm_heads)(x, heads, norm) }
    }
}

/// Number by number.
impl Kernels {
    /// `x = activation(x)`.
    pub fn activate(&self, x: &mut [f32], activation: Activation) {
        // SAFETY: a table is only lent where it runs.
        unsafe { (self.activate)(x, activation) }
    }

    /// `out = activation(a) * b` for columns `[a | b]` of `x`, each as wide as `out`.
    ///
    /// # Panics
    /// When shapes disagree.
    pub fn gate(&self, x: Matrix<'_>, activation: Activation, out: MatrixMut<'_>) {
        x.check("x");
        out.check("out");
        let fits = x.rows == out.rows && Some(x.columns) == out.columns.checked_mul(2);
        assert!(fits, "x is {} × {}, out {} × {}", x.rows, x.columns, out.rows, out.columns);
        // SAFETY: a table is only lent where it runs; shapes were checked.
        unsafe { (self.gate)(x, activation, out) }
    }

    /// `x += y`.
    ///
    /// # Panics
    /// When lengths differ.
    pub fn add(&self, x: &mut [f32], y: &[f32]) {
        check_lengths(x, y);
        // SAFETY: a table is only lent where it runs; lengths were checked.
        unsafe { (self.add)(x, y) }
    }
}

/// Vectors and their likeness.
impl Kernels {
    /// Σ a b.
    ///
    /// # Panics
    /// When lengths differ.
    pub fn dot(&self, a: &[f32], b: &[f32]) -> f32 {
        check_lengths(a, b);
        // SAFETY: a table is only lent where it runs; lengths were checked.
        unsafe { (self.dot)(a, b) }
    }

    /// a · b / (|a| |b|), and 0 where either is zero.
    ///
    /// # Panics
    /// When lengths differ.
    pub fn cosine(&self, a: &[f32], b: &[f32]) -> f32 {
        check_lengths(a, b);
        // SAFETY: a table is only lent where it runs; lengths were checked.
        unsafe { (self.cosine)(a, b) }
    }

    /// The `k` rows with the highest cosine, best first, of equal ones the lower index first. Rows whose cosine is
    /// NaN are left out, so there may be fewer.
    ///
    /// # Panics
    /// When the query is not as long as a row.
    pub fn top_k(&self, query: &[f32], rows: Matrix<'_>, k: usize) -> Vec<(u32, f32)> {
        rows.check("rows");
        assert!(query.len() == rows.columns, "a query of {} for rows of {}", query.len(), rows.columns);
        best(rows.rows, k, |some, scores| {
            let rows = Matrix { data: &rows.data[some.start * rows.stride..], rows: some.len(), ..rows };
            // SAFETY: a table is only lent where it runs; shapes were checked.
            unsafe { (self.cosines)(query, rows, scores) }
        })
    }

    /// As [`Kernels::top_k`], of whole numbers: rows end to end, each as long as `query`.
    ///
    /// # Panics
    /// When the rows are not whole.
    pub fn top_k_int8(&self, query: &[i8], rows: &[i8], k: usize) -> Vec<(u32, f32)> {
        let (length, count) = (query.len(), count_rows(query.len(), rows.len()));
        best(count, k, |some, scores| {
            // SAFETY: a table is only lent where it runs.
            unsafe { (self.int8_cosines)(query, &rows[some.start * length..some.end * length], scores) }
        })
    }

    /// As [`Kernels::top_k`], of bits that stand for -1 and 1, eight in a byte.
    ///
    /// # Panics
    /// When the rows are not whole.
    pub fn top_k_binary(&self, query: &[u8], rows: &[u8], k: usize) -> Vec<(u32, f32)> {
        let (length, count) = (query.len(), count_rows(query.len(), rows.len()));
        best(count, k, |some, scores| {
            // SAFETY: a table is only lent where it runs.
            unsafe { (self.binary_cosines)(query, &rows[some.start * length..some.end * length], scores) }
        })
    }

    /// `out[c] = Σᵣ weights[r] x[r][c]`; without weights, the plain sum. A mean is a sum with weights 1 / rows.
    ///
    /// # Panics
    /// When shapes disagree.
    pub fn sum_rows(&self, x: Matrix<'_>, weights: Option<&[f32]>, out: &mut [f32]) {
        x.check("x");
        check_optional("weights", weights, x.rows);
        assert!(out.len() == x.columns, "x has {} columns, out {}", x.columns, out.len());
        // SAFETY: a table is only lent where it runs; shapes were checked.
        unsafe { (self.sum_rows)(x, weights, out) }
    }

    /// `out[c]` = the largest `x[r][c]`; NaN is passed over, and of no rows it is -∞.
    ///
    /// # Panics
    /// When shapes disagree.
    pub fn max_rows(&self, x: Matrix<'_>, out: &mut [f32]) {
        x.check("x");
        assert!(out.len() == x.columns, "x has {} columns, out {}", x.columns, out.len());
        // SAFETY: a table is only lent where it runs; shapes were checked.
        unsafe { (self.max_rows)(x, out) }
    }

    /// For benchmarks: `rounds` of nothing but multiply-adds, and how many operations they were.
    #[doc(hidden)]
    pub fn peak(&self, dtype: Dtype, rounds: usize) -> usize {
        // SAFETY: a table is only lent where it runs.
        let (operations, result) = unsafe { (self.multiply(dtype).peak)(rounds) };
        std::hint::black_box(result);
        operations
    }
}

fn f32_is_best() -> (Dtype, &'static str) {
    (Dtype::F32, "these kernels multiply bf16 no faster than f32")
}

/// What [`table`] names.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod names {
    pub(super) use super::*;
}

#[cfg(test)]
mod tests;
