"""What must hold for any call: a right result, or an exception that says why not and no trace.

How calls are drawn is the business of `tests.fuzz_draw`.
"""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

import logitkit
from tests.fuzz_draw import PARAMETERS, Call, address, plain, root_of
from tests.hostile import Hostile, Rng
from tests.support import Array
from tests.test_junk import ExpectedError

ALLOWED = (ValueError, TypeError, IndexError, MemoryError, BufferError, ExpectedError)
ELEMENTWISE = ("sigmoid", "log_sigmoid", "softplus")
SHAPED = ("softmax", "log_softmax", "softmax_vjp", "log_softmax_vjp", *ELEMENTWISE)
NO_ARRAY = ("set_num_threads",)


class Violation(AssertionError):  # noqa: N818 - it names what is found
    """Something that must not happen, did."""


def demand(holds: bool, what: str) -> None:
    """Complain unless something holds, whether or not Python runs with assertions."""
    if not holds:
        raise Violation(what)


def generator(seed: int, number: int) -> Rng:
    """Give the random numbers of one call, which no other call changes."""
    return np.random.default_rng([seed, number])


# Memory


class Memory:
    """The bytes of all arrays of a call, and the form of each."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        self.arrays = arrays
        self.forms = {name: self.form(x) for name, x in arrays.items()}
        roots = {address(root): root for root in map(root_of, arrays.values())}
        self.roots = [root for root in roots.values() if not root.dtype.hasobject]
        self.before = [self.bytes(root).copy() for root in self.roots]

    @staticmethod
    def form(x: Array) -> tuple[object, ...]:
        """Give what an array is but for its elements."""
        x = np.ndarray.view(x, np.ndarray)
        return x.shape, x.strides, str(x.dtype), address(x), x.flags.writeable

    @staticmethod
    def bytes(root: Array) -> Array:
        """Give the memory of an array, gaps included."""
        if root.flags.forc:
            return root.ravel("K").view(np.uint8)
        return np.frombuffer(root.tobytes(), np.uint8)

    def check(self, writable: Sequence[Array]) -> None:
        """Demand that nothing has changed but the elements of some arrays."""
        for name, x in self.arrays.items():
            form = self.form(x)
            demand(form == self.forms[name], f"{name} was {self.forms[name]}, is {form}")
        for root, before in zip(self.roots, self.before, strict=True):
            changed = self.bytes(root) != before
            for out in writable:
                if not root.flags.forc:
                    # The bytes are a copy: where they lie is not known.
                    changed &= not np.may_share_memory(root, np.ndarray.view(out, np.ndarray))
                    continue
                places = places_of(out) - address(root)
                changed[places[(places >= 0) & (places < changed.size)]] = False
            at = np.flatnonzero(changed)
            demand(not at.size, f"{at.size} bytes changed, at {at[:9].tolist()}")


def places_of(x: Array) -> Array:
    """Give the addresses of all bytes of an array."""
    x = np.ndarray.view(x, np.ndarray)
    if not x.size:
        return np.empty(0, np.int64)
    places = np.array([address(x)], np.int64)
    for size, stride in [*zip(x.shape, x.strides, strict=True), (x.itemsize, 1)]:
        places = np.add.outer(places, np.arange(size) * stride).reshape(-1)
    return places


# Results


def as_axes(axis: Any, dims: int) -> tuple[int, ...]:  # noqa: ANN401
    """Give the axes that an accepted argument names."""
    if axis is None:
        return tuple(range(dims))
    axes = axis if isinstance(axis, tuple) else (axis,)
    return tuple(operator.index(a) % dims for a in axes)


def due(call: Call, first: Array) -> list[tuple[tuple[int, ...], np.dtype[Any]]]:
    """Give shape and dtype of each part of the result."""
    function, arguments = call.function, call.arguments
    own = first.dtype.newbyteorder("=") if first.dtype.kind in "fV" else np.dtype(np.float64)
    loss = np.dtype(np.float64 if own == np.float64 else np.float32)
    if function in SHAPED:
        return [(first.shape, own)]
    if function in {"accuracy", "perplexity"}:
        return [((), np.dtype(np.float64))]
    if function == "linear":
        weight = plain(arguments["weight"])
        outputs = weight.shape[0] if weight is not None else -1
        return [((*first.shape[:-1], outputs), own)]
    if function.startswith("binary"):
        shape = first.shape
    else:
        axes = as_axes(arguments.get("axis", -1), first.ndim)
        shape = tuple(n for a, n in enumerate(first.shape) if a not in axes)
        if function == "logsumexp":
            if arguments.get("keepdims", False):
                shape = tuple(1 if a in axes else n for a, n in enumerate(first.shape))
            return [(shape, loss)]
        if function == "top_k":
            kept = operator.index(arguments["k"])
            shape = tuple(kept if a in axes else n for a, n in enumerate(first.shape))
            return [(shape, own), (shape, np.dtype(np.int64))]
    losses = (shape if arguments.get("reduction", "mean") == "none" else (), loss)
    derivatives = function.count("_grad") + function.count("_hess")
    return [losses, *[(first.shape, own)] * derivatives]


def check_result(call: Call, result: object, forms: bool) -> list[Array]:
    """Demand the type, and if it is certain the shape and dtype, that are documented."""
    parts = list(result) if isinstance(result, tuple) else [result]
    outs = call.outs
    for part in parts:
        own = type(part) is np.ndarray or isinstance(part, np.generic)
        given = any(part is out for out in outs)
        demand(own or given, f"the result is a {type(part).__name__}")
    for part, out in zip(parts[-len(outs) :], outs, strict=True):
        demand(out is None or part is out, "out did not come back")
    arrays = [np.asarray(p if plain(p) is None else plain(p)) for p in parts]
    first = plain(call.arguments.get(PARAMETERS[call.function][0]))
    if not forms or first is None:
        return arrays
    expected = due(call, first)
    demand(len(expected) == len(arrays), f"{len(arrays)} results, not {len(expected)}")
    for array, (shape, dtype) in zip(arrays, expected, strict=True):
        right = array.dtype == dtype and (array.shape == shape or -1 in shape)
        demand(right, f"a result is {array.dtype} {array.shape}, not {dtype} {shape}")
    return arrays


def tidied(call: Call) -> dict[str, Any] | None:
    """Give the arguments with fresh arrays in C order, without `out`; None if that is uncertain."""
    if call.meddlers:
        return None
    tidy = {}
    for name, value in call.arguments.items():
        if name == "out":
            continue
        array = plain(value)
        if array is None:
            number = isinstance(value, int | float | str | np.generic | type(None))
            if not number and name != "axis":
                return None
            tidy[name] = value
        else:
            tidy[name] = np.array(array, array.dtype.newbyteorder("="), order="C", copy=True)
    return tidy


def check_same(call: Call, got: list[Array], tidy: dict[str, Any]) -> None:
    """Demand about the same numbers from tidy arguments: layout and overlaps do not show.

    The bounds in ulp are measured elsewhere; here a wrong element is looked for.
    """
    try:
        result = getattr(logitkit, call.function)(**tidy)
    except ALLOWED as error:
        raise Violation(f"the same numbers in order are refused: {error}") from error
    if any(part.size == 0 for part in got):
        return
    for one, two in zip(got, result if isinstance(result, tuple) else (result,), strict=True):
        left, right = (np.asarray(part).astype(np.float64) for part in (one, two))
        demand(np.array_equal(np.isfinite(left), np.isfinite(right)), "differs where not finite")
        finite = np.isfinite(left)
        left, right = left[finite], right[finite]
        bound = 0.02 * np.abs(right) + 1e-5 * np.abs(right).max(initial=0.0)
        wrong = np.abs(left - right) > bound
        at = np.flatnonzero(wrong)[:5]
        demand(not wrong.any(), f"not the same at {at}: {left[at]}, {right[at]}")


def check_error(error: BaseException) -> None:
    """Demand an exception of an allowed kind, and that it says something."""
    kind = f"{type(error).__module__}.{type(error).__name__}"
    demand(isinstance(error, ALLOWED), f"{kind}: {error}")
    told = str(error)
    demand("panic" not in told, told)
    silent = (ExpectedError, MemoryError)
    demand(bool(told.strip()) or isinstance(error, silent), f"{kind} says nothing")


def check(_: Rng, call: Call) -> str:
    """Make a call and demand what must hold for it; tell what came of it."""
    memory = None if call.meddlers else Memory(call.arrays)
    tidy = tidied(call)
    threads = logitkit.get_num_threads()
    try:
        result = call.make()
    except BaseException as error:  # noqa: BLE001 - a panic of Rust is no Exception
        check_error(error)
        if memory:
            memory.check(())
        return type(error).__name__
    if call.function in NO_ARRAY:
        logitkit.set_num_threads(min(threads, 3))
        return "none"
    arrays = check_result(call, result, forms=not call.meddlers)
    outs = [out for out in call.outs if out is not None]
    if memory:
        memory.check(outs)
    if tidy is not None and not any(isinstance(out, Hostile) for out in outs):
        check_same(call, arrays, tidy)
    return "a result"
