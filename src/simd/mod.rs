//! Vector mathematics: exponentials, logarithms, reductions, and the choice of instruction set.
//!
//! Here belongs what works on vectors of numbers and knows no rows, classes or losses. Every
//! function states its error bound; `tests` measures it.

pub(crate) mod encoding;
pub(crate) mod level;
pub(crate) mod logarithm;
pub(crate) mod logistic;
pub(crate) mod math;
pub(crate) mod number;
pub(crate) mod reduce;
#[cfg(test)]
mod tests;
pub(crate) mod transpose;

pub(crate) use level::{Task, dispatch, level};

use crate::error::Result;
use crate::float::Float;
use crate::wide::Wide;
use fearless_simd::{Level, Select, Simd, SimdFloat};

/// A SIMD vector of either element type.
pub(crate) trait Vector<S: Simd>: SimdFloat<S, Element: Float> {
    /// `self * b + c`, rounded once at every level.
    #[inline(always)]
    fn fused_mul_add(self, b: Self, c: Self) -> Self {
        if has_fused_mul_add(self.token()) {
            self.mul_add_precise(b, c)
        } else {
            emulated_mul_add(self, b, c)
        }
    }

    /// The larger of `self` and a limit; NaN where `self` is.
    #[inline(always)]
    fn at_least(self, limit: Self) -> Self {
        if max_keeps_second_nan(self.token()) {
            limit.max(self)
        } else {
            self.simd_lt(limit).select(limit, self)
        }
    }

    /// The smaller of `self` and a limit; NaN where `self` is.
    #[inline(always)]
    fn at_most(self, limit: Self) -> Self {
        if max_keeps_second_nan(self.token()) {
            limit.min(self)
        } else {
            self.simd_gt(limit).select(limit, self)
        }
    }
}

impl<S: Simd, V: SimdFloat<S, Element: Float>> Vector<S> for V {}

/// A function of each of several vectors. The arrays' own `map` is called, not inlined, and with it the
/// instructions within.
#[inline(always)]
pub(crate) fn each<A: Copy, B: Copy, const N: usize>(
    vectors: [A; N],
    function: impl Fn(A) -> B,
) -> [B; N] {
    let mut results = [function(vectors[0]); N];
    for (result, vector) in results[1..].iter_mut().zip(&vectors[1..]) {
        *result = function(*vector);
    }
    results
}

/// Known at compile time for each instruction set.
#[inline(always)]
pub(crate) fn has_fused_mul_add<S: Simd>(simd: S) -> bool {
    match simd.level() {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        Level::Avx512(_) | Level::Avx2(_) => true,
        #[cfg(target_arch = "aarch64")]
        Level::Neon(_) => true,
        _ => false,
    }
}

/// Whether the instructions for the maximum and the minimum give a NaN that is their second operand.
#[inline(always)]
fn max_keeps_second_nan<S: Simd>(simd: S) -> bool {
    match simd.level() {
        // Of two numbers that do not compare, these give the second.
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        Level::Avx512(_) | Level::Avx2(_) | Level::Sse4_2(_) | Level::Sse2(_) => true,
        // This one gives NaN for any NaN.
        #[cfg(target_arch = "aarch64")]
        Level::Neon(_) => true,
        _ => false,
    }
}

/// Whether there are 32 vector registers of a whole logical vector each: room for more at once.
#[inline(always)]
pub(crate) fn has_wide_registers<S: Simd>(simd: S) -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Level::Avx512(_) = simd.level() {
        return true;
    }
    let _ = simd;
    false
}

/// Runs vector code in place where each operation is an instruction or two. At the levels where it
/// is dozens, the code is called instead: copies of it in every kernel would take minutes to
/// compile, and save nothing that counts there.
#[inline(always)]
pub(crate) fn inlined_if_short<S: Simd, R>(simd: S, code: impl FnOnce() -> R) -> R {
    if has_fused_mul_add(simd) {
        code()
    } else {
        called(simd, code)
    }
}

#[inline(never)]
fn called<S: Simd, R>(simd: S, code: impl FnOnce() -> R) -> R {
    simd.vectorize(code)
}

/// Machines without the instruction emulate it in a hundred others, so that they give the same
/// bits. One copy of those is enough.
#[inline(never)]
fn emulated_mul_add<S: Simd, V: SimdFloat<S>>(a: V, b: V, c: V) -> V {
    a.token().vectorize(
        #[inline(always)]
        || a.mul_add_precise(b, c),
    )
}

/// `e^x` of one number.
pub(crate) fn exp(x: Wide) -> Result<f64> {
    struct Exp(Wide);
    impl Task for Exp {
        type Output = f64;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> f64 {
            math::exp_wide(simd, self.0).to_f64()
        }
    }
    // From here on the exponential is infinite, and so would be the error term of the argument.
    if x.high > 710.0 {
        return Ok(f64::INFINITY);
    }
    Ok(dispatch(level()?, Exp(x)))
}
