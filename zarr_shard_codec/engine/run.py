"""Running plans over many objects: reads ahead, jobs in batches, writes behind.

Owns what runs where, and how much of it at a time: each stage of the pipeline is a lazy stream that
keeps a few items ahead in a pool, so memory stays bounded whatever the selection is, and what is small
runs where it is called, without a thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from zarr_shard_codec.core.plans import DecodeJob, EncodeJob, Plan, Update
from zarr_shard_codec.core.ranges import Buffer
from zarr_shard_codec.engine.conversations import converse
from zarr_shard_codec.engine.pool import thread_count, waiting_pool, working_pool
from zarr_shard_codec.errors import ZarrShardError
from zarr_shard_codec.stores.protocols import Store, waits_for_network

if TYPE_CHECKING:  # slow to import, and a process that reads one chunk needs no thread
    from concurrent.futures import Future, ThreadPoolExecutor

_BATCH_NBYTES: Final = 1 << 20
"""Decoded bytes that make a batch: less, and handing it to a thread costs more than it brings."""

_OBJECT_NBYTES: Final = 1 << 16
"""What opening an object counts for in a batch: about the time that decoding so many bytes takes."""

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class ReadTask:
    """One object to read from.

    Attributes
    ----------
    key
        Its key.
    plan
        What to read; it returns the jobs that decode.
    target
        Where the jobs put it: set to the fill value if the object does not exist.
    fill_value
        The fill value.
    """

    key: str
    plan: Plan[list[DecodeJob] | None]
    target: np.ndarray[Any, Any]
    fill_value: np.ndarray[Any, Any]

    def jobs(self, found: list[DecodeJob] | None) -> list[tuple[str, DecodeJob]]:
        """What is left to do, given what the plan returned; each job with the key."""
        if found is None:
            self.target[...] = self.fill_value
            return []
        return [(self.key, job) for job in found]


@dataclass(frozen=True, slots=True)
class WriteTask:
    """One object to write to.

    Attributes
    ----------
    key
        Its key.
    plan
        What to write; it returns the jobs that encode.
    nbytes
        Decoded size of what is set, in bytes.
    """

    key: str
    plan: Plan[Update]
    nbytes: int


@dataclass(frozen=True, slots=True)
class _Started:
    """A write whose reading is done: jobs are encoded one after the other until all are there."""

    key: str
    update: Update
    encoded: list[Buffer | None] = field(default_factory=list)


def read_objects(store: Store, tasks: Iterable[ReadTask]) -> None:
    """Read objects into their targets.

    Raises
    ------
    CorruptShardError
        The first that any plan or job raises, with its key; the targets are then incomplete.
    StoreError
        The store's.
    """

    def fetch(group: list[ReadTask]) -> list[tuple[str, DecodeJob]]:
        return [job for task in group for job in task.jobs(converse(task.plan, store, task.key))]

    fetched = ahead(fetch, _groups(tasks, store, lambda task: task.target.nbytes), pool_for(store))
    jobs = chain.from_iterable(fetched)
    for _ in ahead(decode, decode_batches(jobs), working_pool):
        pass


def write_objects(store: Store, tasks: Iterable[WriteTask]) -> None:
    """Write objects; one that would hold nothing but fill value is deleted.

    Every object is replaced as a whole. After an error some are written and some are not.

    Raises
    ------
    CorruptShardError
        The first that any plan or job raises, with its key: that object was left as it was.
    StoreError
        The store's.
    """

    def start(group: list[WriteTask]) -> list[_Started]:
        return [_Started(task.key, converse(task.plan, store, task.key)) for task in group]

    def put(group: list[_Started]) -> None:
        for write in group:
            parts = write.update.finish(write.encoded)
            if parts is None:
                store.delete(write.key)
            else:
                store.write(write.key, parts)

    started = chain.from_iterable(
        ahead(start, _groups(tasks, store, lambda task: task.nbytes), pool_for(store))
    )
    jobs = ((write, job) for write in started for job in write.update.jobs)
    encoded = ahead(_encode, _batches(jobs, lambda item: item[1].value.nbytes), working_pool)
    for _ in ahead(put, _groups(_complete(encoded), store, _encoded_nbytes), pool_for(store)):
        pass


def decode_batches(jobs: Iterable[tuple[str, DecodeJob]]) -> Iterator[list[tuple[str, DecodeJob]]]:
    """Cut jobs into batches that are worth a thread."""
    return _batches(jobs, lambda job: job[1].target.nbytes)


def decode(batch: list[tuple[str, DecodeJob]]) -> None:
    """Run a batch of jobs; errors name the key."""
    for key, job in batch:
        try:
            job.run()
        except ZarrShardError as error:
            raise error.at(key=key) from error.__cause__


def _encode(batch: list[tuple[_Started, EncodeJob]]) -> list[tuple[_Started, Buffer | None]]:
    encoded: list[tuple[_Started, Buffer | None]] = []
    for write, job in batch:
        try:
            encoded.append((write, job.run()))
        except ZarrShardError as error:
            raise error.at(key=write.key) from error.__cause__
    return encoded


def _complete(encoded: Iterable[list[tuple[_Started, Buffer | None]]]) -> Iterator[_Started]:
    for write, part in chain.from_iterable(encoded):
        write.encoded.append(part)
        if len(write.encoded) == len(write.update.jobs):
            yield write


def _encoded_nbytes(write: _Started) -> int:
    return sum(len(part) for part in write.encoded if part is not None)


def pool_for(store: Store) -> Callable[[], ThreadPoolExecutor]:
    """The pool in which objects of this store are read and written."""
    return waiting_pool if waits_for_network(store) else working_pool


def _groups(items: Iterable[T], store: Store, nbytes: Callable[[T], int]) -> Iterator[list[T]]:
    """Objects to hand to a thread together: one by one where each waits for a network."""
    if waits_for_network(store):
        return ([item] for item in items)
    return _batches(items, lambda item: nbytes(item) + _OBJECT_NBYTES)


def _batches(items: Iterable[T], nbytes: Callable[[T], int]) -> Iterator[list[T]]:
    batch: list[T] = []
    total = 0
    for item in items:
        batch.append(item)
        total += nbytes(item)
        if total >= _BATCH_NBYTES:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


def ahead(
    function: Callable[[T], U],
    items: Iterable[T],
    pool: Callable[[], ThreadPoolExecutor],
    *,
    depth: int | None = None,
) -> Iterator[U]:
    """Map in a pool, in order, some items ahead; a single item is done where it is asked for.

    `depth` is how many are ahead at most; two a core if it is not said.
    """
    rest = iter(items)
    first = list(islice(rest, 2))
    if len(first) < 2:
        yield from map(function, first)
        return
    from concurrent.futures import wait

    workers = pool()
    more = islice(rest, (depth or 2 * thread_count()) - 2)
    running: deque[Future[U]] = deque(workers.submit(function, item) for item in chain(first, more))
    try:
        while running:
            result = running.popleft().result()
            running.extend(workers.submit(function, item) for item in islice(rest, 1))
            yield result
    finally:
        # What has begun is waited for: after an error nothing of this call goes on behind its caller's back.
        wait([future for future in running if not future.cancel()])
