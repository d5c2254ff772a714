"""What the local store says when the system refuses: the whole path, the system's words, and what to do.

Owns the words alone.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from zarr_shard_codec.errors import StoreError

_FULL: Final = "Free space there, and run the same again."
_NOT_ALLOWED: Final = "Change its permissions or those of its folder, or choose another place."
_REMEDIES: Final = {
    errno.ENOSPC: _FULL,
    getattr(errno, "EDQUOT", errno.ENOSPC): _FULL,
    errno.EROFS: "That file system is mounted for reading only: choose another place.",
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
}
"""What to do about what the system says."""


def failure_of(verb: str, root: str, key: str, error: OSError, done: str = "") -> StoreError:
    """The error for a file that the system did not do something with.

    Parameters
    ----------
    verb
        What it did not do.
    root
        The store's folder, with a separator at its end.
    key
        The file's key.
    error
        What the system says.
    done
        What of it was done all the same.
    """
    path, words = root + key, error.strerror or str(error)
    hint = _REMEDIES.get(error.errno or 0)
    if error.errno in (errno.ENOTDIR, errno.EEXIST) and (file := _file_above(path)) is not None:
        words, hint = f"{file} is a file, no folder", "Choose another place, or move that file away."
    message = f"cannot {verb} {path}: {words}" + (f"; {done}" if done else "")
    failure = StoreError("store_failure", message, key=key or None, hint=hint)
    failure.errno = error.errno
    return failure


def _file_above(path: str) -> str | None:
    """The file that stands where one of the path's folders should."""
    folder = os.path.dirname(path)
    while not os.path.lexists(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return None if os.path.isdir(folder) else folder


def leads_out(key: str, target: str) -> StoreError:
    """The error for a link whose target is none of the store's business."""
    return StoreError(
        "invalid_key",
        f"a symbolic link leads out of the store, to {target}",
        key=key,
        hint="Open the folder that the link points into, or put a copy in the link's place.",
    )
