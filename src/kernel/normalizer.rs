//! What a row of logits is normalised by: its maximum and the logarithm of its sum of
//! exponentials, kept apart so that a confident row loses nothing.
//!
//! With `m` the maximum and `T` the sum of `e^(x - m)` over all classes but one that attains it,
//! `lse = m + log1p(T)`. A row whose top class leads by 30 has `T` near 1e-13, which `lse` itself
//! would round away.

use fearless_simd::{ExtractToken, Simd, SimdBase, f64x8};

use super::lane::{Lane, VectorMap};
use crate::float::Float;
use crate::simd::Vector;
use crate::simd::math::{ScaledExp, ShiftedExp, exp_wide, log1p, log1p_wide};
use crate::simd::reduce::{TermSum, ahead, max, partial, position, prefetch};
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
            || {
                let start = Start::of(simd, row);
                let finished = start.and_then(
                    #[inline(always)]
                    |start| start.finish(simd, sum_without(simd, row, start.top, &start)),
                );
                finished.unwrap_or_else(|| Self::not_finite(row.iter().copied()))
            },
        )
    }

    /// No classes, a NaN, an infinity above, or nothing but `-inf`.
    #[cold]
    #[inline(never)]
    pub(crate) fn not_finite(row: impl Iterator<Item = T>) -> Self {
        Self {
            max: not_finite_sum(row),
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
    pub(crate) fn complement(&self, x: T, p: Wide) -> Wide {
        let one = Wide::new(1.0);
        if x == self.max {
            self.others.divided_by(one + self.others)
        } else {
            one - p
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

/// The log-sum-exp of a row without a finite maximum or with a NaN.
#[cold]
#[inline(never)]
pub(crate) fn not_finite_sum<T: Float>(row: impl Iterator<Item = T>) -> T {
    row.fold(-T::INFINITY, |max, x| {
        let replaced = x > max || x.to_f64().is_nan();
        if replaced && !max.to_f64().is_nan() {
            x
        } else {
            max
        }
    })
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

/// What the first walk over a row finds, for the second.
#[derive(Clone, Copy)]
pub(crate) struct Start<T> {
    max: T,
    /// The first place of the maximum.
    pub(crate) top: usize,
    /// The exponential of the maximum in the units of the terms, less their lift. It is made
    /// before the terms: the machine works on both at once.
    unit: Wide,
    terms: ScaledExp<T>,
}

impl<T: Float> Start<T> {
    /// `None` unless the row has a finite maximum.
    #[inline(always)]
    fn of<S: Simd>(simd: S, row: &[T]) -> Option<Self> {
        let max = max(simd, row);
        if !max.to_f64().is_finite() {
            return None;
        }
        let top = position(simd, row, max)?;
        Some(Self::at(simd, max, top))
    }

    /// For a row with this finite maximum, at this place first.
    #[inline(always)]
    pub(crate) fn at<S: Simd>(simd: S, max: T, top: usize) -> Self {
        let (offset, rest) = split_max(max);
        let f = <f64 as Float>::FORMAT;
        let exponent = (rest * f.log2_e).round_ties_even();
        let reduced = Wide::new(rest)
            - Wide::product(exponent, f.ln_2_high)
            - Wide::product(exponent, f.ln_2_low);
        Self {
            max,
            top,
            unit: exp_wide(simd, reduced),
            terms: ScaledExp::new(max, offset, exponent),
        }
    }

    /// The normaliser, from the sum of the other terms; `None` if one of them was NaN.
    #[inline(always)]
    pub(crate) fn finish<S: Simd>(&self, simd: S, sum: Wide) -> Option<Normalizer<T>> {
        let lift = T::FORMAT.sum_lift_factor.recip();
        let others = sum.divided_by(self.unit).scaled(lift);
        (!others.high.is_nan()).then(|| Normalizer {
            max: self.max,
            others,
            log_others: log1p_for::<S, T>(simd, others),
        })
    }
}

/// Writes the softmax of a row.
#[inline(never)]
pub(crate) fn write_softmax<S: Simd, T: Float>(simd: S, lane: &mut Lane<'_, T, 1>) {
    simd.vectorize(
        #[inline(always)]
        || {
            let Some(kept) = KeptTerms::of(simd, lane) else {
                lane.output().fill(T::NAN);
                return;
            };
            let factor = Wide::new(1.0).divided_by(kept.total());
            lane.rewrite::<4, _>(simd, &mut Multiple::new(factor));
            // Of all values this one alone could be rounded to more than 1.
            lane.output()[kept.start.top] = T::from_f64((kept.top * factor).to_f64());
        },
    );
}

/// The terms of a row, kept in its output from their sum on. They are multiplied by one factor in two
/// parts: the rounding of the factor would count.
pub(crate) struct KeptTerms<T> {
    start: Start<T>,
    /// The term of the maximum.
    top: Wide,
    /// The sum of the others.
    others: Wide,
}

impl<T: Float> KeptTerms<T> {
    /// `None` without a finite maximum, or with a NaN.
    #[inline(always)]
    pub(crate) fn of<S: Simd>(simd: S, lane: &mut Lane<'_, T, 1>) -> Option<Self> {
        let start = Start::of(simd, lane.input())?;
        let mut terms = Terms {
            function: start.terms,
            sum: TermSum::new(simd),
            next: start.top,
        };
        lane.write::<4, _>(simd, &mut terms);
        let top = start.unit.scaled(T::FORMAT.sum_lift_factor);
        let others = terms.sum.total::<T>();
        (!others.high.is_nan()).then_some(Self { start, top, others })
    }

    #[inline(always)]
    fn total(&self) -> Wide {
        self.others + self.top
    }

    /// The normaliser of the row.
    #[inline(always)]
    pub(crate) fn normalizer<S: Simd>(&self, simd: S) -> Normalizer<T> {
        let others = self.others.divided_by(self.top);
        Normalizer {
            max: self.start.max,
            others,
            log_others: log1p_for::<S, T>(simd, others),
        }
    }

    /// The probability of a class with this term.
    #[inline(always)]
    pub(crate) fn probability(&self, term: T) -> Wide {
        Wide::new(term.to_f64()).divided_by(self.total())
    }

    /// Writes `factor p` for every class.
    #[inline(always)]
    pub(crate) fn write_probabilities<S: Simd>(
        &self,
        simd: S,
        factor: Wide,
        lane: &mut Lane<'_, T, 1>,
    ) {
        let factor = factor.divided_by(self.total());
        if factor.high.abs() >= tiny_factor::<T>() {
            lane.rewrite::<4, _>(simd, &mut Multiple::new(factor));
        } else {
            // Too small to keep its bits, but for what the terms are lifted by.
            let lift = T::FORMAT.sum_lift_factor;
            let multiple = Multiple::new(factor.scaled(lift));
            let back = T::from_f64(lift.recip());
            lane.rewrite::<4, _>(simd, &mut LiftedMultiple(multiple, back));
        }
    }
}

/// Below this a factor has too few bits in two parts.
#[inline(always)]
pub(crate) fn tiny_factor<T: Float>() -> f64 {
    128.0 * T::MIN_POSITIVE.to_f64()
}

/// `log1p(T)`; for `f32` the precision of `f64` is more than enough.
#[inline(always)]
fn log1p_for<S: Simd, T: Float>(simd: S, others: Wide) -> Wide {
    if T::LANES == 8 {
        log1p_wide(simd, others)
    } else {
        Wide::new(log1p(f64x8::splat(simd, others.high))[0])
    }
}

/// The terms of a row, summed but for the one of the maximum.
struct Terms<S: Simd, T> {
    function: ScaledExp<T>,
    sum: TermSum<S>,
    /// How far the maximum is from the next vector; wraps once it is passed.
    next: usize,
}

impl<S: Simd, T: Float> VectorMap<S, T, 1> for Terms<S, T> {
    #[inline(always)]
    fn map<const N: usize>(
        &mut self,
        [mut vectors]: [[T::Vector<S>; N]; 1],
        valid: usize,
    ) -> [T::Vector<S>; N] {
        for vector in &mut vectors {
            *vector = self.function.apply(*vector);
        }
        let mut summed = vectors;
        if self.next < N * T::LANES || valid < N * T::LANES {
            for (index, lane) in summed.iter_mut().flat_map(lanes_of::<S, T>).enumerate() {
                if index == self.next || index >= valid {
                    *lane = T::ZERO;
                }
            }
        }
        for vector in summed {
            self.sum.add::<T>(vector);
        }
        self.next = self.next.wrapping_sub(N * T::LANES);
        vectors
    }
}

#[inline(always)]
fn lanes_of<S: Simd, T: Float>(vector: &mut T::Vector<S>) -> &mut [T] {
    vector.as_mut_slice()
}

/// `x * (high + low)`.
struct Multiple<T> {
    high: T,
    low: T,
}

impl<T: Float> Multiple<T> {
    #[inline(always)]
    fn new(factor: Wide) -> Self {
        let high = T::from_f64(factor.high);
        let low = T::from_f64((factor - Wide::new(high.to_f64())).to_f64());
        Self { high, low }
    }
}

impl<S: Simd, T: Float> VectorMap<S, T, 1> for Multiple<T> {
    #[inline(always)]
    fn map<const N: usize>(
        &mut self,
        [mut vectors]: [[T::Vector<S>; N]; 1],
        _valid: usize,
    ) -> [T::Vector<S>; N] {
        for vector in &mut vectors {
            let simd = vector.token();
            let low = *vector * T::Vector::<S>::splat(simd, self.low);
            *vector = vector.fused_mul_add(T::Vector::<S>::splat(simd, self.high), low);
        }
        vectors
    }
}

/// The same, times a power of two.
struct LiftedMultiple<T>(Multiple<T>, T);

impl<S: Simd, T: Float> VectorMap<S, T, 1> for LiftedMultiple<T> {
    #[inline(always)]
    fn map<const N: usize>(
        &mut self,
        inputs: [[T::Vector<S>; N]; 1],
        valid: usize,
    ) -> [T::Vector<S>; N] {
        let mut vectors = VectorMap::<S, T, 1>::map(&mut self.0, inputs, valid);
        for vector in &mut vectors {
            *vector *= T::Vector::<S>::splat(vector.token(), self.1);
        }
        vectors
    }
}

/// Vectors summed at once, to keep the machine's pipelines full.
const GROUP: usize = 4;

/// The sum of the terms of the elements of a row, or of a piece of it, but for the one at `top`.
#[inline(always)]
pub(crate) fn sum_without<S: Simd, T: Float>(
    simd: S,
    row: &[T],
    top: usize,
    start: &Start<T>,
) -> Wide {
    let terms = &start.terms;
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
                prefetch(chunk.as_ptr().wrapping_add(ahead(row.len())));
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
    sum.total::<T>()
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
