"""Pieces: chunks from several places, lined up as a simple model does it, and joined without a copy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.core.pieces import Extent, Parts, Segments, Stored, read_parts, splice
from zarr_shard_codec.core.ranges import ByteRange, Coalescing
from zarr_shard_codec.errors import CorruptShardError

CHUNKS = st.binary(min_size=1, max_size=5)


def _buffers(draw, data):
    return draw(st.sampled_from([data, bytearray(data), memoryview(b"x" + data)[1:]]))


@st.composite
def segments(draw, n_chunks):
    """That many slices of one buffer: apart, touching, overlapping or equal."""
    buffer = draw(st.binary(min_size=1, max_size=12))
    table = np.zeros((n_chunks, 2), np.uint64)
    end = 0
    for at in range(n_chunks):
        follows = end < len(buffer) and draw(st.booleans())
        offset = end if follows else draw(st.integers(0, len(buffer) - 1))
        table[at] = offset, draw(st.integers(1, len(buffer) - offset))
        end = int(table[at].sum())
    return Segments(_buffers(draw, buffer), table)


class Held:
    """An object that is open."""

    def __init__(self, data):
        self.data = data

    def read_joined(self, ranges):
        """All of them one behind the other; None if some are missing."""
        found = b"".join(self.data[offset : offset + nbytes] for offset, nbytes in ranges)
        return found if len(found) == sum(nbytes for _, nbytes in ranges) else None


@st.composite
def stored(draw, n_chunks):
    """The same slices, of an object that nobody has read."""
    made = draw(segments(n_chunks))
    return Stored(Held(bytes(made.buffer)), made.table, Coalescing(0, 1 << 20))


@st.composite
def parts(draw, n_chunks):
    """That many buffers."""
    chunks = draw(st.lists(CHUNKS, min_size=n_chunks, max_size=n_chunks))
    return Parts([_buffers(draw, chunk) for chunk in chunks])


@st.composite
def groups(draw):
    """Chunks of a shard, each once, in groups from several places; and how many the shard can have."""
    n_chunks = draw(st.integers(1, 16))
    chosen = draw(st.permutations(range(n_chunks)))[: draw(st.integers(1, n_chunks))]
    cuts = sorted(draw(st.lists(st.integers(0, len(chosen)), max_size=3)))
    made = []
    for low, high in zip([0, *cuts], [*cuts, len(chosen)], strict=True):
        linear = np.array(chosen[low:high], np.int64)
        made.append((linear, draw(segments(high - low) | parts(high - low) | stored(high - low))))
    return n_chunks, made


def _bytes(pieces):
    if isinstance(pieces, Stored):
        pieces = pieces.take(np.arange(len(pieces)))
    return [bytes(each) for each in pieces]


@given(groups(), st.data())
def test_splice_lines_chunks_up_as_a_dictionary_does(case, data):
    """In any order of chunks, the indices, the sizes and all bytes are those of the chunks one by one."""
    n_chunks, made = case
    model = {
        at: chunk
        for linear, pieces in made
        for at, chunk in zip(linear.tolist(), _bytes(pieces), strict=True)
    }
    order = data.draw(st.none() | st.permutations(range(n_chunks)).map(np.array))
    sequence = [at for at in (range(n_chunks) if order is None else order.tolist()) if at in model]
    linear, nbytes, found = splice(made, order)
    assert linear.tolist() == sequence
    assert nbytes.tolist() == [len(model[at]) for at in sequence]
    assert b"".join(read_parts(found)) == b"".join(model[at] for at in sequence)


@given(groups())
def test_splice_joins_what_touches_and_copies_nothing(case):
    """A part more for each place where chunks do not follow each other in one source; views, or unread."""
    _, made = case
    places = {}
    for source, (linear, pieces) in enumerate(made):
        for position, at in enumerate(linear.tolist()):
            if not isinstance(pieces, Parts):
                offset, nbytes = pieces.table[position].tolist()
                places[at] = source, offset, offset + nbytes
            else:
                places[at] = source, position, None
    sequence = [places[at] for at in sorted(places)]
    expected = 1 + sum(one[2] is None or (one[0], one[2]) != other[:2] for one, other in pairwise(sequence))
    _, _, found = splice(made, None)
    assert len(found) == expected
    sources = [
        np.frombuffer(buffer, np.uint8)
        for _, pieces in made
        if not isinstance(pieces, Stored)
        for buffer in ([pieces.buffer] if isinstance(pieces, Segments) else pieces.buffers)
    ]
    for buffer in (one for one in found if not isinstance(one, Extent)):
        assert any(np.shares_memory(np.frombuffer(buffer, np.uint8), source) for source in sources)


def test_bytes_that_are_gone_before_they_are_read_are_an_error():
    """A part of an object that was cut short is not made up."""
    assert read_parts([b"ab", Extent(Held(b"0123"), ByteRange(1, 3))]) == [b"ab", b"123"]
    with pytest.raises(CorruptShardError) as caught:
        read_parts([Extent(Held(b"0123"), ByteRange(1, 4))])
    assert caught.value.reason == "object_changed"


def test_a_shard_that_stays_as_it_is_is_one_buffer():
    """A million chunks one behind the other need no Python for each."""
    n_chunks = 100_000
    table = np.stack([np.arange(n_chunks) * 3, np.full(n_chunks, 3)], 1).astype(np.uint64)
    buffer = bytes(3 * n_chunks)
    linear, nbytes, buffers = splice([(np.arange(n_chunks), Segments(buffer, table))], None)
    assert len(linear) == len(nbytes) == n_chunks
    assert [len(each) for each in buffers] == [3 * n_chunks]


@given(st.integers(1, 6).flatmap(lambda n: segments(n) | parts(n)), st.data())
def test_the_two_forms_are_sequences_of_the_same_chunks(pieces, data):
    """Length, items, iteration and choice agree; what lies in a row, in equal sizes, is joined for free."""
    chunks = _bytes(pieces)
    assert len(pieces) == len(chunks)
    assert [bytes(pieces[at]) for at in range(len(chunks))] == chunks
    chosen = np.array(data.draw(st.lists(st.integers(0, len(chunks) - 1))), np.int64)
    taken = pieces.take(chosen)
    assert type(taken) is type(pieces)
    assert _bytes(taken) == [chunks[at] for at in chosen]
    size = data.draw(st.sampled_from([len(chunks[0]), 1, 2]))
    joined = taken.joined(size)
    if joined is not None:
        assert bytes(joined) == b"".join(_bytes(taken))
        assert {len(each) for each in taken} == {size}


def test_equal_chunks_in_a_row_are_joined():
    """From wherever they begin."""
    table = np.array([[2, 3], [5, 3], [8, 3]], np.uint64)
    segments = Segments(b"..abcdefghi.", table)
    assert segments.joined(3) == b"abcdefghi"
    assert segments.joined(2) is None
    assert segments.take(np.array([1, 0])).joined(3) == b"defabc"  # one copy for all
    assert segments.take(np.array([2, 0, 0])).joined(3) == b"ghiabcabc"
    beside = Segments(b"abcdefghi", np.array([[0, 3], [4, 3]], np.uint64))
    assert beside.joined(3) is None
    assert segments.take(np.array([], np.int64)).joined(3) is None
    assert Parts([b"abc"]).joined(3) == b"abc"
    assert Parts([b"abc"]).joined(2) is None
