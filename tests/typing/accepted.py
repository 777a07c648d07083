"""Calls that are right, each with the type of its result.

mypy checks the assertions against the stubs; `tests/test_typing.py` makes the same calls and checks
the results. A new function or option gets its line here. A wrong call goes to `rejected.py`.
"""

from typing import Any, Literal, assert_type

import ml_dtypes
import numpy as np
import polars as pl
import xarray as xr
from numpy.typing import NDArray

import logitkit

Array16 = NDArray[np.float16]
Array32 = NDArray[np.float32]
Array64 = NDArray[np.float64]
AnyArray = NDArray[Any]
HALF: Array16 = np.array([[1.0, 2.0, 3.0], [2.0, 0.5, 1.0]], np.float16)
PROBS16: Array16 = np.array([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]], np.float16)
SINGLE: Array32 = np.array([[1.0, 2.0, 3.0], [2.0, 0.5, 1.0]], np.float32)
DOUBLE: Array64 = np.array([[1.0, 2.0, 3.0], [2.0, 0.5, 1.0]], np.float64)
LOGS32: Array32 = np.log(np.array([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]], np.float32))
LOGS64: Array64 = np.log(np.array([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]], np.float64))
PROBS32: Array32 = np.array([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]], np.float32)
PROBS64: Array64 = np.array([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]], np.float64)
BFLOAT: AnyArray = np.array([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]], ml_dtypes.bfloat16)
INTEGERS: NDArray[np.int16] = np.array([[1, 2, 3], [2, 0, 1]], np.int16)
BOOLS: NDArray[np.bool_] = np.array([[True, False, True], [False, False, True]])
TARGETS: NDArray[np.uint8] = np.array([0, 2], np.uint8)
ONE_HOT: NDArray[np.bool_] = np.array([[True, False, False], [False, False, True]])


def float32_stays_and_all_else_becomes_float64() -> None:
    assert_type(logitkit.softmax(SINGLE), Array32)
    assert_type(logitkit.softmax(DOUBLE), Array64)
    assert_type(logitkit.softmax(INTEGERS), Array64)
    assert_type(logitkit.softmax(BOOLS), Array64)


def nested_sequences() -> None:
    assert_type(logitkit.softmax([1, 2.5, True]), Array64)
    assert_type(logitkit.softmax(((1.0, 2.0), (3.0, 4.0))), Array64)
    assert_type(logitkit.softmax([[[[1.0]]]]), Array64)
    assert_type(logitkit.softmax([]), Array64)
    assert_type(logitkit.softmax([SINGLE, SINGLE]), Array32)
    assert_type(logitkit.softmax([DOUBLE, DOUBLE]), Array64)
    assert_type(logitkit.softmax([np.float32(1), np.float32(2)]), Array32)


def along_an_axis() -> None:
    assert_type(logitkit.softmax(SINGLE, 0), Array32)
    assert_type(logitkit.log_softmax(SINGLE, axis=np.int64(0)), Array32)
    assert_type(logitkit.log_softmax(DOUBLE, -1), Array64)
    assert_type(logitkit.softmax_vjp(PROBS32, SINGLE, 0), Array32)
    assert_type(logitkit.softmax_vjp(PROBS64, [[1, 2, 3], [4, 5, 6]]), Array64)
    assert_type(logitkit.log_softmax_vjp(LOGS32, cotangent=SINGLE), Array32)
    assert_type(logitkit.log_softmax_vjp(LOGS64, DOUBLE, axis=0), Array64)


def several_axes_and_masks() -> None:
    assert_type(logitkit.softmax(SINGLE, None), Array32)
    assert_type(logitkit.softmax(DOUBLE, (0, -1), where=BOOLS), Array64)
    assert_type(logitkit.log_softmax(SINGLE, axis=(), where=[True, False, True]), Array32)
    assert_type(logitkit.log_softmax(HALF, where=True), Array16)
    assert_type(logitkit.logsumexp(SINGLE, (0, 1), keepdims=True, where=BOOLS), Array32)
    assert_type(logitkit.logsumexp(DOUBLE, None), Array64 | np.float64)


def float16_stays_but_for_losses() -> None:
    assert_type(logitkit.softmax(HALF), Array16)
    assert_type(logitkit.sigmoid(HALF, out=np.zeros_like(HALF)), Array16)
    assert_type(logitkit.log_sigmoid(HALF), Array16)
    assert_type(logitkit.softplus(HALF), Array16)
    assert_type(logitkit.softmax_vjp(PROBS16, SINGLE), Array16)
    assert_type(logitkit.log_softmax_vjp(PROBS16, PROBS16), Array16)
    assert_type(logitkit.logsumexp(HALF, keepdims=True), Array32)
    assert_type(logitkit.cross_entropy(HALF, TARGETS), np.float32)
    assert_type(logitkit.cross_entropy(HALF, TARGETS, reduction="none"), Array32)
    assert_type(logitkit.cross_entropy_and_grad(HALF, TARGETS), tuple[np.float32, Array16])
    assert_type(
        logitkit.cross_entropy_and_grad(HALF, TARGETS, reduction="none", out=np.zeros_like(HALF)),
        tuple[Array32, Array16],
    )
    assert_type(logitkit.nll_loss_and_grad(HALF, TARGETS), tuple[np.float32, Array16])
    assert_type(
        logitkit.categorical_cross_entropy_and_grad(PROBS16, TARGETS), tuple[np.float32, Array16]
    )
    assert_type(
        logitkit.binary_cross_entropy_with_logits_and_grad(HALF, ONE_HOT),
        tuple[np.float32, Array16],
    )
    assert_type(
        logitkit.binary_cross_entropy_and_grad(PROBS16, ONE_HOT), tuple[np.float32, Array16]
    )
    assert_type(logitkit.top_k(HALF, 1), tuple[Array16, NDArray[np.int64]])
    assert_type(logitkit.linear(HALF, SINGLE), Array16)
    assert_type(logitkit.accuracy(HALF, TARGETS), np.float64)
    assert_type(logitkit.perplexity(HALF, TARGETS), np.float64)


def logsumexp_may_leave_no_axis() -> None:
    assert_type(logitkit.logsumexp(SINGLE), Array32 | np.float32)
    assert_type(logitkit.logsumexp([1.0, 2.0]), Array64 | np.float64)
    assert_type(logitkit.logsumexp(SINGLE, keepdims=True), Array32)
    assert_type(logitkit.logsumexp(DOUBLE, 0, keepdims=True), Array64)


def element_by_element() -> None:
    assert_type(logitkit.sigmoid(SINGLE), Array32)
    assert_type(logitkit.sigmoid(x=INTEGERS), Array64)
    assert_type(logitkit.log_sigmoid(SINGLE), Array32)
    assert_type(logitkit.log_sigmoid([0.5, 1]), Array64)
    assert_type(logitkit.softplus(SINGLE), Array32)
    assert_type(logitkit.softplus(DOUBLE), Array64)


def out_comes_back_with_its_own_type() -> None:
    flat32 = np.zeros(3, np.float32)
    flat64 = np.zeros(3)
    assert_type(
        logitkit.softmax(SINGLE[0], out=flat32), np.ndarray[tuple[int], np.dtype[np.float32]]
    )
    assert_type(
        logitkit.sigmoid([1, 2, 3], out=flat64), np.ndarray[tuple[int], np.dtype[np.float64]]
    )
    assert_type(logitkit.log_softmax(SINGLE, out=None), Array32)
    assert_type(logitkit.softplus(INTEGERS, out=np.zeros_like(DOUBLE)), Array64)
    assert_type(logitkit.softmax_vjp(PROBS32, SINGLE, out=np.zeros_like(SINGLE)), Array32)
    _, grad = logitkit.cross_entropy_and_grad(SINGLE[0], 1, out=flat32)
    assert_type(grad, np.ndarray[tuple[int], np.dtype[np.float32]])


def a_full_reduction_is_a_scalar() -> None:
    assert_type(logitkit.cross_entropy(SINGLE, TARGETS), np.float32)
    assert_type(logitkit.cross_entropy(DOUBLE, TARGETS, reduction="mean"), np.float64)
    assert_type(logitkit.nll_loss(LOGS32, TARGETS, reduction="sum"), np.float32)
    assert_type(logitkit.nll_loss(LOGS64, TARGETS), np.float64)
    assert_type(logitkit.categorical_cross_entropy(PROBS32, ONE_HOT), np.float32)
    assert_type(logitkit.categorical_cross_entropy(PROBS64, ONE_HOT, reduction="sum"), np.float64)
    assert_type(logitkit.binary_cross_entropy(PROBS32, ONE_HOT), np.float32)
    assert_type(logitkit.binary_cross_entropy([0.5, 1], [1, 1]), np.float64)
    assert_type(logitkit.binary_cross_entropy_with_logits(SINGLE, ONE_HOT), np.float32)
    assert_type(logitkit.binary_cross_entropy_with_logits(INTEGERS, ONE_HOT), np.float64)


def no_reduction_is_an_array() -> None:
    assert_type(logitkit.cross_entropy(SINGLE, TARGETS, reduction="none"), Array32)
    assert_type(logitkit.cross_entropy(INTEGERS, TARGETS, reduction="none"), Array64)
    assert_type(logitkit.nll_loss(LOGS32, TARGETS, reduction="none"), Array32)
    assert_type(logitkit.nll_loss(LOGS64, TARGETS, reduction="none"), Array64)
    assert_type(logitkit.categorical_cross_entropy(PROBS32, ONE_HOT, reduction="none"), Array32)
    assert_type(logitkit.categorical_cross_entropy(PROBS64, ONE_HOT, reduction="none"), Array64)
    assert_type(logitkit.binary_cross_entropy(PROBS32, ONE_HOT, reduction="none"), Array32)
    assert_type(logitkit.binary_cross_entropy(PROBS64, ONE_HOT, reduction="none"), Array64)
    assert_type(
        logitkit.binary_cross_entropy_with_logits(SINGLE, ONE_HOT, reduction="none"), Array32
    )
    assert_type(
        logitkit.binary_cross_entropy_with_logits(DOUBLE, ONE_HOT, reduction="none"), Array64
    )


def a_reduction_known_only_at_run_time() -> None:
    text: str = "sum"
    text = text.lower()
    choice: Literal["none", "mean"] = "none" if TARGETS.size else "mean"
    assert_type(logitkit.cross_entropy(SINGLE, TARGETS, reduction=text), Array32 | np.float32)
    assert_type(logitkit.nll_loss(LOGS64, TARGETS, reduction=choice), Array64 | np.float64)
    assert_type(
        logitkit.binary_cross_entropy_and_grad(PROBS32, ONE_HOT, reduction=text),
        tuple[Array32 | np.float32, Array32],
    )


def loss_and_gradient() -> None:
    assert_type(logitkit.cross_entropy_and_grad(SINGLE, TARGETS), tuple[np.float32, Array32])
    assert_type(
        logitkit.cross_entropy_and_grad(INTEGERS, TARGETS, reduction="sum"),
        tuple[np.float64, Array64],
    )
    assert_type(
        logitkit.cross_entropy_and_grad(SINGLE, TARGETS, reduction="none"), tuple[Array32, Array32]
    )
    assert_type(
        logitkit.cross_entropy_and_grad_hess(SINGLE, TARGETS, hessian="bound"),
        tuple[np.float32, Array32, Array32],
    )
    assert_type(
        logitkit.cross_entropy_and_grad_hess(
            INTEGERS, TARGETS, reduction="none", out=(None, np.zeros_like(LOGS64))
        ),
        tuple[Array64, Array64, Array64],
    )
    assert_type(
        logitkit.binary_cross_entropy_with_logits_and_grad_hess(
            HALF, ONE_HOT, out=(np.zeros_like(HALF), None)
        ),
        tuple[np.float32, Array16, Array16],
    )
    assert_type(logitkit.nll_loss_and_grad(LOGS32, TARGETS), tuple[np.float32, Array32])
    assert_type(
        logitkit.nll_loss_and_grad(LOGS64, TARGETS, reduction="none"), tuple[Array64, Array64]
    )
    assert_type(
        logitkit.categorical_cross_entropy_and_grad(PROBS32, ONE_HOT), tuple[np.float32, Array32]
    )
    assert_type(
        logitkit.categorical_cross_entropy_and_grad(PROBS64, ONE_HOT, reduction="none"),
        tuple[Array64, Array64],
    )
    assert_type(
        logitkit.binary_cross_entropy_and_grad(PROBS64, ONE_HOT), tuple[np.float64, Array64]
    )
    assert_type(
        logitkit.binary_cross_entropy_with_logits_and_grad(SINGLE, ONE_HOT, reduction="none"),
        tuple[Array32, Array32],
    )


def every_option_of_the_losses() -> None:
    weight = [1, 2, 0.5]
    assert_type(
        logitkit.cross_entropy(
            logits=SINGLE,
            targets=[0, -1],
            axis=1,
            weight=weight,
            sample_weight=[1.0, 2.0],
            ignore_index=-1,
            label_smoothing=0.1,
            z_loss=1e-4,
            reduction="sum",
        ),
        np.float32,
    )
    assert_type(
        logitkit.nll_loss(
            log_probs=LOGS64, targets=TARGETS, axis=-1, weight=weight, sample_weight=TARGETS
        ),
        np.float64,
    )
    assert_type(
        logitkit.categorical_cross_entropy(
            probs=PROBS64, targets=TARGETS, weight=weight, ignore_index=np.int64(2), eps=1e-7
        ),
        np.float64,
    )
    assert_type(
        logitkit.binary_cross_entropy(
            probs=PROBS32, targets=ONE_HOT, weight=weight, eps=0, reduction="mean"
        ),
        np.float32,
    )
    assert_type(
        logitkit.binary_cross_entropy_with_logits(
            logits=DOUBLE, targets=PROBS64, weight=weight, pos_weight=3, reduction="none"
        ),
        Array64,
    )


def prediction() -> None:
    assert_type(logitkit.linear(SINGLE, np.eye(3)), Array32)
    assert_type(logitkit.linear(x=INTEGERS, weight=np.eye(3), bias=[1, 2, 3]), Array64)
    assert_type(logitkit.top_k(SINGLE, 2), tuple[Array32, NDArray[np.int64]])
    assert_type(logitkit.top_k([3, 1, 2], k=np.int8(1), axis=0), tuple[Array64, NDArray[np.int64]])
    assert_type(logitkit.accuracy(SINGLE, TARGETS), np.float64)
    assert_type(logitkit.accuracy([[1, 2]], [0], k=1, axis=-1, ignore_index=None), np.float64)
    assert_type(logitkit.perplexity(SINGLE, TARGETS), np.float64)
    assert_type(logitkit.perplexity(DOUBLE, TARGETS, axis=1, ignore_index=2), np.float64)
    assert_type(
        logitkit.Evaluation(k=(1, 2)).merge(logitkit.Evaluation(k=(1, 2))).result().count, int
    )
    assert_type(logitkit.fit_temperature(DOUBLE, [2, 2]).temperature, float)


def the_process() -> None:
    threads = logitkit.get_num_threads()
    assert_type(threads, int)
    assert_type(logitkit.__version__, str)
    assert_type(logitkit.simd_level(), Literal["fallback", "sse4.2", "avx2", "avx512", "neon"])
    logitkit.set_num_threads(threads)


def an_unknown_dtype_is_no_error() -> None:
    unknown: Any = DOUBLE
    array: NDArray[Any] = SINGLE
    logitkit.softmax(unknown, out=unknown)
    logitkit.cross_entropy(array, TARGETS)
    assert_type(logitkit.accuracy(BFLOAT, TARGETS), np.float64)
    assert_type(logitkit.perplexity(BFLOAT, TARGETS), np.float64)


def of_an_unknown_dtype_nothing_is_known() -> None:
    """Such as bfloat16, and as tables, which hold columns of any."""
    assert_type(logitkit.softmax(BFLOAT), AnyArray)
    assert_type(logitkit.log_softmax(BFLOAT, out=np.zeros_like(BFLOAT)), AnyArray)
    assert_type(logitkit.logsumexp(BFLOAT), Any)
    assert_type(logitkit.sigmoid(BFLOAT), AnyArray)
    assert_type(logitkit.log_sigmoid(BFLOAT), AnyArray)
    assert_type(logitkit.softplus(BFLOAT), AnyArray)
    assert_type(logitkit.softmax_vjp(BFLOAT, BFLOAT), AnyArray)
    assert_type(logitkit.log_softmax_vjp(BFLOAT, BFLOAT), AnyArray)
    assert_type(logitkit.linear(BFLOAT, BFLOAT), AnyArray)
    assert_type(logitkit.top_k(BFLOAT, 1), tuple[AnyArray, NDArray[np.int64]])
    assert_type(logitkit.cross_entropy(BFLOAT, TARGETS), Any)
    assert_type(logitkit.cross_entropy(BFLOAT, TARGETS, reduction="none"), Any)
    assert_type(logitkit.nll_loss(BFLOAT, TARGETS), Any)
    assert_type(logitkit.categorical_cross_entropy(BFLOAT, TARGETS), Any)
    assert_type(logitkit.binary_cross_entropy(BFLOAT, ONE_HOT), Any)
    assert_type(logitkit.binary_cross_entropy_with_logits(BFLOAT, ONE_HOT), Any)
    assert_type(logitkit.cross_entropy_and_grad(BFLOAT, TARGETS), tuple[Any, AnyArray])
    assert_type(
        logitkit.cross_entropy_and_grad_hess(BFLOAT, TARGETS, out=(np.zeros_like(BFLOAT), None)),
        tuple[Any, AnyArray, AnyArray],
    )
    assert_type(logitkit.nll_loss_and_grad(BFLOAT, TARGETS), tuple[Any, AnyArray])
    assert_type(logitkit.categorical_cross_entropy_and_grad(BFLOAT, TARGETS), tuple[Any, AnyArray])
    assert_type(logitkit.binary_cross_entropy_and_grad(BFLOAT, ONE_HOT), tuple[Any, AnyArray])
    assert_type(
        logitkit.binary_cross_entropy_with_logits_and_grad(BFLOAT, ONE_HOT), tuple[Any, AnyArray]
    )
    assert_type(
        logitkit.binary_cross_entropy_with_logits_and_grad_hess(BFLOAT, ONE_HOT),
        tuple[Any, AnyArray, AnyArray],
    )
    assert_type(logitkit.softmax(pl.DataFrame(SINGLE)), AnyArray)
    assert_type(logitkit.cross_entropy(SINGLE, pl.Series([0, 1])), np.float32)
    assert_type(logitkit.softmax(xr.DataArray(SINGLE)), AnyArray)
    assert_type(logitkit.cross_entropy(xr.DataArray(SINGLE), TARGETS), Any)


def a_number_becomes_a_number() -> None:
    assert_type(logitkit.sigmoid(2.0), np.float64)
    assert_type(logitkit.sigmoid(np.float32(2)), np.float32)
    assert_type(logitkit.log_sigmoid(2), np.float64)
    assert_type(logitkit.log_sigmoid(np.int8(2)), np.float64)
    assert_type(logitkit.softplus(np.float64(2)), np.float64)
    assert_type(logitkit.softplus(np.float16(2)), np.float16)
