"""The sharding codec of Zarr v3: encode, decode, read and write in part, pack, inspect, verify."""

from importlib import import_module
from typing import TYPE_CHECKING

from zarr_shard_codec.errors import (
    CorruptShardError,
    MetadataError,
    NodeExistsError,
    NodeNotFoundError,
    PackingError,
    Problem,
    SelectionError,
    StoreError,
    UsageError,
    ZarrShardError,
)

__all__ = [
    "CorruptShardError",
    "LocalStore",
    "MemoryStore",
    "MetadataError",
    "NodeExistsError",
    "NodeNotFoundError",
    "ObjectStore",
    "PackingError",
    "Problem",
    "SelectionError",
    "ShardedArray",
    "ShardingCodec",
    "StoreError",
    "UsageError",
    "ZarrShardError",
    "compact",
    "create",
    "create_async",
    "enable",
    "inspect",
    "open",
    "open_async",
    "pack",
    "repair",
    "unpack",
    "verify",
]

# All but the errors is loaded when it is first asked for: reading needs no packing, `--help` no NumPy.
if TYPE_CHECKING:
    from zarr_shard_codec.adapters.zarr_python import enable
    from zarr_shard_codec.array.array import ShardedArray
    from zarr_shard_codec.array.compacting import compact
    from zarr_shard_codec.array.opening import create, create_async, open, open_async  # noqa: A004
    from zarr_shard_codec.array.repairing import repair
    from zarr_shard_codec.array.surveys import inspect, verify
    from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
    from zarr_shard_codec.packing.run import pack, unpack
    from zarr_shard_codec.stores.local import LocalStore
    from zarr_shard_codec.stores.memory import MemoryStore
    from zarr_shard_codec.stores.object_store import ObjectStore
else:
    _HOMES = {
        "LocalStore": "stores.local",
        "MemoryStore": "stores.memory",
        "ObjectStore": "stores.object_store",
        "ShardedArray": "array.array",
        "ShardingCodec": "codecs.sharding_indexed",
        "compact": "array.compacting",
        "create": "array.opening",
        "create_async": "array.opening",
        "enable": "adapters.zarr_python",
        "inspect": "array.surveys",
        "open": "array.opening",
        "open_async": "array.opening",
        "pack": "packing.run",
        "repair": "array.repairing",
        "unpack": "packing.run",
        "verify": "array.surveys",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOMES})
