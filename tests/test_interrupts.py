"""Ctrl-C: it ends a long call soon, rows of `out` are whole or untouched, the next call works.

The calls stand in `tests.interrupts`, which runs in a process of its own.
"""

import json
import os
import signal

import pytest

from tests.support import printed

# A call ends within half a second; on a machine that does much else it may take longer.
LATE = 5.0


def interrupted(kind: str, **variables: str) -> list[dict[str, object]]:
    """Interrupt calls of one kind, in a process of their own."""
    told = printed("-m", "tests.interrupts", kind, environment=os.environ | variables, timeout=120)
    found: list[dict[str, object]] = json.loads(told)
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
