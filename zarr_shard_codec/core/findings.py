"""Everything that can be said about one shard's health from its index and its size alone.

Owns what counts as an error and what as a note. An error is what makes a read fail or lie; a note is what the
specification allows and someone may still want to know. Whether inner chunks decode is asked elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final, Literal, Self

import numpy as np

from zarr_shard_codec.core.coverage import GAP, SHARED, segments
from zarr_shard_codec.core.grid import Coords, all_to_coords
from zarr_shard_codec.core.index import EMPTY, ShardIndex, entry_error, faults
from zarr_shard_codec.core.layout import IndexLocation
from zarr_shard_codec.errors import MetadataError, Reason, ZarrShardError

Severity = Literal["error", "note"]

_BLOCK: Final = 4096
"""Broken entries that are put into words at a time."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found.

    Attributes
    ----------
    reason
        One of `errors.Reason`; what programs compare.
    message
        What was expected and what was found, in words.
    severity
        `error`: reading fails. `note`: reading is right, and this is worth knowing.
    key
        The store key of the object in question.
    inner_chunk
        Coordinates of the inner chunk within its shard, in chunks. A note about many names none.
    within
        For a shard within a shard: coordinates of the inner chunks that lead to it, outermost first.
    """

    reason: Reason
    message: str
    severity: Severity = "error"
    key: str | None = None
    inner_chunk: Coords | None = None
    within: tuple[Coords, ...] = ()

    def at(self, key: str) -> Self:
        """Add the key of the object, where a deeper layer could not know it."""
        return self if self.key is not None else replace(self, key=key)

    def inside(self, inner_chunk: Coords) -> Self:
        """Add the inner chunk that this was found in, where that is not known, or is a shard itself."""
        if self.inner_chunk is None and not self.within:
            return replace(self, inner_chunk=inner_chunk)
        return replace(self, within=(inner_chunk, *self.within))

    def __str__(self) -> str:
        place = [] if self.key is None else [self.key]
        place += [f"inner shard {coords}" for coords in self.within]
        if self.inner_chunk is not None:
            place.append(f"inner chunk {self.inner_chunk}")
        return ": ".join([*place, self.message]) + f" [{self.reason}]"

    def to_json(self) -> dict[str, Any]:
        """The finding as `--json` output shows it."""
        return {
            "severity": self.severity,
            "reason": self.reason,
            "message": self.message,
            "key": self.key,
            "inner_chunk": None if self.inner_chunk is None else list(self.inner_chunk),
            "within": [list(coords) for coords in self.within],
        }


def errors_among(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those of severity `error`."""
    return tuple(finding for finding in findings if finding.severity == "error")


def findings_of(error: ZarrShardError) -> list[Finding]:
    """What an error says, as findings: one for each problem of a metadata document."""
    if isinstance(error, MetadataError):
        return [
            Finding(problem.reason, f"{problem.path}: {problem.message}".removeprefix(": "), key=error.key)
            for problem in error.problems
        ]
    return [Finding(error.reason, error.message, key=error.key, inner_chunk=error.inner_chunk)]


@dataclass(frozen=True, slots=True)
class StoredShard:
    """A shard as it lies in a store, known by its index and its size.

    Attributes
    ----------
    index
        The decoded index; its entries may be broken.
    nbytes
        Size of the whole shard in bytes.
    index_nbytes
        Size of the encoded index in bytes.
    index_location
        Where that stands.
    """

    index: ShardIndex
    nbytes: int
    index_nbytes: int
    index_location: IndexLocation

    @property
    def index_start(self) -> int:
        """Offset of the encoded index in the shard, in bytes."""
        return 0 if self.index_location == "start" else self.nbytes - self.index_nbytes


def examine(
    shard: StoredShard, *, chunk_nbytes: int | None, max_chunk_nbytes: int
) -> tuple[StoredShard, Iterator[Finding]]:
    """Look at every entry of an index.

    Parameters
    ----------
    shard
        The shard.
    chunk_nbytes
        Size in bytes of every encoded inner chunk; None where the inner codecs give varying sizes.
    max_chunk_nbytes
        No encoded inner chunk is larger than this, in bytes; readers refuse those that are.

    Returns
    -------
    StoredShard
        The same, broken entries made empty: what can be trusted.
    iterator of Finding
        Every error: `entry_half_empty`, `entry_zero_length`, `entry_out_of_bounds`, `inner_chunk_wrong_size`,
        each entry with one at most. Made while iterated, for an index of junk may have millions.
    """
    present = shard.index.present
    table = shard.index.entries[present]
    broken = faults(table, shard.nbytes)
    # Limits may be past 64 bits, for a shape that is; sizes never are.
    least, most = (1, max_chunk_nbytes) if chunk_nbytes is None else (chunk_nbytes, chunk_nbytes)
    wrong_size = (table[:, 1] < np.uint64(min(least, EMPTY))) | (table[:, 1] > np.uint64(min(most, EMPTY)))
    for mask in broken.values():
        wrong_size &= ~mask
    broken["inner_chunk_wrong_size"] = wrong_size
    is_broken = np.any(list(broken.values()), axis=0)
    sound = shard
    if is_broken.any():
        entries = shard.index.entries.copy()
        entries[present[is_broken]] = EMPTY
        sound = replace(shard, index=replace(shard.index, entries=entries))

    expected = f"at most {most} bytes" if chunk_nbytes is None else f"{most} bytes, as every inner chunk has"

    errors = (_entry_findings(shard, reason, present[mask], expected) for reason, mask in broken.items())
    return sound, chain.from_iterable(errors)


def _entry_findings(
    shard: StoredShard, reason: Reason, linear: np.ndarray[Any, Any], expected: str
) -> Iterator[Finding]:
    for start in range(0, len(linear), _BLOCK):
        block = linear[start : start + _BLOCK]
        everywhere = all_to_coords(block, shard.index.chunks_per_shard)
        for coords, entry in zip(everywhere, shard.index.entries[block].tolist(), strict=True):
            if reason == "inner_chunk_wrong_size":
                message = f"expected {expected}; found {entry[1]}"
            else:
                message = entry_error(reason, entry, coords, shard.nbytes).message
            yield Finding(reason, message, inner_chunk=coords)


def notes(shard: StoredShard, *, chunks_inside: Coords) -> Iterator[Finding]:
    """What is unusual in a shard and yet allowed, each once, with how many inner chunks it concerns.

    Parameters
    ----------
    shard
        A shard without broken entries, from `examine`.
    chunks_inside
        How many inner chunks along each axis lie in the array, in part at least; an array's last shards
        reach past its edge.

    Yields
    ------
    Finding
        `chunks_overlap`, `chunk_overlaps_index`, `chunk_outside_array`, `unused_bytes`.
    """
    linear = shard.index.present
    table = shard.index.entries[linear].astype(np.int64)
    order = np.argsort(table[:, 0], kind="stable")
    linear, starts, ends = linear[order], table[order, 0], table[order].sum(axis=1)
    counts = shard.index.chunks_per_shard
    parts = segments(shard.index, shard.nbytes, shard.index_start, shard.index_nbytes)

    index_end = shard.index_start + shard.index_nbytes
    reach = np.maximum.accumulate(ends)
    overlapping = np.flatnonzero(starts[1:] < reach[:-1]) + 1
    if len(overlapping):
        first = int(overlapping[0])
        other = int(np.argmax(ends[:first]))
        one, two = all_to_coords(linear[[first, other]], counts)
        beside_index = (parts.starts < shard.index_start) | (parts.starts >= index_end)
        shared = int(parts.sizes[(parts.owners == SHARED) & beside_index].sum())
        yield Finding(
            "chunks_overlap",
            f"{_chunks(len(overlapping), 'begin')} in the bytes of another, first {one} in those of {two}; "
            f"{shared} bytes belong to more than one",
            "note",
        )

    in_index = linear[(starts < index_end) & (ends > shard.index_start)]
    if len(in_index):
        (coords,) = all_to_coords(in_index[:1], counts)
        message = f"{_chunks(len(in_index), 'use')} bytes of the index, first {coords}"
        yield Finding("chunk_overlaps_index", message, "note")

    outside = _outside(linear, counts, chunks_inside)
    if outside.any():
        (coords,) = all_to_coords(linear[outside][:1], counts)
        nbytes = int((ends - starts)[outside].sum())
        message = (
            f"{_chunks(int(outside.sum()), 'lie')} beyond the array's edge, first {coords}; {nbytes} bytes"
        )
        yield Finding("chunk_outside_array", message, "note")

    gaps = parts.sizes[parts.owners == GAP]
    if len(gaps):
        at, largest = int(parts.starts[parts.owners == GAP][np.argmax(gaps)]), int(gaps.max())
        where = f"at offset {at}" if len(gaps) == 1 else f"in {len(gaps)} gaps, the largest {largest} at {at}"
        message = f"{int(gaps.sum())} bytes are neither an inner chunk's nor the index's: {where}"
        yield Finding("unused_bytes", message, "note")


def _outside(linear: np.ndarray[Any, Any], counts: Coords, inside: Coords) -> np.ndarray[Any, Any]:
    outside = np.zeros(len(linear), bool)
    if counts and inside != counts:
        for along, limit in zip(np.unravel_index(linear, counts), inside, strict=True):
            outside |= along >= limit
    return outside


def _chunks(count: int, verb: str) -> str:
    return f"1 inner chunk {verb}s" if count == 1 else f"{count} inner chunks {verb}"
