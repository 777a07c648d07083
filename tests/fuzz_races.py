"""Calls while another thread writes to their arrays, or changes or resizes them.

Results mean nothing then, but nothing crashes, and what is raised are errors. Left out is what
frees memory behind NumPy's back, and what others have views of: no library survives that.
`docs/safety.md` tells what is promised.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from tests.fuzz_calls import NO_ARRAY, check_error, check_result
from tests.fuzz_draw import DTYPES, LARGE, PARAMETERS, Call, made, mask, option
from tests.hostile import OF_FORM, OF_MEMORY, OF_VALUES, Meddling, Rng, chance, pick
from tests.operations import OPERATIONS
from tests.support import Array

ROUNDS = 3


def drawn(rng: Rng) -> Call:
    """Draw a call of arrays that own their memory, mostly so large that the lock is released."""
    operation = pick(rng, OPERATIONS)
    shape = [pick(rng, (2, 3, 10, 40, 129)), pick(rng, (2, 3, 10, 40, 129))]
    if chance(rng, 0.8):
        shape[int(rng.integers(2))] = LARGE // min(shape) + int(rng.integers(3000))
    if chance(rng, 0.2):
        shape.insert(int(rng.integers(3)), 2)
    axis = int(rng.integers(len(shape)))
    arrays = made(operation, rng, tuple(shape), axis, pick(rng, DTYPES))
    call = Call(operation.function, {n: np.array(x) for n, x in arrays.items()})
    call.arguments |= operation.options
    names = PARAMETERS[operation.function]
    if "axis" in names:
        call.arguments["axis"] = axis
    if "where" in names and chance(rng, 0.3):
        call.arguments["where"] = mask(rng, tuple(shape))
    first = arrays[operation.first]
    if "out" in names and chance(rng, 0.7):
        out = pick(rng, (np.zeros_like(first), call.arguments[operation.first]))
        is_pair = operation.function.endswith("_hess")
        call.arguments["out"] = (out, np.zeros_like(first)) if is_pair else out
    if "reduction" in names and chance(rng, 0.2):
        call.arguments["reduction"] = option(rng, "reduction", call)
    return call


@contextmanager
def meddling(rng: Rng, victims: list[Array], deeds: list[Meddling]) -> Iterator[None]:
    """Do things to arrays in another thread, over and over."""
    begun, stop = threading.Event(), threading.Event()

    def go_on() -> None:
        while True:
            deed, victim = pick(rng, deeds), pick(rng, victims)
            # What NumPy refuses is not done.
            with suppress(Exception):
                deed(rng, victim)
            begun.set()
            if stop.is_set():
                return

    thread = threading.Thread(target=go_on)
    thread.start()
    begun.wait()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def check(rng: Rng, call: Call) -> str:
    """Make a call some times while another thread meddles; tell what came of the last."""
    kinds = (OF_VALUES, OF_VALUES + OF_MEMORY, OF_VALUES + OF_FORM)
    deeds = list(pick(rng, kinds))
    call.notes.append(f"another thread meddles: {', '.join(deed.__name__ for deed in deeds)}")
    came: Any = None
    with meddling(rng, list(call.arrays.values()), deeds):
        for _ in range(ROUNDS):
            try:
                result = call.make()
            except BaseException as error:  # noqa: BLE001 - a panic of Rust is no Exception
                check_error(error)
                came = type(error).__name__
            else:
                came = "a result"
                if call.function not in NO_ARRAY:
                    check_result(call, result, forms=False)
    return f"{came}, in a race"
