"""The `zstd` codec: Zstandard frames (RFC 8878), one or more, skippable ones among them.

Owns the bound: frames are told apart here, so that each one's declared size is known before it is decoded.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import zstandard
from numpy.lib.stride_tricks import as_strided

from zarr_shard_codec.codecs.bounded import Compressor, too_large, undecodable
from zarr_shard_codec.codecs.configuration import Fields
from zarr_shard_codec.core import memory
from zarr_shard_codec.core.pieces import Parts, Pieces, Segments
from zarr_shard_codec.core.protocols import JSON, ChunkSpec
from zarr_shard_codec.core.ranges import Buffer
from zarr_shard_codec.errors import CorruptShardError

SMALLEST_LEVEL: Final = -131072
LARGEST_LEVEL: Final = 22

_PIECE_NBYTES: Final = 1 << 24
"""A reader takes memory for all that it is asked for, at once; the bound may be far more than comes."""

SKIPPABLE_MAGIC: Final = 0x184D2A50
"""The first of sixteen magic numbers of skippable frames (RFC 8878, 3.1.2)."""


_HEADER_NBYTES: Final = np.array(
    [
        5 + (not byte >> 5 & 1) + (0, 1, 2, 4)[byte & 3] + (byte >> 5 & 1, 2, 4, 8)[byte >> 6]
        for byte in range(256)
    ]
)
"""Size in bytes of a frame's header, by the descriptor that is its fifth byte (RFC 8878, 3.1.1.1)."""
_HAS_CHECKSUM: Final = np.uint8(4)
"""The descriptor's bit of a checksum behind the last block; the checksum has as many bytes."""
_LARGE_NBYTES: Final = 128 << 10
"""Bytes of a decoded chunk; from this on, new memory costs more than a call for each, into used memory."""
_FEW: Final = 16
"""Frames; up to this many are followed one by one in Python, which is faster than NumPy for few."""


class _Contexts(threading.local):
    """One thread's contexts. None is thread-safe, and making one costs as much as decoding a small chunk."""

    def __init__(self) -> None:
        self.decompressor = zstandard.ZstdDecompressor()
        # Streams, other than single frames, take memory for a window, of a size that a frame says.
        self.streamer = zstandard.ZstdDecompressor(max_window_size=memory.LARGEST_NBYTES)
        self.compressors: dict[tuple[int, bool], zstandard.ZstdCompressor] = {}


_contexts: Final = _Contexts()


@dataclass(frozen=True, slots=True)
class ZstdCodec(Compressor):
    """Zstandard.

    Attributes
    ----------
    name
        "zstd" or "numcodecs.zstd", whose format is the same.
    level
        -131072 (fastest) to 22 (smallest); 0 is the library's default. Reading does not depend on it.
    checksum
        Whether frames that are written carry a checksum. One that is there is checked in any case.
    """

    name: str
    level: int
    checksum: bool

    def to_metadata(self) -> dict[str, JSON]:
        """Give the codec object."""
        return {"name": self.name, "configuration": {"level": self.level, "checksum": self.checksum}}

    def encode(self, decoded: Buffer) -> Buffer:
        """Compress into one frame that declares its size."""
        return self._compressor().compress(decoded)

    def encode_many(self, decoded: Pieces) -> Pieces:
        """Compress each chunk into one frame, without Python's lock from the first to the last."""
        if not isinstance(decoded, Segments):
            return Parts([self.encode(part) for part in decoded])
        segments = zstandard.BufferWithSegments(decoded.buffer, decoded.table.tobytes())
        encoded = self._compressor().multi_compress_to_buffer(segments)
        segment: Any = encoded.__getitem__
        return Parts([memoryview(segment(at)) for at in range(len(encoded))])

    def _compressor(self) -> zstandard.ZstdCompressor:
        key = self.level, self.checksum
        compressor = _contexts.compressors.get(key)
        if compressor is None:
            compressor = zstandard.ZstdCompressor(level=self.level, write_checksum=self.checksum)
            _contexts.compressors[key] = compressor
        return compressor

    def decode(self, encoded: Buffer, *, max_nbytes: int) -> Buffer:
        """Decompress every frame.

        Raises
        ------
        CorruptShardError
            `inner_chunk_undecodable`, also for a frame that needs a dictionary; `inner_chunk_wrong_size`;
            `inner_chunk_checksum_mismatch`.
        """
        try:
            # Nearly always the chunk is one frame that says its size, and this is all.
            nbytes = zstandard.frame_content_size(encoded)
            if 0 < nbytes <= max_nbytes:
                return self._decode_whole(encoded, nbytes)
        except zstandard.ZstdError:
            # More than one frame, or damage. Which one, the slow way finds out.
            return self._decode_frames(memoryview(encoded), max_nbytes)
        return self._decode_frames(memoryview(encoded), max_nbytes)

    def _decode_whole(self, encoded: Buffer, nbytes: int) -> Buffer:
        """Decompress one whole frame that declares its size; `ZstdError` if it is anything else."""
        if not _LARGE_NBYTES <= nbytes <= memory.LARGEST_NBYTES:
            return _contexts.decompressor.decompress(encoded, allow_extra_data=False)
        decoded = memory.take(nbytes)
        self._decode_into(encoded, decoded)
        return decoded

    def _decode_into(self, encoded: Buffer, decoded: memoryview) -> None:
        with _contexts.streamer.stream_reader(encoded, read_size=len(encoded)) as reader:
            found_nbytes = reader.readinto(decoded)
            # What is behind the last byte, such as the checksum, is looked at only by a read that wants more.
            if found_nbytes != len(decoded) or reader.read(1):
                raise zstandard.ZstdError(f"expected {len(decoded)} bytes, found {found_nbytes} or more")
        if _frame_nbytes(memoryview(encoded)) != len(encoded):
            raise zstandard.ZstdError("there are bytes behind the frame")

    def frame_nbytes(self, encoded: memoryview, *, max_nbytes: int) -> int:  # noqa: ARG002
        """Size in bytes of the frame that `encoded` begins with. See `FramedCodec`."""
        try:
            return _frame_nbytes(encoded)
        except zstandard.ZstdError as error:
            raise undecodable(self.name, str(error)) from error

    def decode_many(self, encoded: Pieces, nbytes: int) -> Buffer | None:
        """Decompress chunks of one frame each, without Python's lock from the first to the last."""
        if _LARGE_NBYTES <= nbytes <= memory.LARGEST_NBYTES:
            return self._decode_large(encoded, nbytes)
        if isinstance(encoded, Segments):
            frames: Any = zstandard.BufferWithSegments(encoded.buffer, encoded.table.tobytes())
        else:
            frames = list(encoded)
        sizes = np.full(len(encoded), nbytes, np.uint64).tobytes()
        try:
            decoded = _contexts.decompressor.multi_decompress_to_buffer(frames, decompressed_sizes=sizes)
        except zstandard.ZstdError:
            return None
        # The library stops at the end of a chunk's first frame, and says nothing of what is behind it.
        return _as_one_buffer(decoded, nbytes) if self._are_frames(encoded) else None

    def _decode_large(self, encoded: Pieces, nbytes: int) -> Buffer | None:
        joined = memory.take(nbytes * len(encoded))
        try:
            for at, part in enumerate(encoded):
                room = joined[at * nbytes : (at + 1) * nbytes]
                if zstandard.frame_content_size(part) == nbytes:
                    self._decode_into(part, room)
                    continue
                alone = self.decode(part, max_nbytes=nbytes)
                if len(alone) != nbytes:
                    return None
                room[:] = alone
        except (zstandard.ZstdError, CorruptShardError):
            return None
        return joined

    def _are_frames(self, encoded: Pieces) -> bool:
        """Whether each chunk, of which the first frame is good, is that frame and no more."""
        if isinstance(encoded, Segments) and len(encoded) > _FEW:
            return _fill_their_segments(encoded)
        return all(_frame_nbytes(memoryview(part)) == len(part) for part in encoded)

    def _decode_frames(self, encoded: memoryview, max_nbytes: int) -> bytes:
        pieces: list[bytes] = []
        room = max_nbytes
        try:
            for frame in _data_frames(self.name, encoded):
                declared_nbytes = zstandard.frame_content_size(frame)
                if declared_nbytes > room:
                    raise too_large(self.name, max_nbytes, max_nbytes - room + declared_nbytes)
                piece = _decode_frame(frame, declared_nbytes, room)
                room -= len(piece)
                if room < 0:
                    raise too_large(self.name, max_nbytes)
                pieces.append(piece)
        except zstandard.ZstdError as error:
            if "checksum" in str(error):
                message = f"{self.name}: expected the checksum that the frame carries ({error})"
                raise CorruptShardError("inner_chunk_checksum_mismatch", message) from error
            raise undecodable(self.name, str(error)) from error
        return b"".join(pieces)


def _as_one_buffer(decoded: Any, nbytes: int) -> Buffer:
    """See decoded chunks, which the library puts one behind the other into few buffers, as one buffer."""
    last = len(decoded) - 1
    in_one = decoded[last].offset == last * nbytes  # nearly always
    starts = [0] if in_one else [at for at in range(len(decoded)) if decoded[at].offset == 0]
    views = [
        # The library gives out one chunk at a time. `base` keeps its buffer, and with it the others, alive.
        as_strided(np.frombuffer(decoded[low], np.uint8), ((high - low) * nbytes,), (1,), writeable=False)
        for low, high in pairwise([*starts, len(decoded)])
    ]
    joined = views[0] if len(views) == 1 else np.concatenate(views)
    return joined.data


def _decode_frame(frame: memoryview, declared_nbytes: int, room: int) -> bytes:
    """Decode one whole frame; at most one byte more than `room` where it does not declare its size."""
    if declared_nbytes > 0:
        return _contexts.decompressor.decompress(frame, allow_extra_data=False)
    # A context of its own: such a frame may ask for a window of up to 128 MiB, which would stay with the
    # thread. A frame that declares 0 bytes comes here as well, since `decompress` does not look into it.
    with zstandard.ZstdDecompressor().stream_reader(frame) as reader:
        pieces: list[bytes] = []
        while room >= 0 and (piece := reader.read(min(room + 1, _PIECE_NBYTES))):
            pieces.append(piece)
            room -= len(piece)
        return b"".join(pieces)


def _data_frames(name: str, encoded: memoryview) -> Iterator[memoryview]:
    """Cut a chunk into its frames, leaving out the skippable ones."""
    position = 0
    if not encoded:
        raise undecodable(name, "expected a frame, found no bytes")
    while position < len(encoded):
        rest = encoded[position:]
        if int.from_bytes(rest[:4], "little") & ~0xF == SKIPPABLE_MAGIC:
            nbytes = 8 + int.from_bytes(rest[4:8], "little")
            if len(rest) < nbytes:
                message = f"a skippable frame of {nbytes} bytes in the last {len(rest)}"
                raise undecodable(name, message, position)
        else:
            try:
                nbytes = _frame_nbytes(rest)
            except zstandard.ZstdError as error:
                raise undecodable(name, str(error), position) from error
            yield rest[:nbytes]
        position += nbytes


def _frame_nbytes(rest: memoryview) -> int:
    """Size in bytes of the frame that `rest` begins with, by its block headers (RFC 8878, 3.1.1.2).

    Raises `ZstdError` if it begins with none, or with a part of one.
    """
    parameters = zstandard.get_frame_parameters(rest)
    position = zstandard.frame_header_size(rest)
    last = False
    while not last:
        header = int.from_bytes(rest[position : position + 3], "little")
        last, is_run, nbytes = bool(header & 1), header >> 1 & 3 == 1, header >> 3
        position += 3 + (1 if is_run else nbytes)
        if position > len(rest):
            raise zstandard.ZstdError(f"a frame is cut off after {len(rest)} bytes")
    position += 4 if parameters.has_checksum else 0
    if position > len(rest):
        raise zstandard.ZstdError(f"a frame is cut off after {len(rest)} bytes, within its checksum")
    return position


def _fill_their_segments(encoded: Segments) -> bool:
    """Whether each slice is one frame; as `_frame_nbytes`, for all at once. The frames are good ones."""
    data = np.frombuffer(encoded.buffer, np.uint8)
    offset, nbytes = encoded.table.astype(np.int64).T
    descriptor = data[offset + 4]
    position = offset + _HEADER_NBYTES[descriptor]
    end = offset + nbytes - (descriptor & _HAS_CHECKSUM)
    while len(position):
        if (position + 3 > end).any():
            return False
        header = (
            data[position]
            | data[position + 1].astype(np.int64) << 8
            | data[position + 2].astype(np.int64) << 16
        )
        position = position + np.where(header >> 1 & 3 == 1, 4, 3 + (header >> 3))
        more = (header & 1) == 0
        if (position != end)[~more].any():
            return False
        position, end = position[more], end[more]
    return True


def build(name: str, configuration: Mapping[str, JSON], spec: ChunkSpec) -> ZstdCodec:  # noqa: ARG001
    """Build it. A missing `level`, which no reader needs, is 0."""
    fields = Fields(configuration)
    level = fields.integer("level", minimum=SMALLEST_LEVEL, maximum=LARGEST_LEVEL, default=0)
    checksum = fields.boolean("checksum", default=False)
    fields.finish()
    return ZstdCodec(name, level, checksum)
