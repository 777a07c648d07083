"""cross_entropy and its gradient against the reference: every option, alone and combined.

Rows with NaN or inf and rows left out are in test_special_values.py.
"""

from typing import Any

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
    index_shape,
    random_indices,
    random_logits,
    random_options,
    random_soft_targets,
    random_targets,
    random_weights,
    shape_id,
    strided_like,
)

NAME = "cross_entropy"


@by_kind
@pytest.mark.parametrize("shape, axis", SHAPES, ids=shape_id)
def test_shapes(
    rng: np.random.Generator, dtype: Float, shape: tuple[int, ...], axis: int, soft: bool
) -> None:
    """Every shape and axis, both kinds of targets, with and without a reduction."""
    x = random_logits(rng, shape, dtype)
    targets = random_targets(rng, x, axis, soft)
    for reduction in ("none", "mean"):
        check_loss(NAME, x, targets, axis, reduction=reduction)


@pytest.mark.parametrize("kind", INTEGERS)
@pytest.mark.parametrize("classes", [10, 300])
@pytest.mark.parametrize("axis", [0, 1])
def test_index_dtypes(
    rng: np.random.Generator, dtype: Float, kind: str, classes: int, axis: int
) -> None:
    """Class indices may have any integer dtype."""
    shape = (7, classes) if axis else (classes, 7)
    x = random_logits(rng, shape, dtype)
    check_loss(NAME, x, random_indices(rng, shape, axis, kind), axis, reduction="none")


@pytest.mark.parametrize("kind", [*INTEGERS, "bool", "float32", "float64"])
@by_reduction
def test_soft_dtypes(
    rng: np.random.Generator, dtype: Float, kind: str, reduction: Reduction
) -> None:
    """Soft targets may be floats, or ints and bools as a one-hot matrix."""
    x = random_logits(rng, (5, 6), dtype)
    targets = random_soft_targets(rng, (5, 6), kind)
    check_loss(NAME, x, targets, reduction=reduction)
    check_loss(NAME, x, targets, axis=0, reduction=reduction)


@by_reduction
@pytest.mark.parametrize("axis", [0, -1])
def test_one_hot_matrix_means_the_index(
    rng: np.random.Generator, dtype: Float, reduction: Reduction, axis: int
) -> None:
    """A one-hot matrix gives the loss of the index."""
    x = random_logits(rng, (8, 8), dtype)
    targets = random_indices(rng, (8, 8), axis)
    one_hot = np.moveaxis(np.eye(8, dtype=np.int32)[targets], -1, axis)
    want, _ = expected_loss(NAME, x, targets, axis, reduction=reduction)
    got = logitkit.cross_entropy(x, one_hot, axis=axis, reduction=reduction)
    check(got, want, dtype, index_shape(x, axis))


@pytest.mark.parametrize("kind", ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
@by_reduction
def test_integer_logits(kind: str, reduction: Reduction) -> None:
    """Integer and bool logits are computed in float64."""
    x = np.array([[0, 1, 1], [1, 0, 0], [100, 3, 120]]).astype(kind)
    check_loss(NAME, x, np.array([0, 2, 1]), reduction=reduction)
    check_loss(NAME, x, np.eye(3), reduction=reduction)


@by_reduction
def test_lists(reduction: Reduction) -> None:
    """Lists are taken for every array argument."""
    logits, weight, sample_weight = [[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]], [1, 2, 3], [0.5, 2]
    options: dict[str, Any] = {
        "reduction": reduction,
        "weight": weight,
        "sample_weight": sample_weight,
    }
    for targets in ([2, 0], [[0, 0, 1], [1, 0, 0]], [[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]):
        want, want_grad = expected_loss(NAME, np.array(logits), np.array(targets), **options)
        loss, grad = logitkit.cross_entropy_and_grad(logits, targets, **options)
        check(loss, want, np.float64, (2,))
        check(grad, want_grad, np.float64, (2, 3))


@by_reduction
@pytest.mark.parametrize("kind", ["list", "index 0-d"])
def test_one_row(rng: np.random.Generator, dtype: Float, reduction: Reduction, kind: str) -> None:
    """1-d logits are one row: a plain number or a 0-d array is its target."""
    x = random_logits(rng, (10,), dtype)
    targets: Any = 3 if kind == "list" else np.array(3, dtype=np.int16)
    want, want_grad = expected_loss(NAME, x, np.array(3), reduction=reduction)
    loss, grad = logitkit.cross_entropy_and_grad(x, targets, reduction=reduction)
    check(loss, want, dtype, ())
    check(grad, want_grad, dtype, (10,))


# Accuracy that plain formulas lose


@by_reduction
@pytest.mark.parametrize("lead", [5.0, 20.0, 30.0, 80.0])
@pytest.mark.parametrize("classes", [2, 10, 17, 1000])
def test_confident_rows(dtype: Float, lead: float, classes: int, reduction: Reduction) -> None:
    """A confident row keeps its small loss and its small target gradient."""
    x = np.zeros((4, classes), dtype=dtype)
    x[:, 0] = lead
    x[1] = x[1, ::-1]
    x[2] -= dtype(50.0)
    targets = np.array([0, classes - 1, 0, classes - 1])
    rows = slice(None) if reduction == "none" else slice(3)  # a wrong guess would hide the others
    check_loss(NAME, x[rows], targets[rows], reduction=reduction)
    check_loss(NAME, np.asfortranarray(x[rows]), targets[rows], reduction=reduction)
    check_loss(NAME, x[rows].T.copy(), targets[rows], axis=0, reduction=reduction)


def test_lead_of_thirty(dtype: Float) -> None:
    """The loss of a lead of 30 is 9.36e-14 for each other class, as the contract says."""
    x = np.array([30.0, *[0.0] * 9], dtype=dtype)
    loss, grad = logitkit.cross_entropy_and_grad(x, 0)
    assert float(loss) == pytest.approx(9 * 9.36e-14, rel=1e-3)
    assert float(grad[0]) == pytest.approx(-9 * 9.36e-14, rel=1e-3)


@pytest.mark.parametrize("power", range(-30, 38, 6))
def test_magnitudes(rng: np.random.Generator, dtype: Float, power: int) -> None:
    """Logits of every size overflow nothing."""
    x = (rng.uniform(-1.0, 1.0, size=(9, 9)) * 3.0 * 10.0**power).astype(dtype)
    check_loss(NAME, x, random_indices(rng, (9, 9), 1), reduction="none")
    check_loss(NAME, x, random_indices(rng, (9, 9), 0), axis=0, reduction="mean")


def test_many_rows(rng: np.random.Generator, dtype: Float) -> None:
    """The mean over many rows is as accurate as one row."""
    x = random_logits(rng, (20_000, 3), dtype)
    check_loss(NAME, x, random_indices(rng, x.shape, -1))


# Options


COMBINATIONS = combinations("weight", "sample_weight", "ignore_index", "label_smoothing", "z_loss")


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
    x = random_logits(rng, shape, dtype)
    targets = random_targets(rng, x, axis, soft)
    names = tuple(name for name in names if not soft or name != "ignore_index")
    options = random_options(rng, names, x, axis)
    for reduction in REDUCTIONS:
        check_loss(NAME, x, targets, axis, reduction=reduction, **options)


@by_reduction
@pytest.mark.parametrize("smoothing", [0, 1e-6, 0.1, 0.5, 1.0, np.float32(0.25), 1])
@by_kind
def test_label_smoothing(
    rng: np.random.Generator, dtype: Float, smoothing: float, reduction: Reduction, soft: bool
) -> None:
    """Smoothing from none to all, for one class and for many."""
    for shape in ((6, 1), (6, 5), (3, 130)):
        x = random_logits(rng, shape, dtype)
        targets = random_targets(rng, x, -1, soft)
        check_loss(NAME, x, targets, label_smoothing=float(smoothing), reduction=reduction)


@by_reduction
@pytest.mark.parametrize("z_loss", [0, 1e-4, 0.1, 3.0])
@pytest.mark.parametrize("shift", [0.0, -3.0, 500.0])
def test_z_loss(
    rng: np.random.Generator, dtype: Float, z_loss: float, shift: float, reduction: Reduction
) -> None:
    """The square of the logsumexp, near 0 and far from it."""
    x = (rng.normal(size=(6, 10)) + shift).astype(dtype)
    check_loss(NAME, x, random_indices(rng, x.shape, -1), z_loss=z_loss, reduction=reduction)


@by_reduction
@pytest.mark.parametrize("kind", ["i4", "u1", "?", "f4", "f8"])
def test_dtypes_of_weights(
    rng: np.random.Generator, dtype: Float, kind: str, reduction: Reduction
) -> None:
    """Weights may have any real dtype, whatever that of the logits."""
    x = random_logits(rng, (6, 4), dtype)
    targets = random_indices(rng, x.shape, -1)
    weight = (np.array([3, 1, 2, 1]) / (3 if kind == "f8" else 1)).astype(kind)
    sample_weight = np.array([1, 2, 3, 1, 5, 1]).astype(kind)
    check_loss(NAME, x, targets, weight=weight, reduction=reduction)
    check_loss(NAME, x, targets, sample_weight=sample_weight, reduction=reduction)


@by_reduction
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_sample_weight_has_the_shape_of_the_indices(
    rng: np.random.Generator, dtype: Float, axis: int, reduction: Reduction
) -> None:
    """Sample weights of any layout go with their rows."""
    x = random_logits(rng, (4, 5, 6), dtype)
    targets = random_indices(rng, x.shape, axis)
    sample_weight = random_weights(rng, targets.shape, dtype)
    for layout in (sample_weight, np.asfortranarray(sample_weight)):
        check_loss(NAME, x, targets, axis, sample_weight=layout, reduction=reduction)


@by_reduction
@pytest.mark.parametrize(
    "kind, ignored",
    [("i1", -100), ("i8", -100), ("i8", -1), ("u1", 255), ("i4", 2), ("u8", 0), ("i2", 9_999)],
)
def test_ignore_index(
    rng: np.random.Generator, dtype: Float, kind: str, ignored: int, reduction: Reduction
) -> None:
    """Any number can mark rows to leave out, a class or none."""
    x = random_logits(rng, (9, 5), dtype)
    targets = random_indices(rng, x.shape, -1, kind)
    targets[[1, 4]] = ignored
    targets[0] = 1
    check_loss(NAME, x, targets, ignore_index=ignored, reduction=reduction)


@pytest.mark.parametrize(
    "kind, ignored, kept", [("u1", -100, 156), ("u1", 300, 44), ("i1", 257, 1)]
)
def test_ignore_index_does_not_wrap(
    rng: np.random.Generator, dtype: Float, kind: str, ignored: int, kept: int
) -> None:
    """A mark that the dtype of the targets cannot hold marks no row."""
    x = random_logits(rng, (3, 200), dtype)
    targets = np.array([0, kept, 5]).astype(kind)
    check_loss(NAME, x, targets, ignore_index=ignored, reduction="none")


@by_reduction
@pytest.mark.parametrize("kind", ["float32", "float64", "int8", "bool"])
@pytest.mark.parametrize("classes", [1023, 1025, 2500])
def test_long_soft_rows(
    rng: np.random.Generator, dtype: Float, kind: str, classes: int, reduction: Reduction
) -> None:
    """Soft targets that are gathered piece by piece meet the logits of their own classes."""
    x = random_logits(rng, (3, classes), dtype)
    targets = random_soft_targets(rng, x.shape, kind)
    options = random_options(rng, ("weight", "label_smoothing"), x, -1)
    check_loss(NAME, x, targets, reduction=reduction)
    check_loss(NAME, x, targets, reduction=reduction, **options)


@by_reduction
@pytest.mark.parametrize("names", [(), ("weight",), ("weight", "label_smoothing")], ids=len)
@pytest.mark.parametrize("classes", [10, 1000, 2500])
def test_soft_bits_do_not_show_the_layout(
    rng: np.random.Generator,
    dtype: Float,
    classes: int,
    names: tuple[str, ...],
    reduction: Reduction,
) -> None:
    """Soft targets of any layout, and of any dtype that holds them, give the same bits."""
    x = random_logits(rng, (5, classes), dtype)
    targets = random_soft_targets(rng, x.shape, np.float32)
    options = random_options(rng, names, x, -1) | {"reduction": reduction}
    want_loss, want_grad = logitkit.cross_entropy_and_grad(x, targets, **options)
    wide = targets.astype(np.float64)
    strided = strided_like(targets)
    strided[...] = targets
    for same in (np.asfortranarray(targets), wide, np.asfortranarray(wide), strided):
        loss, grad = logitkit.cross_entropy_and_grad(x, same, **options)
        np.testing.assert_array_equal(loss, want_loss)
        np.testing.assert_array_equal(grad, want_grad)


@by_reduction
def test_soft_targets_of_any_sign(
    rng: np.random.Generator, dtype: Float, reduction: Reduction
) -> None:
    """A row whose soft targets add up to 0 counts all the same."""
    x = random_logits(rng, (4, 6), dtype)
    targets = np.zeros((4, 6))
    targets[:, 1:3] = [0.5, -0.5]
    targets[3] = 0.0
    check_loss(NAME, x, targets, reduction=reduction)


@pytest.mark.parametrize("names", [(), ("label_smoothing",)], ids=len)
def test_many_soft_rows(rng: np.random.Generator, dtype: Float, names: tuple[str, ...]) -> None:
    """Rows without a target are left out of the mean, wherever threads take over."""
    x = random_logits(rng, (70, 1000), dtype)
    targets = random_soft_targets(rng, x.shape)
    targets[[0, 33, 69]] = 0.0
    targets[5, :-1] = 0.0
    check_loss(NAME, x, targets, **random_options(rng, names, x, -1))


@by_kind
def test_smoothing_keeps_the_distance_of_confident_rows(dtype: Float, soft: bool) -> None:
    """What smoothing adds is exact for logits that are large and close together."""
    x = np.full((2, 40), 2.0**20, dtype=dtype)
    x[:, 3] += dtype(30.0)
    x[1, 20:] = dtype(-(2.0**24))
    targets = np.array([3, 3])
    one_hot: Array = np.eye(40, dtype=dtype)[targets]
    for smoothing in (1e-9, 0.1):
        options: dict[str, Any] = {"label_smoothing": smoothing, "reduction": "none"}
        check_loss(NAME, x, one_hot if soft else targets, **options)


# out= and derivatives


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
    """The gradient is written to `out`, which may be the logits; the loss is the same."""
    x = random_logits(rng, shape, dtype)
    targets = random_targets(rng, x, axis, soft)
    check_loss_out(NAME, x, targets, axis, reduction)


def test_inputs_are_left_alone(rng: np.random.Generator, dtype: Float) -> None:
    """Nothing is written to the arguments."""
    x = random_logits(rng, (6, 5), dtype)
    options = random_options(rng, ("weight", "sample_weight"), x, -1)
    arguments: list[Array] = [x, random_indices(rng, x.shape, -1), *options.values()]
    before = [argument.copy() for argument in arguments]
    _, grad = logitkit.cross_entropy_and_grad(x, arguments[1], **options)
    for argument, copy in zip(arguments, before, strict=True):
        np.testing.assert_array_equal(argument, copy)
        assert not np.shares_memory(grad, argument)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@by_kind
@pytest.mark.parametrize("plain", [False, True], ids=["options", "plain"])
def test_gradient_is_the_derivative(
    rng: np.random.Generator, axis: int, reduction: Reduction, soft: bool, plain: bool
) -> None:
    """Finite differences of the loss agree."""
    x = rng.normal(size=(5, 6)) * 2.0
    targets = random_targets(rng, x, axis, soft)
    names = ("weight", "sample_weight", "label_smoothing", "z_loss")
    options = {} if plain else random_options(rng, names, x, axis)
    options |= {"axis": axis, "reduction": reduction}
    want = finite_differences(lambda x: float(logitkit.cross_entropy(x, targets, **options)), x)
    _, grad = logitkit.cross_entropy_and_grad(x, targets, **options)
    np.testing.assert_allclose(grad, want, rtol=1e-7, atol=1e-8)
