"""zarr-python's stores under our pipeline: which are gone around, and what the others are asked."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref

import fsspec
import numpy as np
import obstore
import pytest
import zarr
from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper
from zarr.storage import LocalStore, MemoryStore, ObjectStore, StorePath, WrapperStore, ZipStore

import zarr_shard_codec as zsc
from zarr_shard_codec.adapters.zarr_python import ShardingCodec
from zarr_shard_codec.adapters.zarr_python.stores import own_store
from zarr_shard_codec.stores.local import LocalStore as OwnLocalStore
from zarr_shard_codec.stores.object_store import ObjectStore as OwnObjectStore

DATA = np.random.default_rng(0).integers(0, 9, (20, 24)).astype("int16")
OPTIONS = {"shape": DATA.shape, "dtype": DATA.dtype, "chunks": (2, 3), "shards": (8, 12)}


class WatchedStore(WrapperStore):
    """A store of somebody's that writes down what it is asked."""

    def __init__(self, store):
        super().__init__(store)
        self.asked = []

    async def get(self, key, prototype, byte_range=None):
        self.asked.append((key, byte_range))
        return await super().get(key, prototype, byte_range)


class RenamingStore(LocalStore):
    """A store derived from the host's local one, with other names for its files."""

    def _renamed(self, key):
        return key if key.endswith("zarr.json") else f"{key}.chunk"

    async def get(self, key, prototype=None, byte_range=None):
        return await super().get(self._renamed(key), prototype, byte_range)

    async def set(self, key, value):
        await super().set(self._renamed(key), value)

    async def delete(self, key):
        await super().delete(self._renamed(key))


def fsspec_store(tmp_path):
    """The host's store over fsspec."""
    files = AsyncFileSystemWrapper(fsspec.filesystem("file", auto_mkdir=True), asynchronous=True)
    return zarr.storage.FsspecStore(files, path=str(tmp_path / "fs"))


STORES = {
    "local": LocalStore,
    "memory": lambda _: MemoryStore(),
    "zip": lambda path: ZipStore(path / "a.zip", mode="w"),
    "fsspec": fsspec_store,
    "obstore memory": lambda _: ObjectStore(obstore.store.MemoryStore()),
    "obstore local": lambda path: ObjectStore(obstore.store.LocalStore(path)),
    "wrapped": lambda path: WatchedStore(LocalStore(path)),
    "derived": RenamingStore,
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", STORES)
def test_every_store_holds_what_it_would_hold_for_the_host(tmp_path, name):
    """Written under enable(), in whole and in part, and read with it and without it."""
    store = STORES[name](tmp_path)
    expected = DATA.copy()
    with zsc.enable():
        array = zarr.create_array(store, **OPTIONS)
        array[...] = DATA
        if name != "zip":  # the host's zip store cannot write a key twice and be read right away
            array[3:17:2, 5:] = expected[3:17:2, 5:] = 77
            array[8:16, :12] = expected[8:16, :12] = 0
        assert np.array_equal(array[...], expected)
        assert np.array_equal(array[1:19:3, 7], expected[1:19:3, 7])
    assert np.array_equal(zarr.open_array(store)[...], expected)


def test_only_the_hosts_own_classes_are_gone_around(tmp_path):
    """Exactly its LocalStore and ObjectStore; never what wraps them or derives from them."""
    stores = {name: make(tmp_path) for name, make in STORES.items() if name != "zip"}
    found = {name: own_store(StorePath(store, "c/0")) for name, store in stores.items()}
    kinds = {name: type(store) for name, store in found.items() if store is not None}
    assert kinds == {
        "local": OwnLocalStore,
        "obstore memory": OwnObjectStore,
        "obstore local": OwnLocalStore,
    }


def test_one_obstore_store_is_one_store_of_ours():
    """All arrays of one obstore store share ours, and with it the locks."""
    store = obstore.store.MemoryStore()
    paths = [StorePath(ObjectStore(store), key) for key in ("a", "b")]
    first, second = map(own_store, paths)
    assert first is second
    assert own_store(StorePath(ObjectStore(obstore.store.MemoryStore()), "a")) is not first


def test_an_obstore_store_is_kept_no_longer_than_the_host_keeps_it():
    """Its objects may be all there is in memory."""
    path = StorePath(ObjectStore(obstore.store.MemoryStore()), "a")
    seen = weakref.ref(own_store(path))
    assert own_store(path) is own_store(path)
    del path
    gc.collect()
    assert seen() is None


def test_odd_names_in_obstores_local_files_are_left_to_obstore(tmp_path):
    """It writes some characters of names in a way of its own."""
    store = ObjectStore(obstore.store.LocalStore(tmp_path))
    array = zarr.create_array(store, name="a b%#", **OPTIONS)
    with zsc.enable():
        ours = zarr.open_array(store, path="a b%#")
        ours[...] = DATA
        assert np.array_equal(ours[...], DATA)
    assert np.array_equal(array[...], DATA)


def test_a_part_costs_the_index_and_one_merged_range():
    """On any other store: one request for the index, one for neighbouring inner chunks together."""
    store = WatchedStore(MemoryStore())
    with zsc.enable():
        array = zarr.create_array(store, **OPTIONS)
        array[...] = DATA
        store.asked.clear()
        assert np.array_equal(array[0:4, 0:6], DATA[0:4, 0:6])
        keys = [key for key, _ in store.asked]
        assert keys == ["c/0/0", "c/0/0"]
        store.asked.clear()
        assert np.array_equal(array[:8, :12], DATA[:8, :12])
        assert store.asked == [("c/0/0", None)]


def test_indexes_of_local_files_are_read_once(tmp_path, monkeypatch):
    """A second read from the same shard reads the inner chunk alone, also by another Array object."""
    from zarr_shard_codec.stores import local

    zarr.create_array(tmp_path, **OPTIONS)[...] = DATA
    time.sleep(0.15)  # until the file system's clock has moved on, nobody can say that a file is unchanged
    reads = []
    read_at = local.files.read_at

    def watched(descriptor, offset, nbytes):
        reads.append(nbytes)
        return read_at(descriptor, offset, nbytes)

    monkeypatch.setattr(local.files, "read_at", watched)
    with zsc.enable():
        for _ in range(3):
            array = zarr.open_array(tmp_path)
            assert array[3, 4] == DATA[3, 4]
            assert array[7, 11] == DATA[7, 11]
    index_nbytes = 16 * 16 + 4
    assert reads.count(index_nbytes) == 1
    assert len(reads) == 7


def test_a_read_only_store_is_read_only(tmp_path):
    """Writing raises what the host raises, and changes nothing."""
    zarr.create_array(tmp_path, **OPTIONS)[...] = DATA
    with zsc.enable():
        array = zarr.open_array(LocalStore(tmp_path, read_only=True))
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 1
        with pytest.raises(ValueError, match="read-only"):
            array[3, 4] = 1
    assert np.array_equal(zarr.open_array(tmp_path)[...], DATA)


@pytest.mark.parametrize("way", ["pipeline", "codec"])
def test_links_out_of_the_store_are_followed_as_the_host_follows_them(tmp_path, way):
    """A folder of shards may lie on another disk: our own store refuses such links, the host does not."""
    (tmp_path / "a").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a/c").symlink_to(tmp_path / "elsewhere")
    setting = {"codecs.sharding_indexed": "zarr_shard_codec.adapters.zarr_python.ShardingCodec"}
    zarr.registry.register_codec("sharding_indexed", ShardingCodec)
    zarr.create_array(tmp_path / "a", **OPTIONS)
    with zsc.enable() if way == "pipeline" else zarr.config.set(setting):
        array = zarr.open_array(tmp_path / "a")
        array[...] = DATA
        array[3, 5:9] = 1
        assert (array[3, 5:9] == 1).all()
        assert np.array_equal(array[4:], DATA[4:])
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == ["0", "1", "2"]


def test_the_asynchronous_api_reads_side_by_side(tmp_path):
    """Many reads and writes on one event loop at once, on a local store and on one of the host's own."""

    async def work(store):
        array = await zarr.api.asynchronous.create_array(store, **OPTIONS)
        await array.setitem(slice(None), DATA)
        await asyncio.gather(*(array.setitem((row, slice(None)), np.full(24, row)) for row in range(20)))
        return await asyncio.gather(*(array.getitem((row, slice(None))) for row in range(20)))

    for store in (LocalStore(tmp_path), MemoryStore()):
        with zsc.enable():
            rows = asyncio.run(work(store))
        assert np.array_equal(rows, np.repeat(np.arange(20), 24).reshape(20, 24))


@pytest.mark.parametrize("selection", [[1, 2, 9], [17, 3, 3]])
def test_lists_of_rows_cost_no_more_than_the_slice_that_covers_them(selection):
    """`oindex` with rows reads no byte that the slice from the first to the last would not read."""
    store = WatchedStore(MemoryStore())
    with zsc.enable():
        array = zarr.create_array(store, **OPTIONS, config={})
        array[...] = DATA

        def cost(read):
            store.asked.clear()
            result = read()
            ranges = [span for _, span in store.asked if span is not None and hasattr(span, "start")]
            return result, len(store.asked), sum(span.end - span.start for span in ranges)

        found, requests, nbytes = cost(lambda: array.oindex[selection])
        _, most_requests, most_nbytes = cost(lambda: array[min(selection) : max(selection) + 1])
    assert np.array_equal(found, DATA[selection])
    assert requests <= most_requests + 1  # whole shards are one request, parts of them an index more
    assert nbytes <= max(most_nbytes, DATA.nbytes)


def test_a_relative_path_is_taken_from_the_current_folder_at_each_call(tmp_path, monkeypatch):
    """As the host does: two folders, one name."""
    arrays = {}
    with zsc.enable():
        for at, name in enumerate(["one", "two"]):
            (tmp_path / name).mkdir()
            monkeypatch.chdir(tmp_path / name)
            arrays[name] = zarr.create_array("a.zarr", **OPTIONS)
            arrays[name][...] = DATA + at
        for at, name in enumerate(["one", "two"]):
            monkeypatch.chdir(tmp_path / name)
            assert np.array_equal(zarr.open_array("a.zarr")[...], DATA + at)
            assert (tmp_path / name / "a.zarr" / "c").is_dir()


def test_a_link_that_is_set_anew_leads_elsewhere(tmp_path):
    """Above the store's folder, and within it; for readers and for writers."""
    link = tmp_path / "latest"
    with zsc.enable():
        for at, name in enumerate(["v1", "v2"]):
            zarr.create_array(tmp_path / name / "a.zarr", **OPTIONS)[...] = DATA + at
            link.unlink(missing_ok=True)
            link.symlink_to(name)
            above = zarr.open_array(link / "a.zarr")
            within = zarr.open_array(LocalStore(tmp_path), path="latest/a.zarr")
            assert np.array_equal(above[...], DATA + at)
            assert np.array_equal(within[...], DATA + at)
            above[0, 0], within[0, 1] = 77, 78
            assert zarr.open_array(tmp_path / name / "a.zarr")[0, :2].tolist() == [77, 78]
        assert above[0, :2].tolist() == [77, 78]


@pytest.mark.parametrize("concurrency", [None, 1, 10])
def test_any_number_of_writes_at_once(concurrency):
    """None is as many as there are, for the host and for us."""
    with zsc.enable(), zarr.config.set({"async.concurrency": concurrency}):
        array = zarr.create_array(MemoryStore(), shape=(64,), shards=(8,), chunks=(2,), dtype="u2")
        array[...] = np.arange(64)
        assert array[...].tolist() == list(range(64))


def test_after_an_error_nothing_goes_on():
    """Whoever is told of it finds the store at rest."""
    written = []

    class Slow(MemoryStore):
        async def set(self, key, value, *args):
            if key.endswith("c/0"):
                raise RuntimeError("no room")
            await asyncio.sleep(0.1)
            written.append(key)
            await super().set(key, value, *args)

    with zsc.enable():
        array = zarr.create_array(Slow(), shape=(32,), shards=(8,), chunks=(2,), dtype="u2")
        written.clear()
        with pytest.raises(RuntimeError, match="no room"):
            array[...] = 1
    at_once = list(written)
    time.sleep(0.3)
    assert written == at_once
