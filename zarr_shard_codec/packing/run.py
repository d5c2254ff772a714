"""pack and unpack: from two stores to a report.

Owns the order of things. Every array is planned before anything is written; an array's metadata is written
after all its chunks, groups' after all arrays.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

from zarr_shard_codec.array.key_encoding import parse_key_encoding
from zarr_shard_codec.array.metadata import ArrayMetadata, ForeignMetadata
from zarr_shard_codec.array.nodes import V3_DOCUMENT, join_key
from zarr_shard_codec.core.grid import ChunkOrder, each_coords, grid_counts, write_order
from zarr_shard_codec.core.layout import IndexLocation
from zarr_shard_codec.core.protocols import JSON
from zarr_shard_codec.engine.pool import working_pool
from zarr_shard_codec.engine.run import ahead, pool_for
from zarr_shard_codec.errors import UsageError
from zarr_shard_codec.packing import buffers, files
from zarr_shard_codec.packing.check import compare_array
from zarr_shard_codec.packing.plan import (
    ArrayPlan,
    copy_metadata,
    is_sharded,
    pack_metadata,
    unpack_metadata,
)
from zarr_shard_codec.packing.report import ArrayReport, Difference, Progress, Report, Step, Tally
from zarr_shard_codec.packing.shapes import choose_shard_shape, parse_nbytes
from zarr_shard_codec.packing.target import claim, is_complete, write_metadata
from zarr_shard_codec.packing.transfer import Transfer
from zarr_shard_codec.packing.tree import PlanArray, TreePlan, plan_tree
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.protocols import Store
from zarr_shard_codec.stores.resolve import resolve


def pack(
    source: Any,
    target: Any,
    *,
    shard_shape: Sequence[int] | None = None,
    shard_size: int | str | None = None,
    chunk_order: ChunkOrder = "lexicographic",
    index_location: IndexLocation = "end",
    chunk_key_encoding: JSON = "default",
    check: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Pack the chunks of an array, or of all arrays of a tree of groups, into shards.

    No chunk is decoded: encoded bytes are copied, and indexes written. Metadata is written last. Interrupted,
    this leaves no broken shard; called again in the same way, it does what is missing.

    Parameters
    ----------
    source
        What to pack, Zarr v2 or v3: a local path, a URL, a `Store`, or a store of obstore. Arrays of a tree
        that are sharded already are copied as they are, and so are foreign ones: those of v3 with a data type
        or a codec that this package lacks (strings, say).
    target
        Where to: the same kinds. Nothing may be there yet.
    shard_shape
        Elements along each axis of a shard: a multiple of the chunk shape, for every array.
    shard_size
        Instead of a shape: the most bytes that a decoded shard may have, as a number or in words (`"64MiB"`).
        Shards are then as near to cubes as whole chunks allow, and no larger than the array.
    chunk_order
        In which order shards hold their inner chunks: `lexicographic`, `morton`, `reverse`.
    index_location
        Where the index stands in a shard.
    chunk_key_encoding
        How shards are named, in metadata form.
    check
        Compare every chunk with the source afterwards. Of a target that was complete, objects that have been
        lost since are made anew if all others are the source's.
    progress
        Is told of the work as it goes on.

    Returns
    -------
    Report
        What was done; differences, if `check` finds some, stand there and raise nothing.

    Raises
    ------
    UsageError
        `invalid_argument`, `chunk_shape_mismatch`, `chunk_shape_not_divisor`.
    MetadataError
        `no_exact_translation` and others: all that stands in the way, of all arrays. Nothing was written.
    NodeNotFoundError, NodeExistsError
        `not_found`; `target_differs`, `already_exists`: nothing was touched.
    CorruptShardError
        `entry_zero_length`, `inner_chunk_wrong_size`: a chunk of the source has no bytes, or too many.
    PackingError
        `source_changed`: a chunk was written to while it was copied.
    StoreError
        `store_failure`.
    """
    if (shard_shape is None) == (shard_size is None):
        raise UsageError("invalid_argument", "expected either a shard shape or a shard size")
    nbytes = None if shard_size is None else parse_nbytes(shard_size)
    encoding = parse_key_encoding(chunk_key_encoding)
    if index_location not in ("start", "end"):
        raise UsageError(
            "invalid_argument", f'index_location: expected "start" or "end", found {index_location!r}'
        )
    write_order(chunk_order, ())  # refuses an unknown name

    def plan(path: str, metadata: ArrayMetadata, *, alone: bool) -> ArrayPlan:
        if is_sharded(metadata) and not alone:
            return ArrayPlan(path, "copy", metadata, copy_metadata(metadata))
        shape = shard_shape
        if nbytes is not None:
            shape = choose_shard_shape(metadata.chunk_shape, metadata.shape, metadata.dtype.itemsize, nbytes)
        assert shape is not None
        packed = pack_metadata(metadata, shape, index_location=index_location, key_encoding=encoding)
        return ArrayPlan(path, "pack", metadata, packed, chunk_order)

    return _run(source, target, plan, check=check, progress=progress)


def unpack(
    source: Any,
    target: Any,
    *,
    chunk_key_encoding: JSON = "default",
    check: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Make every inner chunk of a sharded array, or of all sharded arrays of a tree, an object of its own.

    The way back from `pack`, and like it in everything: no chunk is decoded. Of nested shards the outermost
    are taken apart. Arrays of a tree that are not sharded are copied as they are, and so are foreign ones.

    Parameters
    ----------
    source, target, chunk_key_encoding, check, progress
        As for `pack`.

    Returns
    -------
    Report
        What was done.

    Raises
    ------
    CorruptShardError
        What is wrong with a shard's index.
    PackingError
        `no_exact_translation`: a filter stands before the shards; `source_changed`.
    UsageError, MetadataError, NodeNotFoundError, NodeExistsError, StoreError
        As `pack`.
    """
    encoding = parse_key_encoding(chunk_key_encoding)

    def plan(path: str, metadata: ArrayMetadata, *, alone: bool) -> ArrayPlan:
        if not is_sharded(metadata) and not alone:
            return ArrayPlan(path, "copy", metadata, copy_metadata(metadata))
        return ArrayPlan(path, "unpack", metadata, unpack_metadata(metadata, key_encoding=encoding))

    return _run(source, target, plan, check=check, progress=progress)


def _run(
    source: Any, target: Any, plan_array: PlanArray, *, check: bool, progress: Progress | None
) -> Report:
    old, new = resolve(source), resolve(target)
    source_name, target_name = _name(source, old), _name(target, new)
    _refuse_overlap(source_name, target_name, same=old is new)
    plan = plan_tree(old, plan_array)
    start = time.perf_counter()
    complete = is_complete(new, plan)
    if complete:
        reports = [_report(array, None) for array in plan.arrays]
    else:
        with claim(new, plan.fingerprint(source_name)) as there:
            reports = _move(plan, old, new, there, progress)
    seconds = time.perf_counter() - start
    differences = tuple(_compare(plan, old, new, progress)) if check else None
    if complete and differences and (kept := _all_but_lost(new, differences)) is not None:
        start = time.perf_counter()
        reports = _move(plan, old, new, kept, progress)
        seconds = time.perf_counter() - start
        differences = tuple(_compare(plan, old, new, progress))
    return Report(tuple(reports), tuple(plan.groups), plan.consolidated, seconds, differences)


def _all_but_lost(target: Store, differences: Sequence[Difference]) -> frozenset[str] | None:
    """Keys of a complete target's objects, but for metadata, if all that differs is that some are lost.

    Those can be made anew, for all that is there shows that this is the source. None where an object differs:
    that may be another source's, or may have been written to since, and nothing is ever overwritten.
    """
    there = {found.key for found in target.list("")}
    if any(difference.target_key in there for difference in differences):
        return None
    return frozenset(key for key in there if key.rpartition("/")[2] != V3_DOCUMENT)


def _name(place: Any, store: Store) -> str:
    """Name a place, so that it is known again in another process where it can be."""
    if isinstance(store, LocalStore):
        return store.root
    return place.rstrip("/") if isinstance(place, str) else type(store).__name__


def _refuse_overlap(source: str, target: str, *, same: bool) -> None:
    inside = os.path.join(source, ""), os.path.join(target, "")  # noqa: PTH118
    is_place = os.path.isabs(source) or "://" in source  # noqa: PTH117
    if same or (is_place and (inside[0].startswith(inside[1]) or inside[1].startswith(inside[0]))):
        raise UsageError(
            "invalid_argument",
            "source and target are the same place, or one lies inside the other",
            key=target,
            hint="Nothing is packed in place: give a target beside the source.",
        )


def _tick(
    progress: Progress | None, phase: Literal["moving", "checking"], plan: TreePlan
) -> Callable[[int, int], None]:
    total = sum(array.n_chunks for array in plan.arrays)

    def tick(n_chunks: int, nbytes: int) -> None:
        if progress is not None:
            progress(Step(phase, n_chunks, nbytes, total))

    return tick


def _move(
    plan: TreePlan, source: Store, target: Store, there: frozenset[str], progress: Progress | None
) -> list[ArrayReport]:
    tick = _tick(progress, "moving", plan)
    reports = []
    for array in plan.arrays:
        if join_key(array.path, V3_DOCUMENT) in there:
            tick(array.n_chunks, 0)
            reports.append(_report(array, None))
            continue
        total = Tally(tick)
        for tally in _tallies(Transfer(array, source, target, there, tick)):
            total.add(tally)
        write_metadata(target, array.path, array.target)
        reports.append(_report(array, total))
    for path in reversed(list(plan.groups)):
        write_metadata(target, path, plan.groups[path])
    return reports


def _tallies(transfer: Transfer) -> Iterator[Tally]:
    """Move all of one array."""
    source, target, action = transfer.source, transfer.target, transfer.plan.action
    if action == "copy":
        counts = grid_counts(transfer.plan.source.shape, transfer.plan.source.chunk_shape)
        copy = buffers.copy_object
        if isinstance(source, LocalStore) and isinstance(target, LocalStore):
            copy = partial(files.copy_object, source, target)
        yield from ahead(partial(copy, transfer), each_coords(counts), pool_for(source))
    elif (
        isinstance(source, LocalStore)
        and isinstance(target, LocalStore)
        and not (action == "unpack" and transfer.chain.bytes_bytes)  # undone in memory
    ):
        move = files.pack_shard if action == "pack" else files.unpack_shard
        yield from ahead(partial(move, source, target, transfer), transfer.grid.each_shard(), working_pool)
    else:
        yield from (buffers.pack_shards if action == "pack" else buffers.unpack_shards)(transfer)


def _compare(plan: TreePlan, source: Store, target: Store, progress: Progress | None) -> Iterator[Difference]:
    tick = _tick(progress, "checking", plan)
    for array in plan.arrays:
        yield from compare_array(Transfer(array, source, target, frozenset(), tick))


def _report(plan: ArrayPlan, tally: Tally | None) -> ArrayReport:
    chunked = plan.target if plan.action == "unpack" else plan.source
    moved = tally or Tally(lambda *_: None)
    before, after = moved.n_chunks, moved.n_chunks
    if plan.action == "pack":
        after = moved.n_shards
    elif plan.action == "unpack":
        before = moved.n_shards
    return ArrayReport(
        plan.path,
        plan.action,
        tally is None,
        (plan.target if plan.action == "pack" else plan.source).chunk_shape,
        chunked.chunk_shape,
        before,
        after,
        moved.n_kept,
        moved.chunk_nbytes,
        moved.index_nbytes,
        plan.source.lacking if isinstance(plan.source, ForeignMetadata) else None,
    )
