"""Ctrl-C: it ends a long call soon, rows of `out` are whole or untouched, the next call works.

The calls stand in `tests.interrupts`, which runs in a process of its own.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# A call ends within half a second; on a machine that does much else it may take longer.
LATE = 5.0


def interrupted(kind: str, **variables: str) -> list[dict[str, object]]:
    """Interrupt calls of one kind, in a process of their own."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.interrupts", kind],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found: list[dict[str, object]] = json.loads(run.stdout)
    return found


pytestmark = pytest.mark.skipif(
    not hasattr(signal, "pthread_kill"), reason="the signal is sent to a thread"
)


def test_a_call_ends_soon() -> None:
    for case in interrupted("endless"):
        assert case["end"] == "KeyboardInterrupt()", case
        assert float(str(case["late"])) < LATE, case


def test_rows_of_out_are_whole_or_untouched() -> None:
    """Narrow vectors are so slow that no call ends by itself before it is interrupted."""
    for case in interrupted("written", LOGITKIT_SIMD="fallback"):
        assert case["end"] == "KeyboardInterrupt()", case
        assert case["rows"] == "old and new", case
        assert float(str(case["late"])) < LATE, case
