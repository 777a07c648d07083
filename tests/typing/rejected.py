"""Calls that are wrong, each with the error that mypy must report for it.

Nothing here is run. `tests/test_typing.py` removes the comments and expects these errors and no
others. A call that is right goes to `accepted.py`.
"""

import numpy as np
from numpy.typing import NDArray

import logitkit


def arrays(
    single: NDArray[np.float32],
    quarter: NDArray[np.void],
    wide: NDArray[np.longdouble],
    imaginary: NDArray[np.complex128],
    text: NDArray[np.str_],
    dates: NDArray[np.datetime64],
    objects: NDArray[np.object_],
) -> None:
    logitkit.softmax(quarter)  # type: ignore[arg-type]
    logitkit.softmax(wide)  # type: ignore[arg-type]
    logitkit.softmax(imaginary)  # type: ignore[arg-type]
    logitkit.softmax(text)  # type: ignore[arg-type]
    logitkit.softmax(dates)  # type: ignore[arg-type]
    logitkit.softmax(objects)  # type: ignore[arg-type]
    logitkit.softmax("logits")  # type: ignore[arg-type]
    logitkit.softmax(["logits"])  # type: ignore[arg-type]
    logitkit.softmax([1j])  # type: ignore[arg-type]
    logitkit.softmax(None)  # type: ignore[call-overload]
    logitkit.logsumexp(quarter)  # type: ignore[arg-type]
    logitkit.sigmoid(quarter)  # type: ignore[arg-type]
    logitkit.cross_entropy(quarter, [0])  # type: ignore[arg-type]
    logitkit.binary_cross_entropy_with_logits(imaginary, [0.0])  # type: ignore[arg-type]
    logitkit.top_k(quarter, 1)  # type: ignore[arg-type]
    logitkit.linear(quarter, single)  # type: ignore[arg-type]
    logitkit.accuracy(text, [0])  # type: ignore[arg-type]
    logitkit.perplexity("logits", [0])  # type: ignore[arg-type]
    logitkit.cross_entropy(single, object())  # type: ignore[call-overload]
    logitkit.softmax_vjp(single, None)  # type: ignore[call-overload]


def outs(
    half: NDArray[np.float16], single: NDArray[np.float32], double: NDArray[np.float64]
) -> None:
    logitkit.softmax(single, out=double)  # type: ignore[arg-type]
    logitkit.softmax(half, out=single)  # type: ignore[arg-type]
    logitkit.softmax(double, out=single)  # type: ignore[arg-type]
    logitkit.softmax([1, 2], out=single)  # type: ignore[arg-type]
    logitkit.softmax([1, 2], out=[0.0, 0.0])  # type: ignore[call-overload]
    logitkit.sigmoid(single, out=double)  # type: ignore[arg-type]
    logitkit.logsumexp(single, out=single)  # type: ignore[call-overload]
    logitkit.cross_entropy(single, [0], out=single)  # type: ignore[call-overload]
    logitkit.cross_entropy_and_grad(single, [0], out=double)  # type: ignore[arg-type]
    logitkit.cross_entropy_and_grad_hess(single, [0], out=single)  # type: ignore[call-overload]
    logitkit.linear(single, single, out=single)  # type: ignore[call-overload]


def axes(single: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
    logitkit.softmax(single, axis=[0, 1])  # type: ignore[call-overload]
    logitkit.softmax(single, axis=(0, 0.5))  # type: ignore[arg-type]
    logitkit.log_softmax(single, axis=0.5)  # type: ignore[call-overload]
    logitkit.logsumexp(single, axis="rows")  # type: ignore[call-overload]
    logitkit.sigmoid(single, axis=0)  # type: ignore[call-overload]
    logitkit.softmax_vjp(single, single, where=mask)  # type: ignore[call-overload]
    logitkit.softmax(single, where=single)  # type: ignore[arg-type]
    logitkit.logsumexp(single, where=1)  # type: ignore[call-overload]


def keyword_only(single: NDArray[np.float32]) -> None:
    logitkit.softmax(single, -1, single)  # type: ignore[call-overload]
    logitkit.logsumexp(single, -1, True)  # type: ignore[call-overload]
    logitkit.sigmoid(single, single)  # type: ignore[call-overload]
    logitkit.cross_entropy(single, [0], -1)  # type: ignore[call-overload]
    logitkit.binary_cross_entropy(single, [0], [1.0])  # type: ignore[call-overload]
    logitkit.accuracy(single, [0], 2)  # type: ignore[call-arg]
    logitkit.perplexity(single, [0], -1)  # type: ignore[call-arg]


def options(single: NDArray[np.float32], settings: object) -> None:
    logitkit.cross_entropy(single)  # type: ignore[call-overload]
    logitkit.cross_entropy(single, [0], reduction=None)  # type: ignore[call-overload]
    logitkit.cross_entropy(single, [0], label_smoothing="0.1")  # type: ignore[call-overload]
    logitkit.cross_entropy(single, [0], ignore_index=0.5)  # type: ignore[call-overload]
    logitkit.cross_entropy(single, [0], eps=1e-7)  # type: ignore[call-overload]
    logitkit.nll_loss(single, [0], label_smoothing=0.1)  # type: ignore[call-overload]
    logitkit.categorical_cross_entropy(single, [0], z_loss=1e-4)  # type: ignore[call-overload]
    logitkit.binary_cross_entropy(single, [0], pos_weight=2.0)  # type: ignore[call-overload]
    logitkit.binary_cross_entropy_with_logits(single, [0], eps=1e-7)  # type: ignore[call-overload]
    logitkit.binary_cross_entropy_with_logits(single, [0], axis=0)  # type: ignore[call-overload]
    logitkit.top_k(single)  # type: ignore[call-overload]
    logitkit.top_k(single, 1.5)  # type: ignore[call-overload]
    logitkit.perplexity(single, [0], reduction="sum")  # type: ignore[call-arg]
    logitkit.set_num_threads("2")  # type: ignore[arg-type]
    logitkit.get_num_threads(settings)  # type: ignore[call-arg]
    logitkit.simd_level(settings)  # type: ignore[call-arg]


def results(single: NDArray[np.float32]) -> tuple[NDArray[np.float32], np.float32]:
    losses = logitkit.cross_entropy(single, [0], reduction="none")
    loss = logitkit.cross_entropy(single, [0])
    return loss, losses  # type: ignore[return-value]
