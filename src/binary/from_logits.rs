//! Binary cross entropy from logits: the options and their documentation.

use ndarray::{ArrayView, ArrayViewMut, Dimension};

use super::CheckedBinaryLoss;
use crate::compiled::compiled;
use crate::error::Result;
use crate::float::Element;
use crate::kernel::binary::FromLogits;
use crate::lanes::{Outputs, View, ViewMut, zeros};
use crate::loss::{Loss, LossAndGrad, LossAndGradHess, Reduction};

/// Binary cross entropy from logits, element by element, with its gradient in the same pass.
///
/// The loss of a logit z with target y, and its gradient before the division of the mean, are
///
/// ```text
/// l    = weight [ pos_weight y softplus(-z) + (1 - y) softplus(z) ]
/// grad = weight [ (1 - y) sigmoid(z) - pos_weight y sigmoid(-z) ]
/// hess = weight [ (1 - y) + pos_weight y ] sigmoid(z) sigmoid(-z)
/// ```
///
/// Without the weights it is the binary cross entropy of `p = sigmoid(z)`, with the gradient
/// `p - y` and the second derivative `p (1 - p)`. It suits several labels per sample, each yes or no. [`Reduction::Mean`] divides the sum
/// by the number of elements.
///
/// Targets are values in [0, 1], in the shape of the logits; they do not broadcast, the weights do.
/// An unreduced loss and a gradient have the shape of the logits.
///
/// # Special values
///
/// - A logit of NaN is a loss and a gradient of NaN. No other element's gradient is touched.
/// - A logit of +inf with target 1, or of -inf with target 0, has a loss and a gradient of 0.
/// - A logit of -inf with a target above 0, or of +inf with a target below 1, is a loss of +inf.
/// - An element of weight 0 has a loss and a gradient of exactly 0, even if its logit is NaN or
///   inf.
/// - With no elements the mean is NaN, the sum 0 and the gradient empty.
///
/// # Accuracy
///
/// Each element's loss, and each gradient entry with targets of 0 and 1, is at most 2 ulp from the
/// exactly rounded result. In f64 with weights or soft targets the loss is within 4 ulp of the sum
/// of its terms' magnitudes. With targets in between a gradient entry is a difference: at most 2
/// ulp of the larger term. A confident right answer keeps its small loss. Sums and means are
/// compensated.
///
/// # Errors
///
/// - [`Shape`](crate::Error::Shape) if the targets have another shape than the logits.
/// - [`Broadcast`](crate::Error::Broadcast) if a weight does not broadcast to the logits.
/// - [`NotAProbability`](crate::Error::NotAProbability) if a target is outside [0, 1].
///
/// # Examples
///
/// ```
/// use logitkit::BinaryCrossEntropyWithLogits;
/// use ndarray::{arr0, array};
///
/// let logits = array![2.0, -1.0];
/// let targets = array![1.0, 0.0];
/// let (loss, grad) =
///     BinaryCrossEntropyWithLogits::new().loss_and_grad(logits.view(), targets.view())?;
/// assert!((loss.reduced().expect("a mean") - 0.2201_f64).abs() < 1e-4);
/// let rounded = grad.mapv(|g| (g * 1e4).round() / 1e4);
/// assert_eq!(rounded, array![-0.0596, 0.1345]);
///
/// // With positives that count three times.
/// let pos_weight = arr0(3.0);
/// let loss = BinaryCrossEntropyWithLogits::new()
///     .pos_weight(pos_weight.view())
///     .loss(array![2.0, -1.0, 0.5].view(), array![1.0, 0.0, 0.0].view())?;
/// assert!((loss.reduced().expect("a mean") - 0.556_f64).abs() < 1e-4);
/// # Ok::<(), logitkit::Error>(())
/// ```
///
/// # See also
///
/// [`BinaryCrossEntropy`](crate::BinaryCrossEntropy), from probabilities; [`CrossEntropy`](crate::CrossEntropy), for classes
/// that exclude each other.
///
/// Source: Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.2.2.2.
#[derive(Clone, Debug)]
#[must_use]
pub struct BinaryCrossEntropyWithLogits<'a, T: Element> {
    weight: Option<View<'a, T::Compute>>,
    pos_weight: Option<View<'a, T::Compute>>,
    reduction: Reduction,
}

impl<T: Element> Default for BinaryCrossEntropyWithLogits<'_, T> {
    fn default() -> Self {
        Self {
            weight: None,
            pos_weight: None,
            reduction: Reduction::Mean,
        }
    }
}

impl<'a, T: Element> BinaryCrossEntropyWithLogits<'a, T> {
    /// The options at their defaults, from which the setters change what is to differ.
    pub fn new() -> Self {
        Self::default()
    }

    /// A weight for each element, broadcast to the logits. Default: 1. An element of weight 0 is
    /// left out.
    pub fn weight<D: Dimension>(mut self, weight: ArrayView<'a, T, D>) -> Self {
        self.weight = Some(View::of(weight));
        self
    }

    /// A weight for the positive part, y = 1, broadcast to the logits. Default: 1. Above 1 it makes
    /// misses cost more than false alarms.
    pub fn pos_weight<D: Dimension>(mut self, weight: ArrayView<'a, T, D>) -> Self {
        self.pos_weight = Some(View::of(weight));
        self
    }

    /// How the losses of the elements become one. Default: [`Reduction::Mean`].
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// The loss, without the gradient.
    ///
    /// # Errors
    ///
    /// Those listed at the type. Nothing has been computed then.
    pub fn loss<D: Dimension>(
        &self,
        logits: ArrayView<'_, T, D>,
        targets: ArrayView<'_, T, D>,
    ) -> Result<Loss<T::Compute>> {
        self.compute(&View::of(logits), &View::of(targets), None)
    }

    /// The loss, and the gradient of the reduced loss with respect to the logits.
    ///
    /// With [`Reduction::None`] the losses come unreduced and the gradient is that of their sum.
    /// Targets get no gradient.
    ///
    /// # Errors
    ///
    /// Those listed at the type.
    pub fn loss_and_grad<D: Dimension>(
        &self,
        logits: ArrayView<'_, T, D>,
        targets: ArrayView<'_, T, D>,
    ) -> Result<LossAndGrad<T, D>> {
        let mut gradient = zeros(logits.raw_dim(), T::ZERO)?;
        let loss = self.loss_and_grad_into(logits, targets, gradient.view_mut())?;
        Ok((loss, gradient))
    }

    /// [`loss_and_grad`](Self::loss_and_grad) with the gradient written to `out`, an array of the
    /// same shape.
    ///
    /// # Errors
    ///
    /// Those listed at the type, and [`Shape`](crate::Error::Shape) if `out` has another shape.
    /// Nothing has been written then.
    pub fn loss_and_grad_into<D: Dimension>(
        &self,
        logits: ArrayView<'_, T, D>,
        targets: ArrayView<'_, T, D>,
        out: ArrayViewMut<'_, T, D>,
    ) -> Result<Loss<T::Compute>> {
        self.compute(
            &View::of(logits),
            &View::of(targets),
            Some((&ViewMut::of(out)).into()),
        )
    }

    /// The loss, the gradient of the reduced loss with respect to the logits, and the diagonal of its
    /// Hessian, in one pass.
    ///
    /// All other second derivatives are 0. With [`Reduction::None`] the losses come unreduced and the
    /// derivatives are those of their sum.
    ///
    /// # Errors
    ///
    /// Those listed at the type.
    ///
    /// # Examples
    ///
    /// ```
    /// use logitkit::{BinaryCrossEntropyWithLogits, Reduction};
    /// use ndarray::array;
    ///
    /// let (_, grad, hess) = BinaryCrossEntropyWithLogits::new()
    ///     .reduction(Reduction::Sum)
    ///     .loss_and_grad_hess(array![0.0, 40.0].view(), array![1.0, 1.0].view())?;
    /// assert_eq!((grad[0], hess[0]), (-0.5, 0.25)); // p - y, p (1 - p)
    /// assert_eq!(format!("{:.4e}", hess[1]), "4.2484e-18"); // of a confident answer, too
    /// # Ok::<(), logitkit::Error>(())
    /// ```
    pub fn loss_and_grad_hess<D: Dimension>(
        &self,
        logits: ArrayView<'_, T, D>,
        targets: ArrayView<'_, T, D>,
    ) -> Result<LossAndGradHess<T, D>> {
        let mut gradient = zeros(logits.raw_dim(), T::ZERO)?;
        let mut hessian = zeros(logits.raw_dim(), T::ZERO)?;
        let out = [gradient.view_mut(), hessian.view_mut()];
        let loss = self.loss_and_grad_hess_into(logits, targets, out)?;
        Ok((loss, gradient, hessian))
    }

    /// [`loss_and_grad_hess`](Self::loss_and_grad_hess) with the gradient and the diagonal of the
    /// Hessian written to the two arrays of `out`, each of the same shape.
    ///
    /// # Errors
    ///
    /// Those listed at the type, and [`Shape`](crate::Error::Shape) if one of `out` has another shape.
    /// Nothing has been written then.
    pub fn loss_and_grad_hess_into<D: Dimension>(
        &self,
        logits: ArrayView<'_, T, D>,
        targets: ArrayView<'_, T, D>,
        out: [ArrayViewMut<'_, T, D>; 2],
    ) -> Result<Loss<T::Compute>> {
        let out = out.map(ViewMut::of);
        self.compute(&View::of(logits), &View::of(targets), Outputs::of(&out))
    }

    fn compute(
        &self,
        logits: &View<'_, T::Compute>,
        targets: &View<'_, T::Compute>,
        derivatives: Option<Outputs<'_, '_, T::Compute>>,
    ) -> Result<Loss<T::Compute>> {
        let loss = FromLogits;
        let weights = [self.weight.clone(), self.pos_weight.clone()];
        let binary_loss = compiled::<T::Compute>().binary_cross_entropy_with_logits;
        binary_loss(
            loss,
            [logits, targets],
            weights,
            self.reduction,
            derivatives,
        )
    }
}

impl CheckedBinaryLoss for FromLogits {
    const SCORES: &'static str = "logits";

    fn tolerance(self) -> Result<Option<f64>> {
        Ok(None)
    }
}
