//! Moving rows that are no slices, at every level, against indices worked out one by one.

use std::ops::Range;

use fearless_simd::Simd;
use half::{bf16, f16};

use super::gather::{
    fill_left_out, gather, gather_class, gather_rows, scatter, scatter_class, scatter_rows,
};
use super::rows::Rows;
use super::view::View;
use crate::float::Element;
use crate::simd::level::Instructions;
use crate::simd::{Task, dispatch};

/// Elements of the memory that all arrays lie in, and the first of theirs.
const MEMORY: usize = 1 << 15;
const START: usize = MEMORY / 2;

/// What stands in places that must not be written.
const GUARD: f32 = -7.0;

/// What left-out elements are read as, and their results.
const READ_AS: f32 = -128.0;
const WRITTEN_AS: f32 = 64.0;

/// Sizes, strides and the axes of rows.
struct Array {
    shape: &'static [usize],
    strides: &'static [isize],
    axes: &'static [usize],
}

const ARRAYS: [Array; 11] = [
    rows_of(&[5, 67], &[67, 1], &[1]),
    rows_of(&[5, 67], &[90, 1], &[1]),
    rows_of(&[5, 67], &[-67, -1], &[1]),
    rows_of(&[3, 130], &[1, 3], &[1]),
    rows_of(&[4, 70], &[-300, 3], &[1]),
    rows_of(&[70, 4], &[4, 1], &[0]),
    rows_of(&[1, 1100], &[1100, 1], &[1]),
    // Over several axes, which lie one behind the other or do not, in runs and one by one.
    rows_of(&[3, 4, 33], &[132, 33, 1], &[1, 2]),
    rows_of(&[3, 4, 33], &[160, 40, 1], &[1, 2]),
    rows_of(&[3, 5, 7, 2], &[70, 14, 2, 1], &[0, 2]),
    rows_of(&[3, 5, 7], &[1, 3, 15], &[0, 1, 2]),
];

const fn rows_of(
    shape: &'static [usize],
    strides: &'static [isize],
    axes: &'static [usize],
) -> Array {
    Array {
        shape,
        strides,
        axes,
    }
}

impl Array {
    fn outer(&self) -> Vec<usize> {
        let all = 0..self.shape.len();
        all.filter(|axis| !self.axes.contains(axis)).collect()
    }

    fn count(&self) -> usize {
        self.outer().iter().map(|&d| self.shape[d]).product()
    }

    fn len(&self) -> usize {
        self.axes.iter().map(|&d| self.shape[d]).product()
    }

    /// Where an element of a row lies, counted from the first of the array.
    fn place(&self, row: usize, index: usize) -> usize {
        let walk = |mut number: usize, dims: &[usize]| {
            let mut offset = 0;
            for &d in dims.iter().rev() {
                offset += (number % self.shape[d]) as isize * self.strides[d];
                number /= self.shape[d];
            }
            offset
        };
        let offset = walk(row, &self.outer()) + walk(index, self.axes);
        START.strict_add_signed(offset)
    }
}

/// Which function moves elements between an array and a buffer.
#[derive(Clone, Debug)]
enum Call {
    Gather { row: usize, start: usize },
    Scatter { row: usize, start: usize },
    GatherRows(Range<usize>),
    ScatterRows(Range<usize>),
    GatherClass { row: usize, class: usize },
    ScatterClass { row: usize, class: usize },
    Fill { row: usize },
}

struct Moved<'a, 'b> {
    call: Call,
    rows: &'a Rows<'b, f32>,
    buffer: &'a mut [f32],
}

impl Task for Moved<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (rows, buffer) = (self.rows, self.buffer);
        // SAFETY: the tests call for places within the memory, which they hold alone, and for
        // classes and rows only where the elements lie one behind the other.
        unsafe {
            match self.call {
                Call::Gather { row, start } => gather(simd, rows, row, start, buffer),
                Call::Scatter { row, start } => scatter(simd, buffer, rows, row, start),
                Call::GatherRows(range) => gather_rows(simd, rows, range, buffer),
                Call::ScatterRows(range) => scatter_rows(simd, buffer, rows, range),
                Call::GatherClass { row, class } => gather_class(simd, rows, row, class, buffer),
                Call::ScatterClass { row, class } => scatter_class(simd, buffer, rows, row, class),
                Call::Fill { row } => fill_left_out(simd, rows, row),
            }
        }
    }
}

impl Call {
    /// Moves elements between rows and a buffer.
    fn at(self, level: Instructions, rows: &Rows<'_, f32>, buffer: &mut [f32]) {
        let call = self;
        dispatch(level, Moved { call, rows, buffer });
    }

    /// The row and class of each element of the buffer.
    fn elements(&self, classes: usize, len: usize) -> Vec<(usize, usize)> {
        let in_row = |row, start| (start..start + len).map(|class| (row, class)).collect();
        match self.clone() {
            Self::Gather { row, start } | Self::Scatter { row, start } => in_row(row, start),
            Self::Fill { row } => in_row(row, 0),
            Self::GatherRows(rows) | Self::ScatterRows(rows) => rows
                .flat_map(|row| (0..classes).map(move |class| (row, class)))
                .collect(),
            Self::GatherClass { row, class } | Self::ScatterClass { row, class } => {
                (row..row + len).map(|row| (row, class)).collect()
            }
        }
    }

    fn reads(&self) -> bool {
        matches!(
            self,
            Self::Gather { .. } | Self::GatherRows(_) | Self::GatherClass { .. }
        )
    }
}

/// A number that every encoding holds, another one at each of many places.
fn number(place: usize) -> f32 {
    (place % 251) as f32 * 0.5
}

/// Whether an element counts, in the tests with a mask.
fn is_kept(place: usize) -> bool {
    !place.is_multiple_of(3)
}

/// Runs a call on an array, at every level, and checks every place and the whole buffer.
fn check<E: Element<Compute = f32>>(array: &Array, masked: bool, call: &Call, len: usize) {
    let encode = |value: f32| E::from_compute(value);
    for level in Instructions::available() {
        for nan in [false, true] {
            let mut memory: Vec<E> = (0..MEMORY).map(|i| encode(number(i))).collect();
            let mask: Vec<u8> = (0..MEMORY).map(|i| u8::from(is_kept(i)) * 2).collect();
            let elements = call.elements(array.len(), len);
            let results = |at: usize| if nan { f32::NAN } else { number(at + 5) };
            let mut buffer: Vec<f32> = (0..elements.len()).map(results).collect();
            if matches!(call, Call::Fill { .. }) {
                for (at, &(row, class)) in elements.iter().enumerate() {
                    memory[array.place(row, class)] = encode(results(at));
                }
            }
            let before: Vec<f32> = memory.iter().map(|&x| x.to_f64() as f32).collect();
            let (shape, strides) = (array.shape.iter().copied(), array.strides.iter().copied());
            // SAFETY: both arrays lie within their memories.
            let (view, kept) = unsafe {
                (
                    View::from_elements(
                        memory.as_mut_ptr().add(START).cast_const(),
                        shape.clone(),
                        strides.clone(),
                    ),
                    View::from_raw(mask.as_ptr().add(START), shape, strides),
                )
            };
            let fill = if call.reads() { READ_AS } else { WRITTEN_AS };
            let mut rows = view.rows_over(array.axes);
            if masked {
                rows = rows.masked(kept.rows_over(array.axes), fill);
            }
            let case = format!(
                "{} {:?} {:?} {:?} masked: {masked} NaN: {nan} {call:?}",
                std::any::type_name::<E>(),
                array.shape,
                array.strides,
                array.axes
            );
            let given = buffer.clone();
            call.clone().at(level, &rows, &mut buffer);
            let mut expected = before.clone();
            for (at, &(row, class)) in elements.iter().enumerate() {
                let place = array.place(row, class);
                let left_out = masked && !is_kept(place);
                if call.reads() {
                    let wanted = if left_out { READ_AS } else { before[place] };
                    assert_eq!(buffer[at].to_bits(), wanted.to_bits(), "{case} at {at}");
                } else if left_out && nan {
                    expected[place] = WRITTEN_AS;
                } else if !matches!(call, Call::Fill { .. }) {
                    expected[place] = given[at];
                }
            }
            let after = memory.iter().map(|&x| x.to_f64() as f32);
            for (place, (after, expected)) in after.zip(expected).enumerate() {
                let same = after == expected || (after.is_nan() && expected.is_nan());
                assert!(same, "{case}: {after} at {place}, expected {expected}");
            }
        }
    }
}

fn check_all(array: &Array, call: &Call, len: usize) {
    for masked in [false, true] {
        check::<f32>(array, masked, call, len);
        check::<f16>(array, masked, call, len);
        check::<bf16>(array, masked, call, len);
    }
}

#[test]
fn rows_and_parts_of_them_are_moved() {
    for array in &ARRAYS {
        let (last, len) = (array.count() - 1, array.len());
        for (start, len) in [(0, len), (1, 0), (1, 1), (len - 1, 1), (2, len - 3), (0, 3)] {
            check_all(array, &Call::Gather { row: last, start }, len);
            check_all(array, &Call::Scatter { row: last, start }, len);
        }
    }
}

#[test]
fn whole_rows_are_moved_together() {
    const SHAPES: &[([usize; 2], [isize; 2])] = &[
        ([70, 1], [1, 1]),
        ([70, 2], [2, 1]),
        ([70, 5], [5, 1]),
        ([70, 16], [16, 1]),
        ([70, 33], [33, 1]),
    ];
    for (shape, strides) in SHAPES {
        let array = rows_of(shape, strides, &[1]);
        for rows in [0..1, 3..3, 0..64, 7..70] {
            let len = rows.len() * shape[1];
            check_all(&array, &Call::GatherRows(rows.clone()), len);
            check_all(&array, &Call::ScatterRows(rows), len);
        }
    }
}

#[test]
fn classes_of_neighbouring_rows_are_moved() {
    let array = rows_of(&[5, 150], &[170, 1], &[0]);
    for (row, len) in [(0, 1), (0, 64), (3, 17), (86, 64), (149, 1), (0, 150)] {
        check_all(&array, &Call::GatherClass { row, class: 3 }, len);
        check_all(&array, &Call::ScatterClass { row, class: 4 }, len);
    }
}

#[test]
fn only_results_of_rows_that_are_nan_are_filled() {
    for array in ARRAYS.iter().filter(|array| array.axes == [1]) {
        let (row, len) = (array.count() - 1, array.len());
        if array.strides[1] == 1 {
            check::<f32>(array, true, &Call::Fill { row }, len);
        }
    }
}

#[test]
fn a_mask_may_repeat_itself() {
    let kept = [1_u8, 0, 1, 0, 0, 1, 1];
    let elements: Vec<f32> = (0..70 * 7).map(number).collect();
    for strides in [[0, 1], [0, 0], [1, 0]] {
        // SAFETY: all places that shapes and strides reach are there.
        let (view, mask) = unsafe {
            (
                View::from_raw(elements.as_ptr(), [7, 7], [7, 1]),
                View::from_raw(kept.as_ptr(), [7, 7], strides),
            )
        };
        let rows = view.rows(1).masked(mask.rows(1), READ_AS);
        for level in Instructions::available() {
            let mut together = [GUARD; 49];
            let mut one_by_one = [GUARD; 49];
            Call::GatherRows(0..7).at(level, &rows, &mut together);
            for (row, buffer) in one_by_one.chunks_mut(7).enumerate() {
                Call::Gather { row, start: 0 }.at(level, &rows, buffer);
            }
            for (at, &element) in elements[..49].iter().enumerate() {
                let (row, class) = ((at / 7) as isize, (at % 7) as isize);
                let byte = kept[(row * strides[0] + class * strides[1]) as usize];
                let expected = if byte == 0 { READ_AS } else { element };
                assert_eq!(together[at], expected, "{strides:?} at {at}");
                assert_eq!(one_by_one[at], expected, "{strides:?} at {at}");
            }
        }
    }
}
