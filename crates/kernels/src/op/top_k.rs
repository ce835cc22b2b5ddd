//! The k best of many scores.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// The best so far, the worst of them on top.
pub(crate) struct Best {
    k: usize,
    heap: BinaryHeap<Reverse<Hit>>,
}

/// A score and whose it is. The greater hit has the higher score, and of equal ones the lower index.
#[derive(Clone, Copy, PartialEq)]
struct Hit {
    index: u32,
    score: f32,
}

impl Best {
    /// None yet, `k` at most.
    pub(crate) fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::new() }
    }

    /// Considers a score. NaN never wins, not even against nothing.
    pub(crate) fn offer(&mut self, index: u32, score: f32) {
        let hit = Hit { index, score: score + 0.0 };
        if self.k == 0 || score.is_nan() {
            return;
        }
        if self.heap.len() < self.k {
            self.heap.push(Reverse(hit));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && hit > worst.0
        {
            *worst = Reverse(hit);
        }
    }

    /// Best first.
    pub(crate) fn into_sorted(self) -> Vec<(u32, f32)> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse(hit)| (hit.index, hit.score)).collect()
    }
}

impl Eq for Hit {}

impl Ord for Hit {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.index.cmp(&self.index))
    }
}

impl PartialOrd for Hit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
