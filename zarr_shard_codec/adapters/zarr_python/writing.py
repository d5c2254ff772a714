"""Writing what zarr-python selected: its chunks as write tasks of the engine.

Owns the way from the host's list of chunks and its value to plans. Which store is written how is decided in
`pipeline` and `codec`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from zarr_shard_codec.adapters.zarr_python.chains import Chains
from zarr_shard_codec.adapters.zarr_python.reading import inner_chunk_shape
from zarr_shard_codec.adapters.zarr_python.selections import Array, Basic, Fancy, parse
from zarr_shard_codec.adapters.zarr_python.stores import AsyncObjects, joined
from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.core.fill import filled
from zarr_shard_codec.core.plans import Plan
from zarr_shard_codec.core.selection import box_shape
from zarr_shard_codec.core.writing import Update
from zarr_shard_codec.engine.conversations import converse_async
from zarr_shard_codec.engine.pool import working_pool
from zarr_shard_codec.engine.writing import WriteTask


@dataclass(frozen=True, slots=True)
class Write:
    """One chunk to write to.

    Attributes
    ----------
    chain
        The chunk's codecs.
    wanted
        What of it is set.
    value
        What it is set to, of the selection's shape.
    complete
        Whether everything of the chunk that lies in the array is set.
    """

    chain: CodecChain
    wanted: Basic | Fancy
    value: Array
    complete: bool

    def task(self, key: str) -> WriteTask:
        """What the engine has to do."""
        return WriteTask(key, self.plan, self.value.nbytes)

    def plan(self) -> Plan[Update]:
        """Plan to change the object."""
        if not isinstance(self.wanted, Basic):
            return self._fancy_plan(self.wanted)
        box = self.wanted.box
        bounds = box_shape(box) if self.complete else self.chain.spec.shape
        return self.chain.plan_write(box, self.value[self.wanted.to_box], bounds)

    def _fancy_plan(self, wanted: Fancy) -> Plan[Update]:
        # The inner chunks that hold all of the elements are read, changed and set as a whole.
        spec = self.chain.spec
        piece = wanted.cover(inner_chunk_shape(self.chain), spec.shape)
        block = np.empty(box_shape(piece.box), spec.dtype)
        jobs = yield from self.chain.plan_read(piece.box, block, spec.shape)
        if jobs is None:
            block = filled(block.shape, spec.fill_value)
        else:
            for job in jobs:
                job.run()
        wanted.put(block, piece.within, self.value.reshape(wanted.block_shape))
        return (yield from self.chain.plan_write(piece.box, block, spec.shape))


def prepare(
    chains: Chains, batch: Sequence[Any], value: Any, drop_axes: tuple[int, ...]
) -> list[Write] | None:
    """Make writes of the host's chunks; None where the host must do it itself. See `reading.prepare`."""
    array = value.as_ndarray_like()
    if not isinstance(array, np.ndarray):
        return None
    writes: list[Write] = []
    for _, spec, chunk_selection, out_selection, complete in batch:
        chain = chains.get(spec)
        wanted = None if chain is None else parse(chunk_selection, chain.spec.shape)
        if chain is None or wanted is None or spec.config.write_empty_chunks:
            return None
        given = array if array.ndim == 0 else array[out_selection]
        writes.append(Write(chain, wanted, fit(given, wanted.shape, drop_axes, chain.spec.dtype), complete))
    return writes


def fit(given: Array, shape: tuple[int, ...], drop_axes: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Bring a value to the shape of the selection that it is for.

    Raises
    ------
    ValueError
        NumPy's: it does not broadcast.
    """
    given = np.asarray(given)
    if drop_axes:
        kept = tuple(size for axis, size in enumerate(shape) if axis not in drop_axes)
        given = np.broadcast_to(given, kept).reshape(shape)
    elif given.ndim < len(shape) and given.ndim and given.size == prod(shape) and _without_ones(given, shape):
        given = given.reshape(shape)  # integers among the indices, of which the host says nothing here
    return np.broadcast_to(given, shape).astype(dtype, copy=False)


async def write_async(store: AsyncObjects, write: Write, key: str) -> None:
    """Change one object through the host's calls; the caller holds it."""
    update = await converse_async(write.plan, store, key)
    parts = await asyncio.get_running_loop().run_in_executor(working_pool(), update.run)
    if parts is None:
        await store.getters[key].delete()
    else:
        await store.getters[key].set(joined(parts))


def _without_ones(given: Array, shape: Sequence[int]) -> bool:
    return [size for size in given.shape if size != 1] == [size for size in shape if size != 1]
