//! x += y, the residual connection.

use crate::simd::{Isa, Plus, map2};

/// x += y.
#[inline(always)]
pub(crate) fn add<I: Isa>(isa: I, x: &mut [f32], y: &[f32]) {
    map2(isa, x, y, Plus);
}

/// The oracle.
pub(crate) fn plain(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

#[cfg(test)]
mod tests {
    use crate::isa::Kernels;
    use crate::testing::{LENGTHS, Noise, assert_same, oracle};

    #[test]
    fn sums_of_all_lengths_are_exact() {
        for length in LENGTHS {
            let mut noise = Noise::new(length);
            let (x, y) = (noise.numbers(length), noise.numbers(length));
            let run = |kernels: &Kernels| {
                let mut x = x.clone();
                kernels.add(&mut x, &y);
                x
            };
            for kernels in Kernels::supported() {
                assert_same(&run(kernels), &run(oracle()), kernels.name());
            }
        }
    }
}
