"""Chunks that zarr-python and tensorstore write and read, next to ours."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorstore
import zarr

from zarr_shard_codec.codecs.blosc import CNAMES, SHUFFLES

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
BIG = {"name": "bytes", "configuration": {"endian": "big"}}

# zarr-python 3.1 warns that these names and this type have no specification.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3"),
    pytest.mark.filterwarnings("ignore:The data type .* does not have a Zarr V3 specification"),
]


def codec(name, **configuration):
    """Give the codec object as it stands in metadata."""
    return {"name": name, "configuration": configuration}


def sequence(*names_and_configurations):
    """Give a chain of the `bytes` codec and these."""
    return [LITTLE, *names_and_configurations]


SPECIFIED = {
    "bytes": ([LITTLE], "i4"),
    "bytes big": ([BIG], "f8"),
    "bytes one": ([{"name": "bytes"}], "u1"),
    "bytes bool": ([{"name": "bytes"}], "b1"),
    "bytes complex": ([BIG], "c8"),
    "bytes half": ([LITTLE], "f2"),
    "transpose": ([codec("transpose", order=[2, 0, 1]), BIG], "u2"),
    "crc32c": (sequence({"name": "crc32c"}), "u2"),
    "crc32c twice": (sequence({"name": "crc32c"}, {"name": "crc32c"}), "u2"),
    **{f"gzip {level}": (sequence(codec("gzip", level=level)), "u2") for level in (0, 1, 2, 3, 6, 9)},
    **{f"zstd {level}": (sequence(codec("zstd", level=level)), "f4") for level in (-5, 0, 1, 22)},
    "zstd checksum": (sequence(codec("zstd", level=3, checksum=True)), "f4"),
    **{
        f"blosc {cname} {shuffle}": (
            sequence(codec("blosc", cname=cname, clevel=5, shuffle=shuffle, typesize=4, blocksize=0)),
            "f4",
        )
        for cname, shuffle in itertools.product(CNAMES, SHUFFLES)
        if cname != "snappy"  # which numcodecs' wheels leave out; see test_blosc
    },
    "all": ([codec("transpose", order=[1, 2, 0]), BIG, codec("zstd", level=1), {"name": "crc32c"}], "i8"),
}
# Little endian throughout: zarr-python 3.1 hands a filter what it read in big endian without swapping it.
NUMCODECS = {
    "zlib": (sequence(codec("numcodecs.zlib", level=3)), "u2"),
    "gzip": (sequence(codec("numcodecs.gzip", level=3)), "u2"),
    "bz2": (sequence(codec("numcodecs.bz2", level=3)), "u2"),
    "lzma": (sequence(codec("numcodecs.lzma", preset=1)), "u2"),
    "lz4": (sequence(codec("numcodecs.lz4", acceleration=2)), "u2"),
    "zstd": (sequence(codec("numcodecs.zstd", level=2)), "u2"),
    "blosc": (sequence(codec("numcodecs.blosc", cname="lz4", shuffle=2, typesize=4)), "f4"),
    "blosc, default typesize": (sequence(codec("numcodecs.blosc", cname="zstd", clevel=3)), "f4"),
    "shuffle": (sequence(codec("numcodecs.shuffle", elementsize=4), codec("numcodecs.zlib", level=1)), "f4"),
    "shuffle, default": (sequence(codec("numcodecs.shuffle")), "f8"),
    "crc32": (sequence(codec("numcodecs.crc32")), "u2"),
    "crc32 end": (sequence(codec("numcodecs.crc32", location="end")), "u2"),
    "crc32c": (sequence(codec("numcodecs.crc32c")), "u2"),
    "adler32": (sequence(codec("numcodecs.adler32")), "u2"),
    "fletcher32": (sequence(codec("numcodecs.fletcher32")), "u2"),
    "jenkins_lookup3": (sequence(codec("numcodecs.jenkins_lookup3", initval=3)), "u2"),
    "delta": ([codec("numcodecs.delta", dtype="int32"), LITTLE], "i4"),
    "delta astype": ([codec("numcodecs.delta", dtype="<i8", astype="<i2"), LITTLE], "i8"),
    "bitround": ([codec("numcodecs.bitround", keepbits=4), LITTLE], "f4"),
    "fixedscaleoffset": (
        [codec("numcodecs.fixedscaleoffset", offset=3, scale=5, dtype="<f8", astype="<i4"), LITTLE],
        "f8",
    ),
    "quantize": ([codec("numcodecs.quantize", digits=1, dtype="<f4"), LITTLE], "f4"),
    "quantize, default": ([codec("numcodecs.quantize", digits=1), LITTLE], "f8"),
    "astype": ([codec("numcodecs.astype", encode_dtype="<i2", decode_dtype="<i8"), LITTLE], "i8"),
    "packbits": ([codec("numcodecs.packbits"), {"name": "bytes"}], "b1"),
    "packbits and zlib": (
        [codec("numcodecs.packbits"), {"name": "bytes"}, codec("numcodecs.zlib", level=1)],
        "b1",
    ),
    "two filters": (
        [
            codec("numcodecs.fixedscaleoffset", offset=0, scale=10, dtype="<f8", astype="<i4"),
            codec("numcodecs.delta", dtype="<i4", astype="<i2"),
            LITTLE,
            codec("numcodecs.zlib", level=1),
        ],
        "f8",
    ),
}
EVERYTHING = {**SPECIFIED, **{f"numcodecs {key}": value for key, value in NUMCODECS.items()}}


def values_of(dtype, shape=(3, 4, 5)):
    """Values that differ, so that neither writer leaves the chunk out."""
    numbers = np.arange(int(np.prod(shape))).reshape(shape) * 37 % 101
    return (numbers % 3 == 0) if dtype == "b1" else (numbers / 4).astype(dtype)


@pytest.mark.parametrize("case", EVERYTHING)
def test_zarr_python_reads_ours_and_we_read_its_own(build_pipeline, tmp_path, case):
    """One chunk, under the metadata that our codecs write: encoded by either, decoded by the other."""
    codecs, dtype = EVERYTHING[case]
    values = values_of(dtype)
    pipeline = build_pipeline(codecs, values.shape, dtype)
    (tmp_path / "zarr.json").write_text(pipeline.document())
    zarr.open_array(tmp_path, mode="r+")[...] = values
    chunk = tmp_path / "c/0/0/0"
    theirs = chunk.read_bytes()
    expected = zarr.open_array(tmp_path, mode="r")[...]

    decoded = pipeline.decode(theirs)
    assert decoded.shape == values.shape
    assert decoded.astype(values.dtype).tobytes() == expected.tobytes()
    encoded = pipeline.encode(values)
    chunk.write_bytes(encoded)
    assert zarr.open_array(tmp_path, mode="r")[...].tobytes() == expected.tobytes()
    if "zstd" not in case and "gzip" not in case and case != "all":  # versions, and the time in a header
        assert encoded == theirs


@pytest.mark.parametrize("case", SPECIFIED)
def test_tensorstore_reads_ours_and_we_read_its_own(build_pipeline, tmp_path, case):
    """The same with tensorstore, for the codecs that it has."""
    codecs, dtype = SPECIFIED[case]
    values = values_of(dtype)
    pipeline = build_pipeline(codecs, values.shape, dtype)
    (tmp_path / "zarr.json").write_text(pipeline.document())
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(tmp_path)}}
    tensorstore.open(spec).result().write(values).result()
    chunk = tmp_path / "c/0/0/0"
    decoded = pipeline.decode(chunk.read_bytes())
    assert decoded.astype(values.dtype).tobytes() == values.tobytes()
    chunk.write_bytes(pipeline.encode(values))
    array = tensorstore.open(spec, recheck_cached_data=True).result().read().result()
    assert array.tobytes() == values.tobytes()


@pytest.mark.parametrize("case", ["bytes", "crc32c", "zstd 1", "gzip 1", "blosc lz4 shuffle"])
def test_zero_dimensional_chunks(build_pipeline, tmp_path, case):
    """A chunk of no dimensions is one element."""
    codecs, dtype = SPECIFIED[case]
    values = np.array(7, dtype)
    pipeline = build_pipeline(codecs, (), dtype)
    (tmp_path / "zarr.json").write_text(pipeline.document())
    zarr.open_array(tmp_path, mode="r+")[...] = values
    decoded = pipeline.decode((tmp_path / "c").read_bytes())
    assert decoded.shape == ()
    assert decoded.tobytes() == values.tobytes()
    (tmp_path / "c").write_bytes(pipeline.encode(values))
    assert zarr.open_array(tmp_path, mode="r")[()] == 7


def test_raw_types_have_no_byte_order(build_pipeline, tmp_path):
    """Zarr's r16 is two bytes, not a number: they stay in order, whatever `endian` says."""
    values = np.frombuffer(b"abcdef", "V2")
    pipeline = build_pipeline([BIG], (3,), "V2")
    assert pipeline.encode(values) == b"abcdef"
    document = build_pipeline([{"name": "bytes"}], (3,), "V2").document()
    (tmp_path / "zarr.json").write_text(document)
    (tmp_path / "c").mkdir()
    (tmp_path / "c/0").write_bytes(pipeline.encode(values))
    assert zarr.open_array(tmp_path, mode="r")[...].tobytes() == b"abcdef"
