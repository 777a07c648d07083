"""Processes that fork, spawn and share work, each computing what its parent computes.

`python -m tests.processes SCENARIO` plays one through and ends with status 0 if all results were
right. A process that hangs is ended by an alarm of its own. What must hold is said in
test_processes.py.
"""

import functools
import hashlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

import numpy as np

import logitkit

# Long beside what any scenario takes on a busy machine, short beside a hang.
PATIENCE = 60

THREADS = 4

# Where Linux lists the threads of a process.
TASKS = Path("/proc/self/task")

LOGITS = np.random.default_rng(0).normal(size=(700, 1000)).astype(np.float32)
TARGETS = np.arange(700) % 1000


def digest(_: object = None) -> str:
    """Digest results that take several threads."""
    loss, grad = logitkit.cross_entropy_and_grad(LOGITS, TARGETS)
    probs = logitkit.softmax(LOGITS, axis=0)
    row = logitkit.logsumexp(LOGITS.reshape(1, -1))
    binary = logitkit.binary_cross_entropy(probs, probs)
    parts = (np.asarray(part).tobytes() for part in (loss, grad, probs, row, binary))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def start() -> str:
    """Start several threads, whatever the machine has, and digest results made with them."""
    logitkit.set_num_threads(THREADS)
    return digest()


def fork(child: Callable[[], object]) -> int:
    """Run a function in a forked process that ends with status 0 if it returns."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(PATIENCE)
        leave(child)
    return pid


def leave(work: Callable[[], object]) -> NoReturn:
    """End the process after some work, without what belongs to its parent."""
    status = 1
    try:
        work()
        status = 0
    except BaseException:  # noqa: BLE001 - nothing may reach the parent's code
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def join(*pids: int) -> None:
    """Wait for processes to end well."""
    for pid in pids:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert status == 0, f"a child ended with status {status}"


def same(want: str) -> Callable[[], None]:
    """Give a check that results are those of the parent."""

    def check() -> None:
        assert digest() == want
        assert not TASKS.exists() or len(list(TASKS.iterdir())) >= THREADS, "nobody helps"

    return check


@contextmanager
def busy(work: Callable[[], object]) -> Iterator[None]:
    """Do work over and over in other threads meanwhile."""
    stop = threading.Event()
    begun = threading.Barrier(4)

    def go_on() -> None:
        work()
        begun.wait()
        while not stop.is_set():
            work()

    threads = [threading.Thread(target=go_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    begun.wait()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


# Forks


def fork_before_use() -> None:
    """Fork before the first call: neither process has a pool of the other."""
    logitkit.set_num_threads(THREADS)
    pid = fork(digest)
    want = digest()
    join(pid, fork(same(want)))


def fork_after_use() -> None:
    """Fork after a call; the child forks after its own."""
    want = start()

    def child() -> None:
        same(want)()
        join(fork(same(want)))

    join(fork(child))
    same(want)()


def fork_while_computing() -> None:
    """Fork while other threads compute."""
    want = start()
    with busy(same(want)):
        for _ in range(10):
            join(fork(same(want)))


def fork_while_threads_start() -> None:
    """Fork while other threads have the pool built anew."""
    want = start()

    def restart() -> None:
        for number in (2, 3):
            logitkit.set_num_threads(number)
            logitkit.softmax(LOGITS)

    def child() -> None:
        logitkit.set_num_threads(THREADS)
        same(want)()

    with busy(restart):
        for _ in range(10):
            join(fork(child))


def fork_in_a_signal_handler() -> None:
    """Fork within a call, by a signal's handler that returns in both processes."""
    want = start()
    children: list[int] = []
    # As large as no call could end by itself.
    endless = np.broadcast_to(np.float32(1), (10**9, 1000))

    class ParentEndsError(Exception):
        pass

    def handler(_: int, __: object) -> None:
        if not children:
            children.append(os.fork())
            if children[0]:
                signal.setitimer(signal.ITIMER_REAL, 0.05)
            else:
                signal.alarm(PATIENCE)
        elif children[0]:
            raise ParentEndsError

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        logitkit.perplexity(endless, np.broadcast_to(0, 10**9))
    except ParentEndsError:
        same(want)()
        join(*children)
    except RuntimeError as error:
        told = str(error)
        leave(same(want) if "forked" in told else functools.partial(print, told))


def server() -> None:
    """Serve from workers that a parent forked after it had computed."""
    want, workers = start(), []
    for _ in range(3):
        here, there = multiprocessing.Pipe()

        def work(there: Connection = there) -> None:
            while there.recv() == "a request":
                there.send(digest())

        workers.append((fork(work), here))
    for _ in range(3):
        for _, here in workers:
            here.send("a request")
        for _, here in workers:
            assert here.recv() == want
    for pid, here in workers:
        here.send("the end")
        join(pid)


# Workers


def workers(method: str) -> None:
    """Compute in the processes of a pool, and in those of an executor."""
    want = start()
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        assert set(pool.map(digest, range(4))) == {want}
    with ProcessPoolExecutor(2, context) as executor:
        assert set(executor.map(digest, range(4))) == {want}


SCENARIOS: dict[str, Callable[[], None]] = {
    **{
        scenario.__name__: scenario
        for scenario in (
            fork_before_use,
            fork_after_use,
            fork_while_computing,
            fork_while_threads_start,
            fork_in_a_signal_handler,
            server,
        )
    },
    **{method: functools.partial(workers, method) for method in ("fork", "spawn", "forkserver")},
}


if __name__ == "__main__":
    signal.alarm(PATIENCE)
    SCENARIOS[sys.argv[1]]()
