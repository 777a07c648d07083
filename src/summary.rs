//! What is measured of rows, for the Python classes and functions that add it up: a few numbers a row,
//! and sums of numbers without rounding.

use crate::error::Result;
use crate::float::Float;
use crate::kernel::normalizer::Normalizer;
use crate::kernel::piece::PieceKernel;
use crate::kernel::summary::{GivenSummaries, Place, Summaries, Summary, Tempered};
use crate::lanes::{View, ViewMut, read_rows, reserved, write_rows};
use crate::simd::{Task, dispatch, level};

/// The numbers of one row.
pub(crate) type Numbers = [f64; Summary::LEN];

/// The summary of each row along the last axis. An index that names no class is in another part of the
/// row, unless it is to be ignored.
pub(crate) fn summaries_of<T: Float>(
    scores: &View<'_, T>,
    targets: &View<'_, i64>,
    ignored: Option<i64>,
    from_probs: bool,
) -> Result<Vec<f64>> {
    let axis = last_axis(scores)?;
    let (rows, classes) = (scores.rows(axis).count(), scores.shape()[axis]);
    let targets = targets.elements();
    assert!(targets.count() == rows);
    let kernel = Summaries {
        place: |row| match targets.value(row) {
            index if Some(index) == ignored => Place::LeftOut,
            index => match usize::try_from(index) {
                Ok(class) if class < classes => Place::Class(class),
                _ => Place::Elsewhere,
            },
        },
        from_probs,
    };
    let mut numbers = reserved(rows.saturating_mul(Summary::LEN))?;
    read_rows(std::array::from_ref(scores), axis, &kernel, |grain| {
        numbers.extend(grain);
    })?;
    Ok(numbers)
}

fn last_axis<T>(scores: &View<'_, T>) -> Result<usize> {
    let axis = scores.dimensions().saturating_sub(1);
    scores.check_axis(axis)?;
    Ok(axis)
}

struct Plus<'a> {
    one: &'a mut Numbers,
    other: &'a Numbers,
}

impl Task for Plus<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: fearless_simd::Simd>(self, simd: S) {
        let (one, other) = (*self.one, *self.other);
        let sum = Summary::from_numbers(one).plus(simd, Summary::from_numbers(other));
        *self.one = sum.numbers();
    }
}

/// Adds the summaries of other classes of the same rows.
pub(crate) fn add_summaries(numbers: &mut [Numbers], others: &[Numbers]) -> Result<()> {
    let instructions = level()?;
    for (one, other) in numbers.iter_mut().zip(others) {
        dispatch(instructions, Plus { one, other });
    }
    Ok(())
}

/// Writes what a kernel makes of some classes of each row, along the last axis, given the summaries of
/// the rows.
pub(crate) fn map_given<T: Float>(
    scores: &View<'_, T>,
    numbers: &[Numbers],
    out: &ViewMut<'_, T>,
    kernel: &impl PieceKernel<T, Row = Normalizer<T>>,
) -> Result<()> {
    let axis = last_axis(scores)?;
    assert!(numbers.len() == scores.rows(axis).count());
    let kernel = GivenSummaries { kernel, numbers };
    write_rows(std::array::from_ref(scores), out, axis, &kernel, |()| ())
}

/// The numbers of [`Tempered`] for each row along the last axis that is not ignored.
pub(crate) fn tempered_of<T: Float>(
    logits: &View<'_, T>,
    targets: &View<'_, i64>,
    ignored: Option<i64>,
    inverse: f64,
) -> Result<Vec<f64>> {
    let axis = last_axis(logits)?;
    let classes = logits.shape()[axis];
    let targets = targets.elements();
    assert!(targets.count() == logits.rows(axis).count());
    let kernel = Tempered {
        class: |row| match targets.value(row) {
            index if Some(index) == ignored => None,
            index => usize::try_from(index).ok().filter(|&class| class < classes),
        },
        inverse,
    };
    let mut numbers = Vec::new();
    read_rows(std::array::from_ref(logits), axis, &kernel, |grain| {
        numbers.extend(grain);
    })?;
    Ok(numbers)
}
