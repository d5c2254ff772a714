"""v2 arrays in v3's terms: zarr-python reads the very same chunks through both documents."""

import json
import warnings

import numcodecs
import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.array.key_encoding import KeyEncoding
from zarr_shard_codec.array.metadata import ArrayMetadata
from zarr_shard_codec.array.metadata_v2 import metadata_from_v2
from zarr_shard_codec.errors import MetadataError

SHAPE, CHUNKS = (7, 5), (4, 3)
DOCUMENT = {
    "zarr_format": 2,
    "shape": [7, 5],
    "chunks": [4, 3],
    "dtype": "<i4",
    "compressor": None,
    "filters": None,
    "fill_value": 0,
    "order": "C",
}


def problems(document, attributes=None):
    """Give the place and the reason of every problem."""
    with pytest.raises(MetadataError) as caught:
        metadata_from_v2(document, attributes)
    return {(found.path, found.reason) for found in caught.value.problems}


def values(dtype):
    """Give elements that are all there is to a type: bits that differ in every byte."""
    count = np.prod(SHAPE)
    if np.dtype(dtype).kind in "biufc":
        return (np.arange(count) * 37 % 101).astype(dtype).reshape(SHAPE)
    raw = np.arange(count * np.dtype(dtype).itemsize, dtype="u1")
    return raw.view(np.dtype(dtype)).reshape(SHAPE)


def write_v2(dtype, filters=None, compressor=None, order="C", **arguments):
    """Let zarr-python write a v2 array, and give its objects and what zarr-python reads."""
    store = zarr.storage.MemoryStore()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of types that v3 has no settled name for
        array = zarr.create_array(
            store,
            shape=SHAPE,
            chunks=CHUNKS,
            dtype=dtype,
            zarr_format=2,
            filters=filters,
            compressors=compressor,
            order=order,
            **arguments,
        )
        array[:] = values(dtype)
        return {key: value.to_bytes() for key, value in store._store_dict.items()}, array[:]


def translate(objects):
    """Give the metadata, and the objects with v3's document in place of v2's."""
    metadata = metadata_from_v2(objects[".zarray"], objects.get(".zattrs"))
    chunks = {key: value for key, value in objects.items() if not key.startswith(".")}
    return metadata, chunks | {"zarr.json": metadata.to_bytes()}


def read_with_zarr_python(objects):
    """Let zarr-python open what it is given."""
    store = zarr.storage.MemoryStore()
    make = zarr.core.buffer.default_buffer_prototype().buffer.from_bytes
    store._store_dict.update({key: make(value) for key, value in objects.items()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of codecs that are not in the specification
        return zarr.open_array(store, mode="r")[:]


def check_our_chain(metadata, objects, expected):
    """Compare the first chunk, decoded by our own codecs, with the source."""
    found = metadata.chain.decode(objects[metadata.key_encoding.key((0, 0))])
    wanted = np.ascontiguousarray(expected[: CHUNKS[0], : CHUNKS[1]], dtype=metadata.dtype)
    assert np.asarray(found, dtype=metadata.dtype).tobytes() == wanted.tobytes()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    "dtype",
    [
        "|b1",
        "|i1",
        "<u2",
        ">i4",
        "<u8",
        ">f2",
        "<f4",
        ">f8",
        "<c8",
        ">c16",
        "<M8[ns]",
        ">M8[25s]",
        "<m8[s]",
        "|V3",
    ],
)
def test_types_orders_and_byte_orders(dtype, order):
    """Every type, in either byte order and either memory order, is read from the same chunks, bit for bit."""
    fill_value = b"abc" if dtype == "|V3" else 0
    objects, expected = write_v2(dtype, compressor=numcodecs.Zlib(1), order=order, fill_value=fill_value)
    metadata, translated = translate(objects)
    assert read_with_zarr_python(translated).astype(dtype).tobytes() == expected.tobytes()
    check_our_chain(metadata, objects, expected)
    assert [codec["name"] == "transpose" for codec in metadata.codecs].count(True) == (order == "F")
    assert metadata.zarr_format == 2


@pytest.mark.parametrize(
    ("dtype", "filters", "compressor"),
    [
        *(("<i4", None, numcodecs.Blosc(name, 3, 1)) for name in numcodecs.blosc.list_compressors()),
        *((dtype, None, numcodecs.Blosc("lz4", 3, n)) for n in (-1, 0, 1, 2) for dtype in ("|u1", "<f8")),
        *(
            ("<i4", None, codec(1))
            for codec in (numcodecs.GZip, numcodecs.Zlib, numcodecs.BZ2, numcodecs.Zstd)
        ),
        ("<i4", None, numcodecs.GZip(-1)),
        ("<i4", None, numcodecs.Zstd(3, checksum=True)),
        ("<i4", None, numcodecs.LZ4(2)),
        ("<i4", None, numcodecs.LZMA(preset=1)),
        ("<i4", [numcodecs.Shuffle(4)], numcodecs.Zlib(1)),
        (">i2", [numcodecs.Shuffle(2), numcodecs.CRC32()], numcodecs.Blosc(shuffle=-1)),
        *((">i4", [codec()], None) for codec in (numcodecs.CRC32, numcodecs.Adler32, numcodecs.Fletcher32)),
        *(("<i4", [codec("end")], numcodecs.Zlib(1)) for codec in (numcodecs.CRC32, numcodecs.Adler32)),
        *(("<i4", [numcodecs.CRC32C(place)], numcodecs.Zlib(1)) for place in ("start", "end")),
        ("<i4", [numcodecs.JenkinsLookup3()], None),
        ("<i4", [numcodecs.Zlib(1), numcodecs.CRC32()], numcodecs.GZip(1)),
        ("<i4", [numcodecs.Delta("<i4", "<i2")], numcodecs.Blosc(shuffle=2)),
        ("|u1", [numcodecs.Delta("|u1")], None),
        ("<M8[ns]", [numcodecs.Delta("<i8")], numcodecs.Zlib(1)),
        ("<m8[5m]", [numcodecs.Delta("<i8", "<i8")], numcodecs.Blosc()),
        (">f4", [numcodecs.FixedScaleOffset(offset=1, scale=10, dtype=">f4", astype="<i2")], numcodecs.LZ4()),
        ("<f8", [numcodecs.Quantize(2, "<f8")], numcodecs.BZ2(1)),
        ("<f4", [numcodecs.BitRound(5)], numcodecs.Zstd(1)),
        ("|b1", [numcodecs.PackBits()], numcodecs.GZip(1)),
        ("<i4", [numcodecs.AsType("<f8", "<i4")], None),
        ("<f4", [numcodecs.FixedScaleOffset(0, 10, "<f4", "<i4"), numcodecs.Delta("<i4", "<i2")], None),
    ],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_filters_and_compressors(dtype, filters, compressor, order):
    """Every codec with an equal in v3 is read from the same chunks, alone and together, bit for bit."""
    objects, expected = write_v2(dtype, filters, compressor, order, fill_value=0)
    metadata, translated = translate(objects)
    assert read_with_zarr_python(translated).astype(dtype).tobytes() == expected.tobytes()
    check_our_chain(metadata, objects, expected)


@pytest.mark.parametrize(
    ("dtype", "filters"),
    [
        (">i4", [numcodecs.Delta(">i4", ">i8")]),
        ("<i4", [numcodecs.Delta("<i4"), numcodecs.AsType(">f8", "<i4"), numcodecs.Delta(">f8", ">f4")]),
    ],
)
def test_filters_that_leave_big_endian_numbers(dtype, filters):
    """The byte order of the stored bytes is what the last filter leaves.

    By our own codecs alone: zarr-python 3.1 hands its numcodecs filters big-endian arrays and reads other
    numbers than it wrote.
    """
    objects, expected = write_v2(dtype, filters, numcodecs.Zlib(1), "F", fill_value=0)
    metadata, _ = translate(objects)
    check_our_chain(metadata, objects, expected)
    assert {"name": "bytes", "configuration": {"endian": "big"}} in metadata.codecs


def test_tensorstore_reads_the_translation():
    """Where every codec is one of the specification, tensorstore reads the same numbers too."""
    objects, expected = write_v2(">f4", None, numcodecs.Blosc("zstd", 1, 2), "F", fill_value=-0.0)
    _, translated = translate(objects)
    context = tensorstore.Context()
    kvstore = tensorstore.KvStore.open("memory://", context=context).result()
    for key, value in translated.items():
        kvstore[key] = value
    opened = tensorstore.open({"driver": "zarr3", "kvstore": "memory://"}, context=context).result()
    assert opened.read().result().astype(">f4").tobytes() == expected.tobytes()


def test_blosc_has_names_and_a_type_size():
    """Shuffles have names in v3, none is "auto", and the element size of the array is stated."""

    def configuration(dtype, shuffle, filters=None):
        config = {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": shuffle, "blocksize": 7}
        document = DOCUMENT | {"dtype": dtype, "compressor": config, "filters": filters}
        return metadata_from_v2(document, None).codecs[-1]["configuration"]

    shared = {"cname": "lz4", "clevel": 5, "blocksize": 7}
    assert configuration("<i4", -1) == {"typesize": 4, "shuffle": "shuffle"} | shared
    assert configuration("|u1", -1) == {"typesize": 1, "shuffle": "bitshuffle"} | shared
    assert configuration("<c16", 0) == {"typesize": 16, "shuffle": "noshuffle"} | shared
    narrowing = [{"id": "delta", "dtype": "<i4", "astype": "<i2"}]
    assert configuration("<i4", 1, narrowing)["typesize"] == 2


@pytest.mark.parametrize(
    ("change", "place", "named"),
    [
        ({"dtype": "|O"}, "dtype", "|O"),
        ({"dtype": "|S5"}, "dtype", "|S5"),
        ({"dtype": "<U4"}, "dtype", "<U4"),
        ({"dtype": [["a", "<i4"]]}, "dtype", "<i4"),
        ({"dtype": "<f16"}, "dtype", "<f16"),
        ({"dtype": "|i4"}, "dtype", "|i4"),
        ({"dtype": "|V0"}, "dtype", "|V0"),
        ({"dtype": "<M8[ks]"}, "dtype", "ks"),
        *(
            ({"filters": [{"id": name}]}, "filters[0]", name)
            for name in ("vlen-utf8", "vlen-bytes", "vlen-array", "categorize", "json2", "pickle", "msgpack2")
        ),
        ({"compressor": {"id": "imagecodecs_jpeg"}}, "compressor", "imagecodecs_jpeg"),
        ({"filters": [{"id": "zlib"}, {"id": "delta", "dtype": "<i4"}]}, "filters[1]", "delta"),
        ({"filters": [{"id": "delta", "dtype": ">i4"}]}, "filters[0]", "delta"),
        ({"filters": [{"id": "delta", "dtype": "<u4"}]}, "filters[0]", "delta"),
        ({"filters": [{"id": "delta", "dtype": "|O"}]}, "filters[0].dtype", "|O"),
        ({"dtype": ">M8[ns]", "filters": [{"id": "delta", "dtype": ">i8"}]}, "filters[0]", "delta"),
        ({"dtype": "<M8[ns]", "filters": [{"id": "delta", "dtype": ">i8"}]}, "filters[0]", "delta"),
        ({"dtype": "<M8[ns]", "filters": [{"id": "delta", "dtype": "<u8"}]}, "filters[0]", "delta"),
        ({"filters": [{"id": "bitround", "keepbits": 3}]}, "filters[0]", "bitround"),
        ({"filters": [{"id": "packbits"}]}, "filters[0]", "packbits"),
        (
            {"dtype": "<f8", "filters": [{"id": "quantize", "digits": 1, "dtype": "<f8", "astype": "<f4"}]},
            "filters[0]",
            "quantize",
        ),
    ],
)
def test_without_an_exact_translation_the_obstacle_is_named(change, place, named):
    """A type or codec without an equal in v3 is refused by name; nothing is approximated."""
    with pytest.raises(MetadataError) as caught:
        metadata_from_v2(DOCUMENT | change, None)
    (found,) = caught.value.problems
    assert (found.path, found.reason) == (place, "no_exact_translation")
    assert named in found.message


def test_every_problem_is_reported_at_once():
    """A document with many faults gives them all, each at its place, in one error."""
    document = {
        "zarr_format": 3,
        "shape": [5, True],
        "chunks": [0, 2],
        "dtype": "<i4",
        "fill_value": "five",
        "order": "K",
        "dimension_separator": "-",
        "filters": [{"id": "pickle"}, {"name": "delta"}, {"id": "delta"}],
        "compressor": {"id": "blosc", "shuffle": 5},
    }
    assert problems(document, b"{NaN") == {
        ("zarr_format", "wrong_value"),
        ("shape[1]", "wrong_type"),
        ("fill_value", "invalid_fill_value"),
        ("order", "wrong_value"),
        ("dimension_separator", "wrong_value"),
        (".zattrs", "invalid_json"),
    }
    assert problems(document | {"shape": [5, 5], "fill_value": 5, "zarr_format": 2, "order": "F"}, {}) == {
        ("chunks[0]", "invalid_shape"),
        ("dimension_separator", "wrong_value"),
        ("filters[0]", "no_exact_translation"),
        ("filters[1]", "wrong_type"),
        ("filters[2].dtype", "missing_key"),
        ("compressor.shuffle", "wrong_value"),
    }
    assert {reason for _, reason in problems({})} == {"missing_key"}
    assert problems(DOCUMENT | {"chunks": [4]}) == {("chunks", "chunk_shape_mismatch")}
    assert problems(DOCUMENT | {"filters": {}}) == {("filters", "wrong_type")}


@pytest.mark.parametrize("dtype", ["|b1", "<i4", ">f4", "<c8", "<M8[ns]", ">m8[s]", "|V3"])
def test_a_null_fill_value_is_what_zarr_python_reads(dtype):
    """v2's null leaves missing chunks undefined; they read as in zarr-python: zero, and NaT for times."""
    objects = {".zarray": json.dumps(DOCUMENT | {"dtype": dtype, "fill_value": None}).encode()}
    expected = read_with_zarr_python(objects)
    metadata, translated = translate(objects)
    assert metadata.fill_value.tobytes() * 35 == expected.astype(metadata.dtype).tobytes()
    assert read_with_zarr_python(translated).tobytes() == expected.astype(metadata.dtype).tobytes()


@pytest.mark.parametrize(
    ("dtype", "json_form", "expected"),
    [
        ("<f4", "NaN", np.float32(np.nan)),
        ("<f8", "-Infinity", np.float64(-np.inf)),
        ("<f8", -0.0, np.float64(-0.0)),
        (">i2", 0.0, np.int16(0)),
        ("|b1", 1, np.bool_(1)),
        ("<c8", [1.0, "NaN"], np.complex64(complex(1, np.nan))),
        ("|V3", "AQID", np.void(b"\x01\x02\x03")),
        ("<M8[s]", 5, np.datetime64(5, "s")),
        ("<M8[s]", "NaT", np.datetime64("NaT", "s")),
        ("<u8", 2**64 - 1, np.uint64(2**64 - 1)),
    ],
)
def test_fill_values_in_v2s_forms(dtype, json_form, expected):
    """The forms that v2 writers use give the same value."""
    fill_value = metadata_from_v2(DOCUMENT | {"dtype": dtype, "fill_value": json_form}, None).fill_value
    assert fill_value.tobytes() == expected.tobytes()


def test_keys_and_sizes_come_along():
    """Chunks keep their keys; a size of 0, where no chunk is, becomes 1; unknown members are ignored."""
    document = DOCUMENT | {"dimension_separator": "/", "shape": [0, 5], "chunks": [0, 3], "other": 1}
    metadata = metadata_from_v2(document, None)
    assert metadata.key_encoding == KeyEncoding("v2", "/")
    assert (metadata.shape, metadata.chunk_shape) == ((0, 5), (1, 3))
    del document["dimension_separator"], document["filters"]
    assert metadata_from_v2(document, None).key_encoding == KeyEncoding("v2", ".")
    scalar = metadata_from_v2(DOCUMENT | {"shape": [], "chunks": [], "order": "F"}, None)
    assert (scalar.key_encoding.key(()), len(scalar.codecs)) == ("0", 1)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "<i4", "|V3", ">M8[ns]", "NaN", "blosc", "delta", "gzip", "lz4", "end", "/", "F"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "name", "level", "dtype", "astype", "shuffle", "location", "configuration"]
            ),
            inner,
        )
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(list(DOCUMENT)), JSON_VALUES, max_size=3))
def test_any_json_is_read_or_refused(change):
    """Whatever stands in a member, the answer is metadata that v3 can write, or a MetadataError."""
    try:
        metadata = metadata_from_v2(DOCUMENT | change, None)
        again = ArrayMetadata.from_json(metadata.to_bytes())
    except MetadataError:
        return
    assert again.codecs == metadata.codecs


def test_xarrays_dimension_names_move():
    """The attribute of xarray's becomes dimension names where it can, and stays where it cannot."""
    attributes = {"_ARRAY_DIMENSIONS": ["y", "x"], "units": "m"}
    metadata = metadata_from_v2(DOCUMENT, json.dumps(attributes).encode())
    assert (metadata.dimension_names, metadata.attributes) == (("y", "x"), {"units": "m"})
    for names in (["y"], "yx", [1, 2]):
        metadata = metadata_from_v2(DOCUMENT, {"_ARRAY_DIMENSIONS": names})
        assert (metadata.dimension_names, metadata.attributes) == (None, {"_ARRAY_DIMENSIONS": names})
