"""logitkit.torch in a training loop: gradients and their memory, the compiler, other processes.

Values are in test_torch_losses.py.
"""

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional

import logitkit  # noqa: E402 - it comes with what needs torch
from logitkit import _memory  # noqa: E402
from logitkit import torch as logitkit_torch  # noqa: E402
from logitkit.torch import _autograd  # noqa: E402

TARGET = torch.tensor([0, 2, 1, 1, 0])
SHARES = torch.arange(15, dtype=torch.float64).reshape(5, 3).sin().softmax(1)
CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "mean": lambda module, x: module.cross_entropy(x, TARGET),
    "none": lambda module, x: module.cross_entropy(x, TARGET, reduction="none"),
    "options": lambda module, x: module.cross_entropy(
        x, TARGET, torch.arange(1, 4).to(x), ignore_index=1, label_smoothing=0.1
    ),
    "soft": lambda module, x: module.cross_entropy(x, SHARES.to(x)),
    "binary": lambda module, x: module.binary_cross_entropy_with_logits(
        x, SHARES.to(x), reduction="none"
    ),
    "softmax": lambda module, x: module.softmax(x, 0),
    "log_softmax": lambda module, x: module.log_softmax(x, 1),
}
by_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def leaf(dtype: Any = None, shape: tuple[int, ...] = (5, 3)) -> Any:  # noqa: ANN401 - a tensor
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator, dtype=dtype or torch.float64).requires_grad_()


@pytest.fixture
def scaled_places(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Where the gradients lie that the backward pass gets."""
    places: list[int] = []
    scaled = _autograd._scaled  # noqa: SLF001 - what the forward pass made is seen nowhere else

    def spy(grad: Any, *arguments: Any) -> Any:  # noqa: ANN401
        places.append(grad.data_ptr())
        return scaled(grad, *arguments)

    monkeypatch.setattr(_autograd, "_scaled", spy)
    yield places
    assert places


# Gradients


@by_call
def test_gradients_are_those_of_finite_differences(call: Callable[[Any, Any], Any]) -> None:
    assert torch.autograd.gradcheck(lambda x: call(logitkit_torch, x), leaf())


@pytest.mark.parametrize("factor", [1, 3])
def test_the_gradient_is_handed_over(scaled_places: list[int], factor: int) -> None:
    """Nothing of its size is made on the way back."""
    for call in (CALLS["mean"], CALLS["none"], CALLS["binary"]):
        logits = leaf()
        loss = call(logitkit_torch, logits)
        (loss if factor == 1 else factor * loss).sum().backward()
        assert logits.grad.data_ptr() == scaled_places[-1]
        # What changes a tensor is counted; a factor of 1 does not.
        assert logits.grad._version == (factor != 1)  # noqa: SLF001
        want = leaf()
        (factor * call(F, want)).sum().backward()
        torch.testing.assert_close(logits.grad, want.grad)


@by_call
def test_a_graph_that_is_kept(call: Callable[[Any, Any], Any]) -> None:
    """Neither scaling nor writing to what came back may change what comes back next."""
    logits = leaf()
    result = 2 * call(logitkit_torch, logits)
    ones = torch.linspace(1, 2, result.numel()).to(result).view_as(result)
    first, second = (
        torch.autograd.grad(result, logits, ones, retain_graph=True)[0] for _ in range(2)
    )
    copy = first.clone()
    first.zero_()
    (third,) = torch.autograd.grad(result, logits, ones)
    assert torch.equal(copy, second)
    assert torch.equal(copy, third)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(result, logits, ones)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_scaled_loss_in_half_precision(dtype: Any) -> None:  # noqa: ANN401
    """The mean's own gradient is below the smallest normal number of float16."""
    logits = torch.zeros(65536, 10, dtype=dtype, requires_grad=True)
    target = torch.zeros(65536, dtype=torch.long)
    weight = torch.arange(2, 12).to(dtype)
    for options in ({}, {"weight": weight}, {"ignore_index": 1}):
        logits.grad = None
        (logitkit_torch.cross_entropy(logits, target, **options).float() * 65536 / 3).backward()
        assert logits.grad[7].tolist() == pytest.approx([-0.9 / 3, *[0.1 / 3] * 9], rel=0.008)
    logits.grad = None
    shares = torch.full_like(logits, 0.4)
    loss = logitkit_torch.binary_cross_entropy_with_logits(logits, shares)
    (loss.float() * 49152).backward()
    assert logits.grad[7].tolist() == pytest.approx([0.0075] * 10, rel=0.008)


@by_call
def test_a_second_derivative_is_an_error(call: Callable[[Any, Any], Any]) -> None:
    logits = leaf()
    (grad,) = torch.autograd.grad(call(logitkit_torch, logits).sum(), logits, create_graph=True)
    want = leaf()
    torch.testing.assert_close(grad, torch.autograd.grad(call(F, want).sum(), want)[0])
    with pytest.raises(NotImplementedError, match="a second derivative was asked for"):
        grad.square().sum().backward()


@pytest.mark.parametrize("place", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_only_the_loss_where_no_gradient_is_wanted(
    place: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cross_entropy_and_grad", "binary_cross_entropy_with_logits_and_grad"):
        monkeypatch.delattr(logitkit, name)
    logits = leaf()
    with place():
        if place is torch.enable_grad:
            logits = logits.detach()
        for name in ("mean", "none", "binary", "softmax"):
            result = CALLS[name](logitkit_torch, logits)
            assert not result.requires_grad
            torch.testing.assert_close(result, CALLS[name](F, logits))


# The memory of large gradients


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_memory_is_used_again_when_it_is_free(dtype: Any) -> None:  # noqa: ANN401
    rows = _memory.LEAST_BYTES // 1024 * 8 // torch.finfo(dtype).bits
    logits = torch.zeros(rows, 1024, dtype=dtype, requires_grad=True)
    target = torch.zeros(rows, dtype=torch.long)

    def grad() -> Any:  # noqa: ANN401
        logits.grad = None
        logitkit_torch.cross_entropy(logits, target, reduction="sum").backward()
        assert logits.grad[-1, -1].item() == pytest.approx(1 / 1024, rel=0.01)
        return logits.grad

    first = grad()
    place = first.data_ptr()
    held = (
        first.view(-1)[:5],
        first.view(torch.int16),
        first.numpy(force=True) if dtype is (torch.float32) else first[1:],
    )
    del first
    for one in held:
        assert one.data_ptr() if isinstance(one, torch.Tensor) else one.size
    assert grad().data_ptr() != place
    del held, one
    logits.grad = None
    assert place in {grad().data_ptr(), grad().data_ptr()}


# The compiler


@pytest.mark.filterwarnings("default")  # the compiler's own
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled(backend: str, dtype: Any) -> None:  # noqa: ANN401
    if backend == "inductor" and dtype is not torch.float32:
        pytest.skip("what the operators do does not depend on the backend")

    def step(module: Any, x: Any) -> Any:  # noqa: ANN401
        return sum((n + 1) * call(module, 2 * x).sum() for n, call in enumerate(CALLS.values()))

    ours, theirs = leaf(dtype), leaf(dtype)
    compiled = torch.compile(lambda x: step(logitkit_torch, x), fullgraph=True, backend=backend)
    loss, want = compiled(ours), step(logitkit_torch, theirs)
    torch.testing.assert_close(loss, want)
    loss.backward()
    want.backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    with torch.no_grad():
        torch.testing.assert_close(compiled(ours), want)


@pytest.mark.parametrize("layout", [lambda x: x, lambda x: x.t().contiguous().t()])
def test_the_operators_keep_their_promises(layout: Callable[[Any], Any]) -> None:
    """Schema, fake kernel and recorded gradient, by torch's own check."""
    x = layout(leaf().detach()).requires_grad_()
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    for dtype in (torch.float64, torch.float16):
        one = x.detach().to(dtype).requires_grad_()
        for reduction, with_grad in (("mean", True), ("none", True), ("sum", False)):
            for call, arguments in (
                ("cross_entropy", (TARGET, None, 1, reduction, 0.1, with_grad)),
                (
                    "binary_cross_entropy_with_logits",
                    (one.detach().sigmoid(), None, reduction, None, with_grad),
                ),
            ):
                operator = getattr(torch.ops.logitkit, call).default
                torch.library.opcheck(operator, (one, *arguments), test_utils=checks)
        torch.library.opcheck(torch.ops.logitkit.softmax.default, (one, 0, True), test_utils=checks)


# Elsewhere


class Losses:
    """A loss, computed by whoever loads it."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:  # noqa: ANN401
        logits = torch.full((700, 1000), float(index), requires_grad=True)
        loss = logitkit_torch.cross_entropy(logits, torch.arange(700))
        loss.backward()
        return loss.detach(), logits.grad[0, 0].item()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_in_workers_that_load_data() -> None:
    here = Losses()[0]  # starts threads, which workers do not inherit
    for loss, grad in torch.utils.data.DataLoader(Losses(), num_workers=2, batch_size=4):
        assert torch.equal(loss, here[0].expand(4))
        assert grad.tolist() == [here[1]] * 4


def test_the_module_pickles() -> None:
    criterion = logitkit_torch.CrossEntropyLoss(torch.tensor([1.0, 2.0, 3.0]), reduction="sum")
    other = pickle.loads(pickle.dumps(criterion))  # noqa: S301 - it was made the line before
    logits = leaf(torch.float32)
    assert torch.equal(criterion(logits, TARGET), other(logits, TARGET))


def test_training_goes_as_with_torch() -> None:
    found = []
    for criterion in (logitkit_torch.CrossEntropyLoss(), torch.nn.CrossEntropyLoss()):
        torch.manual_seed(0)
        model = torch.nn.Linear(4, 3).double()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        inputs = torch.randn(5, 4, dtype=torch.float64)
        for _ in range(10):
            optimizer.zero_grad()
            loss = criterion(model(inputs), TARGET)
            loss.backward()
            optimizer.step()
        found.append(loss.item())
    assert found[0] == pytest.approx(found[1], rel=1e-12)
