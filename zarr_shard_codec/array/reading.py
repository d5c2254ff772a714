"""How the elements of an array are read: the tasks that the engine runs for a box, and the short ways.

Owns what reading needs of an array, and no more: where its objects are, their codecs, and their names. Whose
metadata say so is the caller's business: `array`'s, or a host's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np

from zarr_shard_codec.array.objects import each_object
from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.core.selection import Box
from zarr_shard_codec.engine.known_chunks import KnownChunks
from zarr_shard_codec.engine.known_shards import KnownShards
from zarr_shard_codec.engine.run import ReadTask
from zarr_shard_codec.stores.protocols import Store


@dataclass(frozen=True, slots=True)
class ArrayReader:
    """An array, as far as reading goes.

    Attributes
    ----------
    store
        Where it is.
    chain
        The codecs of its objects.
    key_of
        Makes the key of an object from its coordinates in the grid.
    chunks, shards
        The short ways, where they may be open.
    """

    store: Store
    chain: CodecChain
    key_of: Callable[[Sequence[int]], str]
    chunks: KnownChunks | None
    shards: KnownShards | None

    @classmethod
    def of(cls, store: Store, chain: CodecChain, key_of: Callable[[Sequence[int]], str]) -> Self:
        """Make one; parameters as the attributes."""
        return cls(store, chain, key_of, KnownChunks.of(store, chain), KnownShards.of(chain))

    def read_known(self, selection: object, shape: Sequence[int]) -> Any:
        """Read a selection of an array of `shape` that lies in one inner chunk; None if that is not open."""
        if self.chunks is None:
            return None
        return self.chunks.read(selection, shape, self.chain.spec.dtype, self.key_of)

    def tasks(self, box: Box, block: np.ndarray[Any, Any], shape: Sequence[int]) -> Iterator[ReadTask]:
        """What the engine has to do to read a box of an array of `shape` into a block of the box's shape."""
        spec, in_bulk, known = self.chain.spec, self.chain.reads_in_bulk, self.shards
        for coords, part, bounds, target in each_object(box, block, spec.shape, shape):
            plan = partial(self.chain.plan_read, part, target, bounds)
            shortcut = None if known is None else partial(known.read, part, target)
            yield ReadTask(self.key_of(coords), plan, target, spec.fill_value, in_bulk, shortcut=shortcut)
