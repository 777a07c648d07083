"""What the measurements ran on: machine, threads and versions."""

import importlib
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import logitkit


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
