"""Where encoded inner chunks and the index go in a shard; and what lies between them.

Owns positions. It sees sizes, never bytes, so that packing can lay out files it has not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from zarr_shard_codec.core.grid import Coords
from zarr_shard_codec.core.index import ShardIndex
from zarr_shard_codec.core.ranges import ByteRange, Suffix

IndexLocation = Literal["start", "end"]


def index_request(location: IndexLocation, index_nbytes: int, extent: ByteRange | None) -> ByteRange | Suffix:
    """What to ask for to get the encoded index (LOCATION-START, LOCATION-END).

    `extent` is where the shard lies in its object; None if it is the whole object, of unknown size.
    """
    if extent is None:
        return ByteRange(0, index_nbytes) if location == "start" else Suffix(index_nbytes)
    at = 0 if location == "start" else extent.nbytes - index_nbytes
    return ByteRange(extent.offset + at, index_nbytes)


def lay_out(
    linear: np.ndarray[Any, Any],
    nbytes: np.ndarray[Any, Any],
    chunks_per_shard: Coords,
    *,
    first_offset: int,
) -> ShardIndex:
    """Make the index of a shard whose chunks lie one behind the other, without a gap.

    Parameters
    ----------
    linear
        Linear indices of the chunks, in the order they are written.
    nbytes
        Their encoded sizes in bytes, in the same order.
    chunks_per_shard
        Inner chunks along each axis of the shard.
    first_offset
        Where the first one goes: the index's size if it stands at the start, else 0.
    """
    index = ShardIndex.empty(chunks_per_shard)
    ends = first_offset + np.cumsum(nbytes, dtype=np.uint64)
    index.entries[linear, 0] = ends - nbytes.astype(np.uint64)
    index.entries[linear, 1] = nbytes
    return index


@dataclass(frozen=True, slots=True)
class Usage:
    """How the bytes of one shard are used.

    Attributes
    ----------
    chunk_nbytes
        Bytes that at least one inner chunk lies in.
    index_nbytes
        Bytes of the encoded index.
    unused_nbytes
        Bytes that neither use.
    shared_nbytes
        Bytes counted again by every further inner chunk, or the index, that lies in them.
    """

    chunk_nbytes: int
    index_nbytes: int
    unused_nbytes: int
    shared_nbytes: int


def usage(index: ShardIndex, shard_nbytes: int, index_nbytes: int, location: IndexLocation) -> Usage:
    """Count used, unused and shared bytes. Every present entry must lie within the shard."""
    table = index.entries[index.present].astype(np.int64)
    starts, ends = table[:, 0], table[:, 0] + table[:, 1]
    covered = _union_nbytes(starts, ends)
    index_start = 0 if location == "start" else shard_nbytes - index_nbytes
    with_index = _union_nbytes(np.append(starts, index_start), np.append(ends, index_start + index_nbytes))
    return Usage(
        chunk_nbytes=covered,
        index_nbytes=index_nbytes,
        unused_nbytes=shard_nbytes - with_index,
        shared_nbytes=int(table[:, 1].sum()) + index_nbytes - with_index,
    )


def _union_nbytes(starts: np.ndarray[Any, Any], ends: np.ndarray[Any, Any]) -> int:
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], ends[order]
    reach = np.maximum.accumulate(ends)
    before = np.concatenate(([0], reach[:-1])) if len(reach) else reach
    return int(np.maximum(0, reach - np.maximum(starts, before)).sum())
