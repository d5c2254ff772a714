"""Many writers of one array, and whether anything is lost of what they write.

    python tests/crash/many_writers.py --writers processes --strategy append
    python tests/crash/many_writers.py --writers processes --on s3

Eight writers set 200 elements each, in four shards. No element is set twice, and all writers draw from all
inner chunks: each update changes a part of an inner chunk that others change, too, and can be looked for in
the end. Writers are processes, threads of one process, or Dask's workers; on local files they take turns by
locks, on a server of the S3 protocol by conditional requests.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np

ROOT: Final = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]  # this tree's package, not one that is installed

import zarr_shard_codec as zsc  # noqa: E402
from zarr_shard_codec.engine import writing  # noqa: E402

SIZE: Final = 64
LAYOUT: Final = {
    "shape": (SIZE, SIZE),
    "dtype": "uint16",
    "shard_shape": (SIZE // 2, SIZE // 2),
    "inner_chunk_shape": (8, 8),
    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
}
_PATIENCE_SECONDS: Final = 600


def places(writer: int, n_updates: int) -> list[tuple[int, int]]:
    """The elements that a writer sets: its own part of a permutation of all of them."""
    shuffled = np.random.default_rng(0).permutation(SIZE * SIZE).tolist()
    return [divmod(at, SIZE) for at in shuffled[writer * n_updates : (writer + 1) * n_updates]]


def count_attempts() -> list[bool]:
    """Begin to note, for each attempt to bring a write into the store, whether others were not faster."""
    attempts: list[bool] = []
    real = writing._tried

    def tried(*arguments: Any) -> bool:
        attempts.append(real(*arguments))
        return attempts[-1]

    writing._tried = tried
    return attempts


def write(array: zsc.ShardedArray, writer: int, n_updates: int, wait: Callable[[], Any]) -> None:
    """Be one writer; `wait` returns when all are there."""
    wait()
    for at in places(writer, n_updates):
        array[at] = writer + 1


def _be_process(
    where: str, options: dict[str, Any], writer: int, n_updates: int, barrier: Any, answer: Any
) -> None:
    attempts = count_attempts()
    write(zsc.open(where, "r+", **options), writer, n_updates, lambda: barrier.wait(_PATIENCE_SECONDS))
    answer.put(attempts.count(False))


def by_processes(where: str, options: dict[str, Any], n_writers: int, n_updates: int) -> int:
    """Write from processes; returns how many attempts were begun anew."""
    context = multiprocessing.get_context("spawn")
    barrier, answer = context.Barrier(n_writers), context.SimpleQueue()
    processes = [
        context.Process(target=_be_process, args=(where, options, writer, n_updates, barrier, answer))
        for writer in range(n_writers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0, f"a writer ended with {process.exitcode}"
    return sum(answer.get() for _ in processes)


def by_threads(where: str, options: dict[str, Any], n_writers: int, n_updates: int) -> int:
    """Write from threads of this process, each with an array of its own; returns as `by_processes`."""
    attempts = count_attempts()
    barrier = threading.Barrier(n_writers)
    threads = [
        threading.Thread(
            target=write, args=(zsc.open(where, "r+", **options), writer, n_updates, barrier.wait)
        )
        for writer in range(n_writers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return attempts.count(False)


def by_dask(where: str, options: dict[str, Any], n_writers: int, n_updates: int) -> None:
    """Write from Dask's worker processes, two threads each; one array travels to all of them."""
    from distributed import Client, LocalCluster

    array = zsc.open(where, "r+", **options)
    places_ = [at for writer in range(n_writers) for at in places(writer, n_updates)]
    values = [writer + 1 for writer in range(n_writers) for _ in range(n_updates)]
    with (
        LocalCluster(n_workers=n_writers // 2, threads_per_worker=2, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.gather(client.map(array.__setitem__, places_, values, pure=False))


WRITERS: Final = {"processes": by_processes, "threads": by_threads, "dask": by_dask}


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description="Write one array from many places at once.")
    parser.add_argument("--writers", choices=WRITERS, default="processes")
    parser.add_argument("--on", choices=["files", "s3"], default="files")
    parser.add_argument("--strategy", choices=["replace", "append", "in_place"], default="replace")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--no-lock", action="store_true", help="see that updates are lost without")
    given = parser.parse_args()
    assert given.count * given.updates <= SIZE * SIZE, "each update needs an element of its own"
    with ExitStack() as stack:
        where = stack.enter_context(tempfile.TemporaryDirectory())
        if given.on == "s3":
            from s3_server import BUCKET, s3_server

            stack.enter_context(s3_server())
            where = f"s3://{BUCKET}/array"
        zsc.create(where, **LAYOUT)
        options = {"write_strategy": given.strategy, "lock": None if given.no_lock else "auto"}
        retries = WRITERS[given.writers](where, options, given.count, given.updates)
        found, expected = zsc.open(where)[...], np.zeros((SIZE, SIZE), "uint16")
        for writer in range(given.count):
            for at in places(writer, given.updates):
                expected[at] = writer + 1
        lost = int((found != expected).sum())
        errors = len(zsc.verify(where).errors)
    print(
        f"{given.writers} on {given.on}, {given.strategy}: {given.count * given.updates} updates, "
        f"{lost} lost, {'?' if retries is None else retries} begun anew, {errors} errors"
    )
    sys.exit(bool(lost or errors))


if __name__ == "__main__":
    main()
