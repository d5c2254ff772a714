"""One inner chunk of a shard that is there: the short way of small reads, and of small writes into a shard.

Owns nothing of the format. It takes the steps of a plan without its driver and its tasks, which cost more
than reading and decoding, or encoding and writing, a small chunk does. Whatever is not as it nearly always
is (no index at hand, a broken entry, bytes that do not decode) it leaves to them, and to their errors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core.grid import Coords, to_linear
from zarr_shard_codec.core.patching import Append, Overwrite, Patch, PatchStrategy
from zarr_shard_codec.core.plans import IndexRequest, Plan, bounds_of
from zarr_shard_codec.core.selection import single_chunk
from zarr_shard_codec.core.writing import Update
from zarr_shard_codec.engine.index_cache import INDEXES
from zarr_shard_codec.engine.locks import Locks
from zarr_shard_codec.errors import ZarrShardError
from zarr_shard_codec.stores.protocols import (
    Objects,
    OpeningStore,
    StoredObject,
    Version,
    opens_objects,
    patches_objects,
)


@dataclass(frozen=True, slots=True)
class KnownChunks:
    """Reads and writes of one inner chunk in the shards of an array.

    Attributes
    ----------
    store
        Where the shards are.
    shard
        The sharding codec.
    """

    store: OpeningStore
    shard: ShardingCodec

    @classmethod
    def of(cls, store: Objects, chain: CodecChain) -> Self | None:
        """Make one, if the short way may be open: see `plain_shard`."""
        shard = plain_shard(chain)
        return None if shard is None or not opens_objects(store) else cls(store, shard)

    def read(
        self,
        selection: object,
        shape: Sequence[int],
        dtype: np.dtype[Any],
        key_of: Callable[[Sequence[int]], str],
    ) -> Any:
        """Read a selection of the array; None where the short way is not open.

        Parameters
        ----------
        selection
            As the user wrote it.
        shape, dtype
            The array's.
        key_of
            Makes the key of a shard from its coordinates.
        """
        single = single_chunk(selection, shape, self.shard.config.inner_chunk_shape)
        if single is None:
            return None
        coords, place = self._split(single[0])
        chunk = self.chunk(key_of(coords), place)
        if chunk is None:
            return None
        part = chunk[single[1]]
        if part.ndim == 0:
            return part
        # A chunk that was stored transposed lies so in memory, too.
        is_new = part.size == chunk.size and chunk.flags.writeable
        if is_new and part.flags.c_contiguous and chunk.dtype == dtype:
            return part
        return np.array(part, dtype, order="C")

    def patch(
        self,
        selection: object,
        value: object,
        shape: Sequence[int],
        dtype: np.dtype[Any],
        key_of: Callable[[Sequence[int]], str],
        strategy: PatchStrategy,
        locks: Locks,
    ) -> bool:
        """Set one inner chunk, all of it, by writing into its shard; whether that is done.

        Parameters
        ----------
        selection, value
            As the user wrote them.
        shape, dtype, key_of
            As of `read`.
        strategy
            How it is written.
        locks
            Where this write holds its lock.

        Raises
        ------
        StoreError
            As `PatchingStore.patch`, once it is clear that the chunk can be written.
        """
        shard, chunk_shape = self.shard, self.shard.config.inner_chunk_shape
        if not (isinstance(value, np.ndarray) and value.dtype == dtype and value.shape == chunk_shape):
            return False
        single = single_chunk(selection, shape, chunk_shape)
        whole = tuple(slice(0, size) for size in chunk_shape)
        if single is None or single[1] != whole or not patches_objects(self.store):
            return False
        coords, place = self._split(single[0])
        box = tuple(range(at * size, at * size + size) for at, size in zip(place, chunk_shape, strict=True))
        key = key_of(coords)
        plan = shard.plan_patch(box, value, bounds_of(coords, shard.spec.shape, tuple(shape)), strategy)
        locks.take(key)
        try:
            update, version = _asked_once(plan, self.store.open_object(key))
            made = None if update is None else update.finish([job.run() for job in update.jobs])
        except ZarrShardError:
            return False
        return isinstance(made, Patch) and self.store.patch(key, made, version)

    def _split(self, coords: Sequence[int]) -> tuple[Coords, Coords]:
        """Coordinates of an inner chunk in the array's grid as those of its shard, and in the shard."""
        pairs = [divmod(at, count) for at, count in zip(coords, self.shard.chunks_per_shard, strict=True)]
        return tuple(at for at, _ in pairs), tuple(at for _, at in pairs)

    def chunk(self, key: str, coords: Sequence[int]) -> np.ndarray[Any, Any] | None:
        """Read and decode one inner chunk; None where the short way is not open.

        Parameters
        ----------
        key
            The shard's.
        coords
            The inner chunk's coordinates in the shard, within it.

        Returns
        -------
        ndarray or None
            As `decode` of the codec chain gives it: new memory, if it may be written to.
        """
        shard = self.shard
        try:
            opened = self.store.open_object(key)
            if opened is None:
                return None
            try:
                identity = opened.identity
                index = None if identity is None else INDEXES.get(identity, shard, None)
                lies = None if index is None else index.entry(to_linear(coords, shard.chunks_per_shard))
                if lies is None or lies.nbytes > shard.inner.max_encoded_nbytes:
                    return None
                opened.rely()
                buffers = opened.read([lies])
            finally:
                opened.close()
            if buffers is None or len(buffers[0]) != lies.nbytes:
                return None
            return shard.inner.decode(buffers[0])
        except ZarrShardError:
            return None


def plain_shard(chain: CodecChain) -> ShardingCodec | None:
    """The sharding codec of a chain, if there is no codec around it, and its chunks are no shards."""
    shard = chain.array_bytes
    if chain.array_array or chain.bytes_bytes or not isinstance(shard, ShardingCodec):
        return None
    return None if shard.inner.reads_partially else shard


def _asked_once(
    plan: Plan[Update | Append | Overwrite], opened: StoredObject | None
) -> tuple[Append | Overwrite | None, Version | None]:
    """What a plan returns that asks for index and size, and of what state; None if it asks for more."""
    if opened is None:
        return None, None
    try:
        (request, _) = next(plan)
        assert isinstance(request, IndexRequest)
        (encoded,) = opened.read([request.lies]) or [b""]
        plan.send([encoded, opened.nbytes])
    except StopIteration as end:
        update = end.value
        return (None if isinstance(update, Update) else update), opened.version
    finally:
        opened.close()
    return None, None
