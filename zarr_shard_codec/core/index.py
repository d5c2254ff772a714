"""The shard index: where each inner chunk lies, and which ones are empty.

Owns the (offset, nbytes) table alone. Where chunks are *put* is `layout`'s business; how the table
becomes bytes is that of the index codecs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np

from zarr_shard_codec.core.grid import Coords, to_coords, to_linear
from zarr_shard_codec.core.ranges import ByteRange
from zarr_shard_codec.errors import CorruptShardError, Reason, SelectionError

EMPTY: Final = 2**64 - 1
"""Offset and nbytes of an empty entry (INDEX-EMPTY)."""

_ONE: Final = np.uint64(1)

_FEW: Final = 24
"""Entries; up to this many are checked one by one in Python, which is faster than NumPy for few."""


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """The index of one shard.

    Attributes
    ----------
    entries
        uint64, shape `(prod(chunks_per_shard), 2)`: offset and nbytes of each inner chunk in C order.
    chunks_per_shard
        Inner chunks along each axis of the shard.
    """

    entries: np.ndarray[Any, np.dtype[np.uint64]]
    chunks_per_shard: Coords

    @classmethod
    def empty(cls, chunks_per_shard: Coords) -> ShardIndex:
        """Make an index in which every entry is empty.

        Raises
        ------
        SelectionError
            `selection_invalid`: no memory has so many bytes.
        MemoryError
            This one has not.
        """
        n_chunks = prod(chunks_per_shard)
        try:
            return cls(np.full((n_chunks, 2), EMPTY, np.uint64), chunks_per_shard)
        except ValueError:
            message = f"the index of a shard of {n_chunks} inner chunks fits into no memory"
            raise SelectionError("selection_invalid", message) from None

    def __len__(self) -> int:
        """Inner chunks per shard, empty ones included."""
        return len(self.entries)

    def __getitem__(self, coords: Sequence[int]) -> ByteRange | None:
        """Where an inner chunk lies; None if it is empty.

        Raises
        ------
        SelectionError
            `selection_out_of_bounds`: there is no such inner chunk; negative coordinates name none.
        CorruptShardError
            `entry_half_empty`, `entry_zero_length`.
        """
        counts = self.chunks_per_shard
        if len(coords) != len(counts) or not all(0 <= at < n for at, n in zip(coords, counts, strict=True)):
            raise SelectionError(
                "selection_out_of_bounds", f"no inner chunk {tuple(coords)} among {counts} per shard"
            )
        return self.entry(to_linear(coords, counts))

    def entry(self, linear: int, *, shard_nbytes: int | None = None) -> ByteRange | None:
        """Look one entry up, as `lookup` does many: where the chunk lies; None if it is empty."""
        offset, nbytes = self.entries[linear].tolist()
        if offset == EMPTY == nbytes:
            return None
        # Python's integers: a corrupt pair of uint64 would wrap here, and pass.
        if nbytes == 0 or offset + nbytes > (EMPTY - 1 if shard_nbytes is None else shard_nbytes):
            self.lookup(np.array([linear]), shard_nbytes=shard_nbytes)  # which says what is wrong with it
        return ByteRange(offset, nbytes)

    def block(self, along: Iterable[range]) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """See the entries of a block of inner chunks: its ranges along each axis, and offset and nbytes."""
        grid = self.entries.reshape(*self.chunks_per_shard, 2)
        return grid[tuple([slice(chunks.start, chunks.stop) for chunks in along])]

    def is_sound(self, shard_nbytes: int, largest_nbytes: int) -> bool:
        """Whether `lookup` of all entries would raise nothing; faster than that."""
        offset, nbytes = self.entries[:, 0], self.entries[:, 1]
        good = _lie_within(self.entries, shard_nbytes) & (
            nbytes <= np.uint64(min(shard_nbytes, largest_nbytes))
        )
        return bool(good.all()) or bool((good | (offset == EMPTY) & (nbytes == EMPTY)).all())

    @property
    def present(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Linear indices of the entries that are not empty, ascending; entries may still be broken."""
        return np.flatnonzero((self.entries != EMPTY).any(axis=1))

    def lookup(
        self,
        linear: np.ndarray[Any, Any],
        *,
        shard_nbytes: int | None = None,
        largest_nbytes: int | None = None,
    ) -> tuple[np.ndarray[Any, np.dtype[np.bool_]], np.ndarray[Any, np.dtype[np.uint64]]]:
        """Look entries up, and check them before they are trusted.

        Parameters
        ----------
        linear
            Linear indices of inner chunks.
        shard_nbytes
            Size of the shard, where it is known: no range may reach past it.
        largest_nbytes
            No encoded inner chunk can be larger; None where that is not to be looked at.

        Returns
        -------
        tuple
            For each index, whether there is a chunk; and uint64, shape (chunks that there are, 2), their
            offsets and sizes in bytes.

        Raises
        ------
        CorruptShardError
            `entry_half_empty`, `entry_zero_length`, `entry_out_of_bounds`, `inner_chunk_wrong_size`: the
            first entry that is so.
        """
        table = self.entries[linear]
        if len(table) <= _FEW:
            end = EMPTY - 1 if shard_nbytes is None else shard_nbytes
            most = end if largest_nbytes is None else min(end, largest_nbytes)
            if all(0 < nbytes <= most and offset + nbytes <= end for offset, nbytes in table.tolist()):
                return np.ones(len(table), np.bool_), table
        present = table[:, 1] != EMPTY
        found = table if present.all() else table[present]
        nbytes = found[:, 1]
        good = bool(_lie_within(found, EMPTY - 1 if shard_nbytes is None else shard_nbytes).all())
        if good and (len(found) == len(table) or bool((table[~present, 0] == EMPTY).all())):
            if largest_nbytes is not None and len(found) and int(nbytes.max()) > largest_nbytes:
                at = int(nbytes.argmax())
                coords = to_coords(int(linear[present][at]), self.chunks_per_shard)
                raise too_large(int(nbytes[at]), largest_nbytes, coords)
            return present, found
        for reason, broken in faults(table, shard_nbytes).items():
            if broken.any():
                at = int(np.flatnonzero(broken)[0])
                coords = to_coords(int(linear[at]), self.chunks_per_shard)
                raise entry_error(reason, table[at], coords, shard_nbytes)
        return present, found


def _lie_within(table: np.ndarray[Any, Any], shard_nbytes: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which entries of a table are ranges of a shard: all rules in two comparisons."""
    offset, nbytes = table[:, 0], table[:, 1]
    limit = np.uint64(shard_nbytes)
    # A size of zero wraps to 2^64-1 here, and is too large.
    mask: np.ndarray[Any, np.dtype[np.bool_]] = (nbytes - _ONE < limit) & (offset <= limit - nbytes)
    return mask


def faults(table: np.ndarray[Any, Any], shard_nbytes: int | None) -> dict[Reason, np.ndarray[Any, Any]]:
    """Which entries of a table break which rule: a mask for each reason.

    An entry has one fault at most, the first in this order: half empty, zero length, out of bounds.
    """
    offset, nbytes = table[:, 0], table[:, 1]
    half_empty = (offset == EMPTY) != (nbytes == EMPTY)
    zero_length = (nbytes == 0) & ~half_empty
    found: dict[Reason, np.ndarray[Any, Any]] = {
        "entry_half_empty": half_empty,
        "entry_zero_length": zero_length,
    }
    if shard_nbytes is not None:
        # Never `offset + nbytes`: a corrupt pair of uint64 would wrap there, and pass.
        size = np.uint64(shard_nbytes)
        outside = (nbytes > size) | (offset > size - np.minimum(nbytes, size))
        empty = (offset == EMPTY) & (nbytes == EMPTY)
        found["entry_out_of_bounds"] = outside & ~empty & ~half_empty & ~zero_length
    return found


def too_large(nbytes: int, largest_nbytes: int, coords: Coords) -> CorruptShardError:
    """The error for an entry that no encoded inner chunk can have."""
    message = f"expected at most {largest_nbytes} bytes, found an index entry of {nbytes}"
    return CorruptShardError("inner_chunk_wrong_size", message, inner_chunk=coords)


def entry_error(
    reason: Reason, entry: Sequence[Any], coords: Coords, shard_nbytes: int | None
) -> CorruptShardError:
    """The error for one broken entry, in words."""
    offset, nbytes = (int(number) for number in entry)
    rule = {
        "entry_half_empty": "offset and nbytes must both be 2^64-1 (an empty entry) or neither",
        "entry_zero_length": "an encoded inner chunk has at least one byte",
        "entry_out_of_bounds": "the shard ends before it"
        if shard_nbytes is None
        else f"the shard has {shard_nbytes} bytes",
    }[reason]
    return CorruptShardError(
        reason, f"index entry (offset {offset}, nbytes {nbytes}): {rule}", inner_chunk=coords
    )
