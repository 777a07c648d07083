"""How tests of errors are written: a call with one argument changed, and what its error must say.

Which arguments are refused stands in the tests.
"""

import re
from typing import Any

import numpy as np
import pytest

import logitkit
from tests.operations import OPERATIONS, Operation
from tests.support import Array, index_shape, rng_of

# Each function once, without options.
PLAIN: dict[str, Operation] = {o.function: o for o in reversed(OPERATIONS)}
SHAPE = (3, 5)

CLASS_LOSSES = ("cross_entropy", "nll_loss", "categorical_cross_entropy")
BINARY_LOSSES = ("binary_cross_entropy", "binary_cross_entropy_with_logits")
LOSSES = CLASS_LOSSES + BINARY_LOSSES
WITH_INDICES = (*CLASS_LOSSES, "accuracy", "perplexity")


def both(names: tuple[str, ...]) -> list[str]:
    """Name losses, and the same with their gradients."""
    return [name + suffix for name in names for suffix in ("", "_and_grad")]


def arguments(function: str, shape: tuple[int, ...] = SHAPE, axis: int = -1) -> dict[str, Any]:
    """Give arguments by name that a function accepts."""
    operation = PLAIN[function]
    arrays = operation.make(rng_of("arguments", function), shape, axis, np.float64)
    return {**arrays, **({"k": 1} if function == "top_k" else {})}


def first_of(function: str) -> str:
    """Name the first parameter of a function."""
    return PLAIN[function].first


def shape_pattern(shape: tuple[int, ...]) -> str:
    """Match a shape or an index as Python or Rust prints it."""
    return rf"[(\[]{', ?'.join(map(str, shape))},?[)\]]"


def refused(
    function: str,
    error: type[Exception] | tuple[type[Exception], ...],
    *facts: str | float,
    **changed: Any,  # noqa: ANN401
) -> None:
    """Call with some arguments changed: the error's message must hold every fact.

    A fact is a pattern, or a number that the message must name. A message fits on a few lines. An
    `out` that the function takes is left as it was: everything is checked before it is written.
    """
    given = arguments(function) | changed
    if PLAIN[function].has_out and "out" not in changed:
        first = given[first_of(function)]
        is_float = isinstance(first, np.ndarray) and first.dtype in (np.float32, np.float64)
        shape, dtype = (first.shape, first.dtype) if is_float else (SHAPE, np.dtype(np.float64))
        given["out"] = np.full(shape, 7, dtype)
    out = np.asarray(given.get("out"))
    before = out.copy()
    with pytest.raises(error) as caught:
        getattr(logitkit, function)(**given)
    message = str(caught.value)
    for fact in facts:
        assert holds(message, fact), f"no {fact!r} in: {message}"
    assert len(message) < 350, message
    assert out.tobytes() == before.tobytes(), "out was written to"


def holds(message: str, fact: str | float) -> bool:
    """Tell whether a message matches a pattern, or names a number in any notation."""
    if isinstance(fact, str):
        return re.search(fact, message, re.IGNORECASE) is not None
    numbers = re.findall(r"-?(?:\d+\.?\d*(?:e[+-]?\d+)?|inf|nan)", message, re.IGNORECASE)
    return any(np.array_equal(float(number), fact, equal_nan=True) for number in numbers)


def one_bad(function: str, name: str, position: tuple[int, ...], value: float) -> Array:
    """Give the argument of that name with one element replaced."""
    changed: Array = arguments(function)[name].copy()
    changed[position] = value
    return changed


def rows_like(x: Array, axis: int = -1) -> Array:
    """Give class indices 0 for the rows of `x`."""
    return np.zeros(index_shape(x, axis), np.int64)


def advice(function: str, *arguments: object, **options: object) -> str:
    """Give the last clause of the message that a call is refused with."""
    call: Any = getattr(logitkit, function)
    with pytest.raises((TypeError, ValueError)) as caught:
        call(*arguments, **options)
    return re.split(r"[;:] ", str(caught.value))[-1]


def followed(told: str, **names: object) -> Any:  # noqa: ANN401
    """Evaluate the expression at the end of a piece of advice."""
    expression = told.removeprefix("write ")
    return eval(expression, {"np": np} | names)  # noqa: S307 - it is logitkit's own
