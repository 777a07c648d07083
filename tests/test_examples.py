"""The example that trains on real digits, its data, and the script that draws the figures.

They are run as a reader would run them, in a process of their own: they have to learn, to report
and to draw. The numerics of logitkit are tested elsewhere; the chain rule of the network is the
example's own.
"""

import contextlib
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray

from tests.support import finite_differences

TOP = Path(__file__).resolve().parents[1]
DIGITS = TOP / "examples" / "digits.py"
FIGURES = TOP / "docs" / "figures" / "make_figures.py"
FIGURE_NAMES = ["softmax.png", "log-loss.png", "reliability.png"]


def command(script: Path, *options: object) -> list[str]:
    # A warning would be the first thing that a newcomer reads.
    return [sys.executable, "-W", "error", str(script), *map(str, options)]


def run(script: Path, *options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(script, *options), capture_output=True, text=True, check=True)


def figure_in(report: str, name: str) -> float:
    """Read a number from a line of the report, a percentage as a share."""
    found = re.search(rf"^{name} +([\d.]+)(%?)$", report, re.MULTILINE)
    assert found, report
    return float(found[1]) / (100 if found[2] else 1)


def assert_drawn(picture: Path, width: int, height: int) -> None:
    pixels = imread(picture)
    assert pixels.shape[0] >= height
    assert pixels.shape[1] >= width
    colours = np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)
    assert len(colours) > 20, "the picture is blank"


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Name a picture in a folder that does not exist yet."""
    return tmp_path_factory.mktemp("digits") / "new folder" / "digits.png"


@pytest.fixture(scope="module")
def trained(picture: Path) -> subprocess.CompletedProcess[str]:
    """Train once with the default options."""
    return run(DIGITS, "--output", picture)


def test_the_data_are_whole() -> None:
    table = np.loadtxt(TOP / "examples" / "data" / "digits.csv", delimiter=",", dtype=np.int64)
    assert table.shape == (1797, 65)
    pixels, labels = table[:, :64], table[:, 64]
    assert (pixels.min(), pixels.max()) == (0, 16)
    # The counts that the source gives for its test set.
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_chain_rule_agrees_with_finite_differences(rng: np.random.Generator) -> None:
    example = runpy.run_path(str(DIGITS))
    network = example["Network"](5, 4, rng)
    names = ["w1", "b1", "w2", "b2"]
    for name in names:
        setattr(network, name, rng.normal(size=getattr(network, name).shape))
    batch = example["Digits"](rng.random((6, 5)), np.array([0, 3, 9, 3, 1, 7]))
    hidden = network.hidden(batch.images)
    assert (hidden > 0).any()
    assert (hidden == 0).any(), "relu stops nothing, and its derivative goes untested"
    _, gradients = network.loss_and_gradients(batch)

    for name, gradient in zip(names, gradients, strict=True):
        start = getattr(network, name)

        def loss_at(moved: NDArray[np.float64], name: str = name) -> float:
            setattr(network, name, moved)
            loss: float = network.loss_and_gradients(batch)[0]
            return loss

        expected = finite_differences(loss_at, start)
        setattr(network, name, start)
        np.testing.assert_allclose(gradient, expected, atol=1e-8, rtol=1e-6)


def test_it_reads_96_percent_of_the_test_digits(trained: subprocess.CompletedProcess[str]) -> None:
    assert figure_in(trained.stdout, "test images") == 450
    assert figure_in(trained.stdout, "top-1 accuracy") >= 0.96
    assert figure_in(trained.stdout, "top-3 accuracy") >= 0.99


def test_perplexity_is_the_exponential_of_the_loss(
    trained: subprocess.CompletedProcess[str],
) -> None:
    loss = figure_in(trained.stdout, "test loss")
    assert figure_in(trained.stdout, "perplexity") == pytest.approx(np.exp(loss), abs=2e-4)


def test_it_draws_the_picture_and_says_where(
    trained: subprocess.CompletedProcess[str], picture: Path
) -> None:
    assert trained.stdout.splitlines()[-1].split(maxsplit=1) == ["picture", str(picture)]
    assert_drawn(picture, width=1200, height=800)


def test_progress_in_a_log_file_is_a_few_lines(trained: subprocess.CompletedProcess[str]) -> None:
    # matplotlib may say on the same stream that it makes its font cache.
    lines = [line for line in trained.stderr.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["6/30", "12/30", "18/30", "24/30", "30/30"]
    assert "\r" not in trained.stderr


def test_progress_on_a_terminal_is_a_bar(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty", reason="needs a system with pseudo-terminals")
    reader, terminal = pty.openpty()
    arguments = command(DIGITS, "--epochs", 2, "--output", tmp_path / "digits.png")
    subprocess.run(arguments, stderr=terminal, stdout=subprocess.DEVNULL, check=True)
    os.close(terminal)
    shown = b""
    # Linux ends a closed terminal with an error, other systems with nothing more to read.
    with contextlib.suppress(OSError):
        while part := os.read(reader, 1024):
            shown += part
    os.close(reader)
    assert b"\r[###############...............] 1/2  loss: " in shown
    assert b"\r[##############################] 2/2  loss: " in shown


def test_the_seed_decides_the_result(tmp_path: Path) -> None:
    first, again, other = (
        run(DIGITS, "--epochs", 1, "--seed", seed, "--output", tmp_path / "digits.png").stdout
        for seed in (5, 5, 6)
    )
    assert first == again
    assert first != other


def test_unseen_hands_are_harder(trained: subprocess.CompletedProcess[str], tmp_path: Path) -> None:
    split = run(DIGITS, "--split", "last-quarter", "--output", tmp_path / "digits.png").stdout
    accuracy = figure_in(split, "top-1 accuracy")
    assert 0.9 <= accuracy < figure_in(trained.stdout, "top-1 accuracy")


@pytest.mark.parametrize("option", ["--epochs", "--hidden"])
def test_a_size_of_zero_is_refused(option: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as error:
        run(DIGITS, option, 0)
    assert error.value.returncode == 2
    assert f"argument {option}: 0 is less than 1" in error.value.stderr


def test_the_figures_can_be_drawn_again(tmp_path: Path) -> None:
    run(FIGURES, "--output", tmp_path)
    for name in FIGURE_NAMES:
        assert_drawn(tmp_path / name, width=800, height=350)


def test_every_figure_is_shown_and_small() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (TOP / "docs").glob("*.md"))
    assert sorted(path.name for path in FIGURES.parent.glob("*.png")) == sorted(FIGURE_NAMES)
    for name in FIGURE_NAMES:
        assert f"](figures/{name})" in pages
        assert (FIGURES.parent / name).stat().st_size < 100_000
