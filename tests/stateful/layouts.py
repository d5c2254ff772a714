"""Small arrays of many kinds, and values that are easily taken for others."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

LITTLE, BIG = ({"name": "bytes", "configuration": {"endian": endian}} for endian in ("little", "big"))
CRC = {"name": "crc32c"}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
GZIP = {"name": "gzip", "configuration": {"level": 1}}
BLOSC = {
    "name": "blosc",
    "configuration": {"cname": "lz4", "clevel": 1, "shuffle": "noshuffle", "blocksize": 0},
}
SPECIAL = {
    "float16": [0x8000, 0x7E01, 0xFD55, 0x7C00, 1],
    "float32": [0x80000000, 0xFFC00001, 0x7F800001, 0x7F800000, 1],
    "float64": [1 << 63, 0x7FF8000000000123, 0x7FF0000000000001, 0x7FF0000000000000, 1],
}
"""Bits of -0.0, a NaN with a payload, one that signals, infinity, and the smallest number."""


def special_values(dtype):
    """Both zeros (or 0 and 1) first, then others that arithmetic mistakes or changes; fill values, too."""
    if dtype.kind != "f":
        return np.array([0, 1], dtype)
    return np.array([0, *SPECIAL[dtype.name]], f"u{dtype.itemsize}").view(dtype)


@st.composite
def layouts(draw):
    """Arguments of `zsc.create`."""
    ndim = draw(st.integers(1, 3))
    dtype = np.dtype(
        draw(st.sampled_from(["float32", "uint8", "bool", "int16", "float16", "float64", "int64"]))
    )
    inner = [draw(st.integers(1, 7 - 2 * ndim)) for _ in range(ndim)]
    counts = [draw(st.sampled_from([2, 1, 2, 3][: 5 - ndim])) for _ in range(ndim)]
    shard = [size * count for size, count in zip(inner, counts, strict=True)]
    before = draw(st.sampled_from([LITTLE, BIG]))
    after = draw(st.sampled_from([[], [CRC], [CRC], [ZSTD], [GZIP], [BLOSC], [ZSTD, CRC]]))
    codecs = [before, *after]
    if draw(st.integers(0, 5)) == 0:
        nested = {
            "chunk_shape": [1] * ndim,
            "codecs": codecs,
            "index_codecs": [LITTLE, CRC],
            "index_location": draw(st.sampled_from(["end", "start"])),
        }
        codecs = [{"name": "sharding_indexed", "configuration": nested}]
    return {
        "shape": draw(shapes(shard)),
        "dtype": dtype,
        "shard_shape": shard,
        "inner_chunk_shape": inner,
        "codecs": codecs,
        "index_codecs": draw(st.sampled_from([[LITTLE, CRC]] * 3 + [[BIG, CRC], [LITTLE]])),
        "index_location": draw(st.sampled_from(["end", "end", "end", "start"])),
        "fill_value": draw(st.sampled_from(list(special_values(dtype)))),
    }


def shapes(shard):
    """Some shards along each axis, the last one often in part; rarely nothing at all."""
    most = [(0, 4, 3, 2)[len(shard)] * size for size in shard]
    missing = st.tuples(*(st.integers(0, size - 1) for size in most))
    filled = missing.map(lambda less: tuple(size - n for size, n in zip(most, less, strict=True)))
    return st.integers(0, 15).flatmap(lambda at: filled if at < 15 else st.just((0, *most[1:])))
