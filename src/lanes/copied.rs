//! Runs a kernel over long rows that are copied on their way to it: encoded ones, and masked ones.
//!
//! A row is copied block by block, once for its normaliser and once for its result. A block stays in
//! the first cache, where a copy of the row would pass through the second at every step.

use std::ops::Range;

use fearless_simd::Simd;

use super::pieces::{Piece, StartRow, WritePiece};
use super::rows::Rows;
use super::run::{GRAIN, Scratch, fetch, run_grains};
use crate::error::Result;
use crate::float::Float;
use crate::kernel::normalizer::{BLOCK, BlockSum, Normalizer, Start};
use crate::kernel::piece::PieceKernel;
use crate::simd::level::Instructions;
use crate::simd::{Task, dispatch};
use crate::wide::Wide;

/// Whether rows are to be copied in blocks.
pub(super) fn are_copied<T>(input: &Rows<'_, T>, outputs: &[Option<Rows<'_, T>>; 2]) -> bool {
    let mut all = std::iter::once(input).chain(outputs.iter().flatten());
    let are_runs = all.clone().all(Rows::are_runs);
    input.len() > BLOCK && are_runs && !all.all(Rows::are_slices)
}

/// Runs the kernel over all rows; `merge` gets the grains' totals in order.
///
/// # Safety
/// As for [`run`](super::run::run).
pub(super) unsafe fn run_copied<T: Float, Kernel: PieceKernel<T>>(
    instructions: Instructions,
    input: &Rows<'_, T>,
    outputs: &[Option<Rows<'_, T>>; 2],
    kernel: &Kernel,
    merge: impl FnMut(Kernel::Total),
) -> Result<()> {
    let (rows, len) = (input.count(), input.len());
    let [output, second] = outputs.each_ref().map(Option::as_ref);
    let rows_in_grain = (GRAIN / len).max(1);
    let grain = |index: usize, scratch: &mut Scratch<T>| {
        let mut total = Kernel::Total::default();
        let buffers = scratch.first_buffers();
        let first = index * rows_in_grain;
        for row in first..rows.min(first + rows_in_grain) {
            let task = NormalizerOfRow {
                rows: input,
                output,
                row,
                buffer: &mut buffers[0],
            };
            let normalizer = dispatch(instructions, task);
            let start = StartRow {
                kernel,
                row,
                normalizer: &normalizer,
                logits: input,
                total: &mut total,
            };
            let state = dispatch(instructions, start);
            let Some(output) = output else { continue };
            for places in blocks(len) {
                let task = WritePiece {
                    kernel,
                    state: &state,
                    row,
                    places,
                    input,
                    output,
                    second,
                    buffers,
                };
                dispatch(instructions, task);
            }
        }
        total
    };
    let results_in_grain = rows_in_grain.saturating_mul(kernel.results_in_row());
    run_grains(
        [rows.div_ceil(rows_in_grain), results_in_grain],
        input.elements(),
        grain,
        merge,
    )
}

fn blocks(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len)
        .step_by(BLOCK)
        .map(move |first| first..len.min(first + BLOCK))
}

/// The normaliser of a row, from its blocks.
struct NormalizerOfRow<'a, 'b, T> {
    rows: &'a Rows<'b, T>,
    /// Where its results will be written.
    output: Option<&'a Rows<'b, T>>,
    row: usize,
    buffer: &'a mut Vec<T>,
}

impl<T: Float> NormalizerOfRow<'_, '_, T> {
    #[inline(always)]
    fn sum<S: Simd>(&mut self, simd: S) -> Option<(Start<T>, Wide)> {
        let mut sum = BlockSum::new();
        let (rows, row) = (self.rows, self.row);
        for places in blocks(rows.len()) {
            let fetch = [
                fetch(rows, row, places.end),
                self.output
                    .and_then(|output| fetch(output, row, places.start)),
            ];
            let piece = Piece { rows, row, places };
            if !sum.add(simd, piece.elements(simd, self.buffer), fetch) {
                return None;
            }
        }
        sum.found()
    }

    /// The sum of all terms but for one of the maximum.
    #[inline(always)]
    fn sum_of_others<S: Simd>(&mut self, simd: S, start: &Start<T>) -> Wide {
        let (rows, row) = (self.rows, self.row);
        let mut sum = Wide::ZERO;
        let mut left_out = false;
        for places in blocks(rows.len()) {
            let piece = Piece { rows, row, places };
            let elements = piece.elements(simd, self.buffer);
            let holds_max = !left_out && start.is_max_in(simd, elements);
            left_out |= holds_max;
            sum += start.sum_of_others(simd, elements, holds_max);
        }
        sum
    }
}

impl<T: Float> Task for NormalizerOfRow<'_, '_, T> {
    type Output = Normalizer<T>;

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) -> Normalizer<T> {
        let (rows, row) = (self.rows, self.row);
        let summed = self.sum(simd);
        let normalizer = summed
            .and_then(|(start, sum)| start.finish(simd, sum, || self.sum_of_others(simd, &start)));
        normalizer.unwrap_or_else(|| {
            Normalizer::not_finite((0..rows.len()).map(|at| rows.element(row, at)))
        })
    }
}
