"""Measures losses under options: weights, smoothing, z-loss, soft targets, fractional targets.

Their bounds are relative to the terms of a sum, so that exact results come as `tests.exact.Sum`.
Plain losses and gradients are measured by `tests.accuracy`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import logitkit
from tests import exact
from tests.exact import CONTEXT, ONE, Options, Row, Sum
from tests.inputs import Batch
from tests.peers import OURS
from tests.report import Report
from tests.support import REDUCTIONS, Array, rng_of

OPTION_SETS = {
    "weight": ("weight",),
    "sample_weight": ("sample_weight",),
    "label_smoothing": ("label_smoothing",),
    "z_loss": ("z_loss",),
    "all options": ("weight", "sample_weight", "label_smoothing", "z_loss"),
    "soft targets": ("soft",),
    "weighted soft targets": ("soft", "weight", "sample_weight"),
    "soft targets and all options": (
        "soft",
        "weight",
        "sample_weight",
        "label_smoothing",
        "z_loss",
    ),
}


@dataclass(frozen=True)
class Drawn:
    """Targets and options as a loss takes them, and once more by row for the exact formula."""

    targets: Array
    options: dict[str, Any]
    rows: list[Options]
    cases: list[str]


def draw(batch: Batch, label: str) -> Drawn:
    """Draw the values of a set of options for a batch."""
    x, chosen = batch.logits, OPTION_SETS[label]
    rng = rng_of("options", label, x.shape, x.dtype.name)
    soft = rng.random(x.shape) * rng.choice([0, 1, 1], x.shape)
    drawn: dict[str, Any] = {
        "weight": rng.uniform(0.1, 3, x.shape[1:]).astype(x.dtype),
        "sample_weight": rng.uniform(0.1, 3, x.shape[:1]).astype(x.dtype),
        "label_smoothing": 0.1,
        "z_loss": 0.01,
    }
    options = {name: value for name, value in drawn.items() if name in chosen}
    targets = np.asarray(soft, x.dtype) if "soft" in chosen else batch.targets
    plain: dict[str, float] = {
        name: value for name, value in options.items() if isinstance(value, float)
    }
    weight = options.get("weight", np.ones(x.shape[1])).tolist()
    factors = options.get("sample_weight", np.ones(len(x))).tolist()
    rows = [
        Options(target, weight, factor, **plain)
        for target, factor in zip(targets.tolist(), factors, strict=True)
    ]
    return Drawn(targets, options, rows, [f"{case}, {label}" for case in batch.cases()])


def measure_options(batches: Iterable[Batch]) -> Report:
    """Measure the cross entropy of logits and of probabilities under each set of options."""
    report = Report()
    for batch in batches:
        logits = batch.logits
        rows = [Row(values) for values in logits.tolist()]
        # Any probabilities do, as long as their logarithms are finite.
        shares = np.exp((logits - logits.max(axis=-1, keepdims=True)).astype(np.float64))
        probs = np.maximum(shares / shares.sum(axis=-1, keepdims=True), 1e-30).astype(logits.dtype)
        for label, chosen in OPTION_SETS.items():
            drawn = draw(batch, label)
            want = [exact.cross_entropy(*pair) for pair in zip(rows, drawn.rows, strict=True)]
            report.merge(_compare("cross_entropy", logits, drawn, want))
            report.merge(_compare_hessians(rows, logits, drawn))
            if "label_smoothing" in chosen or "z_loss" in chosen:
                continue
            pairs = zip(probs.tolist(), drawn.rows, strict=True)
            want = [exact.categorical(*pair) for pair in pairs]
            report.merge(_compare("categorical_cross_entropy", probs, drawn, want))
    return report


def _compare(
    name: str, x: Array, drawn: Drawn, want: Sequence[tuple[Sum, Sequence[Sum]]]
) -> Report:
    """Compare a loss and its gradient under every reduction."""
    report = Report()
    function = getattr(logitkit, f"{name}_and_grad")
    losses = [loss for loss, _ in want]
    entries = [entry for _, grad in want for entry in grad]
    divisor = CONTEXT.fsum(row.share_of_mean() for row in drawn.rows)
    for reduction in REDUCTIONS:
        over = divisor if reduction == "mean" else ONE
        right = losses if reduction == "none" else [Sum.total(losses).over(over)]
        loss, grad = function(x, drawn.targets, reduction=reduction, **drawn.options)
        cases = [f"{case}, {reduction}" for case in drawn.cases]
        _add(report, name, np.asarray(loss), right, cases)
        _add(report, f"gradient of {name}", grad, [entry.over(over) for entry in entries], cases)
    return report


def _compare_hessians(rows: Sequence[Row], x: Array, drawn: Drawn) -> Report:
    """Compare the Hessian of the cross entropy of a sum and of a mean."""
    report = Report()
    pairs = zip(rows, drawn.rows, strict=True)
    want = [entry for pair in pairs for entry in exact.cross_entropy_hessian(*pair)]
    divisor = CONTEXT.fsum(row.share_of_mean() for row in drawn.rows)
    for reduction, over in (("sum", ONE), ("mean", divisor)):
        _, _, hess = logitkit.cross_entropy_and_grad_hess(
            x, drawn.targets, reduction=reduction, **drawn.options
        )
        cases = [f"{case}, {reduction}" for case in drawn.cases]
        _add(report, "Hessian of cross_entropy", hess, [e.over(over) for e in want], cases)
    return report


def measure_binary_options(z: Array, p: Array) -> Report:
    """Measure the binary losses with fractional targets and weights."""
    report = Report()
    rng = rng_of("binary options", z.dtype.name)
    y, w, pw = (rng.uniform(low, high, z.shape).astype(z.dtype) for low, high in RANGES)
    t = rng.random(p.shape).astype(p.dtype)
    by_logits = [
        exact.binary_with_logits(*values)
        for values in zip(z.tolist(), y.tolist(), w.tolist(), pw.tolist(), strict=True)
    ]
    by_probs = [exact.binary(*pair) for pair in zip(p.tolist(), t.tolist(), strict=True)]
    of_logits = logitkit.binary_cross_entropy_with_logits_and_grad(
        z, y, weight=w, pos_weight=pw, reduction="none"
    )
    of_probs = logitkit.binary_cross_entropy_and_grad(p, t, reduction="none")
    numbers = (z.tolist(), y.tolist(), w.tolist(), pw.tolist())
    hessians = [exact.binary_hessian(*values) for values in zip(*numbers, strict=True)]
    _, _, hess = logitkit.binary_cross_entropy_with_logits_and_grad_hess(
        z, y, weight=w, pos_weight=pw, reduction="none"
    )
    cases = [repr(value) for value in z.tolist()]
    _add(report, "Hessian of binary from logits", hess, hessians, cases)
    for source, values, results, want in (
        ("logits", z, of_logits, by_logits),
        ("probabilities", p, of_probs, by_probs),
    ):
        cases = [repr(value) for value in values.tolist()]
        for part, name in enumerate(("binary", "gradient of binary")):
            right = [pair[part] for pair in want]
            _add(report, f"{name} from {source}", results[part], right, cases)
    return report


# Targets, weights, weights of the positive class.
RANGES = ((0, 1), (0.1, 3), (0.1, 9))


def _add(report: Report, name: str, got: Array, want: Sequence[Sum], cases: Sequence[str]) -> None:
    """Judge results: in float32 by the largest of their terms, in float64 by all of them."""
    key = (f"{name} with options", OURS)
    single = got.dtype == np.float32
    scale = exact.exact(s.largest if single else s.magnitude for s in want)
    report.add(key, exact.errors(got, exact.exact(s.value for s in want), scale), cases)
