"""Building single codecs, and little chains of them, for one array."""

from __future__ import annotations

import json
from base64 import b64encode
from functools import reduce

import numpy as np
import pytest

from zarr_shard_codec.codecs.registry import get_factory
from zarr_shard_codec.core.protocols import ChunkSpec


def _spec(shape, dtype):
    dtype = np.dtype(dtype)
    return ChunkSpec(tuple(shape), dtype, np.zeros((), dtype))


def _codec(name, configuration=None, *, shape=(4,), dtype="u2"):
    return get_factory(name)(name, configuration or {}, _spec(shape, dtype))


class Pipeline:
    """Codec objects, built one after the other for an array, as the specification's chain is."""

    def __init__(self, codecs, shape, dtype):
        self.shape, self.dtype, self.codecs = tuple(shape), np.dtype(dtype), []
        spec = _spec(shape, dtype)
        for each in codecs:
            codec = get_factory(each["name"])(each["name"], each.get("configuration", {}), spec)
            self.codecs.append(codec)
            if codec.kind == "array_array":
                spec = codec.encoded_spec

    def encode(self, array):
        """All of them, first to last."""
        return bytes(reduce(lambda value, codec: codec.encode(value), self.codecs, array))

    def decode(self, encoded):
        """All of them, last to first."""
        value = encoded
        for codec in reversed(self.codecs):
            limit = {"max_nbytes": 2**20} if codec.kind == "bytes_bytes" else {}
            value = codec.decode(value, **limit)
        return value

    def document(self):
        """A zarr.json of an unsharded array of one chunk, with the metadata that our codecs give."""
        # "raw_bytes" is zarr-python's name for r8, r16, …
        raw = {"name": "raw_bytes", "configuration": {"length_bytes": self.dtype.itemsize}}
        data_type = raw if self.dtype.kind == "V" else self.dtype.name
        no_bytes = b64encode(bytes(self.dtype.itemsize)).decode()
        fill_value = {"b": False, "V": no_bytes, "c": [0, 0]}.get(self.dtype.kind, 0)
        return json.dumps(
            {
                "zarr_format": 3,
                "node_type": "array",
                "shape": self.shape,
                "data_type": data_type,
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": self.shape}},
                "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
                "fill_value": fill_value,
                "codecs": [codec.to_metadata() for codec in self.codecs],
                "attributes": {},
            }
        )


@pytest.fixture(scope="session")
def build_codec():
    """Build a codec by name and configuration for an array of `shape` and `dtype`."""
    return _codec


@pytest.fixture(scope="session")
def build_pipeline():
    """Build a list of codec objects for an array of `shape` and `dtype`."""
    return Pipeline
