"""Writing into a shard that is there: behind its end, or over inner chunks where they stand.

Owns the plans of the strategies `append` and `in_place`, and when a shard can't be written so and is replaced
instead. Who writes the bytes, and what happens if only some of them arrive, is the store's business.

Append: old bytes stay as they are, the old index included. A file cut off anywhere within what was appended
still has all of the old shard, and whoever holds the file open at its old size still reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from zarr_shard_codec.core.fill import filled
from zarr_shard_codec.core.index import EMPTY, ShardIndex
from zarr_shard_codec.core.jobs import Bounds, Encoded, EncodeJob, UpdateJob
from zarr_shard_codec.core.pieces import read_parts, splice
from zarr_shard_codec.core.plans import SIZE, IndexRequest, Plan, Shard, covers, deleted
from zarr_shard_codec.core.ranges import WHOLE, Buffer, ByteRange
from zarr_shard_codec.core.selection import Box
from zarr_shard_codec.core.writing import Touched, Update, order_of
from zarr_shard_codec.errors import CorruptShardError

PatchStrategy = Literal["append", "in_place"]
"""How bytes get into a shard that is there."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes to write into an object.

    Attributes
    ----------
    nbytes
        The object's size until now.
    writes
        Where, in bytes, and what: buffers one behind the other. Either one write at the object's end, or
        some within it. None at all: the object already is what it is to be.
    """

    nbytes: int
    writes: Sequence[tuple[int, Sequence[Buffer]]]


@dataclass(frozen=True, slots=True)
class Append:
    """What is left of an append once all bytes are read. As `Update`, but it makes a patch.

    Attributes
    ----------
    jobs
        Chunks to encode.
    shard
        The sharding codec.
    index
        Of the shard until now.
    touched
        Linear indices of the chunks that the jobs encode.
    nbytes
        Size of the shard until now, in bytes.
    """

    jobs: Sequence[EncodeJob | UpdateJob]
    shard: Shard
    index: ShardIndex
    touched: np.ndarray[Any, np.dtype[np.int64]]
    nbytes: int

    def finish(self, encoded: Sequence[Encoded]) -> Patch | None:
        """Lay the jobs' results, in any order, out behind the shard; None: the shard is to be deleted."""
        counts = self.shard.chunks_per_shard
        entries = self.index.entries.copy()
        entries[self.touched] = EMPTY
        buffers: list[Buffer] = []
        if any(len(linear) for linear, _ in encoded):
            linear, nbytes, parts = splice(encoded, order_of(self.shard))
            buffers = read_parts(parts)
            ends = self.nbytes + np.cumsum(nbytes, dtype=np.uint64)
            entries[linear, 0], entries[linear, 1] = ends - nbytes, nbytes
        elif (entries == EMPTY).all():
            return None
        elif (entries == self.index.entries).all():
            return Patch(self.nbytes, [])
        encoded_index = self.shard.encode_index(ShardIndex(entries, counts))
        return Patch(self.nbytes, [(self.nbytes, [*buffers, encoded_index])])


@dataclass(frozen=True, slots=True)
class Overwrite:
    """What is left of a write in place once all bytes are read. As `Update`, but it makes a patch.

    Attributes
    ----------
    jobs
        Chunks to encode.
    shard
        The sharding codec.
    slots
        Where each chunk that the jobs encode stands, by its linear index.
    nbytes
        Size of the shard, in bytes.
    """

    jobs: Sequence[EncodeJob | UpdateJob]
    shard: Shard
    slots: dict[int, ByteRange]
    nbytes: int

    def finish(self, encoded: Sequence[Encoded]) -> Patch:
        """Put the jobs' results where the chunks stand, those that became all fill value too."""
        chunks = {
            at: chunk for linear, pieces in encoded for at, chunk in zip(linear.tolist(), pieces, strict=True)
        }
        inner = self.shard.inner
        if len(chunks) < len(self.slots):
            (empty,) = inner.encode_many(filled((1, *inner.spec.shape), inner.spec.fill_value))
            chunks = dict.fromkeys(self.slots, empty) | chunks
        writes: list[tuple[int, list[Buffer]]] = []
        end = -1
        for at, slot in sorted(self.slots.items(), key=lambda item: item[1].offset):
            if len(chunks[at]) != slot.nbytes:
                message = (
                    f"its codecs said {slot.nbytes} bytes and made {len(chunks[at])}; nothing is written"
                )
                raise CorruptShardError("inner_chunk_wrong_size", message)
            if slot.offset == end:
                writes[-1][1].append(chunks[at])
            else:
                writes.append((slot.offset, [chunks[at]]))
            end = slot.offset + slot.nbytes
        return Patch(self.nbytes, writes)


def patch_shard(
    shard: Shard,
    box: Box,
    value: np.ndarray[Any, Any],
    bounds: Bounds,
    strategy: PatchStrategy,
) -> Plan[Update | Append | Overwrite]:
    """Plan to set part of a shard by writing into it; parameters otherwise as of `writing.write_shard`.

    The index is read, and then the inner chunks that change in part: nothing else. A shard that does not
    exist, or that the box covers, is made anew without being read; so is, from all of it, one in which a
    chunk has no place of its own to be overwritten in.

    Raises
    ------
    CorruptShardError
        As `write_shard`. Entries of chunks that stay are checked too: one that pointed behind the shard's
        end would point into what is appended.
    """
    touched = Touched.by(shard, box, value, bounds)
    if covers(box, bounds):
        return touched.in_place_of(None)
    request = IndexRequest(shard, None)
    answer = yield [request, SIZE]
    if answer is None:
        return touched.in_place_of(None)
    index, nbytes = request.index_of(answer[0]), answer[1]
    asked: dict[int, ByteRange] = {}
    if touched.parts or not index.is_sound(nbytes, shard.inner.max_encoded_nbytes):
        needed, table, changed = touched.needed(index, nbytes)
        asked = {
            at: ByteRange(*lies)
            for at, lies in zip(needed[changed].tolist(), table[changed].tolist(), strict=True)
        }
    slots = _slots(shard, index, touched.places, nbytes) if strategy == "in_place" else {}
    if slots is None:
        answer = yield [WHOLE]
        return touched.in_place_of(None if answer is None else answer[0])
    former: dict[int, Buffer] = {}
    if asked:
        answer = yield [*asked.values()]
        if answer is None or [len(got) for got in answer] != [lies.nbytes for lies in asked.values()]:
            raise deleted()
        former = dict(zip(asked, answer, strict=True))
    if strategy == "in_place":
        return Overwrite(touched.jobs(former), shard, slots, nbytes)
    return Append(touched.jobs(former), shard, index, touched.places, nbytes)


def _slots(
    shard: Shard, index: ShardIndex, places: np.ndarray[Any, np.dtype[np.int64]], shard_nbytes: int
) -> dict[int, ByteRange] | None:
    """Where chunks stand, if each has bytes of the right number to itself; else None."""
    targets = index.entries[places]
    size = shard.inner.encoded_nbytes
    if size is None or size > shard_nbytes or (targets[:, 1] != size).any():
        return None
    if (targets[:, 0] > np.uint64(shard_nbytes - size)).any():
        return None
    # The specification lets chunks share bytes with each other and with the index (SHARED-RANGES).
    start = 0 if shard.index_location == "start" else shard_nbytes - shard.index_nbytes
    if len(places) == 1:  # as below, without sorting
        (low,) = targets[:, 0].tolist()
        begin, nbytes = index.entries[:, 0], index.entries[:, 1]
        others = (begin < np.uint64(low + size)) & (begin + nbytes > np.uint64(low))
        if np.count_nonzero(others) > 1 or (low < start + shard.index_nbytes and start < low + size):
            return None
        return {int(places[0]): ByteRange(low, size)}
    table = np.append(index.entries[index.present], [[start, shard.index_nbytes]], axis=0).astype(np.uint64)
    order = np.argsort(table[:, 0], kind="stable")
    starts, ends = table[order, 0], table[order].sum(axis=1)
    shares = np.zeros(len(table), np.bool_)
    shares[1:] |= starts[1:] < np.maximum.accumulate(ends)[:-1]
    shares[:-1] |= starts[1:] < ends[:-1]
    if shares.any() and np.isin(targets[:, 0], starts[shares]).any():
        return None
    lies = (ByteRange(offset, nbytes) for offset, nbytes in targets.tolist())
    return dict(zip(places.tolist(), lies, strict=True))
