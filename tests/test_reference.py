"""The reference against mpmath: the contract's formulas word by word, in 340 digits.

Gradients are differences of those losses, so that no formula of a gradient is repeated here.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np
import pytest

from tests import reference
from tests.reference import Total
from tests.support import (
    random_logits,
    random_probs,
    random_soft_targets,
    rows_of,
)

Real = Any  # mpmath has no types

mp = mpmath.mp.clone()
mp.dps = 340  # a lead of 700 hides 304 digits of a loss behind its maximum
# What the bounds of float64 in tests.support leave to the reference.
BOUND = 3.0
STEP = mp.mpf(10) ** -100


def check_near(got: Sequence[float], want: Sequence[Real], bound: float = BOUND) -> None:
    """Bound the distance in ulp of the value, or of its terms where these are larger."""
    assert len(got) == len(want)
    for value, exact in zip(got, want, strict=True):
        scale = value.magnitude if isinstance(value, Total) else abs(float(exact))
        assert abs(mp.mpf(float(value)) - exact) <= bound * math.ulp(scale), (value, exact)


def numbers(row: Sequence[float]) -> list[Real]:
    """Take floats exactly."""
    return [mp.mpf(float(value)) for value in row]


def lse(row: Sequence[Real]) -> Real:
    """Log of the sum of the exponentials."""
    return mp.log(mp.fsum(mp.exp(value) for value in row))


def derivative(function: Callable[[list[Real]], Real], at: Sequence[Real]) -> list[Real]:
    """Differentiate by each argument; nothing that a float can show is lost."""
    slopes = []
    for i in range(len(at)):
        ends = [function([*at[:i], at[i] + step, *at[i + 1 :]]) for step in (STEP, -STEP)]
        slopes.append((ends[0] - ends[1]) / (2 * STEP))
    return slopes


def random_rows(
    rng: np.random.Generator, classes: int, count: int, lead: float
) -> list[list[float]]:
    """Draw rows of every kind, two of which have a class that leads by far."""
    rows = random_logits(rng, (count, classes)).clip(-150.0, 450.0)
    rows[0] = 0.0
    rows[1, 0] += 30.0
    rows[2, -1] += lead
    return rows_of(rows)


@pytest.mark.parametrize("classes", [1, 2, 3, 10, 65])
def test_rows(rng: np.random.Generator, classes: int) -> None:
    """softmax, log_softmax and logsumexp."""
    for row in random_rows(rng, classes, 30, lead=700.0):
        exact = numbers(row)
        total = lse(exact)
        check_near([reference.logsumexp(row)], [total])
        check_near(reference.log_softmax(row), [value - total for value in exact])
        check_near(reference.softmax(row), [mp.exp(value - total) for value in exact])


@pytest.mark.parametrize("classes", [1, 2, 10])
def test_vjps(rng: np.random.Generator, classes: int) -> None:
    """The two vjps, from their formulas."""
    cotangent = rng.normal(size=classes).tolist()
    g = numbers(cotangent)
    for row in random_rows(rng, classes, 12, lead=700.0):
        saved = reference.softmax(row)
        p = numbers(saved)
        mean = mp.fsum(a * b for a, b in zip(p, g, strict=True))
        want = [a * (b - mean) for a, b in zip(p, g, strict=True)]
        check_near(reference.softmax_vjp(saved, cotangent), want)
        logs = reference.log_softmax(row)
        want = [b - mp.exp(a) * mp.fsum(g) for a, b in zip(numbers(logs), g, strict=True)]
        check_near(reference.log_softmax_vjp(logs, cotangent), want)


def test_single_numbers() -> None:
    """sigmoid, log_sigmoid and softplus, from subnormal results to large ones."""
    for x in (*np.linspace(-745.0, 745.0, 597), 1e-300, -1e-17, 1e-9, 1e300):
        z = mp.mpf(float(x))
        check_near([reference.sigmoid(float(x))], [1 / (1 + mp.exp(-z))])
        if abs(x) < 1000:
            check_near([reference.softplus(float(x))], [mp.log1p(mp.exp(z))])
            check_near([reference.log_sigmoid(float(x))], [-mp.log1p(mp.exp(-z))])


def naive_loss(
    costs: Callable[[Sequence[Real]], list[Real]],
    targets: Sequence[Any],
    options: dict[str, Any],
    z_term: Callable[[Sequence[Real]], Real],
) -> Callable[[list[Real]], Real]:
    """Give the reduced loss of the contract's section on losses, as a function of all logits."""
    classes = options["classes"]
    w, s = numbers(options["weight"]), numbers(options["sample_weight"])
    smoothing = mp.mpf(options.get("label_smoothing", 0.0))

    def loss(flat: list[Real]) -> Real:
        total, divisor = mp.mpf(0), mp.mpf(0)
        for n, target in enumerate(targets):
            if s[n] == 0 or target == options.get("ignore_index"):
                continue
            row = flat[n * classes : (n + 1) * classes]
            cost = costs(row)
            spread = smoothing / classes
            if isinstance(target, int):
                term = (1 - smoothing) * w[target] * cost[target]
                term += spread * mp.fsum(w[c] * cost[c] for c in range(classes))
                divisor += s[n] * w[target]
            else:
                shares = [(1 - smoothing) * t + spread for t in numbers(target)]
                term = mp.fsum(w[c] * shares[c] * cost[c] for c in range(classes))
                divisor += s[n]
            total += s[n] * (term + z_term(row))
        return total / divisor if options["reduction"] == "mean" else total

    return loss


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("soft", [False, True], ids=["index", "soft"])
@pytest.mark.parametrize("smoothing, z_loss", [(0.0, 0.0), (0.1, 0.0), (0.0, 0.3), (0.2, 0.01)])
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss", "categorical_cross_entropy"])
def test_losses(
    rng: np.random.Generator,
    name: str,
    smoothing: float,
    z_loss: float,
    soft: bool,
    reduction: str,
) -> None:
    """The losses of rows and their gradients, with weights and with a row left out."""
    classes = 4
    rows = random_rows(rng, classes, 6, lead=300.0)
    if name == "categorical_cross_entropy":
        rows = rows_of(random_probs(rng, (6, classes), -1))
    targets: list[Any] = rng.integers(0, 3, size=6).tolist()
    options: dict[str, Any] = {"weight": [0.5, 2.0, 0.7, 0.0], "reduction": reduction}
    options["sample_weight"] = [1.0, 0.3, 2.0, 0.0, 1.0, 1.0]
    if soft:
        targets = rows_of(random_soft_targets(rng, (6, classes)) + np.array([0.125, 0, 0, 0]))
    else:
        options["ignore_index"] = targets[5] = 3
    if name == "cross_entropy":
        options |= {"label_smoothing": smoothing, "z_loss": z_loss}
    costs: dict[str, Callable[[Sequence[Real]], list[Real]]] = {
        "cross_entropy": lambda row: [lse(row) - value for value in row],
        "nll_loss": lambda row: [-value for value in row],
        "categorical_cross_entropy": lambda row: [-mp.log(value) for value in row],
    }
    exact = naive_loss(
        costs[name],
        targets,
        {"classes": classes, **options},
        lambda row: mp.mpf(z_loss) * lse(row) ** 2 if "z_loss" in options else mp.mpf(0),
    )
    loss, grad = getattr(reference, f"{name}_and_grad")(rows, targets, **options)
    flat = [value for row in rows for value in numbers(row)]
    check_near([loss], [exact(flat)])
    check_near([value for row in grad for value in row], derivative(exact, flat))


@pytest.mark.parametrize("lead", [1.0, 10.0, 30.0, 300.0])
def test_confident_rows(lead: float) -> None:
    """A small loss and its gradient are good relative to themselves."""
    row = [lead, 0.1, -0.7, 0.1, 0.3]
    exact = numbers(row)
    for target in range(5):
        loss, grad = reference.cross_entropy_and_grad([row], [target], reduction="sum")
        assert isinstance(loss, float)
        p = [mp.exp(value - lse(exact)) for value in exact]
        check_near([float(loss)], [lse(exact) - exact[target]])
        want = [value - (i == target) for i, value in enumerate(p)]
        check_near([float(value) for value in grad[0]], want)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("name", ["binary_cross_entropy", "binary_cross_entropy_with_logits"])
def test_binary_losses(rng: np.random.Generator, name: str, reduction: str) -> None:
    """The binary losses and their gradients, with weights."""
    count = 12
    x = (
        rng.random(count) if name == "binary_cross_entropy" else rng.normal(size=count) * 20.0
    ).tolist()
    targets = [0.0, 1.0, 0.25] * 4
    options: dict[str, Any] = {"weight": [1.0, 0.0, 2.0, 0.3] * 3, "reduction": reduction}
    pos = [1.0] * count
    if name == "binary_cross_entropy_with_logits":
        options["pos_weight"] = pos = [3.0, 0.5, 1.0] * 4

    def exact(z: list[Real]) -> Real:
        terms = []
        for n, value in enumerate(z):
            p = value if name == "binary_cross_entropy" else 1 / (1 + mp.exp(-value))
            q = 1 - p if name == "binary_cross_entropy" else 1 / (1 + mp.exp(value))
            y = mp.mpf(targets[n])
            term = mp.mpf(pos[n]) * y * mp.log(p) + (1 - y) * mp.log(q)
            terms.append(-mp.mpf(options["weight"][n]) * term)
        return mp.fsum(terms) / (count if reduction == "mean" else 1)

    loss, grad = getattr(reference, f"{name}_and_grad")(x, targets, **options)
    check_near([loss], [exact(numbers(x))])
    check_near(grad, derivative(exact, numbers(x)))


@pytest.mark.parametrize("p", [0.0, 1e-20, 1e-4, 0.3, 1.0 - 1e-4, 1.0 - 2.0**-40, 1.0])
@pytest.mark.parametrize("eps", [1e-3, 1e-12])
def test_eps(p: float, eps: float) -> None:
    """Clipping, with the gradient of the clipped formula."""

    def clip(value: Real) -> Real:
        return min(max(value, mp.mpf(eps)), 1 - mp.mpf(eps))

    for y in (0.0, 1.0, 0.5):
        loss, grad = reference.binary_cross_entropy_and_grad([p], [y], eps=eps, reduction="sum")

        def exact(z: list[Real], y: float = y) -> Real:
            return -(mp.mpf(y) * mp.log(clip(z[0])) + (1 - mp.mpf(y)) * mp.log(1 - clip(z[0])))

        assert isinstance(loss, float)
        check_near([loss], [exact(numbers([p]))])
        check_near(grad, derivative(exact, numbers([p])))
    loss, grad_rows = reference.categorical_cross_entropy_and_grad([[p, 0.5]], [0], eps=eps)
    assert isinstance(loss, float)
    check_near([loss], [-mp.log(clip(mp.mpf(p)))])
    check_near(grad_rows[0][:1], derivative(lambda z: -mp.log(clip(z[0])), numbers([p])))


def test_prediction_and_layer(rng: np.random.Generator) -> None:
    """top_k, accuracy, perplexity and linear, by hand."""
    nan, inf = math.nan, math.inf
    values, indices = reference.top_k([1.0, nan, -inf, inf, 1.0, nan], 5)
    assert indices == [1, 5, 3, 0, 4]
    assert values[2:] == [inf, 1.0, 1.0]
    rows = [[3.0, 2.0, 1.0], [1.0, 2.0, 2.0], [0.0, 5.0, 4.0]]
    assert reference.accuracy(rows, [0, 2, 2]) == 1 / 3
    assert reference.accuracy(rows, [0, 2, 2], k=2) == 1.0
    assert reference.accuracy(rows, [0, 2, 2], ignore_index=2) == 1.0
    assert math.isnan(reference.accuracy(rows, [1, 1, 1], ignore_index=1))
    want = mp.exp(mp.fsum(lse(row) - row[0] for row in map(numbers, rows)) / 3)
    check_near([reference.perplexity(rows, [0, 0, 0])], [want])
    weight, bias = rows_of(rng.normal(size=(2, 3))), rng.normal(size=2).tolist()
    for row, got in zip(rows, reference.linear(rows, weight, bias), strict=True):
        exact = [
            mp.fsum(a * b for a, b in zip(numbers(row), numbers(w), strict=True)) + mp.mpf(b)
            for w, b in zip(weight, bias, strict=True)
        ]
        check_near(got, exact)


@pytest.mark.parametrize(
    "row, softmax, logsumexp",
    [
        ([], [], -math.inf),
        ([math.nan, 1.0], [math.nan] * 2, math.nan),
        ([math.inf, math.nan], [math.nan] * 2, math.nan),
        ([math.inf, 1.0], [math.nan] * 2, math.inf),
        ([-math.inf, 1.0], [0.0, 1.0], 1.0),
        ([-math.inf, -math.inf], [math.nan] * 2, -math.inf),
    ],
)
def test_special_rows(row: list[float], softmax: list[float], logsumexp: float) -> None:
    """The table of special values."""
    np.testing.assert_array_equal(reference.softmax(row), softmax)
    np.testing.assert_array_equal(reference.logsumexp(row), logsumexp)
    logs = [-math.inf if p == 0 else 0.0 if p == 1 else p for p in softmax]
    np.testing.assert_array_equal(reference.log_softmax(row), logs)


def test_rows_left_out() -> None:
    """Nothing kept: mean nan, sum 0, gradient 0; one kept: it alone counts."""
    bad, good = [math.nan, math.inf], [0.0, 0.0]
    options: dict[str, Any]
    for options, targets in (
        ({"ignore_index": 1}, [1, 1]),
        ({"sample_weight": [0.0, 0.0]}, [0, 1]),
        ({"weight": [1.0, 0.0]}, [1, 1]),
        ({}, [[0.0, 0.0], [0.0, 0.0]]),
    ):
        arguments: tuple[Any, Any] = ([bad, bad], targets)
        loss, grad = reference.cross_entropy_and_grad(*arguments, **options)
        np.testing.assert_array_equal(loss, math.nan)
        assert grad == [[0.0, 0.0], [0.0, 0.0]]
        assert reference.cross_entropy(*arguments, reduction="sum", **options) == 0
        assert reference.cross_entropy(*arguments, reduction="none", **options) == [0.0, 0.0]
    kept = reference.cross_entropy([bad, good], [1, 0], ignore_index=1)
    assert kept == pytest.approx(math.log(2), rel=1e-15)


def test_totals() -> None:
    """A total remembers the largest of its terms and the sum of their sizes."""
    total = Total(1.0, [4.0, -3.0])
    assert (total, total.largest, total.magnitude) == (1.0, 4.0, 7.0)
    half = total.scaled(-0.5)
    assert (half, half.largest, half.magnitude) == (-0.5, 2.0, 3.5)
    third = total.scaled(1.0, 4.0)
    assert (third, third.largest, third.magnitude) == (0.25, 1.0, 1.75)
    both = Total.added([total, half])
    assert (both, both.largest, both.magnitude) == (0.5, 6.0, 10.5)
