//! The diagonal of the Hessian of binary cross entropy from logits:
//! `weight (pos_weight y + 1 - y) sigmoid(z) sigmoid(-z)`.
//!
//! With `s = sigmoid(-|z|)`, which keeps the bits of a confident answer, the product is `s - s^2`. Without
//! weights the target does not matter, and the element type is enough; else all is computed in `f64`.

use fearless_simd::{ExtractToken, Select, Simd, SimdBase, SimdMask, f64x8};

use super::binary::{Elements, Sigmoids, weighted};
use super::lane::{Lane, VectorMap};
use crate::float::Float;
use crate::simd::logistic::sigmoid;
use crate::simd::math::{Pair, exp_pair, nan_where_nan, two_sum};
use crate::simd::{Vector, each};
use crate::wide::Wide;

/// Writes the Hessian of a block of elements, times a scale; the inputs are those of the loss.
#[inline(never)]
pub(crate) fn write<S: Simd, T: Float, const K: usize>(
    simd: S,
    scale: Wide,
    lane: &mut Lane<'_, T, K>,
) {
    simd.vectorize(
        #[inline(always)]
        || {
            let mut block = Block {
                scale,
                parts: scale.parts::<T>(),
            };
            lane.write::<1, _>(simd, &mut block);
        },
    );
}

/// Beyond this `sigmoid(-|z|)` is `e^-|z|`, and may be so small that it has lost bits which a weight would
/// bring to light: it is lifted until it is weighted.
const DEEP: f64 = 600.0;
const LIFT: f64 = (1_u128 << 64) as f64;

/// `LIFT e^-|z|`.
#[cold]
#[inline(never)]
fn lifted_exponential<S: Simd>(z: f64x8<S>) -> f64x8<S> {
    z.token().vectorize(
        #[inline(always)]
        || {
            let c = |constant| f64x8::splat(z.token(), constant);
            let f = <f64 as Float>::FORMAT;
            // No weight makes a number of what is beyond.
            let smaller = z.abs().min(c(2.0 * DEEP));
            let argument = two_sum(c(64.0 * f.ln_2_high), -smaller);
            let low = argument.low + c(64.0 * f.ln_2_low);
            let power = exp_pair(Pair {
                high: argument.high,
                low,
            });
            power.high + power.low
        },
    )
}

struct Block<T> {
    scale: Wide,
    /// The same in the element type.
    parts: [T; 2],
}

impl<S: Simd, T: Float, const K: usize> VectorMap<S, T, K> for Block<T> {
    #[inline(always)]
    fn map<const N: usize>(
        &mut self,
        inputs: [[T::Vector<S>; N]; K],
        _valid: usize,
    ) -> [T::Vector<S>; N] {
        let mut results = inputs[0];
        for (i, result) in results.iter_mut().enumerate() {
            *result = if K > 2 {
                self.weighted::<S>(&Elements::new(each(
                    inputs,
                    #[inline(always)]
                    |input| input[i],
                )))
            } else {
                self.unweighted::<S>(*result)
            };
        }
        results
    }
}

impl<T: Float> Block<T> {
    /// `scale s - scale s^2`, rounded once but for what `s^2` is made of; the error of `s` shows less, the
    /// nearer it is to a half.
    #[inline(always)]
    fn unweighted<S: Simd>(&self, z: T::Vector<S>) -> T::Vector<S> {
        let [high, low] = self.parts;
        let high = T::Vector::<S>::splat(z.token(), high);
        let low = T::Vector::<S>::splat(z.token(), low);
        let [share] = sigmoid([-z.abs()]);
        let rest = share * low;
        let scaled = share.fused_mul_add(high, rest);
        share.fused_mul_add(high, (-scaled).fused_mul_add(share, rest))
    }

    #[inline(always)]
    fn weighted<S: Simd>(&self, elements: &Elements<T::Vector<S>>) -> T::Vector<S> {
        let targets = elements.target.widened::<S, T>();
        let weight = elements.weight.widened::<S, T>();
        let pos_weight = elements.pos_weight.widened::<S, T>();
        let mut results = T::widen::<S>(elements.x);
        for (part, result) in results.as_mut().iter_mut().enumerate() {
            let z = *result;
            let c = |constant| f64x8::splat(z.token(), constant);
            let target = targets.as_ref()[part];
            let Sigmoids { large, small, .. } = Sigmoids::of(T::LANES > 8, z);
            let counts = pos_weight.as_ref()[part] * target + (c(1.0) - target);
            let coefficient = weighted(weight.as_ref()[part], counts);
            let (mut product, mut back) = (large * small, c(1.0));
            let deep = z.abs().simd_gt(DEEP);
            if T::LANES == 8 && deep.any_true() {
                product = deep.select(lifted_exponential(z), product);
                back = deep.select(c(LIFT.recip()), back);
            }
            let product = nan_where_nan(z, product) * coefficient;
            let low = product * c(self.scale.low);
            let scaled = product.fused_mul_add(c(self.scale.high), low) * back;
            *result = coefficient.simd_eq(c(0.0)).select(c(0.0), scaled);
        }
        T::narrow(results)
    }
}
