"""softmax, log_softmax, logsumexp and the two vjps against the reference.

Rows with NaN or inf are in test_special_values.py.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import logitkit
from tests import reference
from tests.support import (
    PLAIN,
    SHAPES,
    Array,
    Float,
    along,
    check,
    check_out,
    finite_differences,
    index_shape,
    placed,
    random_logits,
    rows_of,
    shape_id,
)

OUT_SHAPES = [((6,), 0), ((5, 33), 1), ((33, 5), 0), ((3, 10, 4), 1)]

SAME_SHAPE: list[tuple[Callable[..., Any], Callable[..., Any]]] = [
    (logitkit.softmax, reference.softmax),
    (logitkit.log_softmax, reference.log_softmax),
]
VJPS: list[tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]] = [
    (logitkit.softmax, logitkit.softmax_vjp, reference.softmax_vjp),
    (logitkit.log_softmax, logitkit.log_softmax_vjp, reference.log_softmax_vjp),
]
by_name = pytest.mark.parametrize("function, expected", SAME_SHAPE, ids=["softmax", "log_softmax"])
by_vjp = pytest.mark.parametrize("forward, vjp, expected", VJPS, ids=["softmax", "log_softmax"])

by_pair = pytest.mark.parametrize(
    "forward, vjp", [pair[:2] for pair in VJPS], ids=["softmax", "log_softmax"]
)
by_forward = pytest.mark.parametrize("function", [logitkit.softmax, logitkit.log_softmax])


def check_all(x: Array, axis: int) -> None:
    """Compare the three functions of logits with the reference."""
    dtype = x.dtype
    for function, expected in SAME_SHAPE:
        check(function(x, axis), along(expected, x, axis), dtype, x.shape, float64=PLAIN)
    sums = [reference.logsumexp(row) for row in rows_of(x, axis)]
    want = sums if x.ndim > 1 else sums[0]
    check(logitkit.logsumexp(x, axis), want, dtype, index_shape(x, axis), float64=PLAIN)
    kept = tuple(1 if i == axis % x.ndim else size for i, size in enumerate(x.shape))
    check(logitkit.logsumexp(x, axis, keepdims=True), sums, dtype, kept, float64=PLAIN)


@pytest.mark.parametrize("shape, axis", SHAPES, ids=shape_id)
def test_shapes(rng: np.random.Generator, dtype: Float, shape: tuple[int, ...], axis: int) -> None:
    """Every shape and axis agrees with the reference."""
    check_all(random_logits(rng, shape, dtype), axis)


@pytest.mark.parametrize("power", range(-40, 39, 6))
@pytest.mark.parametrize("axis", [0, 1])
def test_magnitudes(rng: np.random.Generator, dtype: Float, power: int, axis: int) -> None:
    """Logits of every size, from subnormal to the largest, overflow nothing."""
    check_all((rng.uniform(-1.0, 1.0, size=(13, 13)) * 3.0 * 10.0**power).astype(dtype), axis)


def test_largest_numbers(dtype: Float) -> None:
    """The ends of the range give 1 and 0, and a log of -inf only where it overflows."""
    top = np.finfo(dtype).max
    x = np.array([[top, top, 1.0], [top, -top, 0.0], [-top, -top, -top], [0.0, -top, top]], dtype)
    with np.errstate(over="ignore"):
        check_all(x, -1)


@pytest.mark.parametrize("lead", [15.0, 30.0, 80.0, 100.0, 700.0])
@pytest.mark.parametrize("classes", [2, 17, 1000])
def test_confident_rows(dtype: Float, lead: float, classes: int) -> None:
    """The log of the top class keeps its digits when the class leads by far."""
    x = np.zeros((3, classes), dtype=dtype)
    x[:, -1] = lead
    x[1] += dtype(100.0)
    x[2] = x[2, ::-1]
    check_all(x, -1)
    assert (logitkit.log_softmax(x)[:2, -1] < 0).all() or lead > 100


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("classes", [1, 2, 3, 5, 16, 17, 100])
def test_probabilities_are_at_most_one(
    rng: np.random.Generator, dtype: Float, classes: int, axis: int
) -> None:
    """Each value lies in [0, 1]: a certain class is not rounded beyond it."""
    spread = rng.choice([1.0, 10.0, 30.0, 100.0], size=(8000, 1))
    x = (rng.normal(size=(8000, classes)) * spread).astype(dtype)
    probs = logitkit.softmax(x if axis else np.ascontiguousarray(x.T), axis)
    assert probs.min() >= 0
    assert probs.max() <= 1


@pytest.mark.parametrize("value", [0.0, -3.5, 88.75, 1e4, -1e4])
@pytest.mark.parametrize("classes", [1, 2, 16, 1000])
def test_ties(dtype: Float, value: float, classes: int) -> None:
    """Equal logits share the probability evenly."""
    check_all(np.full((2, classes), value, dtype=dtype), -1)


def test_logsumexp_near_zero(rng: np.random.Generator, dtype: Float) -> None:
    """Where maximum and log cancel, the bound is that of the larger of the two."""
    probs = rng.dirichlet(np.full(6, 0.5), size=200) + 1e-30
    check_all(np.log(probs).astype(dtype), -1)


@pytest.mark.parametrize("axis", [0, 1, -1, np.int64(1)])
def test_axis_by_position_and_keyword(rng: np.random.Generator, axis: int) -> None:
    """The axis may be given either way, and be a NumPy integer; the default is the last."""
    x = random_logits(rng, (4, 5))
    functions: list[Callable[..., Any]] = [
        logitkit.softmax,
        logitkit.log_softmax,
        logitkit.logsumexp,
    ]
    for function in functions:
        np.testing.assert_array_equal(function(x, axis), function(x, axis=axis))
        np.testing.assert_array_equal(function(x), function(x, axis=-1))


@pytest.mark.parametrize("kind", ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_integers_become_float64(kind: str) -> None:
    """Integers and bools are computed in float64."""
    x = np.array([[0, 1, 1, 0], [1, 1, 1, 0], [100, 3, 120, 7]]).astype(kind)
    wide = x.astype(np.float64)
    for function, expected in SAME_SHAPE:
        check(function(x), along(expected, wide), np.float64, x.shape, float64=PLAIN)
    want = [reference.logsumexp(row) for row in rows_of(wide)]
    check(logitkit.logsumexp(x), want, np.float64, (3,), float64=PLAIN)


@pytest.mark.parametrize("x", [[1, 2, 4], (0.5, -0.5, 3.0), [[1.0, 2.0], [3.0, 5.0]]])
def test_lists(x: Any) -> None:  # noqa: ANN401
    """Lists and tuples are taken as `np.asarray` takes them."""
    array = np.asarray(x, dtype=np.float64)
    for function, expected in SAME_SHAPE:
        check(function(x), along(expected, array), np.float64, array.shape, float64=PLAIN)
    np.testing.assert_array_equal(logitkit.logsumexp(x), logitkit.logsumexp(array))


@by_name
@pytest.mark.parametrize("shape, axis", OUT_SHAPES, ids=shape_id)
def test_out(
    rng: np.random.Generator,
    dtype: Float,
    shape: tuple[int, ...],
    axis: int,
    function: Callable[..., Any],
    expected: Callable[..., Any],
) -> None:
    """The array given as `out` comes back, filled; it may be the input."""
    x = random_logits(rng, shape, dtype)
    check_out(lambda x, out: function(x, axis, out=out), x, along(expected, x, axis))


@by_forward
def test_input_is_left_alone(rng: np.random.Generator, function: Callable[..., Any]) -> None:
    """Without `out`, the input keeps its values and the result is memory of its own."""
    x = random_logits(rng, (4, 5))
    before = x.copy()
    got = function(x)
    np.testing.assert_array_equal(x, before)
    assert not np.shares_memory(got, x)


# Gradients


def expected_vjp(
    expected: Callable[..., Any], saved: Array, cotangent: Array, axis: int
) -> list[float]:
    """Give the reference's gradient as a flat list."""
    pairs = zip(rows_of(saved, axis), rows_of(cotangent, axis), strict=True)
    return placed([expected(*pair) for pair in pairs], saved, axis)


@by_vjp
@pytest.mark.parametrize("shape, axis", SHAPES, ids=shape_id)
def test_vjp_shapes(
    rng: np.random.Generator,
    dtype: Float,
    shape: tuple[int, ...],
    axis: int,
    forward: Callable[..., Any],
    vjp: Callable[..., Any],
    expected: Callable[..., Any],
) -> None:
    """Every shape and axis agrees with the reference."""
    saved = forward(random_logits(rng, shape, dtype), axis)
    cotangent = rng.normal(size=shape).astype(dtype)
    want = expected_vjp(expected, saved, cotangent, axis)
    check(vjp(saved, cotangent, axis), want, dtype, shape)


@by_pair
@pytest.mark.parametrize("axis", [0, 1])
def test_vjp_is_the_derivative(
    rng: np.random.Generator, axis: int, forward: Callable[..., Any], vjp: Callable[..., Any]
) -> None:
    """Finite differences of the forward function agree."""
    x, cotangent = rng.normal(size=(2, 4, 5))
    want = finite_differences(lambda x: float((forward(x, axis) * cotangent).sum()), x)
    got = vjp(forward(x, axis), cotangent, axis=axis)
    np.testing.assert_allclose(got, want, rtol=1e-7, atol=1e-8)


@by_vjp
def test_vjp_of_certain_rows(
    dtype: Float,
    forward: Callable[..., Any],
    vjp: Callable[..., Any],
    expected: Callable[..., Any],
) -> None:
    """Probabilities of exactly 0 and 1 (logs of -inf and 0) are nothing special."""
    saved = forward(np.array([[0.0, -np.inf, -np.inf], [-np.inf, 1.0, 1.0]], dtype=dtype))
    cotangent = np.array([[3.0, -1.0, 0.5], [0.25, 2.0, -7.0]], dtype=dtype)
    want = expected_vjp(expected, saved, cotangent, -1)
    check(vjp(saved, cotangent), want, dtype, (2, 3))


@by_vjp
@pytest.mark.parametrize("shape, axis", OUT_SHAPES, ids=shape_id)
def test_vjp_out(
    rng: np.random.Generator,
    dtype: Float,
    shape: tuple[int, ...],
    axis: int,
    forward: Callable[..., Any],
    vjp: Callable[..., Any],
    expected: Callable[..., Any],
) -> None:
    """The array given as `out` comes back, filled; it may be either argument."""
    saved = forward(random_logits(rng, shape, dtype), axis)
    cotangent = rng.normal(size=shape).astype(dtype)
    want = expected_vjp(expected, saved, cotangent, axis)
    check_out(lambda p, out: vjp(p, cotangent, axis, out=out), saved, want)
    check_out(lambda g, out: vjp(saved, g, axis, out=out), cotangent, want)


@by_vjp
def test_vjp_of_integers_and_lists(
    forward: Callable[..., Any], vjp: Callable[..., Any], expected: Callable[..., Any]
) -> None:
    """Lists and integers become float64."""
    saved = forward([1.0, 2.0, 4.0])
    want = expected(saved.tolist(), [1.0, 0.0, -2.0])
    check(vjp(saved.tolist(), [1, 0, -2]), want, np.float64, (3,))
    check(vjp(saved, np.array([1, 0, -2], dtype=np.int8)), want, np.float64, (3,))
