"""Hostile bytes and documents, through `open` and read: a typed error, at once, and in little memory."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib

import google_crc32c
import numcodecs
import numpy as np
import pytest
import zstandard

import zarr_shard_codec as zsc
from zarr_shard_codec.core.ranges import WHOLE, clamp
from zarr_shard_codec.stores.memory import MemoryStore

EMPTY = 2**64 - 1
LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
CRC = {"name": "crc32c"}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
GZIP = {"name": "gzip", "configuration": {"level": 1}}
BLOSC = {
    "name": "blosc",
    "configuration": {"cname": "lz4", "clevel": 1, "shuffle": "noshuffle", "blocksize": 0, "typesize": 4},
}


def _crc(body):
    return body + struct.pack("<I", google_crc32c.value(body))


def _index(entries):
    return _crc(b"".join(struct.pack("<QQ", *entry) for entry in entries))


def _document(shape=(8,), shard=(8,), inner=(2,), codecs=(LITTLE,), location="end", after=()):
    configuration = {
        "chunk_shape": list(inner),
        "codecs": list(codecs),
        "index_codecs": [LITTLE, CRC],
        "index_location": location,
    }
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": "int32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shard)}},
        "chunk_key_encoding": {"name": "default"},
        "fill_value": 0,
        "codecs": [{"name": "sharding_indexed", "configuration": configuration}, *after],
    }


CHUNKS = [struct.pack("<2i", 2 * at + 1, 2 * at + 2) for at in range(4)]
GOOD = [(8 * at, 8) for at in range(4)]


def _shard(second=(8, 8), chunks=CHUNKS, location="end"):
    first = 68 if location == "start" else 0
    entries = [(offset + first, nbytes) for offset, nbytes in GOOD]
    entries[1] = (second[0] + first if second == (8, 8) else second[0], second[1])
    parts = [*chunks, _index(entries)]
    return b"".join(parts if location == "end" else parts[-1:] + parts[:-1])


def _flipped(encoded, at):
    return encoded[:at] + bytes([encoded[at] ^ 1]) + encoded[at + 1 :]


BROKEN = {
    "bad index crc32c": (_flipped(_shard(), 99), "index_checksum_mismatch", None, {}),
    "bad index number": (_flipped(_shard(), 35), "index_checksum_mismatch", None, {}),
    "entry (0, 0)": (_shard((0, 0)), "entry_zero_length", (1,), {}),
    "entry (8, 0)": (_shard((8, 0)), "entry_zero_length", (1,), {}),
    "half empty, no offset": (_shard((EMPTY, 8)), "entry_half_empty", (1,), {}),
    "half empty, no nbytes": (_shard((0, EMPTY)), "entry_half_empty", (1,), {}),
    "outside": (_shard((1000, 8)), "entry_out_of_bounds", (1,), {}),
    "half outside": (_shard((96, 8)), "entry_out_of_bounds", (1,), {}),
    "wraps at 2^64": (_shard((2**64 - 4, 8)), "entry_out_of_bounds", (1,), {}),
    "2^60 bytes": (_shard((8, 2**60)), "entry_out_of_bounds", (1,), {}),
    "2^63 bytes at 2^63": (_shard((2**63, 2**63)), "entry_out_of_bounds", (1,), {}),
    "2^64-2 bytes": (_shard((0, 2**64 - 2)), "entry_out_of_bounds", (1,), {}),
    "shorter than its index": (_shard()[-67:], "shard_too_short", None, {}),
    "one byte": (b"\0", "shard_too_short", None, {}),
    "empty object": (b"", "shard_too_short", None, {}),
    "inner chunk too short": (_shard((8, 7)), "inner_chunk_wrong_size", (1,), {}),
    "inner chunk too long": (_shard((8, 12)), "inner_chunk_wrong_size", (1,), {}),
    "inner chunk much too long": (_shard((0, 32)), "inner_chunk_wrong_size", (1,), {}),
    "bad inner crc32c": (
        _flipped(b"".join([*map(_crc, CHUNKS), _index([(12 * at, 12) for at in range(4)])]), 13),
        "inner_chunk_checksum_mismatch",
        (1,),
        {"codecs": [LITTLE, CRC]},
    ),
    "start, bad index": (
        _flipped(_shard(location="start"), 20),
        "index_checksum_mismatch",
        None,
        {"location": "start"},
    ),
    "start, outside": (
        _shard((1000, 8), location="start"),
        "entry_out_of_bounds",
        (1,),
        {"location": "start"},
    ),
    "start, too short": (
        _shard(location="start")[:67],
        "shard_too_short",
        None,
        {"location": "start"},
    ),
    "start, cut off": (
        _shard(location="start")[:80],
        "entry_out_of_bounds",
        (1,),
        {"location": "start"},
    ),
}


@pytest.mark.parametrize("selection", [..., 2, slice(2, 4), slice(3, None, 4)], ids=str)
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_shard_is_the_same_error_whole_and_in_part(case, selection):
    """Every row: the reason, the key and the inner chunk, whatever part of the broken chunk is read."""
    encoded, reason, inner_chunk, changes = BROKEN[case]
    store = MemoryStore()
    store.write("a/c/0", [encoded])
    array = zsc.open(store, path="a", metadata=_document(**changes))
    with pytest.raises(zsc.CorruptShardError) as caught:
        array[selection]
    found = caught.value
    assert (found.reason, found.key, found.inner_chunk) == (reason, "a/c/0", inner_chunk)
    assert "a/c/0" in str(found)


@pytest.mark.parametrize("case", [case for case in BROKEN if BROKEN[case][2] and case != "start, cut off"])
def test_the_other_inner_chunks_are_read(case):
    """One broken entry does not keep the good inner chunks from being read."""
    encoded, _, _, changes = BROKEN[case]
    store = MemoryStore()
    store.write("c/0", [encoded])
    array = zsc.open(store, metadata=_document(**changes))
    assert array[4:8].tolist() == [5, 6, 7, 8]
    assert array[0] == 1


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_shard_is_not_written_over_in_part(case):
    """A write beside the damage refuses, or keeps the broken chunk as broken as it was; it never lies."""
    encoded, reason, _, changes = BROKEN[case]
    store = MemoryStore()
    store.write("c/0", [encoded])
    array = zsc.open(store, "r+", metadata=_document(**changes))
    try:
        array[7] = 70
    except zsc.CorruptShardError as error:
        found = error.reason
    else:
        with pytest.raises(zsc.CorruptShardError) as caught:
            array[2]
        found = caught.value.reason
        assert array[6:].tolist() == [7, 70]
    assert found == reason
    array[...] = 9
    assert array[...].tolist() == [9] * 8


def _zstd_claiming(nbytes):
    """A frame header that declares a size, and one block of the same byte over and over."""
    run = struct.pack("<I", (1 << 17) << 3 | 1 << 1)[:3] + b"\0"
    return struct.pack("<IBQ", 0xFD2FB528, 0xE0, nbytes) + run * 200 + b"\1\0\0"


def _zstd_silent():
    """As many zeros as a kilobyte may become, in a frame that does not say how many."""
    run = struct.pack("<I", (1 << 17) << 3 | 1 << 1)[:3] + b"\0"
    return struct.pack("<IBB", 0xFD2FB528, 0x00, 0x58) + run * 240 + b"\1\0\0"


def _blosc_claiming(nbytes):
    body = bytearray(numcodecs.Blosc("lz4", 1, 0).encode(np.zeros(4096, "u1")))
    return bytes(body[:4]) + struct.pack("<I", nbytes & 0xFFFFFFFF) + bytes(body[8:])


BOMBS = {
    "zstd that claims 10 GB": ([LITTLE, ZSTD], _zstd_claiming(10 << 30)),
    "zstd that claims 2^63": ([LITTLE, ZSTD], _zstd_claiming(1 << 63)),
    "zstd that does not say": ([LITTLE, ZSTD], _zstd_silent()),
    "zstd of zstd": ([LITTLE, ZSTD, ZSTD], zstandard.compress(_zstd_silent() * 10000)),
    "gzip": ([LITTLE, GZIP], zlib.compress(bytes(100 << 20), 9, 31)),
    "gzip of gzip": (
        [LITTLE, GZIP, GZIP],
        zlib.compress(zlib.compress(bytes(100 << 20), 9, 31) * 1000, 9, 31),
    ),
    "blosc that claims 2 GB": ([LITTLE, BLOSC], _blosc_claiming((1 << 31) - 1)),
    "blosc that claims 4 GB": ([LITTLE, BLOSC], _blosc_claiming((1 << 32) - 1)),
}


def _bomb(codecs, encoded):
    """A shard of four inner chunks of 64 KiB, the second of which is a bomb."""
    entries = [(EMPTY, EMPTY)] * 4
    entries[1] = (0, len(encoded))
    return _document((65536,), (65536,), (16384,), codecs), encoded + _index(entries)


def _after(codec, encoded):
    return _document((65536,), (65536,), (16384,), after=[codec]), encoded


def _giant_index(inner=1, shard=2**30, body=b"x" * 1000, **options):
    return _document((64,), (shard,), (inner,), **options), body


def _chained(levels):
    document = _document((64,), (64,), (64,), [LITTLE, ZSTD])
    for _ in range(levels):
        configuration = document["codecs"][0]["configuration"]
        inner = [{"name": "sharding_indexed", "configuration": configuration}, ZSTD]
        document["codecs"] = [
            {"name": "sharding_indexed", "configuration": configuration | {"codecs": inner}},
            ZSTD,
        ]
    return document, zstandard.compress(_zstd_silent() * 10000)


HOSTILE = {
    **{name: _bomb(*bomb) for name, bomb in BOMBS.items()},
    "zstd after the shard": _after(ZSTD, _zstd_claiming(10 << 30)),
    "silent zstd after the shard": _after(ZSTD, _zstd_silent()),
    "gzip after the shard": _after(GZIP, zlib.compress(bytes(100 << 20), 9, 31)),
    "twenty shards in zstd": _chained(20),
    "2^60 bytes": (_document(), _shard((8, 2**60))),
    "index of 2^30 entries": _giant_index(),
    "index of 2^30 entries at the start": _giant_index(location="start"),
    "index of 2^62 entries": _giant_index(shard=2**62),
    "unsharded 2^62": (
        _document((64,), (2**62,)) | {"codecs": [LITTLE]},
        b"x" * 1000,
    ),
    "unsharded 2^62 in zstd": (
        _document((64,), (2**62,)) | {"codecs": [LITTLE, ZSTD]},
        _zstd_claiming(10 << 30),
    ),
    "unsharded 2^62 in silent zstd": (
        _document((64,), (2**62,)) | {"codecs": [LITTLE, ZSTD]},
        _zstd_silent(),
    ),
}

CHILD = """
import json, sys, time
import numpy as np
import zarr_shard_codec as zsc
from zarr_shard_codec.codecs.registry import get_factory
for name in ("bytes", "zstd", "gzip", "blosc", "crc32c"):
    get_factory(name)
peak = lambda: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
results = []
for at in range(int(sys.argv[2])):
    for part in (False, True):
        before, began = peak(), time.perf_counter()
        try:
            array = zsc.open(f"{sys.argv[1]}/{at}")
            array[(16400 if len(array) > 64 else 2) if part else ...]
            reason = None
        except zsc.CorruptShardError as error:
            reason = error.reason
        results.append((reason, peak() - before, time.perf_counter() - began))
print(json.dumps(results))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's own peak of memory")
def test_bombs_fail_fast_and_in_little_memory(tmp_path):
    """A kilobyte that claims gigabytes is an error in less than 50 MB and 5 seconds, whole or in part."""
    for at, (document, encoded) in enumerate(HOSTILE.values()):
        folder = tmp_path / str(at) / "c"
        folder.mkdir(parents=True)
        (folder.parent / "zarr.json").write_text(json.dumps(document))
        (folder / "0").write_bytes(encoded)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), str(len(HOSTILE))],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    results = json.loads(done.stdout)
    for at, name in enumerate(HOSTILE):
        for reason, grown_kib, seconds in results[2 * at : 2 * at + 2]:
            assert reason is not None, name
            assert grown_kib < 50 << 10, name
            assert seconds < 5, name
    assert results[2 * list(HOSTILE).index("index of 2^30 entries")][0] == "shard_too_short"


class _Vanishing(MemoryStore):
    """A store that can't hold an object open, and whose object is deleted once its index was read."""

    comes_back = False

    @property
    def open_object(self):
        raise AttributeError

    def read(self, key, requests):
        stored = self._objects.get(key)
        if stored and requests != [WHOLE] and not self.comes_back:
            self.delete(key)
        elif self.comes_back:
            self._objects = {} if stored else {key: _shard()}
        return stored and [stored[slice(*clamp(request, len(stored)))] for request in requests]


def test_an_object_that_vanishes_while_it_is_read_is_read_again():
    """Deleted between the index and the inner chunk, it reads as what it is now: no object, no noise."""
    store = _Vanishing()
    store.write("c/0", [_shard()])
    assert (zsc.open(store, metadata=_document())[:3] == 0).all()


def test_an_object_that_vanishes_again_and_again_is_an_error():
    """Whoever never sees one state of an object from index to inner chunk is told so."""
    store = _Vanishing()
    store.comes_back = True
    store.write("c/0", [_shard()])
    with pytest.raises(zsc.CorruptShardError) as caught:
        zsc.open(store, metadata=_document())[3]
    assert (caught.value.reason, caught.value.key) == ("object_changed", "c/0")
