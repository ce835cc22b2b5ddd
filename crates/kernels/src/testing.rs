//! What the tests share: noise, lengths around vector widths, and comparison with the oracle.

use crate::Kernels;

/// Around one, two and four registers of 8 and 16 lanes.
pub(crate) const LENGTHS: [usize; 21] =
    [0, 1, 2, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 48, 63, 64, 65, 100, 131];

/// A small linear congruential generator (Numerical Recipes, 3rd ed., section 7.1.3): the same noise everywhere.
pub(crate) struct Noise(u32);

impl Noise {
    pub(crate) fn new(seed: usize) -> Self {
        Self((seed as u32).wrapping_mul(2_654_435_761) ^ 0x9e37)
    }

    fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    /// In [-1, 1).
    pub(crate) fn number(&mut self) -> f32 {
        self.bits() as f32 / (1 << 23) as f32 - 1.0
    }

    /// Many of them.
    pub(crate) fn numbers(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.number()).collect()
    }

    /// One of them.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[(self.bits() >> 4) as usize % from.len()]
    }
}

/// The oracle's table.
pub(crate) fn oracle() -> &'static Kernels {
    Kernels::named("generic").unwrap()
}

/// Fails at the first number that is further from the oracle's than `tolerance` says for that one.
#[track_caller]
pub(crate) fn assert_close(got: &[f32], want: &[f32], tolerance: impl Fn(f32) -> f32, case: &str) {
    assert_eq!(got.len(), want.len(), "{case}");
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let near = (got - want).abs() <= tolerance(want) || got == want || (got.is_nan() && want.is_nan());
        assert!(near, "{case}: number {i} is {got:e}, should be {want:e}");
    }
}

/// Fails unless every bit is the same.
#[track_caller]
pub(crate) fn assert_same(got: &[f32], want: &[f32], case: &str) {
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(got), bits(want), "{case}");
}

/// How many `f32`s lie between two.
pub(crate) fn ulps(a: f32, b: f32) -> u32 {
    let ordered = |x: f32| {
        if x.is_sign_negative() { -i64::from(x.to_bits() & 0x7fff_ffff) } else { i64::from(x.to_bits()) }
    };
    (ordered(a) - ordered(b)).unsigned_abs() as u32
}
