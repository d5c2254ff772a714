"""The objects that a box of an array touches: shards, or chunks where there are none.

Owns how a box is cut at their edges. What is then read from each, or written to it, is `array`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

from zarr_shard_codec.core.grid import Coords
from zarr_shard_codec.core.jobs import Bounds
from zarr_shard_codec.core.projection import project
from zarr_shard_codec.core.selection import Box, Picks, view


def each_object(
    box: Box, block: np.ndarray[Any, Any], object_shape: Sequence[int], shape: Sequence[int]
) -> Iterator[tuple[Coords, Box, Bounds, np.ndarray[Any, Any]]]:
    """Objects that a box touches: coordinates, the part of each, its bounds, its values as a view."""
    if not shape:
        yield (), (), (), block
        return
    if not block.size:  # one axis without any is enough; the others may be long
        return
    for cell in product(*_along(box, object_shape, shape)):
        coords, part, bounds, landing = zip(*cell, strict=True)
        yield coords, part, bounds, view(block, landing)


def is_in_part(box: Box, object_shape: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether the box touches any object without covering what lies of it inside the array."""
    return any(len(part) < bound for axis in _along(box, object_shape, shape) for _, part, bound, _ in axis)


def _along(
    box: Box, object_shape: Sequence[int], shape: Sequence[int]
) -> Iterator[list[tuple[int, range | Picks, int, slice]]]:
    """The same axis by axis; in the place of the view, the slice of `block`."""
    for axis, limit in zip(project(box, object_shape), shape, strict=True):
        size = axis.chunk_size
        cells = []
        for at in axis.coords():
            part, landing = axis.part(at)
            cells.append((at, part, min(size, limit - at * size), landing))
        yield cells
