"""`logitkit.dask`: the numbers of arrays in memory, for blocks cut anywhere, and what it refuses.

What happens on several processes, of which one is killed, is in test_dask_cluster.py.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import logitkit
import logitkit.dask as lkd
from tests.support import (
    HALVES,
    Array,
    random_indices,
    random_logits,
    random_options,
    random_soft_targets,
    random_targets,
    rng_of,
)
from tests.test_documentation import SECTION, run_examples

KINDS = (np.float32, np.float64, *HALVES, np.int16)
OPTIONS = ("weight", "sample_weight", "ignore_index", "label_smoothing", "z_loss")


@pytest.fixture(autouse=True)
def fixture_in_this_thread() -> Any:  # noqa: ANN401 - a generator
    with dask.config.set(scheduler="synchronous"):
        yield


def close(got: Any, want: Any, scale: Any = None, bound: float = 2.0) -> None:  # noqa: ANN401
    """Compare to some ulp, of the results or of larger terms."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    wide = want.astype(np.float64)
    with np.errstate(invalid="ignore"):
        distance = np.abs(got.astype(np.float64) - wide)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    sizes = np.abs(want if scale is None else np.maximum(np.abs(wide), scale).astype(want.dtype))
    sizes = np.where(np.isfinite(sizes), sizes, np.zeros((), want.dtype))
    units = np.spacing(sizes).astype(np.float64)
    assert (same | (distance <= bound * units)).all(), (distance / units).max()


@st.composite
def cut(draw: st.DrawFn) -> tuple[tuple[int, ...], int, tuple[tuple[int, ...], ...], int]:
    """Draw a shape, the axis of the classes, blocks of each axis, and a seed."""
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    chunks = []
    for size in shape:
        ends = draw(st.lists(st.integers(1, size), max_size=3, unique=True).map(sorted))
        bounds = [0, *ends, *([] if ends and ends[-1] == size else [size])]
        chunks.append(tuple(int(n) for n in np.diff(bounds)))
    return shape, axis, tuple(chunks), draw(st.integers(0, 10**6))


def logits_of(shape: tuple[int, ...], kind: Any, seed: int) -> Array:  # noqa: ANN401
    """Draw logits, some of them special."""
    rng = rng_of(seed)
    x = random_logits(rng, shape, np.float64)
    if np.dtype(kind).kind != "i" and rng.random() < 0.4:
        x[rng.random(shape) < 0.1] = rng.choice([-np.inf, np.nan, np.inf], p=[0.7, 0.2, 0.1])
    return x.astype(kind)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: np.dtype(kind).name)
@given(case=cut())
@settings(max_examples=30)
def test_probabilities_of_any_blocks(kind: Any, case: Any) -> None:  # noqa: ANN401
    shape, axis, chunks, seed = case
    x = logits_of(shape, kind, seed)
    blocks = da.from_array(x, chunks=chunks)
    largest = np.abs(np.nan_to_num(x.astype(np.float64), posinf=0, neginf=0)).max(axis=axis)
    for name in ("softmax", "log_softmax"):
        got = getattr(lkd, name)(blocks, axis)
        want = getattr(logitkit, name)(x, axis)
        assert got.chunks == blocks.chunks
        assert got.dtype == want.dtype
        close(got.compute(), want)
    for keepdims in (False, True):
        got = lkd.logsumexp(blocks, axis, keepdims=keepdims)
        want = logitkit.logsumexp(x, axis, keepdims=keepdims)
        assert got.dtype == np.asarray(want).dtype
        scale = np.expand_dims(largest, axis) if keepdims else largest
        close(got.compute(), want, scale)


@pytest.mark.parametrize("soft", [False, True], ids=["index", "soft"])
@pytest.mark.parametrize("kind", [np.float32, np.float64], ids=["f32", "f64"])
@given(case=cut(), names=st.sets(st.sampled_from(OPTIONS)))
@settings(max_examples=40)
def test_losses_of_any_blocks(
    kind: Any,  # noqa: ANN401
    soft: bool,
    case: Any,  # noqa: ANN401
    names: set[str],
) -> None:
    names -= {"ignore_index"} if soft else set()
    shape, axis, chunks, seed = case
    rng = rng_of(seed, sorted(names))
    x = logits_of(shape, kind, seed)
    targets = random_targets(rng, x, axis, soft)
    options = random_options(rng, sorted(names), x, axis)
    bound = 6.0 if kind is np.float64 and (names or soft) else 2.0
    lazy = dict(options)
    if "sample_weight" in lazy:
        lazy["sample_weight"] = da.from_array(lazy["sample_weight"], chunks=2)
    for reduction in ("none", "sum", "mean"):
        want = logitkit.cross_entropy(x, targets, axis=axis, reduction=reduction, **options)
        got = lkd.cross_entropy(
            da.from_array(x, chunks=chunks),
            da.from_array(targets, chunks=3),
            axis=axis,
            reduction=reduction,
            **lazy,
        )
        assert got.dtype == np.asarray(want).dtype
        close(got.compute(), want, bound=bound)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: np.dtype(kind).name)
@given(case=cut())
@settings(max_examples=15)
def test_accuracy_and_perplexity_of_any_blocks(kind: Any, case: Any) -> None:  # noqa: ANN401
    shape, axis, chunks, seed = case
    x = logits_of(shape, kind, seed)
    x[...] = np.round(x.astype(np.float64)).astype(kind)  # ties
    targets = random_indices(rng_of(seed, "y"), shape, axis)
    blocks = da.from_array(x, chunks=chunks)
    for ignored in (None, 0):
        for k in {0, 1, min(3, shape[axis]), shape[axis]}:
            got = lkd.accuracy(blocks, targets, k=k, axis=axis, ignore_index=ignored).compute()
            want = logitkit.accuracy(x, targets, k=k, axis=axis, ignore_index=ignored)
            np.testing.assert_equal(float(got), float(want))
        got = lkd.perplexity(blocks, targets, axis=axis, ignore_index=ignored).compute()
        want = logitkit.perplexity(x, targets, axis=axis, ignore_index=ignored)
        is_double = np.dtype(kind) == np.float64 or np.dtype(kind).kind == "i"
        unit = 4 * float(np.finfo(np.float64 if is_double else np.float32).eps)
        # An exponential turns the error of its argument into a relative one.
        finite = np.isfinite(want) and want > 0
        bound = unit * (1.0 + abs(math.log(want)) if finite else 1.0)
        np.testing.assert_allclose(float(got), float(want), rtol=bound)


def test_perplexity_of_soft_targets() -> None:
    x = random_logits(rng_of("soft"), (6, 5), np.float64)
    targets = random_soft_targets(rng_of("t"), x.shape)
    got = lkd.perplexity(da.from_array(x, chunks=(2, 2)), da.from_array(targets, chunks=(3, 5)))
    assert float(got.compute()) == pytest.approx(float(logitkit.perplexity(x, targets)), rel=1e-13)


@pytest.mark.parametrize("from_probs", [False, True], ids=["logits", "probs"])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("chunks", [(7, 10), (7, 3), (50, 1)], ids=["whole", "cut", "single"])
def test_evaluate(chunks: tuple[int, int], weighted: bool, from_probs: bool, dtype: Any) -> None:  # noqa: ANN401
    rng = rng_of("evaluate")
    x = random_logits(rng, (50, 10), dtype)
    x = (logitkit.softmax(x) + dtype(0.01)) / dtype(1.1) if from_probs else np.round(x, 1)
    y = rng.integers(0, 10, 50)
    y[::9] = -100
    weights = rng.choice([0.0, 0.5, 2.0], 50) if weighted else None
    evaluation = logitkit.Evaluation(k=(1, 3), bins=7, ignore_index=-100, from_probs=from_probs)
    evaluation.update(x, y, sample_weight=weights)
    want = evaluation.result().as_dict()
    lazy = lkd.evaluate(
        da.from_array(x, chunks=chunks),
        da.from_array(y, chunks=13),
        k=(1, 3),
        bins=7,
        ignore_index=-100,
        from_probs=from_probs,
        sample_weight=None if weights is None else da.from_array(weights, chunks=5),
    )
    got = lazy.compute().as_dict()
    assert got.keys() == want.keys()
    tolerance = 1e-13 if dtype is np.float64 else 1e-6
    for name in ("count", "weight", "accuracy", "support", "correct"):
        assert got[name] == want[name], name
    for name in ("cross_entropy", "bits", "perplexity", "brier", "ece"):
        assert got[name] == pytest.approx(want[name], rel=tolerance), name
    assert got["reliability"]["count"] == want["reliability"]["count"]


def test_evaluate_adds_up_as_one_does() -> None:
    """Where no row is cut, not a bit depends on the blocks."""
    x = random_logits(rng_of("bits"), (300, 6), np.float32)
    y = random_indices(rng_of("y"), x.shape, -1)
    evaluation = logitkit.Evaluation()
    evaluation.update(x, y)
    for rows in (1, 7, 300):
        blocks = da.from_array(x, chunks=(rows, 6))
        assert lkd.evaluate(blocks, y).compute().as_dict() == evaluation.result().as_dict()


@pytest.mark.parametrize("classes", [1, 2], ids=["whole", "cut"])
def test_confident_rows_keep_their_small_losses(classes: int) -> None:
    x = da.from_array([[30.0, 0.0, 0.0], [-300.0, 500.0, -100.0]], chunks=(1, -(-3 // classes)))
    losses = lkd.cross_entropy(x, [0, 1], reduction="none").compute()
    np.testing.assert_allclose(losses, [2 * math.exp(-30), math.exp(-600)], rtol=1e-12)


def test_nothing_is_computed_before_it_is_asked_for() -> None:
    asked = []

    def block(_: Any = None, block_id: Any = None) -> Array:  # noqa: ANN401
        asked.append(block_id)
        return np.zeros((2, 3))

    x = da.map_blocks(block, chunks=((2, 2), (3, 3)), dtype=np.float64, meta=np.zeros((0, 0)))
    targets = da.zeros(4, dtype=int, chunks=2)
    asked.clear()
    lazy = [
        lkd.softmax(x),
        lkd.log_softmax(x, 0),
        lkd.logsumexp(x),
        lkd.cross_entropy(x, targets, label_smoothing=0.1),
        lkd.accuracy(x, targets),
        lkd.perplexity(x, targets),
        lkd.evaluate(x, targets),
    ]
    assert not asked
    assert all(isinstance(one, da.Array) for one in lazy[:-1])
    dask.compute(*lazy)
    assert asked


def test_blocks_without_rows() -> None:
    x = da.concatenate([da.zeros((0, 3)), da.zeros((2, 3)), da.zeros((0, 3))])
    x = x.rechunk({1: 2})
    targets = np.array([0, 1])
    assert float(lkd.cross_entropy(x, targets).compute()) == pytest.approx(math.log(3))
    assert lkd.softmax(x).compute().shape == (2, 3)
    assert lkd.evaluate(x, targets).compute().count == 2
    nothing = da.zeros((0, 3), chunks=(1, 2))
    assert math.isnan(float(lkd.cross_entropy(nothing, np.zeros(0, int)).compute()))
    assert math.isnan(float(lkd.accuracy(nothing, np.zeros(0, int)).compute()))
    assert math.isnan(float(lkd.perplexity(nothing, np.zeros(0, int)).compute()))
    assert float(lkd.cross_entropy(nothing, np.zeros(0, int), reduction="sum").compute()) == 0


@pytest.mark.parametrize("chunks", [(2, 3), (2, 2)], ids=["whole", "cut"])
def test_a_wrong_index_is_named_by_its_place_in_the_whole(chunks: tuple[int, int]) -> None:
    x = da.zeros((5, 3), chunks=chunks)
    targets = da.from_array([0, 1, 2, 3, 0], chunks=2)
    calls: list[Callable[..., Any]] = [
        lkd.cross_entropy,
        lkd.accuracy,
        lkd.perplexity,
        lkd.evaluate,
    ]
    for function in calls:
        lazy = function(x, targets)
        with pytest.raises(IndexError, match=r"targets\[3\] is 3, .* 3 classes"):
            lazy.compute()
        function(x, targets, ignore_index=3).compute()


@pytest.mark.parametrize("chunks", [(2, 3), (2, 2)], ids=["whole", "cut"])
def test_a_wrong_weight_is_named_by_its_place_in_the_whole(chunks: tuple[int, int]) -> None:
    weights = da.from_array([1.0, 1.0, 1.0, 1.0, -2.0], chunks=2)
    lazy = lkd.evaluate(da.zeros((5, 3), chunks=chunks), [0] * 5, sample_weight=weights)
    with pytest.raises(ValueError, match=r"sample_weight\[4\] is -2.0"):
        lazy.compute()


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("soft", [False, True], ids=["index", "soft"])
def test_special_rows_where_no_class_counts(special: float, soft: bool) -> None:
    """A z-loss counts such a row all the same."""
    x = np.array([[special, 1.0, 0.4], [special] * 3, [1.0, 2.0, 3.0]])
    targets = np.full((3, 3), 0.5) if soft else np.array([1, 1, 0])
    weight = [0.0, 0.0, 0.0] if soft else [0.45, 0.0, 0.0]
    want = logitkit.cross_entropy(x, targets, weight=weight, z_loss=0.1, reduction="none")
    got = lkd.cross_entropy(
        da.from_array(x, chunks=1), targets, weight=weight, z_loss=0.1, reduction="none"
    )
    close(got.compute(), want)


def test_whole_numbers_are_float64_in_cut_rows() -> None:
    x = rng_of("whole").integers(-3, 4, (40, 6)).astype(np.int16)
    y = random_indices(rng_of("y"), x.shape, -1)
    whole, cut_ = (lkd.evaluate(da.from_array(x, chunks=c), y).compute() for c in ((9, 6), (9, 2)))
    assert whole.ece == pytest.approx(cut_.ece, rel=1e-14)


def test_perplexity_of_soft_targets_is_not_rounded_to_float32() -> None:
    x = 20 * rng_of("soft").standard_normal((20, 5)).astype(np.float32)
    targets = logitkit.softmax(x).tolist()
    for chunks in ((3, 5), (3, 2)):
        got = lkd.perplexity(da.from_array(x, chunks=chunks), targets).compute()
        want = logitkit.perplexity(x, np.array(targets))
        assert float(got) == pytest.approx(float(want), rel=1e-6)


@pytest.mark.parametrize("chunks", [(2, 3), (2, 2)], ids=["whole", "cut"])
def test_what_is_no_probability_is_refused(chunks: tuple[int, int]) -> None:
    probs = np.full((4, 3), 0.25)
    probs[2, 2], probs[3, 0] = 1.5, np.nan
    lazy = [
        lkd.evaluate(
            da.from_array(probs, chunks=chunks),
            [0, 0, 0, ignored],
            from_probs=True,
            ignore_index=-1,
        )
        for ignored in (-1, 0)
    ]
    for one in lazy:
        with pytest.raises(ValueError, match=r"not in|expected a value in"):
            one.compute()
    left_out = lkd.evaluate(
        da.from_array(probs, chunks=chunks), [0, 0, -1, -1], from_probs=True, ignore_index=-1
    )
    assert left_out.compute().count == 2


X = da.zeros((4, 3), chunks=2)
Y = da.zeros(4, dtype=int, chunks=2)
BAD: list[tuple[type[Exception], str, Callable[[], Any]]] = [
    (TypeError, "x is of type ndarray, expected a Dask array", lambda: lkd.softmax(np.zeros(3))),
    (TypeError, "complex128", lambda: lkd.softmax(X.astype(complex))),
    (TypeError, "axis is of type tuple", lambda: lkd.softmax(X, (0, 1))),  # type: ignore[arg-type]
    (TypeError, "axis is of type bool", lambda: lkd.logsumexp(X, True)),
    (np.exceptions.AxisError, "axis 2 is out of bounds", lambda: lkd.log_softmax(X, 2)),
    (np.exceptions.AxisError, "0", lambda: lkd.softmax(da.zeros(()))),
    (ValueError, "unknown size", lambda: lkd.softmax(X[X[:, 0] > 0])),
    (ValueError, r"\[5\].*\[4, 3\]", lambda: lkd.cross_entropy(X, np.zeros(5, int))),
    (ValueError, "asarray", lambda: lkd.cross_entropy(X, np.zeros(4))),
    (ValueError, "reduction", lambda: lkd.cross_entropy(X, Y, reduction="avg")),
    (ValueError, "label_smoothing", lambda: lkd.cross_entropy(X, Y, label_smoothing=2.0)),
    (ValueError, "weight has shape", lambda: lkd.cross_entropy(X, Y, weight=[1.0])),
    (TypeError, "weight is a Dask array", lambda: lkd.cross_entropy(X, Y, weight=da.ones(3))),
    (ValueError, "sample_weight has shape", lambda: lkd.cross_entropy(X, Y, sample_weight=[1.0])),
    (ValueError, "ignore_index", lambda: lkd.cross_entropy(X, X, ignore_index=0)),
    (TypeError, "masked", lambda: lkd.accuracy(X, np.ma.masked_equal([0, 1, 0, 0], 1))),
    (
        TypeError,
        "sample_weight has dtype",
        lambda: lkd.cross_entropy(X, Y, sample_weight=["a"] * 4),
    ),
    (ValueError, "k is 4", lambda: lkd.accuracy(X, Y, k=4)),
    (ValueError, r"shape \[3\]", lambda: lkd.accuracy(X, np.zeros(3, int))),
    (ValueError, "float64", lambda: lkd.evaluate(X, np.zeros(4))),
    (ValueError, "bins is 0", lambda: lkd.evaluate(X, Y, bins=0)),
    (ValueError, "at least one class", lambda: lkd.perplexity(da.zeros((4, 0)), Y)),
]


@pytest.mark.parametrize("error, message, call", BAD, ids=range(len(BAD)))
def test_what_is_wrong_is_said_at_the_call(
    error: type[Exception], message: str, call: Callable[[], Any]
) -> None:
    with pytest.raises(error, match=message):
        call()


# Documentation


@pytest.mark.parametrize("name", lkd.__all__)
def test_examples_of_functions(name: str) -> None:
    assert run_examples(getattr(lkd, name).__doc__, name, name, {})


def test_examples_of_the_module() -> None:
    assert run_examples(lkd.__doc__ or "", "logitkit.dask", "__init__.py", {})


@pytest.mark.parametrize("name", lkd.__all__)
def test_parts_of_docstrings(name: str) -> None:
    function = getattr(lkd, name)
    text = inspect.getdoc(function) or ""
    parts = ["Parameters", "Returns", "Special values", "Accuracy", "Raises", "Examples"]
    assert SECTION.split(text)[1::2] == [*parts, "See Also", "References"]
    assert all(f"\n{parameter} : " in text for parameter in inspect.signature(function).parameters)
    assert "::\n" in text


@pytest.mark.parametrize("name", sorted({*lkd.__all__} - {"evaluate"}))
def test_arguments_are_those_in_memory(name: str) -> None:
    """But for masks, which it has not, and out=, which has no meaning for what is lazy."""
    own = inspect.signature(getattr(lkd, name)).parameters
    theirs = inspect.signature(getattr(logitkit, name)).parameters
    assert list(own) == [one for one in theirs if one not in {"where", "out"}]
    assert [one.default for one in own.values()] == [theirs[one].default for one in own]
