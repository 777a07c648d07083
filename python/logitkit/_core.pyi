# Types of the extension module. Only types belong here; what the functions do is told by their
# docstrings, in `src/python/docs`. Overloads carry two facts: the dtype (float16 and float32 stay
# what they are, their losses are float32, and all else that is accepted becomes float64) and the
# reduction ("none" gives an array, "mean" and "sum" a scalar). Of an array of unknown dtype,
# `NDArray[Any]`, nothing is known of the results: bfloat16 is no type of NumPy's own, and tables do
# not say what they hold.

# The floats are subtypes of each other in part, as NumPy's stubs have it, so each pair of
# overloads below would be reported.
# mypy: disable-error-code="overload-overlap"

from abc import ABCMeta
from collections.abc import Sequence
from typing import Any, Literal, Protocol, SupportsIndex, TypeAlias, overload, type_check_only

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import TypeVar

__all__ = [
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
    "exact_sums",
    "get_num_threads",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "log_softmax_vjp",
    "logsumexp",
    "merged_summaries",
    "nll_loss",
    "nll_loss_and_grad",
    "perplexity",
    "row_summaries",
    "set_num_threads",
    "sigmoid",
    "simd_level",
    "softmax",
    "softmax_given",
    "softmax_vjp",
    "softplus",
    "tempered",
    "top_k",
]

_Scalar_co = TypeVar("_Scalar_co", bound=np.generic, covariant=True)

@type_check_only
class _SupportsArray(Protocol[_Scalar_co]):
    def __array__(self) -> np.ndarray[Any, np.dtype[_Scalar_co]]: ...

# No array has this dtype, so only those of unknown dtype fit. Their overloads come first, for those
# fit the others, too.
@type_check_only
class _NoDtype(np.generic, metaclass=ABCMeta): ...

_UnknownLike: TypeAlias = _SupportsArray[_NoDtype]
# Losses and sums of theirs are scalars or arrays, of float32 or float64.
_UnknownResult: TypeAlias = Any

# Sequences are spelled out level by level: a recursive alias would let strings in.
_T = TypeVar("_T")
_Sequence2: TypeAlias = Sequence[_T] | Sequence[Sequence[_T]]
_Nested: TypeAlias = _T | _Sequence2[_T] | Sequence[Sequence[_Sequence2[_T]]]

_Float16Like: TypeAlias = _Nested[_SupportsArray[np.float16]]
_Float32Like: TypeAlias = _Nested[_SupportsArray[np.float32]]
# What has results of float32, but for those that are like the argument itself.
_SingleLike: TypeAlias = _Float32Like | _Float16Like
_Float64Like: TypeAlias = _Nested[float | _SupportsArray[np.float64 | np.integer[Any] | np.bool_]]

# What is given as `out` is what comes back, with its own type.
_Out16 = TypeVar("_Out16", bound=NDArray[np.float16], default=NDArray[np.float16])
_Out32 = TypeVar("_Out32", bound=NDArray[np.float32], default=NDArray[np.float32])
_Out64 = TypeVar("_Out64", bound=NDArray[np.float64], default=NDArray[np.float64])

# The second array of a pair.
_Out16Hess = TypeVar("_Out16Hess", bound=NDArray[np.float16], default=NDArray[np.float16])
_Out32Hess = TypeVar("_Out32Hess", bound=NDArray[np.float32], default=NDArray[np.float32])
_Out64Hess = TypeVar("_Out64Hess", bound=NDArray[np.float64], default=NDArray[np.float64])
_First = TypeVar("_First")
_Second = TypeVar("_Second")
_Pair: TypeAlias = tuple[_First | None, _Second | None]

_Mask: TypeAlias = _Nested[bool | _SupportsArray[np.bool_]]

# One axis, several, or all of them.
_Axes: TypeAlias = SupportsIndex | tuple[SupportsIndex, ...] | None

__version__: str

# The formatter would give each parameter a line of its own and hide what differs between overloads.
# fmt: off

@overload
def softmax(
    x: _UnknownLike, axis: _Axes = -1, *, where: _Mask | None = None,
    out: NDArray[_NoDtype] | None = None,
) -> NDArray[Any]: ...
@overload
def softmax(
    x: _Float64Like, axis: _Axes = -1, *, where: _Mask | None = None, out: _Out64 | None = None,
) -> _Out64: ...
@overload
def softmax(
    x: _Float32Like, axis: _Axes = -1, *, where: _Mask | None = None, out: _Out32 | None = None,
) -> _Out32: ...
@overload
def softmax(
    x: _Float16Like, axis: _Axes = -1, *, where: _Mask | None = None, out: _Out16 | None = None,
) -> _Out16: ...

@overload
def log_softmax(
    x: _UnknownLike, axis: _Axes = -1, *, where: _Mask | None = None,
    out: NDArray[_NoDtype] | None = None,
) -> NDArray[Any]: ...
@overload
def log_softmax(
    x: _Float64Like, axis: _Axes = -1, *, where: _Mask | None = None, out: _Out64 | None = None,
) -> _Out64: ...
@overload
def log_softmax(
    x: _Float32Like, axis: _Axes = -1, *, where: _Mask | None = None, out: _Out32 | None = None,
) -> _Out32: ...
@overload
def log_softmax(
    x: _Float16Like, axis: _Axes = -1, *, where: _Mask | None = None, out: _Out16 | None = None,
) -> _Out16: ...

@overload
def logsumexp(
    x: _UnknownLike, axis: _Axes = -1, *, where: _Mask | None = None, keepdims: bool = False,
) -> _UnknownResult: ...
@overload
def logsumexp(
    x: _Float64Like, axis: _Axes = -1, *, where: _Mask | None = None, keepdims: Literal[True],
) -> NDArray[np.float64]: ...
@overload
def logsumexp(
    x: _Float64Like, axis: _Axes = -1, *, where: _Mask | None = None, keepdims: bool = False,
) -> NDArray[np.float64] | np.float64: ...
@overload
def logsumexp(
    x: _SingleLike, axis: _Axes = -1, *, where: _Mask | None = None, keepdims: Literal[True],
) -> NDArray[np.float32]: ...
@overload
def logsumexp(
    x: _SingleLike, axis: _Axes = -1, *, where: _Mask | None = None, keepdims: bool = False,
) -> NDArray[np.float32] | np.float32: ...

@overload
def sigmoid(x: _UnknownLike, *, out: NDArray[_NoDtype] | None = None) -> NDArray[Any]: ...
@overload
def sigmoid(x: float | np.integer[Any] | np.bool_, *, out: None = None) -> np.float64: ...
@overload
def sigmoid(x: np.float32, *, out: None = None) -> np.float32: ...
@overload
def sigmoid(x: np.float16, *, out: None = None) -> np.float16: ...
@overload
def sigmoid(x: _Float64Like, *, out: _Out64 | None = None) -> _Out64: ...
@overload
def sigmoid(x: _Float32Like, *, out: _Out32 | None = None) -> _Out32: ...
@overload
def sigmoid(x: _Float16Like, *, out: _Out16 | None = None) -> _Out16: ...

@overload
def log_sigmoid(x: _UnknownLike, *, out: NDArray[_NoDtype] | None = None) -> NDArray[Any]: ...
@overload
def log_sigmoid(x: float | np.integer[Any] | np.bool_, *, out: None = None) -> np.float64: ...
@overload
def log_sigmoid(x: np.float32, *, out: None = None) -> np.float32: ...
@overload
def log_sigmoid(x: np.float16, *, out: None = None) -> np.float16: ...
@overload
def log_sigmoid(x: _Float64Like, *, out: _Out64 | None = None) -> _Out64: ...
@overload
def log_sigmoid(x: _Float32Like, *, out: _Out32 | None = None) -> _Out32: ...
@overload
def log_sigmoid(x: _Float16Like, *, out: _Out16 | None = None) -> _Out16: ...

@overload
def softplus(x: _UnknownLike, *, out: NDArray[_NoDtype] | None = None) -> NDArray[Any]: ...
@overload
def softplus(x: float | np.integer[Any] | np.bool_, *, out: None = None) -> np.float64: ...
@overload
def softplus(x: np.float32, *, out: None = None) -> np.float32: ...
@overload
def softplus(x: np.float16, *, out: None = None) -> np.float16: ...
@overload
def softplus(x: _Float64Like, *, out: _Out64 | None = None) -> _Out64: ...
@overload
def softplus(x: _Float32Like, *, out: _Out32 | None = None) -> _Out32: ...
@overload
def softplus(x: _Float16Like, *, out: _Out16 | None = None) -> _Out16: ...

@overload
def softmax_vjp(
    probs: _UnknownLike, cotangent: ArrayLike, axis: SupportsIndex = -1, *,
    out: NDArray[_NoDtype] | None = None,
) -> NDArray[Any]: ...
@overload
def softmax_vjp(
    probs: _Float64Like, cotangent: ArrayLike, axis: SupportsIndex = -1, *,
    out: _Out64 | None = None,
) -> _Out64: ...
@overload
def softmax_vjp(
    probs: _Float32Like, cotangent: ArrayLike, axis: SupportsIndex = -1, *,
    out: _Out32 | None = None,
) -> _Out32: ...
@overload
def softmax_vjp(
    probs: _Float16Like, cotangent: ArrayLike, axis: SupportsIndex = -1, *,
    out: _Out16 | None = None,
) -> _Out16: ...

@overload
def log_softmax_vjp(
    log_probs: _UnknownLike, cotangent: ArrayLike, axis: SupportsIndex = -1, *,
    out: NDArray[_NoDtype] | None = None,
) -> NDArray[Any]: ...
@overload
def log_softmax_vjp(
    log_probs: _Float64Like, cotangent: ArrayLike, axis: SupportsIndex = -1, *,
    out: _Out64 | None = None,
) -> _Out64: ...
@overload
def log_softmax_vjp(
    log_probs: _Float32Like, cotangent: ArrayLike, axis: SupportsIndex = -1, *,
    out: _Out32 | None = None,
) -> _Out32: ...
@overload
def log_softmax_vjp(
    log_probs: _Float16Like, cotangent: ArrayLike, axis: SupportsIndex = -1, *,
    out: _Out16 | None = None,
) -> _Out16: ...

@overload
def cross_entropy(
    logits: _UnknownLike, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: str = "mean",
) -> _UnknownResult: ...
@overload
def cross_entropy(
    logits: _Float64Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean",
) -> np.float64: ...
@overload
def cross_entropy(
    logits: _SingleLike, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean",
) -> np.float32: ...
@overload
def cross_entropy(
    logits: _Float64Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: Literal["none"],
) -> NDArray[np.float64]: ...
@overload
def cross_entropy(
    logits: _SingleLike, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: Literal["none"],
) -> NDArray[np.float32]: ...
@overload
def cross_entropy(
    logits: _Float64Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: str,
) -> NDArray[np.float64] | np.float64: ...
@overload
def cross_entropy(
    logits: _SingleLike, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: str,
) -> NDArray[np.float32] | np.float32: ...

@overload
def cross_entropy_and_grad(
    logits: _UnknownLike, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: str = "mean", out: NDArray[_NoDtype] | None = None,
) -> tuple[_UnknownResult, NDArray[Any]]: ...
@overload
def cross_entropy_and_grad(
    logits: _Float64Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean", out: _Out64 | None = None,
) -> tuple[np.float64, _Out64]: ...
@overload
def cross_entropy_and_grad(
    logits: _Float32Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean", out: _Out32 | None = None,
) -> tuple[np.float32, _Out32]: ...
@overload
def cross_entropy_and_grad(
    logits: _Float16Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean", out: _Out16 | None = None,
) -> tuple[np.float32, _Out16]: ...
@overload
def cross_entropy_and_grad(
    logits: _Float64Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: Literal["none"], out: _Out64 | None = None,
) -> tuple[NDArray[np.float64], _Out64]: ...
@overload
def cross_entropy_and_grad(
    logits: _Float32Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: Literal["none"], out: _Out32 | None = None,
) -> tuple[NDArray[np.float32], _Out32]: ...
@overload
def cross_entropy_and_grad(
    logits: _Float16Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: Literal["none"], out: _Out16 | None = None,
) -> tuple[NDArray[np.float32], _Out16]: ...
@overload
def cross_entropy_and_grad(
    logits: _Float64Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: str, out: _Out64 | None = None,
) -> tuple[NDArray[np.float64] | np.float64, _Out64]: ...
@overload
def cross_entropy_and_grad(
    logits: _Float32Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: str, out: _Out32 | None = None,
) -> tuple[NDArray[np.float32] | np.float32, _Out32]: ...
@overload
def cross_entropy_and_grad(
    logits: _Float16Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: str, out: _Out16 | None = None,
) -> tuple[NDArray[np.float32] | np.float32, _Out16]: ...

@overload
def cross_entropy_and_grad_hess(
    logits: _UnknownLike, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: str = "mean", hessian: str = "exact",
    out: _Pair[NDArray[_NoDtype], NDArray[_NoDtype]] | None = None,
) -> tuple[_UnknownResult, NDArray[Any], NDArray[Any]]: ...
@overload
def cross_entropy_and_grad_hess(
    logits: _Float64Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean", hessian: str = "exact",
    out: _Pair[_Out64, _Out64Hess] | None = None,
) -> tuple[np.float64, _Out64, _Out64Hess]: ...
@overload
def cross_entropy_and_grad_hess(
    logits: _Float32Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean", hessian: str = "exact",
    out: _Pair[_Out32, _Out32Hess] | None = None,
) -> tuple[np.float32, _Out32, _Out32Hess]: ...
@overload
def cross_entropy_and_grad_hess(
    logits: _Float16Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean", hessian: str = "exact",
    out: _Pair[_Out16, _Out16Hess] | None = None,
) -> tuple[np.float32, _Out16, _Out16Hess]: ...
@overload
def cross_entropy_and_grad_hess(
    logits: _Float64Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: Literal["none"], hessian: str = "exact",
    out: _Pair[_Out64, _Out64Hess] | None = None,
) -> tuple[NDArray[np.float64], _Out64, _Out64Hess]: ...
@overload
def cross_entropy_and_grad_hess(
    logits: _Float32Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: Literal["none"], hessian: str = "exact",
    out: _Pair[_Out32, _Out32Hess] | None = None,
) -> tuple[NDArray[np.float32], _Out32, _Out32Hess]: ...
@overload
def cross_entropy_and_grad_hess(
    logits: _Float16Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: Literal["none"], hessian: str = "exact",
    out: _Pair[_Out16, _Out16Hess] | None = None,
) -> tuple[NDArray[np.float32], _Out16, _Out16Hess]: ...
@overload
def cross_entropy_and_grad_hess(
    logits: _Float64Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: str, hessian: str = "exact",
    out: _Pair[_Out64, _Out64Hess] | None = None,
) -> tuple[NDArray[np.float64] | np.float64, _Out64, _Out64Hess]: ...
@overload
def cross_entropy_and_grad_hess(
    logits: _Float32Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: str, hessian: str = "exact",
    out: _Pair[_Out32, _Out32Hess] | None = None,
) -> tuple[NDArray[np.float32] | np.float32, _Out32, _Out32Hess]: ...
@overload
def cross_entropy_and_grad_hess(
    logits: _Float16Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, label_smoothing: float = 0.0, z_loss: float = 0.0,
    reduction: str, hessian: str = "exact",
    out: _Pair[_Out16, _Out16Hess] | None = None,
) -> tuple[NDArray[np.float32] | np.float32, _Out16, _Out16Hess]: ...

@overload
def nll_loss(
    log_probs: _UnknownLike, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, reduction: str = "mean",
) -> _UnknownResult: ...
@overload
def nll_loss(
    log_probs: _Float64Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, reduction: Literal["mean", "sum"] = "mean",
) -> np.float64: ...
@overload
def nll_loss(
    log_probs: _SingleLike, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, reduction: Literal["mean", "sum"] = "mean",
) -> np.float32: ...
@overload
def nll_loss(
    log_probs: _Float64Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, reduction: Literal["none"],
) -> NDArray[np.float64]: ...
@overload
def nll_loss(
    log_probs: _SingleLike, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, reduction: Literal["none"],
) -> NDArray[np.float32]: ...
@overload
def nll_loss(
    log_probs: _Float64Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, reduction: str,
) -> NDArray[np.float64] | np.float64: ...
@overload
def nll_loss(
    log_probs: _SingleLike, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, reduction: str,
) -> NDArray[np.float32] | np.float32: ...

@overload
def nll_loss_and_grad(
    log_probs: _UnknownLike, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, reduction: str = "mean",
    out: NDArray[_NoDtype] | None = None,
) -> tuple[_UnknownResult, NDArray[Any]]: ...
@overload
def nll_loss_and_grad(
    log_probs: _Float64Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, reduction: Literal["mean", "sum"] = "mean",
    out: _Out64 | None = None,
) -> tuple[np.float64, _Out64]: ...
@overload
def nll_loss_and_grad(
    log_probs: _Float32Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, reduction: Literal["mean", "sum"] = "mean",
    out: _Out32 | None = None,
) -> tuple[np.float32, _Out32]: ...
@overload
def nll_loss_and_grad(
    log_probs: _Float16Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, reduction: Literal["mean", "sum"] = "mean",
    out: _Out16 | None = None,
) -> tuple[np.float32, _Out16]: ...
@overload
def nll_loss_and_grad(
    log_probs: _Float64Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, reduction: Literal["none"],
    out: _Out64 | None = None,
) -> tuple[NDArray[np.float64], _Out64]: ...
@overload
def nll_loss_and_grad(
    log_probs: _Float32Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, reduction: Literal["none"],
    out: _Out32 | None = None,
) -> tuple[NDArray[np.float32], _Out32]: ...
@overload
def nll_loss_and_grad(
    log_probs: _Float16Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, reduction: Literal["none"],
    out: _Out16 | None = None,
) -> tuple[NDArray[np.float32], _Out16]: ...
@overload
def nll_loss_and_grad(
    log_probs: _Float64Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, reduction: str, out: _Out64 | None = None,
) -> tuple[NDArray[np.float64] | np.float64, _Out64]: ...
@overload
def nll_loss_and_grad(
    log_probs: _Float32Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, reduction: str, out: _Out32 | None = None,
) -> tuple[NDArray[np.float32] | np.float32, _Out32]: ...
@overload
def nll_loss_and_grad(
    log_probs: _Float16Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, reduction: str, out: _Out16 | None = None,
) -> tuple[NDArray[np.float32] | np.float32, _Out16]: ...

@overload
def categorical_cross_entropy(
    probs: _UnknownLike, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, eps: float = 0.0,
    reduction: str = "mean",
) -> _UnknownResult: ...
@overload
def categorical_cross_entropy(
    probs: _Float64Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, eps: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean",
) -> np.float64: ...
@overload
def categorical_cross_entropy(
    probs: _SingleLike, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, eps: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean",
) -> np.float32: ...
@overload
def categorical_cross_entropy(
    probs: _Float64Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, eps: float = 0.0, reduction: Literal["none"],
) -> NDArray[np.float64]: ...
@overload
def categorical_cross_entropy(
    probs: _SingleLike, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, eps: float = 0.0, reduction: Literal["none"],
) -> NDArray[np.float32]: ...
@overload
def categorical_cross_entropy(
    probs: _Float64Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, eps: float = 0.0, reduction: str,
) -> NDArray[np.float64] | np.float64: ...
@overload
def categorical_cross_entropy(
    probs: _SingleLike, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, eps: float = 0.0, reduction: str,
) -> NDArray[np.float32] | np.float32: ...

@overload
def categorical_cross_entropy_and_grad(
    probs: _UnknownLike, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, eps: float = 0.0,
    reduction: str = "mean", out: NDArray[_NoDtype] | None = None,
) -> tuple[_UnknownResult, NDArray[Any]]: ...
@overload
def categorical_cross_entropy_and_grad(
    probs: _Float64Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, eps: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean", out: _Out64 | None = None,
) -> tuple[np.float64, _Out64]: ...
@overload
def categorical_cross_entropy_and_grad(
    probs: _Float32Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, eps: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean", out: _Out32 | None = None,
) -> tuple[np.float32, _Out32]: ...
@overload
def categorical_cross_entropy_and_grad(
    probs: _Float16Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, eps: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean", out: _Out16 | None = None,
) -> tuple[np.float32, _Out16]: ...
@overload
def categorical_cross_entropy_and_grad(
    probs: _Float64Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, eps: float = 0.0, reduction: Literal["none"],
    out: _Out64 | None = None,
) -> tuple[NDArray[np.float64], _Out64]: ...
@overload
def categorical_cross_entropy_and_grad(
    probs: _Float32Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, eps: float = 0.0, reduction: Literal["none"],
    out: _Out32 | None = None,
) -> tuple[NDArray[np.float32], _Out32]: ...
@overload
def categorical_cross_entropy_and_grad(
    probs: _Float16Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, eps: float = 0.0, reduction: Literal["none"],
    out: _Out16 | None = None,
) -> tuple[NDArray[np.float32], _Out16]: ...
@overload
def categorical_cross_entropy_and_grad(
    probs: _Float64Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, eps: float = 0.0, reduction: str,
    out: _Out64 | None = None,
) -> tuple[NDArray[np.float64] | np.float64, _Out64]: ...
@overload
def categorical_cross_entropy_and_grad(
    probs: _Float32Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, eps: float = 0.0, reduction: str,
    out: _Out32 | None = None,
) -> tuple[NDArray[np.float32] | np.float32, _Out32]: ...
@overload
def categorical_cross_entropy_and_grad(
    probs: _Float16Like, targets: ArrayLike, *, axis: SupportsIndex = -1,
    weight: ArrayLike | None = None, sample_weight: ArrayLike | None = None,
    ignore_index: SupportsIndex | None = None, eps: float = 0.0, reduction: str,
    out: _Out16 | None = None,
) -> tuple[NDArray[np.float32] | np.float32, _Out16]: ...

@overload
def binary_cross_entropy(
    probs: _UnknownLike, targets: ArrayLike, *, weight: ArrayLike | None = None, eps: float = 0.0,
    reduction: str = "mean",
) -> _UnknownResult: ...
@overload
def binary_cross_entropy(
    probs: _Float64Like, targets: ArrayLike, *, weight: ArrayLike | None = None, eps: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean",
) -> np.float64: ...
@overload
def binary_cross_entropy(
    probs: _SingleLike, targets: ArrayLike, *, weight: ArrayLike | None = None, eps: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean",
) -> np.float32: ...
@overload
def binary_cross_entropy(
    probs: _Float64Like, targets: ArrayLike, *, weight: ArrayLike | None = None, eps: float = 0.0,
    reduction: Literal["none"],
) -> NDArray[np.float64]: ...
@overload
def binary_cross_entropy(
    probs: _SingleLike, targets: ArrayLike, *, weight: ArrayLike | None = None, eps: float = 0.0,
    reduction: Literal["none"],
) -> NDArray[np.float32]: ...
@overload
def binary_cross_entropy(
    probs: _Float64Like, targets: ArrayLike, *, weight: ArrayLike | None = None, eps: float = 0.0,
    reduction: str,
) -> NDArray[np.float64] | np.float64: ...
@overload
def binary_cross_entropy(
    probs: _SingleLike, targets: ArrayLike, *, weight: ArrayLike | None = None, eps: float = 0.0,
    reduction: str,
) -> NDArray[np.float32] | np.float32: ...

@overload
def binary_cross_entropy_and_grad(
    probs: _UnknownLike, targets: ArrayLike, *, weight: ArrayLike | None = None, eps: float = 0.0,
    reduction: str = "mean", out: NDArray[_NoDtype] | None = None,
) -> tuple[_UnknownResult, NDArray[Any]]: ...
@overload
def binary_cross_entropy_and_grad(
    probs: _Float64Like, targets: ArrayLike, *, weight: ArrayLike | None = None, eps: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean", out: _Out64 | None = None,
) -> tuple[np.float64, _Out64]: ...
@overload
def binary_cross_entropy_and_grad(
    probs: _Float32Like, targets: ArrayLike, *, weight: ArrayLike | None = None, eps: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean", out: _Out32 | None = None,
) -> tuple[np.float32, _Out32]: ...
@overload
def binary_cross_entropy_and_grad(
    probs: _Float16Like, targets: ArrayLike, *, weight: ArrayLike | None = None, eps: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean", out: _Out16 | None = None,
) -> tuple[np.float32, _Out16]: ...
@overload
def binary_cross_entropy_and_grad(
    probs: _Float64Like, targets: ArrayLike, *, weight: ArrayLike | None = None, eps: float = 0.0,
    reduction: Literal["none"], out: _Out64 | None = None,
) -> tuple[NDArray[np.float64], _Out64]: ...
@overload
def binary_cross_entropy_and_grad(
    probs: _Float32Like, targets: ArrayLike, *, weight: ArrayLike | None = None, eps: float = 0.0,
    reduction: Literal["none"], out: _Out32 | None = None,
) -> tuple[NDArray[np.float32], _Out32]: ...
@overload
def binary_cross_entropy_and_grad(
    probs: _Float16Like, targets: ArrayLike, *, weight: ArrayLike | None = None, eps: float = 0.0,
    reduction: Literal["none"], out: _Out16 | None = None,
) -> tuple[NDArray[np.float32], _Out16]: ...
@overload
def binary_cross_entropy_and_grad(
    probs: _Float64Like, targets: ArrayLike, *, weight: ArrayLike | None = None, eps: float = 0.0,
    reduction: str, out: _Out64 | None = None,
) -> tuple[NDArray[np.float64] | np.float64, _Out64]: ...
@overload
def binary_cross_entropy_and_grad(
    probs: _Float32Like, targets: ArrayLike, *, weight: ArrayLike | None = None, eps: float = 0.0,
    reduction: str, out: _Out32 | None = None,
) -> tuple[NDArray[np.float32] | np.float32, _Out32]: ...
@overload
def binary_cross_entropy_and_grad(
    probs: _Float16Like, targets: ArrayLike, *, weight: ArrayLike | None = None, eps: float = 0.0,
    reduction: str, out: _Out16 | None = None,
) -> tuple[NDArray[np.float32] | np.float32, _Out16]: ...

@overload
def binary_cross_entropy_with_logits(
    logits: _UnknownLike, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: str = "mean",
) -> _UnknownResult: ...
@overload
def binary_cross_entropy_with_logits(
    logits: _Float64Like, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: Literal["mean", "sum"] = "mean",
) -> np.float64: ...
@overload
def binary_cross_entropy_with_logits(
    logits: _SingleLike, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: Literal["mean", "sum"] = "mean",
) -> np.float32: ...
@overload
def binary_cross_entropy_with_logits(
    logits: _Float64Like, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: Literal["none"],
) -> NDArray[np.float64]: ...
@overload
def binary_cross_entropy_with_logits(
    logits: _SingleLike, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: Literal["none"],
) -> NDArray[np.float32]: ...
@overload
def binary_cross_entropy_with_logits(
    logits: _Float64Like, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: str,
) -> NDArray[np.float64] | np.float64: ...
@overload
def binary_cross_entropy_with_logits(
    logits: _SingleLike, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: str,
) -> NDArray[np.float32] | np.float32: ...

@overload
def binary_cross_entropy_with_logits_and_grad(
    logits: _UnknownLike, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: str = "mean",
    out: NDArray[_NoDtype] | None = None,
) -> tuple[_UnknownResult, NDArray[Any]]: ...
@overload
def binary_cross_entropy_with_logits_and_grad(
    logits: _Float64Like, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: Literal["mean", "sum"] = "mean",
    out: _Out64 | None = None,
) -> tuple[np.float64, _Out64]: ...
@overload
def binary_cross_entropy_with_logits_and_grad(
    logits: _Float32Like, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: Literal["mean", "sum"] = "mean",
    out: _Out32 | None = None,
) -> tuple[np.float32, _Out32]: ...
@overload
def binary_cross_entropy_with_logits_and_grad(
    logits: _Float16Like, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: Literal["mean", "sum"] = "mean",
    out: _Out16 | None = None,
) -> tuple[np.float32, _Out16]: ...
@overload
def binary_cross_entropy_with_logits_and_grad(
    logits: _Float64Like, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: Literal["none"], out: _Out64 | None = None,
) -> tuple[NDArray[np.float64], _Out64]: ...
@overload
def binary_cross_entropy_with_logits_and_grad(
    logits: _Float32Like, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: Literal["none"], out: _Out32 | None = None,
) -> tuple[NDArray[np.float32], _Out32]: ...
@overload
def binary_cross_entropy_with_logits_and_grad(
    logits: _Float16Like, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: Literal["none"], out: _Out16 | None = None,
) -> tuple[NDArray[np.float32], _Out16]: ...
@overload
def binary_cross_entropy_with_logits_and_grad(
    logits: _Float64Like, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: str, out: _Out64 | None = None,
) -> tuple[NDArray[np.float64] | np.float64, _Out64]: ...
@overload
def binary_cross_entropy_with_logits_and_grad(
    logits: _Float32Like, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: str, out: _Out32 | None = None,
) -> tuple[NDArray[np.float32] | np.float32, _Out32]: ...
@overload
def binary_cross_entropy_with_logits_and_grad(
    logits: _Float16Like, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: str, out: _Out16 | None = None,
) -> tuple[NDArray[np.float32] | np.float32, _Out16]: ...

@overload
def binary_cross_entropy_with_logits_and_grad_hess(
    logits: _UnknownLike, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: str = "mean",
    out: _Pair[NDArray[_NoDtype], NDArray[_NoDtype]] | None = None,
) -> tuple[_UnknownResult, NDArray[Any], NDArray[Any]]: ...
@overload
def binary_cross_entropy_with_logits_and_grad_hess(
    logits: _Float64Like, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: Literal["mean", "sum"] = "mean",
    out: _Pair[_Out64, _Out64Hess] | None = None,
) -> tuple[np.float64, _Out64, _Out64Hess]: ...
@overload
def binary_cross_entropy_with_logits_and_grad_hess(
    logits: _Float32Like, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: Literal["mean", "sum"] = "mean",
    out: _Pair[_Out32, _Out32Hess] | None = None,
) -> tuple[np.float32, _Out32, _Out32Hess]: ...
@overload
def binary_cross_entropy_with_logits_and_grad_hess(
    logits: _Float16Like, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: Literal["mean", "sum"] = "mean",
    out: _Pair[_Out16, _Out16Hess] | None = None,
) -> tuple[np.float32, _Out16, _Out16Hess]: ...
@overload
def binary_cross_entropy_with_logits_and_grad_hess(
    logits: _Float64Like, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: Literal["none"],
    out: _Pair[_Out64, _Out64Hess] | None = None,
) -> tuple[NDArray[np.float64], _Out64, _Out64Hess]: ...
@overload
def binary_cross_entropy_with_logits_and_grad_hess(
    logits: _Float32Like, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: Literal["none"],
    out: _Pair[_Out32, _Out32Hess] | None = None,
) -> tuple[NDArray[np.float32], _Out32, _Out32Hess]: ...
@overload
def binary_cross_entropy_with_logits_and_grad_hess(
    logits: _Float16Like, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: Literal["none"],
    out: _Pair[_Out16, _Out16Hess] | None = None,
) -> tuple[NDArray[np.float32], _Out16, _Out16Hess]: ...
@overload
def binary_cross_entropy_with_logits_and_grad_hess(
    logits: _Float64Like, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: str,
    out: _Pair[_Out64, _Out64Hess] | None = None,
) -> tuple[NDArray[np.float64] | np.float64, _Out64, _Out64Hess]: ...
@overload
def binary_cross_entropy_with_logits_and_grad_hess(
    logits: _Float32Like, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: str,
    out: _Pair[_Out32, _Out32Hess] | None = None,
) -> tuple[NDArray[np.float32] | np.float32, _Out32, _Out32Hess]: ...
@overload
def binary_cross_entropy_with_logits_and_grad_hess(
    logits: _Float16Like, targets: ArrayLike, *, weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None, reduction: str,
    out: _Pair[_Out16, _Out16Hess] | None = None,
) -> tuple[NDArray[np.float32] | np.float32, _Out16, _Out16Hess]: ...

@overload
def linear(
    x: _UnknownLike, weight: ArrayLike, bias: ArrayLike | None = None,
) -> NDArray[Any]: ...
@overload
def linear(
    x: _Float64Like, weight: ArrayLike, bias: ArrayLike | None = None,
) -> NDArray[np.float64]: ...
@overload
def linear(
    x: _Float32Like, weight: ArrayLike, bias: ArrayLike | None = None,
) -> NDArray[np.float32]: ...
@overload
def linear(
    x: _Float16Like, weight: ArrayLike, bias: ArrayLike | None = None,
) -> NDArray[np.float16]: ...

@overload
def top_k(
    x: _UnknownLike, k: SupportsIndex, axis: SupportsIndex = -1,
) -> tuple[NDArray[Any], NDArray[np.int64]]: ...
@overload
def top_k(
    x: _Float64Like, k: SupportsIndex, axis: SupportsIndex = -1,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]: ...
@overload
def top_k(
    x: _Float32Like, k: SupportsIndex, axis: SupportsIndex = -1,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]: ...
@overload
def top_k(
    x: _Float16Like, k: SupportsIndex, axis: SupportsIndex = -1,
) -> tuple[NDArray[np.float16], NDArray[np.int64]]: ...

def accuracy(
    scores: _Float64Like | _SingleLike, targets: ArrayLike, *, k: SupportsIndex = 1,
    axis: SupportsIndex = -1, ignore_index: SupportsIndex | None = None,
) -> np.float64: ...
def perplexity(
    logits: _Float64Like | _SingleLike, targets: ArrayLike, *, axis: SupportsIndex = -1,
    ignore_index: SupportsIndex | None = None,
) -> np.float64: ...

def set_num_threads(n: SupportsIndex) -> None: ...
def get_num_threads() -> int: ...
def simd_level() -> Literal["fallback", "sse4.2", "avx2", "avx512", "neon"]: ...

# For logitkit's own modules: summaries of rows, and exact sums.
def row_summaries(
    scores: NDArray[Any], targets: NDArray[np.int64], ignored: int | None, from_probs: bool
) -> NDArray[np.float64]: ...
def merged_summaries(
    one: NDArray[np.float64], other: NDArray[np.float64]
) -> NDArray[np.float64]: ...
def softmax_given(
    x: NDArray[Any], summaries: NDArray[np.float64], log: bool
) -> NDArray[Any]: ...
def tempered(
    logits: NDArray[Any], targets: NDArray[np.int64], ignored: int | None, inverse: float
) -> NDArray[np.float64]: ...
def exact_sums(
    values: NDArray[np.float64], groups: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], bytes, NDArray[np.float64]]: ...
