"""The diagonals of Hessians: values, options, shapes, special values, `out`, bits.

Losses and gradients beside them must have the bits of the functions without a Hessian, which have
tests of their own.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import logitkit
from tests import reference
from tests.layouts import LAYOUTS, entries_apart
from tests.operations import OPERATIONS, Operation, results
from tests.support import (
    REDUCTIONS,
    SHAPES,
    Array,
    Float,
    Reduction,
    by_reduction,
    check,
    combinations,
    placed,
    random_logits,
    random_options,
    random_targets,
    random_weights,
    rng_of,
    rows_of,
    shape_id,
    targets_of,
)

HESSIANS = ("exact", "bound", "friedman")
OF_CLASSES = "cross_entropy_and_grad"
BINARY = "binary_cross_entropy_with_logits_and_grad"
SIBLINGS = [o for o in OPERATIONS if o.function in (OF_CLASSES, BINARY)]

by_hessian = pytest.mark.parametrize("hessian", HESSIANS)
by_sibling = pytest.mark.parametrize("sibling", SIBLINGS, ids=lambda o: o.label)


def with_hessian(sibling: Operation) -> Operation:
    """Give the operation that adds the Hessian to the results of another."""
    return Operation(f"{sibling.function}_hess", sibling.arrays, sibling.options, sibling.variant)


def bits(value: object) -> list[bytes]:
    """Give the bytes of every array of a result."""
    return [part.tobytes() for part in results(value)]


# Values


def check_classes(x: Array, targets: Array, axis: int, **options: Any) -> None:  # noqa: ANN401
    """Compare a Hessian with the reference, and what is beside it with the sibling."""
    got = logitkit.cross_entropy_and_grad_hess(x, targets, axis=axis, **options)
    plain = {key: value for key, value in options.items() if key != "hessian"}
    assert bits(got[:2]) == bits(logitkit.cross_entropy_and_grad(x, targets, axis=axis, **plain))
    for key in ("weight", "sample_weight"):
        if key in options:
            options[key] = np.asarray(options[key], np.float64).reshape(-1).tolist()
    rows = rows_of(x.astype(np.float64), axis)
    want = reference.cross_entropy_and_grad_hess(rows, targets_of(targets, x, axis), **options)[2]
    check(got[2], placed(want, x, axis), x.dtype, x.shape)


@pytest.mark.parametrize("shape, axis", [s for s in SHAPES if s[0][s[1]] > 0], ids=shape_id)
@pytest.mark.parametrize("soft", [False, True], ids=["index", "soft"])
def test_shapes(shape: tuple[int, ...], axis: int, soft: bool, dtype: Float) -> None:
    rng = rng_of("hessian", shape, soft)
    x = random_logits(rng, shape, dtype)
    targets = random_targets(rng, x, axis, soft)
    hessians = itertools.cycle(HESSIANS)
    for reduction in REDUCTIONS:
        check_classes(x, targets, axis, reduction=reduction, hessian=next(hessians))


@by_reduction
@pytest.mark.parametrize("shape, axis", [((9, 5), 1), ((5, 40), 0), ((2, 200), 1)], ids=shape_id)
@pytest.mark.parametrize("soft", [False, True], ids=["index", "soft"])
def test_options(
    shape: tuple[int, ...], axis: int, soft: bool, reduction: Reduction, dtype: Float
) -> None:
    rng = rng_of("options", shape, soft)
    x = random_logits(rng, shape, dtype)
    targets = random_targets(rng, x, axis, soft)
    names = ("weight", "sample_weight", "label_smoothing", "z_loss")
    hessians = itertools.cycle(HESSIANS)
    for chosen in combinations(*names, *(() if soft else ("ignore_index",))):
        options = random_options(rng, chosen, x, axis)
        check_classes(x, targets, axis, reduction=reduction, hessian=next(hessians), **options)


@by_reduction
@pytest.mark.parametrize("shape", [(1,), (16,), (37,), (3, 5), (4099,), (0,), (2, 3, 4)], ids=str)
def test_binary(shape: tuple[int, ...], reduction: Reduction, dtype: Float) -> None:
    rng = rng_of("binary", shape)
    z = random_logits(rng, shape, dtype)
    for y in (rng.random(shape), rng.integers(0, 2, shape)):
        for chosen in ((), *combinations("weight", "pos_weight")):
            weights = {name: random_weights(rng, shape, dtype) for name in chosen}
            options: dict[str, Any] = {"reduction": reduction, **weights}
            targets = y.astype(dtype)
            got = logitkit.binary_cross_entropy_with_logits_and_grad_hess(z, targets, **options)
            beside = logitkit.binary_cross_entropy_with_logits_and_grad(z, targets, **options)
            assert bits(got[:2]) == bits(beside)
            flat = {name: weights[name].astype(np.float64).reshape(-1).tolist() for name in weights}
            _, _, want = reference.binary_cross_entropy_with_logits_and_grad_hess(
                z.astype(np.float64).reshape(-1).tolist(),
                targets.astype(np.float64).reshape(-1).tolist(),
                reduction=reduction,
                **flat,
            )
            check(got[2], want, dtype, shape)


def options_for(rng: np.random.Generator, shape: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """Give every set of the options that change a Hessian, for classes on the last axis."""
    values: dict[str, Any] = {
        "weight": rng.uniform(0.5, 2, shape[-1]),
        "sample_weight": rng.uniform(0.5, 2, shape[:-1]),
        "label_smoothing": 0.2,
        "z_loss": 0.1,
    }
    for chosen in ((), *combinations(*values)):
        yield {name: values[name] for name in chosen}


@by_reduction
@pytest.mark.parametrize("soft", [False, True], ids=["index", "soft"])
def test_differences_of_the_gradient(soft: bool, reduction: Reduction) -> None:
    rng = rng_of("differences", soft)
    x = rng.normal(size=(9, 4)) * 2
    targets = random_targets(rng, x, -1, soft)
    step = 1e-6
    for options in options_for(rng, x.shape):
        options["reduction"] = reduction
        hess = logitkit.cross_entropy_and_grad_hess(x, targets, **options)[2]
        for column in range(4):
            away = step * (np.arange(4) == column)
            above = logitkit.cross_entropy_and_grad(x + away, targets, **options)[1]
            below = logitkit.cross_entropy_and_grad(x - away, targets, **options)[1]
            slopes = (above - below)[:, column] / (2 * step)
            np.testing.assert_allclose(hess[:, column], slopes, rtol=1e-6, atol=1e-8)


@by_reduction
def test_binary_differences_of_the_gradient(reduction: Reduction) -> None:
    rng = rng_of("binary differences")
    z, y = rng.normal(size=20) * 3, rng.random(20)
    step = 1e-6
    cases: tuple[dict[str, Any], ...] = ({}, {"weight": rng.random(20), "pos_weight": 3.5})
    for options in cases:
        options["reduction"] = reduction
        hess = logitkit.binary_cross_entropy_with_logits_and_grad_hess(z, y, **options)[2]
        above, below = (
            logitkit.binary_cross_entropy_with_logits_and_grad(z + away, y, **options)[1]
            for away in (step, -step)
        )
        np.testing.assert_allclose(hess, (above - below) / (2 * step), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("classes", [2, 3, 30, 300])
def test_twice_the_diagonal_is_an_upper_bound(classes: int) -> None:
    """No eigenvalue of the bound less the whole Hessian is negative."""
    x = rng_of("bound", classes).normal(size=(5, classes)) * 3
    _, _, bound = logitkit.cross_entropy_and_grad_hess(x, [0] * 5, hessian="bound", reduction="sum")
    for row, diagonal in zip(x, bound, strict=True):
        p = logitkit.softmax(row)
        whole = np.diag(p) - np.outer(p, p)
        assert np.linalg.eigvalsh(np.diag(diagonal) - whole).min() > -1e-15


@pytest.mark.parametrize("classes", [1, 2, 5, 1000])
def test_multiples(classes: int, dtype: Float) -> None:
    x = random_logits(rng_of("multiples", classes), (70, classes), dtype)
    exact, bound, friedman = (
        logitkit.cross_entropy_and_grad_hess(x, [0] * 70, hessian=hessian, reduction="sum")[2]
        for hessian in HESSIANS
    )
    normal = exact >= np.finfo(dtype).smallest_normal
    assert (bound == 2 * exact)[normal].all()
    factor = classes / max(classes - 1, 1)
    rtol = 4 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(friedman[normal], factor * exact[normal], rtol=rtol)


# Confident rows, and factors of every size


@pytest.mark.parametrize("rows", [1, 70])
@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("lead", [20.0, 40.0, 80.0])
def test_a_confident_row_keeps_its_hessian(
    rows: int, classes: int, lead: float, dtype: Float
) -> None:
    x = np.zeros((rows, classes), dtype)
    x[:, classes // 2] = lead
    _, _, hess = logitkit.cross_entropy_and_grad_hess(x, [0] * rows, reduction="sum")
    share = math.exp(-lead)
    others = (classes - 1) * share
    want = np.full(classes, share * (1 + others - share) / (1 + others) ** 2)
    want[classes // 2] = others / (1 + others) ** 2
    np.testing.assert_allclose(hess, np.tile(want, (rows, 1)), rtol=1e-6)


@pytest.mark.parametrize("shape", [(70, 10), (3, 200), (1, 70_000)], ids=str)
@pytest.mark.parametrize("exponent", [-300, -145, -120, -60, 0, 25, 60, 120, 300])
def test_factors_of_every_size(shape: tuple[int, int], exponent: int, dtype: Float) -> None:
    """Tiny and huge factors take ways of their own."""
    rows, classes = shape
    x = rng_of("factors", shape).normal(size=shape).astype(dtype) * 5
    x[:, classes // 3] = -np.inf
    targets = np.arange(rows) % classes
    factor = 2.0**exponent
    weights = np.full(rows, factor)
    cases: tuple[dict[str, Any], ...] = ({}, {"z_loss": 0.25})
    for options in cases:
        with np.errstate(over="ignore", under="ignore"):
            _, _, hess = logitkit.cross_entropy_and_grad_hess(
                x, targets, sample_weight=weights, reduction="sum", **options
            )
            once = logitkit.cross_entropy_and_grad_hess(
                x.astype(np.float64), targets, reduction="sum", **options
            )[2]
            want = (once * factor).astype(dtype)
        smallest = float(np.finfo(dtype).smallest_subnormal)
        bound = 4 * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(hess, want, rtol=bound, atol=2 * smallest)
        assert (hess[:, classes // 3] == 0).all()


# Special values


@pytest.mark.parametrize("bad", [[math.nan, 0], [math.inf, 0], [-math.inf, -math.inf]], ids=str)
@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("rows", [3, 70])
def test_rows_without_a_maximum(bad: list[float], classes: int, rows: int, dtype: Float) -> None:
    x = random_logits(rng_of(classes), (rows, classes), dtype)
    x[1] = -np.inf
    x[1, :2] = bad
    kept = np.arange(rows) != 1
    _, _, hess = logitkit.cross_entropy_and_grad_hess(x, [0] * rows, reduction="sum")
    assert np.isnan(hess[1]).all()
    alone = logitkit.cross_entropy_and_grad_hess(x[kept], [0] * (rows - 1), reduction="sum")[2]
    assert hess[kept].tobytes() == alone.tobytes()


@pytest.mark.parametrize("shape", [(70, 10), (3, 1000), (2, 70_000)], ids=str)
@pytest.mark.parametrize("soft", [False, True], ids=["index", "soft"])
def test_rows_left_out(shape: tuple[int, int], soft: bool, dtype: Float) -> None:
    rows, classes = shape
    x = random_logits(rng_of("left out", shape), shape, dtype)
    x[1] = np.nan
    targets = np.eye(rows, classes, dtype=dtype) if soft else np.arange(rows) % classes
    weights = (np.arange(rows) != 1).astype(dtype)
    loss, grad, hess = logitkit.cross_entropy_and_grad_hess(x, targets, sample_weight=weights)
    assert np.isfinite(loss)
    assert not hess[1].any()
    assert not grad[1].any()
    none = logitkit.cross_entropy_and_grad_hess(x, targets, sample_weight=0 * weights)
    assert np.isnan(none[0])
    assert not none[2].any()


def test_special_values_of_binary(dtype: Float) -> None:
    z = np.array([np.nan, np.inf, -np.inf, np.nan, 0], dtype)
    y = np.array([0, 1, 0, 1, 1], dtype)
    hess = logitkit.binary_cross_entropy_with_logits_and_grad_hess(z, y, reduction="sum")[2]
    np.testing.assert_array_equal(hess, np.array([np.nan, 0, 0, np.nan, 0.25], dtype))
    weight = np.array([1, 1, 1, 0, 2], dtype)
    _, _, hess = logitkit.binary_cross_entropy_with_logits_and_grad_hess(
        z, y, weight=weight, reduction="sum"
    )
    np.testing.assert_array_equal(hess, np.array([np.nan, 0, 0, 0, 0.5], dtype))


# out


@by_sibling
@pytest.mark.parametrize(
    "shape, axis", [((5, 33), 1), ((33, 5), 0), ((70, 10), 1), ((3, 10, 4), 1), ((3000,), 0)]
)
def test_out_changes_no_bit(
    sibling: Operation, shape: tuple[int, ...], axis: int, dtype: Float
) -> None:
    operation = with_hessian(sibling)
    arrays = operation.make(rng_of(operation.label, shape), shape, axis, dtype)
    want = operation(arrays, axis)
    assert bits(want[:2]) == bits(sibling(arrays, axis))

    def fresh() -> Array:
        return np.full(shape, np.nan, dtype)

    first = arrays[operation.first]
    pairs = (
        (fresh(), fresh()),
        [fresh(), None],
        (None, fresh()),
        (None, None),
        (entries_apart(fresh()), np.asfortranarray(fresh())),
        (np.moveaxis(np.empty((*shape, 2), dtype), -1, 0)[0], fresh()),
    )
    for out in pairs:
        got = operation(arrays, axis, out=out)
        assert bits(got) == bits(want)
        for given, result in zip(out, got[1:], strict=True):
            assert given is None or result is given
    for place in (0, 1):
        logits = first.copy()
        out = (logits, None) if place == 0 else (None, logits)
        got = operation(arrays | {operation.first: logits}, axis, out=out)
        assert got[1 + place] is logits
        assert bits(got) == bits(want)


@by_sibling
def test_out_in_the_place_of_other_arguments(sibling: Operation) -> None:
    """Targets and weights are read before what is written to their memory."""
    operation = with_hessian(sibling)
    shape = (70, 5)
    arrays = operation.make(rng_of(operation.label), shape, 1, np.float64)
    want = operation(arrays, 1)
    for name, place in itertools.product(arrays, (0, 1)):
        if arrays[name].shape != shape or arrays[name].dtype != np.float64:
            continue
        moved = arrays | {name: arrays[name].copy()}
        out = (moved[name], None) if place == 0 else (None, moved[name])
        assert bits(operation(moved, 1, out=out)) == bits(want), (name, place)


@by_sibling
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(sibling: Operation, layout: str, dtype: Float) -> None:
    operation = with_hessian(sibling)
    arrays = operation.make(rng_of(operation.label), (12, 10), 1, dtype)
    want = operation(arrays)
    laid = {name: LAYOUTS[layout](value) for name, value in arrays.items()}
    for left, right in zip(results(operation(laid)), results(want), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-6 if dtype is np.float32 else 1e-14)
    out = [LAYOUTS[layout](np.zeros((12, 10), dtype)) for _ in range(2)]
    if layout in {"gaps", "fortran", "unaligned", "packed field", "reversed", "subclass"}:
        got = operation(arrays, out=out)
        assert bits(got) == bits(want)
        assert got[1] is out[0]
        assert got[2] is out[1]


# Errors


def refused(error: type[Exception], match: str, out: Any, **more: Any) -> None:  # noqa: ANN401
    """Call both functions with an `out` that is wrong, or with something else wrong."""
    x = np.arange(12, dtype=np.float64).reshape(3, 4)
    kept = [part for part in (out or ()) if isinstance(part, np.ndarray)]
    before = [part.tobytes() for part in kept]
    with pytest.raises(error, match=match):
        logitkit.cross_entropy_and_grad_hess(x, [0, 1, 2], out=out, **more)
    if not more:
        with pytest.raises(error, match=match):
            logitkit.binary_cross_entropy_with_logits_and_grad_hess(x, x / 12, out=out)
    assert [part.tobytes() for part in kept] == before, "something was written"


def place(dtype: Any = np.float64) -> Array:  # noqa: ANN401
    return np.full((3, 4), 7, dtype)


@pytest.mark.parametrize(
    "out", [place(), 0, "ab", {1: 2, 3: 4}, iter([None, None])], ids=lambda out: type(out).__name__
)
def test_out_that_is_no_pair(out: object) -> None:
    with pytest.raises(TypeError, match=f"out is of type {type(out).__name__}, expected a pair"):
        logitkit.cross_entropy_and_grad_hess(np.zeros((3, 4)), [0, 0, 0], out=out)  # type: ignore[call-overload]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_out_of_another_length(count: int) -> None:
    out = tuple(place() for _ in range(count))
    refused(ValueError, f"out holds {count} arrays, expected a pair", out)


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize(
    "wrong, error, match",
    [
        (np.zeros((4, 3)), ValueError, r"has shape \[4, 3\], expected \[3, 4\]"),
        (place(np.float32), TypeError, "has dtype float32, expected float64"),
        (place(">f8"), ValueError, "has the byte-swapped"),
        (np.broadcast_to(np.zeros(4), (3, 4)), ValueError, "is read-only"),
        ([[0.0] * 4] * 3, TypeError, "is of type list, expected a NumPy array"),
    ],
)
def test_either_array_is_checked(index: int, wrong: object, error: Any, match: str) -> None:  # noqa: ANN401
    out: list[object] = [place(), place()]
    out[index] = wrong
    refused(error, rf"out\[{index}\] {match}", tuple(out))


def test_arrays_that_overlap() -> None:
    both, memory = place(), np.full(30, 7.0)
    shifted = (memory[:12].reshape(3, 4), memory[11:23].reshape(3, 4))
    for out in ((both, both), (both, both[:]), (both, both[::-1]), shifted):
        refused(ValueError, r"out\[0\] and out\[1\] overlap", out)


def test_neighbours_do_not_overlap() -> None:
    x, targets = np.arange(12.0).reshape(3, 4), [0, 1, 2]
    want = logitkit.cross_entropy_and_grad_hess(x, targets)
    memory = np.zeros((2, 24))
    pairs = (
        (memory[0, :12].reshape(3, 4), memory[0, 12:].reshape(3, 4)),
        (memory[0].reshape(3, 8)[:, :4], memory[0].reshape(3, 8)[:, 4:]),
        (memory[1, ::2].reshape(3, 4), memory[1, 1::2].reshape(3, 4)),
        tuple(np.moveaxis(memory[1].reshape(3, 4, 2), -1, 0)),
    )
    for out in pairs:
        assert bits(logitkit.cross_entropy_and_grad_hess(x, targets, out=out)) == bits(want)


@pytest.mark.parametrize("name", ["full", "Exact", "", "diagonal"])
def test_an_unknown_multiple(name: str) -> None:
    message = f'hessian is "{name}", expected "exact", "bound" or "friedman"'
    refused(ValueError, message, (place(), place()), hessian=name)


@pytest.mark.parametrize("name", [None, 1, b"exact"])
def test_a_multiple_that_is_no_name(name: Any) -> None:  # noqa: ANN401
    refused(TypeError, 'expected "exact"', (place(), place()), hessian=name)


def test_nothing_is_written_where_a_row_is_wrong() -> None:
    out = (place(), place())
    with pytest.raises(IndexError, match="targets"):
        logitkit.cross_entropy_and_grad_hess(np.zeros((3, 4)), [0, 1, 4], out=out)
    with pytest.raises(ValueError, match="targets"):
        logitkit.binary_cross_entropy_with_logits_and_grad_hess(
            np.zeros((3, 4)), np.full((3, 4), 1.5), out=out
        )
    assert (np.array(out) == 7).all()


# Long rows, whose pieces are shared out


@pytest.mark.parametrize("shape", [(2, 70_001)], ids=str)
@pytest.mark.parametrize("z_loss", [0.0, 0.25])
def test_long_rows(shape: tuple[int, int], z_loss: float, dtype: Float) -> None:
    rng = rng_of("long", shape)
    x = (rng.normal(size=shape) * 3).astype(dtype)
    x[0, 1234] = 30
    targets = rng.integers(0, shape[1], shape[0])
    options: dict[str, Any] = {"z_loss": z_loss, "reduction": "sum"}
    loss, grad, hess = logitkit.cross_entropy_and_grad_hess(x, targets, **options)
    beside = logitkit.cross_entropy_and_grad(x, targets, **options)
    assert bits((loss, grad)) == bits(beside)
    rows = rows_of(x.astype(np.float64))
    want = reference.cross_entropy_and_grad_hess(rows, targets.tolist(), **options)[2]
    check(hess, placed(want, x), dtype, shape)
    in_place, apart = x.copy(), entries_apart(np.zeros_like(x))
    for out in ((in_place, None), (apart, np.empty_like(x)), (None, apart)):
        logits = in_place if out[0] is in_place else x
        _, one, two = logitkit.cross_entropy_and_grad_hess(logits, targets, out=out, **options)
        rtol = 4 * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(one, grad, rtol=rtol, atol=rtol)
        np.testing.assert_allclose(two, hess, rtol=rtol, atol=rtol)
