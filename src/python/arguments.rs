//! Arguments that are no arrays: axes, class indices to ignore, numbers of classes.

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyInt, PyList, PyTuple, PyType};

use super::errors::axis_error;
use crate::error::Error;
use crate::kernel::hessian::Hessian;
use crate::lanes::Dims;
use crate::loss::Reduction;

/// An integer argument, whatever its size: those beyond `i128` become its limits.
fn integer(object: &Bound<'_, PyAny>, name: &str, expected: &str) -> PyResult<i128> {
    if let Ok(index) = object.cast_exact::<PyInt>()
        && let Ok(value) = index.extract::<i64>()
    {
        return Ok(value.into());
    }
    let index = index_of(object)?.ok_or_else(|| wrong_type(object, name, expected))?;
    match index.extract::<i128>() {
        Ok(value) => Ok(value),
        Err(_) if index.lt(0)? => Ok(i128::MIN),
        Err(_) => Ok(i128::MAX),
    }
}

/// An object as an int, if it is an integer, which a bool is not. What its own code raises comes
/// through, but that it is of the wrong type.
pub(super) fn index_of<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    static NUMPY_BOOL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = object.py();
    // Before NumPy 2.3 its bools count as integers, with a warning.
    let numpy_bool = NUMPY_BOOL.import(py, "numpy", "bool_")?;
    if object.is_instance_of::<PyBool>() || object.is_instance(numpy_bool)? {
        return Ok(None);
    }
    match py.import("operator")?.call_method1("index", (object,)) {
        Ok(index) => Ok(Some(index)),
        Err(error) if error.is_instance_of::<PyTypeError>(py) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A real number, named in the error if it is none.
fn number(object: &Bound<'_, PyAny>, name: &str) -> PyResult<f64> {
    object.extract::<f64>().map_err(|error| {
        if error.is_instance_of::<PyOverflowError>(object.py()) {
            return PyValueError::new_err(format!(
                "{name} is a number beyond those of float64, expected a smaller one"
            ));
        }
        if !error.is_instance_of::<PyTypeError>(object.py()) {
            return error;
        }
        wrong_type(object, name, "a number")
    })
}

/// The `label_smoothing` argument.
pub(super) fn label_smoothing(object: &Bound<'_, PyAny>) -> PyResult<f64> {
    number(object, "label_smoothing")
}

/// The `z_loss` argument.
pub(super) fn z_loss(object: &Bound<'_, PyAny>) -> PyResult<f64> {
    number(object, "z_loss")
}

/// The `eps` argument.
pub(super) fn eps(object: &Bound<'_, PyAny>) -> PyResult<f64> {
    number(object, "eps")
}

/// The `keepdims` argument.
pub(super) fn keepdims(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    object.extract().map_err(|error: PyErr| {
        if !error.is_instance_of::<PyTypeError>(object.py()) {
            return error;
        }
        wrong_type(object, "keepdims", "True or False")
    })
}

/// The TypeError for an argument of another type.
fn wrong_type(object: &Bound<'_, PyAny>, name: &str, expected: &str) -> PyErr {
    let given = object
        .get_type()
        .name()
        .map_or_else(|_| "?".into(), |name| name.to_string());
    PyTypeError::new_err(format!("{name} is of type {given}, expected {expected}"))
}

/// The `axis` argument as given, before the array is known.
#[derive(Clone, Copy)]
pub(super) struct AxisArgument(i128);

impl AxisArgument {
    pub(super) const LAST: Self = Self(-1);

    /// The axis of an array, counted from the front.
    pub(super) fn of(self, py: Python<'_>, dimensions: usize) -> PyResult<usize> {
        let axis = if self.0 < 0 {
            self.0 + dimensions as i128
        } else {
            self.0
        };
        usize::try_from(axis)
            .ok()
            .filter(|&axis| axis < dimensions)
            .ok_or_else(|| axis_error(py, self.0, dimensions))
    }
}

/// The `axis` argument of functions that also take several axes, or None for all.
pub(super) enum AxesArgument {
    One(AxisArgument),
    Several(Vec<AxisArgument>),
    All,
}

impl AxesArgument {
    pub(super) const LAST: Self = Self::One(AxisArgument::LAST);

    /// The axes of an array, counted from the front.
    pub(super) fn of(&self, py: Python<'_>, dimensions: usize) -> PyResult<Dims<usize>> {
        match self {
            Self::One(axis) => Ok(Dims::from_slice(&[axis.of(py, dimensions)?])),
            Self::All => Ok((0..dimensions).collect()),
            Self::Several(given) => {
                let mut axes = Dims::new();
                for axis in given {
                    let found = axis.of(py, dimensions)?;
                    if axes.contains(&found) {
                        return Err(PyValueError::new_err(format!(
                            "axis names axis {found} twice; give each axis once"
                        )));
                    }
                    axes.push(found);
                }
                Ok(axes)
            }
        }
    }
}

impl FromPyObject<'_, '_> for AxesArgument {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        const EXPECTED: &str = "an int, a tuple of ints or None";
        if object.is_none() {
            return Ok(Self::All);
        }
        if let Ok(axes) = object.cast::<PyTuple>() {
            let axis = |axis: Borrowed<'_, '_, PyAny>| {
                integer(&axis, "axis", "a tuple of ints").map(AxisArgument)
            };
            return axes
                .iter_borrowed()
                .map(axis)
                .collect::<PyResult<_>>()
                .map(Self::Several);
        }
        integer(&object, "axis", EXPECTED).map(|axis| Self::One(AxisArgument(axis)))
    }
}

impl FromPyObject<'_, '_> for AxisArgument {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        integer(&object, "axis", "an int").map(Self)
    }
}

/// The `k` argument.
pub(super) struct KArgument(pub(super) i128);

impl FromPyObject<'_, '_> for KArgument {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        integer(&object, "k", "an int from 0 to the number of classes").map(Self)
    }
}

/// The `ignore_index` argument.
#[derive(Clone, Copy)]
pub(super) struct IgnoreIndex(pub(super) i128);

impl FromPyObject<'_, '_> for IgnoreIndex {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        integer(&object, "ignore_index", "an int or None").map(Self)
    }
}

/// One of three names.
fn named<N: std::str::FromStr<Err = Error>>(
    object: &Bound<'_, PyAny>,
    error: impl FnOnce(String) -> Error,
) -> PyResult<N> {
    let Ok(name) = object.extract::<std::borrow::Cow<'_, str>>() else {
        // Whatever was given, the three names are the answer.
        let shown = object
            .repr()
            .map_or_else(|_| "?".into(), |shown| shown.to_string());
        let error = error(shown);
        return Err(if object.is_instance_of::<pyo3::types::PyString>() {
            PyValueError::new_err(error.to_string())
        } else {
            PyTypeError::new_err(error.to_string())
        });
    };
    Ok(name.parse()?)
}

impl FromPyObject<'_, '_> for Reduction {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        named(&object, Error::Reduction)
    }
}

impl FromPyObject<'_, '_> for Hessian {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        named(&object, Error::Hessian)
    }
}

/// The `out` argument of functions with two results: each array, if it was given.
pub(super) fn pair<'py>(
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<[Option<Bound<'py, PyAny>>; 2]> {
    let Some(out) = out else {
        return Ok([None, None]);
    };
    if !out.is_instance_of::<PyTuple>() && !out.is_instance_of::<PyList>() {
        return Err(PyTypeError::new_err(format!(
            "out is of type {}, expected a pair of arrays, for the gradient and the Hessian; either \
             may be None",
            out.get_type().name()?
        )));
    }
    let items: Vec<_> = out.try_iter()?.collect::<PyResult<_>>()?;
    let given = items.len();
    let pair: Result<[_; 2], _> = items.try_into();
    let pair = pair.map_err(|_| {
        PyValueError::new_err(format!(
            "out holds {given} arrays, expected a pair, for the gradient and the Hessian; either may \
             be None"
        ))
    })?;
    Ok(pair.map(|array| (!array.is_none()).then_some(array)))
}
