"""Draw what `benches/compare.py --json FILE` measured: `python benches/chart.py FILE`.

One panel for each operation, one line for each array: the time of every peer, and of moving the
arrays, as a multiple of logitkit's.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

HERE = Path(__file__).resolve().parent

OPERATIONS = ("softmax(out=)", "cross_entropy", "cross_entropy_and_grad(out=)")

# Colours that stay apart for colour-blind readers. The paper is drawn too: ink on a transparent
# ground would be lost on either a light or a dark page.
BLUE, ORANGE, INK, GREY, FAINT, PAPER = (
    "#0072B2",
    "#D55E00",
    "#1f2328",
    "#57606a",
    "#d8dee4",
    "#ffffff",
)
# The figures of a column over logitkit's time, with the marker they get.
PEERS = {"torch": ("o", ORANGE), "jax": ("D", BLUE)}
TIMES = "\N{MULTIPLICATION SIGN}"
# From here on a time reads better as 250 than as 2.5e+02, below as 1.5 than as 1.
WHOLE = 10
# Heights of a case's line and of the title over a regime's cases, and the gap before the title.
CASE_HEIGHT, TITLE_HEIGHT, GAP = 1.0, 0.95, 0.4


@dataclass(frozen=True)
class Row:
    """One array: for each operation its figures over logitkit's time, by column."""

    regime: str
    array: str
    operations: Mapping[str, Mapping[str, float]]


def rows(cases: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Read the cases that are drawn: float32, and operations on rows."""
    found: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    for case in cases:
        dtype, _, array = case["array"].partition("/")
        if dtype != "float32" or case["operation"] not in OPERATIONS:
            continue
        figures = {name: figure["value"] for name, figure in case["figures"].items()}
        if "limit" in figures:
            # logitkit's time is given as a multiple of the limit.
            figures["limit"] = 1 / figures["limit"]
        found.setdefault((case["regime"], array), {})[case["operation"]] = figures
    return [Row(regime, array, operations) for (regime, array), operations in found.items()]


def places(drawn: Sequence[Row]) -> tuple[list[float], dict[str, float]]:
    """Give the height of each row, downwards, and of the title over each regime."""
    heights: list[float] = []
    titles: dict[str, float] = {}
    height = 0.0
    for row in drawn:
        if row.regime not in titles:
            height += GAP if titles else 0
            titles[row.regime] = height
            height += TITLE_HEIGHT
        heights.append(height)
        height += CASE_HEIGHT
    return heights, titles


def draw_panel(axes: Axes, operation: str, drawn: Sequence[Row], heights: Sequence[float]) -> None:
    """Draw one operation: a line from logitkit's time to the peers', and what memory allows."""
    axes.axvline(1, color=INK, linewidth=1.6, zorder=1)
    for row, height in zip(drawn, heights, strict=True):
        figures = row.operations.get(operation, {})
        peers = {name: figures[name] for name in PEERS if name in figures}
        if peers:
            ends = [*peers.values(), 1.0]
            axes.plot([min(ends), max(ends)], [height] * 2, color=FAINT, linewidth=2.5, zorder=0)
        if "limit" in figures:
            limit = figures["limit"]
            axes.plot([limit] * 2, [height - 0.36, height + 0.36], color=GREY, linewidth=2.2)
        for name, value in peers.items():
            marker, colour = PEERS[name]
            axes.plot(
                value, height, marker, color=colour, markersize=6.5, markeredgecolor=PAPER, zorder=3
            )
        if peers:
            furthest = max(peers.values())
            axes.annotate(
                f"{furthest:.0f}" if furthest >= WHOLE else f"{furthest:.1f}",
                (furthest, height),
                (6, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=GREY,
            )
    axes.set_title(operation, fontsize=10.5, family="monospace", loc="left", pad=8)
    axes.set_xscale("log")
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}{TIMES}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="both", colors=GREY, labelsize=8.5, length=0)
    axes.tick_params(axis="y", length=0, labelsize=9)
    for spine in axes.spines.values():
        spine.set_visible(False)


def legend() -> list[Line2D]:
    """Explain the markers."""
    marks = [
        Line2D([], [], color=colour, marker=marker, linestyle="", markersize=6.5, label=name)
        for name, (marker, colour) in PEERS.items()
    ]
    bars = [
        Line2D([], [], color=c, marker="|", linestyle="", markersize=12, markeredgewidth=w, label=n)
        for n, c, w in (("logitkit", INK, 1.6), ("moving the arrays", GREY, 2.2))
    ]
    return [bars[0], *marks, bars[1]]


def draw(content: Mapping[str, Any]) -> Figure:
    """Draw all panels."""
    drawn = rows(content["cases"])
    if not drawn:
        raise SystemExit("nothing to draw: the file has none of " + ", ".join(OPERATIONS))
    heights, titles = places(drawn)
    figure = Figure(
        figsize=(11, 1.9 + 0.235 * max(heights)),
        facecolor=PAPER,
        layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08, rect=(0, 0.04, 1, 0.89)),
    )
    panels = figure.subplots(1, len(OPERATIONS), sharex=True, sharey=True)
    for axes, operation in zip(panels, OPERATIONS, strict=True):
        draw_panel(axes, operation, drawn, heights)
    first = panels[0]
    low, high = first.get_xlim()
    # Room for the number beside the last marker.
    first.set_xlim(min(low, 0.4), max(high * 1.6, 12))
    first.set_ylim(max(heights) + 0.6, -0.6)
    ticks = [*heights, *titles.values()]
    names = [row.array.replace("x", TIMES) for row in drawn]
    first.set_yticks(ticks, [*(name.replace(f"a{TIMES}is", "axis") for name in names), *titles])
    for label in first.get_yticklabels()[len(heights) :]:
        label.set_fontweight("bold")
    figure.legend(
        handles=legend(), loc="upper right", ncols=4, frameon=False, fontsize=9.5, borderaxespad=0.6
    )
    figure.text(0.012, 0.985, "Time relative to logitkit", fontsize=13, fontweight="bold", va="top")
    machine = content["machine"]
    busy = any(not case["quiet"] for case in content["cases"])
    warning = "; measured while other programs ran" if busy else ""
    figure.text(
        0.012,
        0.012,
        f"float32, {machine['cpu']}, {machine['threads']} threads, {machine['simd_level']}; "
        "peers in their fastest form; log scale: to the right of 1, logitkit is the faster"
        + warning,
        fontsize=8.5,
        color=GREY,
    )
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the chart of a file."""
    parser = argparse.ArgumentParser(description="Draw what benches/compare.py --json measured.")
    parser.add_argument("measured", type=Path, help="the JSON file")
    parser.add_argument(
        "--output",
        type=Path,
        default=HERE.parent / "docs" / "figures" / "speed.svg",
        help="where the picture goes, as .svg or .png (default: docs/figures/speed.svg)",
    )
    options = parser.parse_args(arguments)
    content = json.loads(options.measured.read_text(encoding="utf-8"))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    # The same file for the same figures: no random names, and no date.
    mpl.rcParams["svg.hashsalt"] = "logitkit"
    metadata = {"Date": None} if options.output.suffix == ".svg" else {}
    draw(content).savefig(options.output, dpi=160, metadata=metadata)
    print(options.output)


if __name__ == "__main__":
    main()
