"""Shards in numbers: how many inner chunks, of which sizes, in which order, and what lies unused.

Owns what `inspect` counts, one shard at a time. What is wrong with a shard is `findings`' business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np

from zarr_shard_codec.core.findings import StoredShard
from zarr_shard_codec.core.grid import CHUNK_ORDERS, ChunkOrder, Coords, write_order
from zarr_shard_codec.core.index import ShardIndex
from zarr_shard_codec.core.layout import Usage, usage

_PENDING: Final = 1 << 20
"""Sizes that are kept one by one before they are counted."""


@dataclass(frozen=True, slots=True)
class ShardSummary:
    """One shard in numbers.

    Attributes
    ----------
    chunk_nbytes
        Encoded sizes of the inner chunks that are present, in bytes.
    usage
        Which of the shard's bytes are unused or shared.
    orders
        The write orders that its inner chunks agree with. One chunk agrees with every order.
    """

    chunk_nbytes: np.ndarray[Any, np.dtype[np.uint64]]
    usage: Usage
    orders: frozenset[str]


def summarise(shard: StoredShard) -> ShardSummary:
    """Count. Every present entry must lie within the shard."""
    index = shard.index
    return ShardSummary(
        index.entries[index.present, 1],
        usage(index, shard.nbytes, shard.index_nbytes, shard.index_location),
        matching_orders(index),
    )


def matching_orders(index: ShardIndex) -> frozenset[str]:
    """The write orders in which the present inner chunks could have been written one behind the other."""
    present = index.present
    if len(present) < 2:
        return frozenset(CHUNK_ORDERS)
    is_present = np.zeros(len(index), bool)
    is_present[present] = True
    found = present[np.argsort(index.entries[present, 0], kind="stable")]
    matching = []
    for name in CHUNK_ORDERS:
        order = _write_order(name, index.chunks_per_shard)
        if np.array_equal(order[is_present[order]], found):
            matching.append(name)
    return frozenset(matching)


@lru_cache(maxsize=len(CHUNK_ORDERS))
def _write_order(name: ChunkOrder, counts: Coords) -> np.ndarray[Any, Any]:
    # An array's shards share their counts.
    order = write_order(name, counts)
    order.flags.writeable = False
    return order


@dataclass(slots=True)
class OrderTally:
    """The write order of many shards."""

    _common: frozenset[str] = frozenset(CHUNK_ORDERS)
    _counted: int = 0
    _without: int = 0
    _single: int = 0

    def add(self, summary: ShardSummary) -> None:
        """Count one shard."""
        if len(summary.chunk_nbytes) < 2:
            self._single += len(summary.chunk_nbytes)
            return
        self._counted += 1
        self._without += not summary.orders
        self._common &= summary.orders

    @property
    def order(self) -> str | None:
        """A write order that all shards agree with.

        `mixed`: each of some has one, but not the same; `other`: none has one that we know; `single`: no
        shard has more than one inner chunk; None: none has any.
        """
        if not self._counted:
            return "single" if self._single else None
        if self._common:
            return next(name for name in CHUNK_ORDERS if name in self._common)
        return "other" if self._without == self._counted else "mixed"


@dataclass(slots=True)
class SizeTally:
    """Smallest, median and largest of many sizes, in memory that grows with *different* sizes only."""

    _values: np.ndarray[Any, Any] = field(default_factory=lambda: np.empty(0, np.uint64))
    _counts: np.ndarray[Any, Any] = field(default_factory=lambda: np.empty(0, np.int64))
    _pending: list[np.ndarray[Any, Any]] = field(default_factory=list)
    _n_pending: int = 0

    def add(self, sizes: np.ndarray[Any, Any]) -> None:
        """Count sizes, in bytes."""
        self._pending.append(sizes)
        self._n_pending += len(sizes)
        if self._n_pending > _PENDING:
            self._count()

    def _count(self) -> None:
        values, counts = np.unique(np.concatenate([self._values[:0], *self._pending]), return_counts=True)
        both = np.concatenate((self._values, values))
        self._values, where = np.unique(both, return_inverse=True)
        self._counts = np.bincount(where, np.concatenate((self._counts, counts)), len(self._values)).astype(
            np.int64
        )
        self._pending, self._n_pending = [], 0

    def result(self) -> tuple[int, int, int] | None:
        """Smallest, median (the lower one of two) and largest; None if nothing was counted."""
        self._count()
        if not len(self._values):
            return None
        middle = np.searchsorted(np.cumsum(self._counts), (self._counts.sum() + 1) // 2)
        return int(self._values[0]), int(self._values[middle]), int(self._values[-1])
