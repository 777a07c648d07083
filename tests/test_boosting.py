"""Objectives for boosted trees: what they compute, and what XGBoost and LightGBM make of them.

Both libraries train on data that scikit-learn comes with. Formulas are checked against the plain
Python reference: a gradient is that of the loss, a Hessian the derivative of that gradient.
"""

import pickle
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from logitkit.boosting import Objective, lightgbm_objective, xgboost_objective
from tests import reference
from tests.support import rng_of

lightgbm = pytest.importorskip("lightgbm")
xgboost = pytest.importorskip("xgboost")
datasets = pytest.importorskip("sklearn.datasets")

FACTORIES: dict[str, Callable[..., Objective]] = {
    "xgboost": xgboost_objective,
    "lightgbm": lightgbm_objective,
}
by_library = pytest.mark.parametrize("library", FACTORIES)
# What a library adds to the exact Hessian: of C classes.
FACTORS: dict[str, Callable[[int], float]] = {
    "exact": lambda _: 1.0,
    "bound": lambda _: 2.0,
    "friedman": lambda classes: classes / (classes - 1),
}
DEFAULTS = {"xgboost": "bound", "lightgbm": "friedman"}
ROUNDS = 20


def as_passed(library: str, scores: NDArray[Any]) -> NDArray[Any]:
    """Bring scores into the dtype and order of a library."""
    if library == "xgboost":
        return np.ascontiguousarray(scores, np.float32)
    return np.asfortranarray(scores, np.float64)


def scores_of(rows: int, classes: int) -> NDArray[np.float32]:
    return rng_of(rows, classes).normal(size=(rows, classes)).astype(np.float32) * 2


def slopes(
    loss_and_grad: Callable[[list[list[float]]], Any], rows: list[list[float]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the gradient, and its derivatives by central differences."""
    grad = np.array(loss_and_grad(rows)[1], np.float64)
    hess = np.empty_like(grad)
    step = 1e-5
    for c in range(grad.shape[1]):
        up, down = (
            np.array(
                loss_and_grad(
                    [[x + sign * step * (i == c) for i, x in enumerate(row)] for row in rows]
                )[1]
            )
            for sign in (1, -1)
        )
        hess[:, c] = (up - down)[:, c] / (2 * step)
    return grad, hess


# What is computed


@by_library
@pytest.mark.parametrize("hessian", [None, *FACTORS])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("soft", [False, True])
def test_several_classes(
    library: str, hessian: str | None, smoothing: float, weighted: bool, soft: bool
) -> None:
    scores = scores_of(30, 4)
    labels = np.arange(30) % 4
    shares = np.abs(scores_of(30, 4)[::-1].astype(np.float64))
    shares /= shares.sum(axis=1, keepdims=True)
    weight = [0.5, 1.0, 2.0, 3.0] if weighted else None
    sample_weight = np.linspace(0, 2, 30).astype(np.float32) if weighted else None
    options: dict[str, Any] = {} if hessian is None else {"hessian": hessian}
    objective = FACTORIES[library](
        class_weight=weight,
        label_smoothing=smoothing,
        soft_targets=shares if soft else None,
        **options,
    )
    passed = as_passed(library, scores)
    grad, hess = objective(labels.astype(np.float32), passed, sample_weight)

    want, exact = slopes(
        lambda rows: reference.cross_entropy_and_grad(
            rows,
            shares.tolist() if soft else labels.tolist(),
            weight=weight,
            sample_weight=None if sample_weight is None else sample_weight.tolist(),
            label_smoothing=smoothing,
            reduction="sum",
        ),
        scores.astype(np.float64).tolist(),
    )
    factor = FACTORS[hessian or DEFAULTS[library]](4)
    np.testing.assert_allclose(grad, want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(hess, factor * exact, rtol=1e-4, atol=1e-6)
    for array in (grad, hess):
        assert array.dtype == passed.dtype
        assert array.flags.c_contiguous == passed.flags.c_contiguous


@by_library
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weight", [None, [0.5, 3.0], [0.0, 2.0], [2.0, 0.0]])
@pytest.mark.parametrize("soft", ["labels", "one", "two"])
def test_two_classes(library: str, smoothing: float, weight: list[float] | None, soft: str) -> None:
    scores = scores_of(30, 1)[:, 0]
    labels = (np.arange(30) % 2).astype(np.float32)
    shares = np.linspace(0, 1, 30)
    targets = labels if soft == "labels" else shares
    given = {"labels": None, "one": shares, "two": np.stack([1 - shares, shares], axis=1)}[soft]
    sample_weight = np.linspace(0, 2, 30)
    objective = FACTORIES[library](
        class_weight=weight, label_smoothing=smoothing, soft_targets=given
    )
    grad, hess = objective(labels, as_passed(library, scores), sample_weight)

    smooth = (1 - smoothing) * targets + smoothing / 2
    w_0, w_1 = weight or [1.0, 1.0]
    p = np.array([reference.sigmoid(float(x)) for x in scores])
    want = sample_weight * (w_0 * (1 - smooth) * p - w_1 * smooth * (1 - p))
    exact = sample_weight * (w_0 * (1 - smooth) + w_1 * smooth) * p * (1 - p)
    np.testing.assert_allclose(grad, want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(hess, exact, rtol=1e-5, atol=1e-7)
    column, _ = objective(labels, as_passed(library, scores)[:, None], sample_weight)
    np.testing.assert_array_equal(column[:, 0], grad)


@by_library
def test_class_weights_in_every_form(library: str) -> None:
    labels = np.array([0, 0, 0, 1, 2, 2], np.float32)
    scores = as_passed(library, scores_of(6, 3))

    def grad(class_weight: object, **options: object) -> NDArray[Any]:
        return FACTORIES[library](class_weight=class_weight, **options)(labels, scores)[0]

    np.testing.assert_array_equal(grad({2: 3.0}), grad([1.0, 1.0, 3.0]))
    balanced = grad([6 / 9, 6 / 3, 6 / 6])
    np.testing.assert_array_equal(grad("balanced"), balanced)
    np.testing.assert_allclose(
        grad("balanced", soft_targets=np.eye(3)[labels.astype(int)]), balanced
    )
    objective = FACTORIES[library](class_weight="balanced")
    binary = (labels > 0).astype(np.float32)
    found, _ = objective(binary, scores[:, 0])
    want, _ = FACTORIES[library](class_weight={0: 1.0, 1: 1.0})(binary, scores[:, 0])
    np.testing.assert_array_equal(found, want)
    absent, _ = objective(labels[:3], scores[:3])
    assert np.isfinite(absent).all()


def test_a_sure_row_keeps_a_small_hessian() -> None:
    """P (1-p) with a rounded p would be 0."""
    scores = np.array([[40.0, 0.0, 0.0]], np.float32)
    grad, hess = xgboost_objective(min_hessian=0.0)(np.zeros(1), scores)
    assert 0 < hess[0, 0] < 1e-16
    assert grad[0, 0] == pytest.approx(-2 * np.exp(-40), rel=1e-5)
    _, hess = xgboost_objective()(np.zeros(1), scores)
    assert hess[0, 0] == np.float32(1e-16)


@by_library
def test_large_results_are_their_own(library: str) -> None:
    """Their memory is used again, but not while they are there."""
    objective = FACTORIES[library]()
    scores = as_passed(library, np.zeros((300_000, 5)))
    first = objective(np.zeros(300_000, np.float32), scores)
    second = objective(np.ones(300_000, np.float32), scores)
    for grad, hess, label in (*[(*first, 0)], *[(*second, 1)]):
        np.testing.assert_allclose(grad[-1], 0.2 - np.eye(5)[label], rtol=1e-6)
        np.testing.assert_allclose(hess, hess[0, 0], rtol=0)
        assert grad.flags.c_contiguous == hess.flags.c_contiguous == scores.flags.c_contiguous


@by_library
def test_scores_are_not_copied(library: str) -> None:
    objective = FACTORIES[library]()
    scores = as_passed(library, np.zeros((300_000, 5)))
    labels = np.zeros(300_000, np.float32)
    objective(labels, scores)  # makes the memory that the next call uses again
    tracemalloc.start()
    try:
        objective(labels, scores)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < scores.nbytes / 2


@by_library
def test_objectives_pickle(library: str) -> None:
    objective = FACTORIES[library](class_weight={1: 2.0}, soft_targets=np.full((2, 3), 1 / 3))
    other = pickle.loads(pickle.dumps(objective))  # noqa: S301 - it was made the line before
    scores = as_passed(library, scores_of(2, 3))
    for ours, theirs in zip(objective([], scores), other([], scores), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# Trees


def data(name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    features, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    return features, labels


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["wine", "iris", "breast_cancer"])
def test_xgboost_grows_the_trees_of_its_own_objective(name: str, weighted: bool) -> None:
    features, labels = data(name)
    classes = int(labels.max()) + 1
    weight = np.linspace(0.5, 2, len(labels)) if weighted else None
    common = {"max_depth": 3, "eta": 0.3, "nthread": 2, "tree_method": "exact"}
    binary = classes == 2
    own = {"objective": "binary:logistic" if binary else "multi:softprob"}
    # The custom objective's base_score is a margin, the built-in one's a probability.
    ours = {"base_score": 0.0 if binary else 0.5}
    if not binary:
        common["num_class"] = classes
    matrix = xgboost.DMatrix(features, labels, weight=weight)
    want = xgboost.train({**common, **own, "base_score": 0.5}, matrix, ROUNDS)
    found = xgboost.train({**common, **ours}, matrix, ROUNDS, obj=xgboost_objective())
    found, want = (model.predict(matrix, output_margin=True) for model in (found, want))
    np.testing.assert_allclose(found, want, atol=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["wine", "breast_cancer"])
def test_lightgbm_grows_the_trees_of_its_own_objective(name: str, weighted: bool) -> None:
    features, labels = data(name)
    binary = int(labels.max()) == 1
    weight = np.linspace(0.5, 2, len(labels)) if weighted else None
    common = {"verbose": -1, "num_threads": 2, "boost_from_average": False, "deterministic": True}
    if not binary:
        common["num_class"] = int(labels.max()) + 1

    def scores(objective: object) -> NDArray[Any]:
        parameters = {**common, "objective": objective}
        dataset = lightgbm.Dataset(features, labels, weight=weight, params=common)
        result = lightgbm.train(parameters, dataset, ROUNDS).predict(features, raw_score=True)
        return np.asarray(result)

    want = scores("binary" if binary else "multiclass")
    np.testing.assert_allclose(scores(lightgbm_objective()), want, atol=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["wine", "breast_cancer"])
def test_the_interfaces_of_scikit_learn(name: str, weighted: bool) -> None:
    features, labels = data(name)
    weight = np.linspace(0.5, 2, len(labels)) if weighted else None
    common = {"n_estimators": ROUNDS, "max_depth": 3}

    def fitted(kind: Any, **options: Any) -> Any:  # noqa: ANN401 - an estimator
        return kind(**common, **options).fit(features, labels, sample_weight=weight)

    extra = {"n_jobs": 2, "tree_method": "exact", "base_score": 0.5}
    want = fitted(xgboost.XGBClassifier, **extra)
    found = fitted(xgboost.XGBClassifier, objective=xgboost_objective(), **extra)
    np.testing.assert_allclose(
        found.predict(features, output_margin=True),
        want.predict(features, output_margin=True),
        atol=1e-5,
    )
    extra = {"verbose": -1, "n_jobs": 2, "boost_from_average": False, "deterministic": True}
    want = fitted(lightgbm.LGBMClassifier, **extra)
    found = fitted(lightgbm.LGBMClassifier, objective=lightgbm_objective(), **extra)
    np.testing.assert_allclose(
        found.predict(features, raw_score=True), want.predict(features, raw_score=True), atol=1e-5
    )


def margins(objective: Objective, features: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    matrix = xgboost.DMatrix(features, labels)
    parameters = {"num_class": 3, "base_score": 0.5, "nthread": 2, "max_depth": 3}
    model = xgboost.train(parameters, matrix, ROUNDS, obj=objective)
    return np.asarray(model.predict(matrix, output_margin=True))


def test_smoothing_makes_trees_less_sure() -> None:
    features, labels = data("wine")
    plain, smooth = (
        np.array([reference.softmax(row) for row in margins(objective, features, labels).tolist()])
        for objective in (xgboost_objective(), xgboost_objective(label_smoothing=0.3))
    )
    # Nothing is gained beyond 1 - ε + ε/C.
    assert smooth.max() < 0.85 < plain.max()
    assert (smooth.argmax(axis=1) == labels).mean() > 0.95


def test_soft_targets_take_the_place_of_labels() -> None:
    """Trees learn the probabilities, whatever labels stand beside them."""
    features, labels = data("wine")
    shares = np.full((len(labels), 3), 0.1)
    shares[np.arange(len(labels)), (labels + 1) % 3] = 0.8
    found = margins(xgboost_objective(soft_targets=shares), features, labels)
    probs = np.array([reference.softmax(row) for row in found.tolist()])
    assert np.abs(probs - shares).mean() < 0.05
    one_hot = np.eye(3)[labels]
    same = margins(xgboost_objective(soft_targets=one_hot), features, labels)
    np.testing.assert_allclose(same, margins(xgboost_objective(), features, labels), atol=1e-4)


# Errors


@pytest.mark.parametrize(
    "label, classes", [(0.5, 3), (np.nan, 3), (-1.0, 3), (3.0, 3), (np.inf, 3), (2.0, 1), (0.5, 1)]
)
def test_labels_that_are_no_classes(label: float, classes: int) -> None:
    labels = np.array([0, 1, label, 0], np.float32)
    scores = np.zeros((4, classes), np.float32).squeeze()
    with pytest.raises(ValueError, match=f"row 2 is {label}.* {max(classes, 2)} classes"):
        xgboost_objective()(labels, scores)


@by_library
@pytest.mark.parametrize(
    "options, message",
    [
        ({"label_smoothing": 1.5}, "label_smoothing is 1.5"),
        ({"label_smoothing": np.nan}, "label_smoothing is nan"),
        ({"hessian": "newton"}, "hessian is 'newton'"),
        ({"class_weight": "even"}, "class_weight is 'even'"),
        ({"class_weight": [1.0, -1.0]}, "none below 0"),
        ({"class_weight": {0: np.nan}}, "none below 0"),
        ({"class_weight": 2.0}, "one finite weight for each class"),
        ({"soft_targets": [[0.5, 1.5]]}, r"soft_targets\[0, 1\] is 1\.5"),
        ({"soft_targets": [0.5, np.nan]}, r"soft_targets\[1\] is nan"),
        ({"soft_targets": np.zeros((2, 2, 2))}, r"shape \(2, 2, 2\)"),
    ],
)
def test_wrong_options(library: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FACTORIES[library](**options)


@pytest.mark.parametrize(
    "options, labels, shape, message",
    [
        ({}, 3, (4, 3), r"labels have shape \(3,\), and there are predictions for 4 rows"),
        ({}, 4, (4, 3, 2), r"predictions have shape \(4, 3, 2\)"),
        ({"class_weight": [1.0, 2.0]}, 4, (4, 3), r"class_weight has shape \(2,\)"),
        ({"class_weight": {3: 1.0}}, 4, (4, 3), "class_weight has a weight for 3"),
        ({"soft_targets": np.zeros((3, 3))}, 4, (4, 3), r"soft_targets have shape \(3, 3\)"),
        ({"soft_targets": np.zeros((4, 3))}, 4, (4,), r"soft_targets have shape \(4, 3\)"),
    ],
)
def test_shapes_that_do_not_match(
    options: dict[str, Any], labels: int, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        xgboost_objective(**options)(np.zeros(labels), np.zeros(shape, np.float32))


def test_min_hessian() -> None:
    for value in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="min_hessian"):
            xgboost_objective(min_hessian=value)
