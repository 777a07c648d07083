"""Several axes, all or none at once, and `where=`: softmax, log_softmax and logsumexp.

The oracle is the reference on lists of the elements that count.
"""

import itertools
import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import logitkit
from tests import reference
from tests.layouts import LAYOUTS, arrange
from tests.support import FLOATS, Array, Float, check, random_logits, rng_of
from tests.test_half import assert_within_an_ulp

Axes = int | tuple[int, ...] | None
LEFT_OUT = {"softmax": 0.0, "log_softmax": -math.inf}


def axes_of(axis: Axes, dimensions: int) -> tuple[int, ...]:
    """Count the axes from the front."""
    given = range(dimensions) if axis is None else (axis,) if isinstance(axis, int) else axis
    return tuple(sorted(one % dimensions for one in given))


def expected(name: str, x: Array, axis: Axes, mask: Array | None = None) -> list[float]:
    """Give the flat results in C order: of a row's elements that count, the reference's."""
    axes = axes_of(axis, x.ndim)
    others = [a for a in range(x.ndim) if a not in axes]
    kept = np.broadcast_to(True if mask is None else mask, x.shape)
    places = np.arange(x.size).reshape(x.shape).transpose(*others, *axes)
    rows = math.prod(x.shape[a] for a in others)
    flat, counts = x.astype(np.float64).ravel().tolist(), kept.ravel().tolist()
    results = [LEFT_OUT.get(name, 0.0)] * x.size
    sums: list[float] = []
    for row in places.reshape(rows, math.prod(x.shape[a] for a in axes)).tolist():
        chosen = [place for place in row if counts[place]]
        values = [flat[place] for place in chosen]
        if name == "logsumexp":
            sums.append(reference.logsumexp(values) if values else -math.inf)
        else:
            answers = getattr(reference, name)(values) if values else []
            for place, value in zip(chosen, answers, strict=True):
                results[place] = value
    return sums if name == "logsumexp" else results


def shape_after(x: Array, axis: Axes, keepdims: bool) -> tuple[int, ...]:
    axes = axes_of(axis, x.ndim)
    sizes = [(1 if a in axes else size, a) for a, size in enumerate(x.shape)]
    return tuple(size for size, a in sizes if keepdims or a not in axes)


def check_all(x: Array, axis: Axes, mask: Array | None = None) -> None:
    """Compare the three functions with the reference, with and without `out`."""
    masks: dict[str, Any] = {} if mask is None else {"where": mask}
    for name in LEFT_OUT:
        want = expected(name, x, axis, mask)
        function = getattr(logitkit, name)
        out = np.full_like(np.asarray(x), 7)
        copy = np.array(x)
        assert function(x, axis, out=out, **masks) is out
        assert function(copy, axis, out=copy, **masks) is copy
        for result in (np.asarray(function(x, axis, **masks)), out, copy):
            check(result, want, x.dtype, x.shape)
    sums = expected("logsumexp", x, axis, mask)
    for keepdims in (False, True):
        got = np.asarray(logitkit.logsumexp(x, axis, keepdims=keepdims, **masks))
        check(got, sums, x.dtype, shape_after(x, axis, keepdims))


# Axes

SHAPES: tuple[tuple[int, ...], ...] = ((4, 5), (3, 4, 5), (2, 3, 4, 5), (70, 2, 3), (2, 1, 6))


def all_axes(dimensions: int) -> list[Axes]:
    found: list[Axes] = [None]
    for size in range(dimensions + 1):
        found += itertools.combinations(range(dimensions), size)
    return found


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("layout", ["contiguous", *LAYOUTS])
def test_several_axes(shape: tuple[int, ...], layout: str) -> None:
    if layout in {"memoryview", "__array__"}:
        pytest.skip("not an array itself")
    for axis, dtype in itertools.product(all_axes(len(shape)), FLOATS):
        x = random_logits(rng_of(shape, axis), shape, dtype)
        laid_out = x if layout == "contiguous" else np.asarray(LAYOUTS[layout](x))
        for name in LEFT_OUT:
            got = getattr(logitkit, name)(laid_out, axis)
            check(got, expected(name, x, axis), x.dtype, shape)
        sums = np.asarray(logitkit.logsumexp(laid_out, axis))
        check(sums, expected("logsumexp", x, axis), x.dtype)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_several_axes_with_out(shape: tuple[int, ...], dtype: Float) -> None:
    for axis in all_axes(len(shape)):
        check_all(random_logits(rng_of(shape, axis, "out"), shape, dtype), axis)


def test_order_and_sign_of_axes(dtype: Float) -> None:
    x = random_logits(rng_of("order"), (3, 4, 5), dtype)
    want = logitkit.softmax(x, (0, 2))
    for axes in ((2, 0), (-1, 0), (0, -1), (-1, -3), (np.int64(0), np.uint8(2))):
        np.testing.assert_allclose(logitkit.softmax(x, axes), want, rtol=1e-6)
    for name in LEFT_OUT:
        function = getattr(logitkit, name)
        assert function(x, (1,)).tobytes() == function(x, 1).tobytes()


def test_no_axes_make_each_element_its_own_row(dtype: Float) -> None:
    x = np.array([[0.0, 5.0], [np.nan, np.inf]], dtype)
    want = np.array([[1.0, 1.0], [np.nan, np.nan]], dtype)
    np.testing.assert_array_equal(logitkit.softmax(x, ()), want)
    np.testing.assert_array_equal(logitkit.logsumexp(x, ()), x)
    scalar = logitkit.softmax(np.array(3.0, dtype), None)
    assert scalar == 1
    assert logitkit.logsumexp(np.array(3.0, dtype), None) == 3


def test_no_elements_over_several_axes(dtype: Float) -> None:
    x = np.zeros((2, 0, 3), dtype)
    assert logitkit.softmax(x, None).shape == (2, 0, 3)
    assert logitkit.logsumexp(x, None) == -np.inf
    assert logitkit.logsumexp(x, (0, 1)).tolist() == [-np.inf] * 3
    assert logitkit.logsumexp(x, (0, 2)).shape == (0,)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_one_long_row_of_any_strides(dtype: Any) -> None:  # noqa: ANN401
    """Threads share it, a piece at a time, be it one behind the other or not."""
    # From 2^16 elements on a row is cut into pieces.
    wide = rng_of("long", np.dtype(dtype).name).normal(size=(140, 2, 1001)).astype(dtype)
    for x in (wide[:, 0, :500], wide[::-1, 0, ::2], np.asfortranarray(wide[:, 0, :500])):
        rows = x.astype(np.float64).ravel().tolist()
        for name in LEFT_OUT:
            want = np.array(getattr(reference, name)(rows))
            got = getattr(logitkit, name)(x, None)
            assert got.shape == x.shape
            if dtype is np.float32:
                check(got, want.tolist(), dtype)
            else:
                assert_within_an_ulp(got, want.reshape(x.shape), dtype)
        got = logitkit.logsumexp(x, None)
        np.testing.assert_allclose(got, float(reference.logsumexp(rows)), rtol=3e-7)


# Masks


def masks(rng: np.random.Generator, shape: tuple[int, ...]) -> dict[str, Array]:
    """Make masks of the shape, and such as broadcast to it."""
    drawn = rng.random(shape) < 0.6
    none = drawn.copy()
    none[0] = False
    return {
        "some": drawn,
        "fortran": np.asfortranarray(drawn),
        "reversed": drawn[..., ::-1],
        "a row of nothing": none,
        "all": np.ones(shape, bool),
        "nothing": np.zeros(shape, bool),
        "one for all rows": rng.random(shape[-1]) < 0.5,
        "one for a row": rng.random((*shape[:-1], 1)) < 0.5,
        "scalar": np.array(True),
    }


MASKED: tuple[tuple[tuple[int, ...], Axes], ...] = (
    ((7,), 0),
    ((6, 5), 1),
    ((5, 6), 0),
    ((200, 10), 1),
    ((10, 200), 0),
    ((70, 3), -1),
    ((3, 300), -1),
    ((300, 3), 0),
    ((2, 4099), 1),
    ((3, 10, 70), 1),
    ((3, 4, 5), (0, 2)),
    ((3, 4, 5), None),
    ((3, 4, 5), ()),
)


@pytest.mark.parametrize("shape, axis", MASKED, ids=str)
def test_masks(shape: tuple[int, ...], axis: Axes, dtype: Float) -> None:
    rng = rng_of("mask", shape, axis)
    x = random_logits(rng, shape, dtype)
    for mask in masks(rng, shape).values():
        check_all(x, axis, mask)


@pytest.mark.parametrize("half", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("shape, axis", MASKED, ids=str)
def test_masks_of_halves(shape: tuple[int, ...], axis: Axes, half: Any) -> None:  # noqa: ANN401
    rng = rng_of("half mask", shape, axis)
    x = random_logits(rng, shape).astype(half)
    for mask in masks(rng, shape).values():
        for name in LEFT_OUT:
            got = getattr(logitkit, name)(x, axis, where=mask)
            assert_within_an_ulp(got, np.array(expected(name, x, axis, mask)), half)


def test_a_long_masked_row(dtype: Float) -> None:
    rng = rng_of("long mask")
    x = rng.normal(size=(2, 300_001)).astype(dtype)
    mask = rng.random(x.shape) < 0.3
    mask[1] = False
    check_all(x, 1, mask)


def test_what_a_mask_leaves_out_does_no_harm(dtype: Float) -> None:
    x = np.array([[1.0, np.nan, 2.0], [np.inf, 1.0, 2.0], [-np.inf, 0.0, 0.0]], dtype)
    mask = np.array([[True, False, True], [False, True, True], [True, False, False]])
    probs = logitkit.softmax(x, where=mask)
    pair = logitkit.softmax(np.array([1.0, 2.0], dtype))
    np.testing.assert_array_equal(probs[0], [pair[0], 0, pair[1]])
    np.testing.assert_array_equal(probs[1], [0, pair[0], pair[1]])
    np.testing.assert_array_equal(probs[2], [np.nan, 0, 0])
    logs = logitkit.log_softmax(x, where=mask)
    assert np.isneginf(logs[~mask]).all()
    assert np.isnan(logs[2, 0])
    sums = np.asarray(logitkit.logsumexp(x, where=mask))
    assert sums[2] == -np.inf
    nothing = np.zeros(3, bool)
    assert (logitkit.softmax(x, where=nothing) == 0).all()
    assert np.isneginf(logitkit.log_softmax(x, where=nothing)).all()
    assert np.isneginf(logitkit.logsumexp(x, where=nothing)).all()


def test_bytes_that_are_neither_0_nor_1(dtype: Float) -> None:
    mask = np.array([0, 2, 255, 1], np.uint8).view(bool)
    got = logitkit.softmax(np.zeros(4, dtype), where=mask)
    np.testing.assert_allclose(got, [0, 1 / 3, 1 / 3, 1 / 3])


def test_a_mask_in_the_memory_of_out() -> None:
    memory = np.zeros(16, np.float32)
    mask = memory.view(bool)[:16]
    mask[::3] = True
    x = np.arange(16, dtype=np.float32)
    want = logitkit.softmax(x, where=mask.copy())
    assert logitkit.softmax(x, where=mask, out=memory) is memory
    np.testing.assert_array_equal(memory, want)


@pytest.mark.parametrize("half", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("shape, axis", [((6, 5), 1), ((70, 3), 0), ((3, 4, 5), (0, 2))], ids=str)
def test_masks_of_sums_of_halves(shape: tuple[int, ...], axis: Axes, half: Any) -> None:  # noqa: ANN401
    """The sums are float32."""
    rng = rng_of("half sums", shape, axis)
    x = random_logits(rng, shape).astype(half)
    for mask in masks(rng, shape).values():
        got = np.asarray(logitkit.logsumexp(x, axis, where=mask))
        check(got, expected("logsumexp", x, axis, mask), np.float32)


@settings(max_examples=150)
@given(data=st.data())
def test_any_layout_of_both(data: st.DataObject) -> None:
    sizes = st.sampled_from((1, 2, 3, 5, 9, 17, 66))
    shape = tuple(data.draw(st.lists(sizes, min_size=1, max_size=3), "shape"))
    chosen = st.lists(st.integers(0, len(shape) - 1), unique=True, max_size=len(shape))
    axis = data.draw(st.one_of(st.none(), chosen.map(tuple)), "axis")
    dtype = data.draw(st.sampled_from(FLOATS), "dtype")
    rng = rng_of(shape, axis)

    def layout(x: Array, name: str) -> Array:
        order = data.draw(st.permutations(range(x.ndim)), f"order of {name}")
        step = st.sampled_from((1, 2, -1, -2))
        steps = data.draw(st.tuples(*[step] * x.ndim), f"steps of {name}")
        return arrange(x, order, steps, data.draw(st.integers(0, 9), f"offset of {name}"))

    x, mask = random_logits(rng, shape, dtype), rng.random(shape) < 0.7
    out = layout(np.zeros_like(x), "out")
    for name in LEFT_OUT:
        function = getattr(logitkit, name)
        got = function(layout(x, "x"), axis, where=layout(mask, "where"), out=out)
        assert got is out
        check(np.ascontiguousarray(got), expected(name, x, axis, mask), dtype)


# Errors


@pytest.mark.parametrize("name", [*LEFT_OUT, "logsumexp"])
def test_refusals(name: str) -> None:
    x = np.zeros((3, 4))
    function = getattr(logitkit, name)
    for mask, facts in (
        (np.ones((3, 4), int), ("where", "int64", "bool", "np.asarray")),
        (np.ones((3, 4), float), ("where", "float64", "bool")),
        ("yes", ("where", "bool")),
        (
            np.array([True, False, None, True]),
            ("where", "object", "bool(None) is False", "NaN", "np.asarray"),
        ),
    ):
        with pytest.raises(TypeError) as raised:
            function(x, where=mask)
        assert all(fact in str(raised.value) for fact in facts)
    with pytest.raises(ValueError, match=r"where has shape \[3\].*\[3, 4\]"):
        function(x, where=np.ones(3, bool))
    with pytest.raises(ValueError, match="broadcast"):
        function(x, where=np.ones((2, 3, 4), bool))
    with pytest.raises(ValueError, match="axis 1 twice"):
        function(x, (1, -1))
    for axes in ((0, 2), (10**40,), (-(10**40),), (0, 2**63), (2**64 + 1,)):
        with pytest.raises(np.exceptions.AxisError, match="dimension 2"):
            function(x, axes)
    for axis in ([0, 1], (0, True), (0.0,), "0", ((0,), 1)):
        with pytest.raises(TypeError, match="axis"):
            function(x, axis)


@pytest.mark.parametrize("name", [*LEFT_OUT, "logsumexp"])
@pytest.mark.parametrize(
    "shape, axis, remedy",
    [
        ((4, 3), -1, "where[:, None]"),
        ((4, 3, 2), 1, "where[:, None, :]"),
        ((4, 3, 2), (0, 2), "where[None, :, None]"),
        ((4, 3, 2), (2, -2), "where[:, None, None]"),
    ],
)
def test_a_bool_for_each_row_is_told_from_other_shapes(
    name: str, shape: tuple[int, ...], axis: int | tuple[int, ...], remedy: str
) -> None:
    """What the message says to write works, and is right: whole rows count or do not."""
    function, x = getattr(logitkit, name), random_logits(rng_of(shape), shape, np.float64)
    where = np.arange(math.prod(shape_after(x, axis, keepdims=False))) % 2 == 0
    where = where.reshape(shape_after(x, axis, keepdims=False))
    with pytest.raises(ValueError, match="does not broadcast") as raised:
        function(x, axis, where=where)
    assert str(raised.value).endswith(f" write {remedy}")
    repeated = eval(remedy, {"where": where})  # noqa: S307
    want = expected(name, x, axis, repeated)
    check(np.asarray(function(x, axis, where=repeated)), want, x.dtype)
    with pytest.raises(ValueError, match="does not broadcast") as raised:
        function(x, axis, where=np.ones((7, 7), bool))
    assert "write" not in str(raised.value)


@pytest.mark.parametrize("name", LEFT_OUT)
def test_nothing_is_written_on_an_error(name: str) -> None:
    out = np.full((3, 4), 7.0)
    for options in ({"where": np.ones(3, bool)}, {"where": [1, 0, 1, 1]}, {"axis": (0, 0)}):
        with pytest.raises((TypeError, ValueError)):
            getattr(logitkit, name)(np.zeros((3, 4)), out=out, **options)
        assert (out == 7).all()


def test_a_masked_mask_is_refused() -> None:
    mask = np.ma.masked_array([True, True, False], [False, True, False])
    with pytest.raises(TypeError, match=r"where is a masked array with 1 .*where\.filled\(False\)"):
        logitkit.softmax(np.zeros(3), where=mask)


@pytest.mark.parametrize("axis", [None, (0, 1), (1, 2), (0, 2)])
@pytest.mark.parametrize("where", [None, True])
def test_views_without_elements(
    axis: tuple[int, ...] | None,
    where: bool | None,
    dtype: Float,
) -> None:
    """An empty part of an array has strides, but no element that they lead to."""
    x = np.zeros((3, 2, 5), dtype)[:, :, :0]
    options: dict[str, Any] = {} if where is None else {"where": where}
    sums = np.asarray(logitkit.logsumexp(x, axis, **options))
    assert np.isneginf(sums).all()
    assert logitkit.softmax(x, axis, **options).shape == x.shape
