"""Every way in which rows are taken: one at a time, in tiles, side by side; and where it changes.

Few classes go through tiles of 64 rows, one row to a lane of a vector; so do classes that lie
apart. The numbers of rows and classes here stand around each of these limits and around the length
of a vector.
"""

from typing import Any

import numpy as np
import pytest

import logitkit
from tests import reference
from tests.support import (
    OPTIONS,
    PLAIN,
    Array,
    Float,
    check,
    check_loss,
    expected_loss,
    index_shape,
    placed,
    random_indices,
    random_logits,
    rng_of,
    rows_of,
)

# A tile has 64 rows, and takes 8 at least; a vector has 16 lanes of float32 and 8 of float64.
ROWS = (1, 7, 8, 9, 63, 64, 65, 130)
CLASSES = (*range(1, 34), 127, 128, 129)

# How rows lie: row behind row, side by side, with gaps between rows, and between elements.
LAYOUTS = ("rows", "side by side", "rows apart", "elements apart")


def arranged(x: Array, layout: str) -> Array:
    """Give a view of a copy of `x`, of shape (rows, classes), that lies in memory as named."""
    if layout == "side by side":
        return np.asfortranarray(x)
    if layout == "rows apart":
        return np.repeat(x, 2, axis=0)[::2]
    if layout == "elements apart":
        return np.repeat(x, 3, axis=1)[:, ::3]
    return x.copy()


def check_all(x: Array, targets: Array, axis: int) -> None:
    """Compare softmax, log_softmax, logsumexp and cross entropy with the reference."""
    rows = rows_of(x.astype(np.float64), axis)
    for name in ("softmax", "log_softmax"):
        want = placed([getattr(reference, name)(row) for row in rows], x, axis)
        check(getattr(logitkit, name)(x, axis), want, x.dtype, x.shape, float64=PLAIN)
        out = np.full_like(x, 7)
        assert getattr(logitkit, name)(x, axis, out=out) is out
        check(out, want, x.dtype, x.shape, float64=PLAIN)
        in_place = x.copy(order="K")
        getattr(logitkit, name)(in_place, axis, out=in_place)
        check(in_place, want, x.dtype, x.shape, float64=PLAIN)
    sums = [reference.logsumexp(row) for row in rows]
    check(logitkit.logsumexp(x, axis), sums, x.dtype, index_shape(x, axis), float64=PLAIN)
    check_loss("cross_entropy", x, targets, axis, reduction="none")
    check_loss("cross_entropy", x, targets, axis)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("classes", CLASSES)
def test_classes(classes: int, layout: str, dtype: Float) -> None:
    rng = rng_of(classes, layout, dtype)
    x = random_logits(rng, (67, classes), dtype)
    check_all(arranged(x, layout), random_indices(rng, x.shape, 1), 1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rows", ROWS)
def test_rows(rows: int, layout: str, dtype: Float) -> None:
    rng = rng_of(rows, layout, dtype)
    for classes in (2, 5, 16, 130):
        x = random_logits(rng, (rows, classes), dtype)
        check_all(arranged(x, layout), random_indices(rng, x.shape, 1), 1)


@pytest.mark.parametrize("inner", [1, 7, 8, 63, 65])
@pytest.mark.parametrize("classes", [1, 3, 21, 130])
def test_runs_of_rows_side_by_side(inner: int, classes: int, dtype: Float) -> None:
    rng = rng_of(inner, classes, dtype)
    x = random_logits(rng, (3, classes, inner), dtype)
    check_all(x, random_indices(rng, x.shape, 1), 1)


# Up to four tiles of rows that lie side by side are filled together: fewer of more classes.
@pytest.mark.parametrize("inner", [64, 127, 128, 129, 193, 255, 256, 257, 511, 512, 513, 1090])
@pytest.mark.parametrize("classes", [2, 3, 31, 32, 33, 128])
def test_groups_of_tiles(inner: int, classes: int, dtype: Float) -> None:
    """Rows side by side give the bits of the same rows one behind the other."""
    rng = rng_of(inner, classes)
    x = random_logits(rng, (3, classes, inner), dtype)
    targets = random_indices(rng, x.shape, 1)
    behind = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    for name in ("softmax", "log_softmax"):
        want = np.moveaxis(getattr(logitkit, name)(behind), -1, 1)
        np.testing.assert_array_equal(getattr(logitkit, name)(x, 1), want)
        in_place = x.copy()
        getattr(logitkit, name)(in_place, 1, out=in_place)
        np.testing.assert_array_equal(in_place, want)
        # From rows behind one another to rows side by side, and back.
        out = np.full_like(x, 7)
        getattr(logitkit, name)(behind, out=np.moveaxis(out, 1, -1))
        np.testing.assert_array_equal(out, want)
        back = np.full_like(behind, 7)
        getattr(logitkit, name)(np.moveaxis(x, 1, -1), out=back)
        np.testing.assert_array_equal(np.moveaxis(back, -1, 1), want)
    np.testing.assert_array_equal(logitkit.logsumexp(x, 1), logitkit.logsumexp(behind))
    losses, grad = logitkit.cross_entropy_and_grad(x, targets, axis=1, reduction="none")
    wanted, wanted_grad = logitkit.cross_entropy_and_grad(behind, targets, reduction="none")
    np.testing.assert_array_equal(losses, wanted)
    np.testing.assert_array_equal(np.moveaxis(grad, 1, -1), wanted_grad)


@pytest.mark.parametrize("classes", [3, 40, 200])
@pytest.mark.parametrize("start", range(5))
def test_unaligned_starts(start: int, classes: int, dtype: Float) -> None:
    """A start in the middle of a cache line gives the same bits."""
    rng = rng_of(start, classes)
    x = random_logits(rng, (70, classes), dtype)
    targets = random_indices(rng, x.shape, 1)
    moved = np.empty(x.size + start, dtype)[start:].reshape(x.shape)
    moved[:] = x
    for array, out in ((x, None), (moved, moved.copy())):
        loss, grad = logitkit.cross_entropy_and_grad(array, targets, out=out)
        if out is None:
            wanted_loss, wanted_grad = loss, grad
    assert loss == wanted_loss
    np.testing.assert_array_equal(grad, wanted_grad)


OPTIONS_OF_TILES: tuple[dict[str, Any], ...] = (
    {"ignore_index": 1},
    {"z_loss": 0.0625},
    {"weight": True},
    {"sample_weight": True},
    {"ignore_index": 1, "z_loss": 0.5, "weight": True, "sample_weight": True},
)


@pytest.mark.parametrize("options", OPTIONS_OF_TILES, ids="+".join)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_options(options: dict[str, Any], reduction: str, dtype: Float) -> None:
    rng = rng_of(tuple(options), reduction)
    for shape in ((70, 5), (3, 5, 66), (70, 140)):
        x = random_logits(rng, shape, dtype)
        targets = random_indices(rng, shape, 1)
        chosen = dict(options, reduction=reduction)
        if "weight" in options:
            chosen["weight"] = rng.integers(0, 3, shape[1]).astype(dtype)
        if "sample_weight" in options:
            chosen["sample_weight"] = rng.integers(0, 3, targets.shape).astype(dtype)
        check_loss("cross_entropy", x, targets, 1, **chosen)


@pytest.mark.parametrize("size", [1e-30, 1e-12, 1e12])
def test_sample_weights_of_any_size(size: float, dtype: Float) -> None:
    """The factor of a row's gradient is far from 1, and has all its bits."""
    rng = rng_of(size)
    for shape in ((70, 5), (9, 150)):
        x = np.asarray(rng.normal(size=shape), dtype)
        targets = random_indices(rng, shape, 1)
        weights = np.asarray(rng.random(shape[0]) * size, dtype)
        weights[3] = 1
        options: dict[str, Any] = {"sample_weight": weights, "reduction": "sum"}
        want = expected_loss("cross_entropy", x, targets, 1, **options)
        _, grad = logitkit.cross_entropy_and_grad(x, targets, **options)
        check(grad, want[1], dtype, shape, float64=OPTIONS)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(70, 5), (3, 5, 66)])
def test_a_bad_row_touches_no_other(shape: tuple[int, ...], value: float, dtype: Float) -> None:
    rng = rng_of(shape, value)
    clean = random_logits(rng, shape, dtype)
    x = clean.copy()
    moved = np.moveaxis(x, 1, -1)
    bad = (2,) * (x.ndim - 1)
    moved[bad] = value
    targets = random_indices(rng, shape, 1)
    others = np.ones(targets.shape, bool)
    others[bad] = False
    for name in ("softmax", "log_softmax"):
        got = np.moveaxis(getattr(logitkit, name)(x, 1), 1, -1)
        want = np.moveaxis(getattr(logitkit, name)(clean, 1), 1, -1)
        assert np.isnan(got[bad]).all()
        np.testing.assert_array_equal(got[others], want[others])
    sums, wanted = (np.asarray(logitkit.logsumexp(a, 1)) for a in (x, clean))
    np.testing.assert_equal(sums[bad], value)
    np.testing.assert_array_equal(sums[others], wanted[others])
    losses, grad = logitkit.cross_entropy_and_grad(x, targets, axis=1, reduction="none")
    assert np.isnan(losses[bad])
    assert np.isnan(np.moveaxis(grad, 1, -1)[bad]).all()
    left_out = np.where(others, targets, -1)
    loss, grad = logitkit.cross_entropy_and_grad(x, left_out, axis=1, ignore_index=-1)
    assert np.isfinite(loss)
    assert (np.moveaxis(grad, 1, -1)[bad] == 0).all()
    assert np.isfinite(grad).all()


def test_a_nan_beside_an_infinity_gives_nan(dtype: Float) -> None:
    x = np.zeros((70, 5), dtype)
    x[3, 1:3] = [np.inf, np.nan]
    x[4, 1:3] = [np.nan, np.inf]
    sums = np.asarray(logitkit.logsumexp(x))
    assert np.isnan(sums[3:5]).all()
    assert np.isfinite(np.delete(sums, [3, 4])).all()


# Rows of 2^16 classes or more are cut into pieces of 2^15, unless there are more than four.


@pytest.mark.parametrize("classes", [65535, 98305])
def test_long_rows(classes: int, dtype: Float) -> None:
    rng = rng_of(classes)
    x = np.asarray(rng.normal(size=(2, classes)) * 3, dtype)
    x[1, classes - 1] = x[1, 40000] = 50
    check_all(x, np.array([7, classes - 1]), 1)


def test_the_number_of_long_rows_shows_in_no_result(dtype: Float) -> None:
    """Four rows are cut into pieces, five are not."""
    rng = rng_of("long rows")
    x = np.asarray(rng.normal(size=(5, 70000)) * 3, dtype)
    targets = random_indices(rng, x.shape, 1)
    weights = np.arange(5.0).astype(dtype)
    options: dict[str, Any] = {"reduction": "none", "z_loss": 0.01}
    losses, grad = logitkit.cross_entropy_and_grad(x, targets, sample_weight=weights, **options)
    for row in range(5):
        one = slice(row, row + 1)
        options["sample_weight"] = weights[one]
        loss, single = logitkit.cross_entropy_and_grad(x[one], targets[one], **options)
        np.testing.assert_array_max_ulp(loss, losses[one], 1, dtype)
        np.testing.assert_allclose(single, grad[one], rtol=8 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_long_rows_without_a_finite_maximum(value: float, dtype: Float) -> None:
    x = np.zeros((2, 70000), dtype)
    x[0] = -np.inf if value == -np.inf else 0
    x[0, 50000] = value
    targets = np.array([3, 4])
    np.testing.assert_equal(np.asarray(logitkit.logsumexp(x))[0], value)
    assert np.isnan(logitkit.softmax(x)[0]).all()
    assert np.isnan(logitkit.log_softmax(x)[0]).all()
    losses, grad = logitkit.cross_entropy_and_grad(x, targets, reduction="none")
    assert np.isnan(losses[0])
    assert np.isnan(grad[0]).all()
    assert np.isfinite(grad[1]).all()
    loss, grad = logitkit.cross_entropy_and_grad(x, targets, ignore_index=3)
    assert np.isfinite(loss)
    assert (grad[0] == 0).all()
