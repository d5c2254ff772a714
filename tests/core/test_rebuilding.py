"""Rebuilding an index from inner chunks: what is proven is right, and what is not is refused."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zarr_shard_codec.codecs.framing import frame_size
from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core.grid import CHUNK_ORDERS, write_order
from zarr_shard_codec.core.index import EMPTY, ShardIndex
from zarr_shard_codec.core.layout import lay_out
from zarr_shard_codec.core.plans import hold
from zarr_shard_codec.core.rebuilding import Rebuilt, Unproven, evidence, rebuild_index

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
CRC = {"name": "crc32c"}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": True}}
GZIP = {"name": "gzip", "configuration": {"level": 1}}
BLOSC = {
    "name": "blosc",
    "configuration": {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 4, "blocksize": 0},
}
CHAINS = {
    "zstd": (LITTLE, ZSTD),
    "gzip": (LITTLE, GZIP),
    "blosc": (LITTLE, BLOSC),
    "crc32c": (LITTLE, CRC),
    "zstd, crc32c": (LITTLE, ZSTD, CRC),
    "crc32c, gzip": (LITTLE, CRC, GZIP),
}
UNKNOWN = {"lexicographic": 0.0, "morton": 0.0}


def _codec(chain="zstd", location="end", shard=(16, 16), order="lexicographic"):
    configuration = {
        "chunk_shape": [4, 4],
        "codecs": list(CHAINS[chain]),
        "index_codecs": [LITTLE, CRC],
        "index_location": location,
    }
    return ShardingCodec.from_metadata(configuration, shard_shape=shard, dtype="int32", chunk_order=order)


def _values(shape=(16, 16)):
    return np.random.default_rng(3).integers(1, 9, shape, dtype="int32")


def _rebuild(codec, image, orders=UNKNOWN):
    return hold(rebuild_index(codec, len(image), frame_size(codec.inner), orders), bytes(image))


def _damage(codec, whole, start, stop):
    """Overwrite these bytes of the index."""
    first = 0 if codec.index_location == "start" else len(whole) - codec.index_nbytes
    image = bytearray(whole)
    image[first + start : first + stop] = b"\x55" * (stop - start)
    return image


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("chain", CHAINS)
def test_a_damaged_checksum_is_nothing(chain, location):
    """Every entry names a chunk that is there: the index is what it was, also of a sparse shard."""
    codec = _codec(chain, location)
    for values in (_values(), np.where(np.arange(16)[:, None] < 5, _values(), 0)):
        whole = codec.encode(values)
        image = _damage(codec, whole, codec.index_nbytes - 4, codec.index_nbytes)
        rebuilt = _rebuild(codec, image, {})
        assert np.array_equal(rebuilt.index.entries, codec.read_index(whole).entries)


@pytest.mark.parametrize("order", ["lexicographic", "morton"])
@pytest.mark.parametrize("chain", CHAINS)
def test_entries_that_are_left_tell_the_order(chain, order):
    """Twelve of sixteen stand, in one order and in no other."""
    codec = _codec(chain, order=order)
    whole = codec.encode(_values())
    rebuilt = _rebuild(codec, _damage(codec, whole, 0, 64))
    assert np.array_equal(rebuilt.index.entries, codec.read_index(whole).entries)
    assert order in rebuilt.why


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("order", CHUNK_ORDERS)
def test_a_lost_index_needs_evidence_of_the_order(order, location):
    """Frames say where chunks end, not which they are: without evidence, or for two orders, it is refused."""
    codec = _codec(location=location, order=order)
    whole = codec.encode(_values())
    image = _damage(codec, whole, 0, codec.index_nbytes)
    for orders in ({}, UNKNOWN, {order: evidence(9)}, {"lexicographic": inf, "morton": inf}):
        assert isinstance(_rebuild(codec, image, orders), Unproven)
    for support in (evidence(10), inf):
        rebuilt = _rebuild(codec, image, {order: support})
        assert np.array_equal(rebuilt.index.entries, codec.read_index(whole).entries)


def test_two_orders_that_are_the_same_are_one():
    """Along one axis lexicographic and Morton order do not differ."""
    codec = _codec(shard=(4, 64))
    whole = codec.encode(_values((4, 64)))
    rebuilt = _rebuild(codec, whole[: -codec.index_nbytes], {"lexicographic": inf, "morton": inf})
    assert np.array_equal(rebuilt.index.entries, codec.read_index(whole).entries)


@pytest.mark.parametrize("kept", [0, 1, 20, 100, 259])
def test_an_index_that_is_cut_short(kept):
    """What is left of it counts as far as it goes."""
    codec = _codec()
    whole = codec.encode(_values())
    image = whole[: len(whole) - codec.index_nbytes + kept]
    rebuilt = _rebuild(codec, image, {"lexicographic": inf})
    assert np.array_equal(rebuilt.index.entries, codec.read_index(whole).entries)
    assert isinstance(_rebuild(codec, image), Rebuilt if kept > 160 else Unproven)


@given(st.permutations(range(16)), st.sets(st.integers(0, 15), min_size=1), st.booleans())
@settings(max_examples=200)
def test_no_order_is_guessed_for_a_writer_that_keeps_none(order, broken, spread):
    """Whatever the order and the damage: the index that comes out is the one that was, or there is none."""
    codec = _codec()
    chunks = [bytes(codec.inner.encode(np.full((4, 4), at + 1, "int32"))) for at in range(16)]
    sizes = np.array([len(chunks[at]) for at in order])
    true = lay_out(np.array(order), sizes, (4, 4), first_offset=0)
    entries = true.entries.copy()
    entries[list(broken)] = 1 if spread else 0
    index = bytearray(codec.encode_index(ShardIndex(entries, (4, 4))))
    index[-1] ^= 1
    rebuilt = _rebuild(codec, b"".join(chunks[at] for at in order) + bytes(index))
    if isinstance(rebuilt, Rebuilt):
        assert np.array_equal(rebuilt.index.entries, true.entries)


def test_one_entry_and_one_chunk_belong_to_each_other():
    """In any order, and in a sparse shard, if one of its two numbers is left."""
    codec = _codec()
    whole = codec.encode(np.where(np.arange(16)[:, None] < 9, _values(), 0))
    present = codec.read_index(whole).present
    for at in present.tolist():
        image = _damage(codec, whole, 16 * at, 16 * at + 16)
        assert isinstance(_rebuild(codec, image, {}), Unproven)
        image = _damage(codec, whole, 16 * at + 8, 16 * at + 16)
        rebuilt = _rebuild(codec, image, {})
        assert np.array_equal(rebuilt.index.entries, codec.read_index(whole).entries)


def test_zeros_that_make_another_chunks_entry():
    """Where all chunks have one size, a lost offset names the first chunk: neither entry is believed then."""
    codec = _codec("crc32c")
    whole = codec.encode(_values())
    first = len(whole) - codec.index_nbytes
    for stop in range(16, 100, 4):
        image = whole[: first + 16] + bytes(stop - 16) + whole[first + stop : -1] + b"\0"
        rebuilt = _rebuild(codec, image)
        assert np.array_equal(rebuilt.index.entries, codec.read_index(whole).entries)


def test_a_replaced_chunk_is_not_put_where_nothing_was():
    """A writer that leaves the old bytes of a chunk: they look like a chunk, the damaged empty entry asks."""
    codec = _codec()
    chunks = [bytes(codec.inner.encode(np.full((4, 4), at + 1, "int32"))) for at in range(16)]
    for empty in range(1, 16):
        linear = np.array([at for at in range(16) if at != empty])
        sizes = np.array([len(chunks[at]) for at in linear])
        index = lay_out(linear, sizes, (4, 4), first_offset=0)
        body = b"".join(chunks[at] for at in linear)
        index.entries[0, 0] = len(body)  # chunk 0, written again
        whole = body + chunks[0] + bytes(codec.encode_index(index))
        image = _damage(codec, whole, 16 * empty, 16 * empty + 16)
        assert isinstance(_rebuild(codec, image), Unproven)


@pytest.mark.parametrize("kept", [160, 200, 255])
def test_entries_for_which_nothing_is_left_were_empty(kept):
    """A sparse shard that is cut short behind its last chunk's entry, and one with a broken empty entry."""
    codec = _codec()
    whole = bytes(codec.encode(np.where(np.arange(16)[:, None] < 9, _values(), 0)))
    entries = codec.read_index(whole).entries
    empty = np.flatnonzero((entries == EMPTY).all(axis=1))
    assert 16 * empty[0] <= 192
    first = len(whole) - codec.index_nbytes
    kept = max(kept, 16 * int(empty[0]))
    for image in (whole[: first + kept], _damage(codec, whole, 16 * int(empty[-1]), 16 * int(empty[-1]) + 9)):
        assert np.array_equal(_rebuild(codec, image).index.entries, entries)


def test_more_damage_in_a_sparse_shard_is_refused():
    """Two broken entries and one chunk too few: an empty one may be among them."""
    codec = _codec()
    whole = codec.encode(np.where(np.arange(16)[:, None] < 9, _values(), 0))
    empty = int(np.setdiff1d(np.arange(16), codec.read_index(whole).present)[0])
    image = _damage(codec, bytes(_damage(codec, whole, 0, 16)), 16 * empty, 16 * empty + 16)
    found = _rebuild(codec, image, {"lexicographic": inf})
    assert "2 entries are left for 1 inner chunks" in found.why


def test_bytes_between_or_behind_chunks_are_refused():
    """A gap, an append, a chunk cut off: then a chunk that is there may be garbage."""
    codec = _codec()
    whole = codec.encode(_values())
    size = codec.index_nbytes
    body, index = whole[:-size], whole[-size:]
    first = int(codec.read_index(whole).entries[0, 1])
    broken = b"\x55" * size
    images = [
        ("no inner chunk", b"\0" + body + broken),
        ("neither a chunk nor the index", body[:first] + b"\0" + body[first:] + broken),
        ("neither a chunk nor the index", body + broken + b"\0"),
        ("neither a chunk nor the index", body[:-1] + index),
        ("more than", body + body + index),
    ]
    for words, image in images:
        found = _rebuild(codec, image, {"lexicographic": inf})
        assert isinstance(found, Unproven)
        assert words in found.why


@pytest.mark.parametrize("location", ["start", "end"])
def test_an_index_that_cannot_be_told_is_refused_before_it_is_made(location):
    """Of entries that are gone each has to be an inner chunk: metadata may claim more than memory holds."""
    whole = _codec("zstd").encode(_values())[: -_codec().index_nbytes]
    codec = _codec("zstd", location, shard=(2**33, 2**33))
    found = _rebuild(codec, whole, {"lexicographic": inf})
    assert isinstance(found, Unproven)


def test_a_chunk_that_does_not_decode_is_no_chunk():
    """A flipped bit in the middle of the shard: what lies behind it is not guessed."""
    codec = _codec("crc32c")
    image = bytearray(codec.encode(_values())[: -codec.index_nbytes])
    image[500] ^= 1
    found = _rebuild(codec, image, {"lexicographic": inf})
    assert isinstance(found, Unproven)


def test_large_shards_are_read_in_windows(monkeypatch):
    """Chunks that begin in one window and end in the next are found."""
    monkeypatch.setattr("zarr_shard_codec.core.rebuilding._WINDOW_NBYTES", 1)
    codec = _codec("crc32c", shard=(64, 64))
    whole = codec.encode(_values((64, 64)))
    rebuilt = _rebuild(codec, _damage(codec, whole, 0, 100))
    assert np.array_equal(rebuilt.index.entries, codec.read_index(whole).entries)
    assert np.array_equal(write_order("lexicographic", (16, 16)), np.argsort(rebuilt.index.entries[:, 0]))
