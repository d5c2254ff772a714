"""Resizing: what falls outside is gone, what stays is untouched, and the document changes in one place."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr
from obstore.store import LocalStore

import zarr_shard_codec as zsc
from zarr_shard_codec.core.ranges import WHOLE
from zarr_shard_codec.stores.memory import MemoryStore


def _array(store, **options):
    array = zsc.create(
        store,
        shape=(10, 9),
        dtype="i4",
        shard_shape=(4, 6),
        inner_chunk_shape=(2, 3),
        fill_value=-1,
        **options,
    )
    array[...] = np.arange(90).reshape(10, 9)
    return array


@pytest.mark.parametrize("encoding", [None, "v2", {"name": "v2", "configuration": {"separator": "/"}}])
def test_growing_again_shows_fill_value(encoding):
    """Shrinking and growing leaves fill value where data was, in shards that stayed and those that went."""
    array = _array(MemoryStore(), chunk_key_encoding=encoding)
    array.resize((5, 4))
    assert (array[...] == np.arange(90).reshape(10, 9)[:5, :4]).all()
    array.resize((12, 12))
    expected = np.full((12, 12), -1)
    expected[:5, :4] = np.arange(90).reshape(10, 9)[:5, :4]
    assert (array[...] == expected).all()


def test_objects_outside_are_deleted(recording_store):
    """Shards wholly outside are deleted unread; those that stay whole are not touched at all."""
    store = recording_store()
    array = _array(store)
    store.forget()
    array.resize((8, 6))
    assert sorted(store.deletes) == ["c/0/1", "c/1/1", "c/2/0", "c/2/1"]
    assert store.writes == ["zarr.json"]
    assert {key for key, _ in store.reads} == {"zarr.json"}
    assert sorted(store.objects()) == ["c/0/0", "c/1/0", "zarr.json"]


def test_of_sparse_arrays_only_what_is_stored_is_looked_at(recording_store):
    """An edge of 10^8 shards, three of them stored: they are cleared, and no others are asked for."""
    store = recording_store()
    array = zsc.create(
        store, shape=(2 * 10**9, 10**9), dtype="i4", shard_shape=(10, 10), inner_chunk_shape=(5, 5)
    )
    places = [(10**9 + 3, 0), (10**9 + 7, 7), (10**9 + 7, 10**8 + 7), (10**9 + 8, 10**9 - 1), (5, 5)]
    for place in [*places, (10**9 + 10, 0)]:
        array[place] = 1
    store.forget()
    array.resize((10**9 + 5, 10**9))
    edge = {"c/100000000/0", "c/100000000/10000000", "c/100000000/99999999"}
    assert {key for key, _ in store.reads} == edge | {"zarr.json"}
    assert "c/100000001/0" in store.deletes
    array.resize((2 * 10**9, 10**9))
    assert [array[place] for place in places] == [1, 0, 0, 0, 1]


def test_growing_touches_no_data(recording_store):
    """Growing writes the document, and nothing else."""
    store = recording_store()
    array = _array(store)
    store.forget()
    array.resize((100, 9))
    assert (store.writes, store.deletes) == (["zarr.json"], [])
    assert array.shape == (100, 9)
    assert (array[10:] == -1).all()


def test_the_shape_is_written_last():
    """If the store fails while data is cleared, the shape in the document is the old one."""

    class Failing(MemoryStore):
        def delete(self, key):  # noqa: ARG002
            raise zsc.StoreError("store_failure", "no")

    store = Failing()
    array = _array(store)
    with pytest.raises(zsc.StoreError):
        array.resize((2, 2))
    assert array.shape == zsc.open(store).shape == (10, 9)


def test_nothing_else_in_the_document_changes():
    """Attributes, spelling and members that may be ignored survive a resize."""
    store = MemoryStore()
    _array(store, attributes={"a": [1, "ü"]}, dimension_names=["y", None])
    before = json.loads(bytes(store.read("zarr.json", [WHOLE])[0]))
    before["later"] = {"must_understand": False, "x": 1}
    store.write("zarr.json", [json.dumps(before).encode()])
    zsc.open(store, "r+").resize((3, 3))
    after = json.loads(bytes(store.read("zarr.json", [WHOLE])[0]))
    assert after == before | {"shape": [3, 3]}


def test_to_nothing_and_back():
    """A size of 0 deletes every shard; the array is still one."""
    store = MemoryStore()
    array = _array(store)
    array.resize((0, 9))
    assert [info.key for info in store.list("")] == ["zarr.json"]
    assert array[...].shape == (0, 9)
    array.resize((10, 9))
    assert (array[...] == -1).all()


@pytest.mark.parametrize(
    "shape", [(10,), (10, 9, 1), (-1, 9), (10, 9.0), 5, "ab", (2**63, 1), (2**70, 1), None, (None, None)]
)
def test_what_is_no_shape_is_refused(recording_store, shape):
    """Another rank, negative, fractional or endless sizes are an error; nothing is written or cleared."""
    store = recording_store()
    array = _array(store)
    store.forget()
    with pytest.raises(zsc.UsageError) as caught:
        array.resize(shape)
    assert caught.value.reason == "invalid_argument"
    assert (store.writes, store.deletes) == ([], [])


def test_no_document_no_resize():
    """An array opened by metadata given, with no document in the store, says that there is none to change."""
    metadata = _array(MemoryStore()).metadata
    with pytest.raises(zsc.NodeNotFoundError):
        zsc.open(MemoryStore(), "r+", metadata=metadata).resize((20, 20))


def test_zarr_python_sees_the_new_shape(tmp_path):
    """What zarr-python reads after a resize is what NumPy would have."""
    array = _array(tmp_path)
    array.resize((5, 12))
    model = np.full((5, 12), -1)
    model[:, :9] = np.arange(90).reshape(10, 9)[:5]
    assert (zarr.open_array(str(tmp_path), mode="r")[...] == model).all()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_the_text_of_attributes_stays_as_it_was(tmp_path, zarr_format):
    """A document with NaN in its attributes, as zarr-python writes them, differs in its shape alone."""
    attributes = {"nothing": float("nan"), "range": [0.1, float("inf")]}
    zarr.create_array(
        str(tmp_path), shape=(7,), chunks=(3,), dtype="f4", zarr_format=zarr_format, attributes=attributes
    )
    old = {file.name: file.read_text() for file in tmp_path.iterdir() if file.is_file()}
    array = zsc.open(tmp_path, "r+")
    assert repr(array.attributes) == repr(attributes)
    array.resize((5,))
    new = {file.name: file.read_text() for file in tmp_path.iterdir() if file.name in old}
    document = "zarr.json" if zarr_format == 3 else ".zarray"
    assert new[document].replace("[5]", "@") == old[document].replace("[\n    7\n  ]", "@")
    assert {**new, document: ""} == {**old, document: ""}
    assert zarr.open_array(str(tmp_path)).shape == zsc.open(tmp_path).shape == (5,)


def test_no_nan_is_created(tmp_path):
    """Attributes with a NaN are refused by path when an array is created, before anything is deleted."""
    _array(tmp_path)
    with pytest.raises(zsc.MetadataError, match=r"attributes\.a\[0\].*invalid_json"):
        _array(tmp_path, attributes={"a": [float("nan")]}, exist="replace")
    assert (zsc.open(tmp_path)[...] == np.arange(90).reshape(10, 9)).all()


@pytest.mark.parametrize("shape", [(8,), (32,)])
def test_where_nothing_keeps_others_off_nothing_is_deleted(tmp_path, shape):
    """The metadata cannot be changed there; so the data are not touched either."""
    array = zsc.create(
        LocalStore(tmp_path), shape=(16,), dtype="u1", shard_shape=(4,), inner_chunk_shape=(2,)
    )
    array[...] = 1
    with pytest.raises(zsc.UsageError, match="lock=None") as caught:
        array.resize(shape)
    assert caught.value.reason == "invalid_argument"
    assert array.shape == (16,)
    assert zsc.open(tmp_path)[...].tolist() == [1] * 16
    trusting = zsc.open(LocalStore(tmp_path), "r+", lock=None)
    trusting.resize(shape)
    assert zsc.open(tmp_path)[:8].tolist() == [1] * 8
    assert zsc.open(tmp_path).shape == shape
