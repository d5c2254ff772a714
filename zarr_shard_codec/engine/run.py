"""Running plans over many objects: reads ahead, jobs in batches, writes behind.

Owns what runs where, and how much of it at a time: each stage of the pipeline is a lazy stream that
keeps a few items ahead in a pool, so memory stays bounded whatever the selection is, and what is small
runs where it is called, without a thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, islice
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from zarr_shard_codec.core.jobs import DecodeJob, Encoded, EncodeJob, UpdateJob
from zarr_shard_codec.core.plans import Plan
from zarr_shard_codec.core.writing import Update
from zarr_shard_codec.engine.conversations import converse
from zarr_shard_codec.engine.locks import lock_of
from zarr_shard_codec.engine.pool import WAITING_THREADS, thread_count, waiting_pool, working_pool
from zarr_shard_codec.errors import ZarrShardError
from zarr_shard_codec.stores.protocols import Store, waits_for_network

if TYPE_CHECKING:  # slow to import, and a process that reads one chunk needs no thread
    from concurrent.futures import Future, ThreadPoolExecutor

_BATCH_NBYTES: Final = 1 << 20
"""Decoded bytes that are worth handing to a thread."""

_OBJECT_NBYTES: Final = 1 << 16
"""What opening an object counts for in a batch: about the time that decoding so many bytes takes."""

_FLIGHT_NBYTES: Final = 256 << 20
"""Decoded bytes of objects that are on their way over a network: past that, one more gains no time."""

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
    jobs: list[EncodeJob | UpdateJob]
    encoded: list[Encoded] = field(default_factory=list)

    @classmethod
    def begin(cls, task: WriteTask, store: Store) -> _Started:
        update = converse(task.plan, store, task.key)
        return cls(task.key, update, [part for job in update.jobs for part in job.split()])


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

    one, others = _peek(tasks, 1)
    if not others:  # the way of a small read is short
        for _ in ahead(decode, decode_batches(fetch(one)), working_pool):
            pass
        return
    groups = _groups(chain(one, others), store, lambda task: task.target.nbytes)
    few, rest = _peek(groups, 2 * thread_count())
    if rest and not waits_for_network(store):
        # Enough objects to keep every core busy: the thread that reads one also decodes it.
        for _ in ahead(lambda group: decode(fetch(group)), chain(few, rest), working_pool):
            pass
        return
    # Closed at once after an error: a traceback would keep the stages, and what they have begun, alive.
    depth = _depth(store, (task.target.nbytes for group in few for task in group))
    with closing(ahead(fetch, chain(few, rest), pool_for(store), depth=depth)) as fetched:
        for _ in ahead(decode, decode_batches(chain.from_iterable(fetched)), working_pool):
            pass


def write_objects(store: Store, tasks: Iterable[WriteTask]) -> None:
    """Write objects; one that would hold nothing but fill value is deleted.

    Every object is replaced as a whole, and by one writer of this process at a time: see `locks`. After an
    error some are written and some are not.

    Parameters
    ----------
    store
        Where they are.
    tasks
        In ascending order of their grid coordinates.

    Raises
    ------
    CorruptShardError
        The first that any plan or job raises, with its key: that object was left as it was.
    StoreError
        The store's.
    """
    held: dict[str, Lock] = {}

    def locked() -> Iterator[WriteTask]:
        # Taken here, by the caller's thread: a thread of the pool that waited for a lock could be the one
        # that its holder needs to go on.
        for task in tasks:
            lock = lock_of(store, task.key)
            lock.acquire()
            held[task.key] = lock
            yield task

    def start(group: list[WriteTask]) -> list[_Started]:
        return [_Started.begin(task, store) for task in group]

    def put(group: list[_Started]) -> None:
        for write in group:
            parts = write.update.finish(write.encoded)
            if parts is None:
                store.delete(write.key)
            else:
                store.write(write.key, parts)
            held.pop(write.key).release()

    def write_all(group: list[WriteTask]) -> None:
        for write in start(group):
            put(list(_complete([_encode([(write, job) for job in write.jobs])])))

    try:
        few, rest = _peek(_groups(locked(), store, lambda task: task.nbytes), 2 * thread_count())
        if rest and not waits_for_network(store):
            for _ in ahead(write_all, chain(few, rest), working_pool):
                pass
            return
        depth = _depth(store, (task.nbytes for group in few for task in group))
        with (
            closing(ahead(start, chain(few, rest), pool_for(store), depth=depth)) as started,
            closing(ahead(_encode, _job_batches(chain.from_iterable(started)), working_pool)) as encoded,
        ):
            done = _groups(_complete(encoded), store, lambda write: sum(job.nbytes for job in write.jobs))
            for _ in ahead(put, done, pool_for(store), depth=depth):
                pass
    finally:
        for lock in held.values():
            lock.release()


def _peek(items: Iterable[T], count: int) -> tuple[list[T], Iterable[T]]:
    """The first few items, and the others, which are falsy if there are none."""
    rest = iter(items)
    few = list(islice(rest, count))
    more = list(islice(rest, 1))
    return few, chain(more, rest) if more else ()


def decode_batches(jobs: Iterable[tuple[str, DecodeJob]]) -> Iterator[list[tuple[str, DecodeJob]]]:
    """Cut jobs into batches that are worth a thread."""
    parts = ((key, part) for key, job in jobs for part in job.split())
    return _batches(parts, lambda job: job[1].nbytes)


def decode(batch: list[tuple[str, DecodeJob]]) -> None:
    """Run a batch of jobs; errors name the key."""
    for key, job in batch:
        try:
            job.run()
        except ZarrShardError as error:
            raise error.at(key=key) from error.__cause__


def _encode(batch: list[tuple[_Started, EncodeJob | UpdateJob]]) -> list[tuple[_Started, Encoded]]:
    encoded: list[tuple[_Started, Encoded]] = []
    for write, job in batch:
        try:
            encoded.append((write, job.run()))
        except ZarrShardError as error:
            raise error.at(key=write.key) from error.__cause__
    return encoded


def _job_batches(started: Iterable[_Started]) -> Iterator[list[tuple[_Started, EncodeJob | UpdateJob]]]:
    return _batches(((write, job) for write in started for job in write.jobs), lambda item: item[1].nbytes)


def _complete(encoded: Iterable[list[tuple[_Started, Encoded]]]) -> Iterator[_Started]:
    for write, chunks in chain.from_iterable(encoded):
        write.encoded.append(chunks)
        if len(write.encoded) == len(write.jobs):
            yield write


def pool_for(store: Store) -> Callable[[], ThreadPoolExecutor]:
    """The pool in which objects of this store are read and written."""
    return waiting_pool if waits_for_network(store) else working_pool


def _depth(store: Store, sizes: Iterable[int]) -> int:
    """How many objects to have under way, by the sizes of the first: two a core, or what hides latency."""
    least = 2 * thread_count()
    if not waits_for_network(store):
        return least
    return max(least, min(WAITING_THREADS, _FLIGHT_NBYTES // max(chain([1], sizes))))


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
) -> Generator[U]:
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
    more = islice(rest, max(0, (depth or 2 * thread_count()) - 2))
    running: deque[Future[U]] = deque(workers.submit(function, item) for item in chain(first, more))
    try:
        while running:
            result = running.popleft().result()
            running.extend(workers.submit(function, item) for item in islice(rest, 1))
            yield result
    finally:
        # What has begun is waited for: after an error nothing of this call goes on behind its caller's back.
        wait([future for future in running if not future.cancel()])
