"""A small array to create, and the refusal to: what the tests of opening and creating share."""

from __future__ import annotations

import pytest

import zarr_shard_codec as zsc

ARGUMENTS = {"shape": (8, 8), "dtype": "int16", "shard_shape": (4, 4), "inner_chunk_shape": (2, 2)}
GROUP = b'{"zarr_format": 3, "node_type": "group"}'


def create(store, **changes):
    """Create the array, or one that differs from it."""
    return zsc.create(store, **(ARGUMENTS | changes))


def refused(reason, store, **changes):
    """The error of creating it, which has this reason."""
    with pytest.raises(zsc.NodeExistsError) as caught:
        create(store, **changes)
    assert caught.value.reason == reason
    return caught.value


def keys(store):
    """The keys of all objects in a store, in order."""
    return sorted(info.key for info in store.list(""))
