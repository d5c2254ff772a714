"""What may be in the target, and how a run that was stopped is continued."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.array.nodes import PACKING_MARKER as MARKER
from zarr_shard_codec.core.ranges import WHOLE
from zarr_shard_codec.errors import NodeExistsError, PackingError
from zarr_shard_codec.packing import pack, unpack
from zarr_shard_codec.stores import copying
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import MemoryStore
from zarr_shard_codec.stores.temporary import is_temporary

SLOW = """
import sys, time
import zarr_shard_codec.packing as packing
from zarr_shard_codec.stores import copying
append = copying._in_kernel
def slowly(*arguments):
    time.sleep(0.002)
    return append(*arguments)
copying._in_kernel = slowly
if sys.argv[1] == "pack":
    packing.pack(sys.argv[2], sys.argv[3], shard_shape=(8, 10, 6))
else:
    packing.unpack(sys.argv[2], sys.argv[3])
"""


class Stop(Exception):  # noqa: N818
    """Raised by a progress function, to stop the work."""


def snapshot(path):
    """Everything below a path: which file is which, and when it was written."""
    return {
        file.relative_to(path).as_posix(): (file.stat().st_ino, file.stat().st_mtime_ns)
        for file in path.rglob("*")
        if file.is_file()
    }


def stop_after(n_chunks):
    """Make a progress function that stops the work."""
    done = 0

    def progress(step):
        nonlocal done
        done += step.n_chunks
        if done >= n_chunks:
            raise Stop

    return progress


def run_and_kill(verb, source, target, enough):
    """Start a run in a process of its own and kill it when `enough(target)`."""
    process = subprocess.Popen([sys.executable, "-c", SLOW, verb, source, target])
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        process.send_signal(signal.SIGSTOP)  # what is enough now must still be so when it dies
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        if enough(target):
            break
        process.send_signal(signal.SIGCONT)
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def objects(target):
    """Files in a target that are neither metadata nor the marker: complete ones, and temporary ones."""
    keys = [info.key for info in LocalStore(target).list("") if info.key not in ("zarr.json", MARKER)]
    return [key for key in keys if not is_temporary(key)], [key for key in keys if is_temporary(key)]


@pytest.mark.parametrize("n_done", [0, 1, 3, 7])
def test_killed_in_the_middle_and_run_again(tmp_path, write, chunk_files, n_done):
    """SIGKILL leaves whole shards and no metadata; the same command then makes the missing ones alone."""
    elements = write(tmp_path / "source")

    def enough(target):
        whole, half = objects(target)
        return len(whole) >= n_done and half

    run_and_kill("pack", tmp_path / "source", tmp_path / "target", enough)
    assert not (tmp_path / "target" / "zarr.json").exists()
    before = snapshot(tmp_path / "target")
    whole, half = objects(tmp_path / "target")
    assert half
    report = pack(tmp_path / "source", tmp_path / "target", shard_shape=(8, 10, 6), check=True)
    after = snapshot(tmp_path / "target")
    assert (report.objects_kept, report.differences) == (len(whole), ())
    assert {key: after[key] for key in whole} == {key: before[key] for key in whole}
    assert objects(tmp_path / "target")[1] == []
    assert MARKER not in after
    assert np.array_equal(zsc.open(tmp_path / "target")[...], elements)
    pack(tmp_path / "source", tmp_path / "at-once", shard_shape=(8, 10, 6))
    assert chunk_files(tmp_path / "target") == chunk_files(tmp_path / "at-once")


def test_unpacking_killed_and_run_again(tmp_path, write, chunk_files):
    """The same for the way back: chunk files that are there are not written again."""
    write(tmp_path / "source", zarr_format=3)
    pack(tmp_path / "source", tmp_path / "packed", shard_size="3KiB")
    run_and_kill(
        "unpack", tmp_path / "packed", tmp_path / "target", lambda target: len(objects(target)[0]) >= 5
    )
    before = snapshot(tmp_path / "target")
    whole, _ = objects(tmp_path / "target")
    report = unpack(tmp_path / "packed", tmp_path / "target", check=True)
    after = snapshot(tmp_path / "target")
    assert (report.objects_kept, report.differences) == (len(whole), ())
    assert {key: after[key] for key in whole} == {key: before[key] for key in whole}
    assert chunk_files(tmp_path / "target") == chunk_files(tmp_path / "source")


class CountingStore(MemoryStore):
    """A memory store that keeps the keys that were written."""

    def __init__(self):
        super().__init__()
        self.written = []

    def write(self, key, parts):
        """Write, and keep the key."""
        self.written.append(key)
        super().write(key, parts)


@pytest.mark.parametrize("verb", ["pack", "unpack"])
def test_a_resumed_run_writes_what_is_missing_once(tmp_path, write, verb):
    """In any store: each object is written in one of the two runs, never in both."""
    elements = write(tmp_path / "source", zarr_format=3)
    pack(tmp_path / "source", tmp_path / "packed", shard_shape=(8, 5, 6))
    work = {
        "pack": lambda **options: pack(tmp_path / "source", target, shard_shape=(8, 5, 6), **options),
        "unpack": lambda **options: unpack(tmp_path / "packed", target, **options),
    }[verb]
    target = CountingStore()

    def stop(_step):
        if len(target.written) > 6:
            raise Stop

    # Told often, so that it stops early.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zarr_shard_codec.packing.report._STEP_CHUNKS", 1)
        with pytest.raises(Stop):
            work(progress=stop)
    first, target.written = target.written, []
    assert target.read("zarr.json", [WHOLE]) is None
    report = work(check=True)
    assert (report.objects_kept, report.differences) == (len(first), ())
    assert len(set(first + target.written)) == len(first) + len(target.written)
    assert np.array_equal(zsc.open(target)[...], elements)


def test_a_finished_target_is_left_alone(tmp_path, write):
    """Run once more, there is nothing to do: not a file is touched, and the report says so."""
    write(tmp_path / "source")
    assert not pack(tmp_path / "source", tmp_path / "target", shard_size=2000).already_complete
    before = snapshot(tmp_path / "target")
    report = pack(tmp_path / "source", tmp_path / "target", shard_size=2000, check=True)
    assert (report.already_complete, report.objects_after, report.differences) == (True, 0, ())
    assert snapshot(tmp_path / "target") == before


def test_other_parameters_touch_nothing(tmp_path, write):
    """A finished array of other shards, and one that is half done: both stay as they are."""
    write(tmp_path / "source")
    pack(tmp_path / "source", tmp_path / "target", shard_size=2000)
    with pytest.raises(Stop):
        pack(tmp_path / "source", tmp_path / "half", shard_size=2000, progress=stop_after(1))
    for name in ("target", "half"):
        before = snapshot(tmp_path / name)
        for options in ({"shard_size": 4000}, {"shard_size": 2000, "index_location": "start"}):
            with pytest.raises(NodeExistsError) as caught:
                pack(tmp_path / "source", tmp_path / name, **options)
            assert caught.value.reason == "target_differs"
            assert str(tmp_path / name) in str(caught.value)
        assert snapshot(tmp_path / name) == before
    assert f"delete all of the target first: {tmp_path / 'half'}" in caught.value.hint


@pytest.mark.parametrize("into_memory", [True, False])
def test_what_a_complete_target_has_lost_is_made_anew(tmp_path, write, into_memory):
    """By a run with a check alone, and only if all that is there is this source's: nothing is overwritten."""
    elements = write(tmp_path / "source")
    target = MemoryStore() if into_memory else LocalStore(tmp_path / "target")
    again = partial(pack, tmp_path / "source", target, shard_shape=(8, 5, 6))
    again()
    keys = [info.key for info in target.list("") if info.key.startswith("c/")]
    whole = {key: bytes(target.read(key, [WHOLE])[0]) for key in keys}
    target.delete(keys[3])
    assert again().already_complete
    assert target.read(keys[3], [WHOLE]) is None
    target.write(keys[5], [whole[keys[5]][:9] + b"!" + whole[keys[5]][10:]])
    assert {found.target_key for found in again(check=True).differences} == {keys[3], keys[5]}
    assert target.read(keys[3], [WHOLE]) is None
    target.delete(keys[5])
    report = again(check=True)
    assert (report.differences, report.objects_after, report.objects_kept) == ((), 2, len(keys) - 2)
    assert {key: bytes(target.read(key, [WHOLE])[0]) for key in keys} == whole
    assert np.array_equal(zsc.open(target)[...], elements)
    assert again(check=True).already_complete


def test_another_source_of_the_same_metadata_is_not_mixed_in(tmp_path, write):
    """Two time points look alike; what was begun with one is not finished with the other."""
    write(tmp_path / "monday")
    shutil.copytree(tmp_path / "monday", tmp_path / "tuesday")
    with pytest.raises(Stop):
        pack(tmp_path / "monday", tmp_path / "target", shard_size=2000, progress=stop_after(1))
    with pytest.raises(NodeExistsError, match="another source"):
        pack(tmp_path / "tuesday", tmp_path / "target", shard_size=2000)


@pytest.mark.parametrize("name", ["zarr.json", ".zgroup", "notes.txt", "c/0/0/0"])
def test_nothing_is_written_where_something_is(tmp_path, write, name):
    """A broken node, a group, any file, chunks without metadata: refused."""
    write(tmp_path / "source")
    (tmp_path / "target" / name).parent.mkdir(parents=True)
    (tmp_path / "target" / name).write_text('{"zarr_format": 2}')
    before = snapshot(tmp_path / "target")
    with pytest.raises(NodeExistsError):
        pack(tmp_path / "source", tmp_path / "target", shard_size=2000)
    assert snapshot(tmp_path / "target") == before


def test_an_empty_folder_is_a_target(tmp_path, write):
    """Made beforehand, for its permissions or as a mount point."""
    elements = write(tmp_path / "source")
    (tmp_path / "target").mkdir()
    pack(tmp_path / "source", tmp_path / "target", shard_size=2000)
    assert np.array_equal(zsc.open(tmp_path / "target")[...], elements)


def test_two_runs_at_once(tmp_path, write):
    """The second is told to wait; it does not remove the first one's unfinished files as leftovers."""
    elements = write(tmp_path / "source")
    command = [sys.executable, "-c", SLOW, "pack", tmp_path / "source", tmp_path / "target"]
    with subprocess.Popen(command) as process:
        while not (tmp_path / "target").exists() or not objects(tmp_path / "target")[1]:
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGSTOP)  # it is not to end meanwhile
        try:
            with pytest.raises(NodeExistsError, match="another run is at work") as caught:
                pack(tmp_path / "source", tmp_path / "target", shard_shape=(8, 10, 6))
        finally:
            process.send_signal(signal.SIGCONT)
        assert caught.value.reason == "target_differs"
        assert process.wait() == 0
    assert np.array_equal(zsc.open(tmp_path / "target")[...], elements)


def test_a_source_that_shrinks_or_grows_meanwhile(tmp_path, write, monkeypatch):
    """The chunk is named, its shard is not written; when the source rests, the same call goes on."""
    write(tmp_path / "source", shape=(16,), chunks=(2,), compressors=None)
    append = copying._in_kernel
    for change in (b"", b"12345"):

        def changing(source, *arguments, change=change):
            if Path(f"/proc/self/fd/{source}").readlink().name == "5":
                (tmp_path / "source" / "5").write_bytes(change)
            return append(source, *arguments)

        (tmp_path / "source" / "5").write_bytes(b"abcd")
        monkeypatch.setattr(copying, "_in_kernel", changing)
        with pytest.raises(PackingError) as caught:
            pack(tmp_path / "source", tmp_path / "target", shard_shape=(8,))
        assert (caught.value.reason, caught.value.key) == ("source_changed", "5")
        assert not (tmp_path / "target" / "c" / "1").exists()
        assert objects(tmp_path / "target")[1] == []
        monkeypatch.undo()
    (tmp_path / "source" / "5").write_bytes(b"abcd")
    assert pack(tmp_path / "source", tmp_path / "target", shard_shape=(8,), check=True).differences == ()


def test_kernels_that_copy_nothing(tmp_path, write, chunk_files, monkeypatch):
    """Between two file systems, on others than Linux, or half-way only: bytes then go by way of memory."""
    write(tmp_path / "source", zarr_format=3)
    pack(tmp_path / "source", tmp_path / "expected", shard_size=2000)

    def refuse(*_arguments):
        raise OSError(18, "Invalid cross-device link")

    copy = os.copy_file_range

    def stutter(source, target, count, offset):
        return copy(source, target, min(count, 7), offset) if offset == 0 else 0

    for name, behaviour in (("refuse", refuse), ("stutter", stutter)):
        monkeypatch.setattr(os, "copy_file_range", behaviour)
        pack(tmp_path / "source", tmp_path / name, shard_size=2000)
        unpack(tmp_path / name, tmp_path / f"{name}-back")
        assert chunk_files(tmp_path / name) == chunk_files(tmp_path / "expected")
        assert chunk_files(tmp_path / f"{name}-back") == chunk_files(tmp_path / "source")


def test_the_marker_says_what_it_is(tmp_path, write):
    """Whoever finds it in a folder learns what to do."""
    write(tmp_path / "source")
    with pytest.raises(Stop):
        pack(tmp_path / "source", tmp_path / "target", shard_size=2000, progress=stop_after(1))
    assert (
        "Run the same command again" in json.loads((tmp_path / "target" / MARKER).read_text())["explanation"]
    )
