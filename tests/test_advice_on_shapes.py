"""What a message says to write instead of wrong shapes and targets, and that it works."""

import re
from typing import Any

import ml_dtypes
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pytest

import logitkit
from tests.refusals import BINARY_LOSSES, CLASS_LOSSES, advice, both, followed, refused, rows_like
from tests.support import Array

X: Array = np.log(np.arange(1.0, 16.0).reshape(3, 5))
SHARES: Array = X / X.sum(1, keepdims=True)
INDICES: Array = np.array([4, 0, 2])


# Targets of classes


@pytest.mark.parametrize("function", ["cross_entropy", "accuracy", "perplexity"])
def test_floats_that_hold_indices(function: str) -> None:
    told = advice(function, X, INDICES.astype(float))
    indices = followed(told.split(" for the")[0], targets=INDICES.tolist())
    np.testing.assert_array_equal(indices, INDICES)


@pytest.mark.parametrize("function", [*both(CLASS_LOSSES), "accuracy", "perplexity"])
@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_floats_that_hold_no_indices(function: str, kind: Any) -> None:  # noqa: ANN401
    """Made whole by dropping what they hold, they would be other classes in silence."""
    fractions = np.array([0.5, 1.0, 2.0], kind)
    refused(function, ValueError, "whole, and not all of these are$", targets=fractions)
    fractions[1] = np.nan
    refused(function, ValueError, "whole, and not all of these are$", targets=fractions)
    missing = np.array([0.0, np.nan, 2.0], kind)
    facts = (r"NaN is no class: write np\.nan_to_num", "ignore_index=-100")
    refused(function, ValueError, *facts, targets=missing)


@pytest.mark.parametrize(
    "missing",
    [[0.0, np.nan, 2.0], pl.Series([0, None, 2]), pd.Series([0, None, 2], dtype="Int64")],
)
def test_missing_indices(missing: Any) -> None:  # noqa: ANN401
    told = advice("cross_entropy", X, missing)
    expression, option = re.findall(r"np\..*astype\(int\)|ignore_index=-100", told)
    assert option == "ignore_index=-100"
    targets: Array = followed(expression, targets=missing)
    assert targets.tolist() == [0, -100, 2]
    logitkit.cross_entropy(X, targets, ignore_index=-100)


@pytest.mark.parametrize(
    "targets, told",
    [
        (SHARES.T, "targets.T"),
        (SHARES[None], "targets[0]"),
        (SHARES[..., None], "targets[..., 0]"),
        (SHARES[0], "np.broadcast_to(targets, [3, 5])"),
        (SHARES[:1], "np.broadcast_to(targets, [3, 5])"),
        (INDICES[:, None], "targets[..., 0]"),
        (INDICES[None], "targets[0]"),
        (np.array(2), "np.broadcast_to(targets, [3])"),
    ],
)
def test_shapes_of_targets(targets: Array, told: str) -> None:
    last = advice("cross_entropy", X, targets)
    assert last == f"write {told}"
    logitkit.cross_entropy(X, followed(last, targets=targets))


def test_targets_of_classes_on_another_axis() -> None:
    images = np.zeros((2, 3, 4, 5))
    for function in ("cross_entropy", "accuracy", "perplexity"):
        assert (
            advice(function, images, rows_like(images, 1))
            == "if the classes are on axis 1, pass axis=1"
        )
        logitkit_function: Any = getattr(logitkit, function)
        logitkit_function(images, rows_like(images, 1), axis=1)


def test_arguments_the_other_way_round() -> None:
    assert "are they swapped?" in advice("cross_entropy", INDICES, X)
    assert "are they swapped?" in advice("accuracy", INDICES, X)


@pytest.mark.parametrize("targets", [np.zeros(3), np.zeros((3, 1)), np.zeros((5, 3)), np.zeros(4)])
def test_accuracy_offers_no_probabilities(targets: Array) -> None:
    call: Any = logitkit.accuracy
    with pytest.raises(ValueError, match="accuracy needs class indices") as caught:
        call(X, targets)
    assert "probabilities" not in str(caught.value)


# Elements


@pytest.mark.parametrize("function", both(BINARY_LOSSES))
@pytest.mark.parametrize(
    "shape, of_targets, told",
    [
        ((3, 1), (3,), "targets[..., None]"),
        ((3,), (3, 1), "targets[..., 0]"),
        ((3,), (1, 3), "targets[0]"),
        ((3, 5), (5, 3), "targets.T"),
        ((3, 5), (5,), "np.broadcast_to(targets, [3, 5])"),
        ((2, 3, 1, 1), (2, 3), "targets[..., None, None]"),
    ],
)
def test_shapes_of_binary_targets(
    function: str, shape: tuple[int, ...], of_targets: tuple[int, ...], told: str
) -> None:
    scores, targets = np.full(shape, 0.5), np.zeros(of_targets)
    last = advice(function, scores, targets)
    assert last == f"write {told}"
    call: Any = getattr(logitkit, function)
    call(scores, followed(last, targets=targets))


@pytest.mark.parametrize("function", both(BINARY_LOSSES))
@pytest.mark.parametrize("kind", [int, float, np.int8, np.float32])
def test_binary_targets_of_signs(function: str, kind: Any) -> None:  # noqa: ANN401
    scores, targets = np.full(3, 0.5), np.array([1, -1, 1], kind)
    last = advice(function, scores, targets)
    assert last.endswith("(targets + 1) / 2")
    call: Any = getattr(logitkit, function)
    call(scores, followed(last.split("write ")[1], targets=targets))


@pytest.mark.parametrize("shape, told", [((3,), "weight[..., None]"), ((5, 3), "weight.T")])
def test_weights_of_elements(shape: tuple[int, ...], told: str) -> None:
    weight = np.ones(shape)
    last = advice("binary_cross_entropy", np.full((3, 5), 0.5), np.ones((3, 5)), weight=weight)
    assert last == f"write {told}"
    logitkit.binary_cross_entropy(
        np.full((3, 5), 0.5), np.ones((3, 5)), weight=followed(last, weight=weight)
    )


@pytest.mark.parametrize(
    "name, shape, told",
    [
        ("weight", (5, 1), "weight[..., 0]"),
        ("weight", (1, 5), "weight[0]"),
        ("sample_weight", (3, 1), "sample_weight[..., 0]"),
        ("sample_weight", (), "np.broadcast_to(sample_weight, [3])"),
    ],
)
def test_weights_of_classes_and_rows(name: str, shape: tuple[int, ...], told: str) -> None:
    options: Any = {name: np.ones(shape)}
    last = advice("cross_entropy", X, INDICES, **options)
    assert last == f"write {told}"
    options[name] = followed(last, **options)
    logitkit.cross_entropy(X, INDICES, **options)


def test_transposed_cotangents() -> None:
    assert advice("softmax_vjp", SHARES, X.T) == "write cotangent.T"


def test_transposed_weight_of_linear() -> None:
    weight = np.ones((5, 4))
    last = advice("linear", X, weight)
    assert last == "write weight.T"
    assert logitkit.linear(X, followed(last, weight=weight)).shape == (3, 4)


def test_a_product_is_not_helped_by_another_view() -> None:
    assert "write" not in advice("linear", np.ones((3, 1)), np.ones((4, 5)))


# Masks


def test_transposed_masks() -> None:
    where = np.arange(15).reshape(5, 3) % 2 == 0
    told = advice("softmax", X, where=where)
    assert told == "write where.T"
    logitkit.softmax(X, where=followed(told, where=where))
