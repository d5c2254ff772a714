"""The local store: what it does to the folder it is given, and to nothing else."""

import errno
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from zarr_shard_codec.core.ranges import WHOLE, ByteRange, Suffix
from zarr_shard_codec.errors import StoreError
from zarr_shard_codec.stores import files
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.temporary import is_temporary


@pytest.fixture
def store(tmp_path):
    """A store in a folder that does not exist yet, beside which other things may stand."""
    return LocalStore(tmp_path / "root")


def tree(folder):
    """Every file under the folder, by its path there, and its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_making_a_store_touches_nothing(store, tmp_path):
    """No folder is made before the first write, and reading or listing what isn't there makes none."""
    assert store.read("zarr.json", [WHOLE]) is None
    assert list(store.list("")) == []
    assert list(store.list_folders("")) == []
    store.delete("a/b/c")
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_a_path(store, tmp_path):
    """The file of a key lies where the key says, and `path_of` says so too."""
    store.write("c/0/1", [b"abc"])
    assert tree(tmp_path) == {"root/c/0/1": b"abc"}
    assert store.path_of("c/0/1") == str(tmp_path / "root" / "c" / "0" / "1")


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_have_the_permissions_that_the_umask_leaves(store, umask):
    """Written and created files are as open as any other file of this user, not 0600."""
    before = os.umask(umask)
    try:
        store.write("written", [b"1"])
        store.create("created", [b"1"])
    finally:
        os.umask(before)
    for key in ("written", "created"):
        assert Path(store.path_of(key)).stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(store, tmp_path):
    """`atomic_writer` commits when its block ends well; else the folder is as it was."""
    store.write("c/0", [b"old"])
    with pytest.raises(ZeroDivisionError), store.atomic_writer("c/0") as descriptor:  # noqa: PT012
        os.write(descriptor, b"half of the ne")
        assert store.read("c/0", [WHOLE]) == [b"old"]
        _ = 1 / 0
    assert tree(tmp_path) == {"root/c/0": b"old"}
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    with store.atomic_writer("c/0") as descriptor:
        os.write(descriptor, b"new")
        assert os.pread(descriptor, 3, 0) == b"new"
        assert len(tree(tmp_path)) == 2
    assert tree(tmp_path) == {"root/c/0": b"new"}


def test_unfinished_files_are_listed_and_recognised(store):
    """A temporary file is listed under a name by which anyone can tell it; no other key looks so."""
    with store.atomic_writer("a/b"):
        (unfinished,) = [info.key for info in store.list("")]
        assert unfinished.startswith("a/.")
        assert is_temporary(unfinished)
    assert [info.key for info in store.list("")] == ["a/b"]
    for key in ("a/b", ".zarray", "a/.zsc-tmp-", ".zsc-tmp-0123456789abcdefg", ".zsc-tmp-0123456789abcdef/x"):
        assert not is_temporary(key)


@pytest.mark.parametrize("fault", ["replace", "write_parts"])
def test_a_failing_system_call_leaves_nothing(store, tmp_path, monkeypatch, fault):
    """Whatever step of a write fails, the old object stays, no temporary file does, and the errno is kept."""
    store.write("k", [b"old"])

    def fail(*_args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files, fault, fail)
    with pytest.raises(StoreError) as caught:
        store.write("k", [b"new"])
    assert (caught.value.reason, caught.value.errno, caught.value.key) == ("store_failure", errno.EIO, "k")
    assert "Input/output error" in str(caught.value)
    assert tree(tmp_path) == {"root/k": b"old"}


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "Free space"), (errno.EROFS, "for reading only"), (errno.EACCES, "permissions")],
)
def test_a_failure_names_the_whole_path_and_what_to_do(store, tmp_path, monkeypatch, number, words):
    """The system's words alone help nobody who gave a relative path."""

    def fail(*_args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files, "write_parts", fail)
    with pytest.raises(StoreError) as caught:
        store.write("a/b", [b"new"])
    assert f"cannot write {tmp_path / 'root' / 'a' / 'b'}: {os.strerror(number)} [" in str(caught.value)
    assert words in caught.value.hint
    monkeypatch.setattr(files, "open_existing", fail)
    with pytest.raises(StoreError, match=f"cannot read {tmp_path / 'root' / 'k'}: {os.strerror(number)}"):
        store.read("k", [WHOLE])


def test_a_file_in_the_place_of_a_folder_is_said(tmp_path):
    """The root itself, or a folder above the object."""
    (tmp_path / "file").write_bytes(b"!")
    for root in ("file", "file/below"):
        store = LocalStore(tmp_path / root)
        assert str(store) == str(tmp_path / root)
        for operation in (store.write, store.create):
            with pytest.raises(StoreError, match=f"{tmp_path / 'file'} is a file, no folder"):
                operation("k", [b"1"])
    assert (tmp_path / "file").read_bytes() == b"!"


def test_the_errno_survives_a_process_border(store, monkeypatch):
    """A store's error keeps reason, key, words and errno when it is pickled."""

    def fail(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_parts", fail)
    with pytest.raises(StoreError) as caught:
        store.write("k", [b"new"])
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.reason, copy.errno, copy.key) == ("store_failure", errno.ENOSPC, "k")
    assert str(copy) == str(caught.value)


def test_short_writes_are_continued(store, monkeypatch):
    """Where the system takes only a part of what it is given, the rest follows, in order."""
    real_writev, real_write = os.writev, os.write

    def writev(descriptor, buffers):
        joined = b"".join(buffers)
        return real_write(descriptor, joined[: max(1, len(joined) // 3)])

    assert real_writev is os.writev
    monkeypatch.setattr(os, "writev", writev)
    monkeypatch.setattr(os, "write", lambda fd, data: real_write(fd, data[: max(1, len(data) // 2)]))
    parts = [bytes([n % 256]) * (n % 11) for n in range(3000)]
    store.write("k", parts)
    assert bytes(store.read("k", [WHOLE])[0]) == b"".join(parts)


def test_short_reads_are_continued_and_a_cut_file_ends(store, monkeypatch):
    """A read that the system answers in pieces is whole; one of a file cut meanwhile gives what is left."""
    content = os.urandom(300_000)
    store.write("k", [content])
    real_pread, real_preadv = os.pread, os.preadv
    monkeypatch.setattr(os, "pread", lambda fd, n, at: real_pread(fd, n // 2, at))
    monkeypatch.setattr(os, "preadv", lambda fd, buffers, at: real_preadv(fd, [buffers[0][:1000]], at))
    assert bytes(store.read("k", [WHOLE])[0]) == content
    real_fstat = os.fstat

    def fstat_then_cut(descriptor):
        status = real_fstat(descriptor)
        os.truncate(store.path_of("k"), 1234)
        return status

    monkeypatch.setattr(os, "fstat", fstat_then_cut)
    assert [bytes(b) for b in store.read("k", [WHOLE, ByteRange(1000, 5000)])] == [
        content[:1234],
        content[1000:1234],
    ]


def test_a_full_disk_is_said_and_survived(tmp_path):
    """When a file may grow no further, the error carries the system's words; the old object is untouched."""
    script = textwrap.dedent(
        """
        import resource, signal, sys
        from zarr_shard_codec.errors import StoreError
        from zarr_shard_codec.stores.local import LocalStore
        store = LocalStore(sys.argv[1])
        store.write("k", [b"old"])
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        for operation in (store.write, store.create):
            key = "k" if operation == store.write else "new"
            try:
                operation(key, [bytes(60_000), bytes(60_000)])
            except StoreError as error:
                print(error.reason, error.errno, error)
        """
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["store_failure", str(errno.EFBIG)]] * 2
    assert all("File too large" in line for line in lines)
    assert tree(tmp_path) == {"k": b"old"}


def test_names_that_cannot_be_used_are_errors_not_damage(store, tmp_path):
    """An object over a folder, a folder over an object, a name of 300 letters: errors that change nothing."""
    store.write("a/b", [b"1"])
    before = tree(tmp_path)
    for key in ("a", "a/b/c", "a/" + "n" * 300):
        for operation in (store.write, store.create):
            with pytest.raises(StoreError) as caught:
                operation(key, [b"2"])
            assert caught.value.reason == "store_failure"
    store.delete("a")
    store.delete("a/b/c")
    assert store.read("a/b/c", [WHOLE]) is None
    assert tree(tmp_path) == before


def _create(root, number, start, wins):
    start.wait()
    if LocalStore(root).create("deep/er/k", [b"%d" % number] * 5000):
        wins.put(number)


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_of_eight_processes_one_creates(tmp_path, monkeypatch, links):
    """Eight processes create one object at the same moment: one wins, also where there are no hard links."""
    if not links:

        def no_links(*_args):
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", no_links)
    fork = multiprocessing.get_context("fork")
    start, wins = fork.Event(), fork.SimpleQueue()
    workers = [fork.Process(target=_create, args=(tmp_path, n, start, wins)) for n in range(8)]
    for worker in workers:
        worker.start()
    time.sleep(0.05)
    start.set()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 8
    winner = wins.get()
    assert wins.empty()
    assert tree(tmp_path) == {"deep/er/k": b"%d" % winner * 5000}


def test_a_killed_writer_leaves_the_old_object(tmp_path):
    """A writer killed before it commits leaves the old object, and a file that is known for a leftover."""
    store = LocalStore(tmp_path)
    store.write("k", [b"old"])
    script = textwrap.dedent(
        """
        import os, sys, time
        from zarr_shard_codec.stores.local import LocalStore
        with LocalStore(sys.argv[1]).atomic_writer("k") as descriptor:
            os.write(descriptor, b"half")
            print("ready", flush=True)
            time.sleep(60)
        """
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"ready\n"
        writer.send_signal(signal.SIGKILL)
    assert store.read("k", [WHOLE]) == [b"old"]
    left = [info.key for info in store.list("") if info.key != "k"]
    assert [is_temporary(key) for key in left] == [True]


def test_links_out_of_the_root_are_refused(tmp_path):
    """No symbolic link, of a file or a folder, absolute or relative, leads out of the root."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    root = tmp_path / "root"
    (root / "inner").mkdir(parents=True)
    (root / "file").symlink_to(outside / "secret")
    (root / "inner" / "relative").symlink_to("../../outside/secret")
    (root / "folder").symlink_to(outside)
    (root / "twice").symlink_to("folder")
    store = LocalStore(root)
    for key in ("file", "inner/relative", "folder/secret", "folder/new/deep", "twice/secret"):
        with pytest.raises(StoreError) as caught:
            store.read(key, [WHOLE])
        assert caught.value.reason == "invalid_key", key
    for key in ("folder/secret", "folder/new/deep", "twice/secret"):
        for operation in (lambda k: store.write(k, [b"x"]), lambda k: store.create(k, [b"x"]), store.delete):
            with pytest.raises(StoreError) as caught:
                operation(key)
            assert caught.value.reason == "invalid_key", key
    for prefix in ("folder", "twice"):
        with pytest.raises(StoreError) as caught:
            list(store.list(prefix))
        assert caught.value.reason == "invalid_key"
    assert {info.key for info in store.list("")} == {"file", "inner/relative", "folder", "twice"}
    assert list(store.list_folders("")) == ["inner"]
    # A write to a link's own name puts a file in the link's place; what it pointed at is not touched.
    store.write("file", [b"mine"])
    store.delete("folder")
    assert tree(outside) == {"secret": b"secret"}
    assert store.read("file", [WHOLE]) == [b"mine"]


def test_links_within_the_root_are_followed(tmp_path):
    """Links that stay inside work for reads, writes and lists; circles end, and dangling ones are missing."""
    store = LocalStore(tmp_path / "root")
    store.write("data/c/0", [b"zero"])
    root = tmp_path / "root"
    (root / "link").symlink_to("data")
    (root / "one").symlink_to("data/c/0")
    (root / "data" / "up").symlink_to("..")
    (root / "a").mkdir()
    (root / "b").mkdir()
    (root / "a" / "to_b").symlink_to("../b")
    (root / "b" / "to_a").symlink_to("../a")
    (root / "dangling").symlink_to("nowhere")
    (root / "self").symlink_to("self")
    assert store.read("link/c/0", [Suffix(2)]) == [b"ro"]
    assert store.read("one", [WHOLE]) == [b"zero"]
    assert store.read("dangling", [WHOLE]) is None
    with pytest.raises(StoreError, match="symbolic links"):
        store.read("self", [WHOLE])
    store.write("link/c/1", [b"one"])
    assert store.read("data/c/1", [WHOLE]) == [b"one"]
    listed = {info.key: info.nbytes for info in store.list("")}
    assert listed["link/c/0"] == listed["one"] == listed["data/c/0"] == 4
    assert {"data/up", "link/up", "a/to_b/to_a", "b/to_a/to_b", "dangling", "self"} <= set(listed)
    assert set(store.list_folders("")) == {"data", "link", "a", "b"}


def test_what_is_no_file_is_not_waited_for(tmp_path):
    """A named pipe in a data set is an error, at once; a device or socket could not be a shard either."""
    os.mkfifo(tmp_path / "pipe")
    store = LocalStore(tmp_path)
    with pytest.raises(StoreError, match="not a regular file") as caught:
        store.read("pipe", [WHOLE])
    assert caught.value.reason == "store_failure"
    assert [(info.key, info.nbytes) for info in store.list("")] == [("pipe", 0)]


def test_a_vanished_folder_is_made_again(tmp_path):
    """A folder that the store has written to may be removed by others: the next write makes it anew."""
    store = LocalStore(tmp_path)
    store.write("c/0", [b"1"])
    (tmp_path / "c" / "0").unlink()
    (tmp_path / "c").rmdir()
    assert store.read("c/0", [WHOLE]) is None
    store.write("c/0", [b"2"])
    assert store.read("c/0", [WHOLE]) == [b"2"]


def test_a_store_travels_between_processes(tmp_path):
    """A pickled store opens the same folder, wherever the process stands."""
    store = pickle.loads(pickle.dumps(LocalStore(tmp_path)))
    store.write("k", [b"1"])
    assert LocalStore(tmp_path).read("k", [WHOLE]) == [b"1"]


def test_no_descriptor_is_left_open(tmp_path):
    """Reads, writes and their failures close what they opened."""
    store = LocalStore(tmp_path)
    store.write("a/k", [b"1"])
    before = sum(1 for _ in Path("/dev/fd").iterdir())
    for _ in range(50):
        store.read("a/k", [WHOLE, Suffix(1)])
        store.read("a", [WHOLE])
        store.write("a/k", [b"1"])
        store.create("a/k", [b"1"])
        with pytest.raises(StoreError):
            store.write("a", [b"1"])
        list(store.list(""))
    assert sum(1 for _ in Path("/dev/fd").iterdir()) == before


def test_memory_is_taken_for_bytes_that_exist(tmp_path):
    """A request of 2^62 bytes, or a thousand of them, takes no more than the file has."""
    store = LocalStore(tmp_path)
    store.write("k", [b"123"])
    assert store.read("k", [ByteRange(1, 2**62), Suffix(2**62)] * 1000) == [b"23", b"123"] * 1000
