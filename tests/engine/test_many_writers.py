"""Many writers of one shard, in processes of their own: no update is lost."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.core.ranges import WHOLE
from zarr_shard_codec.engine import writing
from zarr_shard_codec.stores.memory import MemoryStore
from zarr_shard_codec.stores.resolve import resolve

SCRIPT = Path(__file__).parents[1] / "crash" / "many_writers.py"
BYTES = {"name": "bytes", "configuration": {"endian": "little"}}


def _create(where, **options):
    layout = {"shape": (64, 64), "dtype": "u2", "shard_shape": (32, 32), "inner_chunk_shape": (8, 8)}
    return zsc.create(where, **(layout | options))


def _run(*arguments):
    """A short form of what spec/reliability.md has figures of; what it printed."""
    done = subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False, timeout=600
    )
    return done.returncode, done.stdout or done.stderr


@pytest.mark.parametrize("strategy", ["replace", "append", "in_place"])
def test_processes_that_write_one_shard_lose_nothing(strategy):
    """On local files, with every strategy: each update is there."""
    code, said = _run("--strategy", strategy, "--count", "4", "--updates", "60")
    assert (code, "240 updates, 0 lost, 0 begun anew, 0 errors" in said) == (0, True), said


def test_processes_that_write_one_object_of_s3_lose_nothing():
    """Without any lock: a conditional put that fails is tried again with what the others wrote."""
    code, said = _run("--on", "s3", "--count", "4", "--updates", "12")
    assert (code, "48 updates, 0 lost" in said) == (0, True), said
    assert " 0 begun anew" not in said, "nobody was in anybody's way"


def test_processes_without_locks_lose_updates():
    """What the tests above would find: of writers who were told not to take turns, some undo others' work."""
    code, said = _run("--no-lock", "--count", "4", "--updates", "100")
    assert (code, " 0 lost" in said) == (1, False), said


class _Contended(MemoryStore):
    """Memory in which somebody else sets the first element after each read of a shard, `limit` times."""

    limit = 0

    def open_object(self, key):
        opened = super().open_object(key)
        if self.limit > 0 and key.startswith("c/") and threading.current_thread().name != "other":
            self.limit -= 1
            other = threading.Thread(target=self._write_too, name="other")
            other.start()
            other.join()
        return opened

    def _write_too(self):
        whole = bytearray(self.read("c/0/0", [WHOLE])[0])
        whole[0] += 1
        self.write("c/0/0", [bytes(whole)])


@pytest.fixture
def no_pauses(monkeypatch):
    """Nobody waits."""
    monkeypatch.setattr(writing, "_SHORTEST_PAUSE", 0.0)


@pytest.mark.usefixtures("no_pauses")
def test_a_write_that_was_overtaken_is_done_again_with_what_is_there_now():
    """The others' bytes are in the result, and so are ours."""
    store = _Contended()
    array = _create(store, codecs=[BYTES])
    array[:8, :8] = 1
    store.limit = 5
    array[0, 1] = 7
    assert (array[0, 0], array[0, 1], array[0, 2]) == (6, 7, 1)


@pytest.mark.usefixtures("no_pauses")
def test_a_write_that_is_overtaken_for_ever_says_that_nothing_is_written():
    """After many attempts it gives up, typed, and the object holds nothing of it."""
    store = _Contended()
    array = _create(store, codecs=[BYTES])
    array[:8, :8] = 1
    store.limit = 200
    with pytest.raises(zsc.StoreError, match="nothing of it was written") as caught:
        array[0, 1] = 7
    assert (caught.value.reason, caught.value.key) == ("object_changed", "c/0/0")
    store.limit = 0
    assert array[0, 1] == 1


@pytest.mark.usefixtures("no_pauses")
def test_a_whole_shard_is_written_without_a_condition():
    """Nothing of the old one is kept, so nobody can be overtaken: the last writer wins."""
    store = _Contended()
    array = _create(store, codecs=[BYTES])
    array[...] = 1
    store.limit = 10
    array[:32, :32] = 2
    assert store.limit == 10


def test_an_update_does_not_bring_back_what_a_whole_write_replaced():
    """A part read before somebody wrote the whole shard is read anew before it is written."""
    store = MemoryStore()
    array, other = _create(store, codecs=[BYTES]), zsc.open(store, "r+", lock=None)
    array[...] = 1
    plan = array.chain.plan_write((range(1), range(1)), np.full((1, 1), 9, "u2"), (32, 32))
    update = []

    def overtaken():
        made = yield from plan
        if not update:  # the first time, somebody deletes the shard
            update.append(made)
            store.write("c/0/0", [])
            store.delete("c/0/0")
        return made

    def anew():
        if not update:
            return overtaken()
        return array.chain.plan_write((range(1), range(1)), np.full((1, 1), 9, "u2"), (32, 32))

    writing.write_objects(store, [writing.WriteTask("c/0/0", anew, 2)], lock="auto")
    assert other[0, 0] == 9
    assert (other[1:32, :32] == 0).all()


def test_a_shard_on_s3_that_becomes_empty_in_part_writes_is_replaced_by_an_empty_one(
    s3_environment, tmp_path, monkeypatch
):
    """Object stores delete without a condition only; an index of empty entries reads as fill value."""
    del s3_environment
    where = f"s3://arrays/{tmp_path.name}"
    array = _create(where)
    array[0, 0] = 1
    array[0, 0] = 0
    assert (array[...] == 0).all()
    store = resolve(where)
    assert [info.nbytes for info in store.list("c")] == [array.codec.index_nbytes]
    array[40, 40] = 0  # there is nothing, and nothing is made
    assert len(list(store.list("c"))) == 1
    array[0, 0] = 1
    with monkeypatch.context() as patched:
        patched.setattr(type(store), "write_if", None)
        patched.setattr(type(store), "write", None)
        array[8:16, :8] = 0  # there is something else, and it stays as it is
    assert array[0, 0] == 1
    array[:32, :32] = 0  # all of it: then it is deleted
    assert not list(store.list("c"))


def test_a_chunk_of_no_shard_that_becomes_empty_keeps_its_bytes_on_s3(s3_environment, tmp_path):
    """A plain chunk is written as fill value."""
    del s3_environment
    import zarr

    where = f"s3://arrays/{tmp_path.name}"
    zarr.create_array(str(tmp_path), shape=(6,), chunks=(3,), dtype="i4", fill_value=5)
    resolve(where).write("zarr.json", [(tmp_path / "zarr.json").read_bytes()])
    array = zsc.open(where, "r+")
    array[0] = 1
    array[0] = 5
    assert (array[...] == 5).all()
    assert [info.key for info in resolve(where).list("c")] == ["c/0"]
