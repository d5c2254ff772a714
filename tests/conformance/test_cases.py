"""What the vectors are made with: elements as JSON, checksums, stored streams, shards by hand."""

from __future__ import annotations

import gzip
import zlib

import google_crc32c
import numcodecs
import numpy as np
import pytest
import zstandard

from conformance.cases import hand, stored
from conformance.cases.codecs import fletcher32
from conformance.cases.data_types import FLOATS, INTEGERS, elements
from conformance.cases.elements import from_json, to_json

BODY = bytes(range(48))
TIME = {"name": "numpy.datetime64", "configuration": {"unit": "ms", "scale_factor": 10}}
TYPES = ["bool", *INTEGERS, *FLOATS, "complex64", "complex128", "r8", "r24", TIME]


@pytest.mark.parametrize("data_type", TYPES, ids=str)
def test_elements_come_back_bit_for_bit(data_type):
    """NaNs with payloads, -0.0, infinities, lowest and highest: JSON keeps them all."""
    array = elements(data_type)
    assert from_json(to_json(array), data_type, array.shape).tobytes() == array.tobytes()


def test_the_json_of_special_elements():
    """As the core specification writes fill values."""
    bits = np.array(FLOATS["float32"], "<u4").view("<f4")
    assert to_json(bits)[:8] == [
        "NaN",
        "0x7fc00001",
        "0xffc00000",
        "0xff812345",
        -0.0,
        "Infinity",
        "-Infinity",
        1.401298464324817e-45,
    ]
    assert str(to_json(bits)[4]) == "-0.0"
    assert to_json(np.array([1 + 2j], ">c8")) == [[1.0, 2.0]]
    assert to_json(np.array([b"\x01\xff"], "V2")) == [[1, 255]]
    assert to_json(np.array([True])) == [True]


@pytest.mark.parametrize("body", [b"", b"123456789", BODY])
def test_the_checksums_are_right(body):
    """CRC32C and Fletcher-32 of our own, against libraries and the published check value."""
    assert hand.checksum(b"123456789") == 0xE3069283
    assert hand.checksum(body) == google_crc32c.value(body)
    assert fletcher32(BODY).to_bytes(4, "little") == numcodecs.Fletcher32().encode(BODY)[-4:]


def test_stored_streams_are_streams():
    """Each container made by hand is decoded by the library whose format it is."""
    zstd = zstandard.ZstdDecompressor()
    assert gzip.decompress(stored.gzip(BODY)) == BODY
    assert gzip.decompress(stored.gzip(BODY, name=b"name")) == BODY
    assert zlib.decompress(stored.zlib_stream(BODY)) == BODY
    assert zstd.decompress(stored.zstd(BODY)) == BODY
    assert zstd.decompressobj().decompress(stored.zstd_unsized(BODY)) == BODY
    assert zstd.decompress(stored.zstd_repeated(7, 48)) == b"\7" * 48
    assert zstd.decompress(stored.zstd_many(0, 2**20)) == bytes(2**20)
    assert numcodecs.Zstd().decode(stored.zstd_skippable(b"x") + stored.zstd(BODY)) == BODY
    assert numcodecs.Blosc().decode(stored.blosc(BODY, 4)) == BODY
    assert numcodecs.LZ4().decode(stored.lz4(BODY)) == BODY


def test_a_shard_by_hand():
    """Order, junk, empty chunks and either place of the index, number by number."""
    chunks = [b"aa", None, b"bbb"]
    entries = [(6, 2), hand.EMPTY, (1, 3)]
    shard = hand.assemble(chunks, order=[2, 1, 0], junk=(b"<", b"..", b">"), encode_index=hand.table)
    assert shard == b"<bbb..aa>" + hand.table(entries)
    moved = [(48, 2), hand.EMPTY, (50, 3)]
    assert hand.assemble(chunks, location="start", encode_index=hand.table) == hand.table(moved) + b"aabbb"
