"""Selections of a whole array, read and written by our engine without zarr-python's division into chunks.

Owns when that can be done: the array is one of local files, and the selection of integers and slices, for
reading with at most one ascending list; what is written is NumPy's, of the array's own type and of the
selection's shape. All others, and those for which the host has options that change them, go to `pipeline`.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
from zarr.core.buffer.cpu import NDBuffer

from zarr_shard_codec.adapters.zarr_python import versions
from zarr_shard_codec.adapters.zarr_python.chains import Chains
from zarr_shard_codec.adapters.zarr_python.selections import Orthogonal, tidy
from zarr_shard_codec.adapters.zarr_python.settings import WriteSettings
from zarr_shard_codec.adapters.zarr_python.stores import leads_elsewhere, own_store
from zarr_shard_codec.adapters.zarr_python.writing import fitting, run_tasks
from zarr_shard_codec.array.reading import ArrayReader
from zarr_shard_codec.array.writing import write_tasks
from zarr_shard_codec.core.selection import new_block
from zarr_shard_codec.engine.run import read_objects
from zarr_shard_codec.engine.writing import WriteTask
from zarr_shard_codec.errors import SelectionError, StoreError
from zarr_shard_codec.stores.protocols import Store


class Direct:
    """Reads and writes of one array.

    Parameters
    ----------
    chains
        Our codecs for the array's chunks.
    """

    __slots__ = ("_chains", "_latest")

    def __init__(self, chains: Chains) -> None:
        self._chains = chains
        self._latest: tuple[Any, Any, Any, ArrayReader | None] = (None, None, None, None)
        """What the last one was of: metadata, configuration, our store; and the reader for these."""

    def __reduce__(self) -> tuple[type[Direct], tuple[Chains]]:
        return type(self), (self._chains,)

    def read(self, array: Any, indexer: Any, prototype: Any, out: Any, fields: Any) -> Any:
        """Read what the host's indexer names; None if it has to be read in another way.

        Parameters
        ----------
        array
            The host's `AsyncArray`, of local files.
        indexer, prototype, out, fields
            What its `_get_selection` is asked.

        Raises
        ------
        CorruptShardError, StoreError
            As `ShardedArray.__getitem__`.
        """
        axes = versions.axes_of(indexer)
        if axes is None or out is not None or fields or prototype.nd_buffer is not NDBuffer:
            return None
        reader = self._reader_for(array)
        if reader is None:
            return None
        try:
            # Not the metadata's: another thread may have resized the array since the selection was made.
            found = _read(reader, axes, versions.shape_of(indexer))
        except StoreError as error:
            if not leads_elsewhere(error):
                raise
            return None
        return found if indexer.shape or found is None else versions.as_result(indexer, found)

    def write(
        self, array: Any, indexer: Any, value: Any, prototype: Any, fields: Any, settings: WriteSettings
    ) -> bool:
        """Set what the host's indexer names; whether that is done. If not, it has to be done in another way.

        Parameters
        ----------
        array
            As of `read`.
        indexer, value, prototype, fields
            What its `_set_selection` is asked.
        settings
            How it is written.

        Raises
        ------
        ValueError, CorruptShardError, StoreError
            As `writing.write`.
        """
        axes = versions.axes_of(indexer)
        if axes is None or fields or prototype.nd_buffer is not NDBuffer or array.config.write_empty_chunks:
            return False
        if type(value) is not np.ndarray or not value.size or value.shape != tuple(indexer.shape):
            return False
        reader = self._reader_for(array)
        if reader is None or value.dtype != reader.chain.spec.dtype or any(map(_is_list, axes)):
            return False
        chain, key_of, shape = reader.chain, reader.key_of, versions.shape_of(indexer)
        box = tuple(_indices(axis, size) for axis, size in zip(axes, shape, strict=True))
        block = value[(*(np.newaxis if type(axis) is int else slice(None) for axis in axes), ...)]
        # What lies beyond the array's edge stays as it is: the host shows it again if the array grows.
        whole = [-(-size // along) * along for size, along in zip(shape, chain.spec.shape, strict=True)]

        def tasks(store: Store) -> Iterator[WriteTask]:
            return write_tasks(
                chain, key_of, fitting(settings.write_strategy, store, chain), box, block, whole
            )

        return run_tasks(array.store_path, tasks, settings, folder=array.store_path.path)

    def _reader_for(self, array: Any) -> ArrayReader | None:
        store = own_store(array.store_path)
        metadata, config, before, reader = self._latest
        if metadata is not array.metadata or config is not array.config or before is not store:
            metadata, config = array.metadata, array.config
            reader = self._reader_of(array.store_path, metadata, config, store)
            self._latest = metadata, config, store, reader
        return reader

    def _reader_of(self, store_path: Any, metadata: Any, config: Any, store: Any) -> ArrayReader | None:
        shape = getattr(metadata.chunk_grid, "chunk_shape", None)
        if shape is None or config.order != "C" or not versions.reads_missing_chunks(config):
            return None
        spec = SimpleNamespace(shape=shape, dtype=metadata.data_type, fill_value=metadata.fill_value)
        chain = self._chains.get(spec)
        if chain is None or chain.spec.dtype != metadata.data_type.to_native_dtype():
            return None
        path = store_path.path
        folder = f"{path}/" if path else ""
        return ArrayReader.of(store, chain, lambda coords: folder + metadata.encode_chunk_key(coords))


def _read(reader: ArrayReader, axes: list[Any], shape: tuple[int, ...]) -> Any:
    if not any(map(_is_list, axes)):
        found = reader.read_known(tuple(axes), shape)
        if found is not None:
            return found
    along = (_indices(axis, size) for axis, size in zip(axes, shape, strict=True))
    box = Orthogonal(tuple(along), ()).box()
    if box is None:
        return None
    try:
        block = new_block(box, reader.chain.spec.dtype)
    except (SelectionError, MemoryError, OverflowError):
        return None  # the host's own error says that there is no such memory
    read_objects(reader.store, reader.tasks(box, block, shape))
    return block[tuple(0 if type(axis) is int else slice(None) for axis in axes)]


def _is_list(axis: Any) -> bool:
    return isinstance(axis, np.ndarray)


def _indices(axis: Any, size: int) -> Any:
    if type(axis) is int:
        return range(axis, axis + 1)
    return range(*axis.indices(size)) if isinstance(axis, slice) else tidy(axis)
