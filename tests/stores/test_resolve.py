"""Which store a path or a URL means."""

import subprocess
import sys
from pathlib import Path

import obstore
import pytest

from zarr_shard_codec.core.ranges import WHOLE
from zarr_shard_codec.errors import StoreError, UsageError
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import MemoryStore
from zarr_shard_codec.stores.object_store import ObjectStore
from zarr_shard_codec.stores.resolve import resolve


def test_paths_are_local(tmp_path, monkeypatch):
    """Strings, paths and file:// URLs of one folder give stores of that folder, whatever its name holds."""
    folder = tmp_path / "a b%20#é.zarr"
    monkeypatch.chdir(tmp_path)
    for target in (str(folder), folder, folder.name, Path(folder.name), folder.as_uri(),
                   folder.as_uri().replace("file://", "file://localhost")):  # fmt: skip
        store = resolve(target)
        assert isinstance(store, LocalStore)
        assert store.root == str(folder)


def test_a_store_is_itself():
    """A store is used as it is; a store of obstore is wrapped."""
    store = MemoryStore()
    assert resolve(store) is store
    inner = obstore.store.MemoryStore()
    obstore.put(inner, "k", b"1")
    wrapped = resolve(inner)
    assert isinstance(wrapped, ObjectStore)
    assert wrapped.read("k", [WHOLE]) == [b"1"]


@pytest.mark.parametrize(
    "url", ["s3://bucket/a/b", "gs://bucket/a", "http://localhost:1/a/", "https://example.org/a"]
)
def test_urls_are_obstores(url):
    """Remote URLs are opened by obstore, and nothing is sent when they are."""
    store = resolve(url)
    assert isinstance(store, ObjectStore)


@pytest.mark.parametrize(
    "target", ["", "ftp://host/a", "memory://", "file://elsewhere/a", "file://[x", 3, None, b"bytes"]
)
def test_anything_else_is_refused(target):
    """What is neither a path nor a known URL nor a store is an error of the caller, by reason."""
    with pytest.raises(UsageError) as caught:
        resolve(target)
    assert caught.value.reason == "invalid_argument"


def test_a_url_that_obstore_refuses_is_a_store_error(monkeypatch):
    """A URL whose service lacks what it needs says what is missing."""
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StoreError, match="Account must be specified") as caught:
        resolve("az://container/a")
    assert caught.value.reason == "store_failure"


def test_local_stores_import_nothing_remote():
    """Opening a path imports neither obstore nor what reads it."""
    script = (
        "REMOTE = {'obstore', 'urllib.request', 'zarr_shard_codec.stores.object_store'};"
        "import sys; from zarr_shard_codec.stores.resolve import resolve; resolve('x');"
        "print(sorted(REMOTE.intersection(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
