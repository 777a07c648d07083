"""Measures how much memory calls take beyond their arguments, in units of the logits' size.

`python -m tests.memory SHAPE AXIS LAYOUT` (such as `1024,16384 0 C`) prints the peaks of all calls
as JSON. It needs Linux, whose kernel counts them; what they may be is asserted in test_memory.py.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import logitkit
from tests.layouts import entries_apart
from tests.support import Array, index_shape

LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": np.ascontiguousarray,
    "entries apart": entries_apart,
}


def status(name: str) -> int:
    """Read an entry of the kernel's account of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def peak(call: Callable[[], object]) -> int:
    """Give the most memory that a call takes on top of what is taken before."""
    # Writing 5 sets the highest count back to the present one.
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    result = call()
    highest = status("VmHWM") - before
    del result
    return highest


def calls(shape: tuple[int, ...], axis: int, layout: str) -> dict[str, Callable[[], Any]]:
    """Give the calls on logits of that shape and layout; their arguments exist already."""
    rng = np.random.default_rng(0)
    x = LAYOUTS[layout](rng.random(shape, np.float32))
    place, out = x.copy("K"), np.zeros_like(x)
    soft = np.ones_like(x)
    targets = np.zeros(index_shape(x, axis), np.int64)
    loss, both = logitkit.cross_entropy, logitkit.cross_entropy_and_grad
    binary = logitkit.binary_cross_entropy_with_logits_and_grad
    return {
        "control: a copy": x.copy,
        "control: nothing": lambda: None,
        "cross_entropy": lambda: loss(x, targets, axis=axis),
        "cross_entropy, soft": lambda: loss(x, soft, axis=axis),
        "cross_entropy_and_grad": lambda: both(x, targets, axis=axis),
        "cross_entropy_and_grad, out": lambda: both(x, targets, axis=axis, out=out),
        "cross_entropy_and_grad, soft, out": lambda: both(x, soft, axis=axis, out=out),
        "cross_entropy_and_grad, options, out": lambda: both(
            x, targets, axis=axis, label_smoothing=0.1, z_loss=0.1, ignore_index=1, out=out
        ),
        "softmax": lambda: logitkit.softmax(x, axis),
        "softmax, out": lambda: logitkit.softmax(x, axis, out=out),
        "log_softmax, out": lambda: logitkit.log_softmax(x, axis, out=out),
        "logsumexp": lambda: logitkit.logsumexp(x, axis),
        "sigmoid, out": lambda: logitkit.sigmoid(x, out=out),
        "binary, out": lambda: binary(x, soft, out=out),
        "softmax_vjp, out": lambda: logitkit.softmax_vjp(x, soft, axis, out=out),
        "nll_loss_and_grad, out": lambda: logitkit.nll_loss_and_grad(
            x, targets, axis=axis, out=out
        ),
        "categorical, out": lambda: logitkit.categorical_cross_entropy_and_grad(
            x, targets, axis=axis, out=out
        ),
        "accuracy": lambda: logitkit.accuracy(x, targets, axis=axis),
        "softmax, in place": lambda: logitkit.softmax(place, axis, out=place),
        "cross_entropy_and_grad, in place": lambda: both(place, targets, axis=axis, out=place),
    }


def main() -> None:
    """Print the peak of each call."""
    shape = tuple(int(size) for size in sys.argv[1].split(","))
    axis, layout = int(sys.argv[2]), sys.argv[3]
    # Threads and code are there once per process, not once per call.
    for call in calls((8,) * (len(shape) - 1) + (20_000,), axis, layout).values():
        call()
    size = 4 * np.prod(shape, dtype=int)
    peaks = {name: peak(call) / size for name, call in calls(shape, axis, layout).items()}
    json.dump(peaks, sys.stdout)


if __name__ == "__main__":
    main()
