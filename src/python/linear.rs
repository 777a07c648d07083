//! Binding of the fully connected layer: a matrix product, which is NumPy's, in `float64`.

use numpy::{PyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyWeakrefReference};

use super::array::{self, Companion, Scalar, Scores, quietly, with_dtype};
use super::errors::axis_error;
use super::threads::check_environment;
use crate::error::Error;
use crate::lanes::check_shape;
use crate::linear::check_weight;

type Object<'py> = Bound<'py, PyAny>;

#[doc = include_str!("docs/linear.rst")]
#[pyfunction]
#[pyo3(signature = (x, weight, bias = None))]
pub(super) fn linear<'py>(
    x: &Object<'py>,
    weight: &Object<'py>,
    bias: Option<&Object<'py>>,
) -> PyResult<Object<'py>> {
    // As every function does: a wrong variable of the environment shows at the first call.
    crate::simd_level()?;
    check_environment()?;
    let (x, weight) = (array::given(x, "x")?, array::given(weight, "weight")?);
    let bias = array::given_if_any(bias, "bias")?;
    with_dtype!(Scores::new(&x, "x")?, x => {
        let weight = Companion::new(&weight, "weight")?;
        let bias = bias.map(|bias| Companion::new(&bias, "bias")).transpose()?;
        product(&x, &weight, bias.as_ref())
    })
}

fn product<'py, T: Scalar>(
    x: &Bound<'py, PyArrayDyn<T>>,
    weight: &Companion<'py, T>,
    bias: Option<&Companion<'py, T>>,
) -> PyResult<Object<'py>> {
    let py = x.py();
    let (weight, bias) = (weight.as_untyped(), bias.map(Companion::as_untyped));
    let &[outputs, features] = weight.shape() else {
        return Err(Error::Dimensions {
            name: "weight",
            given: weight.shape().to_vec(),
            expected: "two dimensions, (outputs, features)",
        }
        .into());
    };
    let Some((_, leading)) = x.shape().split_last() else {
        return Err(axis_error(py, -1, 0));
    };
    let mut expected = leading.to_vec();
    expected.push(features);
    check_weight(x.shape(), weight.shape())?;
    check_shape("x", x.shape(), &expected, "weight's features")?;
    if let Some(bias) = bias {
        check_shape("bias", bias.shape(), &[outputs], "weight's outputs")?;
    }
    let numpy = py.import("numpy")?;
    // One product of two matrices: NumPy would multiply the matrices of a stack one by one.
    let rows: usize = leading.iter().product();
    let flat = x.call_method1("reshape", ((rows, features),))?;
    // Sums are kept wider than the data: those of float32 in float64.
    let options = PyDict::new(py);
    options.set_item("dtype", "float64")?;
    // NumPy lets other threads run meanwhile.
    let _references = [
        PyWeakrefReference::new(x)?,
        PyWeakrefReference::new(weight)?,
        PyWeakrefReference::new(bias.unwrap_or(weight))?,
    ];
    let factors = (flat, weight.getattr("T")?);
    let result = quietly(py, || {
        let result = numpy.call_method("matmul", factors, Some(&options))?;
        if let Some(bias) = bias {
            let options = PyDict::new(py);
            options.set_item("out", &result)?;
            numpy.call_method("add", (&result, bias), Some(&options))?;
        }
        let options = PyDict::new(py);
        options.set_item("copy", false)?;
        result.call_method("astype", (x.dtype(),), Some(&options))
    })?;
    expected.pop();
    expected.push(outputs);
    result.call_method1("reshape", (expected,))
}
