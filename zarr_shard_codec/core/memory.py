"""Memory that is used again: what is new costs a page fault for every 4 KiB, often more than its contents.

Owns the free blocks, and when a block is free: once nothing is left of the view of it that was given out, nor
of any view of that, whoever holds them. So whoever takes one need not give it back.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from contextlib import suppress
from math import prod
from typing import Any, Final

import numpy as np

_LEAST_NBYTES: Final = 128 << 10
"""Bytes; for less, the system's allocator has memory at hand (glibc maps new memory from here on)."""
LARGEST_NBYTES: Final = 8 << 20
"""Bytes; larger blocks are always allocated, and never kept."""
_KEPT_NBYTES: Final = 16 << 20
"""Bytes of free blocks that are kept at most, for the whole process."""

_Block = np.ndarray[Any, np.dtype[np.uint8]]

_free: list[_Block] = []


def take(nbytes: int) -> memoryview:
    """Get memory that can be written to; what it holds is anything."""
    if not _is_kept(nbytes):
        return np.empty(nbytes, np.uint8).data
    block = _block(nbytes)
    # NumPy collapses chains of `base`: a view of a view refers to the array at the chain's end. A buffer
    # ends the chain, so every later view keeps this object alive; the finalizer runs when the last is gone.
    view = np.frombuffer(block.data, np.uint8, nbytes)
    weakref.finalize(view, _keep, block).atexit = False
    return view.data


def empty(shape: Sequence[int], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """As `numpy.empty`, which it is for what is too small, or too large, to be used again."""
    nbytes = prod(shape) * dtype.itemsize
    return np.ndarray(shape, dtype, take(nbytes)) if _is_kept(nbytes) else np.empty(shape, dtype)


def _is_kept(nbytes: int) -> bool:
    return _LEAST_NBYTES <= nbytes <= LARGEST_NBYTES


def _block(nbytes: int) -> _Block:
    # No lock: blocks come back at any moment, also in the middle of these lines. Each step holds by itself.
    for at in reversed(range(len(_free))):
        with suppress(IndexError):
            block = _free.pop(at)
            if nbytes <= len(block) <= nbytes + nbytes // 4:  # a larger one is soon asked for as such
                return block
            _free.insert(at, block)
    # Some more than is asked for, at most an eighth: shards of nearly one size use the same block.
    step = 1 << nbytes.bit_length() - 4
    return np.empty(-(-nbytes // step) * step, np.uint8)


def _keep(block: _Block) -> None:
    _free.append(block)
    while sum(map(len, _free)) > _KEPT_NBYTES:
        with suppress(IndexError):
            _free.pop(0)
