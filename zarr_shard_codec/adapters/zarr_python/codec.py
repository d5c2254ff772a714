"""ShardingCodec: zarr-python's own, its reading and writing done by our core.

Owns the two families of methods by which the host's pipelines call a codec, asynchronous and synchronous. It
is what works without our pipeline: by the setting `codecs.sharding_indexed`, as `serializer=`, by
`register_codec`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np
from zarr.codecs import ShardingCodec as HostShardingCodec

from zarr_shard_codec.adapters.zarr_python import versions, writing
from zarr_shard_codec.adapters.zarr_python.chains import Chains
from zarr_shard_codec.adapters.zarr_python.reading import Reading
from zarr_shard_codec.adapters.zarr_python.selections import Basic, parse
from zarr_shard_codec.adapters.zarr_python.settings import WriteSettings
from zarr_shard_codec.adapters.zarr_python.stores import (
    AsyncObjects,
    SyncObjects,
    joined,
    key_of,
    leads_elsewhere,
    own_store,
    view_of,
)
from zarr_shard_codec.adapters.zarr_python.turns import name_of, turn, turn_async
from zarr_shard_codec.adapters.zarr_python.writing import Write, fit, write_async
from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.core.plans import hold
from zarr_shard_codec.core.selection import whole_box
from zarr_shard_codec.engine.run import ReadTask, read_objects
from zarr_shard_codec.errors import StoreError


class ShardingCodec(HostShardingCodec):
    """The host's codec in all that it says of itself; equal to the host's if its fields are."""

    @classmethod
    def standing_in_for(cls, codec: Any) -> Any:
        """Give this codec in the place of the host's own, and any other as it is."""
        if type(codec) is not HostShardingCodec:
            return codec
        return cls(**{field.name: getattr(codec, field.name) for field in fields(codec)})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HostShardingCodec):
            return NotImplemented
        return all(getattr(self, field.name) == getattr(other, field.name) for field in fields(self))

    __hash__ = HostShardingCodec.__hash__

    async def _decode_single(self, shard_bytes: Any, shard_spec: Any) -> Any:
        chain = self._chain(shard_spec)
        if chain is None:
            return await super()._decode_single(shard_bytes, shard_spec)
        return await asyncio.to_thread(_decode, chain, shard_bytes, shard_spec)

    def _decode_sync(self, shard_bytes: Any, shard_spec: Any) -> Any:
        chain = self._chain(shard_spec)
        if chain is None:
            host: Any = super()
            return host._decode_sync(shard_bytes, shard_spec)
        return _decode(chain, shard_bytes, shard_spec)

    async def _encode_single(self, shard_array: Any, shard_spec: Any) -> Any:
        chain = self._chain(shard_spec)
        if chain is None or not _is_plain(shard_array, shard_spec):
            return await super()._encode_single(shard_array, shard_spec)
        return await asyncio.to_thread(_encode, chain, shard_array)

    def _encode_sync(self, shard_array: Any, shard_spec: Any) -> Any:
        chain = self._chain(shard_spec)
        if chain is None or not _is_plain(shard_array, shard_spec):
            host: Any = super()
            return host._encode_sync(shard_array, shard_spec)
        return _encode(chain, shard_array)

    async def _decode_partial_single(self, byte_getter: Any, selection: Any, shard_spec: Any) -> Any:
        key = key_of(byte_getter)
        found = self._read(key, selection, shard_spec)
        if found is None:
            return await super()._decode_partial_single(byte_getter, selection, shard_spec)
        reading, result = found
        store = own_store(byte_getter)
        host = AsyncObjects({key: byte_getter}, versions.coalescing(shard_spec.config))
        try:
            if store is None:
                await _read_async(reading, host)
            else:
                await asyncio.to_thread(_read_now, reading, partial(read_objects, store))
        except StoreError as error:
            if store is None or not leads_elsewhere(error):
                raise
            await _read_async(reading, host)
        return None if reading.missing else shard_spec.prototype.nd_buffer.from_numpy_array(result[0])

    def _decode_partial_sync(self, byte_getter: Any, selection: Any, shard_spec: Any) -> Any:
        key = key_of(byte_getter)
        found = self._read(key, selection, shard_spec)
        if found is None:
            host: Any = super()
            return host._decode_partial_sync(byte_getter, selection, shard_spec)
        reading, result = found
        host_store = SyncObjects({key: byte_getter}, versions.coalescing(shard_spec.config))
        try:
            store = own_store(byte_getter)
            _read_now(reading, host_store.run if store is None else partial(read_objects, store))
        except StoreError as error:
            if not leads_elsewhere(error):
                raise
            _read_now(reading, host_store.run)
        return None if reading.missing else shard_spec.prototype.nd_buffer.from_numpy_array(result[0])

    async def _encode_partial_single(
        self, byte_setter: Any, shard_array: Any, selection: Any, shard_spec: Any
    ) -> None:
        writes = self._writes(byte_setter, shard_array, selection, shard_spec)
        if writes is not None:
            await write_async(writes, WriteSettings.now(), concurrency=1)
            return
        async with turn_async(name_of(byte_setter)):
            await super()._encode_partial_single(byte_setter, shard_array, selection, shard_spec)

    def _encode_partial_sync(self, byte_setter: Any, value: Any, selection: Any, shard_spec: Any) -> None:
        writes = self._writes(byte_setter, value, selection, shard_spec)
        if writes is not None:
            writing.write(writes, WriteSettings.now())
            return
        host: Any = super()
        with turn(name_of(byte_setter)):
            host._encode_partial_sync(byte_setter, value, selection, shard_spec)

    def _chain(self, spec: Any) -> CodecChain | None:
        chains = self.__dict__.get("_chains")
        if chains is None:
            chains = Chains([self])
            object.__setattr__(self, "_chains", chains)
        found: CodecChain | None = chains.get(spec)
        return found

    def _read(self, key: str, selection: Any, spec: Any) -> tuple[Reading, list[np.ndarray[Any, Any]]] | None:
        """What to read, and a list that will hold the result."""
        chain = self._chain(spec)
        wanted = None if chain is None else parse(selection, spec.shape)
        if chain is None or wanted is None:
            return None
        reading = Reading()
        result: list[np.ndarray[Any, Any]] = []
        if isinstance(wanted, Basic):
            result.append(np.empty(wanted.shape, spec.dtype.to_native_dtype(), spec.order))
            reading.add(key, chain, wanted.box, result[0][(*wanted.to_box, ...)], complete=False)
        else:
            reading.add_picking(key, chain, wanted, result.append)
        return reading, result

    def _writes(self, setter: Any, value: Any, selection: Any, spec: Any) -> list[Write] | None:
        chain = self._chain(spec)
        wanted = None if chain is None else parse(selection, spec.shape)
        if chain is None or wanted is None or not _is_plain(value, spec):
            return None
        fitted = fit(value.as_ndarray_like(), wanted.shape, (), chain.spec.dtype)
        return [Write(setter, spec.config, chain, wanted, fitted)] if fitted.size else []


def _is_plain(value: Any, spec: Any) -> bool:
    return isinstance(value.as_ndarray_like(), np.ndarray) and not spec.config.write_empty_chunks


def _read_now(reading: Reading, run: Callable[[list[ReadTask]], None]) -> None:
    for tasks, finish in reading.groups():
        run(tasks)
        for call in finish:
            call()


async def _read_async(reading: Reading, host: AsyncObjects) -> None:
    for tasks, finish in reading.groups():
        await host.run_async(tasks)
        for call in finish:
            call()


def _decode(chain: CodecChain, encoded: Any, spec: Any) -> Any:
    target = np.empty(spec.shape, spec.dtype.to_native_dtype(), spec.order)
    plan = chain.plan_read(whole_box(spec.shape), target, spec.shape)
    for job in hold(plan, view_of(encoded)) or []:
        job.run()
    return spec.prototype.nd_buffer.from_numpy_array(target)


def _encode(chain: CodecChain, array: Any) -> Any:
    value = array.as_ndarray_like().astype(chain.spec.dtype, copy=False)
    plan = chain.plan_write(whole_box(value.shape), value, value.shape)
    parts = hold(plan, None).run()
    return None if parts is None else joined(parts)
