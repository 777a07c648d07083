"""Time a loss and its backward pass in torch, by logitkit and by torch: `make bench-torch`.

Both compute the loss of the same float32 logits and their gradient, on the same number of threads,
by turns of a few steps, for those of torch go on spinning after it has returned. The figure is the
fastest of the steps: what else the machine does only adds to it.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch

import bars
import logitkit
import logitkit.torch

SHAPES = [(1024, 32000), (65536, 10), (4096, 1000), (16, 10)]
SECONDS = 2.0
TURN = 5


def step(
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    logits: torch.Tensor,
    target: torch.Tensor,
) -> float:
    """Give the time of one loss and its gradient, in seconds."""
    logits.grad = None
    start = time.perf_counter()
    loss(logits, target).backward()
    return time.perf_counter() - start


def main() -> None:
    """Print a line for each shape."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=logitkit.get_num_threads())
    parser.add_argument("--figure", type=Path, help="also draw the times, into this file")
    options = parser.parse_args()
    threads, rows = options.threads, []
    logitkit.set_num_threads(threads)
    torch.set_num_threads(threads)
    print(f"torch {torch.__version__}, {threads} threads, {logitkit.simd_level()}")
    losses = [logitkit.torch.cross_entropy, torch.nn.functional.cross_entropy]
    for batch, classes in SHAPES:
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(batch, classes, generator=generator, requires_grad=True)
        target = torch.randint(classes, (batch,), generator=generator)
        times: list[list[float]] = [[], []]
        end = time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            for loss, taken in zip(losses, times, strict=True):
                taken.extend(step(loss, logits, target) for _ in range(TURN))
        ours, theirs = (min(taken) for taken in times)
        print(
            f"{batch:>6} x {classes:<6} logitkit {ours * 1e3:9.3f} ms  torch {theirs * 1e3:9.3f} ms"
            f"   {theirs / ours:5.1f} times"
        )
        rows.append((f"{batch} x {classes}", ours, theirs))
    if options.figure:
        bars.draw(options.figure, "torch", rows[:3])


if __name__ == "__main__":
    main()
