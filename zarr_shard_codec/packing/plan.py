"""What becomes of one array: the target's metadata, and which chunks lie in which shard.

Owns no I/O: metadata in, metadata and coordinates out. Encoded chunks are the same on both sides, so all that
changes is where the codec chain is cut: the source's chain becomes the shard's inner chain, and the other way
round.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final, Literal, Self

import numpy as np

from zarr_shard_codec.array.key_encoding import KeyEncoding
from zarr_shard_codec.array.metadata import ArrayMetadata, ForeignMetadata
from zarr_shard_codec.array.nodes import join_key
from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.codecs.transpose import TransposeCodec
from zarr_shard_codec.core.config import DEFAULT_INDEX_CODECS
from zarr_shard_codec.core.config import NAME as SHARDING
from zarr_shard_codec.core.grid import ChunkOrder, Coords, each_coords, grid_counts, write_order
from zarr_shard_codec.core.layout import IndexLocation
from zarr_shard_codec.core.protocols import JSON
from zarr_shard_codec.errors import MetadataError, PackingError, Problem, UsageError
from zarr_shard_codec.packing.attributes import attributes_for_v3
from zarr_shard_codec.packing.shapes import check_index_size, check_shard_shape

Action = Literal["pack", "unpack", "copy"]

DEFAULT_KEY_ENCODING: Final = KeyEncoding("default", "/")

MOST_CHUNKS: Final = 1 << 32
"""Of one array. Each is looked for by its name, and to name that many takes hours."""

MOST_CHUNKS_PER_SHARD: Final = 1 << 24
"""In one shard that is taken apart: an index of 256 MiB."""

_BLOCK: Final = 4096
"""So many chunks' coordinates are at hand at once; a shard may have millions."""


def pack_metadata(
    source: ArrayMetadata,
    shard_shape: Sequence[int],
    *,
    index_location: IndexLocation = "end",
    key_encoding: KeyEncoding = DEFAULT_KEY_ENCODING,
) -> ArrayMetadata:
    """Give the metadata of the array in shards: the source's codec chain is the inner chain.

    Raises
    ------
    UsageError
        `chunk_shape_mismatch`, `chunk_shape_not_divisor`; `invalid_argument`: it is sharded already, or the
        shards' indexes would be out of proportion.
    MetadataError
        `no_exact_translation`: what stands in its attributes.
    """
    if is_sharded(source):
        raise UsageError(
            "invalid_argument",
            f"the array is sharded already, in shards of {list(source.chunk_shape)}",
            hint="Other shards for it: unpack it first, and pack the result.",
        )
    shard_shape = check_shard_shape(shard_shape, source.chunk_shape)
    check_index_size(shard_shape, source.chunk_shape, source.shape, source.dtype.itemsize)
    sharding = {
        "chunk_shape": list(source.chunk_shape),
        "codecs": list(source.codecs),
        "index_codecs": list(DEFAULT_INDEX_CODECS),
        "index_location": index_location,
    }
    codecs = [{"name": SHARDING, "configuration": sharding}]
    return _target(source, shard_shape, codecs, key_encoding)


def unpack_metadata(
    source: ArrayMetadata, *, key_encoding: KeyEncoding = DEFAULT_KEY_ENCODING
) -> ArrayMetadata:
    """Give the metadata of the array with its inner chunks as chunks of their own.

    Of nested shards the outermost are taken apart: the inner ones become the target's shards.

    Raises
    ------
    UsageError
        `invalid_argument`: it is not sharded.
    PackingError
        `no_exact_translation`: a codec before the shards changes the elements of a shard as a whole.
    MetadataError
        `no_exact_translation`: what stands in its attributes.
    """
    chain = source.chain
    if not isinstance(chain.array_bytes, ShardingCodec):
        raise UsageError(
            "invalid_argument",
            "the array is not sharded: there is nothing to unpack",
            hint="Copy it as it is.",
        )
    for codec in chain.array_array:
        # Any other filter has seen the shard as a whole (delta runs through it from end to end), and its fill
        # value is not always what it makes of the array's.
        if not isinstance(codec, TransposeCodec):
            raise PackingError(
                "no_exact_translation",
                f"the codec {codec.to_metadata()['name']!r} stands before the shards and encodes each "
                "as a whole: inner chunks cannot be told apart without decoding",
            )
    config = chain.array_bytes.config
    codecs = [*source.codecs[: len(chain.array_array)], *config.codecs]
    return _target(source, chain.untransposed(config.inner_chunk_shape), codecs, key_encoding)


def copy_metadata(source: ArrayMetadata) -> ArrayMetadata:
    """Give the v3 metadata of the same chunks under the same keys."""
    return _target(source, source.chunk_shape, source.codecs, source.key_encoding)


def is_sharded(metadata: ArrayMetadata) -> bool:
    """Whether the array's chunks are shards, whatever stands before and after them."""
    return isinstance(metadata.chain.array_bytes, ShardingCodec)


def _target(
    source: ArrayMetadata, chunk_shape: Sequence[int], codecs: Sequence[JSON], key_encoding: KeyEncoding
) -> ArrayMetadata:
    grid = {"name": "regular", "configuration": {"chunk_shape": list(chunk_shape)}}
    changed = {
        "chunk_grid": grid,
        "codecs": list(codecs),
        "chunk_key_encoding": key_encoding.to_json(),
        "attributes": attributes_for_v3(source),
    }
    # By way of the document, so that what is written has been read once.
    return ArrayMetadata.from_json(source.to_json() | changed)


@dataclass(frozen=True, slots=True)
class ShardGrid:
    """Which chunks of an array lie in which shard, and where in its index.

    Attributes
    ----------
    shards
        Shards along each axis of the array.
    chunks
        Chunks along each axis of the array. Inner chunks beyond are not the array's: nobody reads them.
    chunks_per_shard
        Inner chunks along each axis of the shard as the codec sees it: after transposes.
    axes
        For each axis of the array, the codec's axis.
    order
        Linear indices of all inner chunks, in the order in which they are visited.
    """

    shards: Coords
    chunks: Coords
    chunks_per_shard: Coords
    axes: Coords
    order: np.ndarray[Any, Any]

    @classmethod
    def of(cls, sharded: ArrayMetadata, chain: CodecChain, codec: ShardingCodec) -> Self:
        """Take the grid from an array's metadata, its chain, and the sharding codec in that."""
        chunk_shape = chain.untransposed(codec.config.inner_chunk_shape)
        return cls(
            grid_counts(sharded.shape, sharded.chunk_shape),
            grid_counts(sharded.shape, chunk_shape),
            codec.chunks_per_shard,
            chain.untransposed(range(len(sharded.shape))),
            write_order(codec.chunk_order, codec.chunks_per_shard),
        )

    def each_shard(self) -> Iterator[Coords]:
        """Coordinates of all shards, in C order."""
        return each_coords(self.shards)

    def n_chunks_in(self, shard: Coords) -> int:
        """How many chunks of the array lie in one shard."""
        per_shard = (self.chunks_per_shard[axis] for axis in self.axes)
        return prod(
            min(size, count - at * size)
            for at, size, count in zip(shard, per_shard, self.chunks, strict=True)
        )

    def chunks_in(self, shard: Coords) -> Iterator[tuple[np.ndarray[Any, Any], list[Coords]]]:
        """Chunks of the array in one shard, a block at a time: linear indices, coordinates in the array."""
        if not shard:
            yield self.order, [()]
            return
        for start in range(0, len(self.order), _BLOCK):
            linear = self.order[start : start + _BLOCK]
            within = np.unravel_index(linear, self.chunks_per_shard)
            along = [
                within[axis] + at * self.chunks_per_shard[axis]
                for at, axis in zip(shard, self.axes, strict=True)
            ]
            inside = np.logical_and.reduce(
                [at < count for at, count in zip(along, self.chunks, strict=True)], axis=0
            )
            yield linear[inside], list(zip(*(at[inside].tolist() for at in along), strict=True))


@dataclass(frozen=True, slots=True)
class ArrayPlan:
    """One array to pack, unpack or copy.

    Attributes
    ----------
    path
        Where it is, in the source and in the target alike.
    action
        What is done with it.
    source, target
        What it is, and what it becomes. What is foreign is copied.
    chunk_order
        In which order new shards hold their inner chunks.
    """

    path: str
    action: Action
    source: ArrayMetadata | ForeignMetadata
    target: ArrayMetadata | ForeignMetadata
    chunk_order: ChunkOrder = "lexicographic"

    def __post_init__(self) -> None:
        """Refuse what has no end. Raises `MetadataError` (`invalid_shape`)."""
        problems = []
        if self.n_chunks > MOST_CHUNKS:
            message = f"expected an array of at most 2^32 chunks, found {self.n_chunks} to look for"
            problems.append(Problem("shape", "invalid_shape", message))
        if self.action == "unpack":
            codec = self.sharded.chain.array_bytes
            assert isinstance(codec, ShardingCodec)
            in_shard = prod(codec.chunks_per_shard)
            if in_shard > MOST_CHUNKS_PER_SHARD:
                message = f"expected shards of at most 2^24 inner chunks, found {in_shard}"
                problems.append(Problem("chunk_grid", "invalid_shape", message))
        if problems:
            raise MetadataError(problems)

    @property
    def sharded(self) -> ArrayMetadata:
        """The side with the shards (of a copy that is not foreign: the source)."""
        sharded = self.target if self.action == "pack" else self.source
        assert isinstance(sharded, ArrayMetadata)
        return sharded

    @property
    def n_chunks(self) -> int:
        """How many chunks there can be: inner chunks of the shards, or the objects of a copy."""
        chunked = self.target if self.action == "unpack" else self.source
        return prod(grid_counts(chunked.shape, chunked.chunk_shape))

    def source_key(self, coords: Sequence[int]) -> str:
        """The key of the source's object (chunk, or shard) at grid coordinates."""
        return join_key(self.path, self.source.key_encoding.key(coords))

    def target_key(self, coords: Sequence[int]) -> str:
        """The key of the target's object (shard, or chunk) at grid coordinates."""
        return join_key(self.path, self.target.key_encoding.key(coords))
