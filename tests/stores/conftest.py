"""The stores that the contract is held against, and the servers that some of them need."""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import obstore
import pytest

from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import MemoryStore
from zarr_shard_codec.stores.object_store import ObjectStore
from zarr_shard_codec.stores.resolve import resolve


class _Handler(BaseHTTPRequestHandler):
    """GET and HEAD, with ranges, of the objects in `server.objects`."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_args):
        """Say nothing."""

    def do_GET(self):
        self.server.log.append((self.command, self.headers.get("Range")))
        body = self.server.objects.get(self.path)
        if body is None:
            self._answer(404, {}, b"")
            return
        headers = {"ETag": f'"{hash(body):x}"'}
        asked = self.headers.get("Range")
        if asked is None:
            self._answer(200, headers, body)
            return
        first, last = asked.removeprefix("bytes=").split("-")
        start = int(first) if first else max(0, len(body) - int(last))
        stop = min(int(last) + 1 if last and first else len(body), len(body))
        if start >= len(body):
            self._answer(416, {"Content-Range": f"bytes */{len(body)}"}, b"")
            return
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
        self._answer(206, headers, body[start:stop])

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, status, headers, body):
        lines = [f"HTTP/1.1 {status} .", *(f"{k}: {v}" for k, v in headers.items())]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode()
        with suppress(ConnectionError):  # who asked has enough
            self.wfile.write(head if self.command == "HEAD" else head + body)


@pytest.fixture(scope="session")
def http_server() -> Iterator[SimpleNamespace]:
    """A server of `objects` (path → bytes) on loopback, which logs what it is asked."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.objects, server.log = {}, []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield SimpleNamespace(
        url=f"http://localhost:{server.server_port}", objects=server.objects, log=server.log
    )
    server.shutdown()
    server.server_close()
    thread.join()


WRITABLE = ["memory", "local", "local_without_pread", "obstore_memory", "obstore_local", "s3"]


@pytest.fixture(params=WRITABLE)
def store(request, tmp_path, monkeypatch):
    """Each store that can be written, empty."""
    return _make(request.param, request, tmp_path, monkeypatch)


@pytest.fixture(params=[*WRITABLE, "http"])
def filled(request, tmp_path, monkeypatch):
    """Each store, with the objects of `OBJECTS` in it."""
    if request.param == "http":
        server = request.getfixturevalue("http_server")
        prefix = f"/{tmp_path.name}"
        server.objects.update({f"{prefix}/{key}": value for key, value in OBJECTS.items()})
        return resolve(server.url + prefix)
    store = _make(request.param, request, tmp_path, monkeypatch)
    for key, value in OBJECTS.items():
        store.write(key, [value])
    return store


OBJECTS = {
    "zarr.json": b"{}",
    "c/0/0": bytes(range(10)),
    "c/0/1": b"",
    "c/large": os.urandom(5 << 20),
}


@pytest.fixture
def objects():
    """What `filled` holds."""
    return OBJECTS


def _make(kind: str, request, tmp_path: Path, monkeypatch):
    match kind:
        case "memory":
            return MemoryStore()
        case "local":
            return LocalStore(tmp_path / "root")
        case "local_without_pread":
            monkeypatch.setattr("zarr_shard_codec.stores.files._HAS_PREAD", False)
            monkeypatch.setattr("zarr_shard_codec.stores.files._HAS_WRITEV", False)
            return LocalStore(tmp_path / "root")
        case "obstore_memory":
            return ObjectStore(obstore.store.MemoryStore())
        case "obstore_local":
            return ObjectStore(obstore.store.LocalStore(tmp_path))
        case _:
            request.getfixturevalue("s3_environment")
            return resolve(f"s3://arrays/{tmp_path.name}")
