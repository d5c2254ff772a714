"""The codec `numcodecs.shuffle`: the first bytes of all elements, then the second ones, and so on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from zarr_shard_codec.codecs.bounded import too_large, undecodable
from zarr_shard_codec.codecs.configuration import Fields
from zarr_shard_codec.core.protocols import JSON, ChunkSpec, Kind
from zarr_shard_codec.core.ranges import Buffer
from zarr_shard_codec.errors import UsageError


@dataclass(frozen=True, slots=True)
class ShuffleCodec:
    """A transposition of bytes, of elements of `elementsize` bytes."""

    kind: ClassVar[Kind] = "bytes_bytes"

    elementsize: int

    def to_metadata(self) -> dict[str, JSON]:
        """Give the codec object."""
        return {"name": "numcodecs.shuffle", "configuration": {"elementsize": self.elementsize}}

    def encode(self, decoded: Buffer) -> Buffer:
        """Shuffle. Raises `UsageError` where the bytes are no whole number of elements."""
        view = memoryview(decoded)
        if len(view) % self.elementsize:
            message = f"{len(view)} bytes are no whole number of elements of {self.elementsize} bytes"
            raise UsageError("invalid_argument", f"numcodecs.shuffle: {message}")
        return _transposed(view, len(view) // self.elementsize, self.elementsize)

    def decode(self, encoded: Buffer, *, max_nbytes: int) -> Buffer:
        """Undo it. Raises `CorruptShardError`: `inner_chunk_undecodable`, `inner_chunk_wrong_size`."""
        view = memoryview(encoded)
        if len(view) > max_nbytes:
            raise too_large("numcodecs.shuffle", max_nbytes, len(view))
        if len(view) % self.elementsize:
            message = f"{len(view)} bytes are no whole number of elements of {self.elementsize} bytes"
            raise undecodable("numcodecs.shuffle", message)
        return _transposed(view, self.elementsize, len(view) // self.elementsize)

    def encoded_nbytes(self, decoded_nbytes: int) -> int | None:
        """As many."""
        return decoded_nbytes

    def max_encoded_nbytes(self, decoded_nbytes: int) -> int:
        """As many."""
        return decoded_nbytes


def _transposed(view: memoryview, rows: int, columns: int) -> Buffer:
    if rows <= 1 or columns <= 1:
        return view
    source = np.frombuffer(view, np.uint8).reshape(rows, columns)
    target = np.empty((columns, rows), np.uint8)
    # Lane by lane along the longer side: NumPy's own copy of a transposed array runs along the target's
    # rows, which are one element long when a chunk is unshuffled.
    if rows <= columns:
        for row in range(rows):
            target[:, row] = source[row]
    else:
        for column in range(columns):
            target[column] = source[:, column]
    return target.reshape(-1).data


def build(name: str, configuration: Mapping[str, JSON], spec: ChunkSpec) -> ShuffleCodec:  # noqa: ARG001
    """Build it. A missing or null `elementsize` is the element's, as zarr-python fills it in."""
    fields = Fields(configuration)
    elementsize = spec.dtype.itemsize
    if fields.any("elementsize", default=None) is not None:
        elementsize = fields.integer("elementsize", minimum=1, maximum=2**31 - 1)
    fields.finish()
    return ShuffleCodec(elementsize)
