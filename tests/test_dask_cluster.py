"""`logitkit.dask` on a cluster of several processes, one of which is killed on the way."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster

import logitkit
import logitkit.dask as lkd
from tests.support import Array, random_indices, random_logits, rng_of

ROWS, CLASSES = 400, 30

# What a cluster and its processes do beside the work is theirs.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(name="client", scope="module")
def fixture_client() -> Iterator[Any]:
    with (
        LocalCluster(
            n_workers=3,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            memory_limit=0,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(name="data", scope="module")
def fixture_data() -> tuple[Array, Array]:
    x = random_logits(rng_of("cluster"), (ROWS, CLASSES), np.float32)
    return x, random_indices(rng_of("y"), x.shape, -1)


def logits(x: Array, chunks: tuple[int, int], killed: Path | None = None) -> Any:  # noqa: ANN401
    """Give blocks; the first process that makes a certain one, if any, is killed by that."""

    def block(place: Any) -> Array:  # noqa: ANN401
        rows, classes = (slice(*part) for part in place[0]["array-location"])
        if killed is not None and rows.start == 2 * chunks[0] and not killed.exists():
            killed.touch()
            os._exit(1)
        return x[rows, classes]

    def made(_: Array, block_info: Any = None) -> Array:  # noqa: ANN401
        return block(block_info)

    places = da.zeros(x.shape, chunks=chunks, dtype=np.int8)
    return places.map_blocks(made, dtype=x.dtype, meta=np.empty((0, 0), x.dtype))


@pytest.mark.parametrize("chunks", [(50, CLASSES), (50, 11)], ids=["whole", "cut"])
def test_several_processes(client: Any, data: tuple[Array, Array], chunks: tuple[int, int]) -> None:  # noqa: ANN401
    x, y = data
    assert len(client.nthreads()) == 3
    blocks, targets = logits(x, chunks), da.from_array(y, chunks=70)
    got = client.compute(
        [
            lkd.softmax(blocks),
            lkd.logsumexp(blocks),
            lkd.cross_entropy(blocks, targets, label_smoothing=0.1),
            lkd.accuracy(blocks, targets, k=2),
            lkd.perplexity(blocks, targets),
            lkd.evaluate(blocks, targets),
        ],
        sync=True,
    )
    want = [
        logitkit.softmax(x),
        logitkit.logsumexp(x),
        logitkit.cross_entropy(x, y, label_smoothing=0.1),
        logitkit.accuracy(x, y, k=2),
        logitkit.perplexity(x, y),
    ]
    for one, other in zip(got, want, strict=False):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    alone = lkd.evaluate(blocks, targets).compute(scheduler="synchronous")
    assert got[-1].as_dict() == alone.as_dict()
    assert got[-1].cross_entropy == pytest.approx(np.log(want[-1]), rel=1e-6)


@pytest.mark.parametrize("chunks", [(50, CLASSES), (50, 11)], ids=["whole", "cut"])
def test_a_process_that_is_killed_changes_nothing(
    client: Any,  # noqa: ANN401
    data: tuple[Array, Array],
    chunks: tuple[int, int],
    tmp_path: Path,
) -> None:
    x, y = data
    before = {worker["pid"] for worker in client.run(lambda: {"pid": os.getpid()}).values()}
    evaluation = lkd.evaluate(logits(x, chunks), y).compute(scheduler="synchronous")
    killed = tmp_path / "killed"
    result = client.compute(lkd.evaluate(logits(x, chunks, killed), y), sync=True)
    assert killed.exists()
    assert result.as_dict() == evaluation.as_dict()
    client.wait_for_workers(3)
    after = {worker["pid"] for worker in client.run(lambda: {"pid": os.getpid()}).values()}
    assert len(before - after) == 1
