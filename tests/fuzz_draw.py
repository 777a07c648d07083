"""Calls drawn at random: a public function, arguments that suit it, and some that do not.

What must hold for them is the business of `tests.fuzz_calls`.
"""

import inspect
from collections.abc import Callable  # noqa: TC003 - annotations of locals name it
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import logitkit
from tests.hostile import (
    Hostile,
    Meddler,
    MeddlingArray,
    MeddlingNumber,
    MeddlingSequence,
    Rng,
    chance,
    lies,
    pick,
)
from tests.layouts import LAYOUTS, Convertible, arrange
from tests.operations import OPERATIONS, Operation, Shape
from tests.support import FLOATS, HALVES, INTEGERS, Array
from tests.test_junk import OBJECTS

DTYPES: tuple[Any, ...] = (*FLOATS, *FLOATS, *HALVES)
OTHER_DTYPES: tuple[Any, ...] = (
    *DTYPES, *INTEGERS, "?", "g", "F", "D", "O", "S3", "U2", "M8[s]", "m8[D]", "V2", "V8",
    ">f2", ">f4", ">f8", ">i4", ">u8", [("a", "f4"), ("b", "f4")], [("a", "f8")],
)  # fmt: skip
SIZES = (0, 1, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100, 130)
# The number of elements from which calls work in several threads, without the interpreter's lock.
LARGE = 1 << 16
SPECIALS = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.0, 1e-45, 1e38, -1e38, 3e4, -700.0)
INDICES = (-100, -1, 0, 1, 5, 127, 255, 2**31, 2**62, -(2**62), 2**63 - 1, -(2**63))
NUMBERS: tuple[Any, ...] = (
    0.0, -0.0, 0.1, 0.5, 1.0, 1, 0, True, -1e-300, 1e-300, 1.5, 1e308, -1e308, 2**70, 10**400,
    float("nan"), float("inf"), -float("inf"), np.float32(0.25), np.float16(0.1), np.int8(1), "0.5",
)  # fmt: skip
INTEGRAL: tuple[Any, ...] = (
    0, -1, 1, 2, -2, -100, 31, 32, 64, 2**31, -(2**31), 2**63 - 1, -(2**63), 2**63, 2**64, 2**127,
    -(2**127), 2**128, -(10**60), True, 1.0, np.int8(-1), np.uint64(2**64 - 1), np.array(0),
    np.array([1]), np.True_, "0",
)  # fmt: skip
REDUCTIONS: tuple[Any, ...] = (
    "none", "sum", "mean", "Mean", "", "means", "m\0ean", "\ud800", b"mean", np.str_("sum"), None,
)  # fmt: skip


@dataclass
class Call:
    """A call, and how its arguments were made."""

    function: str
    arguments: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    @property
    def arrays(self) -> dict[str, Array]:
        """Give the arguments that are arrays."""
        named = dict(self.arguments)
        if isinstance(out := named.get("out"), tuple):
            named |= {f"out[{place}]": part for place, part in enumerate(out)}
        return {n: v for n, v in named.items() if isinstance(v, np.ndarray)}

    @property
    def outs(self) -> list[Any]:
        """Give what was given for each result that can be written to a place."""
        out = self.arguments.get("out")
        return list(out) if isinstance(out, tuple | list) else [out]

    @property
    def meddlers(self) -> list[Meddler]:
        """Give the arguments that change others."""
        values = self.arguments.values()
        parts = [part for v in values for part in (v if type(v) is tuple else (v,))]
        return [part for part in parts if isinstance(part, Meddler)]

    def make(self) -> Any:  # noqa: ANN401
        """Make the call."""
        return getattr(logitkit, self.function)(**self.arguments)

    def __str__(self) -> str:
        """Describe the call on some lines."""
        lines = [f"  {name} = {described(value)}" for name, value in self.arguments.items()]
        return "\n".join([f"logitkit.{self.function}", *lines, *(f"  # {n}" for n in self.notes)])


def address(x: Array) -> int:
    """Give the address of the first element."""
    return int(np.ndarray.view(x, np.ndarray).ctypes.data)


def root_of(x: Array) -> Array:
    """Give the array that owns the memory of another, or is nearest to what does."""
    root = x
    while isinstance(np.ndarray.__getattribute__(root, "base"), np.ndarray):
        root = np.ndarray.__getattribute__(root, "base")
    return root if type(root) is np.ndarray else np.ndarray.view(root, np.ndarray)


def plain(value: object) -> Array | None:
    """Give the array that an argument stands for, if that is certain."""
    if isinstance(value, Convertible):
        value = value.x
    if type(value) is memoryview and value.format in {"f", "d", "e", "q", "l", "?", "B"}:
        return np.asarray(value)
    if isinstance(value, np.ndarray):
        return np.ndarray.view(value, np.ndarray)
    return None


def described(value: object) -> str:
    """Describe an argument on a line, without asking it for what it lies about."""
    if not isinstance(value, np.ndarray):
        try:
            return repr(value)[:200]
        except Exception:  # noqa: BLE001 - junk need not have a description
            return f"a {type(value).__name__}"
    view = np.ndarray.view(value, np.ndarray)
    flags = view.flags
    numbers = view.reshape(-1)[:6].tolist() if view.size and not view.dtype.hasobject else []
    return (
        f"{type(value).__name__} {view.dtype} {view.shape}, strides {view.strides}, "
        f"address % 64 = {address(view) % 64}, writeable {flags.writeable}: {numbers}..."
    )


# Before a test puts something else in the place of a function.
PARAMETERS = {
    operation.function: tuple(inspect.signature(getattr(logitkit, operation.function)).parameters)
    for operation in OPERATIONS
}


# Right arguments


def shape_and_axis(rng: Rng) -> tuple[Shape, int]:
    """Draw a shape, mostly small, and one of its axes."""
    dims = pick(rng, (1, 1, 2, 2, 2, 2, 3, 3, 4, 6))
    limit = 3 if dims > 3 else 400
    shape = [pick(rng, SIZES) for _ in range(dims)]
    shape = [min(size, limit) if dims > 3 else size for size in shape]
    while np.prod(shape) > 20_000:
        largest = shape.index(max(shape))
        shape[largest] = max(1, shape[largest] // 3)
    axis = int(rng.integers(dims))
    if chance(rng, 0.03):
        shape = [int(rng.integers(2, 40)), int(rng.integers(2, 40))]
        shape[int(rng.integers(2))] = LARGE // min(shape) + 1 + int(rng.integers(100))
        axis = int(rng.integers(2))
    return tuple(shape), axis - (dims if chance(rng, 0.5) and len(shape) == dims else 0)


def made(operation: Operation, rng: Rng, shape: Shape, axis: int, dtype: Any) -> dict[str, Array]:  # noqa: ANN401
    """Make the arrays of an operation; indices of no class where there are no classes."""
    arrays = {}
    for name, maker in operation.arrays.items():
        try:
            arrays[name] = maker(rng, shape, axis, dtype)
        except ValueError:
            arrays[name] = np.zeros(tuple(np.delete(shape, axis)), np.int64)
    return arrays


def laid_out(rng: Rng, x: Array) -> Any:  # noqa: ANN401
    """Lay an array out anew, in one of the ways that are accepted."""
    way = rng.random()
    if way < 0.4:
        return x.copy()
    if way < 0.6 and x.dtype in (*FLOATS, np.float16, np.int64):
        return pick(rng, tuple(LAYOUTS.values()))(x)
    steps = [int(rng.choice([1, 1, 2, 3, -1, -2])) for _ in range(x.ndim)]
    if x.size < 3000 and x.ndim < 5:
        order = [int(axis) for axis in rng.permutation(x.ndim)]
        offset = pick(rng, (0, 0, x.itemsize, 1, 3, 4, 60))
        swapped = chance(rng, 0.15) and x.dtype.kind in "fiu"
        return arrange(x, order, steps, offset, swapped=swapped)
    return x.copy()


def converted(rng: Rng, x: Array, dtype: Any) -> Array:  # noqa: ANN401
    """Convert as far as NumPy can."""
    try:
        with np.errstate(all="ignore"):
            return x.astype(dtype)
    except (ValueError, TypeError, OverflowError):
        return np.zeros(x.shape, dtype) if chance(rng, 0.5) else x


def out_over(rng: Rng, x: Array, shape: Shape, dtype: Any) -> Array | None:  # noqa: ANN401
    """Make an array somewhere in the memory of another."""
    root = x
    while isinstance(root.base, np.ndarray):
        root = root.base
    if not root.flags.c_contiguous or root.dtype.kind not in "fiub" or not root.flags.writeable:
        return None
    dtype = np.dtype(dtype)
    strides, reach = [0] * len(shape), dtype.itemsize
    for axis in rng.permutation(len(shape)):
        strides[axis] = reach * int(rng.choice([1, 1, 1, -1]))
        reach *= max(1, shape[axis])
    reach = max(reach, dtype.itemsize)
    if reach > root.nbytes:
        return None
    lowest = sum(min(0, s * (n - 1)) for s, n in zip(strides, shape, strict=True) if n)
    step = pick(rng, (1, dtype.itemsize, dtype.itemsize))
    start = int(rng.integers((root.nbytes - reach) // step + 1)) * step
    memory = root.reshape(-1).view(np.uint8)
    return np.ndarray(shape, dtype, memory, start - lowest, tuple(strides))


def out_for(rng: Rng, call: Call, first: Array) -> Any:  # noqa: ANN401
    """Make a place for the result: fresh, the input, or across some argument."""
    dtype = first.dtype if first.dtype.kind not in "iub" else np.dtype(np.float64)
    way = rng.random()
    given = [v for v in call.arrays.values() if type(v) is np.ndarray]
    if way < 0.2 and call.arrays:
        call.notes.append("out is an argument")
        return pick(rng, list(call.arrays.values()))
    if way < 0.6 and given:
        across = out_over(rng, pick(rng, given), first.shape, dtype)
        if across is not None:
            call.notes.append("out lies across an argument")
            return across
    fresh = converted(rng, np.full(first.shape, 7.0), dtype)
    return laid_out(rng, fresh) if chance(rng, 0.6) else fresh


# Wrong arguments


def another_shape(rng: Rng, x: Array) -> Array:
    """Change the shape, sometimes in a way that is right all the same."""
    ways: tuple[Callable[[], Array], ...] = (
        lambda: x[..., None],
        lambda: x[None],
        lambda: x[..., :-1],
        lambda: x[:0],
        lambda: x.reshape(-1),
        lambda: x.T,
        lambda: x[(0,) * x.ndim],
        lambda: np.concatenate([x, x], axis=-1),
        lambda: np.zeros((), x.dtype),
        lambda: x.reshape(x.shape + (1,) * (32 - x.ndim)),
        lambda: x.reshape(x.shape + (1,) * (64 - x.ndim)),
        lambda: np.broadcast_to(x, (3, *x.shape)),
        lambda: np.broadcast_to(x.reshape(-1)[:1], x.shape),
        lambda: np.lib.stride_tricks.as_strided(x, x.shape, (0,) * x.ndim),
        lambda: np.lib.stride_tricks.sliding_window_view(x, 2, axis=-1),
        lambda: np.moveaxis(x, 0, -1),
        lambda: np.zeros((2**40, 0), x.dtype),
        lambda: np.zeros((0, 2**40, 2**20), x.dtype),
    )
    try:
        return np.asarray(pick(rng, ways)())
    except (ValueError, IndexError):
        return x


def poisoned(rng: Rng, x: Array) -> Array:
    """Put special numbers into some places."""
    x = x.copy()
    if x.dtype.kind in "iu":
        limits = np.iinfo(x.dtype)
        values: list[float] = [min(max(int(limits.min), i), int(limits.max)) for i in INDICES]
    else:
        values = [*SPECIALS]
    if not x.size or x.dtype.kind not in "fiuV" or x.dtype.names:
        return x
    share = pick(rng, (1.0, 0.3, 0.02))
    places = rng.random(x.shape) < share
    with np.errstate(all="ignore"):
        drawn = np.array([pick(rng, values) for _ in range(min(x.size, 50))], object)
        chosen = np.resize(drawn, int(places.sum()))
        try:
            x[places] = chosen.astype(x.dtype)
        except (ValueError, TypeError, OverflowError):
            return x
    return x


def wrapped(rng: Rng, x: Array, victims: list[Array]) -> Any:  # noqa: ANN401
    """Wrap in a class that must not be trusted."""
    masked = np.ma.masked_array
    ways: tuple[Callable[[], Any], ...] = (
        lambda: MeddlingArray(rng, x, victims),
        lambda: MeddlingArray(rng, x, victims),
        lambda: MeddlingArray(rng, x.copy(), [*victims, x]),
        lambda: MeddlingSequence(rng, x, victims),
        lambda: x.copy().view(Hostile),
        lambda: masked(x, mask=rng.random(x.shape) < pick(rng, (0.0, 0.2))),
        lambda: np.matrix(x),
        lambda: np.ascontiguousarray(x).data,
        lambda: memoryview(bytearray(np.ascontiguousarray(x).tobytes())),
        x.tolist,
        lambda: tuple(x.tolist()),
        lambda: x.view(np.recarray),
        lambda: np.memmap,
    )
    return pick(rng, ways)()


def wrong_out(rng: Rng, out: Array) -> Any:  # noqa: ANN401
    """Make an `out` that is wrong in some way, or only unusual."""
    # Objects cannot be laid over bytes that are none.
    unaligned = out.copy() if out.dtype.hasobject else arrange(out, offset=1)
    ways: tuple[Callable[[], Any], ...] = (
        lambda: np.lib.stride_tricks.as_strided(out, out.shape, (0,) * out.ndim),
        lambda: out.T,
        lambda: np.broadcast_to(out, out.shape),
        lambda: converted(rng, out, pick(rng, OTHER_DTYPES)),
        lambda: another_shape(rng, out),
        lambda: out.copy().view(Hostile),
        lambda: unaligned.view(Hostile),
        lambda: np.ma.masked_array(out.copy(), mask=True),
        lambda: np.ma.masked_array(unaligned, mask=True),
        lambda: np.ascontiguousarray(out).data,
        out.tolist,
    )
    return pick(rng, ways)()


def option(rng: Rng, name: str, call: Call) -> Any:  # noqa: ANN401
    """Draw a value for an argument that is no array: right, wrong or hostile."""
    tables: dict[str, tuple[Any, ...]] = {
        "axis": (*INTEGRAL, None, (), (0,), (0, 1), (-1, 0), (0, 0), (0, None), [0], (2**70,)),
        "ignore_index": (*INTEGRAL, *INTEGRAL[:6], None),
        "k": INTEGRAL,
        "label_smoothing": NUMBERS,
        "z_loss": NUMBERS,
        "eps": NUMBERS,
        "reduction": REDUCTIONS,
        "hessian": ("exact", "bound", "friedman", "full", "", None, 1, b"exact", ["bound"]),
        "keepdims": (True, False, np.True_, 0, 1, "yes", None, [], np.array(True)),
    }
    value = pick(rng, tables[name])
    if name in {"axis", "ignore_index", "k", "label_smoothing", "z_loss", "eps"}:
        if chance(rng, 0.1):
            value = MeddlingNumber(rng, value, list(call.arrays.values()))
            return (value, 0) if name == "axis" and chance(rng, 0.3) else value
        if chance(rng, 0.1):
            return lies(rng)
    return value


def mask(rng: Rng, shape: Shape) -> Any:  # noqa: ANN401
    """Draw a mask that broadcasts to a shape."""
    sizes = [1 if chance(rng, 0.3) else size for size in shape]
    return rng.random(sizes[int(rng.integers(len(sizes) + 1)) :]) < 0.7


def of_its_own(value: object) -> object:
    """Copy what others may change: no call must depend on what became of another."""
    if type(value) is np.ndarray:
        return value.copy() if value.flags.writeable else value.view()
    return bytearray(value) if type(value) is bytearray else value


def mutate(rng: Rng, call: Call) -> None:
    """Change one argument."""
    name = pick(rng, PARAMETERS[call.function])
    value = call.arguments.get(name)
    call.notes.append(f"{name} was changed")
    if name in {"axis", "ignore_index", "k", "label_smoothing", "z_loss", "eps", "reduction",
                "keepdims", "hessian"}:  # fmt: skip
        call.arguments[name] = option(rng, name, call)
    elif chance(rng, 0.12):
        call.arguments[name] = of_its_own(pick(rng, OBJECTS))
    elif chance(rng, 0.08):
        call.arguments[name] = lies(rng)
    elif name == "out" and isinstance(value, tuple) and isinstance(value[1], np.ndarray):
        call.arguments[name] = (value[0], wrong_out(rng, value[1]))
    elif type(value) is not np.ndarray:
        others = [v for v in call.arrays.values() if type(v) is np.ndarray]
        if others:
            call.arguments[name] = another_shape(rng, pick(rng, others))
    elif name == "out":
        call.arguments[name] = wrong_out(rng, value)
    else:
        victims = [v for other, v in call.arrays.items() if other != name]
        ways: tuple[Callable[[], Any], ...] = (
            lambda: converted(rng, value, pick(rng, OTHER_DTYPES)),
            lambda: another_shape(rng, value),
            lambda: poisoned(rng, value),
            lambda: poisoned(rng, value),
            lambda: wrapped(rng, value, victims),
            lambda: wrapped(rng, value, victims),
        )
        call.arguments[name] = pick(rng, ways)()


def drawn(rng: Rng) -> Call:
    """Draw a call."""
    if chance(rng, 0.01):
        count = option(rng, "k", Call("", {}))
        return Call(
            "set_num_threads", {"n": count if chance(rng, 0.5) else int(rng.integers(1, 4))}
        )
    operation = pick(rng, OPERATIONS)
    shape, axis = shape_and_axis(rng)
    arrays = made(operation, rng, shape, axis, pick(rng, DTYPES))
    first = arrays[operation.first]
    call = Call(operation.function, {n: laid_out(rng, x) for n, x in arrays.items()})
    call.arguments |= operation.options
    names = PARAMETERS[operation.function]
    if "axis" in names and (axis != -1 or chance(rng, 0.5)):
        call.arguments["axis"] = axis
    if "where" in names and chance(rng, 0.4):
        call.arguments["where"] = mask(rng, shape)
    if "out" in names and chance(rng, 0.6):
        out = out_for(rng, call, first)
        if operation.function.endswith("_hess"):
            pairs = ((out, None), (None, out), (out, out_for(rng, call, first)), (out, out))
            out = pick(rng, pairs)
        call.arguments["out"] = out
    for _ in range(pick(rng, (0, 0, 0, 1, 1, 1, 2, 3))):
        try:
            mutate(rng, call)
        except (ValueError, TypeError, MemoryError, AttributeError, IndexError, BufferError):
            call.notes.append("which NumPy refuses")
    spare_what_is_shared(call)
    return call


def spare_what_is_shared(call: Call) -> None:
    """Keep meddlers from resizing what others have views of: those would dangle for NumPy, too."""
    values = [*call.arguments.values(), *(meddler.value for meddler in call.meddlers)]
    views = [value for value in values if type(value) is not np.ndarray or value.base is not None]
    arrays = [array for array in map(plain, views) if array is not None]
    shared = {address(root_of(array)) for array in arrays}
    for meddler in call.meddlers:
        meddler.spared = [v for v in meddler.victims if address(v) in shared]
