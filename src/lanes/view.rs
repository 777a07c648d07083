//! Strided views of arrays of any dimension, and the rows that they fall into along an axis.
//!
//! Here belong shapes, strides, axes and broadcasting: the arithmetic of where an element lies.
//! Nothing is computed and nothing runs in parallel here.

use std::any::TypeId;
use std::marker::PhantomData;

use ndarray::{ArrayView, ArrayViewMut, Dimension};
use smallvec::SmallVec;

use crate::error::{Error, Result};

/// A small list: most arrays have few dimensions.
pub(crate) type Dims<T> = SmallVec<[T; 4]>;

/// A read-only view: a pointer with a shape and strides counted in elements.
#[derive(Clone, Debug)]
pub(crate) struct View<'a, T> {
    start: *const T,
    shape: Dims<usize>,
    strides: Dims<isize>,
    memory: PhantomData<&'a T>,
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

impl<'a, T> View<'a, T> {
    /// # Safety
    /// Every element that the shape and strides reach from `start` is readable for `'a`, aligned,
    /// and is written by nobody but the caller's own output view.
    pub(crate) unsafe fn from_raw(
        start: *const T,
        shape: impl IntoIterator<Item = usize>,
        strides: impl IntoIterator<Item = isize>,
    ) -> Self {
        Self {
            start,
            shape: shape.into_iter().collect(),
            strides: strides.into_iter().collect(),
            memory: PhantomData,
        }
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
        let mut shape = self.shape.to_vec();
        shape.remove(axis);
        shape
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
        let outer = collapse(outer.map(|d| (self.shape[d], self.strides[d])));
        Rows {
            start: self.start,
            len: self.shape[axis],
            last_len: self.shape[axis],
            blocks: 1,
            stride: self.strides[axis],
            outer,
            memory: PhantomData,
        }
    }

    /// Every element as a row of its own, in the order of the indices.
    pub(crate) fn elements(&self) -> Rows<'a, T> {
        let dims = self.shape.iter().copied().zip(self.strides.iter().copied());
        Rows {
            start: self.start,
            len: 1,
            last_len: 1,
            blocks: 1,
            stride: 0,
            outer: collapse(dims),
            memory: PhantomData,
        }
    }
}

impl<'a, T> ViewMut<'a, T> {
    /// # Safety
    /// As for [`View::from_raw`]; besides, the elements are writable, no two are the same memory,
    /// and inputs used with it overlap it either not at all or element for element.
    pub(crate) unsafe fn from_raw(
        start: *mut T,
        shape: impl IntoIterator<Item = usize>,
        strides: impl IntoIterator<Item = isize>,
    ) -> Self {
        Self {
            // SAFETY: promised by the caller.
            view: unsafe { View::from_raw(start, shape, strides) },
            memory: PhantomData,
        }
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

impl<'a, T, D: Dimension> From<ArrayViewMut<'a, T, D>> for ViewMut<'a, T> {
    fn from(mut array: ArrayViewMut<'a, T, D>) -> Self {
        let start = array.as_mut_ptr();
        let (shape, strides) = (array.shape().to_vec(), array.strides().to_vec());
        // SAFETY: ndarray gives exclusive access for 'a, and mutable views never overlap
        // themselves or another view.
        unsafe { Self::from_raw(start, shape, strides) }
    }
}

/// Rows of equal stride; the last of each run of `blocks` rows may be shorter.
#[derive(Clone, Debug)]
pub(crate) struct Rows<'a, T> {
    start: *const T,
    len: usize,
    last_len: usize,
    blocks: usize,
    stride: isize,
    /// Sizes and strides of the dimensions that number the rows, outermost first.
    outer: Dims<(usize, isize)>,
    memory: PhantomData<&'a T>,
}

// SAFETY: the rows of an input are only read, and those of an output are written by one thread
// each.
unsafe impl<T: Sync + Send> Send for Rows<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync + Send> Sync for Rows<'_, T> {}

impl<T> Rows<'_, T> {
    /// How many rows there are.
    pub(crate) fn count(&self) -> usize {
        self.outer.iter().map(|&(size, _)| size).product()
    }

    /// The length of all rows but the last of a run.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many elements all rows have.
    pub(crate) fn elements(&self) -> usize {
        let runs = self.count() / self.blocks;
        runs * ((self.blocks - 1) * self.len + self.last_len)
    }

    #[inline(always)]
    pub(crate) fn stride(&self) -> isize {
        self.stride
    }

    /// The length of one row.
    #[inline(always)]
    pub(crate) fn len_of(&self, row: usize) -> usize {
        if self.blocks == 1 || (row + 1).is_multiple_of(self.blocks) {
            self.last_len
        } else {
            self.len
        }
    }

    /// How many rows from the first of a run on lie side by side, so that class after class is
    /// contiguous; every run is as long.
    pub(crate) fn side_by_side(&self) -> usize {
        match self.outer.last() {
            Some(&(size, 1)) => size,
            _ => 1,
        }
    }

    /// Whether all elements lie one behind the other, row after row.
    pub(crate) fn is_contiguous(&self) -> bool {
        let rows_follow = match self.outer.as_slice() {
            [] => true,
            [(_, stride)] => *stride == self.len as isize,
            _ => false,
        };
        rows_follow && (self.stride == 1 || self.len == 1)
    }

    /// The first element of a row.
    #[inline(always)]
    pub(crate) fn pointer(&self, row: usize) -> *const T {
        // Offsets of rows that exist stay within the view; wrapping arithmetic keeps the address
        // of a row of an empty view from being an error.
        match self.outer.as_slice() {
            [] => self.start,
            [(_, stride)] => self.start.wrapping_offset(row as isize * stride),
            dims => {
                let mut rest = row;
                let mut offset = 0;
                for &(size, stride) in dims.iter().rev() {
                    offset += (rest % size) as isize * stride;
                    rest /= size;
                }
                self.start.wrapping_offset(offset)
            }
        }
    }
}

impl<T: Copy> Rows<'_, T> {
    /// The first element of a row that has one.
    #[inline(always)]
    pub(crate) fn value(&self, row: usize) -> T {
        debug_assert!(row < self.count() && self.len > 0);
        // SAFETY: the row exists and holds an element.
        unsafe { *self.pointer(row) }
    }

    /// The first elements of rows from `first` on.
    #[inline(always)]
    pub(crate) fn values(&self, first: usize, out: &mut [T]) {
        assert!(first + out.len() <= self.count() && self.len > 0);
        if let [(_, 1)] = self.outer.as_slice() {
            // SAFETY: so many rows exist, and their first elements lie one behind the other.
            let values = unsafe { std::slice::from_raw_parts(self.pointer(first), out.len()) };
            out.copy_from_slice(values);
            return;
        }
        for (index, value) in out.iter_mut().enumerate() {
            *value = self.value(first + index);
        }
    }

    /// One element of a row.
    #[inline(always)]
    pub(crate) fn element(&self, row: usize, index: usize) -> T {
        debug_assert!(row < self.count() && index < self.len_of(row));
        // SAFETY: the row exists and holds the element.
        unsafe {
            *self
                .pointer(row)
                .wrapping_offset(index as isize * self.stride)
        }
    }
}

impl<T: Copy> Rows<'_, T> {
    /// The first place in a row of an element that a condition holds for.
    #[inline(always)]
    pub(crate) fn find(&self, row: usize, condition: impl Fn(T) -> bool) -> Option<usize> {
        let mut block = [false; 64];
        let len = self.len_of(row);
        (0..len).step_by(block.len()).find_map(|start| {
            let block = &mut block[..64.min(len - start)];
            self.for_each(row, start, block, &condition);
            // Without a branch for each element the compiler makes vectors of it.
            if !block.iter().fold(false, |any, &found| any | found) {
                return None;
            }
            block.iter().position(|&found| found).map(|i| start + i)
        })
    }

    /// A row whose elements are of this type and lie one behind the other.
    #[inline(always)]
    pub(crate) fn slice_of<U: 'static>(&self, row: usize) -> Option<&[U]>
    where
        T: 'static,
    {
        assert!(row < self.count());
        let len = self.len_of(row);
        if TypeId::of::<T>() != TypeId::of::<U>() || (self.stride != 1 && len > 1) {
            return None;
        }
        // SAFETY: the row exists, holds so many elements one behind the other, and the types are
        // one; a row of no elements may be of an array without memory.
        (len > 0).then(|| unsafe { std::slice::from_raw_parts(self.pointer(row).cast(), len) })
    }

    /// Fills `out` with a function of the elements of a row from `start` on.
    #[inline(always)]
    pub(crate) fn for_each<U>(&self, row: usize, start: usize, out: &mut [U], f: impl Fn(T) -> U) {
        assert!(row < self.count() && start + out.len() <= self.len_of(row));
        let first = self
            .pointer(row)
            .wrapping_offset(start as isize * self.stride);
        for (index, element) in out.iter_mut().enumerate() {
            // SAFETY: the row exists and holds these elements.
            *element = f(unsafe { *first.wrapping_offset(index as isize * self.stride) });
        }
    }
}

/// Dimensions without those of size 1, and with neighbours that lie one behind the other made one.
fn collapse(dims: impl Iterator<Item = (usize, isize)>) -> Dims<(usize, isize)> {
    let mut collapsed: Dims<(usize, isize)> = SmallVec::new();
    for (size, stride) in dims {
        if size == 1 {
            continue;
        }
        match collapsed.last_mut() {
            Some(last) if last.1 == stride * size as isize => *last = (last.0 * size, stride),
            _ => collapsed.push((size, stride)),
        }
    }
    collapsed
}

/// Elements of a block of an element-wise operation: a few kilobytes, which stay in L1.
pub(crate) const BLOCK: usize = 2048;

/// The same blocks of elements of inputs and output of one shape, in the order that suits the first
/// input: what an element-wise operation works on.
pub(crate) fn blocks<'a, T, const K: usize>(
    inputs: &[View<'a, T>; K],
    output: Option<&ViewMut<'a, T>>,
) -> ([Rows<'a, T>; K], Option<Rows<'a, T>>) {
    let views: Dims<&View<'a, T>> = inputs.iter().chain(output.map(|o| &o.view)).collect();
    let shape = inputs[0].shape();
    let mut order: Dims<usize> = (0..shape.len()).filter(|&d| shape[d] != 1).collect();
    order.sort_by_key(|&d| std::cmp::Reverse(inputs[0].strides[d].unsigned_abs()));

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
            len: len.min(BLOCK),
            last_len: len - (count - 1) * BLOCK,
            blocks: count,
            stride,
            outer,
            memory: PhantomData,
        }
    };
    (
        inputs.each_ref().map(cut),
        output.map(|output| cut(&output.view)),
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
