"""Measure what evaluating on a cluster of processes moves between them, and how long it takes.

`make bench-dask` runs it. Blocks are made where they are evaluated, as they would be read from a
store there; what is counted is what workers send to each other.
"""

import argparse
import time
from typing import Any

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

import logitkit
import logitkit.dask

_BLOCKS = 16


def blocks_of(shape: tuple[int, int], chunks: tuple[int, int]) -> Any:  # noqa: ANN401 - a Dask array
    """Give logits that are made, the same for each row, where they are needed."""

    def made(block: Any) -> Any:  # noqa: ANN401 - an array
        numbers = np.arange(block.size, dtype=np.float32) * np.float32(0.618034)
        return (numbers % 1.0 * 10.0).reshape(block.shape)

    empty = da.empty(shape, chunks=chunks, dtype=np.float32)
    return empty.map_blocks(made, dtype=np.float32, meta=np.empty((0, 0), np.float32))


def sent(client: Any) -> int:  # noqa: ANN401 - a Client
    """Give the bytes that all workers have sent to others so far."""
    totals = client.run(lambda dask_worker: dask_worker.transfer_outgoing_bytes_total)
    return int(sum(totals.values()))


def main() -> None:
    """Print a line for each way to cut the logits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rows", type=int, default=65536)
    parser.add_argument("--classes", type=int, default=1000)
    options = parser.parse_args()
    rows, classes = options.rows, options.classes
    print(f"{rows} x {classes} float32 of logits, {options.workers} workers of one thread")
    cluster = LocalCluster(
        n_workers=options.workers, threads_per_worker=1, dashboard_address=None, memory_limit=0
    )
    with cluster, Client(cluster) as client:
        client.run(logitkit.set_num_threads, 1)
        targets = da.zeros(rows, dtype=np.int64, chunks=rows // _BLOCKS)
        print(f"{'blocks':>14} {'seconds':>8} {'bytes sent':>12} {'a block':>10} {'a row':>8}")
        for blocks, parts in [(_BLOCKS, 1), (4 * _BLOCKS, 1), (_BLOCKS, 2), (_BLOCKS, 8)]:
            chunks = (rows // blocks, classes // parts)
            lazy = logitkit.dask.evaluate(blocks_of((rows, classes), chunks), targets)
            client.compute(lazy, sync=True)
            before, start = sent(client), time.perf_counter()
            client.compute(lazy, sync=True)
            seconds, moved = time.perf_counter() - start, sent(client) - before
            name = f"{chunks[0]} x {chunks[1]}"
            each = moved // (blocks * parts)
            print(f"{name:>14} {seconds:8.2f} {moved:12,} {each:10,} {moved / rows:8.1f}")


if __name__ == "__main__":
    main()
