//! Binary cross entropy, from probabilities and from logits: what both check, and how they are
//! computed. Each has its options in a file of its own.

mod from_logits;
mod from_probs;

pub use from_logits::BinaryCrossEntropyWithLogits;
pub use from_probs::BinaryCrossEntropy;

use ndarray::IxDyn;

use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernel::binary::{BinaryKernel, BinaryLoss, Wanted};
use crate::kernel::range::{AnyOutside, Range};
use crate::lanes::{
    Outputs, Parts, View, ViewMut, check_shape, find_number, position, read_blocks, write_blocks,
    zeros,
};
use crate::loss::{Loss, Reduction, is_probability, mean, not_a_probability};
use crate::wide::Wide;

/// What a binary loss checks besides its targets.
pub(crate) trait CheckedBinaryLoss: BinaryLoss {
    /// What the first argument is called.
    const SCORES: &'static str;

    /// By how much the first argument may lie outside [0, 1], if it must not.
    fn tolerance(self) -> Result<Option<f64>>;
}

/// Weights of every element and of the positive class.
type Weights<'a, T> = Option<[Parts<'a, T>; 2]>;

/// The weights that were given, repeated to the shape of the scores; those not given are 1.
fn broadcast<'a, T: Float>(
    weights: [Option<Parts<'a, T>>; 2],
    shape: &[usize],
    like: &'static str,
) -> Result<Weights<'a, T>> {
    if weights.iter().all(Option::is_none) {
        return Ok(None);
    }
    let repeat = |name, weight: Option<Parts<'a, T>>| {
        let weight = weight.unwrap_or_else(|| View::scalar(T::ONE_REF).into());
        weight.broadcast(shape).ok_or_else(|| Error::Broadcast {
            name,
            given: weight.high.shape().to_vec(),
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

/// A binary loss, and its derivatives if there is a place for them. Weights are those of the elements
/// and of the positive class.
pub(crate) fn binary_loss<'a, T: Float, L: CheckedBinaryLoss>(
    loss: L,
    [scores, targets]: [&View<'a, T>; 2],
    weights: [Option<View<'a, T>>; 2],
    reduction: Reduction,
    derivatives: Option<Outputs<'_, '_, T>>,
) -> Result<Loss<T>> {
    let weights = weights.map(|weight| weight.map(Parts::from));
    let call = BinaryCall::new(loss, scores, targets.clone().into(), weights, reduction)?;
    match derivatives {
        None => call.loss(),
        Some(derivatives) => call.loss_and_derivatives(derivatives),
    }
}

/// A binary loss with its arguments checked, ready to be computed.
pub(crate) struct BinaryCall<'a, T, L> {
    scores: View<'a, T>,
    targets: Parts<'a, T>,
    weights: Weights<'a, T>,
    loss: L,
    reduction: Reduction,
}

impl<'a, T: Float, L: CheckedBinaryLoss> BinaryCall<'a, T, L> {
    /// Checks the arguments; weights are those of the elements and of the positive class.
    pub(crate) fn new(
        loss: L,
        scores: &View<'a, T>,
        targets: Parts<'a, T>,
        weights: [Option<Parts<'a, T>>; 2],
        reduction: Reduction,
    ) -> Result<Self> {
        let tolerance = loss.tolerance()?;
        check_shape("targets", targets.high.shape(), scores.shape(), L::SCORES)?;
        let call = Self {
            scores: scores.clone(),
            targets,
            weights: broadcast(weights, scores.shape(), L::SCORES)?,
            loss,
            reduction,
        };
        call.check("targets", &call.targets, 0.0)?;
        if let Some(eps) = tolerance {
            call.check(L::SCORES, &call.scores.clone().into(), eps)?;
        }
        Ok(call)
    }

    /// An error at the first element that counts which is not from 0 to 1.
    fn check(&self, name: &'static str, numbers: &Parts<'a, T>, eps: f64) -> Result<()> {
        let Parts { high: view, low } = numbers;
        let mut suspicious = false;
        let merge = |AnyOutside(outside)| suspicious |= outside;
        let range = Range::of_probabilities(eps);
        let weight = self.weights.as_ref().map(|[weight, _]| weight.high.clone());
        match (weight, low) {
            (None, None) => read_blocks(std::array::from_ref(view), &range, merge)?,
            (Some(weight), None) => read_blocks(&[view.clone(), weight], &range, merge)?,
            (weight, Some(low)) => {
                let weight = weight.unwrap_or_else(|| constant(T::ONE_REF, view.shape()));
                read_blocks(&[view.clone(), weight, low.clone()], &range, merge)?;
            }
        }
        if !suspicious {
            return Ok(());
        }
        let elements = view.elements();
        let weights = self.weights.as_ref();
        let weights = weights.map(|[weight, _]| weight.high.elements());
        let counts = |place: usize| weights.as_ref().is_none_or(|w| w.value(place) != T::ZERO);
        let wrong = find_number(elements.count(), |place| {
            !is_probability(elements.number(place), eps) && counts(place)
        });
        wrong.map_or(Ok(()), |place| {
            let value = elements.number(place);
            let place = position(place, view.shape());
            Err(not_a_probability(name, place, value, eps))
        })
    }

    fn shape(&self) -> &[usize] {
        self.scores.shape()
    }

    /// The loss, in an array of its own where it is not reduced.
    fn loss(&self) -> Result<Loss<T>> {
        if self.reduction != Reduction::None {
            let loss = self.reduced_loss()?;
            return Ok(Loss::Reduced(T::from_f64(loss.to_f64())));
        }
        let mut losses = zeros(IxDyn(self.shape()), T::ZERO)?;
        self.write_losses(&ViewMut::of(losses.view_mut()))?;
        Ok(Loss::Unreduced(losses))
    }

    /// The loss, with the derivatives written to their places.
    fn loss_and_derivatives(&self, derivatives: Outputs<'_, '_, T>) -> Result<Loss<T>> {
        self.check_shapes(derivatives)?;
        if self.reduction == Reduction::None {
            // The losses first: the gradient may overwrite what they are made of.
            let loss = self.loss()?;
            self.write_derivatives(derivatives)?;
            return Ok(loss);
        }
        let loss = self.write_derivatives(derivatives)?;
        Ok(Loss::Reduced(T::from_f64(loss.to_f64())))
    }

    /// The mean or the sum of the losses.
    pub(crate) fn reduced_loss(&self) -> Result<Wide> {
        let sum = self.run(Wanted::Sum, None)?;
        Ok(self.reduce(sum))
    }

    /// Writes the loss of every element.
    pub(crate) fn write_losses(&self, losses: &ViewMut<'_, T>) -> Result<()> {
        losses.check_shape("the array of the losses", self.shape(), L::SCORES)?;
        self.run(Wanted::Losses, Some(losses.into())).map(|_| ())
    }

    fn check_shapes(&self, Outputs { first, second }: Outputs<'_, '_, T>) -> Result<()> {
        let mut all = std::iter::once(first).chain(second);
        all.try_for_each(|output| output.check_shape("out", self.shape(), L::SCORES))
    }

    /// Writes the gradient, and the diagonal of the Hessian if there is a place for it; returns the
    /// mean or the sum of the losses.
    pub(crate) fn write_derivatives(&self, derivatives: Outputs<'_, '_, T>) -> Result<Wide> {
        self.check_shapes(derivatives)?;
        let sum = self.run(Wanted::Gradient, Some(derivatives))?;
        Ok(self.reduce(sum))
    }

    fn count(&self) -> Wide {
        Wide::new(self.scores.len() as f64)
    }

    fn reduce(&self, sum: Wide) -> Wide {
        match self.reduction {
            Reduction::Mean => mean(sum, self.count()),
            _ => sum,
        }
    }

    fn run(&self, wanted: Wanted, outputs: Option<Outputs<'_, '_, T>>) -> Result<Wide> {
        let scale = match self.reduction {
            Reduction::Mean => Wide::new(1.0).divided_by(self.count()),
            _ => Wide::new(1.0),
        };
        let kernel = BinaryKernel {
            loss: self.loss,
            wanted,
            scale,
        };
        let (scores, targets) = (self.scores.clone(), self.targets.high.clone());
        let Some(numbers) = self.in_parts() else {
            return run_blocks([scores, targets], outputs, &kernel);
        };
        let shape = self.shape();
        let one = constant(T::ONE_REF, shape);
        let [weight, pos_weight] = match &self.weights {
            Some(weights) => weights.each_ref().map(|weight| weight.high.clone()),
            None => [one.clone(), one],
        };
        // Where `f64` is computed with nothing is lacking, and nothing needs to be compiled for it.
        if const { T::LANES > 8 } && numbers.iter().any(Option::is_some) {
            let zero = T::ZERO;
            let zero = constant(&zero, shape);
            let lacking = numbers.map(|low| low.unwrap_or_else(|| zero.clone()));
            let [of_targets, of_weight, of_pos_weight] = lacking;
            let inputs = [
                scores,
                targets,
                weight,
                pos_weight,
                of_targets,
                of_weight,
                of_pos_weight,
            ];
            return run_blocks(inputs, outputs, &kernel);
        }
        run_blocks([scores, targets, weight, pos_weight], outputs, &kernel)
    }

    /// What targets and weights lack, if there are weights or anything is lacking.
    fn in_parts(&self) -> Option<[Option<View<'a, T>>; 3]> {
        let low = self.targets.low.clone();
        match &self.weights {
            Some([weight, pos_weight]) => Some([low, weight.low.clone(), pos_weight.low.clone()]),
            None => low.map(|low| [Some(low), None, None]),
        }
    }
}

/// One number repeated to a shape.
fn constant<'a, T: Float>(number: &'a T, shape: &[usize]) -> View<'a, T> {
    let repeated = View::scalar(number).broadcast(shape);
    repeated.expect("one number repeats to any shape")
}

fn run_blocks<T: Float, L: BinaryLoss, const K: usize>(
    inputs: [View<'_, T>; K],
    outputs: Option<Outputs<'_, '_, T>>,
    kernel: &BinaryKernel<L>,
) -> Result<Wide> {
    let mut total = Wide::ZERO;
    let merge = |sum: Wide| total += sum;
    match outputs {
        None => read_blocks(&inputs, kernel, merge)?,
        Some(outputs) => write_blocks(&inputs, outputs, kernel, merge)?,
    }
    Ok(total)
}
