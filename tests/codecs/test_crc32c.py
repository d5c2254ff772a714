"""The `crc32c` codec."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.codecs import crc32c
from zarr_shard_codec.errors import CorruptShardError, MetadataError

CHECK = 0xE3069283
"""CRC32C of the nine digits "123456789": the check value of the CRC catalogues."""


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: memoryview(bytearray(data))])
def test_the_checksum_of_every_kind_of_buffer(kind):
    """Read-only and writable buffers have the same checksum; an empty one has 0."""
    assert crc32c.checksum(kind(b"123456789")) == CHECK
    assert crc32c.checksum(kind(b"")) == 0
    assert crc32c.checksum(memoryview(kind(b"x123456789y"))[1:-1]) == CHECK


@given(data=st.binary(max_size=300))
def test_the_checksum_follows_the_data_in_little_endian(build_codec, data):
    """Four bytes more, whatever the data, and the data unchanged before them."""
    codec = build_codec("crc32c")
    encoded = codec.encode(data)
    assert encoded == data + crc32c.checksum(data).to_bytes(4, "little")
    assert codec.encoded_nbytes(len(data)) == codec.max_encoded_nbytes(len(data)) == len(encoded)
    assert codec.decode(encoded, max_nbytes=len(data)) == data


@given(data=st.binary(max_size=64), place=st.integers(0), bit=st.integers(0, 7))
def test_any_flipped_bit_is_a_checksum_mismatch(build_codec, data, place, bit):
    """No single flipped bit gets through, in the data or in the checksum."""
    codec = build_codec("crc32c")
    encoded = bytearray(codec.encode(data))
    encoded[place % len(encoded)] ^= 1 << bit
    with pytest.raises(CorruptShardError) as caught:
        codec.decode(encoded, max_nbytes=len(data))
    assert caught.value.reason == "inner_chunk_checksum_mismatch"


def test_the_error_shows_both_checksums(build_codec):
    """Expected is what is stored, found is what the data have."""
    with pytest.raises(CorruptShardError, match=r"0x00000001.*0xe3069283"):
        build_codec("crc32c").decode(b"123456789\1\0\0\0", max_nbytes=9)


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (b"", "inner_chunk_undecodable"),
        (b"abc", "inner_chunk_undecodable"),
        (bytes(9), "inner_chunk_wrong_size"),
    ],
)
def test_wrong_lengths(build_codec, encoded, reason):
    """Too short for a checksum, or longer than what was asked for."""
    with pytest.raises(CorruptShardError) as caught:
        build_codec("crc32c").decode(encoded, max_nbytes=4)
    assert caught.value.reason == reason


def test_decoding_copies_nothing(build_codec):
    """The decoded bytes are a view of the encoded ones."""
    codec = build_codec("crc32c")
    encoded = bytearray(codec.encode(b"data"))
    decoded = codec.decode(encoded, max_nbytes=4)
    encoded[0] = ord("D")
    assert bytes(decoded) == b"Data"


def test_it_has_no_configuration(build_codec):
    """Any key is unknown."""
    with pytest.raises(MetadataError) as caught:
        build_codec("crc32c", {"location": "end"})
    assert [(p.path, p.reason) for p in caught.value.problems] == [("location", "unknown_key")]
