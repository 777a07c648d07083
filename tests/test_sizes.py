"""Arrays of over 2^31 elements, rows and classes, most of which take no memory."""

import math

import numpy as np
import pytest

import logitkit
from tests.support import Array, like

HUGE = (1 << 31) + 40


def untouched(shape: int | tuple[int, ...], dtype: type) -> Array:
    """Give zeros that take no memory as long as nobody writes to them."""
    return np.zeros(shape, dtype)


def test_elements() -> None:
    rows = HUGE // 1024 + 1
    x, targets = like(1, (rows, 1024)), like(3, (rows,), np.int64)
    assert logitkit.cross_entropy(x, targets) == np.float32(math.log(1024))


@pytest.mark.soak
def test_one_row_of_them_all() -> None:
    line = np.broadcast_to(np.ones(1 << 20, np.float32), (HUGE // (1 << 20) + 1, 1 << 20))
    assert logitkit.logsumexp(line, axis=None) == np.float32(1 + math.log(line.size))


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "int64"])
@pytest.mark.parametrize("sign", ["", "u"])
def test_the_largest_index_of_every_integer_type(kind: str, sign: str) -> None:
    dtype = np.dtype(sign + kind)
    for value in {int(np.iinfo(dtype).max), int(np.iinfo(dtype).min)} - {0}:
        targets = np.array([0, value], dtype)
        with pytest.raises(IndexError, match=rf"targets\[1\] is {value},"):
            logitkit.cross_entropy(np.zeros((2, 3)), targets)
        kept = logitkit.cross_entropy(np.zeros((2, 3)), targets, ignore_index=value)
        assert kept == pytest.approx(math.log(3))


@pytest.mark.soak
def test_classes() -> None:
    x = untouched((1, HUGE), np.float32)
    x[0, HUGE - 7] = 30
    values, indices = logitkit.top_k(x, 2)
    assert values.tolist() == [[30, 0]]
    assert indices.tolist() == [[HUGE - 7, 0]]
    assert logitkit.top_k(x, 70)[1][0, :2].tolist() == [HUGE - 7, 0]
    assert logitkit.accuracy(x, [HUGE - 7]) == 1
    assert logitkit.accuracy(x, [HUGE - 8]) == 0
    others = math.log1p((HUGE - 1) * math.exp(-30))
    assert logitkit.cross_entropy(x, [HUGE - 7]) == pytest.approx(others, rel=1e-6)
    assert logitkit.cross_entropy(x, [HUGE - 8]) == pytest.approx(30 + others, rel=1e-6)
    with pytest.raises(IndexError, match=rf"targets\[0\] is {HUGE}, .* to {HUGE} exclusive"):
        logitkit.cross_entropy(x, [HUGE])


@pytest.mark.soak
def test_rows() -> None:
    x, targets = untouched((HUGE, 2), np.float32), untouched(HUGE, np.int64)
    assert logitkit.cross_entropy(x, targets) == np.float32(math.log(2))
    targets[HUGE - 5] = 9
    with pytest.raises(IndexError, match=rf"targets\[{HUGE - 5}\] is 9"):
        logitkit.cross_entropy(x, targets)


@pytest.mark.soak
def test_results() -> None:
    """The last elements are those of a small array."""
    x = untouched((HUGE // 4, 4), np.float16)
    x[-1] = [0, 1, 2, 3]
    assert logitkit.softmax(x, out=x) is x
    assert (x[-1] == logitkit.softmax(np.array([0, 1, 2, 3], np.float16))).all()
    assert (x[:: HUGE // 40] == np.float16(0.25)).all()
