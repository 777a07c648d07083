"""float16 and bfloat16: every number of them, wide rows, losses in float32, memory, mixed types.

Losses under every option are in test_half_losses.py; that any layout gives the same is the business
of test_layouts.py.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import logitkit
from tests import reference
from tests.layouts import arrange
from tests.memory import peak
from tests.operations import OPERATIONS, Operation, results
from tests.support import HALVES, Array, along, expected_binary, expected_loss, rng_of, rows_of

each_half = pytest.mark.parametrize("half", HALVES, ids=lambda half: np.dtype(half).name)


@dataclass(frozen=True)
class Limits:
    """What NumPy's finfo says, for bfloat16 as well."""

    largest: float
    eps: float
    smallest_exponent: int
    largest_exponent: int
    bits: int

    @classmethod
    def of(cls, kind: Any) -> "Limits":  # noqa: ANN401
        """Ask ml_dtypes, which has no types."""
        finfo: Any = ml_dtypes.finfo
        found = finfo(kind)
        return cls(
            float(found.max),
            float(found.eps),
            int(found.minexp),
            int(found.maxexp) - 1,
            int(found.nmant),
        )

    @property
    def smallest(self) -> float:
        """Give the smallest subnormal number."""
        return 2.0 ** (self.smallest_exponent - self.bits)


def ulp(values: Array, half: Any) -> Array:  # noqa: ANN401
    """Give the distance of neighbours of a half type at float64 values, subnormal ones as well."""
    limits = Limits.of(half)
    with np.errstate(divide="ignore"):
        exponents = np.floor(np.log2(np.abs(values)))
    exponents = np.clip(exponents, limits.smallest_exponent, limits.largest_exponent)
    spacings: Array = np.exp2(exponents - limits.bits)
    return spacings


def widened(x: Array) -> Array:
    """Give the numbers of a half type in float64; ml_dtypes warns of NaN."""
    with np.errstate(invalid="ignore"):
        return x.astype(np.float64)


def with_infinities(values: Array, half: Any) -> Array:  # noqa: ANN401
    """Replace what rounds to an infinity in a half type."""
    values, largest = np.asarray(values, np.float64), Limits.of(half).largest
    beyond = np.abs(values) >= largest + ulp(np.asarray(largest), half) / 2
    return np.where(beyond, np.copysign(np.inf, values), values)


def assert_within_an_ulp(got: Array, want: Array, half: Any) -> None:  # noqa: ANN401
    """Compare with float64 values: 1 ulp of the half type, infinite beyond its largest."""
    assert got.dtype == half
    values, want = widened(got), with_infinities(want, half).reshape(got.shape)
    exact = (values == want) | (np.isnan(values) & np.isnan(want))
    with np.errstate(invalid="ignore"):
        errors = np.where(exact, 0.0, np.abs(values - want) / ulp(want, half))
    worst = int(np.argmax(errors))
    assert errors.flat[worst] <= 1.0, (errors.flat[worst], values.flat[worst], want.flat[worst])


def all_numbers(half: Any) -> Array:  # noqa: ANN401
    return np.arange(1 << 16).astype(np.uint16).view(half)


def number(function: Callable[[float], float], x: float) -> float:
    """Call a function of the reference, NaN for NaN."""
    return math.nan if math.isnan(x) else function(x)


@each_half
@pytest.mark.parametrize("name", ["sigmoid", "log_sigmoid", "softplus"])
def test_every_number(name: str, half: Any) -> None:  # noqa: ANN401
    x = all_numbers(half)
    function = getattr(reference, name)
    want = [number(function, value) for value in widened(x).tolist()]
    got = getattr(logitkit, name)(x)
    assert_within_an_ulp(got, np.array(want), half)
    out = np.empty_like(x)
    assert getattr(logitkit, name)(x, out=out) is out
    assert out.tobytes() == got.tobytes()
    assert getattr(logitkit, name)(x, out=x) is x
    assert x.tobytes() == got.tobytes()


def wide_rows(rng: np.random.Generator, shape: tuple[int, ...], half: Any) -> Array:  # noqa: ANN401
    """Draw logits of which many differ by so much that small results are subnormal or 0."""
    scales = rng.choice([0.1, 1.0, 4.0, 12.0, 300.0], size=(*shape[:-1], 1))
    drawn: Array = (rng.normal(size=shape) * scales).astype(half)
    return drawn


SHAPES = ((70, 10), (9, 3), (200, 2), (5, 1), (3, 1000), (2, 4099), (2, 70001))


@each_half
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rows(shape: tuple[int, ...], half: Any) -> None:  # noqa: ANN401
    x = wide_rows(rng_of("half", shape), shape, half)
    wide = x.astype(np.float64)
    for name in ("softmax", "log_softmax"):
        want = np.array(along(getattr(reference, name), wide))
        assert_within_an_ulp(getattr(logitkit, name)(x), want, half)
        first = np.ascontiguousarray(x.T)
        turned = np.ascontiguousarray(getattr(logitkit, name)(first, axis=0).T)
        assert_within_an_ulp(turned, want, half)
        in_place = x.copy()
        assert getattr(logitkit, name)(in_place, out=in_place) is in_place
        assert_within_an_ulp(in_place, want, half)
    sums = logitkit.logsumexp(x)
    assert sums.dtype == np.float32
    exact = [float(reference.logsumexp(row)) for row in rows_of(wide)]
    np.testing.assert_allclose(sums, exact, rtol=3e-7, atol=3e-7 * float(np.abs(wide).max()))


@each_half
def test_very_long_rows(half: Any) -> None:  # noqa: ANN401
    """However many there are, they go a piece at a time: no thread copies a whole one."""
    x = wide_rows(rng_of("very long"), (5, 262_144), half)
    targets = np.arange(5)
    probs, logs = logitkit.softmax(x), logitkit.log_softmax(x)
    sums = np.asarray(logitkit.logsumexp(x))
    _, grad = logitkit.cross_entropy_and_grad(x, targets, reduction="sum")
    for row in range(5):
        one = slice(row, row + 1)
        assert logitkit.softmax(x[one]).tobytes() == probs[one].tobytes()
        assert logitkit.log_softmax(x[one]).tobytes() == logs[one].tobytes()
        assert np.asarray(logitkit.logsumexp(x[one])).tobytes() == sums[one].tobytes()
        _, alone = logitkit.cross_entropy_and_grad(x[one], targets[one], reduction="sum")
        assert alone.tobytes() == grad[one].tobytes()


@each_half
@pytest.mark.parametrize("soft", [False, True], ids=["index", "soft"])
@pytest.mark.parametrize("shape", [(66, 10), (5, 1000), (2, 70001)], ids=str)
def test_losses_of_rows(shape: tuple[int, ...], soft: bool, half: Any) -> None:  # noqa: ANN401
    rng = rng_of("half loss", shape)
    x = wide_rows(rng, shape, half)
    targets = rng.integers(0, shape[1], shape[0]) if not soft else rng.random(shape).astype(half)
    loss, grad = expected_loss("cross_entropy", x, targets, reduction="none")
    got, got_grad = logitkit.cross_entropy_and_grad(x, targets, reduction="none")
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, np.array(loss, np.float64), rtol=3e-7, atol=1e-44)
    assert logitkit.cross_entropy(x, targets, reduction="none").tobytes() == got.tobytes()
    if soft:
        size = float(np.abs(np.array(grad)).max())
        want = np.array(grad).reshape(shape)
        errors = np.abs(got_grad.astype(np.float64) - want)
        assert (errors <= ulp(want, half) + 1e-6 * size).all()
    else:
        assert_within_an_ulp(got_grad, np.array(grad), half)


@each_half
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weights"])
def test_binary_losses(weighted: bool, half: Any) -> None:  # noqa: ANN401
    rng = rng_of("half binary", weighted)
    x = wide_rows(rng, (60, 50), half)
    targets = (rng.random(x.shape) < 0.4) if not weighted else rng.random(x.shape)
    options: dict[str, Any] = {}
    if weighted:
        options = {"pos_weight": np.float32(1.7), "weight": rng.random(50)}
    name = "binary_cross_entropy_with_logits"
    loss, grad = expected_binary(name, x, targets, reduction="none", **options)
    got, got_grad = logitkit.binary_cross_entropy_with_logits_and_grad(
        x, targets, reduction="none", **options
    )
    assert got.dtype == np.float32
    np.testing.assert_allclose(got.ravel(), np.array(loss, np.float64), rtol=3e-7, atol=1e-44)
    assert_within_an_ulp(got_grad, np.array(grad), half)
    mean = getattr(logitkit, name)(x, targets, **options)
    assert type(mean) is np.float32
    np.testing.assert_allclose(mean, math.fsum(loss) / x.size, rtol=1e-6)  # type: ignore[arg-type]


@each_half
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.label)
def test_every_function_takes_it(operation: Operation, half: Any) -> None:  # noqa: ANN401
    """The same numbers in float64 give the same, as far as the result's type can tell."""
    for shape, axis in (((7, 12), 1), ((12, 7), 0), ((3, 12, 5), 1), ((70, 6), -1)):
        arrays = operation.make(rng_of(operation.label, shape), shape, axis, np.float64)
        scores = arrays[operation.first] / (64 if operation.first in ("x", "logits") else 1)
        scores = np.minimum(scores.astype(half), half(1)) if "prob" in operation.first else scores
        halves = {**arrays, operation.first: np.asarray(scores).astype(half)}
        wide = {**arrays, operation.first: halves[operation.first].astype(np.float64)}
        got, want = results(operation(halves, axis)), results(operation(wide, axis))
        assert np.asarray(got[-1]).dtype in (half, np.int64, np.float32, np.float64)
        for left, right in zip(got, want, strict=True):
            if left.dtype.kind == "i":
                assert np.array_equal(left, right)
                continue
            assert left.dtype in (half, np.float32, np.float64)
            assert left.shape == right.shape
            want_finite = with_infinities(right, half) if left.dtype == half else right
            limits = Limits.of(left.dtype)
            eps = max(limits.eps, 5e-7)
            finite = want_finite[np.isfinite(want_finite)]
            atol = eps * float(np.abs(finite).max(initial=0.0)) if operation.cancels else 0.0
            atol += limits.smallest
            np.testing.assert_allclose(widened(left), want_finite, rtol=eps, atol=atol)


def assert_same_of_half(operation: Operation, got: Sequence[Array], want: Sequence[Array]) -> None:
    """Compare results within an ulp of their type, of the largest where terms cancel."""
    for left, right in zip(got, want, strict=True):
        assert left.dtype == right.dtype
        assert left.shape == right.shape
        if left.dtype.kind == "i":
            assert np.array_equal(left, right)
            continue
        limits = Limits.of(left.dtype)
        finite = widened(right)[np.isfinite(right)]
        scale = float(np.abs(finite).max(initial=0.0)) if operation.cancels else 0.0
        atol = limits.eps * scale + limits.smallest
        np.testing.assert_allclose(widened(left), widened(right), rtol=limits.eps, atol=atol)


def drawn_layout(data: st.DataObject, name: str, x: Array) -> Array:
    """Draw how an array lies in memory."""
    order = data.draw(st.permutations(range(x.ndim)), f"order of {name}")
    step = st.sampled_from((1, 1, 2, 3, -1, -2))
    steps = data.draw(st.tuples(*[step] * x.ndim), f"steps of {name}")
    return arrange(x, order, steps, data.draw(st.integers(0, 9), f"offset of {name}"))


@settings(max_examples=150)
@given(data=st.data())
def test_any_layout_of_any_argument_and_of_out(data: st.DataObject) -> None:
    """The oracle is the same call with contiguous copies, and without `out`."""
    half = data.draw(st.sampled_from(HALVES), "half")
    operation = data.draw(st.sampled_from(OPERATIONS), "operation")
    sizes = st.sampled_from((1, 2, 3, 5, 9, 17, 66))
    shape = tuple(data.draw(st.lists(sizes, min_size=1, max_size=3), "shape"))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1), "axis")
    arrays = operation.make(rng_of(operation.label, shape), shape, axis, np.float32)
    scores = arrays[operation.first] / (64 if operation.first in ("x", "logits") else 1)
    arrays[operation.first] = np.minimum(scores, 1 if "prob" in operation.first else 600)
    arrays[operation.first] = arrays[operation.first].astype(half)
    laid_out = {name: drawn_layout(data, name, x) for name, x in arrays.items()}
    out = drawn_layout(data, "out", np.zeros(shape, half))
    more = {"out": out} if operation.has_out else {}
    got, want = results(operation(laid_out, axis, **more)), results(operation(arrays, axis))
    assert_same_of_half(operation, got, want)


@each_half
def test_a_mean_over_ten_million_rows(half: Any) -> None:  # noqa: ANN401
    """Neither does the sum overflow, nor does it stall where a term is less than an ulp of it."""
    x: Array = np.zeros((10_000_000, 2), half)
    targets = np.zeros(len(x), np.int64)
    loss = logitkit.cross_entropy(x, targets)
    assert loss == np.float32(math.log(2))
    total = logitkit.cross_entropy(x, targets, reduction="sum")
    assert total == np.float32(len(x) * math.log(2))


@each_half
def test_peak_memory(half: Any) -> None:  # noqa: ANN401
    """No copy of the array is made in a wider type."""
    x: Array = np.zeros((4096, 4096), half)
    out, targets = np.empty_like(x), np.zeros(4096, np.int64)
    calls: tuple[Callable[[], object], ...] = (
        lambda: logitkit.softmax(x, out=out),
        lambda: logitkit.softmax(x, axis=0, out=out),
        lambda: logitkit.softmax(x, axis=None, out=out),
        lambda: logitkit.cross_entropy_and_grad(x, targets, out=out),
        lambda: logitkit.cross_entropy_and_grad(x, targets, label_smoothing=0.1, out=out),
        lambda: logitkit.sigmoid(x, out=out),
    )
    for call in calls:
        call()
        assert peak(call) <= 8 << 20


@pytest.mark.parametrize("first, second", [HALVES, HALVES[::-1]])
def test_the_two_do_not_mix(first: Any, second: Any) -> None:  # noqa: ANN401
    x, other = np.ones((3, 4), first), np.ones((3, 4), second)
    names = [np.dtype(kind).name for kind in (first, second)]
    for call in (
        lambda: logitkit.softmax_vjp(x, other),
        lambda: logitkit.cross_entropy(x, other),
        lambda: logitkit.cross_entropy(x, [0, 1, 2], weight=other[0]),
        lambda: logitkit.cross_entropy(x, [0, 1, 2], sample_weight=other[:, 0]),
        lambda: logitkit.binary_cross_entropy(x, other),
        lambda: logitkit.binary_cross_entropy_with_logits(x, x, weight=other),
        lambda: logitkit.linear(x, other),
    ):
        with pytest.raises(TypeError) as raised:
            call()
        for fact in (*names, "asarray"):
            assert fact in str(raised.value)
    with pytest.raises(TypeError, match=r"out has dtype"):
        logitkit.softmax(x, out=other)


@each_half
def test_wider_companions_are_not_rounded(half: Any) -> None:  # noqa: ANN401
    """What is beside the logits counts to its last bit of float32."""
    probs = logitkit.softmax(np.zeros((1, 4), half))
    cotangent = np.array([[1.0, 1.0 + 2.0**-10, 1.0, 1.0]], np.float32)
    product = logitkit.softmax_vjp(probs, cotangent)
    assert product[0, 1] > 0
    weight = np.array([1.0, 1.0 + 2.0**-20])
    loss = logitkit.cross_entropy(np.zeros((1, 2), half), [1], weight=weight, reduction="sum")
    assert loss == np.float32(weight[1] * math.log(2))


@each_half
def test_byte_swapped_and_unaligned(half: Any) -> None:  # noqa: ANN401
    x = wide_rows(rng_of("half swapped"), (6, 11), half)
    memory = np.zeros(x.nbytes + 1, np.uint8)
    unaligned: Array = memory[1:].view(half).reshape(x.shape)
    unaligned[...] = x
    want = logitkit.softmax(x)
    assert logitkit.softmax(unaligned).tobytes() == want.tobytes()
    if half is np.float16:
        swapped = x.astype(x.dtype.newbyteorder())
        assert logitkit.softmax(swapped).tobytes() == want.tobytes()
