"""One codec, many threads."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

BYTES_CODECS = [
    "crc32c",
    "gzip",
    "zstd",
    "blosc",
    *(
        f"numcodecs.{name}"
        for name in ("zlib", "bz2", "lzma", "lz4", "shuffle", "fletcher32", "crc32", "blosc")
    ),
]
FILTERS = {
    "numcodecs.delta": {"dtype": "uint32"},
    "numcodecs.fixedscaleoffset": {"offset": 1, "scale": 1},
    "transpose": {"order": [1, 0]},
    "bytes": {"endian": "big"},
}


@pytest.mark.parametrize("name", BYTES_CODECS)
def test_bytes_codecs_are_shared_between_threads(build_codec, name):
    """Encoding and decoding different data at the same time mixes nothing up."""
    codec = build_codec(name, {}, dtype="u4")

    def round_trip(seed):
        data = random.Random(seed).randbytes(200) * (seed % 7 + 1) * 4
        return codec.decode(codec.encode(data), max_nbytes=len(data)) == data

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(round_trip, range(300)))


@pytest.mark.parametrize("name", FILTERS)
def test_array_codecs_are_shared_between_threads(build_codec, name):
    """The same for codecs of arrays."""
    codec = build_codec(name, FILTERS[name], shape=(16, 16), dtype="u4")

    def round_trip(seed):
        array = np.random.default_rng(seed).integers(0, 1000, (16, 16), "u4")
        return np.array_equal(codec.decode(codec.encode(array)), array)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(round_trip, range(300)))
