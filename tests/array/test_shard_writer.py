"""Writing a shard inner chunk by inner chunk: the same shard as a write of the whole, or nothing."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
import obstore
import pytest
import tensorstore

import zarr_shard_codec as zsc
from zarr_shard_codec.array.inventory import take_inventory
from zarr_shard_codec.core.ranges import WHOLE
from zarr_shard_codec.errors import SelectionError, StoreError, UsageError
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import MemoryStore
from zarr_shard_codec.stores.object_store import ObjectStore

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
CRC = {"name": "crc32c"}
GZIP = {"name": "gzip", "configuration": {"level": 1}}


def _store(kind, path):
    if kind == "local":
        return LocalStore(path)
    return MemoryStore() if kind == "memory" else ObjectStore(obstore.store.MemoryStore())


def _create(store, **options):
    defaults = {"shape": (20, 20), "shard_shape": (16, 16), "inner_chunk_shape": (4, 8), "fill_value": 7}
    return zsc.create(store, dtype="int32", **{**defaults, **options})


def _document(store, edit):
    document = json.loads(bytes(store.read("zarr.json", [WHOLE])[0]))
    edit(document)
    store.write("zarr.json", [json.dumps(document).encode()])
    return zsc.open(store, mode="r+")


def _names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def _by_tensorstore(path):
    driver = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
    return tensorstore.open(driver).result().read().result()


def _values():
    values = np.arange(400, dtype="int32").reshape(20, 20)
    values[:4, :8] = 7
    return values


def _write(array, values, shard, order=None):
    """All inner chunks of a shard, in a random order."""
    low = [at * size for at, size in zip(shard, array.shard_shape, strict=True)]
    inside = values[tuple(slice(at, at + size) for at, size in zip(low, array.shard_shape, strict=True))]
    inner = array.inner_chunk_shape
    everywhere = list(product(*(range(-(-n // size)) for n, size in zip(inside.shape, inner, strict=True))))
    random.Random(0).shuffle(everywhere)
    with array.shard_writer(shard) as writer:
        for coords in order or everywhere:
            part = tuple(slice(at * size, (at + 1) * size) for at, size in zip(coords, inner, strict=True))
            writer[coords] = inside[part]


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("kind", ["local", "memory", "obstore"])
def test_the_same_values_as_a_write_of_the_whole(tmp_path, kind, location):
    """In any order, edge shards too; what is all fill value is empty; tensorstore agrees."""
    store = _store(kind, tmp_path)
    array = _create(store, index_location=location)
    for shard in product(range(2), range(2)):
        _write(array, _values(), shard)
    assert np.array_equal(array[...], _values())
    index = array.codec.read_index(bytes(store.read("c/0/0", [WHOLE])[0]))
    assert index[0, 0] is None
    assert len(index.present) == 7
    assert zsc.verify(store).findings == ()
    assert zsc.compact(store, dry_run=True).rewritten == 0
    if kind == "local":
        assert np.array_equal(_by_tensorstore(tmp_path), _values())


def test_transposed_and_nested_shards():
    """Coordinates are those of the array's own axes; an inner shard is encoded as a whole."""

    def transpose(document):
        (sharding,) = document["codecs"]
        sharding["configuration"]["chunk_shape"] = [8, 4]
        document["codecs"] = [{"name": "transpose", "configuration": {"order": [1, 0]}}, sharding]

    def nest(document):
        configuration = {"chunk_shape": [2, 2], "codecs": [LITTLE, CRC], "index_codecs": [LITTLE, CRC]}
        document["codecs"][0]["configuration"]["codecs"] = [
            {"name": "sharding_indexed", "configuration": configuration}
        ]

    for edit in (transpose, nest):
        store = MemoryStore()
        _create(store)
        array = _document(store, edit)
        assert array.inner_chunk_shape == (4, 8)
        for shard in product(range(2), range(2)):
            _write(array, _values(), shard)
        assert np.array_equal(array[...], _values())
        assert not zsc.verify(store).errors


def test_edge_chunks_take_their_own_shape_or_the_full_one():
    """And whatever broadcasts; what lies beyond the array's edge is never stored."""
    store = MemoryStore()
    array = _create(store, shape=(18, 18))
    for chunk in (np.full((2, 2), 5), np.full((4, 8), 5), 5, [[5], [5]], np.full(2, 5, "int8")):
        with array.shard_writer((1, 1)) as writer:
            writer[0, 0] = chunk
        assert (array[16:, 16:] == 5).all()
        array.resize((20, 20))
        assert (array[18:] == 7).all()
        array.resize((18, 18))
    for chunk in (np.zeros((4, 2)), np.zeros((3, 2), "int32"), "x", np.full((2, 2), 2.5), 2**40):
        with pytest.raises(UsageError), array.shard_writer((1, 1)) as writer:
            writer[0, 0] = chunk
    assert (array[16:, 16:] == 5).all()


def test_chunks_that_are_not_set_are_empty():
    """The shard is replaced, never merged; a shard of nothing but fill value is deleted."""
    store = MemoryStore()
    array = _create(store)
    array[...] = _values()
    with array.shard_writer((0, 0)) as writer:
        writer[3, 1] = 9
    expected = _values()
    expected[:16, :16] = 7
    expected[12:16, 8:16] = 9
    assert np.array_equal(array[...], expected)
    with array.shard_writer((0, 0)) as writer:
        writer[3, 1] = 7
    assert store.read("c/0/0", [WHOLE]) is None
    with array.shard_writer((0, 1)):
        pass
    assert [stored.coords for stored in take_inventory(array).objects] == [(1, 0), (1, 1)]


def test_a_chunk_that_is_set_twice_has_the_later_value():
    """The earlier bytes are a gap, which compact drops."""
    store = MemoryStore()
    array = _create(store, codecs=[LITTLE])
    with array.shard_writer((0, 0)) as writer:
        for value in (1, 2, 7, 3):
            writer[0, 0] = value
        writer[0, 1] = 4
        writer[0, 1] = 7
    assert array[0, ::8].tolist()[:2] == [3, 7]
    assert [finding.reason for finding in zsc.verify(store).findings] == ["unused_bytes"]
    assert array.compact().nbytes_after == 128 + array.codec.index_nbytes


@pytest.mark.parametrize("kind", ["local", "memory", "obstore"])
def test_an_exception_leaves_nothing(tmp_path, kind):
    """Whatever it is: it comes out as it was raised, the old shard stays, and no file is left."""
    store = _store(kind, tmp_path)
    array = _create(store)
    array[...] = _values()
    for error in (RuntimeError("mine"), FileNotFoundError(2, "mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, array.shard_writer((0, 0)) as writer:  # noqa: PT012
            writer[0, 0] = 1
            raise error
        assert caught.value is error
    assert np.array_equal(array[...], _values())
    if kind == "local":
        assert _names(tmp_path / "c/0") == ["0", "1"]


def test_nothing_is_seen_before_the_block_ends(tmp_path):
    """Readers have the old shard until then; what is written is in a temporary file beside it."""
    array = _create(tmp_path)
    array[...] = _values()
    with array.shard_writer((0, 0)) as writer:
        writer[1, 1] = 1
        assert np.array_equal(array[...], _values())
        assert [found.reason for found in zsc.verify(tmp_path).findings] == ["leftover_temporary"]
        assert zsc.repair(tmp_path, apply=True).repairs == ()
    assert array[4, 8] == 1


def test_threads_are_welcome(tmp_path):
    """Encoding goes on side by side; every chunk arrives, once."""
    array = _create(
        tmp_path, shape=(64, 64), shard_shape=(64, 64), inner_chunk_shape=(2, 2), codecs=[LITTLE, GZIP, CRC]
    )
    values = np.random.default_rng(0).integers(0, 9, (64, 64), dtype="int32")
    with array.shard_writer((0, 0)) as writer, ThreadPoolExecutor(8) as pool:

        def put(coords):
            row, column = coords
            writer[coords] = values[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]

        list(pool.map(put, product(range(32), range(32))))
    assert np.array_equal(_by_tensorstore(tmp_path), values)
    assert zsc.verify(tmp_path).findings == ()


def test_a_full_disk_is_a_typed_error_and_nothing_is_committed(tmp_path, monkeypatch):
    """Also if a thread met it and the block went on: the block's end says it again."""
    array = _create(tmp_path)
    array[...] = _values()

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError) as caught, array.shard_writer((0, 0)) as writer:  # noqa: PT012
        writer[0, 1] = 1
        monkeypatch.setattr("zarr_shard_codec.stores.files.write_parts", full)
        with pytest.raises(StoreError):
            writer[1, 0] = 1
        monkeypatch.undo()
        assert _names(tmp_path / "c/0") == ["0", "1"]
        with pytest.raises(StoreError):
            writer[1, 1] = 1
    assert (caught.value.reason, caught.value.errno, caught.value.key) == ("store_failure", 28, "c/0/0")
    assert np.array_equal(array[...], _values())


def test_a_full_disk_at_the_very_end(tmp_path, monkeypatch):
    """The index does not fit: the old shard stays."""
    array = _create(tmp_path)
    array[...] = _values()

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError), array.shard_writer((0, 0)) as writer:  # noqa: PT012
        writer[0, 1] = 1
        monkeypatch.setattr("zarr_shard_codec.stores.files.write_parts", full)
    monkeypatch.undo()
    assert np.array_equal(array[...], _values())
    assert _names(tmp_path / "c/0") == ["0", "1"]


@pytest.mark.parametrize(
    "coords", [(4, 0), (0, 2), (-1, 0), (0,), (0, 0, 0), 0, (0.5, 0), "ab", (slice(1), 0)]
)
def test_inner_chunks_that_are_not_there(coords):
    """A typed error; the block may go on."""
    array = _create(MemoryStore())
    with array.shard_writer((0, 0)) as writer:
        writer[3, 1] = 1
        with pytest.raises(SelectionError):
            writer[coords] = 1
    assert array[15, 15] == 1
    with pytest.raises(SelectionError), array.shard_writer((1, 1)) as writer:
        writer[1, 0] = 1  # within the shard, beyond the array


@pytest.mark.parametrize("coords", [1, np.int8(1), np.array(1), (1,), [np.int64(1)], np.array([1])])
def test_integers_of_any_kind_are_coordinates(coords):
    """An array without axes is one, too."""
    array = zsc.create(MemoryStore(), shape=8, dtype="u2", shard_shape=4, inner_chunk_shape=2)
    with array.shard_writer(coords) as writer:
        writer[coords] = 7
    assert array[...].tolist() == [0, 0, 0, 0, 0, 0, 7, 7]


def test_what_is_refused():
    """No such shard, arrays without shards or with codecs around them, a writer that is not open."""
    store = MemoryStore()
    array = _create(store)
    for coords in ((2, 0), (0, -1), (0,), 0, None, ("x", 0), np.array([4, 0]) / 4):
        with pytest.raises(SelectionError):
            array.shard_writer(coords)
    writer = array.shard_writer((0, 0))
    with pytest.raises(UsageError):
        writer[0, 0] = 1
    with writer:
        pass
    with pytest.raises(UsageError):
        writer[0, 0] = 1
    with pytest.raises(UsageError), writer:
        pass
    with pytest.raises(UsageError) as caught:
        zsc.open(store).shard_writer((0, 0))
    assert caught.value.reason == "read_only"
    around = _document(store, lambda document: document["codecs"].append(GZIP))
    with pytest.raises(UsageError, match="all of a shard at once"):
        around.shard_writer((0, 0))
    plain = _document(store, lambda document: document.update(codecs=[LITTLE]))
    with pytest.raises(UsageError, match="has no shards"):
        plain.shard_writer((0, 0))


def test_an_integer_names_a_shard_of_one_axis():
    """As it names an inner chunk; NumPy's integers, too."""
    array = zsc.create(MemoryStore(), shape=(8,), dtype="u1", shard_shape=4, inner_chunk_shape=2)
    for shard in (0, np.array([1])):
        with array.shard_writer(shard) as writer:
            writer[1] = 7
    assert array[...].tolist() == [0, 0, 7, 7] * 2


def test_no_axes():
    """One element, one inner chunk."""
    array = zsc.create(MemoryStore(), shape=(), dtype="f4", shard_shape=(), inner_chunk_shape=())
    with array.shard_writer(()) as writer:
        writer[()] = 2.5
    assert array[()] == 2.5


BOUNDED = """
import sys
import numpy as np
import zarr_shard_codec as zsc
array = zsc.create(sys.argv[1], shape=(64, 1 << 20), dtype="float32", shard_shape=(64, 1 << 20),
                   inner_chunk_shape=(1, 1 << 20),
                   codecs=[{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}])
chunk = np.random.default_rng(0).random(1 << 20, dtype="float32")
peak = lambda: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) << 10
with array.shard_writer((0, 0)) as writer:
    writer[0, 0] = chunk
    before = peak()
    for at in range(64):
        writer[63 - at, 0] = chunk
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's own peak of memory")
def test_memory_does_not_grow_with_the_shard(tmp_path):
    """256 MiB go through a process that does not grow by a tenth of that."""
    root = str(Path(zsc.__file__).parent.parent)
    command = [sys.executable, "-c", BOUNDED, str(tmp_path / "a")]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 25 << 20
    assert (tmp_path / "a/c/0/0").stat().st_size > 64 * 4 << 20
    assert zsc.open(tmp_path / "a")[63, 5] > 0


FORKING = """
import os, sys
import numpy as np
import zarr_shard_codec as zsc

array = zsc.open(sys.argv[1], mode="r+")
is_child = False
try:
    with array.shard_writer((0, 0)) as writer:
        if "first" in sys.argv[2:]:
            writer[0, 0] = 2
        is_child = not os.fork()
        if is_child:
            log = open(sys.argv[1] + "/log", "w+")  # which gets the number that the writer's file had
            if "sets" in sys.argv[2:]:
                writer[0, 1] = 3
        else:
            assert os.wait()[1] == 0
            writer[0, 1] = 4
except zsc.UsageError as error:
    assert is_child and "process that opened it" in str(error)
else:
    assert not is_child
    print(array[0, :16:8].tolist())
if is_child:
    assert os.path.getsize(sys.argv[1] + "/log") == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize(("does", "first"), [(["first", "sets"], 2), (["first"], 2), ([], 7)])
def test_a_writer_is_of_no_use_to_a_forked_child(tmp_path, does, first):
    """It neither writes into files of the child's, nor ends, replaces or deletes the parent's shard."""
    _create(LocalStore(tmp_path))[...] = 1
    run = subprocess.run(
        [sys.executable, "-c", FORKING, tmp_path, *does], check=True, capture_output=True, text=True
    )
    assert (run.stdout, run.stderr) == (f"[{first}, 4]\n", "")
    assert not list(tmp_path.rglob(".zsc-tmp-*"))
