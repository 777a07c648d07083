"""logitkit's own time per element, from arrays that fit in a cache to those that fill the memory.

What to look for: a step where the threads begin to help, none where the array leaves a cache.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

import logitkit
from comparison import contenders, timing
from comparison.machine import Bystanders
from comparison.problems import Data, Operation
from comparison.report import QUIET, markdown

OPERATIONS = (Operation.SOFTMAX_OUT, Operation.CROSS_ENTROPY, Operation.CROSS_ENTROPY_GRAD)
SIZES = (10**4, 10**5, 10**6, 10**7, 10**8)
QUICK_SIZES = SIZES[:2]


@dataclass(frozen=True)
class Layout:
    """Where the classes are, and how many."""

    name: str
    classes: int
    axis: int

    def data(self, size: int) -> Data:
        """Make arrays of about so many elements."""
        rows = size // self.classes
        shape = (rows, self.classes) if self.axis else (self.classes, rows)
        return Data.make(shape, np.float32, self.axis)


LAYOUTS = (
    Layout("1000 classes", 1000, -1),
    Layout("10 classes", 10, -1),
    Layout("1000 classes, axis 0", 1000, 0),
)


@dataclass(frozen=True)
class Point:
    """The time of one operation on one array with so many threads."""

    layout: str
    operation: Operation
    elements: int
    threads: int
    nanoseconds_per_element: float
    others: float | None


def points(
    threads: Sequence[int],
    rounds: int,
    budget: float,
    progress: Callable[[str, int, int], None],
    *,
    quick: bool,
) -> Iterator[Point]:
    """Measure everything, one size after the other."""
    for layout in LAYOUTS:
        for size in QUICK_SIZES if quick else SIZES:
            data = layout.data(size)
            for count in threads:
                logitkit.set_num_threads(count)
                name = f"float32, {layout.name}, {size:.0e} elements, {count} threads"
                progress(name, rounds, 0)
                calls = {
                    str(operation): contenders.LOGITKIT[operation](data) for operation in OPERATIONS
                }
                bystanders = Bystanders()
                timings = timing.interleaved(calls, rounds, budget, partial(progress, name, rounds))
                others = bystanders.share()
                for operation in OPERATIONS:
                    seconds = timings[operation].seconds.median
                    each = seconds / data.logits.size * 1e9
                    yield Point(layout.name, operation, size, count, each, others)


def steps(threads: Sequence[int], *, quick: bool) -> int:
    """Count what `points` reports as its progress."""
    return len(LAYOUTS) * len(QUICK_SIZES if quick else SIZES) * len(threads)


def table(measured: Sequence[Point]) -> str:
    """Show nanoseconds per element: a row for each operation, a column for each size."""
    threads = sorted({point.threads for point in measured})
    sizes = sorted({point.elements for point in measured})
    found = {
        (point.layout, point.operation, point.elements, point.threads): (
            f"{point.nanoseconds_per_element:.3f}{_mark(point)}"
        )
        for point in measured
    }
    titles = ["classes", "operation", "threads", *(f"{size:.0e}" for size in sizes)]
    rows = [
        [layout.name, f"`{operation}`", str(count)]
        + [found[layout.name, operation, size, count] for size in sizes]
        for layout in LAYOUTS
        for operation in OPERATIONS
        for count in threads
    ]
    rule = ["---", "---", *["--:"] * (1 + len(sizes))]
    caption = "Nanoseconds per element, by number of elements."
    if any(map(_mark, measured)):
        caption += " Marked (busy): other programs took the cores."
    return f"{caption}\n\n{markdown([titles, rule, *rows])}"


def _mark(point: Point) -> str:
    return " (busy)" if point.others is not None and point.others > QUIET else ""


def as_json(measured: Sequence[Point]) -> dict[str, Any]:
    """Give the points as plain data."""
    return {"sweep": [asdict(point) for point in measured]}
