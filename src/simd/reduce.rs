//! Sums of vectors that are wider than the data, in a fixed order of lanes.

use fearless_simd::{ExtractToken, Select, Simd, SimdBase, f64x8};

use super::Vector;
use super::math::{Pair, ordered_sum, two_sum};
use crate::float::Float;
use crate::wide::Wide;

/// The sum of a row's exponentials: in `f64` lanes for `f32`, in compensated lanes for `f64`.
#[derive(Clone, Copy)]
pub(crate) struct TermSum<S: Simd> {
    sums: [f64x8<S>; 2],
}

impl<S: Simd> TermSum<S> {
    #[inline(always)]
    pub(crate) fn new(simd: S) -> Self {
        Self {
            sums: [f64x8::splat(simd, 0.0); 2],
        }
    }

    #[inline(always)]
    pub(crate) fn add<T: Float>(&mut self, terms: T::Vector<S>) {
        let widened = T::widen(terms);
        let [first, second] = &mut self.sums;
        match widened.as_ref() {
            [low, high] => {
                *first += *low;
                *second += *high;
            }
            [exact] => {
                let sum = two_sum(*first, *exact);
                *first = sum.high;
                *second += sum.low;
            }
            _ => unreachable!("a vector widens to one or two"),
        }
    }

    /// The sum of both, lane by lane.
    #[inline(always)]
    pub(crate) fn plus<T: Float>(self, other: Self) -> Self {
        let ([first, second], [a, b]) = (self.sums, other.sums);
        if T::LANES == 8 {
            let sum = two_sum(first, a);
            return Self {
                sums: [sum.high, (second + b) + sum.low],
            };
        }
        Self {
            sums: [first + a, second + b],
        }
    }

    /// The sums of eight lanes, each by itself.
    #[inline(always)]
    pub(crate) fn eight_lanes<T: Float>(&self, part: usize) -> Pair<f64x8<S>> {
        let [first, second] = self.sums;
        if T::LANES == 8 {
            ordered_sum(first, second)
        } else {
            let high = if part == 0 { first } else { second };
            let low = f64x8::splat(high.token(), 0.0);
            Pair { high, low }
        }
    }

    /// The sum over the lanes, in a fixed order; NaN if any term was.
    #[inline(always)]
    pub(crate) fn total<T: Float>(self) -> Wide {
        let [first, second] = self.sums;
        if T::LANES == 8 {
            lanes_total(first, second)
        } else {
            // For `f32` the precision of `f64` is more than enough.
            Wide::new(lanes_sum(first + second))
        }
    }
}

/// The sum over the lanes, by halves.
#[inline(always)]
fn lanes_sum<S: Simd>(lanes: f64x8<S>) -> f64 {
    let simd = lanes.token();
    let (low, high) = simd.split_f64x8(lanes);
    let (low, high) = simd.split_f64x4(low + high);
    let pair = low + high;
    pair[0] + pair[1]
}

/// The sum over the lanes of `high` and their rounding errors in `low`, by halves.
#[inline(always)]
fn lanes_total<S: Simd>(high: f64x8<S>, low: f64x8<S>) -> Wide {
    let simd = high.token();
    let ((a, b), (a_low, b_low)) = (simd.split_f64x8(high), simd.split_f64x8(low));
    let four = two_sum(a, b);
    let low = (a_low + b_low) + four.low;
    let ((a, b), (a_low, b_low)) = (simd.split_f64x4(four.high), simd.split_f64x4(low));
    let two = two_sum(a, b);
    let low = (a_low + b_low) + two.low;
    let sum = Wide::sum(two.high[0], two.high[1]);
    // The errors of an infinite sum are NaN and mean nothing.
    if !sum.high.is_finite() {
        return Wide::new(sum.high);
    }
    Wide::ordered_sum(sum.high, (low[0] + low[1]) + sum.low)
}

/// A sum of products that keeps the rounding errors of both.
pub(crate) struct ProductSum<S: Simd> {
    sum: f64x8<S>,
    error: f64x8<S>,
}

impl<S: Simd> ProductSum<S> {
    #[inline(always)]
    pub(crate) fn new(simd: S) -> Self {
        let zero = f64x8::splat(simd, 0.0);
        Self {
            sum: zero,
            error: zero,
        }
    }

    /// Adds `a * b` in every lane.
    #[inline(always)]
    pub(crate) fn add(&mut self, a: f64x8<S>, b: f64x8<S>) {
        let product = a * b;
        let error = a.fused_mul_add(b, -product);
        let sum = two_sum(self.sum, product);
        self.sum = sum.high;
        self.error += sum.low + error;
    }

    /// Adds `a * b` in every lane with one rounding, which for sums of `f32` is exact enough.
    #[inline(always)]
    pub(crate) fn add_rounded(&mut self, a: f64x8<S>, b: f64x8<S>) {
        self.sum = a.fused_mul_add(b, self.sum);
    }

    /// The sum over the lanes of what was added with one rounding, in a fixed order.
    #[inline(always)]
    pub(crate) fn total_rounded(self) -> Wide {
        lanes_total(self.sum, f64x8::splat(self.sum.token(), 0.0))
    }

    /// Adds terms: those of `f32` to `f64` lanes, which is exact enough for thousands of them.
    #[inline(always)]
    pub(crate) fn add_term<T: Float>(&mut self, terms: T::Vector<S>) {
        match T::widen(terms).as_ref() {
            [low, high] => self.sum += *low + *high,
            [exact] => {
                let sum = two_sum(self.sum, *exact);
                self.sum = sum.high;
                self.error += sum.low;
            }
            _ => unreachable!("a vector widens to one or two"),
        }
    }

    /// The sum over the lanes, in a fixed order.
    #[inline(always)]
    pub(crate) fn total(self) -> Wide {
        let zero = f64x8::splat(self.sum.token(), 0.0);
        // The errors of an infinite sum are NaN and mean nothing.
        let finite = self.sum.abs().simd_lt(f64::INFINITY);
        lanes_total(self.sum, finite.select(self.error, zero))
    }
}

/// The sum of elements or of their products: in `f64` lanes for `f32`, whose products are exact there; in
/// compensated lanes that keep the rounding errors of products and sums for `f64`.
pub(crate) struct DotSum<S: Simd> {
    sums: [f64x8<S>; 2],
}

impl<S: Simd> DotSum<S> {
    #[inline(always)]
    pub(crate) fn new(simd: S) -> Self {
        Self {
            sums: [f64x8::splat(simd, 0.0); 2],
        }
    }

    #[inline(always)]
    pub(crate) fn add<T: Float>(&mut self, terms: T::Vector<S>) {
        let [first, second] = &mut self.sums;
        match T::widen(terms).as_ref() {
            [low, high] => {
                *first += *low;
                *second += *high;
            }
            &[term] => {
                let sum = two_sum(*first, term);
                *first = sum.high;
                *second += sum.low;
            }
            _ => unreachable!("a vector widens to one or two"),
        }
    }

    /// Adds `a * b` in every lane.
    #[inline(always)]
    pub(crate) fn add_product<T: Float>(&mut self, a: T::Vector<S>, b: T::Vector<S>) {
        let [first, second] = &mut self.sums;
        match (T::widen(a).as_ref(), T::widen(b).as_ref()) {
            (&[a_low, a_high], &[b_low, b_high]) => {
                *first += a_low * b_low;
                *second += a_high * b_high;
            }
            (&[a], &[b]) => {
                let (sum, error) = (*first, *second);
                let mut exact = ProductSum { sum, error };
                exact.add(a, b);
                self.sums = [exact.sum, exact.error];
            }
            _ => unreachable!("a vector widens to one or two"),
        }
    }

    /// Adds the lanes of one vector of elements, widened.
    #[inline(always)]
    pub(crate) fn add_wide(&mut self, terms: &[f64x8<S>]) {
        let [first, second] = &mut self.sums;
        match terms {
            [low, high] => {
                *first += *low;
                *second += *high;
            }
            &[term] => {
                let sum = two_sum(*first, term);
                *first = sum.high;
                *second += sum.low;
            }
            _ => unreachable!("a vector widens to one or two"),
        }
    }

    /// Adds `a * b` in every lane of one vector of elements, widened.
    #[inline(always)]
    pub(crate) fn add_wide_product(&mut self, a: &[f64x8<S>], b: &[f64x8<S>]) {
        let [first, second] = &mut self.sums;
        match (a, b) {
            (&[a_low, a_high], &[b_low, b_high]) => {
                *first += a_low * b_low;
                *second += a_high * b_high;
            }
            (&[a], &[b]) => {
                let (sum, error) = (*first, *second);
                let mut exact = ProductSum { sum, error };
                exact.add(a, b);
                self.sums = [exact.sum, exact.error];
            }
            _ => unreachable!("a vector widens to one or two"),
        }
    }

    /// The sums of eight lanes, each by itself.
    #[inline(always)]
    pub(crate) fn eight_lanes<T: Float>(&self, part: usize) -> Pair<f64x8<S>> {
        let [first, second] = self.sums;
        let zero = f64x8::splat(first.token(), 0.0);
        if T::LANES > 8 {
            let high = if part == 0 { first } else { second };
            return Pair { high, low: zero };
        }
        // The errors of an infinite sum are NaN and mean nothing.
        let finite = first.abs().simd_lt(f64::INFINITY);
        ordered_sum(first, finite.select(second, zero))
    }

    /// The sum over the lanes, in a fixed order.
    #[inline(always)]
    pub(crate) fn total<T: Float>(self) -> Wide {
        let [first, second] = self.sums;
        let zero = f64x8::splat(first.token(), 0.0);
        let (sum, error) = if T::LANES == 8 {
            (first, second)
        } else {
            (first + second, zero)
        };
        ProductSum { sum, error }.total()
    }
}

/// The maximum of a row of finite or infinite numbers, `-inf` for none. A NaN may be passed over
/// or come out, depending on the instruction set.
#[inline(always)]
pub(crate) fn max<S: Simd, T: Float>(simd: S, row: &[T]) -> T {
    let lowest = T::Vector::<S>::splat(simd, -T::INFINITY);
    let mut sums = [lowest; 4];
    let mut groups = row.chunks_exact(4 * T::LANES);
    for group in &mut groups {
        for (sum, chunk) in sums.iter_mut().zip(group.chunks_exact(T::LANES)) {
            *sum = sum.max(T::Vector::<S>::from_slice(simd, chunk));
        }
    }
    let mut vectors = groups.remainder().chunks_exact(T::LANES);
    for chunk in &mut vectors {
        sums[0] = sums[0].max(T::Vector::<S>::from_slice(simd, chunk));
    }
    if !vectors.remainder().is_empty() {
        // Elements that come twice do not change a maximum.
        let last = match row.len().checked_sub(T::LANES) {
            Some(start) => T::Vector::<S>::from_slice(simd, &row[start..]),
            None => partial(simd, row, -T::INFINITY),
        };
        sums[1] = sums[1].max(last);
    }
    sums[0].max(sums[1]).max(sums[2].max(sums[3])).reduce_max()
}

/// How far ahead to fetch elements of a row of this length while it is worked on: the row behind
/// it, unless the two would crowd each other out of the cache.
#[inline(always)]
pub(crate) fn ahead(len: usize) -> usize {
    if len <= FETCHED { len } else { 0 }
}

/// Up to so many elements a row is fetched while the one before is worked on.
pub(crate) const FETCHED: usize = 1 << 14;

/// Asks for a cache line that will be read soon. The address need not be that of anything.
#[inline(always)]
pub(crate) fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and cannot fault; SSE is part of x86-64.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// A vector of as many elements as lanes or fewer, filled up.
#[inline(always)]
pub(crate) fn partial<S: Simd, T: Float>(simd: S, elements: &[T], fill: T) -> T::Vector<S> {
    if elements.len() == T::LANES {
        return T::Vector::<S>::from_slice(simd, elements);
    }
    let mut vector = T::Vector::<S>::splat(simd, fill);
    vector.as_mut_slice()[..elements.len()].copy_from_slice(elements);
    vector
}
