//! Functions of one element: sigmoid, its logarithm, softplus.

use fearless_simd::Simd;

use super::RowKernel;
use super::lane::{Lane, VectorMap};
use crate::float::Float;
use crate::simd::logistic::{sigmoid, softplus};

/// An element-wise function as a kernel.
pub(crate) struct Elementwise<F>(pub(crate) F);

/// A function of each lane of some vectors.
pub(crate) trait VectorFunction: Copy + Sync {
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
        let mut x = x;
        for x in &mut x {
            *x = -*x;
        }
        let mut result = softplus(x);
        for result in &mut result {
            *result = -*result;
        }
        result
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
        lane.write::<4, _>(simd, &mut Self(self.0));
    }
}
