//! Negative log-likelihood of log-probabilities.

use ndarray::{ArrayView, ArrayView1, ArrayViewMut, Axis, Dimension};

use crate::coefficients::ClassOptions;
use crate::compiled::{ClassLosses, compiled};
use crate::error::Result;
use crate::float::{Element, Float};
use crate::kernel::probs_loss::LogProbsLoss;
use crate::loss::{CheckedLoss, Loss, LossAndGrad, Reduction, loss, loss_and_grad};
use crate::targets::Targets;

/// Negative log-likelihood: cross entropy from log-probabilities.
///
/// With class weights w and the row's sample weight s, the loss of a row and its gradient are
///
/// ```text
/// class index y:     l = -s w_y log_probs_y            grad_c = -s w_y at c = y, else 0
/// probabilities t:   l = -s Σ_c w_c t_c log_probs_c    grad_c = -s w_c t_c
/// ```
///
/// before the division of the mean. It is the cross entropy of the logits if the log-probabilities
/// are their [`log_softmax`](crate::log_softmax). [`Reduction::Mean`] divides the sum by the sum of
/// `s w_y` over the rows kept for class indices, by the sum of `s` for probabilities.
///
/// The log-probabilities have C classes along `axis`; a row is one 1-d slice along it. Targets are
/// class indices, in the shape of the log-probabilities without `axis`, or probabilities, in the
/// shape of the log-probabilities; see [`Targets`]. An unreduced loss has the shape of the
/// log-probabilities without `axis`, a gradient that of the log-probabilities.
///
/// # Special values
///
/// - A NaN at the target is a loss of NaN, and a log-probability of -inf there one of +inf. No
///   other row's gradient is touched.
/// - A class whose target or weight is 0 adds nothing, even if its log-probability is -inf.
/// - A row left out has a loss and a gradient of exactly 0, whatever it holds. A class index is
///   checked all the same.
/// - Every row left out, no rows, or weights that sum to 0: the mean is NaN, the sum 0, the
///   gradient 0.
///
/// # Accuracy
///
/// Each row's loss, and each gradient entry with class indices, is at most 2 ulp from the exactly
/// rounded result. In f64 with weights or soft targets the loss is within 4 ulp of the sum of its
/// terms' magnitudes. Sums and means over rows are compensated.
///
/// # Errors
///
/// - [`AxisOutOfBounds`](crate::Error::AxisOutOfBounds) if there is no such axis.
/// - [`NoClasses`](crate::Error::NoClasses) if the axis holds no classes.
/// - [`TargetsShape`](crate::Error::TargetsShape) if the targets have neither of the two forms.
/// - [`ClassIndex`](crate::Error::ClassIndex) if a class index is outside [0, C) and not
///   `ignore_index`. Negative indices do not wrap.
/// - [`IgnoreIndexWithProbabilities`](crate::Error::IgnoreIndexWithProbabilities) if `ignore_index`
///   meets probabilities.
/// - [`Shape`](crate::Error::Shape) if a weight has the wrong shape.
///
/// # Examples
///
/// ```
/// use logitkit::NllLoss;
/// use ndarray::{Axis, array};
///
/// let log_probs = array![[0.7, 0.2, 0.1], [0.1, 0.4, 0.5]].mapv(f64::ln);
/// let targets = array![0, 1];
/// let (loss, grad) = NllLoss::new().loss_and_grad(log_probs.view(), targets.view(), Axis(1))?;
/// assert!((loss.reduced().expect("a mean") - 0.6365).abs() < 1e-4);
/// assert_eq!(grad, array![[-0.5, 0.0, 0.0], [0.0, -0.5, 0.0]]);
/// # Ok::<(), logitkit::Error>(())
/// ```
///
/// # See also
///
/// [`CrossEntropy`](crate::CrossEntropy), from logits;
/// [`CategoricalCrossEntropy`](crate::CategoricalCrossEntropy), from probabilities;
/// [`log_softmax_vjp`](crate::log_softmax_vjp), which takes the gradient back to the logits.
///
/// Source: Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.2.2.3.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct NllLoss<'a> {
    options: ClassOptions<'a>,
}

impl<'a> NllLoss<'a> {
    /// The options at their defaults, from which the setters change what is to differ.
    pub fn new() -> Self {
        Self::default()
    }

    /// A weight for each class, of shape (C). Default: 1 for each. A class of weight 0 adds
    /// nothing.
    pub fn weight<W: Element>(mut self, weight: ArrayView1<'_, W>) -> Self {
        self.options.set_weight(weight);
        self
    }

    /// A weight for each row, in the shape of the log-probabilities without the axis of the
    /// classes. Default: 1 for each. A row of weight 0 is left out.
    pub fn sample_weight<D: Dimension>(mut self, weight: ArrayView<'a, f64, D>) -> Self {
        self.options.sample_weight = Some(weight.into());
        self
    }

    /// Rows with this target are left out. Default: none. It needs class indices as targets.
    pub fn ignore_index(mut self, index: i64) -> Self {
        self.options.ignore_index = Some(index);
        self
    }

    /// How the losses of the rows become one. Default: [`Reduction::Mean`].
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.options.reduction = reduction;
        self
    }

    /// The loss, without the gradient.
    ///
    /// # Errors
    ///
    /// Those listed at the type. Nothing has been computed then.
    pub fn loss<'t, T: Element, D: Dimension>(
        &self,
        log_probs: ArrayView<'_, T, D>,
        targets: impl Into<Targets<'t, T>>,
        axis: Axis,
    ) -> Result<Loss<T::Compute>> {
        loss(&LogProbsLoss, &self.options, log_probs, targets, axis, [])
    }

    /// The loss, and the gradient of the reduced loss with respect to the log-probabilities.
    ///
    /// With [`Reduction::None`] the losses come unreduced and the gradient is that of their sum.
    /// Targets get no gradient.
    ///
    /// # Errors
    ///
    /// Those listed at the type.
    pub fn loss_and_grad<'t, T: Element, D: Dimension>(
        &self,
        log_probs: ArrayView<'_, T, D>,
        targets: impl Into<Targets<'t, T>>,
        axis: Axis,
    ) -> Result<LossAndGrad<T, D>> {
        loss_and_grad(&LogProbsLoss, &self.options, log_probs, targets, axis)
    }

    /// [`loss_and_grad`](Self::loss_and_grad) with the gradient written to `out`, an array of the
    /// same shape.
    ///
    /// # Errors
    ///
    /// Those listed at the type, and [`Shape`](crate::Error::Shape) if `out` has another shape.
    /// Nothing has been written then.
    pub fn loss_and_grad_into<'t, T: Element, D: Dimension>(
        &self,
        log_probs: ArrayView<'_, T, D>,
        targets: impl Into<Targets<'t, T>>,
        axis: Axis,
        out: ArrayViewMut<'_, T, D>,
    ) -> Result<Loss<T::Compute>> {
        loss(
            &LogProbsLoss,
            &self.options,
            log_probs,
            targets,
            axis,
            [out],
        )
    }
}

impl<T: Float> CheckedLoss<T> for LogProbsLoss {
    fn compiled() -> ClassLosses<T, Self> {
        compiled::<T>().nll_loss
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }
}
