"""What `enable` sets, in zarr-python's own configuration.

Owns the names there. Being the host's, the settings come and go with its context managers, and can come from
environment variables.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, Final

PIPELINE: Final = "zarr_shard_codec.adapters.zarr_python.ShardPipeline"
"""By this name the host's registry knows our pipeline."""

_PATH: Final = "codec_pipeline.path"
_BENEATH: Final = "shard_codec.pipeline_beneath"


def set_pipeline() -> AbstractContextManager[Any]:
    """Make our pipeline the host's, and remember which it was before."""
    config = import_module("zarr").config
    before = config.get(_PATH)
    remembered = {} if before == PIPELINE else {_BENEATH: before}
    changed: AbstractContextManager[Any] = config.set({_PATH: PIPELINE} | remembered)
    return changed


def pipeline_beneath() -> Any:
    """The pipeline for arrays that are not sharded: the one that would be used without ours."""
    from zarr_shard_codec.adapters.zarr_python import versions

    path = import_module("zarr").config.get(_BENEATH, None) or versions.default_pipeline_path()
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)
