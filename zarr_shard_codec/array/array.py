"""ShardedArray: an array in a store, read and written by NumPy selections, sync and async.

Owns the way from a selection to the objects it touches. What each object holds is the codec chain's
business; what runs when and where is the engine's.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from zarr_shard_codec.array.metadata import ArrayMetadata
from zarr_shard_codec.array.nodes import join_key
from zarr_shard_codec.array.objects import is_in_part
from zarr_shard_codec.array.reading import ArrayReader
from zarr_shard_codec.array.resizing import check_new_shape, clear_beyond, write_shape
from zarr_shard_codec.array.values import as_block
from zarr_shard_codec.array.write_options import Locking, WriteStrategy, check_strategy, check_write_options
from zarr_shard_codec.array.writing import write_tasks
from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core.grid import ChunkOrder, Coords, each_coords, grid_counts
from zarr_shard_codec.core.plans import bounds_of
from zarr_shard_codec.core.selection import new_block, parse_coords, parse_selection
from zarr_shard_codec.engine.locks import Locks
from zarr_shard_codec.engine.run import read_objects
from zarr_shard_codec.engine.writing import (
    keeps_others_off,
    nothing_keeps_others_off,
    write_objects,
)
from zarr_shard_codec.errors import UsageError
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.protocols import Store, waits_for_network

if TYPE_CHECKING:
    from zarr_shard_codec.array.compacting import CompactReport
    from zarr_shard_codec.array.shard_writer import ShardWriter

Mode = Literal["r", "r+"]


class ShardedArray:
    """An array whose chunks are shards, or plain chunks; made by `open` and `create`.

    Safe for many readers and writers at once, in threads and processes, as far as `lock` says. One write that
    touches several shards is no transaction: others see some of them before the rest.

    Parameters
    ----------
    store
        Where it is.
    path
        The array's path in the store.
    metadata
        What it is.
    mode
        `r` refuses every write; `r+` reads and writes.
    chunk_order
        In which order new shards hold their inner chunks.
    write_strategy, durable, lock
        How shards are written; see `open`.
    """

    def __init__(
        self,
        store: Store,
        path: str,
        metadata: ArrayMetadata,
        *,
        mode: Mode = "r",
        chunk_order: ChunkOrder = "lexicographic",
        write_strategy: WriteStrategy = "replace",
        durable: bool = False,
        lock: Locking = "auto",
    ) -> None:
        check_mode(mode)
        self.store: Final = store.made_durable() if durable and isinstance(store, LocalStore) else store
        self.path: Final = path
        self.mode: Final = mode
        self.metadata = metadata
        self.chunk_order: Final = chunk_order
        self.write_strategy: Final = write_strategy
        self.durable: Final = durable
        self.lock: Final = lock
        self.chain: Final[CodecChain] = metadata.chain.with_chunk_order(chunk_order)
        self._reader: Final = ArrayReader.of(self.store, self.chain, self.shard_key)
        check_write_options(write_strategy, durable, lock)
        if mode == "r+":
            check_strategy(write_strategy, self.store, self.chain)

    @property
    def shape(self) -> tuple[int, ...]:
        """Elements along each axis."""
        return self.metadata.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.metadata.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.metadata.shape)

    @property
    def nbytes(self) -> int:
        """Size of all elements in memory, in bytes."""
        return self.size * self.dtype.itemsize

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy data type of the elements, in native byte order."""
        return self.metadata.dtype

    @property
    def codec(self) -> ShardingCodec | None:
        """The sharding codec; None if the array is not sharded. Codecs may stand before and after it."""
        codec = self.chain.array_bytes
        return codec if isinstance(codec, ShardingCodec) else None

    @property
    def shard_shape(self) -> tuple[int, ...]:
        """Elements along each axis of one stored object: a shard, or a chunk if there are no shards."""
        return self.metadata.chunk_shape

    @property
    def inner_chunk_shape(self) -> tuple[int, ...]:
        """Elements along each axis of an inner chunk, or of a chunk if there are no shards.

        Always in the order of the array's own axes, also where a transpose stands before the shards.
        """
        return (
            self.shard_shape
            if self.codec is None
            else self.chain.untransposed(self.codec.config.inner_chunk_shape)
        )

    @property
    def fill_value(self) -> Any:
        """The value of elements that were never written: a NumPy scalar of `dtype`."""
        return self.metadata.fill_value[()]

    @property
    def attributes(self) -> dict[str, Any]:
        """The user's attributes: a copy of the parsed JSON."""
        return copy.deepcopy(dict(self.metadata.attributes))

    @property
    def dimension_names(self) -> tuple[str | None, ...] | None:
        """One name or None for each axis; None if the array names none."""
        return self.metadata.dimension_names

    def __repr__(self) -> str:
        inner = f" inner_chunk_shape={self.inner_chunk_shape}" if self.codec else ""
        return (
            f"<ShardedArray {self.path or '/'} of {self.store!r} shape={self.shape} dtype={self.dtype} "
            f"shard_shape={self.shard_shape}{inner}>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel without the codecs, which are built anew: Dask sends arrays between processes."""
        options = {
            name: getattr(self, name) for name in ("mode", "chunk_order", "write_strategy", "durable", "lock")
        }
        return _reopen, (self.store, self.path, self.metadata, options)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("an array of no dimensions has no length")
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        """Read it all, for NumPy."""
        if copy is False:
            raise ValueError("a stored array cannot become a NumPy array without a copy")
        return np.asarray(self[...], dtype=dtype)

    def __getitem__(self, selection: Any) -> Any:
        """Read a NumPy basic selection.

        Parameters
        ----------
        selection
            Integers (negative ones from the end), slices with any step, Ellipsis.

        Returns
        -------
        ndarray
            New memory; shape as NumPy gives it (a scalar where NumPy gives one).

        Raises
        ------
        SelectionError
            `selection_out_of_bounds`, `selection_invalid`.
        CorruptShardError
            What is wrong with an object that the selection touches, with its key and inner chunk.
        StoreError
            `store_failure`.
        """
        shape = self.metadata.shape
        found = self._reader.read_known(selection, shape)
        if found is not None:
            return found
        wanted = parse_selection(selection, shape)
        block = new_block(wanted.box, self.dtype)
        read_objects(self.store, self._reader.tasks(wanted.box, block, shape))
        return wanted.result(block)

    async def read(self, selection: Any = ...) -> Any:
        """Read as `a[selection]` does, without holding up the event loop.

        Parameters, result and errors as `__getitem__`; without a selection all of the array.
        """
        import asyncio

        if not waits_for_network(self.store):
            return await asyncio.to_thread(self.__getitem__, selection)
        from zarr_shard_codec.engine.run_async import read_objects_async

        shape = self.metadata.shape
        wanted = parse_selection(selection, shape)
        block = new_block(wanted.box, self.dtype)
        await read_objects_async(self.store, self._reader.tasks(wanted.box, block, shape))
        return wanted.result(block)

    def __setitem__(self, selection: Any, value: Any) -> None:
        """Write a NumPy basic selection.

        Shards (or chunks) that the selection covers are written without being read. Others are changed as
        `write_strategy` says: by default read once, their untouched inner chunks copied as they are encoded,
        and replaced as a whole. Objects that come to hold nothing but fill value are deleted.

        Parameters
        ----------
        selection
            As for reading.
        value
            Anything that broadcasts to the selection's shape and fits the dtype without loss of kind.

        Raises
        ------
        UsageError
            `read_only`, `value_shape_mismatch`, `value_type_mismatch`; `invalid_argument`: parts of shards in
            a store that can't keep other writers off them (see `lock`). Nothing is written.
        CorruptShardError
            An object that is changed in part cannot be read; it is left as it is.
        StoreError
            `store_failure`; `object_changed`: others wrote the same object again and again. The text says
            what of the object that it names is written; others are as they were, or as they are to be.
        """
        self._require_writable()
        known = self._reader.chunks
        if self.write_strategy != "replace" and known is not None:
            with Locks(self.store, self.path, self.lock) as locks, locks:
                shape, dtype, strategy = self.metadata.shape, self.metadata.dtype, self.write_strategy
                if known.patch(selection, value, shape, dtype, self.shard_key, strategy, locks):
                    return
        wanted = parse_selection(selection, self.shape)
        block = as_block(value, wanted, self.dtype)
        if is_in_part(wanted.box, self.shard_shape, self.shape):
            self._require_others_kept_off()  # before anything is written
        tasks = write_tasks(self.chain, self.shard_key, self.write_strategy, wanted.box, block, self.shape)
        write_objects(self.store, tasks, folder=self.path, lock=self.lock)

    async def write(self, selection: Any, value: Any) -> None:
        """Write as `a[selection] = value` does, without holding up the event loop.

        Parameters and errors as `__setitem__`.
        """
        import asyncio

        await asyncio.to_thread(self.__setitem__, selection, value)

    def resize(self, shape: Sequence[int]) -> None:
        """Change the shape. What falls outside is gone: growing again shows the fill value there.

        Parameters
        ----------
        shape
            The new one, of the same rank.

        Raises
        ------
        UsageError
            `read_only`, `invalid_argument`; also in a store that can't keep other writers off (see `lock`).
        StoreError
            `store_failure`; the shape is then as it was, what lies beyond the new one perhaps cleared.
        """
        self._require_writable()
        new_shape = check_new_shape(shape, self.shape)
        self._require_others_kept_off()  # before anything is deleted
        clear_beyond(self, new_shape)
        self.metadata = write_shape(self.store, self.path, self.metadata, new_shape, self.lock)

    def shard_writer(self, shard_coords: int | Sequence[int]) -> ShardWriter:
        """Write one shard inner chunk by inner chunk, in any order, from any thread, in bounded memory.

        Parameters
        ----------
        shard_coords
            Coordinates of the shard in the array's grid of shards; an integer for one axis.

        Returns
        -------
        ShardWriter
            `with a.shard_writer((0, 1)) as w: w[inner_coords] = chunk`. The shard takes its place as a whole
            when the block ends; inner chunks that were not set are empty. If it raises, nothing changes.

        Raises
        ------
        UsageError
            `read_only`; `invalid_argument`: the array has no shards, or codecs around them.
        SelectionError
            `selection_out_of_bounds`, `selection_invalid`: there is no such shard.
        """
        from zarr_shard_codec.array.shard_writer import ShardWriter

        self._require_writable()
        coords = parse_coords(shard_coords, grid_counts(self.shape, self.shard_shape), "shard")
        bounds = bounds_of(coords, self.shard_shape, self.shape)
        return ShardWriter(self.store, self.path, self.shard_key(coords), self.chain, bounds, self.lock)

    def compact(self, order: ChunkOrder | None = None) -> CompactReport:
        """Drop what nothing uses from every shard; see `zsc.compact`.

        Parameters
        ----------
        order
            In which order inner chunks stand afterwards; None: as they stand now.

        Raises
        ------
        UsageError
            `read_only`; `invalid_argument`: the order.
        StoreError
            As `zsc.compact`.
        """
        from zarr_shard_codec.array.compacting import compact_array

        self._require_writable()
        return compact_array(self, order)

    def shard_keys(self) -> Iterator[tuple[Coords, str]]:
        """Coordinates and key of every shard (or chunk) that the array can have, in C order."""
        for coords in each_coords(grid_counts(self.shape, self.shard_shape)):
            yield coords, self.shard_key(coords)

    def shard_key(self, coords: Sequence[int]) -> str:
        """The key of the shard (or chunk) at grid coordinates."""
        return join_key(self.path, self.metadata.key_encoding.key(coords))

    def _require_others_kept_off(self) -> None:
        if not keeps_others_off(self.store, self.lock):
            raise nothing_keeps_others_off(self.store)

    def _require_writable(self) -> None:
        if self.mode != "r+":
            raise UsageError("read_only", 'the array is open for reading only; open it with mode="r+"')


def check_mode(mode: object) -> None:
    """Raise `UsageError` (`invalid_argument`) for a mode that there is not."""
    if mode not in ("r", "r+"):
        raise UsageError(
            "invalid_argument",
            f'mode: expected "r" or "r+", found {mode!r:.80}',
            hint="zsc.create makes new arrays.",
        )


def _reopen(store: Store, path: str, metadata: ArrayMetadata, options: dict[str, Any]) -> ShardedArray:
    return ShardedArray(store, path, metadata, **options)
