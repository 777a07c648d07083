"""The temperature that logits are best divided by."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logitkit import _core
from logitkit._exact import ExactSums
from logitkit._rows import LEFT_OUT, blocks, indices_of, integer, scores_of

# Newton's method takes about ten passes; what needs more has no optimum that float64 can tell.
_PASSES = 100
_PRECISION = 1e-10


@dataclass(frozen=True)
class TemperatureFit:
    """What `fit_temperature` found.

    Attributes
    ----------
    temperature : float
        What to divide logits by.
    loss_before, loss_after : float
        The mean cross entropy of the logits, and of the divided ones.
    iterations : int
        Passes over the logits.
    """

    temperature: float
    loss_before: float
    loss_after: float
    iterations: int


def fit_temperature(
    logits: ArrayLike, targets: ArrayLike, *, ignore_index: int | None = None
) -> TemperatureFit:
    """Find the temperature T > 0 that minimises the mean cross entropy of logits / T.

    The mean is that of the loss of each row x of target y::

      l = log Σ_c exp(x_c/T) - x_y/T

    A model that is too sure of itself has T > 1. Dividing by it changes no prediction, but the
    probabilities. The loss is convex in 1/T; Newton's method finds the minimum from its first two
    derivatives, kept between bounds by bisection.

    Parameters
    ----------
    logits : array_like, shape (..., C)
        Logits of float16, bfloat16, float32 or float64 (integers and bools become float64) with
        the classes on the last axis, of data that the model was not trained on. They
        are read block by block, some ten times.
    targets : array_like of int, shape (...)
        Class indices.
    ignore_index : int, optional
        Rows with this target are left out.

    Returns
    -------
    TemperatureFit
        `temperature`, `loss_before` and `loss_after` in float64, and `iterations`.

    Special values
    --------------
    - A class of logit -inf has no part in its row, whatever the temperature.
    - NaN, +inf, or -inf at a target make the loss no finite number, which is an error.

    Accuracy
    --------
    The temperature to ten digits or so, the losses to 4 ulp: rows are computed in float64, and sums
    are rounded once.

    Raises
    ------
    TypeError
        The dtype of the logits is none of these, or `ignore_index` is no int.
    IndexError
        A class index is outside [0, C) and is not `ignore_index`.
    ValueError
        Shapes do not match; there are no rows; a row has no finite loss; or no temperature is best:
        every target is the largest logit of its row, so that a lower one is always better, or
        targets have no larger logits than other classes on average, so that a higher one is.

    Examples
    --------
    >>> import logitkit
    >>> logits = [[4.0, 0.0], [0.0, 4.0], [4.0, 0.0], [4.0, 0.0]]
    >>> fit = logitkit.fit_temperature(logits, [0, 1, 0, 1])
    >>> round(fit.temperature, 4)
    3.641
    >>> fit.loss_after < fit.loss_before
    True

    See Also
    --------
    Evaluation : Whose `ece` and `reliability` tell how far confidence and accuracy are apart.
    cross_entropy : The loss that is minimised.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, 2017.
    """
    scores = scores_of(logits, "logits")
    if ignore_index is not None:
        ignore_index = integer(ignore_index, "ignore_index")
    rows = indices_of(targets, scores.shape[:-1], scores.shape[-1], ignore_index)
    count = int(np.count_nonzero(rows != LEFT_OUT))
    if not count:
        raise ValueError("there are no rows to fit a temperature to")

    def derivatives(beta: float) -> NDArray[np.float64]:
        """Give the mean loss, its first two derivatives, and the targets' distance from the top."""
        sums = ExactSums(4)
        for first, block in blocks(scores):
            part = slice(first, first + len(block))
            numbers = _core.tempered(block, rows[part], LEFT_OUT, beta)
            sums.add(numbers, np.arange(4))
        return sums.values() / count

    before = derivatives(1.0)
    if not np.isfinite(before).all():
        raise ValueError(
            "the loss is not finite: logits hold a NaN or +inf, or -inf at a target; leave such "
            "rows out with ignore_index"
        )
    if before[1] == before[2] == 0.0:
        raise ValueError(
            "the logits of each row are equal, so that the loss is the same at any temperature"
        )
    if before[3] == 0.0:
        raise ValueError(
            "every target is the largest logit of its row (the logits are separable): the lower "
            "the temperature, the smaller the loss, so that none is best; use data with errors"
        )
    if derivatives(0.0)[1] >= 0.0:
        raise ValueError(
            "targets have no larger logits than other classes on average (the logits are "
            "anti-correlated with them): the higher the temperature, the smaller the loss, so that "
            "none is best; look whether classes and targets are in the same order"
        )
    beta, after, passes = _minimum(derivatives, before)
    return TemperatureFit(
        temperature=1.0 / beta,
        loss_before=float(before[0]),
        loss_after=after,
        iterations=passes + 2,
    )


def _minimum(
    derivatives: Callable[[float], NDArray[np.float64]], now: NDArray[np.float64]
) -> tuple[float, float, int]:
    """Give where the loss is least, what it is there, and how many passes that took."""
    low, high, beta, factor = 0.0, math.inf, 1.0, 4.0
    for passes in range(_PASSES):
        low, high = (beta, high) if now[1] < 0.0 else (low, beta)
        following = beta - now[1] / now[2] if 0.0 < now[2] < math.inf else math.nan
        settled = high <= low * (1.0 + _PRECISION)
        if settled or abs(following - beta) <= _PRECISION * beta:
            return float(beta), float(now[0]), passes
        if not low < following < high:
            # Logits may be of any size: the steps to where they matter grow.
            if 0.0 < low < high < math.inf:
                following = math.sqrt(low) * math.sqrt(high)
            else:
                following = beta * factor if high == math.inf else beta / factor
                factor *= factor
        beta = following
        now = derivatives(beta)
    raise ValueError(
        f"no temperature was found in {_PASSES} passes: the logits are too large, too small or too "
        f"close to separable for float64"
    )
