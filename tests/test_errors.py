"""What is refused: the type of the error, the facts that its message names, and `out` untouched.

Dtypes, axes, shapes, targets and options are refused here, `out` and junk of every kind in
test_errors_of_out.py and test_junk.py.
"""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import logitkit
from tests.operations import VJPS
from tests.refusals import (
    BINARY_LOSSES,
    CLASS_LOSSES,
    LOSSES,
    PLAIN,
    WITH_INDICES,
    arguments,
    both,
    first_of,
    one_bad,
    refused,
    shape_pattern,
)

each_function = pytest.mark.parametrize("function", PLAIN)
SEVERAL_AXES = ("softmax", "log_softmax", "logsumexp")
WITH_AXIS = [name for name, operation in PLAIN.items() if operation.has_axis]


# Dtypes


REFUSED_DTYPES: dict[str, Callable[[tuple[int, ...]], Any]] = {
    "complex64": lambda shape: np.ones(shape, np.complex64),
    "complex128": lambda shape: np.ones(shape, np.complex128),
    "object": lambda shape: np.ones(shape, object),
    "<U1": lambda shape: np.full(shape, "1"),
    r"\|S1": lambda shape: np.full(shape, b"1"),
    "datetime64": lambda shape: np.zeros(shape, "datetime64[s]"),
    "timedelta64": lambda shape: np.zeros(shape, "timedelta64[s]"),
    "float8_e4m3fn": lambda shape: np.ones(shape, ml_dtypes.float8_e4m3fn),
    "V8|void": lambda shape: np.zeros(shape, "V8"),
    "'real', '<f4'": lambda shape: np.zeros(shape, [("real", np.float32), ("imaginary", "f4")]),
}


@each_function
@pytest.mark.parametrize("dtype", REFUSED_DTYPES)
def test_dtypes(function: str, dtype: str) -> None:
    for name, value in arguments(function).items():
        if name != "k":
            bad = REFUSED_DTYPES[dtype](np.shape(value))
            refused(function, TypeError, dtype, rf"\b{name}\b", **{name: bad})
    accepted = ("float16", "bfloat16", "float32", "float64", "int", "bool")
    refused(function, TypeError, *accepted, **{first_of(function): REFUSED_DTYPES[dtype]((3, 5))})


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="longdouble is float64 here")
@each_function
def test_longdouble(function: str) -> None:
    kind = np.dtype(np.longdouble).name
    refused(function, TypeError, kind, **{first_of(function): np.ones((3, 5), np.longdouble)})


@pytest.mark.parametrize("name", ["weight", "sample_weight"])
@pytest.mark.parametrize("function", both(CLASS_LOSSES))
def test_dtypes_of_weights_of_classes_and_rows(function: str, name: str) -> None:
    size = 5 if name == "weight" else 3
    refused(function, TypeError, name, "complex128", **{name: np.ones(size, complex)})


@pytest.mark.parametrize("function", both(BINARY_LOSSES))
def test_dtypes_of_weights_of_elements(function: str) -> None:
    refused(function, TypeError, "weight", "complex128", weight=np.ones(5, complex))
    if "logits" in function:
        refused(function, TypeError, "pos_weight", "object", pos_weight=np.ones(5, object))


@each_function
def test_masked_elements(function: str) -> None:
    """A mask that masks something is not dropped in silence."""
    for name, value in arguments(function).items():
        if name != "k":
            mask = np.zeros(np.shape(value), bool)
            mask.flat[:2] = True
            masked = np.ma.masked_array(value, mask)
            facts = (r"\b2\b", "masked", r"\.filled\(", r"where=~x\.mask", rf"\b{name}\b")
            refused(function, TypeError, *facts, **{name: masked})


# Axes


@pytest.mark.parametrize("function", WITH_AXIS)
@pytest.mark.parametrize("axis", [2, -3, 10**6, -(2**63), 2**63, 10**30])
def test_axes_out_of_range(function: str, axis: int) -> None:
    refused(function, np.exceptions.AxisError, str(axis)[:12], "dimension 2", axis=axis)


@pytest.mark.parametrize("function", WITH_AXIS)
@pytest.mark.parametrize("axis", [0, -1, 1])
def test_no_dimension_has_no_axis(function: str, axis: int) -> None:
    changed: dict[str, Any] = dict.fromkeys(PLAIN[function].arrays, 0)
    facts = (str(axis), "dimension 0")
    refused(function, np.exceptions.AxisError, *facts, **changed, axis=axis, **no_out(function))


def no_out(function: str) -> dict[str, None]:
    """Take `out` out of a call."""
    return {"out": None} if PLAIN[function].has_out else {}


@pytest.mark.parametrize("function", WITH_AXIS)
@pytest.mark.parametrize(
    "axis, kind",
    [
        (True, "bool"),
        (np.True_, "bool"),
        (1.0, "float"),
        (np.float64(1), "float64"),
        ("1", "str"),
        ([1], "list"),
    ],
)
def test_types_of_axis(function: str, axis: object, kind: str) -> None:
    refused(function, TypeError, "axis", r"\bint\b", kind, axis=axis)


@pytest.mark.parametrize("function", [name for name in WITH_AXIS if name not in SEVERAL_AXES])
@pytest.mark.parametrize("axis, kind", [(None, "None"), ((0, 1), "tuple")])
def test_one_axis_only(function: str, axis: object, kind: str) -> None:
    refused(function, TypeError, "axis", r"\bint\b", kind, axis=axis)


# Shapes of targets


@pytest.mark.parametrize("function", [*both(CLASS_LOSSES), "perplexity"])
@pytest.mark.parametrize("shape", [(), (4,), (5,), (3, 1), (5, 3), (1, 5), (3, 5, 1), (0,)])
def test_shapes_of_targets(function: str, shape: tuple[int, ...]) -> None:
    """The message prints both shapes and both forms that are accepted."""
    facts = (shape_pattern(shape), shape_pattern((3, 5)), shape_pattern((3,)), "indices", "probab")
    refused(function, ValueError, *facts, targets=np.zeros(shape, int))
    refused(function, ValueError, *facts, targets=np.zeros(shape))


@pytest.mark.parametrize("shape", [(), (4,), (5,), (3, 1), (5, 3), (3, 5, 1)])
def test_shapes_of_targets_of_accuracy(shape: tuple[int, ...]) -> None:
    facts = (shape_pattern(shape), shape_pattern((3, 5)), shape_pattern((3,)), "ind(ex|ices)")
    refused("accuracy", ValueError, *facts, targets=np.zeros(shape, int))


@pytest.mark.parametrize("function", [*both(CLASS_LOSSES), "perplexity"])
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.bool_])
def test_indices_are_integers(function: str, kind: type) -> None:
    """Floats that hold indices are a common slip: the message gives both remedies."""
    facts = (rf"\b{np.dtype(kind).name}\b", "integer", "one-hot", r"np\.asarray\(targets, int\)")
    refused(function, ValueError, *facts, targets=np.zeros(3, kind))


def test_accuracy_needs_indices() -> None:
    refused("accuracy", ValueError, "ind(ex|ices)", targets=np.zeros((3, 5)))
    refused("accuracy", (TypeError, ValueError), "ind(ex|ices)", targets=np.zeros(3))


@pytest.mark.parametrize("function", both(BINARY_LOSSES))
@pytest.mark.parametrize("shape", [(), (5,), (1, 5), (3, 1), (3, 5, 1), (5, 3)])
def test_binary_targets_do_not_broadcast(function: str, shape: tuple[int, ...]) -> None:
    facts = ("targets", shape_pattern(shape), shape_pattern((3, 5)))
    refused(function, ValueError, *facts, targets=np.zeros(shape))


# Class indices


@pytest.mark.parametrize("function", [*both(CLASS_LOSSES), "accuracy", "perplexity"])
@pytest.mark.parametrize("value", [5, 6, -1, -5, -6, 127, -128, 2**40, -(2**63), 2**63 - 1])
def test_class_indices_out_of_range(function: str, value: int) -> None:
    """Negative ones do not wrap."""
    targets = np.array([4, 0, value])
    facts = (r"targets.*" + shape_pattern((2,)), rf"(?<!\d){value}\b", r"\b5\b")
    refused(function, IndexError, *facts, targets=targets)


@pytest.mark.parametrize("function", both(CLASS_LOSSES))
@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "uint64"])
def test_class_indices_of_any_width_out_of_range(function: str, kind: str) -> None:
    largest = int(np.iinfo(kind).max)
    for dtype in (np.dtype(kind), np.dtype(kind).newbyteorder()):
        targets = np.array([0, largest, 1], dtype)
        refused(function, IndexError, shape_pattern((1,)), str(largest), targets=targets)


@pytest.mark.parametrize("value", [2**63, 2**64 - 1, 2**64 - 100, 2**63 + 4])
@pytest.mark.parametrize("function", WITH_INDICES)
def test_indices_beyond_int64_do_not_wrap(function: str, value: int) -> None:
    targets = np.array([0, value, 1], np.uint64)
    refused(function, IndexError, str(value), shape_pattern((1,)), targets=targets)
    wrapped = value - 2**64
    refused(function, IndexError, str(value), targets=targets, ignore_index=wrapped)


@pytest.mark.parametrize("function", WITH_INDICES)
def test_minus_100_suggests_ignore_index(function: str) -> None:
    refused(function, IndexError, "-100", "ignore_index=-100", targets=np.array([0, -100, 1]))


@pytest.mark.parametrize("function", WITH_INDICES)
def test_only_the_ignored_index_is_let_through(function: str) -> None:
    for ignored, value in ((-1, -2), (0, -1), (7, 6), (-100, 5)):
        targets = np.array([1, ignored, value])
        facts = (shape_pattern((2,)), rf"(?<!\d){value}\b")
        refused(function, IndexError, *facts, targets=targets, ignore_index=ignored)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("function", both(CLASS_LOSSES))
def test_positions_have_every_dimension(function: str, axis: int) -> None:
    shape = (3, 4, 5)
    given = arguments(function, shape, axis)
    given["targets"][1, 2] = 9
    refused(function, IndexError, shape_pattern((1, 2)), r"\b9\b", axis=axis, **given)


@pytest.mark.parametrize("function", both(CLASS_LOSSES))
def test_rows_left_out_have_their_indices_checked(function: str) -> None:
    targets, weight = np.array([0, 5, 1]), np.array([1.0, 0.0, 1.0])
    refused(function, IndexError, shape_pattern((1,)), targets=targets, sample_weight=weight)


@pytest.mark.parametrize("function", both(CLASS_LOSSES))
def test_a_bad_index_behind_many_good_ones(function: str) -> None:
    given = arguments(function, (40_000, 3))
    given["targets"][39_998] = 3
    refused(function, IndexError, shape_pattern((39_998,)), **given)


@pytest.mark.parametrize("function", both(CLASS_LOSSES))
@pytest.mark.parametrize("shape, axis", [((3, 0), 1), ((0, 3), 0), ((0, 0), 1), ((0,), 0)])
def test_no_classes(function: str, shape: tuple[int, ...], axis: int) -> None:
    given = {first_of(function): np.zeros(shape), "targets": np.zeros(np.delete(shape, axis), int)}
    refused(function, ValueError, "class", shape_pattern(shape), axis=axis, **given)


# Weights


@pytest.mark.parametrize("function", both(CLASS_LOSSES))
@pytest.mark.parametrize("shape", [(), (1,), (4,), (6,), (1, 5), (3, 5)])
def test_shapes_of_class_weights(function: str, shape: tuple[int, ...]) -> None:
    facts = (r"\bweight", shape_pattern(shape), shape_pattern((5,)))
    refused(function, ValueError, *facts, weight=np.ones(shape))


@pytest.mark.parametrize("function", both(CLASS_LOSSES))
@pytest.mark.parametrize("shape", [(), (1,), (4,), (5,), (3, 1), (3, 5)])
def test_shapes_of_sample_weights(function: str, shape: tuple[int, ...]) -> None:
    facts = ("sample_weight", shape_pattern(shape), shape_pattern((3,)))
    refused(function, ValueError, *facts, sample_weight=np.ones(shape))


@pytest.mark.parametrize("function", both(BINARY_LOSSES))
@pytest.mark.parametrize("shape", [(3,), (4,), (2, 5), (5, 3), (3, 5, 1), (2, 3, 5)])
def test_weights_of_elements_broadcast_or_are_refused(
    function: str, shape: tuple[int, ...]
) -> None:
    for name in ("weight", "pos_weight") if "logits" in function else ("weight",):
        facts = (rf"\b{name}\b", shape_pattern(shape), shape_pattern((3, 5)))
        refused(function, ValueError, *facts, **{name: np.ones(shape)})


# Options


@pytest.mark.parametrize("function", both(("cross_entropy",)))
@pytest.mark.parametrize("value", [-0.1, 1.1, -1e-300, np.nan, np.inf, -np.inf, 2])
def test_label_smoothing_is_a_share(function: str, value: float) -> None:
    facts = ("label_smoothing", float(value), r"\b0\b.*\b1\b")
    refused(function, ValueError, *facts, label_smoothing=value)


@pytest.mark.parametrize("function", both(("categorical_cross_entropy", "binary_cross_entropy")))
@pytest.mark.parametrize("value", [-1e-9, 0.5, 0.7, 1, np.nan, np.inf])
def test_eps_is_less_than_a_half(function: str, value: float) -> None:
    refused(function, ValueError, r"\beps\b", float(value), 0.5, eps=value)


@pytest.mark.parametrize(
    "option, function",
    [
        ("label_smoothing", "cross_entropy"),
        ("z_loss", "cross_entropy_and_grad"),
        ("eps", "categorical_cross_entropy"),
        ("eps", "binary_cross_entropy_and_grad"),
    ],
)
@pytest.mark.parametrize("value", ["0.1", b"1", None, [0.1], (0.1,), 0.1j, {}])
def test_options_that_are_numbers(option: str, function: str, value: object) -> None:
    refused(function, TypeError, rf"\b{option}\b", **{option: value})


@pytest.mark.parametrize("function", both(LOSSES))
@pytest.mark.parametrize("value", ["avg", "MEAN", "", "mean ", "\x00", "\ud800"])
def test_unknown_reductions(function: str, value: str) -> None:
    refused(function, ValueError, "reduction", "none", "mean", "sum", reduction=value)


@pytest.mark.parametrize("function", both(LOSSES))
@pytest.mark.parametrize("value", [None, 1, b"mean", ["mean"], np.array("mean")])
def test_types_of_reductions(function: str, value: object) -> None:
    refused(function, TypeError, "reduction", "none", "mean", "sum", reduction=value)


@pytest.mark.parametrize("function", ["top_k", "accuracy"])
@pytest.mark.parametrize("k", [-1, 6, 2**70, -(2**70), np.int64(6)])
def test_k_is_out_of_range(function: str, k: int) -> None:
    refused(function, ValueError, r"\bk\b", str(k)[:12], r"\b5\b", k=k)


@pytest.mark.parametrize("function", ["top_k", "accuracy"])
@pytest.mark.parametrize("k", [1.0, "1", None, True, [1], (1,)])
def test_types_of_k(function: str, k: object) -> None:
    refused(function, TypeError, r"\bk\b", r"\bint\b", k=k)


@pytest.mark.parametrize("function", WITH_INDICES)
@pytest.mark.parametrize("value", [1.0, "1", True, [1], (1,)])
def test_types_of_ignore_index(function: str, value: object) -> None:
    refused(function, TypeError, "ignore_index", r"\bint\b", ignore_index=value)


@pytest.mark.parametrize("function", both(CLASS_LOSSES))
@pytest.mark.parametrize("value", [-100, 0, 2**70])
def test_ignore_index_needs_indices(function: str, value: int) -> None:
    facts = ("ignore_index", "ind(ex|ices)")
    for targets in (np.ones((3, 5)) / 5, np.eye(5, dtype=int)[:3], np.eye(5, dtype=bool)[:3]):
        refused(function, ValueError, *facts, targets=targets, ignore_index=value)


# Values


@pytest.mark.parametrize("function", both(BINARY_LOSSES))
@pytest.mark.parametrize("value", [1.5, -0.25, 1.0 + 1e-15, -5e-324, np.nan, np.inf, -np.inf])
def test_binary_targets_lie_in_0_to_1(function: str, value: float) -> None:
    targets = one_bad(function, "targets", (1, 3), value)
    facts = (r"targets.*" + shape_pattern((1, 3)), value, r"\b0\b.*\b1\b")
    refused(function, ValueError, *facts, targets=targets)


@pytest.mark.parametrize("function", both(BINARY_LOSSES))
@pytest.mark.parametrize("kind, value", [("int64", 2), ("int8", -1), ("uint8", 255), ("f4", 1.5)])
def test_binary_targets_of_other_dtypes(function: str, kind: str, value: float) -> None:
    targets = np.zeros((3, 5), kind)
    targets[2, 4] = value
    facts = (shape_pattern((2, 4)), str(value))
    refused(function, ValueError, *facts, targets=targets)
    refused(function, ValueError, *facts, targets=np.asfortranarray(targets))


PROBABILITIES = both(("categorical_cross_entropy", "binary_cross_entropy"))


@pytest.mark.parametrize("function", PROBABILITIES)
@pytest.mark.parametrize("value", [1.5, -0.25, 1.0 + 1e-15, -5e-324, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [(0, 0), (2, 4), (1, 2)])
def test_probabilities_lie_in_0_to_1(
    function: str, value: float, position: tuple[int, int]
) -> None:
    facts = (r"probs.*" + shape_pattern(position), value, r"\b0\b.*\b1\b")
    probs = one_bad(function, "probs", position, value)
    refused(function, ValueError, *facts, probs=probs)
    refused(function, ValueError, *facts, probs=np.asfortranarray(probs))


@pytest.mark.parametrize("function", PROBABILITIES)
@pytest.mark.parametrize("value", [1.0625, -0.0625, np.nan])
def test_eps_forgives_no_more_than_eps(function: str, value: float) -> None:
    probs = one_bad(function, "probs", (1, 1), value)
    refused(function, ValueError, shape_pattern((1, 1)), probs=probs, eps=0.03125)


@pytest.mark.parametrize("function", PROBABILITIES)
@pytest.mark.parametrize("position", [(0, 0), (29_999, 6), (17_000, 3)])
def test_a_bad_probability_among_many(function: str, position: tuple[int, int]) -> None:
    given = arguments(function, (30_000, 7))
    given["probs"][position] = 2.0
    refused(function, ValueError, shape_pattern(position), r"\b2\b", **given)


# vjps and linear


@pytest.mark.parametrize("function", VJPS)
@pytest.mark.parametrize("shape", [(), (5,), (1, 5), (3, 4), (3, 5, 1)])
def test_cotangents_have_the_shape_of_the_result(function: str, shape: tuple[int, ...]) -> None:
    facts = ("cotangent", shape_pattern(shape), shape_pattern((3, 5)))
    refused(function, ValueError, *facts, cotangent=np.ones(shape))


@pytest.mark.parametrize("shape", [(), (5,), (4, 4), (5, 4), (4, 5, 1)])
def test_shapes_of_the_weights_of_linear(shape: tuple[int, ...]) -> None:
    """The message names what is wrong with them: the number of dimensions, or of features."""
    shown = str(shape[-1]) if len(shape) == 2 else shape_pattern(shape)
    refused("linear", ValueError, "weight", shown, weight=np.ones(shape))


@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 4)])
def test_shapes_of_the_bias_of_linear(shape: tuple[int, ...]) -> None:
    facts = ("bias", shape_pattern(shape), r"\b4\b")
    refused("linear", ValueError, *facts, bias=np.ones(shape))


# Signatures, threads

POSITIONAL = dict.fromkeys(PLAIN, 2) | dict.fromkeys((*VJPS, "linear", "top_k"), 3)
POSITIONAL |= dict.fromkeys(("sigmoid", "log_sigmoid", "softplus"), 1)


@each_function
def test_the_rest_is_by_keyword_only(function: str) -> None:
    given = list(arguments(function).values())
    count = POSITIONAL[function]
    call = getattr(logitkit, function)
    accepted = given[:count] if len(given) >= count else [*given, -1]
    call(*accepted)
    with pytest.raises(TypeError, match="positional"):
        call(*accepted, None)
    with pytest.raises(TypeError):
        call(*accepted, unknown=1)
    with pytest.raises(TypeError):
        call()


@pytest.mark.parametrize("count", [0, -1, -(2**31), -(2**70)])
def test_fewer_than_one_thread(count: int) -> None:
    before = logitkit.get_num_threads()
    with pytest.raises(ValueError, match=rf"{str(count)[:12]}"):
        logitkit.set_num_threads(count)
    assert logitkit.get_num_threads() == before


@pytest.mark.parametrize("count", [1.5, 2.0, True, np.True_, "2", None, [2]])
def test_types_of_the_number_of_threads(count: Any) -> None:  # noqa: ANN401
    before = logitkit.get_num_threads()
    with pytest.raises(TypeError, match=r"\bint\b"):
        logitkit.set_num_threads(count)
    assert logitkit.get_num_threads() == before
