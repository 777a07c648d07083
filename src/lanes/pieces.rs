//! Runs a kernel over rows that threads share: few rows, each of very many classes.
//!
//! A row is cut at fixed places. Threads find the maxima of the pieces, then the sums, then write.

use fearless_simd::Simd;

use super::run::{GRAIN, PARALLEL};
use super::team;
use super::view::Rows;
use crate::float::Float;
use crate::kernel::lane::Lane;
use crate::kernel::normalizer::{Normalizer, Start};
use crate::kernel::piece::PieceKernel;
use crate::simd::level::Instructions;
use crate::simd::reduce::max;
use crate::simd::{Task, dispatch};
use crate::wide::Wide;

/// With more rows than these every thread has rows of its own.
const FEW_ROWS: usize = 4;

/// Whether rows are to be cut into pieces.
pub(super) fn are_long<T>(input: &Rows<'_, T>, output: Option<&Rows<'_, T>>) -> bool {
    let contiguous = |rows: &Rows<'_, T>| rows.stride() == 1;
    input.count() <= FEW_ROWS
        && input.len() >= PARALLEL
        && contiguous(input)
        && output.is_none_or(contiguous)
}

/// Runs the kernel over all rows; `merge` gets what they add up to.
///
/// # Safety
/// As for [`run`](super::run::run); besides, `are_long` holds.
pub(super) unsafe fn run_pieces<T: Float, Kernel: PieceKernel<T>>(
    instructions: Instructions,
    input: &Rows<'_, T>,
    output: Option<&Rows<'_, T>>,
    kernel: &Kernel,
    mut merge: impl FnMut(Kernel::Total),
) {
    for row in 0..input.count() {
        // SAFETY: the row is contiguous; nothing is written while the slice lives.
        let logits = unsafe { std::slice::from_raw_parts(input.pointer(row), input.len()) };
        let normalizer = normalizer(instructions, logits);
        let mut total = Kernel::Total::default();
        let start = StartRow {
            kernel,
            row,
            normalizer: &normalizer,
            logits,
            total: &mut total,
        };
        let state = dispatch(instructions, start);
        merge(total);
        let Some(output) = output else { continue };
        let write = |piece: usize| {
            let first = piece * GRAIN;
            let (from, to) = (input.pointer(row), output.pointer(row).cast_mut());
            let (from, to) = (from.wrapping_add(first), to.wrapping_add(first));
            let len = GRAIN.min(input.len() - first);
            // SAFETY: promised by the caller; each piece is written by one thread.
            let lane = unsafe { Lane::new([from], to, len) };
            let task = WritePiece {
                kernel,
                state: &state,
                first,
                lane,
            };
            dispatch(instructions, task);
        };
        team::map(input.len().div_ceil(GRAIN), || (), |(), piece| write(piece));
    }
}

/// The normaliser of a row, from those of its pieces.
fn normalizer<T: Float>(instructions: Instructions, row: &[T]) -> Normalizer<T> {
    let pieces = row.len().div_ceil(GRAIN);
    let piece = |index: usize| &row[index * GRAIN..row.len().min((index + 1) * GRAIN)];
    let maxima = team::map(
        pieces,
        || (),
        |(), index| dispatch(instructions, Max(piece(index))),
    );
    let max = dispatch(instructions, Max(&maxima));
    let not_finite = || Normalizer::not_finite(row.iter().copied());
    let holds_max = maxima.iter().position(|&piece| piece == max);
    let (true, Some(top)) = (max.to_f64().is_finite(), holds_max) else {
        return not_finite();
    };
    let start = dispatch(instructions, FindStart(max));
    let sum = |without: Option<usize>| {
        let sums = team::map(
            pieces,
            || (),
            |(), index| {
                let sum = Sum {
                    piece: piece(index),
                    without: without.map(|top| top == index),
                    start: &start,
                };
                dispatch(instructions, sum)
            },
        );
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
struct Sum<'a, T> {
    piece: &'a [T],
    without: Option<bool>,
    start: &'a Start<T>,
}

impl<T: Float> Task for Sum<'_, T> {
    type Output = Wide;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Wide {
        match self.without {
            None => self.start.sum(simd, self.piece, 0),
            Some(holds_max) => self.start.sum_of_others(simd, self.piece, holds_max),
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

struct StartRow<'a, T: Float, Kernel: PieceKernel<T>> {
    kernel: &'a Kernel,
    row: usize,
    normalizer: &'a Normalizer<T>,
    logits: &'a [T],
    total: &'a mut Kernel::Total,
}

impl<T: Float, Kernel: PieceKernel<T>> Task for StartRow<'_, T, Kernel> {
    type Output = Kernel::Row;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Kernel::Row {
        let logit = |class: usize| self.logits[class];
        self.kernel
            .start(simd, self.row, self.normalizer, logit, self.total)
    }
}

struct WritePiece<'a, 'b, T: Float, Kernel: PieceKernel<T>> {
    kernel: &'a Kernel,
    state: &'a Kernel::Row,
    first: usize,
    lane: Lane<'b, T, 1>,
}

impl<T: Float, Kernel: PieceKernel<T>> Task for WritePiece<'_, '_, T, Kernel> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        self.kernel
            .piece(simd, self.state, self.first, &mut self.lane);
    }
}
