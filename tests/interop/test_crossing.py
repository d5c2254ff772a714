"""Shards as others write them, and ours as others read them: tensorstore, zarr-python, zarrs, zarrita."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
import tensorstore
import zarr

import zarr_shard_codec as zsc

# zarr-python's own, about what it cannot read in part.
pytestmark = pytest.mark.filterwarnings("ignore:Combining a `sharding_indexed` codec")

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
BIG = {"name": "bytes", "configuration": {"endian": "big"}}
CRC = {"name": "crc32c"}
GZIP = {"name": "gzip", "configuration": {"level": 1}}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
BLOSC = {
    "name": "blosc",
    "configuration": {"cname": "lz4", "clevel": 1, "shuffle": "shuffle", "typesize": 4, "blocksize": 0},
}


def _transpose(*order):
    return {"name": "transpose", "configuration": {"order": list(order)}}


def _sharding(inner, codecs=(LITTLE,), index_codecs=(LITTLE, CRC), location="end"):
    configuration = {
        "chunk_shape": list(inner),
        "codecs": list(codecs),
        "index_codecs": list(index_codecs),
        "index_location": location,
    }
    return {"name": "sharding_indexed", "configuration": configuration}


def _tensorstore(path):
    return tensorstore.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}).result()


LAYOUTS = {
    "bytes": _sharding((2, 3)),
    "big, crc32c": _sharding((2, 3), [BIG, CRC]),
    "zstd": _sharding((2, 3), [LITTLE, ZSTD]),
    "gzip": _sharding((4, 6), [LITTLE, GZIP]),
    "blosc": _sharding((2, 6), [LITTLE, BLOSC]),
    "start": _sharding((2, 3), [LITTLE, ZSTD], location="start"),
    "big-endian index": _sharding((2, 3), index_codecs=[BIG, CRC]),
    "index without crc32c": _sharding((2, 3), index_codecs=[LITTLE]),
    "transposed chunks": _sharding((2, 3), [_transpose(1, 0), LITTLE]),
    "nested": _sharding((2, 3), [_sharding((1, 3), [LITTLE, GZIP])]),
}
SHAPE, SHARD = (10, 9), (4, 6)


def _model(dtype):
    model = np.arange(90).reshape(SHAPE).astype(dtype)
    model[0:5, 3:] = 7  # whole inner chunks, and a whole shard, of fill value
    model[0:4, 6:] = 7
    return model


def _write_ours(path, layout, model):
    configuration = layout["configuration"]
    array = zsc.create(
        path,
        shape=SHAPE,
        dtype=model.dtype,
        shard_shape=SHARD,
        inner_chunk_shape=configuration["chunk_shape"],
        codecs=configuration["codecs"],
        index_codecs=configuration["index_codecs"],
        index_location=configuration["index_location"],
        fill_value=7,
        chunk_order="morton",
    )
    array[...] = model
    array[1, 1] = 99  # and one that is spliced
    array[1, 1] = model[1, 1]


def _write_tensorstore(path, layout, model):
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": str(path)},
        "metadata": {
            "shape": SHAPE,
            "data_type": model.dtype.name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": SHARD}},
            "fill_value": 7,
            "codecs": [layout],
        },
        "create": True,
    }
    tensorstore.open(spec).result().write(model).result()


def _write_zarr_python(path, layout, model):
    from zarr.codecs import ShardingCodec

    array = zarr.create_array(
        str(path),
        shape=SHAPE,
        chunks=SHARD,
        dtype=model.dtype,
        fill_value=7,
        filters=None,
        serializer=ShardingCodec.from_dict(layout),
        compressors=None,
    )
    array[...] = model


def _write_zarrs(path, layout, model):
    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
        _write_zarr_python(path, layout, model)


def _zarrita_codecs(codecs):
    from zarrita import codecs as known
    from zarrita.metadata import ShardingCodecIndexLocation

    makers = {
        "bytes": known.bytes_codec,
        "crc32c": lambda **_: known.crc32c_codec(),
        "gzip": known.gzip_codec,
        "zstd": known.zstd_codec,
        "blosc": known.blosc_codec,
        "transpose": known.transpose_codec,
    }
    made = []
    for codec in codecs:
        configuration = codec.get("configuration", {})
        if codec["name"] == "sharding_indexed":
            made.append(
                known.sharding_codec(
                    tuple(configuration["chunk_shape"]),
                    _zarrita_codecs(configuration["codecs"]),
                    _zarrita_codecs(configuration["index_codecs"]),
                    ShardingCodecIndexLocation(configuration["index_location"]),
                )
            )
        else:
            made.append(makers[codec["name"]](**configuration))
    return made


def _write_zarrita(path, layout, model):
    import zarrita

    array = zarrita.Array.create(
        zarrita.LocalStore(path),
        shape=SHAPE,
        dtype=model.dtype,
        chunk_shape=SHARD,
        fill_value=7,
        codecs=_zarrita_codecs([layout]),
    )
    array[:, :] = model


def _read_zarrs(path):
    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
        return zarr.open_array(str(path), mode="r")[...]


def _read_zarrita(path):
    import zarrita

    return zarrita.Array.open(zarrita.LocalStore(path))[:, :]


READERS = {
    "tensorstore": lambda path: _tensorstore(path).read().result(),
    "zarr-python": lambda path: zarr.open_array(str(path), mode="r")[...],
    "zarrs": _read_zarrs,
    "zarrita": _read_zarrita,
}
WRITERS = {
    "tensorstore": _write_tensorstore,
    "zarr-python": _write_zarr_python,
    "zarrs": _write_zarrs,
    "zarrita": _write_zarrita,
}


def _there(name):
    return pytest.param(
        name,
        marks=pytest.mark.skipif(
            name == "zarrita" and sys.version_info >= (3, 12), reason="zarrita pins packages of Python < 3.12"
        ),
    )


def test_the_others_are_installed():
    """Everything that is compared with is there; zarrita where it can be."""
    names = ["tensorstore", "zarr", "zarrs", *(["zarrita"] if sys.version_info < (3, 12) else [])]
    assert all(importlib.util.find_spec(name) for name in names)


@pytest.mark.parametrize("dtype", ["int32", "float32"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("reader", [_there(name) for name in READERS])
def test_others_read_ours(tmp_path, reader, layout, dtype):
    """What we wrote, whole and spliced, others read element by element."""
    model = _model(dtype)
    _write_ours(tmp_path, LAYOUTS[layout], model)
    found = np.asarray(READERS[reader](tmp_path))
    assert found.dtype == model.dtype
    assert found.tobytes() == model.tobytes()


@pytest.mark.parametrize("dtype", ["int32", "float32"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("writer", [_there(name) for name in WRITERS])
def test_we_read_others(tmp_path, writer, layout, dtype):
    """What others wrote we read element by element, whole and in part, and change without harm."""
    model = _model(dtype)
    if (writer, layout) == ("zarrita", "start"):
        model += 1  # nothing empty: see the test below
    path = tmp_path / "array"
    WRITERS[writer](path, LAYOUTS[layout], model)
    array = zsc.open(path, "r+")
    assert array.shard_shape == SHARD
    assert array.inner_chunk_shape == tuple(LAYOUTS[layout]["configuration"]["chunk_shape"])
    assert array[...].tobytes() == model.tobytes()
    for y in range(SHAPE[0]):
        assert (array[y] == model[y]).all()
    assert (array[::-3, 2:8:5] == model[::-3, 2:8:5]).all()
    array[3:6, 5] = model[3:6, 5] = 42
    assert array[...].tobytes() == model.tobytes()
    assert np.asarray(READERS[writer](path)).tobytes() == model.tobytes()


@pytest.mark.parametrize("name", [_there("zarrita")])
def test_zarritas_wrapped_empty_entries_are_refused(tmp_path, name):
    """With the index at the start, zarrita 0.2.7 adds its size to an empty entry's offset: half empty."""
    WRITERS[name](tmp_path / "array", LAYOUTS["start"], _model("int32"))
    array = zsc.open(tmp_path / "array")
    for selection in (..., (0, 3)):
        with pytest.raises(zsc.CorruptShardError, match=r"offset 67, nbytes 18446744073709551615") as caught:
            array[selection]
        assert (caught.value.reason, caught.value.inner_chunk) == ("entry_half_empty", (0, 1))
