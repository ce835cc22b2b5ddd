//! No instruction set in particular: plain loops in double precision, the oracle of all other tables.

use crate::gemm;
use crate::isa::Kernels;
use crate::op::{activation, add, attention, dot, gate, norm, peak, pool, rope, softmax};
use crate::pack::Layout;

/// The table: runs everywhere.
pub(super) fn table() -> Option<&'static Kernels> {
    Some(&TABLE)
}

static TABLE: Kernels = Kernels {
    layout: Layout { isa: "generic", lanes: 1, panel: 1 },
    gemm: gemm::plain,
    attention: attention::plain,
    softmax: softmax::plain,
    layer_norm: norm::plain::layer_norm,
    rms_norm: norm::plain::rms_norm,
    rms_norm_heads: norm::plain::rms_norm_heads,
    rope: rope::plain,
    activate: activation::plain,
    gate: gate::plain,
    add: add::plain,
    dot: dot::plain::dot,
    cosine: dot::plain::cosine,
    cosines: dot::plain::cosines,
    sum_rows: pool::plain::sum_rows,
    max_rows: pool::plain::max_rows,
    peak: peak::plain,
};
