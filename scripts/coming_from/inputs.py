"""The arrays that all libraries are given, and what is common to the questions."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

# An array of any library, and what is recorded: numbers, lists of them, or the name of an error.
Tensor = Any
Answers = dict[str, Any]

NAN, INF = float("nan"), float("inf")

# The test reads them from the file.
INPUTS: dict[str, Any] = {
    "logits": [[2.0, 1.0, 0.5], [0.5, 2.5, 1.0], [1.0, 0.0, -1.0]],
    "classes": [0, 1, 2],
    "some_ignored": [0, -100, 2],
    "class_weights": [1.0, 2.0, 4.0],
    "sample_weights": [1.0, 2.0, 3.0],
    "soft": [[0.75, 0.25, 0.0], [0.25, 0.25, 0.5], [0.0, 0.0, 2.0]],
    "probs": [[0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [0.25, 0.25, 0.5]],
    "cotangent": [[1.0, 2.0, 3.0], [0.0, 1.0, 0.0], [-1.0, 0.5, 0.0]],
    # A right answer that leads by 30.
    "sure": [[40.0, 10.0, 10.0]],
    "special_rows": [[-INF, -INF], [0.0, INF], [0.0, NAN], [0.0, -INF]],
    # (N, C, length), and the classes of each position.
    "images": [
        [[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 3.0, 1.0], [2.0, 0.0, 1.0, 1.0]],
        [[1.0, 0.0, 0.5, 2.0], [0.0, 2.0, 2.5, 1.0], [3.0, 1.0, 0.0, 1.0]],
    ],
    "image_classes": [[0, 1, 2, 0], [1, 1, 2, 0]],
    "absent": [[0.0, 0.0, -INF]],
    "mask": [[True, True, False], [True, False, True], [True, True, True]],
    "elements": [-800.0, -40.0, -1.0, 0.0, 2.0, 40.0, INF, -INF, NAN],
    "far_below": [-100.0, -89.0],
    "linear_bias": [0.5, -0.5, 1.0],
    "binary_logits": [[2.0, -1.0], [0.25, 40.0]],
    "binary_targets": [[1.0, 0.0], [0.25, 1.0]],
    "binary_weights": [1.0, 3.0],
    "pos_weights": [2.0, 0.5],
    "binary_probs": [[0.75, 0.125], [0.5, 0.9375]],
    # Each end with each target, and a probability whose logarithm is below -100.
    "ends": [0.0, 1.0, 0.0, 1.0, 1e-60],
    "end_targets": [1.0, 0.0, 0.0, 1.0, 1.0],
    "infinite": [INF, -INF, INF, -INF],
    "infinite_targets": [1.0, 0.0, 0.0, 1.0],
    "ties": [1.0, 3.0, 2.0, 3.0, 3.0],
    "with_nan": [1.0, NAN, 3.0, 2.0],
}


def given(name: str, dtype: DTypeLike | None = None) -> Any:  # noqa: ANN401
    """Give an input as an array of NumPy."""
    return np.array(INPUTS[name], dtype=dtype)


def attempt(call: Callable[[], Any]) -> Any:  # noqa: ANN401
    """Give what a call gives, or the name of its error."""
    try:
        return call()
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        return type(error).__name__
