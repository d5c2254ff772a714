"""One writer at a time for each object, within this process.

Owns the locks of threads. A write replaces its object as a whole, after reading what it keeps of the old
one: two at once, from two threads or two coroutines, would each keep what the other one changed. Writers in
other processes are not held off.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from typing import Any, Final, Literal
from weakref import WeakValueDictionary

from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.protocols import Store

LockFactory = Callable[[str], AbstractContextManager[Any]]
"""Called with an object's name, the same in every process; gives a lock that is not yet held."""

Locking = Literal["auto"] | LockFactory | None
"""How writers of one object take turns; see `array.open`."""

_locks: Final[WeakValueDictionary[Hashable, threading.Lock]] = WeakValueDictionary()
_guard = threading.Lock()


def lock_of(store: Store, key: str) -> threading.Lock:
    """The lock of an object: the same for everyone in this process, as long as anyone has it.

    Not bound to the thread that takes it: a write may begin in one and end in another.

    Local files are known by their path, whatever store they are reached through; other objects by their
    store, so that two stores over the same bucket do not know of each other.

    Whoever takes several takes them in ascending order of their grid coordinates, as all writes of an
    array do, so that none waits for another in a circle.
    """
    name: Hashable = store.path_of(key) if isinstance(store, LocalStore) else (id(store), key)
    with _guard:
        lock = _locks.get(name)
        if lock is None:
            lock = _locks[name] = threading.Lock()
        return lock


def _forget_locks() -> None:
    # Whoever held a lock in the parent does not exist in a forked child, and would hold it there for ever.
    global _guard  # noqa: PLW0603
    _guard = threading.Lock()
    _locks.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)
