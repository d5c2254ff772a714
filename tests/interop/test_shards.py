"""Shards as others write them, and ours as others read them: tensorstore, zarr-python, zarrs, zarrita.

The unusual ones are built by hand, number by number, from the specification.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import struct
import sys

import google_crc32c
import numpy as np
import pytest
import tensorstore
import zarr

import zarr_shard_codec as zsc

# zarr-python's own, about what it cannot read in part.
pytestmark = pytest.mark.filterwarnings("ignore:Combining a `sharding_indexed` codec")

EMPTY = 2**64 - 1
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


def _crc(body):
    return body + struct.pack("<I", google_crc32c.value(body))


def _table(entries, form="<"):
    return b"".join(struct.pack(f"{form}QQ", *entry) for entry in entries)


def _pair(at):
    return struct.pack("<2i", 2 * at + 1, 2 * at + 2)


PAIRS = [_pair(at) for at in range(4)]
BODY = b"".join(PAIRS)
ENTRIES = [(8 * at, 8) for at in range(4)]
PLAIN = list(range(1, 9))


def _moved(entries, by):
    return [(offset + by, nbytes) for offset, nbytes in entries]


def _nested():
    """Two inner shards of two inner chunks, one with its index at the start."""
    inner = [BODY[at : at + 16] + _crc(_table([(0, 8), (8, 8)])) for at in (0, 16)]
    return b"".join(inner) + _crc(_table([(0, 52), (52, 52)]))


def _appended():
    """A shard as an append-only writer leaves it: old chunk, old index, new chunk, new index."""
    old = struct.pack("<2i", -1, -2) + b"".join(PAIRS[1:]) + _crc(_table(ENTRIES))
    return old + PAIRS[0] + _crc(_table([(len(old), 8), *ENTRIES[1:]]))


def _smaller():
    """An inner chunk of gzip in the space of a larger one that it replaced."""
    chunks = [gzip.compress(pair, mtime=0) for pair in PAIRS]
    slots = [chunk + b"\xee" * 30 for chunk in chunks]
    entries = [(at * len(slots[0]), len(chunk)) for at, chunk in enumerate(chunks)]
    return b"".join(slots) + _crc(_table(entries))


def _foreign():
    """A file of another format: its header in front, its inner chunks where it wants them, then the index."""
    header = b"II*\0" + bytes(348)
    return header + BODY + b"footer" + _crc(_table(_moved(ENTRIES, len(header))))


# name: shard shape, codecs of the array, bytes of the one shard, its values, who refuses it
UNUSUAL = {
    "any order": (
        (8,),
        [_sharding((2,))],
        b"".join(PAIRS[at] for at in (2, 0, 3, 1)) + _crc(_table([(8, 8), (24, 8), (0, 8), (16, 8)])),
        PLAIN,
    ),
    "gaps and junk": (
        (8,),
        [_sharding((2,))],
        b"junk" + b"\xffjunk".join(PAIRS) + b"junk" + _crc(_table([(4 + 13 * at, 8) for at in range(4)])),
        PLAIN,
    ),
    "shared range": (
        (8,),
        [_sharding((2,))],
        PAIRS[1] + _crc(_table([(0, 8)] * 4)),
        [3, 4] * 4,
    ),
    "overlapping ranges": (
        (8,),
        [_sharding((2,))],
        BODY[:20] + _crc(_table([(4 * at, 8) for at in range(4)])),
        [1, 2, 2, 3, 3, 4, 4, 5],
    ),
    "range inside the index": (
        (8,),
        [_sharding((2,))],
        BODY + _crc(_table([(32 + 8, 8), *ENTRIES[1:]])),
        [8, 0, 3, 4, 5, 6, 7, 8],
    ),
    "all empty": ((8,), [_sharding((2,))], _crc(_table([(EMPTY, EMPTY)] * 4)), [-7] * 8),
    "all empty, and junk": ((8,), [_sharding((2,))], b"junk" + _crc(_table([(EMPTY, EMPTY)] * 4)), [-7] * 8),
    "some empty": (
        (8,),
        [_sharding((2,))],
        BODY + _crc(_table([(EMPTY, EMPTY), *ENTRIES[1:3], (EMPTY, EMPTY)])),
        [-7, -7, 3, 4, 5, 6, -7, -7],
    ),
    "one inner chunk": ((8,), [_sharding((8,))], BODY + _crc(_table([(0, 32)])), PLAIN),
    "appended": ((8,), [_sharding((2,))], _appended(), PLAIN),
    "replaced in place": ((8,), [_sharding((2,), [LITTLE, GZIP])], _smaller(), PLAIN),
    "foreign format": ((8,), [_sharding((2,))], _foreign(), PLAIN),
    "index without crc32c": ((8,), [_sharding((2,), index_codecs=[LITTLE])], BODY + _table(ENTRIES), PLAIN),
    "big-endian index": (
        (8,),
        [_sharding((2,), index_codecs=[BIG, CRC])],
        BODY + _crc(_table(ENTRIES, ">")),
        PLAIN,
    ),
    "index with crc32c twice": (
        (8,),
        [_sharding((2,), index_codecs=[LITTLE, CRC, CRC])],
        BODY + _crc(_crc(_table(ENTRIES))),
        PLAIN,
    ),
    "transposed index": (
        (8,),
        [_sharding((2,), index_codecs=[_transpose(1, 0), LITTLE, CRC])],
        BODY + _crc(struct.pack("<8Q", 0, 8, 16, 24, 8, 8, 8, 8)),
        PLAIN,
    ),
    "index at the start": (
        (8,),
        [_sharding((2,), location="start")],
        _crc(_table(_moved(ENTRIES, 68))) + BODY,
        PLAIN,
    ),
    "index at the start, junk at the end": (
        (8,),
        [_sharding((2,), location="start")],
        _crc(_table(_moved(ENTRIES, 70))) + b"no" + BODY + b"junk",
        PLAIN,
    ),
    "nested": ((8,), [_sharding((4,), [_sharding((2,))])], _nested(), PLAIN),
    "crc32c after": ((8,), [_sharding((2,)), CRC], _crc(BODY + _crc(_table(ENTRIES))), PLAIN, "tensorstore"),
    "gzip after": (
        (8,),
        [_sharding((2,)), GZIP],
        gzip.compress(BODY + _crc(_table(ENTRIES))),
        PLAIN,
        "tensorstore",
    ),
    "2-D transpose before": (
        (2, 4),
        [_transpose(1, 0), _sharding((2, 1))],
        BODY + _crc(_table([(0, 8), (8, 8), (16, 8), (24, 8)])),
        # transposed: 4×2, inner chunks of 2×1 in C order of a 2×2 grid
        np.array([[1, 3], [2, 4], [5, 7], [6, 8]]).T.tolist(),
    ),
    "3-D transpose [1,2,0] before": (
        (2, 1, 4),
        [_transpose(1, 2, 0), _sharding((1, 2, 1))],
        BODY + _crc(_table(ENTRIES)),
        # transposed: 1×4×2, inner chunks of 1×2×1 in C order of a 1×2×2 grid
        np.array([[[1, 3], [2, 4], [5, 7], [6, 8]]]).transpose(2, 0, 1).tolist(),
        "zarr-python",
    ),
}


def _write_unusual(path, case):
    shape, codecs, encoded, _, *_ = UNUSUAL[case]
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": "int32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shape)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": -7,
        "codecs": codecs,
        "attributes": {},
    }
    chunk = path.joinpath("c", *["0"] * len(shape))
    chunk.parent.mkdir(parents=True)
    chunk.write_bytes(encoded)
    (path / "zarr.json").write_text(json.dumps(document))


def _tensorstore(path):
    return tensorstore.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}).result()


@pytest.mark.requirement(
    "ORDER-ANY",
    "GAPS",
    "APPEND",
    "REPLACE-IN-PLACE",
    "FOREIGN-FORMAT",
    "INNER-CHUNKS-MANY",
    "INDEX-ARRAY",
    "INDEX-ENTRY",
    "INDEX-ENCODED",
    "INDEX-EMPTY-FILL",
    "INDEX-NBYTES",
    "LOCATION-START",
    "LOCATION-END",
    "PARTIAL-DECODING",
)
@pytest.mark.parametrize("case", UNUSUAL)
def test_an_unusual_shard_is_read(tmp_path, case):
    """Each is read whole and element by element, as tensorstore and zarr-python read it where they do."""
    _write_unusual(tmp_path, case)
    _, _, _, values, *refusers = UNUSUAL[case]
    expected = np.array(values, "i4")
    array = zsc.open(tmp_path)
    assert (array[...] == expected).all()
    for at in np.ndindex(expected.shape):
        assert array[at] == expected[at]
        assert (array[at[:-1]] == expected[at[:-1]]).all()
    assert (array[..., ::-3] == expected[..., ::-3]).all()
    if "tensorstore" not in refusers:
        assert (_tensorstore(tmp_path).read().result() == expected).all()
    if "zarr-python" not in refusers:
        assert (zarr.open_array(str(tmp_path), mode="r")[...] == expected).all()


@pytest.mark.requirement("ORDER-UNASSUMED")
@pytest.mark.parametrize("case", UNUSUAL)
def test_an_unusual_shard_is_changed_in_part(tmp_path, case):
    """One element changes; all others stay, also for the others who read it."""
    _write_unusual(tmp_path, case)
    _, _, _, values, *refusers = UNUSUAL[case]
    expected = np.array(values, "i4")
    at = (-1,) * expected.ndim
    zsc.open(tmp_path, "r+")[at] = expected[at] = 1000
    assert (zsc.open(tmp_path)[...] == expected).all()
    if "tensorstore" not in refusers:
        assert (_tensorstore(tmp_path).read().result() == expected).all()
    if "zarr-python" not in refusers:
        assert (zarr.open_array(str(tmp_path), mode="r")[...] == expected).all()


# ── writers × readers ─────────────────────────────────────────────────────────────────────────────────

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
