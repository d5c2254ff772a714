"""Laying the chunks of a shard out anew: every chunk keeps its bytes, and nothing else stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.core.compaction import compact_index
from zarr_shard_codec.core.grid import CHUNK_ORDERS, write_order
from zarr_shard_codec.core.index import EMPTY, ShardIndex
from zarr_shard_codec.core.layout import lay_out

SIZE = 200
OLD = np.random.default_rng(0).integers(0, 256, SIZE, np.uint8)
ENTRIES = st.one_of(
    st.just((EMPTY, EMPTY)),
    st.tuples(st.integers(0, SIZE - 1), st.integers(1, 40)).map(lambda e: (e[0], min(e[1], SIZE - e[0]))),
)


def _index(entries, counts=None):
    table = np.array(entries, np.uint64).reshape(-1, 2)
    return ShardIndex(table, counts or (len(table),))


def _chunks(index, data):
    return {
        at: data[offset : offset + nbytes].tobytes()
        for at in index.present.tolist()
        for offset, nbytes in [index.entries[at].tolist()]
    }


@given(
    st.lists(ENTRIES, min_size=12, max_size=12),
    st.sampled_from([None, *CHUNK_ORDERS]),
    st.sampled_from([0, 68]),
)
def test_every_chunk_keeps_its_bytes(entries, order, first_offset):
    """Whatever ranges overlap, are shared or left unused; the new shard has no byte that nobody uses."""
    old = _index(entries, (3, 4))
    new = compact_index(old, first_offset=first_offset, order=order)
    pieces = [OLD[offset : offset + nbytes] for offset, nbytes in new.ranges.tolist()]
    data = np.concatenate([np.zeros(first_offset, np.uint8), *pieces])
    assert len(data) == first_offset + new.nbytes
    assert _chunks(new.index, data) == _chunks(old, OLD)
    used = np.zeros(len(data), bool)
    for offset, nbytes in new.index.entries[new.index.present].tolist():
        used[offset : offset + nbytes] = True
    assert used[first_offset:].all()
    assert not used[:first_offset].any()
    again = compact_index(new.index, first_offset=first_offset, order=order)
    assert np.array_equal(again.index.entries, new.index.entries)
    assert again.nbytes == new.nbytes


@pytest.mark.parametrize("order", CHUNK_ORDERS)
def test_chunks_stand_in_the_order_asked_for(order):
    """As if they had been written so."""
    sizes = np.arange(1, 17)
    old = lay_out(np.random.default_rng(1).permutation(16), sizes, (4, 4), first_offset=5)
    wanted = write_order(order, (4, 4))
    expected = lay_out(wanted, old.entries[wanted, 1].astype(np.int64), (4, 4), first_offset=0)
    new = compact_index(old, first_offset=0, order=order)
    assert np.array_equal(new.index.entries, expected.entries)


def test_neighbours_are_one_range():
    """A gap is skipped; what lies on either side is copied in one go each."""
    new = compact_index(_index([(0, 4), (4, 4), (12, 4), (16, 2)]), first_offset=0, order=None)
    assert new.ranges.tolist() == [[0, 8], [12, 6]]
    assert new.index.entries.tolist() == [[0, 4], [4, 4], [8, 4], [12, 2]]


def test_a_thousand_chunks_in_one_range_are_copied_once():
    """Sharing is kept: the new shard is no larger than the old one."""
    new = compact_index(_index([(100, 50)] * 1000), first_offset=0, order="morton")
    assert new.nbytes == 50
    assert (new.index.entries == [0, 50]).all()


def test_an_empty_index_needs_nothing():
    """No range, no byte."""
    new = compact_index(ShardIndex.empty((2, 2)), first_offset=16, order="lexicographic")
    assert (new.nbytes, len(new.ranges), len(new.index.present)) == (0, 0, 0)
