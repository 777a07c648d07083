//! Cross entropy of logits, with its gradient in the same pass.

use ndarray::{Array, ArrayView, ArrayView1, ArrayViewMut, Axis, Dimension};

use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernel::class_loss::LogitsLoss;
use crate::loss::{CheckedLoss, Loss, Reduction, loss, loss_and_grad};
use crate::targets::{ClassOptions, Targets};

/// Cross entropy of logits against class indices or probabilities.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CrossEntropy<'a> {
    options: ClassOptions<'a>,
    loss: LogitsLoss,
}

impl<'a> CrossEntropy<'a> {
    /// No weights, no smoothing, the mean over the rows.
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

    /// The share of every target that is spread evenly over the classes, from 0 to 1.
    pub fn label_smoothing(mut self, share: f64) -> Self {
        self.options.label_smoothing = share;
        self
    }

    /// The factor of the squared log-sum-exp that is added to each row's loss.
    pub fn z_loss(mut self, factor: f64) -> Self {
        self.loss.z_loss = factor;
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
        logits: ArrayView<'_, T, D>,
        targets: impl Into<Targets<'t, T>>,
        axis: Axis,
    ) -> Result<Loss<T>> {
        loss(&self.loss, &self.options, logits, targets, axis, None)
    }

    /// The loss, and the gradient of the reduced loss with respect to the logits.
    pub fn loss_and_grad<'t, T: Float, D: Dimension>(
        &self,
        logits: ArrayView<'_, T, D>,
        targets: impl Into<Targets<'t, T>>,
        axis: Axis,
    ) -> Result<(Loss<T>, Array<T, D>)> {
        loss_and_grad(&self.loss, &self.options, logits, targets, axis)
    }

    /// [`loss_and_grad`](Self::loss_and_grad) with the gradient written to an array of the same
    /// shape.
    pub fn loss_and_grad_into<'t, T: Float, D: Dimension>(
        &self,
        logits: ArrayView<'_, T, D>,
        targets: impl Into<Targets<'t, T>>,
        axis: Axis,
        out: ArrayViewMut<'_, T, D>,
    ) -> Result<Loss<T>> {
        loss(&self.loss, &self.options, logits, targets, axis, Some(out))
    }
}

impl<T: Float> CheckedLoss<T> for LogitsLoss {
    fn check(&self) -> Result<()> {
        if self.z_loss.is_finite() {
            return Ok(());
        }
        Err(Error::Option {
            name: "z_loss",
            value: self.z_loss,
            expected: "a finite number",
        })
    }

    fn counts_without_target(&self) -> bool {
        self.z_loss != 0.0
    }
}
