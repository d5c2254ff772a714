"""Arrays without shards: Zarr v3 and v2, every key encoding, read and written as zarr-python has them."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

import zarr_shard_codec as zsc


def _same(one, other):
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()


FILTERS = {
    "plain": {"compressors": None},
    "zstd": {},
    "gzip": {"compressors": zarr.codecs.GzipCodec(level=1)},
}


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize(
    "encoding", [{"name": "default"}, {"name": "v2", "configuration": {"separator": "."}}]
)
def test_unsharded_v3_arrays_are_read_and_written(tmp_path, kind, encoding):
    """A plain v3 array of zarr-python reads here, and what is written here in part reads there."""
    model = np.arange(70, dtype="f4").reshape(10, 7)
    theirs = zarr.create_array(
        str(tmp_path), shape=(10, 7), chunks=(4, 3), dtype="f4", chunk_key_encoding=encoding, **FILTERS[kind]
    )
    theirs[...] = model
    ours = zsc.open(tmp_path, "r+")
    assert ours.codec is None
    assert ours.inner_chunk_shape == ours.shard_shape == (4, 3)
    assert _same(ours[::-1, 1:6:2], model[::-1, 1:6:2])
    ours[3:9, 2] = model[3:9, 2] = -1
    ours[0:4, 0:3] = model[0:4, 0:3] = 0
    assert _same(zarr.open_array(str(tmp_path), mode="r")[...], model)
    assert not (tmp_path / ours.shard_key((0, 0))).exists()


V2 = [
    {"order": "F"},
    {"dtype": ">i4"},
    {"order": "F", "dtype": ">f8", "separator": "/"},
    {"filters": "delta"},
    {"order": "F", "filters": "delta", "dtype": "<i2"},
    {"compressor": None, "separator": "/"},
]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", V2, ids=lambda case: "-".join(map(str, case.values())))
def test_v2_arrays_are_read_and_written(tmp_path, case):
    """A v2 array of zarr-python reads here, and what is written here in part reads there."""
    import numcodecs

    dtype = np.dtype(case.get("dtype", "<i4"))
    options = {}
    if case.get("filters"):
        options["filters"] = [numcodecs.Delta(dtype=dtype.str)]
    if "compressor" in case:
        options["compressors"] = None
    theirs = zarr.create_array(
        str(tmp_path),
        shape=(10, 7),
        chunks=(4, 3),
        dtype=dtype,
        zarr_format=2,
        order=case.get("order", "C"),
        chunk_key_encoding={"name": "v2", "separator": case.get("separator", ".")},
        **options,
    )
    model = np.arange(70, dtype=dtype).reshape(10, 7)
    theirs[...] = model
    ours = zsc.open(tmp_path, "r+")
    assert ours.dtype == dtype.newbyteorder("=")
    assert (ours[...] == model).all()
    assert (ours[::3, -2] == model[::3, -2]).all()
    ours[3:9, 2:5] = model[3:9, 2:5] = 33
    ours.resize((12, 5))
    after = np.zeros((12, 5), dtype)
    after[:10] = model[:, :5]
    ours[11] = after[11] = 2
    again = zarr.open_array(str(tmp_path), mode="r", zarr_format=2)
    assert again.shape == (12, 5)
    assert (again[...] == after).all()
