//! Coefficients that all classes of a tile's rows have, from soft targets, label smoothing and class
//! weights: what they add up to, and what is taken off the gradient for them.
//!
//! The formulas are those of `class_loss`, for as many rows at a time as a vector has lanes.

use fearless_simd::{ExtractToken, Select, Simd, SimdBase, f64x8};

use super::rows::{PerRow, ROWS, load, narrowed, split, store, widened};
use super::spread::Mixing;
use super::tile::ChosenEntries;
use super::tile_gradient::TileTargets;
use crate::float::Float;
use crate::simd::math::Pair;
use crate::simd::number::Number;
use crate::simd::reduce::DotSum;
use crate::simd::{Vector, each};
use crate::wide::Wide;

/// The coefficients that all classes of a tile's rows have.
pub(crate) enum TileSpread<'a> {
    /// The same for every class.
    Even(f64),
    /// One for each class.
    Listed(&'a [f64]),
    /// One for each class of each row, as `[classes][64]`.
    Own(&'a [f64]),
}

impl<'a> TileSpread<'a> {
    /// Soft targets as coefficients; those given, as `[classes][64]`, are replaced.
    #[inline(always)]
    pub(crate) fn mixed<S: Simd>(simd: S, targets: &'a mut [f64], mixing: &Mixing<'_>) -> Self {
        let weighs = mixing.weight.is_some();
        if mixing.smoothing != 0.0 || weighs {
            let zero = f64x8::splat(simd, 0.0);
            let sharpness = f64x8::splat(simd, mixing.sharpness);
            let smoothing = f64x8::splat(simd, mixing.smoothing);
            for (number, class) in targets.chunks_exact_mut(ROWS).enumerate() {
                let weight = mixing.weight.map_or(1.0, |weight| weight[number]);
                let weight = f64x8::splat(simd, weight);
                for eight in class.chunks_exact_mut(8) {
                    let mut mixed = f64x8::from_slice(simd, eight);
                    if mixing.smoothing != 0.0 {
                        mixed = mixed.fused_mul_add(sharpness, smoothing);
                    }
                    if weighs {
                        mixed = weight.simd_eq(zero).select(zero, mixed * weight);
                    }
                    mixed.store_slice(eight);
                }
            }
        }
        Self::Own(targets)
    }

    /// Those of a class in eight rows.
    #[inline(always)]
    fn eight<S: Simd>(&self, simd: S, class: usize, start: usize) -> f64x8<S> {
        match self {
            Self::Even(coefficient) => f64x8::splat(simd, *coefficient),
            Self::Listed(coefficients) => f64x8::splat(simd, coefficients[class]),
            Self::Own(coefficients) => {
                let first = class * ROWS + start;
                f64x8::from_slice(simd, &coefficients[first..first + 8])
            }
        }
    }

    /// That of a class in a row.
    fn one(&self, class: usize, row: usize) -> f64 {
        match self {
            Self::Even(coefficient) => *coefficient,
            Self::Listed(coefficients) => coefficients[class],
            Self::Own(coefficients) => coefficients[class * ROWS + row],
        }
    }
}

/// What the coefficients of each row add up to, each in two parts.
pub(crate) struct TileSums {
    /// `sum_c a_c (max - x_c)`, or `sum_c x_c` beside what is `alike`.
    costs: [PerRow; 2],
    /// The coefficient and how many have it, if all are alike and the logits are `f32`: what cancels between
    /// the maxima and those is exact in `f64`, or nothing beside what is left.
    alike: Option<[f64; 2]>,
    /// `sum_c a_c`.
    coefficients: [PerRow; 2],
    /// That of the target's class.
    of_target: PerRow,
}

impl TileSums {
    pub(crate) fn new() -> Self {
        Self {
            costs: [[0.0; ROWS]; 2],
            alike: None,
            coefficients: [[0.0; ROWS]; 2],
            of_target: [0.0; ROWS],
        }
    }

    /// Finds the sums over the logits of a tile, whose elements are those still. Rows of soft targets that
    /// have no coefficient are left out, unless they count all the same. One copy of this serves all
    /// kernels.
    #[inline(never)]
    pub(crate) fn find<S: Simd, T: Float>(
        &mut self,
        simd: S,
        elements: &[T],
        spread: &TileSpread<'_>,
        keep_empty: bool,
        targets: &mut TileTargets,
    ) {
        if let TileSpread::Even(coefficient) = spread
            && T::LANES > 8
        {
            self.alike = Some([*coefficient, (elements.len() / ROWS) as f64]);
        }
        for (row, of_target) in self.of_target.iter_mut().enumerate() {
            if targets.coefficient[row] != 0.0 {
                *of_target = spread.one(targets.class[row] as usize, row);
            }
        }
        simd.vectorize(
            #[inline(always)]
            || {
                for start in (0..ROWS).step_by(T::LANES) {
                    self.lanes(simd, elements, spread, start);
                }
                if !keep_empty && let TileSpread::Own(coefficients) = spread {
                    for start in (0..ROWS).step_by(8) {
                        leave_out_empty(simd, coefficients, start, targets);
                    }
                }
            },
        );
    }

    /// As many rows as a vector has lanes.
    #[inline(always)]
    fn lanes<S: Simd, T: Float>(
        &mut self,
        simd: S,
        elements: &[T],
        spread: &TileSpread<'_>,
        start: usize,
    ) {
        let zero = f64x8::splat(simd, 0.0);
        let vector =
            |class: &[T]| T::Vector::<S>::from_slice(simd, &class[start..start + T::LANES]);
        let classes = elements.chunks_exact(ROWS);
        if let Some([coefficient, count]) = self.alike {
            let mut sum = DotSum::new(simd);
            for class in classes {
                sum.add::<T>(vector(class));
            }
            let all = f64x8::splat(simd, coefficient * count);
            for part in 0..T::LANES / 8 {
                let start = start + part * 8;
                store(sum.eight_lanes::<T>(part).high, &mut self.costs[0], start);
                store(all, &mut self.coefficients[0], start);
            }
            return;
        }
        let mut max = T::Vector::<S>::splat(simd, -T::INFINITY);
        for class in classes.clone() {
            max = max.max(vector(class));
        }
        let max = T::widen(max);
        let (mut costs, mut coefficients) = (DotSum::new(simd), DotSum::new(simd));
        for (number, class) in classes.enumerate() {
            let mut x = T::widen(vector(class));
            for (x, max) in x.as_mut().iter_mut().zip(max.as_ref()) {
                *x = *max - *x;
            }
            if let TileSpread::Even(_) = spread {
                costs.add_wide(x.as_ref());
                continue;
            }
            let mut a = max;
            for (part, (a, x)) in a.as_mut().iter_mut().zip(x.as_mut()).enumerate() {
                *a = spread.eight(simd, number, start + part * 8);
                *x = a.simd_eq(zero).select(zero, *x);
            }
            costs.add_wide_product(x.as_ref(), a.as_ref());
            coefficients.add_wide(a.as_ref());
        }
        for part in 0..T::LANES / 8 {
            let mut sums = each(
                [&costs, &coefficients],
                #[inline(always)]
                |sum| Number::<S, T>::from_pair(sum.eight_lanes::<T>(part)),
            );
            if let TileSpread::Even(coefficient) = spread {
                let coefficient = Number::splat(simd, *coefficient);
                let classes = elements.len() / ROWS;
                sums[0] = sums[0].times(coefficient);
                sums[1] = coefficient.times(Number::splat(simd, classes as f64));
            }
            for (sum, kept) in sums.iter().zip([&mut self.costs, &mut self.coefficients]) {
                let [high, low] = kept;
                store(sum.high, high, start + part * 8);
                store(sum.low, low, start + part * 8);
            }
        }
    }

    /// `sum_c a_c (lse - x_c)` of eight rows, from the maxima and the logarithm of `1 + T`.
    #[inline(always)]
    pub(crate) fn cost<S: Simd, T: Float>(
        &self,
        simd: S,
        max: f64x8<S>,
        log: Number<S, T>,
        start: usize,
    ) -> Number<S, T> {
        let costs = eight(simd, &self.costs, start);
        if let Some(alike) = self.alike {
            let [coefficient, count] = each(
                alike,
                #[inline(always)]
                |number| Number::splat(simd, number),
            );
            let distance = Number::new(max).times(count).minus(costs);
            return distance.plus(count.times(log)).times(coefficient);
        }
        self.coefficients(simd, start).times(log).plus(costs)
    }

    /// `sum_c a_c` of eight rows.
    #[inline(always)]
    pub(crate) fn coefficients<S: Simd, T: Float>(&self, simd: S, start: usize) -> Number<S, T> {
        eight(simd, &self.coefficients, start)
    }

    /// The coefficient of the target's class among these, of eight rows.
    #[inline(always)]
    pub(crate) fn of_target<S: Simd>(&self, simd: S, start: usize) -> f64x8<S> {
        load(simd, &self.of_target, start)
    }
}

#[inline(always)]
fn eight<S: Simd, T: Float>(simd: S, [high, low]: &[PerRow; 2], start: usize) -> Number<S, T> {
    Number::from_pair(Pair {
        high: load(simd, high, start),
        low: load(simd, low, start),
    })
}

/// Gives rows whose coefficients are all 0 a weight of 0.
#[inline(always)]
fn leave_out_empty<S: Simd>(
    simd: S,
    coefficients: &[f64],
    start: usize,
    targets: &mut TileTargets,
) {
    let zero = f64x8::splat(simd, 0.0);
    let mut is_empty = zero.simd_eq(zero);
    for class in coefficients.chunks_exact(ROWS) {
        is_empty &= f64x8::from_slice(simd, &class[start..start + 8]).simd_eq(zero);
    }
    let weight = load(simd, &targets.weight, start);
    store(is_empty.select(zero, weight), &mut targets.weight, start);
}

/// What the gradient of rows is made of: `factor p - scale a`.
pub(crate) struct Differences {
    factor: [PerRow; 2],
    scale: [PerRow; 2],
    /// 1, or what all entries of the row are: 0 of one that is left out, NaN without a normaliser.
    entries: PerRow,
}

impl Differences {
    pub(crate) fn new() -> Self {
        Self {
            factor: [[0.0; ROWS]; 2],
            scale: [[0.0; ROWS]; 2],
            entries: [0.0; ROWS],
        }
    }

    /// Takes the numbers of eight rows; those of weight 0 are left out.
    #[inline(always)]
    pub(crate) fn set_eight<S: Simd, T: Float>(
        &mut self,
        start: usize,
        [factor, scale]: [Number<S, T>; 2],
        weight: f64x8<S>,
    ) {
        let c = |constant| f64x8::splat(weight.token(), constant);
        for (number, kept) in [(factor, &mut self.factor), (scale, &mut self.scale)] {
            let [high, low] = kept;
            store(number.high, high, start);
            store(number.low, low, start);
        }
        let is_finite = factor.high.abs().simd_lt(f64::INFINITY);
        let entries = is_finite.select(c(1.0), c(f64::NAN));
        let entries = weight.simd_eq(c(0.0)).select(c(0.0), entries);
        store(entries, &mut self.entries, start);
    }

    /// Replaces the terms of a tile by its gradient, but for the class that is chosen in a row, whose
    /// entry is given; `false` if those entries remain to be written.
    #[inline(always)]
    pub(crate) fn write<S: Simd, T: Float>(
        &self,
        simd: S,
        tile: &mut [T],
        spread: &TileSpread<'_>,
        least: f64,
        chosen: [&PerRow; 2],
    ) -> bool {
        let is_tiny = |factor: f64| factor != 0.0 && factor.abs() < least;
        let is_rare = |any, &factor| any | is_tiny(factor);
        if self.factor[0].iter().fold(false, is_rare) {
            self.write_rare(tile, spread);
            return false;
        }
        for start in (0..ROWS).step_by(T::LANES) {
            match spread {
                TileSpread::Even(coefficient) => {
                    self.write_even(simd, tile, *coefficient, start, chosen);
                }
                TileSpread::Listed(_) | TileSpread::Own(_) => {
                    self.write_lanes(simd, tile, spread, start, chosen);
                }
            }
        }
        true
    }

    /// The factors of as many rows as a vector has lanes, less the lift of the terms.
    #[inline(always)]
    fn per_term<S: Simd, T: Float>(&self, simd: S, start: usize) -> [T::Widened<S>; 2] {
        let back = f64x8::splat(simd, T::FORMAT.sum_lift_factor.recip());
        let mut factor = each_widened::<S, T>(simd, &self.factor, start);
        for part in factor.iter_mut().flat_map(AsMut::as_mut) {
            *part *= back;
        }
        factor
    }

    /// As many rows as a vector has lanes, all with one coefficient.
    #[inline(always)]
    fn write_even<S: Simd, T: Float>(
        &self,
        simd: S,
        tile: &mut [T],
        coefficient: f64,
        start: usize,
        chosen: [&PerRow; 2],
    ) {
        let [high, low] = self.per_term::<S, T>(simd, start);
        let factor = split::<S, T>(high, low);
        let [mut summand, scale_low] = each_widened::<S, T>(simd, &self.scale, start);
        let coefficient = f64x8::splat(simd, -coefficient);
        for (high, low) in summand.as_mut().iter_mut().zip(scale_low.as_ref()) {
            *high = high.fused_mul_add(coefficient, *low * coefficient);
        }
        let summand = T::narrow::<S>(summand);
        let entries = narrowed::<S, T>(simd, &self.entries, start);
        let one = T::Vector::<S>::splat(simd, T::ONE);
        let is_usual = entries.simd_eq(one);
        let mut chosen = ChosenEntries::<S, T>::of(simd, chosen, start);
        for class in tile.chunks_exact_mut(ROWS) {
            let term = &mut class[start..start + T::LANES];
            let x = T::Vector::<S>::from_slice(simd, term);
            let rest = x.fused_mul_add(factor.low, summand);
            let result = x.fused_mul_add(factor.high, rest);
            let result = is_usual.select(result, entries);
            chosen.or(result).store_slice(term);
        }
    }

    /// As many rows as a vector has lanes.
    #[inline(always)]
    fn write_lanes<S: Simd, T: Float>(
        &self,
        simd: S,
        tile: &mut [T],
        spread: &TileSpread<'_>,
        start: usize,
        chosen: [&PerRow; 2],
    ) {
        let [factor, factor_low] = self.per_term::<S, T>(simd, start);
        let [scale, scale_low] = each_widened::<S, T>(simd, &self.scale, start);
        let entries = narrowed::<S, T>(simd, &self.entries, start);
        let one = T::Vector::<S>::splat(simd, T::ONE);
        let is_usual = entries.simd_eq(one);
        let mut chosen = ChosenEntries::<S, T>::of(simd, chosen, start);
        for (number, class) in tile.chunks_exact_mut(ROWS).enumerate() {
            let term = &mut class[start..start + T::LANES];
            let mut x = T::widen(T::Vector::<S>::from_slice(simd, term));
            for (part, x) in x.as_mut().iter_mut().enumerate() {
                let a = -spread.eight(simd, number, start + part * 8);
                let (factor, scale) = (factor.as_ref()[part], scale.as_ref()[part]);
                *x = if T::LANES > 8 {
                    // More bits than the result has.
                    *x * factor + a * scale
                } else {
                    let rest = *x * factor_low.as_ref()[part];
                    let rest = a.fused_mul_add(scale_low.as_ref()[part], rest);
                    x.fused_mul_add(factor, a.fused_mul_add(scale, rest))
                };
            }
            let result = is_usual.select(T::narrow(x), entries);
            chosen.or(result).store_slice(term);
        }
    }

    /// Where a factor is so small that it would lose bits beside the lift of the terms.
    #[cold]
    #[inline(never)]
    fn write_rare<T: Float>(&self, tile: &mut [T], spread: &TileSpread<'_>) {
        let back = T::FORMAT.sum_lift_factor.recip();
        let wide = |[high, low]: &[PerRow; 2], row: usize| Wide {
            high: high[row],
            low: low[row],
        };
        for (number, class) in tile.chunks_exact_mut(ROWS).enumerate() {
            for (row, term) in class.iter_mut().enumerate() {
                if self.entries[row] != 1.0 {
                    *term = T::from_f64(self.entries[row]);
                    continue;
                }
                let own = Wide::new(spread.one(number, row)) * wide(&self.scale, row);
                let product = Wide::new(term.to_f64()) * wide(&self.factor, row);
                *term = T::from_f64((product.scaled(back) - own).to_f64());
            }
        }
    }
}

/// Both parts of the numbers of as many rows as a vector has lanes.
#[inline(always)]
fn each_widened<S: Simd, T: Float>(
    simd: S,
    [high, low]: &[PerRow; 2],
    start: usize,
) -> [T::Widened<S>; 2] {
    each(
        [high, low],
        #[inline(always)]
        |numbers| widened::<S, T>(simd, numbers, start),
    )
}
