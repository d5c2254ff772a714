"""What `enable` sets, in zarr-python's own configuration.

Owns the names there. Being the host's, the settings come and go with its context managers, and can come from
environment variables, as Python writes values: `ZARR_SHARD_CODEC__DURABLE=True`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Self

from zarr_shard_codec.adapters.zarr_python import versions
from zarr_shard_codec.array.write_options import Locking, WriteStrategy, check_write_options

PIPELINE: Final = "zarr_shard_codec.adapters.zarr_python.ShardPipeline"
"""By this name the host's registry knows our pipeline."""

_PATH: Final = "codec_pipeline.path"
_OURS: Final = "shard_codec"


@dataclass(frozen=True, slots=True)
class WriteSettings:
    """How arrays are written; see `array.opening.open`.

    Attributes
    ----------
    write_strategy
        How shards are changed in part: for those arrays that allow it, others are replaced.
    durable
        Whether local files are on the disk when a call returns.
    lock
        How writers in several processes take turns.
    """

    write_strategy: WriteStrategy = "replace"
    durable: bool = False
    lock: Locking = "auto"

    @classmethod
    def now(cls) -> Self:
        """Those that are set now."""
        found = import_module("zarr").config.get(_OURS, {})
        settings = cls(**{name: found[name] for name in cls.__slots__ if name in found})
        settings.check()
        return settings

    def check(self) -> None:
        """Raise `UsageError` (`invalid_argument`) for settings that mean nothing."""
        check_write_options(self.write_strategy, self.durable, self.lock)


def set_pipeline(settings: WriteSettings) -> AbstractContextManager[Any]:
    """Make our pipeline the host's, and remember which it was before. Raises as `WriteSettings.check`."""
    settings.check()
    config = import_module("zarr").config
    before = config.get(_PATH)
    changes = {f"{_OURS}.{name}": getattr(settings, name) for name in settings.__slots__}
    if before != PIPELINE:
        changes[f"{_OURS}.pipeline_beneath"] = before
    changed: AbstractContextManager[Any] = config.set({_PATH: PIPELINE} | changes)
    return changed


def pipeline_beneath() -> Any:
    """The pipeline for arrays that are not sharded: the one that would be used without ours."""
    path = import_module("zarr").config.get(f"{_OURS}.pipeline_beneath", versions.default_pipeline_path())
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)
