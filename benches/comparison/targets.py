"""How fast each case shall be: against torch and jax, and against what memory allows.

The limit of a case is the time in which its arrays can be moved: torch's sum of the array for each
one that is read, or, if one is written too, its copy for each pair.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from comparison.problems import MASKED, OPTIONS, PRODUCTS, Operation, Regime


@dataclass(frozen=True)
class Targets:
    """What a case is held to; None where nothing is asked for."""

    # At least so many times as fast as the peer's best form.
    torch: float | None = None
    jax: float | None = None
    # At most so many times the limit, and the time of logitkit's plain loss, or of its float32.
    limit: float | None = None
    plain: float | None = None

    def __iter__(self) -> Iterator[tuple[str, float]]:
        """Give what is asked for, by the name of the column."""
        for name in ("torch", "jax", "limit", "plain"):
            bound = getattr(self, name)
            if bound is not None:
                yield name, bound


# Where a target bounds the time over the other's, and not the speed.
AT_MOST = frozenset({"limit", "plain"})

NONE = Targets()
# The cross entropy is nearly all of their work.
LIKE_THE_LOSS = Targets(jax=2.5, plain=1.1)

Table = Mapping[Operation, Targets]


def _by_row(
    softmax: Targets, loss: Targets, grad: Targets, fresh_softmax: Targets | None = None
) -> Table:
    """Give a regime's table; the softmax that makes its result is held to the same by default."""
    return {
        Operation.SOFTMAX_OUT: softmax,
        Operation.SOFTMAX: fresh_softmax or softmax,
        Operation.LOG_SOFTMAX: softmax,
        Operation.LOGSUMEXP: LIKE_THE_LOSS,
        Operation.CROSS_ENTROPY: loss,
        Operation.CROSS_ENTROPY_GRAD: grad,
        Operation.PERPLEXITY: LIKE_THE_LOSS,
    }


TARGETS: Mapping[Regime, Table] = {
    Regime.MEMORY: _by_row(
        Targets(torch=1.5, limit=1.15),
        Targets(torch=10, jax=2, limit=1.4),
        Targets(torch=12, jax=4, limit=1.25),
        # Nobody can copy into pages that are not there yet at the speed of the limit.
        fresh_softmax=Targets(torch=2),
    ),
    Regime.CACHE: _by_row(Targets(torch=1.4), Targets(torch=3, jax=2), Targets(torch=4, jax=2.5)),
    Regime.FEW: _by_row(
        Targets(torch=15, jax=3), Targets(torch=15, jax=2.5), Targets(torch=25, jax=4)
    ),
    Regime.LONG: _by_row(Targets(torch=1.8), Targets(torch=3), Targets(torch=4)),
    Regime.AXIS: _by_row(Targets(torch=1.5), Targets(torch=3), Targets(torch=4)),
    # At most 0.45, 0.2 and 0.15 of torch's time.
    Regime.SMALL: {
        Operation.SOFTMAX: Targets(torch=1 / 0.45),
        Operation.CROSS_ENTROPY: Targets(torch=1 / 0.2),
        Operation.CROSS_ENTROPY_GRAD: Targets(torch=1 / 0.15),
    },
    Regime.TOP_K: {Operation.TOP_K: Targets(torch=2)},
    Regime.ELEMENTS: {
        Operation.SIGMOID: Targets(torch=1.8),
        Operation.SOFTPLUS: Targets(torch=4),
        Operation.LOG_SIGMOID: Targets(torch=4),
        Operation.BINARY: Targets(torch=6),
        Operation.BINARY_GRAD: Targets(torch=10),
    },
    Regime.DOUBLE: {
        Operation.SOFTMAX_OUT: Targets(torch=1.5),
        Operation.CROSS_ENTROPY_GRAD: Targets(torch=4),
    },
    Regime.HALF: {
        Operation.SOFTMAX_OUT: Targets(torch=2, plain=1),
        Operation.LOG_SOFTMAX: Targets(torch=2, plain=1),
        Operation.CROSS_ENTROPY: Targets(plain=1),
        Operation.CROSS_ENTROPY_GRAD: Targets(torch=8, plain=1),
    },
    Regime.OPTIONS: {
        Operation.SOFT_GRAD: Targets(torch=6),
        **dict.fromkeys(OPTIONS, Targets(plain=1.15)),
    },
    Regime.PRODUCTS: dict.fromkeys(PRODUCTS, Targets(limit=1.3)),
    Regime.MASKS: dict.fromkeys(MASKED, Targets(plain=1.5)),
}


def of(regime: Regime, operation: Operation) -> Targets:
    """Give the targets of a case."""
    return TARGETS[regime].get(operation, NONE)
