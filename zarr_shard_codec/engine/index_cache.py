"""Indexes that were read lately: a second read from the same shard does without its index.

Owns memory, and when it may be believed: only for an object that is known to be the very same one.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from zarr_shard_codec.core.index import ShardIndex
from zarr_shard_codec.core.plans import Shard
from zarr_shard_codec.core.ranges import ByteRange

_LARGEST_NBYTES: Final = 64 << 20
"""Bytes of indexes that are kept, in this process: those of four million inner chunks."""

_ENTRY_NBYTES: Final = 1 << 10
"""What an index counts for beside its table: the Python objects around a small one are larger than it."""


class IndexCache:
    """Indexes by the identity of their object; the one used longest ago goes first.

    Parameters
    ----------
    largest_nbytes
        Bytes of memory for the indexes that are kept; a larger index never is.
    """

    def __init__(self, largest_nbytes: int = _LARGEST_NBYTES) -> None:
        self._largest_nbytes = largest_nbytes
        self.forget()

    def forget(self) -> None:
        """Start anew; whoever was in the middle of something is not waited for."""
        self._nbytes = 0
        self._entries: OrderedDict[Hashable, tuple[weakref.ref[Shard], ShardIndex]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, identity: Hashable, shard: Shard, extent: ByteRange | None) -> ShardIndex | None:
        """What was put for this object and codec."""
        key = identity, extent
        with self._lock:
            found = self._entries.get(key)
            # Another array over the same object may see another index.
            if found is None or found[0]() is not shard:
                return None
            self._entries.move_to_end(key)
            return found[1]

    def put(self, identity: Hashable, shard: Shard, extent: ByteRange | None, index: ShardIndex) -> None:
        """Keep an index."""
        if _nbytes(index) > self._largest_nbytes:
            return
        if extent is not None:
            # This table is a view into the outer shard's buffer; the cache would keep all of that alive.
            index = ShardIndex(index.entries.copy(), index.chunks_per_shard)
        key = identity, extent
        with self._lock:
            former = self._entries.pop(key, None)
            if former is not None:
                self._nbytes -= _nbytes(former[1])
            self._entries[key] = weakref.ref(shard), index
            self._nbytes += _nbytes(index)
            while self._nbytes > self._largest_nbytes:
                _, (_, oldest) = self._entries.popitem(last=False)
                self._nbytes -= _nbytes(oldest)


def _nbytes(index: ShardIndex) -> int:
    return index.entries.nbytes + _ENTRY_NBYTES


INDEXES: Final = IndexCache()
"""The process's."""

if hasattr(os, "register_at_fork"):
    # Another thread of the parent may have held the lock; in the child nobody would ever release it.
    os.register_at_fork(after_in_child=INDEXES.forget)
