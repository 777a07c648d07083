"""The memory of large arrays that are made again and again: gradients, in every step or round.

The C library gives blocks from 32 MiB on back to the system when they are freed, and NumPy maps
large ones anew, too. The next one is then cleared page by page, which takes longer than what it is
made for. So the blocks of the last few arrays are kept, and used again when nothing refers to them.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

LEAST_BYTES = 1 << 22  # for smaller ones this does not pay

# A gradient and its Hessian.
_KEPT = 2

_blocks: list[NDArray[np.uint8]] = []


def large_array(
    shape: tuple[int, ...], dtype: DTypeLike, order: Literal["C", "F"] = "C"
) -> NDArray[Any]:
    """Give a new array, whose memory may be that of an earlier one that is gone."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    block = _unused_block(size)
    if block is None:
        block = np.empty(size, np.uint8)
    # This array and all views of it refer to the block.
    array: NDArray[Any] = np.ndarray(shape, dtype, buffer=block, order=order)
    _blocks.append(block)
    del _blocks[:-_KEPT]
    return array


def _unused_block(size: int) -> NDArray[np.uint8] | None:
    """Take a block off the list; what is on it belongs to whoever takes it off first."""
    for _ in range(_KEPT):
        try:
            block, references = _first(_blocks)
        except IndexError:
            break
        # One that is much too large would be kept for nothing.
        if references == _UNUSED and size <= block.size <= 2 * size:
            return block
        _blocks.append(block)
    return None


def _first(blocks: list[NDArray[np.uint8]]) -> tuple[NDArray[np.uint8], int]:
    block = blocks.pop(0)
    return block, sys.getrefcount(block)


# How many references are counted where there is none but this module's depends on the interpreter.
_UNUSED = _first([np.empty(0, np.uint8)])[1]
