"""The questions to jax and optax. They compute in float64, unless a name says float32."""

import importlib
from typing import Any

import numpy as np

from coming_from.inputs import INPUTS, NAN, Answers, Tensor, attempt, given


def jax_answers() -> Answers:
    """Ask jax and optax."""
    jax: Any = importlib.import_module("jax")
    default = str(jax.nn.softmax(given("elements")).dtype)
    jax.config.update("jax_enable_x64", val=True)
    answers: Answers = {"softmax, default dtype of float64": default}
    return answers | jax_functions(jax) | jax_gradients(jax) | optax_losses(jax)


def jax_functions(jax: Any) -> Answers:  # noqa: ANN401
    """Softmax and its kin, elements, top-k, arrays."""
    jnp: Any = importlib.import_module("jax.numpy")
    lse = jax.scipy.special.logsumexp
    z, mask, images = jnp.array(INPUTS["logits"]), given("mask"), jnp.array(INPUTS["images"])
    special, elements = jnp.array(INPUTS["special_rows"]), jnp.array(INPUTS["elements"])
    bad, nothing = z.at[1, 1].set(NAN), np.zeros(3, bool)
    far_below = jnp.array(INPUTS["far_below"], jnp.float32)
    b, two = jnp.array([1.0, 0.0, 2.0]), jnp.array([0.0, 1.0])
    ties, nans = (jax.lax.top_k(jnp.array(INPUTS[name]), 2) for name in ("ties", "with_nan"))
    signed = lse(two, b=jnp.array([1.0, -2.0]), return_sign=True)
    half = z.astype(jnp.bfloat16)
    array = np.asarray(z)
    return {
        "softmax": jax.nn.softmax(z),
        "softmax, axis 0": jax.nn.softmax(z, axis=0),
        "softmax, two axes": jax.nn.softmax(images, axis=(0, 2)),
        "softmax, all axes": jax.nn.softmax(z, axis=None),
        "softmax, where": jax.nn.softmax(bad, where=mask),
        "softmax, where nowhere": jax.nn.softmax(z[0], where=nothing),
        "softmax, special rows": jax.nn.softmax(special),
        "softmax, no classes": jax.nn.softmax(jnp.zeros((2, 0))),
        "log_softmax": jax.nn.log_softmax(z),
        "log_softmax, where": jax.nn.log_softmax(bad, where=mask),
        "log_softmax, where nowhere": jax.nn.log_softmax(z[0], where=nothing),
        "log_softmax, special rows": jax.nn.log_softmax(special),
        "logsumexp": lse(z),
        "logsumexp, axis -1": lse(z, axis=-1),
        "logsumexp, keepdims": lse(z, axis=-1, keepdims=True),
        "logsumexp, where": lse(bad, axis=-1, where=mask),
        "logsumexp, where nowhere": lse(z[0], where=nothing),
        "logsumexp, special rows": lse(special, axis=-1),
        "logsumexp, b": lse(z, axis=-1, b=b),
        "logsumexp, b of 0 at NaN": lse(jnp.array([0.0, NAN]), b=jnp.array([1.0, 0.0])),
        "logsumexp, negative b": lse(two, b=jnp.array([1.0, -2.0])),
        "logsumexp, return_sign": signed,
        "logsumexp, bfloat16": str(lse(half).dtype),
        "sigmoid": jax.nn.sigmoid(elements),
        "sigmoid, float32 far below": jax.nn.sigmoid(far_below),
        "log_sigmoid": jax.nn.log_sigmoid(elements),
        "softplus": jax.nn.softplus(elements),
        "softplus, float32 far below": jax.nn.softplus(far_below),
        "top_k, values": jax.lax.top_k(z, 2)[0],
        "top_k, indices": jax.lax.top_k(z, 2)[1],
        "top_k, axis 0": jax.lax.top_k(z, 2, axis=0)[1],
        "top_k, dtype of indices": str(ties[1].dtype),
        "top_k, tied indices": ties[1],
        "top_k, with NaN": nans[0],
        "top_k, k too large": attempt(lambda: jax.lax.top_k(z, 4)),
        "array, shares memory": array.ctypes.data == z.unsafe_buffer_pointer(),
        "array, writeable": array.flags.writeable,
        "array, bfloat16": str(np.asarray(half).dtype),
    }


def jax_gradients(jax: Any) -> Answers:  # noqa: ANN401
    """Vector-Jacobian products and value_and_grad."""
    jnp: Any = importlib.import_module("jax.numpy")
    optax: Any = importlib.import_module("optax")
    z, g, y = (jnp.array(INPUTS[name]) for name in ("logits", "cotangent", "classes"))
    binary, t = (jnp.array(INPUTS[name]) for name in ("binary_logits", "binary_targets"))
    bad = z.at[0, 0].set(NAN)
    integer = optax.softmax_cross_entropy_with_integer_labels

    def mean_loss(x: Tensor) -> Tensor:
        return integer(x, y).mean()

    def binary_loss(x: Tensor) -> Tensor:
        return optax.sigmoid_binary_cross_entropy(x, t).mean()

    def diagonal(loss: Any, x: Tensor) -> Tensor:  # noqa: ANN401
        return jnp.diagonal(jax.hessian(loss)(x).reshape(x.size, -1)).reshape(x.shape)

    return {
        "vjp, softmax": jax.vjp(jax.nn.softmax, z)[1](g)[0],
        "vjp, log_softmax": jax.vjp(jax.nn.log_softmax, z)[1](g)[0],
        "value_and_grad": jax.value_and_grad(mean_loss)(z),
        "value_and_grad, NaN row": jax.value_and_grad(mean_loss)(bad),
        "value_and_grad, binary": jax.value_and_grad(binary_loss)(binary),
        "hessian": diagonal(mean_loss, z),
        "hessian, binary": diagonal(binary_loss, binary),
    }


def optax_losses(jax: Any) -> Answers:  # noqa: ANN401
    """Losses."""
    jnp: Any = importlib.import_module("jax.numpy")
    optax: Any = importlib.import_module("optax")
    z, y, soft = (jnp.array(INPUTS[name]) for name in ("logits", "classes", "soft"))
    binary, t = (jnp.array(INPUTS[name]) for name in ("binary_logits", "binary_targets"))
    infinite, ends = (jnp.array(INPUTS[n]) for n in ("infinite", "infinite_targets"))
    absent, both = jnp.array(INPUTS["absent"]), jnp.array([[0.5, 0.5, 0.0]])
    sure = jnp.array(INPUTS["sure"], jnp.float32)
    mask = given("mask")
    loss, integer = optax.softmax_cross_entropy, optax.softmax_cross_entropy_with_integer_labels
    sigmoid = optax.sigmoid_binary_cross_entropy
    hot = jax.nn.one_hot(y, 3)
    return {
        "optax soft": loss(z, soft),
        "optax soft, axis 0": loss(z, soft, axis=0),
        "optax soft, where": loss(z, soft, where=mask),
        "optax soft, target 0 at -inf": loss(absent, both),
        "optax safe, target 0 at -inf": optax.safe_softmax_cross_entropy(absent, both),
        "optax integer": integer(z, y),
        "optax integer, axis 0": integer(z.T, y, axis=0),
        "optax integer, where": integer(z, jnp.array([1, 2, 2]), where=mask),
        "optax integer, class out of where": integer(z[:1], jnp.array([2]), where=mask[:1]),
        "optax integer, class 3": integer(z, y + 1),
        "optax integer, class -1": integer(z, y - 1),
        "optax integer, class -100": integer(z, jnp.array(INPUTS["some_ignored"])),
        "optax integer, bfloat16": str(integer(z.astype(jnp.bfloat16), y).dtype),
        "optax integer, sure float32": integer(sure, jnp.array([0])),
        "optax sigmoid": sigmoid(binary, t),
        "optax sigmoid, target 2": sigmoid(jnp.array([1.0]), jnp.array([2.0])),
        "optax sigmoid, targets broadcast": sigmoid(binary, t[0]),
        "optax sigmoid, infinite": sigmoid(infinite, ends),
        "optax kl_divergence": optax.kl_divergence(jax.nn.log_softmax(z), soft),
        "optax smooth_labels": loss(z, optax.smooth_labels(hot, 0.25)),
        "optax smooth_labels, soft": loss(z, optax.smooth_labels(soft, 0.25)),
        "optax smooth_labels, integers": attempt(lambda: optax.smooth_labels(y, 0.25)),
    }
