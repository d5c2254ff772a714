"""Arrays that several threads, or coroutines, read and write at once."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.core.ranges import WHOLE
from zarr_shard_codec.stores.memory import MemoryStore

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


def _create(store, shape=(10, 9), shard=(4, 6), inner=(2, 3), dtype="int32", **options):
    return zsc.create(store, shape=shape, dtype=dtype, shard_shape=shard, inner_chunk_shape=inner, **options)


def _same(one, other):
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()


def test_ten_threads_read_at_once(tmp_path):
    """Readers do not disturb each other, whatever they share."""
    array = _create(tmp_path, shape=(200, 200), shard=(50, 50), inner=(10, 10))
    model = np.arange(40000, dtype="i4").reshape(200, 200)
    array[...] = model
    barrier = threading.Barrier(10)

    def read(seed):
        random = np.random.default_rng(seed)
        barrier.wait()
        for _ in range(20):
            y, x, height, width = random.integers(1, 150, 4)
            assert _same(array[y : y + height, x : x + width], model[y : y + height, x : x + width])
        return True

    with ThreadPoolExecutor(10) as threads:
        assert all(threads.map(read, range(10)))


def test_an_error_leaves_nothing_running():
    """When one object fails, the call does not return before what it began has ended."""
    running = []

    class Slow(MemoryStore):
        def write(self, key, parts):
            running.append(key)
            threading.Event().wait(0.02)
            if key == "c/3":
                running.remove(key)
                raise zsc.StoreError("store_failure", "full")
            super().write(key, parts)
            running.remove(key)

    array = _create(Slow(), shape=(1 << 22,), shard=(1 << 18,), inner=(1 << 18,), codecs=[LITTLE])
    with pytest.raises(zsc.StoreError):
        array[...] = 1
    assert running == []


def test_async_reads_and_writes_run_side_by_side():
    """Many reads and writes wait together on one event loop, over a store that needs no thread to wait."""
    import obstore

    from zarr_shard_codec.stores.object_store import ObjectStore

    model = np.arange(64 * 64, dtype="i4").reshape(64, 64)

    async def main():
        store = ObjectStore(obstore.store.MemoryStore())
        array = await zsc.create_async(
            store, shape=(64, 64), dtype="i4", shard_shape=(16, 16), inner_chunk_shape=(4, 4)
        )
        rows = [slice(at, at + 16) for at in range(0, 64, 16)]
        await asyncio.gather(*(array.write(row, model[row]) for row in rows))
        again = await zsc.open_async(store)
        parts = await asyncio.gather(*(again.read((slice(at, at + 9), -at - 1)) for at in range(50)))
        assert all(_same(part, model[at : at + 9, -at - 1]) for at, part in enumerate(parts))
        assert _same(await again.read(), model)
        assert _same(await again.read((3, ..., 4)), model[3, ..., 4])
        with pytest.raises(zsc.SelectionError):
            await again.read(64)
        with pytest.raises(zsc.UsageError):
            await again.write(0, 1)
        return array

    array = asyncio.run(main())
    assert _same(array[5:50:7, ::-1], model[5:50:7, ::-1])


def test_async_errors_are_the_same_errors():
    """Damage that an async read finds has reason, key and inner chunk, and is no ExceptionGroup."""
    import obstore

    from zarr_shard_codec.stores.object_store import ObjectStore

    store = ObjectStore(obstore.store.MemoryStore())
    array = _create(store, codecs=[LITTLE, {"name": "crc32c"}])
    array[...] = 1
    encoded = bytearray(store.read("c/1/0", [WHOLE])[0])
    encoded[0] ^= 1
    store.write("c/1/0", [encoded])
    for selection in (..., (4, 0)):
        with pytest.raises(zsc.CorruptShardError) as caught:
            asyncio.run(array.read(selection))
        error = caught.value
        assert (error.reason, error.key, error.inner_chunk) == (
            "inner_chunk_checksum_mismatch",
            "c/1/0",
            (0, 0),
        )
