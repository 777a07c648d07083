//! Arrays of other libraries as NumPy's own, without a copy where the library allows it.
//!
//! `numpy.asarray` does it for all that have `__array__`, a buffer or are sequences. Here belongs
//! what it does not do: arrays that are offered by DLPack alone, and torch's `bfloat16`, for which
//! torch has no NumPy type.

use pyo3::exceptions::{PyImportError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyTuple};

/// Any array-like as an ndarray, of whatever dtype.
pub(super) fn asarray<'py>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static ASARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static FROM_DLPACK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = object.py();
    if is_bfloat16_tensor(object)? {
        return bfloat16_tensor(object, name);
    }
    // The type is asked and not the object, as Python does for such methods.
    let kind = object.get_type();
    if kind.hasattr("__dlpack__")? && !kind.hasattr("__array__")? {
        let array = FROM_DLPACK.import(py, "numpy", "from_dlpack")?;
        return array.call1((object,)).map_err(|error| {
            let wrong = PyTypeError::new_err(format!(
                "{name} is of type {}, which NumPy cannot take by DLPack: move it to the CPU, or \
                 convert it to a NumPy array",
                kind.name()
                    .map_or_else(|_| "?".into(), |kind| kind.to_string())
            ));
            wrong.set_cause(py, Some(error));
            wrong
        });
    }
    let array = ASARRAY.import(py, "numpy", "asarray")?.call1((object,));
    array.map_err(|error| named(object, name, error))
}

/// What NumPy says of a list that it makes no array of, with the name of the argument.
fn named(object: &Bound<'_, PyAny>, name: &str, error: PyErr) -> PyErr {
    let py = object.py();
    let is_sequence = object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>();
    if !is_sequence || !error.get_type(py).is(py.get_type::<PyValueError>()) {
        return error;
    }
    let said = error.value(py).to_string();
    let said = said.trim_end_matches('.');
    let named = PyValueError::new_err(format!(
        "{name} is no array: {said}; give rows of equal length"
    ));
    named.set_cause(py, Some(error));
    named
}

/// Whether it is a tensor of torch's `bfloat16`. torch need not be there to tell.
fn is_bfloat16_tensor(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    // A type may say anything of its module.
    let is_torch = |kind: &Bound<'_, PyAny>| {
        let module = kind.getattr("__module__");
        let name = module.and_then(|module| module.extract::<String>());
        name.is_ok_and(|name| name.split('.').next() == Some("torch"))
    };
    if !object.get_type().mro().iter().any(|kind| is_torch(&kind)) {
        return Ok(false);
    }
    match object.getattr_opt("dtype")? {
        Some(dtype) => Ok(dtype.str()?.eq("torch.bfloat16")),
        None => Ok(false),
    }
}

/// The same memory as an array of the type of `ml_dtypes`.
fn bfloat16_tensor<'py>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let ml_dtypes = py.import("ml_dtypes").map_err(|error| {
        let missing = PyImportError::new_err(format!(
            "{name} is a tensor of torch.bfloat16, for which NumPy needs the package ml_dtypes; \
             install it, or convert the tensor with {name}.float()"
        ));
        missing.set_cause(py, Some(error));
        missing
    })?;
    let torch = py.import("torch")?;
    // As torch does for the dtypes that it converts itself.
    if object.getattr("requires_grad")?.is_truthy()? {
        return Err(PyRuntimeError::new_err(format!(
            "{name} requires a gradient, which logitkit would not record; pass {name}.detach()"
        )));
    }
    // What torch says about tensors that are elsewhere is right here, too.
    let bits = object.call_method1("view", (torch.getattr("int16")?,))?;
    let bits = bits.call_method0("numpy")?;
    bits.call_method1("view", (ml_dtypes.getattr("bfloat16")?,))
}
