"""Making the index of a shard anew, from inner chunks that say themselves where they end.

Owns what counts as proof, and the plan that looks for it. A chunk's frame says where the chunk ends, but
never which chunk it is. So an index is rebuilt only where all of this holds:

- Encoded inner chunks stand one behind the other without a gap, from the first byte that can be a chunk's
  to the last; an index at the end may be cut short, but nothing else stands behind them. Each decodes to
  exactly one inner chunk.
- It is known which chunk each of them is. Entries of the damaged index that still name exactly one of these
  ranges are believed, and so are empty entries; unless there are as many ranges as chunks in a shard, when no
  entry can be empty. One range that is left over belongs to the one entry that is left over, if that still
  has its offset or its size. Where no range is left over, the entries that are left over were empty.
- If more are left over, equally many entries and ranges, only the order in which chunks are written tells
  them apart: lexicographic or Morton. It has to agree with every entry that is believed, and there has to
  be evidence that the writer keeps it: the believed entries, and whole shards of the same array, stand in
  that order, and chance would have put them so less than once in a million times. (Some writers keep no
  order.) If both orders are left, both have to give the same index.

All else is refused: a guess would return the data of another place as if they were right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import lgamma, log, prod
from typing import Any, Final

import numpy as np

from zarr_shard_codec.core.grid import ChunkOrder, write_order
from zarr_shard_codec.core.index import EMPTY, ShardIndex
from zarr_shard_codec.core.plans import Plan, Shard
from zarr_shard_codec.core.ranges import ByteRange
from zarr_shard_codec.core.salvage import ENTRY_NBYTES, table_form
from zarr_shard_codec.errors import CorruptShardError

Table = np.ndarray[Any, np.dtype[np.uint64]]

_WINDOW_NBYTES: Final = 1 << 23
"""Bytes that are looked at together; more where a chunk can be larger."""
_CERTAIN: Final = log(1e6)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """An index that was made anew.

    Attributes
    ----------
    index
        The index.
    why
        What proves it, in words.
    """

    index: ShardIndex
    why: str


@dataclass(frozen=True, slots=True)
class Unproven:
    """No index: what is missing, in words."""

    why: str


def evidence(n_chunks: int) -> float:
    """How much it says for an order that this many chunks stand in it: the logarithm of what chance gives."""
    return lgamma(n_chunks + 1)


def rebuild_index(
    shard: Shard,
    shard_nbytes: int,
    frame_nbytes: Callable[[memoryview], int],
    orders: Mapping[ChunkOrder, float],
) -> Plan[Rebuilt | Unproven]:
    """Plan to rebuild the index of a shard.

    Parameters
    ----------
    shard
        The sharding codec.
    shard_nbytes
        Size of the object in bytes.
    frame_nbytes
        Gives the size of the encoded inner chunk that some bytes begin with.
    orders
        Orders in which the writer may have put the chunks, and what speaks for each: the sum of `evidence`.
    """
    n_chunks = prod(shard.chunks_per_shard)
    at_start = shard.index_location == "start"
    first = shard.index_nbytes if at_start else 0
    frames, end = yield from _frames(shard, first, shard_nbytes, frame_nbytes, n_chunks)
    rest = shard_nbytes - end
    if not len(frames):
        return Unproven("no inner chunk stands where the first one should")
    if len(frames) > n_chunks:
        return Unproven(f"there are more than the {n_chunks} inner chunks of a shard, so some were replaced")
    if rest > (0 if at_start else shard.index_nbytes):
        return Unproven(
            f"from byte {end} on, behind {len(frames)} inner chunks, stands neither a chunk nor the index"
        )
    lies = ByteRange(0, shard.index_nbytes) if at_start else ByteRange(end, rest)
    answer = yield [lies]
    remains = b"" if answer is None else bytes(answer[0])
    # Before a table is made: metadata may claim one that fits into no memory.
    if n_chunks > len(frames) + len(remains) // ENTRY_NBYTES:
        return Unproven(
            f"{len(frames)} of {n_chunks} inner chunks stand without a gap, "
            "and too little is left of the index to tell which they are"
        )
    return _assign(shard, frames, _table(shard, remains), orders)


def _frames(
    shard: Shard, start: int, stop: int, frame_nbytes: Callable[[memoryview], int], most: int
) -> Plan[tuple[Table, int]]:
    """The ranges of chunks that stand one behind the other, and where the last one ends."""
    limit = shard.inner.max_encoded_nbytes
    found: list[tuple[int, int]] = []
    position = start
    while position < stop:
        answer = yield [ByteRange(position, max(_WINDOW_NBYTES, 2 * limit))]
        if answer is None:
            break
        window = memoryview(answer[0])
        last = position + len(window) >= stop
        at = 0
        while at < len(window) and (last or at + limit <= len(window)):
            try:
                nbytes = frame_nbytes(window[at : at + limit])
                shard.inner.decode(window[at : at + nbytes])
            except CorruptShardError:
                return _as_table(found), position + at
            found.append((position + at, nbytes))
            at += nbytes
            if len(found) > most:
                return _as_table(found), position + at
        if not at:
            break
        position += at
    return _as_table(found), position


def _as_table(found: list[tuple[int, int]]) -> Table:
    return np.array(found, np.uint64).reshape(-1, 2)


def _table(shard: Shard, remains: bytes) -> Table:
    """What is left of the table; entries that are cut off are zeros, which no entry is."""
    n_chunks = prod(shard.chunks_per_shard)
    form = table_form(shard)
    if form is None:
        return np.zeros((n_chunks, 2), np.uint64)
    held = remains[form.first :][: n_chunks * ENTRY_NBYTES]
    held = held[: len(held) // ENTRY_NBYTES * ENTRY_NBYTES].ljust(n_chunks * ENTRY_NBYTES, b"\0")
    return np.frombuffer(held, form.dtype).astype(np.uint64).reshape(-1, 2)


def _assign(
    shard: Shard, frames: Table, remains: Table, orders: Mapping[ChunkOrder, float]
) -> Rebuilt | Unproven:
    """Find out which chunk each range is."""
    n_chunks = len(remains)
    at = np.minimum(np.searchsorted(frames[:, 0], remains[:, 0]), len(frames) - 1)
    named = (frames[at] == remains).all(axis=1)
    named &= np.bincount(at[named], minlength=len(frames))[at] == 1  # of two that name one, one is wrong
    entries = np.where(named[:, None], remains, np.uint64(EMPTY))
    empty = (remains == EMPTY).all(axis=1) & (len(frames) < n_chunks)
    unknown = np.flatnonzero(~named & ~empty)
    free = np.setdiff1d(np.arange(len(frames)), at[named])
    counted = f"{len(frames)} of {n_chunks} inner chunks stand without a gap"
    believed = f"{np.count_nonzero(named)} entries are intact"
    if not len(free):  # each range is one chunk's, so that nothing is there for any other
        return Rebuilt(ShardIndex(entries, shard.chunks_per_shard), f"{counted}, {believed}")
    if len(unknown) != len(free):
        return Unproven(
            f"{counted}, but {believed}, and {len(unknown)} entries are left for {len(free)} inner chunks"
        )
    # A number that is left says that the entry was not empty, so that the range is none that was replaced.
    if len(unknown) == 1 and (remains[unknown] == frames[free]).any():
        entries[unknown] = frames[free]
        return Rebuilt(ShardIndex(entries, shard.chunks_per_shard), f"{counted}, {believed}")
    possible: dict[ChunkOrder, Table] = {}
    certain = False
    for order, support in orders.items():
        sequence = write_order(order, shard.chunks_per_shard)
        filled = entries.copy()
        filled[sequence[np.isin(sequence, unknown)]] = frames[free]
        offsets = filled[sequence, 0]
        offsets = offsets[offsets != EMPTY]
        if (offsets[1:] > offsets[:-1]).all():
            possible[order] = filled
            certain |= support + evidence(int(np.count_nonzero(named))) >= _CERTAIN
    tables = list(possible.values())
    if not tables:
        return Unproven(f"{counted}, {believed}, and the inner chunks stand in no known order")
    if not certain:
        return Unproven(
            f"{counted}, {believed}: too few to tell in which order the writer put inner chunks; "
            "say it with --order if you know it"
        )
    if any((table != tables[0]).any() for table in tables):
        return Unproven(
            f"{counted}, {believed}, which agree with more than one order: {', '.join(possible)}; "
            "say it with --order if you know it"
        )
    return Rebuilt(
        ShardIndex(tables[0], shard.chunks_per_shard),
        f"{counted}, {believed}, the order is {next(iter(possible))}",
    )
