"""Moving chunks from files to files: inside the kernel, none of them in this process's memory.

Owns the local → local way alone. A file appears under its name when it is complete, so whatever stops this
leaves no broken shard.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from math import prod

import numpy as np

from zarr_shard_codec.core.grid import Coords
from zarr_shard_codec.core.plans import IndexRequest
from zarr_shard_codec.core.ranges import ByteRange
from zarr_shard_codec.errors import PackingError, ZarrShardError
from zarr_shard_codec.packing.report import Tally
from zarr_shard_codec.packing.transfer import Transfer, check_nbytes
from zarr_shard_codec.stores import files
from zarr_shard_codec.stores.copying import append_range
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.open_file import OpenFile


def pack_shard(source: LocalStore, target: LocalStore, transfer: Transfer, shard: Coords) -> Tally:
    """Make one shard of the source's chunk files; none, if none of them exists.

    Raises
    ------
    CorruptShardError
        `entry_zero_length`, `inner_chunk_wrong_size`: a chunk file is empty, or too large for any chunk.
    PackingError
        `source_changed`: a chunk file was written to meanwhile.
    StoreError
        `store_failure`.
    """
    tally = Tally(transfer.tick)
    plan, codec, grid = transfer.plan, transfer.codec, transfer.grid
    key = plan.target_key(shard)
    if key in transfer.there:
        tally.n_kept = 1
        tally.passed(grid.n_chunks_in(shard))
        tally.tell()
        return tally
    nbytes = np.zeros(prod(codec.chunks_per_shard), np.uint64)
    at_start = codec.index_location == "start"
    with ExitStack() as until_complete:
        descriptor = None
        for linear, coords in grid.chunks_in(shard):
            for at, chunk in zip(linear.tolist(), coords, strict=True):
                chunk_key = plan.source_key(chunk)
                opened = source.open_object(chunk_key)
                if opened is None:
                    tally.passed(1)
                    continue
                size = opened.nbytes
                try:
                    if descriptor is None:
                        descriptor = until_complete.enter_context(target.atomic_writer(key))
                        if at_start:
                            os.lseek(descriptor, codec.index_nbytes, os.SEEK_SET)
                    check_nbytes(size, transfer, chunk_key)
                    _append_whole(opened, descriptor, chunk_key)
                finally:
                    opened.close()
                nbytes[at] = size
                tally.moved(size)
        if descriptor is not None:
            if at_start:
                os.lseek(descriptor, 0, os.SEEK_SET)
            files.write_parts(descriptor, [transfer.index_of(nbytes)])
            tally.n_shards, tally.index_nbytes = 1, codec.index_nbytes
    tally.tell()
    return tally


def unpack_shard(source: LocalStore, target: LocalStore, transfer: Transfer, shard: Coords) -> Tally:
    """Make a file of each inner chunk of one shard, after which nothing stands that has to be undone.

    Raises
    ------
    CorruptShardError
        What is wrong with the shard's index, and its entries.
    PackingError
        `source_changed`.
    StoreError
        `store_failure`.
    """
    tally = Tally(transfer.tick)
    plan, codec, grid = transfer.plan, transfer.codec, transfer.grid
    key = plan.source_key(shard)
    opened = source.open_object(key)
    if opened is None:
        tally.passed(grid.n_chunks_in(shard))
        tally.tell()
        return tally
    try:
        request = IndexRequest(codec, None)
        index = request.index_of(opened.read([request.lies])[0])
        for chunk_key, lies in transfer.each_missing(shard, index, opened.nbytes, tally):
            with target.atomic_writer(chunk_key) as chunk_file:
                _append_range(opened, chunk_file, lies, key)
            tally.moved(lies.nbytes)
    except ZarrShardError as error:
        raise error.at(key=key) from error.__cause__
    finally:
        opened.close()
    tally.n_shards, tally.index_nbytes = 1, codec.index_nbytes
    tally.tell()
    return tally


def copy_object(source: LocalStore, target: LocalStore, transfer: Transfer, coords: Coords) -> Tally:
    """Copy one object as it is. Raises as `pack_shard`."""
    tally = Tally(transfer.tick)
    key, source_key = transfer.plan.target_key(coords), transfer.plan.source_key(coords)
    if key in transfer.there:
        tally.n_kept = 1
    elif (opened := source.open_object(source_key)) is not None:
        size = opened.nbytes
        try:
            check_nbytes(size, transfer, source_key)
            with target.atomic_writer(key) as copy:
                _append_whole(opened, copy, source_key)
        finally:
            opened.close()
        tally.n_chunks, tally.chunk_nbytes = 1, size
    tally.passed(1, tally.chunk_nbytes)
    tally.tell()
    return tally


def _append_whole(source: OpenFile, target: int, key: str) -> None:
    """Append all of one file to another. Raises as `pack_shard`."""
    # One byte more than there is: it comes only if the file has grown since its size was taken.
    done = append_range(source.descriptor, target, 0, source.nbytes + 1)
    if done != source.nbytes:
        raise _changed(
            key, f"it had {source.nbytes} bytes, now it has {'more' if done > source.nbytes else done}"
        )
    _check_version(source, key)


def _append_range(source: OpenFile, target: int, lies: ByteRange, key: str) -> None:
    """Append a range of one file to another. Raises `PackingError` if the file changed."""
    done = append_range(source.descriptor, target, lies.offset, lies.nbytes)
    _check_version(source, key)
    if done != lies.nbytes:
        raise _changed(key, f"of {lies.nbytes} bytes, {done} were there")


def _check_version(source: OpenFile, key: str) -> None:
    now = os.fstat(source.descriptor).st_size
    if now != source.nbytes:
        raise _changed(key, f"it had {source.nbytes} bytes, now it has {now}")
    if source.was_written_into():
        raise _changed(key, "bytes in it were overwritten")


def _changed(key: str, message: str) -> PackingError:
    return PackingError(
        "source_changed",
        f"the object changed while it was being read: {message}",
        key=key,
        hint="Nothing was made of it. Run the same command again when nobody writes to the source.",
    )
