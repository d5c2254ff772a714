"""Running plans over many objects: reads ahead, and jobs in batches.

Owns what runs where, and how much of it at a time: each stage of the pipeline is a lazy stream that
keeps a few items ahead in a pool, so memory stays bounded whatever the selection is, and what is small
runs where it is called, without a thread.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import numpy as np

from zarr_shard_codec.core.jobs import DecodeJob
from zarr_shard_codec.core.plans import Plan
from zarr_shard_codec.core.ranges import Coalescing
from zarr_shard_codec.engine.conversations import Seen, converse_seen, may_be_in_change, pauses
from zarr_shard_codec.engine.pool import WAITING_THREADS, submit, thread_count, waiting_pool, working_pool
from zarr_shard_codec.errors import ZarrShardError
from zarr_shard_codec.stores.protocols import Objects, StoredObject, waits_for_network

if TYPE_CHECKING:  # slow to import, and a process that reads one chunk needs no thread
    from concurrent.futures import Future, ThreadPoolExecutor

_BATCH_NBYTES: Final = 3 << 17
"""Decoded bytes, of compressed chunks, that are handed to a thread together."""

_LARGE_NBYTES: Final = 1 << 18
"""Decoded bytes; a job of fewer is not worth another thread, and is done where it was read."""

_OBJECT_NBYTES: Final = 1 << 16
"""Bytes that opening an object counts for in a batch: decoding them takes about as long."""

_FLIGHT_NBYTES: Final = 256 << 20
"""Decoded bytes of objects that are on their way over a network: past that, one more gains no time."""

T = TypeVar("T")
U = TypeVar("U")


Job: TypeAlias = "tuple[ReadTask, Seen, DecodeJob]"
"""A job, of which task it is, and what state of the object its bytes are from."""


@dataclass(frozen=True, slots=True)
class ReadTask:
    """One object to read from.

    Attributes
    ----------
    key
        Its key.
    plan
        Makes the plan of what to read, which returns the jobs that decode: anew, if the object changes.
    target
        Where the jobs put it: set to the fill value if the object does not exist.
    fill_value
        The fill value.
    in_bulk
        Whether reading it is work enough for a thread, however little is wanted of its chunks.
    shortcut
        Does what the plan does in fewer steps, or returns None; None if there is no such way.
    """

    key: str
    plan: Callable[[], Plan[list[DecodeJob] | None]]
    target: np.ndarray[Any, Any]
    fill_value: np.ndarray[Any, Any]
    in_bulk: bool
    shortcut: Callable[[StoredObject, Coalescing], list[DecodeJob] | None] | None = field(
        default=None, kw_only=True
    )

    @property
    def work_nbytes(self) -> int:
        """How much there is to do, in decoded bytes."""
        return max(self.target.nbytes, _BATCH_NBYTES) if self.in_bulk else self.target.nbytes

    def jobs(self, found: list[DecodeJob] | None, seen: Seen) -> list[Job]:
        """What is left to do, given what the plan returned, and of which state."""
        if found is None:
            self.target[...] = self.fill_value
            return []
        return [(self, seen, job) for job in found]


def read_objects(store: Objects, tasks: Iterable[ReadTask]) -> None:
    """Read objects into their targets.

    Raises
    ------
    CorruptShardError
        The first that any plan or job raises, with its key; the targets are then incomplete.
    StoreError
        The store's.
    """
    doubtful: list[ReadTask] = []

    def fetch(group: list[ReadTask]) -> list[Job]:
        return [
            job
            for task in group
            for job in task.jobs(*converse_seen(task.plan, store, task.key, task.shortcut))
        ]

    def finish(batch: list[Job]) -> None:
        doubtful.extend(decode(batch, store))

    _read_all(store, tasks, fetch, finish)
    for task in {id(task): task for task in doubtful}.values():
        read_alone(task, store)


def _read_all(
    store: Objects,
    tasks: Iterable[ReadTask],
    fetch: Callable[[list[ReadTask]], list[Job]],
    finish: Callable[[list[Job]], None],
) -> None:
    groups, n_threads = groups_of(tasks, store, lambda task: task.work_nbytes), thread_count()
    few, rest = peek(groups, 2 * n_threads)
    fetched: Generator[list[Job]]
    if waits_for_network(store):
        depth = depth_for(store, (task.target.nbytes for group in few for task in group))
        fetched = ahead(fetch, chain(few, rest), waiting_pool, depth=depth)
    elif rest or (len(few) >= n_threads and few[0][0].in_bulk):
        # Enough objects to keep every core busy: the thread that reads one also decodes it.
        share(lambda group: finish(fetch(group)), chain(few, rest))
        return
    else:
        # Files are read here: what threads would win by it they lose waiting for Python's lock.
        fetched = (fetch([task]) for group in few for task in group)
    # Closed at once after an error: a traceback would keep the stages, and what they have begun, alive.
    with closing(fetched):
        share(finish, decode_batches(_large(chain.from_iterable(fetched), finish)))


def _large(jobs: Iterable[Job], finish: Callable[[list[Job]], None]) -> Iterator[Job]:
    """The jobs that are worth another thread. The others are done at once, while their bytes are in cache."""
    for job in jobs:
        if job[2].work_nbytes < _LARGE_NBYTES:
            finish([job])
        else:
            yield job


def share(work: Callable[[T], None], items: Iterable[T]) -> None:
    """Do all items in any order: here, and in the pool; in all by no more threads than may work.

    After an error nothing more is begun, and what has begun is waited for.
    """
    rest = iter(items)
    few = list(islice(rest, 2))
    helpers = thread_count() - 1
    if len(few) < 2 or not helpers:
        for item in chain(few, rest):
            work(item)
        return
    from concurrent.futures import wait

    waiting: deque[T] = deque()
    helping: list[Future[None]] = []

    def help_out() -> None:
        for item in _drain(waiting):
            work(item)

    try:
        for item in chain(few, rest):
            for idle in [helper for helper in helping if helper.done()]:  # it failed, or found nothing
                helping.remove(idle)
                idle.result()
            alone = len(waiting) >= helpers
            if not alone:
                waiting.append(item)
            if len(helping) < helpers:
                helping.append(submit(working_pool, help_out))
            if alone:
                work(item)
        help_out()
        for helper in helping:
            helper.result()
    finally:
        waiting.clear()
        wait(helping)


def _drain(items: deque[T]) -> Iterator[T]:
    """Take one after the other, as other threads may do at the same time."""
    with suppress(IndexError):
        while True:
            yield items.popleft()


def peek(items: Iterable[T], count: int) -> tuple[list[T], Iterable[T]]:
    """The first few items, and the others, which are falsy if there are none."""
    rest = iter(items)
    few = list(islice(rest, count))
    more = list(islice(rest, 1))
    return few, chain(more, rest) if more else ()


def decode_batches(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    """Cut jobs into batches that are worth a thread."""
    parts = ((task, seen, part) for task, seen, job in jobs for part in job.split())
    return batches(parts, lambda job: job[2].work_nbytes)


def decode(batch: list[Job], store: Objects) -> list[ReadTask]:
    """Run a batch of jobs; errors name the key.

    Returns
    -------
    list of ReadTask
        Those of whose bytes some were perhaps being overwritten while they were read. No other job is to be
        under way when they are read again, because jobs of one task share its target.
    """
    doubtful: list[ReadTask] = []
    for task, seen, job in batch:
        try:
            job.run()
        except ZarrShardError as error:
            if not may_be_in_change(error, store, task.key, seen):
                raise error.at(key=task.key, store=store) from error.__cause__
            doubtful.append(task)
    return doubtful


def read_alone(task: ReadTask, store: Objects) -> None:
    """Read one object, again and again if it is being changed."""
    for pause in pauses():
        found, seen = converse_seen(task.plan, store, task.key)
        try:
            for *_, job in task.jobs(found, seen):
                job.run()
        except ZarrShardError as error:
            if pause is None or not may_be_in_change(error, store, task.key, seen):
                raise error.at(key=task.key, store=store) from error.__cause__
            time.sleep(pause)
        else:
            return


def pool_for(store: Objects) -> Callable[[], ThreadPoolExecutor]:
    """The pool in which objects of this store are read and written."""
    return waiting_pool if waits_for_network(store) else working_pool


def depth_for(store: Objects, sizes: Iterable[int]) -> int:
    """How many objects to have under way, by the sizes of the first: two a core, or what hides latency."""
    least = 2 * thread_count()
    if not waits_for_network(store):
        return least
    return max(least, min(WAITING_THREADS, _FLIGHT_NBYTES // max(chain([1], sizes))))


def groups_of(items: Iterable[T], store: Objects, nbytes: Callable[[T], int]) -> Iterator[list[T]]:
    """Objects to hand to a thread together: one by one where each waits for a network."""
    if waits_for_network(store):
        return ([item] for item in items)
    return batches(items, lambda item: nbytes(item) + _OBJECT_NBYTES)


def batches(items: Iterable[T], nbytes: Callable[[T], int]) -> Iterator[list[T]]:
    """Cut items into batches that are worth a thread, by the decoded bytes of each."""
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

    more = islice(rest, max(0, (depth or 2 * thread_count()) - 2))
    running: deque[Future[U]] = deque()
    try:
        # Whatever asking for an item raises, those before it are known here by then.
        running.extend(submit(pool, partial(function, item)) for item in chain(first, more))
        while running:
            result = running[0].result()  # it stays: Ctrl-C ends this wait, and the last one is for it, too
            running.popleft()
            running.extend(submit(pool, partial(function, item)) for item in islice(rest, 1))
            yield result
    finally:
        # What has begun is waited for: after an error nothing of this call goes on behind its caller's back.
        wait([future for future in running if not future.cancel()])
