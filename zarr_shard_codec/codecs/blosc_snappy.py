"""Blosc 1 containers with Snappy within, which numcodecs' wheels leave out: by cramjam, an optional extra.

Owns the inside of such a container: blocks, the streams that they are split into, and their shuffles. The
header is checked in `blosc`. Every offset and size within is checked here before memory is taken.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise
from typing import Any, Final

import numpy as np

from zarr_shard_codec.codecs.blosc_joined import (
    BITSHUFFLED,
    HEADER,
    LEAST_STREAM_NBYTES,
    SHUFFLED,
    STORED,
    UNSPLIT,
)
from zarr_shard_codec.codecs.bounded import undecodable
from zarr_shard_codec.core.ranges import Buffer
from zarr_shard_codec.errors import UsageError

_INT: Final = struct.Struct("<i")
_SNAPPY_FORMAT: Final = 2 << 5
_MAX_STREAMS: Final = 16
"""Blosc splits a block into streams, one per byte of an element; into one alone if they were more, or shorter
than it makes them."""
_BLOCK_NBYTES: Final = 1 << 18


def decode(name: str, encoded: Buffer) -> bytes:
    """Decompress a container with a good header whose data are not stored as they are.

    Raises
    ------
    CorruptShardError
        `inner_chunk_undecodable`.
    UsageError
        `missing_extra`.
    """
    cramjam = _cramjam(name)
    data = memoryview(encoded)
    _, _, flags, typesize, nbytes, blocksize, _ = HEADER.unpack_from(data)
    starts = np.frombuffer(data, "<i4", -(-nbytes // blocksize), HEADER.size).tolist()
    decoded = bytearray(nbytes)
    for start, first in zip(starts, range(0, nbytes, blocksize), strict=True):
        block = np.zeros(min(blocksize, nbytes - first), "u1")
        n_streams = 1 if len(block) < blocksize else _n_streams(flags, typesize, blocksize)
        at, size = start, len(block) // n_streams
        if start < HEADER.size or size * n_streams != len(block):
            raise undecodable(name, f"a block of {len(block)} bytes in {n_streams} streams at {start}")
        for stream in block.reshape(n_streams, size):
            if at + _INT.size > len(data):
                raise undecodable(name, f"a stream begins at {at}, past the end")
            (length,) = _INT.unpack_from(data, at)
            at += _INT.size + length
            if length <= 0 or at > len(data):
                raise undecodable(name, f"a stream of {length} bytes ends at {at}, past the end")
            if length == size:  # stored as it is
                stream[:] = np.frombuffer(data, "u1", length, at - length)
                continue
            packed = data[at - length : at]
            try:
                # Its declared size first: only what fits is decompressed.
                found = cramjam.snappy.decompress_raw_len(packed)
                found = cramjam.snappy.decompress_raw_into(packed, stream) if found == size else found
            except cramjam.DecompressionError as error:
                raise undecodable(name, str(error)) from error
            if found != size:
                raise undecodable(name, f"expected a stream of {size} bytes, found {found}")
        decoded[first : first + len(block)] = _shuffled(block, flags, typesize, undo=True).data
    return bytes(decoded)


def encode(name: str, decoded: Buffer, *, clevel: int, shuffle: int, typesize: int, blocksize: int) -> bytes:
    """Compress. A `clevel` of 0 stores; Snappy knows no other levels.

    Raises
    ------
    UsageError
        `missing_extra`.
    """
    data = np.frombuffer(decoded, "u1")
    typesize = typesize if typesize <= 255 else 1
    unit = 8 * typesize  # the bit shuffle takes elements by eights
    blocksize = min(blocksize or _BLOCK_NBYTES, len(data))
    blocksize = blocksize // unit * unit or len(data)
    flags = _SNAPPY_FORMAT | (0, SHUFFLED, BITSHUFFLED)[shuffle]
    blocks: list[bytes] = []
    if clevel and len(data):
        blocks = list(_blocks(_cramjam(name), data, flags, typesize, blocksize))
    starts = np.cumsum([HEADER.size + 4 * len(blocks), *map(len, blocks)])
    if not blocks or starts[-1] >= HEADER.size + len(data):
        header = HEADER.pack(2, 1, flags | STORED, typesize, len(data), blocksize, HEADER.size + len(data))
        return header + data.tobytes()
    header = HEADER.pack(2, 1, flags, typesize, len(data), blocksize, int(starts[-1]))
    return b"".join((header, starts[:-1].astype("<i4").tobytes(), *blocks))


def _blocks(
    cramjam: Any, data: np.ndarray[Any, Any], flags: int, typesize: int, blocksize: int
) -> Iterator[bytes]:
    for first, end in pairwise([*range(0, len(data), blocksize), len(data)]):
        block = _shuffled(data[first:end], flags, typesize, undo=False)
        n_streams = 1 if len(block) < blocksize else _n_streams(flags, typesize, blocksize)
        parts: list[bytes] = []
        for stream in block.reshape(n_streams, -1):
            packed = bytes(cramjam.snappy.compress_raw(stream))
            packed = packed if len(packed) < len(stream) else stream.tobytes()
            parts += (_INT.pack(len(packed)), packed)
        yield b"".join(parts)


def _n_streams(flags: int, typesize: int, blocksize: int) -> int:
    """Into how many streams of equal size a whole block is split; the last block, if shorter, never is."""
    if flags & UNSPLIT or typesize > _MAX_STREAMS or blocksize // typesize < LEAST_STREAM_NBYTES:
        return 1
    return typesize


def _shuffled(block: np.ndarray[Any, Any], flags: int, typesize: int, *, undo: bool) -> np.ndarray[Any, Any]:
    """Bytes (or bits) of a block's elements, brought together by their place in the element; or back."""
    n = len(block) // typesize
    if flags & BITSHUFFLED and n and n % 8 == 0:
        shape = (typesize * 8, n) if undo else (n, typesize * 8)
        bits = np.unpackbits(block[: n * typesize], bitorder="little").reshape(shape)
        moved = np.packbits(bits.T, bitorder="little")  # of the elements in C order
    elif flags & SHUFFLED and not flags & BITSHUFFLED and typesize > 1:
        shape = (typesize, n) if undo else (n, typesize)
        moved = block[: n * typesize].reshape(shape).T.ravel()
    else:
        return block
    return np.concatenate((moved, block[n * typesize :]))  # what is no whole element stays


def _cramjam(name: str) -> Any:
    try:
        return import_module("cramjam")
    except ImportError:
        message = f"{name}: the installed numcodecs was built without snappy"
        hint = "pip install 'zarr-shard-codec[snappy]' to read elements; packing needs no decoding."
        raise UsageError("missing_extra", message, hint=hint) from None
