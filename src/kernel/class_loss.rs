//! Losses of one row of classes: what a class costs, times its coefficient, summed.
//!
//! `l = s [ sum_c a_c cost_c + extra ]`, where the coefficients `a_c` come from the targets, class
//! weights and label smoothing, and `s` is the sample weight. The three losses differ in what a
//! class costs and in the gradient of that.

use fearless_simd::{ExtractToken, Select, Simd, SimdBase, f64x8};

use super::RowKernel;
use super::index_loss::IndexTargets;
use super::lane::Lane;
use super::normalizer::Normalizer;
use crate::float::Float;
use crate::simd::Vector;
use crate::simd::math::{clip, exp_wide, log_pair, log_wide};
use crate::simd::reduce::{ProductSum, partial};
use crate::wide::Wide;

/// The coefficients of one row that is not left out.
pub(crate) struct RowTarget<'a> {
    /// The sample weight.
    pub(crate) weight: f64,
    /// A class and its coefficient, beside those that all classes have.
    pub(crate) class: Option<(usize, f64)>,
    /// A coefficient for every class; empty if only one class has one.
    pub(crate) all: &'a [f64],
    /// Their sum, if there are any.
    pub(crate) all_sum: Wide,
}

impl RowTarget<'_> {
    /// The sum of all coefficients.
    #[inline(always)]
    fn sum(&self) -> Wide {
        Wide::new(self.class.map_or(0.0, |(_, a)| a)) + self.all_sum
    }
}

/// Where the coefficients of each row come from.
pub(crate) trait Coefficients: Sync {
    /// `None` for a row that is left out.
    fn row<'a>(&'a self, row: usize, scratch: &'a mut Vec<f64>) -> Option<RowTarget<'a>>;

    /// Whether each row's coefficients are those of one class, so that `index_targets` is there.
    fn has_one_class_a_row(&self) -> bool;

    /// The targets of `rows` rows from `first` on; lanes beyond them stay left out.
    fn index_targets(&self, first: usize, rows: usize, targets: &mut IndexTargets);

    /// What a row's gradient is divided by: 0 if all gradients are 0.
    fn divisor(&self) -> Wide;
}

/// A loss of one row.
pub(crate) trait ClassLoss<T: Float>: Sync {
    /// What a row is read once for.
    type Row;

    fn read<S: Simd>(&self, simd: S, row: &[T]) -> Self::Row;

    /// What one class costs.
    fn cost<S: Simd>(&self, simd: S, row: &Self::Row, x: T) -> Wide;

    /// What each class of a vector costs.
    fn costs<S: Simd>(&self, row: &Self::Row, x: f64x8<S>) -> f64x8<S>;

    /// What does not depend on the target.
    fn extra(&self, _row: &Self::Row) -> Wide {
        Wide::ZERO
    }

    /// The loss as the one that is there for tiles.
    fn for_tiles(&self) -> Option<&LogitsLoss> {
        None
    }

    /// Writes the gradient; `scale` is the sample weight over the divisor.
    fn gradient<S: Simd>(
        &self,
        simd: S,
        row: &Self::Row,
        target: &RowTarget<'_>,
        scale: Wide,
        lane: &mut Lane<'_, T, 1>,
    );
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

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        row: usize,
        lane: &mut Lane<'_, T, 1>,
        scratch: &mut Vec<f64>,
        total: &mut LossTotal<T>,
    ) {
        let mut loss = Wide::ZERO;
        if let Some(target) = self.coefficients.row(row, scratch) {
            let state = self.loss.read(simd, lane.input());
            loss = self.loss_of(simd, &state, &target, lane.input());
            if GRADIENT {
                let divisor = self.coefficients.divisor();
                if divisor.high == 0.0 {
                    lane.output().fill(T::ZERO);
                } else {
                    let scale = Wide::new(target.weight).divided_by(divisor);
                    self.loss.gradient(simd, &state, &target, scale, lane);
                }
            }
        } else if GRADIENT {
            lane.output().fill(T::ZERO);
        }
        total.add(loss, self.unreduced);
    }
}

impl<L, C, const GRADIENT: bool> LossKernel<'_, L, C, GRADIENT> {
    #[inline(always)]
    fn loss_of<S: Simd, T: Float>(
        &self,
        simd: S,
        state: &L::Row,
        target: &RowTarget<'_>,
        row: &[T],
    ) -> Wide
    where
        L: ClassLoss<T>,
    {
        let mut loss = self.loss.extra(state);
        if !target.all.is_empty() {
            loss += self.weighted_costs(simd, state, target.all, row);
        }
        if let Some((class, coefficient)) = target.class
            && coefficient != 0.0
        {
            let cost = self.loss.cost(simd, state, row[class]);
            loss += Wide::new(coefficient) * cost;
        }
        Wide::new(target.weight) * loss
    }

    /// `sum_c a_c cost_c`; a class of coefficient 0 adds nothing, whatever it costs.
    #[inline(always)]
    fn weighted_costs<S: Simd, T: Float>(
        &self,
        simd: S,
        state: &L::Row,
        coefficients: &[f64],
        row: &[T],
    ) -> Wide
    where
        L: ClassLoss<T>,
    {
        let mut sum = ProductSum::new(simd);
        let zero = f64x8::splat(simd, 0.0);
        for (x, a) in row.chunks(T::LANES).zip(coefficients.chunks(T::LANES)) {
            let widened = T::widen(partial(simd, x, T::ZERO));
            for (&x, a) in widened.as_ref().iter().zip(a.chunks(8)) {
                let a = partial(simd, a, 0.0);
                let cost = self.loss.costs(state, x);
                sum.add(a.simd_eq(zero).select(zero, cost), a);
            }
        }
        sum.total()
    }
}

/// Replaces each element of a row by a function of it and its coefficient.
#[inline(always)]
fn replace_each<S: Simd, T: Float>(
    simd: S,
    row: &mut [T],
    coefficients: &[f64],
    function: impl Fn(f64x8<S>, f64x8<S>) -> f64x8<S>,
) {
    for (x, a) in row.chunks_mut(T::LANES).zip(coefficients.chunks(T::LANES)) {
        let mut widened = T::widen(partial(simd, x, T::ZERO));
        for (x, a) in widened.as_mut().iter_mut().zip(a.chunks(8)) {
            *x = function(*x, partial(simd, a, 0.0));
        }
        let result = T::narrow(widened);
        x.copy_from_slice(&result.as_slice()[..x.len()]);
    }
}

/// Cross entropy of logits: a class costs `lse - x`, and `z_loss lse^2` is added.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogitsLoss {
    pub(crate) z_loss: f64,
}

impl<T: Float> ClassLoss<T> for LogitsLoss {
    type Row = Normalizer<T>;

    fn for_tiles(&self) -> Option<&LogitsLoss> {
        Some(self)
    }

    #[inline(always)]
    fn read<S: Simd>(&self, simd: S, row: &[T]) -> Normalizer<T> {
        Normalizer::of(simd, row)
    }

    #[inline(always)]
    fn cost<S: Simd>(&self, _simd: S, row: &Normalizer<T>, x: T) -> Wide {
        row.cost(x)
    }

    #[inline(always)]
    fn costs<S: Simd>(&self, row: &Normalizer<T>, x: f64x8<S>) -> f64x8<S> {
        let simd = x.token();
        let max = f64x8::splat(simd, row.max.to_f64());
        (max - x) + f64x8::splat(simd, row.log_others.high)
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

    /// `scale (G p - a)` with `G = sum(a) + 2 z_loss lse`.
    #[inline(always)]
    fn gradient<S: Simd>(
        &self,
        simd: S,
        row: &Normalizer<T>,
        target: &RowTarget<'_>,
        scale: Wide,
        lane: &mut Lane<'_, T, 1>,
    ) {
        if !row.is_finite() {
            lane.output().fill(T::NAN);
            return;
        }
        let mut common = target.sum();
        if self.z_loss != 0.0 {
            common += Wide::new(2.0 * self.z_loss) * row.log_sum_exp();
        }
        let entry = target.class.and_then(|(class, coefficient)| {
            let own = coefficient + target.all.get(class).copied().unwrap_or(0.0);
            // Without a coefficient of its own the class is like the others.
            (own != 0.0).then(|| {
                let x = lane.input()[class];
                let p = exp_wide(simd, -row.cost(x));
                let entry = target_entry(row, x, p, common, own);
                (class, (entry * scale).to_f64())
            })
        });
        write_probabilities(simd, row, common * scale, lane);
        if !target.all.is_empty() {
            let scale = f64x8::splat(simd, -scale.to_f64());
            replace_each(
                simd,
                lane.output(),
                target.all,
                #[inline(always)]
                |p, a| a.fused_mul_add(scale, p),
            );
        }
        if let Some((class, entry)) = entry {
            lane.output()[class] = T::from_f64(entry);
        }
    }
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

/// Negative log-likelihood of log-probabilities: a class costs `-x`.
pub(crate) struct LogProbsLoss;

impl<T: Float> ClassLoss<T> for LogProbsLoss {
    type Row = ();

    #[inline(always)]
    fn read<S: Simd>(&self, _simd: S, _row: &[T]) {}

    #[inline(always)]
    fn cost<S: Simd>(&self, _simd: S, (): &(), x: T) -> Wide {
        Wide::new(-x.to_f64())
    }

    #[inline(always)]
    fn costs<S: Simd>(&self, (): &(), x: f64x8<S>) -> f64x8<S> {
        -x
    }

    /// `-scale a`.
    #[inline(always)]
    fn gradient<S: Simd>(
        &self,
        simd: S,
        (): &(),
        target: &RowTarget<'_>,
        scale: Wide,
        lane: &mut Lane<'_, T, 1>,
    ) {
        let output = lane.output();
        output.fill(T::ZERO);
        let factor = f64x8::splat(simd, -scale.to_f64());
        let zero = f64x8::splat(simd, 0.0);
        replace_each(
            simd,
            output,
            target.all,
            #[inline(always)]
            |_, a| a.fused_mul_add(factor, zero),
        );
        if let Some((class, coefficient)) = target.class {
            output[class] = T::from_f64(-(Wide::new(coefficient) * scale).to_f64());
        }
    }
}

/// Cross entropy of probabilities: a class costs `-log(p)`, with `p` clipped to `[eps, 1 - eps]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProbsLoss {
    pub(crate) eps: f64,
}

impl ProbsLoss {
    /// Whether `eps` clips a probability, and what it becomes: `1 - eps` is not rounded.
    #[inline(always)]
    fn clipped(&self, p: f64) -> (bool, Wide) {
        if self.eps == 0.0 {
            (false, Wide::new(p))
        } else if p < self.eps {
            (true, Wide::new(self.eps))
        } else if p > 1.0 - self.eps {
            (true, Wide::sum(1.0, -self.eps))
        } else {
            (false, Wide::new(p))
        }
    }
}

impl<T: Float> ClassLoss<T> for ProbsLoss {
    type Row = ();

    #[inline(always)]
    fn read<S: Simd>(&self, _simd: S, _row: &[T]) {}

    #[inline(always)]
    fn cost<S: Simd>(&self, simd: S, (): &(), p: T) -> Wide {
        -log_wide(simd, self.clipped(p.to_f64()).1)
    }

    #[inline(always)]
    fn costs<S: Simd>(&self, (): &(), p: f64x8<S>) -> f64x8<S> {
        let log = log_pair(clip(p, self.eps).0);
        -(log.high + log.low)
    }

    /// `-scale a / p`, and 0 where `p` was clipped.
    #[inline(always)]
    fn gradient<S: Simd>(
        &self,
        simd: S,
        (): &(),
        target: &RowTarget<'_>,
        scale: Wide,
        lane: &mut Lane<'_, T, 1>,
    ) {
        let entry = target.class.map(|(class, coefficient)| {
            let p = lane.input()[class].to_f64();
            let entry = -(Wide::new(coefficient) * scale)
                .divided_by(Wide::new(p))
                .to_f64();
            let entry = if self.clipped(p).0 || coefficient == 0.0 {
                0.0
            } else {
                entry
            };
            (class, T::from_f64(entry))
        });
        if target.all.is_empty() {
            lane.output().fill(T::ZERO);
        } else {
            let zero = f64x8::splat(simd, 0.0);
            let factor = f64x8::splat(simd, -scale.to_f64());
            lane.copy_input();
            replace_each(
                simd,
                lane.output(),
                target.all,
                #[inline(always)]
                |p, a| {
                    let nothing = a.simd_eq(zero) | clip(p, self.eps).1;
                    nothing.select(zero, a * factor / p)
                },
            );
        }
        if let Some((class, entry)) = entry {
            lane.output()[class] = entry;
        }
    }
}
