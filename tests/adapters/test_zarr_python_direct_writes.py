"""Selections that are written past zarr-python's division into chunks: the same as by it, and as NumPy's."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr
from drawing import integer_or_slice
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import TransposeCodec

import zarr_shard_codec as zsc
from zarr_shard_codec.adapters.zarr_python import writing
from zarr_shard_codec.adapters.zarr_python.direct import Direct

SHAPE = (13, 10, 9)
DATA = np.random.default_rng(3).integers(-9, 9, SHAPE).astype("f4")
OPTIONS = {"shape": SHAPE, "dtype": "f4", "shards": (4, 6, 6), "chunks": (2, 3, 6), "fill_value": 0}
WHOLE = np.ones((4, 6, 6), "f4")


@pytest.fixture(scope="module", params=["replace", "append", "in_place", "durable", "transposed"])
def array(request, tmp_path_factory):
    """Of each way of writing, and one whose axes lie in another order."""
    options = {"durable": True} if request.param == "durable" else {"write_strategy": request.param}
    with zsc.enable(**({} if request.param == "transposed" else options)):
        filters = [TransposeCodec(order=(2, 0, 1))] if request.param == "transposed" else None
        path = tmp_path_factory.mktemp("array")
        return zarr.create_array(path, **OPTIONS, filters=filters, compressors=None)


@pytest.fixture
def indirect(monkeypatch):
    """How often something was written through the host's chunks."""
    calls, prepare = [], writing.prepare
    monkeypatch.setattr(writing, "prepare", lambda *args: calls.append(1) or prepare(*args))
    return calls


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_integers_and_slices(array, data):
    """Several in turn, of all kinds of memory: what we and another reader see is as NumPy's."""
    expected = DATA.copy()
    array[...] = DATA
    for _ in range(data.draw(st.integers(1, 4))):
        selection = tuple(data.draw(integer_or_slice(size)) for size in SHAPE[: data.draw(st.integers(0, 3))])
        value = np.asarray(expected[selection] + data.draw(st.sampled_from([1, 0, np.float32(-0.0)])))
        if data.draw(st.booleans()):
            value = np.zeros_like(value)
        if value.ndim and data.draw(st.booleans()):
            value = np.asfortranarray(value)
        if data.draw(st.booleans()):
            value = np.broadcast_to(value, value.shape)
        array[selection] = expected[selection] = value.astype("f4", copy=False)
        assert np.array_equal(array[...], expected)
    assert zsc.open(array.store.root)[...].tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("write", "times"),
    [
        (lambda array: array.__setitem__((slice(4, 8), slice(0, 6), slice(0, 6)), WHOLE), 0),
        (lambda array: array.__setitem__((3, slice(0, 6), slice(0, 6)), WHOLE[0]), 0),
        (lambda array: array.__setitem__((3, 4, 5), np.array(1, "f4")), 0),
        (lambda array: array.__setitem__((slice(0, 8, 2), slice(0, 6), slice(0, 6)), WHOLE), 0),
        (lambda array: array.blocks.__setitem__((1, 0, 0), WHOLE), 0),
        (lambda array: array.oindex.__setitem__((slice(4, 8), slice(0, 6), slice(0, 6)), WHOLE), 0),
        (lambda array: array.oindex.__setitem__(([0, 1, 2, 5], slice(0, 6), slice(0, 6)), WHOLE), 1),
        (lambda array: array.__setitem__((slice(4, 8), slice(0, 6), slice(0, 6)), WHOLE.astype("f8")), 1),
        (lambda array: array.__setitem__((slice(4, 8), slice(0, 6), slice(0, 6)), WHOLE.astype(">f4")), 1),
        (lambda array: array.__setitem__((slice(4, 8), slice(0, 6), slice(0, 6)), WHOLE[:1]), 1),
        (lambda array: array.__setitem__((slice(4, 8), slice(0, 6), slice(0, 6)), WHOLE.tolist()), 1),
        (lambda array: array.__setitem__(..., 1), 1),
        (lambda array: array.__setitem__(slice(0, 4), np.ma.masked_equal(DATA[:4], 1)), 1),
        (lambda array: array.vindex.__setitem__(([1, 2], [1, 2], [1, 2]), np.ones(2, "f4")), 1),
    ],
)
def test_what_is_written_directly(array, indirect, write, times):
    """Boxes of NumPy's values, of the array's own type and the selection's shape; nothing else."""
    write(array)
    assert len(indirect) == times


def test_without_elements_nothing_is_written(array):
    """No shard is made, and none is changed."""
    array[...] = DATA
    before = {path: path.stat().st_mtime_ns for path in array.store.root.rglob("*") if path.is_file()}
    array[3:3] = np.empty((0, 10, 9), "f4")
    assert before == {path: path.stat().st_mtime_ns for path in array.store.root.rglob("*") if path.is_file()}


def test_what_lies_beyond_the_edge_stays_as_with_the_host(tmp_path, monkeypatch, indirect):
    """An array that has shrunk and grows again shows the same, whichever way it was written meanwhile."""
    found = []
    for direct in (True, False):
        with zsc.enable():
            array = zarr.create_array(tmp_path / str(direct), **OPTIONS)
        if not direct:
            monkeypatch.setattr(Direct, "write", lambda *_arguments: False)
        array[...] = DATA
        array.resize((5, 8, 9))
        array[2:5, 1:8, 2:9] = np.full((3, 7, 7), 5, "f4")
        array.resize(SHAPE)
        found.append(array[...])
    assert len(indirect) == 2
    assert found[0].tobytes() == found[1].tobytes()


def test_a_store_that_is_open_for_reading_only(array):
    """The host's own error."""
    reading = zarr.open_array(array.store.root, mode="r")
    with pytest.raises(ValueError, match="read-only"):
        reading[:4, :6, :6] = WHOLE


def test_settings_of_the_host_that_change_what_is_written(tmp_path, indirect):
    """Empty chunks that are to be written are left to the host."""
    with zsc.enable():
        array = zarr.create_array(tmp_path, **OPTIONS, config={"write_empty_chunks": True})
    array[...] = np.zeros(SHAPE, "f4")
    assert indirect
    assert (tmp_path / "c/0/0/0").exists()


def test_a_broken_shard_is_named_and_left_alone(tmp_path):
    """Which chunk, in which store: as for reads."""
    with zsc.enable():
        array = zarr.create_array(tmp_path, **OPTIONS)
    array[...] = DATA
    shard = tmp_path / "c/0/0/0"
    shard.write_bytes(broken := shard.read_bytes()[:-1])
    with pytest.raises(zsc.CorruptShardError, match=f"c/0/0/0 in {tmp_path}: "):
        array[:2, :3, :6] = np.ones((2, 3, 6), "f4")
    assert shard.read_bytes() == broken


def test_an_array_without_axes(tmp_path):
    """One element, one chunk, one shard."""
    with zsc.enable():
        array = zarr.create_array(tmp_path, shape=(), shards=(), chunks=(), dtype="i2")
    array[...] = np.array(7, "i2")
    assert array[...] == 7
    assert array[()] == 7
    assert json.loads((tmp_path / "zarr.json").read_text())["shape"] == []
    assert zsc.open(tmp_path)[...] == 7
