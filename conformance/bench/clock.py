"""One way to take the time of a call, for everything that is measured."""

from __future__ import annotations

import gc
import hashlib
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np


def settle() -> None:
    """Keep the collector from looking through all that there is now, again before each measurement."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that a call took, and its result.

    The garbage collector runs before, not within: when it runs is nobody's merit. Memory that the call
    takes for its result is part of the time, giving it back is not.
    """
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        result = call()
        seconds = time.perf_counter() - start
    finally:
        gc.enable()
    return seconds, result


def digest(arrays: Iterable[np.ndarray[Any, Any]]) -> str:
    """Sum up values, bit for bit, with shapes and types."""
    found = hashlib.blake2b(digest_size=16)
    for array in arrays:
        found.update(f"{array.shape} {array.dtype.str}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
