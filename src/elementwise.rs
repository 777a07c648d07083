//! sigmoid, log_sigmoid and softplus: functions of one logit.

use ndarray::{Array, ArrayView, ArrayViewMut, Dimension};

use crate::error::Result;
use crate::float::Float;
use crate::kernel::elementwise::{Elementwise, LogSigmoid, Sigmoid, Softplus, VectorFunction};
use crate::lanes::{View, ViewMut, write_blocks};

/// `1 / (1 + e^-x)`.
pub fn sigmoid<T: Float, D: Dimension>(logits: ArrayView<'_, T, D>) -> Result<Array<T, D>> {
    mapped(logits, Sigmoid)
}

/// [`sigmoid`] written to an array of the same shape.
pub fn sigmoid_into<T: Float, D: Dimension>(
    logits: ArrayView<'_, T, D>,
    out: ArrayViewMut<'_, T, D>,
) -> Result<()> {
    map_elements(&logits.into(), &out.into(), Sigmoid)
}

/// [`sigmoid`] in place of the logits.
pub fn sigmoid_in_place<T: Float, D: Dimension>(logits: ArrayViewMut<'_, T, D>) -> Result<()> {
    map_in_place(logits, Sigmoid)
}

/// `-log(1 + e^-x)`.
pub fn log_sigmoid<T: Float, D: Dimension>(logits: ArrayView<'_, T, D>) -> Result<Array<T, D>> {
    mapped(logits, LogSigmoid)
}

/// [`log_sigmoid`] written to an array of the same shape.
pub fn log_sigmoid_into<T: Float, D: Dimension>(
    logits: ArrayView<'_, T, D>,
    out: ArrayViewMut<'_, T, D>,
) -> Result<()> {
    map_elements(&logits.into(), &out.into(), LogSigmoid)
}

/// [`log_sigmoid`] in place of the logits.
pub fn log_sigmoid_in_place<T: Float, D: Dimension>(logits: ArrayViewMut<'_, T, D>) -> Result<()> {
    map_in_place(logits, LogSigmoid)
}

/// `log(1 + e^x)`.
pub fn softplus<T: Float, D: Dimension>(logits: ArrayView<'_, T, D>) -> Result<Array<T, D>> {
    mapped(logits, Softplus)
}

/// [`softplus`] written to an array of the same shape.
pub fn softplus_into<T: Float, D: Dimension>(
    logits: ArrayView<'_, T, D>,
    out: ArrayViewMut<'_, T, D>,
) -> Result<()> {
    map_elements(&logits.into(), &out.into(), Softplus)
}

/// [`softplus`] in place of the logits.
pub fn softplus_in_place<T: Float, D: Dimension>(logits: ArrayViewMut<'_, T, D>) -> Result<()> {
    map_in_place(logits, Softplus)
}

fn mapped<T: Float, D: Dimension>(
    logits: ArrayView<'_, T, D>,
    function: impl VectorFunction,
) -> Result<Array<T, D>> {
    let mut out = Array::from_elem(logits.raw_dim(), T::ZERO);
    map_elements(&logits.into(), &out.view_mut().into(), function)?;
    Ok(out)
}

fn map_in_place<T: Float, D: Dimension>(
    logits: ArrayViewMut<'_, T, D>,
    function: impl VectorFunction,
) -> Result<()> {
    let out = ViewMut::from(logits);
    map_elements(&out.as_input(), &out, function)
}

/// A function of elements: checked and run.
pub(crate) fn map_elements<T: Float>(
    logits: &View<'_, T>,
    out: &ViewMut<'_, T>,
    function: impl VectorFunction,
) -> Result<()> {
    out.check_shape("out", logits.shape(), "the input")?;
    write_blocks(
        std::array::from_ref(logits),
        out,
        &Elementwise(function),
        |()| (),
    )
}
