"""Writing what zarr-python selected: its chunks as write tasks of the engine.

Owns the way from the host's list of chunks and its value to plans, and how those are brought into a store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from zarr_shard_codec.adapters.places import array_folder
from zarr_shard_codec.adapters.zarr_python import versions
from zarr_shard_codec.adapters.zarr_python.chains import FALL_BACK, Chains, say_once
from zarr_shard_codec.adapters.zarr_python.reading import inner_chunk_shape
from zarr_shard_codec.adapters.zarr_python.selections import Array, Basic, Fancy, parse
from zarr_shard_codec.adapters.zarr_python.settings import WriteSettings
from zarr_shard_codec.adapters.zarr_python.stores import (
    AsyncObjects,
    SyncObjects,
    joined,
    key_of,
    leads_elsewhere,
    own_store,
)
from zarr_shard_codec.adapters.zarr_python.turns import changing, name_of, to_the_end, turn, turn_async
from zarr_shard_codec.array.write_options import WriteStrategy, check_strategy
from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.core.fill import filled
from zarr_shard_codec.core.patching import Append, Overwrite
from zarr_shard_codec.core.plans import Plan
from zarr_shard_codec.core.selection import Box, box_shape
from zarr_shard_codec.core.writing import Update
from zarr_shard_codec.engine.conversations import converse_async
from zarr_shard_codec.engine.pool import working_pool
from zarr_shard_codec.engine.writing import WriteTask, write_objects
from zarr_shard_codec.errors import StoreError, UsageError
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.protocols import Store, locks_names, writes_conditionally


@dataclass(frozen=True, slots=True)
class Write:
    """One chunk to write to.

    Attributes
    ----------
    setter
        The host's name of where its bytes are.
    config
        The host's configuration of the array.
    chain
        The chunk's codecs.
    wanted
        What of it is set.
    value
        What it is set to, of the selection's shape.
    strategy
        How the object is changed.
    """

    setter: Any
    config: Any
    chain: CodecChain
    wanted: Basic | Fancy
    value: Array
    strategy: WriteStrategy = "replace"

    @property
    def key(self) -> str:
        """The object's key in its store."""
        return key_of(self.setter)

    def task(self) -> WriteTask:
        """What the engine has to do."""
        return WriteTask(self.key, self.plan, self.value.nbytes)

    def plan(self) -> Plan[Update | Append | Overwrite]:
        """Plan to change the object."""
        if not isinstance(self.wanted, Basic):
            return self._plan_fancy(self.wanted)
        # What lies beyond the array's edge stays as it is: the host shows it again if the array grows.
        return self._plan_box(self.wanted.box, self.value[(*self.wanted.to_box, ...)])

    def _plan_box(self, box: Box, value: Array) -> Plan[Update | Append | Overwrite]:
        return self.chain.plan_set(box, value, self.chain.spec.shape, self.strategy)

    def _plan_fancy(self, wanted: Fancy) -> Plan[Update | Append | Overwrite]:
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
        return (yield from self._plan_box(piece.box, block))


def prepare(
    chains: Chains, batch: Sequence[Any], value: Any, drop_axes: tuple[int, ...]
) -> list[Write] | None:
    """Make writes of the host's chunks; None where the host must do it itself. See `reading.prepare`."""
    array = value.as_ndarray_like()
    if not isinstance(array, np.ndarray):
        return None
    writes: list[Write] = []
    for setter, spec, chunk_selection, out_selection, _ in batch:
        chain = chains.get(spec)
        wanted = None if chain is None else parse(chunk_selection, spec.shape)
        if chain is None or wanted is None:
            return None
        if spec.config.write_empty_chunks:
            say_once(f"{FALL_BACK}for writes with write_empty_chunks=True")
            return None
        given = array if array.ndim == 0 else array[out_selection]
        fitted = fit(given, wanted.shape, drop_axes, chain.spec.dtype)
        if fitted.size:  # the host also names chunks of which a selection takes nothing
            writes.append(Write(setter, spec.config, chain, wanted, fitted))
    return writes


def fit(given: Array, shape: tuple[int, ...], drop_axes: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Bring a value to the shape of the selection that it is for.

    Raises
    ------
    UsageError
        `value_shape_mismatch`: it does not broadcast.
    """
    given = np.asarray(given)
    kept = tuple(size for axis, size in enumerate(shape) if axis not in drop_axes)
    fewer = not drop_axes and 0 < given.ndim < len(shape) and given.size == prod(shape)
    if fewer and _without_ones(given, shape):
        given = given.reshape(shape)  # integers among the indices, of which the host says nothing here
    while given.ndim > len(kept) and len(given) == 1:
        given = given[0]  # as NumPy assigns it
    try:
        return np.broadcast_to(given, kept).reshape(shape).astype(dtype, copy=False)
    except ValueError:
        message = f"shape mismatch: expected a value that broadcasts to {kept}, found shape {given.shape}"
        raise UsageError("value_shape_mismatch", message) from None


def write(writes: Sequence[Write], settings: WriteSettings) -> None:
    """Write chunks of one array by synchronous calls.

    Raises
    ------
    ValueError
        The host's: its store is read-only.
    CorruptShardError, StoreError
        As `engine.writing.write_objects`.
    """
    if write_by_engine(writes, settings):
        return
    for one in writes:
        with turn(name_of(one.setter)):
            host = SyncObjects({one.key: one.setter}, versions.coalescing(one.config))
            write_objects(host, [one.task()])


async def write_async(writes: Sequence[Write], settings: WriteSettings, concurrency: int | None) -> None:
    """Write chunks of one array without holding up the event loop. Raises as `write`.

    `concurrency` is how many at once; None: all.
    """
    ours = not writes or own_store(writes[0].setter) is not None
    # Another thread even for little: it may have to wait for a lock.
    if ours and await asyncio.to_thread(write_by_engine, writes, settings):
        return
    limit = asyncio.Semaphore(concurrency or max(1, len(writes)))

    async def write_one(one: Write) -> None:
        name = name_of(one.setter)
        async with limit, turn_async(name):
            host = AsyncObjects({one.key: one.setter}, versions.coalescing(one.config))
            update = await converse_async(one.plan, host, one.key)
            assert isinstance(update, Update)
            parts = await asyncio.get_running_loop().run_in_executor(working_pool(), update.run)
            with changing(name):
                await to_the_end(one.setter.delete() if parts is None else one.setter.set(joined(parts)))

    # All are waited for: after an error nothing goes on behind the caller's back.
    for failed in await asyncio.gather(*map(write_one, writes), return_exceptions=True):
        if failed is not None:
            raise failed


def write_by_engine(writes: Sequence[Write], settings: WriteSettings) -> bool:
    """Write by our store; whether it could be done: else the host has to reach the objects, or some of them.

    Raises as `write`.
    """
    if not writes:
        return True
    first = writes[0]

    def tasks(store: Store) -> Iterator[WriteTask]:
        for one in writes:
            strategy = fitting(settings.write_strategy, store, one.chain)
            yield (one if strategy == one.strategy else replace(one, strategy=strategy)).task()

    return run_tasks(first.setter, tasks, settings)


def run_tasks(
    setter: Any,
    tasks: Callable[[Store], Iterable[WriteTask]],
    settings: WriteSettings,
    *,
    folder: str | None = None,
) -> bool:
    """Write objects of one array by our store; whether it could be done, as `write_by_engine`.

    Parameters
    ----------
    setter
        The host's name of one of them, or of the array.
    tasks
        What is to be done, given the store.
    settings
        How.
    folder
        The array's path, if the caller knows it. Else it is looked for.
    """
    store = own_store(setter, durable=settings.durable)
    if store is None:
        return False
    setter.store._check_writable()
    lock = settings.lock
    if lock == "auto" and not locks_names(store) and not writes_conditionally(store):
        lock = None  # there is no way to hold off other processes, and the host does not do so either
    try:
        if folder is None:
            folder = array_folder(store, key_of(setter)) if isinstance(store, LocalStore) else ""
        write_objects(store, tasks(store), folder=folder, lock=lock)
    except StoreError as error:
        if not leads_elsewhere(error):
            raise
        return False
    return True


def fitting(strategy: WriteStrategy, store: Store, chain: CodecChain) -> WriteStrategy:
    """How shards are changed in part: as asked for, if the store and the codecs allow it."""
    try:
        check_strategy(strategy, store, chain)
    except UsageError as refused:
        say_once(f"shards are replaced: {refused.message}")
        return "replace"
    return strategy


def _without_ones(given: Array, shape: Sequence[int]) -> bool:
    return [size for size in given.shape if size != 1] == [size for size in shape if size != 1]
