"""Writing one shard inner chunk by inner chunk, in any order, from any thread, in bounded memory.

Owns the shard until it is committed. Encoded inner chunks go to a temporary file as they come; memory
holds the index and the chunks that are being encoded. Stores other than local files take an object in one
piece, so encoded inner chunks wait in memory there.
"""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from typing import Any, NoReturn, Self

import numpy as np

from zarr_shard_codec.array.values import as_block
from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core.fill import filled, is_filled
from zarr_shard_codec.core.grid import Coords, grid_counts, to_linear
from zarr_shard_codec.core.index import EMPTY, ShardIndex
from zarr_shard_codec.core.jobs import Bounds
from zarr_shard_codec.core.plans import bounds_of
from zarr_shard_codec.core.ranges import Buffer
from zarr_shard_codec.core.selection import parse_coords, parse_selection
from zarr_shard_codec.engine.locks import Locking, Locks
from zarr_shard_codec.errors import StoreError, UsageError
from zarr_shard_codec.stores import files
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.protocols import Store


class ShardWriter:
    """One shard on its way; made by `ShardedArray.shard_writer`, and used as a context manager.

    `w[inner_coords] = chunk` encodes an inner chunk and keeps its bytes. When the block ends, the shard takes
    its place as a whole: inner chunks that were not set are empty, whatever the shard held before. If the
    block raises, nothing changes. Of writers of the same shard at the same time the last to end wins.

    An inner chunk that is set twice has the later value; the bytes of the earlier one stay in the file as a
    gap (`compact` drops it). One that is all fill value is an empty entry.

    Parameters
    ----------
    store
        Where the array is.
    folder
        The array's path.
    key
        The shard's key.
    chain
        The array's codec chain.
    bounds
        How much of the shard lies inside the array, in elements.
    lock
        How writers take turns.

    Raises
    ------
    UsageError
        `invalid_argument`: the array has no shards, or a codec after them changes all of their bytes.
    """

    def __init__(
        self, store: Store, folder: str, key: str, chain: CodecChain, bounds: Bounds, lock: Locking
    ) -> None:
        codec = chain.partial
        if not isinstance(codec, ShardingCodec):
            found = "has no shards"
            if isinstance(chain.array_bytes, ShardingCodec):
                found = "has codecs around its shards that need all of a shard at once"
            raise UsageError(
                "invalid_argument",
                f"inner chunks cannot be written one by one: the array {found}",
                hint="Write the whole shard: array[selection] = value.",
            )
        self._store, self._folder, self._key, self._lock = store, folder, key, lock
        self._codec, self._bounds = codec, bounds
        # The axes of the array, in the order of the codec's: a transpose may stand before the shards.
        self._axes = chain.transposed(tuple(range(len(bounds))))
        self._inner_shape = chain.untransposed(codec.config.inner_chunk_shape)
        self._index = ShardIndex.empty(codec.chunks_per_shard)
        self._guard = threading.Lock()
        self._open: ExitStack | None = None
        self._sink: _File | _Memory | None = None
        self._failure: StoreError | None = None
        self._process = 0  # whose it is once it is open

    def __enter__(self) -> Self:
        if self._sink is not None:
            raise UsageError("invalid_argument", "a shard writer is used once: make another one")
        self._process = os.getpid()
        first_offset = self._codec.index_nbytes if self._codec.index_location == "start" else 0
        until_committed = ExitStack()
        if isinstance(self._store, LocalStore):
            descriptor = until_committed.enter_context(self._store.atomic_writer(self._key))
            self._sink = _File(descriptor, first_offset)
        else:
            self._sink = _Memory(self._store, self._key, first_offset)
        self._open = until_committed
        return self

    def __setitem__(self, inner_coords: Any, chunk: Any) -> None:
        """Set one inner chunk.

        Parameters
        ----------
        inner_coords
            Its coordinates within the shard, in chunks: a tuple of integers, or one integer in an array of
            one dimension.
        chunk
            An array of the inner chunk shape, of which what lies beyond the array's edge is ignored; or
            whatever broadcasts to the part of the inner chunk that lies inside the array.

        Raises
        ------
        SelectionError
            `selection_out_of_bounds`, `selection_invalid`: the shard has no such inner chunk.
        UsageError
            `value_shape_mismatch`, `value_type_mismatch`; `invalid_argument`: the writer is not open, or
            was opened by the process that this one was forked from.
        StoreError
            `store_failure`: the disk is full, …; nothing of the shard is left then, and nothing committed.
        """
        coords = self._checked(inner_coords)
        array = self._chunk(coords, chunk).transpose(self._axes)
        inner = self._codec.inner
        encoded = None if is_filled(array, inner.spec.fill_value) else inner.encode(array)
        linear = to_linear([coords[axis] for axis in self._axes], self._codec.chunks_per_shard)
        if self._open is not None and self._process != os.getpid():
            raise _inherited()
        with self._guard:
            if self._failure is not None:
                raise self._failure
            if self._open is None or self._sink is None:
                raise UsageError("invalid_argument", "inner chunks are set within the writer's with block")
            try:
                entry = (EMPTY, EMPTY) if encoded is None else self._sink.append(encoded)
            except OSError as error:
                self._fail(error)
            self._index.entries[linear] = entry

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._process != os.getpid():
            if kind is None:
                raise _inherited()
            return
        with self._guard:
            until_committed, self._open = self._open, None
        if self._failure is not None:
            if kind is None:  # a thread met it, and nobody heard
                raise self._failure
            return
        assert until_committed is not None
        assert self._sink is not None
        try:
            if kind is None:
                self._commit(until_committed, self._sink)
        finally:
            # Nothing, if it was committed. What the caller's block raised is not this object's to explain.
            until_committed.__exit__(_Abandoned, _Abandoned(), None)

    def _commit(self, until_committed: ExitStack, sink: _File | _Memory) -> None:
        with Locks(self._store, self._folder, self._lock) as locks, locks:
            locks.take(self._key)
            if len(self._index.present):
                with until_committed:
                    at_start = self._codec.index_location == "start"
                    sink.finish(self._codec.encode_index(self._index), at_start=at_start)
            else:
                self._store.delete(self._key)

    def _fail(self, error: OSError) -> NoReturn:
        """Give up: remove the temporary file at once, and say what became of it."""
        assert self._open is not None
        try:
            self._open.__exit__(type(error), error, error.__traceback__)
        except StoreError as failure:
            self._failure = failure
            raise
        raise error

    def _checked(self, inner_coords: Any) -> Coords:
        return parse_coords(inner_coords, grid_counts(self._bounds, self._inner_shape), "inner chunk")

    def _chunk(self, coords: Coords, chunk: Any) -> np.ndarray[Any, Any]:
        """Bring a value to the inner chunk's shape and dtype; beyond the array's edge it is fill value."""
        spec = self._codec.inner.spec
        shape = bounds_of(coords, self._inner_shape, self._bounds)
        inside = tuple(slice(0, size) for size in shape)
        if shape == self._inner_shape:
            return as_block(chunk, parse_selection(..., shape), spec.dtype)
        if np.shape(chunk) == self._inner_shape:
            chunk = np.asarray(chunk)[inside]
        whole = filled(self._inner_shape, spec.fill_value)
        whole[inside] = as_block(chunk, parse_selection(..., shape), spec.dtype)
        return whole


def _inherited() -> UsageError:
    return UsageError(
        "invalid_argument",
        "a shard writer belongs to the process that opened it, and this one was forked from that",
        hint="Fork before the writer's with block, or set inner chunks in threads.",
    )


class _Abandoned(Exception):  # noqa: N818
    """Ends a temporary file that is not committed."""


class _File:
    """Encoded inner chunks in a file, one behind the other."""

    def __init__(self, descriptor: int, first_offset: int) -> None:
        self._descriptor = descriptor
        self._end = first_offset

    def append(self, encoded: Buffer) -> tuple[int, int]:
        offset, nbytes = self._end, len(encoded)
        os.lseek(self._descriptor, offset, os.SEEK_SET)  # a write that was interrupted has moved it
        files.write_parts(self._descriptor, [encoded])
        self._end += nbytes
        return offset, nbytes

    def finish(self, encoded_index: Buffer, *, at_start: bool) -> None:
        os.lseek(self._descriptor, 0 if at_start else self._end, os.SEEK_SET)
        files.write_parts(self._descriptor, [encoded_index])


class _Memory:
    """Encoded inner chunks in memory, until the object is written in one piece."""

    def __init__(self, store: Store, key: str, first_offset: int) -> None:
        self._store, self._key = store, key
        self._end = first_offset
        self._parts: list[Buffer] = []

    def append(self, encoded: Buffer) -> tuple[int, int]:
        offset, nbytes = self._end, len(encoded)
        self._parts.append(bytes(encoded))  # what the codec gave may be a view of the caller's array
        self._end += nbytes
        return offset, nbytes

    def finish(self, encoded_index: Buffer, *, at_start: bool) -> None:
        parts = [encoded_index, *self._parts] if at_start else [*self._parts, encoded_index]
        self._store.write(self._key, parts)
