"""Where on disk a host's object is, and which array it belongs to, where the host names the object alone.

Owns which folder a host's path means now: hosts look it up at each call, and so follow a link that is set
anew, and the current folder.
"""

from __future__ import annotations

import os
from functools import lru_cache

from zarr_shard_codec.stores.local import LocalStore


def local_store(root: str) -> LocalStore:
    """The store of a folder: the same one each time, as it knows what it has looked up."""
    path = root if os.path.isabs(root) else os.path.join(os.getcwd(), root)  # noqa: PTH109, PTH117, PTH118
    store = _store(path)
    # Links on the way there may lead elsewhere by now.
    return store if store.root == path else _store(os.path.realpath(path))


@lru_cache(maxsize=256)
def _store(path: str) -> LocalStore:
    return LocalStore(path)


def array_folder(store: LocalStore, key: str) -> str:
    """The path of the array that a chunk belongs to: the nearest folder with a `zarr.json`, or the root.

    Found anew each time: a few calls of the system, next to a write that takes a thousand times as long.
    """
    folder = key
    while folder:
        folder = folder.rpartition("/")[0]
        if os.path.exists(store.path_of(f"{folder}/zarr.json" if folder else "zarr.json")):  # noqa: PTH110
            return folder
    return ""
