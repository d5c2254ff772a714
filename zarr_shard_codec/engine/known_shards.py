"""Parts of shards whose index is at hand: the short way of reads from files.

Owns nothing of the format. It takes the steps of `core.reading` without a conversation, whose turns cost more
than reading and copying some chunks. Whatever is not as it nearly always is (no index at hand, a broken
entry, a file that ends too soon) it leaves to a plan, and to its errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final, Self

import numpy as np

from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core import memory
from zarr_shard_codec.core.jobs import DecodeJob
from zarr_shard_codec.core.pieces import Runs, Stored
from zarr_shard_codec.core.plain_chunks import PlainChunks
from zarr_shard_codec.core.projection import linear_chunks, project
from zarr_shard_codec.core.ranges import Coalescing
from zarr_shard_codec.core.reading import grid_job
from zarr_shard_codec.core.selection import Box
from zarr_shard_codec.engine.conversations import is_read_later
from zarr_shard_codec.engine.index_cache import INDEXES
from zarr_shard_codec.engine.known_chunks import plain_shard
from zarr_shard_codec.errors import ZarrShardError
from zarr_shard_codec.stores.protocols import JoiningObject, StoredObject, joins_ranges

_LEAST_NBYTES: Final = 4 << 10
"""Bytes of a chunk without codecs; smaller ones are faster read all at once than one by one in Python."""


@dataclass(frozen=True, slots=True)
class KnownShards:
    """Reads of parts of the shards of an array.

    Attributes
    ----------
    shard
        The sharding codec.
    plain
        How elements lie in an inner chunk, if no codec has to look at its bytes.
    """

    shard: ShardingCodec
    plain: PlainChunks | None

    @classmethod
    def of(cls, chain: CodecChain) -> Self | None:
        """Make one, if the short way may be open: see `plain_shard`."""
        shard = plain_shard(chain)
        return None if shard is None else cls(shard, shard.inner.plain)

    def read(
        self, box: Box, target: np.ndarray[Any, Any], opened: StoredObject, coalescing: Coalescing
    ) -> list[DecodeJob] | None:
        """Read part of a shard.

        Parameters
        ----------
        box, target
            As of `reading.read_shard`.
        opened
            The shard's object.
        coalescing
            When two ranges of it are cheaper as one.

        Returns
        -------
        list of DecodeJob, or None
            What is left to do; None where the short way is not open. The target may then hold anything.
        """
        if not joins_ranges(opened):
            return None
        try:
            return self._read(box, target, opened, coalescing)
        except ZarrShardError:
            return None

    def _read(
        self, box: Box, target: np.ndarray[Any, Any], opened: JoiningObject, coalescing: Coalescing
    ) -> list[DecodeJob] | None:
        shard, identity, nbytes = self.shard, opened.identity, opened.nbytes
        index = None if identity is None else INDEXES.get(identity, shard, None)
        if index is None or nbytes is None:
            return None
        opened.rely()
        axes = project(box, shard.inner.spec.shape)
        along = [axis.chunks for axis in axes if isinstance(axis.chunks, range)]
        plain = self.plain
        if plain is not None and len(along) == len(axes) and _are_few(along, plain.nbytes):
            entries = index.block(along).reshape(-1, 2).tolist()
            chunk_nbytes = plain.nbytes
            # Python's integers: a corrupt offset would wrap here, and pass.
            end = nbytes - chunk_nbytes
            offsets = [offset for offset, size in entries if size == chunk_nbytes and offset <= end]
            if len(offsets) == len(entries):
                gap = coalescing.largest_gap
                return [] if plain.copy(opened, offsets, axes, target, largest_gap=gap) else None
        limit = shard.inner.max_encoded_nbytes
        linear = linear_chunks(axes, shard.chunks_per_shard)
        present, table = index.lookup(linear, shard_nbytes=nbytes, largest_nbytes=limit)
        if len(table) < len(present):
            target[...] = shard.spec.fill_value
        if not len(table):
            return []
        if is_read_later(opened, table):
            stored = Stored(opened.held(), table, coalescing)
            return [grid_job(shard, axes, present, stored, target)]
        runs = Runs.over(table, coalescing)
        joined = opened.read_joined(runs.reads)
        return None if joined is None else [grid_job(shard, axes, present, runs.segments(joined), target)]


def _are_few(along: Sequence[range], chunk_nbytes: int) -> bool:
    """Whether chunks without codecs are soon read one by one: neither tiny, nor worth another thread."""
    return _LEAST_NBYTES <= chunk_nbytes <= memory.LARGEST_NBYTES // prod(map(len, along))
