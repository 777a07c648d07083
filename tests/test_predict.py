"""top_k, accuracy and perplexity against the reference."""

from typing import Any

import numpy as np
import pytest

import logitkit
from tests import reference
from tests.support import (
    INTEGERS,
    SHAPES,
    Array,
    Float,
    check,
    index_shape,
    random_indices,
    random_logits,
    result_dtype,
    rows_of,
    shape_id,
    targets_of,
)

by_shape = pytest.mark.parametrize("shape, axis", SHAPES, ids=shape_id)


def check_top_k(x: Array, k: int, axis: int = -1) -> None:
    """Compare values and indices with the reference, exactly."""
    values, indices = logitkit.top_k(x, k, axis)
    pairs = [reference.top_k(row, k) for row in rows_of(x.astype(np.float64), axis)]
    shape = list(x.shape)
    shape[axis] = k
    assert values.dtype == result_dtype(x)
    assert indices.dtype == np.int64
    assert values.shape == indices.shape == tuple(shape)
    got = zip(rows_of(values, axis), rows_of(indices, axis), strict=True)
    for (row_values, row_indices), (want_values, want_indices) in zip(got, pairs, strict=True):
        assert row_indices == want_indices
        np.testing.assert_array_equal(row_values, want_values)


@by_shape
def test_top_k_shapes(
    rng: np.random.Generator, dtype: Float, shape: tuple[int, ...], axis: int
) -> None:
    """Every shape and axis, few of the classes and all of them."""
    x = random_logits(rng, shape, dtype)
    for k in sorted({0, 1, 2, 5, 40, shape[axis]}):
        if k <= shape[axis]:
            check_top_k(x, k, axis)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("classes", [2, 10, 33, 300])
def test_top_k_ties(rng: np.random.Generator, dtype: Float, classes: int, axis: int) -> None:
    """Equal values come by lowest index; 0 and -0 are equal."""
    shape = (20, classes) if axis else (classes, 20)
    x = rng.choice(np.array([-0.0, 0.0, 1.0, -1.0, 2.0], dtype=dtype), size=shape)
    for k in (1, 2, classes // 2, classes):
        check_top_k(x, k, axis)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("classes", [3, 17, 130])
def test_top_k_special_values(
    rng: np.random.Generator, dtype: Float, classes: int, axis: int
) -> None:
    """NaN counts as largest, before +inf; -inf is last; equals by lowest index."""
    shape = (20, classes) if axis else (classes, 20)
    x = rng.choice(np.array([np.nan, np.inf, -np.inf, 0.5], dtype=dtype), size=shape)
    for k in (1, 2, classes):
        check_top_k(x, k, axis)


@pytest.mark.parametrize(
    "classes", [*range(36), 63, 64, 65, 127, 128, 129, 143, 191, 255, 257, 513, 1000, 1031]
)
def test_top_k_of_every_length(rng: np.random.Generator, dtype: Float, classes: int) -> None:
    """Ends of vectors, few and many of the classes; distinct values, ties, and NaN among them."""
    ties = rng.choice(np.array([0.5, -1.0, 2.0, -np.inf], dtype=dtype), size=(3, classes))
    mixed = np.where(
        rng.random((3, classes)) < 0.1, np.nan, random_logits(rng, (3, classes), dtype)
    )
    ascending = np.arange(classes, dtype=dtype)
    x = np.vstack([ties, mixed, [ascending], [-ascending], np.full((1, classes), -np.inf)])
    for k in {0, 1, 2, 5, 16, 32, 33, 64, 65, classes // 8, classes - 1, classes}:
        if 0 <= k <= classes:
            check_top_k(x.astype(dtype), k)


def test_top_k_by_hand(dtype: Float) -> None:
    """The order stated in full, once."""
    x = np.array([1.0, np.nan, -np.inf, np.inf, 1.0, np.nan], dtype=dtype)
    values, indices = logitkit.top_k(x, 6)
    assert indices.tolist() == [1, 5, 3, 0, 4, 2]
    np.testing.assert_array_equal(values, [np.nan, np.nan, np.inf, 1.0, 1.0, -np.inf])


@pytest.mark.parametrize("kind", ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_top_k_of_integers(kind: str) -> None:
    """Integers and bools become float64; lists are taken too."""
    x = np.array([[0, 1, 1, 0], [7, 3, 100, 7]]).astype(kind)
    check_top_k(x, 3)
    values, indices = logitkit.top_k(x.tolist(), 2)
    assert values.dtype == np.float64
    assert indices.tolist() == [reference.top_k(row, 2)[1] for row in x.tolist()]


def test_top_k_leaves_its_input_alone(rng: np.random.Generator, dtype: Float) -> None:
    """The values are a copy."""
    x = random_logits(rng, (4, 10), dtype)
    before = x.copy()
    values, _ = logitkit.top_k(x, 10)
    values[...] = 0.0
    np.testing.assert_array_equal(x, before)


# accuracy


def check_accuracy(x: Array, targets: Array, axis: int = -1, **options: Any) -> None:  # noqa: ANN401
    """Compare with the reference; the share of a count of rows is exact but for its rounding."""
    rows = rows_of(x.astype(np.float64), axis)
    want = reference.accuracy(rows, targets_of(targets, x, axis), **options)
    check(logitkit.accuracy(x, targets, axis=axis, **options), want, np.float64, float64=1.0)


@by_shape
def test_accuracy_shapes(
    rng: np.random.Generator, dtype: Float, shape: tuple[int, ...], axis: int
) -> None:
    """Every shape and axis, for one guess and for several."""
    x = random_logits(rng, shape, dtype)
    targets = random_indices(rng, shape, axis)
    for k in {1, min(2, shape[axis]), min(5, shape[axis]), shape[axis]}:
        check_accuracy(x, targets, axis, k=k)


@pytest.mark.parametrize("kind", INTEGERS)
@pytest.mark.parametrize("ignored", [None, 2, -100, 255])
def test_accuracy_targets(
    rng: np.random.Generator, dtype: Float, kind: str, ignored: int | None
) -> None:
    """Targets of any integer dtype, with and without rows left out."""
    x = random_logits(rng, (40, 5), dtype)
    targets = random_indices(rng, x.shape, -1, kind)
    check_accuracy(x, targets, k=1, ignore_index=ignored)
    if ignored is not None and np.iinfo(kind).min <= ignored <= np.iinfo(kind).max:
        targets[::3] = ignored
        check_accuracy(x, targets, k=3, ignore_index=ignored)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_accuracy_of_ties_and_special_values(
    rng: np.random.Generator, dtype: Float, k: int
) -> None:
    """A tie goes to the lowest index, and NaN to the front, as in top_k."""
    x = rng.choice(np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0], dtype=dtype), size=(200, 4))
    check_accuracy(x, random_indices(rng, x.shape, -1), k=k)


def test_accuracy_by_hand(dtype: Float) -> None:
    """Two of four rows are right at once, three among two guesses."""
    x = np.array([[3, 2, 1], [1, 2, 2], [0, 5, 4], [1, 1, 1]], dtype=dtype)
    targets = [0, 1, 2, 2]
    assert logitkit.accuracy(x, targets) == 0.5
    assert logitkit.accuracy(x, targets, k=2) == 0.75
    assert logitkit.accuracy(x, targets, k=3) == 1.0
    assert logitkit.accuracy(x, targets, k=0) == 0.0
    assert logitkit.accuracy(x, targets, ignore_index=2) == 1.0
    assert logitkit.accuracy(x.tolist(), targets) == 0.5
    assert logitkit.accuracy(x[0], 0) == 1.0


@pytest.mark.parametrize("shape, axis", [((0, 5), -1), ((5, 0), 0), ((2, 5, 0), 1)])
def test_accuracy_of_no_rows(dtype: Float, shape: tuple[int, ...], axis: int) -> None:
    """No rows, or none kept: nan."""
    x = np.zeros(shape, dtype=dtype)
    targets = np.zeros(index_shape(x, axis), dtype=np.int64)
    assert np.isnan(logitkit.accuracy(x, targets, axis=axis))
    assert np.isnan(logitkit.accuracy(np.eye(3, dtype=dtype), [-1, -1, -1], ignore_index=-1))


# perplexity


def check_perplexity(x: Array, targets: Array, axis: int = -1, **options: Any) -> None:  # noqa: ANN401
    """Compare with the reference: the exponential makes an error of the mean a relative one."""
    rows = rows_of(x.astype(np.float64), axis)
    want = reference.perplexity(rows, targets_of(targets, x, axis), **options)
    got = logitkit.perplexity(x, targets, axis=axis, **options)
    assert isinstance(got, np.float64)
    mean = float(np.log(want)) if 0 < want < np.inf else 0.0
    bound = (2.0 + 2.0 * mean) * float(np.finfo(result_dtype(x)).eps)
    extra = 0.0 if result_dtype(x) == np.float32 else 4.0 * bound  # what the reference may be off
    np.testing.assert_allclose(got, want, rtol=bound + extra)


@by_shape
def test_perplexity_shapes(
    rng: np.random.Generator, dtype: Float, shape: tuple[int, ...], axis: int
) -> None:
    """Every shape and axis."""
    x = rng.normal(size=shape).astype(dtype) * dtype(3.0)
    check_perplexity(x, random_indices(rng, shape, axis), axis)


@pytest.mark.parametrize("kind", INTEGERS)
@pytest.mark.parametrize("ignored", [None, 2, -100])
def test_perplexity_targets(
    rng: np.random.Generator, dtype: Float, kind: str, ignored: int | None
) -> None:
    """Targets of any integer dtype, with and without rows left out."""
    x = rng.normal(size=(30, 7)).astype(dtype)
    targets = random_indices(rng, x.shape, -1, kind)
    check_perplexity(x, targets, ignore_index=ignored)


def test_perplexity_of_ties_is_the_number_of_classes(dtype: Float) -> None:
    """Equal logits leave as many guesses as there are classes."""
    got = logitkit.perplexity(np.zeros((4, 10), dtype=dtype), [0, 3, 5, 9])
    assert got == pytest.approx(10.0, rel=1e-6 if dtype is np.float32 else 1e-14)


def test_perplexity_at_the_ends(dtype: Float) -> None:
    """No rows: nan. An impossible target, or a mean above the range of exp: inf."""
    assert np.isnan(logitkit.perplexity(np.zeros((0, 3), dtype=dtype), np.zeros(0, dtype=np.int8)))
    assert np.isnan(logitkit.perplexity(np.zeros((1, 3), dtype=dtype), [7], ignore_index=7))
    assert logitkit.perplexity(np.array([[0.0, -np.inf]], dtype=dtype), [1]) == np.inf
    assert logitkit.perplexity(np.array([[0.0, 1e4]], dtype=dtype), [0]) == np.inf
    assert np.isnan(logitkit.perplexity(np.array([[0.0, np.nan]], dtype=dtype), [0]))
    check_perplexity(np.array([[0.0, 600.0]], dtype=dtype), np.array([0]))


@pytest.mark.parametrize("kind", ["?", "i1", "u1", "i8"])
def test_perplexity_of_integers_and_lists(kind: str) -> None:
    """Integers, bools and lists become float64."""
    x = np.array([[0, 1, 1], [1, 0, 0]]).astype(kind)
    check_perplexity(x, np.array([2, 0]))
    want = reference.perplexity([[0.0, 1.0, 1.0]], [2])
    assert logitkit.perplexity([[0, 1, 1]], [2]) == pytest.approx(want, rel=1e-15)
