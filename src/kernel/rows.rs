//! What up to 64 rows are normalised by, side by side: eight rows to a vector.
//!
//! The per-row arithmetic of the losses and of softmax's normaliser stands here, whether the rows'
//! sums come from a tile or from rows one at a time.

use fearless_simd::{ExtractToken, Select, Simd, SimdBase, f64x8};

use crate::float::Float;

use crate::simd::math::{Pair, log1p, log1p_pair, ordered_sum, quotient, two_sum};
pub(crate) use crate::simd::transpose::ROWS;

/// One number for each row.
pub(crate) type PerRow = [f64; ROWS];

/// The maximum of each row and `T`, the sum of the other classes' exponentials in units of the
/// maximum's. Where there is no finite maximum, `T` is NaN.
pub(crate) struct Normalizers {
    pub(crate) max: PerRow,
    pub(crate) others: PerRow,
    pub(crate) others_low: PerRow,
}

/// The same of eight rows.
#[derive(Clone, Copy)]
pub(crate) struct EightRows<S: Simd> {
    pub(crate) max: f64x8<S>,
    pub(crate) others: Pair<f64x8<S>>,
}

impl Normalizers {
    pub(crate) fn new() -> Self {
        Self {
            max: [0.0; ROWS],
            others: [0.0; ROWS],
            others_low: [0.0; ROWS],
        }
    }

    #[inline(always)]
    pub(crate) fn eight<S: Simd>(&self, simd: S, start: usize) -> EightRows<S> {
        EightRows {
            max: load(simd, &self.max, start),
            others: Pair {
                high: load(simd, &self.others, start),
                low: load(simd, &self.others_low, start),
            },
        }
    }

    #[inline(always)]
    pub(crate) fn set_eight<S: Simd>(&mut self, start: usize, rows: EightRows<S>) {
        store(rows.max, &mut self.max, start);
        store(rows.others.high, &mut self.others, start);
        store(rows.others.low, &mut self.others_low, start);
    }
}

/// Eight of the rows' numbers.
#[inline(always)]
pub(crate) fn load<S: Simd>(simd: S, numbers: &PerRow, start: usize) -> f64x8<S> {
    f64x8::from_slice(simd, &numbers[start..start + 8])
}

#[inline(always)]
pub(crate) fn store<S: Simd>(vector: f64x8<S>, numbers: &mut PerRow, start: usize) {
    vector.store_slice(&mut numbers[start..start + 8]);
}

impl<S: Simd> EightRows<S> {
    #[inline(always)]
    fn zero(&self) -> f64x8<S> {
        f64x8::splat(self.max.token(), 0.0)
    }

    /// A number over `1 + T`. For `f32` the precision of `f64` is more than enough.
    #[inline(always)]
    fn over_sum<T: Float>(&self, number: Pair<f64x8<S>>) -> Pair<f64x8<S>> {
        let one = f64x8::splat(self.max.token(), 1.0);
        if T::LANES == 8 {
            let sum = two_sum(one, self.others.high);
            quotient(number, ordered_sum(sum.high, sum.low + self.others.low))
        } else {
            Pair {
                high: number.high / (one + self.others.high),
                low: self.zero(),
            }
        }
    }

    /// `log1p(T)`: for `f32` the precision of `f64` is more than enough.
    #[inline(always)]
    pub(crate) fn log_others<T: Float>(&self) -> Pair<f64x8<S>> {
        if T::LANES == 8 {
            log1p_pair(self.others)
        } else {
            Pair {
                high: log1p(self.others.high),
                low: self.zero(),
            }
        }
    }

    /// The log-sum-exp; NaN without a finite maximum.
    #[inline(always)]
    pub(crate) fn log_sum_exp<T: Float>(&self) -> Pair<f64x8<S>> {
        let log = self.log_others::<T>();
        let sum = two_sum(self.max, log.high);
        ordered_sum(sum.high, sum.low + log.low)
    }

    /// `lse - x`, the cost of a class: 0 or more, with nothing cancelled.
    #[inline(always)]
    pub(crate) fn cost<T: Float>(&self, x: f64x8<S>) -> Pair<f64x8<S>> {
        let log = self.log_others::<T>();
        let lead = two_sum(self.max, -x);
        let sum = two_sum(lead.high, log.high);
        let low = sum.low + (lead.low + log.low);
        // The error terms of an infinite cost are NaN and mean nothing.
        let finite = sum.high.abs().simd_lt(f64::INFINITY);
        Pair {
            high: sum.high,
            low: finite.select(low, self.zero()),
        }
    }

    /// `1 / (1 + T)`, the probability of the maximum.
    #[inline(always)]
    pub(crate) fn top_probability<T: Float>(&self) -> Pair<f64x8<S>> {
        let high = f64x8::splat(self.max.token(), 1.0);
        let low = self.zero();
        self.over_sum::<T>(Pair { high, low })
    }

    /// `T / (1 + T)`, what is left of 1 beside the maximum.
    #[inline(always)]
    pub(crate) fn top_complement<T: Float>(&self) -> Pair<f64x8<S>> {
        self.over_sum::<T>(self.others)
    }
}

/// Numbers as sums of two elements each: what a factor of a row is multiplied in.
pub(crate) struct Halves<T> {
    pub(crate) high: [T; ROWS],
    pub(crate) low: [T; ROWS],
}

impl<T: Float> Halves<T> {
    /// Splits a number of every row, eight rows at a time.
    #[inline(always)]
    pub(crate) fn of<S: Simd>(simd: S, mut numbers: impl FnMut(usize) -> Pair<f64x8<S>>) -> Self {
        let mut halves = Self {
            high: [T::ZERO; ROWS],
            low: [T::ZERO; ROWS],
        };
        let zero = T::widen(T::Vector::<S>::splat(simd, T::ZERO));
        for start in (0..ROWS).step_by(T::LANES) {
            let (mut highs, mut lows) = (zero, zero);
            let parts = highs.as_mut().iter_mut().zip(lows.as_mut());
            for (part, (high, low)) in parts.enumerate() {
                let number = numbers(start + part * 8);
                (*high, *low) = (number.high, number.low);
            }
            let high = T::narrow::<S>(highs);
            for ((low, &wide), &narrow) in lows
                .as_mut()
                .iter_mut()
                .zip(highs.as_ref())
                .zip(T::widen(high).as_ref())
            {
                *low += wide - narrow;
            }
            high.store_slice(&mut halves.high[start..start + T::LANES]);
            T::narrow::<S>(lows).store_slice(&mut halves.low[start..start + T::LANES]);
        }
        halves
    }

    /// The two vectors of as many rows as lanes.
    #[inline(always)]
    pub(crate) fn vectors<S: Simd>(&self, simd: S, start: usize) -> Pair<T::Vector<S>> {
        Pair {
            high: T::Vector::<S>::from_slice(simd, &self.high[start..start + T::LANES]),
            low: T::Vector::<S>::from_slice(simd, &self.low[start..start + T::LANES]),
        }
    }
}
