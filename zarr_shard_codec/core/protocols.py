"""What the parts say to each other: chunk specs, codecs and chains, as core sees them.

Owns the vocabulary between `core` and `codecs`. No codec lives here.

A codec is built *for* one `ChunkSpec`: its factory gets the configuration and the spec of the array that
the codec encodes (for a bytes→bytes codec: the array that the chain's array→bytes codec encodes), checks
both and raises `MetadataError`. There is no later step that changes it, so every codec is immutable and
safe to share between threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from zarr_shard_codec.core.pieces import Pieces
from zarr_shard_codec.core.ranges import Buffer

JSON = Any
"""A parsed JSON value."""


@dataclass(frozen=True, slots=True)
class ChunkSpec:
    """The array that a codec encodes, and gives back.

    Attributes
    ----------
    shape
        Its shape, in elements.
    dtype
        Its NumPy data type, in native byte order.
    fill_value
        A zero-dimensional array of `dtype`; its bits, not its value, are what counts.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fill_value: np.ndarray[Any, Any]

    @property
    def nbytes(self) -> int:
        """Size in memory, in bytes, as a Python int (shapes are hostile: no overflow here)."""
        return prod(self.shape) * self.dtype.itemsize


Kind = Literal["array_array", "array_bytes", "bytes_bytes"]
"""Which of the specification's three kinds a codec is; a chain sorts its codecs by it."""


class Codec(Protocol):
    """What all codecs have."""

    @property
    def kind(self) -> Kind:
        """A class attribute of every codec: `kind: Final = "array_bytes"`."""
        ...

    def to_metadata(self) -> dict[str, JSON]:
        """`{"name": …, "configuration": …}`, complete enough to build the same codec anew."""
        ...


class ArrayArrayCodec(Codec, Protocol):
    """Turns an array into another one."""

    encoded_spec: ChunkSpec
    """The spec of what `encode` returns."""

    def encode(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Encode an array of the spec's shape and dtype."""
        ...

    def decode(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Undo `encode`. Raises `CorruptShardError` where the array cannot have come from it."""
        ...


class ArrayBytesCodec(Codec, Protocol):
    """Turns an array into bytes."""

    encoded_nbytes: int | None
    """Size of every encoded chunk in bytes; None where it varies."""
    max_encoded_nbytes: int
    """No encoded chunk is larger than this, in bytes."""

    def encode(self, array: np.ndarray[Any, Any]) -> Buffer:
        """Encode an array of the spec's shape and dtype."""
        ...

    def decode(self, encoded: Buffer) -> np.ndarray[Any, Any]:
        """Undo `encode`; may be a read-only view of `encoded`, in any byte order.

        Raises `CorruptShardError` with reason `inner_chunk_wrong_size` or `inner_chunk_undecodable`.
        """
        ...


class BytesBytesCodec(Codec, Protocol):
    """Turns bytes into other bytes: compression, checksums."""

    def encode(self, decoded: Buffer) -> Buffer:
        """Encode."""
        ...

    def decode(self, encoded: Buffer, *, max_nbytes: int) -> Buffer:
        """Undo `encode`, and never make (or take memory for) more than `max_nbytes` bytes.

        Raises `CorruptShardError` with reason `inner_chunk_undecodable`, `inner_chunk_wrong_size` (more
        than `max_nbytes` would come out) or `inner_chunk_checksum_mismatch`. Any bytes at all may come
        in; no other exception comes out.
        """
        ...

    def encoded_nbytes(self, decoded_nbytes: int) -> int | None:
        """Size in bytes of what `encode` makes of that many bytes; None where it varies (compression)."""
        ...

    def max_encoded_nbytes(self, decoded_nbytes: int) -> int:
        """An upper bound in bytes for any valid encoding of that many bytes, by any sane encoder."""
        ...


@runtime_checkable
class BatchCodec(Protocol):
    """A bytes→bytes codec that is much faster at many chunks at once. Optional: one by one always works."""

    def decode_many(self, encoded: Pieces, nbytes: int) -> Buffer | None:
        """Decode chunks of which each must give exactly `nbytes` bytes, one behind the other.

        None if any chunk cannot be decoded so: the caller decodes one by one then, and finds out which and
        why.
        """
        ...

    def encode_many(self, decoded: Pieces) -> Pieces:
        """Encode each by itself."""
        ...


@runtime_checkable
class FramedCodec(Protocol):
    """A bytes→bytes codec whose encodings say where they end. Optional; `repair` asks for it."""

    def frame_nbytes(self, encoded: memoryview, *, max_nbytes: int) -> int:
        """Size in bytes of the one encoding that `encoded` begins with, whatever follows it.

        Raises `CorruptShardError` where it begins with none, or one of more than `max_nbytes` bytes once
        decoded.
        """
        ...


class CodecFactory(Protocol):
    """What the registry holds: builds a codec for a spec. Raises `MetadataError`.

    Problem paths are relative to the codec's configuration (`level`, not `codecs[1].configuration.level`);
    the chain adds where the codec stands.
    """

    def __call__(self, name: str, configuration: Mapping[str, JSON], spec: ChunkSpec) -> Codec:
        """Build it; `name` is the name that the metadata used (aliases share a factory)."""
        ...
