"""Temporary files that nobody is writing any more.

Owns how a live writer is told from a dead one: every temporary file is locked by whoever writes it, for
as long as it is open, and the system lets go of the lock when the writer dies. Where there are no such
locks, only age tells.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Final

try:
    import fcntl
except ImportError:  # Windows, where no open file can be deleted
    fcntl = None  # type: ignore[assignment]

_YOUNG_SECONDS: Final = 0.2
"""A writer locks a file the moment after it made it."""
_OLD_SECONDS: Final = 86400.0
"""Without locks, a file that nobody has written to for so long is believed to be left behind."""


def claim(descriptor: int) -> None:
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
