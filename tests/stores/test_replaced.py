"""The space of files that are replaced: held over the rename, where that is worth while, and freed once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from zarr_shard_codec.core.pieces import Extent
from zarr_shard_codec.core.ranges import ByteRange
from zarr_shard_codec.errors import StoreError
from zarr_shard_codec.stores import files, replaced
from zarr_shard_codec.stores.local import LocalStore

DESCRIPTORS = Path("/proc/self/fd")
LARGE = replaced._LONG_TO_FREE
pytestmark = pytest.mark.skipif(not replaced._HOLDS, reason="only Linux holds a file without opening it")


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


@pytest.mark.usefixtures("on_a_disk")
def test_the_old_file_is_there_until_it_is_freed(tmp_path):
    """The new one has its name at once; the old one's space is freed by what is returned, once."""
    store = LocalStore(tmp_path)
    store.write("a", [bytes(LARGE)])
    free = store.put_together("a", [b"new"])
    assert (tmp_path / "a").read_bytes() == b"new"
    assert len(held(tmp_path)) == 1
    free()
    assert held(tmp_path) == []
    free()


@pytest.mark.usefixtures("on_a_disk")
def test_it_is_freed_when_nobody_cares(tmp_path):
    """Whoever is interrupted before the call leaves nothing open."""
    store = LocalStore(tmp_path)
    store.write("a", [bytes(LARGE)])
    store.put_together("a", [b"new"])
    assert held(tmp_path) == []


@pytest.mark.parametrize(("nbytes", "major"), [(LARGE - 1, 8), (None, 8), (LARGE, 0)])
def test_only_large_files_on_a_disk_are_held(tmp_path, monkeypatch, nbytes, major):
    """Small ones are freed fast, there may be none, and a network file system is not to know of a holder."""
    monkeypatch.setattr(os, "major", lambda _device: major)
    store = LocalStore(tmp_path)
    if nbytes is not None:
        store.write("a", [bytes(nbytes)])
    assert store.put_together("a", [b"new"]) is None
    assert held(tmp_path) == []
    assert (tmp_path / "a").read_bytes() == b"new"


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
        store.put_together("a", [b"new"])
    assert len(list(DESCRIPTORS.iterdir())) == before
    assert (tmp_path / "a").read_bytes() == bytes(LARGE)


@pytest.mark.parametrize("major", [0, 8])
def test_nobody_can_read_the_old_file_when_it_is_replaced(tmp_path, monkeypatch, major):
    """Windows replaces no open file, and a network file system not at one stroke: extents are closed."""
    monkeypatch.setattr(os, "major", lambda _device: major)
    store = LocalStore(tmp_path)
    store.write("a", [bytes(LARGE)])
    opened = store.open_object("a")
    source = opened.held()
    opened.close()
    open_then = []
    inner = files.replace

    def replace(temporary, target):
        for descriptor in DESCRIPTORS.iterdir():
            if descriptor.exists() and descriptor.readlink() == Path(target):
                flags = (DESCRIPTORS.parent / "fdinfo" / descriptor.name).read_text().split("flags:\t")[1]
                if not int(flags.split()[0], 8) & os.O_PATH:
                    open_then.append(descriptor.name)
        inner(temporary, target)

    monkeypatch.setattr(files, "replace", replace)
    store.put_together("a", [Extent(source, ByteRange(0, 1 << 17)), b"new"])
    assert open_then == []
    assert (tmp_path / "a").read_bytes() == bytes(1 << 17) + b"new"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.usefixtures("on_a_disk")
def test_a_forked_child_keeps_no_space(tmp_path):
    """It would for as long as it lives; its parent's is held as before."""
    store = LocalStore(tmp_path)
    store.write("a", [bytes(LARGE)])
    free = store.put_together("a", [b"new"])
    child = os.fork()
    if child == 0:
        os._exit(len(held(tmp_path)))
    assert os.waitpid(child, 0)[1] == 0
    assert len(held(tmp_path)) == 1
    free()
