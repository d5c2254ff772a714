"""A codec chain: array→array codecs, one array→bytes codec, bytes→bytes codecs, for one chunk spec.

Owns what every chunk can do whatever its codecs are: be read or changed, whole or in part. A part is read
without the rest only where the array→bytes codec can (a shard), with nothing but transposes before it and
nothing after it. Which codecs they are, `choosing` finds out from metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self, cast, runtime_checkable

import numpy as np

from zarr_shard_codec.codecs.bytes_ import BytesCodec
from zarr_shard_codec.codecs.choosing import choose_codecs
from zarr_shard_codec.codecs.crc32c import Crc32cCodec
from zarr_shard_codec.codecs.many import decode_joined, encode_pieces, gains_by_joining
from zarr_shard_codec.codecs.transpose import TransposeCodec
from zarr_shard_codec.core.fill import filled, is_filled
from zarr_shard_codec.core.grid import ChunkOrder
from zarr_shard_codec.core.jobs import Bounds, DecodeChunk, DecodeJob, UpdateJob
from zarr_shard_codec.core.patching import Append, Overwrite, PatchStrategy
from zarr_shard_codec.core.pieces import Parts, Pieces, Segments
from zarr_shard_codec.core.plain_chunks import PlainChunks
from zarr_shard_codec.core.plans import Plan, covers, hold
from zarr_shard_codec.core.protocols import (
    JSON,
    ArrayArrayCodec,
    ArrayBytesCodec,
    BytesBytesCodec,
    ChunkSpec,
)
from zarr_shard_codec.core.ranges import Buffer, ByteRange, Whole
from zarr_shard_codec.core.selection import Box, box_index
from zarr_shard_codec.core.writing import Update, WriteStrategy
from zarr_shard_codec.errors import CorruptShardError

_BULK_NBYTES: Final = 1 << 18
"""Bytes of a decoded chunk; from this on, reading and copying it takes longer than the Python around it."""


@runtime_checkable
class PartialCodec(Protocol):
    """An array→bytes codec whose bytes can be read and changed in part: sharding."""

    @property
    def reads_in_bulk(self) -> bool:
        """As `CodecChain.reads_in_bulk`."""
        ...

    def plan_read(
        self, box: Box, target: np.ndarray[Any, Any], bounds: Bounds, extent: ByteRange | None
    ) -> Plan[list[DecodeJob] | None]:
        """Plan to read the box into the target; see `reading.read_shard`."""
        ...

    def plan_write(self, box: Box, value: np.ndarray[Any, Any], bounds: Bounds) -> Plan[Update]:
        """Plan to set the box to a value; see `writing.write_shard`."""
        ...

    def plan_patch(
        self, box: Box, value: np.ndarray[Any, Any], bounds: Bounds, strategy: PatchStrategy
    ) -> Plan[Update | Append | Overwrite]:
        """Plan to set the box to a value in an object that is there; see `patching.patch_shard`."""
        ...

    def with_chunk_order(self, chunk_order: ChunkOrder) -> Self:
        """Return the same codec, writing inner chunks in another order."""
        ...


@dataclass(frozen=True, slots=True)
class CodecChain:
    """The codecs of one chunk.

    Attributes
    ----------
    spec
        The chunk: what `encode` takes and `decode` gives back.
    array_array, array_bytes, bytes_bytes
        The codecs, in the order in which they encode.
    limits
        No more bytes than this are an array→bytes codec's output, that of the first bytes→bytes codec, and so
        on: what may come out of decoding each, and last how large an encoded chunk may be.
    partial
        The array→bytes codec, if the chunk can be read in part through it.
    batches
        Whether many chunks are best decoded in one go: elements, transposed or not, and small, or through a
        batch codec or none.
    """

    spec: ChunkSpec
    array_array: tuple[ArrayArrayCodec, ...]
    array_bytes: ArrayBytesCodec
    bytes_bytes: tuple[BytesBytesCodec, ...]
    limits: tuple[int, ...]
    partial: PartialCodec | None
    batches: bool

    @classmethod
    def build(
        cls,
        spec: ChunkSpec,
        array_array: Sequence[ArrayArrayCodec],
        array_bytes: ArrayBytesCodec,
        bytes_bytes: Sequence[BytesBytesCodec],
    ) -> Self:
        """Join codecs that were built for each other."""
        limits = [array_bytes.max_encoded_nbytes]
        for codec in bytes_bytes:
            nbytes = codec.encoded_nbytes(limits[-1])
            if nbytes is None:
                # What a compressor may add, it may add to the chunk, not to the bounds of the codecs before
                # it: those would double with each codec and each level of nesting, and bomb us in the end.
                growth = codec.max_encoded_nbytes(spec.nbytes) - spec.nbytes
                nbytes = limits[-1] + max(0, growth)
            limits.append(nbytes)
        transposed = all(isinstance(codec, TransposeCodec) for codec in array_array)
        partial = None
        if isinstance(array_bytes, PartialCodec) and transposed and not bytes_bytes:
            partial = array_bytes
        elements = isinstance(array_bytes, BytesCodec) and array_bytes.takes_any_bytes and spec.nbytes > 0
        batches = elements and transposed and gains_by_joining(bytes_bytes, spec.nbytes)
        return cls(spec, tuple(array_array), array_bytes, tuple(bytes_bytes), tuple(limits), partial, batches)

    @classmethod
    def from_metadata(cls, codecs: Sequence[JSON], spec: ChunkSpec, *, path: str = "codecs") -> Self:
        """Build the chain that a metadata document names.

        Parameters
        ----------
        codecs
            The list of codecs, as parsed JSON.
        spec
            The chunk that the chain encodes.
        path
            Where the list stands in its document, for messages.

        Raises
        ------
        MetadataError
            With all problems of all codecs at once: `unknown_codec`, `codec_chain_order`, and whatever the
            codecs find wrong with their configurations.
        """
        return cls.build(spec, *choose_codecs(codecs, spec, path))

    def to_metadata(self) -> list[dict[str, JSON]]:
        """The chain as a metadata document names it."""
        return [codec.to_metadata() for codec in (*self.array_array, self.array_bytes, *self.bytes_bytes)]

    def with_chunk_order(self, chunk_order: ChunkOrder) -> Self:
        """Return the same chain, its shards (if any) writing inner chunks in another order."""
        if not isinstance(self.array_bytes, PartialCodec):
            return self
        array_bytes = cast("ArrayBytesCodec", self.array_bytes.with_chunk_order(chunk_order))
        return self.build(self.spec, self.array_array, array_bytes, self.bytes_bytes)

    @property
    def encoded_nbytes(self) -> int | None:
        """Size in bytes of every encoded chunk; None where it varies."""
        nbytes = self.array_bytes.encoded_nbytes
        for codec in self.bytes_bytes:
            nbytes = None if nbytes is None else codec.encoded_nbytes(nbytes)
        return nbytes

    @property
    def max_encoded_nbytes(self) -> int:
        """No encoded chunk is larger than this, in bytes."""
        return self.limits[-1]

    @property
    def whole(self) -> Whole:
        """The request for all of an object that is one such chunk; one byte too many shows that it is not."""
        return Whole(self.max_encoded_nbytes + 1)

    @property
    def decodes_fast(self) -> bool:
        """Whether decoding takes little longer than a copy: no more than checksums and Blosc's own LZ."""
        return isinstance(self.array_bytes, BytesCodec) and all(
            isinstance(codec, Crc32cCodec) or getattr(codec, "cname", "") in ("lz4", "lz4hc", "blosclz")
            for codec in self.bytes_bytes
        )

    @property
    def reads_in_bulk(self) -> bool:
        """Whether chunks are so large, and decode so fast, that reading them is mostly copying of memory."""
        if self.partial is not None:
            return self.partial.reads_in_bulk
        return self.decodes_fast and self.spec.nbytes >= _BULK_NBYTES

    @property
    def plain(self) -> PlainChunks | None:
        """How elements lie in a chunk's bytes, if they do as they are; None if a codec is to be asked."""
        codec = self.array_bytes
        if self.array_array or self.bytes_bytes or not (self.spec.shape and self.batches):
            return None
        return PlainChunks(self.spec.shape, cast("BytesCodec", codec).stored_dtype)

    @property
    def batch_nbytes(self) -> int:
        """Decoded size of the chunks that are best worked on together, in bytes.

        Each thread holds as much memory, and some codecs' libraries as much again. Smaller, and the calls,
        and the threads' turns at Python's lock between them, cost more than the work, of which there is
        less where decoding is fast.
        """
        return 1 << 21 if self.decodes_fast else 1 << 20

    @property
    def reads_partially(self) -> bool:
        """Whether a part of the chunk can be read without all of its bytes."""
        return self.partial is not None

    def encode(self, array: np.ndarray[Any, Any]) -> Buffer:
        """Encode one chunk, an array of the spec's shape and dtype."""
        for array_codec in self.array_array:
            array = array_codec.encode(array)
        encoded = self.array_bytes.encode(array)
        for codec in self.bytes_bytes:
            encoded = codec.encode(encoded)
        return encoded

    def decode(self, encoded: Buffer) -> np.ndarray[Any, Any]:
        """Decode one chunk; possibly a read-only view of the bytes.

        Raises
        ------
        CorruptShardError
            `inner_chunk_checksum_mismatch`, `inner_chunk_undecodable`, `inner_chunk_wrong_size`; for a
            chunk that is itself a shard, whatever is wrong with that.
        """
        array = self.array_bytes.decode(self.unwrap(encoded))
        for array_codec in reversed(self.array_array):
            array = array_codec.decode(array)
        if array.shape != self.spec.shape:
            raise CorruptShardError(
                "inner_chunk_wrong_size", f"expected a chunk of shape {self.spec.shape}, found {array.shape}"
            )
        return array

    def decode_many(self, encoded: Pieces) -> np.ndarray[Any, Any] | None:
        """Decode chunks in one go, where `batches` says so.

        Parameters
        ----------
        encoded
            At least one chunk.

        Returns
        -------
        ndarray or None
            Shape (n, *chunk shape), perhaps read-only. None where chunks must be decoded one by one: by the
            nature of the chain, or because one of them is broken.
        """
        if not self.batches:
            return None
        joined = decode_joined(self.bytes_bytes, self.limits[:-1], encoded, self.spec.nbytes)
        if joined is None:
            return None
        plain = cast("BytesCodec", self.array_bytes)
        array = np.frombuffer(joined, plain.stored_dtype).reshape(len(encoded), *plain.shape)
        for transpose in reversed(self.array_array):
            order = cast("TransposeCodec", transpose).inverse_order
            array = array.transpose(0, *(axis + 1 for axis in order))
        return array

    def encode_many(self, chunks: np.ndarray[Any, Any]) -> Pieces:
        """Encode chunks, shape (n, *chunk shape), contiguous."""
        plain = self.array_bytes
        if isinstance(plain, BytesCodec) and not self.array_array and len(chunks):
            stored = plain.encode(chunks)
            size = self.spec.nbytes
            table = np.empty((len(chunks), 2), np.uint64)
            table[:, 0], table[:, 1] = np.arange(len(chunks), dtype=np.uint64) * np.uint64(size), size
            return encode_pieces(self.bytes_bytes, Segments(stored, table))
        return Parts([self.encode(chunk) for chunk in chunks])

    def unwrap(self, encoded: Buffer) -> Buffer:
        """Undo the bytes→bytes codecs alone: what the array→bytes codec made, such as a shard.

        Raises
        ------
        CorruptShardError
            `inner_chunk_checksum_mismatch`, `inner_chunk_undecodable`, `inner_chunk_wrong_size`.
        """
        if len(encoded) > self.max_encoded_nbytes:  # of which perhaps not even all was read, see `whole`
            message = f"expected at most {self.max_encoded_nbytes} bytes, found {len(encoded)} or more"
            raise CorruptShardError("inner_chunk_wrong_size", message)
        for codec, limit in zip(reversed(self.bytes_bytes), reversed(self.limits[:-1]), strict=True):
            encoded = codec.decode(encoded, max_nbytes=limit)
        return encoded

    def plan_read(
        self, box: Box, target: np.ndarray[Any, Any], bounds: Bounds, extent: ByteRange | None = None
    ) -> Plan[list[DecodeJob] | None]:
        """Plan to read part of the chunk; the parameters are those of `reading.read_shard`."""
        if self.partial is not None:
            box, bounds, target = self._transposed(box, bounds, target)
            return (yield from self.partial.plan_read(box, target, bounds, extent))
        answer = yield [self.whole if extent is None else extent]
        if answer is None:
            return None
        return [DecodeChunk(self, answer[0], box_index(box), target, None)]

    def plan_write(self, box: Box, value: np.ndarray[Any, Any], bounds: Bounds) -> Plan[Update]:
        """Plan to set part of the chunk; the parameters are those of `writing.write_shard`."""
        if self.partial is not None:
            box, bounds, value = self._transposed(box, bounds, value)
            return (yield from self.partial.plan_write(box, value, bounds))
        answer = None if covers(box, bounds) else (yield [self.whole])
        old = None if answer is None else answer[0]
        return Update([UpdateJob(self, old, box, value, bounds, 0, None)])

    def plan_patch(
        self, box: Box, value: np.ndarray[Any, Any], bounds: Bounds, strategy: PatchStrategy
    ) -> Plan[Update | Append | Overwrite]:
        """Plan to set part of the chunk, which can be read in part; see `patching.patch_shard`."""
        assert self.partial is not None
        box, bounds, value = self._transposed(box, bounds, value)
        return (yield from self.partial.plan_patch(box, value, bounds, strategy))

    def plan_set(
        self, box: Box, value: np.ndarray[Any, Any], bounds: Bounds, strategy: WriteStrategy
    ) -> Plan[Update | Append | Overwrite]:
        """Plan to set part of the chunk as `strategy` says: `plan_write`, or `plan_patch`."""
        if strategy == "replace":
            return (yield from self.plan_write(box, value, bounds))
        return (yield from self.plan_patch(box, value, bounds, strategy))

    def update(
        self, old: Buffer | None, box: Box, value: np.ndarray[Any, Any], bounds: Bounds
    ) -> Buffer | None:
        """Encode the chunk anew with the box set to a value, in memory.

        Parameters
        ----------
        old
            The encoded chunk until now; None if it was empty, or if the box covers the bounds.
        box, value
            What changes, in elements of the chunk, and what it becomes: an array of the box's shape.
        bounds
            How much of the chunk lies inside the array.

        Returns
        -------
        Buffer or None
            None if every element now has the fill value's bits.
        """
        if self.partial is not None:
            parts = hold(self.plan_write(box, value, bounds), old).run()
            return None if parts is None else b"".join(parts)
        if value.shape == self.spec.shape:
            array = value
        else:
            # Elements outside the bounds become fill value here, whatever the old chunk had there.
            array = filled(self.spec.shape, self.spec.fill_value)
            if old is not None:
                inside = tuple(slice(0, size) for size in bounds)
                array[inside] = self.decode(old)[inside]
            array[box_index(box)] = value
        return None if is_filled(array, self.spec.fill_value) else self.encode(array)

    def transposed(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Bring a shape of the chunk's own axes to those that the array→bytes codec sees."""
        for codec in self.array_array:
            if isinstance(codec, TransposeCodec):
                shape = tuple(shape[axis] for axis in codec.order)
        return tuple(shape)

    def untransposed(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Bring a shape that the array→bytes codec has (of its inner chunks) back to the chunk's own axes."""
        for codec in reversed(self.array_array):
            if isinstance(codec, TransposeCodec):
                shape = tuple(shape[axis] for axis in codec.inverse_order)
        return tuple(shape)

    def _transposed(
        self, box: Box, bounds: Bounds, values: np.ndarray[Any, Any]
    ) -> tuple[Box, Bounds, np.ndarray[Any, Any]]:
        """Bring a box and its values to the axes that the array→bytes codec sees: views, no copy."""
        for codec in self.array_array:
            order = cast("TransposeCodec", codec).order
            box, bounds = tuple(box[at] for at in order), tuple(bounds[at] for at in order)
            values = values.transpose(order)
        return box, bounds, values
