"""The implementations whose accuracy is compared: logitkit, pasted NumPy formulas, and SciPy.

Each takes arrays and gives its results by the name of the function; the NumPy formulas are those
that people paste, in the type of the data. Nothing here judges a result.
"""

from collections.abc import Callable, Mapping

import numpy as np
import scipy.special
from numpy.typing import NDArray

import logitkit
from tests.support import Array

OURS = "logitkit"
FORMULA = "NumPy formula"
SCIPY = "SciPy"

Indices = NDArray[np.int64]
Results = dict[str, Array]


# Rows of logits and their classes


def our_rows(x: Array, y: Indices) -> Results:
    """Call logitkit."""
    both, with_hessian = logitkit.cross_entropy_and_grad, logitkit.cross_entropy_and_grad_hess
    return {
        "softmax": logitkit.softmax(x),
        "log_softmax": logitkit.log_softmax(x),
        "logsumexp": np.asarray(logitkit.logsumexp(x)),
        "cross_entropy, none": logitkit.cross_entropy(x, y, reduction="none"),
        "cross_entropy, sum": np.asarray(logitkit.cross_entropy(x, y, reduction="sum")),
        "cross_entropy, mean": np.asarray(both(x, y)[0]),
        "gradient of cross_entropy, sum": both(x, y, reduction="sum")[1],
        "gradient of cross_entropy, mean": both(x, y)[1],
        "Hessian of cross_entropy, sum": with_hessian(x, y, reduction="sum")[2],
        "Hessian of cross_entropy, mean": with_hessian(x, y)[2],
    }


def formula_rows(x: Array, y: Indices) -> Results:
    """Subtract the maximum, and do the rest as it is written."""
    shifted = x - x.max(axis=-1, keepdims=True)
    powers = np.exp(shifted)
    sums = powers.sum(axis=-1, keepdims=True)
    logsumexp = x.max(axis=-1) + np.log(sums[:, 0])
    return _composed(powers / sums, shifted - np.log(sums), logsumexp, y)


def scipy_rows(x: Array, y: Indices) -> Results:
    """Call SciPy, and compose the losses and gradients of its parts."""
    softmax = scipy.special.softmax(x, axis=-1)
    log_softmax = scipy.special.log_softmax(x, axis=-1)
    return _composed(softmax, log_softmax, scipy.special.logsumexp(x, axis=-1), y)


def _composed(softmax: Array, log_softmax: Array, logsumexp: Array, y: Indices) -> Results:
    rows = np.arange(len(y))
    losses = -log_softmax[rows, y]
    grad = softmax.copy()
    grad[rows, y] -= 1
    return {
        "softmax": softmax,
        "log_softmax": log_softmax,
        "logsumexp": logsumexp,
        "cross_entropy, none": losses,
        "cross_entropy, sum": np.asarray(losses.sum()),
        "cross_entropy, mean": np.asarray(losses.mean()),
        "gradient of cross_entropy, sum": grad,
        "gradient of cross_entropy, mean": grad / grad.dtype.type(len(y)),
        "Hessian of cross_entropy, sum": softmax * (1 - softmax),
        "Hessian of cross_entropy, mean": softmax * (1 - softmax) / grad.dtype.type(len(y)),
    }


ROWS: Mapping[str, Callable[[Array, Indices], Results]] = {
    OURS: our_rows,
    FORMULA: formula_rows,
    SCIPY: scipy_rows,
}


# Elements


def our_elements(x: Array) -> Results:
    """Call logitkit."""
    return {
        "sigmoid": logitkit.sigmoid(x),
        "log_sigmoid": logitkit.log_sigmoid(x),
        "softplus": logitkit.softplus(x),
    }


def formula_elements(x: Array) -> Results:
    """Write the definitions down."""
    return {
        "sigmoid": 1 / (1 + np.exp(-x)),
        "log_sigmoid": -np.log1p(np.exp(-x)),
        "softplus": np.log1p(np.exp(x)),
    }


def scipy_elements(x: Array) -> Results:
    """Call SciPy."""
    return {
        "sigmoid": scipy.special.expit(x),
        "log_sigmoid": scipy.special.log_expit(x),
        "softplus": -scipy.special.log_expit(-x),
    }


ELEMENTS: Mapping[str, Callable[[Array], Results]] = {
    OURS: our_elements,
    FORMULA: formula_elements,
    SCIPY: scipy_elements,
}


# Binary losses of logits z and probabilities p, each with its targets

FROM_LOGITS = "binary from logits"
FROM_PROBS = "binary from probabilities"
GRADIENT = "gradient of "
HESSIAN = "Hessian of "


def our_binary(z: Array, p: Array, y: Array) -> Results:
    """Call logitkit."""
    with_hessian = logitkit.binary_cross_entropy_with_logits_and_grad_hess
    by_logits = with_hessian(z, y, reduction="none")
    by_probs = logitkit.binary_cross_entropy_and_grad(p, y[: p.size], reduction="none")
    return {
        FROM_LOGITS: by_logits[0],
        GRADIENT + FROM_LOGITS: by_logits[1],
        HESSIAN + FROM_LOGITS: by_logits[2],
        FROM_PROBS: by_probs[0],
        GRADIENT + FROM_PROBS: by_probs[1],
    }


def formula_binary(z: Array, p: Array, y: Array) -> Results:
    """Write the definitions down."""
    s, t = 1 / (1 + np.exp(-z)), y[: p.size]
    return {
        FROM_LOGITS: np.where(y == 1, -np.log(s), -np.log(1 - s)),
        GRADIENT + FROM_LOGITS: s - y,
        HESSIAN + FROM_LOGITS: s * (1 - s),
        FROM_PROBS: np.where(t == 1, -np.log(p), -np.log(1 - p)),
        GRADIENT + FROM_PROBS: (p - t) / (p * (1 - p)),
    }


def scipy_binary(z: Array, p: Array, y: Array) -> Results:
    """Compose them of SciPy's logarithms, which know the limits."""
    t = y[: p.size]
    logs = np.where(y == 1, scipy.special.log_expit(z), scipy.special.log_expit(-z))
    s = scipy.special.expit(z)
    return {
        FROM_LOGITS: -logs,
        GRADIENT + FROM_LOGITS: s - y,
        HESSIAN + FROM_LOGITS: s * (1 - s),
        FROM_PROBS: -(scipy.special.xlogy(t, p) + scipy.special.xlog1py(1 - t, -p)),
        GRADIENT + FROM_PROBS: (p - t) / (p * (1 - p)),
    }


BINARY: Mapping[str, Callable[[Array, Array, Array], Results]] = {
    OURS: our_binary,
    FORMULA: formula_binary,
    SCIPY: scipy_binary,
}
