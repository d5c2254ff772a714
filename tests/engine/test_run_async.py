"""Reads on an event loop: as many objects in flight as memory allows."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from zarr_shard_codec.core.ranges import WHOLE
from zarr_shard_codec.engine import pool
from zarr_shard_codec.engine.run import ReadTask
from zarr_shard_codec.engine.run_async import read_objects_async
from zarr_shard_codec.stores.memory import MemoryStore

MIB = 1 << 20


class NetworkStore:
    """A store whose answers take a while; counts the questions that wait together. It has no objects."""

    coalescing = MemoryStore.coalescing
    now = most = 0

    async def read_async(self, key, requests):  # noqa: ARG002
        """No such object."""
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1


class Sized:
    """A target of a size without the memory."""

    def __init__(self, nbytes):
        self.nbytes = nbytes

    def __setitem__(self, where, what):
        """Forget it."""


def _plan():
    yield [WHOLE]


@pytest.mark.parametrize(("nbytes", "expected"), [(1000, 32), (8 * MIB, 32), (32 * MIB, 8), (200 * MIB, 4)])
def test_as_many_objects_are_in_flight_as_for_threads(monkeypatch, nbytes, expected):
    """As many as hide latency; fewer if objects are large, two a core at least."""
    monkeypatch.setenv(pool.THREADS_VARIABLE, "2")
    store, fill_value = NetworkStore(), np.zeros((), "u1")
    tasks = (ReadTask(str(at), _plan, Sized(nbytes), fill_value, in_bulk=False) for at in range(100))
    asyncio.run(read_objects_async(store, tasks))
    assert store.most == expected
