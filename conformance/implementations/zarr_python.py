"""zarr-python, with each codec pipeline that the installed version has."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import zarr
import zarr.core.codec_pipeline as pipelines
from zarr.core.buffer import default_buffer_prototype
from zarr.core.metadata import ArrayV3Metadata
from zarr.storage import LocalStore

from conformance.bench.subjects.zarr_python import ZarrPython
from conformance.implementations import FLOATS, INTEGERS, AbsentError, Capabilities, Cost, Document, Index
from conformance.implementations.opened import Opened

DATA_TYPES = INTEGERS | FLOATS | {"numpy.datetime64", "numpy.timedelta64", "raw_bytes"}
"""As its documentation lists them; the optional `r*` of the core specification is not there."""


class Zarr(Opened):
    """Arrays in folders.

    Parameters
    ----------
    subject
        zarr-python with a pipeline.
    """

    language = "Python"
    capabilities = Capabilities(data_types=DATA_TYPES)

    def __init__(self, subject: ZarrPython) -> None:
        super().__init__(subject)

    def version(self) -> str:
        """Version of the package."""
        return importlib.metadata.version("zarr")

    def rewritten(self, metadata: Document) -> Document:
        """Metadata as zarr-python writes it."""
        parsed = ArrayV3Metadata.from_dict(metadata)  # it takes what it uses out of what it is given
        document = parsed.to_buffer_dict(default_buffer_prototype())["zarr.json"].to_bytes()
        rewritten: Document = json.loads(document)
        return rewritten

    def cost(self, path: str, selection: Index) -> Cost:
        """Read over a store that counts."""
        array = zarr.open_array(CountingStore(path), mode="r", zarr_format=3)
        store = array.store  # a copy of the one above that is for reading only
        assert isinstance(store, CountingStore)
        store.requests = store.nbytes = 0
        _ = array[selection]
        return Cost(store.requests, store.nbytes)


class CountingStore(LocalStore):
    """Files that count how they are read.

    zarr-python merges ranges above `get`, so that each call of it is a request.
    """

    def __init__(self, root: Path | str, **options: Any) -> None:
        super().__init__(root, **options)
        self.requests = self.nbytes = 0

    async def get(self, *args: Any, **options: Any) -> Any:
        """Count, and read."""
        return self._counted(await super().get(*args, **options))

    def get_sync(self, *args: Any, **options: Any) -> Any:
        """Count, and read: this is how the Fused pipeline of zarr-python 3.4 does it."""
        return self._counted(super().get_sync(*args, **options))

    async def get_partial_values(self, *args: Any, **options: Any) -> Any:
        """Count each range, and read."""
        return [self._counted(found) for found in await super().get_partial_values(*args, **options)]

    def _counted(self, found: Any) -> Any:
        self.requests += 1
        self.nbytes += 0 if found is None else len(found)
        return found


def make(pipeline: str) -> Zarr:
    """Set it up with a pipeline, by its class's name."""
    if not hasattr(pipelines, pipeline):
        raise AbsentError(f"zarr-python {zarr.__version__} has no {pipeline}")
    return Zarr(ZarrPython(f"{pipelines.__name__}.{pipeline}"))
