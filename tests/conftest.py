"""What every test shares: how hard Hypothesis tries, and a store that writes down what it is asked."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from zarr_shard_codec.errors import StoreError
from zarr_shard_codec.stores.memory import MemoryStore

# No deadline: on a busy machine a clock says nothing about us.
settings.register_profile(
    "default", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", parent=settings.get_profile("default"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


class RecordingStore(MemoryStore):
    """Objects in memory, and a list of what was done: `reads` (key, requests), `writes`, `deletes` (keys)."""

    def __init__(self):
        super().__init__()
        self.forget()

    def forget(self):
        """Start the lists anew."""
        self.reads, self.writes, self.deletes = [], [], []

    def read(self, key, requests):
        self.reads.append((key, list(requests)))
        return super().read(key, requests)

    def write(self, key, parts):
        self.writes.append(key)
        super().write(key, parts)

    def delete(self, key):
        self.deletes.append(key)
        super().delete(key)

    def objects(self):
        """All objects by key."""
        return dict(self._objects)


class ForbiddenStore(MemoryStore):
    """A store that fails whatever it is asked."""

    def _refuse(self, *_args):
        raise StoreError("store_failure", "nobody may touch this store")

    read = write = create = delete = list = list_folders = _refuse


@pytest.fixture(scope="session")
def recording_store():
    """The class of stores that write down what they are asked."""
    return RecordingStore


@pytest.fixture(scope="session")
def forbidden_store():
    """The class of stores that refuse everything."""
    return ForbiddenStore
