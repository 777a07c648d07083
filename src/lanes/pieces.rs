//! Runs a kernel over rows that threads share: few rows, each of very many classes.
//!
//! A row is cut at fixed places. Threads find the maxima of the pieces, then the sums, then write.

use std::ops::Range;

use fearless_simd::Simd;

use super::gather::{gather, scatter};
use super::rows::Rows;
use super::run::{GRAIN, PARALLEL, aligned};
use super::team;
use crate::float::Float;
use crate::kernel::lane::Lane;
use crate::kernel::normalizer::{Normalizer, Start};
use crate::kernel::piece::PieceKernel;
use crate::simd::level::Instructions;
use crate::simd::reduce::max;
use crate::simd::{Task, dispatch};
use crate::stop::checkpoint;
use crate::wide::Wide;

/// With more rows than these every thread has rows of its own.
const FEW_ROWS: usize = 4;

/// No thread copies a row as long as this, if it lies one behind the other or in runs.
const VERY_LONG: usize = 1 << 18;

/// Nor one as long as this that lies in any other way, although gathering it thrice takes longer.
const HUGE: usize = 1 << 20;

/// Whether rows are to be cut into pieces.
pub(super) fn are_long<T>(input: &Rows<'_, T>, outputs: &[Option<Rows<'_, T>>; 2]) -> bool {
    let both = std::iter::once(input).chain(outputs.iter().flatten());
    let is_few = input.count() <= FEW_ROWS && input.len() >= PARALLEL;
    let is_copied = || !both.clone().all(Rows::are_slices);
    let are_runs = both.clone().all(Rows::are_runs);
    let limit = if are_runs { VERY_LONG } else { HUGE };
    (is_few && are_runs) || (input.len() >= limit && is_copied())
}

/// Runs the kernel over all rows; `merge` gets what they add up to.
///
/// # Safety
/// As for [`run`](super::run::run); besides, `are_long` holds.
pub(super) unsafe fn run_pieces<T: Float, Kernel: PieceKernel<T>>(
    instructions: Instructions,
    input: &Rows<'_, T>,
    outputs: &[Option<Rows<'_, T>>; 2],
    kernel: &Kernel,
    mut merge: impl FnMut(Kernel::Total),
) {
    for row in 0..input.count() {
        let normalizer = normalizer(instructions, input, row);
        let mut total = Kernel::Total::default();
        let start = StartRow {
            kernel,
            row,
            normalizer: &normalizer,
            logits: input,
            total: &mut total,
        };
        let state = dispatch(instructions, start);
        merge(total);
        let [Some(output), second] = outputs else {
            continue;
        };
        let write = |buffers: &mut [Vec<T>; 2], piece: usize| {
            let first = piece * GRAIN;
            let task = WritePiece {
                kernel,
                state: &state,
                row,
                places: first..input.len().min(first + GRAIN),
                input,
                output,
                second: second.as_ref().filter(|_| Kernel::WRITES_TWO),
                buffers,
            };
            dispatch(instructions, task);
        };
        team::map(input.len().div_ceil(GRAIN), Default::default, write);
    }
}

/// The normaliser of a row, from those of its pieces.
fn normalizer<T: Float>(
    instructions: Instructions,
    rows: &Rows<'_, T>,
    row: usize,
) -> Normalizer<T> {
    let pieces = rows.len().div_ceil(GRAIN);
    let piece = |index: usize| Piece {
        rows,
        row,
        places: index * GRAIN..rows.len().min((index + 1) * GRAIN),
    };
    let maxima = team::map(pieces, Vec::new, |buffer, index| {
        let piece = piece(index);
        dispatch(instructions, MaxOfPiece { piece, buffer })
    });
    let max = dispatch(instructions, Max(&maxima));
    let not_finite = || {
        let element = |at: usize| {
            if at.is_multiple_of(GRAIN) {
                checkpoint();
            }
            rows.element(row, at)
        };
        Normalizer::not_finite((0..rows.len()).map(element))
    };
    let holds_max = maxima.iter().position(|&piece| piece == max);
    let (true, Some(top)) = (max.to_f64().is_finite(), holds_max) else {
        return not_finite();
    };
    let start = dispatch(instructions, FindStart(max));
    let sum = |without: Option<usize>| {
        let sums = team::map(pieces, Vec::new, |buffer, index| {
            let sum = Sum {
                piece: piece(index),
                buffer,
                without: without.map(|top| top == index),
                start: &start,
            };
            dispatch(instructions, sum)
        });
        sums.into_iter().fold(Wide::ZERO, |sum, piece| sum + piece)
    };
    let again = || sum(Some(top));
    let finish = Finish {
        start,
        sum: sum(None),
        again,
    };
    dispatch(instructions, finish).unwrap_or_else(not_finite)
}

/// Some elements of a row.
pub(super) struct Piece<'a, 'b, T> {
    pub(super) rows: &'a Rows<'b, T>,
    pub(super) row: usize,
    pub(super) places: Range<usize>,
}

impl<T: Float> Piece<'_, '_, T> {
    /// The elements themselves if they are a slice, else what is gathered of them in the buffer.
    #[inline(always)]
    pub(super) fn elements<'s, S: Simd>(&'s self, simd: S, buffer: &'s mut Vec<T>) -> &'s [T] {
        if let Some(row) = self.rows.slice_of(self.row) {
            return &row[self.places.clone()];
        }
        let buffer = aligned(buffer, self.places.len());
        gather(simd, self.rows, self.row, self.places.start, buffer);
        buffer
    }
}

struct MaxOfPiece<'a, 'b, T> {
    piece: Piece<'a, 'b, T>,
    buffer: &'a mut Vec<T>,
}

impl<T: Float> Task for MaxOfPiece<'_, '_, T> {
    type Output = T;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> T {
        max(simd, self.piece.elements(simd, self.buffer))
    }
}

struct Max<'a, T>(&'a [T]);

impl<T: Float> Task for Max<'_, T> {
    type Output = T;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> T {
        max(simd, self.0)
    }
}

struct FindStart<T>(T);

impl<T: Float> Task for FindStart<T> {
    type Output = Start<T>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Start<T> {
        Start::at(simd, self.0)
    }
}

/// The sum of a piece's terms; or of the others' alone, given whether the maximum is in it.
struct Sum<'a, 'b, T> {
    piece: Piece<'a, 'b, T>,
    buffer: &'a mut Vec<T>,
    without: Option<bool>,
    start: &'a Start<T>,
}

impl<T: Float> Task for Sum<'_, '_, T> {
    type Output = Wide;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Wide {
        let elements = self.piece.elements(simd, self.buffer);
        match self.without {
            None => self.start.sum(simd, elements, [None; 2]),
            Some(holds_max) => self.start.sum_of_others(simd, elements, holds_max),
        }
    }
}

struct Finish<T, F> {
    start: Start<T>,
    sum: Wide,
    again: F,
}

impl<T: Float, F: FnOnce() -> Wide> Task for Finish<T, F> {
    type Output = Option<Normalizer<T>>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Option<Normalizer<T>> {
        self.start.finish(simd, self.sum, self.again)
    }
}

pub(super) struct StartRow<'a, 'b, T: Float, Kernel: PieceKernel<T>> {
    pub(super) kernel: &'a Kernel,
    pub(super) row: usize,
    pub(super) normalizer: &'a Normalizer<T>,
    pub(super) logits: &'a Rows<'b, T>,
    pub(super) total: &'a mut Kernel::Total,
}

impl<T: Float, Kernel: PieceKernel<T>> Task for StartRow<'_, '_, T, Kernel> {
    type Output = Kernel::Row;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Kernel::Row {
        let logit = |class: usize| self.logits.element(self.row, class);
        self.kernel
            .start(simd, self.row, self.normalizer, logit, self.total)
    }
}

pub(super) struct WritePiece<'a, 'b, T: Float, Kernel: PieceKernel<T>> {
    pub(super) kernel: &'a Kernel,
    pub(super) state: &'a Kernel::Row,
    pub(super) row: usize,
    pub(super) places: Range<usize>,
    pub(super) input: &'a Rows<'b, T>,
    pub(super) output: &'a Rows<'b, T>,
    pub(super) second: Option<&'a Rows<'b, T>>,
    pub(super) buffers: &'a mut [Vec<T>; 2],
}

impl<T: Float, Kernel: PieceKernel<T>> Task for WritePiece<'_, '_, T, Kernel> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (row, first, len) = (self.row, self.places.start, self.places.len());
        let is_direct = self.input.are_slices() && self.output.are_slices();
        let [buffer, second_buffer] = self.buffers;
        let (from, to) = if is_direct {
            let (from, to) = (self.input.place(row, first), self.output.place(row, first));
            (from, to.cast_mut())
        } else {
            let buffer = aligned(buffer, len);
            gather(simd, self.input, row, first, buffer);
            let to = buffer.as_mut_ptr();
            (to.cast_const(), to)
        };
        let second = match self.second {
            Some(rows) if rows.are_slices() => rows.place(row, first).cast_mut(),
            Some(_) => aligned(second_buffer, len).as_mut_ptr(),
            None => std::ptr::null_mut(),
        };
        // SAFETY: promised by the caller of `run_pieces`; each piece is written by one thread. A
        // buffer is its own input, element for element.
        let mut lane = unsafe { Lane::new([from], to, len).with_second(second) };
        self.kernel.piece(simd, self.state, first, &mut lane);
        if !is_direct {
            // SAFETY: the kernel has written so many elements to the buffer.
            let buffer = unsafe { std::slice::from_raw_parts_mut(to, len) };
            // SAFETY: as above.
            unsafe { scatter(simd, buffer, self.output, row, first) };
        }
        if let Some(output) = self.second.filter(|rows| !rows.are_slices()) {
            // SAFETY: as above.
            let buffer = unsafe { std::slice::from_raw_parts_mut(second, len) };
            // SAFETY: as above.
            unsafe { scatter(simd, buffer, output, row, first) };
        }
    }
}
