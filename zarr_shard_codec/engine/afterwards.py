"""What need not be done before a call returns: freeing the disk space of objects that were replaced.

Owns how much of that is left undone at most. Where a file system tells the disk of each block that it frees
(ext4 mounted with `discard`), it takes longer than writing the new object, and its writer has no use for it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final

from zarr_shard_codec.engine.pool import tidying_pool

MOST: Final = 4
"""So many replaced objects take up space at once; who replaces one more waits for the first of them."""

_room = threading.Semaphore(MOST)


def afterwards(free: Callable[[], None]) -> None:
    """Make a call in another thread, which may be made twice and raises nothing."""
    room = _room
    room.acquire()
    try:
        tidying_pool().submit(_make, free, room)
    except RuntimeError:  # no thread can be started, or none any more, at the end of the process
        _make(free, room)


def _make(free: Callable[[], None], room: threading.Semaphore) -> None:
    free()
    room.release()


def _begin_anew() -> None:
    # The parent's threads do not exist in a forked child: what was given to them is never done there.
    global _room  # noqa: PLW0603
    _room = threading.Semaphore(MOST)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
