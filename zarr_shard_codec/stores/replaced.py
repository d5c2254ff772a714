"""Files that are about to be replaced: the space on the disk that they take up, and when it is freed.

Owns what holds the space: a descriptor by which nothing can be read, so that nobody who replaces the file has
to wait until the disk has taken its blocks back. Which thread then waits is not its business.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final
from weakref import WeakSet

from zarr_shard_codec.stores import files

_HOLDS: Final = hasattr(os, "O_PATH")
_LONG_TO_FREE: Final = 256 << 10
"""Smaller files, in bytes, are freed in less time than it takes to have another thread do it."""


class Space:
    """What a file takes up, until this is closed or nobody refers to it: by any thread, and by one at a time.

    Parameters
    ----------
    descriptor
        The file's, which is owned from now on.
    """

    __slots__ = ("__weakref__", "_descriptor")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        _held.add(self)

    def close(self) -> None:
        """Free it, unless the file is still there or somebody has it open."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):  # then it is for the system to do
                os.close(descriptor)

    def __del__(self) -> None:
        if os is not None and suppress is not None:  # else the process ends, and they were taken away
            self.close()


_held: Final[WeakSet[Space]] = WeakSet()


def hold(path: str) -> Space | None:
    """Hold the space of a file that is about to be replaced.

    None where that is not worth while: the file is small or not there, or not on a disk of this machine. A
    network file system would rename a file that somebody holds before it is replaced, and for that moment
    there would be none.
    """
    if not _HOLDS:
        return None
    try:
        space = Space(os.open(path, os.O_PATH | os.O_NOFOLLOW))
    except OSError:
        return None
    status = os.fstat(space._descriptor)  # noqa: SLF001
    if status.st_size >= _LONG_TO_FREE and files.is_on_disk(status):
        return space
    space.close()
    return None


def _close_inherited() -> None:
    # Nobody in a forked child will: it would keep the space for as long as it lives.
    for space in list(_held):
        space.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited)
