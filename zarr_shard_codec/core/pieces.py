"""Many encoded chunks at once: slices of one buffer by a table, buffers of their own, or not read yet.

Owns the forms and what they can do, and how many ranges become few reads. Of a shard that was read
into one buffer, whole or in part, a table says where the chunks lie: nothing is done for each chunk until a
codec asks for it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final, Protocol

import numpy as np

from zarr_shard_codec.core.ranges import Buffer, ByteRange, Coalescing, merge_ranges
from zarr_shard_codec.errors import CorruptShardError

_FEW: Final = 24
"""Ranges; up to this many are merged one by one in Python, which is faster than NumPy for few."""


@dataclass(frozen=True, slots=True)
class Segments:
    """Slices of one buffer.

    Attributes
    ----------
    buffer
        The bytes.
    table
        uint64, shape (n, 2): offset and nbytes of each slice, in bytes. All lie within the buffer.
    """

    buffer: Buffer
    table: np.ndarray[Any, np.dtype[np.uint64]]

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[memoryview]:
        view = memoryview(self.buffer)
        return (view[offset : offset + nbytes] for offset, nbytes in self.table.tolist())

    def __getitem__(self, at: int) -> memoryview:
        offset, nbytes = self.table[at].tolist()
        return memoryview(self.buffer)[offset : offset + nbytes]

    def sizes(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Size of each, in bytes."""
        return self.table[:, 1].astype(np.int64)

    def heads(self, nbytes: int) -> bytes:
        """The first `nbytes` bytes of each, one behind the other; fewer in all if one is shorter."""
        if (self.table[:, 1] < nbytes).any():
            return b""
        at = self.table[:, 0, np.newaxis] + np.arange(nbytes, dtype=np.uint64)
        return bytes(np.frombuffer(self.buffer, np.uint8)[at])

    def take(self, chosen: np.ndarray[Any, Any]) -> Segments:
        """Choose some, by position."""
        return Segments(self.buffer, self.table[chosen])

    def span(self, offset: int, nbytes: int) -> memoryview:
        """Some bytes of the buffer."""
        return memoryview(self.buffer)[offset : offset + nbytes]

    def joined(self, nbytes: int) -> memoryview | None:
        """All slices one behind the other, if each has `nbytes` bytes and they lie on a grid of that step.

        No copy if they lie one behind the other already; otherwise (another order of chunks) one for all.
        """
        if not len(self.table) or (self.table[:, 1] != nbytes).any():
            return None
        offsets = self.table[:, 0]
        first = int(offsets[0])
        if (offsets == first + nbytes * np.arange(len(offsets), dtype=np.uint64)).all():
            return memoryview(self.buffer)[first : first + nbytes * len(offsets)]
        first = int(offsets.min())
        rows, beside = np.divmod(self.table[:, 0] - np.uint64(first), np.uint64(nbytes))
        if beside.any():
            return None
        grid = np.frombuffer(self.buffer, np.uint8, (int(rows.max()) + 1) * nbytes, first)
        if (rows != np.arange(len(rows), dtype=np.uint64)).any():
            grid = grid.reshape(-1, nbytes).take(rows, axis=0).reshape(-1)
        return grid.data


@dataclass(frozen=True, slots=True)
class Parts:
    """Buffers of their own."""

    buffers: Sequence[Buffer]

    def __len__(self) -> int:
        return len(self.buffers)

    def __iter__(self) -> Iterator[Buffer]:
        return iter(self.buffers)

    def __getitem__(self, at: int) -> Buffer:
        return self.buffers[at]

    def sizes(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Size of each, in bytes."""
        return np.array([len(part) for part in self.buffers], np.int64)

    def heads(self, nbytes: int) -> bytes:
        """The first `nbytes` bytes of each, one behind the other; fewer in all if one is shorter."""
        heads = [bytes(part[:nbytes]) for part in self.buffers]
        return b"".join(heads) if min(map(len, heads)) == nbytes else b""

    def take(self, chosen: np.ndarray[Any, Any]) -> Parts:
        """Choose some, by position."""
        return Parts([self.buffers[at] for at in chosen.tolist()])

    def joined(self, nbytes: int) -> memoryview | None:
        """The one buffer, if there is one and it has `nbytes` bytes."""
        if len(self.buffers) != 1 or len(self.buffers[0]) != nbytes:
            return None
        return memoryview(self.buffers[0])


Pieces = Segments | Parts


class Source(Protocol):
    """One state of an object, to be read as long as anybody refers to it."""

    def read_joined(self, ranges: Sequence[ByteRange]) -> Buffer | None:
        """The bytes of all ranges, one behind the other; None if some are missing."""
        ...


@dataclass(frozen=True, slots=True)
class Extent:
    """A byte range to be copied from object to object without passing through this process's memory.

    Attributes
    ----------
    source
        The object that has them.
    lies
        Where.
    """

    source: Source
    lies: ByteRange

    def read(self) -> Buffer:
        """The bytes. Raises as `Stored.take`."""
        found = self.source.read_joined([self.lies])
        if found is None:
            raise cut_short()
        return found


Part = Buffer | Extent
"""What objects are put together of."""


def read_parts(parts: Sequence[Part]) -> list[Buffer]:
    """All of them in memory. Raises as `Extent.read`."""
    return [part.read() if isinstance(part, Extent) else part for part in parts]


@dataclass(frozen=True, slots=True)
class Stored:
    """Ranges of an object that are read when they are taken, so that only those in use are held in memory.

    Attributes
    ----------
    source
        The object. All ranges lie within it.
    table
        uint64, shape (n, 2): offset and nbytes of each.
    coalescing
        When two are cheaper as one.
    """

    source: Source
    table: np.ndarray[Any, np.dtype[np.uint64]]
    coalescing: Coalescing

    def __len__(self) -> int:
        return len(self.table)

    def span(self, offset: int, nbytes: int) -> Extent:
        """Some bytes of the object."""
        return Extent(self.source, ByteRange(offset, nbytes))

    def take(self, chosen: np.ndarray[Any, Any]) -> Segments:
        """Read some, by position. Raises `CorruptShardError` (`object_changed`), and the source's errors."""
        table = self.table[chosen]
        if not len(table):
            return Segments(b"", table)
        runs = Runs.over(table, self.coalescing)
        joined = self.source.read_joined(runs.reads)
        if joined is None:
            raise cut_short()
        return runs.segments(joined)


def cut_short() -> CorruptShardError:
    """The error of an object that had more bytes a moment ago."""
    return CorruptShardError("object_changed", "the object was cut short while it was being read")


@dataclass(frozen=True, slots=True)
class Runs:
    """Few reads in the place of many ranges, and where in them each range lies.

    Attributes
    ----------
    reads
        What is read.
    table
        uint64, shape (n, 2): offset and nbytes of each range, if all reads were one behind the other.
    """

    reads: list[ByteRange]
    table: np.ndarray[Any, np.dtype[np.uint64]]

    @classmethod
    def over(cls, table: np.ndarray[Any, np.dtype[np.uint64]], coalescing: Coalescing) -> Runs:
        """Merge neighbours, as `ranges.merge` does.

        Parameters
        ----------
        table
            uint64, shape (n, 2), n at least 1: offset and nbytes of each range. No end is 2^64 or more.
        coalescing
            When two are cheaper as one.
        """
        if len(table) > _FEW:
            return cls(*_merge_many(table, coalescing))
        ranges = table.tolist()
        reads, holders = merge_ranges(ranges, coalescing)
        shifts: list[int] = []
        before = 0
        for offset, nbytes in reads:
            shifts.append(before - offset)
            before += nbytes
        joined = [
            (shifts[read] + offset, nbytes) for read, (offset, nbytes) in zip(holders, ranges, strict=True)
        ]
        return cls(reads, np.array(joined, np.uint64))

    def segments(self, buffer: Buffer) -> Segments:
        """The ranges, given all reads one behind the other."""
        return Segments(buffer, self.table)

    def parts(self, buffers: Sequence[Buffer]) -> Parts:
        """The ranges, given a buffer a read; what a buffer is short of, its ranges are short of, too."""
        views = [memoryview(buffer) for buffer in buffers]
        before = [0, *accumulate(read.nbytes for read in self.reads)]
        parts: list[Buffer] = []
        for offset, nbytes in self.table.tolist():
            at = bisect_right(before, offset) - 1
            parts.append(views[at][offset - before[at] : offset - before[at] + nbytes])
        return Parts(parts)


def _merge_many(
    table: np.ndarray[Any, np.dtype[np.uint64]], coalescing: Coalescing
) -> tuple[list[ByteRange], np.ndarray[Any, np.dtype[np.uint64]]]:
    """As `merge_ranges`, without Python for each; where ranges lie in all reads, one behind the other."""
    offset, nbytes = table.T
    first, end = int(offset.min()), int((offset + nbytes).max())
    if end - first <= min(coalescing.largest_read, int(nbytes.sum()) + coalescing.largest_gap):
        return [ByteRange(first, end - first)], table - np.array([first, 0], np.uint64)
    order = np.argsort(offset, kind="stable")
    offset, nbytes = table[order].T
    reach = np.maximum.accumulate(offset + nbytes)
    gap = np.uint64(coalescing.largest_gap)
    begins = np.ones(len(table), np.bool_)
    # Both sides could pass 2^64, or 0, if they were not looked at first: entries are what a file says.
    np.logical_and(offset[1:] > gap, offset[1:] - gap > reach[:-1], out=begins[1:])
    begin = np.maximum.accumulate(np.where(begins, offset, np.uint64(0)))
    if int((reach - begin).max()) > coalescing.largest_read:
        step = np.uint64(max(1, coalescing.largest_read - int(nbytes.max())))
        begins[1:] |= np.diff((offset - begin) // step) != 0
    at = np.flatnonzero(begins)
    starts = offset[at]
    sizes = np.maximum.reduceat(offset + nbytes, at) - starts
    shift = np.cumsum(sizes) - sizes - starts  # wraps, and back again
    joined = table.copy()
    joined[order, 0] = offset + shift[np.cumsum(begins) - 1]
    reads = [ByteRange(*lies) for lies in zip(starts.tolist(), sizes.tolist(), strict=True)]
    return reads, joined


Placed = tuple[np.ndarray[Any, np.dtype[np.int64]], Pieces | Stored]
"""Linear indices of chunks, and their bytes in the same order, seen or not."""


def sequence_of(linear: np.ndarray[Any, Any], order: np.ndarray[Any, Any] | None) -> np.ndarray[Any, Any]:
    """Positions of some chunks, in the order wanted; as of `splice`."""
    if order is None:
        return np.argsort(linear, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return np.argsort(rank[linear], kind="stable")


def splice(
    pieces: Sequence[Placed], order: np.ndarray[Any, Any] | None
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], list[Part]]:
    """Line chunks from several places up, and join what already lies one behind the other.

    Parameters
    ----------
    pieces
        Linear indices of chunks, and their bytes in the same order. No index comes twice.
    order
        All linear indices in the order wanted; None for ascending.

    Returns
    -------
    tuple
        Linear indices in that order, sizes in bytes likewise, and parts that hold the chunks' bytes one
        behind the other: as few as can be without a copy.
    """
    if len(pieces) == 1:
        linear, group = pieces[0]
        if len(linear) == 1 and isinstance(group, Parts):  # a small write has no order
            return linear, group.sizes().astype(np.uint64), [group[0]]
    linear = np.concatenate([indices for indices, _ in pieces])
    tables = []
    for _, group in pieces:
        if isinstance(group, Parts):  # a source each: the position stands where the offset would
            places = [[at, len(buffer)] for at, buffer in enumerate(group)]
            tables.append(np.array(places, np.uint64).reshape(-1, 2))
        else:
            tables.append(group.table)
    table = np.concatenate(tables)
    source = np.repeat(np.arange(len(pieces)), [len(indices) for indices, _ in pieces])
    sequence = sequence_of(linear, order)
    linear, table, source = linear[sequence], table[sequence], source[sequence]
    sliced = np.array([not isinstance(group, Parts) for _, group in pieces])[source]
    joins = sliced[1:] & (source[1:] == source[:-1]) & (table[1:, 0] == table[:-1, 0] + table[:-1, 1])
    starts = np.flatnonzero(np.concatenate(([True], ~joins)))
    ends = np.append(starts[1:], len(linear)) - 1
    offsets = table[starts, 0]
    sizes = table[ends].sum(axis=1) - offsets  # of slices
    groups = [pieces[at][1] for at in source[starts].tolist()]
    parts = [
        group[offset] if isinstance(group, Parts) else group.span(offset, nbytes)
        for group, offset, nbytes in zip(groups, offsets.tolist(), sizes.tolist(), strict=True)
    ]
    return linear, table[:, 1], parts
