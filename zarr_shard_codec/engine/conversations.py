"""Drivers of plans: a plan's requests in, a store's bytes out. One for threads, one for an event loop.

Owns the turns, and that all turns of a conversation see one state of the object: where a store can't hold an
object open, a conversation during which it was replaced is begun anew. `core.plans` says what is asked, the
store how it is read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeGuard, TypeVar

import numpy as np

from zarr_shard_codec.core import memory
from zarr_shard_codec.core.index import ShardIndex
from zarr_shard_codec.core.pieces import Pieces, Runs, Stored
from zarr_shard_codec.core.plans import Asked, IndexRequest, Plan, RangeTable, Size
from zarr_shard_codec.core.ranges import Buffer, ByteRange, Coalescing, Cut, Request, Whole, merge
from zarr_shard_codec.engine.index_cache import INDEXES
from zarr_shard_codec.errors import CorruptShardError, ZarrShardError
from zarr_shard_codec.stores.protocols import (
    AsyncStore,
    JoiningObject,
    Objects,
    PatchingStore,
    StoredObject,
    Version,
    joins_ranges,
    opens_objects,
    opens_remote_objects,
    patches_objects,
)

T = TypeVar("T")

_NOTHING: Final = (ByteRange(0, 0),)
"""Read to see whether an object is in the state that was relied on."""
_LARGE_NBYTES: Final = 1 << 21
"""Bytes; of larger objects that can be held open, each decoding thread reads the chunks it decodes next."""
_PAUSES: Final = (0.0, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032)
"""Seconds to wait before an object that was just being changed is read again, and again."""
_POLL_SECONDS: Final = 0.005
_PATIENCE_SECONDS: Final = 60.0
"""Whoever says to write into an object, and changes nothing of it for so long, is no longer waited for."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The state of an object that a conversation saw.

    Attributes
    ----------
    asked
        Whether it asked for anything at all: if not, its result holds for any state.
    version
        What the store knows the state by; None if there was no object, or the store knows none.
    identity
        Equal for equal bytes; None where that is not certain.
    """

    asked: bool
    version: Version | None
    identity: Hashable | None


def converse(plan: Callable[[], Plan[T]], store: Objects, key: str) -> T:
    """Drive a plan over one object. Errors name the key.

    On stores that can hold an object open, all turns see one state of it, and an index of it that was
    read before is not read again. Where it was replaced between two turns, or written into, and what was
    read cannot be right, a new plan starts over; `plan` makes it.

    Raises
    ------
    CorruptShardError, StoreError
        The plan's and the store's; `object_changed` if that happened again and again.
    """
    return converse_seen(plan, store, key)[0]


def converse_seen(
    plan: Callable[[], Plan[T]],
    store: Objects,
    key: str,
    shortcut: Callable[[StoredObject, Coalescing], T | None] | None = None,
) -> tuple[T, Seen]:
    """As `converse`; and what state it saw.

    `shortcut` does what the plan does, without a conversation, or returns None.
    """
    for pause in pauses():
        opened: StoredObject | None = None
        turn: _Turn | None = None
        try:
            if shortcut is not None and opens_objects(store):
                opened = store.open_object(key)
                result = None if opened is None else shortcut(opened, store.coalescing)
                if result is not None:
                    return result, _seen(opened, asked=True)
            conversation = plan()
            requests, end = _send(conversation, None)
            if end is None and opened is None and opens_objects(store):
                opened = store.open_object(key)
            while end is None:
                turn = _Turn(requests, store, opened)
                buffers: Sequence[Buffer] | None
                if opened is not None:
                    turn.join(opened)
                    buffers = opened.read(turn.merged) if turn.merged else ()
                else:
                    buffers = None if opens_objects(store) else store.read(key, turn.merged)
                requests, end = _send(conversation, turn.answer(buffers))
            if opened is not None and turn is not None and turn.is_unseen:
                opened.read(_NOTHING)
            (result,) = end
            return result, _seen(opened, asked=turn is not None)
        except ZarrShardError as error:
            if pause is None or not may_be_in_change(error, store, key, _seen(opened, asked=True)):
                raise error.at(key=key, store=store) from error.__cause__
        finally:
            if opened is not None:
                opened.close()
        time.sleep(pause)
    raise AssertionError("the last pause is None")


async def converse_async(plan: Callable[[], Plan[T]], store: AsyncStore, key: str) -> T:
    """Drive a plan over one object, as `converse` does, without holding a thread."""
    return (await converse_seen_async(plan, store, key))[0]


async def converse_seen_async(plan: Callable[[], Plan[T]], store: AsyncStore, key: str) -> tuple[T, Seen]:
    """As `converse_async`; and what state it saw."""
    import asyncio

    for pause in pauses():
        opened = store.open_object(key) if opens_remote_objects(store) else None
        turn: _Turn | None = None
        conversation = plan()
        try:
            requests, end = _send(conversation, None)
            while end is None:
                turn = _Turn(requests, store, opened)
                buffers: Sequence[Buffer] | None
                if opened is not None:
                    buffers = await opened.read_async(turn.merged) if turn.merged else ()
                else:
                    buffers = await store.read_async(key, turn.merged)
                requests, end = _send(conversation, turn.answer(buffers))
            if opened is not None and turn is not None and turn.is_unseen:
                await opened.read_async(_NOTHING)
            (result,) = end
            return result, _seen(opened, asked=turn is not None)
        except ZarrShardError as error:
            if pause is None or opened is None or error.reason != "object_changed":
                raise error.at(key=key, store=store) from error.__cause__
        finally:
            if opened is not None:
                opened.close()
        await asyncio.sleep(pause)
    raise AssertionError("the last pause is None")


def _send(conversation: Plan[T], answer: Sequence[Any] | None) -> tuple[Sequence[Asked], tuple[T] | None]:
    """Give an answer (None at first), and get the next requests, or at the end the result.

    Not the exception that brings it: its traceback would keep every buffer alive until the next search for
    cycles.
    """
    try:
        return conversation.send(answer), None
    except StopIteration as end:
        return (), (end.value,)


def pauses() -> Iterator[float | None]:
    """How long to wait, in seconds, after each attempt; None after the last."""
    yield from _PAUSES
    yield None


def may_be_in_change(error: ZarrShardError, store: Objects, key: str, seen: Seen) -> bool:
    """Whether an object was perhaps being changed while it was read, so that the error may be gone next time.

    A store whose objects can be written into shows that by another state now than then; where the object had
    changed a moment before it was read, nobody can say. Whoever is seen to write is waited for: a file's time
    is that at which a write of many seconds began.
    """
    if error.reason == "object_changed":
        return True
    if not isinstance(error, CorruptShardError) or not patches_objects(store) or seen.version is None:
        return False
    if _outwaited(store, key) or seen.identity is None:
        return True
    opened = store.open_object(key)
    if opened is None:
        return True
    try:
        return opened.version != seen.version
    finally:
        opened.close()


def _outwaited(store: PatchingStore, key: str) -> bool:
    """Whether somebody was perhaps writing into an object, and no longer is."""
    version, since, found = None, 0.0, False
    while store.is_in_change(key):
        found = True
        opened = store.open_object(key)
        if opened is None:
            break
        before, version = version, opened.version
        opened.close()
        if version != before:
            since = time.monotonic()
        elif time.monotonic() - since > _PATIENCE_SECONDS:
            return False
        time.sleep(_POLL_SECONDS)
    return found


def _seen(opened: StoredObject | None, *, asked: bool) -> Seen:
    return Seen(asked, None, None) if opened is None else Seen(asked, opened.version, opened.identity)


class _Turn:
    """One turn of a conversation: what is left to read of what the plan asks, and the answer.

    Attributes
    ----------
    merged
        What to read: ranges that are asked for one by one, then those of tables.
    """

    __slots__ = ("_cuts", "_known", "_n_requests", "_relies", "_runs", "_tables", "merged")

    def __init__(self, requests: Sequence[Asked], store: Objects, opened: StoredObject | None) -> None:
        self._n_requests = len(requests)
        self._known: dict[int, Any] = {}
        self._tables: dict[int, int] = {}
        self._relies = False
        identity = None if opened is None else opened.identity
        plain: list[Request] = []
        tables: list[np.ndarray[Any, np.dtype[np.uint64]]] = []
        for at, request in enumerate(requests):
            if isinstance(request, Size):
                self._known[at] = None if opened is None else opened.nbytes
            elif isinstance(request, RangeTable):
                if (_has_all if request.unseen else is_read_later)(opened, request.table):
                    self._known[at] = Stored(opened.held(), request.table, store.coalescing)
                    continue
                self._tables[at] = len(request.table)
                tables.append(request.table)
            elif isinstance(request, Whole) and request.or_in_parts and _is_large(opened):
                self._known[at] = None
            elif isinstance(request, IndexRequest):
                known = None if identity is None else INDEXES.get(identity, request.shard, request.extent)
                if opened is not None and known is not None:
                    opened.rely()
                    self._relies = True
                    self._known[at] = known
                    continue
                if opened is not None:
                    request.keep = partial(_keep, opened, request)
                plain.append(request.lies)
            else:
                plain.append(request)
        self.merged: list[Request]
        self._cuts: list[Cut]
        self.merged, self._cuts = merge(plain, store.coalescing)
        self._runs = None
        if tables:
            table = tables[0] if len(tables) == 1 else np.concatenate(tables)
            self._runs = Runs.over(table, store.coalescing)
            self.merged += self._runs.reads

    def join(self, opened: StoredObject) -> None:
        """Read what tables ask for into one buffer, if the object can do that and has all of it."""
        if self._runs is None or not joins_ranges(opened):
            return
        joined = opened.read_joined(self._runs.reads)
        if joined is not None:
            del self.merged[-len(self._runs.reads) :]
            self._give_out(self._runs.segments(joined))

    @property
    def is_unseen(self) -> bool:
        """Whether the answer is of the state in which the object was last seen, unconfirmed by any read."""
        return self._relies and not self.merged

    def answer(self, buffers: Sequence[Buffer] | None) -> list[Any] | None:
        """One answer a request, given a buffer for each of `merged`; None if there is no object."""
        if buffers is None:
            return None
        if self._runs is not None and self._tables.keys() - self._known.keys():
            self._give_out(self._runs.parts(buffers[-len(self._runs.reads) :]))
        found = (cut.of(buffers) for cut in self._cuts)
        if not self._known:
            return list(found)
        return [self._known[at] if at in self._known else next(found) for at in range(self._n_requests)]

    def _give_out(self, pieces: Pieces) -> None:
        """Answer each table with its own of all pieces."""
        start = 0
        for at, count in self._tables.items():
            self._known[at] = pieces if count == len(pieces) else pieces.take(np.arange(start, start + count))
            start += count


def _is_large(opened: StoredObject | None) -> TypeGuard[JoiningObject]:
    """Whether an object is read in parts, each when its turn comes."""
    return opened is not None and joins_ranges(opened) and (opened.nbytes or 0) > _LARGE_NBYTES


def _has_all(
    opened: StoredObject | None, table: np.ndarray[Any, np.dtype[np.uint64]]
) -> TypeGuard[JoiningObject]:
    """Whether an object that is read in parts has all these ranges."""
    return _is_large(opened) and int(table.sum(axis=1).max()) <= (opened.nbytes or 0)


def is_read_later(
    opened: StoredObject | None, table: np.ndarray[Any, np.dtype[np.uint64]]
) -> TypeGuard[JoiningObject]:
    """Whether ranges are read by those who decode them."""
    nbytes = int(table[:, 1].sum())
    if nbytes <= _LARGE_NBYTES or not _has_all(opened, table):
        return False
    # What is asked for together lies scattered, if chunks are written in another order than C.
    return nbytes > memory.LARGEST_NBYTES or bool((table[1:, 0] > table[:-1, 0]).all())


def _keep(opened: StoredObject, request: IndexRequest, index: ShardIndex) -> None:
    identity = opened.identity  # now known of objects behind a network, too
    if identity is not None:
        INDEXES.put(identity, request.shard, request.extent, index)
