//! Bindings of what is measured of rows, for `logitkit`'s own Python alone.
//!
//! Their callers have checked what they are given; what is checked here keeps a mistake of theirs from
//! reading out of bounds.

use numpy::{PyArrayDyn, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::array::{self, Output, Scores, with_dtype};
use super::hold::Hold;
use super::threads::run;
use crate::exact::group_sums;
use crate::kernel::softmax::{LogSoftmax, Softmax};
use crate::kernel::summary::Summary;
use crate::lanes::View;
use crate::summary::{Numbers, add_summaries, map_given, summaries_of, tempered_of};

type Object<'py> = Bound<'py, PyAny>;

/// The summary of each row of scores.
#[pyfunction]
pub(super) fn row_summaries<'py>(
    scores: &Object<'py>,
    targets: &Object<'py>,
    ignored: Option<i64>,
    from_probs: bool,
) -> PyResult<Object<'py>> {
    let py = scores.py();
    let targets = array::converted::<i64>(targets, "targets")?;
    with_dtype!(Scores::new(scores, "scores")?, scores => {
        let hold = Hold::new(py, scores.len());
        let (view, targets) = (hold.elements_of(&scores)?, hold.view(&targets)?);
        check_rows(&view, &targets)?;
        let numbers = run(py, view.len(), || summaries_of(&view, &targets, ignored, from_probs))?;
        let rows = numbers.len() / Summary::LEN;
        Ok(array::from_vec(py, numbers, &[rows, Summary::LEN])?.into_any())
    })
}

fn check_rows<T>(scores: &View<'_, T>, targets: &View<'_, i64>) -> PyResult<()> {
    if scores.dimensions() == 2 && targets.shape() == &scores.shape()[..1] {
        return Ok(());
    }
    Err(PyValueError::new_err("rows and their targets do not match"))
}

/// The summaries of rows from those of two parts of their classes.
#[pyfunction]
pub(super) fn merged_summaries<'py>(
    one: &Object<'py>,
    other: &Object<'py>,
) -> PyResult<Object<'py>> {
    let py = one.py();
    let (mut one, other) = (numbers_of(one)?, numbers_of(other)?);
    if one.len() != other.len() {
        return Err(PyValueError::new_err("summaries are of different rows"));
    }
    add_summaries(&mut one, &other)?;
    let shape = [one.len(), Summary::LEN];
    Ok(array::from_vec(py, one.into_flattened(), &shape)?.into_any())
}

fn numbers_of(object: &Object<'_>) -> PyResult<Vec<Numbers>> {
    let array = array::converted::<f64>(object, "summaries")?;
    let elements = array::elements(&array)?;
    let (numbers, rest) = elements.as_chunks();
    if !rest.is_empty() {
        return Err(PyValueError::new_err("summaries are of another length"));
    }
    Ok(numbers.to_vec())
}

/// The softmax, or its logarithm, of some classes of rows with these summaries.
#[pyfunction]
pub(super) fn softmax_given<'py>(
    x: &Object<'py>,
    summaries: &Object<'py>,
    log: bool,
) -> PyResult<Object<'py>> {
    let py = x.py();
    let numbers = numbers_of(summaries)?;
    with_dtype!(Scores::new(x, "x")?, x => {
        let output = Output::new(None, &x)?;
        let hold = Hold::new(py, x.len());
        let (view, target) = (hold.elements_of(&x)?, hold.elements_mut(&output)?);
        if view.dimensions() != 2 || view.shape()[0] != numbers.len() {
            return Err(PyValueError::new_err("summaries are of different rows"));
        }
        run(py, view.len(), || if log {
            map_given(&view, &numbers, &target, &LogSoftmax)
        } else {
            map_given(&view, &numbers, &target, &Softmax)
        })?;
        output.finish()
    })
}

/// Of each row that is not ignored, divided by a temperature: its loss, the first two derivatives of
/// that by the temperature's inverse, and how far its target is below the top class.
#[pyfunction]
pub(super) fn tempered<'py>(
    logits: &Object<'py>,
    targets: &Object<'py>,
    ignored: Option<i64>,
    inverse: f64,
) -> PyResult<Object<'py>> {
    let py = logits.py();
    let targets = array::converted::<i64>(targets, "targets")?;
    with_dtype!(Scores::new(logits, "logits")?, logits => {
        let hold = Hold::new(py, logits.len());
        let (view, targets) = (hold.elements_of(&logits)?, hold.view(&targets)?);
        check_rows(&view, &targets)?;
        let numbers = run(py, view.len(), || tempered_of(&view, &targets, ignored, inverse))?;
        let rows = numbers.len() / 4;
        Ok(array::from_vec(py, numbers, &[rows, 4])?.into_any())
    })
}

/// The exact sums of values by groups from 0 to `count`: the groups that have some, the sums in two's
/// complement one behind the other, and the sums of what is not finite.
#[pyfunction]
pub(super) fn exact_sums<'py>(
    values: &Object<'py>,
    groups: &Object<'py>,
    count: usize,
) -> PyResult<(Object<'py>, Bound<'py, PyBytes>, Object<'py>)> {
    let py = values.py();
    let values: Bound<'_, PyArrayDyn<f64>> = array::converted(values, "values")?;
    let groups: Bound<'_, PyArrayDyn<i64>> = array::converted(groups, "groups")?;
    let hold = Hold::new(py, values.len());
    let (values, groups) = (hold.view(&values)?, hold.view(&groups)?);
    if values.shape() != groups.shape() {
        return Err(PyValueError::new_err("values and groups do not match"));
    }
    let (values, groups) = (values.elements(), groups.elements());
    let sums = run(py, values.count(), || {
        let pairs = (0..values.count()).map(|index| (values.value(index), groups.value(index)));
        group_sums(pairs, count)
    })?;
    let shape = [sums.groups.len()];
    Ok((
        array::from_vec(py, sums.groups, &shape)?.into_any(),
        PyBytes::new(py, &sums.bytes),
        array::from_vec(py, sums.special, &shape)?.into_any(),
    ))
}
