"""categorical_cross_entropy and its gradient, from probabilities, against the reference."""

import numpy as np
import pytest

import logitkit
from tests.support import (
    INTEGERS,
    REDUCTIONS,
    SHAPES,
    Array,
    Float,
    Reduction,
    by_axis,
    by_kind,
    by_reduction,
    check,
    check_loss,
    check_loss_out,
    combinations,
    expected_loss,
    finite_differences,
    random_indices,
    random_options,
    random_probs,
    random_soft_targets,
    random_targets,
    shape_id,
)

NAME = "categorical_cross_entropy"
COMBINATIONS = combinations("weight", "sample_weight", "ignore_index", "eps")


@by_kind
@pytest.mark.parametrize("shape, axis", SHAPES, ids=shape_id)
def test_shapes(
    rng: np.random.Generator, dtype: Float, shape: tuple[int, ...], axis: int, soft: bool
) -> None:
    """Every shape and axis, both kinds of targets, with and without a reduction."""
    p = random_probs(rng, shape, axis, dtype)
    targets = random_targets(rng, p, axis, soft)
    for reduction in ("none", "mean"):
        check_loss(NAME, p, targets, axis, reduction=reduction)


@by_axis
@by_kind
@pytest.mark.parametrize("names", COMBINATIONS, ids="+".join)
def test_options(
    rng: np.random.Generator,
    dtype: Float,
    shape: tuple[int, ...],
    axis: int,
    names: tuple[str, ...],
    soft: bool,
) -> None:
    """Every set of options; soft targets go without `ignore_index`."""
    p = random_probs(rng, shape, axis, dtype)
    targets = random_targets(rng, p, axis, soft)
    names = tuple(name for name in names if not soft or name != "ignore_index")
    options = random_options(rng, names, p, axis)
    for reduction in REDUCTIONS:
        check_loss(NAME, p, targets, axis, reduction=reduction, **options)


@pytest.mark.parametrize("kind", INTEGERS)
@by_reduction
def test_index_dtypes(
    rng: np.random.Generator, dtype: Float, kind: str, reduction: Reduction
) -> None:
    """Class indices may have any integer dtype."""
    p = random_probs(rng, (7, 300), -1, dtype)
    check_loss(NAME, p, random_indices(rng, p.shape, -1, kind), reduction=reduction)


@pytest.mark.parametrize("kind", [*INTEGERS, "bool", "float32", "float64"])
def test_soft_dtypes(rng: np.random.Generator, dtype: Float, kind: str) -> None:
    """Soft targets may be floats, or ints and bools as a one-hot matrix."""
    p = random_probs(rng, (6, 6), -1, dtype)
    for axis in (0, 1):
        check_loss(NAME, p, random_soft_targets(rng, p.shape, kind), axis, reduction="none")


def near_the_ends(dtype: Float, eps: float) -> Array:
    """Make probabilities at 0, at 1, just around them, and clear of both clips."""
    tiny, step = float(np.finfo(dtype).tiny), float(np.finfo(dtype).eps)
    inside = [tiny, 1e-30, 1e-10, 0.3 * eps, 3.0 * eps, 0.25, 0.5, 0.75]
    values = [*inside, 1.0 - step, 1.0 - 4.0 * step, 1.0, 0.0]
    return np.array([value for value in values if 0 <= value <= 1], dtype=dtype)


@pytest.mark.parametrize("eps", [0.0, 1e-12, 1e-7, 1e-3, 0.2, 0.499])
@by_reduction
def test_eps(dtype: Float, eps: float, reduction: Reduction) -> None:
    """Probabilities are clipped into [eps, 1 - eps]; the gradient is 0 where they were."""
    values = near_the_ends(dtype, eps)
    p = np.stack([values, dtype(1.0) - values], axis=-1)
    usable = p[(p[:, 0] > 0) | (eps > 0)]
    targets = np.zeros(len(usable), dtype=np.int64)
    check_loss(NAME, usable, targets, eps=eps, reduction=reduction)
    check_loss(NAME, usable.T, targets, axis=0, eps=eps, reduction=reduction)


@pytest.mark.parametrize("p", [-1e-3, -0.5e-3, 1.0 + 0.5e-3])
def test_eps_forgives_rounding(dtype: Float, p: float) -> None:
    """A probability up to eps outside [0, 1] counts as clipped."""
    probs = np.array([[p, 0.5], [0.25, p]], dtype=dtype)
    targets = np.array([[1.0, 0.0], [0.5, 0.5]])
    check_loss(NAME, probs, targets, eps=2e-3, reduction="none")
    _, grad = logitkit.categorical_cross_entropy_and_grad(probs, targets, eps=2e-3)
    assert grad[0, 0] == 0
    assert grad[1, 1] == 0


def test_zero_at_the_target(dtype: Float) -> None:
    """P = 0 is an infinite loss with gradient -inf at a target, and nothing elsewhere."""
    p = np.array([[0.0, 1.0], [0.0, 1.0], [0.5, 0.5]], dtype=dtype)
    for targets in (np.array([0, 1, 0]), np.array([[1, 0], [0, 1], [1, 0]])):
        check_loss(NAME, p, targets, reduction="none")
        loss, grad = logitkit.categorical_cross_entropy_and_grad(p, targets, reduction="none")
        assert loss.tolist()[:2] == [np.inf, 0.0]
        assert grad.tolist()[:2] == [[-np.inf, 0.0], [0.0, -1.0]]
        assert logitkit.categorical_cross_entropy(p, targets) == np.inf


def test_lists_and_integers() -> None:
    """Lists and integers become float64."""
    rows = [[0.4, 0.5, 0.1], [0.2, 0.7, 0.1]]
    want, want_grad = expected_loss(NAME, np.array(rows), np.array([1, 0]), weight=[1.0, 2.0, 1.0])
    loss, grad = logitkit.categorical_cross_entropy_and_grad(rows, [1, 0], weight=[1, 2, 1])
    check(loss, want, np.float64)
    check(grad, want_grad, np.float64, (2, 3))
    check_loss(NAME, np.array([[1, 0], [0, 1]], dtype=np.uint8), np.array([0, 1]))
    check_loss(NAME, np.array([[True, False], [False, True]]), np.array([0, 0]), eps=0.1)


@by_axis
@by_reduction
@by_kind
def test_out(
    rng: np.random.Generator,
    dtype: Float,
    shape: tuple[int, ...],
    axis: int,
    reduction: Reduction,
    soft: bool,
) -> None:
    """The gradient is written to `out`, which may be the probabilities."""
    p = random_probs(rng, shape, axis, dtype)
    targets = random_targets(rng, p, axis, soft)
    check_loss_out(NAME, p, targets, axis, reduction)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@by_kind
def test_gradient_is_the_derivative(
    rng: np.random.Generator, reduction: Reduction, soft: bool
) -> None:
    """Finite differences of the loss agree, clipped entries included."""
    p = rng.uniform(0.05, 0.95, size=(5, 6))
    p[::2, ::3] = 0.01
    targets = random_targets(rng, p, -1, soft)
    options = random_options(rng, ("weight", "sample_weight"), p, -1)
    options |= {"reduction": reduction, "eps": 0.02}

    def loss(p: Array) -> float:
        return float(logitkit.categorical_cross_entropy(p, targets, **options))

    _, grad = logitkit.categorical_cross_entropy_and_grad(p, targets, **options)
    np.testing.assert_allclose(grad, finite_differences(loss, p), rtol=1e-6, atol=1e-7)
