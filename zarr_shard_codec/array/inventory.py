"""Which objects an array has in its store, and which lie there though they are none of it.

Owns the comparison of a listing with the chunk grid. What is in the objects is never read here, except where
a store cannot list and an object's size has to be found by asking for its bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from zarr_shard_codec.array.array import ShardedArray
from zarr_shard_codec.array.nodes import DOCUMENTS, PACKING_MARKER, join_key
from zarr_shard_codec.core.findings import Finding
from zarr_shard_codec.core.grid import Coords, grid_counts
from zarr_shard_codec.core.ranges import ByteRange
from zarr_shard_codec.engine.run import ahead, pool_for
from zarr_shard_codec.errors import StoreError
from zarr_shard_codec.stores.keeping import is_kept
from zarr_shard_codec.stores.protocols import Store
from zarr_shard_codec.stores.temporary import is_temporary


@dataclass(frozen=True, slots=True)
class GridObject:
    """One shard (or chunk) that is there.

    Attributes
    ----------
    coords
        Its place in the array's grid.
    key
        Its key.
    nbytes
        Its size in bytes.
    """

    coords: Coords
    key: str
    nbytes: int


@dataclass(frozen=True, slots=True)
class Inventory:
    """What an array has.

    Attributes
    ----------
    objects
        Its shards (or chunks), in C order of their coordinates.
    strays
        `orphan_object` and `leftover_temporary`: a note for each object that no reader of the array reads.
    """

    objects: tuple[GridObject, ...]
    strays: tuple[Finding, ...]

    @property
    def nbytes(self) -> int:
        """Stored bytes of all objects."""
        return sum(stored.nbytes for stored in self.objects)


def take_inventory(array: ShardedArray) -> Inventory:
    """List the array's objects: one listing, no reads.

    A store that cannot list is asked for every key that the array can have, and for a few single bytes of
    each object that is there; strays are not found then.
    """
    try:
        listed = list(array.store.list(array.path))
    except StoreError as error:
        message = f"objects that do not belong were not looked for: {error.message}"
        note = Finding(error.reason, message, "note", array.path or None)
        found = ahead(lambda at: _ask(array, *at), array.shard_keys(), pool_for(array.store))
        return Inventory(tuple(stored for stored in found if stored is not None), (note,))
    counts = grid_counts(array.shape, array.shard_shape)
    prefix = len(join_key(array.path, ""))
    objects: list[GridObject] = []
    strays: list[Finding] = []
    for info in listed:
        name = info.key[prefix:]
        coords = array.metadata.key_encoding.coords(name, array.ndim)
        if coords is not None and all(at < count for at, count in zip(coords, counts, strict=True)):
            objects.append(GridObject(coords, info.key, info.nbytes))
        elif coords is not None:
            message = f"a chunk outside the grid of {counts} chunks: it would be read if the array grew"
            strays.append(Finding("orphan_object", message, "note", info.key))
        elif name not in DOCUMENTS:
            strays.append(_stray(info.key, "the array"))
    objects.sort(key=lambda stored: stored.coords)
    strays.sort(key=lambda finding: finding.key or "")
    return Inventory(tuple(objects), tuple(strays))


def strays_between(store: Store, node_paths: Iterable[str]) -> list[Finding]:
    """Notes on the objects of a store that lie neither in one of the arrays nor are metadata, by key.

    Parameters
    ----------
    store
        The store; all of it is listed.
    node_paths
        Where arrays are, and nodes that cannot be read: what lies below them is not looked at.
    """
    within = set(node_paths)
    keys = [info.key for info in store.list("") if _name(info.key) not in DOCUMENTS]
    outside = [key for key in keys if not any(folder in within for folder in _folders(key))]
    # What lies in the target of unfinished packing besides is part of that.
    markers = {key for key in outside if _name(key) == PACKING_MARKER}
    targets = {key.rpartition("/")[0] for key in markers}
    strays = [
        key for key in outside if key in markers or not any(folder in targets for folder in _folders(key))
    ]
    return [_stray(key, "any array") for key in sorted(strays)]


def unfinished_packing(store: Store) -> list[Finding]:
    """A note, if the store is the target of `pack` or `unpack` and that is not complete."""
    there = store.read(PACKING_MARKER, [ByteRange(0, 1)]) is not None
    return [_stray(PACKING_MARKER, "")] if there else []


def _name(key: str) -> str:
    return key.rpartition("/")[2]


def _stray(key: str, owner: str) -> Finding:
    if _name(key) == PACKING_MARKER:
        message = "packing is under way here, or was interrupted: then run the same command again"
        return Finding("unfinished_packing", message, "note", key)
    if is_temporary(key):
        message = "an unfinished file: its writer was killed, unless it is still at work"
        return Finding("leftover_temporary", message, "note", key)
    if is_kept(key):
        message = "the damaged original of an object that was repaired; delete it when you need it no more"
        return Finding("orphan_object", message, "note", key)
    return Finding("orphan_object", f"neither metadata nor a chunk of {owner}", "note", key)


def _folders(key: str) -> Iterator[str]:
    while key:
        key = key.rpartition("/")[0]
        yield key


def _ask(array: ShardedArray, coords: Coords, key: str) -> GridObject | None:
    nbytes = find_nbytes(array.store, key)
    return None if nbytes is None else GridObject(coords, key, nbytes)


def find_nbytes(store: Store, key: str) -> int | None:
    """Find an object's size by reading single bytes of it; None if it does not exist."""

    def has(nbytes: int) -> bool | None:
        answer = store.read(key, [ByteRange(nbytes - 1, 1)])
        return None if answer is None else len(answer[0]) == 1

    least, most = 0, 1 << 16
    while found := has(most):
        least, most = most, most * 2
    if found is None:
        return None
    while most - least > 1:
        middle = (least + most) // 2
        if has(middle):
            least = middle
        else:
            most = middle
    return least
