//! Binary cross entropy of a block of elements, from logits or from probabilities.
//!
//! Targets of 0 and 1 leave one term, which is computed in the element type. All else is computed in
//! `f64`: soft targets and the two terms would each cost half an ulp of `f32`, and so would a weight
//! that is not taken into the last steps of the term. Which way an element goes depends on itself alone.
//!
//! Only vectors of such targets with ordinary scores and weights are worked on in the loop. The others
//! are called: the code is large, would be copied for whatever is written, and takes far longer than
//! the call.

use fearless_simd::{ExtractToken, Select, Simd, SimdBase, SimdFloat, SimdMask, f64x8};

use super::RowKernel;
use super::binary_hessian;
use super::lane::{Lane, VectorMap};
use crate::float::Float;
use crate::simd::logarithm::{log_pair, log1p, log1p_pair};
use crate::simd::logistic::{
    Logistic, Scale, are_ordinary, is_moderate, logistic, weighted_logistic,
};
use crate::simd::math::{
    Pair, clip, exp, exp_pair, nan_where_nan, ordered_sum, over_one_plus, two_sum,
};
use crate::simd::reduce::{ProductSum, partial};
use crate::simd::{Vector, each, has_wide_registers};
use crate::wide::Wide;

/// A binary loss of one element, less its weight.
pub(crate) trait BinaryLoss: Copy + Sync {
    /// Whether there is a shorter way for targets of 0 and 1.
    const CLASSES: bool;

    /// Whether it is a loss of logits, the diagonal of whose Hessian is written where there is a place
    /// for it.
    const HAS_HESSIAN: bool = false;

    /// Loss, and gradient times the scale, of elements whose targets are 0 or 1. Scores are
    /// ordinary, or may be `RARE`.
    fn of_classes<S: Simd, V: Vector<S>, const N: usize, const RARE: bool>(
        self,
        x: [V; N],
        target: [V; N],
        scale: Scale<V::Element>,
    ) -> [ClassLoss<V>; N];

    /// The same with a weight for each element. Scores are moderate, weights are so or 0.
    fn of_weighted_classes<S: Simd, V: Vector<S>>(
        self,
        x: V,
        target: V,
        weight: Pair<V>,
        scale: Scale<V::Element>,
    ) -> ClassLoss<V>;

    /// Loss and gradient; targets are from 0 to 1. Results may be `narrow`: of 24 bits.
    fn evaluate<S: Simd>(
        self,
        narrow: bool,
        x: f64x8<S>,
        target: f64x8<S>,
        pos_weight: f64x8<S>,
    ) -> (f64x8<S>, f64x8<S>);
}

/// Loss and gradient of an element whose target is 0 or 1.
#[derive(Clone, Copy)]
pub(crate) struct ClassLoss<V> {
    loss: V,
    gradient: V,
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
/// weights and weights of the positive class. Three more are what these and the targets lack: they are
/// sums of two elements each then.
pub(crate) struct BinaryKernel<L> {
    pub(crate) loss: L,
    pub(crate) wanted: Wanted,
    /// Multiplies the gradient.
    pub(crate) scale: Wide,
}

impl<L: BinaryLoss, T: Float, const K: usize> RowKernel<T, K> for BinaryKernel<L> {
    type Total = Wide;

    const WRITES_TWO: bool = L::HAS_HESSIAN;

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        _row: usize,
        lane: &mut Lane<'_, T, K>,
        _scratch: &mut Vec<f64>,
        total: &mut Wide,
    ) {
        if L::HAS_HESSIAN && lane.has_second() {
            // Before the gradient, which may overwrite what both are made of.
            binary_hessian::write(simd, self.scale, &mut lane.second_lane());
        }
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
        let mut block = Block::<S, T, L, WANTED> {
            settings: Settings {
                loss: self.loss,
                scale: self.scale,
                class_scale: Scale::new(self.scale),
            },
            sum: ProductSum::new(simd),
        };
        // Where a vector is two registers, one fills the pipelines; so does one with its weights.
        match (WANTED == SUM, has_wide_registers(simd) && K == 2) {
            (true, true) => lane.read::<4, _>(simd, &mut block),
            (true, false) => lane.read::<1, _>(simd, &mut block),
            (false, true) => lane.write::<4, _>(simd, &mut block),
            (false, false) => lane.write::<1, _>(simd, &mut block),
        }
        block.sum.total()
    }
}

/// What is the same for all elements.
#[derive(Clone, Copy)]
struct Settings<T, L> {
    loss: L,
    scale: Wide,
    class_scale: Scale<T>,
}

struct Block<S: Simd, T, L, const WANTED: u8> {
    settings: Settings<T, L>,
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
        let is_whole = valid >= N * T::LANES;
        if L::CLASSES && is_whole && K == 2 && are_short(inputs[0], inputs[1]) {
            return self.short_classes(inputs[0], inputs[1]);
        }
        for (i, result) in results.iter_mut().enumerate() {
            let mut elements = Elements::new(each(
                inputs,
                #[inline(always)]
                |input| input[i],
            ));
            if !is_whole {
                // The lanes beyond the end weigh nothing.
                let is_there = partial(elements.x.token(), &[T::ONE; 16][..valid], T::ZERO);
                elements.weight.high *= is_there;
                elements.weight.low *= is_there;
            }
            if L::CLASSES && K > 2 {
                let weight = elements.weight_of_class();
                if elements.have_classes(weight).all_true() {
                    *result = self.weighted_classes(&elements, weight, None);
                    continue;
                }
            }
            // The sum goes there and comes back by value: a reference would keep it in memory.
            let sum = std::mem::replace(&mut self.sum, ProductSum::new(elements.x.token()));
            (*result, self.sum) =
                any_elements::<S, T, L, WANTED>(self.settings, sum, elements, K > 2);
        }
        results
    }
}

/// A vector of elements: scores, targets, weights and those of the positive class.
#[derive(Clone, Copy)]
pub(crate) struct Elements<V> {
    pub(crate) x: V,
    pub(crate) target: Pair<V>,
    pub(crate) weight: Pair<V>,
    pub(crate) pos_weight: Pair<V>,
}

impl<V> Elements<V> {
    /// From as many inputs as there are.
    #[inline(always)]
    pub(crate) fn new<S: Simd, const K: usize>(inputs: [V; K]) -> Self
    where
        V: Vector<S>,
    {
        let simd = inputs[0].token();
        let input = |index: usize, otherwise: V::Element| {
            let given = inputs.get(index).copied();
            given.unwrap_or_else(|| V::splat(simd, otherwise))
        };
        let pair = |[high, low]: [usize; 2]| Pair {
            high: input(high, V::Element::ONE),
            low: input(low, V::Element::ZERO),
        };
        Self {
            x: inputs[0],
            target: pair([1, 4]),
            weight: pair([2, 5]),
            pos_weight: pair([3, 6]),
        }
    }

    /// What an element's only term weighs where the target is 0 or 1.
    #[inline(always)]
    fn weight_of_class<S: Simd>(&self) -> Pair<V>
    where
        V: Vector<S>,
    {
        let (weight, positive) = (self.weight, self.pos_weight);
        let high = weight.high * positive.high;
        let low = weight.high.fused_mul_add(positive.high, -high)
            + weight
                .high
                .fused_mul_add(positive.low, weight.low * positive.high);
        let one = V::splat(high.token(), V::Element::ONE);
        let is_positive = self.target.high.simd_eq(one);
        Pair {
            high: is_positive.select(high, weight.high),
            low: is_positive.select(low, weight.low),
        }
    }

    /// Where targets are 0 or 1 and neither scores nor these weights need care.
    #[inline(always)]
    fn have_classes<S: Simd>(&self, weight: Pair<V>) -> V::Mask
    where
        V: Vector<S>,
    {
        const LARGE: f64 = 65_536.0;
        let c = |constant| V::splat(self.x.token(), constant);
        let zero = c(V::Element::ZERO);
        let target = self.target;
        let is_class = target.high.simd_eq(zero) | target.high.simd_eq(c(V::Element::ONE));
        let magnitude = weight.high.abs();
        let is_usual = magnitude.simd_ge(c(V::Element::from_f64(LARGE.recip())))
            & magnitude.simd_le(c(V::Element::from_f64(LARGE)));
        let is_nothing = magnitude.simd_eq(zero) & weight.low.simd_eq(zero);
        is_class & target.low.simd_eq(zero) & (is_usual | is_nothing) & is_moderate(self.x)
    }
}

type MaskOf<S, V> = <V as SimdBase<S>>::Mask;

#[inline(always)]
fn splat<S: Simd, T: Float>(simd: S, value: T) -> T::Vector<S> {
    T::Vector::<S>::splat(simd, value)
}

/// Whether all targets are 0 or 1, and no score needs care.
#[inline(always)]
fn are_short<S: Simd, V: Vector<S>, const N: usize>(x: [V; N], target: [V; N]) -> bool {
    let bits = |constant| V::splat(x[0].token(), constant).to_bits();
    let (zero, one) = (bits(V::Element::ZERO), bits(V::Element::ONE));
    let are_classes = each(
        target,
        #[inline(always)]
        |target| {
            // Adding the bits to themselves drops the sign of a zero. Integers take turns with the
            // arithmetic, where comparing numbers would add to it.
            let doubled = target.to_bits() + target.to_bits();
            doubled.simd_eq(zero) | doubled.simd_eq(one + one)
        },
    );
    let mut classes = are_classes[0];
    for is_class in are_classes {
        classes &= is_class;
    }
    classes.all_true() && are_ordinary(x)
}

impl<S: Simd, T: Float, L: BinaryLoss, const WANTED: u8> Block<S, T, L, WANTED> {
    /// Elements whose targets are 0 or 1, and whose scores are ordinary.
    #[inline(always)]
    fn short_classes<const N: usize>(
        &mut self,
        x: [T::Vector<S>; N],
        target: [T::Vector<S>; N],
    ) -> [T::Vector<S>; N] {
        let Settings {
            loss, class_scale, ..
        } = self.settings;
        let classes = loss.of_classes::<S, T::Vector<S>, N, false>(x, target, class_scale);
        let mut results = x;
        for (result, class) in results.iter_mut().zip(classes) {
            *result = self.counted(class, None);
        }
        results
    }

    /// Elements whose targets are 0 or 1, and whose scores may be any; only those that `count` are summed.
    #[inline(always)]
    fn classes(
        &mut self,
        x: T::Vector<S>,
        target: T::Vector<S>,
        count: MaskOf<S, T::Vector<S>>,
    ) -> T::Vector<S> {
        let Settings {
            loss, class_scale, ..
        } = self.settings;
        let [class] = loss.of_classes::<S, T::Vector<S>, 1, true>([x], [target], class_scale);
        self.counted(class, Some(count))
    }

    /// The same with weights.
    #[inline(always)]
    fn weighted_classes(
        &mut self,
        elements: &Elements<T::Vector<S>>,
        weight: Pair<T::Vector<S>>,
        count: Option<MaskOf<S, T::Vector<S>>>,
    ) -> T::Vector<S> {
        let Settings {
            loss, class_scale, ..
        } = self.settings;
        let Elements { x, target, .. } = *elements;
        let class =
            loss.of_weighted_classes::<S, T::Vector<S>>(x, target.high, weight, class_scale);
        self.counted(class, count)
    }

    /// Adds losses, and gives what is written.
    #[inline(always)]
    fn counted(
        &mut self,
        ClassLoss { loss, gradient }: ClassLoss<T::Vector<S>>,
        count: Option<MaskOf<S, T::Vector<S>>>,
    ) -> T::Vector<S> {
        if WANTED != LOSSES {
            let zero = splat::<S, T>(loss.token(), T::ZERO);
            let term = count.map_or(loss, |count| count.select(loss, zero));
            self.sum.add_term::<T>(term);
        }
        if WANTED == GRADIENT { gradient } else { loss }
    }

    /// Elements whose targets are 0 or 1 or not.
    #[inline(always)]
    fn mixed(&mut self, elements: Elements<T::Vector<S>>, is_weighted: bool) -> T::Vector<S> {
        let Elements {
            x, target, weight, ..
        } = elements;
        let simd = x.token();
        let (zero, one) = (splat::<S, T>(simd, T::ZERO), splat::<S, T>(simd, T::ONE));
        let weight_of_class = elements.weight_of_class();
        let is_class = if is_weighted {
            elements.have_classes(weight_of_class)
        } else {
            target.high.simd_eq(zero) | target.high.simd_eq(one)
        };
        let mut result = x;
        if !is_class.all_true() {
            let rest = Pair {
                high: is_class.select(zero, weight.high),
                low: is_class.select(zero, weight.low),
            };
            result = self.general(Elements {
                weight: rest,
                ..elements
            });
        }
        if is_class.any_true() {
            let class = if is_weighted {
                self.weighted_classes(&elements, weight_of_class, Some(is_class))
            } else {
                let count = is_class & weight.high.simd_eq(one);
                self.classes(x, target.high, count)
            };
            result = is_class.select(class, result);
        }
        result
    }

    /// Elements with any target, in `f64`.
    #[inline(always)]
    fn general(&mut self, elements: Elements<T::Vector<S>>) -> T::Vector<S> {
        let targets = elements.target.widened::<S, T>();
        let weight = elements.weight.widened::<S, T>();
        let pos_weight = elements.pos_weight.widened::<S, T>();
        let mut results = T::widen(elements.x);
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
        let Settings { loss, scale, .. } = self.settings;
        let left_out = weight.simd_eq(zero);
        let narrow = T::LANES > 8;
        let (loss, gradient) = if WANTED == GRADIENT {
            evaluated::<S, L, true>(loss, narrow, x, y, pos_weight)
        } else {
            evaluated::<S, L, false>(loss, narrow, x, y, pos_weight)
        };
        let loss = left_out.select(zero, loss);
        self.sum.add(loss, weight);
        let result = if WANTED == GRADIENT {
            let weighted = left_out.select(zero, gradient) * weight;
            let low = weighted * f64x8::splat(simd, scale.low);
            let scaled = weighted.fused_mul_add(f64x8::splat(simd, scale.high), low);
            // An infinite gradient times the scale's low part of 0 is NaN.
            let infinite = weighted.abs().simd_eq(f64::INFINITY);
            infinite.select(weighted, scaled)
        } else {
            loss * weight
        };
        nan_where_nan(result, result)
    }
}

/// Elements of any kind, and the sum with them: those of targets 0 and 1 apart, or all one way.
#[inline(never)]
fn any_elements<S: Simd, T: Float, L: BinaryLoss, const WANTED: u8>(
    settings: Settings<T, L>,
    sum: ProductSum<S>,
    elements: Elements<T::Vector<S>>,
    is_weighted: bool,
) -> (T::Vector<S>, ProductSum<S>) {
    elements.x.token().vectorize(
        #[inline(always)]
        || {
            let mut block = Block::<S, T, L, WANTED> { settings, sum };
            let Elements {
                x, target, weight, ..
            } = elements;
            let one = splat::<S, T>(x.token(), T::ONE);
            // Each vector by itself, so that results do not depend on how many are taken at once.
            let is_short = L::CLASSES
                && !is_weighted
                && weight.high.simd_eq(one).all_true()
                && are_short([x], [target.high]);
            let result = if is_short {
                let [result] = block.short_classes([x], [target.high]);
                result
            } else if L::CLASSES {
                block.mixed(elements, is_weighted)
            } else {
                block.general(elements)
            };
            (result, block.sum)
        },
    )
}

/// [`BinaryLoss::evaluate`], in one copy for all that may be wanted.
#[inline(never)]
fn evaluated<S: Simd, L: BinaryLoss, const GRADIENT: bool>(
    loss: L,
    narrow: bool,
    x: f64x8<S>,
    y: f64x8<S>,
    pos_weight: f64x8<S>,
) -> (f64x8<S>, f64x8<S>) {
    let simd = x.token();
    simd.vectorize(
        #[inline(always)]
        || {
            let (loss, gradient) = loss.evaluate(narrow, x, y, pos_weight);
            (loss, if GRADIENT { gradient } else { loss })
        },
    )
}

/// `a * b`, and 0 where `a` is 0, whatever `b`.
#[inline(always)]
pub(crate) fn weighted<S: Simd>(a: f64x8<S>, b: f64x8<S>) -> f64x8<S> {
    let zero = f64x8::splat(a.token(), 0.0);
    a.simd_eq(zero).select(zero, a * b)
}

/// What sigmoid is at `|z|` and at `-|z|`, and `e^-|z|`.
pub(crate) struct Sigmoids<S: Simd> {
    e: Pair<f64x8<S>>,
    pub(crate) large: f64x8<S>,
    pub(crate) small: f64x8<S>,
}

impl<S: Simd> Sigmoids<S> {
    /// `1 / (1 + e)` and `e / (1 + e)`; results may be `narrow`: of 24 bits.
    #[inline(always)]
    pub(crate) fn of(narrow: bool, z: f64x8<S>) -> Self {
        let c = |constant| f64x8::splat(z.token(), constant);
        let pair = |high| Pair { high, low: c(0.0) };
        if narrow {
            let e = exp(-z.abs());
            let large = c(1.0) / (c(1.0) + e);
            return Self {
                e: pair(e),
                large,
                small: e * large,
            };
        }
        let e = exp_pair(pair(-z.abs()));
        Self {
            e,
            large: over_one_plus(pair(c(1.0)), e),
            small: over_one_plus(e, e),
        }
    }
}

/// The signs that targets of 1 change.
struct Flip<V: SimdFloat<S>, S: Simd>(V::Bits);

impl<S: Simd, V: Vector<S>> Flip<V, S> {
    #[inline(always)]
    fn of(target: V) -> Self {
        // The exponent bits of 1 reach the sign when they move by two, those of 0 are 0.
        let sign = V::splat(target.token(), -V::Element::ZERO);
        Self((target.to_bits() << 2) & sign.to_bits())
    }

    #[inline(always)]
    fn apply(&self, x: V) -> V {
        V::from_bits(x.to_bits() ^ self.0)
    }
}

/// `pos_weight y softplus(-z) + (1-y) softplus(z)`.
#[derive(Clone, Copy)]
pub(crate) struct FromLogits;

impl BinaryLoss for FromLogits {
    const CLASSES: bool = true;
    const HAS_HESSIAN: bool = true;

    #[inline(always)]
    fn of_classes<S: Simd, V: Vector<S>, const N: usize, const RARE: bool>(
        self,
        z: [V; N],
        target: [V; N],
        scale: Scale<V::Element>,
    ) -> [ClassLoss<V>; N] {
        let mut flipped = z;
        for (z, target) in flipped.iter_mut().zip(target) {
            *z = Flip::<V, S>::of(target).apply(*z);
        }
        let mut results = each(
            logistic::<S, V, N, RARE>(flipped, scale),
            #[inline(always)]
            |Logistic { softplus, sigmoid }| ClassLoss {
                loss: softplus,
                gradient: sigmoid,
            },
        );
        for (i, ClassLoss { gradient, .. }) in results.iter_mut().enumerate() {
            let flip = Flip::<V, S>::of(target[i]);
            // A sum of zeros is 0, whereas -0 would show.
            *gradient = flip.apply(*gradient) + V::splat(gradient.token(), V::Element::ZERO);
            if RARE {
                *gradient = nan_where_nan(z[i], *gradient);
            }
        }
        results
    }

    #[inline(always)]
    fn of_weighted_classes<S: Simd, V: Vector<S>>(
        self,
        z: V,
        target: V,
        weight: Pair<V>,
        scale: Scale<V::Element>,
    ) -> ClassLoss<V> {
        let flip = Flip::<V, S>::of(target);
        let scale = scale.splat(z.token());
        let Logistic { softplus, sigmoid } = weighted_logistic(flip.apply(z), weight, scale);
        ClassLoss {
            loss: softplus,
            gradient: flip.apply(sigmoid) + V::splat(z.token(), V::Element::ZERO),
        }
    }

    #[inline(always)]
    fn evaluate<S: Simd>(
        self,
        narrow: bool,
        z: f64x8<S>,
        y: f64x8<S>,
        pos_weight: f64x8<S>,
    ) -> (f64x8<S>, f64x8<S>) {
        let simd = z.token();
        let (zero, one) = (f64x8::splat(simd, 0.0), f64x8::splat(simd, 1.0));
        let (positive, negative) = (pos_weight * y, one - y);
        // softplus(z) = max(z, 0) + log1p(e^-|z|), softplus(-z) = max(-z, 0) + the same.
        let Sigmoids { e, large, small } = Sigmoids::of(narrow, z);
        let log = if narrow {
            log1p(e.high)
        } else {
            let logs = log1p_pair(e);
            logs.high + logs.low
        };
        let softplus = z.simd_gt(zero).select(z, zero) + log;
        let softplus_of_minus = z.simd_lt(zero).select(-z, zero) + log;
        let loss = weighted(positive, softplus_of_minus) + weighted(negative, softplus);

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
    fn of_classes<S: Simd, V: Vector<S>, const N: usize, const RARE: bool>(
        self,
        _p: [V; N],
        _target: [V; N],
        _scale: Scale<V::Element>,
    ) -> [ClassLoss<V>; N] {
        unreachable!("all targets go the general way")
    }

    #[inline(always)]
    fn of_weighted_classes<S: Simd, V: Vector<S>>(
        self,
        _p: V,
        _target: V,
        _weight: Pair<V>,
        _scale: Scale<V::Element>,
    ) -> ClassLoss<V> {
        unreachable!("all targets go the general way")
    }

    #[inline(always)]
    fn evaluate<S: Simd>(
        self,
        _narrow: bool,
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
