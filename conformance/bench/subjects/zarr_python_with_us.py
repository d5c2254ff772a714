"""zarr-python, its sharded arrays read and written by this package."""

from __future__ import annotations

from typing import Literal

import zarr

import zarr_shard_codec as zsc
from conformance.bench.subjects.zarr_python import ZarrPython


def make(write_strategy: Literal["replace", "append"] = "replace") -> ZarrPython:
    """Set it up."""
    zsc.enable(write_strategy=write_strategy)
    return ZarrPython(zarr.config.get("codec_pipeline.path"))
