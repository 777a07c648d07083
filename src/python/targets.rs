//! Targets of the losses over classes: integers of any width as class indices, numbers of the
//! logits' shape as probabilities.

use half::{bf16, f16};
use numpy::{Element, PyArrayDescrMethods, PyArrayDyn, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;

use super::arguments::IgnoreIndex;
use super::array::{self, Kind, Output, Scalar, check_not_mixed};
use super::hold::Hold;
use crate::error::Error;
use crate::lanes::{View, position, reserved};
use crate::targets::{Probabilities, Probability, SoftTargets, TargetsView, class_index_error};

/// Targets as an array that can be read without conversion.
pub(super) enum TargetsArray<'py> {
    Indices(Bound<'py, PyArrayDyn<i64>>),
    Soft(Box<dyn SoftArray<'py> + 'py>),
}

/// Targets that take some milliseconds.
const MANY: usize = 1 << 20;

/// Stands for an ignored index that `i64` does not hold.
const IGNORED: i64 = -1;

impl<'py> TargetsArray<'py> {
    /// Targets for scores, and the index to ignore among them.
    pub(super) fn new<T: Scalar>(
        object: &Bound<'py, PyAny>,
        scores: &Bound<'py, PyArrayDyn<T>>,
        axis: usize,
        ignore_index: Option<IgnoreIndex>,
        outputs: &[Output<'py, T>],
    ) -> PyResult<(Self, Option<i64>)> {
        let classes = scores.shape()[axis];
        let ignored = ignore_index.map(|index| index.0);
        // An index that no `i64` target can have ignores nothing.
        let ignored_i64 = ignored.and_then(|index| i64::try_from(index).ok());
        let array = array::numeric(object, "targets")?;
        let dtype = array.dtype();
        let is_soft = array.shape() == scores.shape();
        if let (Some(index), true) = (ignored, is_soft) {
            return Err(Error::IgnoreIndexWithProbabilities(index).into());
        }
        if is_soft || dtype.kind() == b'b' || Kind::of(&dtype)? != Kind::Whole {
            return Ok((Self::Soft(soft_array(&array, outputs)?), ignored_i64));
        }
        if dtype.kind() == b'u' && dtype.itemsize() == 8 {
            let wide = array::cast::<u64>(&array)?;
            let hold = Hold::new(object.py(), wide.len());
            let view = hold.view(&wide)?;
            let (indices, ignored) = narrowed(object.py(), &view, classes, ignored)?;
            let indices = array::from_vec(object.py(), indices, view.shape())?;
            return Ok((Self::Indices(indices), ignored));
        }
        let indices = array::cast::<i64>(&array)?;
        let indices = array::separate(outputs, indices)?;
        Ok((Self::Indices(indices), ignored_i64))
    }

    pub(super) fn view<'a>(&'a self, hold: &'a Hold<'py>) -> PyResult<TargetsView<'a>> {
        Ok(match self {
            Self::Indices(indices) => TargetsView::Indices(hold.view(indices)?),
            Self::Soft(array) => TargetsView::Probabilities(array.targets(hold)?),
        })
    }
}

/// `uint64` indices as `i64`: those too large for one are no classes, unless they are ignored.
fn narrowed(
    py: Python<'_>,
    indices: &View<'_, u64>,
    classes: usize,
    ignored: Option<i128>,
) -> PyResult<(Vec<i64>, Option<i64>)> {
    let elements = indices.elements();
    let narrow = |row: usize| {
        let index = elements.value(row);
        if Some(i128::from(index)) == ignored {
            return Ok(IGNORED);
        }
        let place = || position(row, indices.shape());
        i64::try_from(index).map_err(|_| class_index_error(place(), index.into(), classes))
    };
    let mut narrow_ones = reserved(elements.count())?;
    for row in 0..elements.count() {
        if row.is_multiple_of(MANY) {
            py.check_signals()?;
        }
        narrow_ones.push(narrow(row)?);
    }
    Ok((narrow_ones, ignored.map(|_| IGNORED)))
}

/// An array of numbers that are probabilities.
pub(super) trait SoftArray<'py> {
    fn targets<'a>(&'a self, hold: &'a Hold<'py>) -> PyResult<Box<dyn SoftTargets + 'a>>;
}

struct Soft<'py, P> {
    array: Bound<'py, PyArrayDyn<P>>,
    dtype: &'static str,
}

impl<'py, P: Element + Probability> SoftArray<'py> for Soft<'py, P> {
    fn targets<'a>(&'a self, hold: &'a Hold<'py>) -> PyResult<Box<dyn SoftTargets + 'a>> {
        Ok(Box::new(Probabilities {
            view: hold.view(&self.array)?,
            dtype: self.dtype,
        }))
    }
}

/// The array in its own dtype: ints and bools are read as they are, not converted first.
fn soft_array<'py, T: Scalar>(
    array: &Bound<'py, PyUntypedArray>,
    outputs: &[Output<'py, T>],
) -> PyResult<Box<dyn SoftArray<'py> + 'py>> {
    fn soft<'py, P: Element + Probability + 'static, T: Scalar>(
        array: &Bound<'py, PyUntypedArray>,
        outputs: &[Output<'py, T>],
        dtype: &'static str,
    ) -> PyResult<Box<dyn SoftArray<'py> + 'py>> {
        let array = array::cast::<P>(array)?;
        let array = array::apart(outputs, array)?;
        Ok(Box::new(Soft { array, dtype }))
    }
    check_not_mixed::<T>(&array.dtype(), "targets")?;
    match Kind::of(&array.dtype())? {
        Kind::Float16 => return soft::<f16, T>(array, outputs, "float16"),
        Kind::Bfloat16 => return soft::<bf16, T>(array, outputs, "bfloat16"),
        Kind::Float32 => return soft::<f32, T>(array, outputs, "float32"),
        Kind::Float64 | Kind::Whole | Kind::Unknown => {}
    }
    match (array.dtype().kind(), array.dtype().itemsize()) {
        (b'i', 1) => soft::<i8, T>(array, outputs, "int8"),
        (b'i', 2) => soft::<i16, T>(array, outputs, "int16"),
        (b'i', 4) => soft::<i32, T>(array, outputs, "int32"),
        (b'i', 8) => soft::<i64, T>(array, outputs, "int64"),
        (b'u', 2) => soft::<u16, T>(array, outputs, "uint16"),
        (b'u', 4) => soft::<u32, T>(array, outputs, "uint32"),
        (b'u', 8) => soft::<u64, T>(array, outputs, "uint64"),
        (b'u', 1) => soft::<u8, T>(array, outputs, "uint8"),
        (b'b', _) => {
            // A bool's byte need not be 0 or 1 where another program wrote it.
            let bytes = array::cast::<bool>(array)?.call_method1("view", ("uint8",))?;
            soft::<u8, T>(bytes.cast::<PyUntypedArray>()?, outputs, "bool")
        }
        _ => soft::<f64, T>(array, outputs, "float64"),
    }
}

impl Probability for i8 {
    fn to_f64(self) -> f64 {
        self.into()
    }
}

impl Probability for i16 {
    fn to_f64(self) -> f64 {
        self.into()
    }
}

impl Probability for i32 {
    fn to_f64(self) -> f64 {
        self.into()
    }
}

impl Probability for i64 {
    fn to_f64(self) -> f64 {
        self as f64
    }
}

impl Probability for u8 {
    fn to_f64(self) -> f64 {
        self.into()
    }
}

impl Probability for u16 {
    fn to_f64(self) -> f64 {
        self.into()
    }
}

impl Probability for u32 {
    fn to_f64(self) -> f64 {
        self.into()
    }
}

impl Probability for u64 {
    fn to_f64(self) -> f64 {
        self as f64
    }
}
