//! One row's inputs and output, contiguous, the output being perhaps one of the inputs.
//!
//! The only place where kernels touch memory through pointers: an output may be the very memory of
//! an input (in place), which no pair of Rust references may be. Borrowing does the rest: an input
//! slice borrows the lane, writing needs the lane mutably, so no slice of an input is alive while
//! the output is written.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use fearless_simd::{Select, Simd, SimdBase};

use crate::float::Float;
use crate::simd::reduce::{FETCHED, TermSum, ahead, partial, prefetch};
use crate::simd::{has_fused_mul_add, has_wide_registers};

/// `K` input rows and an output row or two, of equal length.
pub(crate) struct Lane<'a, T, const K: usize> {
    inputs: [*const T; K],
    output: *mut T,
    /// Null if there is none.
    second: *mut T,
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

/// A function of the vectors of a row.
pub(crate) trait RowMap<S: Simd, T: Float> {
    /// What fills up the vector of a row that is shorter.
    const FILL: T;

    /// `N` vectors at once, to keep the machine's pipelines full.
    fn map<const N: usize>(&self, x: [T::Vector<S>; N]) -> [T::Vector<S>; N];
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
    fn from<T>(self, element: usize) -> Self {
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

/// What is to be fetched from an element of the row on.
#[inline(always)]
pub(crate) fn from_element<T>(fetch: [Option<Fetch>; 2], element: usize) -> [Option<Fetch>; 2] {
    fetch.map(|fetch| fetch.map(|fetch| fetch.from::<T>(element)))
}

/// What a function of a row adds up to.
#[inline(always)]
pub(crate) fn sum_row<S: Simd, T: Float>(
    simd: S,
    row: &[T],
    fetch: [Option<Fetch>; 2],
    function: &impl RowMap<S, T>,
) -> TermSum<S> {
    let mut results = [const { MaybeUninit::<T>::uninit() }; SUMMED];
    let to = results.as_mut_ptr().cast();
    // SAFETY: the slice is readable, and so many elements are writable.
    unsafe { walk_and_sum::<S, T, _, false>(simd, row.as_ptr(), to, row.len(), fetch, function) }
}

/// So many results are written before they are summed up. In memory, and still in the first cache,
/// they are widened while they are loaded; in registers they would have to be moved for that.
pub(crate) const SUMMED: usize = 1 << 10;

/// Writes a function of a row.
///
/// # Safety
/// `len` elements are readable, and writable.
#[inline(always)]
unsafe fn walk<S: Simd, T: Float, F: RowMap<S, T>>(
    simd: S,
    from: *const T,
    to: *mut T,
    len: usize,
    fetch: [Option<Fetch>; 2],
    function: &F,
) {
    // SAFETY: promised by the caller.
    let last = unsafe { Last::of(simd, from, len, function) };
    // SAFETY: as above.
    unsafe { walk_whole(simd, from, to, len, fetch, function) };
    // SAFETY: as above; all else is written.
    unsafe { last.write(to) };
}

/// Writes a function of a row, and adds up what is written. Unless it is to be kept, each [`SUMMED`]
/// results go to the same place.
///
/// # Safety
/// `len` elements are readable, and as many writable as are kept.
#[inline(always)]
unsafe fn walk_and_sum<S: Simd, T: Float, F: RowMap<S, T>, const KEEP: bool>(
    simd: S,
    from: *const T,
    to: *mut T,
    len: usize,
    fetch: [Option<Fetch>; 2],
    function: &F,
) -> TermSum<S> {
    // SAFETY: promised by the caller.
    let last = unsafe { Last::of(simd, from, len, function) };
    let mut sum = TermSum::new(simd);
    // An addition would wait for the one before.
    let mut second_sum = TermSum::new(simd);
    if let Some(new) = last.new_only(simd) {
        sum.add::<T>(new);
    }
    let whole = len - len % T::LANES;
    for start in (0..whole).step_by(SUMMED) {
        let count = SUMMED.min(whole - start);
        let to = if KEEP { to.wrapping_add(start) } else { to };
        let fetch = from_element::<T>(fetch, start);
        // SAFETY: as above.
        unsafe { walk_whole(simd, from.add(start), to, count, fetch, function) };
        // SAFETY: so many have just been written.
        let results = unsafe { std::slice::from_raw_parts(to, count) };
        let mut pairs = results.chunks_exact(2 * T::LANES);
        for pair in &mut pairs {
            let (first, second) = pair.split_at(T::LANES);
            sum.add::<T>(T::Vector::<S>::from_slice(simd, first));
            second_sum.add::<T>(T::Vector::<S>::from_slice(simd, second));
        }
        if !pairs.remainder().is_empty() {
            sum.add::<T>(T::Vector::<S>::from_slice(simd, pairs.remainder()));
        }
    }
    let sum = sum.plus::<T>(second_sum);
    if KEEP {
        // SAFETY: as above; all else is written.
        unsafe { last.write(to) };
    }
    sum
}

/// What a function gives for the vector that ends a row, where that is no whole number of vectors. It
/// begins with elements that others hold, too: it is read before anything is written and written
/// after everything is read, so that a row may be written to where it is read from.
struct Last<S: Simd, T: Float> {
    vector: T::Vector<S>,
    /// How long the row is.
    len: usize,
}

impl<S: Simd, T: Float> Last<S, T> {
    /// # Safety
    /// `len` elements are readable.
    #[inline(always)]
    unsafe fn of<F: RowMap<S, T>>(simd: S, from: *const T, len: usize, function: &F) -> Self {
        let mut vector = T::Vector::<S>::splat(simd, T::ZERO);
        if !len.is_multiple_of(T::LANES) {
            let start = len.saturating_sub(T::LANES);
            // SAFETY: promised by the caller; the slice is gone before anything is written.
            let elements = unsafe { std::slice::from_raw_parts(from.add(start), len - start) };
            [vector] = function.map([partial(simd, elements, F::FILL)]);
        }
        Self { vector, len }
    }

    /// How many of the row's elements are in no other vector.
    #[inline(always)]
    fn rest(&self) -> usize {
        self.len % T::LANES
    }

    /// The results that no other vector holds, and 0 for the others.
    #[inline(always)]
    fn new_only(&self, simd: S) -> Option<T::Vector<S>> {
        let splat = |value| T::Vector::<S>::splat(simd, T::from_f64(value));
        let numbers = T::Vector::<S>::from_slice(simd, T::LANE_NUMBERS);
        let new = if self.len < T::LANES {
            numbers.simd_lt(splat(self.len as f64))
        } else {
            numbers.simd_ge(splat((T::LANES - self.rest()) as f64))
        };
        (self.rest() != 0).then(|| new.select(self.vector, splat(0.0)))
    }

    /// # Safety
    /// As many elements as the row has are writable, and no slice of them is alive.
    #[inline(always)]
    unsafe fn write(&self, to: *mut T) {
        if self.rest() == 0 {
            return;
        }
        if self.len < T::LANES {
            // SAFETY: promised by the caller.
            let to = unsafe { std::slice::from_raw_parts_mut(to, self.len) };
            to.copy_from_slice(&self.vector.as_slice()[..self.len]);
            return;
        }
        // SAFETY: as above.
        let to = unsafe { std::slice::from_raw_parts_mut(to.add(self.len - T::LANES), T::LANES) };
        self.vector.store_slice(to);
    }
}

/// Writes a function of the whole vectors of a row.
///
/// # Safety
/// As for [`walk`].
#[inline(always)]
unsafe fn walk_whole<S: Simd, T: Float>(
    simd: S,
    from: *const T,
    to: *mut T,
    len: usize,
    fetch: [Option<Fetch>; 2],
    function: &impl RowMap<S, T>,
) {
    let mut start = 0;
    // Where one vector is many registers, several would only take long to compile.
    if has_wide_registers(simd) {
        // SAFETY: promised by the caller.
        unsafe { walk_groups::<S, T, 4>(simd, from, to, len, fetch, &mut start, function) };
    } else if has_fused_mul_add(simd) {
        // SAFETY: as above.
        unsafe { walk_groups::<S, T, 3>(simd, from, to, len, fetch, &mut start, function) };
        // SAFETY: as above.
        unsafe { walk_groups::<S, T, 2>(simd, from, to, len, fetch, &mut start, function) };
    }
    // SAFETY: as above.
    unsafe { walk_groups::<S, T, 1>(simd, from, to, len, fetch, &mut start, function) };
}

/// Walks from `start` on as long as there are `N` vectors.
///
/// # Safety
/// As for [`walk`].
#[inline(always)]
unsafe fn walk_groups<S: Simd, T: Float, const N: usize>(
    simd: S,
    from: *const T,
    to: *mut T,
    len: usize,
    fetch: [Option<Fetch>; 2],
    start: &mut usize,
    function: &impl RowMap<S, T>,
) {
    while *start + N * T::LANES <= len {
        let mut vectors = [T::Vector::<S>::splat(simd, T::ZERO); N];
        for (i, vector) in vectors.iter_mut().enumerate() {
            // SAFETY: the vector ends at or before `len`, and the slice is gone after the load.
            let elements =
                unsafe { std::slice::from_raw_parts(from.add(*start + i * T::LANES), T::LANES) };
            *vector = T::Vector::<S>::from_slice(simd, elements);
        }
        for fetch in fetch.into_iter().flatten() {
            fetch.vectors::<T>(*start, N);
        }
        let results = function.map(vectors);
        for (i, vector) in results.iter().enumerate() {
            // SAFETY: as above, and the caller promises that it is writable.
            let elements =
                unsafe { std::slice::from_raw_parts_mut(to.add(*start + i * T::LANES), T::LANES) };
            vector.store_slice(elements);
        }
        *start += N * T::LANES;
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

    /// The place of the output, if the row is too long for it to be fetched beside another: memory that
    /// is to be written takes as long as memory that is read.
    #[inline(always)]
    pub(crate) fn place(&self) -> Option<Fetch> {
        (self.len > FETCHED).then(|| Fetch::all(self.output.cast_const()))
    }

    /// Writes a function of the first input.
    #[inline(always)]
    pub(crate) fn write_row<S: Simd>(
        &mut self,
        simd: S,
        fetch: [Option<Fetch>; 2],
        function: &impl RowMap<S, T>,
    ) {
        let (from, to) = (self.inputs[0], self.output);
        // SAFETY: `new` promises `len` elements to read and to write; `self` is borrowed mutably.
        unsafe { walk(simd, from, to, self.len, fetch, function) }
    }

    /// The same, and what was written adds up to.
    #[inline(always)]
    pub(crate) fn write_row_and_sum<S: Simd>(
        &mut self,
        simd: S,
        fetch: [Option<Fetch>; 2],
        function: &impl RowMap<S, T>,
    ) -> TermSum<S> {
        let (from, to) = (self.inputs[0], self.output);
        // SAFETY: as above.
        unsafe { walk_and_sum::<S, T, _, true>(simd, from, to, self.len, fetch, function) }
    }

    /// Replaces the output by a function of it.
    #[inline(always)]
    pub(crate) fn rewrite_row<S: Simd>(
        &mut self,
        simd: S,
        fetch: [Option<Fetch>; 2],
        function: &impl RowMap<S, T>,
    ) {
        let (from, to) = (self.output.cast_const(), self.output);
        // SAFETY: as above.
        unsafe { walk(simd, from, to, self.len, fetch, function) }
    }

    /// # Safety
    /// Each input is readable and the output is writable for `len` elements for `'a`, nobody else
    /// touches the output, and the output either is the memory of an input, from the same element
    /// on, or overlaps none. `output` may dangle if the kernel writes nothing.
    pub(crate) unsafe fn new(inputs: [*const T; K], output: *mut T, len: usize) -> Self {
        Self {
            inputs,
            output,
            second: std::ptr::null_mut(),
            len,
            beside: [
                Fetch::behind(inputs[0], len),
                Fetch::behind(output.cast_const(), len),
            ],
            memory: PhantomData,
        }
    }

    /// The same with a second output, or with none where that is null.
    ///
    /// # Safety
    /// It is writable as the output is in [`new`](Self::new), and overlaps neither that nor an
    /// input.
    #[inline(always)]
    pub(crate) unsafe fn with_second(self, second: *mut T) -> Self {
        Self { second, ..self }
    }

    #[inline(always)]
    pub(crate) fn has_second(&self) -> bool {
        !self.second.is_null()
    }

    /// The second output, if there is one; what it holds before it is written means nothing.
    #[inline(always)]
    pub(crate) fn second(&mut self) -> Option<&mut [T]> {
        // SAFETY: `with_second` promises that it is writable.
        self.has_second()
            .then(|| unsafe { std::slice::from_raw_parts_mut(self.second, self.len) })
    }

    /// The same with the second output for an output.
    #[inline(always)]
    pub(crate) fn second_lane(&mut self) -> Lane<'_, T, K> {
        assert!(self.has_second());
        // SAFETY: `with_second` promises of it what `new` asks for, and `self` is borrowed mutably.
        unsafe { Lane::new(self.inputs, self.second, self.len) }
    }

    /// Output and second output.
    #[inline(always)]
    pub(crate) fn outputs(&mut self) -> [&mut [T]; 2] {
        assert!(self.has_second());
        // SAFETY: as for each alone; `with_second` promises that they do not overlap.
        [self.output, self.second]
            .map(|start| unsafe { std::slice::from_raw_parts_mut(start, self.len) })
    }

    /// Fills all outputs.
    #[inline(always)]
    pub(crate) fn fill(&mut self, value: T) {
        self.output().fill(value);
        if let Some(second) = self.second() {
            second.fill(value);
        }
    }

    /// Writes a function of the output to the second output.
    #[inline(always)]
    pub(crate) fn write_second<S: Simd>(&mut self, simd: S, function: &impl RowMap<S, T>) {
        let [from, to] = self.outputs();
        let fetch = [Fetch::behind(to.as_ptr(), to.len()), None];
        // SAFETY: both are slices of the lane's length, and do not overlap.
        unsafe {
            walk(
                simd,
                from.as_ptr(),
                to.as_mut_ptr(),
                to.len(),
                fetch,
                function,
            );
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

    /// Calls a function for the inputs, `N` vectors at a time, for what it keeps.
    #[inline(always)]
    pub(crate) fn read<const N: usize, S: Simd>(
        &mut self,
        simd: S,
        function: &mut impl VectorMap<S, T, K>,
    ) {
        self.each::<S, false, N>(simd, function);
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
            for (i, vector) in results.iter().enumerate() {
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
