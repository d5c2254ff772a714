"""Replaced files: their space is freed behind the writer's back, soon, and never many at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.engine import afterwards, pool
from zarr_shard_codec.errors import StoreError
from zarr_shard_codec.stores import files
from zarr_shard_codec.stores.local import LocalStore

DESCRIPTORS = Path("/proc/self/fd")
LARGE = files._LONG_TO_FREE
needs_holding = pytest.mark.skipif(not files._HOLDS, reason="only Linux keeps a file without opening it")


@pytest.fixture
def on_a_disk(monkeypatch):
    """Take the temporary folder's file system for one on a disk, which in memory it is not."""
    monkeypatch.setattr(os, "major", lambda _device: 8)


def held(folder):
    """Files of a folder that are open in this process though they have no name any more."""
    names = []
    for descriptor in DESCRIPTORS.iterdir():
        try:
            names.append(str(descriptor.readlink()))
        except FileNotFoundError:
            continue
    return [name for name in names if name.startswith(str(folder)) and name.endswith(" (deleted)")]


@needs_holding
@pytest.mark.usefixtures("on_a_disk")
def test_the_old_file_is_there_until_what_replace_returned_is_called(tmp_path):
    """The new one has its name at once; the old one's space is freed by that call, and by nothing else."""
    store = LocalStore(tmp_path)
    store.write("a", [bytes(LARGE)])
    free = store.replace("a", [b"new"])
    assert (tmp_path / "a").read_bytes() == b"new"
    assert len(held(tmp_path)) == 1
    free()
    assert held(tmp_path) == []


@needs_holding
@pytest.mark.parametrize(("nbytes", "major"), [(LARGE - 1, 8), (None, 8), (LARGE, 0)])
def test_only_large_files_on_a_disk_are_held(tmp_path, monkeypatch, nbytes, major):
    """Small ones are freed fast, there may be none, and a network file system is not to know of a holder."""
    monkeypatch.setattr(os, "major", lambda _device: major)
    store = LocalStore(tmp_path)
    if nbytes is not None:
        store.write("a", [bytes(nbytes)])
    free = store.replace("a", [b"new"])
    assert held(tmp_path) == []
    free()
    assert (tmp_path / "a").read_bytes() == b"new"


@needs_holding
@pytest.mark.usefixtures("on_a_disk")
def test_a_failed_replacement_holds_nothing(tmp_path, monkeypatch):
    """The old file is as it was, and nobody has it open."""

    def fail(_source, _target):
        raise OSError(5, "no")

    store = LocalStore(tmp_path)
    store.write("a", [bytes(LARGE)])
    before = len(list(DESCRIPTORS.iterdir()))
    monkeypatch.setattr(files, "replace", fail)
    with pytest.raises(StoreError, match="cannot write"):
        store.replace("a", [b"new"])
    assert len(list(DESCRIPTORS.iterdir())) == before
    assert (tmp_path / "a").read_bytes() == bytes(LARGE)


@needs_holding
@pytest.mark.usefixtures("on_a_disk")
def test_a_shard_that_is_changed_again_and_again_leaves_few_files_behind(tmp_path):
    """While it is written, and none once the threads that tidy up are through."""
    array = zsc.create(
        tmp_path / "a.zarr",
        shape=(64, 64, 64),
        dtype="uint32",
        shard_shape=(64, 64, 64),
        inner_chunk_shape=(16, 16, 16),
        codecs=[{"name": "bytes", "configuration": {"endian": "little"}}],
    )
    array[...] = 1
    for value in range(30):
        array[:16, :16, :16] = value
        assert len(held(tmp_path)) <= afterwards.MOST
    for future in list(afterwards._begun):
        future.result()
    assert held(tmp_path) == []
    assert (array[:16, :16, :16] == 29).all()
    assert (array[16:] == 1).all()


def test_many_threads_of_a_pool_wait_for_those_that_tidy_up_and_not_for_themselves():
    """As many writers as the waiting pool has threads, each with something to leave behind: none is stuck."""
    done = []
    together = threading.Barrier(pool.WAITING_THREADS)

    def write(at):
        together.wait(60)
        for _ in range(3):
            afterwards.afterwards(lambda: done.append(at))

    writers = [pool.waiting_pool().submit(write, at) for at in range(pool.WAITING_THREADS)]
    for writer in writers:
        writer.result(60)
    for future in list(afterwards._begun):
        future.result(60)
    assert len(done) == 3 * pool.WAITING_THREADS


def test_what_cannot_be_freed_is_nobodys_error():
    """Closing a file can fail; the next write, which waits for it, has nothing to do with that."""

    def fail():
        raise OSError(5, "no")

    for _ in range(2 * afterwards.MOST):
        afterwards.afterwards(fail)


FORKING = """
import os, sys
import numpy as np
import zarr_shard_codec as zsc
from zarr_shard_codec.engine import afterwards

array = zsc.open(sys.argv[1], mode="r+")
for value in range(8):
    array[:4] = value
    if os.fork() == 0:
        assert not afterwards._begun
        array[4:8] = value
        os._exit(0)
    assert os.wait()[1] == 0
print(int(array[0, 0]), int(array[4, 0]), int(array[8, 0]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_starts_with_nothing_left_to_do(tmp_path):
    """It does not wait for threads that only its parent has, and writes as before."""
    array = zsc.create(
        tmp_path / "a.zarr",
        shape=(1024, 1024),
        dtype="uint32",
        shard_shape=(1024, 1024),
        inner_chunk_shape=(4, 1024),
    )
    array[...] = np.random.default_rng(3).integers(0, 1 << 32, (1024, 1024), "uint32")
    array[8:] = 5
    run = subprocess.run(
        [sys.executable, "-c", FORKING, str(tmp_path / "a.zarr")], check=True, capture_output=True, text=True
    )
    assert run.stdout.split() == ["7", "7", "5"]
