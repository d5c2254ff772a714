"""The fill value: whether a chunk is made of it, bit for bit.

Bits, not values: -0.0 is not 0.0, and a NaN is itself, so what is stored survives the round trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Final

import numpy as np

from zarr_shard_codec.core import memory
from zarr_shard_codec.core.blocks import blocks
from zarr_shard_codec.errors import SelectionError

_BLOCK_NBYTES: Final = 1 << 16
"""Bytes compared before looking whether to go on: most chunks differ within the first few."""
_PROBES: Final = (0.0, 0.5, 1.0)
"""How far along all axes a part is looked at first: most of those that hold more show it there."""


def filled(shape: Sequence[int], fill_value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Make a new, writable array of nothing but the fill value.

    Raises
    ------
    SelectionError
        `selection_invalid`: no memory has so many bytes.
    MemoryError
        This one has not.
    """
    try:
        if not any(fill_value.tobytes()):  # the kernel's zero pages cost nothing until they are written
            return np.zeros(tuple(shape), fill_value.dtype)
        return np.full(tuple(shape), fill_value)
    except ValueError:
        message = f"a chunk of {prod(shape)} elements of {fill_value.dtype} fits into no memory"
        raise SelectionError("selection_invalid", message) from None


def is_filled(array: np.ndarray[Any, Any], fill_value: np.ndarray[Any, Any]) -> bool:
    """Whether every element has the fill value's bits. Stops at the first block that does not."""
    if array.size == 0:
        return True
    if array.dtype.byteorder != fill_value.dtype.byteorder:
        array = array.astype(fill_value.dtype)
    wanted = fill_value.tobytes()
    if array[(0,) * array.ndim].tobytes() != wanted:
        return False
    if array.nbytes <= _BLOCK_NBYTES or array.ndim == 0:
        return array.tobytes() == wanted * array.size
    if array.shape[0] == 1:
        return is_filled(array[0], fill_value)
    rows = max(1, _BLOCK_NBYTES * array.shape[0] // array.nbytes)
    return all(is_filled(array[at : at + rows], fill_value) for at in range(0, array.shape[0], rows))


def are_filled(
    block: np.ndarray[Any, Any], counts: Sequence[int], fill_value: np.ndarray[Any, Any]
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which parts of a block hold only the fill value; looked at in place, so empty parts are never copied.

    Parameters
    ----------
    block
        Equal parts side by side.
    counts
        How many there are along each axis.
    fill_value
        The fill value.

    Returns
    -------
    ndarray
        bool, shape `counts`.
    """
    if prod(counts) == 1:
        return np.full(tuple(counts), is_filled(block, fill_value))
    words, wanted = _in_words(block.astype(fill_value.dtype, copy=False), fill_value)
    grid = blocks(words, counts)
    found = np.ones(tuple(counts), np.bool_)
    part_shape = [size // count for size, count in zip(block.shape, counts, strict=True)]
    for along in _PROBES:
        *outer, last = [int((size - 1) * along) for size in part_shape]
        place: Any = (..., *outer, last * len(wanted))
        found &= grid[place] == wanted[0]
    if not found.any():
        return found
    if wanted.any():
        repeated = np.resize(wanted, words.shape[-1])
        words = np.bitwise_xor(words, repeated, out=memory.empty(words.shape, words.dtype))
    # Axis by axis, so that nearly all of the work is done on whole rows.
    for axis, count in enumerate(counts):
        parts = words.reshape(*words.shape[:axis], count, -1, *words.shape[axis + 1 :])
        words = np.bitwise_or.reduce(parts, axis=axis + 1)
    found[...] = words == 0
    return found


def _in_words(
    block: np.ndarray[Any, Any], fill_value: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """See elements, along the last axis, as unsigned integers, one or several each; and the fill value."""
    nbytes = block.itemsize
    word = next(size for size in (8, 4, 2, 1) if nbytes % size == 0)
    if nbytes > word and block.strides[-1] != nbytes:
        block = np.ascontiguousarray(block)
    return block.view(f"u{word}"), np.frombuffer(fill_value.tobytes(), f"u{word}")
