"""Objectives for XGBoost and LightGBM: gradient and Hessian of the cross entropy, in one pass.

An objective is made once and given to the library, which calls it in every round:

>>> import numpy as np
>>> from logitkit.boosting import xgboost_objective
>>> objective = xgboost_objective(label_smoothing=0.1)
>>> labels, margins = np.array([0.0, 2.0]), np.zeros((2, 3), np.float32)
>>> grad, hess = objective(labels, margins)
>>> np.round(grad, 4)
array([[-0.6,  0.3,  0.3],
       [ 0.3,  0.3, -0.6]], dtype=float32)

Neither library is imported here: of what they pass, only labels and weights are asked for. Here
belongs what the libraries pass and expect; the mathematics is in `logitkit` itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np

import logitkit
from logitkit._memory import LEAST_BYTES, large_array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    _Hessian: TypeAlias = Literal["exact", "bound", "friedman"]
    _ClassWeight: TypeAlias = ArrayLike | Mapping[int, float] | None

__all__ = ["Objective", "lightgbm_objective", "xgboost_objective"]

_HESSIANS = ("exact", "bound", "friedman")
_BINARY = 2  # classes, where predictions have one dimension


class TrainingData(Protocol):
    """What the native interfaces pass: a `DMatrix` of XGBoost, a `Dataset` of LightGBM."""

    def get_label(self) -> Any:  # noqa: ANN401 - the libraries do not say
        """Return one label for each row."""

    def get_weight(self) -> Any:  # noqa: ANN401
        """Return one weight for each row; nothing, or no elements, if there are none."""


def xgboost_objective(
    *,
    class_weight: _ClassWeight = None,
    label_smoothing: float = 0.0,
    soft_targets: ArrayLike | None = None,
    hessian: _Hessian = "bound",
    min_hessian: float = 1e-16,
) -> Objective:
    """Make an objective for XGBoost: the softmax loss, or the logistic one.

    For `xgboost.train(..., obj=objective)` and `XGBClassifier(objective=objective)`. With margins x
    of C classes, p = softmax(x) and a_c the coefficient of a class, A the sum of them, it gives::

      grad_i = s [ A p_i - a_i ]   hess_i = 2 s A p_i (1-p_i)

    With one margin for each row it is the binary loss, and `hess` is p (1-p) times its weights.

    Parameters
    ----------
    class_weight : array_like of shape (C,), dict or "balanced", optional
        A weight for each class. A dict has those of the classes that it names, 1 for the others;
        "balanced" takes rows / (C rows of the class).
    label_smoothing : float, default 0.0
        The share of the target, in [0, 1], that is spread evenly over the classes.
    soft_targets : array_like, shape (n, C), optional
        Probabilities in place of labels, one row for each row of the training data; for the binary
        loss of shape (n,), of class 1, or (n, 2).
    hessian : {"bound", "exact", "friedman"}, default "bound"
        "exact" is the diagonal of the Hessian. "bound" is twice that, which bounds the whole
        Hessian from above, as XGBoost's own objective does; "friedman" C/(C-1) times. The binary
        loss has one margin, whose second derivative is exact.
    min_hessian : float, default 1e-16
        What `hess` is raised to, as in XGBoost's own objective.

    Returns
    -------
    Objective
        A callable that both interfaces take, and that pickles.

    Special values
    --------------
    A row of weight 0, or whose classes all have weight 0, has a gradient of 0. A row whose margins
    hold a NaN has a gradient of NaN.

    Accuracy
    --------
    That of `logitkit.cross_entropy_and_grad_hess`, in the dtype of the margins: a row that is sure
    of the right class keeps its small gradient.

    Raises
    ------
    TypeError, ValueError
        An argument is out of range. When called: a label is no class, or weights or soft targets
        have another shape than the margins ask for.

    Examples
    --------
    >>> import numpy as np
    >>> from logitkit.boosting import xgboost_objective
    >>> objective = xgboost_objective(class_weight={1: 3.0})
    >>> grad, hess = objective(np.array([0.0, 1.0]), np.zeros((2, 2), np.float32))
    >>> grad
    array([[-0.5,  0.5],
           [ 1.5, -1.5]], dtype=float32)
    >>> hess
    array([[0.5, 0.5],
           [1.5, 1.5]], dtype=float32)

    See Also
    --------
    lightgbm_objective : The same with the rules of LightGBM.
    logitkit.cross_entropy_and_grad_hess : What it calls.

    References
    ----------
    Chen and Guestrin, XGBoost: a scalable tree boosting system, 2016.
    """
    return _objective(class_weight, label_smoothing, soft_targets, hessian, min_hessian)


def lightgbm_objective(
    *,
    class_weight: _ClassWeight = None,
    label_smoothing: float = 0.0,
    soft_targets: ArrayLike | None = None,
    hessian: _Hessian = "friedman",
) -> Objective:
    """Make an objective for LightGBM: the softmax loss, or the logistic one.

    For `lightgbm.train({"objective": objective, ...}, ...)` and `LGBMClassifier(objective=...)`.
    With scores x of C classes, p = softmax(x) and a_c the coefficient of a class, A the sum of
    them, it gives::

      grad_i = s [ A p_i - a_i ]   hess_i = C/(C-1) s A p_i (1-p_i)

    With one score for each row it is the binary loss, and `hess` is p (1-p) times its weights.
    Scores lie class after class in memory, and so do the results: nothing is copied.

    Parameters
    ----------
    class_weight : array_like of shape (C,), dict or "balanced", optional
        A weight for each class. A dict has those of the classes that it names, 1 for the others;
        "balanced" takes rows / (C rows of the class).
    label_smoothing : float, default 0.0
        The share of the target, in [0, 1], that is spread evenly over the classes.
    soft_targets : array_like, shape (n, C), optional
        Probabilities in place of labels, one row for each row of the training data; for the binary
        loss of shape (n,), of class 1, or (n, 2).
    hessian : {"friedman", "exact", "bound"}, default "friedman"
        "exact" is the diagonal of the Hessian. "friedman" is C/(C-1) times that, as in LightGBM's
        own objective, and "bound" twice.

    Returns
    -------
    Objective
        A callable that both interfaces take, and that pickles.

    Special values
    --------------
    A row of weight 0, or whose classes all have weight 0, has a gradient of 0. A row whose scores
    hold a NaN has a gradient of NaN.

    Accuracy
    --------
    That of `logitkit.cross_entropy_and_grad_hess`, in the dtype of the scores.

    Raises
    ------
    TypeError, ValueError
        An argument is out of range. When called: a label is no class, or weights or soft targets
        have another shape than the scores ask for.

    Examples
    --------
    >>> import numpy as np
    >>> from logitkit.boosting import lightgbm_objective
    >>> objective = lightgbm_objective()
    >>> grad, hess = objective(np.array([0.0, 1.0]), np.zeros(2))
    >>> grad, hess
    (array([ 0.5, -0.5]), array([0.25, 0.25]))

    See Also
    --------
    xgboost_objective : The same with the rules of XGBoost.
    logitkit.cross_entropy_and_grad_hess : What it calls.

    References
    ----------
    Friedman, Greedy function approximation: a gradient boosting machine, 2001, section 4.6.
    """
    return _objective(class_weight, label_smoothing, soft_targets, hessian, 0.0)


@dataclass(frozen=True, eq=False, repr=False)
class Objective:
    """What `xgboost_objective` and `lightgbm_objective` make; its fields are their arguments."""

    class_weight: NDArray[np.float64] | dict[int, float] | Literal["balanced"] | None
    label_smoothing: float
    soft_targets: NDArray[Any] | None
    hessian: _Hessian
    min_hessian: float

    def __call__(
        self,
        first: ArrayLike,
        second: ArrayLike | TrainingData,
        sample_weight: ArrayLike | None = None,
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Compute gradient and Hessian of the summed loss.

        The native interfaces pass predictions and the training data; those of scikit-learn labels,
        predictions and weights, if there are any.
        """
        labels: Any
        data: Any = second
        if hasattr(data, "get_label"):
            predictions = np.asarray(first)
            labels, sample_weight = data.get_label(), data.get_weight()
        else:
            labels, predictions = first, np.asarray(data)
        weights = None if sample_weight is None else np.asarray(sample_weight)
        if weights is not None and not weights.size:  # a DMatrix without weights
            weights = None
        labels = np.asarray(labels)
        if predictions.ndim == _BINARY and predictions.shape[1] > 1:
            grad, hess = self._softmax(predictions, labels, weights)
        elif predictions.ndim in {1, _BINARY}:
            margins = predictions.reshape(len(predictions))
            pair = self._logistic(margins, labels, weights)
            grad, hess = (array.reshape(predictions.shape) for array in pair)
        else:
            raise ValueError(
                f"predictions have shape {predictions.shape}: (n,) or (n, C) is expected"
            )
        if self.min_hessian:
            np.maximum(hess, self.min_hessian, out=hess)
        return grad, hess

    def _softmax(
        self, predictions: NDArray[Any], labels: NDArray[Any], weights: NDArray[Any] | None
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        classes = predictions.shape[1]
        if self.soft_targets is None:
            targets = _class_indices(labels, len(predictions), classes)
        else:
            targets = self.soft_targets
            if targets.shape != predictions.shape:
                raise _wrong_rows(targets, predictions)
        _, grad, hess = logitkit.cross_entropy_and_grad_hess(
            predictions,
            targets,
            weight=self._weights_of(targets, classes),
            sample_weight=weights,
            label_smoothing=self.label_smoothing,
            reduction="sum",
            hessian=self.hessian,
            out=_outputs(predictions),
        )
        return grad, hess

    def _logistic(
        self, margins: NDArray[Any], labels: NDArray[Any], weights: NDArray[Any] | None
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        targets: NDArray[Any]
        if self.soft_targets is None:
            targets = _class_indices(labels, len(margins), _BINARY)
        else:
            targets = self.soft_targets
            if len(targets) != len(margins) or targets.shape[1:] not in {(), (_BINARY,)}:
                raise _wrong_rows(targets, margins)
        class_weight = self._weights_of(targets, _BINARY)
        if targets.ndim == _BINARY or class_weight is not None or self.label_smoothing:
            # Any two coefficients are a target in [0, 1] and a weight.
            coefficients = self._coefficients(targets, class_weight)
            total = coefficients.sum(axis=0)
            targets = np.divide(coefficients[1], total, out=np.zeros_like(total), where=total > 0)
            weights = total if weights is None else total * weights
        _, grad, hess = logitkit.binary_cross_entropy_with_logits_and_grad_hess(
            margins, targets, weight=weights, reduction="sum", out=_outputs(margins)
        )
        return grad, hess

    def _coefficients(
        self, targets: NDArray[Any], class_weight: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Give those of the negative and of the positive part of the binary loss, a row each."""
        shares = targets.T if targets.ndim == _BINARY else np.stack([1.0 - targets, targets])
        shares = (1.0 - self.label_smoothing) * shares + self.label_smoothing / _BINARY
        return shares if class_weight is None else shares * class_weight[:, None]

    def _weights_of(self, targets: NDArray[Any], classes: int) -> NDArray[np.float64] | None:
        """Give each class its weight."""
        given = self.class_weight
        if given is None:
            return None
        if isinstance(given, str):
            if np.issubdtype(targets.dtype, np.integer):
                counts = np.bincount(targets, minlength=classes).astype(np.float64)
            elif targets.ndim == 1:
                counts = np.array([(1.0 - targets).sum(), targets.sum()])
            else:
                counts = targets.sum(axis=0, dtype=np.float64)
            # A class without rows needs no weight.
            counts[counts == 0] = len(targets) / classes
            balanced: NDArray[np.float64] = len(targets) / (classes * counts)
            return balanced
        if isinstance(given, dict):
            if strangers := set(given) - set(range(classes)):
                raise ValueError(
                    f"class_weight has a weight for {min(strangers)}, and there are {classes} "
                    f"classes: its keys must lie in [0, {classes})"
                )
            return np.array([given.get(c, 1.0) for c in range(classes)])
        if given.shape != (classes,):
            raise ValueError(
                f"class_weight has shape {given.shape}, and there are {classes} classes: one "
                f"weight for each is expected"
            )
        return given


def _objective(
    class_weight: _ClassWeight,
    label_smoothing: float,
    soft_targets: ArrayLike | None,
    hessian: _Hessian,
    min_hessian: float,
) -> Objective:
    """Check what can be checked before there are predictions."""
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing is {label_smoothing}, and must lie in [0, 1]")
    if hessian not in _HESSIANS:
        raise ValueError(f'hessian is {hessian!r}, and must be "exact", "bound" or "friedman"')
    if not 0 <= min_hessian < np.inf:
        raise ValueError(f"min_hessian is {min_hessian}, and must be finite and not negative")
    return Objective(
        _checked_weight(class_weight),
        float(label_smoothing),
        None if soft_targets is None else _checked_targets(soft_targets),
        hessian,
        float(min_hessian),
    )


def _checked_weight(
    given: _ClassWeight,
) -> NDArray[np.float64] | dict[int, float] | Literal["balanced"] | None:
    if given is None:
        return None
    if isinstance(given, str):
        if given != "balanced":
            raise ValueError(
                f'class_weight is {given!r}, and must be "balanced", an array or a dict'
            )
        return "balanced"
    if isinstance(given, Mapping):
        kept = {int(key): float(value) for key, value in given.items()}
        weights = np.array(list(kept.values()))
    else:
        weights = np.array(given, np.float64)
    wrong = ~((weights >= 0) & (weights < np.inf))
    if weights.ndim != 1 or wrong.any():
        raise ValueError(
            f"class_weight is {given!r}: one finite weight for each class is expected, and none "
            f"below 0"
        )
    return kept if isinstance(given, Mapping) else weights


def _checked_targets(given: ArrayLike) -> NDArray[Any]:
    targets = np.array(given)
    if not np.issubdtype(targets.dtype, np.floating):
        targets = targets.astype(np.float64)
    if targets.ndim not in {1, _BINARY}:
        raise ValueError(
            f"soft_targets have shape {targets.shape}: one row of probabilities for each row of "
            f"the training data is expected, (n, C), or (n,) for two classes"
        )
    wrong = ~((targets >= 0) & (targets <= 1))
    if wrong.any():
        place = tuple(int(index) for index in np.argwhere(wrong)[0])
        raise ValueError(
            f"soft_targets{list(place)} is {targets[place]}, and must be a probability, in [0, 1]"
        )
    return targets


def _class_indices(labels: NDArray[Any], rows: int, classes: int) -> NDArray[Any]:
    """Turn labels, which both libraries keep as float32, into class indices."""
    if labels.shape != (rows,):
        raise ValueError(
            f"labels have shape {labels.shape}, and there are predictions for {rows} rows: one "
            f"label for each is expected; soft_targets takes probabilities"
        )
    # Whatever NaN and numbers out of range become, it does not equal them.
    with np.errstate(invalid="ignore"):
        indices = labels.astype(np.min_scalar_type(classes))
        if np.array_equal(indices, labels) and (not rows or indices.max() < classes):
            return indices
        wrong = ~((labels >= 0) & (labels < classes) & (np.floor(labels) == labels))
    row = int(wrong.argmax())
    raise ValueError(
        f"the label of row {row} is {labels[row]}, and there are {classes} classes: labels must be "
        f"whole numbers in [0, {classes}); soft_targets takes probabilities"
    )


def _outputs(predictions: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Give arrays for gradient and Hessian, ordered as the predictions; None for small ones."""
    floating = predictions.dtype in {np.dtype(np.float32), np.dtype(np.float64)}
    if predictions.nbytes < LEAST_BYTES or not floating:
        return None
    order: Literal["C", "F"] = "C" if predictions.flags.c_contiguous else "F"
    shape, dtype = predictions.shape, predictions.dtype
    return large_array(shape, dtype, order), large_array(shape, dtype, order)


def _wrong_rows(targets: NDArray[Any], predictions: NDArray[Any]) -> ValueError:
    return ValueError(
        f"soft_targets have shape {targets.shape}, and predictions {predictions.shape}: one row of "
        f"probabilities for each row of the training data is expected, in its order"
    )
