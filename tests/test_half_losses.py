"""Losses, products and Hessians of float16 and bfloat16, by every option; means of many rows.

The oracle is the plain Python reference at the same numbers in float64; of ten million rows it is
NumPy in float64. Every number of both types, layouts and memory are in test_half.py.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import logitkit
from tests import reference
from tests.support import (
    HALVES,
    Array,
    expected_binary,
    expected_loss,
    random_options,
    random_soft_targets,
    rng_of,
    rows_of,
    targets_of,
)
from tests.test_half import ulp, wide_rows, widened, with_infinities

each_half = pytest.mark.parametrize("half", HALVES, ids=lambda half: np.dtype(half).name)
each_reduction = pytest.mark.parametrize("reduction", ["none", "mean"])

SHAPES = ((9, 10), (66, 3), (2, 130))
OPTIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    "cross_entropy": (
        (),
        ("weight",),
        ("sample_weight",),
        ("ignore_index",),
        ("label_smoothing",),
        ("z_loss",),
        ("weight", "sample_weight", "label_smoothing", "z_loss"),
    ),
    "nll_loss": ((), ("weight",), ("sample_weight",), ("weight", "ignore_index")),
    "categorical_cross_entropy": ((), ("weight",), ("eps",), ("weight", "sample_weight", "eps")),
}
# Of the sum of a result's terms: what float32, in which half precision is computed, may lose.
LOST = 5e-7


def magnitudes(want: Sequence[float]) -> Array:
    """Give the sums of the magnitudes of the terms, for results that have some."""
    return np.array([getattr(value, "magnitude", abs(value)) for value in want], np.float64)


def assert_close(got: Array, want: Sequence[float], half: Any) -> None:  # noqa: ANN401
    """Compare with 1 ulp of the half type, and what float32 loses of terms that cancel."""
    assert got.dtype == half
    values, exact = widened(got).ravel(), with_infinities(np.array(want, np.float64), half)
    assert values.shape == exact.shape
    with np.errstate(invalid="ignore"):
        errors = np.abs(values - exact)
    same = (values == exact) | (np.isnan(values) & np.isnan(exact))
    finite = np.where(np.isfinite(exact), exact, 0.0)
    wrong = ~same & ~(errors <= ulp(finite, half) + LOST * magnitudes(want))
    assert not wrong.any(), (values[wrong][:3], exact[wrong][:3])


def assert_loss(got: object, want: Any) -> None:  # noqa: ANN401
    """Compare a loss, which is float32."""
    result = np.asarray(got)
    assert result.dtype == np.float32
    wanted = [want] if isinstance(want, float) else want
    atol = LOST * magnitudes(wanted) + 1e-44
    values, exact = result.ravel().astype(np.float64), np.array(wanted, np.float64)
    same = (values == exact) | (np.isnan(values) & np.isnan(exact))
    with np.errstate(invalid="ignore"):
        assert (same | (np.abs(values - exact) <= atol)).all()


def first_of(name: str, rng: np.random.Generator, shape: tuple[int, ...], half: Any) -> Array:  # noqa: ANN401
    """Draw what a loss takes first: logits, log-probabilities or probabilities."""
    x = wide_rows(rng, shape, half)
    if name == "nll_loss":
        return np.asarray(logitkit.log_softmax(x))
    return np.asarray(logitkit.softmax(x)) if name == "categorical_cross_entropy" else x


@each_half
@each_reduction
@pytest.mark.parametrize("soft", [False, True], ids=["index", "soft"])
@pytest.mark.parametrize("name", OPTIONS)
def test_options(name: str, soft: bool, reduction: Any, half: Any) -> None:  # noqa: ANN401
    for shape in SHAPES:
        rng = rng_of("half options", name, shape)
        x = first_of(name, rng, shape, half)
        targets = random_soft_targets(rng, shape) if soft else rng.integers(0, shape[1], shape[0])
        for names in OPTIONS[name]:
            if soft and "ignore_index" in names:
                continue
            options = random_options(rng, names, x.astype(np.float32), 1)
            options["reduction"] = reduction
            loss, grad = expected_loss(name, x, targets, **options)
            got, got_grad = getattr(logitkit, f"{name}_and_grad")(x, targets, **options)
            assert_loss(got, loss)
            assert_close(got_grad, grad, half)


@each_half
@each_reduction
@pytest.mark.parametrize("eps", [0.0, 2.0**-10])
def test_binary_losses_of_probabilities(eps: float, reduction: Any, half: Any) -> None:  # noqa: ANN401
    """At the ends, too, where a gradient is infinite; other numbers may be beyond float16."""
    rng = rng_of("half binary probabilities")
    p = np.asarray(logitkit.sigmoid(wide_rows(rng, (20, 30), half)))
    for targets in ((rng.random(p.shape) < 0.5).astype(np.float64), rng.random(p.shape)):
        options = {"weight": rng.random(30), "eps": eps, "reduction": reduction}
        loss, grad = expected_binary("binary_cross_entropy", p, targets, **options)
        got, got_grad = logitkit.binary_cross_entropy_and_grad(p, targets, **options)
        assert_loss(got, loss)
        assert_close(got_grad, grad, half)


@each_half
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products(shape: tuple[int, ...], half: Any) -> None:  # noqa: ANN401
    rng = rng_of("half products", shape)
    x, cotangent = wide_rows(rng, shape, half), rng.normal(size=shape).astype(half)
    for name in ("softmax", "log_softmax"):
        result = np.asarray(getattr(logitkit, name)(x))
        function = getattr(reference, f"{name}_vjp")
        pairs = zip(rows_of(widened(result)), rows_of(widened(cotangent)), strict=True)
        want = [value for row, g in pairs for value in function(row, g)]
        assert_close(getattr(logitkit, f"{name}_vjp")(result, cotangent), want, half)


@each_half
@each_reduction
@pytest.mark.parametrize("hessian", ["exact", "bound", "friedman"])
def test_hessians(hessian: Any, reduction: Any, half: Any) -> None:  # noqa: ANN401
    for shape in SHAPES:
        rng = rng_of("half Hessians", shape)
        x = wide_rows(rng, shape, half)
        for targets in (rng.integers(0, shape[1], shape[0]), random_soft_targets(rng, shape)):
            plain: dict[str, Any] = {
                "weight": rng.random(shape[1]).tolist(),
                "sample_weight": rng.random(shape[0]).tolist(),
                "label_smoothing": 0.125,
                "z_loss": 0.0625,
            }
            for options in ({}, plain):
                more = {**options, "reduction": reduction, "hessian": hessian}
                loss, *want = reference.cross_entropy_and_grad_hess(
                    rows_of(widened(x)), targets_of(targets, x, -1), **more
                )
                got, *both = logitkit.cross_entropy_and_grad_hess(x, targets, **more)
                assert_loss(got, loss)
                for result, rows in zip(both, want, strict=True):
                    assert_close(result, [value for row in rows for value in row], half)


@each_half
@each_reduction
def test_binary_hessians(reduction: Any, half: Any) -> None:  # noqa: ANN401
    rng = rng_of("half binary Hessians")
    x = wide_rows(rng, (20, 30), half)
    y, weight, pos_weight = (rng.random(x.shape) for _ in range(3))
    loss, *want = reference.binary_cross_entropy_with_logits_and_grad_hess(
        widened(x).ravel().tolist(),
        y.ravel().tolist(),
        weight=weight.ravel().tolist(),
        pos_weight=pos_weight.ravel().tolist(),
        reduction=reduction,
    )
    got, *both = logitkit.binary_cross_entropy_with_logits_and_grad_hess(
        x, y, weight=weight, pos_weight=pos_weight, reduction=reduction
    )
    assert_loss(got, loss)
    for result, values in zip(both, want, strict=True):
        assert_close(result, values, half)


# Ten million rows, of a block of numbers that differ

REPEATS, BLOCK = 100, 100_000
KINDS: tuple[Any, ...] = (*HALVES, np.float32, np.float64)
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: np.dtype(kind).name)


def block(kind: Any) -> Array:  # noqa: ANN401
    """Draw logits of spread 4."""
    drawn: Array = (rng_of("ten million").normal(size=BLOCK) * 4).astype(kind)
    return drawn


def assert_sum_and_mean(call: Callable[..., Any], losses: Array, kind: Any) -> None:  # noqa: ANN401
    """Compare with the losses of one block; each is good to an ulp of float64."""
    total = math.fsum(losses.tolist()) * REPEATS
    rtol = 1e-14 if kind is np.float64 else 1.2e-7
    np.testing.assert_allclose(call(reduction="sum"), total, rtol=rtol)
    mean = call(reduction="mean")
    assert mean.dtype == (np.float64 if kind is np.float64 else np.float32)
    np.testing.assert_allclose(mean, total / (REPEATS * BLOCK), rtol=rtol)


@each_kind
def test_binary_means_of_ten_million(kind: Any) -> None:  # noqa: ANN401
    x = block(kind)
    y = np.arange(BLOCK) % 3 == 0
    wide = x.astype(np.float64)
    losses = np.logaddexp(0.0, np.where(y, -wide, wide))
    rows, targets = np.tile(x, REPEATS), np.tile(y, REPEATS)

    def call(**options: Any) -> Any:  # noqa: ANN401
        return logitkit.binary_cross_entropy_with_logits(rows, targets, **options)

    assert_sum_and_mean(call, losses, kind)


@each_kind
def test_categorical_means_of_ten_million(kind: Any) -> None:  # noqa: ANN401
    p = np.maximum(1 / (1 + np.exp(-block(np.float64))), 1e-6).astype(kind)
    rows, targets = np.tile(p, REPEATS)[:, None], np.zeros(REPEATS * BLOCK, np.int64)

    total = math.fsum((-np.log(p.astype(np.float64))).tolist()) * REPEATS
    mean = logitkit.categorical_cross_entropy(rows, targets)
    rtol = 1e-14 if kind is np.float64 else 1.2e-7
    np.testing.assert_allclose(mean, total / (REPEATS * BLOCK), rtol=rtol)


@each_kind
def test_means_of_ten_million_and_their_gradient(kind: Any) -> None:  # noqa: ANN401
    """The gradient of float16 has what the type has so near to 0: 6e-8, 1.2e-7 or 0."""
    x = np.stack([np.zeros(BLOCK, kind), block(kind)], axis=1)
    wide = x[:, 1].astype(np.float64)
    rows, targets = np.tile(x, (REPEATS, 1)), np.zeros(REPEATS * BLOCK, np.int64)

    def call(**options: Any) -> Any:  # noqa: ANN401
        return logitkit.cross_entropy(rows, targets, **options)

    assert_sum_and_mean(call, np.logaddexp(0.0, wide), kind)
    _, grad = logitkit.cross_entropy_and_grad(rows, targets, out=rows)
    blocks = grad.reshape(REPEATS, -1).view(f"u{grad.itemsize}")
    assert (blocks == blocks[0]).all()
    first = grad[:BLOCK].astype(np.float64)
    want = 1 / (1 + np.exp(-wide)) / (REPEATS * BLOCK)
    if kind in HALVES:
        bound = 0.51 * ulp(want, kind)
    else:
        bound = 4 * np.spacing(want.astype(kind)).astype(np.float64)
    for column, sign in ((0, -1), (1, 1)):
        assert (np.abs(first[:, column] - sign * want) <= bound).all()
    if kind is np.float16:
        assert set(np.abs(first).ravel()) == {0.0, 2.0**-24, 2.0**-23}
