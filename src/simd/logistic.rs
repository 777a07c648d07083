//! Sigmoid and softplus: the functions of `e^-|z|`, element by element.
//!
//! Both start from the same exponential, whose rounding error is kept, and round once more at the
//! end. Several vectors come at once, to be told apart by one branch: those that hold only
//! arguments whose exponential is normal need no care.

use fearless_simd::{Select, Simd, SimdMask};

use super::math::{Pair, format, nan_where_nan, ordered_sum, polynomial, power_of_two};
use super::{Vector, inlined_if_short};
use crate::float::Float;

/// Both functions of one argument.
#[derive(Clone, Copy)]
pub(crate) struct Logistic<V> {
    /// `log(1 + e^z)`, error below 1.4 ulp.
    pub(crate) softplus: V,
    /// `1 / (1 + e^-z)`, to half an ulp.
    pub(crate) sigmoid: Pair<V>,
}

/// `1 / (1 + e^-z)`, error below 1.5 ulp.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd, V: Vector<S>, const N: usize>(mut z: [V; N]) -> [V; N] {
    if ordinary(&z) {
        for z in &mut z {
            *z = sigmoid_of::<S, V, false>(*z);
        }
    } else {
        for z in &mut z {
            *z = sigmoid_of::<S, V, true>(*z);
        }
    }
    z
}

/// `log(1 + e^z)`, error below 1.4 ulp.
#[inline(always)]
pub(crate) fn softplus<S: Simd, V: Vector<S>, const N: usize>(mut z: [V; N]) -> [V; N] {
    if ordinary(&z) {
        for z in &mut z {
            *z = softplus_of::<S, V, false>(*z);
        }
    } else {
        for z in &mut z {
            *z = softplus_of::<S, V, true>(*z);
        }
    }
    z
}

/// Softplus and sigmoid.
#[inline(always)]
pub(crate) fn logistic<S: Simd, V: Vector<S>, const N: usize>(z: [V; N]) -> [Logistic<V>; N] {
    let sigmoid = Pair {
        high: z[0],
        low: z[0],
    };
    let softplus = z[0];
    let mut results = [Logistic { softplus, sigmoid }; N];
    if ordinary(&z) {
        for (result, z) in results.iter_mut().zip(z) {
            *result = logistic_of::<S, V, false>(z);
        }
    } else {
        for (result, z) in results.iter_mut().zip(z) {
            *result = logistic_of::<S, V, true>(z);
        }
    }
    results
}

/// Whether `e^-|z|` is a normal number in every lane: no NaN, no infinity, nothing far from 0.
#[inline(always)]
fn ordinary<S: Simd, V: Vector<S>>(z: &[V]) -> bool {
    let limit = V::splat(z[0].token(), V::Element::from_f64(-format::<S, V>().normal));
    let mut ordinary = z[0].abs().simd_le(limit);
    for z in &z[1..] {
        ordinary &= z.abs().simd_le(limit);
    }
    ordinary.all_true()
}

#[inline(always)]
fn sigmoid_of<S: Simd, V: Vector<S>, const RARE: bool>(z: V) -> V {
    inlined_if_short(
        z.token(),
        #[inline(always)]
        || {
            let simd = z.token();
            let (zero, one) = (
                V::splat(simd, V::Element::ZERO),
                V::splat(simd, V::Element::ONE),
            );
            let e = exp_of_minus::<S, V, RARE>(z.abs()).high;
            let sum = ordered_sum(one, e);
            let inverse = one / sum.high;
            let numerator = z.simd_ge(zero).select(one, e);
            let quotient = numerator * inverse;
            let rest = (-quotient).fused_mul_add(sum.high, numerator);
            let rest = (-quotient).fused_mul_add(sum.low, rest);
            let result = rest.fused_mul_add(inverse, quotient);
            if RARE {
                nan_where_nan(z, result)
            } else {
                result
            }
        },
    )
}

#[inline(always)]
fn softplus_of<S: Simd, V: Vector<S>, const RARE: bool>(z: V) -> V {
    inlined_if_short(
        z.token(),
        #[inline(always)]
        || softplus_from::<S, V, RARE>(z, exp_of_minus::<S, V, RARE>(z.abs())),
    )
}

#[inline(always)]
fn logistic_of<S: Simd, V: Vector<S>, const RARE: bool>(z: V) -> Logistic<V> {
    inlined_if_short(
        z.token(),
        #[inline(always)]
        || {
            let e = exp_of_minus::<S, V, RARE>(z.abs());
            Logistic {
                softplus: softplus_from::<S, V, RARE>(z, e),
                sigmoid: sigmoid_from(z, e),
            }
        },
    )
}

/// `e^-a` for `a >= 0`, to half an ulp where it is normal; within 1 ulp below. Only what may be
/// `RARE` may be far from 0.
#[inline(always)]
fn exp_of_minus<S: Simd, V: Vector<S>, const RARE: bool>(a: V) -> Pair<V> {
    let f = format::<S, V>();
    let simd = a.token();
    let c = |constant| V::splat(simd, constant);
    // Rare results are made `lift` powers of two too large, and scaled down in one rounding.
    let lift = if RARE { f.sum_lift } else { 0.0 };
    let a = if RARE {
        a.min(c(V::Element::from_f64(-f.zero)))
    } else {
        a
    };
    let magic = c(V::Element::from_f64(
        f.magic.to_f64() + f.exponent_bias.to_f64() + lift,
    ));
    let biased = a.fused_mul_add(c(-f.log2_e), magic);
    let n = biased - magic;
    let r = n.fused_mul_add(c(-f.ln_2_high), -a);
    let t = n.fused_mul_add(c(-f.ln_2_low), r);
    let tail = (polynomial(t, f.exp) * t).fused_mul_add(t, t);
    let sum = ordered_sum(c(V::Element::ONE), tail);
    let power = power_of_two(biased);
    let (mut high, mut low) = (sum.high * power, sum.low * power);
    if RARE {
        let back = c(V::Element::from_f64(1.0 / f.sum_lift_factor));
        (high, low) = (high * back, low * back);
    }
    Pair { high, low }
}

/// `log(1 + e^z)` from `e = e^-|z|`: `max(z, 0) + log1p(e)`.
///
/// `log1p(e) = e ln(2) + (e - e^2) g(e)`. Both ends are exact by themselves and the second part is
/// small, so that its errors are, too.
#[inline(always)]
fn softplus_from<S: Simd, V: Vector<S>, const RARE: bool>(z: V, e: Pair<V>) -> V {
    let f = format::<S, V>();
    let simd = z.token();
    let c = |constant| V::splat(simd, constant);
    let linear = e.high * c(f.ln_2_high);
    let linear_low = e.high.fused_mul_add(c(f.ln_2_high), -linear);
    let linear_low = e.high.fused_mul_add(c(f.ln_2_low), linear_low);
    let positive = z.max(c(V::Element::ZERO));
    let sum = ordered_sum(positive.max(linear), positive.min(linear));
    let low = sum.low + (linear_low + e.low);
    let curved = (-e.high).fused_mul_add(e.high, e.high);
    let result = sum.high + curved.fused_mul_add(polynomial(e.high, f.log1p), low);
    if RARE {
        // There log1p is nothing beside z, and infinity less infinity is NaN.
        let large = z.simd_gt(c(V::Element::from_f64(-f.zero)));
        nan_where_nan(z, large.select(z, result))
    } else {
        result
    }
}

/// `1 / (1 + e^-z)` from `e = e^-|z|`; NaN where `z` is.
#[inline(always)]
fn sigmoid_from<S: Simd, V: Vector<S>>(z: V, e: Pair<V>) -> Pair<V> {
    let simd = z.token();
    let (zero, one) = (
        V::splat(simd, V::Element::ZERO),
        V::splat(simd, V::Element::ONE),
    );
    let sum = ordered_sum(one, e.high);
    let inverse = one / sum.high;
    let positive = z.simd_ge(zero);
    let numerator = positive.select(one, e.high);
    let high = numerator * inverse;
    let rest = (-high).fused_mul_add(sum.high, numerator) + positive.select(zero, e.low);
    let rest = (-high).fused_mul_add(sum.low + e.low, rest);
    Pair {
        high,
        low: rest * inverse,
    }
}
