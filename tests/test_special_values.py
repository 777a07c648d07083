"""NaN, inf, empty arrays, rows left out and the exact zeros: what the contract says in tables.

The accuracy of ordinary rows is the business of each function's own file.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import logitkit
from tests import reference
from tests.support import (
    PLAIN,
    REDUCTIONS,
    Array,
    Float,
    Reduction,
    check,
    check_binary,
    check_loss,
    index_shape,
    placed,
)

NAN, INF = float("nan"), float("inf")

# Rows, with their softmax, log_softmax and logsumexp where these do not depend on the rest.
# None: what the reference says of the row.
SPECIAL_ROWS: dict[str, tuple[float, Sequence[float], float | None, float | None, float | None]] = {
    "nan": (NAN, (), NAN, NAN, NAN),
    "nan and inf": (NAN, (INF,), NAN, NAN, NAN),
    "nan and -inf": (NAN, (-INF,), NAN, NAN, NAN),
    "inf": (INF, (), NAN, NAN, INF),
    "two inf": (INF, (INF,), NAN, NAN, INF),
    "inf and -inf": (INF, (-INF,), NAN, NAN, INF),
    "-inf": (-INF, (), None, None, None),
    "two -inf": (-INF, (-INF,), None, None, None),
}
LENGTHS = (3, 8, 16, 17, 40, 130)


def lay(rows: Sequence[Sequence[float]], dtype: Float, axis: int) -> Array:
    """Make an array of these rows along `axis`."""
    return np.ascontiguousarray(np.moveaxis(np.array(rows, dtype=dtype), -1, axis))


def row_with(length: int, place: int, value: float, more: Sequence[float]) -> list[float]:
    """Make a row of ordinary numbers with special ones from `place` on, around the end."""
    row = [0.25 * (i % 7) - 0.5 for i in range(length)]
    for i, special in enumerate((value, *more)):
        row[(place + i) % length] = special
    return row


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", SPECIAL_ROWS)
def test_special_rows(dtype: Float, kind: str, length: int, axis: int) -> None:
    """A special value anywhere in its row has the effect of the table, and on its row alone."""
    value, more, softmax, log_softmax, logsumexp = SPECIAL_ROWS[kind]
    plain = row_with(length, 0, 0.0, ())
    for place in sorted({0, 1, length // 2, length - 1}):
        special = row_with(length, place, value, more)
        rows = [plain, special, plain, plain, special]
        x = lay(rows, dtype, axis)
        dues = [
            (logitkit.softmax, reference.softmax, softmax),
            (logitkit.log_softmax, reference.log_softmax, log_softmax),
        ]
        for function, expected, due in dues:
            answer = expected(special) if due is None else [due] * length
            other = expected(plain)
            want = placed([other, answer, other, other, answer], x, axis)
            check(function(x, axis), want, dtype, x.shape, float64=PLAIN)
        sums = [reference.logsumexp(plain)] * 5
        for n in (1, 4):
            sums[n] = reference.logsumexp(special if logsumexp is None else [logsumexp])
        check(logitkit.logsumexp(x, axis), sums, dtype, (5,), float64=PLAIN)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("length", [2, 16, 33])
def test_minus_inf_is_exactly_absent(dtype: Float, length: int, axis: int) -> None:
    """-inf has probability exactly 0 and log-probability -inf."""
    x = lay([row_with(length, length // 2, -INF, ()), row_with(length, 0, -INF, ())], dtype, axis)
    absent = np.isneginf(x)
    assert (logitkit.softmax(x, axis)[absent] == 0).all()
    assert np.isneginf(logitkit.log_softmax(x, axis)[absent]).all()
    assert np.isfinite(logitkit.logsumexp(x, axis)).all()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("length", [1, 5, 16, 37])
def test_rows_of_minus_inf(dtype: Float, length: int, axis: int) -> None:
    """All -inf: softmax and log_softmax NaN, logsumexp -inf."""
    x = lay([[0.5] * length, [-INF] * length, [1.5] * length], dtype, axis)
    nan = np.isnan(np.moveaxis(logitkit.softmax(x, axis), axis, -1))
    np.testing.assert_array_equal(nan, [[False] * length, [True] * length, [False] * length])
    nan = np.isnan(np.moveaxis(logitkit.log_softmax(x, axis), axis, -1))
    np.testing.assert_array_equal(nan, [[False] * length, [True] * length, [False] * length])
    sums = logitkit.logsumexp(x, axis)
    np.testing.assert_array_equal(np.isneginf(sums), [False, True, False])
    assert not np.isnan(sums).any()


@pytest.mark.parametrize("shape, axis", [((0,), 0), ((3, 0), 1), ((0, 4), 0), ((2, 0, 3), 1)])
def test_no_classes(dtype: Float, shape: tuple[int, ...], axis: int) -> None:
    """Without classes: empty, empty, -inf; a cross entropy has no meaning."""
    x = np.zeros(shape, dtype=dtype)
    for function in (logitkit.softmax, logitkit.log_softmax):
        check(function(x, axis), [], dtype, shape)
    check(logitkit.softmax_vjp(x, x, axis), [], dtype, shape)
    check(logitkit.log_softmax_vjp(x, x, axis), [], dtype, shape)
    sums = np.asarray(logitkit.logsumexp(x, axis))
    assert sums.shape == index_shape(x, axis)
    assert np.isneginf(sums).all()
    assert np.shape(logitkit.logsumexp(x, axis, keepdims=True)) == tuple(
        1 if i == axis else size for i, size in enumerate(shape)
    )
    targets = np.zeros(index_shape(x, axis), dtype=np.int64)
    with pytest.raises(ValueError, match="class"):
        logitkit.cross_entropy(x, targets, axis=axis)
    assert logitkit.top_k(x, 0, axis)[0].shape == shape


# cross_entropy


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("soft", [False, True], ids=["index", "soft"])
@pytest.mark.parametrize("bad", [[NAN, 0.0, 1.0], [INF, 0.0, 1.0], [-INF, -INF, -INF]])
def test_bad_rows_stay_alone(dtype: Float, bad: list[float], soft: bool, axis: int) -> None:
    """A row without a softmax has a NaN loss and gradient, and touches no other row."""
    x = lay([[1.0, 2.0, 0.5], bad, [0.0, 0.0, 3.0], bad], dtype, axis)
    targets = np.array([2, 1, 0, 0])
    if soft:
        targets = np.moveaxis(np.eye(3, dtype=np.int64)[targets], -1, axis)
    check_loss("cross_entropy", x, targets, axis, reduction="none")
    loss, grad = logitkit.cross_entropy_and_grad(x, targets, axis=axis, reduction="none")
    assert np.isnan(loss).tolist() == [False, True, False, True]
    rows_with_nan = np.isnan(np.moveaxis(grad, axis, -1)).all(axis=-1)
    assert rows_with_nan.tolist() == [False, True, False, True]
    mean, grad = logitkit.cross_entropy_and_grad(x, targets, axis=axis)
    assert np.isnan(mean)
    assert np.isfinite(np.moveaxis(grad, axis, -1)[[0, 2]]).all()
    check_loss("cross_entropy", x, targets, axis, reduction="mean")


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"z_loss": 0.5}])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_minus_inf_logits(dtype: Float, options: dict[str, Any], reduction: Reduction) -> None:
    """-inf at the target is an infinite loss with a finite gradient; elsewhere it is absent."""
    x = np.array([[0.0, -INF, 1.0], [2.0, -INF, 0.5]], dtype=dtype)
    for targets in (np.array([1, 0]), np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])):
        check_loss("cross_entropy", x, targets, reduction=reduction, **options)
    loss, grad = logitkit.cross_entropy_and_grad(x, np.array([1, 0]), reduction="none")
    assert loss[0] == INF
    assert np.isfinite(loss[1])
    assert np.isfinite(grad).all()
    assert grad[1, 1] == 0


def test_zero_times_infinity_is_zero(dtype: Float) -> None:
    """A class with target 0 or weight 0 adds nothing to the loss, though its logit is -inf."""
    x = np.array([[0.0, -INF, 1.0], [-INF, 0.5, 0.5]], dtype=dtype)
    soft = np.array([[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]])
    check_loss("cross_entropy", x, soft, reduction="none")
    check_loss("nll_loss", x, soft, reduction="none")
    assert np.isfinite(logitkit.cross_entropy(x, soft))
    weight = [1.0, 0.0, 1.0]
    options: dict[str, Any] = {"weight": weight, "label_smoothing": 0.25, "reduction": "none"}
    check_loss("cross_entropy", x[:1], np.array([2]), **options)
    assert np.isfinite(logitkit.cross_entropy(x[:1], np.array([2]), **options)).all()
    p = np.array([[0.5, 0.0, 0.5]], dtype=dtype)
    check_loss("categorical_cross_entropy", p, np.array([[0.5, 0.25, 0.25]]), weight=weight)


def test_nll_loss_of_special_values(dtype: Float) -> None:
    """Only the entries that count are looked at: NaN and -inf elsewhere do no harm."""
    x = np.array([[NAN, -1.0], [-0.5, -INF], [-INF, 0.0], [NAN, -2.0]], dtype=dtype)
    targets = np.array([1, 0, 0, 0])
    check_loss("nll_loss", x, targets, reduction="none")
    got = logitkit.nll_loss(x, targets, reduction="none")
    np.testing.assert_array_equal(got, [1.0, 0.5, INF, NAN])


# Rows left out

BAD_ROWS = [[NAN, 0.0, 1.0], [INF, 2.0, INF], [-INF, -INF, -INF], [0.0, -INF, NAN]]
GOOD = [[0.5, 0.25, 0.25], [0.125, 0.5, 0.375]]

by_loss = pytest.mark.parametrize(
    "name", ["cross_entropy", "nll_loss", "categorical_cross_entropy"]
)


def check_left_out(
    name: str,
    x: Array,
    targets: Array,
    axis: int,
    out: Sequence[int],
    **options: Any,  # noqa: ANN401
) -> None:
    """Check that the rows `out` have loss and gradient exactly 0, and agree with the reference."""
    for reduction in REDUCTIONS:
        check_loss(name, x, targets, axis, reduction=reduction, **options)
        function = getattr(logitkit, f"{name}_and_grad")
        loss, grad = function(x, targets, axis=axis, reduction=reduction, **options)
        assert (np.moveaxis(grad, axis, -1)[list(out)] == 0).all()
        if reduction == "none":
            assert (loss[list(out)] == 0).all()
        else:
            assert np.isfinite(loss)


@by_loss
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("bad", BAD_ROWS)
@pytest.mark.parametrize("mark", [-100, 2, 99])
def test_ignored_rows(dtype: Float, name: str, axis: int, bad: list[float], mark: int) -> None:
    """A row marked by `ignore_index` is left out, whatever it holds."""
    x = lay([GOOD[0], bad, GOOD[1], bad], dtype, axis)
    targets = np.array([1, mark, 0, mark])
    check_left_out(name, x, targets, axis, (1, 3), ignore_index=mark)
    check_left_out(name, x, targets, axis, (1, 3), ignore_index=mark, weight=[1.0, 2.0, 4.0])


@by_loss
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("bad", BAD_ROWS)
@pytest.mark.parametrize("soft", [False, True], ids=["index", "soft"])
def test_rows_of_sample_weight_zero(
    dtype: Float, name: str, axis: int, bad: list[float], soft: bool
) -> None:
    """A row of sample weight 0 is left out, whatever it holds."""
    x = lay([bad, GOOD[0], bad, GOOD[1]], dtype, axis)
    targets = np.array([0, 1, 2, 0])
    if soft:
        targets = np.moveaxis(np.eye(3, dtype=np.int64)[targets], -1, axis)
    for zero in (0.0, -0.0):
        sample_weight = [zero, 2.0, zero, 0.5]
        check_left_out(name, x, targets, axis, (0, 2), sample_weight=sample_weight)
    if name == "cross_entropy":
        options = {"sample_weight": [0, 1, 0, 3], "label_smoothing": 0.1, "z_loss": 0.1}
        check_left_out(name, x, targets, axis, (0, 2), **options)


@by_loss
@pytest.mark.parametrize("bad", BAD_ROWS)
def test_rows_whose_class_weight_is_zero(dtype: Float, name: str, bad: list[float]) -> None:
    """A row whose every coefficient is 0 is left out."""
    x = lay([bad, GOOD[0], GOOD[1]], dtype, 1)
    check_left_out(name, x, np.array([1, 0, 2]), 1, (0,), weight=[1.0, 0.0, 3.0])


@by_loss
@pytest.mark.parametrize("bad", BAD_ROWS)
def test_rows_whose_soft_targets_are_zero(dtype: Float, name: str, bad: list[float]) -> None:
    """A row of soft targets 0 is left out, and does not count in the mean."""
    x = lay([bad, GOOD[0], GOOD[1]], dtype, 1)
    soft = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.25, 0.75]])
    check_left_out(name, x, soft, 1, (0,))
    soft[0, 0] = 1.0
    check_left_out(name, x, soft, 1, (0,), weight=[0.0, 1.0, 2.0])


def test_coefficients_that_smoothing_and_z_loss_give(dtype: Float) -> None:
    """A target of weight 0 leaves its row in when smoothing or z-loss still counts it."""
    x = np.array([[0.5, 1.0, -1.0], [2.0, 0.0, 0.25]], dtype=dtype)
    targets = np.array([1, 0])
    for name, value in (("label_smoothing", 0.25), ("z_loss", 0.5)):
        options: dict[str, Any] = {"weight": [1.0, 0.0, 3.0], name: value}
        for reduction in REDUCTIONS:
            check_loss("cross_entropy", x, targets, reduction=reduction, **options)
        assert (logitkit.cross_entropy(x, targets, reduction="none", **options) > 0).all()


EMPTY_CASES: dict[str, tuple[int, Any, dict[str, Any]]] = {
    "no rows": (0, [], {}),
    "no rows, soft": (0, None, {}),
    "all ignored": (2, [1, 1], {"ignore_index": 1}),
    "sample weights 0": (2, [0, 2], {"sample_weight": [0.0, 0.0]}),
    "sample weights 0, soft": (2, None, {"sample_weight": [0.0, 0.0]}),
    "ignored or weight 0": (2, [0, 1], {"ignore_index": 1, "sample_weight": [0.0, 5.0]}),
    "class weights 0": (2, [1, 1], {"weight": [1.0, 0.0, 1.0]}),
}


@by_loss
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("case", EMPTY_CASES)
def test_nothing_kept(dtype: Float, name: str, axis: int, case: str) -> None:
    """Nothing to average: the mean is nan, the sum 0, the gradient 0."""
    count, indices, options = EMPTY_CASES[case]
    x = np.full((count, 3) if axis == 1 else (3, count), 0.25, dtype=dtype)
    targets = np.full(x.shape, 0.5) if indices is None else np.array(indices, dtype=np.int64)
    function: Callable[..., Any] = getattr(logitkit, f"{name}_and_grad")
    for reduction, due in (("mean", NAN), ("sum", 0.0)):
        loss, grad = function(x, targets, axis=axis, reduction=reduction, **options)
        check(loss, due, dtype)
        assert grad.shape == x.shape
        assert (grad == 0).all()
    loss, grad = function(x, targets, axis=axis, reduction="none", **options)
    assert loss.tolist() == [0.0] * count
    assert (grad == 0).all()


def test_class_weights_that_smoothing_outlives(dtype: Float) -> None:
    """Weights that sum to 0 make the mean nan and the gradient 0, though a loss is left."""
    x = np.array([[0.5, 1.0, -1.0]], dtype=dtype)
    options: dict[str, Any] = {"weight": [1.0, 0.0, 3.0], "label_smoothing": 0.25}
    loss, grad = logitkit.cross_entropy_and_grad(x, np.array([1]), **options)
    assert np.isnan(loss)
    assert (grad == 0).all()


# Binary losses

BINARY_LOGITS = [
    (INF, 1.0, 0.0, 0.0),
    (-INF, 0.0, 0.0, 0.0),
    (INF, 0.0, INF, 1.0),
    (-INF, 1.0, INF, -1.0),
    (INF, 0.25, INF, 0.75),
    (-INF, 0.25, INF, -0.25),
    (NAN, 0.0, NAN, NAN),
    (NAN, 1.0, NAN, NAN),
]
BINARY_PROBS = [
    (0.0, 0.0, 0.0, 1.0),
    (1.0, 1.0, 0.0, -1.0),
    (0.0, 1.0, INF, -INF),
    (1.0, 0.0, INF, INF),
    (0.0, 0.5, INF, -INF),
    (1.0, 0.5, INF, INF),
]
BINARY_CASES = [
    *(("binary_cross_entropy_with_logits", *case) for case in BINARY_LOGITS),
    *(("binary_cross_entropy", *case) for case in BINARY_PROBS),
]


@pytest.mark.parametrize("name, x, y, loss, grad", BINARY_CASES)
@pytest.mark.parametrize("size", [1, 4, 19])
def test_binary_ends(
    dtype: Float, name: str, x: float, y: float, loss: float, grad: float, size: int
) -> None:
    """The ends of the range have exact losses and gradients, and touch no other element."""
    inputs, targets = np.full(size, 0.5, dtype=dtype), np.full(size, 0.25)
    inputs[-1], targets[-1] = x, y
    check_binary(name, inputs, targets, reduction="none")
    losses, grads = getattr(logitkit, f"{name}_and_grad")(inputs, targets, reduction="none")
    np.testing.assert_array_equal([losses[-1], grads[-1]], [loss, grad])
    assert np.isfinite(losses[:-1]).all()
    assert np.isfinite(grads[:-1]).all()


@pytest.mark.parametrize(
    "name, bad",
    [
        ("binary_cross_entropy_with_logits", NAN),
        ("binary_cross_entropy_with_logits", INF),
        ("binary_cross_entropy_with_logits", -INF),
        ("binary_cross_entropy", NAN),
        ("binary_cross_entropy", 0.0),
        ("binary_cross_entropy", 1.0),
    ],
)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_elements_of_weight_zero(
    dtype: Float, name: str, bad: float, reduction: Reduction
) -> None:
    """An element of weight 0 is left out, whatever it holds; the mean counts it all the same."""
    x = np.array([bad, 0.25, bad, 0.75], dtype=dtype)
    targets = np.array([0.5, 0.25, 1.0, 1.0])
    options: dict[str, Any] = {"weight": [0.0, 1.0, 0.0, 2.0], "reduction": reduction}
    check_binary(name, x, targets, **options)
    loss, grad = getattr(logitkit, f"{name}_and_grad")(x, targets, **options)
    assert np.isfinite(loss).all()
    assert grad[[0, 2]].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", ["binary_cross_entropy_with_logits", "binary_cross_entropy"])
def test_binary_of_nothing(dtype: Float, name: str) -> None:
    """No elements: the mean is nan, the sum 0, the gradient empty."""
    x, targets = np.zeros((0, 3), dtype=dtype), np.zeros((0, 3))
    for reduction, due in (("mean", NAN), ("sum", 0.0)):
        loss, grad = getattr(logitkit, f"{name}_and_grad")(x, targets, reduction=reduction)
        check(loss, due, dtype)
        check(grad, [], dtype, (0, 3))
