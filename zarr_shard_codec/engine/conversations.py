"""Drivers of plans: a plan's requests in, a store's bytes out. One for threads, one for an event loop.

Owns the turns and nothing else; `core.plans` says what is asked, the store how it is read.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial
from typing import Any, TypeVar

from zarr_shard_codec.core.index import ShardIndex
from zarr_shard_codec.core.plans import IndexRequest, Plan
from zarr_shard_codec.core.ranges import Buffer, Cut, Request, merge
from zarr_shard_codec.engine.index_cache import INDEXES
from zarr_shard_codec.errors import ZarrShardError
from zarr_shard_codec.stores.protocols import AsyncStore, Store, StoredObject, opens_objects

T = TypeVar("T")


def converse(plan: Plan[T], store: Store, key: str) -> T:
    """Drive a plan over one object. Errors name the key.

    On stores that can hold an object open, all turns see one state of it, and an index of it that was
    read before is not read again.
    """
    opened: StoredObject | None = None
    try:
        requests = next(plan)
        if opens_objects(store):
            opened = store.open_object(key)
        while True:
            turn = _Turn(requests, store, None if opened is None else opened.identity)
            if not turn.merged:
                buffers: Sequence[Buffer] | None = ()
            elif opened is not None:
                buffers = opened.read(turn.merged)
            else:
                buffers = None if opens_objects(store) else store.read(key, turn.merged)
            requests = plan.send(turn.answer(buffers))
    except StopIteration as done:
        result: T = done.value
        return result
    except ZarrShardError as error:
        raise error.at(key=key) from error.__cause__
    finally:
        if opened is not None:
            opened.close()


async def converse_async(plan: Plan[T], store: AsyncStore, key: str) -> T:
    """Drive a plan over one object, as `converse` does, without holding a thread."""
    try:
        requests = next(plan)
        while True:
            turn = _Turn(requests, store, None)
            requests = plan.send(turn.answer(await store.read_async(key, turn.merged)))
    except StopIteration as done:
        result: T = done.value
        return result
    except ZarrShardError as error:
        raise error.at(key=key) from error.__cause__


class _Turn:
    """One turn of a conversation: what is left to read of what the plan asks, and the answer."""

    __slots__ = ("_cuts", "_known", "_n_requests", "merged")

    def __init__(
        self, requests: Sequence[Request | IndexRequest], store: Store, identity: Hashable | None
    ) -> None:
        self._n_requests = len(requests)
        self._known: dict[int, ShardIndex] = {}
        plain: list[Request] = []
        for at, request in enumerate(requests):
            if isinstance(request, IndexRequest):
                known = None if identity is None else INDEXES.get(identity, request.shard, request.extent)
                if known is not None:
                    self._known[at] = known
                    continue
                if identity is not None:
                    request.keep = partial(INDEXES.put, identity, request.shard, request.extent)
                plain.append(request.lies)
            else:
                plain.append(request)
        knobs = store.coalescing
        self.merged: list[Request]
        self._cuts: list[Cut]
        self.merged, self._cuts = merge(plain, largest_gap=knobs.largest_gap, largest_read=knobs.largest_read)

    def answer(self, buffers: Sequence[Buffer] | None) -> list[Any] | None:
        if buffers is None:
            return None
        found = (cut.of(buffers) for cut in self._cuts)
        if not self._known:
            return list(found)
        return [self._known[at] if at in self._known else next(found) for at in range(self._n_requests)]
