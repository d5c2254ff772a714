"""The damaged original of an object, kept beside what takes its place.

Owns the name, which no reader takes for a chunk, and how the bytes get there.
"""

from __future__ import annotations

import os
import re
from itertools import count
from typing import Final

from zarr_shard_codec.core.ranges import WHOLE
from zarr_shard_codec.errors import StoreError
from zarr_shard_codec.stores import files
from zarr_shard_codec.stores.copying import append_range
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.protocols import Store

_KEPT: Final = re.compile(r".*\.zsc-damaged-[1-9][0-9]*", re.DOTALL)


def is_kept(key: str) -> bool:
    """Whether the key is that of a damaged original."""
    return _KEPT.fullmatch(key) is not None


def keep_original(store: Store, key: str) -> str:
    """Give the object a second name, `<key>.zsc-damaged-<n>`, with the lowest free n; returns that.

    Where files have no second names, and in other stores, it is a copy. An original that was kept
    already, and has not been replaced since, is not kept twice.

    Raises
    ------
    StoreError
        `store_failure`; `not_found`, `object_changed`: the object was deleted, or cut short, meanwhile.
    """
    for n in count(1):
        name = f"{key}.zsc-damaged-{n}"
        if _keep_file(store, key, name) if isinstance(store, LocalStore) else _keep_object(store, key, name):
            return name
    raise AssertionError("there is always another number")


def _keep_file(store: LocalStore, key: str, name: str) -> bool:
    source, target = os.path.realpath(store.path_of(key)), store.path_of(name)
    try:
        os.link(source, target)
    except FileExistsError:
        return os.path.samefile(source, target)
    except FileNotFoundError:
        raise _gone(key) from None
    except OSError as error:
        if error.errno not in files.NO_LINKS:
            failure = StoreError("store_failure", f"cannot link {target}: {error.strerror}", key=name)
            failure.errno = error.errno
            raise failure from error
        return _copy_file(store, key, name)
    return True


def _copy_file(store: LocalStore, key: str, name: str) -> bool:
    if os.path.lexists(store.path_of(name)):
        return False
    opened = store.open_object(key)
    if opened is None:
        raise _gone(key)
    try:
        with store.atomic_writer(name) as descriptor:
            if append_range(opened.descriptor, descriptor, 0, opened.nbytes) < opened.nbytes:
                raise StoreError("object_changed", "the object was cut short meanwhile", key=key)
    finally:
        opened.close()
    return True


def _keep_object(store: Store, key: str, name: str) -> bool:
    found = store.read(key, [WHOLE])
    if found is None:
        raise _gone(key)
    return store.create(name, found)


def _gone(key: str) -> StoreError:
    return StoreError("not_found", "the object was deleted meanwhile", key=key)
