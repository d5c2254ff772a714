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
    """

    enough_nbytes: int = field(default=2**63 - 1, compare=False)


WHOLE: Final = Whole()

Request = ByteRange | Suffix | Whole
Buffer = bytes | bytearray | memoryview
"""Contiguous bytes. A plan slices them without a copy, so a store never reuses what it handed out."""


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


def merge(
    requests: Sequence[Request], *, largest_gap: int, largest_read: int
) -> tuple[list[Request], list[Cut]]:
    """Merge neighbouring byte ranges into fewer, larger reads.

    Parameters
    ----------
    requests
        In any order; ranges may overlap or be equal.
    largest_gap
        Ranges at most this many bytes apart are read as one.
    largest_read
        No merged read is larger than this, in bytes; a single range may be, and so may ranges of which
        one lies in the other.

    Returns
    -------
    tuple
        What to read, and for each request, in its order, where its bytes are then.
    """
    merged: list[Request] = []
    cuts: list[Cut | None] = [None] * len(requests)
    ranges: list[tuple[int, int, int]] = []
    for at, request in enumerate(requests):
        if isinstance(request, ByteRange):
            ranges.append((request.offset, request.nbytes, at))
        else:
            cuts[at] = Cut(len(merged), 0, None)
            merged.append(request)
    ranges.sort()
    start = end = -1
    for offset, nbytes, at in ranges:
        stop = offset + nbytes
        grown = max(end, stop) - start
        if start < 0 or offset - end > largest_gap or (grown > largest_read and stop > end):
            start, end = offset, stop
            merged.append(ByteRange(start, nbytes))
        elif stop > end:
            end = stop
            merged[-1] = ByteRange(start, end - start)
        cuts[at] = Cut(len(merged) - 1, offset - start, nbytes)
    return merged, [cut for cut in cuts if cut is not None]
