"""The `blosc` codec."""

from __future__ import annotations

import itertools
import random
import struct

import numcodecs.blosc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.codecs.blosc import CNAMES, HEADER, SHUFFLES
from zarr_shard_codec.core.pieces import Parts
from zarr_shard_codec.errors import CorruptShardError

AVAILABLE = [cname for cname in CNAMES if cname in numcodecs.blosc.list_compressors()]
"""All but snappy, in numcodecs' wheels: see test_blosc_snappy."""

TEXT = b"a shard is one object of many chunks; " * 400


@given(
    data=st.binary(max_size=3000),
    cname=st.sampled_from(CNAMES),
    shuffle=st.sampled_from(SHUFFLES),
    clevel=st.integers(0, 9),
    typesize=st.integers(1, 300),
    blocksize=st.sampled_from([0, 1, 128, 10_000]),
)
def test_decode_undoes_encode(build_codec, data, cname, shuffle, clevel, typesize, blocksize):
    """Whatever the options, no bytes at all included."""
    configuration = {
        "cname": cname,
        "shuffle": shuffle,
        "clevel": clevel,
        "typesize": typesize,
        "blocksize": blocksize,
    }
    codec = build_codec("blosc", configuration)
    assert codec.to_metadata() == {"name": "blosc", "configuration": configuration}
    encoded = codec.encode(data)
    assert codec.decode(encoded, max_nbytes=len(data)) == data
    assert len(encoded) <= codec.max_encoded_nbytes(len(data))


@pytest.mark.parametrize(("dtype", "shuffle"), [("u1", "bitshuffle"), ("f8", "shuffle"), ("c16", "shuffle")])
def test_what_is_left_out_is_filled_in(build_codec, dtype, shuffle):
    """The metadata record the mode and the typesize chosen (blosc specification, typesize)."""
    codec = build_codec("blosc", dtype=dtype)
    filled = codec.to_metadata()["configuration"]
    assert filled["shuffle"] == shuffle
    assert filled["typesize"] == int(dtype[1:])
    assert build_codec("blosc", filled, dtype="V3") == codec


def test_typesize_reaches_the_header_and_the_shuffle(build_codec):
    """Bytes go in without a type: the stride is the configuration's."""
    data = struct.pack("<5000I", *range(5000))
    sizes = {}
    for typesize in (1, 4):
        configuration = {"cname": "lz4", "shuffle": "shuffle", "typesize": typesize}
        encoded = build_codec("blosc", configuration).encode(data)
        assert HEADER.unpack_from(encoded)[3] == typesize
        sizes[typesize] = len(encoded)
    assert sizes[4] < sizes[1] / 2


HEADERS = {
    "version": (0, 3, "inner_chunk_undecodable"),
    "typesize": (3, 0, "inner_chunk_undecodable"),
    "nbytes: one more": (4, len(TEXT) + 1, "inner_chunk_wrong_size"),
    "nbytes: 4 GiB": (4, 2**32 - 1, "inner_chunk_wrong_size"),
    "nbytes: none": (4, 0, "inner_chunk_undecodable"),
    "blocksize: none": (5, 0, "inner_chunk_undecodable"),
    "blocksize: larger than all": (5, len(TEXT) + 1, "inner_chunk_undecodable"),
    "blocksize: 4 GiB": (5, 2**32 - 1, "inner_chunk_undecodable"),
    "blocksize: more blocks than bytes": (5, 1, "inner_chunk_undecodable"),
    "cbytes: fewer": (6, 100, "inner_chunk_undecodable"),
    "cbytes: 4 GiB": (6, 2**32 - 1, "inner_chunk_undecodable"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_that_cannot_be_true(build_codec, case):
    """The header is checked against what there is before the library believes it."""
    place, value, reason = HEADERS[case]
    codec = build_codec("blosc", {"cname": "lz4"})
    encoded = codec.encode(TEXT)
    header = list(HEADER.unpack_from(encoded))
    header[place] = value
    with pytest.raises(CorruptShardError) as caught:
        codec.decode(HEADER.pack(*header) + encoded[HEADER.size :], max_nbytes=len(TEXT))
    assert caught.value.reason == reason


def test_every_truncation_is_an_error(build_codec):
    """A container that stops early is never taken for the whole."""
    codec = build_codec("blosc")
    encoded = codec.encode(TEXT)
    for nbytes in range(len(encoded)):
        with pytest.raises(CorruptShardError) as caught:
            codec.decode(encoded[:nbytes], max_nbytes=len(TEXT))
        assert caught.value.reason == "inner_chunk_undecodable"


@pytest.mark.parametrize(("cname", "shuffle"), list(itertools.product(AVAILABLE, SHUFFLES)))
def test_damage_never_crashes_the_library(build_codec, cname, shuffle):
    """Blocks are found by offsets in the container: wrong ones end in an error or in other bytes."""
    generator = random.Random(cname + shuffle)
    codec = build_codec("blosc", {"cname": cname, "shuffle": shuffle, "typesize": 4, "blocksize": 1024})
    encoded = codec.encode(TEXT)
    for _ in range(400):
        damaged = bytearray(encoded)
        for _ in range(generator.randint(1, 4)):
            start = generator.choice([0, HEADER.size, HEADER.size + 200])
            place = generator.randrange(min(start, len(damaged) - 1), len(damaged))
            damaged[place] = generator.choice([0, 1, 0x7F, 0x80, 0xFF, damaged[place] ^ 1])
        try:
            decoded = codec.decode(damaged, max_nbytes=len(TEXT))
        except CorruptShardError:
            continue
        assert len(decoded) <= len(TEXT)


@pytest.mark.parametrize("changed", [{2: 0x42, 3: 0}, {2: 0x42, 8: 0, 9: 0, 10: 0, 11: 0}])
def test_stored_data_that_call_themselves_snappy_are_damage(build_codec, changed):
    """Twelve bits of a stored container can make it one of Snappy without elements, or without blocks."""
    codec = build_codec("blosc", {"cname": "lz4", "shuffle": "noshuffle", "typesize": 1})
    broken = bytearray(codec.encode(random.Random(0).randbytes(64)))
    assert broken[2] & 2
    for at, byte in changed.items():
        broken[at] = byte
    with pytest.raises(CorruptShardError):
        codec.decode(bytes(broken), max_nbytes=64)


@pytest.mark.parametrize("count", [1, 2, 40])
def test_no_block_leaves_bytes_as_the_memory_was(build_codec, count):
    """A flipped bit of `blocksize`: what is over in a block is of no stream, and would not be written."""
    data = np.resize(np.arange(2000, dtype="<u8").view("u1"), 2050).tobytes()
    codec = build_codec("blosc", {"cname": "lz4", "shuffle": "noshuffle", "typesize": 8})
    header = list(HEADER.unpack_from(encoded := codec.encode(data)))
    assert header[5] == 2048
    header[5] = 2050
    damaged = HEADER.pack(*header) + encoded[HEADER.size :]
    with pytest.raises(CorruptShardError) as caught:
        codec.decode(damaged, max_nbytes=len(data))
    assert caught.value.reason == "inner_chunk_undecodable"
    assert codec.decode_many(Parts([encoded] * (count - 1) + [damaged]), len(data)) is None
