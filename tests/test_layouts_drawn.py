"""Layouts drawn at random, of every type, kind of array and number of dimensions, and of `out`.

The oracle is the same call with contiguous copies. Each layout by its name is in test_layouts.py.
"""

from collections.abc import Callable, Mapping
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike

from tests.layouts import Subclass, arrange, memory_map
from tests.operations import (
    OPERATIONS,
    Arrays,
    Operation,
    Shape,
    assert_same,
    class_weights,
    indices,
    logits,
    results,
    row_weights,
    soft,
)
from tests.support import HALVES, Array, random_probs, rng_of
from tests.test_half import assert_same_of_half, widened

Rng = np.random.Generator

# Ways to call that the table of operations has not: masks, several axes, types that differ


def mask(rng: Rng, shape: Shape, axis: int, dtype: DTypeLike) -> Array:
    del axis, dtype
    return rng.random(shape) < 0.7


def mask_of_classes(rng: Rng, shape: Shape, axis: int, dtype: DTypeLike) -> Array:
    """Draw one that broadcasts: along the first axis, or over all."""
    del axis, dtype
    return rng.random((1, *shape[1:])) < 0.7


def small_indices(rng: Rng, shape: Shape, axis: int, dtype: DTypeLike) -> Array:
    return indices(rng, shape, axis, dtype).astype(np.uint8)


def hot(rng: Rng, shape: Shape, axis: int, dtype: DTypeLike) -> Array:
    """Draw bools."""
    return soft(rng, shape, axis, dtype) > 0


def wide_weights(rng: Rng, shape: Shape, axis: int, dtype: DTypeLike) -> Array:
    del dtype
    return class_weights(rng, shape, axis, np.float64)


def narrow_weights(rng: Rng, shape: Shape, axis: int, dtype: DTypeLike) -> Array:
    del dtype
    return row_weights(rng, shape, axis, np.float32)


def more_operations() -> tuple[Operation, ...]:
    found = []
    for name in ("softmax", "log_softmax", "logsumexp"):
        found += [
            Operation(name, {"x": logits, "where": mask}, {}, "where"),
            Operation(name, {"x": logits, "where": mask_of_classes}, {}, "where broadcast"),
            Operation(name, {"x": logits}, {"axis": None}, "all axes"),
            Operation(name, {"x": logits, "where": mask}, {"axis": None}, "all axes, where"),
            Operation(name, {"x": logits}, {"axis": ()}, "no axes"),
            Operation(name, {"x": logits}, {"axis": (0, -1)}, "two axes"),
            Operation(name, {"x": logits, "where": mask}, {"axis": (0, -1)}, "two axes, where"),
        ]
    weights = {"weight": wide_weights, "sample_weight": narrow_weights}
    small: dict[str, Any] = {"logits": logits, "targets": small_indices}
    return (
        *found,
        Operation("top_k", {"x": logits}, {"k": 0}, "none"),
        Operation("top_k", {"x": logits}, {"k": 2}, "two"),
        Operation("accuracy", {"scores": logits, "targets": indices}, {"k": 2}, "two"),
        Operation("accuracy", {"scores": logits, "targets": small_indices}, {}, "small"),
        Operation("cross_entropy_and_grad", small, {"reduction": "none"}, "small"),
        Operation("cross_entropy_and_grad", small | weights, {}, "weights of other types"),
        Operation("cross_entropy_and_grad", {"logits": logits, "targets": hot}, {}, "bools"),
        Operation(
            "binary_cross_entropy_with_logits_and_grad",
            {"logits": logits, "targets": hot},
            {"reduction": "none"},
            "bools",
        ),
        Operation(
            "binary_cross_entropy_and_grad", {"probs": random_probs, "targets": hot}, {}, "bools"
        ),
    )


CALLS = (*OPERATIONS, *more_operations())
TWO_AXES = [operation for operation in CALLS if operation.options.get("axis") == (0, -1)]
WITH_OUT = [o for o in CALLS if o.has_out or o.function.endswith("_and_grad_hess")]
TYPES: tuple[Any, ...] = (*HALVES, np.float32, np.float64)


# Drawing


def locked(x: Array) -> Array:
    """Look at an array that cannot be written to by this way."""
    view = x.view()
    view.setflags(write=False)
    return view


KINDS: Mapping[str, Callable[[Array], Array]] = {
    "laid out": lambda x: x,
    "read-only": locked,
    "memory map": memory_map,
    "subclass": lambda x: x.view(Subclass),
    "masked array": np.ma.masked_array,
}


@st.composite
def arrangements(draw: st.DrawFn, x: Array, *, distinct: bool = False) -> Array:
    """Draw a layout for an array; values are repeated where a stride is 0, unless all count."""
    order = draw(st.permutations(range(x.ndim)))
    step = st.sampled_from((1, 1, 2, 3, -1, -2) if distinct else (1, 1, 2, 3, -1, -2, 0))
    steps = draw(st.tuples(*[step] * x.ndim))
    for axis, one in enumerate(steps):
        x = np.broadcast_to(x.take([0], axis=axis), x.shape) if one == 0 and x.size else x
    # Nobody has a bfloat16 of the other byte order: ml_dtypes makes no such type.
    swapped = x.dtype != ml_dtypes.bfloat16 and not distinct and draw(st.booleans())
    return arrange(x, order, steps, draw(st.integers(0, 16)), swapped=swapped)


def drawn_shape(data: st.DataObject, operation: Operation) -> tuple[Shape, int]:
    """Draw a shape of up to 6 dimensions, and an axis, on which there are classes enough."""
    by_element = not operation.has_axis and operation.function != "linear"
    fewest = 2 if operation in TWO_AXES else 0 if by_element else 1
    sizes = st.sampled_from((0, 1, 1, 2, 2, 3, 5))
    shape = data.draw(st.lists(sizes, min_size=fewest, max_size=6), "shape")
    if not shape:
        return (), -1
    axis = data.draw(st.integers(-len(shape), len(shape) - 1), "axis")
    fewest_classes = 2 if operation.options.get("k") == 2 else 1
    enough = [classes for classes in (1, 2, 3, 9, 17) if classes >= fewest_classes]
    shape[axis] = data.draw(st.sampled_from(enough), "classes")
    return tuple(shape), axis


def drawn_arrays(operation: Operation, shape: Shape, axis: int, kind: Any) -> Arrays:  # noqa: ANN401
    """Make arguments of a type, small enough for it."""
    narrow = kind in HALVES
    rng = rng_of(operation.label, shape, axis)
    arrays = operation.make(rng, shape, axis, np.float32 if narrow else kind)
    if narrow:
        first = operation.first
        scores = arrays[first] / (64 if first in ("x", "logits", "scores") else 1)
        arrays[first] = np.minimum(scores, 1 if "prob" in first else 600).astype(kind)
    return arrays


def compare(operation: Operation, got: object, want: object, kind: Any) -> None:  # noqa: ANN401
    """Compare results, of which a mean over nothing is NaN."""
    if kind in HALVES:
        assert_same_of_half(operation, results(got), results(want))
    else:
        assert_same(operation, got, want)


# The tests


def test_the_calls_differ_from_those_of_the_table() -> None:
    labels = [operation.label for operation in CALLS]
    assert len(labels) == len(set(labels))


@settings(max_examples=400)
@given(data=st.data())
def test_any_layout_of_any_argument(data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(CALLS), "operation")
    kind = data.draw(st.sampled_from(TYPES), "type")
    shape, axis = drawn_shape(data, operation)
    arrays = drawn_arrays(operation, shape, axis, kind)
    laid_out = {}
    for name, x in arrays.items():
        drawn = data.draw(arrangements(x), f"layout of {name}")
        laid_out[name] = KINDS[data.draw(st.sampled_from(tuple(KINDS)), f"kind of {name}")](drawn)
    copies = {
        name: np.array(x, arrays[name].dtype, order="C", subok=False)
        for name, x in laid_out.items()
    }
    compare(operation, operation(laid_out, axis), operation(copies, axis), kind)
    for name, x in laid_out.items():
        assert widened(np.asarray(x)).tobytes() == widened(copies[name]).tobytes(), name


@settings(max_examples=200)
@given(data=st.data())
def test_any_layout_of_out(data: st.DataObject) -> None:
    """Of the gradient and of the Hessian, each of which lies as it likes."""
    operation = data.draw(st.sampled_from(WITH_OUT), "operation")
    kind = data.draw(st.sampled_from(TYPES), "type")
    shape, axis = drawn_shape(data, operation)
    arrays = drawn_arrays(operation, shape, axis, kind)
    pair = operation.function.endswith("_and_grad_hess")
    outs = tuple(
        data.draw(arrangements(np.zeros(shape, kind), distinct=True), f"out {number}")
        for number in range(1 + pair)
    )
    got = operation(arrays, axis, out=outs if pair else outs[0])
    parts = got if isinstance(got, tuple) else (got,)
    assert all(part is out for part, out in zip(parts[-len(outs) :], outs, strict=True))
    compare(operation, tuple(results(got)), operation(arrays, axis), kind)


@pytest.mark.parametrize("operation", CALLS, ids=lambda o: o.label)
def test_twelve_dimensions_in_any_order(operation: Operation) -> None:
    """No two axes can be taken together: their order is mixed, and each other one is reversed."""
    shape, axis = (2,) * 12, 5
    arrays = operation.make(rng_of(operation.label, "twelve"), shape, axis, np.float32)
    laid_out = {}
    for name, x in arrays.items():
        order = rng_of("order", name).permutation(x.ndim).tolist()
        steps = [1 if place % 2 else -1 for place in range(x.ndim)]
        laid_out[name] = arrange(x, order, steps)
    assert_same(operation, operation(laid_out, axis), operation(arrays, axis))
