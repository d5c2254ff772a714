"""Chunks whose bytes are their elements: from an object to their places, and no codec is asked.

Owns which bytes of a grid of such chunks are read, and how many at a time: few enough to stay in the
processor's own cache until their elements are copied on. That all chunks are there is known before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from zarr_shard_codec.core import memory
from zarr_shard_codec.core.blocks import put_grid
from zarr_shard_codec.core.projection import AxisProjection

_SLAB_NBYTES: Final = 1 << 19
"""So many bytes are read before they are copied on: half of the cache that a core has to itself, or less."""


class Source(Protocol):
    """One state of an object, of which bytes are read to where they are wanted."""

    def read_into(self, offset: int, buffers: Sequence[memoryview]) -> bool:
        """Fill buffers, one after the other, with the bytes from an offset on; False if there are too few."""
        ...


class _Slab(NamedTuple):
    """Neighbouring chunks along the first axis, with all beside them: the same rows of each are read.

    Attributes
    ----------
    positions
        Which chunks along the first axis.
    start, nbytes
        Which bytes of each chunk are read.
    within
        The wanted ones among the rows that are read.
    landing
        Where they land along the target's first axis.
    """

    positions: slice
    start: int
    nbytes: int
    within: slice
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
    def nbytes(self) -> int:
        """Size of each chunk in bytes."""
        return prod(self.shape) * self.dtype.itemsize

    def copy(
        self,
        source: Source,
        offsets: np.ndarray[Any, np.dtype[np.uint64]],
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
            Where each chunk begins, in bytes: a grid of them, with an axis for each of `axes`.
        axes
            The box, cut by the chunks, axis by axis; ranges.
        target
            A writable view of the box's shape.
        largest_gap
            Unwanted rows at the ends of a chunk are read as well, if they are no more bytes than this.

        Returns
        -------
        bool
            Whether the object had all the bytes. If not, the target is incomplete.
        """
        n_beside = prod(offsets.shape[1:])
        slabs = list(self._slabs(axes[0], n_beside, largest_gap))
        largest = max([(slab.positions.stop - slab.positions.start) * slab.nbytes for slab in slabs])
        room = memory.take(largest * n_beside)
        along = [axis.copies for axis in axes[1:]]
        for slab in slabs:
            starts = offsets[slab.positions]
            if not _read(source, (starts.reshape(-1) + np.uint64(slab.start)).tolist(), slab.nbytes, room):
                return False
            n_rows = slab.nbytes * self.shape[0] // self.nbytes
            chunks = np.ndarray((*starts.shape, n_rows, *self.shape[1:]), self.dtype, room)
            put_grid(chunks, [[(slice(None), slab.within, slab.landing)], *along], target)
        return True

    def _slabs(self, axis: AxisProjection, n_beside: int, largest_gap: int) -> Iterator[_Slab]:
        assert isinstance(axis.wanted, range)
        size = self.shape[0]
        row_nbytes = self.nbytes // size
        for run in axis.runs:
            within = run.within
            low, high = within[0], within[-1] + 1
            if (size - (high - low)) * row_nbytes <= largest_gap:
                low, high = 0, size
            nbytes = (high - low) * row_nbytes
            count = max(1, _SLAB_NBYTES // (n_beside * nbytes))
            at, step = run.landing.start, len(within)
            for first in range(run.positions.start, run.positions.stop, count):
                last = min(first + count, run.positions.stop)
                landing = slice(at, at + (last - first) * step)
                rows = slice(within[0] - low, within[-1] + 1 - low, axis.wanted.step)
                yield _Slab(slice(first, last), low * row_nbytes, nbytes, rows, landing)
                at = landing.stop


def _read(source: Source, offsets: Sequence[int], nbytes: int, room: memoryview) -> bool:
    """Read so many bytes from each offset on: one behind the other, in that order, in few calls."""
    buffers: list[memoryview] = []
    begin = end = -1  # of what lies in a row in the source
    first = last = 0  # of those that also lie in a row here
    for at in sorted(range(len(offsets)), key=offsets.__getitem__):
        offset = offsets[at]
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
