//! What is said of arrays that are refused for what they hold, and what to write instead.
//!
//! Arguments are converted before they are looked at, so what was given may be no ndarray: the advice
//! works for lists and for tables, too.

use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

/// The TypeError for an array of a dtype that is not accepted.
pub(super) fn wrong_dtype(array: &Bound<'_, PyUntypedArray>, name: &str) -> PyResult<PyErr> {
    let dtype = array.dtype();
    let held = type_of_first(array)?;
    if let (Some(held), 0) = (&held, array.ndim()) {
        return Ok(PyTypeError::new_err(format!(
            "{name} is an object of type {}, expected an array of numbers; convert it to a NumPy \
             array first",
            held.name()?
        )));
    }
    let remedy = match dtype.kind() {
        b'c' => format!("take np.real({name}) if the imaginary part means nothing"),
        b'f' => format!("convert it with np.asarray({name}, np.float64)"),
        b'U' | b'S' | b'T' => of_text(name),
        b'O' => of_objects(name, held.as_ref())?,
        _ => format!("convert it, for instance with np.asarray({name}, np.float32)"),
    };
    Ok(PyTypeError::new_err(format!(
        "{name} has dtype {dtype}; logitkit takes float16, bfloat16, float32 and float64, and \
         integers and bools, which become float64: {remedy}"
    )))
}

fn of_text(name: &str) -> String {
    if name == "targets" {
        "make class indices of labels with np.unique(targets, return_inverse=True)[1]".into()
    } else {
        format!("if these are numbers as text, convert it with np.asarray({name}, np.float64)")
    }
}

fn of_objects(name: &str, held: Option<&Bound<'_, PyType>>) -> PyResult<String> {
    if let Some(held) = held {
        if held.is_subclass_of::<PyString>()? {
            return Ok(of_text(name));
        }
        if held.hasattr("__len__")? {
            let kind = held.name()?;
            return Ok(format!(
                "it holds objects of type {kind}: make one array of them with np.stack({name})"
            ));
        }
    }
    Ok(if name == "targets" {
        "convert whole numbers with np.asarray(targets, int); missing ones need a number before, for \
         instance targets.fillna(-100), and then ignore_index=-100"
            .into()
    } else {
        format!(
            "convert it with np.asarray({name}, np.float32), or where pandas has NA with \
             {name}.to_numpy(np.float32, na_value=np.nan)"
        )
    })
}

/// The type of the first of the objects that an array holds.
fn type_of_first<'py>(array: &Bound<'py, PyUntypedArray>) -> PyResult<Option<Bound<'py, PyType>>> {
    if array.dtype().kind() != b'O' || array.is_empty() {
        return Ok(None);
    }
    Ok(Some(array.call_method1("item", (0,))?.get_type()))
}

/// The TypeError for a mask that is not of bools.
pub(super) fn wrong_mask(array: &Bound<'_, PyUntypedArray>) -> PyErr {
    let dtype = array.dtype();
    let remedy = match dtype.kind() {
        b'O' => {
            "decide what None, NaN and strings in it mean (bool(None) is False, but NaN and every \
             string except the empty one are True), replace them, and then write \
             np.asarray(where, bool)"
        }
        b'f' | b'i' | b'u' | b'V' => {
            "write np.asarray(where, bool) if it holds ones and zeros, or np.asarray(where) == 0 if \
             it is an additive mask, in which 0 counts and -inf does not"
        }
        _ => "give bools, for instance those of a comparison",
    };
    PyTypeError::new_err(format!(
        "where has dtype {dtype}, expected bool: True for the elements that count; {remedy}"
    ))
}
