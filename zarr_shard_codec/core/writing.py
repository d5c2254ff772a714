"""Writing a shard: what of the old one is kept, which chunks are encoded, and how the new one is laid out.

Owns what a write touches, and the plan that replaces the shard. What all plans share stands in `plans`;
writing into the shard that is there is `patching`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any, Final, Literal

import numpy as np

from zarr_shard_codec.core.fill import filled
from zarr_shard_codec.core.grid import ChunkOrder, Coords, to_linear, write_order
from zarr_shard_codec.core.index import EMPTY, ShardIndex
from zarr_shard_codec.core.jobs import Bounds, Encoded, EncodeJob, UpdateJob
from zarr_shard_codec.core.layout import lay_out
from zarr_shard_codec.core.pieces import (
    Part,
    Parts,
    Pieces,
    Placed,
    Segments,
    Stored,
    read_parts,
    sequence_of,
    splice,
)
from zarr_shard_codec.core.plans import (
    SIZE,
    IndexRequest,
    Plan,
    RangeTable,
    Shard,
    bounds_of,
    covers,
    cut_index,
    deleted,
)
from zarr_shard_codec.core.projection import linear_chunks, project
from zarr_shard_codec.core.ranges import Buffer, Whole
from zarr_shard_codec.core.selection import Box, view

_RUN_NBYTES: Final = 16 << 10
"""Bytes; where runs of chunks are shorter on average, one read of them all is faster than copies of runs."""

WriteStrategy = Literal["replace", "append", "in_place"]
"""How a shard is changed in part: by a new object (here), or by a patch of the old one (`patching`)."""


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
        Inner chunks that stay as they are encoded.
    fills_empty
        Whether the object has others, but none of those that the jobs encode.
    """

    jobs: Sequence[EncodeJob | UpdateJob]
    shard: Shard | None = None
    kept: Placed | None = None
    fills_empty: bool = False

    def run(self) -> list[Buffer] | None:
        """Run the jobs here and now; the parts of the object, or None if it is to be deleted."""
        parts = self.finish([job.run() for job in self.jobs])
        return None if parts is None else read_parts(parts)

    def finish(self, encoded: Sequence[Encoded]) -> list[Part] | None:
        """Join the jobs' results, in any order, to the parts of the object; None: it is to be deleted.

        An object is not written for fill values alone (decision ALL-EMPTY-SHARD).
        """
        if self.shard is None:
            return [part for _, parts in encoded for part in parts] or None
        pieces = [*encoded] if self.kept is None else [self.kept, *encoded]
        return shard_parts(self.shard, pieces) if any(len(linear) for linear, _ in pieces) else None

    def changes_nothing(self, encoded: Sequence[Encoded]) -> bool:
        """Whether the object already is what `finish` would make: what was empty stays empty."""
        return self.fills_empty and not any(len(linear) for linear, _ in encoded)

    def empty(self) -> list[Buffer]:
        """The parts of an object of nothing but fill value, where one can't be deleted."""
        if self.shard is not None:
            return [empty_shard(self.shard)]
        coder = self.jobs[0].coder
        return [*coder.encode_many(filled((1, *coder.spec.shape), coder.spec.fill_value))]


def shard_parts(shard: Shard, pieces: Sequence[Placed]) -> list[Part]:
    """Lay encoded inner chunks out as a shard: its parts, unjoined."""
    linear, nbytes, parts = splice(pieces, order_of(shard))
    at_start = shard.index_location == "start"
    first_offset = shard.index_nbytes if at_start else 0
    index = lay_out(linear, nbytes, shard.chunks_per_shard, first_offset=first_offset)
    encoded_index = shard.encode_index(index)
    return [encoded_index, *parts] if at_start else [*parts, encoded_index]


def order_of(shard: Shard) -> np.ndarray[Any, Any] | None:
    """All linear indices in the order in which inner chunks are written; None for ascending."""
    return _order(shard.chunk_order, shard.chunks_per_shard)


@lru_cache(maxsize=4)
def _order(chunk_order: ChunkOrder, counts: Coords) -> np.ndarray[Any, Any] | None:
    # Kept, as each write of a part asks for it, twice if the shard is large.
    if chunk_order == "lexicographic":
        return None
    order = write_order(chunk_order, counts)
    order.flags.writeable = False
    return order


def empty_shard(shard: Shard) -> Buffer:
    """A shard without inner chunks: its index, and nothing else."""
    return shard.encode_index(ShardIndex.empty(shard.chunks_per_shard))


def write_shard(shard: Shard, box: Box, value: np.ndarray[Any, Any], bounds: Bounds) -> Plan[Update]:
    """Plan to set part of a shard: read, splice, and say what the new object is made of.

    Nothing is read if the box covers all that lies inside the bounds. Otherwise inner chunks outside the box
    are kept as they are encoded, never decoded: of a small object, which is read whole; of a large one that
    can be held open not even read.

    Raises
    ------
    CorruptShardError
        As `read_shard`, for every inner chunk that is kept or changed in part. Nothing is written then.
    """
    touched = Touched.by(shard, box, value, bounds)
    if covers(box, bounds):
        return touched.in_place_of(None)
    sane_nbytes = shard.max_encoded_nbytes
    answer = yield [Whole(sane_nbytes + 1, or_in_parts=True)]
    if answer is None:
        return touched.in_place_of(None)
    (old,) = answer
    if old is None or len(old) > sane_nbytes:
        return (yield from _keep_in_pieces(touched))
    return touched.in_place_of(old)


def _keep_in_pieces(touched: Touched) -> Plan[Update]:
    """Find what stays of a large object, with or without unused bytes, perhaps larger than memory."""
    shard = touched.shard
    request = IndexRequest(shard, None)
    answer = yield [request, SIZE]
    if answer is None:
        raise deleted()
    shard_nbytes = answer[1]
    index = request.index_of(answer[0])
    needed, table, changed = touched.needed(index, shard_nbytes)
    in_part, whole = table[changed], table[~changed]
    sane_nbytes = shard.max_encoded_nbytes
    is_sane = shard_nbytes is not None and shard_nbytes <= sane_nbytes
    if is_sane and not _lie_in_runs(shard, needed[~changed], whole):
        answer = yield [Whole(sane_nbytes + 1)]
        if answer is None:
            raise deleted()
        return touched.in_place_of(answer[0])
    asked = [RangeTable(in_part)] if len(in_part) else []
    if len(whole):
        asked.append(RangeTable(whole, unseen=True))
    found = (yield [*asked]) if asked else []
    if found is None or any(_is_short(pieces, one.table) for pieces, one in zip(found, asked, strict=True)):
        raise deleted()
    kept: Pieces | Stored = found[-1] if len(whole) else Parts([])
    former = found[0] if len(in_part) else Parts([])
    if isinstance(former, Stored):
        former = former.take(np.arange(len(former)))
    return touched.update(
        dict(zip(needed[changed].tolist(), former, strict=True)), index, (needed[~changed], kept)
    )


def _lie_in_runs(
    shard: Shard, linear: np.ndarray[Any, Any], table: np.ndarray[Any, np.dtype[np.uint64]]
) -> bool:
    """Whether chunks lie so much in the order of a new shard that few copies bring them there."""
    if not len(table):
        return True
    lies = table[sequence_of(linear, order_of(shard))]
    n_runs = 1 + np.count_nonzero(lies[1:, 0] != lies[:-1].sum(axis=1))
    return bool(lies[:, 1].sum() >= n_runs * _RUN_NBYTES)


def _is_short(pieces: Pieces | Stored, table: np.ndarray[Any, np.dtype[np.uint64]]) -> bool:
    return not isinstance(pieces, Stored) and bool((pieces.sizes() != table[:, 1]).any())


@dataclass(frozen=True, slots=True)
class Touched:
    """The inner chunks that a box touches: some of them as a whole, the others in part.

    Attributes
    ----------
    shard
        The sharding codec.
    wholes
        Chunks to encode of which nothing old stays.
    parts
        Chunks of which a part is set; each `old` is still to be found.
    renewed
        One element a part: whether it is all of the chunk that lies inside the array.
    """

    shard: Shard
    wholes: Sequence[EncodeJob]
    parts: Sequence[UpdateJob]
    renewed: np.ndarray[Any, np.dtype[np.bool_]]

    @classmethod
    def by(cls, shard: Shard, box: Box, value: np.ndarray[Any, Any], bounds: Bounds) -> Touched:
        """Find them; parameters as of `write_shard`."""
        inner_shape, counts = shard.inner.spec.shape, shard.chunks_per_shard
        axes = project(box, inner_shape)
        if value.shape == inner_shape and all(len(axis.chunks) == 1 for axis in axes):
            # One inner chunk, all of it: as below, without the arrays that many are worth.
            place = to_linear([axis.coords()[0] for axis in axes], counts)
            whole = EncodeJob(shard.inner, value, np.full((1,) * len(axes), place, np.int64))
            return cls(shard, [whole], [], np.empty(0, np.bool_))
        linear = linear_chunks(axes, counts).reshape([len(axis.chunks) for axis in axes])
        wholes: list[EncodeJob] = []
        in_part: list[Coords] = []
        for block in product(*(axis.runs for axis in axes)):
            if covers(tuple(run.within for run in block), inner_shape):
                chunks = view(linear, (run.positions for run in block))
                wholes.append(EncodeJob(shard.inner, view(value, (run.landing for run in block)), chunks))
            else:
                touched = (axis.coords()[run.positions] for axis, run in zip(axes, block, strict=True))
                in_part += product(*touched)
        parts: list[UpdateJob] = []
        for coords in in_part:
            pairs = [axis.part(at) for axis, at in zip(axes, coords, strict=True)]
            part_box = tuple(wanted for wanted, _ in pairs)
            part = view(value, (land for _, land in pairs))
            limit, place = bounds_of(coords, inner_shape, bounds), to_linear(coords, counts)
            parts.append(UpdateJob(shard.inner, None, part_box, part, limit, place, coords))
        renewed = [covers(part.box, part.bounds) for part in parts]
        return cls(shard, wholes, parts, np.array(renewed, np.bool_))

    @property
    def places(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Linear indices of all of them."""
        return np.concatenate([*(job.linear.reshape(-1) for job in self.wholes), self._part_places])

    @property
    def _part_places(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.array([part.linear for part in self.parts], np.int64)

    def needed(
        self, index: ShardIndex, shard_nbytes: int | None
    ) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, np.dtype[np.bool_]]]:
        """Which chunks of an old shard are still needed.

        Returns
        -------
        tuple
            Their linear indices; their offsets and sizes in bytes, checked; and which of them change in part
            (the others stay as they are encoded).

        Raises
        ------
        CorruptShardError
            As `ShardIndex.lookup`.
        """
        parts = self._part_places
        stays = (index.entries != EMPTY).any(axis=1)
        for job in self.wholes:
            stays[job.linear] = False
        stays[parts[self.renewed]] = False
        needed = np.flatnonzero(stays)
        # The limit is more than tidiness: ranges that overlap would be copied once for each chunk.
        limit = self.shard.inner.max_encoded_nbytes
        _, table = index.lookup(needed, shard_nbytes=shard_nbytes, largest_nbytes=limit)
        changed = np.zeros(len(stays), np.bool_)
        changed[parts] = True
        return needed, table, changed[needed]

    def jobs(self, former: Mapping[int, Buffer]) -> list[EncodeJob | UpdateJob]:
        """What is to be encoded, given the old bytes of the chunks that change in part."""
        return [*self.wholes, *(replace(part, old=former.get(part.linear)) for part in self.parts)]

    def in_place_of(self, old: Buffer | None) -> Update:
        """Make a new object, which keeps what is not touched of the old one, if there is one."""
        if old is None:
            return Update(self.jobs({}), self.shard)
        index = cut_index(self.shard, old)
        needed, table, changed = self.needed(index, len(old))
        former = dict(zip(needed[changed].tolist(), Segments(old, table[changed]), strict=True))
        return self.update(former, index, (needed[~changed], Segments(old, table[~changed])))

    def update(self, former: Mapping[int, Buffer], index: ShardIndex, kept: Placed) -> Update:
        """Make a new object of what is encoded and what is kept.

        Parameters
        ----------
        former
            As of `jobs`.
        index
            Of the old object.
        kept
            Its chunks that are not touched.
        """
        others = len(kept[0]) > 0 and not (index.entries[self.places] != EMPTY).any()
        return Update(self.jobs(former), self.shard, kept, fills_empty=others)
