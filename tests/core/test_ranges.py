"""Merging byte ranges: the answers are the same, the knobs are kept, nothing is read that was not near."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.core.ranges import WHOLE, ByteRange, Suffix, merge

DATA = os.urandom(400)
RANGES = st.builds(ByteRange, st.integers(0, 450), st.integers(1, 60))
REQUESTS = st.lists(RANGES | st.just(WHOLE) | st.builds(Suffix, st.integers(1, 500)), max_size=12)


def _answer(request):
    if isinstance(request, ByteRange):
        return DATA[request.offset : request.offset + request.nbytes]
    return DATA[-request.nbytes :] if isinstance(request, Suffix) else DATA


@given(REQUESTS, st.integers(0, 100), st.integers(0, 300))
def test_merged_answers_are_the_answers(requests, largest_gap, largest_read):
    """Cut out of the merged answers, each request gets its own bytes, also where they end before it does."""
    merged, cuts = merge(requests, largest_gap=largest_gap, largest_read=largest_read)
    answers = [_answer(request) for request in merged]
    assert [bytes(cut.of(answers)) for cut in cuts] == [_answer(request) for request in requests]


@given(st.lists(RANGES, max_size=12), st.integers(0, 100), st.integers(0, 300))
def test_knobs_are_kept(requests, largest_gap, largest_read):
    """No merged read is too large, unless one range is; no byte is read but of a range or a gap."""
    merged, _ = merge(requests, largest_gap=largest_gap, largest_read=largest_read)
    largest = max((request.nbytes for request in requests), default=0)
    wanted = {at for request in requests for at in range(request.offset, request.offset + request.nbytes)}
    for read in merged:
        assert read.nbytes <= max(largest_read, largest)
        gap = 0
        for at in range(read.offset, read.offset + read.nbytes):
            gap = 0 if at in wanted else gap + 1
            assert gap <= largest_gap
    assert len(merged) <= len(requests)
    assert [read.offset for read in merged] == sorted(read.offset for read in merged)


def test_neighbours_become_one():
    """Ranges that touch, overlap or repeat are one read; those further apart than the knob are not."""
    ranges = [ByteRange(10, 10), ByteRange(0, 10), ByteRange(5, 3), ByteRange(10, 10), ByteRange(25, 5)]
    assert merge(ranges, largest_gap=0, largest_read=1000)[0] == [ByteRange(0, 20), ByteRange(25, 5)]
    assert merge(ranges, largest_gap=5, largest_read=1000)[0] == [ByteRange(0, 30)]
    assert merge(ranges, largest_gap=5, largest_read=20)[0] == [ByteRange(0, 20), ByteRange(25, 5)]


def test_huge_numbers_do_not_wrap():
    """Offsets are Python integers: near 2^64 they neither wrap nor meet those near 0."""
    ranges = [ByteRange(2**64 - 2, 8), ByteRange(0, 8), ByteRange(2**70, 2**70)]
    merged, _ = merge(ranges, largest_gap=100, largest_read=1 << 30)
    assert merged == [ByteRange(0, 8), ByteRange(2**64 - 2, 8), ByteRange(2**70, 2**70)]
