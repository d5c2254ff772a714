"""The `bytes` codec."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from zarr_shard_codec.errors import CorruptShardError, MetadataError

DTYPES = [
    "b1",
    "i1",
    "i2",
    "i4",
    "i8",
    "u1",
    "u2",
    "u4",
    "u8",
    "f2",
    "f4",
    "f8",
    "c8",
    "c16",
    "M8[ns]",
    "m8[s]",
    "V1",
    "V2",
    "V3",
    "V16",
]
FOREIGN = "big" if sys.byteorder == "little" else "little"


@given(data=st.data(), dtype=st.sampled_from(DTYPES), endian=st.sampled_from(["little", "big"]))
def test_decode_undoes_encode_bit_by_bit(build_codec, data, dtype, endian):
    """Any array of any type and shape, zero-dimensional and empty ones included, comes back bit by bit."""
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    dtype = np.dtype(dtype)
    raw = data.draw(st.binary(min_size=(n := int(np.prod(shape)) * dtype.itemsize), max_size=n))
    values = np.frombuffer(bytes(b & 1 for b in raw) if dtype.kind == "b" else raw, dtype).reshape(shape)
    codec = build_codec("bytes", {"endian": endian}, shape=shape, dtype=dtype)
    encoded = codec.encode(values)
    assert len(encoded) == codec.encoded_nbytes == codec.max_encoded_nbytes == values.nbytes
    assert bytes(encoded) == values.astype(dtype.newbyteorder("<" if endian == "little" else ">")).tobytes()
    decoded = codec.decode(encoded)
    assert decoded.shape == shape
    assert decoded.astype(dtype).tobytes() == values.tobytes()


def test_native_contiguous_arrays_are_not_copied(build_codec):
    """Encoding hands out the array's own memory, and decoding the buffer's."""
    array = np.arange(6, dtype="u4").reshape(2, 3)
    codec = build_codec("bytes", {"endian": sys.byteorder}, shape=(2, 3), dtype="u4")
    encoded = codec.encode(array)
    assert np.shares_memory(np.frombuffer(encoded, "u1"), array)
    assert np.shares_memory(codec.decode(encoded), array)


def test_the_foreign_byte_order_is_decoded_without_a_copy(build_codec):
    """Decoding leaves swapping to whoever copies the elements anyway."""
    buffer = bytearray(8)
    decoded = build_codec("bytes", {"endian": FOREIGN}, dtype="u2").decode(buffer)
    assert decoded.dtype == np.dtype("u2").newbyteorder()
    assert np.shares_memory(decoded, np.frombuffer(buffer, "u1"))


def test_strided_arrays_are_encoded_in_lexicographical_order(build_codec):
    """Neither memory order nor strides of an array show in its encoding."""
    array = np.arange(12, dtype="u2").reshape(3, 4)[::2, ::-1].T
    codec = build_codec("bytes", {"endian": sys.byteorder}, shape=array.shape)
    assert bytes(codec.encode(array)) == array.tobytes()


@pytest.mark.parametrize("dtype", ["u1", "i1", "b1", "V1", "V2", "V4"])
def test_endian_may_be_left_out_where_it_means_nothing(build_codec, dtype):
    """One-byte and raw types need no byte order, and the metadata then has none."""
    codec = build_codec("bytes", {}, dtype=dtype)
    assert codec.to_metadata() == {"name": "bytes"}
    assert codec.decode(bytes(codec.encoded_nbytes)).dtype == np.dtype(dtype)


@pytest.mark.parametrize("dtype", ["u2", "f2", "c8", "M8[s]"])
def test_endian_is_required_where_it_means_something(build_codec, dtype):
    """A type whose elements have a byte order needs it (bytes codec specification, endian)."""
    with pytest.raises(MetadataError) as caught:
        build_codec("bytes", {}, dtype=dtype)
    assert [(p.path, p.reason) for p in caught.value.problems] == [("endian", "missing_key")]


def test_all_problems_at_once(build_codec):
    """A wrong value and an unknown key are told together."""
    with pytest.raises(MetadataError) as caught:
        build_codec("bytes", {"endian": "middle", "order": "C"})
    assert [(p.path, p.reason) for p in caught.value.problems] == [
        ("endian", "wrong_value"),
        ("order", "unknown_key"),
    ]


@pytest.mark.parametrize("nbytes", [0, 7, 9])
def test_a_wrong_length_is_an_error(build_codec, nbytes):
    """An encoded array has one length only."""
    with pytest.raises(CorruptShardError) as caught:
        build_codec("bytes", {"endian": "little"}).decode(bytes(nbytes))
    assert caught.value.reason == "inner_chunk_wrong_size"
    assert f"expected 8 bytes, found {nbytes}" in str(caught.value)


def test_a_bool_is_zero_or_one(build_codec):
    """Other bytes are no bool (bytes codec specification, table of types)."""
    codec = build_codec("bytes", {}, dtype="b1")
    assert codec.decode(b"\0\1\1\0").tolist() == [False, True, True, False]
    with pytest.raises(CorruptShardError) as caught:
        codec.decode(b"\0\1\2\0")
    assert caught.value.reason == "inner_chunk_undecodable"


def test_pickling_keeps_the_codec(build_codec):
    """Dask sends codecs between processes."""
    codec = build_codec("bytes", {"endian": "big"})
    assert pickle.loads(pickle.dumps(codec)) == codec
