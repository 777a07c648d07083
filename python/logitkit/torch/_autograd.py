"""Functions that autograd records: a loss whose gradient is at hand, softmax and log-softmax.

They are for tensors that are there. What torch.compile traces goes by `_operators.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from logitkit.torch import _compute

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from logitkit.torch._compute import Loss

# Whether the graph is kept for another backward pass. torch has no public name for it yet.
_is_kept = torch._C._autograd._get_current_graph_task_keep_graph  # noqa: SLF001


def loss(input: Tensor, compute: Callable[..., Loss], axis: int | None) -> Tensor:
    """Compute the loss, and its gradient for the way back if one is wanted."""
    if torch.is_grad_enabled() and input.requires_grad:
        return FusedLoss.apply(input, compute, axis)
    return compute(input, with_grad=False).value


class FusedLoss(torch.autograd.Function):
    """A loss that computes its gradient on the way forward, and scales it on the way back."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        compute: Callable[..., Loss],
        axis: int | None,
    ) -> Tensor:
        """Compute both. `axis` is the one of `input` that the loss of a row does not have."""
        computed = compute(input, with_grad=True)
        ctx.save_for_backward(computed.grad)
        ctx.divisor, ctx.axis = computed.divisor, axis
        return computed.value

    @staticmethod
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor, None, None]:
        """Hand the gradient over, scaled if need be."""
        (grad,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph=True
            with torch.no_grad():
                grad = _scaled(grad, incoming, ctx.divisor, ctx.axis)
            return _once(grad), None, None
        return _scaled(grad, incoming, ctx.divisor, ctx.axis), None, None


class Softmax(torch.autograd.Function):
    """softmax or log_softmax; the backward pass needs the result alone."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, dim: int, log: bool) -> Tensor:  # noqa: FBT001
        """Compute it."""
        output = _compute.softmax(input, dim, log=log)
        ctx.save_for_backward(output)
        ctx.dim, ctx.log = dim, log
        return output

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None, None]:
        """Multiply by the Jacobian."""
        (output,) = ctx.saved_tensors
        grad = _compute.softmax_vjp(output, cotangent, ctx.dim, log=ctx.log)
        return _once(grad) if torch.is_grad_enabled() else grad, None, None


class _Once(torch.autograd.Function):
    """A gradient that cannot be differentiated, and says so instead of counting as a constant."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, anchor: Tensor) -> Tensor:  # noqa: ARG004
        return grad.clone()

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[None, None]:
        raise NotImplementedError(
            "a second derivative was asked for, and the functions of logitkit.torch have only a "
            "first one; call the function of the same name in torch.nn.functional instead"
        )


def _once(grad: Tensor) -> Tensor:
    """Make a second derivative an error."""
    return _Once.apply(grad, torch.empty(0, requires_grad=True))


def _scaled(grad: Tensor, incoming: Tensor, divisor: float, axis: int | None) -> Tensor:
    """Multiply by what comes from behind the loss, in place if nobody needs the gradient again."""
    kept = _is_kept()
    if incoming.dim() and (any(incoming.stride()) or not incoming.numel()):
        factor = incoming if axis is None else incoming.unsqueeze(axis)
        return (grad * factor).to(grad.dtype) if kept else grad.mul_(factor)
    # One number: of a reduced loss, or of one that is summed up later.
    factor = incoming[(0,) * incoming.dim()].item() if incoming.dim() else incoming.item()
    if factor == divisor:
        return grad.clone() if kept else grad
    return grad * (factor / divisor) if kept else grad.mul_(factor / divisor)
