"""Walking a tree of nodes, whole or damaged."""

from __future__ import annotations

import json

import obstore
import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.array import nodes
from zarr_shard_codec.array.group import GroupMetadata
from zarr_shard_codec.array.nodes import walk_readable
from zarr_shard_codec.errors import MetadataError, NodeNotFoundError, StoreError
from zarr_shard_codec.stores.memory import MemoryStore
from zarr_shard_codec.stores.object_store import ObjectStore

GROUP = json.dumps({"zarr_format": 3, "node_type": "group"}).encode()


def _store(**objects):
    store = MemoryStore()
    for key, value in objects.items():
        store.write(key.replace("__", "/").replace("_", "."), [value])
    return store


def test_a_broken_document_does_not_end_the_walk():
    """In place of the node stands the error, with its key; what lies beside and below is still found."""
    store = _store(zarr_json=GROUP, a__zarr_json=b"{", a__b__zarr_json=GROUP, c__zarr_json=GROUP)
    found = list(walk_readable(store))
    assert [path for path, _ in found] == ["", "a", "a/b", "c"]
    error = found.pop(1)[1]
    assert isinstance(error, MetadataError)
    assert (error.reason, error.key) == ("invalid_json", "a/zarr.json")
    assert all(isinstance(node, GroupMetadata) for _, node in found)


def test_a_group_is_no_array_whatever_is_in_it(recording_store):
    """The error names ten arrays and looks for no more; of a node that is broken it says nothing."""
    store = recording_store()
    array = zsc.create(MemoryStore(), shape=4, dtype="u1", shard_shape=4, inner_chunk_shape=2).metadata
    store.write("zarr.json", [GROUP])
    store.write("a/zarr.json", [b"{"])
    for number in range(30):
        store.write(f"b{number:02}/zarr.json", [array.to_bytes()])
    store.forget()
    with pytest.raises(NodeNotFoundError) as caught:
        zsc.open(store)
    assert caught.value.hint == f"Arrays in it: {', '.join(f'b{number:02}' for number in range(10))} …"
    assert not any(key.startswith("b11") for key, _ in store.reads)


@pytest.mark.parametrize("name", ["a__zarr_json", "a___zarray"])
def test_nothing_is_looked_for_below_what_says_it_is_an_array(name):
    """A broken array's chunks are chunks all the same: no folder of them is walked."""
    document = json.dumps({"zarr_format": 3, "node_type": "array"}).encode()
    store = _store(**{name: document, "a__c__zarr_json": GROUP})
    assert [path for path, _ in walk_readable(store)] == ["a"]


@pytest.mark.parametrize("make", [lambda: ObjectStore(obstore.store.MemoryStore()), MemoryStore])
def test_of_a_document_that_is_too_large_no_more_is_read_than_shows_that(monkeypatch, make):
    """One that is larger than memory is an error, not the end of the process."""
    store, found = make(), []
    store.write("zarr.json", [b" " * 100_000])
    read = store.read

    def watched(key, requests):
        found.extend(read(key, requests))
        return found

    monkeypatch.setattr(nodes, "MAX_DOCUMENT_NBYTES", 1000)
    monkeypatch.setattr(store, "read", watched)
    with pytest.raises(MetadataError, match="found more"):
        nodes.read_document(store, "zarr.json")
    assert [len(data) for data in found] == [1001]


def test_a_store_that_fails_for_one_document_does_not_end_the_walk():
    """Permission refused for one document says nothing of the next."""

    class Failing(MemoryStore):
        def read(self, key, requests):
            if key.startswith("a/"):
                raise StoreError("store_failure", "no permission", key=key)
            return super().read(key, requests)

    store = Failing()
    for key in ("a/zarr.json", "b/zarr.json"):
        store.write(key, [GROUP])
    (_, error), (path, _) = walk_readable(store)
    assert isinstance(error, StoreError)
    assert path == "b"
