"""ome-zarr over zarr-python with `enable()`: OME-Zarr 0.5 images whose pyramids are sharded."""

import warnings

import dask.array as da
import numpy as np
import pytest
import zarr
from ome_zarr.format import FormatV05
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader

import zarr_shard_codec as zsc
from zarr_shard_codec.adapters.zarr_python import ShardPipeline

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of a default value of its own
    from ome_zarr.writer import write_image, write_labels

IMAGE = np.random.default_rng(8).integers(0, 2**16, (3, 200, 180), "u2")
SHARDED = {"chunks": (1, 32, 32), "shards": (1, 128, 128)}


def _group(path):
    return zarr.open_group(path, mode="a", zarr_format=3)


@pytest.mark.parametrize("kind", ["numpy", "dask"])
def test_an_image_comes_back(tmp_path, kind):
    """Every level is written sharded through ours, and read by ome-zarr with us and by the host alone."""
    image = IMAGE if kind == "numpy" else da.from_array(IMAGE, chunks=(1, 50, 180))
    with zsc.enable():
        write_image(image, _group(tmp_path), axes="cyx", fmt=FormatV05(), storage_options=SHARDED)
        (node,) = Reader(parse_url(tmp_path))()
        levels = [np.asarray(level) for level in node.data]
        first = zarr.open_array(tmp_path / "0" if (tmp_path / "0").exists() else tmp_path / "s0")
        assert isinstance(first.async_array.codec_pipeline, ShardPipeline)
        assert (first.chunks, first.shards) == ((1, 32, 32), (1, 128, 128))
    np.testing.assert_array_equal(levels[0], IMAGE)
    assert len(levels) > 1
    (node,) = Reader(parse_url(tmp_path))()
    for level, alone in zip(levels, node.data, strict=True):
        np.testing.assert_array_equal(level, np.asarray(alone))


@pytest.mark.filterwarnings("ignore:\\s*The .scaler. argument:DeprecationWarning")
def test_labels_come_back(tmp_path):
    """Labels beside the image, sharded as well."""
    labels = (IMAGE[0] // 4096).astype("u2")
    with zsc.enable():
        write_image(IMAGE, _group(tmp_path), axes="cyx", fmt=FormatV05(), storage_options=SHARDED)
        options = {"chunks": (32, 32), "shards": (128, 128)}
        write_labels(labels, _group(tmp_path), "cells", axes="yx", fmt=FormatV05(), storage_options=options)
        nodes = list(Reader(parse_url(tmp_path / "labels/cells"))())
    np.testing.assert_array_equal(np.asarray(nodes[0].data[0]), labels)
