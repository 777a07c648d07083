"""Interleaved timing: every round times every contender once, so that a slow spell hits them all.

Ratios are taken within a round and their median over the rounds is what is reported.
"""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from comparison.problems import Call

# Long enough for the clock and the loop around the calls not to matter.
BATCH_SECONDS = 2e-3
# Thread pools spin for up to 7 ms after their work and take a core from who comes next.
SETTLE_SECONDS = 8e-3
# Rounds that are made however long they take.
FEWEST_ROUNDS = 5
# Untimed calls go before those that are timed, to wake threads, fill caches and bring cores that
# have idled back to their clock. A call that takes longer than the second is warm-up enough itself.
WARM_UP_SECONDS = 4e-3
WARM_UP_BELOW_SECONDS = 20e-3


@dataclass(frozen=True)
class Spread:
    """The median, and between which values the middle eight tenths lie."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> "Spread":
        """Summarise one value per round."""
        low, median, high = np.percentile(values, [10, 50, 90])
        return cls(float(median), float(low), float(high))


@dataclass(frozen=True)
class Timing:
    """One contender's seconds per call, and how many times the first contender's time they are."""

    seconds: Spread
    speedup: Spread


@dataclass(frozen=True)
class _Batch:
    """Calls made one after another under one reading of the clock."""

    call: Call
    count: int
    warm_up: bool

    @classmethod
    def calibrated(cls, call: Call) -> "_Batch":
        """Choose how many calls make a batch, after first calls that compile and allocate."""
        call()
        call()
        start = time.perf_counter()
        call()
        seconds = max(time.perf_counter() - start, 1e-8)
        if seconds < BATCH_SECONDS:
            # The first measurement of a call of nanoseconds is mostly the clock.
            seconds = cls(call, 100, warm_up=True).seconds()
        count = max(1, round(BATCH_SECONDS / seconds))
        return cls(call, count, seconds < WARM_UP_BELOW_SECONDS)

    def seconds(self) -> float:
        call = self.call
        if self.warm_up:
            _keep_calling(call, WARM_UP_SECONDS)
        start = time.perf_counter_ns()
        for _ in repeat(None, self.count):
            call()
        return (time.perf_counter_ns() - start) / self.count * 1e-9


def _nothing() -> None:
    pass


def _keep_calling(call: Call, seconds: float) -> None:
    """Call until so much time has passed, at least once."""
    end = time.perf_counter() + seconds
    call()
    while time.perf_counter() < end:
        call()


def interleaved(
    calls: Mapping[str, Call], rounds: int, budget: float, progress: Callable[[int], None]
) -> dict[str, Timing]:
    """Time the calls in turn, in another order each round, and compare each with the first.

    After `budget` seconds no further round is begun, but for the fewest that make a median.
    """
    batches = [_Batch.calibrated(call) for call in calls.values()]
    seconds = np.empty((rounds, len(batches)))
    rng = np.random.default_rng(0)
    done = 0
    end = time.perf_counter() + budget
    gc.collect()
    gc.disable()
    try:
        while done < rounds and (done < FEWEST_ROUNDS or time.perf_counter() < end):
            for index in rng.permutation(len(batches)):
                # Not asleep: a core that idles slows down.
                _keep_calling(_nothing, SETTLE_SECONDS)
                seconds[done, index] = batches[index].seconds()
            done += 1
            progress(done)
    finally:
        gc.enable()
    seconds = seconds[:done]
    speedups = seconds / seconds[:, :1]
    return {
        label: Timing(Spread.of(seconds[:, index]), Spread.of(speedups[:, index]))
        for index, label in enumerate(calls)
    }
