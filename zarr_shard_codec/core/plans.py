"""Reading and writing a shard as conversations about byte ranges.

A plan is a generator: it yields the byte ranges that it wants, is sent the bytes, and returns what is
left to do without I/O: jobs for a processor, independent of each other. It knows no file, socket, thread
or event loop, so one implementation serves every store, sync and async, and tests see each request.

An answer of None means that the object does not exist; all chunks are then empty.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Protocol, TypeVar

import numpy as np

from zarr_shard_codec.core.grid import ChunkOrder, Coords, all_to_coords, to_linear, write_order
from zarr_shard_codec.core.index import ShardIndex, entry_error
from zarr_shard_codec.core.layout import IndexLocation, index_request, lay_out
from zarr_shard_codec.core.protocols import ChunkSpec
from zarr_shard_codec.core.ranges import WHOLE, Buffer, ByteRange, Request, Suffix
from zarr_shard_codec.core.selection import Box, box_slices, linear_chunks, project, view
from zarr_shard_codec.errors import CorruptShardError

T = TypeVar("T")
Plan = Generator[list[Request], Sequence[Buffer] | None, T]
"""Yields byte ranges, is sent one buffer for each, or None if there is no object; returns a T."""

Bounds = tuple[int, ...]
"""How much of a chunk lies inside the array, along each axis: at most the chunk's size, which an edge
chunk reaches past. What lies outside holds the fill value and nobody asks for it."""


class Chain(Protocol):
    """What a plan asks of the codec chain of a chunk."""

    @property
    def spec(self) -> ChunkSpec:
        """The chunk as an array."""
        ...

    @property
    def reads_partially(self) -> bool:
        """Whether a part of the chunk can be read without all of its bytes: a shard within a shard."""
        ...

    @property
    def max_encoded_nbytes(self) -> int:
        """No encoded chunk is larger than this, in bytes."""
        ...

    def decode(self, encoded: Buffer) -> np.ndarray[Any, Any]:
        """Decode one chunk."""
        ...

    def plan_read(
        self, box: Box, target: np.ndarray[Any, Any], bounds: Bounds, extent: ByteRange | None
    ) -> Plan[list[DecodeJob] | None]:
        """Plan to read the box into the target; None if the object does not exist."""
        ...

    def update(
        self, old: Buffer | None, box: Box, value: np.ndarray[Any, Any], bounds: Bounds
    ) -> Buffer | None:
        """Encode the chunk anew with the box set to a value; None if it is all fill value."""
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


@dataclass(frozen=True, slots=True)
class DecodeJob:
    """One encoded chunk to decode, and where the wanted part of it goes.

    Attributes
    ----------
    chain
        The codec chain that decodes it.
    encoded
        Its bytes.
    within
        The wanted part of the decoded chunk.
    target
        A writable view of the part's shape. No two jobs of a plan write to the same elements.
    inner_chunk
        Its coordinates in the shard; None for a chunk that is a whole object.
    """

    chain: Chain
    encoded: Buffer
    within: tuple[slice, ...]
    target: np.ndarray[Any, Any]
    inner_chunk: Coords | None

    def run(self) -> None:
        """Decode, and copy the wanted part to the target."""
        try:
            self.target[...] = self.chain.decode(self.encoded)[self.within]
        except CorruptShardError as error:
            raise error.at(inner_chunk=self.inner_chunk) from error.__cause__


@dataclass(frozen=True, slots=True)
class EncodeJob:
    """One chunk to encode anew.

    Attributes
    ----------
    chain
        The codec chain that encodes it.
    old
        Its bytes until now, if any of them are still needed.
    box, value
        The part that changes, and what it becomes.
    bounds
        How much of the chunk lies inside the array.
    inner_chunk
        Its coordinates in the shard; None for a chunk that is a whole object.
    """

    chain: Chain
    old: Buffer | None
    box: Box
    value: np.ndarray[Any, Any]
    bounds: Bounds
    inner_chunk: Coords | None

    def run(self) -> Buffer | None:
        """Encode; None if the chunk is now all fill value."""
        try:
            return self.chain.update(self.old, self.box, self.value, self.bounds)
        except CorruptShardError as error:
            raise error.at(inner_chunk=self.inner_chunk) from error.__cause__


@dataclass(frozen=True, slots=True)
class Update:
    """What is left of a write once all bytes are read: jobs, and how their results make the object.

    Attributes
    ----------
    jobs
        Chunks to encode.
    shard
        The sharding codec; None if the object is one chunk.
    kept
        Inner chunks that stay as they are: their encoded bytes by linear index.
    """

    jobs: list[EncodeJob]
    shard: Shard | None = None
    kept: dict[int, Buffer] = field(default_factory=dict)

    def finish(self, encoded: Iterable[Buffer | None]) -> list[Buffer] | None:
        """Join the jobs' results, in their order, to the parts of the object; None: it is to be deleted.

        An object is not written for fill values alone (decision ALL-EMPTY-SHARD).
        """
        if self.shard is None:
            return [part for part in encoded if part is not None] or None
        chunks = dict(self.kept)
        for job, part in zip(self.jobs, encoded, strict=True):
            if part is not None:
                assert job.inner_chunk is not None
                chunks[to_linear(job.inner_chunk, self.shard.chunks_per_shard)] = part
        return shard_parts(self.shard, chunks) if chunks else None


def shard_parts(shard: Shard, chunks: dict[int, Buffer]) -> list[Buffer]:
    """Lay encoded inner chunks, given by linear index, out as a shard: its parts, unjoined."""
    if shard.chunk_order == "lexicographic":
        order = sorted(chunks)
    else:
        order = [at for at in write_order(shard.chunk_order, shard.chunks_per_shard).tolist() if at in chunks]
    parts = [chunks[at] for at in order]
    at_start = shard.index_location == "start"
    index = lay_out(
        np.array(order, np.int64),
        np.array([len(part) for part in parts], np.uint64),
        shard.chunks_per_shard,
        first_offset=shard.index_nbytes if at_start else 0,
    )
    encoded_index = shard.encode_index(index)
    return [encoded_index, *parts] if at_start else [*parts, encoded_index]


def read_index(shard: Shard, extent: ByteRange | None) -> Plan[ShardIndex | None]:
    """Plan to read the index of a shard; None if the object does not exist.

    Raises
    ------
    CorruptShardError
        `shard_too_short`, `index_checksum_mismatch`, `index_undecodable`.
    """
    if extent is not None and extent.nbytes < shard.index_nbytes:
        raise _too_short(shard, extent.nbytes)
    answer = yield [index_request(shard.index_location, shard.index_nbytes, extent)]
    if answer is None:
        return None
    (encoded,) = answer
    if len(encoded) < shard.index_nbytes:
        raise _too_short(shard, len(encoded)) if extent is None else _past_the_end(extent)
    return shard.decode_index(encoded)


def read_shard(
    shard: Shard, box: Box, target: np.ndarray[Any, Any], bounds: Bounds, extent: ByteRange | None
) -> Plan[list[DecodeJob] | None]:
    """Plan to read part of a shard.

    Costs one request if everything inside the bounds is wanted, else one for the index and one turn for
    the inner chunks (for shards within shards, one turn more for each level).

    Parameters
    ----------
    shard
        The sharding codec.
    box
        What is wanted, in elements of the shard.
    target
        Where it goes: a writable view of the box's shape. Set to the fill value where chunks are empty.
    bounds
        How much of the shard lies inside the array.
    extent
        Where the shard lies in its object; None if it is the whole object.

    Returns
    -------
    list of DecodeJob, or None
        None if the object does not exist; the target is then untouched.

    Raises
    ------
    CorruptShardError
        As `read_index`, and `entry_half_empty`, `entry_zero_length`, `entry_out_of_bounds`,
        `inner_chunk_wrong_size` for the inner chunks that the box touches; `object_changed`.
    """
    if covers(box, bounds):
        answer = yield [WHOLE if extent is None else extent]
        if answer is None:
            return None
        (encoded,) = answer
        if extent is not None and len(encoded) < extent.nbytes:
            raise _past_the_end(extent)
        index = cut_index(shard, encoded)
        return hold(read_parts(shard, index, box, target, bounds, whole_of(encoded)), encoded)
    found = yield from read_index(shard, extent)
    if found is None:
        return None
    return (yield from read_parts(shard, found, box, target, bounds, extent))


def read_parts(
    shard: Shard,
    index: ShardIndex,
    box: Box,
    target: np.ndarray[Any, Any],
    bounds: Bounds,
    extent: ByteRange | None,
) -> Plan[list[DecodeJob]]:
    """Plan to read part of a shard whose index is known; as `read_shard`."""
    axes = project(box, shard.inner.spec.shape)
    touched = linear_chunks(axes, shard.chunks_per_shard)
    present = index.present_among(touched)
    if len(present) < len(touched):
        target[...] = shard.spec.fill_value
    ranges = index.ranges(present, shard_nbytes=None if extent is None else extent.nbytes)
    pieces: list[tuple[Coords, Box, np.ndarray[Any, Any]]] = []
    for coords in all_to_coords(present, shard.chunks_per_shard):
        parts = [axis.part(at) for axis, at in zip(axes, coords, strict=True)]
        pieces.append(
            (coords, tuple(wanted for wanted, _ in parts), view(target, (land for _, land in parts)))
        )

    inner, inner_shape = shard.inner, shard.inner.spec.shape
    if inner.reads_partially:
        plans = [
            _read_inner(
                inner, coords, part, into, bounds_of(coords, inner_shape, bounds), _within(lies, extent)
            )
            for (coords, part, into), lies in zip(pieces, ranges, strict=True)
        ]
        return [job for jobs in (yield from gather(plans)) for job in jobs]
    if not ranges:
        return []
    # Of a chunk larger than any can be, the last byte alone: it tells whether the entry is out of bounds.
    limit = inner.max_encoded_nbytes
    asked = [lies if lies.nbytes <= limit else ByteRange(lies.offset + lies.nbytes - 1, 1) for lies in ranges]
    answer = yield [_within(lies, extent) for lies in asked]
    if answer is None:
        raise _deleted()
    for (coords, _, _), lies, cut, encoded in zip(pieces, ranges, asked, answer, strict=True):
        if len(encoded) != cut.nbytes:
            shard_nbytes = lies.offset + len(encoded) if len(encoded) else None
            raise entry_error("entry_out_of_bounds", (lies.offset, lies.nbytes), coords, shard_nbytes)
        if cut is not lies:
            message = f"expected at most {limit} bytes, found an index entry of {lies.nbytes}"
            raise CorruptShardError("inner_chunk_wrong_size", message, inner_chunk=coords)
    return [
        DecodeJob(inner, encoded, box_slices(part), into, coords)
        for (coords, part, into), encoded in zip(pieces, answer, strict=True)
    ]


def _read_inner(
    inner: Chain,
    coords: Coords,
    box: Box,
    target: np.ndarray[Any, Any],
    bounds: Bounds,
    extent: ByteRange,
) -> Plan[list[DecodeJob]]:
    """Plan to read part of a shard within a shard; errors that know no inner chunk name this one."""
    try:
        jobs = yield from inner.plan_read(box, target, bounds, extent)
    except CorruptShardError as error:
        raise error.at(inner_chunk=coords) from error.__cause__
    if jobs is None:  # its outer shard was there a turn ago
        raise _deleted()
    return jobs


def write_shard(shard: Shard, box: Box, value: np.ndarray[Any, Any], bounds: Bounds) -> Plan[Update]:
    """Plan to set part of a shard: read, splice, and say what the new object is made of.

    Nothing is read if the box covers all that lies inside the bounds. Otherwise the whole object is read
    once; inner chunks outside the box are kept as they are encoded, never decoded.

    Raises
    ------
    CorruptShardError
        As `read_shard`, for every inner chunk that is kept or changed in part. Nothing is written then.
    """
    old: Buffer | None = None
    if not covers(box, bounds):
        answer = yield [WHOLE]
        old = None if answer is None else memoryview(answer[0])
    axes = project(box, shard.inner.spec.shape)
    inner_shape = shard.inner.spec.shape
    touched = list(product(*(axis.coords() for axis in axes)))
    parts = [[axis.part(at) for axis, at in zip(axes, coords, strict=True)] for coords in touched]
    boxes = [tuple(wanted for wanted, _ in part) for part in parts]
    inner_bounds = [bounds_of(coords, inner_shape, bounds) for coords in touched]

    encoded: dict[int, Buffer] = {}
    replaced = {
        to_linear(coords, shard.chunks_per_shard)
        for coords, part, limit in zip(touched, boxes, inner_bounds, strict=True)
        if covers(part, limit)
    }
    if old is not None:
        index = cut_index(shard, old)
        needed = np.setdiff1d(index.present, np.fromiter(replaced, np.int64, len(replaced)))
        lies = index.ranges(needed, shard_nbytes=len(old))
        encoded = {
            at: old[part.offset : part.offset + part.nbytes]
            for at, part in zip(needed.tolist(), lies, strict=True)
        }
    jobs = [
        EncodeJob(
            shard.inner,
            encoded.pop(to_linear(coords, shard.chunks_per_shard), None),
            part_box,
            view(value, (land for _, land in part)),
            limit,
            coords,
        )
        for coords, part, part_box, limit in zip(touched, parts, boxes, inner_bounds, strict=True)
    ]
    return Update(jobs, shard, encoded)


def cut_index(shard: Shard, encoded: Buffer) -> ShardIndex:
    """Decode the index of a whole shard that is at hand. Raises as `read_index`."""
    index = hold(read_index(shard, None), encoded)
    assert index is not None
    return index


def whole_of(encoded: Buffer) -> ByteRange:
    """The range of all of a buffer's bytes."""
    return ByteRange(0, len(encoded))


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
    waiting: dict[int, list[Request]] = {}
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


def _within(lies: ByteRange, extent: ByteRange | None) -> ByteRange:
    return lies if extent is None else ByteRange(extent.offset + lies.offset, lies.nbytes)


def _cut(view: memoryview, request: Request) -> memoryview:
    if isinstance(request, ByteRange):
        return view[request.offset : request.offset + request.nbytes]
    if isinstance(request, Suffix):
        return view[max(0, len(view) - request.nbytes) :]
    return view


def _deleted() -> CorruptShardError:
    return CorruptShardError("object_changed", "the object was deleted while it was being read")


def _past_the_end(extent: ByteRange) -> CorruptShardError:
    """The error of an inner shard's entry, where the outer shard's size was not known when it was checked."""
    message = f"index entry (offset {extent.offset}, nbytes {extent.nbytes} in the object): the object ends"
    return CorruptShardError("entry_out_of_bounds", f"{message} before it does")


def _too_short(shard: Shard, nbytes: int) -> CorruptShardError:
    return CorruptShardError(
        "shard_too_short", f"expected at least the {shard.index_nbytes} bytes of its index, found {nbytes}"
    )
