"""One writer at a time for each object.

Owns who waits for whom. A write of a part reads the object and keeps what it does not change: two at once
would each keep what the other one changed. Within a process writers always take turns; what holds off other
processes is the store's lock (local files), a factory of the caller's, or nothing. Stores with conditional
requests need no lock between processes, see `writing`.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from typing import Any, Final, Literal, Self
from weakref import WeakValueDictionary

from zarr_shard_codec.errors import UsageError
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.protocols import Objects, locks_names

LockFactory = Callable[[str], AbstractContextManager[Any]]
"""Called with an object's name, the same in every process; gives a lock that is not yet held.

Several are held at once. One lock for several names is known again if it is the same object each time;
another object that stands for the same lock would wait for ever for the first.
"""

Locking = Literal["auto"] | LockFactory | None
"""How writers of one object take turns; see `array.opening.open`."""

_LockType: Final = type(threading.Lock())

_locks: Final[WeakValueDictionary[Hashable, threading.Lock]] = WeakValueDictionary()
_guard = threading.Lock()


class Locks:
    """The locks that one call holds, of objects of one array. A context manager: at its end none is held.

    To be entered twice, `with Locks(…) as locks, locks:`. Ctrl-C can come in the middle of leaving, and then
    leaving the other time lets go of what is still held.

    Taken and let go of in one thread, whichever threads do the work: locks that know their owner want that,
    and a thread of a pool that waited could be the one that the holder needs to go on. Whoever takes several
    takes them in ascending order of their grid coordinates, as all writes of an array do, so that none waits
    for another in a circle.

    Parameters
    ----------
    store
        Where the array is.
    folder
        The array's path.
    lock
        How writers take turns beyond this process.
    """

    def __init__(self, store: Objects, folder: str, lock: Locking) -> None:
        self._store = store
        self._folder = folder
        self._lock = lock
        self._held: dict[str, list[Callable[[], None]]] = {}
        self._done: deque[str] = deque()
        self._managers: list[tuple[Any, list[str]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._done.extend(self._held)
        self.let_go()

    def take(self, key: str) -> None:
        """Wait for the lock of an object, and hold it.

        Raises
        ------
        StoreError
            `store_failure`: the file system has no locks. Nothing more is held then.
        UsageError
            `invalid_argument`: what the caller's factory returned is no lock.
        """
        turn = _Turn(lock_of(self._store, key))
        held = self._held[key] = [turn.let_go]
        turn.take()
        if callable(self._lock):
            manager = self._lock(name_of(self._store, key))
            if not isinstance(manager, AbstractContextManager):
                raise UsageError(
                    "invalid_argument",
                    f"lock: expected a function that returns a context manager, it returned {manager!r:.80}",
                )
            if not any(manager is other for other, _ in self._managers):
                manager.__enter__()
                self._managers.append((manager, []))
            next(keys for other, keys in self._managers if other is manager).append(key)
            held.append(lambda: self._leave(manager, key))
        elif self._lock == "auto" and locks_names(self._store):
            held.append(self._store.lock(self._folder, key[len(self._folder) :].lstrip("/")))

    def done(self, key: str) -> None:
        """Say, from any thread, that the object is finished."""
        self._done.append(key)

    def let_go(self) -> None:
        """Let go of the locks of objects that are finished."""
        failed: Exception | None = None
        while self._done:
            key = self._done.popleft()
            releases = self._held.get(key, [])
            while releases:
                try:
                    releases[-1]()
                except Exception as error:  # noqa: BLE001 - a caller's lock, over a network perhaps
                    failed = failed or error
                releases.pop()
            self._held.pop(key, None)
        if failed is not None:
            raise failed

    def _leave(self, manager: AbstractContextManager[Any], key: str) -> None:
        # One lock for several names is a factory's right; it is held until the last of them is done.
        for at, (other, keys) in enumerate(self._managers):
            if other is manager and key in keys:
                keys.remove(key)
                if not keys:
                    del self._managers[at]
                    manager.__exit__(None, None, None)
                return


class _Turn:
    """One writer's turn with a lock of this process."""

    __slots__ = ("_lock", "_taken")

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._taken: list[Any] = [None]  # the sentinel that ends `let_go`

    def take(self) -> None:
        # In one call, as Ctrl-C can come between two: either it is not taken, or it is noted that it is.
        self._taken.extend(filter(_LockType.acquire, [self._lock]))

    def let_go(self) -> None:
        if len(self._taken) > 1:
            # One C call, as in `take`: Ctrl-C cannot come between noting the release and releasing.
            deque(map(_LockType.release, iter(self._taken.pop, None)), maxlen=0)


def name_of(store: Objects, key: str) -> str:
    """An object's name for a factory of locks: its path, links resolved, or its store and key."""
    return store.path_of(key) if isinstance(store, LocalStore) else f"{store}/{key}"


def lock_of(store: Objects, key: str) -> threading.Lock:
    """The lock of an object in this process: the same for everyone in it, as long as anyone has it.

    Local files are known by their path, whatever store they are reached through; other objects by their
    store, so that two stores over the same bucket do not know of each other.
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
