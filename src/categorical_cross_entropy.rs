//! Cross entropy of probabilities.

use ndarray::{ArrayView, ArrayView1, ArrayViewMut, Axis, Dimension};

use crate::coefficients::ClassOptions;
use crate::compiled::{ClassLosses, compiled};
use crate::error::Result;
use crate::float::{Element, Float};
use crate::kernel::probs_loss::ProbsLoss;
use crate::loss::{
    CheckedLoss, ClassLossCall, Loss, LossAndGrad, Reduction, check_eps, loss, loss_and_grad,
};
use crate::targets::Targets;

/// Multiclass cross entropy from probabilities.
///
/// With class weights w and the row's sample weight s, the loss of a row p and its gradient are
///
/// ```text
/// class index y:     l = -s w_y log p_y            grad_c = -s w_y / p_y at c = y, else 0
/// probabilities t:   l = -s Σ_c w_c t_c log p_c    grad_c = -s w_c t_c / p_c
/// ```
///
/// before the division of the mean; the gradient is 0 where `eps` has clipped the probability.
/// [`Reduction::Mean`] divides the sum by the sum of `s w_y` over the rows kept for class indices,
/// by the sum of `s` for probabilities. To train, use [`CrossEntropy`](crate::CrossEntropy) on the
/// logits: it keeps what the probabilities have rounded away.
///
/// The probabilities have C classes along `axis`; a row is one 1-d slice along it. Targets are
/// class indices, in the shape of the probabilities without `axis`, or probabilities, in the shape
/// of the probabilities; see [`Targets`]. An unreduced loss has the shape of the probabilities
/// without `axis`, a gradient that of the probabilities.
///
/// # Special values
///
/// - A probability of 0 at the target is a loss of +inf and a gradient of -inf, unless `eps` clips
///   it: then the gradient is 0.
/// - A class whose target or weight is 0 adds nothing and has a gradient of 0, even if its
///   probability is 0.
/// - A row left out has a loss and a gradient of exactly 0. A class index is checked all the same.
/// - Every row left out, no rows, or weights that sum to 0: the mean is NaN, the sum 0, the
///   gradient 0.
///
/// # Accuracy
///
/// Each row's loss, and each gradient entry with class indices, is at most 2 ulp from the exactly
/// rounded result for the probabilities given. In f64 with weights or soft targets the loss is
/// within 4 ulp of the sum of its terms' magnitudes. Sums and means over rows are compensated.
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
/// - [`NotAProbability`](crate::Error::NotAProbability) if a probability is NaN or outside [0, 1]
///   by more than `eps`.
/// - [`Option`](crate::Error::Option) if `eps` is outside [0, 0.5).
///
/// # Examples
///
/// The targets pick the probabilities 0.4, 0.4 and 0.1. The loss is the mean of -log 0.4, -log 0.4
/// and -log 0.1:
///
/// ```
/// use logitkit::CategoricalCrossEntropy;
/// use ndarray::{Axis, array};
///
/// let probs: ndarray::Array2<f64> = array![[0.3, 0.3, 0.4], [0.3, 0.4, 0.3], [0.1, 0.2, 0.7]];
/// let one_hot = array![[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]];
/// let cross_entropy = CategoricalCrossEntropy::new();
/// let loss = cross_entropy.loss(probs.view(), one_hot.view(), Axis(1))?;
/// assert!((loss.reduced().expect("a mean") - 1.3784).abs() < 1e-4);
///
/// // The same with class indices.
/// let loss = cross_entropy.loss(probs.view(), array![2, 1, 0].view(), Axis(1))?;
/// assert!((loss.reduced().expect("a mean") - 1.3784).abs() < 1e-4);
/// # Ok::<(), logitkit::Error>(())
/// ```
///
/// # See also
///
/// [`NllLoss`](crate::NllLoss), from log-probabilities;
/// [`BinaryCrossEntropy`](crate::BinaryCrossEntropy), for one probability per element;
/// [`softmax_vjp`](crate::softmax_vjp), which takes the gradient back to the logits.
///
/// Source: Goodfellow, Bengio and Courville, Deep Learning, 2016, sections 3.13 and 6.2.2.3.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CategoricalCrossEntropy<'a> {
    options: ClassOptions<'a>,
    loss: ProbsLoss,
}

impl<'a> CategoricalCrossEntropy<'a> {
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

    /// A weight for each row, in the shape of the probabilities without the axis of the classes.
    /// Default: 1 for each. A row of weight 0 is left out.
    pub fn sample_weight<D: Dimension>(mut self, weight: ArrayView<'a, f64, D>) -> Self {
        self.options.sample_weight = Some(weight.into());
        self
    }

    /// Rows with this target are left out. Default: none. It needs class indices as targets.
    pub fn ignore_index(mut self, index: i64) -> Self {
        self.options.ignore_index = Some(index);
        self
    }

    /// Clips the probabilities into `[eps, 1 - eps]` and forgives those up to `eps` outside [0, 1]
    /// as rounding, if it is above 0. From 0 to 0.5 exclusive. Default: 0.
    pub fn eps(mut self, eps: f64) -> Self {
        self.loss.eps = eps;
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
        probs: ArrayView<'_, T, D>,
        targets: impl Into<Targets<'t, T>>,
        axis: Axis,
    ) -> Result<Loss<T::Compute>> {
        loss(&self.loss, &self.options, probs, targets, axis, [])
    }

    /// The loss, and the gradient of the reduced loss with respect to the probabilities.
    ///
    /// With [`Reduction::None`] the losses come unreduced and the gradient is that of their sum.
    /// Targets get no gradient.
    ///
    /// # Errors
    ///
    /// Those listed at the type.
    pub fn loss_and_grad<'t, T: Element, D: Dimension>(
        &self,
        probs: ArrayView<'_, T, D>,
        targets: impl Into<Targets<'t, T>>,
        axis: Axis,
    ) -> Result<LossAndGrad<T, D>> {
        loss_and_grad(&self.loss, &self.options, probs, targets, axis)
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
        probs: ArrayView<'_, T, D>,
        targets: impl Into<Targets<'t, T>>,
        axis: Axis,
        out: ArrayViewMut<'_, T, D>,
    ) -> Result<Loss<T::Compute>> {
        loss(&self.loss, &self.options, probs, targets, axis, [out])
    }
}

impl<T: Float> CheckedLoss<T> for ProbsLoss {
    fn compiled() -> ClassLosses<T, Self> {
        compiled::<T>().categorical_cross_entropy
    }

    fn check(&self) -> Result<()> {
        check_eps(self.eps)
    }

    fn check_scores(&self, call: &ClassLossCall<'_, T>) -> Result<()> {
        call.check_probs(self.eps)
    }
}
