"""Calls leave nothing behind, whether they succeed or raise an error."""

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import logitkit
from tests.operations import OPERATIONS, Operation
from tests.refusals import WITH_INDICES
from tests.support import rng_of

# What the allocator may take in many calls without a leak, in bytes.
GROWTH = 1 << 20

STATM = Path("/proc/self/statm")
PAGE = 4096

DTYPES = (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)


@pytest.fixture(autouse=True)
def nothing_else_to_collect() -> Iterator[None]:
    """Keep what there is already from being looked at again and again."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def references(objects: list[Any]) -> list[int]:
    """Count the references to each."""
    return [sys.getrefcount(one) for one in objects]


def resident() -> int:
    """Give the memory of the process, in bytes; 0 where it cannot be told."""
    return PAGE * int(STATM.read_text().split()[1]) if STATM.exists() else 0


def assert_nothing_is_left(call: Callable[[], object], kept: list[Any], calls: int) -> None:
    """Call many times: no call leaves a reference, a block or memory behind.

    Caches of Python's and NumPy's own grow by a few dozens, however many calls there are.
    """
    for _ in range(100):
        call()
    gc.collect()
    before, blocks, memory = references(kept), sys.getallocatedblocks(), resident()
    for _ in range(calls):
        call()
    gc.collect()
    left = [now - then for now, then in zip(references(kept), before, strict=True)]
    assert max(left, default=0) < calls / 2
    assert min(left, default=0) > -calls / 2, "references that were not its own are given up"
    assert sys.getallocatedblocks() - blocks < calls / 2
    assert resident() - memory < GROWTH


def cases(operation: Operation) -> dict[str, dict[str, Any]]:
    """Give arguments that work, and that do not, by what is done with them."""
    shape = (3, 5)
    found: dict[str, dict[str, Any]] = {}
    for dtype in DTYPES:
        arrays = operation.make(rng_of("leaks", operation.label), shape, -1, np.float64)
        for name, array in arrays.items():
            if array.dtype.kind == "f":
                arrays[name] = array.astype(dtype)
        found[np.dtype(dtype).name] = arrays
        if operation.has_out:
            found[f"{np.dtype(dtype).name}, out"] = arrays | {"out": np.empty(shape, dtype)}
    arrays = found["float64"]
    first = arrays[operation.first]
    found["lists"] = {name: array.tolist() for name, array in arrays.items()}
    found["strided"] = arrays | {operation.first: np.repeat(first, 2, 1)[:, ::2]}
    found["integers"] = arrays | {operation.first: (first > 0.5).astype(np.int32)}
    found["error: complex"] = arrays | {operation.first: first.astype(np.complex128)}
    found["error: text"] = arrays | {operation.first: "text"}
    if operation.has_axis:
        found["error: axis"] = arrays | {"axis": 7}
    if (
        operation.function.removesuffix("_and_grad") in WITH_INDICES
        and "soft" not in operation.label
    ):
        targets = arrays["targets"].copy()
        found["uint8 targets"] = arrays | {"targets": np.abs(targets % 5).astype(np.uint8)}
        found["uint64 targets"] = arrays | {"targets": np.abs(targets % 5).astype(np.uint64)}
        targets[1] = 99
        found["error: index"] = arrays | {"targets": targets}
    if operation.has_out:
        found["error: out"] = arrays | {"out": np.empty(shape, np.int64)}
        packed = np.zeros(shape[0] * shape[1] * 8 + 1, np.uint8)[1:].view(np.float64)
        found["out, unaligned"] = arrays | {"out": packed.reshape(shape)}
    return found


def assert_no_leaks(operation: Operation, calls: int) -> None:
    """Check the calls of an operation."""
    for case, arguments in cases(operation).items():
        outcomes: set[str] = set()
        arrays = {name: x for name, x in arguments.items() if name in operation.arrays}
        more = {name: x for name, x in arguments.items() if name not in operation.arrays}

        def call(
            arrays: dict[str, Any] = arrays,
            more: dict[str, Any] = more,
            outcomes: set[str] = outcomes,
        ) -> None:
            try:
                operation(arrays, **more)
                outcomes.add("returned")
            except (TypeError, ValueError, IndexError) as error:
                outcomes.add(type(error).__name__)

        kept = [*arguments.values(), *map(np.dtype, DTYPES), np.dtype(np.int64), logitkit, None]
        try:
            assert_nothing_is_left(call, kept, calls)
        except AssertionError as error:
            raise AssertionError(f"{operation.label}, {case}") from error
        assert len(outcomes) == 1
        assert ("returned" in outcomes) != case.startswith("error"), (case, outcomes)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.label)
def test_no_leaks(operation: Operation) -> None:
    assert_no_leaks(operation, 300)


@pytest.mark.soak
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.label)
def test_no_leaks_in_100_000_calls(operation: Operation) -> None:
    assert_no_leaks(operation, 100_000)


def test_no_leaks_with_threads() -> None:
    x = np.zeros((100, 1000), np.float32)
    targets = np.zeros(100, np.int64)
    wrong = np.full(100, 1000)

    def call() -> None:
        logitkit.cross_entropy_and_grad(x, targets)
        logitkit.logsumexp(x, 0)
        logitkit.top_k(x, 100)
        with pytest.raises(IndexError):
            logitkit.perplexity(x, wrong)

    assert_nothing_is_left(call, [x, targets, wrong], 200)


def test_leaks_are_found() -> None:
    leaked: list[object] = []
    with pytest.raises(AssertionError):
        assert_nothing_is_left(lambda: leaked.append(object()), [], 200)
    with pytest.raises(AssertionError):
        assert_nothing_is_left(lambda: leaked.append(leaked), [leaked], 200)
