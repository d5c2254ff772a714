"""How an array is written: strategy, durability and locks, chosen at run time.

Owns which choices an array and its store allow, and says no before anything is written.
"""

from __future__ import annotations

from typing import Any, get_args

from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.codecs.crc32c import Crc32cCodec
from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core.writing import WriteStrategy
from zarr_shard_codec.engine.locks import Locking
from zarr_shard_codec.errors import UsageError
from zarr_shard_codec.stores.protocols import Store, patches_objects

__all__ = ["Locking", "WriteStrategy", "check_strategy", "check_write_options"]


def check_write_options(write_strategy: Any, durable: Any, lock: Any) -> None:
    """Raise `UsageError` (`invalid_argument`) for options that mean nothing."""
    strategies = get_args(WriteStrategy)
    if write_strategy not in strategies:
        expected = ", ".join(map(repr, strategies))
        raise UsageError(
            "invalid_argument", f"write_strategy: expected one of {expected}, found {write_strategy!r:.80}"
        )
    if not isinstance(durable, bool):
        raise UsageError("invalid_argument", f"durable: expected True or False, found {durable!r:.80}")
    if not (lock is None or lock == "auto" or callable(lock)):
        raise UsageError(
            "invalid_argument", f'lock: expected "auto", None or a factory of locks, found {lock!r:.80}'
        )


def check_strategy(write_strategy: WriteStrategy, store: Store, chain: CodecChain) -> None:
    """Raise `UsageError` (`invalid_argument`) if shards of this chain can't be written into in this store."""
    if write_strategy == "replace":
        return
    codec = chain.array_bytes
    if not patches_objects(store):
        problem = f"files can be written into, but not the objects of {store}"
    elif not isinstance(codec, ShardingCodec):
        problem = "the array has no shards"
    elif chain.partial is None:
        problem = "there are codecs around the shard, so that a change of a part changes all of its bytes"
    else:
        problem = _no_append(codec) if write_strategy == "append" else _no_overwrite(codec)
    if problem:
        raise UsageError(
            "invalid_argument",
            f'write_strategy="{write_strategy}": {problem}',
            hint='write_strategy="replace" always works.',
        )


def _no_append(codec: ShardingCodec) -> str:
    """Why torn appends to such shards could not be told from whole ones; empty if they can."""
    if codec.index_location != "end":
        return "the index stands at the start of the shard, and would have to be overwritten"
    if not any(isinstance(index_codec, Crc32cCodec) for index_codec in codec.index_chain.bytes_bytes):
        return "the index has no checksum (crc32c among index_codecs), which tells a torn write"
    inner = codec.inner.array_bytes
    while isinstance(inner, ShardingCodec):
        if inner.index_nbytes == codec.index_nbytes:
            return "inner chunks are shards whose index could be taken for the outer one after a torn write"
        inner = inner.inner.array_bytes
    return ""


def _no_overwrite(codec: ShardingCodec) -> str:
    if codec.inner.encoded_nbytes is None:
        return "encoded inner chunks vary in size (they are compressed), and have no place of their own"
    return ""
