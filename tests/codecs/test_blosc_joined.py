"""Many Blosc chunks in one call: the very bytes of one by one, and no damage that is not seen."""

from __future__ import annotations

from dataclasses import replace

import numcodecs.blosc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.codecs.blosc import BloscCodec
from zarr_shard_codec.codecs.blosc_joined import HEADER
from zarr_shard_codec.core.pieces import Parts, Segments
from zarr_shard_codec.errors import CorruptShardError

N_CHUNKS = 40
CNAMES = ("lz4", "lz4hc", "zlib", "zstd", "blosclz")


def _segments(data, nbytes):
    n = len(data) // nbytes
    table = np.stack(
        [np.arange(n, dtype=np.uint64) * np.uint64(nbytes), np.full(n, nbytes, np.uint64)], axis=1
    )
    return Segments(data, table)


def _data(kind, nbytes, n=N_CHUNKS, seed=0):
    """Bytes of `n` chunks: those of a smooth function, noise, or some of both and of zeros, by turns."""
    random = np.random.default_rng(seed)
    smooth = (np.sin(np.arange(n * nbytes // 4) / 50) * 3000 + random.integers(0, 4, n * nbytes // 4)).astype(
        "<i4"
    )
    noise = random.integers(0, 256, (n, nbytes), np.uint8)
    chunks = np.resize(smooth.view(np.uint8), (n, nbytes))
    if kind == "noise":
        chunks = noise
    elif kind == "mixed":
        chunks[1::3], chunks[2::3] = noise[1::3], 0
    return chunks.tobytes()


@pytest.fixture
def calls(monkeypatch):
    """How many bytes each call of the library was given."""
    given_nbytes = []

    def counted(call):
        def count(data, *arguments):
            given_nbytes.append(len(data))
            return call(data, *arguments)

        return count

    for name in ("compress", "decompress"):
        monkeypatch.setattr(numcodecs.blosc, name, counted(getattr(numcodecs.blosc, name)))
    return given_nbytes


@pytest.mark.parametrize("kind", ["smooth", "mixed", "noise"])
@pytest.mark.parametrize("shuffle", [0, 1, 2])
@pytest.mark.parametrize("cname", CNAMES)
@pytest.mark.parametrize("nbytes", [600, 4096, 9600])
@pytest.mark.parametrize("typesize", [1, 2, 3, 4, 8, 16, 20, 256, 300])
def test_the_same_bytes_as_one_by_one(typesize, nbytes, cname, shuffle, kind):
    """And they decode to the same, whatever the library would do with one chunk."""
    codec = BloscCodec("blosc", cname, 5, shuffle, typesize, 0)
    data = _data(kind, nbytes)
    encoded = codec.encode_many(_segments(data, nbytes))
    assert [bytes(part) for part in encoded] == [codec.encode(part) for part in _segments(data, nbytes)]
    assert bytes(codec.decode_many(encoded, nbytes)) == data


@given(
    nbytes=st.integers(1, 40).map(lambda n: 16 * n),
    cname=st.sampled_from(CNAMES),
    clevel=st.integers(0, 9),
    shuffle=st.integers(-1, 2),
    typesize=st.integers(1, 40) | st.integers(1, 600) | st.none(),
    blocksize=st.sampled_from([0, 1, 128, 256, 10_000]),
    kind=st.sampled_from(["smooth", "mixed", "noise"]),
    seed=st.integers(0, 2**16),
)
def test_the_same_bytes_whatever_the_settings(
    nbytes, cname, clevel, shuffle, typesize, blocksize, kind, seed
):
    """Levels, block sizes, chunks of few bytes."""
    codec = BloscCodec("numcodecs.blosc", cname, clevel, shuffle, typesize, blocksize)
    data = _data(kind, nbytes, seed=seed)
    encoded = codec.encode_many(_segments(data, nbytes))
    assert [bytes(part) for part in encoded] == [codec.encode(part) for part in _segments(data, nbytes)]
    assert bytes(codec.decode_many(encoded, nbytes)) == data


@pytest.mark.parametrize("cname", ["lz4", "zstd"])
def test_chunks_that_just_become_smaller_or_just_do_not(cname):
    """Around the size from which a chunk is stored, the last one of all included."""
    codec = BloscCodec("blosc", cname, 5, 1, 2, 0)
    noise, smooth = _data("noise", 2048, n=1), _data("smooth", 2048, n=30)
    for n_equal in range(0, 160, 2):
        last = noise[n_equal:] + bytes(n_equal)
        segments = _segments(smooth + last + smooth + last, 2048)
        encoded = codec.encode_many(segments)
        assert [bytes(part) for part in encoded] == [codec.encode(part) for part in segments]


@pytest.mark.parametrize(
    ("cname", "shuffle", "typesize"),
    [("lz4", 1, 2), ("lz4", 0, 1), ("lz4hc", 1, 1), ("zstd", 1, 2), ("zstd", 2, 1)],
)
def test_one_call_does_the_work(calls, cname, shuffle, typesize):
    """The first chunk shows how; then all are compressed at once, and decompressed at once."""
    codec = BloscCodec("blosc", cname, 5, shuffle, typesize, 0)
    encoded = codec.encode_many(_segments(_data("smooth", 8192), 8192))
    assert calls == [8192, N_CHUNKS * 8192]
    del calls[:]
    assert codec.decode_many(encoded, 8192) is not None
    assert len(calls) == 1


def test_threads_of_the_library_give_the_same(monkeypatch):
    """They put blocks into a container in the order in which they are ready."""
    codec = BloscCodec("blosc", "zstd", 1, 1, 2, 0)
    segments = _segments(_data("mixed", 8192, n=300), 8192)
    expected = [codec.encode(part) for part in segments]
    monkeypatch.setattr(numcodecs.blosc, "use_threads", True)
    before = numcodecs.blosc.set_nthreads(4)
    try:
        for _ in range(20):
            encoded = codec.encode_many(segments)
            assert [bytes(part) for part in encoded] == expected
            assert bytes(codec.decode_many(encoded, 8192)) == bytes(segments.buffer)
    finally:
        numcodecs.blosc.set_nthreads(before)


@pytest.mark.parametrize("gap", [0, 7, 50_000])
def test_chunks_may_lie_anywhere(gap):
    """In another order, with something between them, few in a large buffer."""
    codec = BloscCodec("blosc", "lz4", 5, 1, 2, 0)
    data = _data("smooth", 2048)
    parts = [codec.encode(part) for part in _segments(data, 2048)]
    buffer, table = bytearray(3), np.empty((N_CHUNKS, 2), np.uint64)
    for at in reversed(range(N_CHUNKS)):
        table[at] = len(buffer), len(parts[at])
        buffer += parts[at] + b"\xee" * gap
    assert bytes(codec.decode_many(Segments(buffer, table), 2048)) == data


def test_kinds_may_be_mixed():
    """Chunks of several writers in one shard: each has its own header."""
    codec = BloscCodec("blosc", "lz4", 5, 1, 2, 0)
    others = [replace(codec, cname="zstd"), replace(codec, typesize=4), replace(codec, blocksize=512), codec]
    parts = [*_segments(_data("smooth", 2048), 2048)]
    encoded = Parts([others[at % 4].encode(part) for at, part in enumerate(parts)])
    assert bytes(codec.decode_many(encoded, 2048)) == b"".join(parts)


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
@pytest.mark.parametrize(("cname", "shuffle"), [("lz4", 1), ("zstd", 1), ("lz4", 0)])
def test_damage_is_seen_as_one_by_one(cname, shuffle, flip):
    """Each byte of one chunk's container, changed: what comes out of many is what would come out of each."""
    codec = BloscCodec("blosc", cname, 5, shuffle, 2, 0)
    data = _data("smooth", 512, n=30)
    good = [codec.encode(part) for part in _segments(data, 512)]
    for at in range(len(good[10])):
        broken = bytearray(good[10])
        broken[at] ^= flip
        try:
            alone = bytes(codec.decode(broken, max_nbytes=512))
        except CorruptShardError:
            alone = None
        together = codec.decode_many(Parts([*good[:10], broken, *good[11:]]), 512)
        if alone is None or len(alone) != 512:
            assert together is None, at
        else:
            assert bytes(together) == data[: 10 * 512] + alone + data[11 * 512 :], at


@pytest.mark.parametrize("cname", CNAMES)
def test_a_stream_that_reaches_into_the_next_chunk_is_damage(cname):
    """Alone it would end behind its container; joined, there are bytes to go on with, which zlib ignores."""
    codec = BloscCodec("blosc", cname, 5, 0, 1, 0)
    data = bytes(at // 9 % 251 for at in range(30 * 512))
    good = [codec.encode(part) for part in _segments(data, 512)]
    longer = bytearray(good[3])
    at = HEADER.size + 4
    longer[at : at + 4] = (int.from_bytes(longer[at : at + 4], "little") + len(good[4])).to_bytes(4, "little")
    assert codec.decode_many(Parts([*good[:3], longer, *good[4:]]), 512) is None
    with pytest.raises(CorruptShardError):
        codec.decode(longer, max_nbytes=512)
