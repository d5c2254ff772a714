"""The compressors under `numcodecs.*` names that no other file has: zlib, bz2, lzma, lz4.

Owns their configurations and bounds. `numcodecs.zstd`, `.gzip` and `.blosc` are the format's own codecs
under another name, and live with them.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from isal import igzip_lib

from zarr_shard_codec.codecs.bounded import (
    Compressor,
    Decompressor,
    decompress,
    too_large,
    undecodable,
)
from zarr_shard_codec.codecs.configuration import Fields
from zarr_shard_codec.codecs.gzip import inflate
from zarr_shard_codec.core.protocols import JSON, ChunkSpec, Codec
from zarr_shard_codec.core.ranges import Buffer
from zarr_shard_codec.errors import UsageError

LZMA_MEMORY_NBYTES: Final = 80 * 2**20
"""Decoding preset 9 takes 65 MiB, the most of any preset. A header may ask for 4 GiB."""
LZ4_PREFIX_NBYTES: Final = 4
LZ4_MAX_NBYTES: Final = 0x7E000000
"""LZ4_MAX_INPUT_SIZE: what one LZ4 block can hold."""


@dataclass(frozen=True, slots=True)
class ZlibCodec(Compressor):
    """One zlib stream (RFC 1950). Encoded by zlib, as zarr-python does; decoded by ISA-L, which is faster."""

    level: int

    def to_metadata(self) -> dict[str, JSON]:
        """Give the codec object."""
        return {"name": "numcodecs.zlib", "configuration": {"level": self.level}}

    def encode(self, decoded: Buffer) -> Buffer:
        """Compress."""
        return zlib.compress(decoded, self.level)

    def decode(self, encoded: Buffer, *, max_nbytes: int) -> Buffer:
        """Decompress. Raises `CorruptShardError`, as `bounded.decompress`."""
        return inflate(
            "numcodecs.zlib",
            encoded,
            max_nbytes=max_nbytes,
            wrapper=igzip_lib.DECOMP_ZLIB,
            one_stream=True,
        )


@dataclass(frozen=True, slots=True)
class Bz2Codec(Compressor):
    """One or more bzip2 streams."""

    level: int

    def to_metadata(self) -> dict[str, JSON]:
        """Give the codec object."""
        return {"name": "numcodecs.bz2", "configuration": {"level": self.level}}

    def encode(self, decoded: Buffer) -> Buffer:
        """Compress into one stream."""
        return bz2.compress(decoded, self.level)

    def decode(self, encoded: Buffer, *, max_nbytes: int) -> Buffer:
        """Decompress. Raises `CorruptShardError`, as `bounded.decompress`."""
        return decompress(
            "numcodecs.bz2",
            encoded,
            max_nbytes=max_nbytes,
            new_stream=bz2.BZ2Decompressor,
            failures=(OSError, ValueError),
        )


@dataclass(frozen=True, slots=True)
class LzmaCodec(Compressor):
    """XZ, LZMA-alone or raw LZMA streams. The fields are those of the standard library's `lzma`."""

    format: int
    check: int
    preset: int | None
    filters: list[dict[str, JSON]] | None

    def to_metadata(self) -> dict[str, JSON]:
        """Give the codec object."""
        configuration = {
            "format": self.format,
            "check": self.check,
            "preset": self.preset,
            "filters": None if self.filters is None else [dict(each) for each in self.filters],
        }
        return {"name": "numcodecs.lzma", "configuration": configuration}

    def encode(self, decoded: Buffer) -> Buffer:
        """Compress into one stream."""
        return lzma.compress(
            decoded, format=self.format, check=self.check, preset=self.preset, filters=self.filters
        )

    def decode(self, encoded: Buffer, *, max_nbytes: int) -> Buffer:
        """Decompress. Raises `CorruptShardError`, as `bounded.decompress`."""
        return decompress(
            "numcodecs.lzma",
            encoded,
            max_nbytes=max_nbytes,
            new_stream=self._new_stream,
            failures=(lzma.LZMAError, EOFError, ValueError),
            one_stream=self.format != lzma.FORMAT_XZ,
        )

    def _new_stream(self) -> Decompressor:
        if self.format == lzma.FORMAT_RAW:  # nothing in the stream says what it is
            return lzma.LZMADecompressor(self.format, None, self.filters)
        return lzma.LZMADecompressor(self.format, LZMA_MEMORY_NBYTES)


@dataclass(frozen=True, slots=True)
class Lz4Codec(Compressor):
    """One LZ4 block after its decoded size in four bytes, little endian, by numcodecs."""

    acceleration: int

    def to_metadata(self) -> dict[str, JSON]:
        """Give the codec object."""
        return {"name": "numcodecs.lz4", "configuration": {"acceleration": self.acceleration}}

    def encode(self, decoded: Buffer) -> Buffer:
        """Compress. Raises `UsageError` for more than 2 GiB, which a block cannot hold."""
        from numcodecs import lz4

        nbytes = memoryview(decoded).nbytes
        if nbytes > LZ4_MAX_NBYTES:
            message = f"numcodecs.lz4: expected at most {LZ4_MAX_NBYTES} bytes, found {nbytes}"
            raise UsageError("invalid_argument", message, hint="Choose smaller inner chunks.")
        encoded: bytes = lz4.compress(decoded, self.acceleration)
        return encoded

    def decode(self, encoded: Buffer, *, max_nbytes: int) -> Buffer:
        """Decompress. Raises `CorruptShardError`: `inner_chunk_undecodable`, `inner_chunk_wrong_size`."""
        from numcodecs import lz4

        view = memoryview(encoded)
        if len(view) <= LZ4_PREFIX_NBYTES:
            raise undecodable("numcodecs.lz4", f"expected a size and a block, found {len(view)} bytes")
        nbytes = int.from_bytes(view[:LZ4_PREFIX_NBYTES], "little")
        if nbytes > max_nbytes:
            raise too_large("numcodecs.lz4", max_nbytes, nbytes)
        if nbytes == 0:
            # numcodecs writes this for no bytes, and cannot read it.
            if bytes(view[LZ4_PREFIX_NBYTES:]) != b"\x00":
                raise undecodable("numcodecs.lz4", "its prefix says 0 bytes, but its block is not empty")
            return b""
        try:
            decoded: bytes = lz4.decompress(encoded)
        except (RuntimeError, ValueError) as error:
            raise undecodable("numcodecs.lz4", str(error)) from error
        return decoded


def build(name: str, configuration: Mapping[str, JSON], spec: ChunkSpec) -> Codec:  # noqa: ARG001
    """Build the compressor of that name. What is missing gets numcodecs' defaults."""
    fields = Fields(configuration)
    codec: Codec
    match name:
        case "numcodecs.zlib":
            codec = ZlibCodec(fields.integer("level", minimum=-1, maximum=9, default=1))
        case "numcodecs.bz2":
            codec = Bz2Codec(fields.integer("level", minimum=1, maximum=9, default=1))
        case "numcodecs.lz4":
            codec = Lz4Codec(fields.integer("acceleration", minimum=-(2**31), maximum=2**31 - 1, default=1))
        case _:
            codec = _lzma(fields)
    fields.finish()
    return codec


def _lzma(fields: Fields) -> LzmaCodec:
    formats = {"minimum": lzma.FORMAT_XZ, "maximum": lzma.FORMAT_RAW}
    stream_format = fields.integer("format", **formats, default=lzma.FORMAT_XZ)
    check = fields.integer("check", minimum=-1, maximum=lzma.CHECK_ID_MAX, default=-1)
    preset = filters = None
    if fields.any("preset", default=None) is not None:
        preset = fields.integer("preset", minimum=0, maximum=9 | lzma.PRESET_EXTREME)
    if fields.any("filters", default=None) is not None:
        filters = fields.any("filters")
        if preset is not None:
            fields.problem("preset", "wrong_value", "expected null where there are filters")
        elif not isinstance(filters, list) or not all(isinstance(each, dict) for each in filters):
            fields.problem("filters", "wrong_type", f"expected a list of objects, found {filters!r}")
            filters = None
    try:
        # Which filters, checks and presets go together, only the library knows. Nothing is compressed.
        lzma.LZMACompressor(format=stream_format, check=check, preset=preset, filters=filters)
    except (lzma.LZMAError, ValueError, TypeError, KeyError, OverflowError) as error:
        fields.problem("", "wrong_value", f"the lzma library refuses this combination: {error}")
    return LzmaCodec(stream_format, check, preset, filters)
