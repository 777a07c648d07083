//! softmax, log_softmax, log-sum-exp and the vector-Jacobian products.

use ndarray::{Array, ArrayView, ArrayViewMut, Axis, Dimension, RemoveAxis};

use crate::compiled::compiled;
use crate::error::Result;
use crate::float::{Element, Float};
use crate::kernel::RowKernel;
use crate::kernel::piece::PieceKernel;
use crate::kernel::softmax::LogSumExp;
use crate::lanes::{View, ViewMut, read_classes, reserved, write_classes, write_rows, zeros};
#[cfg(feature = "python")]
use crate::lanes::{Where, run_over};

/// Turns logits into probabilities along an axis.
///
/// A row is one 1-d slice of the logits along `axis`. Each row becomes
///
/// ```text
/// softmax(x)_i = e^(x_i) / Σ_c e^(x_c)
/// ```
///
/// Every value is in [0, 1] and every row sums to 1. Exponentials spread differences: a lead in the
/// logits becomes a larger lead in the probabilities. The result has the shape of the logits.
///
/// # Special values
///
/// - A row that holds a NaN or +inf is all NaN.
/// - A logit of -inf has probability exactly 0.
/// - A row of nothing but -inf is all NaN.
/// - With no classes the result is empty.
///
/// # Accuracy
///
/// At most 2 ulp from the exactly rounded result for every finite input, in f32 and f64. A result
/// below the smallest normal number is within 2 ulp of the subnormal; it is not flushed to 0.
/// Results in f16 and bf16 are within 1 ulp of that type.
///
/// # Errors
///
/// [`AxisOutOfBounds`](crate::Error::AxisOutOfBounds) if the array has no such axis.
///
/// # Examples
///
/// ```
/// use logitkit::softmax;
/// use ndarray::{Axis, array};
///
/// let logits = array![[1.0, 2.0, 3.0], [2.0, 2.0, 2.0]];
/// let probs = softmax(logits.view(), Axis(1))?;
/// let rounded = probs.mapv(|p: f64| (p * 1e4).round() / 1e4);
/// assert_eq!(rounded, array![[0.09, 0.2447, 0.6652], [0.3333, 0.3333, 0.3333]]);
/// # Ok::<(), logitkit::Error>(())
/// ```
///
/// # See also
///
/// [`log_softmax`], which losses are computed with; [`softmax_vjp`], its derivative;
/// [`top_k`](crate::top_k), the most probable classes.
///
/// Source: Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.2.2.3.
pub fn softmax<T: Element, D: Dimension>(
    logits: ArrayView<'_, T, D>,
    axis: Axis,
) -> Result<Array<T, D>> {
    let mut probs = zeros(logits.raw_dim(), T::ZERO)?;
    softmax_into(logits, axis, probs.view_mut())?;
    Ok(probs)
}

/// [`softmax`] written to `out`, an array of the same shape.
///
/// # Errors
///
/// Those of [`softmax`], and [`Shape`](crate::Error::Shape) if `out` has another shape. Nothing has
/// been written then.
pub fn softmax_into<T: Element, D: Dimension>(
    logits: ArrayView<'_, T, D>,
    axis: Axis,
    out: ArrayViewMut<'_, T, D>,
) -> Result<()> {
    (compiled::<T::Compute>().softmax)(&View::of(logits), axis.0, &ViewMut::of(out))
}

/// [`softmax`] in place: the logits are replaced by the result.
///
/// # Errors
///
/// Those of [`softmax`]. Nothing has been written then.
pub fn softmax_in_place<T: Element, D: Dimension>(
    logits: ArrayViewMut<'_, T, D>,
    axis: Axis,
) -> Result<()> {
    let out = ViewMut::of(logits);
    (compiled::<T::Compute>().softmax)(&out.as_input(), axis.0, &out)
}

/// The logarithm of the [`softmax`] along an axis.
///
/// ```text
/// log_softmax(x)_i = x_i - log(Σ_c e^(x_c))
/// ```
///
/// Losses are computed with it: it keeps small probabilities that [`softmax`] rounds to 0, and the
/// small distance from 1 that [`softmax`] rounds away. The result has the shape of the logits.
///
/// # Special values
///
/// - A row that holds a NaN or +inf is all NaN.
/// - A logit of -inf has log-probability -inf.
/// - A row of nothing but -inf is all NaN.
/// - With no classes the result is empty.
///
/// # Accuracy
///
/// At most 2 ulp from the exactly rounded result for every finite input, in f32 and f64. A result
/// below the smallest normal number is within 2 ulp of the subnormal; it is not flushed to 0. That
/// holds for a class whose probability is nearly 1, too. Results in f16 and bf16 are within 1 ulp
/// of that type.
///
/// # Errors
///
/// [`AxisOutOfBounds`](crate::Error::AxisOutOfBounds) if the array has no such axis.
///
/// # Examples
///
/// ```
/// use logitkit::log_softmax;
/// use ndarray::{Axis, array};
///
/// let log_probs = log_softmax(array![0.0, -800.0].view(), Axis(0))?;
/// assert_eq!(log_probs, array![0.0, -800.0]);
/// let log_probs = log_softmax(array![30.0, 0.0].view(), Axis(0))?;
/// assert_eq!(format!("{:.4e}", log_probs[0]), "-9.3576e-14");
/// # Ok::<(), logitkit::Error>(())
/// ```
///
/// # See also
///
/// [`logsumexp`], the term that is subtracted; [`NllLoss`](crate::NllLoss), the loss that takes
/// these log-probabilities; [`log_softmax_vjp`], its derivative.
///
/// Source: Blanchard, Higham and Higham, Accurately computing the log-sum-exp and softmax
/// functions, 2021.
pub fn log_softmax<T: Element, D: Dimension>(
    logits: ArrayView<'_, T, D>,
    axis: Axis,
) -> Result<Array<T, D>> {
    let mut log_probs = zeros(logits.raw_dim(), T::ZERO)?;
    log_softmax_into(logits, axis, log_probs.view_mut())?;
    Ok(log_probs)
}

/// [`log_softmax`] written to `out`, an array of the same shape.
///
/// # Errors
///
/// Those of [`log_softmax`], and [`Shape`](crate::Error::Shape) if `out` has another shape. Nothing
/// has been written then.
pub fn log_softmax_into<T: Element, D: Dimension>(
    logits: ArrayView<'_, T, D>,
    axis: Axis,
    out: ArrayViewMut<'_, T, D>,
) -> Result<()> {
    (compiled::<T::Compute>().log_softmax)(&View::of(logits), axis.0, &ViewMut::of(out))
}

/// [`log_softmax`] in place: the logits are replaced by the result.
///
/// # Errors
///
/// Those of [`log_softmax`]. Nothing has been written then.
pub fn log_softmax_in_place<T: Element, D: Dimension>(
    logits: ArrayViewMut<'_, T, D>,
    axis: Axis,
) -> Result<()> {
    let out = ViewMut::of(logits);
    (compiled::<T::Compute>().log_softmax)(&out.as_input(), axis.0, &out)
}

/// The logarithm of the sum of exponentials along an axis.
///
/// ```text
/// logsumexp(x) = log(Σ_c e^(x_c))
/// ```
///
/// It never overflows for finite input. It is a smooth maximum: between `max(x)` and
/// `max(x) + log(C)`. The result has the shape of the logits without `axis`.
///
/// # Special values
///
/// - A row that holds a NaN gives NaN.
/// - A row that holds +inf, and no NaN, gives +inf.
/// - A term of -inf adds nothing.
/// - A row of nothing but -inf gives -inf, and so does an empty row.
///
/// # Accuracy
///
/// At most 2 ulp from the exactly rounded result for every finite input, in f32 and f64. Near 0,
/// where the maximum and the rest cancel, 2 ulp of the larger of the two. Sums of f16 and bf16 are
/// f32, with its bound.
///
/// # Errors
///
/// [`AxisOutOfBounds`](crate::Error::AxisOutOfBounds) if the array has no such axis.
///
/// # Examples
///
/// ```
/// use logitkit::logsumexp;
/// use ndarray::{Axis, array};
///
/// let sums = logsumexp(array![[1000.0, 1000.0], [0.0, -800.0]].view(), Axis(1))?;
/// assert!((sums[0] - 1000.6931_f64).abs() < 1e-4);
/// assert_eq!(sums[1], 0.0);
/// # Ok::<(), logitkit::Error>(())
/// ```
///
/// # See also
///
/// [`log_softmax`], the logits less this; [`softplus`](crate::softplus), the same for the two terms
/// 0 and x.
///
/// Source: Blanchard, Higham and Higham, Accurately computing the log-sum-exp and softmax
/// functions, 2021.
pub fn logsumexp<T: Element, D: RemoveAxis>(
    logits: ArrayView<'_, T, D>,
    axis: Axis,
) -> Result<Array<T::Compute, D::Smaller>> {
    let view = View::of(logits.view());
    view.check_axis(axis.0)?;
    let shape = logits.raw_dim().remove_axis(axis);
    let values = (compiled::<T::Compute>().logsumexp)(&view, axis.0)?;
    Ok(Array::from_shape_vec(shape, values).expect("one value for each row"))
}

/// The backward pass of [`softmax`]: its derivative, applied to a cotangent.
///
/// With `p = softmax(x)` and a cotangent `g`, the gradient of a loss with respect to `p`, the
/// gradient with respect to `x` is
///
/// ```text
/// softmax_vjp(p, g)_i = p_i (g_i - Σ_c p_c g_c)
/// ```
///
/// Only the probabilities are needed, not the logits. `probs`, `cotangent` and the result have one
/// shape.
///
/// # Special values
///
/// - A row that holds a NaN, in `probs` or in `cotangent`, is all NaN.
/// - A class of probability 0 has gradient 0 where the cotangents are finite.
/// - With no classes the result is empty.
///
/// # Accuracy
///
/// The sum over a row is kept wider than the data. An entry is a difference of like terms: its
/// error is at most 2 ulp of the larger one.
///
/// # Errors
///
/// [`AxisOutOfBounds`](crate::Error::AxisOutOfBounds) if the array has no such axis.
/// [`Shape`](crate::Error::Shape) if `cotangent` has another shape than `probs`.
///
/// # Examples
///
/// The derivatives of the third probability with respect to each logit:
///
/// ```
/// use logitkit::{softmax, softmax_vjp};
/// use ndarray::{Axis, array};
///
/// let probs = softmax(array![1.0, 2.0, 3.0].view(), Axis(0))?;
/// let gradient = softmax_vjp(probs.view(), array![0.0, 0.0, 1.0].view(), Axis(0))?;
/// let rounded = gradient.mapv(|g: f64| (g * 1e4).round() / 1e4);
/// assert_eq!(rounded, array![-0.0599, -0.1628, 0.2227]);
/// # Ok::<(), logitkit::Error>(())
/// ```
///
/// # See also
///
/// [`log_softmax_vjp`]; [`CrossEntropy::loss_and_grad`](crate::CrossEntropy::loss_and_grad), loss
/// and gradient in one pass from the logits.
///
/// Source: Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.5 (back-propagation).
pub fn softmax_vjp<T: Element, D: Dimension>(
    probs: ArrayView<'_, T, D>,
    cotangent: ArrayView<'_, T, D>,
    axis: Axis,
) -> Result<Array<T, D>> {
    let mut gradient = zeros(probs.raw_dim(), T::ZERO)?;
    softmax_vjp_into(probs, cotangent, axis, gradient.view_mut())?;
    Ok(gradient)
}

/// [`softmax_vjp`] written to `out`, an array of the same shape.
///
/// # Errors
///
/// Those of [`softmax_vjp`], and [`Shape`](crate::Error::Shape) if `out` has another shape. Nothing
/// has been written then.
pub fn softmax_vjp_into<T: Element, D: Dimension>(
    probs: ArrayView<'_, T, D>,
    cotangent: ArrayView<'_, T, D>,
    axis: Axis,
    out: ArrayViewMut<'_, T, D>,
) -> Result<()> {
    let inputs = [View::of(probs), View::of(cotangent)];
    (compiled::<T::Compute>().softmax_vjp)(&inputs, axis.0, &ViewMut::of(out))
}

/// The backward pass of [`log_softmax`]: its derivative, applied to a cotangent.
///
/// With `l = log_softmax(x)` and a cotangent `g`, the gradient of a loss with respect to `l`, the
/// gradient with respect to `x` is
///
/// ```text
/// log_softmax_vjp(l, g)_i = g_i - e^(l_i) Σ_c g_c
/// ```
///
/// Only the log-probabilities are needed, not the logits. `log_probs`, `cotangent` and the result
/// have one shape.
///
/// # Special values
///
/// - A NaN in `cotangent` makes its row all NaN.
/// - A NaN in `log_probs` gives NaN in its place.
/// - A class of log-probability -inf has its own cotangent as gradient, where the cotangents are
///   finite.
/// - With no classes the result is empty.
///
/// # Accuracy
///
/// The sum over a row is kept wider than the data. An entry is a difference of like terms: its
/// error is at most 2 ulp of the larger one.
///
/// # Errors
///
/// [`AxisOutOfBounds`](crate::Error::AxisOutOfBounds) if the array has no such axis.
/// [`Shape`](crate::Error::Shape) if `cotangent` has another shape than `log_probs`.
///
/// # Examples
///
/// The cross entropy of class 2 is the negated third log-probability. Its gradient is `p - y`:
///
/// ```
/// use logitkit::{log_softmax, log_softmax_vjp};
/// use ndarray::{Axis, array};
///
/// let log_probs = log_softmax(array![1.0, 2.0, 3.0].view(), Axis(0))?;
/// let gradient = log_softmax_vjp(log_probs.view(), array![0.0, 0.0, -1.0].view(), Axis(0))?;
/// let rounded = gradient.mapv(|g: f64| (g * 1e4).round() / 1e4);
/// assert_eq!(rounded, array![0.09, 0.2447, -0.3348]);
/// # Ok::<(), logitkit::Error>(())
/// ```
///
/// # See also
///
/// [`softmax_vjp`]; [`NllLoss::loss_and_grad`](crate::NllLoss::loss_and_grad), a loss of
/// log-probabilities with its gradient.
///
/// Source: Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.5 (back-propagation).
pub fn log_softmax_vjp<T: Element, D: Dimension>(
    log_probs: ArrayView<'_, T, D>,
    cotangent: ArrayView<'_, T, D>,
    axis: Axis,
) -> Result<Array<T, D>> {
    let mut gradient = zeros(log_probs.raw_dim(), T::ZERO)?;
    log_softmax_vjp_into(log_probs, cotangent, axis, gradient.view_mut())?;
    Ok(gradient)
}

/// [`log_softmax_vjp`] written to `out`, an array of the same shape.
///
/// # Errors
///
/// Those of [`log_softmax_vjp`], and [`Shape`](crate::Error::Shape) if `out` has another shape.
/// Nothing has been written then.
pub fn log_softmax_vjp_into<T: Element, D: Dimension>(
    log_probs: ArrayView<'_, T, D>,
    cotangent: ArrayView<'_, T, D>,
    axis: Axis,
    out: ArrayViewMut<'_, T, D>,
) -> Result<()> {
    let inputs = [View::of(log_probs), View::of(cotangent)];
    (compiled::<T::Compute>().log_softmax_vjp)(&inputs, axis.0, &ViewMut::of(out))
}

/// A function of rows: checked and run.
pub(crate) fn map_classes<T: Float>(
    input: &View<'_, T>,
    axis: usize,
    out: &ViewMut<'_, T>,
    kernel: &impl PieceKernel<T, Total = ()>,
) -> Result<()> {
    input.check_axis(axis)?;
    out.check_shape("out", input.shape(), "the input")?;
    write_classes(input, out, axis, kernel, |()| ())
}

/// A function of rows over several axes, or none, with some elements left out: checked and run.
#[cfg(feature = "python")]
pub(crate) fn map_over<T: Float>(
    input: &View<'_, T>,
    axes: &[usize],
    mask: Option<&Where<'_, T>>,
    out: &ViewMut<'_, T>,
    kernel: &impl PieceKernel<T, Total = ()>,
) -> Result<()> {
    out.check_shape("out", input.shape(), "the input")?;
    run_over(input, Some(out), axes, mask, kernel, |()| ())
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
    inputs[0].check_axis(axis)?;
    out.check_shape("out", inputs[0].shape(), "the input")?;
    write_rows(inputs, out, axis, kernel, |()| ())
}

/// The log-sum-exp of every row, in the order of the rows.
pub(crate) fn logsumexp_rows<T: Float>(logits: &View<'_, T>, axis: usize) -> Result<Vec<T>> {
    logits.check_axis(axis)?;
    let mut values = reserved(logits.rows(axis).count())?;
    read_classes(logits, axis, &LogSumExp, |grain| {
        values.extend(grain);
    })?;
    Ok(values)
}

/// The log-sum-exp over several axes, or none, with some elements left out.
#[cfg(feature = "python")]
pub(crate) fn logsumexp_over<T: Float>(
    logits: &View<'_, T>,
    axes: &[usize],
    mask: Option<&Where<'_, T>>,
) -> Result<Vec<T>> {
    let rows = logits.shape_without_axes(axes).iter().product();
    let mut values = reserved(rows)?;
    run_over(logits, None, axes, mask, &LogSumExp, |grain| {
        values.extend(grain);
    })?;
    Ok(values)
}
