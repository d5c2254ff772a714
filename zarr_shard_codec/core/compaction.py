"""A shard without what nobody needs: which ranges of the old one make the new one, and its index.

Owns positions; bytes are copied elsewhere. Ranges that overlap stay together, as they lie, so that inner
chunks that share bytes share them afterwards, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_shard_codec.core.grid import ChunkOrder, write_order
from zarr_shard_codec.core.index import ShardIndex


@dataclass(frozen=True, slots=True)
class Compaction:
    """How a shard becomes a compact one.

    Attributes
    ----------
    index
        Of the new shard.
    ranges
        uint64, shape (n, 2): offset and nbytes in the old shard of what stands one behind the other in
        the new one, as few as can be.
    nbytes
        Their sum.
    """

    index: ShardIndex
    ranges: np.ndarray[Any, np.dtype[np.uint64]]
    nbytes: int


def compact_index(index: ShardIndex, *, first_offset: int, order: ChunkOrder | None) -> Compaction:
    """Lay the inner chunks of a shard out anew, without gaps.

    Parameters
    ----------
    index
        Of the old shard; every present entry lies within it.
    first_offset
        Where the first one goes: the index's size if it stands at the start, else 0.
    order
        The order of the inner chunks in the new shard; None: as they stand. Those that share bytes take the
        place of the first of them.
    """
    linear = index.present
    table = index.entries[linear].astype(np.int64)
    by_offset = np.argsort(table[:, 0], kind="stable")
    linear, starts, sizes = linear[by_offset], table[by_offset, 0], table[by_offset, 1]
    reach = np.maximum.accumulate(starts + sizes)
    begins = np.ones(len(linear), bool)
    begins[1:] = starts[1:] >= reach[:-1]
    run = np.cumsum(begins) - 1
    first = np.flatnonzero(begins)
    run_starts = starts[first]
    run_sizes = reach[np.append(first[1:] - 1, len(linear) - 1)] - run_starts if len(linear) else run_starts
    sequence = np.arange(len(first))
    if order is not None:
        rank = np.empty(len(index), np.int64)
        rank[write_order(order, index.chunks_per_shard)] = np.arange(len(index))
        sequence = np.argsort(np.minimum.reduceat(rank[linear], first)) if len(first) else sequence
    placed = np.empty(len(first), np.int64)
    placed[sequence] = first_offset + np.cumsum(run_sizes[sequence]) - run_sizes[sequence]
    moved = ShardIndex.empty(index.chunks_per_shard)
    moved.entries[linear, 0] = starts - run_starts[run] + placed[run]
    moved.entries[linear, 1] = sizes
    return Compaction(moved, _joined(run_starts[sequence], run_sizes[sequence]), int(run_sizes.sum()))


def _joined(
    starts: np.ndarray[Any, Any], sizes: np.ndarray[Any, Any]
) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Ranges in their order, neighbours joined where one begins where the one before it ends."""
    begins = np.ones(len(starts), bool)
    begins[1:] = starts[1:] != starts[:-1] + sizes[:-1]
    first = np.flatnonzero(begins)
    total = np.add.reduceat(sizes, first) if len(first) else sizes
    return np.stack((starts[first], total), axis=1).astype(np.uint64)
