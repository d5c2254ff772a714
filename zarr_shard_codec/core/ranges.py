"""Byte ranges: what a plan asks for, and how near neighbours are merged into one read.

Owns the requests of a conversation and their coalescing. Who reads them is the engine's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple


class ByteRange(NamedTuple):  # one for each chunk of a read: a dataclass takes four times as long to make
    """`nbytes` bytes from `offset` on. Past the object's end there is nothing: the answer is shorter."""

    offset: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Suffix:
    """The last `nbytes` bytes; the whole object if that is shorter."""

    nbytes: int


@dataclass(frozen=True, slots=True)
class Whole:
    """The whole object.

    Attributes
    ----------
    enough_nbytes
        Nobody needs more bytes of it than this: a store may leave the rest unread. A file can be larger than
        any memory without a single byte on the disk.
    or_in_parts
        Whether who asks would as soon have the object's parts, one after the other. A driver that can give
        those answers None for an object that is there, and large.
    """

    enough_nbytes: int = field(default=2**63 - 1, compare=False)
    or_in_parts: bool = field(default=False, compare=False)


WHOLE: Final = Whole()

Request = ByteRange | Suffix | Whole
Buffer = bytes | bytearray | memoryview
"""Contiguous bytes. A plan slices them without a copy: they stay what they are while anyone can see them."""


@dataclass(frozen=True, slots=True)
class Coalescing:
    """When two byte ranges are cheaper as one read of a store.

    Attributes
    ----------
    largest_gap
        Ranges at most this many bytes apart are merged.
    largest_read
        No merged read is larger than this, in bytes (a single range may be).
    """

    largest_gap: int
    largest_read: int


def clamp(request: Request, nbytes: int) -> tuple[int, int]:
    """The bytes that a request names and an object of `nbytes` bytes has: from where, to where."""
    if isinstance(request, ByteRange):
        start = min(request.offset, nbytes)
        return start, min(start + request.nbytes, nbytes)
    if isinstance(request, Suffix):
        return max(0, nbytes - request.nbytes), nbytes
    return 0, min(nbytes, request.enough_nbytes)


class Cut(NamedTuple):
    """Where the answer to one request lies in the answers to the merged ones."""

    merged: int
    start: int
    nbytes: int | None
    """None: all of it."""

    def of(self, buffers: Sequence[Buffer]) -> memoryview:
        """Cut the answer out, without a copy."""
        buffer = memoryview(buffers[self.merged])
        return buffer if self.nbytes is None else buffer[self.start : self.start + self.nbytes]


def merge(requests: Sequence[Request], coalescing: Coalescing) -> tuple[list[Request], list[Cut]]:
    """Merge neighbouring byte ranges into fewer, larger reads.

    Parameters
    ----------
    requests
        In any order; ranges may overlap or be equal.
    coalescing
        When two are cheaper as one. Ranges of which one lies in the other may be larger than its largest
        read.

    Returns
    -------
    tuple
        What to read, and for each request, in its order, where its bytes are then.
    """
    if len(requests) < 2:
        sizes = [one.nbytes if isinstance(one, ByteRange) else None for one in requests]
        return [*requests], [Cut(0, 0, nbytes) for nbytes in sizes]
    merged: list[Request] = [request for request in requests if not isinstance(request, ByteRange)]
    reads, holders = merge_ranges(
        [request for request in requests if isinstance(request, ByteRange)], coalescing
    )
    whole, parts = iter(range(len(merged))), iter(holders)
    cuts: list[Cut] = []
    for request in requests:
        if isinstance(request, ByteRange):
            read = next(parts)
            cuts.append(Cut(len(merged) + read, request.offset - reads[read].offset, request.nbytes))
        else:
            cuts.append(Cut(next(whole), 0, None))
    return [*merged, *reads], cuts


def merge_ranges(
    ranges: Sequence[Sequence[int]], coalescing: Coalescing
) -> tuple[list[ByteRange], list[int]]:
    """Merge ranges alone (offset and nbytes each); as `merge`.

    Returns
    -------
    tuple
        What to read, ascending; and for each range, in which read it lies.
    """
    largest_gap, largest_read = coalescing.largest_gap, coalescing.largest_read
    starts: list[int] = []
    ends: list[int] = []
    holders = [0] * len(ranges)
    start = end = -1 - largest_gap
    for offset, nbytes, at in sorted([(*lies, at) for at, lies in enumerate(ranges)]):
        stop = offset + nbytes
        if stop > end:
            if offset - end > largest_gap or stop - start > largest_read:
                start = offset
                starts.append(start)
                ends.append(stop)
            ends[-1] = end = stop
        holders[at] = len(starts) - 1
    return [ByteRange(start, end - start) for start, end in zip(starts, ends, strict=True)], holders
