"""A box, cut by a regular grid of chunks: which chunks, which part of each, and where it lands.

The same projection serves an array cut into shards and a shard cut into inner chunks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from math import prod
from typing import Any, Final

import numpy as np

from zarr_shard_codec.core.blocks import Copy
from zarr_shard_codec.core.selection import Box, Picks, as_index

_FEW: Final = 64
"""Chunks; up to this many are counted one by one in Python, which is faster than NumPy for few."""


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring chunks along one axis, of each of which the same part is wanted.

    Attributes
    ----------
    positions
        Which they are among the chunks touched along this axis.
    within
        The indices wanted within each.
    landing
        Where they all land in the block, one behind the other.
    """

    positions: slice
    within: range | Picks
    landing: slice


@dataclass(frozen=True, slots=True, eq=False)
class AxisProjection:
    """One axis of a box, cut by a regular grid.

    Attributes
    ----------
    wanted
        The box along this axis.
    chunk_size
        Elements per chunk along this axis.
    chunks
        Which chunks are touched: their coordinates along this axis, ascending.
    """

    wanted: range | Picks
    chunk_size: int
    chunks: range | np.ndarray[Any, Any]
    _runs: list[Run] | None = field(default=None, init=False, repr=False)

    def coords(self) -> Sequence[int]:
        """The touched chunks' coordinates as Python integers."""
        return self.chunks if isinstance(self.chunks, range) else self.chunks.tolist()

    def part(self, chunk: int) -> tuple[range | Picks, slice]:
        """Indices wanted within that chunk, and where they land in the block."""
        size = self.chunk_size
        low = chunk * size
        if isinstance(self.wanted, Picks):
            indices = self.wanted.indices
            first, last = 0, len(indices)
            if self.wanted[0] < low or self.wanted[-1] >= low + size:
                first, last = indices.searchsorted((low, low + size)).tolist()
            return Picks(indices[first:last] - low if low else indices[first:last]), slice(first, last)
        start, step = self.wanted.start, self.wanted.step
        first = max(0, -((start - low) // step))
        last = min(len(self.wanted), -((start - low - size) // step))
        begin = start + first * step - low
        return range(begin, begin + (last - first) * step, step), slice(first, last)

    @property
    def runs(self) -> list[Run]:
        """The touched chunks in runs: where chunks are alike, one for all between the first and the last."""
        # Not by cached_property: until Python 3.12 it has a lock, which a fork could leave held for ever.
        runs = self._runs
        if runs is None:
            runs = self._find_runs()
            object.__setattr__(self, "_runs", runs)
        return runs

    @property
    def copies(self) -> list[Copy]:
        """The same, to index NumPy arrays with: which chunks, what of each, where it lands."""
        return [(run.positions, as_index(run.within), run.landing) for run in self.runs]

    def _find_runs(self) -> list[Run]:
        chunks = self.coords()
        if len(chunks) == 1:
            return [Run(slice(0, 1), *self.part(chunks[0]))]
        step = self.wanted.step if isinstance(self.wanted, range) and isinstance(chunks, range) else 0
        alike = step > 0 and self.chunk_size % step == 0
        cuts: Iterable[int] = range(len(chunks) + 1)
        if alike and len(chunks) > 3:
            cuts = (0, 1, len(chunks) - 1, len(chunks))
        runs: list[Run] = []
        for low, high in pairwise(cuts):
            within, landing = self.part(chunks[low])
            if high - low > 1:
                landing = slice(landing.start, self.part(chunks[high - 1])[1].stop)
            if alike and runs and runs[-1].within == within:
                last = runs.pop()
                first, landing = last.positions.start, slice(last.landing.start, landing.stop)
            else:
                first = low
            runs.append(Run(slice(first, high), within, landing))
        return runs


def project(box: Box, chunk_shape: Sequence[int]) -> tuple[AxisProjection, ...]:
    """Cut a box by a grid of chunks, axis by axis. Empty boxes touch no chunk."""
    return tuple(
        [
            (_project_often if isinstance(wanted, range) and wanted.step == 1 else _project)(wanted, size)
            for wanted, size in zip(box, chunk_shape, strict=True)
        ]
    )


def _project(wanted: range | Picks, size: int) -> AxisProjection:
    chunks: range | np.ndarray[Any, Any]
    if isinstance(wanted, Picks):
        first, last = wanted[0] // size, wanted[-1] // size
        chunks = range(first, last + 1)
        if last > first:
            numbers = wanted.indices // size
            touched = np.concatenate((numbers[:1], numbers[1:][numbers[1:] != numbers[:-1]]))  # they ascend
            if len(touched) < len(chunks):
                chunks = touched
    elif not wanted:
        chunks = range(0)
    elif wanted.step <= size or len(wanted) == 1:
        chunks = range(wanted[0] // size, wanted[-1] // size + 1)
    else:  # some chunks lie between two wanted indices
        # Integers throughout: `np.arange(start, stop, step)` counts in floating point, and loses the last.
        chunks = (wanted.start + wanted.step * np.arange(len(wanted))) // size
    return AxisProjection(wanted, size, chunks)


_project_often: Final = lru_cache(maxsize=256)(_project)
"""The same, remembered: the shards of a selection are cut in few ways, and axes often alike. Only for ranges
without gaps, whose projections are small."""


def linear_chunks(axes: Sequence[AxisProjection], counts: Sequence[int]) -> np.ndarray[Any, Any]:
    """Linear (C order) indices of all chunks that a projection touches, in C order: int64, one a chunk."""
    if prod(len(axis.chunks) for axis in axes) <= _FEW:
        few = [0]
        for axis, count in zip(axes, counts, strict=True):
            few = [before * count + at for before in few for at in axis.coords()]
        return np.array(few, np.int64)
    linear = np.zeros(1, np.int64)
    for axis, count in zip(axes, counts, strict=True):
        chunks = axis.chunks
        along = np.arange(chunks.start, chunks.stop) if isinstance(chunks, range) else chunks
        linear = (linear[:, np.newaxis] * count + along).reshape(-1)
    return linear
