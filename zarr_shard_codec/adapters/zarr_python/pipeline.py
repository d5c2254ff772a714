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

from zarr_shard_codec.adapters.zarr_python import here, reading, versions, writing
from zarr_shard_codec.adapters.zarr_python.chains import Chains
from zarr_shard_codec.adapters.zarr_python.codec import ShardingCodec
from zarr_shard_codec.adapters.zarr_python.direct import Direct
from zarr_shard_codec.adapters.zarr_python.here import NeedsLoopError
from zarr_shard_codec.adapters.zarr_python.settings import WriteSettings, pipeline_beneath
from zarr_shard_codec.adapters.zarr_python.stores import (
    AsyncObjects,
    is_local,
    key_of,
    leads_elsewhere,
    own_store,
)
from zarr_shard_codec.adapters.zarr_python.turns import name_of, turn_async
from zarr_shard_codec.engine.run import ReadTask, read_objects
from zarr_shard_codec.engine.run_async import read_objects_async
from zarr_shard_codec.errors import StoreError
from zarr_shard_codec.stores.protocols import Store, waits_for_network

_SMALL_NBYTES: Final = 1 << 20
"""What is read in less time than another thread needs to wake up and to report back, or not much more."""


@dataclass(frozen=True)
class ShardPipeline(BatchedCodecPipeline):
    """The codecs of a sharded array, built by `from_codecs`; of other arrays the host's own pipeline is.

    What it cannot do by itself it does as the host's default pipeline, from which it derives.
    """

    chains: Chains = field(init=False, repr=False, compare=False)
    direct: Direct = field(init=False, repr=False, compare=False)
    settings: WriteSettings = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "chains", Chains(self))
        object.__setattr__(self, "direct", Direct(self.chains))
        object.__setattr__(self, "settings", WriteSettings.now())
        here.install()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        here.install()

    @classmethod
    def from_codecs(cls, codecs: Iterable[Any], *, batch_size: int | None = None) -> Self:
        """Build the pipeline for some codecs."""
        given = tuple(codecs)
        if not any(isinstance(codec, HostShardingCodec) for codec in given):
            return pipeline_beneath().from_codecs(given)  # type: ignore[no-any-return]
        own = [ShardingCodec.standing_in_for(codec) for codec in given]
        return super().from_codecs(own, batch_size=batch_size)

    def runs_here(self, store_path: Any) -> bool:
        """Whether the array's objects can be read and written without an event loop. See `here`."""
        return is_local(store_path)

    async def read(self, batch_info: Iterable[Any], out: Any, drop_axes: tuple[int, ...] = ()) -> Any:
        """Read what is selected of some chunks into `out`."""
        at_once = here.is_here()
        batch = list(batch_info)
        store = own_store(batch[0][0]) if batch else None
        keys = [key_of(item[0]) or str(at) for at, item in enumerate(batch)]
        selected = reading.prepare(self.chains, batch, keys, out, drop_axes)
        if selected is None or not batch:
            if at_once:
                raise NeedsLoopError
            return await super().read(batch, out, drop_axes)
        host = AsyncObjects(
            {key: item[0] for key, item in zip(keys, batch, strict=True)},
            versions.coalescing(batch[0][1].config),
        )
        for tasks, finish in selected.groups():
            await _run(store, host, tasks, at_once=at_once, small=_is_small(selected))
            for call in finish:
                call()
        return versions.read_results(len(batch), selected.missing)

    async def write(self, batch_info: Iterable[Any], value: Any, drop_axes: tuple[int, ...] = ()) -> None:
        """Set what is selected of some chunks to parts of `value`."""
        at_once = here.is_here()
        batch = list(batch_info)
        writes = writing.prepare(self.chains, batch, value, drop_axes)
        if at_once:
            if writes is None or not writing.write_by_engine(writes, self.settings):
                raise NeedsLoopError
        elif writes is None:
            await self._write_by_host(batch, value, drop_axes)
        else:
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


async def _run(
    store: Store | None, host: AsyncObjects, tasks: list[ReadTask], *, at_once: bool, small: bool
) -> None:
    try:
        if at_once:
            if store is None:
                raise NeedsLoopError
            read_objects(store, tasks)
        elif store is None:
            await host.run_async(tasks)
        elif waits_for_network(store):
            await read_objects_async(store, tasks)
        elif small and _nobody_waits():
            read_objects(store, tasks)
        else:
            await asyncio.to_thread(read_objects, store, tasks)
    except StoreError as error:
        if store is None or not leads_elsewhere(error):
            raise
        if at_once:
            raise NeedsLoopError from None
        await host.run_async(tasks)


def _is_small(selected: reading.Reading) -> bool:
    return selected.nbytes is not None and selected.nbytes <= _SMALL_NBYTES


def _nobody_waits() -> bool:
    """Whether this thread has nothing else to do now: then no other one is worth a small read."""
    ready = getattr(asyncio.get_running_loop(), "_ready", None)
    return ready is not None and not ready
