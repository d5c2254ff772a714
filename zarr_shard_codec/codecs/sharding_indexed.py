"""sharding_indexed (array→bytes): many encoded inner chunks and an index in one shard.

Owns the codec as metadata names it: what joins the inner chain, the index chain and the plans. The
conversations themselves stand in `core.reading` and `core.writing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar, Final, Self

import numpy as np

from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.core.config import NAME, ShardingConfig, parse_config
from zarr_shard_codec.core.data_types import as_dtype, coerce_fill_value
from zarr_shard_codec.core.grid import ChunkOrder, Coords, grid_counts, write_order
from zarr_shard_codec.core.index import ShardIndex
from zarr_shard_codec.core.jobs import Bounds, DecodeJob
from zarr_shard_codec.core.layout import IndexLocation
from zarr_shard_codec.core.patching import Append, Overwrite, PatchStrategy, patch_shard
from zarr_shard_codec.core.plans import Plan, cut_index, hold
from zarr_shard_codec.core.protocols import JSON, ChunkSpec, Kind
from zarr_shard_codec.core.ranges import Buffer, ByteRange
from zarr_shard_codec.core.reading import read_held, read_shard
from zarr_shard_codec.core.selection import Box, as_integers, new_block, parse_selection, whole_box
from zarr_shard_codec.core.writing import Update, empty_shard, write_shard
from zarr_shard_codec.errors import CorruptShardError, MetadataError, Problem, UsageError

_SLACK_NBYTES: Final = 1 << 16
"""Unused bytes that a shard inside another codec (gzip after the shard) may always have."""

_MAX_LEVELS: Final = 32
"""Shards within shards that are read: every level is a few calls deep, and Python's stack is not endless."""

_TOO_DEEP: Final = Problem("codecs", "wrong_value", f"shards are nested deeper than {_MAX_LEVELS} levels")


@dataclass(frozen=True, slots=True, weakref_slot=True)
class ShardingCodec:
    """The codec for shards of one shape, dtype and fill value. Immutable, and safe to share.

    Attributes
    ----------
    spec
        The shard as an array.
    config
        What the metadata says.
    inner
        The codec chain of an inner chunk.
    index_chain
        The codec chain of the index.
    chunk_order
        In which order encoded inner chunks are written.
    chunks_per_shard
        Inner chunks along each axis of the shard.
    index_nbytes
        Size of the encoded index in bytes.
    """

    kind: ClassVar[Kind] = "array_bytes"

    spec: ChunkSpec
    config: ShardingConfig
    inner: CodecChain
    index_chain: CodecChain
    chunk_order: ChunkOrder
    chunks_per_shard: Coords
    index_nbytes: int

    @classmethod
    def from_metadata(
        cls,
        configuration: Mapping[str, JSON],
        *,
        shard_shape: int | Sequence[int],
        dtype: Any,
        fill_value: Any = 0,
        chunk_order: ChunkOrder = "lexicographic",
    ) -> Self:
        """Build the codec from its `configuration` in array metadata.

        Parameters
        ----------
        configuration
            The parsed JSON object: `chunk_shape`, `codecs`, `index_codecs`, `index_location`.
        shard_shape
            Shape of a shard, in elements; an integer for one axis.
        dtype
            NumPy data type of the array, or the name of a Zarr v3 one.
        fill_value
            A scalar, or a fill value as Zarr v3 metadata writes it (`"NaN"`, `"0x7fc00001"`, …).
        chunk_order
            `lexicographic`, `morton` or `reverse`: the order in which inner chunks are written. Every
            reader reads any order (ORDER-ANY); it never enters the metadata.

        Raises
        ------
        MetadataError
            With every problem at once; see `errors.Reason`, "a metadata document".
        UsageError
            `invalid_argument`: the chunk order, the shard's shape.
        """
        dtype = as_dtype(dtype)
        spec = ChunkSpec(_shape(shard_shape), dtype, coerce_fill_value(fill_value, dtype))
        try:
            codec = cls._for_spec(configuration, spec)
        except RecursionError:
            raise MetadataError([_TOO_DEEP]) from None
        return codec.with_chunk_order(chunk_order)

    @classmethod
    def _for_spec(cls, configuration: Mapping[str, JSON], spec: ChunkSpec) -> Self:
        config, problems = parse_config(configuration, spec.shape)
        inner_shape = spec.shape if config is None else config.inner_chunk_shape
        counts = grid_counts(spec.shape, inner_shape)
        # With a shape that cannot be, the codecs are still checked, so that all problems show at once.
        inner = _chain(configuration, "codecs", replace(spec, shape=inner_shape), problems)
        index_spec = ChunkSpec((*counts, 2), np.dtype(np.uint64), np.zeros((), np.uint64))
        index_chain = _chain(configuration, "index_codecs", index_spec, problems)
        index_nbytes = None if index_chain is None else index_chain.encoded_nbytes
        if index_chain is not None and index_nbytes is None:
            message = "index codecs must have a fixed encoded size, so none may compress"
            problems.append(Problem("index_codecs", "index_codec_variable_size", message))
        if problems or config is None or inner is None or index_chain is None or index_nbytes is None:
            raise MetadataError(problems)
        codec = cls(spec, config, inner, index_chain, "lexicographic", counts, index_nbytes)
        if codec.levels > _MAX_LEVELS:
            raise MetadataError([_TOO_DEEP])
        return codec

    def to_metadata(self) -> dict[str, JSON]:
        """The codec as array metadata names it."""
        configuration = {
            "chunk_shape": list(self.config.inner_chunk_shape),
            "codecs": self.inner.to_metadata(),
            "index_codecs": self.index_chain.to_metadata(),
            "index_location": self.config.index_location,
        }
        return {"name": NAME, "configuration": configuration}

    @property
    def reads_in_bulk(self) -> bool:
        """As `CodecChain.reads_in_bulk`, of the inner chunks."""
        return self.inner.reads_in_bulk

    def with_chunk_order(self, chunk_order: ChunkOrder) -> Self:
        """Return the same codec, writing inner chunks (at every level of nesting) in another order."""
        write_order(chunk_order, ())  # refuses an unknown name
        return replace(self, chunk_order=chunk_order, inner=self.inner.with_chunk_order(chunk_order))

    @property
    def index_location(self) -> IndexLocation:
        """Where the index stands in the shard."""
        return self.config.index_location

    @property
    def encoded_nbytes(self) -> None:
        """Encoded shards vary in size: empty inner chunks take no bytes."""
        return

    @property
    def max_encoded_nbytes(self) -> int:
        """More bytes than any sane shard has: its chunks, its index, and as many unused as it has elements.

        Unused bytes are counted in decoded ones, lest the bound double with each level of nesting.
        """
        chunks_nbytes = prod(self.chunks_per_shard) * self.inner.max_encoded_nbytes
        return chunks_nbytes + self.index_nbytes + self.spec.nbytes + _SLACK_NBYTES

    @property
    def levels(self) -> int:
        """Levels of nesting: 1 if the inner chunks are no shards."""
        inner = self.inner.array_bytes
        return 1 + (inner.levels if isinstance(inner, ShardingCodec) else 0)

    def encode(self, array: np.ndarray[Any, Any]) -> bytes:
        """Encode a whole shard.

        Parameters
        ----------
        array
            Shape and dtype of the spec, any byte order and strides.

        Returns
        -------
        bytes
            The shard: inner chunks and index. Chunks that are all fill value, bit for bit, are empty entries.

        Raises
        ------
        UsageError
            `value_shape_mismatch`, `value_type_mismatch`.
        """
        return b"".join(self.encode_parts(array))

    def encode_parts(self, array: np.ndarray[Any, Any]) -> list[Buffer]:
        """Encode a whole shard as `encode` does, its parts (encoded inner chunks, the index) not joined."""
        array = np.asarray(array)
        if array.shape != self.spec.shape:
            raise UsageError(
                "value_shape_mismatch", f"expected an array of shape {self.spec.shape}, found {array.shape}"
            )
        if array.dtype.newbyteorder("=") != self.spec.dtype:
            raise UsageError("value_type_mismatch", f"expected dtype {self.spec.dtype}, found {array.dtype}")
        array = array.astype(self.spec.dtype, copy=False)
        parts = hold(self.plan_write(whole_box(array.shape), array, array.shape), None).run()
        # A codec gives bytes for every array; only a store can leave an all-empty shard out.
        return [empty_shard(self)] if parts is None else parts

    def decode(self, encoded: Buffer, selection: Any = ...) -> Any:
        """Decode a shard, or the part of it that `selection` names.

        Parameters
        ----------
        encoded
            The whole shard, index included.
        selection
            A NumPy basic selection over the shard shape: integers, slices with any step, Ellipsis.

        Returns
        -------
        ndarray
            New memory; dtype of the spec, shape as NumPy gives it for `whole[selection]` (a scalar where
            NumPy gives one).

        Raises
        ------
        CorruptShardError
            `shard_too_short`, `index_checksum_mismatch`, `index_undecodable`, and for the inner chunks
            that are touched: `entry_half_empty`, `entry_zero_length`, `entry_out_of_bounds`,
            `inner_chunk_checksum_mismatch`, `inner_chunk_undecodable`, `inner_chunk_wrong_size`.
        SelectionError
            `selection_out_of_bounds`, `selection_invalid`.
        """
        wanted = parse_selection(selection, self.spec.shape)
        block = new_block(wanted.box, self.spec.dtype)
        for job in read_held(self, encoded, wanted.box, block, self.spec.shape):
            job.run()
        return wanted.result(block)

    def read_index(self, encoded: Buffer) -> ShardIndex:
        """Decode the index of a whole shard; its entries are not checked here.

        Raises
        ------
        CorruptShardError
            `shard_too_short`, `index_checksum_mismatch`, `index_undecodable`.
        """
        return cut_index(self, encoded)

    def decode_index(self, encoded: Buffer) -> ShardIndex:
        """Decode the bytes of an index, and nothing but them. Raises as `read_index`."""
        try:
            table = self.index_chain.decode(encoded)
        except CorruptShardError as error:
            checksum = error.reason == "inner_chunk_checksum_mismatch"
            raise CorruptShardError(
                "index_checksum_mismatch" if checksum else "index_undecodable",
                f"the shard index: {error.message}",
                hint="The shard was damaged, or its index is not where or what the metadata says. "
                "If a writer was killed: `zarr-shard repair` looks for the index that it had before.",
            ) from error
        entries = np.ascontiguousarray(table, np.uint64).reshape(-1, 2)
        return ShardIndex(entries, self.chunks_per_shard)

    def encode_index(self, index: ShardIndex) -> Buffer:
        """Undo `decode_index`: exactly `index_nbytes` bytes."""
        return self.index_chain.encode(index.entries.reshape(*self.chunks_per_shard, 2))

    def plan_read(
        self, box: Box, target: np.ndarray[Any, Any], bounds: Bounds, extent: ByteRange | None = None
    ) -> Plan[list[DecodeJob] | None]:
        """Plan to read part of a shard; see `reading.read_shard`."""
        return read_shard(self, box, target, bounds, extent)

    def plan_write(self, box: Box, value: np.ndarray[Any, Any], bounds: Bounds) -> Plan[Update]:
        """Plan to set part of a shard; see `writing.write_shard`."""
        return write_shard(self, box, value, bounds)

    def plan_patch(
        self, box: Box, value: np.ndarray[Any, Any], bounds: Bounds, strategy: PatchStrategy
    ) -> Plan[Update | Append | Overwrite]:
        """Plan to set part of a shard that is there; see `patching.patch_shard`."""
        return patch_shard(self, box, value, bounds, strategy)


def build(name: str, configuration: Mapping[str, JSON], spec: ChunkSpec) -> ShardingCodec:  # noqa: ARG001
    """Build the codec for a spec: the registry's factory. Raises `MetadataError`."""
    return ShardingCodec._for_spec(configuration, spec)  # noqa: SLF001


def _shape(given: int | Sequence[int]) -> tuple[int, ...]:
    try:
        shape = as_integers(given)
    except TypeError:
        shape = (0,)
    if any(size < 1 for size in shape):
        raise UsageError("invalid_argument", f"shard_shape: expected sizes of 1 or more, found {given!r:.80}")
    return shape


def _chain(
    configuration: Mapping[str, JSON], key: str, spec: ChunkSpec, problems: list[Problem]
) -> CodecChain | None:
    codecs = configuration.get(key)
    if not isinstance(codecs, list | tuple):
        return None  # a problem already
    try:
        return CodecChain.from_metadata(codecs, spec, path=key)
    except MetadataError as error:
        problems += error.problems
        return None
