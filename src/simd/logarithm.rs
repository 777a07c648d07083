//! Logarithms, element by element: to half an ulp in two parts, and to what results of 24 bits need.
//!
//! Everything is written with `mul_add_precise`, as in `math`.

use fearless_simd::{ExtractToken, Select, Simd, SimdBase, SimdFloat, f64x8};

use super::math::{
    Pair, format, from_lane, ordered_sum, polynomial, polynomials, power_of_two, to_lanes, two_sum,
};
use super::{Vector, inlined_if_short};
use crate::float::Float;
use crate::wide::Wide;

/// `log(u.high + u.low)` to half an ulp, for `u >= 0` and `|u.low|` below an ulp of `u.high`.
#[inline(always)]
pub(crate) fn log_pair<S: Simd, V: Vector<S>>(u: Pair<V>) -> Pair<V> {
    inlined_if_short(
        u.high.token(),
        #[inline(always)]
        || {
            let f = format::<S, V>();
            let simd = u.high.token();
            let c = |constant| V::splat(simd, constant);
            let (one, half) = (c(V::Element::ONE), c(V::Element::HALF));
            let zero = c(V::Element::ZERO);

            let (lift, lift_exponent) = f.subnormal_lift;
            let subnormal = u.high.simd_lt(c(V::Element::MIN_POSITIVE));
            let lifted = subnormal.select(u.high * c(lift), u.high);
            let lifted_low = subnormal.select(u.low * c(lift), u.low);

            // u = 2^k m, with m from 0.75 to 1.5, so that log(m) never cancels against k ln(2).
            let biased = (lifted.to_bits() + f.three_quarters_gap) >> f.significand_bits;
            let k = V::from_bits(biased | f.integer_limit_bits)
                - c(f.integer_limit)
                - c(f.exponent_bias);
            let back = power_of_two(c(f.magic + f.exponent_bias) - k);
            let m = lifted * back;
            let k = subnormal.select(k - c(lift_exponent), k);

            // log(1+f) = log((1+s)/(1-s)) with s = f/(2+f), and 1/(2+f) = (1-s)/2.
            let fraction = ordered_sum(m - one, lifted_low * back);
            let two = one + one;
            let divisor = ordered_sum(two, fraction.high);
            let s = fraction.high / divisor.high;
            let divisor_low = divisor.low + fraction.low;
            let remainder = (-s).fused_mul_add(divisor.high, fraction.high);
            let remainder = (-s).fused_mul_add(divisor_low, remainder + fraction.low);
            let s_low = remainder * (-s).fused_mul_add(half, half);
            let z = s * s;
            let tail = (polynomial(z, f.log) * z).fused_mul_add(s, s_low + s_low);

            let exponent_part = k * c(f.ln_2_high);
            let exponent_low = k.fused_mul_add(c(f.ln_2_high), -exponent_part);
            let exponent_low = k.fused_mul_add(c(f.ln_2_low), exponent_low);
            let sum = ordered_sum(exponent_part, s + s);
            let result = ordered_sum(sum.high, sum.low + (tail + exponent_low));

            let infinity = c(V::Element::INFINITY);
            let is_zero = u.high.simd_eq(zero);
            let is_infinite = u.high.simd_eq(infinity);
            let high = is_zero.select(-infinity, is_infinite.select(infinity, result.high));
            Pair {
                high,
                low: (is_zero | is_infinite).select(zero, result.low),
            }
        },
    )
}

/// `log(1 + e)` to half an ulp for `e >= 0`; for `e` from -1 to 0 to half an ulp as well.
#[inline(always)]
pub(crate) fn log1p_pair<S: Simd, V: Vector<S>>(e: Pair<V>) -> Pair<V> {
    let simd = e.high.token();
    let one = V::splat(simd, V::Element::ONE);
    let limit = V::splat(simd, format::<S, V>().log1p_linear);
    let u = two_sum(one, e.high);
    let log = log_pair(Pair {
        high: u.high,
        low: u.low + e.low,
    });
    let linear = e.high.abs().simd_lt(limit);
    Pair {
        high: linear.select(e.high, log.high),
        low: linear.select(e.low, log.low),
    }
}

/// `log(1 + e)` for `e >= 0`, relative error below `2^-50`: more than results of 24 bits need.
#[inline(always)]
pub(crate) fn log1p<S: Simd>(e: f64x8<S>) -> f64x8<S> {
    let [log] = log1p_each([e]);
    log
}

/// The same of several vectors, step by step for all: the steps of one wait for each other.
#[inline(always)]
pub(crate) fn log1p_each<S: Simd, const N: usize>(e: [f64x8<S>; N]) -> [f64x8<S>; N] {
    inlined_if_short(
        e[0].token(),
        #[inline(always)]
        || {
            let f = <f64 as Float>::FORMAT;
            let simd = e[0].token();
            let c = |constant| f64x8::splat(simd, constant);
            // 1 + e = 2^k (1 + fraction), with 1 + fraction from 0.75 to 1.5; where k is 0 the
            // fraction is e itself, however small.
            let mut k = e;
            for k in &mut k {
                let biased = ((*k + c(1.0)).to_bits() + f.three_quarters_gap) >> f.significand_bits;
                *k = f64x8::from_bits(biased | f.integer_limit_bits)
                    - c(f.integer_limit)
                    - c(f.exponent_bias);
            }
            let mut s = e;
            for (s, k) in s.iter_mut().zip(k) {
                let back = power_of_two(c(f.magic + f.exponent_bias) - k);
                *s = s.fused_mul_add(back, back - c(1.0));
            }
            for s in &mut s {
                *s = *s / (*s + c(2.0));
            }
            let mut z = s;
            for z in &mut z {
                *z *= *z;
            }
            let mut tail = polynomials(z, f.log);
            for i in 0..N {
                tail[i] = (tail[i] * z[i]).fused_mul_add(s[i], k[i] * c(f.ln_2_low));
            }
            for i in 0..N {
                tail[i] = k[i].fused_mul_add(c(f.ln_2_high), (s[i] + s[i]) + tail[i]);
            }
            tail
        },
    )
}

/// `log(u)` of one number.
#[inline(never)]
pub(crate) fn log_wide<S: Simd>(simd: S, u: Wide) -> Wide {
    simd.vectorize(
        #[inline(always)]
        || from_lane(log_pair(to_lanes(simd, u))),
    )
}

/// `log(1 + e)` of one number, `e >= 0`.
#[inline(always)]
pub(crate) fn log1p_wide<S: Simd>(simd: S, e: Wide) -> Wide {
    if e.high < <f64 as Float>::FORMAT.log1p_linear {
        e
    } else {
        log_wide(simd, Wide::new(1.0) + e)
    }
}
