//! softmax, log_softmax, log-sum-exp and the vector-Jacobian products.

use ndarray::{Array, ArrayView, ArrayViewMut, Axis, Dimension, RemoveAxis};

use crate::error::Result;
use crate::float::Float;
use crate::kernel::RowKernel;
use crate::kernel::softmax::{LogSoftmax, LogSoftmaxVjp, LogSumExp, Softmax, SoftmaxVjp};
use crate::lanes::{View, ViewMut, read_rows, write_rows};

/// `e^x / sum(e^x)` along an axis.
pub fn softmax<T: Float, D: Dimension>(
    logits: ArrayView<'_, T, D>,
    axis: Axis,
) -> Result<Array<T, D>> {
    let mut probs = Array::from_elem(logits.raw_dim(), T::ZERO);
    softmax_into(logits, axis, probs.view_mut())?;
    Ok(probs)
}

/// [`softmax`] written to an array of the same shape.
pub fn softmax_into<T: Float, D: Dimension>(
    logits: ArrayView<'_, T, D>,
    axis: Axis,
    out: ArrayViewMut<'_, T, D>,
) -> Result<()> {
    map_rows(&[logits.into()], axis.0, &out.into(), &Softmax)
}

/// [`softmax`] in place of the logits.
pub fn softmax_in_place<T: Float, D: Dimension>(
    logits: ArrayViewMut<'_, T, D>,
    axis: Axis,
) -> Result<()> {
    let out = ViewMut::from(logits);
    map_rows(&[out.as_input()], axis.0, &out, &Softmax)
}

/// `x - log(sum(e^x))` along an axis.
pub fn log_softmax<T: Float, D: Dimension>(
    logits: ArrayView<'_, T, D>,
    axis: Axis,
) -> Result<Array<T, D>> {
    let mut log_probs = Array::from_elem(logits.raw_dim(), T::ZERO);
    log_softmax_into(logits, axis, log_probs.view_mut())?;
    Ok(log_probs)
}

/// [`log_softmax`] written to an array of the same shape.
pub fn log_softmax_into<T: Float, D: Dimension>(
    logits: ArrayView<'_, T, D>,
    axis: Axis,
    out: ArrayViewMut<'_, T, D>,
) -> Result<()> {
    map_rows(&[logits.into()], axis.0, &out.into(), &LogSoftmax)
}

/// [`log_softmax`] in place of the logits.
pub fn log_softmax_in_place<T: Float, D: Dimension>(
    logits: ArrayViewMut<'_, T, D>,
    axis: Axis,
) -> Result<()> {
    let out = ViewMut::from(logits);
    map_rows(&[out.as_input()], axis.0, &out, &LogSoftmax)
}

/// `log(sum(e^x))` along an axis.
pub fn logsumexp<T: Float, D: RemoveAxis>(
    logits: ArrayView<'_, T, D>,
    axis: Axis,
) -> Result<Array<T, D::Smaller>> {
    let view = View::from(logits.view());
    view.check_axis(axis.0)?;
    let shape = logits.raw_dim().remove_axis(axis);
    let values = logsumexp_rows(&view, axis.0)?;
    Ok(Array::from_shape_vec(shape, values).expect("one value for each row"))
}

/// The gradient of [`softmax`]: `p * (g - sum(p * g))` along an axis.
pub fn softmax_vjp<T: Float, D: Dimension>(
    probs: ArrayView<'_, T, D>,
    cotangent: ArrayView<'_, T, D>,
    axis: Axis,
) -> Result<Array<T, D>> {
    let mut gradient = Array::from_elem(probs.raw_dim(), T::ZERO);
    softmax_vjp_into(probs, cotangent, axis, gradient.view_mut())?;
    Ok(gradient)
}

/// [`softmax_vjp`] written to an array of the same shape.
pub fn softmax_vjp_into<T: Float, D: Dimension>(
    probs: ArrayView<'_, T, D>,
    cotangent: ArrayView<'_, T, D>,
    axis: Axis,
    out: ArrayViewMut<'_, T, D>,
) -> Result<()> {
    let inputs = [probs.into(), cotangent.into()];
    vjp(&inputs, axis.0, &out.into(), &SoftmaxVjp, "probs")
}

/// The gradient of [`log_softmax`]: `g - e^(log p) * sum(g)` along an axis.
pub fn log_softmax_vjp<T: Float, D: Dimension>(
    log_probs: ArrayView<'_, T, D>,
    cotangent: ArrayView<'_, T, D>,
    axis: Axis,
) -> Result<Array<T, D>> {
    let mut gradient = Array::from_elem(log_probs.raw_dim(), T::ZERO);
    log_softmax_vjp_into(log_probs, cotangent, axis, gradient.view_mut())?;
    Ok(gradient)
}

/// [`log_softmax_vjp`] written to an array of the same shape.
pub fn log_softmax_vjp_into<T: Float, D: Dimension>(
    log_probs: ArrayView<'_, T, D>,
    cotangent: ArrayView<'_, T, D>,
    axis: Axis,
    out: ArrayViewMut<'_, T, D>,
) -> Result<()> {
    let inputs = [log_probs.into(), cotangent.into()];
    vjp(&inputs, axis.0, &out.into(), &LogSoftmaxVjp, "log_probs")
}

/// A function of rows: checked and run.
pub(crate) fn map_rows<T: Float, const K: usize>(
    inputs: &[View<'_, T>; K],
    axis: usize,
    out: &ViewMut<'_, T>,
    kernel: &impl RowKernel<T, K, Total = ()>,
) -> Result<()> {
    inputs[0].check_axis(axis)?;
    out.check_shape("out", inputs[0].shape(), "the input")?;
    write_rows(inputs, out, axis, kernel, |()| ())
}

/// A vector-Jacobian product: checked and run.
pub(crate) fn vjp<T: Float>(
    inputs: &[View<'_, T>; 2],
    axis: usize,
    out: &ViewMut<'_, T>,
    kernel: &impl RowKernel<T, 2, Total = ()>,
    like: &'static str,
) -> Result<()> {
    crate::lanes::check_shape("cotangent", inputs[1].shape(), inputs[0].shape(), like)?;
    map_rows(inputs, axis, out, kernel)
}

/// The log-sum-exp of every row, in the order of the rows.
pub(crate) fn logsumexp_rows<T: Float>(logits: &View<'_, T>, axis: usize) -> Result<Vec<T>> {
    logits.check_axis(axis)?;
    let mut values = Vec::new();
    read_rows(std::array::from_ref(logits), axis, &LogSumExp, |grain| {
        values.extend(grain);
    })?;
    Ok(values)
}
