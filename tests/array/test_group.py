"""Group documents."""

import json
import warnings

import pytest
import zarr

from zarr_shard_codec.array.group import GroupMetadata
from zarr_shard_codec.array.nodes import find_node
from zarr_shard_codec.errors import MetadataError
from zarr_shard_codec.stores.local import LocalStore


def test_zarr_pythons_groups_come_back_byte_for_byte():
    """A group of zarr-python's is read, and written as the same bytes."""
    store = zarr.storage.MemoryStore()
    zarr.create_group(store, attributes={"é": [1.5, None]})
    document = store._store_dict["zarr.json"].to_bytes()
    metadata = GroupMetadata.from_json(document)
    assert metadata.attributes == {"é": [1.5, None]}
    assert json.loads(metadata.to_bytes()) == json.loads(document)


def test_consolidated_metadata_is_not_carried_over():
    """Copies of other documents are read past and never written again; other ignorable members are kept."""
    document = {
        "zarr_format": 3,
        "node_type": "group",
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": {"a": {}}},
        "note": {"must_understand": False},
    }
    written = GroupMetadata.from_json(document).to_json()
    assert written == {
        "attributes": {},
        "zarr_format": 3,
        "node_type": "group",
        "note": {"must_understand": False},
    }


def test_every_problem_is_reported_at_once():
    """A document with many faults gives them all in one error."""
    with pytest.raises(MetadataError) as caught:
        GroupMetadata.from_json({"zarr_format": True, "attributes": 1, "shape": [1]})
    assert {(found.path, found.reason) for found in caught.value.problems} == {
        ("zarr_format", "wrong_value"),
        ("node_type", "missing_key"),
        ("attributes", "wrong_type"),
        ("shape", "unknown_key"),
    }


def test_v2_groups():
    """A v2 group is its attributes; it is written as a v3 one."""
    store = zarr.storage.MemoryStore()
    zarr.create_group(store, attributes={"a": 1}, zarr_format=2)
    documents = {key: value.to_bytes() for key, value in store._store_dict.items()}
    metadata = GroupMetadata.from_v2(documents[".zgroup"], documents[".zattrs"])
    assert (metadata.attributes, metadata.zarr_format, metadata.to_json()["zarr_format"]) == ({"a": 1}, 2, 3)
    assert GroupMetadata.from_v2({"zarr_format": 2}, None).attributes == {}
    for document, reason in (({"zarr_format": 3}, "wrong_value"), ({}, "missing_key")):
        with pytest.raises(MetadataError, match=reason):
            GroupMetadata.from_v2(document, None)


def test_a_group_knows_of_consolidated_metadata(tmp_path):
    """It is seen in either format, also with a NaN that was copied into it; it makes no other group."""
    for zarr_format in (2, 3):
        path = tmp_path / str(zarr_format)
        group = zarr.create_group(str(path), zarr_format=zarr_format)
        group.create_array("a", shape=(1,), dtype="i4", attributes={"a": float("nan")})
        before = find_node(LocalStore(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(str(path))
        after = find_node(LocalStore(path))
        assert (before.consolidated, after.consolidated) == (False, True)
        assert before == after
