"""Arrays that several create, or open, at the same moment."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from creating import create, refused

import zarr_shard_codec as zsc
from zarr_shard_codec.core.ranges import WHOLE
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import MemoryStore


def test_one_of_sixteen_threads_creates(tmp_path):
    """Sixteen at once with "match" all get the array; with "error" exactly one does. Nobody deletes."""
    deleted = []

    class Watched(LocalStore):
        def delete(self, key):
            deleted.append(key)
            super().delete(key)

    created = []

    class Counting(Watched):
        def create(self, key, parts):
            done = super().create(key, parts)
            created.append(done)
            return done

    store = Counting(tmp_path)

    def attempt(exist, path):
        try:
            array = create(store, exist=exist, path=path)
        except zsc.NodeExistsError:
            return None
        array[0, 0] = 1
        return array

    with ThreadPoolExecutor(16) as threads:
        arrays = list(threads.map(lambda _: attempt("match", "m"), range(16)))
        assert all(array is not None for array in arrays)
        assert created.count(True) == 1
        assert [array is not None for array in threads.map(lambda _: attempt("error", "e"), range(16))].count(
            True
        ) == 1
    assert deleted == []
    assert zsc.open(tmp_path / "m")[0, 0] == 1
    leftovers = [path.name for path in tmp_path.rglob("*") if "tmp" in path.name]
    assert leftovers == []


PROCESS = """
import sys
import zarr_shard_codec as zsc
sys.stdin.read(1)
at = int(sys.argv[2])
array = zsc.create(sys.argv[1], shape=(8, 4), dtype="i2", shard_shape=(1, 4), inner_chunk_shape=(1, 2),
                   exist="match")
array[at] = at + 1
print("ok")
"""


def test_eight_processes_create_and_write(tmp_path):
    """Eight processes create the same array at once, each writes its shard; nothing of it is lost."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(tmp_path / "a"), str(at)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for at in range(8)
    ]
    for process in processes:
        process.stdin.write("x")
        process.stdin.flush()
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "ok\n")
    assert (zsc.open(tmp_path / "a")[:, 0] == np.arange(1, 9)).all()


def test_an_array_that_came_in_between_is_met_as_if_it_had_been_there():
    """If another process is faster by a hair, "match" compares with what it made, and "error" refuses."""

    class Raced(MemoryStore):
        def create(self, key, parts):
            super().create(key, [other])
            return super().create(key, parts)

    other = create(MemoryStore()).metadata.to_bytes()
    assert create(Raced(), exist="match").shape == (8, 8)
    refused("already_exists", Raced())
    refused("node_mismatch", Raced(), exist="match", dtype="int32")


def test_what_came_and_went_in_between_is_an_error():
    """If what stood in the way is gone when it is looked at, the error says so, and takes it for no group."""

    class Raced(MemoryStore):
        def create(self, key, parts):  # noqa: ARG002
            return False

    for exist in ("error", "match", "replace"):
        assert "removed" in str(refused("node_mismatch", Raced(), exist=exist))


def test_chunks_of_an_array_that_came_in_between_are_not_stale():
    """If metadata and chunks appear after the first look, the array is met, not taken for stale chunks."""

    class Raced(MemoryStore):
        def list(self, prefix):
            if self.read("zarr.json", [WHOLE]) is None:
                super().write("zarr.json", [other])
                super().write("c/0/0", [b"new"])
            return super().list(prefix)

    other = create(MemoryStore()).metadata.to_bytes()
    assert create(Raced(), exist="match").shape == (8, 8)
