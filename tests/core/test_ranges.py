"""Merging byte ranges: the answers are the same, the knobs are kept, nothing is read that was not near."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.core.pieces import Runs
from zarr_shard_codec.core.ranges import WHOLE, ByteRange, Coalescing, Suffix, merge

DATA = os.urandom(400)
RANGES = st.builds(ByteRange, st.integers(0, 450), st.integers(1, 60))
REQUESTS = st.lists(RANGES | st.just(WHOLE) | st.builds(Suffix, st.integers(1, 500)), max_size=12)


def _answer(request):
    if isinstance(request, ByteRange):
        return DATA[request.offset : request.offset + request.nbytes]
    return DATA[-request.nbytes :] if isinstance(request, Suffix) else DATA


def _table(ranges):
    return np.array(ranges, np.uint64)


def _runs(ranges, coalescing):
    return Runs.over(_table(ranges), coalescing).reads if ranges else []


@given(REQUESTS, st.integers(0, 100), st.integers(0, 300))
def test_merged_answers_are_the_answers(requests, largest_gap, largest_read):
    """Cut out of the merged answers, each request gets its own bytes, also where they end before it does."""
    merged, cuts = merge(requests, Coalescing(largest_gap, largest_read))
    answers = [_answer(request) for request in merged]
    assert [bytes(cut.of(answers)) for cut in cuts] == [_answer(request) for request in requests]


@given(st.lists(RANGES, min_size=1, max_size=12), st.integers(0, 100), st.integers(0, 300))
def test_tables_are_answered_likewise(requests, largest_gap, largest_read):
    """Buffers of their own, or one for all: each range gets its own bytes of either."""
    runs = Runs.over(_table(requests), Coalescing(largest_gap, largest_read))
    buffers = [_answer(read) for read in runs.reads]
    assert [bytes(part) for part in runs.parts(buffers)] == [_answer(request) for request in requests]
    joined = b"".join(
        buffer.ljust(read.nbytes, b"-") for buffer, read in zip(buffers, runs.reads, strict=True)
    )
    for part, request in zip(runs.segments(joined), requests, strict=True):
        assert bytes(part) == _answer(request).ljust(request.nbytes, b"-")


@pytest.mark.parametrize("merged_by", [merge, lambda *given: (_runs(*given), None)], ids=["few", "table"])
@given(st.lists(RANGES, max_size=12), st.integers(0, 100), st.integers(0, 300))
def test_knobs_are_kept(merged_by, requests, largest_gap, largest_read):
    """No merged read is too large, unless one range is; no byte is read but of a range or a gap."""
    merged, _ = merged_by(requests, Coalescing(largest_gap, largest_read))
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


@pytest.mark.parametrize("reads", [lambda *given: merge(*given)[0], _runs], ids=["few", "table"])
def test_neighbours_become_one(reads):
    """Ranges that touch, overlap or repeat are one read; those further apart than the knob are not."""
    ranges = [ByteRange(10, 10), ByteRange(0, 10), ByteRange(5, 3), ByteRange(10, 10), ByteRange(25, 5)]
    assert reads(ranges, Coalescing(0, 1000)) == [ByteRange(0, 20), ByteRange(25, 5)]
    assert reads(ranges, Coalescing(5, 1000)) == [ByteRange(0, 30)]
    assert len(reads(ranges, Coalescing(5, 20))) > 1


def test_huge_numbers_do_not_wrap():
    """Offsets are Python integers: near 2^64 they neither wrap nor meet those near 0."""
    ranges = [ByteRange(2**64 - 2, 8), ByteRange(0, 8), ByteRange(2**70, 2**70)]
    merged, _ = merge(ranges, Coalescing(100, 1 << 30))
    assert merged == [ByteRange(0, 8), ByteRange(2**64 - 2, 8), ByteRange(2**70, 2**70)]


def test_huge_numbers_of_a_table_do_not_wrap():
    """Entries are what a file says: 64-bit integers, of which neither a sum nor a difference wraps."""
    ranges = [ByteRange(2**64 - 10, 8), ByteRange(0, 8), ByteRange(2**63, 2**62)]
    assert _runs(ranges, Coalescing(100, 1 << 30)) == [ranges[1], ranges[2], ranges[0]]
