"""One writer at a time for each object, within a process."""

import asyncio
import gc
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.engine import locks
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import MemoryStore

N_ROWS = 8


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path):
    """A store of either kind."""
    return LocalStore(tmp_path) if request.param == "local" else MemoryStore()


def _create(store):
    return zsc.create(
        store, shape=(64, 64), dtype="u2", shard_shape=(32, 32), inner_chunk_shape=(8, 8), path="a"
    )


def _expected():
    return np.repeat(np.arange(1, 65, dtype="u2"), 64).reshape(64, 64)


def test_coroutines_that_write_one_shard_lose_nothing(store):
    """Rows written at once by gather are all there, round after round."""
    array = _create(store)

    async def write_rows():
        await asyncio.gather(*(array.write(row, row + 1) for row in range(64)))

    for _ in range(3):
        array[...] = 0
        asyncio.run(write_rows())
        assert (array[...] == _expected()).all()


def test_threads_that_write_overlapping_shards_neither_lose_nor_wait_for_ever(store):
    """Threads whose writes touch the same four shards, each in part, all come through."""
    array = _create(store)
    with ThreadPoolExecutor(N_ROWS) as pool:
        list(pool.map(lambda row: array.__setitem__(row, row + 1), range(64)))
    assert (array[...] == _expected()).all()


def test_a_file_has_one_lock_however_it_is_reached(tmp_path):
    """Two stores with different roots over one file share its lock; different files do not."""
    outer, inner = LocalStore(tmp_path), LocalStore(tmp_path / "a")
    assert locks.lock_of(outer, "a/c/0") is locks.lock_of(inner, "c/0")
    assert locks.lock_of(outer, "a/c/0") is not locks.lock_of(inner, "c/1")


def test_locks_are_let_go_after_an_error_and_forgotten_after_use(tmp_path):
    """A write that fails holds nothing back, and no lock outlives its users."""
    array = _create(LocalStore(tmp_path))
    array[...] = 1
    shard = tmp_path / "a" / "c" / "0" / "0"
    shard.write_bytes(b"broken")
    with pytest.raises(zsc.CorruptShardError):
        array[0] = 2
    shard.unlink()
    array[0] = 2
    assert (array[0] == 2).all()
    gc.collect()
    assert not locks._locks


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_waits_for_no_lock_of_its_parent(tmp_path):
    """A lock that is taken when the process forks is free in the child."""
    array = _create(LocalStore(tmp_path))
    lock = locks.lock_of(array.store, array.shard_key((0, 0)))
    with lock:
        child = os.fork()
        if child == 0:
            array[0, 0] = 7
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    assert array[0, 0] == 7
