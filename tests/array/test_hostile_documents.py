"""Documents from strangers: absurd shapes, endless nesting, everything wrong at once."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.stores.memory import MemoryStore

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
CRC = {"name": "crc32c"}


def _document(shape=(8,), shard=(8,), inner=(2,), codecs=(LITTLE,), location="end", after=()):
    configuration = {
        "chunk_shape": list(inner),
        "codecs": list(codecs),
        "index_codecs": [LITTLE, CRC],
        "index_location": location,
    }
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": "int32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shard)}},
        "chunk_key_encoding": {"name": "default"},
        "fill_value": 0,
        "codecs": [{"name": "sharding_indexed", "configuration": configuration}, *after],
    }


def test_all_problems_of_a_document_at_once():
    """A document with something wrong everywhere names it all, each with its path."""
    document = _document(inner=(3,), codecs=[{"name": "nope"}]) | {
        "zarr_format": 4,
        "data_type": "int31",
        "surprise": 1,
        "dimension_names": [1],
    }
    document["codecs"][0]["configuration"] |= {"index_location": "middle", "colour": 1}
    del document["codecs"][0]["configuration"]["index_codecs"]
    del document["fill_value"]
    store = MemoryStore()
    store.write("a/zarr.json", [json.dumps(document).encode()])
    with pytest.raises(zsc.MetadataError) as caught:
        zsc.open(store, path="a")
    assert caught.value.key == "a/zarr.json"
    inside = "codecs[0].configuration"
    assert {(problem.path, problem.reason) for problem in caught.value.problems} == {
        ("zarr_format", "wrong_value"),
        ("data_type", "unsupported_data_type"),
        ("surprise", "unknown_key"),
        ("dimension_names", "wrong_type"),
        ("fill_value", "missing_key"),
        (f"{inside}.chunk_shape[0]", "chunk_shape_not_divisor"),
        (f"{inside}.codecs[0].name", "unknown_codec"),
        (f"{inside}.index_location", "wrong_value"),
        (f"{inside}.colour", "unknown_key"),
        (f"{inside}.index_codecs", "missing_key"),
    }


@pytest.mark.parametrize("levels", [40, 500, 20000])
def test_endless_nesting_is_a_metadata_error(levels):
    """Shards nested beyond reason, in bytes or parsed, are a MetadataError."""
    one = json.dumps({"chunk_shape": [1], "index_codecs": [LITTLE], "index_location": "end", "codecs": ["@"]})
    head, tail = f'{{"name": "sharding_indexed", "configuration": {one}}}'.split('"@"')
    text = json.dumps(_document() | {"codecs": ["@"]}).replace(
        '"@"', head * levels + json.dumps(LITTLE) + tail * levels
    )
    store = MemoryStore()
    store.write("zarr.json", [text.encode()])
    with pytest.raises(zsc.MetadataError):
        zsc.open(store)


@pytest.mark.parametrize("shape", [(2**62,), (2**40, 2**40), (2**63 - 1,) * 3])
def test_absurd_shapes_open_and_read_in_part(shape):
    """An array of any size opens, and a small part of it reads; one too large for memory does not."""
    rank = len(shape)
    store = MemoryStore()
    array = zsc.create(
        store, shape=shape, dtype="u1", shard_shape=(4,) * rank, inner_chunk_shape=(2,) * rank, fill_value=9
    )
    assert array[(-1,) * rank] == 9
    assert array[(slice(2**39, 2**39 + 2),) * rank].tolist() == np.full((2,) * rank, 9).tolist()
    array[(-1,) * rank] = 5
    assert zsc.open(store)[(slice(-2, None),) * rank].sum() == 9 * (2**rank - 1) + 5
    with pytest.raises((MemoryError, zsc.SelectionError)):
        array[...]
    with pytest.raises((MemoryError, zsc.SelectionError)):
        asyncio.run(array.read())


@pytest.mark.parametrize("shape", [(2**63,), (2**70,), (-1,), (1.5,), (True,), ("8",), (None,), (1,) * 33])
def test_shapes_that_cannot_be_are_metadata_errors(shape):
    """A size that no store counts to, or that is no size, is refused with its place."""
    document = _document() | {"shape": list(shape)}
    with pytest.raises(zsc.MetadataError) as caught:
        zsc.open(MemoryStore(), metadata=document)
    assert caught.value.reason in ("invalid_shape", "wrong_type")
    assert caught.value.problems[0].path.startswith("shape")
