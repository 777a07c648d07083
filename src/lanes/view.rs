//! Strided views of arrays of any dimension, and how they are cut into rows along axes.
//!
//! Here belong shapes, strides, axes and broadcasting. Nothing is computed and nothing runs in
//! parallel here.

use std::marker::PhantomData;

use ndarray::{ArrayView, ArrayViewMut, Dimension};
use smallvec::SmallVec;

#[cfg(any(test, feature = "python"))]
use super::rows::NESTED;
use super::rows::{Rows, collapse};
use crate::error::{Error, Result};
use crate::float::{Element, Encoding};

/// A small list: most arrays have few dimensions.
pub(crate) type Dims<T> = SmallVec<[T; INLINE]>;

/// Dimensions that need no memory of their own.
const INLINE: usize = 4;

/// Collects a few values several times as fast as `SmallVec` does, which counts for arrays of few
/// elements.
#[inline(always)]
fn dims<T: Copy + Default>(
    values: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
) -> Dims<T> {
    let values = values.into_iter();
    let len = values.len();
    if len > INLINE {
        return values.collect();
    }
    let mut few = [T::default(); INLINE];
    few.iter_mut()
        .zip(values)
        .for_each(|(place, value)| *place = value);
    SmallVec::from_buf_and_len(few, len)
}

/// A read-only view of elements that are computed with as `T`: a pointer with a shape and strides
/// counted in elements.
#[derive(Clone, Debug)]
pub(crate) struct View<'a, T> {
    start: *const T,
    /// What lies there; `start` points to a `T` only where that is one.
    encoding: Encoding,
    shape: Dims<usize>,
    strides: Dims<isize>,
    memory: PhantomData<&'a T>,
}

/// Elements, or those of two views added: of `f64`, where `f32` is computed with.
#[derive(Clone, Debug)]
pub(crate) struct Parts<'a, T> {
    pub(crate) high: View<'a, T>,
    /// What the elements lack.
    pub(crate) low: Option<View<'a, T>>,
}

impl<'a, T> From<View<'a, T>> for Parts<'a, T> {
    fn from(high: View<'a, T>) -> Self {
        Self { high, low: None }
    }
}

impl<T> Parts<'_, T> {
    /// The same elements repeated to a shape, by NumPy's rules.
    pub(crate) fn broadcast(&self, shape: &[usize]) -> Option<Self> {
        let high = self.high.broadcast(shape)?;
        let low = self.low.as_ref().and_then(|low| low.broadcast(shape));
        Some(Self { high, low })
    }
}

/// A view to write to; no two of its elements are the same memory.
#[derive(Debug)]
pub(crate) struct ViewMut<'a, T> {
    view: View<'a, T>,
    memory: PhantomData<&'a mut T>,
}

// SAFETY: a view gives shared access to elements, as `&[T]` does.
unsafe impl<T: Sync> Send for View<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for View<'_, T> {}

/// What is written: an array, which may be an input, element for element, and perhaps a second one,
/// which overlaps neither the first nor an input.
#[derive(Clone, Copy)]
pub(crate) struct Outputs<'a, 'b, T> {
    pub(crate) first: &'a ViewMut<'b, T>,
    pub(crate) second: Option<&'a ViewMut<'b, T>>,
}

impl<'a, 'b, T> From<&'a ViewMut<'b, T>> for Outputs<'a, 'b, T> {
    fn from(first: &'a ViewMut<'b, T>) -> Self {
        let second = None;
        Self { first, second }
    }
}

impl<'a, 'b, T> Outputs<'a, 'b, T> {
    /// The first one or two of the arrays, if there are any.
    pub(crate) fn of(outputs: &'a [ViewMut<'b, T>]) -> Option<Self> {
        let second = outputs.get(1);
        outputs.first().map(|first| Self { first, second })
    }

    pub(super) fn have_shape(&self, shape: &[usize]) -> bool {
        let mut all = std::iter::once(self.first).chain(self.second);
        all.all(|output| output.shape() == shape)
    }

    /// The rows of each along an axis.
    pub(super) fn rows(&self, axis: usize) -> [Option<Rows<'b, T>>; 2] {
        // Not mapped, as in `blocks`.
        let second = self.second.map(|output| output.rows(axis));
        [Some(self.first.rows(axis)), second]
    }
}

impl<'a, T> View<'a, T> {
    /// # Safety
    /// Every element that the shape and strides reach from `start` is readable for `'a`, aligned,
    /// and is written by nobody but the caller's own output view.
    #[inline(always)]
    pub(crate) unsafe fn from_raw(
        start: *const T,
        shape: impl IntoIterator<Item = usize, IntoIter: ExactSizeIterator>,
        strides: impl IntoIterator<Item = isize, IntoIter: ExactSizeIterator>,
    ) -> Self {
        Self {
            start,
            encoding: Encoding::Own,
            shape: dims(shape),
            strides: dims(strides),
            memory: PhantomData,
        }
    }

    /// A view of elements of either kind: of the type computed with, or encoded as another.
    ///
    /// # Safety
    /// As for [`View::from_raw`], with `start` as what the elements are.
    #[inline(always)]
    pub(crate) unsafe fn from_elements<E: Element<Compute = T>>(
        start: *const E,
        shape: impl IntoIterator<Item = usize, IntoIter: ExactSizeIterator>,
        strides: impl IntoIterator<Item = isize, IntoIter: ExactSizeIterator>,
    ) -> Self {
        // SAFETY: promised by the caller; with its encoding the view never reads another type.
        let view = unsafe { Self::from_raw(start.cast(), shape, strides) };
        Self {
            encoding: E::ENCODING,
            ..view
        }
    }

    /// A view of elements of whatever encoding.
    ///
    /// # Safety
    /// As for [`View::from_raw`], with `start` as what that encoding says.
    #[cfg(feature = "python")]
    #[inline(always)]
    pub(crate) unsafe fn from_encoded<E>(
        start: *const E,
        encoding: Encoding,
        shape: impl IntoIterator<Item = usize, IntoIter: ExactSizeIterator>,
        strides: impl IntoIterator<Item = isize, IntoIter: ExactSizeIterator>,
    ) -> Self {
        // SAFETY: promised by the caller; with its encoding the view never reads another type.
        let view = unsafe { Self::from_raw(start.cast(), shape, strides) };
        Self { encoding, ..view }
    }

    /// The elements of an ndarray.
    pub(crate) fn of<E: Element<Compute = T>, D: Dimension>(array: ArrayView<'a, E, D>) -> Self {
        let (shape, strides) = (array.shape().to_vec(), array.strides().to_vec());
        // SAFETY: ndarray keeps the elements readable for 'a and its strides within them.
        unsafe { Self::from_elements(array.as_ptr(), shape, strides) }
    }

    /// A view of one element, to be broadcast.
    pub(crate) fn scalar(value: &'a T) -> Self {
        // SAFETY: one element, which the reference keeps readable.
        unsafe { Self::from_raw(value, [], []) }
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) fn dimensions(&self) -> usize {
        self.shape.len()
    }

    /// How many elements there are.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The shape without an axis: that of one value for each row.
    pub(crate) fn shape_without(&self, axis: usize) -> Vec<usize> {
        self.shape_without_axes(&[axis])
    }

    /// The shape without several axes.
    pub(crate) fn shape_without_axes(&self, axes: &[usize]) -> Vec<usize> {
        let kept = (0..self.dimensions()).filter(|d| !axes.contains(d));
        kept.map(|d| self.shape[d]).collect()
    }

    /// An error unless the axis is one of the array's.
    pub(crate) fn check_axis(&self, axis: usize) -> Result<()> {
        let dimensions = self.dimensions();
        if axis < dimensions {
            Ok(())
        } else {
            Err(Error::AxisOutOfBounds { axis, dimensions })
        }
    }

    /// The same elements repeated to a shape, by NumPy's rules.
    pub(crate) fn broadcast(&self, shape: &[usize]) -> Option<Self> {
        let added = shape.len().checked_sub(self.dimensions())?;
        let mut strides = SmallVec::from_elem(0, added);
        for (index, &size) in self.shape.iter().enumerate() {
            if size == shape[added + index] {
                strides.push(self.strides[index]);
            } else if size == 1 {
                strides.push(0);
            } else {
                return None;
            }
        }
        Some(Self {
            shape: SmallVec::from_slice(shape),
            strides,
            ..*self
        })
    }

    /// The rows along an axis.
    pub(crate) fn rows(&self, axis: usize) -> Rows<'a, T> {
        let outer = (0..self.dimensions()).filter(|&d| d != axis);
        Rows {
            start: self.start,
            encoding: self.encoding,
            len: self.shape[axis],
            last_len: self.shape[axis],
            blocks: 1,
            stride: self.strides[axis],
            inner: Vec::new(),
            outer: collapse(outer.map(|d| (self.shape[d], self.strides[d]))),
            mask: None,
            memory: PhantomData,
        }
    }

    /// The rows over several axes, or none: the elements of a row are in the order of the axes as
    /// they are given.
    #[cfg(any(test, feature = "python"))]
    pub(crate) fn rows_over(&self, axes: &[usize]) -> Rows<'a, T> {
        let dimension = |d: usize| (self.shape[d], self.strides[d]);
        let outer = (0..self.dimensions()).filter(|d| !axes.contains(d));
        let len = axes.iter().map(|&d| self.shape[d]).product();
        let mut inner = collapse(axes.iter().map(|&d| dimension(d)));
        let stride = match inner.as_slice() {
            // Nor do rows without elements have places to tell.
            _ if len == 0 => 1,
            [] => 1,
            [(_, stride)] => *stride,
            _ => NESTED,
        };
        if stride != NESTED {
            inner.clear();
        }
        Rows {
            start: self.start,
            encoding: self.encoding,
            len,
            last_len: len,
            blocks: 1,
            stride,
            inner: inner.into_vec(),
            outer: collapse(outer.map(dimension)),
            mask: None,
            memory: PhantomData,
        }
    }

    /// Axes in the order that the elements lie in, so that as many as may be become one.
    #[cfg(feature = "python")]
    pub(crate) fn in_memory_order(&self, axes: &[usize]) -> Dims<usize> {
        let mut order = Dims::from_slice(axes);
        order.sort_by_key(|&d| std::cmp::Reverse(self.strides[d].unsigned_abs()));
        order
    }

    /// Every element as a row of its own, in the order of the indices.
    pub(crate) fn elements(&self) -> Rows<'a, T> {
        let dims = self.shape.iter().copied().zip(self.strides.iter().copied());
        Rows {
            start: self.start,
            encoding: self.encoding,
            len: 1,
            last_len: 1,
            blocks: 1,
            stride: 0,
            inner: Vec::new(),
            outer: collapse(dims),
            mask: None,
            memory: PhantomData,
        }
    }
}

impl<'a, T> ViewMut<'a, T> {
    /// A view of elements of either kind, as [`View::from_elements`].
    ///
    /// # Safety
    /// As for [`View::from_elements`]; besides, the elements are writable, no two are the same
    /// memory, and inputs used with it overlap it either not at all or element for element.
    pub(crate) unsafe fn from_elements<E: Element<Compute = T>>(
        start: *mut E,
        shape: impl IntoIterator<Item = usize, IntoIter: ExactSizeIterator>,
        strides: impl IntoIterator<Item = isize, IntoIter: ExactSizeIterator>,
    ) -> Self {
        Self {
            // SAFETY: promised by the caller.
            view: unsafe { View::from_elements(start, shape, strides) },
            memory: PhantomData,
        }
    }

    /// The elements of an ndarray.
    pub(crate) fn of<E: Element<Compute = T>, D: Dimension>(
        mut array: ArrayViewMut<'a, E, D>,
    ) -> Self {
        let start = array.as_mut_ptr();
        let (shape, strides) = (array.shape().to_vec(), array.strides().to_vec());
        // SAFETY: ndarray gives exclusive access for 'a, and mutable views never overlap
        // themselves or another view.
        unsafe { Self::from_elements(start, shape, strides) }
    }

    /// The place of the elements, for an operation that reads and writes them.
    pub(crate) fn as_input(&self) -> View<'a, T>
    where
        T: Clone,
    {
        self.view.clone()
    }

    pub(crate) fn shape(&self) -> &[usize] {
        self.view.shape()
    }

    /// The rows along an axis.
    pub(crate) fn rows(&self, axis: usize) -> Rows<'a, T> {
        self.view.rows(axis)
    }

    /// The rows over several axes, as [`View::rows_over`].
    #[cfg(feature = "python")]
    pub(crate) fn rows_over(&self, axes: &[usize]) -> Rows<'a, T> {
        self.view.rows_over(axes)
    }

    /// An error unless the shape is that of another array.
    pub(crate) fn check_shape(
        &self,
        name: &'static str,
        expected: &[usize],
        like: &'static str,
    ) -> Result<()> {
        check_shape(name, self.shape(), expected, like)
    }
}

/// A shape without an axis: that of what there is one of for each row.
pub(crate) fn shape_without(shape: &[usize], axis: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    shape.remove(axis);
    shape
}

/// An error unless two shapes are equal.
pub(crate) fn check_shape(
    name: &'static str,
    given: &[usize],
    expected: &[usize],
    like: &'static str,
) -> Result<()> {
    if given == expected {
        Ok(())
    } else {
        Err(Error::Shape {
            name,
            given: given.to_vec(),
            expected: expected.to_vec(),
            like,
        })
    }
}

impl<'a, T, D: Dimension> From<ArrayView<'a, T, D>> for View<'a, T> {
    fn from(array: ArrayView<'a, T, D>) -> Self {
        let (shape, strides) = (array.shape(), array.strides());
        // SAFETY: ndarray keeps the elements readable for 'a and its strides within them.
        unsafe { Self::from_raw(array.as_ptr(), shape.to_vec(), strides.to_vec()) }
    }
}

/// Elements of a block of an element-wise operation: a few kilobytes, which stay in L1.
pub(crate) const BLOCK: usize = 2048;

/// The same blocks of elements of inputs and outputs of one shape, in the order that suits the first
/// input: what an element-wise operation works on.
pub(crate) fn blocks<'a, T, const K: usize>(
    inputs: &[View<'a, T>; K],
    outputs: [Option<&ViewMut<'a, T>>; 2],
) -> ([Rows<'a, T>; K], [Option<Rows<'a, T>>; 2]) {
    let written = outputs.iter().flatten().map(|output| &output.view);
    let views: Dims<&View<'a, T>> = inputs.iter().chain(written).collect();
    let shape = inputs[0].shape();
    let mut order: Dims<usize> = (0..shape.len()).filter(|&d| shape[d] != 1).collect();
    // Where one has no elements there are to be no blocks, rather than many empty ones.
    order.sort_by_key(|&d| {
        let stride = inputs[0].strides[d].unsigned_abs();
        (shape[d] != 0, std::cmp::Reverse(stride))
    });

    // Dimensions are joined where they lie one behind the other in every array; the last of a
    // joined group gives its strides.
    let mut joined: Dims<(usize, usize)> = SmallVec::new();
    for dimension in order {
        let size = shape[dimension];
        let behind = |outer: usize| {
            let mut strides = views
                .iter()
                .map(|v| (v.strides[outer], v.strides[dimension]));
            strides.all(|(outer, inner)| outer == inner * size as isize)
        };
        match joined.last_mut() {
            Some((outer_size, outer)) if behind(*outer) => {
                *outer_size *= size;
                *outer = dimension;
            }
            _ => joined.push((size, dimension)),
        }
    }
    let inner = joined.pop();
    let len = inner.map_or(1, |(size, _)| size);
    let count = len.div_ceil(BLOCK).max(1);
    let cut = |view: &View<'a, T>| {
        let stride = inner.map_or(1, |(_, dimension)| view.strides[dimension]);
        let mut outer: Dims<_> = joined
            .iter()
            .map(|&(size, d)| (size, view.strides[d]))
            .collect();
        if count > 1 {
            outer.push((count, stride * BLOCK as isize));
        }
        Rows {
            start: view.start,
            encoding: view.encoding,
            len: len.min(BLOCK),
            last_len: len - (count - 1) * BLOCK,
            blocks: count,
            stride,
            inner: Vec::new(),
            outer,
            mask: None,
            memory: PhantomData,
        }
    };
    // Not mapped: an array of these would be moved several times, which shows in small calls.
    let [first, second] = outputs;
    let cut_output = |output: &ViewMut<'a, T>| cut(&output.view);
    (
        inputs.each_ref().map(cut),
        [first.map(cut_output), second.map(cut_output)],
    )
}

/// The indices of the element that stands at a place in the order of the indices.
pub(crate) fn position(mut place: usize, shape: &[usize]) -> Vec<usize> {
    let mut indices = vec![0; shape.len()];
    for (index, &size) in indices.iter_mut().zip(shape).rev() {
        *index = place % size;
        place /= size;
    }
    indices
}
