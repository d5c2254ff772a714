"""The sharding codec of Zarr v3: encode, decode, read and write in part, pack, inspect, verify."""

from zarr_shard_codec.array.array import ShardedArray
from zarr_shard_codec.array.opening import create, create_async, open, open_async  # noqa: A004
from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
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
    "MetadataError",
    "NodeExistsError",
    "NodeNotFoundError",
    "PackingError",
    "Problem",
    "SelectionError",
    "ShardedArray",
    "ShardingCodec",
    "StoreError",
    "UsageError",
    "ZarrShardError",
    "create",
    "create_async",
    "open",
    "open_async",
]
