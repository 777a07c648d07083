"""Results to 50 digits with mpmath, and the distance from them in ulp.

Here stand the contract's formulas on one row or one element, evaluated so widely that nothing is
lost to rounding, and the ruler. Which inputs are measured, and how results are collected, is the
business of `tests.accuracy`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import ml_dtypes
import mpmath
import numpy as np
from numpy.typing import NDArray

from tests.support import Array

# mpmath publishes no types.
Real = Any

# 53 bits of the widest result, twice, and room for what the formulas cancel.
CONTEXT = mpmath.mp.clone()
CONTEXT.prec = 170

# e^-20000 is below every subnormal; its own exponent would only cost time.
NEGLIGIBLE = -20000

ZERO: Real = CONTEXT.mpf(0)
ONE: Real = CONTEXT.mpf(1)


# The ruler


class Exact(NamedTuple):
    """Values `(high + low)·2^exponent`, with 106 bits and `high` in [0.5, 1)."""

    high: NDArray[np.float64]
    low: NDArray[np.float64]
    exponent: NDArray[np.int64]


def exact(values: Iterable[Real]) -> Exact:
    """Split mpmath numbers into arrays that NumPy can compare with."""
    high, low, exponent = [], [], []
    for value in values:
        bits = value.bc
        mantissa = value.man << 106 - bits if bits <= 106 else value.man >> bits - 106
        sign = -1 if value < 0 else 1
        high.append(sign * (mantissa >> 53) * 2.0**-53)
        low.append(sign * (mantissa & (1 << 53) - 1) * 2.0**-106)
        exponent.append(min(max(value.exp + bits, -100_000), 100_000) if mantissa else -100_000)
    return Exact(np.array(high), np.array(low), np.array(exponent, dtype=np.int64))


def errors(got: Array, want: Exact, scale: Exact | None = None) -> NDArray[np.float64]:
    """Measure `|got - want|` in ulp: of `want`, or of `scale` where that is what a bound names.

    The ulp is that of the type of `got`, and that of a subnormal below the smallest normal number.
    A result that is inf or nan without cause is infinitely wrong.
    """
    flat = np.asarray(got).reshape(-1)
    finfo: Any = ml_dtypes.finfo
    limits = finfo(flat.dtype)
    digits = limits.nmant + 1
    size = want.exponent if scale is None else np.maximum(want.exponent, scale.exponent)
    unit = np.clip(size - digits, limits.minexp - limits.nmant, limits.maxexp - digits)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        place = (want.exponent - unit).astype(np.int32)
        scaled = np.ldexp(flat.astype(np.float64), (-unit).astype(np.int32))
        distance = np.abs(scaled - np.ldexp(want.high, place) - np.ldexp(want.low, place))
    top = np.abs(want.high) >= 1 - 2.0 ** -(digits + 1)
    overflows = (want.exponent > limits.maxexp) | ((want.exponent == limits.maxexp) & top)
    right = overflows & (flat == np.copysign(np.inf, want.high))
    wrong = ~np.isfinite(flat)
    return np.where(right, 0.0, np.where(wrong, np.inf, distance))


# One row of logits


def exponential(x: Real) -> Real:
    """Give e^x, and 0 where no type could tell it from 0."""
    return ZERO if x < NEGLIGIBLE else CONTEXT.exp(x)


class Row:
    """The exact normaliser of one row, with one maximum kept apart from the sum."""

    def __init__(self, values: Sequence[float]) -> None:
        self.values = values
        largest = max(values)
        self.largest: Real = CONTEXT.mpf(largest)
        counts = Counter(values)
        counts[largest] -= 1
        self.terms = {x: exponential(CONTEXT.mpf(x) - self.largest) for x in counts}
        self.rest: Real = CONTEXT.fsum(count * self.terms[x] for x, count in counts.items())
        self.log: Real = CONTEXT.log1p(self.rest)
        self.logsumexp: Real = self.largest + self.log
        whole = ONE + self.rest
        self._probs = {x: term / whole for x, term in self.terms.items()}

    def softmax(self) -> list[Real]:
        return [self._probs[x] for x in self.values]

    def prob(self, index: int) -> Real:
        return self._probs[self.values[index]]

    def distance(self, index: int) -> Real:
        """Give `lse - x`, a sum of two terms that are not negative."""
        return (self.largest - CONTEXT.mpf(self.values[index])) + self.log

    def log_softmax(self) -> list[Real]:
        distances = {x: -((self.largest - CONTEXT.mpf(x)) + self.log) for x in self.terms}
        return [distances[x] for x in self.values]

    def largest_term(self) -> Real:
        """Give what the bound of logsumexp is relative to: its larger term, where they cancel."""
        return max(abs(self.logsumexp), -self.largest)

    def hessian(self) -> list[Real]:
        """Give `p (1 - p)`, the latter as the sum of the others."""
        whole = ONE + self.rest
        others = {x: (self.rest + (ONE - term)) / whole for x, term in self.terms.items()}
        return [self._probs[x] * others[x] for x in self.values]

    def gradient(self, target: int) -> list[Real]:
        """Give `p - 1` at the target, without the difference, and `p` elsewhere."""
        entries = self.softmax()
        others = self.rest + (ONE - self.terms[self.values[target]])
        entries[target] = -others / (ONE + self.rest)
        return entries


# One element


def softplus(x: float) -> Real:
    """Give log(1 + e^x)."""
    return CONTEXT.mpf(max(x, 0.0)) + CONTEXT.log1p(exponential(-abs(CONTEXT.mpf(x))))


def log_sigmoid(x: float) -> Real:
    """Give -log(1 + e^-x)."""
    return -softplus(-x)


def sigmoid(x: float) -> Real:
    """Give 1 / (1 + e^-x)."""
    small = exponential(-abs(CONTEXT.mpf(x)))
    return (small if x < 0 else ONE) / (ONE + small)


# Losses with options


@dataclass(frozen=True)
class Sum:
    """A sum and what its bounds are relative to: its largest term, the sum of the magnitudes."""

    value: Real
    largest: Real
    magnitude: Real

    @classmethod
    def of(cls, terms: Sequence[Real], factor: Real = ONE) -> "Sum":
        """Sum up terms, times a common factor."""
        sizes = [abs(term) for term in terms]
        total = CONTEXT.fsum(terms)
        parts = (total, max(sizes, default=ZERO), CONTEXT.fsum(sizes))
        return cls(*(part * factor for part in parts))

    @classmethod
    def total(cls, sums: Sequence["Sum"]) -> "Sum":
        """Add up sums that are each as accurate as their own bounds."""
        parts = ([s.value for s in sums], [s.largest for s in sums], [s.magnitude for s in sums])
        return cls(*(CONTEXT.fsum(part) for part in parts))

    def over(self, divisor: Real) -> "Sum":
        """Divide the sum, with its terms."""
        return Sum(self.value / divisor, self.largest / divisor, self.magnitude / divisor)


@dataclass(frozen=True)
class Options:
    """The options of one row of a loss; `target` is a class or one soft target per class."""

    target: int | Sequence[float]
    weight: Sequence[float]
    sample_weight: float = 1.0
    label_smoothing: float = 0.0
    z_loss: float = 0.0

    def coefficients(self) -> list[Real]:
        """Give the coefficient of every class's `lse - x` (or `-log p`)."""
        classes = len(self.weight)
        keep = ONE - CONTEXT.mpf(self.label_smoothing)
        spread = CONTEXT.mpf(self.label_smoothing) / classes
        if isinstance(self.target, int):
            shares = [keep * (c == self.target) + spread for c in range(classes)]
        else:
            shares = [keep * CONTEXT.mpf(t) + spread for t in self.target]
        return [CONTEXT.mpf(w) * share for w, share in zip(self.weight, shares, strict=True)]

    def share_of_mean(self) -> Real:
        """Give what the row adds to the denominator of the mean; a row left out adds nothing."""
        sample_weight = CONTEXT.mpf(self.sample_weight)
        if not any(self.coefficients()):
            return ZERO
        if isinstance(self.target, int):
            return sample_weight * CONTEXT.mpf(self.weight[self.target])
        return sample_weight


def cross_entropy(row: Row, options: Options) -> tuple[Sum, list[Sum]]:
    """Give the loss of a row with all options, and its gradient."""
    factor, zeta = CONTEXT.mpf(options.sample_weight), CONTEXT.mpf(options.z_loss)
    a = options.coefficients()
    if not any(a):
        return Sum.of([]), [Sum.of([])] * len(a)
    loss = Sum.of(
        [*(a[c] * row.distance(c) for c in range(len(a)) if a[c]), zeta * row.logsumexp**2], factor
    )
    whole = CONTEXT.fsum(a)
    pull = 2 * zeta * row.logsumexp
    # The one coefficient of a hard label is no difference of like terms: the bound is its own.
    single = row.gradient(options.target) if isinstance(options.target, int) else []
    hard = bool(single) and not options.label_smoothing
    grad = [
        Sum.of([whole * single[i], pull * p] if hard else [whole * p, -a[i], pull * p], factor)
        for i, p in enumerate(row.softmax())
    ]
    return loss, grad


def cross_entropy_hessian(row: Row, options: Options) -> list[Sum]:
    """Give the diagonal of the Hessian of a row's loss with all options."""
    a = options.coefficients()
    if not any(a):
        return [Sum.of([])] * len(a)
    factor, zeta = CONTEXT.mpf(options.sample_weight), CONTEXT.mpf(options.z_loss)
    whole = CONTEXT.fsum(a)
    pairs = zip(row.softmax(), row.hessian(), strict=True)
    return [
        Sum.of([whole * pq, 2 * zeta * p * p, 2 * zeta * row.logsumexp * pq], factor)
        for p, pq in pairs
    ]


def categorical(probs: Sequence[float], options: Options) -> tuple[Sum, list[Sum]]:
    """Give the loss of a row of probabilities, and its gradient."""
    factor = CONTEXT.mpf(options.sample_weight)
    pairs = [(a, CONTEXT.mpf(p)) for a, p in zip(options.coefficients(), probs, strict=True)]
    loss = Sum.of([-a * CONTEXT.log(p) for a, p in pairs if a], factor)
    return loss, [Sum.of([-a / p] if a else [ZERO], factor) for a, p in pairs]


def binary(p: float, y: float) -> tuple[Sum, Sum]:
    """Give the binary loss of a probability, and its gradient."""
    prob, target = CONTEXT.mpf(p), CONTEXT.mpf(y)
    against = ONE - target
    loss = [-target * CONTEXT.log(prob)] if y else []
    loss += [-against * CONTEXT.log1p(-prob)] if against else []
    grad = [-target / prob] if y else []
    grad += [against / (ONE - prob)] if against else []
    return Sum.of(loss), Sum.of(grad)


def binary_with_logits(z: float, y: float, weight: float, pos_weight: float) -> tuple[Sum, Sum]:
    """Give the weighted binary loss of a logit, and its gradient."""
    target, factor = CONTEXT.mpf(y), CONTEXT.mpf(weight)
    positive, against = CONTEXT.mpf(pos_weight) * target, ONE - target
    loss = Sum.of([positive * softplus(-z), against * softplus(z)], factor)
    return loss, Sum.of([against * sigmoid(z), -positive * sigmoid(-z)], factor)


def binary_hessian(z: float, y: float, weight: float, pos_weight: float) -> Sum:
    """Give the second derivative of the weighted binary loss of a logit."""
    target = CONTEXT.mpf(y)
    counts = CONTEXT.mpf(pos_weight) * target + (ONE - target)
    return Sum.of([counts * sigmoid(z) * sigmoid(-z)], CONTEXT.mpf(weight))
