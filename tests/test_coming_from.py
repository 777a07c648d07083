"""docs/coming-from.md is right about torch, jax, optax and Keras.

scripts/record_coming_from.py has asked them, so that they are not needed here. What the page says
of SciPy and scikit-learn is tested in test_coming_from_scipy.py, what it says of tensors in
test_interop_torch.py.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import logitkit
from logitkit import binary_cross_entropy, categorical_cross_entropy
from tests.coming_from import (
    AGREEING,
    DIFFERING,
    END_T,
    ENDS,
    RECORD,
    Call,
    none,
)

PAGE = (Path(__file__).parent.parent / "docs" / "coming-from.md").read_text(encoding="utf-8")


def attempt(call: Call) -> Any:  # noqa: ANN401
    """Give what a call gives, or the name of its error."""
    try:
        return call()
    except (IndexError, TypeError, ValueError) as error:
        return type(error).__name__


def matches(got: Any, want: Any, rtol: float, atol: float = 0.0) -> bool:  # noqa: ANN401
    """Whether two answers are the same: words, numbers to a tolerance, or errors of any type."""
    if isinstance(want, dict):
        return all(matches(got[key], item, rtol, atol) for key, item in want.items())
    if isinstance(want, list) and want and isinstance(want[-1], list) and isinstance(got, tuple):
        return all(matches(*both, rtol, atol) for both in zip(got, want, strict=True))
    if is_word(got) or is_word(want):
        both = str(got), str(want)
        return both[0] == both[1] or all(word.endswith("Error") for word in both)
    left, right = (np.asarray(value, dtype=np.float64) for value in (got, want))
    close = np.allclose(left, right, rtol, atol, equal_nan=True)
    return left.shape == right.shape and bool(close)


def is_word(answer: object) -> bool:
    """Whether an answer is no number: JSON has none for these three."""
    if isinstance(answer, np.dtype):
        return True
    return isinstance(answer, str) and answer not in {"nan", "inf", "-inf"}


def names(tables: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Give the libraries and names of tables."""
    return [(library, name) for library, table in tables.items() for name in table]


@pytest.mark.parametrize("library, name", names(AGREEING))
def test_what_agrees(library: str, name: str) -> None:
    """Keras computes in float32. Its losses are differences of numbers up to 4."""
    got = attempt(AGREEING[library][name])
    rtol, atol = (1e-6, 2e-7) if "keras" in library else (1e-12, 4e-16)
    assert matches(got, RECORD[library][name], rtol, atol), (got, RECORD[library][name])


@pytest.mark.parametrize("library, name", names(DIFFERING))
def test_what_differs(library: str, name: str) -> None:
    theirs, call, ours = DIFFERING[library][name]
    single = "keras" in library or "float32" in name
    rtol = 1e-6 if single else 1e-12
    assert matches(theirs, RECORD[library][name], rtol), RECORD[library][name]
    assert matches(attempt(call), ours, rtol), attempt(call)
    assert not matches(ours, theirs, rtol)


@pytest.mark.parametrize("library", AGREEING)
def test_every_answer_is_compared(library: str) -> None:
    assert RECORD[library].keys() == AGREEING[library].keys() | DIFFERING[library].keys()
    assert not AGREEING[library].keys() & DIFFERING[library].keys()


def test_torch_clamp() -> None:
    """Losses of targets that are 0 or 1 have one logarithm each."""
    clipped = np.minimum(none(binary_cross_entropy, ENDS, END_T), 100)
    assert matches(clipped, RECORD["torch"]["binary_cross_entropy, ends"]["value"], 1e-12)


def test_keras_clip() -> None:
    """Of the dtype, 1 - 1e-7 is rounded there."""
    rows = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    losses = none(categorical_cross_entropy, rows, [0, 0], eps=1e-7)
    assert matches(losses, [7 * np.log(10), 1e-7], 1e-6)
    for library in ("keras/jax", "keras/torch"):
        assert matches(losses[0], RECORD[library]["sparse, ends"][0], 1e-6)
        assert not matches(losses[1], RECORD[library]["sparse, ends"][1], 1e-6)


# The page


def test_versions() -> None:
    """The page names those that were asked."""
    spelled = {"torch": "torch", "jax": "jax", "optax": "optax", "keras": "Keras"}
    for package, version in RECORD["versions"].items():
        assert f"{spelled[package]} {version}" in PAGE.replace("\n", " ")


@pytest.mark.parametrize("name", logitkit.__all__)
def test_every_function_has_its_place(name: str) -> None:
    settings = {"__version__", "simd_level", "get_num_threads"}
    alone = name.removesuffix("_and_grad")
    assert name in settings or re.search(rf"`[^`]*\b{alone}\(", PAGE)
