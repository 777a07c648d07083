"""Junk of every kind as any argument: an exception that says so, never a panic, crash or hang.

The messages of errors that users make are tested in test_errors.py.
"""

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import logitkit
from tests.operations import VJPS
from tests.refusals import BINARY_LOSSES, CLASS_LOSSES, PLAIN, arguments, both
from tests.support import MOST_DIMENSIONS, printed

# AxisError is a ValueError and an IndexError; a panic of Rust is not even an Exception.
REFUSALS = (TypeError, ValueError, IndexError, OverflowError, MemoryError)


class ExpectedError(Exception):
    """What the junk itself raises: it must come through unchanged."""


class Raises:
    """An object that raises whenever it is asked for anything."""

    def __array__(self, dtype: object = None, copy: object = None) -> object:
        """Fail, as a conversion may."""
        raise ExpectedError

    def __index__(self) -> int:
        """Fail likewise."""
        raise ExpectedError

    def __float__(self) -> float:
        """Fail likewise."""
        raise ExpectedError

    def __len__(self) -> int:
        """Fail likewise."""
        raise ExpectedError


def lie(_: object) -> Any:  # noqa: ANN401
    """Give no number."""
    return "no number"


class Lies:
    """An object whose conversions give the wrong types."""

    def __array__(self, dtype: object = None, copy: object = None) -> object:
        """Give no array."""
        return "no array"

    __index__ = __float__ = lie


def recursive() -> list[object]:
    """Make a list that holds itself."""
    items: list[object] = [1.0]
    items.append(items)
    return items


OBJECTS: tuple[object, ...] = (
    None,
    True,
    0,
    -1,
    2**64,
    -(2**200),
    0.5,
    float("nan"),
    float("inf"),
    1j,
    "",
    "mean",
    "\ud800",
    b"\x00",
    [],
    [[]],
    [[1.0], [1.0, 2.0]],
    [1.0, "2"],
    [None, 1.0],
    recursive(),
    {"a": 1},
    {1, 2},
    range(3),
    (),
    ((1, 2), (3, 4)),
    object(),
    int,
    len,
    np,
    np.float32,
    np.dtype("f4"),
    Ellipsis,
    NotImplemented,
    slice(None),
    memoryview(b"1234"),
    bytearray(8),
    np.float32(1),
    np.int8(-1),
    np.str_("mean"),
    np.datetime64("NaT"),
    np.array(None),
    np.array(["a"]),
    np.zeros((1,) * 32),
    np.zeros((1,) * MOST_DIMENSIONS),
    np.zeros((0, 3)),
    np.zeros((3, 0)),
    np.zeros((2, 0, 2**40)),
    np.broadcast_to(np.float32(0), (2, 3)),
    np.array([2**63], np.uint64),
    np.ma.masked_array(np.zeros(3), mask=True),
    np.ma.masked,
    np.zeros(3, [("a", "f4")]),
    Raises(),
    Lies(),
)

arrays = hnp.arrays(
    st.one_of(
        hnp.scalar_dtypes(),
        hnp.integer_dtypes(endianness="?"),
        hnp.floating_dtypes(endianness="?"),
        hnp.floating_dtypes(sizes=(32, 64)),
    ),
    st.one_of(st.sampled_from(((3, 5), (3,), (5,))), hnp.array_shapes(min_dims=0, min_side=0)),
)
junk = st.one_of(st.sampled_from(OBJECTS), arrays, st.integers(), st.floats(), st.text(max_size=5))

WEIGHTED = ("weight", "sample_weight", "ignore_index", "axis", "reduction")
MORE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(both(CLASS_LOSSES), WEIGHTED),
    **dict.fromkeys(both(BINARY_LOSSES), ("weight", "reduction")),
    **dict.fromkeys(both(("cross_entropy",)), (*WEIGHTED, "label_smoothing", "z_loss")),
    **dict.fromkeys(both(("categorical_cross_entropy",)), (*WEIGHTED, "eps")),
    **dict.fromkeys(("softmax", "log_softmax", *VJPS, "top_k"), ("axis",)),
    "logsumexp": ("axis", "keepdims"),
    "accuracy": ("axis", "k", "ignore_index"),
    "perplexity": ("axis", "ignore_index"),
}


def parameters(function: str) -> list[str]:
    """Name all parameters of a function."""
    out = ["out"] if PLAIN[function].has_out else []
    return [*arguments(function), *MORE.get(function, ()), *out]


def call(function: str, changed: dict[str, object]) -> None:
    """Call with some arguments replaced: it works, or is refused."""
    with warnings.catch_warnings():
        # NumPy warns of some of the junk that it converts.
        warnings.simplefilter("ignore")
        try:
            getattr(logitkit, function)(**arguments(function) | changed)
        except (*REFUSALS, ExpectedError) as error:
            assert "panic" not in str(error).lower()  # noqa: PT017


@pytest.mark.parametrize("function", PLAIN)
def test_every_object_as_every_argument(function: str) -> None:
    for name in parameters(function):
        for value in OBJECTS:
            call(function, {name: value})


@settings(max_examples=1000)
@given(data=st.data())
def test_any_arguments(data: st.DataObject) -> None:
    function = data.draw(st.sampled_from(sorted(PLAIN)), "function")
    names = data.draw(st.lists(st.sampled_from(parameters(function)), max_size=4), "parameters")
    call(function, {name: data.draw(junk, name) for name in names})


@pytest.mark.parametrize("function", PLAIN)
def test_errors_of_the_arguments_come_through(function: str) -> None:
    for name in PLAIN[function].arrays:
        with pytest.raises(ExpectedError):
            getattr(logitkit, function)(**arguments(function) | {name: Raises()})


@pytest.mark.parametrize("count", [*OBJECTS[:20], Lies(), np.zeros(2)])
def test_number_of_threads(count: Any) -> None:  # noqa: ANN401
    before = logitkit.get_num_threads()
    try:
        logitkit.set_num_threads(count)
    except REFUSALS:
        assert logitkit.get_num_threads() == before
    finally:
        logitkit.set_num_threads(before)


TOO_LARGE = """
import numpy as np, logitkit
x = np.broadcast_to(np.float64(0.5), (2**57, 3))
try:
    {call}
except (MemoryError, ValueError) as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize(
    "call",
    [
        "logitkit.softmax(x)",
        "logitkit.log_softmax(x)",
        "logitkit.softmax(x, 0)",
        "logitkit.logsumexp(x)",
        "logitkit.sigmoid(x)",
        "logitkit.softmax_vjp(x, x)",
        "logitkit.log_softmax_vjp(x, x)",
        "logitkit.top_k(x, 1)",
        "logitkit.softmax(np.broadcast_to(np.int8(1), x.shape))",
    ],
)
def test_results_larger_than_any_memory(call: str) -> None:
    """A view of one element may be larger than the address space: that must not abort."""
    code = TOO_LARGE.format(call=call)
    told = printed("-c", code, timeout=60).split()
    assert told in (["MemoryError"], ["_ArrayMemoryError"], ["ValueError"])
