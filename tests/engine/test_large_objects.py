"""Large objects in files: read in parts by those who decode them, from one state, in little memory."""

import asyncio
import errno
import os
import sys
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zarr_shard_codec as zsc
from zarr_shard_codec.core import writing
from zarr_shard_codec.core.pieces import Stored
from zarr_shard_codec.engine import conversations
from zarr_shard_codec.stores import copying, files
from zarr_shard_codec.stores.local import LocalStore

BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": True}}
MIB = 1 << 20
OPEN_FILES = Path("/proc/self/fd")
READS = [
    pytest.param(lambda array, selection: array[selection], id="sync"),
    pytest.param(lambda array, selection: asyncio.run(array.read(selection)), id="async"),
]


def _values(shape):
    return np.random.default_rng(8).integers(0, 1 << 16, shape, "u2")


def _one_shard(path, values, **settings):
    array = zsc.create(path, shape=values.shape, dtype="u2", shard_shape=values.shape, **settings)
    array[...] = values
    return array


@pytest.fixture
def read_sizes(monkeypatch):
    """Sizes in bytes of all reads of files, in the order in which they begin."""
    sizes = []
    inner = files._fill

    def fill(descriptor, buffer, offset):
        sizes.append(len(buffer))
        return inner(descriptor, buffer, offset)

    monkeypatch.setattr(files, "_fill", fill)
    return sizes


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("order", ["lexicographic", "morton"])
@pytest.mark.parametrize("codecs", [[BYTES], [BYTES, ZSTD]])
def test_a_large_shard_is_read_in_parts(tmp_path, read_sizes, read, order, codecs):
    """No read is larger than what is decoded next, whatever the shard's size and the order in it."""
    values = _values((128, 512, 256))
    _one_shard(tmp_path, values, inner_chunk_shape=(32, 32, 32), codecs=codecs, chunk_order=order)
    read_sizes.clear()
    assert np.array_equal(read(zsc.open(tmp_path), ...), values)
    # Noise does not get smaller; a batch of 2 MiB, and what lies in the gaps between its chunks.
    assert max(read_sizes) <= 2 * MIB + len(read_sizes) * (16 << 10)
    assert sum(read_sizes) >= values.nbytes


@given(data=st.data())
def test_parts_make_the_whole(tmp_path_factory, data):
    """Any selection, order and emptiness of chunks, with every object taken for a large one."""
    shape = (12, 10, 14)
    values = _values(shape) + np.uint16(1)
    path = tmp_path_factory.mktemp("parts")
    codecs = [BYTES, *data.draw(st.sampled_from([[], [ZSTD]]))]
    array = _small_shards(data, path, shape, codecs)
    for at in data.draw(st.lists(st.tuples(*(st.integers(0, size - 4) for size in shape)), max_size=3)):
        values[tuple(slice(low, low + 4) for low in at)] = 0
    array[...] = values
    wanted = _selection(data, shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversations, "_LARGE_NBYTES", 0)
        patch.setattr(conversations.memory, "LARGEST_NBYTES", data.draw(st.sampled_from([0, 8 * MIB])))
        patch.setattr(type(array.chain), "batch_nbytes", property(lambda _: 200))
        for where in (wanted, ...):
            assert np.array_equal(array[where], values[where])


@pytest.mark.parametrize("order", ["lexicographic", "morton"])
@pytest.mark.parametrize("codecs", [[BYTES], [BYTES, ZSTD]])
def test_a_part_of_a_large_shard_is_set_without_reading_the_rest(tmp_path, read_sizes, order, codecs):
    """The index, and the chunks that change in part: the others go from file to file, unread."""
    values = _values((128, 256, 256))
    array = _one_shard(tmp_path, values, inner_chunk_shape=(32, 32, 32), codecs=codecs, chunk_order=order)
    read_sizes.clear()
    array[32:64, 64:96, 96:128] = values[32:64, 64:96, 96:128] = 7
    array[40:70, 70:75, 100] = values[40:70, 70:75, 100] = 8
    assert sum(read_sizes) < MIB
    assert np.array_equal(zsc.open(tmp_path)[...], values)


def test_what_lies_in_another_order_is_read_at_once(tmp_path, read_sizes):
    """Chunks that would go to their places one by one are read together; and are in order the next time."""
    values = _values((128, 128, 128))
    settings = {"inner_chunk_shape": (8, 8, 8), "codecs": [BYTES]}
    _one_shard(tmp_path, values, **settings, chunk_order="morton")
    array = zsc.open(tmp_path, "r+")
    for n_reads in (1, 0):
        read_sizes.clear()
        array[:8, :8, :8] = values[:8, :8, :8] = n_reads
        assert sum(nbytes > MIB for nbytes in read_sizes) == n_reads
        assert len(read_sizes) < 4
    assert np.array_equal(zsc.open(tmp_path)[...], values)


def _small_shards(data, path, shape, codecs):
    return zsc.create(
        path,
        shape=shape,
        dtype="u2",
        shard_shape=(8, 8, 8),
        inner_chunk_shape=(4, 2, 4),
        codecs=codecs,
        chunk_order=data.draw(st.sampled_from(["lexicographic", "morton"])),
        index_location=data.draw(st.sampled_from(["start", "end"])),
    )


def _selection(data, shape):
    return tuple(
        slice(*sorted(data.draw(st.tuples(*[st.integers(0, size)] * 2))), data.draw(st.integers(1, 5)))
        for size in shape
    )


@pytest.mark.parametrize("nested", [False, True])
@given(data=st.data())
def test_parts_of_large_objects_are_set_as_numpy_sets_them(tmp_path_factory, data, nested):
    """Any selections one after the other, any order of chunks, shards within shards, empty chunks."""
    shape = (12, 10, 14)
    values = np.zeros(shape, "u2")
    path = tmp_path_factory.mktemp("parts")
    compressed = data.draw(st.sampled_from([[], [ZSTD]]))
    index_codecs = [BYTES, {"name": "crc32c"}]
    inner = {"chunk_shape": [2, 2, 2], "codecs": [BYTES, *compressed], "index_codecs": index_codecs}
    codecs = [{"name": "sharding_indexed", "configuration": inner}] if nested else [BYTES, *compressed]
    array = _small_shards(data, path, shape, codecs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversations, "_LARGE_NBYTES", 0)
        patch.setattr(copying, "_WORTH_A_CALL", data.draw(st.sampled_from([1, 20, 1 << 16])))
        patch.setattr(writing, "_RUN_NBYTES", data.draw(st.sampled_from([1, 20, 1 << 16])))
        for _ in range(data.draw(st.integers(1, 5))):
            where = _selection(data, shape)
            value = data.draw(st.integers(0, 3))
            array[where] = values[where] = value or np.arange(1, 1 + values[where].size).reshape(
                values[where].shape
            )
        assert np.array_equal(array[...], values)
    assert np.array_equal(zsc.open(path)[...], values)
    assert zsc.verify(path).findings == ()


def _large(path):
    """An array of one shard of 4 MiB, and what is in it."""
    values = _values((64, 256, 128))
    codecs = [BYTES, {"name": "crc32c"}]
    return _one_shard(path, values, inner_chunk_shape=(16, 16, 16), codecs=codecs), values


def _jobs(array, target):
    plan = partial(array.chain.plan_read, tuple(map(range, array.shape)), target, array.shape)
    return conversations.converse(plan, LocalStore(array.store.root), "c/0/0/0")


@pytest.mark.parametrize("order", ["lexicographic", "morton"])
def test_each_part_lies_by_itself(tmp_path, order):
    """In either order, and where inner chunks are empty, no part lies between the chunks of another."""
    values = _values((128, 256, 256))
    values[32:64, :128, 64:] = values[:, 192:, :32] = 0
    array = _one_shard(tmp_path, values, inner_chunk_shape=(32, 32, 32), codecs=[BYTES], chunk_order=order)
    (job,) = _jobs(array, np.empty_like(values))
    assert isinstance(job.encoded, Stored)
    reach = []
    for part in job.split():
        lies = job.encoded.table[part.cells[part.cells >= 0]]
        if len(lies):
            reach.append((int(lies[:, 0].min()), int(lies.sum(axis=1).max())))
    assert len(reach) > 4
    assert all(end <= start for (_, end), (start, _) in pairwise(sorted(reach)))


def test_all_parts_are_of_one_state(tmp_path):
    """A shard that is replaced after its index was read, and before its chunks are, is read as it was."""
    array, values = _large(tmp_path)
    target = np.empty_like(values)
    jobs = _jobs(array, target)
    assert [type(job.encoded) for job in jobs] == [Stored]
    array[...] = values[::-1]
    for job in jobs:
        job.run()
    assert np.array_equal(target, values)
    assert np.array_equal(array[...], values[::-1])


@pytest.mark.skipif(sys.platform == "win32", reason="a file that is open cannot be cut short there")
def test_a_file_cut_short_before_its_parts_are_read_is_an_error(tmp_path):
    """Named as what it is; and as a truncated shard by the next reader."""
    array, values = _large(tmp_path)
    (job,) = _jobs(array, np.empty_like(values))
    os.truncate(tmp_path / "c/0/0/0", 3 * MIB)
    with pytest.raises(zsc.CorruptShardError) as caught:
        job.run()
    assert caught.value.reason == "object_changed"
    with pytest.raises(zsc.CorruptShardError, match="index"):
        array[...]


def test_a_file_that_the_server_has_forgotten_is_opened_anew(tmp_path, monkeypatch):
    """As on NFS, when another machine replaces a shard between the parts that are read of it."""
    array, values = _large(tmp_path)
    inner, asked = files.read_joined, []

    def read_joined(descriptor, ranges):
        asked.append(len(ranges))
        if len(asked) == 2:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return inner(descriptor, ranges)

    monkeypatch.setattr(files, "read_joined", read_joined)
    assert np.array_equal(array[...], values)
    assert len(asked) > 3


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="counts open files by /proc")
def test_no_file_stays_open(tmp_path):
    """Neither after a read, nor after jobs that nobody runs, nor after an error among them."""
    array, values = _large(tmp_path)
    assert np.array_equal(array[...], values)
    assert _open_under(tmp_path) == []
    jobs = _jobs(array, np.empty_like(values))
    shard = tmp_path / "c/0/0/0"
    assert _open_under(tmp_path) == [shard]
    del jobs
    assert _open_under(tmp_path) == []
    data = bytearray(shard.read_bytes())
    data[MIB] ^= 1
    shard.write_bytes(data)
    with pytest.raises(zsc.CorruptShardError) as caught:
        array[...]
    assert caught.value.reason == "inner_chunk_checksum_mismatch"
    del caught
    assert _open_under(tmp_path) == []


def _state(path):
    """What another file, or a write, has of its own; not the time of the last read."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def _open_under(folder):
    """Files in a folder that this process has open."""
    found = []
    for descriptor in OPEN_FILES.iterdir():
        with suppress(FileNotFoundError):  # that of the listing itself
            found.append(descriptor.readlink())
    return [path for path in found if path.is_relative_to(folder)]


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="counts open files by /proc")
def test_a_write_that_changes_nothing_of_a_large_shard_leaves_its_file(tmp_path):
    """What would have been copied is not even opened for longer."""
    values = _values((4 * MIB // 2, 2))
    values[:64] = 0
    array = _one_shard(tmp_path, values, inner_chunk_shape=(64, 2), codecs=[BYTES])
    shard = tmp_path / "c/0/0"
    before = _state(shard)
    array[3:9] = 0
    assert _state(shard) == before
    assert _open_under(tmp_path) == []
