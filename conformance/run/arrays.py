"""The arrays that every writer writes: some forty, each there for one thing that can go wrong.

Owns their metadata, their values (from a fixed seed) and the parts in which they are read.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from conformance.cases.elements import dtype_of, from_json
from conformance.implementations import Array, Document, Index

_LITTLE: Final = {"name": "bytes", "configuration": {"endian": "little"}}
_BIG: Final = {"name": "bytes", "configuration": {"endian": "big"}}
_ONE_BYTE: Final = {"name": "bytes"}
_CRC: Final = {"name": "crc32c"}
_GZIP: Final = {"name": "gzip", "configuration": {"level": 1}}
_ZSTD: Final = {"name": "zstd", "configuration": {"level": 1, "checksum": True}}
_TYPES: Final = (
    "bool",
    *(f"{sign}int{bits}" for bits in (8, 16, 32, 64) for sign in ("", "u")),
    *("float16", "float32", "float64", "complex64", "complex128", "r24"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """An array to write.

    Attributes
    ----------
    name
        Its id in the results.
    document
        Its metadata.
    values
        Its values.
    parts
        In which it is read, besides as a whole.
    changed
        What an update changes: neither whole inner chunks nor whole shards, where there is room for that.
    """

    name: str
    document: Document
    values: Array
    parts: tuple[Index, ...]
    changed: Index

    def changes(self) -> Array:
        """Values that an update writes: others than are there."""
        return np.ascontiguousarray(self.values[::-1][self.changed] if self.values.shape else self.values)


@dataclass(frozen=True, slots=True)
class _Draft:
    """What a sample is made of; the defaults are two-dimensional, with edges in both directions."""

    name: str
    data_type: str = "int32"
    shape: Sequence[int] = (13, 10)
    shard: Sequence[int] = (8, 8)
    inner: Sequence[int] = (4, 2)
    codecs: Sequence[Any] = (_LITTLE,)
    index_codecs: Sequence[Any] = (_LITTLE, _CRC)
    location: str = "end"
    before: Sequence[Any] = ()
    after: Sequence[Any] = ()
    fill_value: Any = 0
    keys: Any = field(default_factory=lambda: {"name": "default", "configuration": {"separator": "/"}})
    sparse: float = 0.0
    """Share of the inner chunks that is all fill value."""

    def sample(self) -> Sample:
        sharding = _sharding(self.inner, self.codecs, self.index_codecs, self.location)
        document = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(self.shape),
            "data_type": self.data_type,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(self.shard)}},
            "chunk_key_encoding": self.keys,
            "fill_value": self.fill_value,
            "codecs": [*self.before, sharding, *self.after],
            "attributes": {},
        }
        parts = tuple(part for part in _parts(self.shape, self.inner) if part)
        return Sample(self.name, document, self._values(), parts, _middle(self.shape))

    def _values(self) -> Array:
        draw = np.random.default_rng(zlib.crc32(self.name.encode()))
        dtype = dtype_of(self.data_type).newbyteorder("=")
        values = _drawn(draw, dtype, tuple(self.shape))
        if self.sparse:
            fill = from_json([self.fill_value], self.data_type, ())
            for chunk in _chunks(self.shape, self.inner):
                if draw.random() < self.sparse:
                    values[chunk] = fill
        return values


def samples() -> list[Sample]:
    """Return all of them. Each call makes the same."""
    return [draft.sample() for draft in _drafts()]


def _drafts() -> list[_Draft]:
    return [
        *(
            _Draft(f"type-{name}", name, codecs=[_bytes_of(name), _ZSTD], fill_value=_zero(name), sparse=0.2)
            for name in _TYPES
        ),
        _Draft("codec-none"),
        _Draft("codec-big-endian", codecs=[_BIG]),
        _Draft("codec-gzip", codecs=[_LITTLE, _GZIP]),
        _Draft("codec-crc32c", codecs=[_LITTLE, _CRC]),
        _Draft("codec-zstd-crc32c", codecs=[_LITTLE, _ZSTD, _CRC]),
        _Draft("codec-blosc-lz4", "uint16", codecs=[_LITTLE, _blosc("lz4", "shuffle", 2)]),
        _Draft("codec-blosc-zstd-bits", "float64", codecs=[_LITTLE, _blosc("zstd", "bitshuffle", 8)]),
        _Draft("codec-transpose", codecs=[_transpose(1, 0), _LITTLE, _ZSTD]),
        _Draft("index-start", location="start"),
        _Draft("index-start-zstd", location="start", codecs=[_LITTLE, _ZSTD], sparse=0.3),
        _Draft("index-plain", index_codecs=[_LITTLE]),
        _Draft("index-big-endian", index_codecs=[_BIG, _CRC]),
        _Draft("nested", codecs=[_sharding((2, 1), [_LITTLE, _ZSTD])], inner=(4, 4)),
        _Draft("nested-start-in-end", codecs=[_sharding((2, 2), [_LITTLE], location="start")], inner=(4, 4)),
        _Draft(
            "nested-three",
            shape=(30,),
            shard=(16,),
            inner=(8,),
            codecs=[_sharding((4,), [_sharding((2,), [_LITTLE])])],
        ),
        _Draft("transposed", before=[_transpose(1, 0)], inner=(2, 4)),
        _Draft(
            "transposed-3d",
            shape=(5, 7, 9),
            shard=(2, 4, 6),
            before=[_transpose(1, 2, 0)],
            inner=(2, 3, 1),
        ),
        _Draft("gzip-after", after=[_GZIP]),
        _Draft("crc32c-after", after=[_CRC]),
        _Draft("fill-nan", "float32", fill_value="NaN", sparse=0.5),
        _Draft("fill-nan-payload", "float32", fill_value="0x7fc00123", sparse=0.5),
        _Draft("fill-infinity", "float64", fill_value="-Infinity", sparse=0.5),
        _Draft("fill-negative-zero", "float64", fill_value=-0.0, sparse=0.5),
        _Draft("fill-number", "int16", fill_value=-7, sparse=0.5),
        _Draft("mostly-empty", shape=(40, 40), codecs=[_LITTLE, _ZSTD], sparse=0.97),
        _Draft("all-empty", sparse=1.1),
        _Draft("keys-dots", keys={"name": "default", "configuration": {"separator": "."}}),
        _Draft("keys-v2", keys={"name": "v2", "configuration": {"separator": "/"}}),
        _Draft("shape-0d", shape=(), shard=(), inner=()),
        _Draft("shape-5d", shape=(3, 2, 5, 3, 4), shard=(2, 2, 4, 2, 2), inner=(1, 2, 2, 1, 2)),
        _Draft("one-inner-chunk", inner=(8, 8)),
        _Draft("many-inner-chunks", "uint8", (64, 64), (64, 64), (1, 2), [_ONE_BYTE]),
    ]


def _drawn(draw: np.random.Generator, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """Draw values; a few floats are those that comparisons get wrong."""
    size = int(np.prod(shape))
    if dtype.kind == "b":
        return draw.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iuV":
        return np.frombuffer(draw.bytes(size * dtype.itemsize), dtype).reshape(shape).copy()
    if dtype.kind == "c":
        parts = _drawn(draw, np.dtype(f"f{dtype.itemsize // 2}"), (*shape, 2))
        return np.ascontiguousarray(parts).view(dtype)[..., 0]
    values = draw.normal(0, 100, shape).astype(dtype)
    flat = values.reshape(-1)
    for at, special in zip(draw.permutation(size), (np.nan, -0.0, np.inf, -np.inf), strict=False):
        flat[at] = special
    return values


def _chunks(shape: Sequence[int], chunk: Sequence[int]) -> list[Index]:
    counts = [-(-size // step) for size, step in zip(shape, chunk, strict=True)]
    return [
        tuple(slice(at * step, (at + 1) * step) for at, step in zip(coords, chunk, strict=True))
        for coords in np.ndindex(*counts)
    ]


def _parts(shape: Sequence[int], inner: Sequence[int]) -> list[Index]:
    """One inner chunk, and a box that lies across inner chunks and shards."""
    one = tuple(slice(0, min(size, chunk), 1) for size, chunk in zip(shape, inner, strict=True))
    return [one, _middle(shape)]


def _middle(shape: Sequence[int]) -> Index:
    return tuple(slice(min(1, size - 1), max(size - 1, 1), 1) for size in shape)


def _sharding(
    inner: Sequence[int],
    codecs: Sequence[Any],
    index_codecs: Sequence[Any] = (_LITTLE, _CRC),
    location: str = "end",
) -> Document:
    configuration = {
        "chunk_shape": list(inner),
        "codecs": list(codecs),
        "index_codecs": list(index_codecs),
        "index_location": location,
    }
    return {"name": "sharding_indexed", "configuration": configuration}


def _transpose(*order: int) -> Document:
    return {"name": "transpose", "configuration": {"order": list(order)}}


def _blosc(cname: str, shuffle: str, typesize: int) -> Document:
    settings = {"cname": cname, "clevel": 1, "shuffle": shuffle, "typesize": typesize, "blocksize": 0}
    return {"name": "blosc", "configuration": settings}


def _bytes_of(data_type: str) -> Document:
    return _ONE_BYTE if data_type in ("bool", "int8", "uint8", "r24") else _LITTLE


def _zero(data_type: str) -> Any:
    if data_type == "bool":
        return False
    if data_type == "r24":
        return [0, 0, 0]
    return [0.0, 0.0] if data_type.startswith("complex") else 0
