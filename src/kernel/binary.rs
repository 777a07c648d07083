//! Binary cross entropy of a block of elements, from logits or from probabilities.
//!
//! Targets of 0 and 1 without weights leave one term, which is computed in the element type. All
//! else is computed in `f64`: weights, soft targets and the two terms would each cost half an ulp
//! of `f32`. Which way an element goes depends on itself alone.

use fearless_simd::{ExtractToken, Select, Simd, SimdBase, SimdMask, f64x8};

use super::RowKernel;
use super::lane::{Lane, VectorMap};
use crate::float::Float;
use crate::simd::logistic::logistic;
use crate::simd::math::{
    Pair, clip, exp_pair, log_pair, log1p_pair, nan_where_nan, ordered_sum, over_one_plus, two_sum,
};
use crate::simd::reduce::{ProductSum, partial};
use crate::simd::{Vector, inlined_if_short};
use crate::wide::Wide;

/// A binary loss of one element, less its weight.
pub(crate) trait BinaryLoss: Copy + Sync {
    /// Whether there is a shorter way for targets of 0 and 1.
    const CLASSES: bool;

    /// Losses and gradients of elements whose targets are `positive`, 1, or else 0.
    fn of_classes<S: Simd, V: Vector<S>, const N: usize>(
        self,
        x: [V; N],
        positive: [V::Mask; N],
    ) -> [ClassLoss<V>; N];

    /// Loss and gradient; targets are from 0 to 1.
    fn evaluate<S: Simd>(
        self,
        x: f64x8<S>,
        target: f64x8<S>,
        pos_weight: f64x8<S>,
    ) -> (f64x8<S>, f64x8<S>);
}

/// Loss and gradient of an element whose target is 0 or 1.
#[derive(Clone, Copy)]
pub(crate) struct ClassLoss<V> {
    loss: V,
    gradient: Pair<V>,
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
        let sum = match self.wanted {
            Wanted::Sum => self.block::<S, T, K, SUM>(simd, lane),
            Wanted::Losses => self.block::<S, T, K, LOSSES>(simd, lane),
            Wanted::Gradient => self.block::<S, T, K, GRADIENT>(simd, lane),
        };
        *total += sum;
    }
}

// `Wanted` as a constant: the inner loop has no branches for it.
const SUM: u8 = 0;
const LOSSES: u8 = 1;
const GRADIENT: u8 = 2;

impl<L: BinaryLoss> BinaryKernel<L> {
    #[inline(always)]
    fn block<S: Simd, T: Float, const K: usize, const WANTED: u8>(
        &self,
        simd: S,
        lane: &mut Lane<'_, T, K>,
    ) -> Wide {
        let high = T::from_f64(self.scale.high);
        let low = self.scale - Wide::new(high.to_f64());
        let mut block = Block::<S, T, L, WANTED> {
            loss: self.loss,
            scale: self.scale,
            scale_parts: [high, T::from_f64(low.to_f64())],
            sum: ProductSum::new(simd),
        };
        if WANTED == SUM {
            lane.read(simd, &mut block);
        } else if K == 2 && L::CLASSES {
            lane.write::<2, _>(simd, &mut block);
        } else {
            lane.write::<1, _>(simd, &mut block);
        }
        block.sum.total()
    }
}

struct Block<S: Simd, T, L, const WANTED: u8> {
    loss: L,
    scale: Wide,
    /// The same in the element type.
    scale_parts: [T; 2],
    sum: ProductSum<S>,
}

impl<S: Simd, L: BinaryLoss, T: Float, const K: usize, const WANTED: u8> VectorMap<S, T, K>
    for Block<S, T, L, WANTED>
{
    #[inline(always)]
    fn map<const N: usize>(
        &mut self,
        inputs: [[T::Vector<S>; N]; K],
        valid: usize,
    ) -> [T::Vector<S>; N] {
        let mut results = inputs[0];
        if K == 2 && L::CLASSES {
            let is_class = class_targets(&inputs[1]);
            let mut all = is_class[0];
            for mask in is_class {
                all &= mask;
            }
            if valid >= N * T::LANES && all.all_true() {
                return self.classes(inputs[0], inputs[1], None);
            }
            for (i, result) in results.iter_mut().enumerate() {
                let simd = result.token();
                let (zero, one) = (splat::<S, T>(simd, T::ZERO), splat::<S, T>(simd, T::ONE));
                let weight = valid_lanes::<S, T>(simd, valid);
                let is_class = is_class[i];
                let rest = is_class.select(zero, weight);
                let general = self.general([*result, inputs[1][i], rest, one]);
                *result = if is_class.any_true() {
                    let count = is_class & weight.simd_eq(one);
                    let [class] = self.classes([*result], [inputs[1][i]], Some(count));
                    is_class.select(class, general)
                } else {
                    general
                };
            }
            return results;
        }
        for (i, result) in results.iter_mut().enumerate() {
            let simd = result.token();
            let one = splat::<S, T>(simd, T::ONE);
            let (mut weight, mut pos_weight) = (one, one);
            if K == 4 {
                (weight, pos_weight) = (inputs[2][i], inputs[3][i]);
            }
            if valid < T::LANES {
                // The lanes beyond the end weigh nothing.
                weight *= valid_lanes::<S, T>(simd, valid);
            }
            *result = self.general([*result, inputs[1][i], weight, pos_weight]);
        }
        results
    }
}

#[inline(always)]
fn splat<S: Simd, T: Float>(simd: S, value: T) -> T::Vector<S> {
    T::Vector::<S>::splat(simd, value)
}

/// 1 in the lanes that hold elements, 0 in those beyond the end.
#[inline(always)]
fn valid_lanes<S: Simd, T: Float>(simd: S, valid: usize) -> T::Vector<S> {
    partial(simd, &[T::ONE; 16][..valid.min(T::LANES)], T::ZERO)
}

type MaskOf<S, V> = <V as SimdBase<S>>::Mask;

/// Where targets are 0 or 1.
#[inline(always)]
fn class_targets<S: Simd, V: Vector<S>, const N: usize>(targets: &[V; N]) -> [MaskOf<S, V>; N] {
    let simd = targets[0].token();
    let (zero, one) = (
        V::splat(simd, V::Element::ZERO),
        V::splat(simd, V::Element::ONE),
    );
    let mut masks = [targets[0].simd_eq(zero); N];
    for (mask, target) in masks.iter_mut().zip(targets) {
        *mask = target.simd_eq(zero) | target.simd_eq(one);
    }
    masks
}

impl<S: Simd, T: Float, L: BinaryLoss, const WANTED: u8> Block<S, T, L, WANTED> {
    /// Elements whose targets are 0 or 1; only those that `count` are summed.
    #[inline(always)]
    fn classes<const N: usize>(
        &mut self,
        x: [T::Vector<S>; N],
        targets: [T::Vector<S>; N],
        count: Option<MaskOf<S, T::Vector<S>>>,
    ) -> [T::Vector<S>; N] {
        let simd = x[0].token();
        let (zero, one) = (splat::<S, T>(simd, T::ZERO), splat::<S, T>(simd, T::ONE));
        let mut positive = [targets[0].simd_eq(one); N];
        for (positive, target) in positive.iter_mut().zip(targets) {
            *positive = target.simd_eq(one);
        }
        let losses = self.loss.of_classes(x, positive);
        let [scale, scale_low] = self.scale_parts;
        let (scale, scale_low) = (splat::<S, T>(simd, scale), splat::<S, T>(simd, scale_low));
        let mut results = x;
        for (result, ClassLoss { loss, gradient }) in results.iter_mut().zip(losses) {
            if WANTED != LOSSES {
                let term = count.map_or(loss, |count| count.select(loss, zero));
                self.sum.add_term::<T>(term);
            }
            *result = if WANTED == GRADIENT {
                let low = gradient.low * scale;
                let low = gradient.high.fused_mul_add(scale_low, low);
                let scaled = gradient.high.fused_mul_add(scale, low);
                nan_where_nan(*result, scaled)
            } else {
                loss
            };
        }
        results
    }

    /// Elements with any target, in `f64`: scores, targets, weights and those of the positive class.
    #[inline(always)]
    fn general(&mut self, inputs: [T::Vector<S>; 4]) -> T::Vector<S> {
        let [x, targets, weight, pos_weight] = inputs;
        let (targets, weight) = (T::widen(targets), T::widen(weight));
        let pos_weight = T::widen(pos_weight);
        let mut results = T::widen(x);
        for (part, result) in results.as_mut().iter_mut().enumerate() {
            *result = self.element(
                *result,
                targets.as_ref()[part],
                weight.as_ref()[part],
                pos_weight.as_ref()[part],
            );
        }
        T::narrow(results)
    }

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
        let result = if WANTED == GRADIENT {
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
    const CLASSES: bool = true;

    #[inline(always)]
    fn of_classes<S: Simd, V: Vector<S>, const N: usize>(
        self,
        mut z: [V; N],
        positive: [V::Mask; N],
    ) -> [ClassLoss<V>; N] {
        let zero = V::splat(z[0].token(), V::Element::ZERO);
        for (z, positive) in z.iter_mut().zip(positive) {
            *z = positive.select(-*z, *z);
        }
        let nothing = Pair {
            high: zero,
            low: zero,
        };
        let mut results = [ClassLoss {
            loss: zero,
            gradient: nothing,
        }; N];
        for (i, logistic) in logistic(z).into_iter().enumerate() {
            let Pair { high, low } = logistic.sigmoid;
            results[i] = ClassLoss {
                loss: logistic.softplus,
                // 0 - 0 is 0, whereas -0 would show.
                gradient: Pair {
                    high: positive[i].select(zero - high, high),
                    low: positive[i].select(zero - low, low),
                },
            };
        }
        results
    }

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
    const CLASSES: bool = false;

    #[inline(always)]
    fn of_classes<S: Simd, V: Vector<S>, const N: usize>(
        self,
        _p: [V; N],
        _positive: [V::Mask; N],
    ) -> [ClassLoss<V>; N] {
        unreachable!("all targets go the general way")
    }

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
