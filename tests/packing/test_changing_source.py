"""Sources that somebody writes to: what comes out is of one state of each shard, or the work stops."""

from functools import partial

import numpy as np
import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.errors import PackingError
from zarr_shard_codec.packing import files as local_files
from zarr_shard_codec.packing import pack, unpack
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import MemoryStore
from zarr_shard_codec.stores.object_store import ObjectStore

BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
VALUES = np.arange(64, dtype="u2")


def create(store, **options):
    """One shard of four inner chunks."""
    array = zsc.create(
        store, shape=(64,), dtype="u2", shard_shape=(64,), inner_chunk_shape=(16,), codecs=[BYTES], **options
    )
    array[...] = VALUES
    return array


class Plain:
    """A store that reads by key alone: of one call to the next, anything may have happened."""

    def __init__(self, store):
        self._store = store
        self.coalescing = store.coalescing
        for name in ("read", "write", "create", "delete", "list", "list_folders"):
            setattr(self, name, getattr(store, name))


def _obstore():
    from obstore.store import MemoryStore as Memory

    return ObjectStore(Memory())


@pytest.mark.parametrize("kind", ["local", "memory", "obstore", "plain"])
def test_a_shard_that_is_compacted_meanwhile(tmp_path, monkeypatch, kind):
    """Its index is read, it is replaced by one in another order, its inner chunks are read."""
    made = {"local": lambda: LocalStore(tmp_path / "source"), "obstore": _obstore}.get(kind, MemoryStore)()
    array = create(made)
    ranges_of = zsc.packing.transfer.Transfer.ranges_of
    left = [1]

    def late(self, *arguments):
        if left:
            left.clear()
            assert array.compact("reverse").rewritten == 1
        return ranges_of(self, *arguments)

    monkeypatch.setattr(zsc.packing.transfer.Transfer, "ranges_of", late)
    target = MemoryStore()
    if kind == "obstore":  # of what is replaced nothing is left there
        with pytest.raises(PackingError) as caught:
            unpack(made, target)
        assert caught.value.reason == "source_changed"
    unpack(Plain(made) if kind == "plain" else made, target)
    assert not left
    assert zsc.open(target)[...].tolist() == VALUES.tolist()


def test_a_file_that_is_replaced_meanwhile(tmp_path, monkeypatch):
    """The old one is still open: all of it is of that state."""
    array = create(tmp_path / "source")
    append = local_files.append_range

    def late(*arguments):
        if not done:
            done.append(array.compact("reverse").rewritten)
        return append(*arguments)

    done: list[int] = []
    monkeypatch.setattr(local_files, "append_range", late)
    unpack(tmp_path / "source", tmp_path / "target")
    assert done == [1]
    assert zsc.open(tmp_path / "target")[...].tolist() == VALUES.tolist()


@pytest.mark.parametrize("verb", ["pack", "unpack"])
def test_a_file_that_is_overwritten_meanwhile(tmp_path, monkeypatch, verb):
    """Its size stays, its time does not."""
    array = create(tmp_path / "source", write_strategy="in_place")
    if verb == "pack":
        unpack(tmp_path / "source", tmp_path / "chunks")
    append, done = local_files.append_range, []

    def late(*arguments):
        if not done:
            done.append(1)
            if verb == "pack":
                with (tmp_path / "chunks/c/0").open("r+b") as file:
                    file.write(b"\1" * 32)
            else:
                array[:16] = VALUES[:16] + 1
        return append(*arguments)

    monkeypatch.setattr(local_files, "append_range", late)
    move = partial(pack, tmp_path / "chunks", shard_shape=(64,))
    if verb == "unpack":
        move = partial(unpack, tmp_path / "source")
    with pytest.raises(PackingError, match="overwritten") as caught:
        move(tmp_path / "target")
    assert caught.value.reason == "source_changed"
