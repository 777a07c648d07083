"""Exact sums of float64 numbers: the same whatever the order, and however they are split.

A sum is a Python integer that counts units of the smallest float64. It is rounded once, when it is
asked for. Here belong sums, not what is summed.
"""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logitkit import _core

# The smallest float64 is 2^-1074.
_UNIT = 1 << 1074


class ExactSums:
    """As many sums as there are groups, each exact until it is read.

    Numbers that are not finite are summed beside, by the rules of float64.
    """

    def __init__(self, groups: int) -> None:
        self._groups = groups
        # Only those that are not 0: of very many classes few may occur.
        self._units: dict[int, int] = {}
        self._special: dict[int, float] = {}

    def __len__(self) -> int:
        return self._groups

    def __getstate__(self) -> tuple[int, dict[int, tuple[int, int]], dict[int, float]]:
        # Sums of numbers of ordinary size end with a thousand zeros.
        zeros = {
            group: max(0, (units & -units).bit_length() - 1) for group, units in self._units.items()
        }
        units = {group: (self._units[group] >> count, count) for group, count in zeros.items()}
        return self._groups, units, self._special

    def __setstate__(self, state: tuple[int, dict[int, tuple[int, int]], dict[int, float]]) -> None:
        self._groups, units, self._special = state
        self._units = {group: number << bits for group, (number, bits) in units.items()}

    def add(self, values: NDArray[np.float64], groups: ArrayLike = 0) -> None:
        """Add each value to the sum of its group; without groups, to the first."""
        groups = np.broadcast_to(np.asarray(groups, np.int64), values.shape)
        found, digits, special = _core.exact_sums(values, groups, len(self))
        width = len(digits) // max(1, len(found))
        for index, group in enumerate(found.tolist()):
            number = digits[index * width : (index + 1) * width]
            self._add(group, int.from_bytes(number, "little", signed=True), float(special[index]))

    def _add(self, group: int, units: int, special: float) -> None:
        self._units[group] = self._units.get(group, 0) + units
        if special != 0.0:
            self._special[group] = self._special.get(group, 0.0) + special

    def merge(self, other: Self) -> None:
        """Add the sums of another."""
        for group, units in other._units.items():
            self._add(group, units, other._special.get(group, 0.0))

    def values(self) -> NDArray[np.float64]:
        """Give the sums, each rounded once."""
        values = np.zeros(self._groups)
        for group, units in self._units.items():
            # What is finite may sum to more than a float holds, which must not meet an inf.
            special = self._special.get(group)
            values[group] = _rounded(units) if special is None else special
        return values


def _rounded(units: int) -> float:
    try:
        return units / _UNIT
    except OverflowError:
        return float("inf") if units > 0 else float("-inf")
