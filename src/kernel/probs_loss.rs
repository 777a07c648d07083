//! Losses of rows of probabilities, and of their logarithms: each class has a cost of its own, and
//! no normaliser is needed.

use fearless_simd::{Select, Simd, SimdBase, f64x8};

use super::class_loss::{ClassLoss, RowTarget};
use super::lane::Lane;
use super::spread::{Spread, replace_each, sums};
use crate::float::Float;
use crate::simd::logarithm::{log_pair, log_wide};
use crate::simd::math::clip;
use crate::wide::Wide;

/// The sum of what all classes of a row cost, times their coefficients.
#[inline(always)]
fn spread_cost<S: Simd, T: Float>(
    simd: S,
    spread: &mut Spread<'_>,
    row: &[T],
    often_infinite: bool,
    cost: impl Fn(f64x8<S>) -> f64x8<S>,
) -> Wide {
    match spread {
        Spread::Nothing => Wide::ZERO,
        // Only logits are smoothed.
        Spread::Even(_) => unreachable!("no smoothing"),
        Spread::Listed(_) | Spread::Soft(_) => sums(simd, spread, row, often_infinite, cost).costs,
    }
}

/// Negative log-likelihood of log-probabilities: a class costs `-x`.
pub(crate) struct LogProbsLoss;

impl<T: Float> ClassLoss<T> for LogProbsLoss {
    #[inline(always)]
    fn loss<S: Simd>(&self, simd: S, target: &mut RowTarget<'_>, row: &[T]) -> Wide {
        let loss = spread_cost(
            simd,
            &mut target.all,
            row,
            false,
            #[inline(always)]
            |x| -x,
        );
        match target.class {
            Some((class, a)) if a != 0.0 => loss + Wide::product(a, -row[class].to_f64()),
            _ => loss,
        }
    }

    /// `-scale a`.
    #[inline(always)]
    fn loss_and_grad<S: Simd>(
        &self,
        simd: S,
        target: &mut RowTarget<'_>,
        scale: Wide,
        lane: &mut Lane<'_, T, 1>,
    ) -> Wide {
        let loss = self.loss(simd, target, lane.input());
        let factor = f64x8::splat(simd, -scale.to_f64());
        if let Spread::Nothing = target.all {
            lane.output().fill(T::ZERO);
        } else {
            replace_each(
                simd,
                &mut target.all,
                lane.output(),
                #[inline(always)]
                |_, a| a * factor,
            );
        }
        if let Some((class, coefficient)) = target.class {
            let entry = -(Wide::new(coefficient) * scale);
            lane.output()[class] = T::from_f64(entry.to_f64());
        }
        loss
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
    #[inline(always)]
    fn loss<S: Simd>(&self, simd: S, target: &mut RowTarget<'_>, row: &[T]) -> Wide {
        let loss = spread_cost(
            simd,
            &mut target.all,
            row,
            true,
            #[inline(always)]
            |p| {
                let log = log_pair(clip(p, self.eps).0);
                -(log.high + log.low)
            },
        );
        match target.class {
            Some((class, a)) if a != 0.0 => {
                let p = self.clipped(row[class].to_f64()).1;
                loss + Wide::new(a) * -log_wide(simd, p)
            }
            _ => loss,
        }
    }

    /// `-scale a / p`, and 0 where `p` was clipped.
    #[inline(always)]
    fn loss_and_grad<S: Simd>(
        &self,
        simd: S,
        target: &mut RowTarget<'_>,
        scale: Wide,
        lane: &mut Lane<'_, T, 1>,
    ) -> Wide {
        let loss = self.loss(simd, target, lane.input());
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
        if let Spread::Nothing = target.all {
            lane.output().fill(T::ZERO);
        } else {
            let zero = f64x8::splat(simd, 0.0);
            let factor = f64x8::splat(simd, -scale.to_f64());
            lane.copy_input();
            replace_each(
                simd,
                &mut target.all,
                lane.output(),
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
        loss
    }
}
