"""Finding the index of a damaged shard: the newest table in its bytes that can be one.

Owns the search, as a plan: bytes are asked for in blocks from the end of the object to its start, so memory
holds one block whatever the object's size is. Making an index of inner chunks is `rebuilding`'s business.

What counts as found: a table whose checksum holds, that names at least one inner chunk, whose ranges all lie
within the shard that it closes (an index at the end: before its own end; one at the start: in the object) and
have sizes that encoded inner chunks can have, and of which at least one named chunk decodes. The last
keeps the index of a shard within the shard from being taken for the shard's own. An index without a
checksum proves nothing and is never searched for; nor is one whose codecs reorder the table.

Left to chance: 2^-32 a table that looks like one; and data that hold, uncompressed, the bytes of another
shard of the same layout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np

from zarr_shard_codec.core.index import EMPTY, ShardIndex, faults
from zarr_shard_codec.core.plans import Plan, Shard
from zarr_shard_codec.core.ranges import Buffer, ByteRange
from zarr_shard_codec.errors import CorruptShardError

ENTRY_NBYTES: Final = 16

_BLOCK_NBYTES: Final = 1 << 21
"""Positions that are looked at together; a few arrays of this many numbers are in memory at once."""
_GATHERED: Final = 1 << 20
"""Entries that are looked at together."""
_CROWD: Final = 1 << 12
"""Candidates in a block; above this, another look at all positions costs less than one at each."""
_WORK_NBYTES: Final = 1 << 31
"""Bytes whose checksum is computed in one search. Only bytes that are made to look like indexes
everywhere need as many; the search gives up then."""
_TRIAL_NBYTES: Final = 1 << 14
"""Bytes that a call of the index codecs counts for: their checksum takes about as long as the call."""
_SAMPLE: Final = 16
"""Inner chunks of which one has to decode."""


@dataclass(frozen=True, slots=True)
class TableForm:
    """How the (offset, nbytes) table lies in the encoded index.

    Attributes
    ----------
    first
        Offset of the table in the encoded index, in bytes.
    dtype
        `<u8` or `>u8`.
    checksummed
        Whether the index codecs notice a changed bit.
    """

    first: int
    dtype: np.dtype[np.uint64]
    checksummed: bool


@dataclass(frozen=True, slots=True)
class FoundIndex:
    """An index that was found.

    Attributes
    ----------
    index
        The table; every range lies in the object.
    end
        Where its encoded bytes end in the object. What lies behind was written later.
    """

    index: ShardIndex
    end: int


def table_form(shard: Shard) -> TableForm | None:
    """Find out, by encoding a known table, how the index codecs store it; None if not as it is."""
    n_chunks = prod(shard.chunks_per_shard)
    table = np.arange(1, 2 * n_chunks + 1, dtype=np.uint64).reshape(-1, 2)
    encoded = bytearray(shard.encode_index(ShardIndex(table, shard.chunks_per_shard)))
    for order in ("<u8", ">u8"):
        first = encoded.find(table.astype(order).tobytes())
        if first >= 0:
            encoded[first] ^= 1
            try:
                shard.decode_index(encoded)
            except CorruptShardError:
                return TableForm(first, np.dtype(order), checksummed=True)
            return TableForm(first, np.dtype(order), checksummed=False)
    return None


def find_index(shard: Shard, shard_nbytes: int, *, chunk_nbytes: int | None) -> Plan[FoundIndex | None]:
    """Plan to search a shard of `shard_nbytes` bytes backwards for the newest index; None if there is none.

    Parameters
    ----------
    shard
        The sharding codec.
    shard_nbytes
        Size of the object in bytes.
    chunk_nbytes
        Size of every encoded inner chunk in bytes; None where it varies.
    """
    if shard_nbytes < shard.index_nbytes:  # metadata may claim an index that fits into no memory
        return None
    form = table_form(shard)
    if form is None or not form.checksummed:
        return None
    work = 0
    above = shard_nbytes - shard.index_nbytes + 1
    step = max(_BLOCK_NBYTES, shard.index_nbytes)
    while above > 0:
        low = max(0, above - step)
        answer = yield [ByteRange(low, above - 1 - low + shard.index_nbytes)]
        if answer is None:
            return None
        block = np.frombuffer(answer[0], np.uint8)
        n_starts = min(above - low, len(block) - shard.index_nbytes + 1)
        for start in _candidates(shard, form, block, n_starts, shard_nbytes, chunk_nbytes)[::-1].tolist():
            end = low + start + shard.index_nbytes
            work += shard.index_nbytes + _TRIAL_NBYTES
            if work > _WORK_NBYTES:
                return None
            limit = end if shard.index_location == "end" else shard_nbytes
            encoded = block[start : start + shard.index_nbytes].data
            index = _decoded(shard, encoded, limit, chunk_nbytes)
            if index is not None and (yield from _holds_chunk(shard, index)):
                return FoundIndex(index, end)
        above = low
    return None


def _candidates(
    shard: Shard,
    form: TableForm,
    block: np.ndarray[Any, np.dtype[np.uint8]],
    n_starts: int,
    shard_nbytes: int,
    chunk_nbytes: int | None,
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Where in a block an index can begin, ascending: all entries are possible, one at least is present."""
    none = np.empty(0, np.int64)
    most = min(shard_nbytes, shard.inner.max_encoded_nbytes if chunk_nbytes is None else chunk_nbytes)
    least = 1 if chunk_nbytes is None else chunk_nbytes
    if n_starts <= 0 or least > most or block.max() == 0 or block.min() == 0xFF:
        return none
    n_entries = prod(shard.chunks_per_shard)
    little = form.dtype.str == "<u8"
    # No object has 2^48 bytes: the two highest bytes of both numbers are all 0, or all 0xff.
    high = (15, 14, 7, 6) if little else (8, 9, 0, 1)
    top, *others = (block[form.first + byte :][:n_starts] for byte in high)
    mask = top + np.uint8(1) <= 1
    mask &= top == others[0]
    if np.count_nonzero(mask) > _CROWD:
        # Zeros: no inner chunk has no bytes.
        for entry in {0, n_entries - 1}:
            at = form.first + entry * ENTRY_NBYTES
            top, *others = (block[at + byte :][:n_starts] for byte in high)
            mask &= top + np.uint8(1) <= 1
            for other in others:
                mask &= top == other
            some = np.zeros(n_starts, np.uint8)
            for byte in range(8, 14) if little else range(10, 16):
                some |= block[at + byte :][:n_starts]
            mask &= some > 0
    if np.count_nonzero(mask) > _CROWD:
        # Exact for the whole table, at no cost for each entry of it: how many bytes are not 0xff (a table
        # of empty entries alone is none), and how many at every eighth place are neither 0 nor 0xff, which
        # no high byte of a number is.
        table_nbytes = n_entries * ENTRY_NBYTES
        filled = _sums(block != 0xFF, 1)
        mask &= filled[form.first + table_nbytes :][:n_starts] > filled[form.first :][:n_starts]
        odd = _sums(block + np.uint8(1) > 1, 8)
        for byte in range((shard_nbytes.bit_length() + 7) // 8, 8):
            at = form.first + (byte if little else 7 - byte)
            mask &= odd[at + table_nbytes :][:n_starts] == odd[at:][:n_starts]
    starts = np.flatnonzero(mask)
    # The word that begins at each byte, without a copy.
    words = np.ndarray((len(block) - 7,), form.dtype, block, strides=(1,))
    limits = np.uint64(least), np.uint64(most), np.uint64(shard_nbytes)
    # Twice as many entries each time, so that what is no index goes before it costs much.
    count = 1
    while len(starts):
        sample = np.linspace(0, n_entries - 1, min(count, n_entries)).astype(np.int64)
        starts = _possible(words, starts, form.first + sample * ENTRY_NBYTES, limits)
        if count >= n_entries:
            break
        count *= 2
    return starts


def _sums(counted: np.ndarray[Any, np.dtype[np.bool_]], step: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    """At each place, how many of those `step`, twice `step`, … places before it are counted."""
    rows = -(-len(counted) // step)
    padded = np.zeros(((rows + 1) * step,), np.int32)
    padded[step : step + len(counted)] = counted
    return padded.reshape(-1, step).cumsum(axis=0, dtype=np.int32).reshape(-1)


def _possible(
    words: np.ndarray[Any, Any],
    starts: np.ndarray[Any, Any],
    offsets: np.ndarray[Any, Any],
    limits: tuple[np.uint64, np.uint64, np.uint64],
) -> np.ndarray[Any, Any]:
    """Those starts from which at all offsets there is an entry that can be."""
    least, most, shard_nbytes = limits
    kept = []
    step = max(1, _GATHERED // len(offsets))
    for first in range(0, len(starts), step):
        part = starts[first : first + step]
        at = part[:, None] + offsets
        offset, nbytes = words[at].astype(np.uint64), words[at + 8].astype(np.uint64)
        present = (nbytes >= least) & (nbytes <= most)
        present &= offset <= shard_nbytes - np.minimum(nbytes, shard_nbytes)
        good = present | ((offset == EMPTY) & (nbytes == EMPTY))
        kept.append(part[good.all(axis=1)])
    return np.concatenate(kept)


def _decoded(shard: Shard, encoded: Buffer, limit: int, chunk_nbytes: int | None) -> ShardIndex | None:
    """The index that these bytes are; None if they are none."""
    try:
        index = shard.decode_index(encoded)
    except CorruptShardError:
        return None
    present = index.present
    table = index.entries[present]
    if not len(table) or any(broken.any() for broken in faults(table, limit).values()):
        return None
    most = shard.inner.max_encoded_nbytes if chunk_nbytes is None else chunk_nbytes
    least = 1 if chunk_nbytes is None else chunk_nbytes
    return index if least <= int(table[:, 1].min()) and int(table[:, 1].max()) <= most else None


def _holds_chunk(shard: Shard, index: ShardIndex) -> Plan[bool]:
    for lies in _sample(index):
        answer = yield [lies]
        if answer is None:
            return False
        try:
            shard.inner.decode(answer[0])
        except CorruptShardError:
            continue
        return True
    return False


def _sample(index: ShardIndex) -> Iterator[ByteRange]:
    table = index.entries[index.present]
    for at in np.linspace(0, len(table) - 1, min(_SAMPLE, len(table))).astype(np.int64).tolist():
        yield ByteRange(*table[at].tolist())
