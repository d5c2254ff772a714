"""Chunks whose bytes are their elements: from an object to their places, and no codec is asked.

Owns which bytes of a grid of such chunks are read, and how many at a time: few enough to stay in the
processor's own cache until their elements are copied on. That all chunks are there is known before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from zarr_shard_codec.core import memory
from zarr_shard_codec.core.blocks import put_grid
from zarr_shard_codec.core.projection import AxisProjection
from zarr_shard_codec.core.selection import as_index

_SLAB_NBYTES: Final = 1 << 19
"""So many bytes are read before they are copied on: half of the cache that a core has to itself, or less."""


class Readable(Protocol):
    """One state of an object, of which bytes are read to where they are wanted."""

    def read_into(self, offset: int, buffers: Sequence[memoryview]) -> bool:
        """Fill buffers, one after the other, with the bytes from an offset on; False if there are too few."""
        ...


class _Slab(NamedTuple):
    """Neighbouring chunks along the first axis, with all beside them: the same rows of each are read.

    Attributes
    ----------
    first, last
        Which of the chunks that are touched along the axis: from, and up to.
    start, n_rows
        Which rows of each are read.
    within
        The wanted ones among those, as an index.
    landing
        Where they land along the target's first axis.
    """

    first: int
    last: int
    start: int
    n_rows: int
    within: Any
    landing: slice


@dataclass(frozen=True, slots=True)
class PlainChunks:
    """Chunks whose bytes are their elements in C order.

    Attributes
    ----------
    shape
        Elements of a chunk along each axis, of which there is at least one.
    dtype
        Data type of an element, in the byte order of the bytes.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def row_nbytes(self) -> int:
        """Size of what lies at one index along a chunk's first axis, in bytes."""
        return prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Size of each chunk in bytes."""
        return self.shape[0] * self.row_nbytes

    def copy(
        self,
        source: Readable,
        offsets: Sequence[int],
        axes: Sequence[AxisProjection],
        target: np.ndarray[Any, Any],
        *,
        largest_gap: int,
    ) -> bool:
        """Copy the wanted part of each chunk to its place.

        Parameters
        ----------
        source
            The object that they lie in.
        offsets
            Where each chunk that the box touches begins, in bytes; in C order.
        axes
            The box, cut by the chunks, axis by axis.
        target
            A writable view of the box's shape.
        largest_gap
            Unwanted rows at the ends of a chunk are read as well, if they are no more bytes than this.

        Returns
        -------
        bool
            Whether the object had all the bytes. If not, the target is incomplete.
        """
        first, *others = axes
        beside = [len(axis.chunks) for axis in others]
        n_beside, row_nbytes = prod(beside), self.row_nbytes
        slabs = self._slabs(first, n_beside, largest_gap)
        room = memory.take(
            max([(slab.last - slab.first) * slab.n_rows for slab in slabs]) * n_beside * row_nbytes
        )
        along = [axis.copies for axis in others]
        for slab in slabs:
            wanted = offsets[slab.first * n_beside : slab.last * n_beside]
            if not _read(source, wanted, slab.start * row_nbytes, slab.n_rows * row_nbytes, room):
                return False
            shape = (slab.last - slab.first, *beside, slab.n_rows, *self.shape[1:])
            chunks = np.ndarray(shape, self.dtype, room)
            put_grid(chunks, [[(slice(None), slab.within, slab.landing)], *along], target)
        return True

    def _slabs(self, axis: AxisProjection, n_beside: int, largest_gap: int) -> list[_Slab]:
        size, row_nbytes = self.shape[0], self.row_nbytes
        slabs: list[_Slab] = []
        for run in axis.runs:
            low, high = run.within[0], run.within[-1] + 1
            if (size - (high - low)) * row_nbytes <= largest_gap:
                low, high = 0, size
            within = as_index(run.within, low)
            count = max(1, _SLAB_NBYTES // (n_beside * (high - low) * row_nbytes))
            at, n_each = run.landing.start, len(run.within)
            for first in range(run.positions.start, run.positions.stop, count):
                last = min(first + count, run.positions.stop)
                landing = slice(at, at + (last - first) * n_each)
                slabs.append(_Slab(first, last, low, high - low, within, landing))
                at = landing.stop
        return slabs


def _read(source: Readable, offsets: Sequence[int], start: int, nbytes: int, room: memoryview) -> bool:
    """Read `nbytes` bytes of each chunk: one behind the other, in that order, in few calls.

    Parameters
    ----------
    source, offsets
        The object, and where the chunks begin in it.
    start, nbytes
        Which bytes of each.
    room
        Where they go.
    """
    buffers: list[memoryview] = []
    begin = end = -1  # of what lies in a row in the source
    first = last = 0  # of those that also lie in a row here
    for at in sorted(range(len(offsets)), key=offsets.__getitem__):
        offset = offsets[at] + start
        if offset != end or at != last:
            if last:
                buffers.append(room[first * nbytes : last * nbytes])
            if offset != end:
                if buffers and not source.read_into(begin, buffers):
                    return False
                begin, buffers = offset, []
            first = at
        last = at + 1
        end = offset + nbytes
    return source.read_into(begin, [*buffers, room[first * nbytes : last * nbytes]])
