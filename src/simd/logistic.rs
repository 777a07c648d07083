//! Sigmoid and softplus: the functions of `e^-|z|`, element by element.
//!
//! All start from `-|z| = n ln(2) + t` and `e^t - 1`. The exponential is rounded only where that
//! counts little: powers of two are exact, and what is small beside them is added as late as can
//! be. Arguments whose exponential is normal need no care. The others go the `RARE` way, which
//! gives ordinary arguments the same bits, so that a vector may hold both.

use fearless_simd::{Select, Simd, SimdFloat, SimdMask};

use super::math::{Pair, format, nan_where_nan, ordered_sum};
use super::{Vector, each, inlined_if_short};
use crate::float::Float;
use crate::wide::Wide;

/// Both functions of one argument.
#[derive(Clone, Copy)]
pub(crate) struct Logistic<V> {
    /// `log(1 + e^z)`, error below 1.8 ulp.
    pub(crate) softplus: V,
    /// `1 / (1 + e^-z)`, scaled by what was given, error below 2 ulp; anything where `z` is NaN.
    pub(crate) sigmoid: V,
}

/// A factor with more digits than the format has.
#[derive(Clone, Copy)]
pub(crate) struct Scale<T> {
    high: T,
    /// What is missing, as a share of `high`.
    rest: T,
}

impl<T: Float> Scale<T> {
    pub(crate) fn new(scale: Wide) -> Self {
        let high = T::from_f64(scale.high);
        let rest = (scale - Wide::new(high.to_f64())).to_f64() / high.to_f64();
        let rest = T::from_f64(rest);
        Self { high, rest }
    }

    /// In every lane, in two parts.
    #[inline(always)]
    pub(crate) fn splat<S: Simd, V: Vector<S, Element = T>>(self, simd: S) -> Pair<V> {
        Pair {
            high: V::splat(simd, self.high),
            low: V::splat(simd, self.high * self.rest),
        }
    }
}

/// `1 / (1 + e^-z)` of several vectors, error below 1.8 ulp. Step by step for all: the steps of one wait
/// for each other.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd, V: Vector<S>, const N: usize>(z: [V; N]) -> [V; N] {
    if are_ordinary(z) {
        inlined_if_short(
            z[0].token(),
            #[inline(always)]
            || sigmoid_of::<S, V, N, false>(z),
        )
    } else {
        each(z, rare_sigmoid)
    }
}

#[inline(never)]
fn rare_sigmoid<S: Simd, V: Vector<S>>(z: V) -> V {
    let [result] = z.token().vectorize(
        #[inline(always)]
        || sigmoid_of::<S, V, 1, true>([z]),
    );
    result
}

/// `log(1 + e^z)` of several vectors, error below 1.8 ulp.
#[inline(always)]
pub(crate) fn softplus<S: Simd, V: Vector<S>, const N: usize>(z: [V; N]) -> [V; N] {
    if are_ordinary(z) {
        inlined_if_short(
            z[0].token(),
            #[inline(always)]
            || softplus_of::<S, V, N, false>(z),
        )
    } else {
        each(z, rare_softplus)
    }
}

#[inline(never)]
fn rare_softplus<S: Simd, V: Vector<S>>(z: V) -> V {
    let [result] = z.token().vectorize(
        #[inline(always)]
        || softplus_of::<S, V, 1, true>([z]),
    );
    result
}

/// Softplus and sigmoid of several vectors; the arguments are ordinary in every lane, or may be `RARE`.
#[inline(always)]
pub(crate) fn logistic<S: Simd, V: Vector<S>, const N: usize, const RARE: bool>(
    z: [V; N],
    scale: Scale<V::Element>,
) -> [Logistic<V>; N] {
    inlined_if_short(
        z[0].token(),
        #[inline(always)]
        || logistic_of::<S, V, N, RARE>(z, scale),
    )
}

/// Softplus times a weight, and the sigmoid times a weight and a scale, both in two parts. Arguments are
/// moderate, weights too or 0; errors below 1.9 ulp.
#[inline(always)]
pub(crate) fn weighted_logistic<S: Simd, V: Vector<S>>(
    z: V,
    weight: Pair<V>,
    scale: Pair<V>,
) -> Logistic<V> {
    inlined_if_short(
        z.token(),
        #[inline(always)]
        || weighted_logistic_of(z, weight, scale),
    )
}

/// Where `e^-|z|` is so large that what a weight and a scale leave of it has all its bits.
#[inline(always)]
pub(crate) fn is_moderate<S: Simd, V: Vector<S>>(z: V) -> V::Mask {
    let limit = -0.5 * format::<S, V>().normal;
    z.abs()
        .simd_le(V::splat(z.token(), V::Element::from_f64(limit)))
}

/// Where `e^-|z|` and its last bit are normal numbers: no NaN, no infinity, nothing far from 0.
#[inline(always)]
fn is_ordinary<S: Simd, V: Vector<S>>(z: V) -> V::Mask {
    let f = format::<S, V>();
    let limit = -f.normal - 0.7 * f64::from(f.significand_bits);
    z.abs()
        .simd_le(V::splat(z.token(), V::Element::from_f64(limit)))
}

/// Whether all lanes are ordinary.
#[inline(always)]
pub(crate) fn are_ordinary<S: Simd, V: Vector<S>, const N: usize>(z: [V; N]) -> bool {
    let mut all = is_ordinary(z[0]);
    for z in z {
        all &= is_ordinary(z);
    }
    all.all_true()
}

#[inline(always)]
fn sigmoid_of<S: Simd, V: Vector<S>, const N: usize, const RARE: bool>(z: [V; N]) -> [V; N] {
    let simd = z[0].token();
    let one = V::splat(simd, V::Element::ONE);
    let exponentials = Exponential::<S, V, RARE>::of_minus_each(z);
    // With e^-|z| = 2^n e^t, sigmoid(-|z|) = 2^n / (1 + 2^n + (e^-t - 1)).
    let mut small = z;
    for (tail, exponential) in small.iter_mut().zip(&exponentials) {
        *tail = exp_m1(-exponential.t);
    }
    for (small, exponential) in small.iter_mut().zip(&exponentials) {
        let sum = ordered_sum(one, exponential.power());
        let divisor = sum.high + (*small + sum.low);
        *small = exponential.power_over(divisor);
    }
    // sigmoid(|z|) is 1 less that, which rounds once: it is at least a half.
    let zero = V::splat(simd, V::Element::ZERO);
    for (result, z) in small.iter_mut().zip(z) {
        let negative = zero.to_bits() - (z.to_bits() >> (8 * size_of::<V::Element>() as u32 - 1));
        *result = (*result - V::from_bits(!negative & one.to_bits())).abs();
        if RARE {
            *result = nan_where_nan(z, *result);
        }
    }
    small
}

#[inline(always)]
fn softplus_of<S: Simd, V: Vector<S>, const N: usize, const RARE: bool>(z: [V; N]) -> [V; N] {
    let exponentials = Exponential::<S, V, RARE>::of_minus_each(z);
    let mut results = z;
    for (tail, exponential) in results.iter_mut().zip(&exponentials) {
        *tail = exp_m1_of_both(exponential.t).0;
    }
    softplus_from(z, &exponentials, &mut results);
    results
}

#[inline(always)]
fn logistic_of<S: Simd, V: Vector<S>, const N: usize, const RARE: bool>(
    z: [V; N],
    scale: Scale<V::Element>,
) -> [Logistic<V>; N] {
    let simd = z[0].token();
    let c = |constant| V::splat(simd, constant);
    let exponentials = Exponential::<S, V, RARE>::of_minus_each(z);
    let (mut tails, mut opposite_tails) = (z, z);
    let both = tails.iter_mut().zip(&mut opposite_tails);
    for ((tail, opposite_tail), exponential) in both.zip(&exponentials) {
        (*tail, *opposite_tail) = exp_m1_of_both(exponential.t);
    }
    let mut softplus = tails;
    softplus_from(z, &exponentials, &mut softplus);

    // sigmoid(|z|) = 1 / (1 + e), sigmoid(-|z|) = 2^n / (1 + 2^n + (e^-t - 1)); the divisors are
    // the same but for what is small.
    let mut results = each(
        softplus,
        #[inline(always)]
        |softplus| Logistic {
            softplus,
            sigmoid: softplus,
        },
    );
    for (i, result) in results.iter_mut().enumerate() {
        let exponential = &exponentials[i];
        let power = exponential.power();
        let sum = ordered_sum(c(V::Element::ONE), power);
        let negative = z[i].simd_lt(c(V::Element::ZERO));
        let small = negative.select(
            opposite_tails[i] + sum.low,
            tails[i].fused_mul_add(power, sum.low),
        );
        // Scaling the divisor would round it again; it takes what the rounded scale lacks, as
        // 1 / (1 + rest) is 1 - rest.
        let small = (sum.high + small).fused_mul_add(c(-scale.rest), small);
        let divisor = sum.high + small;
        let high = c(scale.high);
        result.sigmoid = if RARE {
            let small =
                exponential.lifted(c(V::Element::ONE)) * high / divisor * exponential.back();
            negative.select(small, high / divisor)
        } else {
            negative.select(power * high, high) / divisor
        };
    }
    results
}

#[inline(always)]
fn weighted_logistic_of<S: Simd, V: Vector<S>>(
    z: V,
    weight: Pair<V>,
    scale: Pair<V>,
) -> Logistic<V> {
    let simd = z.token();
    let c = |constant| V::splat(simd, constant);
    let zero = c(V::Element::ZERO);
    let exponential = Exponential::<S, V, false>::of_minus(z.abs());
    let (even, odd) = exp_m1_parts(exponential.t);
    let Pair {
        high: tail,
        low: tail_low,
    } = ordered_sum(odd, even);
    let opposite_tail = even - odd;

    // The weight times each summand of softplus, so that nothing is rounded more often than without.
    let curved = curved_from::<S, V, false>(&exponential, tail, Some(tail_low));
    let (power, linear) = (exponential.power(), z.max(zero));
    let weighted_power = weight.high * power;
    let rest = weight.low * (power + curved.fused_mul_add(power, linear));
    let rest = tail_low.fused_mul_add(weighted_power, rest);
    let rest = weight.high.fused_mul_add(linear, rest);
    let softplus = weighted_power + curved.fused_mul_add(weighted_power, rest);

    // As `logistic_of`, with a dividend and a divisor in two parts.
    let sum = ordered_sum(c(V::Element::ONE), power);
    let negative = z.simd_lt(zero);
    let small = negative.select(opposite_tail + sum.low, tail.fused_mul_add(power, sum.low));
    let divisor = ordered_sum(sum.high, small);
    let high = weight.high * scale.high;
    let low = weight.high.fused_mul_add(scale.high, -high)
        + weight
            .high
            .fused_mul_add(scale.low, weight.low * scale.high);
    let power = negative.select(power, c(V::Element::ONE));
    let (high, low) = (high * power, low * power);
    let inverse = c(V::Element::ONE) / divisor.high;
    let quotient = high * inverse;
    let rest = (-quotient).fused_mul_add(divisor.high, high);
    let rest = rest + (-quotient).fused_mul_add(divisor.low, low);
    let sigmoid = rest.fused_mul_add(inverse, quotient);
    Logistic { softplus, sigmoid }
}

/// `(v - 1) + v e g(e)` from `e^t - 1`, where `log1p(e) = e + e^2 g(e)` and `e = 2^n v`. A weight moves
/// results to where an error is twice as many ulp: with what rounding has taken off `e^t - 1`, and off
/// `v`, there is less of it.
#[inline(always)]
fn curved_from<S: Simd, V: Vector<S>, const RARE: bool>(
    exponential: &Exponential<S, V, RARE>,
    tail: V,
    tail_low: Option<V>,
) -> V {
    let simd = tail.token();
    let f = format::<S, V>();
    let one = V::splat(simd, V::Element::ONE);
    let value = one + tail;
    let e = exponential.scaled(value);
    let product = value * e;
    // In powers of what is small, so that the parts of the polynomial are.
    let centred = e - V::splat(simd, V::Element::HALF);
    let slope = in_halves(centred, &f.log1p[1..]);
    let curve = slope.fused_mul_add(centred, V::splat(simd, f.log1p[0]));
    let mut rest = tail;
    if let Some(tail_low) = tail_low {
        let lost = (tail - (value - one)) + tail_low;
        let lost = (e + e).fused_mul_add(lost, value.fused_mul_add(e, -product));
        rest = lost.fused_mul_add(curve, tail);
    }
    product.fused_mul_add(curve, rest)
}

/// Replaces each `e^t - 1` by `log(1 + e^z)`: `max(z, 0) + log1p(e)` with `e = e^-|z|`.
///
/// `log1p(e) = e + e^2 g(e)`, and with `e = 2^n v` that is `2^n (1 + [(v - 1) + v e g(e)])`.
#[inline(always)]
fn softplus_from<S: Simd, V: Vector<S>, const N: usize, const RARE: bool>(
    z: [V; N],
    exponentials: &[Exponential<S, V, RARE>; N],
    tails: &mut [V; N],
) {
    let simd = z[0].token();
    let one = V::splat(simd, V::Element::ONE);
    let f = format::<S, V>();
    let zero = V::splat(simd, V::Element::ZERO);
    for (tail, exponential) in tails.iter_mut().zip(exponentials) {
        *tail = curved_from(exponential, *tail, None);
    }
    for (i, result) in tails.iter_mut().enumerate() {
        let (z, exponential, curved) = (z[i], &exponentials[i], *result);
        *result = if RARE {
            let lift = V::splat(simd, V::Element::from_f64(f.sum_lift_factor));
            let power = exponential.lifted(one);
            let result = power + curved.fused_mul_add(power, z.max(zero) * lift);
            // There log1p is nothing beside z, which the lift may make infinite.
            let large = z.simd_gt(V::splat(simd, V::Element::from_f64(-f.zero)));
            nan_where_nan(z, large.select(z, result * exponential.back()))
        } else {
            let power = exponential.power();
            power + curved.fused_mul_add(power, z.max(zero))
        };
    }
}

/// `e^-a` as `2^n e^t`, with `|t| <= ln(2)/2`.
#[derive(Clone, Copy)]
struct Exponential<S: Simd, V: SimdFloat<S>, const RARE: bool> {
    n: V,
    /// `n` where the exponent of a number stands: added to a number's bits it multiplies by `2^n`.
    exponent: V::Bits,
    t: V,
}

impl<S: Simd, V: Vector<S>, const RARE: bool> Exponential<S, V, RARE> {
    /// `e^-|z|` of several vectors.
    #[inline(always)]
    fn of_minus_each<const N: usize>(z: [V; N]) -> [Self; N] {
        each(
            z,
            #[inline(always)]
            |z| Self::of_minus(z.abs()),
        )
    }

    /// For `a >= 0`.
    #[inline(always)]
    fn of_minus(a: V) -> Self {
        let f = format::<S, V>();
        let simd = a.token();
        let c = |constant| V::splat(simd, constant);
        let a = if RARE {
            a.min(c(V::Element::from_f64(-f.zero)))
        } else {
            a
        };
        let rounded = a.fused_mul_add(c(-f.log2_e), c(f.magic));
        let n = rounded - c(f.magic);
        let r = n.fused_mul_add(c(-f.ln_2_high), -a);
        Self {
            n,
            exponent: rounded.to_bits() << f.significand_bits,
            t: n.fused_mul_add(c(-f.ln_2_low), r),
        }
    }

    /// `2^n`, to be added to something near 1: the smallest normal number will do for what is
    /// below it.
    #[inline(always)]
    fn power(&self) -> V {
        let f = format::<S, V>();
        let simd = self.n.token();
        if RARE {
            let n = self
                .n
                .max(V::splat(simd, V::Element::ONE - f.exponent_bias));
            let rounded = n + V::splat(simd, f.magic);
            V::from_bits((rounded.to_bits() << f.significand_bits) + f.one_bits)
        } else {
            V::from_bits(self.exponent + f.one_bits)
        }
    }

    /// `value * 2^n`, for values near 1. Rare ones are made some powers of two too large, and
    /// scaled down in one rounding.
    #[inline(always)]
    fn scaled(&self, value: V) -> V {
        if RARE {
            self.lifted(value) * self.back()
        } else {
            V::from_bits(value.to_bits() + self.exponent)
        }
    }

    /// `2^n / divisor`.
    #[inline(always)]
    fn power_over(&self, divisor: V) -> V {
        let one = V::splat(divisor.token(), V::Element::ONE);
        if RARE {
            self.lifted(one) / divisor * self.back()
        } else {
            self.power() / divisor
        }
    }

    #[inline(always)]
    fn lifted(&self, value: V) -> V {
        let f = format::<S, V>();
        let simd = value.token();
        let lift = V::splat(simd, V::Element::from_f64(f.sum_lift_factor)).to_bits();
        let one = V::splat(simd, V::Element::ONE).to_bits();
        V::from_bits(value.to_bits() + self.exponent + (lift - one))
    }

    #[inline(always)]
    fn back(&self) -> V {
        let back = 1.0 / format::<S, V>().sum_lift_factor;
        V::splat(self.n.token(), V::Element::from_f64(back))
    }
}

/// `e^t - 1` for `|t| <= ln(2)/2`, error below an eighth of an ulp of 1.
#[inline(always)]
fn exp_m1<S: Simd, V: Vector<S>>(t: V) -> V {
    let curve = in_halves(t, format::<S, V>().exp);
    curve.fused_mul_add(t * t, t)
}

/// `e^t - 1` and `e^-t - 1`, as the sum and the difference of their even and odd part.
#[inline(always)]
fn exp_m1_of_both<S: Simd, V: Vector<S>>(t: V) -> (V, V) {
    let (even, odd) = exp_m1_parts(t);
    (even + odd, even - odd)
}

/// The even and the odd part of `e^t - 1`.
#[inline(always)]
fn exp_m1_parts<S: Simd, V: Vector<S>>(t: V) -> (V, V) {
    let coefficients = format::<S, V>().exp;
    let square = t * t;
    let even = square * every_second(square, coefficients);
    let odd = (square * every_second(square, &coefficients[1..])).fused_mul_add(t, t);
    (even, odd)
}

/// A polynomial as the sum of its even and odd part, which need not wait for each other.
#[inline(always)]
fn in_halves<S: Simd, V: Vector<S>>(x: V, coefficients: &[V::Element]) -> V {
    let square = x * x;
    let even = every_second(square, coefficients);
    every_second(square, &coefficients[1..]).fused_mul_add(x, even)
}

/// The polynomial of every second coefficient, lowest power first.
#[inline(always)]
fn every_second<S: Simd, V: Vector<S>>(x: V, coefficients: &[V::Element]) -> V {
    let last = (coefficients.len() - 1) / 2;
    let mut sum = V::splat(x.token(), coefficients[2 * last]);
    for index in (0..last).rev() {
        sum = sum.fused_mul_add(x, V::splat(x.token(), coefficients[2 * index]));
    }
    sum
}
