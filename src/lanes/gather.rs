//! Rows that are not slices, on their way between memory and a kernel: collected, decoded, masked,
//! and back.
//!
//! One copy of each function serves all kernels: it is called, for what it does takes far longer.

use std::ops::Range;

use fearless_simd::Simd;

use super::rows::{Mask, Rows};
use super::tiles::FEW_CLASSES;
use crate::float::{Encoding, Float};
use crate::simd::encoding::{decode, decode_one, encode};
use crate::simd::transpose::ROWS;

/// Elements that lie apart, and those of masks, are collected so many at a time.
const COLLECTED: usize = 64;

/// Elements of the largest tile whose rows lie one behind the other.
const MOST_IN_TILE: usize = ROWS * FEW_CLASSES;

/// So many elements are moved before the next ones are, which leaves them in L1.
const MASKED: usize = 512;

/// Copies a row from an index on into a buffer, as what is computed with.
#[inline(never)]
pub(super) fn gather<S: Simd, T: Float>(
    simd: S,
    rows: &Rows<'_, T>,
    row: usize,
    start: usize,
    buffer: &mut [T],
) {
    simd.vectorize(
        #[inline(always)]
        || {
            assert!(row < rows.count() && start + buffer.len() <= rows.len_of(row));
            let mut done = 0;
            while done < buffer.len() {
                let (stride, count) = rows.run_from(start + done);
                let end = done + count.min(buffer.len() - done).min(MASKED);
                let run = &mut buffer[done..end];
                let first = rows.place(row, start + done);
                match rows.mask() {
                    Some(mask) if stride == 1 && rows.encoding() == Encoding::Own => {
                        // SAFETY: the row holds as many elements as the buffer, this run one behind
                        // the other.
                        let from = unsafe { std::slice::from_raw_parts(first, run.len()) };
                        copy_kept(mask, row, start + done, from, run);
                    }
                    mask => {
                        // SAFETY: as above, with this stride.
                        unsafe { gather_run(simd, rows.encoding(), first, stride, run) };
                        if let Some(mask) = mask {
                            leave_out(mask, row, start + done, run);
                        }
                    }
                }
                done = end;
            }
        },
    );
}

/// # Safety
/// As many elements as the buffer holds are readable, so far apart.
#[inline(always)]
unsafe fn gather_run<S: Simd, T: Float>(
    simd: S,
    encoding: Encoding,
    first: *const T,
    stride: isize,
    buffer: &mut [T],
) {
    match (encoding, stride) {
        (Encoding::Own, 1) => {
            // SAFETY: promised by the caller.
            let elements = unsafe { std::slice::from_raw_parts(first, buffer.len()) };
            buffer.copy_from_slice(elements);
        }
        (Encoding::Own, _) => {
            for (index, element) in buffer.iter_mut().enumerate() {
                // SAFETY: as above.
                *element = unsafe { *first.wrapping_offset(index as isize * stride) };
            }
        }
        // SAFETY: as above.
        (_, 1) => unsafe { decode(simd, encoding, first, buffer) },
        _ if !encoding.is_half() => {
            for (index, element) in buffer.iter_mut().enumerate() {
                let place = encoding.offset(first, index as isize * stride);
                // SAFETY: as above.
                *element = T::from_f64(unsafe { decode_one(encoding, place) });
            }
        }
        _ => {
            let mut collected = [0_u16; COLLECTED];
            let mut next = first.cast::<u16>();
            for part in buffer.chunks_mut(COLLECTED) {
                let collected = &mut collected[..part.len()];
                for element in collected.iter_mut() {
                    // SAFETY: as above; encoded elements have 16 bits.
                    *element = unsafe { *next };
                    next = next.wrapping_offset(stride);
                }
                // SAFETY: there are as many.
                unsafe { decode(simd, encoding, collected.as_ptr().cast(), part) };
            }
        }
    }
}

/// The mask of rows whose results are NaN.
///
/// What is left out of any other row has its result from the kernel: it read a logit of `-inf`.
#[inline(always)]
fn mask_of_nan<'s, T: Float>(
    rows: &'s Rows<'_, T>,
    results: impl Iterator<Item = T>,
) -> Option<&'s Mask<'s, T>> {
    let mask = rows.mask()?;
    // Rows are all NaN or hold none. Without a branch the compiler makes vectors of it.
    let has_nan = results.fold(false, |any, result| any | result.to_f64().is_nan());
    has_nan.then_some(mask)
}

/// Copies a buffer to a row from an index on, as what the row's elements are. The buffer may be
/// changed.
///
/// # Safety
/// The row holds so many elements, and is writable by this thread alone.
#[inline(never)]
pub(super) unsafe fn scatter<S: Simd, T: Float>(
    simd: S,
    buffer: &mut [T],
    rows: &Rows<'_, T>,
    row: usize,
    start: usize,
) {
    simd.vectorize(
        #[inline(always)]
        || {
            let mask = mask_of_nan(rows, buffer.first().copied().into_iter());
            let mut done = 0;
            while done < buffer.len() {
                let (stride, count) = rows.run_from(start + done);
                let end = done + count.min(buffer.len() - done).min(MASKED);
                let first = rows.place(row, start + done).cast_mut();
                let run = &mut buffer[done..end];
                match mask {
                    Some(mask) if stride == 1 && rows.encoding() == Encoding::Own => {
                        // SAFETY: promised by the caller; this run lies one behind the other.
                        let to = unsafe { std::slice::from_raw_parts_mut(first, run.len()) };
                        copy_kept(mask, row, start + done, run, to);
                    }
                    mask => {
                        if let Some(mask) = mask {
                            leave_out(mask, row, start + done, run);
                        }
                        // SAFETY: as above, with this stride.
                        unsafe { scatter_run(simd, rows.encoding(), run, first, stride) };
                    }
                }
                done = end;
            }
        },
    );
}

/// # Safety
/// There are places for as many elements as the buffer holds, so far apart.
#[inline(always)]
unsafe fn scatter_run<S: Simd, T: Float>(
    simd: S,
    encoding: Encoding,
    buffer: &[T],
    first: *mut T,
    stride: isize,
) {
    match (encoding, stride) {
        (Encoding::Own, 1) => {
            // SAFETY: promised by the caller.
            let elements = unsafe { std::slice::from_raw_parts_mut(first, buffer.len()) };
            elements.copy_from_slice(buffer);
        }
        (Encoding::Own, _) => {
            for (index, &element) in buffer.iter().enumerate() {
                // SAFETY: as above.
                unsafe { *first.wrapping_offset(index as isize * stride) = element };
            }
        }
        // SAFETY: as above.
        (_, 1) => unsafe { encode(simd, encoding, buffer, first) },
        _ => {
            let mut collected = [0_u16; COLLECTED];
            let mut next = first.cast::<u16>();
            for part in buffer.chunks(COLLECTED) {
                let collected = &mut collected[..part.len()];
                // SAFETY: there are as many places.
                unsafe { encode(simd, encoding, part, collected.as_mut_ptr().cast()) };
                for &element in collected.iter() {
                    // SAFETY: as above; encoded elements have 16 bits.
                    unsafe { *next = element };
                    next = next.wrapping_offset(stride);
                }
            }
        }
    }
}

/// Copies elements of a row from an index on, but for those that a mask leaves out.
#[inline(always)]
fn copy_kept<T: Float>(mask: &Mask<'_, T>, row: usize, start: usize, from: &[T], to: &mut [T]) {
    assert!(from.len() == to.len());
    if !mask.kept.is_nested() && mask.kept.stride() == 1 {
        assert!(row < mask.kept.count() && start + to.len() <= mask.kept.len());
        // SAFETY: the row holds so many bytes, one behind the other.
        let kept = unsafe { std::slice::from_raw_parts(mask.kept.place(row, start), to.len()) };
        return select(kept, mask.fill, from, to);
    }
    let mut collected = [0_u8; COLLECTED];
    let mut index = start;
    for (from, to) in from.chunks(COLLECTED).zip(to.chunks_mut(COLLECTED)) {
        let kept = &mut collected[..to.len()];
        mask.kept.collect(row, index, kept);
        select(kept, mask.fill, from, to);
        index += to.len();
    }
}

/// Replaces the elements of a row from an index on that a mask leaves out.
#[inline(always)]
fn leave_out<T: Float>(mask: &Mask<'_, T>, row: usize, start: usize, elements: &mut [T]) {
    let mut index = start;
    each_copied(elements, |from, to| {
        copy_kept(mask, row, index, from, to);
        index += to.len();
    });
}

/// Copies the elements that have no 0 in a slice of bytes, and fills the places of the others.
///
/// From one slice to another: elements that are replaced in place become masked stores, which take
/// a dozen cycles on some machines.
#[inline(always)]
fn select<T: Float>(kept: &[u8], fill: T, from: &[T], to: &mut [T]) {
    for ((to, &from), &kept) in to.iter_mut().zip(from).zip(kept) {
        *to = if kept == 0 { fill } else { from };
    }
}

/// Calls a function for copies of some elements at a time, and the elements to overwrite.
#[inline(always)]
fn each_copied<T: Float>(elements: &mut [T], mut function: impl FnMut(&[T], &mut [T])) {
    let mut copy = [T::ZERO; COLLECTED];
    for part in elements.chunks_mut(COLLECTED) {
        let copy = &mut copy[..part.len()];
        copy.copy_from_slice(part);
        function(copy, part);
    }
}

/// Replaces the results of a row that are left out, if they are not right as the kernel wrote them.
///
/// # Safety
/// The results lie one behind the other and are writable by this thread alone.
#[inline(never)]
pub(super) unsafe fn fill_left_out<S: Simd, T: Float>(simd: S, rows: &Rows<'_, T>, row: usize) {
    assert!(row < rows.count() && rows.take_slices());
    // SAFETY: promised by the caller; a row has so many elements.
    let results =
        unsafe { std::slice::from_raw_parts_mut(rows.pointer(row).cast_mut(), rows.len_of(row)) };
    if let Some(mask) = mask_of_nan(rows, results.first().copied().into_iter()) {
        simd.vectorize(
            #[inline(always)]
            || leave_out(mask, row, 0, results),
        );
    }
}

/// Copies rows that lie one behind the other into a buffer that holds them all.
#[inline(never)]
pub(super) fn gather_rows<S: Simd, T: Float>(
    simd: S,
    from: &Rows<'_, T>,
    rows: Range<usize>,
    buffer: &mut [T],
) {
    assert!(from.is_contiguous() && rows.end <= from.count());
    assert!(buffer.len() == rows.len() * from.len());
    let start = from.pointer(rows.start);
    simd.vectorize(
        #[inline(always)]
        || match from.mask() {
            Some(mask) if from.encoding() == Encoding::Own => {
                // SAFETY: so many elements lie one behind the other.
                let elements = unsafe { std::slice::from_raw_parts(start, buffer.len()) };
                copy_kept_rows(mask, rows, elements, buffer);
            }
            mask => {
                // SAFETY: as above.
                unsafe { gather_run(simd, from.encoding(), start, 1, buffer) };
                if let Some(mask) = mask {
                    leave_out_of_rows(mask, rows, buffer);
                }
            }
        },
    );
}

/// Copies rows from a buffer that holds them all to where they lie one behind the other. The buffer
/// may be changed.
///
/// # Safety
/// The rows are writable by this thread alone.
#[inline(never)]
pub(super) unsafe fn scatter_rows<S: Simd, T: Float>(
    simd: S,
    buffer: &mut [T],
    to: &Rows<'_, T>,
    rows: Range<usize>,
) {
    assert!(to.is_contiguous() && rows.end <= to.count());
    assert!(buffer.len() == rows.len() * to.len());
    let start = to.pointer(rows.start).cast_mut();
    simd.vectorize(
        #[inline(always)]
        || match mask_of_nan(to, buffer.iter().copied().step_by(to.len())) {
            Some(mask) if to.encoding() == Encoding::Own => {
                // SAFETY: so many elements lie one behind the other, and the caller promises the
                // rest.
                let places = unsafe { std::slice::from_raw_parts_mut(start, buffer.len()) };
                copy_kept_rows(mask, rows, buffer, places);
            }
            mask => {
                if let Some(mask) = mask {
                    leave_out_of_rows(mask, rows, buffer);
                }
                // SAFETY: as above.
                unsafe { scatter_run(simd, to.encoding(), buffer, start, 1) };
            }
        },
    );
}

/// Copies the elements of one class of rows that lie side by side.
///
/// # Safety
/// The elements lie one behind the other.
#[inline(never)]
pub(super) unsafe fn gather_class<S: Simd, T: Float>(
    simd: S,
    from: &Rows<'_, T>,
    row: usize,
    class: usize,
    buffer: &mut [T],
) {
    assert!(row + buffer.len() <= from.count() && class < from.len());
    let start = from.place(row, class);
    simd.vectorize(
        #[inline(always)]
        || {
            match from.mask() {
                Some(mask) if from.encoding() == Encoding::Own && buffer.len() <= COLLECTED => {
                    // SAFETY: promised by the caller.
                    let elements = unsafe { std::slice::from_raw_parts(start, buffer.len()) };
                    let mut collected = [0; COLLECTED];
                    let kept = mask.of_class(row, class, &mut collected[..elements.len()]);
                    select(kept, mask.fill, elements, buffer);
                }
                mask => {
                    // SAFETY: as above.
                    unsafe { gather_run(simd, from.encoding(), start, 1, buffer) };
                    if let Some(mask) = mask {
                        leave_out_of_class(mask, row, class, buffer);
                    }
                }
            }
        },
    );
}

/// Copies the elements of one class to rows that lie side by side. The buffer may be changed.
///
/// # Safety
/// The elements lie one behind the other and are writable by this thread alone.
#[inline(never)]
pub(super) unsafe fn scatter_class<S: Simd, T: Float>(
    simd: S,
    buffer: &mut [T],
    to: &Rows<'_, T>,
    row: usize,
    class: usize,
) {
    assert!(row + buffer.len() <= to.count() && class < to.len());
    let start = to.place(row, class).cast_mut();
    simd.vectorize(
        #[inline(always)]
        || {
            match mask_of_nan(to, buffer.iter().copied()) {
                Some(mask) if to.encoding() == Encoding::Own && buffer.len() <= COLLECTED => {
                    // SAFETY: promised by the caller.
                    let places = unsafe { std::slice::from_raw_parts_mut(start, buffer.len()) };
                    let mut collected = [0; COLLECTED];
                    let kept = mask.of_class(row, class, &mut collected[..places.len()]);
                    select(kept, mask.fill, buffer, places);
                }
                mask => {
                    if let Some(mask) = mask {
                        leave_out_of_class(mask, row, class, buffer);
                    }
                    // SAFETY: as above.
                    unsafe { scatter_run(simd, to.encoding(), buffer, start, 1) };
                }
            }
        },
    );
}

/// Copies the elements of whole rows, but for those that a mask leaves out.
#[inline(always)]
fn copy_kept_rows<T: Float>(mask: &Mask<'_, T>, rows: Range<usize>, from: &[T], to: &mut [T]) {
    let mut collected = [0; MOST_IN_TILE];
    let kept = mask.of_rows(rows, &mut collected);
    select(kept, mask.fill, from, to);
}

/// Replaces the elements of whole rows that a mask leaves out.
#[inline(always)]
fn leave_out_of_rows<T: Float>(mask: &Mask<'_, T>, rows: Range<usize>, elements: &mut [T]) {
    let mut collected = [0; MOST_IN_TILE];
    let mut kept = mask.of_rows(rows, &mut collected);
    each_copied(elements, |from, to| {
        let (first, rest) = kept.split_at(to.len());
        select(first, mask.fill, from, to);
        kept = rest;
    });
}

/// Replaces the elements of one class, from a row on, that a mask leaves out.
#[inline(always)]
fn leave_out_of_class<T: Float>(mask: &Mask<'_, T>, row: usize, class: usize, elements: &mut [T]) {
    let mut row = row;
    each_copied(elements, |from, to| {
        let mut collected = [0; COLLECTED];
        let kept = mask.of_class(row, class, &mut collected[..to.len()]);
        select(kept, mask.fill, from, to);
        row += to.len();
    });
}

impl<T: Float> Mask<'_, T> {
    /// The bytes of whole rows, collected if they do not lie one behind the other.
    #[inline(always)]
    fn of_rows<'s>(&'s self, rows: Range<usize>, collected: &'s mut [u8]) -> &'s [u8] {
        assert!(rows.end <= self.kept.count());
        let classes = self.kept.len();
        let len = rows.len() * classes;
        if self.kept.is_contiguous() {
            // SAFETY: so many bytes lie one behind the other.
            return unsafe { std::slice::from_raw_parts(self.kept.pointer(rows.start), len) };
        }
        let collected = &mut collected[..len];
        if self.kept.are_equal() {
            // One row stands for all.
            self.kept.collect(rows.start, 0, &mut collected[..classes]);
            let mut done = classes;
            while done < len {
                let more = done.min(len - done);
                collected.copy_within(..more, done);
                done += more;
            }
        } else {
            for (row, bytes) in rows.zip(collected.chunks_exact_mut(classes)) {
                self.kept.collect(row, 0, bytes);
            }
        }
        collected
    }

    /// The bytes of one class of as many rows as there are places for, which are filled if those
    /// do not lie one behind the other.
    #[inline(always)]
    fn of_class<'s>(&'s self, row: usize, class: usize, collected: &'s mut [u8]) -> &'s [u8] {
        let rows = collected.len();
        assert!(row + rows <= self.kept.count() && class < self.kept.len());
        let (size, stride) = self.kept.last_outer();
        let in_one_run = row % size + rows <= size;
        match stride {
            // SAFETY: so many bytes lie side by side.
            1 if in_one_run => unsafe {
                std::slice::from_raw_parts(self.kept.place(row, class), rows)
            },
            0 if in_one_run => {
                collected.fill(self.kept.element(row, class));
                collected
            }
            _ => {
                for (index, byte) in collected.iter_mut().enumerate() {
                    *byte = self.kept.element(row + index, class);
                }
                collected
            }
        }
    }
}

impl Rows<'_, u8> {
    /// Copies a row from an index on.
    #[inline(always)]
    pub(super) fn collect(&self, row: usize, start: usize, to: &mut [u8]) {
        assert!(row < self.count() && start + to.len() <= self.len_of(row));
        let mut done = 0;
        while done < to.len() {
            let (stride, count) = self.run_from(start + done);
            let end = done + count.min(to.len() - done);
            let (first, run) = (self.place(row, start + done), &mut to[done..end]);
            match stride {
                // SAFETY: the row holds as many elements as there are places, this run one behind
                // the other.
                1 => run.copy_from_slice(unsafe { std::slice::from_raw_parts(first, run.len()) }),
                // SAFETY: as above.
                0 => run.fill(unsafe { *first }),
                _ => {
                    for (index, element) in run.iter_mut().enumerate() {
                        // SAFETY: as above, so far apart.
                        *element = unsafe { *first.wrapping_offset(index as isize * stride) };
                    }
                }
            }
            done = end;
        }
    }
}
