"""What tests share: how hard Hypothesis tries, a store that writes down what it is asked, an S3 server."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from zarr_shard_codec.errors import StoreError
from zarr_shard_codec.stores.memory import MemoryStore

sys.path.append(str(Path(__file__).parent))

from s3_server import s3_server

# No deadline: on a busy machine a clock says nothing about us.
settings.register_profile(
    "default", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", parent=settings.get_profile("default"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


class _Recorded:
    """An object that is held, and writes down what is read of it."""

    def __init__(self, key, opened, reads):
        self._key, self._opened, self._reads = key, opened, reads
        self.close = opened.close
        self.nbytes, self.version, self.identity = opened.nbytes, opened.version, opened.identity

    def read(self, requests):
        self._reads.append((self._key, list(requests)))
        return self._opened.read(requests)


class RecordingStore(MemoryStore):
    """Objects in memory, and what was done: `reads` (key, requests; None: no object), `writes`, `deletes`."""

    def __init__(self):
        super().__init__()
        self.forget()

    def forget(self):
        """Start the lists anew."""
        self.reads, self.writes, self.deletes = [], [], []

    def open_object(self, key):
        opened = super().open_object(key)
        if opened is None:
            self.reads.append((key, None))
            return None
        return _Recorded(key, opened, self.reads)

    def write(self, key, parts):
        self.writes.append(key)
        super().write(key, parts)

    def write_if(self, key, parts, version):
        self.writes.append(key)
        return super().write_if(key, parts, version)

    def delete(self, key):
        self.deletes.append(key)
        super().delete(key)

    def delete_if(self, key, version):
        self.deletes.append(key)
        return super().delete_if(key, version)

    def objects(self):
        """All objects by key."""
        return dict(self._objects)


class ForbiddenStore(MemoryStore):
    """A store that fails whatever it is asked."""

    def _refuse(self, *_args):
        raise StoreError("store_failure", "nobody may touch this store")

    read = open_object = write = write_if = create = delete = list = list_folders = _refuse


@pytest.fixture(scope="session")
def recording_store():
    """The class of stores that write down what they are asked."""
    return RecordingStore


@pytest.fixture(scope="session")
def forbidden_store():
    """The class of stores that refuse everything."""
    return ForbiddenStore


@pytest.fixture(scope="session")
def s3_environment() -> Iterator[None]:
    """A server of the S3 protocol on loopback, and the environment that leads obstore there."""
    with s3_server():
        yield
