"""The same bits for any number of threads, on every instruction set, at any alignment.

Bits are compared by the digests of `tests.digest`. How the values depend on strides is tested in
test_layouts.py, with the bounds of accuracy.
"""

import functools
import itertools
import json
import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypedDict

import numpy as np
import pytest

import logitkit
from tests import support
from tests.digest import SMALL, bits, digests, inputs
from tests.layouts import arrange
from tests.operations import OPERATIONS, Operation, Shape
from tests.support import FLOATS, HALVES, Array, Float

LEVELS = ("fallback", "sse4.2", "avx2", "avx512", "neon")

# Enough for several threads: many rows, long rows, one row, few classes, every axis.
LARGE: tuple[tuple[Shape, int], ...] = (
    ((150, 1000), 1),
    ((1000, 150), 0),
    ((20_000, 7), 1),
    ((7, 20_000), 0),
    ((140_007,), 0),
    ((3, 45_001), 1),
    ((5, 100, 300), 1),
    ((100_003, 1), 0),
)

# Of all digests; small shapes have results in common, and constants would have no others.
DISTINCT = 0.9


class Printed(TypedDict):
    """What `python -m tests.digest` prints."""

    level: str
    digests: dict[str, str]


def environment(level: str | None) -> dict[str, str]:
    """Give an environment in which `LOGITKIT_SIMD` is what it is asked to be."""
    others = {name: value for name, value in os.environ.items() if name != "LOGITKIT_SIMD"}
    return others | ({} if level is None else {"LOGITKIT_SIMD": level})


@functools.cache
def printed(level: str | None) -> Printed:
    """Digest in a process with a forced instruction set."""
    found: Printed = json.loads(
        support.printed("-m", "tests.digest", environment=environment(level))
    )
    return found


def call(level: str | None, code: str) -> subprocess.CompletedProcess[str]:
    """Run a line of code in a process with a forced instruction set."""
    return support.python("-c", f"import logitkit; {code}", environment=environment(level))


def available() -> list[str]:
    """Name the instruction sets of this machine, lowest first."""
    best = call(None, "print(logitkit.simd_level())").stdout.strip()
    assert best in LEVELS
    return ["neon"] if best == "neon" else [*LEVELS[: LEVELS.index(best) + 1]]


# Instruction sets


@pytest.mark.parametrize("level", LEVELS)
def test_every_instruction_set_gives_the_same_bits(level: str) -> None:
    if level not in available():
        pytest.skip(f"this machine lacks {level}")
    found, best = printed(level), printed(None)
    assert found["level"] == level
    assert best["level"] == available()[-1]
    differing = [key for key, digest in best["digests"].items() if found["digests"][key] != digest]
    assert not differing, f"{len(differing)} of {len(best['digests'])}: {differing[:20]}"


EVALUATION = """import json, numpy as np
rng, figures = np.random.default_rng(0), []
for rows, classes in [(50, 3), (40, 17), (9, 1000), (3, 5000)]:
    for kind in (np.float16, np.float32, np.float64):
        x = (4 * rng.normal(size=(rows, classes))).astype(kind)
        y = np.where(rng.random(rows) < 0.5, x.argmax(axis=1), rng.integers(classes, size=rows))
        evaluation = logitkit.Evaluation()
        evaluation.update(x, y)
        figures.append(evaluation.result().as_dict())
figures.append(logitkit.fit_temperature([[4, 0], [0, 3.5], [2, 1], [3, 0]], [0, 1, 0, 1]).__dict__)
print(json.dumps(figures))"""


@pytest.mark.parametrize("level", LEVELS)
def test_every_instruction_set_evaluates_to_the_same_bits(level: str) -> None:
    if level not in available():
        pytest.skip(f"this machine lacks {level}")
    found, best = call(level, EVALUATION), call(None, EVALUATION)
    assert best.returncode == 0, best.stderr
    assert found.stdout == best.stdout


def test_digests_tell_results_apart() -> None:
    found = printed(None)["digests"]
    assert len(found) == len(OPERATIONS) * len(SMALL)
    assert len(set(found.values())) > DISTINCT * len(found)


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="only Linux lists the CPU's flags")
@pytest.mark.parametrize("level, flags", [("avx2", {"avx2", "fma"}), ("sse4.2", {"sse4_2"})])
def test_the_best_instruction_set_is_used(level: str, flags: set[str]) -> None:
    listed = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    if listed is None or not flags <= set(listed[1].split()):
        pytest.skip(f"this machine lacks {level}")
    assert level in available()


@pytest.mark.parametrize("name", ["avx1024", "AVX2", "none", "sse4.2 ", "neon", "avx512"])
def test_an_instruction_set_that_cannot_be_had(name: str) -> None:
    """Importing works; the first call says what is wrong, and so does every later one."""
    if name in available():
        pytest.skip(f"this machine has {name}")
    assert call(name, "pass").returncode == 0
    for code in ("logitkit.softmax([1.0, 2.0])", "logitkit.simd_level()"):
        run = call(name, code)
        assert run.returncode == 1
        message = run.stderr.splitlines()[-1]
        assert re.match("(ValueError|RuntimeError): ", message)
        assert "LOGITKIT_SIMD" in message
        assert name in message
        for level in available():
            assert level in message
    again = """
for _ in "123":
    try:
        logitkit.sigmoid(1.0)
    except Exception as error:
        print(error)
"""
    messages = call(name, again).stdout.splitlines()
    assert len(messages) == 3
    assert len(set(messages)) == 1


# Threads


@pytest.fixture
def threads() -> Iterator[None]:
    """Set the number of threads back after a test that changes it."""
    before = logitkit.get_num_threads()
    yield
    logitkit.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.label)
def test_any_number_of_threads_gives_the_same_bits(operation: Operation) -> None:
    cases = (*itertools.product(LARGE, FLOATS), *itertools.product(LARGE[:3], HALVES))
    for (shape, axis), dtype in cases:
        for arrays in inputs(operation, shape, axis, dtype):
            logitkit.set_num_threads(1)
            want = bits(operation(arrays, axis))
            for count in (2, 7):
                logitkit.set_num_threads(count)
                assert logitkit.get_num_threads() == count
                same = bits(operation(arrays, axis)) == want
                assert same, f"{count} threads, {shape} along {axis}"


def test_calls_from_several_threads_at_once() -> None:
    shapes = SMALL[::5]
    alone = digests(shapes)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: digests(shapes), range(4)))
    assert together == [alone] * 4


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.label)
def test_the_same_call_gives_the_same_bits_again(operation: Operation) -> None:
    assert digests(SMALL, [operation]) == digests(SMALL, [operation])


# Alignment


def displaced(x: Array, elements: int) -> Array:
    """Copy an array to an address that many elements after an aligned one."""
    return arrange(x, offset=elements * x.itemsize)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.label)
def test_any_alignment_gives_the_same_bits(operation: Operation, dtype: Float) -> None:
    for shape, axis in (((3, 33), 1), ((33, 3), 0), ((9, 10), 1), ((1000,), 0)):
        for arrays in inputs(operation, shape, axis, dtype):
            want = bits(operation(arrays, axis))
            for elements in range(1, 17):
                moved = {name: displaced(x, elements) for name, x in arrays.items()}
                assert bits(operation(moved, axis)) == want, f"{elements} elements from alignment"
                if operation.has_out:
                    out = arrange(
                        np.zeros(shape, dtype), offset=elements * np.dtype(dtype).itemsize
                    )
                    assert bits(operation(arrays, axis, out=out)) == want
