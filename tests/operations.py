"""Every way to call the package, as a table, with a maker of arguments for each.

For tests of what all functions have in common: layouts, reproducibility, errors. What results must
be does not belong here; only how two results of one operation are compared.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import logitkit
from tests.support import (
    Array,
    index_shape,
    random_indices,
    random_logits,
    random_probs,
    random_soft_targets,
    random_weights,
    ulps,
)

Shape = tuple[int, ...]
Rng = np.random.Generator
Arrays = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """A public function with some of its options."""

    function: str
    """The name of the function."""
    arrays: Mapping[str, Callable[[Rng, Shape, int, DTypeLike], Array]]
    """Makers of its arrays, by parameter; the first is what the results are like."""
    options: Mapping[str, object] = field(default_factory=dict)
    """What is no array."""
    variant: str = ""
    """What tells it from other operations of its function."""

    @property
    def label(self) -> str:
        """Name the operation in the id of a test."""
        return f"{self.function}[{self.variant}]" if self.variant else self.function

    @property
    def first(self) -> str:
        """Name the first parameter."""
        return next(iter(self.arrays))

    @property
    def has_out(self) -> bool:
        """Tell whether it takes `out`."""
        return self.function in WITH_OUT or self.function.endswith("_and_grad")

    @property
    def has_axis(self) -> bool:
        """Tell whether it takes `axis`."""
        return not self.function.startswith(("sigmoid", "log_sigmoid", "softplus", "binary", "lin"))

    @property
    def cancels(self) -> bool:
        """Tell whether results are differences of like terms, bounded by those alone."""
        return self.function in CANCELLING or ("_and_grad" in self.function and bool(self.variant))

    def make(self, rng: Rng, shape: Shape, axis: int, dtype: DTypeLike) -> Arrays:
        """Draw arrays for logits (or probabilities) of a shape."""
        return {name: maker(rng, shape, axis, dtype) for name, maker in self.arrays.items()}

    def __call__(self, arrays: Arrays, axis: int = -1, **more: object) -> Any:  # noqa: ANN401
        """Call the function."""
        free = self.has_axis and "axis" not in self.options
        place: dict[str, object] = {"axis": axis} if free else {}
        keywords = {**self.options, **place, **more}
        by_name = () if self.function == "linear" else OPTIONAL
        required = [value for name, value in arrays.items() if name not in by_name]
        optional = {name: value for name, value in arrays.items() if name in by_name}
        return getattr(logitkit, self.function)(*required, **optional, **keywords)


VJPS = ("softmax_vjp", "log_softmax_vjp")
WITH_OUT = ("softmax", "log_softmax", "sigmoid", "log_sigmoid", "softplus", *VJPS)
CANCELLING = ("logsumexp", "linear", *VJPS)
OPTIONAL = ("weight", "sample_weight", "pos_weight", "where")


# Makers of arrays


def logits(rng: Rng, shape: Shape, axis: int, dtype: DTypeLike) -> Array:
    del axis
    return random_logits(rng, shape, dtype)


def log_probs(rng: Rng, shape: Shape, axis: int, dtype: DTypeLike) -> Array:
    return np.log(random_probs(rng, shape, axis)).astype(dtype)


def normals(rng: Rng, shape: Shape, axis: int, dtype: DTypeLike) -> Array:
    del axis
    return rng.normal(size=shape).astype(dtype)


def indices(rng: Rng, shape: Shape, axis: int, dtype: DTypeLike) -> Array:
    del dtype
    return random_indices(rng, shape, axis)


def some_ignored(rng: Rng, shape: Shape, axis: int, dtype: DTypeLike) -> Array:
    drawn = indices(rng, shape, axis, dtype)
    return np.where(rng.random(drawn.shape) < 0.3, -100, drawn)


def soft(rng: Rng, shape: Shape, axis: int, dtype: DTypeLike) -> Array:
    del axis
    return random_soft_targets(rng, shape, dtype)


def class_weights(rng: Rng, shape: Shape, axis: int, dtype: DTypeLike) -> Array:
    return random_weights(rng, shape[axis], dtype)


def row_weights(rng: Rng, shape: Shape, axis: int, dtype: DTypeLike) -> Array:
    return random_weights(rng, index_shape(np.empty(shape), axis), dtype)


def element_weights(rng: Rng, shape: Shape, axis: int, dtype: DTypeLike) -> Array:
    del axis
    return random_weights(rng, shape, dtype)


def last_axis_weights(rng: Rng, shape: Shape, axis: int, dtype: DTypeLike) -> Array:
    del axis
    return random_weights(rng, shape[-1:], dtype)


def layer_weights(rng: Rng, shape: Shape, axis: int, dtype: DTypeLike) -> Array:
    del axis
    return rng.normal(size=(4, shape[-1])).astype(dtype)


def layer_bias(rng: Rng, shape: Shape, axis: int, dtype: DTypeLike) -> Array:
    del axis, shape
    return rng.normal(size=4).astype(dtype)


# The table

IGNORED: dict[str, object] = {"ignore_index": -100}


def _losses() -> list[Operation]:
    """Give each loss of rows, with and without gradient, in each way that it takes options."""
    by_class = {"weight": class_weights, "sample_weight": row_weights}
    more: Mapping[str, object]
    found = []
    for name, first, maker, more in (
        ("cross_entropy", "logits", logits, {"label_smoothing": 0.1, "z_loss": 0.01}),
        ("nll_loss", "log_probs", log_probs, {}),
        ("categorical_cross_entropy", "probs", random_probs, {"eps": 2.0**-10}),
    ):
        for function in (name, f"{name}_and_grad"):
            hard = {first: maker, "targets": indices}
            graded = {first: maker, "targets": soft}
            found += [
                Operation(function, hard),
                Operation(function, hard, {"reduction": "none"}, "none"),
                Operation(function, hard | {"targets": some_ignored}, IGNORED, "ignore_index"),
                Operation(function, hard | by_class, more, "options"),
                Operation(function, graded, {}, "soft"),
                Operation(function, graded | by_class, more, "soft, options"),
            ]
    return found


def _binary() -> list[Operation]:
    """Give the binary losses likewise."""
    found = []
    for name, first, maker in (
        ("binary_cross_entropy", "probs", random_probs),
        ("binary_cross_entropy_with_logits", "logits", logits),
    ):
        weights = {"weight": element_weights} | (
            {"pos_weight": last_axis_weights} if first == "logits" else {}
        )
        for function in (name, f"{name}_and_grad"):
            arrays = {first: maker, "targets": soft}
            found += [
                Operation(function, arrays),
                Operation(function, arrays, {"reduction": "none"}, "none"),
                Operation(function, arrays | weights, {"reduction": "sum"}, "weights"),
            ]
    return found


def _hessians() -> list[Operation]:
    """Give the losses with a Hessian in some ways; other ways are those of their siblings."""
    name = "cross_entropy_and_grad_hess"
    by_class = {"weight": class_weights, "sample_weight": row_weights}
    arrays = {"logits": logits, "targets": indices}
    options: dict[str, object] = {"label_smoothing": 0.1, "z_loss": 0.01, "hessian": "bound"}
    binary = {"logits": logits, "targets": soft}
    weights = {"weight": element_weights, "pos_weight": last_axis_weights}
    return [
        Operation(name, arrays, {"hessian": "friedman"}),
        Operation(name, arrays | by_class, {"reduction": "sum"}, "sum, weights"),
        Operation(name, arrays | {"targets": soft} | by_class, options, "soft, options"),
        Operation(f"{BINARY}_and_grad_hess", binary),
        Operation(f"{BINARY}_and_grad_hess", binary | weights, {"reduction": "sum"}, "weights"),
    ]


BINARY = "binary_cross_entropy_with_logits"
OPERATIONS: tuple[Operation, ...] = (
    *(
        Operation(name, {"x": logits})
        for name in ("softmax", "log_softmax", "logsumexp", "sigmoid", "log_sigmoid", "softplus")
    ),
    Operation("logsumexp", {"x": logits}, {"keepdims": True}, "keepdims"),
    Operation("softmax_vjp", {"probs": random_probs, "cotangent": normals}),
    Operation("log_softmax_vjp", {"log_probs": log_probs, "cotangent": normals}),
    *_losses(),
    *_binary(),
    *_hessians(),
    Operation("linear", {"x": normals, "weight": layer_weights, "bias": layer_bias}),
    Operation("top_k", {"x": logits}, {"k": 1}),
    Operation("accuracy", {"scores": logits, "targets": indices}),
    Operation("accuracy", {"scores": logits, "targets": some_ignored}, IGNORED, "ignore_index"),
    Operation("perplexity", {"logits": logits, "targets": indices}),
)
BY_LABEL = {operation.label: operation for operation in OPERATIONS}


def results(value: object) -> list[Array]:
    """Give the arrays of a result: one, or those of a tuple."""
    return [np.asarray(part) for part in (value if isinstance(value, tuple) else (value,))]


def assert_same(operation: Operation, got: object, want: object) -> None:
    """Compare results within 2 ulp, and within 2 ulp of the terms where those cancel."""
    for left, right in zip(results(got), results(want), strict=True):
        assert left.dtype == right.dtype
        assert left.shape == right.shape
        assert type(left) is np.ndarray
        if left.dtype.kind == "i":
            assert np.array_equal(left, right)
        elif operation.cancels:
            largest = np.abs(right[np.isfinite(right)]).max(initial=0.0)
            size = 4 * float(np.finfo(right.dtype).eps)
            np.testing.assert_allclose(left, right, rtol=size, atol=size * float(largest))
        else:
            distances = ulps(left, right.reshape(-1).tolist(), right.dtype)
            assert (distances <= 2).all(), distances.max()
