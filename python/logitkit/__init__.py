"""Softmax, log-softmax, cross entropy and their fused gradients for NumPy, accurate to 2 ulp.

A network's last layer gives logits: any real numbers, one for each class. logitkit turns them
into probabilities, predictions, losses and gradients:

>>> import logitkit
>>> logits = [[2.0, 1.0, 0.1], [0.5, 2.5, 1.0]]
>>> logitkit.softmax(logits).argmax(axis=-1)
array([0, 1])
>>> round(logitkit.cross_entropy(logits, [0, 1]), 4)
np.float64(0.3617)

float32 stays float32; integers and bools become float64. Each function's docstring states its
formula, shapes, special values and accuracy.

This file names what the package offers. The functions are made in Rust, in `logitkit._core`; what
adds up their results over many calls is Python.
"""

from logitkit._core import (
    __version__,
    accuracy,
    binary_cross_entropy,
    binary_cross_entropy_and_grad,
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_and_grad,
    binary_cross_entropy_with_logits_and_grad_hess,
    categorical_cross_entropy,
    categorical_cross_entropy_and_grad,
    cross_entropy,
    cross_entropy_and_grad,
    cross_entropy_and_grad_hess,
    get_num_threads,
    linear,
    log_sigmoid,
    log_softmax,
    log_softmax_vjp,
    logsumexp,
    nll_loss,
    nll_loss_and_grad,
    perplexity,
    set_num_threads,
    sigmoid,
    simd_level,
    softmax,
    softmax_vjp,
    softplus,
    top_k,
)
from logitkit._evaluation import Evaluation
from logitkit._temperature import fit_temperature

__all__ = [
    "Evaluation",
    "__version__",
    "accuracy",
    "binary_cross_entropy",
    "binary_cross_entropy_and_grad",
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_and_grad",
    "binary_cross_entropy_with_logits_and_grad_hess",
    "categorical_cross_entropy",
    "categorical_cross_entropy_and_grad",
    "cross_entropy",
    "cross_entropy_and_grad",
    "cross_entropy_and_grad_hess",
    "fit_temperature",
    "get_num_threads",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "log_softmax_vjp",
    "logsumexp",
    "nll_loss",
    "nll_loss_and_grad",
    "perplexity",
    "set_num_threads",
    "sigmoid",
    "simd_level",
    "softmax",
    "softmax_vjp",
    "softplus",
    "top_k",
]
