"""What each byte of a shard belongs to: an inner chunk, several, the index, or nothing.

Owns the division of a shard's bytes. Whether a gap or an overlap is worth a word is `findings`' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from zarr_shard_codec.core.index import ShardIndex

GAP: Final = -1
"""Owner of bytes that nothing uses."""
INDEX: Final = -2
"""Owner of the bytes of the index."""
SHARED: Final = -3
"""Owner of bytes that two inner chunks use, or an inner chunk and the index."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """A shard cut wherever the owner of its bytes changes; neighbours may have the same owner.

    Attributes
    ----------
    starts, sizes
        Offset and size of each segment in bytes, ascending and without a hole: int64.
    owners
        The linear index of an inner chunk, or `GAP`, `INDEX`, `SHARED`: int64.
    """

    starts: np.ndarray[Any, np.dtype[np.int64]]
    sizes: np.ndarray[Any, np.dtype[np.int64]]
    owners: np.ndarray[Any, np.dtype[np.int64]]


def segments(index: ShardIndex, shard_nbytes: int, index_start: int, index_nbytes: int) -> Coverage:
    """Cut a shard into segments. Every present entry must lie within the shard."""
    present = index.present
    table = index.entries[present].astype(np.int64)
    starts = np.append(table[:, 0], index_start)
    ends = np.append(table.sum(axis=1), index_start + index_nbytes)
    owners = np.append(present, INDEX)
    order = np.argsort(starts, kind="stable")
    starts, ends, owners = starts[order], ends[order], owners[order]
    if (starts[1:] < ends[:-1]).any():
        return _sweep(starts, ends, owners, shard_nbytes)
    # The rule: nothing overlaps, so segments and (mostly empty) gaps take turns.
    both = np.empty(2 * len(starts) + 1, np.int64)
    both[0], both[1::2], both[2::2] = 0, starts, ends
    owner = np.full(len(both), GAP)
    owner[1::2] = owners
    sizes = np.diff(both, append=shard_nbytes)
    return Coverage(both[sizes > 0], sizes[sizes > 0], owner[sizes > 0])


def _sweep(
    starts: np.ndarray[Any, Any], ends: np.ndarray[Any, Any], owners: np.ndarray[Any, Any], shard_nbytes: int
) -> Coverage:
    # One sweep: how many owners are open after each point, and the sum of their numbers, which is the
    # owner where only one is.
    points = _ascending(np.concatenate((starts, ends, [0, shard_nbytes])))
    opened, summed = np.zeros((2, len(points)), np.int64)
    at_start, at_end = np.searchsorted(points, starts), np.searchsorted(points, ends)
    np.add.at(opened, at_start, 1)
    np.add.at(opened, at_end, -1)
    np.add.at(summed, at_start, owners)
    np.add.at(summed, at_end, -owners)
    n_open, owner = np.cumsum(opened)[:-1], np.cumsum(summed)[:-1]
    owner[n_open == 0] = GAP
    owner[n_open > 1] = SHARED
    return Coverage(points[:-1], np.diff(points), owner)


def cells(parts: Coverage, n_cells: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The owner of most bytes of each of `n_cells` equal stretches of the shard.

    The index is shown in one cell at least, however small it is. `n_cells` is at most the shard's bytes.
    """
    shard_nbytes = int(parts.sizes.sum())
    edges = np.arange(n_cells + 1) * shard_nbytes // n_cells
    pieces = _ascending(np.concatenate((parts.starts, edges[:-1])))
    sizes = np.diff(pieces, append=shard_nbytes)
    cell = np.searchsorted(edges, pieces, side="right") - 1
    owner = parts.owners[np.searchsorted(parts.starts, pieces, side="right") - 1]
    by_size = np.lexsort((sizes, cell))
    largest = by_size[np.flatnonzero(np.diff(cell[by_size], append=n_cells))]
    shown = owner[largest]
    in_index = cell[owner == INDEX]
    if len(in_index) and not (shown == INDEX).any():
        shown[in_index[-1]] = INDEX
    return shown


def _ascending(offsets: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Sort, and keep each once."""
    # Not np.unique: it may hash instead, ten times slower for a million offsets.
    offsets = np.sort(offsets)
    distinct: np.ndarray[Any, Any] = offsets[np.diff(offsets, prepend=-1) != 0]
    return distinct
