"""`Evaluation` and `fit_temperature`: their figures, parts in any order, and what they refuse."""

import json
import math
import pickle
from fractions import Fraction
from typing import Any

import ml_dtypes
import mpmath
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import logitkit
from logitkit._evaluation import EvaluationResult
from logitkit._exact import ExactSums
from tests import reference
from tests.support import HALVES, Array, random_indices, random_logits, rng_of, rows_of


def expected(
    rows: list[list[float]], targets: list[int], weights: list[float], bins: int = 16
) -> dict[str, Any]:
    """Give the figures of rows, in plain Python.

    With 16 bins the probabilities of ties, such as 1/2, lie at edges exactly.
    """
    kept = [(row, y, w) for row, y, w in zip(rows, targets, weights, strict=True) if w]
    weight = math.fsum(w for _, _, w in kept)
    ranks, probs = [], []
    for row, y, _ in kept:
        order = sorted(range(len(row)), key=lambda c: (-row[c], c))
        ranks.append(order.index(y))
        probs.append(reference.softmax(row))
    table: list[list[int]] = [[] for _ in range(bins)]
    for index, p in enumerate(probs):
        place = next(b for b in range(bins) if max(p) <= (b + 1) / bins or b == bins - 1)
        table[place].append(index)
    ece = 0.0
    for members in table:
        right = math.fsum(kept[i][2] for i in members if ranks[i] == 0)
        sure = math.fsum(kept[i][2] * max(probs[i]) for i in members)
        ece += abs(right - sure) / weight
    loss = math.fsum(-w * reference.log_softmax(row)[y] for row, y, w in kept) / weight
    squares = [
        w * math.fsum((p - (c == y)) ** 2 for c, p in enumerate(ps))
        for (_, y, w), ps in zip(kept, probs, strict=True)
    ]
    return {
        "count": len(kept),
        "weight": weight,
        "cross_entropy": loss,
        "bits": loss / math.log(2),
        "perplexity": math.exp(loss),
        "brier": math.fsum(squares) / weight,
        "ece": ece,
        "accuracy": {
            k: math.fsum(w for (_, _, w), rank in zip(kept, ranks, strict=True) if rank < k)
            / weight
            for k in (1, 5)
        },
        "support": [math.fsum(w for _, y, w in kept if y == c) for c in range(len(rows[0]))],
        "correct": [
            math.fsum(
                w for (_, y, w), rank in zip(kept, ranks, strict=True) if y == c and rank == 0
            )
            for c in range(len(rows[0]))
        ],
        "bin_counts": [len(members) for members in table],
    }


def check(result: EvaluationResult, want: dict[str, Any], tolerance: float = 1e-13) -> None:
    """Compare the figures; those of probabilities within the tolerance."""
    assert result.count == want["count"]
    assert result.reliability.count.tolist() == want["bin_counts"]
    assert result.weight == pytest.approx(want["weight"], rel=1e-15)
    for name in ("cross_entropy", "bits", "perplexity", "brier"):
        assert getattr(result, name) == pytest.approx(want[name], rel=tolerance), name
    assert result.ece == pytest.approx(want["ece"], abs=tolerance)
    assert result.accuracy == pytest.approx(want["accuracy"], rel=1e-15)
    assert result.support.tolist() == pytest.approx(want["support"], rel=1e-15)
    assert result.correct.tolist() == pytest.approx(want["correct"], rel=1e-15)


@pytest.mark.parametrize("classes", [1, 2, 3, 10, 700])
@pytest.mark.parametrize("weighted", [False, True])
def test_figures(classes: int, weighted: bool, dtype: Any) -> None:  # noqa: ANN401
    rng = rng_of(classes, weighted)
    x = random_logits(rng, (120, classes), dtype)
    x[:, : classes // 2] = np.round(x[:, : classes // 2])  # some ties
    y = rng.integers(0, classes, 120)
    weights = rng.choice([0.0, 0.3, 1.0, 2.5], 120) if weighted else None
    evaluation = logitkit.Evaluation(bins=16)
    evaluation.update(x[:50], y[:50], sample_weight=None if weights is None else weights[:50])
    evaluation.update(x[50:], y[50:], sample_weight=None if weights is None else weights[50:])
    ones = [1.0] * 120 if weights is None else weights.tolist()
    tolerance = 1e-13 if dtype is np.float64 else 1e-6
    check(evaluation.result(), expected(rows_of(x), y.tolist(), ones), tolerance)
    if weights is None:
        assert evaluation.result().support.dtype == np.int64


@pytest.mark.parametrize("half", HALVES)
def test_half_precision_and_any_leading_shape(half: Any) -> None:  # noqa: ANN401
    rng = rng_of("half")
    x = random_logits(rng, (3, 4, 5, 7), np.float32).astype(half)
    y = random_indices(rng, x.shape, -1)
    evaluation = logitkit.Evaluation(bins=16)
    evaluation.update(x.transpose(1, 0, 2, 3), y.transpose(1, 0, 2))
    check(evaluation.result(), expected(rows_of(x), y.reshape(-1).tolist(), [1.0] * 60), 1e-6)


def test_ignored_rows_may_hold_anything() -> None:
    x = np.array([[1.0, 2.0, 0.0], [np.nan, np.inf, 0.0], [0.5, 0.0, 3.0]])
    evaluation = logitkit.Evaluation(ignore_index=-100, bins=16)
    evaluation.update(x, [0, -100, 2])
    check(evaluation.result(), expected(rows_of(x[[0, 2]]), [0, 2], [1.0, 1.0]))


def test_probabilities() -> None:
    x = random_logits(rng_of("probs"), (40, 6), np.float64)
    y = random_indices(rng_of("y"), x.shape, -1)
    from_logits, from_probs = logitkit.Evaluation(), logitkit.Evaluation(from_probs=True)
    from_logits.update(x, y)
    probs = logitkit.softmax(x)
    before = probs.copy()
    from_probs.update(probs, y)
    assert (probs == before).all()
    one, two = from_logits.result(), from_probs.result()
    for name in ("cross_entropy", "brier", "ece"):
        assert getattr(one, name) == pytest.approx(getattr(two, name), rel=1e-12)
    with pytest.raises(ValueError, match=r"expected a value in \[0, 1\]"):
        from_probs.update([[1.5, 0.0, 0.0, 0.0, 0.0, 0.0]], [0])
    assert from_probs.result().count == 40


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int64, np.bool_])
def test_whole_numbers_are_read_as_float64(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
    """Block by block: a mapped file may be larger than the memory."""
    monkeypatch.setattr("logitkit._rows._ROWS", 7)
    x = rng_of("whole").integers(0, 2 if kind is np.bool_ else 100, (40, 5)).astype(kind)
    y = random_indices(rng_of("y"), x.shape, -1)
    whole, floats = logitkit.Evaluation(), logitkit.Evaluation()
    whole.update(x, y)
    floats.update(x.astype(np.float64), y)
    assert whole.result().as_dict() == floats.result().as_dict()


def test_a_wrong_probability_is_named_by_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logitkit._rows._ROWS", 2)
    probs = np.full((4, 3, 2), 0.5, np.float32)
    probs[2, 1, 1] = np.nan
    probs[1, 0, 0] = 7.0  # of a row that is left out
    evaluation = logitkit.Evaluation(from_probs=True, ignore_index=5)
    targets = np.zeros((4, 3), int)
    targets[1, 0] = 5
    with pytest.raises(ValueError, match=r"probs\[2, 1, 1\] is nan, expected a value in \[0, 1\]"):
        evaluation.update(probs, targets)
    assert evaluation.result().count == 0


@pytest.mark.parametrize("lead", [1.0, 20.0, 40.0, 80.0])
def test_confident_rows_keep_their_scores(lead: float, dtype: Any) -> None:  # noqa: ANN401
    """Of a right row with the probability q of the others, the Brier score is about 2 q²."""
    evaluation = logitkit.Evaluation(k=(1,))
    evaluation.update(np.array([[lead, 0.0]], dtype), [0])
    with mpmath.workdps(60):
        q = 1 / (1 + mpmath.exp(lead))
        brier, loss = float(2 * q * q), float(-mpmath.log(1 - q))
    tolerance = 1e-13 if dtype is np.float64 else 1e-6
    assert evaluation.result().brier == pytest.approx(brier, rel=tolerance, abs=0)
    assert evaluation.result().cross_entropy == pytest.approx(loss, rel=tolerance, abs=0)


def test_sums_that_overflow_are_infinite() -> None:
    evaluation = logitkit.Evaluation()
    evaluation.update([[0.0, 9.0]] * 2, [0, 0], sample_weight=[1e308, 1e308])
    result = evaluation.result()
    assert result.weight == math.inf
    assert result.count == 2


def test_memory_is_for_the_classes() -> None:
    evaluation, sizes = logitkit.Evaluation(), []
    for rows in (1_000, 30_000):
        x = random_logits(rng_of("memory"), (rows, 4), np.float32)
        evaluation.update(x, random_indices(rng_of("y"), x.shape, -1))
        sizes.append(len(pickle.dumps(evaluation)))
    assert sizes[1] < 2 * sizes[0] < 10_000


def test_nan_ranks_first() -> None:
    nan = np.nan
    x = np.array([[nan, 1.0, 2.0], [nan, nan, 2.0], [1.0, nan, 3.0], [0.0, 1.0, nan]])
    for y in range(3):
        for k in (1, 2):
            evaluation = logitkit.Evaluation(k=(k,))
            evaluation.update(x, [y] * 4)
            assert evaluation.result().accuracy[k] == logitkit.accuracy(x, [y] * 4, k=k)
    assert math.isnan(evaluation.result().cross_entropy)
    assert math.isnan(evaluation.result().ece)


def test_no_rows() -> None:
    for evaluation in (logitkit.Evaluation(), logitkit.Evaluation()):
        result = evaluation.result()
        assert result.count == 0
        assert result.support.size == 0
        assert all(
            math.isnan(x) for x in (result.cross_entropy, result.brier, result.ece, result.bits)
        )
        evaluation.update(np.zeros((0, 3)), [])
        assert evaluation.result().support.tolist() == [0, 0, 0]
    text = json.dumps(logitkit.Evaluation().result().as_dict(), allow_nan=False)
    assert json.loads(text)["accuracy"] == {"1": None, "5": None}


@given(cuts=st.lists(st.integers(0, 60), max_size=5), order=st.randoms(), weighted=st.booleans())
@settings(max_examples=40, deadline=None)
def test_parts_add_up_in_any_order(cuts: list[int], order: Any, weighted: bool) -> None:  # noqa: ANN401
    rng = rng_of("parts")
    x = random_logits(rng, (60, 4), np.float32)
    y = random_indices(rng, x.shape, -1)
    weights = rng.random(60) if weighted else np.ones(60)
    whole = logitkit.Evaluation(k=(1, 2))
    whole.update(x, y, sample_weight=weights)
    parts = []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 60], strict=True):
        part = logitkit.Evaluation(k=(1, 2))
        part.update(x[start:end], y[start:end], sample_weight=weights[start:end])
        parts.append(pickle.loads(pickle.dumps(part)))  # noqa: S301 - our own
    order.shuffle(parts)
    total = parts[0]
    for part in parts[1:]:
        total = total + part if order.random() < 0.5 else total.merge(part)
    assert total.result().as_dict() == whole.result().as_dict()


def test_merging_leaves_the_other_as_it_was() -> None:
    one, two = logitkit.Evaluation(), logitkit.Evaluation()
    one.update([[1.0, 0.0]], [0])
    two.update([[0.0, 1.0]], [0])
    both = one + two
    assert (one.result().count, two.result().count, both.result().count) == (1, 1, 2)
    assert one.merge(two) is one
    assert one.result().as_dict() == both.result().as_dict()
    assert two.result().count == 1


BAD_UPDATES: list[tuple[type[Exception], str, Array, Any, Any]] = [
    (IndexError, r"targets\[1\] is 3.*3 classes", np.zeros((2, 3)), [0, 3], None),
    (IndexError, r"targets\[0\] is -1", np.zeros((2, 3)), [-1, 0], None),
    (ValueError, r"shape \[3\], expected.*\[2\]", np.zeros((2, 3)), [0, 1, 2], None),
    (ValueError, "float64", np.zeros((2, 3)), [0.0, 1.0], None),
    (ValueError, r"at least one class", np.zeros((2, 0)), [0, 0], None),
    (TypeError, "complex128", np.zeros((2, 3), complex), [0, 1], None),
    (TypeError, "masked", np.ma.masked_equal([[0.0, 1.0, 2.0]] * 2, 1.0), [0, 1], None),
    (ValueError, r"sample_weight\[1\] is -1", np.zeros((2, 3)), [0, 1], [1, -1]),
    (ValueError, r"sample_weight has shape \[3\]", np.zeros((2, 3)), [0, 1], [1, 1, 1]),
    (ValueError, "4 classes, but 3", np.zeros((2, 4)), [0, 1], None),
    (TypeError, r"np\.asarray\(logits, np\.float32\)", np.zeros((2, 3), complex), [0, 1], None),
    (TypeError, "sample_weight has dtype <U1", np.zeros((2, 3)), [0, 1], ["a", "b"]),
]

# Targets for two rows of three classes, and what is to be written instead.
BAD_TARGETS: list[tuple[Any, str]] = [
    ([0.0, 1.0], r"write np\.asarray\(targets, int\) if they are whole"),
    ([np.nan, 1.0], r"np\.nan_to_num\(targets, nan=-100\), with ignore_index=-100"),
    (np.array([None, 1]), r"targets\.fillna\(-100\), with ignore_index=-100"),
    ([[0], [1]], r"write targets\[\.\.\., 0\]$"),
    (np.eye(3)[:2], r"targets\.argmax\(-1\)$"),
]


@pytest.mark.parametrize("error, message, x, y, weights", BAD_UPDATES)
def test_a_refused_update_adds_nothing(
    error: type[Exception],
    message: str,
    x: Array,
    y: Any,  # noqa: ANN401
    weights: Any,  # noqa: ANN401
) -> None:
    evaluation = logitkit.Evaluation()
    evaluation.update([[1.0, 2.0, 3.0]], [1])
    before = evaluation.result().as_dict()
    with pytest.raises(error, match=message):
        evaluation.update(x, y, sample_weight=weights)
    assert evaluation.result().as_dict() == before


@pytest.mark.parametrize("targets, told", BAD_TARGETS)
def test_what_to_write_instead_of_targets(targets: Any, told: str) -> None:  # noqa: ANN401
    for call in (logitkit.Evaluation().update, logitkit.fit_temperature):
        with pytest.raises(ValueError, match=told):
            call(np.zeros((2, 3)), targets)


@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16, np.float32, np.int8, np.bool_])
def test_weights_of_any_dtype(kind: Any) -> None:  # noqa: ANN401
    x, y, weights = [[1.0, 2.0], [0.5, 0.0], [3.0, 1.0]], [1, 1, 0], [1.0, 0.0, 1.0]
    evaluation, expected = logitkit.Evaluation(), logitkit.Evaluation()
    evaluation.update(np.array(x, np.float32), y, sample_weight=np.array(weights, kind))
    expected.update(np.array(x, np.float32), y, sample_weight=weights)
    assert evaluation.result().as_dict() == expected.result().as_dict()


def test_options_are_checked() -> None:
    with pytest.raises(TypeError, match=r"k is of type int, expected a sequence.*\(1, 5\)"):
        logitkit.Evaluation(k=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="bins is of type float"):
        logitkit.Evaluation(bins=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bins is 0, expected at least 1"):
        logitkit.Evaluation(bins=0)
    with pytest.raises(ValueError, match="k is -1"):
        logitkit.Evaluation(k=(1, -1))
    with pytest.raises(ValueError, match="bins is 3 in the other"):
        logitkit.Evaluation().merge(logitkit.Evaluation(bins=3))
    with pytest.raises(TypeError, match="expected an Evaluation"):
        logitkit.Evaluation().merge(3)  # type: ignore[arg-type]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), max_size=40))
def test_sums_are_exact(values: list[float]) -> None:
    sums = ExactSums(1)
    sums.add(np.array(values[:7]))
    sums.add(np.array(values[7:]))
    total = sum(map(Fraction, values), Fraction(0))
    try:
        want = float(total)
    except OverflowError:
        want = math.inf if total > 0 else -math.inf
    assert sums.values()[0] == want


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.floats(allow_nan=False, width=64)),
        max_size=60,
    )
)
@example([(0, math.inf), (0, -1e308), (0, -1e308)])
def test_sums_of_groups(pairs: list[tuple[int, float]]) -> None:
    sums = ExactSums(4)
    values = np.array([value for _, value in pairs])
    sums.add(values, np.array([group for group, _ in pairs], np.int64))
    sums = pickle.loads(pickle.dumps(sums))  # noqa: S301 - our own
    for group, value in enumerate(sums.values()):
        own = [value for place, value in pairs if place == group]
        special = sum(x for x in own if math.isinf(x))
        if special:
            np.testing.assert_equal(value, special)
            continue
        try:
            want = float(sum(map(Fraction, own), Fraction(0)))
        except OverflowError:
            continue
        assert value == want


# Temperature


def test_the_temperature_is_the_one_that_was_there() -> None:
    rng = rng_of("temperature")
    x = rng.standard_normal((20_000, 5)) * 2
    y = np.array([rng.choice(5, p=p) for p in logitkit.softmax(x[:4000])])
    fit = logitkit.fit_temperature(3.0 * x[:4000], y)
    assert fit.temperature == pytest.approx(3.0, rel=0.06)
    grid = [
        float(logitkit.cross_entropy(3.0 * x[:4000] / t, y))
        for t in (0.999 * fit.temperature, 1.001 * fit.temperature)
    ]
    assert fit.loss_after < min(grid)
    assert fit.loss_after == pytest.approx(
        float(logitkit.cross_entropy(3.0 * x[:4000] / fit.temperature, y)), rel=1e-12
    )
    assert fit.loss_before == pytest.approx(
        float(logitkit.cross_entropy(3.0 * x[:4000], y)), rel=1e-12
    )
    assert fit.iterations < 30


@pytest.mark.parametrize("scale", [1e-150, 1e-60, 1e-3, 1e6, 1e30, 1e100])
def test_logits_of_any_size(scale: float) -> None:
    x = rng_of("size").standard_normal((500, 5)) * 2
    y = np.where(rng_of("y").random(500) < 0.7, x.argmax(axis=1), 0)
    plain, scaled = logitkit.fit_temperature(x, y), logitkit.fit_temperature(x * scale, y)
    assert scaled.temperature == pytest.approx(plain.temperature * scale, rel=1e-9)
    assert scaled.loss_after == pytest.approx(plain.loss_after, rel=1e-12)
    assert scaled.iterations < 100
    assert plain.iterations < 12


def test_nearly_separable_logits() -> None:
    """Of margins of 1 that are wrong in one row of n, T = 1 / log(n - 1)."""
    fit = logitkit.fit_temperature([[1.0, 0.0]] * 10_000 + [[0.0, 1.0]], [0] * 10_001)
    assert fit.temperature == pytest.approx(1.0 / math.log(10_000), rel=1e-9)
    assert fit.iterations < 25


def test_two_classes_have_a_temperature_in_closed_form() -> None:
    """Of logits ±z that are right in a share q of the rows, T = 2z / log(q / (1 - q))."""
    x = np.array([[4.0, -4.0]] * 10 + [[9.0, -np.inf]])
    y = [0] * 9 + [1, -100]
    fit = logitkit.fit_temperature(x, y, ignore_index=-100)
    assert fit.temperature == pytest.approx(8.0 / math.log(9.0), rel=1e-12)


@pytest.mark.parametrize(
    "x, y, message",
    [
        ([[1.0, 0.0], [0.0, 1.0]], [0, 1], "separable"),
        ([[1.0, 0.0], [0.0, 1.0]], [1, 0], "anti-correlated"),
        ([[1.0, 1.0]], [0], "equal"),
        (np.zeros((4, 3)), [0, 1, 2, 0], "equal"),
        ([[1.0, -np.inf]], [1], "not finite"),
        ([[1.0, np.nan]], [1], "not finite"),
        (np.zeros((0, 2)), [], "no rows"),
    ],
)
def test_no_temperature_is_best(x: Any, y: Any, message: str) -> None:  # noqa: ANN401
    with pytest.raises(ValueError, match=message):
        logitkit.fit_temperature(x, y)
