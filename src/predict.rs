//! Predictions from scores: the best classes, accuracy, perplexity.

use ndarray::{Array, ArrayView, Axis, Dimension};

use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernel::class_loss::LogitsLoss;
use crate::kernel::predict::{Hits, Ranked, TopK};
use crate::lanes::{View, read_rows};
use crate::loss::{Losses, class_losses};
use crate::targets::{ClassOptions, Targets, TargetsView, check_indices};

/// The `k` largest scores along an axis, largest first, and their classes.
pub fn top_k<T: Float, D: Dimension>(
    scores: ArrayView<'_, T, D>,
    k: usize,
    axis: Axis,
) -> Result<(Array<T, D>, Array<i64, D>)> {
    let view = View::from(scores.view());
    let ranked = ranked_rows(&view, k as i128, axis.0)?;
    let mut shape = scores.raw_dim();
    shape[axis.0] = k;
    let (mut values, mut indices) = (
        Array::from_elem(shape.clone(), T::ZERO),
        Array::from_elem(shape, 0),
    );
    if k > 0 {
        let rows = values
            .lanes_mut(axis)
            .into_iter()
            .zip(ranked.values.chunks(k));
        rows.for_each(|(mut row, best)| row.iter_mut().zip(best).for_each(|(x, &best)| *x = best));
        let rows = indices
            .lanes_mut(axis)
            .into_iter()
            .zip(ranked.indices.chunks(k));
        rows.for_each(|(mut row, best)| row.iter_mut().zip(best).for_each(|(x, &best)| *x = best));
    }
    Ok((values, indices))
}

/// The share of rows whose class is among the `k` with the largest scores.
pub fn accuracy<'a, T: Float, D: Dimension>(
    scores: ArrayView<'_, T, D>,
    targets: impl Into<Targets<'a, T>>,
    k: usize,
    axis: Axis,
    ignore_index: Option<i64>,
) -> Result<f64> {
    let targets = targets.into();
    accuracy_of(
        &scores.into(),
        &targets.view(),
        k as i128,
        axis.0,
        ignore_index,
    )
}

/// `e` to the power of the mean cross entropy.
pub fn perplexity<'a, T: Float, D: Dimension>(
    logits: ArrayView<'_, T, D>,
    targets: impl Into<Targets<'a, T>>,
    axis: Axis,
    ignore_index: Option<i64>,
) -> Result<f64> {
    let targets = targets.into();
    perplexity_of(&logits.into(), &targets.view(), axis.0, ignore_index)
}

/// The best classes of all rows, row after row.
pub(crate) fn ranked_rows<T: Float>(
    scores: &View<'_, T>,
    k: i128,
    axis: usize,
) -> Result<Ranked<T>> {
    scores.check_axis(axis)?;
    let kernel = TopK {
        k: check_k(k, scores, axis)?,
    };
    let mut ranked = Ranked::default();
    read_rows(std::array::from_ref(scores), axis, &kernel, |grain| {
        ranked.values.extend(grain.values);
        ranked.indices.extend(grain.indices);
    })?;
    Ok(ranked)
}

fn check_k<T>(k: i128, scores: &View<'_, T>, axis: usize) -> Result<usize> {
    let classes = scores.shape()[axis];
    let valid = usize::try_from(k).ok().filter(|&k| k <= classes);
    valid.ok_or(Error::K { k, axis, classes })
}

/// [`accuracy`] of views.
pub(crate) fn accuracy_of<T: Float>(
    scores: &View<'_, T>,
    targets: &TargetsView<'_>,
    k: i128,
    axis: usize,
    ignored: Option<i64>,
) -> Result<f64> {
    scores.check_axis(axis)?;
    let k = check_k(k, scores, axis)?;
    let indices = targets.indices("accuracy", scores.shape(), axis)?;
    check_indices(indices, scores.shape()[axis], ignored)?;
    let classes = indices.elements();
    let kept = |row: usize| Some(classes.value(row)).filter(|&class| Some(class) != ignored);
    let count = (0..classes.count())
        .filter(|&row| kept(row).is_some())
        .count();
    let kernel = Hits {
        k,
        class: |row| kept(row).map(|class| class as usize),
    };
    let mut hits = 0;
    read_rows(std::array::from_ref(scores), axis, &kernel, |grain| {
        hits += grain;
    })?;
    Ok(hits as f64 / count as f64)
}

/// [`perplexity`] of views.
pub(crate) fn perplexity_of<T: Float>(
    logits: &View<'_, T>,
    targets: &TargetsView<'_>,
    axis: usize,
    ignored: Option<i64>,
) -> Result<f64> {
    let options = ClassOptions {
        ignore_index: ignored,
        ..ClassOptions::default()
    };
    let loss = LogitsLoss::default();
    match class_losses(&loss, &options, logits, targets, axis, None)? {
        Losses::Reduced(mean) => crate::simd::exp(mean),
        Losses::Unreduced(_) => unreachable!("the mean is one number"),
    }
}
