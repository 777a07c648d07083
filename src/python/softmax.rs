//! Bindings of functions from logits to an array of their shape, and of log-sum-exp.

use numpy::PyUntypedArrayMethods;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::arguments::{self, AxesArgument, AxisArgument};
use super::array::{self, Companion, Output, Scores, with_dtype};
use super::hold::Hold;
use super::threads::run;
use crate::elementwise::map_elements;
use crate::error::Error;
use crate::float::Float;
use crate::kernel::RowKernel;
use crate::kernel::elementwise::{LogSigmoid, Sigmoid, Softplus, VectorFunction};
use crate::kernel::piece::PieceKernel;
use crate::kernel::softmax::{LogSoftmax, Softmax};
use crate::kernel::vjp::{LogSoftmaxVjp, SoftmaxVjp};
use crate::lanes::{View, Where};
use crate::softmax::{logsumexp_over, logsumexp_rows, map_classes, map_over, vjp};

type Object<'py> = Bound<'py, PyAny>;

#[doc = include_str!("docs/softmax.rst")]
#[pyfunction]
#[pyo3(signature = (x, axis = AxesArgument::LAST, *, r#where = None, out = None))]
#[pyo3(text_signature = "(x, axis=-1, *, where=None, out=None)")]
pub(super) fn softmax<'py>(
    x: &Object<'py>,
    axis: AxesArgument,
    r#where: Option<&Object<'py>>,
    out: Option<&Object<'py>>,
) -> PyResult<Object<'py>> {
    rows(x, &axis, r#where, out, &Softmax, 0.0)
}

#[doc = include_str!("docs/log_softmax.rst")]
#[pyfunction]
#[pyo3(signature = (x, axis = AxesArgument::LAST, *, r#where = None, out = None))]
#[pyo3(text_signature = "(x, axis=-1, *, where=None, out=None)")]
pub(super) fn log_softmax<'py>(
    x: &Object<'py>,
    axis: AxesArgument,
    r#where: Option<&Object<'py>>,
    out: Option<&Object<'py>>,
) -> PyResult<Object<'py>> {
    rows(x, &axis, r#where, out, &LogSoftmax, f64::NEG_INFINITY)
}

#[doc = include_str!("docs/logsumexp.rst")]
#[pyfunction]
#[pyo3(signature = (x, axis = AxesArgument::LAST, *, r#where = None, keepdims = false))]
#[pyo3(text_signature = "(x, axis=-1, *, where=None, keepdims=False)")]
pub(super) fn logsumexp<'py>(
    x: &Object<'py>,
    axis: AxesArgument,
    r#where: Option<&Object<'py>>,
    #[pyo3(from_py_with = arguments::keepdims)] keepdims: bool,
) -> PyResult<Object<'py>> {
    let py = x.py();
    let (x, mask) = (array::given(x, "x")?, array::given_mask(r#where)?);
    with_dtype!(Scores::new(&x, "x")?, x => {
        let mask = mask.map(array::mask).transpose()?;
        let hold = Hold::new(py, x.len());
        let view = hold.elements_of(&x)?;
        let axes = axis.of(py, view.dimensions())?;
        let mask = mask.as_ref().map(|mask| hold.view(mask)).transpose()?;
        let mask = mask.as_ref().map(|mask| left_out(mask, &view, &axes, 0.0)).transpose()?;
        let values = run(py, view.len(), || match (axes.as_slice(), &mask) {
            (&[axis], None) => logsumexp_rows(&view, axis),
            (axes, mask) => logsumexp_over(&view, axes, mask.as_ref()),
        })?;
        let mut shape = view.shape_without_axes(&axes);
        if keepdims {
            let mut axes = axes.to_vec();
            axes.sort_unstable();
            for axis in axes {
                shape.insert(axis, 1);
            }
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

/// The elements that a mask leaves out: they read as if they were absent.
fn left_out<'a, T: Float>(
    mask: &View<'a, u8>,
    x: &View<'_, T>,
    axes: &[usize],
    written_as: f64,
) -> PyResult<Where<'a, T>> {
    let kept = mask.broadcast(x.shape()).ok_or_else(|| {
        let (given, expected) = (mask.shape().to_vec(), x.shape().to_vec());
        if given != x.shape_without_axes(axes) {
            return PyErr::from(Error::Broadcast {
                name: "where",
                given,
                expected,
                like: "x",
            });
        }
        // Which axes are missing is known here alone.
        let index = |axis| if axes.contains(&axis) { "None" } else { ":" };
        let indices: Vec<_> = (0..x.dimensions()).map(index).collect();
        PyValueError::new_err(format!(
            "where has shape {given:?}, which does not broadcast to {expected:?}, the shape of x; if \
             it holds a bool for each row, write where[{}]",
            indices.join(", ")
        ))
    })?;
    Ok(Where {
        kept,
        read_as: -T::INFINITY,
        written_as: T::from_f64(written_as),
    })
}

fn rows<'py>(
    x: &Object<'py>,
    axis: &AxesArgument,
    mask: Option<&Object<'py>>,
    out: Option<&Object<'py>>,
    kernel: &(impl PieceKernel<f32, Total = ()> + PieceKernel<f64, Total = ()>),
    written_as: f64,
) -> PyResult<Object<'py>> {
    let py = x.py();
    let (x, mask) = (array::given(x, "x")?, array::given_mask(mask)?);
    with_dtype!(Scores::new(&x, "x")?, x => {
        axis.of(py, x.ndim())?;
        let mask = mask.map(array::mask).transpose()?;
        let output = Output::new(out, &x)?;
        let x = output.separate(x)?;
        let mask = mask.map(|mask| output.apart(mask)).transpose()?;
        let hold = Hold::new(py, x.len());
        let (view, target) = (hold.elements_of(&x)?, hold.elements_mut(&output)?);
        let axes = axis.of(py, view.dimensions())?;
        let mask = mask.as_ref().map(|mask| hold.view(mask)).transpose()?;
        let mask = mask.as_ref().map(|mask| left_out(mask, &view, &axes, written_as)).transpose()?;
        run(py, view.len(), || match (axes.as_slice(), &mask) {
            (&[axis], None) => map_classes(&view, axis, &target, kernel),
            (axes, mask) => map_over(&view, axes, mask.as_ref(), &target, kernel),
        })?;
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
    let (values, cotangent) = (
        array::given(values, name)?,
        array::given(cotangent, "cotangent")?,
    );
    with_dtype!(Scores::new(&values, name)?, values => {
        axis.of(py, values.ndim())?;
        let cotangent = Companion::new(&cotangent, "cotangent")?;
        let output = Output::new(out, &values)?;
        let (values, cotangent) = (output.separate(values)?, cotangent.separate(std::slice::from_ref(&output))?);
        let hold = Hold::new(py, values.len());
        let inputs = [hold.elements_of(&values)?, cotangent.view(&hold)?];
        let target = hold.elements_mut(&output)?;
        let axis = axis.of(py, inputs[0].dimensions())?;
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
        let hold = Hold::new(py, x.len());
        let (view, target) = (hold.elements_of(&x)?, hold.elements_mut(&output)?);
        run(py, view.len(), || map_elements(&view, &target, function))?;
        output.finish()
    })
}
