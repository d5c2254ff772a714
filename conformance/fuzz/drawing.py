"""Arrays drawn by Hypothesis: metadata, values, layouts, selections, and what is broken in them.

Owns the choice. Simple choices come first everywhere, so that what Hypothesis shrinks becomes simple.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from hypothesis import strategies as st

from conformance.cases import hand
from conformance.cases.elements import JSON, dtype_of, to_json
from conformance.cases.hand import BIG, CRC32C, LITTLE, Array
from conformance.fuzz import breaking
from conformance.fuzz.encoding import Layout, encoder
from conformance.implementations import Document, Index

TYPES: Final = (
    *("uint8", "int32", "bool", "int8", "int16", "int64", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
WRITERS: Final = ("hand", "zarr-shard-codec", "tensorstore")
_MOST_AXES: Final = 4
_SIGNALLING: Final = {2: 0x7C01, 4: 0x7F800001, 8: 0x7FF0000000000001}
"""NaNs that arithmetic would make quiet, by item size in bytes."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """An array to be written and read.

    Attributes
    ----------
    document
        Its metadata.
    values
        What is in it, if nothing is broken.
    writer
        One of `WRITERS`.
    files
        What `hand` makes of it; for other writers, empty.
    selections
        Parts to read.
    damage
        What happens to its files once they are written, in this order.
    broken
        Whether anything at all is broken, entries included.
    """

    document: Document
    values: Array
    writer: str
    files: dict[str, bytes]
    selections: tuple[Index, ...]
    damage: tuple[breaking.Damage, ...]
    broken: bool


@st.composite
def arrays(draw: st.DrawFn) -> Drawn:
    """An array of any kind that both readers know."""
    data_type = draw(st.sampled_from(TYPES))
    dtype = dtype_of(data_type)
    ndim = draw(st.integers(1, _MOST_AXES) | st.just(0))
    chain, shard_shape, levels = draw(_chains(ndim, dtype.itemsize))
    shape = [draw(st.integers(1, max(1, 5 * size // 2)) | st.just(0)) for size in shard_shape]
    fill = draw(_fills(dtype))
    separator = draw(st.sampled_from(["/", "."]))
    keys = draw(st.sampled_from(["default", "v2"]))
    document = hand.document(
        shape,
        shard_shape,
        chain,
        data_type,
        to_json(fill)[0],
        chunk_key_encoding={"name": keys, "configuration": {"separator": separator}},
    )
    values = _values(draw, dtype, shape, shard_shape, fill)
    writer = draw(st.sampled_from(WRITERS))
    files: dict[str, bytes] = {}
    corrupted = False
    if writer == "hand":
        layouts = [draw(_layouts()) for _ in range(levels)]
        corrupted = any(layout.corrupt is not None for layout in layouts)
        # What is at a level that is repeated needs one layout a level, whatever the number of its shards.
        encode = encoder(chain, fill.reshape(()), itertools.cycle(layouts))
        padding = np.frombuffer(draw(st.sampled_from([bytes(16), b"\x01" * 16]))[: dtype.itemsize], dtype)
        files = hand.store(document, values, encode, key=_key(keys, separator), padding=padding.reshape(()))
        if draw(st.booleans()):
            files = _without_fill(files, values, shard_shape, fill, _key(keys, separator))
    damage = tuple(draw(st.lists(breaking.damages(document), max_size=2)))
    selections = tuple(draw(st.lists(_selections(shape), max_size=3)))
    return Drawn(document, values, writer, files, selections, damage, corrupted or bool(damage))


@st.composite
def _chains(draw: st.DrawFn, ndim: int, itemsize: int) -> tuple[list[JSON], list[int], int]:
    """A chain with one to three sharding codecs, the shape of its shards, and how many they are."""
    shape = [draw(st.integers(1, 3 if ndim < 3 else 2)) for _ in range(ndim)]
    codecs: list[JSON] = [*draw(_transposes(ndim)), draw(st.sampled_from([LITTLE, BIG]))]
    shape = _untransposed(shape, codecs)
    codecs += draw(st.lists(st.sampled_from(_compressors(itemsize)), max_size=2))
    levels = draw(st.integers(1, 3)) if ndim < 3 else 1
    for _ in range(levels):
        shape, inner = [size * draw(st.integers(1, 3 if ndim < 3 else 2)) for size in shape], shape
        location = draw(st.sampled_from(["end", "start", None]))
        shard = hand.sharding(inner, codecs, draw(_index_chains(ndim)), location)
        before = draw(_transposes(ndim))
        # Rare: tensorstore does not read on then.
        after = [draw(st.sampled_from(_compressors(itemsize)))] if draw(st.integers(0, 49)) == 49 else []
        codecs = [*before, shard, *after]
        shape = _untransposed(shape, codecs)
    return codecs, shape, levels


@st.composite
def _index_chains(draw: st.DrawFn, ndim: int) -> list[JSON]:
    before = draw(_transposes(ndim + 1))
    after = draw(st.sampled_from([[CRC32C], [], [CRC32C, CRC32C]]))
    return [*before, draw(st.sampled_from([LITTLE, BIG])), *after]


@st.composite
def _transposes(draw: st.DrawFn, ndim: int) -> list[JSON]:
    if ndim < 1 or draw(st.integers(0, 3)) < 3:
        return []
    return [hand.transpose(*draw(st.permutations(range(ndim))))]


def _untransposed(shape: Sequence[int], codecs: Sequence[JSON]) -> list[int]:
    """Undo the transpose that a chain begins with, if it does: the shape of what the chain is given."""
    if codecs[0]["name"] != "transpose":
        return list(shape)
    order = codecs[0]["configuration"]["order"]
    return [shape[order.index(axis)] for axis in range(len(order))]


def _compressors(itemsize: int) -> list[JSON]:
    blosc = {"cname": "lz4", "clevel": 1, "shuffle": "shuffle", "typesize": itemsize, "blocksize": 0}
    return [
        CRC32C,
        {"name": "gzip", "configuration": {"level": 1}},
        {"name": "zstd", "configuration": {"level": 1, "checksum": False}},
        {"name": "zstd", "configuration": {"level": 1, "checksum": True}},
        {"name": "blosc", "configuration": blosc},
        {"name": "blosc", "configuration": {**blosc, "cname": "zstd", "shuffle": "bitshuffle"}},
    ]


@st.composite
def _layouts(draw: st.DrawFn) -> Layout:
    junk = st.sampled_from([b"", b"\xee", bytes(7)])
    return Layout(
        order=draw(st.integers(0, 3)),
        junk=(draw(junk), draw(junk), draw(junk)),
        write_fill=draw(st.booleans()),
        corrupt=draw(st.none() | st.none() | st.none() | breaking.corruptions()),
    )


def _fills(dtype: np.dtype[Any]) -> st.SearchStrategy[Array]:
    """Fill values, as arrays of one element: zero, all bits, and NaNs with payloads."""
    patterns = [bytes(16), b"\x01" + bytes(15)]
    if dtype.kind != "b":
        patterns += [b"\xff" * 16, b"\x00" * (dtype.itemsize - 1) + b"\x80" + bytes(16)]
    if dtype.kind == "f":
        patterns.append(_SIGNALLING[dtype.itemsize].to_bytes(dtype.itemsize, "little"))
    return st.sampled_from([np.frombuffer(pattern[: dtype.itemsize], dtype) for pattern in patterns])


def _values(
    draw: st.DrawFn, dtype: np.dtype[Any], shape: Sequence[int], shard_shape: Sequence[int], fill: Array
) -> Array:
    """Values from a seed (0 counts up), some of them fill value, and perhaps a whole shard of it."""
    seed = draw(st.integers(0, 2**16))
    size = int(np.prod(shape, dtype=int))
    random = np.random.default_rng(seed)
    if dtype.kind == "b":
        values = random.integers(0, 2, size).astype(dtype)
    elif seed:
        values = np.frombuffer(random.bytes(size * dtype.itemsize), dtype).copy()
    else:
        values = np.arange(1, size + 1).astype(dtype)
    values[random.random(size) < draw(st.sampled_from([0, 0.5, 1]))] = fill[0]
    values = values.reshape(shape)
    if draw(st.booleans()):
        values[tuple(slice(size) for size in shard_shape)] = fill[0]
    return values


def _without_fill(
    files: dict[str, bytes], values: Array, shard_shape: Sequence[int], fill: Array, key: Any
) -> dict[str, bytes]:
    """Leave out the shards that are fill value and no more."""
    kept = dict(files)
    for coords in np.ndindex(*(-(-n // c) for n, c in zip(values.shape, shard_shape, strict=True))):
        part = values[tuple(slice(at * c, (at + 1) * c) for at, c in zip(coords, shard_shape, strict=True))]
        if part.tobytes() == fill.tobytes() * part.size:
            del kept[key(coords)]
    return kept


def _key(encoding: str, separator: str) -> Any:
    """Name chunks as the key encodings do (core specification, "Chunk key encoding")."""
    if encoding == "v2":
        return lambda coords: separator.join(map(str, coords)) or "0"
    return lambda coords: separator.join(["c", *map(str, coords)])


@st.composite
def _selections(draw: st.DrawFn, shape: Sequence[int]) -> Index:
    items: list[slice | int] = []
    for size in shape:
        start = draw(st.integers(0, max(size - 1, 0)))
        if size and draw(st.integers(0, 3)) == 3:
            items.append(start)
        else:
            stop = draw(st.integers(start, size))
            items.append(slice(start, stop, draw(st.integers(1, 3))))
    return tuple(items)
