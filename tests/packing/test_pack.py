"""pack and unpack: other implementations read the same elements, and no chunk's bytes change."""

import json
import subprocess
import sys
from pathlib import Path

import numcodecs
import numpy as np
import obstore
import pytest
import zarr
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec

import zarr_shard_codec as zsc
from zarr_shard_codec.packing import pack, unpack
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import MemoryStore

BRAIN = Path(__file__).parents[2] / "conformance" / "data" / "brain_v2.zarr"

V2 = {
    "plain": {},
    "zlib": {"compressors": numcodecs.Zlib(3)},
    "gzip": {"compressors": numcodecs.GZip(2)},
    "zstd": {"compressors": numcodecs.Zstd(2)},
    "zstd with a checksum": {"compressors": numcodecs.Zstd(1, checksum=True)},
    "blosc": {"compressors": numcodecs.Blosc("lz4", 5, numcodecs.Blosc.SHUFFLE)},
    "blosc, bits": {"compressors": numcodecs.Blosc("zstd", 3, numcodecs.Blosc.BITSHUFFLE)},
    "lz4": {"compressors": numcodecs.LZ4()},
    "bz2": {"compressors": numcodecs.BZ2()},
    "lzma": {"compressors": numcodecs.LZMA()},
    "delta": {"filters": [numcodecs.Delta("<u2")], "compressors": numcodecs.Zstd()},
    "shuffle": {"filters": [numcodecs.Shuffle(2)], "compressors": numcodecs.Zlib()},
    "offset": {"filters": [numcodecs.FixedScaleOffset(0, 1, "<u2")], "compressors": None},
    "order F": {"order": "F", "compressors": numcodecs.Zstd()},
    "order F, delta": {"order": "F", "filters": [numcodecs.Delta("<u2")], "compressors": None},
    "separator": {"chunk_key_encoding": {"name": "v2", "separator": "/"}},
    "fill value": {"fill_value": 7},
    "null fill value": {"fill_value": None},
    "uncompressed": {"compressors": None},
    "big-endian": {"dtype": ">u2"},
    "big-endian, order F": {"dtype": ">f8", "order": "F"},
    "booleans": {"dtype": "bool"},
    "complex": {"dtype": "complex64"},
    "NaN": {"dtype": "float32", "fill_value": np.nan},
    "times": {"dtype": "M8[s]"},
}
V3 = {
    "zstd": {"compressors": ZstdCodec(level=1)},
    "gzip, crc32c": {"compressors": [GzipCodec(level=1), Crc32cCodec()]},
    "blosc": {"compressors": BloscCodec(typesize=2, cname="lz4", shuffle="shuffle")},
    "big-endian": {"serializer": BytesCodec(endian="big"), "compressors": None},
    "transposed": {"filters": [TransposeCodec(order=(2, 0, 1))]},
    "v2 keys": {"chunk_key_encoding": {"name": "v2", "separator": "."}},
    "dots": {"chunk_key_encoding": {"name": "default", "separator": "."}},
    "named": {"dimension_names": ["z", "y", "x"], "attributes": {"π": [1, None]}, "fill_value": 7},
}
CASES = [(f"v2 {name}", 2, options) for name, options in V2.items()]
CASES += [(f"v3 {name}", 3, options) for name, options in V3.items()]
ZARR_PYTHON_ALONE = {
    f"v2 {name}"
    for name in ("zlib", "lz4", "bz2", "lzma", "delta", "shuffle", "offset", "order F, delta", "times")
}
"""What tensorstore does not know: numcodecs' codecs, and times."""


def same(found, expected):
    """Whether two arrays are the same to the last bit."""
    found = np.asarray(found)
    expected = expected.astype(expected.dtype.newbyteorder("="))
    return (found.shape, found.dtype, found.tobytes()) == (expected.shape, expected.dtype, expected.tobytes())


@pytest.mark.parametrize(("name", "zarr_format", "options"), CASES)
def test_other_implementations_read_what_was_packed(
    tmp_path, write, read_with_zarr, read_with_tensorstore, document, name, zarr_format, options
):
    """Every element, bit for bit, whatever the source's codecs, order, keys and fill value are."""
    write(tmp_path / "source", **{"dtype": "uint16", **options}, zarr_format=zarr_format)
    expected = read_with_zarr(tmp_path / "source")
    report = pack(tmp_path / "source", tmp_path / "target", shard_shape=(8, 10, 6), check=True)
    assert report.differences == ()
    packed = document(tmp_path / "target")
    (sharding,) = packed["codecs"]
    assert (packed["zarr_format"], sharding["name"]) == (3, "sharding_indexed")
    assert same(zsc.open(tmp_path / "target")[...], expected)
    assert same(read_with_zarr(tmp_path / "target"), expected)
    codecs = [codec["name"] for codec in sharding["configuration"]["codecs"]]
    if name in ZARR_PYTHON_ALONE:
        assert name == "v2 times" or any(codec.startswith("numcodecs.") for codec in codecs)
    else:
        assert same(read_with_tensorstore(tmp_path / "target"), expected)


@pytest.mark.parametrize(("zarr_format", "options"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_unpacking_gives_back_the_chunk_files(
    tmp_path, write, read_with_zarr, chunk_files, zarr_format, options
):
    """The way back: under v2's or v3's keys as asked, every chunk file is the source's, byte for byte."""
    write(tmp_path / "source", **{"dtype": "uint16", **options}, zarr_format=zarr_format)
    expected = read_with_zarr(tmp_path / "source")
    encoding = "v2" if zarr_format == 2 else "default"
    if "chunk_key_encoding" in options:
        named = dict(options["chunk_key_encoding"])
        encoding = {"name": named.pop("name"), "configuration": named}
    pack(tmp_path / "source", tmp_path / "packed", shard_size="1KiB", chunk_order="morton")
    report = unpack(tmp_path / "packed", tmp_path / "target", chunk_key_encoding=encoding, check=True)
    assert report.differences == ()
    assert chunk_files(tmp_path / "target") == chunk_files(tmp_path / "source")
    assert same(read_with_zarr(tmp_path / "target"), expected)


@pytest.mark.parametrize("order", ["lexicographic", "morton", "reverse"])
@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("local", [True, False])
def test_order_and_index_location(
    tmp_path, write, read_with_zarr, read_with_tensorstore, order, location, local
):
    """Chunks lie in the order asked for, without gaps; both ways of moving make the same shards."""
    elements = write(tmp_path / "source")
    store = MemoryStore()
    target = tmp_path / "target" if local else store
    pack(
        tmp_path / "source",
        target,
        shard_shape=(8, 10, 6),
        chunk_order=order,
        index_location=location,
        check=True,
    )
    if not local:
        for info in store.list(""):
            LocalStore(tmp_path / "target").write(info.key, store.read(info.key, [zsc.core.ranges.WHOLE]))
    array = zsc.open(tmp_path / "target")
    assert array.codec.index_location == location
    shard = (tmp_path / "target" / "c" / "1" / "0" / "0").read_bytes()
    entries = array.codec.read_index(shard).entries
    full = np.flatnonzero(entries[:, 1] != 2**64 - 1)
    by_offset = full[np.argsort(entries[full, 0])]
    assert int(entries[full, 1].sum()) + array.codec.index_nbytes == len(shard)
    wanted = zsc.core.grid.write_order(order, array.codec.chunks_per_shard)
    assert by_offset.tolist() == [at for at in wanted.tolist() if at in full]
    assert same(read_with_zarr(tmp_path / "target"), elements)
    assert same(read_with_tensorstore(tmp_path / "target"), elements)


def test_what_is_not_codecs_comes_along(tmp_path, write, document):
    """Attributes, dimension names and fill value are the source's; xarray's dimensions in v2 become names."""
    write(tmp_path / "source", attributes={"units": "K", "_ARRAY_DIMENSIONS": ["z", "y", "x"]}, fill_value=3)
    pack(tmp_path / "source", tmp_path / "target", shard_size="4KiB")
    packed = document(tmp_path / "target")
    assert packed["attributes"] == {"units": "K", "_FillValue": 3}  # tests/packing/test_attributes.py
    assert (packed["dimension_names"], packed["fill_value"]) == (["z", "y", "x"], 3)
    assert packed["chunk_key_encoding"]["name"] == "default"


def test_missing_chunks_are_empty_entries_and_empty_shards_are_not_written(tmp_path, write, chunk_files):
    """What the source does not have, the target does not have; other readers see the fill value."""
    elements = write(tmp_path / "source", shape=(40,), chunks=(5,), compressors=None, fill_value=9)
    for chunk in (0, 2, 3):
        (tmp_path / "source" / str(chunk)).unlink()
        elements[chunk * 5 : chunk * 5 + 5] = 9
    report = pack(tmp_path / "source", tmp_path / "target", shard_shape=(10,), check=True)
    assert sorted(chunk_files(tmp_path / "target")) == ["c/0", "c/2", "c/3"]
    assert (report.objects_before, report.objects_after, report.differences) == (5, 3, ())
    entries = zsc.open(tmp_path / "target").codec.read_index((tmp_path / "target/c/0").read_bytes()).entries
    assert entries.tolist() == [[2**64 - 1] * 2, [0, 10]]
    assert same(zarr.open_array(str(tmp_path / "target"))[...], elements)


def test_an_array_without_a_chunk(tmp_path, read_with_tensorstore):
    """Its metadata is all there is to write."""
    zarr.create_array(str(tmp_path / "source"), shape=(9, 9), chunks=(2, 2), dtype="i4", fill_value=5)
    report = pack(tmp_path / "source", tmp_path / "target", shard_size=64, check=True)
    assert [file.name for file in (tmp_path / "target").iterdir()] == ["zarr.json"]
    assert (report.objects_after, report.already_complete) == (0, False)
    assert (read_with_tensorstore(tmp_path / "target") == 5).all()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_no_dimensions(tmp_path, write, read_with_zarr, zarr_format):
    """One element, one chunk, one shard; and back."""
    write(tmp_path / "source", "f8", shape=(), chunks=(), zarr_format=zarr_format)
    report = pack(tmp_path / "source", tmp_path / "packed", shard_size="1MB", check=True)
    assert (report.objects_before, report.objects_after, report.differences) == (1, 1, ())
    expected = read_with_zarr(tmp_path / "source")
    assert same(zsc.open(tmp_path / "packed")[...], expected)
    unpack(tmp_path / "packed", tmp_path / "target", check=True)
    assert same(read_with_zarr(tmp_path / "target"), expected)


def test_no_elements(tmp_path):
    """An axis of no elements has no chunks; nothing but metadata is written."""
    zarr.create_array(str(tmp_path / "source"), shape=(0, 3), chunks=(2, 2), dtype="i4")
    pack(tmp_path / "source", tmp_path / "target", shard_size=1000, check=True)
    assert zsc.open(tmp_path / "target")[...].shape == (0, 3)


def test_shards_may_be_larger_than_the_array(tmp_path, write, read_with_tensorstore, chunk_files):
    """A shape that is asked for is taken; inner chunks outside the array are empty."""
    elements = write(tmp_path / "source")
    pack(tmp_path / "source", tmp_path / "target", shard_shape=(40, 50, 30), check=True)
    assert list(chunk_files(tmp_path / "target")) == ["c/0/0/0"]
    assert same(read_with_tensorstore(tmp_path / "target"), elements)


@pytest.mark.parametrize("to_memory", [True, False])
@pytest.mark.parametrize("from_memory", [True, False])
def test_any_store_to_any_store(tmp_path, write, from_memory, to_memory):
    """Files and memory, four ways: the same shards, and the same chunks back."""
    elements = write(tmp_path / "files", zarr_format=3)
    source, target, back = (tmp_path / name for name in ("files", "packed", "back"))
    if from_memory:
        source = MemoryStore()
        for info in LocalStore(tmp_path / "files").list(""):
            source.write(info.key, [(tmp_path / "files" / info.key).read_bytes()])
    if to_memory:
        target, back = MemoryStore(), MemoryStore()
    packed = pack(source, target, shard_size="2KiB", check=True)
    unpacked = unpack(target, back, check=True)
    assert packed.objects_before == unpacked.objects_after > packed.objects_after == unpacked.objects_before
    assert packed.differences == unpacked.differences == ()
    assert packed.chunk_nbytes == unpacked.chunk_nbytes
    assert same(zsc.open(target)[...], elements)
    assert same(zsc.open(back)[...], elements)


def test_a_store_behind_a_network(tmp_path, write, chunk_files):
    """Stores of obstore, whose requests wait side by side: the same shards, and the same chunks back."""
    elements = write(tmp_path / "source", zarr_format=3)
    there, back = obstore.store.MemoryStore(), obstore.store.MemoryStore()
    pack(tmp_path / "source", there, shard_size="2KiB", check=True)
    pack(tmp_path / "source", tmp_path / "expected", shard_size="2KiB")
    assert same(zsc.open(there)[...], elements)
    for key, shard in chunk_files(tmp_path / "expected").items():
        assert obstore.get(there, key).bytes() == shard
    assert unpack(there, back, check=True).differences == ()
    unpack(there, tmp_path / "back")
    assert chunk_files(tmp_path / "back") == chunk_files(tmp_path / "source")
    assert same(zsc.open(back)[...], elements)


@pytest.mark.parametrize("names", [["transpose"], ["gzip"], ["transpose", "crc32c", "gzip"]])
def test_codecs_around_the_shards(tmp_path, read_with_zarr, values, names):
    """Transposes stay before the chunks' own codecs; what stood after the shards is undone."""
    after = {"gzip": {"name": "gzip", "configuration": {"level": 1}}, "crc32c": {"name": "crc32c"}}
    array = zsc.create(
        tmp_path / "plain",
        shape=(21, 13, 10),
        dtype="uint16",
        shard_shape=(8, 10, 6),
        inner_chunk_shape=(4, 5, 3),
    )
    document = json.loads((tmp_path / "plain" / "zarr.json").read_text())
    if "transpose" in names:
        order = [2, 0, 1]
        document["codecs"][0]["configuration"]["chunk_shape"] = [(4, 5, 3)[axis] for axis in order]
        document["codecs"].insert(0, {"name": "transpose", "configuration": {"order": order}})
    document["codecs"] += [after[name] for name in names if name in after]
    (tmp_path / "plain" / "zarr.json").write_text(json.dumps(document))
    array = zsc.open(tmp_path / "plain", mode="r+")
    elements = values("uint16")
    array[...] = elements
    report = unpack(tmp_path / "plain", tmp_path / "target", check=True)
    assert report.differences == ()
    assert zsc.open(tmp_path / "target").codec is None
    assert zsc.open(tmp_path / "target").shard_shape == (4, 5, 3)
    assert same(read_with_zarr(tmp_path / "target"), elements)


def test_the_outermost_of_nested_shards_is_taken_apart(tmp_path, read_with_zarr, values):
    """Inner shards become the target's shards; unpacked again, chunks."""
    inner = {
        "chunk_shape": [2, 5, 3],
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
    }
    array = zsc.create(
        tmp_path / "nested",
        shape=(21, 13, 10),
        dtype="uint16",
        shard_shape=(8, 10, 6),
        inner_chunk_shape=(4, 5, 3),
        codecs=[{"name": "sharding_indexed", "configuration": inner}],
    )
    elements = values("uint16")
    array[...] = elements
    unpack(tmp_path / "nested", tmp_path / "once", check=True)
    unpack(tmp_path / "once", tmp_path / "twice", check=True)
    assert zsc.open(tmp_path / "once").inner_chunk_shape == (2, 5, 3)
    for name in ("once", "twice"):
        assert same(read_with_zarr(tmp_path / name), elements)


def test_the_brain(tmp_path, read_with_zarr, read_with_tensorstore):
    """Real data: 130 chunks become 8 shards, and everyone reads the same brain."""
    report = pack(BRAIN, tmp_path / "brain", shard_shape=(128, 128, 128), check=True)
    assert (report.objects_before, report.objects_after, report.differences) == (130, 8, ())
    expected = read_with_zarr(BRAIN)
    assert same(read_with_tensorstore(tmp_path / "brain"), expected)
    assert same(read_with_zarr(tmp_path / "brain"), expected)
    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
        assert same(read_with_zarr(tmp_path / "brain"), expected)
    assert same(zsc.open(tmp_path / "brain")[...], expected)


def test_memory_stays_small(tmp_path):
    """256 MB in one shard: packed with files from end to end, in less than 100 MB."""
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [256, 1 << 20],
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 1 << 20]}},
        "chunk_key_encoding": {"name": "v2"},
        "fill_value": 0,
        "codecs": [{"name": "bytes"}],
    }
    source = tmp_path / "source"
    source.mkdir()
    (source / "zarr.json").write_text(json.dumps(document))
    for chunk in range(256):
        (source / f"{chunk}.0").write_bytes(bytes([chunk]) * (1 << 20))
    program = (
        "import re, sys\n"
        "from zarr_shard_codec.packing import pack\n"
        "pack(sys.argv[1], sys.argv[2], shard_size='256MiB')\n"
        "print(re.search(r'VmHWM:\\s*(\\d+) kB', open('/proc/self/status').read())[1])\n"
    )
    arguments = [sys.executable, "-c", program, source, tmp_path / "target"]
    peak = int(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)
    assert (tmp_path / "target/c/0/0").stat().st_size > 256 << 20
    assert peak < 100 << 10
