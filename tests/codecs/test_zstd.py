"""The `zstd` codec."""

from __future__ import annotations

import io
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.errors import CorruptShardError

TEXT = b"a shard is one object of many chunks; " * 40


def streamed(data, **options):
    """A frame that does not declare its size."""
    file = io.BytesIO()
    with zstandard.ZstdCompressor(**options).stream_writer(file, closefd=False) as writer:
        writer.write(data)
    assert zstandard.frame_content_size(file.getvalue()) == (-1 if data else 0)
    return file.getvalue()


def skippable(data, number=0):
    """A skippable frame (RFC 8878, 3.1.2)."""
    return (0x184D2A50 + number).to_bytes(4, "little") + len(data).to_bytes(4, "little") + data


FRAMES = st.tuples(st.sampled_from(["plain", "streamed", "skippable", "checked"]), st.binary(max_size=200))


def frame(kind, data):
    """One frame of some kind, and what it decodes to."""
    if kind == "skippable":
        return skippable(data, len(data) % 16), b""
    if kind == "streamed":
        return streamed(data), data
    return zstandard.ZstdCompressor(write_checksum=kind == "checked").compress(data), data


@given(data=st.binary(max_size=3000), level=st.integers(-7, 19), checksum=st.booleans())
def test_any_zstandard_library_reads_what_is_written(build_codec, data, level, checksum):
    """One frame that declares its size, with a checksum if asked for."""
    codec = build_codec("zstd", {"level": level, "checksum": checksum})
    encoded = codec.encode(data)
    assert zstandard.get_frame_parameters(encoded).has_checksum == checksum
    assert zstandard.get_frame_parameters(encoded).content_size == len(data)
    assert zstandard.ZstdDecompressor().decompress(encoded) == data
    assert codec.decode(encoded, max_nbytes=len(data)) == data
    assert len(encoded) <= codec.max_encoded_nbytes(len(data))


@pytest.mark.parametrize("level", [-131072, -1, 0, 1, 22])
def test_every_level_of_the_specification_encodes(build_codec, level):
    """From -131072 to 22, both included."""
    codec = build_codec("zstd", {"level": level})
    assert codec.decode(codec.encode(TEXT), max_nbytes=len(TEXT)) == TEXT


@given(parts=st.lists(FRAMES, min_size=1, max_size=5))
def test_frames_follow_one_another(build_codec, parts):
    """Frames concatenate, with and without sizes, skippable ones among them (RFC 8878, 3)."""
    frames = [frame(kind, data) for kind, data in parts]
    encoded = b"".join(encoded for encoded, _ in frames)
    expected = b"".join(data for _, data in frames)
    codec = build_codec("zstd")
    assert codec.decode(encoded, max_nbytes=len(expected)) == expected
    if expected:
        with pytest.raises(CorruptShardError) as caught:
            codec.decode(encoded, max_nbytes=len(expected) - 1)
        assert caught.value.reason == "inner_chunk_wrong_size"


@pytest.mark.parametrize(
    "make", [zstandard.compress, streamed, lambda data: streamed(data, write_checksum=True)]
)
def test_every_truncation_is_an_error(build_codec, make):
    """A frame that stops early is never taken for the whole."""
    encoded = make(TEXT)
    for nbytes in range(len(encoded)):
        with pytest.raises(CorruptShardError) as caught:
            build_codec("zstd").decode(encoded[:nbytes], max_nbytes=len(TEXT))
        assert caught.value.reason == "inner_chunk_undecodable"


@pytest.mark.parametrize("extra", [b"\0", b"junk", skippable(b"12345")[:-1], zstandard.compress(b"abc")[:-1]])
def test_what_follows_is_a_frame_or_an_error(build_codec, extra):
    """Nothing but whole frames belongs to a chunk."""
    encoded = zstandard.compress(TEXT)
    with pytest.raises(CorruptShardError) as caught:
        build_codec("zstd").decode(encoded + extra, max_nbytes=len(TEXT))
    assert caught.value.reason == "inner_chunk_undecodable"
    assert f"expected nothing, or another stream, behind the first {len(encoded)} bytes" in str(caught.value)


def test_a_wrong_checksum_says_so(build_codec):
    """The last four bytes of a frame with a checksum are checked."""
    codec = build_codec("zstd", {"checksum": True})
    encoded = bytearray(codec.encode(TEXT))
    encoded[-1] ^= 1
    with pytest.raises(CorruptShardError) as caught:
        codec.decode(encoded, max_nbytes=len(TEXT))
    assert caught.value.reason == "inner_chunk_checksum_mismatch"


def test_a_declared_size_that_is_too_large_is_not_believed(build_codec):
    """The declared size is compared before a byte is decoded."""
    declared = b"\x28\xb5\x2f\xfd\xe0" + (10**10).to_bytes(8, "little")
    with pytest.raises(CorruptShardError, match="found 10000000000 bytes") as caught:
        build_codec("zstd").decode(declared + b"\x03\x00\x00\x00", max_nbytes=100)
    assert caught.value.reason in {"inner_chunk_wrong_size", "inner_chunk_undecodable"}


@pytest.mark.parametrize("declared", [0, 1, len(TEXT) - 1, len(TEXT) + 1])
def test_a_declared_size_must_be_true(build_codec, declared):
    """A frame that holds more or less than it declares is damaged."""
    encoded = bytearray(zstandard.compress(TEXT))
    assert encoded[4] == 0x60  # single segment, a size of two bytes, which counts from 256
    encoded[4:7] = b"\xa0" + declared.to_bytes(4, "little")
    with pytest.raises(CorruptShardError) as caught:
        build_codec("zstd").decode(encoded, max_nbytes=2 * len(TEXT))
    assert caught.value.reason == "inner_chunk_undecodable"


def test_a_dictionary_that_nobody_has(build_codec):
    """A frame that needs a dictionary cannot be decoded."""
    samples = [b"%d chunks of shard %d" % (i, i * 7) for i in range(1000)]
    dictionary = zstandard.train_dictionary(1024, samples)
    encoded = zstandard.ZstdCompressor(dict_data=dictionary).compress(samples[5] * 20)
    with pytest.raises(CorruptShardError) as caught:
        build_codec("zstd").decode(encoded, max_nbytes=10_000)
    assert caught.value.reason == "inner_chunk_undecodable"


def test_many_threads_and_levels_share_one_codec(build_codec):
    """Contexts are each thread's own."""
    codecs = [build_codec("zstd", {"level": level}) for level in (-5, 1, 9)]

    def round_trip(number):
        data = bytes([number % 256]) * (1000 + number) + TEXT
        codec = codecs[number % 3]
        return bytes(codec.decode(codec.encode(data), max_nbytes=len(data))) == data

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(round_trip, range(2000)))


def test_pickling_keeps_the_codec(build_codec):
    """A codec holds no context."""
    codec = build_codec("zstd", {"level": 3})
    codec.encode(TEXT)
    assert pickle.loads(pickle.dumps(codec)) == codec
