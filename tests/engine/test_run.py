"""Running plans over many objects: all of them, few at a time, and nothing behind the caller's back."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from zarr_shard_codec.core.ranges import WHOLE
from zarr_shard_codec.engine import pool
from zarr_shard_codec.engine.pool import working_pool
from zarr_shard_codec.engine.run import ReadTask, ahead, read_objects, share
from zarr_shard_codec.engine.writing import WriteTask, write_objects
from zarr_shard_codec.errors import CorruptShardError, StoreError
from zarr_shard_codec.stores.memory import MemoryStore

MIB = 1 << 20
N_THREADS = 2


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    """Pools of two threads for each test, and none left."""
    pools = {}
    monkeypatch.setenv(pool.THREADS_VARIABLE, str(N_THREADS))
    monkeypatch.setattr(pool, "_pools", pools)
    yield
    for each in pools.values():
        each.shutdown()


class Counter:
    """How many are in the middle of something: now, and at most."""

    def __init__(self):
        self.now = self.most = self.total = 0
        self._lock = threading.Condition()

    def add(self, by):
        """One more, or one less."""
        with self._lock:
            self.now += by
            self.most = max(self.most, self.now)
            self.total += by > 0
            self._lock.notify_all()

    def wait(self, count):
        """Wait until there were so many at once; not for ever."""
        with self._lock:
            self._lock.wait_for(lambda: self.most >= count, timeout=10)


class BusyStore(MemoryStore):
    """Reads and writes take a while, and are counted while they last."""

    def __init__(self, pause=0.0, fails=(), awaited=0):
        super().__init__()
        self.busy, self.pause, self.fails, self.awaited = Counter(), pause, fails, awaited

    def _take_a_while(self, key):
        self.busy.add(1)
        try:
            self.busy.wait(self.awaited)
            time.sleep(self.pause)
            if key in self.fails:
                raise StoreError("store_failure", "the disk is full", key=key)
        finally:
            self.busy.add(-1)

    def open_object(self, key):
        self._take_a_while(key)
        return super().open_object(key)

    def write(self, key, parts):
        self._take_a_while(key)
        super().write(key, parts)


class NetworkStore(BusyStore):
    """A store that says it waits for a network."""

    async def read_async(self, key, requests):
        """As `read`; nobody asks."""
        return self.read(key, requests)


class Sized:
    """A target of a size without the memory."""

    def __init__(self, nbytes):
        self.nbytes = nbytes

    def __setitem__(self, where, what):
        """Forget it: the objects that are read do not exist."""


class Job:
    """Something to do with what was read, that cannot be cut; `held` counts those that were not done yet."""

    def __init__(self, do, nbytes, held):
        self.do, self._held = do, held
        self.nbytes = self.work_nbytes = nbytes
        held.add(1)

    def split(self):
        """Itself."""
        yield self

    def run(self):
        """Do it."""
        try:
            return self.do()
        finally:
            self._held.add(-1)


STORES = pytest.mark.parametrize("store_class", [BusyStore, NetworkStore])
FEW_AND_MANY = pytest.mark.parametrize("n_objects", [0, 1, 3, 4, 5, 60])


FEW = {BusyStore: 4 * N_THREADS + 4, NetworkStore: pool.WAITING_THREADS + 4 * N_THREADS + 4}
"""Objects that may be held in memory together: what waits for a network has to be many."""


def _read_task(key, held, *, n_jobs=1, nbytes=MIB, do=None, in_bulk=False):
    target = np.zeros(nbytes, "u1")

    def plan():
        answer = yield [WHOLE]
        if answer is None:
            return None

        def fill():
            target[...] = answer[0][0]

        return [Job(do or fill, nbytes, held) for _ in range(n_jobs)]

    return ReadTask(key, plan, target, np.full((), 99, "u1"), in_bulk)


@STORES
@FEW_AND_MANY
@pytest.mark.parametrize("nbytes", [10, MIB])
def test_every_object_is_read_once(store_class, n_objects, nbytes):
    """Its bytes land in its target; where there is no object, the fill value does."""
    store, held = store_class(), Counter()
    for at in range(0, n_objects, 2):
        store.write(str(at), [bytes([at])])
    store.busy = Counter()
    tasks = [_read_task(str(at), held, nbytes=nbytes) for at in range(n_objects)]
    read_objects(store, iter(tasks))
    for at, task in enumerate(tasks):
        assert (task.target == (99 if at % 2 else at)).all()
    assert store.busy.total == n_objects
    assert held.now == 0


@pytest.mark.parametrize("in_bulk", [True, False])
def test_a_few_objects_in_bulk_are_read_side_by_side(in_bulk):
    """However little is wanted of them; of others, files are read where they are asked for."""
    store = BusyStore(awaited=N_THREADS if in_bulk else 0)
    for at in range(4):
        MemoryStore.write(store, str(at), [bytes([at])])
    tasks = [_read_task(str(at), Counter(), nbytes=10, in_bulk=in_bulk) for at in range(4)]
    read_objects(store, iter(tasks))
    assert [task.target[0] for task in tasks] == [0, 1, 2, 3]
    assert store.busy.most == (N_THREADS if in_bulk else 1)


@STORES
@pytest.mark.parametrize("n_jobs", [1, 3])
def test_few_objects_are_held_in_memory(store_class, n_jobs):
    """However many are read, those that wait to be decoded are a few for each thread."""
    store, held = store_class(), Counter()
    store.write("same", [b"\1"])
    asked, few = Counter(), FEW[store_class]

    def tasks():
        for _ in range(100):
            asked.add(1)
            # Those that were asked for and are not done are what memory is taken for.
            yield _read_task("same", held, n_jobs=n_jobs, do=lambda: time.sleep(0.0005))
            assert asked.now - held.total // n_jobs <= few - 2

    read_objects(store, tasks())
    assert held.total == 100 * n_jobs
    assert held.most <= n_jobs * few


def _broken():
    raise CorruptShardError("inner_chunk_undecodable", "broken")


@STORES
@pytest.mark.parametrize("n_objects", [4, 60])
def test_after_an_error_of_a_job_nothing_goes_on(store_class, n_objects):
    """The error has the key; what was being read by then has been waited for, and nothing more begins."""
    store, held = store_class(pause=0.05), Counter()
    for at in range(n_objects):
        MemoryStore.write(store, str(at), [b"\1"])
    first = _read_task("0", held, n_jobs=12, do=_broken)
    tasks = [first, *(_read_task(str(at), held) for at in range(1, n_objects))]
    with pytest.raises(CorruptShardError) as caught:
        read_objects(store, iter(tasks))
    begun = store.busy.total
    assert store.busy.now == 0
    assert caught.value.key == "0"
    time.sleep(0.12)
    assert store.busy.total == begun


@STORES
@pytest.mark.parametrize("n_objects", [4, 60])
def test_after_an_error_of_the_store_nothing_goes_on(store_class, n_objects):
    """As for jobs."""
    store, held = store_class(pause=0.05, fails={"1"}), Counter()
    tasks = [_read_task(str(at), held) for at in range(n_objects)]
    with pytest.raises(StoreError) as caught:
        read_objects(store, iter(tasks))
    begun = store.busy.total
    assert store.busy.now == 0
    assert caught.value.key == "1"
    time.sleep(0.12)
    assert store.busy.total == begun


def _write_task(key, held, *, n_jobs=1, nbytes=MIB, do=None, parts=(b"new",)):
    def plan():
        jobs = [Job(do or (lambda at=at: at), nbytes, held) for at in range(n_jobs)]

        def finish(encoded):
            assert sorted(encoded) == list(range(n_jobs))
            return parts and list(parts)

        return SimpleNamespace(jobs=jobs, finish=finish)
        yield

    return WriteTask(key, plan, nbytes * n_jobs)


@STORES
@FEW_AND_MANY
@pytest.mark.parametrize("n_jobs", [1, 3])
@pytest.mark.parametrize("nbytes", [10, MIB])
def test_every_object_is_written_once(store_class, n_objects, n_jobs, nbytes):
    """With all that its jobs gave; one that is left with nothing is deleted."""
    store, held = store_class(), Counter()
    for at in range(n_objects):
        MemoryStore.write(store, str(at), [b"old"])
    tasks = [
        _write_task(str(at), held, n_jobs=n_jobs, nbytes=nbytes, parts=None if at % 2 else (b"n", b"ew"))
        for at in range(n_objects)
    ]
    write_objects(store, iter(tasks))
    found = {info.key: bytes(store.read(info.key, [WHOLE])[0]) for info in store.list("")}
    assert found == {str(at): b"new" for at in range(0, n_objects, 2)}
    assert held.now == 0


@STORES
@pytest.mark.parametrize("n_jobs", [1, 3])
def test_few_objects_are_held_while_writing(store_class, n_jobs):
    """Those that were begun and are not written are a few for each thread."""
    store, held = store_class(), Counter()
    tasks = (_write_task(str(at), held, n_jobs=n_jobs) for at in range(100))
    write_objects(store, tasks)
    assert held.total == 100 * n_jobs
    assert held.most <= n_jobs * FEW[store_class]


@pytest.mark.parametrize(("nbytes", "expected"), [(1000, 32), (8 * MIB, 32), (32 * MIB, 8), (200 * MIB, 4)])
@pytest.mark.parametrize("verb", ["read", "write"])
def test_a_network_is_asked_for_many_objects_at_once(verb, nbytes, expected):
    """As many requests wait together as hide latency; fewer if objects are large, two a core at least."""
    store, held = NetworkStore(pause=0.01, awaited=expected), Counter()
    if verb == "read":
        tasks = (replace(_read_task(str(at), held), target=Sized(nbytes)) for at in range(100))
        read_objects(store, tasks)
    else:
        tasks = (replace(_write_task(str(at), held), nbytes=nbytes) for at in range(100))
        write_objects(store, tasks)
    assert store.busy.most == expected


@pytest.mark.parametrize(("verb", "expected"), [("read", N_THREADS), ("write", 2 * N_THREADS)])
def test_files_keep_the_cores_busy_and_no_more(verb, expected):
    """As many threads as there are cores read from page cache; twice as many write, and wait for disks."""
    store, held = BusyStore(pause=0.003, awaited=expected), Counter()
    if verb == "read":
        read_objects(store, (_read_task(str(at), held) for at in range(40)))
    else:
        write_objects(store, (_write_task(str(at), held) for at in range(40)))
    assert store.busy.most == expected


@STORES
@pytest.mark.parametrize("n_objects", [4, 60])
@pytest.mark.parametrize("where", ["job", "store"])
def test_after_an_error_nothing_more_is_written(store_class, n_objects, where):
    """What was being written has been waited for; no object changes once the caller has the error."""
    store, held = store_class(pause=0.05, fails={"1"} if where == "store" else ()), Counter()
    tasks = [
        _write_task(str(at), held, n_jobs=6, do=_broken if where == "job" and at == 1 else None)
        for at in range(n_objects)
    ]
    with pytest.raises((StoreError, CorruptShardError)) as caught:
        write_objects(store, iter(tasks))
    written = sorted(info.key for info in store.list(""))
    assert store.busy.now == 0
    assert caught.value.key == "1"
    time.sleep(0.12)
    assert sorted(info.key for info in store.list("")) == written
    assert "1" not in written


@pytest.mark.parametrize("n_items", [0, 1, 2, 3, 50])
@pytest.mark.parametrize("depth", [None, 2, 7])
def test_ahead_is_map_and_never_far_ahead(n_items, depth):
    """Results in order; not more items are taken than results were given, plus the depth."""
    taken = Counter()

    def items():
        for at in range(n_items):
            taken.add(1)
            yield at

    results = []
    for result in ahead(lambda at: (time.sleep(0.001 * (at % 3)), at)[1], items(), working_pool, depth=depth):
        results.append(result)
        assert taken.now <= len(results) + (depth or 2 * N_THREADS)
    assert results == list(range(n_items))


def test_ahead_that_is_left_early_leaves_nothing_running():
    """Who closes it, or fails, waits for what has begun, and no more begins."""
    running = Counter()

    def work(_):
        running.add(1)
        time.sleep(0.03)
        running.add(-1)

    results = ahead(work, range(100), working_pool)
    next(results)
    results.close()
    assert running.now == 0
    assert running.total <= 1 + 2 * N_THREADS


@pytest.mark.parametrize("n_items", [0, 1, 2, 3, 200])
def test_share_does_all_items_on_no_more_threads_than_may_work(n_items):
    """Each item is done once, and here and in the pool together never more at once than there are threads."""
    done, busy = [], Counter()
    all_at_work = threading.Barrier(N_THREADS)

    def work(at):
        busy.add(1)
        if n_items > N_THREADS > at:
            all_at_work.wait(60)
        time.sleep(0.0005 * (at % 3))
        done.append((at, threading.get_ident()))
        busy.add(-1)

    share(work, iter(range(n_items)))
    assert sorted(at for at, _ in done) == list(range(n_items))
    assert busy.most <= N_THREADS
    if n_items > N_THREADS:
        assert len({thread for _, thread in done}) == N_THREADS


@pytest.mark.parametrize("broken", [0, 1, 20])
def test_share_waits_for_what_has_begun_when_an_item_fails(broken):
    """Wherever the item that fails was done: nothing goes on, and little more is begun."""
    busy = Counter()

    def work(at):
        busy.add(1)
        time.sleep(0.01)
        busy.add(-1)
        if at == broken:
            raise KeyError(at)

    with pytest.raises(KeyError):
        share(work, range(100))
    assert busy.now == 0
    assert busy.total <= broken + 3 * N_THREADS
    time.sleep(0.03)
    assert busy.total <= broken + 3 * N_THREADS
