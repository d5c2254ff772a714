"""Resizing: what must go before an array can say that it is smaller.

Owns the order of things. Data beyond the new shape is cleared first and the shape written last, so that
no crash in between leaves data that a later growth would bring back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from operator import index as as_index
from typing import TYPE_CHECKING, cast

import numpy as np

from zarr_shard_codec.array.documents import with_member
from zarr_shard_codec.array.metadata import ArrayMetadata
from zarr_shard_codec.array.nodes import V2_ARRAY, V3_DOCUMENT, join_key
from zarr_shard_codec.core.grid import Coords, grid_counts
from zarr_shard_codec.core.jobs import Encoded, UpdateJob
from zarr_shard_codec.core.pieces import Parts
from zarr_shard_codec.core.plans import Plan
from zarr_shard_codec.core.ranges import WHOLE
from zarr_shard_codec.core.writing import Update
from zarr_shard_codec.engine.locks import Locking
from zarr_shard_codec.engine.writing import WriteTask, write_objects
from zarr_shard_codec.errors import NodeNotFoundError, UsageError
from zarr_shard_codec.stores.protocols import Store

if TYPE_CHECKING:
    from zarr_shard_codec.array.array import ShardedArray


def check_new_shape(shape: Sequence[int], old: tuple[int, ...]) -> tuple[int, ...]:
    """Read a new shape. Raises `UsageError` (`invalid_argument`)."""
    try:
        new = tuple(as_index(size) for size in shape)
    except TypeError:
        new = (-1,)
    if len(new) != len(old) or not all(0 <= size < 2**63 for size in new):
        raise UsageError(
            "invalid_argument", f"shape: expected {len(old)} sizes from 0 to 2^63-1, found {shape!r:.200}"
        )
    return new


def clear_beyond(array: ShardedArray, new_shape: tuple[int, ...]) -> None:
    """Delete the objects beyond a smaller shape; set what edge objects have beyond it to fill value."""
    counts = grid_counts(new_shape, array.shard_shape)
    # As far as the objects reach that stay: the rest is deleted as a whole.
    reach = [
        min(old, count * size)
        for old, count, size in zip(array.shape, counts, array.shard_shape, strict=True)
    ]
    # Objects on the edge of each axis along which the new shape ends within them.
    edges: dict[int, list[Coords]] = {axis: [] for axis, size in enumerate(new_shape) if size < reach[axis]}
    outside: list[str] = []
    fewer = any(
        new < old for new, old in zip(counts, grid_counts(array.shape, array.shard_shape), strict=True)
    )
    prefix = len(join_key(array.path, ""))
    # Of objects that there can be, sparse arrays have few: those alone are looked at.
    for found in array.store.list(array.path) if edges or fewer else ():
        coords = array.metadata.key_encoding.coords(found.key[prefix:], array.ndim)
        if coords is None:
            continue
        if any(at >= count for at, count in zip(coords, counts, strict=True)):
            outside.append(found.key)
        else:
            for axis, edge in edges.items():
                if coords[axis] == counts[axis] - 1:
                    edge.append(coords)
    for axis, edge in edges.items():
        for low, high in _boxes(edge):
            beyond = [
                slice(at * size, min((last + 1) * size, end))
                for at, last, size, end in zip(low, high, array.shard_shape, reach, strict=True)
            ]
            beyond[axis] = slice(new_shape[axis], reach[axis])
            array[tuple(beyond)] = array.fill_value
    for key in outside if fewer else ():
        array.store.delete(key)


def _boxes(stored: list[Coords]) -> list[tuple[Coords, Coords]]:
    """First and last coordinates of what is written at once: the box of all, if most of it is stored."""
    if not stored:
        return []
    low, high = tuple(map(min, zip(*stored, strict=True))), tuple(map(max, zip(*stored, strict=True)))
    if prod(last + 1 - first for first, last in zip(low, high, strict=True)) <= 2 * len(stored):
        return [(low, high)]
    return [(coords, coords) for coords in sorted(stored)]


def write_shape(
    store: Store, path: str, metadata: ArrayMetadata, new_shape: tuple[int, ...], lock: Locking
) -> ArrayMetadata:
    """Write the metadata document with another shape, and not a character else in it changed.

    It takes its turn as a write of a part of a shard does, so that of two changes at once none is lost.
    """
    key = join_key(path, V3_DOCUMENT if metadata.zarr_format == 3 else V2_ARRAY)

    def plan() -> Plan[Update]:
        answer = yield [WHOLE]
        if answer is None:
            raise NodeNotFoundError("not_found", "the array's metadata is gone", key=key)
        document = _Document(with_member(bytes(answer[0]), "shape", list(new_shape)))
        return Update([cast("UpdateJob", document)])

    write_objects(store, [WriteTask(key, plan, 0)], folder=path, lock=lock)
    return replace(metadata, shape=new_shape)


@dataclass(frozen=True, slots=True)
class _Document:
    """A metadata document, as the one chunk of its object: there is nothing to encode."""

    encoded: bytes

    @property
    def nbytes(self) -> int:
        return len(self.encoded)

    def split(self) -> list[_Document]:
        return [self]

    def run(self) -> Encoded:
        return np.zeros(1, np.int64), Parts([self.encoded])
