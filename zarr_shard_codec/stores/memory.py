"""Objects in memory, for tests and for work that never touches a disk.

Owns its objects for as long as it lives. It does not travel between processes: a copy would not be the
same store, so it refuses to be pickled.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from zarr_shard_codec.core.ranges import Buffer, Coalescing, Request, clamp
from zarr_shard_codec.stores.keys import check_key, check_prefix
from zarr_shard_codec.stores.protocols import ObjectInfo, Version


class HeldBytes:
    """An object's bytes: one state of it. The bytes themselves are its version.

    Parameters
    ----------
    whole
        All of them.
    """

    __slots__ = ("version",)

    identity: None = None
    """An index kept would save nothing here."""

    def __init__(self, whole: bytes) -> None:
        self.version = whole

    @property
    def nbytes(self) -> int:
        """How many they are."""
        return len(self.version)

    def rely(self) -> None:
        """Nothing is to be done: bytes stay what they are."""

    def read(self, requests: Sequence[Request]) -> list[Buffer]:
        """One view a request, in order."""
        view = memoryview(self.version)
        return [view[slice(*clamp(request, len(view)))] for request in requests]

    def close(self) -> None:
        """Nothing is to be done."""


class MemoryStore:
    """A `Store` in a dictionary; safe to share between threads.

    Objects are immutable `bytes`, and what `read` gives are views of them: reading copies nothing, and a
    reader keeps the state that it saw whatever is written later.
    """

    coalescing: Coalescing = Coalescing(largest_gap=0, largest_read=1 << 30)
    """Neighbours are merged, because one view is less work than two; nothing is gained across a gap."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def read(self, key: str, requests: Sequence[Request]) -> list[Buffer] | None:
        """One view a request, in order; None if there is no such object. See `Store.read`."""
        opened = self.open_object(key)
        return None if opened is None else opened.read(requests)

    def open_object(self, key: str) -> HeldBytes | None:
        """Hold an object's bytes; None if there is no such object."""
        stored = self._objects.get(check_key(key))
        return None if stored is None else HeldBytes(stored)

    def write(self, key: str, parts: Sequence[Buffer]) -> None:
        """Replace the object. See `Store.write`."""
        check_key(key)
        whole = b"".join(parts)
        with self._lock:
            self._objects[key] = whole

    def write_if(self, key: str, parts: Sequence[Buffer], version: Version | None) -> bool:
        """Replace the object if it still is the same; whether it was. See `ConditionalStore.write_if`."""
        check_key(key)
        whole = b"".join(parts)
        with self._lock:
            if self._objects.get(key) is not version:
                return False
            self._objects[key] = whole
            return True

    def delete_if(self, key: str, version: Version | None) -> bool:
        """Remove the object if it still is the same; whether it was. See `DeletingStore.delete_if`."""
        check_key(key)
        with self._lock:
            if self._objects.get(key) is not version:
                return False
            self._objects.pop(key, None)
            return True

    def create(self, key: str, parts: Sequence[Buffer]) -> bool:
        """Add the object unless there is one; whether it was added. See `Store.create`."""
        check_key(key)
        with self._lock:
            if key in self._objects:
                return False
            self._objects[key] = b"".join(parts)
            return True

    def delete(self, key: str) -> None:
        """Remove the object; it need not exist."""
        check_key(key)
        with self._lock:
            self._objects.pop(key, None)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object under the folder, as it was when this was called."""
        folder = check_prefix(prefix) + "/" if prefix else ""
        with self._lock:
            found = [ObjectInfo(key, len(whole)) for key, whole in self._objects.items()]
        return (info for info in found if info.key.startswith(folder))

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Full keys of the folders directly under the folder, each once."""
        start = len(prefix) + 1 if prefix else 0
        slashes = ((info.key, info.key.find("/", start)) for info in self.list(prefix))
        return iter({key[:slash] for key, slash in slashes if slash > 0})

    def __repr__(self) -> str:
        return f"<MemoryStore: {len(self._objects)} objects>"

    def __str__(self) -> str:
        return "memory"
