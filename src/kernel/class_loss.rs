//! Losses of one row of classes: what a class costs, times its coefficient, summed.
//!
//! `l = s [ sum_c a_c cost_c + extra ]`, where the coefficients `a_c` come from the targets, class
//! weights and label smoothing, and `s` is the sample weight. The three losses differ in what a
//! class costs and in the gradient of that.

use fearless_simd::{Simd, SimdBase, f64x8};

use super::RowKernel;
use super::hessian::{Curvature, Hessian, write_from_terms};
use super::lane::Lane;
use super::normalizer::{KeptTerms, Normalizer, is_ordinary};
use super::spread::{Linear, Spread, SpreadSums, distance, replace_each, sums};
use super::tile::{RowNumbers, Tile, TileKernel};
use super::tile_gradient::TileTargets;
use super::tile_loss::TileLoss;
use super::tile_spread::TileSpread;
use crate::float::Float;
use crate::simd::Vector;
use crate::simd::logarithm::log_wide;
use crate::simd::reduce::max;
use crate::wide::Wide;

/// The coefficients of one row that is not left out.
pub(crate) struct RowTarget<'a> {
    /// The sample weight.
    pub(crate) weight: f64,
    /// A class and its coefficient, beside those that all classes have.
    pub(crate) class: Option<(usize, f64)>,
    /// Those that all classes have.
    pub(crate) all: Spread<'a>,
}

/// Where the coefficients of each row come from.
pub(crate) trait Coefficients: Sync {
    /// `None` for a row that is left out.
    fn row<'a>(&'a self, row: usize, scratch: &'a mut Vec<f64>) -> Option<RowTarget<'a>>;

    /// Whether each row's coefficients are those of one class.
    fn has_one_class_a_row(&self) -> bool;

    /// Finds the targets of `rows` rows from `first` on; lanes beyond them are left out. Implementations are
    /// `#[inline(always)]`.
    fn tile_targets(&self, first: usize, rows: usize, found: &mut TileTargets);

    /// The coefficients that all classes of these rows have, where that is not one class a row.
    /// Implementations are `#[inline(always)]`.
    fn tile_spread<'a, S: Simd>(
        &'a self,
        simd: S,
        first: usize,
        rows: usize,
        scratch: &'a mut Vec<f64>,
    ) -> TileSpread<'a>;

    /// Up to so many classes the coefficients of a tile stay in the cache.
    fn most_tile_classes(&self) -> usize;

    /// Whether rows count whose every coefficient is 0.
    fn keeps_empty(&self) -> bool;

    /// What a row's gradient is divided by: 0 if all gradients are 0.
    fn divisor(&self) -> Wide;

    /// How many classes there are.
    fn classes(&self) -> usize;
}

/// A loss of one row, less the row's weight.
pub(crate) trait ClassLoss<T: Float>: Sync {
    /// The loss as the one that is there for tiles.
    fn for_tiles(&self) -> Option<&LogitsLoss> {
        None
    }

    /// Whether it writes the diagonal of the Hessian where there is a place for it.
    const HAS_HESSIAN: bool = false;

    /// What does not depend on the target.
    fn extra(&self, _row: &Normalizer<T>) -> Wide {
        Wide::ZERO
    }

    fn loss<S: Simd>(&self, simd: S, target: &mut RowTarget<'_>, row: &[T]) -> Wide;

    /// Writes the gradient besides; `scale` is the sample weight over the divisor.
    fn loss_and_grad<S: Simd>(
        &self,
        simd: S,
        target: &mut RowTarget<'_>,
        scale: Wide,
        lane: &mut Lane<'_, T, 1>,
    ) -> Wide;
}

/// A loss as a kernel, with or without its gradient.
pub(crate) struct LossKernel<'a, L, C, const GRADIENT: bool> {
    pub(crate) loss: &'a L,
    pub(crate) coefficients: &'a C,
    /// Whether every row's loss is wanted, not just their sum.
    pub(crate) unreduced: bool,
}

impl<'a, L, C, const GRADIENT: bool> LossKernel<'a, L, C, GRADIENT> {
    pub(crate) fn new(loss: &'a L, coefficients: &'a C, unreduced: bool) -> Self {
        Self {
            loss,
            coefficients,
            unreduced,
        }
    }
}

/// The losses of a grain.
pub(crate) struct LossTotal<T> {
    pub(crate) sum: Wide,
    pub(crate) rows: Vec<T>,
}

impl<T> Default for LossTotal<T> {
    fn default() -> Self {
        Self {
            sum: Wide::ZERO,
            rows: Vec::new(),
        }
    }
}

impl<T: Float> LossTotal<T> {
    /// Adds the losses of a tile of `f32`, and leaves the parts of the sum as they come: of a few hundred
    /// tiles the second stays far below the first.
    #[inline(always)]
    pub(crate) fn add_rounded(&mut self, losses: Wide) {
        let sum = Wide::sum(self.sum.high, losses.high);
        self.sum = Wide {
            high: sum.high,
            low: (self.sum.low + losses.low) + sum.low,
        };
    }

    #[inline(always)]
    pub(crate) fn add(&mut self, loss: Wide, unreduced: bool) {
        if unreduced {
            self.rows.push(T::from_f64(loss.to_f64()));
        } else {
            self.sum += loss;
        }
    }
}

impl<T, L, C, const GRADIENT: bool> RowKernel<T, 1> for LossKernel<'_, L, C, GRADIENT>
where
    T: Float,
    L: ClassLoss<T>,
    C: Coefficients,
{
    type Total = LossTotal<T>;

    const WRITES_TWO: bool = GRADIENT && L::HAS_HESSIAN;

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        row: usize,
        lane: &mut Lane<'_, T, 1>,
        scratch: &mut Vec<f64>,
        total: &mut LossTotal<T>,
    ) {
        let divisor = self.coefficients.divisor();
        let mut loss = Wide::ZERO;
        let target = self.coefficients.row(row, scratch);
        if GRADIENT && (target.is_none() || divisor.high == 0.0) {
            // What is written may be the logits themselves.
            if let Some(mut target) = target {
                loss = self.loss.loss(simd, &mut target, lane.input());
                loss = Wide::new(target.weight) * loss;
            }
            lane.fill(T::ZERO);
        } else if let Some(mut target) = target {
            let weight = Wide::new(target.weight);
            loss = if GRADIENT {
                let scale = weight.divided_by(divisor);
                self.loss.loss_and_grad(simd, &mut target, scale, lane)
            } else {
                self.loss.loss(simd, &mut target, lane.input())
            };
            loss = weight * loss;
        }
        total.add(loss, self.unreduced);
    }
}

/// A tile of rows in which all classes have coefficients.
impl<T, C, const GRADIENT: bool> TileKernel<T> for LossKernel<'_, LogitsLoss, C, GRADIENT>
where
    T: Float,
    C: Coefficients,
{
    fn most_classes(&self) -> usize {
        self.coefficients.most_tile_classes()
    }

    #[inline(always)]
    fn tile<S: Simd>(
        &self,
        simd: S,
        tile: &mut Tile<'_, T>,
        numbers: &mut RowNumbers,
        total: &mut LossTotal<T>,
    ) {
        TileLoss::<_, GRADIENT, true>(self).tile(simd, tile, numbers, total);
    }
}

/// Cross entropy of logits: a class costs `lse - x`, and `z_loss lse^2` is added.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogitsLoss {
    pub(crate) z_loss: f64,
    pub(crate) hessian: Hessian,
}

impl LogitsLoss {
    #[inline(always)]
    pub(crate) fn curvature(&self, common: Wide, scale: Wide, classes: usize) -> Curvature {
        Curvature::new(common, self.z_loss, scale * self.hessian.factor(classes))
    }

    /// Writes the Hessian of a row if there is a place for it; `common` is what probabilities are
    /// multiplied by in the gradient.
    #[inline(always)]
    pub(crate) fn write_hessian<S: Simd, T: Float>(
        &self,
        simd: S,
        kept: &KeptTerms<T>,
        row: &Normalizer<T>,
        common: Wide,
        scale: Wide,
        lane: &mut Lane<'_, T, 1>,
    ) {
        if let Some(second) = lane.second() {
            let curvature = self.curvature(common, scale, second.len());
            write_from_terms(simd, kept, row, &curvature, lane);
        }
    }

    /// The loss, from the sums of what all classes cost less `lse - reference`.
    #[inline(always)]
    fn total<T: Float>(
        &self,
        row: &Normalizer<T>,
        class: Option<(f64, T)>,
        sums: &SpreadSums,
        reference: T,
    ) -> Wide {
        let mut loss = self.extra(row);
        if sums.coefficients.high != 0.0 {
            loss += sums.coefficients * row.cost(reference);
        }
        loss += sums.costs;
        if let Some((coefficient, x)) = class
            && coefficient != 0.0
        {
            loss += Wide::new(coefficient) * row.cost(x);
        }
        loss
    }
}

impl<T: Float> ClassLoss<T> for LogitsLoss {
    const HAS_HESSIAN: bool = true;

    fn for_tiles(&self) -> Option<&LogitsLoss> {
        Some(self)
    }

    #[inline(always)]
    fn extra(&self, row: &Normalizer<T>) -> Wide {
        if !row.is_finite() {
            return Wide::NAN;
        }
        if self.z_loss == 0.0 {
            // The square may be infinite.
            return Wide::ZERO;
        }
        let lse = row.log_sum_exp();
        Wide::new(self.z_loss) * (lse * lse)
    }

    #[inline(always)]
    fn loss<S: Simd>(&self, simd: S, target: &mut RowTarget<'_>, row: &[T]) -> Wide {
        let normalizer = Normalizer::of(simd, row, [None; 2]);
        let reference = reference(&target.all, row, || normalizer.max);
        let sums = distances(simd, &mut target.all, row, reference);
        let class = target.class.map(|(class, a)| (a, row[class]));
        self.total(&normalizer, class, &sums, reference)
    }

    /// `scale (G p - a)` with `G = sum(a) + 2 z_loss lse`.
    #[inline(always)]
    fn loss_and_grad<S: Simd>(
        &self,
        simd: S,
        target: &mut RowTarget<'_>,
        scale: Wide,
        lane: &mut Lane<'_, T, 1>,
    ) -> Wide {
        // The terms that are kept may take the place of the logits.
        let reference = reference(&target.all, lane.input(), || max(simd, lane.input()));
        let sums = distances(simd, &mut target.all, lane.input(), reference);
        let class = target.class.map(|(class, a)| (a, lane.input()[class]));
        let Some(kept) = KeptTerms::of(simd, lane) else {
            lane.fill(T::NAN);
            return Wide::NAN;
        };
        let row = kept.normalizer(simd);
        let mut common = sums.coefficients + Wide::new(class.map_or(0.0, |(a, _)| a));
        if self.z_loss != 0.0 {
            common += Wide::new(2.0 * self.z_loss) * row.log_sum_exp();
        }
        let entry = target.class.zip(class).and_then(|((index, a), (_, x))| {
            let own = a + target.all.of(index);
            // Without a coefficient of its own the class is like the others.
            (own != 0.0).then(|| {
                let p = kept.probability(lane.output()[index]);
                let entry = target_entry(&row, x, p, common, own);
                (index, (entry * scale).to_f64())
            })
        });
        self.write_hessian(simd, &kept, &row, common, scale, lane);
        write_differences(simd, &kept, &mut target.all, common, scale, lane);
        if let Some((index, entry)) = entry {
            lane.output()[index] = T::from_f64(entry);
        }
        self.total(&row, class, &sums, reference)
    }
}

/// What the logits of a row are subtracted from in the sums over its classes, one of them: their
/// maximum, so that nothing cancels. Where all have one coefficient, any will do for results of 24
/// bits, which spares the search: what cancels is at most the sum times the number of classes.
#[inline(always)]
fn reference<T: Float>(spread: &Spread<'_>, row: &[T], max: impl FnOnce() -> T) -> T {
    let any_will_do =
        matches!(spread, Spread::Even(_)) && T::LANES > 8 && row.len() <= MANY_CLASSES;
    if any_will_do && row[0].to_f64().is_finite() {
        row[0]
    } else {
        max()
    }
}

/// From here on what cancels in `f64` could show in `f32`.
const MANY_CLASSES: usize = 1 << 20;

/// The sums over what all classes of a row cost, each `reference - x`: the rest of `lse - x` is the
/// same for all.
#[inline(never)]
fn distances<S: Simd, T: Float>(
    simd: S,
    spread: &mut Spread<'_>,
    row: &[T],
    reference: T,
) -> SpreadSums {
    simd.vectorize(
        #[inline(always)]
        || match *spread {
            _ if !reference.to_f64().is_finite() => SpreadSums::NONE,
            Spread::Nothing => SpreadSums::NONE,
            Spread::Even(coefficient) => SpreadSums {
                costs: Wide::new(coefficient) * distance(simd, row, reference),
                coefficients: Wide::product(coefficient, row.len() as f64),
            },
            Spread::Listed(_) | Spread::Soft(_) => {
                let reference = f64x8::splat(simd, reference.to_f64());
                sums(
                    simd,
                    spread,
                    row,
                    false,
                    #[inline(always)]
                    |x| reference - x,
                )
            }
        },
    )
}

/// Writes `scale (common p - a)` over the terms that were kept.
#[inline(never)]
fn write_differences<S: Simd, T: Float>(
    simd: S,
    kept: &KeptTerms<T>,
    spread: &mut Spread<'_>,
    common: Wide,
    scale: Wide,
    lane: &mut Lane<'_, T, 1>,
) {
    let factor = common * scale;
    if !factor.high.is_finite() {
        lane.output().fill(T::NAN);
        return;
    }
    let per_term = factor * kept.probability(T::ONE);
    simd.vectorize(
        #[inline(always)]
        || {
            let mut left = per_term;
            if !is_ordinary::<T>(per_term) {
                kept.write_probabilities(simd, factor, lane);
                left = Wide::new(1.0);
            }
            subtract(simd, left, spread, scale, lane);
        },
    );
}

/// Replaces each element of a row by `factor x - scale a`.
#[inline(always)]
fn subtract<S: Simd, T: Float, const K: usize>(
    simd: S,
    factor: Wide,
    spread: &mut Spread<'_>,
    scale: Wide,
    lane: &mut Lane<'_, T, K>,
) {
    let even = match *spread {
        Spread::Nothing => Some(0.0),
        Spread::Even(a) => Some(a),
        Spread::Listed(_) | Spread::Soft(_) => None,
    };
    if let Some(a) = even {
        let summand = -(Wide::new(a) * scale).to_f64();
        let difference = Linear::new(factor, summand);
        lane.rewrite_row(simd, [lane.beside_output(), None], &difference);
        return;
    }
    let (high, low) = splat(simd, factor);
    let (scale_high, scale_low) = splat(simd, -scale);
    replace_each(
        simd,
        spread,
        lane.output(),
        #[inline(always)]
        |term, a| {
            if T::LANES > 8 {
                // More bits than the result has.
                return term * high + a * scale_high;
            }
            let rest = a.fused_mul_add(scale_low, term * low);
            term.fused_mul_add(high, a.fused_mul_add(scale_high, rest))
        },
    );
}

#[inline(always)]
fn splat<S: Simd>(simd: S, value: Wide) -> (f64x8<S>, f64x8<S>) {
    let c = |part| f64x8::splat(simd, part);
    (c(value.high), c(value.low))
}

/// `G p - a` for the class of the target: from `1 - p` where that is the smaller of the two, so that
/// a confident right answer keeps its small gradient.
#[inline(always)]
pub(crate) fn target_entry<T: Float>(
    row: &Normalizer<T>,
    x: T,
    p: Wide,
    common: Wide,
    own: f64,
) -> Wide {
    let complement = row.complement(x, p);
    if complement.high < 0.5 {
        (common - Wide::new(own)) - common * complement
    } else {
        common * p - Wide::new(own)
    }
}

/// Writes `factor * p`, rounded once.
#[inline(always)]
pub(crate) fn write_probabilities<S: Simd, T: Float>(
    simd: S,
    row: &Normalizer<T>,
    factor: Wide,
    lane: &mut Lane<'_, T, 1>,
) {
    if factor.high == 0.0 {
        lane.output().fill(T::ZERO);
        return;
    }
    if !factor.high.is_finite() {
        lane.output().fill(T::NAN);
        return;
    }
    let magnitude = if factor.high < 0.0 { -factor } else { factor };
    let log_factor = log_wide(simd, magnitude);
    row.write_probabilities(simd, log_factor, lane);
    if factor.high < 0.0 {
        lane.output().iter_mut().for_each(|x| *x = -*x);
    }
}
