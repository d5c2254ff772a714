"""One array on its way: the plan, both stores, and what the plan means for single objects.

Owns what all ways of moving share. How bytes move is the business of `files` and `buffers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final

import numpy as np

from zarr_shard_codec.array.metadata import ForeignMetadata
from zarr_shard_codec.array.rewriting import InMemory
from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core.grid import Coords
from zarr_shard_codec.core.index import ShardIndex
from zarr_shard_codec.core.layout import lay_out
from zarr_shard_codec.core.plans import IndexRequest
from zarr_shard_codec.core.ranges import WHOLE, Buffer, ByteRange
from zarr_shard_codec.errors import CorruptShardError, PackingError, StoreError
from zarr_shard_codec.packing.plan import ArrayPlan, ShardGrid
from zarr_shard_codec.packing.report import Tally, Tick
from zarr_shard_codec.stores.protocols import Store, StoredObject, opens_objects

BATCH_NBYTES: Final = 8 << 20
"""Bytes of an object that are read at once."""


@dataclass(frozen=True)
class Transfer:
    """One array on its way. Immutable, and shared by all threads.

    Attributes
    ----------
    plan
        What is done with the array.
    source, target
        From where, and to where.
    there
        Keys of the target's objects that an earlier run has left; each is complete.
    tick
        Where progress is told.
    """

    plan: ArrayPlan
    source: Store
    target: Store
    there: frozenset[str]
    tick: Tick

    @cached_property
    def chain(self) -> CodecChain:
        """The codec chain of the side with the shards."""
        return self.plan.sharded.chain.with_chunk_order(self.plan.chunk_order)

    @cached_property
    def codec(self) -> ShardingCodec:
        """The sharding codec; there is none in a copy of plain chunks."""
        codec = self.chain.array_bytes
        assert isinstance(codec, ShardingCodec)
        return codec

    @cached_property
    def grid(self) -> ShardGrid:
        """Which chunks lie in which shard."""
        return ShardGrid.of(self.plan.sharded, self.chain, self.codec)

    @property
    def most_nbytes(self) -> int | None:
        """The most bytes of an object of the source that is one chunk; None for shards, which may waste.

        None for what is foreign, too: nobody here can tell.
        """
        if isinstance(self.plan.source, ForeignMetadata):
            return None
        if self.plan.action == "pack":
            return self.codec.inner.max_encoded_nbytes
        return None if self.chain.reads_partially else self.chain.max_encoded_nbytes

    def index_of(self, nbytes: np.ndarray[Any, Any]) -> Buffer:
        """Encode the index of a new shard: sizes by linear index, 0 where there is no chunk."""
        order = self.grid.order[nbytes[self.grid.order] > 0]
        first = self.codec.index_nbytes if self.codec.index_location == "start" else 0
        index = lay_out(order, nbytes[order], self.codec.chunks_per_shard, first_offset=first)
        return self.codec.encode_index(index)

    def ranges_of(
        self, index: ShardIndex, linear: np.ndarray[Any, Any], shard_nbytes: int | None
    ) -> list[ByteRange | None]:
        """Where chunks lie in a shard, checked: None for empty entries.

        Raises
        ------
        CorruptShardError
            `entry_half_empty`, `entry_zero_length`, `entry_out_of_bounds`; `inner_chunk_wrong_size`: larger
            than any encoded chunk can be, so that a small shard cannot fill a disk.
        """
        limit = self.codec.inner.max_encoded_nbytes
        present, table = index.lookup(linear, shard_nbytes=shard_nbytes, largest_nbytes=limit)
        ranges = iter([ByteRange(offset, nbytes) for offset, nbytes in table.tolist()])
        return [next(ranges) if there else None for there in present.tolist()]

    def each_missing(
        self, shard: Coords, index: ShardIndex, shard_nbytes: int | None, tally: Tally
    ) -> Iterator[tuple[str, ByteRange]]:
        """Inner chunks of a shard that are still to be made: key in the target, and where their bytes lie.

        All others are counted. Raises as `ranges_of`.
        """
        for linear, coords in self.grid.chunks_in(shard):
            ranges = self.ranges_of(index, linear, shard_nbytes)
            for chunk, lies in zip(coords, ranges, strict=True):
                key = self.plan.target_key(chunk)
                if lies is None:
                    tally.passed(1)
                elif key in self.there:
                    tally.n_kept += 1
                    tally.passed(1)
                else:
                    yield key, lies


@dataclass(frozen=True, slots=True)
class OpenShard:
    """A shard whose index is read.

    Attributes
    ----------
    index
        Its index; entries are not checked yet.
    nbytes
        Its size, where it is known without another request.
    read
        Gives the bytes of ranges of it.
    """

    index: ShardIndex
    nbytes: int | None
    read: Callable[[Sequence[ByteRange]], Sequence[Buffer]]


@contextmanager
def open_shard(store: Store, key: str, chain: CodecChain, codec: ShardingCodec) -> Iterator[OpenShard | None]:
    """Read the index of a shard, and hold the shard in that state; None if there is no such object.

    All of it is in memory where codecs after the shard have to be undone, and where a store holds no states.

    Raises
    ------
    CorruptShardError
        `shard_too_short`, `index_checksum_mismatch`, `index_undecodable`; what undoing the codecs after
        the shard raises.
    PackingError
        `source_changed`, also when ranges are read: somebody wrote to the shard.
    """
    state: StoredObject | InMemory | None
    try:
        if chain.bytes_bytes or not opens_objects(store):
            found = store.read(key, [chain.whole if chain.bytes_bytes else WHOLE])
            state = None if found is None else InMemory(memoryview(chain.unwrap(found[0])), None)
        else:
            state = store.open_object(key)
        if state is None:
            yield None
            return
        with closing(state):
            request = IndexRequest(codec, None)
            found = state.read([request.lies])  # behind a network, this tells whether there is one
            if found is None:
                yield None
                return
            yield OpenShard(request.index_of(found[0]), state.nbytes, partial(_read_ranges, state, key))
    except CorruptShardError as error:
        raise error.at(key=key) from error.__cause__


def _read_ranges(state: StoredObject | InMemory, key: str, ranges: Sequence[ByteRange]) -> Sequence[Buffer]:
    if not ranges:
        return []
    try:
        answer = state.read(ranges)
    except StoreError as error:
        if error.reason != "object_changed":
            raise
        answer = None
    if answer is None:
        raise PackingError("source_changed", "the shard was written to while it was being read", key=key)
    for lies, encoded in zip(ranges, answer, strict=True):
        if len(encoded) != lies.nbytes:
            raise CorruptShardError(
                "entry_out_of_bounds",
                f"expected {lies.nbytes} bytes from byte {lies.offset} on, found {len(encoded)}",
                key=key,
            )
    return answer


def read_each(shard: OpenShard, ranges: Sequence[ByteRange]) -> Iterator[Buffer]:
    """The bytes of each range; read a few MiB at a time."""
    batch: list[ByteRange] = []
    nbytes = 0
    for lies in ranges:
        batch.append(lies)
        nbytes += lies.nbytes
        if nbytes >= BATCH_NBYTES:
            yield from shard.read(batch)
            batch, nbytes = [], 0
    yield from shard.read(batch)


def check_nbytes(nbytes: int, transfer: Transfer, key: str) -> None:
    """Refuse an object of the source that no chunk can be.

    Raises
    ------
    CorruptShardError
        `entry_zero_length`: it has no byte, which no codec writes, and no shard can hold;
        `inner_chunk_wrong_size`: more than any encoded chunk has, so that a file of a terabyte that takes no
        room cannot fill a disk.
    """
    most = transfer.most_nbytes
    if most is not None and nbytes > most:
        message = f"expected an encoded chunk of at most {most} bytes, found {nbytes} or more"
        raise CorruptShardError("inner_chunk_wrong_size", message, key=key)
    if nbytes or isinstance(transfer.plan.source, ForeignMetadata):
        return
    raise CorruptShardError(
        "entry_zero_length",
        "expected an encoded chunk, found an object of 0 bytes",
        key=key,
        hint="It was probably cut short as it was written. Write it anew; deleted, it reads as fill value.",
    )
