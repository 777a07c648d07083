"""Calls that Ctrl-C ends.

`python -m tests.interrupts` begins calls that would take minutes or more, sends its process the
signal of Ctrl-C when they have begun, and prints as JSON how each ended. What must hold is said in
test_interrupts.py.
"""

import functools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

import numpy as np

import logitkit
from tests.support import Array, like

Call = Callable[[], object]

# Time of the main thread's own, in seconds: it is within the call then.
BEGUN = 0.03


def endless() -> dict[str, Call]:
    """Give calls that nobody waits for to end, and that write no array of that size."""
    shape = (10**6, 10**6)
    x, half, probs = like(1, shape), like(1, shape, np.float16), like(1e-6, shape)
    targets, soft = like(0, shape[:1], np.int64), like(1e-6, shape)
    classes, few = like(1, (10**12, 10)), like(0, (10**12,), np.int64)
    binary = (logitkit.binary_cross_entropy, logitkit.binary_cross_entropy_with_logits)
    weight, line = np.ones(10**6), np.zeros(1 << 20, np.float32)
    long, no_numbers = (np.broadcast_to(row, (10**6, 1 << 20)) for row in (line, line + np.nan))
    return {
        "cross_entropy": lambda: logitkit.cross_entropy(x, targets),
        "cross_entropy, none": lambda: logitkit.cross_entropy(x, targets, reduction="none"),
        "cross_entropy, soft": lambda: logitkit.cross_entropy(x, soft),
        "cross_entropy, soft, sum": lambda: logitkit.cross_entropy(x, soft, reduction="sum"),
        "cross_entropy, options": lambda: logitkit.cross_entropy(
            x, targets, weight=weight, label_smoothing=0.1
        ),
        "cross_entropy, float16": lambda: logitkit.cross_entropy(half, targets),
        "cross_entropy, axis 0": lambda: logitkit.cross_entropy(x, targets, axis=0),
        "cross_entropy, ten classes": lambda: logitkit.cross_entropy(classes, few),
        "nll_loss, soft": lambda: logitkit.nll_loss(x, soft, reduction="sum"),
        "categorical_cross_entropy": lambda: logitkit.categorical_cross_entropy(probs, targets),
        "binary_cross_entropy": lambda: binary[0](probs, soft),
        "binary_cross_entropy_with_logits": lambda: binary[1](x, soft),
        "logsumexp": lambda: logitkit.logsumexp(x),
        "logsumexp, axis 0": lambda: logitkit.logsumexp(x, axis=0),
        "logsumexp, one row": lambda: logitkit.logsumexp(long, axis=None),
        "logsumexp, one row, NaN": lambda: logitkit.logsumexp(no_numbers, axis=None),
        "logsumexp, where": lambda: logitkit.logsumexp(x, where=like(1, shape, np.bool_)),
        "top_k": lambda: logitkit.top_k(x, 1),
        "top_k, many": lambda: logitkit.top_k(like(1, (10**5, 10**7)), 100),
        "accuracy": lambda: logitkit.accuracy(x, targets),
        "perplexity": lambda: logitkit.perplexity(x, targets),
    }


SIDE = 1 << 12
"""Rows of `out`, and their length."""


def written(rows: int) -> dict[str, tuple[int, Callable[[Array], object]]]:
    """Give axes and calls that write rows along them to `out`: seconds with narrow vectors."""
    shape = (rows, SIDE)
    x, soft = like(-740, shape, np.float64), like(1, shape, np.float64)
    targets = like(0, shape[:1], np.int64)
    both, keep = logitkit.cross_entropy_and_grad, like(1, shape, np.bool_)
    binary = logitkit.binary_cross_entropy_with_logits_and_grad
    return {
        "softmax": (1, lambda out: logitkit.softmax(x, out=out)),
        "softmax, axis 0": (0, lambda out: logitkit.softmax(x.T, 0, out=out)),
        "log_softmax, where": (1, lambda out: logitkit.log_softmax(x, where=keep, out=out)),
        "softplus": (1, lambda out: logitkit.softplus(x, out=out)),
        "cross_entropy_and_grad": (
            1,
            lambda out: both(x, targets, reduction="sum", z_loss=0.1, out=out),
        ),
        "cross_entropy_and_grad, soft, axis 0": (
            0,
            lambda out: both(x.T, soft.T, axis=0, reduction="sum", out=out),
        ),
        "binary": (1, lambda out: binary(x, soft, reduction="sum", out=out)),
    }


def interrupted(call: Call) -> tuple[str, float]:
    """Press Ctrl-C when a call has begun: how it ended, and after how long."""
    main = threading.main_thread().ident
    assert main is not None
    clock, sent = time.pthread_getcpuclockid(main), []
    begin, over = time.clock_gettime(clock), threading.Event()

    def press() -> None:
        while time.clock_gettime(clock) < begin + BEGUN:
            if over.is_set():
                return
            os.sched_yield()
        sent.append(time.perf_counter())
        signal.pthread_kill(main, signal.SIGINT)

    finger = threading.Thread(target=press)
    end = "returned"
    try:
        finger.start()
        call()
        over.set()
        finger.join()
    except BaseException as error:  # noqa: BLE001 - it is what is asked for
        end = repr(error)
    ended = time.perf_counter()
    over.set()
    finger.join()
    return end, ended - sent[0] if sent else 0.0


def fate(rows: Array, want: Array) -> str:
    """Say what became of rows that held 7 before."""
    is_old, is_new = (rows == 7).all(1), (rows == want).all(1)
    if not (is_old | is_new).all():
        return "in part"
    return "old and new" if is_old.any() and is_new.any() else "one"


def main() -> None:
    """Interrupt calls of one kind."""
    logitkit.set_num_threads(2)
    found = []
    again = like(1, (100, 1000))
    want = logitkit.softmax(again).tobytes()
    if sys.argv[1] == "endless":
        for name, call in endless().items():
            end, late = interrupted(call)
            found.append({"call": name, "end": end, "late": late})
            assert logitkit.softmax(again).tobytes() == want, name
    else:
        one_row = written(1)
        for name, (axis, write) in written(SIDE).items():
            row, out = np.empty((1, SIDE)), np.full((SIDE, SIDE), 7.0)
            one_row[name][1](row if axis else row.T)
            end, late = interrupted(functools.partial(write, out))
            rows = fate(out if axis else out.T, row)
            found.append({"call": name, "end": end, "late": late, "rows": rows})
            assert logitkit.softmax(again).tobytes() == want, name
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
