//! Bindings of the binary losses.

use numpy::{PyArrayDescr, PyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;
use smallvec::SmallVec;

use super::arguments;
use super::array::{self, Companion, Output, Scalar, Scores, with_dtype};
use super::hold::Hold;
use super::threads::run;
use crate::binary::{BinaryCall, CheckedBinaryLoss};
use crate::float::Float;
use crate::kernel::binary::{FromLogits, FromProbs};
use crate::lanes::Outputs;
use crate::loss::Reduction;

type Object<'py> = Bound<'py, PyAny>;

/// The arguments that both binary losses take.
struct Arguments<'a, 'py> {
    /// The first argument and its name.
    scores: (&'a Object<'py>, &'static str),
    targets: &'a Object<'py>,
    weight: Option<&'a Object<'py>>,
    pos_weight: Option<&'a Object<'py>>,
    reduction: Reduction,
}

#[doc = include_str!("docs/binary_cross_entropy.rst")]
#[pyfunction]
#[pyo3(signature = (probs, targets, *, weight = None, eps = 0.0, reduction = Reduction::Mean))]
#[pyo3(text_signature = "(probs, targets, *, weight=None, eps=0.0, reduction='mean')")]
pub(super) fn binary_cross_entropy<'py>(
    probs: &Object<'py>,
    targets: &Object<'py>,
    weight: Option<&Object<'py>>,
    #[pyo3(from_py_with = arguments::eps)] eps: f64,
    reduction: Reduction,
) -> PyResult<Object<'py>> {
    let scores = (probs, "probs");
    let pos_weight = None;
    Arguments {
        scores,
        targets,
        weight,
        pos_weight,
        reduction,
    }
    .loss(FromProbs { eps })
}

#[doc = include_str!("docs/binary_cross_entropy_and_grad.rst")]
#[pyfunction]
#[pyo3(signature = (
    probs, targets, *, weight = None, eps = 0.0, reduction = Reduction::Mean, out = None
))]
#[pyo3(text_signature = "(probs, targets, *, weight=None, eps=0.0, reduction='mean', out=None)")]
pub(super) fn binary_cross_entropy_and_grad<'py>(
    probs: &Object<'py>,
    targets: &Object<'py>,
    weight: Option<&Object<'py>>,
    #[pyo3(from_py_with = arguments::eps)] eps: f64,
    reduction: Reduction,
    out: Option<&Object<'py>>,
) -> PyResult<(Object<'py>, Object<'py>)> {
    let scores = (probs, "probs");
    let pos_weight = None;
    Arguments {
        scores,
        targets,
        weight,
        pos_weight,
        reduction,
    }
    .loss_and_grad(FromProbs { eps }, out)
}

#[doc = include_str!("docs/binary_cross_entropy_with_logits.rst")]
#[pyfunction]
#[pyo3(signature = (
    logits, targets, *, weight = None, pos_weight = None, reduction = Reduction::Mean
))]
#[pyo3(text_signature = "(logits, targets, *, weight=None, pos_weight=None, reduction='mean')")]
pub(super) fn binary_cross_entropy_with_logits<'py>(
    logits: &Object<'py>,
    targets: &Object<'py>,
    weight: Option<&Object<'py>>,
    pos_weight: Option<&Object<'py>>,
    reduction: Reduction,
) -> PyResult<Object<'py>> {
    let scores = (logits, "logits");
    Arguments {
        scores,
        targets,
        weight,
        pos_weight,
        reduction,
    }
    .loss(FromLogits)
}

#[doc = include_str!("docs/binary_cross_entropy_with_logits_and_grad.rst")]
#[pyfunction]
#[pyo3(signature = (
    logits, targets, *, weight = None, pos_weight = None, reduction = Reduction::Mean, out = None
))]
#[pyo3(
    text_signature = "(logits, targets, *, weight=None, pos_weight=None, reduction='mean', \
                         out=None)"
)]
pub(super) fn binary_cross_entropy_with_logits_and_grad<'py>(
    logits: &Object<'py>,
    targets: &Object<'py>,
    weight: Option<&Object<'py>>,
    pos_weight: Option<&Object<'py>>,
    reduction: Reduction,
    out: Option<&Object<'py>>,
) -> PyResult<(Object<'py>, Object<'py>)> {
    let scores = (logits, "logits");
    Arguments {
        scores,
        targets,
        weight,
        pos_weight,
        reduction,
    }
    .loss_and_grad(FromLogits, out)
}

#[doc = include_str!("docs/binary_cross_entropy_with_logits_and_grad_hess.rst")]
#[pyfunction]
#[pyo3(signature = (
    logits, targets, *, weight = None, pos_weight = None, reduction = Reduction::Mean, out = None
))]
#[pyo3(
    text_signature = "(logits, targets, *, weight=None, pos_weight=None, reduction='mean', \
                         out=None)"
)]
pub(super) fn binary_cross_entropy_with_logits_and_grad_hess<'py>(
    logits: &Object<'py>,
    targets: &Object<'py>,
    weight: Option<&Object<'py>>,
    pos_weight: Option<&Object<'py>>,
    reduction: Reduction,
    out: Option<&Object<'py>>,
) -> PyResult<(Object<'py>, Object<'py>, Object<'py>)> {
    let scores = (logits, "logits");
    let out = arguments::pair(out)?;
    let out = out.each_ref().map(Option::as_ref);
    let (loss, [gradient, hessian]) = Arguments {
        scores,
        targets,
        weight,
        pos_weight,
        reduction,
    }
    .loss_and_derivatives(FromLogits, out)?;
    Ok((loss, gradient, hessian))
}

/// The arrays of a call.
struct Arrays<'py, T: Scalar> {
    scores: Bound<'py, PyArrayDyn<T>>,
    targets: Companion<'py, T>,
    weights: [Option<Companion<'py, T>>; 2],
}

/// The dtype of the losses of such scores.
fn loss_dtype<'py, T: Scalar>(scores: &Bound<'py, PyArrayDyn<T>>) -> Bound<'py, PyArrayDescr> {
    numpy::dtype::<T::Compute>(scores.py())
}

impl<'py> Arguments<'_, 'py> {
    /// The same call with arrays for arguments: see [`array::given`].
    fn with_arrays<R>(&self, call: impl FnOnce(&Arguments<'_, 'py>) -> PyResult<R>) -> PyResult<R> {
        let (scores, name) = self.scores;
        let scores = array::given(scores, name)?;
        let targets = array::given(self.targets, "targets")?;
        let weight = array::given_if_any(self.weight, "weight")?;
        let pos_weight = array::given_if_any(self.pos_weight, "pos_weight")?;
        call(&Arguments {
            scores: (&scores, name),
            targets: &targets,
            weight: weight.as_ref(),
            pos_weight: pos_weight.as_ref(),
            ..*self
        })
    }

    fn loss(&self, loss: impl CheckedBinaryLoss + Send) -> PyResult<Object<'py>> {
        self.with_arrays(|arguments| arguments.loss_of_arrays(loss))
    }

    fn loss_and_grad(
        &self,
        loss: impl CheckedBinaryLoss + Send,
        out: Option<&Object<'py>>,
    ) -> PyResult<(Object<'py>, Object<'py>)> {
        let (loss, [gradient]) = self.loss_and_derivatives(loss, [out])?;
        Ok((loss, gradient))
    }

    /// The loss, and as many derivatives as there are arrays to be given for them.
    fn loss_and_derivatives<const N: usize>(
        &self,
        loss: impl CheckedBinaryLoss + Send,
        out: [Option<&Object<'py>>; N],
    ) -> PyResult<(Object<'py>, [Object<'py>; N])> {
        self.with_arrays(|arguments| arguments.derivatives_of_arrays(loss, out))
    }

    fn loss_of_arrays(&self, loss: impl CheckedBinaryLoss + Send) -> PyResult<Object<'py>> {
        let (scores, name) = self.scores;
        with_dtype!(Scores::new(scores, name)?, scores => {
            let dtype = loss_dtype(&scores);
            if let Some(arrays) = self.arrays(scores.clone(), &[])? {
                return arrays.loss(loss, self.reduction);
            }
            let result = self.in_float64(&scores)?.loss(loss, self.reduction)?;
            array::quietly(scores.py(), || result.call_method1("astype", (dtype,)))
        })
    }

    fn derivatives_of_arrays<const N: usize>(
        &self,
        loss: impl CheckedBinaryLoss + Send,
        out: [Option<&Object<'py>>; N],
    ) -> PyResult<(Object<'py>, [Object<'py>; N])> {
        let (scores, name) = self.scores;
        with_dtype!(Scores::new(scores, name)?, scores => {
            let dtype = loss_dtype(&scores);
            let outputs = Output::several(out, &scores)?;
            if let Some(arrays) = self.arrays(scores.clone(), &outputs)? {
                let loss = arrays.loss_and_derivatives(loss, self.reduction, &outputs)?;
                return Ok((loss, array::each(outputs, Output::finish_array)?));
            }
            let arrays = self.in_float64(&scores)?;
            let wide = Output::several([None; N], &arrays.scores)?;
            let loss = arrays.loss_and_derivatives(loss, self.reduction, &wide)?;
            for (output, wide) in outputs.iter().zip(&wide) {
                output.assign(wide)?;
            }
            let loss = array::quietly(scores.py(), || loss.call_method1("astype", (dtype,)))?;
            Ok((loss, array::each(outputs, Output::finish_array)?))
        })
    }

    /// The arrays beside scores that are computed with as they are, if nothing is lost by that: targets and
    /// weights of `float64` beside scores of `float32` count with all digits that show.
    fn arrays<T: Scalar>(
        &self,
        scores: Bound<'py, PyArrayDyn<T>>,
        outputs: &[Output<'py, T>],
    ) -> PyResult<Option<Arrays<'py, T>>> {
        let separate = |array: Companion<'py, T>| array.separate(outputs);
        let [targets, weight, pos_weight] = [
            (Some(self.targets), "targets"),
            (self.weight, "weight"),
            (self.pos_weight, "pos_weight"),
        ]
        .map(|(object, name)| {
            object
                .map(|object| Companion::in_parts(object, name))
                .transpose()
        });
        let (Some(targets), weights) = (targets?, [weight?, pos_weight?]) else {
            return Ok(None);
        };
        let Some(targets) = targets else {
            return Ok(None);
        };
        if weights.iter().any(|weight| matches!(weight, Some(None))) {
            return Ok(None);
        }
        let [weight, pos_weight] = weights.map(|weight| weight.flatten().map(separate).transpose());
        Ok(Some(Arrays {
            scores: array::separate(outputs, scores)?,
            targets: separate(targets)?,
            weights: [weight?, pos_weight?],
        }))
    }

    fn in_float64<T: Scalar>(
        &self,
        scores: &Bound<'py, PyArrayDyn<T>>,
    ) -> PyResult<Arrays<'py, f64>> {
        let converted = |object: Option<&Object<'py>>, name| {
            object
                .map(|object| Companion::new(object, name))
                .transpose()
        };
        Ok(Arrays {
            scores: array::converted(scores.as_any(), self.scores.1)?,
            targets: Companion::new(self.targets, "targets")?,
            weights: [
                converted(self.weight, "weight")?,
                converted(self.pos_weight, "pos_weight")?,
            ],
        })
    }
}

impl<'py, T> Arrays<'py, T>
where
    T: Scalar,
    T::Compute: Scalar<Compute = T::Compute>,
{
    fn call<'a, L: CheckedBinaryLoss + Send>(
        &'a self,
        hold: &'a Hold<'py>,
        loss: L,
        reduction: Reduction,
    ) -> PyResult<BinaryCall<'a, T::Compute, L>> {
        let (scores, targets) = (hold.elements_of(&self.scores)?, self.targets.parts(hold)?);
        let [weight, pos_weight] = self.weights.each_ref().map(|weight| {
            let parts = |weight: &'a Companion<'py, T>| weight.parts(hold);
            weight.as_ref().map(parts).transpose()
        });
        let weights = [weight?, pos_weight?];
        run(self.scores.py(), scores.len(), || {
            BinaryCall::new(loss, &scores, targets, weights, reduction)
        })
    }

    fn loss(
        &self,
        loss: impl CheckedBinaryLoss + Send,
        reduction: Reduction,
    ) -> PyResult<Object<'py>> {
        let (py, elements) = (self.scores.py(), self.scores.len());
        let hold = Hold::new(py, elements);
        let call = self.call(&hold, loss, reduction)?;
        if reduction == Reduction::None {
            let losses = Output::<T::Compute>::fresh(&self.scores)?;
            let place = hold.elements_mut(&losses)?;
            run(py, elements, || call.write_losses(&place))?;
            return losses.finish_array();
        }
        let value = run(py, elements, || call.reduced_loss())?;
        array::scalar(py, T::Compute::from_f64(value.to_f64()))
    }

    fn loss_and_derivatives(
        &self,
        loss: impl CheckedBinaryLoss + Send,
        reduction: Reduction,
        outputs: &[Output<'py, T>],
    ) -> PyResult<Object<'py>> {
        let (py, elements) = (self.scores.py(), self.scores.len());
        let hold = Hold::new(py, elements);
        let call = self.call(&hold, loss, reduction)?;
        // Losses of their own are taken first: the gradient may overwrite what they are made of.
        let losses = if reduction == Reduction::None {
            Some(self.loss(loss, reduction)?)
        } else {
            None
        };
        let written: SmallVec<[_; 2]> = outputs
            .iter()
            .map(|output| hold.elements_mut(output))
            .collect::<PyResult<_>>()?;
        let Some(derivatives) = Outputs::of(&written) else {
            unreachable!("there is a place for the gradient at least")
        };
        let value = run(py, elements, || call.write_derivatives(derivatives))?;
        losses.map_or_else(
            || array::scalar(py, T::Compute::from_f64(value.to_f64())),
            Ok,
        )
    }
}
