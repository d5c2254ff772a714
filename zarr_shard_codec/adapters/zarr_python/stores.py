"""Where a shard's bytes are: zarr-python's stores as the engine sees them.

Owns which stores the engine reaches by itself (local files, obstore's), and how it asks all others through
the host's own calls. The keys of the latter are those of the getters that the host hands out.
"""

from __future__ import annotations

import asyncio
import os
import re
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Final
from weakref import WeakValueDictionary

import numpy as np
from zarr.abc.store import RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import LocalStore as HostLocalStore
from zarr.storage import ObjectStore as HostObjectStore
from zarr.storage import StorePath

from zarr_shard_codec.adapters.places import local_store
from zarr_shard_codec.adapters.zarr_python.turns import Watch, changing, name_of, turn, turn_async
from zarr_shard_codec.core.ranges import Buffer, ByteRange, Coalescing, Request, Suffix
from zarr_shard_codec.engine.run import ReadTask, read_objects
from zarr_shard_codec.engine.run_async import read_objects_async
from zarr_shard_codec.errors import StoreError
from zarr_shard_codec.stores.protocols import Store
from zarr_shard_codec.stores.remote_object import UnsteadyError

_OBJECT_STORES: Final[WeakValueDictionary[int, Store]] = WeakValueDictionary()
"""Ours for each of obstore's, by its identity: the same for every array of it, as locks go by our store's."""
_OF_HOSTS: Final[dict[int, tuple[weakref.ref[Any], Store]]] = {}
"""Ours for each of the host's, by its identity: they live as long as those, and so do their caches."""
_PLAIN: Final = re.compile("[A-Za-z0-9_./-]*")
"""Keys that are the names of obstore's local files as they are; it writes others in ways of its own."""


def own_store(getter: Any, *, durable: bool = False) -> Store | None:
    """Our store for what a getter reads; None where the host's own has to be asked.

    Only for exactly the host's classes: whoever derives from one may have changed what reading means.
    """
    if not isinstance(getter, StorePath):
        return None
    folder = _folder_of(getter)
    if folder is not None:
        local = local_store(os.fspath(folder))
        return local.made_durable() if durable else local
    return _object_store(getter.store) if type(getter.store) is HostObjectStore else None


def is_local(getter: Any) -> bool:
    """Whether what a getter reads is a local file, which our store reaches."""
    return isinstance(getter, StorePath) and type(getter.store) is HostLocalStore


def _folder_of(getter: Any) -> Any:
    """The folder whose files a getter's store has; None for a store of anything else."""
    if is_local(getter):
        return getter.store.root
    if type(getter.store) is HostObjectStore:
        store = getter.store.store
        # Obstore's, by our store: its locks of files hold across stores and processes.
        if type(store).__name__ == "LocalStore" and _PLAIN.fullmatch(getter.path):
            return store.prefix
    return None


def _object_store(host: Any) -> Store:
    at = id(host)
    known = _OF_HOSTS.get(at)
    if known is not None and known[0]() is host:
        return known[1]
    from zarr_shard_codec.stores.object_store import ObjectStore

    # Ours refers to obstore's, so that no other one can have its identity meanwhile. Of threads that come at
    # once all get the first one's.
    ours = _OBJECT_STORES.setdefault(id(host.store), ObjectStore(host.store))
    _OF_HOSTS[at] = weakref.ref(host, lambda _: _OF_HOSTS.pop(at, None)), ours
    return ours


class SyncObjects:
    """A `Store` of the objects that some of the host's getters name, by their synchronous calls.

    Parameters
    ----------
    getters
        The host's byte getters (or setters), by the keys that the engine is to use.
    coalescing
        When ranges are read as one.
    """

    def __init__(self, getters: Mapping[str, Any], coalescing: Coalescing) -> None:
        self.coalescing = coalescing
        self.getters: Final = getters

    def __str__(self) -> str:
        # All are of one store; an outer shard's own getters are of none.
        return str(getattr(next(iter(self.getters.values())), "store", "an outer shard"))

    def read(self, key: str, requests: Sequence[Request]) -> list[Buffer] | None:
        """One buffer a request; None if there is no object. See `Store.read`."""
        getter = self.getters[key]
        return _answers([getter.get_sync(**_asking(request)) for request in requests], key)

    def write(self, key: str, parts: Sequence[Buffer]) -> None:
        """Replace the object."""
        setter = self.getters[key]
        with changing(name_of(setter)):
            setter.set_sync(joined(parts))

    def delete(self, key: str) -> None:
        """Remove the object; it need not exist."""
        setter = self.getters[key]
        with changing(name_of(setter)):
            setter.delete_sync()

    def open_object(self, key: str) -> HostObject:
        """Name an object whose state is to be the same in all reads, as far as this process changes it."""
        return HostObject(self, key)

    def run(self, tasks: Sequence[ReadTask]) -> None:
        """Read objects; those that are set again and again in turn with their writers."""
        try:
            read_objects(self, tasks)
        except StoreError as error:
            if error.reason != "object_changed":
                raise
            for task in tasks:
                with turn(name_of(self.getters[task.key])):
                    read_objects(self, [task])


class AsyncObjects(SyncObjects):
    """An `AsyncStore` of the objects that some of the host's getters name."""

    async def read_async(self, key: str, requests: Sequence[Request]) -> list[Buffer] | None:
        """As `read`, by the host's asynchronous calls."""
        getter = self.getters[key]
        asked = (getter.get(**_asking(request)) for request in requests)
        return _answers(await asyncio.gather(*asked), key)

    async def run_async(self, tasks: Sequence[ReadTask]) -> None:
        """As `run`, without holding up an event loop."""
        try:
            await read_objects_async(self, tasks)
        except StoreError as error:
            if error.reason != "object_changed":
                raise
            for task in tasks:
                async with turn_async(name_of(self.getters[task.key])):
                    await read_objects_async(self, [task])


class HostObject:
    """An object that the host reaches: reads that see more than one of its states fail.

    Of several requests, as a single one is answered from one state. What other processes change, nobody sees.
    """

    __slots__ = ("_asked", "_key", "_objects", "_watch")

    nbytes: None = None
    identity: None = None
    version: None = None

    def __init__(self, objects: Any, key: str) -> None:
        self._objects, self._key, self._asked = objects, key, 0
        self._watch = Watch(name_of(objects.getters[key]))

    def rely(self) -> None:
        """There is no state that could be relied on."""

    def read(self, requests: Sequence[Request]) -> list[Buffer] | None:
        """As `Store.read`; `object_changed` if it is not what it was."""
        return self._checked(self._objects.read(self._key, requests), len(requests))

    async def read_async(self, requests: Sequence[Request]) -> list[Buffer] | None:
        """As `read`."""
        return self._checked(await self._objects.read_async(self._key, requests), len(requests))

    def close(self) -> None:
        """Nobody needs to know of changes any more."""
        self._watch.end()

    def _checked(self, answers: list[Buffer] | None, n_asked: int) -> list[Buffer] | None:
        self._asked += n_asked
        if self._asked > 1 and not self._watch.steady:
            raise UnsteadyError(self._key)
        return answers


def key_of(getter: Any) -> str:
    """The key of what a getter reads; empty where it has none, as a chunk within a shard in memory."""
    return getattr(getter, "path", "")


def leads_elsewhere(error: StoreError) -> bool:
    """Whether our store refused a key that the host's may take: a symbolic link out of the store's folder."""
    return error.reason == "invalid_key"


def view_of(buffer: Any) -> memoryview:
    """The bytes of one of the host's buffers."""
    return np.ascontiguousarray(buffer.as_numpy_array()).view(np.uint8).data


def joined(parts: Sequence[Buffer]) -> Any:
    """The parts as one of the host's buffers."""
    return default_buffer_prototype().buffer.from_bytes(b"".join(parts))


def _asking(request: Request) -> dict[str, Any]:
    byte_range: Any = None
    if isinstance(request, ByteRange):
        byte_range = RangeByteRequest(request.offset, request.offset + request.nbytes)
    elif isinstance(request, Suffix):
        byte_range = SuffixByteRequest(request.nbytes)
    return {"prototype": default_buffer_prototype(), "byte_range": byte_range}


def _answers(found: Sequence[Any], key: str) -> list[Buffer] | None:
    missing = sum(buffer is None for buffer in found)
    if missing and missing == len(found):
        return None
    if missing:
        raise StoreError("object_changed", "the object was deleted while it was being read", key=key or None)
    return [view_of(buffer) for buffer in found]
