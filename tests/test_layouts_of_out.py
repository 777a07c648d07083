"""`out` of any layout: it is filled and comes back, in place and overlapping inputs as well.

The oracle is the same call without `out`, on copies. What is wrong with an `out` is tested in
test_errors.py.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layouts import LAYOUTS, arrange
from tests.operations import BY_LABEL, OPERATIONS, Operation, Shape, assert_same, results
from tests.support import FLOATS, Array, Float, rng_of

WRITABLE = (
    "fortran",
    "inner axis slowest",
    "gaps",
    "gaps between rows",
    "gaps between entries",
    "reversed",
    "fortran, reversed gaps",
    "one element from alignment",
    "unaligned",
    "unaligned, fortran",
    "packed field",
    "memory map",
)
SHAPES: tuple[tuple[Shape, int], ...] = (((6,), 0), ((5, 17), 1), ((17, 5), 0), ((3, 9, 4), 1))
WITH_OUT = [operation for operation in OPERATIONS if operation.has_out]

each_operation = pytest.mark.parametrize("operation", WITH_OUT, ids=lambda o: o.label)


def filled(operation: Operation, value: object) -> Array:
    """Give the array that `out` was for: the gradient of a loss, or the only result."""
    array = value[-1] if isinstance(value, tuple) else value
    assert isinstance(array, np.ndarray), operation.label
    return array


@each_operation
@pytest.mark.parametrize("layout", WRITABLE)
def test_layouts_of_out(operation: Operation, layout: str, dtype: Float) -> None:
    for shape, axis in SHAPES:
        arrays = operation.make(rng_of(operation.label, shape), shape, axis, dtype)
        out = LAYOUTS[layout](np.full(shape, np.nan, dtype))
        got = operation(arrays, axis, out=out)
        assert filled(operation, got) is out
        plain = tuple(np.asarray(x) for x in results(got))
        assert_same(operation, plain, operation(arrays, axis))


@each_operation
@pytest.mark.parametrize("steps", [2, -2, 3])
def test_the_gaps_of_out_are_left_alone(operation: Operation, steps: int, dtype: Float) -> None:
    for shape, axis in SHAPES:
        arrays = operation.make(rng_of(operation.label, shape), shape, axis, dtype)
        wide = np.full([abs(steps) * size for size in shape], -7, dtype)
        inside = tuple(slice(None, None, steps) for _ in shape)
        operation(arrays, axis, out=wide[inside])
        assert (wide == -7).sum() == wide.size - np.prod(shape)


@each_operation
@pytest.mark.parametrize("layout", WRITABLE)
def test_in_place(operation: Operation, layout: str, dtype: Float) -> None:
    for shape, axis in SHAPES:
        arrays = operation.make(rng_of(operation.label, shape), shape, axis, dtype)
        place = LAYOUTS[layout](arrays[operation.first])
        got = operation(arrays | {operation.first: place}, axis, out=place)
        assert filled(operation, got) is place
        assert_same(operation, tuple(np.asarray(x) for x in results(got)), operation(arrays, axis))


# Overlaps


def shifted(x: Array, by: int) -> tuple[Array, Array]:
    """Give `x` and an `out` of its shape that begins `by` elements after it in memory."""
    memory = np.full(x.size + abs(by), 7, x.dtype)
    start = max(0, -by)
    place = memory[start : start + x.size].reshape(x.shape)
    place[...] = x
    return place, memory[start + by :][: x.size].reshape(x.shape)


@each_operation
@pytest.mark.parametrize("by", [1, -1, 4, -4, 17, -17, 40])
def test_out_overlaps_an_input(operation: Operation, by: int, dtype: Float) -> None:
    for shape, axis in SHAPES:
        arrays = operation.make(rng_of(operation.label, shape), shape, axis, dtype)
        for name in arrays:
            if arrays[name].shape == shape and arrays[name].dtype == dtype:
                place, out = shifted(arrays[name], by)
                got = operation(arrays | {name: place}, axis, out=out)
                assert_same(operation, got, operation(arrays, axis))


@each_operation
@pytest.mark.parametrize("flip", [(0,), (1,), (0, 1)])
def test_out_is_an_input_backwards(
    operation: Operation, flip: tuple[int, ...], dtype: Float
) -> None:
    arrays = operation.make(rng_of(operation.label), (6, 17), 1, dtype)
    for name in arrays:
        if arrays[name].shape == (6, 17) and arrays[name].dtype == dtype:
            place = arrays[name].copy()
            got = operation(arrays | {name: place}, 1, out=np.flip(place, flip))
            want = operation(arrays, 1)
            plain = tuple(np.asarray(x) for x in results(got))
            assert_same(operation, plain, want)


@each_operation
def test_out_is_an_input_transposed(operation: Operation, dtype: Float) -> None:
    arrays = operation.make(rng_of(operation.label), (9, 9), 1, dtype)
    for name in arrays:
        if arrays[name].shape == (9, 9) and arrays[name].dtype == dtype:
            place = arrays[name].copy()
            got = operation(arrays | {name: place}, 1, out=place.T)
            assert_same(operation, got, operation(arrays, 1))


@each_operation
@pytest.mark.parametrize("axis", [0, 1])
def test_out_holds_the_other_inputs(operation: Operation, axis: int, dtype: Float) -> None:
    """Weights that lie in a row or a column of `out`, soft targets that are `out`."""
    arrays = operation.make(rng_of(operation.label, axis), (6, 6), axis, dtype)
    want = operation(arrays, axis)
    for name in list(arrays)[1:]:
        if arrays[name].dtype != dtype:
            continue
        for place in (np.s_[2], np.s_[:, 3]) if arrays[name].ndim == 1 else (np.s_[:],):
            out = np.full((6, 6), 7, dtype)
            out[place] = arrays[name]
            assert_same(operation, operation(arrays | {name: out[place]}, axis, out=out), want)


def test_targets_in_the_memory_of_out() -> None:
    """Class indices may be a view of the very bytes that the gradient goes to."""
    operation = BY_LABEL["cross_entropy_and_grad"]
    arrays = operation.make(rng_of("bytes"), (4, 6), 1, np.float64)
    out = np.zeros((4, 6))
    targets = out.view(np.int64)[:, 5]
    targets[...] = arrays["targets"]
    got = operation(arrays | {"targets": targets}, out=out)
    assert_same(operation, got, operation(arrays))


@settings(max_examples=300)
@given(data=st.data())
def test_any_overlap_with_the_first_input(data: st.DataObject) -> None:
    """Two views of one buffer, with any strides and any distance, one of them `out`."""
    operation = data.draw(st.sampled_from(WITH_OUT), "operation")
    dtype = data.draw(st.sampled_from(FLOATS), "dtype")
    shape = tuple(data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3), "shape"))
    axis = data.draw(st.integers(0, len(shape) - 1), "axis")
    steps = st.tuples(*[st.sampled_from((1, 2, -1, -2))] * len(shape))
    views = []
    memory = np.zeros(4000 * np.dtype(dtype).itemsize, np.uint8)
    for name in ("input", "out"):
        model = arrange(
            np.zeros(shape, dtype),
            data.draw(st.permutations(range(len(shape))), f"order of {name}"),
            data.draw(steps, f"steps of {name}"),
        )
        start = memory.size // 2 + data.draw(st.integers(-60, 60), f"start of {name}")
        views.append(np.ndarray(shape, dtype, memory, start, model.strides))
    place, out = views
    arrays = operation.make(rng_of(operation.label, shape), shape, axis, dtype)
    place[...] = arrays[operation.first]
    got = operation(arrays | {operation.first: place}, axis, out=out)
    assert filled(operation, got) is out
    plain = tuple(np.asarray(x) for x in results(got))
    assert_same(operation, plain, operation(arrays, axis))
