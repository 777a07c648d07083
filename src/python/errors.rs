//! The one conversion of errors: which exception each becomes. The messages are `Error`'s.

use pyo3::exceptions::{PyIndexError, PyMemoryError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::error::Error;

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        match error {
            Error::AxisOutOfBounds { axis, dimensions } => {
                Python::attach(|py| axis_error(py, axis as i128, dimensions))
            }
            Error::ClassIndex { .. } => PyIndexError::new_err(error.to_string()),
            Error::Memory { .. } => PyMemoryError::new_err(error.to_string()),
            Error::SimdLevel(_) => PyRuntimeError::new_err(error.to_string()),
            _ => PyValueError::new_err(error.to_string()),
        }
    }
}

/// NumPy's own exception, with the axis as it was given.
pub(super) fn axis_error(py: Python<'_>, axis: i128, dimensions: usize) -> PyErr {
    static AXIS_ERROR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let made = AXIS_ERROR
        .import(py, "numpy.exceptions", "AxisError")
        .and_then(|class| class.call1((axis, dimensions)));
    match made {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}
