"""Decompressing hostile bytes within a bound, and the errors of bytes that do not decode.

Owns the loop around decompressor objects of the standard library's shape. Which one it is, the codec says.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import ClassVar, Final, Protocol

from zarr_shard_codec.core.protocols import Kind
from zarr_shard_codec.core.ranges import Buffer
from zarr_shard_codec.errors import CorruptShardError

CHECKSUM_NBYTES: Final = 4

LATER_STREAM_FEED: Final = 4096
"""Bytes first fed to every stream but the first. What a stream leaves over is copied, so that a chunk of
a million empty streams would copy itself a million times if each were fed all the rest."""


class Compressor:
    """What compressing codecs share: the encoded size varies, within a bound."""

    __slots__ = ()
    kind: ClassVar[Kind] = "bytes_bytes"

    def encoded_nbytes(self, decoded_nbytes: int) -> int | None:  # noqa: ARG002
        """It varies."""
        return None

    def max_encoded_nbytes(self, decoded_nbytes: int) -> int:
        """See `compression_bound`."""
        return compression_bound(decoded_nbytes)


class Decompressor(Protocol):
    """What `bz2`, `lzma` and ISA-L share: a decompressor of one stream that stops at `max_length`."""

    @property
    def eof(self) -> bool:
        """Whether the stream's end was reached."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether nothing more can come out without more input."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What was fed beyond the stream's end."""
        ...

    def decompress(self, data: Buffer, /, max_length: int = -1) -> bytes:
        """Feed `data`, and get at most `max_length` bytes."""
        ...


def undecodable(codec: str, why: str, position: int = 0) -> CorruptShardError:
    """The error of bytes that are no `codec` encoding of anything; what is before `position` is one."""
    where = f"expected nothing, or another stream, behind the first {position} bytes: " if position else ""
    return CorruptShardError("inner_chunk_undecodable", f"{codec}: {where}{why}")


def too_large(codec: str, max_nbytes: int, found_nbytes: int | None = None) -> CorruptShardError:
    """The error of bytes that would decode to more than `max_nbytes` bytes."""
    found = "more" if found_nbytes is None else f"{found_nbytes} bytes"
    message = f"{codec}: expected at most {max_nbytes} bytes once decoded, found {found}"
    return CorruptShardError("inner_chunk_wrong_size", message)


def checked(
    codec: str,
    encoded: Buffer,
    *,
    max_nbytes: int,
    checksum: Callable[[Buffer], int],
    at_start: bool = False,
) -> memoryview:
    """Check the 32-bit little-endian checksum before or after some data, and cut it off: a view of `encoded`.

    Raises
    ------
    CorruptShardError
        `inner_chunk_undecodable` (too short for a checksum), `inner_chunk_wrong_size`,
        `inner_chunk_checksum_mismatch`.
    """
    view = memoryview(encoded)
    nbytes = len(view) - CHECKSUM_NBYTES
    if nbytes < 0:
        raise undecodable(codec, f"expected at least {CHECKSUM_NBYTES} bytes, found {len(view)}")
    if nbytes > max_nbytes:
        raise too_large(codec, max_nbytes, nbytes)
    cut = CHECKSUM_NBYTES if at_start else nbytes
    stored, decoded = (view[:cut], view[cut:]) if at_start else (view[cut:], view[:cut])
    expected, found = int.from_bytes(stored, "little"), checksum(decoded)
    if expected != found:
        message = f"{codec}: expected the checksum {expected:#010x}, as stored; found {found:#010x}"
        raise CorruptShardError("inner_chunk_checksum_mismatch", message)
    return decoded


def compression_bound(decoded_nbytes: int) -> int:
    """Give a bound for any compressor here, in bytes.

    All of them fall back to storing what does not compress, at a few bytes a block; twice the size and a
    page leaves room for encoders with small blocks, many streams or long headers.
    """
    return 2 * decoded_nbytes + 4096


def capped(nbytes: int) -> int:
    """`nbytes`, or the most that a C library takes for a size: bounds come from metadata, and are hostile."""
    return min(nbytes, sys.maxsize)


def decompress(
    codec: str,
    encoded: Buffer,
    *,
    max_nbytes: int,
    new_stream: Callable[[], Decompressor],
    failures: tuple[type[Exception], ...],
    one_stream: bool = False,
) -> Buffer:
    """Decompress one or more streams, one after the other, to at most `max_nbytes` bytes together.

    Parameters
    ----------
    codec
        Its name, for messages.
    encoded
        All of the streams, and nothing else.
    max_nbytes
        No more than one byte above it is ever decompressed.
    new_stream
        Makes a decompressor for the next stream.
    failures
        What that decompressor raises on bad bytes.
    one_stream
        Whether the format allows no second stream.

    Raises
    ------
    CorruptShardError
        `inner_chunk_undecodable`; `inner_chunk_wrong_size` if more than `max_nbytes` would come out.
    """
    view = memoryview(encoded)
    pieces: list[bytes] = []
    room = max_nbytes
    position = 0
    feed = max(len(view), 1)
    while position < len(view) or not pieces:
        end = position
        try:
            stream = new_stream()
            while not stream.eof:
                fed = view[end : end + feed] if stream.needs_input else view[:0]
                if stream.needs_input and not fed:
                    message = f"its {len(view) - position} bytes end before the stream does"
                    raise undecodable(codec, message, position)
                end += len(fed)
                feed *= 2
                piece = stream.decompress(fed, capped(room + 1))
                room -= len(piece)
                if room < 0:
                    raise too_large(codec, max_nbytes)
                pieces.append(piece)
            position = end - len(stream.unused_data)
        except CorruptShardError:  # ours, and a ValueError like some libraries' own
            raise
        except failures as error:
            raise undecodable(codec, str(error), position) from error
        if one_stream and position < len(view):
            raise undecodable(codec, f"the stream ends {len(view) - position} bytes before the chunk does")
        feed = LATER_STREAM_FEED
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def first_stream_nbytes(
    codec: str,
    encoded: memoryview,
    *,
    max_nbytes: int,
    new_stream: Callable[[], Decompressor],
    failures: tuple[type[Exception], ...],
) -> int:
    """Size in bytes of the stream that `encoded` begins with. Parameters and errors as for `decompress`."""
    stream = new_stream()
    position, room, feed = 0, max_nbytes, LATER_STREAM_FEED
    try:
        while not stream.eof:
            fed = encoded[position : position + feed] if stream.needs_input else encoded[:0]
            if stream.needs_input and not fed:
                raise undecodable(codec, f"its {len(encoded)} bytes end before the stream does")
            position += len(fed)
            feed *= 2
            room -= len(stream.decompress(fed, capped(room + 1)))
            if room < 0:
                raise too_large(codec, max_nbytes)
    except CorruptShardError:  # ours, and a ValueError like some libraries' own
        raise
    except failures as error:
        raise undecodable(codec, str(error)) from error
    return position - len(stream.unused_data)
