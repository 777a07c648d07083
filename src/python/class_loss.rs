//! Bindings of the losses over classes.

use numpy::{PyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;

use super::arguments::{self, AxisArgument, IgnoreIndex};
use super::array::{self, Output, Scalar, Scores, with_dtype};
use super::targets::TargetsArray;
use super::threads::run;
use crate::coefficients::ClassOptions;
use crate::float::Float;
use crate::kernel::class_loss::LogitsLoss;
use crate::kernel::probs_loss::{LogProbsLoss, ProbsLoss};
use crate::lanes::check_shape;
use crate::loss::{CheckedLoss, Losses, Reduction, class_losses};

type Object<'py> = Bound<'py, PyAny>;

/// The arguments that all losses over classes take.
struct Arguments<'a, 'py> {
    /// The first argument and its name.
    scores: (&'a Object<'py>, &'static str),
    targets: &'a Object<'py>,
    axis: AxisArgument,
    weight: Option<&'a Object<'py>>,
    sample_weight: Option<&'a Object<'py>>,
    ignore_index: Option<IgnoreIndex>,
    label_smoothing: f64,
    reduction: Reduction,
}

#[doc = include_str!("docs/cross_entropy.rst")]
#[pyfunction]
#[pyo3(signature = (
    logits, targets, *, axis = AxisArgument::LAST, weight = None, sample_weight = None,
    ignore_index = None, label_smoothing = 0.0, z_loss = 0.0, reduction = Reduction::Mean
))]
#[pyo3(
    text_signature = "(logits, targets, *, axis=-1, weight=None, sample_weight=None, \
                         ignore_index=None, label_smoothing=0.0, z_loss=0.0, reduction='mean')"
)]
pub(super) fn cross_entropy<'py>(
    logits: &Object<'py>,
    targets: &Object<'py>,
    axis: AxisArgument,
    weight: Option<&Object<'py>>,
    sample_weight: Option<&Object<'py>>,
    ignore_index: Option<IgnoreIndex>,
    #[pyo3(from_py_with = arguments::label_smoothing)] label_smoothing: f64,
    #[pyo3(from_py_with = arguments::z_loss)] z_loss: f64,
    reduction: Reduction,
) -> PyResult<Object<'py>> {
    let scores = (logits, "logits");
    Arguments {
        scores,
        targets,
        axis,
        weight,
        sample_weight,
        ignore_index,
        label_smoothing,
        reduction,
    }
    .loss(&LogitsLoss { z_loss })
}

#[doc = include_str!("docs/cross_entropy_and_grad.rst")]
#[pyfunction]
#[pyo3(signature = (
    logits, targets, *, axis = AxisArgument::LAST, weight = None, sample_weight = None,
    ignore_index = None, label_smoothing = 0.0, z_loss = 0.0, reduction = Reduction::Mean,
    out = None
))]
#[pyo3(
    text_signature = "(logits, targets, *, axis=-1, weight=None, sample_weight=None, \
                         ignore_index=None, label_smoothing=0.0, z_loss=0.0, reduction='mean', \
                         out=None)"
)]
pub(super) fn cross_entropy_and_grad<'py>(
    logits: &Object<'py>,
    targets: &Object<'py>,
    axis: AxisArgument,
    weight: Option<&Object<'py>>,
    sample_weight: Option<&Object<'py>>,
    ignore_index: Option<IgnoreIndex>,
    #[pyo3(from_py_with = arguments::label_smoothing)] label_smoothing: f64,
    #[pyo3(from_py_with = arguments::z_loss)] z_loss: f64,
    reduction: Reduction,
    out: Option<&Object<'py>>,
) -> PyResult<(Object<'py>, Object<'py>)> {
    let scores = (logits, "logits");
    Arguments {
        scores,
        targets,
        axis,
        weight,
        sample_weight,
        ignore_index,
        label_smoothing,
        reduction,
    }
    .loss_and_grad(&LogitsLoss { z_loss }, out)
}

#[doc = include_str!("docs/nll_loss.rst")]
#[pyfunction]
#[pyo3(signature = (
    log_probs, targets, *, axis = AxisArgument::LAST, weight = None, sample_weight = None,
    ignore_index = None, reduction = Reduction::Mean
))]
#[pyo3(
    text_signature = "(log_probs, targets, *, axis=-1, weight=None, sample_weight=None, \
                         ignore_index=None, reduction='mean')"
)]
pub(super) fn nll_loss<'py>(
    log_probs: &Object<'py>,
    targets: &Object<'py>,
    axis: AxisArgument,
    weight: Option<&Object<'py>>,
    sample_weight: Option<&Object<'py>>,
    ignore_index: Option<IgnoreIndex>,
    reduction: Reduction,
) -> PyResult<Object<'py>> {
    let scores = (log_probs, "log_probs");
    Arguments {
        scores,
        targets,
        axis,
        weight,
        sample_weight,
        ignore_index,
        label_smoothing: 0.0,
        reduction,
    }
    .loss(&LogProbsLoss)
}

#[doc = include_str!("docs/nll_loss_and_grad.rst")]
#[pyfunction]
#[pyo3(signature = (
    log_probs, targets, *, axis = AxisArgument::LAST, weight = None, sample_weight = None,
    ignore_index = None, reduction = Reduction::Mean, out = None
))]
#[pyo3(
    text_signature = "(log_probs, targets, *, axis=-1, weight=None, sample_weight=None, \
                         ignore_index=None, reduction='mean', out=None)"
)]
pub(super) fn nll_loss_and_grad<'py>(
    log_probs: &Object<'py>,
    targets: &Object<'py>,
    axis: AxisArgument,
    weight: Option<&Object<'py>>,
    sample_weight: Option<&Object<'py>>,
    ignore_index: Option<IgnoreIndex>,
    reduction: Reduction,
    out: Option<&Object<'py>>,
) -> PyResult<(Object<'py>, Object<'py>)> {
    let scores = (log_probs, "log_probs");
    Arguments {
        scores,
        targets,
        axis,
        weight,
        sample_weight,
        ignore_index,
        label_smoothing: 0.0,
        reduction,
    }
    .loss_and_grad(&LogProbsLoss, out)
}

#[doc = include_str!("docs/categorical_cross_entropy.rst")]
#[pyfunction]
#[pyo3(signature = (
    probs, targets, *, axis = AxisArgument::LAST, weight = None, sample_weight = None,
    ignore_index = None, eps = 0.0, reduction = Reduction::Mean
))]
#[pyo3(
    text_signature = "(probs, targets, *, axis=-1, weight=None, sample_weight=None, \
                         ignore_index=None, eps=0.0, reduction='mean')"
)]
pub(super) fn categorical_cross_entropy<'py>(
    probs: &Object<'py>,
    targets: &Object<'py>,
    axis: AxisArgument,
    weight: Option<&Object<'py>>,
    sample_weight: Option<&Object<'py>>,
    ignore_index: Option<IgnoreIndex>,
    #[pyo3(from_py_with = arguments::eps)] eps: f64,
    reduction: Reduction,
) -> PyResult<Object<'py>> {
    let scores = (probs, "probs");
    Arguments {
        scores,
        targets,
        axis,
        weight,
        sample_weight,
        ignore_index,
        label_smoothing: 0.0,
        reduction,
    }
    .loss(&ProbsLoss { eps })
}

#[doc = include_str!("docs/categorical_cross_entropy_and_grad.rst")]
#[pyfunction]
#[pyo3(signature = (
    probs, targets, *, axis = AxisArgument::LAST, weight = None, sample_weight = None,
    ignore_index = None, eps = 0.0, reduction = Reduction::Mean, out = None
))]
#[pyo3(
    text_signature = "(probs, targets, *, axis=-1, weight=None, sample_weight=None, \
                         ignore_index=None, eps=0.0, reduction='mean', out=None)"
)]
pub(super) fn categorical_cross_entropy_and_grad<'py>(
    probs: &Object<'py>,
    targets: &Object<'py>,
    axis: AxisArgument,
    weight: Option<&Object<'py>>,
    sample_weight: Option<&Object<'py>>,
    ignore_index: Option<IgnoreIndex>,
    #[pyo3(from_py_with = arguments::eps)] eps: f64,
    reduction: Reduction,
    out: Option<&Object<'py>>,
) -> PyResult<(Object<'py>, Object<'py>)> {
    let scores = (probs, "probs");
    Arguments {
        scores,
        targets,
        axis,
        weight,
        sample_weight,
        ignore_index,
        label_smoothing: 0.0,
        reduction,
    }
    .loss_and_grad(&ProbsLoss { eps }, out)
}

/// A loss for either type that is computed with.
trait AnyLoss: CheckedLoss<f32> + CheckedLoss<f64> {}

impl<L: CheckedLoss<f32> + CheckedLoss<f64>> AnyLoss for L {}

impl<'py> Arguments<'_, 'py> {
    fn loss(&self, loss: &impl AnyLoss) -> PyResult<Object<'py>> {
        let (scores, name) = self.scores;
        with_dtype!(Scores::new(scores, name)?, scores => {
            let losses = self.losses(loss, &scores, None)?;
            self.loss_result(&scores, losses)
        })
    }

    fn loss_and_grad(
        &self,
        loss: &impl AnyLoss,
        out: Option<&Object<'py>>,
    ) -> PyResult<(Object<'py>, Object<'py>)> {
        let (scores, name) = self.scores;
        with_dtype!(Scores::new(scores, name)?, scores => {
            let output = Output::new(out, &scores)?;
            let scores = output.separate(scores)?;
            let losses = self.losses(loss, &scores, Some(&output))?;
            Ok((self.loss_result(&scores, losses)?, output.finish()?))
        })
    }

    fn losses<T: Scalar>(
        &self,
        loss: &impl CheckedLoss<T::Compute>,
        scores: &Bound<'py, PyArrayDyn<T>>,
        output: Option<&Output<'py, T>>,
    ) -> PyResult<Losses<T::Compute>> {
        let py = scores.py();
        let axis = self.axis.of(py, scores.ndim())?;
        let (targets, ignore_index) =
            TargetsArray::new(self.targets, scores, axis, self.ignore_index, output)?;
        let weight = self
            .weight
            .map(|w| array::weights::<T>(w, "weight", None))
            .transpose()?;
        let sample_weight = self
            .sample_weight
            .map(|w| array::weights(w, "sample_weight", output))
            .transpose()?;
        if let Some(weight) = &weight
            && weight.ndim() != 1
        {
            let shape = weight.shape();
            check_shape("weight", shape, &[scores.shape()[axis]], "the classes")?;
        }
        let options = ClassOptions {
            weight: weight.as_ref().map(|w| array::elements(w)).transpose()?,
            sample_weight: sample_weight.as_ref().map(|w| array::view(w)),
            ignore_index,
            label_smoothing: self.label_smoothing,
            reduction: self.reduction,
        };
        let (scores, gradient) = (array::elements_of(scores), output.map(Output::view));
        let targets = targets.view();
        run(py, scores.len(), || {
            class_losses(loss, &options, &scores, &targets, axis, gradient.as_ref())
        })
    }

    fn loss_result<T: Scalar>(
        &self,
        scores: &Bound<'py, PyArrayDyn<T>>,
        losses: Losses<T::Compute>,
    ) -> PyResult<Object<'py>> {
        let py = scores.py();
        match losses {
            Losses::Reduced(loss) => array::scalar(py, T::Compute::from_f64(loss.to_f64())),
            Losses::Unreduced(losses) => {
                let axis = self.axis.of(py, scores.ndim())?;
                let shape = array::elements_of(scores).shape_without(axis);
                Ok(array::from_vec(py, losses, &shape)?.into_any())
            }
        }
    }
}
