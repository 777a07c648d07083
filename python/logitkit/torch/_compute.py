"""From tensors to logitkit's functions on arrays and back, without a copy and without autograd.

Here belong dtypes, layouts and what a loss's gradient is to be divided by. What is recorded for the
backward pass is in `_autograd.py` and `_operators.py`; what callers may pass is checked in
`__init__.py`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

import logitkit
from logitkit._memory import LEAST_BYTES, large_array

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

DTYPES = frozenset({torch.float32, torch.float64, torch.float16, torch.bfloat16})


class Loss(NamedTuple):
    """A loss and its gradient, which is to be divided by `divisor` still."""

    value: Tensor
    grad: Tensor | None
    divisor: float = 1.0


def array(tensor: Tensor) -> NDArray[Any]:
    """Give the memory of a tensor on the CPU as an array."""
    tensor = tensor.detach()
    if tensor.dtype is not torch.bfloat16:
        return tensor.numpy()
    try:
        import ml_dtypes  # noqa: PLC0415 - only this dtype needs it
    except ImportError as error:
        raise ImportError(
            "a tensor of torch.bfloat16 needs the package ml_dtypes; install it "
            '(pip install "logitkit[torch]"), or convert the tensor with .float()'
        ) from error
    return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)


def tensor_of(array: NDArray[Any]) -> Tensor:
    """Give the memory of an array that logitkit made as a tensor."""
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def class_axis(input: Tensor) -> int:
    """Tell where torch's losses have the classes."""
    return 0 if input.dim() == 1 else 1


def loss_dtype(input: Tensor, target: Tensor) -> torch.dtype:
    """Give a loss the dtype that torch does: soft targets in float64 make one in float64."""
    if not target.is_floating_point():
        return input.dtype
    return torch.promote_types(input.dtype, target.dtype)


def cross_entropy(
    input: Tensor,
    options: tuple[Tensor, Tensor | None, int, str, float],
    *,
    with_grad: bool,
) -> Loss:
    """Compute the loss, or loss and gradient in one pass."""
    target, weight, ignore_index, reduction, label_smoothing = options
    soft = target.shape == input.shape
    named: dict[str, Any] = {
        "axis": class_axis(input),
        "weight": None if weight is None else array(weight),
        "ignore_index": None if soft else ignore_index,
        "label_smoothing": label_smoothing,
    }
    arrays = array(input), array(target)
    if not with_grad:
        loss = logitkit.cross_entropy(*arrays, reduction=reduction, **named)
        return Loss(_result(loss, loss_dtype(input, target)), None)
    divisor = 1.0
    if _is_divided_later(input, reduction):
        divisor = _rows(input, target, weight, ignore_index)
        reduction = "sum"
    out, grad = _gradient(input)
    loss, made = logitkit.cross_entropy_and_grad(*arrays, reduction=reduction, out=out, **named)
    return _loss(
        loss, tensor_of(made) if grad is None else grad, divisor, loss_dtype(input, target)
    )


def binary_cross_entropy_with_logits(
    input: Tensor,
    options: tuple[Tensor, Tensor | None, str, Tensor | None],
    *,
    with_grad: bool,
) -> Loss:
    """Compute the loss, or loss and gradient in one pass."""
    target, weight, reduction, pos_weight = options
    weights: dict[str, Any] = {
        "weight": None if weight is None else array(weight),
        "pos_weight": None if pos_weight is None else array(pos_weight),
    }
    arrays = array(input), array(target)
    dtype = loss_dtype(input, target)
    divisor = 1.0
    if with_grad and _is_divided_later(input, reduction):
        divisor = float(input.numel())
        reduction = "sum"
    try:
        if not with_grad:
            loss = logitkit.binary_cross_entropy_with_logits(
                *arrays, reduction=reduction, **weights
            )
            return Loss(_result(loss, dtype), None)
        out, grad = _gradient(input)
        loss, made = logitkit.binary_cross_entropy_with_logits_and_grad(
            *arrays, reduction=reduction, out=out, **weights
        )
    except ValueError:
        # Only logitkit wants targets to lie in [0, 1]. To look at them first would cost each call a
        # pass over them.
        if bool(((target >= 0) & (target <= 1)).all()):
            raise
        loss, made = _binary_of_any_target(*arrays, reduction=reduction, **weights)
        grad = None
    return _loss(loss, tensor_of(made) if grad is None else grad, divisor, dtype)


def softmax(input: Tensor, dim: int, *, log: bool) -> Tensor:
    """Compute either of the two functions."""
    function = logitkit.log_softmax if log else logitkit.softmax
    return tensor_of(function(array(input), dim))


def softmax_vjp(output: Tensor, cotangent: Tensor, dim: int, *, log: bool) -> Tensor:
    """Multiply by the Jacobian of either, from what it gave."""
    function = logitkit.log_softmax_vjp if log else logitkit.softmax_vjp
    return tensor_of(function(array(output), array(cotangent), dim))


def _is_divided_later(input: Tensor, reduction: str) -> bool:
    """Whether the gradient of a mean may be too small for its dtype.

    With 65,536 rows the whole gradient is below the smallest normal number of float16. A loss is
    multiplied by a large number to avoid that, which reaches the gradient in the backward pass.
    """
    return input.dtype is torch.float16 and reduction == "mean"


def _rows(input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int) -> float:
    """Give what the mean of the cross entropy divides by."""
    if target.shape == input.shape:
        return input.numel() / max(input.shape[class_axis(input)], 1)
    kept = target.detach()[target != ignore_index]
    if weight is None:
        return float(kept.numel())
    kept = kept.long()
    if kept.numel() and (int(kept.min()) < 0 or int(kept.max()) >= weight.numel()):
        return math.nan  # the loss itself tells which target is wrong
    return float(weight.detach().double()[kept].sum())


def _gradient(input: Tensor) -> tuple[NDArray[Any] | None, Tensor | None]:
    """Give an array for the gradient and its tensor; None where logitkit shall make it."""
    if input.nbytes < LEAST_BYTES or not input.is_contiguous():
        return None, None
    is_bfloat16 = input.dtype is torch.bfloat16
    kept = large_array(tuple(input.shape), np.int16 if is_bfloat16 else array(input[:0]).dtype)
    grad = torch.from_numpy(kept)
    if is_bfloat16:
        grad = grad.view(torch.bfloat16)
    return array(grad), grad


def _loss(loss: Any, grad: Tensor, divisor: float, dtype: torch.dtype) -> Loss:
    if divisor != 1:
        loss = loss / divisor if divisor else loss * math.nan
    # Without rows there is no gradient to divide.
    return Loss(_result(loss, dtype), grad, divisor or math.inf)


def _result(loss: Any, dtype: torch.dtype) -> Tensor:
    result = torch.from_numpy(np.asarray(loss))
    return result if result.dtype is dtype else result.to(dtype)


def _binary_of_any_target(
    logits: NDArray[Any],
    targets: NDArray[Any],
    weight: NDArray[Any] | None,
    pos_weight: NDArray[Any] | None,
    reduction: str,
) -> tuple[Any, NDArray[Any]]:
    """Compute the formula, which is linear in the target, for those outside [0, 1] and NaN."""
    dtype = logits.dtype
    wide = np.float64 if dtype == np.float64 else np.float32
    logits, targets = logits.astype(wide), targets.astype(wide)
    weight = np.asarray(1.0 if weight is None else weight).astype(wide)
    positive = weight * targets * np.asarray(1.0 if pos_weight is None else pos_weight).astype(wide)
    negative = weight * (1 - targets)
    loss: Any = positive * logitkit.softplus(-logits) + negative * logitkit.softplus(logits)
    grad = negative * logitkit.sigmoid(logits) - positive * logitkit.sigmoid(-logits)
    if reduction != "none":
        loss = loss.sum(dtype=np.float64).astype(wide)
    if reduction == "mean":
        loss, grad = loss / wide(logits.size), grad / wide(logits.size)
    return loss, grad.astype(dtype)
