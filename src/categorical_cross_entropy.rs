//! Cross entropy of probabilities.

use ndarray::{Array, ArrayView, ArrayView1, ArrayViewMut, Axis, Dimension};

use crate::error::Result;
use crate::float::Float;
use crate::kernel::class_loss::ProbsLoss;
use crate::loss::{CheckedLoss, ClassLossCall, Loss, Reduction, check_eps, loss, loss_and_grad};
use crate::targets::{ClassOptions, Targets};

/// Cross entropy of probabilities against class indices or probabilities.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CategoricalCrossEntropy<'a> {
    options: ClassOptions<'a>,
    loss: ProbsLoss,
}

impl<'a> CategoricalCrossEntropy<'a> {
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

    /// Clips the probabilities to `[eps, 1 - eps]`, from 0 to 0.5 exclusive.
    pub fn eps(mut self, eps: f64) -> Self {
        self.loss.eps = eps;
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
        probs: ArrayView<'_, T, D>,
        targets: impl Into<Targets<'t, T>>,
        axis: Axis,
    ) -> Result<Loss<T>> {
        loss(&self.loss, &self.options, probs, targets, axis, None)
    }

    /// The loss, and the gradient of the reduced loss with respect to the probs.
    pub fn loss_and_grad<'t, T: Float, D: Dimension>(
        &self,
        probs: ArrayView<'_, T, D>,
        targets: impl Into<Targets<'t, T>>,
        axis: Axis,
    ) -> Result<(Loss<T>, Array<T, D>)> {
        loss_and_grad(&self.loss, &self.options, probs, targets, axis)
    }

    /// [`loss_and_grad`](Self::loss_and_grad) with the gradient written to an array of the same
    /// shape.
    pub fn loss_and_grad_into<'t, T: Float, D: Dimension>(
        &self,
        probs: ArrayView<'_, T, D>,
        targets: impl Into<Targets<'t, T>>,
        axis: Axis,
        out: ArrayViewMut<'_, T, D>,
    ) -> Result<Loss<T>> {
        loss(&self.loss, &self.options, probs, targets, axis, Some(out))
    }
}

impl<T: Float> CheckedLoss<T> for ProbsLoss {
    fn check(&self) -> Result<()> {
        check_eps(self.eps)
    }

    fn check_scores(&self, call: &ClassLossCall<'_, T>) -> Result<()> {
        call.check_probs(self.eps)
    }
}
