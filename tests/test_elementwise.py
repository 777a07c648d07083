"""sigmoid, log_sigmoid and softplus against the reference."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import logitkit
from tests import reference
from tests.support import (
    PLAIN,
    Array,
    Float,
    check,
    check_out,
    random_logits,
    shape_id,
)

FUNCTIONS: list[tuple[Callable[..., Any], Callable[[float], float]]] = [
    (logitkit.sigmoid, reference.sigmoid),
    (logitkit.log_sigmoid, reference.log_sigmoid),
    (logitkit.softplus, reference.softplus),
]
by_function = pytest.mark.parametrize(
    "function, expected", FUNCTIONS, ids=["sigmoid", "log_sigmoid", "softplus"]
)


def results(expected: Callable[[float], float], x: Array) -> list[float]:
    """Apply the reference to each element."""
    return [expected(value) for value in x.astype(np.float64).reshape(-1).tolist()]


@by_function
@pytest.mark.parametrize(
    "shape",
    [(0,), (1,), (7,), (16,), (33,), (4099,), (5, 6), (0, 3), (33, 65), (2, 3, 4, 5)],
    ids=shape_id,
)
def test_shapes(
    rng: np.random.Generator,
    dtype: Float,
    shape: tuple[int, ...],
    function: Callable[..., Any],
    expected: Callable[[float], float],
) -> None:
    """Every shape agrees with the reference."""
    x = random_logits(rng, shape, dtype)
    check(function(x), results(expected, x), dtype, shape, float64=PLAIN)


@by_function
def test_wide_range(
    dtype: Float, function: Callable[..., Any], expected: Callable[[float], float]
) -> None:
    """Every exponent, subnormal numbers and results included."""
    info = np.finfo(dtype)
    powers = dtype(2.0) ** np.arange(int(info.minexp), int(info.maxexp), dtype=dtype)
    near_the_limits = np.linspace(-760.0, 760.0, 3041).astype(dtype)
    edges = np.array([0.0, info.smallest_subnormal, info.tiny, info.max], dtype=dtype)
    x = np.concatenate([powers, -powers, dtype(1.3) * powers, near_the_limits, edges, -edges])
    check(function(x), results(expected, x), dtype, x.shape, float64=PLAIN)


@pytest.mark.parametrize(
    "x, sigmoid, log_sigmoid, softplus",
    [
        (np.nan, np.nan, np.nan, np.nan),
        (np.inf, 1.0, 0.0, np.inf),
        (-np.inf, 0.0, -np.inf, 0.0),
        (0.0, 0.5, -np.log(2.0), np.log(2.0)),
        (-0.0, 0.5, -np.log(2.0), np.log(2.0)),
    ],
)
@pytest.mark.parametrize("size", [1, 5, 16, 37])
def test_special_values(
    dtype: Float, x: float, sigmoid: float, log_sigmoid: float, softplus: float, size: int
) -> None:
    """NaN, inf and 0, in a full vector and in what is left over; neighbours are untouched."""
    array = np.full(size, 1.5, dtype=dtype)
    array[:: max(1, size - 1)] = x
    special = np.isin(np.arange(size), np.arange(size)[:: max(1, size - 1)])
    wants = (sigmoid, log_sigmoid, softplus)
    for (function, expected), want in zip(FUNCTIONS, wants, strict=True):
        due = [want if chosen else expected(1.5) for chosen in special]
        check(function(array), due, dtype, (size,), float64=PLAIN)


@by_function
def test_numbers(function: Callable[..., Any], expected: Callable[[float], float]) -> None:
    """A number, or a 0-d array, gives a single value."""
    for x in (-2.5, np.float64(-2.5), np.array(-2.5)):
        got = function(x)
        assert np.shape(got) == ()
        check(np.atleast_1d(got), [expected(-2.5)], np.float64, float64=PLAIN)


@by_function
@pytest.mark.parametrize("kind", ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_integers_become_float64(
    kind: str, function: Callable[..., Any], expected: Callable[[float], float]
) -> None:
    """Integers and bools are computed in float64; lists are taken too."""
    x = np.array([[0, 1, 2], [100, 7, 0]]).astype(kind)
    check(function(x), results(expected, x), np.float64, x.shape, float64=PLAIN)
    check(function(x.tolist()), results(expected, x), np.float64, x.shape, float64=PLAIN)


@by_function
@pytest.mark.parametrize("shape", [(7,), (5, 33), (3, 4, 5)])
def test_out(
    rng: np.random.Generator,
    dtype: Float,
    shape: tuple[int, ...],
    function: Callable[..., Any],
    expected: Callable[[float], float],
) -> None:
    """The array given as `out` comes back, filled; it may be the input."""
    x = random_logits(rng, shape, dtype)
    check_out(lambda x, out: function(x, out=out), x, results(expected, x))


def test_identities(rng: np.random.Generator, dtype: Float) -> None:
    """softplus(x) is -log_sigmoid(-x); sigmoid is the softmax of (x, 0)."""
    x = random_logits(rng, (200,), dtype)
    mirrored = (-logitkit.log_sigmoid(-x)).tolist()
    check(logitkit.softplus(x), mirrored, dtype, (200,), float32=4.0, float64=4.0)
    pairs = logitkit.softmax(np.stack([x, np.zeros_like(x)], axis=-1))
    check(logitkit.sigmoid(x), pairs[:, 0].tolist(), dtype, (200,), float32=4.0, float64=4.0)
