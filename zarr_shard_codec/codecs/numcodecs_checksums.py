"""The checksums under `numcodecs.*` names: crc32, crc32c, adler32, fletcher32, jenkins_lookup3.

Four bytes, little endian, before or after the data. They are checked whenever the data are read.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from zarr_shard_codec.codecs import crc32c
from zarr_shard_codec.codecs.bounded import CHECKSUM_NBYTES, checked
from zarr_shard_codec.codecs.configuration import Fields
from zarr_shard_codec.core.protocols import JSON, ChunkSpec, Kind
from zarr_shard_codec.core.ranges import Buffer

DEFAULT_LOCATIONS: Final = {
    "numcodecs.crc32": "start",
    "numcodecs.adler32": "start",
    "numcodecs.crc32c": "end",
}
"""Where numcodecs puts the checksum unless told; the names not listed have it at the end always."""


@dataclass(frozen=True, slots=True)
class ChecksumCodec:
    """The data and their checksum.

    Attributes
    ----------
    name
        Which checksum.
    location
        "start" or "end".
    initval
        What `jenkins_lookup3` starts from.
    """

    kind: ClassVar[Kind] = "bytes_bytes"

    name: str
    location: str
    initval: int

    def to_metadata(self) -> dict[str, JSON]:
        """Give the codec object."""
        configuration: dict[str, JSON] = {}
        if self.name in DEFAULT_LOCATIONS:
            configuration["location"] = self.location
        elif self.name == "numcodecs.jenkins_lookup3":
            configuration["initval"] = self.initval
        return {"name": self.name, "configuration": configuration}

    def encode(self, decoded: Buffer) -> Buffer:
        """Add the checksum."""
        checksum = self._checksum(decoded).to_bytes(CHECKSUM_NBYTES, "little")
        return b"".join((checksum, decoded) if self.location == "start" else (decoded, checksum))

    def decode(self, encoded: Buffer, *, max_nbytes: int) -> Buffer:
        """Check the checksum and cut it off; a view of `encoded`.

        Raises
        ------
        CorruptShardError
            `inner_chunk_undecodable` (too short for a checksum), `inner_chunk_wrong_size`,
            `inner_chunk_checksum_mismatch`.
        """
        at_start = self.location == "start"
        return checked(self.name, encoded, max_nbytes=max_nbytes, checksum=self._checksum, at_start=at_start)

    def encoded_nbytes(self, decoded_nbytes: int) -> int | None:
        """Four bytes more."""
        return decoded_nbytes + CHECKSUM_NBYTES

    def max_encoded_nbytes(self, decoded_nbytes: int) -> int:
        """Four bytes more."""
        return decoded_nbytes + CHECKSUM_NBYTES

    def _checksum(self, decoded: Buffer) -> int:
        match self.name:
            case "numcodecs.crc32":
                return zlib.crc32(decoded)
            case "numcodecs.adler32":
                return zlib.adler32(decoded)
            case "numcodecs.crc32c":
                return crc32c.checksum(decoded)
            case "numcodecs.fletcher32":
                return _fletcher32(decoded)
            case _:
                from numcodecs.jenkins import jenkins_lookup3

                return int(jenkins_lookup3(np.frombuffer(decoded, np.uint8), self.initval))


def _fletcher32(decoded: Buffer) -> int:
    from numcodecs.fletcher32 import Fletcher32

    if len(decoded) == 0:
        return 0  # numcodecs does not take an empty buffer
    # numcodecs gives the checksum away only behind a copy of the data.
    return int.from_bytes(Fletcher32().encode(decoded)[-CHECKSUM_NBYTES:], "little")


def build(name: str, configuration: Mapping[str, JSON], spec: ChunkSpec) -> ChecksumCodec:  # noqa: ARG001
    """Build the checksum of that name."""
    fields = Fields(configuration)
    location, initval = "end", 0
    if name in DEFAULT_LOCATIONS:
        location = DEFAULT_LOCATIONS[name]
        if fields.any("location", default=None) is not None:
            location = fields.choice("location", ("start", "end"))
    elif name == "numcodecs.jenkins_lookup3":
        initval = fields.integer("initval", minimum=0, maximum=2**32 - 1, default=0)
        if fields.any("prefix", default=None) is not None:
            fields.problem("prefix", "wrong_value", "expected null: JSON cannot hold the bytes of a prefix")
    fields.finish()
    return ChecksumCodec(name, location, initval)
