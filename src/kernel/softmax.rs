//! softmax, log_softmax and log-sum-exp of one row.

use fearless_simd::{ExtractToken, Select, Simd, SimdBase};

use super::RowKernel;
use super::lane::{Lane, VectorMap};
use super::normalizer::{Normalizer, write_softmax};
use crate::float::Float;
use crate::simd::math::two_sum;
use crate::wide::Wide;

/// `p = e^(x - lse)`.
pub(crate) struct Softmax;

impl<T: Float> RowKernel<T, 1> for Softmax {
    type Total = ();

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        _row: usize,
        lane: &mut Lane<'_, T, 1>,
        _scratch: &mut Vec<f64>,
        (): &mut (),
    ) {
        write_softmax(simd, lane);
    }
}

/// `log p = x - lse`.
pub(crate) struct LogSoftmax;

impl<T: Float> RowKernel<T, 1> for LogSoftmax {
    type Total = ();

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        _row: usize,
        lane: &mut Lane<'_, T, 1>,
        _scratch: &mut Vec<f64>,
        (): &mut (),
    ) {
        let normalizer = Normalizer::of(simd, lane.input());
        if normalizer.is_finite() {
            lane.write::<1, _>(simd, &mut Difference::<T>::from(normalizer.log_sum_exp()));
        } else {
            lane.output().fill(T::NAN);
        }
    }
}

/// The log-sum-exp of each row, rounded to the element type.
pub(crate) struct LogSumExp;

impl<T: Float> RowKernel<T, 1> for LogSumExp {
    type Total = Vec<T>;

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        _row: usize,
        lane: &mut Lane<'_, T, 1>,
        _scratch: &mut Vec<f64>,
        total: &mut Vec<T>,
    ) {
        let value = Normalizer::of(simd, lane.input()).log_sum_exp();
        total.push(T::from_f64(value.to_f64()));
    }
}

/// `x - lse`, with the log-sum-exp in two parts so that one rounding is left.
struct Difference<T> {
    high: T,
    low: T,
}

impl<T: Float> From<Wide> for Difference<T> {
    fn from(value: Wide) -> Self {
        let high = T::from_f64(value.high);
        let low = value - Wide::new(high.to_f64());
        Self {
            high,
            low: T::from_f64(low.to_f64()),
        }
    }
}

impl<S: Simd, T: Float> VectorMap<S, T, 1> for Difference<T> {
    #[inline(always)]
    fn map<const N: usize>(
        &mut self,
        [mut vectors]: [[T::Vector<S>; N]; 1],
        _valid: usize,
    ) -> [T::Vector<S>; N] {
        for vector in &mut vectors {
            let x = *vector;
            let simd = x.token();
            let difference = two_sum(x, T::Vector::<S>::splat(simd, -self.high));
            let rest = difference.low - T::Vector::<S>::splat(simd, self.low);
            let lowest = T::Vector::<S>::splat(simd, -T::INFINITY);
            let infinite = difference.high.simd_eq(lowest);
            *vector = infinite.select(lowest, difference.high + rest);
        }
        vectors
    }
}
