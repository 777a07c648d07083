"""What is measured of a classifier over any number of updates, and added up from many places.

Here belong `Evaluation` and its result. What is measured of a row is made in Rust; arguments are
checked in `_rows`.
"""

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logitkit import _core
from logitkit._exact import ExactSums
from logitkit._rows import (
    LEFT_OUT,
    blocks,
    check_probs,
    indices_of,
    integer,
    scores_of,
    weights_of,
)
from logitkit._summaries import RowFigures, hold_no_probs

Array = NDArray[Any]


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy, by bins of the top class's probability.

    Bin b holds the rows whose top probability lies in (edges[b], edges[b + 1]].

    Attributes
    ----------
    edges : ndarray, shape (bins + 1,)
        From 0 to 1, equally far apart.
    count : ndarray, shape (bins,)
        Rows in each bin.
    confidence, accuracy : ndarray, shape (bins,)
        The mean top probability of each bin's rows, and the share of them whose top class is right;
        NaN in an empty bin.
    """

    edges: NDArray[np.float64]
    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]


@dataclass(frozen=True)
class EvaluationResult:
    """What an `Evaluation` has measured; all but `count` is weighted if sample weights were given.

    Attributes
    ----------
    count : int
        Rows that were kept.
    weight : float
        The sum of their weights.
    cross_entropy, bits, perplexity : float
        The mean loss in nats; the same in bits; its exponential.
    accuracy : dict of int to float
        For each k, the share of rows whose target is among the k best classes.
    brier : float
        The mean of Σ_c (p_c - y_c)², from 0 to 2.
    ece : float
        The expected calibration error: the mean over bins, by their share of the rows, of
        |accuracy - confidence|.
    reliability : Reliability
        The table behind it.
    support, correct : ndarray, shape (C,)
        For each class the rows that have it as target, and those of them whose top class it is.
    """

    count: int
    weight: float
    cross_entropy: float
    bits: float
    perplexity: float
    accuracy: dict[int, float]
    brier: float
    ece: float
    reliability: Reliability
    support: NDArray[Any]
    correct: NDArray[Any]

    def as_dict(self) -> dict[str, Any]:
        """Give the figures as plain JSON: keys are strings, what is not finite is None."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


def _plain(value: Any) -> Any:  # noqa: ANN401 - any figure
    if isinstance(value, Reliability):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(figure) for key, figure in value.items()}
    if isinstance(value, np.ndarray):
        return [_plain(figure) for figure in value.tolist()]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


class Evaluation:
    """Loss, accuracy and calibration of a classifier, added up over any number of updates.

    With lse = log Σ_c exp(x_c), p = softmax(x) and the target y of a row x, its loss and its Brier
    score are::

      l = lse - x_y     b = Σ_c (p_c - [c = y])²

    The expected calibration error compares accuracy and confidence, which is the top class's p, in
    bins of the latter: the mean of their distance, by the bins' shares of the rows.

    Evaluations of parts merge into that of the whole, in any order and however it was split: all
    sums are exact. One takes memory for the classes, not for the rows.

    Parameters
    ----------
    k : sequence of int, default (1, 5)
        Which accuracies to measure; a k above the number of classes counts as that.
    bins : int, default 15
        Bins of the calibration, of equal width.
    ignore_index : int, optional
        Rows with this target are left out.
    from_probs : bool, default False
        Whether `update` is given probabilities in place of logits.

    Special values
    --------------
    - No rows: `count` is 0 and every mean NaN.
    - A row that holds a NaN or +inf, or nothing but -inf, makes the loss, the Brier score and the
      calibration NaN; a target of logit -inf an infinite loss.
    - A row left out, by `ignore_index` or by a sample weight of 0, counts nowhere.

    Accuracy
    --------
    Rows are computed in the dtype of the logits, half precision in float32, within 2 ulp each, and
    the Brier score of one to some ulp; sums over rows are exact, and rounded once.

    Raises
    ------
    TypeError, ValueError
        `k` is no sequence of ints of at least 0, or `bins` no int of at least 1.

    Examples
    --------
    >>> import logitkit
    >>> evaluation = logitkit.Evaluation(k=(1, 2))
    >>> evaluation.update([[2.0, 1.0, 0.1], [0.5, 2.5, 1.0]], [0, 2])
    >>> result = evaluation.result()
    >>> result.count, result.accuracy
    (2, {1: 0.5, 2: 1.0})
    >>> round(result.cross_entropy, 4)
    1.1117

    See Also
    --------
    cross_entropy, accuracy, perplexity : The figures of arrays that are there at once.
    fit_temperature : What to divide logits by, if they are too confident.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, 2017, for ece; Brier,
    Verification of forecasts expressed in terms of probability, 1950.
    """

    def __init__(
        self,
        *,
        k: Sequence[int] = (1, 5),
        bins: int = 15,
        ignore_index: int | None = None,
        from_probs: bool = False,
    ) -> None:
        if not isinstance(k, Iterable):
            raise TypeError(
                f"k is of type {type(k).__name__}, expected a sequence of ints, such as (1, 5)"
            )
        self._k = tuple(integer(each, "k", 0) for each in k)
        self._bins = integer(bins, "bins", 1)
        self._ignore_index = None if ignore_index is None else integer(ignore_index, "ignore_index")
        self._from_probs = bool(from_probs)
        self._weighted = False
        self._count = 0
        self._figures = ExactSums(3 + len(self._k))  # weight, loss, Brier, one for each k
        self._bin_counts = np.zeros(self._bins, np.int64)
        self._bin_sums = ExactSums(3 * self._bins)  # weight, confidence, accuracy
        self._classes: ExactSums | None = None  # support, then correct

    def update(
        self, logits: ArrayLike, targets: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add rows.

        Parameters
        ----------
        logits : array_like, shape (..., C)
            Logits, or probabilities with `from_probs`, with the classes on the last axis. They are
            read once, block by block: a memory map larger than the memory will do.
        targets : array_like of int, shape (...)
            Class indices.
        sample_weight : array_like, shape (...), optional
            A weight for each row, of at least 0; 0 leaves it out.

        Raises
        ------
        TypeError, ValueError, IndexError
            As for `cross_entropy`, a negative weight, or another number of classes than before.
            Nothing was added then.
        """
        scores = scores_of(logits, "probs" if self._from_probs else "logits")
        classes, shape = scores.shape[-1], scores.shape[:-1]
        rows = indices_of(targets, shape, classes, self._ignore_index)
        weights = None if sample_weight is None else weights_of(sample_weight, shape)
        self._check_classes(classes, "in earlier updates")
        if weights is not None:
            rows = np.where(weights == 0.0, LEFT_OUT, rows)
        added = Evaluation(
            k=self._k,
            bins=self._bins,
            ignore_index=self._ignore_index,
            from_probs=self._from_probs,
        )
        added._classes = ExactSums(2 * classes)
        added._weighted = weights is not None
        for first, block in blocks(scores):
            part = slice(first, first + len(block))
            summaries = _core.row_summaries(block, rows[part], LEFT_OUT, self._from_probs)
            if self._from_probs:
                check_probs(hold_no_probs(summaries), first, block, scores.shape)
            figures = RowFigures.of(summaries, block.dtype, from_probs=self._from_probs)
            added._add_figures(
                figures, classes, rows[part], None if weights is None else weights[part]
            )
        self.merge(added)

    def _add_figures(
        self,
        figures: RowFigures,
        classes: int,
        rows: NDArray[np.int64],
        weights: NDArray[np.float64] | None,
    ) -> None:
        """Add what is known of rows with these class indices."""
        if self._classes is None:
            self._classes = ExactSums(2 * classes)
        self._weighted |= weights is not None
        rows = rows[figures.kept]
        weights = np.ones(len(rows)) if weights is None else weights[figures.kept]
        self._count += len(rows)
        with np.errstate(over="ignore"):
            sums = [weights, weights * figures.losses, weights * figures.brier]
        for index, values in enumerate(sums):
            self._figures.add(values, index)
        for index, k in enumerate(self._k):
            # A float, such as ranks are, holds no k of any size.
            self._figures.add(weights[figures.ranks < min(k, len(self._classes))], 3 + index)
        right = figures.ranks == 0.0
        bins = np.clip(np.searchsorted(self._edges(), figures.confidence) - 1, 0, self._bins - 1)
        self._bin_counts += np.bincount(bins, minlength=self._bins)
        for index, values in enumerate([1.0, figures.confidence, right]):
            self._bin_sums.add(weights * values, bins + index * self._bins)
        self._classes.add(weights, rows)
        self._classes.add(weights[right], rows[right] + classes)

    def _edges(self) -> NDArray[np.float64]:
        return np.linspace(0.0, 1.0, self._bins + 1)

    def _check_classes(self, classes: int, where: str) -> None:
        """Raise an error if there are other classes elsewhere."""
        if self._classes is not None and len(self._classes) != 2 * classes:
            raise ValueError(f"there are {classes} classes, but {len(self._classes) // 2} {where}")

    def merge(self, other: Self) -> Self:
        """Add what another evaluation has measured, with the same options and classes.

        Parameters
        ----------
        other : Evaluation
            It stays as it is.

        Returns
        -------
        Evaluation
            This one.

        Raises
        ------
        TypeError, ValueError
            The other is no evaluation, or has other options or another number of classes. Nothing
            was added then.
        """
        if not isinstance(other, Evaluation):
            raise TypeError(f"other is of type {type(other).__name__}, expected an Evaluation")
        for name in ("_k", "_bins", "_ignore_index", "_from_probs"):
            own, others = getattr(self, name), getattr(other, name)
            if own != others:
                raise ValueError(
                    f"{name[1:]} is {others} in the other evaluation, {own} in this one"
                )
        if self._classes is None:
            self._classes = copy.deepcopy(other._classes)
        elif other._classes is not None:
            self._check_classes(len(other._classes) // 2, "in this evaluation")
            self._classes.merge(other._classes)
        self._weighted |= other._weighted
        self._count += other._count
        self._figures.merge(other._figures)
        self._bin_counts = self._bin_counts + other._bin_counts
        self._bin_sums.merge(other._bin_sums)
        return self

    def __add__(self, other: Self) -> Self:
        if not isinstance(other, Evaluation):
            return NotImplemented
        return copy.deepcopy(self).merge(other)

    def result(self) -> EvaluationResult:
        """Give the figures of all rows that were added.

        Returns
        -------
        EvaluationResult
            It does not change with later updates.
        """
        weight, loss, brier, *hits = self._figures.values().tolist()
        mean = _over(loss, weight)
        sums = self._bin_sums.values().reshape(3, self._bins)
        filled = self._bin_counts > 0
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            confidence = np.where(filled, sums[1] / sums[0], np.nan)
            accuracy = np.where(filled, sums[2] / sums[0], np.nan)
            gaps = np.abs(accuracy - confidence)[filled] * sums[0][filled]
            perplexity = float(np.exp(mean))
        classes = np.zeros(0) if self._classes is None else self._classes.values()
        support, correct = np.split(classes if self._weighted else classes.astype(np.int64), 2)
        return EvaluationResult(
            count=self._count,
            weight=weight,
            cross_entropy=mean,
            bits=mean / math.log(2.0),
            perplexity=perplexity,
            accuracy={k: _over(hit, weight) for k, hit in zip(self._k, hits, strict=True)},
            brier=_over(brier, weight),
            ece=_over(math.fsum(gaps.tolist()), weight),
            reliability=Reliability(
                edges=self._edges(),
                count=self._bin_counts.copy(),
                confidence=confidence,
                accuracy=accuracy,
            ),
            support=support,
            correct=correct,
        )


def _over(total: float, weight: float) -> float:
    return total / weight if weight else math.nan
