"""The codecs under `numcodecs.*` names, next to numcodecs itself and the standard library."""

from __future__ import annotations

import bz2
import lzma
import pickle

import numcodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zarr_shard_codec.errors import CorruptShardError, UsageError

DATA = np.cumsum(np.random.default_rng(5).integers(0, 9, 600)).astype("<u2").tobytes()

BYTES_CODECS = {
    "zlib": [{}, {"level": 9}, {"level": 0}],
    "gzip": [{}, {"level": 9}],
    "bz2": [{}, {"level": 9}],
    "lzma": [
        {},
        {"preset": 9},
        {"format": 2},
        {"format": 1, "check": 4, "preset": 0},
        {"format": 3, "filters": [{"id": 3, "dist": 2}, {"id": 33, "preset": 1}]},
    ],
    "lz4": [{}, {"acceleration": 50}],
    "zstd": [{}, {"level": 9, "checksum": True}],
    "blosc": [{}, {"cname": "zstd", "shuffle": -1}, {"cname": "zlib", "shuffle": 2, "typesize": 2}],
    "shuffle": [{"elementsize": 2}, {"elementsize": 1}, {"elementsize": 8}],
    "crc32": [{}, {"location": "end"}],
    "crc32c": [{}, {"location": "start"}],
    "adler32": [{}, {"location": "end"}],
    "fletcher32": [{}],
    "jenkins_lookup3": [{}, {"initval": 7}],
}
CASES = [(name, configuration) for name, each in BYTES_CODECS.items() for configuration in each]
COMPRESSORS = [case for case in CASES if case[0] in {"zlib", "gzip", "bz2", "lzma", "lz4", "zstd", "blosc"}]
CHECKSUMS = [
    case for case in CASES if case[0] in {"crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3"}
]


@pytest.mark.parametrize(("name", "configuration"), CASES)
def test_bytes_and_numcodecs_read_each_other(build_codec, name, configuration):
    """We decode what numcodecs encodes, and it what we encode; where it can be, the bytes are the same."""
    codec = build_codec(f"numcodecs.{name}", configuration)
    theirs = numcodecs.get_codec({"id": name, **configuration})
    array = np.frombuffer(DATA, "u1")
    encoded = codec.encode(memoryview(DATA))
    assert bytes(theirs.decode(bytes(encoded))) == DATA
    their_encoded = bytes(theirs.encode(array))
    assert bytes(codec.decode(their_encoded, max_nbytes=len(DATA))) == DATA
    if name == "gzip":
        assert len(their_encoded) == pytest.approx(len(encoded), rel=0.1)  # theirs has the time in it
    elif name != "zstd":  # the libraries' versions differ
        assert bytes(encoded) == their_encoded


@pytest.mark.parametrize(("name", "configuration"), CASES)
@pytest.mark.parametrize("data", [b"", DATA[:8], bytes(4096)])
def test_sizes_are_as_promised(build_codec, name, configuration, data):
    """Any buffer comes back, the empty one too, and its encoded size is what the codec says."""
    codec = build_codec(f"numcodecs.{name}", configuration)
    encoded = codec.encode(data)
    assert bytes(codec.decode(encoded, max_nbytes=len(data))) == data
    assert codec.encoded_nbytes(len(data)) in (None, len(encoded))
    assert len(encoded) <= codec.max_encoded_nbytes(len(data))


@pytest.mark.parametrize(("name", "configuration"), CASES)
def test_metadata_and_pickling_keep_the_codec(build_codec, name, configuration):
    """What is written builds the same codec anew, and numcodecs takes it."""
    codec = build_codec(f"numcodecs.{name}", configuration)
    written = codec.to_metadata()
    assert written["name"] == f"numcodecs.{name}"
    assert build_codec(written["name"], written["configuration"]) == codec
    assert pickle.loads(pickle.dumps(codec)) == codec
    numcodecs.get_codec({"id": name, **written["configuration"]})


@pytest.mark.parametrize(("name", "configuration"), COMPRESSORS)
def test_compressors_refuse_what_is_cut_off_and_what_follows(build_codec, name, configuration):
    """An encoded chunk has one end."""
    codec = build_codec(f"numcodecs.{name}", configuration)
    encoded = bytes(codec.encode(DATA))
    for damaged in (b"", encoded[:1], encoded[: len(encoded) // 2], encoded[:-1], encoded + b"\x01junk"):
        with pytest.raises(CorruptShardError) as caught:
            codec.decode(damaged, max_nbytes=len(DATA))
        assert caught.value.reason in {"inner_chunk_undecodable", "inner_chunk_wrong_size"}


@pytest.mark.parametrize(("name", "configuration"), CASES)
def test_nothing_more_than_asked_for_comes_out(build_codec, name, configuration):
    """One byte more than the bound is an error."""
    codec = build_codec(f"numcodecs.{name}", configuration)
    with pytest.raises(CorruptShardError) as caught:
        codec.decode(codec.encode(DATA), max_nbytes=len(DATA) - 1)
    assert caught.value.reason == "inner_chunk_wrong_size"


@pytest.mark.parametrize(("name", "configuration"), CHECKSUMS)
def test_any_flipped_bit_is_a_checksum_mismatch(build_codec, name, configuration):
    """No flipped bit gets through, wherever it is."""
    codec = build_codec(f"numcodecs.{name}", configuration)
    encoded = bytes(codec.encode(DATA[:40]))
    for bit in range(8 * len(encoded)):
        damaged = bytearray(encoded)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptShardError) as caught:
            codec.decode(damaged, max_nbytes=40)
        assert caught.value.reason == "inner_chunk_checksum_mismatch"


@pytest.mark.parametrize(("name", "module"), [("bz2", bz2), ("lzma", lzma)])
def test_streams_follow_one_another(build_codec, name, module):
    """bzip2 and XZ files are sequences of streams."""
    encoded = module.compress(b"one") + module.compress(b"") + module.compress(DATA)
    decoded = build_codec(f"numcodecs.{name}").decode(encoded, max_nbytes=2000)
    assert decoded == b"one" + DATA


def test_shuffle_takes_the_element_size_from_the_array(build_codec):
    """zarr-python fills it in so; null is the same as nothing."""
    for configuration in ({}, {"elementsize": None}):
        codec = build_codec("numcodecs.shuffle", configuration, dtype="f8")
        assert codec.to_metadata()["configuration"] == {"elementsize": 8}


def test_shuffle_takes_whole_elements_only(build_codec):
    """As numcodecs, it has no way to shuffle a rest."""
    codec = build_codec("numcodecs.shuffle", {"elementsize": 4})
    with pytest.raises(UsageError):
        codec.encode(bytes(7))
    with pytest.raises(CorruptShardError) as caught:
        codec.decode(bytes(7), max_nbytes=10)
    assert caught.value.reason == "inner_chunk_undecodable"


def test_an_lzma_header_that_asks_for_gigabytes_gets_none(build_codec):
    """A dictionary of 4 GiB is refused by size, not taken and left unused."""
    encoded = bytearray(lzma.compress(DATA, format=lzma.FORMAT_ALONE))
    encoded[1:5] = b"\xff\xff\xff\xff"
    with pytest.raises(CorruptShardError, match=r"[Mm]emory"):
        build_codec("numcodecs.lzma", {"format": 2}).decode(encoded, max_nbytes=len(DATA))


FILTERS = [
    ("delta", {"dtype": "uint16"}, "u2", "u2"),
    ("delta", {"dtype": "<i4", "astype": "<i2"}, "i4", "i2"),
    ("delta", {"dtype": "<f4"}, "f4", "f4"),
    ("delta", {"dtype": "<c8"}, "c8", "c8"),
    ("delta", {"dtype": "<i8"}, "M8[s]", "i8"),
    ("delta", {"dtype": "int64", "astype": "<i2"}, "m8[25us]", "i2"),
    ("bitround", {"keepbits": 3}, "f4", "f4"),
    ("bitround", {"keepbits": 10}, "f2", "f2"),
    ("bitround", {"keepbits": 0}, "f8", "f8"),
    ("fixedscaleoffset", {"offset": 10, "scale": 4, "astype": "u1"}, "f8", "u1"),
    ("fixedscaleoffset", {"offset": 0.5, "scale": 10, "dtype": "float32", "astype": ">i2"}, "f4", "i2"),
    ("fixedscaleoffset", {"offset": 1, "scale": 2}, "i4", "i4"),
    ("quantize", {"digits": 2}, "f8", "f8"),
    ("quantize", {"digits": -1, "dtype": "<f4", "astype": "<f4"}, "f4", "f4"),
    ("astype", {"encode_dtype": "float32"}, "f8", "f4"),
    ("astype", {"encode_dtype": "<i8", "decode_dtype": "<i4"}, "i4", "i8"),
    ("packbits", {}, "b1", "u1"),
]


@pytest.mark.parametrize(("name", "configuration", "dtype", "encoded_dtype"), FILTERS)
@settings(max_examples=40)
@given(data=st.data())
def test_filters_do_what_numcodecs_does(build_codec, data, name, configuration, dtype, encoded_dtype):
    """Bit by bit, in the encoded array and the decoded one, for any shape and memory order."""
    shape = tuple(data.draw(st.lists(st.integers(1, 4), max_size=3)))
    size = int(np.prod(shape, dtype=int))
    numbers = data.draw(st.lists(st.integers(0, 100), min_size=size, max_size=size))
    array = (np.array(numbers) / 4).astype(dtype).reshape(shape)
    codec = build_codec(f"numcodecs.{name}", configuration, shape=shape, dtype=dtype)
    theirs = numcodecs.get_codec({"id": name, **codec.to_metadata()["configuration"]})
    their_encoded = np.asarray(theirs.encode(array.reshape(-1)))
    their_decoded = np.asarray(theirs.decode(their_encoded))

    encoded = codec.encode(np.asfortranarray(array).reshape(shape))
    assert encoded.dtype == np.dtype(encoded_dtype) == codec.encoded_spec.dtype
    assert encoded.shape == codec.encoded_spec.shape
    assert (
        encoded.astype(encoded.dtype.newbyteorder("<")).tobytes()
        == their_encoded.astype(their_encoded.dtype.newbyteorder("<")).tobytes()
    )
    for order in ("=", "S"):  # `bytes` may hand over either byte order
        decoded = codec.decode(encoded.astype(encoded.dtype.newbyteorder(order)))
        assert decoded.dtype == np.dtype(dtype)
        assert decoded.shape == shape
        assert decoded.tobytes() == their_decoded.tobytes()


@pytest.mark.parametrize(("name", "configuration", "dtype", "encoded_dtype"), FILTERS)
def test_filters_take_empty_arrays(build_codec, name, configuration, dtype, encoded_dtype):
    """An array without elements has an encoding, and comes back."""
    codec = build_codec(f"numcodecs.{name}", configuration, shape=(3, 0), dtype=dtype)
    encoded = codec.encode(np.zeros((3, 0), dtype))
    assert encoded.shape == codec.encoded_spec.shape
    assert encoded.dtype == np.dtype(encoded_dtype)
    assert codec.decode(encoded).shape == (3, 0)
    assert pickle.loads(pickle.dumps(codec)).to_metadata() == codec.to_metadata()


def test_a_filter_fills_in_the_array_s_own_type(build_codec):
    """As zarr-python does when it writes the metadata."""
    written = build_codec("numcodecs.quantize", {"digits": 2}, dtype="f4").to_metadata()
    assert written["configuration"] == {"digits": 2, "dtype": "float32", "astype": "float32"}


def test_the_fill_value_is_cast_with_the_array(build_codec):
    """What is absent further down the chain is the fill value in the encoded type."""
    codec = build_codec("numcodecs.astype", {"encode_dtype": "<f8"}, dtype="i2")
    assert codec.encoded_spec.fill_value.dtype == np.dtype("f8")


def test_packbits_refuses_a_wrong_count_of_padding(build_codec):
    """The first byte says how many bits of the last one are none of the array's."""
    codec = build_codec("numcodecs.packbits", shape=(9,), dtype="b1")
    encoded = codec.encode(np.ones(9, bool))
    assert encoded.tolist() == [7, 255, 128]
    for padding in (0, 6, 8, 16, 255):
        with pytest.raises(CorruptShardError) as caught:
            codec.decode(np.array([padding, 255, 128], "u1"))
        assert caught.value.reason == "inner_chunk_undecodable"


def test_values_that_do_not_fit_warn_nobody(build_codec):
    """Infinities and overflows go the way of zarr-python, silently: other data are not the reader's fault."""
    array = np.array([np.nan, np.inf, 1e30, -1], "f8")
    codec = build_codec("numcodecs.fixedscaleoffset", {"offset": 0, "scale": 1, "astype": "i2"}, dtype="f8")
    assert codec.decode(codec.encode(array)).shape == (4,)
