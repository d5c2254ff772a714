"""Many writers of one shard through zarr-python, and arrays in other processes."""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import obstore
import pytest
import zarr
from zarr.storage import LocalStore, MemoryStore, ObjectStore

import zarr_shard_codec as zsc
from zarr_shard_codec.adapters.zarr_python import ShardPipeline, chains, turns
from zarr_shard_codec.errors import UsageError

SHAPE = (24, 24)
OPTIONS = {"shape": SHAPE, "dtype": "int32", "chunks": (4, 4), "shards": (24, 24)}
STORES = {
    "local": LocalStore,
    "memory": lambda _: MemoryStore(),
    "obstore local": lambda path: ObjectStore(obstore.store.LocalStore(path)),
}


@pytest.mark.parametrize("name", STORES)
@pytest.mark.parametrize("empty", [False, True], ids=["ours", "left to the host"])
def test_threads_that_write_parts_of_one_shard_lose_nothing(tmp_path, name, empty):
    """Blocks that align with neither shards nor inner chunks, written by eight threads at once."""
    with zsc.enable():
        array = zarr.create_array(STORES[name](tmp_path), **OPTIONS, config={"write_empty_chunks": empty})
        blocks = [(row, column) for row in range(0, 24, 3) for column in range(0, 24, 3)]

        def write(block):
            row, column = block
            array[row : row + 3, column : column + 3] = 1 + row * 24 + column

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(write, blocks))
        found = array[...]
    expected = np.kron(np.array([1 + r * 24 + c for r, c in blocks]).reshape(8, 8), np.ones((3, 3), int))
    assert np.array_equal(found, expected)


def _write_rows(array, rows):
    for row in rows:
        array[row] = row + 1


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_arrays_survive_fork_and_spawn(tmp_path, method):
    """An array opened under enable() goes on as it is in other processes, which write one shard together."""
    with zsc.enable():
        array = zarr.create_array(tmp_path, **OPTIONS)
        array[0] = 1
    context = multiprocessing.get_context(method)
    processes = [context.Process(target=_write_rows, args=(array, range(at, 24, 2))) for at in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert np.array_equal(array[...], np.repeat(np.arange(1, 25), 24).reshape(SHAPE))


@pytest.mark.parametrize("strategy", ["replace", "append"])
def test_arrays_are_pickled_with_what_they_were_opened_with(tmp_path, strategy):
    """The pipeline travels with its settings, wherever it arrives, enabled there or not."""
    with zsc.enable(write_strategy=strategy, durable=True, lock=None):
        array = zarr.create_array(tmp_path, **OPTIONS)
        array[...] = 5
        array[2:3, 3] = 4
    copy = pickle.loads(pickle.dumps(array))
    pipeline = copy.async_array.codec_pipeline
    assert isinstance(pipeline, ShardPipeline)
    assert pipeline == array.async_array.codec_pipeline
    assert pipeline.settings == array.async_array.codec_pipeline.settings
    assert pipeline.settings.write_strategy == strategy
    copy[2:3, 3] = 7
    assert copy[2, 3] == 7
    assert (copy[...] == 5).sum() == 24 * 24 - 1


def test_append_adds_to_the_file_where_replace_makes_it_anew(tmp_path):
    """The strategy that enable() is told is the one that shards are changed by."""
    with zsc.enable(write_strategy="append"):
        array = zarr.create_array(tmp_path, **OPTIONS)
        array[...] = np.arange(24 * 24).reshape(SHAPE)
        path = tmp_path / "c/0/0"
        before, identity = path.read_bytes(), path.stat().st_ino
        array[0:4, 0:4] = 9
        assert path.stat().st_ino == identity
        assert path.read_bytes().startswith(before)
        assert (array[0:4, 0:4] == 9).all()
    with zsc.enable():
        zarr.open_array(tmp_path)[0:4, 0:4] = 8
    assert path.stat().st_ino != identity


def test_arrays_that_forbid_a_strategy_are_replaced_and_the_log_says_so(tmp_path, caplog, monkeypatch):
    """One setting serves all arrays: compressed inner chunks cannot be overwritten in place."""
    monkeypatch.setattr(chains, "_said", set())
    with zsc.enable(write_strategy="in_place"):
        array = zarr.create_array(tmp_path, **OPTIONS)
        array[...] = 1
        array[1, 1] = 2
        array[1, 2] = 3
    assert array[1, 1] == 2
    assert [record.getMessage()[:20] for record in caplog.records] == ["shards are replaced:"]


def test_settings_that_mean_nothing_are_refused():
    """When they are given, not at the first write."""
    with pytest.raises(UsageError, match="write_strategy"):
        zsc.enable(write_strategy="truncate")
    with pytest.raises(UsageError, match="lock"):
        zsc.enable(lock="never")


def test_turns_come_in_the_order_in_which_they_were_asked_for():
    """Threads and coroutines of several loops share one queue; who gives up is passed over."""
    order = []

    async def holds(name, label, began=None, release=None):
        async with turns.turn_async(name):
            order.append(label)
            if began is not None:
                began.set()
                await release.wait()

    async def crowd():
        began, release = asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(holds("x", "first", began, release))
        await began.wait()
        given_up = asyncio.create_task(holds("x", "never"))
        last = asyncio.create_task(holds("x", "last"))
        await asyncio.sleep(0.01)
        given_up.cancel()
        other = asyncio.create_task(holds("y", "other"))
        await other
        release.set()
        await asyncio.gather(first, last)
        assert given_up.cancelled()

    asyncio.run(crowd())
    assert order == ["first", "other", "last"]
    inside = threading.Event()

    def holds_in_thread():
        with turns.turn("x"):
            inside.set()

    with turns.turn("x"):
        thread = threading.Thread(target=holds_in_thread)
        thread.start()
        assert not inside.wait(0.05)
    thread.join(10)
    assert inside.is_set()
    assert not turns._waiting


def test_who_is_interrupted_while_waiting_is_passed_over():
    """Ctrl-C in a thread that waits: the turn goes to the next, and not to nobody."""

    def interrupt(*_arguments):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with turns.turn("x"):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(KeyboardInterrupt), turns.turn("x"):
                pass
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not turns._waiting
    with turns.turn("x"):
        pass


def test_stores_of_one_folder_know_of_each_other(tmp_path):
    """Threads that each open obstore's local files anew lose nothing either."""
    with zsc.enable():
        zarr.create_array(STORES["obstore local"](tmp_path), **OPTIONS)

        def write(first):
            _write_rows(zarr.open_array(STORES["obstore local"](tmp_path)), range(first, 24, 8))

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(write, range(8)))
        found = zarr.open_array(STORES["obstore local"](tmp_path))[...]
    assert np.array_equal(found[:, 0], np.arange(1, 25))


def test_readers_never_see_two_states_of_an_object():
    """Of a store that only the host reaches: neither while it is set, nor between index and inner chunks."""
    old = np.arange(SHAPE[0] * SHAPE[1], dtype="int32").reshape(SHAPE) % 7 + 1
    new = old.copy()
    new[:12] = 0  # half of the inner chunks are gone, and the others lie elsewhere
    done = threading.Event()
    with zsc.enable():
        array = zarr.create_array(MemoryStore(), **OPTIONS, compressors=None)
        array[...] = old

        def write():
            while not done.is_set():
                array[...] = new
                array[...] = old

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(400):
                assert np.array_equal(array[13:22, 3:20], old[13:22, 3:20])
        finally:
            done.set()
            writer.join()


class SlowStore(MemoryStore):
    """Sets objects in a thread, which goes on when the call is cancelled, as of many stores."""

    pause = 0.0

    async def set(self, key, value, byte_range=None):  # noqa: ARG002
        """Wait, where nobody can be cancelled, and set it."""

        def later():
            time.sleep(self.pause)
            self._store_dict[key] = value

        await asyncio.to_thread(later)


def test_a_cancelled_write_is_over_before_the_next_one_begins():
    """Else it would undo that one, which was acknowledged."""

    async def write(array):
        store.pause = 0.2
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(array.async_array.setitem(slice(0, 4), 2), 0.1)
        store.pause = 0.0
        await array.async_array.setitem(slice(4, 8), 3)
        await asyncio.sleep(0.3)

    store = SlowStore()
    with zsc.enable():
        array = zarr.create_array(store, shape=(8,), shards=(8,), chunks=(2,), dtype="int32")
        array[...] = 1
        asyncio.run(write(array))
        assert array[4:].tolist() == [3] * 4


def test_writes_of_empty_chunks_are_left_to_the_host_and_it_is_said(tmp_path, caplog, monkeypatch):
    """Once, in the log."""
    monkeypatch.setattr(chains, "_said", set())
    with zsc.enable():
        array = zarr.create_array(tmp_path, **OPTIONS, config={"write_empty_chunks": True})
        array[...] = 0
        array[0, 0] = 1
    assert [record.getMessage() for record in caplog.records] == [
        "zarr-python's own sharding is used: for writes with write_empty_chunks=True"
    ]
