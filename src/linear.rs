//! The fully connected layer that makes the logits.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array, ArrayView, ArrayView1, ArrayView2, Dimension};

use crate::error::{Error, Result};
use crate::float::{Element, Float};
use crate::lanes::{check_memory, check_shape};

/// The fully connected layer, the one that makes the logits: `x @ weight.T + bias`.
///
/// With N features and T classes, each row of features becomes T logits:
///
/// ```text
/// z_t = Σ_n W_tn x_n + b_t
/// ```
///
/// `x` has the features on its last axis, `weight` has shape (T, N), `bias` shape (T). The result
/// has the shape of `x` with T in place of N. It is a matrix product by the `ndarray` crate.
///
/// # Special values
///
/// - NaN and inf go through the sum, and reach only the rows and classes that use them.
/// - With no features the logits are the bias, or 0.
/// - With no rows or no classes the result is empty.
///
/// # Accuracy
///
/// The sums of f32 are kept in f64. The bound of 2 ulp does not cover this function.
///
/// # Errors
///
/// [`AxisOutOfBounds`](Error::AxisOutOfBounds) if `x` has no dimensions, [`Shape`](Error::Shape) if
/// `x` or `bias` does not fit `weight`, [`Dimensions`](Error::Dimensions) if `weight` is transposed.
///
/// # Examples
///
/// ```
/// use logitkit::linear;
/// use ndarray::array;
///
/// let weight = array![[1.0, 0.0, -1.0], [0.5, 0.5, 0.5]];
/// let bias = array![0.5, -0.5];
/// let x = array![[1.0, 2.0, 3.0], [3.0, 0.0, 0.5]];
/// let logits = linear(x.view(), weight.view(), Some(bias.view()))?;
/// assert_eq!(logits, array![[-1.5, 2.5], [3.0, 1.25]]);
/// # Ok::<(), logitkit::Error>(())
/// ```
///
/// # See also
///
/// [`softmax`](crate::softmax), which turns the logits into probabilities;
/// [`CrossEntropy`](crate::CrossEntropy), the loss to train the weights with.
///
/// Source: Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.2.2.3.
pub fn linear<T: Element, D: Dimension>(
    x: ArrayView<'_, T, D>,
    weight: ArrayView2<'_, T>,
    bias: Option<ArrayView1<'_, T>>,
) -> Result<Array<T, D>> {
    let Some(last) = x.ndim().checked_sub(1) else {
        return Err(Error::AxisOutOfBounds {
            axis: 0,
            dimensions: 0,
        });
    };
    let (outputs, features) = weight.dim();
    let mut expected = x.shape().to_vec();
    expected[last] = features;
    check_weight(x.shape(), weight.shape())?;
    check_shape("x", x.shape(), &expected, "weight's features")?;
    if let Some(bias) = bias {
        check_shape("bias", bias.shape(), &[outputs], "weight's outputs")?;
    }
    let rows: usize = x.shape()[..last].iter().product();
    let mut shape = x.raw_dim();
    shape[last] = outputs;
    // Without features there may be more results than any memory holds.
    let sizes = shape.slice().iter().copied().filter(|&size| size > 0);
    check_memory::<f64>(sizes.fold(1, usize::saturating_mul))?;
    check_memory::<f64>(x.len().max(weight.len()))?;
    let flat = x.to_shape((rows, features)).expect("as many elements");
    // Sums are kept wider than the data: those of f32 in f64.
    let (flat, weight) = (flat.mapv(Element::to_f64), weight.mapv(Element::to_f64));
    let mut result = Array::zeros((rows, outputs));
    if let Some(bias) = bias {
        result.assign(&bias.mapv(Element::to_f64));
    }
    general_mat_mul(1.0, &flat, &weight.t(), 1.0, &mut result);
    let result = result
        .mapv(|sum| T::from_compute(T::Compute::from_f64(sum)))
        .into_shape_with_order(shape);
    Ok(result.expect("as many elements"))
}

/// An error for a weight that would fit if it were transposed.
pub(crate) fn check_weight(x: &[usize], weight: &[usize]) -> Result<()> {
    match (x, weight) {
        ([.., features], [first, last]) if features != last && features == first => {
            Err(Error::Dimensions {
                name: "weight",
                given: weight.to_vec(),
                expected: "(outputs, features) with the features of x last; write weight.T",
            })
        }
        _ => Ok(()),
    }
}
