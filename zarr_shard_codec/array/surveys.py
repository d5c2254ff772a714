"""All arrays at and below a path, verified or inspected.

Owns the walk over them and the sums. What is looked at in one array is the business of `health`, `inspection`
and `inventory`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from zarr_shard_codec.array.array import ShardedArray
from zarr_shard_codec.array.health import verify_array
from zarr_shard_codec.array.inspection import ArrayInspection, inspect_array
from zarr_shard_codec.array.inventory import strays_between, take_inventory, unfinished_packing
from zarr_shard_codec.array.metadata import ArrayMetadata
from zarr_shard_codec.array.nodes import nothing_here, walk_readable
from zarr_shard_codec.core.findings import Finding, errors_among, findings_of
from zarr_shard_codec.core.protocols import JSON
from zarr_shard_codec.errors import MetadataError, ZarrShardError
from zarr_shard_codec.stores.protocols import Store
from zarr_shard_codec.stores.resolve import resolve

Nodes = list[ShardedArray | ZarrShardError]
"""Arrays, and what stands in the place of nodes that cannot be read."""

Bar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Told the path of an array and its bytes, gives what is told of the bytes that are done."""


def no_bar(_path: str, _nbytes: int) -> AbstractContextManager[Callable[[int], None]]:
    """A `Bar` for where nobody looks."""
    return nullcontext(lambda _done: None)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What `inspect` tells.

    Attributes
    ----------
    arrays
        One report an array, in order of their paths.
    findings
        Nodes that cannot be read; what is wrong with an array's indexes stands in its report.
    """

    arrays: tuple[ArrayInspection, ...]
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, JSON]:
        """The inspection as `--json` output shows it."""
        return {
            "arrays": [report.to_json() for report in self.arrays],
            "findings": [finding.to_json() for finding in self.findings],
        }


@dataclass(slots=True)
class Totals:
    """What a verification has come across: counts, and stored bytes. `inner_chunks` of those looked at."""

    arrays: int = 0
    objects: int = 0
    inner_chunks: int = 0
    nbytes: int = 0
    errors: int = 0
    notes: int = 0


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` tells.

    Attributes
    ----------
    arrays, objects, inner_chunks, nbytes
        What was looked at: counts, and stored bytes.
    findings
        All that is wrong, of severity `error`, or unusual, of severity `note`.
    """

    arrays: int
    objects: int
    inner_chunks: int
    nbytes: int
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What makes a read fail; none, if all is well."""
        return errors_among(self.findings)

    def to_json(self) -> dict[str, JSON]:
        """The verification as `--json` output shows it: errors and notes are counted there."""
        n_errors = len(self.errors)
        return {
            "arrays": self.arrays,
            "objects": self.objects,
            "inner_chunks": self.inner_chunks,
            "nbytes": self.nbytes,
            "errors": n_errors,
            "notes": len(self.findings) - n_errors,
            "findings": [finding.to_json() for finding in self.findings],
        }


def inspect(path_or_store: Any) -> Inspection:
    """Count what an array, or each array of a tree, has stored. Reads metadata and shard indexes only.

    Parameters
    ----------
    path_or_store
        A local path, a URL, a `Store`, or a store of obstore.

    Returns
    -------
    Inspection

    Raises
    ------
    NodeNotFoundError
        `not_found`: there is neither an array nor a group.
    StoreError
        The store cannot be read.
    """
    store, nodes = find_nodes(path_or_store)
    reports = [inspect_array(node) for node in nodes if isinstance(node, ShardedArray)]
    return Inspection(tuple(reports), (*unfinished_packing(store), *broken_nodes(nodes)))


def verify(path_or_store: Any, *, index_only: bool = False) -> Verification:
    """Check every shard of an array, or of all arrays of a tree: whatever is wrong is found, not raised.

    Parameters
    ----------
    path_or_store
        A local path, a URL, a `Store`, or a store of obstore.
    index_only
        Read the shards' indexes alone; decode no inner chunk.

    Returns
    -------
    Verification

    Raises
    ------
    NodeNotFoundError
        `not_found`: there is neither an array nor a group.
    StoreError
        The store cannot be read.
    """
    verifier = Verifier(path_or_store, index_only=index_only)
    return verifier.verification(verifier.run())


class Verifier:
    """One run over all nodes, for who wants findings as they are found.

    Attributes
    ----------
    totals
        What it has come across so far.
    """

    def __init__(self, path_or_store: Any, *, index_only: bool) -> None:
        self.totals = Totals()
        self._store, self._nodes = find_nodes(path_or_store)
        self._index_only = index_only

    def run(self, bar: Bar = no_bar) -> Iterator[Finding]:
        """Give every finding; to be called once."""
        for findings in self._run(bar):
            for finding in findings:
                if finding.severity == "error":
                    self.totals.errors += 1
                else:
                    self.totals.notes += 1
                yield finding

    def verification(self, found: Iterable[Finding]) -> Verification:
        """Sum up what `run` gave; all of it is taken first."""
        findings, totals = tuple(found), self.totals
        return Verification(totals.arrays, totals.objects, totals.inner_chunks, totals.nbytes, findings)

    def _run(self, bar: Bar) -> Iterator[Iterable[Finding]]:
        yield broken_nodes(self._nodes)
        arrays = [node for node in self._nodes if isinstance(node, ShardedArray)]
        for array in arrays:
            yield from self._verify(array, bar)
        yield strays_outside(self._store, self._nodes)

    def _verify(self, array: ShardedArray, bar: Bar) -> Iterator[Iterable[Finding]]:
        inventory = take_inventory(array)
        self.totals.arrays += 1
        self.totals.objects += len(inventory.objects)
        self.totals.nbytes += inventory.nbytes
        with bar(array.path, inventory.nbytes) as advance:
            for checked in verify_array(array, inventory, index_only=self._index_only):
                yield checked.findings
                self.totals.inner_chunks += checked.n_chunks
                advance(checked.nbytes)


def find_nodes(path_or_store: Any) -> tuple[Store, Nodes]:
    """Find the arrays at and below a place, in order of their paths.

    Raises
    ------
    NodeNotFoundError
        `not_found`: there is neither an array nor a group.
    StoreError
        The store cannot be read.
    """
    store = resolve(path_or_store)
    nodes: Nodes = []
    n_groups = 0
    for at, node in walk_readable(store):
        if isinstance(node, ArrayMetadata):
            nodes.append(ShardedArray(store, at, node))
        elif isinstance(node, MetadataError) or (isinstance(node, ZarrShardError) and at):
            nodes.append(node)
        elif isinstance(node, ZarrShardError):
            raise node
        else:
            n_groups += 1
    if not nodes and not n_groups:
        raise nothing_here(store, "there is no Zarr array or group")
    return store, nodes


def strays_outside(store: Store, nodes: Nodes) -> list[Finding]:
    """Notes on the objects that belong to no node, by key; none beside an array that is the whole store."""
    arrays = [node.path for node in nodes if isinstance(node, ShardedArray)]
    unreadable = [(node.key or "").rpartition("/")[0] for node in nodes if isinstance(node, ZarrShardError)]
    return [] if "" in arrays else strays_between(store, arrays + unreadable)


def broken_nodes(nodes: Nodes) -> list[Finding]:
    """What is wrong with the nodes that cannot be read.

    Beside others, an array for which this package lacks something is a note: nothing is wrong with it.
    """
    beside = any(isinstance(node, ShardedArray) for node in nodes)
    findings: list[Finding] = []
    for node in nodes:
        if isinstance(node, MetadataError) and beside and node.lacking is not None:
            message = f"an array that is not looked into: {node.lacking}"
            findings.append(Finding(node.reason, message, "note", node.key))
        elif isinstance(node, ZarrShardError):
            findings += findings_of(node)
    return findings
