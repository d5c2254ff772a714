"""Our package, through its asynchronous interface and over a store that waits: obstore's local files."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import obstore.store

import zarr_shard_codec as zsc
from conformance.implementations import Array, Capabilities, Document, Index
from conformance.implementations.opened import write_document
from conformance.implementations.this_package import create_arguments, version

_Result = TypeVar("_Result")


class Async:
    """Arrays in folders. One event loop lives as long as the process, as in a service."""

    language = "Python"
    setup = "open_async, read and write over obstore's LocalStore"
    capabilities = Capabilities()

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def version(self) -> str:
        """Version that is installed, or that this is the source tree."""
        return version()

    def read(self, path: str, selection: Index | None) -> Array:
        """Read a part of an array, or all."""
        return np.asarray(self._run(_read(path, ... if selection is None else selection)))

    def write(self, path: str, metadata: Document, values: Array) -> None:
        """Create an array and fill it."""
        self._run(_write(path, metadata, values))

    def update(self, path: str, selection: Index, values: Array) -> None:
        """Write a part of an array."""
        self._run(_update(path, selection, values))

    def _run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self._loop.run_until_complete(work)


async def _read(path: str, selection: Any) -> Any:
    array = await zsc.open_async(_store(path))
    return await array.read(selection)


async def _write(path: str, metadata: Document, values: Array) -> None:
    arguments = create_arguments(metadata)
    if arguments is None:
        write_document(path, metadata)
        await _update(path, ..., values)
        return
    array = await zsc.create_async(_store(path), lock=None, **arguments)
    await array.write(..., values)


async def _update(path: str, selection: Any, values: Array) -> None:
    # obstore's local files know no conditional puts, and nobody else writes here.
    array = await zsc.open_async(_store(path), "r+", lock=None)
    await array.write(selection, values)


def _store(path: str) -> Any:
    return obstore.store.LocalStore(str(Path(path).absolute()), mkdir=True)


def make() -> Async:
    """Set it up."""
    return Async()
