"""ShardPipeline: zarr-python's codec pipeline, sharded arrays read and written by our engine.

Owns which way a selection goes: to our engine and stores for local files and obstore's stores, to our plans
over the host's calls for any other store, to the host for what ours lacks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from zarr.codecs import ShardingCodec as HostShardingCodec
from zarr.core.codec_pipeline import BatchedCodecPipeline
from zarr.core.common import concurrent_map
from zarr.core.config import config

from zarr_shard_codec.adapters.zarr_python import reading, versions, writing
from zarr_shard_codec.adapters.zarr_python.chains import Chains
from zarr_shard_codec.adapters.zarr_python.codec import ShardingCodec
from zarr_shard_codec.adapters.zarr_python.settings import pipeline_beneath
from zarr_shard_codec.adapters.zarr_python.stores import AsyncObjects, own_store
from zarr_shard_codec.adapters.zarr_python.turns import name_of, turn_async
from zarr_shard_codec.engine.run import read_objects
from zarr_shard_codec.engine.run_async import read_objects_async
from zarr_shard_codec.engine.writing import write_objects
from zarr_shard_codec.stores.protocols import Store, waits_for_network

_SMALL_NBYTES: Final = 1 << 20
"""What is read in less time than another thread needs to wake up and to report back, or not much more."""


@dataclass(frozen=True)
class ShardPipeline(BatchedCodecPipeline):
    """The codecs of a sharded array, built by `from_codecs`; of other arrays the host's own pipeline is.

    What it cannot do by itself it does as the host's default pipeline, from which it derives.
    """

    chains: Chains = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "chains", Chains(self))

    @classmethod
    def from_codecs(cls, codecs: Iterable[Any], *, batch_size: int | None = None) -> Self:
        """Build the pipeline for some codecs."""
        given = tuple(codecs)
        if not any(isinstance(codec, HostShardingCodec) for codec in given):
            return pipeline_beneath().from_codecs(given)  # type: ignore[no-any-return]
        own = [ShardingCodec.standing_in_for(codec) for codec in given]
        return super().from_codecs(own, batch_size=batch_size)

    async def read(self, batch_info: Iterable[Any], out: Any, drop_axes: tuple[int, ...] = ()) -> Any:
        """Read what is selected of some chunks into `out`."""
        batch = list(batch_info)
        reads = reading.prepare(self.chains, batch, out, drop_axes)
        if reads is None or not batch:
            return await super().read(batch, out, drop_axes)
        store = own_store(batch[0][0])
        keys = [getter.path if store else str(at) for at, (getter, *_) in enumerate(batch)]
        for tasks, finish in reading.task_groups(reads, keys):
            if store is None:
                getters = dict(zip(keys, (getter for getter, *_ in batch), strict=True))
                host = AsyncObjects(getters, versions.coalescing(batch[0][1].config))
                await read_objects_async(host, tasks)
            elif waits_for_network(store):
                await read_objects_async(store, tasks)
            elif _is_small(reads) and len(asyncio.all_tasks()) == 1:
                read_objects(store, tasks)  # nobody else waits for this loop
            else:
                await asyncio.to_thread(read_objects, store, tasks)
            for call in finish:
                call()
        return versions.read_results([read.missing for read in reads])

    async def write(self, batch_info: Iterable[Any], value: Any, drop_axes: tuple[int, ...] = ()) -> None:
        """Set what is selected of some chunks to parts of `value`."""
        batch = list(batch_info)
        writes = writing.prepare(self.chains, batch, value, drop_axes)
        store = own_store(batch[0][0]) if batch else None
        if writes is None:
            await self._write_by_host(batch, value, drop_axes)
        elif store is None:
            await _write_by_calls(batch, writes)
        else:
            batch[0][0].store._check_writable()
            await asyncio.to_thread(_write_now, store, batch, writes)

    async def _write_by_host(self, batch: Sequence[Any], value: Any, drop_axes: tuple[int, ...]) -> None:
        write = super().write

        async def write_one(item: Any) -> None:
            async with turn_async(name_of(item[0])):
                await write([item], value, drop_axes)

        await concurrent_map([(item,) for item in batch], write_one, config.get("async.concurrency"))


def _is_small(reads: Sequence[reading.Read]) -> bool:
    return len(reads) == 1 and reads[0].nbytes <= _SMALL_NBYTES


def _write_now(store: Store, batch: Sequence[Any], writes: Sequence[writing.Write]) -> None:
    write_objects(store, (write.task(setter.path) for write, (setter, *_) in zip(writes, batch, strict=True)))


async def _write_by_calls(batch: Sequence[Any], writes: Sequence[writing.Write]) -> None:
    async def write_one(setter: Any, spec: Any, write: writing.Write) -> None:
        async with turn_async(name_of(setter)):
            host = AsyncObjects({setter.path: setter}, versions.coalescing(spec.config))
            await writing.write_async(host, write, setter.path)

    items = [(setter, spec, write) for (setter, spec, *_), write in zip(batch, writes, strict=True)]
    await concurrent_map(items, write_one, config.get("async.concurrency"))
