"""Compacting shards: what appends and gaps left behind goes, and inner chunks stand in the order asked for.

Owns which shards are rewritten. Encoded inner chunks are copied as they are; where they go is
`core.compaction`'s business. A shard that is compact already is left alone. Each shard is replaced as a
whole, under its lock, so readers and other writers may go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from zarr_shard_codec.array.array import ShardedArray
from zarr_shard_codec.array.inventory import GridObject, take_inventory
from zarr_shard_codec.array.rewriting import ask, delete_object, hold_object, may_delete, write_compact
from zarr_shard_codec.array.surveys import Bar, broken_nodes, find_nodes, no_bar
from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core.compaction import compact_index
from zarr_shard_codec.core.findings import Finding, errors_among, findings_of
from zarr_shard_codec.core.grid import ChunkOrder, write_order
from zarr_shard_codec.core.plans import read_index
from zarr_shard_codec.core.protocols import JSON
from zarr_shard_codec.core.ranges import ByteRange
from zarr_shard_codec.engine.locks import Locks
from zarr_shard_codec.engine.run import ahead, pool_for
from zarr_shard_codec.engine.writing import keeps_others_off, nothing_keeps_others_off
from zarr_shard_codec.errors import CorruptShardError, ZarrShardError
from zarr_shard_codec.stores.protocols import require_writable


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What `compact` did, or would do.

    Attributes
    ----------
    arrays, shards
        What was looked at. Arrays without shards, or with codecs after them, are left alone and not counted.
    rewritten, deleted
        Shards that were not compact, and shards without any inner chunk.
    nbytes_before, nbytes_after
        Stored bytes of all shards that were looked at.
    findings
        Shards that cannot be read, and so were left as they are, and nodes that cannot be read, of severity
        `error`; arrays that are not looked into, of severity `note`.
    dry_run
        Whether nothing was written.
    """

    arrays: int
    shards: int
    rewritten: int
    deleted: int
    nbytes_before: int
    nbytes_after: int
    findings: tuple[Finding, ...]
    dry_run: bool

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What could not be compacted because it cannot be read."""
        return errors_among(self.findings)

    def to_json(self) -> dict[str, JSON]:
        """The report as `--json` output shows it."""
        found = [finding.to_json() for finding in self.findings]
        return {**asdict(self), "findings": found}


@dataclass(frozen=True, slots=True)
class _Shard:
    """One shard, done: its size now (None: deleted), and what is wrong with it."""

    nbytes_before: int
    nbytes_after: int | None
    rewritten: bool
    findings: Sequence[Finding] = ()


def compact(path_or_store: Any, *, order: ChunkOrder | None = None, dry_run: bool = False) -> CompactReport:
    """Compact every shard of an array, or of all arrays of a tree.

    Bytes that neither an inner chunk nor the index uses go; shards without any inner chunk are deleted, but
    for object stores, where that might take another writer's update along: there the index is left of them.
    Inner chunks that share bytes share them afterwards, too. No inner chunk is decoded.

    Parameters
    ----------
    path_or_store
        A local path, a URL, a `Store`, or a store of obstore.
    order
        `lexicographic`, `morton` or `reverse`: the order in which inner chunks stand afterwards; None: as
        they stand now.
    dry_run
        Write nothing; say what would be done.

    Returns
    -------
    CompactReport

    Raises
    ------
    NodeNotFoundError
        `not_found`: there is neither an array nor a group.
    UsageError
        `invalid_argument`: the order; or the store can't keep other writers off.
    StoreError
        The store cannot be read or written; `object_changed`: another writer was faster. Shards that were
        done are compact, all others as they were.
    """
    return run(path_or_store, order=order, dry_run=dry_run)


def run(
    path_or_store: Any,
    *,
    order: ChunkOrder | None,
    dry_run: bool,
    bar: Bar = no_bar,
) -> CompactReport:
    """Do what `compact` does, and tell a bar of it."""
    store, nodes = find_nodes(path_or_store)
    if not dry_run:
        require_writable(store)
    arrays = [node for node in nodes if isinstance(node, ShardedArray) and _codec_of(node) is not None]
    report = _Sum(broken_nodes(nodes))
    for array in arrays:
        report.add(array, order, bar, dry_run=dry_run)
    return report.finish(dry_run=dry_run)


def compact_array(array: ShardedArray, order: ChunkOrder | None) -> CompactReport:
    """Compact one array; see `ShardedArray.compact`."""
    report = _Sum([])
    if _codec_of(array) is not None:
        report.add(array, order, no_bar, dry_run=False)
    return report.finish(dry_run=False)


class _Sum:
    """What was done so far."""

    def __init__(self, findings: list[Finding]) -> None:
        self._findings = findings
        self._arrays = 0
        self._shards: list[tuple[int, int | None, bool]] = []

    def add(self, array: ShardedArray, order: ChunkOrder | None, bar: Bar, *, dry_run: bool) -> None:
        """Compact one array."""
        if not dry_run and not keeps_others_off(array.store, array.lock):
            raise nothing_keeps_others_off(array.store)
        self._arrays += 1
        inventory = take_inventory(array)
        with bar(array.path, inventory.nbytes) as advance:
            for shard in _compact(array, inventory.objects, order, dry_run=dry_run):
                self._shards.append((shard.nbytes_before, shard.nbytes_after, shard.rewritten))
                self._findings += shard.findings
                advance(shard.nbytes_before)

    def finish(self, *, dry_run: bool) -> CompactReport:
        """Count."""
        return CompactReport(
            arrays=self._arrays,
            shards=len(self._shards),
            rewritten=sum(rewritten for _, _, rewritten in self._shards),
            deleted=sum(after is None for _, after, _ in self._shards),
            nbytes_before=sum(before for before, _, _ in self._shards),
            nbytes_after=sum(after or 0 for _, after, _ in self._shards),
            findings=tuple(self._findings),
            dry_run=dry_run,
        )


def _codec_of(array: ShardedArray) -> ShardingCodec | None:
    codec = array.chain.partial
    return codec if isinstance(codec, ShardingCodec) else None


def _compact(
    array: ShardedArray, objects: Sequence[GridObject], order: ChunkOrder | None, *, dry_run: bool
) -> Iterator[_Shard]:
    codec = _codec_of(array)
    assert codec is not None
    if order is not None:
        write_order(order, ())  # refuses an unknown name
    with Locks(array.store, array.path, None if dry_run else array.lock) as locks, locks:

        def locked() -> Iterator[GridObject]:
            for stored in objects:
                locks.let_go()
                if not dry_run:
                    locks.take(stored.key)
                yield stored

        def work(stored: GridObject) -> _Shard:
            try:
                return _compact_shard(array, codec, stored, order, dry_run=dry_run)
            finally:
                locks.done(stored.key)

        yield from ahead(work, locked(), pool_for(array.store))


def _compact_shard(
    array: ShardedArray,
    codec: ShardingCodec,
    stored: GridObject,
    order: ChunkOrder | None,
    *,
    dry_run: bool,
) -> _Shard:
    store, key = array.store, stored.key
    with hold_object(store, key) as state:
        if state is None:  # deleted since it was listed
            return _Shard(stored.nbytes, None, rewritten=False)
        before = state.nbytes
        try:
            index = ask(read_index(codec, ByteRange(0, before)), state)
            assert index is not None
            index.lookup(index.present, shard_nbytes=before, largest_nbytes=codec.inner.max_encoded_nbytes)
        except CorruptShardError as error:
            return _Shard(before, before, rewritten=False, findings=_findings(error, key))
        if not len(index.present) and may_delete(store, array.lock):
            if not dry_run:
                delete_object(store, key, state)
            return _Shard(before, None, rewritten=False)
        first_offset = codec.index_nbytes if codec.index_location == "start" else 0
        compaction = compact_index(index, first_offset=first_offset, order=order)
        after = compaction.nbytes + codec.index_nbytes
        if after == before and (compaction.index.entries == index.entries).all():
            return _Shard(before, before, rewritten=False)
        if not dry_run:
            write_compact(store, key, codec, state, compaction)
        return _Shard(before, after, rewritten=True)


def _findings(error: ZarrShardError, key: str) -> list[Finding]:
    return [finding.at(key) for finding in findings_of(error)]
