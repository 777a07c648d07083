//! Whether all elements lie in a range.

use fearless_simd::{Simd, SimdBase, SimdMask};

use super::RowKernel;
use super::lane::{Lane, VectorMap};
use crate::float::Float;

/// The range from `low` to `high`, which holds 0. A second input is weights: elements that weigh
/// nothing may be anything. A third is what elements lack.
pub(crate) struct Range<T> {
    low: T,
    high: T,
}

impl<T: Float> Range<T> {
    /// The numbers from `-eps` to `1 + eps`, but perhaps for the outermost.
    pub(crate) fn of_probabilities(eps: f64) -> Self {
        // Numbers between the limit and its rounded value must not pass.
        let within = |limit: f64, otherwise: T| {
            let rounded = T::from_f64(limit);
            if rounded.to_f64().abs() <= limit.abs() {
                rounded
            } else {
                otherwise
            }
        };
        Self {
            low: within(-eps, T::ZERO),
            high: within(1.0 + eps, T::ONE),
        }
    }
}

/// Whether any element is outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AnyOutside(pub(crate) bool);

impl<T: Float, const K: usize> RowKernel<T, K> for Range<T> {
    type Total = AnyOutside;

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        _row: usize,
        lane: &mut Lane<'_, T, K>,
        _scratch: &mut Vec<f64>,
        total: &mut AnyOutside,
    ) {
        let zero = T::Vector::<S>::splat(simd, T::ZERO);
        let mut block = Block::<S, T> {
            low: T::Vector::<S>::splat(simd, self.low),
            high: T::Vector::<S>::splat(simd, self.high),
            zero,
            inside: zero.simd_eq(zero),
        };
        lane.read::<1, _>(simd, &mut block);
        total.0 |= !block.inside.all_true();
    }
}

struct Block<S: Simd, T: Float> {
    low: T::Vector<S>,
    high: T::Vector<S>,
    zero: T::Vector<S>,
    inside: <T::Vector<S> as SimdBase<S>>::Mask,
}

impl<S: Simd, T: Float, const K: usize> VectorMap<S, T, K> for Block<S, T> {
    #[inline(always)]
    fn map<const N: usize>(
        &mut self,
        inputs: [[T::Vector<S>; N]; K],
        _valid: usize,
    ) -> [T::Vector<S>; N] {
        for (i, x) in inputs[0].iter().enumerate() {
            let mut passes = x.simd_ge(self.low) & x.simd_le(self.high);
            if K == 3 {
                let lack = inputs[2][i];
                passes &= x.simd_gt(self.low) | lack.simd_ge(self.zero);
                passes &= x.simd_lt(self.high) | lack.simd_le(self.zero);
            }
            if K >= 2 {
                passes |= inputs[1][i].simd_eq(self.zero);
            }
            self.inside &= passes;
        }
        inputs[0]
    }
}
