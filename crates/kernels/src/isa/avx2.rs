//! AVX2 with FMA: 8 lanes, 16 registers. Intel since Haswell (2013), AMD since Excavator (2015).
#![expect(unsafe_code, reason = "intrinsics")]

use std::arch::x86_64::*;
use std::ops::{Add, Div, Mul, Sub};

use crate::gemm::{self, TileArgs, Tiles};
use crate::isa::Kernels;
use crate::simd::{Isa, Vector};

/// The table, where the processor has the features.
pub(super) fn table() -> Option<&'static Kernels> {
    (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(&TABLE)
}

super::table! { "avx2", Avx2, "avx2,fma" }

/// Proof that AVX2 and FMA are present.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

/// Eight lanes. Comes from an [`Avx2`] only, and so is the same proof.
#[derive(Clone, Copy)]
pub(crate) struct F32x8(__m256);

impl Avx2 {
    /// # Safety
    /// The processor has AVX2 and FMA.
    unsafe fn new() -> Self {
        Self(())
    }
}

/// Where a mask of n lanes starts: eight times all ones, then eight zeros.
static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// All ones in the first `n` lanes, n <= 8.
#[inline(always)]
fn mask(_: Avx2, n: usize) -> __m256i {
    // SAFETY: the token is proof of AVX2; the eight numbers from 8 - n on lie in the slice that was checked.
    unsafe { _mm256_loadu_si256(MASKS[8 - n..][..8].as_ptr().cast()) }
}

impl Isa for Avx2 {
    type V = F32x8;
    type Square = [F32x8; 8];
    const LANES: usize = 8;

    #[inline(always)]
    fn splat(self, x: f32) -> F32x8 {
        // SAFETY: the token is proof of AVX2.
        F32x8(unsafe { _mm256_set1_ps(x) })
    }

    #[inline(always)]
    fn load(self, x: &[f32]) -> F32x8 {
        // SAFETY: the token is proof of AVX2; the slice is 8 long.
        F32x8(unsafe { _mm256_loadu_ps(x[..8].as_ptr()) })
    }

    #[inline(always)]
    fn load_part(self, x: &[f32]) -> F32x8 {
        // SAFETY: the token is proof of AVX2; the mask, made for at most 8, covers the slice and no more.
        F32x8(unsafe { _mm256_maskload_ps(x.as_ptr(), mask(self, x.len())) })
    }

    #[inline(always)]
    fn load_part_or(self, x: &[f32], fill: F32x8) -> F32x8 {
        let part = self.load_part(x);
        // SAFETY: the token is proof of AVX2.
        F32x8(unsafe { _mm256_blendv_ps(fill.0, part.0, _mm256_castsi256_ps(mask(self, x.len()))) })
    }

    #[inline(always)]
    fn store(self, x: &mut [f32], v: F32x8) {
        // SAFETY: the token is proof of AVX2; the slice is 8 long.
        unsafe { _mm256_storeu_ps(x[..8].as_mut_ptr(), v.0) }
    }

    #[inline(always)]
    fn store_part(self, x: &mut [f32], v: F32x8) {
        // SAFETY: the token is proof of AVX2; the mask, made for at most 8, covers the slice and no more.
        unsafe { _mm256_maskstore_ps(x.as_mut_ptr(), mask(self, x.len()), v.0) }
    }

    #[inline(always)]
    fn square(self) -> [F32x8; 8] {
        [self.splat(0.0); 8]
    }

    /// Exchanges single numbers, then pairs, then halves.
    #[inline(always)]
    fn transpose(self, square: [F32x8; 8]) -> [F32x8; 8] {
        let mut pairs = square;
        let mut fours = square;
        let mut done = square;
        // SAFETY: the token is proof of AVX2.
        unsafe {
            for i in (0..8).step_by(2) {
                pairs[i] = F32x8(_mm256_unpacklo_ps(square[i].0, square[i + 1].0));
                pairs[i + 1] = F32x8(_mm256_unpackhi_ps(square[i].0, square[i + 1].0));
            }
            for i in [0, 1, 4, 5] {
                let (low, high) = (_mm256_castps_pd(pairs[i].0), _mm256_castps_pd(pairs[i + 2].0));
                let to = i / 4 * 4 + i % 4 * 2;
                fours[to] = F32x8(_mm256_castpd_ps(_mm256_unpacklo_pd(low, high)));
                fours[to + 1] = F32x8(_mm256_castpd_ps(_mm256_unpackhi_pd(low, high)));
            }
            for i in 0..4 {
                done[i] = F32x8(_mm256_permute2f128_ps::<0x20>(fours[i].0, fours[i + 4].0));
                done[i + 4] = F32x8(_mm256_permute2f128_ps::<0x31>(fours[i].0, fours[i + 4].0));
            }
        }
        done
    }

    #[inline(always)]
    fn prefetch(self, p: *const f32) {
        // SAFETY: a prefetch of any address does no harm.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
    }

    #[inline(always)]
    fn tiles(self) -> &'static Tiles {
        &TILES
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $intrinsic:ident) => {
        impl $trait for F32x8 {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                // SAFETY: a vector comes from a token, the proof of AVX2.
                Self(unsafe { $intrinsic(self.0, other.0) })
            }
        }
    };
}

operator!(Add, add, _mm256_add_ps);
operator!(Sub, sub, _mm256_sub_ps);
operator!(Mul, mul, _mm256_mul_ps);
operator!(Div, div, _mm256_div_ps);

impl Vector for F32x8 {
    #[inline(always)]
    fn fma(self, factor: Self, addend: Self) -> Self {
        // SAFETY: a vector comes from a token, the proof of FMA.
        Self(unsafe { _mm256_fmadd_ps(self.0, factor.0, addend.0) })
    }

    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        // SAFETY: a vector comes from a token, the proof of AVX2.
        Self(unsafe { _mm256_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        // SAFETY: a vector comes from a token, the proof of AVX2.
        Self(unsafe { _mm256_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn round(self) -> Self {
        // SAFETY: a vector comes from a token, the proof of AVX2.
        Self(unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0) })
    }

    /// In two steps, because 2^n alone may be too small or too large for an `f32`.
    #[inline(always)]
    fn scale(self, n: Self) -> Self {
        // SAFETY: a vector comes from a token, the proof of AVX2.
        unsafe {
            let n = _mm256_cvtps_epi32(n.0);
            let half = _mm256_srai_epi32::<1>(n);
            let first = _mm256_mul_ps(self.0, power_of_two(half));
            Self(_mm256_mul_ps(first, power_of_two(_mm256_sub_epi32(n, half))))
        }
    }

    /// Adds to the exponent's bits; lanes that would leave its range become zero.
    #[inline(always)]
    fn scale_or_flush(self, n: Self) -> Self {
        // SAFETY: a vector comes from a token, the proof of AVX2.
        unsafe {
            let shift = _mm256_slli_epi32::<23>(_mm256_cvtps_epi32(n.0));
            let scaled = _mm256_add_epi32(_mm256_castps_si256(self.0), shift);
            // One above the smallest exponent: the number scaled may be as small as one half.
            let stays = _mm256_cmp_ps::<_CMP_NLT_UQ>(n.0, _mm256_set1_ps(-125.0));
            Self(_mm256_and_ps(_mm256_castsi256_ps(scaled), stays))
        }
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        // SAFETY: a vector comes from a token, the proof of AVX2.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    fn largest(self) -> f32 {
        // SAFETY: a vector comes from a token, the proof of AVX2.
        unsafe {
            let four = _mm_max_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }
}

/// 2^n for whole n in -126..=127.
///
/// # Safety
/// AVX2 is present.
#[inline(always)]
unsafe fn power_of_two(n: __m256i) -> __m256 {
    // SAFETY: the caller upholds it.
    unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(n, _mm256_set1_epi32(127)))) }
}

/// # Safety
/// AVX2 and FMA are present, and as [`gemm::tile`].
#[target_feature(enable = "avx2,fma")]
unsafe fn tile<const ROWS: usize, const PANELS: usize, const VECTORS: usize>(args: &TileArgs) {
    // SAFETY: passed on to the caller.
    unsafe { gemm::tile::<Avx2, ROWS, PANELS, VECTORS>(Avx2::new(), args) }
}

/// 6 rows of 2 registers are 12 sums; 2 more hold weights and one a broadcast number.
static TILES: Tiles = Tiles {
    narrow: super::tiles!(1 x 1: 1 2 3 4 5 6),
    one: super::tiles!(1 x 2: 1 2 3 4 5 6),
    two: super::tiles!(2 x 2: 1 2 3),
    four: super::tiles!(4 x 2: 1),
};
