"""zarrs: zarr-python with the codec pipeline that is written in Rust."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager

import zarr
from zarrs import pipeline
from zarrs.utils import DiscontiguousArrayError, UnsupportedVIndexingError

from conformance.bench.subjects.zarr_python import ZarrPython
from conformance.implementations import Array, Capabilities, Document, Index, UnsupportedError
from conformance.implementations.opened import Opened
from conformance.implementations.zarr_python import DATA_TYPES, Zarr


class Zarrs(Opened):
    """Arrays in folders. It refuses what it would else hand to zarr-python's pipeline: that has its own row.

    Its store is its own, so its requests are not counted.
    """

    language = "Rust"
    # zarr-python parses the metadata; what zarrs does not support itself, it says by errors of its own.
    capabilities = Capabilities(data_types=DATA_TYPES)

    def __init__(self) -> None:
        self._zarr = Zarr(ZarrPython("zarrs.ZarrsCodecPipeline"))
        super().__init__(self._zarr.subject)
        zarr.config.set({"codec_pipeline.strict": True})
        self.setup += "; strict: what it does not support is refused, not handed to zarr-python"

    def version(self) -> str:
        """Version of the package of zarrs for Python."""
        return importlib.metadata.version("zarrs")

    def read(self, path: str, selection: Index | None) -> Array:
        """Read a part of an array, or all."""
        with _told():
            return super().read(path, selection)

    def update(self, path: str, selection: Index, values: Array) -> None:
        """Write a part of an array, or all."""
        with _told():
            super().update(path, selection, values)

    def rewritten(self, metadata: Document) -> Document:
        """Metadata as zarr-python writes it."""
        return self._zarr.rewritten(metadata)


@contextmanager
def _told() -> Iterator[None]:
    """Pass on what zarrs says it does not support, and would hand to zarr-python if it were not strict."""
    try:
        yield
    except (
        pipeline.UnsupportedDataTypeError,
        pipeline.UnsupportedMetadataError,
        DiscontiguousArrayError,
        UnsupportedVIndexingError,
    ) as error:
        raise UnsupportedError(type(error).__name__) from error


def make() -> Zarrs:
    """Set it up."""
    return Zarrs()
