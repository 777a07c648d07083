"""Draw the figures of the documentation.

Every figure of `docs/` is made here, from logitkit's own results, and nothing
else is. Run `python docs/figures/make_figures.py`; the pictures are written
beside this file, or into the folder given by `--output`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

import logitkit
from logitkit._evaluation import EvaluationResult

HERE = Path(__file__).resolve().parent

# A bin of fewer rows says little.
FEW = 20

# Colours that stay apart for colour-blind readers.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"


def bars(axes: Axes, values: NDArray[np.float64], title: str, colour: str) -> None:
    """Draw one bar per class with its value above or below it."""
    names = [f"class {i}" for i in range(len(values))]
    drawn = axes.bar(names, values, color=colour, width=0.6)
    axes.bar_label(drawn, fmt="%.3g", padding=3)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set_title(title, pad=12)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0)
    axes.margins(y=0.12)


def draw_softmax() -> Figure:
    """Draw three logits, their exponentials and their softmax side by side."""
    logits = np.array([2.0, 1.0, -1.0])
    figure = Figure(figsize=(10, 3.4), layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.08))
    left, middle, right = figure.subplots(1, 3)
    bars(left, logits, "logits $z$", BLUE)
    bars(middle, np.exp(logits), r"exponentials $e^{z}$", GREEN)
    bars(right, logitkit.softmax(logits), "softmax: shares of their sum", ORANGE)
    # Room for the class names below the one bar that points down.
    left.set_ylim(-1.6, 2.5)
    right.set_ylim(0, 1)
    return figure


def draw_log_loss() -> Figure:
    """Draw the loss against the probability of the true class."""
    curve = np.linspace(0.02, 1, 400)
    points = np.array([0.6, 0.3, 0.1])
    # The loss of a row of logits log(p), log(1 - p) is that of a class of probability p.
    rows = np.log(np.stack([points, 1 - points], axis=1))
    losses = logitkit.cross_entropy(rows, np.zeros(3, np.int64), reduction="none")
    figure = Figure(figsize=(7, 4), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
    axes = figure.subplots()
    axes.plot(curve, -np.log(curve), color=BLUE, linewidth=2)
    axes.plot(points, losses, "o", color=ORANGE, markersize=8)
    for p, loss in zip(points, losses, strict=True):
        axes.annotate(
            f"$-\\log\\,{p:.1f}$ = {loss:.3f}",
            (p, loss),
            xytext=(10, 6),
            textcoords="offset points",
        )
    axes.set(
        title="The worse the guess, the larger the loss",
        xlabel="probability given to the true class",
        ylabel="loss",
        xlim=(0, 1.02),
        ylim=(0, 4),
    )
    axes.grid(alpha=0.3)
    return figure


def reliability(axes: Axes, result: EvaluationResult, title: str) -> None:
    """Draw the accuracy of each bin against its confidence, and what is missing."""
    table = result.reliability
    width = float(table.edges[1])
    many = table.count >= FEW
    middles = (table.edges[:-1] + width / 2)[many]
    accuracy, gap = table.accuracy[many], (table.confidence - table.accuracy)[many]
    axes.bar(middles, accuracy, 0.94 * width, color=BLUE, label="accuracy")
    axes.bar(
        middles, gap, 0.94 * width, accuracy, color=ORANGE, alpha=0.6, label="gap to confidence"
    )
    axes.plot([0, 1], [0, 1], "--", color=GREY, label="as sure as right")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", aspect="equal")
    axes.set_title(f"{title}: calibration error {100 * result.ece:.1f} %")


def draw_reliability() -> Figure:
    """Draw a model that is too sure of itself, and the same one divided by its temperature."""
    rng = np.random.default_rng(0)
    true = 2 * rng.standard_normal((10_000, 10))
    below = logitkit.softmax(true).cumsum(axis=1) < rng.random((10_000, 1))
    targets = below.sum(axis=1).clip(max=9)
    temperature = logitkit.fit_temperature(3 * true, targets).temperature
    figure = Figure(figsize=(9, 4.6), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, divisor, title in [(left, 1.0, "logits"), (right, temperature, "divided")]:
        evaluation = logitkit.Evaluation()
        evaluation.update(3 * true / divisor, targets)
        reliability(axes, evaluation.result(), title)
    left.set_ylabel("accuracy")
    left.legend(loc="upper left")
    return figure


FIGURES = {
    "softmax": draw_softmax,
    "log-loss": draw_log_loss,
    "reliability": draw_reliability,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write every figure."""
    parser = argparse.ArgumentParser(description="Draw the figures of the documentation.")
    parser.add_argument("--output", type=Path, default=HERE, help="the folder to write them to")
    folder: Path = parser.parse_args(arguments).output
    folder.mkdir(parents=True, exist_ok=True)
    # Written out in the call, the names of the settings are checked by the type checker.
    style = mpl.rc_context(
        {
            "font.size": 11,
            "axes.titlesize": 12,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "savefig.dpi": 120,
        }
    )
    with style:
        for name, draw in FIGURES.items():
            # Without the version of matplotlib, equal pictures are equal files.
            draw().savefig(folder / f"{name}.png", metadata={"Software": None})
            print(folder / f"{name}.png")


if __name__ == "__main__":
    main()
