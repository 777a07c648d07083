"""Layout is never visible in the values: strides, order, alignment, byte order, kind of array.

The oracle is the same call with contiguous copies. Layouts of `out` are in test_layouts_of_out.py.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import logitkit
from tests.layouts import LAYOUTS, arrange
from tests.operations import BY_LABEL, OPERATIONS, Operation, Shape, assert_same, results
from tests.support import FLOATS, Array, Float, rng_of

SHAPES: tuple[tuple[Shape, int], ...] = (
    ((6,), 0),
    ((5, 17), 1),
    ((17, 5), 0),
    ((3, 9, 4), 1),
    ((2, 3, 40), -1),
)

each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.label)


def test_the_table_holds_every_public_function() -> None:
    """A function that is missing from the table would be tested by no layout."""
    others = {"simd_level", "get_num_threads", "set_num_threads", "__version__"}
    # They are made of these functions, and tested by themselves.
    others |= {"Evaluation", "fit_temperature"}
    assert {operation.function for operation in OPERATIONS} == set(logitkit.__all__) - others
    assert len(BY_LABEL) == len(OPERATIONS)


# Strides, order, alignment, byte order, kinds of arrays


@each_operation
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(operation: Operation, layout: str) -> None:
    for (shape, axis), dtype in itertools.product(SHAPES, FLOATS):
        arrays = operation.make(rng_of(operation.label, shape), shape, axis, dtype)
        laid_out = {name: LAYOUTS[layout](x) for name, x in arrays.items()}
        assert_same(operation, operation(laid_out, axis), operation(arrays, axis))
        for name, x in arrays.items():
            assert np.array_equal(np.asarray(laid_out[name]), x), f"{name} was written to"


def repeated(x: Array, axis: int) -> Array:
    """Repeat the first slice along an axis with a stride of 0."""
    return np.broadcast_to(x.take([0], axis=axis), x.shape)


@each_operation
@pytest.mark.parametrize("along", [0, 1, 2])
def test_zero_strides(operation: Operation, along: int, dtype: Float) -> None:
    for axis in range(3):
        arrays = operation.make(rng_of(operation.label, along), (3, 7, 4), axis, dtype)
        broadcast = {name: repeated(x, min(along, x.ndim - 1)) for name, x in arrays.items()}
        copies = {name: x.copy() for name, x in broadcast.items()}
        assert_same(operation, operation(broadcast, axis), operation(copies, axis))


@st.composite
def arrangements(draw: st.DrawFn, x: Array) -> Array:
    """Draw a layout for an array; values are repeated where a stride is 0."""
    order = draw(st.permutations(range(x.ndim)))
    steps = draw(st.tuples(*[st.sampled_from((1, 1, 2, 3, -1, -2, 0))] * x.ndim))
    for axis, step in enumerate(steps):
        x = repeated(x, axis) if step == 0 and x.shape[axis] else x
    offset = draw(st.integers(0, 16))
    return arrange(x, order, steps, offset, swapped=draw(st.booleans()))


@settings(max_examples=300)
@given(data=st.data())
def test_any_layout_of_any_argument(data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(OPERATIONS), "operation")
    sizes = st.sampled_from((1, 2, 3, 5, 8, 17))
    shape = tuple(data.draw(st.lists(sizes, min_size=1, max_size=4), "shape"))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1), "axis")
    dtype = data.draw(st.sampled_from(FLOATS), "dtype")
    arrays = operation.make(rng_of(operation.label, shape), shape, axis, dtype)
    laid_out = {name: data.draw(arrangements(x), name) for name, x in arrays.items()}
    copies = {
        name: np.ascontiguousarray(x, x.dtype.newbyteorder("=")).reshape(x.shape)
        for name, x in laid_out.items()
    }
    assert_same(operation, operation(laid_out, axis), operation(copies, axis))


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.has_axis], ids=lambda o: o.label)
@pytest.mark.parametrize("axis", range(5))
def test_the_classes_on_any_axis(operation: Operation, axis: int, dtype: Float) -> None:
    """The answer for a moved axis is the moved answer."""
    shape = (2, 3, 2, 4, 5)
    arrays = operation.make(rng_of(operation.label), shape, -1, dtype)
    moved = {
        name: np.ascontiguousarray(np.moveaxis(x, -1, axis)) if x.shape == shape else x
        for name, x in arrays.items()
    }
    for at in (axis, axis - 5):
        want = [
            np.moveaxis(result, -1, axis) if result.ndim == len(shape) else result
            for result in results(operation(arrays))
        ]
        assert_same(operation, operation(moved, at), tuple(want))


@pytest.mark.parametrize("label", ["softmax", "log_softmax", "logsumexp", "cross_entropy_and_grad"])
@pytest.mark.parametrize("dimensions", [7, 16, 31, 32])
@pytest.mark.parametrize("axis", [0, -2, -1])
def test_up_to_32_dimensions(label: str, dimensions: int, axis: int) -> None:
    operation, more = BY_LABEL[label], dimensions - 4
    shape = (1,) * (dimensions - 3) + (3, 2, 5)
    arrays = operation.make(rng_of(dimensions), shape, axis, np.float64)
    want = results(operation({name: x.reshape(x.shape[more:]) for name, x in arrays.items()}, axis))
    got = results(operation(arrays, axis))
    assert_same(operation, tuple(x.reshape(x.shape[more:]) for x in got), tuple(want))


# What is no float32 or float64 array


@each_operation
def test_nested_lists_and_tuples(operation: Operation) -> None:
    arrays = operation.make(rng_of(operation.label), (3, 5), 1, np.float64)
    lists = {name: x.tolist() for name, x in arrays.items()}
    assert_same(operation, operation(lists), operation(arrays))
    tuples = {
        name: tuple(map(tuple, x) if arrays[name].ndim > 1 else x) for name, x in lists.items()
    }
    assert_same(operation, operation(tuples), operation(arrays))


@each_operation
@pytest.mark.parametrize("kind", ["bool", "int8", "uint8", "int16", "uint32", "int64", "uint64"])
def test_integers_and_bools_count_as_float64(operation: Operation, kind: str) -> None:
    arrays = operation.make(rng_of(operation.label), (4, 5), 1, np.float64)
    first = operation.first
    whole = np.clip(np.abs(np.round(arrays[first])), 0, 1 if "prob" in first else 100).astype(kind)
    if first == "probs" and "targets" in arrays:
        # A 0 at a target is an infinite loss in either type.
        whole = np.ones_like(whole)
    given_as_floats = operation(arrays | {first: whole.astype(np.float64)})
    assert_same(operation, operation(arrays | {first: whole}), given_as_floats)
    swapped = whole.astype(whole.dtype.newbyteorder())
    assert_same(operation, operation(arrays | {first: swapped}), given_as_floats)


@each_operation
def test_matrices_come_back_as_arrays(operation: Operation) -> None:
    arrays = operation.make(rng_of(operation.label), (3, 5), 1, np.float64)
    with pytest.warns(PendingDeprecationWarning, match="matrix"):
        matrix = np.matrix(arrays[operation.first])
    assert_same(operation, operation(arrays | {operation.first: matrix}), operation(arrays))


@pytest.mark.parametrize("scalar", [2.5, np.float32(2.5), np.array(2.5), 2, True])
@pytest.mark.parametrize("name", ["sigmoid", "log_sigmoid", "softplus"])
def test_element_wise_functions_of_no_dimensions(name: str, scalar: object) -> None:
    function = getattr(logitkit, name)
    got = np.asarray(function(scalar))
    want = function(np.asarray(scalar).reshape(1))
    assert got.shape == ()
    assert got.dtype == want.dtype
    assert got == want[0]


@pytest.mark.parametrize("y", [0, 1])
def test_binary_losses_of_no_dimensions(y: int, dtype: Float) -> None:
    for name in ("binary_cross_entropy", "binary_cross_entropy_with_logits"):
        function = getattr(logitkit, f"{name}_and_grad")
        loss, grad = function(dtype(0.25), y)
        want, slope = function(np.array([0.25], dtype), [y])
        assert loss == want
        assert loss.dtype == dtype
        assert np.shape(grad) == ()
        assert grad == slope[0]


# Empty arrays


@each_operation
def test_no_rows(operation: Operation, dtype: Float) -> None:
    shapes = (((0, 5), 1), ((5, 0), 0), ((3, 0, 4), 2), ((0, 1), -1))
    for (shape, axis), layout in itertools.product(shapes, ("fortran", "gaps", "unaligned")):
        check_no_rows(operation, shape, axis, layout, dtype)


def check_no_rows(operation: Operation, shape: Shape, axis: int, layout: str, dtype: Float) -> None:
    arrays = operation.make(rng_of(operation.label), shape, axis, dtype)
    got = results(operation({name: LAYOUTS[layout](x) for name, x in arrays.items()}, axis))
    rows = tuple(np.delete(shape, axis))
    if operation.function == "linear":
        assert np.array_equal(got[0], np.broadcast_to(arrays["bias"], (*shape[:-1], 4)))
    elif operation.function == "top_k":
        assert got[0].shape == got[1].shape == tuple(np.insert(rows, axis % len(shape), 1))
    elif "targets" in arrays:
        reduction = operation.options.get("reduction", "mean")
        unreduced = rows if operation.has_axis else shape
        assert got[0].shape == (unreduced if reduction == "none" else ())
        assert reduction == "none" or np.array_equal(
            got[0], 0.0 if reduction == "sum" else np.nan, equal_nan=True
        )
        assert all(grad.shape == shape for grad in got[1:])
    elif operation.function == "logsumexp":
        assert got[0].size == 0
        assert got[0].ndim == len(shape) - (not operation.options)
    else:
        assert got[0].shape == shape


@pytest.mark.parametrize("shape, axis", [((0,), 0), ((3, 0), 1), ((0, 3), 0), ((2, 0, 3), 1)])
@pytest.mark.parametrize("layout", ["fortran", "gaps", "unaligned"])
def test_no_classes(shape: Shape, axis: int, layout: str, dtype: Float) -> None:
    x = LAYOUTS[layout](np.empty(shape, dtype))
    rows = tuple(np.delete(shape, axis))
    for got in (
        logitkit.softmax(x, axis),
        logitkit.log_softmax(x, axis),
        logitkit.softmax_vjp(x, x, axis),
        logitkit.log_softmax_vjp(x, x, axis),
        *logitkit.top_k(x, 0, axis),
    ):
        assert got.shape == shape
    for keepdims in (False, True):
        sums = np.asarray(logitkit.logsumexp(x, axis, keepdims=keepdims))
        assert sums.shape == (tuple(np.insert(rows, axis, 1)) if keepdims else rows)
        assert sums.dtype == dtype
        assert (sums == -np.inf).all()
