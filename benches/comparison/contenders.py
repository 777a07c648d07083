"""Who is compared: logitkit, the limits that memory sets, NumPy's formulas and SciPy.

Each contender is a table from an operation to what makes its call for given arrays. torch and jax
stand in `frameworks`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import scipy.special

import logitkit
from comparison.problems import READ_ONLY, Call, Data, Floats, Operation

Maker = Callable[[Data], Call]
Result = Any  # NumPy's stubs lose the dtype in arithmetic

# Each form of an operation, by the label it has in the report.
Forms = dict[str, Maker]

LOGITKIT: Mapping[Operation, Maker] = {
    Operation.SOFTMAX_OUT: lambda d: partial(logitkit.softmax, d.logits, out=d.out),
    Operation.SOFTMAX: lambda d: partial(logitkit.softmax, d.logits),
    Operation.LOG_SOFTMAX: lambda d: partial(logitkit.log_softmax, d.logits, out=d.out),
    Operation.LOGSUMEXP: lambda d: partial(logitkit.logsumexp, d.logits),
    Operation.CROSS_ENTROPY: lambda d: partial(logitkit.cross_entropy, d.logits, d.classes),
    Operation.CROSS_ENTROPY_GRAD: lambda d: partial(
        logitkit.cross_entropy_and_grad, d.logits, d.classes, out=d.out
    ),
    Operation.SIGMOID: lambda d: partial(logitkit.sigmoid, d.logits, out=d.out),
    Operation.SOFTPLUS: lambda d: partial(logitkit.softplus, d.logits, out=d.out),
    Operation.BINARY: lambda d: partial(
        logitkit.binary_cross_entropy_with_logits, d.logits, d.binary
    ),
    Operation.BINARY_GRAD: lambda d: partial(
        logitkit.binary_cross_entropy_with_logits_and_grad, d.logits, d.binary, out=d.out
    ),
}


def limits(operation: Operation) -> Forms:
    """Give NumPy's copy or sum: the least that must be read, and written, in one thread."""
    if operation in READ_ONLY:
        return {"sum": lambda d: d.logits.sum}
    return {"copy": lambda d: partial(np.copyto, d.out, d.logits)}


def _softmax(x: Floats) -> Result:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _log_softmax(x: Floats) -> Result:
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _logsumexp(x: Floats) -> Result:
    top = x.max(axis=-1, keepdims=True)
    return np.log(np.exp(x - top).sum(axis=-1)) + top[..., 0]


def _cross_entropy(d: Data) -> Result:
    return -_log_softmax(d.logits)[np.arange(len(d.classes)), d.classes].mean()


def _cross_entropy_and_grad(d: Data) -> tuple[Result, Result]:
    log_probs = _log_softmax(d.logits)
    rows = np.arange(len(d.classes))
    grad = np.exp(log_probs)
    grad[rows, d.classes] -= 1
    grad /= len(rows)
    return -log_probs[rows, d.classes].mean(), grad


def _sigmoid(x: Floats) -> Result:
    return 1 / (1 + np.exp(-x))


def _binary(d: Data) -> Result:
    z = d.logits
    return (np.maximum(z, 0) - z * d.binary + np.log1p(np.exp(-np.abs(z)))).mean()


def _binary_and_grad(d: Data) -> tuple[Result, Result]:
    return _binary(d), (_sigmoid(d.logits) - d.binary) / d.logits.size


NUMPY: Mapping[Operation, Maker] = {
    Operation.SOFTMAX_OUT: lambda d: partial(_softmax, d.logits),
    Operation.SOFTMAX: lambda d: partial(_softmax, d.logits),
    Operation.LOG_SOFTMAX: lambda d: partial(_log_softmax, d.logits),
    Operation.LOGSUMEXP: lambda d: partial(_logsumexp, d.logits),
    Operation.CROSS_ENTROPY: lambda d: partial(_cross_entropy, d),
    Operation.CROSS_ENTROPY_GRAD: lambda d: partial(_cross_entropy_and_grad, d),
    Operation.SIGMOID: lambda d: partial(_sigmoid, d.logits),
    Operation.SOFTPLUS: lambda d: partial(np.logaddexp, 0, d.logits),
    Operation.BINARY: lambda d: partial(_binary, d),
    Operation.BINARY_GRAD: lambda d: partial(_binary_and_grad, d),
}

# SciPy has no losses.
SCIPY: Mapping[Operation, Maker] = {
    Operation.SOFTMAX_OUT: lambda d: partial(scipy.special.softmax, d.logits, axis=-1),
    Operation.SOFTMAX: lambda d: partial(scipy.special.softmax, d.logits, axis=-1),
    Operation.LOG_SOFTMAX: lambda d: partial(scipy.special.log_softmax, d.logits, axis=-1),
    Operation.LOGSUMEXP: lambda d: partial(scipy.special.logsumexp, d.logits, axis=-1),
    Operation.SIGMOID: lambda d: partial(scipy.special.expit, d.logits, out=d.out),
}


def numpy_forms(operation: Operation) -> Forms:
    """Give what one writes with NumPy alone."""
    return {"numpy": NUMPY[operation]}


def scipy_forms(operation: Operation) -> Forms:
    """Give SciPy's function, if there is one."""
    return {"scipy": SCIPY[operation]} if operation in SCIPY else {}
