"""Bytes→bytes codecs over many chunks at once.

Owns what is done by a codec's own call for many chunks, and what one by one. Elements are `chain`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from zarr_shard_codec.core import memory
from zarr_shard_codec.core.pieces import Parts, Pieces
from zarr_shard_codec.core.protocols import BatchCodec, BytesBytesCodec
from zarr_shard_codec.core.ranges import Buffer
from zarr_shard_codec.errors import CorruptShardError

_SMALL_NBYTES: Final = 1 << 16
"""Bytes of a decoded chunk; up to this, joining chunks, and then copying all of them to their places at
once, is faster than copying each."""


def gains_by_joining(codecs: Sequence[BytesBytesCodec], nbytes: int) -> bool:
    """Whether chunks of `nbytes` bytes are faster decoded one behind the other than each to its own place."""
    return nbytes <= _SMALL_NBYTES or all(isinstance(codec, BatchCodec) for codec in codecs[:1])


def decode_joined(
    codecs: Sequence[BytesBytesCodec], limits: Sequence[int], encoded: Pieces, nbytes: int
) -> Buffer | None:
    """Decode chunks, one behind the other.

    Parameters
    ----------
    codecs
        In the order in which they encode.
    limits
        No more bytes than this may come out of decoding each.
    encoded
        At least one chunk.
    nbytes
        Size of each decoded chunk in bytes.

    Returns
    -------
    Buffer or None
        None if a chunk is broken, or of another size: one by one it is found out which and why.
    """
    if not codecs:
        return encoded.joined(nbytes)
    first, *others = codecs
    try:
        for codec, limit in reversed([*zip(others, limits[1:], strict=True)]):
            encoded = Parts([codec.decode(part, max_nbytes=limit) for part in encoded])
        if isinstance(first, BatchCodec):
            return first.decode_many(encoded, nbytes)
        return _decode_each(first, encoded, nbytes)
    except CorruptShardError:
        return None


def _decode_each(codec: BytesBytesCodec, encoded: Pieces, nbytes: int) -> Buffer | None:
    joined = memory.take(nbytes * len(encoded))
    for at, part in enumerate(encoded):
        decoded = codec.decode(part, max_nbytes=nbytes)
        if len(decoded) != nbytes:
            return None
        joined[at * nbytes : (at + 1) * nbytes] = decoded
    return joined


def encode_pieces(codecs: Sequence[BytesBytesCodec], decoded: Pieces) -> Pieces:
    """Encode chunks, each by itself."""
    for codec in codecs:
        if isinstance(codec, BatchCodec):
            decoded = codec.encode_many(decoded)
        else:
            decoded = Parts([codec.encode(part) for part in decoded])
    return decoded
