//! The fully connected layer that makes the logits.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array, ArrayView, ArrayView1, ArrayView2, Dimension};

use crate::error::{Error, Result};
use crate::float::Float;
use crate::lanes::check_shape;

/// `x @ weight.T + bias`: a matrix product by the `ndarray` crate, which is all that it is.
pub fn linear<T: Float, D: Dimension>(
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
    check_shape("x", x.shape(), &expected, "weight's features")?;
    if let Some(bias) = bias {
        check_shape("bias", bias.shape(), &[outputs], "weight's outputs")?;
    }
    let rows: usize = x.shape()[..last].iter().product();
    let mut shape = x.raw_dim();
    shape[last] = outputs;
    let flat = x.to_shape((rows, features)).expect("as many elements");
    // Sums are kept wider than the data: those of f32 in f64.
    let (flat, weight) = (flat.mapv(Float::to_f64), weight.mapv(Float::to_f64));
    let mut result = Array::zeros((rows, outputs));
    if let Some(bias) = bias {
        result.assign(&bias.mapv(Float::to_f64));
    }
    general_mat_mul(1.0, &flat, &weight.t(), 1.0, &mut result);
    let result = result.mapv(T::from_f64).into_shape_with_order(shape);
    Ok(result.expect("as many elements"))
}
