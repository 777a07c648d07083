//! Cross entropy of logits with class indices as targets: one class a row has a coefficient.
//!
//! The formulas are those of `class_loss`. Here a row's exponentials are kept for its gradient.

use fearless_simd::Simd;

use super::RowKernel;
use super::class_loss::{
    ClassLoss, Coefficients, LogitsLoss, LossKernel, LossTotal, RowTarget, target_entry,
    write_probabilities,
};
use super::hessian::{self, Curvature};
use super::lane::Lane;
use super::normalizer::{KeptTerms, Normalizer};
use super::piece::PieceKernel;
use super::tile::{RowNumbers, Tile, TileKernel};
use super::tile_loss::TileLoss;
use crate::float::Float;
use crate::simd::math::exp_wide;
use crate::wide::Wide;

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
    fn tile<S: Simd>(
        &self,
        simd: S,
        tile: &mut Tile<'_, T>,
        numbers: &mut RowNumbers,
        total: &mut LossTotal<T>,
    ) {
        TileLoss::<_, GRADIENT, false>(&self.0).tile(simd, tile, numbers, total);
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
