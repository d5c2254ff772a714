"""Where an encoded chunk ends that nothing but its own bytes tells: frames, or a fixed size and a checksum.

Owns the question for a whole chain. Each compressor answers for its own frames.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.codecs.crc32c import Crc32cCodec
from zarr_shard_codec.core.protocols import FramedCodec
from zarr_shard_codec.errors import CorruptShardError

FrameSize = Callable[[memoryview], int]
"""Given bytes that begin with an encoded chunk, its size; `CorruptShardError` where they begin with none."""


def frame_size(chain: CodecChain) -> FrameSize | None:
    """Give what finds the end of this chain's encoded chunks; None if it cannot be found.

    It can be where the last codec that is not crc32c is a `FramedCodec` (zstd, blosc, gzip), and where every
    encoded chunk has one size and crc32c is the last codec, so that decoding tells chunks from other bytes.
    """
    trailing = 0
    for codec, limit in zip(reversed(chain.bytes_bytes), reversed(chain.limits[:-1]), strict=True):
        if isinstance(codec, FramedCodec):
            return partial(_frame, codec, limit, trailing)
        if not isinstance(codec, Crc32cCodec):
            return None
        trailing += codec.encoded_nbytes(0) or 0
    if not trailing or chain.encoded_nbytes is None:
        return None
    return partial(_fixed, chain.encoded_nbytes)


def _frame(codec: FramedCodec, limit: int, trailing: int, encoded: memoryview) -> int:
    return codec.frame_nbytes(encoded, max_nbytes=limit) + trailing


def _fixed(nbytes: int, encoded: memoryview) -> int:
    if len(encoded) < nbytes:
        raise CorruptShardError("inner_chunk_wrong_size", f"expected {nbytes} bytes, found {len(encoded)}")
    return nbytes
