"""Hostile input, drawn at random: `make fuzz`, or `python -m tests.fuzz --help`.

Each call is drawn from the seed and its own number, so that it can be repeated alone. Calls are
made in a child process: where that crashes or hangs, the parent tells which call it was. What is
drawn and what must hold stands in `tests.fuzz_draw`, `tests.fuzz_calls` and `tests.fuzz_races`.
"""

import argparse
import collections
import faulthandler
import itertools
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tests import fuzz_calls, fuzz_draw, fuzz_races
from tests.fuzz_draw import Call
from tests.hostile import Rng
from tests.support import ROOT

# Seconds that a call may take: it takes milliseconds.
PATIENCE = 60


@dataclass(frozen=True)
class Mode:
    """A kind of calls."""

    draw: Callable[[Rng], Call]
    check: Callable[[Rng, Call], str]
    share: float
    """Its share of the time."""
    pace: float = 1.0
    """How many are made where one call of another kind would be."""
    repeats: int = 1
    """How often a call is repeated to see it go wrong again."""


MODES = {
    "calls": Mode(fuzz_draw.drawn, fuzz_calls.check, share=0.7),
    "races": Mode(fuzz_races.drawn, fuzz_races.check, share=0.3, pace=0.1, repeats=200),
}


def tell(text: str) -> None:
    """Print at once: who follows a process by a pipe is not to wait."""
    sys.stdout.write(text)
    sys.stdout.flush()


# The child


def write(file: TextIO, text: str) -> None:
    """Write in the place of what was there before, so that it is there if the process ends."""
    file.seek(0)
    file.truncate()
    file.write(text.encode(errors="replace").decode())
    file.flush()


def make_calls(mode: str, seed: int, numbers: range, seconds: float, place: Path) -> None:
    """Draw, tell and check one call after the other, until time is up or something is wrong."""
    sys.setswitchinterval(1e-5)
    tally: collections.Counter[str] = collections.Counter()
    end = time.monotonic() + seconds
    with warnings.catch_warnings(), place.open("w", encoding="utf-8") as told:
        # NumPy warns of some of the junk that it converts, and of what changes arrays in place.
        warnings.simplefilter("ignore")
        for number in numbers:
            rng = fuzz_calls.generator(seed, number)
            faulthandler.dump_traceback_later(PATIENCE, exit=True)
            write(told, f"{number}\nIt was being drawn: the fault is the fuzzer's.\n")
            call = MODES[mode].draw(rng)
            write(told, f"{number}\n{call}\n")
            tally[MODES[mode].check(rng, call)] += 1
            if time.monotonic() > end:
                break
        faulthandler.cancel_dump_traceback_later()
    tell(f"{mode}: {tally.total()} calls, {dict(tally.most_common())}\n")


def child(arguments: Sequence[str]) -> int:
    """Run in the process that may crash."""
    mode, seed, first, count, seconds, place = arguments
    faulthandler.enable()
    numbers = range(int(first), int(first) + int(count))
    try:
        make_calls(mode, int(seed), numbers, float(seconds), Path(place))
    except BaseException:  # noqa: BLE001 - a panic of Rust is none of the usual exceptions
        traceback.print_exc()
        return 1
    return 0


CHILD = (
    sys.executable,
    "-c",
    "import sys; from tests import fuzz; sys.exit(fuzz.child(sys.argv[1:]))",
)


# The parent


def watch(
    mode: str,
    seed: int,
    first: int,
    count: int,
    seconds: float,
    command: Sequence[str] = CHILD,
) -> str | None:
    """Have calls made in a child; if it does not end well, tell which call it was and why."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "call")
        numbers = (str(seed), str(first), str(count), str(seconds))
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        run = subprocess.run(
            [*command, mode, *numbers, str(place)],
            env={**os.environ, "PYTHONPATH": path, "RUST_BACKTRACE": "0"},
            timeout=seconds + 2 * PATIENCE,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if run.returncode == 0:
            tell(run.stdout)
            return None
        number, _, call = (place.read_text() if place.exists() else "").partition("\n")
    end = f"status {run.returncode}"
    if run.returncode < 0:
        end = signal.Signals(-run.returncode).name
    return (
        f"{run.stdout}{run.stderr}\nThe child ended with {end} at call {number} of seed {seed}:\n"
        f"{call}\nRepeat it with\n"
        f"  PYTHONPATH=python {Path(sys.executable).name} -m tests.fuzz --mode {mode} "
        f"--seed {seed} --call {number or 0}\n"
    )


def main(given: Sequence[str] | None = None) -> int:
    """Fuzz for some time; the status is 1 if something was found."""
    environment = os.environ
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=environment.get("FUZZ_SECONDS") or 40)
    parser.add_argument("--seed", type=int, default=environment.get("FUZZ_SEED") or None)
    parser.add_argument("--mode", choices=MODES, help="calls alone, or races alone")
    parser.add_argument("--call", type=int, help="the number of a call to repeat")
    parser.add_argument("--count", type=int, default=10**9, help="so many calls of a mode at most")
    arguments = parser.parse_args(given)
    seed = arguments.seed
    if seed is None:
        seed = int.from_bytes(os.urandom(4))
    modes = [arguments.mode] if arguments.mode else list(MODES)
    tell(f"seed {seed}, {arguments.seconds:g} seconds\n")
    whole = sum(MODES[mode].share for mode in modes)
    for mode in modes:
        seconds = arguments.seconds * MODES[mode].share / whole
        first, count, repeats = 0, math.ceil(arguments.count * MODES[mode].pace), 1
        if arguments.call is not None:
            first, count, repeats = arguments.call, 1, MODES[mode].repeats
        for _ in itertools.repeat(None, repeats):
            found = watch(mode, seed, first, count, seconds)
            if found is not None:
                tell(found)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
