"""Errors name the place: the object, the store that has it, the inner chunk within."""

import pickle

import numpy as np
import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.core.ranges import Whole

KEY = "c/1"


@pytest.fixture(params=["local", "memory"])
def broken(request, tmp_path):
    """An array whose second shard lacks its last byte, with its store."""
    store = zsc.LocalStore(tmp_path) if request.param == "local" else zsc.MemoryStore()
    array = zsc.create(store, shape=(8,), dtype="u1", shard_shape=(4,), inner_chunk_shape=(2,), fill_value=0)
    array[...] = np.arange(1, 9)
    (shard,) = store.read(KEY, [Whole(100)])
    store.write(KEY, [bytes(shard)[:-1]])
    return array, store


@pytest.mark.parametrize(
    "act", [lambda array: array[...], lambda array: array[5], lambda array: array.__setitem__(5, 1)]
)
def test_a_broken_shard_is_named_with_its_store(broken, act):
    """In attribute, text and JSON, and after a journey between processes."""
    array, store = broken
    with pytest.raises(zsc.CorruptShardError) as caught:
        act(array)
    error = caught.value
    assert (error.key, error.store) == (KEY, str(store))
    assert str(error).startswith(f"{KEY} in {store}: ")
    assert error.to_json()["store"] == str(store)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.store) == (str(error), error.store)


def test_the_innermost_store_stays():
    """Whoever adds a place adds what nobody said before."""
    error = zsc.CorruptShardError("object_changed", "it changed").at(key="a", store="inner").at(store="outer")
    assert str(error) == "a in inner: it changed [object_changed]"
