"""One writer at a time for each object that only the host can reach: threads and coroutines alike.

Owns who waits for whom within this process, and who reads what is just being set. What the engine reaches by
itself has the engine's locks, and stores that know one state of an object from another.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

_guard = threading.Lock()
_waiting: Final[dict[str, deque[Future[None]]]] = {}
"""Who waits for each object that somebody is writing."""
_changing: Final[set[str]] = set()
"""Objects that are being set, by those whose turn it is."""
_watches: Final[dict[str, list[Watch]]] = {}
"""Who reads each object, and wants to know when it is set."""


def name_of(getter: Any) -> str:
    """The name of what a setter writes: the same for everyone who writes it, as far as stores can tell."""
    store = getattr(getter, "store", None)
    return f"{id(getter)}" if store is None else f"{type(store).__name__}:{store}:{getter.path}"


@contextmanager
def turn(name: str) -> Iterator[None]:
    """Hold an object for the block, in a thread that may wait."""
    mine = _ask(name)
    try:
        mine.result()
        yield
    finally:
        _end(name, mine)


@asynccontextmanager
async def turn_async(name: str) -> AsyncIterator[None]:
    """Hold an object for the block, in a coroutine of any loop."""
    mine = _ask(name)
    try:
        await asyncio.wrap_future(mine)
        yield
    finally:
        _end(name, mine)


class Watch:
    """Sees whether an object is set, or deleted, by this process while it is read.

    Attributes
    ----------
    steady
        Whether it was not, so far.
    """

    __slots__ = ("_name", "steady")

    def __init__(self, name: str) -> None:
        self._name = name
        with _guard:
            self.steady = name not in _changing
            _watches.setdefault(name, []).append(self)

    def end(self) -> None:
        """Look no longer."""
        with _guard:
            watches = _watches.get(self._name, [])
            if self in watches:
                watches.remove(self)
            if not watches:
                _watches.pop(self._name, None)


@contextmanager
def changing(name: str) -> Iterator[None]:
    """Set an object, or delete it, within the block, for which its turn is held."""
    with _guard:
        _changing.add(name)
        for watch in _watches.get(name, ()):
            watch.steady = False
    try:
        yield
    finally:
        with _guard:
            _changing.discard(name)


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Await what may go on in a thread after it was cancelled: to its end, and only then be cancelled."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    finally:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])


def _ask(name: str) -> Future[None]:
    mine: Future[None] = Future()
    with _guard:
        queue = _waiting.get(name)
        if queue is not None:
            queue.append(mine)
            return mine
        _waiting[name] = deque()
    mine.set_result(None)
    return mine


def _end(name: str, mine: Future[None]) -> None:
    """Pass on what has come, or wait for it no longer."""
    if mine.cancel():
        return
    with _guard:
        queue = _waiting[name]
        while queue:
            following = queue.popleft()
            if following.set_running_or_notify_cancel():
                break
        else:
            del _waiting[name]
            return
    following.set_result(None)


def _forget() -> None:
    # Whoever held or awaited an object in the parent does not exist in a forked child.
    global _guard  # noqa: PLW0603
    _guard = threading.Lock()
    _waiting.clear()
    _changing.clear()
    _watches.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
