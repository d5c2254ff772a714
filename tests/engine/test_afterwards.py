"""What is left to do after a write: done soon, behind its back, and never much of it at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.engine import afterwards, pool
from zarr_shard_codec.engine.afterwards import MOST


def wait():
    """Until nothing is left to do."""
    for _ in range(MOST):
        assert afterwards._room.acquire(timeout=60)
    for _ in range(MOST):
        afterwards._room.release()


def test_so_much_is_left_and_no_more():
    """However many threads have something to leave: who has more waits."""
    lock, now, most, done = threading.Lock(), [0], [0], []
    go = threading.Event()

    def free():
        go.wait(60)
        time.sleep(0.001)
        with lock:
            now[0] -= 1
            done.append(1)

    def write():
        for _ in range(3):
            room.append(1)
            afterwards.afterwards(free)
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])

    room = []
    writers = [pool.waiting_pool().submit(write) for _ in range(pool.WAITING_THREADS)]
    while len(room) < pool.WAITING_THREADS:
        time.sleep(0.001)
    go.set()
    for writer in writers:  # all threads of a pool wait, and not for themselves
        writer.result(60)
    wait()
    assert len(done) == 3 * pool.WAITING_THREADS
    assert 1 <= most[0] <= MOST + 1


def test_where_no_thread_can_be_had_it_is_done_at_once(monkeypatch):
    """A write that is done does not fail for that."""

    class Refusing:
        def submit(self, *_):
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(afterwards, "tidying_pool", Refusing)
    done = []
    for _ in range(2 * MOST):
        afterwards.afterwards(lambda: done.append(1))
    assert len(done) == 2 * MOST


AT_THE_END = """
import atexit, sys, threading, time
import zarr_shard_codec as zsc

array = zsc.open(sys.argv[1], mode="r+")
array[:4] = 1

def last(value):
    array[:4] = value

def late():
    threading.main_thread().join()
    last(2)

if sys.argv[2] == "thread":
    threading.Thread(target=late).start()
else:
    atexit.register(last, 2)
"""


@pytest.mark.parametrize("when", ["thread", "atexit"])
def test_writes_at_the_end_of_a_process_are_done(tmp_path, when):
    """When no pool takes anything any more: nothing fails, and the value is there."""
    array = _one_shard(tmp_path)
    run = subprocess.run(
        [sys.executable, "-c", AT_THE_END, str(tmp_path / "a.zarr"), when],
        check=True,
        capture_output=True,
        text=True,
    )
    assert run.stderr == ""
    assert (array[:4] == 2).all()


FORKING = """
import os, sys
import zarr_shard_codec as zsc
from zarr_shard_codec.engine import afterwards

array = zsc.open(sys.argv[1], mode="r+")
for value in range(8):
    array[:4] = value
    if os.fork() == 0:
        for again in range(2 * afterwards.MOST):
            array[4:8] = value
        os._exit(0)
    assert os.wait()[1] == 0
print(int(array[0, 0]), int(array[4, 0]), int(array[8, 0]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_does_not_wait_for_its_parents_threads(tmp_path):
    """What they had to do, and room for more, is not the child's."""
    _one_shard(tmp_path)[8:] = 5
    run = subprocess.run(
        [sys.executable, "-c", FORKING, str(tmp_path / "a.zarr")],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.stdout.split() == ["7", "7", "5"]


def _one_shard(folder):
    """An array of one shard of 4 MiB."""
    array = zsc.create(
        folder / "a.zarr",
        shape=(1024, 1024),
        dtype="uint32",
        shard_shape=(1024, 1024),
        inner_chunk_shape=(4, 1024),
    )
    array[...] = np.random.default_rng(3).integers(0, 1 << 32, (1024, 1024), "uint32")
    return array
