"""Compacting: the same values in fewer bytes, and nothing decoded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import obstore
import pytest
import tensorstore
import zarr

import zarr_shard_codec as zsc
from zarr_shard_codec.core.grid import write_order
from zarr_shard_codec.core.index import ShardIndex
from zarr_shard_codec.core.ranges import WHOLE
from zarr_shard_codec.errors import NodeNotFoundError, StoreError, UsageError
from zarr_shard_codec.stores import files
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import MemoryStore
from zarr_shard_codec.stores.object_store import ObjectStore

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
CRC = {"name": "crc32c"}
GZIP = {"name": "gzip", "configuration": {"level": 1}}


def _store(kind, path):
    if kind == "local":
        return LocalStore(path)
    return MemoryStore() if kind == "memory" else ObjectStore(obstore.store.MemoryStore())


def _create(store, **options):
    defaults = {"shape": (20, 20), "shard_shape": (16, 16), "inner_chunk_shape": (4, 4)}
    array = zsc.create(store, dtype="int32", **{**defaults, **options})
    array[...] = np.arange(1, 401).reshape(20, 20)
    return array


def _bytes_of(store, key="c/0/0"):
    return bytes(store.read(key, [WHOLE])[0])


def _by_tensorstore(path):
    driver = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
    return tensorstore.open(driver).result().read().result()


def _edited(array, entries, body):
    index = array.codec.encode_index(ShardIndex(entries, array.codec.chunks_per_shard))
    array.store.write("c/0/0", [index, body] if array.codec.index_location == "start" else [body, index])


def test_what_appends_leave_behind_goes(tmp_path):
    """The file has its size from before, and others read the newest values."""
    array = _create(tmp_path, write_strategy="append")
    before = (tmp_path / "c/0/0").stat().st_size
    for _ in range(5):
        array[2:6, 3:9] = array[2:6, 3:9]
    grown = (tmp_path / "c/0/0").stat().st_size
    report = array.compact()
    assert (report.arrays, report.shards, report.rewritten, report.deleted) == (1, 4, 1, 0)
    assert report.nbytes_before - report.nbytes_after == grown - before > 0
    assert (tmp_path / "c/0/0").stat().st_size == before
    expected = np.arange(1, 401).reshape(20, 20)
    assert np.array_equal(_by_tensorstore(tmp_path), expected)
    assert zsc.verify(tmp_path).findings == ()


@pytest.mark.parametrize("store", ["local", "memory", "obstore"])
@pytest.mark.parametrize("location", ["start", "end"])
def test_gaps_and_shared_ranges(tmp_path, store, location):
    """Junk goes; ranges that chunks share, or that overlap, stay shared; no value changes."""
    store = _store(store, tmp_path)
    array = _create(store, codecs=[LITTLE], index_location=location)
    whole, codec = _bytes_of(store), array.codec
    first = codec.index_nbytes if location == "start" else 0
    entries = codec.read_index(whole).entries.copy()
    body = whole[first : first + 16 * 64]
    entries[:, 0] += 10
    entries[3] = entries[2]
    entries[7, 0] = entries[6, 0] + 32
    entries[5] = 2**64 - 1
    _edited(array, entries, b"junk junk " + body + b"behind")
    expected = array[...]
    report = zsc.compact(store)
    assert report.rewritten == 1
    # Of 16 chunks, one is empty and one shared; half of another's bytes are the one's before it.
    assert len(_bytes_of(store)) == codec.index_nbytes + 13 * 64 + 32
    assert np.array_equal(array[...], expected)
    index = codec.read_index(_bytes_of(store))
    assert index[0, 3] == index[0, 2]
    assert zsc.compact(store).rewritten == 0
    if isinstance(store, LocalStore):
        assert np.array_equal(zarr.open_array(tmp_path, mode="r")[...], expected)


@pytest.mark.parametrize("order", ["lexicographic", "morton", "reverse"])
def test_chunks_stand_in_the_order_asked_for(order):
    """In every shard; a second time there is nothing to do."""
    store = MemoryStore()
    array = _create(store)
    expected = array[...]
    array.compact(order)
    offsets = array.codec.read_index(_bytes_of(store)).entries[:, 0]
    assert np.array_equal(np.argsort(offsets), write_order(order, (4, 4)))
    assert np.array_equal(array[...], expected)
    assert array.compact(order).rewritten == 0
    assert array.compact().rewritten == 0


def test_compact_shards_are_not_touched(tmp_path):
    """The same files, with the same times."""
    array = _create(tmp_path)
    before = {name: (tmp_path / "c" / name).stat() for name in ("0/0", "0/1", "1/0", "1/1")}
    report = array.compact("lexicographic")
    assert (report.rewritten, report.deleted, report.nbytes_after) == (0, 0, report.nbytes_before)
    for name, status in before.items():
        now = (tmp_path / "c" / name).stat()
        assert (now.st_ino, now.st_mtime_ns) == (status.st_ino, status.st_mtime_ns)


def test_a_dry_run_changes_nothing():
    """And says the same as the run."""
    store = MemoryStore()
    array = _create(store, codecs=[LITTLE])
    whole, codec = _bytes_of(store), array.codec
    _edited(array, codec.read_index(whole).entries, whole[: -codec.index_nbytes] + b"junk")
    image = _bytes_of(store)
    planned = zsc.compact(store, dry_run=True)
    assert _bytes_of(store) == image
    done = zsc.compact(store)
    assert (
        (planned.rewritten, planned.nbytes_after)
        == (done.rewritten, done.nbytes_after)
        == (
            1,
            planned.nbytes_before - 4,
        )
    )
    assert (planned.dry_run, done.dry_run) == (True, False)


def test_empty_shards_are_deleted():
    """A shard without any inner chunk is worth no object."""
    store = MemoryStore()
    array = _create(store)
    store.write("c/0/1", [array.codec.encode_index(ShardIndex.empty((4, 4)))])
    report = zsc.compact(store)
    assert (report.deleted, report.rewritten) == (1, 0)
    assert store.read("c/0/1", [WHOLE]) is None
    assert (array[:16, 16:] == 0).all()


def test_damaged_shards_are_left_as_they_are():
    """A finding each; the others are done."""
    store = MemoryStore()
    array = _create(store, codecs=[LITTLE])
    whole, codec = _bytes_of(store), array.codec
    entries = codec.read_index(whole).entries.copy()
    entries[0] = 10**9, 64
    _edited(array, entries, whole[: -codec.index_nbytes] + b"junk")
    store.write("c/0/1", [b"short"])
    other = _bytes_of(store, "c/1/1")
    entries = codec.read_index(other).entries
    store.write("c/1/1", [other[: -codec.index_nbytes], b"junk", other[-codec.index_nbytes :]])
    images = {key: _bytes_of(store, key) for key in ("c/0/0", "c/0/1")}
    report = zsc.compact(store)
    assert {(found.key, found.reason) for found in report.findings} == {
        ("c/0/0", "entry_out_of_bounds"),
        ("c/0/1", "shard_too_short"),
    }
    assert report.rewritten == 1
    assert _bytes_of(store, "c/1/1") == other
    assert images == {key: _bytes_of(store, key) for key in images}


def test_trees_and_arrays_without_shards(tmp_path):
    """Groups are gone through; plain arrays, and shards within other codecs, have nothing to compact."""
    zarr.create_group(tmp_path)
    _create(tmp_path / "a", write_strategy="append")[0, 0] = 9
    zarr.create_array(tmp_path / "plain", shape=(4,), chunks=(2,), dtype="u1")[...] = 1
    report = zsc.compact(tmp_path)
    assert (report.arrays, report.shards, report.rewritten) == (1, 4, 1)
    assert zsc.open(tmp_path / "plain", mode="r+").compact().shards == 0
    with pytest.raises(NodeNotFoundError):
        zsc.compact(tmp_path / "nothing")


def test_what_is_refused():
    """An unknown order, an array that is open for reading."""
    store = MemoryStore()
    array = _create(store)
    with pytest.raises(UsageError):
        array.compact("spiral")
    with pytest.raises(UsageError) as caught:
        zsc.open(store).compact()
    assert caught.value.reason == "read_only"


def test_a_full_disk_leaves_the_old_shard(tmp_path, monkeypatch):
    """And no temporary file."""
    array = _create(tmp_path, write_strategy="append")
    array[0, 0] = 9
    image = (tmp_path / "c/0/0").read_bytes()

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zarr_shard_codec.array.rewriting.append_range", full)
    with pytest.raises(StoreError):
        array.compact()
    assert (tmp_path / "c/0/0").read_bytes() == image
    assert sorted(entry.name for entry in (tmp_path / "c/0").iterdir()) == ["0", "1"]


def test_an_object_that_another_writer_replaced_meanwhile_is_left_to_it():
    """Stores without locks: the write is made only if the object is still the one that was read."""
    array = _create(MemoryStore(), codecs=[LITTLE])
    whole, codec = _bytes_of(array.store), array.codec
    _edited(array, codec.read_index(whole).entries, whole[: -codec.index_nbytes] + b"junk")
    store = array.store
    write_if = store.write_if

    def late(key, parts, version):
        store.write(key, [whole])
        return write_if(key, parts, version)

    store.write_if = late
    with pytest.raises(StoreError) as caught:
        array.compact("morton")
    assert caught.value.reason == "object_changed"
    assert _bytes_of(store) == whole


COMPACTING = """
import sys
import zarr_shard_codec as zsc
array = zsc.open(sys.argv[1], mode="r+")
print("begun", flush=True)
while True:
    array.compact("morton")
    array.compact("lexicographic")
"""


def test_no_write_is_lost_to_a_compaction_in_another_process(tmp_path):
    """Every shard is compacted under its lock: writers wait, and add to the new file."""
    array = _create(tmp_path, write_strategy="append")
    expected = array[...]
    environment = {**os.environ, "PYTHONPATH": str(Path(zsc.__file__).parent.parent)}
    command = [sys.executable, "-c", COMPACTING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as other:
        try:
            assert other.stdout.readline() == b"begun\n"
            for at in range(200):
                row, column = divmod(at * 7 % 400, 20)
                array[row, column] = expected[row, column] = 1000 + at
                assert array[row, column] == 1000 + at
        finally:
            other.kill()
    assert np.array_equal(zsc.open(tmp_path)[...], expected)
    array.compact()
    assert np.array_equal(_by_tensorstore(tmp_path), expected)


def test_no_file_is_replaced_while_it_is_open(tmp_path, monkeypatch):
    """Windows would refuse."""
    array = zsc.create(tmp_path, shape=(64,), dtype="u2", shard_shape=(64,), inner_chunk_shape=(8,))
    array[...] = np.arange(64)
    zsc.open(tmp_path, mode="r+", write_strategy="append")[0:8] = 5
    replace = files.replace

    def check(source, target):
        opened = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
        assert os.path.realpath(target) not in opened
        replace(source, target)

    monkeypatch.setattr(files, "replace", check)
    assert zsc.compact(tmp_path).rewritten == 1


def test_where_nothing_keeps_others_off_nothing_is_compacted(tmp_path):
    """Another writer's update between the read and the write would be lost there."""
    store = obstore.store.LocalStore(tmp_path)
    array = zsc.create(store, shape=(16,), dtype="u1", shard_shape=(16,), inner_chunk_shape=(4,))
    array[...] = np.arange(16)
    before = (tmp_path / "c/0").read_bytes()
    with pytest.raises(UsageError, match="lock=None"):
        zsc.compact(store, order="reverse")
    assert (tmp_path / "c/0").read_bytes() == before
    assert zsc.compact(store, order="reverse", dry_run=True).rewritten == 1
    assert zsc.open(store, "r+", lock=None).compact("reverse").rewritten == 1
    assert zsc.open(tmp_path)[...].tolist() == list(range(16))
