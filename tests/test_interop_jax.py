"""Arrays of jax as arguments, as they are, and results as arrays of jax.

Arrays of other libraries are in test_interop.py. `make test-torch` runs this file.
"""

import sys

import ml_dtypes
import numpy as np
import pytest

import logitkit
from tests.memory import peak
from tests.support import Array, assert_same_bits

jax = pytest.importorskip("jax")

SINGLE: Array = np.array([[1.0, 2.0, 3.0], [2.0, 0.5, 1.0]], np.float32)
by_dtype = pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])


def array(name: str) -> Array:
    """Give the rows in the type of that name."""
    return SINGLE.astype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


@by_dtype
def test_arrays(name: str) -> None:
    want = array(name)
    x = jax.numpy.asarray(want)
    assert_same_bits(logitkit.softmax(x), logitkit.softmax(want))
    got = logitkit.cross_entropy(x, jax.numpy.asarray([0, 2]))
    assert_same_bits(got, logitkit.cross_entropy(want, [0, 2]))
    mask = jax.numpy.asarray([True, False, True])
    want = logitkit.softmax(want, where=np.array([True, False, True]))
    assert_same_bits(logitkit.softmax(x, where=mask), want)


@by_dtype
def test_results_become_arrays_of_jax(name: str) -> None:
    """bfloat16 is the type of ml_dtypes in both."""
    got = logitkit.softmax(jax.numpy.asarray(array(name)))
    back = jax.numpy.asarray(got)
    assert back.dtype == got.dtype == array(name).dtype
    assert_same_bits(np.asarray(back), got)


def test_arrays_of_jax_cannot_be_written_to() -> None:
    x = jax.numpy.asarray(SINGLE)
    with pytest.raises(ValueError, match=r"writ|read"):
        logitkit.softmax(x, out=np.asarray(x))
    with pytest.raises(TypeError, match="out"):
        logitkit.softmax(x, out=x)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted by Linux")
@by_dtype
def test_arrays_are_not_copied(name: str) -> None:
    x = jax.numpy.zeros((2048, 4096), array(name).dtype)
    logitkit.logsumexp(x)
    assert peak(lambda: logitkit.logsumexp(x)) < x.nbytes // 2
