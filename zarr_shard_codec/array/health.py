"""Verifying an array: every shard, every index entry, every inner chunk, whatever else is wrong.

Owns the way through the stored bytes. What an index can tell is `core.findings`', what belongs to the array
is `inventory`'s. Nothing stops at the first error, and memory holds a few batches of inner chunks at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain as join
from typing import Any, Final

import numpy as np

from zarr_shard_codec.array.array import ShardedArray
from zarr_shard_codec.array.inventory import GridObject, Inventory
from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core.findings import Finding, StoredShard, examine, findings_of, notes
from zarr_shard_codec.core.grid import all_to_coords, grid_counts
from zarr_shard_codec.core.index import ShardIndex
from zarr_shard_codec.core.jobs import Bounds
from zarr_shard_codec.core.plans import Plan, bounds_of, hold, read_index
from zarr_shard_codec.core.ranges import Buffer, ByteRange, Request
from zarr_shard_codec.engine.conversations import converse
from zarr_shard_codec.engine.run import ahead, pool_for
from zarr_shard_codec.errors import CorruptShardError, ZarrShardError

_BATCH_NBYTES: Final = 4 << 20
"""Encoded bytes of inner chunks that are read and decoded together."""
_BATCH_CHUNKS: Final = 2048

Source = Callable[[Callable[[], Plan[Any]]], Any]
"""Drives a plan, which it gets the maker of, over one object: in a store, or in memory."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One step of a verification.

    Attributes
    ----------
    nbytes
        Stored bytes that are done with.
    n_chunks
        Inner chunks (or chunks) that were looked at.
    findings
        What was found, in a stable order. To be iterated once.
    """

    nbytes: int
    n_chunks: int
    findings: Iterable[Finding]


Check = Callable[[], Checked]


def verify_array(array: ShardedArray, inventory: Inventory, *, index_only: bool = False) -> Iterator[Checked]:
    """Verify everything that the array has stored.

    Parameters
    ----------
    array
        The array.
    inventory
        Its objects, of `take_inventory`.
    index_only
        Read the indexes alone, also those of shards within shards; no inner chunk is read or decoded. Where
        a codec stands after the shard, the shard has to be read to get at its index.

    Yields
    ------
    Checked
        In the order of the inventory; within a shard, in the order of its bytes. Errors of severity `error`:
        what a read of that part of the array raises. Store failures are findings, too.
    """
    yield Checked(0, 0, inventory.strays)
    pool = pool_for(array.store)
    opened = ahead(lambda stored: _open(array, stored, index_only=index_only), inventory.objects, pool)
    yield from ahead(lambda step: step(), join.from_iterable(opened), pool)


def open_index(codec: ShardingCodec, source: Source, extent: ByteRange) -> StoredShard:
    """Read the index of a shard. Raises as `plans.read_index`, and `object_changed`."""
    index = source(lambda: read_index(codec, extent))
    if index is None:
        raise CorruptShardError("object_changed", "the object was deleted while it was being read")
    return StoredShard(index, extent.nbytes, codec.index_nbytes, codec.index_location)


def examine_shard(codec: ShardingCodec, shard: StoredShard) -> tuple[StoredShard, Iterator[Finding]]:
    """Look at every entry of a shard's index; see `core.findings.examine`."""
    return examine(
        shard,
        chunk_nbytes=codec.inner.encoded_nbytes,
        max_chunk_nbytes=codec.inner.max_encoded_nbytes,
    )


def notes_on(codec: ShardingCodec, shard: StoredShard, bounds: Bounds) -> list[Finding]:
    """Look for what is unusual; see `core.findings.notes`.

    `bounds`: how much of the shard lies inside the array, in elements of the shard's own axes.
    """
    return list(notes(shard, chunks_inside=grid_counts(bounds, codec.config.inner_chunk_shape)))


def _open(array: ShardedArray, stored: GridObject, *, index_only: bool) -> Iterable[Check]:
    """Begin with one object: the steps that are left, of which the first is done."""
    chain = array.chain
    source = partial(converse, store=array.store, key=stored.key)
    bounds = bounds_of(stored.coords, array.shard_shape, array.shape)
    codec = chain.partial
    if not isinstance(codec, ShardingCodec):
        return [partial(_check_object, chain, source, stored, bounds, index_only=index_only)]
    extent = ByteRange(0, stored.nbytes)
    try:
        opened = open_index(codec, source, extent)
    except ZarrShardError as error:
        checked = Checked(stored.nbytes, 0, _placed(findings_of(error), stored.key))
        return [lambda: checked]
    bounds = chain.transposed(bounds)
    sound, errors = examine_shard(codec, opened)
    findings = join(errors, notes_on(codec, sound, bounds))
    batches = [] if _only_chunks(codec, index_only=index_only) else list(_batches(sound.index))
    later = sum(batch.nbytes for batch in batches)
    first = Checked(max(0, stored.nbytes - later), 0, _placed(findings, stored.key))
    if not batches:
        first = Checked(first.nbytes, len(sound.index.present), first.findings)

    def check(batch: _Batch) -> Checked:
        found = list(_check_batch(codec, source, extent, bounds, batch, index_only=index_only))
        return Checked(batch.nbytes, len(batch.linear), _placed(found, stored.key))

    return join([lambda: first], (partial(check, batch) for batch in batches))


def _check_object(
    chain: CodecChain, source: Source, stored: GridObject, bounds: Bounds, *, index_only: bool
) -> Checked:
    """Check an object that is one chunk, or a shard that cannot be read in part."""
    findings: list[Finding] = []
    if index_only and not isinstance(chain.array_bytes, ShardingCodec):
        expected = chain.encoded_nbytes
        if expected not in (None, stored.nbytes):
            message = f"expected {expected} bytes, as every chunk has; found {stored.nbytes}"
            findings.append(Finding("inner_chunk_wrong_size", message))
    else:
        try:
            answer = source(lambda: _fetch([chain.whole]))
        except ZarrShardError as error:
            findings = findings_of(error)
        else:
            if answer is not None:  # else deleted since: an empty chunk
                findings = list(_check_chunk(chain, answer[0], bounds, index_only=index_only))
    return Checked(stored.nbytes, 1, _placed(findings, stored.key))


def _check_chunk(
    chain: CodecChain, encoded: Buffer, bounds: Bounds, *, index_only: bool
) -> Iterator[Finding]:
    """Check one encoded chunk that is in memory, and whatever shards are in it."""
    codec = chain.array_bytes
    try:
        if isinstance(codec, ShardingCodec):
            shard = memoryview(chain.unwrap(encoded))
            extent = ByteRange(0, len(shard))
            source = lambda plan: hold(plan(), shard)  # noqa: E731
            yield from _check_shard(codec, source, extent, chain.transposed(bounds), index_only=index_only)
        elif not index_only:
            chain.decode(encoded)
    except ZarrShardError as error:
        yield from findings_of(error)


def _check_shard(
    codec: ShardingCodec, source: Source, extent: ByteRange, bounds: Bounds, *, index_only: bool
) -> Iterator[Finding]:
    try:
        opened = open_index(codec, source, extent)
    except ZarrShardError as error:
        yield from findings_of(error)
        return
    sound, errors = examine_shard(codec, opened)
    yield from errors
    yield from notes_on(codec, sound, bounds)
    if not _only_chunks(codec, index_only=index_only):
        for batch in _batches(sound.index):
            yield from _check_batch(codec, source, extent, bounds, batch, index_only=index_only)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Inner chunks that lie near each other: linear indices, offsets and sizes."""

    linear: np.ndarray[Any, Any]
    table: np.ndarray[Any, Any]

    @property
    def nbytes(self) -> int:
        return int(self.table[:, 1].sum())


def _batches(index: ShardIndex) -> Iterator[_Batch]:
    linear = index.present
    linear = linear[np.argsort(index.entries[linear, 0], kind="stable")]
    table = index.entries[linear]
    # A chunk larger than a batch is one by itself, and counts as a whole one.
    ends = np.cumsum(np.minimum(table[:, 1], np.uint64(_BATCH_NBYTES)))
    start = 0
    while start < len(linear):
        done = int(ends[start - 1]) if start else 0
        stop = int(np.searchsorted(ends, np.uint64(done + _BATCH_NBYTES), side="right"))
        stop = min(max(stop, start + 1), start + _BATCH_CHUNKS)
        yield _Batch(linear[start:stop], table[start:stop])
        start = stop


def _check_batch(
    codec: ShardingCodec,
    source: Source,
    extent: ByteRange,
    bounds: Bounds,
    batch: _Batch,
    *,
    index_only: bool,
) -> Iterator[Finding]:
    inner = codec.inner
    everywhere = all_to_coords(batch.linear, codec.chunks_per_shard)
    ranges = [ByteRange(extent.offset + offset, nbytes) for offset, nbytes in batch.table.tolist()]
    # Only a shard asks which of its chunks lie inside the array.
    inner_bounds = (
        [bounds_of(coords, inner.spec.shape, bounds) for coords in everywhere]
        if isinstance(inner.array_bytes, ShardingCodec)
        else [inner.spec.shape] * len(everywhere)
    )
    if index_only and isinstance(inner.partial, ShardingCodec):
        for coords, lies, limits in zip(everywhere, ranges, inner_bounds, strict=True):
            inner_limits = inner.transposed(limits)
            for finding in _check_shard(inner.partial, source, lies, inner_limits, index_only=True):
                yield finding.inside(coords)
        return
    try:
        buffers = source(lambda: _fetch(ranges))
        if buffers is None or any(len(b) != r.nbytes for b, r in zip(buffers, ranges, strict=True)):
            raise CorruptShardError("object_changed", "the object was replaced while it was being read")
    except ZarrShardError as error:
        yield from findings_of(error)
        return
    for coords, encoded, limits in zip(everywhere, buffers, inner_bounds, strict=True):
        for finding in _check_chunk(inner, encoded, limits, index_only=index_only):
            yield finding.inside(coords)


def _only_chunks(codec: ShardingCodec, *, index_only: bool) -> bool:
    """Whether there is nothing left to do but to decode, and that is not wanted."""
    return index_only and not isinstance(codec.inner.array_bytes, ShardingCodec)


def _fetch(requests: Sequence[Request]) -> Plan[Sequence[Buffer] | None]:
    return (yield list(requests))


def _placed(findings: Iterable[Finding], key: str) -> Iterator[Finding]:
    return (finding.at(key) for finding in findings)
