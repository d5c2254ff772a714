"""Many chunks at once: the same elements, and the same errors, as one by one, for every chain and type."""

from __future__ import annotations

import struct
from itertools import product

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core.layout import lay_out
from zarr_shard_codec.core.pieces import Parts, Segments
from zarr_shard_codec.core.protocols import ChunkSpec
from zarr_shard_codec.errors import CorruptShardError


def _codec(name, **configuration):
    return {"name": name, "configuration": configuration} if configuration else {"name": name}


LITTLE, BIG = _codec("bytes", endian="little"), _codec("bytes", endian="big")
TRANSPOSE = _codec("transpose", order=[1, 0])
CRC = _codec("crc32c")
ZSTD = _codec("zstd", level=1, checksum=False)
ZSTD_CHECKED = _codec("zstd", level=3, checksum=True)
GZIP = _codec("gzip", level=1)
BLOSC_LZ4 = _codec("blosc", cname="lz4", clevel=5, shuffle="shuffle", blocksize=0)
BLOSC_ZSTD = _codec("blosc", cname="zstd", clevel=1, shuffle="bitshuffle", blocksize=0)
NUMCODECS_ZSTD = _codec("numcodecs.zstd", level=1)
SHARD = _codec("sharding_indexed", chunk_shape=[3, 2], codecs=[LITTLE, ZSTD], index_codecs=[LITTLE, CRC])

CHAINS = [
    [LITTLE],
    [BIG],
    [TRANSPOSE, LITTLE],
    [TRANSPOSE, TRANSPOSE, BIG],
    [LITTLE, CRC],
    [LITTLE, ZSTD],
    [BIG, ZSTD_CHECKED],
    [TRANSPOSE, LITTLE, ZSTD],
    [LITTLE, ZSTD, CRC],
    [LITTLE, ZSTD, ZSTD],
    [LITTLE, CRC, ZSTD],
    [LITTLE, NUMCODECS_ZSTD],
    [LITTLE, BLOSC_LZ4],
    [TRANSPOSE, BIG, BLOSC_ZSTD, CRC],
    [LITTLE, GZIP],
    [SHARD, GZIP],
]
IN_BATCHES = {"zstd", "numcodecs.zstd", "blosc"}
DTYPES = ["?", "i1", "u2", "f4", "f8", "c16", "M8[ns]", "V3"]
CHUNK_SHAPE = (6, 4)
COUNTS = (2, 4)
N_CHUNKS = 8
EMPTY = 2**64 - 1


def _names(codecs):
    return "-".join(codec["name"] for codec in codecs)


def _spec(dtype):
    dtype = np.dtype(dtype)
    return ChunkSpec(CHUNK_SHAPE, dtype, np.zeros((), dtype))


def _chunks(dtype, seed=0):
    """Chunks that compress a little, bit patterns of all kinds."""
    dtype = np.dtype(dtype)
    n_bytes = N_CHUNKS * 24 * dtype.itemsize
    largest = 2 if dtype.kind == "b" else 256
    raw = np.random.default_rng(seed).integers(0, largest, n_bytes, np.uint8)
    raw[: n_bytes // 2] = 1
    return raw.view(dtype).reshape(N_CHUNKS, *CHUNK_SHAPE)


def _apart(encoded):
    """Segments back to front, with a gap before each."""
    table, pieces, end = np.zeros((len(encoded), 2), np.uint64), [], 0
    for at in reversed(range(len(encoded))):
        pieces += [b"gap", bytes(encoded[at])]
        table[at] = end + 3, len(encoded[at])
        end += 3 + len(encoded[at])
    return Segments(b"".join(pieces), table)


@pytest.mark.parametrize("codecs", CHAINS, ids=_names)
@pytest.mark.parametrize("dtype", DTYPES)
def test_decode_many_is_decode_of_each(codecs, dtype):
    """Bit for bit, from one buffer or from many; chains that have a faster way take it."""
    chain, chunks = CodecChain.from_metadata(codecs, _spec(dtype)), _chunks(dtype)
    encoded = [bytes(chain.encode(chunk)) for chunk in chunks]
    for pieces in (_apart(encoded), Parts(encoded), Parts([memoryview(each) for each in encoded])):
        decoded = chain.decode_many(pieces)
        if decoded is None:
            assert dtype == "?" or not {codec["name"] for codec in codecs} & IN_BATCHES or CRC in codecs[:-1]
        else:
            assert decoded.shape == chunks.shape
            assert decoded.astype(chunks.dtype).tobytes() == chunks.tobytes()


@pytest.mark.parametrize("codecs", CHAINS, ids=_names)
@pytest.mark.parametrize("dtype", DTYPES)
def test_encode_many_is_encode_of_each(codecs, dtype):
    """Each piece decodes to its chunk, alone, whichever way it was made; a zstd frame says its size."""
    chain, chunks = CodecChain.from_metadata(codecs, _spec(dtype)), _chunks(dtype)
    encoded = chain.encode_many(chunks)
    assert len(encoded) == N_CHUNKS
    for chunk, piece in zip(chunks, encoded, strict=True):
        assert chain.decode(piece).astype(chunk.dtype).tobytes() == chunk.tobytes()
    if codecs[-1]["name"] == "zstd" and len(chain.bytes_bytes) == 1:
        assert {zstandard.frame_content_size(piece) for piece in encoded} == {chunks[0].nbytes}


def _sharding(codecs, dtype):
    return ShardingCodec.from_metadata(
        {"chunk_shape": list(CHUNK_SHAPE), "codecs": codecs, "index_codecs": [LITTLE]},
        shard_shape=tuple(count * size for count, size in zip(COUNTS, CHUNK_SHAPE, strict=True)),
        dtype=dtype,
    )


def _shard(codec, encoded):
    """A shard of these chunks, None for an empty one."""
    linear = np.array([at for at, each in enumerate(encoded) if each is not None], np.int64)
    present = [each for each in encoded if each is not None]
    index = lay_out(linear, np.array([len(each) for each in present], np.uint64), COUNTS, first_offset=0)
    return b"".join([*present, codec.encode_index(index)])


def _outcome(codec, encoded, selection=...):
    try:
        return codec.decode(encoded, selection)
    except CorruptShardError as error:
        return error.reason, error.inner_chunk


def _one_by_one(codec, encoded):
    """The whole shard, or the reasons and places of what is wrong, by a read of each chunk."""
    whole, errors = np.empty(codec.spec.shape, codec.spec.dtype), []
    for place in product(*map(range, COUNTS)):
        chunk = tuple(slice(at * n, (at + 1) * n) for at, n in zip(place, CHUNK_SHAPE, strict=True))
        found = _outcome(codec, encoded, chunk)
        if isinstance(found, tuple):
            errors.append(found)
        else:
            whole[chunk] = found
    return errors or whole


def _assert_alike(codec, encoded):
    whole, by_chunk = _outcome(codec, encoded), _one_by_one(codec, encoded)
    if isinstance(by_chunk, list):
        assert whole in by_chunk
    else:
        assert not isinstance(whole, tuple), f"whole: {whole}; chunk by chunk it can be read"
        assert whole.tobytes() == by_chunk.tobytes()


SKIPPABLE = struct.pack("<II", 0x184D2A50, 4) + b"skip"
WAYS_TO_BREAK = {
    "cut": lambda good, _: good[:-1],
    "cut to one byte": lambda good, _: good[:1],
    "a byte more": lambda good, _: good + b"\0",
    "another chunk behind": lambda good, other: good + other,
    "twice": lambda good, _: good + good,
    "a skippable frame behind": lambda good, _: good + SKIPPABLE,
    "a skippable frame before": lambda good, _: SKIPPABLE + good,
    "an empty frame behind": lambda good, _: good + zstandard.compress(b""),
    "first byte": lambda good, _: bytes([good[0] ^ 0xFF]) + good[1:],
    "last byte": lambda good, _: good[:-1] + bytes([good[-1] ^ 1]),
    "zeros": lambda good, _: bytes(len(good)),
    "ones": lambda good, _: b"\xff" * len(good),
    "the checksum of nothing": lambda _good, _other: bytes(4),
    "a frame of half the size": lambda good, _: zstandard.compress(bytes(len(good) // 2)),
}


@pytest.mark.parametrize("codecs", CHAINS, ids=_names)
@pytest.mark.parametrize("how", WAYS_TO_BREAK)
def test_a_broken_chunk_among_good_ones_is_named(codecs, how):
    """A read of the whole shard says of a broken chunk what a read of it alone says; or both read it."""
    codec = _sharding(codecs, "f4")
    encoded = [bytes(codec.inner.encode(chunk)) for chunk in _chunks("f4")]
    encoded[5] = WAYS_TO_BREAK[how](encoded[5], encoded[6])
    _assert_alike(codec, _shard(codec, encoded))
    encoded[2] = None
    _assert_alike(codec, _shard(codec, encoded))


@given(st.sampled_from(CHAINS), st.sampled_from(DTYPES), st.data())
def test_whole_is_chunk_by_chunk_whatever_the_bytes(codecs, dtype, data):
    """Bytes changed anywhere: a read of the whole shard and reads of its chunks agree."""
    codec = _sharding(codecs, dtype)
    encoded = [bytearray(codec.inner.encode(chunk)) for chunk in _chunks(dtype)]
    for _ in range(data.draw(st.integers(1, 3))):
        chunk = data.draw(st.sampled_from(encoded))
        chunk[data.draw(st.integers(0, len(chunk) - 1))] = data.draw(st.integers(0, 255))
    _assert_alike(codec, _shard(codec, encoded))


@pytest.mark.parametrize("n_blocks", [1, 2, 3])
@pytest.mark.parametrize("n_chunks", [3, 40])
def test_bytes_behind_a_frame_of_many_blocks_are_found(n_blocks, n_chunks):
    """Frames end where their chunks end, whatever their header and however many blocks they have."""
    size = n_blocks << 17
    chain = CodecChain.from_metadata(
        [LITTLE, ZSTD], ChunkSpec((size,), np.dtype("u1"), np.zeros((), np.uint8))
    )
    noise = np.random.default_rng(1).integers(0, 256, size, np.uint8).tobytes()
    contents = [bytes(size), noise, noise[: size // 2] + bytes(size - size // 2)]
    writers = [
        zstandard.ZstdCompressor(level=1, write_checksum=checksum, write_content_size=says_size)
        for checksum, says_size in product((False, True), repeat=2)
    ]
    frames = [writers[at % 4].compress(contents[at % 3]) for at in range(n_chunks)]
    decoded = chain.decode_many(_apart(frames))
    assert [chunk.tobytes() for chunk in decoded] == [contents[at % 3] for at in range(n_chunks)]
    for at in range(3):
        for more in (b"\0", frames[at]):
            broken = [*frames]
            broken[at] += more
            assert chain.decode_many(_apart(broken)) is None
            assert chain.decode_many(Parts(broken)) is None
