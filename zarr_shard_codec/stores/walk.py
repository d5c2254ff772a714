"""What lies under a folder of the local store, with its symbolic links.

Owns the listing alone. `base` is the store's root and ends with a separator; folders come in resolved.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from zarr_shard_codec.stores.protocols import ObjectInfo

_MOST_LINKS: Final = 2
"""Links to folders that are followed on one path. A few folders that link to each other spell out more paths
than anyone can walk, and only this many keep their number within that of the links, squared."""


def walk(base: str, prefix: str, folder: str) -> Iterator[ObjectInfo]:
    """Every object under the folder.

    Links to folders under the root are followed. A link that leads elsewhere, to nothing, or back to a
    folder on the way here, or that is one too many on its path, is listed as an object, with the size of the
    link itself, so that whoever looks for what does not belong finds it.
    """
    # Not recursive: folders can lie deeper within each other than Python's stack.
    left: list[tuple[str, str, tuple[str, ...], int]] = [(prefix, folder, (), _links_on(base, prefix))]
    while left:
        above, folder, linked_from, links = left.pop()
        trail = (*linked_from, folder)
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            for entry in entries:
                key = f"{above}/{entry.name}" if above else entry.name
                below = _folder_behind(entry, base, trail, links)
                if below is None:
                    with suppress(FileNotFoundError):  # deleted since
                        yield ObjectInfo(key, _size(entry, base))
                elif entry.is_symlink():
                    left.append((key, below, trail, links + 1))
                else:
                    left.append((key, below, linked_from, links))


def child_folders(base: str, prefix: str, folder: str) -> Iterator[str]:
    """Keys of the folders directly in the folder, and of the links to folders that `walk` follows."""
    links = _links_on(base, prefix)
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if _folder_behind(entry, base, (folder,), links) is not None:
                yield f"{prefix}/{entry.name}" if prefix else entry.name


def _links_on(base: str, prefix: str) -> int:
    parts = prefix.split("/")
    return sum(os.path.islink(base + "/".join(parts[: at + 1])) for at in range(len(parts))) if prefix else 0


def _folder_behind(entry: os.DirEntry[str], base: str, trail: tuple[str, ...], links: int) -> str | None:
    """The folder that an entry is or leads to; None if it does not, or is not followed."""
    if entry.is_dir(follow_symlinks=False):
        return entry.path
    if not entry.is_symlink() or links >= _MOST_LINKS:
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
