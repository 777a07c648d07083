"""What the measurements ran on: machine, threads and versions."""

import importlib
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import logitkit

# The system counts whole ticks of 10 ms for each core and kind of work: that many seconds may be
# nobody's.
ROUNDING = 0.03


@dataclass(frozen=True)
class Machine:
    """The facts that a reader needs to compare two reports."""

    cpu: str
    cores: int
    threads: int
    simd_level: str
    system: str
    versions: dict[str, str]

    @classmethod
    def described(cls, threads: int, libraries: Sequence[str]) -> "Machine":
        """Look the facts up; `libraries` are import names."""
        versions = {"python": platform.python_version(), "logitkit": logitkit.__version__}
        versions |= {name: importlib.import_module(name).__version__ for name in libraries}
        return cls(
            cpu=_cpu_model(),
            cores=os.cpu_count() or 1,
            threads=threads,
            simd_level=logitkit.simd_level(),
            system=f"{platform.system()} {platform.machine()}",
            versions=versions,
        )


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or "unknown"


def limit_threads(threads: int) -> None:
    """Give logitkit, and where the system allows it the whole process, this many threads.

    Call it before the peers are imported: jax sizes its thread pool by the CPUs that it may use.
    """
    logitkit.set_num_threads(threads)
    if sys.platform == "linux":
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[:threads])


class Bystanders:
    """How much of the machine other programs took, since this was made.

    Threads that wait for each other wait for whole time slices when one of them has to share its
    core, torch's and jax's for longer than logitkit's: such figures say nothing.
    """

    def __init__(self) -> None:
        self._before = self._read()

    def share(self) -> float | None:
        """Give the part of all cores' time, from 0 to 1; None where the system does not tell."""
        if self._before is None or (now := self._read()) is None:
            return None
        passed, busy, own = (
            after - before for after, before in zip(now, self._before, strict=True)
        )
        return min(1.0, max(0.0, (busy - own - ROUNDING) / passed)) if passed > 0 else None

    @staticmethod
    def _read() -> tuple[float, float, float] | None:
        """Give the seconds of all cores, those they were busy, and those of this process."""
        path = Path("/proc/stat")
        if not path.exists():
            return None
        # user, nice, system, idle, waiting for devices, interrupts, stolen by other machines.
        ticks = [int(text) for text in path.read_text().partition("\n")[0].split()[1:9]]
        total, idle = sum(ticks), ticks[3] + ticks[4]
        tick = os.sysconf("SC_CLK_TCK")
        return total / tick, (total - idle) / tick, time.process_time()
