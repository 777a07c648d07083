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
from comparison.problems import (
    BEST,
    IGNORED,
    OPTIONS,
    POS_WEIGHT,
    SMOOTHING,
    TRAFFIC,
    Z_LOSS,
    Call,
    Data,
    Floats,
    Operation,
)

Maker = Callable[[Data], Call]
Result = Any  # NumPy's stubs lose the dtype in arithmetic

# The calls of one case, by the label they have in the report: the library, and the form of its own.
Calls = dict[str, Call]


def _with_option(**option: object) -> Maker:
    return lambda d: partial(
        logitkit.cross_entropy_and_grad, d.logits, d.classes, out=d.out, **option, **d.along
    )


LOGITKIT: Mapping[Operation, Maker] = {
    Operation.SOFTMAX_OUT: lambda d: partial(logitkit.softmax, d.logits, out=d.out, **d.along),
    Operation.SOFTMAX: lambda d: partial(logitkit.softmax, d.logits, **d.along),
    Operation.LOG_SOFTMAX: lambda d: partial(logitkit.log_softmax, d.logits, out=d.out, **d.along),
    Operation.LOGSUMEXP: lambda d: partial(logitkit.logsumexp, d.logits, **d.along),
    Operation.CROSS_ENTROPY: lambda d: partial(
        logitkit.cross_entropy, d.logits, d.classes, **d.along
    ),
    Operation.CROSS_ENTROPY_GRAD: _with_option(),
    Operation.PERPLEXITY: lambda d: partial(logitkit.perplexity, d.logits, d.classes, **d.along),
    Operation.TOP_K: lambda d: partial(logitkit.top_k, d.logits, BEST, **d.along),
    Operation.SIGMOID: lambda d: partial(logitkit.sigmoid, d.logits, out=d.out),
    Operation.SOFTPLUS: lambda d: partial(logitkit.softplus, d.logits, out=d.out),
    Operation.LOG_SIGMOID: lambda d: partial(logitkit.log_sigmoid, d.logits, out=d.out),
    Operation.BINARY: lambda d: partial(
        logitkit.binary_cross_entropy_with_logits, d.logits, d.binary
    ),
    Operation.BINARY_GRAD: lambda d: partial(
        logitkit.binary_cross_entropy_with_logits_and_grad, d.logits, d.binary, out=d.out
    ),
    Operation.SOFT_GRAD: lambda d: partial(
        logitkit.cross_entropy_and_grad, d.logits, d.probs, out=d.out, **d.along
    ),
    Operation.WEIGHTED_GRAD: lambda d: _with_option(weight=d.class_weights)(d),
    Operation.SMOOTHED_GRAD: _with_option(label_smoothing=SMOOTHING),
    Operation.Z_LOSS_GRAD: _with_option(z_loss=Z_LOSS),
    Operation.IGNORE_GRAD: lambda d: partial(
        logitkit.cross_entropy_and_grad,
        d.logits,
        d.some_ignored,
        ignore_index=IGNORED,
        out=d.out,
        **d.along,
    ),
    Operation.SOFTMAX_VJP: lambda d: partial(
        logitkit.softmax_vjp, d.probs, d.logits, out=d.out, **d.along
    ),
    Operation.LOG_SOFTMAX_VJP: lambda d: partial(
        logitkit.log_softmax_vjp, d.log_probs, d.logits, out=d.out, **d.along
    ),
    Operation.POS_WEIGHT_GRAD: lambda d: partial(
        logitkit.binary_cross_entropy_with_logits_and_grad,
        d.logits,
        d.binary,
        pos_weight=POS_WEIGHT,
        out=d.out,
    ),
    Operation.MASKED_SOFTMAX: lambda d: partial(
        logitkit.softmax, d.logits, where=d.mask, out=d.out, **d.along
    ),
    Operation.MASKED_LOG_SOFTMAX: lambda d: partial(
        logitkit.log_softmax, d.logits, where=d.mask, out=d.out, **d.along
    ),
    Operation.MASKED_LOGSUMEXP: lambda d: partial(
        logitkit.logsumexp, d.logits, where=d.mask, **d.along
    ),
}

# Whose own time is compared with that of logitkit's plain function, and with which.
PLAIN: Mapping[Operation, Operation] = {
    Operation.LOGSUMEXP: Operation.CROSS_ENTROPY,
    Operation.PERPLEXITY: Operation.CROSS_ENTROPY,
    **dict.fromkeys(OPTIONS, Operation.CROSS_ENTROPY_GRAD),
    Operation.POS_WEIGHT_GRAD: Operation.BINARY_GRAD,
    Operation.MASKED_SOFTMAX: Operation.SOFTMAX_OUT,
    Operation.MASKED_LOG_SOFTMAX: Operation.LOG_SOFTMAX,
    Operation.MASKED_LOGSUMEXP: Operation.LOGSUMEXP,
}


def plain(operation: Operation, data: Data) -> Calls:
    """Give logitkit's plain loss, or its float32, for what shall cost no more."""
    if data.is_half:
        return {"plain": LOGITKIT[operation](data.in_float32)}
    return {"plain": LOGITKIT[PLAIN[operation]](data)} if operation in PLAIN else {}


def limits(operation: Operation, data: Data) -> Calls:
    """Give NumPy's copy or sum: the least that must be read, and written, in one thread."""
    if TRAFFIC[operation].written:
        return {"limit copy": partial(np.copyto, data.out, data.logits)}
    return {"limit sum": data.logits.sum}


def _softmax(x: Floats, axis: int) -> Result:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _log_softmax(x: Floats, axis: int) -> Result:
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def _logsumexp(d: Data) -> Result:
    top = d.logits.max(axis=d.axis, keepdims=True)
    return np.log(np.exp(d.logits - top).sum(axis=d.axis)) + top.squeeze(d.axis)


def _cross_entropy(d: Data) -> Result:
    places = np.expand_dims(d.classes, d.axis)
    return -np.take_along_axis(_log_softmax(d.logits, d.axis), places, d.axis).mean()


def _cross_entropy_and_grad(d: Data) -> tuple[Result, Result]:
    log_probs = _log_softmax(d.logits, d.axis)
    places = np.expand_dims(d.classes, d.axis)
    picked = np.take_along_axis(log_probs, places, d.axis)
    grad = np.exp(log_probs)
    np.put_along_axis(grad, places, np.exp(picked) - 1, d.axis)
    grad /= d.classes.size
    return -picked.mean(), grad


def _perplexity(d: Data) -> Result:
    return np.exp(_cross_entropy(d))


def _top_k(d: Data) -> tuple[Result, Result]:
    best = np.argpartition(d.logits, -BEST, axis=-1)[..., -BEST:]
    values = np.take_along_axis(d.logits, best, -1)
    order = np.argsort(values, axis=-1)[..., ::-1]
    return np.take_along_axis(values, order, -1), np.take_along_axis(best, order, -1)


def _sigmoid(x: Floats) -> Result:
    return 1 / (1 + np.exp(-x))


def _log_sigmoid(x: Floats) -> Result:
    return -np.logaddexp(0, -x)


def _binary(d: Data) -> Result:
    z = d.logits
    return (np.maximum(z, 0) - z * d.binary + np.log1p(np.exp(-np.abs(z)))).mean()


def _binary_and_grad(d: Data) -> tuple[Result, Result]:
    return _binary(d), (_sigmoid(d.logits) - d.binary) / d.logits.size


def _soft_and_grad(d: Data) -> tuple[Result, Result]:
    log_probs = _log_softmax(d.logits, d.axis)
    rows = d.classes.size
    return -(d.probs * log_probs).sum() / rows, (np.exp(log_probs) - d.probs) / rows


def _softmax_vjp(d: Data) -> Result:
    return d.probs * (d.logits - (d.probs * d.logits).sum(axis=d.axis, keepdims=True))


def _log_softmax_vjp(d: Data) -> Result:
    return d.logits - np.exp(d.log_probs) * d.logits.sum(axis=d.axis, keepdims=True)


NUMPY: Mapping[Operation, Maker] = {
    Operation.SOFTMAX_OUT: lambda d: partial(_softmax, d.logits, d.axis),
    Operation.SOFTMAX: lambda d: partial(_softmax, d.logits, d.axis),
    Operation.LOG_SOFTMAX: lambda d: partial(_log_softmax, d.logits, d.axis),
    Operation.LOGSUMEXP: lambda d: partial(_logsumexp, d),
    Operation.CROSS_ENTROPY: lambda d: partial(_cross_entropy, d),
    Operation.CROSS_ENTROPY_GRAD: lambda d: partial(_cross_entropy_and_grad, d),
    Operation.PERPLEXITY: lambda d: partial(_perplexity, d),
    Operation.TOP_K: lambda d: partial(_top_k, d),
    Operation.SIGMOID: lambda d: partial(_sigmoid, d.logits),
    Operation.SOFTPLUS: lambda d: partial(np.logaddexp, 0, d.logits),
    Operation.LOG_SIGMOID: lambda d: partial(_log_sigmoid, d.logits),
    Operation.BINARY: lambda d: partial(_binary, d),
    Operation.BINARY_GRAD: lambda d: partial(_binary_and_grad, d),
    Operation.SOFT_GRAD: lambda d: partial(_soft_and_grad, d),
    Operation.SOFTMAX_VJP: lambda d: partial(_softmax_vjp, d),
    Operation.LOG_SOFTMAX_VJP: lambda d: partial(_log_softmax_vjp, d),
}

# SciPy has no losses.
SCIPY: Mapping[Operation, Maker] = {
    Operation.SOFTMAX_OUT: lambda d: partial(scipy.special.softmax, d.logits, axis=d.axis),
    Operation.SOFTMAX: lambda d: partial(scipy.special.softmax, d.logits, axis=d.axis),
    Operation.LOG_SOFTMAX: lambda d: partial(scipy.special.log_softmax, d.logits, axis=d.axis),
    Operation.LOGSUMEXP: lambda d: partial(scipy.special.logsumexp, d.logits, axis=d.axis),
    Operation.SIGMOID: lambda d: partial(scipy.special.expit, d.logits, out=d.out),
    Operation.LOG_SIGMOID: lambda d: partial(scipy.special.log_expit, d.logits, out=d.out),
}


def numpy_forms(operation: Operation, data: Data) -> Calls:
    """Give what one writes with NumPy alone, for what one would write."""
    return {"numpy": NUMPY[operation](data)} if operation in NUMPY else {}


def scipy_forms(operation: Operation, data: Data) -> Calls:
    """Give SciPy's function, if there is one."""
    return {"scipy": SCIPY[operation](data)} if operation in SCIPY else {}
