"""Reading a shard: which bytes, and which chunks are then decoded to where.

Owns the plans that read. What all plans share stands in `plans`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_shard_codec.core.grid import Coords, all_to_coords, to_linear
from zarr_shard_codec.core.index import ShardIndex, entry_error, too_large
from zarr_shard_codec.core.jobs import Bounds, DecodeChunk, DecodeGrid, DecodeJob
from zarr_shard_codec.core.pieces import Parts, Pieces, Segments, Stored
from zarr_shard_codec.core.plans import (
    Chain,
    Plan,
    RangeTable,
    Shard,
    bounds_of,
    covers,
    cut_index,
    deleted,
    gather,
    hold,
    past_the_end,
    read_index,
    within,
)
from zarr_shard_codec.core.projection import AxisProjection, linear_chunks, project
from zarr_shard_codec.core.ranges import Buffer, ByteRange, Whole
from zarr_shard_codec.core.selection import Box, box_index, view
from zarr_shard_codec.errors import CorruptShardError


def read_shard(
    shard: Shard, box: Box, target: np.ndarray[Any, Any], bounds: Bounds, extent: ByteRange | None
) -> Plan[list[DecodeJob] | None]:
    """Plan to read part of a shard.

    Costs one request if everything inside the bounds is wanted, else one for the index and one turn for
    the inner chunks (for shards within shards, one turn more for each level).

    Parameters
    ----------
    shard
        The sharding codec.
    box
        What is wanted, in elements of the shard.
    target
        Where it goes: a writable view of the box's shape. Set to the fill value where chunks are empty.
    bounds
        How much of the shard lies inside the array.
    extent
        Where the shard lies in its object; None if it is the whole object.

    Returns
    -------
    list of DecodeJob, or None
        None if the object does not exist; the target is then untouched.

    Raises
    ------
    CorruptShardError
        As `read_index`, and `entry_half_empty`, `entry_zero_length`, `entry_out_of_bounds`,
        `inner_chunk_wrong_size` for the inner chunks that the box touches; `object_changed`.
    """
    if covers(box, bounds):
        sane_nbytes = shard.max_encoded_nbytes
        whole = Whole(sane_nbytes + 1, or_in_parts=not shard.inner.reads_partially)
        answer = yield [whole if extent is None else extent]
        if answer is None:
            return None
        (encoded,) = answer
        if extent is not None and len(encoded) < extent.nbytes:
            raise past_the_end(extent)
        if extent is not None or (encoded is not None and len(encoded) <= sane_nbytes):
            return read_held(shard, encoded, box, target, bounds)
        # A large object, perhaps larger than memory, with or without unused bytes: chunk by chunk, then.
    index = yield from read_index(shard, extent)
    if index is None:
        return None
    axes = project(box, shard.inner.spec.shape)
    if all(len(axis.chunks) == 1 for axis in axes) and not shard.inner.reads_partially:
        return (yield from _read_chunk(shard, index, axes, target, extent))
    grid = _Grid.over(shard, axes)
    present, table = index.lookup(grid.linear, shard_nbytes=None if extent is None else extent.nbytes)
    if len(table) < len(present):
        target[...] = shard.spec.fill_value
    if not len(table):
        return []
    if shard.inner.reads_partially:
        pieces = grid.pieces(present, target, bounds)
        plans = [
            _read_inner(shard.inner, piece, within(ByteRange(*lies), extent))
            for piece, lies in zip(pieces, table.tolist(), strict=True)
        ]
        return [job for jobs in (yield from gather(plans)) for job in jobs]
    encoded = yield from _fetch_many(shard, table, lambda at: grid.coords(present)[at], extent)
    return [grid_job(shard, axes, present, encoded, target)]


def grid_job(
    shard: Shard,
    axes: tuple[AxisProjection, ...],
    present: np.ndarray[Any, np.dtype[np.bool_]],
    encoded: Pieces | Stored,
    target: np.ndarray[Any, Any],
) -> DecodeGrid:
    """What is left to do with a grid of chunks, of which `encoded` has those alone that there are."""
    full = len(encoded) == len(present)
    cells = np.arange(len(present)) if full else np.where(present, present.cumsum() - 1, -1)
    return DecodeGrid(shard.inner, encoded, cells.reshape([len(axis.chunks) for axis in axes]), axes, target)


def _read_chunk(
    shard: Shard,
    index: ShardIndex,
    axes: Sequence[AxisProjection],
    target: np.ndarray[Any, Any],
    extent: ByteRange | None,
) -> Plan[list[DecodeJob]]:
    """Plan to read (part of) one inner chunk: as for many, without the arrays that many are worth."""
    coords = tuple(int(axis.chunks[0]) for axis in axes)
    lies = index.entry(
        to_linear(coords, shard.chunks_per_shard), shard_nbytes=None if extent is None else extent.nbytes
    )
    if lies is None:
        target[...] = shard.spec.fill_value
        return []
    encoded = yield from _fetch(shard, lies, coords, extent)
    parts = box_index(tuple(axis.part(at)[0] for axis, at in zip(axes, coords, strict=True)))
    return [DecodeChunk(shard.inner, encoded, parts, target, coords)]


def _fetch(shard: Shard, lies: ByteRange, coords: Coords, extent: ByteRange | None) -> Plan[Buffer]:
    """Plan to read one encoded inner chunk, which is then there to its last byte."""
    # Of a chunk larger than any can be, the last byte alone: it tells whether the entry is out of bounds.
    limit = shard.inner.max_encoded_nbytes
    asked = lies if lies.nbytes <= limit else ByteRange(lies.offset + lies.nbytes - 1, 1)
    answer = yield [within(asked, extent)]
    if answer is None:
        raise deleted()
    encoded: Buffer = answer[0]
    if len(encoded) != asked.nbytes:
        raise _cut_off(lies, len(encoded), coords)
    if asked is not lies:
        raise too_large(lies.nbytes, limit, coords)
    return encoded


def _fetch_many(
    shard: Shard,
    table: np.ndarray[Any, np.dtype[np.uint64]],
    coords_of: Callable[[int], Coords],
    extent: ByteRange | None,
) -> Plan[Pieces | Stored]:
    """Plan to read encoded inner chunks, of which entries that were looked up say where they lie."""
    if int(table[:, 1].max()) > shard.inner.max_encoded_nbytes:
        at = int(table[:, 1].argmax())  # the plan of this one chunk raises, and says what is wrong with it
        yield from _fetch(shard, ByteRange(*table[at].tolist()), coords_of(at), extent)
    answer = yield [RangeTable(table if extent is None else table + np.array([extent.offset, 0], np.uint64))]
    if answer is None:
        raise deleted()
    encoded: Pieces | Stored = answer[0]
    if not isinstance(encoded, Parts):  # slices of what has them all
        return encoded
    sizes = encoded.sizes()
    short = np.flatnonzero(sizes != table[:, 1])
    if len(short):
        at = int(short[0])
        raise _cut_off(ByteRange(*table[at].tolist()), int(sizes[at]), coords_of(at))
    return encoded


def _cut_off(lies: ByteRange, found_nbytes: int, coords: Coords) -> CorruptShardError:
    shard_nbytes = lies.offset + found_nbytes if found_nbytes else None
    return entry_error("entry_out_of_bounds", lies, coords, shard_nbytes)


def read_held(
    shard: Shard, encoded: Buffer, box: Box, target: np.ndarray[Any, Any], bounds: Bounds
) -> list[DecodeJob]:
    """Read part of a shard whose bytes are at hand; as `read_shard`, without a conversation."""
    index = cut_index(shard, encoded)
    grid = _Grid.over(shard, project(box, shard.inner.spec.shape))
    limit = shard.inner.max_encoded_nbytes
    present, table = index.lookup(grid.linear, shard_nbytes=len(encoded), largest_nbytes=limit)
    if len(table) < len(present):
        target[...] = shard.spec.fill_value
    if not len(table):
        return []
    if shard.inner.reads_partially:
        return [
            job
            for piece, (offset, nbytes) in zip(
                grid.pieces(present, target, bounds), table.tolist(), strict=True
            )
            for job in hold(_read_inner(shard.inner, piece, ByteRange(offset, nbytes)), encoded)
        ]
    # All entries: they are those of the bytes at hand, and need not be copied.
    cells = np.where(present, grid.linear, -1).reshape([len(axis.chunks) for axis in grid.axes])
    return [DecodeGrid(shard.inner, Segments(encoded, index.entries), cells, grid.axes, target)]


@dataclass(frozen=True, slots=True)
class _Piece:
    """One chunk of which a part is wanted: where it is, which part, where that goes."""

    coords: Coords
    box: Box
    target: np.ndarray[Any, Any]
    bounds: Bounds


@dataclass(frozen=True, slots=True)
class _Grid:
    """The chunks that a box touches: a grid, too."""

    shard: Shard
    axes: tuple[AxisProjection, ...]
    linear: np.ndarray[Any, np.dtype[np.int64]]

    @classmethod
    def over(cls, shard: Shard, axes: tuple[AxisProjection, ...]) -> _Grid:
        return cls(shard, axes, linear_chunks(axes, shard.chunks_per_shard))

    def coords(self, present: np.ndarray[Any, Any]) -> list[Coords]:
        return all_to_coords(self.linear[present], self.shard.chunks_per_shard)

    def pieces(
        self, present: np.ndarray[Any, Any], target: np.ndarray[Any, Any], bounds: Bounds
    ) -> list[_Piece]:
        """The chunks that there are, one by one."""
        inner_shape = self.shard.inner.spec.shape
        pieces: list[_Piece] = []
        for coords in self.coords(present):
            parts = [axis.part(at) for axis, at in zip(self.axes, coords, strict=True)]
            box = tuple(wanted for wanted, _ in parts)
            into = view(target, (land for _, land in parts))
            pieces.append(_Piece(coords, box, into, bounds_of(coords, inner_shape, bounds)))
        return pieces


def _read_inner(inner: Chain, piece: _Piece, extent: ByteRange) -> Plan[list[DecodeJob]]:
    """Plan to read part of a shard within a shard; errors that know no inner chunk name this one."""
    try:
        jobs = yield from inner.plan_read(piece.box, piece.target, piece.bounds, extent)
    except CorruptShardError as error:
        raise error.at(inner_chunk=piece.coords) from error.__cause__
    if jobs is None:  # its outer shard was there a turn ago
        raise deleted()
    return jobs
