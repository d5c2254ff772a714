"""Rows that no slice names are read as NumPy picks them, whatever the codecs, and no other chunk is read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.core.plans import IndexRequest, RangeTable, hold
from zarr_shard_codec.core.protocols import ChunkSpec
from zarr_shard_codec.core.selection import Picks, box_index, box_shape

SHAPE = (12, 8)
BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
TRANSPOSE = {"name": "transpose", "configuration": {"order": [1, 0]}}


def _sharding(chunk_shape, *codecs):
    index_codecs = [BYTES, {"name": "crc32c"}]
    configuration = {"chunk_shape": list(chunk_shape), "codecs": list(codecs), "index_codecs": index_codecs}
    return {"name": "sharding_indexed", "configuration": configuration}


CHAINS = {
    "one chunk": [BYTES, ZSTD],
    "plain": [_sharding((4, 4), BYTES)],
    "zstd": [_sharding((2, 8), BYTES, ZSTD)],
    "transposed": [_sharding((3, 2), TRANSPOSE, BYTES)],
    "transposed shard": [TRANSPOSE, _sharding((4, 3), BYTES)],
    "nested": [_sharding((6, 4), _sharding((3, 2), BYTES, ZSTD))],
}


@pytest.mark.parametrize("codecs", CHAINS.values(), ids=CHAINS)
@given(st.data())
def test_picks_are_numpys(codecs, data):
    """Any rows or columns, together with any range of the other axis, of chunks that are there or empty."""
    dtype = np.dtype("u2")
    chain = CodecChain.from_metadata(codecs, ChunkSpec(SHAPE, dtype, np.zeros((), dtype)))
    array = np.arange(1, 97, dtype=dtype).reshape(SHAPE)
    array[: data.draw(st.integers(0, 12))] = 0
    axis = data.draw(st.sampled_from([0, 1]))
    picked = data.draw(st.lists(st.integers(0, SHAPE[axis] - 1), min_size=1, unique=True).map(sorted))
    low, high = sorted(
        data.draw(st.lists(st.integers(0, SHAPE[1 - axis]), min_size=2, max_size=2, unique=True))
    )
    box = [range(low, high, data.draw(st.integers(1, 3)))]
    box.insert(axis, Picks(np.array(picked)))
    target = np.full(box_shape(box), 0xEEEE, dtype)
    with pytest.MonkeyPatch.context() as patch:
        # As of large shards: down to single chunks, or not at all.
        batch_nbytes = data.draw(st.sampled_from([1, 48, 1 << 20]))
        patch.setattr(CodecChain, "batch_nbytes", batch_nbytes)
        for job in hold(chain.plan_read(tuple(box), target, SHAPE), chain.encode(array)):
            for part in job.split():
                part.run()
    assert (target == array[box_index(box)]).all()


def test_chunks_between_picks_are_not_read():
    """Rows far apart cost their own chunks."""
    dtype = np.dtype("u2")
    chain = CodecChain.from_metadata(CHAINS["plain"], ChunkSpec(SHAPE, dtype, np.zeros((), dtype)))
    array = np.arange(1, 97, dtype=dtype).reshape(SHAPE)
    encoded = chain.encode(array)
    plan = chain.plan_read((Picks(np.array([1, 10])), range(2)), np.empty((2, 2), dtype), SHAPE)
    (index,) = next(plan)
    assert isinstance(index, IndexRequest)
    (asked,) = plan.send([encoded[-index.lies.nbytes :]])
    assert isinstance(asked, RangeTable)
    assert asked.table.tolist() == [[0, 32], [128, 32]]
