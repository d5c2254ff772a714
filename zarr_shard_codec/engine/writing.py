"""Writing many objects: locks, reads ahead, encoding in batches, writes behind.

Owns the way of a write from its plan into the store, and that no two writes of one object lose one of them:
between a write's read and its write nobody else writes, because of a lock (`locks`), or because the store
writes only if nobody did; then the write begins anew.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Final

from zarr_shard_codec.core.jobs import Encoded, EncodeJob, UpdateJob
from zarr_shard_codec.core.patching import Append, Overwrite, Patch
from zarr_shard_codec.core.pieces import read_parts
from zarr_shard_codec.core.plans import Plan
from zarr_shard_codec.core.writing import Update
from zarr_shard_codec.engine.afterwards import afterwards
from zarr_shard_codec.engine.conversations import Seen, converse_seen
from zarr_shard_codec.engine.locks import Locking, Locks
from zarr_shard_codec.engine.pool import WAITING_THREADS, thread_count, waiting_pool, working_pool
from zarr_shard_codec.engine.run import ahead, batches, depth_for, groups_of, peek, pool_for
from zarr_shard_codec.errors import StoreError, UsageError, ZarrShardError
from zarr_shard_codec.stores.protocols import (
    Objects,
    assembles_objects,
    deletes_conditionally,
    locks_names,
    patches_objects,
    waits_for_disk,
    waits_for_network,
    writes_conditionally,
)

_TRIES: Final = 60
"""How often a write is begun because others wrote the same object in between."""
_SHORTEST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 2.0
"""Seconds between two attempts, at most: they double, and a part of each is left to chance."""


@dataclass(frozen=True, slots=True)
class WriteTask:
    """One object to write to.

    Attributes
    ----------
    key
        Its key.
    plan
        Makes the plan of what to write, which returns the jobs that encode: anew, if the object changes.
    nbytes
        Decoded size of what is set, in bytes.
    """

    key: str
    plan: Callable[[], Plan[Update | Append | Overwrite]]
    nbytes: int


@dataclass(frozen=True, slots=True)
class _Started:
    """A write whose reading is done: jobs are encoded one after the other until all are there."""

    task: WriteTask
    update: Update | Append | Overwrite
    seen: Seen
    jobs: list[EncodeJob | UpdateJob]
    encoded: list[Encoded] = field(default_factory=list)

    @classmethod
    def begin(cls, task: WriteTask, store: Objects) -> _Started:
        update, seen = converse_seen(task.plan, store, task.key)
        return cls(task, update, seen, [part for job in update.jobs for part in job.split()])


def write_objects(
    store: Objects, tasks: Iterable[WriteTask], *, folder: str = "", lock: Locking = None
) -> None:
    """Write objects; one that would hold nothing but fill value is deleted.

    After an error some are written and some are not; each is as it was, or as it is to be.

    Parameters
    ----------
    store
        Where they are.
    tasks
        In ascending order of their grid coordinates.
    folder
        The array's path: where its locks are.
    lock
        How writers of one object take turns.

    Raises
    ------
    CorruptShardError
        The first that any plan or job raises, with its key: that object was left as it was.
    UsageError
        `invalid_argument`: part of an object is to be set, and nothing keeps others off it.
    StoreError
        The store's; `object_changed`: others wrote the same object whenever this was tried.
    """
    encode = partial(_encode, store)

    def start(group: list[WriteTask]) -> list[_Started]:
        return [_Started.begin(task, store) for task in group]

    def put(group: list[_Started]) -> None:
        for write in group:
            _put(write, store, lock)
            held.done(write.task.key)

    def write_all(group: list[WriteTask]) -> None:
        for write in start(group):
            put(list(_complete([encode([(write, job) for job in write.jobs])])))

    one, others = peek(tasks, 1)
    with Locks(store, folder, lock) as held, held:
        if not others:
            for task in one:
                held.take(task.key)
                write = _Started.begin(task, store)
                for batch in ahead(encode, list(_job_batches([write])), working_pool):
                    write.encoded.extend(chunks for _, chunks in batch)
                put([write])
            return

        def locked() -> Iterator[WriteTask]:
            for task in chain(one, others):
                held.let_go()
                held.take(task.key)
                yield task

        # Two a core: whoever replaces a file waits for the disk, and holds no lock of Python's then. Not more
        # than there are threads for that, as each object's lock is an open file.
        most = min(2 * thread_count(), WAITING_THREADS)
        few, rest = peek(groups_of(locked(), store, lambda task: task.nbytes), most)
        if rest and not waits_for_network(store):
            for _ in ahead(write_all, chain(few, rest), waiting_pool, depth=most):
                pass
            return
        depth = depth_for(store, (task.nbytes for group in few for task in group))
        with (
            closing(ahead(start, chain(few, rest), pool_for(store), depth=depth)) as started,
            closing(ahead(encode, _job_batches(chain.from_iterable(started)), working_pool)) as encoded,
        ):
            done = groups_of(_complete(encoded), store, lambda write: sum(job.nbytes for job in write.jobs))
            for _ in ahead(put, done, pool_for(store), depth=depth):
                pass


def keeps_others_off(store: Objects, lock: Locking) -> bool:
    """Whether part of an object can be set: others are kept off it, or the caller says not to care."""
    return lock != "auto" or locks_names(store) or writes_conditionally(store)


def nothing_keeps_others_off(store: Objects) -> UsageError:
    """The error of a write of a part of an object, where others are not kept off it."""
    return UsageError(
        "invalid_argument",
        f"part of an object is to be set in {store}, which can't see whether others write it, too",
        hint="Open the array with lock=None if nobody does, or with a factory of locks that all share.",
    )


def _put(write: _Started, store: Objects, lock: Locking) -> None:
    """Bring a write into the store; if others wrote the object since it was read, begin it anew."""
    key = write.task.key
    for attempt in range(_TRIES):
        if _tried(write, store, lock):
            return
        longest = min(_LONGEST_PAUSE, _SHORTEST_PAUSE * 2**attempt)
        time.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - no secret
        write = _Started.begin(write.task, store)
        write.encoded.extend(encoded for _, encoded in _encode(store, [(write, job) for job in write.jobs]))
    raise StoreError(
        "object_changed",
        f"others wrote this object whenever this write of a part of it was tried, {_TRIES} times; "
        "nothing of it was written",
        key=key,
        hint="Let fewer writers write the same shard, or give them a lock.",
    )


def _tried(write: _Started, store: Objects, lock: Locking) -> bool:
    """Bring a write into the store, unless others wrote the object since it was read; whether it is there."""
    key, seen = write.task.key, write.seen
    changes = not isinstance(write.update, Update) or not write.update.changes_nothing(write.encoded)
    # Written all the same where it is to be durable: what another writer left may not be on the disk.
    if not changes and not waits_for_disk(store):
        return True
    made = write.update.finish(write.encoded)
    if isinstance(made, Patch):
        assert patches_objects(store)
        return store.patch(key, made, seen.version)
    if lock == "auto" and seen.asked and not locks_names(store):
        if not writes_conditionally(store):
            raise nothing_keeps_others_off(store)
        if made is None:
            if seen.version is None:  # what is not there holds fill values already
                return True
            if deletes_conditionally(store):
                return store.delete_if(key, seen.version)
            assert isinstance(write.update, Update)
            return store.write_if(key, write.update.empty(), seen.version)
        return store.write_if(key, read_parts(made), seen.version)
    if made is None:
        store.delete(key)
    elif assembles_objects(store):
        free = store.put_together(key, made)
        if free is not None:
            afterwards(free)
    else:
        store.write(key, read_parts(made))
    return True


def _encode(
    store: Objects, batch: list[tuple[_Started, EncodeJob | UpdateJob]]
) -> list[tuple[_Started, Encoded]]:
    encoded: list[tuple[_Started, Encoded]] = []
    for write, job in batch:
        try:
            encoded.append((write, job.run()))
        except ZarrShardError as error:
            raise error.at(key=write.task.key, store=store) from error.__cause__
    return encoded


def _job_batches(started: Iterable[_Started]) -> Iterator[list[tuple[_Started, EncodeJob | UpdateJob]]]:
    return batches(((write, job) for write in started for job in write.jobs), lambda item: item[1].nbytes)


def _complete(encoded: Iterable[list[tuple[_Started, Encoded]]]) -> Iterator[_Started]:
    for write, chunks in chain.from_iterable(encoded):
        write.encoded.append(chunks)
        if len(write.encoded) == len(write.jobs):
            yield write
