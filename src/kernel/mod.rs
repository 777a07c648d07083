//! Kernels: one row (or one block of elements) at a time, contiguous.
//!
//! Here belong the formulas of the operations on memory that lies in a row. No strides, no
//! threads, no axes, no checks, and no option that the formula does not need.

pub(crate) mod binary;
pub(crate) mod binary_hessian;
pub(crate) mod class_loss;
pub(crate) mod elementwise;
pub(crate) mod hessian;
pub(crate) mod index_loss;
pub(crate) mod lane;
pub(crate) mod normalizer;
pub(crate) mod piece;
pub(crate) mod predict;
pub(crate) mod probs_loss;
pub(crate) mod range;
pub(crate) mod rows;
pub(crate) mod softmax;
pub(crate) mod spread;
#[cfg(feature = "python")]
pub(crate) mod summary;
#[cfg(test)]
mod tests;
pub(crate) mod tile;
pub(crate) mod tile_gradient;
pub(crate) mod tile_loss;
pub(crate) mod tile_spread;
pub(crate) mod vjp;

use fearless_simd::Simd;

use crate::float::Float;
use lane::Lane;

/// A kernel that works on one row of `K` inputs, and writes one row or none.
pub(crate) trait RowKernel<T: Float, const K: usize>: Sync {
    /// What a grain of rows adds up to.
    type Total: Default + Send;

    /// Whether there may be a second output.
    const WRITES_TWO: bool = false;

    /// How many numbers a row adds to a grain's total, at most.
    fn results_in_row(&self) -> usize {
        1
    }

    /// `scratch` is the kernel's own, handed on from row to row. Implementations are
    /// `#[inline(always)]`.
    fn row<S: Simd>(
        &self,
        simd: S,
        row: usize,
        lane: &mut Lane<'_, T, K>,
        scratch: &mut Vec<f64>,
        total: &mut Self::Total,
    );
}
