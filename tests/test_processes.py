"""Forks, spawned processes and pools of workers: nothing hangs, and results are the parent's.

The scenarios stand in `tests.processes`, which runs in a process of its own for each.
"""

import multiprocessing
import os

import pytest

from tests.processes import PATIENCE, SCENARIOS
from tests.support import printed

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_processes(scenario: str) -> None:
    methods = {"fork", "spawn", "forkserver"} - set(multiprocessing.get_all_start_methods())
    if scenario in methods:
        pytest.skip(f"this system has no {scenario}")
    printed("-m", "tests.processes", scenario, timeout=2 * PATIENCE)
