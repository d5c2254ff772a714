"""Where encoded chunks end, by their own bytes."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.codecs.framing import frame_size
from zarr_shard_codec.core.protocols import ChunkSpec
from zarr_shard_codec.errors import CorruptShardError

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
CRC = {"name": "crc32c"}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
GZIP = {"name": "gzip", "configuration": {"level": 5}}
BLOSC = {
    "name": "blosc",
    "configuration": {"cname": "zstd", "clevel": 5, "shuffle": "noshuffle", "blocksize": 0},
}
FRAMED = [(ZSTD,), (GZIP,), (BLOSC,), (CRC,), (ZSTD, CRC), (CRC, GZIP), (GZIP, ZSTD, CRC, CRC)]


def _chain(*codecs, n=100):
    spec = ChunkSpec((n,), np.dtype("int32"), np.zeros((), "int32"))
    return CodecChain.from_metadata([LITTLE, *codecs], spec)


@pytest.mark.parametrize("codecs", FRAMED)
@pytest.mark.parametrize("behind", [b"", b"\0", b"\x1f\x8b\x08\0", bytes(range(256)) * 40])
def test_a_chunk_ends_where_it_ends(codecs, behind):
    """Whatever follows it, another chunk too."""
    chain = _chain(*codecs)
    for values in (np.zeros(100), np.arange(100), np.random.default_rng(0).integers(0, 2**31, 100)):
        encoded = bytes(chain.encode(values.astype("int32")))
        for rest in (behind, encoded):
            assert frame_size(chain)(memoryview(encoded + rest)) == len(encoded)


@pytest.mark.parametrize(
    "codecs",
    [(), ({"name": "numcodecs.adler32"},), ({"name": "numcodecs.bz2", "configuration": {"level": 1}},)],
)
def test_other_chunks_do_not_say_where_they_end(codecs):
    """Plain elements, other checksums, other compressors."""
    assert frame_size(_chain(*codecs)) is None


@pytest.mark.parametrize("codecs", FRAMED)
@given(data=st.data())
def test_cut_and_random_bytes_are_refused_or_measured(codecs, data):
    """Never another error, never a size of nothing."""
    chain = _chain(*codecs, n=8)
    encoded = bytes(chain.encode(np.arange(8, dtype="int32")))
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for junk in (encoded[:cut], encoded[:cut] + data.draw(st.binary(max_size=40))):
        try:
            assert frame_size(chain)(memoryview(junk)) > 0
        except CorruptShardError as error:
            assert error.reason in {"inner_chunk_undecodable", "inner_chunk_wrong_size"}  # noqa: PT017


def test_a_bomb_is_not_decoded_to_find_its_end():
    """A member of a hundred megabytes where a chunk of 400 bytes may stand is refused at once."""
    bomb = gzip.compress(bytes(100_000_000), 9)
    with pytest.raises(CorruptShardError) as caught:
        frame_size(_chain(GZIP))(memoryview(bomb))
    assert caught.value.reason == "inner_chunk_wrong_size"
