"""Plans ask for exactly what they need: the requests of every kind of read and write, turn by turn."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.core.pieces import Parts
from zarr_shard_codec.core.plans import IndexRequest, RangeTable, hold
from zarr_shard_codec.core.protocols import ChunkSpec
from zarr_shard_codec.core.ranges import WHOLE, ByteRange, Suffix
from zarr_shard_codec.core.selection import box_shape, parse_selection
from zarr_shard_codec.errors import CorruptShardError

BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
CRC = {"name": "crc32c"}
EMPTY = 2**64 - 1


def _sharding(chunk_shape, codecs=(BYTES,), location="end"):
    return {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": list(chunk_shape),
            "codecs": list(codecs),
            "index_codecs": [BYTES, CRC],
            "index_location": location,
        },
    }


def _transpose(*order):
    return {"name": "transpose", "configuration": {"order": list(order)}}


def _chain(*codecs, shape=(8, 8), dtype="u2"):
    dtype = np.dtype(dtype)
    return CodecChain.from_metadata(list(codecs), ChunkSpec(shape, dtype, np.zeros((), dtype)))


def _answer(encoded, request):
    if isinstance(request, IndexRequest):
        return _answer(encoded, request.lies)
    if isinstance(request, Suffix):
        return encoded[max(0, len(encoded) - request.nbytes) :]
    if isinstance(request, RangeTable):
        return Parts([_answer(encoded, ByteRange(*lies)) for lies in request.table.tolist()])
    if isinstance(request, ByteRange):
        return encoded[request.offset : request.offset + request.nbytes]
    return encoded


def _asked(request):
    if isinstance(request, RangeTable):
        return [ByteRange(*lies) for lies in request.table.tolist()]
    return [getattr(request, "lies", request)]


def _drive(plan, *states):
    """Answer each turn from the next state of the object (None: it is gone); the result, and the turns."""
    turns, states = [], list(states)
    try:
        requests = next(plan)
        while True:
            turns.append([lies for request in requests for lies in _asked(request)])
            encoded = states.pop(0) if len(states) > 1 else states[0]
            answer = None if encoded is None else [_answer(encoded, request) for request in requests]
            requests = plan.send(answer)
    except StopIteration as done:
        return done.value, turns


def _read(chain, encoded, selection, bounds=None):
    wanted = parse_selection(selection, chain.spec.shape)
    target = np.full(box_shape(wanted.box), 0xEEEE, chain.spec.dtype)
    jobs, turns = _drive(chain.plan_read(wanted.box, target, bounds or chain.spec.shape), encoded)
    for job in jobs or ():
        job.run()
    return wanted.result(target), turns


WHOLE_ARRAY = np.arange(1, 65, dtype="u2").reshape(8, 8)


@pytest.mark.requirement("LOCATION-END", "LOCATION-START", "PARTIAL-DECODING", "INDEX-NBYTES")
@pytest.mark.parametrize(
    ("location", "index", "first"), [("end", Suffix(68), 0), ("start", ByteRange(0, 68), 68)]
)
def test_a_part_costs_the_index_and_one_turn(location, index, first):
    """One request for the index, then one turn for all inner chunks, in the order of the index."""
    chain = _chain(_sharding((4, 4), location=location))
    encoded = chain.encode(WHOLE_ARRAY)
    found, turns = _read(chain, encoded, (slice(3, 5), 5))
    assert (found == WHOLE_ARRAY[3:5, 5]).all()
    assert turns == [[index], [ByteRange(first + 32, 32), ByteRange(first + 96, 32)]]


@pytest.mark.parametrize("selection", [..., (slice(None, None, -1), ...), (slice(0, 8), slice(0, 8))])
def test_the_whole_costs_one_request(selection):
    """A read of everything asks for the object, and cuts the index from it."""
    chain = _chain(_sharding((4, 4)))
    found, turns = _read(chain, chain.encode(WHOLE_ARRAY), selection)
    assert (found == WHOLE_ARRAY[selection]).all()
    assert turns == [[WHOLE]]


@pytest.mark.requirement("EDGE-CHUNKS")
def test_the_whole_of_an_edge_shard_is_what_lies_inside():
    """Everything inside the bounds is everything: one request."""
    chain = _chain(_sharding((4, 4)))
    found, turns = _read(chain, chain.encode(WHOLE_ARRAY), (slice(0, 5), slice(0, 3)), bounds=(5, 3))
    assert (found == WHOLE_ARRAY[:5, :3]).all()
    assert turns == [[WHOLE]]


def test_empty_chunks_cost_nothing():
    """Of a part that is empty, the index alone is read; present and empty chunks mix."""
    chain = _chain(_sharding((4, 4)))
    array = WHOLE_ARRAY.copy()
    array[:4] = 0
    encoded = chain.encode(array)
    found, turns = _read(chain, encoded, 2)
    assert found.tolist() == [0] * 8
    assert turns == [[Suffix(68)]]
    found, turns = _read(chain, encoded, (slice(None), 1))
    assert (found == array[:, 1]).all()
    assert turns == [[Suffix(68)], [ByteRange(0, 32)]]


@pytest.mark.requirement("INDEX-EMPTY-FILL")
def test_no_object_costs_one_request():
    """Where there is no object, the plan says so, and leaves the target alone."""
    chain = _chain(_sharding((4, 4)))
    for selection in (..., 3):
        found, turns = _read(chain, None, selection)
        assert (found == 0xEEEE).all()
        assert len(turns) == 1


def test_each_level_of_nesting_costs_one_turn_more():
    """Indexes of all inner shards that are touched are asked for in one turn, then all inner chunks."""
    chain = _chain(_sharding((4, 4), [_sharding((2, 2), [BYTES, CRC])]))
    encoded = chain.encode(WHOLE_ARRAY)
    shard = 4 * 12 + 68
    found, turns = _read(chain, encoded, (1, slice(3, 5)))
    assert (found == WHOLE_ARRAY[1, 3:5]).all()
    assert turns == [
        [Suffix(68)],
        [ByteRange(shard - 68, 68), ByteRange(2 * shard - 68, 68)],
        [ByteRange(12, 12), ByteRange(shard, 12)],
    ]


def test_an_inner_shard_wanted_whole_is_one_range():
    """Inner shards that are covered come as a whole, beside the indexes of those that are not."""
    chain = _chain(_sharding((4, 4), [_sharding((2, 2), [BYTES, CRC])]))
    shard = 4 * 12 + 68
    found, turns = _read(chain, chain.encode(WHOLE_ARRAY), (slice(0, 4), slice(0, 5)))
    assert (found == WHOLE_ARRAY[:4, :5]).all()
    assert turns == [
        [Suffix(68)],
        [ByteRange(0, shard), ByteRange(2 * shard - 68, 68)],
        [ByteRange(shard, 12), ByteRange(shard + 24, 12)],
    ]


@pytest.mark.requirement("CHAIN-DECODE")
def test_a_transpose_keeps_partial_reads():
    """Through transposes before the shard, one inner chunk is one range still."""
    whole = np.arange(4 * 6 * 2, dtype="u2").reshape(4, 6, 2) + 1
    chain = _chain(_transpose(1, 2, 0), _transpose(2, 0, 1), _sharding((2, 3, 1)), shape=(4, 6, 2))
    encoded = chain.encode(whole)
    found, turns = _read(chain, encoded, (3, slice(4, 2, -1), 1))
    assert (found == whole[3, 4:2:-1, 1]).all()
    assert len(turns) == 2
    assert [type(request) for request in turns[0]] == [Suffix]
    assert [request.nbytes for request in turns[1]] == [12]


@pytest.mark.parametrize("after", [CRC, {"name": "gzip", "configuration": {"level": 1}}])
def test_a_codec_after_the_shard_costs_it_all(after):
    """What stands after the shard must be undone first: the object comes whole."""
    chain = _chain(_sharding((4, 4)), after)
    found, turns = _read(chain, chain.encode(WHOLE_ARRAY), (3, 3))
    assert found == WHOLE_ARRAY[3, 3]
    assert turns == [[WHOLE]]


def test_a_whole_write_reads_nothing():
    """A write of all that lies inside the bounds asks for nothing at all."""
    chain = _chain(_sharding((4, 4)))
    box = parse_selection((slice(0, 5), slice(0, 3)), (8, 8)).box
    update, turns = _drive(chain.plan_write(box, WHOLE_ARRAY[:5, :3], (5, 3)), None)
    assert turns == []
    encoded = b"".join(update.finish([job.run() for job in update.jobs]))
    expected = np.zeros((8, 8), "u2")
    expected[:5, :3] = WHOLE_ARRAY[:5, :3]
    assert (chain.decode(encoded) == expected).all()


@pytest.mark.requirement("ORDER-UNASSUMED")
def test_a_part_write_reads_the_object_once_and_keeps_what_it_does_not_touch():
    """Untouched inner chunks stay as they are encoded; the one job has the one chunk that changes in part."""
    chain = _chain(_sharding((4, 4), [BYTES, {"name": "gzip", "configuration": {"level": 1}}]))
    update = hold(chain.plan_write(parse_selection(..., (8, 8)).box, WHOLE_ARRAY, (8, 8)), None)
    parts = update.finish([job.run() for job in update.jobs])
    encoded = b"".join(parts)
    box = parse_selection((slice(0, 2), slice(4, 8)), (8, 8)).box
    update, turns = _drive(chain.plan_write(box, np.zeros((2, 4), "u2"), (8, 8)), encoded)
    assert turns == [[WHOLE]]
    assert [job.inner_chunk for job in update.jobs] == [(0, 1)]
    assert bytes(update.jobs[0].old) == bytes(parts[1])
    linear, kept = update.kept
    assert dict(zip(linear.tolist(), map(bytes, kept), strict=True)) == {at: parts[at] for at in (0, 2, 3)}


def test_a_shard_that_becomes_empty_is_no_object():
    """When every inner chunk is fill value, nothing is left to write."""
    chain = _chain(_sharding((4, 4)))
    array = np.zeros((8, 8), "u2")
    array[5, 5] = 1
    box = parse_selection((5, 5), (8, 8)).box
    update, _ = _drive(chain.plan_write(box, np.zeros((1, 1), "u2"), (8, 8)), chain.encode(array))
    assert update.finish([job.run() for job in update.jobs]) is None


@pytest.mark.parametrize(
    "codecs", [[_sharding((4, 4))], [_sharding((4, 4), [_sharding((2, 2))])]], ids=["flat", "nested"]
)
@pytest.mark.parametrize("seen", [1, 2])
def test_an_object_deleted_between_two_turns_is_no_data(codecs, seen):
    """Whichever turn finds no object any more: the read fails, and nothing unset reaches the caller."""
    chain = _chain(*codecs)
    encoded = chain.encode(WHOLE_ARRAY)
    if seen == 2 and len(codecs[0]["configuration"]["codecs"][0]["name"]) == len("bytes"):
        return  # it has no third turn
    target = np.zeros((1, 1), "u2")
    box = parse_selection((1, 1), (8, 8)).box
    with pytest.raises(CorruptShardError) as caught:
        _drive(chain.plan_read(box, target, (8, 8)), *[encoded] * seen, None)
    assert caught.value.reason == "object_changed"


def _one_entry(offset, nbytes, *, body=b"\1" * 32, location="end"):
    """A shard of four inner chunks, of which the second has this entry and the others are empty."""
    import google_crc32c

    table = struct.pack("<8Q", EMPTY, EMPTY, offset, nbytes, EMPTY, EMPTY, EMPTY, EMPTY)
    index = table + struct.pack("<I", google_crc32c.value(table))
    return body + index if location == "end" else index + body


def test_a_chunk_that_cannot_be_so_large_is_not_fetched():
    """Of an entry larger than any encoding of the chunk, only its last byte is asked for."""
    chain = _chain(_sharding((4, 4)))
    box = parse_selection((1, 5), (8, 8)).box
    for nbytes, reason in ((2**60, "entry_out_of_bounds"), (50, "inner_chunk_wrong_size")):
        plan = chain.plan_read(box, np.zeros((1, 1), "u2"), (8, 8))
        assert [request.lies for request in next(plan)] == [Suffix(68)]
        encoded = _one_entry(7, nbytes)
        requests = plan.send([encoded[-68:]])
        assert requests == [ByteRange(7 + nbytes - 1, 1)]
        with pytest.raises(CorruptShardError) as caught:
            plan.send([_answer(encoded, request) for request in requests])
        assert caught.value.reason == reason
        assert caught.value.inner_chunk == (0, 1)


def test_a_chunk_that_cannot_be_so_large_is_not_copied():
    """A write beside it is refused: shared by all chunks of a shard, one range would be copied for each."""
    chain = _chain(_sharding((4, 4)))
    box = parse_selection((5, 5), (8, 8)).box
    with pytest.raises(CorruptShardError) as caught:
        _drive(chain.plan_write(box, np.ones((1, 1), "u2"), (8, 8)), _one_entry(0, 50))
    assert caught.value.reason == "inner_chunk_wrong_size"
    assert caught.value.inner_chunk == (0, 1)


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("selection", [..., (slice(0, 4), slice(4, 8)), (1, 5)], ids=["all", "shard", "part"])
def test_an_inner_shard_out_of_bounds_is_the_same_error_in_every_read(location, selection):
    """Whole, in part, or the inner shard alone: the outer entry is named, and says it is out of bounds."""
    inner = _sharding((2, 2), location=location)
    chain = _chain(_sharding((4, 4), [inner]))
    small = _chain(inner, shape=(4, 4)).encode(WHOLE_ARRAY[:4, :4])
    encoded = _one_entry(130, len(small), body=small)
    with pytest.raises(CorruptShardError) as caught:
        _read(chain, encoded, selection)
    assert caught.value.reason == "entry_out_of_bounds"
    assert caught.value.inner_chunk == (0, 1)


@pytest.mark.parametrize("selection", [..., (slice(0, 4), slice(4, 8)), (1, 5)], ids=["all", "shard", "part"])
def test_what_is_wrong_with_an_inner_shard_is_said_of_it(selection):
    """A bad index of an inner shard is an error that names the inner shard, in every kind of read."""
    chain = _chain(_sharding((4, 4), [_sharding((2, 2))]))
    encoded = bytearray(chain.encode(WHOLE_ARRAY))
    shard = 4 * 8 + 68
    encoded[2 * shard - 1] ^= 1
    with pytest.raises(CorruptShardError) as caught:
        _read(chain, bytes(encoded), selection)
    assert caught.value.reason == "index_checksum_mismatch"
    assert caught.value.inner_chunk == (0, 1)


def test_bounds_do_not_double_with_each_level():
    """What may come out of a codec after a shard grows with the elements, not as a power of the nesting."""
    codec = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
    codecs = [BYTES]
    for _ in range(20):
        codecs = [_sharding((8, 8), codecs), codec]
    chain = _chain(*codecs)
    assert (chain.decode(chain.encode(WHOLE_ARRAY)) == WHOLE_ARRAY).all()
    assert chain.max_encoded_nbytes < 4 << 20
    many = _chain(BYTES, *[codec] * 1000)
    assert many.max_encoded_nbytes < 8 << 20
