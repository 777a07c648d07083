//! Functions of one element: sigmoid, its logarithm, softplus.

use fearless_simd::Simd;

use super::RowKernel;
use super::lane::{Lane, VectorMap};
use crate::float::Float;
use crate::simd::logistic::{sigmoid, softplus};

/// An element-wise function as a kernel.
pub(crate) struct Elementwise<F>(pub(crate) F);

/// A function of each lane of a vector.
pub(crate) trait VectorFunction: Copy + Sync {
    fn apply<S: Simd, T: Float>(self, x: T::Vector<S>) -> T::Vector<S>;
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
    fn apply<S: Simd, T: Float>(self, x: T::Vector<S>) -> T::Vector<S> {
        sigmoid(x)
    }
}

impl VectorFunction for Softplus {
    #[inline(always)]
    fn apply<S: Simd, T: Float>(self, x: T::Vector<S>) -> T::Vector<S> {
        softplus(x)
    }
}

impl VectorFunction for LogSigmoid {
    #[inline(always)]
    fn apply<S: Simd, T: Float>(self, x: T::Vector<S>) -> T::Vector<S> {
        -softplus(-x)
    }
}

impl<F: VectorFunction, S: Simd, T: Float> VectorMap<S, T, 1> for Elementwise<F> {
    #[inline(always)]
    fn map<const N: usize>(
        &mut self,
        [vectors]: [[T::Vector<S>; N]; 1],
        _valid: usize,
    ) -> [T::Vector<S>; N] {
        let mut results = vectors;
        for result in &mut results {
            *result = self.0.apply::<S, T>(*result);
        }
        results
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
        // One vector of these is long enough to fill the pipelines, and leaves registers for the
        // constants.
        lane.write::<1, _>(simd, &mut Self(self.0));
    }
}
