"""The threads: one pool that works, as wide as the cores this process may use, and one that waits.

Codecs decode and encode without Python's lock, so threads are enough. Nothing else in the package makes
any; what runs in a pool never waits for either.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from zarr_shard_codec.errors import UsageError

THREADS_VARIABLE: Final = "ZARR_SHARD_THREADS"
"""Environment variable: how many threads to use, at least 1. Read when the pool is first used."""

_WAITING_THREADS: Final = 32
"""Requests to an object store that wait at once: enough to hide its latency."""

_lock = threading.Lock()
_pools: dict[str, ThreadPoolExecutor] = {}


def thread_count() -> int:
    """How many threads work at once.

    Raises
    ------
    UsageError
        `invalid_argument`: the environment variable is not a positive integer.
    """
    given = os.environ.get(THREADS_VARIABLE)
    if given is None:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if not given.isascii() or not given.isdigit() or int(given) < 1:
        raise UsageError("invalid_argument", f"{THREADS_VARIABLE}: expected at least 1, found {given!r}")
    return int(given)


def working_pool() -> ThreadPoolExecutor:
    """The pool for what keeps a core busy: decoding, encoding, files in the page cache."""
    return _pool("work", thread_count)


def waiting_pool() -> ThreadPoolExecutor:
    """The pool for what waits for a network."""
    return _pool("wait", lambda: _WAITING_THREADS)


def _pool(name: str, size: Callable[[], int]) -> ThreadPoolExecutor:
    with _lock:
        if name not in _pools:
            _pools[name] = ThreadPoolExecutor(size(), thread_name_prefix=f"zarr-shard-{name}")
        return _pools[name]


def _forget_pools() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    # The parent's threads do not exist in a forked child; work given to them there would never be done.
    os.register_at_fork(after_in_child=_forget_pools)
