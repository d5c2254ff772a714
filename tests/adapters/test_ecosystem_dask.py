"""Dask over zarr-python with `enable()`: blocks smaller than a shard lose nothing, in threads or processes.

The host alone loses most of what such blocks write (zarr-python's issue 3682): each of them reads the shard,
changes its part and writes it back, while others do the same.
"""

import dask.array as da
import numpy as np
import pytest
import zarr
from distributed import Client, LocalCluster, Lock

import zarr_shard_codec as zsc
from zarr_shard_codec.adapters.zarr_python import ShardPipeline

DATA = np.random.default_rng(7).integers(1, 2**31, (128, 128), "i4")
HOST = {"codec_pipeline.path": zarr.config.defaults[0]["codec_pipeline"]["path"]}


def _create(path, **options):
    shapes = {"chunks": (16, 16), "shards": (128, 128)} | options
    return zarr.create_array(path, shape=DATA.shape, dtype=DATA.dtype, fill_value=0, **shapes)


def _store_blocks(array, block_shape, **options):
    """Write the data into an array, one task a block, as many at once as the scheduler likes."""
    da.store(da.from_array(DATA, chunks=block_shape), array, lock=False, **options)


@pytest.mark.parametrize("block_shape", [(16, 16), (8, 128), (37, 11), (128, 128)])
def test_threads_lose_nothing(tmp_path, block_shape):
    """Blocks of one inner chunk, of parts of several, across them, and a whole shard."""
    with zsc.enable():
        array = _create(tmp_path / "a")
        _store_blocks(array, block_shape, scheduler="threads", num_workers=8)
        np.testing.assert_array_equal(array[:], DATA)
    with zarr.config.set(HOST):
        np.testing.assert_array_equal(zarr.open_array(tmp_path / "a")[:], DATA)


def test_the_host_alone_loses_data(tmp_path):
    """What the test above does, without us: some of ten runs (all of them, in practice) lose data."""
    for run in range(10):
        array = _create(tmp_path / str(run))
        _store_blocks(array, (16, 16), scheduler="threads", num_workers=8)
        if (array[:] != DATA).any():
            return
    pytest.fail("zarr-python does not lose data any more: is a lock of ours still needed?")


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes of two threads each, on loopback, which know nothing of `enable()`."""
    addresses = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with (
        LocalCluster(n_workers=2, threads_per_worker=2, processes=True, **addresses) as running,
        Client(running) as client,
    ):
        yield client


def test_processes_lose_nothing(tmp_path, cluster):
    """An array that was opened under `enable()` takes our pipeline along: workers need no setting."""
    with zsc.enable():
        array = _create(tmp_path / "a")
        _store_blocks(array, (16, 16), scheduler=cluster)
        np.testing.assert_array_equal(array[:], DATA)


@pytest.mark.parametrize("lock", ["auto", Lock])
def test_processes_write_as_enable_was_told(tmp_path, cluster, lock):
    """Strategy and locks travel with the array: workers append, and make no lock file beside Dask's locks."""
    with zsc.enable(write_strategy="append", lock=lock):
        array = _create(tmp_path / "a")
        array[:] = 1
        (tmp_path / "a/.zsc-lock").unlink(missing_ok=True)
        before = (tmp_path / "a/c/0/0").stat()
        _store_blocks(array, (24, 48), scheduler=cluster)
    after = (tmp_path / "a/c/0/0").stat()
    assert after.st_ino == before.st_ino
    assert after.st_size > 2 * before.st_size
    assert (tmp_path / "a/.zsc-lock").exists() == (lock == "auto")
    np.testing.assert_array_equal(array[:], DATA)


def test_processes_read_what_they_are_asked(tmp_path, cluster):
    """`from_zarr` in worker processes, blocks across shards."""
    with zsc.enable():
        array = _create(tmp_path / "a", shards=(64, 32))
        array[:] = DATA
        found = da.from_zarr(array, chunks=(37, 50))
        np.testing.assert_array_equal(found[5:100:3].compute(scheduler=cluster), DATA[5:100:3])


def test_to_zarr_and_from_zarr(tmp_path):
    """`to_zarr(shards=…)`, whose blocks are by default no whole shards, and `from_zarr`."""
    with zsc.enable():
        options = {"chunks": (16, 16), "shards": (64, 64), "fill_value": 0}
        da.to_zarr(da.from_array(DATA, chunks=(16, 16)), tmp_path / "a", **options)
        array = zarr.open_array(tmp_path / "a")
        assert isinstance(array.async_array.codec_pipeline, ShardPipeline)
        assert (array.chunks, array.shards) == ((16, 16), (64, 64))
        np.testing.assert_array_equal(da.from_zarr(tmp_path / "a").compute(), DATA)
        np.testing.assert_array_equal(da.from_zarr(array)[3:70, ::7].compute(), DATA[3:70, ::7])


def test_to_zarr_into_an_array_aligns_its_blocks(tmp_path):
    """Dask sees the shards of our arrays as it sees the host's, and writes them whole, one task each."""
    with zsc.enable():
        array = _create(tmp_path / "a", shards=(64, 64))
        graph = da.to_zarr(da.from_array(DATA, chunks=(16, 16)), array, compute=False)
        graph.compute(scheduler="threads")
        np.testing.assert_array_equal(array[:], DATA)


def test_a_broken_shard_is_a_typed_error_in_every_scheduler(tmp_path, cluster):
    """Our error comes back from threads and from worker processes, its reason and key with it."""
    with zsc.enable():
        array = _create(tmp_path / "a")
        array[:] = DATA
        (tmp_path / "a/c/0/0").write_bytes(b"no shard")
        for scheduler in ("threads", cluster):
            with pytest.raises(zsc.CorruptShardError) as caught:
                da.from_zarr(array).compute(scheduler=scheduler)
            assert caught.value.reason == "shard_too_short"
            assert caught.value.key.endswith("c/0/0")
