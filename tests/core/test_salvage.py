"""Searching a damaged shard for its newest index."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core import salvage
from zarr_shard_codec.core.index import EMPTY, ShardIndex
from zarr_shard_codec.core.plans import hold
from zarr_shard_codec.core.salvage import find_index, table_form

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
BIG = {"name": "bytes", "configuration": {"endian": "big"}}
CRC = {"name": "crc32c"}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": True}}
GZIP = {"name": "gzip", "configuration": {"level": 1}}


def _codec(codecs=(LITTLE,), index=(LITTLE, CRC), location="end", shard=(8,), inner=(2,), dtype="int32"):
    configuration = {
        "chunk_shape": list(inner),
        "codecs": list(codecs),
        "index_codecs": list(index),
        "index_location": location,
    }
    return ShardingCodec.from_metadata(configuration, shard_shape=tuple(shard), dtype=dtype)


def _append(codec, old, entries, at, values):
    """An append by hand: a chunk, and an index of it and the others, behind the old shard."""
    chunk = bytes(codec.inner.encode(np.asarray(values, codec.spec.dtype)))
    entries = entries.copy()
    entries[at] = len(old), len(chunk)
    return old + chunk + bytes(codec.encode_index(ShardIndex(entries, codec.chunks_per_shard))), entries


def _image(codec):
    """A shard that was appended to twice: its bytes, and each state's size and entries."""
    old = codec.encode(np.arange(1, 9, dtype="int32"))
    entries = codec.read_index(old).entries
    states = [(len(old), entries)]
    for at, values in ((1, [70, 71]), (3, [80, 81])):
        old, entries = _append(codec, old, entries, at, values)
        states.append((len(old), entries))
    return old, states


def _find(codec, image):
    return hold(find_index(codec, len(image), chunk_nbytes=codec.inner.encoded_nbytes), image)


FORMS = {
    "raw": {},
    "zstd": {"codecs": (LITTLE, ZSTD)},
    "gzip": {"codecs": (LITTLE, GZIP)},
    "big": {"index": (BIG, CRC)},
    "crc32c twice": {"index": (LITTLE, CRC, CRC)},
}


@pytest.mark.parametrize("form", FORMS)
def test_cut_at_every_byte_the_newest_whole_index_is_found(form):
    """Of all states that were complete before the cut, the last; none before the first was complete."""
    codec = _codec(**FORMS[form])
    image, states = _image(codec)
    for cut in range(len(image) + 1):
        found = _find(codec, image[:cut])
        complete = [(end, entries) for end, entries in states if end <= cut]
        if not complete:
            assert found is None
            continue
        assert found.end == complete[-1][0]
        assert np.array_equal(found.index.entries, complete[-1][1])


@pytest.mark.parametrize("block", [1, 7, 64])
def test_the_search_finds_the_same_in_blocks_of_any_size(block, monkeypatch):
    """An index that begins in one block and ends in another is found, too."""
    monkeypatch.setattr(salvage, "_BLOCK_NBYTES", block)
    codec = _codec(codecs=(LITTLE, ZSTD))
    image, states = _image(codec)
    for cut in range(states[0][0], len(image) + 1, 5):
        found = _find(codec, image[:cut])
        assert found.end == max(end for end, _ in states if end <= cut)


@pytest.mark.parametrize("junk", [b"\0", b"\xff", b"\x01", bytes(range(256)), (5).to_bytes(8, "little")])
@pytest.mark.parametrize("codecs", [(LITTLE,), (LITTLE, ZSTD)])
def test_junk_of_any_kind_behind_a_shard_does_not_hide_it(junk, codecs, monkeypatch):
    """Zeros, ones, small numbers: the searches for crowds of candidates and for few of them agree."""
    codec = _codec(codecs=codecs)
    whole = codec.encode(np.arange(1, 9, dtype="int32"))
    image = whole + (junk * 20000)[:20000]
    for crowd in (0, 1 << 12, 1 << 30):
        monkeypatch.setattr(salvage, "_CROWD", crowd)
        assert _find(codec, image).end == len(whole)


@given(st.binary(max_size=300), st.binary(max_size=60))
def test_random_bytes_are_no_index(before, behind):
    """Nothing is found in them; and a shard among them is found only where its offsets are right."""
    codec = _codec(codecs=(LITTLE, ZSTD))
    whole = codec.encode(np.arange(1, 9, dtype="int32"))
    chunk_nbytes = int(codec.read_index(whole).entries[0, 1])
    assert _find(codec, before + behind) is None
    assert _find(codec, whole + before).end == len(whole)
    # Moved by whole inner chunks, the index has chunks where it says, as if one of them were damaged.
    if len(before) % chunk_nbytes:
        assert _find(codec, before + whole + behind) is None


def test_sparse_tables_are_found(monkeypatch):
    """One chunk among ten thousand: nearly the whole table is bytes 0xff, as what lies behind it."""
    codec = _codec(shard=(20000,))
    values = np.zeros(20000, "int32")
    values[15000:15002] = 7
    whole = codec.encode(values)
    monkeypatch.setattr(salvage, "_CROWD", 100)
    found = _find(codec, whole + b"\xff" * 100_000)
    assert found.end == len(whole)
    assert found.index.present.tolist() == [7500]


def test_ranges_that_two_chunks_share_are_an_index_still():
    """What every reader reads is restored as it was."""
    codec = _codec()
    whole = codec.encode(np.arange(1, 9, dtype="int32"))
    entries = codec.read_index(whole).entries.copy()
    entries[2] = entries[0]
    index = codec.encode_index(ShardIndex(entries, codec.chunks_per_shard))
    image = whole[: -codec.index_nbytes] + bytes(index)
    assert np.array_equal(_find(codec, image + b"torn").index.entries, entries)


@pytest.mark.parametrize(
    "entry",
    [(0, 9), (10**6, 8), (0, 0), (EMPTY, 8), (24, EMPTY), (2**63, 8)],
    ids=["size", "outside", "empty", "half", "other half", "huge"],
)
def test_tables_that_no_reader_would_read_are_passed_over(entry):
    """Their checksum holds, their entries do not: the older index is found."""
    codec = _codec()
    image, states = _image(codec)
    entries = states[-1][1].copy()
    entries[0] = entry
    index = bytes(codec.encode_index(ShardIndex(entries, codec.chunks_per_shard)))
    assert _find(codec, image + index).end == len(image)


def test_an_index_is_held_to_the_shard_that_it_closes():
    """A range that lies in what was written later is none of it."""
    codec = _codec()
    image, states = _image(codec)
    entries = states[-1][1].copy()
    entries[0] = len(image) + codec.index_nbytes, 8
    index = bytes(codec.encode_index(ShardIndex(entries, codec.chunks_per_shard)))
    assert _find(codec, image + index + b"8 bytes!").end == len(image)


def test_an_index_of_nothing_proves_nothing():
    """All entries empty: what comes before it counts."""
    codec = _codec()
    image, _ = _image(codec)
    nothing = bytes(codec.encode_index(ShardIndex.empty(codec.chunks_per_shard)))
    assert _find(codec, image + nothing).end == len(image)


def test_the_index_of_an_inner_shard_is_not_taken_for_the_outer_one():
    """Same number of chunks, valid checksum, ranges within the file: but no inner shard lies in them."""
    inner = {
        "name": "sharding_indexed",
        "configuration": {"chunk_shape": [1], "codecs": [LITTLE], "index_codecs": [LITTLE, CRC]},
    }
    codec = _codec(codecs=(inner,), shard=(16,), inner=(4,))
    whole = codec.encode(np.arange(1, 17, dtype="int32"))
    assert _find(codec, whole).end == len(whole)
    assert _find(codec, whole[:-1]) is None


def test_an_index_that_belongs_to_the_start_is_found_elsewhere():
    """Its offsets say where the chunks are, wherever it stands itself."""
    codec = _codec(location="start")
    whole = codec.encode(np.arange(1, 9, dtype="int32"))
    size = codec.index_nbytes
    found = _find(codec, b"\x07" * size + whole[size:] + whole[:size])
    assert np.array_equal(found.index.entries, codec.read_index(whole).entries)
    assert _find(codec, b"\x07" * size + whole[size:]) is None


def test_without_a_checksum_or_in_another_order_nothing_is_searched():
    """Such a table would prove nothing, or is not looked into; no byte is read."""
    transposed = {"name": "transpose", "configuration": {"order": [1, 0]}}
    for index in ((LITTLE,), (transposed, LITTLE, CRC)):
        codec = _codec(index=index)
        whole = codec.encode(np.arange(1, 9, dtype="int32"))
        plan = find_index(codec, len(whole), chunk_nbytes=8)
        with pytest.raises(StopIteration) as stopped:
            next(plan)
        assert stopped.value.value is None
    assert table_form(_codec(index=(LITTLE,))).checksummed is False
    assert table_form(_codec(index=(BIG, CRC))).dtype == ">u8"


def test_bytes_that_look_like_indexes_everywhere_end_the_search(monkeypatch):
    """So much work and no more, whatever a file is made of."""
    codec = _codec(shard=(2,))
    monkeypatch.setattr(salvage, "_WORK_NBYTES", 100 * salvage._TRIAL_NBYTES)
    pairs = np.tile(np.array([0, 8], np.uint64), 5000).tobytes()
    whole = codec.encode(np.array([1, 2], "int32"))
    asked = []

    class Counting:
        def __getattr__(self, name):
            return getattr(codec, name)

        def decode_index(self, encoded):
            asked.append(1)
            return codec.decode_index(encoded)

    assert hold(find_index(Counting(), len(whole + pairs), chunk_nbytes=8), whole + pairs) is None
    assert len(asked) <= 101


def test_memory_holds_one_block():
    """Every request is as large as a block and an index, and all bytes are asked for from the end."""
    codec = _codec()
    size = 5 * salvage._BLOCK_NBYTES + 12345
    plan = find_index(codec, size, chunk_nbytes=8)
    requests = [next(plan)]
    try:
        while True:
            ((lies,),) = requests[-1:]
            requests.append(plan.send([bytes(lies.nbytes)]))
    except StopIteration as stopped:
        assert stopped.value is None  # noqa: PT017
    ranges = [(lies.offset, lies.nbytes) for (lies,) in requests]
    assert max(nbytes for _, nbytes in ranges) <= salvage._BLOCK_NBYTES + codec.index_nbytes
    assert ranges[0][0] + ranges[0][1] == size
    assert ranges[-1][0] == 0
