//! What a row of logits is normalised by: its maximum and the logarithm of its sum of
//! exponentials, kept apart so that a confident row loses nothing.
//!
//! With `m` the maximum and `T` the sum of `e^(x - m)` over all classes but one that attains it,
//! `lse = m + log1p(T)`. A row whose top class leads by 30 has `T` near 1e-13, which `lse` itself
//! would round away.

use fearless_simd::{ExtractToken, Select, Simd, SimdBase, SimdMask, f64x8};

use super::lane::{Fetch, Lane, RowMap, from_element, sum_row};
use crate::float::Float;
use crate::simd::Vector;
use crate::simd::logarithm::{log1p, log1p_wide};
use crate::simd::math::{ScaledExp, ShiftedExp, exp_reduced_by, exp_wide, reduce_wide};
use crate::simd::reduce::{FETCHED, TermSum, max, partial};
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
    /// Error of `T` below 1 ulp of `T`'s format, of `log1p(T)` likewise. Where nothing is given to be
    /// fetched in the first place, what lies behind is.
    #[inline(never)]
    pub(crate) fn of<S: Simd>(simd: S, row: &[T], fetch: [Option<Fetch>; 2]) -> Self {
        simd.vectorize(
            #[inline(always)]
            || {
                let summed = if row.len() > FETCHED {
                    BlockSum::of_row(simd, row, fetch)
                } else {
                    Start::of(simd, row).map(
                        #[inline(always)]
                        |start| (start, start.sum(simd, row, or_behind(row, fetch))),
                    )
                };
                let normalizer = summed.and_then(
                    #[inline(always)]
                    |(start, sum)| start.finish(simd, sum, || start.sum_of_others(simd, row, true)),
                );
                normalizer.unwrap_or_else(|| Self::not_finite(row.iter().copied()))
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

    /// The log-sum-exp as one number; for `f32` the precision of `f64` is more than enough.
    #[inline(always)]
    pub(crate) fn rounded_log_sum_exp(&self) -> f64 {
        if T::LANES > 8 && self.is_finite() {
            return self.max.to_f64() + self.log_others.high;
        }
        self.log_sum_exp().to_f64()
    }

    /// `lse - x`, the cost of a class: 0 or more, with nothing cancelled; for `f32` the precision of
    /// `f64` is more than enough.
    #[inline(always)]
    pub(crate) fn cost(&self, x: T) -> Wide {
        if T::LANES > 8 {
            return Wide::new((self.max.to_f64() - x.to_f64()) + self.log_others.high);
        }
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
            || lane.write_row(simd, [None; 2], &ShiftedExp::new(offset, shift)),
        );
    }
}

impl<S: Simd, T: Float> RowMap<S, T> for ShiftedExp<T> {
    const FILL: T = T::ZERO;

    #[inline(always)]
    fn map<const N: usize>(&self, x: [T::Vector<S>; N]) -> [T::Vector<S>; N] {
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
    /// Subtracted first: 0 or the maximum. The terms are scaled by `2^-exponent`, besides.
    offset: T,
    exponent: f64,
    /// The exponential of the maximum in the units of the terms, less their lift. It is made
    /// before the terms: the machine works on both at once.
    unit: Wide,
    /// The term of the maximum: the same number, rounded as terms are.
    top: T,
    terms: ScaledExp<T>,
}

impl<T: Float> Start<T> {
    /// `None` unless the row has a finite maximum.
    #[inline(always)]
    fn of<S: Simd>(simd: S, row: &[T]) -> Option<Self> {
        let max = max(simd, row);
        max.to_f64().is_finite().then(
            #[inline(always)]
            || Self::at(simd, max),
        )
    }

    /// For a row with this finite maximum.
    #[inline(always)]
    pub(crate) fn at<S: Simd>(simd: S, max: T) -> Self {
        let (offset, rest) = split_max(max);
        let exponent = (rest * <f64 as Float>::FORMAT.log2_e).round_ties_even();
        let unit = if T::LANES == 8 {
            exp_wide(simd, reduce_wide(rest, exponent))
        } else {
            Wide::new(exp_reduced_by(simd, rest, exponent))
        };
        let terms = ScaledExp::new(offset, rest, exponent);
        let [top] = terms.apply([T::Vector::<S>::splat(simd, max)]);
        Self {
            max,
            offset,
            exponent,
            unit,
            top: top.as_slice()[0],
            terms,
        }
    }

    /// A sum of terms in the units of a higher maximum's.
    #[inline(always)]
    fn rescaled<S: Simd>(&self, simd: S, sum: Wide, higher: &Self) -> Wide {
        if self.offset == higher.offset {
            let power = self.exponent - higher.exponent;
            // What is less is nothing beside the new maximum's term.
            if power < -1000.0 {
                return Wide::ZERO;
            }
            return sum.scaled(f64::from_bits(((1023.0 + power) as u64) << 52));
        }
        let units = Wide::product(self.exponent - higher.exponent, std::f64::consts::LN_2);
        let distance = Wide::sum(self.offset.to_f64(), -higher.offset.to_f64()) + units;
        sum * exp_wide(simd, distance)
    }

    /// The sum of the terms of a row, or of a part of it, the maximum's among them; NaN if there
    /// is a NaN.
    #[inline(always)]
    pub(crate) fn sum<S: Simd>(&self, simd: S, row: &[T], fetch: [Option<Fetch>; 2]) -> Wide {
        sum_row(simd, row, fetch, &self.terms).total::<T>()
    }

    /// The sum of the terms but for one of the maximum, from that of all: `again` sums up the
    /// others alone where they are nearly nothing beside the maximum, so that the difference would
    /// have lost their bits. `None` if there is a NaN.
    #[inline(always)]
    fn others(&self, sum: Wide, again: impl FnOnce() -> Wide) -> Option<Wide> {
        let top = self.top.to_f64();
        let others = if T::LANES == 8 {
            sum - Wide::new(top)
        } else {
            Wide::new(sum.high - top)
        };
        if others.high >= top * T::FORMAT.confident {
            Some(others)
        } else if others.high.is_nan() {
            None
        } else {
            Some(again())
        }
    }

    /// The sum of the terms of a row, or of a part of it, but for the first maximum if it is in it;
    /// what is negligible is 0.
    #[inline(never)]
    pub(crate) fn sum_of_others<S: Simd>(&self, simd: S, row: &[T], holds_max: bool) -> Wide {
        simd.vectorize(
            #[inline(always)]
            || {
                sum_without(
                    simd,
                    row,
                    holds_max.then_some(self.max),
                    -T::INFINITY,
                    #[inline(always)]
                    |x| self.terms.or_nothing(x),
                )
            },
        )
    }

    /// Calls a function with the terms of elements, 0 where they are negligible, vector by vector, and
    /// the place where each vector begins.
    #[cfg(feature = "python")]
    #[inline(always)]
    pub(crate) fn each_term<S: Simd>(
        &self,
        simd: S,
        elements: &[T],
        mut function: impl FnMut(usize, T::Vector<S>),
    ) {
        for (number, chunk) in elements.chunks(T::LANES).enumerate() {
            let vector = partial(simd, chunk, -T::INFINITY);
            function(number * T::LANES, self.terms.or_nothing(vector));
        }
    }

    /// The term of the maximum, not rounded as terms are.
    #[cfg(feature = "python")]
    #[inline(always)]
    pub(crate) fn lifted_unit(&self) -> f64 {
        self.unit.high * T::FORMAT.sum_lift_factor
    }

    /// Whether elements hold the maximum.
    #[inline(always)]
    pub(crate) fn is_max_in<S: Simd>(&self, simd: S, elements: &[T]) -> bool {
        max(simd, elements) == self.max
    }

    /// The normaliser from the sum of the terms; `again` as for [`others`](Self::others).
    #[inline(always)]
    pub(crate) fn finish<S: Simd>(
        &self,
        simd: S,
        sum: Wide,
        again: impl FnOnce() -> Wide,
    ) -> Option<Normalizer<T>> {
        let others = self.others(sum, again)?;
        Some(self.normalizer(simd, others))
    }

    #[inline(always)]
    fn normalizer<S: Simd>(&self, simd: S, others: Wide) -> Normalizer<T> {
        let lift = T::FORMAT.sum_lift_factor;
        let others = ratio::<T>(others, self.unit.scaled(lift));
        Normalizer {
            max: self.max,
            others,
            log_others: log1p_for::<S, T>(simd, others),
        }
    }
}

/// In the first place what lies behind elements, the next row or block, if it is nothing else.
#[inline(always)]
fn or_behind<T>(elements: &[T], [first, second]: [Option<Fetch>; 2]) -> [Option<Fetch>; 2] {
    let behind = Fetch::all(elements.as_ptr_range().end);
    [first.or(Some(behind)), second]
}

/// Elements of a row that is read once which are worked on at a time: they stay in the first cache.
pub(crate) const BLOCK: usize = 1 << 12;

/// The sum of the terms of a row that is read once, block by block: a block stays in the first cache
/// from the search for its maximum to the sum of its terms, while the next one is fetched.
pub(crate) struct BlockSum<T> {
    found: Option<(Start<T>, Wide)>,
}

impl<T: Float> BlockSum<T> {
    pub(crate) fn new() -> Self {
        Self { found: None }
    }

    /// What the blocks so far have found: `None` unless there is a finite maximum.
    #[inline(always)]
    pub(crate) fn found(self) -> Option<(Start<T>, Wide)> {
        self.found
    }

    /// Adds the next block; `false` if there is a NaN or an infinite maximum in it.
    #[inline(always)]
    pub(crate) fn add<S: Simd>(&mut self, simd: S, block: &[T], fetch: [Option<Fetch>; 2]) -> bool {
        let max = max(simd, block);
        if max == -T::INFINITY && block.iter().all(|x| *x == max) {
            return true;
        }
        if !max.to_f64().is_finite() {
            return false;
        }
        let (start, sum) = match self.found {
            Some((start, sum)) if max <= start.max => (start, sum),
            Some((start, sum)) => {
                let higher = Start::at(simd, max);
                (higher, start.rescaled(simd, sum, &higher))
            }
            None => (Start::at(simd, max), Wide::ZERO),
        };
        let sum_of_block = start.sum(simd, block, fetch);
        self.found = Some((start, sum + sum_of_block));
        true
    }

    #[inline(always)]
    fn of_row<S: Simd>(simd: S, row: &[T], fetch: [Option<Fetch>; 2]) -> Option<(Start<T>, Wide)> {
        let mut sum = Self::new();
        for (number, block) in row.chunks(BLOCK).enumerate() {
            let fetch = from_element::<T>(fetch, number * BLOCK);
            if !sum.add(simd, block, or_behind(block, fetch)) {
                return None;
            }
        }
        sum.found()
    }
}

/// `a / b`; for `f32` the precision of `f64` is more than enough.
#[inline(always)]
fn ratio<T: Float>(a: Wide, b: Wide) -> Wide {
    if T::LANES == 8 {
        a.divided_by(b)
    } else {
        Wide::new(a.high / b.high)
    }
}

/// The sum of the terms of elements, but for the first element that is `top`, if any.
#[inline(always)]
fn sum_without<S: Simd, T: Float>(
    simd: S,
    elements: &[T],
    mut top: Option<T>,
    fill: T,
    term: impl Fn(T::Vector<S>) -> T::Vector<S>,
) -> Wide {
    let mut sum = TermSum::new(simd);
    for chunk in elements.chunks(T::LANES) {
        let mut vector = partial(simd, chunk, fill);
        if let Some(value) = top
            && vector
                .simd_eq(T::Vector::<S>::splat(simd, value))
                .any_true()
        {
            let lanes = vector.as_mut_slice();
            if let Some(element) = lanes.iter_mut().find(|element| **element == value) {
                *element = fill;
                top = None;
            }
        }
        sum.add::<T>(term(vector));
    }
    sum.total::<T>()
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
            let factor = ratio::<T>(Wide::new(1.0), kept.total());
            // Rounding could give the top class more than 1.
            let multiple = Multiple::new(factor, T::ONE);
            lane.rewrite_row(simd, [lane.beside_output(), None], &multiple);
        },
    );
}

/// The terms of a row, kept in its output from their sum on. They are multiplied by one factor in two
/// parts: the rounding of the factor would count.
pub(crate) struct KeptTerms<T> {
    start: Start<T>,
    /// The term of the maximum, not rounded.
    top: Wide,
    /// The sum of the others.
    others: Wide,
}

impl<T: Float> KeptTerms<T> {
    /// `None` without a finite maximum, or with a NaN.
    #[inline(always)]
    pub(crate) fn of<S: Simd>(simd: S, lane: &mut Lane<'_, T, 1>) -> Option<Self> {
        let start = Start::of(simd, lane.input())?;
        let fetch = [lane.beside_input(), None];
        let sum = lane.write_row_and_sum(simd, fetch, &start.terms);
        let sum = sum.total::<T>();
        let others = start.others(sum, || start.sum_of_kept_others(simd, lane.output()))?;
        let top = start.unit.scaled(T::FORMAT.sum_lift_factor);
        Some(Self { start, top, others })
    }

    #[inline(always)]
    fn total(&self) -> Wide {
        if T::LANES == 8 {
            self.others + self.top
        } else {
            Wide::new(self.others.high + self.top.high)
        }
    }

    /// The normaliser of the row.
    #[inline(always)]
    pub(crate) fn normalizer<S: Simd>(&self, simd: S) -> Normalizer<T> {
        self.start.normalizer(simd, self.others)
    }

    /// The term of the top class, rounded as terms are.
    #[inline(always)]
    pub(crate) fn top(&self) -> T {
        self.start.top
    }

    /// What the terms of all negligible classes are.
    #[inline(always)]
    pub(crate) fn least_term<S: Simd>(&self, simd: S) -> T {
        self.start.least_term(simd)
    }

    /// The probability of a class with this term.
    #[inline(always)]
    pub(crate) fn probability(&self, term: T) -> Wide {
        ratio::<T>(Wide::new(term.to_f64()), self.total())
    }

    /// Writes `factor p` for every class.
    #[inline(always)]
    pub(crate) fn write_probabilities<S: Simd>(
        &self,
        simd: S,
        factor: Wide,
        lane: &mut Lane<'_, T, 1>,
    ) {
        let factor = ratio::<T>(factor, self.total());
        if is_ordinary::<T>(factor) {
            let multiple = Multiple::new(factor, T::INFINITY);
            lane.rewrite_row(simd, [lane.beside_output(), None], &multiple);
        } else {
            self.start.write_rare_multiple(simd, factor, lane);
        }
    }
}

/// Whether a factor of terms is neither so small that it loses bits in two parts, nor so large that
/// something is left of a negligible term.
#[inline(always)]
pub(crate) fn is_ordinary<T: Float>(factor: Wide) -> bool {
    (tiny_factor::<T>()..=most_factor::<T>()).contains(&factor.high.abs())
}

/// Above this a factor leaves something of a negligible term.
#[inline(always)]
pub(crate) fn most_factor<T: Float>() -> f64 {
    const LARGE: f64 = (1_u64 << 32) as f64;
    T::FORMAT.sum_lift_factor.recip() * LARGE
}

impl<T: Float> Start<T> {
    /// [`sum_of_others`](Self::sum_of_others) from terms that were kept.
    #[inline(never)]
    fn sum_of_kept_others<S: Simd>(&self, simd: S, terms: &[T]) -> Wide {
        simd.vectorize(
            #[inline(always)]
            || {
                let least = T::Vector::<S>::splat(simd, self.least_term(simd));
                let zero = T::Vector::<S>::splat(simd, T::ZERO);
                sum_without(
                    simd,
                    terms,
                    Some(self.top),
                    T::ZERO,
                    #[inline(always)]
                    |term| term.simd_le(least).select(zero, term),
                )
            },
        )
    }

    /// What the terms of all negligible classes are.
    #[inline(always)]
    fn least_term<S: Simd>(&self, simd: S) -> T {
        let [least] = self
            .terms
            .apply([T::Vector::<S>::splat(simd, -T::INFINITY)]);
        least.as_slice()[0]
    }

    /// Multiplies kept terms by a factor that is tiny or large.
    #[cold]
    #[inline(never)]
    fn write_rare_multiple<S: Simd>(&self, simd: S, factor: Wide, lane: &mut Lane<'_, T, 1>) {
        simd.vectorize(
            #[inline(always)]
            || {
                let lift = T::FORMAT.sum_lift_factor;
                // A tiny factor is too small to keep its bits, but for what the terms are lifted by.
                let is_tiny = factor.high.abs() < tiny_factor::<T>();
                let (factor, back) = if is_tiny {
                    (factor.scaled(lift), lift.recip())
                } else {
                    (factor, 1.0)
                };
                let multiple = RareMultiple {
                    multiple: Multiple::new(factor, T::INFINITY),
                    back: T::from_f64(back),
                    least: self.least_term(simd),
                };
                lane.rewrite_row(simd, [None; 2], &multiple);
            },
        );
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

impl<S: Simd, T: Float> RowMap<S, T> for ScaledExp<T> {
    const FILL: T = T::ZERO;

    #[inline(always)]
    fn map<const N: usize>(&self, x: [T::Vector<S>; N]) -> [T::Vector<S>; N] {
        self.apply(x)
    }
}

/// `x * (high + low)`, up to a limit.
struct Multiple<T> {
    high: T,
    low: T,
    limit: T,
}

impl<T: Float> Multiple<T> {
    #[inline(always)]
    fn new(factor: Wide, limit: T) -> Self {
        let [high, low] = factor.parts();
        Self { high, low, limit }
    }
}

impl<S: Simd, T: Float> RowMap<S, T> for Multiple<T> {
    const FILL: T = T::ZERO;

    #[inline(always)]
    fn map<const N: usize>(&self, mut terms: [T::Vector<S>; N]) -> [T::Vector<S>; N] {
        for term in &mut terms {
            let c = |constant| T::Vector::<S>::splat(term.token(), constant);
            let low = *term * c(self.low);
            let product = term.fused_mul_add(c(self.high), low);
            *term = product.min(c(self.limit));
        }
        terms
    }
}

/// The same, times a power of two; negligible terms are 0.
struct RareMultiple<T> {
    multiple: Multiple<T>,
    back: T,
    least: T,
}

impl<S: Simd, T: Float> RowMap<S, T> for RareMultiple<T> {
    const FILL: T = T::ZERO;

    #[inline(always)]
    fn map<const N: usize>(&self, terms: [T::Vector<S>; N]) -> [T::Vector<S>; N] {
        let mut results = RowMap::<S, T>::map(&self.multiple, terms);
        for (result, term) in results.iter_mut().zip(terms) {
            let c = |constant| T::Vector::<S>::splat(term.token(), constant);
            let negligible = term.simd_le(c(self.least));
            *result = negligible.select(c(T::ZERO), *result * c(self.back));
        }
        results
    }
}
