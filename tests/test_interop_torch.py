"""Tensors of torch as arguments, as they are, and results as tensors without a copy.

Arrays of other libraries are in test_interop.py, tensors that logitkit.torch takes in
test_torch_losses.py. `make test-torch` runs this file.
"""

import sys
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import logitkit
from tests.memory import peak
from tests.support import Array, assert_same_bits

torch = pytest.importorskip("torch")

ROWS = [[1.0, 2.0, 3.0], [2.0, 0.5, 1.0]]
SINGLE: Array = np.array(ROWS, np.float32)
DTYPES = {
    "float32": np.float32,
    "float64": np.float64,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
}
by_dtype = pytest.mark.parametrize("name", DTYPES)


def tensor_and_array(name: str) -> tuple[Any, Array]:
    """Give the rows as both, of the type of that name."""
    return torch.tensor(ROWS, dtype=getattr(torch, name)), SINGLE.astype(DTYPES[name])


@by_dtype
def test_tensors(name: str) -> None:
    x, want = tensor_and_array(name)
    assert_same_bits(logitkit.softmax(x), logitkit.softmax(want))
    got = logitkit.cross_entropy(x, torch.tensor([0, 2]))
    assert_same_bits(got, logitkit.cross_entropy(want, [0, 2]))


@by_dtype
def test_tensors_of_any_strides(name: str) -> None:
    x, want = tensor_and_array(name)
    turned = logitkit.softmax(x.T, axis=0).T
    assert_same_bits(np.ascontiguousarray(turned), np.ascontiguousarray(logitkit.softmax(want)))


@by_dtype
def test_results_become_tensors(name: str) -> None:
    """bfloat16 goes by its bits, for torch does not know the type of ml_dtypes."""
    x, want = tensor_and_array(name)
    got = logitkit.softmax(x)
    if name == "bfloat16":
        back = torch.from_numpy(got.view(np.int16)).view(torch.bfloat16)
    else:
        back = torch.from_numpy(got)
    assert back.dtype == x.dtype
    assert back.data_ptr() == got.ctypes.data
    assert back.double().tolist() == logitkit.softmax(want).astype(np.float64).tolist()


@by_dtype
def test_tensors_that_require_a_gradient_are_refused(name: str) -> None:
    x, want = tensor_and_array(name)
    for tensor in (x.clone().requires_grad_(), torch.nn.Parameter(x.clone())):
        with pytest.raises(RuntimeError, match="detach"):
            logitkit.softmax(tensor)
        assert_same_bits(logitkit.softmax(tensor.detach()), logitkit.softmax(want))


def test_tensors_elsewhere_are_refused() -> None:
    with pytest.raises(TypeError, match="cpu"):
        logitkit.softmax(torch.zeros(3, device="meta"))


def test_complex_tensors_are_refused() -> None:
    with pytest.raises(TypeError, match="x has dtype complex64"):
        logitkit.softmax(torch.zeros(3, dtype=torch.complex64))


def test_masks() -> None:
    mask = torch.tensor([True, False, True])
    want = logitkit.softmax(SINGLE, where=np.array([True, False, True]))
    assert_same_bits(logitkit.softmax(SINGLE, where=mask), want)
    assert_same_bits(logitkit.softmax(torch.tensor(SINGLE), where=mask), want)


def test_out() -> None:
    """A tensor's memory takes the result, as the array that it is; a tensor is no `out`."""
    x, want = tensor_and_array("float32")
    into: Any = torch.zeros_like(x)
    logitkit.softmax(x, out=into.numpy())
    assert into.tolist() == logitkit.softmax(want).tolist()
    with pytest.raises(TypeError, match="Tensor"):
        logitkit.softmax(x, out=into)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted by Linux")
@by_dtype
def test_tensors_are_not_copied(name: str) -> None:
    x = torch.zeros((2048, 4096), dtype=getattr(torch, name))
    size = x.numel() * x.element_size()
    logitkit.logsumexp(x)
    assert peak(lambda: logitkit.logsumexp(x)) < size // 2
