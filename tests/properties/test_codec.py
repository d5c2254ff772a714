"""Laws of the codec, whatever the type, shape, codecs, location, order and nesting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from zarr_shard_codec import CorruptShardError, ShardingCodec, ZarrShardError
from zarr_shard_codec.core.grid import CHUNK_ORDERS

CRC = {"name": "crc32c"}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
GZIP = {"name": "gzip", "configuration": {"level": 1}}
SHUFFLE = {"name": "numcodecs.shuffle", "configuration": {"elementsize": 4}}
ADLER = {"name": "numcodecs.adler32", "configuration": {}}
EMPTY = 2**64 - 1

DTYPES = [
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128", "V1", "V2", "V3", "M8[ns]", "m8[25s]"),
]
NANS = {"float16": 0x7E01, "float32": 0xFFC00001, "float64": 0x7FF0000000000001}
"""NaNs with payloads; the last one signals, and the second has a sign."""


def _bytes(endian="little"):
    return {"name": "bytes", "configuration": {"endian": endian}}


def _blosc(itemsize):
    configuration = {"cname": "lz4", "clevel": 1, "shuffle": "shuffle", "typesize": itemsize, "blocksize": 0}
    return {"name": "blosc", "configuration": configuration}


def _fill_values(dtype):
    zero = np.zeros(1, dtype)
    choices = [zero]
    if dtype.kind == "f":
        choices += [np.array([-0.0], dtype), np.array([np.inf], dtype)]
        choices.append(np.array([NANS[dtype.name]], f"u{dtype.itemsize}").view(dtype))
    elif dtype.kind == "c":
        choices.append(np.array([complex(np.nan, -0.0)], dtype))
    elif dtype.kind in "mM":
        choices.append(np.array(["NaT"], dtype))
    elif dtype.kind != "b":
        choices.append(np.frombuffer(b"\xab" * dtype.itemsize, dtype))
    else:
        choices.append(np.array([True]))
    return st.sampled_from([choice.reshape(()) for choice in choices])


@st.composite
def chains(draw, ndim, dtype):
    """An inner chain that any type can take."""
    before = []
    if ndim and draw(st.booleans()):
        before = [{"name": "transpose", "configuration": {"order": draw(st.permutations(range(ndim)))}}]
    middle = draw(st.sampled_from([_bytes("little"), _bytes("big")]))
    compressors = [ZSTD, GZIP, CRC, _blosc(dtype.itemsize)]
    return [*before, middle, *draw(st.lists(st.sampled_from(compressors), max_size=2))]


@st.composite
def index_chains(draw, ndim):
    """An index chain of fixed size: either endian, transposed or not, up to two more codecs."""
    before = []
    if draw(st.booleans()):
        before = [{"name": "transpose", "configuration": {"order": draw(st.permutations(range(ndim + 1)))}}]
    after = draw(st.lists(st.sampled_from([CRC, CRC, SHUFFLE, ADLER]), max_size=2))
    return [*before, _bytes(draw(st.sampled_from(["little", "big"]))), *after]


@st.composite
def configurations(draw, ndim, dtype, max_levels=3):
    """A sharding configuration, up to so many levels deep, and the shape of its shards."""
    chunk_shape = tuple(draw(st.integers(1, 3 if ndim < 4 else 2)) for _ in range(ndim))
    codecs = draw(chains(ndim, dtype))
    levels = draw(st.integers(1, max_levels)) if ndim < 5 else 1
    for level in range(levels):
        configuration = {
            "chunk_shape": list(chunk_shape),
            "codecs": codecs,
            "index_codecs": draw(index_chains(ndim)),
            "index_location": draw(st.sampled_from(["start", "end"])),
        }
        most = 3 if ndim < 3 else 2
        # From three axes on, only some are cut at each level, lest shards outgrow the test.
        counts = [draw(st.integers(1, most)) if ndim < 3 or axis % ndim < 3 else 1 for axis in range(ndim)]
        chunk_shape = tuple(size * count for size, count in zip(chunk_shape, counts, strict=True))
        before = []
        shard = {"name": "sharding_indexed", "configuration": configuration}
        if level + 1 < levels and ndim and draw(st.booleans()):
            order = draw(st.permutations(range(ndim)))
            before = [{"name": "transpose", "configuration": {"order": order}}]
            # encoded.shape[i] == decoded.shape[order[i]]
            chunk_shape = tuple(chunk_shape[order.index(axis)] for axis in range(ndim))
        codecs = [*before, shard, *([GZIP] if draw(st.integers(0, 5)) == 0 else [])]
    return configuration, chunk_shape


@st.composite
def cases(draw):
    """A codec, and an array with some inner chunks of nothing but fill value."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    ndim = draw(st.integers(0, 4) | st.integers(0, 8))
    configuration, shard_shape = draw(configurations(ndim, dtype))
    fill = draw(_fill_values(dtype))
    codec = ShardingCodec.from_metadata(
        configuration,
        shard_shape=shard_shape,
        dtype=dtype,
        fill_value=fill[()],
        chunk_order=draw(st.sampled_from(CHUNK_ORDERS)),
    )
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = int(np.prod(shard_shape, dtype=int))
    if dtype.kind == "b":
        array = random.integers(0, 2, size).astype(bool)
    else:
        array = np.frombuffer(random.bytes(size * dtype.itemsize), dtype).copy()
    array = array.reshape(shard_shape)
    density = draw(st.sampled_from([0, 0.3, 1]))
    inner = codec.config.inner_chunk_shape
    empty = random.random(codec.chunks_per_shard) >= density
    array[np.kron(empty, np.ones(inner, bool)).astype(bool)] = fill
    event(f"{ndim} axes")
    return codec, array


def _bits(array):
    return np.asarray(array).shape, np.asarray(array).dtype, np.asarray(array).tobytes()


@st.composite
def selections(draw, shape):
    """A basic selection of an array of that shape."""
    items = [
        draw(st.slices(size) | (st.integers(-size, size - 1) if size else st.slices(size)))
        for size in shape[: draw(st.integers(0, len(shape)))]
    ]
    if draw(st.booleans()):
        items.append(Ellipsis)
    return tuple(items)


@pytest.mark.requirement(
    "INNER-CHUNKS-MANY", "INDEX-FULL", "INDEX-ENCODED", "CHAIN-ENCODE", "CHAIN-DECODE", "PARTIAL-DECODING"
)
@settings(max_examples=300)
@given(cases(), st.data())
def test_decode_undoes_encode_whole_and_in_part(case, data):
    """decode(encode(a)) is a, bit for bit; decode(encode(a), s) is a[s]; neither changes what it is given."""
    codec, array = case
    before = _bits(array)
    array.flags.writeable = False
    encoded = codec.encode(array)
    assert _bits(array) == before
    assert b"".join(codec.encode_parts(array)) == encoded
    given_bytes = bytearray(encoded)
    whole = codec.decode(given_bytes)
    assert _bits(whole) == before
    assert whole.flags.writeable
    selection = data.draw(selections(array.shape))
    part = codec.decode(memoryview(encoded), selection)
    assert type(part) is type(array[selection])
    assert _bits(part) == _bits(array[selection])
    assert given_bytes == encoded
    index = codec.read_index(encoded)
    assert len(index) == np.prod(codec.chunks_per_shard, dtype=int)
    assert codec.encode_index(index) == (
        encoded[: codec.index_nbytes] if codec.index_location == "start" else encoded[-codec.index_nbytes :]
    )


@pytest.mark.requirement("INDEX-EMPTY", "INDEX-EMPTY-FILL")
@given(cases())
def test_inner_chunks_of_fill_value_are_empty_entries(case):
    """An entry is empty if and only if every element of its chunk has the fill value's bits."""
    codec, array = case
    index = codec.read_index(codec.encode(array))
    inner, fill = codec.config.inner_chunk_shape, codec.spec.fill_value.tobytes()
    for coords in np.ndindex(codec.chunks_per_shard):
        chunk = array[
            tuple(slice(at * size, (at + 1) * size) for at, size in zip(coords, inner, strict=True))
        ]
        assert (index[coords] is None) == (chunk.tobytes() == fill * chunk.size)


@given(cases())
def test_what_was_encoded_has_a_bound(case):
    """No shard of ours is larger than what codecs after a shard let through."""
    codec, array = case
    assert len(codec.encode(array)) <= codec.max_encoded_nbytes


@given(cases(), st.sampled_from(["F", "reversed", "strided", "swapped", "broadcast"]))
def test_any_memory_layout_encodes_the_same(case, layout):
    """Fortran order, negative and large strides, the other byte order, read-only memory: no difference."""
    codec, array = case
    if layout == "F":
        view = np.array(array, order="F")
    elif layout == "reversed":
        flip = (*(slice(None, None, -1),) * array.ndim, ...)
        view = array[flip].copy()[flip]
    elif layout == "strided":
        wide = np.zeros([size * 2 for size in array.shape], array.dtype)
        view = wide[(*(slice(None, None, 2),) * array.ndim, ...)]
        view[...] = array
    elif layout == "swapped":
        view = array.astype(array.dtype.newbyteorder())
    else:
        array = np.broadcast_to(array.reshape(-1)[:1].reshape(()), array.shape)
        view = array
    assert codec.encode(view) == codec.encode(array.copy())


@pytest.mark.requirement("ORDER-ANY", "RUNTIME-OPTIONS")
@given(cases())
def test_the_order_changes_nothing_but_the_places(case):
    """Whatever the order, the same inner chunks decode to the same array, and metadata says nothing of it."""
    codec, array = case
    for order in CHUNK_ORDERS:
        other = codec.with_chunk_order(order)
        encoded = other.encode(array)
        assert other.to_metadata() == codec.to_metadata()
        assert _bits(codec.decode(encoded)) == _bits(array)


def _checked(draw, ndim, dtype):
    """A configuration in which every byte is under a checksum."""
    chunk_shape = [draw(st.integers(1, 2)) for _ in range(ndim)]
    compressed = draw(st.lists(st.sampled_from([ZSTD, GZIP, _blosc(dtype.itemsize)]), max_size=1))
    return {
        "chunk_shape": chunk_shape,
        "codecs": [_bytes(), *compressed, CRC],
        "index_codecs": [_bytes(draw(st.sampled_from(["little", "big"]))), CRC],
        "index_location": draw(st.sampled_from(["start", "end"])),
    }


@settings(max_examples=200)
@given(st.data())
def test_a_flipped_byte_is_an_error_or_the_same_data(data):
    """Where inner chunks and index have checksums, damage anywhere is never read as other data."""
    dtype = np.dtype(data.draw(st.sampled_from(["u1", "i4", "f8"])))
    ndim = data.draw(st.integers(0, 3))
    configuration = _checked(data.draw, ndim, dtype)
    shard_shape = [size * data.draw(st.integers(1, 3)) for size in configuration["chunk_shape"]]
    codec = ShardingCodec.from_metadata(configuration, shard_shape=tuple(shard_shape), dtype=dtype)
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    array = random.integers(0, 3, shard_shape).astype(dtype)
    encoded = bytearray(codec.encode(array))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    selection = data.draw(selections(array.shape) | st.just(...))
    try:
        found = codec.decode(encoded, selection)
    except CorruptShardError as error:
        event(error.reason)
    else:
        assert selection != ...
        assert _bits(found) == _bits(array[selection])


@st.composite
def hostile_shards(draw, codec):
    """Bytes that may or may not be a shard: noise, or an index of any numbers with a checksum that holds."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=300))
    numbers = st.one_of(
        st.integers(0, 200), st.sampled_from([0, EMPTY, EMPTY - 1, 2**63, 2**60]), st.integers(0, EMPTY)
    )
    n_chunks = int(np.prod(codec.chunks_per_shard, dtype=int))
    entries = draw(st.lists(numbers, min_size=2 * n_chunks, max_size=2 * n_chunks))
    index = codec.index_chain.encode(np.array(entries, np.uint64).reshape(*codec.chunks_per_shard, 2))
    body = draw(st.binary(max_size=200))
    return bytes(index) + body if codec.index_location == "start" else body + bytes(index)


@settings(max_examples=400)
@given(cases(), st.data())
def test_any_bytes_are_a_shard_or_our_error(case, data):
    """Whatever is decoded, there is an array of the right type and shape, or an error with a reason."""
    codec, array = case
    encoded = data.draw(hostile_shards(codec))
    selection = data.draw(selections(array.shape) | st.just(...))
    try:
        found = codec.decode(encoded, selection)
    except CorruptShardError as error:
        event(error.reason)
    else:
        event("read")
        assert np.asarray(found).shape == array[selection].shape
        assert np.asarray(found).dtype == array.dtype


def test_an_integer_is_the_shape_of_a_shard_of_one_axis():
    """As for `create`; what is no shape is refused as an argument."""
    configuration = {"chunk_shape": [2], "codecs": [_bytes()], "index_codecs": [_bytes()]}
    for shape in (4, [4], np.array([4]), np.int64(4)):
        codec = ShardingCodec.from_metadata(configuration, shard_shape=shape, dtype="i4")
        assert codec.spec.shape == (4,)
    for shape in (None, "4", (4.0,), (0,), (-4,)):
        with pytest.raises(ZarrShardError) as caught:
            ShardingCodec.from_metadata(configuration, shard_shape=shape, dtype="i4")
        assert caught.value.reason == "invalid_argument"


def test_wrong_arrays_are_refused():
    """An array of another shape or type is not encoded, nor silently cast."""
    configuration = {"chunk_shape": [2], "codecs": [_bytes()], "index_codecs": [_bytes()]}
    codec = ShardingCodec.from_metadata(configuration, shard_shape=(4,), dtype="i4")
    for array, reason in (
        (np.zeros(5, "i4"), "value_shape_mismatch"),
        (np.zeros((4, 1), "i4"), "value_shape_mismatch"),
        (np.zeros(4, "i8"), "value_type_mismatch"),
        (np.zeros(4, "u4"), "value_type_mismatch"),
    ):
        with pytest.raises(ZarrShardError) as caught:
            codec.encode(array)
        assert caught.value.reason == reason
