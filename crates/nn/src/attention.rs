//! What attention a layer wants, said once for every executor.

use std::sync::Arc;

use crate::{Device, Norm, Positions, Rope};

/// Which keys a query sees, within its own text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mask {
    /// All of them.
    Full,
    /// Those at or before it.
    Causal,
    /// Key `j` from query `i` where `i - left <= j <= i + right`.
    Window {
        /// Tokens seen to the left.
        left: usize,
        /// Tokens seen to the right.
        right: usize,
    },
}

/// A bias on the scaled scores that depends on the head and on `key - query` alone: relative position
/// buckets (T5, MPNet) and linear slopes (ALiBi) alike.
#[derive(Debug, Clone)]
pub struct DistanceBias {
    /// Distances beyond ±`reach` take the value at the end.
    pub reach: usize,
    /// `[heads][2·reach + 1]`, the middle one for distance 0.
    pub values: Vec<f32>,
}

/// What the norms of queries and keys go over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormSpan {
    /// Each head by itself; a root-mean-square norm.
    Head,
    /// All heads of a token together; a layer norm.
    All,
}

/// Scaled dot-product attention over the columns `[queries | keys | values]` of one tensor.
pub struct Attention<D: Device> {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; a divisor of `heads`.
    pub kv_heads: usize,
    /// Columns of a head.
    pub head_dim: usize,
    /// Factor on the scores.
    pub scale: f32,
    /// Which keys are seen.
    pub mask: Mask,
    /// Relative positions as a bias.
    pub bias: Option<Arc<DistanceBias>>,
    /// Relative positions that meet queries and keys; each query head has its own key head then.
    pub positions: Option<Positions<D>>,
    /// Relative positions as a rotation of queries and keys; layers that rotate alike share one.
    pub rope: Option<Arc<Rope>>,
    /// Norms over queries and over keys, before the rotation.
    pub query_key_norm: Option<(Norm<D>, Norm<D>)>,
    /// What these norms go over.
    pub norm_span: NormSpan,
}

impl<D: Device> Attention<D> {
    /// Plain bidirectional attention: scale `1/√head_dim`, no positions.
    pub fn bidirectional(heads: usize, head_dim: usize) -> Self {
        Self {
            heads,
            kv_heads: heads,
            head_dim,
            scale: 1.0 / (head_dim as f32).sqrt(),
            mask: Mask::Full,
            bias: None,
            positions: None,
            rope: None,
            query_key_norm: None,
            norm_span: NormSpan::Head,
        }
    }

    /// Width of the tensor it reads: queries, keys and values side by side.
    pub fn input_width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// Width of the tensor it makes.
    pub fn output_width(&self) -> usize {
        self.heads * self.head_dim
    }
}
