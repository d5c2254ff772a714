"""A block of values as a grid of equal parts, and copies between the two.

Owns how elements are moved. Which parts go where is `projection`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any, Final

import numpy as np

from zarr_shard_codec.core import memory

_ROW_NBYTES: Final = 64
"""Bytes; rows up to this length are copied as one opaque element each, which NumPy does faster."""
_MANY_NBYTES: Final = 1 << 16
"""Bytes; in smaller blocks, that gains nothing."""

Copy = tuple[slice, Any, slice]
"""A copy along one axis: from which neighbouring parts, which index within each, to where in the block."""


def blocks(block: np.ndarray[Any, Any], counts: Sequence[int]) -> np.ndarray[Any, Any]:
    """See a block of equal parts as a grid of them: shape `(*counts, *part_shape)`, a view.

    `block` has the shape `counts * part_shape`.
    """
    ndim = len(counts)
    split = [
        size for total, count in zip(block.shape, counts, strict=True) for size in (count, total // count)
    ]
    axes = (*range(0, 2 * ndim, 2), *range(1, 2 * ndim, 2))
    return block.reshape(split).transpose(axes)


def put_blocks(parts: np.ndarray[Any, Any], target: np.ndarray[Any, Any]) -> None:
    """Copy equal parts, a grid of them, to their places in a block: `blocks(target, counts)[...] = parts`."""
    counts = parts.shape[: target.ndim]
    target, parts = _in_rows(target, parts)
    (target if max(counts, default=1) == 1 else blocks(target, counts))[...] = parts


def put_some(
    parts: np.ndarray[Any, Any], there: np.ndarray[Any, np.dtype[np.bool_]], target: np.ndarray[Any, Any]
) -> None:
    """Like `put_blocks`, but only for the parts where `there` (bool, the grid's shape) is True."""
    target, parts = _in_rows(target, parts)
    blocks(target, there.shape)[there] = parts


def put_grid(
    parts: np.ndarray[Any, Any], along: Iterable[Sequence[Copy]], target: np.ndarray[Any, Any]
) -> None:
    """Copy what is wanted of equal parts, a grid of them, to its places in a block.

    Parameters
    ----------
    parts
        Shape `(*counts, *part_shape)`.
    along
        For each axis, the copies that are made: their product is all copies.
    target
        The block.
    """
    for copy in product(*along):
        positions, within, landing = zip(*copy, strict=True)
        put_blocks(_cut(parts, positions, within), target[(*landing, ...)])


def _cut(
    parts: np.ndarray[Any, Any], positions: Sequence[slice], within: Sequence[Any]
) -> np.ndarray[Any, Any]:
    """Some of the parts, and of each what is wanted: by slices, along one axis perhaps by a list."""
    slices = [at if isinstance(at, slice) else slice(None) for at in within]
    part: np.ndarray[Any, Any] = parts[(*positions, *slices)]
    for axis, at in enumerate(within, len(positions)):
        if not isinstance(at, slice):
            part = part.take(at, axis)  # in C order, which is copied on twice as fast
    return part


def take_blocks(block: np.ndarray[Any, Any], counts: Sequence[int]) -> np.ndarray[Any, Any]:
    """Bring each part's elements together: `blocks(block, counts)`, contiguous; a copy unless it is that."""
    grid = blocks(block, counts)
    if grid.flags.c_contiguous:
        return grid
    parts = memory.empty(grid.shape, block.dtype)
    source, target = _in_rows(block, parts)
    target[...] = blocks(source, counts)
    return parts


def take_some(
    block: np.ndarray[Any, Any], wanted: np.ndarray[Any, np.dtype[np.bool_]]
) -> np.ndarray[Any, Any]:
    """Like `take_blocks`, in a row, but only the parts where `wanted` (bool, the grid's shape) is True."""
    if wanted.all():
        parts = take_blocks(block, wanted.shape)
        return parts.reshape(-1, *parts.shape[wanted.ndim :])
    _, grid = _in_rows(block, blocks(block, wanted.shape))
    return np.ascontiguousarray(grid[wanted]).view(block.dtype)


def _in_rows(
    block: np.ndarray[Any, Any], parts: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A block and its parts, each row of a part as one element, where that is copied faster."""
    # For NumPy, the call of an inner loop costs as much as some fifty bytes.
    if block.ndim and parts.nbytes >= _MANY_NBYTES and parts.dtype == block.dtype:
        nbytes = parts.shape[-1] * parts.itemsize
        if nbytes <= _ROW_NBYTES and block.strides[-1] == parts.strides[-1] == parts.itemsize:
            return block.view(f"V{nbytes}"), parts.view(f"V{nbytes}")
    return block, parts
