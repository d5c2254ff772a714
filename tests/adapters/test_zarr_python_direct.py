"""Selections that are read past zarr-python's division into chunks: the same as by it, and as NumPy's."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import zarr
from drawing import integer_or_slice
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import TransposeCodec

import zarr_shard_codec as zsc
from zarr_shard_codec.adapters.zarr_python import reading
from zarr_shard_codec.adapters.zarr_python.direct import Direct
from zarr_shard_codec.core.projection import AxisProjection

SHAPE = (13, 10, 9)
DATA = np.random.default_rng(3).integers(-9, 9, SHAPE).astype("f4")
DATA[4:8, :6, 6:] = 0
OPTIONS = {"shape": SHAPE, "dtype": "f4", "shards": (4, 6, 6), "chunks": (2, 3, 6), "fill_value": 0}


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    """One in the order of its axes, one transposed; shards are missing where all is fill value."""
    with zsc.enable():
        made = [
            zarr.create_array(tmp_path_factory.mktemp("array"), **OPTIONS),
            zarr.create_array(
                tmp_path_factory.mktemp("array"), **OPTIONS, filters=[TransposeCodec(order=(2, 0, 1))]
            ),
        ]
    for array in made:
        array[...] = DATA
    assert not (made[0].store.root / "c/1/0/1").exists()
    return made


@pytest.fixture
def indirect(monkeypatch):
    """How often something was read through the host's chunks."""
    calls, prepare = [], reading.prepare
    monkeypatch.setattr(reading, "prepare", lambda *args: calls.append(1) or prepare(*args))
    return calls


def _list(size):
    return st.lists(st.integers(0, size - 1), min_size=1, max_size=size)


def _same(one, other):
    assert type(one) is type(other)
    assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_integers_and_slices(arrays, data):
    """Fewer than there are axes, with an Ellipsis, without elements: as NumPy."""
    selection = tuple(data.draw(integer_or_slice(size)) for size in SHAPE[: data.draw(st.integers(0, 3))])
    if data.draw(st.booleans()):
        selection = (*selection, ...)
    for array in arrays:
        found, expected = np.asarray(array[selection]), DATA[selection]
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.tobytes() == expected.tobytes()


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_lists(arrays, data):
    """Ascending or not, repeated, one or several: read directly or not, they are what the host says."""
    axes = [data.draw(_list(size) | integer_or_slice(size)) for size in SHAPE]
    if data.draw(st.booleans()):
        axes = [sorted(set(axis)) if isinstance(axis, list) else axis for axis in axes]
    expected = DATA
    for at, (axis, size) in enumerate(zip(axes, SHAPE, strict=True)):
        wanted = [axis] if isinstance(axis, int) else axis
        along = np.arange(size)[wanted]
        expected = expected.take(along, at)
    expected = expected[tuple(0 if isinstance(axis, int) else slice(None) for axis in axes)]
    for array in arrays:
        found = array.oindex[tuple(axes)]
        assert np.asarray(found).shape == expected.shape
        assert np.asarray(found).tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "read",
    [
        lambda array: array[3:5, 2, :],
        lambda array: array[...],
        lambda array: array[1, 2, 3],
        lambda array: array[2:2],
        lambda array: array.oindex[[1, 2, 7], :, 4],
        lambda array: array.oindex[[1, 3, 5], [0, 9]],
        lambda array: array.get_basic_selection((slice(1, 12, 5), slice(0, 2))),
        lambda array: array.blocks[1, 0, 0],
    ],
)
def test_what_is_read_directly(arrays, indirect, read):
    """Boxes, with steps, with integers, with one ascending list."""
    for array in arrays:
        read(array)
    assert indirect == []


@pytest.mark.parametrize(
    "read",
    [
        lambda array: array.oindex[[2, 1]],
        lambda array: array.oindex[[1, 2, 9], [0, 1, 7]],
        lambda array: array.vindex[[1, 2], [1, 2], [1, 2]],
        lambda array: array.get_basic_selection(..., out=_out()),
    ],
)
def test_what_is_not(arrays, indirect, read):
    """What is picked in another order, or point by point, or goes into memory of the caller's."""
    for array in arrays:
        read(array)
    assert indirect == [1, 1]


def test_lists_along_all_axes(tmp_path, indirect):
    """Of an array of two: no points, as elsewhere in NumPy; even ones are slices with a step."""
    with zsc.enable():
        array = zarr.create_array(tmp_path, shape=(13, 10), shards=(4, 6), chunks=(2, 3), dtype="f4")
        array[...] = DATA[:, :, 0]
        for rows, columns in (([1, 3, 5], [0, 9]), ([1, 2], [0, 9]), ([1, 2, 9], [3])):
            assert np.array_equal(array.oindex[rows, columns], DATA[:, :, 0][rows][:, columns])
    assert indirect == []


@pytest.mark.parametrize("rows", [[0, 1, 40], [3, 65, 70], [33, 34, 36], [0, 31, 32, 63, 64, 95]])
@pytest.mark.parametrize("empty", [0, 64])
def test_lists_over_shards_that_are_decoded_in_several_batches(tmp_path, rows, empty):
    """Of each batch, the rows that lie in its inner chunks."""
    data = np.random.default_rng(5).integers(1, 1000, (96, 128, 128)).astype("u4")
    data[:empty] = 0
    with zsc.enable():
        array = zarr.create_array(tmp_path, shape=data.shape, shards=data.shape, chunks=(32,) * 3, dtype="u4")
        array[...] = data
        assert np.array_equal(array.oindex[rows], data[rows])


def _out():
    from zarr.core.buffer.cpu import NDBuffer

    return NDBuffer.from_numpy_array(np.empty(SHAPE, "f4"))


def test_settings_of_the_host_that_change_what_is_read(tmp_path, indirect):
    """The order of the result, and whether a missing chunk is an error."""
    with zsc.enable(), zarr.config.set({"array.order": "F"}):
        array = zarr.create_array(tmp_path, **OPTIONS)
        array[...] = DATA
        found = array[...]
    assert found.flags.f_contiguous
    assert np.array_equal(found, DATA)
    assert indirect == [1]
    if not hasattr(array.async_array.config, "read_missing_chunks"):
        return
    with zsc.enable(), zarr.config.set({"array.read_missing_chunks": False}):
        array = zarr.open_array(tmp_path)
        assert np.array_equal(array[:4], DATA[:4])
        with pytest.raises(zarr.errors.ChunkNotFoundError):
            array[...]


def test_an_array_that_grows_and_moves(tmp_path, indirect):
    """What is known of an array is forgotten with its metadata, and is not sent to others."""
    with zsc.enable():
        array = zarr.create_array(tmp_path / "a", **OPTIONS)
        array[...] = DATA
        assert array[12:].shape == (1, 10, 9)
        array.resize((15, 10, 9))
        assert array[12:].shape == (3, 10, 9)
        array[14, 9, 8] = 5
        assert array[14, 9, 8] == 5
        again = pickle.loads(pickle.dumps(array))
        assert again[14, 9, 8] == 5
    assert indirect == []


def test_without_it_all_is_the_same(arrays, monkeypatch):
    """The host's own way gives what ours does: to the type of a single element."""
    selections = [
        ...,
        (3, 4, 5),
        (3, 4, 5, ...),
        (slice(2, 11, 3), 4),
        (slice(5, 5),),
        (-1, ..., slice(1, 4)),
    ]
    for array in arrays:
        ours = [array[selection] for selection in selections]
        with monkeypatch.context() as without:
            without.setattr(Direct, "read", lambda *_arguments: None)
            for selection, found in zip(selections, ours, strict=True):
                _same(array[selection], found)


def test_more_than_any_memory_holds(tmp_path, indirect):
    """The host's error says so: whoever asks for less of an array can read that."""
    with zsc.enable():
        array = zarr.create_array(tmp_path, shape=(1 << 62,), dtype="f4", shards=(4,), chunks=(2,))
        with pytest.raises(ValueError, match="array is too big") as caught:
            array[...]
    assert type(caught.value) is ValueError
    assert array[-1] == 0
    assert indirect == []


def test_nothing_of_an_array_without_bounds(tmp_path, monkeypatch):
    """No shard is looked for, however many lie along the other axes: the host says at once what it is."""
    looked: list[int] = []
    monkeypatch.setattr(AxisProjection, "part", lambda _, chunk: looked.append(chunk) or 1 / 0)
    with zsc.enable():
        array = zarr.create_array(tmp_path, shape=(8, 1 << 40), dtype="f4", shards=(4, 4), chunks=(2, 2))
    assert array[3:3].shape == (0, 1 << 40)
    assert array.oindex[np.array([], int)].shape == (0, 1 << 40)
    assert looked == []


@pytest.mark.parametrize(
    "read",
    [
        lambda array: array[1:],
        lambda array: array[12, 9, 8],
        lambda array: array.oindex[[1, 2, 12]],
        lambda array: array.blocks[3],
    ],
)
def test_an_array_that_another_thread_resizes(tmp_path, monkeypatch, read):
    """The result has the shape that was asked for, as the host's: what is no more is fill value."""
    with zsc.enable():
        array = zarr.create_array(tmp_path, **OPTIONS)
    array[...] = DATA
    direct = Direct.read

    def late(self, *arguments):
        array.resize((3, *SHAPE[1:]))
        return direct(self, *arguments)

    monkeypatch.setattr(Direct, "read", late)
    ours = read(array)
    monkeypatch.setattr(Direct, "read", lambda *_arguments: array.resize((3, *SHAPE[1:])))
    array.resize(SHAPE)
    _same(read(array), ours)
