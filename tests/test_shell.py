"""The command `logitkit`: figures of files in each format, exit codes, what it says of mistakes."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import safetensors.numpy

import logitkit
from logitkit._shell import main
from tests.support import Array, random_logits, rng_of

CLASSES = 7


@pytest.fixture(name="data")
def fixture_data() -> tuple[Array, Array]:
    x = random_logits(rng_of("shell"), (500, CLASSES), np.float32)
    y = rng_of("targets").integers(0, CLASSES, 500)
    y[::10] = -100
    return x, y


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that is to succeed; give what it prints."""
    assert main([str(argument) for argument in arguments]) == 0
    out, err = capsys.readouterr()
    assert not err
    return out


def save(folder: Path, form: str, x: Array, y: Array) -> tuple[str, str]:
    """Save logits and targets in a format; give what to call them by."""
    if form == "npy":
        np.save(folder / "x.npy", x)
        np.save(folder / "y.npy", y)
        return str(folder / "x.npy"), str(folder / "y.npy")
    if form == "npz":
        np.savez(folder / "both.npz", logits=x, labels=y)
        return f"{folder / 'both.npz'}:logits", f"{folder / 'both.npz'}:labels"
    if form == "safetensors":
        safetensors.numpy.save_file({"logits": x, "labels": y}, folder / "both.safetensors")
        return f"{folder / 'both.safetensors'}:logits", f"{folder / 'both.safetensors'}:labels"
    columns = {f"class {c}": x[:, c] for c in range(CLASSES)}
    pa.parquet.write_table(pa.table(columns), folder / "x.parquet")
    pa.parquet.write_table(pa.table({"id": np.arange(len(y)), "y": y}), folder / "y.parquet")
    return str(folder / "x.parquet"), f"{folder / 'y.parquet'}:y"


@pytest.mark.parametrize("form", ["npy", "npz", "safetensors", "parquet"])
def test_figures_of_files(
    form: str,
    data: tuple[Array, Array],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("logitkit._shell._READ", 70 * CLASSES)
    files = save(tmp_path, form, *data)
    evaluation = logitkit.Evaluation(k=(1, 3), ignore_index=-100)
    evaluation.update(*data)
    want = evaluation.result()
    options = ("--ignore-index", "-100", "--top-k", "1,3")
    got = json.loads(run(capsys, "evaluate", *files, *options, "--json"))
    assert got == want.as_dict()
    table = run(capsys, "evaluate", *files, *options)
    assert re.search(rf"^cross entropy +{want.cross_entropy:.6g} nats$", table, re.MULTILINE)
    assert re.search(rf"^top-3 accuracy +{100 * want.accuracy[3]:.2f} %$", table, re.MULTILINE)
    bits = run(capsys, "evaluate", *files, *options, "--bits")
    assert f"{want.bits:.6g} bits" in bits


def test_temperature_probabilities_and_plot(
    data: tuple[Array, Array], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y = data[0] * 4, data[0].argmax(axis=1)
    y[::3] = data[1][::3]
    files = save(tmp_path, "npy", x, y)
    options = ("--ignore-index", "-100", "--temperature", "fit")
    fit = logitkit.fit_temperature(x, y, ignore_index=-100)
    got = json.loads(run(capsys, "evaluate", *files, *options, "--json"))
    assert got["temperature"]["temperature"] == fit.temperature
    assert f"{fit.temperature:.6g}" in run(capsys, "evaluate", *files, *options)
    np.save(tmp_path / "p.npy", logitkit.softmax(x))
    picture = tmp_path / "reliability.png"
    run(
        capsys, "evaluate", tmp_path / "p.npy", files[1], "--probs", "--ignore-index", "-100",
        "--plot", picture,
    )  # fmt: skip
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    printed = run(capsys, "info")
    assert logitkit.__version__ in printed
    assert logitkit.simd_level() in printed


def test_mistakes_are_one_line(
    data: tuple[Array, Array], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y = save(tmp_path, "npy", *data)
    both = save(tmp_path, "npz", *data)[0].rsplit(":", 1)[0]
    np.save(tmp_path / "short.npy", data[1][:9])
    np.save(tmp_path / "flat.npy", data[0][0])
    (tmp_path / "broken.npy").write_bytes(b"no array")
    (tmp_path / "x.csv").write_text("1,2")
    mistakes = [
        ((tmp_path / "none.npy", y), "there is no file .*none.npy"),
        ((x, tmp_path / "short.npy"), "9 targets, but .* 500 rows"),
        ((x, y), r"targets\[0\] is -100.*7 classes"),
        ((both, y), "more than one array; write .*NAME is one of: logits, labels"),
        ((f"{both}:other", y), "no array other"),
        ((tmp_path / "broken.npy", y), "cannot be read as .npy"),
        ((tmp_path / "x.csv", y), "no known format"),
        ((tmp_path / "flat.npy", y), r"shape \[7\], expected rows"),
        ((x, y, "--ignore-index", "-100", "--probs"), r"expected a value in \[0, 1\]"),
        ((x, y, "--probs", "--temperature", "fit"), "--temperature is for logits"),
    ]
    for arguments, message in mistakes:
        assert main(["evaluate", *map(str, arguments)]) == 2
        out, err = capsys.readouterr()
        assert not out
        assert re.fullmatch(rf"logitkit: .*{message}.*\n", err), err
    with pytest.raises(SystemExit) as end:
        main(["evaluate", x, y, "--top-k", "one"])
    assert end.value.code == 2


# As a process


def command(*arguments: object, **options: Any) -> subprocess.Popen[str]:  # noqa: ANN401
    return subprocess.Popen(
        [sys.executable, "-m", "logitkit", *map(str, arguments)], text=True, **options
    )


def test_the_module_runs(data: tuple[Array, Array], tmp_path: Path) -> None:
    files = save(tmp_path, "npy", *data)
    process = command("evaluate", *files, "--ignore-index", "-100", stdout=subprocess.PIPE)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.startswith("rows ")


def test_long_work_shows_progress_and_ends_by_ctrl_c(tmp_path: Path) -> None:
    """A sparse file of many gigabytes: longer than anybody waits, and larger than the memory."""
    pty: Any = pytest.importorskip("pty", reason="terminals are of POSIX")
    path = tmp_path / "x.npy"
    rows, classes = 4_000_000, 5_000
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (rows, classes)}
        )
        file.truncate(file.tell() + 4 * rows * classes)
    np.save(tmp_path / "y.npy", np.zeros(rows, np.int32))
    terminal, end = pty.openpty()
    process = command("evaluate", path, tmp_path / "y.npy", stderr=end, stdout=subprocess.PIPE)
    os.close(end)
    shown = b""
    while b"of 4,000,000 rows" not in shown:
        shown += os.read(terminal, 1000)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    os.close(terminal)
    assert process.returncode == 130
