"""Locks of the caller's, and stores that want one."""

import threading
import time
from contextlib import contextmanager

import numpy as np
import obstore
import pytest
from dask.utils import SerializableLock

import zarr_shard_codec as zsc
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import MemoryStore

LAYOUT = {"shape": (64,), "dtype": "u2", "shard_shape": (8,), "inner_chunk_shape": (2,)}


class Factory:
    """Makes locks that write down who is inside, and when."""

    def __init__(self):
        self.names, self.inside, self.most, self.threads = [], set(), 0, set()

    def __call__(self, name):
        @contextmanager
        def lock():
            self.threads.add(threading.get_ident())
            assert name not in self.inside
            self.inside.add(name)
            self.most = max(self.most, len(self.inside))
            yield
            self.threads.add(threading.get_ident())
            self.inside.discard(name)

        self.names.append(name)
        return lock()


def test_a_factory_is_asked_for_each_shard_by_its_name(tmp_path):
    """In ascending order, in the caller's thread; the name is the file's path, links resolved."""
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real").mkdir()
    factory = Factory()
    array = zsc.create(tmp_path / "link", path="a", lock=factory, **LAYOUT)
    array[5:30] = 1
    assert factory.names == [str(tmp_path / "real" / "a" / "c" / str(at)) for at in range(4)]
    assert not factory.inside
    assert factory.threads == {threading.get_ident()}
    assert not (tmp_path / "real" / "a" / ".zsc-lock").exists()
    memory = zsc.create(MemoryStore(), path="a", lock=factory, **LAYOUT)
    memory[0] = 1
    assert factory.names[4:] == ["memory/a/c/0"]


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock, SerializableLock])
def test_one_lock_may_serve_all_shards(tmp_path, make):
    """Whoever returns the same lock for each name is not waiting for himself."""
    mine = make()
    array = zsc.create(tmp_path, lock=lambda _name: mine, **LAYOUT)
    threads = [threading.Thread(target=array.__setitem__, args=(slice(at, None, 4), at)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (array[...] == np.arange(64) % 4).all()
    assert mine.acquire(blocking=False)


def test_names_make_locks(tmp_path):
    """Dask's lock takes a name, and is one lock for each."""
    array = zsc.create(tmp_path, lock=SerializableLock, **LAYOUT)
    array[1:60] = 7
    assert (array[1:60] == 7).all()
    assert SerializableLock(str(tmp_path / "c" / "0")).acquire(blocking=False)


def test_a_lock_that_fails_holds_nothing_back(tmp_path):
    """Its error is the caller's, and what was held is let go of."""
    factory = Factory()

    def failing(name):
        if name.endswith("/3"):
            raise RuntimeError("the scheduler is gone")
        return factory(name)

    array = zsc.create(tmp_path, lock=failing, **LAYOUT)
    with pytest.raises(RuntimeError, match="the scheduler is gone"):
        array[1:60] = 1
    assert not factory.inside
    array[1:20] = 2
    assert (array[1:20] == 2).all()


def test_few_locks_are_held_at_once(tmp_path):
    """A large write lets go of what it has written before it goes on."""
    factory = Factory()
    layout = {"shape": (64, 1 << 17), "shard_shape": (1, 1 << 17), "inner_chunk_shape": (1, 1 << 16)}
    array = zsc.create(tmp_path, dtype="u8", lock=factory, **layout)
    array[...] = 1
    assert len(factory.names) == 64
    assert factory.most <= 24


def test_many_cores_hold_no_more_locks_than_a_process_may_have_open_files(tmp_path, monkeypatch):
    """1024 by default on Linux, and each lock of a local file is one."""
    monkeypatch.setenv("ZARR_SHARD_THREADS", "256")
    factory = Factory()
    array = zsc.create(
        tmp_path, shape=(2000,), dtype="u2", shard_shape=(1,), inner_chunk_shape=(1,), lock=factory
    )
    array[...] = 1
    assert len(factory.names) == 2000
    assert factory.most <= 300


@pytest.fixture
def unsafe(tmp_path):
    """A store that can see of no write whether it is the only one."""
    return obstore.store.LocalStore(tmp_path, mkdir=True)


def test_a_store_that_sees_no_other_writer_refuses_parts(unsafe):
    """Typed, with what to do; whole shards need nobody's leave."""
    array = zsc.create(unsafe, **LAYOUT)
    array[8:24] = 1
    for selection in (3, slice(3, 30)):
        with pytest.raises(zsc.UsageError, match="can't see whether others write") as caught:
            array[selection] = 2
        assert caught.value.reason == "invalid_argument"
        assert "lock=None" in caught.value.hint
    assert (array[8:24] == 1).all()
    assert array[3] == 0
    for lock in (None, Factory()):
        writable = zsc.open(unsafe, "r+", lock=lock)
        writable[3] = 5
        writable[3:5] = 6
        assert (writable[3], writable[4], writable[5]) == (6, 6, 0)


def test_without_locks_nothing_is_made(tmp_path):
    """lock=None leaves no file and asks for no condition; threads still take turns."""
    array = zsc.create(tmp_path, lock=None, **LAYOUT)
    threads = [threading.Thread(target=array.__setitem__, args=(slice(at, None, 4), at)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (array[...] == np.arange(64) % 4).all()
    assert "zsc" not in "".join(file.name for file in tmp_path.rglob("*"))
    assert len(list(LocalStore(tmp_path).list(""))) == 9


def test_a_factory_that_makes_no_locks_is_refused(tmp_path):
    """The error says what came back; nothing is written, and nothing stays locked."""
    array = zsc.create(tmp_path, lock=lambda name: name, **LAYOUT)
    with pytest.raises(zsc.UsageError, match="returned '") as caught:
        array[3] = 1
    assert caught.value.reason == "invalid_argument"
    again = zsc.open(tmp_path, "r+")
    again[3] = 2
    assert again[:5].tolist() == [0, 0, 0, 2, 0]


def test_a_lock_that_fails_to_be_let_go_holds_nobody_up(tmp_path):
    """The error is the caller's; whoever waits for the same shard in this process comes next."""
    waits, names = threading.Event(), []

    @contextmanager
    def failing(name):
        names.append(name)
        yield
        if len(names) <= 2:
            waits.set()
            time.sleep(0.05)
            raise ConnectionError("the scheduler went away")

    array = zsc.create(tmp_path, **LAYOUT)
    array = zsc.open(tmp_path, mode="r+", lock=failing)
    other = threading.Thread(target=lambda: (waits.wait(), array.__setitem__(slice(2, 4), 2)), daemon=True)
    other.start()
    with pytest.raises(ConnectionError):
        array[0:10] = 1
    other.join(60)
    assert not other.is_alive()
    assert (array[0:10] == [1, 1, 2, 2, 1, 1, 1, 1, 1, 1]).all()
