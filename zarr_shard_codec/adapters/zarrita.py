"""zarrita (Python): its sharded arrays go through our core once `enable()` was called.

Owns the codec that takes the place of zarrita's, and how zarrita's stores look to the engine. Selections,
metadata and arrays without shards stay zarrita's. Its list of codecs is closed, so that the factory of its
own codec has to be replaced.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import lru_cache, partial
from typing import Any, Final, Self, TypeVar

import numpy as np

from zarr_shard_codec.adapters.places import array_folder, local_store
from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.core.config import NAME
from zarr_shard_codec.core.data_types import coerce_fill_value
from zarr_shard_codec.core.plans import deleted
from zarr_shard_codec.core.protocols import ChunkSpec
from zarr_shard_codec.core.ranges import WHOLE, Buffer, ByteRange, Coalescing, Request, Suffix, clamp
from zarr_shard_codec.core.selection import new_block, parse_selection
from zarr_shard_codec.engine.locks import lock_of
from zarr_shard_codec.engine.pool import waiting_pool
from zarr_shard_codec.engine.run import ReadTask, read_objects
from zarr_shard_codec.engine.writing import WriteTask, write_objects
from zarr_shard_codec.errors import MetadataError, UsageError
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.protocols import Objects

try:
    import attr
    from zarrita.array import Array as HostArray
    from zarrita.sharding import ShardingCodec as HostShardingCodec
    from zarrita.store import LocalStore as HostLocalStore
except ImportError as error:
    raise UsageError(
        "missing_extra",
        "zarrita (Python) is not installed",
        hint="pip install 'zarr-shard-codec[zarrita]', with Python 3.11",
    ) from error

__all__ = ["ShardingCodec", "disable", "enable"]

T = TypeVar("T")
_Array = np.ndarray[Any, Any]

_LOG: Final = logging.getLogger("zarr_shard_codec")
_said: set[str] = set()

_COALESCING: Final = Coalescing(largest_gap=1 << 20, largest_read=16 << 20)
"""zarrita's stores do not say where they are; over a network, a megabyte costs about what a request does."""


@attr.frozen
class ShardingCodec(HostShardingCodec):
    """zarrita's sharding codec, reading and writing through our core.

    Attributes
    ----------
    chain
        The shard's codecs: our sharding codec alone.
    """

    chain: CodecChain = attr.field(init=False, eq=False, repr=False)

    @classmethod
    def from_metadata(cls, codec_metadata: Any, array_metadata: Any) -> Any:
        """Build the codec; zarrita's own, and a line in the log, where ours lacks a codec within it."""
        try:
            built: Self = _host_from_metadata(cls, codec_metadata, array_metadata)
        except MetadataError as error:
            reason = "; ".join(problem.message for problem in error.problems)
            if reason not in _said:
                _said.add(reason)
                _LOG.warning("zarrita's own sharding is used: %s", reason)
            return _host_from_metadata(HostShardingCodec, codec_metadata, array_metadata)
        return built

    def __attrs_post_init__(self) -> None:
        array = self.array_metadata
        fill_value = coerce_fill_value(array.fill_value, array.dtype)
        configuration = _as_json(self.configuration, len(array.chunk_shape))
        chain = _build(json.dumps(configuration), tuple(array.chunk_shape), array.dtype, fill_value.tobytes())
        object.__setattr__(self, "chain", chain)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel without the chain, which is built anew."""
        fields = attr.fields(HostShardingCodec)
        return type(self), tuple(getattr(self, field.name) for field in fields)

    async def decode(self, shard_bytes: Buffer) -> _Array:
        """Decode a whole shard. Raises as `codecs`' `ShardingCodec.decode`."""
        return await _in_thread(partial(self.chain.decode, shard_bytes))

    async def encode(self, shard_array: _Array) -> Buffer:
        """Encode a whole shard."""
        return await _in_thread(partial(self.chain.encode, shard_array))

    async def decode_partial(self, store_path: Any, selection: Any) -> _Array:
        """Read a selection of a stored shard; all fill value if there is none.

        Raises
        ------
        CorruptShardError
            What is wrong with the shard, with its key and inner chunk.
        """
        spec = self.chain.spec
        box = parse_selection(selection, spec.shape).box
        block = new_block(box, spec.dtype)
        plan = partial(self.chain.plan_read, box, block, spec.shape)
        task = ReadTask(store_path.path, plan, block, spec.fill_value, self.chain.reads_in_bulk)
        await _in_thread(partial(read_objects, _engine_store(store_path.store), [task]))
        return block

    async def encode_partial(self, store_path: Any, shard_array: _Array, selection: Any) -> None:
        """Write a selection of a stored shard; a shard of nothing but fill value is deleted.

        Raises
        ------
        CorruptShardError
            The shard is to be changed in part, and broken; it is left as it is.
        """
        spec = self.chain.spec
        box = parse_selection(selection, spec.shape).box
        value = shard_array.astype(spec.dtype, copy=False)
        plan = partial(self.chain.plan_write, box, value, spec.shape)
        task = WriteTask(store_path.path, plan, value.nbytes)
        await _in_thread(partial(_write, store_path.store, _engine_store(store_path.store), task))


class _HostStore:
    """One of zarrita's stores as the engine's `Store`, for threads beside the loop where this is made."""

    def __init__(self, store: Any) -> None:
        self.coalescing = _COALESCING
        self._store: Final = store
        self._loop: Final = asyncio.get_running_loop()

    def __str__(self) -> str:
        return f"zarrita's {type(self._store).__name__}"

    def read(self, key: str, requests: Sequence[Request]) -> list[Buffer] | None:
        """One buffer a request; None if there is no object."""
        found = self._wait(self._gather(key, requests))
        present = [buffer for buffer in found if buffer is not None]
        if not present:
            return None
        if len(present) < len(found):
            raise deleted()
        return present

    def write(self, key: str, parts: Sequence[Buffer]) -> None:
        """Replace the object."""
        self._wait(self._store.set_async(key, b"".join(parts)))

    def delete(self, key: str) -> None:
        """Remove the object; it need not exist."""
        self._wait(self._store.delete_async(key))

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _gather(self, key: str, requests: Sequence[Request]) -> Sequence[Buffer | None]:
        return await asyncio.gather(*(self._get(key, request) for request in requests))

    async def _get(self, key: str, request: Request) -> Buffer | None:
        found: Buffer | None
        try:
            if isinstance(request, ByteRange):
                found = await self._store.get_async(key, (request.offset, request.offset + request.nbytes))
            elif isinstance(request, Suffix):
                found = await self._store.get_async(key, (-request.nbytes, None))
            else:
                found = await self._store.get_async(key)
        except (OSError, ValueError):
            if request == WHOLE:
                raise
            # Object stores refuse a range that lies past the end, each with an error of its own.
            whole = await self._store.get_async(key)
            found = None if whole is None else memoryview(whole)[slice(*clamp(request, len(whole)))]
        return found


def _engine_store(store: Any) -> Objects:
    """Our store for one of zarrita's: files are read and written without zarrita."""
    # Only exactly zarrita's own class: whoever derives from it may have changed what reading means.
    return local_store(str(store.root)) if type(store) is HostLocalStore else _HostStore(store)


def _write(host_store: Any, store: Objects, task: WriteTask) -> None:
    if isinstance(store, LocalStore):
        write_objects(store, [task], folder=array_folder(store, task.key), lock="auto")
        return
    with lock_of(host_store, task.key):  # `store` is another one at each call
        write_objects(store, [task])


async def _in_thread(function: Callable[[], T]) -> T:
    # Not the loop's own threads: stores may need those, while ours wait for the stores.
    return await asyncio.get_running_loop().run_in_executor(waiting_pool(), function)


def _as_json(configuration: Any, ndim: int) -> dict[str, Any]:
    document: dict[str, Any] = attr.asdict(configuration)
    document["index_location"] = configuration.index_location.value
    for codec in (*document["codecs"], *document["index_codecs"]):
        if codec["name"] == "transpose":
            # zarrita still takes and writes the words that the specification had for two of the orders.
            words = {"C": list(range(ndim)), "F": list(range(ndim))[::-1]}
            order = codec["configuration"]["order"]
            codec["configuration"]["order"] = words[order] if isinstance(order, str) else list(order)
        elif codec["name"] == NAME:
            nested = next(inner for inner in configuration.codecs if inner.name == NAME)
            codec["configuration"] = _as_json(nested.configuration, ndim)
    return document


@lru_cache(maxsize=256)
def _build(configuration: str, shape: tuple[int, ...], dtype: np.dtype[Any], fill_value: bytes) -> CodecChain:
    # One chain for all arrays that are alike, so that indexes which were read for one serve the next, which
    # is the same array opened again.
    spec = ChunkSpec(shape, dtype, np.frombuffer(fill_value, dtype).reshape(()))
    return CodecChain.from_metadata([{"name": NAME, "configuration": json.loads(configuration)}], spec)


_codec_class: Final[Any] = HostShardingCodec
_array_class: Final[Any] = HostArray
_host_from_metadata: Final = _codec_class.__dict__["from_metadata"].__func__
_host_write_chunk: Final = _array_class._write_chunk_to_store


async def _write_chunk(self: Any, store_path: Any, chunk_array: _Array) -> None:
    """Write a whole shard as a part of one is written: atomically, and in turn with other writers."""
    codecs = self.codec_pipeline.codecs
    if len(codecs) == 1 and isinstance(codecs[0], ShardingCodec):
        await codecs[0].encode_partial(store_path, chunk_array, ...)
    else:
        await _host_write_chunk(self, store_path, chunk_array)


class _Enabled:
    """What `enable` returns: used as a context manager, it turns the adapter off again at its end."""

    def __init__(self, *, was_enabled: bool) -> None:
        self._was_enabled = was_enabled

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if not self._was_enabled:
            disable()


def enable() -> _Enabled:
    """Let zarrita's sharded arrays that are opened or created from now on go through our core.

    Files and metadata stay what they were. Unsharded arrays are left to zarrita, and so are shards with a
    codec that ours lacks (which the log names, once). A statement works for good; with `with`, it ends with
    the block.

    On local files, a shard is replaced atomically, and writers of one shard take turns.
    """
    was_enabled = _array_class._write_chunk_to_store is _write_chunk
    _codec_class.from_metadata = classmethod(_from_metadata)
    _array_class._write_chunk_to_store = _write_chunk
    return _Enabled(was_enabled=was_enabled)


def disable() -> None:
    """Undo `enable`, for arrays that are opened or created from now on."""
    _codec_class.from_metadata = classmethod(_host_from_metadata)
    _array_class._write_chunk_to_store = _host_write_chunk


def _from_metadata(cls: type[Any], codec_metadata: Any, array_metadata: Any) -> Any:  # noqa: ARG001
    return ShardingCodec.from_metadata(codec_metadata, array_metadata)
