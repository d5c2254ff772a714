"""What need not be done before a call returns: freeing the disk space of objects that were replaced.

Owns how much of that is left undone at most. Where the file system tells the disk of every block that it
frees (ext4 mounted with `discard`), it takes longer than writing the new object, 3.5 ms for 4 MiB, and its
writer has no use for it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from zarr_shard_codec.engine.pool import tidying_pool

if TYPE_CHECKING:
    from concurrent.futures import Future

MOST: Final = 4
"""So many replaced objects take up space at once; who replaces one more waits for the first of them."""

_begun: Final[deque[Future[None]]] = deque()


def afterwards(call: Callable[[], None]) -> None:
    """Make this call in another thread. What it cannot do (`OSError`) is for the system to do in the end."""
    with suppress(IndexError):  # another thread may take the last one
        while len(_begun) >= MOST:
            _begun.popleft().result()
    _begun.append(tidying_pool().submit(_try, call))


def _try(call: Callable[[], None]) -> None:
    with suppress(OSError):
        call()


if hasattr(os, "register_at_fork"):
    # The parent's threads do not exist in a forked child: what was given to them is never done there.
    os.register_at_fork(after_in_child=_begun.clear)
