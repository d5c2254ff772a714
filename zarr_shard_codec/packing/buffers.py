"""Moving chunks between any two stores, by way of memory.

Owns how much of it: the chunks of the shards that are being put together and written, a few at once, or a few
MiB of a shard that is being taken apart; of what is copied as it is, whole objects, two a core. Requests to a
network wait side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import Final

import numpy as np

from zarr_shard_codec.core.grid import Coords
from zarr_shard_codec.core.ranges import WHOLE, Buffer
from zarr_shard_codec.engine.run import ahead, pool_for
from zarr_shard_codec.packing.report import Tally
from zarr_shard_codec.packing.transfer import Transfer, check_nbytes, open_shard, read_each

_REQUESTS: Final = 32
"""Chunks asked for, or written, at once."""
_SHARDS: Final = 2
"""Shards that are being written at once, beside the one that is being put together."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A chunk on its way: its shard, its place in that, its bytes if it exists."""

    shard: Coords
    linear: int
    key: str
    encoded: Buffer | None


def pack_shards(transfer: Transfer) -> Iterator[Tally]:
    """Make all shards of the array that have a chunk; a tally for each.

    Raises
    ------
    CorruptShardError
        `entry_zero_length`, `inner_chunk_wrong_size`: a chunk has no bytes, or more than any has.
    StoreError
        `store_failure`.
    """
    plan, grid, kept = transfer.plan, transfer.grid, Tally(transfer.tick)

    def chunks() -> Iterator[_Chunk]:
        for shard in grid.each_shard():
            if plan.target_key(shard) in transfer.there:
                kept.n_kept += 1
                kept.passed(grid.n_chunks_in(shard))
                continue
            for linear, coords in grid.chunks_in(shard):
                for at, chunk in zip(linear.tolist(), coords, strict=True):
                    yield _Chunk(shard, at, plan.source_key(chunk), None)

    def read(chunk: _Chunk) -> _Chunk:
        found = transfer.source.read(chunk.key, [transfer.codec.inner.whole])
        if found is not None:
            check_nbytes(len(found[0]), transfer, chunk.key)
        return _Chunk(chunk.shard, chunk.linear, chunk.key, None if found is None else found[0])

    def write(gathered: tuple[Coords, list[_Chunk]]) -> Tally:
        return _write_shard(transfer, *gathered)

    read_ahead = ahead(read, chunks(), pool_for(transfer.source), depth=_REQUESTS)
    gathered = ((shard, list(some)) for shard, some in groupby(read_ahead, lambda chunk: chunk.shard))
    yield from ahead(write, gathered, pool_for(transfer.target), depth=_SHARDS)
    kept.tell()
    yield kept


def _write_shard(transfer: Transfer, shard: Coords, chunks: list[_Chunk]) -> Tally:
    tally = Tally(transfer.tick)
    codec = transfer.codec
    nbytes = np.zeros(prod(codec.chunks_per_shard), np.uint64)
    parts: list[Buffer] = []
    for chunk in chunks:
        if chunk.encoded is None:
            tally.passed(1)
        else:
            nbytes[chunk.linear] = len(chunk.encoded)
            parts.append(chunk.encoded)
            tally.moved(len(chunk.encoded))
    if parts:
        index = transfer.index_of(nbytes)
        parts.insert(0 if codec.index_location == "start" else len(parts), index)
        transfer.target.write(transfer.plan.target_key(shard), parts)
        tally.n_shards, tally.index_nbytes = 1, codec.index_nbytes
    tally.tell()
    return tally


def unpack_shards(transfer: Transfer) -> Iterator[Tally]:
    """Make an object of each inner chunk of the array; a tally for each, and some.

    Raises
    ------
    CorruptShardError
        What is wrong with a shard's index, and its entries.
    PackingError
        `source_changed`.
    StoreError
        `store_failure`.
    """
    tally = Tally(transfer.tick)

    def write(item: tuple[str, Buffer]) -> int:
        key, encoded = item
        transfer.target.write(key, [encoded])
        return len(encoded)

    inner_chunks = (
        item for shard in transfer.grid.each_shard() for item in _inner_chunks(transfer, shard, tally)
    )
    for nbytes in ahead(write, inner_chunks, pool_for(transfer.target), depth=_REQUESTS):
        tally.moved(nbytes)
    tally.tell()
    yield tally


def _inner_chunks(transfer: Transfer, shard: Coords, tally: Tally) -> Iterator[tuple[str, Buffer]]:
    """Key in the target and bytes of each inner chunk of a shard that is still to be written."""
    key = transfer.plan.source_key(shard)
    with open_shard(transfer.source, key, transfer.chain, transfer.codec) as opened:
        if opened is None:
            tally.passed(transfer.grid.n_chunks_in(shard))
            return
        missing = list(transfer.each_missing(shard, opened.index, opened.nbytes, tally))
        encoded = read_each(opened, [lies for _, lies in missing])
        yield from zip([chunk_key for chunk_key, _ in missing], encoded, strict=True)
    tally.n_shards += 1
    tally.index_nbytes += transfer.codec.index_nbytes


def copy_object(transfer: Transfer, coords: Coords) -> Tally:
    """Copy one object as it is. Raises as `pack_shards`."""
    tally = Tally(transfer.tick)
    key, source_key = transfer.plan.target_key(coords), transfer.plan.source_key(coords)
    if key in transfer.there:
        tally.n_kept = 1
    elif (found := transfer.source.read(source_key, [WHOLE])) is not None:
        check_nbytes(len(found[0]), transfer, source_key)
        transfer.target.write(key, found)
        tally.n_chunks, tally.chunk_nbytes = 1, len(found[0])
    tally.passed(1, tally.chunk_nbytes)
    tally.tell()
    return tally
