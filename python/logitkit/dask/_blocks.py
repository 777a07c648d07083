"""What is made of blocks: NumPy arrays with the classes, or some of them, on the last axis.

Here belongs what a worker does. Which blocks there are and what becomes of the results is in
`_graphs`.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from logitkit import _core
from logitkit._evaluation import Evaluation, EvaluationResult
from logitkit._exact import ExactSums
from logitkit._rows import LEFT_OUT, floats, indices_of, weights_of
from logitkit._summaries import (
    ELSEWHERE,
    LENGTH,
    RANK,
    RowFigures,
    hold_no_probs,
    log_sum_exps,
    losses_of,
)

Array = NDArray[Any]
Floats = NDArray[np.float64]

# Elements whose coefficients are worked on at a time: a few copies of them are made, in float64.
_ELEMENTS = 1 << 18


@dataclass(frozen=True)
class Options:
    """The options of the cross entropy, but for the reduction and what has rows."""

    classes: int
    weight: Floats | None
    label_smoothing: float
    z_loss: float

    @classmethod
    def plain(cls, classes: int) -> Self:
        """Give the defaults."""
        return cls(classes, None, 0.0, 0.0)

    @property
    def even(self) -> float:
        """What smoothing gives each class."""
        return self.label_smoothing / self.classes


def checked_indices(
    targets: Array,
    classes: int,
    ignore_index: int | None,
    block_info: Any = None,
) -> Array:
    """Give class indices, `LEFT_OUT` for those to ignore; a wrong one is named by its place."""
    rows = indices_of(targets, targets.shape, classes, ignore_index, _start(block_info))
    return rows.reshape(targets.shape)


def checked_weights(weights: Array, block_info: Any = None) -> Floats:
    """Give sample weights; a wrong one is named by its place."""
    return weights_of(weights, weights.shape, _start(block_info)).reshape(weights.shape)


def _start(block_info: Any) -> list[int]:
    """Give where a block begins in its array."""
    return [first for first, _ in block_info[0]["array-location"]] if block_info else []


def _slices(rows: int, width: int) -> Iterator[slice]:
    """Give parts of rows that are worked on at a time."""
    step = max(1, _ELEMENTS // max(1, width))
    return (slice(first, first + step) for first in range(0, rows, step))


# Classes whole


def losses(x: Array, targets: Array, weights: Array | None, *, options: Options) -> Floats:
    """Give each row's loss, and its share of what a mean divides by."""
    soft = targets.shape == x.shape
    values = _core.cross_entropy(
        x,
        targets,
        weight=options.weight,
        sample_weight=weights,
        ignore_index=None if soft else LEFT_OUT,
        label_smoothing=options.label_smoothing,
        z_loss=options.z_loss,
        reduction="none",
    )
    shares = _has_coefficients(targets, options) if soft else _shares(targets, options)
    return _with_shares(np.asarray(values, np.float64), shares, weights)


def _shares(targets: Array, options: Options) -> Floats:
    """Give the class weights of targets, 0 of rows left out."""
    kept = targets != LEFT_OUT
    if options.weight is None:
        return kept.astype(np.float64)
    return np.where(kept, options.weight[np.where(kept, targets, 0)], 0.0)


def _has_coefficients(targets: Array, options: Options) -> Floats:
    """Give 1 for rows that any class counts in, 0 for others, which are left out."""
    if options.z_loss != 0.0:
        return np.ones(targets.shape[:-1])
    rows = targets.reshape(-1, targets.shape[-1])
    found = np.zeros(len(rows))
    for part in _slices(*rows.shape):
        found[part] = (_coefficients(rows[part], options, slice(None)) != 0.0).any(axis=1)
    return found.reshape(targets.shape[:-1])


def _coefficients(targets: Array, options: Options, classes: slice) -> Floats:
    """Give what the costs of classes are multiplied by, of soft targets."""
    mixed: Floats = (1.0 - options.label_smoothing) * targets.astype(np.float64) + options.even
    return mixed if options.weight is None else mixed * options.weight[classes]


def _with_shares(losses: Floats, shares: Floats, weights: Array | None) -> Floats:
    if weights is not None:
        shares = shares * weights
    return np.stack([losses, shares], axis=-1)


def hits(scores: Array, targets: Array, k: int) -> Floats:
    """Give how many rows are right, and how many there are."""
    kept = int(np.count_nonzero(targets != LEFT_OUT))
    share = _core.accuracy(scores, targets, k=k, ignore_index=LEFT_OUT) if kept else 0.0
    # The share is rounded once: the count is what is nearest to its product.
    return np.array([round(float(share) * kept), kept], np.float64)


def evaluated(
    scores: Array, targets: Array, weights: Array | None, options: dict[str, Any]
) -> Evaluation:
    """Evaluate rows: their summaries, which would travel, stay where they are made."""
    classes = np.arange(scores.shape[-1])
    numbers = summaries(scores, classes, targets, from_probs=options["from_probs"])[..., 0, :]
    return evaluated_given(numbers, numbers[..., RANK], targets, weights, options)


# Classes in several blocks: what is made of one holds its place on an axis of its own


def summaries(x: Array, classes: Array, targets: Array | None, *, from_probs: bool) -> Floats:
    """Give the summaries of rows by some classes: shape (..., 1, LENGTH)."""
    shape = x.shape[:-1]
    if targets is None:
        local = np.full(shape, ELSEWHERE)
    else:
        local = np.where(targets == LEFT_OUT, LEFT_OUT, targets - classes[0])
        # What comes before these classes is as much elsewhere as what comes after them.
        local[(local < 0) & (targets != LEFT_OUT)] = ELSEWHERE
    numbers = _core.row_summaries(
        floats(x).reshape(-1, x.shape[-1]), local.reshape(-1), LEFT_OUT, from_probs
    )
    return numbers.reshape(*shape, 1, LENGTH)


def merged(parts: Floats, *, from_probs: bool) -> Floats:
    """Give the summaries of rows from those of all parts of their classes."""
    shape, parts = parts.shape[:-2], parts.reshape(-1, *parts.shape[-2:])
    if from_probs:
        numbers = parts.sum(axis=1)
        numbers[:, 0] = parts[:, :, 0].max(axis=1)
    else:
        numbers = parts[:, 0].copy()
        for part in range(1, parts.shape[1]):
            numbers = _core.merged_summaries(numbers, parts[:, part])
    # Each part says of a row that it is left out.
    numbers[:, RANK] = np.where(parts[:, 0, RANK] < 0.0, -1.0, numbers[:, RANK])
    return numbers.reshape(*shape, LENGTH)


def probs_given(x: Array, numbers: Floats, *, log: bool) -> Array:
    """Give the softmax of some classes of rows, or its logarithm, from the rows' summaries."""
    flat = floats(x).reshape(-1, x.shape[-1])
    return _core.softmax_given(flat, numbers.reshape(-1, LENGTH), log).reshape(x.shape)


def log_sums(numbers: Floats, *, kind: Any) -> Array:
    """Give the log-sum-exps of rows from their summaries."""
    sums = log_sum_exps(numbers.reshape(-1, LENGTH))
    return sums.reshape(numbers.shape[:-1]).astype(kind)


def spread(
    x: Array, classes: Array, numbers: Floats, targets: Array | None, *, options: Options
) -> Floats:
    """Give Σ a_c, Σ a_c (m - x_c) and whether any a_c is not 0: shape (..., 1, 3).

    Those are the coefficients of soft targets, or else what smoothing gives the other classes.
    """
    own = slice(int(classes[0]), int(classes[0]) + len(classes))
    shape, width = x.shape[:-1], x.shape[-1]
    rows, maxima = x.reshape(-1, width), numbers.reshape(-1, LENGTH)[:, 0]
    soft = None if targets is None else targets.reshape(-1, width)
    results = np.empty((len(rows), 3))
    for part in _slices(len(rows), width):
        if soft is None:
            even = options.even * (1.0 if options.weight is None else options.weight[own])
            a = np.broadcast_to(even, rows[part].shape)
        else:
            a = _coefficients(soft[part], options, own)
        with np.errstate(invalid="ignore", over="ignore"):
            costs = a * (maxima[part, None] - rows[part].astype(np.float64))
        costs[a == 0.0] = 0.0
        results[part, 0] = a.sum(axis=1)
        results[part, 1] = costs.sum(axis=1)
        results[part, 2] = (a != 0.0).any(axis=1)
    return results.reshape(*shape, 1, 3)


def losses_given(
    numbers: Floats,
    parts: Floats | None,
    targets: Array | None,
    weights: Array | None,
    *,
    options: Options,
) -> Floats:
    """Give what `losses` gives, from the summaries of rows and what `spread` gives of all parts."""
    shape, numbers = numbers.shape[:-1], numbers.reshape(-1, LENGTH)
    sums = np.zeros((len(numbers), 3)) if parts is None else parts.sum(axis=-2).reshape(-1, 3)
    counted = sums[:, 2] != 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        values = np.where(counted, sums[:, 1] + sums[:, 0] * numbers[:, 3], 0.0)
        if targets is None:
            kept = counted | (options.z_loss != 0.0)
            shares = kept.astype(np.float64)
        else:
            kept = numbers[:, RANK] >= 0.0
            shares = _shares(targets.reshape(-1), options)
            own = (1.0 - options.label_smoothing) * shares
            values += np.where(own != 0.0, own * losses_of(numbers), 0.0)
        if options.z_loss != 0.0:
            values += options.z_loss * log_sum_exps(numbers) ** 2
            values[~np.isfinite(numbers[:, 0])] = np.nan
        if weights is not None:
            kept &= weights.reshape(-1) != 0.0
            values *= weights.reshape(-1)
            values[np.isinf(weights.reshape(-1))] = np.nan
    values[~kept] = 0.0
    return _with_shares(values.reshape(shape), shares.reshape(shape), weights)


def target_scores(x: Array, classes: Array, targets: Array) -> Floats:
    """Give the score of each target that is among some classes, 0 for others: shape (..., 1)."""
    local = targets - classes[0]
    here = (local >= 0) & (local < x.shape[-1])
    scores = np.take_along_axis(x, np.where(here, local, 0)[..., None], axis=-1)
    return np.where(here[..., None], scores.astype(np.float64), 0.0)


def rank_parts(x: Array, classes: Array, scores: Floats, targets: Array) -> Floats:
    """Give how many of some classes come before the target, whose score is given: (..., 1)."""
    rows, ranks = x.reshape(-1, x.shape[-1]), np.empty(scores.size)
    targets, scores = targets.reshape(-1, 1), scores.reshape(-1, 1)
    for part in _slices(*rows.shape):
        values, own = rows[part].astype(np.float64), scores[part]
        missing, own_missing = np.isnan(values), np.isnan(own)
        before = ~own_missing & ((values > own) | missing)
        equal = np.where(own_missing, missing, values == own) & (classes < targets[part])
        ranks[part] = (before | equal).sum(axis=1)
    return ranks.reshape(*x.shape[:-1], 1)


def added(parts: Floats) -> Floats:
    """Give the sums over all parts of the classes."""
    sums: Floats = parts.sum(axis=-1)
    return sums


def hits_given(ranks: Floats, targets: Array, k: int) -> Floats:
    """Give what `hits` gives, from ranks."""
    kept = targets != LEFT_OUT
    return np.array([np.count_nonzero(kept & (ranks < k)), np.count_nonzero(kept)], np.float64)


def evaluated_given(
    numbers: Floats, ranks: Floats, targets: Array, weights: Array | None, options: dict[str, Any]
) -> Evaluation:
    """Give what `evaluated` gives, from the summaries of rows and their ranks."""
    numbers, rows = numbers.reshape(-1, LENGTH).copy(), targets.reshape(-1)
    options = dict(options)
    classes, dtype = options.pop("classes"), options.pop("dtype")
    if weights is not None:
        weights = weights.reshape(-1)
        rows = np.where(weights == 0.0, LEFT_OUT, rows)
    numbers[:, RANK] = np.where(rows == LEFT_OUT, -1.0, ranks.reshape(-1))
    if options["from_probs"] and hold_no_probs(numbers).any():
        raise ValueError(
            "probs hold a value that is not in [0, 1]; if these are logits, leave from_probs out"
        )
    evaluation = Evaluation(**options, ignore_index=LEFT_OUT)
    figures = RowFigures.of(numbers, dtype, from_probs=options["from_probs"])
    evaluation._add_figures(figures, classes, rows, weights)  # noqa: SLF001 - of this package
    return evaluation


# What blocks add up to


def exact_sums(pairs: Floats) -> ExactSums:
    """Give the exact sums of losses and of shares."""
    sums = ExactSums(2)
    sums.add(pairs.reshape(-1, 2), np.arange(2))
    return sums


def merged_sums(parts: list[Any]) -> Any:
    """Merge what can be merged; what is given may be given to others, too."""
    total = copy.deepcopy(parts[0])
    for part in parts[1:]:
        total.merge(part)
    return total


def mean(sums: ExactSums, dtype: Any) -> Array:
    """Give the mean, which of nothing is NaN."""
    loss, shares = sums.values()
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(loss / shares if shares else np.nan).astype(dtype)


def total(sums: ExactSums, dtype: Any) -> Array:
    """Give the sum."""
    with np.errstate(over="ignore"):
        return np.asarray(sums.values()[0]).astype(dtype)


def perplexity(sums: ExactSums, dtype: Any) -> Array:
    """Give the exponential of the mean."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(mean(sums, np.float64)), dtype)


def accuracy(counts: list[Floats]) -> Array:
    """Give the share of hits, which of nothing is NaN."""
    right, kept = np.sum(counts, axis=0)
    return np.asarray(right / kept if kept else np.nan)


def result(evaluation: Evaluation) -> EvaluationResult:
    """Give the figures of an evaluation."""
    return evaluation.result()
