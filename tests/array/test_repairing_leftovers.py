"""What `repair` does with the files of writers that were killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import zarr_shard_codec as zsc

ROOT = Path(zsc.__file__).parent.parent

WRITER = """
import sys, time
from zarr_shard_codec.stores.local import LocalStore
with LocalStore(sys.argv[1]).atomic_writer("c/0"):
    print("writing", flush=True)
    time.sleep(60)
"""


def _names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_unfinished_files_are_removed_once_their_writer_is_dead(tmp_path):
    """Not while it writes, however long that takes; at once when it was killed."""
    array = zsc.create(tmp_path, shape=(16,), dtype="int32", shard_shape=(8,), inner_chunk_shape=(2,))
    array[...] = 1
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert writer.stdout.readline() == b"writing\n"
        (name,) = (name for name in _names(tmp_path / "c") if name.startswith(".zsc"))
        os.utime(tmp_path / "c" / name, (0, 0))
        report = zsc.repair(tmp_path, apply=True)
        assert (report.repairs, [found.reason for found in report.findings]) == ((), ["leftover_temporary"])
        assert (tmp_path / "c" / name).exists()
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()
    assert [repair.action for repair in zsc.repair(tmp_path).repairs] == ["remove_temporary"]
    assert (tmp_path / "c" / name).exists()
    zsc.repair(tmp_path, apply=True)
    assert _names(tmp_path / "c") == ["0", "1"]
