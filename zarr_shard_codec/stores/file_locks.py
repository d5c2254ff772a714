"""Locks between processes, for whoever changes files of one folder.

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

from zarr_shard_codec.stores import files

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


def is_taken(path: str, name: str) -> bool:
    """Whether another process holds the lock of a name, so far as the system tells; makes no file."""
    at = _number_of(name) >> 2
    if not _HAS_BYTE_LOCKS:
        return False
    try:
        descriptor = files.open_existing(path)
        try:
            question = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, at, 1, 0)
            kind, *_ = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, question))
        finally:
            os.close(descriptor)
    except OSError:  # no such file, above all: nobody ever took one
        return False
    return kind != fcntl.F_UNLCK and not any(lock.is_of(path, at) for lock in list(_held))


@lru_cache(maxsize=4096)
def _number_of(name: str) -> int:
    from hashlib import blake2b  # not for those who only read

    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


class _ByteLock:
    """A lock of one byte of an open file, let go of at the latest when nobody refers to it.

    Ctrl-C can come between any two calls of Python's: whoever holds it then may never have heard of it.
    """

    _descriptor = -1
    _is_ours = False

    def __init__(self, descriptor: int, path: str, at: int) -> None:
        self._path, self._at = path, at
        self._descriptor = descriptor
        _held.add(self)

    def is_of(self, path: str, at: int) -> bool:
        """Whether it is held, and is that of a byte of a file."""
        return self._is_ours and self._descriptor >= 0 and (self._path, self._at) == (path, at)

    def take(self) -> bool:
        """Wait for it; whether its file is still there."""
        self._set(fcntl.F_OFD_SETLKW, fcntl.F_WRLCK)
        self._is_ours = True
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
        lock = _ByteLock(_open(path), path, at)
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
