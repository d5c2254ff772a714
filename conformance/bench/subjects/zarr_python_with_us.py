"""zarr-python, its sharded arrays read and written by this package."""

from __future__ import annotations

import zarr

import zarr_shard_codec as zsc
from conformance.bench.subjects.zarr_python import ZarrPython


def make() -> ZarrPython:
    """Set it up."""
    zsc.enable()
    return ZarrPython(zarr.config.get("codec_pipeline.path"))
