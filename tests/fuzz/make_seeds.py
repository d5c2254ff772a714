"""Make the seeds that fuzzing starts from: real shards, indexes, chunks and documents.

Run from anywhere: python tests/fuzz/make_seeds.py. Writes seeds/<target>/made_*; what fuzzing found stays.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np
from targets import CHAINS, INDEXES, SHARDS, chain_of, index_codec, shard_document

import zarr_shard_codec as zsc
from zarr_shard_codec.core.index import ShardIndex
from zarr_shard_codec.core.ranges import WHOLE
from zarr_shard_codec.stores.memory import MemoryStore

SEEDS: Final = Path(__file__).parent / "seeds"


def _put(target: str, name: str, content: bytes) -> None:
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"made_{name}").write_bytes(content)


def _shards() -> None:
    for at in range(len(SHARDS)):
        store, document = MemoryStore(), shard_document(at)
        array = zsc.open(store, "r+", metadata=document)
        array[1:, 1:] = np.arange(12).reshape(4, 3)  # one corner stays empty
        (encoded,) = store.read("c/0/0", [WHOLE]) or []
        _put("shard", f"{at:02}", bytes([at, 1]) + bytes(encoded))
        _put("metadata", f"{at:02}.json", json.dumps(document).encode())


def _indexes() -> None:
    for at in range(len(INDEXES)):
        codec = index_codec(at)
        count = len(ShardIndex.empty(codec.chunks_per_shard))
        entries = np.stack([np.arange(count) * 4 + 4, np.full(count, 4)], 1).astype(np.uint64)
        entries[::3] = 2**64 - 1
        encoded = codec.encode_index(ShardIndex(entries, codec.chunks_per_shard))
        size = (4 * count + 4 + codec.index_nbytes).to_bytes(8, "little")
        _put("index", f"{at:02}", bytes([at]) + size + b"\1" + bytes(encoded))


def _chains() -> None:
    for at in range(len(CHAINS)):
        codecs = chain_of(at)
        array = (np.arange(24).reshape(6, 4) ** 2 % 5).astype(codecs.spec.dtype)
        _put("chain", f"{at:02}", bytes([at]) + bytes(codecs.encode(array)))


DOCUMENTS: Final = [
    {"data_type": "float64", "fill_value": "NaN", "codecs": [{"name": "bytes"}]},
    {
        "data_type": "complex64",
        "fill_value": ["-Infinity", "0x7fc00001"],
        "attributes": {"a": [1, {"b": None}]},
    },
    {"data_type": {"name": "numpy.datetime64", "configuration": {"unit": "s", "scale_factor": 10}}},
    {"data_type": "r24", "fill_value": [1, 2, 3], "dimension_names": ["x", None], "storage_transformers": []},
    {
        "chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}},
        "extra": {"must_understand": False},
    },
    {"shape": [], "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": []}}},
    {"shape": [2**62, 0], "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2**62, 1]}}},
    {"node_type": "group", "attributes": {}, "consolidated_metadata": {"kind": "inline", "metadata": {}}},
]
V2: Final = {
    "zarr_format": 2,
    "shape": [5, 4],
    "chunks": [6, 4],
    "dtype": "<u2",
    "compressor": {"id": "zstd", "level": 1},
    "fill_value": 7,
    "order": "C",
    "filters": None,
}
DOCUMENTS_V2: Final = [
    {},
    {"order": "F", "dtype": ">f8", "fill_value": "NaN", "dimension_separator": "/"},
    {"compressor": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}},
    {"filters": [{"id": "delta", "dtype": "<u2"}], "compressor": {"id": "gzip", "level": 1}},
    {"dtype": "<M8[ns]", "fill_value": 0, "compressor": None},
    {"dtype": "|V3", "fill_value": "AAAA", "compressor": {"id": "zlib", "level": 1}},
    {"dtype": [["a", "<i4"]], "fill_value": None},
]


def _documents() -> None:
    plain = shard_document(0) | {"codecs": [{"name": "bytes", "configuration": {"endian": "little"}}]}
    for at, changes in enumerate(DOCUMENTS):
        _put("metadata", f"plain_{at}.json", json.dumps(plain | changes).encode())
    for at, changes in enumerate(DOCUMENTS_V2):
        _put("metadata_v2", f"{at}.json", json.dumps(V2 | changes).encode())


if __name__ == "__main__":
    _shards()
    _indexes()
    _chains()
    _documents()
