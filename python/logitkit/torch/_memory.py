"""The memory of large gradients, which is kept for the next one.

The C library gives blocks from 32 MiB on back to the system when they are freed. The next one is
then mapped and cleared page by page, which takes longer than the loss and its gradient together.
So the block that was freed last is kept: one, no larger than a gradient that was just needed.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

LEAST_BYTES = 1 << 25  # for smaller ones this does not pay

_free: list[NDArray[np.uint8]] = []


def large_array(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Give an array whose memory comes back here when it is freed.

    It is this very array that must be kept alive while its memory is in use: a view of it does not
    refer to it, but to the block.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    block = _take(size)
    array = block[:size].view(dtype).reshape(shape)
    weakref.finalize(array, _give_back, block).atexit = False
    return array


def _take(size: int) -> NDArray[np.uint8]:
    try:
        block = _free.pop()
    except IndexError:
        return np.empty(size, np.uint8)
    # One that is much too large would be kept for nothing.
    return block if size <= block.size <= 2 * size else np.empty(size, np.uint8)


def _give_back(block: NDArray[np.uint8]) -> None:
    _free[:] = [block]
