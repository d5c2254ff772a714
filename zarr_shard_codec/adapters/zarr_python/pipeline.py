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
from zarr_shard_codec.adapters.zarr_python.settings import WriteSettings, pipeline_beneath
from zarr_shard_codec.adapters.zarr_python.stores import AsyncObjects, own_store
from zarr_shard_codec.adapters.zarr_python.turns import name_of, turn_async
from zarr_shard_codec.engine.run import read_objects
from zarr_shard_codec.engine.run_async import read_objects_async
from zarr_shard_codec.stores.protocols import waits_for_network

_SMALL_NBYTES: Final = 1 << 20
"""What is read in less time than another thread needs to wake up and to report back, or not much more."""


@dataclass(frozen=True)
class ShardPipeline(BatchedCodecPipeline):
    """The codecs of a sharded array, built by `from_codecs`; of other arrays the host's own pipeline is.

    What it cannot do by itself it does as the host's default pipeline, from which it derives.
    """

    chains: Chains = field(init=False, repr=False, compare=False)
    settings: WriteSettings = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "chains", Chains(self))
        object.__setattr__(self, "settings", WriteSettings.now())

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
        store = own_store(batch[0][0]) if batch else None
        keys = [str(at) if store is None else item[0].path for at, item in enumerate(batch)]
        selected = reading.prepare(self.chains, batch, keys, out, drop_axes)
        if selected is None or not batch:
            return await super().read(batch, out, drop_axes)
        if store is not None and not waits_for_network(store) and _is_nobody_kept_by(selected):
            read_objects(store, selected.direct)
            return versions.read_results(len(batch), selected.missing)
        for tasks, finish in selected.groups():
            if store is None:
                getters = {key: item[0] for key, item in zip(keys, batch, strict=True)}
                host = AsyncObjects(getters, versions.coalescing(batch[0][1].config))
                await read_objects_async(host, tasks)
            elif waits_for_network(store):
                await read_objects_async(store, tasks)
            else:
                await asyncio.to_thread(read_objects, store, tasks)
            for call in finish:
                call()
        return versions.read_results(len(batch), selected.missing)

    async def write(self, batch_info: Iterable[Any], value: Any, drop_axes: tuple[int, ...] = ()) -> None:
        """Set what is selected of some chunks to parts of `value`."""
        batch = list(batch_info)
        writes = writing.prepare(self.chains, batch, value, drop_axes)
        if writes is None:
            await self._write_by_host(batch, value, drop_axes)
        elif writes:
            await writing.write_async(writes, self.settings, config.get("async.concurrency"))

    async def _write_by_host(self, batch: Sequence[Any], value: Any, drop_axes: tuple[int, ...]) -> None:
        write = super().write
        if self.supports_partial_encode:  # by our codec, which sees to it that writers take turns
            await write(batch, value, drop_axes)
            return

        async def write_one(item: Any) -> None:
            async with turn_async(name_of(item[0])):
                await write([item], value, drop_axes)

        await concurrent_map([(item,) for item in batch], write_one, config.get("async.concurrency"))


def _is_nobody_kept_by(selected: reading.Reading) -> bool:
    """Whether a reading is small, and nothing else waits for this thread: then no other one is worth it."""
    nbytes = selected.nbytes
    ready = getattr(asyncio.get_running_loop(), "_ready", None)
    return nbytes is not None and nbytes <= _SMALL_NBYTES and ready is not None and not ready
