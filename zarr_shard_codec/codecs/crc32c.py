"""The `crc32c` codec: four bytes of checksum after the data, checked whenever it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import google_crc32c
import numpy as np

from zarr_shard_codec.codecs.bounded import CHECKSUM_NBYTES, checked
from zarr_shard_codec.codecs.configuration import Fields
from zarr_shard_codec.core.protocols import JSON, ChunkSpec, Kind
from zarr_shard_codec.core.ranges import Buffer


def checksum(buffer: Buffer) -> int:
    """CRC32C (RFC 3720) of a buffer, by the processor's instruction where it has one."""
    # The C function takes no memoryview and no bytearray; an array over the same memory it takes.
    return int(google_crc32c.value(buffer if type(buffer) is bytes else np.frombuffer(buffer, np.uint8)))


@dataclass(frozen=True, slots=True)
class Crc32cCodec:
    """The data, then its CRC32C, little endian."""

    kind: ClassVar[Kind] = "bytes_bytes"

    def to_metadata(self) -> dict[str, JSON]:
        """Give the codec object; there is nothing to configure."""
        return {"name": "crc32c"}

    def encode(self, decoded: Buffer) -> Buffer:
        """Append the checksum."""
        return b"".join((decoded, checksum(decoded).to_bytes(CHECKSUM_NBYTES, "little")))

    def decode(self, encoded: Buffer, *, max_nbytes: int) -> Buffer:
        """Check the checksum and cut it off; a view of `encoded`.

        Raises
        ------
        CorruptShardError
            `inner_chunk_undecodable` (too short for a checksum), `inner_chunk_wrong_size`,
            `inner_chunk_checksum_mismatch`.
        """
        return checked("crc32c", encoded, max_nbytes=max_nbytes, checksum=checksum)

    def encoded_nbytes(self, decoded_nbytes: int) -> int | None:
        """Four bytes more."""
        return decoded_nbytes + CHECKSUM_NBYTES

    def max_encoded_nbytes(self, decoded_nbytes: int) -> int:
        """Four bytes more."""
        return decoded_nbytes + CHECKSUM_NBYTES


def build(name: str, configuration: Mapping[str, JSON], spec: ChunkSpec) -> Crc32cCodec:  # noqa: ARG001
    """Build it. It has no configuration."""
    Fields(configuration).finish()
    return Crc32cCodec()
