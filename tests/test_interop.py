"""Arrays of other libraries, with the libraries themselves: taken as they are, ndarrays come back.

What NumPy does not take by itself is in src/python/interop.rs. torch and jax are too large to come
with the tools: their arrays are in test_interop_torch.py and test_interop_jax.py.
"""

import array
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr

import logitkit
from tests.memory import peak
from tests.support import Array, assert_same_bits

ROWS = [[1.0, 2.0, 3.0], [2.0, 0.5, 1.0]]
SINGLE: Array = np.array(ROWS, np.float32)
DOUBLE: Array = np.array(ROWS)

TABLES: dict[str, Callable[[Array], Any]] = {
    "pandas frame": pd.DataFrame,
    "pandas frame, columns of their own": lambda x: pd.DataFrame(dict(enumerate(x.T))),
    "polars frame": lambda x: pl.DataFrame(x, schema=["a", "b", "c"]),
    "pyarrow table": lambda x: pa.table({str(c): column for c, column in enumerate(x.T)}),
    "pyarrow tensor": pa.Tensor.from_numpy,
    "xarray": lambda x: xr.DataArray(x, dims=("row", "class")),
}
NULLABLE = {"f": "Float32", "d": "Float64", "l": "Int64"}
COLUMNS: dict[str, Callable[[Array], Any]] = {
    "pandas series": pd.Series,
    "pandas series, nullable": lambda x: pd.Series(x, dtype=NULLABLE[x.dtype.char]),
    "polars series": lambda x: pl.Series("logits", x),
    "pyarrow array": pa.array,
    "pyarrow chunks": lambda x: pa.chunked_array([x[:1], x[1:]]),
    "xarray": lambda x: xr.DataArray(x, dims="class"),
    "array.array": lambda x: array.array(x.dtype.char, x.tolist()),
    "memoryview": lambda x: x.data,
}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("x", [SINGLE, DOUBLE], ids=["float32", "float64"])
def test_tables(kind: str, x: Array) -> None:
    table = TABLES[kind](x)
    assert_same_bits(np.ascontiguousarray(logitkit.softmax(table)), logitkit.softmax(x))
    assert_same_bits(logitkit.cross_entropy(table, [0, 1]), logitkit.cross_entropy(x, [0, 1]))
    soft = TABLES[kind](logitkit.softmax(x))
    assert_same_bits(
        logitkit.cross_entropy(x, soft), logitkit.cross_entropy(x, logitkit.softmax(x))
    )


@pytest.mark.parametrize("kind", [name for name in TABLES if "arrow" not in name])
def test_masks(kind: str) -> None:
    table = TABLES[kind](SINGLE)
    got = logitkit.softmax(table, where=table != 2.0)
    assert_same_bits(np.ascontiguousarray(got), logitkit.softmax(SINGLE, where=SINGLE != 2.0))


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("x", [SINGLE[0], DOUBLE[0]], ids=["float32", "float64"])
def test_columns(kind: str, x: Array) -> None:
    assert_same_bits(logitkit.softmax(COLUMNS[kind](x)), logitkit.softmax(x))
    assert_same_bits(logitkit.log_sigmoid(COLUMNS[kind](x)), logitkit.log_sigmoid(x))


@pytest.mark.parametrize("kind", [name for name in COLUMNS if name != "xarray"])
def test_columns_of_class_indices(kind: str) -> None:
    targets = np.array([2, 0])
    got = logitkit.cross_entropy(SINGLE, COLUMNS[kind](targets))
    assert_same_bits(got, logitkit.cross_entropy(SINGLE, targets))


def test_missing_values_are_no_numbers() -> None:
    """A missing value is a NaN, or what cannot be one is refused: nothing is made up."""
    assert np.isnan(logitkit.softmax(pd.Series([1.0, None]))).all()
    assert np.isnan(logitkit.softmax(pl.Series([1.0, None]))).all()
    with pytest.raises(TypeError, match="dtype object"):
        logitkit.softmax(pd.Series([1, None], dtype=object))


def test_text_is_refused_by_its_name() -> None:
    for frame in (pd.DataFrame({"a": ["x"]}), pl.DataFrame({"a": ["x"]})):
        with pytest.raises(TypeError, match="x has dtype"):
            logitkit.softmax(frame)


class OnlyDlpack:
    """What some libraries' arrays are: no `__array__`, no buffer, DLPack alone."""

    def __init__(self, x: Array) -> None:
        self.x = x

    def __dlpack__(self, **options: Any) -> Any:  # noqa: ANN401
        """Hand out the array's memory."""
        return self.x.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Say where it is."""
        return self.x.__dlpack_device__()


class Elsewhere(OnlyDlpack):
    """An array on a device that NumPy does not reach."""

    def __dlpack__(self, **options: Any) -> Any:  # noqa: ANN401
        """Refuse, as such arrays do."""
        raise BufferError(f"the memory is on a GPU: {sorted(options)}")


def test_dlpack_alone() -> None:
    # No type tells what such an object holds.
    offered: Any = OnlyDlpack(SINGLE)
    targets: Any = OnlyDlpack(np.array([0, 2]))
    elsewhere: Any = Elsewhere(SINGLE)
    assert_same_bits(logitkit.softmax(offered), logitkit.softmax(SINGLE))
    assert_same_bits(
        logitkit.cross_entropy(SINGLE, targets), logitkit.cross_entropy(SINGLE, [0, 2])
    )
    with pytest.raises(TypeError, match=r"x is of type Elsewhere.*CPU"):
        logitkit.softmax(elsewhere)


def test_dlpack_is_not_copied() -> None:
    x = np.zeros((2048, 2048), np.float32)
    call: Any = logitkit.logsumexp
    call(OnlyDlpack(x))
    if sys.platform == "linux":
        assert peak(lambda: call(OnlyDlpack(x))) < x.nbytes // 2


class Nowhere:
    """A type that says nothing of its module."""

    __module__ = None  # type: ignore[assignment]

    def __array__(self, dtype: object = None, copy: object = None) -> Array:
        """Give an array, as NumPy asks for it."""
        assert dtype is copy is None
        return SINGLE


def test_a_type_without_a_module() -> None:
    assert_same_bits(logitkit.softmax(Nowhere()), logitkit.softmax(SINGLE))


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_overflow_warns_of_nothing(kind: Any) -> None:  # noqa: ANN401
    """Warnings are errors in these tests."""
    large = np.full((1, 4), np.finfo(kind).max, kind)
    assert np.isposinf(logitkit.linear(large, large)).all()
    assert np.isnan(logitkit.linear(large[:, :2] * [np.inf, -np.inf], large[:, :2])).all()
    assert not np.isfinite(logitkit.softmax_vjp(np.array([0.5, 0.5], kind), [1e300, 1.0])).all()
    targets, weight = [0.0, 1.0], [1e300, 1.0]
    loss = logitkit.binary_cross_entropy_with_logits(np.zeros(2, kind), targets, weight=weight)
    assert np.isposinf(loss)
