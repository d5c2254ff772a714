"""Vectors that other implementations write: the same arrays by each of them that can."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from conformance.cases import hand
from conformance.cases.codecs import codec
from conformance.cases.data_types import elements
from conformance.cases.draft import Draft, parts
from conformance.cases.elements import JSON, from_json
from conformance.cases.hand import BIG, CRC32C, LITTLE, document, sharding, transpose
from conformance.cases.peers import maker, written

FILL: Final = 7
GZIP: Final = codec("gzip", level=5)
ZSTD: Final = codec("zstd", level=3, checksum=False)
ALL: Final = ("tensorstore", "zarr-python", "zarrs", "zarrita")
BUT_ZARRITA: Final = ("tensorstore", "zarr-python", "zarrs")
BUT_TENSORSTORE: Final = ("zarr-python", "zarrs", "zarrita")


@dataclass(frozen=True, slots=True)
class Subject:
    """An array to be written, and who writes it."""

    title: str
    requirements: tuple[str, ...]
    metadata: dict[str, JSON]
    values: np.ndarray[Any, Any]
    peers: tuple[str, ...] = ALL


def drafts(peer: str) -> Iterator[Draft]:
    """Give the vectors that a peer writes."""
    for name, subject in subjects().items():
        if peer in subject.peers:
            yield Draft(
                name=f"{peer}-{name}",
                title=f"{subject.title}, written by {peer}",
                requirements=subject.requirements,
                files=written(peer, subject.metadata, subject.values),
                values=subject.values,
                data_type=subject.metadata["data_type"],
                selections=parts(subject.values.shape, hand.inner_shape(subject.metadata)),
                made_by=maker(peer, subject.metadata),
            )


def subjects() -> dict[str, Subject]:
    """Give all arrays by name."""
    return _codecs() | _indexes() | _nested() | _around() | _types() | _shapes() | _fills()


def _blosc(cname: str, shuffle: str) -> Any:
    return codec("blosc", cname=cname, clevel=5, shuffle=shuffle, typesize=4, blocksize=0)


def _model(shape: tuple[int, ...] = (10, 9)) -> np.ndarray[Any, Any]:
    """Give values with edges in every direction, empty inner chunks and an empty shard."""
    values = np.arange(int(np.prod(shape)), dtype="<i4").reshape(shape) * 3 % 100
    values[0:5, 3:] = FILL
    values[0:4, 6:] = FILL
    return values


def _sharded(codec: Any, *more: Any, before: tuple[Any, ...] = ()) -> dict[str, JSON]:
    return document([10, 9], [4, 6], [*before, codec, *more], fill_value=FILL)


def _codecs() -> dict[str, Subject]:
    requirements = (
        "CHAIN-ENCODE",
        "CHAIN-DECODE",
        "CODECS-LIST",
        "EDGE-CHUNKS",
        "INDEX-EMPTY-FILL",
        "FILL-ABSENT",
    )
    chains: dict[str, tuple[list[Any], tuple[str, ...]]] = {
        "bytes": ([LITTLE], ALL),
        "bytes-big": ([BIG], ALL),
        "crc32c": ([LITTLE, CRC32C], ALL),
        "gzip": ([LITTLE, GZIP], ALL),
        "zstd": ([LITTLE, ZSTD], ALL),
        "zstd-checksum": ([LITTLE, codec("zstd", level=1, checksum=True)], ALL),
        "zstd-crc32c": ([BIG, ZSTD, CRC32C], ALL),
        "transpose": ([transpose(1, 0), LITTLE], ALL),
        "transpose-gzip": ([transpose(1, 0), BIG, GZIP], ALL),
        "blosc-lz4": ([LITTLE, _blosc("lz4", "shuffle")], ALL),
        "blosc-zstd": ([LITTLE, _blosc("zstd", "bitshuffle")], ALL),
        "blosc-zlib": ([LITTLE, _blosc("zlib", "noshuffle")], BUT_ZARRITA),
        "blosc-blosclz": ([LITTLE, _blosc("blosclz", "shuffle")], BUT_ZARRITA),
        "blosc-lz4hc": ([LITTLE, _blosc("lz4hc", "bitshuffle")], BUT_ZARRITA),
        "blosc-snappy": ([LITTLE, _blosc("snappy", "shuffle")], ("tensorstore",)),
        "numcodecs.bz2": ([LITTLE, codec("numcodecs.bz2", level=5)], ("zarr-python",)),
        "numcodecs.lzma": ([LITTLE, codec("numcodecs.lzma", preset=1)], ("zarr-python",)),
        "numcodecs.lz4": ([LITTLE, codec("numcodecs.lz4", acceleration=1)], ("zarr-python",)),
        "numcodecs.zlib": ([LITTLE, codec("numcodecs.zlib", level=5)], ("zarr-python",)),
        "numcodecs.jenkins_lookup3": (
            [LITTLE, codec("numcodecs.jenkins_lookup3", initval=3)],
            ("zarr-python",),
        ),
        "numcodecs.delta": ([codec("numcodecs.delta", dtype="<i4"), LITTLE], ("zarr-python",)),
    }
    return {
        f"codec-{name}": Subject(
            f"Inner chunks through {name}", requirements, _sharded(sharding([2, 3], codecs)), _model(), peers
        )
        for name, (codecs, peers) in chains.items()
    }


def _indexes() -> dict[str, Subject]:
    requirements = ("INDEX-ENCODED", "INDEX-NBYTES", "INDEX-ENTRY", "INDEX-EMPTY")
    cases: dict[str, tuple[Any, tuple[str, ...]]] = {
        "start": (sharding([2, 3], location="start"), BUT_ZARRITA),
        "plain": (sharding([2, 3], index_codecs=[LITTLE]), ALL),
        "big-endian": (sharding([2, 3], index_codecs=[BIG, CRC32C]), ALL),
        "crc32c-twice": (sharding([2, 3], index_codecs=[LITTLE, CRC32C, CRC32C]), ALL),
        "transposed": (sharding([2, 3], index_codecs=[transpose(2, 0, 1), LITTLE, CRC32C]), ALL),
        "start-plain-big-endian": (
            sharding([2, 3], [LITTLE, ZSTD], index_codecs=[BIG], location="start"),
            BUT_ZARRITA,
        ),
    }
    found = {
        f"index-{name}": Subject(f"An index {name}", requirements, _sharded(codec), _model(), peers)
        for name, (codec, peers) in cases.items()
    }
    # zarrita 0.2.7 adds the index's size to empty entries, too; without any it is right.
    full = Subject(
        "An index at the start, no entry empty",
        ("LOCATION-START", "INDEX-ENTRY"),
        document([8, 6], [4, 6], [sharding([2, 3], location="start")], fill_value=-1),
        np.arange(48, dtype="<i4").reshape(8, 6),
    )
    return {**found, "index-start-full": full}


def _nested() -> dict[str, Subject]:
    requirements = ("CODECS-LIST", "CHAIN-DECODE", "EDGE-CHUNKS", "INDEX-EMPTY-FILL")
    cases: dict[str, tuple[Any, tuple[str, ...]]] = {
        "two-deep": (sharding([2, 3], [sharding([1, 3])]), ALL),
        "two-deep-zstd": (sharding([2, 3], [sharding([1, 1], [LITTLE, ZSTD])]), ALL),
        "two-deep-start": (
            sharding([2, 3], [sharding([1, 3], location="start")], location="start"),
            BUT_ZARRITA,
        ),
        "three-deep": (sharding([4, 3], [sharding([2, 3], [sharding([1, 1])])]), ALL),
        "transposed-between": (sharding([2, 6], [transpose(1, 0), sharding([3, 2])]), ("tensorstore",)),
    }
    return {
        f"nested-{name}": Subject(
            f"Shards within shards, {name}", requirements, _sharded(codec), _model(), peers
        )
        for name, (codec, peers) in cases.items()
    }


def _around() -> dict[str, Subject]:
    requirements = ("CHAIN-ORDER", "CHAIN-ENCODE", "CHAIN-DECODE")
    square = document([10, 9], [4, 4], [transpose(1, 0), sharding([2, 2])], fill_value=FILL)
    cube = np.arange(4 * 4 * 8, dtype="<i4").reshape(4, 4, 8)
    cube_codecs = [transpose(1, 2, 0), sharding([2, 2, 2])]
    shard = sharding([2, 3])
    # Square shards: zarr-python compares the inner shape with the shard as it is before the transpose.
    return {
        "before-transpose-2d": Subject("A transpose before the shard", requirements, square, _model()),
        "before-transpose-3d": Subject(
            "A transpose to [1, 2, 0] before the shard",
            requirements,
            document([4, 4, 8], [4, 4, 4], cube_codecs),
            cube,
        ),
        "before-transpose-3d-uneven": Subject(
            "A transpose before a shard whose inner shape fits once it is transposed",
            requirements,
            document([4, 3, 8], [2, 3, 8], [transpose(1, 2, 0), sharding([3, 4, 1])]),
            np.arange(96, dtype="<i4").reshape(4, 3, 8),
            ("tensorstore",),
        ),
        "after-crc32c": Subject(
            "A checksum behind the shard", requirements, _sharded(shard, CRC32C), _model(), BUT_TENSORSTORE
        ),
        "after-gzip": Subject(
            "gzip behind the shard", requirements, _sharded(shard, GZIP), _model(), BUT_TENSORSTORE
        ),
    }


def _types() -> dict[str, Subject]:
    requirements = ("CHAIN-ENCODE", "CHAIN-DECODE")
    cases: dict[str, tuple[Any, tuple[str, ...]]] = {
        "bool": (True, ("zarr-python", "zarrita")),
        "int8": (FILL, ("tensorstore", "zarrita")),
        "uint8": (FILL, ("zarr-python", "zarrs")),
        "int16": (FILL, ("zarrs", "zarrita")),
        "uint16": (FILL, ("tensorstore", "zarr-python")),
        "int32": (FILL, ("zarrs", "zarrita")),
        "uint32": (FILL, ("tensorstore", "zarr-python")),
        "int64": (FILL, ("tensorstore", "zarrita")),
        "uint64": (FILL, ("zarr-python", "zarrs")),
        "float16": ("NaN", BUT_ZARRITA),
        "float32": ("Infinity", BUT_ZARRITA),
        "float64": (-0.0, ALL),
        "complex64": (["NaN", 0.0], ("tensorstore", "zarr-python")),
        "complex128": ([1.5, "-Infinity"], ("zarr-python", "zarrs")),
    }
    found = {}
    for name, (fill_value, peers) in cases.items():
        values = elements(name)
        inner = [1, values.shape[1] // 2] if values.shape[1] == 4 else [1, 5]
        metadata = document(values.shape, values.shape, [sharding(inner)], name, fill_value)
        found[f"type-{name}"] = Subject(f"Elements of {name}", requirements, metadata, values, peers)
    return found


def _shapes() -> dict[str, Subject]:
    five = np.arange(3 * 2 * 4 * 3 * 5, dtype="<i4").reshape(3, 2, 4, 3, 5)
    line = np.arange(1, 12, dtype="<i4")
    plain = sharding([2, 3])
    v2 = {"name": "v2", "configuration": {"separator": "."}}
    dots = {"name": "default", "configuration": {"separator": "."}}
    return {
        "shape-0d": Subject(
            "No dimensions",
            ("INDEX-ARRAY", "INNER-CHUNKS-MANY"),
            document([], [], [sharding([])]),
            np.array(42, "<i4"),
            ("tensorstore",),  # zarr-python, and zarrs within it, cannot assign all of it
        ),
        "shape-5d": Subject(
            "Five dimensions",
            ("INDEX-ARRAY", "CHUNKS-PER-SHARD", "EDGE-CHUNKS"),
            document(five.shape, [2, 2, 4, 4, 4], [sharding([1, 2, 2, 4, 2])]),
            five,
        ),
        # zarrita 0.2.7 writes no shards of one dimension.
        "one-inner-chunk": Subject(
            "One inner chunk a shard",
            ("INNER-CHUNKS-MANY",),
            document([11], [4], [sharding([4])]),
            line,
            BUT_ZARRITA,
        ),
        "many-shards": Subject(
            "Shards and inner chunks past the edge",
            ("EDGE-CHUNKS", "INDEX-FULL"),
            document([11], [4], [sharding([2])]),
            line,
            BUT_ZARRITA,
        ),
        "key-v2": Subject(
            "Keys of the encoding v2",
            ("CHAIN-ENCODE",),
            document([10, 9], [4, 6], [plain], fill_value=FILL, chunk_key_encoding=v2),
            _model(),
        ),
        "key-default-dot": Subject(
            "Keys with dots",
            ("CHAIN-ENCODE",),
            document([10, 9], [4, 6], [plain], fill_value=FILL, chunk_key_encoding=dots),
            _model(),
        ),
    }


def _fills() -> dict[str, Subject]:
    cases: dict[str, tuple[str, Any, tuple[str, ...]]] = {
        "float32-nan": ("float32", "NaN", ALL),
        "float64-infinity": ("float64", "Infinity", ALL),
        "float32-nan-payload": ("float32", "0x7fc00001", ("tensorstore",)),
        "int64-lowest": ("int64", -(2**63), ALL),
        "bool-true": ("bool", True, ALL),
        "complex64": ("complex64", [1.0, -2.0], BUT_ZARRITA),
    }
    found = {}
    for name, (data_type, fill_value, peers) in cases.items():
        fill = from_json([fill_value], data_type, ())
        values = np.full((4, 6), fill)
        values[:2, :2] = np.zeros((), fill.dtype)
        metadata = document([4, 6], [4, 4], [sharding([2, 2])], data_type, fill_value)
        requirements = ("INDEX-EMPTY-FILL", "FILL-ABSENT", "FILL-REQUIRED")
        found[f"fill-{name}"] = Subject(f"Empty parts of {name}", requirements, metadata, values, peers)
    return found
