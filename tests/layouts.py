"""The ways an array can lie in memory: makers of arrays with the same values and another layout.

What must hold for them is the business of the tests.
"""

import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.support import Array


def arrange(
    x: Array,
    order: Sequence[int] | None = None,
    steps: Sequence[int] | int = 1,
    offset: int = 0,
    *,
    swapped: bool = False,
) -> Array:
    """Lay out the values of `x` anew.

    `order` lists the axes from the slowest to the fastest in memory; a step is the distance
    between neighbours of an axis in units of the closest packing, negative or 0 (equal values) as
    well; `offset` is the number of bytes from an aligned address to the lowest element.
    """
    order = range(x.ndim) if order is None else order
    steps = [steps] * x.ndim if isinstance(steps, int) else steps
    dtype = x.dtype.newbyteorder() if swapped else x.dtype
    strides, packed = [0] * x.ndim, dtype.itemsize
    for axis in reversed(order):
        strides[axis] = packed * steps[axis]
        packed *= max(1, x.shape[axis] * abs(steps[axis]))
    lowest = sum(min(0, s * (n - 1)) for s, n in zip(strides, x.shape, strict=True) if n)
    memory = np.full(packed + offset + 64, 0xA5, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    view: Array = np.ndarray(x.shape, dtype, memory, start - lowest, tuple(strides))
    view[...] = x
    return view


class Subclass(np.ndarray[Any, Any]):
    """A subclass whose arithmetic must not be used."""

    def __array_ufunc__(self, *args: object, **options: object) -> object:
        """Refuse, as a subclass with units would."""
        raise TypeError("the arithmetic of a subclass was used")


class Convertible:
    """What other libraries' arrays look like: no sequence, but `__array__`."""

    def __init__(self, x: Array) -> None:
        self.x = x

    def __array__(self, dtype: object = None, copy: object = None) -> Array:
        """Give the array, as `numpy.asarray` asks for it."""
        assert dtype is None
        assert not copy
        return self.x


def packed_field(x: Array) -> Array:
    """Make a field of packed records: strides that are no multiple of the size of an element."""
    records = np.zeros(x.shape, [("before", np.uint8), ("value", x.dtype), ("after", "u1", 2)])
    records["value"] = x
    field: Array = records["value"]
    return field


def read_only(x: Array) -> Array:
    """Make a copy that cannot be written to."""
    copy = x.copy()
    copy.setflags(write=False)
    return copy


def memory_map(x: Array) -> Array:
    """Make an array that lies in a file."""
    if not x.size:
        return x
    with tempfile.TemporaryFile() as file:
        mapped: Array = np.memmap(file, x.dtype, "w+", shape=x.shape)
    mapped[...] = x
    return mapped


def inner_axis_slowest(x: Array) -> Array:
    """Move the last axis to the front in memory."""
    return arrange(x, [*range(x.ndim)][-1:] + [*range(x.ndim)][:-1])


def rows_apart(x: Array, step: int = 2) -> Array:
    """Leave gaps between the slices of the first axis."""
    return arrange(x, steps=[step if axis == 0 else 1 for axis in range(x.ndim)])


def entries_apart(x: Array, step: int = 3) -> Array:
    """Leave gaps between the entries of the last axis."""
    return arrange(x, steps=[step if axis == x.ndim - 1 else 1 for axis in range(x.ndim)])


LAYOUTS: dict[str, Callable[[Array], Any]] = {
    "fortran": lambda x: arrange(x, range(x.ndim)[::-1]),
    "inner axis slowest": inner_axis_slowest,
    "gaps": lambda x: arrange(x, steps=2),
    "gaps between rows": rows_apart,
    "gaps between entries": entries_apart,
    "reversed": lambda x: arrange(x, steps=-1),
    "fortran, reversed gaps": lambda x: arrange(x, range(x.ndim)[::-1], -2),
    "one element from alignment": lambda x: arrange(x, offset=x.itemsize),
    "unaligned": lambda x: arrange(x, offset=1),
    "unaligned, fortran": lambda x: arrange(x, range(x.ndim)[::-1], offset=3),
    "packed field": packed_field,
    "byte-swapped": lambda x: arrange(x, swapped=True),
    "byte-swapped, unaligned, reversed": lambda x: arrange(x, None, -1, 5, swapped=True),
    "read-only": read_only,
    "memory map": memory_map,
    "subclass": lambda x: x.copy().view(Subclass),
    "masked array, nothing masked": np.ma.masked_array,
    "memoryview": lambda x: x.data,
    "__array__": Convertible,
}
