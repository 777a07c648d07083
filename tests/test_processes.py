"""Forks, spawned processes and pools of workers: nothing hangs, and results are the parent's.

The scenarios stand in `tests.processes`, which runs in a process of its own for each.
"""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import PATIENCE, SCENARIOS

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_processes(scenario: str) -> None:
    methods = {"fork", "spawn", "forkserver"} - set(multiprocessing.get_all_start_methods())
    if scenario in methods:
        pytest.skip(f"this system has no {scenario}")
    command = [sys.executable, "-m", "tests.processes", scenario]
    run = subprocess.run(
        command, cwd=ROOT, timeout=2 * PATIENCE, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
