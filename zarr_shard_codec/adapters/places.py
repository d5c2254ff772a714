"""Which array an object on disk belongs to, where a host names the object alone.

Owns nothing but that question: locks between processes lie in the array's folder.
"""

from __future__ import annotations

import os

from zarr_shard_codec.stores.local import LocalStore


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
