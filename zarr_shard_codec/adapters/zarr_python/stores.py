"""Where a shard's bytes are: zarr-python's stores as the engine sees them.

Owns which stores the engine reaches by itself (local files, obstore's), and how it asks all others through
the host's own calls. The keys of the latter are those of the getters that the host hands out.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from zarr.abc.store import RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import LocalStore as HostLocalStore
from zarr.storage import ObjectStore as HostObjectStore
from zarr.storage import StorePath

from zarr_shard_codec.adapters.places import local_store
from zarr_shard_codec.core.ranges import Buffer, ByteRange, Coalescing, Request, Suffix
from zarr_shard_codec.errors import StoreError
from zarr_shard_codec.stores.protocols import ObjectInfo, Store

_OBJECT_STORES: Final[OrderedDict[int, tuple[Any, Store]]] = OrderedDict()
_MOST_OBJECT_STORES: Final = 64


def own_store(getter: Any, *, durable: bool = False) -> Store | None:
    """Our store for what a getter reads; None where the host's own has to be asked.

    Only for exactly the host's classes: whoever derives from one may have changed what reading means.
    """
    if is_local(getter):
        local = local_store(os.fspath(getter.store.root))
        return local.made_durable() if durable else local
    if isinstance(getter, StorePath) and type(getter.store) is HostObjectStore:
        return _object_store(getter.store.store)
    return None


def is_local(getter: Any) -> bool:
    """Whether what a getter reads is a local file, which our store reaches."""
    return isinstance(getter, StorePath) and type(getter.store) is HostLocalStore


def _object_store(store: Any) -> Store:
    # By identity: the same for every array of that store, as locks go by our store's.
    found = _OBJECT_STORES.get(id(store))
    if found is None:
        from zarr_shard_codec.stores.object_store import ObjectStore

        # Of threads that come at once all get the first one's.
        found = _OBJECT_STORES.setdefault(id(store), (store, ObjectStore(store)))
        if len(_OBJECT_STORES) > _MOST_OBJECT_STORES:
            _OBJECT_STORES.popitem(last=False)
    return found[1]


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

    def read(self, key: str, requests: Sequence[Request]) -> list[Buffer] | None:
        """One buffer a request; None if there is no object. See `Store.read`."""
        getter = self.getters[key]
        return _answers([getter.get_sync(**_asking(request)) for request in requests], key)

    def write(self, key: str, parts: Sequence[Buffer]) -> None:
        """Replace the object."""
        self.getters[key].set_sync(joined(parts))

    def delete(self, key: str) -> None:
        """Remove the object; it need not exist."""
        self.getters[key].delete_sync()

    def create(self, key: str, parts: Sequence[Buffer]) -> bool:
        """Never asked of a store of shards."""
        raise NotImplementedError

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Never asked of a store of shards."""
        raise NotImplementedError

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Never asked of a store of shards."""
        raise NotImplementedError


class AsyncObjects(SyncObjects):
    """An `AsyncStore` of the objects that some of the host's getters name."""

    async def read_async(self, key: str, requests: Sequence[Request]) -> list[Buffer] | None:
        """As `read`, by the host's asynchronous calls."""
        getter = self.getters[key]
        asked = (getter.get(**_asking(request)) for request in requests)
        return _answers(await asyncio.gather(*asked), key)


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
