"""zarrita (Python) with `enable()` on its remote stores: S3's protocol, served on loopback."""

import asyncio
import logging
import sys

import numpy as np
import pytest

import zarr_shard_codec as zsc

if sys.version_info >= (3, 12):
    pytest.skip("zarrita (Python) needs a zstandard that 3.12 has not", allow_module_level=True)

import zarrita
from zarrita import Array, codecs

from zarr_shard_codec.adapters import zarrita as adapter

DATA = np.random.default_rng(5).integers(0, 2**16, (40, 36), "u2")


@pytest.fixture(scope="module")
def endpoint():
    """A server of the S3 protocol with a bucket `arrays`."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        url = f"http://{host}:{port}"
        boto3.client("s3", endpoint_url=url).create_bucket(Bucket="arrays")
        yield url
    server.stop()


@pytest.fixture
def store(endpoint, request):
    """An empty place in the bucket; each test's own."""
    return zarrita.RemoteStore(f"s3://arrays/{abs(hash(request.node.nodeid))}", endpoint_url=endpoint)


def _create(store):
    sharding = codecs.sharding_codec((8, 8), [codecs.bytes_codec(), codecs.zstd_codec()])
    return Array.create(
        store / "a", shape=DATA.shape, chunk_shape=(16, 16), dtype="uint16", fill_value=3, codecs=[sharding]
    )


def test_a_remote_array_is_written_and_read(store):
    """Whole and in part, by the synchronous family; zarrita alone reads the same."""
    expected = DATA.copy()
    with adapter.enable():
        array = _create(store)
        array[:] = DATA
        array[5:20, 3:30] = expected[5:20, 3:30] = DATA[6:21, 4:31]
        np.testing.assert_array_equal(array[:], expected)
        np.testing.assert_array_equal(array[7:9, ::3], expected[7:9, ::3])
        array[:16, :16] = np.full((16, 16), 3, "u2")
        assert not zarrita.sync.sync((store / "a/c/0/0").exists_async())
        expected[:16, :16] = 3
    np.testing.assert_array_equal(Array.open(store / "a")[:], expected)


def test_a_remote_array_is_written_and_read_asynchronously(store):
    """The same on a loop of the caller's, many parts of one shard at once."""

    async def go():
        array = await Array.open_async(store / "a")
        rows = [array.async_[row : row + 1].set(DATA[row : row + 1]) for row in range(16)]
        await asyncio.gather(*rows)
        return await array.async_[:16].get()

    with adapter.enable():
        _create(store)
        np.testing.assert_array_equal(asyncio.run(go()), DATA[:16])


def test_a_broken_remote_shard_is_a_typed_error(store):
    """An index entry that points past the end, which S3 answers with an error of its own."""
    with adapter.enable():
        array = _create(store)
        array[:] = DATA
        shard = bytearray(zarrita.sync.sync((store / "a/c/0/0").get_async()))
        index = shard[-68:-4]
        index[:8] = (10**9).to_bytes(8, "little")
        import google_crc32c

        shard[-68:] = index + google_crc32c.value(bytes(index)).to_bytes(4, "little")
        zarrita.sync.sync((store / "a/c/0/0").set_async(bytes(shard)))
        with pytest.raises(zsc.CorruptShardError) as caught:
            array[:3, :3]
    assert caught.value.reason in {"entry_out_of_bounds", "inner_chunk_wrong_size"}
    assert caught.value.key.endswith("a/c/0/0")
