"""The bounds of accuracy, against mpmath, over wide ranges of inputs.

What is measured and how stands in `tests.accuracy`, `tests.accuracy_options` and `tests.inputs`.
Other properties of the values belong to the tests of each function.
"""

from collections.abc import Callable

import numpy as np
import pytest

import logitkit
from tests import exact, inputs
from tests.accuracy import measure_binary, measure_elements, measure_rows
from tests.accuracy_options import measure_binary_options, measure_options
from tests.exact import CONTEXT, Row
from tests.inputs import Batch
from tests.peers import FORMULA
from tests.report import Report, bound
from tests.support import Array, Float, rng_of


def check(report: Report, dtype: Float) -> None:
    """Compare the worst error of every function with its bound."""
    assert report.count > 1000
    over = [
        f"{function}: {worst.error:.3g} ulp, bound {bound(function, dtype)}, at {worst.case}"
        for function, worst in report.ours().items()
        if not worst.error <= bound(function, dtype)
    ]
    assert not over, "\n" + "\n".join(over)


# The ruler


def test_the_ruler_gives_half_an_ulp_to_rounding(dtype: Float) -> None:
    values = [CONTEXT.exp(CONTEXT.mpf(k) / 7) for k in range(-600, 600)]
    rounded = np.array([float(value) for value in values]).astype(dtype)
    distances = exact.errors(rounded, exact.exact(values))
    assert 0.4 < distances.max() <= 0.5 + 2.0**-25
    above = exact.errors(np.nextafter(rounded, dtype(np.inf)), exact.exact(values))
    assert above.min() > 0.2
    assert above.max() <= 1.5 + 2.0**-25


def test_the_ruler_counts_subnormal_steps(dtype: Float) -> None:
    smallest = np.finfo(dtype).smallest_subnormal
    want = exact.exact([CONTEXT.mpf(float(smallest)) * k / 4 for k in (0, 1, 3, 40)])
    assert exact.errors(np.array([0, 0, 1, 8]).astype(dtype) * smallest, want).tolist() == [
        0,
        0.25,
        0.25,
        2,
    ]


def test_the_ruler_demands_inf_past_the_range_only(dtype: Float) -> None:
    largest = CONTEXT.mpf(float(np.finfo(dtype).max))
    want = exact.exact([largest, largest * 2, -largest * 2, largest * 2])
    got = np.array([np.inf, np.inf, -np.inf, -np.inf], dtype)
    assert exact.errors(got, want).tolist() == [np.inf, 0, 0, np.inf]


def test_the_ruler_sees_what_the_usual_formula_loses(dtype: Float) -> None:
    report = measure_rows(inputs.batches("confident", dtype), [FORMULA])
    assert report.worst["cross_entropy, none", FORMULA].error > 1e6
    assert report.worst["log_softmax", FORMULA].error > 1e6


# The functions


def test_elements(dtype: Float) -> None:
    check(measure_elements(inputs.elements(dtype)), dtype)


@pytest.mark.parametrize("family", inputs.FAMILIES)
def test_rows(family: str, dtype: Float) -> None:
    check(measure_rows(inputs.batches(family, dtype)), dtype)


def test_binary_losses(dtype: Float) -> None:
    check(measure_binary(*inputs.binary(dtype)), dtype)


def test_losses_with_options(dtype: Float) -> None:
    check(measure_options(inputs.few_rows(dtype)), dtype)


def test_binary_losses_with_options(dtype: Float) -> None:
    check(measure_binary_options(*inputs.binary(dtype)), dtype)


def test_logits_at_the_ends_of_the_range(dtype: Float) -> None:
    end = float(np.finfo(dtype).max)
    logits = np.array([[end, -end, 0], [end, end, -end / 2], [-end, -end, -end], [0, -end, 1]])
    classes = np.array([0, 2, 1, 2])
    report = measure_rows([Batch(logits.astype(dtype), classes, ["the ends"] * 4)])
    # The sum over these rows is beyond float64; each of them is not.
    for function in ("softmax", "log_softmax", "logsumexp", "cross_entropy, none"):
        assert report.ours()[function].error <= 2, function


# Many classes, many rows


@pytest.mark.parametrize("ratio", [1.0, 1e-3, 1e-9])
def test_a_million_classes(ratio: float, dtype: Float) -> None:
    classes = 1_000_003
    values = np.log(np.array([1.0, ratio, ratio / 3, ratio / 7]))
    logits = rng_of("a million classes").choice(values, classes).astype(dtype)
    row = Row(logits.tolist())
    target = int(logits.argmin())
    scale = exact.exact([row.largest_term()])
    lse = np.asarray(logitkit.logsumexp(logits))
    assert exact.errors(lse, exact.exact([row.logsumexp]), scale) <= 2
    loss = np.asarray(logitkit.cross_entropy(logits, target))
    assert exact.errors(loss, exact.exact([row.distance(target)])) <= 2
    distinct = np.unique(logits, return_index=True)[1]
    want = exact.exact(row.prob(int(index)) for index in distinct)
    assert exact.errors(logitkit.softmax(logits)[distinct], want).max() <= 2


@pytest.mark.parametrize("classes", [2, 10, 70])
def test_a_mean_over_many_rows_is_as_accurate_as_one(classes: int, dtype: Float) -> None:
    rng = rng_of("many rows", classes)
    block = (rng.normal(size=(64, classes)) * 5).astype(dtype)
    targets = rng.integers(0, classes, 64)
    pairs = zip(block.tolist(), targets.tolist(), strict=True)
    total = CONTEXT.fsum(Row(values).distance(target) for values, target in pairs)
    repeats = 2**20 // (64 * classes)
    logits, classes_of_rows = np.tile(block, (repeats, 1)), np.tile(targets, repeats)
    mean = np.asarray(logitkit.cross_entropy(logits, classes_of_rows))
    assert exact.errors(mean, exact.exact([total / 64])) <= 2
    whole = np.asarray(logitkit.cross_entropy(logits, classes_of_rows, reduction="sum"))
    assert exact.errors(whole, exact.exact([total * repeats])) <= 2


def of_logits(x: Array) -> object:
    rows = np.stack([np.zeros_like(x), x], axis=-1)
    return logitkit.cross_entropy(rows, np.zeros(len(x), int), reduction="sum")


def of_log_probs(x: Array) -> object:
    return logitkit.nll_loss(-x[:, None], np.zeros(len(x), int), reduction="sum")


def of_binary_logits(x: Array) -> object:
    return logitkit.binary_cross_entropy_with_logits(x, np.zeros_like(x), reduction="sum")


@pytest.mark.parametrize("loss", [of_logits, of_log_probs, of_binary_logits])
@pytest.mark.parametrize("place", [0, 3333, -1])
def test_small_losses_are_not_lost_beside_a_huge_one(
    place: int, loss: Callable[[Array], object], dtype: Float
) -> None:
    """Plain sums in float64 lose each 100 beside 2^60."""
    x = np.full(200_001, 100.0, dtype)
    x[place] = 2.0**60
    want = exact.exact([CONTEXT.mpf(2) ** 60 + 100 * 200_000])
    got = np.asarray(loss(x))
    assert exact.errors(got, want) <= 2
