"""Creating where there is something already: it is never harmed, and never read as something else."""

from __future__ import annotations

import pytest
import zarr
from creating import GROUP, create, keys, refused

import zarr_shard_codec as zsc
from zarr_shard_codec.core.ranges import WHOLE
from zarr_shard_codec.stores.memory import MemoryStore


def test_error_refuses_whatever_is_there():
    """exist="error": an array, the same one too, or a group there is an error, and stays."""
    store = MemoryStore()
    create(store)[...] = 1
    refused("already_exists", store)
    refused("already_exists", store, dtype="int32")
    store.write("group/zarr.json", [GROUP])
    assert isinstance(refused("already_exists", store, path="group"), FileExistsError)
    assert (zsc.open(store)[...] == 1).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": "int32"},
        {"shape": (8, 9)},
        {"shard_shape": (8, 4)},
        {"inner_chunk_shape": (4, 4)},
        {"fill_value": 1},
        {"index_location": "start"},
        {"attributes": {"a": 1}},
        {"dimension_names": ["y", "x"]},
        {"chunk_key_encoding": "v2"},
        {"codecs": [{"name": "bytes", "configuration": {"endian": "big"}}]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_match_takes_only_the_same(changes):
    """exist="match" opens the same array, its data kept, and refuses any other, saying where they differ."""
    store = MemoryStore()
    create(store)[...] = 1
    assert (create(store, exist="match")[...] == 1).all()
    before = store.read("zarr.json", [WHOLE])
    error = refused("node_mismatch", store, exist="match", **changes)
    name = next(iter(changes))
    members = {"dtype": "data_type", "shard_shape": "chunk_grid"}
    members |= dict.fromkeys(("inner_chunk_shape", "index_location"), "codecs")
    assert f"{members.get(name, name)}: asked" in str(error)
    assert store.read("zarr.json", [WHOLE]) == before


def test_match_tells_minus_zero_from_zero():
    """The same means the same bits: a fill value of -0.0 is not 0.0."""
    store = MemoryStore()
    create(store, dtype="float32", fill_value=0.0)
    create(store, dtype="float32", fill_value=0.0, exist="match")
    refused("node_mismatch", store, dtype="float32", fill_value=-0.0, exist="match")


def test_match_is_not_a_group_nor_broken():
    """exist="match" refuses a group, and says what is wrong with a document that cannot be read."""
    store = MemoryStore()
    store.write("zarr.json", [GROUP])
    refused("node_mismatch", store, exist="match")
    store.write("zarr.json", [b"[]"])
    with pytest.raises(zsc.MetadataError):
        create(store, exist="match")


@pytest.mark.parametrize("key", ["c/0/0", "c.0.0", "0/1", "0.0", "c", "0", "c/12/7"])
@pytest.mark.parametrize("exist", ["error", "match"])
def test_chunks_without_metadata_are_not_adopted(key, exist):
    """A chunk left by whatever was there before is never read as the new array's."""
    store = MemoryStore()
    store.write(f"a/{key}", [b"old"])
    store.write("a/notes.txt", [b"mine"])
    error = refused("stale_data", store, path="a", exist=exist)
    assert error.key == f"a/{key}"
    array = create(store, path="a", exist="replace")
    assert (array[...] == 0).all()
    assert keys(store) == ["a/notes.txt", "a/zarr.json"]


@pytest.mark.parametrize("encoding", [None, "v2", {"name": "default", "configuration": {"separator": "."}}])
def test_replace_shows_nothing_old(encoding):
    """exist="replace": whatever the old key encoding and version, no old chunk shows through."""
    store = MemoryStore()
    create(store, chunk_key_encoding=encoding, path="a")[...] = 7
    create(store, path="ab")[...] = 1
    for new in (None, "v2"):
        array = create(store, chunk_key_encoding=new, path="a", exist="replace", shard_shape=(8, 8))
        assert (array[...] == 0).all()
    assert (zsc.open(store, path="ab")[...] == 1).all()
    assert [key for key in keys(store) if key.startswith("a/")] == ["a/zarr.json"]


def test_replace_takes_the_place_of_v2(tmp_path):
    """A v2 array is replaced with all of its documents, its chunks and its attributes."""
    theirs = zarr.create_array(str(tmp_path), shape=(4,), chunks=(2,), dtype="i2", zarr_format=2)
    theirs[...] = 5
    theirs.attrs["a"] = 1
    create(tmp_path, exist="replace")
    assert [path.name for path in tmp_path.iterdir()] == ["zarr.json"]


@pytest.mark.parametrize(
    "document",
    [b"", b"{", b"[]", b'{"zarr_format": 3, "node_type": "array", "shape": "?"}', b"\xff\xfe"],
)
def test_broken_metadata_may_be_replaced(document):
    """A document that nobody can read does not stand in the way of exist="replace"."""
    store = MemoryStore()
    store.write("zarr.json", [document])
    store.write("c/0/0", [b"old"])
    assert (create(store, exist="replace")[...] == 0).all()
    assert keys(store) == ["zarr.json"]


@pytest.mark.parametrize(
    "objects",
    [
        {"zarr.json": GROUP},
        {"zarr.json": b'{"zarr_format": 3, "node_type": "group", "surprise": 1}'},
        {".zgroup": b'{"zarr_format": 2}'},
        {"zarr.json": b"{", ".zgroup": b'{"zarr_format": 2}'},
        {"0/.zarray": b"{}", "0/0.0": b"precious"},
        {"0/zarr.json": b"{}", "0/c/0": b"precious"},
        {"zarr.json": b"{", "deep/down/zarr.json": GROUP},
    ],
    ids=["group", "broken group", "v2", "broken v3, v2", "implied by v2", "implied by v3", "broken, child"],
)
def test_groups_are_never_replaced(objects):
    """A group, broken or only implied by what is below it, loses nothing to exist="replace"."""
    store = MemoryStore()
    for key, value in objects.items():
        store.write(f"g/{key}", [value])
    before = {key: bytes(store.read(key, [WHOLE])[0]) for key in keys(store)}
    refused("already_exists", store, path="g", exist="replace")
    assert {key: bytes(store.read(key, [WHOLE])[0]) for key in keys(store)} == before


def test_what_has_nodes_in_it_is_never_replaced():
    """Though it is an array: the error says what was found, and calls it no group."""
    store = MemoryStore()
    store.write("a/zarr.json", [create(MemoryStore()).metadata.to_bytes()])
    store.write("a/b/zarr.json", [GROUP])
    error = refused("already_exists", store, path="a", exist="replace")
    assert "there is a/b/zarr.json" in error.message
    assert "group" not in error.message


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("exist", ["error", "match", "replace"])
@pytest.mark.parametrize("path", ["a/c", "a/b/c"])
def test_an_array_lies_in_no_array(version, exist, path):
    """What is written into it could be taken for the other one's chunks."""
    store = MemoryStore()
    if version == 3:
        create(store, path="a")[...] = 1
    else:
        store.write("a/.zarray", [b'{"zarr_format": 2}'])
        store.write("a/0.0", [b"precious"])
    before = keys(store)
    error = refused("already_exists", store, path=path, exist=exist)
    assert (error.key, keys(store)) == ("a", before)


def test_what_lies_above_costs_a_read_a_level(recording_store):
    """Groups are asked for what they are; an array that is there has been asked already."""
    store = recording_store()
    for key in ("zarr.json", "a/zarr.json", "a/b/zarr.json"):
        store.write(key, [GROUP])
    store.forget()
    create(store, path="a/b/c")
    assert [key for key, _ in store.reads if "c" not in key] == ["zarr.json", "a/zarr.json", "a/b/zarr.json"]
    store.forget()
    create(store, path="a/b/c", exist="match")
    assert [key for key, _ in store.reads] == ["a/b/c/zarr.json"]


class Scoped(MemoryStore):
    """Lets nobody read but in one folder, as a bucket's policy may say."""

    def open_object(self, key):
        """Open an object in that folder."""
        if not key.startswith("mine/"):
            raise zsc.StoreError("store_failure", "cannot read the object: access denied", key=key)
        return super().open_object(key)

    def read(self, key, requests):
        """Read an object in that folder."""
        return None if self.open_object(key) is None else super().read(key, requests)


def test_what_lies_above_need_not_be_readable():
    """Who has rights for a folder alone creates arrays there; what can be read above them still counts."""
    store = Scoped()
    assert create(store, path="mine/array").path == "mine/array"
    create(store, path="mine/other", exist="replace")
    refused("already_exists", store, path="mine/array/within")
