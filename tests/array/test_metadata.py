"""v3 array documents, against zarr-python and tensorstore."""

import json
import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.array.key_encoding import KeyEncoding
from zarr_shard_codec.array.metadata import ArrayMetadata
from zarr_shard_codec.errors import MetadataError

DOCUMENT = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": [10, 7],
    "data_type": "float32",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4, 4]}},
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    "fill_value": "0x7fc00001",
    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
}


def problems(document):
    """Give the place and the reason of every problem."""
    with pytest.raises(MetadataError) as caught:
        ArrayMetadata.from_json(document)
    return {(found.path, found.reason) for found in caught.value.problems}


def created(**arguments):
    """Give the document of an array that zarr-python created."""
    store = zarr.storage.MemoryStore()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of extension types that are not settled yet
        zarr.create_array(store, **arguments)
    return store._store_dict["zarr.json"].to_bytes()


@pytest.mark.parametrize(
    "arguments",
    [
        {"shape": (10, 7), "chunks": (4, 4), "dtype": "float32", "fill_value": np.float32(0.1)},
        {"shape": (), "chunks": (), "dtype": "bool"},
        {
            "shape": (0, 5),
            "chunks": (1, 5),
            "dtype": "uint8",
            "attributes": {"b": {"é": [1.5, None]}, "a": 1},
        },
        {"shape": (8, 8), "chunks": (2, 2), "shards": (4, 4), "dtype": ">i2", "dimension_names": ["y", None]},
        {
            "shape": (8,),
            "chunks": (2,),
            "dtype": "complex64",
            "fill_value": complex("nan"),
            "chunk_key_encoding": {"name": "v2", "separator": "/"},
        },
        {"shape": (8,), "chunks": (2,), "dtype": "M8[25s]", "fill_value": "NaT"},
        {"shape": (8,), "chunks": (2,), "dtype": "V3", "fill_value": b"abc"},
    ],
)
def test_zarr_pythons_documents_come_back_byte_for_byte(arguments):
    """A document of zarr-python's is read, and written as the same bytes, with our spelling of values too."""
    document = created(**arguments)
    metadata = ArrayMetadata.from_json(document)
    assert metadata.to_bytes() == document
    assert replace(metadata, spelling=None).to_bytes() == document
    assert metadata.shape == arguments["shape"]
    assert metadata.chunk_shape == arguments.get("shards", arguments["chunks"])
    assert metadata.dtype == np.dtype(arguments["dtype"]).newbyteorder("=")


def test_others_read_what_is_written():
    """zarr-python and tensorstore open a document of ours, and agree on every member."""
    metadata = replace(
        ArrayMetadata.from_json(DOCUMENT),
        dimension_names=("y", None),
        attributes={"a": [1]},
        key_encoding=KeyEncoding("v2", "."),
        spelling=None,
    )
    store = zarr.storage.MemoryStore()
    store._store_dict["zarr.json"] = zarr.core.buffer.default_buffer_prototype().buffer.from_bytes(
        metadata.to_bytes()
    )
    array = zarr.open_array(store, mode="r")
    assert (array.shape, array.chunks, array.dtype, dict(array.attrs)) == ((10, 7), (4, 4), "f4", {"a": [1]})
    assert array.metadata.dimension_names == ("y", None)
    other = tensorstore.open(
        {
            "driver": "zarr3",
            "kvstore": "memory://",
            "metadata": json.loads(metadata.to_bytes()),
            "create": True,
        }
    ).result()
    assert other.domain.labels == ("y", "")
    assert other.read().result().tobytes() == metadata.fill_value.tobytes() * 70


def test_every_problem_is_reported_at_once():
    """A document with many faults gives them all, each at its place, in one error."""
    document = {
        "zarr_format": 2,
        "node_type": "group",
        "shape": [10, -1, True, 1.0, 10**30, "5"],
        "data_type": "string",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0, 4], "origin": 1}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": ":"}},
        "codecs": [{"name": "bytes", "x": 1}, "", 5, {"configuration": {}}],
        "attributes": [],
        "dimension_names": ["a", 1],
        "storage_transformers": [{"name": "some"}],
        "extension": {"name": "new"},
        "other": {"must_understand": 0},
        "harmless": {"must_understand": False},
    }
    assert problems(document) == {
        ("zarr_format", "wrong_value"),
        ("node_type", "wrong_value"),
        ("shape[1]", "invalid_shape"),
        ("shape[2]", "wrong_type"),
        ("shape[3]", "wrong_type"),
        ("shape[4]", "invalid_shape"),
        ("shape[5]", "wrong_type"),
        ("data_type", "unsupported_data_type"),
        ("chunk_grid.configuration.origin", "unknown_key"),
        ("chunk_key_encoding.configuration.separator", "wrong_value"),
        ("fill_value", "missing_key"),
        ("codecs[0].x", "unknown_key"),
        ("codecs[1]", "wrong_type"),
        ("codecs[2]", "wrong_type"),
        ("codecs[3].name", "missing_key"),
        ("attributes", "wrong_type"),
        ("dimension_names", "wrong_type"),
        ("storage_transformers[0]", "unknown_extension"),
        ("extension", "unknown_key"),
        ("other", "unknown_key"),
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"shape": 10}, {("shape", "wrong_type")}),
        (
            {"shape": [1] * 33},
            {("shape", "invalid_shape"), ("chunk_grid.configuration.chunk_shape", "chunk_shape_mismatch")},
        ),
        ({"chunk_grid": "regular"}, {("chunk_grid.configuration.chunk_shape", "missing_key")}),
        ({"chunk_grid": {"name": "rectilinear"}}, {("chunk_grid", "unknown_extension")}),
        (
            {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0, 4]}}},
            {("chunk_grid.configuration.chunk_shape[0]", "invalid_shape")},
        ),
        (
            {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4]}}},
            {("chunk_grid.configuration.chunk_shape", "chunk_shape_mismatch")},
        ),
        ({"dimension_names": ["y"]}, {("dimension_names", "wrong_value")}),
        ({"dimension_names": None}, {("dimension_names", "wrong_type")}),
        ({"fill_value": None}, {("fill_value", "invalid_fill_value")}),
        ({"fill_value": "0x7fc0"}, {("fill_value", "invalid_fill_value")}),
        ({"codecs": []}, {("codecs", "wrong_type")}),
        ({"codecs": "bytes"}, {("codecs", "wrong_type")}),
        ({"storage_transformers": {}}, {("storage_transformers", "wrong_type")}),
        ({"zarr_format": 3.0}, {("zarr_format", "wrong_value")}),
        ({"consolidated_metadata": None}, {("consolidated_metadata", "unknown_key")}),
    ],
)
def test_one_fault_gives_one_problem(change, expected):
    """A fault is reported at its place, and no other problem is made up from it."""
    assert problems(DOCUMENT | change) == expected


@pytest.mark.parametrize("key", list(DOCUMENT))
def test_every_required_member_is_required(key):
    """A document without one of the required members is refused for that."""
    document = {name: value for name, value in DOCUMENT.items() if name != key}
    assert problems(json.dumps(document).encode()) == {(key, "missing_key")}


def test_codecs_may_be_short_names():
    """Version 3.1's short names are read, and written as objects, which readers of 3.0 know too."""
    codecs = [DOCUMENT["codecs"][0], "crc32c", {"name": "gzip", "configuration": {"level": 1}}]
    metadata = ArrayMetadata.from_json(DOCUMENT | {"codecs": codecs})
    assert metadata.codecs == (codecs[0], {"name": "crc32c"}, codecs[2])


def test_what_is_not_changed_is_kept():
    """A new shape leaves ignorable members and the spelling of type and fill value alone."""
    document = DOCUMENT | {
        "data_type": "r16",
        "fill_value": [1, 2],
        "codecs": [{"name": "bytes"}],
        "note": {"must_understand": False, "text": [1.0]},
    }
    resized = replace(ArrayMetadata.from_json(document), shape=(20, 7)).to_json()
    expected = document | {"shape": [20, 7], "attributes": {}, "storage_transformers": []}
    assert resized == expected


def test_equality_is_of_bits_not_of_spelling():
    """Equal documents are equal whatever their spelling; 0.0 and -0.0, and 1 and 1.0, are not."""
    base = ArrayMetadata.from_json(DOCUMENT)
    assert base == ArrayMetadata.from_json(dict(reversed(DOCUMENT.items())) | {"fill_value": "0x7FC00001"})
    assert hash(base) == hash(ArrayMetadata.from_json(DOCUMENT))
    assert pickle.loads(pickle.dumps(base)) == base
    assert base != ArrayMetadata.from_json(DOCUMENT | {"fill_value": "NaN"})
    zeros = [ArrayMetadata.from_json(DOCUMENT | {"fill_value": value}) for value in (0.0, -0.0)]
    assert zeros[0] != zeros[1]
    ones = [ArrayMetadata.from_json(DOCUMENT | {"attributes": {"a": value}}) for value in (1, 1.0, True)]
    assert len({*ones}) == 3
    assert base != DOCUMENT


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        ["", "regular", "v2", "int8", "r16", "numpy.datetime64", "raw_bytes", "NaN", "0x7fc00001"]
    )
    | st.sampled_from(["bytes", "sharding_indexed", "crc32c", "little", "ns", "/"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "configuration",
                    "must_understand",
                    "chunk_shape",
                    "unit",
                    "scale_factor",
                    "codecs",
                    "endian",
                ]
            ),
            inner,
        )
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from([*DOCUMENT, "attributes", "dimension_names", "x"]), JSON_VALUES, max_size=3
    )
)
def test_any_json_is_read_or_refused(change):
    """Whatever stands in a member, the answer is metadata that is written as read, or a MetadataError."""
    try:
        metadata = ArrayMetadata.from_json(DOCUMENT | change)
    except MetadataError:
        return
    assert ArrayMetadata.from_json(metadata.to_bytes()) == metadata


def test_bytes_that_are_no_json_are_one_problem():
    """What cannot be parsed is reported as such."""
    assert problems(b'{"zarr_format": 3, "fill_value": NaN}') == {("", "invalid_json")}
