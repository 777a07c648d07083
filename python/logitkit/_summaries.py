"""What the summaries of rows mean: loss, rank, Brier score and confidence of each.

A summary is what `_core.row_summaries` gives for a row, or for some of its classes: the maximum m
(the log-sum-exp itself where that is not finite), T = Σ exp(x_c - m) over the other classes in two
parts, log1p(T) in two parts, Σ exp(2(x_c - m)) over all classes but the target, the target's score,
and how many classes come before the target, which is -1 of a row that is left out. Of probabilities
it is their maximum, how many are none, three numbers without a meaning, Σ p_c² over all classes but
the target, and the same two.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]

# The numbers of a summary.
LENGTH = 8

# Where the target's score and its rank stand.
TARGET, RANK = 6, 7

# The class index of a target that is not among the classes at hand.
ELSEWHERE = -2


@dataclass(frozen=True)
class RowFigures:
    """Figures of the rows that are not left out."""

    kept: NDArray[np.bool_]
    ranks: Floats
    losses: Floats
    brier: Floats
    confidence: Floats

    @classmethod
    def of(cls, summaries: Floats, dtype: Any, *, from_probs: bool = False) -> Self:  # noqa: ANN401 - any dtype
        """Give the figures of rows from their summaries."""
        kept = summaries[:, RANK] >= 0.0
        if not kept.all():
            summaries = summaries[kept]
        target, ranks = summaries[:, TARGET], summaries[:, RANK]
        with np.errstate(invalid="ignore", divide="ignore"):
            if from_probs:
                confidence = summaries[:, 0]
                return cls(
                    kept, ranks, -np.log(target), summaries[:, 5] + (1.0 - target) ** 2, confidence
                )
            losses = losses_of(summaries)
            others = summaries[:, 1]
            miss = np.where(
                target == summaries[:, 0], others / (1.0 + others), 1.0 - np.exp(-losses)
            )
            brier = summaries[:, 5] / (1.0 + others) ** 2 + miss**2
            # As softmax rounds it: bins end at simple numbers, which some confidences are.
            rounding = np.float64 if dtype == np.float64 else np.float32
            confidence = (1.0 / (1.0 + others)).astype(rounding).astype(np.float64)
        return cls(kept, ranks, losses, brier, confidence)


def hold_no_probs(summaries: Floats) -> NDArray[np.bool_]:
    """Tell of which rows of probabilities, not left out, some are none."""
    return (summaries[:, RANK] >= 0.0) & (summaries[:, 1] > 0.0)


def losses_of(summaries: Floats) -> Floats:
    """Give (m - x_y) + log1p(T) of each row, of which nothing cancels."""
    maximum, target = summaries[:, 0], summaries[:, TARGET]
    with np.errstate(invalid="ignore", over="ignore"):
        distance = maximum - target
        part = distance - maximum
        error = (maximum - (distance - part)) - (target + part)
        error[~np.isfinite(error)] = 0.0
        losses: Floats = distance + (summaries[:, 3] + (summaries[:, 4] + error))
    return losses


def log_sum_exps(summaries: Floats) -> Floats:
    """Give m + log1p(T) of each row, or m where that is not finite."""
    maximum, log = summaries[:, 0], summaries[:, 3]
    with np.errstate(invalid="ignore", over="ignore"):
        high = maximum + log
        part = high - maximum
        error = (maximum - (high - part)) + (log - part)
        sums: Floats = np.where(np.isfinite(maximum), high + (error + summaries[:, 4]), maximum)
    return sums
