"""zarrs: zarr-python with the pipeline that is written in Rust."""

from __future__ import annotations

import zarrs  # noqa: F401 - an absent zarrs shows here, not in the middle of a measurement

from conformance.bench.subjects.zarr_python import ZarrPython


def make() -> ZarrPython:
    """Set it up."""
    return ZarrPython("zarrs.ZarrsCodecPipeline")
