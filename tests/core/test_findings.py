"""What an index and a size can tell of a shard."""

import time
from math import prod

import numpy as np
import pytest

from zarr_shard_codec.core.coverage import GAP, INDEX, SHARED, cells, segments
from zarr_shard_codec.core.findings import Finding, StoredShard, examine, findings_of, notes
from zarr_shard_codec.core.grid import CHUNK_ORDERS, write_order
from zarr_shard_codec.core.index import EMPTY, ShardIndex
from zarr_shard_codec.core.layout import lay_out
from zarr_shard_codec.core.summary import OrderTally, SizeTally, matching_orders, summarise
from zarr_shard_codec.errors import REASONS, CorruptShardError, MetadataError, Problem

EMPTY_ENTRY = (EMPTY, EMPTY)


def shard_of(*entries, nbytes=132, index_nbytes=68, location="end", counts=None):
    """A shard of these entries; by default, 64 bytes for chunks and then an index."""
    index = ShardIndex(
        np.array(entries, np.uint64).reshape(-1, 2), (len(entries),) if counts is None else counts
    )
    return StoredShard(index, nbytes, index_nbytes, location)


def errors_of(shard, chunk_nbytes=None, max_chunk_nbytes=1 << 20):
    """Reason and place of every error."""
    _, errors = examine(shard, chunk_nbytes=chunk_nbytes, max_chunk_nbytes=max_chunk_nbytes)
    return [(error.reason, error.inner_chunk) for error in errors]


def notes_of(shard, inside=None):
    """Reasons of the notes."""
    found = list(notes(shard, chunks_inside=inside or shard.index.chunks_per_shard))
    assert all(note.severity == "note" for note in found)
    return [note.reason for note in found]


def test_a_dense_shard_gives_no_findings():
    """Chunks one behind the other up to the index: nothing to say."""
    shard = shard_of((0, 16), (16, 16), (32, 16), (48, 16))
    assert errors_of(shard, chunk_nbytes=16) == []
    assert notes_of(shard) == []


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ((EMPTY, 8), "entry_half_empty"),
        ((0, EMPTY), "entry_half_empty"),
        ((0, 0), "entry_zero_length"),
        ((125, 8), "entry_out_of_bounds"),
        ((EMPTY - 7, 16), "entry_out_of_bounds"),  # the sum wraps to 8
        ((8, 2**63), "entry_out_of_bounds"),
        ((0, 33), "inner_chunk_wrong_size"),
    ],
)
def test_each_broken_entry_is_an_error_at_its_inner_chunk(entry, reason):
    """One broken entry: one error, with the coordinates, and the entry is empty in what can be trusted."""
    shard = shard_of((0, 8), (8, 8), entry, EMPTY_ENTRY, counts=(2, 2))
    sound, errors = examine(shard, chunk_nbytes=None, max_chunk_nbytes=32)
    (error,) = errors
    assert (error.reason, error.severity, error.inner_chunk) == (reason, "error", (1, 0))
    assert sound.index.entries.tolist() == [[0, 8], [8, 8], [EMPTY, EMPTY], [EMPTY, EMPTY]]


def test_all_faults_of_an_index_are_reported_at_once():
    """The first fault hides none of the others."""
    shard = shard_of((0, 0), (EMPTY, 1), (1000, 4), (0, 3), (4, 4))
    assert set(errors_of(shard, chunk_nbytes=4)) == {
        ("entry_zero_length", (0,)),
        ("entry_half_empty", (1,)),
        ("entry_out_of_bounds", (2,)),
        ("inner_chunk_wrong_size", (3,)),
    }


def test_a_size_is_wrong_without_decoding_where_every_chunk_has_the_same():
    """A fixed encoded size is an exact demand, a bound is one from above."""
    shard = shard_of((0, 16), (16, 15), (32, 17))
    assert errors_of(shard, chunk_nbytes=16) == [
        ("inner_chunk_wrong_size", (1,)),
        ("inner_chunk_wrong_size", (2,)),
    ]
    assert errors_of(shard, max_chunk_nbytes=16) == [("inner_chunk_wrong_size", (2,))]
    assert errors_of(shard, chunk_nbytes=2**70, max_chunk_nbytes=2**70) != []


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([(0, 32), (32, 32)], []),
        ([(0, 40), (32, 32)], ["chunks_overlap"]),
        ([(0, 64), (0, 64)], ["chunks_overlap"]),
        ([(0, 64), (60, 8)], ["chunks_overlap", "chunk_overlaps_index"]),
        ([(0, 64), (100, 8)], ["chunk_overlaps_index"]),
        ([(32, 32), (0, 30)], ["unused_bytes"]),
        ([EMPTY_ENTRY, EMPTY_ENTRY], ["unused_bytes"]),
    ],
)
def test_what_the_specification_allows_is_a_note(entries, expected):
    """Shared, overlapping and missing bytes are no errors, and are said once for a shard."""
    shard = shard_of(*entries)
    assert errors_of(shard) == []
    assert notes_of(shard) == expected


def test_notes_name_bytes_and_places():
    """Messages name the bytes concerned, the first chunks, and where the largest gap is."""
    shard = shard_of((4, 10), (10, 10), (50, 10))
    overlap, unused = notes(shard, chunks_inside=(3,))
    assert "first (1,) in those of (0,); 4 bytes" in overlap.message
    assert "38 bytes" in unused.message
    assert "3 gaps, the largest 30 at 20" in unused.message


def test_chunks_beyond_the_edge_are_a_note():
    """Only inner chunks that no element of the array lies in are meant."""
    shard = shard_of((0, 16), (16, 16), (32, 16), (48, 16), counts=(2, 2))
    assert notes_of(shard, inside=(2, 2)) == []
    assert notes_of(shard, inside=(2, 1)) == ["chunk_outside_array"]
    (note,) = notes(shard, chunks_inside=(1, 1))
    assert "3 inner chunks lie beyond the array's edge, first (0, 1); 48 bytes" in note.message


def test_a_shard_of_an_array_of_no_dimensions_is_examined():
    """One inner chunk, with no coordinates."""
    shard = shard_of((0, 0), counts=())
    assert errors_of(shard) == [("entry_zero_length", ())]
    assert notes_of(shard_of((0, 64), counts=())) == []


def test_a_million_entries_are_examined_in_well_under_a_second():
    """No Python for an entry that is in order; broken ones cost only when they are looked at."""
    counts = (100, 100, 100)
    index = lay_out(write_order("morton", counts), np.full(10**6, 3), counts, first_offset=0)
    shard = StoredShard(index, 3 * 10**6 + 16_000_004, 16_000_004, "end")
    start = time.process_time()
    sound, errors = examine(shard, chunk_nbytes=3, max_chunk_nbytes=3)
    assert [*errors, *notes(sound, chunks_inside=counts)] == []
    junk = StoredShard(ShardIndex(np.zeros((10**6, 2), np.uint64), counts), 99, 9, "end")
    _, errors = examine(junk, chunk_nbytes=3, max_chunk_nbytes=3)
    assert next(errors).reason == "entry_zero_length"
    # A loop over the entries takes ten times as long; the machine may be a slow or a busy one.
    assert time.process_time() - start < 2


@pytest.mark.parametrize("overlapping", [False, True])
def test_segments_name_an_owner_for_every_byte(overlapping):
    """A byte-by-byte count agrees, for entries of any kind."""
    rng = np.random.default_rng(7)
    for _ in range(50):
        nbytes, index_nbytes = 200, 40
        if overlapping:
            entries = [(int(at), int(rng.integers(1, 200 - at + 1))) for at in rng.integers(0, 199, 5)]
        else:
            cuts = np.sort(rng.choice(np.arange(40, 201), 10, replace=False)).tolist()
            entries = [(cuts[at], cuts[at + 1] - cuts[at]) for at in rng.permutation(5) * 2]
        shard = shard_of(*entries, EMPTY_ENTRY, nbytes=nbytes, index_nbytes=index_nbytes, location="start")
        users = [[] for _ in range(nbytes)]
        for owner, (offset, size) in [*enumerate(entries), (INDEX, (0, index_nbytes))]:
            for at in range(offset, offset + size):
                users[at].append(owner)
        expected = [GAP if not of else of[0] if len(of) == 1 else SHARED for of in users]
        parts = segments(shard.index, nbytes, 0, index_nbytes)
        assert np.repeat(parts.owners, parts.sizes).tolist() == expected
        assert cells(parts, nbytes).tolist() == expected


def test_a_cell_shows_the_owner_of_most_of_its_bytes_and_the_index_always():
    """Small things give way to large ones, but the index has a cell."""
    shard = shard_of((0, 700), (700, 296), nbytes=1000, index_nbytes=4)
    parts = segments(shard.index, 1000, 996, 4)
    assert cells(parts, 10).tolist() == [0] * 7 + [1, 1, INDEX]


@pytest.mark.parametrize("order", CHUNK_ORDERS)
def test_the_write_order_is_recognised_with_chunks_missing(order):
    """Empty entries leave holes in an order, not another order."""
    counts = (4, 4, 2)
    present = [at for at in write_order(order, counts).tolist() if at % 5]
    index = lay_out(np.array(present), np.full(len(present), 9), counts, first_offset=100)
    assert matching_orders(index) == {order}


def test_orders_of_many_shards_are_joined():
    """A shard that fits several orders does not contradict one that fits one of them."""
    counts = (4, 4)

    def summary(linear):
        index = lay_out(np.array(linear, int), np.full(len(linear), 4), counts, first_offset=0)
        return summarise(StoredShard(index, 4 * len(linear) + 260, 260, "end"))

    def order_of(*shards):
        tally = OrderTally()
        for shard in shards:
            tally.add(summary(shard))
        return tally.order

    morton = write_order("morton", counts).tolist()
    assert order_of() is None
    assert order_of([]) is None
    assert order_of([3]) == "single"
    assert order_of([0, 1], morton) == "morton"
    assert order_of([1, 0], morton) == "mixed"
    assert order_of(morton, list(range(prod(counts)))) == "mixed"
    assert order_of([2, 0, 1]) == "other"


def test_sizes_are_tallied_as_numpy_counts_them(monkeypatch):
    """Smallest, median and largest, whether the sizes came at once or in many parts."""
    monkeypatch.setattr("zarr_shard_codec.core.summary._PENDING", 100)
    sizes = np.random.default_rng(1).integers(1, 60, 1001).astype(np.uint64)
    tally = SizeTally()
    assert tally.result() is None
    for part in np.array_split(sizes, 13):
        tally.add(part)
    assert tally.result() == (int(sizes.min()), int(np.median(sizes)), int(sizes.max()))
    tally.add(np.array([1], np.uint64))
    assert tally.result()[0] == 1


def test_findings_keep_their_place_and_say_it():
    """Key, inner shards from the outermost on, inner chunk, message, reason."""
    finding = Finding("entry_zero_length", "no bytes").inside((1, 2)).inside((0,)).at("c/0").at("c/9")
    assert str(finding) == "c/0: inner shard (0,): inner chunk (1, 2): no bytes [entry_zero_length]"
    assert finding.to_json() == {
        "severity": "error",
        "reason": "entry_zero_length",
        "message": "no bytes",
        "key": "c/0",
        "inner_chunk": [1, 2],
        "within": [[0]],
    }


def test_an_error_becomes_a_finding_for_each_problem():
    """A metadata document with two problems gives two findings, with its key."""
    problems = [Problem("shape", "missing_key", "needed"), Problem("", "invalid_json", "not JSON")]
    found = findings_of(MetadataError(problems, key="zarr.json"))
    assert [(f.reason, f.message, f.key) for f in found] == [
        ("missing_key", "shape: needed", "zarr.json"),
        ("invalid_json", "not JSON", "zarr.json"),
    ]
    (one,) = findings_of(CorruptShardError("entry_zero_length", "no", key="c/0", inner_chunk=(1,)))
    assert (one.reason, one.key, one.inner_chunk) == ("entry_zero_length", "c/0", (1,))
    assert one.reason in REASONS
