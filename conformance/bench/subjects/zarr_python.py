"""zarr-python with the fastest pipeline it has: the Fused one from 3.4 on, the Batched one before."""

from __future__ import annotations

from typing import Any

import numpy as np
import zarr
import zarr.core.codec_pipeline as pipelines

from conformance.bench.subjects import Selection


class ZarrPython:
    """Arrays in folders.

    Parameters
    ----------
    pipeline
        The codec pipeline's full name; it is set for the whole process.
    """

    def __init__(self, pipeline: str) -> None:
        zarr.config.set({"codec_pipeline.path": pipeline})
        self.setup = f"{pipeline.rpartition('.')[2]}, its own defaults for threads and concurrency"

    def open(self, path: str) -> zarr.Array[Any]:
        """Open an array."""
        return zarr.open_array(path, mode="r+", zarr_format=3)

    def read(self, array: zarr.Array[Any], selection: Selection) -> np.ndarray[Any, Any]:
        """Read a selection."""
        return np.asarray(array[selection])

    def write(self, array: zarr.Array[Any], selection: Selection, value: np.ndarray[Any, Any]) -> None:
        """Write a selection."""
        array[selection] = value

    def pack(self, source: str, target: str, document: dict[str, Any]) -> None:
        """Read the source whole, and create the target with `data=`."""
        values = self.open(source)[...]
        assert isinstance(values, np.ndarray)
        sharding = document["codecs"][0]["configuration"]
        zarr.create_array(
            target,
            data=values,
            chunks=tuple(sharding["chunk_shape"]),
            shards=tuple(document["chunk_grid"]["configuration"]["chunk_shape"]),
            compressors=sharding["codecs"][1:],
            fill_value=document["fill_value"],
            zarr_format=3,
        )


def make() -> ZarrPython:
    """Set it up."""
    best = "FusedCodecPipeline" if hasattr(pipelines, "FusedCodecPipeline") else "BatchedCodecPipeline"
    return ZarrPython(f"{pipelines.__name__}.{best}")
