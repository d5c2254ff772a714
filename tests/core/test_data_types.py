"""Data types and fill values, against zarr-python, tensorstore and random bits."""

import json
import math
import struct
import warnings

import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.core.data_types import (
    as_dtype,
    coerce_fill_value,
    data_type_to_json,
    fill_value_to_json,
    parse_data_type,
    parse_fill_value,
)
from zarr_shard_codec.errors import MetadataError

NUMERIC = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
ALL = (*NUMERIC, "V1", "V3", "M8[ns]", "M8[25s]", "M8[D]", "m8[us]", "m8[3h]", "M8", "m8")
RAW2 = {"name": "raw_bytes", "configuration": {"length_bytes": 2}}


def time_type(name="numpy.datetime64", **configuration):
    """Give a v3 time type."""
    return {"name": name, "configuration": {"unit": "s", "scale_factor": 1} | configuration}


def bits(array):
    """Give the bits as they lie in memory."""
    return array.tobytes().hex()


def big_endian(array):
    """Give the bits as they are written in hexadecimal strings."""
    return array.astype(array.dtype.newbyteorder(">")).tobytes().hex()


def problem(function, *args):
    """Give the one problem that the call ends in."""
    with pytest.raises(MetadataError) as caught:
        function(*args)
    (only,) = caught.value.problems
    return only


def zarr_python_document(dtype, fill_value):
    """Let zarr-python create an array and give the document that it wrote."""
    store = zarr.storage.MemoryStore()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of extension types that are not settled yet
        array = zarr.create_array(store, shape=(1,), chunks=(1,), dtype=dtype, fill_value=fill_value)
        return json.loads(store._store_dict["zarr.json"].to_bytes()), array[:]


@pytest.mark.parametrize("name", NUMERIC)
def test_names_of_the_specification_are_numpys_native_types(name):
    """A core type's name reads as the NumPy type of that name, and is written as that name."""
    assert parse_data_type(name) == np.dtype(name)
    assert parse_data_type({"name": name}) == np.dtype(name)
    assert data_type_to_json(np.dtype(name).newbyteorder(">")) == name


@pytest.mark.parametrize("dtype", ALL)
def test_data_types_round_trip(dtype):
    """Whatever type is written is read as the same one, in native byte order."""
    written = json.loads(json.dumps(data_type_to_json(np.dtype(dtype))))
    assert parse_data_type(written) == np.dtype(dtype)
    assert parse_data_type(written).isnative


@pytest.mark.parametrize(
    ("json_form", "dtype"),
    [
        ("r8", "V1"),
        ("r24", "V3"),
        ({"name": "r16"}, "V2"),
        (RAW2, "V2"),
        (time_type(unit="μs", scale_factor=7), "M8[7us]"),
        (time_type("numpy.timedelta64", unit="generic"), "m8"),
        ({"name": "uint8", "configuration": {}, "must_understand": True}, "u1"),
    ],
)
def test_other_spellings_of_data_types(json_form, dtype):
    """Raw types have two names, times an alias of their unit, and any type the object form."""
    assert parse_data_type(json_form) == np.dtype(dtype)


@pytest.mark.parametrize(
    "name",
    [
        *("string", "bytes", "bfloat16", "int4", "fixed_length_utf32", "structured", "datetime64"),
        *("r", "r0", "r4", "r08", "r12", "r" + "8" * 30),
        *("<f4", "float128", "Bool"),
    ],
)
def test_unknown_types_are_refused_by_name(name):
    """A type that is not supported is refused, and the message names it."""
    found = problem(parse_data_type, {"name": name} if name != "string" else name)
    assert found.reason == "unsupported_data_type"
    assert found.path == "data_type"
    assert name[:8] in found.message


@pytest.mark.parametrize(
    ("json_form", "path", "reason"),
    [
        (1, "", "wrong_type"),
        ("", "", "wrong_type"),
        (None, "", "wrong_type"),
        ({}, ".name", "missing_key"),
        ({"name": 1}, ".name", "wrong_type"),
        ({"name": "bool", "x": 1}, ".x", "unknown_key"),
        ({"name": "bool", "configuration": {"x": 1}}, ".configuration.x", "unknown_key"),
        ({"name": "bool", "configuration": []}, ".configuration", "wrong_type"),
        ({"name": "bool", "must_understand": False}, ".must_understand", "wrong_value"),
        ({"name": "raw_bytes"}, ".configuration.length_bytes", "missing_key"),
        (
            {"name": "raw_bytes", "configuration": {"length_bytes": 0}},
            ".configuration.length_bytes",
            "wrong_value",
        ),
        (time_type(unit="ks"), ".configuration.unit", "wrong_value"),
        (time_type(unit=["s"]), ".configuration.unit", "wrong_value"),
        (time_type(scale_factor=0), ".configuration.scale_factor", "wrong_value"),
        (time_type(scale_factor=True), ".configuration.scale_factor", "wrong_value"),
        (time_type(scale_factor=2**31), ".configuration.scale_factor", "wrong_value"),
        (time_type(zone="UTC"), ".configuration.zone", "unknown_key"),
        (time_type(unit="generic", scale_factor=2), "", "unsupported_data_type"),
    ],
)
def test_malformed_types_name_the_place(json_form, path, reason):
    """A type of the wrong form is refused with the place of what is wrong."""
    found = problem(parse_data_type, json_form)
    assert (found.path, found.reason) == (f"data_type{path}", reason)


@pytest.mark.parametrize("dtype_like", [">u2", "uint16", np.uint16, np.dtype("=u2"), {"name": "uint16"}])
def test_as_dtype_takes_what_numpy_and_zarr_take(dtype_like):
    """A caller may give a NumPy type in any byte order, or a v3 type; the order is not the type's."""
    assert as_dtype(dtype_like) == np.dtype("u2")
    assert as_dtype(dtype_like).isnative


def test_as_dtype_makes_one_type_of_equal_ones():
    """NumPy's several 64-bit integers are one type here, and metadata on a type is dropped."""
    assert as_dtype(np.longlong).type is np.dtype("int64").type
    assert as_dtype(np.dtype("f4", metadata={"a": 1})).metadata is None
    assert as_dtype("r24") == np.dtype("V3")


@pytest.mark.parametrize(
    "dtype_like",
    [object, "S4", "U2", "f16", np.dtype([("a", "i4")]), np.dtype(("i4", (2,))), None, "V0", "no", str],
)
def test_as_dtype_refuses_what_v3_lacks(dtype_like):
    """NumPy types without an equal are refused."""
    assert problem(as_dtype, dtype_like).reason == "unsupported_data_type"


@pytest.mark.parametrize(
    ("dtype", "json_form", "hexadecimal"),
    [
        ("bool", True, "01"),
        ("int8", -128, "80"),
        ("uint64", 2**64 - 1, "ff" * 8),
        ("int64", -(2**63), "80" + "00" * 7),
        ("float16", "0x7e01", "7e01"),
        ("float16", 70000, "7c00"),
        ("float16", 0.1, "2e66"),
        ("float32", "NaN", "7fc00000"),
        ("float32", "0x7fc00001", "7fc00001"),
        ("float32", "0x7F800001", "7f800001"),
        ("float32", "0x00000001", "00000001"),
        ("float32", "-Infinity", "ff800000"),
        ("float32", -0.0, "80000000"),
        ("float32", 16777217, "4b800000"),
        ("float32", 1e39, "7f800000"),
        ("float32", -(10**400), "ff800000"),
        ("float64", "NaN", "7ff8000000000000"),
        ("float64", "Infinity", "7ff0000000000000"),
        ("float64", 5e-324, "0000000000000001"),
        ("complex64", [1, "0xffc00001"], "3f800000ffc00001"),
        ("complex128", ["-Infinity", -0.0], "fff00000000000008000000000000000"),
        ("V3", [1, 2, 255], "0102ff"),
        ("V3", "AQL/", "0102ff"),
        ("M8[ns]", "NaT", "8000000000000000"),
        ("m8[s]", -(2**63), "8000000000000000"),
        ("m8[s]", 5, "0000000000000005"),
    ],
)
def test_every_json_form_gives_its_bits(dtype, json_form, hexadecimal):
    """Each form that the specification allows stands for exactly these bits."""
    fill_value = parse_fill_value(json_form, np.dtype(dtype))
    assert fill_value.shape == ()
    assert fill_value.dtype == np.dtype(dtype)
    assert not fill_value.flags.writeable
    assert big_endian(fill_value) == hexadecimal


@pytest.mark.parametrize(
    ("dtype", "json_forms"),
    [
        ("bool", [0, 1, 1.0, "true", None, [True]]),
        ("int8", [128, -129, 1.0, "1", True, None, 10**30, "NaN", "0x01"]),
        ("uint16", [-1, 2**16, False]),
        (
            "float32",
            ["nan", "inf", "1.5", "0x7fc0", "0x7fc000001", "0X7fc00000", "0x7fc0000g", True, None, [1]],
        ),
        ("float64", ["0x7fc00000", "", {}]),
        ("complex64", [1, "NaN", [1], [1, 2, 3], [1, True], "0x7fc00000"]),
        (
            "V2",
            [[1], [1, 2, 3], [1, 256], [1, -1], [1, 1.0], [True, 1], "AQ==", "AQI", "A QI=", "é", 5, None],
        ),
        ("M8[s]", ["2000-01-01", 1.0, 2**63, None, True]),
    ],
)
def test_other_fill_values_are_refused(dtype, json_forms):
    """What is not a value of the type, in a form of the specification, is refused with its place."""
    for json_form in json_forms:
        found = problem(parse_fill_value, json_form, np.dtype(dtype), "here")
        assert (found.path, found.reason) == ("here", "invalid_fill_value"), json_form


@given(st.data())
@pytest.mark.parametrize("dtype", [dtype for dtype in ALL if dtype != "bool"])
def test_every_bit_pattern_survives_json(dtype, data):
    """Any bits at all, NaN payloads, -0.0 and denormals included, are read back as they were written."""
    itemsize = np.dtype(dtype).itemsize
    raw = data.draw(st.binary(min_size=itemsize, max_size=itemsize))
    written = json.dumps(fill_value_to_json(np.frombuffer(raw, dtype).reshape(())), allow_nan=False)
    assert bits(parse_fill_value(json.loads(written), np.dtype(dtype))) == raw.hex()


@given(st.integers(0, 2**23 - 1), st.booleans(), st.sampled_from([2, 4, 8]))
def test_nan_is_written_so_only_without_sign_and_payload(payload, negative, itemsize):
    """The string "NaN" stands for one NaN; the others are written as hexadecimal of the type's size."""
    mantissa = {2: 10, 4: 23, 8: 52}[itemsize]
    canonical = ((1 << (8 * itemsize - 1 - mantissa)) - 1) << mantissa | 1 << (mantissa - 1)
    value = canonical ^ (payload % (1 << (mantissa - 1))) | negative << (8 * itemsize - 1)
    fill_value = np.array(value, f"u{itemsize}").view(f"f{itemsize}")
    expected = "NaN" if value == canonical else f"0x{value:0{2 * itemsize}x}"
    assert fill_value_to_json(fill_value) == expected


CREATED = [
    *(("bool", value) for value in (False, True)),
    *(("int8", value) for value in (-128, 0, 127)),
    ("uint64", 2**64 - 1),
    ("int64", -(2**63)),
    *(("float16", np.float16(value)) for value in (0.1, np.nan, np.inf, -0.0)),
    *(("float32", np.float32(value)) for value in (0.1, np.nan, -np.inf, -0.0, 1e-45)),
    *(("float64", value) for value in (0.1, math.nan, math.inf, -0.0, 5e-324)),
    *(("complex64", value) for value in (1 + 2j, complex(math.nan, -math.inf), complex(0.1, -0.0))),
    ("complex128", complex(0.1, math.nan)),
    ("V3", b"abc"),
    ("V1", b"\x00"),
    ("M8[ns]", "NaT"),
    ("M8[25s]", 7),
    ("m8[s]", -5),
    ("m8[us]", "NaT"),
]


@pytest.mark.parametrize(("dtype", "value"), CREATED)
def test_reads_and_writes_as_zarr_python(dtype, value):
    """What zarr-python writes is read as the same bits, and written in the same form."""
    document, expected = zarr_python_document(dtype, value)
    found = parse_data_type(document["data_type"])
    fill_value = parse_fill_value(document["fill_value"], found)
    assert found == np.dtype(dtype)
    assert bits(fill_value) == bits(expected)
    assert data_type_to_json(found) == document["data_type"]
    assert json.dumps(fill_value_to_json(fill_value)) == json.dumps(document["fill_value"])


@pytest.mark.parametrize(
    ("name", "hexadecimal"),
    [
        ("float32", "7f800001"),
        ("float32", "ffc12345"),
        ("float64", "7ff8000000000001"),
        ("float16", "fe01"),
        ("float16", "8000"),
        ("complex64", "7fc00001ffc00000"),
        ("uint64", "ff" * 8),
        ("bool", "01"),
    ],
)
def test_tensorstore_reads_the_same_bits(name, hexadecimal):
    """A fill value that is written here means the same bits to tensorstore."""
    fill_value = np.frombuffer(bytes.fromhex(hexadecimal), np.dtype(name).newbyteorder(">"))[0]
    fill_value = np.asarray(fill_value).astype(name)
    metadata = {"shape": [1], "data_type": name, "fill_value": fill_value_to_json(fill_value)}
    spec = {"driver": "zarr3", "kvstore": "memory://", "metadata": metadata, "create": True}
    opened = tensorstore.open(spec, context=tensorstore.Context()).result()
    assert bits(opened.read().result()) == bits(fill_value)


@pytest.mark.parametrize(
    ("dtype", "value", "hexadecimal"),
    [
        ("bool", 0, "00"),
        ("bool", np.True_, "01"),
        ("uint8", 7.0, "07"),
        ("uint8", np.int64(7), "07"),
        ("int16", np.array(-2), "fffe"),
        ("float32", np.float32(0.1), "3dcccccd"),
        ("float32", math.nan, "7fc00000"),
        ("float32", "0x7fc00001", "7fc00001"),
        ("float32", np.uint32(0x7F800001).view("f4"), "7f800001"),
        ("float64", struct.unpack("<d", bytes.fromhex("0100000000fcff7f"))[0], "7ffffc0000000001"),
        ("float64", np.int8(-1), "bff0000000000000"),
        ("complex64", 1.5, "3fc0000000000000"),
        ("complex64", -1j, "80000000bf800000"),
        ("complex64", (0, "NaN"), "000000007fc00000"),
        ("V2", b"\x01\x02", "0102"),
        ("V2", 0, "0000"),
        ("V2", np.void(b"\x01\x02"), "0102"),
        ("M8[s]", np.datetime64("1970-01-01T00:01"), "000000000000003c"),
        ("M8[s]", 0, "0000000000000000"),
        ("M8[s]", np.datetime64("NaT", "h"), "8000000000000000"),
        ("m8[s]", np.timedelta64(2, "m"), "0000000000000078"),
    ],
)
def test_a_callers_value_becomes_the_types(dtype, value, hexadecimal):
    """Python and NumPy scalars and JSON forms are taken; a scalar of the type itself keeps its bits."""
    assert big_endian(coerce_fill_value(value, np.dtype(dtype))) == hexadecimal


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("bool", 2),
        ("uint8", 7.5),
        ("uint8", 256),
        ("uint8", True),
        ("uint8", math.nan),
        ("float32", None),
        ("float32", 1j),
        ("float32", np.bool_(True)),  # noqa: FBT003
        ("V2", b"\x01"),
        ("V2", 1),
        ("M8[h]", np.datetime64("1970-01-01T00:01")),
        ("M8[ns]", np.datetime64("9000-01-01", "s")),
        ("M8[s]", np.timedelta64(1, "s")),
        ("int64", np.datetime64(1, "s")),
        ("int8", np.zeros(2, "i1")),
        ("bool", np.array([1, 0])),
        ("M8[s]", np.array([1, 0])),
        ("M8[s]", [np.array([1, 0])]),
        ("complex64", np.array([1.0, 0.0])),
    ],
)
def test_a_callers_value_is_never_changed_silently(dtype, value):
    """A value that the type does not have is refused."""
    assert problem(coerce_fill_value, value, np.dtype(dtype)).reason == "invalid_fill_value"
