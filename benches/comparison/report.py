"""What is printed and written: a block per case as it is measured, tables, a JSON file."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from comparison import targets
from comparison.machine import Machine
from comparison.problems import TRAFFIC, Group, Operation
from comparison.timing import Spread, Timing

# The columns of a table, by the first word of the labels that they hold.
PEERS = {"torch": "torch", "jax": "jax", "numpy": "NumPy", "scipy": "SciPy"}
COLUMNS = {**PEERS, "limit": "of limit", "plain": "of plain"}

CAPTION = """\
torch, jax, NumPy, SciPy: the time of the peer's fastest form over logitkit's, so how many times as
fast logitkit is. Of limit, of plain: logitkit's time over that of moving the arrays, and over that
of its plain loss or, in half precision, of its float32, so the nearer to 1 or below the better. In
parentheses the target."""


# Where other programs take more of the cores' time than this, nothing is judged.
QUIET = 0.05


@dataclass(frozen=True)
class Run:
    """One measurement of a case: timings by label, logitkit's first, and the others' share."""

    timings: Mapping[str, Timing]
    others: float | None

    def slowdown(self, library: str) -> float | None:
        """Give how many times logitkit's time the library's fastest form takes."""
        forms = [timing for label, timing in self.timings.items() if label.split()[0] == library]
        if not forms:
            return None
        return min(forms, key=lambda timing: timing.seconds.median).speedup.median


@dataclass(frozen=True)
class Figure:
    """One cell of a table: a ratio in each run, and what it shall be."""

    column: str
    runs: Sequence[float]
    target: float | None

    @property
    def value(self) -> float:
        """The median of the runs."""
        return median(self.runs)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        if self.column in targets.AT_MOST:
            return self.value <= self.target
        return self.value >= self.target

    def __str__(self) -> str:
        """Show the median, the range if there are several runs, and the target."""
        shown = _ratio(self.value)
        if len(self.runs) > 1:
            shown += f" [{_ratio(min(self.runs))}-{_ratio(max(self.runs))}]"
        if self.target is not None:
            sign = "≤" if self.column in targets.AT_MOST else "≥"
            shown += f" ({sign} {self.target:.3g})"
        return shown


@dataclass(frozen=True)
class Case:
    """One operation on one array, and what its runs gave."""

    group: Group
    operation: Operation
    runs: list[Run] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name that `--only` looks at."""
        return self.group.case_name(self.operation)

    @property
    def seconds(self) -> float:
        """The time of logitkit."""
        return median(next(iter(run.timings.values())).seconds.median for run in self.runs)

    @property
    def quiet(self) -> bool:
        """Whether other programs left the machine alone."""
        return all(run.others is None or run.others <= QUIET for run in self.runs)

    def figures(self) -> Iterator[Figure]:
        """Give what was measured, column by column."""
        wanted = dict(targets.of(self.group.regime, self.operation))
        for column in COLUMNS:
            runs = [best for run in self.runs if (best := run.slowdown(column)) is not None]
            if column == "limit":
                arrays = TRAFFIC[self.operation].sums_or_copies
                runs = [1 / (speedup * arrays) for speedup in runs]
            elif column in targets.AT_MOST:
                runs = [1 / speedup for speedup in runs]
            if runs:
                yield Figure(column, runs, wanted.get(column))

    def row(self) -> dict[str, str]:
        """Give the cells of the case by the columns' titles."""
        figures = list(self.figures())
        judged = [figure.met for figure in figures if figure.met is not None]
        verdict = ("yes" if all(judged) else "**no**") if self.quiet else "machine busy"
        return {
            "array": self.group.array_name.replace("/", " "),
            "operation": f"`{self.operation}`",
            "logitkit": _time(self.seconds).strip(),
            **{COLUMNS[figure.column]: str(figure) for figure in figures},
            "met": verdict if judged else "",
        }


def heading(machine: Machine, effort: str) -> str:
    """Say what was measured on what."""
    return "\n".join(
        [
            f"{machine.cpu}, {machine.cores} logical cores, {machine.system}",
            f"{machine.threads} threads, SIMD level {machine.simd_level}",
            ", ".join(f"{name} {version}" for name, version in machine.versions.items()),
            effort,
        ]
    )


def block(case: Case) -> str:
    """Show the last run of a case, with every form of every contender."""
    lines = [f"\n{case.name}"]
    for label, timing in case.runs[-1].timings.items():
        lines.append(f"  {label:<34} {_time(timing.seconds.median)}   {_spread(timing.speedup)}")
    if not case.quiet:
        lines.append("  other programs were running: not judged")
    return "\n".join(lines)


def tables(cases: Sequence[Case]) -> str:
    """Show all cases: a Markdown table for each regime, and which targets are missed."""
    parts = []
    for regime, members in groupby(cases, key=lambda case: case.group.regime):
        title = regime[0].upper() + regime[1:]
        parts.append(f"**{title}**\n\n" + _table([case.row() for case in members]))
    return "\n\n".join([CAPTION, *parts, verdict(cases)])


def verdict(cases: Sequence[Case]) -> str:
    """Count the targets that are met, and list the others."""
    judged = [(c, figure) for c in cases if c.quiet for figure in c.figures() if figure.target]
    missed = [(case, figure) for case, figure in judged if not figure.met]
    lines = [f"{len(judged) - len(missed)} of the {len(judged)} targets that were judged are met."]
    busy = sum(not case.quiet for case in cases)
    if busy:
        lines[0] += f" {busy} cases were not judged: other programs took the cores."
    if missed:
        lines += ["", "Missed:", ""]
        lines += [f"- {case.name}: {COLUMNS[figure.column]} {figure}" for case, figure in missed]
    return "\n".join(lines)


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    titles = ["array", "operation", "logitkit", *COLUMNS.values(), "met"]
    present = [title for title in titles if any(row.get(title) for row in rows)]
    rule = ["---" if title in {"array", "operation", "met"} else "--:" for title in present]
    cells = [present, rule, *([row.get(title, "") for title in present] for row in rows)]
    return markdown(cells)


def markdown(cells: Sequence[Sequence[str]]) -> str:
    """Lay the rows of a table out, the second of which is the rule."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * (w - 1) + r[-1] for r, w in zip(cells[1], widths, strict=True)]
    return "\n".join(
        "| " + " | ".join(map(str.ljust, row, widths)) + " |"
        for row in (cells[0], rule, *cells[2:])
    )


def write_table(path: Path, machine: Machine, effort: str, body: str) -> None:
    """Write the tables, and what they were measured on, as Markdown."""
    facts = "\n".join(f"- {line}" for line in heading(machine, effort).splitlines())
    path.write_text(f"{facts}\n\n{body}\n", encoding="utf-8")


def write_json(path: Path, machine: Machine, effort: str, content: dict[str, Any]) -> None:
    """Write everything that was measured."""
    whole = {"machine": asdict(machine), "effort": effort, **content}
    path.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def as_json(cases: Sequence[Case]) -> dict[str, Any]:
    """Give the cases as plain data: the figures of the table, and each run's timings."""
    return {
        "cases": [
            {
                "name": case.name,
                "regime": case.group.regime,
                "array": case.group.array_name,
                "operation": case.operation,
                "seconds": case.seconds,
                "quiet": case.quiet,
                "figures": {
                    figure.column: {
                        "value": figure.value,
                        "runs": figure.runs,
                        "target": figure.target,
                        "met": figure.met,
                    }
                    for figure in case.figures()
                },
                "runs": [
                    {
                        "others": run.others,
                        "timings": {label: asdict(t) for label, t in run.timings.items()},
                    }
                    for run in case.runs
                ],
            }
            for case in cases
        ]
    }


def progress(total: int) -> Callable[[str, int, int], None]:
    """Give what shows how far the measurement is, on stderr.

    On a terminal that is one line that is overwritten, and in a log file one line per case.
    """
    terminal = sys.stderr.isatty()
    begun = 0

    def show(name: str, rounds: int, done: int) -> None:
        nonlocal begun
        begun += done == 0
        line = f"[{begun}/{total}] {name}"
        if terminal:
            print(f"\r\033[K{line}: {done}/{rounds} rounds", end="", file=sys.stderr, flush=True)
        elif done == 0:
            print(line, file=sys.stderr, flush=True)

    return show


def clear_progress() -> None:
    """Make room for what is printed next."""
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"  # noqa: PLR2004 - three digits


def _spread(spread: Spread) -> str:
    return f"{_ratio(spread.median)} [{_ratio(spread.low)}-{_ratio(spread.high)}]"


def _time(seconds: float) -> str:
    for unit, scale in (("s ", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:8.2f} {unit}"
    return f"{seconds / 1e-9:8.1f} ns"
