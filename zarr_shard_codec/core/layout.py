"""Where encoded inner chunks and the index go in a shard; and what lies between them.

Owns positions. It sees sizes, never bytes, so that packing can lay out files it has not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from zarr_shard_codec.core.coverage import GAP, segments
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
    """What of one shard's bytes is used by nobody, or more than once.

    Attributes
    ----------
    unused_nbytes
        Bytes that neither an inner chunk nor the index lies in.
    shared_nbytes
        Bytes counted again by every further inner chunk, or the index, that lies in them.
    """

    unused_nbytes: int
    shared_nbytes: int


def usage(index: ShardIndex, shard_nbytes: int, index_nbytes: int, location: IndexLocation) -> Usage:
    """Count unused and shared bytes. Every present entry must lie within the shard."""
    index_start = 0 if location == "start" else shard_nbytes - index_nbytes
    parts = segments(index, shard_nbytes, index_start, index_nbytes)
    unused = int(parts.sizes[parts.owners == GAP].sum())
    counted = int(index.entries[index.present, 1].sum()) + index_nbytes
    return Usage(unused, counted - (shard_nbytes - unused))
