//! What the derivatives of a tile's rows are made of, eight rows at a time, where one class a row has a
//! coefficient.

use fearless_simd::{ExtractToken, Simd, SimdBase, f64x8};

use super::index_loss::IndexTargets;
use super::rows::{EightRows, Normalizers, PerRow, load};
use crate::float::Float;
use crate::simd::number::Number;

/// What is known of the rows of a tile.
pub(crate) struct TileGradient<'a> {
    pub(crate) normalizers: &'a Normalizers,
    /// The logits of the targets, and their exponentials.
    pub(crate) logits: &'a PerRow,
    pub(crate) terms: &'a PerRow,
    pub(crate) targets: &'a IndexTargets,
}

impl TileGradient<'_> {
    #[inline(always)]
    pub(crate) fn eight<S: Simd, T: Float>(&self, simd: S, start: usize) -> Gradient<S, T> {
        Gradient {
            rows: self.normalizers.eight(simd, start),
            logit: load(simd, self.logits, start),
            term: load(simd, self.terms, start),
            coefficient: load(simd, &self.targets.coefficient, start),
            weight: load(simd, &self.targets.weight, start),
        }
    }
}

/// What the gradient of eight rows is made of.
pub(crate) struct Gradient<S: Simd, T> {
    pub(crate) rows: EightRows<S, T>,
    /// The logit of the target.
    logit: f64x8<S>,
    /// Its exponential, lifted.
    term: f64x8<S>,
    coefficient: f64x8<S>,
    weight: f64x8<S>,
}

impl<S: Simd, T: Float> Gradient<S, T> {
    /// `G`, and `G - a`.
    #[inline(always)]
    pub(crate) fn common(&self, z_loss: f64) -> (Number<S, T>, Number<S, T>) {
        let coefficient = Number::new(self.coefficient);
        if z_loss == 0.0 {
            return (coefficient, Number::splat(self.logit.token(), 0.0));
        }
        let slope = Number::splat(self.logit.token(), 2.0 * z_loss);
        let less = Number::from_pair(self.rows.log_sum_exp()).times(slope);
        (coefficient.plus(less), less)
    }

    /// The weight, times the inverse of the divisor.
    #[inline(always)]
    pub(crate) fn scale(&self, inverse: Number<S, T>) -> Number<S, T> {
        Number::new(self.weight).times(inverse)
    }

    /// A number, and 0 for rows that are left out.
    #[inline(always)]
    pub(crate) fn unless_left_out(&self, number: Number<S, T>) -> Number<S, T> {
        let zero = Number::splat(self.weight.token(), 0.0);
        Number::select(self.weight.simd_eq(0.0), zero, number)
    }

    /// What the terms of a row are multiplied by, and the entry of the target: with
    /// `G = a + 2 z_loss lse`, `scale G p` and `scale (G p - a)`, the latter from `1 - p` where that
    /// is the smaller of the two. The scale is the weight times the inverse of the divisor.
    #[inline(always)]
    pub(crate) fn evaluate(&self, z_loss: f64, inverse: Number<S, T>) -> (Number<S, T>, f64x8<S>) {
        let simd = self.logit.token();
        let one = Number::splat(simd, 1.0);
        let coefficient = Number::new(self.coefficient);
        let scale = self.scale(inverse);
        let (common, less) = self.common(z_loss);
        let top = self.rows.top_probability();
        let factor = common.times(scale).times(top);

        let lift = T::FORMAT.sum_lift_factor.recip();
        let p = top.times(Number::new(self.term).scaled(lift));
        let is_top = self.logit.simd_eq(self.rows.max);
        let rest = self.rows.others.times(top);
        let complement = Number::select(is_top, rest, one.minus(p));
        let from_complement = less.minus(common.times(complement));
        let from_p = common.times(p).minus(coefficient);
        let confident = complement.high.simd_lt(0.5);
        let entry = Number::select(confident, from_complement, from_p).times(scale);

        let entry = self.unless_left_out(entry);
        (self.unless_left_out(factor), entry.high + entry.low)
    }
}
