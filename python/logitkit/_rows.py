"""Rows of scores with their targets and weights: what is accepted, and blocks of them.

Here belongs what the Python of logitkit checks before it hands rows to Rust.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]

# The class index of a row that is left out.
LEFT_OUT = -1

# Elements and rows that are worked on at a time: enough for threads, and little memory.
_ELEMENTS = 1 << 22
_ROWS = 1 << 16

_WHOLE = "iub"  # the kinds of integers and bools


def blocks(scores: Array) -> Iterator[tuple[int, Array]]:
    """Give blocks of rows, each with the number of its first; what is whole becomes float64."""
    if scores.ndim == 1:
        yield 0, floats(scores[None])
        return
    rows_in_one = math.prod(scores.shape[1:-1])
    rows = max(1, min(_ROWS, _ELEMENTS // scores.shape[-1]))
    for outer in range(0, scores.shape[0], max(1, rows // max(1, rows_in_one))):
        part = scores[outer : outer + max(1, rows // max(1, rows_in_one))]
        part = part.reshape(-1, scores.shape[-1])
        for first in range(0, len(part), rows):
            yield outer * rows_in_one + first, floats(part[first : first + rows])


def floats(block: Array) -> Array:
    """Give a block as it is, or what is whole as float64."""
    return block.astype(float_dtype(block.dtype), copy=False)


def float_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Give what numbers of a dtype are computed and given back as."""
    return np.dtype(np.float64) if dtype.kind in _WHOLE else dtype


def as_array(given: ArrayLike, name: str) -> Array:
    """Give an argument as an array, unless elements of it are masked."""
    if isinstance(given, np.ma.MaskedArray) and np.ma.getmaskarray(given).any():
        raise TypeError(f"{name} is a masked array with masked elements; leave such rows out")
    return np.asarray(given)


def scores_of(given: ArrayLike, name: str) -> Array:
    """Give scores as an array, of an accepted dtype and with classes."""
    scores = as_array(given, name)
    check_scores(scores.shape, scores.dtype, name)
    return scores


def check_scores(shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> None:
    """Raise an error unless scores may have this shape, with the classes last, and dtype."""
    floats = {"float16", "bfloat16", "float32", "float64"}
    if dtype.kind not in _WHOLE and dtype.name not in floats:
        raise TypeError(
            f"{name} has dtype {dtype}; logitkit takes float16, bfloat16, float32 and "
            f"float64, and integers and bools, which become float64: convert it, for instance with "
            f"np.asarray({name}, np.float32)"
        )
    if len(shape) == 0 or shape[-1] == 0:
        raise ValueError(
            f"{name} has shape {list(shape)}, expected (..., C) with at least one class on "
            f"the last axis"
        )


def indices_of(
    given: ArrayLike,
    shape: tuple[int, ...],
    classes: int,
    ignore_index: int | None,
    start: Sequence[int] = (),
) -> NDArray[np.int64]:
    """Give class indices, one for each row, `LEFT_OUT` for those to ignore.

    They may be a part of an array, from `start` on: an error names the place in the whole.
    """
    targets = as_array(given, "targets")
    check_targets(targets.shape, targets.dtype, shape)
    ignored = np.zeros(shape, bool) if ignore_index is None else targets == ignore_index
    wrong = ((targets < 0) | (targets >= classes)) & ~ignored
    if wrong.any():
        value = targets[np.unravel_index(int(wrong.argmax()), shape)]
        place = place_of(int(wrong.argmax()), shape, start)
        raise IndexError(
            f"targets{place or ''} is {value}, which is not a class "
            f"index: there are {classes} classes, so indices go from 0 to {classes} exclusive and "
            f"negative ones do not wrap; correct it, or leave such rows out with "
            f"ignore_index={value}"
        )
    return np.where(ignored, LEFT_OUT, targets).astype(np.int64).reshape(-1)


def check_targets(given: tuple[int, ...], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Raise an error unless targets of this shape and dtype are class indices for such rows."""
    empty = math.prod(given) == 0
    if given != shape or (dtype.kind not in "iu" and not empty):
        raise ValueError(
            f"targets of dtype {dtype} have shape {list(given)}, expected "
            f"integer class indices of shape {list(shape)}, that of the logits without their "
            f"last axis{_instead_of_targets(given, dtype, shape)}"
        )


def _instead_of_targets(
    given: tuple[int, ...], dtype: np.dtype[Any], shape: tuple[int, ...]
) -> str:
    """Give the end of a message: what to write instead of targets that are no class indices."""
    if given == (*shape, 1):
        return "; write targets[..., 0]"
    if given[:-1] == shape:
        return "; of probabilities, or one-hot rows, take targets.argmax(-1)"
    if given == shape and dtype.kind == "f":
        return (
            "; write np.asarray(targets, int) if they are whole, and before that "
            "np.nan_to_num(targets, nan=-100), with ignore_index=-100, if some are NaN"
        )
    if given == shape and dtype.kind == "O":
        return (
            "; write np.asarray(targets, int) if they are whole, and before that "
            "targets.fillna(-100), with ignore_index=-100, if some are missing"
        )
    return ""


def place_of(row: int, shape: tuple[int, ...], start: Sequence[int] = ()) -> list[int]:
    """Give the index of a row in an array of this shape, which may be a part from `start` on."""
    place = np.unravel_index(row, shape)
    firsts = start or (0,) * len(place)
    return [int(index) + first for index, first in zip(place, firsts, strict=True)]


def check_weights(given: tuple[int, ...], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Raise an error unless sample weights of this shape and dtype are for such rows."""
    if dtype.kind not in "fiub" and dtype.name != "bfloat16":
        raise TypeError(f"sample_weight has dtype {dtype}, expected numbers")
    if given != shape:
        raise ValueError(
            f"sample_weight has shape {list(given)}, expected {list(shape)}, that of the targets"
        )


def weights_of(
    given: ArrayLike, shape: tuple[int, ...], start: Sequence[int] = ()
) -> NDArray[np.float64]:
    """Give sample weights, one for each row; `start` as for `indices_of`."""
    weights = as_array(given, "sample_weight")
    check_weights(weights.shape, weights.dtype, shape)
    weights = weights.astype(np.float64).reshape(-1)
    wrong = ~((weights >= 0) & np.isfinite(weights))
    if wrong.any():
        place = place_of(int(wrong.argmax()), shape, start)
        raise ValueError(
            f"sample_weight{place or ''} is {weights[wrong][0]}, expected a finite weight of at "
            f"least 0"
        )
    return weights


def check_probs(wrong: NDArray[np.bool_], first: int, block: Array, shape: tuple[int, ...]) -> None:
    """Raise an error if rows of a block are wrong: a value of theirs is no probability."""
    if not wrong.any():
        return
    row = int(wrong.argmax())
    values = block[row].astype(np.float64)
    column = int((~((values >= 0.0) & (values <= 1.0))).argmax())
    place = [*place_of(first + row, shape[:-1]), column]
    raise ValueError(
        f"probs{place} is {values[column]}, expected a value in [0, 1]; if these are logits, leave "
        f"from_probs out"
    )


def integer(given: Any, name: str, least: int | None = None) -> int:  # noqa: ANN401 - checked here
    """Give an argument that must be an int, of at least so much."""
    if isinstance(given, bool | np.bool_) or not hasattr(given, "__index__"):
        raise TypeError(f"{name} is of type {type(given).__name__}, expected an int")
    value = int(given.__index__())
    if least is not None and value < least:
        raise ValueError(f"{name} is {value}, expected at least {least}")
    return value
