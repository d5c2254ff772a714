"""Conditional writes: of those who saw the same state, one replaces it."""

from concurrent.futures import ThreadPoolExecutor

import obstore
import pytest

from zarr_shard_codec.core.ranges import WHOLE, ByteRange
from zarr_shard_codec.errors import StoreError
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import MemoryStore
from zarr_shard_codec.stores.object_store import ObjectStore
from zarr_shard_codec.stores.protocols import locks_names, writes_conditionally
from zarr_shard_codec.stores.resolve import resolve


@pytest.fixture(params=["memory", "obstore_memory", "s3"])
def store(request, tmp_path):
    """Each store that knows conditions, empty."""
    if request.param == "memory":
        return MemoryStore()
    if request.param == "obstore_memory":
        return ObjectStore(obstore.store.MemoryStore())
    request.getfixturevalue("s3_environment")
    return resolve(f"s3://arrays/{tmp_path.name}")


def _see(store, key="k"):
    """The bytes of an object, and the version that was seen."""
    opened = store.open_object(key)
    found = None if opened is None else opened.read([WHOLE])
    return (None, None) if found is None else (bytes(found[0]), opened.version)


def test_which_stores_keep_others_off(store, tmp_path):
    """By a condition, by a lock, or not at all."""
    assert writes_conditionally(store)
    assert not locks_names(store)
    assert locks_names(LocalStore(tmp_path))
    assert not writes_conditionally(LocalStore(tmp_path))
    for other in (obstore.store.LocalStore(tmp_path), obstore.store.HTTPStore("http://host/")):
        assert not writes_conditionally(ObjectStore(other))
        assert not locks_names(ObjectStore(other))


def test_a_new_object_is_made_once(store):
    """Whoever saw none makes one only while there is none."""
    assert _see(store) == (None, None)
    assert store.write_if("k", [b"fi", b"rst"], None)
    assert not store.write_if("k", [b"second"], None)
    assert _see(store)[0] == b"first"


def test_what_was_seen_is_replaced_once(store):
    """The second who saw the same state changes nothing; nor does one who saw a deleted object."""
    store.write("k", [b"old"])
    _, version = _see(store)
    assert store.write_if("k", [b"new"], version)
    assert not store.write_if("k", [b"newer"], version)
    found, version = _see(store)
    assert found == b"new"
    store.delete("k")
    assert not store.write_if("k", [b"risen"], version)
    assert _see(store) == (None, None)


def test_versions_are_those_of_all_reads_of_one_object(store):
    """A state is held over several reads; once it is another one, that is said or the old one is read."""
    store.write("k", [b"0123456789"])
    opened = store.open_object("k")
    assert opened.read([ByteRange(0, 2)]) == [b"01"]
    version = opened.version
    assert opened.read([ByteRange(4, 2), ByteRange(8, 1)]) == [b"45", b"8"]
    assert opened.version == version
    store.write("k", [b"abcdefghij"])
    for change in (lambda: None, lambda: store.delete("k")):
        change()
        if isinstance(store, MemoryStore):
            assert opened.read([ByteRange(2, 2)]) == [b"23"]
            continue
        with pytest.raises(StoreError) as caught:
            opened.read([ByteRange(2, 2)])
        assert caught.value.reason == "object_changed"


def test_counting_together_counts_everything(store):
    """Threads that each add one to a number, and begin anew when they were overtaken."""
    store.write("k", [b"0"])

    def add(_):
        while True:
            found, version = _see(store)
            if store.write_if("k", [str(int(found) + 1).encode()], version):
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(24)))
    assert _see(store)[0] == b"24"


def test_a_service_without_conditions_says_so(s3_environment, tmp_path):
    """Obstore can be told that a service has none: a typed error, and the object is as it was."""
    del s3_environment
    plain = ObjectStore(
        obstore.store.S3Store("arrays", prefix=tmp_path.name, config={"conditional_put": "disabled"})
    )
    plain.write("k", [b"old"])
    _, version = _see(plain)
    with pytest.raises(StoreError) as caught:
        plain.write_if("k", [b"new"], version)
    assert caught.value.reason == "store_failure"
    assert "lock=None" in caught.value.hint
    assert _see(plain)[0] == b"old"
