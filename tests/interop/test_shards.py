"""Unusual shards, built by hand, number by number, from the specification: read here and by the others."""

from __future__ import annotations

import gzip
import json
import struct

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
