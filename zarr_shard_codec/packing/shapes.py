"""Shard shapes: the one that a size in bytes asks for, and whether one fits an array's chunks.

Owns whole numbers alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from math import prod
from typing import Final

from zarr_shard_codec.core.grid import grid_counts
from zarr_shard_codec.errors import UsageError

_SIZE: Final = re.compile(r"(?P<number>[0-9]{1,18}(\.[0-9]{1,6})?)\s*(?P<unit>[A-Za-z]*)", re.ASCII)
_UNITS: Final = {"B": 1} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("KMGT", 1)
    for suffix, base in (("B", 1000), ("IB", 1024), ("", 1024))
}
"""A letter alone counts in powers of 1024, as it does for `ls -h`, `du` and `dd`."""

_INDEX_ENTRY_NBYTES: Final = 16
_SMALL_INDEX_NBYTES: Final = 64 << 20
_LARGEST_INDEX_NBYTES: Final = 1 << 28


def choose_shard_shape(
    chunk_shape: Sequence[int], array_shape: Sequence[int], itemsize: int, target_nbytes: int
) -> tuple[int, ...]:
    """Choose the shard shape for a size: as near to a cube as whole inner chunks allow.

    Parameters
    ----------
    chunk_shape
        The inner chunk, in elements.
    array_shape
        The array, in elements: no shard is larger than it takes to hold the array.
    itemsize
        Bytes of one element.
    target_nbytes
        The most that a decoded shard may have, in bytes.

    Returns
    -------
    tuple
        A multiple of the chunk shape, in elements.

    Raises
    ------
    UsageError
        `invalid_argument`: one chunk is larger. Not so where the array has one chunk alone, and so the same
        shard whatever the size is.
    """
    most = tuple(max(1, count) for count in grid_counts(array_shape, chunk_shape))
    chunk_nbytes = prod(chunk_shape) * itemsize
    n_chunks = target_nbytes // chunk_nbytes
    if n_chunks < 1 and prod(most) > 1:
        raise UsageError(
            "invalid_argument",
            f"expected a shard size of one chunk at least, {chunk_nbytes:,} bytes decoded "
            f"({list(chunk_shape)} elements of {itemsize}); found {target_nbytes:,} bytes",
            hint=f"For shards of up to 64 chunks: {64 * chunk_nbytes}B.",
        )

    def counts_for(side: int) -> tuple[int, ...]:
        """Chunks along each axis of the largest shard that is nowhere longer than `side` elements."""
        return tuple(
            min(limit, max(1, side // chunk)) for limit, chunk in zip(most, chunk_shape, strict=True)
        )

    # The longest side whose shard is small enough, by halving.
    least, beyond = (
        0,
        max((size * limit for size, limit in zip(chunk_shape, most, strict=True)), default=0) + 1,
    )
    while beyond - least > 1:
        side = (least + beyond) // 2
        if prod(counts_for(side)) <= n_chunks:
            least = side
        else:
            beyond = side
    counts = list(counts_for(least))
    # One more element a side would be too much; one more chunk along some of the axes may not be.
    for axis, wider in enumerate(counts_for(least + 1)):
        if prod(counts) // counts[axis] * wider <= n_chunks:
            counts[axis] = wider
    return tuple(count * chunk for count, chunk in zip(counts, chunk_shape, strict=True))


def check_shard_shape(shard_shape: Sequence[int], chunk_shape: Sequence[int]) -> tuple[int, ...]:
    """Check that a shard holds whole inner chunks, and return its shape.

    Raises
    ------
    UsageError
        `chunk_shape_mismatch`: another rank; `chunk_shape_not_divisor`: the hint has the nearest shapes
        that do.
    """
    words = ",".join(map(str, shard_shape))
    if len(shard_shape) != len(chunk_shape):
        rank = len(chunk_shape)
        raise UsageError(
            "chunk_shape_mismatch",
            f"expected {rank} size{'s' if rank != 1 else ''}, as many as the chunk shape {list(chunk_shape)} "
            f"has; found {len(shard_shape)}: {words}",
            hint="A shard size (--shard-size) suits arrays of any number of dimensions.",
        )
    pairs = list(zip(shard_shape, chunk_shape, strict=True))
    if any(size < 1 or size % chunk for size, chunk in pairs):
        below = ",".join(str(max(1, size // chunk) * chunk) for size, chunk in pairs)
        above = ",".join(str(max(1, -(-size // chunk)) * chunk) for size, chunk in pairs)
        raise UsageError(
            "chunk_shape_not_divisor",
            f"expected a multiple of the chunk shape {list(chunk_shape)} along every axis, found {words}",
            hint=f"The nearest shard shapes: {below}" + (f" and {above}." if above != below else "."),
        )
    return tuple(shard_shape)


def check_index_size(
    shard_shape: Sequence[int], chunk_shape: Sequence[int], array_shape: Sequence[int], itemsize: int
) -> None:
    """Refuse shards whose index is out of proportion.

    The index has an entry for every inner chunk that a shard can hold, be it far outside of the array, and
    every reader takes all of it before its first element. So it may be larger than 64 MiB (4 million inner
    chunks) only if the shard can hold as many bytes of the array, and larger than 256 MiB never.

    Parameters
    ----------
    shard_shape, chunk_shape, array_shape
        In elements.
    itemsize
        Bytes of one element.

    Raises
    ------
    UsageError
        `invalid_argument`, with the numbers.
    """
    n_chunks = prod(size // chunk for size, chunk in zip(shard_shape, chunk_shape, strict=True))
    index_nbytes = n_chunks * _INDEX_ENTRY_NBYTES
    inside = prod(map(min, shard_shape, array_shape)) * itemsize
    if index_nbytes <= min(max(_SMALL_INDEX_NBYTES, inside), _LARGEST_INDEX_NBYTES):
        return
    needed = [
        max(1, count) * chunk
        for count, chunk in zip(grid_counts(array_shape, chunk_shape), chunk_shape, strict=True)
    ]
    hint = "Ask for smaller shards: --shard-size 64MiB chooses a shape."
    if any(size > enough for size, enough in zip(shard_shape, needed, strict=True)):
        hint += f" The whole array fits into {','.join(map(str, needed))}."
    raise UsageError(
        "invalid_argument",
        f"a shard of {','.join(map(str, shard_shape))} would have {n_chunks:,} inner chunks of "
        f"{list(chunk_shape)}: each shard's index alone would be {index_nbytes >> 20:,} MiB, for at "
        f"most {inside:,} bytes of the array in it",
        hint=hint,
    )


def parse_nbytes(size: int | str) -> int:
    """Read a size in bytes: a number, or a number and a unit (`64MiB`, `1.5 GB`, `64M`, `4096`).

    `K`, `M`, `G`, `T` alone, and with `iB`, are powers of 1024; with `B` powers of 1000.

    Raises
    ------
    UsageError
        `invalid_argument`: not a size, or no byte at all.
    """
    match = _SIZE.fullmatch(size.strip()) if isinstance(size, str) else None
    if match is not None and (match["unit"] or "B").upper() in _UNITS:
        nbytes = int(Decimal(match["number"]) * _UNITS[(match["unit"] or "B").upper()])
    elif type(size) is int:
        nbytes = size
    else:
        nbytes = 0
    if nbytes < 1:
        raise UsageError(
            "invalid_argument", f"expected a size such as 64MiB, 1.5GB or 65536 (bytes), found {size!r:.80}"
        )
    return nbytes
