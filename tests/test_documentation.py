"""The documentation: every example gives what it shows, every docstring has every part.

The stubs are checked by stubtest and test_typing.py, the examples of the Rust crate by cargo.
"""

import doctest
import inspect
import io
import re
from pathlib import Path
from typing import Any

import pytest

import logitkit

ROOT = Path(__file__).parent.parent
FUNCTIONS = [name for name in logitkit.__all__ if not name.startswith("__")]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# What they say stands elsewhere, or is no Python.
WITHOUT_EXAMPLES = {"api.md", "changelog.md", "index.md", "rust.md", "safety.md", "shell.md"}
WITHOUT_EXAMPLES |= {"tests.md"}

# What the examples of a page import, and the tools do not have.
NEEDS = {"torch.md": "torch"}

# They compute nothing.
SETTINGS = {"get_num_threads", "set_num_threads", "simd_level"}
CLASSES = [name for name in FUNCTIONS if inspect.isclass(getattr(logitkit, name))]
COMPUTING = [name for name in FUNCTIONS if name not in SETTINGS and name not in CLASSES]

BLOCK = re.compile(r"^```(?:python|pycon)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTION = re.compile(r"^(.+)\n-{3,}$", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


def run_examples(text: str, name: str, path: str, names: dict[str, Any] | None = None) -> int:
    """Run the examples of a text, in given names; give how many there are."""
    test = doctest.DocTestParser().get_doctest(text, names or {}, name, path, 0)
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF)
    before = logitkit.get_num_threads()
    runner.run(test, out=report.write, clear_globs=False)
    logitkit.set_num_threads(before)
    assert not runner.summarize(verbose=False).failed, report.getvalue()
    if names is not None:
        names.update(test.globs)
    return len(test.examples)


# Examples


@pytest.mark.parametrize("name", FUNCTIONS)
def test_examples_of_functions(name: str) -> None:
    """Each docstring's examples run by themselves, with `logitkit` imported at most."""
    function = getattr(logitkit, name)
    assert run_examples(function.__doc__, name, name, {"logitkit": logitkit})
    assert f"{name}(" in re.sub(r"(?m)^(?!\s*(>>>|\.\.\.)).*$", "", function.__doc__)


def test_examples_of_the_package() -> None:
    assert run_examples(logitkit.__doc__ or "", "logitkit", "__init__.py")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_of_pages(page: Path) -> None:
    """The blocks of a page are read one after the other, as a reader types them."""
    if page.name in NEEDS:
        pytest.importorskip(NEEDS[page.name])
    names: dict[str, Any] = {}
    for number, block in enumerate(BLOCK.findall(page.read_text(encoding="utf-8"))):
        count = run_examples(block, f"{page.name}, block {number + 1}", str(page), names)
        assert count, f"block {number + 1} of {page.name} shows no example"


def test_pages_have_examples() -> None:
    assert {page.name for page in PAGES} >= {"README.md", "what-it-computes.md"}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert BLOCK.search(text) or page.name in WITHOUT_EXAMPLES, f"no example in {page.name}"
        # An example in a block of another language would not be run.
        assert text.count("\n>>> ") == sum(block.count(">>> ") for block in BLOCK.findall(text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_function_is_named_in_the_readme() -> None:
    readme = PAGES[0].read_text(encoding="utf-8")
    for name in FUNCTIONS:
        alone = name.removesuffix("_hess").removesuffix("_and_grad")
        assert f"`{alone}`" in readme


# Parts of a docstring


def sections(name: str) -> dict[str, str]:
    """Split a docstring into its sections; what comes before the first is under ''."""
    text = inspect.getdoc(getattr(logitkit, name)) or ""
    parts = SECTION.split(text)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_summary_is_one_line(name: str) -> None:
    first, second = sections(name)[""].split("\n")[:2]
    assert first.endswith(".")
    assert len(first) < 100
    assert not second


@pytest.mark.parametrize("name", COMPUTING)
def test_parts_of_docstrings(name: str) -> None:
    """In this order, so that all read alike."""
    found = [part for part in sections(name) if part != "References"]
    parts = ["Parameters", "Returns", "Special values", "Accuracy", "Raises", "Examples"]
    assert found == ["", *parts, "See Also"]
    assert all(text.strip() for text in sections(name).values())


@pytest.mark.parametrize("name", CLASSES)
def test_parts_of_docstrings_of_classes(name: str) -> None:
    """Those of a function, but for what it gives; what its methods take stands with them."""
    found = [part for part in sections(name) if part != "References"]
    parts = ["Parameters", "Special values", "Accuracy", "Raises", "Examples", "See Also"]
    assert found == ["", *parts]
    for method in vars(getattr(logitkit, name)).values():
        if inspect.isfunction(method) and not method.__name__.startswith("_"):
            text = inspect.getdoc(method) or ""
            assert "Returns\n" in text or method.__annotations__["return"] is None, method
            for parameter in list(inspect.signature(method).parameters)[1:]:
                assert re.search(rf"^{parameter} : ", text, re.MULTILINE), (method, parameter)


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_parts_of_docstrings_of_settings(name: str) -> None:
    assert {"Examples", "See Also"} <= sections(name).keys()


@pytest.mark.parametrize("name", [name for name in COMPUTING if name != "top_k"])
def test_formulas(name: str) -> None:
    """A line of its own, marked as literal, has the formula; a sort has none."""
    assert re.search(r"::\n\n +.*=", sections(name)[""])


@pytest.mark.parametrize("name", COMPUTING)
def test_shapes_and_dtypes(name: str) -> None:
    parts = sections(name)
    assert "shape" in parts["Parameters"]
    assert re.search("shape|scalar|float64", parts["Returns"])
    assert re.search("float32|float64", parts["Parameters"])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_parameter_is_described(name: str) -> None:
    parameters = inspect.signature(getattr(logitkit, name)).parameters
    text = sections(name).get("Parameters", "")
    described = re.findall(r"^(\w+(?:, \w+)*) : ", text, re.MULTILINE)
    assert [one for names in described for one in names.split(", ")] == list(parameters)


@pytest.mark.parametrize("name", COMPUTING)
def test_special_values_and_accuracy(name: str) -> None:
    parts = sections(name)
    assert re.search(r"NaN|inf|nan", parts["Special values"])
    assert re.search(r"(?i)ulp|exact|round|float64", parts["Accuracy"])


@pytest.mark.parametrize("name", COMPUTING)
def test_errors(name: str) -> None:
    raises = sections(name)["Raises"]
    parameters = inspect.signature(getattr(logitkit, name)).parameters
    assert "TypeError" in raises
    assert "ValueError" in raises or set(parameters) <= {"x", "axis", "keepdims"}
    assert ("AxisError" in raises) == ("axis" in parameters)
    assert ("IndexError" in raises) == ("targets" in parameters and not name.startswith("binary"))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_siblings_exist(name: str) -> None:
    entries = re.findall(r"^(\w+(?:, \w+)*) : ", sections(name)["See Also"], re.MULTILINE)
    named = [one for names in entries for one in names.split(", ")]
    assert named
    assert set(named) <= set(FUNCTIONS) - {name}
