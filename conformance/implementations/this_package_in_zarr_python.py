"""Our package inside zarr-python: whoever uses zarr-python calls `enable`, and goes on as before."""

from __future__ import annotations

from typing import Any

import zarr
import zarr.core.codec_pipeline as pipelines

import zarr_shard_codec as zsc
from conformance.bench.subjects.zarr_python import ZarrPython
from conformance.implementations import AbsentError
from conformance.implementations.this_package import version
from conformance.implementations.zarr_python import Zarr


class InZarrPython(Zarr):
    """Arrays of zarr-python, with our codec in its pipeline."""

    def __init__(self) -> None:
        enable: Any = getattr(zsc, "enable", None)
        if enable is None:
            raise AbsentError("this version of zarr-shard-codec has no adapter for zarr-python")
        super().__init__(ZarrPython(f"{pipelines.__name__}.BatchedCodecPipeline"))
        enable()
        self.setup = f"zarr_shard_codec.enable() in zarr-python {zarr.__version__}"

    def version(self) -> str:
        """Version of this package."""
        return version()


def make() -> InZarrPython:
    """Set it up."""
    return InZarrPython()
