"""Inventory, verification and inspection of arrays: everything wrong is found, and nothing else."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorstore
import zarr

import zarr_shard_codec as zsc
from zarr_shard_codec.array.health import verify_array
from zarr_shard_codec.array.inspection import inspect_array
from zarr_shard_codec.array.inventory import find_nbytes, strays_between, take_inventory
from zarr_shard_codec.core.index import EMPTY, ShardIndex
from zarr_shard_codec.core.ranges import WHOLE, ByteRange
from zarr_shard_codec.errors import CorruptShardError, StoreError
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import MemoryStore

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
BIG = {"name": "bytes", "configuration": {"endian": "big"}}
CRC = {"name": "crc32c"}
GZIP = {"name": "gzip", "configuration": {"level": 1}}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
EMPTY_ENTRY = (EMPTY, EMPTY)
INNER = 8  # bytes of an inner chunk of two int32


def _sharding(inner=(2,), codecs=(LITTLE,), index=(LITTLE, CRC), location="end"):
    configuration = {
        "chunk_shape": list(inner),
        "codecs": list(codecs),
        "index_codecs": list(index),
        "index_location": location,
    }
    return {"name": "sharding_indexed", "configuration": configuration}


def _transpose(*order):
    return {"name": "transpose", "configuration": {"order": list(order)}}


def _array(*codecs, shape=(16,), chunk=(8,), store=None):
    """An int32 array, 1 2 3 …, of these codecs; two shards of four inner chunks by default."""
    store = MemoryStore() if store is None else store
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": "int32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "chunk_key_encoding": {"name": "default"},
        "fill_value": 0,
        "codecs": list(codecs) or [_sharding()],
    }
    store.write("zarr.json", [json.dumps(document).encode()])
    array = zsc.open(store, mode="r+")
    array[...] = np.arange(1, 1 + np.prod(shape)).reshape(shape)
    return array


def _bytes_of(array, key="c/0"):
    return bytes(array.store.read(key, [WHOLE])[0])


def _edit(array, edit, key="c/0", body=None):
    """Change the index of a shard with its index at the end: `edit` gets the entries."""
    whole, codec = _bytes_of(array, key), array.codec
    entries = codec.read_index(whole).entries.copy()
    edit(entries)
    index = codec.encode_index(ShardIndex(entries, codec.chunks_per_shard))
    array.store.write(key, [whole[: -codec.index_nbytes] if body is None else body, index])


def _put(at, entry):
    def edit(entries):
        entries[at] = entry

    return edit


def _verify(array, **options):
    steps = list(verify_array(array, take_inventory(array), **options))
    return [finding for step in steps for finding in step.findings]


def _errors(array, **options):
    found = [finding for finding in _verify(array, **options) if finding.severity == "error"]
    return [(finding.reason, finding.key, finding.inner_chunk) for finding in found]


READABLE = {
    "plain": [_sharding()],
    "no index checksum": [_sharding(index=[LITTLE])],
    "big-endian index": [_sharding(index=[BIG, CRC])],
    "two index checksums": [_sharding(index=[LITTLE, CRC, CRC])],
    "transposed index": [_sharding(index=[_transpose(1, 0), LITTLE])],
    "index at the start": [_sharding(location="start")],
    "nested": [_sharding((4,), [_sharding()])],
    "nested thrice, wrapped": [_sharding((4,), [_sharding((4,), [_sharding(), GZIP]), CRC])],
    "crc32c after the shard": [_sharding(), CRC],
    "gzip after the shard": [_sharding(), GZIP],
    "compressed inner chunks": [_sharding(codecs=[LITTLE, ZSTD, CRC])],
    "not sharded": [LITTLE, ZSTD],
}


@pytest.mark.parametrize("index_only", [False, True])
@pytest.mark.parametrize("codecs", READABLE.values(), ids=READABLE)
def test_every_readable_layout_is_free_of_errors(codecs, index_only):
    """What reads gives no finding at all, whichever codecs stand before, after and in the shard."""
    array = _array(*codecs)
    assert _verify(array, index_only=index_only) == []
    assert inspect_array(array).n_errors == 0


@pytest.mark.parametrize(
    ("order", "shape", "inner"), [((1, 0), (8, 6), (3, 2)), ((1, 2, 0), (6, 8, 10), (4, 5, 3))]
)
def test_a_transpose_before_the_shard_is_seen_through(order, shape, inner):
    """Edges are those of the transposed axes: no inner chunk is called one beyond the array."""
    array = _array(_transpose(*order), _sharding(inner), shape=tuple(n - 1 for n in shape), chunk=shape)
    assert _verify(array) == []


ALLOWED = {
    "any order": (lambda e: e.__setitem__(slice(None), e[::-1].copy()), set()),
    "shared": (_put(1, (0, INNER)), {"chunks_overlap", "unused_bytes"}),
    "overlapping": (_put(1, (4, INNER)), {"chunks_overlap", "unused_bytes"}),
    "inside the index": (_put(1, (40, INNER)), {"chunk_overlaps_index", "unused_bytes"}),
    "all empty": (_put(slice(None), EMPTY_ENTRY), {"unused_bytes"}),
}


@pytest.mark.parametrize(("edit", "notes"), ALLOWED.values(), ids=ALLOWED)
def test_what_the_specification_allows_is_noted_at_most(edit, notes):
    """Order, gaps, shared bytes, bytes of the index: the array reads, and there is no error."""
    array = _array()
    _edit(array, edit)
    array[...]
    found = _verify(array)
    assert {finding.reason for finding in found} == notes
    assert {finding.severity for finding in found} <= {"note"}
    assert all(finding.key == "c/0" for finding in found)


BROKEN = {
    "entry (0, 0)": ((0, 0), "entry_zero_length"),
    "half empty, offset": ((EMPTY, INNER), "entry_half_empty"),
    "half empty, nbytes": ((0, EMPTY), "entry_half_empty"),
    "outside the shard": ((96, INNER), "entry_out_of_bounds"),
    "far outside": ((2**63, INNER), "entry_out_of_bounds"),
    "too short": ((8, INNER - 1), "inner_chunk_wrong_size"),
    "too long": ((8, INNER + 1), "inner_chunk_wrong_size"),
}


@pytest.mark.parametrize("index_only", [False, True])
@pytest.mark.parametrize(("entry", "reason"), BROKEN.values(), ids=BROKEN)
def test_each_broken_entry_is_found_with_its_place(entry, reason, index_only):
    """The reason is that of the read which fails, and the inner chunk is named; one finding for one fault."""
    array = _array()
    _edit(array, _put(1, entry))
    with pytest.raises(CorruptShardError) as raised:
        array[2:4]
    assert raised.value.reason == reason
    assert _errors(array, index_only=index_only) == [(reason, "c/0", (1,))]
    assert inspect_array(array).n_errors == 1


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]), "index_checksum_mismatch"),
        (lambda whole: whole[-67:], "shard_too_short"),
        (lambda _: b"", "shard_too_short"),
    ],
)
@pytest.mark.parametrize("index_only", [False, True])
def test_a_shard_without_an_index_is_found(damage, reason, index_only):
    """A bad checksum, a shard shorter than its index, an empty object; the other shard is still checked."""
    array = _array()
    array.store.write("c/0", [damage(_bytes_of(array))])
    _edit(array, _put(0, (0, 0)), key="c/1")
    assert _errors(array, index_only=index_only) == [
        (reason, "c/0", None),
        ("entry_zero_length", "c/1", (0,)),
    ]


@pytest.mark.parametrize(
    ("codecs", "reason"),
    [
        ([LITTLE, CRC], "inner_chunk_checksum_mismatch"),
        ([LITTLE, ZSTD], "inner_chunk_undecodable"),
        ([LITTLE, GZIP], "inner_chunk_undecodable"),
    ],
)
def test_damaged_inner_chunks_are_found_by_decoding_only(codecs, reason):
    """Every damaged chunk, by its coordinates; the index alone cannot tell."""
    array = _array(_sharding(codecs=codecs))
    whole, ranges = bytearray(_bytes_of(array)), array.codec.read_index(_bytes_of(array))
    for at in (1, 3):
        lies = ranges[(at,)]
        whole[lies.offset : lies.offset + lies.nbytes] = bytes(lies.nbytes)
    array.store.write("c/0", [whole])
    assert _errors(array, index_only=True) == []
    assert _errors(array) == [(reason, "c/0", (1,)), (reason, "c/0", (3,))]


def test_an_inner_chunk_that_decodes_to_another_size_is_found():
    """A sound zstd frame of a wrong length is no inner chunk of this array."""
    import zstandard

    array = _array(_sharding(codecs=[LITTLE, ZSTD]))
    body = zstandard.ZstdCompressor().compress(bytes(4))
    _edit(array, _put(slice(None), [(0, len(body)), *[EMPTY_ENTRY] * 3]), body=body)
    assert _errors(array) == [("inner_chunk_wrong_size", "c/0", (0,))]


def test_several_faults_at_once_are_all_reported_in_a_stable_order():
    """Nothing stops at the first: entries, chunks, shards and stray objects of one array."""
    array = _array(_sharding(codecs=[LITTLE, CRC]))
    whole = bytearray(_bytes_of(array))
    whole[0] ^= 1
    array.store.write("c/0", [whole])
    _edit(array, _put(2, (0, 0)))
    _edit(array, _put(3, (EMPTY, 1)))
    array.store.write("c/1", [b"x"])
    array.store.write("c/2", [b"x"])
    found = [(f.severity, f.reason, f.key, f.inner_chunk) for f in _verify(array)]
    assert found == [
        ("note", "orphan_object", "c/2", None),
        ("error", "entry_half_empty", "c/0", (3,)),
        ("error", "entry_zero_length", "c/0", (2,)),
        ("note", "unused_bytes", "c/0", None),
        ("error", "inner_chunk_checksum_mismatch", "c/0", (0,)),
        ("error", "shard_too_short", "c/1", None),
    ]
    assert found == [(f.severity, f.reason, f.key, f.inner_chunk) for f in _verify(array)]


def test_shards_within_shards_are_looked_into():
    """An inner shard's index and chunks are checked too, and the findings say the way there."""
    array = _array(_sharding((4,), [_sharding()]))
    whole = bytearray(_bytes_of(array))
    first = array.codec.read_index(whole)[(0,)]
    inner = array.codec.inner.array_bytes
    part = whole[first.offset : first.offset + first.nbytes]
    entries = inner.read_index(bytes(part)).entries.copy()
    entries[1] = (0, 0)
    part[-inner.index_nbytes :] = inner.encode_index(ShardIndex(entries, (2,)))
    whole[first.offset : first.offset + first.nbytes] = part
    second = array.codec.read_index(_bytes_of(array))[(1,)]
    whole[second.offset + second.nbytes - 1] ^= 1
    array.store.write("c/0", [whole])
    for index_only in (False, True):
        found = [f for f in _verify(array, index_only=index_only) if f.severity == "error"]
        assert [(f.reason, f.within, f.inner_chunk) for f in found] == [
            ("entry_zero_length", ((0,),), (1,)),
            ("index_checksum_mismatch", (), (1,)),
        ]


@pytest.mark.parametrize(
    ("codecs", "reason"), [([CRC], "inner_chunk_checksum_mismatch"), ([GZIP], "inner_chunk_undecodable")]
)
def test_a_codec_after_the_shard_is_undone_first(codecs, reason):
    """A shard that cannot be unwrapped is one error; one that can is looked into."""
    array = _array(_sharding(codecs=[LITTLE, CRC]), *codecs)
    whole = bytearray(array.chain.unwrap(_bytes_of(array)))
    whole[0] ^= 1
    wrapped = bytes(whole)
    for codec in array.chain.bytes_bytes:
        wrapped = codec.encode(wrapped)
    array.store.write("c/0", [wrapped])
    array.store.write("c/1", [b"\0" + _bytes_of(array, "c/1")[1:]])
    expected = [("inner_chunk_checksum_mismatch", "c/0", (0,)), (reason, "c/1", None)]
    assert _errors(array) == expected
    assert _errors(array, index_only=True) == expected[1:]
    assert inspect_array(array).n_errors == 1


def test_chunks_of_an_array_without_shards_are_decoded():
    """Each chunk is an object; with a fixed size, the listing alone tells a wrong one."""
    array = _array(LITTLE)
    array.store.write("c/1", [b"1234567"])
    for index_only in (False, True):
        assert _errors(array, index_only=index_only) == [("inner_chunk_wrong_size", "c/1", None)]


def test_a_chunk_stored_beyond_the_edge_is_a_note():
    """A shard that reaches past the array's edge needs nothing there; whoever stored something is told."""
    array = _array()
    grown = zsc.open(array.store, metadata=array.metadata)
    store = MemoryStore()
    short = _array(store=store, shape=(11,))
    store.write("c/1", [_bytes_of(grown, "c/1")])
    (finding,) = _verify(short)
    assert (finding.reason, finding.severity, finding.key) == ("chunk_outside_array", "note", "c/1")
    assert "2 inner chunks" in finding.message


def test_strays_are_noted_and_metadata_of_any_format_is_not(tmp_path):
    """Chunks outside the grid, leftovers of a killed writer, other files; not .zattrs, not zarr.json."""
    array = _array(store=LocalStore(tmp_path))
    names = ("c/2", "c/3/0", "c/.zsc-tmp-0123456789abcdef", "README", ".zattrs", ".zarray", "deep/zarr.json")
    for name in names:
        array.store.write(name, [b"{}"])
    found = _verify(array)
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
    array = _array(store=_Unlisted(), shape=(24,))
    array.store.delete("c/1")
    _edit(array, _put(1, (0, 0)))
    inventory = take_inventory(array)
    assert [(stored.key, stored.nbytes) for stored in inventory.objects] == [("c/0", 100), ("c/2", 100)]
    (note,) = inventory.strays
    assert (note.severity, note.reason, note.key) == ("note", "store_failure", None)
    assert _errors(array) == [("entry_zero_length", "c/0", (1,))]


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
        array = _array(_sharding(location=location), store=recording_store())
        for run in (inspect_array, lambda array: _verify(array, index_only=True)):
            array.store.forget()
            run(array)
            expected = [("c/0", [ByteRange(offset, 68)]), ("c/1", [ByteRange(offset, 68)])]
            assert sorted(array.store.reads) == expected
    array = _array(LITTLE, store=recording_store())
    array.store.forget()
    assert inspect_array(array).inner_chunks_present == 2
    assert array.store.reads == []


def test_verification_reads_each_byte_once(recording_store):
    """The index, then the chunks in one merged range; progress adds up to what is stored."""
    array = _array(store=recording_store())
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

    array = _array(store=LocalStore(tmp_path))
    _edit(array, _put(1, (0, 0)), key="c/1")
    failing = zsc.open(Failing(tmp_path))
    assert _errors(failing) == [("store_failure", "c/0", None), ("entry_zero_length", "c/1", (1,))]
    assert inspect_array(failing).n_errors == 2


def test_batches_of_inner_chunks_are_small_and_all_are_checked(monkeypatch, recording_store):
    """No read is larger than a batch, whatever the shard; every chunk is decoded once."""
    monkeypatch.setattr("zarr_shard_codec.array.health._BATCH_NBYTES", 100)
    array = _array(_sharding((2,), [LITTLE, CRC]), shape=(400,), chunk=(400,), store=recording_store())
    whole = bytearray(_bytes_of(array))
    for at in range(0, 200 * 12, 12):
        whole[at] ^= 1
    array.store.write("c/0", [whole])
    array.store.forget()
    assert len(_errors(array)) == 200
    assert all(asked.nbytes <= 100 for _, (asked,) in array.store.reads[1:])


def test_what_zarr_python_writes_is_free_of_errors(tmp_path):
    """Sharded (its Morton order is recognised) and not, v3 and v2."""
    data = np.random.default_rng(0).integers(1, 99, (40, 33), "int16")
    options = {"shape": data.shape, "dtype": data.dtype}
    zarr.create_array(tmp_path / "a", chunks=(4, 4), shards=(16, 16), **options)[:] = data
    zarr.create_array(tmp_path / "b", chunks=(4, 4), **options)[:] = data
    zarr.create_array(tmp_path / "c", chunks=(4, 4), zarr_format=2, **options)[:] = data
    reports = {}
    for name in "abc":
        array = zsc.open(tmp_path / name)
        assert _verify(array) == []
        reports[name] = inspect_array(array)
    assert reports["a"].write_order == "morton"
    assert (reports["a"].shards_present, reports["a"].shards_possible) == (9, 9)
    for report in reports.values():
        assert (report.inner_chunks_present, report.inner_chunks_possible) == (90, 90)


def test_what_tensorstore_and_zarrs_write_is_free_of_errors(tmp_path):
    """Their layouts, orders and metadata are as good as ours."""
    data = np.random.default_rng(0).integers(0, 3, (40, 33), "int16")
    driver = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(tmp_path / "t")}}
    spec = {"create": True, "metadata": {"shape": [40, 33], "data_type": "int16"}}
    spec["metadata"]["chunk_grid"] = {"name": "regular", "configuration": {"chunk_shape": [16, 16]}}
    spec["metadata"]["codecs"] = [_sharding((4, 4), [BIG, GZIP], location="start")]
    tensorstore.open({**driver, **spec}).result()[...] = data
    array = zsc.open(tmp_path / "t")
    assert _verify(array) == []
    assert inspect_array(array).write_order == "lexicographic"
    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
        shape = {"shape": data.shape, "dtype": data.dtype, "chunks": (4, 4), "shards": (16, 16)}
        zarr.create_array(tmp_path / "z", **shape)[:] = data
    array = zsc.open(tmp_path / "z")
    np.testing.assert_array_equal(array[...], data)
    assert _verify(array) == []


def test_a_report_counts_what_is_stored():
    """Sizes, ratio, gaps and index bytes are those that the entries say."""
    array = _array(_sharding(codecs=[LITTLE, ZSTD]), shape=(20,))
    array[8:16] = 0
    array[2:4] = 0
    index = array.codec.read_index(_bytes_of(array))
    sizes = [int(n) for n in index.entries[:, 1] if n != EMPTY]
    sizes += [int(n) for n in array.codec.read_index(_bytes_of(array, "c/2")).entries[:, 1] if n != EMPTY]
    report = inspect_array(array)
    assert (report.shards_present, report.shards_possible) == (2, 3)
    assert (report.inner_chunks_present, report.inner_chunks_possible) == (5, 10)
    assert report.chunk_nbytes == (min(sizes), sorted(sizes)[2], max(sizes))
    assert report.encoded_nbytes == sum(sizes)
    assert report.compression_ratio == 5 * INNER / sum(sizes)
    assert (report.index_nbytes, report.unused_nbytes, report.shared_nbytes) == (2 * 68, 0, 0)
    assert report.stored_nbytes == sum(sizes) + 2 * 68
    assert report.write_order == "lexicographic"


def test_an_empty_array_has_nothing_to_report():
    """No division by nothing; JSON with nulls."""
    array = zsc.create(MemoryStore(), shape=(0, 4), dtype="f4", shard_shape=(4, 4), inner_chunk_shape=(2, 2))
    report = inspect_array(array)
    assert (report.compression_ratio, report.chunk_nbytes, report.write_order) == (None, None, None)
    assert json.loads(json.dumps(report.to_json()))["inner_chunks"] == {"present": 0, "possible": 0}
    assert _verify(array) == []


def test_unfinished_packing_is_called_so(tmp_path):
    """The marker of pack is no orphan, and what lies beside it is not told one by one."""
    store = MemoryStore()
    for key in ("a/b/.zarr-shard-packing.json", "a/b/x/c/0", "a/b/x/c/1", "a/notes.txt"):
        store.write(key, [b"{}"])
    found = strays_between(store, [])
    assert [(finding.key, finding.reason, finding.severity) for finding in found] == [
        ("a/b/.zarr-shard-packing.json", "unfinished_packing", "note"),
        ("a/notes.txt", "orphan_object", "note"),
    ]
    assert strays_between(store, ["a/b"]) == found[1:]
    assert "run the same command again" in found[0].message
    array = zsc.create(tmp_path, shape=(4,), dtype="u1", shard_shape=(4,), inner_chunk_shape=(2,))
    (tmp_path / ".zarr-shard-packing.json").write_text("{}")
    assert [finding.reason for finding in take_inventory(array).strays] == ["unfinished_packing"]
    for findings in (zsc.verify(tmp_path).findings, zsc.inspect(tmp_path).findings):
        assert [finding.reason for finding in findings] == ["unfinished_packing"]
    (tmp_path / "zarr.json").unlink()
    for look in (zsc.open, zsc.verify, zsc.inspect):
        with pytest.raises(zsc.NodeNotFoundError, match="run the same command again"):
            look(tmp_path)
