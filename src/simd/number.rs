//! Numbers of eight rows with as many bits as results of an element type need: `f64` for `f32`, twice
//! as many for `f64`.
//!
//! Here belongs the arithmetic alone, so that a formula is written once for both.

use std::marker::PhantomData;

use fearless_simd::{ExtractToken, Select, Simd, SimdBase, f64x8, mask64x8};

use super::each;
use super::logarithm::{log1p_each, log1p_pair};
use super::math::{Pair, ordered_sum, product, quotient, two_sum};
use crate::float::Float;

/// Eight numbers, for results of type `T`. Relative errors are below `2^-50` for `f32` and `2^-100`
/// for `f64`.
#[derive(Clone, Copy)]
pub(crate) struct Number<S: Simd, T> {
    pub(crate) high: f64x8<S>,
    /// 0 where one `f64` is enough.
    pub(crate) low: f64x8<S>,
    results: PhantomData<T>,
}

impl<S: Simd, T: Float> Number<S, T> {
    const IN_TWO_PARTS: bool = T::LANES == 8;

    #[inline(always)]
    pub(crate) fn new(high: f64x8<S>) -> Self {
        Self::from_pair(Pair {
            high,
            low: f64x8::splat(high.token(), 0.0),
        })
    }

    #[inline(always)]
    pub(crate) fn splat(simd: S, value: f64) -> Self {
        Self::new(f64x8::splat(simd, value))
    }

    #[inline(always)]
    pub(crate) fn from_pair(pair: Pair<f64x8<S>>) -> Self {
        let low = if Self::IN_TWO_PARTS {
            pair.low
        } else {
            f64x8::splat(pair.high.token(), 0.0)
        };
        Self {
            high: pair.high,
            low,
            results: PhantomData,
        }
    }

    #[inline(always)]
    pub(crate) fn pair(self) -> Pair<f64x8<S>> {
        let Self { high, low, .. } = self;
        Pair { high, low }
    }

    /// The lanes of `yes` where the mask is set, of `no` elsewhere.
    #[inline(always)]
    pub(crate) fn select(mask: mask64x8<S>, yes: Self, no: Self) -> Self {
        Self::from_pair(Pair {
            high: mask.select(yes.high, no.high),
            low: mask.select(yes.low, no.low),
        })
    }

    #[inline(always)]
    pub(crate) fn plus(self, other: Self) -> Self {
        if !Self::IN_TWO_PARTS {
            return Self::new(self.high + other.high);
        }
        let sum = two_sum(self.high, other.high);
        let low = sum.low + (self.low + other.low);
        let exact = ordered_sum(sum.high, low);
        // The error terms of an infinite sum are NaN and mean nothing.
        let finite = sum.high.abs().simd_lt(f64::INFINITY);
        Self::from_pair(Pair {
            high: finite.select(exact.high, sum.high),
            low: finite.select(exact.low, f64x8::splat(low.token(), 0.0)),
        })
    }

    #[inline(always)]
    pub(crate) fn minus(self, other: Self) -> Self {
        self.plus(Self::from_pair(Pair {
            high: -other.high,
            low: -other.low,
        }))
    }

    #[inline(always)]
    pub(crate) fn times(self, other: Self) -> Self {
        if Self::IN_TWO_PARTS {
            Self::from_pair(product(self.pair(), other.pair()))
        } else {
            Self::new(self.high * other.high)
        }
    }

    #[inline(always)]
    pub(crate) fn over(self, other: Self) -> Self {
        if Self::IN_TWO_PARTS {
            Self::from_pair(quotient(self.pair(), other.pair()))
        } else {
            Self::new(self.high / other.high)
        }
    }

    /// `log(1 + x)` of each, for numbers that are not negative.
    #[inline(always)]
    pub(crate) fn log1p_each<const N: usize>(numbers: [Self; N]) -> [Self; N] {
        if Self::IN_TWO_PARTS {
            return each(
                numbers,
                #[inline(always)]
                |number| Self::from_pair(log1p_pair(number.pair())),
            );
        }
        let highs = each(
            numbers,
            #[inline(always)]
            |number| number.high,
        );
        each(
            log1p_each(highs),
            #[inline(always)]
            |log| Self::new(log),
        )
    }

    /// Times a power of two.
    #[inline(always)]
    pub(crate) fn scaled(self, power: f64) -> Self {
        let power = f64x8::splat(self.high.token(), power);
        Self::from_pair(Pair {
            high: self.high * power,
            low: self.low * power,
        })
    }
}
