//! Rows that are not slices, on their way between memory and a kernel: collected, decoded, masked,
//! and back.
//!
//! One copy of each function serves all kernels: it is called, for what it does takes far longer.

use std::ops::Range;

use fearless_simd::Simd;

use super::rows::{Mask, Rows};
use crate::float::{Encoding, Float};
use crate::simd::encoding::{decode, encode};

/// Elements that lie apart, and those of masks, are collected so many at a time.
const COLLECTED: usize = 256;

/// So many elements are copied and masked before the next ones are, which leaves them in L1.
const MASKED: usize = 2048;

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
                // SAFETY: the row holds as many elements as the buffer, this run with one stride.
                unsafe { gather_run(simd, rows.encoding(), first, stride, run) };
                if let Some(mask) = rows.mask() {
                    leave_out(mask, row, start + done, run);
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

/// Copies a buffer to a row from an index on, as what the row's elements are. What is left out is
/// replaced in the buffer, too.
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
            let mut done = 0;
            while done < buffer.len() {
                let (stride, count) = rows.run_from(start + done);
                let end = done + count.min(buffer.len() - done).min(MASKED);
                if let Some(mask) = rows.mask() {
                    leave_out(mask, row, start + done, &mut buffer[done..end]);
                }
                let first = rows.place(row, start + done).cast_mut();
                // SAFETY: promised by the caller; this run has one stride.
                unsafe { scatter_run(simd, rows.encoding(), &buffer[done..end], first, stride) };
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

/// Replaces the elements of a row from an index on that a mask leaves out.
#[inline(always)]
fn leave_out<T: Float>(mask: &Mask<'_, T>, row: usize, start: usize, elements: &mut [T]) {
    if !mask.kept.is_nested() && mask.kept.stride() == 1 {
        assert!(row < mask.kept.count() && start + elements.len() <= mask.kept.len());
        // SAFETY: the row holds so many bytes, one behind the other.
        let kept =
            unsafe { std::slice::from_raw_parts(mask.kept.place(row, start), elements.len()) };
        return fill_where_not(kept, mask.fill, elements);
    }
    let mut collected = [0_u8; COLLECTED];
    let mut index = start;
    for part in elements.chunks_mut(COLLECTED) {
        let kept = &mut collected[..part.len()];
        mask.kept.collect(row, index, kept);
        fill_where_not(kept, mask.fill, part);
        index += part.len();
    }
}

/// Replaces the elements that have a 0 in the other slice. Without a branch for each the compiler
/// makes vectors of it.
#[inline(always)]
pub(super) fn fill_where_not<T: Float>(kept: &[u8], fill: T, elements: &mut [T]) {
    for (element, &kept) in elements.iter_mut().zip(kept) {
        *element = if kept == 0 { fill } else { *element };
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
    simd.vectorize(
        #[inline(always)]
        || {
            assert!(from.is_contiguous() && rows.end <= from.count());
            assert!(buffer.len() == rows.len() * from.len());
            // SAFETY: so many elements lie one behind the other.
            unsafe { gather_run(simd, from.encoding(), from.pointer(rows.start), 1, buffer) };
            if let Some(mask) = from.mask() {
                leave_out_of_rows(mask, rows, buffer);
            }
        },
    );
}

/// Copies rows from a buffer that holds them all to where they lie one behind the other. What is
/// left out is replaced in the buffer, too.
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
    simd.vectorize(
        #[inline(always)]
        || {
            assert!(to.is_contiguous() && rows.end <= to.count());
            assert!(buffer.len() == rows.len() * to.len());
            let start = to.pointer(rows.start).cast_mut();
            if let Some(mask) = to.mask() {
                leave_out_of_rows(mask, rows, buffer);
            }
            // SAFETY: so many elements lie one behind the other, and the caller promises the rest.
            unsafe { scatter_run(simd, to.encoding(), buffer, start, 1) };
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
    simd.vectorize(
        #[inline(always)]
        || {
            assert!(row + buffer.len() <= from.count() && class < from.len());
            // SAFETY: promised by the caller.
            unsafe { gather_run(simd, from.encoding(), from.place(row, class), 1, buffer) };
            if let Some(mask) = from.mask() {
                leave_out_of_class(mask, row, class, buffer);
            }
        },
    );
}

/// Copies the elements of one class to rows that lie side by side. What is left out is replaced in
/// the buffer, too.
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
    simd.vectorize(
        #[inline(always)]
        || {
            assert!(row + buffer.len() <= to.count() && class < to.len());
            if let Some(mask) = to.mask() {
                leave_out_of_class(mask, row, class, buffer);
            }
            let start = to.place(row, class).cast_mut();
            // SAFETY: promised by the caller.
            unsafe { scatter_run(simd, to.encoding(), buffer, start, 1) };
        },
    );
}

/// Replaces the elements of whole rows that a mask leaves out.
#[inline(always)]
fn leave_out_of_rows<T: Float>(mask: &Mask<'_, T>, rows: Range<usize>, elements: &mut [T]) {
    let classes = mask.kept.len();
    if mask.kept.is_contiguous() {
        // SAFETY: the mask's rows are those of the elements, one behind the other, a byte each.
        let kept = unsafe {
            std::slice::from_raw_parts(mask.kept.pointer(rows.start), rows.len() * classes)
        };
        return fill_where_not(kept, mask.fill, elements);
    }
    for (row, elements) in rows.zip(elements.chunks_exact_mut(classes)) {
        leave_out(mask, row, 0, elements);
    }
}

/// Replaces the elements of one class, from a row on, that a mask leaves out.
#[inline(always)]
fn leave_out_of_class<T: Float>(mask: &Mask<'_, T>, row: usize, class: usize, elements: &mut [T]) {
    if mask.kept.side_by_side() >= elements.len() {
        let same_run =
            row / mask.kept.side_by_side() == (row + elements.len() - 1) / mask.kept.side_by_side();
        if same_run {
            // SAFETY: so many rows lie side by side, and hold the class.
            let kept =
                unsafe { std::slice::from_raw_parts(mask.kept.place(row, class), elements.len()) };
            return fill_where_not(kept, mask.fill, elements);
        }
    }
    for (index, element) in elements.iter_mut().enumerate() {
        if !mask.keeps(row + index, class) {
            *element = mask.fill;
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
