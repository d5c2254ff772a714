"""What the engine asks of a store.

Owns the protocols alone. A store knows keys and bytes, never shards.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeGuard, runtime_checkable

from zarr_shard_codec.core.patching import Patch
from zarr_shard_codec.core.pieces import Part
from zarr_shard_codec.core.ranges import Buffer, ByteRange, Coalescing, Request


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One stored object: its key and its size in bytes."""

    key: str
    nbytes: int


class Objects(Protocol):
    """Objects under string keys, `/` between their parts, none at the ends: what reads and writes need."""

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

    def delete(self, key: str) -> None:
        """Remove the object; it need not exist."""
        ...


@runtime_checkable
class Store(Objects, Protocol):
    """Objects that can be listed, and made once: what metadata and surveys need as well."""

    def create(self, key: str, parts: Sequence[Buffer]) -> bool:
        """Like `write`, but False, and nothing is done, if the object exists. Of many callers one wins."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key is under the folder `prefix` (`""`: all), in no order."""
        ...

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Full keys (prefix included) of the folders directly under the folder `prefix`, in no order."""
        ...


Version = Hashable
"""What a store knows one state of an object by. Comparing two is the store's business."""


class StoredObject(Protocol):
    """One state of an object: all that is read is of that state, whatever is written under its key later.

    A store that cannot hold the state raises `object_changed` (`StoreError`) once it sees another one.
    """

    @property
    def identity(self) -> Hashable | None:
        """Equal for two that hold the same bytes, and for no others; None where that is not certain.

        Before the first read of an object behind a network: that of the state in which it was last seen.
        """
        ...

    def rely(self) -> None:
        """Take the state that `identity` names for this object's: a read that finds another one fails."""
        ...

    @property
    def nbytes(self) -> int | None:
        """Its size in bytes; None where that is not known."""
        ...

    @property
    def version(self) -> Version | None:
        """The state, for `write_if` or `patch`; None before the first read of an object behind a network."""
        ...

    def read(self, requests: Sequence[Request]) -> list[Buffer] | None:
        """As `Store.read`."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class JoiningObject(StoredObject, Protocol):
    """One state of an object of which many ranges are read at once into one buffer."""

    def read_joined(self, ranges: Sequence[ByteRange]) -> Buffer | None:
        """The bytes of all ranges, one behind the other; None if some are missing: `read` then says which."""
        ...

    def read_into(self, offset: int, buffers: Sequence[memoryview]) -> bool:
        """Fill buffers, one after the other, with the bytes from an offset on; False if there are too few."""
        ...

    def held(self) -> JoiningObject:
        """The same state, open as long as anybody refers to it, whether or not this one is closed."""
        ...


def joins_ranges(opened: StoredObject) -> TypeGuard[JoiningObject]:
    """Whether an object is a `JoiningObject`."""
    return hasattr(opened, "read_joined")


class OpeningStore(Objects, Protocol):
    """A store that knows one state of an object from another."""

    def open_object(self, key: str) -> StoredObject | None:
        """Open an object for reading; None if it does not exist, where that costs nothing to know."""
        ...


def opens_objects(store: Objects) -> TypeGuard[OpeningStore]:
    """Whether a store is an `OpeningStore`."""
    return hasattr(store, "open_object")


class ConditionalStore(OpeningStore, Protocol):
    """A store that replaces an object only if nobody else did so in the meantime."""

    def write_if(self, key: str, parts: Sequence[Buffer], version: Version | None) -> bool:
        """As `write`, if the object still is in this state (None: does not exist); whether it was."""
        ...


def writes_conditionally(store: Objects) -> TypeGuard[ConditionalStore]:
    """Whether a store is a `ConditionalStore`; a class for many services says so by `conditional`."""
    return hasattr(store, "write_if") and getattr(store, "conditional", True)


class DeletingStore(ConditionalStore, Protocol):
    """A store that also removes an object only if nobody else touched it, which object stores do not."""

    def delete_if(self, key: str, version: Version | None) -> bool:
        """As `delete`, if the object still is in this state; whether it was."""
        ...


def deletes_conditionally(store: Objects) -> TypeGuard[DeletingStore]:
    """Whether a store is a `DeletingStore`."""
    return hasattr(store, "delete_if")


class PatchingStore(OpeningStore, Protocol):
    """A store whose objects can be written into. A reader may then meet one that is half done."""

    def patch(self, key: str, patch: Patch, version: Version | None) -> bool:
        """Write into the object, if it still is in this state; whether it was."""
        ...

    def is_in_change(self, key: str) -> bool:
        """Whether another process may be writing into the object now, or this one is; False if unknown."""
        ...


def patches_objects(store: Objects) -> TypeGuard[PatchingStore]:
    """Whether a store is a `PatchingStore`."""
    return hasattr(store, "patch")


class AssemblingStore(Objects, Protocol):
    """A store that makes objects of parts of others, and may take its time to free those."""

    def put_together(self, key: str, parts: Sequence[Part]) -> Callable[[], None] | None:
        """As `write`; parts may be extents of objects that the store has opened, and which it closes.

        Returns what frees the old object's space, to be called in any thread, if that takes time.
        """
        ...


def assembles_objects(store: Objects) -> TypeGuard[AssemblingStore]:
    """Whether a store is an `AssemblingStore`."""
    return hasattr(store, "put_together")


class LockingStore(Objects, Protocol):
    """A store with locks that hold across processes, and that die with their holders."""

    def lock(self, folder: str, name: str) -> Callable[[], None]:
        """Wait for the lock of a name among those of a folder; returns what lets go of it."""
        ...


def locks_names(store: Objects) -> TypeGuard[LockingStore]:
    """Whether a store is a `LockingStore`."""
    return hasattr(store, "lock")


class AsyncStoredObject(StoredObject, Protocol):
    """One state of an object behind a network."""

    async def read_async(self, requests: Sequence[Request]) -> list[Buffer] | None:
        """As `read`."""
        ...


class AsyncStore(Objects, Protocol):
    """A store behind a network, whose reads can wait without a thread."""

    async def read_async(self, key: str, requests: Sequence[Request]) -> list[Buffer] | None:
        """As `read`."""
        ...


def waits_for_network(store: Objects) -> TypeGuard[AsyncStore]:
    """Whether a store is an `AsyncStore`; isinstance on a protocol would cost more than a read."""
    return hasattr(store, "read_async")


class AsyncOpeningStore(AsyncStore, Protocol):
    """A store behind a network that knows one state of an object from another."""

    def open_object(self, key: str) -> AsyncStoredObject:
        """Name an object whose state is to be the same in all reads; asks for nothing."""
        ...


def opens_remote_objects(store: AsyncStore) -> TypeGuard[AsyncOpeningStore]:
    """Whether a store is an `AsyncOpeningStore`."""
    return hasattr(store, "open_object")


def waits_for_disk(store: Objects) -> bool:
    """Whether what is written is on the disk when the call returns: of a class that can do either."""
    return getattr(store, "durable", False)


def require_writable(store: Objects) -> None:
    """Raise `StoreError` (`read_only`) if the store knows of itself that it never takes an object."""
    if hasattr(store, "require_writable"):
        store.require_writable()
