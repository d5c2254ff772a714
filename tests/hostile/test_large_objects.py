"""Objects far larger than what is in them: read as what they are, without reading them whole."""

from __future__ import annotations

import numpy as np
import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.core.ranges import WHOLE, Whole

VALUES = np.arange(64, dtype="int32")


def _array(store, **options):
    array = zsc.create(
        store,
        shape=64,
        dtype="int32",
        shard_shape=64,
        inner_chunk_shape=16,
        index_location="start",
        **options,
    )
    array[:] = VALUES
    (encoded,) = store.read("c/0", [WHOLE])
    # As many appends leave it, if nobody compacts: more unused bytes than any sane shard has.
    store.write("c/0", [bytes(encoded), bytes(1 << 20)])
    return array


def test_a_shard_of_mostly_unused_bytes_is_read(recording_store):
    """Once it is clear that the object is larger than its chunks, these are read alone, and are right."""
    store = recording_store()
    array = _array(store)
    store.forget()
    assert np.array_equal(array[:], VALUES)
    assert store.reads[0] == ("c/0", [WHOLE])
    (first,) = store.read("c/0", [Whole(array.codec.max_encoded_nbytes + 1)])
    assert len(first) == array.codec.max_encoded_nbytes + 1


def test_a_part_of_it_is_written(recording_store):
    """What stays is read chunk by chunk; the new object holds the chunks and nothing else."""
    store = recording_store()
    array = _array(store)
    array[5:40] = 7
    expected = VALUES.copy()
    expected[5:40] = 7
    assert np.array_equal(array[:], expected)
    assert np.array_equal(zsc.open(store)[:], expected)
    assert len(store.objects()["c/0"]) < 1000


class _Plain:
    """A store that reads, writes and deletes, and knows nothing else of its objects."""

    def __init__(self, inner):
        self.read, self.write, self.create, self.delete = inner.read, inner.write, inner.create, inner.delete
        self.coalescing, self.list, self.list_folders = inner.coalescing, inner.list, inner.list_folders


def test_a_part_of_it_is_written_where_nobody_knows_its_size(recording_store):
    """A store need not open objects, and not say how large they are."""
    array = _array(recording_store())
    plain = zsc.open(_Plain(array.store), "r+", lock=None)
    plain[5:40] = 7
    expected = VALUES.copy()
    expected[5:40] = 7
    assert np.array_equal(plain[:], expected)
    assert np.array_equal(array[:], expected)


@pytest.mark.parametrize("codec", [{"name": "gzip", "configuration": {"level": 1}}, {"name": "crc32c"}])
def test_a_chunk_larger_than_its_codecs_make_is_refused(recording_store, codec):
    """Where nothing can be read in part, too many bytes are an error before any of them is decoded."""
    store = recording_store()
    array = _array(store)
    document = array.metadata.to_json()
    plain = [{"name": "bytes", "configuration": {"endian": "little"}}, codec]
    for codecs in (plain, [*document["codecs"], codec]):
        wrapped = zsc.open(store, "r+", metadata=document | {"codecs": codecs})
        for work in (lambda: wrapped[:], lambda: wrapped[3], lambda: wrapped.__setitem__(3, 1)):  # noqa: B023
            with pytest.raises(zsc.CorruptShardError) as caught:
                work()
            assert (caught.value.reason, caught.value.key) == ("inner_chunk_wrong_size", "c/0")
