"""torch's losses and softmax on CPU tensors, computed by logitkit.

The signatures are those of `torch.nn.functional`, and so are the values but for their errors:

>>> import torch
>>> import logitkit.torch
>>> logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, 1.0]], requires_grad=True)
>>> loss = logitkit.torch.cross_entropy(logits, torch.tensor([0, 1]))
>>> loss.backward()
>>> torch.round(logits.grad, decimals=4)
tensor([[-0.1705,  0.1212,  0.0493],
        [ 0.0498, -0.1319,  0.0821]])

A loss computes its gradient on the way forward, in the same pass over the logits, if they require
one. Tensors are read where they are; `import logitkit` does not import torch.

Here belong the public names, and what their arguments may be.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from logitkit.torch import _autograd, _compute, _operators

__all__ = [
    "CrossEntropyLoss",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "log_softmax",
    "softmax",
]

# Other subclasses of tensors may have no memory, or want to know what is done to them.
_PLAIN = frozenset({Tensor, torch.nn.Parameter})


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy of logits, as `torch.nn.functional.cross_entropy`.

    With class weights w, label smoothing ε and lse = log Σ_c exp(x_c), the loss of a row x is::

      class index y:     l = (1-ε) w_y (lse - x_y) + (ε/C) Σ_c w_c (lse - x_c)
      probabilities t:   l = Σ_c w_c t'_c (lse - x_c)   with t' = (1-ε) t + ε/C

    Parameters
    ----------
    input : Tensor, shape (C,), (N, C) or (N, C, d1, ...)
        Logits, of float32, float64, float16 or bfloat16, on the CPU, of any strides.
    target : Tensor
        Class indices, of the shape of `input` without C and any integer dtype, or probabilities, of
        the shape of `input`.
    weight : Tensor, shape (C,), optional
        A weight for each class.
    ignore_index : int, default -100
        A row with this target is left out. With probabilities it has to be negative, and does
        nothing.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the kept rows' w_y for class indices, by the number of rows for
        probabilities.
    label_smoothing : float, default 0.0
        The share ε of the target, in [0, 1], that is spread evenly over the classes.

    Returns
    -------
    Tensor
        The loss, of the dtype of `input` (float64 if probabilities are). If `input` requires a
        gradient, it was computed as well, and `backward` only scales it.

    Special values
    --------------
    - A row that holds a NaN or +inf, or nothing but -inf, has a loss and a gradient of NaN.
    - A row left out has a loss and a gradient of exactly 0, even if its logits are NaN.
    - A class of target or weight 0 adds nothing, even if its logit is -inf, where torch gives NaN.
    - No rows, every row left out, or weights that sum to 0: the mean is NaN, the sum 0, the
      gradient 0 (in torch, NaN for such weights).

    Accuracy
    --------
    That of `logitkit.cross_entropy_and_grad`: 2 ulp for class indices, without options. Multiplied
    by an incoming gradient other than 1, the gradient is rounded once more.

    Raises
    ------
    NotImplementedError
        A tensor is on another device or sparse, or `input` is of another dtype; probabilities or
        weights require a gradient; or a second derivative is asked for, on the way back.
    ValueError
        Shapes do not match, or an option is none of those above.
    IndexError
        A class index is outside [0, C) and is not `ignore_index`.
    RuntimeError
        The target's dtype is neither of the two, or `ignore_index` is not negative with
        probabilities.

    Examples
    --------
    >>> import torch
    >>> import logitkit.torch
    >>> logits = torch.zeros(2, 3, requires_grad=True)
    >>> loss = logitkit.torch.cross_entropy(logits, torch.tensor([0, -100]))
    >>> loss.backward()
    >>> logits.grad
    tensor([[-0.6667,  0.3333,  0.3333],
            [ 0.0000,  0.0000,  0.0000]])

    See Also
    --------
    CrossEntropyLoss : The same as a module.
    logitkit.cross_entropy_and_grad : The same for arrays.

    References
    ----------
    As `logitkit.cross_entropy`.
    """
    _check("cross_entropy", input, ("target", target), ("weight", weight))
    if target.shape == input.shape:
        _check_probabilities(target, ignore_index)
    else:
        target = _class_indices(input, target)
    options = (target, weight, ignore_index, reduction, label_smoothing)
    if _is_traced(input):
        return _operators.cross_entropy(input, *options, _wants_grad(input))[0]
    compute = partial(_compute.cross_entropy, options=options)
    return _autograd.loss(input, compute, _compute.class_axis(input))


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross entropy of logits, as `torch.nn.functional.binary_cross_entropy_with_logits`.

    The loss of a logit z with the target y is::

      l = weight [ pos_weight y softplus(-z) + (1-y) softplus(z) ]

    Parameters
    ----------
    input : Tensor, any shape
        Logits, of float32, float64, float16 or bfloat16, on the CPU, of any strides.
    target : Tensor, shape of `input`
        Any numbers, of any dtype. As in torch they may lie outside [0, 1], at a fraction of the
        speed.
    weight : Tensor, optional
        A weight for each element; it broadcasts to `input`.
    reduction : {"mean", "sum", "none"}, default "mean"
        How the elements' losses are brought together.
    pos_weight : Tensor, optional
        A weight for the positive part, y = 1; it broadcasts to `input`.

    Returns
    -------
    Tensor
        The loss, of the dtype of `input` (float64 if the targets are). If `input` requires a
        gradient, it was computed as well, and `backward` only scales it.

    Special values
    --------------
    - A logit of NaN is a loss and a gradient of NaN.
    - A logit of +inf with target 1, or of -inf with target 0, has a loss and a gradient of 0, where
      torch gives NaN.
    - An element of weight 0 has a loss and a gradient of exactly 0, even if its logit is NaN.
    - With no elements the mean is NaN and the sum 0.

    Accuracy
    --------
    That of `logitkit.binary_cross_entropy_with_logits_and_grad`: 2 ulp with targets of 0 and 1.
    Multiplied by an incoming gradient other than 1, the gradient is rounded once more.

    Raises
    ------
    NotImplementedError
        A tensor is on another device or sparse, or `input` is of another dtype; targets or weights
        require a gradient; or a second derivative is asked for, on the way back.
    ValueError
        The target has another shape, a weight does not broadcast to `input`, or the reduction is
        none of the three.

    Examples
    --------
    >>> import torch
    >>> import logitkit.torch
    >>> logits = torch.tensor([2.0, -1.0], requires_grad=True)
    >>> target = torch.tensor([1.0, 0.0])
    >>> logitkit.torch.binary_cross_entropy_with_logits(logits, target).backward()
    >>> logits.grad
    tensor([-0.0596,  0.1345])

    See Also
    --------
    cross_entropy : The loss for several classes.
    logitkit.binary_cross_entropy_with_logits_and_grad : The same for arrays.

    References
    ----------
    As `logitkit.binary_cross_entropy_with_logits`.
    """
    name = "binary_cross_entropy_with_logits"
    others = ("target", target), ("weight", weight), ("pos_weight", pos_weight)
    _check(name, input, *others)
    if target.shape != input.shape:
        raise ValueError(
            f"target has shape {tuple(target.shape)}, and input {tuple(input.shape)}: they must be "
            f"the same; reshape or expand the target"
        )
    options = (target, weight, reduction, pos_weight)
    if _is_traced(input):
        return _operators.binary_cross_entropy_with_logits(input, *options, _wants_grad(input))[0]
    compute = partial(_compute.binary_cross_entropy_with_logits, options=options)
    return _autograd.loss(input, compute, None)


def softmax(input: Tensor, dim: int) -> Tensor:
    """Probabilities from logits, as `torch.nn.functional.softmax`.

    With the classes along `dim`::

      softmax(x)_i = exp(x_i) / Σ_c exp(x_c)

    Parameters
    ----------
    input : Tensor, any shape
        Logits, of float32, float64, float16 or bfloat16, on the CPU, of any strides.
    dim : int
        The dimension of the classes. A negative one counts from the end.

    Returns
    -------
    Tensor
        The probabilities, with the shape and dtype of `input`.

    Special values
    --------------
    A row that holds a NaN or +inf, or nothing but -inf, is all NaN. Elsewhere -inf gives exactly 0.

    Accuracy
    --------
    2 ulp forward, as `logitkit.softmax`; backward as `logitkit.softmax_vjp`.

    Raises
    ------
    NotImplementedError
        `input` is on another device, sparse or of another dtype; or a second derivative is asked
        for, on the way back.
    IndexError
        `dim` is out of range.

    Examples
    --------
    >>> import torch
    >>> import logitkit.torch
    >>> logitkit.torch.softmax(torch.tensor([0.0, 1.0, 2.0]), dim=0)
    tensor([0.0900, 0.2447, 0.6652])

    See Also
    --------
    log_softmax : Its logarithm, which keeps what it rounds to 0.
    logitkit.softmax : The same for arrays.

    References
    ----------
    As `logitkit.softmax`.
    """
    return _softmax("softmax", input, dim)


def log_softmax(input: Tensor, dim: int) -> Tensor:
    """Logarithms of probabilities, as `torch.nn.functional.log_softmax`.

    With the classes along `dim`::

      log_softmax(x)_i = x_i - log Σ_c exp(x_c)

    Parameters
    ----------
    input : Tensor, any shape
        Logits, of float32, float64, float16 or bfloat16, on the CPU, of any strides.
    dim : int
        The dimension of the classes. A negative one counts from the end.

    Returns
    -------
    Tensor
        The logarithms, with the shape and dtype of `input`.

    Special values
    --------------
    A row that holds a NaN or +inf, or nothing but -inf, is all NaN. Elsewhere -inf stays -inf.

    Accuracy
    --------
    2 ulp forward, as `logitkit.log_softmax`; backward as `logitkit.log_softmax_vjp`.

    Raises
    ------
    NotImplementedError
        `input` is on another device, sparse or of another dtype; or a second derivative is asked
        for, on the way back.
    IndexError
        `dim` is out of range.

    Examples
    --------
    >>> import torch
    >>> import logitkit.torch
    >>> logitkit.torch.log_softmax(torch.tensor([30.0, 0.0]), dim=0)
    tensor([-9.3576e-14, -3.0000e+01])

    See Also
    --------
    softmax : The probabilities themselves.
    cross_entropy : The loss, which does not need them.
    logitkit.log_softmax : The same for arrays.

    References
    ----------
    As `logitkit.log_softmax`.
    """
    return _softmax("log_softmax", input, dim)


class CrossEntropyLoss(torch.nn.CrossEntropyLoss):
    """`cross_entropy` as a module, in place of `torch.nn.CrossEntropyLoss`.

    It is one, with the same attributes and the same state; its forward pass, and with that the
    backward pass, is logitkit's.

    Parameters
    ----------
    weight : Tensor, shape (C,), optional
        A weight for each class, kept as a buffer.
    ignore_index : int, default -100
        A row with this target is left out.
    reduction : {"mean", "sum", "none"}, default "mean"
        How the rows' losses are brought together.
    label_smoothing : float, default 0.0
        The share of the target that is spread evenly over the classes.

    Examples
    --------
    >>> import torch
    >>> import logitkit.torch
    >>> criterion = logitkit.torch.CrossEntropyLoss(label_smoothing=0.1)
    >>> criterion(torch.tensor([[2.0, 0.0]]), torch.tensor([0]))
    tensor(0.2269)

    See Also
    --------
    cross_entropy : The function, which describes all of this.
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(
            weight=weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
        )

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of logits; shapes are those of `cross_entropy`."""
        return cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


def _softmax(name: str, input: Tensor, dim: int) -> Tensor:
    _check(name, input)
    rank = max(input.dim(), 1)  # a tensor without dimensions is a row of one class, as in torch
    if not -rank <= dim < rank:
        raise IndexError(
            f"dim {dim} is out of range for a tensor with {input.dim()} dimensions: it must lie in "
            f"[{-rank}, {rank - 1}]"
        )
    log = name == "log_softmax"
    row = input if input.dim() else input.unsqueeze(0)
    if _is_traced(input):
        result = _operators.softmax(row, dim, log)
    elif _wants_grad(input):
        result = _autograd.Softmax.apply(row, dim, log)
    else:
        result = _compute.softmax(row, dim, log=log)
    return result if input.dim() else result.squeeze(0)


def _wants_grad(input: Tensor) -> bool:
    return torch.is_grad_enabled() and input.requires_grad


def _is_traced(input: Tensor) -> bool:
    return torch.compiler.is_compiling() or type(input) not in _PLAIN


def _check(name: str, input: Tensor, *others: tuple[str, Tensor | None]) -> None:
    """Refuse what is not on the CPU, and gradients of anything but `input`."""
    _check_place(name, "input", input)
    if input.dtype not in _compute.DTYPES:
        raise NotImplementedError(
            f"input has dtype {input.dtype}: float32, float64, float16 and bfloat16 are computed; "
            f"convert it, or call torch.nn.functional.{name} instead"
        )
    for argument, tensor in others:
        if tensor is None:
            continue
        _check_place(name, argument, tensor)
        if _wants_grad(tensor):
            raise NotImplementedError(
                f"{argument} requires a gradient, and logitkit gives one to input only; pass "
                f"{argument}.detach(), or call torch.nn.functional.{name} instead"
            )


def _check_place(name: str, argument: str, tensor: Tensor) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"{argument} is of type {type(tensor).__name__}, and must be a tensor; "
            f"logitkit.{name} takes arrays"
        )
    if not tensor.is_cpu or tensor.layout is not torch.strided:
        raise NotImplementedError(
            f"{argument} is on {tensor.device} with layout {tensor.layout}: logitkit computes on "
            f"strided tensors on the CPU; move it there, or call torch.nn.functional.{name} instead"
        )


def _check_probabilities(target: Tensor, ignore_index: int) -> None:
    if not target.is_floating_point():
        raise RuntimeError(
            f"target has the shape of input and dtype {target.dtype}: probabilities must be "
            "floats, as .float() makes them, and class indices have no dimension of classes"
        )
    if ignore_index >= 0:
        raise RuntimeError(
            f"ignore_index is {ignore_index}, and target holds probabilities, of which none can be "
            "ignored; leave it out, or pass class indices"
        )


def _class_indices(input: Tensor, target: Tensor) -> Tensor:
    """Check that a target is one class for each row."""
    if input.dim() == 0:
        raise ValueError(
            "input has no dimensions: the shape (C,), (N, C) or (N, C, d1, ...) is expected"
        )
    rows = input.shape[:1] + input.shape[2:] if input.dim() > 1 else input.shape[:0]
    if input.dim() == 1 and target.shape == (1,):  # torch takes that for one row, too
        target = target.reshape(())
    if target.shape != rows:
        raise ValueError(
            f"target has shape {tuple(target.shape)}, and input {tuple(input.shape)}: class "
            f"indices of shape {tuple(rows)} or probabilities of the shape of input are expected"
        )
    if target.is_floating_point() or target.is_complex() or target.dtype is torch.bool:
        raise RuntimeError(
            f"target has dtype {target.dtype} and the shape of class indices, which are integers: "
            "convert it with .long(), or pass probabilities of the shape of input"
        )
    return target
