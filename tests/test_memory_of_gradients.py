"""The memory that gradients use again: only when nothing refers to it, and not too much of it."""

import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from logitkit import _memory
from logitkit._memory import large_array


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    kept = _memory._blocks[:]  # noqa: SLF001 - what is kept is seen nowhere else
    _memory._blocks[:] = []  # noqa: SLF001
    yield
    _memory._blocks[:] = kept  # noqa: SLF001


def place(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])


def test_memory_is_used_again() -> None:
    array = large_array((100, 7), "f4")
    before = place(array)
    del array
    array = large_array((7, 80), "f4", "F")
    assert place(array) == before
    assert array.flags.f_contiguous
    assert array.flags.writeable


@pytest.mark.parametrize(
    "view",
    [
        lambda array: array,
        lambda array: array[3:5],
        lambda array: array.T,
        lambda array: array.view("i4")[::2],
        lambda array: array.ravel()[:1],
        memoryview,
        np.from_dlpack,
        lambda array: array[1:2].reshape(-1)[0:0],
    ],
)
def test_memory_in_use_is_left_alone(view: Callable[[NDArray[Any]], Any]) -> None:
    array = large_array((100, 7), "f4")
    before = place(array)
    held = view(array)
    del array
    others = [large_array((100, 7), "f4") for _ in range(4)]
    assert before not in map(place, others)
    assert len({place(other) for other in others}) == 4
    del held


def test_a_copy_needs_no_memory_of_the_first() -> None:
    array = large_array((10,), "f4")
    array[:] = np.arange(10)
    before = place(array)
    copies = [array.copy(), pickle.loads(pickle.dumps(array))]  # noqa: S301 - made on this line
    del array
    assert place(large_array((10,), "f4")) == before
    assert all(np.array_equal(copy, np.arange(10)) for copy in copies)


def test_few_blocks_are_kept_and_none_much_too_large() -> None:
    arrays = [large_array((1000,), "f4") for _ in range(5)]
    assert [block.size for block in _memory._blocks] == [4000, 4000]  # noqa: SLF001
    del arrays
    large_array((400,), "f4")
    large_array((1001,), "f4")
    assert [block.size for block in _memory._blocks] == [1600, 4004]  # noqa: SLF001


def test_threads_do_not_share_memory() -> None:
    """Each writes its number and finds it again, however the others come between."""
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(300):
            arrays = [large_array((500,), "f8") for _ in range(2)]
            for array in arrays:
                array.fill(number)
            wrong.extend(number for array in arrays if not (array == number).all())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
