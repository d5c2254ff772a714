"""A full disk, a failing one, writes that the system cuts short: every strategy keeps what was there.

A disk is made full by a limit on the size of files, which needs no privileges; where the tests may mount,
also by a file system that has no room left.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts

import zarr_shard_codec as zsc

BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
CRC = {"name": "crc32c"}
OLD = np.arange(4096, dtype="uint32")
CALLS = ("write", "writev", "pwrite", "pwritev")
STRATEGIES = pytest.mark.parametrize("strategy", ["replace", "append", "in_place"])

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither these calls nor limits")


def _create(path, strategy):
    array = zsc.create(
        path,
        shape=4096,
        dtype="uint32",
        shard_shape=4096,
        inner_chunk_shape=1024,
        codecs=[BYTES, CRC],
        write_strategy=strategy,
    )
    array[:] = OLD
    return array


def _files(path):
    return {found.relative_to(path).as_posix() for found in path.rglob("*") if found.is_file()}


def _require_old(array, path, files):
    """Every reader sees the old values, and there is no file that was not there."""
    assert np.array_equal(array[:], OLD)
    assert np.array_equal(zsc.open(path)[:], OLD)
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
    assert np.array_equal(ts.open(spec, read=True).result().read().result(), OLD)
    assert _files(path) == files
    assert not zsc.verify(path).errors


def _require_error(array, number, start=1024, stop=3072):
    with pytest.raises(zsc.StoreError) as caught:
        array[start:stop] = OLD[start:stop] + 1
    assert (caught.value.reason, caught.value.errno) == ("store_failure", number)
    assert caught.value.key == "c/0"
    assert os.strerror(number) in str(caught.value)


@STRATEGIES
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT], ids=errno.errorcode.get)
@pytest.mark.parametrize("after", [0, 1, 1000])
def test_an_error_while_writing_loses_nothing(tmp_path, monkeypatch, strategy, number, after):
    """The disk takes some bytes, or none, and then fails: the error is the system's, the data are the old.

    `in_place` writes over what is there: inner chunks that the failed write touched may be torn, and are then
    refused by their checksum; no other is.
    """
    path = tmp_path / "a"
    array = _create(path, strategy)
    files = _files(path)
    real = {name: getattr(os, name) for name in CALLS}
    taken = 0

    def failing(name):
        def call(descriptor, data, *offset):
            nonlocal taken
            if taken >= after:
                raise OSError(number, os.strerror(number))
            joined = b"".join(data) if name.endswith("v") else bytes(data)
            done = real["pwrite" if offset else "write"](descriptor, joined[: after - taken], *offset)
            taken += done
            return done

        return call

    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, failing(name))
        _require_error(array, number)
    if strategy != "in_place" or not after:
        _require_old(array, path, files)
        return
    assert np.array_equal(array[:1024], OLD[:1024])
    assert np.array_equal(array[3072:], OLD[3072:])
    with pytest.raises(zsc.CorruptShardError) as caught:  # the disk failed within the first of the two
        array[1024:2048]
    assert caught.value.reason == "inner_chunk_checksum_mismatch"
    assert np.array_equal(array[2048:3072], OLD[2048:3072])
    array[1024:3072] = OLD[1024:3072]
    _require_old(array, path, files)


@STRATEGIES
def test_short_writes_are_continued(tmp_path, monkeypatch, strategy):
    """A system that takes a third of what it is given still gets all of it, each part at its place."""
    array = _create(tmp_path / "a", strategy)
    real = {name: getattr(os, name) for name in CALLS}
    calls = 0

    def short(name):
        def call(descriptor, data, *offset):
            nonlocal calls
            calls += 1
            joined = b"".join(data) if name.endswith("v") else bytes(data)
            return real["pwrite" if offset else "write"](descriptor, joined[: 1 + len(joined) // 3], *offset)

        return call

    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, short(name))
        array[500:3500] = OLD[500:3500] * 7
    assert calls > 5
    assert np.array_equal(array[:], np.concatenate([OLD[:500], OLD[500:3500] * 7, OLD[3500:]]))


@contextmanager
def _largest_file(nbytes):
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize(("strategy", "room"), [("replace", 9000), ("append", 100)])
def test_a_file_that_may_not_grow_keeps_what_it_was(tmp_path, strategy, room):
    """The system itself takes a part of a write and refuses the rest: the old shard is as it was."""
    path = tmp_path / "a"
    array = _create(path, strategy)
    files, nbytes = _files(path), (path / "c" / "0").stat().st_size
    limit = room if strategy == "replace" else nbytes + room
    with _largest_file(limit):
        _require_error(array, errno.EFBIG)
    _require_old(array, path, files)
    assert (path / "c" / "0").stat().st_size == nbytes


@contextmanager
def _small_file_system(folder):
    """A file system of 64 KiB; None where nobody may make one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
    mounted = False
    with suppress(FileNotFoundError):
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("strategy", ["replace", "append"])
def test_a_full_file_system_keeps_what_it_has(tmp_path, strategy):
    """Writes go on until nothing fits any more: that one fails with ENOSPC, and what was before it stays.

    Where the tests may not mount a file system, a limit on files stands for it, as in the test above.
    """
    with _small_file_system(tmp_path / "small") as folder:
        if folder is None:
            path = tmp_path / "a"
            array = _create(path, strategy)
            files = _files(path)
            with _largest_file(9000):
                _require_error(array, errno.EFBIG, stop=4096)
            _require_old(array, path, files)
            return
        array = _create(folder / "a", strategy)
        files = _files(folder / "a")
        filler = Path(folder, "filler")
        free = os.statvfs(folder)
        filler.write_bytes(bytes(free.f_bavail * free.f_frsize - 4096))
        _require_error(array, errno.ENOSPC, start=0, stop=4000)
        _require_old(array, folder / "a", files)
        filler.unlink()
        array[:4000] = OLD[:4000] + 1
        assert np.array_equal(array[:4000], OLD[:4000] + 1)
