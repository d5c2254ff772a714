"""The shard index: look-ups, emptiness, and checks that no number can slip through."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core.index import EMPTY, ShardIndex, faults
from zarr_shard_codec.core.ranges import ByteRange
from zarr_shard_codec.errors import CorruptShardError, SelectionError

NUMBERS = st.one_of(
    st.sampled_from([0, 1, 8, 100, 2**63 - 1, 2**63, 2**64 - 8, 2**64 - 2, EMPTY]),
    st.integers(0, 120),
    st.integers(0, EMPTY),
)


def _index(*entries):
    return ShardIndex(np.array(entries, np.uint64).reshape(-1, 2), (len(entries),))


@pytest.mark.requirement("INDEX-EMPTY", "INDEX-ENTRY", "INDEX-ARRAY")
def test_lookup():
    """An entry is a byte range in Python integers; both numbers 2^64-1 is an empty entry."""
    index = ShardIndex(np.array([[0, 4], [EMPTY, EMPTY], [9, 3], [2**63, 5]], np.uint64), (2, 2))
    assert index[0, 0] == ByteRange(0, 4)
    assert index[0, 1] is None
    assert index[1, 0] == ByteRange(9, 3)
    assert index[1, 1] == ByteRange(2**63, 5)
    assert type(index[1, 1].offset) is int
    assert len(index) == 4
    assert index.present.tolist() == [0, 2, 3]


def test_an_index_without_chunks_is_all_empty():
    """The empty index has an empty entry for every inner chunk."""
    index = ShardIndex.empty((2, 3))
    assert len(index) == 6
    assert index.present.size == 0
    assert all(index[i, j] is None for i in range(2) for j in range(3))


@pytest.mark.parametrize("coords", [(0, 3), (2, 0), (-1, 0), (0,), (0, 0, 0), ()])
def test_no_other_chunk_answers_for_one_that_is_not_there(coords):
    """Coordinates outside the shard are an error, never another chunk's entry."""
    with pytest.raises(SelectionError) as caught:
        ShardIndex.empty((2, 3))[coords]
    assert caught.value.reason == "selection_out_of_bounds"


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=6), st.integers(0, 130))
def test_faults_agree_with_python_integers(entries, shard_nbytes):
    """Vectorised checks say what the same checks on Python integers say: uint64 never wraps."""
    found = faults(np.array(entries, np.uint64), shard_nbytes)
    for at, (offset, nbytes) in enumerate(entries):
        expected = None
        if (offset == EMPTY) != (nbytes == EMPTY):
            expected = "entry_half_empty"
        elif offset == EMPTY:
            pass
        elif nbytes == 0:
            expected = "entry_zero_length"
        elif offset + nbytes > shard_nbytes:
            expected = "entry_out_of_bounds"
        assert [reason for reason, broken in found.items() if broken[at]] == [expected] * (
            expected is not None
        )


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ((0, 0), "entry_zero_length"),
        ((0, EMPTY), "entry_half_empty"),
        ((EMPTY, 8), "entry_half_empty"),
        ((EMPTY, 0), "entry_half_empty"),
        ((93, 8), "entry_out_of_bounds"),
        ((2**64 - 8, 8), "entry_out_of_bounds"),
        ((2**64 - 8, 9), "entry_out_of_bounds"),
        ((1, 2**64 - 2), "entry_out_of_bounds"),
        ((0, 101), "entry_out_of_bounds"),
    ],
)
def test_a_broken_entry_is_named(entry, reason):
    """The error has the reason, the inner chunk and the numbers; entries not asked for do not matter."""
    index = ShardIndex(np.array([[0, 4], [4, 96], entry, [EMPTY, EMPTY]], np.uint64), (2, 2))
    present, table = index.lookup(np.array([0, 1, 3]), shard_nbytes=100)
    assert present.tolist() == [True, True, False]
    assert table.tolist() == [[0, 4], [4, 96]]
    with pytest.raises(CorruptShardError) as caught:
        index.lookup(np.array([0, 1, 2]), shard_nbytes=100)
    assert caught.value.reason == reason
    assert caught.value.inner_chunk == (1, 0)
    assert str(entry[0]) in str(caught.value)
    assert str(entry[1]) in str(caught.value)


def test_bounds_are_not_guessed():
    """Where the shard's size is not known, no entry is out of bounds; the other faults still show."""
    assert _index((2**63, 2**40)).lookup(np.array([0]))[1].tolist() == [[2**63, 2**40]]
    with pytest.raises(CorruptShardError):
        _index((2**63, 0)).lookup(np.array([0]))


@pytest.mark.parametrize("nbytes", [0, 31, 33])
def test_bytes_that_are_no_index_are_undecodable(nbytes):
    """Who hands bytes of a wrong size to the codec alone is told that they are not an index."""
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    configuration = {"chunk_shape": [2], "codecs": [{"name": "bytes"}], "index_codecs": [little]}
    codec = ShardingCodec.from_metadata(configuration, shard_shape=(4,), dtype="u1", fill_value=0)
    with pytest.raises(CorruptShardError) as caught:
        codec.decode_index(bytes(nbytes))
    assert caught.value.reason == "index_undecodable"


@given(
    st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=5), st.integers(0, 200), st.integers(1, 200)
)
def test_sound_is_what_lookup_lets_through(entries, shard_nbytes, largest_nbytes):
    """Both say the same of any entries, near 2^64 too."""
    index = _index(*entries)
    try:
        everything = np.arange(len(entries))
        index.lookup(everything, shard_nbytes=shard_nbytes, largest_nbytes=largest_nbytes)
    except CorruptShardError:
        assert not index.is_sound(shard_nbytes, largest_nbytes)
    else:
        assert index.is_sound(shard_nbytes, largest_nbytes)


@pytest.mark.parametrize("counts", [(2**61,), (2**62,) * 4])
def test_an_index_that_fits_into_no_memory_is_refused(counts):
    """By an error that says so, as a chunk of such a size is."""
    with pytest.raises(SelectionError, match="fits into no memory") as caught:
        ShardIndex.empty(counts)
    assert caught.value.reason == "selection_invalid"
