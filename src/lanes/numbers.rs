//! Runs what is known of rows by their numbers alone: no view is cut, no scratch is needed.

use std::ops::Range;

use super::run::{GRAIN, Scratch, run_grains};
use crate::error::Result;
use crate::stop::checkpoint;

/// Calls a function for the numbers of so many rows of a length, grain by grain; `merge` gets what
/// it gives in order.
pub(crate) fn read_numbers<Total: Send>(
    rows: usize,
    len: usize,
    function: impl Fn(Range<usize>) -> Total + Sync,
    merge: impl FnMut(Total),
) -> Result<()> {
    let rows_in_grain = (GRAIN / len.max(1)).max(1);
    let grain = |index: usize, _: &mut Scratch<f64>| {
        let first = index * rows_in_grain;
        function(first..rows.min(first + rows_in_grain))
    };
    let elements = rows.saturating_mul(len);
    let grains = rows.div_ceil(rows_in_grain);
    run_grains([grains, rows_in_grain], elements, grain, merge)
}

/// The first of so many numbers that a condition holds for.
pub(crate) fn find_number(count: usize, condition: impl Fn(usize) -> bool) -> Option<usize> {
    (0..count).step_by(GRAIN).find_map(|first| {
        checkpoint();
        (first..count.min(first + GRAIN)).find(|&number| condition(number))
    })
}
