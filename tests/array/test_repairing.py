"""Repairing arrays: the old state or the new one comes back, and what cannot be proven stays as it is."""

from __future__ import annotations

import json
import os
import tracemalloc

import numpy as np
import obstore
import pytest
import tensorstore
import zarr

import zarr_shard_codec as zsc
from zarr_shard_codec.array.inventory import take_inventory
from zarr_shard_codec.core.index import ShardIndex
from zarr_shard_codec.core.ranges import WHOLE
from zarr_shard_codec.errors import NodeNotFoundError, StoreError, UsageError
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import MemoryStore
from zarr_shard_codec.stores.object_store import ObjectStore

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
CRC = {"name": "crc32c"}
GZIP = {"name": "gzip", "configuration": {"level": 1}}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": True}}
BLOSC = {
    "name": "blosc",
    "configuration": {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 4, "blocksize": 0},
}
VALUES = np.arange(1, 17, dtype="int32")


def _store(kind, path):
    if kind == "local":
        return LocalStore(path)
    return MemoryStore() if kind == "memory" else ObjectStore(obstore.store.MemoryStore())


def _create(store, shape=(16,), shard=(8,), inner=(2,), **options):
    array = zsc.create(
        store, shape=shape, dtype="int32", shard_shape=shard, inner_chunk_shape=inner, **options
    )
    array[...] = np.arange(1, 1 + np.prod(shape)).reshape(shape)
    return array


def _bytes_of(store, key="c/0"):
    return bytes(store.read(key, [WHOLE])[0])


def _flip(store, at, key="c/0"):
    image = bytearray(_bytes_of(store, key))
    image[at] ^= 0x10
    store.write(key, [image])


def _names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def _by_tensorstore(path):
    driver = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
    return tensorstore.open(driver).result().read().result()


def test_a_repaired_shard_is_read_by_others(tmp_path):
    """Both tensorstore and zarr-python see the values of the state that came back."""
    array = _create(tmp_path, write_strategy="append")
    before = array[...]
    array[2:4] = 70
    path = tmp_path / "c/0"
    path.write_bytes(path.read_bytes()[:-5])
    zsc.repair(tmp_path, apply=True)
    assert np.array_equal(_by_tensorstore(tmp_path), before)
    assert np.array_equal(zarr.open_array(tmp_path, mode="r")[...], before)


@pytest.mark.parametrize("store", ["local", "memory", "obstore"])
def test_a_dry_run_changes_nothing_and_says_what_apply_does(tmp_path, store):
    """The same repairs, before and after; then there is nothing left to do."""
    store = _store(store, tmp_path)
    _create(store, codecs=[LITTLE, ZSTD])
    _flip(store, len(_bytes_of(store)) - 2)
    damaged = _bytes_of(store)
    planned = zsc.repair(store)
    assert _bytes_of(store) == damaged
    assert [info.key for info in store.list("") if "damaged" in info.key] == []
    done = zsc.repair(store, apply=True)
    assert (planned.applied, done.applied) == (False, True)
    assert [str(repair) for repair in planned.repairs] == [str(repair) for repair in done.repairs]
    assert [repair.action for repair in done.repairs] == ["rebuild_index"]
    assert _bytes_of(store, "c/0.zsc-damaged-1") == damaged
    again = zsc.repair(store, apply=True)
    assert (again.repairs, again.findings) == ((), ())
    (note,) = zsc.verify(store).findings
    assert (note.severity, note.reason, note.key) == ("note", "orphan_object", "c/0.zsc-damaged-1")
    assert "damaged original" in note.message
    assert np.array_equal(zsc.open(store)[...], VALUES)


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("codecs", [(ZSTD,), (GZIP,), (BLOSC,), (CRC,), (ZSTD, CRC)])
def test_a_flipped_bit_anywhere_in_an_index_is_repaired(codecs, location):
    """In an offset, a size or the checksum: the inner chunks say where they are."""
    store = MemoryStore()
    array = _create(store, codecs=[LITTLE, *codecs], index_location=location)
    whole, size = _bytes_of(store), array.codec.index_nbytes
    first = 0 if location == "start" else len(whole) - size
    for at in range(size):
        store.write("c/0", [whole])
        _flip(store, first + at)
        report = zsc.repair(store, apply=True)
        assert [repair.action for repair in report.repairs] == ["rebuild_index"]
        assert _bytes_of(store) == whole


@pytest.mark.parametrize("order", ["lexicographic", "morton"])
def test_other_shards_tell_the_order_of_one_that_lost_its_index(tmp_path, order):
    """Enough of them, whole, without gaps, in one order: the values are right; else nothing is done."""
    options = {"shape": (32, 16), "shard": (16, 16), "inner": (4, 4), "chunk_order": order}
    _create(tmp_path / "a", **options)
    expected = zsc.open(tmp_path / "a")[...]
    path = tmp_path / "a/c/1/0"
    path.write_bytes(path.read_bytes()[:-260])
    assert [repair.action for repair in zsc.repair(tmp_path / "a", apply=True).repairs] == ["rebuild_index"]
    assert np.array_equal(_by_tensorstore(tmp_path / "a"), expected)
    for name in ("0", "1"):
        path = tmp_path / "a/c" / name / "0"
        path.write_bytes(path.read_bytes()[:-260])
    refused = zsc.repair(tmp_path / "a", apply=True)
    assert refused.repairs == ()
    assert [finding.reason for finding in refused.errors] == ["index_checksum_mismatch"] * 2
    assert "cannot be proven" in refused.errors[0].message
    told = zsc.repair(tmp_path / "a", apply=True, order=order)
    assert len(told.repairs) == 2
    assert np.array_equal(zsc.open(tmp_path / "a")[...], expected)


def test_what_cannot_be_repaired_stays_as_it_is(tmp_path):
    """Plain elements without frames, no older index: the shard keeps its bytes, and the reason is given."""
    _create(tmp_path, codecs=[LITTLE])
    path = tmp_path / "c/0"
    image = path.read_bytes()[:-9]
    path.write_bytes(image)
    report = zsc.repair(tmp_path, apply=True, drop_corrupt=True)
    assert (report.repairs, len(report.errors)) == ((), 1)
    assert "do not say where they end" in report.errors[0].message
    assert path.read_bytes() == image
    assert _names(tmp_path / "c") == ["0", "1"]


def test_inner_chunks_that_fail_are_dropped_only_when_told_so(tmp_path):
    """Then they read as fill value; the others keep their values; the original is kept."""
    _create(tmp_path, codecs=[LITTLE, CRC])
    store = LocalStore(tmp_path)
    damaged = bytearray(_bytes_of(store))
    damaged[13] ^= 1
    store.write("c/0", [damaged])
    report = zsc.repair(tmp_path, apply=True)
    assert report.repairs == ()
    assert [(found.reason, found.inner_chunk) for found in report.errors] == [
        ("inner_chunk_checksum_mismatch", (1,))
    ]
    assert _bytes_of(store) == damaged
    report = zsc.repair(tmp_path, apply=True, drop_corrupt=True)
    assert [(repair.action, repair.inner_chunk) for repair in report.repairs] == [("drop_inner_chunk", (1,))]
    assert not zsc.verify(tmp_path).errors
    expected = VALUES.copy()
    expected[2:4] = 0
    assert np.array_equal(zsc.open(tmp_path)[...], expected)
    assert np.array_equal(_by_tensorstore(tmp_path), expected)
    assert _bytes_of(store, report.repairs[0].kept) == damaged


def test_a_shard_within_a_shard_is_dropped_as_a_whole():
    """And that is said; the other inner shards keep their values."""
    inner = {
        "name": "sharding_indexed",
        "configuration": {"chunk_shape": [2], "codecs": [LITTLE, CRC], "index_codecs": [LITTLE, CRC]},
    }
    store = MemoryStore()
    _create(store, shape=(16,), shard=(16,), inner=(4,), codecs=[inner])
    _flip(store, 0)
    (finding,) = zsc.repair(store).findings
    assert (finding.inner_chunk, finding.key) == ((0,), "c/0")
    (repair,) = zsc.repair(store, apply=True, drop_corrupt=True).repairs
    assert "all of this inner shard" in repair.message
    assert zsc.open(store)[...].tolist() == [0] * 4 + list(range(5, 17))


def test_entries_that_cannot_be_are_dropped_too(tmp_path):
    """Out of bounds, half empty: whatever verify calls an error of an inner chunk."""
    array = _create(tmp_path, codecs=[LITTLE])
    store = LocalStore(tmp_path)
    whole, codec = _bytes_of(store), array.codec
    entries = codec.read_index(whole).entries.copy()
    entries[0], entries[3] = (10**9, 8), (0, 0)
    index = bytes(codec.encode_index(ShardIndex(entries, codec.chunks_per_shard)))
    store.write("c/0", [whole[: -codec.index_nbytes] + index])
    report = zsc.repair(tmp_path, apply=True, drop_corrupt=True)
    assert {repair.inner_chunk for repair in report.repairs} == {(0,), (3,)}
    assert np.array_equal(zsc.open(tmp_path)[:8], [0, 0, 3, 4, 5, 6, 0, 0])


def test_a_shard_of_which_nothing_is_left_is_deleted(tmp_path):
    """Its original is kept all the same."""
    _create(tmp_path, codecs=[LITTLE, CRC], shape=(2,), shard=(2,))
    path = tmp_path / "c/0"
    image = bytearray(path.read_bytes())
    image[0] ^= 1
    path.write_bytes(image)
    zsc.repair(tmp_path, apply=True, drop_corrupt=True)
    assert _names(tmp_path / "c") == ["0.zsc-damaged-1"]
    assert (tmp_path / "c/0.zsc-damaged-1").read_bytes() == image
    assert zsc.open(tmp_path)[...].tolist() == [0, 0]


def test_every_original_is_kept_once(tmp_path):
    """Repaired, damaged and repaired again: two originals, and no reader takes one for a chunk."""
    array = _create(tmp_path, codecs=[LITTLE, ZSTD])
    store = LocalStore(tmp_path)
    for _ in range(2):
        _flip(store, len(_bytes_of(store)) - 1)
        zsc.repair(tmp_path, apply=True)
    names = ["0", "0.zsc-damaged-1", "0.zsc-damaged-2", "1"]
    assert _names(tmp_path / "c") == names
    inventory = take_inventory(array)
    assert [stored.key for stored in inventory.objects] == ["c/0", "c/1"]
    zsc.unpack(tmp_path, tmp_path.parent / "unpacked")
    assert np.array_equal(zsc.open(tmp_path.parent / "unpacked")[...], VALUES)
    assert np.array_equal(_by_tensorstore(tmp_path), VALUES)


def test_originals_without_links_are_copies(tmp_path, monkeypatch):
    """File systems without second names for a file: the original is there as well."""
    _create(tmp_path, codecs=[LITTLE, ZSTD])
    store = LocalStore(tmp_path)
    _flip(store, len(_bytes_of(store)) - 1)
    damaged = _bytes_of(store)

    def refuse(*_arguments):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    zsc.repair(tmp_path, apply=True)
    assert _bytes_of(store, "c/0.zsc-damaged-1") == damaged


def test_a_tree_is_repaired_as_a_whole(tmp_path):
    """Arrays below groups, plain arrays, unreadable nodes: each gets what it can."""
    zarr.create_group(tmp_path)
    for name in ("a", "b"):
        _create(tmp_path / "deep" / name, codecs=[LITTLE, ZSTD])
        _flip(LocalStore(tmp_path), -1, f"deep/{name}/c/0")
    zarr.create_array(tmp_path / "plain", shape=(4,), chunks=(2,), dtype="u1")[...] = 1
    (tmp_path / "plain/c/0").write_bytes(b"junk")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/zarr.json").write_text('{"zarr_format": 3, "node_type": "array"}')
    (tmp_path / "deep/.zsc-tmp-0123456789abcdef").write_bytes(b"half")
    report = zsc.repair(tmp_path, apply=True)
    assert sorted(repair.key for repair in report.repairs) == [
        "deep/.zsc-tmp-0123456789abcdef",
        "deep/a/c/0",
        "deep/b/c/0",
    ]
    assert {finding.key for finding in report.errors} == {"broken/zarr.json", "plain/c/0"}
    assert report.arrays == 3
    with pytest.raises(NodeNotFoundError):
        zsc.repair(tmp_path / "nothing")


@pytest.mark.parametrize("shard", [(2**26,), (2**33,), (2**62,) * 4])
@pytest.mark.parametrize("location", ["start", "end"])
def test_an_index_larger_than_its_object_costs_no_memory(shard, location):
    """Metadata that claim millions of inner chunks, or more than can be, and an object of a few bytes."""
    store = MemoryStore()
    array = zsc.create(
        store,
        shape=(4,) * len(shard),
        dtype="int32",
        shard_shape=shard,
        inner_chunk_shape=(1,) * len(shard),
        codecs=[LITTLE, ZSTD],
        index_location=location,
    )
    chunk = bytes(array.codec.inner.encode(np.ones((1,) * len(shard), "int32")))
    store.write("/".join(["c"] + ["0"] * len(shard)), [chunk, bytes(200)])
    tracemalloc.start()
    try:
        (finding,) = zsc.repair(store, drop_corrupt=True).findings
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()
    assert finding.reason == "shard_too_short"
    assert "cannot be proven" in finding.message


def test_codecs_around_shards_are_left_alone():
    """Their bytes are all or nothing."""
    store = MemoryStore()
    document = json.loads(_bytes_of(_create(store).store, "zarr.json"))
    document["codecs"].append(GZIP)
    store.write("zarr.json", [json.dumps(document).encode()])
    array = zsc.open(store, mode="r+")
    array[...] = VALUES
    store.write("c/0", [_bytes_of(store)[:-1]])
    report = zsc.repair(store, apply=True, drop_corrupt=True)
    assert (report.repairs, [found.key for found in report.errors]) == ((), ["c/0"])


def test_stores_that_cannot_be_written(tmp_path, monkeypatch):
    """A full disk: the shard is as damaged as it was, nothing else is left but the second name."""
    _create(tmp_path, codecs=[LITTLE, ZSTD])
    store = LocalStore(tmp_path)
    _flip(store, -1)
    damaged = _bytes_of(store)

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zarr_shard_codec.array.rewriting.append_range", full)
    with pytest.raises(StoreError) as caught:
        zsc.repair(tmp_path, apply=True)
    assert caught.value.errno == 28
    assert _bytes_of(store) == damaged
    assert not [name for name in _names(tmp_path / "c") if name.startswith(".")]
    monkeypatch.undo()
    assert zsc.repair(tmp_path, apply=True).repairs[0].kept == "c/0.zsc-damaged-1"


def test_an_unknown_order_is_refused():
    """Before anything is looked at."""
    with pytest.raises(UsageError):
        zsc.repair(MemoryStore(), order="spiral")


def test_a_shard_without_hope_holds_up_none_that_come_after_it(tmp_path):
    """The first is too short for an index; of the second only the index's checksum is wrong."""
    array = zsc.create(tmp_path, shape=(8, 16), dtype="u2", shard_shape=(8, 8), inner_chunk_shape=(2, 2))
    array[...] = np.arange(1, 129).reshape(8, 16)
    os.truncate(tmp_path / "c/0/0", 3)
    _flip_last_byte(tmp_path / "c/0/1")
    report = zsc.repair(tmp_path, apply=True)
    assert [(repair.action, repair.key) for repair in report.repairs] == [("rebuild_index", "c/0/1")]
    assert {finding.key for finding in report.findings} == {"c/0/0"}
    assert zsc.open(tmp_path)[:, 8:].tolist() == np.arange(1, 129).reshape(8, 16)[:, 8:].tolist()


def test_what_is_repaired_is_what_was_announced(tmp_path):
    """A shard that was just mended proves nothing of the order of others: it is no witness in a dry run."""
    array = zsc.create(tmp_path, shape=(8, 32), dtype="u2", shard_shape=(8, 16), inner_chunk_shape=(2, 4))
    array[...] = np.random.default_rng(0).integers(0, 9999, (8, 32))
    _flip_last_byte(tmp_path / "c/0/0")
    broken = bytearray((tmp_path / "c/0/1").read_bytes())
    broken[-260 : -4 - 48] = bytes(208)
    (tmp_path / "c/0/1").write_bytes(broken)
    announced = zsc.repair(tmp_path).repairs
    assert [repair.key for repair in zsc.repair(tmp_path, apply=True).repairs] == [r.key for r in announced]


def _flip_last_byte(path):
    broken = bytearray(path.read_bytes())
    broken[-1] ^= 1
    path.write_bytes(broken)
