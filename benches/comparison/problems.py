"""The cases: which operation on which array, and the arrays.

What a library does with them stands in `ours` and `peers`.
"""

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Call = Callable[[], object]
Floats = NDArray[np.floating[Any]]


class Operation(enum.StrEnum):
    """What is computed; `(out=)` says that logitkit writes into an array it is given."""

    SOFTMAX_OUT = "softmax(out=)"
    SOFTMAX = "softmax"
    LOG_SOFTMAX = "log_softmax(out=)"
    LOGSUMEXP = "logsumexp"
    CROSS_ENTROPY = "cross_entropy"
    CROSS_ENTROPY_GRAD = "cross_entropy_and_grad(out=)"
    SIGMOID = "sigmoid(out=)"
    SOFTPLUS = "softplus(out=)"
    BINARY = "binary_cross_entropy_with_logits"
    BINARY_GRAD = "binary_cross_entropy_with_logits_and_grad(out=)"


BY_ROW = (
    Operation.SOFTMAX_OUT,
    Operation.SOFTMAX,
    Operation.LOG_SOFTMAX,
    Operation.LOGSUMEXP,
    Operation.CROSS_ENTROPY,
    Operation.CROSS_ENTROPY_GRAD,
)
BY_ELEMENT = (
    Operation.SIGMOID,
    Operation.SOFTPLUS,
    Operation.BINARY,
    Operation.BINARY_GRAD,
)
# These give a number or a number per row: they read the array and write nothing of its size.
READ_ONLY = frozenset({Operation.LOGSUMEXP, Operation.CROSS_ENTROPY, Operation.BINARY})


@dataclass(frozen=True)
class Data:
    """The arrays of one shape and dtype; everybody but jax reads and writes these very ones."""

    logits: Floats
    out: Floats

    @classmethod
    def make(cls, shape: tuple[int, ...], dtype: type[np.floating[Any]]) -> "Data":
        """Draw logits of a common size."""
        logits = np.random.default_rng(0).standard_normal(shape, np.float32).astype(dtype)
        logits *= dtype(3)
        # np.full, for its pages are there: those of np.empty would be made by whoever runs first.
        return cls(logits, np.full(shape, 0, dtype))

    @cached_property
    def classes(self) -> NDArray[np.int64]:
        """A class index for each row."""
        *rows, classes = self.logits.shape
        return np.random.default_rng(1).integers(0, classes, rows)

    @cached_property
    def binary(self) -> Floats:
        """A target 0 or 1 for each element."""
        drawn = np.random.default_rng(1).integers(0, 2, self.logits.shape)
        return drawn.astype(self.logits.dtype)


@dataclass(frozen=True)
class Group:
    """Cases that share their arrays."""

    dtype: type[np.floating[Any]]
    shape: tuple[int, ...]
    operations: Sequence[Operation]

    def case_name(self, operation: Operation) -> str:
        """Name a case so that `--only` can pick it: dtype/shape/operation."""
        return f"{self.dtype.__name__}/{'x'.join(map(str, self.shape))}/{operation}"

    def shrunk(self) -> "Group":
        """Give the same with a sixteenth of the rows, to try the script out."""
        shape = (max(1, self.shape[0] // 16), *self.shape[1:])
        return Group(self.dtype, shape, self.operations)


GROUPS = (
    Group(np.float32, (16384, 1000), BY_ROW),
    Group(np.float32, (1024, 32000), BY_ROW),
    Group(np.float32, (65536, 10), BY_ROW),
    Group(np.float32, (1, 10), BY_ROW),
    Group(np.float32, (4_000_000,), BY_ELEMENT),
    Group(np.float64, (4096, 1000), BY_ROW),
)
LARGE = Group(np.float32, (512, 128256), BY_ROW)


def chosen(only: Sequence[str], *, large: bool, quick: bool) -> Iterator[Group]:
    """Give the groups, less the cases whose names hold none of the texts in `only`."""
    for group in (*GROUPS, LARGE) if large else GROUPS:
        sized = group.shrunk() if quick else group
        kept = [
            operation
            for operation in sized.operations
            if not only or any(text in sized.case_name(operation) for text in only)
        ]
        if kept:
            yield Group(sized.dtype, sized.shape, kept)
