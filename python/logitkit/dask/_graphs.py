"""Graphs of blocks: which blocks meet, and how what is made of them comes together.

Here belongs what is known before anything is computed: what arguments may be, and graphs. What a
worker does is in `_blocks`. Dask's arrays are of any type here, as Dask has none for them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.array.core import unify_chunks

from logitkit import _core
from logitkit._rows import as_array, check_weights, integer
from logitkit._summaries import LENGTH
from logitkit.dask import _blocks
from logitkit.dask._blocks import Options

# So many results of blocks come together at a time, and again.
_FAN_IN = 16

delayed = dask.delayed


# Arguments


def scores_of(given: Any, name: str, axis: Any) -> tuple[Any, int]:
    """Check scores and the axis of their classes; give the latter counted from 0."""
    if not isinstance(given, da.Array):
        raise TypeError(
            f"{name} is of type {type(given).__name__}, expected a Dask array; make one of an "
            f"array with dask.array.from_array, or use the function of the same name in logitkit"
        )
    _check_sizes(given, name)
    # What the dtype and the axis may be, logitkit says itself.
    axis = integer(axis, "axis")
    _core.logsumexp(np.zeros((0,) * given.ndim, given.dtype), axis)
    return given, axis % given.ndim


def _check_sizes(array: Any, name: str) -> None:
    if any(np.isnan(size) for size in array.shape):
        raise ValueError(f"{name} has blocks of unknown size; call its compute_chunk_sizes() first")


def beside(given: Any, name: str) -> Any:
    """Give an argument beside scores as a Dask array."""
    array = given if isinstance(given, da.Array) else da.asarray(as_array(given, name))
    _check_sizes(array, name)
    return array


def checked_indices(targets: Any, classes: int, ignore_index: int | None) -> Any:
    """Give class indices that are checked when they are computed."""
    return targets.map_blocks(
        _blocks.checked_indices, classes=classes, ignore_index=ignore_index, dtype=np.int64
    )


def weights_beside(given: Any, rows: tuple[int, ...]) -> Any:
    """Give sample weights as a Dask array with a number for each row."""
    if given is None:
        return None
    array = beside(given, "sample_weight")
    check_weights(array.shape, array.dtype, rows)
    return array


# Rows


def blockwise(
    function: Callable[..., Any],
    out: Sequence[str],
    *pairs: Any,
    dtype: Any = np.float64,
    parts: bool = False,
    new: int | None = None,
    **options: Any,
) -> Any:
    """Call a function for blocks that have the same place on the axes that they share.

    With `parts`, what it makes of some classes has one element on their axis; `new` is the length
    of an axis "new" that it adds.
    """
    return da.blockwise(
        function,
        tuple(out),
        *(tuple(one) if isinstance(one, list) else one for one in pairs),
        dtype=dtype,
        adjust_chunks={"classes": 1} if parts else None,
        new_axes=None if new is None else {"new": new},
        concatenate=True,
        align_arrays=False,
        meta=np.empty((0,) * len(out), dtype),
        **options,
    )


class Rows:
    """Scores with the classes last, and what else has the same rows, in blocks that agree."""

    def __init__(self, scores: Any, targets: Any = None, weights: Any = None) -> None:
        """Cut all where one of them is cut."""
        names = [*(f"row {axis}" for axis in range(scores.ndim - 1)), "classes"]
        given = [x for x in (scores, targets, weights) if x is not None]
        pairs = [(x, tuple(names[: x.ndim])) for x in given]
        _, arrays = unify_chunks(*(part for pair in pairs for part in pair), warn=False)
        found = iter(arrays)
        self.scores: Any = next(found)
        self.targets: Any = None if targets is None else next(found)
        self.weights: Any = None if weights is None else next(found)
        self.soft = targets is not None and targets.ndim == scores.ndim
        self.rows, self.all = names[:-1], names

    @property
    def has_whole_classes(self) -> bool:
        """Whether no row is cut."""
        return bool(self.scores.numblocks[-1] <= 1)

    @property
    def indices(self) -> Any:
        """The targets if they are class indices."""
        return None if self.soft else self.targets

    def _optional(self, array: Any, names: list[str]) -> list[Any]:
        return [None, None] if array is None else [array, names]

    def _classes(self) -> list[Any]:
        count, chunks = self.scores.shape[-1], (self.scores.chunks[-1],)
        return [da.arange(count, chunks=chunks), ["classes"]]

    def summaries(self, *, from_probs: bool = False) -> Any:
        """Give the summaries of rows: shape (..., LENGTH)."""
        parts = blockwise(
            _blocks.summaries,
            [*self.all, "new"],
            *[self.scores, self.all],
            *self._classes(),
            *self._optional(self.indices, self.rows),
            parts=True,
            new=LENGTH,
            from_probs=from_probs,
        )
        return blockwise(
            _blocks.merged,
            [*self.rows, "numbers"],
            *[parts, [*self.all, "numbers"]],
            from_probs=from_probs,
        )

    def probs(self, dtype: Any, *, log: bool) -> Any:
        """Give the softmax, or its logarithm, of rows that are cut."""
        return blockwise(
            _blocks.probs_given,
            self.all,
            *[self.scores, self.all, self.summaries(), [*self.rows, "numbers"]],
            dtype=dtype,
            log=log,
        )

    def losses(self, options: Options, *, wide: bool = False) -> Any:
        """Give each row's loss and its share of what a mean divides by: shape (..., 2).

        They are rounded to the dtype of a loss, unless they are to be `wide`.
        """
        weights = self._optional(self.weights, self.rows)
        out = [*self.rows, "new"]
        if self.has_whole_classes and not wide:
            targets = [self.targets, self.all if self.soft else self.rows]
            scores = [self.scores, self.all]
            return blockwise(
                _blocks.losses, out, *scores, *targets, *weights, new=2, options=options
            )
        numbers = [self.summaries(), [*self.rows, "numbers"]]
        parts: list[Any] = [None, None]
        if self.soft or options.label_smoothing != 0.0:
            soft = self.targets if self.soft else None
            spread = blockwise(
                _blocks.spread,
                [*self.all, "new"],
                *[self.scores, self.all],
                *self._classes(),
                *numbers,
                *self._optional(soft, self.all),
                parts=True,
                new=3,
                options=options,
            )
            parts = [spread, [*self.all, "sums"]]
        indices = self._optional(self.indices, self.rows)
        return blockwise(
            _blocks.losses_given, out, *numbers, *parts, *indices, *weights, new=2, options=options
        )

    def plain_losses(self) -> Any:
        """Give `losses` without options, not rounded to the dtype of the scores."""
        return self.losses(Options.plain(self.scores.shape[-1]), wide=True)

    def target_scores(self) -> Any:
        """Give the score of each row's target."""
        x, indices = [self.scores, self.all], [self.targets, self.rows]
        parts = blockwise(
            _blocks.target_scores, self.all, *x, *self._classes(), *indices, parts=True
        )
        return blockwise(_blocks.added, self.rows, parts, self.all)

    def ranks(self, scores: Any) -> Any:
        """Give how many classes come before each target, of such scores, in rows that are cut."""
        x, targets = [self.scores, self.all], [scores, self.rows, self.targets, self.rows]
        parts = blockwise(_blocks.rank_parts, self.all, *x, *self._classes(), *targets, parts=True)
        return blockwise(_blocks.added, self.rows, parts, self.all)


# What blocks add up to


def each_block(function: Callable[..., Any], *arrays: Any, **options: Any) -> list[Any]:
    """Call a function for each block of rows of arrays; what is None is None for each."""
    present = [None if x is None else x.to_delayed().ravel() for x in arrays]
    count = next(len(blocks) for blocks in present if blocks is not None)
    given = ([None] * count if blocks is None else blocks for blocks in present)
    return [delayed(function)(*blocks, **options) for blocks in zip(*given, strict=True)]


def merged(parts: list[Any]) -> Any:
    """Merge what blocks give, some at a time: nobody gets everything at once."""
    while len(parts) > 1:
        groups = [parts[first : first + _FAN_IN] for first in range(0, len(parts), _FAN_IN)]
        parts = [delayed(_blocks.merged_sums)(group) for group in groups]
    return parts[0]


def scalar(value: Any, dtype: Any) -> Any:
    """Give a number as an array without dimensions."""
    return da.from_delayed(value, shape=(), meta=np.empty((), dtype))


def reduced(
    losses: Any,
    function: Callable[..., Any],
    dtype: Any,
) -> Any:
    """Give what becomes of the exact sums of all losses and shares."""
    sums = merged(each_block(_blocks.exact_sums, losses))
    return scalar(delayed(function)(sums, dtype), dtype)
