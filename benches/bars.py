"""Draw pairs of times as bars, for the pages of `docs/` that tell of them."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

# Colours that stay apart for colour-blind readers.
BLUE, ORANGE = "#0072B2", "#D55E00"


def draw(path: Path, peer: str, rows: Sequence[tuple[str, float, float]]) -> None:
    """Draw a pair of bars for each name: how long logitkit and a peer take, in seconds."""
    height = 0.7 + 0.75 * len(rows)
    figure = Figure(figsize=(8, height), layout=ConstrainedLayoutEngine(h_pad=0.08))
    axes = figure.subplots()
    names, ours, theirs = zip(*rows, strict=True)
    for times, offset, colour, who in [(ours, 0.2, BLUE, "logitkit"), (theirs, -0.2, ORANGE, peer)]:
        places = [-place + offset for place in range(len(rows))]
        bars = axes.barh(places, [1e3 * time for time in times], 0.38, color=colour, label=who)
        axes.bar_label(bars, fmt="%.3g ms", padding=4)
    axes.set_yticks([-place for place in range(len(rows))], names)
    axes.set_xlabel("milliseconds")
    axes.margins(x=0.14)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    with mpl.rc_context({"svg.hashsalt": path.name}):
        figure.savefig(path, metadata={"Date": None, "Creator": None})
