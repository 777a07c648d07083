//! Exponentials and quotients, element by element, and arithmetic in two parts.
//!
//! Everything is written with `mul_add_precise`, one rounding at every level, so that all
//! instruction sets give the same bits.
//!
//! The argument of an exponential is reduced without subtracting the row's maximum:
//! `x = n ln(2) + r` is exact but for one rounding of `r`, whereas `x - max` rounds before the
//! exponential magnifies it. `2^(n - M)` then scales the result, so nothing overflows.

use fearless_simd::{ExtractToken, Select, Simd, SimdBase, SimdMask, f64x2, f64x8, mask64x8};

use super::{Vector, inlined_if_short};
use crate::float::{Float, Format};
use crate::wide::Wide;

/// A value as an unevaluated sum of two vectors.
#[derive(Clone, Copy)]
pub(crate) struct Pair<V> {
    pub(crate) high: V,
    pub(crate) low: V,
}

#[inline(always)]
pub(super) fn format<S: Simd, V: Vector<S>>() -> Format<V::Element> {
    <V::Element as Float>::FORMAT
}

impl<V> Pair<V> {
    /// The sum in `f64`, which holds it but for its last bits; of `f64` the high part.
    #[inline(always)]
    pub(crate) fn widened<S: Simd, T: Float<Vector<S> = V>>(self) -> T::Widened<S> {
        let mut wide = T::widen::<S>(self.high);
        if T::LANES > 8 {
            let low = T::widen::<S>(self.low);
            for (high, low) in wide.as_mut().iter_mut().zip(low.as_ref()) {
                *high += *low;
            }
        }
        wide
    }
}

/// `a + b` and the exact error of that sum.
#[inline(always)]
pub(crate) fn two_sum<S: Simd, V: Vector<S>>(a: V, b: V) -> Pair<V> {
    let high = a + b;
    let b_part = high - a;
    let low = (a - (high - b_part)) + (b - b_part);
    Pair { high, low }
}

/// `a + b` and its exact error where `|a| >= |b|` or `a` is 0.
#[inline(always)]
pub(crate) fn ordered_sum<S: Simd, V: Vector<S>>(a: V, b: V) -> Pair<V> {
    let high = a + b;
    Pair {
        high,
        low: b - (high - a),
    }
}

/// The polynomial whose coefficients are given lowest power first.
#[inline(always)]
pub(super) fn polynomial<S: Simd, V: Vector<S>>(x: V, coefficients: &[V::Element]) -> V {
    let [sum] = polynomials([x], coefficients);
    sum
}

/// The same of several vectors, step by step for all: the steps of one wait for each other.
#[inline(always)]
pub(super) fn polynomials<S: Simd, V: Vector<S>, const N: usize>(
    x: [V; N],
    coefficients: &[V::Element],
) -> [V; N] {
    let simd = x[0].token();
    let mut sums = [V::splat(simd, V::Element::ZERO); N];
    for (index, &c) in coefficients.iter().rev().enumerate() {
        let c = V::splat(simd, c);
        for (sum, x) in sums.iter_mut().zip(x) {
            *sum = if index == 0 {
                c
            } else {
                sum.fused_mul_add(x, c)
            };
        }
    }
    sums
}

/// `2^k` from the integer that rounding by the magic number has left in the low bits.
#[inline(always)]
pub(super) fn power_of_two<S: Simd, V: Vector<S>>(biased: V) -> V {
    V::from_bits(biased.to_bits() << format::<S, V>().significand_bits)
}

/// `value * 2^k` for integers `k`, rounded once even where the result is subnormal or infinite.
#[inline(always)]
fn scale<S: Simd, V: Vector<S>>(value: V, k: V) -> V {
    let simd = value.token();
    let f = format::<S, V>();
    let c = |constant| V::splat(simd, constant);
    let two = V::Element::ONE + V::Element::ONE;
    let limit = c((f.exponent_bias - two) * two);
    let k = k.simd_lt(-limit).select(-limit, k);
    let k = k.simd_gt(limit).select(limit, k);
    let half = k.fused_mul_add(c(V::Element::HALF), c(f.magic)) - c(f.magic);
    let bias = c(f.magic + f.exponent_bias);
    value * power_of_two(half + bias) * power_of_two((k - half) + bias)
}

/// `e^(x - shift)` for the elements of a row: with the row's log-sum-exp as the shift, its softmax.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShiftedExp<T> {
    /// Subtracted first; exact for all elements that count.
    offset: T,
    /// The shift less the offset is `exponent ln(2) + high + low`, with `|high| <= ln(2)/2`.
    high: T,
    low: T,
    high_log2_e: T,
    /// `magic + bias - exponent`: rounds, and leaves the result's biased exponent in the low bits.
    magic: T,
    zero: T,
    normal: T,
    finite: T,
}

impl<T: Float> ShiftedExp<T> {
    /// For a shift of `offset + shift`, where `offset` is 0 or the row's maximum.
    #[inline(always)]
    pub(crate) fn new(offset: T, shift: Wide) -> Self {
        let f = T::FORMAT;
        let ln_2 = <f64 as Float>::FORMAT;
        let exponent = (shift.high * ln_2.log2_e).round_ties_even();
        let rest = shift
            - Wide::product(exponent, ln_2.ln_2_high)
            - Wide::product(exponent, ln_2.ln_2_low);
        // A multiple of the smallest unit of the reduced argument: the difference of the two is
        // then exact.
        let three_quarters = T::HALF + T::HALF * T::HALF;
        let high = (T::from_f64(rest.high) + three_quarters) - three_quarters;
        let low = T::from_f64((rest - Wide::new(high.to_f64())).to_f64());
        let bound = |argument: f64| T::from_f64(argument + offset.to_f64() + shift.high);
        Self {
            offset,
            high,
            low,
            high_log2_e: high * f.log2_e,
            magic: T::from_f64(f.magic.to_f64() + f.exponent_bias.to_f64() - exponent),
            zero: bound(f.zero),
            normal: bound(f.normal),
            finite: bound(f.finite),
        }
    }

    /// Error below 1 ulp of the exact exponential, subnormal results included.
    #[inline(always)]
    pub(crate) fn apply<S, V, const N: usize>(&self, x: [V; N]) -> [V; N]
    where
        S: Simd,
        V: Vector<S, Element = T>,
    {
        let simd = x[0].token();
        let normal = V::splat(simd, self.normal);
        let finite = V::splat(simd, self.finite);
        let mut outside = x[0].simd_lt(normal);
        for x in x {
            outside = outside | x.simd_lt(normal) | x.simd_gt(finite);
        }
        let (mut result, biased) = self.reduced(x);
        if outside.any_true() {
            for ((result, biased), x) in result.iter_mut().zip(biased).zip(x) {
                *result = self.rare(x, *result, biased);
            }
        } else {
            for (result, biased) in result.iter_mut().zip(biased) {
                *result *= power_of_two(biased);
            }
        }
        result
    }

    /// `e^t` and its biased exponent. Step by step for all vectors: the steps of one wait for each
    /// other.
    #[inline(always)]
    fn reduced<S: Simd, V: Vector<S, Element = T>, const N: usize>(
        &self,
        x: [V; N],
    ) -> ([V; N], [V; N]) {
        inlined_if_short(
            x[0].token(),
            #[inline(always)]
            || {
                let f = T::FORMAT;
                let simd = x[0].token();
                let c = |constant| V::splat(simd, constant);
                let (offset, magic) = (c(self.offset), c(self.magic));
                let mut r = x;
                for r in &mut r {
                    *r -= offset;
                }
                let mut biased = r;
                for x in &mut biased {
                    *x = x.fused_mul_add(c(f.log2_e), c(-self.high_log2_e)) + magic;
                }
                for (r, biased) in r.iter_mut().zip(biased) {
                    *r = (biased - magic).fused_mul_add(c(-f.ln_2_high), *r) - c(self.high);
                }
                for (r, biased) in r.iter_mut().zip(biased) {
                    *r += (biased - magic).fused_mul_add(c(-f.ln_2_low), c(-self.low));
                }
                (exp_reduced_each(r), biased)
            },
        )
    }

    /// Where some result may be subnormal, zero or infinite.
    #[inline(always)]
    fn rare<S: Simd, V: Vector<S, Element = T>>(&self, x: V, value: V, biased: V) -> V {
        inlined_if_short(
            x.token(),
            #[inline(always)]
            || {
                let simd = x.token();
                let f = T::FORMAT;
                let zero = V::splat(simd, T::ZERO);
                let k = biased - V::splat(simd, f.magic) - V::splat(simd, f.exponent_bias);
                let result = scale(value, k);
                x.simd_lt(V::splat(simd, self.zero)).select(zero, result)
            },
        )
    }
}

/// `e^t` for `|t| <= ln(2)/2`, error below 0.9 ulp.
#[inline(always)]
fn exp_reduced<S: Simd, V: Vector<S>>(t: V) -> V {
    let one = V::splat(t.token(), V::Element::ONE);
    let tail = polynomial(t, format::<S, V>().exp);
    tail.fused_mul_add(t, one).fused_mul_add(t, one)
}

/// `e^(x - offset) 2^(lift - exponent)`: the terms of a row's sum of exponentials.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScaledExp<T> {
    offset: T,
    magic: T,
    /// Whatever is below this, less the offset, counts as this: less than any result shows.
    lowest: T,
}

impl<T: Float> ScaledExp<T> {
    /// For the row whose maximum is `offset + rest`, where `exponent = round(rest log2(e))`.
    #[inline(always)]
    pub(crate) fn new(offset: T, rest: f64, exponent: f64) -> Self {
        let f = T::FORMAT;
        Self {
            offset,
            magic: T::from_f64(f.magic.to_f64() + f.exponent_bias.to_f64() + f.sum_lift - exponent),
            lowest: T::from_f64(rest + f.negligible),
        }
    }

    /// The exponential, and 0 where it is negligible.
    #[inline(always)]
    pub(crate) fn or_nothing<S: Simd, V: Vector<S, Element = T>>(&self, x: V) -> V {
        let simd = x.token();
        let c = |constant| V::splat(simd, constant);
        let [term] = self.apply([x]);
        let negligible = (x - c(self.offset)).simd_lt(c(self.lowest));
        negligible.select(c(T::ZERO), term)
    }

    /// Error below 1 ulp. Step by step for all vectors: the steps of one wait for each other.
    #[inline(always)]
    pub(crate) fn apply<S: Simd, V: Vector<S, Element = T>, const N: usize>(
        &self,
        x: [V; N],
    ) -> [V; N] {
        inlined_if_short(
            x[0].token(),
            #[inline(always)]
            || {
                let f = T::FORMAT;
                let simd = x[0].token();
                let c = |constant| V::splat(simd, constant);
                let (offset, magic, lowest) = (c(self.offset), c(self.magic), c(self.lowest));
                let mut reduced = x;
                for x in &mut reduced {
                    *x = (*x - offset).at_least(lowest);
                }
                let mut biased = reduced;
                for x in &mut biased {
                    *x = x.fused_mul_add(c(f.log2_e), magic);
                }
                let mut n = biased;
                for n in &mut n {
                    *n -= magic;
                }
                let mut t = reduced;
                for (t, n) in t.iter_mut().zip(n) {
                    *t = n.fused_mul_add(c(-f.ln_2_high), *t);
                }
                for (t, n) in t.iter_mut().zip(n) {
                    *t = n.fused_mul_add(c(-f.ln_2_low), *t);
                }
                let mut value = exp_reduced_each(t);
                for (value, biased) in value.iter_mut().zip(biased) {
                    *value *= power_of_two(biased);
                }
                value
            },
        )
    }
}

/// [`exp_reduced`] of several vectors, step by step for all.
#[inline(always)]
fn exp_reduced_each<S: Simd, V: Vector<S>, const N: usize>(t: [V; N]) -> [V; N] {
    let one = V::splat(t[0].token(), V::Element::ONE);
    let mut sum = polynomials(t, format::<S, V>().exp);
    for _ in 0..2 {
        for (sum, t) in sum.iter_mut().zip(t) {
            *sum = sum.fused_mul_add(t, one);
        }
    }
    sum
}

/// The same for up to four vectors.
#[inline(always)]
fn exp_reduced_all<S: Simd, V: Vector<S>>(t: &mut [V]) {
    let Some((last, others)) = format::<S, V>().exp.split_last() else {
        return;
    };
    let mut sums = [V::splat(t[0].token(), *last); 4];
    let sums = &mut sums[..t.len()];
    for c in others.iter().rev().chain([&V::Element::ONE; 2]) {
        for (sum, t) in sums.iter_mut().zip(t.iter()) {
            *sum = sum.fused_mul_add(*t, V::splat(t.token(), *c));
        }
    }
    t.copy_from_slice(sums);
}

/// `e^(x - max) 2^lift` for `x <= max`, error below 1 ulp; 0 where that is nothing beside 1, however
/// often. The difference is not rounded. Step by step for all vectors: the steps of one wait for each
/// other.
#[inline(always)]
pub(crate) fn exp_difference<S: Simd, V: Vector<S>, const G: usize, const N: usize>(
    x: [[V; G]; N],
    max: [V; G],
) -> [[V; G]; N] {
    inlined_if_short(
        max[0].token(),
        #[inline(always)]
        || {
            let f = format::<S, V>();
            let simd = max[0].token();
            let c = |constant| V::splat(simd, constant);
            let magic = c(f.magic + f.exponent_bias + V::Element::from_f64(f.sum_lift));
            let (mut high, mut low) = (x, x);
            for (high, low) in high.iter_mut().zip(&mut low) {
                for ((high, low), max) in high.iter_mut().zip(low).zip(max) {
                    let difference = two_sum(*high, -max);
                    (*high, *low) = (difference.high, difference.low);
                }
            }
            let mut biased = high;
            for x in biased.as_flattened_mut() {
                *x = x.fused_mul_add(c(f.log2_e), magic);
            }
            let mut t = high;
            for (t, biased) in t.as_flattened_mut().iter_mut().zip(biased.as_flattened()) {
                *t = (*biased - magic).fused_mul_add(c(-f.ln_2_high), *t);
            }
            let rests = biased.as_flattened().iter().zip(low.as_flattened());
            for (t, (biased, low)) in t.as_flattened_mut().iter_mut().zip(rests) {
                *t += (*biased - magic).fused_mul_add(c(-f.ln_2_low), *low);
            }
            // Not by arrays, from which the compiler would make one long chain after the other.
            let mut value = t;
            exp_reduced_all(value.as_flattened_mut());
            for (value, biased) in value
                .as_flattened_mut()
                .iter_mut()
                .zip(biased.as_flattened())
            {
                *value *= power_of_two(*biased);
            }
            let lowest = c(V::Element::from_f64(f.negligible));
            for (value, high) in value.as_flattened_mut().iter_mut().zip(high.as_flattened()) {
                *value = high.simd_lt(lowest).select(c(V::Element::ZERO), *value);
            }
            value
        },
    )
}

/// `e^(x.high + x.low)` to half an ulp where the result is normal; within 1 ulp below.
#[inline(always)]
pub(crate) fn exp_pair<S: Simd, V: Vector<S>>(x: Pair<V>) -> Pair<V> {
    inlined_if_short(
        x.high.token(),
        #[inline(always)]
        || {
            let f = format::<S, V>();
            let simd = x.high.token();
            let c = |constant| V::splat(simd, constant);
            let one = c(V::Element::ONE);
            let n = x.high.fused_mul_add(c(f.log2_e), c(f.magic)) - c(f.magic);
            let r = n.fused_mul_add(c(-f.ln_2_high), x.high);
            let t = ordered_sum(r, n.fused_mul_add(c(-f.ln_2_low), x.low));
            let tail = polynomial(t.high, f.exp).fused_mul_add(t.high * t.high, t.low);
            let sum = ordered_sum(one, t.high);
            let sum = ordered_sum(sum.high, sum.low + tail);
            let tiny = x.high.simd_lt(c(V::Element::from_f64(f.zero)));
            let zero = c(V::Element::ZERO);
            Pair {
                high: tiny.select(zero, scale(sum.high, n)),
                low: tiny.select(zero, scale(sum.low, n)),
            }
        },
    )
}

/// `e^x`, relative error below `2^-50` where the result is normal: more than results of 24 bits need.
#[inline(always)]
pub(crate) fn exp<S: Simd>(x: f64x8<S>) -> f64x8<S> {
    inlined_if_short(
        x.token(),
        #[inline(always)]
        || {
            let f = <f64 as Float>::FORMAT;
            let c = |constant| f64x8::splat(x.token(), constant);
            let n = x.fused_mul_add(c(f.log2_e), c(f.magic)) - c(f.magic);
            let r = n.fused_mul_add(c(-f.ln_2_high), x);
            let e = exp_reduced(n.fused_mul_add(c(-f.ln_2_low), r));
            x.simd_lt(c(f.zero)).select(c(0.0), scale(e, n))
        },
    )
}

/// Probabilities clipped to `[eps, 1 - eps]`, where `1 - eps` is not rounded, and which of them were.
#[inline(always)]
pub(crate) fn clip<S: Simd>(p: f64x8<S>, eps: f64) -> (Pair<f64x8<S>>, mask64x8<S>) {
    let simd = p.token();
    let c = |constant| f64x8::splat(simd, constant);
    let low = p.simd_lt(c(eps));
    if eps == 0.0 {
        // Nothing is below 0: those that were given are errors.
        return (
            Pair {
                high: p,
                low: c(0.0),
            },
            low,
        );
    }
    let limit = Wide::sum(1.0, -eps);
    let high = p.simd_gt(c(limit.high));
    let clipped = Pair {
        high: low.select(c(eps), high.select(c(limit.high), p)),
        low: high.select(c(limit.low), c(0.0)),
    };
    (clipped, low | high)
}

/// `a / b`, error below `2^-100` where nothing overflows.
#[inline(always)]
pub(crate) fn quotient<S: Simd>(a: Pair<f64x8<S>>, b: Pair<f64x8<S>>) -> Pair<f64x8<S>> {
    let inverse = f64x8::splat(a.high.token(), 1.0) / b.high;
    let high = a.high * inverse;
    let rest = (-high).fused_mul_add(b.high, a.high) + a.low;
    let rest = (-high).fused_mul_add(b.low, rest);
    ordered_sum(high, rest * inverse)
}

/// `a * b`, error below `2^-100`.
#[inline(always)]
pub(crate) fn product<S: Simd>(a: Pair<f64x8<S>>, b: Pair<f64x8<S>>) -> Pair<f64x8<S>> {
    let high = a.high * b.high;
    let low = a.high.fused_mul_add(b.high, -high);
    let low = a
        .low
        .fused_mul_add(b.high, a.high.fused_mul_add(b.low, low));
    let sum = ordered_sum(high, low);
    let finite = high.abs().simd_lt(f64::INFINITY);
    Pair {
        high: finite.select(sum.high, high),
        low: finite.select(sum.low, f64x8::splat(high.token(), 0.0)),
    }
}

/// `numerator / (1 + e)` for `e` from 0 to 1, error below 0.7 ulp and that of the arguments.
#[inline(always)]
pub(crate) fn over_one_plus<S: Simd, V: Vector<S>>(numerator: Pair<V>, e: Pair<V>) -> V {
    inlined_if_short(
        e.high.token(),
        #[inline(always)]
        || {
            let one = V::splat(e.high.token(), V::Element::ONE);
            let sum = ordered_sum(one, e.high);
            let inverse = one / sum.high;
            let quotient = numerator.high * inverse;
            let rest = (-quotient).fused_mul_add(sum.high, numerator.high) + numerator.low;
            let rest = (-quotient).fused_mul_add(sum.low + e.low, rest);
            rest.fused_mul_add(inverse, quotient)
        },
    )
}

/// One NaN for all: what the arithmetic makes of a NaN's payload differs between machines.
#[inline(always)]
pub(crate) fn nan_where_nan<S: Simd, V: Vector<S>>(z: V, result: V) -> V {
    z.simd_eq(z)
        .select(result, V::splat(z.token(), V::Element::NAN))
}

/// `rest - exponent ln(2)`.
#[inline(always)]
pub(crate) fn reduce_wide(rest: f64, exponent: f64) -> Wide {
    let f = <f64 as Float>::FORMAT;
    Wide::new(rest) - Wide::product(exponent, f.ln_2_high) - Wide::product(exponent, f.ln_2_low)
}

/// `e^(rest - exponent ln(2))` of one number, where the argument is at most `ln(2)/2`; error below
/// `2^-50`.
#[inline(always)]
pub(crate) fn exp_reduced_by<S: Simd>(simd: S, rest: f64, exponent: f64) -> f64 {
    inlined_if_short(
        simd,
        #[inline(always)]
        || {
            let f = <f64 as Float>::FORMAT;
            let c = |constant| f64x2::splat(simd, constant);
            let n = c(exponent);
            let r = n.fused_mul_add(c(-f.ln_2_high), c(rest));
            exp_reduced(n.fused_mul_add(c(-f.ln_2_low), r))[0]
        },
    )
}

/// `e^x` of one number.
#[inline(never)]
pub(crate) fn exp_wide<S: Simd>(simd: S, x: Wide) -> Wide {
    simd.vectorize(
        #[inline(always)]
        || from_lane(exp_pair(to_lanes(simd, x))),
    )
}

#[inline(always)]
pub(super) fn to_lanes<S: Simd>(simd: S, x: Wide) -> Pair<f64x2<S>> {
    Pair {
        high: f64x2::splat(simd, x.high),
        low: f64x2::splat(simd, x.low),
    }
}

#[inline(always)]
pub(super) fn from_lane<S: Simd>(pair: Pair<f64x2<S>>) -> Wide {
    Wide {
        high: pair.high[0],
        low: pair.low[0],
    }
}
