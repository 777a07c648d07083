"""Measures the errors of results in ulp, against mpmath, beside NumPy's formulas and SciPy.

`python -m tests.accuracy` prints the table of `docs/accuracy.md`; `--large` measures more
inputs. How results are compared belongs here; losses with options, which have no peers, are
compared by `tests.accuracy_options`. The inputs stand in `tests.inputs`, exact results in
`tests.exact`, the implementations in `tests.peers`; `tests.test_accuracy` asserts the bounds.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from tests import exact, inputs, peers
from tests.accuracy_options import measure_binary_options, measure_options
from tests.exact import CONTEXT, Exact, Real, Row
from tests.inputs import Batch
from tests.peers import OURS
from tests.report import Report, Worst
from tests.support import FLOATS, Array, Float

ALL = tuple(peers.ROWS)
HALVES: tuple[Any, ...] = (np.float16, ml_dtypes.bfloat16)


# The measuring


def measure_elements(x: Array, implementations: Iterable[str] = (OURS,)) -> Report:
    """Measure every element-wise function."""
    values: list[float] = x.astype(np.float64).tolist()
    formulas = {
        "sigmoid": exact.sigmoid,
        "log_sigmoid": exact.log_sigmoid,
        "softplus": exact.softplus,
    }
    want = {name: exact.exact(formula(v) for v in values) for name, formula in formulas.items()}
    report = Report()
    for name in implementations:
        with np.errstate(all="ignore"):
            results = peers.ELEMENTS[name](x)
        for function, result in results.items():
            report.add(
                (function, name),
                exact.errors(result, want[function]),
                [f"x = {value!r}" for value in values],
            )
    return report


def measure_rows(batches: Iterable[Batch], implementations: Iterable[str] = (OURS,)) -> Report:
    """Measure every function of rows, and the plain losses and gradients of class indices."""
    report = Report()
    for batch in batches:
        want, scales = _exact_rows(batch)
        for name in implementations:
            with np.errstate(all="ignore"):
                results = peers.ROWS[name](batch.logits, batch.targets)
            for function, result in results.items():
                distances = exact.errors(result, want[function], scales.get(function))
                report.add((function, name), distances, batch.cases())
    return report


def _exact_rows(batch: Batch) -> tuple[dict[str, Exact], dict[str, Exact]]:
    """Give the exact results of a batch, and the scales of bounds that are not the result's own."""
    rows = [Row(values) for values in batch.logits.astype(np.float64).tolist()]
    targets: list[int] = batch.targets.tolist()
    losses = [row.distance(y) for row, y in zip(rows, targets, strict=True)]
    grad = [value for row, y in zip(rows, targets, strict=True) for value in row.gradient(y)]
    hess = [value for row in rows for value in row.hessian()]
    total = CONTEXT.fsum(losses)
    values: dict[str, list[Real]] = {
        "softmax": [p for row in rows for p in row.softmax()],
        "log_softmax": [p for row in rows for p in row.log_softmax()],
        "logsumexp": [row.logsumexp for row in rows],
        "cross_entropy, none": losses,
        "cross_entropy, sum": [total],
        "cross_entropy, mean": [total / len(rows)],
        "gradient of cross_entropy, sum": grad,
        "gradient of cross_entropy, mean": [value / len(rows) for value in grad],
        "Hessian of cross_entropy, sum": hess,
        "Hessian of cross_entropy, mean": [value / len(rows) for value in hess],
    }
    scales = {"logsumexp": exact.exact(row.largest_term() for row in rows)}
    return {name: exact.exact(entries) for name, entries in values.items()}, scales


def measure_binary(z: Array, p: Array, implementations: Iterable[str] = (OURS,)) -> Report:
    """Measure the binary losses and gradients of logits and of probabilities, for both targets."""
    report = Report()
    logits, probs = z.astype(np.float64).tolist(), p.astype(np.float64).tolist()
    for y in (0.0, 1.0):
        by_logits = [exact.binary_with_logits(value, y, 1.0, 1.0) for value in logits]
        by_probs = [exact.binary(value, y) for value in probs]
        hessians = [exact.binary_hessian(value, y, 1.0, 1.0).value for value in logits]
        want = [
            exact.exact(sums[part].value for sums in pairs)
            for pairs in (by_logits, by_probs)
            for part in (0, 1)
        ]
        want.insert(2, exact.exact(hessians))
        for name in implementations:
            with np.errstate(all="ignore"):
                results = peers.BINARY[name](z, p, np.full_like(z, y))
            for right, (function, result) in zip(want, results.items(), strict=True):
                values = logits if "logits" in function else probs
                cases = [f"{value!r}, target {y:.0f}" for value in values]
                report.add((function, name), exact.errors(result, right), cases)
    return report


# The table


def measure_all(dtype: Float, *, large: bool = False) -> Report:
    """Measure all inputs of one type with all implementations."""
    report = measure_elements(inputs.elements(dtype, large=large), ALL)
    for family in inputs.FAMILIES:
        report.merge(measure_rows(inputs.batches(family, dtype, large=large), ALL))
    z, p = inputs.binary(dtype, large=large)
    report.merge(measure_binary(z, p, ALL))
    report.merge(measure_options(inputs.few_rows(dtype, large=large)))
    report.merge(measure_binary_options(z, p))
    return report


def measure_half(half: Any, *, large: bool = False) -> Report:  # noqa: ANN401
    """Measure a type of half precision: every number of it, and the rows of float32 in it."""
    every = np.arange(1 << 16).astype(np.uint16).view(half)
    with np.errstate(invalid="ignore"):
        finite = np.isfinite(every)
        between = (every > half(0)) & (every < half(1))
    report = measure_elements(every[finite])
    report.merge(measure_binary(every[finite], every[between]))
    for family in inputs.FAMILIES:
        for batch in inputs.batches(family, np.float32, large=large):
            with np.errstate(over="ignore", under="ignore"):
                logits = batch.logits.astype(half)
            kept = np.isfinite(logits).all(axis=1)
            labels = [label for label, row in zip(batch.labels, kept, strict=True) if row]
            if labels:
                report.merge(measure_rows([Batch(logits[kept], batch.targets[kept], labels)]))
    return report


def table(reports: Mapping[str, Report]) -> Iterator[str]:
    """Write the lines of the table: one function and type each."""
    yield f"| function | type | {' | '.join(ALL)} | worst input of {OURS} |"
    yield "|---|---|--:|--:|--:|---|"
    functions = dict.fromkeys(name for report in reports.values() for name, _ in report.worst)
    for function in functions:
        for dtype, report in reports.items():
            if (function, OURS) not in report.worst:
                continue
            errors = (_shown(report.worst.get((function, name))) for name in ALL)
            case = report.worst[function, OURS].case
            yield f"| {function} | {dtype} | {' | '.join(errors)} | {case} |"


def _shown(worst: Worst | None) -> str:
    if worst is None:
        return ""
    if not np.isfinite(worst.error):
        return "inf or nan"
    return f"{worst.error:.2f}" if worst.error < 100 else f"{worst.error:.1e}"


def main() -> None:
    """Print the table, and how many results it rests on."""
    parser = argparse.ArgumentParser(prog="python -m tests.accuracy", description=__doc__)
    parser.add_argument("--large", action="store_true", help="measure more inputs; takes minutes")
    large: bool = parser.parse_args().large
    reports = {np.dtype(half).name: measure_half(half, large=large) for half in HALVES}
    reports |= {dtype.__name__: measure_all(dtype, large=large) for dtype in FLOATS}
    count = sum(report.count for report in reports.values())
    lines = [*table(reports), "", f"The largest errors of {count:,} results, in ulp."]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
