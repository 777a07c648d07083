"""Arguments that change each other or lie: what fuzzing found, and what it cannot show for certain.

Junk of every kind is tested in test_junk.py, the fuzzer itself in test_fuzz.py.
"""

import signal
from typing import Any

import numpy as np
import pytest

import logitkit
from tests.fuzz_calls import ALLOWED
from tests.fuzz_draw import PARAMETERS
from tests.hostile import (
    MEDDLING,
    Hostile,
    Meddling,
    MeddlingArray,
    add_axes,
    collapse,
    flatten,
    misalign,
    retype,
    shrink,
    turn,
)
from tests.layouts import arrange
from tests.operations import Operation
from tests.refusals import PLAIN, arguments, first_of
from tests.support import printed, rng_of
from tests.test_junk import ExpectedError

CHANGING = (add_axes, collapse, flatten, misalign, retype, shrink, turn)


def meddling(value: object, victims: list[Any], deed: Meddling) -> MeddlingArray:
    """Give an array-like that does one thing when it is converted."""
    found = MeddlingArray(rng_of("meddling"), value, victims)
    found.deeds = [deed]
    return found


# Arguments that change other arguments


@pytest.mark.parametrize("deed", MEDDLING, ids=lambda deed: deed.__name__)
@pytest.mark.parametrize("function", PLAIN)
def test_converting_an_argument_changes_the_others(function: str, deed: Meddling) -> None:
    """A result or an error: never a panic, nor what was freed."""
    threads = logitkit.get_num_threads()
    masks = {"where": np.ones((3, 5), bool)} if "where" in PARAMETERS[function] else {}
    for name in (*PLAIN[function].arrays, *masks):
        given: dict[str, Any] = {**arguments(function), **masks}
        if PLAIN[function].has_out:
            given["out"] = np.zeros((3, 5))
        arrays = {n: value for n, value in given.items() if isinstance(value, np.ndarray)}
        victims = [value for other, value in arrays.items() if other != name]
        given[name] = meddling(given[name], victims, deed)
        try:
            getattr(logitkit, function)(**given)
        except ALLOWED as error:
            assert "panic" not in str(error)  # noqa: PT017
    logitkit.set_num_threads(threads)


@pytest.mark.parametrize("deed", CHANGING, ids=lambda deed: deed.__name__)
def test_logsumexp_looks_at_x_after_where_was_converted(deed: Meddling) -> None:
    """It read memory that `where` had freed."""
    for _ in range(20):
        x = np.zeros((50, 60))
        where = meddling(np.ones((50, 60), bool), [x], deed)
        try:
            result = logitkit.logsumexp(x, where=where)
        except ALLOWED:
            continue
        assert result.dtype in (np.float32, np.float64)


def test_out_that_becomes_read_only_or_smaller_is_refused() -> None:
    x, targets = np.zeros((4, 3)), np.zeros(4, int)
    out = np.full((4, 3), 7.0)
    with pytest.raises(ValueError, match=r"out has shape \[6\], expected"):
        logitkit.cross_entropy_and_grad(x, meddling(targets, [out], shrink), out=out)
    assert (out == 7).all()


# Arrays that are resized while a call works on them

RESIZED = """
import signal
import numpy as np
import logitkit
many = 10**6
x = np.broadcast_to(np.float64(0.5), (many, many))
given = np.{given}
def handler(*_):
    try:
        given.resize(1, refcheck=False)
    except ValueError as error:
        print(str(error).split()[0])
    raise TimeoutError
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.05)
try:
    logitkit.{call}
except TimeoutError:
    given.resize(2, refcheck=False)
    print("ended")
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
@pytest.mark.parametrize(
    "given, call",
    [
        ("ones(many, bool)", "logsumexp(x, where=given)"),
        ("zeros(many, int)", "perplexity(x, given)"),
        ("zeros(many, int)", "accuracy(x, given)"),
        ("ones(many)", "cross_entropy(x, np.broadcast_to(0, many), sample_weight=given)"),
        ("ones(many)", "binary_cross_entropy_with_logits(x, x, weight=given)"),
    ],
)
def test_arrays_keep_their_memory_during_a_call(given: str, call: str) -> None:
    """And no longer: after it they can be resized."""
    assert printed("-c", RESIZED.format(given=given, call=call)).split() == ["cannot", "ended"]


def test_arrays_can_be_resized_after_a_call() -> None:
    x, out = np.zeros((300, 400)), np.zeros((300, 400))
    logitkit.softmax(x, out=out)
    logitkit.softmax(arrange(x, offset=1))
    x.resize((2, 2), refcheck=False)
    out.resize((2, 2), refcheck=False)


# Numbers


@pytest.mark.parametrize(
    "function, name",
    [
        ("cross_entropy", "label_smoothing"),
        ("cross_entropy", "z_loss"),
        ("categorical_cross_entropy", "eps"),
        ("binary_cross_entropy_and_grad", "eps"),
    ],
)
def test_a_number_that_no_float_holds(function: str, name: str) -> None:
    """Python calls it an OverflowError, but it is a value out of range like any other."""
    with pytest.raises(ValueError, match=f"{name} is a number beyond those of float64"):
        getattr(logitkit, function)(**arguments(function), **{name: 10**400})


class Failing:
    """An integer whose code fails."""

    def __index__(self) -> int:
        """Fail."""
        raise ExpectedError


def test_errors_of_integers_come_through() -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("softmax", {"axis": Failing()}),
        ("logsumexp", {"axis": (0, Failing())}),
        ("top_k", {"k": Failing()}),
        ("accuracy", {"ignore_index": Failing()}),
    ]
    for function, changed in calls:
        with pytest.raises(ExpectedError):
            getattr(logitkit, function)(**arguments(function) | changed)
    with pytest.raises(ExpectedError):
        logitkit.set_num_threads(Failing())


# Subclasses


def functions_with_out() -> list[Operation]:
    return [operation for operation in PLAIN.values() if operation.has_out]


@pytest.mark.parametrize("operation", functions_with_out(), ids=lambda o: o.function)
def test_functions_of_a_subclass_are_not_used(operation: Operation) -> None:
    """Not even to copy to an `out` that is not aligned."""
    given = arguments(operation.function)
    first = given[first_of(operation.function)]
    want = getattr(logitkit, operation.function)(**given)
    out = arrange(np.zeros_like(first), offset=1).view(Hostile)
    result = getattr(logitkit, operation.function)(**given, out=out)
    got = result[1] if isinstance(result, tuple) else result
    assert got is out
    expected = want[1] if isinstance(want, tuple) else want
    np.testing.assert_array_equal(np.ndarray.view(out, np.ndarray), expected)


# Shapes

EMPTY = (
    "softmax(x, 0)",
    "log_softmax(x, 0)",
    "softmax(x, 0, where=False)",
    "softmax(x, (0,))",
    "softmax_vjp(x, x, 0)",
    "log_softmax_vjp(x, x, 0)",
    "sigmoid(x)",
    "softplus(x.transpose(1, 0, 2))",
    "softplus(np.moveaxis(x, 0, -1))",
    "top_k(x[:, : 2**28], 0, 0)[0]",
    "binary_cross_entropy_and_grad(x, x)[1]",
)


def test_rows_without_classes_are_not_counted() -> None:
    """There are 2^60 of them: counting took forever."""
    code = "import numpy as np, logitkit; x = np.zeros((0, 2**30, 2**30), np.float32); "
    sizes = ", ".join(f"logitkit.{call}.size" for call in EMPTY)
    assert printed("-c", f"{code}print({sizes})", timeout=60).split() == ["0"] * len(EMPTY)
