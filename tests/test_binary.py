"""The binary losses and their gradients, from probabilities and from logits.

NaN, inf and elements left out are in test_special_values.py.
"""

from typing import Any

import numpy as np
import pytest

import logitkit
from tests.support import (
    INTEGERS,
    Array,
    Float,
    Reduction,
    by_reduction,
    check,
    check_binary,
    check_loss_out,
    expected_binary,
    finite_differences,
    random_logits,
    random_weights,
    shape_id,
)

FROM_PROBS = "binary_cross_entropy"
FROM_LOGITS = "binary_cross_entropy_with_logits"
BINARY_SHAPES: list[tuple[int, ...]] = [
    (),
    (0,),
    (1,),
    (7,),
    (33,),
    (4099,),
    (4, 5),
    (0, 3),
    (65, 17),
    (3, 4, 5),
    (2, 1, 3, 2),
]
TARGETS = ["float64", "float32", "bool", *INTEGERS]

by_name = pytest.mark.parametrize("name", [FROM_PROBS, FROM_LOGITS])
by_shape = pytest.mark.parametrize("shape", BINARY_SHAPES, ids=shape_id)


def random_inputs(
    rng: np.random.Generator, name: str, shape: tuple[int, ...], dtype: Float
) -> Array:
    """Draw logits, or probabilities inside (0, 1), for the loss named."""
    if name == FROM_LOGITS:
        return random_logits(rng, shape, dtype)
    power = rng.choice([0.2, 1.0, 8.0], size=shape)
    return np.asarray(1e-6 + (1.0 - 2e-6) * rng.random(shape) ** power, dtype=dtype)


def random_labels(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> Array:
    """Draw targets in [0, 1], the ends among them."""
    values = np.round(rng.random(shape) * 1.5, 3).clip(0.0, 1.0)
    return np.asarray(values if kind.startswith("float") else values > 0.5, dtype=kind)


@by_name
@by_shape
@by_reduction
def test_shapes(
    rng: np.random.Generator, dtype: Float, name: str, shape: tuple[int, ...], reduction: Reduction
) -> None:
    """Every shape, with fractional targets and with 0 and 1."""
    x = random_inputs(rng, name, shape, dtype)
    for kind in ("float64", "int64"):
        check_binary(name, x, random_labels(rng, shape, kind), reduction=reduction)


@by_name
@by_reduction
@pytest.mark.parametrize("kind", TARGETS)
def test_target_dtypes(
    rng: np.random.Generator, dtype: Float, name: str, kind: str, reduction: Reduction
) -> None:
    """Targets may have any float, integer or bool dtype."""
    x = random_inputs(rng, name, (6, 7), dtype)
    check_binary(name, x, random_labels(rng, x.shape, kind), reduction=reduction)


def random_weights_like(rng: np.random.Generator, form: str, x: Array) -> Any:  # noqa: ANN401
    """Draw weights that broadcast to `x` in one of the ways there are."""
    shapes: dict[str, tuple[int, ...]] = {
        "row": (x.shape[-1],),
        "column": (x.shape[0], 1),
        "one": (1, 1),
        "full": x.shape,
    }
    if form == "number":
        return 0.75
    if form == "list":
        return [2, *[0.5] * (x.shape[-1] - 1)]
    return random_weights(rng, shapes[form], x.dtype)


by_form = pytest.mark.parametrize("form", ["number", "list", "row", "column", "one", "full"])


@by_name
@by_form
@by_reduction
def test_weight(
    rng: np.random.Generator, dtype: Float, name: str, form: str, reduction: Reduction
) -> None:
    """The weight broadcasts to the input; the mean divides by the number of elements."""
    x = random_inputs(rng, name, (5, 6), dtype)
    targets = random_labels(rng, x.shape, "float64")
    check_binary(name, x, targets, weight=random_weights_like(rng, form, x), reduction=reduction)


@by_form
@by_reduction
def test_pos_weight(
    rng: np.random.Generator, dtype: Float, form: str, reduction: Reduction
) -> None:
    """The weight of the positive class broadcasts to the logits, alone and beside `weight`."""
    x = random_inputs(rng, FROM_LOGITS, (5, 6), dtype)
    targets = random_labels(rng, x.shape, "float64")
    options = {"pos_weight": random_weights_like(rng, form, x), "reduction": reduction}
    check_binary(FROM_LOGITS, x, targets, **options)
    check_binary(FROM_LOGITS, x, targets, weight=random_weights(rng, 6, dtype), **options)


@pytest.mark.parametrize("eps", [1e-12, 1e-7, 1e-3, 0.2, 0.499])
@pytest.mark.parametrize("y", [0.0, 0.3, 1.0])
@by_reduction
def test_eps(dtype: Float, eps: float, y: float, reduction: Reduction) -> None:
    """Probabilities are clipped into [eps, 1 - eps]; the gradient is 0 where they were."""
    step = float(np.finfo(dtype).eps)
    inside = [1e-30, 1e-10, 0.3 * eps, 3.0 * eps, 0.25, 0.75, 1.0 - 4.0 * step, 1.0 - step]
    ends = [0.0, 1.0, -0.5 * eps, 1.0 + 0.5 * eps]
    p = np.array([*(value for value in inside if value < 1), *ends], dtype=dtype)
    check_binary(FROM_PROBS, p, np.full(p.shape, y), eps=eps, reduction=reduction)


@by_reduction
def test_eps_with_weight(rng: np.random.Generator, dtype: Float, reduction: Reduction) -> None:
    """Clipping and weights go together."""
    p = random_inputs(rng, FROM_PROBS, (5, 6), dtype)
    targets = random_labels(rng, p.shape, "float64")
    weight = random_weights(rng, (5, 1), dtype)
    check_binary(FROM_PROBS, p, targets, eps=0.01, weight=weight, reduction=reduction)


@pytest.mark.parametrize("y", [0.0, 0.25, 1.0])
def test_small_probabilities(dtype: Float, y: float) -> None:
    """Probabilities near 0 and near 1 keep the digits of their losses."""
    step, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).tiny)
    p = np.array([tiny, 1e-30, 1e-12, step, 0.5, 1.0 - step / 2, 1.0 - step], dtype=dtype)
    check_binary(FROM_PROBS, p, np.full(p.shape, y), reduction="none")


@pytest.mark.parametrize("y", [0.0, 0.25, 1.0])
def test_wide_logits(dtype: Float, y: float) -> None:
    """Logits of any size: a right answer keeps its small loss, a wrong one overflows nothing."""
    sizes = np.concatenate([np.geomspace(1e-30, 30.0, 40), [50.0, 87.0, 103.0, 700.0, 1e4, 1e30]])
    z = np.concatenate([sizes, -sizes, [0.0, -0.0]]).astype(dtype)
    check_binary(FROM_LOGITS, z, np.full(z.shape, y), reduction="none")
    check_binary(FROM_LOGITS, z[np.abs(z) < 80], np.full(int((np.abs(z) < 80).sum()), y))


@pytest.mark.parametrize("kind", ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_integer_inputs(kind: str) -> None:
    """Integers and bools become float64."""
    check_binary(FROM_LOGITS, np.array([0, 1, 1, 3]).astype(kind), np.array([0, 1, 0, 1]))
    check_binary(FROM_PROBS, np.array([0, 1, 1, 0]).astype(kind), np.array([0, 1, 1, 0]))


@by_name
def test_lists(name: str) -> None:
    """Lists are taken for every array argument."""
    x, targets, weight = [0.25, 0.5, 0.75], [0, 1, 0.5], [1, 2, 0]
    want = expected_binary(name, np.array(x), np.array(targets), weight=weight)
    loss, grad = getattr(logitkit, f"{name}_and_grad")(x, targets, weight=weight)
    check(loss, want[0], np.float64)
    check(grad, want[1], np.float64, (3,))


@by_name
@by_reduction
@pytest.mark.parametrize("shape", [(7,), (5, 33), (3, 4, 5)])
def test_out(
    rng: np.random.Generator, dtype: Float, name: str, shape: tuple[int, ...], reduction: Reduction
) -> None:
    """The gradient is written to `out`, which may be the input."""
    x = random_inputs(rng, name, shape, dtype)
    check_loss_out(name, x, random_labels(rng, shape, "float64"), None, reduction)


@by_name
def test_arguments_are_left_alone(rng: np.random.Generator, dtype: Float, name: str) -> None:
    """Nothing is written to the arguments."""
    x = random_inputs(rng, name, (4, 5), dtype)
    targets = random_labels(rng, x.shape, str(np.dtype(dtype)))
    weight = random_weights(rng, x.shape, dtype)
    before = [argument.copy() for argument in (x, targets, weight)]
    _, grad = getattr(logitkit, f"{name}_and_grad")(x, targets, weight=weight)
    for argument, copy in zip((x, targets, weight), before, strict=True):
        np.testing.assert_array_equal(argument, copy)
        assert not np.shares_memory(grad, argument)


@by_name
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_is_the_derivative(
    rng: np.random.Generator, name: str, reduction: Reduction, weighted: bool
) -> None:
    """Finite differences of the loss agree."""
    x = rng.uniform(0.1, 0.9, size=(4, 5))
    targets = random_labels(rng, x.shape, "float64")
    options: dict[str, Any] = {"reduction": reduction}
    if weighted:
        options["weight"] = random_weights(rng, x.shape, np.float64)
        option = "pos_weight" if name == FROM_LOGITS else "eps"
        options[option] = np.array(3.0) if name == FROM_LOGITS else 0.2

    def loss(x: Array) -> float:
        return float(getattr(logitkit, name)(x, targets, **options))

    _, grad = getattr(logitkit, f"{name}_and_grad")(x, targets, **options)
    np.testing.assert_allclose(grad, finite_differences(loss, x), rtol=1e-6, atol=1e-7)


@by_reduction
def test_logits_and_their_sigmoid_agree(
    rng: np.random.Generator, dtype: Float, reduction: Reduction
) -> None:
    """The loss of logits is the loss of their sigmoid."""
    z = np.asarray(rng.normal(size=(8, 5)), dtype=dtype)
    targets = random_labels(rng, z.shape, "float64")
    of_logits = logitkit.binary_cross_entropy_with_logits(z, targets, reduction=reduction)
    of_probs = logitkit.binary_cross_entropy(logitkit.sigmoid(z), targets, reduction=reduction)
    eps = float(np.finfo(dtype).eps)  # what the sigmoid near 1 rounds away is absolute
    np.testing.assert_allclose(of_logits, of_probs, rtol=8 * eps, atol=8 * eps)


@pytest.mark.parametrize("every", [1, 7, 64])
def test_neighbours_do_not_show(rng: np.random.Generator, dtype: Float, every: int) -> None:
    """Several vectors are worked on at once, unless one of them holds what needs care."""
    x = np.asarray(rng.normal(scale=20, size=333), dtype)
    x[::every] = 75  # of float32, too far from 0 for the short way
    x[5::every] = np.nan
    labels = rng.integers(0, 2, x.size).astype(dtype)
    labels[3::every] = 0.25
    together = logitkit.binary_cross_entropy_with_logits_and_grad(x, labels, reduction="none")
    others = [
        (logitkit.sigmoid(x), logitkit.sigmoid),
        (logitkit.softplus(x), logitkit.softplus),
        (logitkit.log_sigmoid(x), logitkit.log_sigmoid),
    ]
    for at in range(x.size):
        one = slice(at, at + 1)
        alone = logitkit.binary_cross_entropy_with_logits_and_grad(
            x[one], labels[one], reduction="none"
        )
        for got, want in zip(together, alone, strict=True):
            np.testing.assert_array_equal(got[one], want)
        for got, function in others:
            np.testing.assert_array_equal(got[one], function(x[one]))
