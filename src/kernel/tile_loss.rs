//! Cross entropy of a tile: the formulas of `class_loss`, evaluated for eight rows at a time.

use fearless_simd::{Select, Simd, SimdBase, f64x8};

use super::class_loss::{Coefficients, LogitsLoss, LossKernel, LossTotal};
use super::hessian;
use super::normalizer::tiny_factor;
use super::rows::{EightRows, Halves, PerRow, ROWS, load, store};
use super::softmax::multiple;
use super::tile::Tile;
use super::tile_gradient::{TileGradient, TileTargets};
use super::tile_spread::{Differences, TileSpread, TileSums};
use crate::float::Float;
use crate::simd::math::{Pair, nan_where_nan};
use crate::simd::number::Number;
use crate::simd::reduce::ProductSum;
use crate::simd::{Vector, inlined_if_short};
use crate::wide::Wide;

/// The loss of a tile: of rows in which one class has a coefficient or, if that is `SPREAD`, all of them
/// have.
pub(crate) struct TileLoss<'a, C, const GRADIENT: bool, const SPREAD: bool>(
    pub(crate) &'a LossKernel<'a, LogitsLoss, C, GRADIENT>,
);

/// What parts of the losses of eight rows are, less their weights, and those.
type WeightedCosts<S, T> = [(Number<S, T>, f64x8<S>); 3];

impl<C: Coefficients, const GRADIENT: bool, const SPREAD: bool> TileLoss<'_, C, GRADIENT, SPREAD> {
    /// Adds the losses of a tile's rows, and replaces the tile by their gradient if that is wanted.
    #[inline(always)]
    pub(crate) fn tile<S: Simd, T: Float>(
        &self,
        simd: S,
        tile: &mut Tile<'_, T>,
        total: &mut LossTotal<T>,
    ) {
        let coefficients = self.0.coefficients;
        let mut targets = TileTargets::left_out();
        coefficients.tile_targets(tile.first, tile.rows, &mut targets);
        let logits = targets.of(tile);
        let mut scratch = std::mem::take(tile.scratch);
        let spread = SPREAD.then(
            #[inline(always)]
            || coefficients.tile_spread(simd, tile.first, tile.rows, &mut scratch),
        );
        let sums = spread.as_ref().map(|spread| {
            let keep_empty = coefficients.keeps_empty();
            TileSums::of(simd, tile.elements, spread, keep_empty, &mut targets)
        });
        let normalizers = tile.normalizers::<S, GRADIENT>(simd);
        let mut rows = TileGradient {
            normalizers: &normalizers,
            logits: &logits,
            // For the gradient they are read again, when exponentials have taken their place.
            terms: &logits,
            targets: &targets,
            spread: sums.as_ref(),
        };
        self.add_losses(simd, &rows, tile.rows, total);
        if GRADIENT && coefficients.divisor().high == 0.0 {
            tile.elements.fill(T::ZERO);
            if let Some(second) = &mut tile.second {
                second.fill(T::ZERO);
            }
        } else if GRADIENT {
            let terms = targets.of(tile);
            rows.terms = &terms;
            let inverse = Number::splat(simd, 1.0).over(wide(simd, coefficients.divisor()));
            if tile.second.is_some() {
                let classes = tile.elements.len() / ROWS;
                let factor = wide(simd, self.0.loss.hessian.factor(classes));
                let scale = inverse.times(factor);
                hessian::write_tile(simd, tile, self.0.loss.z_loss, scale, &rows);
            }
            match &spread {
                None => self.write_multiples(simd, tile, inverse, &rows),
                Some(spread) => self.write_differences(simd, tile, inverse, &rows, spread),
            }
        }
        *tile.scratch = scratch;
    }

    #[inline(always)]
    fn add_losses<S: Simd, T: Float>(
        &self,
        simd: S,
        tile: &TileGradient<'_>,
        rows: usize,
        total: &mut LossTotal<T>,
    ) {
        let mut sum = ProductSum::new(simd);
        let mut losses = [0.0; ROWS];
        for start in (0..ROWS).step_by(8) {
            let terms: WeightedCosts<S, T> = inlined_if_short(
                simd,
                #[inline(always)]
                || self.terms(simd, tile, start),
            );
            let terms = match (SPREAD, self.0.loss.z_loss == 0.0) {
                (false, true) => &terms[..1],
                (false, false) => &terms[..2],
                (true, _) => &terms[..],
            };
            if self.0.unreduced {
                store(value(simd, terms), &mut losses, start);
                continue;
            }
            for &(cost, weight) in terms {
                if T::LANES == 8 {
                    sum.add(cost.high, weight);
                    sum.add(cost.low, weight);
                } else {
                    sum.add_rounded(cost.high, weight);
                }
            }
        }
        if self.0.unreduced {
            let losses = losses[..rows].iter();
            total.rows.extend(losses.map(|&loss| T::from_f64(loss)));
        } else {
            total.sum += sum.total();
        }
    }

    /// What the losses of eight rows add up from: costs and their weights.
    #[inline(always)]
    fn terms<S: Simd, T: Float>(
        &self,
        simd: S,
        tile: &TileGradient<'_>,
        start: usize,
    ) -> WeightedCosts<S, T> {
        let rows: EightRows<S, T> = tile.normalizers.eight(simd, start);
        let logits = load(simd, tile.logits, start);
        let zero = f64x8::splat(simd, 0.0);
        let nothing = Number::new(zero);
        let weight = load(simd, &tile.targets.weight, start);
        let coefficient = load(simd, &tile.targets.coefficient, start) * weight;
        let only = |wanted: f64x8<S>, cost| Number::select(wanted.simd_eq(zero), nothing, cost);
        let log = rows.others.log1p();
        let cost = only(coefficient, rows.cost_from(log, logits));
        let mut terms = [(cost, coefficient), (nothing, zero), (nothing, zero)];
        if self.0.loss.z_loss != 0.0 {
            let lse = Number::from_pair(rows.log_sum_exp());
            let z_weight = f64x8::splat(simd, self.0.loss.z_loss) * weight;
            terms[1] = (only(z_weight, lse.times(lse)), z_weight);
        }
        if let Some(sums) = tile.spread {
            let Pair { high, low } = sums.cost(simd, log, start).pair();
            let high = nan_where_nan(high, high);
            let cost = Number::from_pair(Pair { high, low });
            terms[2] = (only(weight, cost), weight);
        }
        terms
    }

    /// Writes `scale G p`, and the entries of the targets.
    #[inline(always)]
    fn write_multiples<S: Simd, T: Float>(
        &self,
        simd: S,
        tile: &mut Tile<'_, T>,
        inverse: Number<S, T>,
        rows: &TileGradient<'_>,
    ) {
        let (mut entries, mut highs) = ([0.0; ROWS], [0.0; ROWS]);
        let back = T::FORMAT.sum_lift_factor.recip();
        let factors = Halves::of(
            simd,
            #[inline(always)]
            |start| {
                let rows = rows.eight(simd, start);
                let (factor, entry) = inlined_if_short(
                    simd,
                    #[inline(always)]
                    || rows.evaluate(self.0.loss.z_loss, inverse),
                );
                store(entry, &mut entries, start);
                store(factor.high, &mut highs, start);
                factor.scaled(back).pair()
            },
        );
        write_gradient(simd, tile, &factors, &highs);
        rows.targets.write(tile, &entries);
    }

    /// Writes `scale (G p - a)`, from what is exact where the class of a target has a coefficient of its
    /// own.
    #[inline(always)]
    fn write_differences<S: Simd, T: Float>(
        &self,
        simd: S,
        tile: &mut Tile<'_, T>,
        inverse: Number<S, T>,
        rows: &TileGradient<'_>,
        spread: &TileSpread<'_>,
    ) {
        let mut entries = [0.0; ROWS];
        let mut differences = Differences::new();
        for start in (0..ROWS).step_by(8) {
            let rows = rows.eight::<S, T>(simd, start);
            let (factor, entry) = inlined_if_short(
                simd,
                #[inline(always)]
                || rows.evaluate(self.0.loss.z_loss, inverse),
            );
            store(entry, &mut entries, start);
            differences.set_eight(start, [factor, rows.scale(inverse)], rows.weight());
        }
        let least = tiny_factor::<T>() * T::FORMAT.sum_lift_factor;
        differences.write(simd, tile.elements, spread, least);
        rows.targets.write(tile, &entries);
    }
}

/// `term * factor`, 0 where the factor is. `plain` are the factors without the lift of the terms.
#[inline(always)]
fn write_gradient<S: Simd, T: Float>(
    simd: S,
    tile: &mut Tile<'_, T>,
    factors: &Halves<T>,
    plain: &PerRow,
) {
    let lift = T::FORMAT.sum_lift_factor;
    let least = tiny_factor::<T>() * lift;
    let is_tiny = |factor: f64| factor != 0.0 && factor.abs() < least;
    if plain
        .iter()
        .fold(false, |any, &factor| any | is_tiny(factor))
    {
        for class in tile.elements.chunks_exact_mut(ROWS) {
            for (term, &factor) in class.iter_mut().zip(plain) {
                let product = factor * (term.to_f64() / lift);
                *term = if factor == 0.0 {
                    T::ZERO
                } else {
                    T::from_f64(product)
                };
            }
        }
        return;
    }
    let zero = T::Vector::<S>::splat(simd, T::ZERO);
    tile.each_class(
        simd,
        factors,
        #[inline(always)]
        |term, factor| {
            let result = multiple::<S, T>(term, factor);
            factor.high.simd_eq(zero).select(zero, result)
        },
    );
}

/// A number for eight rows.
#[inline(always)]
fn wide<S: Simd, T: Float>(simd: S, value: Wide) -> Number<S, T> {
    Number::from_pair(Pair {
        high: f64x8::splat(simd, value.high),
        low: f64x8::splat(simd, value.low),
    })
}

/// The sum of the products.
#[inline(always)]
fn value<S: Simd, T: Float>(simd: S, terms: &[(Number<S, T>, f64x8<S>)]) -> f64x8<S> {
    let mut sum = f64x8::splat(simd, 0.0);
    if T::LANES == 8 {
        for &(cost, weight) in terms {
            sum = cost.low.fused_mul_add(weight, sum);
        }
    }
    for &(cost, weight) in terms.iter().rev() {
        sum = cost.high.fused_mul_add(weight, sum);
    }
    sum
}
