"""Arguments that lie when they are asked for an array, a number or a length, or meddle meanwhile.

What must hold for a call with them is the business of `tests.fuzz_calls`. Left out is what gives an
address that is none (a lying `__array_interface__`, a forged DLPack capsule, ctypes): NumPy reads
from it before any library sees an array.
"""

import gc
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np

import logitkit
from tests.support import MOST_DIMENSIONS, Array
from tests.test_junk import ExpectedError

Rng = np.random.Generator
T = TypeVar("T")


def pick(rng: Rng, items: Sequence[T]) -> T:
    """Draw one of several objects, whatever they are."""
    return items[int(rng.integers(len(items)))]


def chance(rng: Rng, share: float) -> bool:
    """Tell, in this share of the cases, that it is so."""
    return bool(rng.random() < share)


# What is done to an array while somebody else works with it


def shrink(_: Rng, x: Array) -> None:
    x.resize(x.size // 2, refcheck=False)


def grow(_: Rng, x: Array) -> None:
    x.resize(2 * x.size + 1, refcheck=False)


def shrink_if_unreferenced(_: Rng, x: Array) -> None:
    x.resize(x.size // 2)


def flatten(_: Rng, x: Array) -> None:
    x.shape = (x.size,)


def add_axes(_: Rng, x: Array) -> None:
    x.shape = (1, *x.shape, 1)


def turn(_: Rng, x: Array) -> None:
    x.shape = x.shape[::-1]


def collapse(_: Rng, x: Array) -> None:
    x.strides = (0,) * x.ndim


def misalign(_: Rng, x: Array) -> None:
    """Make bytes of it, which are no multiple of an element apart."""
    x.shape = (x.size,)
    x.dtype = np.dtype(np.uint8)  # type: ignore[misc]
    x.shape = (x.size // 4,) if x.size % 4 else (x.size // 4, 4)
    x.strides = (1,) * x.ndim


def retype(rng: Rng, x: Array) -> None:
    x.dtype = np.dtype(pick(rng, ["f4", "f8", "i8", "u1", ">f8", "c8", "S2"]))  # type: ignore[misc]


def freeze(_: Rng, x: Array) -> None:
    x.setflags(write=False)


def spoil(rng: Rng, x: Array) -> None:
    """Write bytes that may be any number: NaN, inf, indices of no class."""
    values = np.frombuffer(rng.bytes(x.nbytes), np.uint8)
    x[...] = values.view(x.dtype).reshape(x.shape)


def out_of_range(rng: Rng, x: Array) -> None:
    x[...] = pick(rng, [-1, -100, 2**31 - 1, 1 << 62]) if x.dtype.kind == "i" else -5.0


def collect(_: Rng, __: Array) -> None:
    gc.collect()


def call_again(rng: Rng, x: Array) -> None:
    """Call from within a call."""
    logitkit.set_num_threads(int(rng.integers(1, 4)))
    logitkit.softmax(x, out=x)


Meddling = Callable[[Rng, Array], None]
# What leaves an array as it is but for its numbers.
OF_VALUES: tuple[Meddling, ...] = (spoil, out_of_range)
OF_MEMORY: tuple[Meddling, ...] = (shrink, grow, shrink_if_unreferenced)
OF_FORM: tuple[Meddling, ...] = (flatten, add_axes, turn, collapse, misalign, retype, freeze)
MEDDLING: tuple[Meddling, ...] = (*OF_VALUES, *OF_MEMORY, *OF_FORM, collect, call_again)


class Meddler:
    """Does something to arrays whenever it is asked for anything, then answers rightly.

    Only arrays that own their memory, and are not spared, are resized.
    """

    spared: Sequence[Array] = ()

    def __init__(self, rng: Rng, value: object, victims: Sequence[Array]) -> None:
        self.rng, self.value = rng, value
        # Objects are pointers, which must be none but NumPy's.
        self.victims = [x for x in victims if type(x) is np.ndarray and not x.dtype.hasobject]
        self.deeds = [pick(rng, MEDDLING) for _ in range(int(rng.integers(1, 3)))]

    def meddle(self) -> None:
        """Do it to each array, as far as NumPy lets us."""
        for deed in self.deeds:
            for victim in self.victims:
                spared = any(victim is one for one in self.spared)
                if deed not in OF_MEMORY or (victim.flags.owndata and not spared):
                    # What NumPy refuses is not done.
                    with warnings.catch_warnings(), suppress(Exception):
                        warnings.simplefilter("ignore")
                        deed(self.rng, victim)

    def __repr__(self) -> str:
        deeds = " and ".join(deed.__name__ for deed in self.deeds)
        return f"Meddler({type(self.value).__name__}, {deeds})"


class MeddlingArray(Meddler):
    """An array-like that meddles when it is converted."""

    def __array__(self, dtype: object = None, copy: object = None) -> Any:  # noqa: ANN401
        """Give the array, as `numpy.asarray` asks for it."""
        self.meddle()
        return self.value


class MeddlingSequence(Meddler):
    """A sequence that meddles when it is measured or read."""

    def __len__(self) -> int:
        """Give the length of the array."""
        self.meddle()
        return len(self.value)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:  # noqa: ANN401
        """Give an entry of the array."""
        return self.value[index]  # type: ignore[index]


class MeddlingNumber(Meddler):
    """A number that meddles when it is converted."""

    def __index__(self) -> Any:  # noqa: ANN401
        """Give the number."""
        self.meddle()
        return self.value

    def __float__(self) -> Any:  # noqa: ANN401
        """Give the number."""
        self.meddle()
        return float(self.value)  # type: ignore[arg-type]

    def __bool__(self) -> bool:
        """Tell whether it is 0."""
        self.meddle()
        return bool(self.value)


# Lies


class LyingLength:
    """A sequence whose length is not that of its entries."""

    def __init__(self, length: int, items: int) -> None:
        self.length, self.items = length, items

    def __len__(self) -> int:
        """Give the wrong number, which may be no length at all."""
        return self.length

    def __getitem__(self, index: int) -> float:
        """Give an entry while there are some."""
        if index >= self.items:
            raise IndexError(index)
        return 0.5

    def __repr__(self) -> str:
        return f"LyingLength({self.length}, {self.items})"


class Endless:
    """A sequence that grows while it is read."""

    length = 1

    def __len__(self) -> int:
        """Give a larger length than before."""
        self.length += 1
        return min(self.length, 50)

    def __getitem__(self, index: int) -> float:
        """Give an entry for whatever index."""
        if index > 200:
            raise IndexError(index)
        return 0.5


class Shrinking(list[Any]):
    """A list that an entry of it empties when it is converted."""

    def __init__(self) -> None:
        outer = self

        class Entry:
            def __float__(self) -> float:
                """Empty the list."""
                outer.clear()
                return 1.0

        super().__init__([1.0, Entry(), 2.0])


class Answers:
    """Answers every conversion with the same object, of whatever type."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def __array__(self, dtype: object = None, copy: object = None) -> Any:  # noqa: ANN401
        """Give the object."""
        return self.answer

    def __index__(self) -> Any:  # noqa: ANN401
        """Give the object."""
        return self.answer

    __float__ = __len__ = __bool__ = __str__ = __index__

    def __buffer__(self, flags: int) -> Any:  # noqa: ANN401
        """Give the object."""
        return self.answer

    def __iter__(self) -> Iterator[Any]:
        """Give the object, once."""
        return iter([self.answer])

    def __repr__(self) -> str:
        return f"Answers({self.answer!r})"


class ByDlpack:
    """Offers DLPack alone, and answers with the same object."""

    def __init__(self, answer: object, device: object) -> None:
        self.answer, self.device = answer, device

    def __dlpack__(self, **_: object) -> Any:  # noqa: ANN401
        """Give the object, or raise it."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def __dlpack_device__(self) -> Any:  # noqa: ANN401
        """Give whatever device."""
        return self.device


class Interface:
    """Has an `__array_interface__` that is wrong in its form, but points to no wrong place."""

    def __init__(self, **changed: object) -> None:
        right = {"version": 3, "shape": (2,), "typestr": "<f8", "data": b"0" * 16}
        self.__array_interface__ = {**right, **changed}


class DistrustedError(Exception):
    """Something was asked of a subclass that nobody must ask."""


class Hostile(np.ndarray[Any, Any]):
    """A subclass of which nothing but the memory must be used."""

    def __array_finalize__(self, parent: object) -> None:
        """Refuse to become of this class, but when a test makes it so."""
        if not getattr(parent, "flags", None) or isinstance(parent, Hostile):
            raise DistrustedError("__array_finalize__")

    def __array_function__(self, *_: object) -> Any:  # noqa: ANN401
        """Refuse NumPy's functions."""
        raise DistrustedError("__array_function__")

    def __array_ufunc__(self, *_: object, **__: object) -> Any:  # noqa: ANN401
        """Refuse arithmetic."""
        raise DistrustedError("__array_ufunc__")

    def __array__(self, dtype: object = None, copy: object = None) -> Any:  # noqa: ANN401
        """Refuse to be converted: NumPy does not ask."""
        raise DistrustedError("__array__")

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401
        """Lie of everything that only Python asks for."""
        lies = {"shape": (1000, 1000), "strides": (8, 8), "ndim": 2, "size": 10**6, "base": 1}
        return lies[name] if name in lies else super().__getattribute__(name)

    def __repr__(self) -> str:
        return "Hostile"


def lies(rng: Rng) -> object:
    """Draw an object that is no array and says that it is one."""
    answers: tuple[object, ...] = (
        None, "no array", b"1234", 2**70, -1, 1.5, 1j, [], [[1.0], [1.0, 2.0]], np, object(),
        np.zeros(3), np.zeros((3, 5)), np.zeros(3, "M8[s]"), np.array([None]), np.ma.masked,
        memoryview(b"12345678").cast("d"), True, np.float64(0.5), np.zeros((1,) * MOST_DIMENSIONS),
    )  # fmt: skip
    answer = pick(rng, answers)
    devices: tuple[object, ...] = ((1, 0), (2, 0), (1,), None, ("a", "b"), (-1, 2**70))
    changes: tuple[dict[str, object], ...] = (
        {"shape": (-2,)}, {"shape": (2**62, 4)}, {"shape": 2}, {"shape": ("a",)}, {"typestr": 1},
        {"typestr": "junk"}, {"typestr": "<f9"}, {"data": None}, {"data": 1.5}, {"version": 9},
        {"strides": (1, 2, 3)}, {"strides": "a"}, {"descr": 1}, {"shape": None},
    )  # fmt: skip
    return pick(
        rng,
        (
            LyingLength(int(rng.integers(-2, 6)), int(rng.integers(0, 6))),
            LyingLength(2**62, 3),
            Endless(),
            Shrinking(),
            Answers(answer),
            ByDlpack(pick(rng, (answer, ExpectedError("dlpack"))), pick(rng, devices)),
            Interface(**pick(rng, changes)),
        ),
    )
