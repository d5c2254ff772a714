"""Our package, through its synchronous interface."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Sequence
from typing import Any

import zarr_shard_codec as zsc
from conformance.bench.subjects.this_package import ThisPackage
from conformance.implementations import Array, Capabilities, Cost, Document, Index
from conformance.implementations.opened import Opened


class Sync(Opened):
    """Arrays in folders, and `create` wherever the sharding codec is all of the chain."""

    language = "Python"
    capabilities = Capabilities()

    def __init__(self) -> None:
        super().__init__(ThisPackage("replace"))

    def version(self) -> str:
        """Version that is installed, or that this is the source tree."""
        return version()

    def write(self, path: str, metadata: Document, values: Array) -> None:
        """Create an array and fill it."""
        arguments = create_arguments(metadata)
        if arguments is None:
            super().write(path, metadata, values)
        else:
            zsc.create(path, **arguments)[...] = values

    def cost(self, path: str, selection: Index) -> Cost:
        """Read over a store that counts."""
        array = zsc.open(path)
        store = CountingStore(array.store)
        _ = zsc.open(store, metadata=array.metadata)[selection]
        return Cost(store.requests, store.nbytes)


class CountingStore:
    """A store that passes everything on, and counts what is read.

    Parameters
    ----------
    store
        The store behind it.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self.coalescing = store.coalescing
        self.requests = self.nbytes = 0

    def read(self, key: str, requests: Sequence[Any]) -> list[Any] | None:
        """Each byte range counts."""
        found: list[Any] | None = self._store.read(key, requests)
        self.requests += len(requests)
        self.nbytes += sum(len(buffer) for buffer in found or [])
        return found

    def write(self, key: str, parts: Sequence[Any]) -> None:
        """Pass on."""
        self._store.write(key, parts)

    def create(self, key: str, parts: Sequence[Any]) -> bool:
        """Pass on."""
        return bool(self._store.create(key, parts))

    def delete(self, key: str) -> None:
        """Pass on."""
        self._store.delete(key)

    def list(self, prefix: str) -> Iterator[Any]:
        """Pass on."""
        return iter(self._store.list(prefix))

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Pass on."""
        return iter(self._store.list_folders(prefix))


def version() -> str:
    """Version of this package."""
    try:
        return importlib.metadata.version("zarr-shard-codec")
    except importlib.metadata.PackageNotFoundError:
        return "source tree"


def create_arguments(metadata: Document) -> dict[str, Any] | None:
    """Arguments for `zsc.create` that make this array; None if it has codecs around the sharding codec."""
    if len(metadata["codecs"]) != 1 or metadata["codecs"][0]["name"] != "sharding_indexed":
        return None
    sharding = metadata["codecs"][0]["configuration"]
    return {
        "shape": metadata["shape"],
        "dtype": metadata["data_type"],
        "shard_shape": metadata["chunk_grid"]["configuration"]["chunk_shape"],
        "inner_chunk_shape": sharding["chunk_shape"],
        "codecs": sharding["codecs"],
        "index_codecs": sharding["index_codecs"],
        "index_location": sharding.get("index_location", "end"),
        "fill_value": metadata["fill_value"],
        "chunk_key_encoding": metadata["chunk_key_encoding"],
    }


def make() -> Sync:
    """Set it up."""
    return Sync()
