"""Compare the speed of logitkit with that of NumPy's formulas, SciPy, torch and jax.

Any interpreter that can import logitkit and SciPy runs this; torch and jax are compared when they
import. Everybody computes the same from the same arrays, in turns, in one process, and the answers
are compared before anything is timed. The limits are a copy and a sum of the same array: NumPy's
(copy, sum), in one thread, and torch's (tcopy, tsum), in all.

The command line belongs here; cases, contenders and timing stand in the package `comparison`.
"""

import argparse
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from comparison import contenders, frameworks, machine, problems, report, timing
from comparison.contenders import Forms
from comparison.problems import Call, Data, Group, Operation

OURS = "logitkit"
PEERS = ("numpy", "scipy", "torch", "jax")
QUICK_ROUNDS = 3

# What gives a contender's forms of an operation.
Source = Callable[[Operation], Forms]


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
    threads: int
    large: bool
    quick: bool
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
        add("--threads", type=positive, default=2, help="threads of logitkit, torch and jax")
        add("--large", action="store_true", help="add float32 512x128256")
        add("--quick", action="store_true", help="small arrays and 3 rounds, to try the script out")
        add("--json", type=Path, metavar="FILE", help="write all that was measured to FILE")
        parsed = parser.parse_args(arguments)
        options = cls(**vars(parsed))
        if not list(options.groups()):
            parser.error(f"no case has a name that holds one of {options.only}")
        if options.quick:
            options.rounds = QUICK_ROUNDS
        return options

    def groups(self) -> Iterator[Group]:
        """Give the cases that are asked for."""
        return problems.chosen(self.only, large=self.large, quick=self.quick)


def rivals(options: Options) -> tuple[list[str], list[Source]]:
    """Find the peers that are asked for and installed, and what gives their forms."""
    found = [name for name in options.peers if importlib.util.find_spec(name)]
    forms: list[Source] = [contenders.limits]
    if "torch" in found:
        torch = frameworks.Torch(options.threads)
        forms += [torch.limits, torch.forms]
    if "numpy" in found:
        forms.append(contenders.numpy_forms)
    if "scipy" in found:
        forms.append(contenders.scipy_forms)
    if "jax" in found:
        forms.append(frameworks.Jax().forms)
    return found, forms


def answer(call: Call) -> list[np.ndarray[Any, Any]]:
    """Give what a contender computes, copied: the next one may write over it."""
    result = call()
    parts = result if isinstance(result, tuple) else (result,)
    return [np.asarray(part).copy() for part in parts]


def check_agreement(name: str, calls: dict[str, Call]) -> None:
    """Raise unless every contender of a case computes what logitkit does."""
    expected = answer(calls[OURS])
    for label, call in calls.items():
        if label.split()[0] not in PEERS:
            continue
        for ours, theirs in zip(expected, answer(call), strict=True):
            scale = np.abs(ours).max()
            if not np.allclose(theirs, ours, rtol=0, atol=1e-3 * scale):
                message = f"{name}: {label} and {OURS} give different results"
                raise DisagreementError(message)


def measure(group: Group, sources: Sequence[Source], rounds: int) -> list[report.Result]:
    """Time the cases of a group, and print each as it is done."""
    data = Data.make(group.shape, group.dtype)
    results = []
    for operation in group.operations:
        name = group.case_name(operation)
        report.progress(name, rounds, 0)
        forms = {OURS: contenders.LOGITKIT[operation]}
        for source in sources:
            forms |= source(operation)
        calls = {label: make(data) for label, make in forms.items()}
        check_agreement(name, calls)
        timings = timing.interleaved(calls, rounds, partial(report.progress, name, rounds))
        result = report.Result(name, timings)
        report.clear_progress()
        print(report.block(result), flush=True)
        results.append(result)
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for."""
    options = Options.parsed(arguments)
    machine.limit_threads(options.threads)
    found, sources = rivals(options)
    where = machine.Machine.described(options.threads, found)
    print(report.heading(where, options.rounds))
    results = [
        result for group in options.groups() for result in measure(group, sources, options.rounds)
    ]
    print("\n" + report.summary(results))
    if options.json:
        report.write_json(options.json, where, options.rounds, results)


if __name__ == "__main__":
    main()
