"""Whether every chunk's bytes in the target are those in the source.

Owns the comparison. Nothing is decoded, and nothing is taken from what was known while moving: shard indexes
are read anew, through the codec.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from zarr_shard_codec.core.grid import Coords, each_coords, grid_counts, to_coords
from zarr_shard_codec.core.ranges import WHOLE, Buffer, ByteRange
from zarr_shard_codec.engine.run import ahead, pool_for
from zarr_shard_codec.errors import CorruptShardError
from zarr_shard_codec.packing.report import Difference, Tally
from zarr_shard_codec.packing.transfer import BATCH_NBYTES, Transfer, open_shard, read_each


def compare_array(transfer: Transfer) -> Iterator[Difference]:
    """Find all differences of one array; what cannot be read in the target is one of them."""
    if transfer.plan.action == "copy":
        counts = grid_counts(transfer.plan.source.shape, transfer.plan.source.chunk_shape)
        objects = each_coords(counts)
        compare = lambda coords: _compare_copy(transfer, coords)  # noqa: E731
    else:
        objects = transfer.grid.each_shard()
        compare = lambda coords: _compare_shard(transfer, coords)  # noqa: E731
    for found in ahead(compare, objects, pool_for(transfer.source)):
        yield from found


def _compare_shard(transfer: Transfer, shard: Coords) -> list[Difference]:
    tally = Tally(transfer.tick)
    found: list[Difference] = []
    packing = transfer.plan.action == "pack"
    key = transfer.plan.target_key(shard) if packing else transfer.plan.source_key(shard)
    try:
        found.extend(_differences(transfer, shard, key, tally))
    except CorruptShardError as error:
        if not packing:
            raise error.at(key=key) from error.__cause__
        message = f"the shard cannot be read: {error.message} [{error.reason}]"
        found.append(Difference(None, key, error.inner_chunk, message))
    tally.tell()
    return found


def _differences(transfer: Transfer, shard: Coords, key: str, tally: Tally) -> Iterator[Difference]:
    plan, packing = transfer.plan, transfer.plan.action == "pack"
    shards, chunks = (transfer.target, transfer.source) if packing else (transfer.source, transfer.target)
    with open_shard(shards, key, transfer.chain, transfer.codec) as opened:
        for linear, coords in transfer.grid.chunks_in(shard):
            ranges: list[ByteRange | None] = [None] * len(coords)
            in_shard: Iterator[Buffer] = iter(())
            if opened is not None:
                ranges = transfer.ranges_of(opened.index, linear, opened.nbytes)
                in_shard = read_each(opened, [lies for lies in ranges if lies is not None])
            for at, chunk, lies in zip(linear.tolist(), coords, ranges, strict=True):
                encoded = None if lies is None else next(in_shard)
                chunk_key = plan.source_key(chunk) if packing else plan.target_key(chunk)
                answer = chunks.read(chunk_key, [WHOLE])
                single = None if answer is None else answer[0]
                before, after = (single, encoded) if packing else (encoded, single)
                message = _difference(before, after)
                if message is not None:
                    keys = (chunk_key, key) if packing else (key, chunk_key)
                    yield Difference(*keys, to_coords(at, transfer.codec.chunks_per_shard), message)
                tally.passed(1, 0 if before is None else len(before))


def _compare_copy(transfer: Transfer, coords: Coords) -> list[Difference]:
    keys = transfer.plan.source_key(coords), transfer.plan.target_key(coords)
    tally = Tally(transfer.tick)
    found: list[Difference] = []
    offset = 0
    while True:
        piece = [ByteRange(offset, BATCH_NBYTES)]
        before, after = transfer.source.read(keys[0], piece), transfer.target.read(keys[1], piece)
        message = _difference(before[0] if before else None, after[0] if after else None, offset)
        if message is not None:
            found.append(Difference(*keys, None, message))
        nbytes = 0 if before is None else len(before[0])
        offset += nbytes
        last = message is not None or nbytes < BATCH_NBYTES
        tally.passed(1 if last else 0, nbytes)
        if last:
            break
    tally.tell()
    return found


def _difference(before: Buffer | None, after: Buffer | None, offset: int = 0) -> str | None:
    """What differs between source and target, in words; None if nothing does."""
    if before is None or after is None:
        if before is None and after is None:
            return None
        words = "the source has no such chunk", "the target has"
        if after is None:
            words = "the target has no such chunk", "the source has"
        return f"{words[0]}, {words[1]} {len(before or after or b'')} bytes of it"
    if len(before) != len(after):
        of_source, of_target = (
            f"{offset + len(piece)} bytes{' or more' if len(piece) >= BATCH_NBYTES else ''}"
            for piece in (before, after)
        )
        return f"the source has {of_source}, the target {of_target}"
    differs = np.flatnonzero(np.frombuffer(before, np.uint8) != np.frombuffer(after, np.uint8))
    if len(differs):
        at = int(differs[0])
        return f"other bytes, from byte {offset + at} of {offset + len(before)} on"
    return None
