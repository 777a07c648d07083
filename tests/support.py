"""Helpers shared by the tests: shapes, random cases, rows of an array, and bounds in ulp.

What the right answer is stands in `tests.reference`; nothing here computes a softmax or a loss.
"""

import itertools
import math
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

import logitkit
from tests import reference
from tests.reference import Loss, Total

ROOT = Path(__file__).parent.parent
Array = NDArray[Any]
Float = type[np.floating[Any]]
FLOATS: tuple[Float, ...] = (np.float32, np.float64)
HALVES: tuple[Any, ...] = (np.float16, ml_dtypes.bfloat16)
# What NumPy allows: 32 before its version 2.
MOST_DIMENSIONS = 64 if int(np.__version__.split(".", maxsplit=1)[0]) >= 2 else 32
INTEGERS = tuple(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64))
Reduction = Literal["none", "sum", "mean"]
REDUCTIONS: tuple[Reduction, ...] = ("none", "sum", "mean")

# Shapes with the class axis in every place, and the sizes where vector code changes its path.
SHAPES: tuple[tuple[tuple[int, ...], int], ...] = (
    *(((c,), 0) for c in (1, 2, 3, 10, 17, 33, 65, 1000, 4099)),
    *(((5, c), -1) for c in (1, 2, 3, 10, 17, 33, 65, 1000)),
    *(((c, 7), 0) for c in (1, 2, 3, 10, 17, 33, 65, 1000)),
    *(((3, c, 5), 1) for c in (1, 2, 3, 10, 17, 33, 65)),
    *(((3, 4, c), 2) for c in (1, 2, 10, 33)),
    *(((c, 4, 3), -3) for c in (1, 2, 10, 33)),
    ((2, 4099), 1),
    ((4099, 2), 0),
    ((2, 3, 10, 4), -2),
    ((200, 10), -1),
    ((67, 17), 1),
    ((600, 3), 1),
    ((10, 130), 0),
    ((0, 10), 1),
    ((10, 0), 0),
    ((3, 10, 0), 1),
)


def shape_id(value: object) -> str | None:
    """Name a shape in the id of a test."""
    return "x".join(map(str, value)) if isinstance(value, tuple) else None


by_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)
by_kind = pytest.mark.parametrize("soft", [False, True], ids=["index", "soft"])
by_axis = pytest.mark.parametrize(
    "shape, axis", [((6, 5), -1), ((5, 6), 0), ((3, 17, 4), 1)], ids=shape_id
)

# Random cases


def rng_of(*key: object) -> np.random.Generator:
    """Make a generator that depends on the key alone."""
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def random_logits(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: DTypeLike = np.float64
) -> Array:
    """Draw logits whose rows differ along every axis: mild, spread, shifted, tied, confident."""
    scale = rng.choice([0.1, 1.0, 4.0, 30.0, 100.0], size=shape)
    values = rng.normal(size=shape) * (scale if rng.random() < 0.5 else rng.choice([1.0, 50.0]))
    values += rng.choice([0.0, 0.0, -40.0, 300.0])
    if rng.random() < 0.3:
        values = np.round(values)
    if rng.random() < 0.3:
        values += 30.0 * (rng.random(shape) < 0.1)
    return np.asarray(values, dtype=dtype)


def random_probs(
    rng: np.random.Generator, shape: tuple[int, ...], axis: int, dtype: DTypeLike = np.float64
) -> Array:
    """Draw probabilities inside (0, 1) that sum to about 1 along `axis`, some tiny."""
    powers = rng.random(shape) ** rng.choice([1.0, 4.0, 12.0], size=shape) + 1e-9
    sums = powers.sum(axis=axis, keepdims=True)
    return np.asarray(powers / (sums * (1.0 + 2.0**-20)), dtype=dtype)


def random_indices(
    rng: np.random.Generator, shape: tuple[int, ...], axis: int, dtype: DTypeLike = np.int64
) -> Array:
    """Draw a class index for every row of logits of this shape, as far as `dtype` can hold it."""
    classes = shape[axis]
    low_shape = np.delete(shape, axis)
    return rng.integers(0, min(classes, np.iinfo(dtype).max + 1), size=low_shape).astype(dtype)


def random_soft_targets(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: DTypeLike = np.float64
) -> Array:
    """Draw soft targets with many zeros, whose rows need not sum to 1."""
    values = rng.random(shape) * (rng.random(shape) < 0.6)
    return (values if np.dtype(dtype).kind == "f" else values > 0.4).astype(dtype)


def random_targets(rng: np.random.Generator, x: Array, axis: int, soft: bool) -> Array:
    """Draw targets of either kind for the logits (or probabilities) `x`; the last index is 0."""
    if soft:
        return random_soft_targets(rng, x.shape, x.dtype)
    targets = random_indices(rng, x.shape, axis)
    if targets.size:
        targets.flat[-1] = 0
    return targets


def random_options(
    rng: np.random.Generator, names: Iterable[str], x: Array, axis: int
) -> dict[str, Any]:
    """Draw values for the options of a loss that are named."""
    values: dict[str, Any] = {
        "weight": random_weights(rng, x.shape[axis], x.dtype),
        "sample_weight": random_weights(rng, index_shape(x, axis), x.dtype),
        "ignore_index": 1,
        "label_smoothing": 0.125,
        "z_loss": 0.0625,
        "eps": 1e-3,
    }
    return {name: values[name] for name in names}


def combinations(*names: str) -> list[tuple[str, ...]]:
    """Give every set of names but the empty one."""
    sizes = range(1, len(names) + 1)
    return [chosen for size in sizes for chosen in itertools.combinations(names, size)]


def random_weights(
    rng: np.random.Generator, shape: int | tuple[int, ...], dtype: DTypeLike
) -> Array:
    """Draw weights, some of them 0 and one at least not."""
    values = np.asarray(rng.choice([0.0, 0.25, 0.7, 1.0, 3.1], size=shape))
    if values.size:
        values.flat[-1] = 1.5
    return values.astype(dtype)


# Arrays and rows


def rows_of(x: Array, axis: int = -1) -> list[list[float]]:
    """Give the 1-d slices along `axis`, in C order of the other axes."""
    moved = np.moveaxis(x, axis, -1)
    count = math.prod(moved.shape[:-1])
    rows: list[list[float]] = moved.reshape(count, moved.shape[-1]).tolist()
    return rows


def targets_of(targets: Array, logits: Array, axis: int = -1) -> list[Any]:
    """Give the targets of the rows of `rows_of`: ints, or rows of soft targets as floats."""
    if targets.ndim == logits.ndim:
        return rows_of(targets.astype(np.float64), axis)
    indices: list[int] = targets.reshape(-1).tolist()
    return indices


def index_shape(x: Array, axis: int = -1) -> tuple[int, ...]:
    """Give the shape of `x` without `axis`."""
    return tuple(size for i, size in enumerate(x.shape) if i != axis % x.ndim)


def along(function: Callable[[Any], Sequence[float]], x: Array, axis: int = -1) -> list[float]:
    """Apply a function of rows along `axis`: the results in the C order of `x`."""
    return placed([function(row) for row in rows_of(x, axis)], x, axis)


def placed(rows: Sequence[Sequence[float]], like: Array, axis: int = -1) -> list[float]:
    """Undo `rows_of`: lay rows along `axis` of an array like `like`, as its flat C order."""
    positions = np.moveaxis(np.arange(like.size).reshape(like.shape), axis, -1).reshape(-1)
    flat = [0.0] * like.size
    for position, value in zip(positions, (v for row in rows for v in row), strict=True):
        flat[position] = value
    return flat


def strided_like(x: Array) -> Array:
    """Make an uninitialised array of shape and dtype of `x` with gaps and a negative stride."""
    wide = np.full([2 * size for size in x.shape], 7, dtype=x.dtype)
    return wide[tuple(slice(None, None, -2 if i == 0 else 2) for i in range(x.ndim))]


# Bounds

# The contract's bounds of float64, plus the 3 ulp that the reference may be off itself: for plain
# functions of logits, and for losses with weights, smoothing, soft targets.
PLAIN = 2.0 + 3.0
OPTIONS = 4.0 + 3.0


def spacing(values: Iterable[float], dtype: DTypeLike) -> NDArray[np.float64]:
    """Give the distance from each value to the next larger in magnitude, in `dtype`: one ulp."""
    sizes = np.abs(rounded(values, dtype))
    largest = np.finfo(np.dtype(dtype).type).max
    return np.asarray(np.spacing(np.minimum(sizes, largest)), dtype=np.float64)


def rounded(values: Iterable[float], dtype: DTypeLike) -> Array:
    """Round Python floats to `dtype`, to inf where they overflow."""
    with np.errstate(over="ignore", under="ignore"):
        return np.array([float(v) for v in values], dtype=np.float64).astype(dtype)


def _scales(want: Sequence[float], dtype: DTypeLike) -> Iterator[float]:
    """Give what a bound in ulp is relative to: the value, or the terms where they are larger."""
    for value in want:
        if not isinstance(value, Total):
            yield abs(value)
        else:
            yield value.largest if np.dtype(dtype) == np.float32 else value.magnitude


def ulps(got: Array, want: Sequence[float], dtype: DTypeLike) -> NDArray[np.float64]:
    """Measure each distance in ulp of the value or of its terms; inf where one is not finite."""
    flat = np.asarray(got).reshape(-1)
    right = rounded(want, dtype)
    equal = (flat == right) | (np.isnan(flat) & np.isnan(right))
    finite = np.isfinite(flat) & np.isfinite(right)
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.abs(flat.astype(np.float64) - right.astype(np.float64))
        units = distance / spacing(_scales(want, dtype), dtype)
    return np.where(equal, 0.0, np.where(finite, units, np.inf))


def check(
    got: object,
    want: float | Sequence[float],
    dtype: DTypeLike,
    shape: tuple[int, ...] | None = None,
    *,
    float32: float = 2.0,
    float64: float = OPTIONS,
) -> None:
    """Compare with the reference's flat list (or number): type, dtype, shape and values.

    The bound of float32 is the contract's: the reference is exact beside it.
    """
    if isinstance(want, int | float):
        assert isinstance(got, np.generic), f"a NumPy scalar was due, not {type(got)}"
        want, shape = [want], ()
    else:
        assert type(got) is np.ndarray, f"an ndarray was due, not {type(got)}"
    result = np.asarray(got)
    assert result.dtype == np.dtype(dtype)
    assert shape is None or result.shape == shape
    assert result.size == len(want)
    distances = ulps(result, want, dtype)
    bound = float32 if np.dtype(dtype) == np.float32 else float64
    if (distances > bound).any():
        worst = int(np.argmax(distances))
        raise AssertionError(
            f"{distances[worst]:.4g} ulp (bound {bound:g}) at flat position {worst} of "
            f"{len(want)}: {result.reshape(-1)[worst]!r}, want {float(want[worst])!r}"
        )


def expected_loss(
    name: str,
    x: Array,
    targets: Array,
    axis: int = -1,
    **options: Any,  # noqa: ANN401
) -> tuple[Loss, list[float]]:
    """Give the reference's loss of rows, and its gradient as a flat list in C order."""
    plain = dict(options)
    for key in ("weight", "sample_weight"):
        if plain.get(key) is not None:
            plain[key] = np.asarray(plain[key], dtype=np.float64).reshape(-1).tolist()
    rows = rows_of(x.astype(np.float64), axis)
    function = getattr(reference, f"{name}_and_grad")
    loss, grad = function(rows, targets_of(targets, x, axis), **plain)
    return loss, placed(grad, x, axis)


def expected_binary(
    name: str,
    x: Array,
    targets: Array,
    **options: Any,  # noqa: ANN401
) -> tuple[Loss, list[float]]:
    """Give the reference's binary loss, and its gradient, as flat lists in C order."""
    plain = dict(options)
    for key in ("weight", "pos_weight"):
        if plain.get(key) is not None:
            weights = np.asarray(plain[key], dtype=np.float64)
            plain[key] = np.broadcast_to(weights, x.shape).reshape(-1).tolist()
    flat = [a.astype(np.float64).reshape(-1).tolist() for a in (x, targets)]
    loss, grad = getattr(reference, f"{name}_and_grad")(*flat, **plain)
    return loss, grad


def check_loss(name: str, x: Array, targets: Array, axis: int = -1, **options: Any) -> None:  # noqa: ANN401
    """Compare a loss of rows, alone and with its gradient, with the reference."""
    want = expected_loss(name, x, targets, axis, **options)
    _check_pair(name, want, x, targets, index_shape(x, axis), axis=axis, **options)


def check_binary(name: str, x: Array, targets: Array, **options: Any) -> None:  # noqa: ANN401
    """Compare a binary loss, alone and with its gradient, with the reference."""
    want = expected_binary(name, x, targets, **options)
    _check_pair(name, want, x, targets, x.shape, **options)


def _check_pair(
    name: str,
    want: tuple[Loss, list[float]],
    x: Array,
    targets: Array,
    loss_shape: tuple[int, ...],
    **options: Any,  # noqa: ANN401
) -> None:
    """Compare what both functions of a loss answer with the loss and the gradient due."""
    dtype = result_dtype(x)
    alone = getattr(logitkit, name)(x, targets, **options)
    loss, grad = getattr(logitkit, f"{name}_and_grad")(x, targets, **options)
    check(alone, want[0], dtype, loss_shape)
    check(loss, want[0], dtype, loss_shape)
    check(grad, want[1], dtype, x.shape)


def check_out(
    function: Callable[[Array, Array], Array], first: Array, want: Sequence[float]
) -> None:
    """Check `function(first, out)`: `out` comes back filled, be it fresh, strided or `first`."""
    like = np.full_like(first, 7)
    for out in (like, strided_like(first), np.asfortranarray(like.copy()), first.copy()):
        source = first.copy()
        assert function(source, out) is out
        check(out, want, first.dtype, first.shape)
        np.testing.assert_array_equal(source, first)
    in_place = first.copy()
    assert function(in_place, in_place) is in_place
    check(in_place, want, first.dtype, first.shape)


def check_loss_out(
    name: str, x: Array, targets: Array, axis: int | None, reduction: Reduction
) -> None:
    """Check `out=` of a loss with gradient, of rows or (no axis) binary; `out` may be `x`."""
    options: dict[str, Any] = {"reduction": reduction}
    if axis is None:
        want_loss, want = expected_binary(name, x, targets, **options)
        loss_shape = x.shape
    else:
        options["axis"] = axis
        want_loss, want = expected_loss(name, x, targets, **options)
        loss_shape = index_shape(x, axis)

    def grad_into(x: Array, out: Array) -> Array:
        loss, grad = getattr(logitkit, f"{name}_and_grad")(x, targets, out=out, **options)
        check(loss, want_loss, x.dtype, loss_shape)
        array: Array = grad
        return array

    check_out(grad_into, x, want)


def result_dtype(x: Array) -> np.dtype[Any]:
    """Give the dtype of results: that of the array, float64 for integers and bools."""
    return x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)


def finite_differences(
    function: Callable[[Array], float], x: Array, step: float = 1e-5
) -> NDArray[np.float64]:
    """Differentiate a scalar function of a float64 array by central differences."""
    grad = np.zeros(x.shape)
    for position in np.ndindex(*x.shape):
        ends = []
        for sign in (1.0, -1.0):
            moved = x.copy()
            moved[position] += sign * step
            ends.append(float(function(moved)))
        grad[position] = (ends[0] - ends[1]) / (2.0 * step)
    return grad


# Processes


def python(
    *arguments: str, environment: Mapping[str, str] = os.environ, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, which finds the tests."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        timeout=timeout,
        capture_output=True,
        text=True,
        check=False,
    )


def printed(
    *arguments: str, environment: Mapping[str, str] = os.environ, timeout: float | None = None
) -> str:
    """Give what Python prints in a process of its own that ends well."""
    run = python(*arguments, environment=environment, timeout=timeout)
    assert run.returncode == 0, run.stderr
    return run.stdout


# Arrays that take no memory


def like(value: float, shape: tuple[int, ...], dtype: Any = np.float32) -> Array:  # noqa: ANN401
    """Give an array of any size that is one number over and over."""
    return np.broadcast_to(np.array(value, dtype), shape)


def assert_same_bits(got: object, want: object) -> None:
    """Compare the bits, and that the result is an ndarray (or a scalar) of NumPy's."""
    assert isinstance(got, np.ndarray | np.generic)
    assert type(got) is type(want)
    assert got.dtype == np.asarray(want).dtype
    assert got.tobytes() == np.asarray(want).tobytes()
