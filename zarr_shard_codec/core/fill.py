"""The fill value: whether a chunk is made of it, bit for bit.

Bits, not values: -0.0 is not 0.0, and a NaN is itself, so what is stored survives the round trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Final

import numpy as np

from zarr_shard_codec.errors import SelectionError

_BLOCK_NBYTES: Final = 1 << 16
"""Bytes compared before looking whether to go on: most chunks differ within the first few."""


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
