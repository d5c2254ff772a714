"""zarrs: zarr-python with the codec pipeline that is written in Rust."""

from __future__ import annotations

import importlib.metadata

import zarr
import zarrs  # noqa: F401 - an absent zarrs shows here

from conformance.bench.subjects.zarr_python import ZarrPython
from conformance.implementations import Capabilities, Document
from conformance.implementations.opened import Opened
from conformance.implementations.zarr_python import DATA_TYPES, Zarr


class Zarrs(Opened):
    """Arrays in folders. It refuses what it would else hand to zarr-python's pipeline: that has its own row.

    Its store is its own, so its requests are not counted.
    """

    language = "Rust"
    capabilities = Capabilities(steps=False, data_types=DATA_TYPES)

    def __init__(self) -> None:
        self._zarr = Zarr(ZarrPython("zarrs.ZarrsCodecPipeline"))
        super().__init__(self._zarr.subject)
        zarr.config.set({"codec_pipeline.strict": True})
        self.setup += "; strict: what it does not support is refused, not handed to zarr-python"

    def version(self) -> str:
        """Version of the package of zarrs for Python."""
        return importlib.metadata.version("zarrs")

    def rewritten(self, metadata: Document) -> Document:
        """Metadata as zarr-python writes it."""
        return self._zarr.rewritten(metadata)


def make() -> Zarrs:
    """Set it up."""
    return Zarrs()
