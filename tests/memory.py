"""Measures how much memory calls take beyond their arguments and results, in bytes.

`python -m tests.memory SHAPE AXIS LAYOUT DTYPE` (such as `1024,16384 0 C float32`) prints the peaks
of all calls as JSON. It needs Linux, whose kernel counts them; what they may be is asserted in
test_memory.py.
"""

import functools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import logitkit
from tests.layouts import entries_apart
from tests.operations import results
from tests.support import Array, index_shape

LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": np.ascontiguousarray,
    "entries apart": entries_apart,
    "Fortran": np.asfortranarray,
}


def status(name: str) -> int:
    """Read an entry of the kernel's account of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def peak(call: Callable[[], object], given: Sequence[Array] = ()) -> int:
    """Give the most memory that a call takes on top of what is taken before, and of new results."""
    # Writing 5 sets the highest count back to the present one.
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    result = call()
    highest = status("VmHWM") - before
    new = [part for part in results(result) if not any(part is array for array in given)]
    return highest - sum(part.nbytes for part in new if part.nbytes > LARGE)


# Smaller results may lie in memory that was there before.
LARGE = 1 << 20


@dataclass(frozen=True)
class Problem:
    """Arguments of that shape and layout."""

    axis: int
    x: Array
    place: Array
    out: Array
    soft: Array
    targets: Array
    keep: Array
    by_class: Array
    by_row: Array

    @classmethod
    def draw(cls, shape: tuple[int, ...], axis: int, layout: str, dtype: str) -> "Problem":
        """Draw them."""
        rng, arrange = np.random.default_rng(0), LAYOUTS[layout]
        x = arrange(rng.random(shape, np.float32).astype(dtype))
        rows = index_shape(x, axis)
        return cls(
            axis,
            x,
            x.copy("K"),
            np.zeros_like(x),
            np.ones_like(x),
            np.zeros(rows, np.int64),
            arrange(rng.random(shape) < 0.5),
            np.ones(shape[axis]),
            np.ones(rows),
        )


class Calls(dict[str, Callable[[], Any]]):
    """Calls by what tells them apart."""

    def add(self, function: str, *arrays: object, **options: object) -> None:
        """Add a call of a function."""
        label = ", ".join([function, *options])
        while label in self:
            label += "'"
        self[label] = functools.partial(getattr(logitkit, function), *arrays, **options)


def calls(problem: Problem) -> Calls:
    """Give all calls; their arguments exist already."""
    x, axis, targets = problem.x, problem.axis, problem.targets
    found = Calls()
    found["control: a copy"] = x.copy
    found["control: a copy of a copy"] = lambda: x.copy().copy()
    found["control: nothing"] = lambda: None
    add_functions(found, problem)
    add_class_losses(found, problem)
    for loss in ("binary_cross_entropy", "binary_cross_entropy_with_logits"):
        found.add(loss, x, problem.soft)
        found.add(f"{loss}_and_grad", x, problem.soft, out=problem.out)
        found.add(loss, x, problem.soft, weight=problem.soft, reduction="none")
    for k in (1, min(70, x.shape[axis])):
        found.add("top_k", x, k, axis)
        found.add("accuracy", x, targets, k=k, axis=axis)
    found.add("perplexity", x, targets, axis=axis)
    place = problem.place
    found.add("softmax", place, axis, out=place)
    found.add("cross_entropy_and_grad", place, targets, axis=axis, out=place)
    return found


def add_functions(found: Calls, problem: Problem) -> None:
    """Add what gives arrays like the logits, and logsumexp."""
    x, axis, out = problem.x, problem.axis, problem.out
    for function in ("softmax", "log_softmax"):
        found.add(function, x, axis)
        found.add(function, x, axis, out=out)
        found.add(function, x, axis, where=problem.keep, out=out)
        found.add(function, x, axis=None, out=out)
        found.add(f"{function}_vjp", x, problem.soft, axis, out=out)
    for function in ("sigmoid", "log_sigmoid", "softplus"):
        found.add(function, x, out=out)
    found.add("logsumexp", x, axis)
    found.add("logsumexp", x, axis, where=problem.keep)


def add_class_losses(found: Calls, problem: Problem) -> None:
    """Add losses over classes, with their options."""
    x, targets, soft = problem.x, problem.targets, problem.soft
    smooth = {"label_smoothing": 0.1, "z_loss": 0.1}
    for loss in ("cross_entropy", "nll_loss", "categorical_cross_entropy"):
        options = smooth if loss == "cross_entropy" else {}
        for function in (loss, f"{loss}_and_grad"):
            more: dict[str, Any] = {"axis": problem.axis}
            if function != loss:
                more["out"] = problem.out
            found.add(function, x, targets, **more)
            found.add(function, x, targets, reduction="none", **more)
            found.add(function, x, soft, **more)
            found.add(function, x, soft, sample_weight=problem.by_row, reduction="none", **more)
            found.add(
                function, x, targets, weight=problem.by_class, ignore_index=1, **options, **more
            )


def main() -> None:
    """Print the peak of each call."""
    shape = tuple(int(size) for size in sys.argv[1].split(","))
    arguments = (int(sys.argv[2]), sys.argv[3], sys.argv[4])
    # Threads and code are there once per process, not once per call.
    for call in calls(Problem.draw((8,) * (len(shape) - 1) + (20_000,), *arguments)).values():
        call()
    problem = Problem.draw(shape, *arguments)
    given = (problem.out, problem.place)
    peaks = {name: peak(call, given) for name, call in calls(problem).items()}
    json.dump(peaks, sys.stdout)


if __name__ == "__main__":
    main()
