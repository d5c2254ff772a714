"""Dask: blocks smaller than a shard, stored by several workers at once."""

import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster, Lock

import zarr_shard_codec as zsc


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("lock", ["auto", Lock])
def test_blocks_that_share_shards_are_all_there(tmp_path, lock):
    """With our locks, and with Dask's own for each shard: no block is lost."""
    array = zsc.create(
        tmp_path, shape=(48, 48), dtype="u2", shard_shape=(24, 24), inner_chunk_shape=(8, 8), lock=lock
    )
    values = np.arange(48 * 48, dtype="u2").reshape(48, 48)
    blocks = da.from_array(values, chunks=(5, 7))
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None, protocol="tcp"
        ) as cluster,
        Client(cluster),
    ):
        da.store(blocks, array, lock=False)
    assert (zsc.open(tmp_path)[...] == values).all()
