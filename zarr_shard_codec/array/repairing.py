"""Repairing arrays: damaged shards, and what killed writers left behind.

Owns the way over all arrays of a tree, and in which order things are written: the damaged original gets a
second name, then the repaired shard takes its place, atomically and under its lock. How one shard is
mended is the business of `mending`.

Temporary files are removed unless somebody writes them: a live writer holds a lock on each of its own
(`stores.temporary`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from math import inf
from typing import Any

from zarr_shard_codec.array.array import ShardedArray
from zarr_shard_codec.array.health import verify_array
from zarr_shard_codec.array.inventory import GridObject, Inventory, take_inventory
from zarr_shard_codec.array.mending import INDEX_REASONS, Action, mend_shard
from zarr_shard_codec.array.rewriting import delete_object, hold_object, may_delete, write_compact
from zarr_shard_codec.array.surveys import Bar, broken_nodes, find_nodes, no_bar, strays_outside
from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core.compaction import compact_index
from zarr_shard_codec.core.findings import Finding, errors_among
from zarr_shard_codec.core.grid import ChunkOrder, Coords, write_order
from zarr_shard_codec.core.layout import index_request
from zarr_shard_codec.core.protocols import JSON
from zarr_shard_codec.core.ranges import ByteRange
from zarr_shard_codec.core.rebuilding import evidence
from zarr_shard_codec.core.summary import matching_orders
from zarr_shard_codec.engine.locks import Locks
from zarr_shard_codec.errors import CorruptShardError
from zarr_shard_codec.stores.keeping import keep_original
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.protocols import Store, require_writable
from zarr_shard_codec.stores.temporary import is_abandoned


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing that was repaired, or would be.

    Attributes
    ----------
    action
        `restore_index`, `rebuild_index`, `drop_inner_chunk` or `remove_temporary`.
    message
        Why, and what comes of it.
    key
        The store key of the object.
    inner_chunk
        Coordinates of the inner chunk that is dropped, within its shard, in chunks.
    kept
        The key under which the damaged original is kept; None before the repair, and for temporary files.
    """

    action: Action
    message: str
    key: str
    inner_chunk: Coords | None = None
    kept: str | None = None

    def __str__(self) -> str:
        place = [self.key] if self.inner_chunk is None else [self.key, f"inner chunk {self.inner_chunk}"]
        return ": ".join([*place, self.message]) + f" [{self.action}]"

    def to_json(self) -> dict[str, JSON]:
        """The repair as `--json` output shows it."""
        inner_chunk = None if self.inner_chunk is None else list(self.inner_chunk)
        return {**asdict(self), "inner_chunk": inner_chunk}


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What `repair` did, or would do.

    Attributes
    ----------
    arrays, objects, nbytes
        What was looked at: counts, and stored bytes.
    applied
        Whether anything was written; else this is what would be done.
    repairs
        What was, or would be, repaired.
    findings
        What is wrong apart from that, of severity `error`; unfinished files that are being written, and
        arrays that are not looked into, of severity `note`.
    """

    arrays: int
    objects: int
    nbytes: int
    applied: bool
    repairs: tuple[Repair, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What makes a read fail, and is not repaired."""
        return errors_among(self.findings)

    def to_json(self) -> dict[str, JSON]:
        """The report as `--json` output shows it."""
        return {
            "arrays": self.arrays,
            "objects": self.objects,
            "nbytes": self.nbytes,
            "applied": self.applied,
            "repairs": [repair.to_json() for repair in self.repairs],
            "findings": [finding.to_json() for finding in self.findings],
        }


def repair(
    path_or_store: Any, *, apply: bool = False, drop_corrupt: bool = False, order: ChunkOrder | None = None
) -> RepairReport:
    """Repair the shards of an array, or of all arrays of a tree, and remove what killed writers left behind.

    A shard whose index cannot be read gets the newest index in its bytes that is whole; without one, an index
    made of inner chunks that say themselves where they end, where it can be proven which is which; else it is
    left as it is, and a finding says why. The damaged original stays beside it, as `<key>.zsc-damaged-<n>`.

    Parameters
    ----------
    path_or_store
        A local path, a URL, a `Store`, or a store of obstore.
    apply
        Write. If not, nothing is changed, and the report says what would be.
    drop_corrupt
        Empty the entries of inner chunks that cannot be read: they read as fill value then.
    order
        `lexicographic`, `morton` or `reverse`: the order in which the writer put inner chunks, for shards
        that keep no trace of it. None: `lexicographic` or `morton`, where the other shards prove it.

    Returns
    -------
    RepairReport

    Raises
    ------
    NodeNotFoundError
        `not_found`: there is neither an array nor a group.
    UsageError
        `invalid_argument`: the order.
    StoreError
        The store cannot be read or written. What was repaired until then is.
    """
    repairer = Repairer(path_or_store, apply=apply, drop_corrupt=drop_corrupt, order=order)
    return repairer.report(repairer.run())


class Repairer:
    """One run over all nodes, for who wants to know as it goes on. Parameters as `repair`.

    Attributes
    ----------
    n_arrays, n_objects, nbytes
        What was looked at until now.
    """

    def __init__(
        self, path_or_store: Any, *, apply: bool, drop_corrupt: bool, order: ChunkOrder | None
    ) -> None:
        if order is not None:
            write_order(order, ())  # refuses an unknown name
        self.n_arrays = self.n_objects = self.nbytes = 0
        self._store, self._nodes = find_nodes(path_or_store)
        self._apply = apply
        self._drop_corrupt = drop_corrupt
        self._order = order
        if apply:
            require_writable(self._store)

    def report(self, found: Iterable[Repair | Finding]) -> RepairReport:
        """Sum up what `run` gave."""
        every = list(found)
        return RepairReport(
            self.n_arrays,
            self.n_objects,
            self.nbytes,
            self._apply,
            tuple(one for one in every if isinstance(one, Repair)),
            tuple(one for one in every if isinstance(one, Finding)),
        )

    def run(self, bar: Bar = no_bar) -> Iterator[Repair | Finding]:
        """Give every repair once it is done, and every finding; to be called once."""
        yield from broken_nodes(self._nodes)
        arrays = [node for node in self._nodes if isinstance(node, ShardedArray)]
        for array in arrays:
            yield from self._repair_array(array, bar)
        for finding in strays_outside(self._store, self._nodes):
            yield from self._clear(finding)

    def _repair_array(self, array: ShardedArray, bar: Bar) -> Iterator[Repair | Finding]:
        inventory = take_inventory(array)
        self.n_arrays += 1
        self.n_objects += len(inventory.objects)
        self.nbytes += inventory.nbytes
        # Complete to the end: what was damaged says nothing of the writer's order, repaired or not.
        damaged: dict[str, list[Finding]] = {}
        with bar(array.path, inventory.nbytes) as advance:
            for checked in verify_array(array, inventory):
                for finding in checked.findings:
                    if finding.severity == "error" and finding.key is not None:
                        damaged.setdefault(finding.key, []).append(finding)
                    else:
                        yield from self._clear(finding)
                advance(checked.nbytes)
        handled = set()
        for stored in inventory.objects:
            if stored.key in damaged:
                yield from self._repair_shard(array, stored, inventory, damaged)
                handled.add(stored.key)
        for key, findings in damaged.items():
            if key not in handled:
                yield from findings

    def _repair_shard(
        self,
        array: ShardedArray,
        stored: GridObject,
        inventory: Inventory,
        damaged: Mapping[str, list[Finding]],
    ) -> Iterator[Repair | Finding]:
        codec, key, findings = array.chain.partial, stored.key, damaged[stored.key]
        index_is_broken = any(
            found.reason in INDEX_REASONS and found.inner_chunk is None and not found.within
            for found in findings
        )
        if not isinstance(codec, ShardingCodec) or not (index_is_broken or self._drop_corrupt):
            yield from findings
            return
        with Locks(array.store, array.path, array.lock if self._apply else None) as locks, locks:
            if self._apply:
                locks.take(key)
            with hold_object(array.store, key) as state:
                if state is None:  # deleted meanwhile
                    return
                mending = mend_shard(
                    codec,
                    state,
                    lambda: self._orders(array, codec, inventory, damaged),
                    drop_corrupt=self._drop_corrupt,
                )
                kept = None
                if self._apply and mending.steps and mending.index is not None:
                    kept = keep_original(array.store, key)
                    first_offset = codec.index_nbytes if codec.index_location == "start" else 0
                    compaction = compact_index(mending.index, first_offset=first_offset, order=None)
                    if len(mending.index.present) or not may_delete(array.store, array.lock):
                        write_compact(array.store, key, codec, state, compaction)
                    else:
                        delete_object(array.store, key, state)
        for step in mending.steps:
            yield Repair(step.action, step.message, key, step.inner_chunk, kept)
        yield from (finding.at(key) for finding in mending.left)

    def _orders(
        self,
        array: ShardedArray,
        codec: ShardingCodec,
        inventory: Inventory,
        damaged: Mapping[str, list[Finding]],
    ) -> Mapping[ChunkOrder, float]:
        """In which order the array's sound shards hold their inner chunks, and how much that says."""
        if self._order is not None:
            return {self._order: inf}
        support: dict[ChunkOrder, float] = {"lexicographic": 0.0, "morton": 0.0}
        for stored in inventory.objects:
            if stored.key in damaged or not support:
                continue
            lies = index_request(codec.index_location, codec.index_nbytes, ByteRange(0, stored.nbytes))
            answer = array.store.read(stored.key, [lies])
            try:
                index = None if answer is None else codec.decode_index(answer[0])
            except CorruptShardError:  # written to since it was verified
                index = None
            if index is not None:
                # A writer that leaves gaps leaves replaced chunks behind, and those look like chunks.
                tight = int(index.entries[index.present, 1].sum()) + codec.index_nbytes == stored.nbytes
                found = matching_orders(index) if tight else frozenset()
                support = {
                    order: sum_ + evidence(len(index.present))
                    for order, sum_ in support.items()
                    if order in found
                }
        return support

    def _clear(self, finding: Finding) -> Iterator[Repair | Finding]:
        """Remove a leftover temporary file; other notes are the business of `verify`."""
        store, key = self._store, finding.key
        if finding.severity == "error" or key is None:
            yield finding
        elif finding.reason == "leftover_temporary":
            if not _is_abandoned(store, key):
                yield replace(finding, message="an unfinished file that is being written")
                return
            if self._apply:
                store.delete(key)
            yield Repair("remove_temporary", "an unfinished file whose writer is gone", key)


def _is_abandoned(store: Store, key: str) -> bool:
    if not isinstance(store, LocalStore):
        return False
    try:
        return is_abandoned(store.path_of(key))
    except OSError:  # finished since, or not for us to look at
        return False
