//! sigmoid, log_sigmoid and softplus: functions of one logit.

use ndarray::{Array, ArrayView, ArrayViewMut, Dimension};

use crate::compiled::{MapElements, compiled};
use crate::error::Result;
use crate::float::{Element, Float};
use crate::kernel::elementwise::{Elementwise, VectorFunction};
use crate::lanes::{View, ViewMut, write_blocks, zeros};

/// Turns binary logits into probabilities, element by element.
///
/// ```text
/// sigmoid(x) = 1 / (1 + e^-x)
/// ```
///
/// It is the first of the two values of `softmax([x, 0])`. It rises from 0 to 1, and
/// `sigmoid(-x) = 1 - sigmoid(x)`. The result has the shape of the logits.
///
/// # Special values
///
/// - NaN gives NaN.
/// - -inf gives 0 and +inf gives 1.
/// - An empty array gives an empty array.
///
/// # Accuracy
///
/// At most 2 ulp from the exactly rounded result for every finite input, in f32 and f64. A result
/// below the smallest normal number is within 2 ulp of the subnormal; it is not flushed to 0.
/// Results in f16 and bf16 are within 1 ulp of that type.
///
/// # Errors
///
/// [`SimdLevel`](crate::Error::SimdLevel) if `LOGITKIT_SIMD` names no level of this machine;
/// nothing else.
///
/// # Examples
///
/// ```
/// use logitkit::sigmoid;
/// use ndarray::array;
///
/// let probs = sigmoid(array![-2.0, 0.0, 2.0].view())?;
/// let rounded = probs.mapv(|p: f64| (p * 1e4).round() / 1e4);
/// assert_eq!(rounded, array![0.1192, 0.5, 0.8808]);
/// let small = sigmoid(array![-700.0].view())?;
/// assert_eq!(format!("{:.4e}", small[0]), "9.8597e-305");
/// # Ok::<(), logitkit::Error>(())
/// ```
///
/// # See also
///
/// [`log_sigmoid`]; [`softmax`](crate::softmax), the same for more than two classes;
/// [`BinaryCrossEntropyWithLogits`](crate::BinaryCrossEntropyWithLogits), the loss to train with.
///
/// Source: Goodfellow, Bengio and Courville, Deep Learning, 2016, section 3.10.
pub fn sigmoid<T: Element, D: Dimension>(logits: ArrayView<'_, T, D>) -> Result<Array<T, D>> {
    mapped(logits, compiled::<T::Compute>().sigmoid)
}

/// [`sigmoid`] written to `out`, an array of the same shape.
///
/// # Errors
///
/// Those of [`sigmoid`], and [`Shape`](crate::Error::Shape) if `out` has another shape. Nothing has
/// been written then.
pub fn sigmoid_into<T: Element, D: Dimension>(
    logits: ArrayView<'_, T, D>,
    out: ArrayViewMut<'_, T, D>,
) -> Result<()> {
    (compiled::<T::Compute>().sigmoid)(&View::of(logits), &ViewMut::of(out))
}

/// [`sigmoid`] in place: the logits are replaced by the result.
///
/// # Errors
///
/// Those of [`sigmoid`]. Nothing has been written then.
pub fn sigmoid_in_place<T: Element, D: Dimension>(logits: ArrayViewMut<'_, T, D>) -> Result<()> {
    map_in_place(logits, compiled::<T::Compute>().sigmoid)
}

/// The logarithm of the [`sigmoid`], element by element.
///
/// ```text
/// log_sigmoid(x) = -log(1 + e^-x) = -softplus(-x)
/// ```
///
/// It keeps small probabilities that [`sigmoid`] rounds to 0, and the small distance from 1 that
/// [`sigmoid`] rounds away. The result has the shape of the logits.
///
/// # Special values
///
/// - NaN gives NaN.
/// - -inf gives -inf and +inf gives 0.
/// - An empty array gives an empty array.
///
/// # Accuracy
///
/// At most 2 ulp from the exactly rounded result for every finite input, in f32 and f64. A result
/// below the smallest normal number is within 2 ulp of the subnormal; it is not flushed to 0.
/// Results in f16 and bf16 are within 1 ulp of that type.
///
/// # Errors
///
/// [`SimdLevel`](crate::Error::SimdLevel) if `LOGITKIT_SIMD` names no level of this machine;
/// nothing else.
///
/// # Examples
///
/// ```
/// use logitkit::log_sigmoid;
/// use ndarray::array;
///
/// let log_probs = log_sigmoid(array![-1000.0, 0.0, 30.0].view())?;
/// assert_eq!(log_probs[0], -1000.0);
/// assert!((log_probs[1] + std::f64::consts::LN_2).abs() < 1e-15);
/// assert_eq!(format!("{:.4e}", log_probs[2]), "-9.3576e-14");
/// # Ok::<(), logitkit::Error>(())
/// ```
///
/// # See also
///
/// [`softplus`], the same with both signs turned; [`log_softmax`](crate::log_softmax), the same for
/// more than two classes.
///
/// Source: Goodfellow, Bengio and Courville, Deep Learning, 2016, section 3.10.
pub fn log_sigmoid<T: Element, D: Dimension>(logits: ArrayView<'_, T, D>) -> Result<Array<T, D>> {
    mapped(logits, compiled::<T::Compute>().log_sigmoid)
}

/// [`log_sigmoid`] written to `out`, an array of the same shape.
///
/// # Errors
///
/// Those of [`log_sigmoid`], and [`Shape`](crate::Error::Shape) if `out` has another shape. Nothing
/// has been written then.
pub fn log_sigmoid_into<T: Element, D: Dimension>(
    logits: ArrayView<'_, T, D>,
    out: ArrayViewMut<'_, T, D>,
) -> Result<()> {
    (compiled::<T::Compute>().log_sigmoid)(&View::of(logits), &ViewMut::of(out))
}

/// [`log_sigmoid`] in place: the logits are replaced by the result.
///
/// # Errors
///
/// Those of [`log_sigmoid`]. Nothing has been written then.
pub fn log_sigmoid_in_place<T: Element, D: Dimension>(
    logits: ArrayViewMut<'_, T, D>,
) -> Result<()> {
    map_in_place(logits, compiled::<T::Compute>().log_sigmoid)
}

/// The smooth positive part, element by element.
///
/// ```text
/// softplus(x) = log(1 + e^x) = max(x, 0) + log1p(e^-|x|)
/// ```
///
/// It is the log-sum-exp of 0 and x, and the loss of a binary logit x whose target is 0. Its
/// derivative is [`sigmoid`]. The result has the shape of the logits.
///
/// # Special values
///
/// - NaN gives NaN.
/// - -inf gives 0 and +inf gives +inf.
/// - An empty array gives an empty array.
///
/// # Accuracy
///
/// At most 2 ulp from the exactly rounded result for every finite input, in f32 and f64. A result
/// below the smallest normal number is within 2 ulp of the subnormal; it is not flushed to 0.
/// Results in f16 and bf16 are within 1 ulp of that type.
///
/// # Errors
///
/// [`SimdLevel`](crate::Error::SimdLevel) if `LOGITKIT_SIMD` names no level of this machine;
/// nothing else.
///
/// # Examples
///
/// ```
/// use logitkit::softplus;
/// use ndarray::array;
///
/// let values = softplus(array![-2.0, 0.0, 2.0, 1000.0].view())?;
/// let rounded = values.mapv(|x: f64| (x * 1e4).round() / 1e4);
/// assert_eq!(rounded, array![0.1269, 0.6931, 2.1269, 1000.0]);
/// # Ok::<(), logitkit::Error>(())
/// ```
///
/// # See also
///
/// [`log_sigmoid`], the same with both signs turned; [`logsumexp`](crate::logsumexp), the same for
/// any number of terms; [`BinaryCrossEntropyWithLogits`](crate::BinaryCrossEntropyWithLogits), the
/// loss that is made of it.
///
/// Source: Goodfellow, Bengio and Courville, Deep Learning, 2016, section 3.10.
pub fn softplus<T: Element, D: Dimension>(logits: ArrayView<'_, T, D>) -> Result<Array<T, D>> {
    mapped(logits, compiled::<T::Compute>().softplus)
}

/// [`softplus`] written to `out`, an array of the same shape.
///
/// # Errors
///
/// Those of [`softplus`], and [`Shape`](crate::Error::Shape) if `out` has another shape. Nothing
/// has been written then.
pub fn softplus_into<T: Element, D: Dimension>(
    logits: ArrayView<'_, T, D>,
    out: ArrayViewMut<'_, T, D>,
) -> Result<()> {
    (compiled::<T::Compute>().softplus)(&View::of(logits), &ViewMut::of(out))
}

/// [`softplus`] in place: the logits are replaced by the result.
///
/// # Errors
///
/// Those of [`softplus`]. Nothing has been written then.
pub fn softplus_in_place<T: Element, D: Dimension>(logits: ArrayViewMut<'_, T, D>) -> Result<()> {
    map_in_place(logits, compiled::<T::Compute>().softplus)
}

fn mapped<T: Element, D: Dimension>(
    logits: ArrayView<'_, T, D>,
    function: MapElements<T::Compute>,
) -> Result<Array<T, D>> {
    let mut out = zeros(logits.raw_dim(), T::ZERO)?;
    function(&View::of(logits), &ViewMut::of(out.view_mut()))?;
    Ok(out)
}

fn map_in_place<T: Element, D: Dimension>(
    logits: ArrayViewMut<'_, T, D>,
    function: MapElements<T::Compute>,
) -> Result<()> {
    let out = ViewMut::of(logits);
    function(&out.as_input(), &out)
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
