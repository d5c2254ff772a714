"""Locks between processes: who waits, who does not, and what becomes of a lock whose holder dies."""

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.engine.locks import Locks
from zarr_shard_codec.errors import StoreError
from zarr_shard_codec.stores import file_locks
from zarr_shard_codec.stores.local import LocalStore

ROOT = Path(__file__).parents[2]
PATIENCE = 30
MOMENT = 0.2

HOLDER = """
import sys
from zarr_shard_codec.stores import file_locks
file_locks._HAS_BYTE_LOCKS = sys.argv[2] == "bytes"
let_go = file_locks.take(sys.argv[1] + "/.zsc-lock", "c/0")
print("held", flush=True)
sys.stdin.readline()
let_go()
print("free", flush=True)
sys.stdin.readline()
"""

FORKING = """
import os, sys, time
from zarr_shard_codec.stores import file_locks
let_go = file_locks.take(sys.argv[1] + "/.zsc-lock", "c/0")
child = os.fork()
if child == 0:
    time.sleep(60)
    os._exit(0)
print(child, flush=True)
sys.stdin.readline()
let_go()
print("free", flush=True)
sys.stdin.readline()
"""

WAITER = """
import sys
from zarr_shard_codec.stores import file_locks
print("waiting", flush=True)
file_locks.take(sys.argv[1] + "/.zsc-lock", "c/0")
"""


def _start(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


class Waiting(threading.Thread):
    """Takes a lock in a thread, and holds it until `let_go`."""

    def __init__(self, folder, name="c/0"):
        super().__init__(daemon=True)
        self._folder, self._name = folder, name
        self.has_it = threading.Event()
        self.start()

    def run(self):
        """Wait for the lock."""
        self.let_go = file_locks.take(str(self._folder / ".zsc-lock"), self._name)
        self.has_it.set()


@pytest.fixture(params=["bytes", "files"])
def kind(request, monkeypatch):
    """Locks of bytes, and those of files that are for systems without."""
    monkeypatch.setattr(file_locks, "_HAS_BYTE_LOCKS", request.param == "bytes")
    return request.param


def test_one_name_has_one_holder(tmp_path, kind):
    """Within a process too; another name is another lock."""
    del kind
    let_go = file_locks.take(str(tmp_path / ".zsc-lock"), "c/0")
    second = Waiting(tmp_path)
    file_locks.take(str(tmp_path / ".zsc-lock"), "c/1")()
    assert not second.has_it.wait(MOMENT)
    let_go()
    assert second.has_it.wait(PATIENCE)
    second.let_go()


def test_another_process_waits(tmp_path, kind):
    """Until the holder lets go of it."""
    holder = _start(HOLDER, tmp_path, kind)
    assert holder.stdout.readline() == "held\n"
    waiting = Waiting(tmp_path)
    assert not waiting.has_it.wait(MOMENT)
    holder.stdin.write("go\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == "free\n"
    assert waiting.has_it.wait(PATIENCE)
    waiting.let_go()
    holder.communicate("end\n")


@pytest.mark.skipif(not file_locks._HAS_BYTE_LOCKS, reason="files have no marks here")
def test_who_has_a_file_open_sees_the_marks_of_others(tmp_path):
    """Of the same process, too; its own is none to itself. A mark goes with the file that it was made by."""
    path = tmp_path / "file"
    path.write_bytes(b"data")
    writer, other = os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)
    reader = os.open(path, os.O_RDONLY)
    assert not file_locks.is_marked(reader)
    file_locks.mark(writer)
    assert file_locks.is_marked(reader)
    assert not file_locks.is_marked(writer)
    file_locks.mark(other)  # in vain: who writes at the same time is not the mark's business
    file_locks.unmark(other)
    assert file_locks.is_marked(reader)
    file_locks.unmark(writer)
    assert not file_locks.is_marked(reader)
    file_locks.mark(writer)
    os.close(writer)
    assert not file_locks.is_marked(reader)
    os.close(other)
    os.close(reader)


def test_files_without_marks_are_not_marked(tmp_path, monkeypatch):
    """Nor is that a failure."""
    monkeypatch.setattr(file_locks, "_HAS_BYTE_LOCKS", False)
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    file_locks.mark(descriptor)
    assert not file_locks.is_marked(descriptor)
    file_locks.unmark(descriptor)
    os.close(descriptor)


def test_a_lock_dies_with_its_holder(tmp_path, kind):
    """SIGKILL frees it at once, and nothing needs to be cleaned up."""
    holder = _start(HOLDER, tmp_path, kind)
    assert holder.stdout.readline() == "held\n"
    waiting = Waiting(tmp_path)
    assert not waiting.has_it.wait(MOMENT)
    holder.kill()
    assert waiting.has_it.wait(PATIENCE)
    waiting.let_go()
    holder.communicate()


@pytest.mark.parametrize("end", ["lets go", "is killed"])
def test_a_forked_child_does_not_keep_the_lock(tmp_path, end):
    """A child that lives on holds nothing, whether its parent lets go of the lock or is killed."""
    holder = _start(FORKING, tmp_path)
    child = int(holder.stdout.readline())
    waiting = Waiting(tmp_path)
    try:
        assert not waiting.has_it.wait(MOMENT)
        if end == "is killed":
            holder.kill()
        else:
            holder.stdin.write("go\n")
            holder.stdin.flush()
        assert waiting.has_it.wait(PATIENCE)
        waiting.let_go()
    finally:
        os.kill(child, signal.SIGKILL)
        holder.kill()
        holder.communicate()


def test_waiting_can_be_interrupted(tmp_path):
    """By KeyboardInterrupt, and the lock is then not held."""
    let_go = file_locks.take(str(tmp_path / ".zsc-lock"), "c/0")
    waiter = _start(WAITER, tmp_path)
    assert waiter.stdout.readline() == "waiting\n"
    while waiter.poll() is None:
        waiter.send_signal(signal.SIGINT)
        try:
            waiter.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    assert "KeyboardInterrupt" in waiter.communicate()[1]
    let_go()
    file_locks.take(str(tmp_path / ".zsc-lock"), "c/0")()


def test_a_lock_of_a_deleted_file_is_none(tmp_path):
    """Who waited for it takes the lock of the file that has its name now."""
    let_go = file_locks.take(str(tmp_path / ".zsc-lock"), "c/0")
    waiting = Waiting(tmp_path)
    assert not waiting.has_it.wait(MOMENT)
    (tmp_path / file_locks.LOCK_FILE).unlink()
    let_go()
    assert waiting.has_it.wait(PATIENCE)
    another = Waiting(tmp_path)
    assert not another.has_it.wait(MOMENT)
    waiting.let_go()
    assert another.has_it.wait(PATIENCE)
    another.let_go()


def test_no_descriptor_is_left_open(tmp_path):
    """Not after a lock was let go of, nor after it could not be had."""
    file_locks.take(str(tmp_path / ".zsc-lock"), "c/0")()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("c/0", "c/1") * 20:
        file_locks.take(str(tmp_path / ".zsc-lock"), name)()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert all(lock._descriptor < 0 for lock in file_locks._held)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch, number):
    """The error says what to do, nothing is written, and nothing is held."""
    array = zsc.create(tmp_path, shape=(8,), dtype="u2", shard_shape=(8,), inner_chunk_shape=(2,))

    def fail(*_arguments):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(file_locks.fcntl, "fcntl", fail)
        for _ in range(2):
            with pytest.raises(StoreError, match="cannot lock") as caught:
                array[3] = 1
            assert (caught.value.reason, caught.value.errno) == ("store_failure", number)
            assert "lock=None" in caught.value.hint
        zsc.open(tmp_path, "r+", lock=None)[3] = 2
    array[4] = 3
    assert array[...].tolist() == [0, 0, 0, 2, 3, 0, 0, 0]


def test_a_lock_that_cannot_be_let_go_of_is_no_failure_of_the_write(tmp_path, monkeypatch):
    """The shard is written, and closing the file lets go of the lock all the same."""
    array = zsc.create(tmp_path, shape=(8,), dtype="u2", shard_shape=(8,), inner_chunk_shape=(2,))
    real = file_locks.fcntl.fcntl

    def fail(descriptor, command, *arguments):
        if command == file_locks.fcntl.F_OFD_SETLK:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(descriptor, command, *arguments)

    monkeypatch.setattr(file_locks.fcntl, "fcntl", fail)
    for value in (1, 2):
        array[3] = value
        assert array[3] == value
    assert all(lock._descriptor < 0 for lock in file_locks._held)


def test_an_array_has_one_lock_file_that_nobody_lists(tmp_path, kind):
    """However many shards it has (one a shard without locks of bytes); it is no object, and no finding."""
    array = zsc.create(
        tmp_path, shape=(64,), dtype="u2", shard_shape=(8,), inner_chunk_shape=(2,), path="group/array"
    )
    for at in range(0, 64, 5):
        array[at] = 1
    files = [file for file in tmp_path.rglob("*") if file_locks.is_lock(file.name)]
    assert {file.parent for file in files} == {tmp_path / "group" / "array"}
    assert len(files) == (1 if kind == "bytes" else 8)
    assert all(file.stat().st_size == 0 for file in files)
    keys = [info.key for info in LocalStore(tmp_path).list("")]
    assert len(keys) == 9
    assert not any(file_locks.is_lock(key) for key in keys)
    assert not zsc.verify(tmp_path).findings
    zsc.create(
        tmp_path,
        shape=(9,),
        dtype="u2",
        shard_shape=(8,),
        inner_chunk_shape=(2,),
        path="group/array",
        exist="replace",
    )


def test_whoever_may_write_into_the_folder_may_lock(tmp_path):
    """The lock file has the folder's permissions, whatever the umask of its maker is."""
    tmp_path.chmod(0o775)
    old = os.umask(0o077)
    try:
        file_locks.take(str(tmp_path / ".zsc-lock"), "c/0")()
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / file_locks.LOCK_FILE).stat().st_mode) == 0o664


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path):
    """A data set cannot make us create or open files elsewhere."""
    (tmp_path / "array").mkdir()
    (tmp_path / "array" / file_locks.LOCK_FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="cannot lock"), Locks(LocalStore(tmp_path), "array", "auto") as held:
        held.take("array/c/0")
    assert not (tmp_path / "elsewhere").exists()


def test_a_mount_without_permissions_can_be_locked(tmp_path, monkeypatch):
    """That the file could not be given the folder's is no reason not to write, and nothing is left open."""

    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)
    tmp_path.chmod(0o777)
    before = len(list(Path("/proc/self/fd").iterdir()))
    file_locks.take(str(tmp_path / ".zsc-lock"), "c/0")()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
