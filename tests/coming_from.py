"""What docs/coming-from.md says of torch, jax, optax and Keras, as calls.

The tables have the names of what scripts/record_coming_from.py recorded, and logitkit's call for
each. Nothing here judges a result.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import DTypeLike

import logitkit
from logitkit import (
    accuracy,
    binary_cross_entropy,
    binary_cross_entropy_and_grad,
    categorical_cross_entropy,
    cross_entropy,
    cross_entropy_and_grad,
    cross_entropy_and_grad_hess,
    linear,
    log_sigmoid,
    log_softmax,
    log_softmax_vjp,
    logsumexp,
    nll_loss,
    nll_loss_and_grad,
    sigmoid,
    softmax,
    softmax_vjp,
    softplus,
    top_k,
)
from logitkit import binary_cross_entropy_with_logits as with_logits
from logitkit import binary_cross_entropy_with_logits_and_grad as with_logits_and_grad
from logitkit import binary_cross_entropy_with_logits_and_grad_hess as with_logits_and_grad_hess

ROOT = Path(__file__).parent.parent
RECORD = json.loads((ROOT / "tests/data/coming_from.json").read_text(encoding="utf-8"))

Call = Callable[[], Any]
# What they give, our call, what it gives; see below.
Difference = tuple[Any, Call, Any]

NAN, INF = float("nan"), float("inf")


def given(name: str, dtype: DTypeLike = np.float64) -> Any:  # noqa: ANN401
    """Give an input of the recorded calls."""
    return np.array(RECORD["inputs"][name], dtype=dtype)


Z, SOFT, G, IMAGES = (given(name) for name in ("logits", "soft", "cotangent", "images"))
Y, IGNORED, IMAGE_Y = (given(n, int) for n in ("classes", "some_ignored", "image_classes"))
W, S, SPECIAL, ABSENT = (
    given(n) for n in ("class_weights", "sample_weights", "special_rows", "absent")
)
MASK, SURE, ELEMENTS, BIAS = (
    given("mask", bool),
    given("sure", np.float32),
    given("elements"),
    given("linear_bias"),
)
FAR, TIES, WITH_NAN = given("far_below", np.float32), given("ties"), given("with_nan")
B, T, BP = (given(f"binary_{name}") for name in ("logits", "targets", "probs"))
BW, PW = given("binary_weights"), given("pos_weights")
ENDS, END_T = given("ends"), given("end_targets")
INFINITE, INFINITE_T = given("infinite"), given("infinite_targets")
BAD_ROW = np.where(np.arange(3)[:, None] == 1, NAN, Z)
BAD = Z.copy()
BAD[1, 1] = NAN
BF16 = ml_dtypes.bfloat16
HALVES, LEAD = [[0.5, 0.5, 0.0]], [[40.0, 0.0, 0.0]]
LOG_2, LOG_3, SOFTPLUS_1 = np.log(2.0), np.log(3.0), np.log1p(np.exp(1.0))

# Without a reduction, in formulas; the second row is what some options leave out.
LOG_PROBS = Z - np.log(np.exp(Z).sum(axis=1, keepdims=True))
LOSSES = -LOG_PROBS[range(3), Y]
GRADS = np.exp(LOG_PROBS) - np.eye(3)
KEPT = np.array([True, False, True])
NEGATIVE_ENTROPIES = (SOFT * np.log(SOFT, out=np.zeros((3, 3)), where=SOFT > 0)).sum(axis=1)


def none(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
    """Call a loss without a reduction."""
    return function(*arguments, reduction="none", **options)


def evaluated(parts: Iterable[slice]) -> Iterable[float]:
    """Give the accuracies of an evaluation of parts."""
    evaluation = logitkit.Evaluation(k=(1, 2))
    for part in parts:
        evaluation.update(Z[part], Y[part])
    return evaluation.result().accuracy.values()


def signed_logsumexp() -> Any:  # noqa: ANN401
    """Compute log |exp(0) - 2 exp(1)| of a call for each sign."""
    low, high = logsumexp([0.0]), logsumexp([1.0 + LOG_2])
    return high + np.log(-np.expm1(low - high))


def pair(function: Callable[..., Any], *arguments: Any, **options: Any) -> dict[str, Any]:  # noqa: ANN401
    """Call a loss with its gradient, without a reduction."""
    return dict(zip(("value", "grad"), none(function, *arguments, **options), strict=True))


# What agrees: the recorded answer is that of our call


TORCH: Mapping[str, Call] = {
    "softmax": lambda: softmax(Z, axis=1),
    "softmax, dim 0": lambda: softmax(Z, axis=0),
    "softmax, no dim": lambda: softmax(IMAGES, axis=0),
    # Without a dim, and with size_average. They are words about torch alone, as are some below.
    "warnings": lambda: [True, True],
    "softmax, dtype": lambda: softmax(Y),
    "softmin": lambda: softmax(-Z, axis=1),
    "log_softmax": lambda: log_softmax(Z),
    "logsumexp": lambda: logsumexp(Z),
    "logsumexp, keepdim": lambda: logsumexp(Z, keepdims=True),
    "logsumexp, two dims": lambda: logsumexp(IMAGES, axis=(0, 2)),
    "softmax, special rows": lambda: softmax(SPECIAL),
    "log_softmax, special rows": lambda: log_softmax(SPECIAL),
    "logsumexp, special rows": lambda: logsumexp(SPECIAL),
    "softmax, masked": lambda: softmax(Z, where=MASK),
    "sigmoid": lambda: sigmoid(ELEMENTS),
    "logsigmoid": lambda: log_sigmoid(ELEMENTS),
    "softplus": lambda: softplus(ELEMENTS),
    "softplus, beta": lambda: softplus(np.array([2.0, -6.0])) / 2,
    "topk, values": lambda: top_k(Z, 2)[0],
    "topk, indices": lambda: top_k(Z, 2)[1],
    "topk, dim 0": lambda: top_k(Z, 2, axis=0)[1],
    "topk, smallest": lambda: -top_k(-Z, 2)[0],
    "topk, smallest indices": lambda: top_k(-Z, 2)[1],
    "topk, ties": lambda: top_k(TIES, 4)[0],
    "topk, with NaN": lambda: top_k(WITH_NAN, 2)[0],
    "topk, k too large": lambda: top_k(Z, 4),
    "set_num_threads 0": lambda: logitkit.set_num_threads(0),
    "argmax": lambda: top_k(Z, 1)[1][:, 0],
    "linear": lambda: linear(Z, SOFT, BIAS),
    "linear, no bias": lambda: linear(Z, SOFT),
    "torch.special": lambda: {
        "softmax": softmax(Z),
        "log_softmax": log_softmax(Z),
        "logsumexp": logsumexp(Z),
        "expit": sigmoid(ELEMENTS),
    },
    "torch.nn": lambda: {
        "CrossEntropyLoss": cross_entropy(Z, Y, weight=W, label_smoothing=0.25),
        "NLLLoss": nll_loss(log_softmax(Z), Y, weight=W),
        "BCELoss": binary_cross_entropy(BP, T, reduction="sum"),
        "BCEWithLogitsLoss": with_logits(B, T, pos_weight=PW),
    },
    "cross_entropy": lambda: cross_entropy(Z, Y),
    "cross_entropy, none": lambda: none(cross_entropy, Z, Y),
    "cross_entropy, sum": lambda: cross_entropy(Z, Y, reduction="sum"),
    "cross_entropy, weight": lambda: cross_entropy(Z, Y, weight=W),
    "cross_entropy, weight none": lambda: none(cross_entropy, Z, Y, weight=W),
    "cross_entropy, ignored": lambda: cross_entropy(Z, IGNORED, ignore_index=-100),
    "cross_entropy, smoothing": lambda: cross_entropy(Z, Y, label_smoothing=0.25),
    "cross_entropy, all options": lambda: cross_entropy(
        Z, IGNORED, ignore_index=-100, weight=W, label_smoothing=0.25
    ),
    "cross_entropy, soft": lambda: cross_entropy(Z, SOFT),
    "cross_entropy, soft none": lambda: none(cross_entropy, Z, SOFT),
    "cross_entropy, soft weight": lambda: cross_entropy(Z, SOFT, weight=W),
    "cross_entropy, soft options": lambda: cross_entropy(Z, SOFT, weight=W, label_smoothing=0.25),
    "cross_entropy, axis 1": lambda: cross_entropy(IMAGES, IMAGE_Y, axis=1),
    "cross_entropy, axis 1 none": lambda: none(cross_entropy, IMAGES, IMAGE_Y, axis=1),
    "cross_entropy, one row": lambda: cross_entropy(Z[0], Y[0]),
    "cross_entropy, sample weights by hand": lambda: cross_entropy(Z, Y, sample_weight=S),
    "cross_entropy, z-loss by hand": lambda: cross_entropy(Z, Y, z_loss=0.125),
    "cross_entropy, all ignored": lambda: cross_entropy(Z, Y * 0 - 100, ignore_index=-100),
    "cross_entropy, all ignored sum": lambda: cross_entropy(
        Z, Y * 0 - 100, ignore_index=-100, reduction="sum"
    ),
    "cross_entropy, no rows": lambda: cross_entropy(Z[:0], Y[:0]),
    "cross_entropy, weights 0": lambda: cross_entropy(Z, Y, weight=W * 0),
    "cross_entropy, class 3": lambda: cross_entropy(Z, Y + 1),
    "cross_entropy, class -1": lambda: cross_entropy(Z, Y - 1),
    "cross_entropy, ignore_index 1 soft": lambda: cross_entropy(Z, SOFT, ignore_index=1),
    "cross_entropy, smoothing 1.5": lambda: cross_entropy(Z, Y, label_smoothing=1.5),
    "cross_entropy, uint8 classes": lambda: cross_entropy(Z, Y.astype(np.uint8)),
    "cross_entropy, one-hot floats": lambda: cross_entropy(Z, np.eye(3)),
    "cross_entropy, ignore_index -1 soft": lambda: cross_entropy(Z, SOFT),
    "cross_entropy, class at -inf": lambda: cross_entropy(ABSENT, [2]),
    "linear_cross_entropy": lambda: cross_entropy(linear(Z, SOFT), Y),
    "nll_loss": lambda: nll_loss(log_softmax(Z), Y),
    "nll_loss, weight": lambda: nll_loss(log_softmax(Z), Y, weight=W),
    "nll_loss, ignored": lambda: nll_loss(log_softmax(Z), IGNORED, ignore_index=-100),
    "nll_loss, axis 1": lambda: nll_loss(IMAGES, IMAGE_Y, axis=1),
    "binary_cross_entropy": lambda: binary_cross_entropy(BP, T),
    "binary_cross_entropy, weight": lambda: binary_cross_entropy(BP, T, weight=BW),
    "binary_cross_entropy, sum": lambda: binary_cross_entropy(BP, T, reduction="sum"),
    "binary_cross_entropy, targets broadcast": lambda: binary_cross_entropy(BP, T[0]),
    "binary_cross_entropy, probability 2": lambda: binary_cross_entropy([2.0], [0.5]),
    "binary_cross_entropy, probability NaN": lambda: binary_cross_entropy([NAN], [0.5]),
    "binary_cross_entropy, target 2": lambda: binary_cross_entropy([0.5], [2.0]),
    "with_logits": lambda: with_logits(B, T),
    "with_logits, none": lambda: none(with_logits, B, T),
    "with_logits, weight": lambda: with_logits(B, T, weight=BW),
    "with_logits, pos_weight": lambda: with_logits(B, T, pos_weight=PW),
    "with_logits, both": lambda: dict(
        zip(
            ("value", "grad"),
            with_logits_and_grad(B, T, weight=BW, pos_weight=PW),
            strict=True,
        )
    ),
    "with_logits, targets broadcast": lambda: with_logits(B, T[0]),
    "multilabel_soft_margin_loss": lambda: with_logits(B, T),
    "multilabel_soft_margin_loss, none": lambda: none(with_logits, B, T).mean(axis=-1),
    "multilabel_soft_margin_loss, weight": lambda: with_logits(B, T, weight=PW),
    "hessian, cross_entropy": lambda: cross_entropy_and_grad_hess(Z, Y)[2],
    "hessian, with_logits": lambda: with_logits_and_grad_hess(B, T)[2],
    "backward, softmax": lambda: softmax_vjp(softmax(Z), G),
    "backward, log_softmax": lambda: log_softmax_vjp(log_softmax(Z), G),
    "backward, logsumexp": lambda: G[0][:, None] * softmax(Z),
    "backward, sigmoid": lambda: G * sigmoid(Z) * sigmoid(-Z),
    "backward, logsigmoid": lambda: G * sigmoid(-Z),
    "backward, softplus": lambda: G * sigmoid(Z),
    "backward, linear": lambda: G @ SOFT,
    "backward, weight of linear": lambda: G.T @ Z,
    "backward, bias of linear": lambda: G.sum(axis=0),
    "backward, cross_entropy": lambda: cross_entropy_and_grad(Z, Y)[1],
    "backward, cross_entropy none": lambda: none(cross_entropy_and_grad, Z, Y)[1],
    "backward, nll_loss": lambda: nll_loss_and_grad(log_softmax(Z), Y)[1],
    # By hand: soft targets get no gradient from logitkit.
    "backward, soft targets": lambda: -log_softmax(Z) / 3,
    # Of NumPy, with tensors.
    "tensor, shares memory": lambda: True,
    "tensor, and back": lambda: True,
    "tensor, bfloat16 from bits": lambda: True,
    "tensor, requires grad": lambda: "RuntimeError",
    "tensor, elsewhere": lambda: "TypeError",
}

JAX: Mapping[str, Call] = {
    "softmax": lambda: softmax(Z),
    "softmax, axis 0": lambda: softmax(Z, axis=0),
    "softmax, two axes": lambda: softmax(IMAGES, axis=(0, 2)),
    "softmax, all axes": lambda: softmax(Z, axis=None),
    "softmax, where": lambda: softmax(BAD, where=MASK),
    "softmax, where nowhere": lambda: softmax(Z[0], where=False),
    "softmax, special rows": lambda: softmax(SPECIAL),
    "softmax, no classes": lambda: softmax(np.zeros((2, 0))),
    "log_softmax": lambda: log_softmax(Z),
    "log_softmax, where": lambda: log_softmax(BAD, where=MASK),
    "log_softmax, where nowhere": lambda: log_softmax(Z[0], where=False),
    "log_softmax, special rows": lambda: log_softmax(SPECIAL),
    "logsumexp": lambda: logsumexp(Z, axis=None),
    "logsumexp, axis -1": lambda: logsumexp(Z),
    "logsumexp, keepdims": lambda: logsumexp(Z, keepdims=True),
    "logsumexp, where": lambda: logsumexp(BAD, where=MASK),
    "logsumexp, where nowhere": lambda: logsumexp(Z[0], where=False),
    "logsumexp, special rows": lambda: logsumexp(SPECIAL),
    "logsumexp, b": lambda: logsumexp(Z[:, [0, 2]] + np.log([1.0, 2.0])),
    "logsumexp, b of 0 at NaN": lambda: logsumexp([0.0, NAN], where=[True, False]),
    "sigmoid": lambda: sigmoid(ELEMENTS),
    "log_sigmoid": lambda: log_sigmoid(ELEMENTS),
    "softplus": lambda: softplus(ELEMENTS),
    "top_k, values": lambda: top_k(Z, 2)[0],
    "top_k, indices": lambda: top_k(Z, 2)[1],
    "top_k, axis 0": lambda: top_k(Z, 2, axis=0)[1],
    "top_k, tied indices": lambda: top_k(TIES, 2)[1],
    "top_k, with NaN": lambda: top_k(WITH_NAN, 2)[0],
    "top_k, k too large": lambda: top_k(Z, 4),
    "array, shares memory": lambda: True,
    "array, writeable": lambda: False,
    "array, bfloat16": lambda: str(np.dtype(BF16)),
    "vjp, softmax": lambda: softmax_vjp(softmax(Z), G),
    "vjp, log_softmax": lambda: log_softmax_vjp(log_softmax(Z), G),
    "value_and_grad": lambda: cross_entropy_and_grad(Z, Y),
    "value_and_grad, NaN row": lambda: cross_entropy_and_grad(np.where(Z == 2.0, NAN, Z), Y),
    "value_and_grad, binary": lambda: with_logits_and_grad(B, T),
    "hessian": lambda: cross_entropy_and_grad_hess(Z, Y)[2],
    "hessian, binary": lambda: with_logits_and_grad_hess(B, T)[2],
    "optax soft": lambda: none(cross_entropy, Z, SOFT),
    "optax soft, axis 0": lambda: none(cross_entropy, Z, SOFT, axis=0),
    "optax soft, where": lambda: none(
        cross_entropy, np.where(MASK, Z, -INF), np.where(MASK, SOFT, 0.0)
    ),
    "optax safe, target 0 at -inf": lambda: none(cross_entropy, ABSENT, HALVES),
    "optax integer": lambda: none(cross_entropy, Z, Y),
    "optax integer, axis 0": lambda: none(cross_entropy, Z.T, Y, axis=0),
    "optax integer, where": lambda: none(cross_entropy, np.where(MASK, Z, -INF), [1, 2, 2]),
    "optax sigmoid": lambda: none(with_logits, B, T),
    "optax kl_divergence": lambda: none(nll_loss, log_softmax(Z), SOFT) + NEGATIVE_ENTROPIES,
    "optax smooth_labels": lambda: none(cross_entropy, Z, Y, label_smoothing=0.25),
    "optax smooth_labels, soft": lambda: none(cross_entropy, Z, SOFT, label_smoothing=0.25),
}

KERAS: Mapping[str, Call] = {
    "sparse": lambda: cross_entropy(Z, Y),
    "sparse, none": lambda: none(cross_entropy, Z, Y),
    "sparse, sum": lambda: cross_entropy(Z, Y, reduction="sum"),
    "sparse, from probabilities": lambda: categorical_cross_entropy(given("probs"), Y, eps=1e-7),
    "sparse, renormalised": lambda: categorical_cross_entropy([0.5, 0.25, 0.25], 0, eps=1e-7),
    "sparse, ignore_class": lambda: cross_entropy(Z, IGNORED, ignore_index=-100),
    "sparse, ignore_class none": lambda: none(cross_entropy, Z, IGNORED, ignore_index=-100),
    "sparse, NaN ignored": lambda: cross_entropy(BAD_ROW, IGNORED, ignore_index=-100),
    "sparse, sample weights": lambda: (
        cross_entropy(Z, Y, sample_weight=S, reduction="sum") / len(Y)
    ),
    "sparse, mean_with_sample_weight": lambda: cross_entropy(Z, Y, sample_weight=S),
    "sparse, both": lambda: (
        cross_entropy(Z, IGNORED, ignore_index=-100, sample_weight=S, reduction="sum") / 2
    ),
    "sparse, order of the arguments": lambda: cross_entropy(Y, Z),
    "fit, class_weight": lambda: cross_entropy(Z, Y, weight=W, reduction="sum") / len(Y),
    "categorical": lambda: cross_entropy(Z, SOFT),
    "categorical, axis 0": lambda: cross_entropy(Z, SOFT, axis=0),
    "categorical, one-hot integers": lambda: cross_entropy(Z, np.eye(3, dtype=int)),
    "categorical, from probabilities": lambda: categorical_cross_entropy(given("probs"), SOFT),
    "categorical, smoothing": lambda: cross_entropy(Z, SOFT, label_smoothing=0.25),
    "binary": lambda: with_logits(B, T),
    "binary, none": lambda: none(with_logits, B, T).mean(axis=-1),
    "binary, smoothing": lambda: with_logits(B, T * 0.75 + 0.125),
    "binary, sample weights": lambda: with_logits(B, T, weight=BW[:, None]),
    "binary, sum": lambda: with_logits(B, T, reduction="sum") / B.shape[-1],
    "binary, from probabilities": lambda: binary_cross_entropy(BP, T, eps=1e-7),
    "k by default": lambda: 5,
    "ops.softmax": lambda: softmax(Z),
    "ops.log_softmax": lambda: log_softmax(Z),
    "ops.logsumexp": lambda: logsumexp(Z, axis=None),
    "ops.logsumexp, axis": lambda: logsumexp(Z),
    "ops.sigmoid": lambda: sigmoid(Z),
    "ops.log_sigmoid": lambda: log_sigmoid(Z),
    "ops.softplus": lambda: softplus(Z),
    "ops.top_k": lambda: top_k(Z, 2)[1],
    "ops.sparse_categorical_crossentropy": lambda: none(cross_entropy, Z, Y),
    "ops.categorical_crossentropy": lambda: none(cross_entropy, Z, SOFT),
    "ops.binary_crossentropy": lambda: none(with_logits, B, T),
    "metrics with a state": lambda: [*evaluated((slice(0, 1), slice(1, 3)))],
    "accuracy": lambda: [accuracy(z, y) for z, y in zip(Z, Y, strict=True)],
    "top-2 accuracy": lambda: [accuracy(z, y, k=2) for z, y in zip(Z, Y, strict=True)],
}

AGREEING = {"torch": TORCH, "jax": JAX, "keras/jax": KERAS, "keras/torch": KERAS}


# What differs: what they give, our call, what it gives


TORCH_DIFFERS: Mapping[str, Difference] = {
    "softmax, two dims": ("TypeError", lambda: softmax(IMAGES, axis=(0, 2)).sum(), 3.0),
    "softmax, integers": ("NotImplementedError", lambda: softmax([0, 0]), [0.5, 0.5]),
    "logsumexp, no dim": ("TypeError", lambda: logsumexp(np.zeros((2, 2))), [LOG_2, LOG_2]),
    "logsumexp, bfloat16": ("torch.bfloat16", lambda: logsumexp(Z.astype(BF16)).dtype, "float32"),
    "softmax, all masked": ([NAN, NAN], lambda: softmax([1.0, 2.0], where=False), [0.0, 0.0]),
    "sigmoid, float32 far below": ([0.0, 0.0], lambda: sigmoid(FAR) > 0, [True, True]),
    "softplus, above the threshold": (
        [20.5, 30.0],
        lambda: softplus([20.5, 30.0]),
        [20.5 + np.exp(-20.5), 30.0 + np.exp(-30.0)],
    ),
    "softplus, threshold 1": ([2.0], lambda: softplus([2.0]), [np.log1p(np.exp(2.0))]),
    "topk, tied indices": ([1, 4, 3, 2], lambda: top_k(TIES, 4)[1], [1, 3, 4, 2]),
    "topk, smallest with NaN": ([1.0, 2.0], lambda: -top_k(-WITH_NAN, 2)[0], [NAN, 1.0]),
    "linear, float32": (
        [[0.0]],
        lambda: linear(np.array([[1e8, 1.0, -1e8]], np.float32), np.ones((1, 3))),
        [[1.0]],
    ),
    "cross_entropy, no classes": (NAN, lambda: cross_entropy(Z[:, :0], Y), "ValueError"),
    "cross_entropy, int32 classes": (
        "RuntimeError",
        lambda: cross_entropy(np.zeros((3, 3)), Y.astype(np.int32)),
        LOG_3,
    ),
    "cross_entropy, one-hot integers": (
        "RuntimeError",
        lambda: cross_entropy(np.zeros((3, 3)), np.eye(3, dtype=int)),
        LOG_3,
    ),
    "cross_entropy, bfloat16": (
        "torch.bfloat16",
        lambda: cross_entropy(Z.astype(BF16), Y).dtype,
        "float32",
    ),
    "cross_entropy, sure float32": (0.0, lambda: cross_entropy(SURE, [0]), 2 * np.exp(-30.0)),
    "cross_entropy, lead of 40": (0.0, lambda: cross_entropy(LEAD, [0]), 2 * np.exp(-40.0)),
    "cross_entropy, target 0 at -inf": (NAN, lambda: cross_entropy(ABSENT, HALVES), LOG_2),
    # A third of the share of 0.25 is that of the class of weight 0.
    "cross_entropy, weight 0 at -inf": (
        NAN,
        lambda: cross_entropy(ABSENT, [0], weight=[1.0, 1.0, 0.0], label_smoothing=0.25),
        LOG_2 * (1 - 0.25 / 3),
    ),
    "cross_entropy, NaN ignored": (
        {"value": LOSSES * KEPT, "grad": np.where(KEPT[:, None], GRADS, NAN)},
        lambda: pair(cross_entropy_and_grad, BAD_ROW, IGNORED, ignore_index=-100),
        {"value": LOSSES * KEPT, "grad": GRADS * KEPT[:, None]},
    ),
    "cross_entropy, NaN of weight 0": (
        {"value": np.where(KEPT, LOSSES, NAN), "grad": np.where(KEPT[:, None], GRADS, NAN)},
        lambda: pair(cross_entropy_and_grad, BAD_ROW, Y, weight=[1.0, 0.0, 1.0]),
        {"value": LOSSES * KEPT, "grad": GRADS * KEPT[:, None]},
    ),
    "nll_loss, soft": ("RuntimeError", lambda: nll_loss([-LOG_2, -LOG_2], [0.5, 0.5]), LOG_2),
    "binary_cross_entropy, integer targets": (
        "RuntimeError",
        lambda: binary_cross_entropy([0.5], [1]),
        LOG_2,
    ),
    # torch divides by 1e-12 at least, a number of float32.
    "binary_cross_entropy, ends": (
        {"value": [100, 100, 0, 0, 100], "grad": np.array([-1, 1, 0, 0, -1]) / np.float32(1e-12)},
        lambda: pair(binary_cross_entropy_and_grad, ENDS, END_T),
        {"value": [INF, INF, 0, 0, 60 * np.log(10)], "grad": [-INF, INF, 1, -1, -1e60]},
    ),
    "with_logits, target 2": (2 * -1 + SOFTPLUS_1, lambda: with_logits([1.0], [2.0]), "ValueError"),
    "with_logits, integer targets": ("RuntimeError", lambda: with_logits([0.0], [1]), LOG_2),
    "with_logits, infinite": (
        [NAN, NAN, INF, NAN],
        lambda: none(with_logits, INFINITE, INFINITE_T),
        [0.0, 0.0, INF, INF],
    ),
    "with_logits, NaN of weight 0": (
        [NAN],
        lambda: none(with_logits, [NAN], [1.0], weight=0.0),
        [0.0],
    ),
    "with_logits, float32 gradient of 20": (
        {"value": [np.exp(-20.0)], "grad": [0.0]},
        lambda: pair(with_logits_and_grad, np.array([20.0], np.float32), [1.0]),
        {"value": [np.exp(-20.0)], "grad": [-np.exp(-20.0)]},
    ),
    # NumPy makes no array of it; logitkit does without NumPy's help.
    "tensor, bfloat16": ("TypeError", lambda: softmax(Z.astype(BF16)).dtype, "bfloat16"),
}

JAX_DIFFERS: Mapping[str, Difference] = {
    "softmax, default dtype of float64": ("float32", lambda: softmax(Z).dtype, "float64"),
    "logsumexp, negative b": (NAN, signed_logsumexp, 1.48988012564475),
    "logsumexp, return_sign": ([1.48988012564475, -1.0], signed_logsumexp, 1.48988012564475),
    "logsumexp, bfloat16": ("bfloat16", lambda: logsumexp(Z.astype(BF16)).dtype, "float32"),
    "sigmoid, float32 far below": ([0.0, 0.0], lambda: sigmoid(FAR) > 0, [True, True]),
    "softplus, float32 far below": ([0.0, 0.0], lambda: softplus(FAR) > 0, [True, True]),
    "top_k, dtype of indices": ("int32", lambda: top_k(TIES, 2)[1].dtype, "int64"),
    "optax soft, target 0 at -inf": ([NAN], lambda: none(cross_entropy, ABSENT, HALVES), [LOG_2]),
    "optax integer, class out of where": (
        [np.log(np.exp(Z[0, :2]).sum()) - Z[0, 2]],
        lambda: none(cross_entropy, np.where(MASK, Z, -INF)[:1], [2]),
        [INF],
    ),
    "optax integer, class 3": (
        [*-log_softmax(Z)[[0, 1], [1, 2]], NAN],
        lambda: cross_entropy(Z, Y + 1),
        "IndexError",
    ),
    "optax integer, class -1": (
        -log_softmax(Z)[[0, 1, 2], [-1, 0, 1]],
        lambda: cross_entropy(Z, Y - 1),
        "IndexError",
    ),
    "optax integer, class -100": (
        [LOSSES[0], NAN, LOSSES[2]],
        lambda: cross_entropy(Z, IGNORED),
        "IndexError",
    ),
    "optax integer, bfloat16": (
        "bfloat16",
        lambda: none(cross_entropy, Z.astype(BF16), Y).dtype,
        "float32",
    ),
    "optax integer, sure float32": (
        [0.0],
        lambda: none(cross_entropy, SURE, [0]),
        [2 * np.exp(-30.0)],
    ),
    "optax sigmoid, target 2": ([-2 + SOFTPLUS_1], lambda: with_logits([1.0], [2.0]), "ValueError"),
    "optax sigmoid, targets broadcast": (
        softplus(B) - B * T[0],
        lambda: with_logits(B, T[0]),
        "ValueError",
    ),
    "optax sigmoid, infinite": (
        [NAN, NAN, INF, INF],
        lambda: none(with_logits, INFINITE, INFINITE_T),
        [0.0, 0.0, INF, INF],
    ),
    "optax smooth_labels, integers": (
        "TypeError",
        lambda: cross_entropy(np.zeros((3, 3)), Y, label_smoothing=0.25),
        LOG_3,
    ),
}

# Of float32: 1 - 1e-7 is rounded to 1 - EPS, on both backends here, on one there.
EPS = float(np.finfo(np.float32).eps)

KERAS_DIFFERS: Mapping[str, Difference] = {
    "sparse, column of classes": (
        LOSSES.mean(),
        lambda: cross_entropy(Z, Y[:, None]),
        "ValueError",
    ),
    "sparse, logits as probabilities": (
        -np.log((np.abs(Z) / np.abs(Z).sum(axis=-1, keepdims=True))[range(3), Y]).mean(),
        lambda: categorical_cross_entropy(np.abs(Z), Y, eps=1e-7),
        "ValueError",
    ),
    "sparse, ends": (
        [7 * np.log(10), EPS],
        lambda: none(categorical_cross_entropy, [[0.0, 1.0], [1.0, 0.0]], [0, 0]),
        [INF, 0.0],
    ),
    "sparse, all ignored": (
        0.0,
        lambda: cross_entropy(Z, IGNORED * 0 - 100, ignore_index=-100),
        NAN,
    ),
    "sparse, class -100": (LOSSES * KEPT, lambda: cross_entropy(Z, IGNORED), "IndexError"),
    "sparse, sure": (0.0, lambda: cross_entropy(SURE, [0]), 2 * np.exp(-30.0)),
    "sparse, dtype of float64": ("float32", lambda: cross_entropy(Z, Y).dtype, "float64"),
    "categorical, smoothing on axis 0": (
        cross_entropy(Z[:2], SOFT[:2] * 0.75 + 0.25 / 3, axis=0),
        lambda: cross_entropy(Z[:2], SOFT[:2], axis=0, label_smoothing=0.25),
        cross_entropy(Z[:2], SOFT[:2] * 0.75 + 0.25 / 2, axis=0),
    ),
    "categorical, target 0 at -inf": (NAN, lambda: cross_entropy(ABSENT, HALVES), LOG_2),
    "binary, target 2": (-2 + SOFTPLUS_1, lambda: with_logits([1.0], [2.0]), "ValueError"),
    "top-1 accuracy of ties": ([1.0], lambda: accuracy([[0.5, 0.5, 0.5, 0.1]], [2]), 0.0),
}
BINARY_ENDS = (
    lambda: none(binary_cross_entropy, given("ends", np.float32)[:4], END_T[:4], eps=1e-7),
    [7 * np.log(10), 7 * np.log(10), 1e-7, 1e-7],
)
INFINITE_ENDS = (lambda: none(with_logits, INFINITE, INFINITE_T), [0.0, 0.0, INF, INF])
KERAS_JAX_DIFFERS: Mapping[str, Difference] = {
    **KERAS_DIFFERS,
    "sparse, class 3": (
        [*-log_softmax(Z)[[0, 1], [1, 2]], 0.0],
        lambda: cross_entropy(Z, Y + 1),
        "IndexError",
    ),
    "sparse, class -1": (
        [0.0, *-log_softmax(Z)[[1, 2], [0, 1]]],
        lambda: cross_entropy(Z, Y - 1),
        "IndexError",
    ),
    "binary, ends": ([7 * np.log(10), -np.log(EPS), EPS, EPS], *BINARY_ENDS),
    "binary, infinite": ([NAN, NAN, INF, INF], *INFINITE_ENDS),
}
KERAS_TORCH_DIFFERS: Mapping[str, Difference] = {
    **KERAS_DIFFERS,
    "binary, ends": ([7 * np.log(10), -np.log(EPS), 1e-7, EPS], *BINARY_ENDS),
    "binary, infinite": ([NAN, NAN, INF, NAN], *INFINITE_ENDS),
}
KERAS_TORCH: Mapping[str, Call] = {
    **KERAS,
    "sparse, class 3": lambda: cross_entropy(Z, Y + 1),
    "sparse, class -1": lambda: cross_entropy(Z, Y - 1),
}

AGREEING = {"torch": TORCH, "jax": JAX, "keras/jax": KERAS, "keras/torch": KERAS_TORCH}
DIFFERING = {
    "torch": TORCH_DIFFERS,
    "jax": JAX_DIFFERS,
    "keras/jax": KERAS_JAX_DIFFERS,
    "keras/torch": KERAS_TORCH_DIFFERS,
}
