"""Conversations with files: one state from first turn to last, and an index read once, while it is true."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
import weakref
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from zarr_shard_codec.array.opening import create
from zarr_shard_codec.array.opening import open as open_array
from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core.index import ShardIndex
from zarr_shard_codec.core.ranges import WHOLE, ByteRange, Suffix
from zarr_shard_codec.engine import conversations, known_chunks
from zarr_shard_codec.engine.conversations import converse
from zarr_shard_codec.engine.index_cache import IndexCache
from zarr_shard_codec.errors import CorruptShardError, StoreError
from zarr_shard_codec.stores import local, open_file
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import MemoryStore

ROOT = Path(__file__).parents[2]
BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
CRC = {"name": "crc32c"}
INDEX_NBYTES = 4 * 16 + 4
INDEX = Suffix(INDEX_NBYTES)
BEFORE = np.arange(1, 9, dtype="u2")
AFTER = np.arange(101, 109, dtype="u2")


class Watched:
    """An open file that writes down what is read from it."""

    def __init__(self, opened, reads, between):
        self._opened, self._reads, self._between = opened, reads, between
        self.identity, self.rely, self.close = opened.identity, opened.rely, opened.close
        self.nbytes, self.version = opened.nbytes, opened.version

    def read(self, requests):
        """Read, and then let the test do something before the next turn."""
        buffers = self._opened.read(requests)
        self._reads.append(list(requests))
        self._between()
        return buffers


class WatchedStore(LocalStore):
    """A folder, and what was opened and read in it."""

    def __init__(self, root):
        super().__init__(root)
        self.opens, self.reads, self.between = [], [], lambda: None

    def open_object(self, key):
        opened = super().open_object(key)
        if key.endswith("zarr.json"):
            return opened
        self.opens.append(key)
        return opened and Watched(opened, self.reads, self.between)

    def forget(self):
        """Start the lists anew."""
        self.opens, self.reads = [], []


@pytest.fixture(autouse=True)
def indexes(monkeypatch):
    """Indexes of this test alone."""
    kept = IndexCache()
    monkeypatch.setattr(conversations, "INDEXES", kept)
    monkeypatch.setattr(known_chunks, "INDEXES", kept)
    return kept


@pytest.fixture
def settled(monkeypatch):
    """Files count as settled once a tick of the clock is over, so that no test waits long."""
    monkeypatch.setattr(open_file, "_SETTLED_NS", 0)
    monkeypatch.setattr(open_file, "_SETTLED_COARSE_NS", 0)


def _wait_a_tick():
    time.sleep(0.02)


def _create(root, **options):
    layout = {"shape": (8,), "dtype": "u2", "shard_shape": (8,), "inner_chunk_shape": (2,), "codecs": [BYTES]}
    array = create(str(root), **(layout | options))
    array[...] = BEFORE
    _wait_a_tick()
    store = WatchedStore(root)
    return open_array(store, "r+"), store, Path(root, "c", "0")


def _sharding(shard_shape, inner_chunk_shape):
    configuration = {
        "chunk_shape": list(inner_chunk_shape),
        "codecs": [BYTES],
        "index_codecs": [BYTES, CRC],
    }
    return ShardingCodec.from_metadata(configuration, shard_shape=shard_shape, dtype="u2")


def _other_shard():
    """The bytes of a shard of `AFTER`, its chunks back to front."""
    return _sharding((8,), (2,)).with_chunk_order("reverse").encode(AFTER)


def _descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.usefixtures("settled")
def test_the_index_is_read_once(tmp_path):
    """A file is opened once a conversation; the first asks for its index, the next does without."""
    array, store, _ = _create(tmp_path)
    assert array[3] == BEFORE[3]
    assert store.reads == [[INDEX], [ByteRange(2 * 2, 4)]]
    assert store.opens == ["c/0"]
    store.forget()
    assert np.array_equal(array[1:7], BEFORE[1:7])
    assert store.reads == [[ByteRange(0, 16)]]
    assert store.opens == ["c/0"]


def test_an_index_written_a_moment_ago_is_not_believed(tmp_path):
    """Two writes within a tick of the clock look alike, so at first every read asks for the index."""
    array, store, path = _create(tmp_path)
    os.utime(path)
    for _ in range(2):
        assert array[3] == BEFORE[3]
    assert store.reads == 2 * [[INDEX], [ByteRange(4, 4)]]


@pytest.mark.parametrize(
    ("changed", "age", "settled"),
    [
        (5_000_000_001, 99_000_000, False),
        (5_000_000_001, 101_000_000, True),
        (5_000_000_000, 2_000_000_000, False),
        (5_000_000_000, 2_200_000_000, True),
        (5_000_000_001, -1, False),
    ],
)
def test_a_file_has_an_identity_once_its_time_is_over(monkeypatch, changed, age, settled):
    """A tenth of a second, or two seconds where the clock counts whole ones; never in the future."""
    monkeypatch.setattr(open_file.time, "time_ns", lambda: changed + age)
    for written, other in ((changed, 0), (0, changed)):
        status = SimpleNamespace(st_dev=1, st_ino=7, st_size=3, st_mtime_ns=written, st_ctime_ns=other)
        assert (open_file.OpenFile("", "c/0", -1, status).identity is not None) == settled


def _replace(path, shard):
    path.with_name("new").write_bytes(shard)
    path.with_name("new").replace(path)


def _overwrite(path, shard):
    path.write_bytes(shard)


def _overwrite_and_restore_the_time(path, shard):
    before = path.stat()
    assert len(shard) == before.st_size
    path.write_bytes(shard)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _append(path, shard):
    # The index stands at the end: a shard appended to a shard is a shard, its offsets moved.
    old = path.read_bytes()
    codec = _sharding((8,), (2,))
    index = codec.read_index(shard)
    moved = ShardIndex(index.entries + np.array([len(old), 0], np.uint64), index.chunks_per_shard)
    with path.open("ab") as file:
        file.write(shard[:-INDEX_NBYTES] + bytes(codec.encode_index(moved)))


def _touch(path, _shard):
    os.utime(path)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(
    "change",
    [_replace, _overwrite, _overwrite_and_restore_the_time, _append, _touch],
    ids=lambda f: f.__name__,
)
def test_a_changed_file_has_another_index(tmp_path, change):
    """However a file was changed, and whatever its time says, its index is read again."""
    array, store, path = _create(tmp_path)
    assert array[3] == BEFORE[3]
    change(path, _other_shard())
    expected = BEFORE if change is _touch else AFTER
    for _ in range(2):
        store.forget()
        _wait_a_tick()
        for at in range(8):
            assert array[at] == expected[at]
        assert store.reads.count([INDEX]) <= 1
    assert store.reads.count([INDEX]) == 0


@pytest.mark.usefixtures("settled")
def test_writes_are_seen_at_once(tmp_path):
    """Reads between writes that move every chunk see each write, however fast they follow."""
    array, store, _ = _create(tmp_path, codecs=[BYTES, {"name": "gzip", "configuration": {"level": 1}}])
    shadow = BEFORE.copy()
    for turn in range(60):
        at = turn % 8
        array[at] = shadow[at] = 0 if turn % 3 else 256 + turn
        _wait_a_tick()
        assert np.array_equal(array[1:], shadow[1:])
    assert store.reads


@pytest.mark.usefixtures("settled")
def test_another_codec_has_its_own_index(tmp_path):
    """Two arrays over one file, cut in other pieces: neither sees the other's index."""
    array, store, _ = _create(tmp_path)
    by_rows, larger = _sharding((2, 4), (1, 2)), _sharding((8,), (4,))
    for _ in range(2):
        assert array[3] == BEFORE[3]
        target = np.zeros((1, 2), "u2")
        for job in converse(
            partial(by_rows.plan_read, (range(1, 2), range(2)), target, (2, 4)), store, "c/0"
        ):
            job.run()
        assert target.tolist() == [[5, 6]]
        with pytest.raises(CorruptShardError) as caught:
            converse(partial(larger.plan_read, (range(2),), target[0], (8,)), store, "c/0")
        assert caught.value.reason == "index_checksum_mismatch"
        assert caught.value.key == "c/0"


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("remembered", [False, True])
def test_a_file_replaced_between_two_turns_is_the_old_one(tmp_path, remembered):
    """What is read is the state that was opened, whole; never the index of one and the chunks of another."""
    array, store, path = _create(tmp_path)
    shard = _other_shard()
    if remembered:
        assert array[0] == BEFORE[0]
    store.between = lambda: _replace(path, shard)
    assert np.array_equal(array[1:7], BEFORE[1:7])
    _wait_a_tick()
    assert np.array_equal(array[1:7], AFTER[1:7])


def test_a_file_deleted_between_two_turns_is_still_read(tmp_path):
    """An open file stays."""
    array, store, path = _create(tmp_path)
    store.between = lambda: path.unlink(missing_ok=True)
    assert np.array_equal(array[1:7], BEFORE[1:7])
    assert (array[1:7] == 0).all()


def test_an_empty_turn_asks_for_nothing():
    """A conversation of no requests costs none, and its answer has as many."""

    def plan():
        return (yield [])

    store = MemoryStore()
    store.write("a", [b"bytes"])
    assert converse(plan, store, "a") == []


def _fails(error):
    def plan():
        yield [WHOLE]
        raise error

    return plan()


def test_no_file_stays_open(tmp_path, monkeypatch):
    """After reads, writes and errors of every kind, as many files are open as before."""
    array, _, path = _create(tmp_path)
    plain = LocalStore(tmp_path)
    reader = open_array(plain, "r")
    gc.collect()
    before = _descriptors()
    for _ in range(3):
        assert array[3] == BEFORE[3]
        array[2:5] = 9
        array[...] = BEFORE
        assert np.array_equal(reader[...], BEFORE)
    for error in (
        CorruptShardError("object_changed", "x"),
        StoreError("store_failure", "x"),
        KeyboardInterrupt(),
    ):
        with pytest.raises(type(error)):
            converse(partial(_fails, error), plain, "c/0")
    good = path.read_bytes()
    for broken in (b"", good[:10], good[:-1] + b"x", bytes(4) + good[:-4]):
        path.write_bytes(broken)
        for selection in (3, ...):
            with pytest.raises(CorruptShardError):
                reader[selection]
        with pytest.raises(CorruptShardError):
            array[3] = 1
    assert _descriptors() == before

    def fail(*_args):
        raise OSError(116, "Stale file handle")

    for name in ("fstat", "pread"):
        with monkeypatch.context() as patched:
            patched.setattr(local.os, name, fail)
            with pytest.raises(StoreError):
                reader[3]
    assert _descriptors() == before


def _index(n_chunks):
    return ShardIndex(np.zeros((n_chunks, 2), np.uint64), (n_chunks,))


class Shard:
    """As good as any to tell codecs apart."""


def test_the_indexes_kept_are_bounded():
    """Those used longest ago go first; one too large is never kept, and drives no other out."""
    kept, shard = IndexCache(10 * (1600 + 1024)), Shard()
    for at in range(10):
        kept.put(at, shard, None, _index(100))
    assert kept.get(0, shard, None) is not None
    kept.put(10, shard, None, _index(100))
    kept.put(11, shard, None, _index(100_000))
    assert [at for at in range(12) if kept.get(at, shard, None) is not None] == [0, *range(2, 11)]


def test_small_indexes_count_with_what_is_around_them():
    """A million indexes of one entry are no 16 MB: the Python objects that hold them count as well."""
    kept, shard = IndexCache(1 << 20), Shard()
    for at in range(3000):
        kept.put(at, shard, None, _index(1))
    assert sum(kept.get(at, shard, None) is not None for at in range(3000)) <= 1024


def test_putting_an_index_again_counts_it_once():
    """Two threads that read the same index at once do not fill the memory twice."""
    kept, shard = IndexCache(2 * (1600 + 1024)), Shard()
    kept.put("other", shard, None, _index(100))
    for _ in range(20):
        kept.put("same", shard, None, _index(100))
    assert kept.get("other", shard, None) is not None


def test_an_index_keeps_neither_its_codec_nor_the_read_that_it_was_cut_from():
    """What is kept of an array that is gone, or of a shard within a shard, is the index alone."""
    kept, shard = IndexCache(), Shard()
    read = bytes(1 << 20)
    extent = ByteRange(100, 200)
    kept.put("inner", shard, extent, ShardIndex(np.frombuffer(read, np.uint64)[:2].reshape(1, 2), (1,)))
    assert kept.get("inner", shard, extent).entries.base is None
    assert kept.get("inner", shard, ByteRange(0, 200)) is None
    codec = weakref.ref(shard)
    del shard
    gc.collect()
    assert codec() is None
    assert kept.get("inner", Shard(), extent) is None


def test_a_forked_child_waits_for_nobody():
    """A lock that a thread of the parent held is nobody's in the child."""
    script = """
import os, signal
from zarr_shard_codec.engine.index_cache import INDEXES
INDEXES._lock.acquire()
if os.fork() == 0:
    signal.alarm(10)
    assert INDEXES.get("x", None, None) is None
    os._exit(0)
raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0
