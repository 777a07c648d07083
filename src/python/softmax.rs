//! Bindings of functions from logits to an array of their shape, and of log-sum-exp.

use pyo3::prelude::*;

use super::arguments::AxisArgument;
use super::array::{self, Output, Scores, with_dtype};
use super::threads::run;
use crate::elementwise::map_elements;
use crate::kernel::RowKernel;
use crate::kernel::elementwise::{LogSigmoid, Sigmoid, Softplus, VectorFunction};
use crate::kernel::piece::PieceKernel;
use crate::kernel::softmax::{LogSoftmax, Softmax};
use crate::kernel::vjp::{LogSoftmaxVjp, SoftmaxVjp};
use crate::softmax::{logsumexp_rows, map_classes, vjp};

type Object<'py> = Bound<'py, PyAny>;

#[doc = include_str!("docs/softmax.rst")]
#[pyfunction]
#[pyo3(signature = (x, axis = AxisArgument::LAST, *, out = None))]
#[pyo3(text_signature = "(x, axis=-1, *, out=None)")]
pub(super) fn softmax<'py>(
    x: &Object<'py>,
    axis: AxisArgument,
    out: Option<&Object<'py>>,
) -> PyResult<Object<'py>> {
    rows(x, axis, out, &Softmax)
}

#[doc = include_str!("docs/log_softmax.rst")]
#[pyfunction]
#[pyo3(signature = (x, axis = AxisArgument::LAST, *, out = None))]
#[pyo3(text_signature = "(x, axis=-1, *, out=None)")]
pub(super) fn log_softmax<'py>(
    x: &Object<'py>,
    axis: AxisArgument,
    out: Option<&Object<'py>>,
) -> PyResult<Object<'py>> {
    rows(x, axis, out, &LogSoftmax)
}

#[doc = include_str!("docs/logsumexp.rst")]
#[pyfunction]
#[pyo3(signature = (x, axis = AxisArgument::LAST, *, keepdims = false))]
#[pyo3(text_signature = "(x, axis=-1, *, keepdims=False)")]
pub(super) fn logsumexp<'py>(
    x: &Object<'py>,
    axis: AxisArgument,
    keepdims: bool,
) -> PyResult<Object<'py>> {
    let py = x.py();
    with_dtype!(Scores::new(x, "x")?, x => {
        let view = array::view(&x);
        let axis = axis.of(py, view.dimensions())?;
        let values = run(py, view.len(), || logsumexp_rows(&view, axis))?;
        let mut shape = view.shape_without(axis);
        if keepdims {
            shape.insert(axis, 1);
        }
        array::result(array::from_vec(py, values, &shape)?)
    })
}

#[doc = include_str!("docs/softmax_vjp.rst")]
#[pyfunction]
#[pyo3(signature = (probs, cotangent, axis = AxisArgument::LAST, *, out = None))]
#[pyo3(text_signature = "(probs, cotangent, axis=-1, *, out=None)")]
pub(super) fn softmax_vjp<'py>(
    probs: &Object<'py>,
    cotangent: &Object<'py>,
    axis: AxisArgument,
    out: Option<&Object<'py>>,
) -> PyResult<Object<'py>> {
    products(probs, "probs", cotangent, axis, out, &SoftmaxVjp)
}

#[doc = include_str!("docs/log_softmax_vjp.rst")]
#[pyfunction]
#[pyo3(signature = (log_probs, cotangent, axis = AxisArgument::LAST, *, out = None))]
#[pyo3(text_signature = "(log_probs, cotangent, axis=-1, *, out=None)")]
pub(super) fn log_softmax_vjp<'py>(
    log_probs: &Object<'py>,
    cotangent: &Object<'py>,
    axis: AxisArgument,
    out: Option<&Object<'py>>,
) -> PyResult<Object<'py>> {
    products(log_probs, "log_probs", cotangent, axis, out, &LogSoftmaxVjp)
}

#[doc = include_str!("docs/sigmoid.rst")]
#[pyfunction]
#[pyo3(signature = (x, *, out = None))]
pub(super) fn sigmoid<'py>(x: &Object<'py>, out: Option<&Object<'py>>) -> PyResult<Object<'py>> {
    elements(x, out, Sigmoid)
}

#[doc = include_str!("docs/log_sigmoid.rst")]
#[pyfunction]
#[pyo3(signature = (x, *, out = None))]
pub(super) fn log_sigmoid<'py>(
    x: &Object<'py>,
    out: Option<&Object<'py>>,
) -> PyResult<Object<'py>> {
    elements(x, out, LogSigmoid)
}

#[doc = include_str!("docs/softplus.rst")]
#[pyfunction]
#[pyo3(signature = (x, *, out = None))]
pub(super) fn softplus<'py>(x: &Object<'py>, out: Option<&Object<'py>>) -> PyResult<Object<'py>> {
    elements(x, out, Softplus)
}

fn rows<'py>(
    x: &Object<'py>,
    axis: AxisArgument,
    out: Option<&Object<'py>>,
    kernel: &(impl PieceKernel<f32, Total = ()> + PieceKernel<f64, Total = ()>),
) -> PyResult<Object<'py>> {
    let py = x.py();
    with_dtype!(Scores::new(x, "x")?, x => {
        let axis = axis.of(py, array::view(&x).dimensions())?;
        let output = Output::new(out, &x)?;
        let x = output.separate(x)?;
        let (view, target) = (array::view(&x), output.view());
        run(py, view.len(), || map_classes(&view, axis, &target, kernel))?;
        output.finish()
    })
}

fn products<'py>(
    values: &Object<'py>,
    name: &'static str,
    cotangent: &Object<'py>,
    axis: AxisArgument,
    out: Option<&Object<'py>>,
    kernel: &(impl RowKernel<f32, 2, Total = ()> + RowKernel<f64, 2, Total = ()>),
) -> PyResult<Object<'py>> {
    let py = values.py();
    with_dtype!(Scores::new(values, name)?, values => {
        let axis = axis.of(py, array::view(&values).dimensions())?;
        let cotangent = array::converted(cotangent, "cotangent")?;
        let output = Output::new(out, &values)?;
        let (values, cotangent) = (output.separate(values)?, output.separate(cotangent)?);
        let (inputs, target) = ([array::view(&values), array::view(&cotangent)], output.view());
        run(py, inputs[0].len(), || vjp(&inputs, axis, &target, kernel, name))?;
        output.finish()
    })
}

fn elements<'py>(
    x: &Object<'py>,
    out: Option<&Object<'py>>,
    function: impl VectorFunction + Send,
) -> PyResult<Object<'py>> {
    let py = x.py();
    with_dtype!(Scores::new(x, "x")?, x => {
        let output = Output::new(out, &x)?;
        let x = output.separate(x)?;
        let (view, target) = (array::view(&x), output.view());
        run(py, view.len(), || map_elements(&view, &target, function))?;
        output.finish()
    })
}
