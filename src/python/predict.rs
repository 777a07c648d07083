//! Bindings of predictions: the best classes, accuracy, perplexity.

use numpy::{PyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;

use super::arguments::{AxisArgument, IgnoreIndex, KArgument};
use super::array::{self, Scalar, Scores, with_dtype};
use super::hold::Hold;
use super::targets::TargetsArray;
use super::threads::run;
use crate::predict::{accuracy_of, perplexity_of, ranked_rows};

type Object<'py> = Bound<'py, PyAny>;

#[doc = include_str!("docs/top_k.rst")]
#[pyfunction]
#[pyo3(signature = (x, k, axis = AxisArgument::LAST))]
#[pyo3(text_signature = "(x, k, axis=-1)")]
pub(super) fn top_k<'py>(
    x: &Object<'py>,
    k: KArgument,
    axis: AxisArgument,
) -> PyResult<(Object<'py>, Object<'py>)> {
    with_dtype!(Scores::new(x, "x")?, x => best(&x, k, axis))
}

fn best<'py, T: Scalar>(
    x: &Bound<'py, PyArrayDyn<T>>,
    k: KArgument,
    axis: AxisArgument,
) -> PyResult<(Object<'py>, Object<'py>)> {
    let py = x.py();
    let hold = Hold::new(py, x.len());
    let view = hold.elements_of(x)?;
    let (axis, dimensions) = (axis.of(py, view.dimensions())?, view.dimensions());
    let ranked = run(py, view.len(), || ranked_rows(&view, k.0, axis))?;
    let mut shape = view.shape_without(axis);
    shape.push(usize::try_from(k.0).unwrap_or_default());
    let values = ranked.values.into_iter().map(T::from_compute).collect();
    let values = array::from_vec::<T>(py, values, &shape)?;
    let indices = array::from_vec(py, ranked.indices, &shape)?;
    Ok((
        with_last_axis_at(values.into_any(), axis, dimensions)?,
        with_last_axis_at(indices.into_any(), axis, dimensions)?,
    ))
}

/// The rows came out one behind the other: their axis goes back to its place.
fn with_last_axis_at(array: Object<'_>, axis: usize, dimensions: usize) -> PyResult<Object<'_>> {
    if axis + 1 == dimensions {
        return Ok(array);
    }
    let numpy = array.py().import("numpy")?;
    let moved = numpy.call_method1("moveaxis", (array, -1, axis))?;
    numpy.call_method1("ascontiguousarray", (moved,))
}

#[doc = include_str!("docs/accuracy.rst")]
#[pyfunction]
#[pyo3(signature = (
    scores, targets, *, k = KArgument(1), axis = AxisArgument::LAST, ignore_index = None
))]
#[pyo3(text_signature = "(scores, targets, *, k=1, axis=-1, ignore_index=None)")]
pub(super) fn accuracy<'py>(
    scores: &Object<'py>,
    targets: &Object<'py>,
    k: KArgument,
    axis: AxisArgument,
    ignore_index: Option<IgnoreIndex>,
) -> PyResult<Object<'py>> {
    let py = scores.py();
    let (scores, targets) = (
        array::given(scores, "scores")?,
        array::given(targets, "targets")?,
    );
    with_dtype!(Scores::new(&scores, "scores")?, scores => {
        let axis = axis.of(py, scores.ndim())?;
        let (targets, ignored) = TargetsArray::new(&targets, &scores, axis, ignore_index, &[])?;
        let hold = Hold::new(py, scores.len());
        let (view, targets) = (hold.elements_of(&scores)?, targets.view(&hold)?);
        let share = run(py, view.len(), || accuracy_of(&view, &targets, k.0, axis, ignored))?;
        array::scalar(py, share)
    })
}

#[doc = include_str!("docs/perplexity.rst")]
#[pyfunction]
#[pyo3(signature = (logits, targets, *, axis = AxisArgument::LAST, ignore_index = None))]
#[pyo3(text_signature = "(logits, targets, *, axis=-1, ignore_index=None)")]
pub(super) fn perplexity<'py>(
    logits: &Object<'py>,
    targets: &Object<'py>,
    axis: AxisArgument,
    ignore_index: Option<IgnoreIndex>,
) -> PyResult<Object<'py>> {
    let py = logits.py();
    let (logits, targets) = (
        array::given(logits, "logits")?,
        array::given(targets, "targets")?,
    );
    with_dtype!(Scores::new(&logits, "logits")?, logits => {
        let axis = axis.of(py, logits.ndim())?;
        let (targets, ignored) = TargetsArray::new(&targets, &logits, axis, ignore_index, &[])?;
        let hold = Hold::new(py, logits.len());
        let (view, targets) = (hold.elements_of(&logits)?, targets.view(&hold)?);
        let value = run(py, view.len(), || perplexity_of(&view, &targets, axis, ignored))?;
        array::scalar(py, value)
    })
}
