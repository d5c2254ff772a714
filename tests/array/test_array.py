"""ShardedArray: what it keeps to the last bit, what a write costs and refuses, what it says of itself."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.codecs import registry
from zarr_shard_codec.codecs.crc32c import Crc32cCodec
from zarr_shard_codec.core.ranges import WHOLE
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import MemoryStore

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
GZIP = {"name": "gzip", "configuration": {"level": 1}}


def _create(store, shape=(10, 9), shard=(4, 6), inner=(2, 3), dtype="int32", **options):
    return zsc.create(store, shape=shape, dtype=dtype, shard_shape=shard, inner_chunk_shape=inner, **options)


def _same(one, other):
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128", "float16"])
def test_bits_survive(dtype):
    """-0.0, infinities and the payloads of NaNs come back as they were, as fill value too."""
    width = np.dtype(dtype).itemsize // (2 if dtype == "complex128" else 1)
    exponent = {2: 0x7C00, 4: 0x7F800000, 8: 0x7FF0000000000000}[width]
    payloads = [exponent | 1, exponent | 1 << (8 * width - 1) | 5, 1 << (8 * width - 1), exponent, 0, 1]
    values = np.array(payloads * 2, f"u{width}").view(dtype)
    for fill in (0, values[0], values[1], values[2]):
        array = _create(
            MemoryStore(), shape=values.shape, shard=(4,), inner=(2,), dtype=dtype, fill_value=fill
        )
        array[...] = values
        assert _same(array[...], values)
        array[1:3] = values[1:3]
        assert _same(array[...], values)


@pytest.mark.requirement("EDGE-FILL")
def test_what_lies_outside_the_array_is_fill_value():
    """Edge shards hold the fill value beyond the array, also after a write into part of them."""
    store = MemoryStore()
    array = _create(store, shape=(5,), shard=(8,), inner=(2,), codecs=[LITTLE], fill_value=7)
    array[...] = np.arange(5)
    array[4] = 9
    encoded = store.read("c/0", [WHOLE])[0]
    assert array.codec.decode(encoded).tolist() == [0, 1, 2, 3, 9, 7, 7, 7]


def test_a_whole_shard_is_written_without_reading(recording_store):
    """Shards that a write covers, edge shards included, cost one write each and no read."""
    store = recording_store()
    array = _create(store)
    store.forget()
    array[...] = np.ones(array.shape, "i4")
    assert store.reads == []
    assert sorted(store.writes) == sorted(key for _, key in array.shard_keys())
    store.forget()
    array[0:4, 6:9] = 2
    assert store.reads == []
    assert store.writes == ["c/0/1"]


def test_writing_fill_value_deletes(recording_store):
    """Shards of nothing but fill value are deleted, not written; missing ones read as fill value."""
    store = recording_store()
    array = _create(store, fill_value=5)
    array[...] = 1
    store.forget()
    array[4:] = 5
    array[0:4, 0:6] = 5
    array[0:4, 6] = 5
    assert store.deletes == ["c/1/0", "c/1/1", "c/2/0", "c/2/1", "c/0/0"]
    array[0:4, 7:] = 5
    assert [key for key in store.objects() if key != "zarr.json"] == []
    assert (array[...] == 5).all()


@pytest.mark.parametrize("strategy", ["replace", "append", "in_place"])
def test_fill_value_where_nothing_is_writes_nothing(tmp_path, strategy):
    """Whole inner chunks and parts of some: the shard's file is the one that it was."""
    array = _create(
        LocalStore(tmp_path),
        shape=(8, 8),
        shard=(8, 8),
        inner=(2, 2),
        codecs=[LITTLE],
        write_strategy=strategy,
    )
    array[:2, :2] = 1
    before = _state(tmp_path / "c/0/0")
    array[2:5, 3:8] = 0
    array[7, 7] = 0
    assert _state(tmp_path / "c/0/0") == before
    array[:5, 0] = 0
    assert _state(tmp_path / "c/0/0") != before
    assert array[:2, :2].tolist() == [[0, 1], [0, 1]]


def test_what_is_to_be_durable_is_written_though_it_changes_nothing(tmp_path):
    """The shard that is there may be another writer's, and not on the disk yet."""
    layout = {"shape": (8, 8), "shard": (8, 8), "inner": (2, 2)}
    array = _create(LocalStore(tmp_path), **layout, durable=True)
    array[:2, :2] = 1
    before = _state(tmp_path / "c/0/0")
    array[2:5, 3:8] = 0
    assert _state(tmp_path / "c/0/0") != before


def _state(path):
    """What another file, or a write, has of its own; not the time of the last read."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns


class _Counting(Crc32cCodec):
    """crc32c that counts."""

    encoded, decoded = 0, 0

    def to_metadata(self):
        return {"name": "counting"}

    def encode(self, decoded):
        type(self).encoded += 1
        return super().encode(decoded)

    def decode(self, encoded, *, max_nbytes):
        type(self).decoded += 1
        return super().decode(encoded, max_nbytes=max_nbytes)


def test_untouched_inner_chunks_are_copied_as_they_are_encoded(monkeypatch):
    """A write into one inner chunk decodes that one and encodes that one; all others keep their bytes."""
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    registry.register("counting", lambda *_: _Counting())
    store = MemoryStore()
    array = _create(
        store, shape=(8, 8), shard=(8, 8), inner=(4, 4), codecs=[LITTLE, GZIP, {"name": "counting"}]
    )
    model = np.arange(64, dtype="i4").reshape(8, 8)
    array[...] = model
    before = _encoded_chunks(store, array)
    _Counting.encoded = _Counting.decoded = 0
    array[1, 1] = model[1, 1] = -1
    assert (_Counting.encoded, _Counting.decoded) == (1, 1)
    array[4:8, 0:4] = model[4:8, 0:4] = -2
    assert (_Counting.encoded, _Counting.decoded) == (2, 1)
    after = _encoded_chunks(store, array)
    assert {at for at in before if before[at] == after[at]} == {(0, 1), (1, 1)}
    assert _same(array[...], model)


def test_foreign_bytes_of_untouched_chunks_are_kept():
    """Inner chunks are copied as another writer encoded them, even where we would have encoded otherwise."""
    store = MemoryStore()
    array = _create(store, shape=(8,), shard=(8,), inner=(4,), codecs=[LITTLE, GZIP], chunk_order="reverse")
    model = np.arange(8, dtype="i4")
    other = zsc.ShardingCodec.from_metadata(
        array.codec.to_metadata()["configuration"]
        | {"codecs": [LITTLE, {"name": "gzip", "configuration": {"level": 9}}]},
        shard_shape=(8,),
        dtype="i4",
    )
    encoded = other.encode(model)
    store.write("c/0", [b"junk", encoded[: -other.index_nbytes], b"more junk", _shifted(other, encoded, 4)])
    before = _encoded_chunks(store, array)
    array[0] = 100
    after = _encoded_chunks(store, array)
    assert after[1,] == before[1,]
    assert array[...].tolist() == [100, *range(1, 8)]


def _shifted(codec, encoded, by):
    index = codec.read_index(encoded)
    entries = index.entries.copy()
    entries[index.present, 0] += np.uint64(by)
    return codec.encode_index(type(index)(entries, index.chunks_per_shard))


def _encoded_chunks(store, array, key=None):
    encoded = bytes(store.read(key or array.shard_key((0,) * array.ndim), [WHOLE])[0])
    index = array.codec.read_index(encoded)
    found = {}
    for coords in np.ndindex(array.codec.chunks_per_shard):
        lies = index[coords]
        found[coords] = None if lies is None else encoded[lies.offset : lies.offset + lies.nbytes]
    return found


def test_damage_is_not_written_over():
    """A part write into a shard that cannot be read is an error that names it; the shard stays as it was."""
    store = MemoryStore()
    array = _create(store)
    array[...] = 1
    damaged = bytes(store.read("c/0/0", [WHOLE])[0])[:-1] + b"\0"
    store.write("c/0/0", [damaged])
    with pytest.raises(zsc.CorruptShardError) as caught:
        array[0, 0] = 2
    assert (caught.value.reason, caught.value.key) == ("index_checksum_mismatch", "c/0/0")
    assert bytes(store.read("c/0/0", [WHOLE])[0]) == damaged
    array[0:4, 0:6] = 3
    assert array[0, 0] == 3


def test_reading_only_refuses_writing(forbidden_store):
    """mode="r" refuses write and resize before the store is touched."""
    document = _create(MemoryStore()).metadata
    array = zsc.open(forbidden_store(), metadata=document)
    for act in (lambda: array.__setitem__(0, 1), lambda: array.resize((1, 1))):
        with pytest.raises(zsc.UsageError) as caught:
            act()
        assert caught.value.reason == "read_only"


def test_an_array_says_what_it_is(tmp_path):
    """The attributes are NumPy's and the metadata's; fill_value is a scalar; attributes are a copy."""
    array = _create(
        tmp_path,
        fill_value=-1,
        dimension_names=["y", None],
        attributes={"a": [1]},
        codecs=[LITTLE],
    )
    assert (array.shape, array.ndim, array.dtype, len(array)) == ((10, 9), 2, np.dtype("i4"), 10)
    assert (array.shard_shape, array.inner_chunk_shape) == ((4, 6), (2, 3))
    assert type(array.fill_value) is np.int32
    assert array.fill_value == -1
    assert array.dimension_names == ("y", None)
    array.attributes["a"].append(2)
    assert array.attributes == {"a": [1]}
    assert "shard_shape=(4, 6) inner_chunk_shape=(2, 3)" in repr(array)
    assert np.asarray(array).tolist() == [[-1] * 9] * 10
    assert [row.tolist() for row in array] == [[-1] * 9] * 10


def test_a_transposed_array_tells_inner_chunks_by_its_own_axes():
    """inner_chunk_shape is in the order of the array's axes, whatever stands before the shards."""
    plain = _create(MemoryStore(), shape=(8, 6, 4), shard=(4, 6, 2), inner=(2, 3, 1))
    document = json.loads(plain.metadata.to_bytes())
    sharding = document["codecs"][0]
    sharding["configuration"]["chunk_shape"] = [3, 1, 2]
    document["codecs"].insert(0, {"name": "transpose", "configuration": {"order": [1, 2, 0]}})
    array = zsc.open(MemoryStore(), "r+", metadata=document)
    assert array.inner_chunk_shape == (2, 3, 1)
    model = np.arange(8 * 6 * 4, dtype="i4").reshape(8, 6, 4)
    array[...] = model
    array[1:7, 2, 1:] = model[1:7, 2, 1:] = -1
    assert _same(array[...], model)
    assert _same(array[::-2, 3:, 2], model[::-2, 3:, 2])


@pytest.mark.parametrize("order", ["lexicographic", "reverse"])
def test_an_array_travels_by_pickle(tmp_path, order):
    """An array that was sent to another process reads and writes the same store, in the same way."""
    array = _create(tmp_path, path="a/b", chunk_order=order)
    array[...] = 4
    again = pickle.loads(pickle.dumps(array))
    again[0, 0] = 5
    assert (again.path, again.mode, again.chunk_order) == ("a/b", "r+", order)
    assert again.metadata == array.metadata
    assert array[0, 0] == 5


def test_a_flipped_byte_never_becomes_data_with_what_create_chooses():
    """The default codecs carry checksums: any byte of a shard flipped is an error, never other values."""
    store = MemoryStore()
    array = zsc.create(store, shape=64, dtype="u2", shard_shape=64, inner_chunk_shape=16)
    values = np.arange(64, dtype="u2") * 31
    array[...] = values
    encoded = bytes(store.read("c/0", [WHOLE])[0])
    for at in range(len(encoded)):
        store.write("c/0", [encoded[:at], bytes([encoded[at] ^ 0x10]), encoded[at + 1 :]])
        try:
            found = array[...]
        except zsc.CorruptShardError:
            continue
        assert (found == values).all()


@pytest.mark.parametrize(
    "wrong", [np.array([1, 2]), np.array([True, False] * 32), [1], True, None, 1.5, "0", np.newaxis]
)
def test_what_is_no_basic_selection_says_what_to_do(wrong):
    """Lists, masks and the like get an error that says how to read instead."""
    array = zsc.create(MemoryStore(), shape=64, dtype="u2", shard_shape=64, inner_chunk_shape=16)
    with pytest.raises(zsc.SelectionError, match="read the slice that covers them"):
        array[wrong]


def test_arguments_of_the_wrong_kind_are_usage_errors():
    """Nothing of Python's own comes out of create for an argument of the wrong kind."""
    good = {"shape": 64, "dtype": "u2", "shard_shape": 64, "inner_chunk_shape": 16}
    for wrong in ({"codecs": "zstd"}, {"index_codecs": {}}, {"attributes": [1]}, {"shape": None}):
        with pytest.raises(zsc.ZarrShardError):
            zsc.create(MemoryStore(), **{**good, **wrong})
    with pytest.raises(zsc.UsageError):
        zsc.create(MemoryStore(), **good).codec.encode([1] * 64)


@pytest.mark.parametrize("size", [2**53 - 1, 2**53 + 1, 2**62])
def test_strides_over_an_axis_longer_than_floats_count(size):
    """Every element that is wanted is read, and every one that is set is written."""
    array = zsc.create(
        MemoryStore(), shape=(size,), dtype="u8", shard_shape=(1024,), inner_chunk_shape=(512,)
    )
    step = size - 1
    array[::step] = [7, 8]
    assert array[::step].tolist() == [7, 8]
    assert [int(array[0]), int(array[step])] == [7, 8]
