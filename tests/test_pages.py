"""The pages of the documentation: what they name is there, and what is there they name.

Their examples are run by test_documentation.py; `make docs` makes a site of them, and follows its
links.
"""

import re
import runpy
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import logitkit
from tests.test_documentation import FUNCTIONS, PAGES, ROOT

DOCS = ROOT / "docs"
INDEX = (DOCS / "index.md").read_text(encoding="utf-8")
TABLE_ROW = re.compile(r"^\| .*\d \|$", re.MULTILINE)

# Other sites are never asked, so those that pages may name are few.
SITES = {"creativecommons.org", "doi.org", "keepachangelog.com", "rustup.rs", "semver.org"}
SITES |= {"archive.ics.uci.edu"}
# Of other crates, of items, and of the table's head.
NO_ITEMS = {"Axis", "ThreadPool", "None", "loss_and_grad_into", "Rust"}
TEXTS = [*PAGES, *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md"))]
TEXTS += [ROOT / "examples" / "data" / "README.md"]


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_other_sites_are_few(page: Path) -> None:
    addresses = re.findall(r"\w+://[^\s)>\"`]+", page.read_text(encoding="utf-8"))
    for address in addresses:
        parts = urlsplit(address.rstrip(".,;"))
        assert parts.scheme == "https", address
        assert parts.hostname in SITES, address


def test_every_page_is_in_the_table_of_contents() -> None:
    """One that is not would be an error of `make docs`, too."""
    (contents,) = re.findall(r"^```\{toctree\}\n(.*?)^```$", INDEX, re.MULTILINE | re.DOTALL)
    listed = re.findall(r"<([\w-]+)>$", contents, re.MULTILINE)
    assert sorted([*listed, "index"]) == sorted(page.stem for page in DOCS.glob("*.md"))


def test_the_api_has_every_public_name() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    listed = re.findall(r"^   (\w+)$|^\.\. data:: (\w+)$", text, re.MULTILINE)
    assert sorted(function or data for function, data in listed) == sorted(logitkit.__all__)


def test_the_readme_shows_rows_of_the_accuracy_page() -> None:
    measured = TABLE_ROW.findall((DOCS / "accuracy.md").read_text(encoding="utf-8"))
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## Accuracy\n")[1]
    shown = TABLE_ROW.findall(section.split("\n## ")[0])
    assert shown
    assert set(shown) < set(measured)


def test_the_crate_has_what_the_page_for_rust_names() -> None:
    crate = (ROOT / "src" / "lib.rs").read_text(encoding="utf-8")
    uses = " ".join(re.findall(r"^pub (?:use|fn) ([^;-]*)", crate, re.MULTILINE))
    table = re.findall(r"^\| .* \| (.*) \|$", (DOCS / "rust.md").read_text("utf-8"), re.MULTILINE)
    named = set(re.findall(r"\b[A-Z]\w+|\w+_(?:into|in_place)\b", " ".join(table)))
    assert {"softmax_into", "CrossEntropy", "NllLoss"} <= named
    assert named <= {*re.findall(r"\w+", uses), *NO_ITEMS}


# The tests by promise


def named_tests() -> list[tuple[str, str]]:
    """Give what the page on tests names: a make target or "make test", and a file or folder."""
    page = (DOCS / "tests.md").read_text(encoding="utf-8")
    found = []
    for row in re.findall(r"^\|(.*)\|$", page, re.MULTILINE):
        *_, run_by, tests = row.split(" | ")
        target = run_by.strip("`") if run_by.startswith("`make ") else "make test"
        found += [(target, name) for name in re.findall(r"`((?:src|tests)/[^`]+)`", tests)]
    return found


def test_the_tests_that_are_named_exist() -> None:
    named = {name for _, name in named_tests()}
    assert len(named) > 50
    for name in named:
        assert (ROOT / name).exists(), name


def test_every_file_of_tests_is_named() -> None:
    named = {name for _, name in named_tests()}
    files = [*(ROOT / "tests").glob("test_*.py"), *(ROOT / "tests").glob("*.rs")]
    rust = [path for path in (ROOT / "src").rglob("*.rs") if path.parent.name != "tests"]
    files += [path for path in rust if "#[test]" in path.read_text(encoding="utf-8")]
    assert {path.relative_to(ROOT).as_posix() for path in files} <= named


def test_the_targets_that_run_tests_are_there() -> None:
    """What `make test-torch` runs is what the page says it does."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target, _ in named_tests():
        assert f"\n{target.removeprefix('make ')}: " in makefile, target
    (torch,) = re.findall(r"^TORCH_TESTS := ((?:.*\\\n)*.*)$", makefile, re.MULTILINE)
    run = [name for target, name in named_tests() if target == "make test-torch"]
    assert sorted(torch.replace("\\\n", " ").split()) == sorted(run)


# Formulas


@pytest.mark.parametrize("name", FUNCTIONS)
def test_formulas_of_docstrings_are_set(name: str) -> None:
    """Each literal block becomes a formula, all of whose names and signs are known."""
    with_math = runpy.run_path(str(DOCS / "formulas.py"))["with_math"]
    lines = (getattr(logitkit, name).__doc__ or "").splitlines()
    literal = sum(line.endswith("::") for line in lines)
    written = list(with_math(lines))
    assert sum(line == ".. math::" for line in written) == literal
    assert not any(line.endswith("::") for line in written if line != ".. math::")


@pytest.mark.parametrize(
    "text, want",
    [
        (
            "softmax(x)_i = exp(x_i) / Σ_c exp(x_c)",
            r"\mathrm{softmax}(x)_{i}=\exp (x_{i})/\sum _{c}\,\exp (x_{c})",
        ),
        ("2 ζ lse² w_y t'_c", r"2\,\zeta \,\mathrm{lse}^2 \,w_{y}\,t'_{c}"),
        ("class index y:", r"\text{class index }y:"),
        ("0 at c = y, else 0", r"0\text{ at }c=y,\text{ else }0"),
    ],
)
def test_tex(text: str, want: str) -> None:
    assert runpy.run_path(str(DOCS / "formulas.py"))["cell"](text) == want


@pytest.mark.parametrize("text", ["softmix(x)", "x ∘ y", "a % b", "unknown words"])
def test_formulas_of_unknown_signs(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not known to docs/formulas\.py"):
        runpy.run_path(str(DOCS / "formulas.py"))["cell"](text)


# The check of the finished site


def check_links(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "check_links.py"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_links_that_lead_somewhere(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<p id="top"><a href="sub/b.html#there">b</a> <a href="#top">a</a> <img src="sub/c.svg">'
        '<a href="https://example.org">elsewhere</a>'
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.html").write_text('<h1 id="there"><a href="../a.html?x#top">a</a></h1>')
    (tmp_path / "sub" / "c.svg").touch()
    result = check_links(tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "5 links of 2 pages, 0 of them broken\n"


@pytest.mark.parametrize(
    "text, why",
    [
        ('<a href="b.html">', "there is no such file"),
        ('<img src="figures/b.svg">', "there is no such file"),
        ('<a href="#there">', "there is no such place in the page"),
        ('<a href="a.html#there">', "there is no such place in the page"),
        ('<script src="https://example.org/x.js"></script>', "the page needs a network"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "the page needs a network"),
    ],
)
def test_links_that_lead_nowhere(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "a.html").write_text(text)
    result = check_links(tmp_path)
    assert result.returncode == 1
    assert result.stderr.endswith(f": {why}\n")


def test_a_site_without_pages(tmp_path: Path) -> None:
    assert check_links(tmp_path).returncode == 1
