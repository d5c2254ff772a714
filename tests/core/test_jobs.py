"""Jobs: however a block of chunks is cut and worked on, what comes out is what chunk by chunk gives."""

from __future__ import annotations

from itertools import product
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core.jobs import DecodeGrid, EncodeJob, UpdateJob
from zarr_shard_codec.core.pieces import Parts
from zarr_shard_codec.core.projection import project
from zarr_shard_codec.core.protocols import ChunkSpec
from zarr_shard_codec.core.selection import box_index
from zarr_shard_codec.errors import CorruptShardError

BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
ZSTD = {"name": "zstd", "configuration": {"level": 0, "checksum": False}}
UNTOUCHED = 0xEEEE
BROKEN = b"broken"


class PlainCoder:
    """Chunks of uint16 as they lie in memory; `BROKEN` cannot be decoded."""

    def __init__(self, chunk_shape, batch_nbytes, *, batches=True):
        self.spec = ChunkSpec(chunk_shape, np.dtype("u2"), np.zeros((), "u2"))
        self.batch_nbytes = batch_nbytes
        self.batches = batches
        self.decodes_fast = True

    def decode(self, encoded):
        """One chunk."""
        if encoded == BROKEN:
            raise CorruptShardError("inner_chunk_undecodable", "broken")
        return np.frombuffer(encoded, "u2").reshape(self.spec.shape)

    def decode_many(self, encoded):
        """All, unless one is broken."""
        if not self.batches or BROKEN in list(encoded):
            return None
        return np.stack([self.decode(each) for each in encoded])

    def encode_many(self, chunks):
        """Each."""
        assert chunks.flags.c_contiguous
        return Parts([chunk.tobytes() for chunk in chunks])

    def update(self, old, box, value, bounds):
        """Never good."""
        raise CorruptShardError("inner_chunk_undecodable", f"{old} {box} {value} {bounds}")


def _wanted(size):
    return st.builds(
        lambda low, high, step: range(min(low, high), max(low, high) + 1, step),
        st.integers(0, size - 1),
        st.integers(0, size - 1),
        st.integers(1, 5),
    )


@st.composite
def decode_jobs(draw):
    """A job over the chunks of a random box, with what its target must become."""
    ndim = draw(st.integers(0, 3))
    counts = tuple(draw(st.lists(st.integers(1, 4), min_size=ndim, max_size=ndim)))
    chunk_shape = tuple(draw(st.lists(st.integers(1, 3), min_size=ndim, max_size=ndim)))
    shard_shape = [count * size for count, size in zip(counts, chunk_shape, strict=True)]
    coder = PlainCoder(chunk_shape, draw(st.integers(1, 80)), batches=draw(st.booleans()))
    n_chunks = int(np.prod(counts, dtype=int))
    missing = draw(st.sets(st.integers(0, n_chunks - 1)) | st.just(set()))
    cells = np.array(draw(st.permutations(range(n_chunks))), np.int64)
    cells[list(missing)] = -1
    cells = cells.reshape(counts)
    chunks = np.arange(n_chunks * int(np.prod(chunk_shape, dtype=int)), dtype="u2")
    chunks = chunks.reshape(n_chunks, *chunk_shape)
    whole = np.full(shard_shape, UNTOUCHED, "u2")
    for place in product(*map(range, counts)):
        if cells[place] >= 0:
            land = tuple(slice(at * n, (at + 1) * n) for at, n in zip(place, chunk_shape, strict=True))
            whole[land] = chunks[cells[place]]
    box = tuple(draw(_wanted(size)) for size in shard_shape)
    axes = project(box, chunk_shape)
    # The target is a view: of memory in another order of axes, back to front, with holes.
    order = draw(st.permutations(range(ndim)))
    memory = np.full([2 * len(box[axis]) for axis in order], UNTOUCHED, "u2")
    steps = draw(st.lists(st.sampled_from([2, -2]), min_size=ndim, max_size=ndim))
    target = memory[(*(slice(None, None, step) for step in steps), ...)].transpose(np.argsort(order))
    encoded = Parts([chunk.tobytes() for chunk in chunks])
    touched = cells[np.ix_(*(axis.coords() for axis in axes))] if ndim else cells
    return DecodeGrid(coder, encoded, touched, axes, target), memory, whole[box_index(box)]


@given(decode_jobs())
def test_a_decode_job_gives_what_its_chunks_one_by_one_give(case):
    """Batches of any size, missing chunks, steps, and any strides of the target: the same elements."""
    job, memory, expected = case
    job.run()
    assert np.array_equal(job.target, expected)
    assert np.count_nonzero(memory != UNTOUCHED) == np.count_nonzero(expected != UNTOUCHED)


@given(decode_jobs())
def test_split_covers_every_chunk_once_in_c_order(case):
    """The parts' chunks are the job's, in its order, no part larger than a batch unless it is one chunk."""
    job, _, _ = case
    parts = list(job.split())
    chunks = [cell for part in parts for cell in part.cells.ravel().tolist()]
    assert sorted(chunks) == sorted(job.cells.ravel().tolist())
    assert all(part.nbytes <= job.coder.batch_nbytes or part.cells.size == 1 for part in parts)
    places = np.arange(job.cells.size).reshape(job.cells.shape)
    firsts = [places[_place(job, [axis.coords()[0] for axis in part.axes])] for part in parts]
    assert np.array_equal(firsts, np.cumsum([0, *(part.cells.size for part in parts)])[:-1])


def _place(job, coords):
    return tuple(list(axis.coords()).index(at) for axis, at in zip(job.axes, coords, strict=True))


@given(decode_jobs(), st.data())
def test_a_broken_chunk_is_named_whatever_the_batch(case, data):
    """The error has the coordinates in the shard of the chunk that is broken, not of its batch."""
    job, _, _ = case
    at = data.draw(st.integers(0, job.cells.size - 1))
    job.encoded.buffers[at] = BROKEN
    places = np.argwhere(job.cells == at).tolist()
    if not places:  # nobody asks for that one
        job.run()
        return
    with pytest.raises(CorruptShardError) as caught:
        job.run()
    assert _place(job, caught.value.inner_chunk) == tuple(places[0])


@given(st.data())
def test_an_encode_job_leaves_out_fill_value_alone(data):
    """Every other chunk comes once, with its linear index; also where the value is one element, repeated."""
    ndim = data.draw(st.integers(0, 3))
    counts = tuple(data.draw(st.lists(st.integers(1, 4), min_size=ndim, max_size=ndim)))
    chunk_shape = tuple(data.draw(st.lists(st.integers(1, 3), min_size=ndim, max_size=ndim)))
    shape = tuple(count * size for count, size in zip(counts, chunk_shape, strict=True))
    if data.draw(st.booleans()):
        value = np.broadcast_to(np.uint16(data.draw(st.integers(0, 1))), shape)
    else:
        n_elements = int(np.prod(shape, dtype=int))
        bits = data.draw(st.integers(0, 2**n_elements - 1) | st.just(0))
        value = np.array([bits >> at & 1 for at in range(n_elements)], "u2").reshape(shape)
    job = EncodeJob(
        PlainCoder(chunk_shape, data.draw(st.integers(1, 80))),
        value,
        np.arange(int(np.prod(counts, dtype=int))).reshape(counts) + 7,
    )
    found = {}
    for part in job.split():
        linear, encoded = part.run()
        found |= dict(zip(linear.tolist(), map(bytes, encoded), strict=True))
    expected = {}
    for linear, place in enumerate(product(*map(range, counts)), start=7):
        land = tuple(slice(at * n, (at + 1) * n) for at, n in zip(place, chunk_shape, strict=True))
        if value[land].any():
            expected[linear] = value[land].tobytes()
    assert found == expected


def test_an_update_job_names_its_chunk():
    """What is wrong with the old chunk is said with its coordinates."""
    job = UpdateJob(PlainCoder((2,), 1), BROKEN, (range(1),), np.ones(1, "u2"), (2,), 5, (5,))
    assert list(job.split()) == [job]
    with pytest.raises(CorruptShardError) as caught:
        job.run()
    assert caught.value.inner_chunk == (5,)


def _selection(size):
    return st.slices(size) | st.integers(-size, size - 1)


@given(
    st.sampled_from([[BYTES], [BYTES, ZSTD]]),
    st.integers(1, 64),
    st.tuples(_selection(12), _selection(8)),
    st.sets(st.tuples(st.integers(0, 3), st.integers(0, 3))),
)
def test_a_selection_of_a_shard_is_numpys_whatever_the_batch(codecs, batch_nbytes, selection, empty):
    """Steps, also negative ones, empty chunks, and batches down to one chunk and less."""
    shard = ShardingCodec.from_metadata(
        {"chunk_shape": [3, 2], "codecs": codecs, "index_codecs": [BYTES], "index_location": "end"},
        shard_shape=(12, 8),
        dtype="u2",
    )
    whole = np.arange(1, 97, dtype="u2").reshape(12, 8)
    for row, column in empty:
        whole[3 * row : 3 * row + 3, 2 * column : 2 * column + 2] = 0
    with patch.object(CodecChain, "batch_nbytes", batch_nbytes):
        encoded = shard.encode(whole)
        found = shard.decode(encoded, selection)
    assert np.array_equal(found, whole[selection])
    assert np.shape(found) == np.shape(whole[selection])


def test_an_empty_chunk_as_large_as_a_batch_stays_empty():
    """Once, the chunk cut off alone was taken for the last one in the shard."""
    shard = ShardingCodec.from_metadata(
        {"chunk_shape": [1 << 20], "codecs": [BYTES, ZSTD], "index_codecs": [BYTES], "index_location": "end"},
        shard_shape=(3 << 20,),
        dtype="u1",
    )
    whole = np.zeros(3 << 20, "u1")
    whole[2 << 20 :] = 7
    assert np.array_equal(shard.decode(shard.encode(whole)), whole)
