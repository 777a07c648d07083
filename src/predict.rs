//! Predictions from scores: the best classes, accuracy, perplexity.

use ndarray::{Array, ArrayView, Axis, Dimension};

use crate::coefficients::ClassOptions;
use crate::compiled::compiled;
use crate::error::{Error, Result};
use crate::float::{Element, Float};
use crate::kernel::class_loss::LogitsLoss;
use crate::kernel::predict::{Hits, Ranked, TopK};
use crate::lanes::{View, read_rows, reserved, zeros};
use crate::loss::{Losses, class_losses};
use crate::targets::{Targets, TargetsView, check_indices};

/// The `k` largest scores along an axis, and their classes.
///
/// Of each row the `k` largest values are returned in descending order, with their indices. Softmax
/// keeps the order, so logits will do. Both results have the shape of the scores with `k` in place
/// of the number of classes.
///
/// # Special values
///
/// - Equal values come in the order of their indices, the lowest first.
/// - NaN counts as the largest value.
/// - With `k` = 0 both results are empty.
///
/// # Accuracy
///
/// Exact: the values are copied.
///
/// # Errors
///
/// [`AxisOutOfBounds`](Error::AxisOutOfBounds) if the array has no such axis, [`K`](Error::K) if
/// `k` is larger than the number of classes.
///
/// # Examples
///
/// ```
/// use logitkit::top_k;
/// use ndarray::{Axis, array};
///
/// let (values, classes) = top_k(array![0.5, 2.5, -1.0, 2.0, 0.0].view(), 3, Axis(0))?;
/// assert_eq!(values, array![2.5, 2.0, 0.5]);
/// assert_eq!(classes, array![1, 3, 0]);
/// # Ok::<(), logitkit::Error>(())
/// ```
///
/// # See also
///
/// [`accuracy`], the share of rows whose true class is among them; [`softmax`](crate::softmax), the
/// probabilities of the classes.
///
/// Source: top-k prediction in Russakovsky et al., ImageNet large scale visual recognition
/// challenge, 2015.
pub fn top_k<T: Element, D: Dimension>(
    scores: ArrayView<'_, T, D>,
    k: usize,
    axis: Axis,
) -> Result<(Array<T, D>, Array<i64, D>)> {
    let view = View::of(scores.view());
    let ranked = (compiled::<T::Compute>().top_k)(&view, k as i128, axis.0)?;
    let mut shape = scores.raw_dim();
    shape[axis.0] = k;
    let (mut values, mut indices) = (zeros(shape.clone(), T::ZERO)?, zeros(shape, 0)?);
    if k > 0 {
        let rows = values
            .lanes_mut(axis)
            .into_iter()
            .zip(ranked.values.chunks(k));
        rows.for_each(|(mut row, best)| {
            let places = row.iter_mut().zip(best);
            places.for_each(|(x, &best)| *x = T::from_compute(best));
        });
        let rows = indices
            .lanes_mut(axis)
            .into_iter()
            .zip(ranked.indices.chunks(k));
        rows.for_each(|(mut row, best)| row.iter_mut().zip(best).for_each(|(x, &best)| *x = best));
    }
    Ok((values, indices))
}

/// The share of rows whose true class is among the `k` with the largest scores.
///
/// ```text
/// accuracy = (rows that are right) / (rows that are kept)
/// ```
///
/// Targets are class indices, in the shape of the scores without `axis`. A row whose target is
/// `ignore_index` is left out. A row is right if [`top_k`] of it holds its target.
///
/// # Special values
///
/// - Of equal scores the lowest class counts as the better one.
/// - NaN counts as the largest score.
/// - With no rows, or none kept, it is NaN.
///
/// # Accuracy
///
/// The exactly rounded quotient of two counts.
///
/// # Errors
///
/// [`AxisOutOfBounds`](Error::AxisOutOfBounds), [`K`](Error::K) if `k` is larger than the number of
/// classes, [`IndicesShape`](Error::IndicesShape) or [`IndicesNeeded`](Error::IndicesNeeded) if the
/// targets are not class indices of the right shape, [`ClassIndex`](Error::ClassIndex) if one is
/// outside [0, C) and not `ignore_index`. Negative indices do not wrap.
///
/// # Examples
///
/// ```
/// use logitkit::accuracy;
/// use ndarray::{Axis, array};
///
/// let scores = array![[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]];
/// let targets = array![1, 2, 2, 2];
/// assert_eq!(accuracy(scores.view(), targets.view(), 1, Axis(1), None)?, 0.5);
/// assert_eq!(accuracy(scores.view(), targets.view(), 2, Axis(1), None)?, 0.75);
/// let targets = array![1, -1, 2, -1];
/// assert_eq!(accuracy(scores.view(), targets.view(), 1, Axis(1), Some(-1))?, 1.0);
/// # Ok::<(), logitkit::Error>(())
/// ```
///
/// # See also
///
/// [`top_k`], the best classes themselves; [`perplexity`], the loss as a number of choices.
///
/// Source: top-k accuracy in Russakovsky et al., ImageNet large scale visual recognition challenge,
/// 2015.
pub fn accuracy<'a, T: Element, D: Dimension>(
    scores: ArrayView<'_, T, D>,
    targets: impl Into<Targets<'a, T>>,
    k: usize,
    axis: Axis,
    ignore_index: Option<i64>,
) -> Result<f64> {
    let targets = targets.into();
    (compiled::<T::Compute>().accuracy)(
        &View::of(scores),
        &targets.view(),
        k as i128,
        axis.0,
        ignore_index,
    )
}

/// The exponential of the mean cross entropy.
///
/// ```text
/// perplexity = e^( (1/N) Σ_n l_n )    with l_n = logsumexp(x_n) - x_n,y and N rows kept
/// ```
///
/// It is the number of equally likely classes that would be as hard to guess: 1 for certain and
/// right, C for a uniform guess. Targets have the forms of [`Targets`]. A row whose target is
/// `ignore_index` is left out.
///
/// # Special values
///
/// - A row that holds a NaN or +inf, or nothing but -inf, makes it NaN. A row left out may hold
///   anything.
/// - A logit of -inf at a target makes it +inf.
/// - With no rows, or none kept, it is NaN.
///
/// # Accuracy
///
/// The mean is compensated, and it and its exponential are taken in f64.
///
/// # Errors
///
/// Those of [`CrossEntropy::loss`](crate::CrossEntropy::loss).
///
/// # Examples
///
/// ```
/// use logitkit::perplexity;
/// use ndarray::{Array2, Axis, array};
///
/// // Equal logits for four classes are a guess among four.
/// let logits = Array2::<f64>::zeros((3, 4));
/// let choices = perplexity(logits.view(), array![0, 1, 3].view(), Axis(1), None)?;
/// assert!((choices - 4.0).abs() < 1e-12);
/// # Ok::<(), logitkit::Error>(())
/// ```
///
/// # See also
///
/// [`CrossEntropy`](crate::CrossEntropy), the loss that it is the exponential of; [`accuracy`], the
/// share of right answers.
///
/// Source: Jelinek, Mercer, Bahl and Baker, Perplexity: a measure of the difficulty of speech
/// recognition tasks, 1977.
pub fn perplexity<'a, T: Element, D: Dimension>(
    logits: ArrayView<'_, T, D>,
    targets: impl Into<Targets<'a, T>>,
    axis: Axis,
    ignore_index: Option<i64>,
) -> Result<f64> {
    let targets = targets.into();
    (compiled::<T::Compute>().perplexity)(&View::of(logits), &targets.view(), axis.0, ignore_index)
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
    let elements = scores.rows(axis).count().saturating_mul(kernel.k);
    let mut ranked = Ranked {
        values: reserved(elements)?,
        indices: reserved(elements)?,
    };
    if elements == 0 {
        return Ok(ranked);
    }
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
    let classes = scores.shape()[axis];
    let count = check_indices(indices, classes, ignored)?;
    let indices = indices.elements();
    let kernel = Hits {
        k,
        // Another thread may write an index of no class after the check.
        class: |row| match indices.value(row) {
            class if Some(class) == ignored || class as u64 >= classes as u64 => None,
            class => Some(class as usize),
        },
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
