//! Binary cross entropy of a block of elements, from logits or from probabilities.
//!
//! Everything is computed in `f64`: weights, soft targets and the two terms would each cost half
//! an ulp of `f32`.

use fearless_simd::{ExtractToken, Select, Simd, SimdBase, f64x8};

use super::RowKernel;
use super::lane::{Lane, VectorMap};
use crate::float::Float;
use crate::simd::math::{
    Pair, clip, exp_pair, log_pair, log1p_pair, nan_where_nan, ordered_sum, over_one_plus, two_sum,
};
use crate::simd::reduce::{ProductSum, partial};
use crate::simd::{Vector, inlined_if_short};
use crate::wide::Wide;

/// A binary loss of one element, less its weight.
pub(crate) trait BinaryLoss: Copy + Sync {
    /// Loss and gradient; targets are from 0 to 1.
    fn evaluate<S: Simd>(
        self,
        x: f64x8<S>,
        target: f64x8<S>,
        pos_weight: f64x8<S>,
    ) -> (f64x8<S>, f64x8<S>);
}

/// What a binary kernel writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nothing: the sum of the losses is all.
    Sum,
    /// The losses.
    Losses,
    /// The gradient, besides the sum of the losses.
    Gradient,
}

/// A binary loss as a kernel on logits or probabilities, targets and, if there are four inputs,
/// weights and weights of the positive class.
pub(crate) struct BinaryKernel<L> {
    pub(crate) loss: L,
    pub(crate) wanted: Wanted,
    /// Multiplies the gradient.
    pub(crate) scale: Wide,
}

impl<L: BinaryLoss, T: Float, const K: usize> RowKernel<T, K> for BinaryKernel<L> {
    type Total = Wide;

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        _row: usize,
        lane: &mut Lane<'_, T, K>,
        _scratch: &mut Vec<f64>,
        total: &mut Wide,
    ) {
        let mut block = Block {
            loss: self.loss,
            gradient: self.wanted == Wanted::Gradient,
            scale: self.scale,
            sum: ProductSum::new(simd),
        };
        if self.wanted == Wanted::Sum {
            lane.read(simd, &mut block);
        } else {
            lane.write::<1, _>(simd, &mut block);
        }
        *total += block.sum.total();
    }
}

struct Block<S: Simd, L> {
    loss: L,
    gradient: bool,
    scale: Wide,
    sum: ProductSum<S>,
}

impl<S: Simd, L: BinaryLoss, T: Float, const K: usize> VectorMap<S, T, K> for Block<S, L> {
    #[inline(always)]
    fn map<const N: usize>(
        &mut self,
        inputs: [[T::Vector<S>; N]; K],
        valid: usize,
    ) -> [T::Vector<S>; N] {
        let mut vectors = inputs[0];
        for (i, vector) in vectors.iter_mut().enumerate() {
            let simd = vector.token();
            let ones = T::Vector::<S>::splat(simd, T::ONE);
            let (mut weight, mut pos_weight) = (ones, ones);
            if K == 4 {
                (weight, pos_weight) = (inputs[2][i], inputs[3][i]);
            }
            if valid < T::LANES {
                // The lanes beyond the end weigh nothing.
                weight *= partial(simd, &[T::ONE; 16][..valid], T::ZERO);
            }
            let (weight, pos_weight) = (T::widen(weight), T::widen(pos_weight));
            let targets = T::widen(inputs[1][i]);
            let mut results = T::widen(*vector);
            for (part, result) in results.as_mut().iter_mut().enumerate() {
                *result = self.element(
                    *result,
                    targets.as_ref()[part],
                    weight.as_ref()[part],
                    pos_weight.as_ref()[part],
                );
            }
            *vector = T::narrow(results);
        }
        vectors
    }
}

impl<S: Simd, L: BinaryLoss> Block<S, L> {
    #[inline(always)]
    fn element(
        &mut self,
        x: f64x8<S>,
        y: f64x8<S>,
        weight: f64x8<S>,
        pos_weight: f64x8<S>,
    ) -> f64x8<S> {
        let simd = x.token();
        let zero = f64x8::splat(simd, 0.0);
        let left_out = weight.simd_eq(zero);
        let (loss, gradient) = inlined_if_short(
            simd,
            #[inline(always)]
            || self.loss.evaluate(x, y, pos_weight),
        );
        let loss = left_out.select(zero, loss);
        self.sum.add(loss, weight);
        let result = if self.gradient {
            let weighted = left_out.select(zero, gradient) * weight;
            let low = weighted * f64x8::splat(simd, self.scale.low);
            let scaled = weighted.fused_mul_add(f64x8::splat(simd, self.scale.high), low);
            // An infinite gradient times the scale's low part of 0 is NaN.
            let infinite = weighted.abs().simd_eq(f64::INFINITY);
            infinite.select(weighted, scaled)
        } else {
            loss * weight
        };
        nan_where_nan(result, result)
    }
}

/// `a * b`, and 0 where `a` is 0, whatever `b`.
#[inline(always)]
fn weighted<S: Simd>(a: f64x8<S>, b: f64x8<S>) -> f64x8<S> {
    let zero = f64x8::splat(a.token(), 0.0);
    a.simd_eq(zero).select(zero, a * b)
}

/// `pos_weight y softplus(-z) + (1-y) softplus(z)`.
#[derive(Clone, Copy)]
pub(crate) struct FromLogits;

impl BinaryLoss for FromLogits {
    #[inline(always)]
    fn evaluate<S: Simd>(
        self,
        z: f64x8<S>,
        y: f64x8<S>,
        pos_weight: f64x8<S>,
    ) -> (f64x8<S>, f64x8<S>) {
        let simd = z.token();
        let (zero, one) = (f64x8::splat(simd, 0.0), f64x8::splat(simd, 1.0));
        let (positive, negative) = (pos_weight * y, one - y);
        let e = exp_pair(Pair {
            high: -z.abs(),
            low: zero,
        });

        // softplus(z) = max(z, 0) + log1p(e^-|z|), softplus(-z) = max(-z, 0) + the same.
        let log = log1p_pair(e);
        let log = log.high + log.low;
        let softplus = z.simd_gt(zero).select(z, zero) + log;
        let softplus_of_minus = z.simd_lt(zero).select(-z, zero) + log;
        let loss = weighted(positive, softplus_of_minus) + weighted(negative, softplus);

        // sigmoid(|z|) = 1/(1+e), sigmoid(-|z|) = e/(1+e).
        let whole = Pair {
            high: one,
            low: zero,
        };
        let (large, small) = (over_one_plus(whole, e), over_one_plus(e, e));
        let is_positive = z.simd_ge(zero);
        let sigmoid = is_positive.select(large, small);
        let sigmoid_of_minus = is_positive.select(small, large);
        let gradient = weighted(negative, sigmoid) - weighted(positive, sigmoid_of_minus);
        let nothing = positive.simd_eq(zero) & negative.simd_eq(zero);
        (
            nothing.select(zero, nan_where_nan(z, loss)),
            nothing.select(zero, nan_where_nan(z, gradient)),
        )
    }
}

/// `-[y log(p) + (1-y) log1p(-p)]`, with `p` clipped to `[eps, 1 - eps]`.
#[derive(Clone, Copy)]
pub(crate) struct FromProbs {
    pub(crate) eps: f64,
}

impl BinaryLoss for FromProbs {
    #[inline(always)]
    fn evaluate<S: Simd>(
        self,
        p: f64x8<S>,
        y: f64x8<S>,
        _pos_weight: f64x8<S>,
    ) -> (f64x8<S>, f64x8<S>) {
        let simd = p.token();
        let (zero, one) = (f64x8::splat(simd, 0.0), f64x8::splat(simd, 1.0));
        let (clipped, was_clipped) = clip(p, self.eps);
        // 1 - p, exactly: log1p(-p) is its logarithm.
        let complement = two_sum(one, -clipped.high);
        let complement = ordered_sum(complement.high, complement.low - clipped.low);
        let rest = one - y;
        let (log, log_rest) = (log_pair(clipped), log_pair(complement));
        let loss =
            weighted(y, -(log.high + log.low)) + weighted(rest, -(log_rest.high + log_rest.low));
        let positive = y.simd_eq(zero).select(zero, y / p);
        let negative = rest.simd_eq(zero).select(zero, rest / complement.high);
        (loss, was_clipped.select(zero, negative - positive))
    }
}
