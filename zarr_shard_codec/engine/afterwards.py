"""What need not be done before a call returns: freeing the disk space of objects that were replaced.

Owns how much of that is left undone at most, and who does it when. Where a file system tells the disk of each
block that it frees (ext4 mounted with `discard`), it takes longer than writing the new object, and its writer
has no use for it. Threads of this module look for it now and then: to wake one for each object would have
its writer wait for Python's lock, and share its core.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

MOST: Final = 4
"""Replaced objects that wait to be freed at most; who replaces one more frees the first of them."""

_THREADS: Final = 2
_PAUSE_SECONDS: Final = 0.005
"""Between two looks."""
_LOOKS: Final = 400
"""A thread ends after this many looks in a row that found nothing."""

_left: Final[deque[Callable[[], None]]] = deque()
_lock = threading.Lock()
_running = 0


def afterwards(free: Callable[[], None]) -> None:
    """Have a call made soon, by another thread if there is room for it, or never if the process ends.

    It raises nothing. Of more than `MOST` calls the first is made here; where no thread can be had, all are.
    """
    _left.append(free)
    if _running < _THREADS:
        _start()
    while len(_left) > MOST:
        _make_one()


def _start() -> None:
    global _running  # noqa: PLW0603
    with _lock:
        try:
            while _running < _THREADS:
                threading.Thread(target=_look, name="zarr-shard-tidy", daemon=True).start()
                _running += 1
        except RuntimeError:  # no thread can be started, or none any more, at the end of the process
            while _make_one():
                pass


def _look() -> None:
    global _running  # noqa: PLW0603
    in_vain = 0
    while in_vain < _LOOKS:
        time.sleep(_PAUSE_SECONDS)
        in_vain += 1
        while _make_one():
            in_vain = 0
    with _lock:
        _running -= 1
    while _make_one():  # left by somebody who still counted on this thread
        pass


def _make_one() -> bool:
    try:
        free = _left.popleft()
    except IndexError:
        return False
    free()
    return True


def _begin_anew() -> None:
    # The parent's threads do not exist in a forked child, and what was left to them is the parent's.
    global _lock, _running
    _lock, _running = threading.Lock(), 0
    _left.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
