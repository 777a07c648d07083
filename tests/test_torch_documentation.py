"""The documentation of logitkit.torch: every example runs, every docstring has every part."""

import inspect
from typing import Any

import pytest

pytest.importorskip("torch")

from logitkit import torch as logitkit_torch
from tests.test_documentation import BLOCK, ROOT, SECTION, run_examples

FUNCTIONS = [name for name in logitkit_torch.__all__ if name != "CrossEntropyLoss"]


@pytest.mark.parametrize("name", logitkit_torch.__all__)
def test_examples(name: str) -> None:
    assert run_examples(getattr(logitkit_torch, name).__doc__, name, name, {})


def test_examples_of_the_module() -> None:
    assert run_examples(logitkit_torch.__doc__ or "", "logitkit.torch", "__init__.py", {})


def test_examples_of_the_page() -> None:
    names: dict[str, Any] = {}
    page = ROOT / "docs" / "torch.md"
    for number, block in enumerate(BLOCK.findall(page.read_text(encoding="utf-8"))):
        assert run_examples(block, f"block {number + 1}", str(page), names)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_parts_of_docstrings(name: str) -> None:
    function = getattr(logitkit_torch, name)
    text = inspect.getdoc(function) or ""
    parts = ["Parameters", "Returns", "Special values", "Accuracy", "Raises", "Examples"]
    assert SECTION.split(text)[1::2] == [*parts, "See Also", "References"]
    for parameter in inspect.signature(function).parameters:
        assert f"\n{parameter} : " in text


SIGNATURES = {
    "cross_entropy": (
        "input, target, weight=None, ignore_index=-100, reduction='mean', label_smoothing=0.0"
    ),
    "binary_cross_entropy_with_logits": (
        "input, target, weight=None, reduction='mean', pos_weight=None"
    ),
    "softmax": "input, dim",
    "log_softmax": "input, dim",
    "CrossEntropyLoss": "weight=None, ignore_index=-100, reduction='mean', label_smoothing=0.0",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name: str) -> None:
    parameters = inspect.signature(getattr(logitkit_torch, name)).parameters.values()
    bare = ", ".join(str(one.replace(annotation=one.empty)) for one in parameters)
    assert bare == SIGNATURES[name]
