"""Reading and writing a shard as conversations about byte ranges.

A plan is a generator: it yields the byte ranges that it wants, is sent the bytes, and returns what is
left to do without I/O (`jobs`). It knows no file, socket, thread or event loop, so one implementation
serves every store, sync and async, and tests see each request.

Owns what all plans share, and the index; `reading` and `writing` hold the plans for shards.

An answer of None means that the object does not exist; all chunks are then empty.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import numpy as np

from zarr_shard_codec.core.grid import ChunkOrder, Coords
from zarr_shard_codec.core.index import ShardIndex
from zarr_shard_codec.core.jobs import Bounds, Coder, DecodeJob
from zarr_shard_codec.core.layout import IndexLocation, index_request
from zarr_shard_codec.core.pieces import Parts, Pieces
from zarr_shard_codec.core.protocols import ChunkSpec
from zarr_shard_codec.core.ranges import Buffer, ByteRange, Request, Suffix, clamp
from zarr_shard_codec.core.selection import Box
from zarr_shard_codec.errors import CorruptShardError

T = TypeVar("T")
Asked: TypeAlias = "Request | RangeTable | IndexRequest | Size"
Plan = Generator[list[Asked], Sequence[Any] | None, T]
"""Yields requests, is sent an answer to each, or None if there is no object; returns a T. An answer is a
buffer, but to requests that say what it is."""


class Size:
    """The object's size, in bytes, as an integer; None where its store does not open objects."""

    __slots__ = ()


SIZE: Final = Size()


@dataclass(frozen=True, slots=True)
class RangeTable:
    """Many ranges at once. The answer is `Pieces`, too short past the object's end; or, all there, `Stored`.

    Attributes
    ----------
    table
        uint64, shape (n, 2), n at least 1: offset and nbytes of each.
    unseen
        Whether the bytes go into another object as they are: `Stored` is the better answer, then.
    """

    table: np.ndarray[Any, np.dtype[np.uint64]]
    unseen: bool = False


class Chain(Coder, Protocol):
    """What a plan asks of the codec chain of a chunk."""

    @property
    def reads_partially(self) -> bool:
        """Whether a part of the chunk can be read without all of its bytes: a shard within a shard."""
        ...

    @property
    def max_encoded_nbytes(self) -> int:
        """No encoded chunk is larger than this, in bytes."""
        ...

    @property
    def encoded_nbytes(self) -> int | None:
        """Size in bytes of every encoded chunk; None where it varies."""
        ...

    def plan_read(
        self, box: Box, target: np.ndarray[Any, Any], bounds: Bounds, extent: ByteRange | None
    ) -> Plan[list[DecodeJob] | None]:
        """Plan to read the box into the target; None if the object does not exist."""
        ...


class Shard(Protocol):
    """What a plan asks of the sharding codec."""

    @property
    def spec(self) -> ChunkSpec:
        """The shard as an array."""
        ...

    @property
    def chunks_per_shard(self) -> Coords:
        """Inner chunks along each axis."""
        ...

    @property
    def index_nbytes(self) -> int:
        """Size of the encoded index in bytes."""
        ...

    @property
    def max_encoded_nbytes(self) -> int:
        """More bytes than any sane shard has."""
        ...

    @property
    def index_location(self) -> IndexLocation:
        """Where the index stands."""
        ...

    @property
    def chunk_order(self) -> ChunkOrder:
        """The order in which inner chunks are written."""
        ...

    @property
    def inner(self) -> Chain:
        """The codec chain of an inner chunk."""
        ...

    def decode_index(self, encoded: Buffer) -> ShardIndex:
        """Decode exactly the bytes of an index."""
        ...

    def encode_index(self, index: ShardIndex) -> Buffer:
        """Undo `decode_index`."""
        ...


@dataclass(slots=True)
class IndexRequest:
    """The index of a shard.

    A driver answers with its bytes; or with the `ShardIndex` that it kept, if it knows that the object is
    still the same.

    Attributes
    ----------
    shard
        The sharding codec.
    extent
        Where the shard lies in its object; None if it is the whole object.
    keep
        Called with the index once it is decoded: a driver that wants to keep it sets this.
    """

    shard: Shard
    extent: ByteRange | None
    keep: Callable[[ShardIndex], None] | None = None

    @property
    def lies(self) -> ByteRange | Suffix:
        """Where its bytes are."""
        return index_request(self.shard.index_location, self.shard.index_nbytes, self.extent)

    def index_of(self, answer: Buffer | ShardIndex) -> ShardIndex:
        """Make an index of the answer.

        Raises
        ------
        CorruptShardError
            `shard_too_short`, `entry_out_of_bounds` (of the outer shard), `index_checksum_mismatch`,
            `index_undecodable`.
        """
        if isinstance(answer, ShardIndex):
            return answer
        if len(answer) < self.shard.index_nbytes:
            raise _too_short(self.shard, len(answer)) if self.extent is None else past_the_end(self.extent)
        index = self.shard.decode_index(answer)
        if self.keep is not None:
            self.keep(index)
        return index


def read_index(shard: Shard, extent: ByteRange | None) -> Plan[ShardIndex | None]:
    """Plan to read the index of a shard; None if the object does not exist. Raises as `IndexRequest`."""
    if extent is not None and extent.nbytes < shard.index_nbytes:
        raise _too_short(shard, extent.nbytes)
    request = IndexRequest(shard, extent)
    answer = yield [request]
    return None if answer is None else request.index_of(answer[0])


def cut_index(shard: Shard, encoded: Buffer) -> ShardIndex:
    """Decode the index of a whole shard that is at hand. Raises as `read_index`."""
    index = hold(read_index(shard, None), encoded)
    assert index is not None
    return index


def covers(box: Box, bounds: Bounds) -> bool:
    """Whether a box names every element inside the bounds."""
    return all(len(wanted) == size for wanted, size in zip(box, bounds, strict=True))


def bounds_of(coords: Sequence[int], chunk_shape: Sequence[int], outer: Bounds) -> Bounds:
    """How much of a chunk lies inside the outer bounds."""
    return tuple(
        max(0, min(size, limit - at * size))
        for at, size, limit in zip(coords, chunk_shape, outer, strict=True)
    )


def hold(plan: Plan[T], encoded: Buffer | None) -> T:
    """Drive a plan over an object that is in memory."""
    view = None if encoded is None else memoryview(encoded)
    try:
        requests = next(plan)
        while True:
            requests = plan.send(None if view is None else [_cut(view, request) for request in requests])
    except StopIteration as done:
        result: T = done.value
        return result


def gather(plans: Sequence[Plan[T]]) -> Plan[list[T]]:
    """Run plans side by side: each turn asks for what all of them want next."""
    results: dict[int, T] = {}
    waiting: dict[int, list[Asked]] = {}
    for at, plan in enumerate(plans):
        try:
            waiting[at] = next(plan)
        except StopIteration as done:
            results[at] = done.value
    while waiting:
        answer = yield [request for requests in waiting.values() for request in requests]
        buffers = None if answer is None else iter(answer)
        asked, waiting = waiting, {}
        for at, requests in asked.items():
            own = None if buffers is None else [next(buffers) for _ in requests]
            try:
                waiting[at] = plans[at].send(own)
            except StopIteration as done:
                results[at] = done.value
    return [results[at] for at in range(len(plans))]


def within(lies: ByteRange, extent: ByteRange | None) -> ByteRange:
    """Bring a range of a shard to the object that the shard lies in."""
    return lies if extent is None else ByteRange(extent.offset + lies.offset, lies.nbytes)


def _cut(view: memoryview, request: Asked) -> memoryview | int | Pieces:
    if isinstance(request, Size):
        return len(view)
    if isinstance(request, RangeTable):
        return Parts([view[slice(*clamp(ByteRange(*lies), len(view)))] for lies in request.table.tolist()])
    lies = request.lies if isinstance(request, IndexRequest) else request
    return view[slice(*clamp(lies, len(view)))]


def deleted() -> CorruptShardError:
    """The error of an object that was there a turn ago."""
    return CorruptShardError("object_changed", "the object was deleted while it was being read")


def past_the_end(extent: ByteRange) -> CorruptShardError:
    """The error of an inner shard's entry, where the outer shard's size was not known when it was checked."""
    message = f"index entry (offset {extent.offset}, nbytes {extent.nbytes} in the object): the object ends"
    return CorruptShardError("entry_out_of_bounds", f"{message} before it does")


def _too_short(shard: Shard, nbytes: int) -> CorruptShardError:
    expected = f"expected at least {shard.index_nbytes} bytes, found {nbytes}"
    return CorruptShardError("shard_too_short", f"the shard is too short to hold its index: {expected}")
