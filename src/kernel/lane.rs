//! One row's inputs and output, contiguous, the output being perhaps one of the inputs.
//!
//! The only place where kernels touch memory through pointers: an output may be the very memory of
//! an input (in place), which no pair of Rust references may be. Borrowing does the rest: an input
//! slice borrows the lane, writing needs the lane mutably, so no slice of an input is alive while
//! the output is written.

use std::marker::PhantomData;

use fearless_simd::{Simd, SimdBase};

use crate::float::Float;
use crate::simd::reduce::{FETCHED, ahead, partial, prefetch};
use crate::simd::{has_fused_mul_add, has_wide_registers};

/// `K` input rows and an output row, of equal length.
pub(crate) struct Lane<'a, T, const K: usize> {
    inputs: [*const T; K],
    output: *mut T,
    len: usize,
    /// What to fetch while the input is worked on, and the output.
    beside: [Option<Fetch>; 2],
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

/// The mask of a vector's lanes.
pub(crate) type MaskOf<S, V> = <V as SimdBase<S>>::Mask;

/// A function of the vectors of a row, and what it keeps of them.
pub(crate) trait RowMap<S: Simd, T: Float> {
    /// What fills up the vector of a row that is shorter.
    const FILL: T;

    /// `N` vectors at once, to keep the machine's pipelines full. Where not all lanes hold elements
    /// that are new, `new` tells which do.
    fn map<const N: usize>(
        &mut self,
        x: [T::Vector<S>; N],
        new: Option<MaskOf<S, T::Vector<S>>>,
    ) -> [T::Vector<S>; N];
}

/// Memory to fetch into the cache while a row is walked.
#[derive(Clone, Copy)]
pub(crate) struct Fetch {
    start: *const u8,
    /// How many bits less than the row's its places have.
    shift: u32,
}

impl Fetch {
    /// What lies behind a row, unless the two would crowd each other out of the cache.
    #[inline(always)]
    fn behind<T>(row: *const T, len: usize) -> Option<Self> {
        (len <= FETCHED).then(|| Self::all(row.wrapping_add(len)))
    }

    /// As many bytes as the row has.
    #[inline(always)]
    pub(crate) fn all<T>(start: *const T) -> Self {
        Self {
            start: start.cast(),
            shift: 0,
        }
    }

    /// Half as many.
    #[inline(always)]
    pub(crate) fn half<T>(start: *const T) -> Self {
        Self {
            start: start.cast(),
            shift: 1,
        }
    }

    /// What is to be fetched from an element of the row on.
    #[inline(always)]
    pub(crate) fn from<T>(self, element: usize) -> Self {
        let start = self
            .start
            .wrapping_add((element * size_of::<T>()) >> self.shift);
        Self { start, ..self }
    }

    /// Fetches what belongs to neighbouring vectors of a cache line each.
    #[inline(always)]
    fn vectors<T: Float>(self, first: usize, count: usize) {
        let start = self.from::<T>(first).start;
        let step = (T::LANES * size_of::<T>()) >> self.shift;
        for vector in 0..count {
            prefetch(start.wrapping_add(vector * step));
        }
    }
}

/// Calls a function for a row, for what it keeps.
#[inline(always)]
pub(crate) fn read_row<S: Simd, T: Float>(
    simd: S,
    row: &[T],
    fetch: Option<Fetch>,
    function: &mut impl RowMap<S, T>,
) {
    let (from, to) = (row.as_ptr(), std::ptr::null_mut());
    // SAFETY: the slice is readable, and nothing is written.
    unsafe { walk::<S, T, false>(simd, from, to, row.len(), fetch, function) }
}

/// Calls a function for the vectors of a row, and writes its results if they are wanted.
///
/// The last vector ends where the row does, and so begins with elements that others hold, too. It
/// is read before anything is written and written after everything is read: `to` may be `from`.
///
/// # Safety
/// `len` elements are readable, and writable if `WRITE`.
#[inline(always)]
unsafe fn walk<S: Simd, T: Float, const WRITE: bool>(
    simd: S,
    from: *const T,
    to: *mut T,
    len: usize,
    fetch: Option<Fetch>,
    function: &mut impl RowMap<S, T>,
) {
    if len < T::LANES {
        // SAFETY: promised by the caller.
        unsafe { walk_short::<S, T, _, WRITE>(simd, from, to, len, function) };
        return;
    }
    let last = len - T::LANES;
    let rest = len % T::LANES;
    let mut result = None;
    if rest != 0 {
        // SAFETY: the last vector is within the row.
        let elements = unsafe { std::slice::from_raw_parts(from.add(last), T::LANES) };
        let numbers = T::Vector::<S>::from_slice(simd, T::LANE_NUMBERS);
        let first_new = T::from_f64((T::LANES - rest) as f64);
        let new = numbers.simd_ge(T::Vector::<S>::splat(simd, first_new));
        let [mapped] = function.map([T::Vector::<S>::from_slice(simd, elements)], Some(new));
        result = Some(mapped);
    }
    let mut start = 0;
    // Where one vector is many registers, several would only take long to compile.
    if has_wide_registers(simd) {
        // SAFETY: promised by the caller.
        unsafe { walk_groups::<S, T, WRITE, 4>(simd, from, to, len, fetch, &mut start, function) };
    } else if has_fused_mul_add(simd) {
        // SAFETY: as above.
        unsafe { walk_groups::<S, T, WRITE, 3>(simd, from, to, len, fetch, &mut start, function) };
        // SAFETY: as above.
        unsafe { walk_groups::<S, T, WRITE, 2>(simd, from, to, len, fetch, &mut start, function) };
    }
    // SAFETY: as above.
    unsafe { walk_groups::<S, T, WRITE, 1>(simd, from, to, len, fetch, &mut start, function) };
    if let Some(vector) = result
        && WRITE
    {
        // SAFETY: as above.
        vector.store_slice(unsafe { std::slice::from_raw_parts_mut(to.add(last), T::LANES) });
    }
}

/// Walks from `start` on as long as there are `N` vectors.
///
/// # Safety
/// As for [`walk`].
#[inline(always)]
unsafe fn walk_groups<S: Simd, T: Float, const WRITE: bool, const N: usize>(
    simd: S,
    from: *const T,
    to: *mut T,
    len: usize,
    fetch: Option<Fetch>,
    start: &mut usize,
    function: &mut impl RowMap<S, T>,
) {
    while *start + N * T::LANES <= len {
        let mut vectors = [T::Vector::<S>::splat(simd, T::ZERO); N];
        for (i, vector) in vectors.iter_mut().enumerate() {
            // SAFETY: the vector ends at or before `len`, and the slice is gone after the load.
            let elements =
                unsafe { std::slice::from_raw_parts(from.add(*start + i * T::LANES), T::LANES) };
            *vector = T::Vector::<S>::from_slice(simd, elements);
        }
        if let Some(fetch) = fetch {
            fetch.vectors::<T>(*start, N);
        }
        let results = function.map(vectors, None);
        if WRITE {
            for (i, vector) in results.into_iter().enumerate() {
                // SAFETY: as above, and the caller promises that it is writable.
                let elements = unsafe {
                    std::slice::from_raw_parts_mut(to.add(*start + i * T::LANES), T::LANES)
                };
                vector.store_slice(elements);
            }
        }
        *start += N * T::LANES;
    }
}

/// A row that is shorter than a vector.
///
/// # Safety
/// As for [`walk`].
#[inline(always)]
unsafe fn walk_short<S: Simd, T: Float, F: RowMap<S, T>, const WRITE: bool>(
    simd: S,
    from: *const T,
    to: *mut T,
    len: usize,
    function: &mut F,
) {
    if len == 0 {
        return;
    }
    // SAFETY: promised by the caller; the slice is gone before anything is written.
    let elements = unsafe { std::slice::from_raw_parts(from, len) };
    let numbers = T::Vector::<S>::from_slice(simd, T::LANE_NUMBERS);
    let new = numbers.simd_lt(T::Vector::<S>::splat(simd, T::from_f64(len as f64)));
    let [result] = function.map([partial(simd, elements, F::FILL)], Some(new));
    if WRITE {
        // SAFETY: promised by the caller.
        let to = unsafe { std::slice::from_raw_parts_mut(to, len) };
        to.copy_from_slice(&result.as_slice()[..len]);
    }
}

impl<T: Float, const K: usize> Lane<'_, T, K> {
    /// The same for a copy, with what to fetch in place of what lies behind its input and output.
    #[inline(always)]
    pub(crate) fn of_copy(self, beside: [Option<Fetch>; 2]) -> Self {
        Self { beside, ..self }
    }

    /// What to fetch while the input is worked on: the row behind it, if it is none of a copy.
    #[inline(always)]
    pub(crate) fn beside_input(&self) -> Option<Fetch> {
        self.beside[0]
    }

    /// The same for the output.
    #[inline(always)]
    pub(crate) fn beside_output(&self) -> Option<Fetch> {
        self.beside[1]
    }

    /// Writes a function of the first input.
    #[inline(always)]
    pub(crate) fn write_row<S: Simd>(
        &mut self,
        simd: S,
        fetch: Option<Fetch>,
        function: &mut impl RowMap<S, T>,
    ) {
        let (from, to) = (self.inputs[0], self.output);
        // SAFETY: `new` promises `len` elements to read and to write; `self` is borrowed mutably.
        unsafe { walk::<S, T, true>(simd, from, to, self.len, fetch, function) }
    }

    /// Replaces the output by a function of it.
    #[inline(always)]
    pub(crate) fn rewrite_row<S: Simd>(
        &mut self,
        simd: S,
        fetch: Option<Fetch>,
        function: &mut impl RowMap<S, T>,
    ) {
        let (from, to) = (self.output.cast_const(), self.output);
        // SAFETY: as above.
        unsafe { walk::<S, T, true>(simd, from, to, self.len, fetch, function) }
    }

    /// # Safety
    /// Each input is readable and the output is writable for `len` elements for `'a`, nobody else
    /// touches the output, and the output either is the memory of an input, from the same element
    /// on, or overlaps none. `output` may dangle if the kernel writes nothing.
    pub(crate) unsafe fn new(inputs: [*const T; K], output: *mut T, len: usize) -> Self {
        Self {
            inputs,
            output,
            len,
            beside: [
                Fetch::behind(inputs[0], len),
                Fetch::behind(output.cast_const(), len),
            ],
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
            let behind = self.output.wrapping_add(start + ahead(self.len));
            for i in 0..N {
                prefetch(behind.wrapping_add(i * T::LANES));
            }
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
