"""logitkit's functions for Dask arrays: larger than one machine's memory, on many machines.

They take Dask arrays and give Dask arrays; nothing is computed before it is asked for:

>>> import dask.array as da
>>> import logitkit.dask
>>> logits = da.from_array([[2.0, 1.0, 0.1], [0.5, 2.5, 1.0]], chunks=(1, 2))
>>> loss = logitkit.dask.cross_entropy(logits, da.from_array([0, 1]))
>>> round(float(loss.compute()), 4)
0.3617

Blocks may be cut anywhere, between classes, too: then maxima and the sums beside them are combined,
so that confident rows keep their small losses. `import logitkit` does not import Dask.

Here belong the public functions, and what their arguments may be.
"""

from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
from dask.delayed import Delayed
from numpy.typing import ArrayLike

from logitkit import _core
from logitkit._evaluation import Evaluation
from logitkit._rows import check_scores, check_targets, float_dtype
from logitkit._summaries import TARGET
from logitkit.dask import _blocks, _graphs
from logitkit.dask._blocks import Options
from logitkit.dask._graphs import Rows

__all__ = [
    "accuracy",
    "cross_entropy",
    "evaluate",
    "log_softmax",
    "logsumexp",
    "perplexity",
    "softmax",
]


def softmax(x: da.Array, axis: int = -1) -> da.Array:
    """Probabilities from logits, as `logitkit.softmax`.

    Of a row x, a 1-d slice along the axis::

      softmax(x)_i = exp(x_i) / Σ_c exp(x_c)

    Parameters
    ----------
    x : dask array
        Logits of float16, bfloat16, float32 or float64; integers and bools become float64.
    axis : int, default -1
        The axis of the classes.

    Returns
    -------
    dask array, shape and blocks of x
        In the dtype of x.

    Special values
    --------------
    Those of `logitkit.softmax`: a row that holds a NaN or +inf is all NaN, a class of -inf is 0.

    Accuracy
    --------
    At most 2 ulp from the exactly rounded result, however rows are cut.

    Raises
    ------
    TypeError
        x is no Dask array, or of another dtype, or `axis` is no int.
    AxisError
        There is no such axis.
    ValueError
        x has blocks of unknown size.

    Examples
    --------
    >>> import dask.array as da
    >>> import logitkit.dask
    >>> x = da.zeros((2, 4), chunks=(1, 3))
    >>> logitkit.dask.softmax(x)[0].compute()
    array([0.25, 0.25, 0.25, 0.25])

    See Also
    --------
    log_softmax : Its logarithm, which keeps what it rounds away.
    cross_entropy : The loss, which needs neither.

    References
    ----------
    Goodfellow, Bengio and Courville, Deep Learning, 2016, section 4.1.
    """
    return _map_classes(x, axis, log=False)


def log_softmax(x: da.Array, axis: int = -1) -> da.Array:
    """Logarithms of probabilities from logits, as `logitkit.log_softmax`.

    Of a row x, a 1-d slice along the axis::

      log_softmax(x)_i = x_i - log Σ_c exp(x_c)

    Parameters
    ----------
    x : dask array
        Logits of float16, bfloat16, float32 or float64; integers and bools become float64.
    axis : int, default -1
        The axis of the classes.

    Returns
    -------
    dask array, shape and blocks of x
        In the dtype of x.

    Special values
    --------------
    Those of `logitkit.log_softmax`: a row that holds a NaN or +inf is all NaN, a class of -inf
    stays -inf.

    Accuracy
    --------
    At most 2 ulp from the exactly rounded result, however rows are cut.

    Raises
    ------
    TypeError
        x is no Dask array, or of another dtype, or `axis` is no int.
    AxisError
        There is no such axis.
    ValueError
        x has blocks of unknown size.

    Examples
    --------
    >>> import dask.array as da
    >>> import logitkit.dask
    >>> x = da.zeros((2, 4), chunks=(1, 3))
    >>> logitkit.dask.log_softmax(x)[0].compute().round(4)
    array([-1.3863, -1.3863, -1.3863, -1.3863])

    See Also
    --------
    softmax : The probabilities.
    logsumexp : What is subtracted.

    References
    ----------
    Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.2.2.3.
    """
    return _map_classes(x, axis, log=True)


def _map_classes(x: da.Array, axis: int, *, log: bool) -> da.Array:
    x, axis = _graphs.scores_of(x, "x", axis)
    dtype = float_dtype(x.dtype)
    function = _core.log_softmax if log else _core.softmax
    if x.numblocks[axis] <= 1:
        return x.map_blocks(function, axis=axis, dtype=dtype, meta=np.empty((0,) * x.ndim, dtype))
    rows = Rows(da.moveaxis(x, axis, -1))
    return da.moveaxis(rows.probs(dtype, log=log), -1, axis)


def logsumexp(x: da.Array, axis: int = -1, keepdims: bool = False) -> da.Array:  # noqa: FBT001, FBT002 - as NumPy's reductions
    """Logarithms of sums of exponentials, as `logitkit.logsumexp`.

    Of a row x, a 1-d slice along the axis::

      logsumexp(x) = log Σ_c exp(x_c)

    Parameters
    ----------
    x : dask array
        Logits of float16, bfloat16, float32 or float64; integers and bools become float64.
    axis : int, default -1
        The axis of the classes.
    keepdims : bool, default False
        Whether the axis stays, with one element.

    Returns
    -------
    dask array, shape of x without the axis
        float32 for half precision, else in the dtype of x.

    Special values
    --------------
    Those of `logitkit.logsumexp`: NaN with a NaN, +inf with a +inf, -inf where all is -inf.

    Accuracy
    --------
    At most 2 ulp from the exactly rounded result, near 0 of the larger term, however rows are cut.

    Raises
    ------
    TypeError
        x is no Dask array, or of another dtype, or `axis` is no int.
    AxisError
        There is no such axis.
    ValueError
        x has blocks of unknown size.

    Examples
    --------
    >>> import dask.array as da
    >>> import logitkit.dask
    >>> x = da.from_array([[1000.0, 1000.0]], chunks=(1, 1))
    >>> logitkit.dask.logsumexp(x).compute().round(4)
    array([1000.6931])

    See Also
    --------
    log_softmax : The logits less this.
    softmax : The exponentials over their sum.

    References
    ----------
    Blanchard, Higham and Higham, Accurately computing the log-sum-exp and softmax functions, 2021.
    """
    x, axis = _graphs.scores_of(x, "x", axis)
    rows = Rows(da.moveaxis(x, axis, -1))
    names = [*rows.rows, "numbers"]
    dtype = _loss_dtype(x)
    sums = _graphs.blockwise(
        _blocks.log_sums, rows.rows, rows.summaries(), names, dtype=dtype, kind=dtype
    )
    return da.expand_dims(sums, axis) if keepdims else sums


def _loss_dtype(x: da.Array) -> Any:
    return np.float64 if float_dtype(x.dtype) == np.float64 else np.float32


def cross_entropy(
    logits: da.Array,
    targets: da.Array | ArrayLike,
    *,
    axis: int = -1,
    weight: ArrayLike | None = None,
    sample_weight: da.Array | ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    reduction: str = "mean",
) -> da.Array:
    """Cross entropy of logits, as `logitkit.cross_entropy`.

    With class weights w, the row's sample weight s, label smoothing ε, z-loss ζ and
    lse = log Σ_c exp(x_c), the loss of a row x is::

      class index y:     l = s [(1-ε) w_y (lse - x_y) + (ε/C) Σ_c w_c (lse - x_c) + ζ lse²]
      probabilities t:   l = s [Σ_c w_c t'_c (lse - x_c) + ζ lse²]   with t' = (1-ε) t + ε/C

    The mean divides the sum of the losses by the sum of s w_y over the rows kept for class
    indices, by the sum of s for probabilities.

    Parameters
    ----------
    logits : dask array
        Logits of float16, bfloat16, float32 or float64; integers and bools become float64.
    targets : dask array, or array_like
        Class indices, in the shape of the logits without the axis; or probabilities, in their
        shape.
    axis : int, default -1
        The axis of the classes.
    weight : array_like, shape (C,), optional
        A weight for each class.
    sample_weight : dask array, or array_like, optional
        A weight for each row, in the shape of the logits without the axis; 0 leaves it out.
    ignore_index : int, optional
        Rows with this target are left out.
    label_smoothing : float, default 0.0
        The share of each target that is spread over all classes, from 0 to 1.
    z_loss : float, default 0.0
        What the square of lse is multiplied by.
    reduction : {"mean", "sum", "none"}, default "mean"
        How the losses become one.

    Returns
    -------
    dask array
        A number, or one for each row with "none"; float32 for logits of 32 or fewer bits, else
        float64.

    Special values
    --------------
    Those of `logitkit.cross_entropy`: a row of NaN, +inf or nothing but -inf has a loss of NaN, a
    logit of -inf at the target one of +inf. The mean of no rows is NaN.

    Accuracy
    --------
    Each loss is at most 2 ulp from the exactly rounded result; in float64 with options within 4 ulp
    of the sum of its terms' magnitudes. Sums over rows are exact, whatever the blocks, and rounded
    once.

    Raises
    ------
    TypeError, AxisError, ValueError
        As for `logitkit.cross_entropy`, at the call; and logits that are no Dask array or have
        blocks of unknown size.
    IndexError
        A class index is outside [0, C) and is not `ignore_index`: when it is computed.

    Examples
    --------
    >>> import dask.array as da
    >>> import logitkit.dask
    >>> logits = da.from_array([[30.0, 0.0], [0.0, 0.0]], chunks=(1, 1))
    >>> losses = logitkit.dask.cross_entropy(logits, [0, 1], reduction="none")
    >>> losses.compute()
    array([9.35762297e-14, 6.93147181e-01])

    See Also
    --------
    evaluate : The loss with accuracy and calibration.
    perplexity : The exponential of the mean.

    References
    ----------
    Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.2.2.3.
    """
    logits, axis = _graphs.scores_of(logits, "logits", axis)
    if isinstance(weight, da.Array):
        raise TypeError("weight is a Dask array, expected a NumPy array; call its compute() first")
    rows = (*logits.shape[:axis], *logits.shape[axis + 1 :])
    targets = _graphs.beside(targets, "targets")
    is_soft = targets.shape == logits.shape
    # logitkit itself says what is wrong with shapes, dtypes and options. Where the shapes are
    # right, arrays without rows are enough.
    right = is_soft or (targets.shape == rows and targets.dtype.kind in "iu")
    size = 0 if right and logits.ndim > 1 else None
    _core.cross_entropy(
        _stand_in(logits, axis, size),
        _stand_in(targets, axis if is_soft else None, size),
        axis=axis,
        weight=weight,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        z_loss=z_loss,
        reduction=reduction,
    )
    sample_weight = _graphs.weights_beside(sample_weight, rows)
    classes = logits.shape[axis]
    if is_soft:
        targets = da.moveaxis(targets, axis, -1)
    else:
        targets = _graphs.checked_indices(targets, classes, ignore_index)
    options = Options(
        classes,
        None if weight is None else np.asarray(weight, np.float64),
        float(label_smoothing),
        float(z_loss),
    )
    losses = Rows(da.moveaxis(logits, axis, -1), targets, sample_weight).losses(options)
    dtype = _loss_dtype(logits)
    if reduction == "none":
        return losses[..., 0].astype(dtype)
    function = _blocks.mean if reduction == "mean" else _blocks.total
    return _graphs.reduced(losses, function, dtype)


def _stand_in(array: da.Array, axis: int | None, size: int | None) -> Any:
    """Give an array of zeros of the same dtype, which takes no memory.

    All its axes but one are of a size, if there is one.
    """
    shape = [
        length if size is None or at == axis else size for at, length in enumerate(array.shape)
    ]
    return np.broadcast_to(np.zeros((), array.dtype), shape)


def accuracy(
    scores: da.Array,
    targets: da.Array | ArrayLike,
    *,
    k: int = 1,
    axis: int = -1,
    ignore_index: int | None = None,
) -> da.Array:
    """Accuracy, the share of rows whose true class is among the k best, as `logitkit.accuracy`.

    Over all rows that are kept::

      accuracy = (rows that are right) / (rows that are kept)

    Parameters
    ----------
    scores : dask array
        Logits or probabilities, of float16, bfloat16, float32 or float64, or integers.
    targets : dask array, or array_like
        Class indices, in the shape of the scores without the axis.
    k : int, default 1
        How many classes count as right.
    axis : int, default -1
        The axis of the classes.
    ignore_index : int, optional
        Rows with this target are left out.

    Returns
    -------
    dask array, without dimensions
        A float64.

    Special values
    --------------
    Of equal scores the lower class is the better one, NaN counts as the largest score, and the
    accuracy of no rows is NaN.

    Accuracy
    --------
    The exactly rounded quotient of two counts.

    Raises
    ------
    TypeError, AxisError, ValueError
        As for `logitkit.accuracy`, at the call; and scores that are no Dask array or have blocks of
        unknown size.
    IndexError
        A class index is outside [0, C) and is not `ignore_index`: when it is computed.

    Examples
    --------
    >>> import dask.array as da
    >>> import logitkit.dask
    >>> scores = da.from_array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]], chunks=(1, 2))
    >>> float(logitkit.dask.accuracy(scores, [1, 2], k=2).compute())
    1.0

    See Also
    --------
    evaluate : Accuracies for several k, with the loss and calibration.

    References
    ----------
    Russakovsky et al., ImageNet large scale visual recognition challenge, 2015.
    """
    rows = _indexed(scores, "scores", targets, axis, ignore_index)
    classes = rows.scores.shape[-1]
    _core.accuracy(np.zeros((0, classes)), np.zeros(0, int), k=k, ignore_index=ignore_index)
    if rows.has_whole_classes:
        counts = _graphs.each_block(_blocks.hits, rows.scores, rows.targets, k=k)
    else:
        counts = _graphs.each_block(
            _blocks.hits_given, rows.ranks(rows.target_scores()), rows.targets, k=k
        )
    return _graphs.scalar(_graphs.delayed(_blocks.accuracy)(counts), np.float64)


def _indexed(
    scores: da.Array,
    name: str,
    targets: da.Array | ArrayLike,
    axis: int,
    ignore_index: int | None,
    *,
    sample_weight: da.Array | ArrayLike | None = None,
) -> Rows:
    """Check scores and class indices."""
    scores, axis = _graphs.scores_of(scores, name, axis)
    scores = da.moveaxis(scores, axis, -1)
    check_scores(scores.shape, scores.dtype, name)
    targets = _graphs.beside(targets, "targets")
    check_targets(targets.shape, targets.dtype, scores.shape[:-1])
    targets = _graphs.checked_indices(targets, scores.shape[-1], ignore_index)
    weights = _graphs.weights_beside(sample_weight, scores.shape[:-1])
    if weights is not None:
        weights = weights.map_blocks(_blocks.checked_weights, dtype=np.float64)
    return Rows(scores, targets, weights)


def perplexity(
    logits: da.Array,
    targets: da.Array | ArrayLike,
    *,
    axis: int = -1,
    ignore_index: int | None = None,
) -> da.Array:
    """Perplexity, the exponential of the mean cross entropy, as `logitkit.perplexity`.

    Over the N rows that are kept::

      perplexity = exp((1/N) Σ_n l_n)   with l_n = lse_n - x_n,y

    Parameters
    ----------
    logits : dask array
        Logits of float16, bfloat16, float32 or float64; integers and bools become float64.
    targets : dask array, or array_like
        Class indices, in the shape of the logits without the axis; or probabilities, in their
        shape.
    axis : int, default -1
        The axis of the classes.
    ignore_index : int, optional
        Rows with this target are left out.

    Returns
    -------
    dask array, without dimensions
        A float64.

    Special values
    --------------
    A row of NaN, +inf or nothing but -inf makes it NaN, a logit of -inf at a target +inf. Of no
    rows it is NaN.

    Accuracy
    --------
    Rows are within 2 ulp of the dtype of the logits; their mean is exact, and its exponential taken
    in float64.

    Raises
    ------
    TypeError, AxisError, ValueError
        As for `logitkit.perplexity`, at the call; and logits that are no Dask array or have blocks
        of unknown size.
    IndexError
        A class index is outside [0, C) and is not `ignore_index`: when it is computed.

    Examples
    --------
    >>> import dask.array as da
    >>> import logitkit.dask
    >>> round(float(logitkit.dask.perplexity(da.zeros((3, 4)), [0, 1, 3]).compute()), 12)
    4.0

    See Also
    --------
    cross_entropy : The loss that it is the exponential of.
    evaluate : Both, with accuracies and calibration.

    References
    ----------
    Jelinek, Mercer, Bahl and Baker, Perplexity: a measure of the difficulty of speech recognition
    tasks, 1977.
    """
    targets = _graphs.beside(targets, "targets")
    if targets.shape == getattr(logits, "shape", ()):
        # What it says of arguments, it says here, too.
        cross_entropy(logits, targets, axis=axis, ignore_index=ignore_index)
        rows = Rows(da.moveaxis(logits, axis, -1), da.moveaxis(targets, axis, -1))
        return _graphs.reduced(rows.plain_losses(), _blocks.perplexity, np.float64)
    rows = _indexed(logits, "logits", targets, axis, ignore_index)
    return _graphs.reduced(rows.plain_losses(), _blocks.perplexity, np.float64)


def evaluate(
    logits: da.Array,
    targets: da.Array | ArrayLike,
    *,
    k: Sequence[int] = (1, 5),
    bins: int = 15,
    ignore_index: int | None = None,
    from_probs: bool = False,
    sample_weight: da.Array | ArrayLike | None = None,
) -> Delayed:
    """Loss, accuracy and calibration of a classifier, as `logitkit.Evaluation` measures them.

    Of each row x with lse = log Σ_c exp(x_c), p = softmax(x) and target y, the loss and the Brier
    score are::

      l = lse - x_y     b = Σ_c (p_c - [c = y])²

    Parameters
    ----------
    logits : dask array, shape (..., C)
        Logits of float16, bfloat16, float32 or float64, or integers; or probabilities with
        `from_probs`; with the classes on the last axis.
    targets : dask array, or array_like, shape (...)
        Class indices.
    k : sequence of int, default (1, 5)
        Which accuracies to measure.
    bins : int, default 15
        Bins of the calibration.
    ignore_index : int, optional
        Rows with this target are left out.
    from_probs : bool, default False
        Whether probabilities are given in place of logits.
    sample_weight : dask array, or array_like, shape (...), optional
        A weight for each row, of at least 0; 0 leaves it out.

    Returns
    -------
    Delayed
        Whose `compute()` gives an `EvaluationResult`: shapes and dtypes are those of
        `Evaluation.result()`, with float64 means.

    Special values
    --------------
    Those of `logitkit.Evaluation`: rows of NaN or +inf make the means NaN, but for accuracies.

    Accuracy
    --------
    That of `logitkit.Evaluation`: sums over rows are exact, whatever the blocks, and rounded once.

    Raises
    ------
    TypeError, ValueError
        As for `logitkit.Evaluation`, at the call; weights and probabilities are looked at when they
        are computed.
    IndexError
        A class index is outside [0, C) and is not `ignore_index`: when it is computed.

    Examples
    --------
    >>> import dask.array as da
    >>> import logitkit.dask
    >>> logits = da.from_array([[2.0, 1.0, 0.1], [0.5, 2.5, 1.0]], chunks=(1, 2))
    >>> result = logitkit.dask.evaluate(logits, [0, 2], k=(1, 2)).compute()
    >>> result.count, result.accuracy
    (2, {1: 0.5, 2: 1.0})

    See Also
    --------
    cross_entropy : The loss alone, with all its options.
    accuracy : One accuracy.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, 2017.
    """
    # Its errors for options are those to raise here.
    Evaluation(k=k, bins=bins, ignore_index=ignore_index, from_probs=from_probs)
    options = {"k": tuple(k), "bins": bins, "from_probs": bool(from_probs)}
    name = "probs" if from_probs else "logits"
    rows = _indexed(logits, name, targets, -1, ignore_index, sample_weight=sample_weight)
    dtype = float_dtype(rows.scores.dtype)
    options |= {"classes": rows.scores.shape[-1], "dtype": dtype}
    if rows.has_whole_classes:
        parts = _graphs.each_block(
            _blocks.evaluated, rows.scores, rows.targets, rows.weights, options=options
        )
    else:
        numbers = rows.summaries(from_probs=from_probs)
        parts = _graphs.each_block(
            _blocks.evaluated_given,
            numbers,
            rows.ranks(numbers[..., TARGET]),
            rows.targets,
            rows.weights,
            options=options,
        )
    return _graphs.delayed(_blocks.result)(_graphs.merged(parts))
