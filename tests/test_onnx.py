"""The node tests of ONNX, an outside oracle: Softmax, LogSoftmax, Sigmoid and two losses.

The onnx package computes the data of its node tests with NumPy when they are imported. Models
that torch once exported lie in it as files. No case of these operators is left out unseen.
"""

import collections
import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test.case.node
import pytest
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

import logitkit
from tests.support import Array

# The modules of node tests that are about the five operators.
MODULES = {
    "logsoftmax": "LogSoftmax",
    "negativeloglikelihoodloss": "NegativeLogLikelihoodLoss",
    "sigmoid": "Sigmoid",
    "softmax": "Softmax",
    "softmax_cross_entropy_loss": "SoftmaxCrossEntropyLoss",
}
# A release of onnx with more cases makes a test fail, so that somebody looks at them.
COUNTS = {
    "LogSoftmax": 7,
    "NegativeLogLikelihoodLoss": 18,
    "Sigmoid": 2,
    "Softmax": 7,
    "SoftmaxCrossEntropyLoss": 34,
}

# The oracle is the less exact side: it subtracts, exponentiates and divides in float32, takes the
# logarithm of that, and adds up to 6480 losses in float32. A few roundings of 2**-24 = 6e-8 of
# numbers near 1 are left; the largest difference seen is 3e-7 of the value.
RTOL = 1e-6

# Models of several operators, which logitkit has not: left out. As (folder, model).
COMPOSITE = {
    ("pytorch-converted", "test_GLU"),
    ("pytorch-converted", "test_GLU_dim"),
    ("pytorch-converted", "test_Softmin"),
    ("pytorch-operator", "test_operator_basic"),
    ("pytorch-operator", "test_operator_params"),
}


@dataclass(frozen=True)
class Case:
    """One node, what goes into it and what must come out."""

    name: str
    node: onnx.NodeProto
    version: int
    """That of the operator set."""
    inputs: Sequence[Array]
    outputs: Sequence[Array]


# What the nodes mean


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Give the attributes of a node as Python values."""
    values = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    return {k: v.decode() if isinstance(v, bytes) else v for k, v in values.items()}


def along_axis(function: Callable[..., Array], case: Case) -> list[Array]:
    """Run a function of rows."""
    (x,) = case.inputs
    given = attributes(case.node)
    if case.version >= 13:
        return [function(x, given.pop("axis", -1))]
    # Before operator set 13 the axes from the given one on were taken together. Nothing but the
    # last axis is recorded, for which that is the same.
    axis = given["axis"] % x.ndim
    assert axis == x.ndim - 1
    return [function(x, axis)]


def loss(function: Callable[..., Any], case: Case) -> list[Array]:
    """Run a loss of rows: the classes lie on axis 1, and the weights are a third input."""
    x, targets = case.inputs[:2]
    options = attributes(case.node)
    assert options.keys() <= {"reduction", "ignore_index"}
    if len(case.inputs) == 3:
        options["weight"] = case.inputs[2]
    return [function(x, targets, axis=1, **options)]


def cross_entropy(case: Case) -> list[Array]:
    """Run the loss; a second output is the logarithm of the probabilities."""
    found = loss(logitkit.cross_entropy, case)
    if len(case.node.output) == 2:
        found.append(logitkit.log_softmax(case.inputs[0], 1))
    return found


OPERATORS: dict[str, Callable[[Case], list[Array]]] = {
    "LogSoftmax": lambda case: along_axis(logitkit.log_softmax, case),
    "NegativeLogLikelihoodLoss": lambda case: loss(logitkit.nll_loss, case),
    "Sigmoid": lambda case: [logitkit.sigmoid(case.inputs[0])],
    "Softmax": lambda case: along_axis(logitkit.softmax, case),
    "SoftmaxCrossEntropyLoss": cross_entropy,
}


# Where the cases are


def node_cases() -> dict[str, Any]:
    """Import the five modules, and give the cases that this registers, by name.

    All modules together make 1900 cases, in 12 seconds and with warnings.
    """
    for module in MODULES:
        importlib.import_module(f"onnx.backend.test.case.node.{module}")
    found = onnx.backend.test.case.node._NodeTestCases  # noqa: SLF001 -- the loader imports all
    return {case.name: case for case in found}


def exported_models(folder: str) -> dict[str, Any]:
    """Give the models in a folder of the package that hold one of the operators, by name."""
    found = {}
    for case in load_model_tests(kind=folder):
        model = onnx.load(Path(str(case.model_dir)) / "model.onnx")
        if any(node.op_type in OPERATORS for node in model.graph.node):
            found[case.name] = (model, Path(str(case.model_dir)))
    return found


def from_registry(case: Any) -> Case:  # noqa: ANN401
    """Take a case that onnx has computed."""
    (node,) = case.model.graph.node
    ((inputs, outputs),) = case.data_sets
    return Case(case.name, node, case.model.opset_import[0].version, inputs, outputs)


def from_files(name: str, model: onnx.ModelProto, folder: Path) -> Case:
    """Take a case that torch has computed."""
    (node,) = model.graph.node

    def arrays(kind: str) -> list[Array]:
        paths = sorted(folder.glob(f"test_data_set_0/{kind}_*.pb"))
        return [numpy_helper.to_array(onnx.load_tensor(path)) for path in paths]

    version = model.opset_import[0].version
    return Case(name, node, version, arrays("input"), arrays("output"))


REGISTERED = node_cases()
# The same case again, with the operator written out in other operators.
EXPANDED = {name for name in REGISTERED if "_expanded" in name}
# The other folders, "light" and "real", are whole networks for images.
EXPORTED = {
    (folder, name): found
    for folder in ("pytorch-converted", "pytorch-operator", "simple")
    for name, found in sorted(exported_models(folder).items())
}
NODES = [from_registry(case) for name, case in REGISTERED.items() if name not in EXPANDED]
FILES = [
    from_files(name, model, path)
    for (folder, name), (model, path) in EXPORTED.items()
    if (folder, name) not in COMPOSITE
]


@pytest.mark.parametrize("case", NODES + FILES, ids=lambda case: case.name)
def test_node(case: Case) -> None:
    found = OPERATORS[case.node.op_type](case)
    assert len(found) == len(case.outputs) == len(case.node.output)
    for got, want in zip(found, case.outputs, strict=True):
        assert got.dtype == want.dtype == np.float32
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=RTOL)


# Completeness


def test_number_of_nodes() -> None:
    """Every case of the five modules is one node of a known operator, and is run."""
    counts = collections.Counter(case.node.op_type for case in NODES)
    assert counts == COUNTS


def test_no_other_module_is_about_the_operators() -> None:
    """The sources name as many cases as were found, and no other source makes such a node."""
    folder = Path(onnx.backend.test.case.node.__path__[0])
    named = set()
    for path in folder.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        operators = set(re.findall(r'make_node\(\s*(?:op_type=)?"(\w+)"', text))
        assert operators & OPERATORS.keys() == {MODULES.get(path.stem)} - {None}, path
        if path.stem in MODULES:
            named |= set(re.findall(r'name="(test_\w+)"', text))
    assert named == REGISTERED.keys() - EXPANDED


def test_expanded_cases_are_duplicates() -> None:
    """A case left out has the data of one that is run."""
    assert EXPANDED
    for name in EXPANDED:
        ((inputs, outputs),) = REGISTERED[name].data_sets
        ((same_inputs, same_outputs),) = REGISTERED[name.partition("_expanded")[0]].data_sets
        for left, right in zip(inputs, same_inputs, strict=True):
            np.testing.assert_array_equal(left, right)
        for left, right in zip(outputs, same_outputs, strict=True):
            np.testing.assert_array_equal(left, right)


def test_models_left_out_have_other_operators() -> None:
    assert len(FILES) == 7
    assert EXPORTED.keys() > COMPOSITE
    for key, (model, _) in EXPORTED.items():
        assert (len(model.graph.node) > 1) == (key in COMPOSITE), key
