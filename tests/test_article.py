"""The examples of the page "What it computes", with numbers that can be checked by hand."""

import math

import numpy as np
import pytest

import logitkit
from tests.support import (
    REDUCTIONS,
    Float,
    Reduction,
    rows_of,
)


def near(dtype: Float, want: object) -> object:
    """Compare to a few units in the last place: errors of 2 ulp add up over a formula."""
    return pytest.approx(want, rel=8 * float(np.finfo(dtype).eps), abs=0)


LOGITS = [2.0, 1.0, 0.1, -1.2]


def test_softmax(dtype: Float) -> None:
    """e^z divided by its sum: the same shape, each value in [0, 1], a sum of 1."""
    z = np.array(LOGITS, dtype=dtype)
    exponentials = [math.exp(value) for value in z.astype(np.float64).tolist()]
    p = logitkit.softmax(z)
    assert p.shape == z.shape
    assert p.tolist() == near(dtype, [e / math.fsum(exponentials) for e in exponentials])
    assert ((p >= 0) & (p <= 1)).all()
    assert math.fsum(p.tolist()) == near(dtype, 1.0)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_softmax_along_any_axis(dtype: Float, axis: int) -> None:
    """Each row along the axis sums to 1."""
    z = np.arange(24, dtype=dtype).reshape(2, 3, 4) % 5
    p = logitkit.softmax(z, axis=axis)
    assert p.shape == z.shape
    for row in rows_of(p, axis):
        assert math.fsum(row) == near(dtype, 1.0)


def test_exponentials_spread_differences(dtype: Float) -> None:
    """A logit that is twice as large has much more than twice the probability."""
    p = logitkit.softmax(np.array([1.0, 2.0, 4.0], dtype=dtype))
    assert p[1] / p[0] == near(dtype, math.e)
    assert p[2] / p[1] == near(dtype, math.e**2)


def test_top_1_prediction(dtype: Float) -> None:
    """The largest logit has the largest probability: either predicts the class."""
    z = np.array([[0.5, 3.0, 1.0, 2.0], [4.0, -1.0, 0.0, 3.5]], dtype=dtype)
    for scores in (z, logitkit.softmax(z), logitkit.log_softmax(z)):
        values, indices = logitkit.top_k(scores, 1)
        assert indices.tolist() == [[1], [0]]
        assert values.reshape(-1).tolist() == scores.max(axis=-1).tolist()


def test_top_n_prediction(dtype: Float) -> None:
    """The N most probable classes, the best first."""
    z = np.array([[0.5, 3.0, 1.0, 2.0], [4.0, -1.0, 0.0, 3.5]], dtype=dtype)
    p = logitkit.softmax(z)
    values, indices = logitkit.top_k(p, 3)
    assert indices.tolist() == [[1, 3, 2], [0, 3, 2]]
    assert values.tolist() == [[row[i] for i in best] for row, best in zip(p, indices, strict=True)]
    assert logitkit.accuracy(p, [3, 0]) == 0.5
    assert logitkit.accuracy(p, [3, 0], k=2) == 1.0


@pytest.mark.parametrize("p, y", [(0.9, 1), (0.9, 0), (0.2, 1), (0.2, 0), (0.5, 1), (0.3, 0.25)])
def test_binary_cross_entropy(dtype: Float, p: float, y: float) -> None:
    """L = -[y log p + (1 - y) log(1 - p)]."""
    prob = float(dtype(p))
    want = -(y * math.log(prob) + (1 - y) * math.log1p(-prob))
    got = logitkit.binary_cross_entropy(np.array([p], dtype=dtype), np.array([y]))
    assert float(got) == near(dtype, want)


def test_multiclass_cross_entropy(dtype: Float) -> None:
    """One-hot targets pick p = 0.4, 0.4, 0.1; the loss is the mean of -log p."""
    p = np.array([[0.3, 0.3, 0.4], [0.3, 0.4, 0.3], [0.1, 0.2, 0.7]], dtype=dtype)
    one_hot = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]])
    picked = [-math.log(float(dtype(value))) for value in (0.4, 0.4, 0.1)]
    each = logitkit.categorical_cross_entropy(p, one_hot, reduction="none")
    assert each.tolist() == near(dtype, picked)
    for targets in (one_hot, one_hot.astype(dtype), np.array([2, 1, 0])):
        mean = logitkit.categorical_cross_entropy(p, targets)
        assert float(mean) == near(dtype, math.fsum(picked) / 3)
    assert float(mean) == pytest.approx(1.378388, abs=1e-6)


def test_multiclass_cross_entropy_of_any_targets(dtype: Float) -> None:
    """L_i = -sum_j y_ij log p_ij, also where the targets are no single class."""
    p, y = np.array([[0.5, 0.25, 0.25]], dtype=dtype), np.array([[0.5, 0.5, 0.0]])
    got = logitkit.categorical_cross_entropy(p, y)
    assert float(got) == near(dtype, 0.5 * math.log(2) + 0.5 * math.log(4))


def test_five_classes(dtype: Float) -> None:
    """The fourth class is right, with p = 0.6, 0.3, 0.1: a worse guess costs more."""
    p = np.array(
        [[0.1, 0.1, 0.1, 0.6, 0.1], [0.2, 0.2, 0.2, 0.3, 0.1], [0.4, 0.2, 0.2, 0.1, 0.1]], dtype
    )
    losses = logitkit.categorical_cross_entropy(p, [3, 3, 3], reduction="none")
    assert losses[0] < losses[1] < losses[2]
    assert losses.tolist() == pytest.approx([0.510826, 1.203973, 2.302585], abs=1e-6)
    from_logits = logitkit.cross_entropy(np.log(p), [3, 3, 3], reduction="none")
    assert from_logits.tolist() == pytest.approx(losses.tolist(), rel=1e-6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_of_softmax_is_the_softmax_loss(dtype: Float, reduction: Reduction) -> None:
    """-log S_y from the logits is the cross entropy of their softmax."""
    z = np.array([[2.0, 1.0, 0.1], [0.0, -1.0, 1.5], [0.3, 0.3, 0.3]], dtype=dtype)
    targets = np.array([0, 1, 2])
    of_logits = logitkit.cross_entropy(z, targets, reduction=reduction)
    eps = float(np.finfo(dtype).eps)
    for y in (targets, np.eye(3)):
        of_probs = logitkit.categorical_cross_entropy(logitkit.softmax(z), y, reduction=reduction)
        np.testing.assert_allclose(of_logits, of_probs, rtol=16 * eps)
    of_logs = logitkit.nll_loss(logitkit.log_softmax(z), targets, reduction=reduction)
    np.testing.assert_allclose(of_logits, of_logs, rtol=8 * eps)


def test_log_softmax_keeps_small_probabilities(dtype: Float) -> None:
    """Softmax rounds e^-2000 to 0; its logarithm is there all the same."""
    z = np.array([2000.0, 0.0], dtype=dtype)
    assert logitkit.softmax(z).tolist() == [1.0, 0.0]
    assert logitkit.log_softmax(z).tolist() == near(dtype, [0.0, -2000.0])
    assert float(logitkit.cross_entropy(z, 1)) == near(dtype, 2000.0)


def test_fully_connected_layer(dtype: Float) -> None:
    """Z = W x: T rows of N weights make the logits of T classes from N features."""
    weight = np.array([[1.0, 0.0, 2.0], [0.5, -1.0, 0.0]], dtype=dtype)
    x = np.array([3.0, 1.0, -2.0], dtype=dtype)
    assert logitkit.linear(x, weight).tolist() == [-1.0, 0.5]
    assert logitkit.linear(x, weight, np.array([1.0, 0.25], dtype=dtype)).tolist() == [0.0, 0.75]
    assert logitkit.linear(np.stack([x, 2 * x]), weight).tolist() == [[-1.0, 0.5], [-2.0, 1.0]]


def test_from_features_to_the_loss(dtype: Float) -> None:
    """Layer, softmax, prediction and loss in one line of thought."""
    weight = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], dtype=dtype)
    z = logitkit.linear(np.array([[1.0, 2.0]], dtype=dtype), weight)
    assert z.tolist() == [[1.0, 2.0, 3.0]]
    total = math.exp(1) + math.exp(2) + math.exp(3)
    assert logitkit.top_k(z, 1)[1].tolist() == [[2]]
    assert float(logitkit.cross_entropy(z, [2])) == near(dtype, math.log(total) - 3)
    assert float(logitkit.softmax(z)[0, 2]) == near(dtype, math.exp(3) / total)
