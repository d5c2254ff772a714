"""The threads: a pool that works, as wide as the cores this process may use, and one that waits.

Codecs decode and encode without Python's lock, so threads are enough. But for those of `afterwards`, nothing
else in the package makes threads that stay; what runs in the one that works never waits for either.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from zarr_shard_codec.errors import UsageError

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

T = TypeVar("T")

THREADS_VARIABLE: Final = "ZARR_SHARD_THREADS"
"""Environment variable: threads to use, 1 to 9999. Read at every call, but a pool keeps its first size."""

WAITING_THREADS: Final = 32
"""Requests to an object store that wait at once: enough to hide its latency."""

_lock = threading.Lock()
_pools: dict[str, ThreadPoolExecutor] = {}


def thread_count() -> int:
    """How many threads work at once.

    Raises
    ------
    UsageError
        `invalid_argument`: the environment variable is no such integer.
    """
    given = os.environ.get(THREADS_VARIABLE)
    if given is None:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if not re.fullmatch("[1-9][0-9]{0,3}", given):
        raise UsageError("invalid_argument", f"{THREADS_VARIABLE}: expected 1 to 9999, found {given!r:.80}")
    return int(given)


def working_pool() -> ThreadPoolExecutor:
    """The pool for what keeps a core busy: decoding, encoding, files in the page cache."""
    return _pool("work", thread_count)


def waiting_pool() -> ThreadPoolExecutor:
    """The pool for what waits for a network, or for a disk."""
    return _pool("wait", lambda: WAITING_THREADS)


def submit(pool: Callable[[], ThreadPoolExecutor], function: Callable[[], T]) -> Future[T]:
    """Have a pool do something; it is done here and now where no thread can be had.

    So it is once the main thread has ended: pools are not made then, and take nothing; but other threads, and
    what was registered to be done at exit, go on. If this raises, it is not done, or no longer under way.
    """
    from concurrent.futures import wait

    work = _Work(function)
    try:
        pool().submit(work.run)
    except RuntimeError:
        work.run()
    except BaseException:  # Ctrl-C, perhaps after the pool has taken it
        if not work.done.cancel():
            wait([work.done])
        raise
    return work.done


class _Work(Generic[T]):
    """What is done once, whoever begins: a pool that fails to start a thread has taken it all the same.

    Attributes
    ----------
    done
        Its result.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        from concurrent.futures import Future

        self.done: Future[T] = Future()
        self._function = function
        self._unbegun = threading.Lock()

    def run(self) -> None:
        if not (self._unbegun.acquire(blocking=False) and self.done.set_running_or_notify_cancel()):
            return
        try:
            self.done.set_result(self._function())
        except BaseException as error:  # noqa: BLE001 - the caller's, who asks for the result
            self.done.set_exception(error)
            del self  # the error's traceback holds this frame


def _pool(name: str, size: Callable[[], int]) -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor  # slow to import, and needed for large reads only

    with _lock:
        if name not in _pools:
            _pools[name] = ThreadPoolExecutor(size(), thread_name_prefix=f"zarr-shard-{name}")
        return _pools[name]


def _forget_pools() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    # The parent's threads do not exist in a forked child; work given to them there would never be done.
    os.register_at_fork(after_in_child=_forget_pools)
