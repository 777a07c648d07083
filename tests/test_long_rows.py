"""Rows that are read block by block: a maximum that grows on the way, and what is not finite.

From 2^14 + 1 classes on a row is read once, in blocks of 4096, for the losses and logsumexp. Up to
four rows of 2^16 classes and more are shared by the threads, piece by piece.
"""

import math
from typing import Any

import numpy as np
import pytest

import logitkit
from tests import reference
from tests.support import HALVES, PLAIN, Array, Float, check, random_logits, rng_of, rows_of

BLOCK = 4096
CLASSES = (2**14, 2**14 + 1, 2**14 + BLOCK + 5)
# Where the largest element stands, and where another large one does.
PLACES = (0, BLOCK - 1, BLOCK, 2**14 - 1)


def check_row(x: Array) -> None:
    """Compare what reads a row in blocks with the reference, and with rows that threads share."""
    row = x.astype(np.float64).tolist()
    log_probs = reference.log_softmax(row)
    check(logitkit.logsumexp(x), reference.logsumexp(row), x.dtype, float64=PLAIN)
    check(logitkit.log_softmax(x), log_probs, x.dtype, float64=PLAIN)
    check(logitkit.softmax(x), reference.softmax(row), x.dtype, float64=PLAIN)
    for target in (0, int(np.argmax(x))):
        check(logitkit.cross_entropy(x, target), -log_probs[target], x.dtype, float64=PLAIN)


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("step", [0.5, 40.0, 300.0])
def test_the_maximum_grows_from_block_to_block(classes: int, step: float, dtype: Float) -> None:
    rng = rng_of(f"{classes} {step}")
    x = random_logits(rng, (classes,), dtype)
    x += (np.arange(classes) // BLOCK * step).astype(dtype)
    check_row(x)
    check_row(x[::-1])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("size", [30.0, 600.0, 5000.0, -600.0])
def test_the_maximum_stands_in_any_block(place: int, size: float, dtype: Float) -> None:
    x = random_logits(rng_of(f"{place} {size}"), (CLASSES[1],), dtype)
    x[place] = size if size > 0 else 1.0
    if size < 0:
        x += dtype(size * 10)
    check_row(x)


@pytest.mark.parametrize("block", [0, 1, 4])
def test_a_block_of_nothing_adds_nothing(block: int, dtype: Float) -> None:
    x = random_logits(rng_of(f"{block}"), (CLASSES[1],), dtype)
    x[block * BLOCK : (block + 1) * BLOCK] = -np.inf
    row = x.astype(np.float64).tolist()
    check(logitkit.logsumexp(x), reference.logsumexp(row), x.dtype, float64=PLAIN)


@pytest.mark.parametrize("place", [*PLACES, CLASSES[1] - 1])
@pytest.mark.parametrize("rest", [0.0, -np.inf])
def test_a_nan_is_seen_in_any_block(place: int, rest: float, dtype: Float) -> None:
    x = np.full((CLASSES[1],), rest, dtype)
    x[place] = np.nan
    assert np.isnan(logitkit.logsumexp(x))
    assert np.isnan(logitkit.softmax(x)).all()
    assert np.isnan(logitkit.cross_entropy(x, 1))
    x[place] = np.inf
    assert logitkit.logsumexp(x) == np.inf
    assert np.isnan(logitkit.log_softmax(x)).all()


def test_nothing_but_minus_infinity(dtype: Float) -> None:
    x = np.full((CLASSES[1],), -np.inf, dtype)
    assert logitkit.logsumexp(x) == -np.inf
    assert np.isnan(logitkit.softmax(x)).all()


# Leads about where the others are summed again without the maximum, with few and with many of them.
@pytest.mark.parametrize("classes", [20, 200, 1000, CLASSES[1], 2**16])
@pytest.mark.parametrize("share", [0.4, 0.9, 1.1, 3.0])
def test_confident_rows_keep_their_small_losses(classes: int, share: float, dtype: Float) -> None:
    limit = 2.0**-14 if dtype == np.float32 else 2.0**-40
    for place in (0, classes // 2, classes - 1):
        x = np.zeros((1, classes), dtype)
        lead = dtype(np.log((classes - 1) / (limit * share)))
        x[0, place] = lead
        want = np.log1p((classes - 1) * np.exp(-float(lead)))
        eps = float(np.finfo(dtype).eps)
        loss, grad = logitkit.cross_entropy_and_grad(x, [place])
        assert abs(float(loss) - want) <= 2 * eps * want
        assert abs(float(grad[0, place]) + want) <= want * (2 * eps + want)
        assert abs(float(logitkit.log_softmax(x)[0, place]) + want) <= 2 * eps * want
        # A second maximum is one of the others.
        x[0, (place + 1) % classes] = lead
        assert abs(float(logitkit.cross_entropy(x, [place])) - np.log(2)) <= 4 * (eps + limit)


@pytest.mark.parametrize("classes", [2, 5, 17, 200, 2**14 + 1])
@pytest.mark.parametrize("weight", [1.0, 1e30, 1e-30])
def test_an_impossible_class_gets_exactly_nothing(
    classes: int, weight: float, dtype: Float
) -> None:
    x = np.zeros((9, classes), dtype)
    x[:, 1:] = -np.inf
    x[:, classes // 2 + 1 :] = -1e4
    targets = np.zeros(9, np.int64)
    assert (logitkit.softmax(x)[:, 1:] == 0).all()
    loss, grad = logitkit.cross_entropy_and_grad(
        x, targets, sample_weight=np.full(9, weight), reduction="sum"
    )
    assert loss == 0
    assert (grad == 0).all()


# With a coefficient it costs infinitely much, and its gradient is that of the target alone.
@pytest.mark.parametrize("classes", [17, 200, 2**14 + 1])
@pytest.mark.parametrize("weight", [1.0, 1e30, 1e-30])
def test_an_impossible_class_has_the_gradient_of_its_target(
    classes: int, weight: float, dtype: Float
) -> None:
    x = np.zeros((9, classes), dtype)
    x[:, 1:] = -np.inf
    weights = np.full(9, weight)
    loss, grad = logitkit.cross_entropy_and_grad(
        x, np.zeros(9, np.int64), sample_weight=weights, label_smoothing=0.5, reduction="sum"
    )
    assert loss == np.inf
    want = np.full((9, classes - 1), -weight * (0.5 / classes))
    check(grad[:, 1:].copy(), want.reshape(-1).tolist(), dtype, float64=PLAIN)
    soft = np.full((9, classes), 0.5 / classes, dtype)
    loss, grad = logitkit.cross_entropy_and_grad(x, soft, sample_weight=weights, reduction="sum")
    assert loss == np.inf
    check(grad[:, 1:].copy(), (-weight * soft[:, 1:].astype(float)).reshape(-1).tolist(), dtype)


# Rows that are copied on their way, encoded or masked ones, are copied in blocks from one on.
COPIED = (BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1)


def confident_rows(classes: int) -> Array:
    """Give rows whose largest element stands in the first block, the last one, or in both."""
    x = random_logits(rng_of("copied", classes), (5, classes), np.float32)
    x[0, 0] = x[1, -1] = x[2, 0] = x[2, -1] = 40.0
    x[3, : classes // 2] = -np.inf
    return x


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("classes", COPIED)
def test_encoded_rows_are_copied_in_blocks(classes: int, half: Any) -> None:  # noqa: ANN401
    x = confident_rows(classes).astype(half)
    rows = rows_of(x)
    sums = [reference.logsumexp(row) for row in rows]
    check(logitkit.logsumexp(x), sums, np.float32)
    want = np.array([reference.log_softmax(row) for row in rows])
    for got in (logitkit.log_softmax(x), logitkit.log_softmax(x, out=x.copy())):
        # Half an ulp, and a little that the computation may be off.
        share = 0.51 * 2.0 ** (-10 if half is np.float16 else -7)
        near = np.isclose(got.astype(np.float64), want, rtol=share, atol=2.0**-25)
        assert near.all(), np.argwhere(~near)[:5]
    targets = [0, classes - 1, 0, classes - 1, 1]
    losses = logitkit.cross_entropy(x, targets, reduction="none")
    check(
        losses,
        [-row[target] for row, target in zip(want.tolist(), targets, strict=True)],
        np.float32,
    )
    x[3, -1] = np.nan
    assert np.isnan(logitkit.log_softmax(x)[3]).all()
    assert np.isnan(logitkit.logsumexp(x)[3])


@pytest.mark.parametrize("classes", COPIED)
def test_masked_rows_are_copied_in_blocks(classes: int, dtype: Float) -> None:
    x = confident_rows(classes).astype(dtype)
    kept = rng_of("kept", classes).random(x.shape) < 0.6
    kept[:, [0, -1]] = True
    kept[4] = False
    left = [
        [z for z, keep in zip(*pair, strict=True) if keep]
        for pair in zip(rows_of(x), kept, strict=True)
    ]
    x[~kept] = np.nan
    sums = [reference.logsumexp(row) if row else -math.inf for row in left]
    check(logitkit.logsumexp(x, where=kept), sums, dtype, float64=PLAIN)
    want = [z for row in left for z in (reference.log_softmax(row) if row else [])]
    for got in (
        logitkit.log_softmax(x, where=kept),
        logitkit.log_softmax(x, where=kept, out=x.copy()),
    ):
        check(got[kept], want, dtype, float64=PLAIN)
        assert np.isneginf(got[~kept]).all()
    x[3, -1] = np.inf
    got = logitkit.log_softmax(x, where=kept)[3]
    assert np.isnan(got[kept[3]]).all()
    assert np.isneginf(got[~kept[3]]).all()
