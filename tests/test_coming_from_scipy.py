"""docs/coming-from.md is right about SciPy, NumPy and scikit-learn, which are asked here.

That their results agree in general is tested in test_peers_agree.py; here stand the page's claims.
"""

import importlib
from typing import Any

import numpy as np
import pytest
import scipy.special

import logitkit

NAN, INF = np.nan, np.inf

Z = np.array([[2.0, 1.0, 0.5], [0.5, 2.5, 1.0], [1.0, 0.0, -1.0]])
Y = np.array([0, 1, 2])
S = np.array([1.0, 2.0, 3.0])
PROBS = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [0.25, 0.25, 0.5]])


def close(got: object, want: object, rtol: float = 1e-14) -> None:
    """Compare values and shapes."""
    left, right = np.asarray(got), np.asarray(want)
    assert left.shape == right.shape
    np.testing.assert_allclose(left, right, rtol=rtol)


# Rows, by SciPy


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
@pytest.mark.parametrize("axis", [0, -1, (0, 1), None])
def test_rows_along_a_named_axis(name: str, axis: int | tuple[int, int] | None) -> None:
    ours, theirs = getattr(logitkit, name), getattr(scipy.special, name)
    close(ours(Z, axis=axis), theirs(Z, axis=axis))


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_the_default_axis(name: str) -> None:
    ours, theirs = getattr(logitkit, name), getattr(scipy.special, name)
    close(theirs(Z), ours(Z, axis=None))
    close(ours(Z), theirs(Z, axis=-1))


def test_factors_of_logsumexp() -> None:
    """A factor of 0 leaves its element out, NaN or not."""
    b = np.array([1.0, 3.0, 0.5])
    close(scipy.special.logsumexp(Z, axis=-1, b=b), logitkit.logsumexp(Z + np.log(b)))
    bad = np.array([0.0, NAN, 1.0])
    assert scipy.special.logsumexp(bad, b=[1, 0, 1]) == logitkit.logsumexp(
        bad, where=[True, False, True]
    )


def test_negative_factors_of_logsumexp() -> None:
    assert np.isnan(scipy.special.logsumexp([0.0, 1.0], b=[1.0, -2.0]))
    value, sign = scipy.special.logsumexp([0.0, 1.0], b=[1.0, -2.0], return_sign=True)
    low, high = logitkit.logsumexp([0.0]), logitkit.logsumexp([1.0 + np.log(2.0)])
    close(high + np.log(-np.expm1(low - high)), value)
    assert sign == -1


def test_complex_numbers() -> None:
    assert scipy.special.logsumexp([1j, 0.0]).dtype == np.complex128
    with pytest.raises(TypeError, match="complex128"):
        logitkit.logsumexp(np.array([1j, 0.0]))


@pytest.mark.filterwarnings("default:invalid value")
def test_a_row_with_inf() -> None:
    """SciPy warns, logitkit does not."""
    with pytest.warns(RuntimeWarning, match="invalid value"):
        got = scipy.special.log_softmax([0.0, INF])
    np.testing.assert_array_equal(got, [-INF, NAN])
    with pytest.warns(RuntimeWarning, match="invalid value"):
        scipy.special.softmax([0.0, INF])
    np.testing.assert_array_equal(logitkit.log_softmax([0.0, INF]), [NAN, NAN])
    np.testing.assert_array_equal(logitkit.softmax([0.0, INF]), [NAN, NAN])


def test_no_classes() -> None:
    empty = np.zeros((2, 0))
    for name in ("softmax", "log_softmax"):
        with pytest.raises(ValueError, match="zero-size"):
            getattr(scipy.special, name)(empty, axis=-1)
        assert getattr(logitkit, name)(empty).shape == (2, 0)
    close(scipy.special.logsumexp(empty, axis=-1), logitkit.logsumexp(empty))


def test_small_log_probabilities() -> None:
    assert scipy.special.log_softmax([40.0, 0.0])[0] == 0.0
    close(logitkit.log_softmax([40.0, 0.0])[0], -np.exp(-40.0))


def test_half_precision() -> None:
    half = np.array([1.0, 2.0], np.float16)
    assert scipy.special.softmax(half).dtype == logitkit.softmax(half).dtype == np.float16
    assert scipy.special.logsumexp(half).dtype == np.float16
    assert logitkit.logsumexp(half).dtype == np.float32
    assert scipy.special.expit(half).dtype != np.float16
    assert logitkit.sigmoid(half).dtype == np.float16


# Elements, by SciPy and NumPy


def test_elements() -> None:
    x = np.array([-800.0, -40.0, -1.0, 0.0, 2.0, 40.0, INF, -INF])
    close(logitkit.sigmoid(x), scipy.special.expit(x))
    close(logitkit.log_sigmoid(x), scipy.special.log_expit(x))
    close(logitkit.softplus(x), np.logaddexp(0, x))
    close(logitkit.softplus(x), scipy.special.softplus(x))


def test_tiny_probabilities() -> None:
    """SciPy has 0 below -88 in float32 and below -709 in float64."""
    for x in (np.array([-89.0, -100.0], np.float32), np.array([-710.0, -740.0])):
        assert not scipy.special.expit(x).any()
        assert (logitkit.sigmoid(x) > 0).all()


@pytest.mark.filterwarnings("default:invalid value")
def test_softplus_of_nan() -> None:
    for theirs in (lambda x: np.logaddexp(0, x), scipy.special.softplus):
        with pytest.warns(RuntimeWarning, match="invalid value"):
            assert np.isnan(theirs(NAN))
    assert np.isnan(logitkit.softplus(NAN))


def test_losses_by_hand() -> None:
    """The lines that people write with SciPy, in logitkit's words."""
    soft = np.array([[0.75, 0.25, 0.0], [0.25, 0.25, 0.5], [0.0, 0.0, 2.0]])
    p, y = np.array([0.0, 0.25, 1.0]), np.array([0.0, 0.5, 1.0])
    log_probs = scipy.special.log_softmax(Z, axis=-1)
    close(logitkit.cross_entropy(Z, Y), -log_probs[np.arange(3), Y].mean())
    by_row = -scipy.special.xlogy(soft, PROBS).sum(axis=-1)
    close(logitkit.categorical_cross_entropy(PROBS, soft, reduction="none"), by_row)
    by_element = -scipy.special.xlogy(y, p) - scipy.special.xlog1py(1 - y, -p)
    close(logitkit.binary_cross_entropy(p, y, reduction="none"), by_element)


def test_outside_of_probabilities() -> None:
    """0 * log of anything is 0 to xlogy."""
    assert scipy.special.xlogy(0.0, -1.0) == 0.0
    with pytest.raises(ValueError, match="a value in"):
        logitkit.categorical_cross_entropy([1.0, -1.0], [1.0, 0.0])


def test_divergence() -> None:
    """Kullback-Leibler's is the cross entropy, less the entropy of the targets."""
    p, q = PROBS, PROBS[::-1]
    want = scipy.special.rel_entr(p, q).sum(axis=-1).mean()
    entropy = scipy.special.entr(p).sum(axis=-1).mean()
    close(logitkit.categorical_cross_entropy(q, p) - entropy, want, rtol=1e-12)


# scikit-learn


@pytest.fixture(scope="module")
def metrics() -> Any:  # noqa: ANN401 -- no types are published
    """Give sklearn.metrics. It takes two seconds to import, which is not for every process."""
    return importlib.import_module("sklearn.metrics")


def test_log_loss(metrics: Any) -> None:  # noqa: ANN401
    ours = logitkit.categorical_cross_entropy
    close(ours(PROBS, Y), metrics.log_loss(Y, PROBS))
    close(ours(PROBS, Y, reduction="sum"), metrics.log_loss(Y, PROBS, normalize=False))
    close(ours(PROBS, Y, sample_weight=S), metrics.log_loss(Y, PROBS, sample_weight=S))
    one_hot = np.eye(3, dtype=int)
    close(ours(PROBS, one_hot), metrics.log_loss(one_hot, PROBS))


def test_log_loss_of_one_probability_each(metrics: Any) -> None:  # noqa: ANN401
    y, p = [0, 1, 1], [0.25, 0.75, 0.5]
    close(logitkit.binary_cross_entropy(p, y), metrics.log_loss(y, p))
    eps = float(np.finfo(np.float64).eps)
    wrong = logitkit.binary_cross_entropy([0.0, 1.0], [1, 0], eps=eps)
    close(wrong, metrics.log_loss([1, 0], [0.0, 1.0]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_loss_clips(metrics: Any, dtype: type[np.floating[Any]]) -> None:  # noqa: ANN401
    """By the eps of the dtype; without eps, logitkit does not."""
    eps = float(np.finfo(dtype).eps)
    for probs in ([[0.0, 1.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]):
        p = np.array(probs, dtype)
        ours = logitkit.categorical_cross_entropy(p, [0, 1], eps=eps)
        close(ours, metrics.log_loss([0, 1], p), rtol=2 * eps)
    wrong = np.array([[0.0, 1.0], [0.0, 1.0]], dtype)
    close(metrics.log_loss([0, 1], wrong), -np.log(eps) / 2, rtol=2 * eps)
    assert np.isinf(logitkit.categorical_cross_entropy(wrong, [0, 1]))


def test_log_loss_does_not_renormalise(metrics: Any) -> None:  # noqa: ANN401
    """It warns of rows that do not sum to 1, which logitkit takes as they are."""
    p = [[0.75, 0.5], [0.25, 0.75]]
    with pytest.warns(UserWarning, match="sum to one"):
        want = metrics.log_loss([0, 1], p)
    close(logitkit.categorical_cross_entropy(p, [0, 1]), want)


def test_log_loss_of_named_classes(metrics: Any) -> None:  # noqa: ANN401
    """The columns are those of the sorted labels."""
    y, p = np.array(["spam", "ham"]), np.array([[0.25, 0.75], [0.5, 0.5]])
    names, indices = np.unique(y, return_inverse=True)
    assert list(names) == ["ham", "spam"]
    close(logitkit.categorical_cross_entropy(p, indices), metrics.log_loss(y, p))


def test_log_loss_needs_all_labels(metrics: Any) -> None:  # noqa: ANN401
    """A class that no row has must be told it; logitkit counts columns."""
    with pytest.raises(ValueError, match="labels"):
        metrics.log_loss([0, 1], PROBS[:2])
    want = metrics.log_loss([0, 1], PROBS[:2], labels=[0, 1, 2])
    close(logitkit.categorical_cross_entropy(PROBS[:2], [0, 1]), want)


def test_log_loss_refuses(metrics: Any) -> None:  # noqa: ANN401
    """No rows, or weights of 0, which are nan here."""
    with pytest.raises(ValueError, match="sample"):
        metrics.log_loss([], np.zeros((0, 2)), labels=[0, 1])
    assert np.isnan(logitkit.categorical_cross_entropy(np.zeros((0, 2)), np.zeros(0, int)))
    with pytest.raises(ValueError, match="weight"):
        metrics.log_loss(Y, PROBS, sample_weight=np.zeros(3))
    assert np.isnan(logitkit.categorical_cross_entropy(PROBS, Y, sample_weight=np.zeros(3)))
    outside = [[-0.25, 1.25], [0.5, 0.5]]
    with pytest.raises(ValueError, match="greater than 1"):
        metrics.log_loss([0, 1], outside)
    with pytest.raises(ValueError, match="a value in"):
        logitkit.categorical_cross_entropy(outside, [0, 1])


def test_accuracy_score(metrics: Any) -> None:  # noqa: ANN401
    """It takes classes; logitkit takes scores, and has no weights."""
    predicted = Z.argmax(axis=-1)
    close(logitkit.accuracy(Z, Y), metrics.accuracy_score(Y, predicted))
    count = metrics.accuracy_score(Y, predicted, normalize=False)
    assert round(logitkit.accuracy(Z, Y) * len(Y)) == count
    _, best = logitkit.top_k(Z, 1)
    weighted = np.average(best[:, 0] == Y, weights=S)
    close(weighted, metrics.accuracy_score(Y, predicted, sample_weight=S))
    with pytest.raises(ValueError, match="empty"):
        metrics.accuracy_score([], [])
    assert np.isnan(logitkit.accuracy(np.zeros((0, 3)), np.zeros(0, int)))


def test_top_k_accuracy_score(metrics: Any) -> None:  # noqa: ANN401
    """Its k is 2 by default, ours is 1."""
    y = np.array([0, 2, 2])
    labels = {"labels": [0, 1, 2]}
    assert logitkit.accuracy(Z, y) != logitkit.accuracy(Z, y, k=2)
    close(metrics.top_k_accuracy_score(y, Z, **labels), logitkit.accuracy(Z, y, k=2))
    close(metrics.top_k_accuracy_score(y, Z, k=1, **labels), logitkit.accuracy(Z, y))
    _, best = logitkit.top_k(Z, 2)
    weighted = np.average((best == y[:, None]).any(axis=-1), weights=S)
    want = metrics.top_k_accuracy_score(y, Z, sample_weight=S, **labels)
    close(weighted, want)


def test_ties_of_top_k_accuracy_score(metrics: Any) -> None:  # noqa: ANN401
    """The highest index comes first there, the lowest here."""
    tied = [[0.5, 0.5, 0.0]]
    theirs = [metrics.top_k_accuracy_score([y], tied, k=1, labels=[0, 1, 2]) for y in (0, 1)]
    assert theirs == [0.0, 1.0]
    assert [logitkit.accuracy(tied, [y]) for y in (0, 1)] == [1.0, 0.0]


@pytest.mark.filterwarnings("default:'k'")
def test_k_of_top_k_accuracy_score(metrics: Any) -> None:  # noqa: ANN401
    with pytest.warns(UserWarning, match="meaningless"):
        assert metrics.top_k_accuracy_score(Y, Z, k=4) == 1.0
    with pytest.raises(ValueError, match="k is 4"):
        logitkit.accuracy(Z, Y, k=4)
    with pytest.raises(ValueError, match="'k'"):
        metrics.top_k_accuracy_score(Y, Z, k=0)
    assert logitkit.accuracy(Z, Y, k=0) == 0.0


def test_scores_that_are_nan(metrics: Any) -> None:  # noqa: ANN401
    """NaN counts as the largest score here."""
    bad = np.array([[NAN, 1.0, 2.0], [0.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
    with pytest.raises(ValueError, match="NaN"):
        metrics.top_k_accuracy_score(Y, bad)
    assert logitkit.accuracy(bad[:1], [0]) == 1.0


def test_softmax_of_scikit_learn() -> None:
    """It takes two dimensions, no others."""
    theirs = importlib.import_module("sklearn.utils.extmath").softmax
    close(logitkit.softmax(Z), theirs(Z))
    with pytest.raises(np.exceptions.AxisError):
        theirs(Z[0])
    assert logitkit.softmax(Z[0]).shape == (3,)


# Calibration, by scikit-learn


def drawn(classes: int) -> tuple[Any, Any]:
    """Draw logits, and classes that they know something of."""
    rng = np.random.default_rng(classes)
    logits = 2 * rng.normal(size=(400, classes))
    return logits, (logits + 3 * rng.normal(size=logits.shape)).argmax(axis=1)


def evaluated(logits: Any, y: Any) -> Any:  # noqa: ANN401
    """Evaluate in parts."""
    evaluation = logitkit.Evaluation(k=(), bins=10)
    for part in (slice(0, 150), slice(150, None)):
        evaluation.update(logits[part], y[part])
    return evaluation.result()


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_brier_score_loss(metrics: Any, classes: int) -> None:  # noqa: ANN401
    """Of two classes it is half of ours, unless it is told not to halve."""
    z, y = drawn(classes)
    ours, probs = evaluated(z, y).brier, logitkit.softmax(z)
    labels = range(classes)
    theirs = metrics.brier_score_loss(y, probs, labels=labels)
    close(ours, 2 * theirs if classes == 2 else theirs, rtol=1e-12)
    close(ours, metrics.brier_score_loss(y, probs, labels=labels, scale_by_half=False), 1e-12)
    if classes == 2:
        close(ours, 2 * metrics.brier_score_loss(y, probs[:, 1]), rtol=1e-12)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_calibration_curve(classes: int) -> None:
    """Ours has the empty bins, too."""
    curve = importlib.import_module("sklearn.calibration").calibration_curve
    z, y = drawn(classes)
    probs, table = logitkit.softmax(z), evaluated(z, y).reliability
    right, confidence = curve(probs.argmax(axis=1) == y, probs.max(axis=1), n_bins=10)
    filled = ~np.isnan(table.accuracy)
    assert not filled.all()
    close(table.accuracy[filled], right, rtol=1e-12)
    close(table.confidence[filled], confidence, rtol=1e-12)


def test_calibration_by_temperature() -> None:
    """scikit-learn fits it to a classifier that is frozen; the temperature is not 1."""
    calibration, frozen, linear = (
        importlib.import_module(f"sklearn.{name}")
        for name in ("calibration", "frozen", "linear_model")
    )
    x = np.random.default_rng(0).normal(size=(300, 4))
    y = (2 * x[:, :3] + 3 * np.random.default_rng(1).normal(size=(300, 3))).argmax(axis=1)
    classifier = linear.LogisticRegression(C=100.0).fit(x[:40], y[:40])
    calibrated = calibration.CalibratedClassifierCV(
        frozen.FrozenEstimator(classifier), method="temperature"
    ).fit(x[40:], y[40:])
    z = classifier.decision_function(x)
    fit = logitkit.fit_temperature(z[40:], y[40:])
    assert fit.temperature > 1.2
    want = calibrated.predict_proba(x)
    np.testing.assert_allclose(logitkit.softmax(z / fit.temperature), want, rtol=1e-6, atol=1e-7)
