//! What up to 64 rows are normalised by, side by side: eight rows to a vector.
//!
//! The per-row arithmetic of the losses and of softmax's normaliser stands here, whether the rows'
//! sums come from a tile or from rows one at a time.

use fearless_simd::{ExtractToken, Simd, SimdBase, f64x8};

use crate::float::Float;
use crate::simd::has_wide_registers;
use crate::simd::math::{Pair, ordered_sum, two_sum};
use crate::simd::number::Number;
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
pub(crate) struct EightRows<S: Simd, T> {
    pub(crate) max: f64x8<S>,
    pub(crate) others: Number<S, T>,
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
    pub(crate) fn eight<S: Simd, T: Float>(&self, simd: S, start: usize) -> EightRows<S, T> {
        EightRows {
            max: load(simd, &self.max, start),
            others: Number::from_pair(Pair {
                high: load(simd, &self.others, start),
                low: load(simd, &self.others_low, start),
            }),
        }
    }

    #[inline(always)]
    pub(crate) fn set_eight<S: Simd, T: Float>(&mut self, start: usize, rows: EightRows<S, T>) {
        store(rows.max, &mut self.max, start);
        store(rows.others.high, &mut self.others, start);
        if T::LANES == 8 {
            store(rows.others.low, &mut self.others_low, start);
        }
    }

    /// Finds `log1p(T)` of all rows. One copy of this serves all kernels.
    #[inline(never)]
    pub(crate) fn find_logs<S: Simd, T: Float>(&self, simd: S, logs: &mut Logs) {
        simd.vectorize(
            #[inline(always)]
            || {
                // Where one vector is many registers, several would only take long to compile.
                if has_wide_registers(simd) {
                    self.write_logs::<S, T, 4>(simd, logs);
                } else {
                    self.write_logs::<S, T, 1>(simd, logs);
                }
            },
        );
    }

    #[inline(always)]
    fn write_logs<S: Simd, T: Float, const N: usize>(&self, simd: S, logs: &mut Logs) {
        for start in (0..ROWS).step_by(8 * N) {
            let mut numbers = [Number::<S, T>::splat(simd, 0.0); N];
            for (part, number) in numbers.iter_mut().enumerate() {
                *number = self.eight(simd, start + part * 8).others;
            }
            for (part, log) in Number::log1p_each(numbers).iter().enumerate() {
                store(log.high, &mut logs.high, start + part * 8);
                if T::LANES == 8 {
                    store(log.low, &mut logs.low, start + part * 8);
                }
            }
        }
    }
}

/// `log1p(T)` of each row, in two parts.
pub(crate) struct Logs {
    high: PerRow,
    low: PerRow,
}

impl Logs {
    pub(crate) fn new() -> Self {
        Self {
            high: [0.0; ROWS],
            low: [0.0; ROWS],
        }
    }

    #[inline(always)]
    pub(crate) fn eight<S: Simd, T: Float>(&self, simd: S, start: usize) -> Number<S, T> {
        Number::from_pair(Pair {
            high: load(simd, &self.high, start),
            low: load(simd, &self.low, start),
        })
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

/// The numbers of as many rows as a vector has lanes.
#[inline(always)]
pub(crate) fn widened<S: Simd, T: Float>(simd: S, numbers: &PerRow, start: usize) -> T::Widened<S> {
    let mut wide = T::widen(T::Vector::<S>::splat(simd, T::ZERO));
    for (part, eight) in wide.as_mut().iter_mut().enumerate() {
        *eight = load(simd, numbers, start + part * 8);
    }
    wide
}

/// The same as elements.
#[inline(always)]
pub(crate) fn narrowed<S: Simd, T: Float>(simd: S, numbers: &PerRow, start: usize) -> T::Vector<S> {
    T::narrow(widened::<S, T>(simd, numbers, start))
}

/// Elements as the numbers of as many rows.
#[inline(always)]
pub(crate) fn store_widened<S: Simd, T: Float>(
    vector: T::Vector<S>,
    numbers: &mut PerRow,
    start: usize,
) {
    for (part, &eight) in T::widen(vector).as_ref().iter().enumerate() {
        store(eight, numbers, start + part * 8);
    }
}

impl<S: Simd, T: Float> EightRows<S, T> {
    /// The log-sum-exp from the logarithm of `1 + T`, always in two parts: less an element it may leave
    /// the second alone. NaN without a finite maximum.
    #[inline(always)]
    pub(crate) fn log_sum_exp(&self, log: Number<S, T>) -> Pair<f64x8<S>> {
        let sum = two_sum(self.max, log.high);
        ordered_sum(sum.high, sum.low + log.low)
    }

    /// `lse - x`, the cost of a class, from the logarithm of `1 + T`: 0 or more, with nothing cancelled.
    #[inline(always)]
    pub(crate) fn cost_from(&self, log: Number<S, T>, x: f64x8<S>) -> Number<S, T> {
        let lead = Number::new(self.max).minus(Number::new(x));
        lead.plus(log)
    }

    /// `1 / (1 + T)`, the probability of the maximum.
    #[inline(always)]
    pub(crate) fn top_probability(&self) -> Number<S, T> {
        let one = Number::new(f64x8::splat(self.max.token(), 1.0));
        one.over(one.plus(self.others))
    }
}

/// Numbers in two parts as elements: the nearest, and what those lack.
#[inline(always)]
pub(crate) fn split<S: Simd, T: Float>(
    highs: T::Widened<S>,
    mut lows: T::Widened<S>,
) -> Pair<T::Vector<S>> {
    let high = T::narrow::<S>(highs);
    for ((low, &wide), &narrow) in lows
        .as_mut()
        .iter_mut()
        .zip(highs.as_ref())
        .zip(T::widen(high).as_ref())
    {
        *low += wide - narrow;
    }
    let low = T::narrow::<S>(lows);
    Pair { high, low }
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
            let Pair { high, low } = split::<S, T>(highs, lows);
            high.store_slice(&mut halves.high[start..start + T::LANES]);
            low.store_slice(&mut halves.low[start..start + T::LANES]);
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
