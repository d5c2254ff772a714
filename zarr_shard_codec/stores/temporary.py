"""Temporary files: new objects before they have their names, and what dead writers left of such.

Owns their names, and how a live writer is told from a dead one: every temporary file is locked by whoever
writes it, for as long as it is open, and the system lets go of the lock when the writer dies. Where there are
no such locks, only age tells.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from typing import Final
from weakref import WeakSet

from zarr_shard_codec.errors import UsageError
from zarr_shard_codec.stores import files

try:
    import fcntl
except ImportError:  # Windows, where no open file can be deleted
    fcntl = None  # type: ignore[assignment]

_TEMPORARY: Final = re.compile(r"(?:.*/)?\.zsc-tmp-[0-9a-f]{16}", re.DOTALL)
_YOUNG_SECONDS: Final = 0.2
"""A writer locks a file the moment after it made it."""
_OLD_SECONDS: Final = 86400.0
"""Without locks, a file that nobody has written to for so long is believed to be left behind."""


def is_temporary(key: str) -> bool:
    """Whether the key is that of a file which a writer of this package has not finished, or left behind."""
    return _TEMPORARY.fullmatch(key) is not None


class TemporaryFile:
    """A new file beside `path` once it is made; gone after `remove` unless it was put there.

    All raise `OSError`. Ctrl-C can come in the middle of `remove`: then it is to be called once more.
    """

    def __init__(self, path: str, *, durable: bool) -> None:
        self._folder = os.path.dirname(path)
        self.path = path
        self._durable = durable
        self.name = os.path.join(self._folder, f".zsc-tmp-{os.urandom(8).hex()}")
        self._made: list[int] = []
        self._open = self._named = True

    def make(self) -> None:
        """Make it, and its folder if need be, and open it."""
        _files.add(self)
        try:
            files.create_noted(self.name, self._made)
        except FileNotFoundError:
            files.make_folders(self._folder, durable=self._durable)
            files.create_noted(self.name, self._made)
        _claim(self.descriptor)

    @property
    def descriptor(self) -> int:
        """The open file. Raises `UsageError` (`invalid_argument`) if it is another process's."""
        if not self._open:
            raise UsageError("invalid_argument", "only the process that made a file can write and finish it")
        return self._made[0]

    def finish(self) -> None:
        """Close it, once the disk has it if the store is durable. Raises `UsageError` as `descriptor`."""
        descriptor = self.descriptor  # closed by a fork, the number would be that of another file
        if self._durable:
            files.wait_for_disk(descriptor)
        self.close()

    def replace(self) -> None:
        """Finish it, and put it in the place of `path`, atomically."""
        self.finish()
        files.replace(self.name, self.path)
        self._named = False

    def close(self) -> None:
        """Close it, if it is open."""
        if self._open and self._made:
            self._open = False
            os.close(self._made[0])

    def disown(self) -> None:
        """Have nothing to do with it any more: it is another process's."""
        self.close()
        self._open = self._named = False

    def remove(self) -> None:
        """Close it, and remove it if it still has the name that it was made with."""
        try:
            self.close()
        finally:
            if self._named and self._made:
                with suppress(FileNotFoundError):
                    self._named = False
                    os.unlink(self.name)


_files: Final[WeakSet[TemporaryFile]] = WeakSet()


def _disown_inherited() -> None:
    # A forked child that kept them open would keep them locked beyond the writer's death.
    for file in list(_files):
        file.disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_inherited)


def _claim(descriptor: int) -> None:
    """Mark an open temporary file as being written, until it is closed."""
    if fcntl is not None:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_abandoned(path: str) -> bool:
    """Whether nobody writes this temporary file. Raises `OSError`."""
    age = time.time() - os.lstat(path).st_mtime
    if 0 <= age < _YOUNG_SECONDS:
        time.sleep(_YOUNG_SECONDS - age)
    if fcntl is None:
        return age > _OLD_SECONDS
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return age > _OLD_SECONDS
    finally:
        os.close(descriptor)
    return True
