"""The `gzip` codec: DEFLATE in one or more gzip members (RFC 1951, RFC 1952).

Decoding is ISA-L's, at two to three times zlib's speed. Encoding is ISA-L's too where it has a like of
the level: its levels 0 to 3 are not gzip's 0 to 9, and none of them compresses as well as zlib's 3.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

from isal import igzip_lib, isal_zlib

from zarr_shard_codec.codecs.bounded import Compressor, decompress, first_stream_nbytes
from zarr_shard_codec.codecs.configuration import Fields
from zarr_shard_codec.core.protocols import JSON, ChunkSpec
from zarr_shard_codec.core.ranges import Buffer

GZIP_WINDOW_BITS: Final = 31
"""A window of 2^15 bytes; 16 more asks for a gzip header and trailer."""

ISAL_LEVELS: Final = (1, 2)
"""Levels for which ISA-L stands in for zlib, at five times its speed. Always with its own level 2, which
makes chunks as small as zlib's level 1 does (its level 1: 3% larger; its level 3: often worse than its
level 2); zlib's levels from 3 on are better than all of them."""
_ISAL_LEVEL: Final = 2


def inflate(
    codec: str, encoded: Buffer, *, max_nbytes: int, wrapper: int, one_stream: bool = False
) -> Buffer:
    """Decompress DEFLATE in ISA-L's `wrapper`: gzip's, or zlib's. For the rest see `bounded.decompress`."""
    return decompress(
        codec,
        encoded,
        max_nbytes=max_nbytes,
        new_stream=partial(igzip_lib.IgzipDecompressor, wrapper),
        # ISA-L's type stubs take the class for an instance.
        failures=(cast("type[Exception]", igzip_lib.IsalError),),
        one_stream=one_stream,
    )


@dataclass(frozen=True, slots=True)
class GzipCodec(Compressor):
    """Gzip.

    Attributes
    ----------
    name
        "gzip" or "numcodecs.gzip", whose format is the same.
    level
        0 (stored) to 9 (smallest). Reading does not depend on it.
    """

    name: str
    level: int

    def to_metadata(self) -> dict[str, JSON]:
        """Give the codec object."""
        return {"name": self.name, "configuration": {"level": self.level}}

    def encode(self, decoded: Buffer) -> Buffer:
        """Compress into one member, without a time stamp: equal data make equal bytes."""
        if self.level in ISAL_LEVELS:
            encoded: bytes = isal_zlib.compress(decoded, _ISAL_LEVEL, wbits=GZIP_WINDOW_BITS)
        else:
            encoded = zlib.compress(decoded, self.level, wbits=GZIP_WINDOW_BITS)
        return encoded

    def decode(self, encoded: Buffer, *, max_nbytes: int) -> Buffer:
        """Decompress every member.

        Raises
        ------
        CorruptShardError
            `inner_chunk_undecodable`, also where CRC32 or size in a trailer are wrong, or where something
            that is no member follows; `inner_chunk_wrong_size`.
        """
        return inflate(self.name, encoded, max_nbytes=max_nbytes, wrapper=igzip_lib.DECOMP_GZIP)

    def frame_nbytes(self, encoded: memoryview, *, max_nbytes: int) -> int:
        """Size in bytes of the member that `encoded` begins with: it has to be decoded. See `FramedCodec`."""
        return first_stream_nbytes(
            self.name,
            encoded,
            max_nbytes=max_nbytes,
            new_stream=partial(igzip_lib.IgzipDecompressor, igzip_lib.DECOMP_GZIP),
            failures=(cast("type[Exception]", igzip_lib.IsalError),),
        )


def build(name: str, configuration: Mapping[str, JSON], spec: ChunkSpec) -> GzipCodec:  # noqa: ARG001
    """Build it. A missing `level`, which no reader needs, is zarr-python's 5 (numcodecs': 1)."""
    fields = Fields(configuration)
    level = fields.integer("level", minimum=0, maximum=9, default=5 if name == "gzip" else 1)
    fields.finish()
    return GzipCodec(name, level)
