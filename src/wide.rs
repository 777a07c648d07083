//! Unevaluated sums of two `f64`, about 106 bits: what every sum over classes and rows is kept in.
//!
//! Error-free transformations and the few operations that the kernels need on one number at a
//! time. The same transformations on vectors stand in `simd`.

use std::ops::{Add, AddAssign, Mul, Neg, Sub};

use crate::float::Float;

/// `high + low` with `|low|` at most half an ulp of `high`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Wide {
    pub(crate) high: f64,
    pub(crate) low: f64,
}

impl Wide {
    pub(crate) const ZERO: Self = Self::new(0.0);
    pub(crate) const NAN: Self = Self::new(f64::NAN);

    /// A number that is exact in `f64`.
    #[inline(always)]
    pub(crate) const fn new(high: f64) -> Self {
        Self { high, low: 0.0 }
    }

    /// `a + b` without error.
    #[inline(always)]
    pub(crate) fn sum(a: f64, b: f64) -> Self {
        let high = a + b;
        let b_part = high - a;
        let low = (a - (high - b_part)) + (b - b_part);
        Self::finite_or_high(high, low)
    }

    /// `a * b` without error (barring underflow).
    #[inline(always)]
    pub(crate) fn product(a: f64, b: f64) -> Self {
        let high = a * b;
        Self::finite_or_high(high, a.mul_add(b, -high))
    }

    /// `a + b` without error where `|a| >= |b|` or `a` is 0.
    #[inline(always)]
    pub(crate) fn ordered_sum(a: f64, b: f64) -> Self {
        let high = a + b;
        Self::finite_or_high(high, b - (high - a))
    }

    /// The error terms of infinite and NaN results are NaN by themselves and would turn an
    /// infinity into NaN.
    #[inline(always)]
    fn finite_or_high(high: f64, low: f64) -> Self {
        let low = if high.is_finite() { low } else { 0.0 };
        Self { high, low }
    }

    /// The nearest `f64`.
    #[inline(always)]
    pub(crate) fn to_f64(self) -> f64 {
        self.high + self.low
    }

    /// `self / other`.
    #[inline(always)]
    pub(crate) fn divided_by(self, other: Self) -> Self {
        let quotient = self.high / other.high;
        if !quotient.is_finite() || other.high.is_infinite() {
            return Self::new(quotient);
        }
        let remainder = (-quotient).mul_add(other.high, self.high);
        let correction = (-quotient).mul_add(other.low, remainder + self.low) / other.high;
        Self::ordered_sum(quotient, correction)
    }

    /// As two elements of another format, the second of which is what the first lacks.
    #[inline(always)]
    pub(crate) fn parts<T: Float>(self) -> [T; 2] {
        let high = T::from_f64(self.high);
        let low = T::from_f64((self - Self::new(high.to_f64())).to_f64());
        [high, low]
    }

    /// `self * factor`; most factors are 1.
    #[inline(always)]
    pub(crate) fn times(self, factor: f64) -> Self {
        if factor == 1.0 {
            self
        } else {
            Self::new(factor) * self
        }
    }

    /// Multiplied by a power of two.
    #[inline(always)]
    pub(crate) fn scaled(self, power_of_two: f64) -> Self {
        Self {
            high: self.high * power_of_two,
            low: self.low * power_of_two,
        }
    }
}

impl From<f64> for Wide {
    fn from(value: f64) -> Self {
        Self::new(value)
    }
}

impl Add for Wide {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let sum = Self::sum(self.high, other.high);
        let low = Self::sum(self.low, other.low);
        let sum = Self::ordered_sum(sum.high, sum.low + low.high);
        Self::ordered_sum(sum.high, sum.low + low.low)
    }
}

impl AddAssign for Wide {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Neg for Wide {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        Self {
            high: -self.high,
            low: -self.low,
        }
    }
}

impl Sub for Wide {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Wide {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let product = Self::product(self.high, other.high);
        let cross = self.high.mul_add(other.low, self.low * other.high);
        if cross.is_nan() {
            return Self::new(product.high);
        }
        Self::ordered_sum(product.high, product.low + cross)
    }
}

#[cfg(test)]
mod tests {
    use super::Wide;

    #[test]
    fn sums_keep_what_f64_drops() {
        let sum = Wide::new(1e16) + Wide::new(1.0) + Wide::new(1e-12) - Wide::new(1e16);
        assert_eq!(sum.to_f64(), 1.0 + 1e-12);
        let rest = (sum - Wide::new(1.0)).to_f64();
        assert!((rest - 1e-12).abs() < 1e-15, "{rest}");
    }

    #[test]
    fn products_and_quotients_are_inverse() {
        let third = Wide::new(1.0).divided_by(Wide::new(3.0));
        let back = third * Wide::new(3.0) - Wide::new(1.0);
        assert!(back.to_f64().abs() < 1e-31, "{back:?}");
    }

    #[test]
    fn infinities_stay_infinite() {
        let infinity = Wide::new(f64::INFINITY);
        assert_eq!((infinity + Wide::new(1.0)).to_f64(), f64::INFINITY);
        assert_eq!((infinity * Wide::new(2.0)).to_f64(), f64::INFINITY);
        assert_eq!(Wide::product(1e300, 1e300).to_f64(), f64::INFINITY);
        assert_eq!(infinity.divided_by(Wide::new(2.0)).to_f64(), f64::INFINITY);
        assert_eq!(Wide::new(1.0).divided_by(infinity).to_f64(), 0.0);
        assert!((infinity - infinity).to_f64().is_nan());
    }
}
