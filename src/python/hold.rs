//! Arrays as views for the time of a call, during which they stay where they are.
//!
//! Whatever is told of an array is told here and as it is then: code of the caller's, which runs while
//! arguments are converted, and other threads may change it before.

use std::cell::RefCell;

use numpy::{
    Element, PyArrayDescr, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;

use super::array::{Output, Scalar, is_aligned};
use super::threads::is_long;
use crate::float::Encoding;
use crate::lanes::{View, ViewMut};

/// What keeps the memory of arrays in its place while a call works on it.
///
/// References keep an array alive, but `resize(refcheck=False)` frees its memory all the same, and
/// another thread may call that while the interpreter's lock is released. NumPy refuses to as long as
/// there is a weak reference, whatever `refcheck` is.
pub(super) struct Hold<'py> {
    py: Python<'py>,
    /// Whether the lock will be released, so that it is worth the time.
    is_long: bool,
    references: RefCell<Vec<Bound<'py, PyWeakrefReference>>>,
}

impl<'py> Hold<'py> {
    /// For work on so many elements.
    pub(super) fn new(py: Python<'py>, elements: usize) -> Self {
        Self {
            py,
            is_long: is_long(elements),
            references: RefCell::default(),
        }
    }

    /// Keeps the memory of an array, which may be that of another it is a view of.
    fn refer_to(&self, array: &Bound<'py, PyUntypedArray>) -> PyResult<()> {
        let mut next = Some(array.clone());
        while let Some(array) = next {
            let reference = PyWeakrefReference::new(&array)?;
            self.references.borrow_mut().push(reference);
            // SAFETY: the array is alive, and so is its base, if it has one, which becomes a
            // reference of its own.
            let base = unsafe {
                let base = (*array.as_array_ptr()).fields.base;
                Bound::from_borrowed_ptr_or_opt(self.py, base)
            };
            next = base.and_then(|base| base.cast_into::<PyUntypedArray>().ok());
        }
        Ok(())
    }

    /// Where an array lies, its shape and its strides, as they are now: since the array was
    /// converted, code of the caller's or another thread may have changed it.
    #[inline(always)]
    fn place<'a, T: Element>(
        &self,
        array: &'a Bound<'py, PyArrayDyn<T>>,
    ) -> PyResult<(*mut T, &'a [usize], impl ExactSizeIterator<Item = isize>)> {
        if self.is_long {
            self.refer_to(array.as_untyped())?;
        }
        if !is_still::<T>(array.as_untyped()) {
            return Err(changed(&T::get_dtype(self.py), &array.dtype()));
        }
        let strides = array.strides().iter().map(|s| s / size_of::<T>() as isize);
        Ok((array.data(), array.shape(), strides))
    }

    /// The elements of an array.
    #[inline(always)]
    pub(super) fn view<'a, T: Element>(
        &'a self,
        array: &'a Bound<'py, PyArrayDyn<T>>,
    ) -> PyResult<View<'a, T>> {
        let (start, shape, strides) = self.place(array)?;
        // SAFETY: NumPy keeps shape, strides and data consistent, `place` has seen that the array is
        // aligned and of `T`, and the references keep it and its memory. That no other thread
        // writes to it while the interpreter's lock is released is the caller's promise, as in
        // NumPy itself.
        Ok(unsafe { View::from_raw(start, shape.iter().copied(), strides) })
    }

    /// The elements of an array as what they are computed with.
    #[inline(always)]
    pub(super) fn elements_of<'a, T: Scalar>(
        &'a self,
        array: &'a Bound<'py, PyArrayDyn<T>>,
    ) -> PyResult<View<'a, T::Compute>> {
        let (start, shape, strides) = self.place(array)?;
        // SAFETY: as in `view`.
        Ok(unsafe { View::from_elements(start, shape.iter().copied(), strides) })
    }

    /// The elements of an array in an encoding of theirs.
    #[inline(always)]
    pub(super) fn encoded<'a, E: Element, T>(
        &'a self,
        array: &'a Bound<'py, PyArrayDyn<E>>,
        encoding: Encoding,
    ) -> PyResult<View<'a, T>> {
        assert!(encoding.size::<T>() == size_of::<E>());
        let (start, shape, strides) = self.place(array)?;
        // SAFETY: as in `view`; integers, bytes and floats of that size may be read as such.
        Ok(unsafe { View::from_encoded(start, encoding, shape.iter().copied(), strides) })
    }

    /// An array to write to.
    #[inline(always)]
    pub(super) fn elements_mut<'a, T: Scalar>(
        &'a self,
        output: &'a Output<'py, T>,
    ) -> PyResult<ViewMut<'a, T::Compute>> {
        let (start, shape, strides) = self.place(output.array())?;
        // SAFETY: as in `view`; besides, the array is one of our own, or was checked by
        // `Output::new` to be writable and free of overlaps.
        Ok(unsafe { ViewMut::from_elements(start, shape.iter().copied(), strides) })
    }
}

/// The error for an array whose dtype changed under a call.
#[cold]
fn changed(from: &Bound<'_, PyArrayDescr>, to: &Bound<'_, PyArrayDescr>) -> PyErr {
    PyValueError::new_err(format!(
        "an array of {from} was made one of {to} while the call began; keep the arguments as they \
         are until it returns"
    ))
}

/// Whether an array that was one of `T`, aligned, is so still.
fn is_still<T: Element>(array: &Bound<'_, PyUntypedArray>) -> bool {
    let dtype = T::get_dtype(array.py());
    // SAFETY: the array is alive; which dtype it has is only looked at.
    let same = unsafe { (*array.as_array_ptr()).fields.descr } == dtype.as_dtype_ptr();
    (same || array.dtype().is_equiv_to(&dtype)) && is_aligned::<T>(array)
}
