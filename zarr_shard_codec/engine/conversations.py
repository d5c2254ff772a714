"""Drivers of plans: a plan's byte ranges in, a store's bytes out. One for threads, one for an event loop.

Owns the turns and nothing else; `core.plans` says what is asked, the store how it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from zarr_shard_codec.core.plans import Plan
from zarr_shard_codec.core.ranges import Buffer, Cut, Request, merge
from zarr_shard_codec.errors import ZarrShardError
from zarr_shard_codec.stores.protocols import AsyncStore, Store

T = TypeVar("T")


def converse(plan: Plan[T], store: Store, key: str) -> T:
    """Drive a plan over one object. Errors name the key."""
    try:
        requests = next(plan)
        while True:
            merged, cuts = _merge(requests, store)
            requests = plan.send(_answer(store.read(key, merged), cuts))
    except StopIteration as done:
        result: T = done.value
        return result
    except ZarrShardError as error:
        raise error.at(key=key) from error.__cause__


async def converse_async(plan: Plan[T], store: AsyncStore, key: str) -> T:
    """Drive a plan over one object, as `converse` does, without holding a thread."""
    try:
        requests = next(plan)
        while True:
            merged, cuts = _merge(requests, store)
            requests = plan.send(_answer(await store.read_async(key, merged), cuts))
    except StopIteration as done:
        result: T = done.value
        return result
    except ZarrShardError as error:
        raise error.at(key=key) from error.__cause__


def _merge(requests: Sequence[Request], store: Store) -> tuple[list[Request], list[Cut]]:
    knobs = store.coalescing
    return merge(requests, largest_gap=knobs.largest_gap, largest_read=knobs.largest_read)


def _answer(buffers: Sequence[Buffer] | None, cuts: Sequence[Cut]) -> list[Buffer] | None:
    return None if buffers is None else [cut.of(buffers) for cut in cuts]
