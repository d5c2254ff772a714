"""Many small Blosc containers as one, so that one call of the library does the work of hundreds.

A container is a header, the offset of each block, and the blocks, which know nothing of each other: each is
one stream, or ("split") one for each byte of an element, behind their lengths. A small chunk has one block.
So chunks can be the blocks of one container, which is cut once it is compressed, and joined before it is
decompressed. The bytes are the same, and no thread waits for Python's lock before and after each chunk, which
takes longer than to compress it.

Owns where blocks and streams lie (c-blosc 1, `README_CHUNK_FORMAT.rst`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from zarr_shard_codec.core import memory
from zarr_shard_codec.core.pieces import Pieces, Segments
from zarr_shard_codec.core.ranges import Buffer

HEADER: Final = struct.Struct("<BBBBIII")
"""Format version, inner format version, flags, typesize, nbytes, blocksize, cbytes."""
HEADERS: Final = np.dtype(
    [("version", "u1"), ("inner", "u1"), ("flags", "u1"), ("typesize", "u1")]
    + [(name, "<u4") for name in ("nbytes", "blocksize", "cbytes")]
)
"""`HEADER`, for many at once."""
STORED: Final = 0x02
"""The flag of data that follow the header as they are."""
SHUFFLED, BITSHUFFLED, UNSPLIT = 0x01, 0x04, 0x10
"""Flags: elements are shuffled by byte, or by bit; a block is one stream."""
LEAST_STREAM_NBYTES: Final = 128
"""No block is split into shorter streams."""
MAX_NBYTES: Final = 2**31 - 1 - HEADER.size
"""The container counts in signed 32-bit integers."""

_BEFORE_BLOCK: Final = np.dtype([("header", HEADERS), ("offset", "<u4")])
"""What is before the block of a container that has one."""
_COMPRESSED_NBYTES: Final = {b"zstd": 32 << 10, b"lz4": 8 << 10, b"lz4hc": 8 << 10}
"""Chunks gain up to these sizes. All but zstd's are split, and to shuffle them here takes long. BloscLZ goes
by what it is told of splitting, and would make other bytes; zlib takes longer than its calls."""
_DECOMPRESSED_NBYTES: Final = 64 << 10
"""What is larger takes no longer than its call."""
_NEVER_SPLIT: Final = 32
"""The library splits no block of elements so long; where nothing is shuffled, that is all it means."""


class Settings(NamedTuple):
    """What `numcodecs.blosc.compress` is told besides the data, in its order. `blocksize` 0: as it likes."""

    cname: bytes
    clevel: int
    shuffle: int
    blocksize: int
    typesize: int


def compress_joined(compress: Callable[..., bytes], settings: Settings, decoded: Pieces) -> Segments | None:
    """Compress chunks.

    Parameters
    ----------
    compress
        `numcodecs.blosc.compress`.
    settings
        What it is told.
    decoded
        At least one chunk.

    Returns
    -------
    Segments or None
        A container for each, as `compress` makes it. None if that is no gain, if chunks like the first can't
        be the blocks of one, or if they do not lie one behind the other.
    """
    nbytes = len(decoded[0])
    if not 0 < nbytes <= _COMPRESSED_NBYTES.get(settings.cname, 0):
        return None
    chunks = decoded.joined(nbytes)
    if chunks is None or len(chunks) > MAX_NBYTES:
        return None
    (header,) = np.frombuffer(compress(chunks[:nbytes], *settings), HEADERS, 1)
    flags = int(header["flags"])
    if flags & STORED or header["blocksize"] != nbytes:
        return None
    n_streams, source, joint = 1, chunks, settings._replace(blocksize=nbytes)
    if not flags & UNSPLIT:
        # The library makes no blocks of several streams of less than 64 KiB. So each stream is a block.
        n_streams = int(header["typesize"])  # 1 for what is more than a byte can say
        joint = settings._replace(shuffle=0, blocksize=nbytes // n_streams, typesize=_NEVER_SPLIT)
        if flags & BITSHUFFLED or nbytes % n_streams:
            return None
        if flags & SHUFFLED and n_streams > 1:
            source = _shuffled(chunks, nbytes, n_streams)
    joined = compress(source, *joint)
    (found,) = np.frombuffer(joined, HEADERS, 1)
    if found["flags"] & STORED or not found["flags"] & UNSPLIT or found["blocksize"] != joint.blocksize:
        return None
    bounds = np.empty(len(chunks) // nbytes * n_streams + 1, np.int64)
    bounds[:-1], bounds[-1] = np.frombuffer(joined, "<i4", len(bounds) - 1, HEADER.size), len(joined)
    if (bounds[1:] < bounds[:-1]).any():  # threads of the library's own put blocks where they come
        return None
    bounds = bounds[::n_streams]
    sizes = bounds[1:] - bounds[:-1] + _BEFORE_BLOCK.itemsize
    # What has become no smaller is stored, or nearly: the library alone knows.
    others = {
        at: compress(chunks[at * nbytes : (at + 1) * nbytes], *settings)
        for at in np.flatnonzero(sizes > nbytes).tolist()
    }
    for at, other in others.items():
        sizes[at] = len(other)
    return _cut(joined, bounds[:-1], sizes, header, others)


def _shuffled(chunks: memoryview, nbytes: int, typesize: int) -> memoryview:
    """The first bytes of a chunk's elements, then their second bytes, and so on."""
    n, count = len(chunks) // nbytes, nbytes // typesize
    joined = memory.take(len(chunks))
    planes = np.frombuffer(joined, np.uint8).reshape(n, typesize, count)
    if typesize not in (2, 4, 8):
        planes[:] = np.frombuffer(chunks, np.uint8).reshape(n, count, typesize).swapaxes(1, 2)
        return joined
    # NumPy copies single bytes one by one, and casts elements to their lowest byte many at a time. Read one
    # byte further on, the next byte is the lowest; the last element would then reach beyond its chunk.
    planes[:, 0] = np.frombuffer(chunks, f"<u{typesize}").reshape(n, count)
    for at in range(1, typesize):
        planes[:, at, :-1] = np.ndarray((n, count - 1), f"<u{typesize}", chunks, at, (nbytes, typesize))
        planes[:, at, -1] = np.frombuffer(chunks, np.uint8)[nbytes - typesize + at :: nbytes]
    return joined


def _cut(
    joined: bytes,
    starts: np.ndarray[Any, Any],
    sizes: np.ndarray[Any, Any],
    header: np.void,
    others: dict[int, bytes],
) -> Segments:
    """Put blocks into containers of their own, of `sizes` bytes; those of `others` are made already."""
    table = np.empty((len(sizes), 2), np.uint64)
    table[:, 1] = sizes
    table[:, 0] = np.cumsum(sizes) - sizes
    before = np.empty(len(sizes), _BEFORE_BLOCK)
    before["header"], before["offset"] = header, _BEFORE_BLOCK.itemsize
    before["header"]["cbytes"] = sizes
    cut = memory.take(int(sizes.sum()))
    heads = table[:, :1] + np.arange(_BEFORE_BLOCK.itemsize, dtype=np.uint64)
    np.frombuffer(cut, np.uint8)[heads] = before.view(np.uint8).reshape(heads.shape)
    source, into = memoryview(joined), _BEFORE_BLOCK.itemsize
    for at, (start, (offset, nbytes)) in enumerate(zip(starts.tolist(), table.tolist(), strict=True)):
        if at in others:
            cut[offset : offset + nbytes] = others[at]
        else:
            cut[offset + into : offset + nbytes] = source[start : start + nbytes - into]
    return Segments(cut, table)


def decompress_joined(
    decompress: Callable[[Buffer, Buffer], Any], encoded: Pieces, headers: np.ndarray[Any, Any], nbytes: int
) -> memoryview | None:
    """Decompress chunks into one buffer.

    Parameters
    ----------
    decompress
        `numcodecs.blosc.decompress`.
    encoded
        Containers of which each header can be true.
    headers
        Their headers, `HEADERS`.
    nbytes
        Size of each chunk in bytes.

    Returns
    -------
    memoryview or None
        None if that is no gain, if they are not all of one block and of one kind, or if a block does not fill
        its container.

    Raises
    ------
    RuntimeError
        A block is broken.
    """
    first, words = headers[0], headers.view("<u4").reshape(len(headers), -1)
    if nbytes > _DECOMPRESSED_NBYTES or first["blocksize"] != nbytes:
        return None
    if first["flags"] & STORED or (words[:, :-1] != words[0, :-1]).any():
        return None
    joined, offsets = _behind(HEADER.size + 4 * len(headers), encoded)
    if max(len(joined), nbytes * len(headers)) > MAX_NBYTES:
        return None
    blocks, sizes = offsets + _BEFORE_BLOCK.itemsize, encoded.sizes()
    typesize = int(first["typesize"])
    split = not first["flags"] & UNSPLIT and nbytes >= typesize * LEAST_STREAM_NBYTES
    if not _are_filled(joined, blocks, sizes, typesize if split else 1):
        return None
    whole = first.copy()
    whole["nbytes"], whole["cbytes"] = nbytes * len(headers), len(joined)
    joined[: HEADER.size + 4 * len(headers)] = whole.tobytes() + blocks.astype("<i4").tobytes()
    decoded = memory.take(nbytes * len(headers))
    decompress(joined, decoded)
    return decoded


def _behind(nbytes: int, encoded: Pieces) -> tuple[memoryview, np.ndarray[Any, Any]]:
    """Put containers behind `nbytes` bytes, and perhaps what lies between them; say where each is."""
    sizes = encoded.sizes()
    if isinstance(encoded, Segments):
        offsets = encoded.table[:, 0].astype(np.int64)
        low, high = int(offsets.min()), int((offsets + sizes).max())
        if high - low <= 2 * sizes.sum():
            joined = memory.take(nbytes + high - low)
            joined[nbytes:] = memoryview(encoded.buffer)[low:high]
            return joined, offsets + (nbytes - low)
    return memoryview(bytearray().join([bytes(nbytes), *encoded])), nbytes + np.cumsum(sizes) - sizes


def _are_filled(
    joined: memoryview, blocks: np.ndarray[Any, Any], sizes: np.ndarray[Any, Any], n_streams: int
) -> bool:
    """Whether the streams of each block end where its container ends: none reaches into the next one."""
    at_any_byte = np.ndarray(len(joined) - 3, "<i4", joined, strides=(1,))
    at, end = blocks, blocks - _BEFORE_BLOCK.itemsize + sizes
    if (at_any_byte[blocks - 4] != _BEFORE_BLOCK.itemsize).any():
        return False
    for _ in range(n_streams):
        if (at + 4 > end).any():
            return False
        nbytes = at_any_byte[at]
        at = at + 4 + nbytes
        if (nbytes <= 0).any():
            return False
    return bool((at == end).all())
