//! Bindings of the losses over classes.

use numpy::{PyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;
use smallvec::SmallVec;

use super::arguments::{self, AxisArgument, IgnoreIndex};
use super::array::{self, Output, Scalar, Scores, with_dtype};
use super::hold::Hold;
use super::targets::TargetsArray;
use super::threads::run;
use crate::coefficients::ClassOptions;
use crate::float::Float;
use crate::kernel::class_loss::LogitsLoss;
use crate::kernel::hessian::Hessian;
use crate::kernel::probs_loss::{LogProbsLoss, ProbsLoss};
use crate::lanes::{Outputs, check_shape};
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
    .loss(&LogitsLoss {
        z_loss,
        hessian: Hessian::Exact,
    })
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
    .loss_and_grad(
        &LogitsLoss {
            z_loss,
            hessian: Hessian::Exact,
        },
        out,
    )
}

#[doc = include_str!("docs/cross_entropy_and_grad_hess.rst")]
#[pyfunction]
#[pyo3(signature = (
    logits, targets, *, axis = AxisArgument::LAST, weight = None, sample_weight = None,
    ignore_index = None, label_smoothing = 0.0, z_loss = 0.0, reduction = Reduction::Mean,
    hessian = Hessian::Exact, out = None
))]
#[pyo3(
    text_signature = "(logits, targets, *, axis=-1, weight=None, sample_weight=None, \
                         ignore_index=None, label_smoothing=0.0, z_loss=0.0, reduction='mean', \
                         hessian='exact', out=None)"
)]
pub(super) fn cross_entropy_and_grad_hess<'py>(
    logits: &Object<'py>,
    targets: &Object<'py>,
    axis: AxisArgument,
    weight: Option<&Object<'py>>,
    sample_weight: Option<&Object<'py>>,
    ignore_index: Option<IgnoreIndex>,
    #[pyo3(from_py_with = arguments::label_smoothing)] label_smoothing: f64,
    #[pyo3(from_py_with = arguments::z_loss)] z_loss: f64,
    reduction: Reduction,
    hessian: Hessian,
    out: Option<&Object<'py>>,
) -> PyResult<(Object<'py>, Object<'py>, Object<'py>)> {
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
    .loss_and_grad_hess(&LogitsLoss { z_loss, hessian }, out)
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
    /// The same call with arrays for arguments: see [`array::given`].
    fn with_arrays<R>(&self, call: impl FnOnce(&Arguments<'_, 'py>) -> PyResult<R>) -> PyResult<R> {
        let (scores, name) = self.scores;
        let converted_scores = array::conversion(scores, name)?;
        let targets = array::conversion(self.targets, "targets")?;
        let weight = array::given_if_any(self.weight, "weight")?;
        let sample_weight = array::given_if_any(self.sample_weight, "sample_weight")?;
        call(&Arguments {
            scores: (converted_scores.as_ref().unwrap_or(scores), name),
            targets: targets.as_ref().unwrap_or(self.targets),
            weight: weight.as_ref(),
            sample_weight: sample_weight.as_ref(),
            ..*self
        })
    }

    fn loss(&self, loss: &impl AnyLoss) -> PyResult<Object<'py>> {
        self.loss_and_derivatives(loss, []).map(|(loss, [])| loss)
    }

    fn loss_and_grad(
        &self,
        loss: &impl AnyLoss,
        out: Option<&Object<'py>>,
    ) -> PyResult<(Object<'py>, Object<'py>)> {
        let (loss, [gradient]) = self.loss_and_derivatives(loss, [out])?;
        Ok((loss, gradient))
    }

    fn loss_and_grad_hess(
        &self,
        loss: &impl AnyLoss,
        out: Option<&Object<'py>>,
    ) -> PyResult<(Object<'py>, Object<'py>, Object<'py>)> {
        let out = arguments::pair(out)?;
        let out = out.each_ref().map(Option::as_ref);
        let (loss, [gradient, hessian]) = self.loss_and_derivatives(loss, out)?;
        Ok((loss, gradient, hessian))
    }

    /// The loss, and as many derivatives as there are arrays to be given for them.
    fn loss_and_derivatives<const N: usize>(
        &self,
        loss: &impl AnyLoss,
        out: [Option<&Object<'py>>; N],
    ) -> PyResult<(Object<'py>, [Object<'py>; N])> {
        self.with_arrays(|arguments| {
            let (scores, name) = arguments.scores;
            with_dtype!(Scores::new(scores, name)?, scores => {
                let outputs = Output::several(out, &scores)?;
                let scores = array::separate(&outputs, scores)?;
                let losses = arguments.losses(loss, &scores, &outputs)?;
                Ok((losses, array::each(outputs, Output::finish)?))
            })
        })
    }

    fn losses<T: Scalar>(
        &self,
        loss: &impl CheckedLoss<T::Compute>,
        scores: &Bound<'py, PyArrayDyn<T>>,
        outputs: &[Output<'py, T>],
    ) -> PyResult<Object<'py>> {
        let py = scores.py();
        let axis = self.axis.of(py, scores.ndim())?;
        let (targets, ignore_index) =
            TargetsArray::new(self.targets, scores, axis, self.ignore_index, outputs)?;
        let weight = self
            .weight
            .map(|w| array::weights::<T>(w, "weight", &[]))
            .transpose()?;
        let sample_weight = self
            .sample_weight
            .map(|w| array::weights(w, "sample_weight", outputs))
            .transpose()?;
        let hold = Hold::new(py, scores.len());
        let scores = hold.elements_of(scores)?;
        let written: SmallVec<[_; 2]> = outputs
            .iter()
            .map(|output| hold.elements_mut(output))
            .collect::<PyResult<_>>()?;
        let derivatives = Outputs::of(&written);
        let axis = self.axis.of(py, scores.dimensions())?;
        if let Some(weight) = &weight
            && weight.ndim() != 1
        {
            let shape = weight.shape();
            check_shape("weight", shape, &[scores.shape()[axis]], "the classes")?;
        }
        let options = ClassOptions {
            weight: weight.as_ref().map(array::elements).transpose()?,
            sample_weight: sample_weight.as_ref().map(|w| hold.view(w)).transpose()?,
            ignore_index,
            label_smoothing: self.label_smoothing,
            reduction: self.reduction,
        };
        let targets = targets.view(&hold)?;
        let losses = run(py, scores.len(), || {
            class_losses(loss, &options, &scores, &targets, axis, derivatives)
        })?;
        match losses {
            Losses::Reduced(loss) => array::scalar(py, T::Compute::from_f64(loss.to_f64())),
            Losses::Unreduced(losses) => {
                Ok(array::from_vec(py, losses, &scores.shape_without(axis))?.into_any())
            }
        }
    }
}
