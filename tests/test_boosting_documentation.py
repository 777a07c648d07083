"""The documentation of logitkit.boosting: examples, the parts of docstrings, and formulas."""

import inspect
import runpy

import pytest

from logitkit import boosting
from tests.test_documentation import ROOT, SECTION, run_examples

FUNCTIONS = ["xgboost_objective", "lightgbm_objective"]
SIGNATURES = {
    "xgboost_objective": (
        "class_weight=None, label_smoothing=0.0, soft_targets=None, hessian='bound', "
        "min_hessian=1e-16"
    ),
    "lightgbm_objective": (
        "class_weight=None, label_smoothing=0.0, soft_targets=None, hessian='friedman'"
    ),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name: str) -> None:
    parameters = inspect.signature(getattr(boosting, name)).parameters.values()
    assert {one.kind for one in parameters} == {inspect.Parameter.KEYWORD_ONLY}
    bare = ", ".join(str(one.replace(annotation=one.empty)) for one in parameters)
    assert bare == SIGNATURES[name]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_examples(name: str) -> None:
    assert run_examples(getattr(boosting, name).__doc__, name, name, {})


def test_examples_of_the_module() -> None:
    assert run_examples(boosting.__doc__ or "", "logitkit.boosting", "boosting.py", {})


@pytest.mark.parametrize("name", FUNCTIONS)
def test_parts_of_docstrings(name: str) -> None:
    function = getattr(boosting, name)
    text = inspect.getdoc(function) or ""
    parts = ["Parameters", "Returns", "Special values", "Accuracy", "Raises", "Examples"]
    assert SECTION.split(text)[1::2] == [*parts, "See Also", "References"]
    for parameter in inspect.signature(function).parameters:
        assert f"\n{parameter} : " in text


@pytest.mark.parametrize("name", FUNCTIONS)
def test_formulas_are_set(name: str) -> None:
    with_math = runpy.run_path(str(ROOT / "docs" / "formulas.py"))["with_math"]
    lines = (inspect.getdoc(getattr(boosting, name)) or "").splitlines()
    assert list(with_math(lines)).count(".. math::") == 1


def test_neither_library_is_imported() -> None:
    names = vars(boosting)
    assert not {"xgboost", "lightgbm"} & set(names)
