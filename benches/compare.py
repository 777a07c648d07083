"""Compare the speed of logitkit with that of NumPy's formulas, SciPy, torch and jax.

Any interpreter that can import logitkit and SciPy runs this; torch and jax are compared when they
import. Everybody computes the same from the same arrays, in turns, in one process, and the answers
are compared before anything is timed. The limit is a copy or a sum of the same array: torch's
(tcopy, tsum) in all threads or, without torch, NumPy's (copy, sum) in one.

The command line belongs here; cases, contenders and timing stand in the package `comparison`.
"""

import argparse
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from comparison import contenders, frameworks, machine, problems, report, sweep, timing
from comparison.contenders import Calls
from comparison.problems import Call, Data, Operation

OURS = "logitkit"
PEERS = ("numpy", "scipy", "torch", "jax")
QUICK_ROUNDS = 3

# What gives a contender's forms of an operation on given arrays.
Source = Callable[[Operation, Data], Calls]


class DisagreementError(Exception):
    """Two contenders did not compute the same."""


def positive(text: str) -> int:
    """Read a command-line number that has to be at least 1."""
    number = int(text)
    if number < 1:
        message = f"{number} is less than 1"
        raise argparse.ArgumentTypeError(message)
    return number


@dataclass
class Options:
    """The command line."""

    only: Sequence[str]
    peers: Sequence[str]
    rounds: int
    seconds: float
    runs: int
    threads: int
    sweep: bool
    quick: bool
    table: Path | None
    json: Path | None

    @classmethod
    def parsed(cls, arguments: Sequence[str] | None) -> "Options":
        """Read the command line."""
        parser = argparse.ArgumentParser(
            description="Compare the speed of logitkit with its peers'.",
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        add = parser.add_argument
        add(
            "--only",
            nargs="+",
            default=[],
            metavar="TEXT",
            help="measure cases whose names hold one of these, such as float32/16384x1000/cross",
        )
        add("--peers", nargs="+", default=PEERS, choices=PEERS, help="whom to compare with")
        add("--rounds", type=positive, default=21, help="how often each contender is timed")
        add("--seconds", type=float, default=30, help="begin no round after so long with a case")
        add("--runs", type=positive, default=1, help="repeat it all and show the ratios' ranges")
        add("--threads", type=positive, default=2, help="threads of logitkit, torch and jax")
        add("--sweep", action="store_true", help="instead: logitkit's time by size and threads")
        add("--quick", action="store_true", help="small arrays and 3 rounds, to try the script out")
        add("--table", type=Path, metavar="FILE", help="write the Markdown tables to FILE")
        add("--json", type=Path, metavar="FILE", help="write all that was measured to FILE")
        parsed = parser.parse_args(arguments)
        options = cls(**vars(parsed))
        if not options.cases():
            parser.error(f"no case has a name that holds one of {options.only}")
        if options.quick:
            options.rounds = QUICK_ROUNDS
        return options

    def cases(self) -> list[report.Case]:
        """Give the cases that are asked for."""
        return [
            report.Case(group, operation)
            for group in problems.chosen(self.only, quick=self.quick)
            for operation in group.operations
        ]

    @property
    def effort(self) -> str:
        """Say how long everything was measured."""
        runs = f"{self.runs} runs of " if self.runs > 1 else ""
        rounds = f"{runs}{self.rounds} interleaved rounds"
        return f"{rounds}, or as many as {self.seconds:g} s allow; medians"


def rivals(options: Options) -> tuple[list[str], list[Source]]:
    """Find the peers that are asked for and installed, and what gives their forms."""
    found = [name for name in options.peers if importlib.util.find_spec(name)]
    forms: list[Source] = [contenders.plain]
    if "torch" in found:
        torch = frameworks.Torch(options.threads)
        forms += [torch.limits, torch.forms]
    else:
        forms.append(contenders.limits)
    if "numpy" in found:
        forms.append(contenders.numpy_forms)
    if "scipy" in found:
        forms.append(contenders.scipy_forms)
    if "jax" in found:
        forms.append(frameworks.Jax().forms)
    return found, forms


# How far answers may lie apart, as a share of the largest number; in half precision others round
# after every step.
TOLERANCE, HALF_TOLERANCE = 1e-3, 2e-2


def answer(call: Call) -> list[np.ndarray[Any, Any]]:
    """Give what a contender computes, copied: the next one may write over it."""
    result = call()
    parts = result if isinstance(result, tuple | list) else (result,)
    return [as_float64(part) for part in parts]


def as_float64(part: Any) -> np.ndarray[Any, Any]:  # noqa: ANN401
    """Copy an array of any library; NumPy cannot read torch's bfloat16."""
    is_tensor = str(getattr(part, "dtype", "")) == "torch.bfloat16"
    return np.array(part.float() if is_tensor else part, np.float64)


def check_agreement(name: str, calls: dict[str, Call], tolerance: float) -> None:
    """Raise unless every contender of a case computes what logitkit does."""
    expected = answer(calls[OURS])
    for label, call in calls.items():
        if label.split()[0] not in PEERS:
            continue
        for ours, theirs in zip(expected, answer(call), strict=True):
            # torch's mean over rows in float16 is infinite where their sum is.
            if np.isinf(theirs).all() and np.isfinite(ours).all() and tolerance == HALF_TOLERANCE:
                continue
            scale = np.abs(ours).max()
            if not np.allclose(theirs, ours, rtol=0, atol=tolerance * scale):
                message = f"{name}: {label} and {OURS} give different results"
                raise DisagreementError(message)


def measure(options: Options, cases: Sequence[report.Case], sources: Sequence[Source]) -> None:
    """Time all cases, as often as is asked for, and print each as it is done."""
    progress = report.progress(options.runs * len(cases))
    for _ in range(options.runs):
        for group, members in groupby(cases, key=lambda case: case.group):
            # Only here, so that they are released before the next group's are made.
            data = group.data()
            for case in members:
                progress(case.name, options.rounds, 0)
                calls = {OURS: contenders.LOGITKIT[case.operation](data)}
                for source in sources:
                    calls |= source(case.operation, data)
                tolerance = HALF_TOLERANCE if data.is_half else TOLERANCE
                check_agreement(case.name, calls, tolerance)
                shown = partial(progress, case.name, options.rounds)
                others = machine.Bystanders()
                timings = timing.interleaved(calls, options.rounds, options.seconds, shown)
                case.runs.append(report.Run(timings, others.share()))
                report.clear_progress()
                print(report.block(case), flush=True)
            del data, calls


def measure_sweep(options: Options) -> list[sweep.Point]:
    """Time logitkit alone, with one thread and with all."""
    threads = sorted({1, options.threads})
    progress = report.progress(sweep.steps(threads, quick=options.quick))
    measured = list(
        sweep.points(threads, options.rounds, options.seconds, progress, quick=options.quick)
    )
    report.clear_progress()
    return measured


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for."""
    options = Options.parsed(arguments)
    machine.limit_threads(options.threads)
    found, sources = ([], []) if options.sweep else rivals(options)
    where = machine.Machine.described(options.threads, found)
    print(report.heading(where, options.effort), flush=True)
    if options.sweep:
        points = measure_sweep(options)
        body, content = sweep.table(points), sweep.as_json(points)
    else:
        print("After each time: how many times logitkit's it is, median [10th-90th percentile].")
        cases = options.cases()
        measure(options, cases, sources)
        body, content = report.tables(cases), report.as_json(cases)
    print(f"\n{body}")
    if options.table:
        report.write_table(options.table, where, options.effort, body)
    if options.json:
        report.write_json(options.json, where, options.effort, content)


if __name__ == "__main__":
    main()
