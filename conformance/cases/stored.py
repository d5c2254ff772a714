"""What compressors write when they only store, byte by byte: good streams that no library's version changes.

Owns the containers of gzip, zlib, zstd, blosc and lz4 as far as stored data need them.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"


def deflate(body: bytes) -> bytes:
    """One stored block (RFC 1951, 3.2.4)."""
    return struct.pack("<BHH", 1, len(body), len(body) ^ 0xFFFF) + body


def gzip(body: bytes, *, name: bytes = b"") -> bytes:
    """One member (RFC 1952), with a file name if one is given."""
    header = b"\x1f\x8b\x08" + bytes([8 if name else 0]) + bytes(4) + b"\x00\xff"
    trailer = struct.pack("<II", zlib.crc32(body), len(body))
    return header + (name + b"\0" if name else b"") + deflate(body) + trailer


def zlib_stream(body: bytes) -> bytes:
    """One zlib stream (RFC 1950)."""
    return b"\x78\x01" + deflate(body) + struct.pack(">I", zlib.adler32(body))


def zstd(body: bytes) -> bytes:
    """One frame (RFC 8878) of one raw block, which declares its size in one byte."""
    return ZSTD_MAGIC + bytes([0x20, len(body)]) + _zstd_block(0, len(body)) + body


def zstd_unsized(body: bytes) -> bytes:
    """One frame that does not declare its size: a window of 1 KiB, two raw blocks."""
    half = len(body) // 2
    blocks = _zstd_block(0, half, last=False) + body[:half] + _zstd_block(0, len(body) - half) + body[half:]
    return ZSTD_MAGIC + b"\x00\x00" + blocks


def zstd_repeated(byte: int, times: int) -> bytes:
    """One frame of one byte, repeated: it declares its size in four bytes."""
    return ZSTD_MAGIC + b"\xa0" + struct.pack("<I", times) + _zstd_block(1, times) + bytes([byte])


def zstd_skippable(body: bytes) -> bytes:
    """A frame whose content no reader sees."""
    return struct.pack("<II", 0x184D2A50, len(body)) + body


def zstd_many(byte: int, nbytes: int) -> bytes:
    """One frame of one byte, repeated more often than one block can (128 KiB, RFC 8878, 3.1.1.2)."""
    block = 1 << 17
    blocks = [_zstd_block(1, block, last=left == block) + bytes([byte]) for left in range(nbytes, 0, -block)]
    return ZSTD_MAGIC + b"\xa0" + struct.pack("<I", nbytes) + b"".join(blocks)


def _zstd_block(kind: int, size: int, *, last: bool = True) -> bytes:
    return (size << 3 | kind << 1 | last).to_bytes(3, "little")


def blosc(body: bytes, typesize: int) -> bytes:
    """A Blosc 1 container of data that are stored as they are."""
    return struct.pack("<BBBBIII", 2, 1, 0x02, typesize, len(body), len(body), len(body) + 16) + body


def lz4(body: bytes) -> bytes:
    """Numcodecs' LZ4: the size, then one block of literals alone, of 15 to 269 of them."""
    return struct.pack("<I", len(body)) + bytes([0xF0, len(body) - 15]) + body
