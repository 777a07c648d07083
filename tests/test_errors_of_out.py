"""What is refused as `out`, and that no error of any kind has `out` written to.

Layouts of `out` that are accepted are tested in test_layouts_of_out.py.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import logitkit
from tests.layouts import LAYOUTS
from tests.operations import OPERATIONS, Operation, assert_same
from tests.refusals import CLASS_LOSSES, PLAIN, arguments, first_of, refused, shape_pattern
from tests.support import Array, Float, rng_of

WITH_OUT = [name for name, operation in PLAIN.items() if operation.has_out]

each_function = pytest.mark.parametrize("function", WITH_OUT)


@each_function
@pytest.mark.parametrize("shape", [(), (5,), (3,), (1, 5), (3, 4), (5, 3), (3, 5, 1), (2, 3, 5)])
def test_shapes(function: str, shape: tuple[int, ...]) -> None:
    """Nothing is broadcast into `out`."""
    facts = (r"\bout\b", shape_pattern(shape), shape_pattern((3, 5)))
    refused(function, ValueError, *facts, out=np.zeros(shape))


@each_function
@pytest.mark.parametrize("kind", ["f4", "f2", "i8", "c16", "O", "bool", "V8", "M8[s]"])
def test_dtypes(function: str, kind: str) -> None:
    dtype = np.dtype(kind)
    out = np.zeros((3, 5), dtype)
    name = re.escape(dtype.name) if dtype.kind != "V" else "V8|void"
    refused(function, (TypeError, ValueError), r"\bout\b", name, "float64", out=out)


@each_function
def test_out_of_float32_logits_is_float32(function: str) -> None:
    first = arguments(function)[first_of(function)].astype(np.float32)
    facts = (r"\bout\b", "float64", "float32")
    out = np.zeros((3, 5))
    refused(function, (TypeError, ValueError), *facts, **{first_of(function): first}, out=out)


@each_function
def test_read_only(function: str) -> None:
    out = np.zeros((3, 5))
    out.setflags(write=False)
    refused(function, ValueError, r"\bout\b", "read-only|writ", out=out)


@each_function
def test_masked_elements(function: str) -> None:
    """Results would be hidden; a mask that masks nothing is none."""
    out = np.ma.masked_array(np.full((3, 5), 7.0), mask=False)
    out[1, 2] = np.ma.masked
    refused(function, TypeError, r"\bout is a masked array with 1 ", r"\bout\.data\b", out=out)
    assert (out.data == 7).all()
    out.mask = False
    getattr(logitkit, function)(**arguments(function) | {"out": out})
    assert not (out.data == 7).any()


@each_function
def test_byte_swapped(function: str) -> None:
    out = np.zeros((3, 5), np.dtype(np.float64).newbyteorder())
    refused(function, ValueError, r"\bout\b", "byte", out=out)


@each_function
@pytest.mark.parametrize("strides", [(0, 8), (40, 0), (0, 0), (8, 8), (16, 8), (4, 8), (40, 4)])
def test_overlapping_itself(function: str, strides: tuple[int, int]) -> None:
    out = np.lib.stride_tricks.as_strided(np.zeros(100), (3, 5), strides)
    refused(function, ValueError, r"\bout\b", "overlap", out=out)


@each_function
@pytest.mark.parametrize("strides", [(8, 24), (40, 16), (-40, 16), (8, -24)])
def test_interleaved_but_apart(function: str, strides: tuple[int, int]) -> None:
    """Elements that lie between each other share no memory: nothing is wrong with that."""
    operation, given = PLAIN[function], arguments(function)
    out = np.lib.stride_tricks.as_strided(np.zeros(200)[60:], (3, 5), strides)
    assert_same(operation, operation(given, out=out), operation(given))


@each_function
@pytest.mark.parametrize("out", [[[0.0] * 5] * 3, 0.0, "out", True, memoryview(b"0" * 15), {}, ()])
def test_not_an_array(function: str, out: object) -> None:
    refused(function, TypeError, r"\bout\b", "array", type(out).__name__, out=out)


# Whatever is wrong with the other arguments


def replaced(rows: Array, position: int, value: int) -> dict[str, Array]:
    """Give targets with one of them replaced."""
    changed = rows.copy()
    changed[position] = value
    return {"targets": changed}


BAD: dict[str, Callable[[Array], dict[str, Any]]] = {
    "the last class index": lambda rows: replaced(rows, -1, 9),
    "the first class index": lambda rows: replaced(rows, 0, -1),
    "the weights": lambda rows: {"weight": np.ones(len(rows) + 1)},
    "the sample weights": lambda rows: {"sample_weight": np.ones(len(rows) + 1)},
    "the dtype of the weights": lambda _: {"weight": np.ones(7, complex)},
    "the reduction": lambda _: {"reduction": "average"},
    "the axis": lambda _: {"axis": 5},
    "ignore_index": lambda _: {"ignore_index": "none"},
    "the targets": lambda rows: {"targets": rows[:-1]},
}


@pytest.mark.parametrize("function", CLASS_LOSSES)
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("layout", ["gaps", "reversed", "unaligned", "fortran"])
def test_out_is_not_written_to(function: str, bad: str, layout: str) -> None:
    """Not even where thousands of rows come before the bad one."""
    name = f"{function}_and_grad"
    given = arguments(name, (20_000, 7))
    out = LAYOUTS[layout](np.full((20_000, 7), 7.0))
    refused(
        name, (ValueError, IndexError, TypeError), **given | BAD[bad](given["targets"]), out=out
    )


@pytest.mark.parametrize("function", ["binary_cross_entropy", "binary_cross_entropy_with_logits"])
@pytest.mark.parametrize("argument", ["targets", "first"])
def test_out_is_not_written_to_by_binary_losses(function: str, argument: str) -> None:
    name = f"{function}_and_grad"
    given = arguments(name, (20_000, 7))
    parameter = first_of(name) if argument == "first" else "targets"
    if parameter == "logits":
        given["reduction"] = "average"
    else:
        given[parameter][-1, -1] = 1.5
    refused(name, ValueError, **given, out=np.full((20_000, 7), 7.0))


@pytest.mark.parametrize("label", [o.label for o in OPERATIONS if o.has_out])
def test_in_place_keeps_the_input_when_refused(label: str, dtype: Float) -> None:
    """An error in a call in place leaves the logits as they were."""
    operation: Operation = {o.label: o for o in OPERATIONS}[label]
    arrays = operation.make(rng_of(label), (3, 5), 1, dtype)
    place = arrays[operation.first]
    before = place.copy()
    with pytest.raises(TypeError):
        operation(arrays, axis=1, out=place, unknown=True)
    if operation.has_axis:
        with pytest.raises(np.exceptions.AxisError):
            operation(arrays, axis=2, out=place)
    assert np.array_equal(place, before)
