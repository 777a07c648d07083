//! Whether numbers of `f64` are the sums of two `f32`.

use fearless_simd::Simd;

use crate::float::{high, low};
use crate::lanes::ValueKernel;

/// What holds for numbers of `f64` beside scores of `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fit {
    /// Some number is no `f32`.
    pub(crate) is_wide: bool,
    /// Some number is so large or so small that two `f32` do not make it up.
    pub(crate) is_extreme: bool,
}

impl Fit {
    /// What holds for others, too.
    pub(crate) fn add(&mut self, other: Self) {
        self.is_wide |= other.is_wide;
        self.is_extreme |= other.is_extreme;
    }

    #[inline(always)]
    fn of(number: f64) -> Self {
        /// Here what a number lacks as an `f32` is far from the smallest of those.
        const LARGE: f64 = (1_u128 << 80) as f64;
        let size = number.abs();
        let is_usual = size >= LARGE.recip() && size <= LARGE;
        let is_narrow = f64::from(high(number)) == number || number.is_nan();
        Self {
            is_wide: low(number) != 0.0,
            is_extreme: !is_usual && !is_narrow,
        }
    }
}

/// What holds for all.
pub(crate) struct FitKernel;

impl ValueKernel<f64> for FitKernel {
    type Total = Fit;

    #[inline(always)]
    fn values<S: Simd>(&self, _simd: S, _first: usize, values: &[f64], total: &mut Fit) {
        // Without a branch for each number the compiler makes vectors of it.
        let (mut is_wide, mut is_extreme) = (false, false);
        for &value in values {
            let fit = Fit::of(value);
            is_wide |= fit.is_wide;
            is_extreme |= fit.is_extreme;
        }
        total.is_wide |= is_wide;
        total.is_extreme |= is_extreme;
    }
}

#[cfg(test)]
mod tests {
    use super::Fit;

    #[test]
    fn numbers_fit_or_not() {
        let fit = |number| {
            let Fit {
                is_wide,
                is_extreme,
            } = Fit::of(number);
            (is_wide, is_extreme)
        };
        for narrow in [
            0.0,
            -0.0,
            1.0,
            0.5,
            f64::INFINITY,
            f64::NAN,
            1e38_f32.into(),
        ] {
            assert_eq!(fit(narrow), (false, false), "{narrow}");
        }
        for wide in [0.3, 1.0 + 1e-15, 1e-20, -1e20] {
            assert_eq!(fit(wide), (true, false), "{wide}");
        }
        for extreme in [1e-300, 1e300, 3e-39, -1e-60] {
            assert!(fit(extreme).1, "{extreme}");
        }
    }
}
