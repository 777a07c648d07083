"""The same as operators of torch.library, which torch.compile traces without looking inside.

Each has a fake kernel, which tells shapes and dtypes alone, and a backward pass in operators. What
they give is contiguous, as the fake kernels promise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from logitkit.torch import _compute

if TYPE_CHECKING:
    from torch import Tensor

    from logitkit.torch._compute import Loss

_NO_GRAD = 0


def _outputs(input: Tensor, loss: Loss) -> tuple[Tensor, Tensor, Tensor]:
    grad = input.new_empty(_NO_GRAD) if loss.grad is None else loss.grad
    return (
        loss.value.contiguous(),
        grad.contiguous(),
        torch.tensor(loss.divisor, dtype=torch.float64),
    )


def _fake_outputs(
    input: Tensor, target: Tensor, shape: Any, *, with_grad: bool
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        input.new_empty(shape, dtype=_compute.loss_dtype(input, target)),
        input.new_empty(input.shape if with_grad else _NO_GRAD),
        input.new_empty((), dtype=torch.float64),
    )


def _scaled(ctx: Any, incoming: Tensor) -> Tensor:
    grad, divisor = ctx.saved_tensors
    if incoming.dim() and ctx.axis is not None:
        incoming = incoming.unsqueeze(ctx.axis)
    # Also of half precision, whose numbers may be too small for the factor.
    wide = torch.promote_types(grad.dtype, torch.float32)
    return (grad.to(wide) * (incoming.to(torch.float64) / divisor).to(wide)).to(grad.dtype)


def _save(ctx: Any, output: tuple[Tensor, Tensor, Tensor], axis: int | None) -> None:
    _, grad, divisor = output
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(grad, divisor)
    ctx.save_for_backward(grad, divisor)
    ctx.axis = axis


@torch.library.custom_op(
    "logitkit::cross_entropy",
    mutates_args=(),
    schema="(Tensor input, Tensor target, Tensor? weight, SymInt ignore_index, str reduction, "
    "float label_smoothing, bool with_grad) -> (Tensor, Tensor, Tensor)",
)
def cross_entropy(input: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Compute loss, gradient and what to divide the gradient by."""
    *options, with_grad = arguments
    return _outputs(input, _compute.cross_entropy(input, tuple(options), with_grad=with_grad))


@cross_entropy.register_fake
def _(input: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    target, _, _, reduction, _, with_grad = arguments
    rows = input.shape[:1] + input.shape[2:] if input.dim() > 1 else ()
    shape = rows if reduction == "none" else ()
    return _fake_outputs(input, target, shape, with_grad=with_grad)


@torch.library.custom_op(
    "logitkit::binary_cross_entropy_with_logits",
    mutates_args=(),
    schema="(Tensor input, Tensor target, Tensor? weight, str reduction, Tensor? pos_weight, "
    "bool with_grad) -> (Tensor, Tensor, Tensor)",
)
def binary_cross_entropy_with_logits(
    input: Tensor,
    *arguments: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute loss, gradient and what to divide the gradient by."""
    *options, with_grad = arguments
    loss = _compute.binary_cross_entropy_with_logits(input, tuple(options), with_grad=with_grad)
    return _outputs(input, loss)


@binary_cross_entropy_with_logits.register_fake
def _(input: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    target, _, reduction, _, with_grad = arguments
    shape = input.shape if reduction == "none" else ()
    return _fake_outputs(input, target, shape, with_grad=with_grad)


@torch.library.custom_op(
    "logitkit::softmax", mutates_args=(), schema="(Tensor input, int dim, bool log) -> Tensor"
)
def softmax(input: Tensor, dim: int, log: bool) -> Tensor:  # noqa: FBT001 - operators have it so
    """Compute softmax or log_softmax."""
    return _compute.softmax(input, dim, log=log).contiguous()


@torch.library.custom_op(
    "logitkit::softmax_vjp",
    mutates_args=(),
    schema="(Tensor output, Tensor cotangent, int dim, bool log) -> Tensor",
)
def softmax_vjp(output: Tensor, cotangent: Tensor, dim: int, log: bool) -> Tensor:  # noqa: FBT001
    """Multiply by the Jacobian of either."""
    return _compute.softmax_vjp(output, cotangent, dim, log=log).contiguous()


@softmax.register_fake
@softmax_vjp.register_fake
def _(input: Tensor, *_: Any) -> Tensor:
    return input.new_empty(input.shape)


cross_entropy.register_autograd(
    lambda ctx, incoming, *_: (_scaled(ctx, incoming), *[None] * 6),
    setup_context=lambda ctx, inputs, output: _save(ctx, output, _compute.class_axis(inputs[0])),
)
binary_cross_entropy_with_logits.register_autograd(
    lambda ctx, incoming, *_: (_scaled(ctx, incoming), *[None] * 5),
    setup_context=lambda ctx, inputs, output: _save(ctx, output, None),  # noqa: ARG005
)


def _save_softmax(ctx: Any, inputs: tuple[Tensor, int, bool], output: Tensor) -> None:
    _, ctx.dim, ctx.log = inputs
    ctx.save_for_backward(output)


softmax.register_autograd(
    lambda ctx, cotangent: (
        softmax_vjp(*ctx.saved_tensors, cotangent, ctx.dim, ctx.log),
        None,
        None,
    ),
    setup_context=_save_softmax,
)
