"""What the engine asks of a store.

Owns the protocols alone. A store knows keys and bytes, never shards.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeGuard, runtime_checkable

from zarr_shard_codec.core.ranges import Buffer, Request


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One stored object: its key and its size in bytes."""

    key: str
    nbytes: int


@dataclass(frozen=True, slots=True)
class Coalescing:
    """When two byte ranges are cheaper as one read on this store.

    Attributes
    ----------
    largest_gap
        Ranges at most this many bytes apart are merged.
    largest_read
        No merged read is larger than this, in bytes (a single range may be).
    """

    largest_gap: int
    largest_read: int


@runtime_checkable
class Store(Protocol):
    """A flat set of objects under string keys, `/` between their parts, none at the ends."""

    coalescing: Coalescing

    def read(self, key: str, requests: Sequence[Request]) -> list[Buffer] | None:
        """One buffer a request, in order; None if the object does not exist.

        All buffers of one call come from one state of the object. A request that reaches past the end
        gets what there is (possibly nothing); memory is taken for bytes that exist, never for bytes asked.
        """
        ...

    def write(self, key: str, parts: Sequence[Buffer]) -> None:
        """Replace the object by the parts, one after the other, atomically: a reader sees old or new."""
        ...

    def create(self, key: str, parts: Sequence[Buffer]) -> bool:
        """Like `write`, but False, and nothing is done, if the object exists. Of many callers one wins."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; it need not exist."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key is under the folder `prefix` (`""`: all), in no order."""
        ...

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Full keys (prefix included) of the folders directly under the folder `prefix`, in no order."""
        ...


class StoredObject(Protocol):
    """One state of an object, held open: it stays the same whatever is written under its key later."""

    @property
    def identity(self) -> Hashable | None:
        """Equal for two that hold the same bytes, and for no others; None where that is not certain."""
        ...

    def read(self, requests: Sequence[Request]) -> list[Buffer]:
        """As `Store.read`."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class OpeningStore(Store, Protocol):
    """A store that can hold an object open."""

    def open_object(self, key: str) -> StoredObject | None:
        """Open an object for reading; None if it does not exist."""
        ...


def opens_objects(store: Store) -> TypeGuard[OpeningStore]:
    """Whether a store is an `OpeningStore`."""
    return hasattr(store, "open_object")


class AsyncStore(Store, Protocol):
    """A store behind a network, whose reads can wait without a thread."""

    async def read_async(self, key: str, requests: Sequence[Request]) -> list[Buffer] | None:
        """As `read`."""
        ...


def waits_for_network(store: Store) -> TypeGuard[AsyncStore]:
    """Whether a store is an `AsyncStore`; isinstance on a protocol would cost more than a read."""
    return hasattr(store, "read_async")


def require_writable(store: Store) -> None:
    """Raise `StoreError` (`read_only`) if the store knows of itself that it never takes an object."""
    if hasattr(store, "require_writable"):
        store.require_writable()
