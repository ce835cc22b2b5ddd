//! Nothing but multiply-adds: what the processor can do at most, for benchmarks.

use crate::simd::{Isa, Vector};

/// Chains side by side: more than latency times ports of any processor so far (4 × 2), fewer than registers.
const CHAINS: usize = 12;

/// `rounds` multiply-adds in each of twelve chains; returns how many operations that were, and a number that
/// depends on them all.
#[inline(always)]
pub(crate) fn peak<I: Isa>(isa: I, rounds: usize) -> (usize, f32) {
    let (factor, addend) = (isa.splat(std::hint::black_box(0.999)), isa.splat(std::hint::black_box(0.001)));
    let mut sums = [isa.splat(1.0); CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = sum.fma(factor, addend);
        }
    }
    let all = sums.iter().fold(isa.splat(0.0), |all, &sum| all + sum);
    (2 * rounds * CHAINS * I::LANES, all.sum())
}

/// The same in plain loops.
pub(crate) fn plain(rounds: usize) -> (usize, f32) {
    let mut sums = [1.0f32; CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = *sum * 0.999 + 0.001;
        }
    }
    (2 * rounds * CHAINS, sums.iter().sum())
}

#[cfg(test)]
mod tests {
    use crate::isa::Kernels;

    #[test]
    fn it_counts_its_operations() {
        for kernels in Kernels::supported() {
            assert_eq!(kernels.peak(20), 2 * kernels.peak(10), "{kernels:?}");
        }
    }
}
