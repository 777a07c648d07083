"""nll_loss and its gradient against the reference, and against cross_entropy.

Rows with NaN or inf and rows left out are in test_special_values.py.
"""

import numpy as np
import pytest

import logitkit
from tests import reference
from tests.support import (
    INTEGERS,
    REDUCTIONS,
    SHAPES,
    Array,
    Float,
    Reduction,
    along,
    by_axis,
    by_kind,
    by_reduction,
    check,
    check_loss,
    check_loss_out,
    combinations,
    expected_loss,
    finite_differences,
    placed,
    random_indices,
    random_logits,
    random_options,
    random_soft_targets,
    random_targets,
    rounded,
    shape_id,
)

NAME = "nll_loss"
COMBINATIONS = combinations("weight", "sample_weight", "ignore_index")


def random_log_probs(
    rng: np.random.Generator, shape: tuple[int, ...], axis: int, dtype: Float
) -> Array:
    """Draw the log_softmax of random logits, by the reference."""
    x = random_logits(rng, shape)
    return rounded(along(reference.log_softmax, x, axis), dtype).reshape(shape)


@by_kind
@pytest.mark.parametrize("shape, axis", SHAPES, ids=shape_id)
def test_shapes(
    rng: np.random.Generator, dtype: Float, shape: tuple[int, ...], axis: int, soft: bool
) -> None:
    """Every shape and axis, both kinds of targets, with and without a reduction."""
    x = random_log_probs(rng, shape, axis, dtype)
    targets = random_targets(rng, x, axis, soft)
    for reduction in ("none", "mean"):
        check_loss(NAME, x, targets, axis, reduction=reduction)


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
    x = random_log_probs(rng, shape, axis, dtype)
    targets = random_targets(rng, x, axis, soft)
    names = tuple(name for name in names if not soft or name != "ignore_index")
    options = random_options(rng, names, x, axis)
    for reduction in REDUCTIONS:
        check_loss(NAME, x, targets, axis, reduction=reduction, **options)


@pytest.mark.parametrize("kind", INTEGERS)
@by_reduction
def test_index_dtypes(
    rng: np.random.Generator, dtype: Float, kind: str, reduction: Reduction
) -> None:
    """Class indices may have any integer dtype."""
    x = random_log_probs(rng, (7, 300), -1, dtype)
    check_loss(NAME, x, random_indices(rng, x.shape, -1, kind), reduction=reduction)


@pytest.mark.parametrize("kind", [*INTEGERS, "bool", "float32", "float64"])
def test_soft_dtypes(rng: np.random.Generator, dtype: Float, kind: str) -> None:
    """Soft targets may be floats, or ints and bools as a one-hot matrix."""
    x = random_log_probs(rng, (6, 6), -1, dtype)
    for axis in (0, 1):
        check_loss(NAME, x, random_soft_targets(rng, x.shape, kind), axis, reduction="none")


@by_reduction
def test_of_log_softmax_is_cross_entropy(
    rng: np.random.Generator, dtype: Float, reduction: Reduction
) -> None:
    """nll_loss of log_softmax is the cross entropy, also of confident rows."""
    x = random_logits(rng, (40, 10), dtype)
    x[:, 0] += dtype(30.0)
    targets = np.arange(40) % 2
    want, _ = expected_loss("cross_entropy", x, targets, reduction=reduction)
    got = logitkit.nll_loss(logitkit.log_softmax(x), targets, reduction=reduction)
    check(got, want, dtype, (40,), float32=4.0)


def test_any_numbers(dtype: Float) -> None:
    """Inputs need not be logs of probabilities: positive ones count against the loss."""
    x = np.array([[0.5, -2.0, 3.0], [1.0, 0.0, -0.25]], dtype=dtype)
    for reduction in REDUCTIONS:
        check_loss(NAME, x, np.array([2, 1]), reduction=reduction)
        check_loss(NAME, x, np.array([[0.5, 0.5, 0.0], [0.0, 1.0, 0.25]]), reduction=reduction)


def test_lists_and_integers() -> None:
    """Lists and integers become float64."""
    x = np.array([[0, -1, -5], [-2, 0, -3]])
    targets = np.array([1, 0])
    want, want_grad = expected_loss(NAME, x, targets, weight=[1.0, 2.0, 1.0])
    for argument in (x, x.astype(np.int8), x.tolist()):
        loss, grad = logitkit.nll_loss_and_grad(argument, targets.tolist(), weight=[1, 2, 1])
        check(loss, want, np.float64)
        check(grad, want_grad, np.float64, (2, 3))


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
    """The gradient is written to `out`, which may be the log-probabilities."""
    x = random_log_probs(rng, shape, axis, dtype)
    targets = random_targets(rng, x, axis, soft)
    check_loss_out(NAME, x, targets, axis, reduction)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@by_kind
def test_gradient_is_the_derivative(
    rng: np.random.Generator, reduction: Reduction, soft: bool
) -> None:
    """Finite differences of the loss agree."""
    x = random_log_probs(rng, (5, 6), -1, np.float64)
    targets = random_targets(rng, x, -1, soft)
    options = random_options(rng, ("weight", "sample_weight"), x, -1) | {"reduction": reduction}
    want = finite_differences(lambda x: float(logitkit.nll_loss(x, targets, **options)), x)
    _, grad = logitkit.nll_loss_and_grad(x, targets, **options)
    np.testing.assert_allclose(grad, want, rtol=1e-6, atol=1e-7)


def test_gradient_holds_the_coefficients(dtype: Float) -> None:
    """The gradient is -s w at the target and exactly 0 elsewhere."""
    x = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]], dtype=dtype))
    _, grad = logitkit.nll_loss_and_grad(
        x, [0, 2], weight=[2.0, 1.0, 0.5], sample_weight=[1.0, 3.0], reduction="none"
    )
    want = placed([[-2.0, 0.0, 0.0], [0.0, 0.0, -1.5]], x)
    assert grad.reshape(-1).tolist() == want
