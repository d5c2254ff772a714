"""Strategies of writing: whatever way bytes get into a shard, what is read is what was written."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import tensorstore
from hypothesis import given
from hypothesis import strategies as st

import zarr_shard_codec as zsc
from zarr_shard_codec.core.patching import Patch
from zarr_shard_codec.core.ranges import ByteRange, Suffix
from zarr_shard_codec.stores import open_file
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import MemoryStore

BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
BIG = {"name": "bytes", "configuration": {"endian": "big"}}
CRC = {"name": "crc32c"}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": True}}
TRANSPOSE = {"name": "transpose", "configuration": {"order": [1, 0]}}
SHAPE = (11, 13)
INDEX_NBYTES = 4 * 16 + 4


def _sharded(chunk_shape, codecs, **options):
    configuration = {"chunk_shape": list(chunk_shape), "codecs": codecs, "index_codecs": [BYTES, CRC]}
    return {"name": "sharding_indexed", "configuration": configuration | options}


def _document(codecs, shape=SHAPE, chunk_shape=(8, 8)):
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": "uint16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk_shape)}},
        "chunk_key_encoding": {"name": "default"},
        "fill_value": 3,
        "codecs": codecs,
        "attributes": {},
    }


def _layout(tmp_path, codecs=(BYTES,), **options):
    layout = {"shape": (8,), "dtype": "u2", "shard_shape": (8,), "inner_chunk_shape": (2,)}
    return zsc.create(tmp_path, codecs=list(codecs), **(layout | options))


CHAINS = {
    "plain": [_sharded((4, 2), [BYTES])],
    "checked": [_sharded((4, 2), [BIG, CRC])],
    "index at start": [_sharded((4, 2), [BYTES], index_location="start")],
    "transposed": [TRANSPOSE, _sharded((4, 2), [BYTES])],
    "compressed": [_sharded((4, 2), [BYTES, ZSTD])],
    "nested": [_sharded((4, 4), [_sharded((2, 2), [BYTES])], index_codecs=[BYTES, CRC, CRC])],
}
CASES = [
    ("append", "plain"),
    ("append", "checked"),
    ("append", "transposed"),
    ("append", "compressed"),
    ("append", "nested"),
    ("in_place", "plain"),
    ("in_place", "checked"),
    ("in_place", "transposed"),
    ("in_place", "index at start"),
]
AXIS = st.tuples(st.integers(0, 12), st.integers(1, 13), st.integers(1, 3)).map(lambda cut: slice(*cut))


@pytest.mark.parametrize(("strategy", "chain"), CASES)
@given(
    turns=st.lists(st.tuples(AXIS, AXIS, st.sampled_from([3, 3, 7, 8])), min_size=1, max_size=8),
    order=st.sampled_from(["lexicographic", "morton", "reverse"]),
)
def test_what_is_written_is_what_numpy_has(tmp_path_factory, strategy, chain, turns, order):
    """After any writes, fill values among them, this package and tensorstore read what an array holds."""
    root = tmp_path_factory.mktemp("array")
    (root / "zarr.json").write_text(json.dumps(_document(CHAINS[chain])))
    array = zsc.open(root, "r+", write_strategy=strategy, chunk_order=order)
    model = np.full(SHAPE, 3, "u2")
    for rows, columns, value in turns:
        array[rows, columns] = model[rows, columns] = value
        assert (array[...] == model).all()
    other = tensorstore.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": str(root)}}).result()
    assert (other.read().result() == model).all()
    assert not [finding for finding in zsc.verify(root).findings if finding.severity == "error"]


class Watched:
    """An open file that writes down what is read from it."""

    def __init__(self, opened, reads):
        self._opened, self._reads = opened, reads
        self.identity, self.version, self.nbytes = opened.identity, opened.version, opened.nbytes
        self.close = opened.close

    def read(self, requests):
        """Read."""
        self._reads.append(list(requests))
        return self._opened.read(requests)


class WatchedStore(LocalStore):
    """A folder, and what is read and written in it."""

    def __init__(self, root):
        super().__init__(root)
        self.reads, self.patches, self.writes = [], [], []

    def open_object(self, key):
        opened = super().open_object(key)
        return opened and Watched(opened, self.reads)

    def put_together(self, key, parts):
        self.writes.append(key)
        return super().put_together(key, parts)

    def patch(self, key, patch, version):
        self.patches.append([(offset, sum(map(len, parts))) for offset, parts in patch.writes])
        return super().patch(key, patch, version)

    def forget(self):
        """Start the lists anew."""
        self.reads, self.patches, self.writes = [], [], []


def _watched(tmp_path, strategy, **options):
    _layout(tmp_path, **options)[...] = np.arange(1, 9)
    store = WatchedStore(tmp_path)
    array = zsc.open(store, "r+", write_strategy=strategy)
    store.forget()
    return array, store


def test_an_append_reads_the_index_and_the_chunks_that_change_in_part(tmp_path):
    """Nothing else is asked for; one write at the end has the new chunks and the index."""
    array, store = _watched(tmp_path, "append")
    old = (tmp_path / "c" / "0").read_bytes()
    array[2:4] = 50
    assert store.reads == [[Suffix(INDEX_NBYTES)]]
    assert store.patches == [[(len(old), 4 + INDEX_NBYTES)]]
    grown = (tmp_path / "c" / "0").read_bytes()
    assert grown[: len(old)] == old
    store.forget()
    array[1:5] = 60
    assert store.reads[1:] == [[ByteRange(0, 2), ByteRange(4, 2)]] or store.reads[1:] == [[ByteRange(0, 12)]]
    assert store.patches == [[(len(grown), 12 + INDEX_NBYTES)]]
    assert not store.writes
    assert array[...].tolist() == [1, 60, 60, 60, 60, 6, 7, 8]


def test_a_write_in_place_touches_the_bytes_of_its_chunks(tmp_path):
    """One write a run of chunks, where they stand; a chunk that becomes fill value is one of zeros."""
    array, store = _watched(tmp_path, "in_place")
    nbytes = (tmp_path / "c" / "0").stat().st_size
    array[2:6] = [0, 0, 70, 71]
    assert store.reads == [[Suffix(INDEX_NBYTES)]]
    assert store.patches == [[(4, 8)]]
    array[::4] = 9
    assert store.patches[1:] == [[(0, 4), (8, 4)]]
    assert not store.writes
    assert (tmp_path / "c" / "0").stat().st_size == nbytes
    assert array[...].tolist() == [9, 2, 0, 0, 9, 71, 7, 8]


def test_what_has_no_place_is_replaced(tmp_path):
    """A chunk without bytes of its own, a new shard and a whole one are written as ever."""
    array, store = _watched(tmp_path, "in_place")
    array[0:8] = [1, 2, 0, 0, 5, 6, 7, 8]
    assert (store.reads, store.patches, store.writes) == ([], [], ["c/0"])
    array[2] = 4
    assert store.writes == ["c/0", "c/0"]
    assert not store.patches
    array[3] = 4
    assert store.patches == [[(4, 4)]]
    assert array[...].tolist() == [1, 2, 4, 4, 5, 6, 7, 8]


def _table(*entries):
    import google_crc32c

    table = np.array(entries, "<u8").tobytes()
    return table + google_crc32c.value(table).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("chunks", "entries"),
    [
        (b"\1\0\2\0", [(0, 4), (0, 4), (0, 4), (0, 4)]),
        (b"\1\0\2\0\3\0", [(0, 4), (2, 4), (0, 4), (0, 4)]),
        (b"\1\0\2\0", [(0, 4), (4, 4), (0, 4), (0, 4)]),
    ],
    ids=["the same bytes", "some of them", "the index"],
)
@pytest.mark.parametrize("end", [4, 6], ids=["one chunk", "two chunks"])
def test_bytes_that_chunks_share_are_not_overwritten(tmp_path, chunks, entries, end):
    """The specification allows it; who writes one chunk must not change the others."""
    array, store = _watched(tmp_path, "in_place")
    (tmp_path / "c" / "0").write_bytes(chunks + _table(*entries))
    before = array[...]
    array[2:end] = 77
    before[2:end] = 77
    assert (array[...] == before).all()
    assert (store.patches, store.writes) == ([], ["c/0"])


def test_an_entry_behind_the_end_is_refused_before_bytes_are_appended_there(tmp_path):
    """Damage must not turn into data: the entry would point into what is appended."""
    array, store = _watched(tmp_path, "append")
    broken = b"\1\0\2\0" + _table((0, 4), (100, 4), (0, 4), (0, 4))
    (tmp_path / "c" / "0").write_bytes(broken)
    with pytest.raises(zsc.CorruptShardError) as caught:
        array[0] = 5
    assert caught.value.reason == "entry_out_of_bounds"
    assert (tmp_path / "c" / "0").read_bytes() == broken
    assert not store.patches


def test_fill_values_for_empty_chunks_append_nothing(tmp_path):
    """And a shard of which the last chunk goes is deleted."""
    array, store = _watched(tmp_path, "append")
    array[2:] = 0
    store.forget()
    array[4:6] = 0
    assert store.patches == [[]]
    array[:2] = 0
    assert not (tmp_path / "c" / "0").exists()


def test_who_has_the_file_open_sees_the_old_state(tmp_path):
    """An append moves nothing that an open reader will ask for."""
    array, _ = _watched(tmp_path, "append")
    opened = LocalStore(tmp_path).open_object("c/0")
    before = opened.read([Suffix(INDEX_NBYTES)])
    array[0] = 100
    assert opened.read([Suffix(INDEX_NBYTES)]) == before
    assert opened.read([ByteRange(0, 4)]) == [b"\1\0\2\0"]
    opened.close()


@pytest.mark.parametrize("strategy", ["append", "in_place"])
def test_a_remembered_index_is_never_a_stale_one(tmp_path, monkeypatch, strategy):
    """Reads between writes, with indexes kept as soon as a tick of the clock is over."""
    monkeypatch.setattr(open_file, "_SETTLED_NS", 0)
    array = _layout(tmp_path, write_strategy=strategy)
    array[...] = 1
    for turn in range(2, 30):
        array[turn % 8] = turn
        assert array[turn % 8] == turn
        assert array[(turn + 1) % 8] == (turn - 7 if turn > 8 else 1)


@pytest.mark.parametrize("strategy", ["append", "in_place"])
def test_a_file_that_is_not_what_was_read_is_not_patched(tmp_path, strategy):
    """Somebody who takes no lock replaced it: the write begins anew, and writes into the new file."""
    array, store = _watched(tmp_path, strategy)
    real, path = store.patch, Path(tmp_path, "c", "0")
    other = _layout(tmp_path / "other")
    other[...] = np.arange(11, 19)

    def patch(key, patch, version):
        (tmp_path / "other" / "c" / "0").replace(path)
        store.patch = real
        assert not real(key, patch, version)
        return False

    store.patch = patch
    array[0] = 99
    assert array[...].tolist() == [99, 12, 13, 14, 15, 16, 17, 18]


NEEDS = {
    "a store without files": ("append", [_sharded((2,), [BYTES])], "files can be written into"),
    "in place, too": ("in_place", [_sharded((2,), [BYTES])], "files can be written into"),
    "no shards": ("append", [BYTES], "no shards"),
    "a codec after the shard": ("append", [_sharded((2,), [BYTES]), CRC], "codecs around the shard"),
    "index at start": ("append", [_sharded((2,), [BYTES], index_location="start")], "start of the shard"),
    "no checksum": ("append", [_sharded((2,), [BYTES], index_codecs=[BYTES])], "no checksum"),
    "a shard within, alike": ("append", [_sharded((4,), [_sharded((2,), [BYTES])])], "torn write"),
    "variable size": ("in_place", [_sharded((2,), [BYTES, ZSTD])], "vary in size"),
    "variable size, nested": ("in_place", [_sharded((4,), [_sharded((2,), [BYTES])])], "vary in size"),
}


@pytest.mark.parametrize("needs", NEEDS)
def test_what_a_strategy_needs_is_said_when_the_array_is_opened(tmp_path, needs):
    """By name, for writing only; replacing always works."""
    strategy, codecs, words = NEEDS[needs]
    store = MemoryStore() if words.startswith("files") else tmp_path
    document = _document(codecs, (8,), (8,))
    with pytest.raises(zsc.UsageError, match=words) as caught:
        zsc.open(store, "r+", metadata=document, write_strategy=strategy)
    assert caught.value.reason == "invalid_argument"
    zsc.open(store, metadata=document, write_strategy=strategy)
    array = zsc.open(store, "r+", metadata=document)
    array[3] = 1
    assert array[3] == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [("write_strategy", "apend"), ("durable", 1), ("lock", "always"), ("lock", 3)],
)
def test_options_that_mean_nothing_are_refused(tmp_path, option, value):
    """Before anything is made."""
    with pytest.raises(zsc.UsageError, match=f"^{option}: expected") as caught:
        _layout(tmp_path / "array", **{option: value})
    assert caught.value.reason == "invalid_argument"
    assert not (tmp_path / "array").exists()


def test_options_travel(tmp_path):
    """Dask sends arrays between processes: they write there as they did here."""
    options = {"write_strategy": "append", "durable": True, "lock": MemoryStore}
    copy = pickle.loads(pickle.dumps(_layout(tmp_path, **options)))
    assert {name: getattr(copy, name) for name in options} == options
    assert copy.store.durable


def test_a_patch_of_nothing_is_done(tmp_path):
    """And needs no file."""
    assert LocalStore(tmp_path).patch("c/0", Patch(0, []), None)
