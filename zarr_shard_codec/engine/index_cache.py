"""Indexes that were read lately: a second read from the same shard does without its index.

Owns memory, and when it may be believed: only for an object that is known to be the very same one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from zarr_shard_codec.core.index import ShardIndex
from zarr_shard_codec.core.plans import IndexRequest, Shard

_LARGEST_NBYTES: Final = 64 << 20
"""Bytes of indexes that are kept, in this process: those of four million inner chunks."""


class IndexCache:
    """Indexes by the identity of their object; the one used longest ago goes first.

    Parameters
    ----------
    largest_nbytes
        Bytes of indexes that are kept; a larger index never is.
    """

    def __init__(self, largest_nbytes: int = _LARGEST_NBYTES) -> None:
        self._largest_nbytes = largest_nbytes
        self._nbytes = 0
        self._entries: OrderedDict[Hashable, tuple[Shard, ShardIndex]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, identity: Hashable, request: IndexRequest) -> ShardIndex | None:
        """What was put for this object and codec."""
        key = identity, request.extent
        with self._lock:
            shard, index = self._entries.get(key, (None, None))
            if shard is not request.shard:  # another array over the same object may see another index
                return None
            self._entries.move_to_end(key)
            return index

    def put(self, identity: Hashable, request: IndexRequest, index: ShardIndex) -> None:
        """Keep an index."""
        key = identity, request.extent
        with self._lock:
            _, former = self._entries.pop(key, (None, None))
            self._nbytes += index.entries.nbytes - (0 if former is None else former.entries.nbytes)
            self._entries[key] = request.shard, index
            while self._nbytes > self._largest_nbytes:
                _, (_, oldest) = self._entries.popitem(last=False)
                self._nbytes -= oldest.entries.nbytes


INDEXES: Final = IndexCache()
"""The process's."""
