//! Rows of arrays: where their elements lie, what those are, and which of them count.
//!
//! Here belongs the arithmetic of places, and reading and writing one element after another. Vectors
//! of them are moved in `gather`.

use std::any::{Any, TypeId};
use std::marker::PhantomData;
use std::ops::Range;

use smallvec::SmallVec;

use super::view::Dims;
use crate::float::{Encoding, Float};
use crate::simd::encoding::decode_one;

/// Rows of equal stride; the last of each run of `blocks` rows may be shorter.
#[derive(Clone, Debug)]
pub(crate) struct Rows<'a, T> {
    pub(super) start: *const T,
    pub(super) encoding: Encoding,
    pub(super) len: usize,
    pub(super) last_len: usize,
    pub(super) blocks: usize,
    /// How far elements lie apart; [`NESTED`] if `inner` says it.
    pub(super) stride: isize,
    /// Sizes and strides of the dimensions that number the elements of a row, outermost first, if
    /// one stride does not say it.
    pub(super) inner: Vec<(usize, isize)>,
    /// Those of the dimensions that number the rows.
    pub(super) outer: Dims<(usize, isize)>,
    pub(super) mask: Option<Box<Mask<'a, T>>>,
    pub(super) memory: PhantomData<&'a T>,
}

/// Stands for the stride of rows that have none.
pub(super) const NESTED: isize = isize::MIN;

/// Elements to leave out: they read as another number, and one stands in their place in the results.
///
/// Logits are read as `-inf`, which has the result of what is left out, unless the whole row is NaN:
/// only there must results be replaced.
#[derive(Clone, Debug)]
pub(crate) struct Mask<'a, T> {
    /// 0 for the elements to leave out; rows as those of the elements.
    pub(super) kept: Rows<'a, u8>,
    /// What stands for them.
    pub(super) fill: T,
}

// SAFETY: the rows of an input are only read, and those of an output are written by one thread
// each.
unsafe impl<T: Sync + Send> Send for Rows<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync + Send> Sync for Rows<'_, T> {}

impl<'a, T> Rows<'a, T> {
    /// The rows with some elements left out.
    #[cfg(any(test, feature = "python"))]
    pub(crate) fn masked(self, kept: Rows<'a, u8>, fill: T) -> Self {
        assert!(kept.count() == self.count() && kept.len == self.len && self.blocks == 1);
        Self {
            mask: Some(Box::new(Mask { kept, fill })),
            ..self
        }
    }

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

    /// How far the elements of a row lie apart, where one number says it.
    #[inline(always)]
    pub(crate) fn stride(&self) -> isize {
        self.stride
    }

    #[inline(always)]
    pub(crate) fn mask(&self) -> Option<&Mask<'a, T>> {
        self.mask.as_deref()
    }

    /// Whether the places of the elements of a row follow from several strides.
    pub(crate) fn is_nested(&self) -> bool {
        self.stride == NESTED
    }

    /// Whether the elements of a row are read and written where they are, one behind the other or
    /// in runs: not one by one.
    pub(crate) fn are_runs(&self) -> bool {
        self.stride == 1 || self.stride == NESTED
    }

    /// What the elements are.
    #[inline(always)]
    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Whether the elements are what is computed with, as they lie there.
    #[inline(always)]
    pub(crate) fn are_plain(&self) -> bool {
        self.encoding == Encoding::Own && self.mask.is_none()
    }

    /// Whether a row is a slice: its elements are plain and lie one behind the other.
    #[inline(always)]
    pub(crate) fn are_slices(&self) -> bool {
        self.mask.is_none() && self.take_slices()
    }

    /// Whether the results of a row are written where they belong, those that are left out besides.
    #[inline(always)]
    pub(crate) fn take_slices(&self) -> bool {
        self.encoding == Encoding::Own && (self.stride == 1 || self.len <= 1)
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

    /// How many rows from the first of a run on follow at one distance, and the distance.
    pub(super) fn last_outer(&self) -> (usize, isize) {
        *self.outer.last().unwrap_or(&(1, 1))
    }

    /// Whether all rows are one and the same.
    pub(super) fn are_equal(&self) -> bool {
        self.outer.iter().all(|&(_, stride)| stride == 0)
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
            [(_, stride)] => self.encoding.offset(self.start, row as isize * stride),
            dims => {
                let mut rest = row;
                let mut offset = 0;
                for &(size, stride) in dims.iter().rev() {
                    offset += (rest % size) as isize * stride;
                    rest /= size;
                }
                self.encoding.offset(self.start, offset)
            }
        }
    }

    /// The place of an element of a row.
    #[inline(always)]
    pub(crate) fn place(&self, row: usize, index: usize) -> *const T {
        let offset = if self.stride == NESTED {
            self.nested_offset(index)
        } else {
            index as isize * self.stride
        };
        self.encoding.offset(self.pointer(row), offset)
    }

    fn nested_offset(&self, index: usize) -> isize {
        let mut rest = index;
        let mut offset = 0;
        for &(size, stride) in self.inner.iter().rev() {
            offset += (rest % size) as isize * stride;
            rest /= size;
        }
        offset
    }

    /// From an element on, how far elements lie apart and how many do so.
    #[inline(always)]
    pub(super) fn run_from(&self, index: usize) -> (isize, usize) {
        match self.inner.last() {
            Some(&(size, stride)) => (stride, size - index % size),
            None => (self.stride, usize::MAX),
        }
    }
}

impl<T: Copy> Mask<'_, T> {
    /// Whether an element counts.
    #[inline(always)]
    pub(crate) fn keeps(&self, row: usize, index: usize) -> bool {
        self.kept.element(row, index) != 0
    }
}

/// Reads one element.
///
/// # Safety
/// An element of that encoding lies there.
#[inline(always)]
unsafe fn read<T: Copy + 'static>(encoding: Encoding, place: *const T) -> T {
    if encoding == Encoding::Own {
        // SAFETY: promised by the caller.
        return unsafe { *place };
    }
    // SAFETY: as above.
    let wide = unsafe { decode_one(encoding, place) };
    // What is decoded as `f32` has no more digits, but for an integer.
    let narrow = wide as f32;
    let of_either: [&dyn Any; 2] = [&wide, &narrow];
    let value = of_either.into_iter().find_map(<dyn Any>::downcast_ref);
    *value.expect("what is encoded is computed with as f32 or f64")
}

impl<T: Copy + 'static> Rows<'_, T> {
    /// The first element of a row that has one.
    #[inline(always)]
    pub(crate) fn value(&self, row: usize) -> T {
        debug_assert!(row < self.count() && self.len > 0 && self.mask.is_none());
        // SAFETY: the row exists and holds an element.
        unsafe { read(self.encoding, self.pointer(row)) }
    }

    /// The first elements of rows, if they lie one behind the other as they are.
    #[inline(always)]
    pub(crate) fn slice_of_values(&self, rows: Range<usize>) -> Option<&[T]> {
        assert!(rows.end <= self.count() && self.len > 0);
        let follow =
            matches!(self.outer.as_slice(), [] | [(_, 1)]) && self.encoding == Encoding::Own;
        debug_assert!(self.mask.is_none());
        // SAFETY: so many rows exist, and their first elements lie one behind the other; those of no rows
        // may be of an array without memory.
        (follow && !rows.is_empty())
            .then(|| unsafe { std::slice::from_raw_parts(self.pointer(rows.start), rows.len()) })
    }

    /// The first elements of rows from `first` on.
    #[inline(always)]
    pub(crate) fn values(&self, first: usize, out: &mut [T]) {
        if let Some(values) = self.slice_of_values(first..first + out.len()) {
            out.copy_from_slice(values);
            return;
        }
        for (index, value) in out.iter_mut().enumerate() {
            *value = self.value(first + index);
        }
    }

    /// The number that the first element of a row stands for, with all its digits.
    pub(crate) fn number(&self, row: usize) -> f64
    where
        T: Float,
    {
        match self.encoding {
            Encoding::F64High | Encoding::F64Low => {
                assert!(row < self.count() && self.len > 0);
                // SAFETY: the row exists and holds an element of this encoding.
                unsafe { *self.pointer(row).cast() }
            }
            _ => self.value(row).to_f64(),
        }
    }

    /// One element of a row.
    #[inline(always)]
    pub(crate) fn element(&self, row: usize, index: usize) -> T {
        debug_assert!(row < self.count() && index < self.len_of(row));
        match &self.mask {
            Some(mask) if !mask.keeps(row, index) => mask.fill,
            // SAFETY: the row exists and holds the element.
            _ => unsafe { read(self.encoding, self.place(row, index)) },
        }
    }

    /// Replaces one element of a row.
    ///
    /// # Safety
    /// The row exists, holds the element, and is writable by this thread alone.
    #[inline(always)]
    pub(crate) unsafe fn write(&self, row: usize, index: usize, value: T) {
        let value = match &self.mask {
            Some(mask) if !mask.keeps(row, index) => mask.fill,
            _ => value,
        };
        let place = self.place(row, index).cast_mut();
        if self.encoding == Encoding::Own {
            // SAFETY: promised by the caller.
            unsafe { *place = value };
            return;
        }
        let value = (&value as &dyn Any).downcast_ref();
        let value = *value.expect("half precision is computed with as f32");
        // SAFETY: as above; encoded elements have 16 bits.
        unsafe { *place.cast() = self.encoding.encoded(value) };
    }

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

    /// Whether a row has an element that a condition holds for, which one of the first usually is.
    #[inline(always)]
    pub(crate) fn holds(&self, row: usize, condition: impl Fn(T) -> bool) -> bool {
        const FIRST: usize = 16;
        assert!(row < self.count() && self.stride != NESTED && self.mask.is_none());
        let start = self.pointer(row);
        let first = (0..self.len_of(row).min(FIRST)).any(|index| {
            let place = self.encoding.offset(start, index as isize * self.stride);
            // SAFETY: the row exists and holds the element.
            condition(unsafe { read(self.encoding, place) })
        });
        first || self.len_of(row) > FIRST && self.find(row, condition).is_some()
    }

    /// The elements of rows, if they lie one behind the other as they are.
    #[inline(always)]
    pub(crate) fn slice_of_rows(&self, rows: Range<usize>) -> Option<&[T]> {
        assert!(rows.end <= self.count());
        let len = rows.len() * self.len;
        // SAFETY: so many elements lie one behind the other; those of no elements may be of an array
        // without memory.
        (len > 0 && self.blocks == 1 && self.are_plain() && self.is_contiguous())
            .then(|| unsafe { std::slice::from_raw_parts(self.pointer(rows.start), len) })
    }

    /// A row whose elements are of this type and lie one behind the other.
    #[inline(always)]
    pub(crate) fn slice_of<U: 'static>(&self, row: usize) -> Option<&[U]> {
        assert!(row < self.count());
        let len = self.len_of(row);
        if TypeId::of::<T>() != TypeId::of::<U>() || !self.are_slices() {
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
        assert!(self.stride != NESTED && self.mask.is_none());
        let first = self.place(row, start);
        for (index, element) in out.iter_mut().enumerate() {
            let place = self.encoding.offset(first, index as isize * self.stride);
            // SAFETY: the row exists and holds these elements.
            *element = f(unsafe { read(self.encoding, place) });
        }
    }
}

/// Dimensions without those of size 1, and with neighbours that lie one behind the other made one.
pub(super) fn collapse(dims: impl Iterator<Item = (usize, isize)>) -> Dims<(usize, isize)> {
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
