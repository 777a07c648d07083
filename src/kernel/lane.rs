//! One row's inputs and output, contiguous, the output being perhaps one of the inputs.
//!
//! The only place where kernels touch memory through pointers: an output may be the very memory of
//! an input (in place), which no pair of Rust references may be. Borrowing does the rest: an input
//! slice borrows the lane, writing needs the lane mutably, so no slice of an input is alive while
//! the output is written.

use std::marker::PhantomData;

use fearless_simd::{Simd, SimdBase};

use crate::float::Float;
use crate::simd::reduce::{ahead, partial, prefetch, stream};

/// `K` input rows and an output row, of equal length.
pub(crate) struct Lane<'a, T, const K: usize> {
    inputs: [*const T; K],
    output: *mut T,
    /// Where what is kept between two walks lies: the output, or a buffer that stays in the cache
    /// if the output does not.
    kept: *mut T,
    /// Whether the output is written past the cache.
    streams: bool,
    len: usize,
    memory: PhantomData<&'a mut T>,
}

/// A function of one vector out of each input.
pub(crate) trait VectorMap<S: Simd, T: Float, const K: usize> {
    /// `N` vectors at once, to keep the machine's pipelines full. Only the first `valid` elements
    /// are the lane's, those after them are zeros.
    fn map<const N: usize>(
        &mut self,
        inputs: [[T::Vector<S>; N]; K],
        valid: usize,
    ) -> [T::Vector<S>; N];
}

impl<T: Float, const K: usize> Lane<'_, T, K> {
    /// # Safety
    /// Each input is readable and the output is writable for `len` elements for `'a`, nobody else
    /// touches the output, and the output either is the memory of an input, from the same element
    /// on, or overlaps none. `output` may dangle if the kernel writes nothing.
    pub(crate) unsafe fn new(inputs: [*const T; K], output: *mut T, len: usize) -> Self {
        Self {
            inputs,
            output,
            kept: output,
            streams: false,
            len,
            memory: PhantomData,
        }
    }

    /// The output is far larger than the cache: it is written past it, and what is kept goes to
    /// the buffer, of at least `len` elements.
    #[inline(always)]
    pub(crate) fn streaming(mut self, buffer: &mut [T]) -> Self {
        assert!(self.len <= buffer.len());
        self.kept = buffer.as_mut_ptr();
        self.streams = true;
        self
    }

    /// The elements of the first input, until the lane is written.
    #[inline(always)]
    pub(crate) fn input(&self) -> &[T] {
        self.nth_input(0)
    }

    /// The elements of an input, until the lane is written.
    #[inline(always)]
    pub(crate) fn nth_input(&self, index: usize) -> &[T] {
        // SAFETY: `new` promises `len` readable elements; the borrow of `self` keeps every writing
        // method away while the slice lives.
        unsafe { std::slice::from_raw_parts(self.inputs[index], self.len) }
    }

    /// The output; what it holds before it is written means nothing.
    #[inline(always)]
    pub(crate) fn output(&mut self) -> &mut [T] {
        // SAFETY: `new` promises `len` writable elements that nobody else touches; `&mut self`
        // excludes slices of an input that is the same memory.
        unsafe { std::slice::from_raw_parts_mut(self.output, self.len) }
    }

    /// Makes the output equal to the first input.
    #[inline(always)]
    pub(crate) fn copy_input(&mut self) {
        // SAFETY: both are `len` elements long, and `copy` allows them to be the same memory.
        unsafe { std::ptr::copy(self.inputs[0], self.output, self.len) };
    }

    /// Writes a function of the inputs, `N` vectors at a time: several for short functions, one
    /// for functions long enough to fill the pipelines alone.
    #[inline(always)]
    pub(crate) fn write<const N: usize, S: Simd>(
        &mut self,
        simd: S,
        function: &mut impl VectorMap<S, T, K>,
    ) {
        let head = if self.streams {
            self.unaligned_head()
        } else {
            0
        };
        if head > 0 {
            self.rest::<S, true>(simd, 0, head, function);
        }
        if self.streams {
            self.each::<S, true, true, N>(simd, head, function);
        } else {
            self.each::<S, true, false, N>(simd, head, function);
        }
    }

    /// Keeps a function of the inputs for [`Self::finish`]. The inputs may be gone then.
    #[inline(always)]
    pub(crate) fn keep<const N: usize, S: Simd>(
        &mut self,
        simd: S,
        function: &mut impl VectorMap<S, T, K>,
    ) {
        let mut lane = Lane {
            output: self.kept,
            streams: false,
            memory: PhantomData,
            ..*self
        };
        lane.each::<S, true, false, N>(simd, 0, function);
    }

    /// What is kept.
    #[inline(always)]
    pub(crate) fn kept(&self) -> &[T] {
        // SAFETY: `len` elements, in the output or in a buffer that nobody else uses.
        unsafe { std::slice::from_raw_parts(self.kept, self.len) }
    }

    /// Writes a function of what is kept, `N` vectors at a time.
    #[inline(always)]
    pub(crate) fn finish<const N: usize, S: Simd>(
        &mut self,
        simd: S,
        function: &mut impl VectorMap<S, T, 1>,
    ) {
        let mut lane = Lane {
            inputs: [self.kept.cast_const()],
            output: self.output,
            kept: self.kept,
            streams: self.streams,
            len: self.len,
            memory: PhantomData,
        };
        lane.write::<N, S>(simd, function);
    }

    /// Calls a function for the inputs, vector by vector, for what it keeps.
    #[inline(always)]
    pub(crate) fn read<S: Simd>(&mut self, simd: S, function: &mut impl VectorMap<S, T, K>) {
        self.each::<S, false, false, 1>(simd, 0, function);
    }

    /// How many elements lie before the first full cache line of the output.
    #[inline(always)]
    fn unaligned_head(&self) -> usize {
        self.output.align_offset(64).min(self.len).min(T::LANES)
    }

    #[inline(always)]
    fn each<S: Simd, const WRITE: bool, const STREAM: bool, const N: usize>(
        &mut self,
        simd: S,
        mut start: usize,
        function: &mut impl VectorMap<S, T, K>,
    ) {
        while start + N * T::LANES <= self.len {
            self.full::<S, WRITE, STREAM, N>(simd, start, function);
            start += N * T::LANES;
        }
        while N > 1 && start + T::LANES <= self.len {
            self.full::<S, WRITE, false, 1>(simd, start, function);
            start += T::LANES;
        }
        if start < self.len {
            self.rest::<S, WRITE>(simd, start, self.len, function);
        }
    }

    #[inline(always)]
    fn full<S: Simd, const WRITE: bool, const STREAM: bool, const N: usize>(
        &mut self,
        simd: S,
        start: usize,
        function: &mut impl VectorMap<S, T, K>,
    ) {
        debug_assert!(start + N * T::LANES <= self.len);
        let mut inputs = [[T::Vector::<S>::splat(simd, T::ZERO); N]; K];
        for (input, vectors) in self.inputs.iter().zip(&mut inputs) {
            for (i, vector) in vectors.iter_mut().enumerate() {
                // SAFETY: the vector ends at or before `len`, and the slice is gone after the load.
                let elements = unsafe {
                    std::slice::from_raw_parts(input.add(start + i * T::LANES), T::LANES)
                };
                *vector = T::Vector::<S>::from_slice(simd, elements);
                prefetch(elements.as_ptr().wrapping_add(ahead(self.len)));
            }
        }
        let results = function.map(inputs, N * T::LANES);
        if WRITE {
            for (i, vector) in results.into_iter().enumerate() {
                // SAFETY: as above; the output is writable and `self` is borrowed mutably.
                let elements = unsafe {
                    std::slice::from_raw_parts_mut(self.output.add(start + i * T::LANES), T::LANES)
                };
                if STREAM {
                    stream(vector.as_slice(), elements);
                } else {
                    vector.store_slice(elements);
                }
            }
        }
    }

    #[inline(always)]
    fn rest<S: Simd, const WRITE: bool>(
        &mut self,
        simd: S,
        start: usize,
        end: usize,
        function: &mut impl VectorMap<S, T, K>,
    ) {
        let mut inputs = [[T::Vector::<S>::splat(simd, T::ZERO); 1]; K];
        for (k, [vector]) in inputs.iter_mut().enumerate() {
            *vector = partial(simd, &self.nth_input(k)[start..end], T::ZERO);
        }
        let [vector] = function.map(inputs, end - start);
        if WRITE {
            let rest = &mut self.output()[start..end];
            rest.copy_from_slice(&vector.as_slice()[..rest.len()]);
        }
    }
}
