"""Weights of the binary losses: of any type and shape, and what they cost in bits and memory.

Targets of 0 and 1 go a short way of their own, with weights of moderate size; all else does not.
"""

import math
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest

import logitkit
from tests.memory import peak
from tests.support import Array, Float, check_binary, random_logits, rng_of, ulps

if TYPE_CHECKING:
    from collections.abc import Callable

LOSS = "binary_cross_entropy_with_logits"
FROM_PROBS = "binary_cross_entropy"

# Around a vector of 16 lanes, and around a block of 2048 elements.
SIZES = (1, 2, 15, 16, 17, 33, 2047, 2048, 2049, 4100)


def labels(rng: np.random.Generator, shape: Any, kind: Any = np.float32) -> Array:  # noqa: ANN401
    return np.asarray(rng.integers(0, 2, shape), kind)


@pytest.mark.parametrize("size", SIZES)
def test_sizes(size: int, dtype: Float) -> None:
    rng = rng_of(size)
    x = random_logits(rng, (size,), dtype)
    y = labels(rng, size)
    weight = np.exp(rng.uniform(-3, 3, size)).astype(dtype)
    for options in (
        {"weight": weight},
        {"pos_weight": 3.0},
        {"pos_weight": 0.3},
        {"weight": weight.astype(np.float64) * 1.1, "pos_weight": 1.7},
    ):
        check_binary(LOSS, x, y, **options)
    x[-1] = 100
    check_binary(LOSS, x, y, weight=weight, reduction="none")


@pytest.mark.parametrize("kind", ["weight", "pos_weight"])
@pytest.mark.parametrize("form", [(), (1,), (7,), (5, 1), (5, 7), (1, 7)])
@pytest.mark.parametrize("of", [np.float16, np.float32, np.float64, np.int64, np.int32, np.bool_])
def test_weights_of_any_type_and_shape(
    of: Any,  # noqa: ANN401
    form: tuple[int, ...],
    kind: str,
    dtype: Float,
) -> None:
    rng = rng_of(np.dtype(of).name, form, kind)
    x = random_logits(rng, (5, 7), dtype)
    weight = np.asarray(
        rng.uniform(0.1, 3, form) if np.dtype(of).kind == "f" else rng.integers(0, 3, form)
    )
    for y in (labels(rng, x.shape, np.bool_), labels(rng, x.shape, np.int64), rng.random(x.shape)):
        for reduction in ("none", "mean"):
            check_binary(LOSS, x, y, reduction=reduction, **{kind: weight.astype(of)})


@pytest.mark.parametrize("size", [0.0, 1e-300, 1e-60, 1e-39, 1e-30, 2.0**-16, 2.0**16, 1e30, 1e39])
@pytest.mark.parametrize("kind", ["weight", "pos_weight"])
def test_weights_of_any_size(size: float, kind: str, dtype: Float) -> None:
    """What no float32 holds counts all the same."""
    rng = rng_of(size, kind)
    x = np.asarray(rng.normal(size=40) * 3, dtype)
    x[:4] = [80, -80, 200, -200]
    weight = size * rng.uniform(1, 2, 40)
    with np.errstate(over="ignore"):
        check_binary(LOSS, x, labels(rng, 40), reduction="none", **{kind: weight})


def test_targets_of_float64_count_to_the_last_bit(dtype: Float) -> None:
    x = np.full(40, -90, dtype)
    y = np.zeros(40)
    y[::2] = 1e-9
    y[1] = 1 - 1e-9
    check_binary(LOSS, x, y, reduction="none", weight=0.3)
    check_binary(LOSS, -x, y, reduction="none")


@pytest.mark.parametrize("wrong", [1 + 1e-12, -1e-12, -1e-60, 1.5, math.nan])
@pytest.mark.parametrize("weight", [None, 0.3, 2.0])
def test_targets_are_checked_as_they_are(wrong: float, weight: float | None, dtype: Float) -> None:
    """A float64 just above 1 is not taken for the float32 that it rounds to."""
    y = np.zeros(50)
    y[33] = wrong
    with pytest.raises(ValueError, match=r"targets\[33\]") as raised:
        logitkit.binary_cross_entropy_with_logits(np.zeros(50, dtype), y, weight=weight)
    assert repr(wrong) in str(raised.value).lower()
    # What weighs nothing may be anything.
    weights = np.ones(50)
    weights[33] = 0
    logitkit.binary_cross_entropy_with_logits(np.zeros(50, dtype), y, weight=weights)


def test_an_element_of_no_weight_is_left_out(dtype: Float) -> None:
    x = np.linspace(-3, 3, 50).astype(dtype)
    x[[3, 17, 40]] = [np.nan, np.inf, -np.inf]
    weight = np.full(50, 0.3)
    weight[[3, 17, 40]] = 0
    losses, grad = logitkit.binary_cross_entropy_with_logits_and_grad(
        x, np.ones(50), weight=weight, reduction="none"
    )
    assert (losses[weight == 0] == 0).all()
    assert (grad[weight == 0] == 0).all()
    assert np.isfinite(losses).all()


@pytest.mark.parametrize("options", [{"pos_weight": 0.3}, {"weight": True}, {"weight": 7.3}])
def test_accuracy(options: dict[str, Any]) -> None:
    """Of many elements of float32, beside float64: 2 ulp each."""
    rng = rng_of("accuracy", tuple(options))
    count = 1 << 20
    x = (rng.normal(size=count) * rng.choice([0.05, 1, 5, 20], count)).astype(np.float32)
    y = labels(rng, count)
    if options.get("weight") is True:
        options = {"weight": np.exp2(rng.uniform(-18, 18, count))}
    losses, grad = logitkit.binary_cross_entropy_with_logits_and_grad(
        x, y, reduction="none", **options
    )
    weight = options.get("weight", 1.0) * np.where(y == 1, options.get("pos_weight", 1.0), 1.0)
    z = np.where(y == 1, -x, x).astype(np.float64)
    e = np.exp(-np.abs(z))
    want = weight * (np.maximum(z, 0) + np.log1p(e))
    slope = weight * np.where(z >= 0, 1 / (1 + e), e / (1 + e)) * np.where(y == 1, -1, 1)
    assert ulps(losses, want.tolist(), np.float32).max() <= 2
    assert ulps(grad, slope.tolist(), np.float32).max() <= 2


@pytest.mark.parametrize("of", [np.float16, ml_dtypes.bfloat16, np.float32])
def test_peak_memory(of: Any) -> None:  # noqa: ANN401
    """Weights and targets of other types are not converted as a whole."""
    x: Array = np.zeros((2048, 4096), of)
    out = np.empty_like(x)
    y, longs = np.zeros(x.shape, bool), np.zeros(x.shape, np.int64)
    soft = np.full(x.shape, 0.3)
    column, row = np.full((2048, 1), 0.3), np.full(4096, 1.7)
    both = logitkit.binary_cross_entropy_with_logits_and_grad
    calls: tuple[Callable[[], object], ...] = (
        lambda: both(x, y, out=out),
        lambda: both(x, longs, out=out),
        lambda: both(x, soft, out=out),
        lambda: both(x, y, weight=0.3, out=out),
        lambda: both(x, y, pos_weight=1.7, out=out),
        lambda: both(x, longs, weight=column, pos_weight=row, out=out),
        lambda: both(x, y, weight=soft, out=out),
        lambda: logitkit.binary_cross_entropy_with_logits(x, soft, weight=soft),
        lambda: logitkit.binary_cross_entropy(x, soft, weight=row),
    )
    for call in calls:
        call()
        assert peak(call) <= 8 << 20


@pytest.mark.parametrize("layout", ["reversed", "apart", "columns", "swapped"])
def test_layouts(layout: str, dtype: Float) -> None:
    """What is read as it is lies anywhere, too."""
    rng = rng_of("layouts", layout)
    x = random_logits(rng, (37, 70), dtype)
    given = {
        "longs": labels(rng, x.shape, np.int64),
        "bools": labels(rng, x.shape, np.bool_),
        "doubles": rng.random(x.shape),
    }
    weight = rng.uniform(0.5, 2, x.shape)

    def moved(array: Array) -> Array:
        if layout == "reversed":
            return array[::-1, ::-1].copy()[::-1, ::-1]
        if layout == "apart":
            return np.repeat(array, 3, axis=1)[:, ::3]
        if layout == "columns":
            return np.asfortranarray(array)
        return array.astype(array.dtype.newbyteorder())

    both = logitkit.binary_cross_entropy_with_logits_and_grad
    for targets in given.values():
        want = both(x, targets, weight=weight, reduction="none")
        got = both(x, moved(targets), weight=moved(weight), reduction="none")
        for ours, due in zip(got, want, strict=True):
            np.testing.assert_array_equal(ours, due)
