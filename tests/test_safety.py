"""The list of unsafe code in docs/safety.md: every place is on it, with tests that exist.

That the code is sound cannot be tested here; the tests that the page names try.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(src/[^`]+)` \|.*\|.*\| (.*) \|$", PAGE, re.MULTILINE)

UNSAFE = re.compile(r"\bunsafe (?:\{|fn|impl)")


def is_test(path: Path) -> bool:
    """Tell whether a file is nothing but tests."""
    return path.stem.endswith("tests") or path.parent.name == "tests"


def test_all_unsafe_code_is_listed() -> None:
    files = [path for path in (ROOT / "src").rglob("*.rs") if not is_test(path)]
    found = [path for path in files if UNSAFE.search(path.read_text(encoding="utf-8"))]
    assert sorted(file for file, _ in ROWS) == sorted(str(p.relative_to(ROOT)) for p in found)


def test_the_tests_that_are_named_exist() -> None:
    assert ROWS
    for file, tests in ROWS:
        names = re.findall(r"`((?:src|tests)/[^`]+)`", tests)
        assert all((ROOT / name).exists() for name in names), file
        own = "in the file" in tests
        assert not own or "#[test]" in (ROOT / file).read_text(encoding="utf-8"), file
        assert names or own or tests == "every test", file
