"""Time an objective for boosted trees, by logitkit and by the NumPy that people paste.

`make bench-boosting` runs it: 1,000,000 rows of 5 classes, as XGBoost passes them (float32, row
after row) and as LightGBM does (float64, class after class). The figure is the fastest of the runs.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import bars
import logitkit
from logitkit.boosting import lightgbm_objective, xgboost_objective

RUNS = 15


def pasted(labels: NDArray[Any], scores: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Compute what is found in forums: softmax, minus one at the label, and twice p (1-p)."""
    exps = np.exp(scores - scores.max(axis=1, keepdims=True))
    probs = exps / exps.sum(axis=1, keepdims=True)
    hess = np.maximum(2.0 * probs * (1.0 - probs), 1e-16)
    grad = probs
    grad[np.arange(len(labels)), labels.astype(int)] -= 1.0
    return grad, hess


def fastest(call: Callable[[], object], runs: int) -> float:
    """Give the time of the fastest of some calls, in seconds."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print a line for each library."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--figure", type=Path, help="also draw the times, into this file")
    options = parser.parse_args()
    rows = []
    random = np.random.default_rng(0)
    scores = random.normal(size=(options.rows, options.classes))
    labels = random.integers(options.classes, size=options.rows).astype(np.float32)
    print(f"{logitkit.get_num_threads()} threads, {logitkit.simd_level()}")
    for name, objective, passed in (
        ("xgboost", xgboost_objective(), scores.astype(np.float32)),
        ("lightgbm", lightgbm_objective(), np.asfortranarray(scores)),
    ):
        ours = fastest(lambda o=objective, p=passed: o(labels, p), RUNS)  # type: ignore[misc]
        theirs = fastest(lambda p=passed: pasted(labels, p), RUNS // 3)  # type: ignore[misc]
        print(
            f"{name:<9} logitkit {ours * 1e3:7.1f} ms   NumPy {theirs * 1e3:7.1f} ms"
            f"   {theirs / ours:5.1f} times"
        )
        rows.append((f"{name}: {passed.dtype}", ours, theirs))
    if options.figure:
        bars.draw(options.figure, "NumPy", rows)


if __name__ == "__main__":
    main()
