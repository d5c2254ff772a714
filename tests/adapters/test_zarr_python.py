"""zarr-python under our pipeline: what is turned on how, what is written, and what is left to the host."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec
from zarr.codecs import ShardingCodec as HostCodec

import zarr_shard_codec as zsc
from zarr_shard_codec.adapters.zarr_python import ShardingCodec, ShardPipeline, chains, versions
from zarr_shard_codec.errors import CorruptShardError, UsageError

pytestmark = [
    pytest.mark.filterwarnings("ignore:Combining a `sharding_indexed` codec"),
    pytest.mark.filterwarnings("ignore:The data type .* does not have a Zarr V3 specification"),
]

HOST = zarr.codecs.ShardingCodec
PIPELINE = "zarr_shard_codec.adapters.zarr_python.ShardPipeline"
DATA = (np.arange(24 * 30, dtype="int32") % 11).reshape(24, 30)
OPTIONS = {"shape": DATA.shape, "dtype": DATA.dtype, "chunks": (2, 5), "shards": (8, 10)}


def pipeline_of(array):
    """The codec pipeline of one of the host's arrays."""
    return array.async_array.codec_pipeline


def chunk_files(folder):
    """Relative paths and bytes of all files, without those that only locks need."""
    paths = sorted(Path(folder).rglob("*"))
    files = (path for path in paths if path.is_file() and path.name != ".zsc-lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_metadata_is_what_the_host_writes_to_the_last_byte(tmp_path):
    """Created under enable() or without: the same zarr.json, and the same chunk keys."""
    for name in ("ours", "plain"):
        with zsc.enable() if name == "ours" else zarr.config.set({}):
            array = zarr.create_array(
                tmp_path / name, **OPTIONS, compressors=ZstdCodec(level=3), fill_value=-1, attributes={"a": 1}
            )
            array[...] = DATA
    ours, plain = chunk_files(tmp_path / "ours"), chunk_files(tmp_path / "plain")
    assert ours["zarr.json"] == plain["zarr.json"]
    assert set(ours) == set(plain)
    assert np.array_equal(zarr.open_array(tmp_path / "ours")[...], DATA)
    assert np.array_equal(zsc.open(tmp_path / "ours")[...], DATA)


def test_enable_is_a_function_and_a_context_manager(tmp_path):
    """After it, or within it, arrays that are opened have our pipeline; after its end the host's."""
    zarr.create_array(tmp_path, **OPTIONS)
    assert not isinstance(pipeline_of(zarr.open_array(tmp_path)), ShardPipeline)
    with zsc.enable():
        assert isinstance(pipeline_of(zarr.open_array(tmp_path)), ShardPipeline)
    assert not isinstance(pipeline_of(zarr.open_array(tmp_path)), ShardPipeline)
    enabled = zsc.enable()
    try:
        assert isinstance(pipeline_of(zarr.open_array(tmp_path)), ShardPipeline)
    finally:
        enabled.__exit__(None, None, None)
    assert not isinstance(pipeline_of(zarr.open_array(tmp_path)), ShardPipeline)


@pytest.mark.parametrize("sharded", [True, False])
def test_unsharded_arrays_keep_the_pipeline_that_they_had(tmp_path, sharded):
    """Whatever was the host's pipeline before, its default or another one, still is for unsharded arrays."""
    options = OPTIONS if sharded else OPTIONS | {"shards": None}
    for path in (versions.default_pipeline_path(), zarr.config.get("codec_pipeline.path")):
        with zarr.config.set({"codec_pipeline.path": path}):
            before = type(pipeline_of(zarr.create_array(tmp_path, **options, overwrite=True)))
            with zsc.enable(), zsc.enable():
                now = type(pipeline_of(zarr.open_array(tmp_path)))
        assert now is (ShardPipeline if sharded else before)


def _environment(tmp_path, **variables):
    """An environment in which the package looks installed: zarr-python finds it by its entry points."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    folder = tmp_path / "site" / "zarr_shard_codec-0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: zarr-shard-codec\nVersion: 0\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in project["entry-points"].items()
    ]
    (folder / "entry_points.txt").write_text("\n".join(groups))
    source = str(Path(zsc.__file__).parents[1])
    return os.environ | {"PYTHONPATH": os.pathsep.join([source, str(folder.parent)])} | variables


ALONE = """
import sys, zarr
array = zarr.open_array(sys.argv[1])
print(type(array.async_array.codec_pipeline).__qualname__, type(array.metadata.codecs[0]).__module__)
print(int(array[...].sum()), "zarr_shard_codec" in sys.modules)
array[...] = 3
"""


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ZARR_CODEC_PIPELINE__PATH": PIPELINE}, "ShardPipeline zarr.codecs.sharding"),
        (
            {"ZARR_CODECS__SHARDING_INDEXED": "zarr_shard_codec.adapters.zarr_python.ShardingCodec"},
            "BatchedCodecPipeline zarr_shard_codec.adapters.zarr_python",
        ),
        ({}, "BatchedCodecPipeline zarr.codecs.sharding"),
    ],
)
def test_an_environment_variable_is_enough(tmp_path, variables, expected):
    """A program that never heard of us reads and writes through us, if it is told to."""
    zarr.create_array(tmp_path / "a", **OPTIONS)[...] = DATA
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(tmp_path / "a")],
        env=_environment(tmp_path, **variables),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [expected, f"{DATA.sum()} True"]
    assert (zarr.open_array(tmp_path / "a")[...] == 3).all()


def test_the_codec_can_be_given_as_serializer(tmp_path):
    """An array that is created with our codec is written and read by it, and opens without us."""
    codec = ShardingCodec(chunk_shape=(2, 5), codecs=[BytesCodec(), GzipCodec(level=1)])
    options = OPTIONS | {"chunks": (8, 10), "shards": None, "filters": None, "compressors": None}
    array = zarr.create_array(tmp_path, **options, serializer=codec)
    array[...] = DATA
    array[3:5, 7] = 1
    expected = DATA.copy()
    expected[3:5, 7] = 1
    assert isinstance(array.metadata.codecs[0], ShardingCodec)
    assert np.array_equal(array[...], expected)
    plain = zarr.open_array(tmp_path)
    assert type(plain.metadata.codecs[0]) is HOST
    assert np.array_equal(plain[...], expected)


def test_our_codec_says_of_itself_what_the_hosts_does(tmp_path):
    """Equal to the host's with the same fields, in both directions; shards, chunks and info are there."""
    fields = {"chunk_shape": (2, 5), "index_location": "start"}
    ours, plain = ShardingCodec(**fields), HOST(**fields)
    assert ours == plain
    assert plain == ours
    assert hash(ours) == hash(plain)
    assert ours != HOST(chunk_shape=(2, 5))
    assert ours != 1
    assert ours.to_dict() == plain.to_dict()
    with zarr.config.set({"codecs.sharding_indexed": "zarr_shard_codec.adapters.zarr_python.ShardingCodec"}):
        zarr.registry.register_codec("sharding_indexed", ShardingCodec)
        zarr.create_array(tmp_path, **OPTIONS)
        array = zarr.open_array(tmp_path)
    assert type(array.metadata.codecs[0]) is ShardingCodec
    assert (array.shards, array.chunks) == ((8, 10), (2, 5))
    assert array.metadata == zarr.open_array(tmp_path).metadata
    assert "Shard shape" in str(array.info)


TYPES = [
    "bool",
    "int8",
    "uint64",
    "float16",
    "float32",
    "complex64",
    "datetime64[s]",
    "timedelta64[3ms]",
    "V3",
]


@pytest.mark.parametrize("dtype", [*TYPES, ">i4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_type_comes_back(tmp_path, dtype, order):
    """Whole and in part, in both memory orders, missing shards and inner chunks as fill value."""
    raw = np.random.default_rng(1).integers(0, 2, 12 * 14 * 16, dtype="uint8")
    data = raw[: 12 * 14 * np.dtype(dtype).itemsize].view(dtype).reshape(12, 14)
    options = {"shape": data.shape, "dtype": dtype, "chunks": (2, 3), "shards": (4, 6)}
    with zsc.enable():
        array = zarr.create_array(tmp_path, **options)
        array[:7, :9] = data[:7, :9]
    with zsc.enable(), zarr.config.set({"array.order": order}):
        array = zarr.open_array(tmp_path)
        found = array[...]
    expected = np.full(data.shape, array.fill_value, array.dtype)
    expected[:7, :9] = data[:7, :9]
    assert isinstance(pipeline_of(array), ShardPipeline)
    assert found.dtype == array.dtype
    assert found.tobytes() == expected.tobytes()
    assert found.flags.f_contiguous == (order == "F")


def test_zero_dimensions_and_scalars(tmp_path):
    """An array of no dimensions is read and set; a read gives what the host gives."""
    with zsc.enable():
        array = zarr.create_array(
            tmp_path, shape=(), chunks=(), shards=(), dtype="float32", fill_value=np.nan
        )
        assert np.isnan(array[()])
        array[...] = 2.5
        assert array[()] == 2.5
        assert type(array[()]) is type(zarr.open_array(tmp_path)[()])


NESTED = HostCodec(
    chunk_shape=(4, 10), codecs=[HostCodec(chunk_shape=(2, 5), codecs=[BytesCodec(), ZstdCodec()])]
)
CHAINS = {
    "nested": {"serializer": NESTED},
    "transposed": {"filters": [TransposeCodec(order=(1, 0))], "serializer": HostCodec(chunk_shape=(2, 2))},
    "gzip around": {"serializer": HostCodec(chunk_shape=(2, 5)), "compressors": [GzipCodec(level=1)]},
    "index first": {
        "serializer": HostCodec(
            chunk_shape=(2, 5), codecs=[BytesCodec(), Crc32cCodec()], index_location="start"
        )
    },
}


@pytest.mark.parametrize("chain", CHAINS)
def test_codecs_around_and_within_shards(tmp_path, chain):
    """Shards within shards, transposes before them and compression after them go through our core, too."""
    shape = (8, 10)
    options = {"shape": DATA.shape, "dtype": DATA.dtype, "chunks": shape, "compressors": None} | CHAINS[chain]
    with zsc.enable():
        array = zarr.create_array(tmp_path, **options)
        array[...] = DATA
        array[3, 4:17:3] = -2
        read = array[2:9, ::4]
    expected = DATA.copy()
    expected[3, 4:17:3] = -2
    assert isinstance(pipeline_of(array), ShardPipeline)
    assert np.array_equal(read, expected[2:9, ::4])
    assert np.array_equal(zarr.open_array(tmp_path)[...], expected)


def test_what_we_lack_is_left_to_the_host_and_the_log_says_so_once(tmp_path, caplog, monkeypatch):
    """Strings in shards: as without us, with one line in the log however many arrays and calls there are."""
    monkeypatch.setattr(chains, "_said", set())
    words = np.array([f"word {at}" for at in range(20)], object)
    with caplog.at_level(logging.INFO, logger="zarr_shard_codec"), zsc.enable():
        for name in ("a", "b"):
            array = zarr.create_array(tmp_path / name, shape=(20,), chunks=(2,), shards=(10,), dtype=str)
            array[...] = words
            array[3:5] = "other"
            assert list(array[2:6]) == ["word 2", "other", "other", "word 5"]
    (line,) = [record for record in caplog.records if record.name == "zarr_shard_codec"]
    assert "zarr-python's own sharding is used" in line.getMessage()
    assert zarr.open_array(tmp_path / "b")[3] == "other"


def test_a_codec_class_of_somebody_else_is_left_to_itself(tmp_path, monkeypatch):
    """A codec that another package registered under a known name may do more than the name says."""
    monkeypatch.setattr(chains, "_said", set())
    seen = []

    class Watching(GzipCodec):
        async def _encode_single(self, chunk_bytes, chunk_spec):
            seen.append(chunk_spec.shape)
            return await super()._encode_single(chunk_bytes, chunk_spec)

        def _encode_sync(self, chunk_bytes, chunk_spec):
            seen.append(chunk_spec.shape)
            return super()._encode_sync(chunk_bytes, chunk_spec)

    with zsc.enable():
        array = zarr.create_array(tmp_path, **OPTIONS, compressors=Watching(level=1))
        array[...] = DATA
    assert set(seen) == {(2, 5)}
    assert np.array_equal(zarr.open_array(tmp_path)[...], DATA)


@pytest.mark.parametrize("empty", [True, False])
def test_write_empty_chunks_means_what_it_means_for_the_host(tmp_path, empty):
    """Inner chunks that are all fill value are stored where the array's configuration says so."""
    found = []
    for name in ("ours", "plain"):
        with zsc.enable() if name == "ours" else zarr.config.set({}):
            array = zarr.create_array(tmp_path / name, **OPTIONS, config={"write_empty_chunks": empty})
            array[...] = 0
            array[8:16, :12] = DATA[8:16, :12]
        found.append({name: len(raw) for name, raw in chunk_files(tmp_path / name).items()})
        index = zsc.open(tmp_path / name).codec.read_index((tmp_path / name / "c/1/1").read_bytes())
        found[-1]["present"] = index.present.tolist()
    assert found[0] == found[1]


@pytest.mark.parametrize("complete", [True, False])
def test_missing_chunks_are_errors_where_the_host_makes_them_errors(tmp_path, complete):
    """3.3 and newer can refuse to read fill values in the place of a missing shard; so can we."""
    with zsc.enable():
        array = zarr.create_array(tmp_path, **OPTIONS)
        array[:8] = DATA[:8]
        if not hasattr(array.config if hasattr(array, "config") else None, "read_missing_chunks"):
            assert (array[8:] == 0).all()
            return
        strict = zarr.open_array(tmp_path, config={"read_missing_chunks": False})
        assert np.array_equal(strict[:8], DATA[:8])
        with pytest.raises(zarr.errors.ChunkNotFoundError):
            strict[...] if complete else strict[7:9]


@pytest.mark.parametrize("way", ["pipeline", "codec"])
def test_a_broken_shard_is_our_typed_error(tmp_path, way):
    """Reads and partial writes raise CorruptShardError, a ValueError that names key and inner chunk."""
    zarr.create_array(tmp_path, **OPTIONS)[...] = DATA
    path = tmp_path / "c/1/2"
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 1
    path.write_bytes(raw)
    zarr.registry.register_codec("sharding_indexed", ShardingCodec)
    setting = {"codecs.sharding_indexed": "zarr_shard_codec.adapters.zarr_python.ShardingCodec"}
    with zsc.enable() if way == "pipeline" else zarr.config.set(setting):
        array = zarr.open_array(tmp_path)
        for attempt in (
            lambda: array[...],
            lambda: array[9, 21],
            lambda: array.oindex[[9, 15], 20:],
            lambda: array.__setitem__((9, 21), 1),
        ):
            with pytest.raises(ValueError, match="c/1/2") as caught:
                attempt()
            assert isinstance(caught.value, CorruptShardError)
            assert caught.value.reason == "index_checksum_mismatch"
        assert np.array_equal(array[:8], DATA[:8])
    assert path.read_bytes() == bytes(raw)


@pytest.mark.parametrize("version", ["4.0.0", "4.1.0b1", "3.1.5", "2.18.3"])
def test_versions_that_nobody_tried_are_refused(monkeypatch, version):
    """enable() says which versions it knows and how to get one."""
    monkeypatch.setattr(zarr, "__version__", version)
    with pytest.raises(UsageError, match=f"3.1.6 to 3.x, found {version}") as caught:
        zsc.enable()
    assert "pip install 'zarr-shard-codec[zarr]'" in caught.value.hint


@pytest.mark.parametrize("version", ["3.1.6", "3.2.0", "3.4.2", "3.10.0.dev1"])
def test_versions_from_the_oldest_known_on_are_taken(monkeypatch, version):
    """Every 3.x that is not older than the oldest that the tests run with."""
    monkeypatch.setattr(zarr, "__version__", version)
    assert versions.refusal() is None


UNKNOWN = """
import sys, zarr
zarr.__version__ = "4.0.0"
import zarr_shard_codec.adapters.zarr_python as adapter
array = zarr.create_array({}, shape=(4,), chunks=(2,), shards=(4,), dtype="u1")
try:
    adapter.ShardPipeline.from_codecs(array.metadata.codecs)
except ValueError as error:
    print(error)
"""


def test_under_an_unknown_version_only_those_who_turned_us_on_notice():
    """The host loads our entry points in any case: that raises nothing, using them does."""
    done = subprocess.run([sys.executable, "-c", UNKNOWN], capture_output=True, text=True, check=True)
    assert "found 4.0.0 [missing_extra]" in done.stdout


ABSENT = """
import sys
sys.modules["zarr"] = None
import zarr_shard_codec as zsc
try:
    zsc.enable()
except zsc.UsageError as error:
    print(error.reason, error.hint)
"""


def test_without_zarr_the_extra_is_named():
    """The package works without zarr-python; enable() says what to install."""
    done = subprocess.run([sys.executable, "-c", ABSENT], capture_output=True, text=True, check=True)
    assert done.stdout == "missing_extra pip install 'zarr-shard-codec[zarr]'\n"
