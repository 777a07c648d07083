//! What a row of logits is normalised by: its maximum and the logarithm of its sum of
//! exponentials, kept apart so that a confident row loses nothing.
//!
//! With `m` the maximum and `T` the sum of `e^(x - m)` over all classes but one that attains it,
//! `lse = m + log1p(T)`. A row whose top class leads by 30 has `T` near 1e-13, which `lse` itself
//! would round away.

use fearless_simd::{Simd, SimdBase};

use super::lane::{Lane, VectorMap};
use crate::float::Float;
use crate::simd::math::{ScaledExp, ShiftedExp, exp_wide, log1p_wide};
use crate::simd::reduce::{TermSum, max, partial, position};
use crate::wide::Wide;

/// The normaliser of one row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Normalizer<T> {
    /// The maximum; not finite exactly if the row holds no finite maximum or a NaN.
    pub(crate) max: T,
    /// `T`: the sum over the other classes, in units of the maximum's exponential.
    pub(crate) others: Wide,
    /// `log1p(T)`.
    pub(crate) log_others: Wide,
}

impl<T: Float> Normalizer<T> {
    /// Error of `T` below 1 ulp of `T`'s format, of `log1p(T)` likewise.
    #[inline(never)]
    pub(crate) fn of<S: Simd>(simd: S, row: &[T]) -> Self {
        simd.vectorize(
            #[inline(always)]
            || Self::of_row(simd, row),
        )
    }

    #[inline(always)]
    fn of_row<S: Simd>(simd: S, row: &[T]) -> Self {
        let max = max(simd, row);
        let top = if max.to_f64().is_finite() {
            position(simd, row, max)
        } else {
            None
        };
        let Some(top) = top else {
            return Self::not_finite(row);
        };
        let (offset, rest) = split_max(max);
        let f = <f64 as Float>::FORMAT;
        let exponent = (rest * f.log2_e).round_ties_even();
        let terms = ScaledExp::new(max, offset, exponent);
        let sum = sum_without(simd, row, top, &terms);
        let unit = exp_wide(
            simd,
            Wide::new(rest)
                - Wide::product(exponent, f.ln_2_high)
                - Wide::product(exponent, f.ln_2_low),
        );
        let others = sum.divided_by(unit).scaled((-T::FORMAT.sum_lift).exp2());
        if others.high.is_nan() {
            return Self::not_finite(row);
        }
        Self {
            max,
            others,
            log_others: log1p_wide(simd, others),
        }
    }

    /// No classes, a NaN, an infinity above, or nothing but `-inf`.
    #[cold]
    #[inline(never)]
    fn not_finite(row: &[T]) -> Self {
        let max = if row.iter().any(|x| x.to_f64().is_nan()) {
            T::NAN
        } else {
            row.iter()
                .fold(-T::INFINITY, |max, &x| if x > max { x } else { max })
        };
        Self {
            max,
            others: Wide::NAN,
            log_others: Wide::NAN,
        }
    }

    #[inline(always)]
    pub(crate) fn is_finite(&self) -> bool {
        self.max.to_f64().is_finite()
    }

    /// The row's log-sum-exp: NaN with a NaN, `+inf` with a `+inf`, `-inf` where nothing is finite.
    #[inline(always)]
    pub(crate) fn log_sum_exp(&self) -> Wide {
        if self.is_finite() {
            Wide::new(self.max.to_f64()) + self.log_others
        } else {
            Wide::new(self.max.to_f64())
        }
    }

    /// `lse - x`, the cost of a class: 0 or more, with nothing cancelled.
    #[inline(always)]
    pub(crate) fn cost(&self, x: T) -> Wide {
        Wide::sum(self.max.to_f64(), -x.to_f64()) + self.log_others
    }

    /// `1 - p` of a class, exact to the last bits for the top class of a confident row.
    #[inline(always)]
    pub(crate) fn complement<S: Simd>(&self, simd: S, x: T) -> Wide {
        let one = Wide::new(1.0);
        if x == self.max {
            self.others.divided_by(one + self.others)
        } else {
            one - exp_wide(simd, -self.cost(x))
        }
    }

    /// Writes `factor * e^(x - lse)` for every class of the row, from the logarithm of the factor:
    /// 0 gives the softmax.
    #[inline(never)]
    pub(crate) fn write_probabilities<S: Simd>(
        &self,
        simd: S,
        log_factor: Wide,
        lane: &mut Lane<'_, T, 1>,
    ) {
        let (offset, rest) = split_max(self.max);
        let shift = Wide::new(rest) + self.log_others - log_factor;
        simd.vectorize(
            #[inline(always)]
            || lane.write::<4, _>(simd, &mut ShiftedExp::new(offset, shift)),
        );
    }
}

impl<S: Simd, T: Float> VectorMap<S, T, 1> for ShiftedExp<T> {
    #[inline(always)]
    fn map<const N: usize>(
        &mut self,
        [x]: [[T::Vector<S>; N]; 1],
        _valid: usize,
    ) -> [T::Vector<S>; N] {
        self.apply(x)
    }
}

/// What is subtracted from a row before its exponentials, and what is left of the maximum: nothing
/// and the maximum, unless the maximum is so large that the reduction would lose it.
#[inline(always)]
fn split_max<T: Float>(max: T) -> (T, f64) {
    if max.to_f64().abs() < T::FORMAT.exact_difference {
        (T::ZERO, max.to_f64())
    } else {
        (max, 0.0)
    }
}

/// Vectors summed at once, to keep the machine's pipelines full.
const GROUP: usize = 4;

/// The sum of the terms of all elements but the one at `top`.
#[inline(always)]
fn sum_without<S: Simd, T: Float>(simd: S, row: &[T], top: usize, terms: &ScaledExp<T>) -> Wide {
    let group = GROUP * T::LANES;
    let mut sum = TermSum::new(simd);
    let mut start = 0;
    while start + group <= row.len() {
        let elements = &row[start..start + group];
        if (start..start + group).contains(&top) {
            for chunk in elements.chunks_exact(T::LANES) {
                add_without(simd, chunk, top.wrapping_sub(start), terms, &mut sum);
                start += T::LANES;
            }
        } else {
            let mut vectors = [T::Vector::<S>::splat(simd, T::ZERO); GROUP];
            for (vector, chunk) in vectors.iter_mut().zip(elements.chunks_exact(T::LANES)) {
                *vector = terms.apply(T::Vector::<S>::from_slice(simd, chunk));
            }
            for vector in vectors {
                sum.add::<T>(vector);
            }
            start += group;
        }
    }
    for chunk in row[start..].chunks(T::LANES) {
        add_without(simd, chunk, top.wrapping_sub(start), terms, &mut sum);
        start += T::LANES;
    }
    sum.total()
}

/// Adds the terms of up to a vector of elements, less the one at `top` if it is among them.
#[inline(always)]
fn add_without<S: Simd, T: Float>(
    simd: S,
    elements: &[T],
    top: usize,
    terms: &ScaledExp<T>,
    sum: &mut TermSum<S>,
) {
    let mut vector = partial(simd, elements, -T::INFINITY);
    if let Some(element) = vector.as_mut_slice().get_mut(top) {
        *element = -T::INFINITY;
    }
    sum.add::<T>(terms.apply(vector));
}
