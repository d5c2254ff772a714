"""What is left of a plan once all bytes are read: chunks to decode or encode, without I/O.

Owns the work on many chunks at once. A job is a block of neighbouring chunks that are treated alike; it
can be split, and any two jobs of a plan may run at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import compress, product
from typing import Any, Final, Protocol, Self

import numpy as np

from zarr_shard_codec.core.blocks import put_grid, put_some, take_some
from zarr_shard_codec.core.fill import are_filled
from zarr_shard_codec.core.grid import Coords
from zarr_shard_codec.core.pieces import Parts, Pieces, Stored
from zarr_shard_codec.core.projection import AxisProjection
from zarr_shard_codec.core.protocols import ChunkSpec
from zarr_shard_codec.core.ranges import Buffer
from zarr_shard_codec.core.selection import Box, box_index, view
from zarr_shard_codec.errors import CorruptShardError

Bounds = tuple[int, ...]
"""How much of a chunk lies inside the array, along each axis: at most the chunk's size, which an edge
chunk reaches past. What lies outside holds the fill value and nobody asks for it."""

_FAST: Final = 5
"""So many bytes are copied in the time in which one is decompressed, at the least."""


class Coder(Protocol):
    """What a job asks of the codec chain of a chunk."""

    @property
    def spec(self) -> ChunkSpec:
        """The chunk as an array."""
        ...

    @property
    def batch_nbytes(self) -> int:
        """Decoded size of the chunks that are best worked on together, in bytes."""
        ...

    @property
    def decodes_fast(self) -> bool:
        """Whether decoding takes little longer than a copy."""
        ...

    def decode(self, encoded: Buffer) -> np.ndarray[Any, Any]:
        """Decode one chunk."""
        ...

    def decode_many(self, encoded: Pieces) -> np.ndarray[Any, Any] | None:
        """Decode chunks in one go, shape (n, *chunk shape); None where they must be decoded one by one."""
        ...

    def encode_many(self, chunks: np.ndarray[Any, Any]) -> Pieces:
        """Encode chunks, shape (n, *chunk shape)."""
        ...

    def update(
        self, old: Buffer | None, box: Box, value: np.ndarray[Any, Any], bounds: Bounds
    ) -> Buffer | None:
        """Encode a chunk anew with the box set to a value; None if it is all fill value."""
        ...


@dataclass(frozen=True, slots=True)
class DecodeChunk:
    """One chunk to decode, and where the wanted part of it goes.

    Attributes
    ----------
    coder
        The codec chain of the chunk.
    encoded
        Its bytes.
    within
        The wanted part.
    target
        A writable view of that part's shape. No two jobs of a plan write to the same elements.
    inner_chunk
        Its coordinates in the shard; None for a chunk that is a whole object.
    """

    coder: Coder
    encoded: Buffer
    within: tuple[slice, ...]
    target: np.ndarray[Any, Any]
    inner_chunk: Coords | None

    @property
    def work_nbytes(self) -> int:
        """How much there is to do: as `DecodeGrid.work_nbytes`."""
        return self.coder.spec.nbytes // (_FAST if self.coder.decodes_fast else 1)

    def split(self) -> Iterator[Self]:
        """One chunk is never cut."""
        yield self

    def run(self) -> None:
        """Decode, and copy the wanted part. Raises `CorruptShardError`, what the codec chain finds."""
        try:
            self.target[...] = self.coder.decode(self.encoded)[self.within]
        except CorruptShardError as error:
            raise error.at(inner_chunk=self.inner_chunk) from error.__cause__


@dataclass(frozen=True, slots=True)
class DecodeGrid:
    """The chunks of a shard that a box touches, and where the wanted part of each goes.

    Attributes
    ----------
    coder
        The codec chain of a chunk.
    encoded
        The chunks' bytes, among others perhaps.
    cells
        One element a chunk: its position in `encoded`; -1 for an empty one, whose elements of the target
        are left alone.
    axes
        The box, cut by the chunks, axis by axis: the shape of `cells`.
    target
        A writable view of the box's shape. No two jobs of a plan write to the same elements.
    """

    coder: Coder
    encoded: Pieces | Stored
    cells: np.ndarray[Any, np.dtype[np.int64]]
    axes: tuple[AxisProjection, ...]
    target: np.ndarray[Any, Any]

    @property
    def nbytes(self) -> int:
        """Decoded size of the chunks, in bytes."""
        return self.cells.size * self.coder.spec.nbytes

    @property
    def work_nbytes(self) -> int:
        """How much there is to do: decoded bytes, fewer where decoding is fast."""
        return self.nbytes // (_FAST if self.coder.decodes_fast else 1)

    def split(self) -> Iterator[DecodeGrid]:
        """Cut into batches: as many chunks as the coder is best at, or one."""
        if self.nbytes <= self.coder.batch_nbytes or self.cells.size == 1:
            yield self
            return
        at, counts = _halves(self.cells.shape, self._lies_in_halves)
        for low, high in counts:
            part = replace(self.axes[at], chunks=self.axes[at].chunks[low:high])
            axes = (*self.axes[:at], part, *self.axes[at + 1 :])
            yield from replace(self, cells=_cut(self.cells, at, low, high), axes=axes).split()

    def _lies_in_halves(self, axis: int, middle: int) -> bool:
        """Whether the first half's chunks all lie before the others in what is still to be read."""
        if not isinstance(self.encoded, Stored):
            return True
        offsets = self.encoded.table[self.cells, 0].swapaxes(axis, 0)
        there = (self.cells >= 0).swapaxes(axis, 0)
        last = offsets[:middle].max(initial=0, where=there[:middle])
        return bool(last <= offsets[middle:].min(initial=np.iinfo(np.uint64).max, where=there[middle:]))

    def run(self) -> None:
        """Decode, and copy the wanted parts to the target: a few chunks at a time, while they are in cache.

        Raises
        ------
        CorruptShardError
            What the codec chain finds, with the inner chunk.
        """
        for part in self.split():
            part._run()  # noqa: SLF001

    def _run(self) -> None:
        present = self.cells >= 0
        full = bool(present.all())
        chosen = self.encoded.take(self.cells.reshape(-1) if full else self.cells[present])
        decoded = self.coder.decode_many(chosen) if len(chosen) > 1 else None
        if decoded is None:
            self._run_one_by_one(chosen, present)
            return
        numbers = None if full else np.where(present, present.cumsum().reshape(present.shape) - 1, -1)
        chunks = decoded.reshape(*present.shape, *decoded.shape[1:]) if full else decoded
        # Neighbours of which the same part is wanted are copied together.
        along = [axis.copies for axis in self.axes]
        if numbers is None:
            put_grid(chunks, along, self.target)
            return
        for block in product(*along):
            positions, within, landing = zip(*block, strict=True)
            inside = view(numbers, positions)
            there = inside >= 0
            which = inside[there]
            # They ascend. Most often they are all that there are, in a row: then nothing is copied twice.
            in_a_row = len(which) and which[-1] - which[0] + 1 == len(which)
            some = chunks[which[0] : which[-1] + 1] if in_a_row else chunks[which]
            put_some(some[(slice(None), *within)], there, view(self.target, landing))

    def _run_one_by_one(self, chosen: Pieces, present: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
        along = [[(at, *axis.part(at)) for at in axis.coords()] for axis in self.axes]
        for encoded, parts in zip(chosen, compress(product(*along), present.flat), strict=True):
            coords, wanted, landing = zip(*parts, strict=True) if parts else ((), (), ())
            try:
                view(self.target, landing)[...] = self.coder.decode(encoded)[box_index(wanted)]
            except CorruptShardError as error:
                raise error.at(inner_chunk=coords) from error.__cause__


DecodeJob = DecodeChunk | DecodeGrid


@dataclass(frozen=True, slots=True)
class EncodeJob:
    """A block of chunks to encode, each set as a whole.

    Attributes
    ----------
    coder
        The codec chain of a chunk.
    value
        The chunks side by side.
    linear
        One element a chunk: its linear index in the shard.
    """

    coder: Coder
    value: np.ndarray[Any, Any]
    linear: np.ndarray[Any, np.dtype[np.int64]]

    @property
    def nbytes(self) -> int:
        """Decoded size of the chunks, in bytes."""
        return self.value.nbytes

    def split(self) -> Iterator[Self]:
        """Cut into batches: as many chunks as the coder is best at, or one."""
        if self.nbytes <= self.coder.batch_nbytes or self.linear.size == 1:
            yield self
            return
        axis, counts = _halves(self.linear.shape, lambda *_: True)
        for low, high in counts:
            part = self.value.shape[axis] // self.linear.shape[axis]
            yield from replace(
                self,
                linear=_cut(self.linear, axis, low, high),
                value=_cut(self.value, axis, low * part, high * part),
            ).split()

    def run(self) -> Encoded:
        """Encode; chunks that are all fill value are left out."""
        wanted = ~are_filled(self.value, self.linear.shape, self.coder.spec.fill_value)
        # One copy brings each chunk's elements together: codecs see them in a row.
        return self.linear[wanted], self.coder.encode_many(take_some(self.value, wanted))


@dataclass(frozen=True, slots=True)
class UpdateJob:
    """One chunk to encode anew, of which a part is set.

    Attributes
    ----------
    coder
        The codec chain of the chunk.
    old
        Its bytes until now, if any of them are still needed.
    box, value
        The part that changes, and what it becomes.
    bounds
        How much of the chunk lies inside the array.
    linear
        Its linear index in the shard.
    inner_chunk
        Its coordinates in the shard; None for a chunk that is a whole object.
    """

    coder: Coder
    old: Buffer | None
    box: Box
    value: np.ndarray[Any, Any]
    bounds: Bounds
    linear: int
    inner_chunk: Coords | None

    @property
    def nbytes(self) -> int:
        """Decoded size of the chunk, in bytes."""
        return self.coder.spec.nbytes

    def split(self) -> Iterator[Self]:
        """One chunk is never cut."""
        yield self

    def run(self) -> Encoded:
        """Encode; nothing if the chunk is now all fill value."""
        try:
            encoded = self.coder.update(self.old, self.box, self.value, self.bounds)
        except CorruptShardError as error:
            raise error.at(inner_chunk=self.inner_chunk) from error.__cause__
        parts = [] if encoded is None else [encoded]
        return np.full(len(parts), self.linear, np.int64), Parts(parts)


Encoded = tuple[np.ndarray[Any, np.dtype[np.int64]], Pieces]
"""Linear indices of chunks, and their encoded bytes in the same order."""


def _halves(
    shape: tuple[int, ...], suits: Callable[[int, int], bool]
) -> tuple[int, tuple[tuple[int, int], tuple[int, int]]]:
    """The first axis that can be halved, and suits (else the first): so C order goes on from half to half."""
    axes = [(at, size // 2) for at, size in enumerate(shape) if size > 1]
    axis, middle = next((half for half in axes if suits(*half)), axes[0])
    return axis, ((0, middle), (middle, shape[axis]))


def _cut(array: np.ndarray[Any, Any], axis: int, low: int, high: int) -> np.ndarray[Any, Any]:
    part: np.ndarray[Any, Any] = array[(slice(None),) * axis + (slice(low, high),)]
    return part
