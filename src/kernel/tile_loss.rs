//! Cross entropy of a tile: the formulas of `class_loss`, evaluated for eight rows at a time.

use fearless_simd::{ExtractToken, Select, Simd, SimdBase, f64x8};

use super::class_loss::{Coefficients, LogitsLoss, LossKernel, LossTotal};
use super::hessian;
use super::normalizer::tiny_factor;
use super::rows::{EightRows, Halves, PerRow, ROWS, load, store};
use super::softmax::multiple;
use super::tile::{ChosenEntries, RowNumbers, Tile};
use super::tile_gradient::TileGradient;
use super::tile_spread::{Differences, TileSpread, TileSums};
use crate::float::Float;
use crate::simd::math::{Pair, nan_where_nan};
use crate::simd::number::Number;
use crate::simd::reduce::ProductSum;
use crate::simd::{Vector, has_wide_registers, inlined_if_short};
use crate::wide::Wide;

/// The loss of a tile: of rows in which one class has a coefficient or, if that is `SPREAD`, all of them
/// have.
pub(crate) struct TileLoss<'a, C, const GRADIENT: bool, const SPREAD: bool>(
    pub(crate) &'a LossKernel<'a, LogitsLoss, C, GRADIENT>,
);

/// Whether it takes less time to compare all classes with the target than to read and write the target's
/// elements row by row.
#[inline(always)]
fn are_compared<S: Simd, T>(simd: S, tile: &Tile<'_, T>) -> bool {
    let most = if has_wide_registers(simd) { 48 } else { 16 };
    tile.elements.len() <= most * ROWS
}

/// What parts of the losses of eight rows are, less their weights, and those.
type WeightedCosts<S, T> = [(Number<S, T>, f64x8<S>); 3];

impl<C: Coefficients, const GRADIENT: bool, const SPREAD: bool> TileLoss<'_, C, GRADIENT, SPREAD> {
    /// Adds the losses of a tile's rows, and replaces the tile by their gradient if that is wanted.
    #[inline(always)]
    pub(crate) fn tile<S: Simd, T: Float>(
        &self,
        simd: S,
        tile: &mut Tile<'_, T>,
        numbers: &mut RowNumbers,
        total: &mut LossTotal<T>,
    ) {
        let coefficients = self.0.coefficients;
        let targets = &mut numbers.targets;
        coefficients.tile_targets(tile.first, tile.rows, targets);
        let mut scratch = std::mem::take(tile.scratch);
        let spread = SPREAD.then(
            #[inline(always)]
            || coefficients.tile_spread(simd, tile.first, tile.rows, &mut scratch),
        );
        // They are found in place: to move them would take as long.
        let mut sums = None;
        if let Some(spread) = &spread {
            let keep_empty = coefficients.keeps_empty();
            let sums = sums.insert(TileSums::new());
            sums.find(simd, tile.elements, spread, keep_empty, targets);
        }
        Self::normalize(simd, tile, numbers);
        let rows = TileGradient {
            numbers,
            spread: sums.as_ref(),
        };
        self.add_losses(simd, &rows, tile.rows, total);
        if GRADIENT && coefficients.divisor().high == 0.0 {
            tile.elements.fill(T::ZERO);
            if let Some(second) = &mut tile.second {
                second.fill(T::ZERO);
            }
        } else if GRADIENT {
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

    /// Finds what the rows are normalised by, and the elements of the targets.
    #[inline(always)]
    fn normalize<S: Simd, T: Float>(simd: S, tile: &mut Tile<'_, T>, numbers: &mut RowNumbers) {
        let RowNumbers {
            normalizers,
            logs,
            targets,
            chosen,
        } = numbers;
        if are_compared(simd, tile) {
            chosen.choose(simd, targets);
            tile.normalize_and_choose::<S, GRADIENT>(simd, normalizers, chosen);
        } else {
            chosen.logits = targets.of(tile);
            tile.normalize::<S, GRADIENT>(simd, normalizers);
            if GRADIENT {
                chosen.terms = targets.of(tile);
            }
        }
        normalizers.find_logs::<S, T>(simd, logs);
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
        let has_z_loss = self.0.loss.z_loss != 0.0;
        for start in (0..ROWS).step_by(8) {
            let terms: WeightedCosts<S, T> = inlined_if_short(
                simd,
                #[inline(always)]
                || self.terms(simd, tile, start),
            );
            let [of_target, of_z_loss, of_spread] = terms;
            if self.0.unreduced {
                store(value(simd, &terms), &mut losses, start);
                continue;
            }
            add_product(&mut sum, of_target);
            if has_z_loss {
                add_product(&mut sum, of_z_loss);
            }
            if SPREAD {
                add_product(&mut sum, of_spread);
            }
        }
        if self.0.unreduced {
            let losses = losses[..rows].iter();
            total.rows.extend(losses.map(|&loss| T::from_f64(loss)));
        } else if T::LANES == 8 {
            total.sum += sum.total();
        } else {
            total.add_rounded(sum.total_rounded());
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
        let rows: EightRows<S, T> = tile.numbers.normalizers.eight(simd, start);
        let logits = load(simd, &tile.numbers.chosen.logits, start);
        let zero = f64x8::splat(simd, 0.0);
        let nothing = Number::new(zero);
        let weight = load(simd, &tile.numbers.targets.weight, start);
        let coefficient = load(simd, &tile.numbers.targets.coefficient, start) * weight;
        let only = |wanted: f64x8<S>, cost| Number::select(wanted.simd_eq(zero), nothing, cost);
        let log = tile.numbers.logs.eight(simd, start);
        let cost = only(coefficient, rows.cost_from(log, logits));
        let mut terms = [(cost, coefficient), (nothing, zero), (nothing, zero)];
        if self.0.loss.z_loss != 0.0 {
            let lse = Number::from_pair(rows.log_sum_exp(log));
            let z_weight = f64x8::splat(simd, self.0.loss.z_loss) * weight;
            terms[1] = (only(z_weight, lse.times(lse)), z_weight);
        }
        if let Some(sums) = tile.spread {
            let Pair { high, low } = sums.cost(simd, rows.max, log, start).pair();
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
        write_gradient(simd, tile, &factors, &highs, rows, &entries);
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
        let chosen = [&rows.numbers.chosen.classes, &entries];
        let has_entries = differences.write(simd, tile.elements, spread, least, chosen);
        if !has_entries || !are_compared(simd, tile) {
            rows.numbers.targets.write(tile, &entries);
        }
    }
}

/// `term * factor`, 0 where the factor is, and the entries of the targets. `plain` are the factors without
/// the lift of the terms.
#[inline(always)]
fn write_gradient<S: Simd, T: Float>(
    simd: S,
    tile: &mut Tile<'_, T>,
    factors: &Halves<T>,
    plain: &PerRow,
    rows: &TileGradient<'_>,
    entries: &PerRow,
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
        rows.numbers.targets.write(tile, entries);
        return;
    }
    if are_compared(simd, tile) {
        let chosen = [&rows.numbers.chosen.classes, entries];
        write_multiples_and_entries(simd, tile, factors, chosen);
        return;
    }
    tile.each_class(
        simd,
        factors,
        #[inline(always)]
        |term, factor| multiple_or_nothing::<S, T>(term, factor),
    );
    rows.numbers.targets.write(tile, entries);
}

/// The product, 0 where the factor is.
#[inline(always)]
fn multiple_or_nothing<S: Simd, T: Float>(
    term: T::Vector<S>,
    factor: Pair<T::Vector<S>>,
) -> T::Vector<S> {
    let zero = T::Vector::<S>::splat(term.token(), T::ZERO);
    factor
        .high
        .simd_eq(zero)
        .select(zero, multiple::<S, T>(term, factor))
}

/// Replaces each term by its product with a factor, or by the row's entry if it is of the chosen class.
#[inline(always)]
fn write_multiples_and_entries<S: Simd, T: Float>(
    simd: S,
    tile: &mut Tile<'_, T>,
    factors: &Halves<T>,
    chosen: [&PerRow; 2],
) {
    for start in (0..ROWS).step_by(T::LANES) {
        let factor = factors.vectors(simd, start);
        let mut chosen = ChosenEntries::<S, T>::of(simd, chosen, start);
        for class in tile.elements.chunks_exact_mut(ROWS) {
            let x = &mut class[start..start + T::LANES];
            let term = T::Vector::<S>::from_slice(simd, x);
            let product = multiple_or_nothing::<S, T>(term, factor);
            chosen.or(product).store_slice(x);
        }
    }
}

/// Adds a number times a weight, for results of `f32` with one rounding.
#[inline(always)]
fn add_product<S: Simd, T: Float>(
    sum: &mut ProductSum<S>,
    (number, weight): (Number<S, T>, f64x8<S>),
) {
    if T::LANES == 8 {
        sum.add(number.high, weight);
        sum.add(number.low, weight);
    } else {
        sum.add_rounded(number.high, weight);
    }
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
fn value<S: Simd, T: Float>(simd: S, terms: &WeightedCosts<S, T>) -> f64x8<S> {
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
