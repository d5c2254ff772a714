"""zarr-python's selections under our pipeline and codec: the values of the same calls without us."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zarr.registry import register_codec
from zarr.storage import MemoryStore

import zarr_shard_codec as zsc
from zarr_shard_codec.adapters.zarr_python import ShardingCodec
from zarr_shard_codec.engine.known_shards import KnownShards
from zarr_shard_codec.stores import open_file

FUSED = "zarr.core.codec_pipeline.FusedCodecPipeline"
OUR_CODEC = "zarr_shard_codec.adapters.zarr_python.ShardingCodec"


def _with_codec(**settings):
    """Our codec in the host's pipeline, as it is without ours."""
    register_codec("sharding_indexed", ShardingCodec)
    return zarr.config.set({"codecs.sharding_indexed": OUR_CODEC} | settings)


WAYS = {"enable": zsc.enable, "codec": _with_codec}
if hasattr(zarr.core.codec_pipeline, "FusedCodecPipeline"):  # 3.4 and newer
    WAYS["codec, fused"] = lambda: _with_codec(**{"codec_pipeline.path": FUSED})


@st.composite
def grids(draw):
    """Shape, shard shape, inner chunk shape."""
    ndim = draw(st.integers(1, 3))
    inner = [draw(st.integers(1, 4)) for _ in range(ndim)]
    shards = [size * draw(st.integers(1, 3)) for size in inner]
    return tuple(draw(st.integers(1, 14)) for _ in range(ndim)), tuple(shards), tuple(inner)


def indices(size, *, length=None):
    """A list of indices along an axis, negative ones and repetitions among them."""
    return st.lists(st.integers(-size, size - 1), min_size=length or 1, max_size=length or 5)


@st.composite
def slices(draw, size):
    """A slice with a positive step, perhaps empty."""
    start, stop = draw(st.integers(0, size)), draw(st.integers(0, size))
    return slice(start, stop, draw(st.integers(1, 5)))


@st.composite
def selections(draw, shape):
    """How to index, and with what."""
    kind = draw(st.sampled_from(["basic", "orthogonal", "points", "mask"]))
    if kind == "basic":
        return kind, tuple(draw(st.one_of(slices(n), st.integers(-n, n - 1))) for n in shape)
    if kind == "orthogonal":
        booleans = [st.lists(st.booleans(), min_size=n, max_size=n).map(np.array) for n in shape]
        items = [
            st.one_of(slices(n), st.integers(-n, n - 1), indices(n), mask)
            for n, mask in zip(shape, booleans, strict=True)
        ]
        return kind, tuple(draw(item) for item in items)
    if kind == "points":
        length = draw(st.integers(1, 6))
        return kind, tuple(np.array(draw(indices(n, length=length))) for n in shape)
    seed = draw(st.integers(0, 2**32 - 1))
    return kind, np.random.default_rng(seed).random(shape) < draw(st.sampled_from([0.1, 0.7]))


def set_by_numpy(array, kind, selection, value):
    """What the host's selections mean, by NumPy's."""
    if kind != "orthogonal":
        array[selection] = value
        return
    mesh = np.ix_(
        *(np.atleast_1d(np.arange(size)[item]) for item, size in zip(selection, array.shape, strict=True))
    )
    array[mesh] = np.reshape(value, array[mesh].shape) if np.ndim(value) else value


def indexer(array, kind):
    """What is indexed, of the host's array."""
    return {"basic": array, "orthogonal": array.oindex}.get(kind, array.vindex)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("on_disk", [True, False], ids=["local", "memory"])
@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_every_selection_gives_and_sets_what_the_host_alone_would(tmp_path_factory, way, on_disk, data):
    """Basic, orthogonal, point and mask selections: read and written, on our stores and on the host's."""
    shape, shards, inner = data.draw(grids())
    kind, selection = data.draw(selections(shape))
    start = np.arange(np.prod(shape), dtype="int32").reshape(shape) % 7  # some inner chunks all fill value

    def stored(name):
        return tmp_path_factory.mktemp(name) if on_disk else zarr.storage.MemoryStore()

    plain_store, our_store = stored("plain"), stored("ours")
    options = {"shape": shape, "dtype": "int32", "shards": shards, "chunks": inner}
    plain = zarr.create_array(plain_store, **options)
    with WAYS[way]():
        ours = zarr.open_array(zarr.create_array(our_store, **options).store_path)
    plain[...] = start
    ours[...] = start
    assert np.array_equal(zarr.open_array(our_store)[...], start)

    expected = indexer(plain, kind)[selection]
    found = indexer(ours, kind)[selection]
    assert found.dtype == expected.dtype
    assert np.shape(found) == np.shape(expected)
    assert np.array_equal(found, expected)

    after, chosen = start.copy(), np.zeros(shape, bool)
    set_by_numpy(chosen, kind, selection, value=True)
    repeated = chosen.sum() < np.size(expected)  # then no host says which of an element's values stays
    block = -1 - np.arange(np.size(expected)).reshape(np.shape(expected))
    written = -5 if repeated or data.draw(st.booleans()) else block
    taken = []
    for array in (plain, ours):
        with contextlib.suppress(IndexError, ValueError):
            indexer(array, kind)[selection] = written
            taken.append(array)
    assert ours in taken or plain not in taken
    if ours in taken:  # the host takes some of these, too, and sets other elements
        set_by_numpy(after, kind, selection, written)
        assert np.array_equal(zarr.open_array(our_store)[...], after)


@pytest.mark.parametrize("way", WAYS)
def test_a_selection_of_nothing_sets_nothing(way):
    """An empty slice beside a list of indices, of which the host makes a chunk with nothing selected."""
    store = zarr.storage.MemoryStore()
    with WAYS[way]():
        made = zarr.create_array(store, shape=(1, 2, 1), dtype="int32", shards=(1, 3, 1), chunks=(1, 1, 1))
        array = zarr.open_array(made.store_path)
    array.oindex[0, slice(2, 1), [0, 0]] = -5
    assert not array[...].any()


def test_parts_of_shards_whose_index_is_known_are_read_without_a_conversation(tmp_path, monkeypatch):
    """From files, whatever the selection is; what is read is the same."""
    monkeypatch.setattr(open_file, "_SETTLED_NS", -(10**12))
    monkeypatch.setattr(open_file, "_SETTLED_COARSE_NS", -(10**12))
    values = np.arange(48 * 40, dtype="u2").reshape(48, 40)
    layout = {"shape": values.shape, "shard_shape": (32, 24), "inner_chunk_shape": (8, 6)}
    zsc.create(tmp_path, dtype="u2", **layout)[...] = values
    answers = []
    plain = KnownShards.read

    def read(self, *arguments):
        answers.append(plain(self, *arguments))
        return answers[-1]

    monkeypatch.setattr(KnownShards, "read", read)
    with zsc.enable():
        array = zarr.open_array(tmp_path, mode="r")
        for expected in (False, True):
            answers.clear()
            assert np.array_equal(array[5:47, 3:39], values[5:47, 3:39])
            assert [answer is not None for answer in answers] == [expected] * 4
        answers.clear()
        assert np.array_equal(array.oindex[[1, 9, 40], 3:39], values[[1, 9, 40], 3:39])
        assert answers
        assert None not in answers


@pytest.mark.parametrize("value", [[7], np.array([7], "i2"), np.array([[7]], "i2")])
def test_one_element_for_one_element(value):
    """However many axes of length one it has, as NumPy takes it."""
    with zsc.enable():
        array = zarr.create_array(MemoryStore(), shape=(4, 6), dtype="i2", shards=(4, 6), chunks=(2, 3))
        array[1, 2] = value
        assert array[1, 2] == 7
        assert array[...].sum() == 7
