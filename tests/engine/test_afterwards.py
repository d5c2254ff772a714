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
from zarr_shard_codec.engine import afterwards
from zarr_shard_codec.engine.afterwards import MOST


def until(holds):
    """Wait for it, a minute at most."""
    for _ in range(60_000):
        if holds():
            return
        time.sleep(0.001)
    pytest.fail("it never came about")


def test_it_is_done_soon_and_by_another_thread():
    """Whoever leaves it goes on."""
    done = []
    afterwards.afterwards(lambda: done.append(threading.current_thread()))
    until(lambda: done)
    assert done[0] is not threading.current_thread()
    assert done[0].daemon  # a process can end


def test_so_much_is_left_and_no_more(monkeypatch):
    """Who leaves more does what was left first."""
    monkeypatch.setattr(afterwards, "_start", lambda: None)
    until(lambda: not afterwards._running)
    done = []
    for at in range(MOST):
        afterwards.afterwards(lambda at=at: done.append(at))
    assert done == []
    for at in range(MOST, 2 * MOST):
        afterwards.afterwards(lambda at=at: done.append(at))
        assert done == list(range(at - MOST + 1))
    afterwards._left.clear()


def test_threads_that_ended_are_started_again_and_nothing_is_forgotten(monkeypatch):
    """Also where the last look and the next call come at once."""
    monkeypatch.setattr(afterwards, "_LOOKS", 1)
    monkeypatch.setattr(afterwards, "_PAUSE_SECONDS", 0.0001)
    done = []

    def leave():
        for _ in range(200):
            afterwards.afterwards(lambda: done.append(1))
            time.sleep(0.0001)

    writers = [threading.Thread(target=leave) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    until(lambda: len(done) == 8 * 200)
    until(lambda: not afterwards._running)


def test_where_no_thread_can_be_had_it_is_done_at_once(monkeypatch):
    """A write that is done does not fail for that."""

    def refuse(_):
        raise RuntimeError("can't start new thread")

    until(lambda: not afterwards._running)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    done = []
    for at in range(2 * MOST):
        afterwards.afterwards(lambda at=at: done.append(at))
        assert done == list(range(at + 1))


AT_THE_END = """
import atexit, sys, threading, time
import zarr_shard_codec as zsc
from zarr_shard_codec.engine import writing
from zarr_shard_codec.stores import files

files.is_on_disk = lambda _: True
array = zsc.open(sys.argv[1], mode="r+")
array[:4] = 1
left, leave = [], writing.afterwards
writing.afterwards = lambda free: (left.append(free), leave(free))

def last(value):
    array[:4] = value
    assert len(left) == 1

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
from zarr_shard_codec.engine import afterwards, writing
from zarr_shard_codec.stores import files

files.is_on_disk = lambda _: True
array = zsc.open(sys.argv[1], mode="r+")
left, leave = [], writing.afterwards
writing.afterwards = lambda free: (left.append(free), leave(free))
for value in range(8):
    array[:4] = value
    if os.fork() == 0:
        for again in range(2 * afterwards.MOST):
            array[4:8] = value
        os._exit(0)
    assert os.wait()[1] == 0
assert len(left) == 8
print(int(array[0, 0]), int(array[4, 0]), int(array[8, 0]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_does_not_wait_for_its_parents_threads(tmp_path):
    """What they had to do, and room for more, is not the child's."""
    _one_shard(tmp_path)[8:12] = 5
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
