//! One row's inputs and output, contiguous, the output being perhaps one of the inputs.
//!
//! The only place where kernels touch memory through pointers: an output may be the very memory of
//! an input (in place), which no pair of Rust references may be. Borrowing does the rest: an input
//! slice borrows the lane, writing needs the lane mutably, so no slice of an input is alive while
//! the output is written.

use std::marker::PhantomData;

use fearless_simd::{Simd, SimdBase};

use crate::float::Float;
use crate::simd::has_fused_mul_add;
use crate::simd::reduce::{ahead, partial, prefetch};

/// `K` input rows and an output row, of equal length.
pub(crate) struct Lane<'a, T, const K: usize> {
    inputs: [*const T; K],
    output: *mut T,
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
            len,
            memory: PhantomData,
        }
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
        self.each::<S, true, N>(simd, function);
    }

    /// Replaces the output by a function of it, `N` vectors at a time.
    #[inline(always)]
    pub(crate) fn rewrite<const N: usize, S: Simd>(
        &mut self,
        simd: S,
        function: &mut impl VectorMap<S, T, 1>,
    ) {
        let output = self.output();
        let (input, len) = (output.as_ptr(), output.len());
        // SAFETY: the output is both input and output, and `self` stays mutably borrowed.
        let mut lane = unsafe { Lane::new([input], output.as_mut_ptr(), len) };
        lane.write::<N, S>(simd, function);
    }

    /// Calls a function for the inputs, vector by vector, for what it keeps.
    #[inline(always)]
    pub(crate) fn read<S: Simd>(&mut self, simd: S, function: &mut impl VectorMap<S, T, K>) {
        self.each::<S, false, 1>(simd, function);
    }

    #[inline(always)]
    fn each<S: Simd, const WRITE: bool, const N: usize>(
        &mut self,
        simd: S,
        function: &mut impl VectorMap<S, T, K>,
    ) {
        let mut start = 0;
        // Where one vector is many registers, several would only take long to compile.
        let several = has_fused_mul_add(simd);
        while several && start + N * T::LANES <= self.len {
            self.full::<S, WRITE, N>(simd, start, function);
            start += N * T::LANES;
        }
        while (N > 1 || !several) && start + T::LANES <= self.len {
            self.full::<S, WRITE, 1>(simd, start, function);
            start += T::LANES;
        }
        if start < self.len {
            self.rest::<S, WRITE>(simd, start, function);
        }
    }

    #[inline(always)]
    fn full<S: Simd, const WRITE: bool, const N: usize>(
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
                vector.store_slice(elements);
            }
        }
    }

    #[inline(always)]
    fn rest<S: Simd, const WRITE: bool>(
        &mut self,
        simd: S,
        start: usize,
        function: &mut impl VectorMap<S, T, K>,
    ) {
        let mut inputs = [[T::Vector::<S>::splat(simd, T::ZERO); 1]; K];
        for (k, [vector]) in inputs.iter_mut().enumerate() {
            *vector = partial(simd, &self.nth_input(k)[start..], T::ZERO);
        }
        let [vector] = function.map(inputs, self.len - start);
        if WRITE {
            let rest = &mut self.output()[start..];
            rest.copy_from_slice(&vector.as_slice()[..rest.len()]);
        }
    }
}
