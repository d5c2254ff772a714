"""Random writes and resizes, one after the other, against NumPy; and what others read then."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import zarr_shard_codec as zsc
from zarr_shard_codec.stores.memory import MemoryStore

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
GZIP = {"name": "gzip", "configuration": {"level": 1}}
ENCODINGS = [
    None,
    {"name": "default", "configuration": {"separator": "."}},
    {"name": "v2", "configuration": {"separator": "/"}},
    {"name": "v2"},
]


def _create(store, shape=(10, 9), shard=(4, 6), inner=(2, 3), dtype="int32", **options):
    return zsc.create(store, shape=shape, dtype=dtype, shard_shape=shard, inner_chunk_shape=inner, **options)


def _same(one, other):
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()


@st.composite
def selections(draw, shape):
    """A basic selection of an array of that shape."""
    items = [
        draw(st.slices(size) | (st.integers(-size, size - 1) if size else st.slices(size)))
        for size in shape[: draw(st.integers(0, len(shape)))]
    ]
    return (*items, Ellipsis) if draw(st.booleans()) else tuple(items)


@st.composite
def histories(draw):
    """An array's shapes and options, and what is done to it."""
    ndim = draw(st.integers(0, 3))
    inner = tuple(draw(st.integers(1, 3)) for _ in range(ndim))
    shard = tuple(size * draw(st.integers(1, 3)) for size in inner)
    shape = tuple(draw(st.integers(0, 12)) for _ in range(ndim))
    options = {
        "shape": shape,
        "shard": shard,
        "inner": inner,
        "dtype": draw(st.sampled_from(["uint8", "int32", "float64", "complex64"])),
        "index_location": draw(st.sampled_from(["start", "end"])),
        "chunk_key_encoding": draw(st.sampled_from(ENCODINGS)),
        "chunk_order": draw(st.sampled_from(["lexicographic", "morton", "reverse"])),
        "codecs": draw(st.sampled_from([None, [LITTLE], [LITTLE, GZIP, {"name": "crc32c"}]])),
        "fill_value": draw(st.sampled_from([0, 1])),
    }
    steps = []
    for _ in range(draw(st.integers(1, 5))):
        if ndim and draw(st.integers(0, 3)) == 0:
            shape = tuple(draw(st.integers(0, 14)) for _ in range(ndim))
            steps.append(("resize", shape, None))
        else:
            kind = draw(st.sampled_from(["random", "random", "fill", "scalar"]))
            steps.append((kind, draw(selections(shape)), draw(st.integers(0, 2**32))))
    return options, steps, draw(selections(shape))


def _resized(model, shape, fill_value):
    """What resize makes of a NumPy array."""
    new = np.full(shape, fill_value, model.dtype)
    common = tuple(slice(min(sizes)) for sizes in zip(shape, model.shape, strict=True))
    new[common] = model[common]
    return new


@pytest.mark.requirement("FILL-ABSENT", "INDEX-EMPTY-FILL", "EDGE-CHUNKS")
@settings(max_examples=150)
@given(histories())
def test_an_array_is_what_numpy_says(history):
    """After any writes and resizes, every read is NumPy's, and no shard of nothing but fill value exists."""
    options, steps, last = history
    store = MemoryStore()
    array = _create(store, **options)
    model = np.full(array.shape, array.fill_value, array.dtype)
    for kind, what, seed in steps:
        if kind == "resize":
            array.resize(what)
            model = _resized(model, what, array.fill_value)
        else:
            shape = model[what].shape
            value = {
                "random": np.random.default_rng(seed).integers(0, 3, shape).astype(array.dtype),
                "fill": array.fill_value,
                "scalar": 2,
            }[kind]
            array[what] = value
            model[what] = value
        assert _same(array[...], model)
    again = zsc.open(store)
    assert _same(again[...], model)
    assert type(again[last]) is type(model[last])
    assert _same(again[last], model[last])
    assert _same(asyncio.run(again.read(last)), model[last])
    keys = {key for _, key in again.shard_keys()}
    for info in store.list(""):
        if info.key != "zarr.json":
            assert info.key in keys
            coords = next(coords for coords, key in again.shard_keys() if key == info.key)
            part = model[
                tuple(
                    slice(at * size, (at + 1) * size)
                    for at, size in zip(coords, again.shard_shape, strict=True)
                )
            ]
            assert (part != again.fill_value).any()


@settings(max_examples=25)
@given(histories())
def test_others_read_what_random_writes_left(tmp_path_factory, history):
    """Others (tensorstore, zarr-python) agree with NumPy, bit for bit, after any writes and resizes."""
    options, steps, _ = history
    path = tmp_path_factory.mktemp("array")
    array = _create(path, **options)
    model = np.full(array.shape, array.fill_value, array.dtype)
    for kind, what, seed in steps:
        if kind == "resize":
            array.resize(what)
            model = _resized(model, what, array.fill_value)
        else:
            value = np.random.default_rng(seed).integers(0, 3, model[what].shape).astype(array.dtype)
            array[what] = value
            model[what] = value
    assert _same(zarr.open_array(str(path), mode="r")[...], model)
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
    assert _same(tensorstore.open(spec).result().read().result(), model)
