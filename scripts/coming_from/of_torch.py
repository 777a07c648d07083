"""The questions to torch. It computes in float64, unless a name says float32."""

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from coming_from.inputs import INF, INPUTS, NAN, Answers, Tensor, attempt


def torch_answers() -> Answers:
    """Ask torch."""
    torch: Any = importlib.import_module("torch")
    torch.set_default_dtype(torch.float64)
    answers = torch_rows(torch) | torch_losses(torch) | torch_probs(torch) | torch_binary(torch)
    answers |= torch_classes(torch) | torch_gradients(torch)
    return answers | torch_hessians(torch) | torch_tensors(torch)


def torch_inputs(torch: Any) -> Callable[..., Tensor]:  # noqa: ANN401
    """Give a function that makes tensors of inputs."""

    def make(name: str, dtype: Any = None) -> Tensor:  # noqa: ANN401
        return torch.tensor(INPUTS[name], dtype=dtype)

    return make


def with_grad(call: Callable[[Tensor], Tensor], x: Tensor) -> Answers:
    """Give the result of torch, and the gradient of its sum."""
    x = x.detach().clone().requires_grad_()
    result = call(x)
    result.sum().backward()
    return {"value": result.detach(), "grad": x.grad}


def torch_rows(torch: Any) -> Answers:  # noqa: ANN401
    """Softmax and its kin, elements, top-k, linear, threads."""
    functional: Any = importlib.import_module("torch.nn.functional")
    make = torch_inputs(torch)
    z, special, images = make("logits"), make("special_rows"), make("images")
    mask, elements, single = make("mask"), make("elements"), torch.float32
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        chosen = functional.softmax(images)
        functional.cross_entropy(z, make("classes"), size_average=True)
    ties = torch.topk(make("ties"), 4)
    nans = torch.topk(make("with_nan"), 2)
    return {
        "softmax": torch.softmax(z, 1),
        "softmax, dim 0": torch.softmax(z, 0),
        "softmax, no dim": chosen,
        "warnings": ["deprecated" in str(warning.message) for warning in caught],
        "softmax, two dims": attempt(lambda: torch.softmax(images, (0, 2))),
        "softmax, integers": attempt(lambda: torch.softmax(make("classes"), 0)),
        "softmax, dtype": torch.softmax(make("classes"), 0, dtype=torch.float64),
        "softmin": functional.softmin(z, 1),
        "log_softmax": torch.log_softmax(z, 1),
        "logsumexp": torch.logsumexp(z, 1),
        "logsumexp, keepdim": torch.logsumexp(z, 1, keepdim=True),
        "logsumexp, two dims": torch.logsumexp(images, (0, 2)),
        "logsumexp, no dim": attempt(lambda: torch.logsumexp(images)),
        "logsumexp, bfloat16": str(torch.logsumexp(z.bfloat16(), 1).dtype),
        "softmax, special rows": torch.softmax(special, 1),
        "log_softmax, special rows": torch.log_softmax(special, 1),
        "logsumexp, special rows": torch.logsumexp(special, 1),
        "softmax, masked": torch.softmax(z.masked_fill(~mask, -INF), 1),
        "softmax, all masked": torch.softmax(torch.full((2,), -INF), 0),
        "sigmoid": torch.sigmoid(elements),
        "sigmoid, float32 far below": torch.sigmoid(make("far_below", single)),
        "logsigmoid": functional.logsigmoid(elements),
        "softplus": functional.softplus(elements, threshold=800.0),
        "softplus, beta": functional.softplus(torch.tensor([1.0, -3.0]), beta=2.0),
        "softplus, above the threshold": functional.softplus(torch.tensor([20.5, 30.0])),
        "softplus, threshold 1": functional.softplus(torch.tensor([2.0]), threshold=1.0),
        "topk, values": torch.topk(z, 2).values,
        "topk, indices": torch.topk(z, 2).indices,
        "topk, dim 0": torch.topk(z, 2, 0).indices,
        "topk, smallest": torch.topk(z, 2, largest=False).values,
        "topk, smallest indices": torch.topk(z, 2, largest=False).indices,
        "topk, ties": ties.values,
        "topk, tied indices": ties.indices,
        "topk, with NaN": nans.values,
        "topk, smallest with NaN": torch.topk(make("with_nan"), 2, largest=False).values,
        "topk, k too large": attempt(lambda: torch.topk(z, 4)),
        "argmax": z.argmax(1),
        "linear": functional.linear(z, make("soft"), make("linear_bias")),
        "linear, no bias": functional.linear(z, make("soft")),
        "linear, float32": functional.linear(
            torch.tensor([[1e8, 1.0, -1e8]], dtype=single), torch.ones((1, 3), dtype=single)
        ),
        "set_num_threads 0": attempt(lambda: torch.set_num_threads(0)),
        "torch.special": {
            "softmax": torch.special.softmax(z, 1),
            "log_softmax": torch.special.log_softmax(z, 1),
            "logsumexp": torch.special.logsumexp(z, 1),
            "expit": torch.special.expit(elements),
        },
    }


def torch_losses(torch: Any) -> Answers:  # noqa: ANN401
    """Cross entropy of logits."""
    functional: Any = importlib.import_module("torch.nn.functional")
    make = torch_inputs(torch)
    loss = functional.cross_entropy
    z, y, ignored = make("logits"), make("classes"), make("some_ignored")
    soft, weights, absent = make("soft"), make("class_weights"), make("absent")
    images, image_classes = make("images"), make("image_classes")
    all_ignored, hot = torch.full((3,), -100), torch.eye(3)
    bad = z.clone()
    bad[1] = NAN
    first_off = torch.tensor([1.0, 0.0, 1.0])
    last_off = torch.tensor([1.0, 1.0, 0.0])
    losses = loss(z, y, reduction="none")
    s = make("sample_weights")
    smooth = {"label_smoothing": 0.25}
    return {
        "cross_entropy": loss(z, y),
        "cross_entropy, none": losses,
        "cross_entropy, sum": loss(z, y, reduction="sum"),
        "cross_entropy, weight": loss(z, y, weight=weights),
        "cross_entropy, weight none": loss(z, y, weight=weights, reduction="none"),
        "cross_entropy, ignored": loss(z, ignored),
        "cross_entropy, smoothing": loss(z, y, **smooth),
        "cross_entropy, all options": loss(z, ignored, weight=weights, **smooth),
        "cross_entropy, soft": loss(z, soft),
        "cross_entropy, soft none": loss(z, soft, reduction="none"),
        "cross_entropy, soft weight": loss(z, soft, weight=weights),
        "cross_entropy, soft options": loss(z, soft, weight=weights, **smooth),
        "cross_entropy, axis 1": loss(images, image_classes),
        "cross_entropy, axis 1 none": loss(images, image_classes, reduction="none"),
        "cross_entropy, one row": loss(z[0], y[0]),
        "cross_entropy, sample weights by hand": (losses * s).sum() / s.sum(),
        "cross_entropy, z-loss by hand": (losses + 0.125 * torch.logsumexp(z, 1) ** 2).mean(),
        "cross_entropy, all ignored": loss(z, all_ignored),
        "cross_entropy, all ignored sum": loss(z, all_ignored, reduction="sum"),
        "cross_entropy, no rows": loss(z[:0], y[:0]),
        "cross_entropy, no classes": loss(z[:, :0], all_ignored),
        "cross_entropy, weights 0": loss(z, y, weight=torch.zeros(3)),
        "cross_entropy, class 3": attempt(lambda: loss(z, y + 1)),
        "cross_entropy, class -1": attempt(lambda: loss(z, y - 1)),
        "cross_entropy, int32 classes": attempt(lambda: loss(z, y.int())),
        "cross_entropy, uint8 classes": loss(z, y.to(torch.uint8)),
        "cross_entropy, one-hot integers": attempt(lambda: loss(z, hot.long())),
        "cross_entropy, one-hot floats": loss(z, hot),
        "cross_entropy, ignore_index 1 soft": attempt(lambda: loss(z, soft, ignore_index=1)),
        "cross_entropy, ignore_index -1 soft": loss(z, soft, ignore_index=-1),
        "cross_entropy, smoothing 1.5": attempt(lambda: loss(z, y, label_smoothing=1.5)),
        "cross_entropy, bfloat16": str(loss(z.bfloat16(), y).dtype),
        "cross_entropy, sure float32": loss(make("sure", torch.float32), y[:1]),
        "cross_entropy, lead of 40": loss(torch.tensor([[40.0, 0.0, 0.0]]), y[:1]),
        "cross_entropy, target 0 at -inf": loss(absent, torch.tensor([[0.5, 0.5, 0.0]])),
        "cross_entropy, weight 0 at -inf": loss(absent, y[:1], weight=last_off, **smooth),
        "cross_entropy, class at -inf": loss(absent, torch.tensor([2])),
        "cross_entropy, NaN ignored": with_grad(lambda x: loss(x, ignored, reduction="none"), bad),
        "cross_entropy, NaN of weight 0": with_grad(
            lambda x: loss(x, y, weight=first_off, reduction="none"), bad
        ),
        "linear_cross_entropy": functional.linear_cross_entropy(z, soft, y),
    }


def torch_probs(torch: Any) -> Answers:  # noqa: ANN401
    """Losses of log-probabilities, and of one probability for each element."""
    functional: Any = importlib.import_module("torch.nn.functional")
    make = torch_inputs(torch)
    nll, binary = functional.nll_loss, functional.binary_cross_entropy
    logs, y = torch.log_softmax(make("logits"), 1), make("classes")
    p, t = make("binary_probs"), make("binary_targets")
    half, two = torch.tensor([0.5]), torch.tensor([2.0])
    ends, end_targets = make("ends"), make("end_targets")
    return {
        "nll_loss": nll(logs, y),
        "nll_loss, weight": nll(logs, y, weight=make("class_weights")),
        "nll_loss, ignored": nll(logs, make("some_ignored")),
        "nll_loss, axis 1": nll(make("images"), make("image_classes")),
        "nll_loss, soft": attempt(lambda: nll(logs, make("soft"))),
        "binary_cross_entropy": binary(p, t),
        "binary_cross_entropy, weight": binary(p, t, weight=make("binary_weights")),
        "binary_cross_entropy, sum": binary(p, t, reduction="sum"),
        "binary_cross_entropy, ends": with_grad(
            lambda x: binary(x, end_targets, reduction="none"), ends
        ),
        "binary_cross_entropy, probability 2": attempt(lambda: binary(two, half)),
        "binary_cross_entropy, probability NaN": attempt(lambda: binary(two * NAN, half)),
        "binary_cross_entropy, target 2": attempt(lambda: binary(half, two)),
        "binary_cross_entropy, integer targets": attempt(lambda: binary(half, two.long() - 1)),
        "binary_cross_entropy, targets broadcast": attempt(lambda: binary(p, t[0])),
    }


def torch_binary(torch: Any) -> Answers:  # noqa: ANN401
    """Binary cross entropy of logits."""
    functional: Any = importlib.import_module("torch.nn.functional")
    make = torch_inputs(torch)
    loss = functional.binary_cross_entropy_with_logits
    z, t = make("binary_logits"), make("binary_targets")
    weights = {"weight": make("binary_weights"), "pos_weight": make("pos_weights")}
    one, two, zero = torch.tensor([1.0]), torch.tensor([2.0]), torch.tensor([0.0])
    infinite, infinite_targets = make("infinite"), make("infinite_targets")
    twenty = torch.tensor([20.0], dtype=torch.float32)
    return {
        "with_logits": loss(z, t),
        "with_logits, none": loss(z, t, reduction="none"),
        "with_logits, weight": loss(z, t, weight=weights["weight"]),
        "with_logits, pos_weight": loss(z, t, pos_weight=weights["pos_weight"]),
        "with_logits, both": with_grad(lambda x: loss(x, t, **weights), z),
        "multilabel_soft_margin_loss": functional.multilabel_soft_margin_loss(z, t),
        "multilabel_soft_margin_loss, none": functional.multilabel_soft_margin_loss(
            z, t, reduction="none"
        ),
        "multilabel_soft_margin_loss, weight": functional.multilabel_soft_margin_loss(
            z, t, weight=weights["pos_weight"]
        ),
        "with_logits, target 2": loss(one, two),
        "with_logits, integer targets": attempt(lambda: loss(one, one.long())),
        "with_logits, targets broadcast": attempt(lambda: loss(z, t[0])),
        "with_logits, infinite": loss(infinite, infinite_targets, reduction="none"),
        "with_logits, NaN of weight 0": loss(one * NAN, one, weight=zero, reduction="none"),
        "with_logits, float32 gradient of 20": with_grad(
            lambda x: loss(x, twenty / 20, reduction="none"), twenty
        ),
    }


def torch_classes(torch: Any) -> Answers:  # noqa: ANN401
    """Ask the classes of losses, with an option each."""
    make = torch_inputs(torch)
    z, y, t = make("logits"), make("classes"), make("binary_targets")
    weight, pos_weight = make("class_weights"), make("pos_weights")
    return {
        "torch.nn": {
            "CrossEntropyLoss": torch.nn.CrossEntropyLoss(weight, label_smoothing=0.25)(z, y),
            "NLLLoss": torch.nn.NLLLoss(weight)(torch.log_softmax(z, 1), y),
            "BCELoss": torch.nn.BCELoss(reduction="sum")(make("binary_probs"), t),
            "BCEWithLogitsLoss": torch.nn.BCEWithLogitsLoss(pos_weight=pos_weight)(
                make("binary_logits"), t
            ),
        }
    }


def torch_hessians(torch: Any) -> Answers:  # noqa: ANN401
    """Give the diagonals of Hessians of sums of losses."""
    functional: Any = importlib.import_module("torch.nn.functional")
    make = torch_inputs(torch)
    y, t = make("classes"), make("binary_targets")
    losses = {
        "cross_entropy": (lambda x: functional.cross_entropy(x, y), make("logits")),
        "with_logits": (
            lambda x: functional.binary_cross_entropy_with_logits(x, t),
            make("binary_logits"),
        ),
    }
    hessian = torch.autograd.functional.hessian
    return {
        f"hessian, {name}": hessian(loss, x).reshape(x.numel(), -1).diagonal().reshape(x.shape)
        for name, (loss, x) in losses.items()
    }


def torch_gradients(torch: Any) -> Answers:  # noqa: ANN401
    """Differentiate by backward(), from the sum of the products with a cotangent."""
    functional: Any = importlib.import_module("torch.nn.functional")
    make = torch_inputs(torch)
    z, y, g = make("logits"), make("classes"), make("cotangent")
    soft, weight, bias = (make(name).requires_grad_() for name in ("soft", "soft", "linear_bias"))
    functional.cross_entropy(z, soft).backward()
    functional.linear(z, weight, bias).backward(g)
    functions = {
        "softmax": lambda x: torch.softmax(x, 1) * g,
        "log_softmax": lambda x: torch.log_softmax(x, 1) * g,
        "logsumexp": lambda x: torch.logsumexp(x, 1) * g[0],
        "sigmoid": lambda x: torch.sigmoid(x) * g,
        "logsigmoid": lambda x: functional.logsigmoid(x) * g,
        "softplus": lambda x: functional.softplus(x) * g,
        "linear": lambda x: functional.linear(x, make("soft")) * g,
        "cross_entropy": lambda x: functional.cross_entropy(x, y),
        "cross_entropy none": lambda x: functional.cross_entropy(x, y, reduction="none"),
        "nll_loss": lambda x: functional.nll_loss(x, y),
    }
    grads = {f"backward, {name}": with_grad(call, z)["grad"] for name, call in functions.items()}
    return grads | {
        "backward, soft targets": soft.grad,
        "backward, weight of linear": weight.grad,
        "backward, bias of linear": bias.grad,
    }


def torch_tensors(torch: Any) -> Answers:  # noqa: ANN401
    """Bring tensors to NumPy, and back."""
    z = torch_inputs(torch)("logits")
    array = np.asarray(z.T)
    back = torch.from_numpy(array)
    half = z.bfloat16()
    return {
        "tensor, shares memory": array.ctypes.data == z.data_ptr(),
        "tensor, and back": back.data_ptr() == z.data_ptr(),
        "tensor, requires grad": attempt(lambda: np.asarray(z.clone().requires_grad_())),
        "tensor, elsewhere": attempt(lambda: np.asarray(z.to("meta"))),
        "tensor, bfloat16": attempt(lambda: np.asarray(half)),
        "tensor, bfloat16 from bits": torch.equal(
            torch.from_numpy(half.view(torch.int16).numpy()).view(torch.bfloat16), half
        ),
    }
