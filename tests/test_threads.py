"""Threads: how many a call uses, who asks for them, and what other threads do meanwhile.

That their number never shows in a result is tested in test_reproducibility.py; processes in
test_processes.py.
"""

import os
import re
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import logitkit
from tests import support
from tests.refusals import PLAIN, arguments

VARIABLE = "LOGITKIT_NUM_THREADS"
CALLERS = 32

linux_alone = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="only Linux lists the threads of a process"
)


def process(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, with some variables set."""
    others = {name: value for name, value in os.environ.items() if name != VARIABLE}
    return support.python("-c", code, environment=others | variables, timeout=60)


def printed(code: str, **variables: str) -> list[str]:
    """Give the lines that code prints."""
    run = process(code, **variables)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


# How many


def test_the_variable_sets_the_number() -> None:
    code = "import logitkit; print(logitkit.get_num_threads())"
    assert printed(code, **{VARIABLE: "3"}) == ["3"]
    code = f"import logitkit; logitkit.set_num_threads(2); {code}"
    assert printed(code, **{VARIABLE: "3"}) == ["2"], "the function has the last word"


@pytest.mark.parametrize("value", ["0", "-1", "1025", "two", "", " 2", "1.5", "2;drop"])
def test_a_variable_that_is_no_number(value: str) -> None:
    """Importing works; the first call says what is wrong, and so does every later one."""
    code = """
import logitkit
for call in (lambda: logitkit.sigmoid(1.0), logitkit.get_num_threads,
             lambda: logitkit.set_num_threads(1)):
    try:
        call()
    except ValueError as error:
        print(error)
"""
    lines = printed(code, **{VARIABLE: value})
    assert len(lines) == 3
    for line in lines:
        assert line.startswith(f'{VARIABLE} is "{value}", expected a number of threads from 1 to 1')


def test_every_function_tells_of_a_wrong_variable() -> None:
    code = f"""
import logitkit
from tests import support
from tests.refusals import arguments
for function in {list(PLAIN)}:
    try:
        getattr(logitkit, function)(**arguments(function))
    except ValueError as error:
        print(function, str(error)[:{len(VARIABLE)}])
"""
    lines = printed(code, **{VARIABLE: "many"})
    assert lines == [f"{function} {VARIABLE}" for function in PLAIN]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity masks here")
def test_the_default_is_what_the_process_may_use() -> None:
    code = "import os; cpus = os.sched_getaffinity(0); "
    code += "os.sched_setaffinity(0, {min(cpus)}); import logitkit; "
    code += "print(logitkit.get_num_threads())"
    assert printed(code) == ["1"]


@linux_alone
def test_threads_that_the_system_refuses() -> None:
    """The calling thread does it all: the same bits, and later calls may have the threads again."""
    code = """
import os, resource
import numpy as np
import logitkit
def threads():
    return len(os.listdir("/proc/self/task"))
x = np.random.default_rng(0).normal(size=(300, 1000)).astype(np.float32)
out, want = np.empty_like(x), np.empty_like(x)
logitkit.set_num_threads(1)
logitkit.softmax(x, out=want)
alone = threads()
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
_, hard = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 20), hard))
logitkit.set_num_threads(4)
for _ in range(3):
    logitkit.softmax(x, out=out)
    print(threads() - alone, np.array_equal(out, want))
resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
logitkit.set_num_threads(4)
logitkit.softmax(x, out=out)
print(threads() - alone, np.array_equal(out, want))
"""
    assert printed(code, OPENBLAS_NUM_THREADS="1") == ["0 True"] * 3 + ["3 True"]


# Others


@linux_alone
def test_importing_and_small_calls_start_no_thread() -> None:
    code = """
import os
import numpy as np
before = len(os.listdir("/proc/self/task"))
import logitkit
logitkit.softmax(np.zeros((100, 100)))
print(len(os.listdir("/proc/self/task")) - before)
"""
    assert printed(code) == ["0"]


@linux_alone
def test_one_thread_is_one() -> None:
    code = f"""
import os
import numpy as np
import logitkit
from tests import support
from tests.refusals import arguments
logitkit.set_num_threads(1)
before = len(os.listdir("/proc/self/task"))
for function in {list(PLAIN)}:
    getattr(logitkit, function)(**arguments(function, (100, 1000)))
print(len(os.listdir("/proc/self/task")) - before)
"""
    assert printed(code) == ["0"]


def test_many_callers_at_once() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 1000)).astype(np.float32)
    targets = rng.integers(0, 1000, 200)
    barrier = threading.Barrier(CALLERS)

    def call(_: int) -> bytes:
        barrier.wait()
        parts = []
        for _ in range(5):
            loss, grad = logitkit.cross_entropy_and_grad(x, targets)
            parts += [np.float32(loss).tobytes(), grad.tobytes(), logitkit.softmax(x, 0).tobytes()]
        return b"".join(parts)

    with ThreadPoolExecutor(CALLERS) as pool:
        together = set(pool.map(call, range(CALLERS)))
    assert len(together) == 1
    barrier = threading.Barrier(1)
    assert together == {call(0)}


def test_other_threads_go_on_during_a_call() -> None:
    """Two threads hand a ball to and fro, and end a call that nothing else ends."""
    code = """
import signal, threading
import numpy as np
import logitkit
here, there = threading.Semaphore(0), threading.Semaphore(0)
class Logits:
    shape = (10**6, 10**6)
    def __array__(self, dtype=None, copy=None):
        here.release()
        return np.broadcast_to(np.float32(1), self.shape)
def ping():
    for _ in range(1000):
        here.acquire()
        there.release()
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
def pong():
    while True:
        there.acquire()
        here.release()
threading.Thread(target=ping, daemon=True).start()
threading.Thread(target=pong, daemon=True).start()
try:
    logitkit.logsumexp(Logits())
except KeyboardInterrupt:
    print("others went on")
"""
    assert printed(code) == ["others went on"]


def test_a_daemon_thread_in_a_call_lets_the_interpreter_end() -> None:
    code = """
import threading
import numpy as np
import logitkit
begun = threading.Event()
class Logits:
    def __array__(self, dtype=None, copy=None):
        begun.set()
        return np.broadcast_to(np.float32(1), (10**6, 10**6))
threading.Thread(target=logitkit.logsumexp, args=(Logits(),), daemon=True).start()
begun.wait()
print("the end")
"""
    assert printed(code) == ["the end"]


def test_an_exception_of_a_signal_handler_ends_a_call() -> None:
    code = """
import signal
import numpy as np
import logitkit
def handler(*_):
    print(logitkit.softmax([0.0, 0.0]), logitkit.softmax(np.zeros((100, 1000))).sum().round())
    raise TimeoutError
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.05)
try:
    logitkit.logsumexp(np.broadcast_to(np.float32(1), (10**6, 10**6)))
except TimeoutError:
    print("ended")
"""
    assert printed(code) == ["[0.5 0.5] 100.0", "ended"]


def test_a_second_interpreter_works_or_gets_an_error_that_says_why_not() -> None:
    """Where interpreters have locks of their own, neither NumPy nor PyO3 can be in two of them."""
    code = """
import sys
import logitkit
print(logitkit.softmax([0.0, 0.0]))
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
code = f'''
import sys, warnings
sys.path = {sys.path!r}
warnings.simplefilter("ignore")
try:
    import logitkit
    print(logitkit.softmax([0.0, 0.0]))
except ImportError as error:
    print("ImportError:", error)
sys.stdout.flush()
'''
error = interpreters.run_string(interpreters.create(), code)
assert error is None, error
print(logitkit.softmax([0.0, 0.0]))
"""
    before, told, after = printed(code)
    refused = re.match("ImportError: .*(more than once per process|interpreter)", told)
    assert refused or told == before, told
    assert before == after == "[0.5 0.5]"


def test_arguments_are_there_for_every_function() -> None:
    """What the test of the variable calls does work."""
    for function in PLAIN:
        getattr(logitkit, function)(**arguments(function))
