//! Binary cross entropy from probabilities: the options and their documentation.

use ndarray::{ArrayView, ArrayViewMut, Dimension};

use super::CheckedBinaryLoss;
use crate::compiled::compiled;
use crate::error::Result;
use crate::float::Element;
use crate::kernel::binary::FromProbs;
use crate::lanes::{Outputs, View, ViewMut, zeros};
use crate::loss::{Loss, LossAndGrad, Reduction, check_eps};

/// Binary cross entropy from probabilities, element by element.
///
/// The loss of a probability p with target y, and its gradient before the division of the mean, are
///
/// ```text
/// l    = -weight [ y log p + (1 - y) log(1 - p) ]
/// grad = weight [ (1 - y) / (1 - p) - y / p ]
/// ```
///
/// The gradient is 0 where `eps` has clipped the probability. [`Reduction::Mean`] divides the sum
/// by the number of elements. To train, use [`BinaryCrossEntropyWithLogits`](crate::BinaryCrossEntropyWithLogits): it keeps what the
/// probabilities have rounded away.
///
/// Targets are values in [0, 1], in the shape of the probabilities; they do not broadcast, the
/// weight does. An unreduced loss and a gradient have the shape of the probabilities.
///
/// # Special values
///
/// - A probability of 0 with target 1 is a loss of +inf and a gradient of -inf, unless `eps` clips
///   it: then the gradient is 0. A probability of 1 with target 0 is a loss of +inf likewise.
/// - A probability of 0 with target 0 is a loss of 0 and a gradient of 1 before weight and mean. A
///   probability of 1 with target 1 costs 0.
/// - An element of weight 0 has a loss and a gradient of exactly 0.
/// - With no elements the mean is NaN, the sum 0 and the gradient empty.
///
/// # Accuracy
///
/// Each element's loss, and each gradient entry with targets of 0 and 1, is at most 2 ulp from the
/// exactly rounded result for the probability given. In f64 with weights or soft targets the loss
/// is within 4 ulp of the sum of its terms' magnitudes. With targets in between a gradient entry is
/// a difference: at most 2 ulp of the larger term. `log(1 - p)` is computed as `log1p(-p)`. Sums
/// and means are compensated.
///
/// # Errors
///
/// - [`Shape`](crate::Error::Shape) if the targets have another shape than the probabilities.
/// - [`Broadcast`](crate::Error::Broadcast) if the weight does not broadcast to the probabilities.
/// - [`NotAProbability`](crate::Error::NotAProbability) if a target is outside [0, 1], or a probability is
///   NaN or outside [0, 1] by more than `eps`.
/// - [`Option`](crate::Error::Option) if `eps` is outside [0, 0.5).
///
/// # Examples
///
/// ```
/// use logitkit::BinaryCrossEntropy;
/// use ndarray::array;
///
/// let probs = array![0.5, 0.75];
/// let targets = array![1.0, 0.0];
/// let (loss, grad) = BinaryCrossEntropy::new().loss_and_grad(probs.view(), targets.view())?;
/// assert!((loss.reduced().expect("a mean") - 1.0397_f64).abs() < 1e-4);
/// let rounded = grad.mapv(|g| (g * 1e4).round() / 1e4);
/// assert_eq!(rounded, array![-1.0, 2.0]);
///
/// // A certain and wrong guess costs an infinite loss, or a large one with `eps`.
/// let (certain, wrong) = (array![0.0], array![1.0]);
/// let loss = BinaryCrossEntropy::new().loss(certain.view(), wrong.view())?;
/// assert_eq!(loss.reduced(), Some(f64::INFINITY));
/// let loss = BinaryCrossEntropy::new().eps(1e-7).loss(certain.view(), wrong.view())?;
/// assert!((loss.reduced().expect("a mean") - 16.1181).abs() < 1e-4);
/// # Ok::<(), logitkit::Error>(())
/// ```
///
/// # See also
///
/// [`BinaryCrossEntropyWithLogits`](crate::BinaryCrossEntropyWithLogits), from logits;
/// [`CategoricalCrossEntropy`](crate::CategoricalCrossEntropy), for more than two classes.
///
/// Source: Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.2.2.2.
#[derive(Clone, Debug)]
#[must_use]
pub struct BinaryCrossEntropy<'a, T: Element> {
    weight: Option<View<'a, T::Compute>>,
    eps: f64,
    reduction: Reduction,
}

impl<T: Element> Default for BinaryCrossEntropy<'_, T> {
    fn default() -> Self {
        Self {
            weight: None,
            eps: 0.0,
            reduction: Reduction::Mean,
        }
    }
}

impl<'a, T: Element> BinaryCrossEntropy<'a, T> {
    /// The options at their defaults, from which the setters change what is to differ.
    pub fn new() -> Self {
        Self::default()
    }

    /// A weight for each element, broadcast to the probabilities. Default: 1. An element of weight
    /// 0 is left out.
    pub fn weight<D: Dimension>(mut self, weight: ArrayView<'a, T, D>) -> Self {
        self.weight = Some(View::of(weight));
        self
    }

    /// Clips the probabilities into `[eps, 1 - eps]` and forgives those up to `eps` outside [0, 1]
    /// as rounding, if it is above 0. From 0 to 0.5 exclusive. Default: 0.
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
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
        probs: ArrayView<'_, T, D>,
        targets: ArrayView<'_, T, D>,
    ) -> Result<Loss<T::Compute>> {
        self.compute(&View::of(probs), &View::of(targets), None)
    }

    /// The loss, and the gradient of the reduced loss with respect to the probabilities.
    ///
    /// With [`Reduction::None`] the losses come unreduced and the gradient is that of their sum.
    /// Targets get no gradient.
    ///
    /// # Errors
    ///
    /// Those listed at the type.
    pub fn loss_and_grad<D: Dimension>(
        &self,
        probs: ArrayView<'_, T, D>,
        targets: ArrayView<'_, T, D>,
    ) -> Result<LossAndGrad<T, D>> {
        let mut gradient = zeros(probs.raw_dim(), T::ZERO)?;
        let loss = self.loss_and_grad_into(probs, targets, gradient.view_mut())?;
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
        probs: ArrayView<'_, T, D>,
        targets: ArrayView<'_, T, D>,
        out: ArrayViewMut<'_, T, D>,
    ) -> Result<Loss<T::Compute>> {
        self.compute(
            &View::of(probs),
            &View::of(targets),
            Some((&ViewMut::of(out)).into()),
        )
    }

    fn compute(
        &self,
        probs: &View<'_, T::Compute>,
        targets: &View<'_, T::Compute>,
        derivatives: Option<Outputs<'_, '_, T::Compute>>,
    ) -> Result<Loss<T::Compute>> {
        let loss = FromProbs { eps: self.eps };
        let weights = [self.weight.clone(), None];
        let binary_loss = compiled::<T::Compute>().binary_cross_entropy;
        binary_loss(loss, [probs, targets], weights, self.reduction, derivatives)
    }
}

impl CheckedBinaryLoss for FromProbs {
    const SCORES: &'static str = "probs";

    fn tolerance(self) -> Result<Option<f64>> {
        check_eps(self.eps)?;
        Ok(Some(self.eps))
    }
}
