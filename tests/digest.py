"""Digests of the results of every operation, for comparing their bits between processes.

`python -m tests.digest` prints them as JSON, with the name of the instruction set in use. What
must be equal is asserted in test_reproducibility.py.
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import ml_dtypes
import numpy as np

import logitkit
from tests.operations import OPERATIONS, Arrays, Operation, Shape, results
from tests.support import FLOATS, HALVES, Array, Float, rng_of

# Every tail of vectors of 4, 8 and 16 lanes, on every axis, and enough of whole vectors.
SMALL: tuple[tuple[Shape, int], ...] = (
    *(((3, classes), 1) for classes in (*range(1, 20), 31, 32, 33, 63, 64, 65)),
    *(((classes, 3), 0) for classes in (1, 2, 3, 5, 17)),
    *(((rows, 10), 1) for rows in (1, 2, 7, 8, 9, 15, 16, 17, 31, 33)),
    *(((10, rows), 0) for rows in (7, 8, 9, 15, 16, 17, 31, 33)),
    ((2, 5, 19), 1),
    ((3, 1000), 1),
    ((300, 3), 0),
    *(((70, classes), 1) for classes in (1, 2, 3, 20, 49)),
    ((1, 4999), 1),
)

# Where NaN and inf are values like others; probabilities must be in [0, 1], and the warnings of a
# matrix product are its own.
ANY_NUMBER = ("x", "logits", "scores", "log_probs")


def special(x: Array) -> Array:
    """Mix numbers that take other paths into some logits: NaN, inf, subnormals, huge ones."""
    finfo: Any = ml_dtypes.finfo
    limits = finfo(x.dtype)
    mixed, rng = x.copy(), rng_of("special", x.shape)
    values = [np.nan, np.inf, -np.inf, -np.inf, -0.0, limits.smallest_subnormal, -limits.tiny / 3]
    values += [limits.max, limits.min, -87.4, -103.0, -708.5, -745.0, 1e-30, 1e30]
    chosen = rng.random(x.shape) < 0.05
    with np.errstate(over="ignore"):
        mixed[chosen] = rng.choice(np.array(values, float).astype(x.dtype), int(chosen.sum()))
    return mixed


def inputs(operation: Operation, shape: Shape, axis: int, dtype: Float) -> Iterator[Arrays]:
    """Draw arguments of an operation: plain ones, and ones with special values."""
    arrays = operation.make(rng_of(operation.label, shape), shape, axis, dtype)
    yield arrays
    if operation.first in ANY_NUMBER and operation.function != "linear":
        yield arrays | {operation.first: special(arrays[operation.first])}


def bits(value: object) -> bytes:
    """Give the bytes of a result, with one NaN for all NaNs."""
    parts = []
    for result in results(value):
        canonical = result.copy()
        if result.dtype.kind in "fV":
            canonical[np.isnan(result)] = np.nan
        parts.append(f"{result.dtype.str} {result.shape} ".encode() + canonical.tobytes())
    return b"".join(parts)


def digests(
    shapes: Iterable[tuple[Shape, int]], operations: Iterable[Operation] = OPERATIONS
) -> dict[str, str]:
    """Digest the results of operations on arrays of some shapes, by operation and shape."""
    cases = tuple(shapes)
    found = {}
    for operation in operations:
        for number, (shape, axis) in enumerate(cases):
            digest = hashlib.sha256()
            # Halves are computed with as float32 is: some of the shapes will do.
            for dtype in (*FLOATS, *(HALVES if number % 5 == 0 else ())):
                for arrays in inputs(operation, shape, axis, dtype):
                    digest.update(bits(operation(arrays, axis)))
            found[f"{operation.label} of {shape} along {axis}"] = digest.hexdigest()
    return found


def main() -> None:
    """Print the digests of small arrays, and the instruction set in use."""
    json.dump({"level": logitkit.simd_level(), "digests": digests(SMALL)}, sys.stdout)


if __name__ == "__main__":
    main()
