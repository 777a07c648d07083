"""What a message says to write instead of masks, dtypes and objects, and that it works.

What is refused, and which facts a message names, is tested in test_errors.py,
advice on shapes and on targets in test_advice_on_shapes.py.
"""

import re
from typing import Any

import ml_dtypes
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pytest

import logitkit
from tests.refusals import BINARY_LOSSES, CLASS_LOSSES, advice, followed, refused

# Masks


@pytest.mark.parametrize("function", ["softmax", "log_softmax", "logsumexp"])
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16, np.int8])
def test_masks_of_numbers(function: str, kind: Any) -> None:  # noqa: ANN401
    """An additive mask made bool would mean the opposite: the advice tells the two apart."""
    facts = ("bool", r"np\.asarray\(where, bool\) if", r"np\.asarray\(where\) == 0 if.*additive")
    refused(function, TypeError, *facts, where=np.zeros((3, 5), kind))
    refused(function, TypeError, *facts, where=np.zeros((3, 5), kind).tolist())


@pytest.mark.parametrize("function", ["softmax", "log_softmax", "logsumexp"])
def test_masks_of_objects_and_text(function: str) -> None:
    facts = ("dtype object", "None", r"np\.asarray\(where, bool\)")
    refused(function, TypeError, *facts, where=np.array([True, None] * 2 + [False]))
    refused(function, TypeError, "dtype <U1", "comparison", where=["a"] * 5)


# Dtypes


@pytest.mark.parametrize(
    "given, told",
    [
        (np.ones(3, complex), r"np\.real\(x\) if"),
        ([1j, 2.0], r"np\.real\(x\) if"),
        (np.array(["1", "2"]), r"np\.asarray\(x, np\.float64\)$"),
        (["1", "2"], r"np\.asarray\(x, np\.float64\)$"),
        (["1", 2, None], r"np\.asarray\(x, np\.float64\)$"),
        (np.ones(3, ml_dtypes.float8_e4m3fn), r"np\.asarray\(x, np\.float32\)$"),
        (pl.Series([[1.0, 2.0], [3.0, 4.0]]), r"type Series.*np\.stack\(x\)$|np\.stack\(x\)$"),
        (pd.DataFrame({"a": pd.array([1.0, None], "Float64"), "b": [1, 2]}), "na_value=np.nan"),
        (None, "object of type NoneType, expected an array"),
        ({"a": 1.0}, "object of type dict, expected an array"),
        ({1, 2}, "object of type set, expected an array"),
        (pl.LazyFrame({"a": [1.0]}), "object of type LazyFrame, expected an array"),
    ],
)
def test_dtypes(given: object, told: str) -> None:
    for function in ("softmax", "sigmoid"):
        refused(function, TypeError, rf"^x .*{told}", x=given)


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="longdouble is float64 here")
def test_longdouble() -> None:
    refused("softmax", TypeError, r"np\.asarray\(x, np\.float64\)$", x=np.ones(3, np.longdouble))


@pytest.mark.parametrize("kind", ["Float32", "Int64", "float32[pyarrow]"])
def test_nullable_frames(kind: str) -> None:
    """Without a missing value the shorter advice does, with one the other."""
    frame = pd.DataFrame([[1.0, 2.0], [3.0, 4.0]])
    told = advice("softmax", frame.astype(kind).astype(object))
    short, long = re.findall(r"np\.asarray\(.*?\)|x\.to_numpy\(.*\)", told)
    want = logitkit.softmax(frame.to_numpy(np.float32))
    np.testing.assert_array_equal(
        logitkit.softmax(followed(short, x=frame.astype(kind))), want, strict=True
    )
    frame.iloc[0, 1] = np.nan
    missing = followed(long, x=frame.astype("Float32"))
    assert np.isnan(logitkit.softmax(missing)).tolist() == [[True, True], [False, False]]


LABELS = ["b", "a", "c"]


@pytest.mark.parametrize("function", [*CLASS_LOSSES, *BINARY_LOSSES, "accuracy", "perplexity"])
@pytest.mark.parametrize(
    "labels",
    [LABELS, np.array(LABELS), np.array(LABELS, object), pd.Series(LABELS), pl.Series(LABELS)],
    ids=["list", "str", "object", "pandas", "polars"],
)
def test_labels(function: str, labels: object) -> None:
    told = r"np\.unique\(targets, return_inverse=True\)\[1\]$"
    refused(function, TypeError, "dtype", told, targets=labels)


def test_missing_indices_among_objects() -> None:
    targets = pd.Series([1, None, 0], dtype=object)
    told = r"targets\.fillna\(-100\), and then ignore_index=-100$"
    refused("cross_entropy", TypeError, told, targets=targets)
    indices = np.asarray(targets.fillna(-100), int)
    logitkit.cross_entropy(np.zeros((3, 5)), indices, ignore_index=-100)


@pytest.mark.parametrize("name", ["x", "where"])
def test_ragged_lists(name: str) -> None:
    facts = (rf"^{name} is no array: .*inhomogeneous", "equal length")
    refused("softmax", ValueError, *facts, **{name: [[1.0, 2.0], [3.0]]})


@pytest.mark.parametrize("value", [1, 0, "yes", None, [True]])
def test_keepdims(value: object) -> None:
    facts = ("keepdims", type(value).__name__, "True or False")
    refused("logsumexp", TypeError, *facts, keepdims=value)
