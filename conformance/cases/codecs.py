"""Vectors for the codecs of inner chunks, those of compressors with stored data (see `stored`)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from conformance.cases import hand, stored
from conformance.cases.draft import Draft
from conformance.cases.hand import (
    BIG,
    CRC32C,
    LITTLE,
    crc32c,
    document,
    little,
    sharded,
    sharding,
    transpose,
    vector,
)

PLANE: Final = np.arange(1, 49, dtype="<i4").reshape(6, 8)
INNER: Final = [3, 4]
"""Inner chunks of 48 bytes."""


def codec(name: str, **configuration: Any) -> dict[str, Any]:
    """Give the codec object."""
    return {"name": name, "configuration": configuration}


BLOSC: Final = codec("blosc", cname="lz4", clevel=0, shuffle="noshuffle", typesize=4, blocksize=0)


def drafts() -> Iterator[Draft]:
    """Give the vectors."""
    yield from _specified()
    yield from _numcodecs_bytes()
    yield from _numcodecs_arrays()


def _specified() -> Iterator[Draft]:
    chains: dict[str, tuple[list[Any], hand.Encoder, str]] = {
        "bytes-big": ([BIG], hand.big, "big-endian elements"),
        "crc32c": ([LITTLE, CRC32C], lambda a: crc32c(little(a)), "a checksum"),
        "crc32c-twice": ([LITTLE, CRC32C, CRC32C], lambda a: crc32c(crc32c(little(a))), "two checksums"),
        "gzip": ([LITTLE, hand.GZIP], lambda a: stored.gzip(little(a)), "gzip, stored"),
        "gzip-with-name": (
            [LITTLE, hand.GZIP],
            lambda a: stored.gzip(little(a), name=b"chunk"),
            "gzip with a file name in its header",
        ),
        "zstd": ([LITTLE, hand.ZSTD], lambda a: stored.zstd(little(a)), "zstd, a raw block"),
        "zstd-unsized": (
            [LITTLE, hand.ZSTD],
            lambda a: stored.zstd_unsized(little(a)),
            "zstd frames that do not declare their size",
        ),
        "blosc": ([LITTLE, BLOSC], lambda a: stored.blosc(little(a), 4), "blosc, stored"),
        "transpose": ([transpose(1, 0), LITTLE], lambda a: little(a.T), "a transpose"),
        "transpose-twice": (
            [transpose(1, 0), transpose(1, 0), LITTLE],
            little,
            "a transpose there and one back",
        ),
        "transpose-identity": ([transpose(0, 1), LITTLE], little, "a transpose that changes nothing"),
        "everything": (
            [transpose(1, 0), BIG, hand.ZSTD, hand.GZIP, CRC32C],
            lambda a: crc32c(stored.gzip(stored.zstd(hand.big(a.T)))),
            "five codecs one after the other",
        ),
    }
    for name, (codecs, encode, words) in chains.items():
        yield _chain(name, f"Inner chunks of {words}", codecs, encode)
    yield _chain(
        "zstd-repeated",
        "Inner chunks of a zstd block that says one byte and how often",
        [LITTLE, hand.ZSTD],
        lambda a: stored.zstd_repeated(int(a.reshape(-1)[0]) & 0xFF, a.nbytes),
        values=np.repeat(np.repeat([[0x01010101, 0x02020202], [0, -1]], 3, 0), 4, 1).astype("<i4"),
    )
    cube = np.arange(4 * 2 * 6, dtype="<i4").reshape(4, 2, 6)
    for order in ((1, 2, 0), (2, 0, 1)):
        yield vector(
            f"codec-transpose-3d-{''.join(map(str, order))}",
            f"Inner chunks with their axes in the order {order}",
            ["CHAIN-ENCODE", "CHAIN-DECODE"],
            document(cube.shape, cube.shape, [sharding([2, 2, 3], [transpose(*order), LITTLE])]),
            cube,
            sharded([2, 2, 3], lambda a, order=order: little(a.transpose(order))),  # type: ignore[misc]
        )


def _numcodecs_bytes() -> Iterator[Draft]:
    def first(checksum: int, body: bytes) -> bytes:
        return struct.pack("<I", checksum) + body

    chains: dict[str, tuple[Any, Any]] = {
        "numcodecs.crc32": ({"location": "start"}, lambda body: first(zlib.crc32(body), body)),
        "numcodecs.adler32": ({"location": "start"}, lambda body: first(zlib.adler32(body), body)),
        "numcodecs.crc32c": ({"location": "end"}, crc32c),
        "numcodecs.fletcher32": ({}, lambda body: body + struct.pack("<I", fletcher32(body))),
        "numcodecs.shuffle": (
            {"elementsize": 4},
            lambda body: np.frombuffer(body, "u1").reshape(-1, 4).T.tobytes(),
        ),
        "numcodecs.zlib": ({"level": 0}, stored.zlib_stream),
        "numcodecs.gzip": ({"level": 0}, stored.gzip),
        "numcodecs.zstd": ({"level": 0}, stored.zstd),
        "numcodecs.blosc": (
            {"cname": "lz4", "clevel": 0, "shuffle": 0, "blocksize": 0},
            lambda body: stored.blosc(body, 1),
        ),
        "numcodecs.lz4": ({"acceleration": 1}, stored.lz4),
    }
    for name, (configuration, encode) in chains.items():
        yield _chain(
            name,
            f"Inner chunks through {name}",
            [LITTLE, codec(name, **configuration)],
            lambda a, encode=encode: encode(little(a)),  # type: ignore[misc]
        )


def _numcodecs_arrays() -> Iterator[Draft]:
    def differences(array: Any) -> Any:
        return np.diff(array.reshape(-1), prepend=array.dtype.type(0))

    yield _chain(
        "numcodecs.delta",
        "Inner chunks of differences, kept as smaller integers",
        [codec("numcodecs.delta", dtype="<i4", astype="<i2"), LITTLE],
        lambda a: little(differences(a).astype("<i2")),
    )
    yield _chain(
        "numcodecs.astype",
        "Inner chunks of elements kept as another type",
        [codec("numcodecs.astype", encode_dtype="<i2", decode_dtype="<i4"), LITTLE],
        lambda a: little(a.astype("<i2")),
    )
    yield _chain(
        "numcodecs.fixedscaleoffset",
        "Inner chunks of floats kept as integers",
        [codec("numcodecs.fixedscaleoffset", offset=3, scale=4, dtype="<f8", astype="<i2"), LITTLE],
        lambda a: little(((a - 3) * 4).astype("<i2")),
        values=PLANE.astype("<f8") / 4,
        data_type="float64",
        fill_value=0.0,
    )
    for name, configuration in (
        ("numcodecs.bitround", {"keepbits": 8}),
        ("numcodecs.quantize", {"digits": 2, "dtype": "<f4"}),
    ):
        yield _chain(
            name,
            f"{name}, which only changes what is written: decoding takes the elements as they are",
            [codec(name, **configuration), LITTLE],
            little,
            values=PLANE.astype("<f4") / 4,
            data_type="float32",
            fill_value=0.0,
        )
    yield _chain(
        "numcodecs.packbits",
        "Inner chunks of bits",
        [codec("numcodecs.packbits"), {"name": "bytes"}],
        lambda a: bytes([-a.size % 8]) + np.packbits(a.reshape(-1)).tobytes(),
        values=PLANE % 3 == 0,
        data_type="bool",
        fill_value=False,
    )


def fletcher32(body: bytes) -> int:
    """HDF5's Fletcher checksum of an even number of bytes: sums of big-endian 16-bit words."""
    low = high = 0
    for (word,) in struct.iter_unpack(">H", body):
        low = (low + word) % 0xFFFF
        high = (high + low) % 0xFFFF
    return high << 16 | low


def _chain(
    name: str,
    title: str,
    codecs: list[Any],
    encode: hand.Encoder,
    values: Any = PLANE,
    data_type: str = "int32",
    fill_value: Any = -7,
) -> Draft:
    return vector(
        f"codec-{name}",
        title,
        ["CHAIN-ORDER", "CHAIN-ENCODE", "CHAIN-DECODE", "CODECS-LIST", "CODECS-ONE-ARRAY-BYTES"],
        document(values.shape, values.shape, [sharding(INNER, codecs)], data_type, fill_value),
        values,
        sharded(INNER, encode),
    )
