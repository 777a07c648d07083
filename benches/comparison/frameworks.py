"""torch and jax, when they import: every form of each operation that could be its fastest.

torch runs eagerly, as it is used outside of torch.compile; jax is jitted, and a call ends when its
result is there. They are reached through Any, so that the types check alike with and without them.
"""

import importlib
import math
from collections.abc import Callable, Mapping
from functools import partial
from operator import attrgetter
from typing import Any

from comparison.contenders import Calls
from comparison.problems import (
    BEST,
    BFLOAT16,
    IGNORED,
    POS_WEIGHT,
    SMOOTHING,
    TRAFFIC,
    Z_LOSS,
    Call,
    Data,
    Operation,
)

# An array of torch or of jax.
Tensor = Any
Function = Callable[..., Tensor]

# What makes the calls of a library's forms for given arrays.
Forms = Callable[[Data], Calls]

# An array of the data: the targets of a loss, or what a function takes beside the logits.
Array = Callable[[Data], Any]
LOGITS: Array = attrgetter("logits")
CLASSES: Array = attrgetter("classes")
SOME_IGNORED: Array = attrgetter("some_ignored")
CLASS_WEIGHTS: Array = attrgetter("class_weights")
PROBS: Array = attrgetter("probs")
LOG_PROBS: Array = attrgetter("log_probs")
BINARY: Array = attrgetter("binary")


class Torch:
    """torch on the very memory that logitkit reads and writes.

    torch.no_grad would change nothing forward: no tensor there requires a gradient, so nothing is
    recorded, and entering it takes as long as a small softmax.
    """

    def __init__(self, threads: int) -> None:
        torch: Any = importlib.import_module("torch")
        functional: Any = importlib.import_module("torch.nn.functional")
        torch.set_num_threads(threads)
        self._torch = torch
        cross_entropy = functional.cross_entropy
        binary = functional.binary_cross_entropy_with_logits

        def perplexity(logits: Tensor, targets: Tensor) -> Tensor:
            return cross_entropy(logits, targets).exp()

        def with_z_loss(logits: Tensor, targets: Tensor) -> Tensor:
            z_loss = torch.logsumexp(logits, 1).square().mean()
            return cross_entropy(logits, targets) + Z_LOSS * z_loss

        smoothed = partial(cross_entropy, label_smoothing=SMOOTHING)
        with_ignored = partial(cross_entropy, ignore_index=IGNORED)
        self._forms: Mapping[Operation, Forms] = {
            Operation.SOFTMAX_OUT: self._same_shape(torch.softmax, by_row=True),
            Operation.SOFTMAX: self._forward(torch.softmax),
            Operation.LOG_SOFTMAX: self._same_shape(torch.log_softmax, by_row=True),
            Operation.LOGSUMEXP: self._forward(torch.logsumexp),
            Operation.CROSS_ENTROPY: self._loss(cross_entropy, CLASSES),
            Operation.CROSS_ENTROPY_GRAD: self._backward(cross_entropy, CLASSES),
            Operation.PERPLEXITY: self._loss(perplexity, CLASSES),
            Operation.TOP_K: self._top_k,
            Operation.SIGMOID: self._same_shape(torch.sigmoid),
            Operation.SOFTPLUS: self._same_shape(functional.softplus),
            Operation.LOG_SIGMOID: self._same_shape(functional.logsigmoid),
            Operation.BINARY: self._loss(binary, BINARY),
            Operation.BINARY_GRAD: self._backward(binary, BINARY),
            Operation.SOFT_GRAD: self._backward(cross_entropy, PROBS),
            Operation.WEIGHTED_GRAD: self._weighted,
            Operation.SMOOTHED_GRAD: self._backward(smoothed, CLASSES),
            Operation.Z_LOSS_GRAD: self._backward(with_z_loss, CLASSES),
            Operation.IGNORE_GRAD: self._backward(with_ignored, SOME_IGNORED),
            # torch has them for its own use only.
            Operation.SOFTMAX_VJP: self._product(
                torch.ops.aten._softmax_backward_data.out,  # noqa: SLF001
                PROBS,
                "grad_input",
            ),
            Operation.LOG_SOFTMAX_VJP: self._product(
                torch.ops.aten._log_softmax_backward_data.out,  # noqa: SLF001
                LOG_PROBS,
                "out",
            ),
            Operation.POS_WEIGHT_GRAD: self._backward(
                partial(binary, pos_weight=torch.tensor(POS_WEIGHT)), BINARY
            ),
            Operation.MASKED_SOFTMAX: self._masked(torch.softmax),
            Operation.MASKED_LOG_SOFTMAX: self._masked(torch.log_softmax),
            Operation.MASKED_LOGSUMEXP: self._masked(torch.logsumexp),
        }

    def forms(self, operation: Operation, data: Data) -> Calls:
        """Give torch's forms of an operation."""
        return self._forms[operation](data)

    def limits(self, operation: Operation, data: Data) -> Calls:
        """Give torch's copy or sum: the limit of memory for all threads."""
        logits = self._tensor(data.logits)
        if TRAFFIC[operation].written:
            return {"limit tcopy": partial(self._tensor(data.out).copy_, logits)}
        return {"limit tsum": logits.sum}

    def _tensor(self, array: Any) -> Tensor:  # noqa: ANN401
        """Give the same memory; torch knows NumPy's types alone."""
        if array.dtype == BFLOAT16:
            return self._torch.from_numpy(array.view("int16")).view(self._torch.bfloat16)
        return self._torch.from_numpy(array)

    # The axis is passed by position: by keyword, a small call takes torch noticeably longer.
    def _forward(self, function: Function) -> Forms:
        return lambda d: {"torch": partial(function, self._tensor(d.logits), d.axis)}

    def _same_shape(self, function: Function, *, by_row: bool = False) -> Forms:
        def calls(data: Data) -> Calls:
            out = self._tensor(data.out)
            call = partial(function, self._tensor(data.logits), *([data.axis] if by_row else []))
            return {"torch": call, "torch out=": partial(call, out=out)}

        return calls

    def _masked(self, function: Function) -> Forms:
        """Give the function of what is -inf where the mask is False."""

        def calls(data: Data) -> Calls:
            logits, left_out = self._tensor(data.logits), self._tensor(~data.mask)

            def run() -> Tensor:
                return function(logits.masked_fill(left_out, -math.inf), data.axis)

            return {"torch": run}

        return calls

    def _top_k(self, data: Data) -> Calls:
        return {"torch": partial(self._torch.topk, self._tensor(data.logits), BEST, data.axis)}

    def _ordered(self, data: Data, targets: Array) -> dict[str, tuple[Function | None, Tensor]]:
        """Give what brings the logits into the order that torch's losses want, and the targets.

        That is samples, classes, the rest. With the classes first there are two ways, and which is
        the faster depends on the shape.
        """
        known = self._tensor(targets(data))
        if data.axis != 0:
            return {"": (None, known)}
        return {
            " transposed": (lambda logits: logits.t(), known),
            " batch of one": (lambda logits: logits[None], known[None]),
        }

    def _loss(self, function: Function, targets: Array) -> Forms:
        def calls(data: Data) -> Calls:
            logits = self._tensor(data.logits)
            return {
                f"torch{form}": partial(function, order(logits) if order else logits, known)
                for form, (order, known) in self._ordered(data, targets).items()
            }

        return calls

    def _weighted(self, data: Data) -> Calls:
        weight = self._tensor(data.class_weights)
        function = partial(self._torch.nn.functional.cross_entropy, weight=weight)
        return self._backward(function, CLASSES)(data)

    def _backward(self, function: Function, targets: Array) -> Forms:
        """Give the loss and its gradient: in a new array, in one that is kept, by autograd.grad."""

        def calls(data: Data) -> Calls:
            made: Calls = {}
            for form, (order, known) in self._ordered(data, targets).items():
                loss = partial(_ordered_loss, function, order) if order else function
                made[f"torch{form}"] = self._new_grad(data, loss, known)
                made[f"torch kept grad{form}"] = self._kept_grad(data, loss, known)
                made[f"torch autograd.grad{form}"] = self._autograd(data, loss, known)
            return made

        return calls

    def _leaf(self, data: Data) -> Tensor:
        return self._tensor(data.logits).requires_grad_()

    def _new_grad(self, data: Data, function: Function, known: Tensor) -> Call:
        leaf = self._leaf(data)

        def run() -> tuple[Tensor, Tensor]:
            leaf.grad = None
            loss = function(leaf, known)
            loss.backward()
            return loss.detach(), leaf.grad

        return run

    def _kept_grad(self, data: Data, function: Function, known: Tensor) -> Call:
        leaf = self._leaf(data)
        leaf.grad = self._tensor(data.out)

        def run() -> tuple[Tensor, Tensor]:
            leaf.grad.zero_()
            loss = function(leaf, known)
            loss.backward()
            return loss.detach(), leaf.grad

        return run

    def _autograd(self, data: Data, function: Function, known: Tensor) -> Call:
        leaf, grad = self._leaf(data), self._torch.autograd.grad

        def run() -> tuple[Tensor, Tensor]:
            loss = function(leaf, known)
            return loss.detach(), *grad(loss, leaf)

        return run

    def _product(self, function: Function, result: Array, out: str) -> Forms:
        def calls(data: Data) -> Calls:
            arrays = self._tensor(data.logits), self._tensor(result(data))
            dtype = arrays[0].dtype
            place = {out: self._tensor(data.out)}
            return {"torch out=": partial(function, *arrays, data.axis, dtype, **place)}

        return calls


def _ordered_loss(function: Function, order: Function, logits: Tensor, targets: Tensor) -> Tensor:
    return function(order(logits), targets)


class Jax:
    """jax, compiled for each shape."""

    def __init__(self) -> None:
        self._jax: Any = importlib.import_module("jax")
        self._jax.config.update("jax_platforms", "cpu")
        self._jax.config.update("jax_enable_x64", val=True)
        nn, with_grad = self._jax.nn, self._jax.value_and_grad
        self._forms: Mapping[Operation, Forms] = {
            Operation.SOFTMAX_OUT: self._by_row(nn.softmax),
            Operation.SOFTMAX: self._by_row(nn.softmax),
            Operation.LOG_SOFTMAX: self._by_row(nn.log_softmax),
            Operation.LOGSUMEXP: self._by_row(nn.logsumexp),
            Operation.CROSS_ENTROPY: self._loss(lambda loss: loss),
            Operation.CROSS_ENTROPY_GRAD: self._loss(with_grad),
            Operation.PERPLEXITY: self._loss(self._exponential),
            Operation.TOP_K: self._compiled(partial(self._jax.lax.top_k, k=BEST)),
            Operation.SIGMOID: self._compiled(nn.sigmoid),
            Operation.SOFTPLUS: self._compiled(nn.softplus),
            Operation.LOG_SIGMOID: self._compiled(nn.log_sigmoid),
            Operation.BINARY: self._compiled(self._binary, LOGITS, BINARY),
            Operation.BINARY_GRAD: self._compiled(with_grad(self._binary), LOGITS, BINARY),
            Operation.SOFT_GRAD: self._compiled(with_grad(self._soft), LOGITS, PROBS),
            Operation.SOFTMAX_VJP: self._compiled(self._softmax_vjp, PROBS, LOGITS),
            Operation.LOG_SOFTMAX_VJP: self._compiled(self._log_softmax_vjp, LOG_PROBS, LOGITS),
            Operation.MASKED_SOFTMAX: self._masked(nn.softmax),
            Operation.MASKED_LOG_SOFTMAX: self._masked(nn.log_softmax),
            Operation.MASKED_LOGSUMEXP: self._masked(nn.logsumexp),
        }

    def forms(self, operation: Operation, data: Data) -> Calls:
        """Give jax's forms of an operation, if it is compared with jax."""
        return self._forms[operation](data) if operation in self._forms else {}

    def _call(self, function: Function, *arrays: Tensor) -> Call:
        compiled, ready = self._jax.jit(function), self._jax.block_until_ready
        inputs = [self._jax.numpy.asarray(array) for array in arrays]

        def run() -> Tensor:
            return ready(compiled(*inputs))

        return run

    def _compiled(self, function: Function, *arrays: Array) -> Forms:
        return lambda d: {"jax": self._call(function, *(array(d) for array in arrays or (LOGITS,)))}

    def _by_row(self, function: Function) -> Forms:
        return lambda d: {"jax": self._call(partial(function, axis=d.axis), d.logits)}

    def _masked(self, function: Function) -> Forms:
        def calls(data: Data) -> Calls:
            masked = partial(self._where, partial(function, axis=data.axis))
            return {"jax": self._call(masked, data.logits, data.mask)}

        return calls

    def _where(self, function: Function, logits: Tensor, mask: Tensor) -> Tensor:
        return function(logits, where=mask)

    def _loss(self, transformed: Callable[[Function], Function]) -> Forms:
        def calls(data: Data) -> Calls:
            # jax has indices of 32 bits unless it is asked for more, and is the faster with them.
            classes = data.classes.astype("int32")
            return {
                f"jax {name}": self._call(
                    transformed(partial(form, axis=data.axis)), data.logits, classes
                )
                for name, form in (("gather", self._gathered), ("one-hot", self._one_hot))
            }

        return calls

    def _exponential(self, loss: Function) -> Function:
        return lambda logits, targets: self._jax.numpy.exp(loss(logits, targets))

    def _gathered(self, logits: Tensor, targets: Tensor, axis: int) -> Tensor:
        jnp = self._jax.numpy
        places = jnp.expand_dims(targets, axis)
        picked = jnp.take_along_axis(logits, places, axis=axis).squeeze(axis)
        return (self._jax.nn.logsumexp(logits, axis=axis) - picked).mean()

    def _one_hot(self, logits: Tensor, targets: Tensor, axis: int) -> Tensor:
        nn = self._jax.nn
        hot = nn.one_hot(targets, logits.shape[axis], dtype=logits.dtype, axis=axis)
        return -(hot * nn.log_softmax(logits, axis=axis)).sum(axis=axis).mean()

    def _soft(self, logits: Tensor, targets: Tensor) -> Tensor:
        return -(targets * self._jax.nn.log_softmax(logits)).sum(axis=-1).mean()

    def _binary(self, logits: Tensor, targets: Tensor) -> Tensor:
        jnp, nn = self._jax.numpy, self._jax.nn
        return (nn.relu(logits) - logits * targets + jnp.log1p(jnp.exp(-jnp.abs(logits)))).mean()

    def _softmax_vjp(self, probs: Tensor, cotangent: Tensor) -> Tensor:
        return probs * (cotangent - (probs * cotangent).sum(axis=-1, keepdims=True))

    def _log_softmax_vjp(self, log_probs: Tensor, cotangent: Tensor) -> Tensor:
        total = cotangent.sum(axis=-1, keepdims=True)
        return cotangent - self._jax.numpy.exp(log_probs) * total
