"""Locks between processes, for whoever changes files of one folder; and marks on files that are written into.

Owns one empty file in the folder, and which byte of it stands for which name. A lock is a byte range lock of
an open file description of its own: it holds across threads and processes, also on file servers that know
such locks, and the system lets go of it when its holder dies, however that happens. Where the system has no
such locks (macOS, Windows), `filelock` does the same with one file a name.

The file is never deleted: who waits for a lock of a deleted file, and who makes the file anew, would each
believe to be alone.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Final
from weakref import WeakSet

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK_FILE: Final = ".zsc-lock"
"""Name of the file in the folder; the fallback's files have a `-` and 16 hexadecimal digits behind it."""

_LOCK_KEY: Final = re.compile(r"(?:.*/)?\.zsc-lock(?:-[0-9a-f]{16})?", re.DOTALL)
_HAS_BYTE_LOCKS: bool = hasattr(fcntl, "F_OFD_SETLKW")
_OPEN_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FLOCK: Final = struct.Struct("hhqqi4x")
"""The system's `struct flock`: type, whence, start, length, process."""
_F_WRLCK, _F_UNLCK = getattr(fcntl, "F_WRLCK", 1), getattr(fcntl, "F_UNLCK", 2)
_MARK: Final = 1 << 62
"""The byte that a writer into a file locks: beyond all data, as some file servers let nobody read what is
locked."""


def is_lock(key: str) -> bool:
    """Whether the key is that of a file which locks need, and which holds nothing."""
    return _LOCK_KEY.fullmatch(key) is not None


def take(path: str, name: str) -> Callable[[], None]:
    """Wait for the lock of a name; returns what lets go of it again. Raises `OSError`.

    Parameters
    ----------
    path
        Of the file (`LOCK_FILE`), which is made if need be. Its folder exists.
    name
        Anything; the same in every process.
    """
    number = _number_of(name)
    if not _HAS_BYTE_LOCKS:
        return _take_file(f"{path}-{number:016x}")
    return _take_byte(path, number >> 2)  # file offsets are signed


def mark(descriptor: int) -> None:
    """Say of an open file that it is being written into, where the system lets others ask (`is_marked`)."""
    _set_mark(descriptor, _F_WRLCK)


def unmark(descriptor: int) -> None:
    """Say it no longer."""
    # Closing the file alone would not do: a child that was forked in between shares the lock.
    _set_mark(descriptor, _F_UNLCK)


def is_marked(descriptor: int) -> bool:
    """Whether somebody else who has the file open, in this process or another one, has marked it."""
    if not _HAS_BYTE_LOCKS:
        return False
    question = _FLOCK.pack(_F_WRLCK, os.SEEK_SET, _MARK, 1, 0)
    try:
        kind, *_ = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, question))
    except OSError:  # a file system without locks
        return False
    return bool(kind != _F_UNLCK)


def _set_mark(descriptor: int, kind: int) -> None:
    if _HAS_BYTE_LOCKS:
        with suppress(OSError):  # no locks on this file system, or another writer's mark, which says as much
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, _MARK, 1, 0))


@lru_cache(maxsize=4096)
def _number_of(name: str) -> int:
    from hashlib import blake2b  # not for those who only read

    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


class _ByteLock:
    """A lock of one byte of an open file, let go of at the latest when nobody refers to it.

    Ctrl-C can come between any two calls of Python's: whoever holds it then may never have heard of it.
    """

    _descriptor = -1

    def __init__(self, descriptor: int, at: int) -> None:
        self._at = at
        self._descriptor = descriptor
        _held.add(self)

    def take(self) -> bool:
        """Wait for it; whether its file is still there."""
        self._set(fcntl.F_OFD_SETLKW, fcntl.F_WRLCK)
        return os.fstat(self._descriptor).st_nlink > 0

    def let_go(self) -> None:
        """Let go of it, if that was not done yet."""
        if self._descriptor < 0:
            return
        try:
            # Closing alone would not do: a child that was forked in between shares the lock.
            with suppress(OSError):  # a file server that is away; what was written is written
                self._set(fcntl.F_OFD_SETLK, fcntl.F_UNLCK)
        finally:
            self.close()

    __del__ = let_go

    def close(self) -> None:
        """Have nothing to do with it any more; whoever shares the open file still holds it."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _set(self, command: int, kind: int) -> None:
        fcntl.fcntl(self._descriptor, command, _FLOCK.pack(kind, os.SEEK_SET, self._at, 1, 0))


_held: Final[WeakSet[_ByteLock]] = WeakSet()
"""Those that this process holds, waits for, or had."""


def _take_byte(path: str, at: int) -> Callable[[], None]:
    while True:
        lock = _ByteLock(_open(path), at)
        try:
            if lock.take():
                return lock.let_go
        except BaseException:  # interrupted, too
            lock.let_go()
            raise
        lock.let_go()  # its file was deleted while we waited: others lock another one of this name


def _open(path: str) -> int:
    try:
        return os.open(path, _OPEN_FLAGS & ~os.O_CREAT)
    except FileNotFoundError:
        descriptor = os.open(path, _OPEN_FLAGS, 0o666)
        with suppress(OSError):  # a mount that knows no permissions, or a file that another user just made
            # Whoever may put files into the folder has to be able to lock them, whatever our umask is.
            wanted = os.stat(os.path.dirname(path)).st_mode & 0o666
            if os.fstat(descriptor).st_mode & 0o666 != wanted:
                os.fchmod(descriptor, wanted)
        return descriptor


def _take_file(path: str) -> Callable[[], None]:
    from filelock import FileLock

    # Not a thread's own: a write may begin in one and end in another.
    lock = FileLock(path, thread_local=False)
    lock.acquire()
    return lock.release


def _close_inherited() -> None:
    # The parent's locks: a forked child that kept them open would hold them beyond the parent's death.
    for lock in list(_held):
        lock.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited)
