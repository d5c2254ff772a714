"""One object in one state, and a shard made of ranges of it: what `repair` and `compact` share.

Owns the copying of encoded inner chunks; nothing is decoded. Between local files bytes are copied inside the
kernel, so memory holds the index alone; an object of any other store is in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core.compaction import Compaction
from zarr_shard_codec.core.plans import IndexRequest, Plan, RangeTable, Size
from zarr_shard_codec.core.ranges import WHOLE, Buffer, Request, clamp
from zarr_shard_codec.engine.locks import Locking
from zarr_shard_codec.errors import StoreError
from zarr_shard_codec.stores import files
from zarr_shard_codec.stores.copying import append_range
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.open_file import OpenFile
from zarr_shard_codec.stores.protocols import (
    Store,
    Version,
    deletes_conditionally,
    opens_objects,
    writes_conditionally,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class InMemory:
    """One state of an object, all of it.

    Attributes
    ----------
    whole
        Its bytes.
    version
        What its store knows the state by, if it knows it by anything.
    """

    whole: memoryview
    version: Version | None

    @property
    def nbytes(self) -> int:
        """Its size in bytes."""
        return len(self.whole)

    def read(self, requests: Sequence[Request]) -> list[Buffer]:
        """As `Store.read`."""
        return [self.whole[slice(*clamp(request, len(self.whole)))] for request in requests]

    def close(self) -> None:
        """Nothing is open."""


State = OpenFile | InMemory


@contextmanager
def hold_object(store: Store, key: str) -> Iterator[State | None]:
    """Give one state of an object, for as long as the block runs; None if there is none."""
    if isinstance(store, LocalStore):
        opened = store.open_object(key)
        if opened is None:
            yield None
            return
        with closing(opened):
            held = opened.held()
        with closing(held):
            yield held
        return
    if not opens_objects(store):
        found = store.read(key, [WHOLE])
        yield None if found is None else InMemory(memoryview(found[0]), None)
        return
    there = store.open_object(key)
    if there is None:
        yield None
        return
    try:
        found = there.read([WHOLE])
        yield None if found is None else InMemory(memoryview(found[0]), there.version)
    finally:
        there.close()


def ask(plan: Plan[T], state: State) -> T:
    """Drive a plan over one state of an object."""
    try:
        requests = next(plan)
        while True:
            wanted = [request.lies if isinstance(request, IndexRequest) else request for request in requests]
            requests = plan.send([_answer(request, state) for request in wanted])
    except StopIteration as done:
        result: T = done.value
        return result


def _answer(request: Request | RangeTable | Size, state: State) -> Buffer | int:
    if isinstance(request, Size):
        return state.nbytes
    assert not isinstance(request, RangeTable)  # of chunks, which no rewrite decodes
    return state.read([request])[0]


def write_compact(store: Store, key: str, codec: ShardingCodec, state: State, compaction: Compaction) -> None:
    """Replace a shard by a compact one, made of ranges of the state, which cannot be read after that.

    The caller holds the object's lock.

    Raises
    ------
    StoreError
        `store_failure`; `object_changed`: another writer was faster. The object is then as it was.
    """
    at_start = codec.index_location == "start"
    index = codec.encode_index(compaction.index)
    ranges = compaction.ranges.tolist()
    if isinstance(state, OpenFile):
        assert isinstance(store, LocalStore)
        with store.atomic_writer(key) as descriptor:
            if at_start:
                files.write_parts(descriptor, [index])
            for offset, nbytes in ranges:
                if append_range(state.descriptor, descriptor, offset, nbytes) != nbytes:
                    raise _changed(key)
            if not at_start:
                files.write_parts(descriptor, [index])
            state.close()  # Windows replaces no open file
        return
    chunks: list[Buffer] = [state.whole[offset : offset + nbytes] for offset, nbytes in ranges]
    parts = [index, *chunks] if at_start else [*chunks, index]
    if not writes_conditionally(store) or state.version is None:
        store.write(key, parts)
    elif not store.write_if(key, parts, state.version):
        raise _changed(key)


def may_delete(store: Store, lock: Locking) -> bool:
    """Whether a shard can be removed, and no update that another writer makes meanwhile with it.

    If not, a shard without inner chunks is written instead: its index alone.
    """
    return lock != "auto" or deletes_conditionally(store) or not writes_conditionally(store)


def delete_object(store: Store, key: str, state: State) -> None:
    """Remove the object of which this is the state. The caller holds its lock.

    Raises
    ------
    StoreError
        `store_failure`; `object_changed`: another writer was faster. The object is then as it was.
    """
    if isinstance(state, InMemory) and state.version is not None and deletes_conditionally(store):
        if not store.delete_if(key, state.version):
            raise _changed(key)
        return
    state.close()  # Windows deletes no open file
    store.delete(key)


def _changed(key: str) -> StoreError:
    return StoreError(
        "object_changed",
        "the shard was written to meanwhile; it is as that writer left it",
        key=key,
        hint="Run the same again.",
    )
