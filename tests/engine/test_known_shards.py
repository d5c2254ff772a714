"""Reads from parts of shards whose index is known: the same elements and errors, without a conversation."""

import os
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zarr_shard_codec as zsc
from zarr_shard_codec.core.index import ShardIndex
from zarr_shard_codec.core.ranges import Coalescing
from zarr_shard_codec.engine import known_shards
from zarr_shard_codec.engine.known_shards import KnownShards
from zarr_shard_codec.stores import files, open_file

BIG = {"name": "bytes", "configuration": {"endian": "big"}}
LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": True}}
BLOSC = {"name": "blosc", "configuration": {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 4}}
CRC = {"name": "crc32c"}
TRANSPOSE = {"name": "transpose", "configuration": {"order": [2, 0, 1]}}
SHAPE = (22, 17, 19)
LAYOUT = {"shape": SHAPE, "shard_shape": (16, 8, 12), "inner_chunk_shape": (8, 4, 6)}
CHAINS = {
    "none": [LITTLE],
    "big": [BIG],
    "crc": [LITTLE, CRC],
    "zstd": [LITTLE, ZSTD],
    "blosc": [BIG, BLOSC, CRC],
    "transposed": [TRANSPOSE, LITTLE],
}


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Files count as settled at once; chunks are not too small to be asked for one by one."""
    monkeypatch.setattr(open_file, "_SETTLED_NS", -(10**12))
    monkeypatch.setattr(open_file, "_SETTLED_COARSE_NS", -(10**12))
    monkeypatch.setattr(known_shards, "_LEAST_NBYTES", 0)


@pytest.fixture
def taken(monkeypatch):
    """What the short way answered: jobs, or None."""
    answers = []
    plain = KnownShards.read

    def read(self, box, target, opened, coalescing):
        answers.append(plain(self, box, target, opened, coalescing))
        return answers[-1]

    monkeypatch.setattr(KnownShards, "read", read)
    return answers


@pytest.fixture
def reads(monkeypatch):
    """What is read of files: offset and size of each read, in their order."""
    asked = []
    into, at = files.read_into, files._fill

    def read_into(descriptor, offset, buffers):
        asked.append((offset, sum(map(len, buffers))))
        return into(descriptor, offset, buffers)

    def fill(descriptor, buffer, offset):
        asked.append((offset, len(buffer)))
        return at(descriptor, buffer, offset)

    monkeypatch.setattr(files, "read_into", read_into)
    monkeypatch.setattr(files, "_fill", fill)
    return asked


def _array(place, codecs=CHAINS["none"], dtype="int32", **options):
    array = zsc.create(place, dtype=dtype, codecs=list(codecs), **(LAYOUT | options))
    values = np.random.default_rng(0).integers(1, 255, (*array.shape, array.dtype.itemsize), np.uint8)
    values = values.view(array.dtype)[..., 0] if array.dtype.kind != "b" else values[..., 0] > 100
    array[...] = values
    return array, values


def _know(array):
    """Let all indexes of an array be known: one element of each shard is read."""
    steps = tuple(slice(None, None, size) for size in array.shard_shape)
    array[steps]


def _same(found, expected):
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()


@pytest.fixture(params=CHAINS)
def known(request, tmp_path_factory):
    """An array of some codecs with empty chunks, two orders of chunks and an empty shard; and its values."""
    place = tmp_path_factory.mktemp("known")
    array, values = _array(place, CHAINS[request.param])
    values[0:8, 8:12, 0:6] = values[16:, 16:, 12:] = 0
    array[...] = values
    zsc.open(place, "r+", chunk_order="morton")[:, 8:16] = values[:, 8:16]
    _know(array)
    return array, values


SLICES = [
    st.builds(slice, *[st.none() | st.integers(-size, size)] * 2, st.sampled_from([None, 1, 2, 3, 7, 30, -1]))
    for size in SHAPE
]


def test_elements_are_those_of_numpy(known):
    """Boxes, steps, planes, elements; empty chunks and shards, edges; bit for bit."""
    array, values = known
    n_taken = [0]
    plain = KnownShards.read

    def read(self, box, target, opened, coalescing):
        jobs = plain(self, box, target, opened, coalescing)
        n_taken[0] += jobs is not None
        return jobs

    @given(st.tuples(*(one | st.integers(0, 16) for one in SLICES)))
    @settings(max_examples=150)
    def check(selection):
        found, expected = array[selection], values[selection]
        assert np.asarray(found).tobytes() == expected.tobytes()
        assert np.shape(found) == expected.shape

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KnownShards, "read", read)
        check()
    assert n_taken[0] > 100


@pytest.mark.parametrize("dtype", ["int32", "complex128", "bool", "float16", "datetime64[s]"])
@pytest.mark.parametrize("codecs", ["none", "big", "zstd"])
def test_elements_have_their_types(tmp_path, taken, dtype, codecs):
    """Those that no codec has to look at, and bools, of which not every byte is one."""
    array, values = _array(tmp_path, CHAINS[codecs], dtype)
    _know(array)
    taken.clear()
    for selection in (np.s_[3:20, 2:15, 5:18], np.s_[:, 5:6, :], np.s_[10:12, :, 3]):
        _same(array[selection], values[selection])
    assert taken
    assert None not in taken


def test_rows_are_read_and_no_index(tmp_path, reads):
    """Of chunks without codecs the wanted rows, in as few reads as they lie in a row; no index again."""
    array, values = _array(tmp_path)
    array.store.coalescing = Coalescing(largest_gap=0, largest_read=8 << 20)
    array = zsc.open(array.store)
    _know(array)
    reads.clear()
    _same(array[2:5, 0:8, 0:12], values[2:5, 0:8, 0:12])
    nbytes, row = 8 * 4 * 6 * 4, 4 * 6 * 4
    assert reads == [(at * nbytes + 2 * row, 3 * row) for at in range(4)]
    reads.clear()
    _same(array[0:16, 0:4, 0:12], values[0:16, 0:4, 0:12])
    assert reads == [(0, 2 * nbytes), (4 * nbytes, 2 * nbytes)]


@pytest.mark.parametrize("codecs", ["none", "zstd"])
def test_the_file_is_opened_once(tmp_path, monkeypatch, codecs):
    """Also where the short way turns out not to be open."""
    array, values = _array(tmp_path, CHAINS[codecs])
    opened = []
    real = type(array.store).open_object

    def open_object(self, key):
        opened.append(key)
        return real(self, key)

    monkeypatch.setattr(type(array.store), "open_object", open_object)
    for _ in range(2):
        opened.clear()
        _same(array[2:14, 1:7, 1:11], values[2:14, 1:7, 1:11])
        assert opened == ["c/0/0/0"]


def test_what_is_not_known_for_certain_is_left_to_a_plan(tmp_path, taken, monkeypatch):
    """No index yet; a file that changed a moment ago, or since; none at all."""
    array, values = _array(tmp_path)
    box = np.s_[2:14, 1:7, 1:11]
    for expected in ([None], [[]]):
        taken.clear()
        _same(array[box], values[box])
        assert taken == expected
    path = tmp_path / "c/0/0/0"
    other = path.read_bytes()
    path.unlink()
    taken.clear()
    assert not array[box].any()
    assert taken == []
    (tmp_path / "new").write_bytes(other)
    (tmp_path / "new").replace(path)
    _same(array[box], values[box])
    assert taken == [None]
    monkeypatch.setattr(open_file, "_SETTLED_NS", 3600 * 10**9)
    _same(array[box], values[box])
    assert taken == [None, None]


def _break(path, at, entry):
    """Set an entry of the index, whose checksum then holds all the same."""
    codec = zsc.open(path.parents[3]).codec
    encoded = path.read_bytes()
    entries = codec.read_index(encoded).entries.copy()
    entries[at] = entry
    index = ShardIndex(entries, codec.chunks_per_shard)
    path.write_bytes(encoded[: -codec.index_nbytes] + bytes(codec.encode_index(index)))


NBYTES = 8 * 4 * 6 * 4
ENTRIES = [
    (2**64 - 1, NBYTES),
    (5, 0),
    (2**64 - 2, NBYTES),
    (8 * NBYTES, NBYTES),
    (0, NBYTES - 1),
    (0, 2**40),
]


@pytest.mark.parametrize("codecs", ["none", "crc", "zstd"])
@pytest.mark.parametrize("entry", ENTRIES)
def test_a_broken_entry_is_the_error_that_a_plan_finds(tmp_path, taken, codecs, entry):
    """The same, to the letter; and other chunks are read."""
    array, values = _array(tmp_path, CHAINS[codecs])
    _break(tmp_path / "c/0/0/0", 5, entry)
    with pytest.raises(zsc.CorruptShardError) as by_plan:
        array[0:16, 0:8, 1:12]
    assert taken == [None]
    assert (by_plan.value.key, by_plan.value.inner_chunk) == ("c/0/0/0", (1, 0, 1))
    _same(array[0:8, 1:8, 0:12], values[0:8, 1:8, 0:12])
    assert None not in taken[1:]
    with pytest.raises(zsc.CorruptShardError) as caught:
        array[0:16, 0:8, 1:12]
    assert (caught.value.reason, str(caught.value)) == (by_plan.value.reason, str(by_plan.value))
    assert caught.value.inner_chunk == (1, 0, 1)


@pytest.mark.parametrize("codecs", ["zstd", "blosc", "crc"])
def test_a_broken_chunk_is_named(tmp_path, codecs):
    """As by a plan: it is the codecs that find it."""
    array, _ = _array(tmp_path, CHAINS[codecs])
    path = tmp_path / "c/0/0/0"
    offset, nbytes = array.codec.read_index(path.read_bytes()).entries[2].tolist()
    encoded = bytearray(path.read_bytes())
    encoded[offset + nbytes - 3] ^= 255
    path.write_bytes(encoded)
    for _ in range(2):
        with pytest.raises(zsc.CorruptShardError) as caught:
            array[0:12, 0:8, 1:12]
        assert (caught.value.key, caught.value.inner_chunk) == ("c/0/0/0", (0, 1, 0))


@pytest.mark.skipif(sys.platform == "win32", reason="a file that is open cannot be cut short there")
@pytest.mark.parametrize("codecs", ["none", "zstd"])
def test_a_file_that_is_cut_short_meanwhile_is_an_error(tmp_path, monkeypatch, codecs):
    """After its size was taken: what is missing is no data."""
    array, _ = _array(tmp_path, CHAINS[codecs])
    _know(array)
    path = tmp_path / "c/0/0/0"
    real = KnownShards.read

    def cut_then_read(self, box, target, opened, coalescing):
        os.truncate(path, 100)
        return real(self, box, target, opened, coalescing)

    monkeypatch.setattr(KnownShards, "read", cut_then_read)
    with pytest.raises(zsc.CorruptShardError) as caught:
        array[0:12, 0:8, 1:12]
    assert caught.value.key == "c/0/0/0"


def test_much_at_once_is_left_to_many(tmp_path, taken, monkeypatch):
    """More bytes than memory that is used again has become a job, which threads share."""
    array, values = _array(tmp_path)
    _know(array)
    monkeypatch.setattr(known_shards.memory, "LARGEST_NBYTES", 3 * NBYTES)
    taken.clear()
    _same(array[0:16, 0:4, 1:12], values[0:16, 0:4, 1:12])
    _same(array[0:8, 0:4, 1:12], values[0:8, 0:4, 1:12])
    assert [len(jobs) for jobs in taken] == [1, 0]
