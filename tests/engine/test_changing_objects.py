"""Objects that change while they are read: what comes out is one state of them, or an error."""

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import obstore
import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.engine import conversations, run
from zarr_shard_codec.stores import file_locks, files, open_file
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.object_store import ObjectStore

ROOT = Path(__file__).parents[2]
BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
CRC = {"name": "crc32c"}
LAYOUT = {"shape": (8,), "dtype": "u2", "shard_shape": (8,), "inner_chunk_shape": (2,)}
READS = [(slice(0, 1), "part"), (slice(None), "whole"), (slice(0, 8, 3), "several")]


@pytest.fixture(params=["sync", "async"])
def read(request):
    """Both ways of reading."""
    if request.param == "sync":
        return lambda array, selection: array[selection]
    return lambda array, selection: asyncio.run(array.read(selection))


@pytest.fixture
def naps(monkeypatch):
    """Pauses between two attempts: each is written down, and a function of the test's is called instead."""
    taken, during = [], [lambda: None]

    def nap(seconds):
        taken.append(seconds)
        during[0]()

    class Clock:
        sleep = staticmethod(nap)

    monkeypatch.setattr(conversations, "time", Clock)
    monkeypatch.setattr(run, "time", Clock)
    return taken, during


class Changing(ObjectStore):
    """A remote store in which the shard is another one after each request, `limit` times."""

    limit = 0

    def _change(self):
        if self.limit > 0:
            self.limit -= 1
            values = np.full(8, 100 + self.limit, "u2")
            # Other sizes of inner chunks, so that no index fits another state's chunks.
            values[: 1 + self.limit % 5] = np.arange(1 + self.limit % 5) * 300
            other = zsc.create(self._store, lock=None, exist="match", **LAYOUT)
            other[...] = values

    def ask(self, key, requests):
        answers = super().ask(key, requests)
        if key == "c/0":
            self._change()
        return answers

    async def ask_async(self, key, requests):
        answers = await super().ask_async(key, requests)
        if key == "c/0":
            await asyncio.to_thread(self._change)
        return answers


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_remote_object_that_is_replaced_between_two_turns_is_read_anew(read, naps, limit):
    """Index and inner chunks come from one state: the one that was there last."""
    inner = obstore.store.MemoryStore()
    zsc.create(inner, **LAYOUT)[...] = np.arange(1, 9)
    store = Changing(inner)
    array = zsc.open(store)
    store.limit = limit
    found = read(array, slice(0, 8, 3))
    assert found.tolist() == zsc.open(inner)[::3].tolist()
    del naps


def test_a_remote_object_that_never_stands_still_is_an_error(read, naps):
    """After some attempts; never a mixture."""
    inner = obstore.store.MemoryStore()
    zsc.create(inner, **LAYOUT)[...] = np.arange(1, 9)
    store = Changing(inner)
    array = zsc.open(store)
    store.limit = 10**4
    with pytest.raises(zsc.ZarrShardError) as caught:
        read(array, slice(0, 8, 3))
    assert (caught.value.reason, caught.value.key) == ("object_changed", "c/0")
    del naps


def _array(tmp_path, codecs=(BYTES, CRC), **options):
    array = zsc.create(tmp_path, codecs=list(codecs), **(LAYOUT | options))
    array[...] = np.arange(1, 9)
    return array


@pytest.fixture
def young(monkeypatch):
    """Files count as just changed, however slow the machine is."""
    monkeypatch.setattr(open_file, "_SETTLED_NS", 3600 * 10**9)


@pytest.mark.usefixtures("young")
@pytest.mark.parametrize(("selection", "_kind"), READS)
@pytest.mark.parametrize("n_missing", [1, 30, 70])
def test_a_reader_in_the_middle_of_an_append_waits_for_its_end(tmp_path, naps, selection, _kind, n_missing):
    """A file that ends within an appended index is looked at again."""
    array = _array(tmp_path, write_strategy="append")
    array[0] = 500
    path = tmp_path / "c" / "0"
    whole = path.read_bytes()
    path.write_bytes(whole[:-n_missing])
    taken, during = naps

    def go_on():
        if len(taken) == 3:
            with path.open("ab") as file:
                file.write(whole[-n_missing:])

    during[0] = go_on
    assert array[selection].tolist() == np.array([500, 2, 3, 4, 5, 6, 7, 8])[selection].tolist()
    assert len(taken) == 3


@pytest.mark.usefixtures("young")
@pytest.mark.parametrize(("selection", "_kind"), READS)
def test_a_reader_in_the_middle_of_a_write_in_place_waits_for_its_end(tmp_path, naps, selection, _kind):
    """An inner chunk whose checksum does not hold is read again, if the file changed a moment ago."""
    array = _array(tmp_path, write_strategy="in_place")
    path = tmp_path / "c" / "0"
    whole = path.read_bytes()
    path.write_bytes(b"\x63" + whole[1:])
    taken, during = naps
    during[0] = lambda: path.write_bytes(whole)
    assert array[selection].tolist() == np.arange(1, 9)[selection].tolist()
    assert len(taken) >= 1


def test_damage_that_stays_is_an_error_after_a_while(tmp_path, naps):
    """Of index or inner chunk: the pauses end."""
    array = _array(tmp_path)
    path = tmp_path / "c" / "0"
    whole = path.read_bytes()
    for broken, reason in (
        (b"\x63" + whole[1:], "inner_chunk_checksum_mismatch"),
        (whole[:-1] + b"\x63", "index_checksum_mismatch"),
    ):
        path.write_bytes(broken)
        with pytest.raises(zsc.CorruptShardError) as caught:
            array[0]
        assert (caught.value.reason, caught.value.key) == (reason, "c/0")
    assert 2 * len(conversations._PAUSES) <= len(naps[0]) <= 4 * len(conversations._PAUSES)
    assert sum(conversations._PAUSES) < 0.1


def test_damage_of_a_file_at_rest_is_an_error_at_once(tmp_path, naps, monkeypatch):
    """Nobody waits for a file that has not changed since it was read, or for a while before."""
    monkeypatch.setattr(open_file, "_SETTLED_NS", 0)
    monkeypatch.setattr(open_file, "_SETTLED_COARSE_NS", 0)
    array = _array(tmp_path)
    path = tmp_path / "c" / "0"
    whole = path.read_bytes()
    for broken in (b"\x63" + whole[1:], whole[:-1] + b"\x63"):
        path.write_bytes(broken)
        time.sleep(0.02)
        for selection, _ in READS:
            with pytest.raises(zsc.CorruptShardError):
                array[selection]
    assert naps[0] == []


def test_a_file_that_was_replaced_since_is_read_again_wherever_its_damage_was(tmp_path, naps, monkeypatch):
    """The state that was read is old news: what counts is what is there now."""
    monkeypatch.setattr(open_file, "_SETTLED_NS", 0)
    monkeypatch.setattr(open_file, "_SETTLED_COARSE_NS", 0)
    array = _array(tmp_path)
    path = tmp_path / "c" / "0"
    whole = path.read_bytes()
    path.write_bytes(b"\x63" + whole[1:])
    time.sleep(0.02)
    real = LocalStore.open_object

    def open_then_repair(self, key):
        opened = real(self, key)
        if key == "c/0" and path.read_bytes() != whole:
            (tmp_path / "new").write_bytes(whole)
            (tmp_path / "new").replace(path)
        return opened

    monkeypatch.setattr(LocalStore, "open_object", open_then_repair)
    assert array[0] == 1
    assert len(naps[0]) <= 1


SLOW = """
import sys, time
import zarr_shard_codec as zsc
from zarr_shard_codec.stores import files

def slowly(descriptor, offset, parts, write_at=files.write_at):
    whole = b"".join(parts)
    write_at(descriptor, offset, [whole[:9]])
    print("half", flush=True)
    time.sleep(0.5)
    write_at(descriptor, offset + 9, [whole[9:]])

files.write_at = slowly
zsc.open(sys.argv[1], "r+", path="group/array", write_strategy="append", lock=None)[0] = 500
"""


@pytest.fixture
def settled(monkeypatch):
    """Files count as at rest at once: a long write looks like that."""
    monkeypatch.setattr(open_file, "_SETTLED_NS", 0)
    monkeypatch.setattr(open_file, "_SETTLED_COARSE_NS", 0)


@pytest.mark.skipif(not file_locks._HAS_BYTE_LOCKS, reason="files have no marks here")
@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(("selection", "_kind"), READS)
def test_a_reader_waits_for_the_end_of_a_long_append(tmp_path, selection, _kind):
    """Of another process: its mark on the file says that it is at it, when the file's time no longer does."""
    _array(tmp_path, path="group/array")
    array = zsc.open(tmp_path, path="group/array")
    command = [sys.executable, "-c", SLOW, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
        assert writer.stdout.readline() == "half\n"
        assert array[selection].tolist() == np.array([500, 2, 3, 4, 5, 6, 7, 8])[selection].tolist()
    assert writer.returncode == 0


@pytest.mark.usefixtures("settled")
def test_a_reader_waits_for_the_end_of_a_long_append_by_another_thread(tmp_path, monkeypatch):
    """What this process writes into, it knows, whatever locks there are."""
    array = _array(tmp_path, write_strategy="append", lock=None)
    half, write_at = threading.Event(), files.write_at

    def slowly(descriptor, offset, parts):
        whole = b"".join(parts)
        write_at(descriptor, offset, [whole[:9]])
        half.set()
        time.sleep(0.3)
        write_at(descriptor, offset + 9, [whole[9:]])

    monkeypatch.setattr(files, "write_at", slowly)
    writer = threading.Thread(target=array.__setitem__, args=(0, 500))
    writer.start()
    assert half.wait(30)
    assert zsc.open(tmp_path)[...].tolist() == [500, 2, 3, 4, 5, 6, 7, 8]
    writer.join()


@pytest.mark.usefixtures("settled")
def test_a_writer_that_meets_damage_does_not_wait_for_itself(tmp_path, naps):
    """Its mark is on the file only while it writes."""
    array = _array(tmp_path, write_strategy="append")
    path = tmp_path / "c" / "0"
    path.write_bytes(path.read_bytes()[:-1])
    time.sleep(0.02)
    with pytest.raises(zsc.CorruptShardError):
        array[0] = 500
    assert naps[0] == []


HOLDER = """
import sys
from zarr_shard_codec.stores.local import LocalStore
let_go = LocalStore(sys.argv[1]).lock("", "c/0")
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.mark.usefixtures("settled")
def test_damage_is_an_error_at_once_whoever_holds_the_lock_of_the_shard(tmp_path, naps):
    """Who replaces a shard, repairs it or compacts it does not write into it: its readers do not wait.

    Writers one after the other have its lock nearly all the time, and the wait for them would have no end.
    """
    array = _array(tmp_path)
    path = tmp_path / "c" / "0"
    path.write_bytes(path.read_bytes()[:-1])
    time.sleep(0.02)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], cwd=ROOT, **pipes) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(zsc.CorruptShardError):
            array[0]
        assert naps[0] == []
        holder.communicate("end\n")


@pytest.mark.usefixtures("settled")
def test_who_marks_a_file_and_does_nothing_is_not_waited_for_long(tmp_path, monkeypatch):
    """Then the damage is an error."""
    array = _array(tmp_path)
    path = tmp_path / "c" / "0"
    path.write_bytes(path.read_bytes()[:-1])
    time.sleep(0.02)
    monkeypatch.setattr(conversations, "_PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(LocalStore, "is_in_change", lambda _self, _key: True)
    with pytest.raises(zsc.CorruptShardError):
        array[0]


WRITER = """
import sys
import zarr_shard_codec as zsc
array = zsc.open(sys.argv[1], "r+", write_strategy=sys.argv[2])
print("ready", flush=True)
for turn in range(2, 152):
    array[256 * (turn % 4) : 256 * (turn % 4) + 256] = turn
print("done", flush=True)
"""


@pytest.mark.parametrize("strategy", ["append", "replace", "in_place"])
def test_readers_beside_a_writer_see_old_or_new_chunks(tmp_path, strategy):
    """Each inner chunk is of one write, and no write is unseen again; whatever moment a reader comes in."""
    layout = {"shape": (1024,), "dtype": "u2", "shard_shape": (1024,), "inner_chunk_shape": (256,)}
    zsc.create(tmp_path, codecs=[BYTES, CRC], **layout)[...] = 1
    array = zsc.open(tmp_path)
    command = [sys.executable, "-c", WRITER, str(tmp_path), strategy]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert writer.stdout.readline() == "ready\n"
    latest = np.zeros(4, int)
    n_reads = 0
    while n_reads == 0 or writer.poll() is None:
        found = array[...].reshape(4, 256)
        assert (found == found[:, :1]).all()
        assert (found[:, 0] >= latest).all()
        latest = found[:, 0].astype(int)
        at = n_reads % 4
        part = array[256 * at + 3 : 256 * at + 9]
        assert (part == part[0]).all()
        assert part[0] >= latest[at]
        n_reads += 1
    assert writer.communicate()[0] == "done\n"
    assert writer.returncode == 0
    assert array[...].reshape(4, 256)[:, 0].tolist() == [148, 149, 150, 151]
