"""What is handed to a pool is done once, or not at all: whatever fails, nothing is done later."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from zarr_shard_codec.engine.pool import submit
from zarr_shard_codec.engine.run import ahead


class FailingPool:
    """Takes what it is given, as executors do, and then fails: after it was begun, if an event shows that."""

    def __init__(self, error, *, begun=None):
        self.taken = []
        self._error = error
        self._begun = begun

    def submit(self, function):
        """Take it, and raise."""
        self.taken.append(function)
        if self._begun is not None:
            threading.Thread(target=function).start()
            self._begun.wait(10)
        raise self._error


def test_what_a_pool_without_threads_took_is_done_once():
    """It is done where it was handed in, and not again once the pool gets its thread."""
    pool, done = FailingPool(RuntimeError("can't start new thread")), []
    assert submit(lambda: pool, lambda: done.append(1)).result(0) is None
    for function in pool.taken:
        function()
    assert done == [1]


def test_an_error_of_what_is_done_here_is_the_futures():
    """As if a thread of the pool had done it."""
    pool = FailingPool(RuntimeError("can't start new thread"))
    future = submit(lambda: pool, lambda: 1 // 0)
    assert isinstance(future.exception(0), ZeroDivisionError)


def test_what_was_being_handed_in_when_a_call_was_interrupted_is_never_done():
    """Ctrl-C after the pool has taken it, and before anybody has begun it."""
    pool, done = FailingPool(KeyboardInterrupt()), []
    with pytest.raises(KeyboardInterrupt):
        submit(lambda: pool, lambda: done.append(1))
    for function in pool.taken:
        function()
    assert done == []


def test_what_has_begun_when_a_call_is_interrupted_is_waited_for():
    """Ctrl-C after another thread has begun it."""
    going, done = threading.Event(), []

    def slow():
        going.set()
        threading.Event().wait(0.05)
        done.append(1)

    pool = FailingPool(KeyboardInterrupt(), begun=going)
    with pytest.raises(KeyboardInterrupt):
        submit(lambda: pool, slow)
    assert done == [1]


def test_an_interrupted_wait_leaves_nothing_under_way(monkeypatch):
    """Ctrl-C while the first result is awaited: that one, too, is waited for before the error goes on."""
    busy = []

    def slow(at):
        busy.append(at)
        threading.Event().wait(0 if at else 0.2)
        busy.remove(at)

    def interrupted(*_):
        raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as pool:
        results = ahead(slow, range(4), lambda: pool)
        monkeypatch.setattr(Future, "result", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(results)
        assert busy == []
