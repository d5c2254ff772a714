"""Selections without a turn of zarr-python's event loop: where that is so, and what still takes one."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import pickle
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import zarr
import zarr.core.sync
from zarr.codecs import ZstdCodec

import zarr_shard_codec as zsc
from zarr_shard_codec.adapters.zarr_python import here, pipeline, reading, stores, versions
from zarr_shard_codec.errors import CorruptShardError

DATA = np.arange(24 * 30, dtype="int32").reshape(24, 30)
OPTIONS = {"shape": DATA.shape, "dtype": DATA.dtype, "chunks": (2, 5), "shards": (8, 10)}


@pytest.fixture
def turns(monkeypatch):
    """What is handed to an event loop in another thread from now on."""
    seen = []
    hand_over = asyncio.run_coroutine_threadsafe

    def counted(coro, loop):
        seen.append(coro.__qualname__)
        return hand_over(coro, loop)

    monkeypatch.setattr(zarr.core.sync.asyncio, "run_coroutine_threadsafe", counted)
    return seen


@pytest.fixture
def array(tmp_path):
    """An array in local files, under our pipeline."""
    with zsc.enable():
        array = zarr.create_array(tmp_path / "a.zarr", **OPTIONS, compressors=ZstdCodec(level=1))
    array[...] = DATA
    return array


def test_every_selection_of_local_files_is_read_and_written_where_it_is_asked_for(array, turns):
    """No kind of selection, small or large, takes a turn of the loop."""
    expected = DATA.copy()
    mask = DATA % 7 == 0
    assert np.array_equal(array[...], expected)
    assert array[3, 4] == expected[3, 4]
    assert np.array_equal(array[2:4, 5:10], expected[2:4, 5:10])
    assert np.array_equal(array.oindex[[1, 9, 20], 3:8], expected[[1, 9, 20], 3:8])
    assert np.array_equal(array.vindex[[1, 9], [2, 3]], expected[[1, 9], [2, 3]])
    assert np.array_equal(array.vindex[mask], expected[mask])
    assert np.array_equal(array.blocks[1, 2], expected[8:16, 20:30])
    for change in (expected, array):
        change[2:4, 5:10] = 7
        change[11, 12] = 8
    array.oindex[[1, 9, 20], 3:8] = 9
    expected[[1, 9, 20], 3:8] = 9
    array.vindex[mask] = 1
    expected[mask] = 1
    assert np.array_equal(array[...], expected)
    assert turns == []
    assert np.array_equal(zarr.open_array(array.store.root)[...], expected)
    assert turns != []


def test_other_stores_and_other_codecs_take_their_turns(turns, tmp_path):
    """What only the host can reach, or decode, goes its way, and comes out the same."""
    with zsc.enable():
        in_memory = zarr.create_array(zarr.storage.MemoryStore(), **OPTIONS)
        unsharded = zarr.create_array(tmp_path / "plain", **OPTIONS | {"shards": None})
        strings = zarr.create_array(tmp_path / "s", shape=(6,), dtype="str", chunks=(2,), shards=(6,))
    for array in (in_memory, unsharded):
        turns.clear()
        array[...] = DATA
        assert np.array_equal(array[...], DATA)
        assert len(turns) == 2
    strings[...] = words = np.array(list("sharde"), dtype=object)
    assert np.array_equal(strings[...], words)


def test_what_lies_behind_a_link_out_of_the_store_is_left_to_the_host(tmp_path, turns):
    """Our store refuses it, the host reads and writes it; found out on the way, it begins anew."""
    zarr.create_array(tmp_path / "linked", **OPTIONS)[...] = DATA
    (tmp_path / "linked" / "c").rename(tmp_path / "elsewhere")
    (tmp_path / "linked" / "c").symlink_to(tmp_path / "elsewhere")
    with zsc.enable():
        array = zarr.open_array(tmp_path / "linked")
    turns.clear()
    assert np.array_equal(array[...], DATA)
    array[2:4, 5:10] = 7
    assert (array[2:4, 5:10] == 7).all()
    assert len(turns) == 3


def test_errors_arrive_as_they_are_and_are_not_tried_again(array, monkeypatch):
    """A broken shard is one typed error, read once, whichever way it is read."""
    with (array.store.root / "c" / "0" / "0").open("r+b") as file:
        file.seek(-3, os.SEEK_END)
        file.write(b"\0\0\0")
    calls = []
    prepare = reading.prepare
    monkeypatch.setattr(reading, "prepare", lambda *args: calls.append(1) or prepare(*args))
    with pytest.raises(CorruptShardError, match="c/0/0"):
        array[...]
    assert calls == []
    with pytest.raises(CorruptShardError, match="c/0/0"):
        array.oindex[[3, 2]]
    assert calls == [1]


def test_it_works_in_a_thread_that_runs_a_loop_of_its_own(array, turns):
    """As in a notebook: nothing is awaited on the loop of whoever calls."""

    async def cell():
        array[2:4, 5:10] = 7
        return array[...]

    assert (asyncio.run(cell())[2:4, 5:10] == 7).all()
    assert turns == []


def test_asynchronous_calls_wait_on_their_loop(array, monkeypatch):
    """The asynchronous API is as it was, in the same thread in which others read at once."""
    asked = []
    inner = pipeline.here.is_here

    def is_here():
        asked.append(inner())
        return asked[-1]

    async def both():
        whole = asyncio.ensure_future(array.async_array.getitem(...))
        part = array.oindex[[3, 2], 5:10]
        return part, await whole

    monkeypatch.setattr(pipeline.here, "is_here", is_here)
    part, whole = asyncio.run(both())
    assert asked == [True, False]
    assert np.array_equal(part, DATA[3:1:-1, 5:10])
    assert np.array_equal(whole, DATA)


def test_a_loop_that_runs_within_a_call_is_not_ours(tmp_path):
    """A lock whose making runs a loop of its own, and reads an array on it, is not in the way."""
    with zsc.enable():
        other = zarr.create_array(tmp_path / "other", **OPTIONS)
        other[...] = DATA
    seen = []

    def lock(_name):
        seen.append(asyncio.run(other.async_array.getitem((2, slice(3, 5)))).tolist())
        seen.append(other[2, 3:5].tolist())
        return contextlib.nullcontext()

    with zsc.enable(lock=lock):
        array = zarr.create_array(tmp_path / "array", **OPTIONS)
    array[2:4, 5:10] = 7
    assert (array[2:4, 5:10] == 7).all()
    assert seen == [DATA[2, 3:5].tolist()] * 2


def test_threads_that_come_at_once_get_one_store(monkeypatch):
    """Writers of one object take turns by their store: two for one of the host's would lose a write."""
    from obstore.store import MemoryStore

    from zarr_shard_codec.stores import object_store

    inner = object_store.ObjectStore.__init__
    together = threading.Barrier(8)

    def slow(self, *args, **options):
        together.wait(60)
        inner(self, *args, **options)

    monkeypatch.setattr(object_store.ObjectStore, "__init__", slow)
    getter = zarr.storage.StorePath(zarr.storage.ObjectStore(MemoryStore()), "k")
    found = []
    threads = [threading.Thread(target=lambda: found.append(stores.own_store(getter))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


def _counting_turns(pickled, queue):
    turns = []
    hand_over = asyncio.run_coroutine_threadsafe
    array = pickle.loads(pickled)
    zarr.core.sync.asyncio.run_coroutine_threadsafe = lambda *args: turns.append(1) or hand_over(*args)
    queue.put((int(array[...].sum()), len(turns)))


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_arrays_take_it_to_other_processes(array, method):
    """A process that only gets an array reads it in the same way."""
    context = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    process = context.Process(target=_counting_turns, args=(pickle.dumps(array), queue))
    process.start()
    assert queue.get() == (int(DATA.sum()), 0)
    process.join()


def test_threads_read_side_by_side(array, turns):
    """Each in its own thread, none through the host's loop."""
    found = [None] * 8

    def read(at):
        found[at] = array[at * 3 : at * 3 + 3]

    threads = [threading.Thread(target=read, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(np.concatenate(found), DATA)
    assert turns == []


class _Host:
    """Stands for the host: a method whose coroutine awaits something before, in and after our pipeline."""

    def __init__(self, before=None, within=None, after=None):
        direct = SimpleNamespace(write=lambda *_asked: False)
        self.codec_pipeline = SimpleNamespace(runs_here=lambda _path: True, direct=direct, settings=None)
        self.store_path = self.metadata = None
        self.steps = (before, within, after)
        self.asked = []

    async def read(self):
        raise NotImplementedError

    async def select(self, indexer, value=None, prototype=None, fields=None):  # noqa: ARG002
        before, within, after = self.steps
        if before is not None:
            await before()
        self.asked.append(here.is_here())
        for step in (within, after):
            if step is not None:
                await step()
        return indexer


async def _wait():
    await asyncio.sleep(0)


async def _fail_without_loop():
    asyncio.get_running_loop()


async def _need_loop():
    if here.is_here():
        raise here.NeedsLoopError


@pytest.mark.parametrize(
    ("steps", "asked"),
    [
        ({}, [True]),
        ({"before": _wait}, [False]),
        ({"before": _fail_without_loop}, [False]),
        ({"within": _need_loop}, [True, False]),
        ({"after": _wait}, [True, False]),
    ],
)
def test_what_cannot_be_done_at_once_begins_anew_on_the_loop(steps, asked):
    """Whatever the host awaits before or after our pipeline, and what that cannot do, is done its way."""
    host = _Host(**steps)
    selecting = versions.Selecting(SimpleNamespace(sync=asyncio.run), _Host.read, _Host.select)
    assert here._standing_in_for(selecting)(host.select("wanted")) == "wanted"
    assert host.asked == asked
    assert not here._state.steps


def test_this_version_of_the_host_has_what_it_takes(array):
    """Where arrays turn to their loop is known of each version that the tests run with, and taken once."""
    found = versions.selecting()
    assert found is not None
    assert found.module.sync.stands_in
    installed = found.module.sync
    here.install()
    assert found.module.sync is installed
    assert pickle.loads(pickle.dumps(array)).shape == array.shape
