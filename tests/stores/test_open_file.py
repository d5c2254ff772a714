"""Open files: bytes of one state, read to where they are wanted."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from zarr_shard_codec.core.ranges import ByteRange
from zarr_shard_codec.stores import files
from zarr_shard_codec.stores.local import LocalStore


@pytest.mark.skipif(not hasattr(os, "preadv"), reason="there is no other way then")
@pytest.mark.parametrize("has_pread", [True, False])
@pytest.mark.parametrize("at_most", [10**9, 700])
def test_bytes_are_read_to_many_places_at_once(tmp_path, monkeypatch, has_pread, at_most):
    """More places than one system call takes, reads in pieces, no `preadv`; a file that ends before."""
    content = os.urandom(20_000)
    store = LocalStore(tmp_path)
    store.write("k", [content])
    real_preadv = os.preadv

    def preadv(descriptor, buffers, offset):
        assert len(buffers) <= files._MAX_PARTS
        return real_preadv(descriptor, [buffer[:at_most] for buffer in buffers[:2]], offset)

    monkeypatch.setattr(files, "_HAS_PREAD", has_pread)
    monkeypatch.setattr(os, "preadv", preadv if at_most == 700 else real_preadv)
    opened = store.open_object("k")
    for nbytes, count in ((9, 2000), (3000, 2), (20_000 - 7, 1)):
        room = memoryview(bytearray(nbytes * count))
        places = [room[at * nbytes : (at + 1) * nbytes] for at in range(count)][::-1]
        assert opened.read_into(7, places)
        assert b"".join(places) == content[7 : 7 + nbytes * count]
        assert not opened.read_into(20_000 - nbytes * count + 1, places)
    opened.close()


def test_threads_that_share_a_file_read_what_they_asked_for(tmp_path, monkeypatch):
    """Where reading moves the position, which whoever has the file shares (Windows)."""
    monkeypatch.setattr(files, "_HAS_PREAD", False)
    content = b"".join(bytes([at]) * 4096 for at in range(256))
    store = LocalStore(tmp_path)
    store.write("k", [content])
    opened = store.open_object("k")
    held = opened.held()

    def read(at):
        return all(
            bytes(one.read_joined([ByteRange(at * 4096, 4096)])) == bytes([at]) * 4096
            for one in (held, opened)
        )

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(read, list(range(256)) * 20))
    finally:
        sys.setswitchinterval(before)
        opened.close()
