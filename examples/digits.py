"""Learn to read handwritten digits with NumPy and logitkit.

A network with one hidden layer looks at an image of 8x8 pixels and gives ten
numbers, the logits: one score per digit.

    hidden = relu(W1 . image + b1)
    logits = W2 . hidden + b2

Training makes the cross entropy of the logits small. logitkit computes it
together with its gradient; the rest of the gradient is the chain rule, written
out in `Network.loss_and_gradients`.

Run `python examples/digits.py`. It takes seconds and needs NumPy, matplotlib
and logitkit. `--help` lists the options.

Every fourth image is kept for the test, and about 98 % of them are read right.
The same people wrote the training images. `--split last-quarter` tests on the
hands of other people: that is harder, and about 93 % are read right.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

import logitkit

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]

HERE = Path(__file__).resolve().parent
CLASSES = 10
BATCH = 32
LEARNING_RATE = 0.1
MOMENTUM = 0.9

# Two colours that stay apart for colour-blind readers.
BLUE, ORANGE = "#0072B2", "#D55E00"
MISTAKES_SHOWN = 6


@dataclass
class Digits:
    """Images, one per row with values from 0 to 1, and the digits they show."""

    images: Floats
    labels: Labels


def load_digits(split: str) -> tuple[Digits, Digits]:
    """Read the data and divide it into a training set and a test set."""
    table = np.loadtxt(HERE / "data" / "digits.csv", delimiter=",", dtype=np.int64)
    images = (table[:, :64] / 16).astype(np.float32)
    labels = table[:, 64]
    position = np.arange(len(table))
    every_fourth = position % 4 == 0
    last_quarter = position >= len(table) * 3 // 4
    held_out = every_fourth if split == "every-fourth" else last_quarter
    return Digits(images[~held_out], labels[~held_out]), Digits(images[held_out], labels[held_out])


class Network:
    """Two fully connected layers with a relu between them."""

    def __init__(self, pixels: int, hidden: int, rng: np.random.Generator) -> None:
        """Start with small random weights, scaled to keep the size of the signal."""
        self.w1 = rng.normal(0, np.sqrt(2 / pixels), (hidden, pixels)).astype(np.float32)
        self.b1 = np.zeros(hidden, np.float32)
        self.w2 = rng.normal(0, np.sqrt(1 / hidden), (CLASSES, hidden)).astype(np.float32)
        self.b2 = np.zeros(CLASSES, np.float32)

    def parameters(self) -> list[Floats]:
        """Give everything that training changes."""
        return [self.w1, self.b1, self.w2, self.b2]

    def hidden(self, images: Floats) -> Floats:
        """Compute the hidden layer: relu(W1 . image + b1)."""
        hidden: Floats = np.maximum(logitkit.linear(images, self.w1, self.b1), 0)
        return hidden

    def logits(self, images: Floats) -> Floats:
        """Give ten scores per image."""
        return logitkit.linear(self.hidden(images), self.w2, self.b2)

    def loss_and_gradients(self, batch: Digits) -> tuple[float, list[Floats]]:
        """Compute the mean loss and its gradient for each of the parameters."""
        hidden = self.hidden(batch.images)
        logits = logitkit.linear(hidden, self.w2, self.b2)
        loss, d_logits = logitkit.cross_entropy_and_grad(logits, batch.labels)
        # The chain rule, backwards. relu passes the gradient on where it passed the signal on.
        d_hidden = (d_logits @ self.w2) * (hidden > 0)
        return float(loss), [
            d_hidden.T @ batch.images,
            d_hidden.sum(axis=0),
            d_logits.T @ hidden,
            d_logits.sum(axis=0),
        ]


class Progress:
    """A progress bar on a terminal, or a few plain lines in a log file."""

    def __init__(self, total: int) -> None:
        """Remember how many epochs there will be."""
        self.total = total
        self.on_terminal = sys.stderr.isatty()

    def show(self, epoch: int, text: str) -> None:
        """Tell that `epoch` epochs are done."""
        if self.on_terminal:
            filled = 30 * epoch // self.total
            bar = "#" * filled + "." * (30 - filled)
            end = "\n" if epoch == self.total else ""
            print(f"\r[{bar}] {epoch}/{self.total}  {text}", end=end, file=sys.stderr, flush=True)
        elif epoch == self.total or epoch % max(1, self.total // 5) == 0:
            print(f"epoch {epoch}/{self.total}  {text}", file=sys.stderr)


@dataclass
class History:
    """The mean loss on both sets after each epoch."""

    train: list[float]
    test: list[float]


def train(
    network: Network, training: Digits, test: Digits, epochs: int, rng: np.random.Generator
) -> History:
    """Train by gradient descent with momentum on small batches in random order."""
    history = History([], [])
    progress = Progress(epochs)
    parameters = network.parameters()
    velocities = [np.zeros_like(parameter) for parameter in parameters]
    for epoch in range(1, epochs + 1):
        order = rng.permutation(len(training.labels))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            batch = Digits(training.images[chosen], training.labels[chosen])
            _, gradients = network.loss_and_gradients(batch)
            for i, gradient in enumerate(gradients):
                velocities[i] = MOMENTUM * velocities[i] - LEARNING_RATE * gradient
                parameters[i] += velocities[i]
        history.train.append(mean_loss(network, training))
        history.test.append(mean_loss(network, test))
        progress.show(epoch, f"loss: train {history.train[-1]:.4f}, test {history.test[-1]:.4f}")
    return history


def mean_loss(network: Network, digits: Digits) -> float:
    """Compute the mean cross entropy of all the images."""
    return float(logitkit.cross_entropy(network.logits(digits.images), digits.labels))


def report(logits: Floats, labels: Labels) -> str:
    """Say in a few lines how good the predictions are."""
    loss = logitkit.cross_entropy(logits, labels)
    top_1 = logitkit.accuracy(logits, labels)
    top_3 = logitkit.accuracy(logits, labels, k=3)
    perplexity = logitkit.perplexity(logits, labels)
    return "\n".join(
        [
            f"test images     {len(labels)}",
            f"test loss       {loss:.4f}",
            f"top-1 accuracy  {top_1:.2%}",
            f"top-3 accuracy  {top_3:.2%}",
            f"perplexity      {perplexity:.4f}",
        ]
    )


def draw(history: History, logits: Floats, test: Digits, path: Path) -> None:
    """Put the loss curve, the confusion matrix and the worst mistakes in one picture."""
    with mpl.rc_context({"font.size": 11, "axes.titlesize": 13}):
        layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, hspace=0.04)
        figure = Figure(figsize=(13, 9.5), layout=layout)
        top, bottom = figure.subfigures(2, 1, height_ratios=[1.4, 1], squeeze=False)[:, 0]
        left, right = top.subplots(1, 2, width_ratios=[1.15, 1])
        draw_losses(left, history)
        draw_confusion(right, logits, test.labels)
        draw_mistakes(bottom, logits, test)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)


def draw_losses(axes: Axes, history: History) -> None:
    """Draw the loss after each epoch."""
    epochs = range(1, len(history.train) + 1)
    axes.plot(epochs, history.train, color=BLUE, label="training images")
    axes.plot(epochs, history.test, color=ORANGE, linestyle="--", label="test images")
    axes.set(title="Loss after each epoch", xlabel="epoch", ylabel="mean cross entropy (log scale)")
    axes.set_yscale("log")
    axes.grid(alpha=0.3)
    axes.legend()


def draw_confusion(axes: Axes, logits: Floats, labels: Labels) -> None:
    """Draw how often each digit was taken for each digit."""
    predicted = logitkit.top_k(logits, 1)[1][:, 0]
    counts = np.zeros((CLASSES, CLASSES), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    # The square root makes a single mistake visible beside fifty right answers.
    axes.imshow(counts, cmap="Blues", norm=PowerNorm(0.5))
    for (true, guess), count in np.ndenumerate(counts):
        if count > 0:
            colour = "white" if true == guess else "black"
            axes.text(guess, true, str(count), ha="center", va="center", color=colour)
    right = int(np.trace(counts))
    axes.set(
        title=f"Confusion matrix: {right} of {len(labels)} right",
        xlabel="predicted digit",
        ylabel="true digit",
        xticks=range(CLASSES),
        yticks=range(CLASSES),
    )


def draw_mistakes(figure: SubFigure, logits: Floats, test: Digits) -> None:
    """Draw the wrongly read images of largest loss with their three best guesses."""
    losses = logitkit.cross_entropy(logits, test.labels, reduction="none")
    wrong = np.flatnonzero(logitkit.top_k(logits, 1)[1][:, 0] != test.labels)
    worst = wrong[np.argsort(-losses[wrong])][:MISTAKES_SHOWN]
    probabilities, guesses = logitkit.top_k(logitkit.softmax(logits), 3)
    figure.suptitle(
        "The worst mistakes, each with its three best guesses (orange: the true digit)", fontsize=13
    )
    columns = figure.subplots(2, MISTAKES_SHOWN, height_ratios=[1.6, 1], squeeze=False)
    for axes in columns.flat:
        axes.set_axis_off()
    for picture, bars, index in zip(columns[0], columns[1], worst, strict=False):
        truth = int(test.labels[index])
        picture.imshow(test.images[index].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        picture.set_title(f"true: {truth}   loss: {losses[index]:.1f}", fontsize=11)
        bars.set_axis_on()
        colours = [ORANGE if guess == truth else BLUE for guess in guesses[index]]
        bars.barh([0, 1, 2], probabilities[index], color=colours)
        for row, share in enumerate(probabilities[index]):
            bars.text(share + 0.04, row, f"{100 * share:.3g} %", va="center", fontsize=10)
        bars.set(xlim=(0, 1.4), yticks=[0, 1, 2], yticklabels=guesses[index], xticks=[])
        bars.tick_params(length=0)
        bars.invert_yaxis()
        bars.spines[:].set_visible(False)


def positive(text: str) -> int:
    """Read a command-line number that has to be at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, report, and draw the picture."""
    parser = argparse.ArgumentParser(
        description="Train a small network to read handwritten digits.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--epochs", type=positive, default=30, help="times to go through the training images")
    add("--hidden", type=positive, default=64, help="size of the hidden layer")
    add("--seed", type=int, default=0, help="of the first weights and the order of the images")
    add(
        "--split",
        choices=["every-fourth", "last-quarter"],
        default="every-fourth",
        help="the images to test on; the last quarter is by other people than the rest",
    )
    add("--output", type=Path, default=HERE / "output" / "digits.png", help="the picture")
    options = parser.parse_args(arguments)

    training, test = load_digits(options.split)
    rng = np.random.default_rng(options.seed)
    network = Network(training.images.shape[1], options.hidden, rng)
    history = train(network, training, test, options.epochs, rng)
    logits = network.logits(test.images)
    print(report(logits, test.labels))
    draw(history, logits, test, options.output)
    print(f"picture         {options.output}")


if __name__ == "__main__":
    main()
