"""What a release is made from: its description, its changelog, and the workflows that publish it.

What comes out, wheels and sdist, is checked by scripts/check_distributions.py.
"""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MANIFEST = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

BLOCK = re.compile(r"^```\w+\n.*?^```$", re.MULTILINE | re.DOTALL)
RELEASE = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", re.MULTILINE)


def test_the_changelog_tells_of_the_version() -> None:
    """A version that is not released yet stands under Unreleased."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = RELEASE.findall(changelog)
    unreleased = re.search(r"^## \[Unreleased\]\n+### ", changelog, re.MULTILINE)
    assert MANIFEST["package"]["version"] in released or unreleased


def test_both_registries_show_the_same_description() -> None:
    assert MANIFEST["package"]["readme"] == PROJECT["project"]["readme"] == "PACKAGE.md"


def test_the_description_has_the_examples_of_the_readme() -> None:
    """Those of the README are run; and a description has no file to link to."""
    description = (ROOT / "PACKAGE.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = [block for block in BLOCK.findall(description) if not block.startswith("```sh")]
    assert len(blocks) >= 3
    assert [block for block in blocks if block not in readme] == []
    assert re.findall(r"\]\((?!https://)[^)]*\)", description) == []


def test_the_version_stands_in_one_place() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert "version" not in PROJECT["project"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(workflow: Path) -> None:
    """A tag can be moved to other code; the comment is for readers and updaters."""
    used = re.findall(r"uses: *(.*)", workflow.read_text(encoding="utf-8"))
    assert used
    assert [one for one in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", one)] == []


def test_the_workflows_are_there() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "fuzz.yml", "release.yml"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_permissions_are_given_job_by_job(workflow: Path) -> None:
    text = workflow.read_text(encoding="utf-8")
    assert re.search(r"^permissions: \{\}$", text, re.MULTILINE)
    # Whatever may write says what for.
    writes = re.findall(r"^ +[\w-]+: write(.*)$", text, re.MULTILINE)
    assert all(reason.startswith(" # ") for reason in writes)
    assert bool(writes) == (workflow.name == "release.yml")
    assert text.count("persist-credentials: false") == text.count("actions/checkout@")
    assert text.count("timeout-minutes:") == text.count("runs-on:")


def test_the_oldest_supported_versions_agree() -> None:
    """The classifiers, the ABI of the wheel and the tests of CI start from one Python."""
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
    listed = [one.rsplit(" ", 1)[1] for one in PROJECT["project"]["classifiers"] if ":: 3." in one]
    assert listed[0] == oldest
    assert MANIFEST["dependencies"]["pyo3"]["features"] == [f"abi3-py{oldest.replace('.', '')}"]
    tested = re.search(r"python: \[(.*)\]", (WORKFLOWS[0]).read_text(encoding="utf-8"))
    assert tested is not None
    assert re.findall(r"[\d.]+", tested[1]) == listed
