"""The `gzip` codec."""

from __future__ import annotations

import gzip
import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.errors import CorruptShardError

TEXT = b"a shard is one object of many chunks; " * 40


@given(data=st.binary(max_size=2000), level=st.integers(0, 9))
def test_the_standard_library_reads_what_is_written(build_codec, data, level):
    """Every level makes a gzip file that zlib agrees with."""
    codec = build_codec("gzip", {"level": level})
    encoded = codec.encode(data)
    assert gzip.decompress(encoded) == data
    assert codec.decode(encoded, max_nbytes=len(data)) == data
    assert len(encoded) <= codec.max_encoded_nbytes(len(data))


@given(pieces=st.lists(st.binary(max_size=300), min_size=1, max_size=5), level=st.integers(0, 9))
def test_members_follow_one_another(build_codec, pieces, level):
    """A gzip file is a sequence of members, empty ones included (RFC 1952, 2.2)."""
    encoded = b"".join(gzip.compress(piece, level) for piece in pieces)
    decoded = build_codec("gzip").decode(encoded, max_nbytes=sum(map(len, pieces)))
    assert decoded == b"".join(pieces)


def test_header_fields_are_skipped(build_codec):
    """A member may carry a file name and a time."""
    file = io.BytesIO()
    with gzip.GzipFile("name.txt", "wb", fileobj=file, mtime=12345) as writer:
        writer.write(TEXT)
    assert build_codec("gzip").decode(file.getvalue(), max_nbytes=len(TEXT)) == TEXT


def test_a_level_means_what_it_means_in_zlib(build_codec):
    """0 stores, and every other level compresses about as well as zlib's of that number."""
    data = "".join(f"chunk {n * n} of shard {n % 97}; " for n in range(4000)).encode()
    sizes = [len(build_codec("gzip", {"level": level}).encode(data)) for level in range(10)]
    assert sizes[0] > len(data)
    assert sizes[1:] == pytest.approx([len(zlib.compress(data, level)) for level in range(1, 10)], rel=0.15)


def test_equal_data_make_equal_bytes(build_codec):
    """No time enters an encoded chunk."""
    for level in range(10):
        encoded = build_codec("gzip", {"level": level}).encode(TEXT)
        assert encoded[4:8] == bytes(4)


@pytest.mark.parametrize("nbytes", [0, 1, len(TEXT) - 1])
def test_more_than_may_come_out_is_an_error(build_codec, nbytes):
    """One byte too many is too many."""
    encoded = build_codec("gzip").encode(TEXT)
    with pytest.raises(CorruptShardError) as caught:
        build_codec("gzip").decode(encoded, max_nbytes=nbytes)
    assert caught.value.reason == "inner_chunk_wrong_size"


@pytest.mark.parametrize("level", [0, 1, 6])
def test_every_truncation_is_an_error(build_codec, level):
    """A stream that stops early is never taken for the whole."""
    codec = build_codec("gzip", {"level": level})
    encoded = codec.encode(TEXT)
    for nbytes in range(len(encoded)):
        with pytest.raises(CorruptShardError) as caught:
            codec.decode(encoded[:nbytes], max_nbytes=len(TEXT))
        assert caught.value.reason == "inner_chunk_undecodable"


@pytest.mark.parametrize("extra", [b"\0", b"junk", b"\x1f\x8b", zlib.compress(b"")])
def test_what_follows_is_a_member_or_an_error(build_codec, extra):
    """Nothing but members belongs to a chunk, not even zeros."""
    codec = build_codec("gzip")
    encoded = codec.encode(TEXT)
    with pytest.raises(CorruptShardError) as caught:
        codec.decode(encoded + extra, max_nbytes=len(TEXT))
    assert caught.value.reason == "inner_chunk_undecodable"
    assert f"expected nothing, or another stream, behind the first {len(encoded)} bytes" in str(caught.value)


def test_a_bound_beyond_any_memory_takes_none(build_codec):
    """Bounds come from metadata and may be absurd."""
    codec = build_codec("gzip")
    assert codec.decode(codec.encode(TEXT), max_nbytes=2**80) == TEXT


def test_many_empty_members_are_read_in_linear_time(build_codec):
    """A megabyte of empty members does not copy itself for each of them."""
    empty = gzip.compress(b"", mtime=0)
    assert build_codec("gzip").decode(empty * (2**20 // len(empty)), max_nbytes=0) == b""
