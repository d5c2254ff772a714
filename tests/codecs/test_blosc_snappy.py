"""Blosc with Snappy within, which numcodecs' wheels cannot do: tensorstore can, and is the judge."""

from __future__ import annotations

import itertools
import random
import sys

import numpy as np
import pytest
import tensorstore

from zarr_shard_codec.codecs import blosc_snappy
from zarr_shard_codec.codecs.blosc import HEADER, SHUFFLES, SNAPPY, STORED
from zarr_shard_codec.errors import CorruptShardError, UsageError

SIZES = (1, 7, 8, 100, 1000, 4099, 70_000, 300_001)


def _open(path, codec, values):
    metadata = {
        "shape": list(values.shape),
        "data_type": str(values.dtype),
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, codec.to_metadata()],
    }
    kvstore = {"driver": "file", "path": f"{path}/"}
    return tensorstore.open(
        {"driver": "zarr3", "kvstore": kvstore, "metadata": metadata}, open=True, create=True
    ).result()


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float64", "complex128"])
def test_tensorstore_and_we_read_each_other(build_codec, tmp_path, dtype, shuffle):
    """Every size, shuffle and element size: one block or many, stored or compressed, split or not."""
    rng, seen, itemsize = np.random.default_rng(0), set(), np.dtype(dtype).itemsize
    for n, clevel, blocksize in itertools.product(SIZES, (0, 5), (0, 1000)):
        values = np.cumsum(rng.integers(0, 3, n)).astype(dtype)
        configuration = {"cname": "snappy", "clevel": clevel, "shuffle": shuffle, "blocksize": blocksize}
        codec = build_codec("blosc", {**configuration, "typesize": values.itemsize}, dtype=dtype)
        array = _open(tmp_path / f"{n}-{clevel}-{blocksize}", codec, values)
        array.write(values).result()
        chunk = tmp_path / f"{n}-{clevel}-{blocksize}" / "c/0"
        if not chunk.exists():  # all fill value
            continue
        theirs = chunk.read_bytes()
        seen.add(
            "stored" if theirs[2] & STORED else "whole" if theirs[2] & 0x10 or itemsize == 1 else "split"
        )
        assert theirs[2] >> 5 == SNAPPY
        assert codec.decode(theirs, max_nbytes=values.nbytes) == values.tobytes()
        ours = codec.encode(values)
        assert ours[2] >> 5 == SNAPPY
        assert len(ours) <= values.nbytes + HEADER.size
        assert codec.decode(ours, max_nbytes=values.nbytes) == values.tobytes()
        chunk.write_bytes(ours)
        assert _open(chunk.parents[1], codec, values).read().result().tobytes() == values.tobytes()
    assert seen >= {"stored", "whole" if itemsize == 1 else "split"}


@pytest.mark.parametrize("typesize", [1, 8])
def test_numcodecs_automatic_shuffle(build_codec, typesize):
    """Of numcodecs: -1 is the bit shuffle for bytes and the byte shuffle for all else."""
    data = np.arange(4096, dtype="u2").tobytes()
    configuration = {"cname": "snappy", "clevel": 1, "shuffle": -1, "typesize": typesize}
    codec = build_codec("numcodecs.blosc", configuration)
    encoded = codec.encode(data)
    assert encoded[2] & 5 == (4 if typesize == 1 else 1)
    assert codec.decode(encoded, max_nbytes=len(data)) == data


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_hostile_bytes_are_an_error_or_bytes_of_the_right_size(build_codec, shuffle):
    """Cut off, or with any bytes changed, nothing is read past the end or made larger than asked for."""
    data = (b"a shard is one object of many chunks; " * 400)[:12_000]
    codec = build_codec(
        "blosc", {"cname": "snappy", "clevel": 5, "shuffle": shuffle, "typesize": 4, "blocksize": 2048}
    )
    encoded, rng, n_errors = codec.encode(data), random.Random(1), 0
    for _ in range(1500):
        broken = bytearray(encoded)
        for _ in range(rng.choice([1, 1, 4])):
            broken[rng.choice([2, 3, 8, 9, *range(16, 80), rng.randrange(len(broken))])] = rng.choice(
                [0, 1, 127, 128, 255, rng.randrange(256)]
            )
        try:
            assert len(codec.decode(bytes(broken), max_nbytes=len(data))) <= len(data)
        except CorruptShardError:
            n_errors += 1
    assert n_errors > 100
    for size in range(16, len(encoded), 7):
        cut = bytearray(encoded[:size])
        cut[12:16] = size.to_bytes(4, "little")  # the header agrees
        with pytest.raises(CorruptShardError):
            codec.decode(bytes(cut), max_nbytes=len(data))


def test_without_the_extra_it_is_said_to_be_missing(build_codec, monkeypatch):
    """It is nobody's corruption, and the error says what to install."""
    codec = build_codec("blosc", {"cname": "snappy", "shuffle": "shuffle", "typesize": 4})
    encoded = codec.encode(bytes(4000))
    monkeypatch.setitem(sys.modules, "cramjam", None)
    for call in (lambda: codec.decode(encoded, max_nbytes=4000), lambda: codec.encode(bytes(4000))):
        with pytest.raises(UsageError, match=r"zarr-shard-codec\[snappy\]") as caught:
            call()
        assert caught.value.reason == "missing_extra"


def test_two_streams_are_no_block_of_another_size():
    """A block that its streams do not divide is refused before anything is decompressed."""
    header = HEADER.pack(2, 1, SNAPPY << 5, 3, 1000, 1000, 30)
    with pytest.raises(CorruptShardError, match="in 3 streams"):
        blosc_snappy.decode("blosc", header + (20).to_bytes(4, "little") + bytes(10))


@pytest.mark.parametrize("damage", [{3: 0}, {8: 0}, {3: 0, 8: 0}])
def test_stored_data_that_the_library_refuses_are_no_business_of_snappy(build_codec, damage):
    """There are no blocks to divide by a size of zero: the chunk is undecodable."""
    codec = build_codec("blosc", {"cname": "lz4", "shuffle": "noshuffle", "typesize": 1, "clevel": 0})
    data = bytes(range(64))
    broken = bytearray(codec.encode(data))
    assert broken[2] & STORED
    broken[2] = SNAPPY << 5 | STORED
    for at, byte in damage.items():
        broken[at] = byte
    with pytest.raises(CorruptShardError, match="blosc") as caught:
        codec.decode(bytes(broken), max_nbytes=64)
    assert caught.value.reason == "inner_chunk_undecodable"
