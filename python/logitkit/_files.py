"""Arrays in files, as the shell reads them: whole, or rows after rows.

Here belong formats, each with the library that it needs, and what is said where one cannot be read.
"""

import importlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class UnreadableError(Exception):
    """A file that cannot be read as an array, with what to do."""


@dataclass(frozen=True)
class Rows:
    """Rows of as many elements each, read so many at a time."""

    count: int
    classes: int
    blocks: Callable[[int], Iterator[Array]]
    """Gives the rows, so many at a time."""


def rows_of(spec: str) -> Rows:
    """Open a file of logits; what is larger than the memory is not read at once."""
    path, name = _split(spec)
    if path.suffix == ".parquet":
        return _parquet_rows(path)
    if path.suffix == ".safetensors":
        return _safetensors_rows(path, name)
    array = _numpy(path, name)
    if array.ndim <= 1:
        raise UnreadableError(
            f"{spec} has shape {list(array.shape)}, expected rows of logits, with the classes on "
            f"the last axis"
        )
    rows = array.reshape(-1, array.shape[-1])

    def blocks(step: int) -> Iterator[Array]:
        for start in range(0, len(rows), step):
            yield rows[start : start + step]

    return Rows(len(rows), rows.shape[1], blocks)


def array_of(spec: str) -> Array:
    """Read a file of targets, one for each row, or map it."""
    path, name = _split(spec)
    if path.suffix == ".parquet":
        table = _library("pyarrow.parquet", "Parquet").read_table(
            path, columns=None if name is None else [name]
        )
        if table.num_columns != 1:
            raise UnreadableError(
                f"{spec} has the columns {', '.join(table.column_names)}; say which one is meant, "
                f"as {spec}:{table.column_names[0] if table.num_columns else 'NAME'}"
            )
        return np.asarray(table.column(0).to_numpy())
    if path.suffix == ".safetensors":
        with _safetensors(path) as file:
            return np.asarray(file.get_tensor(_chosen(path, name, list(file.keys()))))
    return _numpy(path, name)


def _split(spec: str) -> tuple[Path, str | None]:
    """Take FILE:NAME apart, unless there is a file of that name."""
    path = Path(spec)
    if path.exists() or ":" not in spec:
        if not path.exists():
            raise UnreadableError(f"there is no file {spec}")
        return path, None
    file, name = spec.rsplit(":", 1)
    if not Path(file).exists():
        raise UnreadableError(f"there is no file {file}")
    return Path(file), name


def _chosen(path: Path, name: str | None, names: list[str]) -> str:
    if name is None and len(names) == 1:
        return names[0]
    if name in names:
        return str(name)
    given = "more than one array" if name is None else f"no array {name}"
    listed = ", ".join(names) or "none"
    raise UnreadableError(f"{path} has {given}; write {path}:NAME, where NAME is one of: {listed}")


def _numpy(path: Path, name: str | None) -> Array:
    if path.suffix not in {".npy", ".npz"}:
        raise UnreadableError(
            f"{path} is of no known format; .npy, .npz, .safetensors and .parquet are read"
        )
    try:
        # What is pickled could run any code.
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UnreadableError(f"{path} cannot be read as {path.suffix}: {error}") from error
    if isinstance(loaded, np.ndarray):
        if name is not None:
            raise UnreadableError(f"{path} holds one array without a name; write {path}")
        return loaded
    with loaded:
        array: Array = loaded[_chosen(path, name, loaded.files)]
        return array


def _library(module: str, what: str) -> Any:  # noqa: ANN401 - a module without types
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".", maxsplit=1)[0]
        raise UnreadableError(
            f"{what} needs the package {package}: pip install {package}, or 'logitkit[shell]'"
        ) from error


def _safetensors(path: Path) -> Any:  # noqa: ANN401 - a library without types
    library = _library("safetensors", ".safetensors")
    try:
        return library.safe_open(path, framework="numpy")
    except library.SafetensorError as error:
        raise UnreadableError(f"{path} cannot be read as .safetensors: {error}") from error


def _safetensors_rows(path: Path, name: str | None) -> Rows:
    with _safetensors(path) as file:
        name = _chosen(path, name, list(file.keys()))
        shape = file.get_slice(name).get_shape()
    try:
        count, classes = shape
    except ValueError:
        raise UnreadableError(
            f"{path}:{name} has shape {shape}, expected [rows, classes]"
        ) from None

    def blocks(step: int) -> Iterator[Array]:
        with _safetensors(path) as file:
            rows = file.get_slice(name)
            for start in range(0, count, step):
                yield rows[start : min(count, start + step)]

    return Rows(count, classes, blocks)


def _parquet_rows(path: Path) -> Rows:
    library = _library("pyarrow.parquet", "Parquet")
    file = library.ParquetFile(path)
    names = file.schema_arrow.names

    def blocks(step: int) -> Iterator[Array]:
        for batch in library.ParquetFile(path).iter_batches(batch_size=step):
            columns = [column.to_numpy(zero_copy_only=False) for column in batch.columns]
            yield np.stack(columns, axis=1)

    return Rows(file.metadata.num_rows, len(names), blocks)


def step_for(rows: Rows, elements: int) -> int:
    """Give how many rows hold about so many elements."""
    return max(1, math.ceil(elements / max(1, rows.classes)))
