"""Inventory, verification and inspection of arrays: everything wrong is found, and nothing else."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import zarr

import zarr_shard_codec as zsc
from zarr_shard_codec.array.inspection import inspect_array
from zarr_shard_codec.array.inventory import strays_between, take_inventory
from zarr_shard_codec.core.index import EMPTY, ShardIndex
from zarr_shard_codec.errors import CorruptShardError
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

BIG = {"name": "bytes", "configuration": {"endian": "big"}}
GZIP = {"name": "gzip", "configuration": {"level": 1}}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
EMPTY_ENTRY = (EMPTY, EMPTY)
INNER = 8  # bytes of an inner chunk of two int32


def _transpose(*order):
    return {"name": "transpose", "configuration": {"order": list(order)}}


READABLE = {
    "plain": [sharding()],
    "no index checksum": [sharding(index=[LITTLE])],
    "big-endian index": [sharding(index=[BIG, CRC])],
    "two index checksums": [sharding(index=[LITTLE, CRC, CRC])],
    "transposed index": [sharding(index=[_transpose(1, 0), LITTLE])],
    "index at the start": [sharding(location="start")],
    "nested": [sharding((4,), [sharding()])],
    "nested thrice, wrapped": [sharding((4,), [sharding((4,), [sharding(), GZIP]), CRC])],
    "crc32c after the shard": [sharding(), CRC],
    "gzip after the shard": [sharding(), GZIP],
    "compressed inner chunks": [sharding(codecs=[LITTLE, ZSTD, CRC])],
    "not sharded": [LITTLE, ZSTD],
}


@pytest.mark.parametrize("index_only", [False, True])
@pytest.mark.parametrize("codecs", READABLE.values(), ids=READABLE)
def test_every_readable_layout_is_free_of_errors(codecs, index_only):
    """What reads gives no finding at all, whichever codecs stand before, after and in the shard."""
    array = make_array(*codecs)
    assert findings_in(array, index_only=index_only) == []
    assert inspect_array(array).n_errors == 0


@pytest.mark.parametrize(
    ("order", "shape", "inner"), [((1, 0), (8, 6), (3, 2)), ((1, 2, 0), (6, 8, 10), (4, 5, 3))]
)
def test_a_transpose_before_the_shard_is_seen_through(order, shape, inner):
    """Edges are those of the transposed axes: no inner chunk is called one beyond the array."""
    array = make_array(_transpose(*order), sharding(inner), shape=tuple(n - 1 for n in shape), chunk=shape)
    assert findings_in(array) == []


ALLOWED = {
    "any order": (lambda e: e.__setitem__(slice(None), e[::-1].copy()), set()),
    "shared": (put_entry(1, (0, INNER)), {"chunks_overlap", "unused_bytes"}),
    "overlapping": (put_entry(1, (4, INNER)), {"chunks_overlap", "unused_bytes"}),
    "inside the index": (put_entry(1, (40, INNER)), {"chunk_overlaps_index", "unused_bytes"}),
    "all empty": (put_entry(slice(None), EMPTY_ENTRY), {"unused_bytes"}),
}


@pytest.mark.parametrize(("edit", "notes"), ALLOWED.values(), ids=ALLOWED)
def test_what_the_specification_allows_is_noted_at_most(edit, notes):
    """Order, gaps, shared bytes, bytes of the index: the array reads, and there is no error."""
    array = make_array()
    edit_index(array, edit)
    array[...]
    found = findings_in(array)
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
    array = make_array()
    edit_index(array, put_entry(1, entry))
    with pytest.raises(CorruptShardError) as raised:
        array[2:4]
    assert raised.value.reason == reason
    assert errors_in(array, index_only=index_only) == [(reason, "c/0", (1,))]
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
    array = make_array()
    array.store.write("c/0", [damage(bytes_of(array))])
    edit_index(array, put_entry(0, (0, 0)), key="c/1")
    assert errors_in(array, index_only=index_only) == [
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
    array = make_array(sharding(codecs=codecs))
    whole, ranges = bytearray(bytes_of(array)), array.codec.read_index(bytes_of(array))
    for at in (1, 3):
        lies = ranges[(at,)]
        whole[lies.offset : lies.offset + lies.nbytes] = bytes(lies.nbytes)
    array.store.write("c/0", [whole])
    assert errors_in(array, index_only=True) == []
    assert errors_in(array) == [(reason, "c/0", (1,)), (reason, "c/0", (3,))]


def test_an_inner_chunk_that_decodes_to_another_size_is_found():
    """A sound zstd frame of a wrong length is no inner chunk of this array."""
    import zstandard

    array = make_array(sharding(codecs=[LITTLE, ZSTD]))
    body = zstandard.ZstdCompressor().compress(bytes(4))
    edit_index(array, put_entry(slice(None), [(0, len(body)), *[EMPTY_ENTRY] * 3]), body=body)
    assert errors_in(array) == [("inner_chunk_wrong_size", "c/0", (0,))]


def test_several_faults_at_once_are_all_reported_in_a_stable_order():
    """Nothing stops at the first: entries, chunks, shards and stray objects of one array."""
    array = make_array(sharding(codecs=[LITTLE, CRC]))
    whole = bytearray(bytes_of(array))
    whole[0] ^= 1
    array.store.write("c/0", [whole])
    edit_index(array, put_entry(2, (0, 0)))
    edit_index(array, put_entry(3, (EMPTY, 1)))
    array.store.write("c/1", [b"x"])
    array.store.write("c/2", [b"x"])
    found = [(f.severity, f.reason, f.key, f.inner_chunk) for f in findings_in(array)]
    assert found == [
        ("note", "orphan_object", "c/2", None),
        ("error", "entry_half_empty", "c/0", (3,)),
        ("error", "entry_zero_length", "c/0", (2,)),
        ("note", "unused_bytes", "c/0", None),
        ("error", "inner_chunk_checksum_mismatch", "c/0", (0,)),
        ("error", "shard_too_short", "c/1", None),
    ]
    assert found == [(f.severity, f.reason, f.key, f.inner_chunk) for f in findings_in(array)]


def test_shards_within_shards_are_looked_into():
    """An inner shard's index and chunks are checked too, and the findings say the way there."""
    array = make_array(sharding((4,), [sharding()]))
    whole = bytearray(bytes_of(array))
    first = array.codec.read_index(whole)[(0,)]
    inner = array.codec.inner.array_bytes
    part = whole[first.offset : first.offset + first.nbytes]
    entries = inner.read_index(bytes(part)).entries.copy()
    entries[1] = (0, 0)
    part[-inner.index_nbytes :] = inner.encode_index(ShardIndex(entries, (2,)))
    whole[first.offset : first.offset + first.nbytes] = part
    second = array.codec.read_index(bytes_of(array))[(1,)]
    whole[second.offset + second.nbytes - 1] ^= 1
    array.store.write("c/0", [whole])
    for index_only in (False, True):
        found = [f for f in findings_in(array, index_only=index_only) if f.severity == "error"]
        assert [(f.reason, f.within, f.inner_chunk) for f in found] == [
            ("entry_zero_length", ((0,),), (1,)),
            ("index_checksum_mismatch", (), (1,)),
        ]


@pytest.mark.parametrize(
    ("codecs", "reason"), [([CRC], "inner_chunk_checksum_mismatch"), ([GZIP], "inner_chunk_undecodable")]
)
def test_a_codec_after_the_shard_is_undone_first(codecs, reason):
    """A shard that cannot be unwrapped is one error; one that can is looked into."""
    array = make_array(sharding(codecs=[LITTLE, CRC]), *codecs)
    whole = bytearray(array.chain.unwrap(bytes_of(array)))
    whole[0] ^= 1
    wrapped = bytes(whole)
    for codec in array.chain.bytes_bytes:
        wrapped = codec.encode(wrapped)
    array.store.write("c/0", [wrapped])
    array.store.write("c/1", [b"\0" + bytes_of(array, "c/1")[1:]])
    expected = [("inner_chunk_checksum_mismatch", "c/0", (0,)), (reason, "c/1", None)]
    assert errors_in(array) == expected
    assert errors_in(array, index_only=True) == expected[1:]
    assert inspect_array(array).n_errors == 1


def test_chunks_of_an_array_without_shards_are_decoded():
    """Each chunk is an object; with a fixed size, the listing alone tells a wrong one."""
    array = make_array(LITTLE)
    array.store.write("c/1", [b"1234567"])
    for index_only in (False, True):
        assert errors_in(array, index_only=index_only) == [("inner_chunk_wrong_size", "c/1", None)]


def test_a_chunk_stored_beyond_the_edge_is_a_note():
    """A shard that reaches past the array's edge needs nothing there; whoever stored something is told."""
    array = make_array()
    grown = zsc.open(array.store, metadata=array.metadata)
    store = MemoryStore()
    short = make_array(store=store, shape=(11,))
    store.write("c/1", [bytes_of(grown, "c/1")])
    (finding,) = findings_in(short)
    assert (finding.reason, finding.severity, finding.key) == ("chunk_outside_array", "note", "c/1")
    assert "2 inner chunks" in finding.message


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
        assert findings_in(array) == []
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
    spec["metadata"]["codecs"] = [sharding((4, 4), [BIG, GZIP], location="start")]
    tensorstore.open({**driver, **spec}).result()[...] = data
    array = zsc.open(tmp_path / "t")
    assert findings_in(array) == []
    assert inspect_array(array).write_order == "lexicographic"
    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
        shape = {"shape": data.shape, "dtype": data.dtype, "chunks": (4, 4), "shards": (16, 16)}
        zarr.create_array(tmp_path / "z", **shape)[:] = data
    array = zsc.open(tmp_path / "z")
    np.testing.assert_array_equal(array[...], data)
    assert findings_in(array) == []


def test_a_report_counts_what_is_stored():
    """Sizes, ratio, gaps and index bytes are those that the entries say."""
    array = make_array(sharding(codecs=[LITTLE, ZSTD]), shape=(20,))
    array[8:16] = 0
    array[2:4] = 0
    index = array.codec.read_index(bytes_of(array))
    sizes = [int(n) for n in index.entries[:, 1] if n != EMPTY]
    sizes += [int(n) for n in array.codec.read_index(bytes_of(array, "c/2")).entries[:, 1] if n != EMPTY]
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
    assert findings_in(array) == []


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
