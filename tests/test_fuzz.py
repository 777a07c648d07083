"""The fuzzer itself: a few of its calls, and that it notices what it looks for.

`make fuzz` runs it for longer. What it has found is tested in test_hostile.py.
"""

import os
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import logitkit
from tests import fuzz
from tests.fuzz_calls import Violation, check, generator
from tests.fuzz_draw import Call
from tests.support import printed

X = np.array([[1.0, 2.0, 3.0]])


def test_some_calls() -> None:
    """They are made in a process of its own, for one may crash."""
    told = printed("-m", "tests.fuzz", "--seed", "0", "--count", "200", timeout=300)
    assert "calls: 200 calls" in told
    assert "races: 20 calls" in told
    for outcome in ("a result", "ValueError", "TypeError", "AxisError", "IndexError"):
        assert f"'{outcome}'" in told


def panic(**_: object) -> None:
    class PanicException(BaseException):
        pass

    raise PanicException("assertion failed")


def write_and_fail(out: Any, **_: object) -> None:  # noqa: ANN401
    out[0, 0] = 1.0
    raise ValueError("out was written before this was found")


def write_to_the_input(x: Any, out: Any, **_: object) -> Any:  # noqa: ANN401
    x[0, 0] = 5.0
    return out


def write_beside_out(x: Any, out: Any, **_: object) -> Any:  # noqa: ANN401
    out[...] = logitkit.log_softmax(x)
    out.base[0, 1] = 0.0
    return out


def give_another_array(x: Any, **_: object) -> Any:  # noqa: ANN401
    return np.array(x)


def change_the_form(out: Any, **_: object) -> Any:  # noqa: ANN401
    out.setflags(write=False)
    return out


def say_nothing(**_: object) -> None:
    raise ValueError


def raise_another_kind(**_: object) -> None:
    raise SystemError("error return without exception set")


def give_another_dtype(x: Any, **_: object) -> Any:  # noqa: ANN401
    return np.asarray(x, np.float32)


def give_another_shape(x: Any, **_: object) -> Any:  # noqa: ANN401
    return x[0]


def depend_on_the_layout(x: Any, **_: object) -> Any:  # noqa: ANN401
    return np.full(x.shape, 0.5 if x.flags.c_contiguous else 0.4)


@pytest.mark.parametrize(
    "planted, has_out, told",
    [
        (panic, False, "PanicException"),
        (write_and_fail, True, "bytes changed"),
        (write_to_the_input, True, "bytes changed"),
        (write_beside_out, True, "bytes changed"),
        (give_another_array, True, "out did not come back"),
        (change_the_form, True, "out was"),
        (say_nothing, False, "says nothing"),
        (raise_another_kind, False, "SystemError"),
        (give_another_dtype, False, "float32"),
        (give_another_shape, False, r"\(3,\)"),
        (depend_on_the_layout, False, "not the same"),
    ],
)
def test_it_notices(
    planted: Callable[..., Any], has_out: bool, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: dict[str, Any] = {"x": np.asfortranarray(np.tile(X, (2, 1))) + 0.0}
    if has_out:
        arguments["out"] = np.full((2, 6), 7.0)[:, ::2]
    monkeypatch.setattr(logitkit, "softmax", planted)
    with pytest.raises(Violation, match=told):
        check(generator(0, 0), Call("softmax", arguments))


PLANTED = ["softmax", "cross_entropy", "linear", "top_k"]
CRASHES = {
    "SIGSEGV": "import ctypes; ctypes.string_at(0)",
    "SIGABRT": "import os; os.abort()",
    "status 3": "import os; os._exit(3)",
    "status 1": "raise SystemError('planted')",
    "Timeout": "while True: pass",
}


@pytest.mark.parametrize("end", CRASHES)
@pytest.mark.skipif(os.name == "nt", reason="processes end otherwise on Windows")
def test_it_tells_which_call_ended_the_process(end: str) -> None:
    code = f"""
import sys
import logitkit
from tests import fuzz, hostile
fuzz.PATIENCE = {2 if end == "Timeout" else 60}
def crash(**arguments):
    {CRASHES[end]}
for name in {PLANTED}:
    setattr(logitkit, name, crash)
sys.exit(fuzz.child(sys.argv[1:]))
"""
    found = fuzz.watch("calls", 5, 0, 200, 60, [sys.executable, "-c", code])
    assert found is not None
    assert end in found
    number = found.split("at call ")[1].split(" ")[0]
    assert f"--seed 5 --call {number}\n" in found
    names = re.findall(r"^logitkit\.(\w+)$", found, re.MULTILINE)
    assert end == "Timeout" or names[0] in PLANTED
