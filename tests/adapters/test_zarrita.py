"""zarrita (Python) with `enable()`: what its own tests of Zarr v3 hold, and what ours adds."""

import asyncio
import json
import pickle
import sys
import threading

import numpy as np
import pytest

import zarr_shard_codec as zsc

if sys.version_info >= (3, 12):
    pytest.skip("zarrita (Python) needs a zstandard that 3.12 has not", allow_module_level=True)

import zarrita
from zarrita import Array, codecs, runtime_configuration
from zarrita.metadata import ShardingCodecIndexLocation

from zarr_shard_codec.adapters import zarrita as adapter

DATA = np.random.default_rng(4).integers(0, 2**16, (40, 36, 32), "u2")
LITTLE, ZSTD = codecs.bytes_codec(), codecs.zstd_codec()


class _Delegating(zarrita.MemoryStore):
    """A store that is none of ours: a dictionary, reached through zarrita's calls, which are counted."""

    def __init__(self):
        super().__init__()
        self.requests = []

    async def get_async(self, key, byte_range=None):
        self.requests.append((key, byte_range))
        return await super().get_async(key, byte_range)


@pytest.fixture(autouse=True)
def enabled():
    """All tests here run with the adapter on."""
    with adapter.enable():
        yield


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path):
    """A local store, which ours reads by itself, and one that is reached through zarrita."""
    return zarrita.LocalStore(tmp_path) if request.param == "local" else _Delegating()


def _create(store, *, path="a", shape=DATA.shape, shard=(16, 16, 16), inner=(8, 8, 8), **options):
    sharding = {
        name: options.pop(name) for name in ("codecs", "index_codecs", "index_location") if name in options
    }
    kind = {"fill_value": 7, "dtype": "uint16"} | options
    chain = [codecs.sharding_codec(inner, **sharding)]
    return Array.create(store / path, shape=shape, chunk_shape=shard, codecs=chain, **kind)


def _keys(store):
    if isinstance(store, zarrita.LocalStore):
        files = (
            path for path in store.root.rglob("*") if path.is_file() and not path.name.startswith(".zsc")
        )
        return {path.relative_to(store.root).as_posix() for path in files}
    return set(store.store_dict)


def _host_reads(array):
    """What zarrita reads of the same array when it is left alone."""
    adapter.disable()
    try:
        alone = Array.open(array.store_path)
        assert not isinstance(alone.codec_pipeline.codecs[-1], adapter.ShardingCodec)
        return alone[:]
    finally:
        adapter.enable()


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize(
    "chain",
    [
        [LITTLE],
        [codecs.bytes_codec("big"), codecs.crc32c_codec()],
        [LITTLE, codecs.gzip_codec(3)],
        [LITTLE, codecs.zstd_codec(3, checksum=True)],
        [LITTLE, codecs.blosc_codec(typesize=2, cname="lz4", shuffle="bitshuffle")],
        [codecs.transpose_codec((2, 0, 1)), LITTLE, ZSTD],
        [codecs.transpose_codec("F"), LITTLE],
        [codecs.transpose_codec("C"), LITTLE],
    ],
    ids=["bytes", "big-crc32c", "gzip", "zstd", "blosc", "transpose", "F", "C"],
)
def test_what_is_written_is_read_with_and_without_us(store, chain, location):
    """Every inner chain of zarrita's, index first or last: whole, and edges of the array included."""
    array = _create(store, codecs=chain, index_location=ShardingCodecIndexLocation(location))
    assert isinstance(array.codec_pipeline.codecs[0], adapter.ShardingCodec)
    array[:] = DATA
    np.testing.assert_array_equal(array[:], DATA)
    np.testing.assert_array_equal(Array.open(array.store_path)[:], DATA)
    np.testing.assert_array_equal(_host_reads(array), DATA)


@pytest.mark.parametrize("location", ["start", "end"])
def test_what_zarrita_wrote_alone_is_read(store, location):
    """Shards that zarrita wrote by itself, Morton order and all."""
    adapter.disable()
    array = _create(store, codecs=[LITTLE, ZSTD], index_location=location)
    array[:] = DATA
    adapter.enable()
    np.testing.assert_array_equal(Array.open(array.store_path)[3:, ::5, 7:8], DATA[3:, ::5, 7:8])


def test_metadata_is_what_zarrita_writes(tmp_path):
    """`zarr.json` is the same with us and without, byte for byte."""
    for on in (adapter.enable, adapter.disable):
        on()
        _create(zarrita.LocalStore(tmp_path), path=on.__name__, codecs=[codecs.transpose_codec("F"), LITTLE])
    with_us, without = (tmp_path / name / "zarr.json" for name in ("enable", "disable"))
    assert with_us.read_bytes() == without.read_bytes()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("stored", ["C", "F"])
def test_the_order_in_memory_is_the_readers_choice(store, order, stored):
    """`order` at run time says how results lie in memory, whatever lies in the store."""
    array = _create(store, inner=(8, 8, 16), codecs=[codecs.transpose_codec(stored), LITTLE])
    array[:] = np.asfortranarray(DATA)
    again = Array.open(array.store_path, runtime_configuration=runtime_configuration(order))
    found = again[:]
    np.testing.assert_array_equal(found, DATA)
    assert found.flags[f"{order}_CONTIGUOUS"]


def test_parts_are_written_and_read(store):
    """Any slices, written over each other, read as NumPy has them; the rest is fill value."""
    array, model = _create(store, codecs=[LITTLE, ZSTD]), np.full(DATA.shape, 7, "u2")
    parts = [np.s_[:10, :10, :10], np.s_[5:33, 11:12, :], np.s_[16:32, 16:32, 16:32], np.s_[::3, 1::2, ::7]]
    for part in parts:
        array[part] = model[part] = DATA[part]
        np.testing.assert_array_equal(array[:], model)
    for part in [*parts, np.s_[5:5, :, :], np.s_[39:, 35:, 31:], np.s_[:, 3:20, 4:5]]:
        np.testing.assert_array_equal(array[part], model[part])
    np.testing.assert_array_equal(_host_reads(array), model)


def test_a_scalar_fills_whole_shards(store):
    """What zarrita takes for whole chunks: a number for all elements."""
    array = _create(store)
    array[:16, :16, :16] = 9
    assert (array[:16, :16, :16] == 9).all()


def test_nested_shards(store):
    """Shards within shards, each with its own place of the index."""
    inner = codecs.sharding_codec((4, 4, 4), [LITTLE, ZSTD], index_location=ShardingCodecIndexLocation.start)
    array = _create(store, shard=(32, 32, 32), inner=(16, 16, 16), codecs=[inner])
    array[:] = DATA
    array[3:7, 20:, :2] = DATA[:4, :16, :2]
    expected = DATA.copy()
    expected[3:7, 20:, :2] = DATA[:4, :16, :2]
    np.testing.assert_array_equal(array[2:9, 10:30, :], expected[2:9, 10:30, :])
    np.testing.assert_array_equal(_host_reads(array), expected)


@pytest.mark.filterwarnings("ignore:Combining a `sharding_indexed` codec:UserWarning")
def test_codecs_around_shards(store):
    """With a transpose before the shard or gzip after it, zarrita calls the codec on whole shards."""
    chain = [codecs.transpose_codec((1, 2, 0)), codecs.sharding_codec((8, 4, 8), [LITTLE, ZSTD])]
    array = Array.create(
        store / "a",
        shape=DATA.shape,
        chunk_shape=(16, 16, 16),
        dtype="uint16",
        fill_value=0,
        codecs=[*chain, codecs.gzip_codec(1)],
    )
    array[:] = DATA
    array[:3, 5:6, :] = 0 * DATA[:3, 5:6, :]
    expected = DATA.copy()
    expected[:3, 5:6] = 0
    np.testing.assert_array_equal(array[1:30, 3:7, :], expected[1:30, 3:7, :])
    np.testing.assert_array_equal(_host_reads(array), expected)


def test_shards_of_fill_value_are_deleted(store):
    """A shard that comes to hold nothing but fill value is no object, set whole or in parts."""
    array = _create(store)
    array[:] = DATA
    array[:16, :16, :16] = np.full((16, 16, 16), 7, "u2")
    assert "a/c/0/0/0" not in _keys(store)
    array[16:32, :16, :8] = np.full((16, 16, 8), 7, "u2")
    assert "a/c/1/0/0" in _keys(store)
    array[16:32, :16, 8:16] = np.full((16, 16, 8), 7, "u2")
    assert "a/c/1/0/0" not in _keys(store)
    assert (array[:32, :16, :16] == 7).all()


def test_fill_values_are_compared_by_their_bits(tmp_path):
    """-0.0 is not 0.0: it is stored, and comes back, where zarrita alone takes the shard for empty."""
    array = _create(zarrita.LocalStore(tmp_path), dtype="float32", fill_value=0.0)
    array[:16, :16, :16] = np.full((16, 16, 16), -0.0, "f4")
    assert np.signbit(array[:16, :16, :16]).all()


def test_creating_over_an_array_needs_exists_ok(store):
    """`exists_ok`, as zarrita has it."""
    _create(store)
    with pytest.raises(AssertionError):
        _create(store)
    assert _create(store, shape=(8, 8, 8), exists_ok=True).shape == (8, 8, 8)


def test_attributes_and_shape_change(store):
    """`update_attributes` and `resize`; shards beyond the new shape are gone."""
    array = _create(store, attributes={"a": 1})
    array[:] = DATA
    array = array.update_attributes({"b": 2}).resize((16, 36, 32))
    array = Array.open(array.store_path)
    assert array.metadata.attributes == {"b": 2}
    assert not any(key.startswith("a/c/1") for key in _keys(store))
    np.testing.assert_array_equal(array[:], DATA[:16])


@pytest.mark.parametrize("kind", ["default", "v2"])
@pytest.mark.parametrize("separator", [".", "/"])
def test_dimension_separators(store, kind, separator):
    """Keys are zarrita's business; ours takes them as they are."""
    array = _create(store, chunk_key_encoding=(kind, separator))
    array[:] = DATA
    array[:3, :3, :3] = DATA[1:4, 1:4, 1:4]
    np.testing.assert_array_equal(array[:3, :3, :3], DATA[1:4, 1:4, 1:4])
    prefix = ["c"] if kind == "default" else []
    assert "a/" + separator.join([*prefix, "2", "2", "1"]) in _keys(store)


def test_unsharded_arrays_are_left_to_zarrita(store):
    """Arrays without shards go on as before."""
    array = Array.create(
        store / "a", shape=DATA.shape, chunk_shape=(16, 16, 16), dtype="uint16", codecs=[LITTLE, ZSTD]
    )
    array[:] = DATA
    array[:, 3:5, :] = DATA[:, 5:7, :]
    np.testing.assert_array_equal(array[:, 3:5, :], DATA[:, 5:7, :])


def test_async_calls(store):
    """The async family, on a loop of the caller's."""

    async def go():
        sharding = codecs.sharding_codec((8, 8, 8), [LITTLE, ZSTD])
        array = await Array.create_async(
            store / "a",
            shape=DATA.shape,
            chunk_shape=(16, 16, 16),
            dtype="uint16",
            fill_value=7,
            codecs=[sharding],
        )
        await array.async_[:].set(DATA)
        await array.async_[1:3, :, 5:6].set(DATA[5:7, :, :1])
        again = await Array.open_async(store / "a")
        return await again.async_[1:3, :, :].get()

    expected = DATA[1:3].copy()
    expected[:, :, 5:6] = DATA[5:7, :, :1]
    np.testing.assert_array_equal(asyncio.run(go()), expected)


def test_an_array_travels(tmp_path):
    """Pickled arrays read the same, whether or not the adapter is on where they arrive."""
    array = _create(zarrita.LocalStore(tmp_path))
    array[:] = DATA
    bytes_ = pickle.dumps(array)
    adapter.disable()
    np.testing.assert_array_equal(pickle.loads(bytes_)[:], DATA)
    alone = pickle.dumps(Array.open(array.store_path))
    adapter.enable()
    np.testing.assert_array_equal(pickle.loads(alone)[:], DATA)


def test_enable_ends_with_its_block(tmp_path):
    """Inside the block, arrays go through ours; within another such block as well; after it they do not."""
    adapter.disable()
    store = zarrita.LocalStore(tmp_path)
    with adapter.enable():
        with adapter.enable():
            pass
        assert isinstance(_create(store, path="a").codec_pipeline.codecs[0], adapter.ShardingCodec)
    assert not isinstance(_create(store, path="b").codec_pipeline.codecs[0], adapter.ShardingCodec)


def test_parts_that_threads_write_at_once_are_all_kept(store):
    """Writers of parts of one shard take turns, whichever loop they are on."""
    array = _create(store, shape=(64, 8, 8), shard=(64, 8, 8), inner=(8, 8, 8))

    def write(at):
        async def go():
            await array.async_[at : at + 1].set(np.full((1, 8, 8), at + 100, "u2"))

        asyncio.run(go())

    threads = [threading.Thread(target=write, args=(at,)) for at in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (array[:] == np.arange(100, 164, dtype="u2")[:, None, None]).all()


def test_a_read_of_a_part_asks_for_the_index_and_one_range():
    """Through zarrita's stores: two requests, neighbouring inner chunks in one."""
    store = _Delegating()
    array = _create(store, shape=(16, 16, 16))
    array[:] = DATA[:16, :16, :16]
    store.requests.clear()
    array[:8, :8, :]
    assert store.requests == [("a/c/0/0/0", (-132, None)), ("a/c/0/0/0", (0, 2048))]


def test_local_shards_are_replaced_atomically(tmp_path, monkeypatch):
    """The host's own writing, which truncates the file first, is not used for shards of local files."""
    array = _create(zarrita.LocalStore(tmp_path))
    monkeypatch.setattr(zarrita.LocalStore, "_put_file", None)
    array[:] = DATA
    array[:3, :3, :3] = DATA[:3, :3, :3]
    np.testing.assert_array_equal(array[:], DATA)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda shard: shard[:-1] + bytes([shard[-1] ^ 1]), "index_checksum_mismatch"),
        (lambda shard: shard[:100], "shard_too_short"),
        (lambda _: b"", "shard_too_short"),
    ],
)
def test_a_broken_shard_is_a_typed_error(store, damage, reason):
    """Reading and changing a broken shard both say what is wrong and where, and leave it as it is."""
    array = _create(store)
    array[:] = DATA
    if isinstance(store, zarrita.LocalStore):
        path = store.root / "a/c/0/0/0"
        path.write_bytes(damage(path.read_bytes()))
    else:
        store.store_dict["a/c/0/0/0"] = damage(store.store_dict["a/c/0/0/0"])
    for attempt in (
        lambda: array[:3, :3, :3],
        lambda: array.__setitem__(np.s_[:3, :3, :3], DATA[:3, :3, :3]),
    ):
        with pytest.raises(zsc.CorruptShardError) as caught:
            attempt()
        assert isinstance(caught.value, ValueError)
        assert caught.value.reason == reason
        assert caught.value.key == "a/c/0/0/0"


def test_an_index_entry_past_the_end_is_a_typed_error():
    """Also where the store refuses such a range, as object stores do."""

    class Refusing(_Delegating):
        async def get_async(self, key, byte_range=None):
            if byte_range is not None and byte_range[0] >= len(self.store_dict[key]):
                raise OSError("The requested range is not satisfiable")
            return await super().get_async(key, byte_range)

    store = Refusing()
    array = _create(store, shape=(16, 16, 16), index_codecs=[LITTLE])
    array[:] = DATA[:16, :16, :16]
    shard = bytearray(store.store_dict["a/c/0/0/0"])
    shard[-128:-120] = (10**9).to_bytes(8, "little")
    store.store_dict["a/c/0/0/0"] = bytes(shard)
    with pytest.raises(zsc.CorruptShardError) as caught:
        array[:3, :3, :3]
    assert caught.value.reason in {"entry_out_of_bounds", "inner_chunk_wrong_size"}
    np.testing.assert_array_equal(array[8:, 8:, 8:], DATA[8:16, 8:16, 8:16])


def test_what_ours_lacks_stays_with_zarrita_and_is_said_once(tmp_path, caplog):
    """A codec that ours cannot build leaves sharding to zarrita's own codec; the log names it, once."""
    store = zarrita.LocalStore(tmp_path)
    # An index that is compressed has no fixed size; zarrita finds that out when it writes.
    for path in "ab":
        array = _create(store, path=path, index_codecs=[LITTLE, codecs.gzip_codec()])
        assert not isinstance(array.codec_pipeline.codecs[0], adapter.ShardingCodec)
    assert len([record for record in caplog.records if record.name == "zarr_shard_codec"]) == 1


def test_zarr_json_written_by_others_opens(tmp_path):
    """An array of ours, the sharding codec's every key written out."""
    ours = zsc.create(
        tmp_path / "a", shape=DATA.shape, dtype="u2", shard_shape=(16, 16, 16), inner_chunk_shape=(8, 8, 8)
    )
    ours[...] = DATA
    assert (
        "index_location" in json.loads((tmp_path / "a/zarr.json").read_text())["codecs"][0]["configuration"]
    )
    np.testing.assert_array_equal(Array.open(zarrita.LocalStore(tmp_path) / "a")[:], DATA)
