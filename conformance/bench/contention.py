"""Many writers of the same shards, and what a lock costs that nobody else wants.

Owns measurements of this package alone. Each writer is a process with inner chunks of its own in every shard,
so that each write has to wait for others, and a lost update shows in the end.
"""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

import zarr_shard_codec as zsc
from conformance.bench.bars import CONTENTION_RATIO, LOCK_SECONDS
from conformance.bench.clock import digest, timed
from conformance.bench.matrix import Array, Case
from conformance.bench.results import Requirement, Times
from conformance.bench.subjects import OURS, load
from conformance.bench.volumes import create, smooth
from conformance.bench.workers import SubjectError, Worker
from conformance.processes import Process, ProcessDiedError, RemoteError
from zarr_shard_codec.engine.locks import Locks
from zarr_shard_codec.stores.local import LocalStore

WRITERS: Final = 8
WRITES: Final = 16
"""Of each writer, in one measurement: each of its inner chunks twice."""
MEASUREMENTS: Final = 3
CASE: Final = Case("contention", "32", "none", (256, 256, 128), "uint16", (32,) * 3, (128,) * 3, ())
"""Four shards of 4 MiB."""

LOCKS: Final = 500
"""Taken and let go, in one measurement."""
LOCK_MEASUREMENTS: Final = 9

_WHOLE: Final = tuple(slice(0, size) for size in CASE.shape)

CONTENTION_NAME: Final = "contention/eight writers"
LOCK_NAME: Final = "contention/uncontended lock"


class Writer:
    """One of many: writes its own inner chunks, which lie in all shards.

    Parameters
    ----------
    number
        Which one it is, from 1 to 31.
    """

    def __init__(self, path: str, number: int) -> None:
        self._array = zsc.open(path, "r+")
        self._number = number
        self._writes = 0

    def write(self, count: int) -> tuple[float, float]:
        """Write so many inner chunks; returns the clock's seconds before and after."""
        start = time.perf_counter()  # one clock for all processes of a machine
        for _ in range(count):
            value = np.full(CASE.chunk_shape, self._number * 1000 + self._writes, CASE.dtype)
            self._array[CASE.chunk(place_of(self._number, self._writes))] = value
            self._writes += 1
        return start, time.perf_counter()

    def written(self) -> dict[tuple[int, ...], int]:
        """What its inner chunks hold, unless an update was lost, by their coordinates."""
        return {place_of(self._number, n): self._number * 1000 + n for n in range(self._writes)}


def place_of(writer: int, write: int) -> tuple[int, ...]:
    """Coordinates of the inner chunk of a write: each writer has two in each of the four shards."""
    shard, which = write % 4, write // 4 % 2
    inner = np.unravel_index(writer * 2 + which, (4, 4, 4))
    corner = (shard // 2 * 4, shard % 2 * 4, 0)
    return tuple(int(a) + b for a, b in zip(inner, corner, strict=True))


def measure_contention(
    folder: Path, reader: Worker, writers: int = WRITERS, writes: int = WRITES
) -> Requirement:
    """Time as many writes by one process, and by many at once; the seconds are those of one write.

    Parameters
    ----------
    reader
        Says in the end what is in the array; another implementation, if there is one.
    """
    path = folder / "contention.zarr"
    create(path, CASE.document())
    content = smooth(CASE.shape)
    subject = load(OURS)
    subject.write(subject.open(str(path)), _WHOLE, content)
    try:
        alone, together = _measure(path, content, reader, writers, writes)
    except (RemoteError, ProcessDiedError, SubjectError) as error:
        return Requirement(CONTENTION_NAME, None, 0, str(error))
    finally:
        shutil.rmtree(path)
    return Requirement(CONTENTION_NAME, together, alone / CONTENTION_RATIO)


def _measure(path: Path, content: Array, reader: Worker, writers: int, writes: int) -> tuple[float, float]:
    with ExitStack() as stack:
        numbers = range(1, writers + 2)
        processes = [Process(partial(Writer, str(path), n), f"writer {n}") for n in numbers]
        for process in processes:
            stack.callback(process.close)
            process.call("write", 1)  # opens the array
        threads = stack.enter_context(ThreadPoolExecutor(writers))
        loner, *crowd = processes
        alone, together = [], []
        for _ in range(MEASUREMENTS):
            start, stop = loner.call("write", writers * writes)
            alone.append((stop - start) / (writers * writes))
            spans = list(threads.map(lambda process: process.call("write", writes), crowd))
            first, last = min(start for start, _ in spans), max(stop for _, stop in spans)
            together.append((last - first) / (writers * writes))
        for process in processes:
            for place, value in process.call("written").items():
                content[CASE.chunk(place)] = value
    if reader.call("digest_of", path, [_WHOLE]) != digest([content]):
        raise SubjectError("an update was lost")
    return Times.of(alone).median, Times.of(together).median


def measure_lock(folder: Path) -> Requirement:
    """Time a lock that nobody else wants, between processes, of a shard whose folder is there."""
    store = LocalStore(folder)
    (folder / "c" / "0" / "0").mkdir(parents=True, exist_ok=True)

    def take() -> None:
        for _ in range(LOCKS):
            with Locks(store, "", "auto") as locks:
                locks.take("c/0/0/0")

    take()
    seconds = [timed(take)[0] / LOCKS for _ in range(LOCK_MEASUREMENTS)]
    return Requirement(LOCK_NAME, Times.of(seconds).median, LOCK_SECONDS)
