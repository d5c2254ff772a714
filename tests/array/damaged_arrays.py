"""Small arrays whose shards can be damaged at a chosen place, and what verification says of them then."""

from __future__ import annotations

import json

import numpy as np

import zarr_shard_codec as zsc
from zarr_shard_codec.array.health import verify_array
from zarr_shard_codec.array.inventory import take_inventory
from zarr_shard_codec.core.index import ShardIndex
from zarr_shard_codec.core.ranges import WHOLE
from zarr_shard_codec.stores.memory import MemoryStore

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
CRC = {"name": "crc32c"}


def sharding(inner=(2,), codecs=(LITTLE,), index=(LITTLE, CRC), location="end"):
    """The sharding codec as metadata has it."""
    configuration = {
        "chunk_shape": list(inner),
        "codecs": list(codecs),
        "index_codecs": list(index),
        "index_location": location,
    }
    return {"name": "sharding_indexed", "configuration": configuration}


def make_array(*codecs, shape=(16,), chunk=(8,), store=None):
    """An int32 array, 1 2 3 …, of these codecs; two shards of four inner chunks by default."""
    store = MemoryStore() if store is None else store
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": "int32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "chunk_key_encoding": {"name": "default"},
        "fill_value": 0,
        "codecs": list(codecs) or [sharding()],
    }
    store.write("zarr.json", [json.dumps(document).encode()])
    array = zsc.open(store, mode="r+")
    array[...] = np.arange(1, 1 + np.prod(shape)).reshape(shape)
    return array


def bytes_of(array, key="c/0"):
    """All bytes of an object."""
    return bytes(array.store.read(key, [WHOLE])[0])


def edit_index(array, edit, key="c/0", body=None):
    """Change the index of a shard with its index at the end: `edit` gets the entries."""
    whole, codec = bytes_of(array, key), array.codec
    entries = codec.read_index(whole).entries.copy()
    edit(entries)
    index = codec.encode_index(ShardIndex(entries, codec.chunks_per_shard))
    array.store.write(key, [whole[: -codec.index_nbytes] if body is None else body, index])


def put_entry(at, entry):
    """An edit of one entry of an index."""

    def edit(entries):
        entries[at] = entry

    return edit


def findings_in(array, **options):
    """What verification finds, notes included."""
    steps = list(verify_array(array, take_inventory(array), **options))
    return [finding for step in steps for finding in step.findings]


def errors_in(array, **options):
    """Reason, key and inner chunk of each error that verification finds."""
    found = [finding for finding in findings_in(array, **options) if finding.severity == "error"]
    return [(finding.reason, finding.key, finding.inner_chunk) for finding in found]
