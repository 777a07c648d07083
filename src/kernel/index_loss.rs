//! Cross entropy of logits with class indices as targets: one class a row has a coefficient.
//!
//! The formulas are those of `class_loss`. Here a row's exponentials are kept for its gradient, and
//! a tile's formulas are evaluated for eight rows at a time.

use fearless_simd::{ExtractToken, Select, Simd, SimdBase, f64x8};

use super::RowKernel;
use super::class_loss::{
    ClassLoss, Coefficients, LogitsLoss, LossKernel, LossTotal, RowTarget, target_entry,
    write_probabilities,
};
use super::hessian::{self, Curvature};
use super::lane::Lane;
use super::normalizer::{KeptTerms, Normalizer, tiny_factor};
use super::piece::PieceKernel;
use super::rows::{EightRows, Halves, PerRow, ROWS, load, store};
use super::softmax::multiple;
use super::tile::{Tile, TileKernel};
use super::tile_gradient::TileGradient;
use crate::float::Float;
use crate::simd::math::{Pair, exp_wide};
use crate::simd::number::Number;
use crate::simd::reduce::ProductSum;
use crate::simd::{Vector, inlined_if_short};
use crate::wide::Wide;

/// The targets of up to 64 rows: a class and its coefficient for each, and the sample weight, 0 for
/// a row that is left out.
pub(crate) struct IndexTargets {
    pub(crate) class: [i64; ROWS],
    pub(crate) coefficient: PerRow,
    pub(crate) weight: PerRow,
}

impl IndexTargets {
    pub(crate) fn left_out() -> Self {
        Self {
            class: [0; ROWS],
            coefficient: [0.0; ROWS],
            weight: [0.0; ROWS],
        }
    }

    /// The tile's elements at the targets.
    #[inline(always)]
    fn of<T: Float>(&self, tile: &Tile<'_, T>) -> PerRow {
        let mut elements = [0.0; ROWS];
        for (row, element) in elements.iter_mut().enumerate() {
            *element = tile.elements[self.class[row] as usize * ROWS + row].to_f64();
        }
        elements
    }
}

/// The loss with its targets, and with its gradient or without.
pub(crate) struct IndexLossKernel<'a, C, const GRADIENT: bool>(
    pub(crate) LossKernel<'a, LogitsLoss, C, GRADIENT>,
);

impl<T, C, const GRADIENT: bool> RowKernel<T, 1> for IndexLossKernel<'_, C, GRADIENT>
where
    T: Float,
    C: Coefficients,
{
    type Total = LossTotal<T>;

    const WRITES_TWO: bool = GRADIENT;

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        row: usize,
        lane: &mut Lane<'_, T, 1>,
        scratch: &mut Vec<f64>,
        total: &mut LossTotal<T>,
    ) {
        let divisor = self.0.coefficients.divisor();
        let loss = match self.0.coefficients.row(row, scratch) {
            Some(target) if GRADIENT && divisor.high != 0.0 => {
                self.loss_and_grad(simd, &target, divisor, lane)
            }
            target => {
                // Before the output is filled, which may be the input.
                let loss = target.map_or(Wide::ZERO, |target| {
                    let (class, coefficient) = target.class.unwrap_or((0, 0.0));
                    let normalizer =
                        Normalizer::of(simd, lane.input(), [lane.beside_input(), None]);
                    let loss = self.loss(&normalizer, coefficient, lane.input()[class]);
                    loss.times(target.weight)
                });
                if GRADIENT {
                    lane.fill(T::ZERO);
                }
                loss
            }
        };
        total.add(loss, self.0.unreduced);
    }
}

impl<C: Coefficients, const GRADIENT: bool> IndexLossKernel<'_, C, GRADIENT> {
    /// The loss of a row, less its weight.
    #[inline(always)]
    fn loss<T: Float>(&self, row: &Normalizer<T>, coefficient: f64, x: T) -> Wide {
        let cost = if coefficient == 0.0 {
            Wide::ZERO
        } else {
            row.cost(x).times(coefficient)
        };
        if self.0.loss.z_loss == 0.0 && row.is_finite() {
            return cost;
        }
        ClassLoss::<T>::extra(self.0.loss, row) + cost
    }

    /// What the probabilities of a row are multiplied by in its gradient, less its scale.
    #[inline(always)]
    fn common<T: Float>(&self, row: &Normalizer<T>, coefficient: f64) -> Wide {
        let mut common = Wide::new(coefficient);
        if self.0.loss.z_loss != 0.0 {
            common += Wide::new(2.0 * self.0.loss.z_loss) * row.log_sum_exp();
        }
        common
    }

    #[inline(always)]
    fn loss_and_grad<S: Simd, T: Float>(
        &self,
        simd: S,
        target: &RowTarget<'_>,
        divisor: Wide,
        lane: &mut Lane<'_, T, 1>,
    ) -> Wide {
        let (class, coefficient) = target.class.unwrap_or((0, 0.0));
        let logit = lane.input()[class];
        simd.vectorize(
            #[inline(always)]
            || {
                let Some(kept) = KeptTerms::of(simd, lane) else {
                    lane.fill(T::NAN);
                    return Wide::NAN;
                };
                let row = kept.normalizer(simd);
                let scale = Wide::new(target.weight).divided_by(divisor);
                let common = self.common(&row, coefficient);
                self.0
                    .loss
                    .write_hessian(simd, &kept, &row, common, scale, lane);
                let p = kept.probability(lane.output()[class]);
                let entry = target_entry(&row, logit, p, common, coefficient);
                kept.write_probabilities(simd, common * scale, lane);
                if coefficient != 0.0 {
                    lane.output()[class] = T::from_f64((entry * scale).to_f64());
                }
                self.loss(&row, coefficient, logit).times(target.weight)
            },
        )
    }
}

impl<T, C, const GRADIENT: bool> TileKernel<T> for IndexLossKernel<'_, C, GRADIENT>
where
    T: Float,
    C: Coefficients,
{
    #[inline(always)]
    fn tile<S: Simd>(&self, simd: S, tile: &mut Tile<'_, T>, total: &mut LossTotal<T>) {
        let mut targets = IndexTargets::left_out();
        self.0
            .coefficients
            .index_targets(tile.first, tile.rows, &mut targets);
        let logits = targets.of(tile);
        let normalizers = tile.normalizers::<S, GRADIENT>(simd);
        let mut sum = ProductSum::new(simd);
        let mut losses = [0.0; ROWS];
        for start in (0..ROWS).step_by(8) {
            let rows = normalizers.eight::<S, T>(simd, start);
            let logits = load(simd, &logits, start);
            let terms = inlined_if_short(
                simd,
                #[inline(always)]
                || self.terms(&rows, logits, &targets, start),
            );
            let terms = if self.0.loss.z_loss == 0.0 {
                &terms[..1]
            } else {
                &terms
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
            total
                .rows
                .extend(losses[..tile.rows].iter().map(|&loss| T::from_f64(loss)));
        } else {
            total.sum += sum.total();
        }
        if GRADIENT {
            let divisor = self.0.coefficients.divisor();
            if divisor.high == 0.0 {
                tile.elements.fill(T::ZERO);
                if let Some(second) = &mut tile.second {
                    second.fill(T::ZERO);
                }
                return;
            }
            let (mut entries, mut highs) = ([0.0; ROWS], [0.0; ROWS]);
            let back = T::FORMAT.sum_lift_factor.recip();
            let inverse = Number::splat(simd, 1.0).over(wide(simd, divisor));
            let terms = targets.of(tile);
            let z_loss = self.0.loss.z_loss;
            let rows = TileGradient {
                normalizers: &normalizers,
                logits: &logits,
                terms: &terms,
                targets: &targets,
            };
            if tile.second.is_some() {
                let classes = tile.elements.len() / ROWS;
                let factor = wide(simd, self.0.loss.hessian.factor(classes));
                hessian::write_tile(simd, tile, z_loss, inverse.times(factor), &rows);
            }
            let factors = Halves::of(
                simd,
                #[inline(always)]
                |start| {
                    let rows = rows.eight(simd, start);
                    let (factor, entry) = inlined_if_short(
                        simd,
                        #[inline(always)]
                        || rows.evaluate(z_loss, inverse),
                    );
                    store(entry, &mut entries, start);
                    store(factor.high, &mut highs, start);
                    factor.scaled(back).pair()
                },
            );
            write_gradient(simd, tile, &factors, &highs);
            for (row, &entry) in entries.iter().enumerate().take(tile.rows) {
                if targets.coefficient[row] != 0.0 {
                    let place = targets.class[row] as usize * ROWS + row;
                    tile.elements[place] = T::from_f64(entry);
                }
            }
        }
    }
}

/// The gradient of a row, to be written in pieces.
#[derive(Clone, Copy)]
pub(crate) enum RowGradient<T> {
    /// The same everywhere: 0 of a row that is left out, NaN without a finite maximum.
    Constant(T),
    /// `factor p`, and the entry of the target.
    Probabilities {
        normalizer: Normalizer<T>,
        factor: Wide,
        class: usize,
        entry: T,
        curvature: Curvature,
    },
}

impl<T, C, const GRADIENT: bool> PieceKernel<T> for IndexLossKernel<'_, C, GRADIENT>
where
    T: Float,
    C: Coefficients,
{
    type Row = RowGradient<T>;

    const WRITES_EXPONENTIALS: bool = true;

    #[inline(always)]
    fn start<S: Simd>(
        &self,
        simd: S,
        row: usize,
        normalizer: &Normalizer<T>,
        logit: impl Fn(usize) -> T,
        total: &mut LossTotal<T>,
    ) -> RowGradient<T> {
        let mut scratch = Vec::new();
        let Some(target) = self.0.coefficients.row(row, &mut scratch) else {
            total.add(Wide::ZERO, self.0.unreduced);
            return RowGradient::Constant(T::ZERO);
        };
        let (class, coefficient) = target.class.unwrap_or((0, 0.0));
        let x = logit(class);
        let loss = self.loss(normalizer, coefficient, x);
        total.add(Wide::new(target.weight) * loss, self.0.unreduced);
        let divisor = self.0.coefficients.divisor();
        if divisor.high == 0.0 {
            return RowGradient::Constant(T::ZERO);
        }
        if !normalizer.is_finite() {
            return RowGradient::Constant(T::NAN);
        }
        let scale = Wide::new(target.weight).divided_by(divisor);
        let common = self.common(normalizer, coefficient);
        let p = exp_wide(simd, -normalizer.cost(x));
        let entry = if coefficient == 0.0 {
            common * p
        } else {
            target_entry(normalizer, x, p, common, coefficient)
        };
        RowGradient::Probabilities {
            normalizer: *normalizer,
            factor: common * scale,
            class,
            entry: T::from_f64((entry * scale).to_f64()),
            curvature: self
                .0
                .loss
                .curvature(common, scale, self.0.coefficients.classes()),
        }
    }

    #[inline(always)]
    fn piece<S: Simd>(
        &self,
        simd: S,
        row: &RowGradient<T>,
        first: usize,
        lane: &mut Lane<'_, T, 1>,
    ) {
        match *row {
            RowGradient::Constant(value) => lane.fill(value),
            RowGradient::Probabilities {
                ref normalizer,
                factor,
                class,
                entry,
                ref curvature,
            } => {
                if lane.has_second() {
                    hessian::write_from_logits(simd, normalizer, curvature, lane);
                }
                write_probabilities(simd, normalizer, factor, lane);
                let place = class.wrapping_sub(first);
                if let Some(element) = lane.output().get_mut(place) {
                    *element = entry;
                }
            }
        }
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

/// What two parts of the losses of eight rows are, less their weights, and those.
type WeightedCosts<S, T> = [(Number<S, T>, f64x8<S>); 2];

impl<C: Coefficients, const GRADIENT: bool> IndexLossKernel<'_, C, GRADIENT> {
    /// What the losses of eight rows add up from: costs and their weights.
    #[inline(always)]
    fn terms<S: Simd, T: Float>(
        &self,
        rows: &EightRows<S, T>,
        logits: f64x8<S>,
        targets: &IndexTargets,
        start: usize,
    ) -> WeightedCosts<S, T> {
        let simd = logits.token();
        let zero = f64x8::splat(simd, 0.0);
        let nothing = Number::new(zero);
        let weight = load(simd, &targets.weight, start);
        let coefficient = load(simd, &targets.coefficient, start) * weight;
        let only = |wanted: f64x8<S>, cost| Number::select(wanted.simd_eq(zero), nothing, cost);
        let cost = only(coefficient, rows.cost(logits));
        if self.0.loss.z_loss == 0.0 {
            return [(cost, coefficient), (nothing, zero)];
        }
        let lse = Number::from_pair(rows.log_sum_exp());
        let z_weight = f64x8::splat(simd, self.0.loss.z_loss) * weight;
        [
            (cost, coefficient),
            (only(z_weight, lse.times(lse)), z_weight),
        ]
    }
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
