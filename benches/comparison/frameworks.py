"""torch and jax, when they import: every form of each operation that could be its fastest.

torch runs eagerly, as it is used outside of torch.compile; jax is jitted, and a call ends when its
result is there. They are reached through Any, so that the types check alike with and without them.
"""

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from operator import attrgetter
from typing import Any

from comparison.contenders import Forms
from comparison.problems import READ_ONLY, Call, Data, Operation

# An array of torch or of jax.
Tensor = Any

# The targets of a loss: an attribute of the data.
Targets = Callable[[Data], Any]
CLASSES: Targets = attrgetter("classes")
BINARY: Targets = attrgetter("binary")


class Torch:
    """torch on the very memory that logitkit reads and writes."""

    def __init__(self, threads: int) -> None:
        torch: Any = importlib.import_module("torch")
        functional: Any = importlib.import_module("torch.nn.functional")
        torch.set_num_threads(threads)
        self._tensor = torch.from_numpy
        cross_entropy = functional.cross_entropy
        binary = functional.binary_cross_entropy_with_logits
        self._forms: Mapping[Operation, Forms] = {
            Operation.SOFTMAX_OUT: self._same_shape(torch.softmax, -1),
            Operation.SOFTMAX: self._forward(torch.softmax, -1),
            Operation.LOG_SOFTMAX: self._same_shape(torch.log_softmax, -1),
            Operation.LOGSUMEXP: self._forward(torch.logsumexp, -1),
            Operation.CROSS_ENTROPY: self._loss(cross_entropy, CLASSES),
            Operation.CROSS_ENTROPY_GRAD: self._backward(cross_entropy, CLASSES),
            Operation.SIGMOID: self._same_shape(torch.sigmoid),
            Operation.SOFTPLUS: self._same_shape(functional.softplus),
            Operation.BINARY: self._loss(binary, BINARY),
            Operation.BINARY_GRAD: self._backward(binary, BINARY),
        }

    def forms(self, operation: Operation) -> Forms:
        """Give torch's forms of an operation."""
        return self._forms[operation]

    def limits(self, operation: Operation) -> Forms:
        """Give torch's copy or sum: the limit of memory for all threads."""
        tensor = self._tensor
        if operation in READ_ONLY:
            return {"tsum": lambda d: tensor(d.logits).sum}
        return {"tcopy": lambda d: partial(tensor(d.out).copy_, tensor(d.logits))}

    # The axis is passed by position: by keyword, a small call takes torch noticeably longer.
    def _forward(self, function: Callable[..., Tensor], *axis: int) -> Forms:
        tensor = self._tensor
        return {"torch": lambda d: partial(function, tensor(d.logits), *axis)}

    def _same_shape(self, function: Callable[..., Tensor], *axis: int) -> Forms:
        tensor = self._tensor
        return {
            **self._forward(function, *axis),
            "torch out=": lambda d: partial(function, tensor(d.logits), *axis, out=tensor(d.out)),
        }

    def _loss(self, function: Callable[..., Tensor], targets: Targets) -> Forms:
        tensor = self._tensor
        return {"torch": lambda d: partial(function, tensor(d.logits), tensor(targets(d)))}

    def _backward(self, function: Callable[..., Tensor], targets: Targets) -> Forms:
        """Give the loss and its gradient, in a new array and in one that is kept and zeroed."""
        tensor = self._tensor

        def differentiated(leaf: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
            loss = function(leaf, targets)
            loss.backward()
            return loss.detach(), leaf.grad

        def new_grad(data: Data) -> Call:
            leaf, known = tensor(data.logits).requires_grad_(), tensor(targets(data))

            def run() -> tuple[Tensor, Tensor]:
                leaf.grad = None
                return differentiated(leaf, known)

            return run

        def kept_grad(data: Data) -> Call:
            leaf, known = tensor(data.logits).requires_grad_(), tensor(targets(data))
            leaf.grad = tensor(data.out)

            def run() -> tuple[Tensor, Tensor]:
                leaf.grad.zero_()
                return differentiated(leaf, known)

            return run

        return {"torch": new_grad, "torch kept grad": kept_grad}


class Jax:
    """jax, compiled for each shape."""

    def __init__(self) -> None:
        self._jax: Any = importlib.import_module("jax")
        self._jax.config.update("jax_platforms", "cpu")
        self._jax.config.update("jax_enable_x64", val=True)
        nn, with_grad = self._jax.nn, self._jax.value_and_grad
        self._forms: Mapping[Operation, Forms] = {
            Operation.SOFTMAX_OUT: {"jax": self._compiled(nn.softmax)},
            Operation.SOFTMAX: {"jax": self._compiled(nn.softmax)},
            Operation.LOG_SOFTMAX: {"jax": self._compiled(nn.log_softmax)},
            Operation.LOGSUMEXP: {"jax": self._compiled(partial(nn.logsumexp, axis=-1))},
            Operation.CROSS_ENTROPY: {
                "jax gather": self._compiled(self._gathered, CLASSES),
                "jax one-hot": self._compiled(self._one_hot, CLASSES),
            },
            Operation.CROSS_ENTROPY_GRAD: {
                "jax gather": self._compiled(with_grad(self._gathered), CLASSES),
                "jax one-hot": self._compiled(with_grad(self._one_hot), CLASSES),
            },
            Operation.SIGMOID: {"jax": self._compiled(nn.sigmoid)},
            Operation.SOFTPLUS: {"jax": self._compiled(nn.softplus)},
            Operation.BINARY: {"jax": self._compiled(self._binary, BINARY)},
            Operation.BINARY_GRAD: {"jax": self._compiled(with_grad(self._binary), BINARY)},
        }

    def forms(self, operation: Operation) -> Forms:
        """Give jax's forms of an operation."""
        return self._forms[operation]

    def _compiled(
        self, function: Callable[..., Tensor], *targets: Targets
    ) -> Callable[[Data], Call]:
        compiled, ready = self._jax.jit(function), self._jax.block_until_ready

        def make(data: Data) -> Call:
            inputs = (data.logits, *(known(data) for known in targets))
            arrays = [self._jax.numpy.asarray(array) for array in inputs]

            def run() -> Tensor:
                return ready(compiled(*arrays))

            return run

        return make

    def _gathered(self, logits: Tensor, targets: Tensor) -> Tensor:
        jnp = self._jax.numpy
        picked = jnp.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
        return (self._jax.nn.logsumexp(logits, axis=-1) - picked).mean()

    def _one_hot(self, logits: Tensor, targets: Tensor) -> Tensor:
        nn = self._jax.nn
        hot = nn.one_hot(targets, logits.shape[-1], dtype=logits.dtype)
        return -(hot * nn.log_softmax(logits)).sum(axis=-1).mean()

    def _binary(self, logits: Tensor, targets: Tensor) -> Tensor:
        jnp, nn = self._jax.numpy, self._jax.nn
        return (nn.relu(logits) - logits * targets + jnp.log1p(jnp.exp(-jnp.abs(logits)))).mean()
