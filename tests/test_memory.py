"""The memory of a call: its results and little else, and what happens where there is not enough.

The measuring stands in `tests.memory`, which runs in a process of its own for each layout.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.support import printed

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="only Linux counts a process's peak anew"
)

# What a call may take on top of its arguments and results, in bytes.
MOST = 16 << 20


@pytest.mark.parametrize(
    "shape, axis, layout, dtype",
    [
        pytest.param("8192,1024", 1, "C", "float32", id="many classes"),
        pytest.param("800000,10", 1, "C", "float32", id="ten classes"),
        pytest.param("32,250000", 1, "C", "float32", id="long rows"),
        pytest.param("1024,8192", 0, "C", "float32", id="classes first", marks=pytest.mark.soak),
        pytest.param(
            "8192,1024", 1, "entries apart", "float32", id="strided", marks=pytest.mark.soak
        ),
        pytest.param("4096,4096", 1, "C", "float16", id="half", marks=pytest.mark.soak),
    ],
)
def test_peaks(shape: str, axis: int, layout: str, dtype: str) -> None:
    peaks = measured(shape, str(axis), layout, dtype)
    assert peaks.pop("control: a copy of a copy") > 1.8 * MOST, "one copy is seen"
    if axis == 0:
        # The classes go to their axis in a copy, of indices and values one after the other.
        del peaks["top_k'"]
    over = {name: peak for name, peak in peaks.items() if peak > MOST}
    assert not over


def measured(*arguments: str) -> dict[str, int]:
    """Measure in a process of its own."""
    # What is freed goes back to the system at once, and is counted when it is taken again.
    variables = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(1 << 17)}
    peaks: dict[str, int] = json.loads(
        printed("-m", "tests.memory", *arguments, environment=variables)
    )
    return peaks


@pytest.mark.soak
def test_rows_of_millions_that_threads_share_are_not_copied() -> None:
    peaks = measured("4,2000000", "1", "Fortran", "float32")
    for name in ("softmax", "log_softmax, out", "logsumexp", "cross_entropy, axis"):
        assert peaks[name] < MOST, name


def limited(code: str, *arguments: str) -> list[str]:
    """Run code in a process whose memory it limits itself."""
    variables = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    return printed("-c", code, *arguments, environment=variables, timeout=120).splitlines()


def test_what_cannot_be_allocated_is_a_memory_error() -> None:
    """Results, and the work on them; the next call works."""
    code = """
import resource
import numpy as np
import logitkit as lk
def like(value, shape, dtype=np.float32):
    return np.broadcast_to(np.array(value, dtype), shape)
lk.set_num_threads(2)
want = lk.softmax(np.zeros((300, 1000))).tobytes()
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (200 << 20), resource.RLIM_INFINITY))
x, rows, row = like(1, (1 << 16, 1 << 16)), like(0, 1 << 16, int), like(1, (2, 1 << 27), np.float16)
few, ones = like(1, (1 << 27, 2)), like(0, 1 << 27, int)
for call in (
    lambda: lk.softmax(x),
    lambda: lk.log_softmax(x, where=like(1, x.shape, bool)),
    lambda: lk.sigmoid(x),
    lambda: lk.softmax_vjp(x, x),
    lambda: lk.logsumexp(few),
    lambda: lk.cross_entropy_and_grad(x, rows),
    lambda: lk.cross_entropy(few, ones, reduction="none"),
    lambda: lk.binary_cross_entropy_with_logits(x, x, reduction="none"),
    lambda: lk.top_k(few, 1),
    lambda: lk.top_k(x, 1 << 16),
    lambda: lk.top_k(like(1, (1, 1 << 27)), 1 << 27),
    lambda: lk.cross_entropy(row, like(1, row.shape)),
    lambda: lk.top_k(row, 1),
    lambda: lk.cross_entropy(row, [0, 1], weight=like(1, 1 << 27)),
    lambda: lk.perplexity(few, like(0, 1 << 27, np.uint64)),
    lambda: lk.linear(x, like(1, (10, 1 << 16))),
    lambda: lk.softmax(like(1, (1 << 16, 1 << 16), np.int8)),
):
    try:
        print("returned", call())
    except MemoryError as error:
        print("MemoryError", lk.softmax(np.zeros((300, 1000))).tobytes() == want)
"""
    assert limited(code) == ["MemoryError True"] * 17


def test_a_mapped_array_larger_than_the_memory(tmp_path: Path) -> None:
    code = """
import resource, sys
import numpy as np
import logitkit as lk
data = next(l for l in open("/proc/self/status") if l.startswith("VmData"))
limit = 1024 * int(data.split()[1]) + (256 << 20)
resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))
logits = np.load(sys.argv[1], mmap_mode="r")
targets = np.zeros(len(logits), int)
try:
    logits.copy()
except MemoryError:
    print("too large")
print(lk.cross_entropy(logits, targets).round(4), lk.accuracy(logits, targets),
      lk.perplexity(logits, targets).round(1))
"""
    path = tmp_path / "logits.npy"
    # A file without data takes no place on the disk.
    np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(1 << 18, 1 << 10))
    assert limited(code, str(path)) == ["too large", "6.9315 1.0 1024.0"]
