"""Writing a shard: what of the old one is kept, which chunks are encoded, and how the new one is laid out.

Owns the plans that write. What all plans share stands in `plans`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np

from zarr_shard_codec.core.grid import to_linear, write_order
from zarr_shard_codec.core.jobs import Bounds, Encoded, EncodeJob, UpdateJob
from zarr_shard_codec.core.layout import lay_out
from zarr_shard_codec.core.pieces import Segments, splice
from zarr_shard_codec.core.plans import Plan, Shard, bounds_of, covers, cut_index
from zarr_shard_codec.core.ranges import WHOLE, Buffer
from zarr_shard_codec.core.selection import Box, linear_chunks, project, view

WriteStrategy = Literal["replace", "append", "in_place"]
"""How a shard is changed in part: see `write_shard`."""


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
    """

    jobs: Sequence[EncodeJob | UpdateJob]
    shard: Shard | None = None
    kept: Encoded | None = None

    def run(self) -> list[Buffer] | None:
        """Run the jobs here and now; the parts of the object, or None if it is to be deleted."""
        return self.finish([job.run() for job in self.jobs])

    def finish(self, encoded: Sequence[Encoded]) -> list[Buffer] | None:
        """Join the jobs' results, in any order, to the parts of the object; None: it is to be deleted.

        An object is not written for fill values alone (decision ALL-EMPTY-SHARD).
        """
        if self.shard is None:
            return [part for _, parts in encoded for part in parts] or None
        pieces = [*encoded] if self.kept is None else [self.kept, *encoded]
        return shard_parts(self.shard, pieces) if any(len(linear) for linear, _ in pieces) else None


def shard_parts(shard: Shard, pieces: Sequence[Encoded]) -> list[Buffer]:
    """Lay encoded inner chunks out as a shard: its parts, unjoined."""
    lexicographic = shard.chunk_order == "lexicographic"
    order = None if lexicographic else write_order(shard.chunk_order, shard.chunks_per_shard)
    linear, nbytes, buffers = splice(pieces, order)
    at_start = shard.index_location == "start"
    first_offset = shard.index_nbytes if at_start else 0
    index = lay_out(linear, nbytes, shard.chunks_per_shard, first_offset=first_offset)
    encoded_index = shard.encode_index(index)
    return [encoded_index, *buffers] if at_start else [*buffers, encoded_index]


def write_shard(shard: Shard, box: Box, value: np.ndarray[Any, Any], bounds: Bounds) -> Plan[Update]:
    """Plan to set part of a shard: read, splice, and say what the new object is made of.

    Nothing is read if the box covers all that lies inside the bounds. Otherwise the whole object is read
    once; inner chunks outside the box are kept as they are encoded, never decoded.

    Raises
    ------
    CorruptShardError
        As `read_shard`, for every inner chunk that is kept or changed in part. Nothing is written then.
    """
    inner_shape, counts = shard.inner.spec.shape, shard.chunks_per_shard
    axes = project(box, inner_shape)
    linear = linear_chunks(axes, counts).reshape([len(axis.chunks) for axis in axes])
    jobs: list[EncodeJob] = []
    in_part: list[tuple[int, ...]] = []
    for block in product(*(axis.runs() for axis in axes)):
        if covers(tuple(run.within for run in block), inner_shape):
            chunks = view(linear, (run.positions for run in block))
            jobs.append(EncodeJob(shard.inner, view(value, (run.landing for run in block)), chunks))
        else:
            touched = (axis.coords()[run.positions] for axis, run in zip(axes, block, strict=True))
            in_part += product(*touched)

    old: Buffer | None = None
    if not covers(box, bounds):
        answer = yield [WHOLE]
        old = None if answer is None else answer[0]
    parts = [[axis.part(at) for axis, at in zip(axes, coords, strict=True)] for coords in in_part]
    boxes = [tuple(wanted for wanted, _ in part) for part in parts]
    limits = [bounds_of(coords, inner_shape, bounds) for coords in in_part]
    places = [to_linear(coords, counts) for coords in in_part]
    renewed = [covers(part, limit) for part, limit in zip(boxes, limits, strict=True)]
    former: dict[int, Buffer] = {}
    kept: Encoded | None = None
    if old is not None:
        gone = [job.linear.reshape(-1) for job in jobs]
        gone.append(np.array(places, np.int64)[np.array(renewed, np.bool_)])
        index = cut_index(shard, old)
        needed = np.setdiff1d(index.present, np.concatenate(gone))
        # The limit is more than tidiness: ranges that overlap would be copied once for each chunk.
        limit = shard.inner.max_encoded_nbytes
        _, table = index.lookup(needed, shard_nbytes=len(old), largest_nbytes=limit)
        changed = np.isin(needed, places)
        former = dict(zip(needed[changed].tolist(), Segments(old, table[changed]), strict=True))
        kept = needed[~changed], Segments(old, table[~changed])
    updates = [
        UpdateJob(
            shard.inner,
            former.get(place),
            part_box,
            view(value, (land for _, land in part)),
            limit,
            place,
            coords,
        )
        for place, coords, part, part_box, limit in zip(places, in_part, parts, boxes, limits, strict=True)
    ]
    return Update([*jobs, *updates], shard, kept)
