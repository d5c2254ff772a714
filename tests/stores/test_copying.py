"""Files put together of parts: from memory, and of other files without reading them."""

import os

import pytest

from zarr_shard_codec.core.pieces import Extent
from zarr_shard_codec.core.ranges import ByteRange
from zarr_shard_codec.errors import CorruptShardError
from zarr_shard_codec.stores import copying
from zarr_shard_codec.stores.local import LocalStore

DATA = os.urandom(1 << 18)


@pytest.fixture(params=["in the kernel", "mapped", "by hand", "another file system"])
def store(request, tmp_path, monkeypatch):
    """A folder with one file, with and without the system calls that copy."""
    monkeypatch.setattr(copying.files, "is_on_disk", lambda _: request.param == "mapped")
    monkeypatch.setattr(copying, "_WORTH_A_MAP", 0)
    monkeypatch.setattr(copying, "_MAPPED_NBYTES", 10_000)
    if request.param not in ("in the kernel", "mapped"):
        monkeypatch.setattr(copying, "_HAS_COPY_FILE_RANGE", request.param == "another file system")

        def refuse(*_):
            raise OSError(524, "what NFS has to say")

        monkeypatch.setattr(copying.os, "copy_file_range", refuse, raising=False)
    (tmp_path / "k").write_bytes(DATA)
    return LocalStore(tmp_path)


def _extents(store, *ranges):
    held = store.open_object("k").held()
    return [Extent(held, ByteRange(*lies)) for lies in ranges]


@pytest.mark.parametrize(
    "ranges",
    [
        [(0, 1 << 18)],
        [(3, 70_000), (80_000, 70_001)],
        [(at, 7) for at in range(0, 5000, 11)],
        [(200_000, 10), (0, 1 << 17), (5, 0), (100, 1 << 16), (7, (1 << 16) - 1)],
    ],
    ids=["all", "few large", "many small", "both"],
)
def test_parts_come_in_their_order(store, tmp_path, monkeypatch, ranges):
    """Extents of any size between buffers, of the file itself that is replaced."""
    monkeypatch.setattr(copying, "_PIECE_NBYTES", 1000)
    parts, expected = [b"first"], b"first"
    for extent in _extents(store, *ranges):
        offset, nbytes = extent.lies
        parts += [extent, b"-", memoryview(b"and")]
        expected += DATA[offset : offset + nbytes] + b"-and"
    store.put_together("k", parts)
    assert (tmp_path / "k").read_bytes() == expected


@pytest.mark.parametrize("nbytes", [10, 1 << 17])
def test_a_file_that_was_cut_short_is_an_error(store, tmp_path, nbytes):
    """The object is as it was, nothing else is left, and nothing stays open."""
    parts = [b"first", *_extents(store, ((1 << 18) - nbytes, nbytes))]
    os.truncate(tmp_path / "k", (1 << 18) - 1)
    with pytest.raises(CorruptShardError) as caught:
        store.put_together("k", parts)
    assert (caught.value.reason, caught.value.key) == ("object_changed", "k")
    assert list(tmp_path.iterdir()) == [tmp_path / "k"]
    assert (tmp_path / "k").read_bytes() == DATA[:-1]
    assert parts[1].source.descriptor == -1


def test_extents_are_closed_by_then(store):
    """They are the file that is replaced, and nobody needs them any more; closing them again does nothing."""
    parts = _extents(store, (0, 10), (20, 1 << 17))
    store.put_together("k", parts)
    assert parts[0].source.descriptor == -1
    parts[0].source.close()


@pytest.mark.skipif(copying._POPULATE is None, reason="no such maps here")
@pytest.mark.parametrize("left", [0, 4096, 9999, 12_288, 49_999])
def test_a_file_that_is_cut_short_while_it_is_mapped(tmp_path, monkeypatch, left):
    """What was there is copied, no zeros are taken for it, and nobody is killed."""
    monkeypatch.setattr(copying.files, "is_on_disk", lambda _: True)
    monkeypatch.setattr(copying, "_WORTH_A_MAP", 0)
    (tmp_path / "source").write_bytes(DATA[:50_000])
    write = os.write

    def cut_and_write(descriptor, piece):
        os.truncate(tmp_path / "source", left)
        return write(descriptor, piece)

    monkeypatch.setattr(copying.os, "write", cut_and_write)
    with (tmp_path / "source").open("rb") as source, (tmp_path / "target").open("wb") as target:
        target.write(b"out of step")
        target.flush()
        done = copying.append_range(source.fileno(), target.fileno(), 5, 49_995)
    assert done == max(0, left - 5)
    assert (tmp_path / "target").read_bytes()[11 : 11 + done] == DATA[5 : 5 + done]
