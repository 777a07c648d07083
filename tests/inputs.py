"""The inputs on which accuracy is measured: elements and rows, drawn over wide ranges.

Which results they are measured by is the business of `tests.accuracy`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tests.support import Array, Float, rng_of

CLASSES = (1, 2, 3, 10, 100, 1000, 3001)


@dataclass(frozen=True)
class Batch:
    """Rows of one length, the class of each, and where they come from."""

    logits: Array
    targets: NDArray[np.int64]
    labels: list[str]

    def cases(self) -> list[str]:
        """Name the input of every row."""
        return [f"{label}, C = {self.logits.shape[1]}" for label in self.labels]


# Elements


def elements(dtype: Float, *, large: bool = False) -> Array:
    """Give every exponent of the type with both signs, and the neighbourhoods of thresholds."""
    limits = np.finfo(dtype)
    draws = 30 if large else 2
    rng = rng_of("elements", dtype.__name__)
    exponents = np.arange(limits.minexp - limits.nmant, limits.maxexp)
    mantissas = [1.0, 1.0 + limits.eps, 2.0 - limits.eps, *rng.uniform(1, 2, draws)]
    with np.errstate(under="ignore"):
        sizes = np.ldexp(np.array(mantissas)[:, None], exponents).ravel()
    # Where the exponent of the power of two changes, and the ends of the ranges of exp.
    steps = np.arange(1, 65 * 20) * np.log(2) / 2
    ends = [87, 88, 88.7228, 87.3365, 103.28, 103.9721, 104, 708, 708.396, 709.78, 744.44, 745.133]
    near = steps[:128, None] + np.spacing(steps[:128, None].astype(dtype)) * [-1, 0, 1]
    lines = [np.linspace(low, high, 200) for low, high in pairwise((0.0, 1.0, 20.0, 86.0, 105.0))]
    lines += [np.linspace(low, high, 200) for low, high in ((700.0, 747.0), (1e-3, 1e-2))]
    lines += [rng.uniform(0, 40, 500 * draws)]
    both = np.concatenate([sizes, steps, ends, near.ravel(), *lines]).astype(dtype)
    return np.concatenate([both, -both, np.zeros(1, dtype)])


def binary(dtype: Float, *, large: bool = False) -> tuple[Array, Array]:
    """Give logits, and probabilities strictly between 0 and 1: every exponent, on both sides."""
    z = elements(dtype, large=large)[:: 1 if large else 5]
    below, limits = np.abs(z[np.abs(z) < 1]), np.finfo(dtype)
    near_one = (1 - np.ldexp(1.0, -np.arange(1, limits.nmant + 2))).astype(dtype)
    p = np.concatenate([below, near_one, 1 - below[below > limits.eps]])
    return z, p[(p >= limits.tiny) & (p < 1)]


# Rows


def few_rows(dtype: Float, *, large: bool = False) -> Iterator[Batch]:
    """Draw a few rows of every family, for what is measured under many options."""
    for family in FAMILIES:
        for batch in batches(family, dtype):
            if batch.logits.shape[1] in ((1, 2, 10, 100) if large else (1, 2, 10)):
                turn = slice(None, None, 1 if large else max(1, len(batch.labels) // 4))
                yield Batch(batch.logits[turn], batch.targets[turn], batch.labels[turn])


def batches(family: str, dtype: Float, *, large: bool = False) -> Iterator[Batch]:
    """Draw the batches of a family: one for every number of classes that it has rows of."""
    repeats = 8 if large else 1
    for classes in (*CLASSES, 20_011) if large else CLASSES:
        rng = rng_of("batches", family, dtype.__name__, classes)
        rows: list[Array] = []
        labels: list[str] = []
        for _ in range(repeats):
            for label, row in FAMILIES[family](rng, classes, dtype):
                rows.append(np.asarray(row, dtype=dtype))
                labels.append(label)
        keep = len(rows) if large else max(3, min(len(rows), 4000 // classes))
        chosen = np.linspace(0, len(rows) - 1, keep).astype(int)
        logits = np.stack([rows[i] for i in chosen])
        yield Batch(logits, _targets(rng, logits), [labels[i] for i in chosen])


def _targets(rng: np.random.Generator, logits: Array) -> NDArray[np.int64]:
    """Take as targets the top class, the bottom class and any class, in turn."""
    chosen = rng.integers(0, logits.shape[1], len(logits))
    turn = np.arange(len(logits)) % 3
    return np.where(
        turn == 0, logits.argmax(axis=-1), np.where(turn == 1, logits.argmin(axis=-1), chosen)
    )


Rows = Iterator[tuple[str, Array]]


def normal(rng: np.random.Generator, classes: int, dtype: Float) -> Rows:
    """Draw normal logits of many scales."""
    del dtype
    for scale in (0.01, 0.1, 0.3, 1, 2, 3, 5, 10, 20, 30, 50, 100) * 3:
        yield f"normal of scale {scale}", rng.normal(size=classes) * scale


def confident(rng: np.random.Generator, classes: int, dtype: Float) -> Rows:
    """Draw rows with one class ahead of the others, by little up to more than exp can hold."""
    most = 100.0 if dtype is np.float32 else 740.0
    for lead in [*np.geomspace(1e-3, most, 40), 15.0, 16.0, 17.0, 18.0, 30.0, 36.0, 37.0, 80.0]:
        for spread in (0.0, 1e-3, 0.3):
            row = spread * rng.normal(size=classes)
            top = rng.integers(classes)
            row[top] = row.max() + lead
            yield f"lead of {lead:.6g}", row


def tied(rng: np.random.Generator, classes: int, dtype: Float) -> Rows:
    """Draw rows with equal classes: all, some, the top ones."""
    for scale in (0.5, 1.0, 3.0, 20.0):
        yield "ties", np.round(rng.normal(size=classes) * scale)
        row = rng.normal(size=classes) * scale
        row[: min(2, classes)] = row.max()
        yield "two at the top", row
        above = np.nextafter(dtype(scale), dtype(99))
        yield "one ulp apart", np.where(rng.random(classes) < 0.5, above, dtype(scale))
    for value in (0.0, 1.0, -0.6931472, -88.0, 1e-30, 1e30, -1e30):
        yield f"all {value:g}", np.full(classes, value)


def offset(rng: np.random.Generator, classes: int, dtype: Float) -> Rows:
    """Draw rows far from 0, tiny and huge."""
    for shift in (1000.0, -1000.0, 1e6, -1e6, 88.0, -104.0, -745.0, -np.log(classes)):
        for scale in (1.0, 5.0):
            yield f"normal + {shift:g}", rng.normal(size=classes) * scale + shift
    # A mean of float64 losses near the end of the range is beyond it as a sum.
    huge = 1e38 if dtype is np.float32 else 1e305
    tiny = 1e-38 if dtype is np.float32 else 1e-308
    for scale in (1e-6, 1e-15, 1e-30, 1e6, 1e30, tiny, huge):
        yield f"normal · {scale:g}", np.clip(rng.normal(size=classes), -1.7, 1.7) * scale


def subnormal(rng: np.random.Generator, classes: int, dtype: Float) -> Rows:
    """Draw rows whose small results fall below the smallest normal number, and below them all."""
    first, last = (86.0, 105.0) if dtype is np.float32 else (707.0, 747.0)
    for _ in range(8):
        row = -rng.uniform(first, last, classes)
        row[rng.integers(classes)] = 0.0
        yield "subnormal results", row
        yield "results of every size", np.linspace(0.0, -last, classes) + rng.normal()
    for low in np.linspace(first, last, 12):
        row = np.full(classes, -low)
        row[0] = rng.uniform(-1, 1)
        yield f"all at -{low:.5g}", row


FAMILIES = {
    "normal": normal,
    "confident": confident,
    "tied": tied,
    "offset": offset,
    "subnormal": subnormal,
}
