"""Reads from one inner chunk of a shard whose index is known: the same elements, in fewer steps."""

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zarr_shard_codec as zsc
from zarr_shard_codec.core.selection import parse_selection, single_chunk
from zarr_shard_codec.engine import known_chunks
from zarr_shard_codec.stores import open_file
from zarr_shard_codec.stores.object_store import ObjectStore

BIG = {"name": "bytes", "configuration": {"endian": "big"}}
LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": True}}
CRC = {"name": "crc32c"}
SHAPE = (11, 13)
LAYOUT = {"shape": SHAPE, "shard_shape": (8, 8), "inner_chunk_shape": (4, 2)}


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Files count as settled at once."""
    monkeypatch.setattr(open_file, "_SETTLED_NS", -(10**12))
    monkeypatch.setattr(open_file, "_SETTLED_COARSE_NS", -(10**12))


@pytest.fixture
def taken(monkeypatch):
    """What the short way answered: inner chunks, or None."""
    answers = []
    plain = known_chunks.KnownChunks.chunk

    def chunk(self, key, coords):
        answers.append(plain(self, key, coords))
        return answers[-1]

    monkeypatch.setattr(known_chunks.KnownChunks, "chunk", chunk)
    return answers


def _array(place, dtype="int32", codecs=(LITTLE, ZSTD), **options):
    array = zsc.create(place, dtype=dtype, codecs=list(codecs), **(LAYOUT | options))
    values = np.random.default_rng(0).integers(1, 255, (*SHAPE, array.dtype.itemsize), np.uint8)
    values = values.view(array.dtype)[..., 0] if array.dtype.kind != "b" else values[..., 0] > 100
    array[...] = values
    return array, values


def _same(found, expected):
    assert type(found) is type(expected)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()


def test_a_whole_transposed_chunk_lies_in_c_order(tmp_path, taken):
    """As every other result, though it was decoded into memory of its own that lies otherwise."""
    transpose = {"name": "transpose", "configuration": {"order": [1, 0]}}
    blosc = {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 4, "blocksize": 0}
    codecs = transpose, LITTLE, {"name": "blosc", "configuration": blosc}
    array, values = _array(tmp_path / "a", codecs=codecs)
    for _ in range(2):
        found = array[0:4, 0:2]
        assert found.flags.c_contiguous
        _same(found, values[0:4, 0:2])
    assert [chunk is None for chunk in taken] == [True, False]


@pytest.mark.parametrize("dtype", ["int32", "complex128", "bool", "float16", "datetime64[s]"])
@pytest.mark.parametrize("codecs", [(LITTLE,), (BIG, CRC), (LITTLE, ZSTD)])
def test_elements_are_those_of_numpy(tmp_path, taken, dtype, codecs):
    """Whole inner chunks, parts of them, elements, at the edge: value, type, shape, and own memory."""
    array, values = _array(tmp_path, dtype, codecs)
    array[...]
    for at in ((0, 0), (8, 4), (8, 12)):
        array[at]  # the index is known from here on
    taken.clear()
    chosen = [
        np.s_[0:4, 0:2],
        np.s_[8:11, 12:13],
        np.s_[9:10, 4:6],
        np.s_[3, 1],
        np.s_[10, 12:],
        np.s_[-3:, -1:],
        np.s_[8:11, 12],
        np.s_[:2, :2],
    ]
    for selection in chosen:
        found = array[selection]
        _same(found, values[selection])
        if isinstance(found, np.ndarray):
            assert found.flags.writeable
            assert found.flags.c_contiguous
            found[...] = np.zeros((), values.dtype)
            _same(array[selection], values[selection])
    assert len(taken) >= len(chosen)
    assert all(answer is not None for answer in taken)


SLICES = st.slices(13) | st.integers(-13, 12) | st.just(slice(None)) | st.just(slice(np.int64(2), 4))


@given(st.tuples(SLICES, SLICES), st.sampled_from([(4, 2), (13, 13), (5, 7)]))
@settings(max_examples=500)
def test_a_single_chunk_is_what_the_selection_names(selection, chunk_shape):
    """What is said to lie within one chunk are the elements that NumPy picks; all that does is said to."""
    values = np.arange(169).reshape(13, 13)
    found = single_chunk(selection, values.shape, chunk_shape)
    box = parse_selection(selection, values.shape).box
    chunks = [{at // size for at in wanted} for wanted, size in zip(box, chunk_shape, strict=True)]
    plain = all(item >= 0 if isinstance(item, int) else item.step in (None, 1) for item in selection)
    assert (found is not None) == (plain and all(len(one) == 1 for one in chunks))
    if found is not None:
        coords, within = found
        low = [at * size for at, size in zip(coords, chunk_shape, strict=True)]
        chunk = values[low[0] : low[0] + chunk_shape[0], low[1] : low[1] + chunk_shape[1]]
        assert np.array_equal(chunk[within], values[selection])


@pytest.mark.parametrize(
    "selection", [3, np.s_[0:2], np.s_[..., 0:2], np.s_[0:2, 0:2, 0:2], np.s_["a":, 0:1]]
)
def test_what_has_to_be_looked_at_more_closely_is_left_alone(selection):
    """Fewer axes, more of them, Ellipsis, no numbers."""
    assert single_chunk(selection, (8, 8), (4, 4)) is None


def test_what_is_not_as_expected_is_left_to_the_long_way(tmp_path, taken):
    """No index yet, an empty entry, no shard, a broken chunk: its values, its errors."""
    array, values = _array(tmp_path)
    array[0:4, 0:2] = 0
    _same(array[8:11, 8:10], values[8:11, 8:10])
    _same(array[0:4, 0:2], np.zeros((4, 2), "i4"))
    _same(array[0:4, 0:2], np.zeros((4, 2), "i4"))
    assert taken[:2] == [None, None]
    (tmp_path / "c/1/1").unlink()
    assert not array[8:11, 8:10].any()
    path = tmp_path / "c/0/0"
    encoded = bytearray(path.read_bytes())
    encoded[6] ^= 255
    path.write_bytes(encoded)
    array[4:8, 0:2]  # which finds nothing wrong, and knows the index now
    for _ in range(2):
        with pytest.raises(zsc.CorruptShardError) as caught:
            array[0:4, 2:4]
        assert (caught.value.key, caught.value.inner_chunk) == ("c/0/0", (0, 1))
    assert all(answer is None for answer in taken[-2:])


class Counting(ObjectStore):
    """A remote store that counts what it is asked for."""

    def __init__(self, store):
        super().__init__(store)
        self.asked = 0

    def ask(self, key, requests):
        self.asked += len(requests)
        return super().ask(key, requests)

    async def ask_async(self, key, requests):
        self.asked += len(requests)
        return await super().ask_async(key, requests)


@pytest.fixture(params=["sync", "async"])
def read(request):
    """Both ways of reading."""
    if request.param == "sync":
        return lambda array, selection: array[selection]
    return lambda array, selection: asyncio.run(array.read(selection))


def test_a_remote_index_is_read_once(read):
    """As long as the object's tag stays, an inner chunk is one request; then the index is read anew."""
    from obstore.store import MemoryStore

    place = MemoryStore()
    writer, values = _array(place)
    store = Counting(place)
    array = zsc.open(store)
    store.asked = 0
    costs = []
    for selection in (np.s_[0:4, 0:2], np.s_[0:4, 2:4], np.s_[4:8, 0:2], np.s_[4:8, 1:5]):
        before = store.asked
        _same(read(array, selection), values[selection])
        costs.append(store.asked - before)
    assert costs[:3] == [2, 1, 1]
    other = values[:8, :8] + 1
    writer[:8, :8] = other
    _same(read(array, np.s_[4:8, 0:2]), other[4:8, 0:2])
    before = store.asked
    _same(read(array, np.s_[0:4, 0:2]), other[0:4, 0:2])
    assert store.asked - before == 1


def test_a_remote_inner_chunk_that_was_empty_is_asked_for(read):
    """That a chunk is empty is not believed of an object that may be another one by now, or gone."""
    from obstore.store import MemoryStore

    place = MemoryStore()
    writer, values = _array(place)
    writer[0:4, 0:2] = 0
    store = Counting(place)
    array = zsc.open(store)
    for _ in range(2):
        assert not read(array, np.s_[0:4, 0:2]).any()
    before = store.asked
    assert not read(array, np.s_[0:4, 0:2]).any()
    assert store.asked - before == 1
    writer[0:4, 0:2] = values[0:4, 0:2]
    _same(read(array, np.s_[0:4, 0:2]), values[0:4, 0:2])
    writer[:8, :8] = 0
    assert not read(array, np.s_[0:4, 2:4]).any()


@pytest.fixture
def patched(monkeypatch):
    """Whether the short way wrote, write by write."""
    answers = []
    plain = known_chunks.KnownChunks.patch

    def patch(self, *arguments):
        answers.append(plain(self, *arguments))
        return answers[-1]

    monkeypatch.setattr(known_chunks.KnownChunks, "patch", patch)
    return answers


@pytest.mark.parametrize(("strategy", "codecs"), [("append", [LITTLE, ZSTD]), ("in_place", [LITTLE, CRC])])
def test_one_inner_chunk_is_written_the_short_way(tmp_path, patched, strategy, codecs):
    """All of one chunk, of the right shape and type, in a shard that is there; all else the long way."""
    array, values = _array(tmp_path, "int32", codecs, write_strategy=strategy)
    patched.clear()
    chunk = np.arange(1, 9, dtype="i4").reshape(4, 2)
    for at, value in (
        (np.s_[0:4, 2:4], chunk),
        (np.s_[4:8, 6:8], chunk.T.copy().reshape(4, 2)[::-1]),
        (np.s_[0:4, 8:10], np.zeros((4, 2), "i4")),
    ):
        array[at] = values[at] = value
    assert patched == [True] * 3
    patched.clear()
    (tmp_path / "c/0/1").unlink()
    values[:8, 8:] = 0
    for at, value in (
        (np.s_[0:4, 2:4], 5),
        (np.s_[0:4, 2:3], chunk[:, :1]),
        (np.s_[0:4, 4:6], chunk.astype("i8")),
        (np.s_[8:11, 0:2], chunk[:3]),
        (np.s_[4:8, 10:12], chunk),
    ):
        array[at] = values[at] = value
    assert patched == [False] * 5
    _same(zsc.open(tmp_path)[...], values)
    assert not zsc.verify(tmp_path).errors


def test_a_torn_shard_is_not_written_into(tmp_path, patched):
    """The long way's error comes, and the file stays as it is."""
    array, _ = _array(tmp_path, write_strategy="append")
    path = tmp_path / "c/0/0"
    path.write_bytes(path.read_bytes()[:-3])
    before = path.read_bytes()
    with pytest.raises(zsc.CorruptShardError, match="index"):
        array[0:4, 0:2] = np.ones((4, 2), "i4")
    assert path.read_bytes() == before
    assert patched[-1] is False
