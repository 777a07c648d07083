//! Negative log-likelihood of log-probabilities.

use ndarray::{Array, ArrayView, ArrayView1, ArrayViewMut, Axis, Dimension};

use crate::error::Result;
use crate::float::Float;
use crate::kernel::class_loss::LogProbsLoss;
use crate::loss::{CheckedLoss, Loss, Reduction, loss, loss_and_grad};
use crate::targets::{ClassOptions, Targets};

/// Negative log-likelihood of log-probabilities against class indices or probabilities.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct NllLoss<'a> {
    options: ClassOptions<'a>,
}

impl<'a> NllLoss<'a> {
    /// No weights, the mean over the rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// A weight for each class.
    pub fn weight<W: Float>(mut self, weight: ArrayView1<'_, W>) -> Self {
        self.options.set_weight(weight);
        self
    }

    /// A weight for each row; 0 leaves the row out.
    pub fn sample_weight<D: Dimension>(mut self, weight: ArrayView<'a, f64, D>) -> Self {
        self.options.sample_weight = Some(weight.into());
        self
    }

    /// Rows of this target are left out.
    pub fn ignore_index(mut self, index: i64) -> Self {
        self.options.ignore_index = Some(index);
        self
    }

    /// How the losses of the rows become one.
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.options.reduction = reduction;
        self
    }

    /// The loss.
    pub fn loss<'t, T: Float, D: Dimension>(
        &self,
        log_probs: ArrayView<'_, T, D>,
        targets: impl Into<Targets<'t, T>>,
        axis: Axis,
    ) -> Result<Loss<T>> {
        loss(&LogProbsLoss, &self.options, log_probs, targets, axis, None)
    }

    /// The loss, and the gradient of the reduced loss with respect to the log_probs.
    pub fn loss_and_grad<'t, T: Float, D: Dimension>(
        &self,
        log_probs: ArrayView<'_, T, D>,
        targets: impl Into<Targets<'t, T>>,
        axis: Axis,
    ) -> Result<(Loss<T>, Array<T, D>)> {
        loss_and_grad(&LogProbsLoss, &self.options, log_probs, targets, axis)
    }

    /// [`loss_and_grad`](Self::loss_and_grad) with the gradient written to an array of the same
    /// shape.
    pub fn loss_and_grad_into<'t, T: Float, D: Dimension>(
        &self,
        log_probs: ArrayView<'_, T, D>,
        targets: impl Into<Targets<'t, T>>,
        axis: Axis,
        out: ArrayViewMut<'_, T, D>,
    ) -> Result<Loss<T>> {
        loss(
            &LogProbsLoss,
            &self.options,
            log_probs,
            targets,
            axis,
            Some(out),
        )
    }
}

impl<T: Float> CheckedLoss<T> for LogProbsLoss {
    fn check(&self) -> Result<()> {
        Ok(())
    }
}
