"""Opening and creating: what is written, what is found, and what is refused."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import zarr
from creating import ARGUMENTS, GROUP, create, keys

import zarr_shard_codec as zsc
from zarr_shard_codec.array.metadata import ArrayMetadata
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import MemoryStore


@pytest.mark.requirement("FILL-REQUIRED", "INDEX-CODECS-RECOMMENDED", "NAME")
def test_what_create_writes(tmp_path):
    """The document is complete: every default is spelled out, the fill value too; nothing else is written."""
    create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["zarr.json"]
    document = json.loads((tmp_path / "zarr.json").read_text())
    assert document["fill_value"] == 0
    assert document["codecs"] == [
        {
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": [2, 2],
                "codecs": [
                    {"name": "bytes", "configuration": {"endian": "little"}},
                    {"name": "zstd", "configuration": {"level": 1, "checksum": True}},
                ],
                "index_codecs": [
                    {"name": "bytes", "configuration": {"endian": "little"}},
                    {"name": "crc32c"},
                ],
                "index_location": "end",
            },
        }
    ]
    theirs = zarr.open_array(str(tmp_path))
    assert (theirs.shards, theirs.chunks, theirs.dtype) == ((4, 4), (2, 2), np.dtype("i2"))


@pytest.mark.parametrize("kind", ["path", "string", "url", "store"])
def test_every_way_to_name_a_store(tmp_path, kind):
    """A path, a string, a file:// URL and a store all name the same array; `path=` goes below it."""
    target = {
        "path": tmp_path,
        "string": str(tmp_path),
        "url": tmp_path.as_uri(),
        "store": LocalStore(tmp_path),
    }[kind]
    create(target, path="a/b")[...] = 3
    assert (zsc.open(tmp_path / "a" / "b")[...] == 3).all()
    assert (zsc.open(target, path="a/b")[...] == 3).all()


def test_metadata_given_opens_without_touching_the_store(forbidden_store):
    """With `metadata=`, in any form, the store is not asked for anything until data is."""
    metadata = create(MemoryStore()).metadata
    for given in (metadata, metadata.to_json(), metadata.to_bytes()):
        array = zsc.open(forbidden_store(), "r+", metadata=given)
        assert array.metadata == metadata
        with pytest.raises(zsc.StoreError):
            array[0, 0]
    assert asyncio.run(zsc.open_async(forbidden_store(), metadata=metadata)).shape == (8, 8)


def test_what_is_not_an_array_is_not_opened():
    """Nothing, a group, and a broken document are three errors; the group's names the arrays in it."""
    store = MemoryStore()
    with pytest.raises(zsc.NodeNotFoundError) as caught:
        zsc.open(store)
    assert (caught.value.reason, caught.value.key) == ("not_found", "zarr.json")
    assert isinstance(caught.value, FileNotFoundError)
    store.write("zarr.json", [GROUP])
    create(store, path="deep/array")
    with pytest.raises(zsc.NodeNotFoundError, match="deep/array"):
        zsc.open(store)
    store.write("zarr.json", [b"{"])
    with pytest.raises(zsc.MetadataError) as caught:
        zsc.open(store)
    assert (caught.value.reason, caught.value.key) == ("invalid_json", "zarr.json")


@pytest.mark.parametrize("mode", ["w", "a", None])
def test_a_mode_that_there_is_not_is_told_before_anything_is_looked_for(forbidden_store, mode):
    """Whoever wants to make an array is told how, not that there is none."""
    with pytest.raises(zsc.UsageError, match=r"zsc\.create"):
        zsc.open(forbidden_store(), mode)


@pytest.mark.parametrize(
    ("function", "options"),
    [
        (zsc.open, {"mode": "w"}),
        (zsc.open, {"chunk_order": "hilbert"}),
        (create, {"exist": "overwrite"}),
        (create, {"chunk_order": "hilbert"}),
    ],
)
def test_options_that_do_not_exist_are_refused(function, options):
    """An unknown mode, order or `exist` is an error before anything is written."""
    store = MemoryStore()
    if function is zsc.open:
        create(store)
    before = keys(store)
    with pytest.raises(zsc.UsageError) as caught:
        function(store, **options)
    assert caught.value.reason == "invalid_argument"
    assert keys(store) == before


def test_arguments_that_make_no_array_are_all_named(forbidden_store):
    """Every problem of the arguments at once, before the store is touched."""
    with pytest.raises(zsc.MetadataError) as caught:
        create(
            forbidden_store(),
            shape=(8, -1),
            shard_shape=(5, 0),
            inner_chunk_shape=(2,),
            codecs=[{"name": "nope"}],
            dimension_names=["x"],
        )
    reasons = {(problem.path, problem.reason) for problem in caught.value.problems}
    assert {("shape[1]", "invalid_shape"), ("dimension_names", "wrong_value")} <= reasons
    assert any(reason == "invalid_shape" and "chunk_grid" in path for path, reason in reasons)


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ({"dimension_names": 5}, "wrong_type"),
        ({"dimension_names": 0}, "wrong_type"),
        ({"dimension_names": "xy"}, "wrong_type"),
        ({"shape": np.array(8)}, "chunk_shape_mismatch"),
        ({"fill_value": np.array([1, 0])}, "invalid_fill_value"),
        ({"fill_value": np.array([1, 0]), "dtype": "bool"}, "invalid_fill_value"),
        ({"fill_value": np.array([1, 0]), "dtype": "M8[s]"}, "invalid_fill_value"),
        ({"path": None}, "invalid_argument"),
    ],
    ids=str,
)
def test_arguments_of_a_wrong_type_are_named(forbidden_store, argument, reason):
    """None of them ends in an error of Python's, or is taken for another."""
    with pytest.raises(zsc.ZarrShardError) as caught:
        create(forbidden_store(), **argument)
    assert caught.value.reason == reason


def test_an_array_without_axes_is_the_length_of_one_axis():
    """As the integer in it is."""
    array = zsc.create(MemoryStore(), shape=np.array(8), dtype="u1", shard_shape=4, inner_chunk_shape=2)
    assert array.shape == (8,)


def test_async_twins_do_the_same(tmp_path):
    """create_async and open_async take the same arguments, and raise the same errors."""

    async def main():
        array = await zsc.create_async(tmp_path, **ARGUMENTS)
        await array.write((slice(0, 3), 1), 5)
        with pytest.raises(zsc.NodeExistsError):
            await zsc.create_async(tmp_path, **ARGUMENTS)
        again = await zsc.open_async(tmp_path, "r+")
        assert (await again.read((slice(None), 1))).tolist() == [5, 5, 5, 0, 0, 0, 0, 0]
        with pytest.raises(zsc.NodeNotFoundError):
            await zsc.open_async(tmp_path / "nothing")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [
        ("float32", "0x7fc00001"),
        ("complex64", [1, "NaN"]),
        ("r16", [1, 2]),
        ("datetime64[s]", "NaT"),
        (bool, 1),
    ],
)
def test_fill_values_in_every_form(dtype, fill):
    """A fill value may be a scalar or JSON; it comes back through the document bit for bit."""
    store = MemoryStore()
    array = create(store, dtype=dtype, fill_value=fill)
    again = zsc.open(store)
    assert array.metadata == again.metadata
    assert again[0, 0].tobytes() == array.metadata.fill_value.tobytes()
    assert np.asarray(again[...]).tobytes() == array.metadata.fill_value.tobytes() * 64


def test_a_document_with_numpys_integers():
    """Shapes of NumPy's integers are as good as Python's."""
    array = create(MemoryStore(), shape=np.array([8, 8]), shard_shape=(np.int64(4), np.uint8(4)))
    assert ArrayMetadata.from_json(array.metadata.to_bytes()).shape == (8, 8)


CHILD = """
import os, sys
import numpy as np
import zarr_shard_codec as zsc
array = zsc.create(
    sys.argv[1], shape=(400, 400), dtype="i4", shard_shape=(100, 100), inner_chunk_shape=(50, 50)
)
model = np.arange(160000, dtype="i4").reshape(400, 400)
array[...] = model
assert (array[...] == model).all()
child = os.fork()
if child == 0:
    good = (array[...] == model).all() and (zsc.open(sys.argv[1])[3:390] == model[3:390]).all()
    os._exit(0 if good else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("threads", ["1", "4", None])
def test_a_forked_child_reads(tmp_path, threads):
    """After use, a forked child has threads of its own; one thread is enough for everything."""
    environment = {key: value for key, value in os.environ.items() if key != "ZARR_SHARD_THREADS"}
    environment |= {} if threads is None else {"ZARR_SHARD_THREADS": threads}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)], env=environment, check=False, timeout=60
    )
    assert done.returncode == 0


@pytest.mark.parametrize("threads", ["0", "-1", "two", "", "1.5", "²", "99999999", "9" * 5000, "1\n"])
def test_bad_thread_counts_are_refused(monkeypatch, threads):
    """ZARR_SHARD_THREADS is a number of at least 1, or an error that names it."""
    from zarr_shard_codec.engine.pool import thread_count

    monkeypatch.setenv("ZARR_SHARD_THREADS", threads)
    with pytest.raises(zsc.UsageError, match="ZARR_SHARD_THREADS") as caught:
        thread_count()
    assert caught.value.reason == "invalid_argument"
