"""The `bytes` codec: elements in lexicographical order, little or big endian.

Owns the byte order alone. It copies only what is not contiguous or must be swapped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from zarr_shard_codec.codecs.bounded import undecodable
from zarr_shard_codec.codecs.configuration import Fields
from zarr_shard_codec.core.protocols import JSON, ChunkSpec, Kind
from zarr_shard_codec.core.ranges import Buffer
from zarr_shard_codec.errors import CorruptShardError


@dataclass(frozen=True, slots=True)
class BytesCodec:
    """An array's elements as they lie in memory.

    Attributes
    ----------
    endian
        "little" or "big"; None where the metadata leaves it out.
    shape
        Shape of the array, in elements.
    stored_dtype
        The array's data type in the byte order of the encoded bytes.
    """

    kind: ClassVar[Kind] = "array_bytes"

    endian: str | None
    shape: tuple[int, ...]
    stored_dtype: np.dtype[Any]
    encoded_nbytes: int | None
    max_encoded_nbytes: int

    @property
    def takes_any_bytes(self) -> bool:
        """Whether all bytes of the right size decode, so that only the size has to be looked at."""
        return self.stored_dtype.kind != "b"

    def to_metadata(self) -> dict[str, JSON]:
        """Give the codec object; without a configuration where there is no byte order to tell."""
        if self.endian is None:
            return {"name": "bytes"}
        return {"name": "bytes", "configuration": {"endian": self.endian}}

    def encode(self, array: np.ndarray[Any, Any]) -> Buffer:
        """Encode an array, or many side by side.

        A view of `array`'s memory where that is contiguous and in the stored byte order.
        """
        stored = np.ascontiguousarray(array, dtype=self.stored_dtype)
        # By way of uint8: datetimes and raw types export no buffer of their own.
        return stored.reshape(-1).view(np.uint8).data

    def decode(self, encoded: Buffer) -> np.ndarray[Any, Any]:
        """Decode; always a view of `encoded`, in the stored byte order.

        Raises
        ------
        CorruptShardError
            `inner_chunk_wrong_size`; `inner_chunk_undecodable` for a bool that is neither 0 nor 1 (bytes
            codec specification: false is 0x00 and true 0x01).
        """
        if len(encoded) != self.max_encoded_nbytes:
            message = f"bytes: expected {self.max_encoded_nbytes} bytes, found {len(encoded)}"
            raise CorruptShardError("inner_chunk_wrong_size", message)
        array = np.frombuffer(encoded, self.stored_dtype).reshape(self.shape)
        if not self.takes_any_bytes:
            largest = int(array.view(np.uint8).max(initial=0))
            if largest > 1:
                raise undecodable("bytes", f"expected 0 or 1 for a bool, found {largest}")
        return array


def build(name: str, configuration: Mapping[str, JSON], spec: ChunkSpec) -> BytesCodec:  # noqa: ARG001
    """Build it. `endian` may be left out only where it means nothing: one-byte and raw types."""
    fields = Fields(configuration)
    # Raw, byte string and one-byte types are the same in either byte order, and say so.
    has_byte_order = spec.dtype.newbyteorder() != spec.dtype
    endian = fields.choice("endian", ("little", "big"), default="") or None
    if endian is None and has_byte_order:
        fields.problem(
            "endian", "missing_key", f"required for {spec.dtype}, whose elements have a byte order"
        )
    if spec.dtype.hasobject:
        fields.problem("", "codec_data_type_mismatch", f"{spec.dtype} has no fixed size in bytes")
    fields.finish()
    dtype = spec.dtype if endian is None else spec.dtype.newbyteorder("<" if endian == "little" else ">")
    return BytesCodec(endian, spec.shape, dtype, spec.nbytes, spec.nbytes)
