"""Collects the worst errors of measured functions, and holds the bounds of the contract.

Where the errors come from is the business of `tests.accuracy` and `tests.accuracy_options`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tests.peers import OURS
from tests.support import Float


@dataclass
class Worst:
    """The largest error of one function, and the input that it came of."""

    error: float = -1.0
    case: str = ""


@dataclass
class Report:
    """The worst errors by function and implementation, and how many were measured."""

    worst: dict[tuple[str, str], Worst] = field(default_factory=dict)
    count: int = 0

    def add(
        self, key: tuple[str, str], distances: NDArray[np.float64], cases: Sequence[str]
    ) -> None:
        """Keep the largest of some errors; the cases name the inputs of equal shares of them."""
        place = int(np.argmax(distances))
        case = cases[place * len(cases) // distances.size]
        self._keep(key, Worst(float(distances[place]), case))
        self.count += distances.size

    def merge(self, other: "Report") -> None:
        """Take in what another report found."""
        for key, worst in other.worst.items():
            self._keep(key, worst)
        self.count += other.count

    def _keep(self, key: tuple[str, str], found: Worst) -> None:
        if found.error > self.worst.setdefault(key, Worst()).error:
            self.worst[key] = found

    def ours(self) -> dict[str, Worst]:
        """Give the worst error of every function of logitkit."""
        return {function: worst for (function, by), worst in self.worst.items() if by == OURS}


def bound(function: str, dtype: Float) -> float:
    """Give the contract's bound: 2 ulp, and 4 ulp of the terms with options in float64."""
    return 4.0 if dtype is np.float64 and " with " in function else 2.0
