"""What pack and unpack refuse, before anything is written."""

import json
from itertools import product

import numpy as np
import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.errors import CorruptShardError, MetadataError, PackingError, UsageError
from zarr_shard_codec.packing import pack, unpack
from zarr_shard_codec.stores.memory import MemoryStore


def same(found, expected):
    """Whether two arrays are the same to the last bit."""
    found = np.asarray(found)
    expected = expected.astype(expected.dtype.newbyteorder("="))
    return (found.shape, found.dtype, found.tobytes()) == (expected.shape, expected.dtype, expected.tobytes())


def test_a_filter_before_the_shards_cannot_be_unpacked(tmp_path):
    """Delta has run through each shard as a whole: its chunks mean nothing alone. Nothing is written."""
    array = zsc.create(
        tmp_path / "source", shape=(8,), dtype="int32", shard_shape=(8,), inner_chunk_shape=(4,)
    )
    document = array.metadata.to_json()
    delta = {"name": "numcodecs.delta", "configuration": {"dtype": "<i4", "astype": "<i4"}}
    document["codecs"] = [delta, *document["codecs"]]
    (tmp_path / "source" / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(PackingError, match=r"numcodecs\.delta") as caught:
        unpack(tmp_path / "source", tmp_path / "target")
    assert caught.value.reason == "no_exact_translation"
    assert not (tmp_path / "target").exists()


def test_a_codec_without_an_equal_is_named_and_nothing_is_done(tmp_path, write):
    """v2's categorize has no v3 name."""
    write(tmp_path / "source")
    document = json.loads((tmp_path / "source" / ".zarray").read_text())
    document["filters"] = [{"id": "categorize", "dtype": "|S1", "astype": "|u1", "labels": ["a"]}]
    (tmp_path / "source" / ".zarray").write_text(json.dumps(document))
    with pytest.raises(MetadataError, match="categorize") as caught:
        pack(tmp_path / "source", tmp_path / "target", shard_size=1000)
    assert caught.value.reason == "no_exact_translation"
    assert not (tmp_path / "target").exists()


def test_an_unknown_codec_is_a_metadata_error(tmp_path, write):
    """Chunks are not decoded, but the target's metadata must mean something all the same."""
    write(tmp_path / "source", zarr_format=3)
    document = json.loads((tmp_path / "source" / "zarr.json").read_text())
    document["codecs"].append({"name": "acme.squeeze"})
    (tmp_path / "source" / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(
        MetadataError, match=r": no codec 'acme\.squeeze' is known; known are .*numcodecs\.\* \(ad"
    ) as caught:
        pack(tmp_path / "source", tmp_path / "target", shard_size=1000)
    assert caught.value.reason == "unknown_codec"


@pytest.mark.parametrize("to_memory", [True, False])
def test_a_chunk_of_no_bytes_is_refused(tmp_path, write, chunk_files, to_memory):
    """No codec writes it, and a shard cannot say it: the key is named, the shard not written."""
    write(tmp_path / "source", shape=(8,), chunks=(2,), compressors=None)
    (tmp_path / "source" / "1").write_bytes(b"")
    target = MemoryStore() if to_memory else tmp_path / "target"
    with pytest.raises(CorruptShardError) as caught:
        pack(tmp_path / "source", target, shard_shape=(8,))
    assert (caught.value.reason, caught.value.key) == ("entry_zero_length", "1")
    if not to_memory:
        assert set(chunk_files(tmp_path / "target")) == {".zarr-shard-packing.json"}


def test_sharded_already_and_not_sharded(tmp_path, write):
    """Alone, an array that needs neither is refused, with what to do."""
    write(tmp_path / "plain")
    pack(tmp_path / "plain", tmp_path / "sharded", shard_size=1000)
    with pytest.raises(UsageError, match="sharded already"):
        pack(tmp_path / "sharded", tmp_path / "target", shard_size=4000)
    with pytest.raises(UsageError, match="not sharded"):
        unpack(tmp_path / "plain", tmp_path / "target")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("target", [".", "inside", "..", "../link/x"])
def test_source_and_target_may_not_lie_in_each_other(tmp_path, write, target):
    """The same folder, one in the source, one around it: however it is written, nothing is touched."""
    write(tmp_path / "a" / "source")
    (tmp_path / "a" / "link").symlink_to("source")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="the same place"):
        pack(tmp_path / "a" / "source", tmp_path / "a" / "source" / target, shard_size=1000)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_same_memory_store_twice():
    """A store is not packed into itself."""
    store = MemoryStore()
    with pytest.raises(UsageError, match="the same place"):
        pack(store, store, shard_size=1000)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shard_shape": (8,), "shard_size": 100},
        {"shard_size": 100, "chunk_order": "spiral"},
        {"shard_size": 100, "index_location": "middle"},
    ],
)
def test_arguments_that_make_no_sense(tmp_path, options):
    """Refused before anything is looked at."""
    with pytest.raises(UsageError) as caught:
        pack(tmp_path / "nothing", tmp_path / "target", **options)
    assert caught.value.reason == "invalid_argument"


def test_progress_adds_up(tmp_path, write):
    """Every chunk that there can be is told once, with its bytes; in both phases."""
    write(tmp_path / "source")
    steps = []
    report = pack(
        tmp_path / "source", tmp_path / "target", shard_size=1000, check=True, progress=steps.append
    )
    slots = len(list(product(range(6), range(3), range(4))))
    for phase in ("moving", "checking"):
        told = [step for step in steps if step.phase == phase]
        assert {step.total_chunks for step in told} == {slots}
        assert sum(step.n_chunks for step in told) == slots
        assert sum(step.nbytes for step in told) == report.chunk_nbytes


@pytest.mark.parametrize(
    "options", [{"shard_shape": (4 * 10**15, 5 * 2**20, 3)}, {"shard_shape": (40000, 5000, 300)}]
)
def test_absurd_shards_are_refused_before_anything_is_written(tmp_path, write, options):
    """A target that no run could fill is never begun."""
    write(tmp_path / "source")
    with pytest.raises(UsageError, match=r"inner chunks of .* MiB") as caught:
        pack(tmp_path / "source", tmp_path / "target", **options)
    assert caught.value.reason == "invalid_argument"
    assert not (tmp_path / "target").exists()


def test_linked_chunks_are_followed_within_the_source_alone(tmp_path, write):
    """Data sets kept by git-annex are links; one that leads out of the source is refused."""
    elements = write(tmp_path / "source", shape=(8,), chunks=(2,), compressors=None)
    (tmp_path / "source" / "annex").mkdir()
    (tmp_path / "source" / "1").rename(tmp_path / "source" / "annex" / "1")
    (tmp_path / "source" / "1").symlink_to("annex/1")
    pack(tmp_path / "source", tmp_path / "target", shard_shape=(8,), check=True)
    assert same(zsc.open(tmp_path / "target")[...], elements)
    (tmp_path / "secret").write_bytes(bytes(4))
    (tmp_path / "source" / "1").unlink()
    (tmp_path / "source" / "1").symlink_to(tmp_path / "secret")
    with pytest.raises(zsc.StoreError, match="leads out of the store"):
        pack(tmp_path / "source", tmp_path / "other", shard_shape=(8,))
