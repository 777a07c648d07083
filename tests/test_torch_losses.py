"""The functions of logitkit.torch: values, dtypes, rules and errors beside torch's own.

Numbers are checked against the plain Python reference, rules against torch.nn.functional. What
autograd, the compiler and other processes make of them is in test_torch_training.py.
"""

import itertools
from typing import Any

import numpy as np
import pytest

from tests import reference
from tests.support import REDUCTIONS, by_reduction, rng_of

torch = pytest.importorskip("torch")
F = torch.nn.functional

from logitkit import torch as logitkit_torch  # noqa: E402 - it needs torch

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
SHAPES = [(5,), (7, 5), (3, 5, 4), (2, 5, 3, 4), (1, 1), (300, 3), (0, 5), (2, 5, 0)]
by_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype)[6:])


def logits_of(*shape: int, dtype: Any = None) -> Any:  # noqa: ANN401 - a tensor
    values = torch.from_numpy(np.asarray(rng_of(shape).normal(size=shape) * 3))
    return values.to(dtype or torch.float64).requires_grad_()


def indices_of(logits: Any) -> Any:  # noqa: ANN401
    axis = 1 if logits.dim() > 1 else 0
    shape = tuple(size for place, size in enumerate(logits.shape) if place != axis)
    return torch.from_numpy(np.asarray(rng_of(shape, 1).integers(logits.shape[axis], size=shape)))


def both(name: str, logits: Any, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
    """Compare loss, gradient and dtypes with torch's, for an incoming gradient that is not 1."""
    found = []
    for module in (logitkit_torch, F):
        logits.grad = None
        loss = getattr(module, name)(logits, *arguments, **options)
        loss.backward(
            torch.linspace(0.5, 2, max(loss.numel(), 1)).to(loss)[: loss.numel()].view_as(loss)
        )
        found.append((loss.detach(), logits.grad))
    for ours, theirs in zip(*found, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        # torch rounds to the dtype at every step on the way, and so is less accurate.
        slack = 30 * torch.finfo(logits.dtype).eps
        torch.testing.assert_close(ours, theirs, rtol=slack, atol=slack, equal_nan=True)


# Numbers


@by_reduction
@pytest.mark.parametrize("options", [{}, {"weight": True}, {"label_smoothing": 0.2}])
def test_cross_entropy_is_that_of_the_reference(reduction: str, options: dict[str, Any]) -> None:
    logits = logits_of(11, 4)
    target = indices_of(logits)
    target[3] = -100
    if "weight" in options:
        options = {"weight": torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64)}
    loss = logitkit_torch.cross_entropy(logits, target, reduction=reduction, **options)
    loss.sum().backward()
    want, grad = reference.cross_entropy_and_grad(
        logits.tolist(),
        target.tolist(),
        ignore_index=-100,
        reduction=reduction,
        **{key: getattr(value, "tolist", lambda v=value: v)() for key, value in options.items()},
    )
    np.testing.assert_allclose(loss.detach(), want, rtol=1e-14)
    np.testing.assert_allclose(logits.grad, grad, rtol=1e-13, atol=1e-16)


@by_reduction
def test_binary_cross_entropy_is_that_of_the_reference(reduction: str) -> None:
    logits = logits_of(9)
    target, weight, positive = (torch.from_numpy(rng_of(n).uniform(size=9)) for n in range(3))
    loss = logitkit_torch.binary_cross_entropy_with_logits(
        logits, target, weight, reduction, positive
    )
    loss.sum().backward()
    want, grad = reference.binary_cross_entropy_with_logits_and_grad(
        logits.tolist(),
        target.tolist(),
        weight=weight.tolist(),
        pos_weight=positive.tolist(),
        reduction=reduction,
    )
    np.testing.assert_allclose(loss.detach(), want, rtol=1e-14)
    np.testing.assert_allclose(logits.grad, grad, rtol=1e-13, atol=1e-15)


def test_a_confident_row_keeps_its_small_loss() -> None:
    logits = torch.tensor([[30.0, 0.0]], requires_grad=True)
    loss = logitkit_torch.cross_entropy(logits, torch.tensor([0]))
    loss.backward()
    assert loss.item() == pytest.approx(9.3576e-14, rel=1e-4)
    assert logits.grad[0, 0].item() == pytest.approx(-9.3576e-14, rel=1e-4)


# The rules of torch


@by_dtype
@by_reduction
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_class_indices(dtype: Any, reduction: str, shape: tuple[int, ...]) -> None:  # noqa: ANN401
    logits = logits_of(*shape, dtype=dtype)
    target = indices_of(logits)
    weight = torch.linspace(0.5, 2, logits.shape[1 if logits.dim() > 1 else 0]).to(dtype)
    for smoothing, one in itertools.product((0.0, 0.1), (None, weight)):
        both(
            "cross_entropy",
            logits,
            target,
            weight=one,
            reduction=reduction,
            label_smoothing=smoothing,
        )
    both("cross_entropy", logits, target, reduction=reduction, ignore_index=0)


@by_dtype
@by_reduction
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_probabilities(dtype: Any, reduction: str, shape: tuple[int, ...]) -> None:  # noqa: ANN401
    logits = logits_of(*shape, dtype=dtype)
    axis = 1 if logits.dim() > 1 else 0
    target = torch.softmax(logits.detach().flip(axis), axis)
    weight = torch.linspace(0.5, 2, logits.shape[axis]).to(dtype)
    both("cross_entropy", logits, target, reduction=reduction)
    both("cross_entropy", logits, target, weight, reduction=reduction, label_smoothing=0.1)


@by_dtype
@by_reduction
def test_binary_targets(dtype: Any, reduction: str) -> None:  # noqa: ANN401
    name = "binary_cross_entropy_with_logits"
    for shape in ((), (6,), (4, 5), (0, 3)):
        logits = logits_of(*shape, dtype=dtype)
        target = torch.from_numpy(np.asarray(rng_of(shape).uniform(size=shape))).to(dtype)
        both(name, logits, target, reduction=reduction)
    weight, positive = target.new_full((3,), 0.5), target.new_tensor([0.5, 1.0, 2.0])
    both(name, logits, target, weight, reduction=reduction, pos_weight=positive)


@by_reduction
@pytest.mark.parametrize("dtype", DTYPES[:3], ids=["f32", "f64", "f16"])
def test_binary_targets_need_not_be_probabilities(reduction: str, dtype: Any) -> None:  # noqa: ANN401
    logits = logits_of(4, dtype=dtype)
    target = torch.tensor([-0.5, 0.0, 1.0, 3.0], dtype=dtype)
    options = {
        "weight": torch.full((4,), 0.5).to(dtype),
        "pos_weight": torch.full((4,), 2.0).to(dtype),
    }
    both("binary_cross_entropy_with_logits", logits, target, reduction=reduction, **options)
    with torch.no_grad():
        loss = logitkit_torch.binary_cross_entropy_with_logits(logits, target, reduction=reduction)
    want = F.binary_cross_entropy_with_logits(logits, target, reduction=reduction)
    torch.testing.assert_close(loss, want.detach())


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@by_dtype
def test_softmax(name: str, dtype: Any) -> None:  # noqa: ANN401
    for shape, dim in (
        ((4, 5), 1),
        ((4, 5), 0),
        ((3, 4, 5), -2),
        ((), 0),
        ((0, 3), 1),
        ((3, 0), 1),
    ):
        logits = logits_of(*shape, dtype=dtype)
        both(name, logits, dim)
        both(name, logits.detach().requires_grad_(), dim=dim)


@pytest.mark.parametrize(
    "logits, target, options",
    [
        (torch.zeros(0, 5), torch.zeros(0, dtype=torch.long), {}),
        (torch.zeros(0, 5), torch.zeros(0, 5), {}),
        (torch.ones(2, 5), torch.tensor([-100, -100]), {}),
        (torch.ones(2, 5), torch.tensor([-100, -100]), {"label_smoothing": 0.1}),
        (torch.ones(5), torch.tensor(3), {}),
        (torch.ones(5), torch.full((5,), 0.2), {}),
        (torch.ones(2, 5), torch.tensor([1, 3], dtype=torch.uint8), {}),
        (torch.ones(2, 5), torch.full((2, 5), 0.2, dtype=torch.float64), {}),
        (torch.tensor([[torch.inf, 0.0]]), torch.tensor([0]), {}),
        (torch.tensor([[-torch.inf, 0.0]]), torch.tensor([0]), {}),
        (torch.tensor([[torch.nan, 0.0], [1.0, 0.0]]), torch.tensor([0, 1]), {}),
    ],
)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_what_is_not_an_ordinary_batch(
    logits: Any,  # noqa: ANN401
    target: Any,  # noqa: ANN401
    options: dict[str, Any],
    reduction: str,
) -> None:
    both("cross_entropy", logits.clone().requires_grad_(), target, reduction=reduction, **options)
    with torch.no_grad():
        loss = logitkit_torch.cross_entropy(logits, target, reduction=reduction, **options)
        want = F.cross_entropy(logits, target, reduction=reduction, **options)
    torch.testing.assert_close(loss, want, equal_nan=True)


@by_reduction
def test_one_row_whose_target_is_a_list_of_one(reduction: str) -> None:
    """Torch gives the loss, too, but no gradient."""
    logits = torch.arange(5.0, requires_grad=True)
    target = torch.tensor([3])
    loss = logitkit_torch.cross_entropy(logits, target, reduction=reduction)
    torch.testing.assert_close(loss, F.cross_entropy(logits, target, reduction=reduction))
    loss.backward()
    torch.testing.assert_close(logits.grad, torch.softmax(logits, 0).detach() - torch.eye(5)[3])


def test_weights_that_sum_to_zero() -> None:
    """The mean is NaN, but there is no gradient, where torch gives NaN."""
    for dtype in DTYPES:
        logits = torch.ones(2, 3, dtype=dtype, requires_grad=True)
        weight = torch.tensor([0, 1, 1]).to(dtype)
        loss = logitkit_torch.cross_entropy(logits, torch.tensor([0, 0]), weight)
        loss.backward()
        assert loss.isnan()
        assert not logits.grad.any()


def test_any_strides() -> None:
    logits = logits_of(4, 6).detach()
    for one in (logits.t().requires_grad_(), logits[:, ::2].requires_grad_()):
        leaf = one.detach().requires_grad_()
        both("cross_entropy", leaf, indices_of(leaf))
        both("softmax", leaf, 1)
    wide = torch.zeros(1, 3).expand(5, 3).requires_grad_()
    loss = logitkit_torch.cross_entropy(wide, torch.zeros(5, dtype=torch.long))
    assert loss.item() == pytest.approx(np.log(3))


def test_zero_at_an_infinite_logit_costs_nothing() -> None:
    """Here torch gives NaN."""
    logits = torch.tensor([[0.0, -torch.inf]])
    assert logitkit_torch.cross_entropy(logits, torch.tensor([[1.0, 0.0]])).item() == 0


# The module


def test_the_module_is_torchs() -> None:
    weight = torch.tensor([1.0, 2.0, 3.0])
    ours = logitkit_torch.CrossEntropyLoss(weight, 1, "sum", 0.1)
    theirs = torch.nn.CrossEntropyLoss(weight, None, 1, None, "sum", 0.1)
    assert isinstance(ours, torch.nn.CrossEntropyLoss)
    ours.load_state_dict(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    logits, target = logits_of(4, 3, dtype=torch.float32), torch.tensor([0, 1, 2, 2])
    torch.testing.assert_close(ours(logits, target), theirs(logits, target))


# Errors


@pytest.mark.parametrize(
    "arguments, options, error, message",
    [
        ((np.zeros((2, 3)), torch.tensor([0, 1])), {}, TypeError, "input is of type ndarray"),
        ((torch.zeros(2, 3), [0, 1]), {}, TypeError, "target is of type list"),
        ((torch.zeros(2, 3), torch.tensor([0])), {}, ValueError, r"target has shape \(1,\)"),
        ((torch.zeros(()), torch.tensor([0])), {}, ValueError, "no dimensions"),
        ((torch.zeros(2, 3), torch.zeros(2, 3).long()), {}, RuntimeError, "must be floats"),
        ((torch.zeros(2, 3), torch.zeros(2)), {}, RuntimeError, "which are integers"),
        ((torch.zeros(2, 3), torch.zeros(2, 3)), {"ignore_index": 0}, RuntimeError, "ignore_index"),
        ((torch.zeros(2, 3), torch.tensor([0, 3])), {}, IndexError, "3"),
        ((torch.zeros(2, 3), torch.tensor([0, -1])), {}, IndexError, "-1"),
        (
            (torch.zeros(2, 3).half(), torch.tensor([0, 3])),
            {"weight": torch.ones(3).half()},
            IndexError,
            "3",
        ),
        ((torch.zeros(2, 3), torch.tensor([0, 1])), {"reduction": "max"}, ValueError, "max"),
        ((torch.zeros(2, 3), torch.tensor([0, 1])), {"label_smoothing": 2.0}, ValueError, "2"),
        (
            (torch.zeros(2, 3), torch.tensor([0, 1])),
            {"weight": torch.ones(2)},
            ValueError,
            "weight",
        ),
        ((torch.zeros(2, 3).long(), torch.tensor([0, 1])), {}, NotImplementedError, "int64"),
        ((torch.zeros(2, 3, device="meta"), torch.tensor([0, 1])), {}, NotImplementedError, "meta"),
        (
            (torch.zeros(2, 3), torch.zeros(2, device="meta").long()),
            {},
            NotImplementedError,
            "target",
        ),
        ((torch.zeros(2, 3).to_sparse(), torch.tensor([0, 1])), {}, NotImplementedError, "sparse"),
        (
            (torch.zeros(2, 3), torch.zeros(2, 3, requires_grad=True)),
            {},
            NotImplementedError,
            "target requires a gradient",
        ),
        (
            (torch.zeros(2, 3), torch.tensor([0, 1])),
            {"weight": torch.ones(3, requires_grad=True)},
            NotImplementedError,
            "weight requires a gradient",
        ),
    ],
)
def test_errors_of_cross_entropy(
    arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    for leaf in (False, True):
        logits, target = arguments
        if leaf and isinstance(logits, torch.Tensor) and logits.is_floating_point():
            logits = logits.requires_grad_()
        with pytest.raises(error, match=message):
            logitkit_torch.cross_entropy(logits, target, **options)


def test_errors_of_the_others() -> None:
    with pytest.raises(ValueError, match=r"target has shape \(2,\), and input \(2, 3\)"):
        logitkit_torch.binary_cross_entropy_with_logits(torch.zeros(2, 3), torch.zeros(2))
    with pytest.raises(ValueError, match="weight"):
        logitkit_torch.binary_cross_entropy_with_logits(
            torch.zeros(3), torch.zeros(3), weight=torch.ones(2)
        )
    with pytest.raises(NotImplementedError, match="pos_weight requires a gradient"):
        logitkit_torch.binary_cross_entropy_with_logits(
            torch.zeros(3), torch.zeros(3), pos_weight=torch.ones(3, requires_grad=True)
        )
    with pytest.raises(IndexError, match=r"dim 2 is out of range .* \[-2, 1\]"):
        logitkit_torch.softmax(torch.zeros(2, 3), 2)
    with pytest.raises(NotImplementedError, match=r"torch\.nn\.functional\.log_softmax"):
        logitkit_torch.log_softmax(torch.zeros(2, 3).long(), 1)
