"""The grid of inner chunks in a shard: counts, coordinates, and the orders chunks can be written in.

Owns whole numbers alone. Which elements a chunk holds is `selection`'s business, which bytes `layout`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, Final, Literal, get_args

import numpy as np

from zarr_shard_codec.errors import UsageError

Coords = tuple[int, ...]

ChunkOrder = Literal["lexicographic", "morton", "reverse"]
"""The order in which encoded inner chunks are written; a runtime option, never metadata (ORDER-ANY)."""

CHUNK_ORDERS: Final[tuple[str, ...]] = get_args(ChunkOrder)


def grid_counts(shape: Sequence[int], chunk_shape: Sequence[int]) -> Coords:
    """Chunks along each axis, the last one possibly reaching past the edge."""
    return tuple(-(-size // chunk) for size, chunk in zip(shape, chunk_shape, strict=True))


def to_linear(coords: Sequence[int], counts: Sequence[int]) -> int:
    """Position of a chunk in C order."""
    linear = 0
    for at, count in zip(coords, counts, strict=True):
        linear = linear * count + at
    return linear


def to_coords(linear: int, counts: Sequence[int]) -> Coords:
    """Coordinates of the chunk at a position in C order."""
    coords: list[int] = []
    for count in reversed(counts):
        linear, at = divmod(linear, count)
        coords.append(at)
    return tuple(reversed(coords))


def each_coords(counts: Sequence[int]) -> Iterator[Coords]:
    """Coordinates of all chunks of a grid in C order; unlike `itertools.product`, in next to no memory."""
    if not counts:
        yield ()
        return
    for at in range(counts[0]):
        for rest in each_coords(counts[1:]):
            yield at, *rest


def all_to_coords(linear: np.ndarray[Any, Any], counts: Coords) -> list[Coords]:
    """Coordinates of the chunks at many positions in C order."""
    if not counts:
        return [() for _ in linear]
    along = np.unravel_index(linear, counts)
    return list(zip(*(axis.tolist() for axis in along), strict=True))


def write_order(order: ChunkOrder, counts: Sequence[int]) -> np.ndarray[Any, Any]:
    """Linear indices of all chunks of a grid, in the order they are written.

    Parameters
    ----------
    order
        `lexicographic` (C order), `reverse` (C order backwards) or `morton` (bits of the coordinates
        interleaved, the first axis varying fastest: neighbours in space stay near each other in the shard).
    counts
        Chunks per shard.

    Returns
    -------
    ndarray
        int64, a permutation of `range(prod(counts))`.

    Raises
    ------
    UsageError
        `invalid_argument` for any other name.
    """
    n_chunks = prod(counts)
    if order == "lexicographic":
        return np.arange(n_chunks)
    if order == "reverse":
        return np.arange(n_chunks)[::-1]
    if order == "morton":
        return np.argsort(_morton_codes(counts), kind="stable")
    raise UsageError("invalid_argument", f"chunk_order: expected one of {CHUNK_ORDERS}, found {order!r}")


def _morton_codes(counts: Sequence[int]) -> np.ndarray[Any, Any]:
    # An axis gives only the bits that its count needs, so the code never outgrows 64 bits.
    coords = np.unravel_index(np.arange(prod(counts)), tuple(counts)) if counts else ()
    codes = np.zeros(prod(counts), np.int64)
    place = 0
    for bit in range(max((count - 1).bit_length() for count in counts) if counts else 0):
        for along, count in zip(coords, counts, strict=True):
            if bit < (count - 1).bit_length():
                codes |= ((along >> bit) & 1) << place
                place += 1
    return codes
