"""Exact sums of float64 numbers: the same whatever the order, and however they are split.

A sum is a Python integer that counts units of the smallest float64. It is rounded once, when it is
asked for. Here belong sums, not what is summed.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray

# A float64 is 2^exponent times a fraction of 53 bits; no exponent is less than -1073.
_SIGNIFICAND = 53
_LEAST_EXPONENT = -1073
_UNIT = 1 << (_SIGNIFICAND - _LEAST_EXPONENT)
_HALF = 26
# Halves of significands are added up in float64, which is exact for so many of them.
_MOST = 1 << 24


class ExactSums:
    """As many sums as there are groups, each exact until it is read.

    Numbers that are not finite are summed beside, by the rules of float64.
    """

    def __init__(self, groups: int) -> None:
        self._units = [0] * groups
        self._special = np.zeros(groups)

    def __len__(self) -> int:
        return len(self._units)

    def add(self, values: NDArray[np.float64], groups: NDArray[np.intp] | None = None) -> None:
        """Add each value to the sum of its group; without groups, to the first."""
        if groups is None:
            groups = np.zeros(len(values), np.intp)
        for first in range(0, len(values), _MOST):
            part = slice(first, first + _MOST)
            self._add(values[part], groups[part])

    def _add(self, values: NDArray[np.float64], groups: NDArray[np.intp]) -> None:
        finite = np.isfinite(values)
        if not finite.all():
            with np.errstate(invalid="ignore"):
                np.add.at(self._special, groups[~finite], values[~finite])
            values, groups = values[finite], groups[finite]
        fractions, exponents = np.frexp(values)
        significands = np.ldexp(fractions, _SIGNIFICAND).astype(np.int64)
        lowest = exponents.min(initial=0)
        span = int(exponents.max(initial=0) - lowest) + 1
        keys = groups * span + (exponents - lowest)
        found, places = np.arange(len(self) * span), keys
        if len(found) > len(keys):
            found, places = np.unique(keys, return_inverse=True)
            places = places.reshape(-1)  # of the keys' shape in NumPy 2.0, too
        high = np.bincount(places, significands >> _HALF, len(found))
        low = np.bincount(places, significands & ((1 << _HALF) - 1), len(found))
        for index in np.flatnonzero((high != 0) | (low != 0)).tolist():
            units = (int(high[index]) << _HALF) + int(low[index])
            group, exponent = divmod(int(found[index]), span)
            self._units[group] += units << (exponent + int(lowest) - _LEAST_EXPONENT)

    def merge(self, other: Self) -> None:
        """Add the sums of another."""
        self._units = [a + b for a, b in zip(self._units, other._units, strict=True)]
        with np.errstate(invalid="ignore"):
            self._special = self._special + other._special

    def values(self) -> NDArray[np.float64]:
        """Give the sums, each rounded once."""
        return np.array([_rounded(units) for units in self._units]) + self._special


def _rounded(units: int) -> float:
    try:
        return units / _UNIT
    except OverflowError:
        return float("inf") if units > 0 else float("-inf")
