"""Where inner chunks and index lie in a shard, and how its bytes are used."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.core.index import EMPTY, ShardIndex
from zarr_shard_codec.core.layout import Usage, index_request, lay_out, usage
from zarr_shard_codec.core.ranges import ByteRange, Suffix


@pytest.mark.requirement("LOCATION-START", "LOCATION-END")
def test_index_request():
    """The index of a whole object is a prefix or a suffix; of a shard within one, a range in it."""
    assert index_request("end", 20, None) == Suffix(20)
    assert index_request("start", 20, None) == ByteRange(0, 20)
    assert index_request("end", 20, ByteRange(100, 50)) == ByteRange(130, 20)
    assert index_request("start", 20, ByteRange(100, 50)) == ByteRange(100, 20)


@given(st.lists(st.integers(1, 50), max_size=8), st.randoms(use_true_random=False), st.integers(0, 40))
def test_chunks_lie_one_behind_the_other(sizes, random, first_offset):
    """In the order given, without a gap, from the first offset on; all other entries are empty."""
    counts = (3, 4)
    linear = random.sample(range(12), len(sizes))
    index = lay_out(np.array(linear, np.int64), np.array(sizes, np.uint64), counts, first_offset=first_offset)
    at = first_offset
    for chunk, size in zip(linear, sizes, strict=True):
        assert index.entries[chunk].tolist() == [at, size]
        at += size
    assert index.present.tolist() == sorted(linear)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=6),
    st.sampled_from(["start", "end"]),
)
def test_usage_counts_bytes(ranges, location):
    """Unused and shared bytes are what counting one by one gives."""
    shard_nbytes, index_nbytes = 100, 16
    index = ShardIndex.empty((6,))
    times = np.zeros(shard_nbytes, int)
    for at, (offset, nbytes) in enumerate(ranges):
        index.entries[at] = offset, nbytes
        times[offset : offset + nbytes] += 1
    times[slice(0, 16) if location == "start" else slice(84, 100)] += 1
    assert usage(index, shard_nbytes, index_nbytes, location) == Usage(
        unused_nbytes=int((times == 0).sum()),
        shared_nbytes=int(np.maximum(times - 1, 0).sum()),
    )


def test_half_of_an_empty_entry_is_not_made():
    """Entries of chunks that are not laid out are wholly empty."""
    index = lay_out(np.array([], np.int64), np.array([], np.uint64), (2,), first_offset=7)
    assert (index.entries == EMPTY).all()
