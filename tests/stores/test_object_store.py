"""Stores that obstore opens: what is asked of them, and what they say when they can't."""

import asyncio
import subprocess
import sys

import obstore
import pytest

from zarr_shard_codec.core.ranges import WHOLE, ByteRange, Suffix
from zarr_shard_codec.errors import StoreError
from zarr_shard_codec.stores import object_store
from zarr_shard_codec.stores.object_store import ObjectStore
from zarr_shard_codec.stores.resolve import resolve


@pytest.fixture
def http(http_server, tmp_path):
    """A store over HTTP with one object of ten bytes, and the log of what its server is asked."""
    http_server.objects[f"/{tmp_path.name}/ten"] = b"0123456789"
    http_server.objects[f"/{tmp_path.name}/none"] = b""
    http_server.log.clear()
    return resolve(f"{http_server.url}/{tmp_path.name}/"), http_server.log


def test_each_range_is_one_request(http):
    """Ranges are sent as they are asked, one request each: merging them is the plan's business alone."""
    store, log = http
    assert store.read("ten", [ByteRange(0, 2), ByteRange(4, 2), Suffix(3)]) == [b"01", b"45", b"789"]
    assert sorted(log) == [("GET", "bytes=-3"), ("GET", "bytes=0-1"), ("GET", "bytes=4-5")]


def test_a_read_past_the_end_costs_no_more_where_the_server_clamps(http):
    """A range that begins in the object is one request; one that begins beyond costs a look at its size."""
    store, log = http
    assert store.read("ten", [ByteRange(8, 100)]) == [b"89"]
    assert log == [("GET", "bytes=8-107")]
    log.clear()
    assert store.read("ten", [ByteRange(10, 5)]) == [b""]
    assert log == [("GET", "bytes=10-14"), ("HEAD", None)]
    log.clear()
    assert store.read("none", [Suffix(5)]) == [b""]
    assert log == [("GET", "bytes=-5"), ("HEAD", None)]


def test_a_missing_object_is_one_request(http):
    """That there is no object is learnt from the first answer."""
    store, log = http
    assert store.read("missing", [Suffix(5)]) is None
    assert log == [("GET", "bytes=-5")]


def test_plain_http_is_for_reading(http):
    """Writing to a plain HTTP server and listing one are refused by name, before anything is sent."""
    store, log = http
    for operation in (
        lambda: store.write("k", [b"1"]),
        lambda: store.create("k", [b"1"]),
        lambda: store.delete("k"),
    ):
        with pytest.raises(StoreError) as caught:
            operation()
        assert caught.value.reason == "read_only"
        assert f"{store} is not writable" in str(caught.value)
    for operation in (store.list, store.list_folders):
        with pytest.raises(StoreError, match="cannot say what objects it has") as caught:
            list(operation(""))
        assert caught.value.reason == "store_failure"
    assert log == []


@pytest.mark.parametrize(
    ("store", "url"),
    [
        (obstore.store.S3Store("bucket", prefix="a/b", region="x", skip_signature=True), "s3://bucket/a/b"),
        (obstore.store.GCSStore("bucket"), "gs://bucket"),
        (obstore.store.AzureStore("box", account_name="me", prefix="p"), "az://box/p"),
        (obstore.store.HTTPStore("http://host/x/"), "http://host/x"),
    ],
)
def test_a_store_is_named_by_its_url(store, url):
    """As the user writes it, not as programs do."""
    assert str(ObjectStore(store)) == url
    assert str(resolve("s3://bucket/a/b/")) == "s3://bucket/a/b"


def test_an_object_that_changes_during_a_read_is_read_anew(monkeypatch):
    """Answers of two states of an object never come together: the call begins anew, or gives up aloud."""
    inner = obstore.store.MemoryStore()
    store = ObjectStore(inner)
    store.write("k", [b"a" * 10])
    real, changes = store._ask, []

    def ask_then_change(key, request):
        answer = real(key, request)
        if len(changes) < limit:
            changes.append(1)
            store.write("k", [bytes([97 + len(changes)]) * 10])
        return answer

    monkeypatch.setattr(object_store, "_PARALLEL", 1)
    monkeypatch.setattr(ObjectStore, "_ask", lambda _self, key, request: ask_then_change(key, request))
    limit = 3
    assert store.read("k", [ByteRange(0, 3), Suffix(2)]) == [b"ddd", b"dd"]
    limit = 1000
    with pytest.raises(StoreError) as caught:
        store.read("k", [ByteRange(0, 3), Suffix(2)])
    assert caught.value.reason == "object_changed"


def test_large_objects_go_up_in_parts_and_whole(s3_environment, monkeypatch, tmp_path):
    """An object above the limit of one request is uploaded in several, and is the same object."""
    del s3_environment
    monkeypatch.setattr(object_store, "_ONE_PUT", 1 << 20)
    store = resolve(f"s3://arrays/{tmp_path.name}")
    parts = [bytes([n]) * 700_001 for n in range(20)]
    store.write("large", parts)
    assert bytes(store.read("large", [WHOLE])[0]) == b"".join(parts)
    assert [(info.key, info.nbytes) for info in store.list("")] == [("large", 20 * 700_001)]


def test_a_missing_bucket_is_not_a_missing_object(s3_environment):
    """Nothing reads as absent because its bucket is; the error has the service's words, and no debugging."""
    del s3_environment
    store = resolve("s3://no-such-bucket/x")
    operations = [
        lambda: store.write("k", [b"1"]),
        lambda: store.create("k", [b"1"]),
        lambda: store.delete("k"),
        lambda: store.read("k", [Suffix(5)]),
        lambda: list(store.list("")),
    ]
    for operation in operations:
        with pytest.raises(StoreError) as caught:
            operation()
        assert caught.value.reason == "store_failure"
        assert "NoSuchBucket" in str(caught.value)
        assert "Debug source" not in str(caught.value)


def test_without_obstore_the_error_names_the_extra():
    """Where obstore is not installed, a remote URL says how to install it; local paths work all the same."""
    script = """
import sys
sys.modules["obstore"] = None
from zarr_shard_codec.errors import StoreError
from zarr_shard_codec.stores.resolve import resolve
resolve("some/folder")
try:
    resolve("s3://bucket/array")
except StoreError as error:
    print(error.reason, error)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("missing_extra ")
    assert "pip install 'zarr-shard-codec[remote]'" in result.stdout


def test_an_error_of_one_range_comes_once_no_other_is_under_way(monkeypatch):
    """Else they go on behind their caller's back, and answer an event loop that is closed by then."""
    store, ended = ObjectStore(obstore.store.MemoryStore()), []

    async def ask(_self, key, request, _limit):
        if request == WHOLE:
            raise FileNotFoundError(key)
        await asyncio.sleep(0.05)
        ended.append(request)

    monkeypatch.setattr(ObjectStore, "_ask_async", ask)
    assert asyncio.run(store.read_async("x", [WHOLE, ByteRange(0, 1), ByteRange(5, 1)])) is None
    assert ended == [ByteRange(0, 1), ByteRange(5, 1)]
