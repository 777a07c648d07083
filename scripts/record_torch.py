"""Records what torch computes, for tests/test_torch_cases.py, which does without torch.

Run as `.venv-bench/bin/python scripts/record_torch.py`, in the environment of `make bench`; it
writes tests/data/torch.json. All is in float64, on tiny arrays. Names are torch's own.
"""

import importlib
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

torch: Any = importlib.import_module("torch")
functional: Any = importlib.import_module("torch.nn.functional")

Tensor = Any
Case = dict[str, Any]
Shape = tuple[int, ...]

ROOT = Path(__file__).parent.parent
OUTPUT = ROOT / "tests" / "data" / "torch.json"
COMMAND = ".venv-bench/bin/python scripts/record_torch.py"

NAN, INF = float("nan"), float("inf")
REDUCTIONS = ("none", "mean", "sum")

# The classes are on axis 1, or on the only one.
CLASS_SHAPES: tuple[Shape, ...] = ((5,), (3, 4), (2, 3, 2), (2, 3, 1, 2))
SHAPES: tuple[Shape, ...] = ((5,), (3, 4), (2, 3, 4))

SPECIAL_ROWS: dict[str, list[float]] = {
    "nan": [NAN, 1.0, 2.0],
    "inf": [INF, 1.0, 2.0],
    "two inf": [INF, INF, 2.0],
    "inf and -inf": [INF, -INF, 2.0],
    "-inf": [-INF, 1.0, 2.0],
    "two -inf": [-INF, -INF, 2.0],
    "all -inf": [-INF, -INF, -INF],
    "far apart": [800.0, -800.0, 0.0],
    "shifted": [10000.0, 10001.0, 9999.5],
    "largest": [1e308, -1e308, 0.0],
    "ties": [0.5, 0.5, 0.5],
    "one class": [3.0],
}
SPECIAL_NUMBERS = [
    *(0.0, -0.0, NAN, INF, -INF, 1e308, -1e308, 5e-324),
    *(1e-9, -1e-9, 0.5, -0.5, 3.0, -3.0, 20.5, -20.5, 36.75, -36.75, 40.0, -40.0, 650.0, -650.0),
]


# Arrays. They are multiples of 1/64, so that they are short in the file.


def doubles(values: Any) -> Tensor:  # noqa: ANN401
    """Make a tensor of float64."""
    return torch.tensor(values, dtype=torch.float64)


def numbers(shape: Shape, low: int = -256, high: int = 256) -> Tensor:
    """Draw numbers from `low` to `high`, in units of 1/64."""
    return torch.randint(low, high + 1, shape).to(torch.float64) / 64


def classes_of(shape: Shape) -> int:
    """Give the number of classes."""
    return shape[min(1, len(shape) - 1)]


def indices(shape: Shape) -> Tensor:
    """Draw the class of every row."""
    rows = shape[:1] + shape[2:] if len(shape) > 1 else ()
    return torch.randint(0, classes_of(shape), rows)


def soft(shape: Shape) -> Tensor:
    """Draw soft targets, none of whose rows is all 0, and some of whose numbers are."""
    drawn = numbers(shape, -32, 64).clamp(min=0.0)
    drawn.select(min(1, len(shape) - 1), 0)[...] += 0.125
    return drawn


def weights(shape: Shape) -> Tensor:
    """Draw positive weights."""
    return numbers(shape, 16, 160)


def encode(value: Any) -> Any:  # noqa: ANN401
    """Give a tensor as its shape and flat data, under the name of its dtype."""
    if not isinstance(value, torch.Tensor):
        return value
    name = str(value.dtype).removeprefix("torch.")
    data = value.detach().flatten().tolist()
    # JSON has no name for these; other numbers are written so that they are read back exactly.
    plain = [x if abs(x) < INF else str(x) for x in data]
    return {"shape": list(value.shape), name: plain}


# Cases


def case(name: str, function: str, arguments: dict[str, Any], **results: Any) -> Case:  # noqa: ANN401
    """Give a case as it is written."""
    given = {key: encode(value) for key, value in arguments.items()}
    found = {key: encode(value) for key, value in results.items()}
    return {"name": name, "function": function, "arguments": given, **found}


def evaluated(name: str, function: str, compute: Callable[..., Tensor], **arguments: Any) -> Case:  # noqa: ANN401
    """Call a function that gives one tensor."""
    return case(name, function, arguments, result=compute(**arguments))


def loss(name: str, function: str, **arguments: Any) -> Case:  # noqa: ANN401
    """Call a loss, and differentiate it; without a reduction, differentiate the sum."""
    x = arguments["input"].clone().requires_grad_()
    try:
        found = getattr(functional, function)(**(arguments | {"input": x}))
        found.sum().backward()
    except (RuntimeError, ValueError) as error:
        return case(name, function, arguments, error=str(error).splitlines()[0])
    return case(name, function, arguments, loss=found, grad=x.grad)


def label(*parts: object) -> str:
    """Name a case; shapes are written like 2x3."""
    return " ".join("x".join(map(str, p)) if isinstance(p, tuple) else str(p) for p in parts if p)


def subsets(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give every choice of some of the options."""
    for size in range(len(options) + 1):
        for chosen in itertools.combinations(options, size):
            yield {name: options[name] for name in chosen}


def index_losses() -> Iterator[Case]:
    """Give the losses of class indices, with every choice of options."""
    for shape, reduction in itertools.product(CLASS_SHAPES, REDUCTIONS):
        by_class = {"weight": weights((classes_of(shape),)), "ignore_index": 1}
        for options in subsets(by_class | {"label_smoothing": 0.125}):
            arguments = options | {"target": indices(shape), "reduction": reduction}
            if "ignore_index" in options:
                # Not every row may be left out: that is another case.
                arguments["target"].view(-1)[0] = 2
            name = label("cross_entropy", shape, *options, reduction)
            yield loss(name, "cross_entropy", input=numbers(shape), **arguments)
            if "label_smoothing" not in options:
                x = functional.log_softmax(numbers(shape), min(1, len(shape) - 1))
                yield loss(
                    label("nll_loss", shape, *options, reduction), "nll_loss", input=x, **arguments
                )


def soft_losses() -> Iterator[Case]:
    """Give the losses of soft targets likewise."""
    for shape, reduction in itertools.product(CLASS_SHAPES, REDUCTIONS):
        options = {"weight": weights((classes_of(shape),)), "label_smoothing": 0.125}
        for chosen in subsets(options):
            arguments = chosen | {"target": soft(shape), "reduction": reduction}
            name = label("cross_entropy soft", shape, *chosen, reduction)
            yield loss(name, "cross_entropy", input=numbers(shape), **arguments)


def left_out() -> Iterator[Case]:
    """Give losses of no rows, of ignored ones, and of a class of weight 0."""
    for function, reduction in itertools.product(("cross_entropy", "nll_loss"), REDUCTIONS):
        end = (function, reduction)
        ignored = torch.full((3,), -100)
        options = {"reduction": reduction}
        smoothed = {"label_smoothing": 0.125} if function == "cross_entropy" else {}
        shape = (3, 4)
        yield loss(
            label("all ignored", *end),
            function,
            input=numbers(shape),
            target=ignored,
            ignore_index=-100,
            **options,
        )
        yield loss(
            label("all ignored, options", *end),
            function,
            input=numbers(shape),
            target=torch.full((3,), 2),
            ignore_index=2,
            weight=weights((4,)),
            **smoothed,
            **options,
        )
        empty = torch.empty(0, dtype=torch.int64)
        yield loss(label("no rows", *end), function, input=numbers((0, 4)), target=empty, **options)
        weight = doubles([0.0, 1.0, 2.0, 0.5])
        target = torch.tensor([0, 1, 3])
        yield loss(
            label("weight 0", *end),
            function,
            input=numbers(shape),
            target=target,
            weight=weight,
            **options,
        )
    for reduction in REDUCTIONS:
        name = label("no rows, soft, cross_entropy", reduction)
        x = numbers((0, 4))
        yield loss(name, "cross_entropy", input=x, target=x, reduction=reduction)


def special_losses() -> Iterator[Case]:
    """Give the cross entropy of special rows beside an ordinary one."""
    for kind, row in SPECIAL_ROWS.items():
        x = doubles([row, [0.25 * n for n in range(len(row))]])
        for target, reduction in itertools.product(range(len(row)), ("none", "mean")):
            y = torch.tensor([target, 0])
            name = label("cross_entropy", kind, "target", str(target), reduction)
            yield loss(name, "cross_entropy", input=x, target=y, reduction=reduction)


def binary_losses() -> Iterator[Case]:
    """Give the binary losses, with weights of both shapes; some weights are 0."""
    for shape, reduction in itertools.product(((5,), (2, 3), (0, 3)), REDUCTIONS):
        full, last = numbers(shape, 16, 160), numbers(shape[-1:], 16, 160)
        full.view(-1)[:1] = 0.0
        choices = {"": None, "full": full, "last": last}
        for by_element, by_class in itertools.product(choices, choices):
            target = torch.randint(0, 5, shape).to(torch.float64) / 4
            options = {"target": target, "reduction": reduction}
            given = [(n, c) for n, c in (("weight", by_element), ("pos_weight", by_class)) if c]
            options |= {name: choices[choice] for name, choice in given}
            end = (shape, *itertools.chain(*given), reduction)
            name = "binary_cross_entropy_with_logits"
            yield loss(label(name, *end), name, input=numbers(shape), **options)
            if not by_class:
                name = "binary_cross_entropy"
                yield loss(label(name, *end), name, input=torch.sigmoid(numbers(shape)), **options)
    ends = doubles([0.0, 0.0, 1.0, 0.5, 0.5, 1.0])
    z = doubles([-800.0, -40.0, 40.0, 800.0, -800.0, 650.0])
    name = "binary_cross_entropy_with_logits"
    yield loss(label(name, "far"), name, input=z, target=ends, reduction="none")


def row_functions() -> Iterator[Case]:
    """Give softmax, log_softmax, logsumexp, the gradients of the first two, and topk."""
    functions = {
        "softmax": functional.softmax,
        "log_softmax": functional.log_softmax,
        "logsumexp": torch.logsumexp,
    }
    for (name, function), shape in itertools.product(functions.items(), SHAPES):
        for dim in range(len(shape)):
            x = numbers(shape)
            yield evaluated(label(name, shape, f"dim {dim}"), name, function, input=x, dim=dim)
            if name != "logsumexp":
                yield derivative(name, function, x, dim)
    for (name, function), (kind, row) in itertools.product(functions.items(), SPECIAL_ROWS.items()):
        yield evaluated(label(name, kind), name, function, input=doubles(row), dim=0)
    for dims, keepdim in itertools.product(([0, 2], [1, 2], [0, 1, 2], [-1, 0]), (False, True)):
        arguments = {"input": numbers((2, 3, 4)), "dim": dims, "keepdim": keepdim}
        end = f"dim {dims} keepdim" if keepdim else f"dim {dims}"
        yield evaluated(f"logsumexp {end}", "logsumexp", torch.logsumexp, **arguments)
    for shape, k in (((5,), 0), ((5,), 2), ((5,), 5), ((3, 4), 3), ((4, 3), 2), ((2, 3, 4), 1)):
        for dim in range(len(shape)):
            yield largest(shape, min(k, shape[dim]), dim)
    for kind, row in SPECIAL_ROWS.items():
        arguments = {"input": doubles(row), "k": len(row), "dim": 0}
        yield case(f"topk {kind}", "topk", arguments, values=torch.topk(**arguments).values)


def derivative(name: str, function: Callable[..., Tensor], x: Tensor, dim: int) -> Case:
    """Propagate a cotangent back through softmax or log_softmax."""
    x = x.clone().requires_grad_()
    result = function(x, dim=dim)
    cotangent = numbers(tuple(x.shape))
    result.backward(cotangent)
    arguments = {"result": result, "cotangent": cotangent, "dim": dim}
    where = label(f"{name} backward", tuple(x.shape), f"dim {dim}")
    return case(where, f"{name}_backward", arguments, result=x.grad)


def largest(shape: Shape, k: int, dim: int) -> Case:
    """Call topk on distinct numbers, whose indices are no matter of choice."""
    count = torch.Size(shape).numel()
    x = (torch.randperm(count).to(torch.float64) / 4 - 2).reshape(shape)
    found = torch.topk(x, k, dim)
    name = label("topk", shape, f"dim {dim} k {k}")
    arguments = {"input": x, "k": k, "dim": dim}
    return case(name, "topk", arguments, values=found.values, indices=found.indices)


def element_functions() -> Iterator[Case]:
    """Give sigmoid, logsigmoid and softplus; the threshold is of the last one's own formula."""
    x = torch.cat([doubles(SPECIAL_NUMBERS), numbers((20,), -1024, 1024)])
    yield evaluated("sigmoid", "sigmoid", torch.sigmoid, input=x)
    yield evaluated("logsigmoid", "logsigmoid", functional.logsigmoid, input=x)
    yield evaluated("softplus", "softplus", functional.softplus, input=x, threshold=700.0)


# Where logitkit does something else, on purpose


def differences() -> Iterator[Case]:
    """Give what torch does where logitkit documents something else."""
    row, two = doubles([[1.0, 2.0, 3.0]]), doubles([[1.0, 2.0, 3.0], [0.5, -1.0, 2.0]])
    y = torch.tensor([2, 1])
    hot = doubles([[0.0, 1.0, 0.0]])
    yield loss(
        "logarithms are clamped at -100",
        "binary_cross_entropy",
        input=doubles([0.0, 1.0, 1e-60]),
        target=doubles([1.0, 0.0, 1.0]),
        reduction="none",
    )
    yield loss(
        "ignore_index 1 with soft targets", "cross_entropy", input=row, target=hot, ignore_index=1
    )
    yield loss(
        "ignore_index -1 with soft targets", "cross_entropy", input=row, target=hot, ignore_index=-1
    )
    yield loss("one-hot integers", "cross_entropy", input=row, target=hot.to(torch.int64))
    name = "binary_cross_entropy_with_logits"
    for value in (-1, 2):
        targets = doubles([float(value), 0.5])
        z = doubles([3.0, 1.0])
        yield loss(f"target {value} from logits", name, input=z, target=targets)
        yield loss(f"target {value}", "binary_cross_entropy", input=z.sigmoid(), target=targets)
    yield loss(
        "infinite logits",
        name,
        input=doubles([INF, -INF, INF, -INF]),
        target=doubles([1.0, 0.0, 0.0, 1.0]),
        reduction="none",
    )
    ignored = torch.tensor([-100, 1])
    yield loss("-100 is ignored by default", "cross_entropy", input=two, target=ignored)
    bad = two.clone()
    bad[0, 0] = NAN
    yield loss(
        "NaN in an ignored row", "cross_entropy", input=bad, target=ignored, ignore_index=-100
    )
    weight = doubles([1.0, 0.0, 0.0])
    yield loss("weights that sum to 0", "cross_entropy", input=two, target=y, weight=weight)
    zeros = torch.cat([hot, torch.zeros_like(hot)])
    yield loss("a soft row of zeros", "cross_entropy", input=two, target=zeros)
    absent = doubles([[-INF, 1.0, 2.0]])
    yield loss("target 0 at -inf", "cross_entropy", input=absent, target=hot)
    lead = doubles([[40.0, 0.0, 0.0]])
    yield loss("a lead of 40", "cross_entropy", input=lead, target=torch.tensor([0]))
    x = doubles([20.25, 30.0])
    yield evaluated("threshold 20", "softplus", functional.softplus, input=x)


def lines(cases: Sequence[Case]) -> str:
    """Write one case to a line, so that changes can be told apart."""
    return ",\n".join(json.dumps(one, separators=(",", ":"), allow_nan=False) for one in cases)


def main() -> None:
    """Write the file."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    makers = (
        index_losses,
        soft_losses,
        left_out,
        special_losses,
        binary_losses,
        row_functions,
        element_functions,
    )
    cases = [one for maker in makers for one in maker()]
    head = json.dumps({"made_by": COMMAND, "torch": torch.__version__})[1:-1]
    parts = f'"cases": [\n{lines(cases)}\n],\n"differences": [\n{lines(list(differences()))}\n]'
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(f"{{{head},\n{parts}}}\n", encoding="utf-8", newline="\n")
    print(f"{len(cases)} cases, {OUTPUT.stat().st_size / 1000:.0f} kB: {OUTPUT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
