"""Every gradient under every combination of options, against central differences of the loss.

And the loss beside a gradient is the loss alone; `out` changes no bit. How accurate the entries
are is measured in test_accuracy.py.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import logitkit
from tests.layouts import entries_apart
from tests.operations import OPERATIONS, Operation, Shape
from tests.support import (
    REDUCTIONS,
    Array,
    Float,
    Reduction,
    finite_differences,
    index_shape,
    random_probs,
    rng_of,
)

SHAPES: tuple[tuple[Shape, int], ...] = (((4, 3), 1), ((3, 4), 0), ((2, 3, 2), 1), ((5,), 0))
IGNORED = -1


def combinations(**values: object) -> Iterator[dict[str, Any]]:
    """Give every subset of some options."""
    for chosen in itertools.product((False, True), repeat=len(values)):
        names = itertools.compress(values, chosen)
        yield {name: values[name] for name in names}


def check_gradient(name: str, x: Array, targets: Array, **options: Any) -> None:  # noqa: ANN401
    """Compare a gradient with the differences of the loss, and the losses with each other."""
    alone = getattr(logitkit, name)

    def total(moved: Array) -> float:
        return float(np.sum(alone(moved, targets, **options)))

    loss, grad = getattr(logitkit, f"{name}_and_grad")(x, targets, **options)
    np.testing.assert_array_equal(loss, alone(x, targets, **options))
    want = finite_differences(total, x)
    # Steps of 1e-5 leave 1e-10 of the third derivative, and 1e-11 of the loss, which rounds.
    np.testing.assert_allclose(grad, want, rtol=1e-7, atol=1e-8 * max(1.0, abs(total(x))))


def drawn(shape: Shape, axis: int, *, soft: bool) -> tuple[np.random.Generator, Array, Array]:
    """Draw logits and targets; about a third of the indices are to be ignored."""
    rng = rng_of("gradients", shape, soft)
    x = rng.normal(size=shape) * 2
    rows = index_shape(x, axis)
    if soft:
        targets = rng.random(shape) * rng.choice([0.0, 1.0, 1.0], size=shape)
    else:
        targets = np.asarray(rng.integers(0, shape[axis], size=rows))
        # Its weight is not 0: a mean over rows of no weight is nan.
        targets.flat[0] = shape[axis] - 1
    return rng, x, targets


def weights_of(rng: np.random.Generator, x: Array, axis: int) -> dict[str, Array]:
    """Draw class weights and sample weights, one of each 0 if there are enough."""
    weight = np.asarray(rng.uniform(0.5, 2, (x.shape[axis],)))
    sample_weight = np.asarray(rng.uniform(0.5, 2, index_shape(x, axis)))
    weight[0] = 0
    sample_weight.flat[1:2] = 0
    return {"weight": weight, "sample_weight": sample_weight}


def some_ignored(targets: Array) -> Array:
    """Replace every third index, but the first."""
    ignored = targets.copy()
    ignored.flat[2::3] = IGNORED
    return ignored


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape, axis", SHAPES)
@pytest.mark.parametrize("soft", [False, True], ids=["indices", "soft"])
def test_cross_entropy(shape: Shape, axis: int, soft: bool, reduction: Reduction) -> None:
    rng, x, targets = drawn(shape, axis, soft=soft)
    weights = weights_of(rng, x, axis)
    for options in combinations(**weights, label_smoothing=0.2, z_loss=0.1):
        check_gradient("cross_entropy", x, targets, axis=axis, reduction=reduction, **options)
        if not soft:
            options |= {"ignore_index": IGNORED, "axis": axis, "reduction": reduction}
            check_gradient("cross_entropy", x, some_ignored(targets), **options)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape, axis", SHAPES)
@pytest.mark.parametrize("soft", [False, True], ids=["indices", "soft"])
def test_nll_loss(shape: Shape, axis: int, soft: bool, reduction: Reduction) -> None:
    rng, x, targets = drawn(shape, axis, soft=soft)
    for options in combinations(**weights_of(rng, x, axis)):
        check_gradient("nll_loss", x, targets, axis=axis, reduction=reduction, **options)
        if not soft:
            options |= {"ignore_index": IGNORED, "axis": axis, "reduction": reduction}
            check_gradient("nll_loss", x, some_ignored(targets), **options)


def away_from(probs: Array, eps: float) -> Array:
    """Keep probabilities where the loss is smooth: off the ends of the clipping, and off 0."""
    off = np.clip(probs, 0.03, 0.97)
    near = (np.abs(off - eps) < 0.01) | (np.abs(off - (1 - eps)) < 0.01)
    return np.where(near, 0.5, off)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape, axis", SHAPES)
@pytest.mark.parametrize("soft", [False, True], ids=["indices", "soft"])
def test_categorical(shape: Shape, axis: int, soft: bool, reduction: Reduction) -> None:
    rng, x, targets = drawn(shape, axis, soft=soft)
    probs = away_from(random_probs(rng, x.shape, axis), 0.2)
    name = "categorical_cross_entropy"
    for options in combinations(**weights_of(rng, x, axis), eps=0.2):
        options |= {"axis": axis, "reduction": reduction}
        check_gradient(name, probs, targets, **options)
        if not soft:
            check_gradient(name, probs, some_ignored(targets), ignore_index=IGNORED, **options)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 2), ()])
@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_binary(shape: Shape, kind: str, reduction: Reduction) -> None:
    rng = rng_of("binary", shape, kind)
    y = np.asarray(rng.random(shape))
    y = y.round() if kind == "hard" else y
    weight = np.asarray(rng.uniform(0.5, 2, shape))
    weight.flat[1:2] = 0
    probs = away_from(np.asarray(rng.random(shape)), 0.2)
    for options in combinations(weight=weight, eps=0.2):
        check_gradient("binary_cross_entropy", probs, y, reduction=reduction, **options)
    logits = np.asarray(rng.normal(size=shape) * 3)
    broadcast = {"weight": weight[..., -1:] if shape else weight, "pos_weight": 3.5}
    for options in itertools.chain(
        combinations(weight=weight, pos_weight=weight + 1), combinations(**broadcast)
    ):
        name = "binary_cross_entropy_with_logits"
        check_gradient(name, logits, y, reduction=reduction, **options)


@pytest.mark.parametrize("shape, axis", SHAPES)
def test_vjps(shape: Shape, axis: int) -> None:
    rng, x, cotangent = drawn(shape, axis, soft=True)
    cotangent -= rng.random(shape)
    pairs = (
        (logitkit.softmax, logitkit.softmax_vjp),
        (logitkit.log_softmax, logitkit.log_softmax_vjp),
    )
    for function, vjp in pairs:

        def total(moved: Array) -> float:
            return float(np.sum(function(moved, axis) * cotangent))  # noqa: B023 (called below)

        got = vjp(function(x, axis), cotangent, axis)
        np.testing.assert_allclose(got, finite_differences(total, x), rtol=1e-7, atol=1e-8)


# out


@pytest.mark.parametrize(
    "operation", [o for o in OPERATIONS if o.function.endswith("_and_grad")], ids=lambda o: o.label
)
@pytest.mark.parametrize(
    "shape, axis", [((5, 33), 1), ((33, 5), 0), ((3, 10, 4), 1), ((70, 10), 1), ((3000,), 0)]
)
def test_out_changes_no_bit(operation: Operation, shape: Shape, axis: int, dtype: Float) -> None:
    arrays = operation.make(rng_of(operation.label, shape), shape, axis, dtype)
    loss, grad = operation(arrays, axis)
    name = operation.function.removesuffix("_and_grad")
    alone = Operation(name, operation.arrays, operation.options)(arrays, axis)
    assert np.asarray(alone).tobytes() == np.asarray(loss).tobytes()
    place = arrays[operation.first].copy()
    for out in (np.full(shape, np.nan, dtype), entries_apart(np.ones(shape, dtype)), place):
        first = place if out is place else arrays[operation.first]
        same, filled = operation(arrays | {operation.first: first}, axis, out=out)
        assert filled is out
        assert np.asarray(same).tobytes() == np.asarray(loss).tobytes()
        assert out.tobytes() == grad.tobytes()
