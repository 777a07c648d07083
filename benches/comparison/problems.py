"""The cases: which operation on which array, and the arrays.

What a library does with them stands in `contenders` and `frameworks`, how fast it shall be in
`targets`.
"""

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Call = Callable[[], object]
Floats = NDArray[np.floating[Any]]

# It is none of NumPy's own types, and has no types of its own.
BFLOAT16: Any = ml_dtypes.bfloat16

# How many classes top_k gives, and the options of the losses that have one.
BEST = 5
IGNORED = -100
SMOOTHING = 0.1
# Larger than in training, where nobody could see in the result that it was left out.
Z_LOSS = 0.1
# No float32, as most.
POS_WEIGHT = 2.7


class Operation(enum.StrEnum):
    """What is computed; `out=` says that logitkit writes into an array it is given."""

    SOFTMAX_OUT = "softmax(out=)"
    SOFTMAX = "softmax"
    LOG_SOFTMAX = "log_softmax(out=)"
    LOGSUMEXP = "logsumexp"
    CROSS_ENTROPY = "cross_entropy"
    CROSS_ENTROPY_GRAD = "cross_entropy_and_grad(out=)"
    PERPLEXITY = "perplexity"
    TOP_K = "top_k(5)"
    SIGMOID = "sigmoid(out=)"
    SOFTPLUS = "softplus(out=)"
    LOG_SIGMOID = "log_sigmoid(out=)"
    BINARY = "binary_cross_entropy_with_logits"
    BINARY_GRAD = "binary_cross_entropy_with_logits_and_grad(out=)"
    SOFT_GRAD = "cross_entropy_and_grad(soft targets, out=)"
    WEIGHTED_GRAD = "cross_entropy_and_grad(weight=, out=)"
    SMOOTHED_GRAD = "cross_entropy_and_grad(label_smoothing=, out=)"
    Z_LOSS_GRAD = "cross_entropy_and_grad(z_loss=, out=)"
    IGNORE_GRAD = "cross_entropy_and_grad(ignore_index=, out=)"
    SOFTMAX_VJP = "softmax_vjp(out=)"
    LOG_SOFTMAX_VJP = "log_softmax_vjp(out=)"
    POS_WEIGHT_GRAD = "binary_cross_entropy_with_logits_and_grad(pos_weight=, out=)"
    MASKED_SOFTMAX = "softmax(where=, out=)"
    MASKED_LOG_SOFTMAX = "log_softmax(where=, out=)"
    MASKED_LOGSUMEXP = "logsumexp(where=)"


class Regime(enum.StrEnum):
    """What decides about the speed of a case."""

    MEMORY = "memory"
    CACHE = "near cache"
    FEW = "few classes"
    LONG = "one long row"
    AXIS = "axis not last"
    SMALL = "small calls"
    TOP_K = "best classes"
    ELEMENTS = "element by element"
    DOUBLE = "float64"
    HALF = "half precision"
    OPTIONS = "soft targets and options"
    PRODUCTS = "vector-Jacobian products"
    MASKS = "masks"


BY_ROW = (
    Operation.SOFTMAX_OUT,
    Operation.SOFTMAX,
    Operation.LOG_SOFTMAX,
    Operation.LOGSUMEXP,
    Operation.CROSS_ENTROPY,
    Operation.CROSS_ENTROPY_GRAD,
    Operation.PERPLEXITY,
)
BY_ROW_OF_HALVES = (
    Operation.SOFTMAX_OUT,
    Operation.LOG_SOFTMAX,
    Operation.CROSS_ENTROPY,
    Operation.CROSS_ENTROPY_GRAD,
)
BY_ELEMENT = (
    Operation.SIGMOID,
    Operation.SOFTPLUS,
    Operation.LOG_SIGMOID,
    Operation.BINARY,
    Operation.BINARY_GRAD,
    Operation.POS_WEIGHT_GRAD,
)
OPTIONS = (
    Operation.WEIGHTED_GRAD,
    Operation.SMOOTHED_GRAD,
    Operation.Z_LOSS_GRAD,
    Operation.IGNORE_GRAD,
)
PRODUCTS = (Operation.SOFTMAX_VJP, Operation.LOG_SOFTMAX_VJP)
MASKED = (
    Operation.MASKED_SOFTMAX,
    Operation.MASKED_LOG_SOFTMAX,
    Operation.MASKED_LOGSUMEXP,
)


@dataclass(frozen=True)
class Traffic:
    """How many arrays of the logits' size must be read, and written."""

    read: int
    written: int

    @property
    def sums_or_copies(self) -> float:
        """How many sums of the array, or copies if it is written too, move as many bytes."""
        return (self.read + self.written) / 2 if self.written else self.read


_READS_TWO = {
    Operation.BINARY,
    Operation.BINARY_GRAD,
    Operation.POS_WEIGHT_GRAD,
    Operation.SOFT_GRAD,
    *PRODUCTS,
}
_WRITES_NONE = {
    Operation.LOGSUMEXP,
    Operation.CROSS_ENTROPY,
    Operation.PERPLEXITY,
    Operation.TOP_K,
    Operation.BINARY,
    Operation.MASKED_LOGSUMEXP,
}
TRAFFIC: Mapping[Operation, Traffic] = {
    operation: Traffic(1 + (operation in _READS_TWO), int(operation not in _WRITES_NONE))
    for operation in Operation
}


@dataclass(frozen=True)
class Data:
    """The arrays of one shape and dtype; everybody but jax reads and writes these very ones."""

    logits: Floats
    out: Floats
    axis: int

    @classmethod
    def make(cls, shape: tuple[int, ...], dtype: type[np.floating[Any]], axis: int = -1) -> "Data":
        """Draw logits of a common size."""
        logits = np.random.default_rng(0).standard_normal(shape, np.float32)
        logits = logits.astype(dtype, copy=False)
        logits *= dtype(3)
        # np.full, for its pages are there: those of np.empty would be made by whoever runs first.
        return cls(logits, np.full(shape, 0, dtype), axis)

    @property
    def is_half(self) -> bool:
        """Tell whether the elements are of half precision."""
        return self.logits.dtype.itemsize == np.dtype(np.float16).itemsize

    @cached_property
    def in_float32(self) -> "Data":
        """The same numbers in float32."""
        out = np.full(self.out.shape, 0, np.float32)
        return Data(self.logits.astype(np.float32), out, self.axis)

    @cached_property
    def along(self) -> dict[str, int]:
        """The axis as a keyword, for those that are called with the last one by default."""
        return {} if self.axis == -1 else {"axis": self.axis}

    @cached_property
    def classes(self) -> NDArray[np.int64]:
        """A class index for each row."""
        rows = list(self.logits.shape)
        classes = rows.pop(self.axis)
        return np.random.default_rng(1).integers(0, classes, rows)

    @cached_property
    def some_ignored(self) -> NDArray[np.int64]:
        """The same with a tenth of the rows left out."""
        left_out = np.random.default_rng(2).random(self.classes.shape) < 1 / 10
        return np.where(left_out, IGNORED, self.classes)

    @cached_property
    def class_weights(self) -> Floats:
        """A weight for each class."""
        drawn = np.random.default_rng(3).random((self.logits.shape[self.axis],), np.float32)
        return (drawn + np.float32(0.5)).astype(self.logits.dtype)

    @cached_property
    def probs(self) -> Floats:
        """Soft targets: probabilities that have nothing to do with the logits."""
        probs = np.empty_like(self.logits)
        # Of numbers from 1/2 up: near 0 there would be large logarithms, unlike a model's.
        probs[...] = np.random.default_rng(4).random(probs.shape, np.float32)
        probs += 0.5
        probs /= probs.sum(axis=self.axis, keepdims=True)
        return probs

    @cached_property
    def log_probs(self) -> Floats:
        """The logarithms of `probs`."""
        return np.log(self.probs)

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """True for four of five elements."""
        return np.random.default_rng(5).random(self.logits.shape, np.float32) > 1 / 5

    @cached_property
    def binary(self) -> Floats:
        """A target 0 or 1 for each element."""
        drawn = np.random.default_rng(1).integers(0, 2, self.logits.shape, np.int8)
        return drawn.astype(self.logits.dtype)


@dataclass(frozen=True)
class Group:
    """Cases that share their arrays."""

    regime: Regime
    dtype: type[np.floating[Any]]
    shape: tuple[int, ...]
    operations: Sequence[Operation] = BY_ROW
    axis: int = -1

    @property
    def array_name(self) -> str:
        """Name dtype and shape, and the axis if it is not the last."""
        axis = "" if self.axis == -1 else f" axis={self.axis}"
        return f"{self.dtype.__name__}/{'x'.join(map(str, self.shape))}{axis}"

    def case_name(self, operation: Operation) -> str:
        """Name a case so that `--only` can pick it: dtype/shape/operation."""
        return f"{self.array_name}/{operation}"

    def data(self) -> Data:
        """Make the arrays."""
        return Data.make(self.shape, self.dtype, self.axis)

    def shrunk(self) -> "Group":
        """Give the same with a sixteenth of the rows, to try the script out."""
        rows = [index for index in range(len(self.shape)) if index != self.axis % len(self.shape)]
        # Of one row, a sixteenth of the classes.
        longest = max(rows, key=lambda index: self.shape[index], default=0)
        if self.shape[longest] == 1:
            longest = self.axis % len(self.shape)
        shape = list(self.shape)
        shape[longest] = min(shape[longest], max(BEST, shape[longest] // 16))
        return replace(self, shape=tuple(shape))


GROUPS = (
    Group(Regime.MEMORY, np.float32, (512, 128256)),
    Group(Regime.MEMORY, np.float32, (16384, 1000)),
    Group(Regime.CACHE, np.float32, (256, 32000)),
    Group(Regime.CACHE, np.float32, (64, 128256)),
    Group(Regime.CACHE, np.float32, (1024, 1000)),
    Group(Regime.FEW, np.float32, (65536, 10)),
    Group(Regime.FEW, np.float32, (65536, 3)),
    Group(Regime.FEW, np.float32, (1_000_000, 2)),
    Group(Regime.LONG, np.float32, (1, 4_000_000)),
    Group(Regime.AXIS, np.float32, (8, 21, 256, 256), axis=1),
    Group(Regime.AXIS, np.float32, (1000, 4096), axis=0),
    Group(Regime.SMALL, np.float32, (1, 10), (Operation.SOFTMAX, Operation.CROSS_ENTROPY)),
    Group(Regime.SMALL, np.float32, (64, 10), (Operation.CROSS_ENTROPY_GRAD,)),
    Group(Regime.TOP_K, np.float32, (1, 1000), (Operation.TOP_K,)),
    Group(Regime.TOP_K, np.float32, (4096, 1000), (Operation.TOP_K,)),
    Group(Regime.ELEMENTS, np.float32, (4_000_000,), BY_ELEMENT),
    Group(
        Regime.DOUBLE,
        np.float64,
        (4096, 1000),
        (Operation.SOFTMAX_OUT, Operation.CROSS_ENTROPY_GRAD),
    ),
    *(Group(Regime.HALF, half, (1024, 32000), BY_ROW_OF_HALVES) for half in (np.float16, BFLOAT16)),
    Group(Regime.OPTIONS, np.float32, (512, 32000), (Operation.SOFT_GRAD,)),
    Group(Regime.OPTIONS, np.float32, (16384, 1000), OPTIONS),
    Group(Regime.OPTIONS, np.float32, (65536, 10), (Operation.SOFT_GRAD, *OPTIONS)),
    Group(Regime.PRODUCTS, np.float32, (16384, 1000), PRODUCTS),
    Group(Regime.MASKS, np.float32, (1024, 32000), MASKED),
    Group(Regime.MASKS, np.float32, (16384, 1000), MASKED),
    Group(Regime.MASKS, np.float32, (65536, 10), MASKED),
    Group(Regime.MASKS, np.float32, (8, 21, 256, 256), MASKED, axis=1),
    Group(Regime.MASKS, np.float32, (1000, 4096), MASKED, axis=0),
)


def chosen(only: Sequence[str], *, quick: bool) -> Iterator[Group]:
    """Give the groups, less the cases whose names hold none of the texts in `only`."""
    for group in GROUPS:
        kept = [
            operation
            for operation in group.operations
            if not only or any(text in group.case_name(operation) for text in only)
        ]
        if kept:
            yield replace(group.shrunk() if quick else group, operations=kept)
