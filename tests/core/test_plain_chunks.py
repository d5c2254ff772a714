"""Chunks whose bytes are their elements: the same as decoding each, in few reads of few bytes."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.core import plain_chunks
from zarr_shard_codec.core.plain_chunks import PlainChunks
from zarr_shard_codec.core.projection import project
from zarr_shard_codec.core.selection import Picks


class Bytes:
    """An object in memory that writes down what is read from it: offset, and the size of each buffer."""

    def __init__(self, held):
        self.held, self.reads = held, []

    def read_into(self, offset, buffers):
        self.reads.append((offset, [len(buffer) for buffer in buffers]))
        for buffer in buffers:
            found = self.held[offset : offset + len(buffer)]
            if len(found) < len(buffer):
                return False
            buffer[:] = found
            offset += len(buffer)
        return True


def _stored(values, chunk_shape, order, gap=0):
    """An object that holds chunks in an order, and the grid of their offsets."""
    counts = [size // chunk for size, chunk in zip(values.shape, chunk_shape, strict=True)]
    offsets = np.zeros(counts, np.uint64)
    parts, at = [b"-" * 5], 5
    cells = list(product(*map(range, counts)))
    for cell in (cells[place] for place in order(len(cells))):
        chunk = values[tuple(slice(c * s, c * s + s) for c, s in zip(cell, chunk_shape, strict=True))]
        offsets[cell] = at
        parts += [chunk.tobytes(), b"-" * gap]
        at += chunk.nbytes + gap
    return Bytes(b"".join(parts)), offsets


def _copy(source, offsets, values, chunk_shape, box, largest_gap=0):
    axes = project(box, chunk_shape)
    target = np.full([len(wanted) for wanted in box], 77, values.dtype.newbyteorder("="))
    block = offsets[tuple(slice(axis.chunks.start, axis.chunks.stop) for axis in axes)]
    done = PlainChunks(tuple(chunk_shape), values.dtype).copy(
        source, block.reshape(-1).tolist(), axes, target, largest_gap=largest_gap
    )
    return done, target


def _firsts(wanted, size):
    """The first position of each chunk."""
    return {min(one for one in wanted if one // size == chunk) for chunk in {at // size for at in wanted}}


@st.composite
def _cases(draw):
    ndim = draw(st.integers(1, 3))
    chunk_shape = draw(st.tuples(*[st.integers(1, 5)] * ndim))
    counts = draw(st.tuples(*[st.integers(1, 4)] * ndim))
    box = []
    for chunk, count in zip(chunk_shape, counts, strict=True):
        low = draw(st.integers(0, chunk * count - 1))
        high = draw(st.integers(low + 1, chunk * count))
        box.append(range(low, high, draw(st.integers(1, chunk))))
    if draw(st.booleans()):  # a list along one axis, of neighbouring chunks
        at = draw(st.integers(0, ndim - 1))
        picked = draw(st.sets(st.sampled_from(box[at]), min_size=1))
        picked |= _firsts(box[at], chunk_shape[at])
        box[at] = Picks(np.array(sorted(picked)))
    return chunk_shape, [c * n for c, n in zip(chunk_shape, counts, strict=True)], box


@given(
    _cases(),
    st.sampled_from(["<u2", ">u2", "<f8", "u1"]),
    st.randoms(use_true_random=False),
    st.integers(0, 3),
    st.integers(0, 40),
    st.sampled_from([1, 40, 200, 1 << 19]),
)
def test_what_is_copied_is_what_the_chunks_hold(case, dtype, random, gap, largest_gap, slab_nbytes):
    """Bit for bit, whatever order chunks lie in, whatever is cut off, and however few are read at a time."""
    chunk_shape, shape, box = case
    values = np.random.default_rng(0).integers(0, 256, (*shape, np.dtype(dtype).itemsize), np.uint8)
    values = values.view(dtype)[..., 0]
    source, offsets = _stored(values, chunk_shape, lambda n: random.sample(range(n), n), gap)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain_chunks, "_SLAB_NBYTES", slab_nbytes)
        done, target = _copy(source, offsets, values, chunk_shape, box, largest_gap)
    assert done
    expected = values[np.ix_(*map(list, box))]
    assert target.tobytes() == expected.astype(expected.dtype.newbyteorder("=")).tobytes()


VALUES = np.arange(8 * 6 * 4, dtype="<u2").reshape(8, 6, 4)
CHUNK = (4, 2, 2)
NBYTES = 4 * 2 * 2 * 2
WHOLE = tuple(map(range, VALUES.shape))


def test_chunks_in_a_row_are_one_read():
    """All of a shard is one read; and of what is not, each stretch is one, wherever it goes."""
    source, offsets = _stored(VALUES, CHUNK, range)
    assert _copy(source, offsets, VALUES, CHUNK, WHOLE)[0]
    assert source.reads == [(5, [12 * NBYTES])]
    source.reads.clear()
    assert _copy(source, offsets, VALUES, CHUNK, (range(8), range(2, 6), range(4)))[0]
    assert source.reads == [(5 + 2 * NBYTES, [4 * NBYTES]), (5 + 8 * NBYTES, [4 * NBYTES])]


def test_chunks_in_another_order_are_one_read_too():
    """Each goes to its place at once: a buffer for each."""
    source, offsets = _stored(VALUES, CHUNK, lambda n: range(n)[::-1])
    done, target = _copy(source, offsets, VALUES, CHUNK, WHOLE)
    assert done
    assert np.array_equal(target, VALUES)
    assert source.reads == [(5, [NBYTES] * 12)]


@pytest.mark.parametrize(("largest_gap", "start", "n_rows"), [(0, 1, 2), (15, 1, 2), (16, 0, 4)])
def test_rows_at_the_ends_that_nobody_wants_are_not_read(largest_gap, start, n_rows):
    """Unless they are few bytes: a read of its own would cost more."""
    source, offsets = _stored(VALUES, CHUNK, range)
    done, target = _copy(source, offsets, VALUES, CHUNK, (range(5, 7), range(2), range(2)), largest_gap)
    assert done
    assert np.array_equal(target, VALUES[5:7, :2, :2])
    row_nbytes = NBYTES // 4
    assert source.reads == [(int(offsets[1, 0, 0]) + start * row_nbytes, [n_rows * row_nbytes])]


def test_an_object_that_ends_too_soon_is_seen():
    """At the last byte, whichever chunk it is of."""
    source, offsets = _stored(VALUES, CHUNK, range)
    source.held = source.held[:-1]
    assert not _copy(source, offsets, VALUES, CHUNK, WHOLE)[0]
    assert _copy(source, offsets, VALUES, CHUNK, (range(8), range(4), range(4)))[0]
