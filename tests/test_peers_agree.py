"""SciPy's and scikit-learn's functions of the same meaning agree, on arrays drawn by hypothesis.

They are an outside oracle of what the functions mean, not of their last bits: the bounds here are
what the peers' own formulas can lose in float64. Accuracy is measured in test_accuracy.py.
"""

import importlib
from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import logitkit
from tests.support import Array, index_shape

# The peers subtract the largest logit, 2 * 20 away at most, which is off by half an ulp of 40,
# 4e-15, and the exponential makes a relative error of that. The sums add some ulp.
LARGEST = 20.0
RTOL = 2e-14
# A log-probability near 0 is a difference of such numbers, and its error is that of those.
ATOL = 2e-14

few = settings(max_examples=50)
numbers = st.floats(-LARGEST, LARGEST)
Axes = int | tuple[int, ...] | None


@pytest.fixture(scope="module")
def metrics() -> Any:  # noqa: ANN401 -- no types are published
    """Give sklearn.metrics. It takes two seconds to import, which is not for every process."""
    return importlib.import_module("sklearn.metrics")


@st.composite
def logits_and_axis(draw: st.DrawFn) -> tuple[Array, int]:
    """Draw logits of 1 to 3 dimensions, and the axis of the classes."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=9))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    return draw(hnp.arrays(np.float64, shape, elements=numbers)), axis


@st.composite
def logits_and_axes(draw: st.DrawFn) -> tuple[Array, Axes]:
    """Draw logits, and several of their axes, or None."""
    x, _ = draw(logits_and_axis())
    some = st.sets(st.integers(0, x.ndim - 1), min_size=1).map(tuple)
    return x, draw(st.one_of(st.none(), some))


def close(got: object, want: object, atol: float = 0.0) -> None:
    """Compare values and shapes; infinities must be the same."""
    left, right = np.asarray(got), np.asarray(want)
    assert left.shape == right.shape
    np.testing.assert_allclose(left, right, rtol=RTOL, atol=atol)


# Functions of rows


def check_rows(x: Array, axis: Axes) -> None:
    """Compare the three functions of rows with SciPy's."""
    special = scipy.special
    close(logitkit.softmax(x, axis), special.softmax(x, axis))
    close(logitkit.log_softmax(x, axis), special.log_softmax(x, axis), ATOL)
    for keepdims in (False, True):
        want = special.logsumexp(x, axis, keepdims=keepdims)
        close(logitkit.logsumexp(x, axis, keepdims=keepdims), want, ATOL)


@few
@given(case=logits_and_axis())
def test_rows(case: tuple[Array, int]) -> None:
    check_rows(*case)


@few
@given(case=logits_and_axes())
def test_rows_of_several_axes(case: tuple[Array, Axes]) -> None:
    check_rows(*case)


@few
@given(data=st.data(), case=logits_and_axis())
def test_rows_with_absent_classes(data: st.DataObject, case: tuple[Array, int]) -> None:
    """-inf is an absent class to SciPy, too; each row keeps its last one."""
    x, axis = case
    absent = data.draw(hnp.arrays(np.bool_, x.shape), "absent")
    np.moveaxis(absent, axis, -1)[..., -1] = False
    check_rows(np.where(absent, -np.inf, x), axis)


# Functions of elements


@few
@given(x=hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(-700.0, 700.0)))
def test_elements(x: Array) -> None:
    """Nothing is subtracted here, but by log_expit of x < 0, whose terms have the same sign."""
    close(logitkit.sigmoid(x), scipy.special.expit(x))
    close(logitkit.log_sigmoid(x), scipy.special.log_expit(x))
    close(logitkit.softplus(x), -scipy.special.log_expit(-x))


def test_special_elements() -> None:
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e308, -1e308, 5e-324, -5e-324])
    close(logitkit.sigmoid(x), scipy.special.expit(x))
    close(logitkit.log_sigmoid(x), scipy.special.log_expit(x))
    close(logitkit.softplus(x), -scipy.special.log_expit(-x))


def test_subnormal_sigmoid() -> None:
    """SciPy divides by exp(740), which is inf: a known difference."""
    assert scipy.special.expit(-740.0) == 0.0
    close(logitkit.sigmoid(-740.0), np.exp(-740.0), atol=1e-323)


# Losses of probabilities

# Probabilities and targets that are multiples of 1/64: 1 - p and 1 - y are exact. The ends are
# among them, where xlogy knows that 0 * log(0) is 0.
shares = st.integers(0, 64).map(lambda n: n / 64)


@few
@given(data=st.data(), size=st.integers(1, 40))
def test_binary_cross_entropy(data: st.DataObject, size: int) -> None:
    """The terms have one sign, so that their sum loses nothing."""
    p, y = (data.draw(hnp.arrays(np.float64, size, elements=shares), name) for name in "py")
    want = -scipy.special.xlogy(y, p) - scipy.special.xlog1py(1 - y, -p)
    close(logitkit.binary_cross_entropy(p, y, reduction="none"), want)
    close(logitkit.binary_cross_entropy(p, y, reduction="sum"), want.sum())
    close(logitkit.binary_cross_entropy(p, y), want.mean())


@few
@given(data=st.data(), case=logits_and_axis())
def test_categorical_cross_entropy(data: st.DataObject, case: tuple[Array, int]) -> None:
    """Soft targets, and class indices as a one-hot matrix to SciPy.

    Rows without a target are no part of logitkit's mean.
    """
    x, axis = case
    p = data.draw(hnp.arrays(np.float64, x.shape, elements=shares), "p")
    y = data.draw(hnp.arrays(np.float64, x.shape, elements=shares), "y")
    classes = data.draw(
        hnp.arrays(np.int64, index_shape(x, axis), elements=st.integers(0, x.shape[axis] - 1)),
        "classes",
    )
    hot = np.moveaxis(np.eye(x.shape[axis])[classes], -1, axis)
    for ours, theirs in ((y, y), (classes, hot)):
        want = -scipy.special.xlogy(theirs, p).sum(axis=axis)
        loss = logitkit.categorical_cross_entropy
        close(loss(p, ours, axis=axis, reduction="none"), want)
        close(loss(p, ours, axis=axis, reduction="sum"), want.sum())
        rows = theirs.any(axis=axis).sum()
        close(loss(p, ours, axis=axis), want.sum() / rows if rows else np.nan)


# scikit-learn


@st.composite
def predictions(draw: st.DrawFn, *, distinct: bool = False) -> tuple[Array, Array, Array]:
    """Draw scores of 3 to 6 classes, the classes of the rows, and weights of the rows.

    With two classes, top_k_accuracy_score asks for scores of another shape.
    """
    rows, classes = draw(st.integers(1, 12)), draw(st.integers(3, 6))
    if distinct:
        row = st.permutations(range(classes))
        scores = np.array([draw(row) for _ in range(rows)], dtype=np.float64)
    else:
        elements = st.floats(-8.0, 8.0)
        scores = draw(hnp.arrays(np.float64, (rows, classes), elements=elements))
    y = draw(hnp.arrays(np.int64, rows, elements=st.integers(0, classes - 1)))
    weights = draw(hnp.arrays(np.int64, rows, elements=st.integers(1, 256))) / 64
    return scores, y, weights


@few
@given(case=predictions())
def test_log_loss(metrics: Any, case: tuple[Array, Array, Array]) -> None:  # noqa: ANN401
    """Probabilities of 1e-8 to 1 - 1e-8 are beyond the reach of log_loss' own clipping."""
    scores, y, weights = case
    probs, labels = logitkit.softmax(scores), range(scores.shape[1])
    ours = logitkit.categorical_cross_entropy
    close(ours(probs, y), metrics.log_loss(y, probs, labels=labels))
    total = metrics.log_loss(y, probs, labels=labels, normalize=False)
    close(ours(probs, y, reduction="sum"), total)
    close(logitkit.cross_entropy(scores, y, reduction="sum"), total, ATOL)
    weighted = metrics.log_loss(y, probs, labels=labels, sample_weight=weights)
    close(ours(probs, y, sample_weight=weights), weighted)


@few
@given(case=predictions(distinct=True))
def test_accuracy(metrics: Any, case: tuple[Array, Array, Array]) -> None:  # noqa: ANN401
    """Both divide a count by the number of rows, so that the results are the same number."""
    scores, y, _ = case
    classes = scores.shape[1]
    assert logitkit.accuracy(scores, y) == metrics.accuracy_score(y, scores.argmax(axis=-1))
    for k in range(1, classes):
        want = metrics.top_k_accuracy_score(y, scores, k=k, labels=range(classes))
        assert logitkit.accuracy(scores, y, k=k) == want


@pytest.mark.parametrize("tied, ours, theirs", [(0, 1.0, 0.0), (2, 0.0, 1.0)])
def test_ties_are_broken_otherwise(metrics: Any, tied: int, ours: float, theirs: float) -> None:  # noqa: ANN401
    """Of equal scores the first counts as larger, as in argmax; for scikit-learn the last."""
    scores, y = np.zeros((1, 3)), np.array([tied])
    assert logitkit.accuracy(scores, y) == ours
    assert metrics.accuracy_score(y, scores.argmax(axis=-1)) == ours
    assert metrics.top_k_accuracy_score(y, scores, k=1, labels=range(3)) == theirs
