"""xarray over zarr-python with `enable()`: sharded variables round-trip; what xarray refuses is said here.

xarray wants each Dask block to hold whole shards, as the host alone would lose data otherwise. A user has
three ways: blocks of whole shards; `align_chunks=True`, with which xarray makes such blocks; or, under
`enable()` and on local files, `safe_chunks=False`: writers of one shard take turns then.
"""

import numpy as np
import pytest
import xarray as xr
import zarr

import zarr_shard_codec as zsc
from zarr_shard_codec.adapters.zarr_python import ShardPipeline, writing

DATA = np.random.default_rng(6).standard_normal((100, 90)).astype("f4")
ENCODING = {"t": {"chunks": (16, 16), "shards": (64, 48)}}


@pytest.fixture(autouse=True)
def writes(monkeypatch):
    """All tests here run with `enable()`; what our engine wrote is counted."""
    count = []
    write = writing.write_objects

    def counted(*arguments, **options):
        count.append(1)
        write(*arguments, **options)

    monkeypatch.setattr(writing, "write_objects", counted)
    with zsc.enable():
        yield count


@pytest.fixture
def dataset():
    """One sharded variable, and one of strings, which is none of ours."""
    DATA[3, 3] = np.nan
    names = np.array([f"row {at}" for at in range(100)], dtype="U8")
    return xr.Dataset(
        {"t": (("y", "x"), DATA, {"units": "K"})}, coords={"y": np.arange(100.0), "name": ("y", names)}
    ).drop_vars("name")


def _write(dataset, path, **options):
    return dataset.to_zarr(path, **{"zarr_format": 3, "consolidated": False, "encoding": ENCODING} | options)


def _open(path, **options):
    return xr.open_zarr(path, consolidated=False, **options)


def test_a_dataset_comes_back(dataset, tmp_path, writes):
    """Values, attributes, coordinates and encoding; with us, and with the host alone."""
    _write(dataset, tmp_path / "a")
    assert writes
    with _open(tmp_path / "a") as found:
        xr.testing.assert_identical(found.load(), dataset)
        assert (found.t.encoding["shards"], found.t.encoding["chunks"]) == ((64, 48), (16, 16))
        xr.testing.assert_identical(
            found.isel(y=slice(5, 70, 3), x=[3, 60, 61]), found.load().isel(y=slice(5, 70, 3), x=[3, 60, 61])
        )
    with zarr.config.set({"codec_pipeline.path": zarr.config.defaults[0]["codec_pipeline"]["path"]}):
        assert not isinstance(zarr.open_array(tmp_path / "a/t").async_array.codec_pipeline, ShardPipeline)
        with _open(tmp_path / "a") as found:
            xr.testing.assert_identical(found.load(), dataset)


def test_the_same_files_as_without_us(dataset, tmp_path):
    """Metadata is what xarray and zarr-python write by themselves, byte for byte."""
    _write(dataset, tmp_path / "a")
    with zarr.config.set({"codec_pipeline.path": zarr.config.defaults[0]["codec_pipeline"]["path"]}):
        _write(dataset, tmp_path / "b")
    documents = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("zarr.json"))
    assert len(documents) == 3
    for name in documents:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_blocks_smaller_than_shards_are_refused_by_xarray(dataset, tmp_path):
    """It checks before anything is written; its message says what to pass."""
    with pytest.raises(ValueError, match="safe_chunks"):
        _write(dataset.chunk(y=16, x=16), tmp_path / "a")


@pytest.mark.parametrize(
    ("chunks", "options"),
    [
        ({"y": 64, "x": 48}, {}),
        ({"y": 128, "x": 96}, {}),
        ({"y": 16, "x": 16}, {"align_chunks": True}),
        ({"y": 16, "x": 16}, {"safe_chunks": False}),
        ({"y": 37, "x": 11}, {"safe_chunks": False}),
    ],
    ids=["shards", "several shards", "align_chunks", "safe_chunks=False", "across shards"],
)
def test_dask_blocks_of_any_size_come_back(dataset, tmp_path, chunks, options, writes):
    """Whole shards; blocks that xarray aligns; blocks that write one shard at the same time."""
    _write(dataset.chunk(chunks), tmp_path / "a", **options)
    assert writes
    with _open(tmp_path / "a") as found:
        xr.testing.assert_identical(found.load(), dataset)


def test_regions_of_a_shard_are_written(dataset, tmp_path):
    """`region=` over part of a shard changes that part and nothing else."""
    _write(dataset, tmp_path / "a")
    part = dataset[["t"]].isel(y=slice(10, 30), x=slice(5, 50)).drop_vars("y") + 1
    region = {"y": slice(10, 30), "x": slice(5, 50)}
    part.to_zarr(tmp_path / "a", region=region, consolidated=False)
    dataset.t[10:30, 5:50] += 1
    with _open(tmp_path / "a") as found:
        np.testing.assert_array_equal(found.t, dataset.t)


def test_datasets_are_appended_to(dataset, tmp_path):
    """`append_dim=` lengthens an array within a shard."""
    _write(dataset.isel(y=slice(0, 40)), tmp_path / "a")
    dataset.isel(y=slice(40, 100)).to_zarr(tmp_path / "a", append_dim="y", consolidated=False)
    with _open(tmp_path / "a") as found:
        xr.testing.assert_equal(found.load(), dataset)
