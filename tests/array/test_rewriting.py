"""What `compact` and `repair` leave of a shard without inner chunks, and of what others write to it."""

from __future__ import annotations

import numpy as np
import obstore
import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.core.index import ShardIndex
from zarr_shard_codec.core.ranges import WHOLE
from zarr_shard_codec.errors import StoreError
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import MemoryStore
from zarr_shard_codec.stores.object_store import ObjectStore

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
CRC = {"name": "crc32c"}


def _store(kind, path):
    if kind == "local":
        return LocalStore(path)
    return MemoryStore() if kind == "memory" else ObjectStore(obstore.store.MemoryStore())


def _empty_shard(store):
    """An array whose one shard has bytes that nobody needs, and no inner chunk."""
    array = zsc.create(store, shape=(64,), dtype="u4", shard_shape=(64,), inner_chunk_shape=(16,))
    index = array.codec.encode_index(ShardIndex.empty((4,)))
    store.write("c/0", [b"junk", index])
    return array, bytes(index)


def _broken_shard(store):
    """An array whose one shard has one inner chunk, which cannot be read."""
    array = zsc.create(
        store, shape=(64,), dtype="u4", shard_shape=(64,), inner_chunk_shape=(16,), codecs=[LITTLE, CRC]
    )
    array[:16] = 1
    image = bytearray(store.read("c/0", [WHOLE])[0])
    image[0] ^= 1
    store.write("c/0", [image])
    return array, bytes(array.codec.encode_index(ShardIndex.empty((4,))))


def _compact(store):
    return zsc.compact(store)


def _drop(store):
    return zsc.repair(store, apply=True, drop_corrupt=True)


RUNS = [(_empty_shard, _compact), (_broken_shard, _drop)]


@pytest.mark.parametrize(("make", "run"), RUNS)
@pytest.mark.parametrize("kind", ["local", "memory", "obstore"])
def test_nothing_is_left_of_an_empty_shard_but_its_index_at_most(tmp_path, kind, make, run):
    """Where a store removes no object on a condition, the index stays, and is left alone from then on."""
    store = _store(kind, tmp_path)
    array, index = make(store)
    run(store)
    found = store.read("c/0", [WHOLE])
    assert found is None if kind != "obstore" else bytes(found[0]) == index
    assert (array[...] == 0).all()
    again = zsc.compact(store)
    assert (again.rewritten, again.deleted) == (0, 0)


def test_a_dry_run_says_what_becomes_of_an_empty_shard(tmp_path):
    """The same as the run, in each store."""
    for kind in ("local", "memory", "obstore"):
        store = _store(kind, tmp_path)
        _empty_shard(store)
        planned, done = zsc.compact(store, dry_run=True), zsc.compact(store)
        assert (planned.rewritten, planned.deleted) == (done.rewritten, done.deleted)
        assert planned.nbytes_after == done.nbytes_after


@pytest.mark.parametrize("lock", [None, lambda _name: _NoLock()])
def test_with_a_lock_of_the_caller_empty_shards_are_deleted(lock):
    """Then nobody else writes meanwhile, and nothing is asked of the store."""
    store = _store("obstore", None)
    _empty_shard(store)
    report = zsc.open(store, mode="r+", lock=lock).compact()
    assert report.deleted == 1
    assert store.read("c/0", [WHOLE]) is None


class _NoLock:
    def __enter__(self):
        return self

    def __exit__(self, *_error):
        return None


@pytest.mark.parametrize(("make", "run"), RUNS)
@pytest.mark.parametrize("kind", ["memory", "obstore"])
def test_an_update_of_another_writer_is_not_removed_with_an_empty_shard(kind, make, run, monkeypatch):
    """Made after the shard was read: it is there afterwards, and the run says that it was too late."""
    store = _store(kind, None)
    array, _ = make(store)
    update = bytes(array.codec.encode(np.full(64, 3, "u4")))

    def be_late(act):
        def late(key, *arguments):
            if key == "c/0":
                monkeypatch.undo()
                store.write(key, [update])
            return act(key, *arguments)

        return late

    for name in ("delete", "delete_if", "write_if"):
        if hasattr(store, name):
            monkeypatch.setattr(store, name, be_late(getattr(store, name)))
    with pytest.raises(StoreError) as caught:
        run(store)
    assert (caught.value.reason, caught.value.key) == ("object_changed", "c/0")
    assert np.array_equal(zsc.open(store)[...], np.full(64, 3))
