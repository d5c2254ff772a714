"""Shards assembled byte by byte, from the specification and by none of the package's code.

Owns small pieces that fit together: an encoder takes an array and gives its bytes, so that
`sharded((4,), sharded((2,), little))` encodes nested shards, and `lambda a: crc32c(sharded(…)(a))` one with a
checksum behind it. Nothing here depends on a compressor's version: what looks compressed is stored.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import product
from typing import Any, Final

import numpy as np

from conformance.cases.draft import Draft, json_bytes, parts
from conformance.cases.elements import JSON, from_json

Array = np.ndarray[Any, Any]
Entry = tuple[int, int]
Encoder = Callable[[Array], bytes]

EMPTY: Final[Entry] = (2**64 - 1, 2**64 - 1)
"""An empty entry (INDEX-EMPTY)."""

LITTLE: Final = {"name": "bytes", "configuration": {"endian": "little"}}
BIG: Final = {"name": "bytes", "configuration": {"endian": "big"}}
CRC32C: Final = {"name": "crc32c"}
GZIP: Final = {"name": "gzip", "configuration": {"level": 0}}
ZSTD: Final = {"name": "zstd", "configuration": {"level": 0, "checksum": False}}


# ── metadata ──────────────────────────────────────────────────────────────────────────────────────────


def transpose(*order: int) -> JSON:
    """Give the codec object."""
    return {"name": "transpose", "configuration": {"order": list(order)}}


def sharding(
    inner: Sequence[int],
    codecs: Sequence[JSON] = (LITTLE,),
    index_codecs: Sequence[JSON] = (LITTLE, CRC32C),
    location: str | None = "end",
) -> JSON:
    """Give the codec object; without `index_location` where `location` is None."""
    configuration: dict[str, JSON] = {
        "chunk_shape": list(inner),
        "codecs": list(codecs),
        "index_codecs": list(index_codecs),
    }
    if location is not None:
        configuration["index_location"] = location
    return {"name": "sharding_indexed", "configuration": configuration}


def document(
    shape: Sequence[int],
    shard: Sequence[int],
    codecs: Sequence[JSON],
    data_type: JSON = "int32",
    fill_value: JSON = -7,
    **members: JSON,
) -> dict[str, JSON]:
    """Give the metadata of an array; `members` are added, or put in place of what is there."""
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": data_type,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shard)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill_value,
        "codecs": list(codecs),
        "attributes": {},
        **members,
    }


# ── bytes → bytes ─────────────────────────────────────────────────────────────────────────────────────


@cache
def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)  # Castagnoli's polynomial, reflected (RFC 3720)
        table.append(crc)
    return table


def checksum(body: bytes) -> int:
    """CRC32C."""
    table, crc = _crc_table(), 0xFFFFFFFF
    for byte in body:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def crc32c(body: bytes) -> bytes:
    """Append the checksum, as the codec crc32c does."""
    return body + struct.pack("<I", checksum(body))


# ── array → bytes ─────────────────────────────────────────────────────────────────────────────────────


def little(array: Array) -> bytes:
    """Give the elements, little-endian."""
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def big(array: Array) -> bytes:
    """Give the elements, big-endian."""
    return array.astype(array.dtype.newbyteorder(">")).tobytes()


def table(entries: Iterable[Entry]) -> bytes:
    """Give the index, little-endian, without a checksum."""
    return b"".join(struct.pack("<QQ", *entry) for entry in entries)


def little_crc(entries: Sequence[Entry]) -> bytes:
    """Give the index as the specification recommends it (INDEX-CODECS-RECOMMENDED)."""
    return crc32c(table(entries))


def index_of(encode: Encoder, *counts: int) -> Callable[[Sequence[Entry]], bytes]:
    """Encode an index as an array of shape `counts`, and 2 behind it (INDEX-ARRAY)."""
    return lambda entries: encode(np.array(entries, np.uint64).reshape(*counts, 2))


def pieces(array: Array, shape: Sequence[int]) -> Iterator[Array]:
    """Cut an array into pieces of `shape`, in C order."""
    for corner in product(*(range(0, n, c) for n, c in zip(array.shape, shape, strict=True))):
        # With "..." a piece of a 0-d array is one as well; a scalar would lose its byte order in `big`.
        place: list[Any] = [slice(at, at + c) for at, c in zip(corner, shape, strict=True)]
        yield array[(*place, ...)]


def assemble(
    chunks: Sequence[bytes | None],
    *,
    location: str = "end",
    encode_index: Callable[[Sequence[Entry]], bytes] = little_crc,
    order: Sequence[int] | None = None,
    junk: tuple[bytes, bytes, bytes] = (b"", b"", b""),
) -> bytes:
    """Make a shard of encoded inner chunks.

    Parameters
    ----------
    chunks
        In C order; None is an empty one.
    location
        Where the index stands.
    encode_index
        From the entries to the encoded index.
    order
        In which order the chunks are put down; C order if None.
    junk
        Bytes before the first, between any two, and behind the last inner chunk.
    """
    before, between, after = junk
    entries = [EMPTY] * len(chunks)
    head = len(encode_index(entries)) if location == "start" else 0
    body = bytearray(before)
    first = True
    for at in range(len(chunks)) if order is None else order:
        chunk = chunks[at]
        if chunk is None:
            continue
        body += b"" if first else between
        entries[at] = (head + len(body), len(chunk))
        body += chunk
        first = False
    body += after
    index = encode_index(entries)
    return index + bytes(body) if location == "start" else bytes(body) + index


def sharded(inner: Sequence[int], encode: Encoder, *, fill: Array | None = None, **assembly: Any) -> Encoder:
    """Encode arrays as shards of inner chunks of shape `inner`; those of nothing but `fill` are empty."""

    def encoded(array: Array) -> bytes:
        chunks = [
            None if fill is not None and _is_fill(piece, fill) else encode(piece)
            for piece in pieces(array, inner)
        ]
        return assemble(chunks, **assembly)

    return encoded


def _is_fill(array: Array, fill: Array) -> bool:
    # Bit by bit: -0.0 is not 0.0 here, and one NaN is not another.
    return array.tobytes() == np.broadcast_to(fill.astype(array.dtype), array.shape).tobytes()


# ── arrays ────────────────────────────────────────────────────────────────────────────────────────────


def default_key(coords: Sequence[int]) -> str:
    """Name a chunk as the key encoding `default` does."""
    return "/".join(["c", *map(str, coords)])


def store(
    metadata: dict[str, JSON],
    values: Array,
    encode: Encoder,
    *,
    key: Callable[[Sequence[int]], str] = default_key,
    absent: Iterable[tuple[int, ...]] = (),
    padding: Array | None = None,
) -> dict[str, bytes]:
    """Make an array's files: `zarr.json` and a shard for each place of the grid but those in `absent`.

    What lies outside the array (EDGE-CHUNKS) is `padding`, or else the fill value (EDGE-FILL).
    """
    shard = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    if padding is None:
        padding = from_json([metadata["fill_value"]], metadata["data_type"], ())
    counts = [-(-n // c) for n, c in zip(values.shape, shard, strict=True)]
    padded = np.full([n * c for n, c in zip(counts, shard, strict=True)], padding, values.dtype)
    padded[tuple(slice(n) for n in values.shape)] = values
    files = {"zarr.json": json_bytes(metadata)}
    for coords, piece in zip(np.ndindex(*counts), pieces(padded, shard), strict=True):
        if coords not in absent:
            files[key(coords)] = encode(piece)
    return files


def filled(metadata: dict[str, JSON]) -> Array:
    """Give the array's fill value, everywhere."""
    fill = from_json([metadata["fill_value"]], metadata["data_type"], ())
    return np.full(metadata["shape"], fill, fill.dtype)


def inner_shape(metadata: dict[str, JSON]) -> list[int]:
    """Give the shape of the outermost inner chunks along the array's own axes."""
    axes = list(range(len(metadata["shape"])))
    for codec in metadata["codecs"]:
        if codec["name"] == "transpose":
            axes = [axes[axis] for axis in codec["configuration"]["order"]]
        elif codec["name"] == "sharding_indexed":
            sizes = dict(zip(axes, codec["configuration"]["chunk_shape"], strict=True))
            return [sizes[axis] for axis in range(len(axes))]
    raise AssertionError("every vector has a sharding codec")


def vector(
    name: str,
    title: str,
    requirements: Sequence[str],
    metadata: dict[str, JSON],
    values: Array,
    encode: Encoder,
    **storing: Any,
) -> Draft:
    """Make a good vector, with the usual parts; `storing` is what `store` takes."""
    return Draft(
        name=name,
        title=title,
        requirements=tuple(requirements),
        files=store(metadata, values, encode, **storing),
        values=values,
        data_type=metadata["data_type"],
        selections=parts(values.shape, inner_shape(metadata)),
    )
