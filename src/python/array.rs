//! Arrays in and out: what is accepted, what becomes what, and where a copy is made.
//!
//! An exact ndarray of a native, aligned float type goes through untouched. Everything unusual is
//! made into one here, once; the rest of the bindings sees typed arrays alone.

use half::{bf16, f16};
use numpy::npyffi::{self, PY_ARRAY_API};
use numpy::{
    Element, IxDyn, PyArray, PyArrayDescr, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods,
    PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType, PyWeakrefReference};

use super::advice;
use super::hold::Hold;
use super::interop;
use super::threads::run;
use crate::float;
use crate::lanes::{Parts, View, read_values, reserved};
use crate::parts::{Fit, FitKernel};

/// An element type of both sides.
pub(super) trait Scalar: float::Element<Compute: Element> + Element {}

impl Scalar for f16 {}
impl Scalar for bf16 {}
impl Scalar for f32 {}
impl Scalar for f64 {}

/// Logits, probabilities or scores: the argument that decides the dtype of everything.
pub(super) enum Scores<'py> {
    F16(Bound<'py, PyArrayDyn<f16>>),
    Bf16(Bound<'py, PyArrayDyn<bf16>>),
    F32(Bound<'py, PyArrayDyn<f32>>),
    F64(Bound<'py, PyArrayDyn<f64>>),
}

/// The one place where a dtype becomes a type: runs an expression with the array.
macro_rules! with_dtype {
    ($scores:expr, $array:ident => $body:expr) => {
        match $scores {
            $crate::python::array::Scores::F16($array) => $body,
            $crate::python::array::Scores::Bf16($array) => $body,
            $crate::python::array::Scores::F32($array) => $body,
            $crate::python::array::Scores::F64($array) => $body,
        }
    };
}
pub(super) use with_dtype;

impl<'py> Scores<'py> {
    pub(super) fn new(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Self> {
        if let Some(array) = plain::<f32>(object) {
            return Ok(Self::F32(array));
        }
        if let Some(array) = plain::<f64>(object) {
            return Ok(Self::F64(array));
        }
        if let Some(array) = plain::<f16>(object) {
            return Ok(Self::F16(array));
        }
        let array = numeric(object, name)?;
        match Kind::of(&array.dtype())? {
            Kind::Float16 => cast(&array).map(Self::F16),
            Kind::Bfloat16 => cast(&array).map(Self::Bf16),
            Kind::Float32 => cast(&array).map(Self::F32),
            _ => cast(&array).map(Self::F64),
        }
    }
}

/// An object that is an array of `T` in every respect.
fn plain<'py, T: Element>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyArrayDyn<T>>> {
    if !is_exact(object) {
        return None;
    }
    let array = object.cast::<PyArrayDyn<T>>().ok()?;
    is_aligned::<T>(array.as_untyped()).then(|| array.clone())
}

fn is_exact(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: only the type of a live object is looked at.
    unsafe { npyffi::array::PyArray_CheckExact(object.py(), object.as_ptr()) != 0 }
}

/// Whether every element lies at a multiple of its size, which strides counted in elements need.
pub(super) fn is_aligned<T>(array: &Bound<'_, PyUntypedArray>) -> bool {
    let size = size_of::<T>();
    // SAFETY: the array is alive; its data pointer is only looked at.
    let start = unsafe { (*array.as_array_ptr()).fields.data } as usize;
    start.is_multiple_of(size)
        && array
            .strides()
            .iter()
            .all(|stride| stride % size as isize == 0)
}

/// The accepted kinds of dtype.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Float16,
    Bfloat16,
    Float32,
    Float64,
    /// Integers and bools.
    Whole,
    Unknown,
}

impl Kind {
    pub(super) fn of(dtype: &Bound<'_, PyArrayDescr>) -> PyResult<Self> {
        Ok(match (dtype.kind(), dtype.itemsize()) {
            (b'f', 2) => Self::Float16,
            (b'f', 4) => Self::Float32,
            (b'f', 8) => Self::Float64,
            (b'i' | b'u' | b'b', _) => Self::Whole,
            // The type of the package ml_dtypes, which is imported if there is an array of it: only
            // then can NumPy be asked for the dtype.
            (b'V', 2) if dtype.getattr("name")?.eq("bfloat16")? => Self::Bfloat16,
            _ => Self::Unknown,
        })
    }
}

/// A TypeError where one argument is of `float16` and another of `bfloat16`: neither holds what the
/// other does.
pub(super) fn check_not_mixed<T: Scalar>(
    dtype: &Bound<'_, PyArrayDescr>,
    name: &str,
) -> PyResult<()> {
    let other = match T::ENCODING {
        float::Encoding::Own => return Ok(()),
        float::Encoding::F16 => Kind::Bfloat16,
        _ => Kind::Float16,
    };
    if Kind::of(dtype)? != other {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!(
        "{name} has dtype {dtype} beside an array of {}; float16 and bfloat16 do not mix: convert \
         one of them, for instance with np.asarray({name}, np.float32)",
        T::NAME
    )))
}

/// Any array-like as an ndarray.
///
/// Converting an object may run any code, which may change arrays that are converted already. So a
/// call with several arguments converts them all before it looks at one of them.
pub(super) fn given<'py>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    Ok(conversion(object, name)?.unwrap_or_else(|| object.clone()))
}

/// [`given`] where there is something to convert.
pub(super) fn conversion<'py>(
    object: &Bound<'py, PyAny>,
    name: &str,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if is_exact(object) {
        return Ok(None);
    }
    check_mask(
        object,
        name,
        &format!(
            "whose values mean nothing; fill them first, for instance with {name}.filled(0), or \
             with {name}.filled(-np.inf) to leave classes out (what where=~x.mask does in functions \
             that have where=)"
        ),
    )?;
    interop::asarray(object, name).map(Some)
}

/// [`given`] for an argument that may be left out.
pub(super) fn given_if_any<'py>(
    object: Option<&Bound<'py, PyAny>>,
    name: &str,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    object.map(|object| given(object, name)).transpose()
}

/// [`given`] for a mask.
pub(super) fn given_mask<'py>(
    object: Option<&Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let mask = |object: &Bound<'py, PyAny>| {
        let how =
            "whose values mean nothing; fill them first, for instance with where.filled(False)";
        check_mask(object, "where", how)?;
        interop::asarray(object, "where")
    };
    object.map(mask).transpose()
}

/// Any array-like as an ndarray of an accepted dtype.
pub(super) fn numeric<'py>(
    object: &Bound<'py, PyAny>,
    name: &str,
) -> PyResult<Bound<'py, PyUntypedArray>> {
    let array = given(object, name)?.cast_into::<PyUntypedArray>()?;
    if Kind::of(&array.dtype())? != Kind::Unknown {
        return Ok(array);
    }
    Err(advice::wrong_dtype(&array, name)?)
}

/// A TypeError for a masked array that masks something: what it says of the elements ends in what to
/// do.
fn check_mask(object: &Bound<'_, PyAny>, name: &str, how: &str) -> PyResult<()> {
    static MASKED_ARRAY: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = object.py();
    if is_exact(object) || !object.is_instance_of::<PyUntypedArray>() {
        return Ok(());
    }
    let masked_array = MASKED_ARRAY.import(py, "numpy.ma", "MaskedArray")?;
    if !object.is_instance(masked_array)? {
        return Ok(());
    }
    let masked = py
        .import("numpy.ma")?
        .call_method1("count_masked", (object,))?;
    if masked.eq(0)? {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!(
        "{name} is a masked array with {masked} masked elements, {how}"
    )))
}

/// An array as one of `T`, without a copy if it is native and aligned.
pub(super) fn cast<'py, T: Element>(
    array: &Bound<'py, PyUntypedArray>,
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    if let Ok(same) = array.cast::<PyArrayDyn<T>>()
        && is_aligned::<T>(same.as_untyped())
    {
        return Ok(same.clone());
    }
    copy_as(array.as_any())
}

/// A new array of `T` with the same elements.
fn copy_as<'py, T: Element>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    static ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = object.py();
    let options = PyDict::new(py);
    options.set_item("dtype", T::get_dtype(py))?;
    options.set_item("copy", true)?;
    options.set_item("subok", false)?;
    let array = ARRAY.import(py, "numpy", "array")?;
    // NumPy, too, lets other threads run while it copies.
    let _reference = PyWeakrefReference::new(object)?;
    let copy = quietly(py, || array.call((object,), Some(&options)))?;
    Ok(copy.cast_into::<PyArrayDyn<T>>()?)
}

/// Any array-like as an array of `T`.
pub(super) fn converted<'py, T: Element>(
    object: &Bound<'py, PyAny>,
    name: &str,
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    match plain::<T>(object) {
        Some(array) => Ok(array),
        None => cast(&numeric(object, name)?),
    }
}

/// An array beside the scores: of their dtype, or of the type that they are computed with.
pub(super) enum Companion<'py, T: Scalar> {
    Same(Bound<'py, PyArrayDyn<T>>),
    Wide(Bound<'py, PyArrayDyn<T::Compute>>),
    /// Of `f64` beside `f32`, with whether some number is no `f32`.
    Double(Bound<'py, PyArrayDyn<f64>>, bool),
    Long(Bound<'py, PyArrayDyn<i64>>),
    /// Bools, as bytes.
    Bool(Bound<'py, PyArrayDyn<u8>>),
}

impl<'py, T: Scalar> Companion<'py, T> {
    /// Any array-like, rounded to what is computed with if it is wider.
    pub(super) fn new(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Self> {
        if let Some(array) = plain::<T>(object) {
            return Ok(Self::Same(array));
        }
        let array = numeric(object, name)?;
        check_not_mixed::<T>(&array.dtype(), name)?;
        Self::converted(&array)
    }

    fn converted(array: &Bound<'py, PyUntypedArray>) -> PyResult<Self> {
        if T::ENCODING == float::Encoding::Own || array.cast::<PyArrayDyn<T>>().is_ok() {
            cast(array).map(Self::Same)
        } else {
            cast(array).map(Self::Wide)
        }
    }

    /// Any array-like as it is, if what is computed with holds it: numbers of `float64` beside
    /// narrower ones as two of them.
    pub(super) fn in_parts(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Option<Self>> {
        if let Some(array) = plain::<T>(object) {
            return Ok(Some(Self::Same(array)));
        }
        let array = numeric(object, name)?;
        let dtype = array.dtype();
        check_not_mixed::<T>(&dtype, name)?;
        let is_narrow = size_of::<T::Compute>() < size_of::<f64>();
        match (Kind::of(&dtype)?, dtype.kind(), dtype.itemsize()) {
            (Kind::Float64, ..) if is_narrow => {
                let array = cast::<f64>(&array)?;
                let fit = fit(&array)?;
                Ok((!fit.is_extreme).then_some(Self::Double(array, fit.is_wide)))
            }
            (Kind::Whole, b'b', _) => bytes(&array).map(|bytes| Some(Self::Bool(bytes))),
            (Kind::Whole, b'i', 8) => cast(&array).map(|array| Some(Self::Long(array))),
            _ => Self::converted(&array).map(Some),
        }
    }

    /// The elements, as what is computed with.
    pub(super) fn view<'a>(&'a self, hold: &'a Hold<'py>) -> PyResult<View<'a, T::Compute>> {
        match self {
            Self::Same(array) => hold.elements_of(array),
            Self::Wide(array) => hold.view(array),
            Self::Double(array, _) => hold.encoded(array, float::Encoding::F64High),
            Self::Long(array) => hold.encoded(array, float::Encoding::I64),
            Self::Bool(array) => hold.encoded(array, float::Encoding::Bool),
        }
    }

    /// The same with what they lack.
    pub(super) fn parts<'a>(&'a self, hold: &'a Hold<'py>) -> PyResult<Parts<'a, T::Compute>> {
        let low = match self {
            Self::Double(array, true) => Some(hold.encoded(array, float::Encoding::F64Low)?),
            _ => None,
        };
        let high = self.view(hold)?;
        Ok(Parts { high, low })
    }

    /// Kept clear of outputs.
    pub(super) fn separate(self, outputs: &[Output<'py, T>]) -> PyResult<Self> {
        match self {
            Self::Same(array) => separate(outputs, array).map(Self::Same),
            Self::Wide(array) => separate(outputs, array).map(Self::Wide),
            Self::Double(array, is_wide) => {
                separate(outputs, array).map(|array| Self::Double(array, is_wide))
            }
            Self::Long(array) => separate(outputs, array).map(Self::Long),
            Self::Bool(array) => separate(outputs, array).map(Self::Bool),
        }
    }

    pub(super) fn as_untyped(&self) -> &Bound<'py, PyUntypedArray> {
        match self {
            Self::Same(array) => array.as_untyped(),
            Self::Wide(array) => array.as_untyped(),
            Self::Double(array, _) => array.as_untyped(),
            Self::Long(array) => array.as_untyped(),
            Self::Bool(array) => array.as_untyped(),
        }
    }
}

/// Whether numbers are those of `f32`, or sums of two.
fn fit(array: &Bound<'_, PyArrayDyn<f64>>) -> PyResult<Fit> {
    let (py, count) = (array.py(), array.len());
    let hold = Hold::new(py, count);
    let numbers = hold.view(array)?.elements();
    run(py, count, || {
        let mut all = Fit::default();
        read_values(&numbers, &FitKernel, |fit| all.add(fit))?;
        Ok(all)
    })
}

/// Weights as `f64`, kept clear of outputs.
pub(super) fn weights<'py, T: Scalar>(
    object: &Bound<'py, PyAny>,
    name: &str,
    outputs: &[Output<'py, T>],
) -> PyResult<Bound<'py, PyArrayDyn<f64>>> {
    let weights = if let Some(array) = plain(object) {
        array
    } else {
        let array = numeric(object, name)?;
        check_not_mixed::<T>(&array.dtype(), name)?;
        cast(&array)?
    };
    separate(outputs, weights)
}

/// A mask that was [`given_mask`] as bytes, 0 where it is False.
pub(super) fn mask(array: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyArrayDyn<u8>>> {
    let array = array.cast_into::<PyUntypedArray>()?;
    if array.dtype().kind() != b'b' {
        return Err(advice::wrong_mask(&array));
    }
    bytes(&array)
}

/// An array of bools as bytes, which need not be 0 or 1 where another program wrote them.
fn bytes<'py>(bools: &Bound<'py, PyUntypedArray>) -> PyResult<Bound<'py, PyArrayDyn<u8>>> {
    let bytes = bools.call_method1("view", ("uint8",))?;
    Ok(bytes.cast_into::<PyArrayDyn<u8>>()?)
}

/// A copy of the elements of an array.
pub(super) fn elements(array: &Bound<'_, PyArrayDyn<f64>>) -> PyResult<Vec<f64>> {
    let hold = Hold::new(array.py(), 0);
    let rows = hold.view(array)?.elements();
    let mut elements = reserved(rows.count())?;
    elements.extend((0..rows.count()).map(|row| rows.value(row)));
    Ok(elements)
}

/// Arrays up to so many bytes are there for the asking: allocators keep some memory in hand.
const LARGE: usize = 1 << 17;

/// A new array, its elements yet to be written, in Fortran order if `like` is.
pub(super) fn empty<'py, T: Element>(
    py: Python<'py>,
    shape: &[usize],
    fortran: bool,
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    let bytes = shape
        .iter()
        .fold(size_of::<T>(), |bytes, &size| bytes.saturating_mul(size));
    if bytes > LARGE {
        // NumPy's own function has an error for what cannot be allocated.
        static EMPTY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let arguments = (
            PyTuple::new(py, shape)?,
            T::get_dtype(py),
            if fortran { "F" } else { "C" },
        );
        let array = EMPTY.import(py, "numpy", "empty")?.call1(arguments)?;
        return Ok(array.cast_into::<PyArrayDyn<T>>()?);
    }
    // SAFETY: float elements may hold anything, and every operation writes all of them.
    Ok(unsafe { PyArray::new(py, IxDyn(shape), fortran) })
}

/// A new array of elements in the order of the indices.
pub(super) fn from_vec<'py, T: Element>(
    py: Python<'py>,
    elements: Vec<T>,
    shape: &[usize],
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    PyArray::from_vec(py, elements).reshape(IxDyn(shape))
}

/// A result: the array, or a scalar if it has no dimensions.
pub(super) fn result<T: Element>(array: Bound<'_, PyArrayDyn<T>>) -> PyResult<Bound<'_, PyAny>> {
    if array.ndim() > 0 {
        return Ok(array.into_any());
    }
    // SAFETY: the one element is initialised, and numbers are copied by reading them.
    scalar(array.py(), unsafe { array.data().read() })
}

/// A NumPy scalar.
pub(super) fn scalar<T: Element>(py: Python<'_>, mut value: T) -> PyResult<Bound<'_, PyAny>> {
    let dtype = T::get_dtype(py);
    // SAFETY: `value` is an element of `dtype`, which NumPy copies; a new reference comes back.
    unsafe {
        let scalar = PY_ARRAY_API.PyArray_Scalar(
            py,
            (&raw mut value).cast(),
            dtype.as_dtype_ptr(),
            std::ptr::null_mut(),
        );
        Bound::from_owned_ptr_or_err(py, scalar)
    }
}

/// A result array: the caller's `out`, or a new one.
pub(super) struct Output<'py, T: Scalar> {
    /// What is written to.
    array: Bound<'py, PyArrayDyn<T>>,
    /// The caller's array, if another one is written to in its place.
    copy_to: Option<Bound<'py, PyUntypedArray>>,
    /// Whether the caller gave it.
    given: bool,
}

impl<'py, T: Scalar> Output<'py, T> {
    /// A place for a result of the shape of `like`.
    pub(super) fn new(
        out: Option<&Bound<'py, PyAny>>,
        like: &Bound<'py, PyArrayDyn<T>>,
    ) -> PyResult<Self> {
        let [output] = Self::several([out], like)?;
        Ok(output)
    }

    /// Places for so many results of the shape of `like`, which do not overlap.
    pub(super) fn several<const N: usize>(
        out: [Option<&Bound<'py, PyAny>>; N],
        like: &Bound<'py, PyArrayDyn<T>>,
    ) -> PyResult<[Self; N]> {
        const NAMES: [&str; 2] = ["out[0]", "out[1]"];
        let name = |index| if N == 1 { "out" } else { NAMES[index] };
        // A subclass's own code may run here, and change arrays that were looked at before.
        for (index, out) in out.into_iter().enumerate() {
            let Some(out) = out else { continue };
            let name = name(index);
            let how = format!("under which results would be hidden; give {name}.data instead");
            check_mask(out, name, &how)?;
        }
        let mut outputs = out.map(|_| None);
        for (index, output) in outputs.iter_mut().enumerate() {
            *output = Some(Self::named(name(index), out[index], like)?);
        }
        let given: Vec<_> = out.into_iter().flatten().collect();
        if let [first, second] = given[..]
            && share_memory(first, second)?
        {
            return Err(PyValueError::new_err(
                "out[0] and out[1] overlap, but the gradient and the Hessian are two results; give \
                 arrays that share no memory",
            ));
        }
        Ok(outputs.map(|output| output.expect("each is made above")))
    }

    fn named(
        name: &str,
        out: Option<&Bound<'py, PyAny>>,
        like: &Bound<'py, PyArrayDyn<T>>,
    ) -> PyResult<Self> {
        let py = like.py();
        let Some(out) = out else {
            return Self::fresh(like);
        };
        let array = checked_out(name, out, like)?;
        match array.cast::<PyArrayDyn<T>>() {
            Ok(typed) if is_aligned::<T>(array) => Ok(Self {
                array: typed.clone(),
                copy_to: None,
                given: true,
            }),
            _ => Ok(Self {
                array: empty(py, like.shape(), false)?,
                copy_to: Some(array.clone()),
                given: true,
            }),
        }
    }

    /// What is written to: free of overlaps, and writable when it was looked at.
    pub(super) fn array(&self) -> &Bound<'py, PyArrayDyn<T>> {
        &self.array
    }

    /// A new array of the shape and order of another.
    pub(super) fn fresh<U: Element>(like: &Bound<'py, PyArrayDyn<U>>) -> PyResult<Self> {
        let fortran = like.is_fortran_contiguous() && !like.is_c_contiguous();
        Ok(Self {
            array: empty(like.py(), like.shape(), fortran)?,
            copy_to: None,
            given: false,
        })
    }

    /// An input as it may be read while the output is written: itself, or a copy if the output
    /// lies across it otherwise than element for element.
    pub(super) fn separate<U: Element>(
        &self,
        input: Bound<'py, PyArrayDyn<U>>,
    ) -> PyResult<Bound<'py, PyArrayDyn<U>>> {
        let same = size_of::<T>() == size_of::<U>()
            && input.data().cast::<u8>() == self.array.data().cast::<u8>()
            && input.shape() == self.array.shape()
            && input.strides() == self.array.strides();
        if same { Ok(input) } else { self.apart(input) }
    }

    /// An input that is read again after some of the output has been written: itself, or a copy if
    /// the two share memory in any way.
    pub(super) fn apart<U: Element>(
        &self,
        input: Bound<'py, PyArrayDyn<U>>,
    ) -> PyResult<Bound<'py, PyArrayDyn<U>>> {
        if !self.given || self.copy_to.is_some() || !overlap(&input, &self.array) {
            Ok(input)
        } else {
            copy_as(input.as_any())
        }
    }

    /// Copies another result of the same shape, rounding it.
    pub(super) fn assign<U: Scalar>(&self, other: &Output<'py, U>) -> PyResult<()> {
        let py = self.array.py();
        quietly(py, || {
            copy_to(self.array.as_untyped(), other.array.as_untyped())
        })
    }

    /// What the caller gets back: an array, whatever its dimensions.
    pub(super) fn finish_array(self) -> PyResult<Bound<'py, PyAny>> {
        match self.copy_to {
            Some(out) => {
                copy_to(&out, self.array.as_untyped())?;
                Ok(out.into_any())
            }
            None => Ok(self.array.into_any()),
        }
    }

    /// What the caller gets back: as NumPy's functions of elements do, a scalar for an array
    /// without dimensions that the caller did not give.
    pub(super) fn finish(self) -> PyResult<Bound<'py, PyAny>> {
        if self.given {
            self.finish_array()
        } else {
            result(self.array)
        }
    }
}

/// Runs a function of NumPy's without a warning where a number becomes infinite, 0 or NaN.
pub(super) fn quietly<R>(py: Python<'_>, conversion: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    let options = PyDict::new(py);
    options.set_item("over", "ignore")?;
    options.set_item("under", "ignore")?;
    options.set_item("invalid", "ignore")?;
    let state = py.import("numpy")?;
    let state = state.call_method("errstate", (), Some(&options))?;
    state.call_method0("__enter__")?;
    let result = conversion();
    state.call_method1("__exit__", (py.None(), py.None(), py.None()))?;
    result
}

/// Copies elements to an array that was checked, by NumPy's own means: those of a subclass are not to
/// be used.
fn copy_to(out: &Bound<'_, PyUntypedArray>, from: &Bound<'_, PyUntypedArray>) -> PyResult<()> {
    let (py, out, from) = (out.py(), out.as_array_ptr(), from.as_array_ptr());
    // SAFETY: both are live arrays; NumPy checks the rest.
    match unsafe { PY_ARRAY_API.PyArray_CopyInto(py, out, from) } {
        0 => Ok(()),
        _ => Err(PyErr::fetch(py)),
    }
}

/// What a function makes of each of several.
pub(super) fn each<A, B, const N: usize>(
    several: [A; N],
    function: impl Fn(A) -> PyResult<B>,
) -> PyResult<[B; N]> {
    let mut results = several.map(|one| Some(function(one)));
    for result in &mut results {
        if let Some(Err(_)) = result
            && let Some(Err(error)) = result.take()
        {
            return Err(error);
        }
    }
    Ok(results.map(|result| match result {
        Some(Ok(one)) => one,
        _ => unreachable!("errors are returned above"),
    }))
}

/// An input as it may be read while outputs are written, of which only the first may be the input:
/// see [`Output::separate`].
pub(super) fn separate<'py, T: Scalar, U: Element>(
    outputs: &[Output<'py, T>],
    input: Bound<'py, PyArrayDyn<U>>,
) -> PyResult<Bound<'py, PyArrayDyn<U>>> {
    let Some((first, others)) = outputs.split_first() else {
        return Ok(input);
    };
    apart(others, first.separate(input)?)
}

/// An input that is read again after some of the outputs has been written: see [`Output::apart`].
pub(super) fn apart<'py, T: Scalar, U: Element>(
    outputs: &[Output<'py, T>],
    input: Bound<'py, PyArrayDyn<U>>,
) -> PyResult<Bound<'py, PyArrayDyn<U>>> {
    let mut outputs = outputs.iter();
    outputs.try_fold(input, |input, output| output.apart(input))
}

/// Steps that a comparison of where two arrays lie may take.
const STEPS: usize = 1 << 20;

/// Whether two arrays have an element in common, or might, where that takes too long to tell.
fn share_memory(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<bool> {
    let numpy = a.py().import("numpy")?;
    // Subclasses answer for themselves, which is not to be trusted.
    let [a, b] = [a, b].map(|array| numpy.call_method1("asarray", (array,)));
    let shared = numpy.call_method1("shares_memory", (a?, b?, STEPS));
    match shared {
        Err(error) if is_too_hard(&numpy, &error)? => Ok(true),
        shared => shared?.is_truthy(),
    }
}

/// Whether NumPy gave up on a comparison.
fn is_too_hard(numpy: &Bound<'_, PyModule>, error: &PyErr) -> PyResult<bool> {
    let class = numpy.getattr("exceptions")?.getattr("TooHardError")?;
    Ok(error.is_instance(numpy.py(), &class))
}

/// Whether two arrays share any of the memory that they span.
fn overlap<T: Element, U: Element>(
    a: &Bound<'_, PyArrayDyn<T>>,
    b: &Bound<'_, PyArrayDyn<U>>,
) -> bool {
    let (a, b) = (span(a), span(b));
    a.start < b.end && b.start < a.end
}

/// The addresses from an array's first byte to its last.
fn span<T: Element>(array: &Bound<'_, PyArrayDyn<T>>) -> std::ops::Range<usize> {
    let start = array.data() as usize;
    if array.is_empty() {
        return start..start;
    }
    let (mut low, mut high) = (0, 0);
    for (&size, &stride) in array.shape().iter().zip(array.strides()) {
        let reach = (size as isize - 1) * stride;
        low += reach.min(0);
        high += reach.max(0);
    }
    start.wrapping_add_signed(low)..start.wrapping_add_signed(high) + size_of::<T>()
}

/// `out` as an array that can be written to.
fn checked_out<'a, 'py, T: Element>(
    name: &str,
    out: &'a Bound<'py, PyAny>,
    like: &Bound<'py, PyArrayDyn<T>>,
) -> PyResult<&'a Bound<'py, PyUntypedArray>> {
    let Ok(array) = out.cast::<PyUntypedArray>() else {
        return Err(PyTypeError::new_err(format!(
            "{name} is of type {}, expected a NumPy array",
            out.get_type().name()?
        )));
    };
    let (dtype, expected) = (array.dtype(), like.dtype());
    if Kind::of(&dtype)? != Kind::of(&expected)? {
        return Err(PyTypeError::new_err(format!(
            "{name} has dtype {dtype}, expected {expected}, the dtype of the result"
        )));
    }
    let value_error = |message: String| Err(PyValueError::new_err(message));
    if !dtype.is_native_byteorder().unwrap_or(true) {
        return value_error(format!(
            "{name} has the byte-swapped dtype {dtype}; give an array of native byte order"
        ));
    }
    if array.shape() != like.shape() {
        return value_error(format!(
            "{name} has shape {:?}, expected {:?}, the shape of the result",
            array.shape(),
            like.shape()
        ));
    }
    // SAFETY: the array is alive; its flags are only looked at.
    let flags = unsafe { (*array.as_array_ptr()).fields.flags };
    if flags & npyffi::NPY_ARRAY_WRITEABLE == 0 {
        return value_error(format!(
            "{name} is read-only; give an array that can be written to"
        ));
    }
    if overlaps_itself(array.shape(), array.strides(), size_of::<T>()) {
        return value_error(format!(
            "{name} overlaps itself: several of its elements are the same memory; give an array of \
             distinct elements, for instance {name}.copy()"
        ));
    }
    Ok(array)
}

/// Whether two elements of an array share memory.
fn overlaps_itself(shape: &[usize], strides: &[isize], itemsize: usize) -> bool {
    if shape.contains(&0) {
        return false;
    }
    let dims = shape.iter().zip(strides).filter(|(size, _)| **size > 1);
    let mut dims: Vec<_> = dims.map(|(&size, s)| (s.unsigned_abs(), size)).collect();
    dims.sort_unstable();
    let mut reach = itemsize;
    let apart = dims.iter().all(|&(stride, size)| {
        let free = stride >= reach;
        reach = reach.saturating_add(stride.saturating_mul(size - 1));
        free
    });
    if apart {
        return false;
    }
    // Dimensions may interleave without a collision; the addresses tell, where they can be listed.
    if shape.iter().product::<usize>() > 1 << 24 {
        return true;
    }
    let mut starts = vec![0_usize];
    for (stride, size) in dims {
        starts = (0..size)
            .flat_map(|index| starts.iter().map(move |start| start + index * stride))
            .collect();
    }
    starts.sort_unstable();
    starts.windows(2).any(|pair| pair[1] - pair[0] < itemsize)
}
