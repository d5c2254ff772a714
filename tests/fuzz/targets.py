"""What is fuzzed: functions that take any bytes, and raise if the package does what it must not.

Owns the laws that hold whatever the bytes are. Every target lets our own errors pass, and nothing else. How
inputs are found, and how time and memory are watched, is `fuzz`'s business.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import cache
from typing import Any, Final

import google_crc32c
import numpy as np

import zarr_shard_codec as zsc
from zarr_shard_codec.array.health import verify_array
from zarr_shard_codec.array.inspection import inspect_array
from zarr_shard_codec.array.inventory import take_inventory
from zarr_shard_codec.array.metadata import ArrayMetadata
from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.core.findings import StoredShard, examine, notes
from zarr_shard_codec.core.protocols import ChunkSpec
from zarr_shard_codec.stores.memory import MemoryStore

LITTLE: Final = {"name": "bytes", "configuration": {"endian": "little"}}
BIG: Final = {"name": "bytes", "configuration": {"endian": "big"}}
CRC: Final = {"name": "crc32c"}
ZSTD: Final = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
GZIP: Final = {"name": "gzip", "configuration": {"level": 1}}


def _blosc(cname: str, shuffle: str = "noshuffle", typesize: int = 1) -> dict[str, Any]:
    configuration = {"cname": cname, "clevel": 1, "shuffle": shuffle, "typesize": typesize, "blocksize": 0}
    return {"name": "blosc", "configuration": configuration}


def _numcodecs(name: str, **configuration: Any) -> dict[str, Any]:
    return {"name": f"numcodecs.{name}", "configuration": configuration}


def _transpose(*order: int) -> dict[str, Any]:
    return {"name": "transpose", "configuration": {"order": list(order)}}


def _sharding(
    inner: tuple[int, ...], codecs: list[Any], index: tuple[Any, ...] = (LITTLE, CRC), location: str = "end"
) -> dict[str, Any]:
    configuration = {
        "chunk_shape": list(inner),
        "codecs": codecs,
        "index_codecs": list(index),
        "index_location": location,
    }
    return {"name": "sharding_indexed", "configuration": configuration}


SHARDS: Final[list[list[Any]]] = [
    [_sharding((2, 2), [LITTLE])],
    [_sharding((2, 2), [BIG, CRC], location="start")],
    [_sharding((3, 2), [LITTLE, ZSTD])],
    [_sharding((2, 4), [LITTLE, GZIP], index=(BIG,))],
    [_sharding((2, 2), [LITTLE, _blosc("lz4", "shuffle", 2)])],
    [_sharding((3, 4), [_sharding((1, 2), [LITTLE, CRC])])],
    [_sharding((3, 2), [_sharding((1, 2), [LITTLE], index=(LITTLE,)), ZSTD], location="start")],
    [_transpose(1, 0), _sharding((2, 3), [_transpose(1, 0), LITTLE])],
    [_sharding((2, 2), [LITTLE, ZSTD]), GZIP],
    [_sharding((2, 2), [LITTLE]), CRC],
    [_sharding((6, 4), [LITTLE, _numcodecs("zlib", level=1)], index=(_transpose(2, 1, 0), LITTLE, CRC))],
]
"""Codecs of an array of shape (5, 4), shards of (6, 4): the first byte of an input says which."""

INDEXES: Final[list[tuple[dict[str, Any], tuple[int, ...]]]] = [
    (_sharding((2,), [LITTLE]), (16,)),
    (_sharding((2,), [LITTLE, ZSTD], location="start"), (16,)),
    (_sharding((1, 2), [LITTLE, CRC], index=(BIG,)), (2, 6)),
    (_sharding((1, 1, 1), [LITTLE], index=(_transpose(3, 1, 0, 2), BIG, CRC, CRC)), (1, 2, 3)),
    (_sharding((), [LITTLE]), ()),
    (_sharding((1,), [LITTLE, GZIP], index=(LITTLE, _numcodecs("shuffle", elementsize=8), CRC)), (300,)),
]
"""Sharding codecs and the shard shapes they are for."""

CHAINS: Final[list[tuple[str, list[Any]]]] = [
    ("uint16", [BIG]),
    ("uint16", [_transpose(1, 0), LITTLE]),
    ("uint16", [LITTLE, CRC]),
    ("uint16", [LITTLE, ZSTD]),
    ("uint16", [LITTLE, GZIP]),
    *(("uint16", [LITTLE, _blosc(name)]) for name in ("lz4", "lz4hc", "blosclz", "zlib", "zstd", "snappy")),
    ("uint16", [LITTLE, _blosc("lz4", "shuffle", 2)]),
    ("uint16", [LITTLE, _blosc("zstd", "bitshuffle", 2)]),
    ("uint16", [LITTLE, ZSTD, CRC]),
    ("uint16", [LITTLE, CRC, GZIP]),
    ("uint16", [LITTLE, ZSTD, ZSTD]),
    ("uint16", [LITTLE, GZIP, _blosc("blosclz"), ZSTD]),
    *(("uint16", [LITTLE, _numcodecs(name, level=1)]) for name in ("zlib", "bz2")),
    ("uint16", [LITTLE, _numcodecs("lzma")]),
    ("uint16", [LITTLE, _numcodecs("lzma", format=3, filters=[{"id": 33, "preset": 1}])]),
    ("uint16", [LITTLE, _numcodecs("lz4")]),
    ("uint16", [LITTLE, _numcodecs("shuffle", elementsize=2)]),
    *(("uint16", [LITTLE, _numcodecs(n)]) for n in ("crc32", "adler32", "fletcher32", "jenkins_lookup3")),
    ("uint16", [LITTLE, _numcodecs("crc32c", location="start")]),
    ("uint16", [_numcodecs("delta", dtype="<u2"), LITTLE]),
    ("float32", [_numcodecs("bitround", keepbits=3), LITTLE, ZSTD]),
    ("float64", [_numcodecs("quantize", digits=2, dtype="<f8"), LITTLE]),
    ("float32", [_numcodecs("fixedscaleoffset", scale=10, offset=0, dtype="<f4", astype="<u2"), LITTLE]),
    ("int16", [_numcodecs("astype", encode_dtype="<i4", decode_dtype="<i2"), BIG]),
    ("bool", [_numcodecs("packbits"), LITTLE]),
    ("bool", [{"name": "bytes"}]),
    ("complex64", [BIG, ZSTD]),
]
"""Chains of a chunk of shape (6, 4), with its data type: the first byte of an input says which."""

_SHAPE: Final = (6, 4)
_PARTS: Final[list[Any]] = [(0, 0), (slice(1, 4), slice(None, None, 2)), (slice(None), -1)]


def chain_of(at: int) -> CodecChain:
    """One of `CHAINS`."""
    name, codecs = CHAINS[at % len(CHAINS)]
    dtype = np.dtype(name)
    return CodecChain.from_metadata(codecs, ChunkSpec(_SHAPE, dtype, np.zeros((), dtype)))


def index_codec(at: int) -> zsc.ShardingCodec:
    """One of `INDEXES`."""
    codec, shape = INDEXES[at % len(INDEXES)]
    return zsc.ShardingCodec.from_metadata(codec["configuration"], shard_shape=shape, dtype="uint16")


def shard_document(at: int) -> dict[str, Any]:
    """The document of an array of one of `SHARDS`."""
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [5, 4],
        "data_type": "uint16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(_SHAPE)}},
        "chunk_key_encoding": {"name": "default"},
        "fill_value": 7,
        "codecs": SHARDS[at % len(SHARDS)],
    }


@cache
def _array(at: int) -> zsc.ShardedArray:
    return zsc.open(MemoryStore(), "r+", metadata=shard_document(at))


def _ours(function: Callable[[], Any]) -> tuple[Any, zsc.ZarrShardError | None]:
    """The result, or our error. Any other error is a finding, and goes on."""
    try:
        return function(), None
    except zsc.ZarrShardError as error:
        str(error), error.to_json()
        return None, error


def _with_checksum(body: bytes) -> bytes:
    return body + int(google_crc32c.value(body)).to_bytes(4, "little")


def index(data: bytes) -> None:
    """An index is numbers or an error; `examine` and `lookup` find the same entries wrong, in any shard.

    Input: which codec, shard size (8 bytes), whether to mend the checksum, the encoded index.
    """
    if len(data) < 10:
        return
    codec, shard_nbytes, encoded = index_codec(data[0]), int.from_bytes(data[1:9], "little"), data[10:]
    if data[9] & 1 and len(encoded) >= 4:
        encoded = _with_checksum(encoded[:-4])
    decoded, error = _ours(lambda: codec.decode_index(encoded))
    if error is not None:
        assert error.reason in ("index_checksum_mismatch", "index_undecodable"), error
        return
    assert len(decoded) == int(np.prod(codec.chunks_per_shard, dtype=int))
    if len(encoded) == codec.index_nbytes:
        again = codec.decode_index(codec.encode_index(decoded))
        assert (again.entries == decoded.entries).all()
    shard_nbytes = max(shard_nbytes, codec.index_nbytes) % 2**63
    shard = StoredShard(decoded, shard_nbytes, codec.index_nbytes, codec.index_location)
    limit = codec.inner.max_encoded_nbytes
    sound, findings = examine(shard, chunk_nbytes=None, max_chunk_nbytes=limit)
    wrong = {finding.inner_chunk: finding.reason for finding in findings}
    inside = tuple(max(1, count - 1) for count in codec.chunks_per_shard)
    for finding in notes(sound, chunks_inside=inside):
        assert str(finding)
    for at, coords in enumerate(np.ndindex(codec.chunks_per_shard)):
        linear = np.array([at])
        _, error = _ours(
            lambda: decoded.lookup(linear, shard_nbytes=shard_nbytes, largest_nbytes=limit)  # noqa: B023
        )
        assert (None if error is None else error.reason) == wrong.get(coords), (coords, error)


def shard(data: bytes) -> None:
    """Parts agree with the whole; `verify` agrees with reading; what is written is read back.

    Input: which codecs, whether to mend the index's checksum, the object.
    """
    if len(data) < 2:
        return
    store, encoded = MemoryStore(), data[2:]
    array = copy(_array(data[0] % len(SHARDS)))
    array.store = store  # type: ignore[misc]
    codec, after = array.codec, array.chain.bytes_bytes
    assert codec is not None
    if data[1] & 1 and not after and len(encoded) >= codec.index_nbytes:
        at = codec.index_nbytes if codec.index_location == "start" else len(encoded)
        encoded = (
            encoded[: at - codec.index_nbytes]
            + _with_checksum(encoded[at - codec.index_nbytes : at - 4])
            + encoded[at:]
        )
    store.write("c/0/0", [encoded])
    whole, broken = _ours(lambda: array[...])
    for part in _PARTS:
        found, error = _ours(lambda: array[part])  # noqa: B023
        if broken is None:
            assert error is None, error
            assert np.array_equal(found, whole[part])
    inspect_array(array)
    steps = verify_array(array, take_inventory(array))
    errors = [found for step in steps for found in step.findings if found.severity == "error"]
    assert broken is None or errors, "a read fails, and verify finds nothing"
    _, refused = _ours(lambda: array.__setitem__((slice(1, 3), slice(1, 3)), 9))
    if refused is None:
        assert (array[1:3, 1:3] == 9).all()
        after_write, error = _ours(lambda: array[...])
        assert (error is None) or broken is not None, error
        if broken is None:
            whole[1:3, 1:3] = 9
            assert np.array_equal(after_write, whole)
    elif broken is None:
        raise AssertionError("what can be read cannot be written to") from refused
    array[...] = 3
    assert (array[...] == 3).all()


def _document(data: bytes, name: str) -> None:
    store = MemoryStore()
    store.write(name, [data])
    array, error = _ours(lambda: zsc.open(store, "r+"))
    _ours(lambda: zsc.inspect(store))
    _ours(lambda: zsc.verify(store))
    if error is not None:
        return
    assert str(array)
    _ours(array.metadata.to_json)
    if array.nbytes <= 1 << 20:
        _ours(lambda: array[...])
    else:
        _ours(lambda: array[(slice(-1, None),) * array.ndim])
    store.write(array.shard_key((0,) * array.ndim), [data])
    _ours(lambda: array[(slice(0, 1),) * array.ndim])


def metadata(data: bytes) -> None:
    """A `zarr.json` opens or says what is wrong; one that opens is written as what it was."""
    parsed, error = _ours(lambda: ArrayMetadata.from_json(data))
    if error is None:
        written, _ = _ours(parsed.to_bytes)
        assert written is None or ArrayMetadata.from_json(written) == parsed
    _document(data, "zarr.json")


def metadata_v2(data: bytes) -> None:
    """A `.zarray` opens or says what is wrong."""
    _document(data, ".zarray")


def chain(data: bytes) -> None:
    """What decodes has the chunk's shape and type, and encodes and decodes to itself, where nothing is lost.

    Input: which chain, the encoded chunk.
    """
    if not data:
        return
    codecs = chain_of(data[0])
    decoded, error = _ours(lambda: codecs.decode(data[1:]))
    if error is not None:
        assert isinstance(error, zsc.CorruptShardError), error
        return
    assert (decoded.shape, decoded.dtype.newbyteorder("=")) == (codecs.spec.shape, codecs.spec.dtype)
    if all(codec["name"] in ("transpose", "numcodecs.delta") for codec in _filters(codecs)):
        assert codecs.decode(codecs.encode(decoded)).tobytes() == decoded.tobytes()


def _filters(codecs: CodecChain) -> list[dict[str, Any]]:
    return codecs.to_metadata()[: len(codecs.array_array)]


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "index": index,
    "shard": shard,
    "metadata": metadata,
    "metadata_v2": metadata_v2,
    "chain": chain,
}
