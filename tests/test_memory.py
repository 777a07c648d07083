"""The peak memory of a call: the gradient and no other array of the size of the logits.

The measuring stands in `tests.memory`, which runs in a process of its own for each layout.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="only Linux counts a process's peak anew"
)

# What makes an array of the logits' size, and must make only one.
MAKES_ONE = ("control: a copy", "cross_entropy_and_grad", "softmax")

# Room for losses by row, of ten classes each, and for the scratch of threads.
SLACK = 0.25


@pytest.mark.parametrize(
    "shape, axis, layout",
    [
        ("16384,1024", 1, "C"),
        ("1024,16384", 0, "C"),
        ("1600000,10", 1, "C"),
        ("64,250000", 1, "C"),
        ("16384,1024", 1, "entries apart"),
    ],
    ids=["many classes", "classes first", "ten classes", "long rows", "strided"],
)
def test_peaks(shape: str, axis: int, layout: str) -> None:
    command = [sys.executable, "-m", "tests.memory", shape, str(axis), layout]
    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    peaks: dict[str, float] = json.loads(run.stdout)
    for name in MAKES_ONE:
        assert 0.95 < peaks.pop(name) < 1 + SLACK, name
    over = {name: f"{peak:.2f}" for name, peak in peaks.items() if peak > SLACK}
    assert not over, f"times the size of the logits: {over}"
