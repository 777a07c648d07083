"""Losses in which all classes of a row count, in tiles: soft targets, label smoothing, weights.

A tile has 64 rows, and takes 8 at least; soft targets of more than 512 classes go row by row. Rows
in which one class counts stand in `test_regimes`.
"""

import itertools
from typing import Any

import numpy as np
import pytest

import logitkit
from tests import reference
from tests.support import (
    Array,
    Float,
    check,
    check_loss,
    placed,
    random_indices,
    random_logits,
    random_soft_targets,
    random_weights,
    rng_of,
    rows_of,
    targets_of,
)
from tests.test_regimes import LAYOUTS, ROWS, arranged

# Targets are soft or indices; the options that make all classes count.
KINDS: dict[str, tuple[bool, dict[str, Any]]] = {
    "smoothed": (False, {"label_smoothing": 0.25}),
    "smoothed, weighted": (False, {"label_smoothing": 0.125, "weight": True}),
    "soft": (True, {}),
    "soft, weighted, smoothed": (True, {"label_smoothing": 0.25, "weight": True}),
}
by_kind = pytest.mark.parametrize("kind", KINDS)
by_layout = pytest.mark.parametrize("layout", LAYOUTS)


def drawn(
    rng: np.random.Generator, x: Array, kind: str, axis: int = 1
) -> tuple[Array, dict[str, Any]]:
    """Draw targets of a kind, and its options."""
    soft, options = KINDS[kind]
    options = dict(options)
    if "weight" in options:
        options["weight"] = random_weights(rng, x.shape[axis], x.dtype)
    if soft:
        return random_soft_targets(rng, x.shape, x.dtype), options
    return random_indices(rng, x.shape, axis), options


# Up to 16 or 48, by the instruction set, all classes are compared with the target.
CLASSES = (1, 2, 3, 8, 9, 15, 16, 17, 33, 48, 49, 127, 128, 129)


@by_kind
@pytest.mark.parametrize(
    "classes, layout",
    [(classes, "rows") for classes in CLASSES] + [*itertools.product((3, 17, 129), LAYOUTS[1:])],
)
def test_classes(classes: int, layout: str, kind: str, dtype: Float) -> None:
    rng = rng_of(classes, layout, kind, dtype)
    x = random_logits(rng, (67, classes), dtype)
    targets, options = drawn(rng, x, kind)
    check_loss("cross_entropy", arranged(x, layout), targets, 1, **options)


@by_kind
@by_layout
@pytest.mark.parametrize("rows", ROWS)
def test_rows(rows: int, layout: str, kind: str, dtype: Float) -> None:
    rng = rng_of(rows, layout, kind, dtype)
    x = random_logits(rng, (rows, 5), dtype)
    targets, options = drawn(rng, x, kind)
    for reduction in ("none", "sum", "mean"):
        options["reduction"] = reduction
        check_loss("cross_entropy", arranged(x, layout), targets, 1, **options)


@by_kind
@pytest.mark.parametrize("classes", [3, 512, 513])
def test_classes_side_by_side(classes: int, kind: str, dtype: Float) -> None:
    rng = rng_of(classes, kind, dtype)
    x = random_logits(rng, (2, classes, 33), dtype)
    targets, options = drawn(rng, x, kind)
    check_loss("cross_entropy", x, targets, 1, **options)


@by_kind
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_other_options(reduction: str, kind: str, dtype: Float) -> None:
    rng = rng_of(kind, reduction)
    x = random_logits(rng, (70, 6), dtype)
    targets, options = drawn(rng, x, kind)
    ignoring = {"ignore_index": 1} if targets.ndim == 1 else {}
    for more in (
        {"z_loss": 0.0625},
        {"sample_weight": rng.integers(0, 3, 70).astype(dtype)},
        ignoring,
        {"z_loss": 0.5, "sample_weight": random_weights(rng, 70, dtype), **ignoring},
    ):
        check_loss("cross_entropy", x, targets, 1, reduction=reduction, **options, **more)


@by_kind
def test_full_tiles_after_partial_ones(kind: str, dtype: Float) -> None:
    rng = rng_of("runs", kind)
    x = random_logits(rng, (3, 5, 66), dtype)
    targets, options = drawn(rng, x, kind, axis=1)
    check_loss("cross_entropy", x, targets, 1, reduction="none", **options)


@by_kind
def test_second_derivatives(kind: str, dtype: Float) -> None:
    rng = rng_of("hessian", kind)
    x = random_logits(rng, (70, 6), dtype)
    targets, options = drawn(rng, x, kind)
    for z_loss in (0.0, 0.25):
        more: dict[str, Any] = {**options, "z_loss": z_loss, "reduction": "sum"}
        _, grad, hess = logitkit.cross_entropy_and_grad_hess(x, targets, **more)
        _, alone = logitkit.cross_entropy_and_grad(x, targets, **more)
        np.testing.assert_array_equal(grad, alone)
        rows = rows_of(x.astype(np.float64), 1)
        plain = {key: np.asarray(value).tolist() for key, value in more.items()}
        want = reference.cross_entropy_and_grad_hess(rows, targets_of(targets, x, 1), **plain)
        check(hess, placed(want[2], x, 1), dtype, x.shape)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_soft_targets_of_any_type(layout: str, dtype: Float) -> None:
    """The type of the targets, and their place in memory, show in no result."""
    rng = rng_of("types", layout)
    x = random_logits(rng, (70, 6), dtype)
    one_hot = np.eye(6)[random_indices(rng, x.shape, 1)]
    want = logitkit.cross_entropy_and_grad(x, one_hot, reduction="none")
    for kind in (np.float16, np.float32, np.float64, np.int8, np.uint64, np.bool_):
        targets = arranged(one_hot.astype(kind), layout)
        got = logitkit.cross_entropy_and_grad(x, targets, reduction="none")
        for ours, due in zip(got, want, strict=True):
            np.testing.assert_array_equal(ours, due)
    # In float64 they are not rounded to the type of the logits.
    soft = random_soft_targets(rng, x.shape, np.float64)
    check_loss("cross_entropy", x, arranged(soft, layout), 1, reduction="none")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@by_kind
def test_a_bad_row_touches_no_other(kind: str, value: float, dtype: Float) -> None:
    rng = rng_of("bad", kind, value)
    clean = np.asarray(rng.normal(size=(70, 5)), dtype)
    x = clean.copy()
    x[2] = value
    x[9, 1] = np.nan
    others = np.ones(70, bool)
    others[[2, 9]] = False
    targets, options = drawn(rng, x, kind)
    losses, grad = logitkit.cross_entropy_and_grad(x, targets, reduction="none", **options)
    wanted, wanted_grad = logitkit.cross_entropy_and_grad(
        clean, targets, reduction="none", **options
    )
    assert np.isnan(losses[~others]).all()
    assert np.isnan(grad[~others]).all()
    np.testing.assert_array_equal(losses[others], wanted[others])
    np.testing.assert_array_equal(grad[others], wanted_grad[others])
    # One that is left out is 0, whatever it holds.
    weights = others.astype(dtype)
    loss, grad = logitkit.cross_entropy_and_grad(x, targets, sample_weight=weights, **options)
    assert np.isfinite(loss)
    assert (grad[~others] == 0).all()
    assert np.isfinite(grad).all()


def test_two_classes_of_any_size(dtype: Float) -> None:
    """Two classes have a way of their own in tiles: ties, zeros of either sign, masks and NaNs."""
    info = np.finfo(dtype)
    sizes = (0.0, 1.0, 1 + info.eps, 30.0, 90.0, 105.0, 800.0, info.max / 4, info.tiny, np.inf)
    values = [sign * size for size in sizes for sign in (1, -1)] + [np.nan]
    x = np.asarray(list(itertools.product(values, repeat=2)), dtype)
    targets = np.arange(len(x)) % 2

    def results(logits: Array, classes: Array) -> list[Array]:
        both = logitkit.cross_entropy_and_grad(logits, classes, reduction="none")
        return [logitkit.softmax(logits), logitkit.log_softmax(logits), *both]

    together = results(x, targets)
    for row in range(len(x)):
        alone = results(x[row : row + 1], targets[row : row + 1])
        for got, want in zip(together, alone, strict=True):
            np.testing.assert_allclose(
                got[row], want[0], rtol=4 * float(info.eps), atol=2 * float(info.smallest_subnormal)
            )


def test_rows_that_are_left_out_may_weigh_infinitely_much(dtype: Float) -> None:
    x = random_logits(rng_of("infinite"), (70, 3), dtype)
    targets = np.arange(70) % 3
    counts = targets != 0
    weight = np.asarray([np.inf, 1, 2], dtype)
    plain = np.asarray([0, 1, 2], dtype)
    want, want_grad = logitkit.cross_entropy_and_grad(x, targets, weight=plain)
    by_index: dict[str, Any] = {"ignore_index": 0}
    by_weight: dict[str, Any] = {"sample_weight": counts.astype(dtype)}
    for options in (by_index, by_weight):
        loss, grad = logitkit.cross_entropy_and_grad(x, targets, weight=weight, **options)
        np.testing.assert_array_equal(loss, want)
        np.testing.assert_array_equal(grad, want_grad)
    # An index that is no class is not looked up.
    ignored = np.where(counts, targets - 1, -100)
    weight = np.asarray([1, 2, np.inf], dtype)
    loss, grad = logitkit.cross_entropy_and_grad(x, ignored, weight=weight, ignore_index=-100)
    assert np.isfinite(loss)
    assert (grad[~counts] == 0).all()


def test_smoothing_of_logits_that_are_large_or_nearly_equal() -> None:
    rows = np.asarray(
        [
            [1e30, 1e30 * (1 - 2**-23), 1e-30],
            [-1e30, 1e30, 1],
            [3e38, 3e38, 3e38],
            [1000, np.nextafter(np.float32(1000), np.float32(0)), 1e-30],
        ],
        np.float32,
    )
    x = np.tile(rows, (20, 1))
    check_loss("cross_entropy", x, np.arange(80) % 3, 1, reduction="none", label_smoothing=0.1)


def test_classes_that_do_not_count_may_be_infinite(dtype: Float) -> None:
    x = np.zeros((70, 4), dtype)
    x[:, 3] = -np.inf
    soft = np.tile(np.asarray([0.5, 0.25, 0.25, 0], dtype), (70, 1))
    losses, grad = logitkit.cross_entropy_and_grad(x, soft, reduction="none")
    np.testing.assert_allclose(losses, np.log(3), rtol=4 * float(np.finfo(dtype).eps))
    assert (grad[:, 3] == 0).all()
    weight = np.asarray([1, 1, 1, 0], dtype)
    options: dict[str, Any] = {"weight": weight, "label_smoothing": 0.1, "reduction": "none"}
    assert np.isfinite(logitkit.cross_entropy(x, np.zeros(70, int), **options)).all()
    # One that counts costs infinitely much.
    assert np.isposinf(logitkit.cross_entropy(x, np.zeros(70, int), label_smoothing=0.1))


def test_rows_without_a_coefficient_are_left_out(dtype: Float) -> None:
    rng = rng_of("empty")
    x = random_logits(rng, (70, 5), dtype)
    soft = random_soft_targets(rng, x.shape, dtype)
    soft[::7] = 0
    x[7] = np.nan
    for reduction in ("none", "mean", "sum"):
        loss, grad = logitkit.cross_entropy_and_grad(x, soft, reduction=reduction)
        kept = np.ones(70, bool)
        kept[::7] = False
        rest = x[kept], soft[kept]
        want, wanted_grad = logitkit.cross_entropy_and_grad(*rest, reduction=reduction)
        np.testing.assert_array_equal(grad[kept], wanted_grad)
        assert (grad[~kept] == 0).all()
        if reduction == "none":
            losses = np.asarray(loss)
            np.testing.assert_array_equal(losses[kept], want)
            assert (losses[~kept] == 0).all()
        else:
            np.testing.assert_array_max_ulp(np.asarray(loss), np.asarray(want), 1)


@by_kind
@pytest.mark.parametrize("size", [1e-36, 1e-30, 1e-12, 1e12])
def test_sample_weights_of_any_size(size: float, kind: str, dtype: Float) -> None:
    """The factor of a row's gradient is far from 1, and has all its bits."""
    rng = rng_of("size", size, kind)
    x = np.asarray(rng.normal(size=(70, 5)), dtype)
    targets, options = drawn(rng, x, kind)
    weights = np.asarray((1 + rng.random(70)) * size, dtype)
    weights[3] = 1
    check_loss("cross_entropy", x, targets, 1, sample_weight=weights, reduction="sum", **options)


@by_kind
def test_layouts_and_threads_show_in_no_bit(kind: str, dtype: Float) -> None:
    rng = rng_of("bits", kind)
    x = random_logits(rng, (20000, 5), dtype)
    targets, options = drawn(rng, x, kind)
    threads = logitkit.get_num_threads()
    results = []
    try:
        for count, layout in itertools.product((1, 2), ("rows", "side by side")):
            logitkit.set_num_threads(count)
            moved = arranged(x, layout)
            results.append(logitkit.cross_entropy_and_grad(moved, targets, out=moved, **options))
    finally:
        logitkit.set_num_threads(threads)
    for loss, grad in results[1:]:
        assert loss == results[0][0]
        np.testing.assert_array_equal(grad, results[0][1])


def test_a_confident_row_keeps_its_small_loss(dtype: Float) -> None:
    x = np.zeros((70, 3), dtype)
    x[:, 1] = 40
    one_hot = np.tile(np.asarray([0, 1, 0], dtype), (70, 1))
    losses = logitkit.cross_entropy(x, one_hot, reduction="none")
    np.testing.assert_array_max_ulp(losses, np.full(70, 2 * np.exp(-40.0), dtype), 2)
