"""Configurations of codecs: strict, and every problem at once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zarr_shard_codec.codecs.registry import get_factory, known_names
from zarr_shard_codec.errors import MetadataError

NAMES = [name for name in known_names() if name != "sharding_indexed"]
DTYPES = {"numcodecs.packbits": "b1", "numcodecs.quantize": "f4", "numcodecs.bitround": "f4"}

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["<f4", "zstd"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
KEYS = [
    "level",
    "checksum",
    "cname",
    "clevel",
    "shuffle",
    "typesize",
    "blocksize",
    "endian",
    "order",
    "location",
    "initval",
    "prefix",
    "elementsize",
    "acceleration",
    "format",
    "check",
    "preset",
    "filters",
    "dtype",
    "astype",
    "offset",
    "scale",
    "digits",
    "keepbits",
    "encode_dtype",
    "decode_dtype",
    "unknown",
]

WRONG = {
    "gzip": [
        ({"level": 10}, {("level", "wrong_value")}),
        ({"level": -1}, {("level", "wrong_value")}),
        ({"level": True}, {("level", "wrong_type")}),
        ({"level": 1.0, "mtime": 0}, {("level", "wrong_type"), ("mtime", "unknown_key")}),
    ],
    "zstd": [
        ({"level": 23}, {("level", "wrong_value")}),
        ({"level": -131073}, {("level", "wrong_value")}),
        ({"level": "3", "checksum": 1}, {("level", "wrong_type"), ("checksum", "wrong_type")}),
        ({"window": 3, "level": None}, {("window", "unknown_key"), ("level", "wrong_type")}),
    ],
    "blosc": [
        (
            {"cname": "zip", "clevel": 10, "shuffle": 1, "typesize": 0, "blocksize": -1, "nthreads": 2},
            {
                ("cname", "wrong_value"),
                ("clevel", "wrong_value"),
                ("shuffle", "wrong_type"),
                ("typesize", "wrong_value"),
                ("blocksize", "wrong_value"),
                ("nthreads", "unknown_key"),
            },
        ),
        (
            {"shuffle": "autoshuffle", "typesize": None},
            {("shuffle", "wrong_value"), ("typesize", "wrong_type")},
        ),
    ],
    "numcodecs.blosc": [({"shuffle": "shuffle"}, {("shuffle", "wrong_type")})],
    "numcodecs.zlib": [({"level": 10}, {("level", "wrong_value")})],
    "numcodecs.bz2": [({"level": 0}, {("level", "wrong_value")})],
    "numcodecs.lz4": [({"acceleration": 2**31}, {("acceleration", "wrong_value")})],
    "numcodecs.lzma": [
        ({"format": 0}, {("format", "wrong_value")}),
        ({"preset": 10}, {("", "wrong_value")}),
        ({"preset": 1, "filters": [{"id": 33}]}, {("preset", "wrong_value"), ("", "wrong_value")}),
        ({"filters": [{"id": 33, "dict_size": -1}]}, {("", "wrong_value")}),
        ({"filters": [{"name": "lzma2"}]}, {("", "wrong_value")}),
        ({"filters": ["lzma2"]}, {("filters", "wrong_type")}),
        ({"format": 3}, {("", "wrong_value")}),
    ],
    "numcodecs.crc32": [({"location": "middle"}, {("location", "wrong_value")})],
    "numcodecs.fletcher32": [({"location": "end"}, {("location", "unknown_key")})],
    "numcodecs.jenkins_lookup3": [
        ({"initval": -1, "prefix": "abc"}, {("initval", "wrong_value"), ("prefix", "wrong_value")})
    ],
    "numcodecs.shuffle": [({"elementsize": 0}, {("elementsize", "wrong_value")})],
    "numcodecs.delta": [
        ({}, {("dtype", "missing_key")}),
        ({"dtype": None}, {("dtype", "wrong_type")}),
        ({"dtype": "<i4"}, {("dtype", "codec_data_type_mismatch")}),
        ({"dtype": ">u2"}, {("dtype", "codec_data_type_mismatch")}),
        ({"dtype": "u2", "astype": "O"}, {("astype", "codec_data_type_mismatch")}),
        ({"dtype": "u2", "astype": "c8"}, {("astype", "codec_data_type_mismatch")}),
        ({"dtype": "word", "astype": 2}, {("dtype", "wrong_value"), ("astype", "wrong_type")}),
    ],
    "numcodecs.fixedscaleoffset": [
        ({}, {("offset", "missing_key"), ("scale", "missing_key")}),
        ({"offset": "1", "scale": 0}, {("offset", "wrong_type"), ("scale", "wrong_value")}),
        ({"offset": 0, "scale": float("nan")}, {("scale", "wrong_value")}),
        ({"offset": 100_000, "scale": 1}, {("", "codec_data_type_mismatch")}),
    ],
    "numcodecs.quantize": [
        ({"digits": 1.5}, {("digits", "wrong_type")}),
        (
            {"digits": 400, "astype": "<f8"},
            {("digits", "wrong_value"), ("astype", "codec_data_type_mismatch")},
        ),
    ],
    "numcodecs.bitround": [
        ({"keepbits": 24}, {("keepbits", "wrong_value")}),
        ({}, {("keepbits", "missing_key")}),
    ],
    "numcodecs.astype": [
        ({}, {("encode_dtype", "missing_key")}),
        (
            {"encode_dtype": "c8", "decode_dtype": "i8"},
            {("encode_dtype", "codec_data_type_mismatch"), ("decode_dtype", "codec_data_type_mismatch")},
        ),
        ({"encode_dtype": "i4,i4"}, {("encode_dtype", "codec_data_type_mismatch")}),
    ],
    "numcodecs.packbits": [({"padding": 1}, {("padding", "unknown_key")})],
}
CASES = [(name, *case) for name, cases in WRONG.items() for case in cases]


@pytest.mark.parametrize(("name", "configuration", "problems"), CASES)
def test_every_problem_is_told_at_once(build_codec, name, configuration, problems):
    """Each wrong key is named with its reason, none twice."""
    with pytest.raises(MetadataError) as caught:
        build_codec(name, configuration, dtype=DTYPES.get(name, "u2"))
    found = [(problem.path, problem.reason) for problem in caught.value.problems]
    assert len(found) == len(set(found))
    assert set(found) == problems


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("numcodecs.delta", "b1"),
        ("numcodecs.delta", "V3"),
        ("numcodecs.bitround", "i4"),
        ("numcodecs.quantize", "c8"),
        ("numcodecs.fixedscaleoffset", "c8"),
        ("numcodecs.astype", "V4"),
        ("numcodecs.packbits", "u1"),
    ],
)
def test_a_filter_refuses_types_that_it_cannot_filter(build_codec, name, dtype):
    """A type that would come back changed, or not at all, is refused before a chunk is written."""
    with pytest.raises(MetadataError) as caught:
        build_codec(name, {"dtype": dtype}, dtype=dtype)
    assert ("", "codec_data_type_mismatch") in {(p.path, p.reason) for p in caught.value.problems}


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)
@given(configuration=st.dictionaries(st.sampled_from(KEYS), JSON, max_size=5))
def test_any_json_is_a_configuration_or_a_metadata_error(build_codec, name, configuration):
    """Whatever a document holds, a codec comes out, or every problem; and its metadata build it anew."""
    dtype = DTYPES.get(name, "u2")
    try:
        codec = build_codec(name, configuration, dtype=dtype)
    except MetadataError:
        return
    again = build_codec(name, codec.to_metadata().get("configuration"), dtype=dtype)
    assert again.to_metadata() == codec.to_metadata()


@pytest.mark.parametrize("name", NAMES)
def test_codecs_say_their_kind_and_name(build_codec, name):
    """A chain sorts codecs by `kind`, and writes back the name that was read."""
    needed = {
        "bytes": {"endian": "big"},
        "transpose": {"order": [0]},
        "numcodecs.delta": {"dtype": "u2"},
        "numcodecs.fixedscaleoffset": {"offset": 0, "scale": 1},
        "numcodecs.quantize": {"digits": 1},
        "numcodecs.astype": {"encode_dtype": "u4"},
        "numcodecs.bitround": {"keepbits": 1},
    }
    codec = build_codec(name, needed.get(name), dtype=DTYPES.get(name, "u2"))
    assert codec.kind in {"array_array", "array_bytes", "bytes_bytes"}
    assert hasattr(codec, "encoded_spec") == (codec.kind == "array_array")
    assert codec.to_metadata()["name"] == name
    assert get_factory(name) is get_factory(name)
