"""Writing into files: what is in them after every failure, and what waits for the disk."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.core.patching import Patch
from zarr_shard_codec.errors import StoreError
from zarr_shard_codec.stores import files
from zarr_shard_codec.stores.local import LocalStore

ROOT = Path(__file__).parents[2]
BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
OLD = b"0123456789"


@pytest.fixture(params=["pwritev", "lseek"])
def store(request, tmp_path, monkeypatch):
    """A folder with one file of ten bytes, with and without the system calls that Linux has."""
    monkeypatch.setattr(files, "_HAS_PREAD", request.param == "pwritev")
    monkeypatch.setattr(files, "_HAS_WRITEV", request.param == "pwritev")
    (tmp_path / "k").write_bytes(OLD)
    return LocalStore(tmp_path)


def _version(store):
    opened = store.open_object("k")
    opened.close()
    return opened.version


def test_parts_land_where_they_are_to(store, tmp_path):
    """Behind the end, in order; or over what is there."""
    assert store.patch("k", Patch(10, [(10, [b"ab", b"", memoryview(b"cde")])]), _version(store))
    assert (tmp_path / "k").read_bytes() == OLD + b"abcde"
    assert store.patch("k", Patch(15, [(0, [b"X"]), (4, [b"Y", b"Z"])]), _version(store))
    assert (tmp_path / "k").read_bytes() == b"X123YZ6789abcde"


def test_another_state_is_left_alone(store, tmp_path):
    """A file that grew, was replaced or is gone is not written into."""
    version = _version(store)
    patch = Patch(10, [(10, [b"new"])])
    (tmp_path / "other").write_bytes(OLD)
    (tmp_path / "other").replace(tmp_path / "k")
    assert not store.patch("k", patch, version)
    version = _version(store)
    (tmp_path / "k").write_bytes(OLD + b"more")
    assert not store.patch("k", patch, version)
    assert (tmp_path / "k").read_bytes() == OLD + b"more"
    (tmp_path / "k").unlink()
    assert not store.patch("k", patch, version)
    assert not (tmp_path / "k").exists()


def test_a_link_within_the_root_is_written_through(store, tmp_path):
    """As it is read; one that leads out of the root is refused, and nothing outside changes."""
    inside = LocalStore(tmp_path / "root")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "file").write_bytes(OLD)
    (tmp_path / "root" / "k").symlink_to("file")
    assert inside.patch("k", Patch(10, [(10, [b"!"])]), _version(inside))
    assert (tmp_path / "root" / "file").read_bytes() == OLD + b"!"
    (tmp_path / "root" / "k").unlink()
    (tmp_path / "root" / "k").symlink_to(tmp_path / "k")
    with pytest.raises(StoreError) as caught:
        inside.patch("k", Patch(10, [(10, [b"!"])]), _version(store))
    assert caught.value.reason == "invalid_key"
    assert (tmp_path / "k").read_bytes() == OLD


def _short_then(monkeypatch, number, n_bytes):
    """Make writes take `n_bytes` bytes in all, a few at a time, and then fail."""
    left = [n_bytes]

    def take(nbytes):
        if not left[0]:
            raise OSError(number, os.strerror(number))
        taken = min(nbytes, 3, left[0])
        left[0] -= taken
        return taken

    real_pwrite, real_write = os.pwrite, os.write

    def pwritev(descriptor, parts, offset):
        data = b"".join(parts)
        return real_pwrite(descriptor, data[: take(len(data))], offset)

    monkeypatch.setattr(os, "pwritev", pwritev)
    monkeypatch.setattr(os, "write", lambda fd, data: real_write(fd, bytes(data)[: take(len(data))]))
    monkeypatch.setattr(
        os, "writev", lambda fd, parts: real_write(fd, b"".join(parts)[: take(sum(map(len, parts)))])
    )


def test_short_writes_are_continued(store, tmp_path, monkeypatch):
    """The system may take a part of what it is given, and says so."""
    version = _version(store)
    with monkeypatch.context() as patch:
        _short_then(patch, errno.EIO, 100)
        assert store.patch("k", Patch(10, [(10, [b"abcdefg", b"h", b"ijklm"])]), version)
    assert (tmp_path / "k").read_bytes() == OLD + b"abcdefghijklm"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("n_bytes", [0, 1, 5])
def test_an_append_that_fails_is_taken_back(store, tmp_path, monkeypatch, number, n_bytes):
    """The file is cut back to what it was, and the error says so."""
    version = _version(store)
    with monkeypatch.context() as patch:
        _short_then(patch, number, n_bytes)
        with pytest.raises(StoreError, match="it was cut back to what it was before") as caught:
            store.patch("k", Patch(10, [(10, [b"abcdefg"])]), version)
    assert (caught.value.reason, caught.value.errno) == ("store_failure", number)
    assert (tmp_path / "k").read_bytes() == OLD


def test_an_append_that_cannot_be_taken_back_says_so(store, monkeypatch):
    """With the size that it has to be cut back to."""
    version = _version(store)

    def fail(*_arguments):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        _short_then(patch, errno.EIO, 2)
        patch.setattr(os, "ftruncate", fail)
        with pytest.raises(StoreError, match="cut back to 10 bytes, and could not be"):
            store.patch("k", Patch(10, [(10, [b"abcdefg"])]), version)


def test_a_write_in_place_that_fails_says_that_it_may_be_half_done(store, monkeypatch):
    """Nothing can be taken back there."""
    version = _version(store)
    with monkeypatch.context() as patch:
        _short_then(patch, errno.EIO, 2)
        with pytest.raises(StoreError, match="may hold a part of what was to be written"):
            store.patch("k", Patch(10, [(0, [b"abcdefg"])]), version)


def test_an_interrupt_takes_an_append_back(store, tmp_path, monkeypatch):
    """Ctrl-C between two system calls leaves the old shard."""
    version = _version(store)
    real = os.pwrite

    def interrupted(*arguments):
        data = b"".join(arguments[1]) if isinstance(arguments[1], list) else bytes(arguments[1])
        real(arguments[0], data[:2], 10)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        for name in ("pwritev", "write", "writev"):
            patch.setattr(os, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.patch("k", Patch(10, [(10, [b"abcdefg"])]), version)
    assert (tmp_path / "k").read_bytes() == OLD


LIMITED = """
import resource, sys
import numpy as np
import zarr_shard_codec as zsc
array = zsc.open(sys.argv[1], "r+", write_strategy=sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    array[:1024] = 7
except zsc.StoreError as error:
    print(error.errno, error.reason, error)
"""


@pytest.mark.parametrize("strategy", ["append", "replace"])
def test_a_file_that_may_not_grow_is_as_it_was(tmp_path, strategy):
    """A limit that the system itself keeps: a part of the write fits, and the shard is the old one."""
    array = zsc.create(
        tmp_path, shape=(4096,), dtype="u2", shard_shape=(4096,), inner_chunk_shape=(1024,), codecs=[BYTES]
    )
    array[...] = np.arange(1, 4097)
    shard = tmp_path / "c" / "0"
    old = shard.read_bytes()
    limit = len(old) + 1000 if strategy == "append" else 3000
    script = [sys.executable, "-c", LIMITED, str(tmp_path), strategy, str(limit)]
    result = subprocess.run(script, capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.startswith(f"{errno.EFBIG} store_failure c/0: cannot write")
    assert shard.read_bytes() == old
    assert sorted(file.name for file in tmp_path.rglob("*") if file.is_file()) == [
        ".zsc-lock",
        "0",
        "zarr.json",
    ]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("replace", ["file", "folder"]),
        ("append", ["file"]),
        ("in_place", ["file"]),
    ],
)
def test_a_durable_write_waits_for_the_disk(tmp_path, monkeypatch, strategy, expected):
    """For the bytes, and for the name where a file gets one; else nothing waits."""
    waits = []
    for name, what in (("wait_for_disk", "file"), ("wait_for_folder", "folder")):
        real = getattr(files, name)
        monkeypatch.setattr(
            files, name, lambda where, real=real, what=what: (waits.append(what), real(where))[1]
        )
    layout = {"shape": (8,), "dtype": "u2", "shard_shape": (8,), "inner_chunk_shape": (2,), "codecs": [BYTES]}
    array = zsc.create(tmp_path / "new" / "array", durable=True, write_strategy=strategy, **layout)
    assert waits == ["folder", "folder", "file", "folder"]
    array[...] = 1
    assert waits[4:] == ["folder", "file", "folder"]
    waits.clear()
    array[2:4] = 2
    assert waits == expected
    waits.clear()
    array[...] = 0
    assert waits == ["folder"]
    waits.clear()
    plain = zsc.open(tmp_path / "new" / "array", "r+", write_strategy=strategy)
    plain[...] = 1
    plain[2:4] = 2
    assert waits == []


def test_a_disk_that_refuses_is_an_error(tmp_path, monkeypatch):
    """A durable write that the disk did not take is not done: the old shard stays."""
    layout = {"shape": (8,), "dtype": "u2", "shard_shape": (8,), "inner_chunk_shape": (2,), "codecs": [BYTES]}

    def fail(*_arguments):
        raise OSError(errno.EIO, "Input/output error")

    for strategy in ("replace", "append"):
        array = zsc.create(tmp_path, durable=True, write_strategy=strategy, exist="replace", **layout)
        array[...] = 1
        with monkeypatch.context() as patch:
            patch.setattr(files, "wait_for_disk", fail)
            with pytest.raises(StoreError) as caught:
                array[0] = 2
        assert caught.value.errno == errno.EIO
        assert (array[...] == 1).all()


@pytest.mark.parametrize("change", ["write", "create", "put_together", "delete"])
def test_a_folder_that_cannot_be_waited_for_does_not_hide_what_is_done(tmp_path, monkeypatch, change):
    """The new state is in place by then, and the error says so."""

    def refuse(_path):
        raise PermissionError(errno.EACCES, "Permission denied")

    store = LocalStore(tmp_path, durable=True)
    if change != "create":
        store.write("k", [OLD])
    monkeypatch.setattr(files, "wait_for_folder", refuse)
    arguments = () if change == "delete" else ([b"new"],)
    with pytest.raises(StoreError, match="cannot wait for the disk") as caught:
        getattr(store, change)("k", *arguments)
    assert f"Permission denied; it is {'deleted' if change == 'delete' else 'written'}" in str(caught.value)
    assert caught.value.errno == errno.EACCES
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([] if change == "delete" else [b"new"])
