"""Bytes that nobody's encoder made: no crash, no foreign exception, no memory beyond what was asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zarr_shard_codec.errors import CorruptShardError

ROOT = Path(__file__).parents[2]
MAX_NBYTES = 1 << 12

BYTES_CODECS = {
    "crc32c": {},
    "gzip": {},
    "zstd": {"checksum": True},
    "zstd ": {},
    "blosc": {"cname": "zstd"},
    "blosc ": {"cname": "lz4", "shuffle": "bitshuffle", "typesize": 4, "blocksize": 512},
    "blosc  ": {"cname": "blosclz", "typesize": 2},
    "blosc   ": {"cname": "zlib", "typesize": 8},
    "numcodecs.zlib": {},
    "numcodecs.bz2": {},
    "numcodecs.lzma": {},
    "numcodecs.lzma ": {"format": 2},
    "numcodecs.lzma  ": {"format": 3, "filters": [{"id": 33, "preset": 1}]},
    "numcodecs.lz4": {},
    "numcodecs.shuffle": {"elementsize": 4},
    "numcodecs.crc32": {},
    "numcodecs.crc32c": {"location": "start"},
    "numcodecs.adler32": {},
    "numcodecs.fletcher32": {},
    "numcodecs.jenkins_lookup3": {},
}
NAMES = pytest.mark.parametrize("name", BYTES_CODECS)
DATA = (np.arange(700) ** 2 % 251).astype("<u4").tobytes()


REASONS = {"inner_chunk_undecodable", "inner_chunk_wrong_size", "inner_chunk_checksum_mismatch"}


def decode(codec, encoded):
    """Decode, and see to it that what comes out is bounded; None for one of our errors."""
    decoded = reason = None
    try:
        decoded = bytes(codec.decode(encoded, max_nbytes=MAX_NBYTES))
    except CorruptShardError as error:
        reason = error.reason
    assert reason in REASONS if decoded is None else len(decoded) <= MAX_NBYTES
    return decoded


@NAMES
@settings(max_examples=50)
@given(encoded=st.binary(max_size=200))
def test_garbage(build_codec, name, encoded):
    """Random bytes are an error or some bytes."""
    decode(build_codec(name.strip(), BYTES_CODECS[name]), encoded)


@NAMES
@given(data=st.data())
def test_damage(build_codec, name, data):
    """Bits flipped, bytes overwritten, pieces lost and repeated: an error, or bytes within the bound."""
    codec = build_codec(name.strip(), BYTES_CODECS[name])
    damaged = bytearray(codec.encode(DATA))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, max(len(damaged) - 1, 0)) | st.integers(0, 20))
        stop = start + data.draw(st.integers(0, 8))
        damaged[start:stop] = data.draw(
            st.binary(max_size=8)
            | st.sampled_from([b"", b"\xff" * 4, b"\0" * 4, bytes(damaged[start:stop]) * 2])
        )
    decode(codec, damaged)


@NAMES
@settings(max_examples=50)
@given(place=st.integers(0), bit=st.integers(0, 7))
def test_a_flipped_bit_under_a_checksum(build_codec, name, place, bit):
    """With a checksum in the format, one flipped bit is an error or changes nothing."""
    codec = build_codec(name.strip(), BYTES_CODECS[name])
    damaged = bytearray(codec.encode(DATA))
    damaged[place % len(damaged)] ^= 1 << bit
    checked = "crc" in name or "32" in name or "jenkins" in name or "checksum" in BYTES_CODECS[name]
    if checked or name in {"gzip", "numcodecs.zlib", "numcodecs.bz2", "numcodecs.lzma"}:
        assert decode(codec, damaged) in (None, DATA)


ARRAY_CODECS = {
    "numcodecs.delta": ({"dtype": "<i4", "astype": "<i2"}, "i4", "i2"),
    "numcodecs.bitround": ({"keepbits": 3}, "f4", "f4"),
    "numcodecs.fixedscaleoffset": ({"offset": 1, "scale": 3, "astype": "<f4"}, "i4", "f4"),
    "numcodecs.quantize": ({"digits": 3}, "f8", "f8"),
    "numcodecs.astype": ({"encode_dtype": "<f8"}, "i2", "f8"),
    "numcodecs.packbits": ({}, "b1", "u1"),
}


@pytest.mark.parametrize("name", ARRAY_CODECS)
@given(data=st.data())
def test_any_array_is_decoded_or_an_error(build_codec, name, data):
    """Not-a-numbers and infinities in an encoded array surprise no filter."""
    configuration, dtype, encoded_dtype = ARRAY_CODECS[name]
    codec = build_codec(name, configuration, shape=(2, 5), dtype=dtype)
    nbytes = codec.encoded_spec.nbytes
    raw = data.draw(st.binary(min_size=nbytes, max_size=nbytes))
    array = np.frombuffer(raw, encoded_dtype).reshape(codec.encoded_spec.shape)
    try:
        decoded = codec.decode(array)
    except CorruptShardError:
        assert name == "numcodecs.packbits"  # whose first byte is a count
        return
    assert (decoded.shape, decoded.dtype) == ((2, 5), np.dtype(dtype))


BOMBS = """
import bz2, gzip, json, lzma, resource, struct, sys, time, zlib
import numpy as np, zstandard
from zarr_shard_codec.codecs.registry import get_factory
from zarr_shard_codec.core.protocols import ChunkSpec
from zarr_shard_codec.errors import CorruptShardError

spec = ChunkSpec((250,), np.dtype("u4"), np.zeros((), "u4"))
zeros = bytes(1 << 20)
HUGE = 10**10

def pieces(compressor, end="flush"):
    return b"".join([*(compressor.compress(zeros) for _ in range(100)), getattr(compressor, end)()])

runs = b"".join(((0x20000 << 3) | 2 | (n == 249)).to_bytes(3, "little") + b"x" for n in range(250))
bombs = {
    # 250 runs of 128 KiB in 1 kB; with the size of 10 GB declared, and with none
    "zstd declared": ("zstd", {}, b"\\x28\\xb5\\x2f\\xfd\\xe0" + HUGE.to_bytes(8, "little") + runs),
    "zstd undeclared": ("zstd", {}, b"\\x28\\xb5\\x2f\\xfd\\x00\\x38" + runs),
    "zstd many frames": ("zstd", {}, zstandard.compress(zeros) * 1000),
    "zstd lies": ("zstd", {}, b"\\x28\\xb5\\x2f\\xfd\\xe0" + (1000).to_bytes(8, "little") + runs),
    "gzip": ("gzip", {}, pieces(zlib.compressobj(9, zlib.DEFLATED, 31))),
    "gzip many members": ("gzip", {}, gzip.compress(zeros) * 1000),
    "blosc": ("blosc", {}, struct.pack("<BBBBIII", 2, 1, 0x81, 4, 2**32 - 1, 1 << 18, 1016) + bytes(1000)),
    "blosc block": ("blosc", {}, struct.pack("<BBBBIII", 2, 1, 0x81, 4, 1000, 2**31, 1016) + bytes(1000)),
    "numcodecs.zlib": ("numcodecs.zlib", {}, pieces(zlib.compressobj(9))),
    "numcodecs.bz2": ("numcodecs.bz2", {}, pieces(bz2.BZ2Compressor())),
    "numcodecs.lzma": ("numcodecs.lzma", {}, pieces(lzma.LZMACompressor(preset=0))),
    "numcodecs.lz4": ("numcodecs.lz4", {}, (2**31 - 1).to_bytes(4, "little") + bytes(1000)),
    "numcodecs.lz4 negative": ("numcodecs.lz4", {}, (2**32 - 1).to_bytes(4, "little") + bytes(1000)),
}
codecs = {case: get_factory(name)(name, options, spec) for case, (name, options, _) in bombs.items()}
for case, codec in codecs.items():  # imports and contexts are taken before the measurement
    assert len(codec.decode(codec.encode(bytes(1000)), max_nbytes=1000)) == 1000
in_use = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (in_use + 50 * 10**6,) * 2)
answers = {}
for case, (_, _, encoded) in bombs.items():
    start = time.perf_counter()
    try:
        codecs[case].decode(encoded, max_nbytes=1000)
    except CorruptShardError as error:
        answers[case] = [error.reason, time.perf_counter() - start]
print(json.dumps(answers))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts and limits a process's memory so")
def test_bombs_fail_fast_in_little_memory():
    """What claims or makes gigabytes out of a kilobyte is refused in under 50 MB and half a second."""
    done = subprocess.run(
        [sys.executable, "-c", BOMBS], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers = json.loads(done.stdout)
    assert len(answers) == 13
    for case, (reason, seconds) in answers.items():
        expected = {"blosc block", "zstd lies"}
        assert reason == ("inner_chunk_undecodable" if case in expected else "inner_chunk_wrong_size"), case
        assert seconds < 0.5, case
