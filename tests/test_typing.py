"""The type stubs: what they promise comes back, and what they forbid is reported.

The calls stand in `tests/typing`. Whether the stubs have the signatures of the built module is
checked by stubtest, not here.
"""

import inspect
import json
import os
import re
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np
import pytest
from numpy.typing import NDArray

import logitkit
from tests.typing import accepted

ROOT = Path(__file__).parents[1]
CALLS = ROOT / "tests" / "typing"
EXPECTED_ERROR = re.compile(r"  # type: ignore\[([a-z-]+)\]$")
REPORTED_ERROR = re.compile(r"^(?P<path>.*?):(?P<line>\d+): error: .*\[(?P<code>[a-z-]+)\]$")


def run_mypy(cache: Path, *paths: Path) -> subprocess.CompletedProcess[str]:
    """Check `paths` strictly against the stubs of this tree, whatever is installed."""
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--hide-error-context",
    ]
    return subprocess.run(
        [*command, "--cache-dir", str(cache), *map(str, paths)],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(ROOT / "python")},
        capture_output=True,
        text=True,
        check=False,
    )


def conforms(value: object, expected: Any) -> bool:  # noqa: ANN401 - a type is any object
    """Whether `value` is what the annotation `expected` says, down to the dtype of an array."""
    origin, args = get_origin(expected), get_args(expected)
    if expected is Any:
        return True
    if origin in {Union, types.UnionType}:
        return any(conforms(value, arg) for arg in args)
    if origin is Literal:
        return value in args
    if origin is tuple:
        return type(value) is tuple and len(value) == len(args) and all(map(conforms, value, args))
    if origin is np.ndarray:
        (scalar,) = get_args(args[1])
        return isinstance(value, np.ndarray) and scalar in {Any, value.dtype.type}
    return type(value) is expected


@pytest.mark.parametrize(
    "value, expected, right",
    [
        (np.float32(1), np.float32, True),
        (np.float64(1), np.float32, False),
        (np.float64(1), float, False),
        (np.zeros(2), NDArray[np.float64], True),
        (np.zeros(2), NDArray[np.float32], False),
        (np.float64(1), NDArray[np.float64], False),
        (np.zeros(2), NDArray[Any], True),
        (np.float64(1), NDArray[Any], False),
        (np.float64(1), Any, True),
        (np.zeros(2), NDArray[np.float64] | np.float64, True),
        ((np.float64(1), np.zeros(2)), tuple[np.float64, NDArray[np.float64]], True),
        ((np.float64(1), np.zeros(2)), tuple[np.float64, np.float64], False),
        ("avx2", Literal["avx2", "neon"], True),
        ("avx3", Literal["avx2", "neon"], False),
    ],
)
def test_the_comparison_with_a_type_tells_right_from_wrong(
    value: object, expected: object, right: bool
) -> None:
    assert conforms(value, expected) is right


@pytest.mark.parametrize(
    "make_calls",
    [
        pytest.param(function, id=name)
        for name, function in inspect.getmembers(accepted, inspect.isfunction)
        if function.__module__ == accepted.__name__ and not name.startswith("_")
    ],
)
def test_results_have_the_types_of_the_stubs(
    make_calls: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(value: object, expected: object) -> None:
        assert conforms(value, expected), f"{value!r} is no {expected}"

    monkeypatch.setattr(accepted, "assert_type", check)
    make_calls()


def test_every_public_function_is_among_the_calls() -> None:
    text = (CALLS / "accepted.py").read_text(encoding="utf-8")
    called = set(re.findall(r"logitkit\.(\w+)", text))
    assert called == set(logitkit.__all__)


def test_mypy_accepts_right_calls_and_rejects_wrong_ones(tmp_path: Path) -> None:
    wrong = (CALLS / "rejected.py").read_text(encoding="utf-8").splitlines()
    bare = tmp_path / "rejected.py"
    bare.write_text("\n".join(EXPECTED_ERROR.sub("", line) for line in wrong), encoding="utf-8")
    expected = {
        (number, found[1])
        for number, line in enumerate(wrong, 1)
        if (found := EXPECTED_ERROR.search(line))
    }

    result = run_mypy(tmp_path / "cache", CALLS / "accepted.py", bare)

    reports = [
        REPORTED_ERROR.match(line) for line in result.stdout.splitlines() if ": error:" in line
    ]
    reported = [(Path(r["path"]).name, int(r["line"]), r["code"]) for r in reports if r]
    assert len(reported) == len(reports), result.stdout
    assert [report for report in reported if report[0] != "rejected.py"] == []
    assert {report[1:] for report in reported} == expected, result.stdout + result.stderr
    assert len(expected) > 50


def test_pyright_agrees(tmp_path: Path) -> None:
    """Each right call is accepted strictly, and a comment that expects no error is one itself."""
    settings = {
        "typeCheckingMode": "strict",
        "enableTypeIgnoreComments": True,
        "reportUnnecessaryTypeIgnoreComment": "error",
        "include": [str(CALLS)],
        "extraPaths": [str(ROOT / "python")],
    }
    project = tmp_path / "pyrightconfig.json"
    project.write_text(json.dumps(settings), encoding="utf-8")
    options = ["--project", str(project), "--pythonpath", sys.executable, "--outputjson"]
    result = subprocess.run(
        [sys.executable, "-m", "basedpyright", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(result.stdout)
    assert report["summary"]["filesAnalyzed"] == 3
    assert report["generalDiagnostics"] == []
