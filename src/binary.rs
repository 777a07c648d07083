//! Binary cross entropy, from probabilities and from logits.

use ndarray::{Array, ArrayD, ArrayView, ArrayViewMut, Dimension, IxDyn};

use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernel::binary::{BinaryKernel, BinaryLoss, FromLogits, FromProbs, Wanted};
use crate::kernel::range::{AnyOutside, Range};
use crate::lanes::{View, ViewMut, check_shape, position, read_blocks, write_blocks};
use crate::loss::{Loss, Reduction, check_eps, is_probability, mean, not_a_probability};
use crate::wide::Wide;

/// Binary cross entropy from logits, element by element, with its gradient in the same pass.
///
/// The loss of a logit z with target y, and its gradient before the division of the mean, are
///
/// ```text
/// l    = weight [ pos_weight y softplus(-z) + (1 - y) softplus(z) ]
/// grad = weight [ (1 - y) sigmoid(z) - pos_weight y sigmoid(-z) ]
/// ```
///
/// Without the weights it is the binary cross entropy of `p = sigmoid(z)`, with the gradient
/// `p - y`. It suits several labels per sample, each yes or no. [`Reduction::Mean`] divides the sum
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
/// - [`Shape`](Error::Shape) if the targets have another shape than the logits.
/// - [`Broadcast`](Error::Broadcast) if a weight does not broadcast to the logits.
/// - [`NotAProbability`](Error::NotAProbability) if a target is outside [0, 1].
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
/// [`BinaryCrossEntropy`], from probabilities; [`CrossEntropy`](crate::CrossEntropy), for classes
/// that exclude each other.
///
/// Source: Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.2.2.2.
#[derive(Clone, Debug)]
#[must_use]
pub struct BinaryCrossEntropyWithLogits<'a, T> {
    weight: Option<View<'a, T>>,
    pos_weight: Option<View<'a, T>>,
    reduction: Reduction,
}

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
/// by the number of elements. To train, use [`BinaryCrossEntropyWithLogits`]: it keeps what the
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
/// - [`Shape`](Error::Shape) if the targets have another shape than the probabilities.
/// - [`Broadcast`](Error::Broadcast) if the weight does not broadcast to the probabilities.
/// - [`NotAProbability`](Error::NotAProbability) if a target is outside [0, 1], or a probability is
///   NaN or outside [0, 1] by more than `eps`.
/// - [`Option`](Error::Option) if `eps` is outside [0, 0.5).
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
/// [`BinaryCrossEntropyWithLogits`], from logits;
/// [`CategoricalCrossEntropy`](crate::CategoricalCrossEntropy), for more than two classes.
///
/// Source: Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.2.2.2.
#[derive(Clone, Debug)]
#[must_use]
pub struct BinaryCrossEntropy<'a, T> {
    weight: Option<View<'a, T>>,
    eps: f64,
    reduction: Reduction,
}

impl<T> Default for BinaryCrossEntropyWithLogits<'_, T> {
    fn default() -> Self {
        Self {
            weight: None,
            pos_weight: None,
            reduction: Reduction::Mean,
        }
    }
}

impl<T> Default for BinaryCrossEntropy<'_, T> {
    fn default() -> Self {
        Self {
            weight: None,
            eps: 0.0,
            reduction: Reduction::Mean,
        }
    }
}

impl<'a, T: Float> BinaryCrossEntropyWithLogits<'a, T> {
    /// The options at their defaults, from which the setters change what is to differ.
    pub fn new() -> Self {
        Self::default()
    }

    /// A weight for each element, broadcast to the logits. Default: 1. An element of weight 0 is
    /// left out.
    pub fn weight<D: Dimension>(mut self, weight: ArrayView<'a, T, D>) -> Self {
        self.weight = Some(weight.into());
        self
    }

    /// A weight for the positive part, y = 1, broadcast to the logits. Default: 1. Above 1 it makes
    /// misses cost more than false alarms.
    pub fn pos_weight<D: Dimension>(mut self, weight: ArrayView<'a, T, D>) -> Self {
        self.pos_weight = Some(weight.into());
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
    ) -> Result<Loss<T>> {
        self.call(&logits.into(), &targets.into())?.loss()
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
    ) -> Result<(Loss<T>, Array<T, D>)> {
        let mut gradient = Array::from_elem(logits.raw_dim(), T::ZERO);
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
    ) -> Result<Loss<T>> {
        let call = self.call(&logits.into(), &targets.into())?;
        call.loss_and_grad(&out.into())
    }

    fn call<'b>(
        &self,
        logits: &View<'b, T>,
        targets: &View<'b, T>,
    ) -> Result<BinaryCall<'b, T, FromLogits>>
    where
        'a: 'b,
    {
        let weights = [self.weight.clone(), self.pos_weight.clone()];
        BinaryCall::new(FromLogits, logits, targets, weights, self.reduction)
    }
}

impl<'a, T: Float> BinaryCrossEntropy<'a, T> {
    /// The options at their defaults, from which the setters change what is to differ.
    pub fn new() -> Self {
        Self::default()
    }

    /// A weight for each element, broadcast to the probabilities. Default: 1. An element of weight
    /// 0 is left out.
    pub fn weight<D: Dimension>(mut self, weight: ArrayView<'a, T, D>) -> Self {
        self.weight = Some(weight.into());
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
    ) -> Result<Loss<T>> {
        self.call(&probs.into(), &targets.into())?.loss()
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
    ) -> Result<(Loss<T>, Array<T, D>)> {
        let mut gradient = Array::from_elem(probs.raw_dim(), T::ZERO);
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
    ) -> Result<Loss<T>> {
        let call = self.call(&probs.into(), &targets.into())?;
        call.loss_and_grad(&out.into())
    }

    fn call<'b>(
        &self,
        probs: &View<'b, T>,
        targets: &View<'b, T>,
    ) -> Result<BinaryCall<'b, T, FromProbs>>
    where
        'a: 'b,
    {
        let loss = FromProbs { eps: self.eps };
        let weights = [self.weight.clone(), None];
        BinaryCall::new(loss, probs, targets, weights, self.reduction)
    }
}

/// What a binary loss checks besides its targets.
pub(crate) trait CheckedBinaryLoss: BinaryLoss {
    /// What the first argument is called.
    const SCORES: &'static str;

    /// By how much the first argument may lie outside [0, 1], if it must not.
    fn tolerance(self) -> Result<Option<f64>>;
}

impl CheckedBinaryLoss for FromLogits {
    const SCORES: &'static str = "logits";

    fn tolerance(self) -> Result<Option<f64>> {
        Ok(None)
    }
}

impl CheckedBinaryLoss for FromProbs {
    const SCORES: &'static str = "probs";

    fn tolerance(self) -> Result<Option<f64>> {
        check_eps(self.eps)?;
        Ok(Some(self.eps))
    }
}

/// Weights of every element and of the positive class.
type Weights<'a, T> = Option<[View<'a, T>; 2]>;

/// The weights that were given, repeated to the shape of the scores; those not given are 1.
fn broadcast<'a, T: Float>(
    weights: [Option<View<'a, T>>; 2],
    shape: &[usize],
    like: &'static str,
) -> Result<Weights<'a, T>> {
    if weights.iter().all(Option::is_none) {
        return Ok(None);
    }
    let repeat = |name, weight: Option<View<'a, T>>| {
        let weight = weight.unwrap_or_else(|| View::scalar(T::ONE_REF));
        weight.broadcast(shape).ok_or_else(|| Error::Broadcast {
            name,
            given: weight.shape().to_vec(),
            expected: shape.to_vec(),
            like,
        })
    };
    let [weight, pos_weight] = weights;
    Ok(Some([
        repeat("weight", weight)?,
        repeat("pos_weight", pos_weight)?,
    ]))
}

/// A binary loss with its arguments checked, ready to be computed.
pub(crate) struct BinaryCall<'a, T, L> {
    inputs: [View<'a, T>; 2],
    weights: Weights<'a, T>,
    loss: L,
    reduction: Reduction,
}

impl<'a, T: Float, L: CheckedBinaryLoss> BinaryCall<'a, T, L> {
    /// Checks the arguments; weights are those of the elements and of the positive class.
    pub(crate) fn new(
        loss: L,
        scores: &View<'a, T>,
        targets: &View<'a, T>,
        weights: [Option<View<'a, T>>; 2],
        reduction: Reduction,
    ) -> Result<Self> {
        let tolerance = loss.tolerance()?;
        check_shape("targets", targets.shape(), scores.shape(), L::SCORES)?;
        let call = Self {
            inputs: [scores.clone(), targets.clone()],
            weights: broadcast(weights, scores.shape(), L::SCORES)?,
            loss,
            reduction,
        };
        call.check("targets", 1, 0.0)?;
        if let Some(eps) = tolerance {
            call.check(L::SCORES, 0, eps)?;
        }
        Ok(call)
    }

    /// An error at the first element that counts which is not from 0 to 1.
    fn check(&self, name: &'static str, input: usize, eps: f64) -> Result<()> {
        let view = &self.inputs[input];
        let mut suspicious = false;
        let merge = |AnyOutside(outside)| suspicious |= outside;
        let range = Range::of_probabilities(eps);
        match &self.weights {
            None => read_blocks(std::array::from_ref(view), &range, merge)?,
            Some([weight, _]) => read_blocks(&[view.clone(), weight.clone()], &range, merge)?,
        }
        if !suspicious {
            return Ok(());
        }
        let elements = view.elements();
        let weights = self.weights.as_ref().map(|[weight, _]| weight.elements());
        let counts = |place: usize| weights.as_ref().is_none_or(|w| w.value(place) != T::ZERO);
        let wrong = (0..elements.count())
            .find(|&place| !is_probability(elements.value(place).to_f64(), eps) && counts(place));
        wrong.map_or(Ok(()), |place| {
            let value = elements.value(place).to_f64();
            let place = position(place, view.shape());
            Err(not_a_probability(name, place, value, eps))
        })
    }

    fn shape(&self) -> &[usize] {
        self.inputs[0].shape()
    }

    /// The loss, in an array of its own where it is not reduced.
    fn loss(&self) -> Result<Loss<T>> {
        if self.reduction != Reduction::None {
            let loss = self.reduced_loss()?;
            return Ok(Loss::Reduced(T::from_f64(loss.to_f64())));
        }
        let mut losses = ArrayD::from_elem(IxDyn(self.shape()), T::ZERO);
        self.write_losses(&losses.view_mut().into())?;
        Ok(Loss::Unreduced(losses))
    }

    /// The loss, with the gradient written to its place.
    fn loss_and_grad(&self, gradient: &ViewMut<'_, T>) -> Result<Loss<T>> {
        gradient.check_shape("out", self.shape(), L::SCORES)?;
        if self.reduction == Reduction::None {
            // The losses first: the gradient may overwrite what they are made of.
            let loss = self.loss()?;
            self.write_gradient(gradient)?;
            return Ok(loss);
        }
        let loss = self.write_gradient(gradient)?;
        Ok(Loss::Reduced(T::from_f64(loss.to_f64())))
    }

    /// The mean or the sum of the losses.
    pub(crate) fn reduced_loss(&self) -> Result<Wide> {
        let sum = self.run(Wanted::Sum, None)?;
        Ok(self.reduce(sum))
    }

    /// Writes the loss of every element.
    pub(crate) fn write_losses(&self, losses: &ViewMut<'_, T>) -> Result<()> {
        self.run(Wanted::Losses, Some(losses)).map(|_| ())
    }

    /// Writes the gradient; returns the mean or the sum of the losses.
    pub(crate) fn write_gradient(&self, gradient: &ViewMut<'_, T>) -> Result<Wide> {
        let sum = self.run(Wanted::Gradient, Some(gradient))?;
        Ok(self.reduce(sum))
    }

    fn count(&self) -> Wide {
        Wide::new(self.inputs[0].len() as f64)
    }

    fn reduce(&self, sum: Wide) -> Wide {
        match self.reduction {
            Reduction::Mean => mean(sum, self.count()),
            _ => sum,
        }
    }

    fn run(&self, wanted: Wanted, output: Option<&ViewMut<'_, T>>) -> Result<Wide> {
        let scale = match self.reduction {
            Reduction::Mean => Wide::new(1.0).divided_by(self.count()),
            _ => Wide::new(1.0),
        };
        let kernel = BinaryKernel {
            loss: self.loss,
            wanted,
            scale,
        };
        let mut total = Wide::ZERO;
        let merge = |sum: Wide| total += sum;
        let [scores, targets] = self.inputs.clone();
        match (self.weights.clone(), output) {
            (None, None) => read_blocks(&self.inputs, &kernel, merge)?,
            (None, Some(output)) => write_blocks(&self.inputs, output, &kernel, merge)?,
            (Some([weight, pos_weight]), output) => {
                let inputs = [scores, targets, weight, pos_weight];
                match output {
                    None => read_blocks(&inputs, &kernel, merge)?,
                    Some(output) => write_blocks(&inputs, output, &kernel, merge)?,
                }
            }
        }
        Ok(total)
    }
}
