"""linear, the fully connected layer, against the reference."""

import numpy as np
import pytest

import logitkit
from tests import reference
from tests.support import (
    Array,
    Float,
    check,
    result_dtype,
    rows_of,
    shape_id,
)


def check_linear(x: Array, weight: Array, bias: Array | None) -> None:
    """Compare with the reference: the bound is that of the largest term of each sum."""
    rows = rows_of(x.astype(np.float64))
    weights = rows_of(weight.astype(np.float64))
    biases = None if bias is None else bias.astype(np.float64).tolist()
    want = [total for row in reference.linear(rows, weights, biases) for total in row]
    shape = (*x.shape[:-1], weight.shape[0])
    check(logitkit.linear(x, weight, bias), want, result_dtype(x), shape)


@pytest.mark.parametrize("biased", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize("features", [1, 2, 3, 17, 64, 300])
@pytest.mark.parametrize("classes", [1, 2, 10, 33])
def test_sizes(
    rng: np.random.Generator, dtype: Float, features: int, classes: int, biased: bool
) -> None:
    """X @ weight.T + bias, for one row and for several."""
    weight = rng.normal(size=(classes, features)).astype(dtype)
    bias = rng.normal(size=classes).astype(dtype) if biased else None
    for rows in (1, 6):
        check_linear(rng.normal(size=(rows, features)).astype(dtype), weight, bias)


@pytest.mark.parametrize("leading", [(), (1,), (2, 3), (2, 1, 4), (0,), (3, 0)], ids=shape_id)
def test_leading_axes(rng: np.random.Generator, dtype: Float, leading: tuple[int, ...]) -> None:
    """The layer acts on the last axis, whatever stands before it."""
    weight, bias = rng.normal(size=(4, 5)).astype(dtype), rng.normal(size=4).astype(dtype)
    x = rng.normal(size=(*leading, 5)).astype(dtype)
    check_linear(x, weight, bias)
    check_linear(x, weight, None)


def test_no_features(dtype: Float) -> None:
    """Without features the bias is left, or 0."""
    x, weight = np.zeros((3, 0), dtype=dtype), np.zeros((2, 0), dtype=dtype)
    assert logitkit.linear(x, weight).tolist() == [[0.0, 0.0]] * 3
    assert logitkit.linear(x, weight, np.array([1.5, -2.0], dtype)).tolist() == [[1.5, -2.0]] * 3


def test_layouts(rng: np.random.Generator, dtype: Float) -> None:
    """Transposed and strided arguments give the same layer."""
    x, weight, bias = (rng.normal(size=shape).astype(dtype) for shape in ((6, 17), (10, 17), (10,)))
    for layout in (np.asfortranarray, lambda a: np.repeat(a, 2, axis=0)[::2], lambda a: a[::-1]):
        check_linear(layout(x), layout(weight), layout(bias))


def test_cancellation(dtype: Float) -> None:
    """Sums are kept wider than the data: a small rest of large terms survives."""
    x = np.array([[1e4, 1.0, -1e4], [3e3, 1e-3, 3e3]], dtype=dtype)
    weight = np.array([[1e3, 0.5, 1e3], [1.0, 1.0, -1.0]], dtype=dtype)
    assert logitkit.linear(x, weight)[0, 0] == 0.5
    check_linear(x, weight, np.array([0.25, -0.5], dtype=dtype))


def test_exact_integers(dtype: Float) -> None:
    """Small whole numbers come out exactly."""
    x = np.arange(12, dtype=dtype).reshape(3, 4)
    weight = np.arange(8, dtype=dtype).reshape(2, 4) - 3
    want = [[sum(map(float.__mul__, r, w)) + 1.0 for w in rows_of(weight)] for r in rows_of(x)]
    assert logitkit.linear(x, weight, np.ones(2, dtype=dtype)).tolist() == want


@pytest.mark.parametrize("kind", ["?", "i1", "u1", "i4", "i8", "u8"])
def test_integers_and_lists(kind: str) -> None:
    """Integers, bools and lists become float64."""
    x, weight = np.array([[0, 1, 1], [1, 1, 0]]).astype(kind), np.array([[1, 0, 1], [0, 1, 1]])
    check_linear(x, weight.astype(kind), np.array([1, 0]).astype(kind))
    got = logitkit.linear([[1.0, 2.0]], [[3.0, 0.5]], [1])
    assert got.tolist() == [[5.0]]
    assert got.dtype == np.float64


def test_arguments_are_left_alone(rng: np.random.Generator, dtype: Float) -> None:
    """The result is memory of its own."""
    x, weight, bias = (rng.normal(size=shape).astype(dtype) for shape in ((4, 3), (2, 3), (2,)))
    before = [x.copy(), weight.copy(), bias.copy()]
    got = logitkit.linear(x, weight, bias)
    for argument, copy in zip((x, weight, bias), before, strict=True):
        np.testing.assert_array_equal(argument, copy)
        assert not np.shares_memory(got, argument)
