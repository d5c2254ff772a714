"""What lies under a folder of the local store, with its symbolic links.

Owns the listing alone. `base` is the store's root and ends with a separator; folders come in resolved.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from zarr_shard_codec.stores.protocols import ObjectInfo


def walk(base: str, prefix: str, folder: str, trail: tuple[str, ...] = ()) -> Iterator[ObjectInfo]:
    """Every object under the folder.

    Links to folders under the root are followed. A link that leads elsewhere, to nothing, or back to a
    folder on the way here is listed as an object, with the size of the link itself, so that whoever looks
    for what does not belong finds it.
    """
    trail = (*trail, folder)
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            key = f"{prefix}/{entry.name}" if prefix else entry.name
            below = _folder_behind(entry, base, trail)
            if below is None:
                with suppress(FileNotFoundError):  # deleted since
                    yield ObjectInfo(key, _size(entry, base))
            else:
                yield from walk(base, key, below, trail)


def child_folders(base: str, prefix: str, folder: str) -> Iterator[str]:
    """Keys of the folders directly in the folder, and of the links to folders that `walk` follows."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if _folder_behind(entry, base, (folder,)) is not None:
                yield f"{prefix}/{entry.name}" if prefix else entry.name


def _folder_behind(entry: os.DirEntry[str], base: str, trail: tuple[str, ...]) -> str | None:
    if entry.is_dir(follow_symlinks=False):
        return entry.path
    if not entry.is_symlink():
        return None
    target = os.path.realpath(entry.path)
    if not os.path.isdir(target):
        return None
    circular = any((passed + os.sep).startswith(target + os.sep) for passed in trail)
    return target if target.startswith(base) and not circular else None


def _size(entry: os.DirEntry[str], base: str) -> int:
    if entry.is_symlink():
        target = os.path.realpath(entry.path)
        if target.startswith(base) and os.path.isfile(target):
            return os.stat(target).st_size
    return entry.stat(follow_symlinks=False).st_size
