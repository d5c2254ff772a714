"""The ends of calls and of processes: what has begun is over, and what still comes is done."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import numpy as np
import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.core.ranges import WHOLE
from zarr_shard_codec.engine import pool
from zarr_shard_codec.engine.pool import working_pool
from zarr_shard_codec.engine.run import ahead
from zarr_shard_codec.errors import CorruptShardError
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import HeldBytes, MemoryStore


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    """Two threads, however many cores there are."""
    monkeypatch.setenv(pool.THREADS_VARIABLE, "2")


def test_ahead_whose_items_fail_leaves_nothing_running():
    """What came before the item that could not be had is waited for, and no more of it begins."""
    running, begun = [], []

    def work(_):
        begun.append(1)
        running.append(1)
        time.sleep(0.05)
        running.pop()

    def items():
        yield from range(3)
        raise KeyError("no fourth")

    with pytest.raises(KeyError):
        list(ahead(work, items(), working_pool))
    assert running == []
    before = len(begun)
    time.sleep(0.1)
    assert len(begun) == before


def test_a_write_that_fails_is_over(tmp_path, monkeypatch):
    """A shard that is being put while a later one turns out to be broken is there before the error is."""
    array = zsc.create(
        tmp_path, shape=(4 * 2048, 1024), dtype="u2", shard_shape=(2048, 1024), inner_chunk_shape=(64, 64)
    )
    array[...] = 1
    shard = tmp_path / array.shard_key((3, 0))
    shard.write_bytes(shard.read_bytes()[:-1])
    put = LocalStore._put

    def slowly(self, file, key):
        time.sleep(0.1)
        put(self, file, key)

    monkeypatch.setattr(LocalStore, "_put", slowly)
    with pytest.raises(CorruptShardError):
        array[:, 5:1000] = 2
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("c/*/*")}
    assert len(after) == 4
    time.sleep(0.3)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("c/*/*")} == after


LATE = """
import sys, threading, time

def late():
    if sys.argv[1] == "thread":
        threading.main_thread().join()
        time.sleep(0.1)
    work()
    print("good")

if sys.argv[1] == "thread":
    threading.Thread(target=late).start()
else:
    import atexit
    atexit.register(late)
"""
"""Calls `work` once the main thread has ended, or at the end of the process."""

LOCAL = """
import sys
import numpy as np
import zarr_shard_codec as zsc

array = zsc.open(sys.argv[2], mode="r+")
if sys.argv[3] == "used":
    array[...]

def work():
    array[...] = 7
    assert (array[...] == 7).all()
"""


@pytest.mark.parametrize("pools", ["used", "new"])
@pytest.mark.parametrize("when", ["thread", "atexit"])
def test_large_reads_and_writes_at_the_end_of_a_process(tmp_path, when, pools):
    """No pool takes anything any more once the main thread has ended; the values are read and written."""
    array = zsc.create(
        tmp_path, shape=(4 * 512, 512), dtype="u4", shard_shape=(512, 512), inner_chunk_shape=(64, 64)
    )
    array[...] = np.arange(512, dtype="u4")
    run = subprocess.run(
        [sys.executable, "-c", LOCAL + LATE, when, tmp_path, pools],
        check=True,
        capture_output=True,
        text=True,
    )
    assert (run.stdout, run.stderr) == ("good\n", "")
    assert (array[...] == 7).all()


REMOTE = """
import numpy as np
import obstore
import zarr_shard_codec as zsc

layout = {"shape": (4, 4 << 20), "shard_shape": (4, 4 << 20), "inner_chunk_shape": (1, 4 << 20)}
array = zsc.create(obstore.store.MemoryStore(), dtype="u1", codecs=[{"name": "bytes"}], **layout)
array[...] = np.arange(1, 5, dtype="u1")[:, None]

def work():
    assert (array[::3, ::4096] == [[1], [4]]).all()
"""


@pytest.mark.parametrize("when", ["thread", "atexit"])
def test_several_ranges_of_a_remote_object_at_the_end_of_a_process(when):
    """They are asked for one after the other once no thread can be started."""
    run = subprocess.run(
        [sys.executable, "-c", REMOTE + LATE, when], check=True, capture_output=True, text=True
    )
    assert (run.stdout, run.stderr) == ("good\n", "")


def test_an_asynchronous_read_reads_again_what_was_being_changed():
    """A broken chunk of a store whose objects can be written into is an error, never what memory held."""

    class Store(MemoryStore):
        async def read_async(self, key, requests):
            return self.read(key, requests)

        def open_object(self, key):
            found = super().open_object(key)
            return None if found is None else Held(found.version)

        def patch(self, key, patch, version):
            raise NotImplementedError

        def is_in_change(self, _key):
            return False

    class Held(HeldBytes):
        async def read_async(self, requests):
            return self.read(requests)

    store = Store()
    array = zsc.create(store, shape=(64,), dtype="u2", shard_shape=(64,), inner_chunk_shape=(32,))
    array[...] = np.arange(1, 65)
    (key,) = (info.key for info in store.list("") if info.key.startswith("c"))
    store.write(key, [b"\xff" * 16, store.read(key, [WHOLE])[0][16:]])
    with pytest.raises(CorruptShardError):
        array[...]
    with pytest.raises(CorruptShardError):
        asyncio.run(zsc.open(store).read())
