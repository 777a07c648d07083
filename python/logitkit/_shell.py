"""The command `logitkit`: evaluate files of logits, and tell what runs.

Here belong arguments, what is printed, and exit codes: 0; 2 with one line on stderr for what is
wrong with the arguments or files; 130 after Ctrl-C.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from logitkit import _core
from logitkit._evaluation import Evaluation, EvaluationResult
from logitkit._files import Rows, UnreadableError, array_of, rows_of, step_for
from logitkit._rows import indices_of
from logitkit._temperature import TemperatureFit, fit_temperature

# Elements that are read at a time: some megabytes.
_READ = 1 << 21

# Progress is shown of what takes longer, in seconds, and so often.
_PATIENCE = 1.0
_PACE = 0.1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        sys.stderr.close()
        return 0
    except (UnreadableError, ValueError, IndexError, TypeError, OSError, MemoryError) as error:
        sys.stderr.write(f"logitkit: {' '.join(str(error).split()) or type(error).__name__}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="logitkit", description="Evaluate saved logits.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    evaluate = commands.add_parser(
        "evaluate",
        help="loss, accuracy and calibration of a file of logits",
        description="Loss, accuracy and calibration of a file of logits. Files are .npy, which may "
        "be larger than the memory, .npz, .safetensors and .parquet (one column for each class); "
        "FILE:NAME names one array, or column of targets, of several.",
    )
    evaluate.add_argument("logits", metavar="LOGITS", help="rows of logits, classes last")
    evaluate.add_argument("targets", metavar="TARGETS", help="a class index for each row")
    evaluate.add_argument("--probs", action="store_true", help="LOGITS holds probabilities")
    evaluate.add_argument(
        "--ignore-index", type=int, metavar="N", help="leave rows of this target out"
    )
    evaluate.add_argument(
        "--top-k", type=_list, default=(1, 5), metavar="K,...", help="default 1,5"
    )
    evaluate.add_argument("--bits", action="store_true", help="the loss in bits, not in nats")
    evaluate.add_argument("--json", action="store_true", help="all figures as JSON")
    evaluate.add_argument("--plot", metavar="FILE", help="draw the reliability diagram")
    evaluate.add_argument("--temperature", choices=["fit"], help="also find the best temperature")
    evaluate.set_defaults(run=_evaluate)
    info = commands.add_parser("info", help="version, instruction set and threads")
    info.set_defaults(run=_info)
    return parser


def _list(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of ints, such as 1,5") from None


def _info(_: argparse.Namespace) -> int:
    sys.stdout.write(
        f"logitkit {_core.__version__}\ninstruction set {_core.simd_level()}\n"
        f"threads {_core.get_num_threads()}\n"
    )
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    if options.temperature and options.probs:
        raise ValueError("--temperature is for logits, which --probs says these are not")
    rows = rows_of(options.logits)
    targets = array_of(options.targets)
    targets = targets.reshape(-1)
    if len(targets) != rows.count:
        raise ValueError(
            f"{options.targets} has {len(targets)} targets, but {options.logits} {rows.count} "
            f"rows; give one for each"
        )
    # Beforehand, so that a wrong one is named by its place among all.
    indices_of(targets, targets.shape, rows.classes, options.ignore_index)
    evaluation = Evaluation(
        k=options.top_k, ignore_index=options.ignore_index, from_probs=options.probs
    )
    done, progress = 0, _Progress(rows.count)
    for block in rows.blocks(step_for(rows, _READ)):
        evaluation.update(block, targets[done : done + len(block)])
        done += len(block)
        progress.show(done)
    progress.end()
    result, fit = evaluation.result(), None
    if options.temperature:
        fit = fit_temperature(_whole(rows), targets, ignore_index=options.ignore_index)
    if options.plot:
        _plot(result, options.plot)
    sys.stdout.write(
        _as_json(result, fit) if options.json else _table(result, fit, in_bits=options.bits)
    )
    sys.stdout.flush()
    return 0


def _whole(rows: Rows) -> Any:  # noqa: ANN401 - an array or a memory map
    """Give all rows: a map of the file if it is one block of it, else a copy in memory."""
    blocks = list(rows.blocks(max(1, rows.count)))
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


class _Progress:
    """A line on a terminal's stderr, of what takes long."""

    def __init__(self, total: int) -> None:
        self._total, self._start, self._last = total, time.monotonic(), 0.0

    def show(self, done: int) -> None:
        now = time.monotonic()
        if sys.stderr.isatty() and now - self._start > _PATIENCE and now - self._last > _PACE:
            self._last = now
            filled = 30 * done // max(1, self._total)
            bar = "#" * filled + "-" * (30 - filled)
            sys.stderr.write(f"\r[{bar}] {done:,} of {self._total:,} rows")
            sys.stderr.flush()

    def end(self) -> None:
        if self._last:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _as_json(result: EvaluationResult, fit: TemperatureFit | None) -> str:
    figures = result.as_dict()
    if fit is not None:
        figures["temperature"] = asdict(fit)
    return json.dumps(figures, allow_nan=False) + "\n"


def _table(result: EvaluationResult, fit: TemperatureFit | None, *, in_bits: bool) -> str:
    loss = f"{result.bits:.6g} bits" if in_bits else f"{result.cross_entropy:.6g} nats"
    lines = [
        ("rows", f"{result.count:,}"),
        ("cross entropy", loss),
        ("perplexity", f"{result.perplexity:.6g}"),
        *((f"top-{k} accuracy", f"{100 * share:.2f} %") for k, share in result.accuracy.items()),
        ("Brier score", f"{result.brier:.6g}"),
        ("calibration error", f"{100 * result.ece:.2f} %"),
    ]
    if fit is not None:
        lines += [
            ("best temperature", f"{fit.temperature:.6g}"),
            ("cross entropy with it", f"{fit.loss_after:.6g} nats"),
        ]
    width = max(len(name) for name, _ in lines)
    return "".join(f"{name:<{width}}  {figure}\n" for name, figure in lines)


def _plot(result: EvaluationResult, path: str) -> None:
    try:
        # Not at the top: it takes longer to import than all else together.
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise UnreadableError(
            "--plot needs the package matplotlib: pip install matplotlib, or 'logitkit[shell]'"
        ) from error
    table = result.reliability
    width = table.edges[1]
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    middles, accuracy = table.edges[:-1] + width / 2, np.nan_to_num(table.accuracy)
    axes.bar(middles, accuracy, width * 0.95, color="#4477aa", label="accuracy")
    gap = np.nan_to_num(table.confidence) - accuracy
    axes.bar(
        middles, gap, width * 0.95, accuracy, color="#ee6677", alpha=0.5, label="gap to confidence"
    )
    axes.plot([0, 1], [0, 1], "--", color="gray", label="as sure as right")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy")
    axes.set_title(f"calibration error {100 * result.ece:.1f} % of {result.count:,} rows")
    axes.legend(loc="upper left")
    figure.savefig(path)
