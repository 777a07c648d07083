"""Arrays of other libraries, with the libraries themselves: taken as they are, ndarrays come back.

What NumPy does not take by itself is in src/python/interop.rs. torch and jax are too large to come
with the tools: their arrays are in test_interop_torch.py and test_interop_jax.py.
"""

import array
import re
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
from tests.support import ROOT, Array, assert_same_bits

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


# What the guide says of memory, by its words; torch and jax have files of their own

SHARED: dict[str, dict[str, Callable[[Array], Any]]] = {
    "NumPy array, memory map": {"array": np.asarray, "strides": lambda x: x[::-1, ::2]},
    "pandas frame of one dtype": {"frame": pd.DataFrame},
    "pandas series, nullable or not": {
        "series": lambda x: pd.Series(x.ravel()),
        "nullable": lambda x: pd.Series(x.ravel(), dtype="Float32"),
        "arrow": lambda x: pd.Series(x.ravel(), dtype="float32[pyarrow]"),
    },
    "polars frame": {"side by side": lambda x: pl.from_numpy(x.reshape(x.shape[::-1]).T)},
    "polars series, also of dtype `Array`": {
        "series": lambda x: pl.Series(x.ravel()),
        "Array": pl.Series,
    },
    "PyArrow array, tensor": {
        "array": lambda x: pa.array(x.ravel()),
        "tensor": pa.Tensor.from_numpy,
    },
    "PyArrow `FixedShapeTensorArray`": {
        "array": lambda x: pa.FixedShapeTensorArray.from_numpy_ndarray(x).to_numpy_ndarray()
    },
    "xarray `DataArray`": {"array": xr.DataArray},
    "`array.array`, `memoryview`, what offers DLPack alone": {
        "array.array": lambda x: array.array("f", x.tobytes()),
        "memoryview": lambda x: x.data,
        "DLPack": OnlyDlpack,
    },
}
COPIED: dict[str, Callable[[Array], Any]] = {
    "pandas frame of several dtypes": lambda x: pd.DataFrame({0: x[0], 1: x[1].astype(float)}),
    "pandas frame of nullable columns": lambda x: (
        pd.DataFrame(x).astype("Float32").to_numpy(np.float32, na_value=np.nan)
    ),
    "polars frame": lambda x: pl.DataFrame({"a": x[1], "b": x[0]}),
    "polars series of dtype `List`": lambda x: pl.Series(x.tolist()).list.to_array(x.shape[1]),
    "PyArrow table, array of several chunks": lambda x: pa.chunked_array([x[0], x[1]]),
}
ELSEWHERE = {"polars lazy frame", "torch tensor", "jax array"}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted by Linux")
@pytest.mark.parametrize(
    "words, kind", [(words, kind) for words, kinds in SHARED.items() for kind in kinds]
)
def test_memory_is_shared(words: str, kind: str) -> None:
    x = np.zeros((2048, 2048), np.float32)
    given = SHARED[words][kind](x)
    logitkit.logsumexp(given)
    assert peak(lambda: logitkit.logsumexp(given)) < x.nbytes // 2


@pytest.mark.parametrize("words", COPIED)
def test_what_is_copied(words: str) -> None:
    """A copy cannot be seen in a result: each time that they are asked, they give another array."""
    given = COPIED[words](SINGLE)
    asked = np.asarray(given)
    assert_same_bits(logitkit.softmax(given), logitkit.softmax(asked))
    assert asked.dtype.kind == "f"
    # Two of them the caller converts.
    if not ("nullable" in words or "List" in words):
        assert not np.shares_memory(asked, np.asarray(given))


def test_a_lazy_frame_is_collected() -> None:
    frame = pl.DataFrame(SINGLE)
    lazy: Any = frame.lazy()
    with pytest.raises(TypeError):
        logitkit.softmax(lazy)
    assert_same_bits(logitkit.softmax(lazy.collect()), logitkit.softmax(np.asarray(frame)))


def test_what_is_no_block_of_numbers_is_refused() -> None:
    for given in (
        pl.Series(SINGLE.tolist()),
        pa.FixedShapeTensorArray.from_numpy_ndarray(SINGLE),
        pd.DataFrame(SINGLE).astype("Float32"),
    ):
        with pytest.raises(TypeError, match="dtype object"):
            logitkit.softmax(given)


MISSING: dict[str, Callable[[], Any]] = {
    "pandas frame": lambda: pd.DataFrame({"a": [1.0, None], "b": [2.0, 3.0]}),
    "pandas frame, nullable": lambda: pd.DataFrame(
        {"a": pd.array([1.0, None], "Float64"), "b": [2.0, 3.0]}
    ).to_numpy(np.float64, na_value=np.nan),
    "polars frame": lambda: pl.DataFrame({"a": [1.0, None], "b": [2.0, 3.0]}),
    "pyarrow table": lambda: pa.table({"a": [1.0, None], "b": [2.0, 3.0]}),
}
MISSING_INTEGERS: dict[str, Callable[[], Any]] = {
    "pandas": lambda: pd.Series([1, None], dtype="Int64"),
    "polars": lambda: pl.Series([1, None]),
    "pyarrow": lambda: pa.array([1, None]),
}


@pytest.mark.parametrize("kind", MISSING)
def test_missing_values_are_nan(kind: str) -> None:
    want = logitkit.softmax([[1.0, 2.0], [np.nan, 3.0]])
    assert_same_bits(np.ascontiguousarray(logitkit.softmax(MISSING[kind]())), want)


@pytest.mark.parametrize("kind", MISSING_INTEGERS)
def test_missing_class_indices_are_filled_first(kind: str) -> None:
    targets = MISSING_INTEGERS[kind]()
    with pytest.raises(ValueError, match="float64"):
        logitkit.cross_entropy(SINGLE, targets)
    fill = getattr(targets, "fillna", None) or getattr(targets, "fill_null", None)
    assert fill is not None
    got = logitkit.cross_entropy(SINGLE, fill(-100), ignore_index=-100)
    assert_same_bits(got, logitkit.cross_entropy(SINGLE[:1], [1]))


def test_the_guide_tells_of_what_is_tested() -> None:
    page = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    section = page.split("### Arrays of other libraries\n")[1].split("\n### ")[0]
    rows = re.findall(r"^\| (.+?) \| .* \| (.*) \|$", section, re.MULTILINE)[1:]
    said = {what: memory for what, memory in rows if what not in ELSEWHERE}
    assert said.keys() == SHARED.keys() | COPIED.keys()
    for what, memory in said.items():
        assert ("shared" in memory or "unless" in memory) == (what in SHARED), what
        assert memory.startswith("copied") == (what in COPIED), what


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
