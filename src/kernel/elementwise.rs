//! Functions of one element: sigmoid, its logarithm, softplus.

use fearless_simd::Simd;

use super::RowKernel;
use super::lane::{Lane, VectorMap};
use crate::float::Float;
use crate::simd::logistic::{sigmoid, softplus};
use crate::simd::{each, has_wide_registers};

/// An element-wise function as a kernel.
pub(crate) struct Elementwise<F>(pub(crate) F);

/// A function of each lane of vectors.
pub(crate) trait VectorFunction: Copy + Sync {
    /// `N` vectors at once, to keep the machine's pipelines full.
    fn apply<S: Simd, T: Float, const N: usize>(self, x: [T::Vector<S>; N]) -> [T::Vector<S>; N];
}

/// `1 / (1 + e^-x)`.
#[derive(Clone, Copy)]
pub(crate) struct Sigmoid;

/// `log(1 + e^x)`.
#[derive(Clone, Copy)]
pub(crate) struct Softplus;

/// `-log(1 + e^-x)`.
#[derive(Clone, Copy)]
pub(crate) struct LogSigmoid;

impl VectorFunction for Sigmoid {
    #[inline(always)]
    fn apply<S: Simd, T: Float, const N: usize>(self, x: [T::Vector<S>; N]) -> [T::Vector<S>; N] {
        sigmoid(x)
    }
}

impl VectorFunction for Softplus {
    #[inline(always)]
    fn apply<S: Simd, T: Float, const N: usize>(self, x: [T::Vector<S>; N]) -> [T::Vector<S>; N] {
        softplus(x)
    }
}

impl VectorFunction for LogSigmoid {
    #[inline(always)]
    fn apply<S: Simd, T: Float, const N: usize>(self, x: [T::Vector<S>; N]) -> [T::Vector<S>; N] {
        let opposite = each(
            x,
            #[inline(always)]
            |x| -x,
        );
        each(
            softplus(opposite),
            #[inline(always)]
            |result| -result,
        )
    }
}

impl<F: VectorFunction, S: Simd, T: Float> VectorMap<S, T, 1> for Elementwise<F> {
    #[inline(always)]
    fn map<const N: usize>(
        &mut self,
        [vectors]: [[T::Vector<S>; N]; 1],
        _valid: usize,
    ) -> [T::Vector<S>; N] {
        self.0.apply::<S, T, N>(vectors)
    }
}

impl<F: VectorFunction, T: Float> RowKernel<T, 1> for Elementwise<F> {
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
        // Where a vector is two registers, one of these fills the pipelines.
        if has_wide_registers(simd) {
            lane.write::<4, _>(simd, &mut Self(self.0));
        } else {
            lane.write::<1, _>(simd, &mut Self(self.0));
        }
    }
}
