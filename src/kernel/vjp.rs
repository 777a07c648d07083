//! The vector-Jacobian products of softmax and log_softmax, of one row.

use fearless_simd::{ExtractToken, Simd, SimdBase, f64x8};

use super::RowKernel;
use super::lane::{Lane, VectorMap};
use crate::float::Float;
use crate::simd::logarithm::log_wide;
use crate::simd::math::{ShiftedExp, nan_where_nan, two_sum};
use crate::simd::reduce::{DotSum, partial, prefetch};
use crate::wide::Wide;

/// The gradient of softmax: `p * (g - sum(p * g))`.
pub(crate) struct SoftmaxVjp;

impl<T: Float> RowKernel<T, 2> for SoftmaxVjp {
    type Total = ();

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        _row: usize,
        lane: &mut Lane<'_, T, 2>,
        _scratch: &mut Vec<f64>,
        (): &mut (),
    ) {
        let dot = product_sum(simd, lane);
        if dot.high.is_finite() {
            lane.write::<4, _>(simd, &mut CentredProduct { dot });
        } else {
            lane.output().fill(T::NAN);
        }
    }
}

struct CentredProduct {
    dot: Wide,
}

impl<S: Simd, T: Float> VectorMap<S, T, 2> for CentredProduct {
    #[inline(always)]
    fn map<const N: usize>(
        &mut self,
        [mut results, g]: [[T::Vector<S>; N]; 2],
        _valid: usize,
    ) -> [T::Vector<S>; N] {
        for (result, g) in results.iter_mut().zip(g) {
            let (mut products, g) = (T::widen(*result), T::widen(g));
            match (products.as_mut(), g.as_ref()) {
                ([low, high], [g_low, g_high]) => {
                    let dot = f64x8::splat(low.token(), self.dot.to_f64());
                    *low *= *g_low - dot;
                    *high *= *g_high - dot;
                    *result = T::narrow(products);
                }
                ([p], [g]) => {
                    let simd = g.token();
                    let difference = two_sum(*g, f64x8::splat(simd, -self.dot.high));
                    let low = difference.low - f64x8::splat(simd, self.dot.low);
                    *p *= difference.high + low;
                    // The difference of two large numbers may be infinite.
                    let product = T::narrow(products);
                    *result = nan_where_nan(product, product);
                }
                _ => unreachable!("a vector widens to one or two"),
            }
        }
        results
    }
}

/// The gradient of log_softmax: `g - e^(log p) * sum(g)`.
pub(crate) struct LogSoftmaxVjp;

impl<T: Float> RowKernel<T, 2> for LogSoftmaxVjp {
    type Total = ();

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        _row: usize,
        lane: &mut Lane<'_, T, 2>,
        _scratch: &mut Vec<f64>,
        (): &mut (),
    ) {
        let sum = second_sum(simd, lane);
        if sum.high.is_finite() {
            lane.write::<4, _>(simd, &mut LessShare::<T>::new(simd, sum));
        } else {
            let sum = T::from_f64(sum.high);
            lane.write::<1, _>(simd, &mut LessInfinity { sum });
        }
    }
}

/// `g - e^(log p) * sum`. The sum is a factor within the exponential, where it costs no rounding.
struct LessShare<T> {
    magnitude: ShiftedExp<T>,
    sign: T,
}

impl<T: Float> LessShare<T> {
    #[inline(always)]
    fn new<S: Simd>(simd: S, sum: Wide) -> Self {
        let (magnitude, sign) = if sum.high > 0.0 {
            (sum, T::ONE)
        } else if sum.high < 0.0 {
            (-sum, -T::ONE)
        } else {
            (Wide::new(1.0), T::ZERO)
        };
        Self {
            magnitude: ShiftedExp::new(T::ZERO, -log_wide(simd, magnitude)),
            sign,
        }
    }
}

impl<S: Simd, T: Float> VectorMap<S, T, 2> for LessShare<T> {
    #[inline(always)]
    fn map<const N: usize>(
        &mut self,
        [log_p, g]: [[T::Vector<S>; N]; 2],
        _valid: usize,
    ) -> [T::Vector<S>; N] {
        let mut shares = self.magnitude.apply(log_p);
        for (share, g) in shares.iter_mut().zip(g) {
            let sign = T::Vector::<S>::splat(g.token(), self.sign);
            let difference = g - *share * sign;
            *share = nan_where_nan(difference, difference);
        }
        shares
    }
}

/// The same for a sum that is infinite or NaN: only a probability of 0 does not make it so.
struct LessInfinity<T> {
    sum: T,
}

impl<S: Simd, T: Float> VectorMap<S, T, 2> for LessInfinity<T> {
    #[inline(always)]
    fn map<const N: usize>(
        &mut self,
        [mut results, g]: [[T::Vector<S>; N]; 2],
        _valid: usize,
    ) -> [T::Vector<S>; N] {
        for (result, g) in results.iter_mut().zip(g) {
            let simd = g.token();
            let zero_or_nan = *result * T::Vector::<S>::splat(simd, T::ZERO);
            let difference = g - T::Vector::<S>::splat(simd, self.sum) + zero_or_nan;
            *result = nan_where_nan(difference, difference);
        }
        results
    }
}

/// The sum of the products of a lane's two inputs.
#[inline(always)]
fn product_sum<S: Simd, T: Float>(simd: S, lane: &mut Lane<'_, T, 2>) -> Wide {
    // Writing fetches the inputs of the row behind this one; now it is the output's turn.
    let mut place = lane.output().as_ptr();
    let mut sum = DotSum::new(simd);
    let a = lane.nth_input(0).chunks_exact(T::LANES);
    let b = lane.nth_input(1).chunks_exact(T::LANES);
    let last_a = partial(simd, a.remainder(), T::ZERO);
    let last_b = partial(simd, b.remainder(), T::ZERO);
    for (a, b) in a.zip(b) {
        prefetch(place);
        place = place.wrapping_add(T::LANES);
        let a = T::Vector::<S>::from_slice(simd, a);
        sum.add_product::<T>(a, T::Vector::<S>::from_slice(simd, b));
    }
    sum.add_product::<T>(last_a, last_b);
    sum.total::<T>()
}

/// The sum of a lane's second input.
#[inline(always)]
fn second_sum<S: Simd, T: Float>(simd: S, lane: &mut Lane<'_, T, 2>) -> Wide {
    // Writing fetches the inputs of the row behind this one; now it is the output's turn.
    let mut place = lane.output().as_ptr();
    let mut sum = DotSum::new(simd);
    let vectors = lane.nth_input(1).chunks_exact(T::LANES);
    let last = partial(simd, vectors.remainder(), T::ZERO);
    for vector in vectors {
        prefetch(place);
        place = place.wrapping_add(T::LANES);
        sum.add::<T>(T::Vector::<S>::from_slice(simd, vector));
    }
    sum.add::<T>(last);
    sum.total::<T>()
}
