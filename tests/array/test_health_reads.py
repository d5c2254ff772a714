"""What a look at all objects of an array finds beside its shards, and what it costs in reads."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.array.health import verify_array
from zarr_shard_codec.array.inspection import inspect_array
from zarr_shard_codec.array.inventory import find_nbytes, strays_between, take_inventory
from zarr_shard_codec.core.ranges import ByteRange
from zarr_shard_codec.errors import StoreError
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import MemoryStore

sys.path.insert(0, str(Path(__file__).parent))

from damaged_arrays import (
    CRC,
    LITTLE,
    bytes_of,
    edit_index,
    errors_in,
    findings_in,
    make_array,
    put_entry,
    sharding,
)


def test_strays_are_noted_and_metadata_of_any_format_is_not(tmp_path):
    """Chunks outside the grid, leftovers of a killed writer, other files; not .zattrs, not zarr.json."""
    array = make_array(store=LocalStore(tmp_path))
    names = ("c/2", "c/3/0", "c/.zsc-tmp-0123456789abcdef", "README", ".zattrs", ".zarray", "deep/zarr.json")
    for name in names:
        array.store.write(name, [b"{}"])
    found = findings_in(array)
    assert all(finding.severity == "note" for finding in found)
    assert {(finding.key, finding.reason) for finding in found} == {
        ("c/2", "orphan_object"),
        ("c/3/0", "orphan_object"),
        ("c/.zsc-tmp-0123456789abcdef", "leftover_temporary"),
        ("README", "orphan_object"),
        ("deep/zarr.json", "orphan_object"),
    }


def test_strays_between_arrays_are_noted():
    """Data in a tree that no metadata describes: nobody reads it, and nobody else would say so."""
    store = MemoryStore()
    for key in ("zarr.json", "a/zarr.json", "a/c/0", "lost/c/0", "b/.zgroup", "b/notes.txt", "ab/c/0"):
        store.write(key, [b""])
    assert [finding.key for finding in strays_between(store, ["a"])] == ["ab/c/0", "b/notes.txt", "lost/c/0"]


class _Unlisted(MemoryStore):
    """A store that cannot list, as a plain HTTP server."""

    def list(self, prefix):
        raise StoreError("store_failure", "cannot list", key=prefix or None)


def test_a_store_that_cannot_list_is_asked_for_every_key():
    """Every object is found with its size, and a note says that strays were not looked for."""
    array = make_array(store=_Unlisted(), shape=(24,))
    array.store.delete("c/1")
    edit_index(array, put_entry(1, (0, 0)))
    inventory = take_inventory(array)
    assert [(stored.key, stored.nbytes) for stored in inventory.objects] == [("c/0", 100), ("c/2", 100)]
    (note,) = inventory.strays
    assert (note.severity, note.reason, note.key) == ("note", "store_failure", None)
    assert errors_in(array) == [("entry_zero_length", "c/0", (1,))]


@pytest.mark.parametrize("nbytes", [0, 1, 2, 65535, 65536, 65537, 300_001])
def test_an_object_s_size_is_found_by_single_bytes(nbytes, recording_store):
    """Never more than a byte is read to learn a size, and few of them."""
    store = recording_store()
    store.write("key", [bytes(nbytes)])
    assert find_nbytes(store, "key") == nbytes
    assert len(store.reads) < 25
    assert all(len(asked) == 1 and asked[0].nbytes == 1 for _, asked in store.reads)
    assert find_nbytes(store, "nothing") is None


def test_inspection_and_index_only_read_indexes_alone(recording_store):
    """One request an object, for exactly its index; of an array without shards, nothing is read."""
    for location, offset in (("end", 32), ("start", 0)):
        array = make_array(sharding(location=location), store=recording_store())
        for run in (inspect_array, lambda array: findings_in(array, index_only=True)):
            array.store.forget()
            run(array)
            expected = [("c/0", [ByteRange(offset, 68)]), ("c/1", [ByteRange(offset, 68)])]
            assert sorted(array.store.reads) == expected
    array = make_array(LITTLE, store=recording_store())
    array.store.forget()
    assert inspect_array(array).inner_chunks_present == 2
    assert array.store.reads == []


def test_verification_reads_each_byte_once(recording_store):
    """The index, then the chunks in one merged range; progress adds up to what is stored."""
    array = make_array(store=recording_store())
    array.store.forget()
    steps = list(verify_array(array, take_inventory(array)))
    assert sorted(array.store.reads, key=lambda read: (read[0], -read[1][0].offset)) == [
        (key, [ByteRange(*part)]) for key in ("c/0", "c/1") for part in ((32, 68), (0, 32))
    ]
    assert sum(step.nbytes for step in steps) == 200
    assert sum(step.n_chunks for step in steps) == 8


def test_a_store_that_fails_for_one_object_does_not_end_the_verification(tmp_path):
    """An object that cannot be read is a finding with its key; the rest is still checked."""

    class Failing(LocalStore):
        def open_object(self, key):
            if key == "c/0":
                raise StoreError("store_failure", "the disk is bad", key=key)
            return super().open_object(key)

    array = make_array(store=LocalStore(tmp_path))
    edit_index(array, put_entry(1, (0, 0)), key="c/1")
    failing = zsc.open(Failing(tmp_path))
    assert errors_in(failing) == [("store_failure", "c/0", None), ("entry_zero_length", "c/1", (1,))]
    assert inspect_array(failing).n_errors == 2


def test_batches_of_inner_chunks_are_small_and_all_are_checked(monkeypatch, recording_store):
    """No read is larger than a batch, whatever the shard; every chunk is decoded once."""
    monkeypatch.setattr("zarr_shard_codec.array.health._BATCH_NBYTES", 100)
    array = make_array(sharding((2,), [LITTLE, CRC]), shape=(400,), chunk=(400,), store=recording_store())
    whole = bytearray(bytes_of(array))
    for at in range(0, 200 * 12, 12):
        whole[at] ^= 1
    array.store.write("c/0", [whole])
    array.store.forget()
    assert len(errors_in(array)) == 200
    assert all(asked.nbytes <= 100 for _, (asked,) in array.store.reads[1:])
