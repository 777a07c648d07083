//! What the losses share: how rows are reduced, and what comes back.

use ndarray::{Array, ArrayD, ArrayView, ArrayViewMut, Axis, Dimension, IxDyn};

use crate::coefficients::{ClassOptions, Plan};
use crate::compiled::ClassLosses;
use crate::error::{Error, Result};
use crate::float::{Element, Float};
use crate::kernel::class_loss::{ClassLoss, Coefficients, LossKernel, LossTotal};
use crate::kernel::index_loss::IndexLossKernel;
use crate::lanes::{
    Outputs, View, ViewMut, position, read_classes, read_numbers, read_rows, read_tiles, reserved,
    write_classes, write_rows, write_tiles, zeros,
};
use crate::targets::{Targets, TargetsView};
use crate::wide::Wide;

/// How the losses of the rows become one.
///
/// It can be parsed from the names that Python takes: `"none"`, `"mean"`, `"sum"`.
///
/// # Examples
///
/// ```
/// use logitkit::Reduction;
///
/// assert_eq!("sum".parse(), Ok(Reduction::Sum));
/// assert_eq!(Reduction::default(), Reduction::Mean);
/// let error = "avg".parse::<Reduction>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     r#"reduction is "avg", expected "none", "mean" or "sum""#
/// );
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reduction {
    /// They do not: one loss for each row.
    None,
    /// Their mean; each loss says what it divides its sum by. NaN if nothing is left to average.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

impl std::str::FromStr for Reduction {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "none" => Ok(Self::None),
            "mean" => Ok(Self::Mean),
            "sum" => Ok(Self::Sum),
            _ => Err(Error::Reduction(name.into())),
        }
    }
}

/// A loss: one number, or one for each row with [`Reduction::None`].
///
/// # Examples
///
/// ```
/// use logitkit::{CrossEntropy, Reduction};
/// use ndarray::{Axis, array};
///
/// let logits = array![[0.0_f64, 0.0], [0.0, 0.0]];
/// let targets = array![0, 1];
/// let mean = CrossEntropy::new().loss(logits.view(), targets.view(), Axis(1))?;
/// assert!((mean.reduced().expect("a mean") - 2.0_f64.ln()).abs() < 1e-12);
/// let each = CrossEntropy::new()
///     .reduction(Reduction::None)
///     .loss(logits.view(), targets.view(), Axis(1))?;
/// assert_eq!(each.unreduced().expect("one for each row").shape(), [2]);
/// # Ok::<(), logitkit::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Loss<T> {
    /// The mean or the sum.
    Reduced(T),
    /// The loss of each row, in the shape of the logits without the axis of the classes (for
    /// binary losses: in their shape).
    Unreduced(ArrayD<T>),
}

/// A loss, in the type that its scores are computed with, and its gradient, in theirs.
pub type LossAndGrad<T, D> = (Loss<<T as Element>::Compute>, Array<T, D>);

/// The same with the diagonal of the loss's Hessian.
pub type LossAndGradHess<T, D> = (Loss<<T as Element>::Compute>, Array<T, D>, Array<T, D>);

impl<T: Float> Loss<T> {
    /// The mean or the sum; `None` with [`Reduction::None`].
    pub fn reduced(self) -> Option<T> {
        match self {
            Self::Reduced(loss) => Some(loss),
            Self::Unreduced(_) => None,
        }
    }

    /// The losses of the rows; `None` with another reduction.
    pub fn unreduced(self) -> Option<ArrayD<T>> {
        match self {
            Self::Reduced(_) => None,
            Self::Unreduced(losses) => Some(losses),
        }
    }

    pub(crate) fn from_rows(shape: &[usize], losses: Vec<T>) -> Self {
        let losses = ArrayD::from_shape_vec(IxDyn(shape), losses);
        Self::Unreduced(losses.expect("one loss for each row"))
    }
}

/// The losses of all rows before they take their final form.
pub(crate) enum Losses<T> {
    Reduced(Wide),
    Unreduced(Vec<T>),
}

impl<T: Float> Losses<T> {
    pub(crate) fn into_loss(self, shape: &[usize]) -> Loss<T> {
        match self {
            Self::Reduced(loss) => Loss::Reduced(T::from_f64(loss.to_f64())),
            Self::Unreduced(losses) => Loss::from_rows(shape, losses),
        }
    }
}

/// What a loss over classes checks besides its targets.
pub(crate) trait CheckedLoss<T: Float>: ClassLoss<T> + Sized {
    /// [`class_losses`] of this loss.
    fn compiled() -> ClassLosses<T, Self>;

    /// An error for a parameter out of range.
    fn check(&self) -> Result<()>;

    /// Whether a part of the loss does not depend on the target.
    fn counts_without_target(&self) -> bool {
        false
    }

    /// An error for scores that the loss has no value for.
    fn check_scores(&self, _call: &ClassLossCall<'_, T>) -> Result<()> {
        Ok(())
    }
}

/// Checks the arguments of a loss over classes; computes the losses of the rows, and their gradient
/// and the diagonal of their Hessian if there is a place for them.
pub(crate) fn class_losses<T: Float>(
    loss: &impl CheckedLoss<T>,
    options: &ClassOptions<'_>,
    scores: &View<'_, T>,
    targets: &TargetsView<'_>,
    axis: usize,
    derivatives: Option<Outputs<'_, '_, T>>,
) -> Result<Losses<T>> {
    loss.check()?;
    scores.check_axis(axis)?;
    let keep_empty = loss.counts_without_target();
    let plan = Plan::new(scores.shape(), axis, targets, options, keep_empty)?;
    if let Some(Outputs { first, second }) = derivatives {
        for output in std::iter::once(first).chain(second) {
            output.check_shape("out", scores.shape(), "the logits")?;
        }
    }
    let reduction = options.reduction;
    let call = ClassLossCall {
        scores,
        axis,
        plan,
        reduction,
    };
    loss.check_scores(&call)?;
    call.run(loss, derivatives)
}

/// The loss of arrays, without derivatives, with a gradient, or with the diagonal of the Hessian
/// besides.
pub(crate) fn loss<'t, T: Element, D: Dimension, L: CheckedLoss<T::Compute>, const N: usize>(
    loss: &L,
    options: &ClassOptions<'_>,
    scores: ArrayView<'_, T, D>,
    targets: impl Into<Targets<'t, T>>,
    axis: Axis,
    out: [ArrayViewMut<'_, T, D>; N],
) -> Result<Loss<T::Compute>> {
    let (scores, targets, out) = (View::of(scores), targets.into(), out.map(ViewMut::of));
    let targets = targets.view();
    let derivatives = Outputs::of(&out);
    let losses = L::compiled()(loss, options, &scores, &targets, axis.0, derivatives)?;
    Ok(losses.into_loss(&scores.shape_without(axis.0)))
}

/// The loss of arrays, and its gradient in a new one.
pub(crate) fn loss_and_grad<'t, T: Element, D: Dimension>(
    function: &impl CheckedLoss<T::Compute>,
    options: &ClassOptions<'_>,
    scores: ArrayView<'_, T, D>,
    targets: impl Into<Targets<'t, T>>,
    axis: Axis,
) -> Result<LossAndGrad<T, D>> {
    let mut gradient = zeros(scores.raw_dim(), T::ZERO)?;
    let out = [gradient.view_mut()];
    let loss = loss(function, options, scores, targets, axis, out)?;
    Ok((loss, gradient))
}

/// A loss over classes with its targets and options checked, ready to be computed.
pub(crate) struct ClassLossCall<'a, T> {
    scores: &'a View<'a, T>,
    axis: usize,
    plan: Plan<'a>,
    reduction: Reduction,
}

impl<T: Float> ClassLossCall<'_, T> {
    /// An error at the first score of a row that counts which is not from `low` to `high`.
    pub(crate) fn check_probs(&self, eps: f64) -> Result<()> {
        let rows = self.scores.rows(self.axis);
        let wrong_in = |numbers: std::ops::Range<usize>| {
            let mut scratch = Vec::new();
            numbers.into_iter().find_map(|row| {
                self.plan.row(row, &mut scratch)?;
                let class = rows.find(row, |p: T| !is_probability(p.to_f64(), eps))?;
                Some((row, class))
            })
        };
        let mut wrong = None;
        read_numbers(rows.count(), rows.len(), wrong_in, |found| {
            wrong = wrong.or(found);
        })?;
        let Some((row, class)) = wrong else {
            return Ok(());
        };
        let mut place = position(row, &self.scores.shape_without(self.axis));
        place.insert(self.axis, class);
        let value = rows.element(row, class).to_f64();
        Err(not_a_probability("probs", place, value, eps))
    }

    /// Computes the losses, and their derivatives if there is a place for them.
    fn run(
        &self,
        loss: &impl ClassLoss<T>,
        derivatives: Option<Outputs<'_, '_, T>>,
    ) -> Result<Losses<T>> {
        let unreduced = self.reduction == Reduction::None;
        let mut total = LossTotal::default();
        if unreduced {
            total.rows = reserved(self.scores.rows(self.axis).count())?;
        }
        let merge = |grain: LossTotal<T>| {
            total.sum += grain.sum;
            total.rows.extend(grain.rows);
        };
        let (scores, axis, coefficients) = (self.scores, self.axis, &self.plan);
        // Where one class a row has a coefficient, threads may share a row.
        match (loss.for_tiles(), derivatives) {
            (Some(loss), None) if coefficients.has_one_class_a_row() => {
                let kernel = LossKernel::<_, _, false>::new(loss, coefficients, unreduced);
                let kernel = IndexLossKernel(kernel);
                read_classes(scores, axis, &kernel, merge)?;
            }
            (Some(loss), Some(output)) if coefficients.has_one_class_a_row() => {
                let kernel = LossKernel::<_, _, true>::new(loss, coefficients, unreduced);
                let kernel = IndexLossKernel(kernel);
                write_classes(scores, output, axis, &kernel, merge)?;
            }
            (Some(loss), None) => {
                let kernel = LossKernel::<_, _, false>::new(loss, coefficients, unreduced);
                read_tiles(scores, axis, &kernel, merge)?;
            }
            (Some(loss), Some(output)) => {
                let kernel = LossKernel::<_, _, true>::new(loss, coefficients, unreduced);
                write_tiles(scores, output, axis, &kernel, merge)?;
            }
            (None, None) => {
                let kernel = LossKernel::<_, _, false>::new(loss, coefficients, unreduced);
                read_rows(std::array::from_ref(scores), axis, &kernel, merge)?;
            }
            (None, Some(output)) => {
                let kernel = LossKernel::<_, _, true>::new(loss, coefficients, unreduced);
                write_rows(std::array::from_ref(scores), output, axis, &kernel, merge)?;
            }
        }
        Ok(match self.reduction {
            Reduction::None => Losses::Unreduced(total.rows),
            Reduction::Sum => Losses::Reduced(total.sum),
            Reduction::Mean => Losses::Reduced(mean(total.sum, self.plan.divisor())),
        })
    }
}

/// A sum over what it is divided by; NaN if that is nothing.
pub(crate) fn mean(sum: Wide, divisor: Wide) -> Wide {
    if divisor.high == 0.0 {
        Wide::NAN
    } else {
        sum.divided_by(divisor)
    }
}

/// An error unless `eps` can clip probabilities.
pub(crate) fn check_eps(eps: f64) -> Result<()> {
    if (0.0..0.5).contains(&eps) {
        return Ok(());
    }
    Err(Error::Option {
        name: "eps",
        value: eps,
        expected: "a number from 0 to 0.5 exclusive",
    })
}

/// Whether a value is from 0 to 1, give or take what `eps` forgives.
#[inline(always)]
pub(crate) fn is_probability(value: f64, eps: f64) -> bool {
    value >= -eps && value <= 1.0 + eps
}

/// The error for a value that is no probability.
pub(crate) fn not_a_probability(
    name: &'static str,
    position: Vec<usize>,
    value: f64,
    eps: f64,
) -> Error {
    Error::NotAProbability {
        name,
        position,
        value,
        hint: match name {
            "probs" if eps == 0.0 && is_probability(value, 1e-3) => {
                "; if rounding did this, pass eps (for instance eps=1e-6), which forgives it"
            }
            "probs" => "; if these are logits, use the loss that takes logits",
            _ => "",
        },
    }
}
