"""Code of somebody who uses the package and a type checker; test_consumer.py has it checked."""

from typing import assert_type

import zarr_shard_codec as zsc
from zarr_shard_codec.array.surveys import Inspection, Verification
from zarr_shard_codec.packing import Report
from zarr_shard_codec.stores.memory import MemoryStore


def use(path: str) -> int:
    """Call what most people call."""
    array = zsc.create(path, shape=(4,), dtype="u1", shard_shape=(4,), inner_chunk_shape=(2,))
    assert_type(array, zsc.ShardedArray)
    assert_type(zsc.open(MemoryStore(), "r+"), zsc.ShardedArray)
    report = zsc.pack(path, "target", shard_size="64MiB")
    assert_type(report, Report)
    assert_type(zsc.unpack("target", "back", check=True), Report)
    assert_type(zsc.inspect(path), Inspection)
    assert_type(zsc.verify(path, index_only=True), Verification)
    try:
        return len(zsc.verify(path).errors)
    except zsc.ZarrShardError as error:
        print(error.reason)  # noqa: T201
    return 0


async def use_async(path: str) -> None:
    """Call what others call."""
    assert_type(await zsc.open_async(path), zsc.ShardedArray)


# What is wrong is found: mypy --strict reports an "ignore" that it does not need.
zsc.opne("path")  # type: ignore[attr-defined]
zsc.open("path", "w")  # type: ignore[arg-type]
zsc.pack("source")  # type: ignore[call-arg]
zsc.verify("path", True)  # type: ignore[call-arg]  # noqa: FBT003
