"""What torch computed in float64, as recorded by scripts/record_torch.py: logitkit agrees.

The last part holds the cases in which the two differ on purpose. No torch is needed.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

import logitkit
from tests.support import Array

# Where torch subtracts numbers of a size up to 10, such as a logit and the logsumexp, its error is
# a few ulp of 10, however small the difference. The other functions are held to RTOL alone.
RTOL = 1e-12
ATOL = 1e-14
WITHOUT_DIFFERENCES = {"sigmoid", "logsigmoid", "softmax", "softplus", "topk"}

Named: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A call of torch, and what it gave."""

    name: str
    function: str
    arguments: Named
    results: Named
    """Arrays by name, or the message of an error as `error`."""

    def __str__(self) -> str:
        """Name the case in the id of a test."""
        return self.name.replace(" ", "-")


def decode(value: Any) -> Any:  # noqa: ANN401
    """Make an array of what is recorded as one."""
    if not isinstance(value, dict):
        return value
    ((dtype, data),) = ((key, item) for key, item in value.items() if key != "shape")
    return np.array([float(x) for x in data]).astype(dtype).reshape(value["shape"])


def read(recorded: Named) -> Case:
    """Make a case of its record."""
    rest = dict(recorded)
    name, function, arguments = (rest.pop(key) for key in ("name", "function", "arguments"))
    decoded = {key: decode(value) for key, value in arguments.items()}
    return Case(name, function, decoded, {key: decode(value) for key, value in rest.items()})


PATH = Path(__file__).parent / "data" / "torch.json"
RECORD = json.loads(PATH.read_text(encoding="utf-8"))
CASES = [read(recorded) for recorded in RECORD["cases"]]
DIFFERENCES = {case.name: case for case in map(read, RECORD["differences"])}


# torch's calls, in logitkit's words


def loss(case: Case, **more: object) -> Named:
    """Call a loss by itself and with its gradient; the classes lie on axis 1 if there is one."""
    options = case.arguments | more
    x, targets = options.pop("input"), options.pop("target")
    if not case.function.startswith("binary"):
        options["axis"] = min(1, x.ndim - 1)
    alone = getattr(logitkit, case.function)(x, targets, **options)
    together, grad = getattr(logitkit, f"{case.function}_and_grad")(x, targets, **options)
    np.testing.assert_array_equal(alone, together)
    return {"loss": together, "grad": grad}


def rows(case: Case) -> Named:
    """Call a function of rows, along one axis or several."""
    given = dict(case.arguments)
    x, dim = given.pop("input"), given.pop("dim")
    axis = tuple(dim) if isinstance(dim, list) else dim
    given = {{"keepdim": "keepdims"}[key]: value for key, value in given.items()}
    return {"result": getattr(logitkit, case.function)(x, axis, **given)}


def backward(case: Case) -> Named:
    """Propagate a cotangent back through softmax or log_softmax."""
    function = getattr(logitkit, case.function.replace("backward", "vjp"))
    result, cotangent, axis = (case.arguments[key] for key in ("result", "cotangent", "dim"))
    return {"result": function(result, cotangent, axis)}


def elements(function: Callable[[Array], Array]) -> Callable[[Case], Named]:
    """Make the caller of a function of elements."""
    return lambda case: {"result": function(case.arguments["input"])}


def top_k(case: Case) -> Named:
    """Call top_k; which of equal values comes first is logitkit's own rule, and not recorded."""
    x, k, axis = (case.arguments[key] for key in ("input", "k", "dim"))
    values, indices = logitkit.top_k(x, k, axis)
    return {"values": values} | ({"indices": indices} if "indices" in case.results else {})


CALLS: dict[str, Callable[[Case], Named]] = {
    "binary_cross_entropy": loss,
    "binary_cross_entropy_with_logits": loss,
    "cross_entropy": loss,
    "log_softmax": rows,
    "log_softmax_backward": backward,
    "logsigmoid": elements(logitkit.log_sigmoid),
    "logsumexp": rows,
    "nll_loss": loss,
    "sigmoid": elements(logitkit.sigmoid),
    "softmax": rows,
    "softmax_backward": backward,
    "softplus": elements(logitkit.softplus),
    "topk": top_k,
}


def assert_agree(got: Named, want: Named, atol: float = ATOL) -> None:
    """Compare shapes, dtypes and values of all results."""
    assert got.keys() == want.keys()
    for name, right in want.items():
        left = np.asarray(got[name])
        assert left.shape == right.shape, name
        assert left.dtype == right.dtype, name
        np.testing.assert_allclose(left, right, RTOL, atol, err_msg=name)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case) -> None:
    atol = 0.0 if case.function in WITHOUT_DIFFERENCES else ATOL
    assert_agree(CALLS[case.function](case), case.results, atol)


def test_the_record_is_whole() -> None:
    """It tells how it was made, and has cases of every function under distinct names."""
    assert RECORD["torch"]
    assert RECORD["made_by"].endswith("scripts/record_torch.py")
    assert len({case.name for case in CASES}) == len(CASES) > 400
    assert {case.function for case in CASES} == CALLS.keys()
    assert not any("error" in case.results for case in CASES)


# Differences on purpose


def test_logarithms_are_not_clamped() -> None:
    """As the logarithm of 0 torch takes -100, and as p (1 - p) of the gradient 1e-12 at least."""
    case = DIFFERENCES["logarithms are clamped at -100"]
    np.testing.assert_array_equal(case.results["loss"], [100.0, 100.0, 100.0])
    np.testing.assert_allclose(case.results["grad"], [-1e12, 1e12, -1e12])
    found = loss(case)
    np.testing.assert_allclose(found["loss"], [np.inf, np.inf, 60 * np.log(10.0)])
    np.testing.assert_allclose(found["grad"], [-np.inf, np.inf, -1e60])


def test_soft_targets_refuse_ignore_index() -> None:
    """Of these torch refuses only indices from 0 on; a negative one does nothing there."""
    refused = DIFFERENCES["ignore_index 1 with soft targets"]
    without_effect = DIFFERENCES["ignore_index -1 with soft targets"]
    assert "not supported" in refused.results["error"]
    for case in (refused, without_effect):
        with pytest.raises(ValueError, match="ignore_index"):
            loss(case)
    assert_agree(loss(without_effect, ignore_index=None), without_effect.results)


def test_one_hot_integers_are_accepted() -> None:
    case = DIFFERENCES["one-hot integers"]
    assert "floating point" in case.results["error"]
    floats = loss(case, target=case.arguments["target"].astype(np.float64))
    assert_agree(loss(case), floats)


@pytest.mark.parametrize("name", ["target -1 from logits", "target 2 from logits"])
def test_binary_targets_of_logits_are_checked(name: str) -> None:
    """The formula goes on outside [0, 1], and torch with it."""
    case = DIFFERENCES[name]
    assert np.isfinite(case.results["loss"])
    with pytest.raises(ValueError, match="target"):
        loss(case)


@pytest.mark.parametrize("name", ["target -1", "target 2"])
def test_binary_targets_of_probabilities_are_checked_by_both(name: str) -> None:
    case = DIFFERENCES[name]
    assert "between 0 and 1" in case.results["error"]
    with pytest.raises(ValueError, match="target"):
        loss(case)


def test_infinite_binary_logits_have_their_limits() -> None:
    """In torch 0 is multiplied by inf."""
    case = DIFFERENCES["infinite logits"]
    np.testing.assert_array_equal(case.results["loss"], [np.nan, np.nan, np.inf, np.nan])
    found = loss(case)
    np.testing.assert_array_equal(found["loss"], [0.0, 0.0, np.inf, np.inf])
    np.testing.assert_array_equal(found["grad"], case.results["grad"])


def test_no_index_is_ignored_by_default() -> None:
    case = DIFFERENCES["-100 is ignored by default"]
    with pytest.raises(IndexError, match="ignore_index=-100"):
        loss(case)
    assert_agree(loss(case, ignore_index=-100), case.results)


def test_rows_left_out_have_no_gradient() -> None:
    """NaN reaches torch's gradient from a row that counts for nothing."""
    case = DIFFERENCES["NaN in an ignored row"]
    assert np.isnan(case.results["grad"][0]).all()
    found = loss(case)
    np.testing.assert_array_equal(found["grad"][0], 0.0)
    assert_agree({"grad": found["grad"][1]}, {"grad": case.results["grad"][1]})
    assert_agree({"loss": found["loss"]}, {"loss": case.results["loss"]})


def test_the_mean_over_no_weight_has_no_gradient() -> None:
    """Both have no mean; torch's gradient is NaN as well."""
    case = DIFFERENCES["weights that sum to 0"]
    found = loss(case)
    assert np.isnan(case.results["loss"])
    assert np.isnan(found["loss"])
    assert np.isnan(case.results["grad"]).all()
    np.testing.assert_array_equal(found["grad"], 0.0)


def test_rows_without_target_are_not_counted() -> None:
    """The mean is over two rows in torch, here over the one that has a target."""
    case = DIFFERENCES["a soft row of zeros"]
    assert_agree(loss(case), {name: 2 * value for name, value in case.results.items()})


def test_classes_of_no_target_cost_nothing() -> None:
    """In torch 0 is multiplied by inf; the gradients are the same."""
    case = DIFFERENCES["target 0 at -inf"]
    assert np.isnan(case.results["loss"])
    found = loss(case)
    np.testing.assert_allclose(found["loss"], np.log1p(np.exp(1.0)))
    assert_agree({"grad": found["grad"]}, {"grad": case.results["grad"]})


def test_confident_rows_keep_their_loss() -> None:
    """For torch 1 + 2 exp(-40) is 1 before it takes the logarithm, and p - 1 is 0."""
    case = DIFFERENCES["a lead of 40"]
    assert case.results["loss"] == 0.0
    assert case.results["grad"][0, 0] == 0.0
    found, rest = loss(case), 2 * np.exp(-40.0)
    np.testing.assert_allclose(found["loss"], rest)
    np.testing.assert_allclose(found["grad"], [[-rest, rest / 2, rest / 2]])


def test_softplus_has_no_threshold() -> None:
    """By default torch takes x itself from 20 on."""
    case = DIFFERENCES["threshold 20"]
    x = case.arguments["input"]
    np.testing.assert_array_equal(case.results["result"], x)
    np.testing.assert_allclose(logitkit.softplus(x) - x, np.exp(-x), atol=4e-15)


def test_all_differences_are_asserted() -> None:
    """Every recorded one has its test above."""
    source = Path(__file__).read_text(encoding="utf-8")
    assert DIFFERENCES
    assert [name for name in DIFFERENCES if f'"{name}"' not in source] == []
