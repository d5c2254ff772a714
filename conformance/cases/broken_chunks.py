"""Vectors with one inner chunk that has one thing wrong in its bytes.

The arrays are those of `broken_bytes`: the second inner chunk of the second shard is replaced.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from conformance.cases import hand, stored
from conformance.cases.broken_bytes import VALUES, broken, flipped
from conformance.cases.codecs import BLOSC, codec, fletcher32
from conformance.cases.draft import Draft
from conformance.cases.hand import CRC32C, GZIP, LITTLE, ZSTD, assemble, crc32c, little, sharding

BODY: Final = little(VALUES[10:12])
"""What the inner chunk in question holds."""
LESS: Final = BODY[:4]
MORE: Final = BODY + b"\0\0\0\0"

_SIZE: Final = "The inner chunk decodes to another number of bytes than its elements have (CHAIN-DECODE)."
_STREAM: Final = "The inner chunk is no valid stream of its codec (CHAIN-DECODE)."
_SUM: Final = "The inner chunk's checksum does not fit it, and its codec must refuse that (CHAIN-DECODE)."

Encode = Callable[[bytes], bytes]

WRONG_SIZE: Final = ("inner_chunk_wrong_size", _SIZE)
UNDECODABLE: Final = ("inner_chunk_undecodable", _STREAM)
MISMATCH: Final = ("inner_chunk_checksum_mismatch", _SUM)

_LZ4: Final = codec("numcodecs.lz4", acceleration=1)
_RESERVED: Final = stored.zstd(BODY).replace(b"\x41\0\0", b"\x47\0\0")
"""A frame with a block of the reserved type 3."""


def _lz4(body: bytes) -> bytes:
    return struct.pack("<IB", len(body), len(body) << 4) + body


def _cases() -> dict[str, tuple[str, list[Any], Encode, bytes, tuple[str, str]]]:
    """By name: the title, the codecs, how good chunks are encoded, the broken one, and what is wrong."""
    crc, gzip, zstd = crc32c(BODY), stored.gzip(BODY), stored.zstd(BODY)
    blosc = stored.blosc(BODY, 4)
    crc32_start = codec("numcodecs.crc32", location="start")
    adler_start = codec("numcodecs.adler32", location="start")
    return {
        "too-short": ("An inner chunk of 4 bytes in place of 8", [], bytes, LESS, WRONG_SIZE),
        "too-long": ("An inner chunk of 12 bytes in place of 8", [], bytes, MORE, WRONG_SIZE),
        "crc32c-data": ("One bit changed before a crc32c", [CRC32C], crc32c, flipped(0)(crc), MISMATCH),
        "crc32c-checksum": ("One bit of a crc32c changed", [CRC32C], crc32c, flipped(-1)(crc), MISMATCH),
        "crc32c-cut": ("Three bytes, where a crc32c has four", [CRC32C], crc32c, b"\0\0\0", UNDECODABLE),
        "crc32c-too-short": (
            "4 bytes, and a crc32c that fits them",
            [CRC32C],
            crc32c,
            crc32c(LESS),
            WRONG_SIZE,
        ),
        "crc32c-too-long": (
            "Four bytes behind 8 and a crc32c that fits them",
            [CRC32C],
            crc32c,
            crc + LESS,
            WRONG_SIZE,
        ),
        "gzip-magic": (
            "A gzip member that does not begin as one",
            [GZIP],
            stored.gzip,
            flipped(0)(gzip),
            UNDECODABLE,
        ),
        "gzip-crc32": (
            "A gzip member with a wrong CRC-32",
            [GZIP],
            stored.gzip,
            flipped(-8)(gzip),
            UNDECODABLE,
        ),
        "gzip-size": ("A gzip member with a wrong size", [GZIP], stored.gzip, flipped(-4)(gzip), UNDECODABLE),
        "gzip-cut": ("A gzip member without its last byte", [GZIP], stored.gzip, gzip[:-1], UNDECODABLE),
        "gzip-too-short": ("A gzip member of 4 bytes", [GZIP], stored.gzip, stored.gzip(LESS), WRONG_SIZE),
        "gzip-too-long": ("A gzip member of 12 bytes", [GZIP], stored.gzip, stored.gzip(MORE), WRONG_SIZE),
        "zstd-magic": (
            "A zstd frame that does not begin as one",
            [ZSTD],
            stored.zstd,
            flipped(0)(zstd),
            UNDECODABLE,
        ),
        "zstd-cut": ("A zstd frame without its last byte", [ZSTD], stored.zstd, zstd[:-1], UNDECODABLE),
        "zstd-reserved-block": (
            "A zstd frame with a block of a reserved type",
            [ZSTD],
            stored.zstd,
            _RESERVED,
            UNDECODABLE,
        ),
        "zstd-too-short": ("A zstd frame of 4 bytes", [ZSTD], stored.zstd, stored.zstd(LESS), WRONG_SIZE),
        "zstd-too-long": ("A zstd frame of 12 bytes", [ZSTD], stored.zstd, stored.zstd(MORE), WRONG_SIZE),
        "zstd-bomb": (
            "A zstd frame of a mebibyte in 41 bytes",
            [ZSTD],
            stored.zstd,
            stored.zstd_many(0, 2**20),
            WRONG_SIZE,
        ),
        "blosc-cut": ("A Blosc container without its last byte", [BLOSC], _blosc, blosc[:-1], UNDECODABLE),
        "blosc-header-cut": ("A Blosc container of 15 bytes", [BLOSC], _blosc, blosc[:15], UNDECODABLE),
        "blosc-too-short": ("A Blosc container of 4 bytes", [BLOSC], _blosc, _blosc(LESS), WRONG_SIZE),
        "blosc-too-long": ("A Blosc container of 12 bytes", [BLOSC], _blosc, _blosc(MORE), WRONG_SIZE),
        "numcodecs.crc32": (
            "A wrong crc32 before the data",
            [crc32_start],
            _crc32,
            flipped(0)(_crc32(BODY)),
            MISMATCH,
        ),
        "numcodecs.adler32": (
            "A wrong adler32 before the data",
            [adler_start],
            _adler32,
            flipped(0)(_adler32(BODY)),
            MISMATCH,
        ),
        "numcodecs.fletcher32": (
            "A wrong fletcher32 behind the data",
            [codec("numcodecs.fletcher32")],
            _fletcher32,
            flipped(0)(_fletcher32(BODY)),
            MISMATCH,
        ),
        "numcodecs.lz4-cut": (
            "An LZ4 block without its last byte",
            [_LZ4],
            _lz4,
            _lz4(BODY)[:-1],
            UNDECODABLE,
        ),
        "numcodecs.lz4-too-long": ("An LZ4 block of 12 bytes", [_LZ4], _lz4, _lz4(MORE), WRONG_SIZE),
    }


def _blosc(body: bytes) -> bytes:
    return stored.blosc(body, 4)


def _crc32(body: bytes) -> bytes:
    return struct.pack("<I", zlib.crc32(body)) + body


def _adler32(body: bytes) -> bytes:
    return struct.pack("<I", zlib.adler32(body)) + body


def _fletcher32(body: bytes) -> bytes:
    return body + struct.pack("<I", fletcher32(body))


def drafts() -> Iterator[Draft]:
    """Give the vectors."""
    for name, (title, codecs, encode, wrong, (reason, why)) in _cases().items():

        def shard(array: hand.Array, encode: Encode = encode) -> bytes:
            return assemble([encode(little(piece)) for piece in hand.pieces(array, [2])])

        def broken_shard(_: bytes, encode: Encode = encode, wrong: bytes = wrong) -> bytes:
            chunks = [encode(little(piece)) for piece in hand.pieces(VALUES[8:], [2])]
            return assemble([chunks[0], wrong, *chunks[2:]])

        yield broken(
            f"chunk-{name}",
            title,
            ["CHAIN-DECODE", "PARTIAL-DECODING"],
            reason,
            why,
            broken_shard,
            neighbour="values",
            codec=sharding([2], [LITTLE, *codecs]),
            encode=shard,
        )
