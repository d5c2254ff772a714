"""What an array has stored, in numbers, from a listing and the shards' indexes alone.

Owns the report. Chunk data is never read, except where a codec stands after the shard: then the index can
only be had with the shard. What is wrong is verified in `health`; here it is counted when it is met.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import prod
from typing import Final

import numpy as np

from zarr_shard_codec.array.array import ShardedArray
from zarr_shard_codec.array.health import examine_shard, open_index
from zarr_shard_codec.array.inventory import GridObject, take_inventory
from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core.findings import Finding, StoredShard, findings_of
from zarr_shard_codec.core.grid import grid_counts
from zarr_shard_codec.core.plans import hold
from zarr_shard_codec.core.protocols import JSON
from zarr_shard_codec.core.ranges import ByteRange
from zarr_shard_codec.core.summary import OrderTally, ShardSummary, SizeTally, summarise
from zarr_shard_codec.engine.conversations import converse
from zarr_shard_codec.engine.run import ahead, pool_for
from zarr_shard_codec.errors import ZarrShardError

_SHOWN_ERRORS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayInspection:
    """What an array has stored. For an array without shards, its chunks are counted as inner chunks.

    Attributes
    ----------
    shards_present, shards_possible
        Stored objects in the array's grid, and places in it.
    inner_chunks_present, inner_chunks_possible
        Entries that are not empty (broken ones are not counted), and inner chunks that the shape has.
    chunk_nbytes
        Encoded sizes of inner chunks in bytes: smallest, median, largest; None if there are none.
    encoded_nbytes, decoded_nbytes
        All present inner chunks as they are stored, and as they are in memory, in bytes.
    stored_nbytes
        All objects, in bytes.
    index_nbytes, unused_nbytes, shared_nbytes
        Bytes of indexes; of gaps; bytes counted again by every further inner chunk that lies in them.
    write_order
        `lexicographic`, `morton`, `reverse`, `mixed`, `other`, `single`; None without shards.
    n_errors
        Errors met while the indexes were read.
    errors
        The first of them.
    """

    array: ShardedArray
    shards_present: int
    shards_possible: int
    inner_chunks_present: int
    inner_chunks_possible: int
    chunk_nbytes: tuple[int, int, int] | None
    encoded_nbytes: int
    decoded_nbytes: int
    stored_nbytes: int
    index_nbytes: int
    unused_nbytes: int
    shared_nbytes: int
    write_order: str | None
    n_errors: int
    errors: tuple[Finding, ...]

    @property
    def compression_ratio(self) -> float | None:
        """Decoded bytes for each encoded one; None if nothing is stored."""
        return self.decoded_nbytes / self.encoded_nbytes if self.encoded_nbytes else None

    def to_json(self) -> dict[str, JSON]:
        """The report as `--json` output shows it; sizes in bytes."""
        array, codec = self.array, self.array.codec
        sizes = (
            None
            if self.chunk_nbytes is None
            else dict(zip(("min", "median", "max"), self.chunk_nbytes, strict=True))
        )
        return {
            "path": array.path,
            "zarr_format": array.metadata.zarr_format,
            "shape": list(array.shape),
            "dtype": str(array.dtype),
            "codecs": array.chain.to_metadata(),
            "shard_shape": None if codec is None else list(array.shard_shape),
            "inner_chunk_shape": list(array.inner_chunk_shape),
            "index_location": None if codec is None else codec.index_location,
            "shards": None
            if codec is None
            else {"present": self.shards_present, "possible": self.shards_possible},
            "inner_chunks": {"present": self.inner_chunks_present, "possible": self.inner_chunks_possible},
            "inner_chunk_nbytes": sizes,
            "encoded_nbytes": self.encoded_nbytes,
            "decoded_nbytes": self.decoded_nbytes,
            "compression_ratio": self.compression_ratio,
            "stored_nbytes": self.stored_nbytes,
            "index_nbytes": self.index_nbytes,
            "unused_nbytes": self.unused_nbytes,
            "shared_nbytes": self.shared_nbytes,
            "write_order": self.write_order,
            "errors": self.n_errors,
            "findings": [finding.to_json() for finding in self.errors],
        }


def inspect_array(array: ShardedArray) -> ArrayInspection:
    """Read the index of every shard, and count."""
    inventory = take_inventory(array)
    codec = array.codec
    sizes, order = SizeTally(), OrderTally()
    index_nbytes = unused = shared = n_errors = n_chunks = encoded = 0
    errors: list[Finding] = []
    if codec is None:
        plain = np.array([stored.nbytes for stored in inventory.objects], np.uint64)
        sizes.add(plain)
        n_chunks, encoded = len(plain), inventory.nbytes
    else:
        look = partial(_summarise, array)
        for summary, first_errors, more in ahead(look, inventory.objects, pool_for(array.store)):
            n_errors += len(first_errors) + more
            errors += first_errors[: _SHOWN_ERRORS - len(errors)]
            if summary is not None:
                sizes.add(summary.chunk_nbytes)
                order.add(summary)
                n_chunks += len(summary.chunk_nbytes)
                encoded += int(summary.chunk_nbytes.sum())
                index_nbytes += codec.index_nbytes
                unused += summary.usage.unused_nbytes
                shared += summary.usage.shared_nbytes
    return ArrayInspection(
        array=array,
        shards_present=len(inventory.objects),
        shards_possible=prod(grid_counts(array.shape, array.shard_shape)),
        inner_chunks_present=n_chunks,
        inner_chunks_possible=prod(grid_counts(array.shape, array.inner_chunk_shape)),
        chunk_nbytes=sizes.result(),
        encoded_nbytes=encoded,
        decoded_nbytes=n_chunks * prod(array.inner_chunk_shape) * array.dtype.itemsize,
        stored_nbytes=inventory.nbytes,
        index_nbytes=index_nbytes,
        unused_nbytes=unused,
        shared_nbytes=shared,
        write_order=order.order,
        n_errors=n_errors,
        errors=tuple(errors),
    )


def read_stored_shard(array: ShardedArray, codec: ShardingCodec, stored: GridObject) -> StoredShard:
    """Read the index of one shard of an array.

    Raises
    ------
    CorruptShardError
        `shard_too_short`, `index_checksum_mismatch`, `index_undecodable`, `object_changed`.
    StoreError
        `store_failure`.
    """
    source = partial(converse, store=array.store, key=stored.key)
    if not array.chain.bytes_bytes:
        return open_index(codec, source, ByteRange(0, stored.nbytes))
    answer = array.store.read(stored.key, [array.chain.whole]) or [b""]
    shard = memoryview(array.chain.unwrap(answer[0]))
    return open_index(codec, lambda plan: hold(plan(), shard), ByteRange(0, len(shard)))


def _summarise(array: ShardedArray, stored: GridObject) -> tuple[ShardSummary | None, list[Finding], int]:
    """Summarise one shard: its numbers, the first errors of its index, and how many more there are."""
    codec = array.codec
    assert codec is not None
    try:
        sound, errors = examine_shard(codec, read_stored_shard(array, codec, stored))
    except ZarrShardError as error:
        return None, [finding.at(stored.key) for finding in findings_of(error)], 0
    first = [finding.at(stored.key) for finding in islice(errors, _SHOWN_ERRORS)]
    return summarise(sound), first, sum(1 for _ in errors)
