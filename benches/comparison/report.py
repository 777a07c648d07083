"""What is printed and written: a block per case as it is measured, a summary table, a JSON file."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from comparison.machine import Machine
from comparison.timing import Spread, Timing

# The columns of the summary: whoever's form was the fastest stands for the library.
COLUMNS = ("copy", "sum", "tcopy", "tsum", "numpy", "scipy", "torch", "jax")


@dataclass(frozen=True)
class Result:
    """One case: the timings by label, logitkit's first."""

    name: str
    timings: Mapping[str, Timing]

    def best(self, library: str) -> Timing | None:
        """Give the timing of the library's fastest form."""
        forms = [timing for label, timing in self.timings.items() if label.split()[0] == library]
        return min(forms, key=lambda timing: timing.seconds.median, default=None)


def heading(machine: Machine, rounds: int) -> str:
    """Say what was measured on what."""
    return "\n".join(
        [
            f"{machine.cpu}, {machine.cores} logical cores, {machine.system}",
            f"{machine.threads} threads, SIMD level {machine.simd_level}",
            ", ".join(f"{name} {version}" for name, version in machine.versions.items()),
            f"{rounds} rounds. After each time: logitkit's time over it in the same round,",
            "median [10th-90th percentile]; below 1, logitkit is the faster.",
        ]
    )


def block(result: Result) -> str:
    """Show one case with every form of every contender."""
    lines = [f"\n{result.name}"]
    for label, timing in result.timings.items():
        ratio = timing.ratio
        compared = f"{_ratio(ratio.median)} [{_ratio(ratio.low)}-{_ratio(ratio.high)}]"
        lines.append(f"  {label:<16} {_time(timing.seconds)}   {compared}")
    return "\n".join(lines)


def summary(results: Sequence[Result]) -> str:
    """Show the median ratios of all cases, as a Markdown table."""
    present = [name for name in COLUMNS if any(result.best(name) for result in results)]
    rows = [["logitkit's time over", *present], ["---", *(["---:"] * len(present))]]
    for result in results:
        cells = [result.best(name) for name in present]
        rows.append([result.name, *(_ratio(cell.ratio.median) if cell else "" for cell in cells)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows)


def write_json(path: Path, machine: Machine, rounds: int, results: Sequence[Result]) -> None:
    """Write everything that was measured."""
    cases = [
        {
            "name": result.name,
            "timings": {label: asdict(timing) for label, timing in result.timings.items()},
        }
        for result in results
    ]
    content = {"machine": asdict(machine), "rounds": rounds, "cases": cases}
    path.write_text(json.dumps(content, indent=2) + "\n")


def progress(name: str, rounds: int, done: int) -> None:
    """Show how far a case is: one line that is overwritten on a terminal, nothing in a log file."""
    if sys.stderr.isatty():
        print(f"\r\033[K{name}: {done}/{rounds} rounds", end="", file=sys.stderr, flush=True)


def clear_progress() -> None:
    """Make room for what is printed next."""
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def _ratio(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


def _time(seconds: Spread) -> str:
    for unit, scale in (("s ", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds.median >= scale:
            return f"{seconds.median / scale:8.2f} {unit}"
    return f"{seconds.median / 1e-9:8.1f} ns"
